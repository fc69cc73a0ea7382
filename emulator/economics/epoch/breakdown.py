"""One layout at one point, taken apart: its terms, its collectives, its degrees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from inferometer.emulator.economics.epoch.forward import ForwardPass
from inferometer.emulator.economics.epoch.stage import CANDIDATES, Candidate, degrees, scale_down


@dataclass(frozen=True)
class Breakdown:
    """Times in seconds. layout: real-valued degrees; collectives: one dict for each kind of reduce or transfer."""

    terms: dict[str, float]
    layout: dict[str, Any]
    collectives: list[dict[str, Any]]
    memory_bytes: dict[str, float]
    """Moved by one micro-batch, over all GPUs of a stage and all layers."""
    flop: float

    @property
    def latency_s(self) -> float:
        """kernels + network + max(memory, arithmetic)."""
        t = self.terms
        network = t["network_latency_s"] + t["network_bandwidth_s"]
        return t["kernel_s"] + network + max(t["memory_s"], t["arithmetic_s"])


def breakdown(forward: ForwardPass, gpus: float, batch: float, candidate: Candidate) -> Breakdown:
    """Every term of a layout. Nothing is rejected here."""
    batch_ = np.array([batch], dtype=float)
    stage = forward.stage(np.array([gpus], dtype=float), batch_, candidate.pipeline_step)
    f = scale_down(stage.gpus, candidate.scale_step)
    tp_attention = stage.gpus / f
    layers = forward.model.layers
    exchanges = [
        (layers, forward.attention_reduces(stage, candidate.two_d, tp_attention)),
        (layers, forward.ff_reduces(stage, candidate.two_d)),
        *forward.shared_exchanges(stage),
    ]
    collectives = []
    for count, exchange in exchanges:
        time = forward.time(exchange)
        for row, name in enumerate(exchange.names):
            collectives.append(
                {
                    "name": name,
                    "collective": exchange.collective,
                    "count": _number(count),
                    "bytes": _number(exchange.bytes[row]),
                    "ranks": _number(exchange.ranks),
                    "nodes": _number(exchange.nodes),
                    "latency_s": _number(np.broadcast_to(time.latency_s, (len(exchange.names), 1))[row]),
                    "bandwidth_s": _number(np.broadcast_to(time.bandwidth_s, (len(exchange.names), 1))[row]),
                }
            )
    attention = f * forward.attention_bytes(stage, tp_attention)
    fixed = forward.fixed_bytes(stage)
    terms = {
        "kernel_s": forward.kernel_s,
        "network_latency_s": sum(c["count"] * c["latency_s"] for c in collectives),
        "network_bandwidth_s": sum(c["count"] * c["bandwidth_s"] for c in collectives),
        "memory_s": _number(forward.memory_s(stage, fixed + attention)),
        "arithmetic_s": _number(forward.arithmetic_s(stage, batch_, f)),
    }
    found = degrees(forward.model, gpus, batch_, np.array([CANDIDATES.index(candidate)]))
    layout = {name: values[0].item() for name, values in found.items()}
    moved = {"attention_bytes": _number(attention), "other_bytes": _number(fixed)}
    return Breakdown(terms, layout, collectives, moved, batch * forward.flop.total)


def _number(value: Any) -> float:
    return float(np.ravel(value)[0])
