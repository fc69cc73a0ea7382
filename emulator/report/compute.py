"""The table of what computing costs: a line for each dtype and number of ranks that compute at the same time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from inferometer.emulator.report.columns import aligned, with_interval

if TYPE_CHECKING:
    from inferometer.emulator.calibrate.schema.compute_records import ComputeLaw

HEADS = {"memory_gb_per_s": "weights (GB/s)", "gflops": "matmul (GFLOP/s)", "smallest_us": "smallest (µs)"}


def compute_table(laws: Sequence[ComputeLaw], intervals: bool) -> list[str]:
    """Lines of the matmul laws among the laws, headed; empty where none was measured."""
    surfaces = [law for law in laws if law.rates]
    if not surfaces:
        return []
    names = [*HEADS, *dict.fromkeys(name for law in surfaces for name in law.rates or {} if name not in HEADS)]
    head = ["dtype", _by(surfaces[0]), *(_head(name) for name in names), "held-out"]
    return aligned([head, *(_row(law, names, intervals) for law in surfaces)])


def _by(law: ComputeLaw) -> str:
    """What a device's laws differ in is how kernels are launched; a processor's, how many ranks compute at once."""
    return "ranks" if law.form == "surface" else "launch mode"


def _head(rate: str) -> str:
    """The column of a rate; gflops_at_8_rows, a skinny matmul's, is ``8 rows (GFLOP/s)``."""
    return HEADS.get(rate) or f"{rate.split('_')[2]} rows (GFLOP/s)"


def _row(law: ComputeLaw, names: Sequence[str], intervals: bool) -> list[str]:
    rates = law.rates or {}
    cells = []
    for name in names:
        rate = rates.get(name)
        known = rate is not None and rate.value is not None
        cells.append(with_interval(rate.value, rate.ci95 if intervals else None) if known else "–")  # type: ignore[union-attr,arg-type]
    held_out = law.fit.whole_steps if law.form == "surface" else law.fit.held_out
    missed = held_out.median if held_out else None
    by = str(law.target.concurrent_ranks) if law.form == "surface" else law.target.launch_mode
    return [law.target.dtype, by, *cells, "–" if missed is None else f"{missed:.0%}"]
