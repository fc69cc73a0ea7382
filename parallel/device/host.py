"""The processor's cores as a device: calls return with the result, and the host's clock times them."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from time import perf_counter_ns
from typing import Any

import torch

from inferometer.parallel.device.device import Clock, Graph, LaunchMode, NoGraphs, Run


class HostClock:
    """A mark is a reading of the host's clock."""

    name = "CLOCK_MONOTONIC"
    mark = staticmethod(perf_counter_ns)

    def ns(self, marks: Sequence[Any]) -> list[int]:
        return list(marks)


class HostDevice:
    """See `device.Device`."""

    kind = "cpu"
    queued = False
    one_timeline = True
    launch_modes: tuple[LaunchMode, ...] = ("host",)

    def __init__(self) -> None:
        self.torch_device = torch.device("cpu")
        self.clock: Clock = HostClock()

    def synchronize(self) -> None: ...

    def delay(self, ns: int) -> None: ...

    def capture(self, run: Run) -> Graph:
        raise NoGraphs("a processor's operations are over when the call returns: there is nothing to capture")

    def graph_clock(self) -> Clock:
        raise NoGraphs("a processor has no graphs")

    def free_bytes(self) -> int | None:
        return None

    def identity(self) -> dict[str, Any]:
        return {"kind": self.kind, "name": platform.processor() or platform.machine()}

    def state(self) -> dict[str, Any]:
        return {}

    def attention(self, q: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, *, causal: bool) -> str:
        return "torch cpu"
