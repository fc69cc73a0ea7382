"""Frontiers side by side: one curve for each combination of models, accelerators, precisions, contexts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from inferometer.emulator.economics.serving.candidates import Row, preferred
from inferometer.emulator.errors import InputError

MEASURED = "the measured machine"


@dataclass(frozen=True)
class Curve:
    """What one curve of a frontier figure is about."""

    model: str
    accelerator: str | None
    """None: the machine that the calibration has measured."""
    weight_bits: int | None
    """None: as the checkpoint stores them."""
    context: float | None
    speculator: str | None
    demand_cap: float | None

    def label(self, others: Sequence[Curve]) -> str:
        """What sets this curve apart from the others; the model, if nothing does."""
        words = {
            "model": self.model,
            "accelerator": self.accelerator or MEASURED,
            "weight_bits": "as shipped" if self.weight_bits is None else f"{self.weight_bits}-bit",
            "context": "mean context" if self.context is None else f"context {self.context:g}",
            "speculator": f"with {self.speculator}" if self.speculator else "no speculation",
            "demand_cap": f"{self.demand_cap:g} tok/s" if self.demand_cap else "any demand",
        }
        varying = [text for name, text in words.items() if len({getattr(other, name) for other in others}) > 1]
        return ", ".join(varying) or self.model


def curves(
    models: Sequence[str],
    accelerators: Sequence[str | None],
    weight_bits: Sequence[int | None],
    contexts: Sequence[float | None],
    speculators: Sequence[str | None],
    demand_caps: Sequence[float | None],
) -> list[Curve]:
    """Every combination. A model written NAME:BITS keeps its own weight bits."""
    found: list[Curve] = []
    for model, accelerator, bits, context, speculator, cap in product(
        models, accelerators, weight_bits, contexts, speculators, demand_caps
    ):
        name, own = split_bits(model)
        curve = Curve(name, accelerator, bits if own is None else own, context, speculator, cap)
        if curve not in found:
            found.append(curve)
    return found


def split_bits(model: str) -> tuple[str, int | None]:
    """``llama-3-70b:8`` → (``llama-3-70b``, 8); without a colon the bits are None. Raises InputError for other text."""
    name, colon, bits = model.rpartition(":")
    if not colon:
        return model, None
    if not (bits.isascii() and bits.isdecimal()):
        raise InputError(f"{model}: what follows the colon is the bits of the weights, such as {name}:8")
    return name, int(bits)


def as_list(value: Any) -> list[Any]:
    """One value as a list of one."""
    return [value] if value is None or isinstance(value, str | int | float) else list(value)


def side_by_side(asked: Sequence[Curve], rows_of: Callable[[Curve], list[Row]], alpha: float) -> list[Row]:
    """The frontier of each curve, one below the other. rows_of: a curve's points, fastest first.

    `point` names each curve's fastest, cheapest, preferred row: the last has the greatest speed^alpha / cost.
    """
    found = []
    for curve in asked:
        rows = rows_of(curve)
        found += marked(rows, curve.label(asked), curve, preferred(rows, alpha))
    return found


def marked(frontier: Sequence[Row], label: str, curve: Curve, preferred: int) -> list[Row]:
    """The rows of one curve with its label, and a `point` that names the fastest, cheapest, preferred row."""
    names: dict[int, list[str]] = {}
    for row, name in ((0, "fastest"), (len(frontier) - 1, "cheapest"), (preferred, "preferred")):
        names.setdefault(row, []).append(name)
    about: Row = {"curve": label, "model": curve.model, "accelerator": curve.accelerator or MEASURED}
    about |= {"weight_bits": curve.weight_bits, "context": curve.context}
    about |= {"speculator": curve.speculator, "demand_cap": curve.demand_cap}
    return [about | {"point": ", ".join(names.get(at, []))} | row for at, row in enumerate(frontier)]
