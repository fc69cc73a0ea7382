"""Clock readings around every operation of a step, on the timeline of the device that computes."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from inferometer.parallel.device.device import Clock
from inferometer.parallel.line import Line


class Stamps:
    """An observer that marks the time before and after every operation, and does little else: it is part of the step."""

    def __init__(self, clock: Clock) -> None:
        self._mark = clock.mark
        self.marks: list[Any] = []

    def around(self, line: Line, size: tuple[int, ...]) -> Stamps:
        return self

    def __enter__(self) -> None:
        self.marks.append(self._mark())

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.marks.append(self._mark())
