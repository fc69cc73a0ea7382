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
        self._fingerprint = 0
        self._unread: list[torch.Tensor] = []
        """Choices that wait on a device until somebody asks for the fingerprint: reading one would stall its queue."""

    @property
    def fingerprint(self) -> int:
        """Of all choices so far: ranks that route the same tokens must have the same."""
        for chosen in self._unread:
            self._fingerprint = zlib.crc32(chosen.contiguous().cpu().numpy(), self._fingerprint)
        self._unread.clear()
        return self._fingerprint

    def __call__(self, x: torch.Tensor, real: int, fixed: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Weights and expert numbers of the first real rows, [real, active] each. fixed: take these experts."""
        logits = self.tape.all_reduce("moe.router_reduce", "width", self.tape.matmul("moe.router", x, self.w))
        scores = logits[:real].float().softmax(dim=-1)
        ranked = scores if self.balance is None else scores + self.balance
        readback = self.tape.readback
        chosen = readback.choice(ranked.topk(self.active).indices if fixed is None else fixed)
        weights = scores.gather(1, chosen)
        if not readback.held:
            self._unread.append(chosen)
            if chosen.device.type == "cpu":
                self.fingerprint  # noqa: B018 (read while it is in the cache)
        return (weights / weights.sum(dim=-1, keepdim=True)).to(x.dtype), chosen
