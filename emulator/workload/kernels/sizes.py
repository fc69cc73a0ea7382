"""What a single kernel works on, by its shape, in one format: the sizes that its time follows, of probes and tables.

Bytes are those that pass to and from memory once: weights, activations in and out, keys and values.
"""

from __future__ import annotations

from inferometer.emulator.workload.kernels.executions import TIMES_MOVED
from inferometer.emulator.workload.kernels.formats import Format

Sizes = dict[str, float]


def matmul_sizes(rows: float, inner: float, outer: float, form: Format, matrices: int = 1) -> Sizes:
    """[rows, inner] × [inner, outer]; matrices: as many of these, with rows spread over them in equal parts."""
    return {
        "rows": rows, "inner": inner, "outer": outer, "matrices": matrices, "launches": matrices,
        "flop": 2 * rows * inner * outer, "weight_bytes": matrices * inner * outer * form.weight_bytes,
        "activation_bytes": rows * (inner * form.activation_bytes + outer * result_bytes(form)),
    }  # fmt: skip


def experts_sizes(rows: float, inner: float, outer: float, matrices: float, form: Format, *, gated: bool) -> Sizes:
    """An expert layer: rows of inner elements, each for one of matrices experts of width outer.

    Its products in and out, the activation between and what routes the rows are one time.
    """
    products = 3 if gated else 2
    return {
        "rows": rows, "inner": inner, "outer": outer, "matrices": matrices, "routed": 1, "launches": 2,
        "flop": 2 * rows * inner * outer * products,
        "weight_bytes": matrices * inner * outer * products * form.weight_bytes,
        "activation_bytes": rows * (inner + outer) * (form.activation_bytes + result_bytes(form)),
    }  # fmt: skip


def attention_sizes(
    batch: int, new: int, context: int, query_heads: int, kv_heads: int, head_dim: int, form: Format, tensors: int = 2
) -> Sizes:
    """new tokens of each of batch sequences against context ones, themselves included. tensors: 1 where keys are values.

    form: of the cache.
    """
    return {
        "flop": 4 * query_heads * head_dim * _pairs(batch, new, context), "context": context, "head_dim": head_dim,
        "activation_bytes": 2 * batch * new * query_heads * head_dim * result_bytes(form),
        "kv_bytes": tensors * batch * context * kv_heads * head_dim * form.weight_bytes,
    }  # fmt: skip


def latent_sizes(
    batch: int, new: int, context: int, query_heads: int, kv_rank: int, rope: int, nope: int, value: int, form: Format,
    *, absorbed: bool,
) -> Sizes:  # fmt: skip
    """Multi-head latent attention, on the latents themselves (absorbed) or on what they expand to. Its head_dim is the width
    of what is cached."""
    per_head = 2 * kv_rank + rope if absorbed else nope + rope + value
    return {
        "flop": 2 * query_heads * per_head * _pairs(batch, new, context), "context": context, "head_dim": kv_rank + rope,
        "activation_bytes": batch * new * query_heads * (nope + rope + value) * result_bytes(form),
        "kv_bytes": batch * context * (kv_rank + rope) * form.weight_bytes,
    }  # fmt: skip


def pass_sizes(function: str, rows: int, width: int, form: Format) -> Sizes:
    """A pass of a function over rows × width elements. Raises KeyError for one whose bytes are not known."""
    return {"activation_bytes": TIMES_MOVED[function] * rows * width * form.activation_bytes}


def result_bytes(form: Format) -> float:
    """Of an element of what comes out: results are kept in 16 bits at least."""
    return max(2.0, form.activation_bytes)


def _pairs(batch: int, new: int, context: int) -> float:
    """Of a new token and one that it sees."""
    return batch * new * (context - (new - 1) / 2)
