"""The network laws of a calibration, made ready once: which law prices a collective, what it says, how far it may be off."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.evaluate.predict import among, outside, predictor
from inferometer.emulator.calibrate.evaluate.uncertainty import deviations, directions, norm
from inferometer.emulator.calibrate.schema.network_records import NetworkLaw
from inferometer.emulator.calibrate.schema.records import Target
from inferometer.emulator.errors import InputError

#: Taken when several laws match and the caller did not say: what a law is, undisturbed and in full precision.
PREFERRED: dict[str, Any] = {"timing": "isolated", "concurrent_groups": 1, "dtype": "float32", "oversubscribed": False}


class FittedLaw:
    """The laws that price one collective under one key, made ready, so that one more question costs only its arithmetic.

    record answers for every rank count, but the oversubscribed laws, of ranks that outnumber the cores, each for the rank
    and node counts it was measured at, unless record was measured there too. None of those says anything of other counts.
    """

    def __init__(self, record: NetworkLaw, oversubscribed: Sequence[NetworkLaw] = ()) -> None:
        self.record = record
        self._predictor = predictor(record)
        self._oversubscribed = [FittedLaw(law) for law in oversubscribed if law is not record]

    def us(self, n: ArrayLike, r: ArrayLike, N: ArrayLike) -> Array:
        """Times in µs for n bytes, r ranks, N nodes, which broadcast; 0 for one rank, NaN where not determined."""
        n, r, N = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (n, r, N)))
        us = np.where(r > 1, self._predictor.us(n, r, N), 0.0)
        if self.record.target.oversubscribed:
            us = np.where((r > 1) & ~self._measured_at(r, N), np.nan, us)
        for other, here in self._others(r, N):
            us = np.where(here, other.us(n, r, N), us)
        return us

    def deviations(self, n: ArrayLike, r: ArrayLike, N: ArrayLike) -> Array:
        """uncertainty.deviations [s, …] of record, then each oversubscribed law's directions, 0 where it does not answer."""
        n, r, N = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (n, r, N)))
        rows = deviations(self.record, n, r, N)
        further = []
        for other in self._oversubscribed:
            here = other._measured_at(r, N) & ~self._measured_at(r, N)
            theirs = deviations(other.record, n, r, N)
            rows = np.where(here, 0.0, rows)
            rows[0] = np.where(here, theirs[0], rows[0])
            further.append(np.where(here, theirs[1:], 0.0))
        return np.concatenate([rows, *further])

    @cached_property
    def freedom(self) -> list[float]:
        """Degrees of freedom behind each of `deviations` [s]: of Student's t by which it is known; inf: a normal's."""
        own = directions(self.record)
        others = [freedom for other in self._oversubscribed for freedom in directions(other.record)]
        return [math.inf, *own, *others]

    def half_width(self, n: ArrayLike, r: ArrayLike, N: ArrayLike) -> Array:
        """h, so that the 95 % interval of a time t is [t e^−h, t e^h] (uncertainty.half_width)."""
        return norm(self.deviations(n, r, N))

    def beyond(self, n: ArrayLike, r: ArrayLike, N: ArrayLike) -> list[str]:
        """In words, which limits of what was measured the queries exceed."""
        n, r, N = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (n, r, N)))
        words, mine = [], r > 1
        for other, here in self._others(r, N):
            words += other.beyond(n[here], r[here], N[here])
            mine &= ~here
        return [*outside(self.record.domain, n[mine], r[mine], N[mine]), *words]

    def _others(self, r: Array, N: Array) -> Iterator[tuple[FittedLaw, NDArray[np.bool_]]]:
        """Each oversubscribed law that answers for some of the queries, and which."""
        for other in self._oversubscribed:
            here = other._measured_at(r, N) & ~self._measured_at(r, N)
            if here.any():
                yield other, here

    def _measured_at(self, r: Array, N: Array) -> NDArray[np.bool_]:
        return among(r, self.record.domain.ranks) & among(N, self.record.domain.nodes)


class NetworkLaws:
    """The laws of one calibration by collective and key."""

    def __init__(self, laws: Sequence[NetworkLaw]) -> None:
        self._by_collective: dict[str, list[NetworkLaw]] = {}
        for law in laws:
            self._by_collective.setdefault(law.target.collective, []).append(law)
        self._ready: dict[tuple[str, tuple[tuple[str, Any], ...]], FittedLaw] = {}

    @property
    def collectives(self) -> list[str]:
        """Those that have a law, by name."""
        return sorted(self._by_collective)

    def of(self, collective: str) -> Sequence[NetworkLaw]:
        """Every law of a collective."""
        return self._by_collective.get(collective, [])

    def fitted(self, collective: str, key: Mapping[str, Any]) -> FittedLaw:
        """The law that `choose` finds, ready to be asked, with those of ranks that outnumber cores. Raises as it does."""
        at = collective, tuple(sorted(key.items()))
        if at not in self._ready:
            law = self.choose(collective, key)
            crowded = law.target.model_copy(update={"oversubscribed": True})
            others = [] if key.get("oversubscribed") is False else [o for o in self.of(collective) if o.target == crowded]
            self._ready[at] = FittedLaw(law, others)
        return self._ready[at]

    def choose(self, collective: str, key: Mapping[str, Any]) -> NetworkLaw:
        """The one law of a collective that matches key (None means any); of several the PREFERRED, in their order, and then
        those of a library's plain calls: nccl, not nccl/max or nccl/fused8.

        Of the laws of one oversubscribed key, which are of one rank count each, that of the fewest ranks.

        Raises InputError if none matches (it lists what there is), if several still do (it names the choices), or for
        a name that is no field of a key.
        """
        if unknown := sorted(set(key) - set(Target.model_fields)):
            raise InputError(f"no such key field: {', '.join(unknown)}")
        asked = {name: value for name, value in key.items() if value is not None}
        of_collective = self.of(collective)
        found = [law for law in of_collective if all(getattr(law.target, k) == v for k, v in asked.items())]
        if not of_collective:
            have = ", ".join(self.collectives) or "nothing"
            raise InputError(f"no law of '{collective}' in this calibration: it has {have}")
        if not found:
            wanted = ", ".join(f"{k}={v}" for k, v in asked.items())
            raise InputError(f"no law of '{collective}' with {wanted}: there is {_differences(of_collective)}")
        for name, value in PREFERRED.items():
            found = [law for law in found if getattr(law.target, name) == value] or found
        found = [law for law in found if "/" not in (law.target.implementation or "")] or found
        if len({law.target for law in found}) > 1:
            raise InputError(f"several laws of '{collective}' match: choose among {_differences(found)}")
        return min(found, key=lambda law: law.domain.ranks)


def _differences(laws: Sequence[NetworkLaw]) -> str:
    """The key fields in which laws differ, with the values to choose from; all of them if they differ in none."""
    targets = [law.target.model_dump() for law in laws]
    values = {name: sorted({str(t[name]) for t in targets}) for name in targets[0] if name != "collective"}
    varying = {name: v for name, v in values.items() if len(v) > 1} or values
    return ", ".join(f"{name}={'|'.join(v)}" for name, v in varying.items())
