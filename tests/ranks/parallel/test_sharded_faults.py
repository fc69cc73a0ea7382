"""What goes wrong in a running model is named: by the rank that sees it, or by all through the control plane."""

from __future__ import annotations

import time
from contextlib import nullcontext

import pytest
import torch

from inferometer.emulator.engine.agreement import check
from inferometer.emulator.engine.engine import Engine
from inferometer.emulator.errors import InputError, RunFailed
from inferometer.emulator.workload.layout import Layout
from inferometer.emulator.workload.precision import Precision
from inferometer.parallel.control import Disagreement
from inferometer.parallel.tape import OffTape
from tests.studies.sharded_runs import DENSE, MIXED, SEED

PROMPTS = torch.arange(8).view(2, 4)


def engine_of(world, shape=DENSE, layout=None, **changes):
    layout = layout or Layout(tp=world.size)
    return Engine(shape, layout, world, **({"batch": 2, "cache_tokens": 8, "seed": SEED} | changes))


def said(error, call, *args):
    """The message of the error that the call must raise."""
    try:
        call(*args)
    except error as failure:
        return str(failure)
    return "nothing was raised"


def _nan(world, control):
    engine = engine_of(world)
    engine.prefill(PROMPTS)
    check(engine, control)
    if world.rank == 1:
        engine.stage.layers[2].feed_forward.up[3, 4] = float("nan")
    engine.decode()
    return said(RunFailed, check, engine, control)


def test_a_weight_that_is_not_a_number_is_named_on_every_rank(ranks):
    words = (
        "rank 0: 100 of 100 logits are not finite after 4 tokens of context; weights that are not: "
        "rank 1: layers.2.feed_forward.up (1 of 2048)"
    )
    assert ranks(2, _nan) == [words, words]


def _overflow(world, control):
    """Finite weights, too large a product."""
    engine = engine_of(world, MIXED)
    engine.stage.head.w.fill_(3e38)
    engine.prefill(PROMPTS)
    return said(RunFailed, check, engine, control)


def test_logits_that_are_not_finite_without_such_weights(ranks):
    assert [words.partition("; ")[2] for words in ranks(1, _overflow)] == ["all weights are finite"]


def _disagree(world, control):
    engine = engine_of(world, MIXED)
    engine.prefill(PROMPTS)
    check(engine, control)
    if world.rank == 1:
        engine.stage.layers[2].mixture.router.w.neg_()
    engine.decode()
    return said(Disagreement, check, engine, control)


def test_ranks_that_disagree_about_a_routing_are_named(ranks):
    words = "rank 1 disagrees about the routing of layer 2 among ranks 0, 1, which have the same tokens"
    assert ranks(2, _disagree) == [words, words]


def _route_apart(world, control):
    """Ranks of the expert axis have other tokens each: nothing to agree about."""
    engine = engine_of(world, MIXED, Layout(ep=2))
    engine.prefill(PROMPTS)
    check(engine, control)
    return [print_ for _, print_ in engine.stage.routing_fingerprints]


def test_ranks_with_other_tokens_need_not_agree(ranks):
    first, second = ranks(2, _route_apart)
    assert first != second


def _beyond(world, control):
    engine = engine_of(world, cache_tokens=5)
    before = said(RunFailed, engine.prefill, torch.zeros(2, 6, dtype=torch.int64))
    engine.prefill(PROMPTS)
    engine.decode()
    return before, said(RunFailed, engine.decode)


def test_a_context_beyond_the_cache(ranks):
    words = (
        "context 0 + 6 new tokens = 6 is beyond the cache of 5 tokens",
        "context 5 + 1 new tokens = 6 is beyond the cache of 5 tokens",
    )
    assert ranks(1, _beyond) == [words]


def _again(world, control):
    engine = engine_of(world, layout=Layout(pp=2), micro_batches=2)
    found = []
    for _ in range(2):
        engine.prepare([0], new_tokens=4)
        outputs = [engine.prefill(PROMPTS), engine.decode(), engine.decode()]
        found.append([output.logits for output in outputs if output])
        engine.reset()
    return all(torch.equal(a, b) for a, b in zip(*found)), len(found[1])


def test_new_sequences_after_a_reset_see_nothing_of_the_old_ones(ranks):
    assert ranks(2, _again) == [(True, 0), (True, 3)]


class Dies:
    """Stops a rank in the middle of a step, between two operations."""

    def around(self, line, size):
        if line.name == "ffn.down":
            raise KeyboardInterrupt
        return nullcontext()


def _die(world, control):
    engine = engine_of(world, observer=Dies() if world.rank == 1 else None)
    begun = time.monotonic()
    if world.rank == 1:
        with pytest.raises(KeyboardInterrupt):
            engine.prefill(PROMPTS)
        engine.close()
        world.close()
        return "died"
    with pytest.raises(RuntimeError):
        engine.prefill(PROMPTS)
    return engine.tape.doing, time.monotonic() - begun


def test_a_rank_that_dies_in_a_step_ends_the_others_step_at_a_named_operation(ranks):
    (doing, waited), died = ranks(2, _die, timeout_s=5.0)
    assert died == "died"
    assert doing == "ffn.reduce: all_reduce 1024 bytes over 2 ranks of tensor"
    assert waited < 10


def _skip(world, control):
    """A layer that leaves its norm out."""
    engine = engine_of(world)
    engine.stage.layers[0].norm = lambda x: x
    return said(OffTape, engine.prefill, PROMPTS)


def test_a_layer_that_leaves_the_program_is_named(ranks):
    assert ranks(1, _skip) == [
        "line 2 of 31 is attention.norm: stream; the layers came to attention.qkv: matmul 8 × 32 × 96 rows × inner × outer"
    ]


class Alone:
    size, rank, ranks, device = 1, 0, (0,), torch.device("cpu")

    def __init__(self, backend="gloo"):
        self.backend = backend


@pytest.mark.parametrize(
    ("layout", "changes", "words"),
    [
        (Layout(tp=2), {}, r"tp2: tp·ep·pp·dp = 2·1·1·1 = 2 ranks, but there are 1"),
        (Layout(), {"batch": 3, "micro_batches": 2}, "batch = 3 does not divide by 2 micro-batches = 2"),
        (Layout(), {"precision": Precision(8, 16, 16)}, "not 8, 16"),
        (Layout(tp=3), {}, "query heads = 8 does not divide by tp = 3"),
    ],
)
def test_what_cannot_start_is_refused_with_the_arithmetic(layout, changes, words):
    with pytest.raises(InputError, match=words):
        engine_of(Alone(), DENSE, layout, **changes)


def test_bfloat16_on_mpi_is_refused_before_the_first_sum():
    with pytest.raises(InputError, match="MPI cannot sum bfloat16"):
        engine_of(Alone("mpi"), precision=Precision())
