"""Fit the surface of matmuls to a grid of them, and keep the residuals of those of models."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from inferometer.emulator.aliases import Array, Document
from inferometer.emulator.calibrate.evaluate.residuals import MatmulInModel
from inferometer.emulator.calibrate.fit.compute_parameters import intervals_of, parameter, relative_errors
from inferometer.emulator.calibrate.laws.compute import Surface
from inferometer.emulator.calibrate.schema.compute_records import SURFACE, ComputeLaw, ComputeTarget, MatmulResidual, knot
from inferometer.emulator.workload.features import MATMUL

if TYPE_CHECKING:
    import pandas as pd


AXES = ("rows", "inner", "outer")


def fit_surface(grid: pd.DataFrame, in_models: pd.DataFrame) -> Document | None:
    """The medians over launches at the knots, and the residuals of the matmuls of the probed models.

    None where fewer than two of any size were measured with all the others in every launch.
    """
    knots = _whole_grid(_sizes_in_all_launches(grid))
    if min(map(len, knots)) < 2:
        return None
    launches = np.sort(grid["launch"].unique())
    table = grid.pivot_table(index=list(AXES), columns="launch", values="us", aggfunc="median").dropna()
    rows, inner, outer = knots
    logs = np.log(table.loc[list(product(rows, inner, outer))].to_numpy())
    centre = np.exp(np.median(logs, axis=1))
    others = None
    if len(launches) > 1:
        others = np.exp([np.median(np.delete(logs, i, axis=1), axis=1) for i in range(len(launches))])
    intervals, reason = intervals_of(centre, others)
    names = [knot(*sizes) for sizes in product(rows, inner, outer)]
    parameters = {
        name: parameter(float(value), "us", interval, reason) for name, value, interval in zip(names, centre, intervals)
    }
    width = grid["weight_bytes"].iloc[0] / (grid["inner"] * grid["outer"]).iloc[0]
    document: Document = {
        "kind": "matmul",
        "form": "surface",
        "equation": SURFACE,
        "rows": rows,
        "inner": inner,
        "outer": outer,
        "params": parameters,
        "rates": _rates(rows, inner[-1] * outer[-1], centre, others, int(width)),
        "domain": {
            "rows": (rows[0], rows[-1]),
            "inner": (inner[0], inner[-1]),
            "outer": (outer[0], outer[-1]),
            "working_set_bytes": int(grid["working_set_bytes"].min()),
        },
        "fit": {
            "n_points": logs.size,
            "n_launches": len(launches),
            "medape": None,
            "held_out": {"median": None, "p90": None, "n": 0, "reason": "no model with so large a working set was probed"},
        },
    }
    if len(in_models):
        stand_in = ComputeLaw.model_validate({"target": _any_target(grid), **document})
        document["residuals"] = _residuals(stand_in, in_models)
        document["fit"] |= _held_out(stand_in, in_models)
    return document


def _residuals(surface: ComputeLaw, matmuls: pd.DataFrame) -> list[Document]:
    """MatmulResidual records: the median over launches of each matmul of each probe, over its time by the surface.

    matmuls: rows of measured ones, as samples.probe_table has them.
    """
    places = ["probe", "op", "sharded", *MATMUL]
    medians = matmuls.groupby(places, sort=True)["us"].median().reset_index()
    place, us = _placed(surface, medians)
    measured = medians["us"].to_numpy(dtype=float) / us
    rows = zip(*(np.broadcast_to(values, us.shape).tolist() for values in place.values()), measured.tolist())
    return [matmul_residual(**dict(zip((*place, "ratio"), row))) for row in rows]


def matmul_residual(inner: float, outer: float, grouped: float, sharded: float, **sizes: float) -> Document:
    """A MatmulResidual record of numbers."""
    return {"inner": int(inner), "outer": int(outer), "grouped": bool(grouped), "sharded": bool(sharded), **sizes}


def _placed(law: ComputeLaw, matmuls: pd.DataFrame) -> tuple[dict[str, Any], Array]:
    """What the residuals of matmuls depend on (Surface.place), and their times [m] by the surface in µs."""
    rows, inner, outer, matrices, routed, sharded = (matmuls[name].to_numpy(dtype=float) for name in (*MATMUL, "sharded"))
    by_surface = Surface.of(law)
    us = by_surface.matmul_us(rows, inner, outer, matrices, routed)
    return by_surface.place(rows, inner, outer, matrices, routed, sharded), us


def _held_out(surface: ComputeLaw, matmuls: pd.DataFrame) -> Document:
    """held_out and whole_steps: the matmuls of each model by the surface and the residuals of the other models.

    A model whole and sharded is one, since it has the same widths.
    """
    model = matmuls["model"]
    predicted = np.zeros(len(matmuls))
    for name in model.unique():
        rest = _residuals(surface, matmuls[model != name]) if (model != name).any() else []
        others = MatmulInModel([MatmulResidual.model_validate(one) for one in rest])
        place, us = _placed(surface, matmuls[model == name])
        predicted[model == name] = us * others.ratio(**place)
    steps = matmuls.assign(predicted=predicted).groupby(["probe", "launch"])[["predicted", "us"]].sum()
    return {
        "held_out": relative_errors(predicted, matmuls["us"].to_numpy()),
        "whole_steps": relative_errors(steps["predicted"].to_numpy(), steps["us"].to_numpy()),
    }


def _sizes_in_all_launches(grid: pd.DataFrame) -> set[tuple[int, ...]]:
    launches = grid["launch"].nunique()
    counts = grid.groupby(list(AXES))["launch"].nunique()
    return {tuple(int(size) for size in sizes) for sizes, count in counts.items() if count == launches}


def _whole_grid(sizes: set[tuple[int, ...]]) -> list[list[int]]:
    """Rows, inner, outer that were measured with each other throughout: what lacks a partner is left out.

    Of the inner dimensions those count that met every outer one, then the rows that met all of both.
    """
    outers = sorted({outer for _, _, outer in sizes})
    inners = sorted({i for _, i, _ in sizes if {o for _, at, o in sizes if at == i} == set(outers)})
    wanted = {(inner, outer) for inner in inners for outer in outers}
    rows = sorted({r for r, _, _ in sizes if wanted <= {size[1:] for size in sizes if size[0] == r}})
    return [rows, inners, outers]


def _rates(rows: list[int], largest: int, centre: Array, others: Array | None, width: int) -> Document:
    """Dispatch, memory bandwidth, FLOP/s of skinny and of fat matmuls, with their intervals. largest: elements."""
    shape = (len(rows), -1)
    skinny = min(range(len(rows)), key=lambda i: abs(rows[i] - 8))
    wanted: dict[str, tuple[str, Callable[[Array], float]]] = {
        "smallest_us": ("us", lambda t: float(t[0, 0])),
        "memory_gb_per_s": ("GB/s", lambda t: largest * width / t[0, -1] / 1e3),
        f"gflops_at_{rows[skinny]}_rows": ("GFLOP/s", lambda t: 2 * rows[skinny] * largest / t[skinny, -1] / 1e3),
        "gflops": ("GFLOP/s", lambda t: float(np.max([2 * r * largest / t[i, -1] / 1e3 for i, r in enumerate(rows)]))),
    }
    values = np.array([of(centre.reshape(shape)) for _, of in wanted.values()])
    without = None
    if others is not None:
        without = np.array([[of(other.reshape(shape)) for _, of in wanted.values()] for other in others])
    intervals, reason = intervals_of(values, without)
    return {
        name: parameter(float(value), unit, interval, reason)
        for (name, (unit, _)), value, interval in zip(wanted.items(), values, intervals)
    }


def _any_target(rows: pd.DataFrame) -> Document:
    return {name: rows[name].iloc[0] for name in ComputeTarget.model_fields}
