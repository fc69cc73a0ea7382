"""Models as text: which there are, what was read of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import Any

from inferometer.emulator.workload.storage.summary import short, size


def catalogue_lines(names: Sequence[str], types: Sequence[str]) -> list[str]:
    """Built-in models and types of configurations that are read."""
    return [
        "built-in models:",
        *wrap(", ".join(names), 98, initial_indent="  ", subsequent_indent="  "),
        "",
        "a config.json of Hugging Face is read if its model_type is one of:",
        *wrap(", ".join(types), 98, initial_indent="  ", subsequent_indent="  "),
    ]


def model_lines(record: dict[str, Any]) -> list[str]:
    """One model: layers by kind, parameters by part, the cache of one sequence."""
    return list(_lines(record))


def _lines(record: dict[str, Any]) -> Iterator[str]:
    yield f"{record['name']}: model_type {record['type']}, {record['source']}"
    yield ""
    yield "layers"
    for words, number in record["layers"].items():
        yield f"  {number:>5}  {words}"
    yield ""
    yield f"{'part':<14}{'parameters':>18}"
    for part, number in record["parts"].items():
        yield f"  {part:<12}{number:>18,}"
    yield f"  {'total':<12}{record['parameters']:>18,}   {short(record['parameters'])}"
    yield f"  {'active':<12}{record['active_parameters']:>18,}   {short(record['active_parameters'])}"
    yield ""
    precision = record["precision"]
    formats = precision["formats"] or {}
    of = ", ".join(f"{short(number)} in {words}" for words, number in formats.items())
    yield f"weights   {size(record['weight_bytes'])}: {of or precision['weights']}"
    state = record["state_bytes_per_sequence"]
    yield f"KV cache  {size(record['kv_bytes_per_token'])} per token in {precision['kv_bits']} bits"
    if state:
        yield f"state     {size(state)} per sequence, recurrent part in {precision['state_bits']} bits"
    yield f"sequence  {size(record['cache_bytes'])} at {record['context']} tokens"
    if record["max_context"] is not None:
        yield f"context   at most {record['max_context']} tokens"
    yield from (f"note: {note}" for note in record["notes"])
