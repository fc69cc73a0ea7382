"""The layouts worth trying: every one that divides the shape, on whole nodes."""

from __future__ import annotations

from collections.abc import Iterator

from inferometer.emulator.economics.accelerator import Accelerator
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.layout import Layout, check_layout, check_nodes
from inferometer.emulator.workload.shape import Shape


def layouts(shape: Shape, accelerator: Accelerator, gpus_max: int, *, gpus: int | None = None) -> Iterator[Layout]:
    """Layouts of one replica on at most gpus_max devices (exactly gpus, if given), fewest devices first.

    Replicas (dp) change neither latency nor cost, so dp = 1. Tensor and expert degrees are those that divide the
    heads and the experts, pipeline degrees those that divide the layers.
    """
    heads = shape.attention.query_heads
    experts = shape.experts.count if shape.experts else 1
    for count in range(1, gpus_max + 1) if gpus is None else (gpus,):
        for pp in _divisors(count):
            if shape.layers % pp:
                continue
            for ep in _divisors(count // pp):
                tp = count // pp // ep
                if experts % ep or heads % tp:
                    continue
                for attention in ("tensor", "data") if ep > 1 else ("tensor",):
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
