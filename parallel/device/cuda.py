"""A GPU as a device, through torch.cuda: events on the stream time it, graphs are captured and replayed.

``cuda`` is torch.cuda, or what stands in for it in tests: Event, Stream, CUDAGraph, graph, current_stream, synchronize,
set_device, get_device_properties, mem_get_info, _sleep.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter_ns
from typing import Any

import torch

from inferometer.parallel.device.attention import backend_of, without_plans
from inferometer.parallel.device.device import Clock, Graph, LaunchMode, NoGraphs, Run
from inferometer.parallel.device.gpus import state_of

ASSUMED_MHZ = 1500.0
"""Cycles of the delay kernel in a microsecond, where the clock is not known: only how far the host runs ahead depends on it.
"""
MIG_PREFIX, GPU_PREFIX = "MIG-", "GPU-"


class CudaClock:
    """A mark is an event on the current stream. captured: its marks may stand in a graph and read anew after a replay; the
    device is waited for then, for the host may find an event of a graph as the launch before has left it."""

    name = "cuda_event"

    def __init__(self, cuda: Any, *, captured: bool = False) -> None:
        self._cuda = cuda
        self._external = {"external": True} if captured else {}

    def mark(self) -> Any:
        event = self._cuda.Event(enable_timing=True, **self._external)
        event.record()
        return event

    def ns(self, marks: Sequence[Any]) -> list[int]:
        """In ns; the first mark reads as the host's clock does once the device has reached the last, less the time since.

        Differences add up from each mark to the next: an event's own number is a float32 of milliseconds.
        """
        if not marks:
            return []
        if self._external:
            self._cuda.synchronize()
        else:
            marks[-1].synchronize()
        end = perf_counter_ns()
        steps = [first.elapsed_time(second) * 1e6 for first, second in zip(marks, marks[1:])]
        at = [0.0]
        for step in steps:
            at.append(at[-1] + step)
        return [round(end - at[-1] + one) for one in at]


class CudaDevice:
    """See `device.Device`."""

    kind = "cuda"
    queued = True
    one_timeline = False
    """Events of two devices have no common origin; the host's clock is read too late to give them one."""
    launch_modes: tuple[LaunchMode, ...] = ("stream", "graph", "eager")

    def __init__(
        self, torch_device: torch.device, cuda: Any = None, state: Callable[[str | None], dict[str, Any]] = state_of
    ) -> None:
        self.torch_device = torch_device
        self.cuda = torch.cuda if cuda is None else cuda
        self.clock: Clock = CudaClock(self.cuda)
        self._state = state
        without_plans(torch)

    def synchronize(self) -> None:
        self.cuda.synchronize(self.torch_device)

    def delay(self, ns: int) -> None:
        self.cuda._sleep(max(1, round(ns * ASSUMED_MHZ / 1e3)))

    def capture(self, run: Run) -> Graph:
        graph = self.cuda.CUDAGraph()
        self.synchronize()
        self.record(graph, run)
        self.synchronize()
        captured: Graph = graph
        return captured

    def record(self, graph: Any, run: Run) -> None:
        """Capture run into graph. NCCL's watchdog asks events in a thread of its own, which must not end the capture."""
        with self.cuda.graph(graph, capture_error_mode="thread_local"):
            run()

    def graph_clock(self) -> Clock:
        """Raises NoGraphs where torch is too old to have such events."""
        try:
            self.cuda.Event(enable_timing=True, external=True)
        except TypeError:
            raise NoGraphs(
                f"torch {torch.__version__} has no events for graphs: take a newer one, or launch_mode eager"
            ) from None
        return CudaClock(self.cuda, captured=True)

    def free_bytes(self) -> int | None:
        """What the driver has left and what torch keeps of this process's own."""
        free, _ = self.cuda.mem_get_info(self.torch_device)
        kept = self.cuda.memory_reserved(self.torch_device) - self.cuda.memory_allocated(self.torch_device)
        return int(free + kept)

    def identity(self) -> dict[str, Any]:
        properties = self.cuda.get_device_properties(self.torch_device)
        uuid = getattr(properties, "uuid", None)
        return {
            "kind": self.kind,
            "name": properties.name,
            "uuid": None if uuid is None else _prefixed(str(uuid)),
            "memory_bytes": int(properties.total_memory),
            "l2_bytes": int(getattr(properties, "L2_cache_size", 0)) or None,
            "multiprocessors": int(properties.multi_processor_count),
            "capability": f"{properties.major}.{properties.minor}",
        }

    def state(self) -> dict[str, Any]:
        return self._state(self.identity()["uuid"])

    def attention(self, q: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, *, causal: bool) -> str:
        return backend_of(torch, q, keys, values, causal=causal)


def _prefixed(uuid: str) -> str:
    """As nvidia-smi writes it; torch leaves the prefix out."""
    return uuid if uuid.startswith((GPU_PREFIX, MIG_PREFIX)) else GPU_PREFIX + uuid
