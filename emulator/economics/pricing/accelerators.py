"""Find an accelerator: a built-in one by its name, or a TOML file."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inferometer.configs import folder
from inferometer.emulator.documents import read_text, toml_of
from inferometer.emulator.economics.pricing import paper_accelerators
from inferometer.emulator.economics.pricing.accelerator import Accelerator
from inferometer.emulator.errors import InputError, reason_of
from inferometer.emulator.names import did_you_mean, named

KIND = "accelerators"
#: These exist only as the inference economics paper has them.
OF_THE_PAPER = ("groq-lpu", "tpu-v4")

MAY_BE_UNKNOWN = ("intra_bytes_per_s", "inter_bytes_per_s", "usd_per_hour")


def accelerator_names() -> list[str]:
    """The names of the built-in accelerators."""
    found = (entry.name[:-5] for entry in folder(KIND).iterdir() if entry.name.endswith(".toml"))
    return sorted([name for name in found if name != "epoch-2025"] + list(OF_THE_PAPER))


def load_accelerator(name_or_path: str | Path) -> Accelerator:
    """A built-in accelerator by its name, or a TOML file (docs/accelerators.md).

    Built-in ones have the figures of the vendor's datasheets; TPU v4, the Groq LPU and every NAME@epoch-2025 are as the
    inference economics paper has them.

    Raises InputError naming the file, the key and the arithmetic: for a name that is neither, an unknown key, a wrong
    unit, a price of zero or below, a figure without a source.
    """
    name = str(name_or_path)
    known = named(name, accelerator_names())
    if known is not None and known != name and not _is_there(name):
        name = known
    if name in OF_THE_PAPER or name.endswith("@epoch-2025"):
        return paper_accelerators.load_accelerator(name)
    if name in accelerator_names():
        return accelerator_of(tomllib.loads(folder(KIND).joinpath(f"{name}.toml").read_text(encoding="utf-8")), name)
    path = Path(name)
    try:
        if name != "-" and not path.exists():
            hint, known = did_you_mean(name, accelerator_names()), ", ".join(accelerator_names())
            raise InputError(f"accelerator {name[:80]!r}: neither a TOML file nor a built-in one{hint}: those are {known}")
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise InputError(f"{name[:80]!r}: cannot be read: {reason_of(error)}") from None
    return _parse(read_text(path), str(path), path.stem)


def built_in_of(device: str) -> Accelerator | None:
    """The built-in accelerator that a device's own name means (NVIDIA H100 80GB HBM3: h100-sxm); None where none does."""
    words = re.split(r"[^a-z0-9]+", device.lower())
    found = [name for name in accelerator_names() if name.partition("-")[0] in words]
    forms = [name for name in found if name.partition("-")[2] in words]  # h100-pcie, or b200, of which there is one form
    named = forms or [name for name in found if name.endswith("-sxm")] or found
    return load_accelerator(named[0]) if named else None


def accelerator_of(tables: Mapping[str, Any], name: str) -> Accelerator:
    """The accelerator of a file's tables, which are taken to be whole (accelerator_file.File)."""
    figures = {**tables["datasheet"], **tables["sustained"], **tables.get("price", {})}
    rates = {int(width): rate for width, rate in figures.pop("flop_per_s").items()}
    figures = dict.fromkeys(MAY_BE_UNKNOWN) | figures
    unknown = {key: f"unknown: {reason}" for key, reason in tables.get("unknown", {}).items()}
    sources = {**tables["sources"], **unknown}
    return Accelerator(name=tables.get("name") or name, flop_per_s=rates, **figures, sources=sources)


def _parse(text: str, where: str, name: str) -> Accelerator:
    from inferometer.emulator.checked import checked
    from inferometer.emulator.economics.pricing.accelerator_file import File

    tables = toml_of(text, where)
    checked(File, tables, where)
    return accelerator_of(tables, name)


def _is_there(name: str) -> bool:
    try:
        return Path(name).exists()
    except (OSError, ValueError):
        return False
