"""Network terms from a calibration: each collective priced by its own fitted law."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from inferometer.emulator.calibrate.evaluate.predict import outside, predict_us
from inferometer.emulator.calibrate.evaluate.uncertainty import half_width
from inferometer.emulator.economics.pricing.network import CollectiveTime
from inferometer.parallel.dtypes import bits_of

if TYPE_CHECKING:
    from inferometer.emulator.calibrate.evaluate.calibration import Calibration
    from inferometer.emulator.calibrate.schema.network_records import NetworkLaw

#: An all_reduce of a buffer that is zero where other ranks' parts go does the work of these.
DONE_BY_ALL_REDUCE = frozenset({"all_gather", "reduce_scatter"})


class CalibrationNetwork:
    """The laws of one calibration. key narrows the choice of law (backend, timing, launch_mode, …).

    Where a calibration has laws for several dtypes, the one as wide as the residual stream is taken.
    """

    def __init__(self, calibration: Calibration, *, bits: int = 16, key: Mapping[str, Any] | None = None) -> None:
        self._calibration = calibration
        self._key = dict(key or {})
        self._bits = bits
        self._law: dict[str, NetworkLaw] = {}

    @property
    def name(self) -> str:
        backends = sorted({m.target.backend for m in self._calibration.network_laws if m.target.backend})
        return f"calibration {self._calibration.id[:12]} ({', '.join(backends) or 'backend unknown'})"

    def law(self, collective: str) -> NetworkLaw:
        """The law that prices a collective. Raises InputError if the calibration has none, or several that match.

        An all_gather or reduce_scatter that was not measured is priced as an all_reduce of as many bytes.
        """
        if collective not in self._law:
            measured = {m.target.collective for m in self._calibration.network_laws}
            stands_in = collective in DONE_BY_ALL_REDUCE and collective not in measured and "all_reduce" in measured
            name = "all_reduce" if stands_in else collective
            self._law[collective] = self._calibration.law(name, **self._width_of(name), **self._key)
        return self._law[collective]

    def time(self, collective: str, bytes: ArrayLike, ranks: ArrayLike, nodes: ArrayLike) -> CollectiveTime:
        """Time of one collective; NaN where the calibration does not determine it. The latency is that of no bytes."""
        n, r, N = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (bytes, ranks, nodes)))
        law = self.law(collective)
        several = r > 1
        latency = np.where(several, predict_us(law, 0.0 * n, r, N), 0.0) * 1e-6
        total = np.where(several, predict_us(law, n, r, N), 0.0) * 1e-6
        return CollectiveTime(latency, total - latency)

    def gaps(self) -> str:
        """Why times of the laws asked so far may be undetermined, in words."""
        unknown: dict[str, dict[str, None]] = {}
        for collective, law in self._law.items():
            for name, parameter in law.params.items():
                if parameter.status == "not_identified":
                    unknown.setdefault(f"{name.partition('.')[0]}: {parameter.reason}", {})[collective] = None
        why = [f"{', '.join(collectives)} {words}" for words, collectives in unknown.items()]
        counts = {str(r) for law in self._law.values() if "@" in "".join(law.params) for r in law.domain.ranks}
        if counts:
            why.append(f"bandwidths are known for {', '.join(sorted(counts, key=int))} ranks only")
        return "; ".join(why) or "its laws say nothing there"

    def interval(self, collective: str, bytes: Any, ranks: int, nodes: int) -> tuple[float, float, float] | None:
        """Low, middle, high time in seconds of one collective at 95 %; None if its law has no interval."""
        if ranks == 1:
            return 0.0, 0.0, 0.0
        law = self.law(collective)
        wide = float(np.exp(half_width(law, bytes, ranks, nodes)))
        middle = float(predict_us(law, bytes, ranks, nodes)) * 1e-6
        return None if np.isnan(wide) else (middle / wide, middle, middle * wide)

    def beyond(self, collective: str, bytes: ArrayLike, ranks: ArrayLike, nodes: ArrayLike) -> list[str]:
        """In words, where a query leaves what was measured; empty where it does not."""
        n, r, N = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (bytes, ranks, nodes)))
        law = self.law(collective)
        words = [f"{collective}: {text}" for text in outside(law.domain, n, r, N)]
        if law.target.collective != collective:
            words.append(f"{collective} was not measured: priced as an {law.target.collective} of as many bytes")
        return words

    def _width_of(self, collective: str) -> dict[str, str]:
        if "dtype" in self._key:
            return {}
        dtypes = {m.target.dtype for m in self._calibration.network_laws if m.target.collective == collective}
        fitting = sorted(d for d in dtypes if d is not None and bits_of(d) == self._bits)
        return {"dtype": fitting[0]} if fitting else {}
