"""A GPU for machines without one: torch.cuda's surface on the processor, its tensors in the processor's memory.

Events read the host's clock, and the queue is empty at every call. A graph holds the operations that torch and its process
groups dispatched while it was captured, and the events recorded among them; a replay does them again on the same tensors.
Everything that a CudaDevice does is done, and its order is noted. Times mean nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter_ns
from types import SimpleNamespace
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from inferometer.parallel.device.cuda import CudaDevice

NAME, UUID = "NVIDIA H900", "11111111-2222-3333-4444-555555555555"
GIB = 1 << 30


class Event:
    """As torch.cuda.Event; inside a capture only one that is external."""

    def __init__(self, surface: Surface, *, enable_timing: bool = False, external: bool = False) -> None:
        assert enable_timing, "an event without timing reads nothing"
        self._surface, self._external = surface, external
        self.at: int | None = None

    def record(self) -> None:
        assert self._external == self._surface.capturing, "an event is external where it is captured, and only there"
        if self._surface.capturing:
            self._surface.captured.append(self._now)
        else:
            self._now()

    def _now(self) -> None:
        self._surface.done.append("event")
        self.at = perf_counter_ns()

    def synchronize(self) -> None:
        self._surface.done.append("wait")
        assert self.at is not None, "waits for an event that nobody has recorded"

    def elapsed_time(self, other: Event) -> float:
        assert self.at is not None and other.at is not None
        return (other.at - self.at) / 1e6


class Surface:
    """torch.cuda, as far as CudaDevice uses it. done: what was asked of it, in order. free_bytes: of the GPU."""

    def __init__(self, free_bytes: int = 100 * GIB) -> None:
        self.done: list[str] = []
        self.capturing = False
        self.captures: list[dict[str, Any]] = []
        self.captured: list[Callable[[], object]] = []
        """What the present capture holds so far."""
        self.free = free_bytes

    def Event(self, **how: Any) -> Event:  # noqa: N802 (torch's name)
        return Event(self, **how)

    def CUDAGraph(self) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(replay=None)

    @contextmanager
    def graph(self, graph: Any, **how: Any) -> Iterator[None]:
        assert not self.capturing
        self.captures.append(how)
        self.capturing = True
        try:
            yield
        finally:
            self.capturing = False

    def synchronize(self, device: Any = None) -> None:
        assert not self.capturing, "waiting for the device ends a capture"
        self.done.append("synchronize")

    def _sleep(self, cycles: int) -> None:
        assert cycles > 0 and not self.capturing
        self.done.append("delay")

    def mem_get_info(self, device: Any) -> tuple[int, int]:
        return self.free, 141 * GIB

    def memory_reserved(self, device: Any) -> int:
        return 3 * GIB

    def memory_allocated(self, device: Any) -> int:
        return 1 * GIB

    def get_device_properties(self, device: Any) -> SimpleNamespace:
        return SimpleNamespace(
            name=NAME, uuid=UUID, total_memory=141 * GIB, L2_cache_size=1 << 20, multi_processor_count=132, major=9, minor=0
        )


class StandInGpu(CudaDevice):
    """A CudaDevice whose tensors are the processor's, and whose graphs call again what they were captured from."""

    def __init__(self, surface: Surface | None = None, device: torch.device | None = None) -> None:
        self.surface = surface or Surface()
        super().__init__(device or torch.device("cpu"), cuda=self.surface, state=lambda uuid: {"sm_clock_mhz": 1980.0})

    def record(self, graph: Any, run: Callable[[], object]) -> None:
        self.surface.captured = held = []
        with Recorder(held):
            super().record(graph, run)

        @torch.inference_mode()
        def replay() -> None:
            self.surface.done.append("replay")
            for again in held:
                again()

        graph.replay = replay


class Recorder(TorchDispatchMode):
    """Notes every operation that is dispatched, so that it can be done again. What reads a number back is refused."""

    def __init__(self, held: list[Callable[[], object]]) -> None:
        super().__init__()
        self._held = held

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        assert "_local_scalar_dense" not in str(function), "a number is read back inside a capture"
        kwargs = kwargs or {}
        found = function(*args, **kwargs)
        self._held.append(lambda: _do_again(function, args, kwargs, found))
        return found


def _do_again(function: Any, args: tuple[Any, ...], kwargs: Any, found: Any) -> None:
    """The operation once more, its results where they were the first time."""
    for old, new in zip(tree_flatten(found)[0], tree_flatten(function(*args, **kwargs))[0]):
        if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
            old.copy_(new)
        elif hasattr(new, "wait"):
            new.wait()
