"""The control plane over torch's in-process store, with threads as ranks."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch.distributed as dist

from inferometer.parallel import control
from inferometer.parallel.control import Control, Disagreement, Fault, MissingRanks, PeerFault

LIMIT_S = 20.0


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch):
    monkeypatch.setattr(control, "POLL_S", 0.02)


def together(size, act, timeout_s=LIMIT_S, store=None):
    """``act(control)`` on every rank at once; what each returned, or the exception it raised."""
    store = store or dist.HashStore()

    def one(rank):
        try:
            return act(Control(store, rank, size, timeout_s))
        except Exception as error:
            return error

    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(one, range(size)))


@pytest.mark.parametrize("size", [1, 2, 5])
def test_gather_gives_rank_0_all_values_in_rank_order(size):
    answers = together(size, lambda c: c.gather("x", {"rank": c.rank}))
    assert answers == [[{"rank": rank} for rank in range(size)], *[None] * (size - 1)]


@pytest.mark.parametrize("size", [1, 2, 5])
def test_share_and_gather_all_give_everybody_the_same(size):
    assert together(size, lambda c: c.share("x", [c.rank, "zero"])) == [[0, "zero"]] * size
    assert together(size, lambda c: c.gather_all("x", c.rank * 10)) == [[10 * rank for rank in range(size)]] * size


def test_a_subset_exchanges_without_the_others_in_its_own_order():
    def act(c):
        if c.rank not in (0, 3, 1):
            return "absent"
        return c.gather("x", c.rank, among=[0, 3, 1]), c.share("x", "word", among=[0, 3, 1])

    assert together(4, act) == [([0, 3, 1], "word"), (None, "word"), "absent", (None, "word")]


def test_the_same_name_may_be_used_again_and_again():
    def act(c):
        return [c.gather_all("round", [number, c.rank]) for number in range(20)]

    for answers in together(3, act):
        assert answers == [[[number, rank] for rank in range(3)] for number in range(20)]


def test_nobody_passes_a_barrier_before_the_last_has_come():
    came = []

    def act(c):
        time.sleep(0.1 * c.rank)
        came.append(c.rank)
        c.barrier("b")
        return len(came)

    assert together(3, act) == [3, 3, 3]


def test_leaving_is_a_barrier_after_which_rank_0_is_last():
    left = []

    def act(c):
        c.leave()
        left.append(c.rank)

    assert together(4, act) == [None] * 4
    assert sorted(left) == [0, 1, 2, 3]


def test_agreement_hands_out_rank_0s_word():
    answers = together(3, lambda c: c.agree("cell", ["all_reduce", 4], then=f"from {c.rank}"))
    assert answers == ["from 0"] * 3


@pytest.mark.parametrize("odd", [0, 1, 3])
def test_disagreement_names_the_odd_rank_on_every_rank(odd):
    answers = together(4, lambda c: c.agree("shape", [8 if c.rank == odd else 16, "float32"]))
    for error in answers:
        assert isinstance(error, Disagreement)
        assert str(error) == f'rank {odd} disagrees about shape: [8, "float32"] against [16, "float32"]'


def test_between_two_ranks_the_one_that_is_not_rank_0_is_odd():
    for error in together(2, lambda c: c.agree("shape", c.rank)):
        assert isinstance(error, Disagreement)
        assert str(error).startswith("rank 1 disagrees about shape: 1 against 0")


def test_dicts_agree_whatever_the_order_of_their_keys():
    both = ({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert together(2, lambda c: c.agree("method", both[c.rank], then="same")) == ["same", "same"]


def test_a_silent_rank_is_named_with_the_limit_and_the_occasion():
    def act(c):
        return None if c.rank in (1, 3) else c.gather("roll call", c.rank)

    error, *_ = together(4, act, timeout_s=0.2)
    assert isinstance(error, MissingRanks)
    assert error.ranks == [1, 3]
    assert str(error) == "rank 1, 3 did not answer within 0.2 s (roll call)"


def test_a_silent_rank_0_is_named_by_the_others():
    _, error = together(2, lambda c: None if c.rank == 0 else c.share("word"), timeout_s=0.2)
    assert isinstance(error, MissingRanks)
    assert error.ranks == [0]


def test_a_posted_fault_wakes_the_waiting_long_before_the_limit():
    def act(c):
        if c.rank == 1:
            c.post_fault("raised", "ValueError: no", "in all_reduce")
            return None
        began = time.monotonic()
        try:
            c.share("never") if c.rank else c.gather("never", 0)
        except PeerFault as error:
            return str(error), time.monotonic() - began < 60 / 4
        return "nothing raised"

    zero, _, two = together(3, act, timeout_s=60)
    assert zero == two == ("another rank failed during never", True)


def test_faults_are_read_back_as_posted():
    store = dist.HashStore()
    first, second = (Control(store, rank, 3, LIMIT_S) for rank in (0, 2))
    assert first.faults() == {}
    second.post_fault("lost", "RuntimeError: gone", "in broadcast")
    assert first.faults() == {2: Fault(2, "lost", "RuntimeError: gone", "in broadcast")}


def test_a_role_is_claimed_once_and_roles_are_separate():
    assert sorted(together(6, lambda c: c.claim("reporter"))) == [False] * 5 + [True]
    store = dist.HashStore()
    assert Control(store, 1, 2, LIMIT_S).claim("a")
    assert Control(store, 0, 2, LIMIT_S).claim("b")


def test_a_thread_of_its_own_gets_a_connection_of_its_own():
    opened = []

    def connect():
        opened.append(dist.HashStore())
        return opened[-1]

    plane = Control(dist.HashStore(), 0, 1, LIMIT_S, connect)
    other = plane.for_thread()
    assert len(opened) == 1
    assert (other.rank, other.world_size, other.timeout_s) == (0, 1, LIMIT_S)
    assert plane.claim("role") and other.claim("role")  # two stores: each gives the role


def test_gathered_values_are_taken_out_of_the_store():
    store = dist.HashStore()
    together(3, lambda c: c.gather("x", c.rank), store=store)
    before = store.num_keys()
    together(3, lambda c: [c.gather("y", c.rank) for _ in range(30)], store=store)
    assert store.num_keys() == before
