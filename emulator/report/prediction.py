"""A prediction as text: the terms of the latency, what binds, what it costs, what to trust."""

from __future__ import annotations

from collections.abc import Iterator

from inferometer.emulator.economics.serving.prediction import Prediction, hidden
from inferometer.emulator.report.columns import wrapped

GB = 1e9
TERM_WORDS = {"in_step_s": "in-step overhead"}
HIDDEN = {
    "roof_s": "alone, part of the roof",
    "compute_s": "alone, part of compute",
    "memory_s": "hidden behind memory",
    "arithmetic_s": "hidden behind arithmetic",
}
"""Of a term that adds nothing to the latency, by the term that counts instead."""


def prediction_lines(p: Prediction) -> list[str]:
    """The text that `inferometer predict` prints."""
    return [
        *_configuration(p),
        "",
        *_latency(p),
        "",
        *_results(p),
        *(wrapped(f"to narrow the interval: {p.narrowed_by}") if p.narrowed_by else []),
        *(line for note in p.notes for line in wrapped(f"note: {note}")),
    ]


def layout_words(layout: dict[str, object]) -> str:
    """``tp 8, pp 2``: the axes larger than 1, further settings by name."""
    words = []
    for name, value in layout.items():
        if value in (1, "tensor", "1d", None, False):
            continue
        words.append(f"{name} {value:.4g}" if isinstance(value, int | float) else f"{name} {value}")
    return ", ".join(words) or "one GPU"


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.4g} ms"


def _configuration(p: Prediction) -> Iterator[str]:
    yield f"{p.model} on {p.gpus:g} × {p.accelerator} ({layout_words(p.layout)}), convention {p.convention}"
    work = f"context {p.context:g}" if p.prompt is None else f"prompt {p.prompt:g}, output {p.output:g}"
    widths = ", ".join(f"{name.removesuffix('_bits')} {bits}" for name, bits in p.precision.items())
    yield f"batch {p.batch:g}, {work}; bits: {widths}"
    yield f"network: {p.network}"


def _latency(p: Prediction) -> Iterator[str]:
    interval = ""
    if p.interval_s is not None:
        low, high = p.interval_s
        interval = f"   95 % interval {milliseconds(low)} to {milliseconds(high)}"
    speculated = f" (speculation, {p.gamma} tokens)" if p.gamma and p.gamma > 1 else ""
    yield f"time per token      {milliseconds(p.token_latency_s):>11}{speculated}{interval}"
    behind = hidden(p.terms)
    for name in p.terms:
        words = TERM_WORDS.get(name) or name.removesuffix("_s").replace("_", " ")
        mark = f"({HIDDEN[behind[name]]})" if name in behind else ""
        mark = "<- binds" if name.removesuffix("_s") == p.binds else mark
        yield f"  {words:<18}{milliseconds(p.terms[name]):>11}  {mark}".rstrip()
    if p.pipeline_s:
        mark = "  <- binds" if p.binds == "pipeline" else ""
        yield f"  {'pipeline wait':<18}{milliseconds(p.pipeline_s):>11}{mark}"


def _results(p: Prediction) -> Iterator[str]:
    if p.ttft_s is not None:
        yield f"time to first token {p.ttft_s:.4g} s"
    yield f"speed   {p.tokens_per_s:.4g} tokens/s per user, {p.throughput_tokens_per_s:.4g} in total"
    if p.usd_per_mtok is not None:
        yield f"cost    ${p.usd_per_mtok:.4g} per million tokens"
    weights, cache = p.memory["weights_bytes"], p.memory["kv_bytes"]
    if weights is not None and cache is not None:
        reserve = p.memory.get("reserve_bytes")
        kept = f" + {reserve / GB:.1f} GB reserve" if reserve else ""
        capacity = (p.memory["capacity_bytes"] or 0.0) / GB
        yield f"memory  {weights / GB:.1f} GB weights + {cache / GB:.1f} GB KV cache{kept} of {capacity:g} GB per GPU"
    if p.paper_constants_s is not None:
        off = p.paper_constants_s / p.token_latency_s - 1
        yield f"with the paper's network constants: {milliseconds(p.paper_constants_s)} ({off:+.0%})"
