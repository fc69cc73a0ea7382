"""What an engine's users get, as text."""

from __future__ import annotations

from collections.abc import Iterator

from inferometer.emulator.economics.serving.batching.costs import ClosedLoop, Poisson, Workload
from inferometer.emulator.economics.serving.engines.serve import Answer, Engine
from inferometer.emulator.report.columns import wrapped
from inferometer.emulator.workload.layout import Layout


def answer_lines(engine: Engine, layout: Layout, workload: Workload, answer: Answer) -> list[str]:
    """The text that `inferometer predict --engine` prints."""
    return list(_lines(engine, layout, workload, answer))


def _lines(engine: Engine, layout: Layout, workload: Workload, answer: Answer) -> Iterator[str]:
    served = answer.served
    yield f"{engine.shape.name} on {layout.gpus} × {engine.device.name} ({layout.describe()}), {answer.engine}"
    yield f"{load_words(workload)}; prompt {workload.prompt.describe()}, output {workload.output.describe()} tokens"
    yield ""
    yield f"time per output token  {_ms(served.tpot_s)}{_interval(answer.tpot_interval_s)}"
    yield f"  decode step          {_ms(answer.decode_s)}   {served.decoding:.4g} sequences"
    yield f"  step with a prompt   {_ms(answer.own_s)}"
    yield f"time to first token    {_ms(served.ttft_s)}{_interval(answer.ttft_interval_s)}"
    quantiles = (served.ttft_p50_s, served.ttft_p90_s, served.ttft_p99_s)
    yield f"  p50, p90, p99        {', '.join(_ms(value).strip() for value in quantiles)}"
    tokens = served.requests_per_s * layout.dp * workload.output.mean
    requests = served.requests_per_s * layout.dp
    each = tokens / layout.gpus
    yield f"throughput             {requests:.4g} requests/s, {tokens:.4g} output tokens/s, {each:.4g} per GPU"
    price = engine.device.usd_per_hour
    if price is not None:
        yield f"cost                   ${layout.gpus * price / 3.6e3 / tokens * 1e6:.4g} per million output tokens"
    if answer.simulated is not None:
        other = answer.simulated
        yield (
            f"event simulation       TPOT {_ms(other.tpot_s).strip()} ({served.tpot_s / other.tpot_s - 1:+.1%}), TTFT "
            f"{_ms(other.ttft_s).strip()} ({served.ttft_s / other.ttft_s - 1:+.1%}): closed form against it"
        )
    if answer.tpot_interval_s is None:
        yield "no interval: the profile has no held-out errors"
    for note in answer.notes:
        yield from wrapped(f"note: {note}")


def load_words(workload: Workload) -> str:
    arrivals = workload.arrivals
    if isinstance(arrivals, ClosedLoop):
        return f"{arrivals.users:g} users in a closed loop"
    if isinstance(arrivals, Poisson):
        return f"{arrivals.rate_per_s:g} requests/s (Poisson)"
    return f"a trace of {len(arrivals.times_s)} requests"


def answer_record(engine: Engine, layout: Layout, workload: Workload, answer: Answer) -> dict[str, object]:
    """The answer as JSON: seconds, the load, the deployment."""
    served = answer.served
    return {
        "engine": answer.engine,
        "model": engine.shape.name,
        "accelerator": engine.device.name,
        "gpus": layout.gpus,
        "layout": {**layout.degrees, "attention": layout.attention},
        "load": load_words(workload),
        "prompt": [workload.prompt.low, workload.prompt.high],
        "output": [workload.output.low, workload.output.high],
        "tpot_s": served.tpot_s,
        "tpot_interval_s": answer.tpot_interval_s,
        "ttft_s": served.ttft_s,
        "ttft_interval_s": answer.ttft_interval_s,
        "ttft_p50_s": served.ttft_p50_s,
        "ttft_p90_s": served.ttft_p90_s,
        "ttft_p99_s": served.ttft_p99_s,
        "decoding": served.decoding,
        "requests_per_s": served.requests_per_s * layout.dp,
        "decode_s": answer.decode_s,
        "prompt_step_s": answer.own_s,
        "simulated": None if answer.simulated is None else vars(answer.simulated),
        "notes": answer.notes,
    }


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:8.4g} ms"


def _interval(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"   95 % interval {_ms(interval[0]).strip()} to {_ms(interval[1]).strip()}"
