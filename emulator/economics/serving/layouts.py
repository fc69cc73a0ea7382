"""The layouts worth trying: every one that divides the shape, on whole nodes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from math import prod
from typing import Literal

from inferometer.emulator.economics.pricing.accelerator import Accelerator
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.layout import AXES, Layout, check_nodes
from inferometer.emulator.workload.shape import Shape
from inferometer.emulator.workload.stages import check_layout

SEARCHED = tuple(axis for axis in reversed(AXES) if axis != "dp")
"""Replicas (dp) change neither latency nor cost."""
UNEVEN = 16
"""The most stages of unequal length that are tried."""
SHARINGS: tuple[Literal["tensor", "data"], ...] = ("tensor", "data")


def layouts(shape: Shape, accelerator: Accelerator, gpus_max: int, *, gpus: int | None = None) -> Sequence[Layout]:
    """Layouts of one replica on at most gpus_max devices (exactly gpus, if given), fewest devices first.

    The axes that are SEARCHED vary, the others are 1. Tensor and expert degrees are those that divide the
    heads and the experts, pipeline degrees those that divide the layers, and powers of two: engines cut stages of
    unequal length too.
    """
    return _layouts(shape, accelerator.node_size, gpus_max, gpus)


@lru_cache(maxsize=64)
def _layouts(shape: Shape, node_size: int, gpus_max: int, gpus: int | None) -> tuple[Layout, ...]:
    found = []
    experts = shape.experts.count if shape.experts else 1
    divided = {"pp": shape.layers, "ep": experts, "tp": shape.attention.query_heads}
    possible = {axis: _divisors(amount) for axis, amount in divided.items()}
    possible["pp"] = sorted({*possible["pp"], *(2**n for n in range(shape.layers.bit_length()) if 2**n <= UNEVEN)})
    degrees = product(*(possible[axis] for axis in SEARCHED))
    counted = ((prod(each), *each) for each in degrees)
    for _, *chosen in sorted(each for each in counted if each[0] <= gpus_max and gpus in (None, each[0])):
        axes = dict(zip(SEARCHED, chosen))
        for attention in SHARINGS if axes["ep"] > 1 else SHARINGS[:1]:
            layout = Layout.of(axes, attention)
            if divides(shape, layout, node_size):
                found.append(layout)
    return tuple(found)


def divides(shape: Shape, layout: Layout, node_size: int) -> bool:
    """Whether the layout divides the shape and fills whole nodes of so many devices."""
    try:
        check_layout(shape, layout)
        check_nodes(layout, node_size)
    except InputError:
        return False
    return True


def _divisors(n: int) -> list[int]:
    return [d for d in range(1, n + 1) if n % d == 0]
