"""Events through a named pipe."""

from __future__ import annotations

import json
import os
import threading

import pytest

from inferometer.launch.ranks.events import EventPipe, pipe_writer


@pytest.fixture
def pipe(tmp_path):
    pipe = EventPipe(tmp_path / "events")
    yield pipe
    if pipe.path.exists():
        pipe.close()


def all_of(pipe, count):
    events = []
    while len(events) < count:
        arrived = pipe.wait(10)
        assert arrived, f"only {events} of {count} arrived"
        events += arrived
    return events


def test_events_arrive_as_they_were_sent(pipe):
    write = pipe_writer(pipe.path)
    sent = [{"event": "cell", "row": {"median": 1.5, "name": "µ\n"}}, {"event": "ended", "reason": "complete"}]
    for event in sent:
        write(event)
    assert all_of(pipe, 2) == sent
    assert pipe.wait(0) == []


def test_a_line_in_pieces_is_one_event(pipe):
    line = json.dumps({"event": "cell", "number": 7}).encode() + b"\n"
    writing = os.open(pipe.path, os.O_WRONLY)
    os.write(writing, line[:9])
    assert pipe.wait(5) == []
    os.write(writing, line[9:] + line[:3])
    assert pipe.wait(5) == [{"event": "cell", "number": 7}]
    os.write(writing, line[3:])
    os.close(writing)
    assert pipe.wait(5) == [{"event": "cell", "number": 7}]


def test_two_writers_do_not_tear_each_others_lines(pipe):
    def send(writer):
        write = pipe_writer(pipe.path)
        for number in range(200):
            write({"writer": writer, "number": number, "padding": "x" * 500})

    threads = [threading.Thread(target=send, args=(writer,)) for writer in range(2)]
    for thread in threads:
        thread.start()
    events = all_of(pipe, 400)
    for thread in threads:
        thread.join()
    for writer in range(2):
        assert [event["number"] for event in events if event["writer"] == writer] == list(range(200))


def test_the_pipe_does_not_end_when_its_writers_go(pipe):
    writing = os.open(pipe.path, os.O_WRONLY)
    os.close(writing)
    assert pipe.wait(0) == []
    pipe_writer(pipe.path)({"event": "late"})
    assert pipe.wait(5) == [{"event": "late"}]


def test_a_closed_pipe_leaves_no_file(pipe):
    pipe.close()
    assert not pipe.path.exists()
