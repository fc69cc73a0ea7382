"""The hosts of a laboratory, from inside its namespaces: ``python -m inferometer.launch.ranks.hosts JOB`` (a JSON text).

Hosts are network namespaces that reach each other through a bridge alone. torchrun starts the ranks on each of them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

INTERFACE = "eth0"
NETWORK = "10.77.0"
QUEUE = "100ms"
"""How long a frame may wait for the link's rate before it is dropped."""
LEAST_BURST = 32 * 1024
BURSTS_PER_S = 1000
"""A token bucket lets so much through at once as the rate gives in a thousandth of a second, and at least a large frame."""
POLL_S = 0.1
PATIENCE_S = 10.0
"""How long the other hosts may take to end once one has failed."""


class LabJob(BaseModel):
    """See runs.lab.LabSettings; arguments: of ``inferometer``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    nodes: int
    per_node: int
    rate_bit_per_s: float | None
    delay_us: float | None
    port: int
    arguments: list[str]


def build(job: LabJob) -> None:
    """Make the hosts and their links."""
    _do("mount -t tmpfs tmpfs /run")  # ip keeps its names of namespaces there
    _do("ip link add name switch type bridge")
    _do("ip link set switch up")
    for number in range(job.nodes):
        _do(f"ip netns add host{number}")
        _do(f"ip link add name port{number} type veth peer name {INTERFACE} netns host{number}")
        _do(f"ip link set port{number} master switch up")
        for line in (
            "link set lo up",
            f"address add {NETWORK}.{number + 1}/24 dev {INTERFACE}",
            f"link set {INTERFACE} up",
        ):
            _do(f"ip -netns host{number} {line}")
        for line in link(job.rate_bit_per_s, job.delay_us):
            _do(f"tc -netns host{number} qdisc add dev {INTERFACE} {line}")


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


def command(job: LabJob, number: int) -> list[str]:
    """torchrun on one host."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes", str(job.nodes), "--node-rank", str(number)]
    torchrun += ["--nproc-per-node", str(job.per_node), "--master-addr", f"{NETWORK}.1", "--master-port", str(job.port)]
    return ["ip", "netns", "exec", f"host{number}", *torchrun, "-m", "inferometer.launch", *job.arguments]


def run(job: LabJob) -> int:
    """Start the ranks of every host and see them through; the first host's exit status, else that of one that failed.

    The first host has the terminal; what the others say is shown where one of them fails.
    """
    variables = os.environ | {"GLOO_SOCKET_IFNAME": INTERFACE, "TORCH_CPP_LOG_LEVEL": "ERROR"}
    variables.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory(prefix="inferometer-lab-") as folder:
        logs = [Path(folder, f"host{number}") for number in range(job.nodes)]
        hosts: list[subprocess.Popen] = []
        for number, log in enumerate(logs):
            with log.open("wb") as output:
                theirs = None if number == 0 else output
                hosts.append(subprocess.Popen(command(job, number), env=variables, stdout=theirs, stderr=theirs))
        statuses = _see_through(hosts)
        for number, (status, log) in enumerate(zip(statuses, logs)):
            if status and log.stat().st_size:
                print(f"inferometer: host {number} ended with status {status}:", file=sys.stderr)
                print("\n".join(log.read_text(errors="replace").splitlines()[-10:]), file=sys.stderr)
    return next((abs(status) for status in statuses if status), 0)


def _see_through(hosts: Sequence[subprocess.Popen]) -> list[int]:
    """Wait for all hosts; the exit status of each. One that fails takes the others with it."""
    failed_at: float | None = None
    while any(host.poll() is None for host in hosts):
        if failed_at is None and any(host.returncode for host in hosts):
            failed_at = time.monotonic()
        if failed_at is not None and time.monotonic() - failed_at > PATIENCE_S:
            for host in hosts:
                host.kill()
        try:
            time.sleep(POLL_S)
        except KeyboardInterrupt:  # torchrun has got it too, and passes it on
            continue
    return [int(host.returncode) for host in hosts]


def _do(line: str) -> None:
    """Run a program; a failure ends this process with what it said."""
    done = subprocess.run(line.split(), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"inferometer: lab: {line}: {' '.join(done.stderr.split())}")


def main(text: str) -> int:
    job = LabJob.model_validate_json(text)
    build(job)
    return run(job)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
