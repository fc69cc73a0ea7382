"""Fit the laws of a device's kernels: matmuls, attention, passes over activations, the launch floor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inferometer.emulator.aliases import Array, Document
from inferometer.emulator.calibrate.fit.compute_parameters import intervals_of, parameter, relative_errors
from inferometer.emulator.calibrate.fit.kernels.corrections import (
    CANDIDATES,
    FINER,
    FINER_BEYOND,
    Designs,
    bearable,
    fit_corrections,
    words,
)
from inferometer.emulator.calibrate.fit.robust import F_SCALE, LOSS
from inferometer.emulator.calibrate.laws import kernels as laws
from inferometer.emulator.calibrate.laws.corrections import ReadyCorrection, factor
from inferometer.emulator.calibrate.schema.compute_records import ComputeTarget, Correction, KernelFormula
from inferometer.emulator.workload.kernels.executions import EXPERTS
from inferometer.emulator.workload.kernels.formats import FORMATS

if TYPE_CHECKING:
    import pandas as pd

FOLDS = 3
SIZES = (
    "rows", "inner", "outer", "matrices", "flop", "weight_bytes", "activation_bytes", "kv_bytes", "context",
)  # fmt: skip
SHAPES = {
    "matmul": ["inner", "outer", "matrices"],
    "attention": ["kv_bytes", "context", "flop"],
    "stream": ["activation_bytes"],
}
"""What makes two kernels of a kind the same shape: every third of these is left out in turn."""
START = {"o": 4.0, "l": 0.5, "B": 3000.0, "F": 500_000.0, "q": 4.0}
"""Where the search begins: µs, GB/s, GFLOP/s of a recent GPU."""
LEAST = {"o": 0.01, "l": 1e-4, "B": 1.0, "F": 1.0, "q": 1.0}
MOST = {"o": 1e4, "l": 1e4, "B": 1e6, "F": 1e8, "q": 12.0}
FITTED_TO = 3000
"""Points that a roofline's few parameters are fitted to, drawn among more with a seed; a correction is fitted to all."""
READ_RATE = "the rate at which memory was read: keys and values were one tensor, half a cache's bytes"
OTHER_MODE = "kernels timed with launch_mode {}"
OF_MATMULS = "no pass was measured: the launch and the memory rate of matmuls"
NEEDED = {"matmul", "attention"}
OF_DEVICE = [name for name in ComputeTarget.model_fields if name not in ("launch_mode", "dtype")]


@dataclass(frozen=True)
class Fitted:
    """A formula with parameters in µs, GB/s, GFLOP/s; given: those that were not fitted; what it is multiplied by."""

    formula: KernelFormula
    params: dict[str, float]
    given: Mapping[str, float]
    designs: Designs = ()
    corrections: Sequence[Correction] = ()

    def us(self, rows: pd.DataFrame) -> Array:
        sizes = sizes_of(rows)
        us = laws.kernel_us(self.formula, self.params, sizes, launches_of(rows))
        return us * factor([ReadyCorrection.of(one) for one in self.corrections], sizes)


def sizes_of(rows: pd.DataFrame) -> dict[str, Array]:
    return {name: rows[name].to_numpy(dtype=float) for name in SIZES}


def launches_of(rows: pd.DataFrame) -> Array:
    """Kernels that a time is of, of one kind each."""
    return np.maximum(rows["launches"].to_numpy(dtype=float), 1.0)


def fit_kernels(rows: pd.DataFrame) -> list[Document]:
    """The compute laws of every device among rows of a probe table, by launch mode and dtype.

    None of a device without matmuls and attention of at least four shapes each in a dtype. A launch mode in which nothing
    but the null kernel was timed has the laws of the kernels timed in another: on the device they take as long.
    """
    found: list[Document] = []
    for key, of_device in rows.groupby(OF_DEVICE, sort=True):
        target = dict(zip(OF_DEVICE, key))
        by_mode: dict[str, list[tuple[str, Document]]] = {}
        for (mode, dtype), some in of_device.groupby(["launch_mode", "dtype"], sort=True):
            if dtype in FORMATS:
                by_mode.setdefault(str(mode), []).extend((str(dtype), law) for law in _laws(some))
        whole = {mode: some for mode, some in by_mode.items() if {law["kind"] for _, law in some} >= NEEDED}
        for mode, some in by_mode.items():
            own = {(dtype, law["kind"]) for dtype, law in some}
            if mode not in whole and whole:
                other = "graph" if "graph" in whole else min(whole)
                more = [(dtype, law) for dtype, law in whole[other] if law["kind"] != "null"]
                some = some + [(dtype, _borrowed(law, other)) for dtype, law in more if (dtype, law["kind"]) not in own]
            if not whole:
                continue
            if not any(law["kind"] == "stream" for _, law in some):
                some = some + [(dtype, _of_matmuls(law)) for dtype, law in some if law["kind"] == "matmul"][:1]
            found += [{"target": target | {"launch_mode": mode, "dtype": dtype}, **law} for dtype, law in some]
    return found


def _borrowed(law: Document, mode: str) -> Document:
    source = OTHER_MODE.format(mode)
    params = {name: one | {"source": f"{one['source']}; {source}"} for name, one in law["params"].items()}
    return law | {"params": params}


def _of_matmuls(matmul: Document) -> Document:
    """What passes over activations are taken to cost where none was measured."""
    params = {name: matmul["params"][name] | {"status": "tied", "source": OF_MATMULS} for name in ("o", "B")}
    none = {"median": None, "p90": None, "n": 0, "reason": "not measured"}
    return {
        "kind": "stream",
        "form": "roofline",
        "equation": laws.equation(laws.STREAM),
        "formula": laws.STREAM.model_dump(mode="json"),
        "params": params,
        "domain": {},
        "fit": {"n_points": 0, "n_launches": 0, "medape": None, "held_out": none, "alternatives": []},
    }


def _laws(rows: pd.DataFrame) -> Iterator[Document]:
    read = rows[(rows["kind"] == "memory") & (rows["op"] == "read")]
    rate = float(np.median(read["activation_bytes"] / read["us"])) / 1e3 if len(read) else None
    matmuls = rows[rows["kind"] == "matmul"]
    plain = matmuls[matmuls["op"] != EXPERTS]
    if law := _law(plain, "matmul", None, [laws.MATMUL, laws.MATMUL_WITHOUT_CHAIN], {}):
        yield law | {"rates": _rates(law, plain)}
    if law := _law(matmuls[matmuls["op"] == EXPERTS], "matmul", EXPERTS, [laws.MATMUL_WITHOUT_CHAIN], {}):
        yield law
    attention = rows[rows["kind"] == "attention"]
    for op, formulas in (("decode", [laws.DECODE]), ("prefill", [laws.PREFILL, laws.PREFILL_IN_SPLITS])):
        for dim, some in attention[attention["op"] == op].groupby("head_dim", sort=True):
            shared = bool(len(some)) and bool((some["one_tensor"] > 0).all())
            if law := _law(some, "attention", op, formulas, {"B": rate} if shared and rate else {}):
                yield law | ({"head_dim": int(dim)} if dim else {})
    passes = rows[rows["kind"] == "stream"]
    own = [law for op, some in passes.groupby("op", sort=True) if (law := _law(some, "stream", str(op), [laws.STREAM], {}))]
    yield from own
    if own:
        yield _mean_of(own, passes)
    null = rows[rows["kind"] == "null"]
    if len(null):
        yield _document("null", None, [(Fitted(laws.NULL, {"o": float(np.median(null["us"]))}, {}), None)], null, None, None)


def _law(
    rows: pd.DataFrame, kind: str, op: str | None, formulas: Sequence[KernelFormula], given: Mapping[str, float]
) -> Document | None:
    """The law of some kernels by the formula, with the correction, that errs least on shapes left out; None of too few
    shapes."""
    shapes = _shapes(rows, kind)
    if not len(rows) or shapes.max() < FOLDS:
        return None
    sizes, us = sizes_of(rows), rows["us"].to_numpy(dtype=float)
    borne = [designs for designs in CANDIDATES.get((kind, op), ()) if bearable(designs, sizes)]
    # Where there are enough points for corrections, the roofline is that of the first formula: they say the rest.
    options = [(formula, ()) for formula in formulas] if not borne else [(formulas[0], one) for one in ((), *borne)]
    plain = {formula: [_fit(some, formula, given) for some in _folds(rows, shapes)] for formula, _ in options}

    def attempt(formula: KernelFormula, designs: Designs) -> tuple[Fitted, Array]:
        held = np.full(len(rows), np.nan)
        *parts, whole = (_corrected(one, some, designs) for one, some in zip(plain[formula], _folds(rows, shapes)))
        for fold, part in enumerate(parts):
            out = shapes % FOLDS == fold
            held[out] = part.us(rows[out])
        return whole, held

    tried: list[tuple[Fitted, Array | None]] = [attempt(*option) for option in options]
    if borne and min(relative_errors(held, us)["p90"] for _, held in tried if held is not None) > FINER_BEYOND:
        tried += [attempt(formulas[0], one) for one in FINER.get((kind, op), ()) if bearable(one, sizes)]
    tried.sort(key=lambda one: _score(one[1], us))
    best = tried[0][0]
    launches = sorted(rows["launch"].unique())
    names = [name for name in best.params if name not in best.given]
    others, over = None, None
    if len(launches) > 1:
        refits = [_fit(rows[rows["launch"] != launch], best.formula, given) for launch in launches]
        others, over = np.array([[one.params[name] for name in names] for one in refits]), "launches"
    elif borne:
        others, over = np.array([[one.params[name] for name in names] for one in plain[best.formula][:-1]]), "cells"
    return _document(kind, op, tried, rows, others, over)


def _folds(rows: pd.DataFrame, shapes: NDArray[np.intp]) -> list[pd.DataFrame]:
    """The rows without every third shape, thrice, and all."""
    return [*(rows[shapes % FOLDS != fold] for fold in range(FOLDS)), rows]


def _score(held: Array | None, us: Array) -> float:
    """Of a formula: the sum of its median error and of a third of its 90th percentile, on shapes left out."""
    assert held is not None
    errors = relative_errors(held, us)
    return float(errors["median"] + errors["p90"] / 3)


def _shapes(rows: pd.DataFrame, kind: str) -> NDArray[np.intp]:
    """A number for each row, the same for kernels of one shape, in the order of the sizes."""
    found = np.unique(rows[SHAPES[kind]].to_numpy(dtype=float), axis=0, return_inverse=True)[1]
    return np.asarray(found).ravel()


def _fit(rows: pd.DataFrame, formula: KernelFormula, given: Mapping[str, float]) -> Fitted:
    """Least squares of ln(predicted/measured) with the loss of network laws, parameters positive."""
    from scipy.optimize import least_squares

    some = rows if len(rows) <= FITTED_TO else rows.sample(FITTED_TO, random_state=0)
    sizes, launches = sizes_of(some), launches_of(some)
    log_us = np.log(some["us"].to_numpy(dtype=float))
    names = [name for name in formula.parameters() if name not in given]

    def error(logs: Array) -> Array:
        params = dict(zip(names, np.exp(logs))) | dict(given)
        return np.log(laws.kernel_us(formula, params, sizes, launches)) - log_us

    low, high = (np.log([bound[name] for name in names]) for bound in (LEAST, MOST))
    start = np.log([min(some["us"].min(), START["o"]) if name == "o" else START[name] for name in names])
    free = least_squares(error, start, bounds=(low, high), loss=LOSS, f_scale=F_SCALE).x
    return Fitted(formula, dict(zip(names, map(float, np.exp(free)))) | dict(given), given)


def _corrected(plain: Fitted, rows: pd.DataFrame, designs: Designs) -> Fitted:
    """A roofline with corrections of what it leaves over."""
    if not designs:
        return plain
    left = np.log(rows["us"].to_numpy(dtype=float) / plain.us(rows))
    return replace(plain, designs=designs, corrections=fit_corrections(designs, sizes_of(rows), left))


def _document(
    kind: str,
    op: str | None,
    tried: Sequence[tuple[Fitted, Array | None]],
    rows: pd.DataFrame,
    others: Array | None,
    over: str | None,
) -> Document:
    """tried: the chosen fit first, each with its predictions of held-out shapes."""
    us = rows["us"].to_numpy(dtype=float)
    best, _ = tried[0]
    names = [name for name in best.params if name not in best.given]
    intervals, reason = intervals_of(np.array([best.params[name] for name in names]), others)
    units = best.formula.parameters()
    params = {name: parameter(best.params[name], units[name], found, reason) for name, found in zip(names, intervals)}
    for one in params.values():
        one |= {"ci95_over": over} if one["ci95"] is not None else {}
    for name, value in best.given.items():
        params[name] = parameter(value, units[name], None, "not fitted") | {"status": "fixed_prior", "source": READ_RATE}
    errors = [
        {
            "formula": one.formula.model_dump(mode="json"),
            "correction": words(one.designs),
            "medape": float(np.median(np.abs(one.us(rows) / us - 1))),
            "held_out": _held_out(held, us),
            "chosen": one is best,
        }
        for one, held in tried
    ]
    return {
        "kind": kind,
        **({"op": op} if op else {}),
        "form": "roofline",
        "equation": laws.equation(best.formula),
        "formula": best.formula.model_dump(mode="json"),
        **({"corrections": [one.model_dump(mode="json") for one in best.corrections]} if best.corrections else {}),
        "params": params,
        "domain": _domain(rows),
        "fit": {
            "n_points": len(rows),
            "n_launches": int(rows["launch"].nunique()),
            "medape": errors[0]["medape"],
            "held_out": errors[0]["held_out"],
            "alternatives": errors if len(errors) > 1 else [],
        },
    }


def _held_out(predicted: Array | None, us: Array) -> Document:
    if predicted is None:
        return {"median": None, "p90": None, "n": 0, "reason": "nothing to leave out"}
    return relative_errors(predicted, us)


def _domain(rows: pd.DataFrame) -> Document:
    sizes = ("rows", "inner", "outer", "matrices", "context", "activation_bytes", "kv_bytes", "flop")
    found = {name: (float(rows[name].min()), float(rows[name].max())) for name in sizes if rows[name].max() > 0}
    working_set = rows["working_set_bytes"].dropna()
    return found | {"working_set_bytes": int(working_set.max()) if len(working_set) else None}


def _mean_of(own: Sequence[Document], rows: pd.DataFrame) -> Document:
    """What a pass that was not measured is taken to cost: the mean of the laws of those that were."""
    source = f"mean of {', '.join(law['op'] for law in own)}"
    o = float(np.mean([law["params"]["o"]["value"] for law in own]))
    slowness = float(np.mean([1 / law["params"]["B"]["value"] for law in own]))
    fitted = Fitted(laws.STREAM, {"o": o, "B": 1 / slowness}, {})
    document = _document("stream", None, [(fitted, None)], rows, None, None)
    for one in document["params"].values():
        one |= {"source": source, "ci95_reason": "a mean of different functions"}
    document["fit"]["held_out"] = _one_left_out(own, rows)
    return document


def _one_left_out(own: Sequence[Document], rows: pd.DataFrame) -> Document:
    """Errors for each function predicted by the mean of the others."""
    predicted: list[Array] = [np.zeros(0)]
    us: list[Array] = [np.zeros(0)]
    for out in own if len(own) > 1 else ():
        rest = [law["params"] for law in own if law is not out]
        params = {"o": float(np.mean([one["o"]["value"] for one in rest]))}
        params["B"] = 1 / float(np.mean([1 / one["B"]["value"] for one in rest]))
        some = rows[rows["op"] == out["op"]]
        predicted.append(Fitted(laws.STREAM, params, {}).us(some))
        us.append(some["us"].to_numpy(dtype=float))
    return relative_errors(np.concatenate(predicted), np.concatenate(us))


def _rates(law: Document, rows: pd.DataFrame) -> Document:
    """In the terms of a datasheet: the rates that the law reaches, and the smallest matmul measured."""
    values = {"smallest_us": (float(rows["us"].min()), "us")}
    values["memory_gb_per_s"] = (law["params"]["B"]["value"], "GB/s")
    values["gflops"] = (law["params"]["F"]["value"], "GFLOP/s")
    intervals = {"smallest_us": None, "memory_gb_per_s": law["params"]["B"], "gflops": law["params"]["F"]}
    found = {}
    for name, (value, unit) in values.items():
        own = intervals[name]
        reason = "the smallest time measured" if own is None else own["ci95_reason"]
        found[name] = parameter(value, unit, None if own is None else own["ci95"], reason)
    return found
