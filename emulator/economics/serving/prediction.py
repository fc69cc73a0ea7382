"""A prediction: what one configuration takes and costs, with its terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from inferometer.emulator.economics.pricing.terms import ALONE

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Prediction:
    """Times in seconds, sizes in bytes per GPU. Unknown is None, with the reason in notes.

    token_latency_s is the time per output token (TPOT): the sum of the terms but memory_s and arithmetic_s, which say what
    either would take alone (pricing.terms), plus pipeline_s. With speculation it is the effective time per generated token,
    and the terms are those of the pass that checks gamma drafted tokens.
    """

    convention: str
    model: str
    accelerator: str
    network: str
    precision: dict[str, float]
    gpus: float
    batch: float
    context: float
    prompt: float | None
    output: float | None
    layout: dict[str, Any]
    token_latency_s: float
    terms: dict[str, float]
    pipeline_s: float
    binds: str
    tokens_per_s: float
    throughput_tokens_per_s: float
    usd_per_mtok: float | None
    ttft_s: float | None
    memory: dict[str, float | None]
    gamma: int | None = None
    interval_s: tuple[float, float] | None = None
    narrowed_by: str | None = None
    """The measurement that would narrow interval_s most."""
    paper_constants_s: float | None = None
    """token_latency_s with the paper's network constants instead of the calibration."""
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def as_row(self) -> dict[str, Any]:
        """One flat row: the nested parts under their own names, prefixed where they would clash."""
        row = dict(vars(self))
        for part, prefix in (("precision", ""), ("terms", ""), ("layout", "layout_"), ("memory", "memory_")):
            row |= {f"{prefix}{name}": value for name, value in row.pop(part).items()}
        row["notes"] = "; ".join(self.notes)
        return row


def frame(predictions: list[Prediction]) -> pd.DataFrame:
    """One row per prediction."""
    import pandas as pd

    rows = [prediction.as_row() for prediction in predictions]
    return _one_row(rows[0]) if len(rows) == 1 else pd.DataFrame(rows)


def _one_row(row: Mapping[str, Any]) -> pd.DataFrame:
    """`pd.DataFrame([row])` in a quarter of its time: texts become an array together, all else needs no guessing."""
    import numpy as np
    import pandas as pd

    texts = [name for name, value in row.items() if isinstance(value, str)]
    together = pd.Series([row[name] for name in texts]).array
    columns: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, str):
            at = texts.index(name)
            columns[name] = together[at : at + 1]
        elif isinstance(value, int | float):
            columns[name] = np.array([value])
        else:
            columns[name] = np.empty(1, dtype=object)
            columns[name][0] = value
    return pd.DataFrame(columns, copy=False)


def what_binds(terms: Mapping[str, float], pipeline_s: float) -> str:
    """The largest part of the latency, by name without its unit: of a roof the larger of memory and arithmetic."""
    parts = {name: value for name, value in terms.items() if name not in hidden(terms)} | {"pipeline_s": pipeline_s}
    largest = max(parts, key=parts.__getitem__)
    if largest == "roof_s":
        largest = max(sorted(ALONE), key=terms.__getitem__)
    return largest.removesuffix("_s")


def hidden(terms: Mapping[str, float]) -> dict[str, str]:
    """The terms that do not add to the latency, each with the one that counts instead.

    Memory and arithmetic alone, where roof_s or compute_s says what operations take; the smaller of the two where nothing
    does (the paper's convention takes the larger sum of a step).
    """
    instead = next((name for name in ("compute_s", "roof_s") if name in terms), None)
    if instead is not None:
        return dict.fromkeys(sorted(ALONE), instead)
    smaller, larger = sorted(ALONE, key=terms.__getitem__)
    return {smaller: larger}


def checked_words(gamma: int, pass_s: float) -> str:
    """What to know of the terms where tokens are drafted."""
    return f"the terms are those of one pass that checks {gamma} drafted tokens, {pass_s * 1e3:.4g} ms"


def usd_per_mtok(gpus: float, usd_per_hour: float | None, seconds_per_token: float) -> float | None:
    """USD per million output tokens; seconds_per_token: of the whole deployment, for one token of all its users."""
    return None if usd_per_hour is None else gpus * usd_per_hour / 3600 * seconds_per_token * 1e6
