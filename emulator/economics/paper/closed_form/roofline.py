"""A dense model on one device at short context: parameters read once per step, two FLOP per parameter and token."""

from __future__ import annotations

import numpy as np

from inferometer.emulator.workload.program import Size

FLOP_PER_PARAM = 2
"""A multiplication with its addition."""


def flop_per_token(params: Size) -> Size:
    """FLOP of a forward pass per token, attention scores left out: 2 N_param (Erdil, section 2.1)."""
    return FLOP_PER_PARAM * params


def weights_bytes(params: Size, bytes_per_param: Size) -> Size:
    """Bytes of all parameters: p N_param."""
    return bytes_per_param * params


def read_s(bytes: Size, memory_bytes_per_s: Size) -> Size:
    """Seconds to read bytes from memory once."""
    return bytes / memory_bytes_per_s


def token_latency_s(params: Size, bytes_per_param: Size, batch: Size, flop_per_s: Size, memory_bytes_per_s: Size) -> Size:
    """Seconds per token of each sequence: max(p N_param / B, 2 N_param b / C) (Erdil, eq. 1)."""
    weights_s = read_s(weights_bytes(params, bytes_per_param), memory_bytes_per_s)
    return np.maximum(weights_s, flop_per_token(params) * batch / flop_per_s)


def gpu_seconds_per_token(
    params: Size, bytes_per_param: Size, batch: Size, flop_per_s: Size, memory_bytes_per_s: Size
) -> Size:
    """Device seconds per token: the token latency over the batch (Erdil, eq. 2)."""
    return token_latency_s(params, bytes_per_param, batch, flop_per_s, memory_bytes_per_s) / batch


def critical_batch(bytes_per_param: Size, flop_per_s: Size, memory_bytes_per_s: Size) -> Size:
    """Tokens per step at which reads and arithmetic take equally long: b* = p C / (2 B) (Erdil, section 2.1).

    The same number is the length from which the prompt of one sequence is bound by arithmetic.
    """
    return bytes_per_param * ops_per_byte(flop_per_s, memory_bytes_per_s) / FLOP_PER_PARAM


def ops_per_byte(flop_per_s: Size, memory_bytes_per_s: Size) -> Size:
    """FLOP a device can do while it reads one byte (Baseten, "ops:byte ratio")."""
    return flop_per_s / memory_bytes_per_s


def utilisation(flop_per_s_done: Size, flop_per_s: Size) -> Size:
    """Fraction of a rate of FLOP/s that is made use of."""
    return flop_per_s_done / flop_per_s
