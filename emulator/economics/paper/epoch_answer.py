"""The epoch-2025 convention behind `inferometer paper`: names and numbers in, predictions and frontiers out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferometer.emulator.economics.paper.epoch import catalogue, frontier, predict
from inferometer.emulator.economics.paper.epoch.catalogue import CONVENTION
from inferometer.emulator.economics.pricing import paper_accelerators
from inferometer.emulator.economics.pricing.accelerator import Accelerator
from inferometer.emulator.economics.pricing.accelerators import load_accelerator
from inferometer.emulator.economics.pricing.network import Network
from inferometer.emulator.economics.pricing.prices import at_price, loaded, network_of
from inferometer.emulator.economics.serving.candidates import Row
from inferometer.emulator.economics.serving.curves import Curve, as_list, curves, side_by_side
from inferometer.emulator.economics.serving.prediction import Prediction, checked_words, frame
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.precision import Precision

if TYPE_CHECKING:
    import pandas as pd


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
    if loaded(question.calibration) is not None:
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


def paper_predict(model: str, accelerator: str, *, gpus: float, batch: float = 1.0, **further: Any) -> pd.DataFrame:
    """The paper's prediction as a DataFrame of one row, with the columns of `predict`.

    gpus and batch: real numbers. further: weight_bits, context, calibration, key, usd_per_hour, speculator, acceptance of
    EpochQuestion. Raises InputError for an unknown name and where the model does not fit, with the arithmetic.
    """
    return frame([answer(EpochQuestion(model, accelerator, **further), gpus=gpus, batch=batch)])


def paper_frontier(
    models: str | Sequence[str],
    accelerators: str | Sequence[str],
    *,
    weight_bits: int | Sequence[int] = 16,
    contexts: float | Sequence[float | None] | None = None,
    speculators: str | Sequence[str | None] | None = None,
    demand_caps: float | Sequence[float | None] | None = None,
    alpha: float = 3.0,
    **further: Any,
) -> pd.DataFrame:
    """The paper's frontier for each combination as one DataFrame, with the columns that `frontier` has as well.

    demand_caps: tokens/s of all users together. alpha: the preferred point has the greatest speed^alpha / cost (eq. 45).
    further: calibration, key, usd_per_hour, acceptance of EpochQuestion. Raises InputError where a model fits nowhere.
    """
    import pandas as pd

    asked = curves(*(as_list(one) for one in (models, accelerators, weight_bits, contexts, speculators, demand_caps)))
    return pd.DataFrame(paper_frontier_rows(asked, alpha, further))


def paper_frontier_rows(asked: Sequence[Curve], alpha: float, further: Mapping[str, Any]) -> list[Row]:
    """The rows of `paper_frontier`."""
    return side_by_side(asked, lambda curve: _points(curve, alpha, further), alpha)


def _points(curve: Curve, alpha: float, further_fields: Mapping[str, Any]) -> list[Row]:
    """The points of one curve, fastest first, with the columns that all frontiers share."""
    if curve.accelerator is None:
        raise InputError("epoch-2025 prices an accelerator of the paper, or of a TOML file: give one")
    question = EpochQuestion(
        curve.model,
        curve.accelerator,
        curve.weight_bits or 16,
        curve.context or 0.0,
        speculator=curve.speculator,
        **further_fields,
    )
    device = question.device()
    further = question.further(device)
    if curve.demand_cap is not None:
        further["demand_cap"] = curve.demand_cap
    found = frontier.frontier(catalogue.load_model(curve.model, curve.weight_bits), device, alpha=alpha, **further).points
    words = [
        " ".join(f"{name}{value:.3g}" for name, value in (("pp", p), ("ep", e), ("tp", t)) if value > 1) or "tp1"
        for p, e, t in zip(found["pp"], found["ep"], found["tp_attention"])
    ]
    kinds = ["2D " if two_d else "" for two_d in found["two_d"]]
    throughput = found["batch"] / found["token_latency_s"]
    network = further["network"]
    table = found.assign(
        layout=[kind + word for kind, word in zip(kinds, words)],
        throughput_tokens_per_s=throughput,
        tokens_per_s_per_gpu=throughput / found["gpus"],
        ttft_s=float("nan"),
        network=f"{CONVENTION} constants" if network is None else network.name,
    )
    rows: list[Row] = table.to_dict("records")
    return rows
