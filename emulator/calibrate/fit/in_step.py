"""Fit in-step laws: what a collective takes after computing, beyond what it takes isolated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inferometer.emulator.aliases import Array, Document
from inferometer.emulator.calibrate.evaluate.in_step_residuals import departure_of, in_models, place_of
from inferometer.emulator.calibrate.evaluate.predict import predict_us
from inferometer.emulator.calibrate.fit.cell_summary import summarise_cells
from inferometer.emulator.calibrate.fit.intervals import MIN_LAUNCHES, jackknife_interval
from inferometer.emulator.calibrate.laws.in_step import columns_us
from inferometer.emulator.calibrate.schema.in_step_records import EQUATION, UNITS, InStepResidual
from inferometer.emulator.calibrate.schema.keys import KEY_FIELDS, Key, flags_of, keys_of, plain, rows_of_key, usable_rows
from inferometer.emulator.calibrate.schema.network_records import NetworkLaw

if TYPE_CHECKING:
    import pandas as pd

Index = NDArray[np.int64]

IN_STEP = "in_step"
#: Residuals beyond this count less and less. Wider than for isolated laws: launches of a step differ by 10 to 20 %, and a
#: narrower scale would follow the middle launch, of which no interval over a few launches holds.
F_SCALE = 0.2
#: Each loss starts where the one before ended. The last forgets what is far off: ranks that shared a core for a while, since
#: something else held the other one, take several times as long, in whole cells or launches.
LOSSES = ("soft_l1", "cauchy")
#: A term that nowhere adds this share of the step's time is at its bound, 0.
NOTHING = 1e-3


@dataclass(frozen=True)
class StepPoints:
    """n bytes; asked_us and compute_gap_us: the compute gap in µs, as requested and as it was; launch; us: the time in_step;
    isolated_us: the isolated time. from_law: that was not measured in the same launch. All [m].
    """

    n: Array
    asked_us: Array
    compute_gap_us: Array
    launch: Index
    us: Array
    isolated_us: Array
    from_law: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.us)

    def take(self, mask: NDArray[np.bool_]) -> StepPoints:
        """The points where mask [m] holds."""
        return StepPoints(**{name: values[mask] for name, values in vars(self).items()})

    @property
    def cells(self) -> Array:
        """The distinct (n, asked_us) [cells, 2]."""
        return np.unique(np.column_stack([self.n, self.asked_us]), axis=0)

    def of_cell(self, cell: Array) -> NDArray[np.bool_]:
        return (self.n == cell[0]) & (self.asked_us == cell[1])


def fit_in_step(
    cells: pd.DataFrame, models: Sequence[Document], steps: pd.DataFrame | None = None
) -> tuple[list[Document], list[Document]]:
    """InStepLaw records of every key and (ranks, nodes) that was timed in_step, and NotFitted records of the keys without.

    cells: the rows of `calibrate`, with requested_compute_gap_us and compute_gap_us for those timed in_step. models: the
    fitted network laws; an isolated one replaces an isolated time that was not measured in the launch of an in_step one.
    steps: as of in_step_residuals.in_models.
    """
    found, refused = [], []
    for key in keys_of(cells[cells["timing"] == IN_STEP]):
        rows, excluded = usable_rows(rows_of_key(cells, key))
        isolated, _ = usable_rows(rows_of_key(cells, key | {"timing": "isolated"}))
        for place, here in rows.groupby(["ranks", "nodes"]):
            ranks, nodes = (int(value) for value in place)
            law = isolated_law(models, key, ranks)
            there = isolated[(isolated["ranks"] == ranks) & (isolated["nodes"] == nodes)]
            points = step_points(here, there, ranks, nodes, law)
            if len(points):
                found.append(_record(key, ranks, nodes, points, here, excluded, law, in_models(steps, key, ranks, nodes)))
        if not any(record["target"] == key for record in found):
            reason = "no usable rows" if rows.empty else "neither isolated times nor an isolated law to compare with"
            refused.append({"target": key, "reason": reason, "n_excluded": excluded})
    return found, refused


def isolated_law(models: Sequence[Document], key: Key, ranks: int) -> Document | None:
    """The law of the same collective, isolated; where ranks outnumber cores, that of this rank count."""
    of_key = [law for law in models if law["target"] == key | {"timing": "isolated"}]
    return next((law for law in of_key if not key["oversubscribed"] or ranks in law["domain"]["ranks"]), None)


def step_points(rows: pd.DataFrame, isolated: pd.DataFrame, ranks: int, nodes: int, law: Document | None) -> StepPoints:
    """Each in_step row beside the isolated time of the same bytes and launch, or else of the law; without either, none."""
    measured = {(int(n), int(launch)): float(us) for n, launch, us in isolated[["bytes", "launch", "us"]].to_numpy()}
    model = None if law is None else NetworkLaw.model_validate(law)
    kept: list[tuple[float, ...]] = []
    for n, launch, us, asked, gap_us in rows[
        ["bytes", "launch", "us", "requested_compute_gap_us", "compute_gap_us"]
    ].to_numpy(float):
        known = measured.get((int(n), int(launch)))
        alone = known if known is not None or model is None else float(predict_us(model, n, ranks, nodes))
        if alone is not None and np.isfinite(alone):
            kept.append((n, asked, gap_us, launch, us, alone, known is None))
    n_, asked_us, compute_gap_us, launches, us_, isolated_us, from_law = np.array(kept, dtype=float).reshape(-1, 7).T
    return StepPoints(n_, asked_us, compute_gap_us, launches.astype(np.int64), us_, isolated_us, from_law.astype(bool))


def identified(points: StepPoints) -> tuple[str, ...]:
    """The parameters that the design determines. s0 always is: it holds what the others add where they do not vary."""
    design = _design(points.cells[:, 0], points.cells[:, 1], tuple(UNITS))
    whole = np.linalg.matrix_rank(design)
    independent = [name for j, name in enumerate(UNITS) if np.linalg.matrix_rank(np.delete(design, j, axis=1)) < whole]
    return tuple(name for name in UNITS if name == "s0" or name in independent)


def fit_overhead(points: StepPoints, names: tuple[str, ...]) -> Array:
    """The parameters [k] ≥ 0, in their units: least squares of ln((isolated + s)/in_step), robust (LOSSES)."""
    from scipy.optimize import least_squares

    design = _design(points.n, points.compute_gap_us, names)
    typical = float(np.median(points.us))
    unit = typical / design.max(axis=0)  # in units in which 1 explains a whole cell
    value, free = np.zeros(len(names)), np.ones(len(names), dtype=bool)
    while free.any():
        part = design[:, free] * unit[free]

        def residual(x: Array, part: Array = part) -> Array:
            return np.asarray(np.log((points.isolated_us + part @ x) / points.us))

        def slopes(x: Array, part: Array = part) -> Array:
            return np.asarray(part / (points.isolated_us + part @ x)[:, None])

        x = np.full(free.sum(), 0.1)
        for loss in LOSSES:
            start = np.maximum(x, NOTHING)
            x = least_squares(residual, start, slopes, bounds=(0.0, np.inf), loss=loss, f_scale=F_SCALE).x
        value = np.zeros(len(names))
        value[free] = x * unit[free]
        if (x > NOTHING).all():
            break
        value[free] = np.where(x > NOTHING, value[free], 0.0)
        free[free] = x > NOTHING
    return value


def predicted_us(points: StepPoints, names: tuple[str, ...], value: Array) -> Array:
    """isolated + s [m] in µs."""
    return np.asarray(points.isolated_us + _design(points.n, points.compute_gap_us, names) @ value)


def _design(n: Array, compute_gap_us: Array, names: tuple[str, ...]) -> Array:
    """µs per unit of each parameter [m, k]."""
    columns = columns_us(n, compute_gap_us)
    return np.column_stack([columns[name] for name in names])


def _record(
    key: Key, ranks: int, nodes: int, points: StepPoints, rows: pd.DataFrame, excluded: Document, law: Document | None,
    steps: pd.DataFrame,
) -> Document:  # fmt: skip
    names = identified(points)
    value = fit_overhead(points, names)
    errors = np.abs(predicted_us(points, names, value) / points.us - 1)
    sizes, compute_gap_us = [*points.n, *steps["bytes"]], [*points.compute_gap_us, *steps["compute_gap_us"]]
    return {
        "target": {name: key[name] for name in KEY_FIELDS},
        "ranks": ranks,
        "nodes": nodes,
        "equation": EQUATION,
        "params": _parameters(points, names, value),
        "domain": {
            "bytes": (int(min(sizes)), int(max(sizes))),
            "compute_gap_us": (float(min(compute_gap_us)), float(max(compute_gap_us))),
        },
        "fit": {
            "residual": "log",
            "loss": LOSSES[-1],
            "f_scale": F_SCALE,
            "n_points": len(points),
            "n_cells": len(points.cells),
            "n_isolated_from_law": int(points.from_law.sum()),
            "n_excluded": excluded,
            "medape": float(np.median(errors)),
            "p90ape": float(np.quantile(errors, 0.9)),
            "held_out": _held_out(points, names),
        },
        "flags": sorted({flag for flags in rows["flags"] for flag in flags_of(flags)}),
        "residuals": None
        if law is None
        else _residuals(points, steps, ranks, nodes, NetworkLaw.model_validate(law), names, value),
        "cells": step_cells(rows, points),
    }


def _residuals(
    points: StepPoints, steps: pd.DataFrame, ranks: int, nodes: int, law: NetworkLaw, names: tuple[str, ...], value: Array
) -> list[Document]:
    """InStepResidual records of cells and models' collectives, against the isolated law, which is what prices have."""

    def law_us(n: Array, compute_gap_us: Array) -> Array:
        return np.asarray(predict_us(law, n, ranks, nodes) + _design(n, compute_gap_us, names) @ value)

    found = _ratios(points, law_us(points.n, points.compute_gap_us))
    n, compute_gap_us, us = steps[["bytes", "compute_gap_us", "us"]].to_numpy(float).T
    for size, gap_us, ratio in zip(n.tolist(), compute_gap_us.tolist(), (us / law_us(n, compute_gap_us)).tolist()):
        if np.isfinite(ratio) and ratio > 0:
            found.append({"bytes": size, "compute_gap_us": gap_us, "ratio": ratio, "in_model": True})
    return found


def _ratios(points: StepPoints, predicted: Array) -> list[Document]:
    """InStepResidual records: the median over launches of each cell's time over the predicted one [m], in µs."""
    found = []
    for cell in points.cells:
        here = points.of_cell(cell)
        ratio, compute_gap_us = (
            float(np.median(values)) for values in ((points.us / predicted)[here], points.compute_gap_us[here])
        )
        if np.isfinite(ratio) and ratio > 0:
            found.append({"bytes": int(cell[0]), "compute_gap_us": compute_gap_us, "ratio": ratio})
    return found


def _parameters(points: StepPoints, names: tuple[str, ...], value: Array) -> Document:
    intervals, missing = _intervals(points, names, value)
    records: Document = {}
    for name, (unit, _) in UNITS.items():
        record: Document = {"value": None, "unit": unit, "ci95": None, "ci95_reason": missing, "source": "fit"}
        if name not in names:
            record |= {"status": "not_identified", "reason": _why_not(name, points), "ci95_reason": "not identified"}
        else:
            at = names.index(name)
            record |= {"value": float(value[at]), "status": "fitted" if value[at] > 0 else "at_bound"}
            low, high = (None, None) if intervals is None else (float(end) for end in intervals[at])
            if value[at] == 0:
                reach = "" if high is None else f"; refits reach {high:.4g}"
                record |= {"reason": "the fit puts it at its bound, 0", "ci95_reason": missing or f"at its bound{reach}"}
            elif intervals is not None:
                record |= {"ci95": (low, high), "ci95_over": "launches"}
        records[name] = record
    return records


def _intervals(points: StepPoints, names: tuple[str, ...], value: Array) -> tuple[Array | None, str | None]:
    """95 % intervals [k, 2] by leaving out one launch at a time, or why there are none."""
    launches = np.unique(points.launch)
    if len(launches) < MIN_LAUNCHES:
        return None, f"needs {MIN_LAUNCHES} launches, has {len(launches)}"
    rests = [points.take(points.launch != launch) for launch in launches]
    if any(identified(rest) != names for rest in rests):
        return None, "with one launch left out, the remaining cells determine less"
    others = np.array([fit_overhead(rest, names) for rest in rests])
    return jackknife_interval(value, others, np.zeros(len(names)))[0], None


def _why_not(name: str, points: StepPoints) -> str:
    what, values, unit = {"u": ("compute gap", points.asked_us, "us"), "v": ("size", points.n, "bytes")}[name]
    if len(distinct := np.unique(values)) == 1:
        return f"one {what} only ({distinct[0]:g} {unit}): s0 holds what it adds there"
    return "sizes and compute gaps were not varied independently"


def _held_out(points: StepPoints, names: tuple[str, ...]) -> Document:
    """A HeldOutError record: each cell predicted from the others."""
    errors = []
    for cell in points.cells:
        held = points.of_cell(cell)
        rest, out = points.take(~held), points.take(held)
        if len(rest) and identified(rest) == names:
            value = fit_overhead(rest, names)
            near = departure_of(
                [InStepResidual.model_validate(one) for one in _ratios(rest, predicted_us(rest, names, value))]
            )
            predicted = predicted_us(out, names, value) * near.ratio(place_of(out.n, out.compute_gap_us, False))
            errors += list(np.abs(predicted / out.us - 1))
    if not errors:
        return {"median": None, "p90": None, "n": 0, "reason": "without any one cell the others determine less"}
    return {"median": float(np.median(errors)), "p90": float(np.quantile(errors, 0.9)), "n": len(errors)}


def step_cells(rows: pd.DataFrame, points: StepPoints) -> list[Document]:
    """StepCell records of the rows of one key, ranks and nodes."""
    records = []
    for asked, some in rows.groupby("requested_compute_gap_us"):
        for cell in summarise_cells(some):
            mine = some[some["bytes"] == cell["bytes"]].sort_values("launch")
            alone = points.take(points.of_cell(np.array([cell["bytes"], asked])) & ~points.from_law)
            known = dict(zip(alone.launch.tolist(), alone.isolated_us.tolist()))
            records.append(
                cell
                | {"requested_compute_gap_us": float(asked), "compute_gap_us": float(mine["compute_gap_us"].median())}
                | {"isolated_medians": [known.get(int(plain(launch))) for launch in mine["launch"]]}
            )
    return records
