"""The data that collectives are checked with: small whole numbers, exact in every dtype and in any order of summation.

Rank s holds the pattern (7 i + 31 s) mod m, i the index of the element.
"""

from __future__ import annotations

import numpy as np

PERIOD = 1021
"""Length of the repeating pattern: prime, so that no segment or shard boundary falls on it."""
EXACT = 256
"""Whole numbers up to here are exact in bfloat16 (8 bits of mantissa), the coarsest dtype measured."""


def moved(rank: int, count: int, start: int = 0) -> np.ndarray:
    """Elements start … start + count of what a rank sends, int16 [count]."""
    return _tile(_table(rank, 251), count, start)


def summand(rank: int, size: int, count: int) -> np.ndarray:
    """What a rank adds to a sum over ``size`` ranks, int16 [count]."""
    return _tile(_summand_table(rank, size), count)


def total(size: int, count: int, start: int = 0) -> np.ndarray:
    """Elements start … start + count of the sum of every rank's ``summand``, int16 [count]."""
    tables = np.stack([_summand_table(rank, size) for rank in range(size)])
    return _tile(tables.sum(axis=0, dtype=np.int16), count, start)


def received(matrix: np.ndarray, rank: int) -> np.ndarray:
    """What rank receives when rank i sends it matrix[i, rank] elements of its data, blocks in the order of i."""
    starts = np.cumsum(matrix, axis=1) - matrix
    return np.concatenate([moved(i, int(matrix[i, rank]), int(starts[i, rank])) for i in range(len(matrix))])


def nothing() -> np.ndarray:
    return np.zeros(0, np.int16)


def _table(rank: int, modulus: int) -> np.ndarray:
    return ((7 * np.arange(PERIOD) + 31 * rank) % modulus).astype(np.int16)


def _tile(table: np.ndarray, count: int, start: int = 0) -> np.ndarray:
    return np.resize(np.roll(table, -(start % PERIOD)), count)


def _summand_table(rank: int, size: int) -> np.ndarray:
    """Summed over the group these stay within EXACT: small values, and beyond EXACT ranks only zeros."""
    return _table(rank, max(2, EXACT // size)) if rank < EXACT else np.zeros(PERIOD, np.int16)
