"""Inputs of the layers' own beside the residual stream (Gemma 3n, Gemma 4), looked up by the token."""

from __future__ import annotations

import torch
from torch.nn import functional

from inferometer.parallel.layers.architecture import LayerInputs
from inferometer.parallel.layers.norm import EPSILON, Norm
from inferometer.parallel.layers.site import Site
from inferometer.parallel.layers.vocabulary import looked_up, token_matrix


class InputTable:
    """(norm(x W) + table[token])/√2: the inputs of all layers, from the embedding x and the token. Tokens are shared out."""

    def __init__(self, site: Site, d_model: int, layers: int, inputs: LayerInputs) -> None:
        self.tape, self.layers, self.vocab = site.tape, layers, inputs.vocab
        width = layers * inputs.width
        self.table = token_matrix(site, "inputs", inputs.vocab, width).t().contiguous()
        self.project = site.matrix("inputs_project", (d_model, width), None, None)
        self.norm = site.scale("inputs_norm", inputs.width)

    def __call__(self, tokens: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Tokens [sequences, new], x [sequences·new, d] → [layers, sequences·new, width]."""
        with self.tape.stream("inputs.lookup"):
            found = looked_up(self.table, tokens.flatten() % self.vocab, self.tape.axes["tensor"])
        found = self.tape.all_reduce("inputs.reduce", "tensor", found)
        made = self.tape.matmul("inputs.project", x, self.project)
        with self.tape.stream("inputs.norm"):
            made = functional.rms_norm(made.unflatten(1, (self.layers, -1)), self.norm.shape, self.norm, EPSILON)
            return ((made + found.unflatten(1, (self.layers, -1))) * 0.5**0.5).transpose(0, 1)


class LayerInput:
    """norm((gelu(x W_gate) ∘ input) W_up): what one layer's own input adds. Every rank does all of it."""

    def __init__(self, site: Site, d_model: int, inputs: LayerInputs, *, bias: bool) -> None:
        self.tape = site.tape
        self.gate = site.matrix("inputs_gate", (d_model, inputs.width), None, None)
        self.up = site.matrix("inputs_up", (inputs.width, d_model), None, None)
        self.norm = Norm(site, "inputs.post_norm", d_model, bias=bias)

    def __call__(self, x: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
        """x [rows, d], given [rows, width] → [rows, d]."""
        y = functional.gelu(self.tape.matmul("inputs.gate", x, self.gate)) * given
        return self.norm(self.tape.matmul("inputs.up", y, self.up))
