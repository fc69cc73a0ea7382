"""The in-step overhead that a step pays, asked of a calibration's records: numpy only, no optimiser."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.evaluate.predict import ExtrapolationWarning, NotIdentifiedWarning
from inferometer.emulator.calibrate.laws.query import query_arrays
from inferometer.emulator.calibrate.schema.in_step_records import UNITS, InStepLaw
from inferometer.emulator.errors import InputError


def in_step_us(
    in_step_laws: Sequence[InStepLaw],
    collective: str,
    bytes: ArrayLike,
    ranks: ArrayLike,
    nodes: ArrayLike,
    compute_gap_s: ArrayLike,
) -> Array:
    """s in µs, never below 0, for arguments that broadcast; 0 for one rank, NaN for ranks and nodes without a law.

    in_step_laws: of one key. Warns once of what is NaN (NotIdentifiedWarning), once of what lies outside the measured
    bytes and compute gaps (ExtrapolationWarning). Raises InputError for impossible bytes, ranks, nodes or compute gaps.
    """
    try:
        compute_gap_us = np.asarray(compute_gap_s, dtype=float) * 1e6
        n, r, N, step_breakdown = np.broadcast_arrays(*query_arrays(bytes, ranks, nodes), compute_gap_us)
    except (TypeError, ValueError) as error:
        raise InputError(f"compute_gap_s must be numbers whose shape goes with bytes, ranks and nodes: {error}") from error
    if not (np.isfinite(step_breakdown) & (step_breakdown >= 0)).all():
        raise InputError("compute_gap_s must be finite and at least 0")
    us = np.where(r > 1, np.nan, 0.0)
    beyond: dict[str, None] = {}
    for in_step in in_step_laws:
        here = (r == in_step.ranks) & (in_step.nodes == N)
        us[here] = np.maximum(terms_us(in_step, n[here], step_breakdown[here]).sum(axis=0), 0.0)
        beyond |= dict.fromkeys(outside(in_step, n[here], step_breakdown[here]).values())
    if (missing := np.isnan(us)).any():
        have = ", ".join(f"{s.ranks} ranks on {s.nodes}" for s in in_step_laws) or "nothing"
        calls = f"{int(missing.sum())} of {us.size} calls"
        text = f"{collective}: the in-step overhead of {calls} was not measured (there is {have})"
        warnings.warn(text, NotIdentifiedWarning, stacklevel=3)
    if beyond:
        text = f"{collective}: {'; '.join(beyond)}; the in-step overhead is given all the same"
        warnings.warn(text, ExtrapolationWarning, stacklevel=3)
    return us


def terms_us(in_step: InStepLaw, n: Array, compute_gap_us: Array) -> Array:
    """What s0, u and v add [3, …] in µs, for n bytes and a time apart; 0 for what is not identified."""
    quantities = (np.ones_like(n), compute_gap_us, n)
    values = (in_step.params[name].value or 0.0 for name in UNITS)
    return np.array([value * factor * x for value, (_, factor), x in zip(values, UNITS.values(), quantities)])


def choose_in_step_laws(
    in_step_laws: Sequence[InStepLaw], collective: str, key: dict[str, Any], preferred: dict[str, Any]
) -> list[InStepLaw]:
    """The records of the one key of a collective that matches; none where no record does.

    Where several match, the preferred values decide, in their order. Raises InputError where several still do.
    """
    found = [s for s in in_step_laws if s.target.collective == collective]
    found = [s for s in found if all(getattr(s.target, name) == value for name, value in key.items())]
    for name, value in preferred.items():
        found = [s for s in found if getattr(s.target, name) == value] or found
    targets = {s.target for s in found}
    if len(targets) > 1:
        varying = [name for name in type(found[0].target).model_fields if len({getattr(t, name) for t in targets}) > 1]
        raise InputError(f"several in-step overheads of '{collective}' match: choose one {', one '.join(varying)}")
    return found


def outside(in_step: InStepLaw, n: Array, compute_gap_us: Array) -> dict[str, str]:
    """By name, in words: the limits of a in-step overhead's domain that are exceeded; empty where none is."""
    limits = {"bytes": (n, *in_step.domain.bytes), "time apart (us)": (compute_gap_us, *in_step.domain.compute_gap_us)}
    found = {}
    for name, (values, low, high) in limits.items():
        beyond = values[(values < low) | (values > high)]
        if beyond.size:
            extreme = beyond.max() if beyond.max() > high else beyond.min()
            found[name] = f"{name} {extreme:g} is outside the measured {low:g} to {high:g}"
    return found
