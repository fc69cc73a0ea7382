"""Network terms from a calibration: each collective priced by its own fitted law."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from inferometer.emulator.calibrate.evaluate.file import calibration_names
from inferometer.emulator.calibrate.evaluate.network import FittedLaw
from inferometer.emulator.calibrate.evaluate.uncertainty import deviations, norm
from inferometer.emulator.economics.pricing.accelerators import built_in_of
from inferometer.emulator.economics.pricing.mismatch import measured_on
from inferometer.emulator.economics.pricing.network import CollectiveTime, Deviations, Network
from inferometer.emulator.errors import InputError
from inferometer.emulator.units import format_bytes
from inferometer.parallel.dtypes import bits_of

if TYPE_CHECKING:
    from inferometer.emulator.calibrate.evaluate.calibration import Calibration

#: An all_reduce of a buffer that is zero where other ranks' parts go does the work of these.
DONE_BY_ALL_REDUCE = frozenset({"all_gather", "reduce_scatter"})
#: What of a key may choose among kernels alone, in a calibration that has their laws beside collectives'.
OF_KERNELS = ("launch_mode", "backend")


class CalibrationNetwork(Network):
    """The laws of one calibration. key narrows the choice of law (backend, timing, launch_mode, …). beside: another one
    prices computing, and the key chooses among its kernels too.

    Where a calibration has laws for several dtypes, the one as wide as the residual stream is taken.
    """

    def __init__(
        self, calibration: Calibration, *, bits: int = 16, key: Mapping[str, Any] | None = None, beside: bool = False
    ) -> None:
        self._laws = calibration.evaluator.network
        self._key = dict(key or {})
        self._bits = bits
        kernels = [law.target.device for law in calibration.compute_laws if law.form == "roofline"]
        self._of_kernels = beside or bool(kernels)
        self._alone = kernels[0] if kernels and not calibration.network_laws else None
        """The device, where nothing but its kernels was measured."""
        self._law: dict[str, FittedLaw] = {}
        backends = sorted({law.target.backend for law in calibration.network_laws if law.target.backend})
        where = measured_on(calibration)
        carried = f"{', '.join(backends) or 'backend unknown'}{f' on {where}' if where else ''}"
        self._name = f"calibration {calibration.id[:12]} ({carried})"

    @property
    def name(self) -> str:
        return self._name

    def law(self, collective: str) -> FittedLaw:
        """The law that prices a collective. Raises InputError if the calibration has none, or several that match.

        An all_gather or reduce_scatter that was not measured is priced as an all_reduce of as many bytes.
        """
        if collective in self._law:
            return self._law[collective]
        if self._alone is not None:
            raise InputError(
                f"{self._name}: kernels of {self._alone} were measured and no {collective}, which several ranks need: "
                f"give a --network-calibration{_such_as(self._alone)}"
            )
        stands_in = collective in DONE_BY_ALL_REDUCE and not self._laws.of(collective) and self._laws.of("all_reduce")
        name = "all_reduce" if stands_in else collective
        found = self._law[collective] = self._laws.fitted(name, self._width_of(name) | self._key_of(name))
        return found

    def _key_of(self, collective: str) -> dict[str, Any]:
        """The key, without a launch mode and a backend that are of the kernels: no law of a collective has them."""
        laws = self._laws.of(collective) if self._of_kernels else ()
        return {
            name: value
            for name, value in self._key.items()
            if not laws or name not in OF_KERNELS or any(getattr(law.target, name) == value for law in laws)
        }

    def knows(self, collective: str) -> bool:
        try:
            self.law(collective)
        except InputError:
            return False
        return True

    def time(self, collective: str, bytes: ArrayLike, ranks: ArrayLike, nodes: ArrayLike) -> CollectiveTime:
        """Time of one collective; NaN where the calibration does not determine it. The latency is that of no bytes."""
        n, r, N = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (bytes, ranks, nodes)))
        latency, total = self.law(collective).us(np.stack([np.zeros_like(n), n]), np.stack([r, r]), np.stack([N, N])) * 1e-6
        return CollectiveTime(latency, total - latency)

    def notes(self, collective: str, bytes: ArrayLike, ranks: ArrayLike, nodes: ArrayLike) -> list[str]:
        """Where a query leaves what was measured; what stands in."""
        law = self.law(collective)
        words = [f"{collective}: {text}" for text in law.beyond(bytes, ranks, nodes)]
        if law.record.target.collective != collective:
            words.append(f"{collective} was not measured: priced as an {law.record.target.collective} of as many bytes")
        return words

    def deviations(self, collective: str, bytes: ArrayLike, ranks: ArrayLike, nodes: ArrayLike) -> Deviations | None:
        """By the law's covariance and held-out errors; 0 for one rank, NaN where the law has no interval."""
        n, r, N = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (bytes, ranks, nodes)))
        law = self.law(collective)
        return Deviations(law.record.target.collective, np.where(r > 1, law.deviations(n, r, N), 0.0), law.freedom)

    def narrowing(self, collective: str, bytes: float, ranks: float, nodes: float) -> str:
        """There, where it leaves what was measured; else more launches or more sizes, whichever leaves more open."""
        law = self.law(collective)
        name, domain = law.record.target.collective, law.record.domain
        places = f"{format_bytes(bytes)} on {ranks:g} ranks" + (f" of {nodes:g} nodes" if nodes > 1 else "")
        if law.beyond(bytes, ranks, nodes) or ranks not in domain.ranks or nodes not in domain.nodes:
            return f"{name} of {places}, which was not measured"
        form, *directions = deviations(law.record, bytes, ranks, nodes)
        parameters = float(norm(np.array(directions)))
        if law.record.cov is None or parameters > float(form):
            return f"more launches of {name} (measure --append)"
        return f"more sizes of {name} near {places} (a smaller -f)"

    def gaps(self, collectives: Sequence[str]) -> str:
        """Why times of these collectives may be undetermined, in words."""
        laws = {collective: self.law(collective).record for collective in collectives if self._laws.of(collective)}
        unknown: dict[str, dict[str, None]] = {}
        for collective, law in laws.items():
            for name, parameter in law.params.items():
                if parameter.status == "not_identified":
                    unknown.setdefault(f"{name.partition('.')[0]}: {parameter.reason}", {})[collective] = None
        why = [f"{', '.join(names)} {words}" for words, names in unknown.items()]
        counts = {str(r) for law in laws.values() if "@" in "".join(law.params) for r in law.domain.ranks}
        if counts:
            why.append(f"bandwidths are known for {', '.join(sorted(counts, key=int))} ranks only")
        return "; ".join(why) or "its laws say nothing there"

    def _width_of(self, collective: str) -> dict[str, str]:
        dtypes = {law.target.dtype for law in self._laws.of(collective)}
        fitting = sorted(d for d in dtypes if d is not None and bits_of(d) == self._bits)
        return {"dtype": fitting[0]} if fitting else {}


def _such_as(device: str) -> str:
    """Built-in calibrations of collectives between such devices, in words."""
    known = built_in_of(device)
    chip = "" if known is None else known.name.partition("-")[0]
    names = [name for name in calibration_names() if name.partition("-")[0] == chip]
    return f" (built in: {', '.join(names)})" if names else " (a file of calibrate or import)"
