"""What computing costs, a line for each dtype and number of ranks that compute at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inferometer.emulator.calibrate.evaluate.calibration import Calibration
    from inferometer.emulator.calibrate.schema.compute_records import ComputeLaw
    from inferometer.emulator.calibrate.schema.records import Parameter


def compute_lines(calibration: Calibration) -> Iterator[str]:
    """Nothing where computing was not measured."""
    for law in calibration.compute_laws:
        if law.form == "surface" and law.rates is not None:
            yield _line(law)


def _line(law: ComputeLaw) -> str:
    rates = dict(law.rates or {})
    smallest, memory, best = rates.pop("smallest_us"), rates.pop("memory_gb_per_s"), rates.pop("gflops")
    target = law.target
    ranks = "1 rank" if target.concurrent_ranks == 1 else f"each of {target.concurrent_ranks} ranks at once"
    skinny = "".join(f", {_number(rate)} with {name.split('_')[2]} rows" for name, rate in rates.items())
    words = f"Computing in {target.dtype}, {ranks}: weights stream at {_number(memory)} GB/s; matmuls reach {_number(best)} "
    words += f"GFLOP/s{skinny}; the smallest takes {_number(smallest)} µs"
    missed = law.fit.whole_steps
    known = missed is not None and missed.median is not None
    error = f"; misses the matmuls of a model's step by {missed.median:.0%} (median)" if missed and known else ""
    return f"{words}{error}."


def _number(parameter: Parameter) -> str:
    assert parameter.value is not None
    interval = parameter.ci95
    ends = f" [{interval[0]:.3g}, {interval[1]:.3g}]" if interval else ""
    return f"{parameter.value:.3g}{ends}"
