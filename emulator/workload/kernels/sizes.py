"""What a single kernel works on, by its shape, in one dtype: the sizes that its time follows, as own probes have them.

Bytes are those that pass to and from memory once: weights, activations in and out, keys and values.
"""

from __future__ import annotations

from inferometer.emulator.workload.kernels.executions import TIMES_MOVED

Sizes = dict[str, float]


def matmul_sizes(rows: int, inner: int, outer: int, element_bytes: int, matrices: int = 1) -> Sizes:
    """[rows, inner] × [inner, outer]; matrices: as many of these, with rows spread over them in equal parts."""
    return {
        "rows": rows, "inner": inner, "outer": outer, "matrices": matrices, "launches": matrices,
        "flop": 2 * rows * inner * outer,
        "weight_bytes": matrices * inner * outer * element_bytes, "activation_bytes": rows * (inner + outer) * element_bytes,
    }  # fmt: skip


def attention_sizes(
    batch: int, new: int, context: int, query_heads: int, kv_heads: int, head_dim: int, element_bytes: int, tensors: int = 2
) -> Sizes:
    """new tokens of each of batch sequences against context ones, themselves included. tensors: 1 where keys are values."""
    pairs = batch * new * (context - (new - 1) / 2)
    return {
        "flop": 4 * query_heads * head_dim * pairs, "context": context, "head_dim": head_dim,
        "activation_bytes": 2 * batch * new * query_heads * head_dim * element_bytes,
        "kv_bytes": tensors * batch * context * kv_heads * head_dim * element_bytes,
    }  # fmt: skip


def pass_sizes(function: str, rows: int, width: int, element_bytes: int) -> Sizes:
    """A pass of a function over rows × width elements. Raises KeyError for one whose bytes are not known."""
    return {"activation_bytes": TIMES_MOVED[function] * rows * width * element_bytes}
