"""Rows of text as aligned columns, and paragraphs, no wider than a terminal."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence
from typing import TextIO

WIDTH = 100
"""Characters of a line of the summaries."""


def aligned(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """The rows, all of one length, as lines with two spaces between columns; ``right``: columns aligned to the right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    signs = [">" if at in right else "<" for at in range(len(widths))]
    return ["  ".join(f"{text:{s}{w}}" for text, s, w in zip(row, signs, widths)).rstrip() for row in rows]


def wrapped(text: str, indent: str = "") -> list[str]:
    """A paragraph: its first line begins with indent, the others with as many spaces and two more."""
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=" " * len(indent) + "  ")


def folded(text: str, stream: TextIO) -> str:
    """The text as the stream shows it best: on a terminal folded at blanks to its width, elsewhere as it is."""
    if not stream.isatty():
        return text
    width = shutil.get_terminal_size().columns
    return textwrap.fill(text, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def with_interval(value: float, ci95: tuple[float, float] | None, scale: float = 1.0) -> str:
    """``163 [142, 187]``: a value and its 95 % interval, both times scale, three significant digits."""
    text = f"{value * scale:.3g}"
    return f"{text} [{ci95[0] * scale:.3g}, {ci95[1] * scale:.3g}]" if ci95 else text
