"""The quantities of a computation that its time may depend on. Probes record them, fits and prices read them: the same here.

Sizes are per rank; numbers, or arrays that broadcast, as in the program.
"""

from __future__ import annotations

from inferometer.emulator.workload.operations import Compute, Size

#: Those of a matmul alone, and all.
MATMUL = ("rows", "inner", "outer", "matrices", "routed")
SIZES = (*MATMUL, "flop", "weight_bytes", "activation_bytes", "kv_bytes", "context", "head_dim")


def operation_sizes(op: Compute) -> dict[str, Size]:
    """By SIZES: of a matmul rows × inner by inner × outer, the matrices that the rows are spread over and whether at random
    (0 of other operations); FLOP, the bytes of weights, activations and cache it moves, and attention's context and
    head width."""
    rows, inner, outer = op.matmul or (0.0, 0.0, 0.0)
    sizes: dict[str, Size] = {"rows": rows, "inner": inner, "outer": outer}
    sizes |= {"matrices": op.matrices if op.matmul else 0.0, "routed": op.routed}
    return sizes | {name: getattr(op, name) for name in SIZES if name not in sizes}


def input_sizes(op: Compute, element_bytes: float) -> dict[str, Size]:
    """Of the glue before an operation: the bytes of its input, which are the rows of a matmul, else all the activations it
    moves; and the matrices that a matmul's rows are spread over. element_bytes: of an activation."""
    sizes = operation_sizes(op)
    own = sizes["rows"] * sizes["inner"] * element_bytes if op.matmul else op.activation_bytes
    return {"activation_bytes": own, "matrices": sizes["matrices"]}
