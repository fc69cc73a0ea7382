"""The layouts that epoch-2025 tries: which there are, how many GPUs each part gets."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inferometer.emulator.aliases import Array
from inferometer.emulator.economics.paper.epoch.model import PaperModel

#: Rows and columns of a part of a grid.
Box = tuple[slice, slice]

#: Pipeline degrees: 1 (step 0), then min(b, layers)^(i/9). The paper's code has i = 0 too, which is 1 again.
PIPELINE_STEPS = 10
#: Attention scale-downs T^(j/5).
SCALE_STEPS = 6


class Candidate(NamedTuple):
    """One layout: 2D or 1D tensor parallelism, the steps of its pipeline degree and of its attention scale-down."""

    two_d: bool
    pipeline_step: int
    scale_step: int


#: Of equally fast ones the first wins.
CANDIDATES = tuple(
    Candidate(two_d, pipeline, scale)
    for pipeline in range(PIPELINE_STEPS)
    for scale in range(SCALE_STEPS)
    for two_d in (True, False)
)


@dataclass(frozen=True)
class Stage:
    """One pipeline stage with its micro-batch: what all layouts of one pipeline degree share. Arrays that broadcast."""

    all_gpus: Array
    pp: Array
    gpus: Array
    """T, of this stage."""
    sequences: Array
    """Of a micro-batch: b_u."""
    tokens: Array
    """Of a micro-batch: b_u q."""
    ep: Array
    tp_ff: Array

    def part(self, box: Box) -> Stage:
        """The stages of a part of the grid."""
        return Stage(**{field.name: part(getattr(self, field.name), box) for field in fields(Stage)})


def box_of(live: NDArray[np.bool_]) -> Box | None:
    """The smallest box that holds all live points [n, m]; None if there are none."""
    rows, columns = np.flatnonzero(live.any(axis=1)), np.flatnonzero(live.any(axis=0))
    if not len(rows):
        return None
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def part(values: Array, box: Box) -> Array:
    """A view of the values in a box; values broadcast to the grid, an axis of length 1 stays whole."""
    if not values.ndim:
        return values
    return values[tuple(where if length > 1 else slice(None) for where, length in zip(box, values.shape))]


def alike(values: NDArray[Any]) -> NDArray[Any]:
    """values [1, m] as [1, 1] if all are the same: what is computed of them then depends on the rows alone."""
    if values.ndim == 2 and len(values) == 1 and (values == values[0, 0]).all():
        return values[:, :1]
    return values


def pipeline_degree(model: PaperModel, batch: ArrayLike, step: ArrayLike) -> Array:
    """Real-valued: min(b, layers)^(step/9), which is 1 for step 0."""
    return np.power(alike(np.minimum(batch, float(model.layers))), np.divide(step, PIPELINE_STEPS - 1))


def scale_down(stage_gpus: Array, step: ArrayLike) -> Array:
    """f = T^(step/5): attention runs on T/f GPUs of a stage."""
    return np.power(stage_gpus, np.divide(step, SCALE_STEPS - 1))


def stage(model: PaperModel, gpus: ArrayLike, batch: ArrayLike, tokens: float, pipeline_step: ArrayLike) -> Stage:
    """The stage of a pipeline degree for gpus N and batch b, which broadcast; tokens: per sequence in one pass.

    The expert degree is not searched: as many GPUs as there are experts, once a micro-batch has 2s sequences.
    """
    N, b = np.asarray(gpus, dtype=float), np.asarray(batch, dtype=float)
    pp = pipeline_degree(model, b, pipeline_step)
    stage_gpus = N / pp
    sequences = b / pp
    ep: Any = 1.0
    if model.experts > 1:
        ep = np.where(alike(sequences >= 2 * model.sparsity), np.minimum(stage_gpus, model.experts), 1.0)
    tp_ff = np.maximum(1.0, stage_gpus / ep)
    return Stage(N, pp, stage_gpus, sequences, sequences * tokens, np.asarray(ep), tp_ff)


def degrees(model: PaperModel, gpus: ArrayLike, batch: ArrayLike, positions: NDArray[np.intp]) -> dict[str, NDArray[Any]]:
    """The layouts at positions of CANDIDATES, which broadcast with gpus and batch, in degrees: one array for each."""
    two_d, pipeline, scale = np.array(CANDIDATES)[positions].T
    found = stage(model, gpus, batch, 1, pipeline)
    f = scale_down(found.gpus, scale)
    return {
        "two_d": two_d.astype(bool),
        "pp": found.pp,
        "ep": np.broadcast_to(found.ep, found.gpus.shape),
        "tp_ff": found.tp_ff,
        "tp_attention": found.gpus / f,
        "attention_scale_down": f,
        "micro_batch": found.sequences,
    }


def rejected(model: PaperModel, memory_bytes: float, context: float, batch: ArrayLike, stage: Stage) -> NDArray[np.bool_]:
    """Where a layout cannot be: more stages than GPUs or sequences, or no room for weights and a micro-batch's cache.

    A pipeline really holds the caches of all its micro-batches; the paper's code asks for one.
    """
    needed = context * model.kv_bytes_per_token * stage.sequences + model.weight_bytes * model.parameters
    return (stage.pp > np.minimum(stage.all_gpus, np.asarray(batch))) | (stage.all_gpus * memory_bytes < needed)
