"""What a measurement shows while it runs, where the streams are no terminals."""

from __future__ import annotations

import io
import re
import time

import pytest

from inferometer.emulator.report import table
from inferometer.emulator.report.progress import Display, Pace
from inferometer.launch.ranks.recorder import cell_event


@pytest.fixture
def streams():
    return io.StringIO(), io.StringIO()


@pytest.fixture
def display(streams):
    display = Display(*streams, "rows")
    display.open()
    return display


def test_rows_go_to_one_stream_and_the_talk_to_the_other(display, streams, cell):
    out, err = streams
    display.launch(0, 3, None)
    display({"event": "started", "pids": [1], "cells": 2})
    display(cell_event(cell()))
    display(cell_event(cell(unmeasured="no")))
    display({"event": "ended", "reason": "complete", "dropped": 0})
    display.close()
    lines = out.getvalue().splitlines()
    head = [*table.LEGEND.splitlines(), *table.HEADER.splitlines()]
    assert lines[: len(head)] == head
    assert lines[len(head)] == table.row(cell_event(cell())["row"])
    assert lines[len(head) + 1].endswith("not measured: no")
    assert lines[-1] == "wrong data: none"
    assert err.getvalue() == "launch 1 of 3\n"


@pytest.mark.parametrize(("shown", "lines", "talk"), [("table", 3, 1), ("progress", 0, 1), ("nothing", 0, 0)])
def test_how_much_is_shown(streams, cell, shown, lines, talk):
    display = Display(*streams, shown)
    display.open()
    display.launch(0, 1, None)
    for _ in range(200):
        display(cell_event(cell()))
    display.close()
    out, err = streams
    assert (len(out.getvalue().splitlines()), len(err.getvalue().splitlines())) == (lines, talk)


def test_the_time_left_is_pace_or_deadline_and_the_later_launches(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("inferometer.emulator.report.progress.time.monotonic", lambda: now[0])
    pace = Pace()
    assert pace.left_s() is None
    pace.launch(0, 3, 150.0)
    assert pace.left_s() == pytest.approx(150.0)  # three launches, 50 s each by their deadline
    pace.cells, pace.done, now[0] = 10, 5, 120.0
    assert pace.left_s() == pytest.approx(20 + 40 + 40)  # 5 cells took 20 s
    pace.done, now[0] = 10, 140.0
    pace.launch(1, 3, 200.0)
    assert pace.left_s() == pytest.approx(40 + 40)
    pace.cells, pace.done, now[0] = 10, 1, 160.0
    assert pace.left_s() == pytest.approx(40 + (40 + 60) / 2)  # the deadline cuts the pace


def test_dropped_cells_are_said_with_the_reason(display, streams):
    display({"event": "ended", "reason": "budget", "dropped": 7})
    assert streams[1].getvalue() == "7 cells not reached (budget)\n"


def test_other_events_are_passed_over(display, streams):
    before = streams[0].getvalue()
    display({"event": "fault", "text": "x"})
    display({"event": "doing", "text": "in all_reduce"})
    assert (streams[0].getvalue(), streams[1].getvalue()) == (before, "")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("columns", [80, 100])
def test_on_a_terminal_there_is_one_line_that_fits(cell, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    out, err = Terminal(), Terminal()
    display = Display(out, err)
    display.open()
    display.launch(0, 3, time.monotonic() + 100)
    display({"event": "started", "pids": [1], "cells": 2})
    display({"event": "doing", "text": "in all_reduce of 65536 bytes on ranks 0 to 3, all groups at once, \x1b[31misolated"})
    display(cell_event(cell()))
    display.close()
    assert "launch 1/3" in err.getvalue() and "all_reduce of 65536" in err.getvalue() and " left" in err.getvalue()
    assert "\x1b[31m" not in err.getvalue()
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", err.getvalue())
    assert max(len(line) for line in re.split("[\r\n]", plain)) <= columns
    assert max(len(line) for line in out.getvalue().splitlines()) <= 80
