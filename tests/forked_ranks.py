"""Ranks forked from the process of the tests, which has imported torch already: 0.2 s instead of 4 s."""

from __future__ import annotations

import os
import pickle
import select
import signal
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any


def run_forked(
    folder: Path, size: int, function: Callable[..., Any], args: tuple, timeout_s: float, limit_s: float
) -> list[Any]:
    """The results of ``function(world, control, *args)`` on ``size`` gloo ranks, in rank order.

    Fails with the traceback of any rank that raises; a rank that does not answer within ``limit_s`` is named.
    """
    import torch  # noqa: F401 (before forking)

    meeting = folder / f"port-{time.monotonic_ns()}"
    pipes = []
    for rank in range(size):
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            _child(rank, size, meeting, writing, timeout_s, function, args)
        os.close(writing)
        pipes.append((pid, reading))
    return _collect(pipes, limit_s)


def _child(
    rank: int, size: int, meeting: Path, writing: int, timeout_s: float, function: Callable[..., Any], args: tuple
) -> None:
    import torch

    from inferometer.emulator.measure import scheduler
    from inferometer.parallel.torch_communicator import TorchCommunicator

    status = 1
    try:
        scheduler.set_class("rr" if scheduler.permitted("rr") else "other")
        torch.set_num_threads(1)
        store, control = _meet(rank, size, meeting, timeout_s)
        world = TorchCommunicator.world("gloo", store, rank, size, torch.device("cpu"), timeout_s)
        answer: tuple[str, Any] = ("result", function(world, control, *args))
        control.leave()
        status = 0
    except BaseException:
        answer = ("error", traceback.format_exc())
    data = pickle.dumps(answer)
    while data:
        data = data[os.write(writing, data) :]
    os._exit(status)


def _meet(rank: int, size: int, meeting: Path, timeout_s: float) -> Any:
    from datetime import timedelta

    import torch.distributed as dist

    from inferometer.parallel.control import Control

    limit = timedelta(seconds=timeout_s)
    if rank == 0:
        store = dist.TCPStore("127.0.0.1", 0, is_master=True, timeout=limit, wait_for_workers=False)
        meeting.with_suffix(".tmp").write_text(str(store.port))
        meeting.with_suffix(".tmp").rename(meeting)
        port = store.port
    else:
        while not meeting.exists():
            time.sleep(0.005)
        port = int(meeting.read_text())
        store = dist.TCPStore("127.0.0.1", port, is_master=False, timeout=limit, wait_for_workers=False)

    def connect() -> Any:
        again = dist.TCPStore("127.0.0.1", port, is_master=False, timeout=limit, wait_for_workers=False)
        return dist.PrefixStore("control", again)

    return dist.PrefixStore("c10d", store), Control(dist.PrefixStore("control", store), rank, size, timeout_s, connect)


def _collect(pipes: list[tuple[int, int]], limit_s: float) -> list[Any]:
    deadline = time.monotonic() + limit_s
    received = {reading: b"" for _, reading in pipes}
    open_pipes = set(received)
    while open_pipes and time.monotonic() < deadline:
        ready, _, _ = select.select(list(open_pipes), [], [], 0.5)
        for reading in ready:
            chunk = os.read(reading, 1 << 16)
            received[reading] += chunk
            if not chunk:
                open_pipes.remove(reading)
    for pid, reading in pipes:
        if reading in open_pipes:
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(reading)
    answers: list[tuple[str, Any]] = [
        pickle.loads(data) if data else ("error", "the rank died or hung") for data in received.values()
    ]
    errors = [f"rank {rank}:\n{text}" for rank, (kind, text) in enumerate(answers) if kind == "error"]
    assert not errors, "\n".join(errors)
    return [value for _, value in answers]
