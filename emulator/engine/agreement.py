"""Whether the ranks of a running model still agree: asked between steps, through the control plane."""

from __future__ import annotations

from typing import Any

from inferometer.emulator.engine.engine import Engine, mesh_of
from inferometer.emulator.errors import RunFailed
from inferometer.parallel.control import Control, Disagreement


def check(engine: Engine, control: Control) -> None:
    """Compare what ranks must have in common since the engine was made. Every rank calls it, outside the timed region.

    Ranks that cut the same experts route the same tokens, each by itself: one of them that chose otherwise would silently
    add up the wrong products. Raises Disagreement on every rank, naming ranks and layer; RunFailed where logits were not
    finite, naming the ranks and weights that are not.
    """
    mine = {"routing": engine.stage.routing_fingerprints, "bad_logits": engine.bad_logits}
    of_rank = control.gather_all("routing and logits", mine)
    _check_routing(engine, [report["routing"] for report in of_rank])
    bad = {rank: report["bad_logits"] for rank, report in enumerate(of_rank) if report["bad_logits"]}
    if bad:
        first = min(bad)
        raise RunFailed(f"rank {first}: {bad[first]}; {_bad_weights(engine, control)}")


def _check_routing(engine: Engine, of_rank: list[list[list[int]]]) -> None:
    """of_rank: of each rank, for each of its layers with experts, the layer's number and its fingerprint."""
    for group in mesh_of(engine.layout).groups("width", "tp"):
        for layers in zip(*(of_rank[rank] for rank in group)):
            fingerprints = [fingerprint for _, fingerprint in layers]
            common = max(fingerprints, key=lambda f: (fingerprints.count(f), f == fingerprints[0]))
            odd = [str(rank) for rank, fingerprint in zip(group, fingerprints) if fingerprint != common]
            if odd:
                among = ", ".join(map(str, group))
                raise Disagreement(
                    f"rank {', '.join(odd)} disagrees about the routing of layer {layers[0][0]} among ranks {among}, "
                    "which have the same tokens"
                )


def _bad_weights(engine: Engine, control: Control) -> str:
    """Which weights hold numbers that are not finite, over all ranks."""
    mine: list[Any] = []
    for name, tensor in engine.stage.tensors():
        bad = int((~tensor.isfinite()).sum())
        if bad:
            mine.append(f"{name} ({bad} of {tensor.numel()})")
    named = [f"rank {rank}: {', '.join(found)}" for rank, found in enumerate(control.gather_all("weights", mine)) if found]
    return "weights that are not: " + "; ".join(named) if named else "all weights are finite"
