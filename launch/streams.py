"""The standard streams of a command: they take any text, show no control characters of others, and fail in one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

from inferometer.emulator.errors import InputError, reason_of
from inferometer.emulator.names import visible


class Visible:
    """A stream that shows control characters instead of sending them to a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(visible(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @property
    def terminal(self) -> TextIO:
        """The stream itself, for whoever moves the cursor and shows no text of others."""
        return self._stream


def terminal_of(stream: TextIO) -> TextIO:
    """The stream below a `Visible` one."""
    return stream.terminal if isinstance(stream, Visible) else stream


@contextmanager
def guarded_streams() -> Iterator[None]:
    """Run with streams that can hold whatever is printed. Raises InputError where stdout is closed, full or broken."""
    closed = sys.stdout is None
    before = sys.stdout, sys.stderr
    _occupy_closed()
    sys.stdout, sys.stderr = (cast(TextIO, Visible(_taking_any_text(stream))) for stream in (sys.stdout, sys.stderr))
    try:
        if closed:
            raise InputError("stdout is closed")
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        _to_nowhere()
        raise
    except OSError as error:
        if not _full(error):
            raise
        _to_nowhere()
        raise InputError(f"stdout: cannot be written: {reason_of(error)}") from error
    finally:
        if before[0] is not None and before[1] is not None:
            sys.stdout, sys.stderr = before


def _taking_any_text(stream: TextIO) -> TextIO:
    """The stream, with a ? for what its encoding lacks (an ASCII locale has no µ) instead of an error."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")
    return stream


def _occupy_closed() -> None:
    """Open what of 0, 1 and 2 is closed: the next file opened would take its place, and be printed into."""
    for number, mode in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)
    sys.stdout = _nowhere() if sys.stdout is None else sys.stdout
    sys.stderr = _nowhere() if sys.stderr is None else sys.stderr


def _nowhere() -> TextIO:
    return os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")


def _full(error: OSError) -> bool:
    """Whether it is stdout that cannot take what was printed: a file's error names the file."""
    return error.filename is None


def _to_nowhere() -> None:
    """What is left in stdout's buffer would fail once more when Python ends."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
