"""What an execution of a program launches on a device: the kernels of passes, and the calls that the host makes for them.

A program says which passes are made around its operations (Compute.passes). How many kernels they are depends on who
executes: a fused engine needs one where plain torch needs seven. A test (tests/ranks/workload/test_launches.py) holds each
execution here against what it really does: torch's dispatched operations, and the calls into torch from Python.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import NamedTuple

from inferometer.emulator.workload.operations import Compute, Pass, Size

#: Bytes that a function moves for each byte of a tensor it is applied to: what its kernels read and write. silu_mul is two
#: kernels without fusion: silu reads and writes one half, the product reads both and writes one.
TIMES_MOVED: Mapping[str, float] = MappingProxyType(
    {"rms_norm": 2, "layer_norm": 2, "silu_mul": 5, "silu": 2, "gelu": 2, "add": 3, "mul": 3, "sub": 3, "cat": 2, "copy": 2}
)
#: Kernels of a function, where it is several.
KERNELS: Mapping[str, int] = MappingProxyType({"silu_mul": 2})


#: The matmuls of an expert layer, as laws name them: in and out with the activation between.
EXPERTS = "experts"
WITH_EXPERTS = ("gated", "activated")
"""Passes that are part of an expert layer's time."""


class Kernel(NamedTuple):
    """One function on the device: its name, the bytes that it reads and writes. launched: in a kernel of its own."""

    function: str
    moved_bytes: Size
    launched: bool = True


@dataclass(frozen=True)
class Execution:
    """How something executes programs.

    together: rotary positions are applied to queries and keys in one tensor. host_calls: calls into torch from Python, by
    kind of operation (matmul, stream; of attention decode or prefill) and, for each of its tensors, by kind of pass. fused:
    the kernels of a pass over all its tensors together, where an engine has kernels of its own for it.
    """

    name: str
    together: bool
    host_calls: Mapping[str, int]
    fused: Mapping[str, Callable[[Size], list[Kernel]]] = field(default_factory=lambda: MappingProxyType({}))

    def kernels(self, op: Compute, without: Container[str] = ()) -> list[Kernel]:
        """Those of the passes around an operation, without the operation's own, nor those of some kinds of passes."""
        return [kernel for one in op.passes if one.kind not in without for kernel in self._kernels(one)]

    def launches(self, op: Compute) -> int:
        """Kernels on the device, the operation's own included. An attention counts as one."""
        return 1 + sum(KERNELS.get(one.function, 1) for one in self.kernels(op) if one.launched)

    def calls(self, op: Compute) -> int:
        """Into torch from Python, of an operation and the passes around it."""
        kind = (op.function or "decode") if op.kind == "attention" else op.kind
        return self.host_calls[kind] + sum(self.host_calls[one.kind] * len(self._tensors(one)) for one in op.passes)

    def _tensors(self, one: Pass) -> tuple[Size, ...]:
        return (sum(one.tensors[1:], one.tensors[0]),) if self.together and one.kind == "rotate" else one.tensors

    def _kernels(self, one: Pass) -> Iterator[Kernel]:
        if one.kind in self.fused:
            yield from self.fused[one.kind](sum(one.tensors[1:], one.tensors[0]))
            return
        tensors = self._tensors(one)
        for size in tensors:
            yield from UNFUSED[one.kind](size)
        if one.kind == "head_norm" and self.together and len(tensors) > 1:  # put together again
            yield _kernel("cat", sum(tensors[1:], tensors[0]))


def _kernel(function: str, size: Size) -> Kernel:
    return Kernel(function, TIMES_MOVED[function] * size)


def _rotated(size: Size) -> list[Kernel]:
    """(a cos − b sin, b cos + a sin) of the halves a, b, put together: cos and sin are small."""
    half = size / 2
    return [*(Kernel("mul", 2 * half) for _ in range(4)), _kernel("sub", half), _kernel("add", half), _kernel("cat", size)]


#: The kernels of a pass over one tensor of so many bytes, a function each.
UNFUSED: Mapping[str, Callable[[Size], list[Kernel]]] = MappingProxyType(
    {
        "rotate": _rotated,
        "cache": lambda size: [_kernel("copy", size)],
        "head_norm": lambda size: [_kernel("rms_norm", size)],
        "join": lambda size: [_kernel("copy", size)],
        "residual": lambda size: [_kernel("add", size)],
        "gated": lambda size: [_kernel("silu_mul", size)],
        "activated": lambda size: [_kernel("gelu", size)],
    }
)

#: The layers of parallel/layers: queries and keys are one tensor until they have their rotary positions.
ENGINE = Execution(
    "engine",
    True,
    MappingProxyType(
        {
            "matmul": 1, "decode": 27, "prefill": 25, "stream": 1, "glue": 0,
            "rotate": 13, "cache": 4, "head_norm": 1, "join": 1, "residual": 1, "gated": 3, "activated": 1,
        }
    ),
)  # fmt: skip
#: A module of plain torch, one function per operation (benchmarks/rivals/plain_decoder.py).
PLAIN = Execution(
    "torch",
    False,
    MappingProxyType(
        {
            "matmul": 1, "decode": 15, "prefill": 10, "stream": 1, "glue": 0,
            "rotate": 8, "cache": 4, "head_norm": 1, "join": 1, "residual": 1, "gated": 3, "activated": 1,
        }
    ),
)  # fmt: skip


_ONE_CALL = MappingProxyType(dict.fromkeys((*ENGINE.host_calls, "head_norm"), 1))


def _nothing(size: Size) -> list[Kernel]:
    return []


#: A serving engine: one kernel for the rotary positions of queries and keys, one for the cache, one for the gate; the
#: residual sum is part of the norm that follows, which reads and writes the stream once more.
FUSED = Execution(
    "fused",
    True,
    _ONE_CALL,
    MappingProxyType(
        {
            "rotate": lambda size: [_kernel("copy", size)],
            "cache": lambda size: [_kernel("copy", size)],
            "head_norm": lambda size: [_kernel("rms_norm", size)],
            "join": _nothing,
            "residual": lambda size: [Kernel("rms_norm", 2 * size, launched=False)],
            "gated": lambda size: [Kernel("silu_mul", 3 * size)],
        }
    ),
)
#: The same, where attention's kernels apply the rotary positions and write the cache.
FUSED_ATTENTION = replace(
    FUSED, name="fused attention", fused=MappingProxyType({**FUSED.fused, "rotate": _nothing, "cache": _nothing})
)
ENGINES: Mapping[str, Execution] = MappingProxyType({"vllm": FUSED, "sglang": FUSED, "trtllm": FUSED_ATTENTION})


def execution_of(backend: str) -> Execution:
    """Whose kernels a backend's compute laws are of: "torch" is plain torch, "vllm 0.24.0" a serving engine, everything else
    ran in the engine."""
    return PLAIN if backend == PLAIN.name else ENGINES.get(backend.partition(" ")[0], ENGINE)
