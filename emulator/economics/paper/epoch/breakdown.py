"""The breakdown of one layout at one point: terms, collectives, degrees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from inferometer.emulator.economics.paper.epoch.forward import ForwardPass
from inferometer.emulator.economics.paper.epoch.stage import CANDIDATES, Candidate, degrees


@dataclass(frozen=True)
class Breakdown:
    """Times in seconds. layout: real-valued degrees; collectives: one dict for each kind of reduce or transfer."""

    terms: dict[str, float]
    layout: dict[str, Any]
    collectives: list[dict[str, Any]]

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
    layers = forward.model.layers
    exchanges = [
        (layers, forward.attention_reduces(stage, candidate.two_d, candidate.scale_step)),
        (layers, forward.ff_reduces(stage, candidate.two_d)),
        *forward.shared_exchanges(stage),
    ]
    collectives: list[dict[str, Any]] = []
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
    memory_s = forward.fixed_memory_s(stage) + forward.attention_memory_s(stage, candidate.scale_step)
    terms = {
        "kernel_s": forward.kernel_s,
        "network_latency_s": sum(c["count"] * c["latency_s"] for c in collectives),
        "network_bandwidth_s": sum(c["count"] * c["bandwidth_s"] for c in collectives),
        "memory_s": _number(memory_s),
        "arithmetic_s": _number(forward.arithmetic_s(stage, batch_, candidate.scale_step)),
    }
    found = degrees(forward.model, gpus, batch_, np.array([CANDIDATES.index(candidate)]))
    layout = {name: values[0].item() for name, values in found.items()}
    return Breakdown(terms, layout, collectives)


def _number(value: Any) -> float:
    return float(np.ravel(value)[0])
