"""Which cells a launch visits, against a direct enumeration."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.emulator.measure.method import Sweep, load_sweep
from inferometer.emulator.measure.plan import (
    Cell,
    GroupMesh,
    buffer_bytes,
    candidate_cells,
    coarse_to_fine,
    decode_sizes,
    in_turns,
    shuffled,
)
from inferometer.parallel.collectives import COLLECTIVES
from inferometer.parallel.placement import Placement


def meshes_of(node_of):
    placement = Placement(node_of, one_clock=True)
    return [GroupMesh(mesh, placement.nodes_of(mesh.groups("member")[0])) for mesh in placement.group_meshes()]


ONE_NODE = meshes_of((0, 0, 0, 0))  # groups of 2 (two of them) and 4
TWO_NODES = meshes_of((0, 0, 1, 1))  # 2×1 (two), 2×2 nodes (two), 4×2


def sweep_of(*tiers, **more):
    return Sweep.model_validate({"name": "s", "tier": list(tiers), **more})


def test_a_tier_is_the_product_of_sizes_groups_and_timings(method):
    both = {"timings": ["isolated", "pipelined"], "groups": ["alone", "all"]}
    tier = {"collectives": ["all_reduce", "broadcast"], **both}
    cells = candidate_cells(method(sweep=sweep_of(tier), dtypes=["float32", "float16"]), ONE_NODE)
    wanted = {
        (name, dtype, size, timing, groups, ranks)
        for name in ("all_reduce", "broadcast")
        for dtype in ("float32", "float16")
        for size in (64, 1024)
        for timing in ("isolated", "pipelined")
        for groups, ranks in (("alone", 2), ("all", 2), ("alone", 4))  # one group of 4 is the whole mesh
    }
    assert {(c.collective, c.dtype, c.requested_bytes, c.timing, c.groups, c.ranks) for c in cells} == wanted
    assert len(cells) == len(wanted)


@pytest.mark.parametrize("meshes", [ONE_NODE, TWO_NODES], ids=["one node", "two nodes"])
def test_the_default_sweep_names_no_cell_twice_and_goes_by_importance(method, meshes):
    cells = candidate_cells(method(sweep=load_sweep("default"), sizes_bytes=[64 * 4**k for k in range(10)]), meshes)
    assert len({cell.id for cell in cells}) == len(cells)
    assert [cell.tier for cell in cells] == sorted(cell.tier for cell in cells)
    assert {cell.collective for cell in cells} == set(COLLECTIVES) - {"reduce", "gather", "scatter"}
    for cell in cells:
        assert meshes[cell.mesh].mesh.degree("member") == cell.ranks
        assert meshes[cell.mesh].nodes == cell.nodes


def test_what_two_tiers_ask_for_is_visited_once_as_the_more_important(method):
    sweep = sweep_of({"collectives": ["barrier", "all_reduce"]}, {"collectives": ["all_reduce", "broadcast"]})
    cells = candidate_cells(method(sweep=sweep), ONE_NODE)
    assert {cell.tier for cell in cells if cell.collective == "all_reduce"} == {0}
    assert len([cell for cell in cells if cell.collective == "all_reduce"]) == 2 * 2
    assert len([cell for cell in cells if cell.collective == "barrier"]) == 2  # no sizes: once for each group


def test_a_ping_pong_is_for_pairs_only_on_one_node_or_two(method):
    sweep = sweep_of({"collectives": ["send_recv"], "groups": ["alone", "all"]})
    one = candidate_cells(method(sweep=sweep, sizes_bytes=[64]), ONE_NODE)
    assert {(cell.ranks, cell.nodes, cell.groups) for cell in one} == {(2, 1, "alone"), (2, 1, "all")}
    two = candidate_cells(method(sweep=sweep, sizes_bytes=[64]), TWO_NODES)
    assert {(cell.ranks, cell.nodes) for cell in two} == {(2, 1), (2, 2)}


def test_a_size_below_one_element_per_shard_is_left_out(method):
    sweep = sweep_of({"collectives": ["all_gather", "all_reduce"]})
    cells = candidate_cells(method(sweep=sweep, sizes_bytes=[2, 8]), ONE_NODE)
    assert {(c.collective, c.requested_bytes, c.ranks) for c in cells} == {
        ("all_gather", 8, 2), ("all_reduce", 8, 2), ("all_reduce", 8, 4),
    }  # fmt: skip


def test_decode_sizes_are_batch_times_d_model_elements(method):
    decode = {"batches": [1, 8], "d_models": [4096, 512]}
    sweep = sweep_of({"collectives": ["all_reduce"], "sizes": "decode"}, decode=decode)
    here = method(sweep=sweep, dtypes=["float32", "bfloat16"], sizes_bytes=[64, 1 << 20])
    assert decode_sizes(here, "bfloat16") == [1024, 8192, 65536]  # 1·512, then 8·512 = 1·4096 once, 8·4096, in 2 bytes
    cells = candidate_cells(here, ONE_NODE)
    assert {c.requested_bytes for c in cells if c.dtype == "float32"} == {2048, 16384, 131072}
    assert {c.requested_bytes for c in cells if c.dtype == "bfloat16"} == {1024, 8192, 65536}


def test_decode_sizes_stay_within_the_sizes_asked_for(method):
    decode = {"batches": [1, 8], "d_models": [4096, 512]}
    sweep = sweep_of({"collectives": ["all_reduce"], "sizes": "decode"}, decode=decode)
    assert decode_sizes(method(sweep=sweep, sizes_bytes=[16384, 20000]), "float32") == [16384]


def test_a_tier_may_name_its_own_sizes_within_those_asked_for(method):
    sweep = sweep_of({"collectives": ["all_reduce"], "sizes": [32, 4096, 256, 1 << 30]})
    cells = candidate_cells(method(sweep=sweep, sizes_bytes=[64, 1 << 20]), ONE_NODE)
    assert {cell.requested_bytes for cell in cells} == {256, 4096}


def test_a_tier_in_a_step_spreads_over_the_times_apart(method):
    tiers = {"collectives": ["all_reduce"], "timings": ["isolated", "in_step"]}
    sweep = sweep_of(tiers, in_step={"compute_gap_us": [250, 2000]})
    cells = candidate_cells(method(sweep=sweep, sizes_bytes=[64]), ONE_NODE)
    found = {(cell.ranks, cell.timing, cell.compute_gap_us) for cell in cells}
    assert found == {(n, *way) for n in (2, 4) for way in (("isolated", 0), ("in_step", 250), ("in_step", 2000))}
    assert len({cell.id for cell in cells}) == len(cells) == 6


@given(st.integers(0, 60))
def test_coarse_to_fine_is_a_permutation_whose_beginnings_span(count):
    """A beginning of m ≥ 2 entries leaves no gap wider than twice the even spacing."""
    order = coarse_to_fine(list(range(count)))
    assert sorted(order) == list(range(count))
    for length in range(2, count + 1):
        at = sorted(order[:length])
        assert (at[0], at[-1]) == (0, count - 1)
        widest = max(b - a for a, b in pairwise(at))
        assert widest <= 2 * (count - 1) / (length - 1) + 1


def cells_of(count):
    return [Cell("all_reduce", "float32", 4 * i, "isolated", "alone", 0, 2, 1, tier=i // 20) for i in range(count)]


def test_an_order_belongs_to_seed_and_launch():
    cells = cells_of(100)
    orders = [shuffled(cells, seed, launch, by_tier=False) for seed in (0, 1) for launch in (0, 1, 2)]
    assert orders[0] == shuffled(cells, 0, 0, by_tier=False)
    assert len({tuple(cell.id for cell in order) for order in orders}) == 6
    for order in orders:
        assert order != cells
        assert sorted(order, key=lambda cell: cell.requested_bytes) == cells


def test_cells_that_take_turns_stand_together_and_the_others_anywhere():
    large = [Cell("all_reduce", "float32", 8 << 20, "isolated", "alone", mesh, 2, 1, 0) for mesh in range(20)]
    runs = list(in_turns(shuffled(cells_of(24) + large, 0, 1, by_tier=False)))
    assert sorted(len(together) for _, together in runs) == [1] * 20 + [8] * 3
    at = [number for number, (_, together) in enumerate(runs) if len(together) > 1]
    assert at != [0, 1, 2]


def test_the_first_launch_keeps_the_tiers_and_mixes_within_them():
    cells = cells_of(100)
    order = shuffled(cells, 0, 0, by_tier=True)
    assert [cell.tier for cell in order] == [cell.tier for cell in cells]
    for tier in range(5):
        mixed = [cell for cell in order if cell.tier == tier]
        assert mixed != cells[20 * tier : 20 * tier + 20]
        assert set(mixed) == set(cells[20 * tier : 20 * tier + 20])


def test_a_cells_name_is_the_same_on_the_same_ranks_and_tells_all_that_differs():
    one = Cell("all_reduce", "float32", 64, "isolated", "alone", 0, 4, 2, tier=0)
    assert one.id == "all_reduce/float32/64/4x2/alone/isolated"
    assert one.id == Cell("all_reduce", "float32", 64, "isolated", "alone", 3, 4, 2, tier=7).id
    step = Cell("all_reduce", "float32", 64, "in_step", "alone", 0, 4, 2, tier=0, compute_gap_us=300.0)
    assert step.id == "all_reduce/float32/64/4x2/alone/in_step/300"


@pytest.mark.parametrize(
    ("name", "ranks", "elements"),
    [("all_reduce", 4, 2000), ("all_gather", 4, 2 * 250 + 2 * 1000), ("broadcast", 4, 2000), ("send_recv", 2, 4000)],
)
def test_the_memory_of_a_cell_covers_its_buffers(name, ranks, elements):
    """At least: the input and its pristine copy, the output and what it must be; and not ten times that."""
    needed = buffer_bytes(COLLECTIVES[name], 4000, "float32", ranks)
    assert 4 * elements <= needed <= 10 * 4 * elements
