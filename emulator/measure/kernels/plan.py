"""Which kernels are timed on a GPU: those that programs of the sweep's models launch, at the sweep's rows and contexts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from inferometer.emulator.measure.method import KernelProbes
from inferometer.emulator.workload.build import build
from inferometer.emulator.workload.catalogue import load_shape
from inferometer.emulator.workload.kernels.formats import FORMATS, Format
from inferometer.emulator.workload.kernels.sizes import Sizes, attention_sizes, matmul_sizes, pass_sizes
from inferometer.emulator.workload.layout import Layout
from inferometer.emulator.workload.operations import Compute
from inferometer.emulator.workload.precision import Precision
from inferometer.emulator.workload.shape import Shape
from inferometer.emulator.workload.step import Step

MOST_OUTPUT = 1 << 28
"""Elements of a product's result, at most."""
GROUPS = 8
"""Experts of a grouped matmul's probe; a rank with more launches more of the same."""
MEMORY_BYTES = 1 << 30


@dataclass(frozen=True)
class Kernel:
    """One shape of one function. kind, op: as in a samples file; shape: what `work.py` builds it from."""

    kind: str
    op: str
    shape: tuple[int, ...]
    sizes: tuple[tuple[str, float], ...]

    @classmethod
    def of(cls, kind: str, op: str, shape: tuple[int, ...], sizes: Sizes) -> Kernel:
        return cls(kind, op, shape, tuple(sizes.items()))

    @property
    def record(self) -> dict[str, Any]:
        """What a samples file says of it, without times."""
        return {"op": self.op, "kind": self.kind, **dict(self.sizes)}


def kernels_of(wanted: KernelProbes, dtype: str) -> list[Kernel]:
    """Every kernel once, the launch floor and the memory's rates first, then matmuls, attention, passes.

    Raises InputError for a model or layout that is none.
    """
    form = FORMATS[dtype]
    found: dict[Kernel, None] = {Kernel.of("null", "null", (), {}): None}
    for op in ("read", "copy"):
        found[Kernel.of("memory", op, (MEMORY_BYTES,), {"activation_bytes": MEMORY_BYTES * (2 if op == "copy" else 1)})] = (
            None
        )
    of_kind: dict[str, dict[Kernel, None]] = {"matmul": {}, "attention": {}, "stream": {}}
    for model in wanted.models:
        shape = load_shape(model.model)
        for tp in model.tp:
            for kernel in _of_layout(wanted, shape, tp, form):
                of_kind[kernel.kind][kernel] = None
    for some in of_kind.values():
        found |= some
    return list(found)


def _of_layout(wanted: KernelProbes, shape: Shape, tp: int, form: Format) -> Iterator[Kernel]:
    bits = form.weight_bits
    program = build(shape, Layout(tp=tp), Step.decode(1, 1), precision=Precision(bits, bits, bits))
    ops = [op for _, op in program.stages[0].counted() if isinstance(op, Compute)]
    for op in ops:
        if op.matmul is not None:
            _, inner, outer = op.matmul
            grouped = op.routed
            for rows in wanted.rows:
                if rows * outer > MOST_OUTPUT:
                    continue
                if grouped and rows >= GROUPS:
                    sizes = matmul_sizes(rows, inner, outer, form, GROUPS)
                    yield Kernel.of("matmul", "grouped", (rows, inner, outer, GROUPS), sizes)
                yield Kernel.of("matmul", "matmul", (rows, inner, outer), matmul_sizes(rows, inner, outer, form))
    yield from _attention(wanted, shape, tp, form)
    yield from _passes(wanted, shape, tp, form)


def _attention(wanted: KernelProbes, shape: Shape, tp: int, form: Format) -> Iterator[Kernel]:
    """Of grouped-query attention; other kinds have no kernel of their own in torch."""
    heads = _heads(shape)
    if heads is None:
        return
    queries, kv = heads.query_heads // tp, max(1, heads.kv_heads // tp)
    for batch in wanted.batches:
        for context in wanted.contexts:
            sizes = attention_sizes(batch, 1, context, queries, kv, heads.head_dim, form)
            if sizes["kv_bytes"] <= wanted.most_kv_bytes:
                yield Kernel.of("attention", "decode", (batch, 1, context, queries, kv, heads.head_dim), sizes)
    for batch, prompt in wanted.prefills:
        sizes = attention_sizes(batch, prompt, prompt, queries, kv, heads.head_dim, form)
        yield Kernel.of("attention", "prefill", (batch, prompt, prompt, queries, kv, heads.head_dim), sizes)


def _heads(shape: Shape) -> Any:
    """The first grouped-query attention of the model; None of one that has none."""
    return next((layer.attention for layer in shape.stack if getattr(layer.attention, "kind", "") == "heads"), None)


def _passes(wanted: KernelProbes, shape: Shape, tp: int, form: Format) -> Iterator[Kernel]:
    """Passes over activations, by function and by what each is made over in a layer, at every other number of rows."""
    few = wanted.rows[::2] + wanted.rows[-1:] * (len(wanted.rows) % 2 == 0)
    dense: Any = next((layer.feed_forward for layer in shape.stack if layer.feed_forward is not None), None)
    heads = _heads(shape)
    widths: dict[str, list[int]] = {"rms_norm": [shape.d_model], "add": [shape.d_model], "copy": [shape.d_model]}
    if dense is not None:
        widths["silu_mul"] = [max(1, dense.d_ff // tp)]
        widths["gelu"] = [max(1, dense.d_ff // tp)]
    if heads is not None:
        rotated = (heads.query_heads + heads.kv_heads) // tp * heads.head_dim
        cached = max(1, heads.kv_heads // tp) * heads.head_dim
        widths |= {"mul": [rotated // 2], "sub": [rotated // 2], "cat": [rotated]}
        widths["add"] += [rotated // 2]
        widths["copy"] += [cached]
    if shape.norm_bias:
        widths["layer_norm"] = [shape.d_model]
    for function, of_function in widths.items():
        for width in of_function:
            for rows in few:
                yield Kernel.of("stream", function, (rows, width), pass_sizes(function, rows, width, form))
    vocab = -(-shape.vocab // tp)
    for rows in few:
        read = {"activation_bytes": float(2 * rows * shape.d_model * form.activation_bytes)}
        yield Kernel.of("stream", "embedding", (rows, shape.d_model, vocab), read)
        if rows * vocab <= MOST_OUTPUT:
            yield Kernel.of(
                "stream", "argmax", (rows, vocab), {"activation_bytes": float(rows * vocab * form.activation_bytes)}
            )
        if experts := shape.experts:
            scores = {"activation_bytes": float(rows * experts.count * 4)}
            yield Kernel.of("stream", "topk", (rows, experts.count, experts.active), scores)


def check_models(wanted: KernelProbes) -> None:
    """Raise InputError for a model that is not known or a layout that does not fit it, before any rank starts."""
    for dtype in wanted.dtypes:
        kernels_of(wanted, dtype)
