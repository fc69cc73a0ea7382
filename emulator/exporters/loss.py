"""What a target loses: computed by asking its own formula, and the full law, over the whole validity domain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inferometer.emulator.aliases import Array, Document
from inferometer.emulator.calibrate.schema.network_records import NetworkLaw
from inferometer.emulator.exporters.query import Layout, grid, law_us, layouts_of, place
from inferometer.emulator.units import format_bytes

#: µs for n bytes [sizes] on r ranks of N nodes; NaN where there is no time.
Times = Callable[[Array, int, int], Array]

AGREES = 0.05
#: Not a multiple of what tables have, so that the points between their rows are asked too.
PER_OCTAVE = 13


@dataclass(frozen=True)
class Carried:
    """One law as the target has it. target_us: what the target computes from the exported file, µs, by its own formula.

    full_us: what it is held against (the law itself). silent: why the target has no time, where it has none.
    """

    model: NetworkLaw
    target_us: Times
    silent: str
    full_us: Times | None = None


@dataclass(frozen=True)
class Made:
    """An export: the file's bytes, siblings by name, the laws as carried, what is dropped, how the target must be run."""

    content: bytes
    carried: list[Carried]
    dropped: list[str]
    use: list[str]
    siblings: dict[str, bytes]


def unplaced(model: NetworkLaw, placed: set[str]) -> list[str]:
    """The determined parameters that have no place in the target, in words."""
    values = [
        f"{name} = {p.value:.4g}" + ("" if p.unit == "1" else f" {p.unit}")
        for name, p in model.params.items()
        if name not in placed and name != "scale" and p.value is not None and p.status != "not_identified"
    ]
    return [f"no place for {', '.join(values)} of the law '{model.form}'"] if values else []


def agreement(carried: Carried) -> list[Document]:
    """For every layout of the domain: the sizes at which the target agrees within 5 %, and its worst error."""
    return [_agreement(carried, layout) for layout in layouts_of(carried.model)]


def _agreement(carried: Carried, layout: Layout) -> Document:
    model, (r, N) = carried.model, layout
    n = grid(max(1, model.domain.bytes[0]), model.domain.bytes[1], PER_OCTAVE).astype(float)
    full = law_us(model, n, r, N) if carried.full_us is None else carried.full_us(n, r, N)
    found: Document = {"collective": model.target.collective, "ranks": r, "nodes": N}
    found |= {"within_5_percent": [], "share_within": 0.0, "worst": None, "silent": None}
    if not (full > 0).any():
        return found | {"silent": "the law itself is not determined here"}
    known = full > 0
    n, full = n[known], full[known]
    mine = carried.target_us(n, r, N)
    if np.isnan(mine).all():
        return found | {"silent": carried.silent}
    error = mine / full - 1
    agrees = np.abs(error) <= AGREES
    at = int(np.nanargmax(np.abs(error)))
    return found | {
        "within_5_percent": _runs(n, agrees),
        "share_within": float(agrees.mean()),
        "worst": {"error": float(error[at]), "bytes": int(n[at])},
        "silent": carried.silent if np.isnan(mine).any() else None,
    }


def _runs(n: Array, holds: NDArray[np.bool_]) -> list[list[int]]:
    """The stretches [first, last] of n over which holds is true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], holds.astype(int), [0]])))
    return [[int(n[i]), int(n[j - 1])] for i, j in edges.reshape(-1, 2)]


def lines_of(statement: Document) -> list[str]:
    """The statement as text."""
    lines = [f"What {statement['target']} loses of calibration {statement['calibration'][:12]}"]
    for law in statement["laws"]:
        key = ", ".join(f"{name} {value}" for name, value in law["target"].items() if value is not None)
        lines.append(f"  law: {law['equation']} ({law['form']}; {key})")
    lines += [f"  dropped: {text}" for text in statement["dropped"]]
    lines += [f"  to use: {text}" for text in statement["use"]]
    lines.append("  against the full law, over all it was measured on:")
    silent: dict[tuple[str, str], list[str]] = {}
    for entry in statement["agreement"]:
        if entry["worst"] is None:
            silent.setdefault((entry["collective"], entry["silent"]), []).append(f"{entry['ranks']}/{entry['nodes']}")
        else:
            lines.append(f"    {_line(entry)}")
    return lines + [f"    {name} {', '.join(where)}: no time: {why}" for (name, why), where in silent.items()]


def _line(entry: Document) -> str:
    stretches = [f"{_about(low)} to {_about(high)}" for low, high in entry["within_5_percent"]]
    where = f"at {', '.join(stretches)}" if stretches else "nowhere"
    worst = f"{entry['worst']['error']:+.1%}".replace("-0.0%", "0.0%").replace("+0.0%", "0.0%")
    text = f"{entry['collective']} {place(entry['ranks'], entry['nodes'])}: within 5 % {where}"
    text += f"; worst {worst} at {_about(entry['worst']['bytes'])}"
    return text + (f"; in part no time: {entry['silent']}" if entry["silent"] else "")


def _about(size: int) -> str:
    """Bytes as people write them, odd ones to four digits: 65536 → 64K, 571740 → 558.3K."""
    exact = format_bytes(size)
    if size < 1024 or exact[-1].isalpha():
        return exact
    unit = min(int(np.log2(size) // 10), 4)
    return f"{size / 1024**unit:.4g}{'KMGT'[unit - 1]}"
