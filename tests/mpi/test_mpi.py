"""The MPI communicator under mpiexec: the same face, the same records, the same samples as gloo's."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from inferometer.emulator.errors import InputError
from inferometer.emulator.samples.samples import cell_table
from inferometer.launch.runs.measure import require_mpi


@pytest.fixture(scope="module")
def mpiexec() -> str:
    from inferometer.launch.ranks.local import mpiexec

    try:
        require_mpi()
    except InputError as reason:
        pytest.skip(str(reason))
    return mpiexec()


RECORDS = """
import json, sys, torch
from inferometer.parallel.collective_record import Call
from inferometer.parallel.collectives import COLLECTIVES
from inferometer.parallel.communicator import UnsupportedDtype
from inferometer.parallel.mpi_communicator import MpiCommunicator
world = MpiCommunicator.world()
solo = world.split([[rank] for rank in range(world.size)])
pair = world.split([[0, 2]])
wrong, refused = {}, []
for dtype in (torch.float32, torch.bfloat16, torch.float16):
    for name, record in COLLECTIVES.items():
        comm = solo if record.solo else pair if record.pair else world
        if comm is None:
            continue
        call = Call(record.elements(600, dtype.itemsize, comm.size), comm.size, comm.rank)
        tensor = torch.from_numpy(record.data(call)).to(dtype)
        output = tensor if record.in_place else torch.full((record.output_elements(call),), -1.0, dtype=dtype)
        try:
            record.run(comm, tensor, output, record.prepare(call))
        except UnsupportedDtype:
            refused.append(f"{name} {dtype}")
            continue
        expected = torch.from_numpy(record.expected(call)).to(dtype)
        wrong[f"{name} {dtype}"] = int((output[: len(expected)] != expected).sum())
world.barrier()
got = world._comm.gather((wrong, refused, pair.ranks if pair else None))
if world.rank == 0:
    print(json.dumps(got))
"""


def test_every_record_on_mpi_yields_its_expected_result(mpiexec):
    """bfloat16 is moved as bytes; sums of it are refused, not computed wrongly."""
    done = subprocess.run([mpiexec, "-n", "3", sys.executable, "-c", RECORDS], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert len(answers) == 3
    for wrong, refused, _ in answers:
        assert {name for name, count in wrong.items() if count} == set()
        assert refused == [f"{name} torch.bfloat16" for name in ("all_reduce", "reduce_scatter", "reduce", "null")]
    assert "send_recv torch.bfloat16" in answers[0][0] and "send_recv torch.bfloat16" not in answers[1][0]
    assert [pair for *_, pair in answers] == [[0, 2], None, [0, 2]]


@pytest.mark.parametrize("started_by", ["mpiexec", "the command itself"])
def test_measure_over_mpi(mpiexec, command, tmp_path, started_by):
    sweep = "measure --backend mpi --collectives all_reduce,all_to_all -f 64 --timings isolated --budget none".split()
    sweep += ["-o", "m.samples.jsonl"]
    if started_by == "mpiexec":
        process = command(*sweep, prefix=(mpiexec, "-n", "3"))
    else:
        process = command(*sweep, "-n", "3", "--launches", "1")
    _, err = process.communicate(timeout=90)
    assert process.returncode == 0, err
    cells = cell_table(tmp_path / "m.samples.jsonl")
    assert set(cells["collective"]) == {"all_reduce", "all_to_all"} and set(cells["ranks"]) == {2, 3}
    assert set(cells["wrong"]) == {0} and set(cells["backend"]) == {"mpi"} and (cells["us"] > 0).all()
    assert all("MPI" in name for name in cells["implementation"])


def test_an_error_on_rank_0_alone_ends_all_ranks(mpiexec, command):
    """Only rank 0 looks at the samples file, while the others already wait in MPI's start-up."""
    process = command("measure", "--backend", "mpi", "--append", "-o", "absent.jsonl", prefix=(mpiexec, "-n", "3"))
    _, err = process.communicate(timeout=40)
    assert process.returncode == 2
    assert err.strip() == "inferometer: absent.jsonl: there is no such file to append"
