"""The ranks of a laboratory's hosts: forked from one process that has imported what they need, each in its host's network.

They find themselves started as by torchrun, with the first host's address to meet at; no agent stands between them.
"""

from __future__ import annotations

import ctypes
import gc
import os
import runpy
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from inferometer.launch.ranks.forked import PRELOADED
from inferometer.launch.ranks.wire_delay import enter

PR_SET_NAME = 15
POLL_S = 0.05
PATIENCE_S = 10.0
"""How long the other ranks may take to end once one has failed."""
SHOWN_LINES = 10


@dataclass(frozen=True)
class Command:
    """What the ranks run: arguments of ``inferometer``; where the first of them listens."""

    nodes: int
    per_node: int
    address: str
    port: int
    arguments: Sequence[str]


def start(command: Command, variables: Mapping[str, str], logs: Sequence[Path]) -> list[int]:
    """Fork the ranks; their process ids. logs: of each host, for what its ranks print; the first rank has the terminal."""
    for name in [*PRELOADED, "inferometer.launch.cli"]:
        import_module(name)
    gc.freeze()  # what was imported is never collected: looking through it would copy every page of it
    pids = []
    for rank in range(command.nodes * command.per_node):
        pid = os.fork()
        if pid == 0:
            _be(command, rank, variables, logs[rank // command.per_node])
        pids.append(pid)
    return pids


def _be(command: Command, rank: int, variables: Mapping[str, str], log: Path) -> None:
    """Be a rank, and leave."""
    status = 1
    try:
        host, local = divmod(rank, command.per_node)
        enter(f"/run/netns/host{host}")
        ctypes.CDLL(None).prctl(PR_SET_NAME, f"rank {rank} host {host}".encode(), 0, 0, 0)  # as ps and top show it
        if rank:
            with log.open("ab") as output:
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
        os.environ.clear()
        os.environ.update(variables)
        os.environ.update(
            RANK=str(rank), WORLD_SIZE=str(command.nodes * command.per_node), LOCAL_RANK=str(local),
            LOCAL_WORLD_SIZE=str(command.per_node), GROUP_RANK=str(host), MASTER_ADDR=command.address,
            MASTER_PORT=str(command.port),
        )  # fmt: skip
        sys.argv[1:] = command.arguments
        runpy.run_module("inferometer.launch", run_name="__main__")
        status = 0
    except SystemExit as left:
        status = left.code if isinstance(left.code, int) else int(left.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def see_through(pids: Sequence[int], wire: subprocess.Popen | None = None) -> list[int]:
    """Wait for all ranks; the exit status of each, negative for a signal. One that fails takes the others with it.

    wire: a process without which no rank goes on.
    """
    statuses: dict[int, int] = {}
    limit: float | None = None
    while len(statuses) < len(pids):
        try:
            for pid in set(pids) - set(statuses):
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    statuses[pid] = os.waitstatus_to_exitcode(status)
            if limit is None and any(statuses.values()):
                limit = time.monotonic() + PATIENCE_S
            if limit is None and wire is not None and wire.poll() is not None:
                print("inferometer: lab: the process that delays the frames has ended", file=sys.stderr)
                limit = time.monotonic()
            if limit is not None and time.monotonic() > limit:
                for pid in set(pids) - set(statuses):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(POLL_S)
        except KeyboardInterrupt:  # the ranks have got it too
            continue
    return [statuses[pid] for pid in pids]


def show_failures(statuses: Sequence[int], per_node: int, logs: Sequence[Path]) -> None:
    """On stderr: which ranks failed, and the end of what their hosts printed."""
    for host, log in enumerate(logs):
        ranks = range(host * per_node, (host + 1) * per_node)
        failed = [f"rank {rank}: {statuses[rank]}" for rank in ranks if statuses[rank]]
        if failed and log.exists() and log.stat().st_size:
            print(f"inferometer: host {host} failed (status of {', '.join(failed)}):", file=sys.stderr)
            print("\n".join(log.read_text(errors="replace").splitlines()[-SHOWN_LINES:]), file=sys.stderr)
