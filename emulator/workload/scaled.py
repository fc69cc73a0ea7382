"""A small model with a large one's proportions, to be run where the large one does not fit."""

from __future__ import annotations

from dataclasses import dataclass, replace

from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.shape import Experts, Heads, Latent, Shape

WIDTH_STEP = 8
"""Widths are multiples of this, so that a few ranks divide them and matmuls run at full speed."""


@dataclass(frozen=True)
class Scaled:
    """The small shape, and in words each proportion that it could not keep."""

    shape: Shape
    not_kept: tuple[str, ...]


def scaled(shape: Shape, scale: float, layers: int | None = None) -> Scaled:
    """shape with its width, depth, heads, experts and vocabulary multiplied by scale (0 < scale ≤ 1).

    Kept where whole numbers allow it: query heads per key-value head, heads·head_dim over d_model, d_ff over d_model, the
    experts that a token chooses, and experts per rank (a deployment on scale times the ranks has as many on each).
    layers: how many instead; of the dense layers in front of a mixture of experts one stays if there are any.

    Raises InputError for a scale outside (0, 1] or a number of layers that is none.
    """
    if not 0 < scale <= 1:
        raise InputError(f"scale = {scale:g} must be above 0 and at most 1")
    if layers is not None and not 1 <= layers <= shape.layers:
        raise InputError(f"layers = {layers} must be 1 to the model's {shape.layers}")
    if scale == 1:
        small = _cut_short(shape, layers or shape.layers)
        return Scaled(small, tuple(_differences(shape, small, scale)))
    depth = layers or max(1, round(shape.layers * scale))
    d_model = _width(shape.d_model * scale)
    small = replace(
        _cut_short(shape, depth),
        name=f"{shape.name} · {scale:.4g}",
        d_model=d_model,
        d_ff=_width(shape.d_ff / shape.d_model * d_model),
        vocab=_width(shape.vocab * scale),
        attention=_attention(shape, scale, d_model),
    )
    if small.experts is not None:
        small = replace(small, experts=_experts(shape, small.experts, scale, d_model))
    return Scaled(small, tuple(_differences(shape, small, scale)))


def _cut_short(shape: Shape, depth: int) -> Shape:
    """The same model with fewer layers of each kind."""
    experts = shape.experts
    if experts is not None and experts.first_dense:
        dense = min(depth, max(1, round(experts.first_dense * depth / shape.layers)))
        experts = replace(experts, first_dense=dense)
    full = round(shape.full_attention_layers * depth / shape.layers)
    return replace(shape, layers=depth, experts=experts, full_attention_layers=full)


def _attention(shape: Shape, scale: float, d_model: int) -> Heads | Latent:
    a = shape.attention
    if isinstance(a, Latent):
        return replace(
            a,
            query_heads=max(1, round(a.query_heads * scale)),
            query_rank=None if a.query_rank is None else _width(a.query_rank * scale),
            kv_rank=_width(a.kv_rank * scale),
        )
    kv_heads = max(1, round(a.kv_heads * scale))
    query_heads = kv_heads * (a.query_heads // a.kv_heads)
    # Where the group forces more heads than the scale asks for they are narrower, so that attention keeps its share.
    wide = a.query_heads * a.head_dim / shape.d_model * d_model / query_heads
    return replace(a, query_heads=query_heads, kv_heads=kv_heads, head_dim=max(2, 2 * round(wide / 2)))


def _experts(shape: Shape, e: Experts, scale: float, d_model: int) -> Experts:
    least = min(e.count, 2 * e.active)  # fewer, and routing would hardly have a choice
    return replace(e, count=max(least, round(e.count * scale)), d_ff=_width(e.d_ff / shape.d_model * d_model))


def _width(wanted: float) -> int:
    return max(1, round(wanted / WIDTH_STEP)) * WIDTH_STEP


def _differences(whole: Shape, small: Shape, scale: float) -> list[str]:
    pairs = [
        ("d_model", whole.d_model * scale, small.d_model),
        ("layers", whole.layers * scale, small.layers),
        ("d_ff/d_model", whole.d_ff / whole.d_model, small.d_ff / small.d_model),
        ("vocabulary", whole.vocab * scale, small.vocab),
        ("query heads", whole.attention.query_heads * scale, small.attention.query_heads),
    ]
    a, b = whole.attention, small.attention
    if isinstance(a, Heads) and isinstance(b, Heads):
        pairs += [
            ("key-value heads", a.kv_heads * scale, b.kv_heads),
            ("head_dim", a.head_dim, b.head_dim),
            (
                "heads·head_dim/d_model",
                a.query_heads * a.head_dim / whole.d_model,
                b.query_heads * b.head_dim / small.d_model,
            ),
        ]
    elif isinstance(a, Latent) and isinstance(b, Latent):
        pairs.append(("kv_rank", a.kv_rank * scale, b.kv_rank))
        if a.query_rank is not None and b.query_rank is not None:
            pairs.append(("query_rank", a.query_rank * scale, b.query_rank))
    if whole.experts is not None and small.experts is not None:
        x, y = whole.experts, small.experts
        pairs += [
            ("experts", x.count * scale, y.count),
            ("expert d_ff/d_model", x.d_ff / whole.d_model, y.d_ff / small.d_model),
            ("dense layers in front, of all", x.first_dense / whole.layers, y.first_dense / small.layers),
        ]
    return [f"{what}: {got:.4g} instead of {wanted:.4g}" for what, wanted, got in pairs if abs(got - wanted) > 1e-9 * wanted]
