"""Bus factors and laws against values worked out by hand."""

import numpy as np
import pytest

from inferometer.emulator.calibrate.busfactors import bus_factors
from inferometer.emulator.calibrate.laws import (
    affine,
    affine_bandwidth_per_ranks,
    flat_ring,
    ladder,
    law_of,
    paper,
    scaled,
)
from inferometer.emulator.calibrate.prior import paper_parameters
from inferometer.emulator.errors import InputError
from inferometer.emulator.measure.collectives import collectives


@pytest.mark.parametrize(
    ("collective", "ranks", "nodes", "intra", "inter"),
    [
        ("all_reduce", 8, 1, 2 * 7 / 8, 0),
        ("all_reduce", 16, 2, 2 * 7 / 8, 2 * 1 / 16),
        ("all_gather", 16, 4, 3 / 4, 3 / 16),
        ("reduce_scatter", 2, 2, 0, 1 / 2),
        ("all_to_all", 16, 2, 7 / 16, 8 / 16),
        ("all_to_all_v_skewed", 4, 1, 3 / 4, 0),
        ("broadcast", 8, 1, 1, 0),
        ("broadcast", 8, 2, 0, 1),
        ("send_recv", 2, 2, 0, 1),
        ("send_recv_ring", 8, 1, 1, 0),
        ("barrier", 8, 2, 0, 0),
        ("null", 8, 2, 0, 0),
    ],
)
def test_bus_factors(collective, ranks, nodes, intra, inter):
    assert [float(v) for v in bus_factors(collective, ranks, nodes)] == pytest.approx([intra, inter])


def test_bus_factors_broadcast_over_ranks_and_nodes():
    intra, inter = bus_factors("all_reduce", np.array([[4], [8]]), np.array([1, 2, 4]))
    assert intra.shape == inter.shape == (2, 3)
    assert inter[1].tolist() == pytest.approx([0, 2 / 8, 6 / 8])


def test_on_one_node_the_intra_factor_is_that_of_nccl_tests():
    """The records of the measured collectives carry nccl-tests' factors, by which busbw is printed."""
    for name, record in collectives().items():
        for ranks in (2, 3, 8, 64):
            wanted = record.bus_factor(ranks) if record.sized else 0.0
            assert float(bus_factors(name, ranks, 1)[0]) == pytest.approx(wanted), name


def test_unknown_collective_is_named():
    with pytest.raises(InputError, match="'allreduce'"):
        bus_factors("allreduce", 2, 1)


def test_the_paper_form_with_the_papers_constants():
    law = affine("all_reduce")
    theta = law.theta({"a": 6.8, "b": 1.2, "c": 10, "B_intra": 225, "B_inter": 25})
    assert law.time_us(theta, 0, [8, 16], [1, 2]).tolist() == pytest.approx([15.2, 25.2])
    # 1 MiB: 1048576 * 1.75 / 225e9 s = 8.1556 us inside, 1048576 * (2/16) / 25e9 s = 5.2429 us between nodes.
    assert law.time_us(theta, 2**20, [8, 16], [1, 2]).tolist() == pytest.approx([23.35559, 38.59847], rel=1e-6)


def test_paper_constants_halve_their_slopes_without_the_second_pass():
    assert paper_parameters("all_reduce") == {"a": 6.8, "b": 1.2, "c": 10.0, "B_intra": 225.0, "B_inter": 25.0}
    assert paper_parameters("all_gather") == {"a": 6.8, "b": 0.6, "c": 5.0, "B_intra": 225.0, "B_inter": 25.0}


def test_flat_ring_is_blind_to_nodes_in_its_latency():
    law = flat_ring("all_reduce")
    assert [term.name for term in law.terms] == ["a", "b", "B_intra", "B_inter"]
    theta = law.theta({"a": 10, "b": 2, "B_intra": 1, "B_inter": 1})
    assert law.time_us(theta, 0, [8, 8], [1, 4]).tolist() == [24, 24]


def test_columns_of_each_collective():
    assert [t.name for t in affine("send_recv").terms] == ["a", "c", "B_intra", "B_inter"]
    assert [t.name for t in affine("barrier").terms] == ["a", "b", "c"]
    columns = affine("broadcast").columns(1000, [4, 8], [1, 2])
    assert columns.tolist() == [[1, 3, 0, 1, 0], [1, 3, 1, 0, 1]]  # 1000 bytes at 1 GB/s are 1 us


def test_a_bandwidth_for_each_rank_count_says_nothing_of_others():
    law = affine_bandwidth_per_ranks("all_reduce", [4, 2])
    assert [t.name for t in law.terms] == ["a", "b", "c", "B_intra@2", "B_intra@4", "B_inter"]
    theta = law.theta({"a": 1, "b": 1, "c": 1, "B_intra@2": 1, "B_intra@4": 0.5, "B_inter": 1})
    assert law.time_us(theta, 1000, [2, 4, 8], 1).tolist()[:2] == [3, 7]
    assert np.isnan(law.time_us(theta, 1000, 8, 1)[0])


def test_ladder_offers_a_law_only_where_the_cells_can_bear_it():
    sizes, ranks = np.tile([1e3, 1e4, 1e5], 2), np.repeat([2.0, 4.0], 3)
    one = np.ones(6)
    assert [law.name for law in ladder("all_reduce", sizes, ranks, one)] == [
        "paper", "scaled", "affine", "flat_ring", "affine_bandwidth_per_ranks",
    ]  # fmt: skip
    two_sizes = [law.name for law in ladder("all_reduce", sizes[[0, 1, 3, 4]], ranks[[0, 1, 3, 4]], one[:4])]
    assert "affine_bandwidth_per_ranks" not in two_sizes
    assert [law.name for law in ladder("send_recv", sizes[:3], ranks[:3], one[:3])] == ["paper", "scaled", "affine"]


@pytest.mark.parametrize("make", [paper, scaled, affine, flat_ring])
def test_a_law_is_found_again_by_its_form(make):
    law = make("all_gather")
    again = law_of(law.name, "all_gather", [t.name for t in law.terms])
    assert (again.name, again.equation, again.prior) == (law.name, law.equation, law.prior)
    with pytest.raises(InputError, match="pnorm"):
        law_of("pnorm", "all_gather", [])
