"""A number that a source prints, with the call of ours that must give it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Literal

from inferometer.emulator.economics.paper.published.calls import CALLS

Excuse = Literal["source_error", "stale", "measured"]
Status = Literal["reproduced", "source_error", "stale", "measured", "failed"]

IN_SI = MappingProxyType({"ms": 1e-3, "us": 1e-6, "KB": 1e3, "GB": 1e9, "TB": 1e12, "KiB": 1024.0})
"""Units a source prints in, in the seconds or bytes that our functions return; any other unit is taken as it is."""

ROUNDING_SLACK = 1e-9
"""In units of half a printed digit: a number on a rounding boundary but for its last bit agrees."""


@dataclass(frozen=True)
class Call:
    """One of `CALLS` by its name, and what it is called with."""

    function: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self) -> Any:
        return CALLS[self.function](**self.settings)

    @property
    def key(self) -> tuple[str, str]:
        """Equal for calls with the same result."""
        return self.function, repr(sorted(self.settings.items()))


@dataclass(frozen=True)
class Published:
    """One printed number. Either ``tolerance`` (relative) or ``decimals`` (every printed digit) says when ours agrees."""

    id: str
    source: str
    title: str
    where: str
    """Section or table of the source."""
    what: str
    printed: float
    unit: str
    call: Call
    field: str | None
    """Attribute of the result, dotted, that holds the number, where the call gives several."""
    tolerance: float | None
    decimals: int | None
    rounded_from: int | None
    """Decimals to which the source had rounded the number already when it printed it."""
    excuse: Excuse | None
    """Why a difference is no failure: the source is wrong; its own final code no longer gives the number; it was timed."""
    reason: str
    """What is wrong with the printed number, or with what the source says around it."""

    def in_printed_unit(self, result: Any) -> float:
        """The result of the call in the unit of the printed number."""
        value = result if self.field is None else attrgetter(self.field)(result)
        return float(value) / IN_SI.get(self.unit, 1.0)

    @property
    def allowed_rel_diff(self) -> float:
        """The largest relative difference at which ours agrees."""
        if self.decimals is None:
            return float(self.tolerance or 0.0)
        half_digits = 0.5 * 10.0**-self.decimals * (1 + ROUNDING_SLACK)
        if self.rounded_from is not None:
            half_digits += 0.5 * 10.0**-self.rounded_from
        return half_digits / abs(self.printed)
