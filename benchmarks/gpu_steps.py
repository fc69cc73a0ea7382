"""Decode and prefill steps of one GPU, predicted from its kernel times alone, beside the measured ones.

python benchmarks/gpu_steps.py [POINTS.json …] [--kernels TABLE.json]      the Markdown of docs/validation.md

POINTS.json holds measured whole steps in lists of objects: decode_step_us with model, batch and context, prefill_step_us
with model, batch and prompt; graph_us, eager_us or both; tp where it is one rank's share of so many (collectives left out),
layers where it is a part of the model. TABLE.json holds kernel times: without one those of POINTS.json, or the shared table.
Nothing is fitted to the steps. Exit status 1 where a bound is missed, 2 with one line for a file that is none of these.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from inferometer.emulator.calibrate.evaluate.calibration import Calibration
from inferometer.emulator.calibrate.fit.from_samples import fit
from inferometer.emulator.economics.pricing.calibrated_processor import CalibrationProcessor
from inferometer.emulator.economics.pricing.itemised import Itemised
from inferometer.emulator.economics.pricing.terms import larger
from inferometer.emulator.errors import InputError
from inferometer.emulator.importers.imports import import_files
from inferometer.emulator.importers.kernels.summary import is_summary
from inferometer.emulator.importers.tables import count, number
from inferometer.emulator.workload.build import build
from inferometer.emulator.workload.catalogue import load_shape
from inferometer.emulator.workload.layout import Layout
from inferometer.emulator.workload.precision import Precision
from inferometer.emulator.workload.program import Program
from inferometer.emulator.workload.scaled import scaled
from inferometer.emulator.workload.shape import Shape
from inferometer.emulator.workload.step import Step

TABLE = Path(__file__).parents[1].parent / "shared" / "data" / "gpu" / "h200" / "kernels_and_steps.json"
#: Median and worst error allowed, by kind of step.
BOUNDS = {"decode, graph": (0.04, 0.08), "decode, eager": (0.08, None), "prefill, eager": (0.06, None)}


#: By list of a file: the phase, and the column of the tokens of a sequence.
LISTS = {"decode_step_us": ("decode", "context"), "prefill_step_us": ("prefill", "prompt")}
MODES = ("graph", "eager")


class Point(NamedTuple):
    """One measured step of one rank: shape as far as it ran, tokens of a sequence in the cache or the prompt."""

    phase: str
    shape: Shape
    batch: int
    tokens: int
    tp: int
    us: dict[str, float]
    """By launch mode."""

    @property
    def name(self) -> str:
        model = f"{self.shape.name}{f' tp {self.tp}' if self.tp > 1 else ''}"
        if self.phase == "decode":
            return f"{model}, batch {self.batch}, context {self.tokens}"
        return f"{model}, {self.batch} × prompt {self.tokens}"

    @property
    def step(self) -> Step:
        return (Step.decode if self.phase == "decode" else Step.prefill)(self.batch, self.tokens)


class Row(NamedTuple):
    """One measured step in one launch mode, µs."""

    kind: str
    name: str
    measured_us: float
    predicted_us: float

    @property
    def error(self) -> float:
        return self.predicted_us / self.measured_us - 1


def document_of(path: Path) -> dict[str, Any]:
    """Raises InputError for what is no JSON object."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {str(error)[:100]}") from None
    if not isinstance(found, dict):
        raise InputError(f"{path}: a file of steps is a JSON object with {' or '.join(LISTS)}")
    return found


def points_of(document: dict[str, Any], where: str) -> list[Point]:
    """The measured steps of a file. Raises InputError, naming list, place and column, for what is missing or not known."""
    found = []
    for name, (phase, tokens) in LISTS.items():
        listed = document.get(name, [])
        if not isinstance(listed, list):
            raise InputError(f"{where}: {name} is no list of steps")
        found += [_point(one, phase, tokens, f"{where}: {name}[{place}]") for place, one in enumerate(listed)]
    if not found:
        raise InputError(f"{where}: no steps: it needs {' or '.join(LISTS)}")
    return found


def _point(one: Any, phase: str, tokens: str, where: str) -> Point:
    needed = ("model", "batch", tokens)
    known = (*needed, "tp", "layers", *(f"{mode}_us" for mode in MODES))
    if not isinstance(one, dict):
        raise InputError(f"{where}: a step is an object with {', '.join(known)}")
    if missing := [column for column in needed if one.get(column) is None]:
        raise InputError(f"{where}: no {missing[0]}; a step has {', '.join(known)}")
    if unknown := [column for column in one if column not in known]:
        raise InputError(f"{where}: {unknown[0]} is not known; a step has {', '.join(known)}")
    us = {mode: number(one[f"{mode}_us"], where, f"{mode}_us") for mode in MODES if one.get(f"{mode}_us") is not None}
    if not us or not all(us.values()):
        raise InputError(f"{where}: no {' and no '.join(f'{mode}_us' for mode in MODES)} above 0")
    batch, length, tp = (count(one.get(name, 1), where, name) for name in ("batch", tokens, "tp"))
    layers = None if one.get("layers") is None else count(one["layers"], where, "layers")
    try:
        shape = scaled(load_shape(str(one["model"])), 1.0, layers).shape
        made = Point(phase, shape, batch, length, tp, {mode: float(value or 0) for mode, value in us.items()})
        _program(made)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    return made


def calibration_of(table: Path) -> Calibration:
    """What `import kernels` and `fit` make of the table."""
    with tempfile.TemporaryDirectory() as folder:
        samples = Path(folder) / "kernels.samples.jsonl"
        import_files("kernels", [table]).write(samples)
        return fit([samples])


def _program(point: Point) -> Program:
    """Some steps were timed beyond the model's longest context."""
    shape = replace(point.shape, max_context=None)
    return build(shape, Layout(tp=point.tp), point.step, precision=Precision(16, 16, 16))


def step_us(calibration: Calibration, point: Point, mode: str) -> float:
    """One rank's computing in a step, collectives left out."""
    program = _program(point)
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


def rows(calibration: Calibration, points: Sequence[Point]) -> list[Row]:
    return [
        Row(f"{point.phase}, {mode}", point.name, us, step_us(calibration, point, mode))
        for point in points
        for mode, us in point.us.items()
    ]


def laws_table(calibration: Calibration) -> Iterator[str]:
    yield "| law | points | in sample, median | held out, median | held out, 90th |"
    yield "|---|---|---|---|---|"
    for law in calibration.compute_laws:
        if law.target.launch_mode == "graph" and law.kind != "null":
            held, own = law.fit.held_out, law.fit.medape
            cells = ["–" if value is None else f"{value:.1%}" for value in (own, held.median, held.p90)]
            yield f"| {law.kind}{f' {law.op}' if law.op else ''} | {law.fit.n_points} | {' | '.join(cells)} |"


def main(files: Sequence[Path] = (), kernels: Path | None = None) -> int:
    """Print the tables; 1 where an error is beyond its bound. Raises InputError for a file that is none."""
    files = files or [TABLE]
    documents = {path: document_of(path) for path in files}
    points = [point for path, document in documents.items() for point in points_of(document, str(path))]
    own = [path for path, document in documents.items() if is_summary(document)]
    table = kernels or (own[0] if own else TABLE)
    calibration = calibration_of(table)
    about = documents.get(table) or json.loads(table.read_text(encoding="utf-8"))
    if isinstance(about, dict):
        print(f"{about.get('gpu')}, torch {about.get('torch')}, measured {about.get('measured')}\n")
    print("\n".join(laws_table(calibration)))
    found = rows(calibration, points)
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
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("points", nargs="*", type=Path, metavar="POINTS.json")
    parser.add_argument("--kernels", type=Path, metavar="TABLE.json", help="kernel times, where POINTS.json has none")
    asked = parser.parse_args()
    try:
        sys.exit(main(asked.points, asked.kernels))
    except InputError as error:
        print(f"gpu_steps.py: {error}", file=sys.stderr)
        sys.exit(2)
