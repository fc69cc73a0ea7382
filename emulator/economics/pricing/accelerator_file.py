"""What an accelerator's TOML file must say, checked: units, a source for every figure, a reason for every unknown one."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from inferometer.emulator.workload.precision import WIDTHS

#: No device is slower or smaller: what lies below was given in TFLOP/s, GB, GB/s, µs.
LEAST_FLOP_PER_S = 1e9
LEAST_BYTES = 1e6
MOST_KERNEL_S = 1e-2

Fraction = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Strict(BaseModel):
    model_config = ConfigDict(defer_build=True, extra="forbid", strict=True, frozen=True)


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
