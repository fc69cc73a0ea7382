"""The models of the inference economics paper by name, its accelerators too."""

from __future__ import annotations

import tomllib
from dataclasses import fields, replace
from importlib.resources import files
from typing import Any

from inferometer.emulator.economics.accelerator import Accelerator
from inferometer.emulator.economics.epoch.model import PaperModel
from inferometer.emulator.errors import InputError
from inferometer.emulator.names import did_you_mean

CONVENTION = "epoch-2025"
SOURCE = "Erdil 2025, Inference Economics of Language Models, and its code at commit c2c4fa9"
#: Bits of a weight that the convention knows.
WEIGHT_BITS = (4, 8, 16)


def model_names() -> list[str]:
    return sorted(_read("models"))


def accelerator_names() -> list[str]:
    return sorted(_read("accelerators"))


def load_model(name: str, weight_bits: int | None = None) -> PaperModel:
    """A model by its plain name or as NAME@epoch-2025; without weight_bits at the paper's own (16; DeepSeek-V3, PaLM 8B 8).

    Raises InputError for an unknown name, with those there are, or for weights of other than 4, 8, 16 bits.
    """
    found = PaperModel(name=_plain(name), **_entry("models", name))
    if weight_bits is None:
        return found
    if weight_bits not in WEIGHT_BITS:
        raise InputError(f"weight bits = {weight_bits}: {CONVENTION} knows {', '.join(map(str, WEIGHT_BITS))}")
    return replace(found, weight_bits=weight_bits)


def load_accelerator(name: str) -> Accelerator:
    """An accelerator by its plain name or as NAME@epoch-2025, price included.

    Raises InputError for an unknown name, with those there are.
    """
    figures = _entry("accelerators", name)
    rates = {int(bits): rate for bits, rate in figures.pop("flop_per_s").items()}
    unknown = {field.name: None for field in fields(Accelerator) if field.name.endswith("_bytes_per_s")} | figures
    return Accelerator(
        name=_plain(name), flop_per_s=rates, **unknown, sources=dict.fromkeys(["flop_per_s", *figures], SOURCE)
    )


def _entry(kind: str, name: str) -> dict[str, Any]:
    table = _read(kind)
    plain = _plain(name)
    if plain not in table:
        close = did_you_mean(plain, list(table))
        raise InputError(f"{kind[:-1]} {name[:80]!r}: not in {CONVENTION}{close}: it has {', '.join(sorted(table))}")
    entry: dict[str, Any] = table[plain]
    return entry


def _plain(name: str) -> str:
    return name.removesuffix(f"@{CONVENTION}")


def _read(kind: str) -> dict[str, Any]:
    text = files(f"inferometer.configs.{kind}").joinpath(f"{CONVENTION}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
