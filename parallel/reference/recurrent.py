"""Layers that keep a state, unsharded: all tokens since the first are gone through anew in every step."""

from __future__ import annotations

import torch
from torch import nn

from inferometer.parallel.layers.architecture import GatedDelta, Mamba1, Mamba2, ShortConvolution
from inferometer.parallel.reference.norm import ReferenceNorm
from inferometer.parallel.weights import Weights


class ReferenceDelta(nn.Module):
    """The gated delta rule, on all tokens so far."""

    def __init__(self, weights: Weights, prefix: str, d: int, delta: GatedDelta) -> None:
        super().__init__()
        self.dims = delta
        widths = {"q": delta.key_heads * delta.key_dim, "k": delta.key_heads * delta.key_dim}
        widths["v"] = delta.heads * delta.value_dim
        shapes = {name: (d, width) for name, width in widths.items()}
        shapes |= {f"conv_{name}": (delta.kernel, width) for name, width in widths.items()}
        shapes |= {"z": (d, widths["v"]), "b": (d, delta.heads), "a": (d, delta.heads), "out": (widths["v"], d)}
        self.w = nn.ParameterDict({name: weights.matrix(prefix + name, shape) for name, shape in shapes.items()})
        self.dt = nn.Parameter(weights.vector(f"{prefix}dt", delta.heads))
        self.rate = nn.Parameter(weights.vector(f"{prefix}rate", delta.heads))
        self.norm = ReferenceNorm(weights, f"{prefix}norm", delta.value_dim)
        self.past: torch.Tensor | None = None

    def forward(self, x: torch.Tensor, context: int, source: nn.Module | None = None) -> torch.Tensor:
        a, new = self.dims, x.shape[1]
        x = x if self.past is None else torch.cat((self.past, x), 1)
        self.past = x
        q, k, v = (self._through(x, name) for name in "qkv")
        per_head = {"q": (q, a.key_dim), "k": (k, a.key_dim), "v": (v, a.value_dim)}
        q, k, v = (part.unflatten(-1, (-1, dim)).float() for part, dim in per_head.values())
        q, k = (part / part.norm(dim=-1, keepdim=True).clamp_min(1e-12) for part in (q, k))
        owner = torch.arange(a.heads, device=x.device) // (a.heads // a.key_heads)
        q, k = q[:, :, owner] / a.key_dim**0.5, k[:, :, owner]
        beta = torch.sigmoid((x @ self.w["b"]).float())
        kept = torch.exp(-torch.exp(self.rate.float()) * nn.functional.softplus((x @ self.w["a"]).float() + self.dt.float()))
        state = x.new_zeros(x.shape[0], a.heads, a.key_dim, a.value_dim, dtype=torch.float32)
        ys = []
        for t in range(x.shape[1]):
            state = kept[:, t, :, None, None] * state
            error = v[:, t] - torch.einsum("bhkv,bhk->bhv", state, k[:, t])
            state = state + torch.einsum("bhk,bhv,bh->bhkv", k[:, t], error, beta[:, t])
            ys.append(torch.einsum("bhkv,bhk->bhv", state, q[:, t]))
        y = self.norm(torch.stack(ys, 1).to(x.dtype)).flatten(2) * nn.functional.silu(x @ self.w["z"])
        return (y @ self.w["out"])[:, -new:]

    def _through(self, x: torch.Tensor, name: str) -> torch.Tensor:
        """The projection of that name and its causal convolution."""
        return nn.functional.silu(convolved(x @ self.w[name], self.w[f"conv_{name}"]))


class ReferenceMamba2(nn.Module):
    """The state-space layer as a sum over all tokens before: y_t = Σ_s exp(Σ_{s<u≤t} A·dt_u)·dt_s·(C_t·B_s)·x_s + D·x_t."""

    def __init__(self, weights: Weights, prefix: str, d: int, mamba: Mamba2) -> None:
        super().__init__()
        self.dims = mamba
        inner, states = mamba.heads * mamba.head_dim, mamba.groups * mamba.state_size
        widths = {"z": inner, "x": inner, "B": states, "C": states, "dt": mamba.heads}
        self.w = nn.ParameterDict({name: weights.matrix(prefix + name, (d, width)) for name, width in widths.items()})
        self.w["out"] = weights.matrix(f"{prefix}out", (inner, d))
        self.b = nn.ParameterDict()
        if mamba.proj_bias:
            each = {**widths, "out": d}.items()
            self.b.update({name: weights.vector(f"{prefix}{name}_bias", width) for name, width in each})
        for name in "xBC":
            self.w[f"conv_{name}"] = weights.matrix(f"{prefix}conv_{name}", (mamba.kernel, widths[name]))
            if mamba.conv_bias:
                self.b[f"conv_{name}"] = weights.vector(f"{prefix}conv_{name}_bias", widths[name])
        for name in ("dt_shift", "rate", "skip"):
            self.b[name] = weights.vector(prefix + name, mamba.heads)
        self.scale = nn.Parameter(weights.vector(f"{prefix}norm", inner, around=1.0)) if mamba.norm else None
        self.past: torch.Tensor | None = None

    def forward(self, x: torch.Tensor, context: int, source: nn.Module | None = None) -> torch.Tensor:
        a, new = self.dims, x.shape[1]
        x = x if self.past is None else torch.cat((self.past, x), 1)
        self.past = x
        values = self._mixed(x, "x").unflatten(-1, (a.heads, a.head_dim)).float()
        owner = torch.arange(a.heads, device=x.device) // (a.heads // a.groups)
        b, c = (self._mixed(x, name).unflatten(-1, (a.groups, a.state_size)).float()[:, :, owner] for name in "BC")
        dt = nn.functional.softplus(self._made(x, "dt").float() + self.b["dt_shift"].float())
        passed = (-self.b["rate"].float().exp() * dt).cumsum(1)  # [batch, tokens, heads]
        decay = (passed[:, :, None] - passed[:, None]).transpose(1, 3)  # [batch, heads, s, t]
        decay = decay.exp().triu()
        seen = torch.einsum("bthn,bshn->bhst", c, b) * decay
        y = torch.einsum("bhst,bsh,bshp->bthp", seen, dt, values) + self.b["skip"].float()[:, None] * values
        y = y.flatten(2) * nn.functional.silu(self._made(x, "z").float())
        if self.scale is not None:
            groups = y.unflatten(-1, (a.groups, -1))
            y = (groups / torch.sqrt(groups.pow(2).mean(-1, keepdim=True) + 1e-6)).flatten(2) * self.scale.float()
        return self._made(y.to(x.dtype), "out")[:, -new:]

    def _made(self, x: torch.Tensor, name: str) -> torch.Tensor:
        y = x @ self.w[name]
        return y + self.b[name] if name in self.b else y

    def _mixed(self, x: torch.Tensor, name: str) -> torch.Tensor:
        y = convolved(self._made(x, name), self.w[f"conv_{name}"])
        return nn.functional.silu(y + self.b[f"conv_{name}"] if self.dims.conv_bias else y)


class ReferenceMamba1(nn.Module):
    """y_t = Σ_s exp(A·Σ_{s<u≤t} dt_u)·dt_s·x_s·B_s·C_t + D·x_t per channel, as a sum over all tokens before."""

    def __init__(self, weights: Weights, prefix: str, d: int, mamba: Mamba1) -> None:
        super().__init__()
        self.dims, inner, state = mamba, mamba.heads, mamba.state_size
        self.made = {"dt": mamba.dt_rank, "B": state, "C": state}
        shapes = {"x": (d, inner), "z": (d, inner), "conv_x": (mamba.kernel, inner), "step": (mamba.dt_rank, inner)}
        shapes |= {name: (inner, width) for name, width in self.made.items()}
        shapes |= {"rate": (inner, state), "out": (inner, d)}
        self.w = nn.ParameterDict({name: weights.matrix(prefix + name, shape) for name, shape in shapes.items()})
        biases = {"step": inner} | ({"conv_x": inner} if mamba.conv_bias else {})
        biases |= {"x": inner, "z": inner, "out": d} if mamba.proj_bias else {}
        self.b = nn.ParameterDict({name: weights.vector(f"{prefix}{name}_bias", n) for name, n in biases.items()})
        self.skip = nn.Parameter(weights.vector(f"{prefix}skip", inner))
        norms = self.made if mamba.inner_norms else {}
        self.norms = nn.ModuleDict({name: ReferenceNorm(weights, f"{prefix}{name}_norm", n) for name, n in norms.items()})
        self.past: torch.Tensor | None = None

    def forward(self, x: torch.Tensor, context: int, source: nn.Module | None = None) -> torch.Tensor:
        new = x.shape[1]
        x = x if self.past is None else torch.cat((self.past, x), 1)
        self.past = x
        values = nn.functional.silu(convolved(self._by(x, "x"), self.w["conv_x"]) + self.b.get("conv_x", 0.0))
        chosen = {name: values @ self.w[name] for name in self.made}
        chosen = {name: self.norms[name](part) if name in self.norms else part for name, part in chosen.items()}
        dt = nn.functional.softplus(self._by(chosen["dt"], "step").float())
        passed = dt.cumsum(1)
        decay = (passed[:, :, None] - passed[:, None])[..., None] * -self.w[
            "rate"
        ].float().exp()  # [batch, t, s, channel, n]
        later = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).tril()
        decay = decay.exp().masked_fill(~later[:, :, None, None], 0.0)
        values = values.float()
        y = torch.einsum("btscn,bsc,bsc,bsn,btn->btc", decay, dt, values, chosen["B"].float(), chosen["C"].float())
        y = (y + self.skip.float() * values) * nn.functional.silu(self._by(x, "z").float())
        return self._by(y.to(x.dtype), "out")[:, -new:]

    def _by(self, x: torch.Tensor, name: str) -> torch.Tensor:
        y = x @ self.w[name]
        return y + self.b[name] if name in self.b else y


class ReferenceConvolution(nn.Module):
    """C ∘ conv(B ∘ x), on all tokens so far."""

    def __init__(self, weights: Weights, prefix: str, d: int, convolution: ShortConvolution) -> None:
        super().__init__()
        width = convolution.heads
        shapes = dict.fromkeys("BCx", (d, width)) | {"conv_x": (convolution.kernel, width), "out": (width, d)}
        self.w = nn.ParameterDict({name: weights.matrix(prefix + name, shape) for name, shape in shapes.items()})
        widths = {"B": width, "C": width, "x": width, "conv_x": width, "out": d} if convolution.bias else {}
        self.b = nn.ParameterDict({name: weights.vector(f"{prefix}{name}_bias", n) for name, n in widths.items()})
        self.past: torch.Tensor | None = None

    def forward(self, x: torch.Tensor, context: int, source: nn.Module | None = None) -> torch.Tensor:
        new = x.shape[1]
        x = x if self.past is None else torch.cat((self.past, x), 1)
        self.past = x
        before, behind, mixed = (self._plus(x @ self.w[name], name) for name in "BCx")
        y = behind * self._plus(convolved(before * mixed, self.w["conv_x"]), "conv_x")
        return self._plus(y @ self.w["out"], "out")[:, -new:]

    def _plus(self, y: torch.Tensor, name: str) -> torch.Tensor:
        return y + self.b[name] if name in self.b else y


def convolved(x: torch.Tensor, taps: torch.Tensor) -> torch.Tensor:
    """Every channel's causal convolution: [batch, tokens, channels] and [kernel, channels] → as x."""
    padded = nn.functional.pad(x, (0, 0, len(taps) - 1, 0))
    return sum((padded[:, tap : tap + x.shape[1]] * taps[tap] for tap in range(len(taps))), torch.zeros_like(x))
