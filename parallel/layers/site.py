"""What a layer is made with on a rank: the tape it runs through, the source of its weights, the name it goes by."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from inferometer.parallel.axes import Axes
from inferometer.parallel.tape import Tape
from inferometer.parallel.weights import Weights


@dataclass(frozen=True)
class Site:
    """prefix: of the names of the weights, such as ``layers.3.``."""

    tape: Tape
    weights: Weights
    prefix: str = ""

    @property
    def axes(self) -> Axes:
        return self.tape.axes

    def inside(self, name: str) -> Site:
        return replace(self, prefix=f"{self.prefix}{name}.")

    def matrix(self, name: str, shape: tuple[int, int], rows: range | None, columns: range | None) -> torch.Tensor:
        return self.weights.matrix(self.prefix + name, shape, rows, columns)

    def scale(self, name: str, length: int, part: range | None = None) -> torch.Tensor:
        """The scale of a norm."""
        return self.weights.vector(self.prefix + name, length, part, around=1.0)

    def bias(self, name: str, length: int, part: range | None, summed_over: int) -> torch.Tensor:
        """A bias where summed_over ranks add their products up: each adds its share of the bias."""
        return self.weights.vector(self.prefix + name, length, part) / summed_over
