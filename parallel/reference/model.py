"""The unsharded model as a plain torch module: the answer that every sharded result is compared with.

Written from the equations, with nothing of the sharded layers but the source of the weights and their names.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from inferometer.parallel.layers.architecture import Architecture, LayerInputs
from inferometer.parallel.layers.sharing import source_of
from inferometer.parallel.reference.attention import ReferenceHeads, ReferenceLatent
from inferometer.parallel.reference.feedforward import ReferenceFeedForward, ReferenceMixture
from inferometer.parallel.reference.norm import ReferenceNorm
from inferometer.parallel.reference.recurrent import ReferenceConvolution, ReferenceDelta, ReferenceMamba1, ReferenceMamba2
from inferometer.parallel.weights import Weights

Routing = dict[int, torch.Tensor]


class Reference(nn.Module):
    """A decoder with its whole KV cache. Tokens [batch, new] in, logits [batch, vocab] of each sequence's last one out.

    ``routing`` holds after each call, by layer, the experts [batch, new, active] that the tokens went to.
    """

    def __init__(self, model: Architecture, weights: Weights) -> None:
        super().__init__()
        d = model.d_model
        self.model = model
        self.embedding = nn.Parameter(weights.matrix("embedding", (d, model.vocab)).t().contiguous())
        self.positions = None
        if model.learned_positions:
            self.positions = nn.Parameter(weights.matrix("positions", (model.learned_positions, d)))
        given = model.stack[0].inputs
        self.inputs = None if given is None else ReferenceInputs(weights, d, model.layers, given)
        self.layers = nn.ModuleList(ReferenceLayer(model, weights, number) for number in range(model.layers))
        self.norm = ReferenceNorm(weights, "head.norm", d, bias=model.norm_bias)
        head = None if model.tied_embeddings else weights.matrix("head", (d, model.vocab)).t().contiguous()
        self.head = self.embedding if head is None else nn.Parameter(head)
        self.head_bias = nn.Parameter(weights.vector("head.bias", model.vocab)) if model.head_bias else None
        self.context = 0
        self.routing: Routing = {}

    def forward(self, tokens: torch.Tensor, routing: Routing | None = None) -> torch.Tensor:
        """routing: experts to take instead of the routers' own choice."""
        x = self.embedding[tokens]
        if self.positions is not None:
            x = x + self.positions[self.context : self.context + tokens.shape[1]]
        given = None if self.inputs is None else self.inputs(tokens, x)
        for number, layer in enumerate(self.layers):
            source = source_of(self.model.stack, number)
            read = None if source is None else self.layers[source].attention
            own = None if given is None else given[..., number, :]
            x = layer(x, self.context, None if routing is None else routing.get(number), read, own)
            if layer.mixture is not None:
                self.routing[number] = layer.mixture.chosen
        self.context += tokens.shape[1]
        return nn.functional.linear(self.norm(x[:, -1]), self.head, self.head_bias)

    def forget(self) -> None:
        """Begin with new sequences."""
        self.context = 0
        for layer in self.layers:
            if layer.attention is not None:
                layer.attention.past = None


class ReferenceInputs(nn.Module):
    """Of every layer an input of its own: made from the token's embedding, and looked up."""

    def __init__(self, weights: Weights, d: int, layers: int, inputs: LayerInputs) -> None:
        super().__init__()
        self.layers, width = layers, layers * inputs.width
        self.table = nn.Parameter(weights.matrix("inputs", (width, inputs.vocab)).t().contiguous())
        self.project = nn.Parameter(weights.matrix("inputs_project", (d, width)))
        self.norm = ReferenceNorm(weights, "inputs_norm", inputs.width)

    def forward(self, tokens: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """[batch, new, layers, width]"""
        made, found = x @ self.project, self.table[tokens % len(self.table)]
        made, found = (part.unflatten(-1, (self.layers, -1)) for part in (made, found))
        return (self.norm(made) + found) / 2**0.5


class ReferenceLayer(nn.Module):
    def __init__(self, model: Architecture, weights: Weights, number: int) -> None:
        super().__init__()
        prefix, d, layer = f"layer{number}.", model.d_model, model.stack[number]
        self.attention: nn.Module | None = None
        self.feed_forward: nn.Module | None = None
        self.mixture: ReferenceMixture | None = None
        if layer.attention is not None:
            self.norm = ReferenceNorm(weights, f"{prefix}attention.norm", d, bias=model.norm_bias)
            self.attention = attention_of(weights, f"{prefix}attention.", d, layer.attention, not model.learned_positions)
        if layer.feed_forward is not None:
            self._add_feed_forward(weights, f"{prefix}ffn.", d, layer.feed_forward)
        self.joint = layer.parallel
        names = ("attention.post_norm", "ffn.post_norm") if layer.norms == 4 else ()
        self.behind = nn.ModuleList(ReferenceNorm(weights, f"{prefix}{name}", d, bias=model.norm_bias) for name in names)
        if layer.feed_forward is not None and not self.joint:
            self.second_norm = ReferenceNorm(weights, f"{prefix}ffn.norm", d, bias=model.norm_bias)
        self.inputs = nn.ParameterDict()
        if layer.inputs is not None:
            self.inputs["gate"] = weights.matrix(f"{prefix}inputs_gate", (d, layer.inputs.width))
            self.inputs["up"] = weights.matrix(f"{prefix}inputs_up", (layer.inputs.width, d))
            self.input_norm = ReferenceNorm(weights, f"{prefix}inputs.post_norm", d, bias=model.norm_bias)
        self.scalar = nn.Parameter(weights.vector(f"{prefix}scalar", 1, around=1.0)) if layer.scalar else None

    def _add_feed_forward(self, weights: Weights, prefix: str, d: int, kind: Any) -> None:
        if kind.kind == "experts":
            self.mixture = ReferenceMixture(weights, prefix, d, kind)
        else:
            self.feed_forward = ReferenceFeedForward(weights, prefix, d, kind.d_ff, gated=kind.gated, bias=kind.bias)

    def forward(
        self,
        x: torch.Tensor,
        context: int,
        chosen: torch.Tensor | None,
        source: nn.Module | None,
        given: torch.Tensor | None,
    ) -> torch.Tensor:
        """source: the attention of the layer whose cache this one reads; given: the layer's own input."""
        if self.joint:
            assert self.attention is not None and self.feed_forward is not None
            h = self.norm(x)
            return x + self.attention(h, context, source) + self.feed_forward(h)
        if self.attention is not None:
            y = self.attention(self.norm(x), context, source)
            x = x + (self.behind[0](y) if self.behind else y)
        if self.feed_forward is not None or self.mixture is not None:
            h = self.second_norm(x)
            y = self.mixture(h, chosen) if self.feed_forward is None and self.mixture is not None else self._through(h)
            x = x + (self.behind[1](y) if self.behind else y)
        if given is not None:
            h = nn.functional.gelu(x @ self.inputs["gate"]) * given
            x = x + self.input_norm(h @ self.inputs["up"])
        return x if self.scalar is None else self.scalar * x

    def _through(self, h: torch.Tensor) -> torch.Tensor:
        assert self.feed_forward is not None
        y: torch.Tensor = self.feed_forward(h)
        return y


def attention_of(weights: Weights, prefix: str, d: int, kind: Any, rotary: bool) -> nn.Module:
    """The unsharded module of a kind of attention."""
    if kind.kind == "gated delta":
        return ReferenceDelta(weights, prefix, d, kind)
    if kind.kind == "mamba-2":
        return ReferenceMamba2(weights, prefix, d, kind)
    if kind.kind == "mamba":
        return ReferenceMamba1(weights, prefix, d, kind)
    if kind.kind == "convolution":
        return ReferenceConvolution(weights, prefix, d, kind)
    if kind.kind == "latent":
        return ReferenceLatent(weights, prefix, d, kind)
    return ReferenceHeads(weights, prefix, d, kind, rotary)
