"""The hosts of a laboratory, from inside its namespaces: ``python -m inferometer.launch.ranks.hosts JOB`` (a JSON text).

Hosts are network namespaces that reach each other through a bridge alone or, where they are to be some delay apart and the
kernel has no netem, through a process that holds frames back (`wire`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from inferometer.emulator.samples.lab import LAB_VARIABLE, LINK
from inferometer.launch.ranks.host_ranks import Command, see_through, show_failures, start
from inferometer.launch.ranks.wire import READY, mac_of
from inferometer.launch.ranks.wire_delay import inside, one_way_us, udp_socket

INTERFACE = "eth0"
NETWORK = "10.77.0"
QUEUE = "100ms"
"""How long a frame may wait for the link's rate before it is dropped."""
TCP = (("tcp_congestion_control", "reno"), ("tcp_slow_start_after_idle", "0"))
"""BBR would leave two per cent of a link unused, and send in bursts of its own."""
LEAST_BURST = 32 * 1024
BURSTS_PER_S = 1000
"""A token bucket lets so much through at once as the rate gives in a thousandth of a second, and at least a large frame."""


class LabJob(BaseModel):
    """See runs.lab.LabSettings; netem: whether the kernel has it; arguments: of ``inferometer``."""

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True)
    nodes: int
    per_node: int
    rate_bit_per_s: float | None
    delay_us: float | None
    netem: bool = True
    own_cores: bool = False
    port: int
    arguments: list[str]

    @property
    def own_wire(self) -> bool:
        """Whether a process delays the frames."""
        return self.delay_us is not None and not self.netem


def build(job: LabJob) -> None:
    """Make the hosts and their links."""
    _do("mount -t tmpfs tmpfs /run")  # ip keeps its names of namespaces there
    if not job.own_wire:
        _do("ip link add name switch type bridge")
        _do("ip link set switch up")
    for number in range(job.nodes):
        _do(f"ip netns add host{number}")
        _do(f"ip link add name port{number} type veth peer name {INTERFACE} address {mac_of(number)} netns host{number}")
        _do(f"ip link set port{number} {'' if job.own_wire else 'master switch '}addrgenmode none up")
        for line in (
            "link set lo up",
            f"address add {NETWORK}.{number + 1}/24 dev {INTERFACE}",
            f"link set {INTERFACE} addrgenmode none up",
        ):
            _do(f"ip -netns host{number} {line}")
        for line in link(job.rate_bit_per_s, job.delay_us if job.netem else None):
            _do(f"tc -netns host{number} qdisc add dev {INTERFACE} {line}")


def even(job: LabJob) -> None:
    """Let TCP send as the link permits: neither probing for more now and then, nor starting anew after a pause."""
    for number in range(job.nodes):
        with inside(f"/run/netns/host{number}"):
            for name, value in TCP:
                with suppress(OSError):  # where the kernel lacks it, or users may not choose
                    Path("/proc/sys/net/ipv4", name).write_text(value)


@contextmanager
def wire(job: LabJob) -> Iterator[subprocess.Popen | None]:
    """The process that delays the frames, None where the kernel does. Ends this process where it cannot begin."""
    if not job.own_wire:
        yield None
        return
    ports = [f"port{number}" for number in range(job.nodes)]
    command = [sys.executable, "-m", "inferometer.launch.ranks.wire", f"{job.delay_us:g}", *ports]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline() != READY:
                raise SystemExit("inferometer: lab: the process that delays the frames could not start")
            yield process
        finally:
            process.kill()


def told(job: LabJob) -> str:
    """What the ranks learn of their wire: as asked for, and as messages between the first two hosts find it."""
    known = {name: getattr(job, name) for name in LINK}
    if job.nodes > 1:
        ends = [udp_socket(f"/run/netns/host{number}", f"{NETWORK}.{number + 1}") for number in (0, 1)]
        try:
            known["one_way_us"] = one_way_us(ends[0], ends[1])
        except TimeoutError:
            raise SystemExit("inferometer: lab: the first two hosts do not reach each other") from None
        finally:
            for end in ends:
                end.close()
        print(f"inferometer: lab: one way takes {known['one_way_us']['median']:g} µs (UDP)", file=sys.stderr)
    return json.dumps(known)


def link(rate_bit_per_s: float | None, delay_us: float | None) -> list[str]:
    """What tc makes of a host's link: each frame leaves at the rate, and arrives the delay later."""
    lines = []
    if delay_us is not None:
        lines.append(f"root handle 1: netem delay {delay_us:g}us limit 100000")
    if rate_bit_per_s is not None:
        burst = max(LEAST_BURST, round(rate_bit_per_s / 8 / BURSTS_PER_S))
        where = "root" if delay_us is None else "parent 1:1"
        lines.append(f"{where} tbf rate {rate_bit_per_s:.0f}bit burst {burst} latency {QUEUE}")
    return lines


def run(job: LabJob, link_told: str, wire: subprocess.Popen | None = None) -> int:
    """Start the ranks of every host and see them through; the first rank's exit status, else that of one that failed.

    The first rank has the terminal; what the others say is shown where one of them fails. link_told: what `told` says.
    """
    variables = os.environ | {"GLOO_SOCKET_IFNAME": INTERFACE, "TORCH_CPP_LOG_LEVEL": "ERROR", LAB_VARIABLE: link_told}
    variables.setdefault("OMP_NUM_THREADS", "1")
    os.environ.update(variables)  # what torch reads as it is imported
    command = Command(job.nodes, job.per_node, f"{NETWORK}.1", job.port, job.arguments)
    with tempfile.TemporaryDirectory(prefix="inferometer-lab-") as folder:
        logs = [Path(folder, f"host{number}") for number in range(job.nodes)]
        statuses = see_through(start(command, variables, logs), wire)
        show_failures(statuses, job.per_node, logs)
    return next((abs(status) for status in statuses if status), 0)


def _do(line: str) -> None:
    """Run a program; a failure ends this process with what it said."""
    done = subprocess.run(line.split(), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"inferometer: lab: {line}: {' '.join(done.stderr.split())}")


def main(text: str) -> int:
    job = LabJob.model_validate_json(text)
    build(job)
    even(job)
    with wire(job) as process:
        return run(job, told(job), process)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
