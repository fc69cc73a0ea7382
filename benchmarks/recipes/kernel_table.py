"""Built-in calibrations with kernels: how far their laws miss shapes left out, and measured rates beside datasheets.

python benchmarks/recipes/kernel_table.py      the Markdown of docs/calibrations.md
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from inferometer.emulator.calibrate.evaluate.calibration import Calibration
from inferometer.emulator.calibrate.evaluate.file import TUNER, calibration_names, load_calibration
from inferometer.emulator.calibrate.schema.compute_records import ComputeLaw
from inferometer.emulator.economics.pricing.accelerators import built_in_of
from inferometer.emulator.workload.kernels.executions import EXPERTS
from inferometer.emulator.workload.kernels.formats import FORMATS

KINDS = ("matmul", "attention", EXPERTS)


def kind_of(law: ComputeLaw) -> str:
    return EXPERTS if law.op == EXPERTS else law.kind


def errors(laws: Sequence[ComputeLaw]) -> str:
    """Median and 90th percentile of a kind's laws, each by its number of kernels."""
    known = [law for law in laws if law.fit.held_out.median is not None]
    if not known:
        return "–"
    points = [law.fit.n_points for law in known]
    median = np.average([law.fit.held_out.median for law in known], weights=points)
    p90 = np.average([law.fit.held_out.p90 for law in known], weights=points)
    return f"{median:.1%}, {p90:.1%} ({sum(points)})"


def held_out(calibrations: dict[str, Calibration]) -> Iterator[str]:
    yield "| calibration | engine | matmul | attention | expert layer |"
    yield "|---|---|---|---|---|"
    for name, calibration in calibrations.items():
        cells = [errors([law for law in calibration.compute_laws if kind_of(law) == kind]) for kind in KINDS]
        yield f"| {name} | {calibration.compute_laws[0].target.backend} | {' | '.join(cells)} |"


def rates(calibrations: dict[str, Calibration]) -> Iterator[str]:
    """Of matmuls, and how much of the datasheet's they are."""
    yield "| calibration | format | memory (GB/s) | of datasheet | arithmetic (TFLOP/s) | of datasheet | smallest (µs) |"
    yield "|---|---|---|---|---|---|---|"
    for name, calibration in calibrations.items():
        for law in calibration.compute_laws:
            if law.kind != "matmul" or law.op is not None or law.rates is None:
                continue
            sheet = built_in_of(law.target.device)
            found = {key: one.value or 0.0 for key, one in law.rates.items()}
            form = FORMATS[law.target.dtype]
            peak = None if sheet is None else sheet.flop_per_s.get(max(form.weight_bits, form.activation_bits))
            memory = "–" if sheet is None else f"{found['memory_gb_per_s'] * 1e9 / sheet.memory_bytes_per_s:.0%}"
            share = "–" if peak is None else f"{found['gflops'] * 1e9 / peak:.0%}"
            yield (
                f"| {name} | {law.target.dtype} | {found['memory_gb_per_s']:.0f} | {memory} | "
                f"{found['gflops'] / 1e3:.0f} | {share} | {found['smallest_us']:.1f} |"
            )


def main() -> None:
    every = {name: load_calibration(name) for name in calibration_names() if name != TUNER}
    calibrations = {name: one for name, one in every.items() if one.compute_laws}
    print("\n".join(held_out(calibrations)), end="\n\n")
    print("\n".join(rates(calibrations)))


if __name__ == "__main__":
    main()
