"""A mixture of experts over the expert axis."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.feedforward import touched_experts
from inferometer.emulator.workload.kinds.dense import pair, pair_weights
from inferometer.emulator.workload.kinds.kind import Proportion, Smaller, at_least
from inferometer.emulator.workload.operations import Op
from inferometer.emulator.workload.rank import RankWork
from inferometer.emulator.workload.weights import Weight, vector

COUNT_BYTES = 8  # the exchange of token counts is in int64


@dataclass(frozen=True)
class Experts:
    """Top-k routed feed-forwards of width d_ff beside shared ones that every token passes."""

    kind: ClassVar[str] = "experts"

    count: int
    active: int
    d_ff: int
    shared: int = 0
    """Shared experts of d_ff each."""
    router_bias: bool = False
    """Whether the router keeps one number per expert that balances the choice (DeepSeek-V3, section 2.1.2)."""
    shared_d_ff: int | None = None
    """The width of the shared experts together where it is not shared·d_ff."""
    gated: bool = True
    bias: bool = False
    """Whether the experts' matrices add a bias."""
    shared_bias: bool | None = None
    """Whether the shared experts' do; None: as the experts."""
    shared_gate: bool = False
    """Whether a sigmoid of a projection scales what the shared experts add (Qwen2-MoE)."""
    latent: int | None = None
    """The width to which tokens are brought down before the experts and up again behind them (Nemotron 3 Ultra)."""
    zero: int = 0
    """Experts that return their input, among which the router may choose beside the count (LongCat)."""
    beside: int | None = None
    """d_ff of a dense feed-forward that every token passes beside the experts."""
    module: str = "mlp.experts"
    """Of the routed experts in a checkpoint."""
    extra: tuple[Weight, ...] = ()

    def __post_init__(self) -> None:
        at_least(1, self, "count", "active", "d_ff")
        at_least(0, self, "shared", "zero")
        if self.active > self.count + self.zero:
            raise InputError(f"active experts = {self.active} are more than the {self.count + self.zero} there are")

    @property
    def shared_width(self) -> int:
        return self.shared * self.d_ff if self.shared_d_ff is None else self.shared_d_ff

    @property
    def _shared_bias(self) -> bool:
        return self.bias if self.shared_bias is None else self.shared_bias

    def describe(self) -> str:
        shared = f" + {self.shared or 1} shared" if self.shared_width else ""
        return f"{self.active} of {self.count} experts{shared}"

    def weights(self, d: int) -> tuple[Weight, ...]:
        inner = self.latent or d
        found = [Weight("mlp.gate", "router", d, self.count + self.zero)]
        if self.router_bias:
            found.append(vector("mlp.gate.e_score_correction_bias", "router", self.count + self.zero))
        dials: dict[str, Any] = {"gated": self.gated}
        used = min(self.active, self.count)
        found += pair_weights(
            self.module, "experts", inner, self.d_ff, bias=self.bias, copies=self.count, used=used, **dials
        )
        if self.shared_width:
            found += pair_weights("mlp.shared_experts", "shared", d, self.shared_width, bias=self._shared_bias, **dials)
        if self.shared_gate:
            found.append(Weight("mlp.shared_expert_gate", "router", d, 1))
        if self.latent is not None:
            found += [
                Weight("mlp.fc1_latent_proj", "experts", d, self.latent),
                Weight("mlp.fc2_latent_proj", "experts", self.latent, d),
            ]
        if self.beside is not None:
            found += pair_weights("mlp", "mlp", d, self.beside, bias=self.bias, **dials)
        return (*found, *self.extra)

    def block(self, work: RankWork) -> list[Op]:
        """Route, dispatch, the rank's experts, combine, reduce; the result is complete on every rank that needs it.

        With attention over "tensor" ranks every rank holds all tokens, so each of the ep takes an equal share of them (the
        last one's is padded to whole tokens) and the results are gathered at the end; with attention over "data" ranks each
        one already has its own.
        """
        layout, p = work.layout, work.precision
        replicated = layout.attention == "tensor" and layout.ep > 1
        share = work.tokens / layout.ep if replicated else work.tokens
        own = np.ceil(share) if replicated else share
        routed = self.active * self.count / (self.count + self.zero)
        copies = share * (self.active if not self.zero else routed)
        width = work.width if self.latent is None else self.latent
        sent = copies * width * work.imbalance
        arriving = copies * work.imbalance  # every one of ep ranks sends its 1/ep share of copies to each
        d_ff = self.d_ff // layout.ranks("tp")
        ops = work.into("moe.router", own, self.count + self.zero, of=("mlp.gate",), bias=self.router_bias)
        if self.latent is not None:
            ops += work.into("moe.latent_down", own, self.latent, of=("mlp.fc1_latent_proj",))
        ops += work.collective("moe.counts", "all_to_all", "ep", self.count * COUNT_BYTES)
        ops += work.collective("moe.dispatch", "all_to_all", "ep", sent * p.activation_bytes, expected=True)
        on_rank: dict[str, Any] = {
            "matrices_read": touched_experts(self, share * layout.ep) / layout.ep,
            "matrices_kept": self.count // layout.ep,
            "routed": True,
            "expected": layout.ep > 1,
        }
        ops += pair(
            work.of_width(self.latent), "moe", arriving, d_ff, of=self.module, gated=self.gated, bias=self.bias, **on_rank
        )
        ops += work.collective("moe.combine", "all_to_all", "ep", sent * p.residual_bytes, expected=True)
        if self.latent is not None:
            ops.append(work.matmul("moe.latent_up", own, self.latent, work.width, of=("mlp.fc2_latent_proj",)))
        if self.shared_width:
            shared = self.shared_width // layout.ranks("tp")
            ops += pair(work, "moe.shared", own, shared, of="mlp.shared_experts", gated=self.gated, bias=self._shared_bias)
        if self.shared_gate:
            ops += work.into("moe.shared_gate", own, 1)
        if self.beside is not None:
            ops += pair(
                work, "moe.beside", own, self.beside // layout.ranks("tp"), of="mlp", gated=self.gated, bias=self.bias
            )
        ops += work.extras("moe.extra", self.extra)
        ops += work.collective("moe.reduce", "all_reduce", "tp", work.residual(own))
        if replicated:
            ops += work.collective("moe.gather", "all_gather", "ep", work.residual(own * layout.ep))
        return ops

    def scaled(self, by: Smaller) -> Experts:
        least = min(self.count, 2 * self.active)  # fewer, and routing would hardly have a choice
        return replace(
            self,
            count=by.count(self.count, least),
            d_ff=by.beside(self.d_ff),
            shared_d_ff=None if self.shared_d_ff is None else by.beside(self.shared_d_ff),
            latent=None if self.latent is None else by.beside(self.latent),
            beside=None if self.beside is None else by.beside(self.beside),
        )

    def proportions(self, d: int) -> list[Proportion]:
        return [Proportion("experts", self.count, grows=True), Proportion("expert d_ff/d_model", self.d_ff / d)]
