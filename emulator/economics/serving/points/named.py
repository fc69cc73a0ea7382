"""Which built-in model and accelerator a benchmark's own name means."""

from __future__ import annotations

import re
from collections.abc import Mapping

from inferometer.emulator.economics.pricing.accelerators import accelerator_names, built_in_of
from inferometer.emulator.errors import InputError
from inferometer.emulator.names import named
from inferometer.emulator.workload.catalogue import model_names

STORED = re.compile(r"[-_](fp8|fp4|nvfp4|mxfp4|bf16|int4|awq|gptq|instruct|chat|it|v\d|\d{4})(?=[-_]|$)", re.IGNORECASE)
"""Parts of a name that say how a checkpoint is stored, tuned or dated, not what its shape is."""
SAME_SHAPE: Mapping[str, str] = {"llama-3.3-70b": "llama-3.1-70b", "kimi-k2.5": "kimi-k2", "minimax-m2.7": "minimax-m2.5"}
"""Models whose text part has another one's shape."""


def model_named(name: str, where: str = "") -> str:
    """The built-in model. Raises InputError where none is meant."""
    plain = name.rpartition("/")[2]
    shorter = STORED.sub("", plain)
    for text in (name, plain, shorter, SAME_SHAPE.get(shorter.lower().removeprefix("meta-"), shorter)):
        known = named(text, model_names())
        if known is not None:
            return known
    raise InputError(f"{where}: model {name[:80]!r} is none of the built-in ones: `inferometer models` lists those")


def accelerator_named(name: str, where: str = "") -> str:
    """The built-in accelerator. Raises InputError where none is meant."""
    plain = re.sub(r"[_ ]", "-", name.strip().lower())
    for text in (plain, plain.removesuffix("-sxm"), f"{plain}-sxm"):
        known = named(text, accelerator_names())
        if known is not None:
            return known
    device = built_in_of(name)
    if device is None:
        raise InputError(f"{where}: accelerator {name[:80]!r} is none of the built-in ones: `inferometer list accelerators`")
    return device.name
