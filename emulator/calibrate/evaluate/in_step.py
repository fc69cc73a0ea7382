"""What collectives cost in a step beyond their isolated time: the in-step laws of a calibration, as steps are priced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.evaluate.departure import Departure
from inferometer.emulator.calibrate.evaluate.in_step_residuals import departure_of, place_of
from inferometer.emulator.calibrate.evaluate.network import PREFERRED
from inferometer.emulator.calibrate.laws.in_step import overhead_us
from inferometer.emulator.calibrate.schema.in_step_records import InStepLaw
from inferometer.emulator.calibrate.schema.records import Target
from inferometer.emulator.errors import InputError

#: Waking up and drift cost much the same in every collective: the overhead of this one stands in for others.
STANDS_IN = "all_reduce"
#: One stage hands on to the next: the drift between them is the pipeline's waiting, which is priced as such.
HANDS_ON = frozenset({"send_recv"})


class FoundLaw(NamedTuple):
    """The law for a collective on so many ranks and nodes. stands_in: it is another collective's."""

    law: InStepLaw
    stands_in: bool


class InStepLaws:
    """The in-step laws of one calibration by collective, key, ranks and nodes."""

    def __init__(self, laws: Sequence[InStepLaw]) -> None:
        self._laws = laws
        self._chosen: dict[tuple[str, tuple[tuple[str, Any], ...]], dict[tuple[int, int], InStepLaw]] = {}
        self._departures: dict[int, Departure | None] = {}
        """By the identity of the law."""

    def find(self, collective: str, ranks: int, nodes: int, key: Mapping[str, Any]) -> FoundLaw | None:
        """The collective's own law, else that of all_reduce; None where neither was timed in a step there.

        Raises InputError as `choose` does.
        """
        for name in (collective, STANDS_IN):
            if law := self.choose(name, key).get((ranks, nodes)):
                return FoundLaw(law, name != collective)
        return None

    def choose(self, collective: str, key: Mapping[str, Any]) -> dict[tuple[int, int], InStepLaw]:
        """By ranks and nodes: the laws of the one key of a collective that matches; none where no law does.

        Those within the cores and those of more ranks count as one key here, since each law is of one rank count.

        Where several match, the PREFERRED values decide, in their order. Raises InputError where several still do, or for
        a name that is no field of a key.
        """
        at = collective, tuple(sorted(key.items()))
        if at not in self._chosen:
            if unknown := sorted(set(key) - set(Target.model_fields)):
                raise InputError(f"no such key field: {', '.join(unknown)}")
            asked = {name: value for name, value in key.items() if value is not None}
            found = [law for law in self._laws if law.target.collective == collective]
            found = [law for law in found if all(getattr(law.target, name) == value for name, value in asked.items())]
            for name, value in PREFERRED.items():
                if name != "oversubscribed":
                    found = [law for law in found if getattr(law.target, name) == value] or found
            targets = {law.target.model_copy(update={"oversubscribed": None}) for law in found}
            if len(targets) > 1:
                fields = type(found[0].target).model_fields
                varying = [name for name in fields if len({getattr(target, name) for target in targets}) > 1]
                raise InputError(f"several in-step overheads of '{collective}' match: choose one {', one '.join(varying)}")
            found.sort(key=lambda law: not law.target.oversubscribed)  # those within the cores replace the others
            self._chosen[at] = {(law.ranks, law.nodes): law for law in found}
        return self._chosen[at]

    def overhead_s(
        self, found: FoundLaw, collective: str, bytes: ArrayLike, compute_gap_s: ArrayLike, isolated_s: ArrayLike
    ) -> Array:
        """Seconds beyond isolated_s, at least 0, by the law and its residuals; the arguments broadcast.

        A law's residuals do not count where it stands in: they include its own isolated time.
        """
        n, gap_us = asked(collective, bytes, compute_gap_s)
        isolated = np.asarray(isolated_s, dtype=float)
        total_s = isolated + overhead_us(found.law, n, gap_us) * 1e-6
        departure = None if found.stands_in else self._departure(found.law)
        if departure is not None:
            total_s = total_s * departure.ratio(place_of(n, gap_us, True))
        return np.maximum(total_s - isolated, 0.0)

    def _departure(self, law: InStepLaw) -> Departure | None:
        if id(law) not in self._departures:
            self._departures[id(law)] = departure_of(law.residuals) if law.residuals else None
        return self._departures[id(law)]


def asked(collective: str, bytes: ArrayLike, compute_gap_s: ArrayLike) -> tuple[Array, Array]:
    """Bytes and the compute gap in µs that a law is asked for, broadcast."""
    gap = np.asarray(compute_gap_s, dtype=float) * (0.0 if collective in HANDS_ON else 1e6)
    n, gap_us = np.broadcast_arrays(np.asarray(bytes, dtype=float), gap)
    return n, gap_us


def outside(law: InStepLaw, n: Array, compute_gap_us: Array) -> dict[str, str]:
    """By name, in words: the limits of what was measured in a step that are exceeded; empty where none is."""
    limits = {"bytes": (n, *law.domain.bytes), "compute gap (us)": (compute_gap_us, *law.domain.compute_gap_us)}
    found = {}
    for name, (values, low, high) in limits.items():
        beyond = values[(values < low) | (values > high)]
        if beyond.size:
            extreme = beyond.max() if beyond.max() > high else beyond.min()
            found[name] = f"{name} {extreme:g} is outside the measured {low:g} to {high:g}"
    return found
