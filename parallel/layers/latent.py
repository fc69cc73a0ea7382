"""Multi-head latent attention (DeepSeek-V2, section 2.1), its heads cut over the tensor ranks."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch.nn import functional

from inferometer.parallel.axes import together
from inferometer.parallel.layers.architecture import Latent
from inferometer.parallel.layers.attention import attend, blocks, side_by_side
from inferometer.parallel.layers.cache import Cache
from inferometer.parallel.layers.index import TokenIndex, allowed
from inferometer.parallel.layers.norm import EPSILON
from inferometer.parallel.layers.site import Site
from inferometer.parallel.layers.span import Span


class LatentAttention:
    """Attention whose keys and values are made from one latent c of kv_rank per token, which is all that is kept.

        [c; k_rope] = x W_c        k_h = [c W_k,h; k_rope]        v_h = c W_v,h        q = norm(x W_a) W_q, or x W_q

    A prompt's keys and values are expanded. Against a cache the scores are taken on the latents themselves, for
    q_hᵀ (W_k,hᵀ c) = (W_k,h q_h)ᵀ c, and so are the sums, which then pass W_v,h. Every rank makes and keeps the latents;
    heads are cut as in `Attention`, and what comes out are partial sums over the tensor axis.
    """

    def __init__(self, site: Site, d_model: int, latent: Latent) -> None:
        self.tape, self.dims, self.window = site.tape, latent, latent.window
        tensor, width = site.axes["tensor"], site.axes["width"]
        whole = together(tensor, width)
        self.heads = latent.query_heads // whole.size
        rows = width.share(d_model)
        q_dim = latent.nope_dim + latent.rope_dim
        queries = latent.query_heads * q_dim
        self.query_down = self.query_norm = None
        if latent.query_rank is None:
            self.query_up = site.matrix("query_up", (d_model, queries), rows, tensor.share(queries))
        else:
            self.query_down = site.matrix("query_down", (d_model, latent.query_rank), rows, None)
            self.query_norm = site.scale("query_norm", latent.query_rank)
            self.query_up = site.matrix("query_up", (latent.query_rank, queries), None, whole.share(queries))
        self.latent_down = site.matrix("latent_down", (d_model, latent.kv_rank + latent.rope_dim), rows, None)
        self.latent_norm = site.scale("latent_norm", latent.kv_rank)
        kv_dim = latent.nope_dim + latent.value_dim
        expanded = latent.query_heads * kv_dim
        self.latent_up = site.matrix("latent_up", (latent.kv_rank, expanded), None, whole.share(expanded))
        values = latent.query_heads * latent.value_dim
        self.out = site.matrix("out", (values, d_model), tensor.share(values), rows)
        index = latent.index
        self.index, self.chosen = None, None if index is None else index.tokens
        if index is not None and index.own:
            assert latent.query_rank is not None
            self.index = TokenIndex(site, d_model, index, latent.query_rank, latent.rope_dim)

    def caches(self, sequences: int, limit: int, source: Any = None) -> tuple[Any, ...]:
        """The latents; of a layer with an index also its keys, or the choice of the layer that it reads, source."""
        own = Cache(sequences, 1, limit, self.dims.kv_rank + self.dims.rope_dim, self.out)
        if self.chosen is None:
            return (own,)
        return own, source[1] if self.index is None else self.index.caches(sequences, limit)

    def __call__(self, x: torch.Tensor, span: Span, caches: tuple[Any, ...]) -> torch.Tensor:
        """[sequences·new, d/√tp] → partial sums of the same shape."""
        a = self.dims
        made, query_latents = self._queries(x)
        queries = made.view(span.sequences, span.new, self.heads, -1).transpose(1, 2)
        down = self.tape.matmul("attention.latent_down", x, self.latent_down)
        down = self.tape.all_reduce("attention.latent_down_reduce", "width", down)
        latents, k_rope = down.split([a.kv_rank, a.rope_dim], dim=1)
        latents = functional.rms_norm(latents, (a.kv_rank,), self.latent_norm, EPSILON)
        if self.index is not None:
            self.index(x, query_latents, span, caches[1])
        attention = self._expanded if span.new > 1 and span.context == 0 else self._absorbed
        y = side_by_side(
            self.tape.all_gather("attention.gather", "width", attention(queries, latents, k_rope, span, caches))
        )
        return self.tape.matmul("attention.out", y, self.out)

    def _queries(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Queries, and the latents that they are made from (x itself, if there are none)."""
        if self.query_down is None:
            q = self.tape.matmul("attention.query_up", x, self.query_up)
            q = blocks(q, self.tape.axes["width"].size)
            return self.tape.reduce_scatter("attention.query_up_reduce", "width", q), x
        q = self.tape.matmul("attention.query_down", x, self.query_down)
        q = self.tape.all_reduce("attention.query_down_reduce", "width", q)
        q = functional.rms_norm(q, (q.shape[1],), self.query_norm, EPSILON)
        return self.tape.matmul("attention.query_up", q, self.query_up), q

    def _expanded(
        self, q: torch.Tensor, latents: torch.Tensor, k_rope: torch.Tensor, span: Span, caches: tuple[Any, ...]
    ) -> torch.Tensor:
        a = self.dims
        kv = self.tape.matmul("attention.latent_up", latents, self.latent_up)
        with self._core(span, a.nope_dim + a.rope_dim + a.value_dim):
            kept = self._keep(latents, k_rope, span, caches)
            rope = kept[..., a.kv_rank :].expand(-1, self.heads, -1, -1)
            kv = kv.view(span.sequences, span.new, self.heads, -1).transpose(1, 2)
            keys = torch.cat((kv[..., : a.nope_dim], rope), dim=-1)
            # Fused kernels want values as wide as keys; without one this takes three times as long on a CPU.
            values = functional.pad(kv[..., a.nope_dim :], (0, max(0, keys.shape[-1] - a.value_dim)))
            only = None if self.chosen is None else allowed(caches[1], span)
            y = attend(self._rotated(q, span), keys, values, span, self.window, self._scale, allowed=only)
            return y.view(-1, self.heads, values.shape[-1])[..., : a.value_dim].flatten(1)

    def _absorbed(
        self, q: torch.Tensor, latents: torch.Tensor, k_rope: torch.Tensor, span: Span, caches: tuple[Any, ...]
    ) -> torch.Tensor:
        a = self.dims
        up = self.latent_up.view(a.kv_rank, self.heads, -1).permute(1, 2, 0)  # [heads, nope + value, kv_rank]
        nope = q[..., : a.nope_dim].transpose(0, 1).reshape(self.heads, -1, a.nope_dim)
        absorbed = self.tape.matmul_heads("attention.key_up", nope, up[:, : a.nope_dim])
        with self._core(span, 2 * a.kv_rank + a.rope_dim):
            kept = self._keep(latents, k_rope, span, caches)
            absorbed = absorbed.view(self.heads, span.sequences, span.new, -1).transpose(0, 1)
            queries = torch.cat((absorbed, self._rotated(q, span)[..., a.nope_dim :]), dim=-1)
            only = None
            if self.chosen is not None and span.new == 1:  # the chosen tokens are all that is read
                kept = kept.squeeze(1).take_along_dim(caches[1].tokens.transpose(1, 2), 1).unsqueeze(1)
            elif self.chosen is not None:
                only = allowed(caches[1], span)
            sums = attend(queries, kept, kept, span, self.window, self._scale, allowed=only)
            sums = sums.view(-1, self.heads, kept.shape[-1])[..., : a.kv_rank]  # the rotary keys' sums are dropped
            sums = sums.transpose(0, 1)
        values = self.tape.matmul_heads("attention.value_up", sums, up[:, a.nope_dim :].transpose(1, 2))
        return values.transpose(0, 1).reshape(-1, self.heads * a.value_dim)

    @property
    def _scale(self) -> float:
        return (self.dims.nope_dim + self.dims.rope_dim) ** -0.5

    def _core(self, span: Span, multiplied_per_pair: int) -> AbstractContextManager[object]:
        pairs = span.pairs(self.window if self.chosen is None else self.chosen)
        return self.tape.attention("attention.core", 2 * self.heads * multiplied_per_pair * pairs)

    def _rotated(self, q: torch.Tensor, span: Span) -> torch.Tensor:
        nope, rope = q.split([self.dims.nope_dim, self.dims.rope_dim], dim=-1)
        return torch.cat((nope, span.rotate(rope)), dim=-1)

    def _keep(self, latents: torch.Tensor, k_rope: torch.Tensor, span: Span, caches: tuple[Any, ...]) -> torch.Tensor:
        """[sequences, 1, tokens, kv_rank + rope_dim]: all latents with their rotated keys."""
        one_head = (span.sequences, 1, span.new, -1)
        rotated = span.rotate(k_rope.reshape(one_head))
        kept: torch.Tensor = caches[0].extend(torch.cat((latents.reshape(one_head), rotated), dim=-1), span.context)
        return kept
