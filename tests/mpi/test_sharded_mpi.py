"""The sharded model under mpiexec: the same answers by the same program as on gloo."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from inferometer.emulator.errors import InputError
from inferometer.launch.runs.measure import require_mpi
from tests.places import ROOT

RANKS = """
import json, sys, torch
sys.path.insert(0, sys.argv[1])
from tests.studies.sharded_runs import DENSE, MIXED, layouts, reference_answers, run_many
from inferometer.parallel.mpi_communicator import MpiCommunicator
torch.set_num_threads(1)
world = MpiCommunicator.world()
answers = {shape.name: reference_answers(shape, steps=3) for shape in (DENSE, MIXED)}
cases = [(shape, layout, answers[shape.name]) for shape in (DENSE, MIXED) for layout in layouts(shape, world.size)]
got = world._comm.gather(run_many(world, None, cases))
if world.rank == 0:
    print(json.dumps(got))
"""


def test_every_layout_of_two_ranks_on_mpi():
    from inferometer.launch.ranks.local import mpiexec

    try:
        require_mpi()
    except InputError as reason:
        pytest.skip(str(reason))
    command = [mpiexec(), "-n", "2", sys.executable, "-c", RANKS, str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout.splitlines()[-1])
    assert len(results) == 2 and "mixed ep2 attention-dp" in results[0]
    for of_rank in results:
        for case, (error, wrong, complaints, _) in of_rank.items():
            assert (error <= 1e-5, wrong, complaints) == (True, 0, []), case
