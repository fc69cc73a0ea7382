"""The terms of a time: what it is made of, by name, in seconds."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from inferometer.emulator.workload.program import Size

#: Every price of a step has these.
ALWAYS = ("kernel_s", "network_latency_s", "network_bandwidth_s", "memory_s", "arithmetic_s")
#: These terms say what a part would take alone, at the device's best rates. All others add up to the time.
ALONE = frozenset({"memory_s", "arithmetic_s"})


class Terms(dict[str, Size]):
    """Seconds by name; a term that is not there is not known, or is none of this device's.

    kernel_s: starting kernels, and what an engine does between operations; network_latency_s, network_bandwidth_s: isolated
    collectives; in_step_s: what they cost in a step beyond that, where it was measured; roof_s: on a datasheet, the larger
    of memory and arithmetic time of each operation; compute_s: where it was measured, what each operation really takes
    beyond its start; host_s: waiting for a host that launches too slowly. memory_s, arithmetic_s: what all bytes, all FLOP
    would take alone. Operations run one after the other,
    so that roof_s, the sum of their maxima, is at least the larger of the two. Other devices may add terms of their own.
    """

    @classmethod
    def nothing(cls) -> Terms:
        """The terms that are always there, 0."""
        return cls(dict.fromkeys(ALWAYS, 0.0))

    @property
    def total_s(self) -> Size:
        """The sum of all terms but the ALONE ones."""
        total: Size = 0.0
        for name, value in self.items():
            if name not in ALONE:
                total = total + value
        return total

    def add(self, other: Mapping[str, Size], count: Size = 1) -> None:
        """Add other, so many times, in place."""
        for name, value in other.items():
            self[name] = self[name] + count * value if name in self else count * value


def larger(one: Size, other: Size) -> Size:
    """The maximum, element by element; a float of two numbers; NaN where either is."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.maximum(one, other)
    return other if other > one or other != other else one
