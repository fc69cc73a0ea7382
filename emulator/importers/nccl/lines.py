"""The lines of a log that a table of nccl-tests can be made of, found among the millions of a debug log."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from inferometer.emulator.importers.source import Source, text_of

LONGEST_TABLE_LINE = 2048
TYPES = r"float|half|double|bfloat16|bf16|fp16|fp32|u?int(?:8|16|32|64)?|char|(?:fp8|f8)_?e\dm\d\w*"
DEBUG = "CCL INFO"
"""In every message of the library's own log, which has no piece of a table unless one is torn into it."""
_ROW = re.compile(rf"\d\s+(?:{TYPES})\s")
_BEGINNINGS = frozenset(("nThr", "Rank", "size", "byte", "Avg ", "Out ", "nccl", "rccl", "Coll", "Devi", "in-p"))
"""Of the lines of a run's head and footer, whose # may have been lost."""
_ENDINGS = frozenset("0123456789A")
"""Of a row: a number or N/A."""


def table_lines(source: Source) -> Iterator[tuple[int, str]]:
    """Number and text of each line that a table, its head, device list or footer may be, or a fragment of them."""
    for first, block in source.line_blocks():
        text = text_of(block)
        if "#" not in text and text.count(DEBUG) == text.count("\n"):
            found = _in_messages(text)
        else:
            found = _in_any(text.split("\n"))
        for at, line in found:
            if len(line) <= LONGEST_TABLE_LINE:
                yield first + at, line.rstrip("\r")


def _in_messages(text: str) -> Iterable[tuple[int, str]]:
    """Of whole lines that are all messages: those with a row in them, or with the library's version."""
    at = 0
    while (at := text.find("  ", at)) >= 0:
        end = text.find("\n", at)
        line = text[text.rfind("\n", 0, at) + 1 : end]
        if _ROW.search(line):
            yield text.count("\n", 0, at), line
        at = end
    if (at := text.find("CCL version")) >= 0:
        yield text.count("\n", 0, at), text[text.rfind("\n", 0, at) + 1 : text.find("\n", at)]


def _in_any(lines: list[str]) -> Iterable[tuple[int, str]]:
    # plain searches, the cheapest first: a pattern of all these words takes ten times as long, and the lines are many
    return [
        (at, line)
        for at, line in enumerate(lines)
        if "#" in line
        or (start := line.lstrip(" \t>")[:4]) in _BEGINNINGS
        or (start[:1].isdigit() and (DEBUG not in line or _ROW.search(line)))
        or (line.rstrip()[-1:] in _ENDINGS and _ROW.search(line))
        or "_perf" in line
        or "CCL version" in line
        or "maxBytes to" in line
        or line.startswith('{"log":')
    ]
