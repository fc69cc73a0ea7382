"""Every layout against the unsharded reference, and its traffic against the program. Reference: `parallel.reference`."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.layout import Layout
from inferometer.emulator.workload.shape import Experts, Heads, Latent, uniform
from inferometer.emulator.workload.stages import check_layout
from tests.studies.sharded_runs import (
    DENSE,
    LATENT,
    MIXED,
    SHAPES,
    layouts,
    reference_answers,
    relative_error,
    run_many,
)

MAIN = (DENSE, MIXED, LATENT)


@pytest.fixture(scope="module")
def answers():
    torch.set_num_threads(1)
    return {shape.name: reference_answers(shape) for shape in SHAPES}


def by_case(results):
    """Each case with what every rank says of it; traffic as in the program, together an answer for every sequence."""
    for case in results[0]:
        of_ranks = [of_rank[case] for of_rank in results]
        for rank, (_, _, complaints, _) in enumerate(of_ranks):
            assert complaints == [], (case, rank)
        assert set.intersection(*(set(unanswered) for _, _, _, unanswered in of_ranks)) == set(), case
        yield case, of_ranks


def check_exact(results):
    """results: of every rank, by case. float32: error at most 1e-5 of the largest logit, every greedy token the same."""
    for case, of_ranks in by_case(results):
        for rank, (error, wrong, _, _) in enumerate(of_ranks):
            assert error <= 1e-5, (case, rank, error)
            assert wrong == 0, (case, rank)


def check_rounded(results, plain):
    """bfloat16: error at most twice that of the unsharded module, plain by shape."""
    for case, of_ranks in by_case(results):
        for rank, (error, _, _, _) in enumerate(of_ranks):
            assert error <= 2 * plain[case.split()[0]], (case, rank, error)


def rounding_of(shape, exact):
    """Error of the unsharded bfloat16 module, with the float32 reference's tokens and routing."""
    own = reference_answers(shape, torch.bfloat16, forced=exact)
    return max(map(relative_error, own.logits, exact.logits))


@pytest.mark.parametrize("size", [1, 2, 4])
def test_every_layout_gives_the_references_logits_by_the_programs_operations(ranks, answers, size):
    """Prefill and 16 greedy decode steps. (4 ranks: three shapes and the grid here, all by `make verify`.)"""
    cases = [
        (shape, layout, answers[shape.name])
        for shape in SHAPES
        for layout in layouts(shape, size)
        if size < 4 or shape in MAIN or layout.tensor == "2d"
    ]
    check_exact(ranks(size, run_many, cases, limit_s=110))


@pytest.mark.parametrize(("ep", "batch"), [(2, 3), (4, 1)])
def test_tokens_that_the_expert_ranks_cannot_share_equally_are_padded(ranks, ep, batch):
    """3 tokens over 2 ranks; 1 token over 4, of which 3 have nothing but padding."""
    answers = reference_answers(MIXED, batch=batch, prompt=5, steps=3)
    check_exact(ranks(ep, run_many, [(MIXED, Layout(ep=ep), answers)]))


@pytest.mark.verify
def test_bfloat16_errs_at_most_twice_as_much_as_unsharded(ranks, answers):
    """Teacher-forced, with the reference's routing: neither a flipped token nor a flipped expert hides the error."""
    plain = {shape.name: rounding_of(shape, answers[shape.name]) for shape in MAIN}
    worst = [layout for layout in layouts(MIXED, 4) if layout.tp > 1 and layout.attention == "tensor" and layout.dp == 1]
    cases = [(shape, layout, answers[shape.name]) for shape in MAIN for layout in worst if shape.experts or layout.ep == 1]
    check_rounded(ranks(4, partial(run_many, dtype=torch.bfloat16, forced=True), cases, limit_s=110), plain)


@pytest.mark.verify
@pytest.mark.timeout(600)
@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_every_shape_under_every_layout(ranks, answers, size, dtype):
    cases = [(shape, layout, answers[shape.name]) for shape in SHAPES for layout in layouts(shape, size)]
    exact = dtype is torch.float32
    results = ranks(size, partial(run_many, dtype=dtype, forced=not exact), cases, limit_s=500)
    errors = {case: max(of_rank[case][0] for of_rank in results) for case in results[0]}
    if exact:
        print(f"\nfloat32, {size} ranks: {len(cases)} layouts, error at most {max(errors.values()):.1e}")
        check_exact(results)
    else:
        plain = {shape.name: rounding_of(shape, answers[shape.name]) for shape in SHAPES}
        ratio = max(error / plain[case.split()[0]] for case, error in errors.items())
        print(f"\nbfloat16, {size} ranks: {len(cases)} layouts, at most {ratio:.2f} times the unsharded module's error")
        check_rounded(results, plain)


# -- drawn shapes and layouts -------------------------------------------------------------------------------------------


@st.composite
def shapes(draw):
    """Anything a Shape can be, small; most layouts of few ranks divide it."""
    flag = st.booleans()
    group, kv_heads = draw(st.sampled_from([1, 2, 3])), draw(st.sampled_from([1, 2, 4]))
    heads = group * kv_heads
    if draw(flag):
        attention = Heads(heads, kv_heads, draw(st.sampled_from([2, 6, 8])), draw(flag), draw(flag), draw(flag))
    else:
        attention = Latent(
            4, draw(st.sampled_from([None, 12])), draw(st.integers(2, 16)), 6, draw(st.sampled_from([2, 4])), 5
        )
    experts = None
    if draw(flag):
        count = draw(st.sampled_from([2, 4, 8]))
        experts = Experts(count, draw(st.integers(1, min(3, count))), 8, draw(st.integers(0, 1)), draw(flag))
    window = draw(st.sampled_from([None, None, 3]))
    return uniform(
        "drawn", 2, draw(st.sampled_from([16, 24])), 16, draw(st.integers(5, 40)), attention, experts,
        first_dense=draw(st.integers(0, 2)), gated=draw(flag), tied_embeddings=draw(flag), parallel_attention=draw(flag),
        sliding_window=window, full_attention_layers=draw(st.integers(0, 2)),
        learned_positions=draw(st.sampled_from([0, 32])), norm_bias=draw(flag), linear_bias=draw(flag), head_bias=draw(flag),
    )  # fmt: skip


@st.composite
def drawn_cases(draw, size):
    shape = draw(shapes())

    def divides(layout):
        try:
            check_layout(shape, layout)
        except InputError:
            return False
        return True

    possible = [layout for layout in layouts(shape, size) if divides(layout)]
    if not possible:
        return None
    layout = draw(st.sampled_from(possible))
    equal_parts = (2 if layout.pp > 1 else 1) * layout.sequence_shares
    sizes = {"batch": equal_parts * draw(st.integers(1, 3)), "prompt": draw(st.integers(1, 6)), "steps": 3}
    return shape, layout, sizes


def run_drawn(ranks, size, drawn):
    cases = [(shape, layout, reference_answers(shape, **sizes)) for shape, layout, sizes in filter(None, drawn)]
    check_exact(ranks(size, partial(run_many, numbered=True), cases, limit_s=110))


QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


@pytest.mark.verify
@given(st.lists(drawn_cases(2), min_size=8, max_size=8), st.lists(drawn_cases(4), min_size=8, max_size=8))
@settings(max_examples=1, deadline=None, derandomize=True, suppress_health_check=QUIET)
def test_drawn_shapes_and_layouts(ranks, two, four):
    run_drawn(ranks, 2, two)
    run_drawn(ranks, 4, four)


@pytest.mark.verify
@pytest.mark.timeout(900)
@given(st.lists(drawn_cases(4), min_size=8, max_size=8))
@settings(max_examples=25, deadline=None, suppress_health_check=QUIET)
def test_many_drawn_shapes_and_layouts(ranks, drawn):
    run_drawn(ranks, 4, drawn)
