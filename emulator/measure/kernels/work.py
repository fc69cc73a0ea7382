"""A kernel of the plan as a call on a device's tensors, on weights and caches that come from memory.

Weights, keys and values are views of one pool, several times a GPU's L2, and every call takes the next ones: nothing that a
step streams from memory stays in a cache. Activations are as the kernel before left them, as in a step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import functional

from inferometer.emulator.measure.kernels.plan import Kernel
from inferometer.parallel.device.device import Device
from inferometer.parallel.layers.norm import EPSILON

Call = Callable[[], object]
LEAST_POOL_BYTES = 400 << 20
POOL_OVER_L2 = 4
MOST_CALLS = 200
LEAST_CALLS = 20
"""Of one graph."""
L2_POLICY = "weights, keys and values rotate through working_set_bytes; activations are as the kernel before left them"


class Kernels:
    """Makes calls on one device, in one dtype."""

    def __init__(self, device: Device, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype
        l2 = device.identity().get("l2_bytes") or 0
        self.pool_bytes = max(LEAST_POOL_BYTES, POOL_OVER_L2 * l2)
        self._pool = torch.empty(0)

    def calls(self, kernel: Kernel) -> list[Call]:
        """What a graph of the kernel holds: the same call on one part of the pool after another."""
        made: dict[str, Callable[[Kernel], list[Call]]] = {
            "null": self._null, "memory": self._memory, "matmul": self._matmuls, "attention": self._attention,
            "stream": self._pass,
        }  # fmt: skip
        return made[kernel.kind](kernel)

    def _null(self, kernel: Kernel) -> list[Call]:
        x = torch.zeros(1, device=self.device.torch_device)
        return [lambda: x.add_(1.0)] * MOST_CALLS

    def _memory(self, kernel: Kernel) -> list[Call]:
        (size,) = kernel.shape
        source = torch.zeros(size // 4, device=self.device.torch_device)
        if kernel.op == "read":
            total = torch.zeros((), device=self.device.torch_device)
            return [lambda: torch.sum(source, dim=0, out=total)] * LEAST_CALLS
        target = torch.empty_like(source)
        return [lambda: target.copy_(source)] * LEAST_CALLS

    def _matmuls(self, kernel: Kernel) -> list[Call]:
        rows, inner, outer, *groups = kernel.shape
        matrices = groups[0] if groups else 1
        each = rows // matrices
        x, y = self._new(rows, inner), self._new(rows, outer)
        weights = [part.view(matrices, inner, outer) for part in self._parts(matrices * inner * outer)]

        def call(w: torch.Tensor) -> None:
            if matrices == 1:
                torch.mm(x, w[0], out=y)
                return
            for group in range(matrices):  # one launch for each, as the layers make them
                rows_of = slice(group * each, (group + 1) * each)
                torch.mm(x[rows_of], w[group], out=y[rows_of])

        return [_bound(call, w) for w in weights]

    def _attention(self, kernel: Kernel) -> list[Call]:
        batch, new, context, queries, kv, dim = kernel.shape
        q = self._new(batch, kv, queries // kv, dim) if new == 1 else self._new(batch, queries, new, dim)
        parts = self._parts(2 * batch * kv * context * dim)
        caches = [part.view(2, batch, kv, context, dim) for part in parts]

        def call(cache: torch.Tensor) -> object:
            if new == 1:  # one token's heads of a group read the group's keys together, as the layers do
                return functional.scaled_dot_product_attention(q, cache[0], cache[1])
            gqa = queries != kv
            return functional.scaled_dot_product_attention(q, cache[0], cache[1], is_causal=True, enable_gqa=gqa)

        return [_bound(call, cache) for cache in caches]

    def attention_name(self, kernel: Kernel) -> str:
        """The implementation that an attention kernel's calls run in."""
        batch, new, context, queries, kv, dim = kernel.shape
        q = self._new(batch, kv, queries // kv, dim) if new == 1 else self._new(batch, queries, new, dim)
        cache = self._parts(2 * batch * kv * context * dim)[0].view(2, batch, kv, context, dim)
        return self.device.attention(q, cache[0], cache[1], causal=new > 1)

    def _pass(self, kernel: Kernel) -> list[Call]:
        rows, width, *further = kernel.shape
        call = self._function(kernel.op, rows, width, further)
        return [call] * MOST_CALLS

    def _function(self, name: str, rows: int, width: int, further: Sequence[int]) -> Call:
        x = self._new(rows, width)
        if name == "embedding":
            table = self._new(further[0], width)
            tokens = torch.arange(rows, device=self.device.torch_device) * 7919 % further[0]
            return lambda: functional.embedding(tokens, table)
        if name == "topk":
            scores = torch.rand(rows, width, device=self.device.torch_device)
            return lambda: scores.topk(further[0])
        if name == "silu_mul":
            both = self._new(rows, 2 * width)
            gate, up = both.chunk(2, dim=-1)
            return lambda: functional.silu(gate) * up
        scale = self._new(width)
        other, halves = self._new(rows, width), x.chunk(2, dim=-1)
        cache = torch.empty_like(x)
        known: dict[str, Call] = {
            "rms_norm": lambda: functional.rms_norm(x, (width,), scale, EPSILON),
            "layer_norm": lambda: functional.layer_norm(x, (width,), scale, scale, EPSILON),
            "gelu": lambda: functional.gelu(x),
            "silu": lambda: functional.silu(x),
            "add": lambda: x + other,
            "sub": lambda: x - other,
            "mul": lambda: x * other,
            "cat": lambda: torch.cat(halves, dim=-1),
            "copy": lambda: cache.copy_(x),
            "argmax": lambda: x.max(dim=-1),
        }
        return known[name]

    def _new(self, *shape: int) -> torch.Tensor:
        return torch.full(shape, 0.01, dtype=self.dtype, device=self.device.torch_device)

    def _parts(self, elements: int) -> list[torch.Tensor]:
        """Parts of the pool of so many elements, at most MOST_CALLS; the pool grows so that there are two."""
        width = torch.finfo(self.dtype).bits // 8
        length = max(self.pool_bytes // width, 2 * elements)
        if len(self._pool) < length:
            self._pool = torch.empty(0)
            self._pool = torch.full((length,), 0.01, dtype=self.dtype, device=self.device.torch_device)
        return [self._pool[at * elements : (at + 1) * elements] for at in range(min(length // elements, MOST_CALLS))]

    @property
    def working_set_bytes(self) -> int:
        return int(max(self._pool.nbytes, self.pool_bytes))


def _bound(call: Callable[[torch.Tensor], Any], part: torch.Tensor) -> Call:
    return lambda: call(part)
