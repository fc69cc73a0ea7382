"""The tape: the list of operations that a rank is expected to carry out, with which every operation is compared.

All work that costs time goes through here: matmuls, attention, passes over activations, collectives. An operation that
is not the next line of the list, in name, kind, size or group, is an error that names both. A list made elsewhere (to be
priced, say) and what is executed can therefore not drift apart. It is also the one place where operations can be timed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol

import torch

from inferometer.parallel.axes import Axes, Axis
from inferometer.parallel.device.readback import Readback
from inferometer.parallel.line import Line


class Observer(Protocol):
    """What watches operations, to time them."""

    def around(self, line: Line, size: tuple[int, ...]) -> AbstractContextManager[object]:
        """What to do the operation in, of this executed size. It is part of what is timed: one for all costs least."""


class OffTape(RuntimeError):
    """An operation was not the next one expected; the message names both."""


class Tape:
    """Carries operations out on one rank and holds them against the lines loaded."""

    def __init__(self, axes: Axes, observer: Observer | None = None) -> None:
        self.axes = axes
        self.observer = observer
        self.varied: list[tuple[Line, int]] = []
        """Lines whose size depends on data, each with the size executed, since the last load."""
        self.readback = Readback()
        self._unwatched = _Unwatched()
        self._lines: Sequence[Line] = ()
        self._at = 0

    # -- the list ----------------------------------------------------------------------------------------------------

    def load(self, lines: Sequence[Line]) -> None:
        """Expect these lines next, as often as the tape is rewound."""
        self._lines = lines
        self._at = 0
        self.varied = []
        self.readback.begin()

    def rewind(self) -> None:
        """Expect the list from its start. Raises ``OffTape`` if the last run left lines over."""
        self.finish()
        self._at = 0

    def finish(self) -> None:
        """Raises ``OffTape`` if a run was begun and not carried to the end of the list."""
        if 0 < self._at < len(self._lines):
            raise OffTape(f"the list goes on with {self._lines[self._at]}, but the layers have ended")

    @property
    def doing(self) -> str:
        """The current operation, for whoever reports a failure."""
        return str(self._lines[self._at - 1]) if self._at else "nothing yet"

    # -- computations ------------------------------------------------------------------------------------------------

    def matmul(self, name: str, x: torch.Tensor, w: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        """x w + bias: [rows, inner] [inner, outer] → [rows, outer]."""
        with self._next(name, "matmul", (x.shape[0], *w.shape)):
            return x @ w if bias is None else torch.addmm(bias, x, w)

    def matmul_heads(self, name: str, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        """Each head's own x w: [heads, rows, inner] [heads, inner, outer] → [heads, rows, outer]."""
        with self._next(name, "matmul", (x.shape[0] * x.shape[1], *w.shape[1:])):
            return torch.bmm(x, w)

    def matmul_groups(
        self, name: str, x: torch.Tensor, counts: Sequence[int], w: torch.Tensor, bias: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Each group's rows times the group's own matrix: counts[e] rows of x by w[e], groups one after the other."""
        with self._next(name, "matmul", (x.shape[0], *w.shape[1:])):
            y = x.new_empty(x.shape[0], w.shape[2])
            start = 0
            for group, count in enumerate(counts):
                if count:
                    rows = slice(start, start + count)
                    if bias is None:
                        torch.mm(x[rows], w[group], out=y[rows])
                    else:
                        torch.addmm(bias[group], x[rows], w[group], out=y[rows])
                start += count
            return y

    def attention(self, name: str, flop: int) -> AbstractContextManager[object]:
        """``with tape.attention(name, flop): …``: scores, softmax, weighted values."""
        return self._next(name, "attention", (flop,))

    def stream(self, name: str) -> AbstractContextManager[object]:
        """``with tape.stream(name): …``: a pass over activations."""
        return self._next(name, "stream", ())

    # -- collectives: nothing where the rank is alone on the axis ------------------------------------------------------

    def all_reduce(self, name: str, axis: str, x: torch.Tensor) -> torch.Tensor:
        """The sum of x over the axis; x is spent."""
        along = self.axes[axis]
        if along.group is None:
            return x
        x = x.contiguous()
        with self._collective(name, "all_reduce", along, x):
            along.group.all_reduce(x)
        return x

    def all_gather(self, name: str, axis: str, x: torch.Tensor) -> torch.Tensor:
        """Every rank's x, in the order of the axis: [n, …] → [size, n, …]."""
        along = self.axes[axis]
        if along.group is None:
            return x.unsqueeze(0)
        x = x.contiguous()
        y = x.new_empty(along.size, *x.shape)
        with self._collective(name, "all_gather", along, y):
            along.group.all_gather(y.view(-1), x.view(-1))
        return y

    def reduce_scatter(self, name: str, axis: str, x: torch.Tensor) -> torch.Tensor:
        """This rank's block of the sum of x over the axis: [size, n, …] → [n, …]."""
        along = self.axes[axis]
        if along.group is None:
            return x[0]
        x = x.contiguous()
        y = torch.empty_like(x[0])
        with self._collective(name, "reduce_scatter", along, x):
            along.group.reduce_scatter(y.view(-1), x.view(-1))
        return y

    def all_to_all(self, name: str, axis: str, x: torch.Tensor, send: Sequence[int], receive: Sequence[int]) -> torch.Tensor:
        """send[j] rows of x to rank j, receive[i] rows from rank i: [Σ send, n] → [Σ receive, n]."""
        along = self.axes[axis]
        if along.group is None:
            return x
        x = x.contiguous()
        y = x.new_empty(sum(receive), *x.shape[1:])
        each = x[:1].numel() if len(x) else y[:1].numel()
        with self._collective(name, "all_to_all", along, x):
            along.group.all_to_all(y.view(-1), x.view(-1), [n * each for n in receive], [n * each for n in send])
        return y

    def send(self, name: str, axis: str, x: torch.Tensor, to: int) -> Callable[[], None]:
        """x to the rank at index ``to`` of the axis, which may take it later: the call returned waits until it has.

        Until then x must not be written. (A pipeline whose stages waited for each other's receiving would stand still.)
        """
        group = self.axes[axis].group
        assert group is not None, f"{name}: nobody else is on {axis}"
        x = x.contiguous()
        with self._next(name, "send", (x.nbytes,), axis, 2):
            return group.start_send(x, to)

    def receive(self, name: str, axis: str, y: torch.Tensor, source: int) -> torch.Tensor:
        """y, filled by the rank at index ``source`` of the axis."""
        group = self.axes[axis].group
        assert group is not None, f"{name}: nobody else is on {axis}"
        with self._next(name, "recv", (y.nbytes,), axis, 2):
            group.recv(y, source)
        return y

    # -- the one place that all pass -----------------------------------------------------------------------------------

    def _collective(self, name: str, kind: str, axis: Axis, whole: torch.Tensor) -> AbstractContextManager[object]:
        return self._next(name, kind, (whole.nbytes,), axis.name, axis.size)

    def _next(
        self, name: str, kind: str, size: tuple[int, ...], axis: str = "", ranks: int = 1
    ) -> AbstractContextManager[object]:
        line = self._lines[self._at] if self._at < len(self._lines) else None
        if line is None or (name, kind, axis, ranks) != (line.name, line.kind, line.axis, line.ranks):
            raise self._off(line, Line(name, kind, size, axis, ranks))
        if size != line.size and not (line.varies and size[1:] == line.size[1:]):
            raise self._off(line, Line(name, kind, size, axis, ranks))
        self._at += 1
        if line.varies:
            self.varied.append((line, size[0]))
        if self.observer is None:
            return self._unwatched
        return self.observer.around(line, size)

    def _off(self, line: Line | None, done: Line) -> OffTape:
        expected = line or "the end"
        return OffTape(f"line {self._at + 1} of {len(self._lines)} is {expected}; the layers came to {done}")


class _Unwatched:
    """Around an operation that nobody watches: nothing. (contextlib.nullcontext takes longer.)"""

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
