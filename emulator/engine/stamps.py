"""Clock readings around every operation of a step, on the timeline of the device that computes."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter_ns
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from inferometer.emulator.errors import RunFailed
from inferometer.parallel.line import Line

if TYPE_CHECKING:
    import torch


class Clock(Protocol):
    """Marks on a device's timeline. Whatever times computing on another device needs one more class of this kind."""

    launch_mode: str
    """How operations get onto the device: see the key of compute laws."""

    def mark(self) -> Any:
        """Note this moment of the device's work: after what was started before, ahead of what comes next."""

    def ns(self, marks: Sequence[Any]) -> list[int]:
        """What the marks read, in ns from one origin; waits until the device has reached them all."""


class HostClock:
    """For devices whose operations are over when the call returns: a mark is a reading of the host's clock."""

    launch_mode = "host"
    mark = staticmethod(perf_counter_ns)

    def ns(self, marks: Sequence[Any]) -> list[int]:
        return list(marks)


def clock_of(device: torch.device) -> Clock:
    """Raises RunFailed for a device on which no computing is timed yet."""
    if device.type != "cpu":
        raise RunFailed(f"computing is timed on CPUs only, not on {device.type}")
    return HostClock()


class Stamps:
    """An observer that marks the time before and after every operation, and does little else: it is part of the step."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._mark = (clock or HostClock()).mark
        self.marks: list[Any] = []

    def around(self, line: Line, size: tuple[int, ...]) -> Stamps:
        return self

    def __enter__(self) -> None:
        self.marks.append(self._mark())

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.marks.append(self._mark())
