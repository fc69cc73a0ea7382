"""Fit the laws of computing to probes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inferometer.emulator.calibrate.computelaws import matmul_us, with_streamed
from inferometer.emulator.calibrate.computerecords import LINE, LINE_UNITS, SURFACE, ComputeLaw, ComputeTarget, knot
from inferometer.emulator.calibrate.intervals import MIN_LAUNCHES, jackknife_interval

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
Document = dict[str, Any]

#: Residuals of a line, on ln t, beyond this count linearly.
F_SCALE = 0.1
#: A term that nowhere adds this share of the time is at its bound, 0.
NOTHING = 1e-3
AXES = ("rows", "inner", "outer")
#: What the time of each kind of operation grows with, the surest first (a matmul's is a surface in rows and elements).
GROWS_WITH = {
    "attention": ("cache", "arithmetic", "activations"),
    "stream": ("activations", "streamed"),
    "between": ("activations", "streamed"),
}
#: Share of the grid's working set from which on a model's weights count as streamed from memory too.
STREAMED = 0.5
#: Different probes below which an operation gets no line of its own.
LEAST_PROBES = 4


def fit_compute(probes: pd.DataFrame) -> list[Document]:
    """ComputeLaw records of every target among probes, rows of measure.probe_table.

    None of a target whose probes do not bear a law of every kind of operation: no step could be priced by the rest.
    """
    found: list[Document] = []
    for key, rows in probes.groupby(list(ComputeTarget.model_fields), sort=True):
        target = dict(zip(ComputeTarget.model_fields, key))
        laws = list(_laws(rows))
        if {law["op"] for law in laws} == {"matmul", *GROWS_WITH}:
            found += [{"target": target, **law} for law in laws]
    return found


def _laws(rows: pd.DataFrame) -> Iterator[Document]:
    grid = rows[rows["op"] == "matmul"]
    models = rows[rows["op"] != "matmul"]
    if min(map(len, _whole_grid(_sizes_in_all_launches(grid)))) >= 2:
        streamed = models["working_set_bytes"] >= STREAMED * grid["working_set_bytes"].min()
        yield _surface(grid, models[(models["kind"] == "matmul") & streamed])
    between = models[models["kind"] == "between"]
    parts: list[tuple[Document, pd.DataFrame]] = [({"op": kind}, models[models["kind"] == kind]) for kind in GROWS_WITH]
    parts += [({"op": "between", "before": name}, led) for name, led in between.groupby("op", sort=True)]
    ways = between.groupby(["after", "op"], sort=True)
    parts += [({"op": "between", "after": after, "before": name}, way) for (after, name), way in ways]
    for about, its in parts:
        line = _line(its, GROWS_WITH[about["op"]])
        if line is not None:
            yield about | line


# -- matmuls -------------------------------------------------------------------------------------------------------------


def _surface(grid: pd.DataFrame, seen_in_models: pd.DataFrame) -> Document:
    """The medians over launches at the knots; how well they foretell the matmuls of the probed models."""
    launches = np.sort(grid["launch"].unique())
    table = grid.pivot_table(index=list(AXES), columns="launch", values="us", aggfunc="median").dropna()
    rows, inner, outer = _whole_grid(_sizes_in_all_launches(grid))
    logs = np.log(table.loc[list(product(rows, inner, outer))].to_numpy())
    centre = np.exp(np.median(logs, axis=1))
    others = None
    if len(launches) > 1:
        others = np.exp([np.median(np.delete(logs, i, axis=1), axis=1) for i in range(len(launches))])
    intervals, reason = _intervals(centre, others)
    names = [knot(*sizes) for sizes in product(rows, inner, outer)]
    parameters = {
        name: _parameter(float(value), "us", interval, reason) for name, value, interval in zip(names, centre, intervals)
    }
    width = grid["weight_bytes"].iloc[0] / (grid["inner"] * grid["outer"]).iloc[0]
    document: Document = {
        "op": "matmul",
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
    if len(seen_in_models):
        stand_in = ComputeLaw.model_validate({"target": _any_target(grid), **document})
        foretold = matmul_us(stand_in, *(seen_in_models[name].to_numpy() for name in ("rows", "inner", "outer", "matrices")))
        document["fit"]["held_out"] = _errors(foretold, seen_in_models["us"].to_numpy())
        steps = seen_in_models.assign(foretold=foretold).groupby(["probe", "launch"])[["foretold", "us"]].sum()
        document["fit"]["whole_steps"] = _errors(steps["foretold"].to_numpy(), steps["us"].to_numpy())
    return document


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
    intervals, reason = _intervals(values, without)
    return {
        name: _parameter(float(value), unit, interval, reason)
        for (name, (unit, _)), value, interval in zip(wanted.items(), values, intervals)
    }


# -- lines ---------------------------------------------------------------------------------------------------------------


def _line(rows: pd.DataFrame, grows_with: tuple[str, ...]) -> Document | None:
    """A line in the sizes named, as far as they vary, fitted to each operation's median over launches.

    None where too few probes were made in every launch.
    """
    sizes = [size for size, *_ in LINE_UNITS.values()]
    rows = rows.assign(streamed_bytes=with_streamed(rows)["streamed_bytes"])
    rows["after"] = rows["after"].fillna("")
    keys = ["op", "after", "probe", *sizes]
    table = rows.pivot_table(index=keys, columns="launch", values="us", aggfunc="median").dropna()
    if table.index.get_level_values("probe").nunique() < LEAST_PROBES:
        return None
    at = np.array([[float(value) for value in index[3:]] for index in table.index]).reshape(-1, len(sizes))
    times = table.to_numpy()
    names = _told_apart(at, grows_with)
    design = _design(at, names)
    centre = fit_line(design, np.median(times, axis=1))
    count = times.shape[1]
    others = None
    if count > 1:
        others = np.array([fit_line(design, np.median(np.delete(times, i, axis=1), axis=1)) for i in range(count)])
    intervals, reason = _intervals(centre, others)
    params = {}
    for name, (_, unit, _) in {"o": ("", "us", 1.0), **LINE_UNITS}.items():
        if name in names:
            index = names.index(name)
            params[name] = _parameter(float(centre[index]), unit, intervals[index], reason, at_bound=centre[index] == 0)
        else:
            size = LINE_UNITS[name][0]
            why = f"the probes do not tell {size} from what stands before it: what it costs is there"
            params[name] = _parameter(None, unit, None, why if name in grows_with else f"not taken to grow with {size}")
    middle = np.median(times, axis=1)
    left_out = _foretold(design, middle, table.index.get_level_values("probe"))
    known = np.isfinite(left_out)
    return {
        "form": "line",
        "equation": LINE,
        "params": params,
        "domain": {
            size: (float(values.min()), float(values.max())) for size, values in zip(sizes, at.T) if size != "streamed_bytes"
        },
        "fit": {
            "n_points": int(times.size),
            "n_launches": count,
            "medape": float(np.median(np.abs(design @ centre / middle - 1))),
            "held_out": _errors(left_out[known], middle[known]),
        },
    }


def _told_apart(at: Array, grows_with: tuple[str, ...]) -> list[str]:
    """o and those of grows_with, in their order, that the sizes at [points, sizes] tell from the ones before."""
    names = ["o"]
    for name in grows_with:
        columns = _design(at, [*names, name])
        largest = columns.max(axis=0)
        if (largest > 0).all() and np.linalg.matrix_rank(columns / largest) > len(names):
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


def _design(at: Array, names: list[str]) -> Array:
    """[points, names] in µs per unit of the parameter. at: [points, sizes] in the order of LINE_UNITS."""
    columns = {"o": np.ones(len(at))}
    columns |= {name: values * factor for (name, (_, _, factor)), values in zip(LINE_UNITS.items(), at.T)}
    return np.column_stack([columns[name] for name in names])


def _foretold(design: Array, us: Array, probes: Any) -> Array:
    """Each point's time from a fit without its probe; NaN where the rest cannot bear one."""
    found = np.full(len(us), np.nan)
    for probe in dict.fromkeys(probes):
        own = np.asarray(probes == probe)
        if (~own).sum() > design.shape[1] and np.linalg.matrix_rank(design[~own]) == design.shape[1]:
            found[own] = design[own] @ fit_line(design[~own], us[~own])
    return found


# -- both ----------------------------------------------------------------------------------------------------------------


def _intervals(values: Array, others: Array | None) -> tuple[list[tuple[float, float] | None], str | None]:
    """The 95 % intervals over launches (calibrate.intervals), or none of them and why."""
    if others is None or len(others) < MIN_LAUNCHES:
        return [None] * len(values), f"needs {MIN_LAUNCHES} launches, has {0 if others is None else len(others)}"
    intervals, _, _ = jackknife_interval(values, others, np.zeros(len(values)))
    return [(float(low), float(high)) for low, high in intervals], None


def _parameter(
    value: float | None,
    unit: str,
    interval: tuple[float, float] | None,
    reason: str | None,
    *,
    at_bound: bool = False,
) -> Document:
    document: Document = {"value": value, "unit": unit, "ci95": interval, "source": "fit"}
    if value is None:
        return document | {"status": "not_identified", "reason": reason, "ci95_reason": reason}
    if at_bound:
        return document | {
            "status": "at_bound",
            "ci95": None,
            "ci95_reason": "at its bound",
            "reason": "adds nothing anywhere",
        }
    return document | {"status": "fitted", "ci95_reason": reason, "ci95_over": None if interval is None else "launches"}


def _errors(foretold: Array, measured: Array) -> Document:
    if not len(measured):
        return {"median": None, "p90": None, "n": 0, "reason": "too few probes to leave one out"}
    errors = np.abs(foretold / measured - 1)
    return {"median": float(np.median(errors)), "p90": float(np.percentile(errors, 90)), "n": len(errors)}


def _any_target(rows: pd.DataFrame) -> Document:
    return {name: rows[name].iloc[0] for name in ComputeTarget.model_fields}
