"""One forward pass of a batch: the parts of its latency that all layouts, some layouts, or one layout have."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inferometer.emulator.aliases import Array
from inferometer.emulator.economics.paper.epoch import memory, reductions
from inferometer.emulator.economics.paper.epoch.arithmetic import Flop, flop
from inferometer.emulator.economics.paper.epoch.model import PaperModel
from inferometer.emulator.economics.paper.epoch.reductions import Exchange
from inferometer.emulator.economics.paper.epoch.stage import Stage, rejected, scale_down, stage
from inferometer.emulator.economics.pricing.accelerator import Accelerator
from inferometer.emulator.economics.pricing.network import CollectiveTime, Network
from inferometer.emulator.economics.pricing.processor import flop_per_s

#: Kernels of a layer that nothing hides; charged in every layout, however many collectives it has.
KERNELS_PER_LAYER = 4


@dataclass(frozen=True)
class ForwardPass:
    """A model on a kind of accelerator and network at a context, with some tokens per sequence (1: plain decoding).

    token latency = kernels + layers · (all_reduces + 2 all_to_alls) + (P − 1) send_recvs + max(memory, arithmetic)
    """

    model: PaperModel
    accelerator: Accelerator
    network: Network
    context: float = 0.0
    tokens: int = 1

    @property
    def kernel_s(self) -> float:
        return KERNELS_PER_LAYER * self.model.layers * self.accelerator.kernel_s

    @cached_property
    def flop(self) -> Flop:
        """Of one sequence."""
        return flop(self.model, self.context, self.tokens)

    @cached_property
    def flop_per_s(self) -> float:
        return flop_per_s(self.accelerator, self.model.weight_bits)

    @property
    def memory_bytes_per_s(self) -> float:
        return self.accelerator.memory_bytes_per_s * self.accelerator.memory_fraction

    def stage(self, gpus: ArrayLike, batch: ArrayLike, pipeline_step: int) -> Stage:
        return stage(self.model, gpus, batch, self.tokens, pipeline_step)

    def rejected(self, stage: Stage, batch: ArrayLike) -> NDArray[np.bool_]:
        return rejected(self.model, self.accelerator.memory_bytes, self.context, batch, stage)

    def s_per_byte(self, stage: Stage) -> Array:
        """Seconds that a byte takes which each micro-batch moves over all GPUs of its stage."""
        return stage.pp / (stage.all_gpus * self.memory_bytes_per_s)

    def fixed_memory_s(self, stage: Stage) -> Array:
        """Memory time that does not depend on the attention's layout: all but its matrices."""
        cache = memory.kv_bytes(self.model, self.context, stage.sequences)
        feed_forward = self.model.layers * memory.ff_bytes(self.model, stage)
        return (cache + feed_forward + memory.unembedding_bytes(self.model)) * self.s_per_byte(stage)

    def attention_memory_s(self, stage: Stage, scale_step: int) -> Array:
        """Memory time of the attention matrices, which a scale-down multiplies."""
        f = scale_down(stage.gpus, scale_step)
        weights, per_token = memory.attention_bytes(self.model, stage.gpus / f)
        slower = self.model.layers * f * self.s_per_byte(stage)
        return weights * slower + stage.tokens * (per_token * slower)

    def arithmetic_s(self, stage: Stage, batch: ArrayLike, scale_step: int) -> Array:
        f = scale_down(stage.gpus, scale_step)
        flop = self.flop.feed_forward + self.flop.cache + f * self.flop.projections
        return np.asarray(batch) * (flop / (stage.all_gpus * self.flop_per_s))

    def shared_network_s(self, stage: Stage) -> Array:
        """Time of the collectives that tensor parallelism has no part in."""
        return sum((self.network_s(count, exchange) for count, exchange in self.shared_exchanges(stage)), np.zeros(()))

    def shared_exchanges(self, stage: Stage) -> list[tuple[ArrayLike, Exchange]]:
        """How often, what: to the experts and back in every layer, from stage to stage."""
        found: list[tuple[ArrayLike, Exchange]] = [(stage.pp - 1, reductions.hand_off(self.model, stage))]
        if self.model.experts > 1:
            exchange = reductions.expert_exchange(self.model, self.accelerator.node_size, stage)
            found.insert(0, (2 * self.model.layers, exchange))
        return found

    def ff_reduces(self, stage: Stage, two_d: bool) -> Exchange:
        return reductions.ff_reduces(self.model, self.accelerator.node_size, stage, two_d)

    def attention_reduces(self, stage: Stage, two_d: bool, scale_step: int) -> Exchange:
        tp_attention = stage.gpus / scale_down(stage.gpus, scale_step)
        return reductions.attention_reduces(self.model, self.accelerator.node_size, stage, two_d, tp_attention)

    def layers_s(self, exchange: Exchange) -> Array:
        """Time of an exchange that every layer has."""
        return self.network_s(self.model.layers, exchange)

    def network_s(self, count: ArrayLike, exchange: Exchange) -> Array:
        """A network may offer total_s beside time, for those who need no split."""
        total_s = getattr(self.network, "total_s", None)
        if total_s is None:
            each_s = self.time(exchange).total_s
        else:
            each_s = total_s(exchange.collective, exchange.bytes, exchange.ranks, exchange.nodes)
        return count * (each_s[0] if len(exchange.names) == 1 else each_s.sum(axis=0))

    def time(self, exchange: Exchange) -> CollectiveTime:
        return self.network.time(exchange.collective, exchange.bytes, exchange.ranks, exchange.nodes)
