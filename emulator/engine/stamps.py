"""Clock readings around every operation of a step."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns
from types import TracebackType

from inferometer.parallel.line import Line


class Stamps:
    """An observer that reads the clock before and after every operation, and does little else: it is part of the step."""

    def __init__(self, clock: Callable[[], int] = perf_counter_ns) -> None:
        self._clock = clock
        self.ns: list[int] = []

    def around(self, line: Line, size: tuple[int, ...]) -> Stamps:
        return self

    def __enter__(self) -> None:
        self.ns.append(self._clock())

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.ns.append(self._clock())
