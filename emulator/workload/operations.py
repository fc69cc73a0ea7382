"""The operations a step consists of: computations, collectives, the segments and stages they are listed in.

Sizes are per rank. They are numbers, or numpy arrays that broadcast, so that one program stands for one deployment
or for a whole grid of batches and contexts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

from inferometer.emulator.workload.layout import Axis

Size = float | NDArray[Any]
ComputeKind = Literal["matmul", "attention", "stream", "glue"]
"""glue: what an engine does between operations; a program holds none, a price does."""
#: What stands where no operation does: before the first of a step, after the last.
BEGIN, END = "step.begin", "step.end"


@dataclass(frozen=True)
class Pass:
    """A pass over activations that layers make around an operation, in kernels of its own (workload.kernels.executions).

    kind: rotate (rotary positions), cache (into the KV cache), head_norm (a norm of each head), join (the heads of several
    new tokens side by side), residual (added to the residual stream), gated (silu of one half times the other), activated
    (gelu). tensors: bytes of each tensor that it is made over.
    """

    kind: Literal["rotate", "cache", "head_norm", "join", "residual", "gated", "activated"]
    tensors: tuple[Size, ...]


@dataclass(frozen=True)
class Compute:
    """One kernel: a matmul with weights, attention against the cache, or a pass over activations (norm, lookup).

    weight_bytes are read in the step, resident_bytes of weights the rank keeps for it (all its experts, though few may
    be read). matmul: (rows, inner, outer) of the rank's own product, rows × inner by inner × outer.
    """

    name: str
    kind: ComputeKind
    flop: Size = 0.0
    weight_bytes: Size = 0.0
    activation_bytes: Size = 0.0
    kv_bytes: Size = 0.0
    resident_bytes: Size = 0.0
    matmul: tuple[Size, int, int] | None = None
    matrices: Size = 1.0
    """Different matrices that the rows of a matmul are spread over: experts, heads."""
    routed: bool = False
    """The rows fall to the matrices at random; else as many to each."""
    bits: int | None = None
    """Of the operands of a matmul, where its matrix is stored in a format of its own; None: the precision's."""
    expected: bool = False
    """The rows depend on the routing of tokens, and are the expectation under the program's routing."""
    function: str = ""
    """What a pass over activations or attention does: rms_norm, layer_norm, embedding; decode, prefill."""
    context: Size = 0.0
    """Tokens of one sequence that attention reads from the cache or computes."""
    head_dim: int = 0
    """Elements of a query's head, where all of an attention's are alike."""
    passes: tuple[Pass, ...] = ()
    """Made around the operation. On CPUs they are part of attention's law and of glue; a GPU launches them one by one."""

    @property
    def memory_bytes(self) -> Size:
        return self.weight_bytes + self.activation_bytes + self.kv_bytes


@dataclass(frozen=True)
class Collective:
    """One collective over the rank's group of an axis; bytes in nccl-tests' convention.

    expected: the bytes depend on the routing of tokens, and are the expectation under the program's routing.
    """

    name: str
    collective: str
    axis: Axis
    bytes: Size
    ranks: int
    nodes: int
    expected: bool = False


Op = Compute | Collective


def predecessors(previous: Sequence[str], name: str, *, computes: bool) -> list[str]:
    """The last computation and the collectives since, after another operation; nothing before the first computation."""
    return [name] if computes else [*previous, name] if previous else []


def chain(names: Sequence[str]) -> str:
    """The predecessors of an operation as one text: the computation before it and the collectives since."""
    return ", ".join(names)


@dataclass(frozen=True)
class Segment:
    """A run of operations that a stage goes through repeat times: the embedding, its layers, the head."""

    name: str
    repeat: int
    ops: tuple[Op, ...]


@dataclass(frozen=True)
class Stage:
    """What the ranks of one pipeline stage do for one micro-batch."""

    index: int
    segments: tuple[Segment, ...]

    def __iter__(self) -> Iterator[Op]:
        """Every operation in the order of execution, repeats spelled out."""
        for segment in self.segments:
            for _ in range(segment.repeat):
                yield from segment.ops

    def counted(self) -> Iterator[tuple[int, Op]]:
        """Every different operation with the times it runs."""
        for segment in self.segments:
            for op in segment.ops:
                yield segment.repeat, op
