"""One command under every launcher gives the same cells. Where a launcher is missing its variables are set by hand."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from inferometer.emulator.samples.samples import read_records
from tests.places import ROOT

pytestmark = pytest.mark.slow
RANKS = 2
OPENMPI = "INFEROMETER_TEST_OPENMPI"
"""Path of Open MPI's mpiexec, which cannot be in one environment with MPICH's."""
MEASURE = (
    "measure --backend gloo --collectives all_reduce,barrier --timings isolated -b 64 -e 4K --iters 6 --budget none "
    "--timeout 30 -o s.samples.jsonl"
).split()


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def variables(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(), **more}


def cells_under(folder: Path, command: list[str], environment: dict[str, str]) -> dict[str, list[int]]:
    """Participants of each cell."""
    done = subprocess.run([*command, *MEASURE], cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return cells_in(folder)


def cells_in(folder: Path) -> dict[str, list[int]]:
    records = list(read_records(folder / "s.samples.jsonl"))
    assert [len(r["node_of"]) for r in records if r["record"] == "launch"] == [RANKS]
    return {r["cell"]: r["participants"] for r in records if r["record"] == "cell"}


RUN = [sys.executable, "-m", "inferometer.launch"]


@pytest.fixture(scope="module")
def by_torchrun(tmp_path_factory):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(RANKS)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return cells_under(tmp_path_factory.mktemp("torchrun"), [*torchrun, "-m", "inferometer.launch"], environment)


@pytest.mark.verify
def test_under_mpich(by_torchrun, tmp_path):
    mpiexec = shutil.which("mpiexec", path=str(Path(sys.executable).parent))
    if mpiexec is None:
        pytest.skip("no mpiexec beside this Python")
    command = [mpiexec, "-n", str(RANKS), *RUN]
    assert cells_under(tmp_path, command, os.environ | {"PYTHONPATH": str(ROOT)}) == by_torchrun


@pytest.mark.verify
def test_under_open_mpi(by_torchrun, tmp_path):
    mpiexec = os.environ.get(OPENMPI)
    if mpiexec is None:
        pytest.skip(f"{OPENMPI} does not name Open MPI's mpiexec")
    command = [mpiexec, "--allow-run-as-root", "--oversubscribe", "-n", str(RANKS), *RUN]
    assert cells_under(tmp_path, command, variables()) == by_torchrun


SIMULATED = {
    "slurm": lambda rank: {
        "SLURM_PROCID": rank, "SLURM_NTASKS": RANKS, "SLURM_LOCALID": rank, "SLURM_STEP_ID": 0,
        "SLURM_NTASKS_PER_NODE": "2(x1)", "SLURM_CPUS_ON_NODE": os.cpu_count(), "SLURM_NODEID": 0,
    },
    "open mpi": lambda rank: {
        "OMPI_COMM_WORLD_RANK": rank, "OMPI_COMM_WORLD_SIZE": RANKS, "OMPI_COMM_WORLD_LOCAL_RANK": rank,
        "OMPI_COMM_WORLD_LOCAL_SIZE": RANKS, "OMPI_MCA_initial_wdir": "/home/somebody",
    },
}  # fmt: skip


@pytest.mark.parametrize("launcher", SIMULATED)
def test_under_the_variables_of(launcher, by_torchrun, tmp_path):
    shared = variables()
    ranks = []
    for rank in range(RANKS):
        own = {name: str(value) for name, value in SIMULATED[launcher](rank).items()}
        command = [*RUN, *MEASURE]
        ranks.append(subprocess.Popen(command, cwd=tmp_path, env=shared | own, stderr=subprocess.PIPE, text=True))
    said = [process.communicate(timeout=120)[1] for process in ranks]
    assert [process.returncode for process in ranks] == [0] * RANKS, said
    assert cells_in(tmp_path) == by_torchrun
    assert "/home/somebody" not in (tmp_path / "s.samples.jsonl").read_text()
