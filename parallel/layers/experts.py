"""A mixture of experts placed over the expert axis: dispatch and combine by all_to_all."""

from __future__ import annotations

import torch
from torch.nn import functional

from inferometer.parallel.layers.architecture import Experts
from inferometer.parallel.layers.feedforward import FeedForward, activated
from inferometer.parallel.layers.router import Router
from inferometer.parallel.layers.site import Site


class Mixture:
    """Σ_k g_k · FF_{e_k}(x), plus the shared experts' FF(x).

    Expert e lives on rank e // (count/ep) of the expert axis, cut over that rank's tp ranks. Every token is sent to each
    of its experts, however many choose the same one: none is dropped, so the splits are as uneven as the routing.
    The experts may work on a narrower width, into which a matrix brings the tokens and another one back.
    Where every rank of the expert axis holds all tokens (``divide``), each takes an equal share, padded to whole tokens,
    and the results are gathered.
    """

    def __init__(self, site: Site, d_model: int, experts: Experts, *, divide: bool) -> None:
        gated, bias = experts.gated, experts.bias
        self.tape, self.gated, self.divide = site.tape, gated, divide
        self.count = experts.count
        self.router = Router(site, d_model, experts.count, experts.active, bias=experts.router_bias)
        self.latent: tuple[torch.Tensor, torch.Tensor] | None = None
        """Into the width on which the experts work, and back."""
        inner = experts.latent or d_model
        if experts.latent is not None:
            shapes = {"latent_down": (d_model, inner), "latent_up": (inner, d_model)}
            down, up = (site.matrix(name, shape, None, None) for name, shape in shapes.items())
            self.latent = down, up
        own = [
            FeedForward(site.inside(f"expert{e}"), "", inner, experts.d_ff, "tp", gated=gated, bias=bias)
            for e in site.axes["ep"].share(experts.count)
        ]
        self.up, self.down = torch.stack([ff.up for ff in own]), torch.stack([ff.down for ff in own])
        self.up_bias = self.down_bias = None
        if bias:
            self.up_bias = torch.stack([ff.up_bias for ff in own])
            self.down_bias = torch.stack([ff.down_bias for ff in own])
        self.shared = None
        self.shared_gate = None
        if experts.shared_width:
            d_ff = experts.shared_width
            self.shared = FeedForward(site.inside("shared"), "moe.shared", d_model, d_ff, "tp", gated=gated, bias=bias)
        if experts.shared_gate:
            self.shared_gate = site.matrix("shared_gate", (d_model, 1), site.axes["width"].share(d_model), None)

    def __call__(self, x: torch.Tensor, fixed: torch.Tensor | None = None) -> torch.Tensor:
        """[tokens, d/√tp] → the same, complete on every rank. fixed: experts [tokens, active] to take, not the top-k."""
        own, first, real = self._own(x)
        weights, chosen = self.router(own, real, None if fixed is None else fixed[first : first + real])
        copies = chosen.flatten()
        order = copies.argsort(stable=True)
        routed = own if self.latent is None else self.tape.matmul("moe.latent_down", own, self.latent[0])
        y = torch.empty(len(copies), routed.shape[1], dtype=x.dtype, device=x.device)
        y[order] = self._through_experts(routed[order // chosen.shape[1]], copies)
        y = (weights.unsqueeze(-1) * y.view(*chosen.shape, routed.shape[1])).sum(1)
        if real < len(own):
            y = functional.pad(y, (0, 0, 0, len(own) - real))
        if self.latent is not None:
            y = self.tape.matmul("moe.latent_up", y, self.latent[1])
        if self.shared is not None:
            y = y + self._shared(own)
        y = self.tape.all_reduce("moe.reduce", "tp", y)
        if self.divide:
            y = self.tape.all_gather("moe.gather", "ep", y).flatten(0, 1)[: len(x)]
        return y

    def _shared(self, x: torch.Tensor) -> torch.Tensor:
        """What the shared experts add, scaled by their gate where there is one."""
        assert self.shared is not None
        y = self.shared(x)
        if self.shared_gate is None:
            return y
        gate = self.tape.matmul("moe.shared_gate", x, self.shared_gate)
        return y * self.tape.all_reduce("moe.shared_gate_reduce", "width", gate).sigmoid()

    def _own(self, x: torch.Tensor) -> tuple[torch.Tensor, int, int]:
        """This rank's tokens with their padding; where they begin, how many are real."""
        if not self.divide:
            return x, 0, len(x)
        share = self.tape.axes["ep"].padded_share(len(x))
        real = x[share.start : share.stop]
        return functional.pad(real, (0, 0, 0, len(share) - len(real))), share.start, len(real)

    def _through_experts(self, x: torch.Tensor, copies: torch.Tensor) -> torch.Tensor:
        """Partial sums over tp of each copy's expert: x [copies, d], sorted by expert; copies: the expert of each."""
        ep = self.tape.axes["ep"].size
        numbers = self.tape.readback.numbers
        # as bincount, which a device's queue would have to run dry for
        counts = copies.new_zeros(self.count).scatter_add_(0, copies, torch.ones_like(copies)).view(ep, -1)
        if ep == 1:
            return self._experts(x, numbers(counts[0]))
        arriving = self.tape.all_to_all("moe.counts", "ep", counts, [1] * ep, [1] * ep)  # [from rank, expert here]
        send, receive = numbers(counts.sum(1)), numbers(arriving.sum(1))
        x = self.tape.all_to_all("moe.dispatch", "ep", x, send, receive)
        here = torch.arange(self.count // ep, device=x.device).repeat(ep)
        by_expert = here.repeat_interleave(arriving.flatten(), output_size=len(x))
        order = by_expert.argsort(stable=True)
        y = torch.empty_like(x)
        y[order] = self._experts(x[order], numbers(arriving.sum(0)))
        return self.tape.all_to_all("moe.combine", "ep", y, receive, send)

    def _experts(self, x: torch.Tensor, counts: list[int]) -> torch.Tensor:
        """counts[e] rows of x, one expert's after the other's, each through its expert of this rank."""
        h = self.tape.matmul_groups("moe.up", x, counts, self.up, self.up_bias)
        h = activated(self.tape.all_reduce("moe.up_reduce", "width", h), gated=self.gated)
        return self.tape.matmul_groups("moe.down", h, counts, self.down, self.down_bias)
