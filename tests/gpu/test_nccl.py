"""NCCL on real GPUs: the simple stream-timed path that torchrun takes on a GPU node."""

from __future__ import annotations

import subprocess
import sys

import pytest

from inferometer.emulator.samples.samples import cell_table, read_records

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, torch sees none here"),
]


def test_cuda_events_measure_a_kernel_of_known_length():
    """Reference: torch.cuda._sleep, a kernel that spins for a number of clock cycles; twice the cycles, twice the time."""
    from inferometer.emulator.measure.timing import QueueTimer
    from inferometer.parallel.device.cuda import CudaDevice

    def median_ns(cycles: int) -> float:
        timer = QueueTimer(CudaDevice(torch.device("cuda", 0)), "stream")
        starts, stops = timer.pipelined(lambda: None, lambda: torch.cuda._sleep(cycles), 20, 2)
        return sorted(stop - start for start, stop in zip(starts, stops))[10]

    assert 1.8 < median_ns(2_000_000) / median_ns(1_000_000) < 2.2


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices: NCCL wants one a rank")
def test_measure_over_nccl(tmp_path):
    path = tmp_path / "n.samples.jsonl"
    ranks = str(torch.cuda.device_count())
    sweep = f"measure --collectives all_reduce,all_to_all,null -f 16 --budget 60 -o {path}".split()
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", ranks]
    done = subprocess.run([*torchrun, "-m", "inferometer.launch", *sweep], capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    cells = cell_table(path)
    assert set(cells["backend"]) == {"nccl"} and set(cells["launch_mode"]) == {"stream"}
    assert set(cells["wrong"]) == {0} and (cells["us"] > 0).all()
    assert {r["clock"] for r in read_records(path) if r["record"] == "cell"} == {"cuda_event"}
