"""The models of the inference economics paper by name."""

from __future__ import annotations

from dataclasses import replace

from inferometer.emulator.economics.paper.epoch.model import PaperModel
from inferometer.emulator.economics.pricing.paper_accelerators import CONVENTION, entry, plain_name, read
from inferometer.emulator.errors import InputError

#: Bits of a weight that the convention knows.
WEIGHT_BITS = (4, 8, 16)


def model_names() -> list[str]:
    return sorted(read("models"))


def load_model(name: str, weight_bits: int | None = None) -> PaperModel:
    """A model by its plain name or as NAME@epoch-2025; without weight_bits at the paper's own (16; DeepSeek-V3, PaLM 8B 8).

    Raises InputError for an unknown name, with those there are, or for weights of other than 4, 8, 16 bits.
    """
    found = PaperModel(name=plain_name(name), **entry("models", name))
    if weight_bits is None:
        return found
    if weight_bits not in WEIGHT_BITS:
        raise InputError(f"weight bits = {weight_bits}: {CONVENTION} knows {', '.join(map(str, WEIGHT_BITS))}")
    return replace(found, weight_bits=weight_bits)
