"""The command that launches a deployment: the options of an engine's version, from its profile."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from inferometer.emulator.economics.serving.batching.costs import ClosedLoop, Workload
from inferometer.emulator.economics.serving.engines.profile_file import ordered
from inferometer.emulator.economics.serving.engines.serve import Engine
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.layout import Layout


def launch_command(engine: Engine, layout: Layout, workload: Workload, model: str) -> list[str]:
    """The command's lines, joined by backslashes, behind a comment with the version of each option.

    Raises InputError for an option that the engine's version does not have yet, and for one that the engine has not.
    """
    scheduler = engine.scheduler(layout, workload)
    flags = {flag.name: flag for flag in engine.profile.flags}
    version = engine.profile.version
    texts, since = [], []
    for name, value in _asked(engine, layout, workload, model, scheduler.budget, scheduler.sequences_max):
        flag = flags.get(name)
        if flag is None:
            raise InputError(f"{engine.profile.engine} has no option for {name} = {value} in its profile")
        own, first = (ordered(version) if version else None), ordered(flag.since)
        if own is not None and first is not None and own < first:
            raise InputError(f"{engine.profile.engine} {version} has no {flag.text.split()[0]}: it came with {flag.since}")
        texts.append(flag.text.format(value=value))
        since.append(
            f"{flag.text.split()[0] if flag.text.startswith('-') else flag.text.split('{')[0].strip()} ({flag.since})"
        )
    notes = []
    if engine.stored not in ("checkpoint", "bf16"):
        notes.append(f"# the model's checkpoint in {engine.stored} goes in place of {model}")
    command = [f"{text} \\" for text in texts[:-1]] + [texts[-1]]
    return [*notes, f"# options since: {', '.join(since)}", command[0], *(f"    {text}" for text in command[1:])]


def _asked(
    engine: Engine, layout: Layout, workload: Workload, model: str, budget: int, sequences: int
) -> Iterator[tuple[str, object]]:
    yield "model", model
    ranks = layout.tp * layout.ep
    data = layout.attention == "data"
    name = engine.profile.engine
    yield "tp", ranks if not data or name != "vllm" else layout.tp
    if layout.pp > 1:
        yield "pp", layout.pp
    replicas = layout.dp * (layout.ep if data and name == "vllm" else 1)
    if data and name == "sglang":
        yield "dp", layout.ep
        yield "data_attention", 1
    elif replicas > 1:
        yield "dp", replicas
    if layout.ep > 1:
        yield "ep", layout.ep
    if engine.precision.kv_bits == 8 and name != "trtllm":
        yield "kv8", 8
    yield "memory", f"{engine.profile.memory_fraction:g}"
    yield "budget", budget
    arrivals = workload.arrivals
    if isinstance(arrivals, ClosedLoop):
        sequences = min(sequences, max(1, ceil(arrivals.users / layout.dp)))
    yield "sequences", sequences
    yield "length", ceil(workload.prompt.high + workload.output.high)
