"""Which experts a token goes to."""

from __future__ import annotations

import zlib

import torch

from inferometer.parallel.layers.site import Site


class Router:
    """The top-k of softmax(x W), their weights made to sum to 1.

    A balancing bias, if there is one, is added for the choice and not for the weights (DeepSeek-V3, section 2.1.2).
    """

    def __init__(self, site: Site, d_model: int, count: int, active: int, *, bias: bool) -> None:
        self.tape, self.active = site.tape, active
        self.w = site.matrix("router", (d_model, count), site.axes["width"].share(d_model), None)
        self.balance = site.bias("router_bias", count, None, count) if bias else None
        self.fingerprint = 0
        """Of all choices so far: ranks that route the same tokens must have the same."""

    def __call__(self, x: torch.Tensor, real: int, fixed: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Weights and expert numbers of the first real rows, [real, active] each. fixed: take these experts."""
        logits = self.tape.all_reduce("moe.router_reduce", "width", self.tape.matmul("moe.router", x, self.w))
        scores = logits[:real].float().softmax(dim=-1)
        ranked = scores if self.balance is None else scores + self.balance
        chosen = ranked.topk(self.active).indices if fixed is None else fixed
        weights = scores.gather(1, chosen)
        self.fingerprint = zlib.crc32(chosen.contiguous().cpu().numpy(), self.fingerprint)
        return (weights / weights.sum(dim=-1, keepdim=True)).to(x.dtype), chosen
