"""FLOP and bytes of the attention itself, between the projections."""

from __future__ import annotations

from inferometer.emulator.workload.program import Size

SOFTMAX_FLOP = 3
"""Per score: a maximum subtracted, an exponential, a division (Baseten's count)."""


def attention_flop_per_token(d_model: Size, layers: Size, context: Size) -> Size:
    """FLOP of one query against its context: 4 d_model n_layers L, d_model standing for n_heads d_head (Erdil, eq. 37)."""
    return 4 * d_model * layers * context


def unfused_flop(context: Size, head_dim: Size) -> Size:
    """FLOP of one head over N queries: 2 d N² scores, 3 N² softmax, 2 d N² values (Baseten)."""
    scores = 2 * head_dim * context * context
    return 2 * scores + SOFTMAX_FLOP * context * context


def unfused_bytes(context: Size, head_dim: Size, bytes_per_element: int = 2) -> Size:
    """Bytes one head moves over N queries where no kernel is fused: 8 N² + 8 N d for 2-byte elements (Baseten).

    Q and K are read, the scores written, read, the weights written, read with V, the output written.
    """
    vectors = context * head_dim
    scores = context * context
    return bytes_per_element * (2 * vectors + scores + 2 * scores + (scores + vectors) + vectors)


def unfused_intensity(context: Size, head_dim: Size, bytes_per_element: int = 2) -> Size:
    """FLOP per byte of unfused attention over N queries at once, as a prompt is processed (Baseten)."""
    return unfused_flop(context, head_dim) / unfused_bytes(context, head_dim, bytes_per_element)


def decode_intensity(group_size: Size, bytes_per_element: Size) -> Size:
    """FLOP per byte of one query per head against its cache: 2 g / p, whatever the context (Erdil, section 4.3).

    group_size: query heads per KV head, 1 for multi-head attention.
    """
    return 2 * group_size / bytes_per_element
