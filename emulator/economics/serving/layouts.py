"""The layouts worth trying: every one that divides the shape, on whole nodes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Literal

from inferometer.emulator.economics.pricing.accelerator import Accelerator
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.layout import Layout, check_nodes
from inferometer.emulator.workload.shape import Shape
from inferometer.emulator.workload.stages import check_layout

SHARINGS: tuple[Literal["tensor", "data"], ...] = ("tensor", "data")


def layouts(shape: Shape, accelerator: Accelerator, gpus_max: int, *, gpus: int | None = None) -> Iterator[Layout]:
    """Layouts of one replica on at most gpus_max devices (exactly gpus, if given), fewest devices first.

    Replicas (dp) change neither latency nor cost, so dp = 1. Tensor and expert degrees are those that divide the
    heads and the experts, pipeline degrees those that divide the layers.
    """
    experts = shape.experts.count if shape.experts else 1
    degrees = product(_divisors(shape.layers), _divisors(experts), _divisors(shape.attention.query_heads))
    sized = sorted((pp * ep * tp, pp, ep, tp) for pp, ep, tp in degrees)
    for count, pp, ep, tp in sized:
        if count > gpus_max or (gpus is not None and count != gpus):
            continue
        for attention in SHARINGS if ep > 1 else SHARINGS[:1]:
            layout = Layout(tp=tp, ep=ep, pp=pp, attention=attention)
            if divides(shape, layout, accelerator):
                yield layout


def divides(shape: Shape, layout: Layout, accelerator: Accelerator) -> bool:
    """Whether the layout divides the shape and fills whole nodes."""
    try:
        check_layout(shape, layout)
        check_nodes(layout, accelerator.node_size)
    except InputError:
        return False
    return True


def _divisors(n: int) -> list[int]:
    return [d for d in range(1, n + 1) if n % d == 0]
