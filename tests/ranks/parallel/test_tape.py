"""The tape: whatever is not the next line is refused, with both named."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

torch = pytest.importorskip("torch")

from inferometer.parallel.axes import Axis  # noqa: E402
from inferometer.parallel.line import Line  # noqa: E402
from inferometer.parallel.tape import OffTape, Tape  # noqa: E402

X, W = torch.ones(3, 4), torch.ones(4, 5)


class Pair:
    """A group of two whose other rank sends ones."""

    size = 2

    def all_reduce(self, x):
        x += 1


def tape(*lines, observer=None):
    made = Tape({"tensor": Axis("tensor", 2, 0, Pair()), "ep": Axis("ep")}, observer)
    made.load(lines)
    return made


def test_the_expected_operations_are_carried_out():
    t = tape(Line("up", "matmul", (3, 4, 5)), Line("sum", "all_reduce", (60,), "tensor", 2))
    y = t.all_reduce("sum", "tensor", t.matmul("up", X, W))
    t.finish()
    assert torch.equal(y, torch.full((3, 5), 5.0))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            Line("down", "matmul", (3, 4, 5)),
            r"line 1 of 1 is down: matmul 3 × 4 × 5 .*the layers came to up: matmul 3 × 4 × 5",
        ),
        (Line("up", "matmul", (3, 4, 6)), "is up: matmul 3 × 4 × 6 .*came to up: matmul 3 × 4 × 5"),
        (Line("up", "stream"), "is up: stream; the layers came to up: matmul"),
    ],
)
def test_another_operation_is_refused(line, words):
    with pytest.raises(OffTape, match=words):
        tape(line).matmul("up", X, W)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (Line("sum", "all_reduce", (44,), "tensor", 2), "all_reduce 44 bytes over 2 ranks of tensor; .*all_reduce 48 bytes"),
        (Line("sum", "all_reduce", (48,), "tp", 2), "over 2 ranks of tp; .*over 2 ranks of tensor"),
        (Line("sum", "all_reduce", (48,), "tensor", 4), "over 4 ranks of tensor; .*over 2 ranks of tensor"),
    ],
)
def test_another_group_or_size_is_refused_before_anything_is_sent(line, words):
    x = X.clone()
    with pytest.raises(OffTape, match=words):
        tape(line).all_reduce("sum", "tensor", x)
    assert torch.equal(x, X)


def test_more_or_less_than_the_list_is_refused():
    t = tape(Line("up", "matmul", (3, 4, 5)), Line("down", "matmul", (3, 4, 5)))
    t.matmul("up", X, W)
    with pytest.raises(OffTape, match="goes on with down: matmul"):
        t.finish()
    t.matmul("down", X, W)
    t.finish()
    with pytest.raises(OffTape, match="line 3 of 2 is the end"):
        t.matmul("up", X, W)


def test_alone_on_an_axis_there_is_no_collective():
    t = tape()
    assert torch.equal(t.all_reduce("sum", "ep", X), X)
    assert torch.equal(t.all_gather("gather", "ep", X), X[None])
    assert torch.equal(t.reduce_scatter("scatter", "ep", X[None]), X)


def test_what_depends_on_data_is_recorded_beside_the_expectation():
    line = Line("up", "matmul", (7, 4, 5), varies=True)
    t = tape(line)
    t.matmul("up", X, W)
    assert t.varied == [(line, 3)]
    with pytest.raises(OffTape):
        tape(line._replace(size=(3, 4, 6))).matmul("up", X, W)


def test_an_observer_sees_every_operation_from_start_to_stop():
    events = []

    class Observer:
        @contextmanager
        def around(self, line, size):
            events.append(("start", line.name, size))
            yield
            events.append(("stop", line.name))

    t = tape(Line("up", "matmul", (9, 4, 5), varies=True), Line("norm", "stream"), observer=Observer())
    t.matmul("up", X, W)
    with t.stream("norm"):
        events.append("work")
    assert events == [("start", "up", (3, 4, 5)), ("stop", "up"), ("start", "norm", ()), "work", ("stop", "norm")]
