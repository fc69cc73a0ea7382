"""The layout: how the ranks of a deployment share one model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from math import isqrt, prod
from typing import Any, Literal

import numpy as np

from inferometer.emulator.errors import InputError

Axis = Literal["tp", "ep", "tensor", "width", "pp"]
"""tensor: the ranks over which heads, feed-forwards, vocabulary are cut; tp: those over which an expert is cut; width:
the ranks over which the residual stream is cut (the 2-D cut only)."""


@dataclass(frozen=True)
class Layout:
    """A mesh of dp × pp × ep × tp ranks, tp varying fastest.

    tp cuts matrices, ep places experts, pp places layers, dp repeats the whole. The expert axis lies over the ranks
    that do attention, as in serving engines: attention is cut over all tp·ep of them (attention = "tensor"), or over
    tp only while the sequences are divided over ep (attention = "data", "attention data-parallel").

    The whole numbers among the fields are the parallel axes (`AXES`), that of neighbouring ranks first: whoever lists axes
    reads them from here.
    """

    tp: int = 1
    ep: int = 1
    pp: int = 1
    dp: int = 1
    attention: Literal["tensor", "data"] = "tensor"
    tensor: Literal["1d", "2d"] = "1d"
    """1d: each rank holds whole columns, then whole rows of a layer's matrices, and the whole residual stream. 2d: the tp
    ranks are a √tp × √tp grid; a matrix's rows are cut over one direction, its columns over the other, and each rank
    holds 1/√tp of the residual stream."""

    def __post_init__(self) -> None:
        for axis, degree in self.degrees.items():
            if not isinstance(degree, int) or degree < 1:
                raise InputError(f"layout: {axis} = {degree} must be a whole number, at least 1")
        if self.attention not in ("tensor", "data"):
            raise InputError(f"layout: attention = {self.attention!r} must be 'tensor' or 'data'")
        if self.attention == "data" and self.ep == 1:
            raise InputError("layout: attention = 'data' divides the sequences over ep, but ep = 1")
        if self.tensor not in ("1d", "2d"):
            raise InputError(f"layout: tensor = {self.tensor!r} must be '1d' or '2d'")
        if self.tensor == "2d" and isqrt(self.tp) ** 2 != self.tp:
            raise InputError(f"layout: tensor = '2d' lays the tp ranks on a square grid, but tp = {self.tp} is no square")
        if self.tensor == "2d" and self.attention_ranks != self.tp:
            raise InputError(
                f"layout: tensor = '2d' is a grid of tp = {self.tp} ranks, but attention = 'tensor' lies over "
                f"tp·ep = {self.tp}·{self.ep}: use attention = 'data'"
            )

    @classmethod
    def of(cls, degrees: Mapping[str, int], attention: str = "tensor", tensor: str = "1d") -> Layout:
        """The layout with these degrees by axis, the others 1. Raises InputError as Layout does."""
        given: dict[str, Any] = {**degrees, "attention": attention, "tensor": tensor}
        return cls(**given)

    @property
    def degrees(self) -> dict[str, int]:
        """Ranks along each of `AXES`."""
        return {axis: getattr(self, axis) for axis in AXES}

    @cached_property
    def gpus(self) -> int:
        return prod(self.degrees.values())

    @property
    def stage_ranks(self) -> int:
        """Ranks that share one pipeline stage of one replica."""
        return self.tp * self.ep

    @property
    def attention_ranks(self) -> int:
        """Ranks that share attention heads, dense feed-forwards, vocabulary."""
        return self.tp if self.attention == "data" else self.stage_ranks

    @property
    def width(self) -> int:
        """Parts into which the residual stream is cut: 1, or √tp in the 2-D cut."""
        return isqrt(self.tp) if self.tensor == "2d" else 1

    @property
    def sequence_shares(self) -> int:
        """Shares into which the sequences of one replica are divided."""
        return self.ep if self.attention == "data" else 1

    def ranks(self, axis: Axis) -> int:
        return self._ranks[axis]

    @cached_property
    def _ranks(self) -> dict[Axis, int]:
        cut: dict[Axis, int] = {"tp": self.tp // self.width, "tensor": self.attention_ranks // self.width}
        return {"ep": self.ep, "pp": 2, "width": self.width, **cut}

    def nodes(self, axis: Axis, node_size: int, stage: int = 0) -> int:
        """Nodes that a group of the axis spans when nodes are filled in rank order, of the group that spans most.

        For pp: of the hand-off from stage to the next one (the last one's goes to the first).
        """
        if self.gpus <= node_size:
            return 1
        if axis == "pp":
            starts = self.pp * self.stage_ranks * np.arange(self.dp)[:, None] + np.arange(self.stage_ranks)
            following = (stage + 1) % self.pp
            here, there = ((starts + index * self.stage_ranks) // node_size for index in (stage, following))
            return 1 if (here == there).all() else 2
        stride = {"ep": self.tp, "width": self.tp // self.width}.get(axis, 1)
        return spanned_nodes(self.gpus, self.ranks(axis), stride, node_size)

    def describe(self) -> str:
        """``tp8 pp2``: the axes larger than 1."""
        axes = [f"{axis}{degree}" for axis, degree in reversed(self.degrees.items()) if degree > 1]
        if self.tensor == "2d":
            axes.append("2d")
        if self.attention == "data":
            axes.append("attention-dp")
        return " ".join(axes) or "tp1"


FIELDS = tuple(field.name for field in fields(Layout))
AXES = tuple(field.name for field in fields(Layout) if isinstance(field.default, int))


def spelt(degrees: Mapping[str, int]) -> str:
    """``tp·ep·pp·dp = 2·1·1·1 = 2``."""
    return f"{'·'.join(degrees)} = {'·'.join(map(str, degrees.values()))} = {prod(degrees.values())}"


@lru_cache(maxsize=4096)
def spanned_nodes(gpus: int, ranks: int, stride: int, node_size: int) -> int:
    """Nodes under the group that spans most of them, of all groups of ranks that lie stride apart among gpus."""
    nodes = np.arange(gpus).reshape(-1, ranks, stride) // node_size
    return int(1 + (np.diff(nodes, axis=1) > 0).sum(axis=1).max(initial=0))


def check_nodes(layout: Layout, node_size: int) -> None:
    """Raise InputError for a deployment of more than one node that leaves a part of a node empty."""
    if layout.gpus > node_size and layout.gpus % node_size:
        raise InputError(
            f"{layout.describe()}: {layout.gpus} GPUs are {layout.gpus / node_size:g} nodes of {node_size}; "
            "more than one node must be whole nodes"
        )
