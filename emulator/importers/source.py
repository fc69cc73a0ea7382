"""Files that come from anywhere, read in bounded memory: as lines or as one JSON document."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import lzma
import re
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Any, BinaryIO

from inferometer.emulator.errors import InputError
from inferometer.emulator.regular import check_regular

MAX_LINE_BYTES = 1 << 16
"""Longer lines are no line of any benchmark; they are passed over."""
MAX_DOCUMENT_BYTES = 64 << 20
MAX_UNPACKED_BYTES = 4 << 30
"""Of a compressed file."""
MAX_ROWS = 200_000
"""Far more than a sweep has; what a file with more of them is, is not known."""
BLOCK_BYTES = 1 << 18
HEAD_BYTES = 1 << 13
"""How much of a file tells what it is."""

CONTAINER_LOG = b'{"log":'
POINTER = b"version https://git-lfs.github.com/spec/"
MAGIC: dict[bytes, Callable[..., Any]] = {b"\xfd7zXZ\x00": lzma.open, b"\x1f\x8b": gzip.open, b"BZh": bz2.open}
BROKEN = (OSError, EOFError, lzma.LZMAError, zlib.error, ValueError)
"""What the decompressors raise for a file that is cut or damaged."""


STDIN = "-"


class Source:
    """One input file: its lines, and after they were read to the end, its hash. xz, gzip and bzip2 are unpacked.

    ``-`` is standard input, kept in a temporary file that has no name.
    """

    def __init__(self, path: str | Path) -> None:
        """Raises ``InputError`` for a path that is no readable regular file (a fifo would block for ever), and for the
        pointer that Git LFS leaves where a file was not downloaded."""
        self.path = Path(path)
        self.sha256 = ""
        """Of the file, once it was read to the end."""
        self.cut_off = False
        """Whether the last line had no line end."""
        self._spooled = _spooled(sys.stdin.buffer) if str(path) == STDIN else None
        if self._spooled is None:
            check_regular(self.path)
        try:
            with self._opened() as file:
                start = file.read(HEAD_BYTES)
        except OSError as error:
            raise InputError(f"{self}: cannot be read: {error.strerror}") from None
        if start.startswith(POINTER):
            raise InputError(f"{self}: a Git LFS pointer, not the file itself: fetch it with 'git lfs pull'")
        self._unpack = next((unpack for magic, unpack in MAGIC.items() if start.startswith(magic)), None)
        self.head = start if self._unpack is None else self._unpacked_head()
        """The first bytes of the contents."""

    def __str__(self) -> str:
        return "stdin" if self._spooled is not None else str(self.path).encode(errors="replace").decode()

    def _opened(self) -> AbstractContextManager[IO[bytes]]:
        """The file as it lies there, from its start."""
        if self._spooled is None:
            return self.path.open("rb")
        self._spooled.seek(0)
        return nullcontext(self._spooled)

    def _unpacked_head(self) -> bytes:
        assert self._unpack is not None
        try:
            with self._opened() as packed, self._unpack(packed, "rb") as file:
                return bytes(file.read(HEAD_BYTES))
        except BROKEN as error:
            raise InputError(f"{self}: cannot be unpacked: {error}") from None

    def chunks(self) -> Iterator[bytes]:
        """The contents in pieces of `BLOCK_BYTES`. The hash is of the file as it lies there, packed or not."""
        try:
            digest = hashlib.sha256()
            with self._opened() as file:
                while piece := file.read(BLOCK_BYTES):
                    digest.update(piece)
                    if self._unpack is None:
                        yield piece
            self.sha256 = digest.hexdigest()
        except OSError as error:
            raise InputError(f"{self}: cannot be read: {error.strerror}") from None
        if self._unpack is not None:
            yield from self._unpacked()

    def _unpacked(self) -> Iterator[bytes]:
        assert self._unpack is not None
        try:
            unpacked = 0
            with self._opened() as packed, self._unpack(packed, "rb") as file:
                while piece := file.read(BLOCK_BYTES):
                    unpacked += len(piece)
                    if unpacked > MAX_UNPACKED_BYTES:
                        raise InputError(f"{self}: unpacks to more than {MAX_UNPACKED_BYTES >> 30} GiB")
                    yield bytes(piece)
        except BROKEN as error:
            raise InputError(f"{self}: cannot be unpacked: {error}") from None

    def line_blocks(self) -> Iterator[tuple[int, bytes]]:
        """Number of the first line, whole lines in one piece, each with its end but perhaps the file's last.

        A line longer than `MAX_LINE_BYTES` comes as an empty one. Raises ``InputError`` for an empty file and for one that
        is not text.
        """
        number, rest, too_long = 1, b"", False
        for chunk in self.chunks():
            if b"\0" in chunk:
                at = number + chunk.count(b"\n", 0, chunk.index(b"\0"))
                raise InputError(f"{self}: not text: line {at} holds a zero byte")
            end = chunk.rfind(b"\n") + 1
            if end == 0:
                rest += chunk if not too_long else b""
            else:
                block = chunk[chunk.index(b"\n") :] if too_long else rest + chunk
                cut = len(block) - (len(chunk) - end)
                block, rest, too_long = block[:cut], block[cut:], False
                yield number, _without_long(block)
                number += block.count(b"\n")
            if len(rest) > MAX_LINE_BYTES:
                rest, too_long = b"", True
        self.cut_off = bool(rest) or too_long
        if rest:
            yield number, rest
        elif number == 1 and not too_long:
            raise InputError(f"{self}: the file is empty")

    def lines(self) -> Iterator[tuple[int, str]]:
        """Number and text of each line with something in it, without its end. Raises as `line_blocks`."""
        for first, block in self.line_blocks():
            for number, line in enumerate(block.split(b"\n"), first):
                if line:
                    yield number, text_of(line)

    def head_lines(self) -> list[str]:
        """The first lines, as far as `HEAD_BYTES` go."""
        return [text_of(line) for line in self.head.split(b"\n")]

    def starts_like_json(self) -> bool:
        """Whether the file opens a JSON document: an object, or a list of objects."""
        start = self.head.lstrip(b"\xef\xbb\xbf \t\r\n")
        if start.startswith(CONTAINER_LOG):
            return False  # lines of text, each in an object
        return re.match(rb'\{\s*(?:["}]|$)|\[\s*(?:[\]{]|$)', start) is not None  # [1,0] is a launcher's prefix

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

    def json_lines(self) -> Iterator[tuple[int, Any]]:
        """A JSON value from each line that is not blank; commas at its ends are passed over (fragments of a list)."""
        for number, line in self.lines():
            text = line.strip().strip(",")
            if not text:
                continue
            try:
                yield number, json.loads(text)
            except (ValueError, RecursionError):
                raise InputError(f"{self}: line {number} is not JSON") from None

    def json_objects(self) -> Iterator[tuple[int, Any]]:
        """JSON values one after the other, each on a line or on several: number of the last line, value.

        Raises ``InputError`` where they are none, or one is longer than `MAX_LINE_BYTES`.
        """
        held: list[str] = []
        length = depth = first = 0
        for number, line in self.lines():
            text = line if held else line.strip().strip(",")
            if not text.strip():
                continue
            first = first if held else number
            held.append(text)
            length += len(text)
            depth += text.count("{") + text.count("[") - text.count("}") - text.count("]")
            if depth > 0 and length <= MAX_LINE_BYTES:
                continue
            try:
                yield number, json.loads("\n".join(held).strip().strip(","))
            except (ValueError, RecursionError):
                raise InputError(f"{self}: line {first} is not JSON") from None
            held, length, depth = [], 0, 0
        if held:
            raise InputError(f"{self}: line {first}: the file ends in a JSON value")

    def open(self) -> BinaryIO:
        """The contents as a file in memory, for readers that need to seek; refused above `MAX_DOCUMENT_BYTES`."""
        content = io.BytesIO()
        for piece in self.chunks():
            content.write(piece)
            if content.tell() > MAX_DOCUMENT_BYTES:
                raise InputError(f"{self}: larger than {MAX_DOCUMENT_BYTES >> 20} MiB")
        content.seek(0)
        return content


def _spooled(stream: BinaryIO) -> IO[bytes]:
    """All of a stream, as a file that can be read again."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the source)
    try:
        while piece := stream.read(BLOCK_BYTES):
            file.write(piece)
            if file.tell() > MAX_UNPACKED_BYTES:
                raise InputError(f"stdin: more than {MAX_UNPACKED_BYTES >> 30} GiB")
    except OSError as error:
        raise InputError(f"stdin: cannot be read: {error.strerror}") from None
    return file


def text_of(line: bytes) -> str:
    """Of a line, or of several."""
    return line.decode("utf-8", errors="replace").lstrip("\ufeff").rstrip("\r")


def _without_long(block: bytes) -> bytes:
    """A block of whole lines, those longer than `MAX_LINE_BYTES` emptied."""
    if len(block) <= MAX_LINE_BYTES:
        return block
    start = 0
    while (end := block.rfind(b"\n", start, start + MAX_LINE_BYTES + 1)) >= 0:
        start = end + 1
        if start + MAX_LINE_BYTES >= len(block):
            return block
    return b"\n".join(line if len(line) <= MAX_LINE_BYTES else b"" for line in block.split(b"\n"))
