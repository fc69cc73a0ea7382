"""The parts of a launch that need no ranks: words, when a cell has enough, flags, when a launch ends."""

from __future__ import annotations

import time
import types

import numpy as np
import pytest
import torch.distributed as dist

from inferometer.emulator.measure.method import Stop, Sweep
from inferometer.emulator.measure.plan import ITERATIONS, LEAST_TURNS, TOGETHER, Cell, in_turns
from inferometer.emulator.measure.runner import Launch, describe
from inferometer.parallel.collective_record import Call
from inferometer.parallel.collectives import COLLECTIVES
from inferometer.parallel.control import Control
from inferometer.parallel.placement import Placement


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (
            ("all_reduce", "float32", 64, "isolated", "alone", 0, 4, 1, 0),
            "all_reduce of 64 bytes (float32, 4 ranks, isolated, alone)",
        ),
        (
            ("null", "float16", 8, "pipelined", "all", 0, 4, 2, 0),
            "null of 8 bytes (float16, 4 ranks on 2 nodes, pipelined, all)",
        ),
        (("barrier", "float32", 0, "isolated", "alone", 0, 2, 1, 0), "barrier (float32, 2 ranks, isolated, alone)"),
        (
            ("all_reduce", "float32", 64, "in_step", "alone", 0, 2, 1, 0, 300.0),
            "all_reduce of 64 bytes (float32, 2 ranks, in_step after 300 us, alone)",
        ),
    ],
)
def test_a_cell_in_words(cell, words):
    assert describe(Cell(*cell)) == words


@pytest.fixture
def launch(method):
    """``launch(backend=…, cores=…, node_of=…, **method changes)``: a launch of one rank that only reckons."""

    def make(backend="gloo", cores=8, node_of=(0, 0, 0, 0), **changes):
        stop = Stop(relative_interval=0.05, min_iterations=20, max_iterations=100, cell_seconds=1.0)
        sweep = Sweep.model_validate({"name": "s", "tier": [{"collectives": ["all_reduce"]}], "stop": stop})
        world = types.SimpleNamespace(rank=0, backend=backend)
        control = Control(dist.HashStore(), 0, 1, 5.0)
        return Launch(method(sweep=sweep, **changes), control, Placement(node_of, True), world, cores)

    return make


STEADY = np.linspace(99, 101, 30)[np.random.default_rng(0).permutation(30)]
SMALL = Cell("all_reduce", "float32", 64, "isolated", "alone", 0, 2, 1, 0)
NOISY = np.random.default_rng(0).lognormal(0, 1, 30)


@pytest.mark.parametrize(
    ("times", "elapsed", "asked", "reason"),
    [
        (STEADY, 0.1, False, "relative_interval"),
        (STEADY[:10], 0.1, False, None),  # fewer than min_iterations
        (NOISY, 0.1, False, None),
        (NOISY, 1.5, False, "cell_seconds"),
        (NOISY[:10], 1.5, False, None),  # min_iterations come before the soft cap …
        (NOISY[:10], 31.0, False, "cell_seconds"),  # … but not before half the time limit of 60 s
        (np.tile(NOISY, 4), 0.1, False, "max_iterations"),
        (NOISY[:6], 0.1, True, "interrupted"),
        (np.sort(STEADY), 0.1, False, None),  # neighbours alike: too few independent iterations
    ],
)
def test_when_a_cell_has_enough(launch, times, elapsed, asked, reason):
    here, visit = (
        launch(),
        types.SimpleNamespace(times_us=lambda: times, elapsed_s=elapsed, in_turns=False, turns=1, cell=SMALL),
    )
    assert here._verdict(visit, asked)[0] == reason


def test_a_narrow_interval_ends_no_cell_before_it_had_its_turns(launch):
    def ends(turns, times=STEADY):
        visit = types.SimpleNamespace(times_us=lambda: times, elapsed_s=0.1, in_turns=True, turns=turns, cell=SMALL)
        return launch()._verdict(visit, False)

    assert ends(LEAST_TURNS - 1) == [None, ITERATIONS]
    assert ends(LEAST_TURNS)[0] == "relative_interval"
    assert ends(1, np.tile(STEADY, 4))[0] == "max_iterations"


def test_cells_in_turns_are_small_isolated_and_next_to_each_other():
    def cell(size, timing="isolated", mode="host"):
        return Cell("all_reduce", "float32", size, timing, "alone", 0, 2, 1, 0, launch_mode=mode)

    small, large, other = cell(64), cell(4 << 20), cell(64, "in_step")
    cells = [small, small, large, small, other, other, cell(64, mode="graph"), *[small] * (TOGETHER + 2)]
    found = list(in_turns(cells))
    assert [len(together) for _, together in found] == [2, 1, 1, 1, 1, 1, TOGETHER, 2]
    assert [cells[first] for first, _ in found] == [together[0] for _, together in found]
    assert [cell for _, together in found for cell in together] == cells


def flags(launch, ranks, elements=1000, name="all_reduce", drift=0.0, mode="host"):
    cell = Cell(name, "float32", 64, "isolated", "alone", 0, len(ranks), 1, 0, launch_mode=mode)
    work = types.SimpleNamespace(record=COLLECTIVES[name], call=Call(elements, len(ranks), 0))
    return launch._flags(cell, work, ranks, {"drift": drift})


def test_more_threads_than_cores_on_a_node_are_flagged(launch):
    four = [0, 1, 2, 3]
    assert flags(launch(cores=4), four) == []
    assert flags(launch(cores=3), four) == ["oversubscribed"]
    assert flags(launch(cores=3), [0, 1]) == []
    assert flags(launch(cores=4, threads=2), four) == ["oversubscribed"]
    assert flags(launch(cores=2, node_of=(0, 0, 1, 1)), four) == []
    assert flags(launch(backend="nccl", cores=1), four, mode="graph") == []


def test_ranks_of_one_gpu_are_oversubscribed_by_its_uuid(launch):
    """MIG slices of one GPU have UUIDs of their own: what counts is what the driver hands out."""

    def of(*gpus):
        here = launch(backend="nccl", cores=1)
        here.placement = Placement((0, 0, 1, 1), False, (0, 0, 1, 1), gpus)
        return here

    apart = ("GPU-a", "MIG-b", "GPU-c", "MIG-d")
    assert flags(of(*apart), [0, 1, 2, 3], mode="graph") == []
    assert flags(of("GPU-a", "GPU-a", "GPU-c", "GPU-d"), [0, 1], mode="graph") == ["oversubscribed", "shared_gpu"]
    assert flags(of("GPU-a", "GPU-a", "GPU-c", "GPU-d"), [1, 2], mode="graph") == []


@pytest.mark.parametrize(("elements", "found"), [(7, ["degenerate_size"]), (8, [])])
def test_gloos_degenerate_sizes_are_below_two_elements_a_rank(launch, elements, found):
    assert flags(launch(), [0, 1, 2, 3], elements) == found
    assert flags(launch(backend="mpi"), [0, 1, 2, 3], elements) == []
    assert flags(launch(), [0, 1, 2, 3], elements, name="barrier") == []


def test_unchecked_and_drifting_cells_are_flagged(launch):
    assert flags(launch(check=0), [0, 1]) == ["unchecked"]
    assert flags(launch(), [0, 1], drift=-0.3) == ["drift"]
    assert flags(launch(), [0, 1], drift=0.2) == []
    assert flags(launch(), [0, 1], drift=None) == []


@pytest.mark.parametrize(("compute_gap_us", "count"), [(0.0, 20), (3000.0, 20), (2e6, 7)])
def test_the_first_batch_stays_within_the_time_limit_computing_included(launch, compute_gap_us, count):
    """A quarter of 60 s: of iterations of 2 s at most 7.5."""
    cell = Cell("all_reduce", "float32", 64, "in_step", "alone", 0, 2, 1, 0, compute_gap_us)
    assert launch()._first_batch(cell, 1e-4) == (1, count)


CELLS = [Cell("all_reduce", "float32", 64 * k, "pipelined", "alone", 0, 2, 1, 0) for k in range(1, 6)]


@pytest.fixture
def visited(launch, monkeypatch):
    """``visited(deadline, asked)``: a visit to CELLS, which take no turns; what it returns and what was done."""

    def visit(deadline, asked=lambda done: False):
        def measure(self, first, cells, stop_asked, done, began):
            for cell in cells:
                done({"cell": cell.id})

        monkeypatch.setattr(Launch, "_measure", measure)
        done = []
        end = launch().visit(CELLS, deadline, lambda: asked(done), done.append)
        return end, [record["cell"] for record in done]

    return visit


def test_a_visit_ends_when_all_cells_are_done(visited):
    for deadline in (None, time.monotonic() + 1000):
        assert visited(deadline) == (("complete", []), [cell.id for cell in CELLS])


def test_a_visit_ends_at_the_deadline_with_what_it_did_not_reach(visited):
    """The first cell is measured all the same: an empty launch would be worth nothing."""
    assert visited(time.monotonic() - 1) == (("budget", CELLS[1:]), [CELLS[0].id])


def test_a_visit_ends_when_asked_to(visited):
    assert visited(None, lambda done: len(done) == 2) == (("interrupted", CELLS[2:]), [cell.id for cell in CELLS[:2]])


def test_what_ranks_must_agree_on_tells_cells_apart(launch):
    here = launch()
    one = here._signature(CELLS[0])
    assert one == here._signature(CELLS[0])
    assert one[2] == 16  # 64 bytes of float32
    changes = [{"dtype": "float16"}, {"requested_bytes": 128}, {"timing": "isolated"}, {"groups": "all"}, {"mesh": 1}]
    changes.append({"compute_gap_us": 300.0})
    for change in changes:
        assert here._signature(Cell(**{**vars(CELLS[0]), **change})) != one
