"""What one asks of a cost law, checked: bytes, ranks, nodes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from inferometer.emulator.aliases import Array
from inferometer.emulator.errors import InputError


def query_arrays(bytes: ArrayLike, ranks: ArrayLike, nodes: ArrayLike) -> tuple[Array, Array, Array]:
    """bytes, ranks and nodes, broadcast to one shape.

    Raises InputError for what is no number, shapes that do not go together, negative sizes, ranks or nodes below 1, and
    fewer ranks than nodes.
    """
    try:
        n, r, N = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (bytes, ranks, nodes)))
    except (TypeError, ValueError) as error:
        raise InputError(f"bytes, ranks and nodes must be numbers whose shapes go together: {error}") from error
    for name, values, low in (("bytes", n, 0), ("ranks", r, 1), ("nodes", N, 1)):
        wrong = ~(np.isfinite(values) & (values >= low))
        if wrong.any():
            raise InputError(f"{name} must be finite and at least {low}, got {values[wrong].ravel()[0]:g}")
    if (r < N).any():
        raise InputError(f"fewer ranks than nodes: {r[r < N].ravel()[0]:g} < {N[r < N].ravel()[0]:g}")
    return n, r, N
