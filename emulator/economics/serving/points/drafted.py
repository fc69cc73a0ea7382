"""Which of InferenceX's runs drafted tokens, and how often its servers look for new requests: its configurations say so, its
tables of results do not.

Each rule names the commit of SemiAnalysisAI/InferenceX, .github/configs/nvidia-master.yaml, that added the entry with
`spec-decoding: mtp`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from inferometer.emulator.economics.serving.points.record import Deployed, ServedPoint, Weights


@dataclass(frozen=True)
class Drafted:
    """What the drafting runs of one configuration have in common. accelerators, weights: empty for all; beside: the same
    deployment also ran without, with up to BESIDE_MOST users, so that of two points alike the faster one drafted."""

    engine: str
    version: str
    model: str
    source: str
    accelerators: tuple[str, ...] = ()
    weights: tuple[Weights, ...] = ()
    gpus: int | None = None
    expert_parallel: bool | None = None
    since: str = ""
    beside: bool = False

    def of(self, point: ServedPoint) -> bool:
        one: Deployed = point.deployed
        return (
            (one.engine, one.version, one.model) == (self.engine, self.version, self.model)
            and (not self.accelerators or one.accelerator in self.accelerators)
            and (not self.weights or one.weights in self.weights)
            and self.gpus in (None, one.gpus)
            and self.expert_parallel in (None, one.layout.ep > 1)
            and self.since <= (point.measured or "")
        )


RULES = (
    Drafted(
        "sglang",
        "0.5.9",
        "qwen3.5-397b-a17b",
        "35d4bb367 of 2026-03-20: tp 4 drafts; those that do not are tp 8, and tp 4 with ep 4",
        gpus=4,
        expert_parallel=False,
    ),
    Drafted(
        "sglang",
        "0.5.9",
        "deepseek-r1",
        "e62c6acdf of 2026-02-05: tp 8 at 4 to 512 users, beside 4 to 64 that do not",
        accelerators=("b200",),
        weights=("fp8",),
        gpus=8,
        beside=True,
    ),
    Drafted("trtllm", "1.2.0rc6.post3", "deepseek-r1", "the image of the entries that draft; others ran 1.2.0rc6.post2"),
    Drafted(
        "trtllm", "1.1.0rc2.post2", "deepseek-r1", "bf3456727 of 2026-01-15, a sweep of what it added", since="2026-01-14"
    ),
)
BESIDE_MOST = {1024: 64, 8192: 4}
"""By nominal prompt tokens: the most users of the entry that does not draft, where both ran the same deployment."""


def with_drafts(points: Sequence[ServedPoint]) -> list[ServedPoint]:
    """InferenceX's points, that is the dated ones, with what is known of their drafting."""
    alike: dict[tuple[object, ...], list[float]] = {}
    for point in points:
        alike.setdefault(_alike(point), []).append(point.tpot_ms or 0.0)
    found = []
    for point in points:
        if point.measured is None:
            found.append(point)
            continue
        rule = next((rule for rule in RULES if rule.of(point)), None)
        drafts = rule is not None
        if rule is not None and rule.beside:
            others = alike[_alike(point)]
            most = BESIDE_MOST.get(round(point.client.prompt.high), 0)
            drafts = (point.client.concurrency or 0) > most or (len(others) > 1 and point.tpot_ms == min(others))
        known = replace(point.deployed, speculation=drafts, receive_steps=_receive_steps(point))
        found.append(replace(point, deployed=known))
    return found


def _receive_steps(point: ServedPoint) -> int:
    """SGLang's --scheduler-recv-interval in benchmarks/single_node: 10, or 30 from 16 users on, on B200 and B300; 10 for
    Qwen3.5 in fp8 on B300 and DeepSeek-R1 in fp8 on 4 GPUs; not set on H200."""
    one = point.deployed
    if one.engine != "sglang" or one.accelerator not in ("b200", "b300"):
        return 1
    always = one.weights == "fp8" and (
        (one.model, one.accelerator) == ("qwen3.5-397b-a17b", "b300") or (one.model, one.gpus) == ("deepseek-r1", 4)
    )
    return 10 if always or (point.client.concurrency or 0) < 16 else 30


def _alike(point: ServedPoint) -> tuple[object, ...]:
    return (point.deployed, point.client)
