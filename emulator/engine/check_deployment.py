"""Whether a deployment can start at all: looked at before any rank is."""

from __future__ import annotations

from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.layout import Layout, spelt
from inferometer.emulator.workload.shape import Shape
from inferometer.emulator.workload.stages import check_layout
from inferometer.parallel.layers.executable import not_executed


def check_start(shape: Shape, layout: Layout, ranks: int, batch: int, micro_batches: int, cache_tokens: int) -> None:
    """Raise InputError, with the arithmetic, for a layout, batch or cache that shape and ranks do not allow.

    batch: sequences of one replica; cache_tokens: of each.
    """
    check_layout(shape, layout)
    missing = not_executed(shape)
    if missing is not None:
        raise InputError(f"{shape.name}: {missing}: counted and priced, but not executed yet")
    if layout.gpus != ranks:
        raise InputError(f"{layout.describe()}: {spelt(layout.degrees)} ranks, but there are {ranks}")
    parts = micro_batches * layout.sequence_shares
    if batch % parts:
        over = f" · {layout.sequence_shares} shares" if layout.sequence_shares > 1 else ""
        raise InputError(f"batch = {batch} does not divide by {micro_batches} micro-batches{over} = {parts}")
    if shape.learned_positions and cache_tokens > shape.learned_positions:
        raise InputError(
            f"{shape.name}: a cache of {cache_tokens} tokens is beyond the {shape.learned_positions} learned positions"
        )
