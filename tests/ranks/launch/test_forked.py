"""Ranks forked from one process that has imported everything: what that process is, and what each rank sets for itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from inferometer.launch.ranks.forked import PRELOADED

WATCHED = """
import os
if "INFEROMETER_EVENTS" in os.environ:
    import json, sys
    from inferometer.launch.ranks import worker
    plain = worker.main
    def watched(job_file):
        before = set(sys.modules)
        status = plain(job_file)
        imported, pages = sorted(set(sys.modules) - before), os.environ["THP_MEM_ALLOC_ENABLE"]
        with open(f"rank-{os.environ['RANK']}.json", "w") as file:
            json.dump({"parent": os.getppid(), "imported": imported, "pages": pages}, file)
        return status
    worker.main = watched
"""
SMALL = {
    "measure": "measure --collectives all_reduce -b 64 -e 64 --iters 8 --budget none".split(),
    "emulate": "emulate mixtral-8x7b --scale 1/32 --layers 2 --batch 4 --context 8 --steps 6 --tp 2".split(),
}


def test_what_is_imported_before_forking_exists_and_starts_no_thread():
    """multiprocessing passes over a module that does not import, and a thread would not be there in the forked rank.

    Only numpy's OpenBLAS has threads from the start, if it may have several: it ends them before a fork and makes new ones.
    """
    code = "import os, sys\nfor name in sys.argv[1:]: __import__(name)\nprint(len(os.listdir('/proc/self/task')))"
    done = subprocess.run(
        [sys.executable, "-c", code, *PRELOADED], capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


@pytest.mark.parametrize("task", SMALL)
def test_ranks_have_one_parent_that_imported_for_them_and_threads_of_their_own(command, tmp_path, task):
    size = ["-n", "2"] if task == "measure" else []
    run = command(*SMALL[task], *size, "--threads", "2", "--launches", "1", "-o", "x.jsonl", planted=WATCHED)
    _, err = run.communicate(timeout=100)
    assert run.returncode == 0, err
    ranks = [json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in range(2)]
    assert ranks[0]["parent"] == ranks[1]["parent"] != run.pid
    assert {one["pages"] for one in ranks} == {"1"}
    imported = {name for one in ranks for name in one["imported"] if name.startswith(("torch", "numpy", "inferometer."))}
    small = {"inferometer.configs", "inferometer.configs.models", "inferometer.configs.model_types"}
    small |= {"inferometer.emulator.samples.statistics"}
    assert imported <= small
    records = map(json.loads, (tmp_path / "x.jsonl").read_text().splitlines())
    launch = next(record for record in records if record["record"] == "launch")
    assert len({rank["pid"] for rank in launch["ranks"]}) == 2
    assert [(rank["torch_threads"], rank["omp_num_threads"]) for rank in launch["ranks"]] == [(2, "2")] * 2
