"""The formats of served weights."""

from __future__ import annotations

from typing import Literal, get_args

Weights = Literal["checkpoint", "bf16", "fp8", "nvfp4", "int4"]
"""In which format matrices are stored: as the model's own checkpoint has them, or another checkpoint of it."""
WEIGHTS: tuple[Weights, ...] = get_args(Weights)
