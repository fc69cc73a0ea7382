"""A validation's document as a table for notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferometer.emulator.documents import json_of, read_text
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.layout import FIELDS

if TYPE_CHECKING:
    import pandas

SCHEMA = "inferometer/validation/1"
CONFIGURATION = ("model", "scale", "layers", *FIELDS, "batch", "context", "micro_batches", "bits")


def validation_table(document: str | Path | Mapping[str, Any]) -> pandas.DataFrame:
    """A row for each cell and phase of a validation: the file, or what it holds.

    Columns: the configuration, phase, ranks, measured_us, a predicted_us for each variant (``calibration_us``, …), rel_error
    and its interval, repeat_error (median over launches), measured and predicted us of a term (``matmul_measured_us``, …).
    Unknown is NaN. Raises InputError for a file that holds no validation.
    """
    import pandas as pd

    known = document if isinstance(document, Mapping) else _read(Path(document))
    rows = []
    for cell in known["cells"]:
        low, high = cell["rel_error_ci95"] or (None, None)
        again = pd.Series(cell["repeat_errors"], dtype=float)
        rows.append(
            {
                "cell": cell["cell"],
                **{name: cell["settings"][name] for name in CONFIGURATION},
                "phase": cell["phase"],
                "ranks": cell["ranks"],
                "measured_us": cell["measured_us"],
                **{f"{name.replace(' ', '_')}_us": us for name, us in cell["predicted_us"].items()},
                "rel_error": cell["rel_error"],
                "rel_error_low": low,
                "rel_error_high": high,
                "repeat_error": again.median(),
                **{f"{name}_{side}": term[side] for name, term in cell["terms"].items() for side in term},
            }
        )
    numbers = [name for name in rows[0] if name.endswith("_us") or "error" in name] if rows else []
    return pd.DataFrame(rows).astype(dict.fromkeys(numbers, float))


def _read(path: Path) -> Mapping[str, Any]:
    known = json_of(read_text(path), path)
    found = known.get("schema") if isinstance(known, dict) else None
    if found != SCHEMA:
        raise InputError(f"{path}: schema: found {found!r}, expected {SCHEMA!r}")
    return known
