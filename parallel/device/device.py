"""The one face of what a rank computes on: its clock, its queue, its graphs, its memory, what it says of itself.

Everything that depends on the kind of device asks here. Two implementations: `host` (the processor's cores) and `cuda`
(a GPU through torch.cuda). A third is one more module of this folder and its line in `here.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import torch

Run = Callable[[], object]
LaunchMode = Literal["host", "graph", "stream", "eager"]
"""How operations reach a device. host: the call returns when it is done. eager: the device has nothing else to do when
the call is made, so the time holds the host's launch. stream: the queue is never empty. graph: a captured graph is
replayed."""


class Clock(Protocol):
    """Marks on a device's timeline."""

    name: str
    """As samples have it: CLOCK_MONOTONIC, cuda_event."""

    def mark(self) -> Any:
        """Note this moment of the device's work: after what was started before, ahead of what comes next."""

    def ns(self, marks: Sequence[Any]) -> list[int]:
        """What the marks read, in ns from one origin; waits until the device has reached them all."""


class Graph(Protocol):
    """Work that was captured once and is launched as a whole."""

    def replay(self) -> None:
        """Queue it all again, on the same tensors."""


class Device(Protocol):
    """What one rank computes on. ``torch_device`` is where its tensors lie."""

    torch_device: torch.device
    kind: str
    """cpu or cuda."""
    clock: Clock
    queued: bool
    """Whether a call returns before its work is done: reading a result back then stalls the queue."""
    one_timeline: bool
    """Whether marks of several ranks of one machine can be compared."""
    launch_modes: tuple[LaunchMode, ...]
    """Those in which its operations can be launched; the first is that of a plain call in a queue."""

    def synchronize(self) -> None:
        """Wait until everything queued has finished."""

    def delay(self, ns: int) -> None:
        """Keep the queue busy for about so long, so that the host can run ahead of it; nothing without a queue."""

    def capture(self, run: Run) -> Graph:
        """The work that run() queues, as a graph. run is called once, and must have run before.

        Raises NoGraphs where the device has none.
        """

    def graph_clock(self) -> Clock:
        """A clock whose marks may be captured: after each replay they read anew. Raises NoGraphs as capture does."""

    def free_bytes(self) -> int | None:
        """Memory that this rank could still get; None where the processes of the machine share it (see the environment)."""

    def identity(self) -> dict[str, Any]:
        """What it is, as JSON-able data: kind, name, and of a GPU uuid, memory, L2, multiprocessors."""

    def state(self) -> dict[str, Any]:
        """How it runs now: clocks, power, temperature, throttle reasons; unknown is None. Read, never set."""

    def attention(self, q: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, *, causal: bool) -> str:
        """The name of the implementation that scaled_dot_product_attention takes for these."""


class NoGraphs(RuntimeError):
    """The device cannot capture its work."""


class NoRoom(MemoryError):
    """What is about to be allocated exceeds what is free; the message has the arithmetic."""


def check_room(device: Device, needed_bytes: float, what: str) -> None:
    """Raise NoRoom where needed_bytes of what exceed the device's free memory: said before anything is allocated."""
    free = device.free_bytes()
    if free is not None and needed_bytes > free:
        raise NoRoom(
            f"{what} needs {needed_bytes / 2**30:.2f} GiB, but {free / 2**30:.2f} GiB are free on {words(device.identity())}"
        )


def words(identity: dict[str, Any]) -> str:
    """``NVIDIA H200 (GPU-5b1c…)``: a device in a message."""
    uuid = identity.get("uuid")
    return f"{identity.get('name') or identity['kind']}{f' ({uuid})' if uuid else ''}"
