"""One pipeline stage of a decoder: the embedding, its layers, the head."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import torch

from inferometer.parallel.device.device import Device
from inferometer.parallel.layers.architecture import Architecture
from inferometer.parallel.layers.attention import Attention
from inferometer.parallel.layers.experts import Mixture
from inferometer.parallel.layers.feedforward import FeedForward
from inferometer.parallel.layers.inputs import InputTable, LayerInput
from inferometer.parallel.layers.latent import LatentAttention
from inferometer.parallel.layers.norm import Norm
from inferometer.parallel.layers.sharing import source_of
from inferometer.parallel.layers.site import Site
from inferometer.parallel.layers.span import Span
from inferometer.parallel.layers.states.convolution import GatedConvolution
from inferometer.parallel.layers.states.delta import DeltaAttention
from inferometer.parallel.layers.states.selective import Selective
from inferometer.parallel.layers.states.state_space import StateSpace
from inferometer.parallel.layers.vocabulary import Embedding, Head, token_matrix


class Mixer(Protocol):
    """A sharded layer that mixes the tokens of a sequence, with what it keeps of them."""

    def caches(self, sequences: int, limit: int, source: Any = None) -> tuple[Any, ...]: ...
    def __call__(self, x: torch.Tensor, span: Span, caches: Any) -> torch.Tensor: ...


def attention_of(site: Site, d_model: int, kind: Any, *, rotary: bool) -> Mixer:
    """The sharded layer of a kind of attention."""
    if kind.kind == "gated delta":
        return DeltaAttention(site, d_model, kind)
    if kind.kind == "mamba-2":
        return StateSpace(site, d_model, kind)
    if kind.kind == "mamba":
        return Selective(site, d_model, kind)
    if kind.kind == "convolution":
        return GatedConvolution(site, d_model, kind)
    if kind.kind == "latent":
        return LatentAttention(site, d_model, kind)
    return Attention(site, d_model, kind, rotary=rotary)


def feed_forward_of(site: Site, d_model: int, kind: Any, *, divide: bool) -> FeedForward | Mixture:
    """The sharded layer of a kind of feed-forward."""
    if kind.kind == "experts":
        return Mixture(site, d_model, kind, divide=divide)
    return FeedForward(site, "ffn", d_model, kind.d_ff, "tensor", gated=kind.gated, bias=kind.bias)


class Layer:
    """x + attention(norm(x)), then x + feed_forward(norm(x)); with parallel attention both at once, from one norm.

    Either may be missing. Behind them: what a layer's own input adds, a number that scales the result.
    """

    def __init__(self, site: Site, model: Architecture, number: int, *, divide: bool) -> None:
        self.tape = site.tape
        self.number = number
        site = site.inside(f"layer{number}")
        d, layer = model.d_model, model.stack[number]
        self.norm = self.attention = feed_forward = None
        if layer.attention is not None:
            self.norm = Norm(site, "attention.norm", d, bias=model.norm_bias)
            self.attention = attention_of(site.inside("attention"), d, layer.attention, rotary=not model.learned_positions)
        if layer.feed_forward is not None:
            feed_forward = feed_forward_of(site.inside("ffn"), d, layer.feed_forward, divide=divide)
        self.mixture = feed_forward if isinstance(feed_forward, Mixture) else None
        self.feed_forward = feed_forward if isinstance(feed_forward, FeedForward) else None
        self.joint = layer.parallel
        self.behind: tuple[Norm, Norm] | None = None
        """Norms of what attention and the feed-forward put out (Gemma 2)."""
        if layer.norms == 4:
            names = ("attention.post_norm", "ffn.post_norm")
            self.behind = Norm(site, names[0], d, bias=model.norm_bias), Norm(site, names[1], d, bias=model.norm_bias)
        alone = self.joint or feed_forward is None
        self.second_norm = None if alone else Norm(site, "ffn.norm", d, bias=model.norm_bias)
        self.inputs = None if layer.inputs is None else LayerInput(site, d, layer.inputs, bias=model.norm_bias)
        self.scalar = site.scale("scalar", 1) if layer.scalar else None

    def __call__(
        self,
        x: torch.Tensor,
        span: Span,
        caches: tuple[Any, ...],
        fixed: torch.Tensor | None = None,
        given: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """fixed: experts to take; given: the layer's own input [sequences·new, width]."""
        if self.attention is not None and self.norm is not None:
            normed = self.norm(x)
            y = self.attention(normed, span, caches)
            if self.joint:
                assert self.feed_forward is not None
                return x + self.tape.all_reduce("layer.reduce", "tensor", y + self.feed_forward(normed))
            y = self.tape.all_reduce("attention.reduce", "tensor", y)
            x = x + (y if self.behind is None else self.behind[0](y))
        if self.second_norm is not None:
            y = self._fed_forward(self.second_norm(x), fixed)
            x = x + (y if self.behind is None else self.behind[1](y))
        if self.inputs is not None and given is not None:
            x = x + self.inputs(x, given)
        if self.scalar is None:
            return x
        with self.tape.stream("layer.scalar"):
            return x * self.scalar

    def _fed_forward(self, x: torch.Tensor, fixed: torch.Tensor | None) -> torch.Tensor:
        if self.mixture is not None:
            return self.mixture(x, fixed)
        assert self.feed_forward is not None
        return self.tape.all_reduce("ffn.reduce", "tensor", self.feed_forward(x))


class Stage:
    """The layers that one rank has its shares of, with the embedding in front and the head behind where they belong.

    divide: each rank of the expert axis takes a share of the tokens that all of them hold (attention over tensor ranks).
    """

    def __init__(self, site: Site, model: Architecture, layers: range, *, divide: bool) -> None:
        self.layers = [Layer(site, model, number, divide=divide) for number in layers]
        first, last = layers.start == 0, layers.stop == model.layers
        vocab, d = model.vocab, model.d_model
        self.embedding = self.head = self.inputs = None
        self.sources = {number: source_of(model.stack, number) for number in layers}
        """The earlier layer whose cache, or choice of tokens, a layer reads."""
        given = model.stack[0].inputs
        if first and given is not None:
            self.inputs = InputTable(site, d, model.layers, given)
        if first:
            table = token_matrix(site, "embedding", vocab, d).t().contiguous()
            self.embedding = Embedding(site, table, d, positions=model.learned_positions)
        if last:
            if model.tied_embeddings and self.embedding is not None:
                w = self.embedding.table.t()
            else:  # one token's product with it reads it fastest row by row
                w = token_matrix(site, "embedding" if model.tied_embeddings else "head", vocab, d)
            self.head = Head(site, w, vocab, d, norm_bias=model.norm_bias, bias=model.head_bias)

    def caches(self, sequences: int, limit: int) -> list[tuple[Any, ...]]:
        """Room for limit tokens of each of sequences in every layer."""
        found: dict[int, tuple[Any, ...]] = {}
        for layer in self.layers:
            source = self.sources[layer.number]
            read = None if source is None else found[source]
            found[layer.number] = () if layer.attention is None else layer.attention.caches(sequences, limit, read)
        return list(found.values())

    def attention_kernels(self, device: Device, *, decoding: bool, context: int) -> list[str]:
        """Names of the kernels that the layers' attention runs in on device, each once; none of layers without."""
        found: dict[str, None] = {}
        for layer in self.layers:
            like = getattr(layer.attention, "attended", None)
            if like is not None:
                q, keys = like(context, decoding=decoding)
                found[device.attention(q, keys, keys, causal=not decoding)] = None
        return list(found)

    def __call__(
        self,
        x: torch.Tensor,
        span: Span,
        caches: list[tuple[Any, ...]],
        routing: dict[int, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Tokens [sequences, new] or activations [sequences·new, d/√tp] in; activations, or logits [sequences, vocab], out.

        routing: experts [tokens, active] by layer, to be taken instead of the routers' own choice.
        """
        given = None
        if self.embedding is not None:
            tokens, x = x, self.embedding(x, span)
            given = None if self.inputs is None else self.inputs(tokens, x)
        for layer, cache in zip(self.layers, caches):
            own = None if given is None else given[layer.number]
            x = layer(x, span, cache, None if routing is None else routing.get(layer.number), own)
        return x if self.head is None else self.head(x, span)

    @property
    def routing_fingerprints(self) -> list[list[int]]:
        """Of each layer with experts its number and a fingerprint of every choice of its router so far."""
        return [[layer.number, layer.mixture.router.fingerprint] for layer in self.layers if layer.mixture is not None]

    def tensors(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Every weight this rank holds, by where it is; a tied table comes once."""
        counted: set[int] = set()
        for name, tensor in _tensors(self, ""):
            if tensor.data_ptr() not in counted:
                counted.add(tensor.data_ptr())
                yield name, tensor


def _tensors(part: object, name: str) -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(part, torch.Tensor):
        yield name, part
    elif isinstance(part, (list, tuple)):
        for index, item in enumerate(part):
            yield from _tensors(item, f"{name}.{index}")
    elif type(part).__module__.startswith(__name__.rpartition(".")[0]) and hasattr(part, "__dict__"):
        for key, value in vars(part).items():
            if key != "tape":
                yield from _tensors(value, f"{name}.{key}".lstrip("."))
