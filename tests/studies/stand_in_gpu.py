"""A GPU for machines without one: torch.cuda's surface on the processor, its tensors in the processor's memory.

Events read the host's clock, and the queue is empty at every call. A graph holds the operations that torch and its process
groups dispatched while it was captured, and the events recorded among them; a replay does them again on the same tensors.
As on a GPU, what is captured has not been carried out: tensors that were there before are as they were. What would end a
capture there is refused here: numbers read back, numbers that come from the host, results whose size depends on numbers.
Everything that a CudaDevice does is done, and its order is noted. Times mean nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter_ns
from types import SimpleNamespace
from typing import Any
from weakref import WeakSet

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from inferometer.parallel.device.cuda import CudaDevice

NAME, UUID = "NVIDIA H900", "11111111-2222-3333-4444-555555555555"
GIB = 1 << 30
WAITING = {
    "item", "tolist", "numpy", "cpu", "__bool__", "__int__", "__float__", "__index__", "nonzero", "argwhere", "unique",
    "masked_select", "bincount", "tensor", "as_tensor", "from_numpy", "equal", "allclose",
}  # fmt: skip
"""Calls into torch for which the host waits for the device, or the device for the host."""


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
        assert not self._external, "the host may find the event as the graph's last launch left it: wait for the device"

    def elapsed_time(self, other: Event) -> float:
        assert self.at is not None and other.at is not None
        return (other.at - self.at) / 1e6


class Held:
    """A captured graph."""

    def __init__(self) -> None:
        self.replay: Callable[[], None] | None = None


class Surface:
    """torch.cuda, as far as CudaDevice uses it. done: what was asked of it, in order. free_bytes: of the GPU."""

    def __init__(self, free_bytes: int = 100 * GIB) -> None:
        self.done: list[str] = []
        self.capturing = False
        self.captures: list[dict[str, Any]] = []
        self.graphs: WeakSet[Held] = WeakSet()
        """Those that somebody still holds."""
        self.captured: list[Callable[[], object]] = []
        """What the present capture holds so far."""
        self.free = free_bytes

    def Event(self, **how: Any) -> Event:  # noqa: N802 (torch's name)
        return Event(self, **how)

    def CUDAGraph(self) -> Held:  # noqa: N802
        made = Held()
        self.graphs.add(made)
        return made

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
        recorder = Recorder(held)
        with recorder, NoWaiting():
            super().record(graph, run)
        recorder.undo()

        @torch.inference_mode()
        def replay() -> None:
            self.surface.done.append("replay")
            for again in held:
                again()

        graph.replay = replay


class NoWaiting(TorchFunctionMode):
    """Refuses calls that no capture survives."""

    def __torch_function__(self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        assert getattr(function, "__name__", "") not in WAITING, f"{function.__name__} inside a capture"
        return function(*args, **(kwargs or {}))


class Recorder(TorchDispatchMode):
    """Notes every operation that is dispatched, so that it can be done again, and what it overwrites."""

    def __init__(self, held: list[Callable[[], object]]) -> None:
        super().__init__()
        self._held = held
        self._before: dict[int, tuple[torch.UntypedStorage, torch.UntypedStorage]] = {}
        """By address: memory that something may be written to, and a copy of what was there."""
        self._own: set[int] = set()
        """Addresses of memory that the capture itself has asked for."""

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        assert not _waits(function, args, kwargs), f"{function}: a number is read back inside a capture"
        given = {one.untyped_storage().data_ptr() for one in _tensors((args, kwargs))}
        for one in _tensors((args, kwargs)):
            self._keep(one.untyped_storage())
        found = function(*args, **kwargs)
        self._own |= {one.untyped_storage().data_ptr() for one in _tensors(found)} - given
        self._held.append(lambda: _do_again(function, args, kwargs, found))
        return found

    def _keep(self, storage: torch.UntypedStorage) -> None:
        at = storage.data_ptr()
        if at not in self._own and at not in self._before:
            self._before[at] = storage, storage.clone()

    def undo(self) -> None:
        """Leave everything that was there before as it was."""
        for storage, copy in self._before.values():
            storage.copy_(copy)


def _tensors(values: Any) -> list[torch.Tensor]:
    return [one for one in tree_flatten(values)[0] if isinstance(one, torch.Tensor)]


def _waits(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether the host needs numbers of the device to go on."""
    name = function._schema.name
    if name == "aten::repeat_interleave":
        return kwargs.get("output_size") is None and isinstance(args[-1], torch.Tensor)
    if name in ("aten::index", "aten::index_put_", "aten::index_put"):
        return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1])
    return bool({torch.Tag.dynamic_output_shape, torch.Tag.data_dependent_output} & set(function.tags))


def _do_again(function: Any, args: tuple[Any, ...], kwargs: Any, found: Any) -> None:
    """The operation once more, its results where they were the first time."""
    for old, new in zip(tree_flatten(found)[0], tree_flatten(function(*args, **kwargs))[0]):
        if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
            old.copy_(new)
        elif hasattr(new, "wait"):
            new.wait()
