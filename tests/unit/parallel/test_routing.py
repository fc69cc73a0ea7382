"""Seeded routings: the same on every rank, within the message, and skewed where they say so."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.parallel.routing import MAX_TOKENS, split_matrix

KINDS = st.sampled_from(["uniform", "skewed"])


@given(KINDS, st.integers(0, 5_000_000), st.integers(1, 16))
def test_rows_use_the_message_up_to_one_token(kind, elements, size):
    matrix = split_matrix(kind, elements, size)
    assert matrix.shape == (size, size)
    assert matrix.dtype == np.int64
    assert matrix.min() >= 0
    unit = max(1, elements // MAX_TOKENS)
    rows = matrix.sum(axis=1)
    assert np.all(rows <= elements)
    assert np.all(rows > elements - unit)


@given(KINDS, st.integers(0, 100_000), st.integers(1, 8))
def test_every_rank_draws_the_same_matrix(kind, elements, size):
    first = split_matrix(kind, elements, size)
    np.random.seed(7)  # the global state must not matter
    np.testing.assert_array_equal(first, split_matrix(kind, elements, size))


def test_kinds_and_sizes_draw_different_matrices():
    one = split_matrix("uniform", 10_000, 4)
    assert not np.array_equal(one, split_matrix("skewed", 10_000, 4))
    assert not np.array_equal(one, split_matrix("uniform", 10_001, 4))


def imbalance(kind, elements, size):
    """The busiest receiver's elements over the mean."""
    received = split_matrix(kind, elements, size).sum(axis=0)
    return received.max() / received.mean()


@pytest.mark.parametrize("size", [2, 4, 8, 16])
def test_skewed_routing_is_more_uneven_than_chance(size):
    sizes = [4**k for k in range(6, 12)]
    uniform = [imbalance("uniform", n, size) for n in sizes]
    skewed = [imbalance("skewed", n, size) for n in sizes]
    assert max(uniform) < 1.1
    assert np.median(skewed) > 1.1
    assert np.mean(np.array(skewed) > np.array(uniform)) > 0.8


def test_another_kind_is_refused_by_name():
    with pytest.raises(ValueError, match="'zipf' is neither uniform nor skewed"):
        split_matrix("zipf", 10, 2)
