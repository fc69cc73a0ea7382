"""Weights from a seed: a shard is the slice of the whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from inferometer.parallel import weights as module  # noqa: E402
from inferometer.parallel.weights import Weights  # noqa: E402


@given(data=st.data(), inner=st.integers(1, 40), outer=st.integers(1, 40), seed=st.integers(0, 2**63))
def test_a_shard_is_the_slice_of_the_whole(data, inner, outer, seed):
    weights = Weights(seed)
    whole = weights.matrix("w", (inner, outer))
    top, left = data.draw(st.integers(0, inner - 1)), data.draw(st.integers(0, outer - 1))
    bottom, right = data.draw(st.integers(top + 1, inner)), data.draw(st.integers(left + 1, outer))
    assert torch.equal(
        weights.matrix("w", (inner, outer), range(top, bottom), range(left, right)), whole[top:bottom, left:right]
    )


def test_every_matrix_begins_at_a_cache_line():
    """numpy's begin 16 bytes after one, which costs some of every load that a product makes."""
    made = [Weights(1).matrix(str(size), (size, 300)) for size in (5, 40, 1000)]
    assert [matrix.data_ptr() % 64 for matrix in made] == [0, 0, 0]


def test_blocks_do_not_show(monkeypatch):
    whole = Weights(1).matrix("w", (37, 11))
    monkeypatch.setattr(module, "BLOCK_ELEMENTS", 50)
    assert torch.equal(Weights(1).matrix("w", (37, 11)), whole)


def test_beyond_the_matrix_are_zeros():
    weights = Weights(1)
    padded = weights.matrix("w", (4, 10), None, range(8, 12))
    assert torch.equal(padded[:, :2], weights.matrix("w", (4, 10))[:, 8:])
    assert not padded[:, 2:].any()
    assert not weights.matrix("w", (4, 10), None, range(12, 16)).any()
    assert not weights.vector("b", 10, range(12, 16)).any()


def test_seed_name_row_and_column_all_matter():
    """Elements as independent draws: variance 1/inner, no correlation between rows, columns, names or seeds above chance."""
    w = Weights(5).matrix("w", (512, 512)) * 512**0.5
    others = [Weights(6).matrix("w", (512, 512)), Weights(5).matrix("v", (512, 512)), w.roll(1, 0), w.roll(1, 1), w.t()]
    assert abs(float(w.mean())) < 0.01
    assert float(w.var()) == pytest.approx(1, rel=0.01)
    for other in others:
        both = torch.stack((w.flatten(), other.flatten()))
        assert abs(float(torch.corrcoef(both)[0, 1])) < 0.01


def test_dtype_is_that_of_the_backend_and_rounds_the_same_numbers():
    whole = Weights(1).matrix("w", (8, 8))
    assert torch.equal(Weights(1, torch.bfloat16).matrix("w", (8, 8)), whole.bfloat16())


def test_scales_of_norms_are_around_one():
    scale = Weights(1).vector("norm", 1000, around=1.0)
    assert float(scale.min()) >= 0.9
    assert float(scale.max()) <= 1.1
    assert float(scale.std()) > 0.05
