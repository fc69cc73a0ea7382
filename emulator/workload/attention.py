"""The attention block as operations: grouped-query heads, or the latent of MLA."""

from __future__ import annotations

from typing import Any

import numpy as np

from inferometer.emulator.workload.program import Compute, Op, Size
from inferometer.emulator.workload.rank import RankWork, attended_tokens, cached_tokens
from inferometer.emulator.workload.shape import Heads, Latent


def attention_block(work: RankWork) -> list[Op]:
    """Projections, attention against the cache, output projection; partial sums of the output, not yet reduced."""
    attention = work.shape.attention
    return _latent(work, attention) if isinstance(attention, Latent) else _heads(work, attention)


def kv_heads_of_rank(attention: Heads, ranks: int) -> int:
    """Key-value heads a rank keeps; with more ranks than heads each head is kept by several ranks."""
    return max(1, attention.kv_heads // ranks)


def kv_elements(attention: Heads | Latent, ranks: int) -> int:
    """Cached elements per token and layer on one of ranks that share the attention. The latent is kept by every rank."""
    if isinstance(attention, Latent):
        return attention.kv_rank + attention.rope_dim
    return 2 * kv_heads_of_rank(attention, ranks) * attention.head_dim


def _heads(work: RankWork, attention: Heads) -> list[Op]:
    ranks = work.layout.attention_ranks
    heads = attention.query_heads // ranks
    width = heads * attention.head_dim
    kv_width = 2 * kv_heads_of_rank(attention, ranks) * attention.head_dim
    outer = work.layout.width * (width + kv_width)
    norms = 2 * attention.head_dim if attention.qk_norm else 0
    return [
        *work.into("attention.qkv", work.tokens, outer, collective="reduce_scatter", bias=attention.bias),
        _core(work, 4.0 * width, width, width, norms),
        *_output(work, width, bias=attention.out_bias),
    ]


def _output(work: RankWork, width: int, *, bias: bool = False) -> list[Op]:
    """The output projection. Where the residual stream is cut over "width", so are the heads: gathered first."""
    rows, inner = work.tokens, work.layout.width * width
    gathered = rows * inner * work.precision.residual_bytes
    return [
        *work.collective("attention.gather", "all_gather", "width", gathered),
        work.matmul("attention.out", rows, inner, work.width, bias=bias),
    ]


def _latent(work: RankWork, attention: Latent) -> list[Op]:
    """Queries and the latent are made on every rank (their matrices are small), heads are cut.

    Against a cache the up-projections of keys and values are absorbed into queries and outputs, so that attention runs
    on the latent itself; a prompt's own keys and values are expanded, which costs less for many new tokens. Both read
    the same weights and do the same projections' FLOP.
    """
    heads = attention.query_heads // work.layout.attention_ranks
    query_width = heads * (attention.nope_dim + attention.rope_dim)
    value_width = heads * attention.value_dim
    absorbed = bool(np.all(np.asarray(work.step.new_tokens) == 1) or np.any(np.asarray(work.step.context) > 0))
    ops: list[Op] = []
    if attention.query_rank is None:
        outer = work.layout.width * query_width
        ops += work.into("attention.query_up", work.tokens, outer, collective="reduce_scatter")
    else:
        ops += work.into("attention.query_down", work.tokens, attention.query_rank)
        ops.append(work.matmul("attention.query_up", work.tokens, attention.query_rank, query_width))
    ops += work.into("attention.latent_down", work.tokens, attention.kv_rank + attention.rope_dim)
    norms = (attention.query_rank or 0) + attention.kv_rank
    if absorbed:
        per_head: dict[str, Any] = {"matrices_read": heads, "matrices_kept": heads}
        pair = 2 * attention.kv_rank + attention.rope_dim
        ops += [
            work.matmul("attention.key_up", work.tokens * heads, attention.nope_dim, attention.kv_rank, **per_head),
            _core(work, 2.0 * heads * pair, query_width, value_width, norms),
            work.matmul("attention.value_up", work.tokens * heads, attention.kv_rank, attention.value_dim, **per_head),
        ]
    else:
        pair = attention.nope_dim + attention.rope_dim + attention.value_dim
        expanded = heads * (attention.nope_dim + attention.value_dim)
        ops += [
            work.matmul("attention.latent_up", work.tokens, attention.kv_rank, expanded),
            _core(work, 2.0 * heads * pair, query_width, value_width, norms),
        ]
    return [*ops, *_output(work, value_width)]


def _core(work: RankWork, flop_per_pair: float, query_width: int, output_width: int, norms: int) -> Compute:
    """Scores, softmax, weighted values. The cache is read once for each sequence, the new tokens' part written.

    norms: elements of the inner norms' scales (of queries and keys, of the latents).
    """
    step, shape, p, window = work.step, work.shape, work.precision, work.window
    pairs: Size = step.sequences * attended_tokens(step.context, step.new_tokens, window)
    pairs = pairs + step.prefill_tokens * (cached_tokens(step.prefill_context, window) + 1)
    read = step.sequences * cached_tokens(step.context, window)
    per_token = kv_elements(shape.attention, work.layout.attention_ranks) * p.kv_bytes
    return Compute(
        "attention.core",
        "attention",
        flop=flop_per_pair * pairs,
        activation_bytes=step.tokens * (query_width + output_width) * p.residual_bytes,
        kv_bytes=(read + step.tokens) * per_token,
        weight_bytes=norms * p.weight_bytes,
        resident_bytes=norms * p.weight_bytes,
    )
