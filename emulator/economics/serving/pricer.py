"""Many configurations priced at once: every layout with every batch and every context of one model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inferometer.emulator.aliases import Array
from inferometer.emulator.economics.pricing.accelerator import Accelerator
from inferometer.emulator.economics.serving.candidates import Columns, columns_of, joined
from inferometer.emulator.economics.serving.deployable import Load
from inferometer.emulator.economics.serving.layouts import layouts
from inferometer.emulator.economics.serving.predict import load_of, precision_of
from inferometer.emulator.economics.serving.scenario import Scenario, scenario_of
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.layout import Layout
from inferometer.emulator.workload.shape import Shape

if TYPE_CHECKING:
    import pandas as pd

#: Configurations that are priced together. Each needs some 4 KB while it is.
TOGETHER = 8192


@dataclass(frozen=True)
class Grid:
    """Batches and loads, an element of each array for every combination."""

    batch: Array
    load: Load

    @classmethod
    def of(
        cls,
        batches: ArrayLike,
        contexts: ArrayLike | None = None,
        prompts: ArrayLike | None = None,
        outputs: ArrayLike | None = None,
        interleave: bool = False,
    ) -> Grid:
        """Every batch with every context, or with every pair of a prompt and an output (these two broadcast)."""
        if contexts is None and prompts is None and outputs is None:
            contexts = load_of(None, None, None, False).context
        given = {"context": contexts, "prompt": prompts, "output": outputs}
        asked = {name: np.atleast_1d(np.asarray(one, dtype=float)) for name, one in given.items() if one is not None}
        try:
            each = dict(zip(asked, np.broadcast_arrays(*asked.values())))
        except ValueError:
            lengths = ", ".join(f"{len(one)} {name}s" for name, one in asked.items())
            raise InputError(f"{lengths}: as many of each, or one") from None
        batch = np.atleast_1d(np.asarray(batches, dtype=float))
        count = len(next(iter(each.values())))
        if not len(batch) or not count:
            raise InputError("nothing to price: give at least one batch and one context")
        sizes: dict[str, Any] = {name: np.tile(one, len(batch)) for name, one in each.items()}
        return cls(np.repeat(batch, count), Load(**sizes, interleave=interleave))

    def parts(self, size: int) -> Iterator[Grid]:
        """The same in parts of no more than size elements."""
        for start in range(0, len(self.batch), size):
            at = slice(start, start + size)
            own: dict[str, Any] = {name: None if one is None else one[at] for name, one in self._sizes.items()}
            yield Grid(self.batch[at], replace(self.load, **own))

    @property
    def columns(self) -> Columns:
        """What was asked, by name."""
        return {name: one for name, one in self._sizes.items() if one is not None}

    @property
    def _sizes(self) -> dict[str, Any]:
        return {name: getattr(self.load, name) for name in ("context", "prompt", "output")}


class Pricer:
    """A model at some prices, read and put together once, to be asked for many configurations.

    model, accelerator, bits and further are those of `predict`. Raises InputError as it does.
    """

    def __init__(
        self,
        model: str | Path | Shape,
        accelerator: str | Path | Accelerator | None,
        *,
        weight_bits: int | None = None,
        activation_bits: int | None = None,
        kv_bits: int | None = None,
        **further: Any,
    ) -> None:
        precision = precision_of(weight_bits, activation_bits, kv_bits)
        self.scenario: Scenario = scenario_of(model, accelerator, load_of(None, None, None, False), precision, **further)

    def layouts(self, gpus_max: int) -> list[Layout]:
        """Every layout worth trying on at most so many devices (layouts.layouts)."""
        return list(layouts(self.scenario.shape, self.scenario.accelerator, gpus_max))

    def columns(
        self,
        tried: Sequence[Layout],
        batches: ArrayLike,
        contexts: ArrayLike | None = None,
        *,
        prompts: ArrayLike | None = None,
        outputs: ArrayLike | None = None,
        interleave: bool = False,
    ) -> Columns:
        """Every layout with every batch and every context, or pair of prompt and output: an element of each array for one.

        Layout by layout, batch by batch. Columns as `candidates` has them, without those that are the same for all, and
        context, or prompt and output; fits: whether weights, cache and reserve fit into a GPU's memory; reason: why
        token_latency_s is NaN, where a network or processor knows nothing of what the layout needs. Each number is that of
        `predict`.

        Raises InputError for a layout that does not divide the model, and for batches and contexts as `predict` does.
        """
        grid = Grid.of(batches, contexts, prompts, outputs, interleave)
        size = max(1, TOGETHER // max(1, min(len(grid.batch), TOGETHER)))
        tables = [table for start in range(0, len(tried), size) for table in self._parts(tried[start : start + size], grid)]
        return joined(tables)

    def table(
        self, tried: Sequence[Layout], batches: ArrayLike, contexts: ArrayLike | None = None, **further: Any
    ) -> pd.DataFrame:
        """`columns` as a DataFrame."""
        import pandas as pd

        return pd.DataFrame(self.columns(tried, batches, contexts, **further))

    def _parts(self, tried: Sequence[Layout], grid: Grid) -> list[Columns]:
        """A table for each layout."""
        found: list[list[Columns]] = [[] for _ in tried]
        for part in grid.parts(TOGETHER):
            for own, table in zip(found, self._priced(tried, part)):
                own.append(table)
        return [joined(own) for own in found]

    def _priced(self, tried: Sequence[Layout], grid: Grid) -> Iterator[Columns]:
        scenario = replace(self.scenario, load=grid.load)
        programs = [scenario.deployment(layout).decode_program(grid.batch, grid.load) for layout in tried]
        timings = scenario.times(tried, programs, grid.batch)
        for layout, program, timing in zip(tried, programs, timings):
            memory = np.asarray(scenario.memory(layout, grid.batch, program).total_bytes, dtype=float)
            if isinstance(timing, InputError):
                own: dict[str, Any] = {"token_latency_s": np.nan, "memory_bytes": memory, "reason": str(timing)}
                own |= {"layout": layout.describe(), "gpus": layout.gpus, "batch": grid.batch.astype(int)}
            else:
                own = columns_of(layout, grid.batch, memory, timing)
                known = bool(np.isfinite(timing.token_latency_s).all())
                own["reason"] = "" if known else str(scenario.undetermined(layout, timing))
            own |= {**grid.columns, "fits": memory <= scenario.available_bytes}
            yield {name: _whole(value, len(grid.batch)) for name, value in own.items()}


def _whole(value: Any, length: int) -> NDArray[Any]:
    """One value for each configuration."""
    return np.broadcast_to(np.asarray(value, dtype=object) if isinstance(value, str) else value, (length,))
