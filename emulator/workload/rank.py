"""One rank's share of a step, and the operations it is written in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from inferometer.emulator.workload.layout import Axis, Layout
from inferometer.emulator.workload.operations import Collective, Compute, Op, Pass, Size
from inferometer.emulator.workload.precision import Precision
from inferometer.emulator.workload.step import Step
from inferometer.emulator.workload.weights import Weight, elements

STATISTIC_BYTES = 4  # sums of a norm are in float32, whatever the width of what is normed


class Stored(NamedTuple):
    """A matrix as a checkpoint has it. multiplied_bits: of both operands."""

    bytes: float
    elements: int
    multiplied_bits: int


@dataclass(frozen=True)
class RankWork:
    """What a rank has before it when it builds its list: step holds the sequences whose attention it shares in."""

    layout: Layout
    precision: Precision
    step: Step
    node_size: int
    d_model: int
    norm_bias: bool = False
    stored: Mapping[str, Stored] = field(default_factory=dict)
    """How the layer's matrices are stored, by their names; those that are not here have the precision's width."""
    imbalance: Size = 1.0
    """Tokens at the busiest expert rank, as a multiple of the mean."""

    @property
    def tokens(self) -> Size:
        return self.step.tokens

    @property
    def width(self) -> int:
        """Elements of a token's residual stream that the rank holds."""
        return self.d_model // self.layout.width

    def into(self, name: str, rows: Size, outer: int, *, collective: str = "all_reduce", **matmul: Any) -> list[Op]:
        """The residual stream times a matrix. Where the stream is cut over "width", so are the sums over its elements."""
        product = self.matmul(name, rows, self.width, outer, **matmul)
        summed = rows * outer * self.precision.residual_bytes
        return [product, *self.collective(f"{name}_reduce", collective, "width", summed, expected=product.expected)]

    def matmul(
        self,
        name: str,
        rows: Size,
        inner: int,
        outer: int,
        *,
        of: Sequence[str] = (),
        bias: bool = False,
        matrices_read: Size = 1.0,
        matrices_kept: int = 1,
        routed: bool = False,
        expected: bool = False,
        passes: tuple[Pass, ...] = (),
    ) -> Compute:
        """rows × inner by inner × outer. Of the experts' matrices several are kept, those that are chosen are read.

        of: names of the matrices that it is made of.
        """
        p = self.precision
        width, bits = self.width_of(of)
        matrix_bytes = (inner + bias) * outer * width
        return Compute(
            name,
            "matmul",
            flop=2.0 * rows * inner * outer,
            weight_bytes=matrices_read * matrix_bytes,
            activation_bytes=rows * (inner * p.activation_bytes + outer * p.residual_bytes),
            resident_bytes=matrices_kept * matrix_bytes,
            matmul=(rows, inner, outer),
            matrices=matrices_read,
            routed=routed,
            bits=bits,
            expected=expected,
            passes=passes,
        )

    def added(self, rows: Size) -> Pass:
        """Rows of the rank's part of the residual stream, to which an operation's result is added."""
        return Pass("residual", (self.residual(rows),))

    def width_of(self, names: Sequence[str]) -> tuple[float, int | None]:
        """Bytes of an element of some matrices together, scales included, and the bits in which they are multiplied."""
        found = [self.stored[name] for name in names if name in self.stored]
        if not found:
            return self.precision.weight_bytes, None
        together = sum(one.bytes for one in found) / sum(one.elements for one in found)
        return together, max(one.multiplied_bits for one in found)

    def extras(self, name: str, weights: Sequence[Weight]) -> list[Op]:
        """Further weights of a layer that every rank holds whole: matrices as matmuls, all others as one pass over them."""
        ops: list[Op] = [
            self.matmul(
                f"{name}.{weight.name.rpartition('.')[2]}",
                self.tokens * weight.copies,
                weight.inner,
                weight.outer,
                of=(weight.name,),
                bias=weight.bias,
                matrices_read=weight.copies,
                matrices_kept=weight.copies,
            )
            for weight in weights
            if weight.linear
        ]
        small = elements(weight for weight in weights if not weight.linear) * self.precision.weight_bytes
        return [*ops, Compute(name, "stream", weight_bytes=small, resident_bytes=small)] if small else ops

    def of_width(self, width: int | None) -> RankWork:
        """The same work on rows of another width; None: of the model's."""
        return self if width is None else replace(self, d_model=width * self.layout.width)

    def norm(self, name: str, rows: Size) -> list[Op]:
        """Read the residual stream, write the normed rows; adding the last block's output rides along.

        Where the stream is cut over "width", each row's mean square (and mean, if the norm has a bias) is summed first.
        """
        p = self.precision
        numbers = 1 + self.norm_bias
        scale_bytes = numbers * self.width * p.weight_bytes
        moved = rows * self.width * (p.residual_bytes + p.activation_bytes)
        norm = Compute(
            name,
            "stream",
            weight_bytes=scale_bytes,
            activation_bytes=moved,
            resident_bytes=scale_bytes,
            function="layer_norm" if self.norm_bias else "rms_norm",
        )
        return [*self.collective(f"{name}_reduce", "all_reduce", "width", rows * numbers * STATISTIC_BYTES), norm]

    def collective(
        self, name: str, collective: str, axis: Axis, bytes: Size, *, stage: int = 0, expected: bool = False
    ) -> list[Collective]:
        """The collective as a list of one, or of none where the rank is alone on the axis."""
        ranks = self.layout.ranks(axis)
        if ranks == 1:
            return []
        nodes = self.layout.nodes(axis, self.node_size, stage)
        return [Collective(name, collective, axis, bytes, ranks, nodes, expected)]

    def residual(self, rows: Size) -> Size:
        """Bytes of the rank's part of rows of the residual stream."""
        return rows * self.width * self.precision.residual_bytes


def attended_tokens(context: Size, new_tokens: Size, window: int | None) -> Size:
    """Pairs of a new token and a token it sees, itself included, for one sequence: Σ_{i=1..new} min(context + i, window)."""
    plain = new_tokens * context + new_tokens * (new_tokens + 1) / 2
    if window is None:
        return plain
    # The last `capped` tokens see a full window, those before them everything.
    capped = np.clip(context + new_tokens - window, 0, new_tokens)
    growing = new_tokens - capped
    return growing * context + growing * (growing + 1) / 2 + capped * window


def attended_in_chunks(context: Size, new_tokens: Size, chunk: int) -> Size:
    """The same where every token sees its own chunk of so many tokens up to itself: Σ ((context + i − 1) mod chunk + 1)."""
    return _before(context + new_tokens, chunk) - _before(context, chunk)


def _before(tokens: Size, chunk: int) -> Size:
    """Pairs of all of a sequence's first tokens."""
    whole, rest = np.floor_divide(tokens, chunk), np.mod(tokens, chunk)
    return whole * (chunk * (chunk + 1) / 2) + rest * (rest + 1) / 2


def cached_tokens(context: Size, window: int | None) -> Size:
    """Tokens of one sequence that its cache holds."""
    return context if window is None else np.minimum(context, window)
