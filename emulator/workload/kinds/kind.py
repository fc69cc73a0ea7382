"""What every kind of layer part says of itself: its weights, its cache, its operations, its small copy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Protocol, Self

import numpy as np

from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.operations import Op, Size
from inferometer.emulator.workload.rank import RankWork
from inferometer.emulator.workload.weights import Weight

WIDTH_STEP = 8
"""Widths of small models are multiples of this, so that a few ranks divide them and matmuls run at full speed."""


@dataclass(frozen=True)
class Store:
    """What a layer caches of a sequence: elements for every token, or for every so many of them.

    window: the tokens that a query sees, itself included, where that is limited. every: tokens that one entry stands for.
    rest: what is kept of the last tokens, until they are enough for such an entry.
    """

    elements: int
    window: int | None = None
    every: int = 1
    rest: bool = False

    def entries(self, context: Size) -> Size:
        """Entries in the cache while a step runs after context tokens."""
        seen = context if self.window is None else np.minimum(context, self.window)
        if self.rest:
            return np.mod(seen, self.every)
        return seen if self.every == 1 else np.floor_divide(seen, self.every)

    def kept(self, context: Size) -> Size:
        """Elements kept of context tokens until the next one enters, which itself makes the window full."""
        last = context if self.window is None else np.minimum(context, self.window - 1)
        return self.elements * Store(1, None, self.every, self.rest).entries(last)


@dataclass(frozen=True)
class State:
    """What a layer keeps of a sequence whatever its length. recurrent: elements that sum over all tokens; recent: of the
    last few tokens' activations, for a convolution."""

    recurrent: int = 0
    recent: int = 0

    def __add__(self, other: State) -> State:
        return State(self.recurrent + other.recurrent, self.recent + other.recent)


@dataclass(frozen=True)
class Smaller:
    """By how much a model is scaled: the factor, the width before and after."""

    scale: float
    before: int
    after: int

    def count(self, amount: int, least: int = 1) -> int:
        """A scaled number of things."""
        return max(least, round(amount * self.scale))

    def width(self, amount: float) -> int:
        """A scaled width, in whole steps."""
        return stepped(amount * self.scale)

    def beside(self, width: int) -> int:
        """A width that keeps its proportion to the model's width."""
        return stepped(width / self.before * self.after)


def stepped(wanted: float) -> int:
    return max(1, round(wanted / WIDTH_STEP)) * WIDTH_STEP


@dataclass(frozen=True)
class Proportion:
    """A number by which a small model is compared with the large one; grows: whether it scales with the model."""

    name: str
    value: float
    grows: bool = False


Demand = tuple[int, str]
"""An amount that the ranks that share it must divide, and its name."""


class Attention(Protocol):
    """How tokens of a sequence mix: attention of any kind, or a recurrence in its place."""

    kind: ClassVar[str]

    @property
    def query_heads(self) -> int: ...
    @property
    def window(self) -> int | None: ...
    def describe(self) -> str: ...
    def weights(self, d: int) -> tuple[Weight, ...]: ...
    def stores(self, ranks: int) -> tuple[Store, ...]: ...
    def read_elements(self, ranks: int) -> int: ...
    def state(self, ranks: int) -> State: ...
    def flop_per_pair(self) -> int: ...
    def block(self, work: RankWork) -> list[Op]: ...
    def demands(self, ranks: int) -> list[Demand]: ...
    def scaled(self, by: Smaller) -> Self: ...
    def proportions(self, d: int) -> list[Proportion]: ...


class FeedForward(Protocol):
    """What a layer does to each token by itself."""

    kind: ClassVar[str]

    def describe(self) -> str: ...
    def weights(self, d: int) -> tuple[Weight, ...]: ...
    def block(self, work: RankWork) -> list[Op]: ...
    def scaled(self, by: Smaller) -> Self: ...
    def proportions(self, d: int) -> list[Proportion]: ...


def at_least(least: int, record: object, *fields: str) -> None:
    """Raise InputError for a field that is no whole number, or too small."""
    for field in fields:
        value = getattr(record, field)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise InputError(f"{field} = {value!r} must be a whole number, at least {least}")


def bytes_of(weights: Iterable[Weight], width: float) -> float:
    """Bytes of all elements at a width in bytes."""
    return sum(weight.elements for weight in weights) * width
