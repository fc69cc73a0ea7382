"""The fastest layout at each of many points (GPUs, batch), without pricing what cannot win."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inferometer.emulator.economics.paper.epoch.forward import ForwardPass
from inferometer.emulator.economics.paper.epoch.memory import weights_read
from inferometer.emulator.economics.paper.epoch.stage import (
    CANDIDATES,
    PIPELINE_STEPS,
    SCALE_STEPS,
    Array,
    Box,
    Candidate,
    Stage,
    box_of,
    part,
)

#: Rows and columns of the grid priced together: few enough for their arrays to stay in a core's cache.
TILE = (100, 100)
#: Lower bounds are lowered by more than rounding may raise them.
ROUNDING = 1 - 1e-12


@dataclass
class Fastest:
    """Per point: seconds, inf where no layout is below the bound; position of the layout in CANDIDATES, −1 for none."""

    latency_s: Array
    candidate: NDArray[np.intp]


def fastest(
    forward: ForwardPass,
    gpus: Array,
    batch: Array,
    below: Array | None = None,
    candidates: Collection[Candidate] = CANDIDATES,
) -> Fastest:
    """The least latency over candidates on the grid gpus [n] × batch [m].

    Only layouts faster than below [n, m] seconds are looked for. What layouts share is computed once, what depends on
    the GPUs alone once per row; a layout is dropped as soon as the terms computed so far reach the best one yet
    everywhere in a tile, since all others are positive. One for which the network knows no time never wins.
    """
    shape = len(gpus), len(batch)
    bound_s = np.full(shape, np.inf) if below is None else below.copy()
    candidate = np.full(shape, -1)
    for row in range(0, shape[0], TILE[0]):
        for column in range(0, shape[1], TILE[1]):
            part = np.s_[row : row + TILE[0], column : column + TILE[1]]
            _Tile(forward, gpus[part[0], None], batch[None, part[1]], bound_s[part], candidate[part]).search(candidates)
    return Fastest(np.where(candidate >= 0, bound_s, np.inf), candidate)


@dataclass(frozen=True)
class _Tile:
    """A part of the grid, gpus [n, 1] and batch [1, m], with the best time and layout found so far, updated in place."""

    forward: ForwardPass
    gpus: Array
    batch: Array
    bound_s: Array
    candidate: NDArray[np.intp]

    def search(self, candidates: Collection[Candidate]) -> None:
        for step in range(PIPELINE_STEPS):
            scales = [[c.two_d for c in candidates if c[1:] == (step, scale)] for scale in range(SCALE_STEPS)]
            if any(scales):
                self._pipeline(step, scales)

    def _pipeline(self, step: int, scales: list[list[bool]]) -> None:
        """All layouts of one pipeline degree; scales: for each scale-down, which of 2D and 1D are asked for."""
        forward = self.forward
        layouts = {two_d for some in scales for two_d in some}
        stage = forward.stage(self.gpus, self.batch, step)
        least_s = forward.kernel_s + weights_read(forward.model, stage.tokens) * forward.s_per_byte(stage)
        empty_s = {two_d: forward.layers_s(forward.ff_reduces(stage, two_d).empty()) for two_d in layouts}
        least_s = ROUNDING * (least_s + np.fmin.reduce(list(empty_s.values())))
        box = box_of((least_s < self.bound_s) & ~forward.rejected(stage, self.batch))
        if box is not None:
            self.part(box)._feed_forward(stage.part(box), layouts, step, scales)

    def _feed_forward(self, stage: Stage, layouts: set[bool], step: int, scales: list[list[bool]]) -> None:
        forward = self.forward
        fixed_s = forward.fixed_memory_s(stage)
        roof_s = np.maximum(fixed_s + forward.attention_memory_s(stage, 0), forward.arithmetic_s(stage, self.batch, 0))
        shared_s = forward.kernel_s + forward.shared_network_s(stage)
        shared_s = np.where(forward.rejected(stage, self.batch), np.inf, shared_s)
        before_s = {two_d: shared_s + forward.layers_s(forward.ff_reduces(stage, two_d)) for two_d in layouts}
        box = box_of(np.fmin.reduce(list(before_s.values())) + roof_s < self.bound_s)
        if box is not None:
            before_s = {two_d: part(time_s, box) for two_d, time_s in before_s.items()}
            self.part(box)._attention(stage.part(box), before_s, part(fixed_s, box), step, scales)

    def _attention(
        self, stage: Stage, before_s: dict[bool, Array], fixed_s: Array, step: int, scales: list[list[bool]]
    ) -> None:
        forward = self.forward
        for scale, layouts in enumerate(scales):
            memory_s = fixed_s + forward.attention_memory_s(stage, scale)
            roof_s = np.maximum(memory_s, forward.arithmetic_s(stage, self.batch, scale))
            for two_d in layouts:
                so_far_s = before_s[two_d] + roof_s
                box = box_of(so_far_s < self.bound_s)
                if box is None:
                    continue
                tile = self.part(box)
                total_s = part(so_far_s, box) + forward.layers_s(forward.attention_reduces(stage.part(box), two_d, scale))
                better = total_s < tile.bound_s
                np.copyto(tile.bound_s, total_s, where=better)
                np.copyto(tile.candidate, CANDIDATES.index(Candidate(two_d, step, scale)), where=better)

    def part(self, box: Box) -> _Tile:
        """A view of a part of this tile."""
        gpus, batch = part(self.gpus, box), part(self.batch, box)
        return _Tile(self.forward, gpus, batch, self.bound_s[box], self.candidate[box])
