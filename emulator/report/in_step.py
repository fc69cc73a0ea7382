"""What a step pays beyond isolated times, a line for each collective with its ranks and nodes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inferometer.emulator.calibrate.evaluate.calibration import Calibration
    from inferometer.emulator.calibrate.schema.in_step_records import InStepLaw
    from inferometer.emulator.calibrate.schema.records import Parameter

MIB = 1 << 20
#: Parameter: (what one unit of it is worth in what is shown, how that reads).
SHOWN = {"s0": (1.0, "µs"), "u": (100.0, "% of the time apart"), "v": (MIB / 1e3, "µs per MiB")}


def in_step_lines(calibration: Calibration) -> Iterator[str]:
    """Nothing where no collective was timed in_step."""
    for in_step in calibration.in_step_laws:
        if in_step.target.concurrent_groups in (1, None):
            yield _line(in_step)


def _line(in_step: InStepLaw) -> str:
    terms = [_term(in_step.params[name], *shown) for name, shown in SHOWN.items() if in_step.params[name].value]
    missed = in_step.fit.held_out.median
    error = f"; misses a left-out cell by {missed:.0%} (median)" if missed is not None else ""
    article = "an" if in_step.target.collective[0] in "aeiou" else "a"
    where = f"{in_step.ranks} ranks" + (f" on {in_step.nodes} nodes" if in_step.nodes > 1 else "")
    dtype = f" of {in_step.target.dtype}" if in_step.target.dtype not in ("float32", None) else ""
    return (
        f"In a step {article} {in_step.target.collective}{dtype} over {where} takes {' + '.join(terms) or 'no'} more{error}."
    )


def _term(parameter: Parameter, scale: float, unit: str) -> str:
    assert parameter.value is not None
    interval = parameter.ci95
    ends = f" [{interval[0] * scale:.3g}, {interval[1] * scale:.3g}]" if interval else ""
    return f"{parameter.value * scale:.3g}{ends} {unit}"
