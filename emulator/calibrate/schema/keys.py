"""Keys: what one fitted law belongs to, and which rows of the measured cells belong to one key."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

KEY_FIELDS = (
    "collective",
    "implementation",
    "backend",
    "launch_mode",
    "timing",
    "dtype",
    "concurrent_groups",
    "scheduler",
    "oversubscribed",
)
COLUMNS = (*KEY_FIELDS, "bytes", "ranks", "nodes", "launch", "us", "n", "flags", "wrong", "iterations_us")

Key = dict[str, Any]


def plain(value: Any) -> Any:
    """A cell value as a plain Python one: numpy scalars unwrapped, NaN as None."""
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and value != value else value


def keys_of(cells: pd.DataFrame) -> list[Key]:
    """The distinct keys of the cells, in a fixed order."""
    residuals: dict[tuple[Hashable, ...], Key] = {}
    for values in cells[list(KEY_FIELDS)].itertuples(index=False, name=None):
        key = dict(zip(KEY_FIELDS, (plain(v) for v in values)))
        residuals.setdefault(tuple(key.values()), key)
    return [residuals[k] for k in sorted(residuals, key=lambda k: [str(v) for v in k])]


def rows_of_key(cells: pd.DataFrame, key: Key) -> pd.DataFrame:
    """The rows of cells that belong to key, in the order of cells.

    With concurrent_groups "all" the rows of one group that is the whole mesh belong too: those of concurrent_groups 1
    at the largest rank count the key's backend was measured with.
    """
    same = np.ones(len(cells), dtype=bool)
    for field in KEY_FIELDS:
        if field != "concurrent_groups":
            same &= _equals(cells[field], key[field])
    groups = cells["concurrent_groups"]
    member = _equals(groups, key["concurrent_groups"])
    if key["concurrent_groups"] == "all":
        backend = _equals(cells["backend"], key["backend"])
        largest = cells["ranks"].to_numpy()[backend].max(initial=0)
        member |= _equals(groups, 1) & (cells["ranks"] == largest).to_numpy()
    return cells[same & member]


def usable_rows(rows: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """The rows a fit may use, and how many were left out for which reason.

    Left out: wrong data, no time (us ≤ 0, NaN or infinite), and sizes so small that the algorithm degenerates.
    """
    us = rows["us"].to_numpy(dtype=float)
    reasons = {
        "wrong data": np.array([(plain(w) or 0) > 0 for w in rows["wrong"]], dtype=bool),
        "no time": ~(np.isfinite(us) & (us > 0)),
        "degenerate size": np.array(["degenerate_size" in flags_of(f) for f in rows["flags"]], dtype=bool),
    }
    keep = np.ones(len(rows), dtype=bool)
    counts: dict[str, int] = {}
    for reason, bad in reasons.items():
        if number := int((bad & keep).sum()):
            counts[reason] = number
        keep &= ~bad
    return rows[keep], counts


def flags_of(value: Any) -> list[str]:
    """The flags of one row; a missing value is no flag."""
    return list(value) if isinstance(value, (list, tuple, np.ndarray)) else []


def _equals(column: pd.Series, value: Any) -> np.ndarray:
    return np.array([plain(v) == value for v in column], dtype=bool)
