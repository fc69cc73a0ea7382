"""The deployments that meet a target, as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from inferometer.emulator.economics.serving.choosing.search import Choice

SHOWN = 12


def choice_lines(rows: Sequence[Choice], label: str) -> list[str]:
    """The text that `inferometer frontier --engine` prints: the cheapest deployment of each kind, cheapest first."""
    return list(_lines(rows, label))


def cheapest_of_each(rows: Sequence[Choice]) -> list[Choice]:
    """Of every layout, format and kind of pools the cheapest."""
    found: dict[tuple[object, ...], Choice] = {}
    for row in rows:
        found.setdefault((row.weights, row.layout, row.prompts), row)
    return list(found.values())


def _lines(rows: Sequence[Choice], label: str) -> Iterator[str]:
    best = cheapest_of_each(rows)
    yield f"{label}: {len(rows)} deployments within the target"
    yield ""
    head = f"{'GPUs':>5}  {'layout':<22}{'weights':<11}{'users':>6}{'TPOT ms':>9}{'TTFT ms':>9}"
    head += f"{'req/s':>8}{'margin':>8}{'P(meets)':>10}"
    yield head
    for row in best[:SHOWN]:
        words = f"{row.replicas} × {row.layout.describe()}"
        if row.prompts is not None:
            words = f"{row.prompt_replicas} × {row.prompts.describe()} → {words}"
        yield (
            f"{row.gpus:>5}  {words:<22}{row.weights:<11}{row.users:>6.0f}{row.tpot_s * 1e3:>9.4g}{row.ttft_s * 1e3:>9.4g}"
            f"{row.requests_per_s:>8.3g}{row.margin:>8.0%}{row.probability:>10.0%}"
        )
    if len(best) > SHOWN:
        yield f"and {len(best) - SHOWN} more"


def choice_records(rows: Sequence[Choice]) -> list[dict[str, Any]]:
    """The rows as JSON."""
    return [
        {
            "gpus": row.gpus,
            "layout": row.layout.describe(),
            "replicas": row.replicas,
            "prompts": None if row.prompts is None else row.prompts.describe(),
            "prompt_replicas": row.prompt_replicas,
            "weights": row.weights,
            "users": row.users,
            "tpot_s": row.tpot_s,
            "ttft_s": row.ttft_s,
            "requests_per_s": row.requests_per_s,
            "usd_per_hour": row.usd_per_hour,
            "margin": row.margin,
            "probability": row.probability,
        }
        for row in cheapest_of_each(rows)
    ]
