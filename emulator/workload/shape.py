"""The shape of a model: every number of its architecture that costs time, memory or traffic."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby

from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.kinds.dense import Dense
from inferometer.emulator.workload.kinds.experts import Experts as Experts
from inferometer.emulator.workload.kinds.heads import Heads as Heads
from inferometer.emulator.workload.kinds.inputs import LayerInputs
from inferometer.emulator.workload.kinds.kind import Attention, FeedForward, at_least
from inferometer.emulator.workload.kinds.latent import Latent as Latent
from inferometer.emulator.workload.storage.quantization import Quantization
from inferometer.emulator.workload.weights import Weight
from inferometer.parallel.layers.sharing import shares, source_of


@dataclass(frozen=True)
class Layer:
    """One layer: a kind of attention, a kind of feed-forward, either of which may be missing."""

    attention: Attention | None
    feed_forward: FeedForward | None
    norms: int = 2
    """Norms of the model's width."""
    parallel: bool = False
    """Attention and feed-forward read the same input and their outputs are summed: one reduction instead of two."""
    inputs: LayerInputs | None = None
    """An input of the layer's own, beside the residual stream."""
    scalar: bool = False
    """Whether a number scales what the layer puts out (Gemma 4)."""
    extra: tuple[Weight, ...] = ()
    """Weights of neither: what mixes the residual stream."""

    def describe(self) -> str:
        parts = [part.describe() for part in (self.attention, self.feed_forward) if part is not None]
        return " · ".join(parts) or "nothing"


@dataclass(frozen=True)
class Shape:
    """A decoder-only model: an embedding, a list of layers, a head.

    Raises InputError, with the arithmetic, for numbers that contradict each other.
    """

    name: str
    d_model: int
    vocab: int
    stack: tuple[Layer, ...]
    tied_embeddings: bool = False
    max_context: int | None = None
    learned_positions: int = 0
    norm_bias: bool = False
    final_norm: bool = True
    norm_scales: bool = True
    """Whether norms have weights at all (OLMo's have none)."""
    head_bias: bool = False
    """Whether the logits add a bias (GPT-J)."""
    extra: tuple[Weight, ...] = ()
    """Weights outside the layers that the fields above do not tell."""
    quantization: Quantization | None = None
    """How the checkpoint stores the weights; None: 16 bits throughout."""
    state_bits: int = 16
    """Of the states that layers sum up, as the configuration asks for them."""
    notes: tuple[str, ...] = ()
    """For a reader of the shape: what was left out, what was taken instead."""
    source: str = ""
    model_type: str = ""

    def __post_init__(self) -> None:
        at_least(1, self, "d_model")
        at_least(0, self, "vocab", "learned_positions")
        if self.max_context is not None:
            at_least(1, self, "max_context")
        if not self.stack:
            raise InputError("layers = 0 must be a whole number, at least 1")
        alike: dict[Layer, Layer] = {}  # equal layers are one object: a program holds their operations once
        object.__setattr__(self, "stack", tuple(alike.setdefault(layer, layer) for layer in self.stack))
        if any(shares(layer.attention) for layer in self.kinds):
            try:
                for number in range(self.layers):
                    source_of(self.stack, number)
            except ValueError as error:
                raise InputError(str(error)) from None

    @property
    def layers(self) -> int:
        return len(self.stack)

    @cached_property
    def runs(self) -> tuple[tuple[Layer, int], ...]:
        """Equal layers in a row, and how many: the list of layers from the first to the last."""
        return tuple((layer, len(list(alike))) for layer, alike in groupby(self.stack))

    @cached_property
    def kinds(self) -> dict[Layer, int]:
        """Every different layer, with how many of it there are."""
        found: dict[Layer, int] = {}
        for layer, count in self.runs:
            found[layer] = found.get(layer, 0) + count
        return found

    @cached_property
    def attention(self) -> Attention:
        """Of the first layer that has attention with a cache; else of the first that mixes tokens at all."""
        mixers = [layer.attention for layer in self.kinds if layer.attention is not None]
        if not mixers:
            raise InputError(f"{self.name}: no layer has attention or a state")
        return next((mixer for mixer in mixers if mixer.stores(1)), mixers[0])

    @cached_property
    def experts(self) -> Experts | None:
        """Of the first layer that has experts."""
        return next((part for part in self._feed_forwards if isinstance(part, Experts)), None)

    @cached_property
    def dense(self) -> Dense | None:
        """The feed-forward of the first layer that has a plain one."""
        return next((part for part in self._feed_forwards if isinstance(part, Dense)), None)

    @property
    def inputs(self) -> LayerInputs | None:
        """Of the first layer that has an input of its own."""
        return next((layer.inputs for layer in self.kinds if layer.inputs is not None), None)

    @property
    def _feed_forwards(self) -> list[FeedForward]:
        return [layer.feed_forward for layer in self.kinds if layer.feed_forward is not None]

    @property
    def d_ff(self) -> int:
        """The width of the plain feed-forward; 0 where every layer has experts."""
        return 0 if self.dense is None else self.dense.d_ff

    @property
    def gated(self) -> bool:
        """Whether feed-forwards have three matrices instead of two."""
        return all(part.gated for part in self._feed_forwards if isinstance(part, (Dense, Experts)))

    @property
    def parallel_attention(self) -> bool:
        return any(layer.parallel for layer in self.kinds)

    def has_experts(self, layer: int) -> bool:
        """Whether the layer, counted from 0, has experts."""
        return isinstance(self.stack[layer].feed_forward, Experts)

    def window_of(self, layer: int) -> int | None:
        """The sliding window of the layer, counted from 0; None if it sees everything."""
        attention = self.stack[layer].attention
        return None if attention is None else attention.window


def uniform(
    name: str,
    layers: int,
    d_model: int,
    d_ff: int,
    vocab: int,
    attention: Heads | Latent,
    experts: Experts | None = None,
    *,
    first_dense: int = 0,
    gated: bool = True,
    linear_bias: bool = False,
    norms_per_layer: int = 2,
    parallel_attention: bool = False,
    sliding_window: int | None = None,
    full_attention_layers: int = 0,
    tied_embeddings: bool = False,
    max_context: int | None = None,
    learned_positions: int = 0,
    norm_bias: bool = False,
    head_bias: bool = False,
    source: str = "",
) -> Shape:
    """A shape of layers that are alike, but for the first ones.

    first_dense: layers at the start that keep one plain feed-forward of d_ff although the others have experts.
    full_attention_layers: layers at the start that see everything although the others have a sliding window. linear_bias:
    whether the feed-forward matrices add a bias.

    Raises InputError as Shape does.
    """
    asked = Asked(layers, d_ff, norms_per_layer, first_dense, full_attention_layers)
    at_least(1, asked, "layers", "d_ff")
    at_least(0, asked, "norms_per_layer", "first_dense", "full_attention_layers")
    if first_dense > layers:
        raise InputError(f"first_dense = {first_dense} dense layers are more than layers = {layers}")
    if full_attention_layers > layers:
        raise InputError(f"full_attention_layers = {full_attention_layers} are more than layers = {layers}")
    dense = Dense(d_ff, gated, linear_bias)
    mixed = None if experts is None else replace(experts, gated=gated, bias=linear_bias)
    windowed = attention if sliding_window is None else replace(attention, window=sliding_window)
    if sliding_window is not None and not isinstance(sliding_window, int):
        raise InputError(f"sliding_window = {sliding_window!r} must be a whole number, at least 1")

    def layer(number: int) -> Layer:
        feed_forward = dense if mixed is None or number < first_dense else mixed
        seen = attention if number < full_attention_layers else windowed
        return Layer(seen, feed_forward, norms_per_layer, parallel_attention and feed_forward is dense)

    return Shape(
        name=name,
        d_model=d_model,
        vocab=vocab,
        stack=tuple(layer(number) for number in range(layers)),
        tied_embeddings=tied_embeddings,
        max_context=max_context,
        learned_positions=learned_positions,
        norm_bias=norm_bias,
        head_bias=head_bias,
        source=source,
    )


@dataclass(frozen=True)
class Asked:
    """Whole numbers as they were given, before a shape is made of them."""

    layers: int
    d_ff: int
    norms_per_layer: int
    first_dense: int
    full_attention_layers: int
