"""What a running launch tells whoever shows it: plain dicts, in the same process or through a named pipe.

{"event": "started", "pids": [...], "cells": 120}     the ranks have found each other
{"event": "doing", "text": "in all_reduce of …"}      a cell begins; of an emulation (with "cell", "phase") a phase of it
{"event": "cell", "row": …}                           a cell is done and in the samples file
{"event": "ended", "reason": "complete"}              complete, budget or interrupted
{"event": "fault", "text": "rank 2 died …"}           the launch has failed
"""

from __future__ import annotations

import json
import os
import select
from collections.abc import Callable
from pathlib import Path
from typing import Any

Event = dict[str, Any]
Listener = Callable[[Event], None]


class EventPipe:
    """The reading end, held by the process that started the ranks."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        # Non-blocking, so that opening does not wait for a writer; and opened for writing as well, so that the pipe does
        # not read as ended before the first rank has opened it or after the last has gone.
        self._reading = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self._rest = b""

    def wait(self, seconds: float) -> list[Event]:
        """The events that arrive within ``seconds``; returns at the first of them."""
        ready, _, _ = select.select([self._reading], [], [], seconds)
        if not ready:
            return []
        *lines, self._rest = (self._rest + os.read(self._reading, 1 << 16)).split(b"\n")
        return [json.loads(line) for line in lines]

    def close(self) -> None:
        os.close(self._reading)
        self.path.unlink(missing_ok=True)


def pipe_writer(path: Path) -> Listener:
    """A listener that writes to the pipe. Each rank that has something to say opens its own."""
    pipe = os.open(path, os.O_WRONLY)

    def write(event: Event) -> None:
        os.write(pipe, json.dumps(event).encode() + b"\n")

    return write
