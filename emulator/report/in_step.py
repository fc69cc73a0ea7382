"""The table of in-step overheads: what a collective costs in a model's step beyond its isolated time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from inferometer.emulator.report.columns import aligned, with_interval

if TYPE_CHECKING:
    from inferometer.emulator.calibrate.schema.in_step_records import InStepLaw
    from inferometer.emulator.calibrate.schema.records import Parameter

MIB = 1 << 20
#: Parameter: (its column, what one unit of it is worth in that column's unit).
COLUMNS = {"s0": ("s0 (µs)", 1.0), "u": ("u (%)", 100.0), "v": ("v (µs/MiB)", MIB / 1e3)}


def in_step_table(laws: Sequence[InStepLaw], crowded: set[int], intervals: bool) -> list[str]:
    """Lines of the laws, headed; crowded: rank counts to mark with an asterisk, whose rows come last."""
    heads = {"collective": "collective", "dtype": "dtype", "ranks": "ranks", "nodes": "nodes"}
    heads |= {name: head for name, (head, _) in COLUMNS.items()} | {"held_out": "held-out"}
    rows = [_row(law, crowded, intervals) for law in sorted(laws, key=lambda law: law.ranks in crowded)]
    silent = {"dtype": {"float32", "–"}, "nodes": {"1"}}
    kept = [name for name in heads if not {row[name] for row in rows} <= silent.get(name, set())]
    return aligned([[heads[name] for name in kept], *([row[name] for name in kept] for row in rows)])


def _row(law: InStepLaw, crowded: set[int], intervals: bool) -> dict[str, str]:
    missed = law.fit.held_out.median
    return {
        "collective": law.target.collective,
        "dtype": law.target.dtype or "–",
        "ranks": f"{law.ranks}{'*' if law.ranks in crowded else ''}",
        "nodes": str(law.nodes),
        **{name: _cell(law.params[name], scale, intervals) for name, (_, scale) in COLUMNS.items()},
        "held_out": "–" if missed is None else f"{missed:.0%}",
    }


def _cell(parameter: Parameter, scale: float, intervals: bool) -> str:
    if parameter.value is None:
        return "–"
    return with_interval(parameter.value, parameter.ci95 if intervals else None, scale)
