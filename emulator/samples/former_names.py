"""Names that fields of samples files had in earlier versions: raw samples stay readable, whatever a field is called now."""

from __future__ import annotations

from typing import Any

CELL = {"requested_apart_us": "requested_compute_gap_us", "apart_us": "compute_gap_us"}
PROBE = {"at_once": "concurrent_ranks"}
OPERATION = {"after": "predecessors", "apart_us": "compute_gap_us"}
GLUE = {"between": "glue"}


def as_named_now(record: dict[str, Any]) -> dict[str, Any]:
    """The record with its fields under the names of this version; new records are returned as they are."""
    if record["record"] == "cell":
        return _renamed(record, CELL)
    if record["record"] != "compute" or "at_once" not in record or not isinstance(record.get("ops"), list):
        return record
    ops = [_operation(op) if isinstance(op, dict) else op for op in record["ops"]]
    # What later versions also say of a probe: the launch mode of a CPU, which was the only device; the step by its name.
    added = {"launch_mode": "host", "model": None, "sharded": False, "tokens": _step_tokens(str(record.get("cell", "")))}
    return added | _renamed(record, PROBE) | {"ops": ops}


def _operation(op: dict[str, Any]) -> dict[str, Any]:
    renamed = _renamed(op, OPERATION)
    kind = renamed.get("kind")
    return renamed | ({"kind": GLUE[kind]} if isinstance(kind, str) and kind in GLUE else {})


def _renamed(record: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    if names.keys().isdisjoint(record):
        return record
    return {names.get(name, name): value for name, value in record.items()}


def _step_tokens(probe: str) -> float:
    """New tokens of a step on one rank, which the probe's name ends with: …/prefill/BATCHxPROMPT, …/decode/BATCHxCONTEXT."""
    *_, phase, sizes = ("", "", *probe.split("/"))
    batch, _, tokens = sizes.partition("x")
    if phase not in ("prefill", "decode") or not (batch.isdecimal() and tokens.isdecimal()):
        return 0.0
    return float(batch) * (float(tokens) if phase == "prefill" else 1.0)
