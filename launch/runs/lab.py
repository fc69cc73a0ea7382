"""A laboratory of hosts on one machine: network namespaces joined by a bridge, with a link of known rate and delay.

Everything lies in namespaces of its own (network, mounts, processes; as an ordinary user also users), which the kernel
removes with the last process in them: nothing is left behind, also where this process is killed.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from inferometer.emulator.errors import InputError
from inferometer.launch.ranks.environment import with_program
from inferometer.launch.ranks.hosts import LabJob
from inferometer.launch.ranks.identity import identity_from

PR_SET_PDEATHSIG = 1
MOST_HOSTS = 250
"""Of one network of addresses."""
PAIR = "ip link add name port0 type veth peer name eth0"
WIRE = "wire:"
"""Begins what the trial of a wire in user space says."""


@dataclass(frozen=True)
class LabSettings:
    """nodes: hosts; per_node: ranks on each; rate_bit_per_s and delay_us: of every host's link, one way, None for the bare
    wire's; own_cores: whether each host counts as a machine of its own when ranks are held against cores; port: where the
    first host listens for the others."""

    nodes: int = 2
    per_node: int = 1
    rate_bit_per_s: float | None = None
    delay_us: float | None = None
    own_cores: bool = False
    port: int = 29400


def lab(settings: LabSettings, arguments: Sequence[str]) -> int:
    """Run ``inferometer ARGUMENTS`` on the ranks of every host, as on so many machines; its exit status.

    Raises InputError for settings out of range, within a launcher, and where this machine forbids such hosts or its
    kernel lacks what the link needs.
    """
    if identity_from(os.environ) is not None:
        raise InputError("lab: starts its ranks itself, and cannot run under a launcher")
    limits = (
        ("--nodes", settings.nodes, MOST_HOSTS),
        ("--per-node", settings.per_node, 1 << 12),
        ("--port", settings.port, 65535),
    )
    for name, value, most in limits:
        if not 1 <= value <= most:
            raise InputError(f"{name} {value}: must be from 1 to {most}")
    reason = missing(settings)
    if reason:
        raise InputError(f"lab: {reason}")
    job = LabJob(
        nodes=settings.nodes, per_node=settings.per_node, rate_bit_per_s=settings.rate_bit_per_s,
        delay_us=settings.delay_us, netem=settings.delay_us is not None and netem(),
        own_cores=settings.own_cores, port=settings.port, arguments=list(arguments),
    )  # fmt: skip
    process = _inside("inferometer.launch.ranks.hosts", job.model_dump_json())
    try:
        return process.wait()
    except KeyboardInterrupt:  # the ranks have got it too, and end in order
        return process.wait()
    finally:
        process.kill()


def missing(settings: LabSettings) -> str | None:
    """Why this machine cannot have such hosts, in words; None where it can."""
    tools = [name for name in ("unshare", "ip", "tc", "mount") if shutil.which(name) is None]
    if tools:
        return f"needs unshare and mount (util-linux), ip and tc (iproute2); there is no {' and no '.join(tools)} here"
    said = _tried(_trial(settings))
    if said is None:
        return None
    if said.startswith(WIRE):
        return (
            f"--delay needs the kernel's netem, or raw sockets, which are refused here ({said.removeprefix(WIRE).strip()})"
        )
    return f"this machine does not permit hosts of its own ({said}): run as root, or where users may have namespaces"


def netem() -> bool:
    """Whether the kernel can delay the frames of a link."""
    return _tried(f"{PAIR} && tc qdisc add dev port0 root netem delay 1ms") is None


def _tried(script: str) -> str | None:
    """What a shell script in namespaces of its own says as it fails; None where it does not."""
    trial = subprocess.run(
        [*_namespaces(), "sh", "-c", script], capture_output=True, text=True, env=with_program(os.environ)
    )  # fmt: skip
    return None if trial.returncode == 0 else " ".join(trial.stderr.split()) or f"status {trial.returncode}"


def _trial(settings: LabSettings) -> str:
    """A shell script that tries every part once."""
    lines = ["set -e", "mount -t tmpfs tmpfs /run", "ip netns add one", PAIR]
    lines += ["ip link add name switch type bridge", "ip link set port0 master switch"]
    lines += ["tc qdisc add dev port0 root tbf rate 1gbit burst 128kb latency 100ms"] * (settings.rate_bit_per_s is not None)
    if settings.delay_us is not None and not netem():
        opened = "from inferometer.launch.ranks.wire import port_socket; port_socket('port0')"
        lines.append(f'said=$({shlex.quote(sys.executable)} -c "{opened}" 2>&1) || {{ echo "{WIRE} $said" >&2; exit 1; }}')
    return "\n".join(lines)


def _namespaces() -> list[str]:
    """The command that begins a process in namespaces of its own, all of which end with it."""
    users = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *users, "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]


def _inside(module: str, job: str) -> subprocess.Popen:
    """A module of this program in namespaces of its own, given a job; killed with this process."""
    libc = ctypes.CDLL(None)

    def with_parent() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    command = [*_namespaces(), sys.executable, "-m", module, job]
    return subprocess.Popen(command, env=with_program(os.environ), preexec_fn=with_parent, cwd=Path.cwd())
