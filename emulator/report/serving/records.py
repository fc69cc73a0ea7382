"""The records of the JSON that the serving commands write, as types, from which their JSON Schemas are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from inferometer.emulator.economics.serving.engines.parameters import Status


@dataclass(frozen=True)
class FittedParameter:
    """Of an engine's profile. status: whether points determined it; source: where a prior is from."""

    value: float
    low: float | None
    high: float | None
    status: Status
    source: str
    unit: str


@dataclass(frozen=True)
class LeftOutErrors:
    """Sizes of relative errors of times at points that the fit did not see."""

    points: int
    tpot_median: float | None
    tpot_p90: float | None
    ttft_median: float | None
    ttft_p90: float | None


@dataclass(frozen=True)
class ServingDeployment:
    """A deployment within a target. prompts: the layout of pools for prompts alone."""

    gpus: int
    layout: str
    replicas: int
    prompts: str | None
    prompt_replicas: int
    weights: str
    users: float
    tpot_s: float
    ttft_s: float
    requests_per_s: float
    usd_per_hour: float | None
    margin: float
    probability: float


SERVING_FIELDS: dict[str, dict[str, Any]] = {
    "serving-command": {"command": list[str]},
    "serving-fit": {
        "engine": str,
        "points": int,
        "unusable": int,
        "parameters": dict[str, FittedParameter],
        "left_out": dict[str, LeftOutErrors],
        "not_determined": dict[str, str],
    },
    "serving-frontier": {"deployments": list[ServingDeployment]},
    "serving-prediction": {
        "engine": str,
        "model": str,
        "accelerator": str,
        "gpus": int,
        "layout": dict[str, int | str],
        "load": str,
        "prompt": tuple[float, float],
        "output": tuple[float, float],
        "tpot_s": float,
        "tpot_interval_s": tuple[float, float] | None,
        "ttft_s": float,
        "ttft_interval_s": tuple[float, float] | None,
        "ttft_p50_s": float,
        "ttft_p90_s": float,
        "ttft_p99_s": float,
        "decoding": float,
        "requests_per_s": float,
        "decode_s": float,
        "prompt_step_s": float,
        "simulated": dict[str, Any] | None,
        "notes": list[str],
    },
}
"""By kind, what follows `schema`."""
