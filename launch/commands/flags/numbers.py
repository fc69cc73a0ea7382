"""Numbers that flags take."""

from __future__ import annotations

import argparse

MOST = 1e12
"""Nobody has more tokens, devices, dollars than this."""


def positive(text: str) -> float:
    """A finite number above 0."""
    value = number(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text} must be above 0")
    return value


def number(text: str) -> float:
    """A finite number, not negative."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not 0 <= value <= MOST:
        raise argparse.ArgumentTypeError(f"{text} must be a number from 0 to {MOST:g}")
    return value


def count(text: str) -> int:
    """A whole number of devices or sequences."""
    value = number(text)
    if value < 1 or value != int(value):
        raise argparse.ArgumentTypeError(f"{text} must be a whole number, at least 1")
    return int(value)
