"""What a measurement shows while it runs, where the streams are no terminals."""

from __future__ import annotations

import io
import time

import pytest

from inferometer.emulator.report import table
from inferometer.emulator.report.progress import Display
from inferometer.launch.ranks.recorder import cell_event


@pytest.fixture
def streams():
    return io.StringIO(), io.StringIO()


@pytest.fixture
def display(streams):
    display = Display(*streams)
    display.open()
    return display


def test_the_table_goes_to_one_stream_and_the_talk_to_the_other(display, streams, cell):
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
    footer = lines[len(head) + 2 :]
    assert footer[0] == "# Out of bounds values : 0 OK" and footer[-1] == "#"
    assert err.getvalue() == "launch 1 of 3\n"


def test_every_fiftieth_cell_is_a_line_of_progress_with_the_time_left(display, streams, cell):
    display.launch(1, 2, time.monotonic() + 1000)
    display({"event": "started", "pids": [1], "cells": 120})
    for _ in range(101):
        display(cell_event(cell()))
    first, *talk = streams[1].getvalue().splitlines()
    assert first == "launch 2 of 2"
    assert [line.split(" left")[0].split(", at most ")[0] for line in talk] == ["50 of 120 cells", "100 of 120 cells"]
    assert all(line.endswith(" left") for line in talk)


def test_the_time_left_is_the_sooner_of_pace_and_deadline(display, cell, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("inferometer.emulator.report.progress.time.monotonic", lambda: now[0])
    display.launch(0, 1, 150.0)
    display({"event": "started", "pids": [1], "cells": 10})
    now[0] = 120.0
    for _ in range(5):
        display(cell_event(cell()))
    assert display._left_s() == pytest.approx(20.0)  # 5 cells took 20 s, 5 are left
    now[0] = 140.0
    assert display._left_s() == pytest.approx(10.0)  # the deadline
    now[0] = 160.0
    assert display._left_s() == 0.0


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


def test_on_a_terminal_the_lines_stand_above_a_bar(cell):
    out, err = Terminal(), Terminal()
    display = Display(out, err)
    display.open()
    display.launch(0, 1, None)
    display({"event": "started", "pids": [1], "cells": 2})
    display(cell_event(cell()))
    display.close()
    assert out.getvalue() == ""  # one terminal: all through the bar's console
    text = err.getvalue()
    assert "# Avg bus bandwidth" in text and "all_reduce" in text and "1/2" in text
