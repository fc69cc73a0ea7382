"""Decode and prefill steps of one GPU, predicted from its kernel times alone, beside the measured ones.

python benchmarks/gpu_steps.py [TABLE.json]      the Markdown of docs/validation.md

TABLE.json holds kernel times and measured whole steps (decode_step_us, prefill_step_us); nothing is fitted to the steps. A
step of tp ranks is one rank's share without collectives.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from inferometer.emulator.calibrate.evaluate.calibration import Calibration
from inferometer.emulator.calibrate.fit.from_samples import fit
from inferometer.emulator.economics.pricing.calibrated_processor import CalibrationProcessor
from inferometer.emulator.economics.pricing.itemised import Itemised
from inferometer.emulator.economics.pricing.terms import larger
from inferometer.emulator.importers.imports import import_files
from inferometer.emulator.workload.build import build
from inferometer.emulator.workload.catalogue import load_shape
from inferometer.emulator.workload.layout import Layout
from inferometer.emulator.workload.precision import Precision
from inferometer.emulator.workload.step import Step

TABLE = Path(__file__).parents[1].parent / "shared" / "data" / "gpu" / "h200" / "kernels_and_steps.json"
#: Median and worst error allowed, by kind of step.
BOUNDS = {"decode, graph": (0.04, 0.08), "decode, eager": (0.08, None), "prefill, eager": (0.06, None)}


class Row(NamedTuple):
    """One measured step, µs."""

    kind: str
    name: str
    measured_us: float
    predicted_us: float

    @property
    def error(self) -> float:
        return self.predicted_us / self.measured_us - 1


def calibration_of(table: Path) -> Calibration:
    """What `import kernels` and `fit` make of the table."""
    with tempfile.TemporaryDirectory() as folder:
        samples = Path(folder) / "kernels.samples.jsonl"
        import_files("kernels", [table]).write(samples)
        return fit([samples])


def step_us(calibration: Calibration, model: str, step: Step, mode: str, tp: int = 1) -> float:
    """One rank's computing in a step, collectives left out. Some steps were timed beyond the model's longest context."""
    program = build(replace(load_shape(model), max_context=None), Layout(tp=tp), step, precision=Precision(16, 16, 16))
    processor = CalibrationProcessor(calibration, {"launch_mode": mode})
    bill = Itemised(program, 1)
    times = processor.times(bill.calls, program.precision)
    device_s = host_s = 0.0
    for run in bill.runs[bill.keys[0]]:
        for entry in run.entries:
            if not entry.collective:
                device_s += float(run.repeat * times[entry.index].terms.total_s)
                host_s += float(run.repeat * times[entry.index].host_s)
    return float(larger(device_s, host_s)) * 1e6


def rows(calibration: Calibration, table: dict[str, Any]) -> Iterator[Row]:
    for one in table.get("decode_step_us", []):
        step, tp = Step.decode(one["batch"], one["context"]), one.get("tp", 1)
        name = f"{one['model']}{f' tp {tp}' if tp > 1 else ''}, batch {one['batch']}, context {one['context']}"
        for mode in ("graph", "eager"):
            if f"{mode}_us" in one:
                yield Row(f"decode, {mode}", name, one[f"{mode}_us"], step_us(calibration, one["model"], step, mode, tp))
    for one in table.get("prefill_step_us", []):
        step, tp = Step.prefill(one["batch"], one["prompt"]), one.get("tp", 1)
        name = f"{one['model']}{f' tp {tp}' if tp > 1 else ''}, {one['batch']} × prompt {one['prompt']}"
        for mode in ("graph", "eager"):
            if f"{mode}_us" in one:
                yield Row(f"prefill, {mode}", name, one[f"{mode}_us"], step_us(calibration, one["model"], step, mode, tp))


def laws_table(calibration: Calibration) -> Iterator[str]:
    yield "| law | points | in sample, median | held out, median | held out, 90th |"
    yield "|---|---|---|---|---|"
    for law in calibration.compute_laws:
        if law.target.launch_mode == "graph" and law.kind != "null":
            held, own = law.fit.held_out, law.fit.medape
            cells = ["–" if value is None else f"{value:.1%}" for value in (own, held.median, held.p90)]
            yield f"| {law.kind}{f' {law.op}' if law.op else ''} | {law.fit.n_points} | {' | '.join(cells)} |"


def main(path: Path) -> int:
    """Print the tables; 1 where an error is beyond its bound."""
    table = json.loads(path.read_text())
    calibration = calibration_of(path)
    print(f"{table.get('gpu')}, torch {table.get('torch')}, measured {table.get('measured')}\n")
    print("\n".join(laws_table(calibration)))
    found = list(rows(calibration, table))
    print("\n| step | | measured (ms) | predicted (ms) | error |\n|---|---|---|---|---|")
    for row in found:
        print(f"| {row.kind} | {row.name} | {row.measured_us / 1e3:.2f} | {row.predicted_us / 1e3:.2f} | {row.error:+.1%} |")
    print("\n| steps | number | median error | largest | allowed |\n|---|---|---|---|---|")
    broken = 0
    for kind in dict.fromkeys(row.kind for row in found):
        errors = np.abs([row.error for row in found if row.kind == kind])
        median, worst = BOUNDS.get(kind, (None, None))
        allowed = ", ".join(f"{bound:.0%}" for bound in (median, worst) if bound is not None) or "–"
        missed = (median is not None and np.median(errors) > median) or (worst is not None and errors.max() > worst)
        broken += missed
        print(
            f"| {kind} | {len(errors)} | {np.median(errors):.1%} | {errors.max():.1%} | {allowed}"
            f"{' (missed)' if missed else ''} |"
        )
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else TABLE))
