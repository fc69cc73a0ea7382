"""The operations that kinds of attention share: scores and values against the cache, the projection of the output."""

from __future__ import annotations

import numpy as np

from inferometer.emulator.workload.kinds.kind import Attention
from inferometer.emulator.workload.operations import Compute, Op, Pass, Size
from inferometer.emulator.workload.rank import RankWork, attended_in_chunks, attended_tokens, cached_tokens


def core(
    work: RankWork,
    attention: Attention,
    *,
    flop_per_pair: float,
    flop_per_prompt_pair: float | None = None,
    moved: int,
    norms: int,
    chosen: int | None = None,
    head_dim: int = 0,
    passes: tuple[Pass, ...] = (),
) -> Compute:
    """Scores, softmax, weighted values. The cache is read once for each sequence, the new tokens' part written.

    flop_per_pair: of the rank's heads, of one new token and one it sees; flop_per_prompt_pair: of the tokens of prompts that
    enter beside others, where these are computed in another form. moved: elements of queries and outputs per token.
    norms: elements of the inner norms' scales (of queries and keys, of the latents). chosen: tokens that an index leaves of
    all those before a new one; each new token then reads its own. head_dim: of keys and values alike.
    """
    step, p = work.step, work.precision
    window = attention.window if chosen is None else chosen
    chunk = window if getattr(attention, "chunked", False) else None
    seen = attended_tokens(step.context, step.new_tokens, window)
    pairs: Size = step.sequences * (seen if chunk is None else attended_in_chunks(step.context, step.new_tokens, chunk))
    prompts = step.prefill_tokens * (cached_tokens(step.prefill_context, window) + 1)
    kept = cached_tokens(step.context, window) if chunk is None else np.mod(step.context, chunk)
    read = step.sequences * kept
    if chosen is not None:
        read = np.minimum(read * step.new_tokens, step.sequences * step.context)
    stores = attention.stores(work.layout.attention_ranks)
    per_token = attention.read_elements(work.layout.attention_ranks) * p.kv_bytes
    return Compute(
        "attention.core",
        "attention",
        flop=flop_per_pair * pairs + (flop_per_pair if flop_per_prompt_pair is None else flop_per_prompt_pair) * prompts,
        activation_bytes=step.tokens * moved * p.residual_bytes,
        kv_bytes=(read + (step.tokens if stores else 0)) * per_token,
        weight_bytes=norms * p.weight_bytes,
        resident_bytes=norms * p.weight_bytes,
        function="decode" if one_by_one(work) else "prefill",
        context=cached_tokens(step.context, window) + step.new_tokens,
        head_dim=head_dim,
        passes=passes,
    )


def one_by_one(work: RankWork) -> bool:
    """Whether every sequence of the step has one new token."""
    return bool(np.all(np.asarray(work.step.new_tokens) == 1) and np.all(np.asarray(work.step.prefill_tokens) == 0))


def output(work: RankWork, width: int, *, of: str = "self_attn.o_proj", bias: bool = False) -> list[Op]:
    """The output projection. Where the residual stream is cut over "width", so are the heads: gathered first."""
    rows, inner = work.tokens, work.layout.width * width
    gathered = rows * inner * work.precision.residual_bytes
    return [
        *work.collective("attention.gather", "all_gather", "width", gathered),
        work.matmul("attention.out", rows, inner, work.width, of=(of,), bias=bias, passes=(work.added(rows),)),
    ]
