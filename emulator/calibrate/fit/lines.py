"""Fit lines in the sizes of operations: attention, passes over activations, glue between operations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from inferometer.emulator.aliases import Array, Document
from inferometer.emulator.calibrate.evaluate.residuals import SizesInModel
from inferometer.emulator.calibrate.fit.compute_parameters import intervals_of, parameter, relative_errors
from inferometer.emulator.calibrate.laws.compute import line_columns
from inferometer.emulator.calibrate.schema.compute_records import (
    LINE,
    LINE_UNITS,
    RESIDUAL_SIZES,
    ComputeDomain,
    SizesResidual,
)
from inferometer.emulator.measure.method import LEAST_PROBES

if TYPE_CHECKING:
    import pandas as pd


#: Residuals of a line, on ln t, beyond this count linearly.
F_SCALE = 0.1
#: A term that nowhere adds this share of the time is at its bound, 0.
NOTHING = 1e-3


def operation_line(rows: pd.DataFrame, grows_with: tuple[str, ...], *, near: bool) -> Document | None:
    """A line in the sizes named, as far as they vary, fitted to each operation's median over launches.

    near: keep the residuals of the operations, for sizes near them. None where too few probes were made in every launch.
    """
    keys = ["op", "predecessors", "probe", *RESIDUAL_SIZES]
    rows = rows.assign(predecessors=rows["predecessors"].fillna(""))
    table = rows.pivot_table(index=keys, columns="launch", values="us", aggfunc="median").dropna()
    if table.index.get_level_values("probe").nunique() < LEAST_PROBES:
        return None
    at = np.array([[float(value) for value in index[3:]] for index in table.index]).reshape(-1, len(RESIDUAL_SIZES))
    times = table.to_numpy()
    columns = line_columns(dict(zip(RESIDUAL_SIZES, at.T)))
    names = _independent(columns, grows_with)
    design = np.column_stack([columns[name] for name in names])
    centre = fit_line(design, np.median(times, axis=1))
    count = times.shape[1]
    others = None
    if count > 1:
        others = np.array([fit_line(design, np.median(np.delete(times, i, axis=1), axis=1)) for i in range(count)])
    intervals, reason = intervals_of(centre, others)
    params = {}
    for name, (_, unit, _) in {"o": ("", "us", 1.0), **LINE_UNITS}.items():
        if name in names:
            index = names.index(name)
            params[name] = parameter(float(centre[index]), unit, intervals[index], reason, at_bound=centre[index] == 0)
        else:
            size = LINE_UNITS[name][0]
            why = f"the probes do not separate {size} from the terms before it, which contain its cost"
            params[name] = parameter(None, unit, None, why if name in grows_with else f"not taken to grow with {size}")
    middle = np.median(times, axis=1)
    own = at if near else None
    left_out = _left_out(design, middle, table.index.get_level_values("probe"), own)
    known = np.isfinite(left_out)
    return {
        "form": "line",
        "equation": LINE,
        "params": params,
        "residuals": None if own is None else _residuals(own, middle / (design @ centre)),
        "domain": {
            size: (float(values.min()), float(values.max()))
            for size, values in zip(RESIDUAL_SIZES, at.T)
            if size in ComputeDomain.model_fields
        },
        "fit": {
            "n_points": int(times.size),
            "n_launches": count,
            "medape": float(np.median(np.abs(design @ centre / middle - 1))),
            "held_out": relative_errors(left_out[known], middle[known]),
        },
    }


def _independent(columns: Mapping[str, Array], grows_with: tuple[str, ...]) -> list[str]:
    """o and those of grows_with, in their order, whose columns [points] are independent of the ones before."""
    names = ["o"]
    for name in grows_with:
        design = np.column_stack([columns[one] for one in (*names, name)])
        largest = design.max(axis=0)
        if (largest > 0).all() and np.linalg.matrix_rank(design / largest) > len(names):
            names.append(name)
    return names


def fit_line(design: Array, us: Array) -> Array:
    """Parameters ≥ 0 that minimise the soft-L1 of ln(design·x/us). design [m, k] in µs per unit, us [m] > 0.

    Logarithms, since relative errors of scattered times would be least for a line that runs below them.
    """
    from scipy.optimize import least_squares, nnls

    unit = np.median(us) / np.maximum(design.max(axis=0), 1e-300)  # 1 explains a typical time
    part = design * unit
    start, _ = nnls(part / us[:, None], np.ones(len(us)))
    options = {"loss": "soft_l1", "f_scale": F_SCALE, "ftol": 1e-10, "xtol": 1e-10, "gtol": 1e-10}
    x = least_squares(
        lambda x: np.log(np.maximum(part @ x, 1e-12) / us),
        np.maximum(start, 1e-3),
        jac=lambda x: part / np.maximum(part @ x, 1e-12)[:, None],
        bounds=(0.0, np.inf),
        **options,
    ).x
    value = np.where((part * x / us[:, None]).max(axis=0) < NOTHING, 0.0, x)
    return np.asarray(value * unit)


def _residuals(at: Array, ratios: Array) -> list[Document]:
    """SizesResidual records, one of each sizes. at [points, RESIDUAL_SIZES]"""
    alike, of_point = np.unique(at, axis=0, return_inverse=True)
    medians = [float(np.median(ratios[of_point.ravel() == index])) for index in range(len(alike))]
    return [dict(zip(RESIDUAL_SIZES, map(float, sizes))) | {"ratio": ratio} for sizes, ratio in zip(alike, medians)]


def _left_out(design: Array, us: Array, probes: Any, sizes: Array | None) -> Array:
    """Each point's time from a fit without its probe; NaN where the rest cannot bear one.

    sizes [points, RESIDUAL_SIZES]: the residuals of the rest count too.
    """
    found = np.full(len(us), np.nan)
    for probe in dict.fromkeys(probes):
        own = np.asarray(probes == probe)
        if (~own).sum() > design.shape[1] and np.linalg.matrix_rank(design[~own]) == design.shape[1]:
            line = fit_line(design[~own], us[~own])
            found[own] = design[own] @ line
            if sizes is not None:
                rest = _residuals(sizes[~own], us[~own] / (design[~own] @ line))
                found[own] *= SizesInModel([SizesResidual.model_validate(one) for one in rest]).ratio(
                    **dict(zip(RESIDUAL_SIZES, sizes[own].T))
                )
    return found
