"""Many files, or large ones, are read by several processes side by side, each file by one of them."""

from __future__ import annotations

import gc
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from inferometer.emulator.samples.environment import usable_cores

T = TypeVar("T")
MANY_FILES = 400
LARGE_BYTES = 32 << 20
"""Of all files together: less is read sooner than processes start."""
MOST_PROCESSES = 16
AT_ONCE = 32
"""Files that a process is given at a time."""


def read_each(read: Callable[[str | Path], T], paths: Sequence[str | Path]) -> list[T]:
    """What read makes of each path, in their order; raises what it raises for the first path that it refuses."""
    processes = _processes(paths)
    if processes < 2:
        return [read(path) for path in paths]
    share = max(1, min(AT_ONCE, len(paths) // (2 * processes)))
    parts = [paths[at : at + share] for at in range(0, len(paths), share)]
    collecting = gc.isenabled()
    with ProcessPoolExecutor(processes, multiprocessing.get_context("fork"), initializer=gc.disable) as pool:
        gc.disable()  # what arrives is kept: looking through it again and again finds nothing
        try:
            return [one for found in pool.map(partial(_part, read), parts) for one in found]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        finally:
            if collecting:
                gc.enable()


def _part(read: Callable[[str | Path], T], paths: Iterable[str | Path]) -> list[T]:
    return [read(path) for path in paths]


def _processes(paths: Sequence[str | Path]) -> int:
    """1 where that is soonest, and where a copy of this process could not go on: beside threads, or without fork."""
    if len(paths) < 2 or threading.active_count() > 1 or not hasattr(os, "fork"):
        return 1
    if len(paths) < MANY_FILES and sum(Path(path).stat().st_size for path in paths) < LARGE_BYTES:
        return 1
    return min(MOST_PROCESSES, usable_cores(), len(paths))
