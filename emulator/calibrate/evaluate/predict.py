"""Predictions from the record of a network law: numpy only, no optimiser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.laws.design import Design
from inferometer.emulator.calibrate.laws.forms import law_of
from inferometer.emulator.calibrate.laws.linear import At, Law
from inferometer.emulator.calibrate.schema.network_records import Domain, NetworkLaw
from inferometer.emulator.errors import InputError


class NotIdentifiedWarning(UserWarning):
    """Some times asked for lie in a direction that was never measured; they are NaN."""


class ExtrapolationWarning(UserWarning):
    """Some times asked for lie outside what was measured; they are given all the same."""


@dataclass(frozen=True, eq=False)
class Predictor:
    """A network law ready for use: its formula, and the combinations [design.rank] that the record has values of."""

    law: Law
    design: Design
    combinations: Array

    def us(self, n: ArrayLike, r: ArrayLike, N: ArrayLike) -> Array:
        """Times in µs for n bytes, r ranks, N nodes, which broadcast; NaN where the record does not determine them."""
        shape = np.broadcast_shapes(np.shape(n), np.shape(r), np.shape(N))
        return self.at(n, r, N)(self.combinations).reshape(shape)

    @cached_property
    def at(self) -> At:
        """law.ready(design)."""
        return self.law.ready(self.design)


@dataclass(frozen=True)
class Itself:
    """A record as a key of a cache: equal to itself alone, and kept alive by being the key."""

    record: NetworkLaw

    def __hash__(self) -> int:
        return id(self.record)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Itself) and other.record is self.record


def predictor(record: NetworkLaw) -> Predictor:
    """The law that a record holds, built once for each record."""
    return _predictor(Itself(record))


@lru_cache(maxsize=1024)
def _predictor(key: Itself) -> Predictor:
    law = law_of(key.record.formula, key.record.target.collective)
    return Predictor(law, *estimates(key.record, law))


def predict_us(record: NetworkLaw, n: ArrayLike, r: ArrayLike, N: ArrayLike) -> Array:
    """Times in µs for n bytes, r ranks, N nodes, which broadcast; NaN where the record does not determine them."""
    return predictor(record).us(n, r, N)


def check_law(record: NetworkLaw) -> None:
    """Raise InputError, naming the parameter, for a record that lacks what its law needs to give a time."""
    law = law_of(record.formula, record.target.collective)
    names = [term.name for term in law.terms]
    if missing := next((name for name in names if name not in record.params), None):
        raise InputError(f"params: '{missing}' is missing, which the law '{law.name}' has")
    for combination in record.identifiable_combinations:
        if not any(combination.coefficients.get(name) for name in names):
            raise InputError(f"identifiable_combinations: '{combination.expr}' has no parameter of the law '{law.name}'")
    quantities = len(estimates(record, law)[1])
    if record.cov is not None and "scale" not in record.params and len(record.cov.order) != quantities:
        raise InputError(f"cov: is of {len(record.cov.order)} quantities, the law '{law.name}' has {quantities} estimated")


def estimates(record: NetworkLaw, law: Law) -> tuple[Design, Array]:
    """The design and the combinations [rank] that the record's parameters and combinations stand for."""
    names = [term.name for term in law.terms]
    rows: list[tuple[int, Array, float]] = []
    for j, term in enumerate(law.terms):
        parameter = record.params[term.name]
        if parameter.status == "not_identified":
            continue
        value = 0.0 if parameter.value is None else parameter.value
        theta = 1.0 / value if term.is_bandwidth and value else value
        rows.append((j, np.eye(len(names))[j], theta))
    for combination in record.identifiable_combinations:
        row = np.array([combination.coefficients.get(name, 0.0) for name in names])
        rows.append((int(np.flatnonzero(row)[0]), row, combination.value))
    rows.sort(key=lambda item: item[0])
    matrix = np.array([row for _, row, _ in rows]).reshape(len(rows), len(names))
    design = Design(tuple(names), tuple(pivot for pivot, _, _ in rows), matrix, None, frozenset())
    return design, np.array([value for _, _, value in rows])


def among(values: Array, measured: Sequence[int]) -> NDArray[np.bool_]:
    """Whether each of values is one of those measured: np.isin for a few of them, in a third of its time."""
    return np.asarray((values[..., None] == np.array(measured)).any(axis=-1))


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
