"""One operation that a rank is expected to carry out: what the tape compares with, what traces are recorded by."""

from __future__ import annotations

from typing import NamedTuple


class Line(NamedTuple):
    """One expected operation of this rank.

    size: (rows, inner, outer) of a matmul, (FLOP,) of attention, () of a pass over activations ("stream"), (bytes,) of a
    collective, in nccl-tests' convention. A collective's ranks are those of its group on axis; 2 for send and recv.
    """

    name: str
    kind: str
    size: tuple[int, ...] = ()
    axis: str = ""
    ranks: int = 1
    varies: bool = False
    """The first number of size depends on data, and is an expectation."""

    def __str__(self) -> str:
        unit = {"matmul": "rows × inner × outer", "attention": "FLOP", "stream": ""}.get(self.kind, "bytes")
        group = f" over {self.ranks} ranks of {self.axis}" if self.axis else ""
        about = "about " if self.varies else ""
        return f"{self.name}: {self.kind} {about}{' × '.join(map(str, self.size))} {unit}".rstrip() + group
