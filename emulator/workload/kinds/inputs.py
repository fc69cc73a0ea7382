"""An input of its own for every layer, looked up by the token and made from its embedding (Gemma 3n, Gemma 4)."""

from __future__ import annotations

from dataclasses import dataclass

from inferometer.emulator.workload.kinds.kind import Smaller, at_least
from inferometer.emulator.workload.operations import Compute, Op, Pass
from inferometer.emulator.workload.rank import RankWork
from inferometer.emulator.workload.weights import Weight, vector


@dataclass(frozen=True)
class LayerInputs:
    """width: of one layer's input. vocab: tokens in the table, which ranks share as they share the embedding."""

    width: int
    vocab: int

    def __post_init__(self) -> None:
        at_least(1, self, "width", "vocab")

    def outside(self, d: int, layers: int) -> tuple[Weight, ...]:
        """Weights in front of the layers."""
        return (
            vector("embed_tokens_per_layer", "embedding", self.vocab * layers * self.width),
            Weight("per_layer_model_projection", "other", d, layers * self.width),
            vector("per_layer_projection_norm", "norms", self.width),
        )

    def weights(self, d: int) -> tuple[Weight, ...]:
        """Weights of one layer."""
        return (
            Weight("per_layer_input_gate", "other", d, self.width),
            Weight("per_layer_projection", "other", self.width, d),
            vector("post_per_layer_input_norm", "norms", d),
        )

    def lookup(self, work: RankWork, layers: int) -> list[Op]:
        """The inputs of all layers: rows of the rank's part of the table, summed, beside a projection of the embedding."""
        rows, p, width = work.tokens, work.precision, layers * self.width
        kept = -(-self.vocab // work.layout.ranks("tensor")) * width * p.weight_bytes
        moved = rows * width * (p.weight_bytes + p.residual_bytes)
        small = self.width * p.weight_bytes
        of = ("per_layer_model_projection",)
        return [
            Compute("inputs.lookup", "stream", activation_bytes=moved, resident_bytes=kept, function="embedding"),
            *work.collective("inputs.reduce", "all_reduce", "tensor", rows * width * p.residual_bytes),
            work.matmul("inputs.project", rows, work.d_model, width, of=of),
            Compute(
                "inputs.norm", "stream", weight_bytes=small, resident_bytes=small,
                activation_bytes=3 * rows * width * p.residual_bytes, function="rms_norm",
            ),
        ]  # fmt: skip

    def block(self, work: RankWork) -> list[Op]:
        """What one layer adds; every rank does all of it."""
        rows = work.tokens
        gated = Pass("activated", (rows * self.width * work.precision.residual_bytes,))
        return [
            work.matmul("inputs.gate", rows, work.d_model, self.width, of=("per_layer_input_gate",)),
            work.matmul("inputs.up", rows, self.width, work.d_model, of=("per_layer_projection",), passes=(gated,)),
            *work.norm("inputs.post_norm", rows),
        ]

    def scaled(self, by: Smaller) -> LayerInputs:
        return LayerInputs(by.beside(self.width), by.width(self.vocab))
