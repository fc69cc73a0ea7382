"""Held-out error: what a law says of cells it was not fitted to. Every fit starts afresh."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.fit.points import Points
from inferometer.emulator.calibrate.fit.robust import Fit, fit_law
from inferometer.emulator.calibrate.laws.linear import Law

Mask = NDArray[np.bool_]

SIZE_FOLDS = 3


@dataclass(frozen=True)
class Fold:
    """One held-out part: its kind ("sizes", "ranks", "nodes"), a name for people, and the mask [m] of its points."""

    kind: str
    label: str
    held: Mask


@dataclass(frozen=True)
class HeldOut:
    """Predictions [m] in µs for the points of some folds, NaN where not held out; why the other folds have none."""

    predicted_us: Array
    missing: tuple[str, ...]

    @property
    def held(self) -> Mask:
        return np.isfinite(self.predicted_us)


def size_folds(points: Points) -> list[Fold]:
    """Three folds: every third of the sorted sizes. None where there are fewer than three sizes."""
    sizes = np.unique(points.n)
    if len(sizes) < SIZE_FOLDS:
        return []
    parts = [sizes[k::SIZE_FOLDS] for k in range(SIZE_FOLDS)]
    return [Fold("sizes", f"every third size from {part[0]:g} bytes", np.isin(points.n, part)) for part in parts]


def rank_folds(points: Points) -> list[Fold]:
    """One fold per rank count; none where there is only one."""
    return _one_each("ranks", points.r)


def node_folds(points: Points) -> list[Fold]:
    """One fold per node count; none where there is only one."""
    return _one_each("nodes", points.N)


def _one_each(kind: str, values: Array) -> list[Fold]:
    distinct = np.unique(values)
    if len(distinct) < 2:
        return []
    return [Fold(kind, f"{value:g} {kind}", values == value) for value in distinct]


def hold_out(law: Law, points: Points, folds: list[Fold]) -> HeldOut:
    """Fit law without each fold in turn and predict it. A fold counts only if all of it can be predicted."""
    predicted = np.full(len(points), np.nan)
    missing = []
    for fold in folds:
        rest, held = points.take(~fold.held), points.take(fold.held)
        if not law.extrapolates_ranks and fold.kind == "ranks":
            missing.append(f"{fold.label}: this law says nothing about rank counts it was not fitted to")
            continue
        if not law.bears(rest.n, rest.r, rest.N):
            missing.append(f"{fold.label}: the other cells are too few for this law")
            continue
        design = law.design(rest.n, rest.r, rest.N)
        if np.isnan(law.predict_us(design, np.zeros(design.rank), held.n, held.r, held.N)).any():
            missing.append(f"{fold.label}: the other cells do not determine the time there")
            continue
        predicted[fold.held] = fit_law(law, rest).predict_us(held.n, held.r, held.N)
    return HeldOut(predicted, tuple(missing))


def hold_out_launches(points: Points, without: dict[int, Fit]) -> HeldOut:
    """Predict each launch's points by the fit made without that launch."""
    predicted = np.full(len(points), np.nan)
    for launch, fit in without.items():
        held = points.take(points.launch == launch)
        predicted[points.launch == launch] = fit.predict_us(held.n, held.r, held.N)
    return HeldOut(predicted, ())


def relative_errors(predicted_us: Array, measured_us: Array) -> Array:
    """|predicted/measured − 1| where there is a prediction."""
    error = np.abs(predicted_us / measured_us - 1)
    return np.asarray(error[np.isfinite(error)])
