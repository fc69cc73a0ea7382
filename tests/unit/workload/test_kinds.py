"""FLOP and bytes of layers that are not plain attention, against numbers worked by hand."""

from __future__ import annotations

import pytest

from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.build import build
from inferometer.emulator.workload.catalogue import load_shape
from inferometer.emulator.workload.kinds.compressed import Compressed
from inferometer.emulator.workload.kinds.delta import GatedDelta
from inferometer.emulator.workload.kinds.dense import Dense
from inferometer.emulator.workload.kinds.index import Index
from inferometer.emulator.workload.kinds.kind import Store
from inferometer.emulator.workload.kinds.mamba import Mamba2
from inferometer.emulator.workload.layout import Layout
from inferometer.emulator.workload.memory import resident
from inferometer.emulator.workload.parameters import count
from inferometer.emulator.workload.precision import Precision
from inferometer.emulator.workload.rank import attended_in_chunks
from inferometer.emulator.workload.shape import Experts, Heads, Latent, Layer, Shape
from inferometer.emulator.workload.stages import stage_layers
from inferometer.emulator.workload.step import Step


def one(attention, feed_forward=None):
    return Shape("one", 16, 32, (Layer(attention, feed_forward or Dense(8)),))


def ops(shape, step, **further):
    return {op.name: op for op in build(shape, Layout(), step, **further).stages[0]}


def test_a_window_limits_what_is_scored_and_read():
    """Two sequences, window 4: a token after 10 sees 4, in 4 query heads: 4·4·8·4·2 FLOP; reads 4, writes its own."""
    core = ops(one(Heads(4, 2, 8, window=4)), Step.decode(2, 10))["attention.core"]
    assert core.flop == 4 * 4 * 8 * 4 * 2
    assert core.kv_bytes == 2 * (4 + 1) * (2 * 2 * 8) * 2


def test_chunks_begin_anew():
    """Chunk 4: tokens 0 to 9 see 1, 2, 3, 4, 1, 2, 3, 4, 1, 2 tokens."""
    assert attended_in_chunks(0, 10, 4) == 23
    assert attended_in_chunks(6, 3, 4) == 3 + 4 + 1
    core = ops(one(Heads(4, 2, 8, window=4, chunked=True)), Step.decode(1, 6))["attention.core"]
    assert core.flop == 4 * 4 * 8 * 3
    assert core.kv_bytes == (2 + 1) * (2 * 2 * 8) * 2


def test_an_index_scores_all_tokens_and_lets_few_be_read():
    """Context 100, an index of 2 heads of 4 that leaves 10: 2·2·4·101 FLOP of the index; 10 latents of 8 + 2 are read."""
    latent = Latent(4, 6, 8, 4, 2, 4, index=Index(2, 4, 10, 6))
    found = ops(one(latent), Step.decode(1, 100))
    assert found["attention.index"].flop == 2 * 2 * 4 * 101
    assert found["attention.index"].kv_bytes == 101 * 4 * 2
    assert found["attention.core"].flop == 2 * 4 * (2 * 8 + 2) * 10
    assert found["attention.core"].kv_bytes == (10 + 1) * (8 + 2) * 2


def test_a_gated_delta_layer_reads_and_writes_its_state():
    """4 value heads of 8 × 4, 2 key heads, kernel 4: 2·2·8 + 4·4 = 48 channels."""
    delta = GatedDelta(4, 2, 8, 4, 4)
    found = ops(one(delta), Step.decode(3, 50), precision=Precision(state_bits=32))
    state = 4 * 8 * 4
    assert found["attention.core"].flop == 3 * (6 * state + 2 * 48 * 4)
    assert found["attention.core"].kv_bytes == 2 * 3 * (4 * state + 2 * 48 * 4)
    assert found["attention.in_proj_qkv"].flop == 2 * 3 * 16 * 48
    assert resident(build(one(delta), Layout(), Step.decode(3, 50)), 3, 50).kv_bytes == 3 * (4 * state + 2 * 48 * 4)
    assert resident(build(one(delta), Layout(), Step.decode(3, 50)), 3, 5000).kv_bytes == 3 * (4 * state + 2 * 48 * 4)


def test_a_mamba_2_layer():
    """4 heads of 8, one group, state 16, kernel 4: inner 32, 32 + 2·16 = 64 channels; in_proj to 32 + 64 + 4."""
    mamba = Mamba2(4, 8, 1, 16, 4)
    found = ops(one(mamba), Step.decode(2, 50))
    assert found["attention.in_proj"].flop == 2 * 2 * 16 * 100
    assert found["attention.core"].flop == 2 * (4 * 32 * 16 + 2 * 64 * 4)
    assert found["attention.core"].kv_bytes == 2 * 2 * (4 * 32 * 16 + 2 * 64 * 4)
    shape = Shape("state", 16, 32, (Layer(mamba, None, 1),), tied_embeddings=True)
    assert count(shape).parts["linear_attn"] == 16 * 100 + 64 * 5 + 3 * 4 + 32 + 32 * 16


def test_compressed_entries_are_kept_for_every_so_many_tokens():
    """Window 4, an entry for 8 tokens: after 100 tokens 12 entries, and 4 tokens that wait for the next."""
    compressed = Compressed(4, 6, 8, 4, 2, window=4, every=8)
    stores = compressed.stores(1)
    assert [store.entries(100) for store in stores] == [4, 12, 4]
    assert sum(int(store.kept(100)) for store in stores) == 3 * 8 + 12 * 8 + 4 * 16


def test_a_window_is_full_with_the_next_token():
    assert Store(10, window=4).kept(100) == 30
    assert Store(10, window=4).entries(100) == 4
    assert Store(10, window=4).kept(2) == 20


def test_stages_as_vllm_cuts_them():
    """Qwen3-235B: 94 layers over 4 stages."""
    assert [len(layers) for layers in stage_layers(94, 4)] == [23, 24, 24, 23]
    assert [len(layers) for layers in stage_layers(61, 4)] == [15, 15, 16, 15]
    assert [len(layers) for layers in stage_layers(7, 4)] == [2, 2, 2, 1]
    assert [layers.start for layers in stage_layers(10, 3)] == [0, 3, 7]
    shape = load_shape("qwen3-235b-a22b")
    program = build(shape, Layout(pp=4), Step.decode(4, 100))
    assert [sum(s.repeat for s in stage.segments if s.name.endswith("layer")) for stage in program.stages] == [
        23,
        24,
        24,
        23,
    ]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: GatedDelta(4, 3, 8, 8, 4), "linear value heads = 4 is no multiple of linear key heads = 3"),
        (lambda: Mamba2(0, 8, 1, 16, 4), "heads = 0 must be a whole number"),
        (lambda: Index(2, 0, 10), "dim = 0 must be a whole number"),
        (lambda: Heads(8, 8, 8, value_dim=0), "value_dim = 0 must be a whole number"),
        (lambda: Experts(4, 7, 8, zero=2), "active experts = 7 are more than the 6 there are"),
        (lambda: Shape("none", 8, 8, ()), "layers = 0 must be a whole number"),
    ],
)
def test_what_cannot_be(make, said):
    with pytest.raises(InputError) as error:
        make()
    assert said in str(error.value)
