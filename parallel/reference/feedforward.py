"""Feed-forwards, unsharded."""

from __future__ import annotations

import torch
from torch import nn

from inferometer.parallel.layers.architecture import Experts
from inferometer.parallel.weights import Weights


class ReferenceFeedForward(nn.Module):
    def __init__(self, weights: Weights, prefix: str, d: int, d_ff: int, *, gated: bool, bias: bool) -> None:
        super().__init__()
        self.gated = gated
        shapes = {"up": (d, d_ff), "down": (d_ff, d)} | ({"gate": (d, d_ff)} if gated else {})
        self.w = nn.ParameterDict({name: weights.matrix(prefix + name, shape) for name, shape in shapes.items()})
        biases = {name: weights.vector(f"{prefix}{name}_bias", shape[1]) for name, shape in shapes.items()} if bias else {}
        self.b = nn.ParameterDict(biases)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        up = self._linear("up", x)
        h = nn.functional.silu(self._linear("gate", x)) * up if self.gated else nn.functional.gelu(up)
        return self._linear("down", h)

    def _linear(self, name: str, x: torch.Tensor) -> torch.Tensor:
        y = x @ self.w[name]
        return y + self.b[name] if name in self.b else y


class ReferenceMixture(nn.Module):
    def __init__(self, weights: Weights, prefix: str, d: int, experts: Experts) -> None:
        super().__init__()
        self.active = experts.active
        self.router = nn.Parameter(weights.matrix(f"{prefix}router", (d, experts.count)))
        balance = weights.vector(f"{prefix}router_bias", experts.count) / experts.count if experts.router_bias else None
        self.balance = nn.Parameter(balance) if balance is not None else None
        dials = {"gated": experts.gated, "bias": experts.bias}
        self.experts = nn.ModuleList(
            ReferenceFeedForward(weights, f"{prefix}expert{e}.", experts.latent or d, experts.d_ff, **dials)
            for e in range(experts.count)
        )
        self.latent = nn.ParameterDict()
        if experts.latent is not None:
            self.latent["down"] = weights.matrix(f"{prefix}latent_down", (d, experts.latent))
            self.latent["up"] = weights.matrix(f"{prefix}latent_up", (experts.latent, d))
        self.shared = None
        if experts.shared_width:
            self.shared = ReferenceFeedForward(weights, f"{prefix}shared.", d, experts.shared_width, **dials)
        self.shared_gate = nn.Parameter(weights.matrix(f"{prefix}shared_gate", (d, 1))) if experts.shared_gate else None
        self.chosen = torch.empty(0)

    def forward(self, x: torch.Tensor, chosen: torch.Tensor | None) -> torch.Tensor:
        scores = (x @ self.router).float().softmax(-1)
        ranked = scores if self.balance is None else scores + self.balance
        self.chosen = ranked.topk(self.active, -1).indices if chosen is None else chosen
        picked = scores.gather(-1, self.chosen)
        picked = (picked / picked.sum(-1, keepdim=True)).to(x.dtype)
        inner = x @ self.latent["down"] if self.latent else x
        y = torch.zeros_like(inner)
        for e, expert in enumerate(self.experts):
            gate = (picked * (self.chosen == e)).sum(-1)
            tokens = (self.chosen == e).any(-1)
            if tokens.any():
                y[tokens] += gate[tokens][:, None] * expert(inner[tokens])
        y = y @ self.latent["up"] if self.latent else y
        if self.shared is None:
            return y
        added = self.shared(x)
        return y + (added if self.shared_gate is None else torch.sigmoid(x @ self.shared_gate) * added)
