"""What a laboratory of hosts (`inferometer lab`) tells its ranks of the wire between them, through their environment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

LAB_VARIABLE = "INFEROMETER_LAB"
LINK = ("rate_bit_per_s", "delay_us", "own_cores")
"""Of every host, as asked for: samples of different links are of different machines."""


def lab_link(variables: Mapping[str, str]) -> dict[str, Any] | None:
    """The link as it was asked for; None outside a laboratory."""
    told = _told(variables)
    return None if told is None else {name: told.get(name) for name in LINK}


def lab_one_way(variables: Mapping[str, str]) -> dict[str, float] | None:
    """What the wire's delay was measured to be before the ranks started, in µs: see `launch.ranks.wire_delay`."""
    told = _told(variables)
    return None if told is None else told.get("one_way_us")


def lab_own_cores(variables: Mapping[str, str]) -> bool:
    """Whether every host is to count as a machine with cores of its own."""
    told = _told(variables)
    return bool(told and told.get("own_cores"))


def _told(variables: Mapping[str, str]) -> dict[str, Any] | None:
    text = variables.get(LAB_VARIABLE)
    if not text:
        return None
    try:
        told = json.loads(text)
    except ValueError:
        return None
    return told if isinstance(told, dict) else None
