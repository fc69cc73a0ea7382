"""Who is to blame when a launch fails, found out by the ranks that are left.

A rank that raises says so itself. A rank that dies or stops says nothing: the others lose their connection or run into the
time limit, each writes down that it lost somebody, and whoever has written nothing after a moment is the one.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch.distributed as dist

from inferometer.parallel.control import Control, ControlError, Disagreement, Fault
from inferometer.parallel.device.faults import device_fault, watchdog_text
from inferometer.parallel.placement import HostReport, Placement

GRACE_S = 3.0
"""How long the ranks that are left wait for each other's word before they call a rank silent."""

LOST_SIGNS = (
    "connection closed",
    "connection reset",
    "timed out",
    "timeout",
    "broken pipe",
    "socket",
    "closed by peer",
)


class Terminated(Exception):
    """The launcher asked this rank to end, which it does when another rank has failed."""


class NoProgress(Exception):
    """The watchdog's word: a collective has not returned within the time limit."""


def kind_of(error: BaseException) -> str:
    """``lost``: peers are gone or silent; ``terminated``: told to end; ``raised``: the error is this rank's own."""
    if isinstance(error, Disagreement) or device_fault(error):
        return "raised"
    if isinstance(error, Terminated):
        return "terminated"
    if isinstance(error, (ControlError, NoProgress, dist.DistNetworkError, dist.DistBackendError)):
        return "lost"
    text = str(error).lower()
    return "lost" if isinstance(error, RuntimeError) and any(sign in text for sign in LOST_SIGNS) else "raised"


def report_failure(
    control: Control, error: BaseException, doing: str, hosts: Sequence[HostReport], logs: Mapping[int, Path]
) -> str | None:
    """Post this rank's fault; the text for the user on the one rank that is to show it, None on the others."""
    _write_down(error, logs.get(control.rank))
    kind = kind_of(error)
    mine = hosts[control.rank] if control.rank < len(hosts) else None
    control.post_fault(kind, message_of(error, mine, logs.get(control.rank)), doing)
    if kind != "raised":
        _wait_for_words(control, hosts)
    if not control.claim("reporter"):
        return None
    faults, states = control.faults(), {rank: process_state(host) for rank, host in enumerate(hosts)}
    nodes = Placement.from_reports(hosts).node_of if hosts else ()
    text = explain(control.world_size, faults, states, logs, nodes)
    _kill_silent(faults, states, hosts)
    return text


def message_of(error: BaseException, host: HostReport | None, log: Path | None) -> str:
    """The error in a line; of a device's its GPU first, of a hung collective what NCCL's watchdog has logged of it."""
    words = f"{type(error).__name__}: {first_line(error)}"
    fault = device_fault(error)
    if fault and host and host.gpu:
        words = f"{host.gpu} {fault}: {words}"
    watched = watchdog_text(log) if log and not fault else None
    return f"{words} ({watched})" if watched else words


def _wait_for_words(control: Control, hosts: Sequence[HostReport]) -> None:
    deadline = time.monotonic() + GRACE_S
    while time.monotonic() < deadline:
        silent = set(range(control.world_size)) - set(control.faults())
        if not silent or (hosts and all(process_state(hosts[rank]) in ("gone", "stopped") for rank in silent)):
            return
        time.sleep(0.1)


def _kill_silent(faults: Mapping[int, Fault], states: Mapping[int, str], hosts: Sequence[HostReport]) -> None:
    """End the stopped ranks of this machine: they take no other signal, and their launcher would wait for them."""
    for rank, state in states.items():
        if rank not in faults and state == "stopped":
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(hosts[rank].pid, signal.SIGKILL)


def explain(
    world_size: int,
    faults: Mapping[int, Fault],
    states: Mapping[int, str],
    logs: Mapping[int, Path],
    nodes: Sequence[int] = (),
) -> str:
    """One or two lines: which rank, how, in which collective and size, where its log is. nodes: of each rank, if known."""
    raised = {rank: fault for rank, fault in faults.items() if fault.kind == "raised"}
    silent = [rank for rank in range(world_size) if rank not in faults]
    ended = [rank for rank, fault in faults.items() if fault.kind == "terminated"]
    if ended and states:  # a launcher ends everybody when one has died; where nobody has, it was these that were told to go
        silent = [rank for rank in silent if states.get(rank) in ("gone", "stopped")]
    doing = _common(fault.doing for fault in (raised or faults).values())
    if raised:
        blamed = min(raised)
        words = f"rank {blamed} failed {doing}: {raised[blamed].message}"
        if len(raised) > 1:
            words += f" (and so did rank {', '.join(str(r) for r in sorted(raised) if r != blamed)})"
    elif silent:
        blamed = silent[0]
        how = {"gone": "died", "stopped": "is stopped"}.get(states.get(blamed, ""), "does not answer")
        also = f" (and rank {', '.join(map(str, silent[1:]))})" if silent[1:] else ""
        words = f"rank {blamed}{also} {how}; the others were {doing}"
    elif ended:
        blamed = min(ended)
        words = f"rank {', '.join(map(str, sorted(ended)))} was terminated from outside; it was {faults[blamed].doing}"
    else:
        blamed = min(faults)
        words = f"the ranks lost each other {doing}: rank {blamed} says {faults[blamed].message}"
    if len(set(nodes)) > 1:
        words = words.replace(f"rank {blamed}", f"rank {blamed} (node {nodes[blamed]})", 1)
    return f"{words}; its log: {logs[blamed]}" if blamed in logs else words


def _write_down(error: BaseException, log: Path | None) -> None:
    """The traceback goes to the rank's log; rank 0 under a launcher has the terminal, where one line is enough."""
    with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
        out = sys.stderr
        if log is not None:
            log.parent.mkdir(parents=True, exist_ok=True)
            out = stack.enter_context(log.open("a"))
        traceback.print_exception(error, file=out)


def meeting_lost(rank: int, doing: str, error: BaseException, logs: Mapping[int, Path]) -> str:
    """What a rank says that can reach nobody: rank 0, where all meet, has died with its node, or the link to it is down."""
    words = f"rank 0, where all ranks meet, does not answer; rank {rank} was {doing}"
    return f"{words} ({type(error).__name__}: {first_line(error)}); its log: {logs[rank]}"


def _common(texts: Iterable[str]) -> str:
    """What most of the ranks were doing."""
    listed = list(texts)
    # Ranks that were only waiting know less than those in the middle of a collective.
    busy = [text for text in listed if not text.startswith("waiting")] or listed
    return max(set(busy), key=busy.count) if busy else "starting up"


def process_state(host: HostReport) -> str:
    """``gone``, ``stopped`` or ``running`` for a process of this machine, ``unknown`` for another's."""
    try:
        if Path("/proc/sys/kernel/random/boot_id").read_text().strip() != host.boot_id:
            return "unknown"
        state = Path(f"/proc/{host.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return "gone"
    except (OSError, IndexError):
        return "unknown"
    return {"T": "stopped", "t": "stopped", "Z": "gone", "X": "gone"}.get(state, "running")


def first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else "no message"


def end_process(status: int) -> None:
    """Leave at once: after a failure the process groups cannot be taken down in order."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
