"""The skew that a step pays, asked of a calibration's records: numpy only, no optimiser."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inferometer.emulator.calibrate.evaluate.predict import ExtrapolationWarning, NotIdentifiedWarning
from inferometer.emulator.calibrate.laws.query import query_arrays
from inferometer.emulator.calibrate.schema.in_step_records import UNITS, Skew
from inferometer.emulator.errors import InputError

Array = NDArray[np.float64]


def skew_us(
    skews: Sequence[Skew], collective: str, bytes: ArrayLike, ranks: ArrayLike, nodes: ArrayLike, apart_s: ArrayLike
) -> Array:
    """s in µs, never below 0, for arguments that broadcast; 0 for one rank, NaN where skews has no such ranks and nodes.

    skews: records of one key. Warns once of what is NaN (NotIdentifiedWarning), once of what lies outside the measured
    bytes and times apart (ExtrapolationWarning). Raises InputError for impossible bytes, ranks, nodes, or times apart.
    """
    try:
        apart_us = np.asarray(apart_s, dtype=float) * 1e6
        n, r, N, apart = np.broadcast_arrays(*query_arrays(bytes, ranks, nodes), apart_us)
    except (TypeError, ValueError) as error:
        raise InputError(f"apart_s must be numbers whose shape goes with bytes, ranks and nodes: {error}") from error
    if not (np.isfinite(apart) & (apart >= 0)).all():
        raise InputError("apart_s must be finite and at least 0")
    us = np.where(r > 1, np.nan, 0.0)
    beyond: dict[str, None] = {}
    for skew in skews:
        here = (r == skew.ranks) & (skew.nodes == N)
        us[here] = np.maximum(terms_us(skew, n[here], apart[here]).sum(axis=0), 0.0)
        beyond |= dict.fromkeys(outside(skew, n[here], apart[here]).values())
    if (missing := np.isnan(us)).any():
        have = ", ".join(f"{s.ranks} ranks on {s.nodes}" for s in skews) or "nothing"
        text = f"{collective}: the skew of {int(missing.sum())} of {us.size} calls was not measured (there is {have})"
        warnings.warn(text, NotIdentifiedWarning, stacklevel=3)
    if beyond:
        text = f"{collective}: {'; '.join(beyond)}; the skew is given all the same"
        warnings.warn(text, ExtrapolationWarning, stacklevel=3)
    return us


def terms_us(skew: Skew, n: Array, apart_us: Array) -> Array:
    """What s0, u and v add [3, …] in µs, for n bytes and a time apart; 0 for what is not identified."""
    quantities = (np.ones_like(n), apart_us, n)
    values = (skew.params[name].value or 0.0 for name in UNITS)
    return np.array([value * factor * x for value, (_, factor), x in zip(values, UNITS.values(), quantities)])


def choose_skews(skews: Sequence[Skew], collective: str, key: dict[str, Any], preferred: dict[str, Any]) -> list[Skew]:
    """The records of the one key of a collective that matches; none where no record does.

    Where several match, the preferred values decide, in their order. Raises InputError where several still do.
    """
    found = [s for s in skews if s.target.collective == collective]
    found = [s for s in found if all(getattr(s.target, name) == value for name, value in key.items())]
    for name, value in preferred.items():
        found = [s for s in found if getattr(s.target, name) == value] or found
    targets = {s.target for s in found}
    if len(targets) > 1:
        varying = [name for name in type(found[0].target).model_fields if len({getattr(t, name) for t in targets}) > 1]
        raise InputError(f"several skews of '{collective}' match: choose one {', one '.join(varying)}")
    return found


def outside(skew: Skew, n: Array, apart_us: Array) -> dict[str, str]:
    """By name, in words: the limits of a skew's domain that are exceeded; empty where none is."""
    limits = {"bytes": (n, *skew.domain.bytes), "time apart (us)": (apart_us, *skew.domain.apart_us)}
    found = {}
    for name, (values, low, high) in limits.items():
        beyond = values[(values < low) | (values > high)]
        if beyond.size:
            extreme = beyond.max() if beyond.max() > high else beyond.min()
            found[name] = f"{name} {extreme:g} is outside the measured {low:g} to {high:g}"
    return found
