"""Which of a calibration's compute laws a request asks for: by key, by the widths of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from inferometer.emulator.calibrate.schema.compute_records import ComputeLaw
from inferometer.emulator.errors import InputError
from inferometer.parallel.dtypes import NAMED


class Widths(NamedTuple):
    """Bits of weights, of activations, of the cache."""

    weight_bits: int
    activation_bits: int
    kv_bits: int


KEYS = ("backend", "scheduler", "dtype", "launch_mode")
"""Fields of a law's key that choose among the laws of computing too."""


def chosen_laws(
    words: str, laws: Sequence[ComputeLaw], key: Mapping[str, Any], not_measured: str | None
) -> list[ComputeLaw]:
    """Those that key chooses. words: the calibration, for messages.

    Raises InputError where there are none, or several kinds that match.
    """
    asked = {name: value for name, value in key.items() if name in KEYS and value is not None}
    found = [law for law in laws if all(getattr(law.target, name) == value for name, value in asked.items())]
    if not found:
        wanted = ", ".join(f"{name}={value}" for name, value in asked.items())
        why = (not laws and not_measured) or f"none of its laws has {wanted or 'anything'}"
        raise InputError(f"{words} has no compute terms ({why}): give an --accelerator")
    for field in ("backend", "device", "launch_mode", "scheduler", "threads"):
        if len(kinds := {str(getattr(law.target, field)) for law in found}) > 1:
            how = f"choose with --key {field}=…" if field in KEYS else "fit the samples of one of them alone"
            raise InputError(f"{words}: computing was measured with {field} {' and '.join(sorted(kinds))}: {how}")
    return found


def dtype_of_widths(words: str, dtypes: Sequence[str], widths: Widths) -> str:
    """The one of dtypes in which everything has these widths. Raises InputError where there is none."""
    fitting = [dtype for dtype in dtypes if set(widths) == {NAMED[dtype].bits}]
    if not fitting:
        asked = f"weights {widths.weight_bits}, activations {widths.activation_bits}, cache {widths.kv_bits}"
        raise InputError(
            f"{words}: computing was measured in {', '.join(dtypes)}, "
            f"not with {asked} bits: give these widths, or an --accelerator"
        )
    return fitting[0]
