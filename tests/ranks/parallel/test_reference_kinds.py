"""The unsharded layers against numbers that transformers 5.24 computes from the same weights and inputs.

Its modules: NemotronHMamba2Mixer, JambaMambaMixer, Lfm2ShortConv, Qwen3NextGatedDeltaNet, DeepseekV32Indexer, in float32 on
a CPU.
"""

from __future__ import annotations

import pytest
import torch

from inferometer.emulator.workload.kinds.convolution import ShortConvolution
from inferometer.emulator.workload.kinds.delta import GatedDelta
from inferometer.emulator.workload.kinds.index import Index
from inferometer.emulator.workload.kinds.mamba import Mamba1, Mamba2
from inferometer.emulator.workload.shape import Latent
from inferometer.parallel.reference.attention import ReferenceIndex
from inferometer.parallel.reference.recurrent import ReferenceConvolution, ReferenceDelta, ReferenceMamba1, ReferenceMamba2
from inferometer.parallel.weights import Weights

WEIGHTS = Weights(5)
INPUT = WEIGHTS.matrix("x", (32, 16)).t().reshape(2, 8, 32) * 3
"""Two sequences of 8 tokens, 32 wide."""


@torch.no_grad()
def check(module, sample, total, squares, within):
    """sample: the first elements of the last token of the second sequence."""
    whole = module(INPUT, 0)
    assert whole[1, 7, : len(sample)].tolist() == pytest.approx(sample, abs=within)
    assert float(whole.double().sum()) == pytest.approx(total, abs=1e3 * within)
    assert float(whole.double().square().sum()) == pytest.approx(squares, rel=100 * within)
    module.past = None
    steps = torch.cat([module(part, context) for context, part in zip((0, 3, 4), INPUT.split([3, 1, 4], 1))], 1)
    assert torch.allclose(steps, whole, atol=1e-5)


def test_mamba_2():
    """8 heads of 4, 2 groups, a state of 6, kernel 4, biases everywhere, a norm of each group."""
    module = ReferenceMamba2(WEIGHTS, "m.", 32, Mamba2(8, 4, 2, 6, 4, True, True))
    sample = [0.5184073448, -0.2157811373, 0.7532494068, -0.7973012328, 1.3098856211, 0.6753275990]
    check(module, sample, 4.4238831550, 444.1034520084, 2e-6)


def test_mamba():
    """64 channels, a state of 6, kernel 4, dt of rank 3, biases everywhere, norms of dt, B and C."""
    module = ReferenceMamba1(WEIGHTS, "s.", 32, Mamba1(64, 6, 4, 3, True, True, True))
    sample = [0.0862776190, 0.4228639603, -0.3689830899, 0.7132167816, -0.1821630448, -0.3155512512]
    check(module, sample, 8.2459193602, 31.3119455845, 2e-6)


def test_a_short_convolution():
    """32 channels over 3 tokens, biases everywhere."""
    module = ReferenceConvolution(WEIGHTS, "c.", 32, ShortConvolution(32, 3, True))
    sample = [0.4324186742, -0.2902635336, 0.1707324237, 0.0168542117, 0.2583786249, -0.2349785566]
    check(module, sample, 6.2906735414, 13.5560904044, 2e-6)


def test_gated_delta():
    """8 value heads of 6, 4 key heads of 4, kernel 4. transformers' norm of queries and keys adds 1e-6 to the squares."""
    module = ReferenceDelta(WEIGHTS, "d.", 32, GatedDelta(8, 4, 4, 6, 4))
    sample = [-1.3418895006, -0.7470852137, -0.7807634473, 0.6656422615, -0.0858883410, -0.0951828957]
    check(module, sample, -2.0154274777, 56.0017423951, 1e-4)


@torch.no_grad()
def test_an_index():
    """8 heads of 8, of which 4 elements are rotated: the 4 tokens that each of the tokens 4 to 7 reads."""
    module = ReferenceIndex(WEIGHTS, "i.", 32, Latent(8, 24, 16, 8, 4, 8, index=Index(8, 8, 4, 24)))
    module(INPUT, WEIGHTS.matrix("q", (24, 16)).t().reshape(2, 8, 24), 0)
    chosen = [[token.nonzero().flatten().tolist() for token in sequence[4:]] for sequence in module.chosen]
    assert chosen == [
        [[1, 2, 3, 4], [1, 3, 4, 5], [1, 3, 5, 6], [1, 2, 3, 6]],
        [[0, 2, 3, 4], [2, 3, 4, 5], [1, 2, 3, 5], [1, 3, 4, 6]],
    ]
