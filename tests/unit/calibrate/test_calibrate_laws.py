"""Bus factors and laws against values worked out by hand."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.optimize import nnls

from inferometer.emulator.calibrate.fit.points import points_of
from inferometer.emulator.calibrate.fit.robust import fit_law
from inferometer.emulator.calibrate.laws.bus_factors import bus_factors
from inferometer.emulator.calibrate.laws.forms import BY_NAME, formula_named, law_of, linear_ladder, rank_counts
from inferometer.emulator.calibrate.laws.linear import (
    AFFINE,
    affine,
    affine_bandwidth_per_ranks,
    flat_ring,
    paper,
    scaled,
    with_parts,
)
from inferometer.emulator.calibrate.laws.paper import paper_parameters
from inferometer.emulator.errors import InputError
from inferometer.parallel.collectives import COLLECTIVES
from tests.studies.synthetic import NO_NOISE, synthetic_cells


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
    for name, record in COLLECTIVES.items():
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


def names(collective, nodes):
    return [law.name for law in linear_ladder(collective, np.array(nodes, dtype=float))]


def test_the_straight_candidates_are_those_that_the_node_counts_may_distinguish():
    assert names("all_reduce", [1, 1]) == ["paper", "scaled", "affine", "flat_ring", "affine_one_shot"]
    assert names("send_recv", [1, 2]) == ["paper", "scaled", "affine"]
    assert {"affine_linear_nodes", "affine_flat_nodes", "affine_ring_linear_nodes"} <= set(names("all_reduce", [1, 2]))


def places(layouts, sizes):
    return np.array([(n, r, N) for r, N in layouts for n in sizes], dtype=float).T


SIZES = [512 * 4**k for k in range(9)]


@pytest.mark.parametrize(
    ("form", "layouts", "sizes", "borne"),
    [
        ("two_protocols", [(2, 1), (4, 1)], SIZES[:6], True),
        ("two_protocols", [(2, 1), (4, 1)], SIZES[:5], False),  # three sizes for each protocol
        ("three_protocols", [(2, 1), (4, 1)], SIZES, True),
        ("three_protocols", [(2, 1), (4, 1)], SIZES[:8], False),
        ("smooth", [(2, 1)], SIZES, True),
        ("smooth", [(2, 1), (4, 1)], [65536], False),
        ("affine_overlap", [(4, 1), (2, 2), (8, 2)], SIZES, True),
        ("affine_overlap", [(4, 1), (8, 1)], SIZES, False),  # nothing between nodes
        ("affine_overlap", [(4, 2)], SIZES, False),  # the two bandwidths act in one proportion
        ("two_protocols", [(4, 1), (8, 2), (16, 4)], SIZES, True),  # a + 3b is merged, in each protocol
    ],
)
def test_a_law_that_bends_needs_cells_that_can_bear_it(form, layouts, sizes, borne):
    assert law_of(formula_named(form), "all_reduce").bears(*places(layouts, sizes)) is borne


BENT = {
    "smooth": {"q": 0.6},
    "two_protocols": {"a.2": 40.0, "B_intra.2": 300.0, "B_inter.2": 30.0},
    "three_protocols": {
        "a.2": 20.0,
        "a.3": 40.0,
        "B_intra.2": 200.0,
        "B_intra.3": 300.0,
        "B_inter.2": 25.0,
        "B_inter.3": 30.0,
    },
    "affine_overlap": {},
    "threshold": {"jump": 9.0, "threshold": 40000.0},
}
BASE = {"a": 8.0, "b": 2.0, "c": 12.0, "B_intra": 100.0, "B_inter": 20.0}


def test_bent_laws_by_hand():
    """8 ranks on one node, 1 MiB of all_reduce: L = 8 + 7·2 = 22 µs, W = 1048576·1.75/100 ns = 18.350 µs."""
    place = (2**20, 8, 1)

    def time(form, **changed):
        law = law_of(formula_named(form), "all_to_all" if form == "threshold" else "all_reduce")
        return float(law.time_us(law.theta(BASE | BENT[form] | changed), *place)[0])

    assert time("smooth", q=1.0) == pytest.approx(22 + 18.35008)
    assert time("smooth", q=2.0) == pytest.approx(np.hypot(22, 18.35008))
    assert time("smooth", q=0.5) == pytest.approx((22**0.5 + 18.35008**0.5) ** 2)
    # The second protocol: 40 + 14 + 18.350/3; the first is faster here.
    assert time("two_protocols") == pytest.approx(40.35008)
    assert time("two_protocols", **{"a.2": 10.0}) == pytest.approx(10 + 14 + 18.35008 / 3)
    assert time("threshold") == pytest.approx(22 + 2**20 * 7 / 8 / 1e5 + 9)
    assert time("threshold", threshold=2.0**21) == pytest.approx(22 + 2**20 * 7 / 8 / 1e5)
    both = law_of(formula_named("affine_overlap"), "all_reduce")
    # 16 ranks on 2 nodes: 1.75 n/100 inside, 0.125 n/20 between: 18.350 and 6.554 at once.
    assert both.time_us(both.theta(BASE), 2**20, 16, 2)[0] == pytest.approx(8 + 14 + 12 + 18.35008)


@pytest.mark.parametrize("form", [name for name in BENT if name != "threshold"])
@pytest.mark.parametrize("layouts", [[(2, 1), (4, 1), (4, 2), (8, 4)], [(4, 2), (8, 4), (8, 1), (4, 1)]])
def test_analytic_derivatives_are_those_of_the_time(form, layouts):
    law = law_of(formula_named(form), "all_reduce")
    where = places(layouts, SIZES)
    problem = law.problem(law.design(*where), *where)
    wanted = law.theta(BASE | BENT[form])
    us = law.time_us(wanted, *where)
    free = problem.starts(us, np.ones(len(us)), nnls)[0] + 0.1
    for k in range(len(free)):
        nudge = np.zeros(len(free))
        nudge[k] = 1e-6
        slope = (problem.time_us(free + nudge) - problem.time_us(free - nudge)) / 2e-6
        assert slope == pytest.approx(problem.jacobian(free)[:, k], rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("form", BENT)
def test_a_bent_law_finds_its_own_parameters(form):
    """Reference: the planted values. One node for two and three protocols, whose inter bandwidths are then hidden."""
    collective = "all_to_all" if form == "threshold" else "all_reduce"
    law = law_of(formula_named(form), collective)
    layouts = [(2, 1), (8, 1), (4, 1), (4, 2), (8, 4)] if form == "affine_overlap" else [(2, 1), (4, 1), (8, 1)]
    truth = BASE | BENT[form] | ({"B_intra": 20.0, "B_intra.2": 90.0} if form.endswith("protocols") else {})
    cells = synthetic_cells(
        collective, law, truth, layouts, seed=0, sizes=[512 * 2**k for k in range(18)], launches=1, noise=NO_NOISE
    )
    fit = fit_law(law, points_of(cells))
    for name, row in fit.design.identified.items():
        value = 1 / fit.combinations[row] if name.startswith("B_") else fit.combinations[row]
        limit = 0.5 if name == "threshold" else 0.02
        assert value == pytest.approx(truth[name], rel=limit), name


def test_a_bandwidth_per_rank_count_needs_three_sizes_at_two_of_them():
    sizes, ranks, one = np.tile([1e3, 1e4, 1e5], 2), np.repeat([2.0, 4.0], 3), np.ones(6)
    assert rank_counts("all_reduce", sizes, ranks, one) == [2, 4]
    few = [0, 1, 3, 4]
    assert rank_counts("all_reduce", sizes[few], ranks[few], one[few]) == []


@pytest.mark.parametrize("make", [paper, scaled, affine, flat_ring])
def test_a_law_is_built_from_its_formula_once(make):
    law = make("all_gather")
    again = law_of(law.formula, "all_gather")
    assert (again.name, again.equation, again.prior) == (law.name, law.equation, law.prior)
    assert law_of(law.formula.model_copy(), "all_gather") is again


def test_a_person_asks_for_a_law_by_a_name_that_is_its_label():
    assert all(law_of(formula, "all_reduce").name == name for name, formula in BY_NAME.items())
    assert (
        len({law_of(formula, "all_reduce").equation for formula in BY_NAME.values()}) == len(BY_NAME) - 1
    )  # paper: affine's
    assert formula_named("affine_bandwidth_per_ranks", [2, 4]).bandwidth_rank_counts == (2, 4)
    with pytest.raises(InputError, match="law 'pnorm' is not known: known are paper, scaled, affine, flat_ring, "):
        formula_named("pnorm")


@pytest.mark.parametrize(
    "parts",
    [
        {"shape": "protocols"},
        {"protocols": 2},
        {"constants": "paper", "overlap": True},
        {"bandwidth_rank_counts": (4, 2)},
        {"shape": "step"},
    ],
)
def test_a_formula_of_parts_that_do_not_go_together_is_refused(parts):
    with pytest.raises(ValidationError):
        with_parts(AFFINE, **parts)
