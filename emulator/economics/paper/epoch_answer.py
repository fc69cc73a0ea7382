"""The epoch-2025 convention behind `predict` and `frontier`: names and numbers in, the common answers out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferometer.emulator.economics.paper.epoch import catalogue, frontier, predict
from inferometer.emulator.economics.paper.epoch.catalogue import CONVENTION
from inferometer.emulator.economics.pricing import paper_accelerators
from inferometer.emulator.economics.pricing.accelerator import Accelerator
from inferometer.emulator.economics.pricing.accelerators import load_accelerator
from inferometer.emulator.economics.pricing.calibrated_network import CalibrationNetwork
from inferometer.emulator.economics.pricing.network import Network
from inferometer.emulator.economics.serving.prediction import Prediction, checked_words
from inferometer.emulator.economics.serving.request import at_price, network_of
from inferometer.emulator.workload.precision import Precision

if TYPE_CHECKING:
    import pandas as pd

    from inferometer.emulator.economics.serving.curves import Curve
    from inferometer.emulator.economics.serving.frontier import Search


@dataclass(frozen=True)
class EpochQuestion:
    """What is asked under epoch-2025. Plain names stand for NAME@epoch-2025; an accelerator may be a TOML file."""

    model: str
    accelerator: str
    weight_bits: int = 16
    context: float = 0.0
    calibration: Any = None
    key: Mapping[str, Any] = field(default_factory=dict)
    usd_per_hour: float | None = None
    speculator: str | None = None
    acceptance: float = 0.8

    def device(self) -> Accelerator:
        """The paper's accelerator of that name, or the one in a file, at the price given."""
        name = str(self.accelerator)
        device = load_accelerator(name) if Path(name).is_file() else paper_accelerators.load_accelerator(name)
        return at_price(device, self.usd_per_hour)

    def network(self, device: Accelerator) -> Network | None:
        """The calibration's laws; None stands for the convention's own constants."""
        if self.calibration is None and not self.key:
            return None
        return network_of(self.calibration, device, Precision(self.weight_bits), self.key)

    def further(self, device: Accelerator) -> dict[str, Any]:
        """Arguments that the convention's `predict` and `frontier` share. The speculator keeps 16-bit weights."""
        draft = None if self.speculator is None else catalogue.load_model(self.speculator)
        return {
            "context": self.context,
            "network": self.network(device),
            "speculator": draft,
            "acceptance": self.acceptance,
        }


def answer(question: EpochQuestion, *, gpus: float, batch: float) -> Prediction:
    """The best layout for real-valued gpus and batch. Raises InputError as the convention's `predict` does."""
    model = catalogue.load_model(question.model, question.weight_bits)
    device = question.device()
    further = question.further(device)
    found = predict.predict(model, device, gpus, batch, **further)
    constants = None
    notes = [checked_words(found.gamma, found.pass_s)] if found.gamma and found.gamma > 1 else []
    if isinstance(further["network"], CalibrationNetwork):
        constants = predict.predict(model, device, gpus, batch, **further | {"network": None}).token_latency_s
        notes.append(f"no interval: {CONVENTION} prices fractions of ranks that nobody can measure")
    return Prediction(
        convention=CONVENTION,
        model=found.model,
        accelerator=found.accelerator,
        network=found.network,
        precision={"weight_bits": question.weight_bits, "activation_bits": 16, "kv_bits": 16},
        gpus=gpus,
        batch=batch,
        context=question.context,
        prompt=None,
        output=None,
        layout=found.layout,
        token_latency_s=found.token_latency_s,
        terms=found.terms,
        pipeline_s=0.0,
        binds=found.binds,
        tokens_per_s=found.tokens_per_s,
        throughput_tokens_per_s=found.throughput_tokens_per_s,
        usd_per_mtok=found.usd_per_mtok,
        ttft_s=None,
        memory=dict(found.memory),
        gamma=found.gamma,
        paper_constants_s=constants,
        notes=notes,
    )


def epoch_frontier(curve: Curve, search: Search) -> pd.DataFrame:
    """The convention's frontier for one curve, with the columns that all frontiers share."""
    asked = ("calibration", "key", "usd_per_hour", "acceptance")
    request = {name: value for name, value in search.request.items() if name in asked}
    question = EpochQuestion(
        curve.model, curve.accelerator, curve.weight_bits, curve.context or 0.0, speculator=curve.speculator, **request
    )
    device = question.device()
    further = question.further(device)
    if curve.demand_cap is not None:
        further["demand_cap"] = curve.demand_cap
    found = frontier.frontier(
        catalogue.load_model(curve.model, curve.weight_bits), device, alpha=search.alpha, **further
    ).points
    words = [
        " ".join(f"{name}{value:.3g}" for name, value in (("pp", p), ("ep", e), ("tp", t)) if value > 1) or "tp1"
        for p, e, t in zip(found["pp"], found["ep"], found["tp_attention"])
    ]
    kinds = ["2D " if two_d else "" for two_d in found["two_d"]]
    throughput = found["batch"] / found["token_latency_s"]
    network = further["network"]
    return found.assign(
        layout=[kind + word for kind, word in zip(kinds, words)],
        throughput_tokens_per_s=throughput,
        ttft_s=float("nan"),
        network=f"{CONVENTION} constants" if network is None else network.name,
    )
