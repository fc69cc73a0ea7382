"""Find an accelerator: a built-in one by its name, or a TOML file."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from inferometer.emulator.checked import checked
from inferometer.emulator.economics.pricing import paper_accelerators
from inferometer.emulator.economics.pricing.accelerator import Accelerator
from inferometer.emulator.errors import InputError
from inferometer.emulator.names import did_you_mean
from inferometer.emulator.workload.precision import WIDTHS

FOLDER = "inferometer.configs.accelerators"
#: These exist only as the inference economics paper has them.
OF_THE_PAPER = ("groq-lpu", "tpu-v4")

#: No device is slower or smaller: what lies below was given in TFLOP/s, GB, GB/s, µs.
LEAST_FLOP_PER_S = 1e9
LEAST_BYTES = 1e6
MOST_KERNEL_S = 1e-2

Fraction = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Datasheet(Strict):
    """Per device; links one way. Fields that may be unknown are None."""

    flop_per_s: dict[str, Rate] = Field(min_length=1)
    memory_bytes: Rate
    memory_bytes_per_s: Rate
    intra_bytes_per_s: Rate | None = None
    inter_bytes_per_s: Rate | None = None
    node_size: Annotated[int, Field(ge=1, le=100_000)]

    @model_validator(mode="after")
    def _units(self) -> Datasheet:
        for width, rate in self.flop_per_s.items():
            if width not in map(str, WIDTHS):
                raise ValueError(f"flop_per_s.{width}: known widths are {', '.join(map(str, WIDTHS))} bits")
            if rate < LEAST_FLOP_PER_S:
                raise ValueError(f"flop_per_s.{width} = {rate:g} is in FLOP/s: {rate:g} TFLOP/s would be {rate * 1e12:g}")
        for key in ("memory_bytes", "memory_bytes_per_s", "intra_bytes_per_s", "inter_bytes_per_s"):
            value = getattr(self, key)
            if value is not None and value < LEAST_BYTES:
                unit = "bytes/s" if key.endswith("_per_s") else "bytes"
                giga = unit.replace("bytes", "GB")
                raise ValueError(f"{key} = {value:g} is in {unit}: {value:g} {giga} would be {value * 1e9:g}")
        return self


class Sustained(Strict):
    """What long kernels reach of the datasheet's rates, what a kernel's launch costs."""

    flop_fraction: Fraction
    memory_fraction: Fraction
    kernel_s: Annotated[float, Field(ge=0, allow_inf_nan=False)]

    @model_validator(mode="after")
    def _units(self) -> Sustained:
        if self.kernel_s > MOST_KERNEL_S:
            raise ValueError(
                f"kernel_s = {self.kernel_s:g} is in seconds: {self.kernel_s:g} µs would be {self.kernel_s / 1e6:g}"
            )
        return self


class Price(Strict):
    usd_per_hour: Rate | None = None


class File(Strict):
    """An accelerator file: figures in three tables, then a source for each one, or why it is unknown."""

    name: str | None = Field(None, min_length=1)
    datasheet: Datasheet
    sustained: Sustained
    price: Price = Price()
    sources: dict[str, str]
    unknown: dict[str, str] = {}

    @model_validator(mode="after")
    def _sourced(self) -> File:
        figures = self.figures()
        for table, reasons in (("sources", self.sources), ("unknown", self.unknown)):
            for key, reason in reasons.items():
                if key not in figures:
                    raise ValueError(f"{table}.{key}: unknown key: figures are {', '.join(figures)}")
                if not reason.strip():
                    raise ValueError(f"{table}.{key}: empty")
        for key, value in figures.items():
            if value is None and key not in self.unknown:
                raise ValueError(f"{key}: missing: give it, or the reason in unknown.{key}")
            if value is not None and key in self.unknown:
                raise ValueError(f"unknown.{key}: but {key} = {value} is given")
            if value is not None and key not in self.sources:
                raise ValueError(f"sources.{key}: missing: where does {key} = {value} come from?")
        return self

    def figures(self) -> dict[str, Any]:
        return {**dict(self.datasheet), **dict(self.sustained), **dict(self.price)}

    def accelerator(self, name: str) -> Accelerator:
        figures = self.figures()
        flop_per_s = {int(width): rate for width, rate in figures.pop("flop_per_s").items()}
        unknown = {key: f"unknown: {reason}" for key, reason in self.unknown.items()}
        return Accelerator(name=self.name or name, flop_per_s=flop_per_s, **figures, sources={**self.sources, **unknown})


def accelerator_names() -> list[str]:
    """The names of the built-in accelerators."""
    found = (entry.name[:-5] for entry in files(FOLDER).iterdir() if entry.name.endswith(".toml"))
    return sorted([name for name in found if name != "epoch-2025"] + list(OF_THE_PAPER))


def load_accelerator(name_or_path: str | Path) -> Accelerator:
    """A built-in accelerator by its name, or a TOML file (docs/accelerators.md).

    Built-in ones have the figures of the vendor's datasheets; TPU v4, the Groq LPU and every NAME@epoch-2025 are as the
    inference economics paper has them.

    Raises InputError naming the file, the key and the arithmetic: for a name that is neither, an unknown key, a wrong
    unit, a price of zero or below, a figure without a source.
    """
    name = str(name_or_path)
    if name in OF_THE_PAPER or name.endswith("@epoch-2025"):
        return paper_accelerators.load_accelerator(name)
    if name in accelerator_names():
        return _parse(files(FOLDER).joinpath(f"{name}.toml").read_text(encoding="utf-8"), f"{name}.toml", name)
    path = Path(name)
    try:
        if not path.exists():
            hint, known = did_you_mean(name, accelerator_names()), ", ".join(accelerator_names())
            raise InputError(f"accelerator {name[:80]!r}: neither a TOML file nor a built-in one{hint}: those are {known}")
        if not path.is_file():
            raise InputError(f"{path}: not a file")
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"{name[:80]!r}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    return _parse(text, str(path), path.stem)


def _parse(text: str, where: str, name: str) -> Accelerator:
    try:
        fields = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{where}: not TOML: {error}") from None
    except RecursionError:
        raise InputError(f"{where}: not TOML of an accelerator: brackets too deep") from None
    return checked(File, fields, where).accelerator(name)
