"""Predictions from a model record of a calibration file: numpy only, no optimiser."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.laws.design import Design
from inferometer.emulator.calibrate.laws.forms import law_of
from inferometer.emulator.calibrate.laws.linear import Law
from inferometer.emulator.calibrate.schema.records import Domain, NetworkLaw
from inferometer.emulator.errors import InputError


class NotIdentifiedWarning(UserWarning):
    """Some times asked for lie in a direction that was never measured; they are NaN."""


class ExtrapolationWarning(UserWarning):
    """Some times asked for lie outside what was measured; they are given all the same."""


def predict_us(model: NetworkLaw, n: ArrayLike, r: ArrayLike, N: ArrayLike) -> Array:
    """Times in µs for n bytes, r ranks, N nodes, which broadcast; NaN where the model does not determine them."""
    shape = np.broadcast_shapes(np.shape(n), np.shape(r), np.shape(N))
    law = law_of_record(model)
    design, combinations = estimates(model, law)
    return law.predict_us(design, combinations, n, r, N).reshape(shape)


def law_of_record(model: NetworkLaw) -> Law:
    """The law a model record names."""
    return law_of(model.form, model.target.collective, list(model.params))


def check_law(model: NetworkLaw) -> None:
    """Raise InputError, naming the parameter, for a model record that lacks what its law needs to give a time."""
    law = law_of_record(model)
    names = [term.name for term in law.terms]
    if missing := next((name for name in names if name not in model.params), None):
        raise InputError(f"params: '{missing}' is missing, which the law '{model.form}' has")
    for combination in model.identifiable_combinations:
        if not any(combination.coefficients.get(name) for name in names):
            raise InputError(f"identifiable_combinations: '{combination.expr}' has no parameter of the law '{model.form}'")
    quantities = len(estimates(model, law)[1])
    if model.cov is not None and "scale" not in model.params and len(model.cov.order) != quantities:
        raise InputError(f"cov: is of {len(model.cov.order)} quantities, the law '{model.form}' has {quantities} estimated")


def estimates(model: NetworkLaw, law: Law) -> tuple[Design, Array]:
    """The design and the combinations [rank] that the file's parameters and combinations stand for."""
    names = [term.name for term in law.terms]
    rows: list[tuple[int, Array, float]] = []
    for j, term in enumerate(law.terms):
        parameter = model.params[term.name]
        if parameter.status == "not_identified":
            continue
        value = 0.0 if parameter.value is None else parameter.value
        theta = 1.0 / value if term.is_bandwidth and value else value
        rows.append((j, np.eye(len(names))[j], theta))
    for combination in model.identifiable_combinations:
        row = np.array([combination.coefficients.get(name, 0.0) for name in names])
        rows.append((int(np.flatnonzero(row)[0]), row, combination.value))
    rows.sort(key=lambda item: item[0])
    matrix = np.array([row for _, row, _ in rows]).reshape(len(rows), len(names))
    design = Design(tuple(names), tuple(pivot for pivot, _, _ in rows), matrix, None, frozenset())
    return design, np.array([value for _, _, value in rows])


def outside(domain: Domain, n: Array, r: Array, N: Array) -> list[str]:
    """In words, which of the limits of the domain the queries exceed; empty where none does."""
    limits = {
        "bytes": (n, domain.bytes[0], domain.bytes[1]),
        "ranks": (r, min(domain.ranks), max(domain.ranks)),
        "nodes": (N, min(domain.nodes), max(domain.nodes)),
        "ranks per node": (r / N, min(domain.ranks_per_node), max(domain.ranks_per_node)),
    }
    found = []
    for name, (values, low, high) in limits.items():
        beyond = values[(values < low) | (values > high)]
        if beyond.size:
            extreme = beyond.max() if beyond.max() > high else beyond.min()
            found.append(f"{name} {extreme:g} is outside the measured {low:g} to {high:g}")
    return found
