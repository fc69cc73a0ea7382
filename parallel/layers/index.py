"""An index beside attention: which tokens every new one attends to (DeepSeek V3.2, section 2.1)."""

from __future__ import annotations

import torch
from torch.nn import functional

from inferometer.parallel.layers.architecture import Index
from inferometer.parallel.layers.cache import Cache
from inferometer.parallel.layers.norm import EPSILON
from inferometer.parallel.layers.site import Site
from inferometer.parallel.layers.span import Span


class Chosen:
    """What an index keeps: the key of every token, and the tokens it has chosen in this step, for layers that share them."""

    def __init__(self, keys: Cache) -> None:
        self.keys = keys
        self.tokens = torch.empty(0, dtype=torch.int64)
        """[sequences, new, tokens]"""


class TokenIndex:
    """score(t, s) = Σ_h w_h(t) · relu(q_h(t)·k(s)): the best tokens s of every new token t. Every rank does all of it.

    Queries are made from the latent of attention's queries, keys and the heads' weights from the residual stream; the
    first rope_dim elements of queries and keys are rotated.
    """

    def __init__(self, site: Site, d_model: int, index: Index, query_rank: int, rope_dim: int) -> None:
        self.tape, self.dims, self.rope_dim = site.tape, index, min(rope_dim, index.dim)
        rows = site.axes["width"].share(d_model)
        self.query = site.matrix("index_query", (query_rank, index.heads * index.dim), None, None)
        self.key = site.matrix("index_key", (d_model, index.dim), rows, None)
        self.weights = site.matrix("index_weights", (d_model, index.heads), rows, None)
        self.norm, self.shift = site.scale("index_norm", index.dim), site.bias("index_norm_bias", index.dim, None, 1)

    def caches(self, sequences: int, limit: int) -> Chosen:
        return Chosen(Cache(sequences, 1, limit, self.dims.dim, self.key))

    def __call__(self, x: torch.Tensor, latents: torch.Tensor, span: Span, kept: Chosen) -> None:
        """x [sequences·new, d/√tp], latents [sequences·new, query rank]: choose among the tokens up to each new one."""
        a = self.dims
        queries = self.tape.matmul("attention.index_query", latents, self.query)
        keys = self.tape.matmul("attention.index_key", x, self.key)
        keys = self.tape.all_reduce("attention.index_key_reduce", "width", keys)
        weights = self.tape.matmul("attention.index_weights", x, self.weights)
        weights = self.tape.all_reduce("attention.index_weights_reduce", "width", weights)
        with self.tape.attention("attention.index", 2 * a.heads * a.dim * span.pairs(None)):
            shape = span.sequences, span.new
            queries = self._rotated(queries.view(*shape, a.heads, a.dim).transpose(1, 2), span)
            keys = functional.layer_norm(keys, (a.dim,), self.norm, self.shift, EPSILON)
            keys = kept.keys.extend(self._rotated(keys.view(span.sequences, 1, span.new, a.dim), span), span.context)
            scores = (queries.flatten(1, 2) @ keys.squeeze(1).transpose(1, 2)).unflatten(1, (a.heads, span.new))
            scores = (scores.float().relu() * weights.view(*shape, a.heads).float().permute(0, 2, 1)[..., None]).sum(1)
            mask = span.mask(None)
            if mask is not None:
                scores = scores.masked_fill(~mask, float("-inf"))
            kept.tokens = scores.topk(min(a.tokens, scores.shape[-1]), -1).indices

    def _rotated(self, x: torch.Tensor, span: Span) -> torch.Tensor:
        return torch.cat((span.rotate(x[..., : self.rope_dim]), x[..., self.rope_dim :]), -1)


def allowed(kept: Chosen, span: Span) -> torch.Tensor:
    """[sequences, 1, new, context + new], true for tokens that are chosen and not behind the new one."""
    tokens = span.context + span.new
    found = torch.zeros(span.sequences, span.new, tokens, dtype=torch.bool, device=kept.tokens.device)
    found.scatter_(2, kept.tokens, True)
    mask = span.mask(None)
    return (found if mask is None else found & mask).unsqueeze(1)
