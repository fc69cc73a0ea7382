"""Files that come from anywhere, read in bounded memory: as lines or as one JSON document."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from inferometer.emulator.errors import InputError
from inferometer.emulator.regular import check_regular

MAX_LINE_BYTES = 1 << 16
"""Longer lines are no line of any benchmark; they are passed over."""
MAX_DOCUMENT_BYTES = 64 << 20
MAX_ROWS = 200_000
"""Far more than a sweep has; what a file with more of them is, is not known."""


class Source:
    """One input file: its lines, and after they were read to the end, its hash."""

    def __init__(self, path: str | Path) -> None:
        """Raises ``InputError`` for a path that is no readable regular file (a fifo would block for ever)."""
        self.path = Path(path)
        self._hash = hashlib.sha256()
        self.cut_off = False
        """Whether the last line had no line end."""
        check_regular(self.path)

    def __str__(self) -> str:
        return str(self.path).encode(errors="replace").decode()

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def chunks(self) -> Iterator[bytes]:
        """Pieces of at most `MAX_LINE_BYTES`, each ending at a line end where there is one in reach."""
        try:
            with self.path.open("rb") as file:
                yield from self._pieces(file)
        except OSError as error:
            raise InputError(f"{self}: cannot be read: {error.strerror}") from None

    def _pieces(self, file: BinaryIO) -> Iterator[bytes]:
        while piece := file.readline(MAX_LINE_BYTES):
            self._hash.update(piece)
            yield piece

    def lines(self) -> Iterator[tuple[int, str]]:
        """Line number, line without its end. Raises ``InputError`` for an empty file and for one that is not text."""
        number, whole = 1, True
        for piece in self.chunks():
            if b"\0" in piece:
                raise InputError(f"{self}: not text: line {number} holds a zero byte")
            ends = piece.endswith(b"\n")
            if whole and (ends or len(piece) < MAX_LINE_BYTES):
                text = piece.decode("utf-8", errors="replace")
                yield number, text.lstrip("\ufeff").rstrip("\r\n")
            number, whole, self.cut_off = number + ends, ends, not ends
        if number == 1 and whole:
            raise InputError(f"{self}: the file is empty")

    def starts_like_json(self) -> bool:
        """Whether the first line opens a JSON document: an object, or a list of objects."""
        start = next(Source(self.path).chunks(), b"").lstrip(b"\xef\xbb\xbf \t\r\n")
        if start.strip() in (b"{", b"["):
            return True
        return re.match(rb'\{\s*["}]|\[\s*[\]{]', start) is not None  # [1,0] is a launcher's prefix

    def json(self) -> Any:
        """The file as one JSON document. Raises ``InputError`` where it is none, or larger than `MAX_DOCUMENT_BYTES`."""
        content = bytearray()
        for piece in self.chunks():
            content += piece
            if len(content) > MAX_DOCUMENT_BYTES:
                raise InputError(f"{self}: larger than {MAX_DOCUMENT_BYTES >> 20} MiB, too large for one JSON document")
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:  # no JSON, not text, a number too long, brackets too deep
            what = "brackets too deep" if isinstance(error, RecursionError) else error
            raise InputError(f"{self}: not JSON: {what}") from None
