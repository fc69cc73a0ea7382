"""The quantities of a computation that its time may depend on. Probes record them, fits and prices read them: the same here.

Sizes are per rank; numbers, or arrays that broadcast, as in the program.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from inferometer.emulator.workload.operations import Compute, Size

#: Those of a matmul alone, and all.
MATMUL = ("rows", "inner", "outer", "matrices", "routed")
SIZES = (*MATMUL, "flop", "weight_bytes", "activation_bytes", "kv_bytes", "context", "head_dim")


def operation_row(op: Compute) -> tuple[Size, ...]:
    """In the order of SIZES: of a matmul rows × inner by inner × outer, the matrices that the rows are spread over, whether
    at random (0 of other operations); FLOP, the bytes of weights, activations and cache moved, attention's context and
    head width."""
    rows, inner, outer = op.matmul or (0.0, 0.0, 0.0)
    matrices = op.matrices if op.matmul else 0.0
    moved = op.weight_bytes, op.activation_bytes, op.kv_bytes
    return rows, inner, outer, matrices, op.routed, op.flop, *moved, op.context, op.head_dim


def operation_sizes(op: Compute) -> dict[str, Size]:
    """`operation_row` by SIZES."""
    return dict(zip(SIZES, operation_row(op)))


def input_sizes(sizes: Mapping[str, Any], element_bytes: float) -> dict[str, Any]:
    """Of the glue before an operation of these sizes: the bytes of its input, which are the rows of a matmul, else all the
    activations it moves; and the matrices that a matmul's rows are spread over. element_bytes: of an activation."""
    matmul = np.asarray(sizes["inner"]) > 0
    own = np.where(matmul, sizes["rows"] * sizes["inner"] * element_bytes, sizes["activation_bytes"])
    return {"activation_bytes": own, "matrices": sizes["matrices"]}
