"""The embedding and the head, cut by the entries of the vocabulary."""

from __future__ import annotations

import torch
from torch.nn import functional

from inferometer.parallel.axes import Axis
from inferometer.parallel.layers.attention import side_by_side
from inferometer.parallel.layers.norm import Norm
from inferometer.parallel.layers.site import Site
from inferometer.parallel.layers.span import Span


def token_matrix(site: Site, name: str, vocab: int, d_model: int) -> torch.Tensor:
    """[d/√tp, vocab/tp]: a column for each entry of the rank's part of the vocabulary, the last rank's part padded."""
    entries = site.axes["tensor"].padded_share(vocab)
    return site.matrix(name, (d_model, vocab), site.axes["width"].share(d_model), entries)


def looked_up(table: torch.Tensor, tokens: torch.Tensor, axis: Axis) -> torch.Tensor:
    """The rows of this rank's tokens, zero for the others'. table: of the rank's part of the vocabulary."""
    if axis.size == 1:
        return functional.embedding(tokens, table)
    local = tokens - axis.index * len(table)
    here = (local >= 0) & (local < len(table))
    return table[local * here] * here[:, None]


class Embedding:
    """Each rank looks up the tokens of its part of the vocabulary, zero for the others', then all are summed."""

    def __init__(self, site: Site, table: torch.Tensor, d_model: int, *, positions: int) -> None:
        self.tape = site.tape
        self.table = table
        self.positions = None
        if positions:
            self.positions = site.matrix("positions", (positions, d_model), None, site.axes["width"].share(d_model))

    def __call__(self, tokens: torch.Tensor, span: Span) -> torch.Tensor:
        """[sequences, new] → [sequences·new, d/√tp]."""
        with self.tape.stream("embedding.lookup"):
            x = looked_up(self.table, tokens.flatten(), self.tape.axes["tensor"])
        x = self.tape.all_reduce("embedding.reduce", "tensor", x)
        if self.positions is not None:
            x = x + self.positions[span.positions].repeat(span.sequences, 1)
        return x


class Head:
    """Logits of each sequence's last token, gathered from the parts of the vocabulary."""

    def __init__(self, site: Site, w: torch.Tensor, vocab: int, d_model: int, *, norm_bias: bool, bias: bool) -> None:
        self.tape, self.w, self.vocab = site.tape, w, vocab
        self.norm = Norm(site, "head.norm", d_model, bias=norm_bias)
        share, ranks = site.axes["tensor"].padded_share(vocab), site.axes["width"].size
        self.bias = site.bias("head.bias", vocab, share, ranks) if bias else None

    def __call__(self, x: torch.Tensor, span: Span) -> torch.Tensor:
        """[sequences·new, d/√tp] → [sequences, vocab] on every rank of the tensor axis."""
        last = x.view(span.sequences, span.new, -1)[:, -1]
        logits = self.tape.matmul("head.logits", self.norm(last), self.w, self.bias)
        logits = self.tape.all_reduce("head.logits_reduce", "width", logits)
        return side_by_side(self.tape.all_gather("head.gather", "tensor", logits))[:, : self.vocab]
