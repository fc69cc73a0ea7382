"""Which collectives a layer runs, with their bytes, their ranks, their nodes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from inferometer.emulator.aliases import Array
from inferometer.emulator.economics.paper.epoch.model import PaperModel
from inferometer.emulator.economics.paper.epoch.stage import Stage


@dataclass(frozen=True)
class Exchange:
    """Collectives over the same ranks and nodes; the leading axis of bytes runs over names."""

    names: tuple[str, ...]
    collective: str
    bytes: Array
    ranks: ArrayLike
    nodes: ArrayLike

    def empty(self) -> Exchange:
        """The same collectives of no bytes."""
        none = np.zeros((len(self.names),) + (1,) * (self.bytes.ndim - 1))
        return Exchange(self.names, self.collective, none, self.ranks, self.nodes)


def group(two_d: bool, gpus: Array, node_size: int) -> tuple[Array, Array]:
    """Ranks and nodes of a reduce among gpus: all of them, or the square root of both in a 2D layout."""
    nodes = np.ceil(gpus / node_size)
    return (np.sqrt(gpus), np.sqrt(nodes)) if two_d else (gpus, nodes)


def attention_reduces(model: PaperModel, node_size: int, stage: Stage, two_d: bool, tp_attention: Array) -> Exchange:
    """The all_reduces of one attention layer on tp_attention GPUs. A 2D layout also reduces queries, keys, values."""
    ranks, nodes = group(two_d, tp_attention, node_size)
    bytes_per_element = stage.tokens * model.activation_bytes
    if not two_d:
        return Exchange(("attention_output",), "all_reduce", (model.d_model * bytes_per_element)[None], ranks, nodes)
    share = bytes_per_element / ranks
    return Exchange(("qkv", "attention_output"), "all_reduce", _stack(model.qkv_width, model.d_model, share), ranks, nodes)


def ff_reduces(model: PaperModel, node_size: int, stage: Stage, two_d: bool) -> Exchange:
    """The all_reduces of one feed-forward layer. A 2D layout also reduces the outputs of the first matrices."""
    ranks, nodes = group(two_d, stage.tp_ff, node_size)
    share = stage.tokens * (model.activation_bytes * model.active_experts * ranks / stage.gpus)
    out = model.ff_out * model.d_model
    if not two_d:
        return Exchange(("ff_output",), "all_reduce", (out * share)[None], ranks, nodes)
    return Exchange(("ff_hidden", "ff_output"), "all_reduce", _stack(model.ff_in * model.d_ff, out, share), ranks, nodes)


def expert_exchange(model: PaperModel, node_size: int, stage: Stage) -> Exchange:
    """The all_to_all that brings tokens to their experts or back: among the active experts, wherever the others lie."""
    ranks = np.minimum(stage.ep, model.active_experts)
    bytes = stage.tokens * (model.d_model * model.activation_bytes * ranks / stage.gpus)
    return Exchange(("experts",), "all_to_all", bytes[None], ranks, np.ceil(ranks / node_size))


def hand_off(model: PaperModel, stage: Stage) -> Exchange:
    """From one pipeline stage to the next, always as between nodes."""
    bytes = stage.tokens * (model.d_model * model.activation_bytes / stage.gpus)
    return Exchange(("hand_off",), "send_recv", bytes[None], 2.0, 2.0)


def _stack(first: int, second: int, share: Array) -> Array:
    return np.reshape([float(first), float(second)], (2,) + (1,) * share.ndim) * share
