"""The lines of a log that a table of nccl-tests can be made of, found among the millions of a debug log."""

from __future__ import annotations

import re
from collections.abc import Iterator

from inferometer.emulator.importers.source import Source, text_of

LONGEST_TABLE_LINE = 2048
TYPES = rb"float|half|double|bfloat16|bf16|fp16|fp32|u?int(?:8|16|32|64)?|char|(?:fp8|f8)_?e\dm\d\w*"
_ROW = re.compile(rb"\d\s+(?:" + TYPES + rb")\s")
_WORDS = re.compile(
    rb"#|nThread|Rank\s+\d|size\s+count|bytes\s+N\s|Out of bounds|Avg bus|Collective test|ccl-tests|_perf|_test"
    rb"|CCL version|maxBytes to"
    rb"|^[\s>]*\d|^\[\d+\][\s:]+\d|\d\s+(?:" + TYPES + rb")\s"
)


def table_lines(source: Source) -> Iterator[tuple[int, str]]:
    """Number and text of each line that a table, its head, device list or footer may be, or a fragment of them."""
    words = _WORDS.search
    for first, lines in source.blocks():
        for at, line in enumerate(lines):
            # a library's own message, unless a piece of a table is torn into it
            if b"CCL INFO" in line and b"#" not in line and (b"  " not in line or _ROW.search(line) is None):
                if b"CCL version" not in line:
                    continue
            elif len(line) > LONGEST_TABLE_LINE or words(line) is None:
                continue
            yield first + at, text_of(line)
