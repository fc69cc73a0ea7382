"""The network laws of a calibration, made ready once: which law prices a collective, what it says, how far it may be off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.evaluate.predict import outside, predictor
from inferometer.emulator.calibrate.evaluate.uncertainty import half_width
from inferometer.emulator.calibrate.schema.network_records import NetworkLaw
from inferometer.emulator.calibrate.schema.records import Target
from inferometer.emulator.errors import InputError

#: Taken when several laws match and the caller did not say: what a law is, undisturbed and in full precision.
PREFERRED: dict[str, Any] = {"timing": "isolated", "concurrent_groups": 1, "dtype": "float32"}


class FittedLaw:
    """One network law with its formula and estimates worked out, so that one more question costs only its arithmetic."""

    def __init__(self, record: NetworkLaw) -> None:
        self.record = record
        self._predictor = predictor(record)

    def us(self, n: ArrayLike, r: ArrayLike, N: ArrayLike) -> Array:
        """Times in µs for n bytes, r ranks, N nodes, which broadcast; 0 for one rank, NaN where not determined."""
        n, r, N = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (n, r, N)))
        return np.where(r > 1, self._predictor.us(n, r, N), 0.0)

    def half_width(self, n: ArrayLike, r: ArrayLike, N: ArrayLike) -> Array:
        """h, so that the 95 % interval of a time t is [t e^−h, t e^h] (uncertainty.half_width)."""
        return half_width(self.record, n, r, N)

    def beyond(self, n: ArrayLike, r: ArrayLike, N: ArrayLike) -> list[str]:
        """In words, which limits of what was measured the queries exceed."""
        n, r, N = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (n, r, N)))
        several = r > 1
        return outside(self.record.domain, n[several], r[several], N[several])


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
        """The law that `choose` finds, ready to be asked. Raises as it does."""
        at = collective, tuple(sorted(key.items()))
        if at not in self._ready:
            self._ready[at] = FittedLaw(self.choose(collective, key))
        return self._ready[at]

    def choose(self, collective: str, key: Mapping[str, Any]) -> NetworkLaw:
        """The one law of a collective that matches key (None means any); of several the PREFERRED, in their order.

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
        if len(found) > 1:
            raise InputError(f"several laws of '{collective}' match: choose among {_differences(found)}")
        return found[0]


def _differences(laws: Sequence[NetworkLaw]) -> str:
    """The key fields in which laws differ, with the values to choose from; all of them if they differ in none."""
    targets = [law.target.model_dump() for law in laws]
    values = {name: sorted({str(t[name]) for t in targets}) for name in targets[0] if name != "collective"}
    varying = {name: v for name, v in values.items() if len(v) > 1} or values
    return ", ".join(f"{name}={'|'.join(v)}" for name, v in varying.items())
