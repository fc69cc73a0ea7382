"""A thread on every rank that ends it when a collective does not return.

gloo raises by itself at the group's time limit. MPI waits for ever, NCCL's own watchdog aborts without a word, and no
transport notices that the process which started the ranks has gone.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

LOOK_S = 0.5
MARGIN_S = 2.0
"""Transports that raise by themselves come first."""


class Watch:
    """Calls ``expired(seconds)`` from its thread when ``busy_since()`` lies further back than the limit."""

    def __init__(
        self,
        busy_since: Callable[[], float | None],
        timeout_s: float,
        expired: Callable[[float], None],
        parent: int | None,
    ) -> None:
        self._busy_since = busy_since
        self._limit_s = timeout_s + MARGIN_S
        self._expired = expired
        self._parent = parent
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._end.wait(LOOK_S):
            since = self._busy_since()
            if since is not None and time.monotonic() - since > self._limit_s:
                self._expired(time.monotonic() - since)
                return
            if self._parent is not None and not _alive(self._parent):
                os._exit(1)  # nobody is left to tell


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
