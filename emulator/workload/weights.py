"""The weights of a model as a list: what a part is called, how large it is, how many copies of it there are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Weight:
    """A matrix of inner × outer numbers, or copies of such a matrix (one for each expert).

    name: of the module in a checkpoint, below its layer (``self_attn.q_proj``). part: what it is counted under. used:
    copies that serve one token; None: all. linear: whether it is multiplied with activations, so that it may be quantised;
    norms, biases of the router, tables that are looked up are not.
    """

    name: str
    part: str
    inner: int
    outer: int
    bias: bool = False
    copies: int = 1
    used: int | None = None
    linear: bool = True

    @property
    def matrix(self) -> int:
        """Elements of one copy without its bias."""
        return self.inner * self.outer

    @property
    def elements(self) -> int:
        """Of all copies, biases included."""
        return self.copies * (self.matrix + self.biases)

    @property
    def biases(self) -> int:
        """Of one copy."""
        return self.bias * self.outer

    @property
    def active(self) -> int:
        """Elements of the copies that serve one token."""
        return (self.copies if self.used is None else self.used) * (self.matrix + self.biases)

    @property
    def multiplied(self) -> int:
        """Elements that one token's activations are multiplied with."""
        return (self.copies if self.used is None else self.used) * self.matrix if self.linear else 0


def vector(name: str, part: str, elements: int) -> Weight:
    """Numbers that are added, or scale: a norm, a bias of its own, a sink."""
    return Weight(name, part, 1, elements, linear=False)


def elements(weights: Iterable[Weight]) -> int:
    """Elements of all of them."""
    return sum(weight.elements for weight in weights)
