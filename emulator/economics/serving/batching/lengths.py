"""How many tokens prompts and outputs have: all as many, or spread evenly over a range."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferometer.emulator.aliases import Array
from inferometer.emulator.errors import InputError


@dataclass(frozen=True)
class Lengths:
    """Tokens of a prompt or an output: every number from low to high is as likely; low = high is a fixed length."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.high) and 1 <= self.low <= self.high):
            raise InputError(f"lengths from {self.low:g} to {self.high:g} tokens: 1 ≤ low ≤ high is needed")

    @classmethod
    def fixed(cls, tokens: float) -> Lengths:
        return cls(tokens, tokens)

    @property
    def mean(self) -> float:
        return (self.low + self.high) / 2

    @property
    def spread(self) -> float:
        """Standard deviation over the mean."""
        return (self.high - self.low) / np.sqrt(12) / self.mean

    def quantile(self, share: float) -> float:
        return self.low + share * (self.high - self.low)

    def draw(self, rng: np.random.Generator, count: int) -> Array:
        """So many lengths, whole numbers."""
        drawn: Array = np.round(rng.uniform(self.low, self.high, count))
        return drawn

    def describe(self) -> str:
        return f"{self.high:g}" if self.low == self.high else f"{self.low:g} to {self.high:g}"
