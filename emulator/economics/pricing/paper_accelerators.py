"""The accelerators of the inference economics paper by name, with the figures and prices of its code."""

from __future__ import annotations

import tomllib
from dataclasses import fields
from typing import Any

from inferometer.configs import folder
from inferometer.emulator.economics.pricing.accelerator import Accelerator
from inferometer.emulator.errors import InputError
from inferometer.emulator.names import did_you_mean

CONVENTION = "epoch-2025"
SOURCE = "Erdil 2025, Inference Economics of Language Models, and its code at commit c2c4fa9"


def accelerator_names() -> list[str]:
    return sorted(read("accelerators"))


def load_accelerator(name: str) -> Accelerator:
    """An accelerator by its plain name or as NAME@epoch-2025, price included.

    Raises InputError for an unknown name, with those there are.
    """
    figures = entry("accelerators", name)
    rates = {int(bits): rate for bits, rate in figures.pop("flop_per_s").items()}
    unknown = {field.name: None for field in fields(Accelerator) if field.name.endswith("_bytes_per_s")} | figures
    return Accelerator(
        name=plain_name(name), flop_per_s=rates, **unknown, sources=dict.fromkeys(["flop_per_s", *figures], SOURCE)
    )


def entry(kind: str, name: str) -> dict[str, Any]:
    """One table of the paper's catalogue of kind "models" or "accelerators". Raises InputError for an unknown name."""
    table = read(kind)
    plain = plain_name(name)
    if plain not in table:
        close = did_you_mean(plain, list(table))
        raise InputError(f"{kind[:-1]} {name[:80]!r}: not in {CONVENTION}{close}: it has {', '.join(sorted(table))}")
    found: dict[str, Any] = table[plain]
    return found


def plain_name(name: str) -> str:
    """NAME of NAME@epoch-2025."""
    return name.removesuffix(f"@{CONVENTION}")


def read(kind: str) -> dict[str, Any]:
    """Every table of that kind by name."""
    text = folder(kind).joinpath(f"{CONVENTION}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
