"""Tables of aiconfigurator's silicon samples: served points of public benchmarks and of its makers.

Rows that a benchmark dated are of InferenceX, whose launch scripts say how it serves: as many requests in flight as the
concurrency, ten times as many in all, lengths even in 0.8 to 1 times the nominal ones. Of the others the client is unknown.
Many runs stand in several rows: rounded, under another version, with their tp multiplied by their ep.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from inferometer.emulator.economics.serving.batching.lengths import Lengths
from inferometer.emulator.economics.serving.points.checks import checked_points
from inferometer.emulator.economics.serving.points.drafted import with_drafts
from inferometer.emulator.economics.serving.points.named import accelerator_named, model_named
from inferometer.emulator.economics.serving.points.record import Client, Deployed, ServedPoint
from inferometer.emulator.economics.serving.points.weights import Weights
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.layout import Layout

COLUMNS = frozenset(
    "backend backend_version model_path system precision isl osl tp_size pp_size attention_dp_size moe_tp_size moe_ep_size "
    "silicon_ttft_ms silicon_tpot_ms concurrency measured".split()
)
SHORTEST = 0.8
"""Of InferenceX's lengths, as a share of the nominal ones (--random-range-ratio)."""
ROUNDS = 10
"""Requests that InferenceX sends for each one in flight."""
DIGITS = 2
"""Decimals of milliseconds to which some rows are rounded."""
STORED: Mapping[str, Weights] = {"fp8": "fp8", "fp4": "nvfp4", "bf16": "bf16", "int4": "int4", "": "bf16"}
"""By the column precision; rows without one are in 16 bits: no smaller format would take as long at low concurrency."""


def known(columns: Sequence[str]) -> bool:
    """Whether a table with these columns is one of silicon samples."""
    return set(columns) >= COLUMNS


def points_of(rows: Sequence[Mapping[str, str]], where: str) -> list[ServedPoint]:
    """The points of a table's rows. One run that stands in several rows is one point: that of fewest GPUs, with a
    date, of the longest version.

    Raises InputError with the row and the column for a cell that is no number, for a model or an accelerator that is not
    built in.
    """
    if not rows:
        raise InputError(f"{where}: no points")
    found: dict[tuple[object, ...], ServedPoint] = {}
    for number, row in enumerate(rows, start=2):
        point = _point(row, f"{where}: row {number}")
        one, client = point.deployed, point.client
        times = tuple(round(value, DIGITS) for _, value in sorted(point.times_ms.items()))
        lengths = (client.prompt.high, client.output.high, client.concurrency)
        key = (one.engine, one.model, one.accelerator, one.weights, *lengths, *times)
        other = found.get(key)
        if other is None or _rank(point) < _rank(other):
            found[key] = point
    return checked_points(with_drafts(list(found.values())))


def _rank(point: ServedPoint) -> tuple[bool, int, bool, int]:
    return bool(point.problems), point.deployed.gpus, point.measured is None, -len(point.deployed.version or "")


def _point(row: Mapping[str, str], where: str) -> ServedPoint:
    tp, pp, attention_dp = (_count(row, name, where) for name in ("tp_size", "pp_size", "attention_dp_size"))
    expert_tp, expert_ep = (_count(row, name, where) for name in ("moe_tp_size", "moe_ep_size"))
    problems: list[str] = []
    dated, version = row["measured"].strip() or None, row["backend_version"].strip() or None
    layout = Layout(tp=tp or 1, pp=pp or 1)
    if attention_dp == 0 or expert_tp == 0 or expert_ep == 0:
        problems.append("a parallel degree of 0: the layout is not known")
    else:
        attention_dp, expert_tp, expert_ep = attention_dp or 1, expert_tp or 1, expert_ep or 1
        ranks = (tp or 1) * attention_dp
        if expert_tp * expert_ep == 1:  # a model without experts, or nothing said of them
            expert_tp = ranks
        if expert_tp * expert_ep != ranks:
            problems.append(f"experts over {expert_tp} × {expert_ep} ranks, attention over {tp} × {attention_dp}: unclear")
            layout = Layout(tp=ranks, pp=pp or 1)
        elif dated and expert_tp == expert_ep and attention_dp in (1, ranks):
            # InferenceX's experts are on all ranks or on each: tp was counted once more for each of ep
            layout = Layout(ep=expert_ep, pp=pp or 1, attention="tensor" if attention_dp == 1 else "data")
        elif attention_dp == 1:
            layout = Layout(tp=expert_tp, ep=expert_ep, pp=pp or 1)
        elif attention_dp == expert_ep:
            layout = Layout(tp=expert_tp, ep=expert_ep, pp=pp or 1, attention="data")
        else:
            problems.append(f"sequences over {attention_dp} ranks, experts over {expert_ep}: no layout here has both")
            layout = Layout(tp=ranks, pp=pp or 1)
    if row["mode"] not in ("", "agg"):
        problems.append(f"mode {row['mode']}: prefill and decode on GPUs of their own")
    concurrency = _number(row, "concurrency", where)
    if concurrency is None:
        problems.append("no concurrency")
    if dated and version is None:
        problems.append("no version: InferenceX recorded neither it nor expert and data parallelism then")
    prompt, output = (_length(row, name, where, dated is not None) for name in ("isl", "osl"))
    deployed = Deployed(
        engine=row["backend"].lower(),
        version=version,
        model=model_named(row["model_path"], where),
        accelerator=accelerator_named(row["system"], where),
        layout=layout,
        weights=_stored(row, where),
    )
    client = Client(prompt, output, concurrency, arrival="closed" if dated else "unknown")
    if dated and concurrency is not None:
        client = Client(prompt, output, concurrency, arrival="closed", requests=round(ROUNDS * concurrency))
    times = {"ttft_mean": _number(row, "silicon_ttft_ms", where), "tpot_mean": _number(row, "silicon_tpot_ms", where)}
    return ServedPoint(
        deployed,
        client,
        {name: value for name, value in times.items() if value is not None},
        measured=dated,
        source="InferenceX" if dated else "aiconfigurator",
        problems=tuple(problems),
    )


def _stored(row: Mapping[str, str], where: str) -> Weights:
    text = row["precision"].strip().lower()
    if text not in STORED:
        raise InputError(f"{where}: precision = {text[:40]!r}: known are {', '.join(filter(None, STORED))}")
    return STORED[text]


def _length(row: Mapping[str, str], name: str, where: str, spread: bool) -> Lengths:
    tokens = _number(row, name, where)
    if tokens is None:
        raise InputError(f"{where}: {name}: missing: a point needs the lengths of prompts and outputs")
    return Lengths(SHORTEST * tokens, tokens) if spread else Lengths.fixed(tokens)


def _number(row: Mapping[str, str], name: str, where: str) -> float | None:
    text = row[name].strip()
    try:
        return float(text) if text else None
    except ValueError:
        raise InputError(f"{where}: {name} = {text[:40]!r} is not a number") from None


def _count(row: Mapping[str, str], name: str, where: str) -> int | None:
    value = _number(row, name, where)
    if value is None:
        return None
    if value < 0 or value != int(value):
        raise InputError(f"{where}: {name} = {value:g} must be a whole number")
    return int(value)
