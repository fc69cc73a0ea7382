"""A rank keeps its memory."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

STEP = """
import resource, sys
from inferometer.launch.ranks.environment import keep_memory
import torch
if sys.argv[1] == "keep":
    assert keep_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def step():
    kept = [torch.ones(200_000 * (1 + k)) for k in range(5)]
    return [x * 2 for x in kept]
for _ in range(20):
    step()
before = faults()
for _ in range(10):
    step()
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_a_step_that_comes_again_takes_no_new_pages():
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    taken = {}
    for how in ("keep", "give back"):
        # a threshold that is given does not move: the control gives every tensor back at once
        environment = plain if how == "keep" else plain | {"MALLOC_MMAP_THRESHOLD_": "131072"}
        run = [sys.executable, "-c", STEP, how]
        taken[how] = int(subprocess.run(run, capture_output=True, text=True, check=True, env=environment).stdout)
    assert taken["keep"] * 20 < taken["give back"]
