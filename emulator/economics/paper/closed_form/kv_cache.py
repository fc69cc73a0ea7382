"""How large a KV cache is, how much of it fits, what reading it costs."""

from __future__ import annotations

from inferometer.emulator.workload.program import Size


def kv_elements_per_token(kv_heads: Size, head_dim: Size, layers: Size) -> Size:
    """Numbers kept per token of context: a key and a value for each KV head of each layer."""
    return 2 * kv_heads * head_dim * layers


def kv_bytes_per_token(kv_heads: Size, head_dim: Size, layers: Size, bytes_per_element: Size = 2) -> Size:
    """Bytes kept per token of context (Erdil, eq. 34; Anysphere, "Memory Bandwidth Needed for KV Cache")."""
    return bytes_per_element * kv_elements_per_token(kv_heads, head_dim, layers)


def latent_kv_bytes_per_token(kv_rank: Size, layers: Size, rope_dim: Size = 0, bytes_per_element: Size = 2) -> Size:
    """Bytes per token under multi-head latent attention: one latent of kv_rank, with its rotary key of rope_dim."""
    return bytes_per_element * (kv_rank + rope_dim) * layers


def cache_bytes(kv_bytes_per_token: Size, context: Size, batch: Size = 1) -> Size:
    """Bytes of the caches of batch sequences of context tokens each."""
    return kv_bytes_per_token * context * batch


def free_bytes(devices: Size, device_bytes: Size, weights_bytes: Size = 0.0) -> Size:
    """Memory of all devices that the weights leave over; negative where they do not fit."""
    return devices * device_bytes - weights_bytes


def tokens_that_fit(free_bytes: Size, kv_bytes_per_token: Size) -> Size:
    """Tokens whose cache fits into free memory, a real number."""
    return free_bytes / kv_bytes_per_token


def sequences_that_fit(free_bytes: Size, kv_bytes_per_token: Size, context: Size) -> Size:
    """Sequences of context tokens whose caches fit into free memory, a real number."""
    return tokens_that_fit(free_bytes, kv_bytes_per_token) / context


def batch_of_equal_reads(weights_bytes: Size, kv_bytes_per_token: Size, context: Size) -> Size:
    """Batch from which a step reads more cache than weights (Erdil, section 4.3)."""
    return weights_bytes / cache_bytes(kv_bytes_per_token, context)
