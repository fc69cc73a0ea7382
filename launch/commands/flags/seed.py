"""What a --seed takes."""

from __future__ import annotations

import argparse


def seed(text: str) -> int:
    """A whole number from 0, as numpy's generators take it."""
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)
