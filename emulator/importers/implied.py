"""How many ranks a table implies: busbw / algbw is a function of the rank count, known as far as the digits go.

nccl-tests (doc/PERFORMANCE.md): busbw = algbw·2(n−1)/n for all_reduce, ·(n−1)/n for all_gather, reduce_scatter,
alltoall, gather and scatter, ·1 for broadcast, reduce and sendrecv.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from inferometer.parallel.collectives import COLLECTIVES

#: nccl-tests' names → m of busbw/algbw = m(n−1)/n; 0 where it is 1 whatever n is.
PASSES = {
    **{
        record.tools.tests: record.traffic.passes if record.traffic.sharded else 0
        for record in COLLECTIVES.values()
        if record.tools.tests
    },
    "alltoallv": 1,
}
TINY = 1e-9
_HUNDREDTH = 0.005
"""Of two decimals, which nearly all numbers have."""
_HALVES = tuple(0.5 * 10.0**-n for n in range(13))


@dataclass(frozen=True)
class Ratio:
    """busbw / algbw lies in [low, high]; low > high: no single ratio fits all cells."""

    low: float = 0.0
    high: float = math.inf

    @property
    def known(self) -> bool:
        return self.high < math.inf

    def ranks(self, collective: str) -> tuple[int, int | None] | None:
        """The least and the largest rank count (None: no bound) that fit; None where none does."""
        m = PASSES.get(collective, 0)
        if m == 0:
            return (1, None) if self.low <= 1 + TINY and self.high >= 1 - TINY else None
        low = m / (m - self.low) if self.low < m else math.inf
        high = m / (m - self.high) if self.high < m else math.inf
        if low > high + TINY or low == math.inf:
            return None
        least = max(1, math.ceil(low - 1e-6))
        largest = None if high == math.inf else math.floor(high + 1e-6)
        return (least, largest) if largest is None or largest >= least else None

    def allows(self, collective: str, ranks: int) -> bool:
        found = self.ranks(collective)
        return found is not None and found[0] <= ranks and (found[1] is None or ranks <= found[1])


def ratio_of(cells: Iterable[Sequence[str]]) -> Ratio:
    """What all cells (printed algbw, printed busbw) agree on, each known to half a unit of its last digit."""
    low, high = 0.0, math.inf
    for algbw, busbw in cells:
        a, b = float(algbw), float(busbw)
        half_a = _HUNDREDTH if algbw[-3:-2] == "." else half_unit(algbw)
        half_b = _HUNDREDTH if busbw[-3:-2] == "." else half_unit(busbw)
        if a <= half_a:
            continue  # printed as 0.00: nothing is known
        if (least := (b - half_b) / (a + half_a)) > low:
            low = least
        if (most := (b + half_b) / (a - half_a)) < high:
            high = most
    return Ratio(max(0.0, low - TINY), high + TINY)


def two_digits(printed: str) -> bool:
    """Whether a printed number is at least ten units of its last digit: 0.03 says too little."""
    return float(printed) >= 19.99 * half_unit(printed)


def half_unit(printed: str) -> float:
    """Half a unit of the last printed digit: 0.005 for 12.90, 0.5 for 15, 500 for 2e+03."""
    if printed[-3:-2] == ".":
        return _HUNDREDTH
    point = printed.find(".")
    if point >= 0 and "e" not in printed and "E" not in printed and len(printed) - point <= len(_HALVES):
        return _HALVES[len(printed) - point - 1]
    if printed.isdigit():
        return 0.5
    exponent = Decimal(printed).as_tuple().exponent
    return 0.5 * 10.0**exponent if isinstance(exponent, int) and exponent < 300 else math.inf
