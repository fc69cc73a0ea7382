"""Files to read must be regular ones: a fifo would block for ever, a device never end."""

from __future__ import annotations

import stat
from pathlib import Path

from inferometer.emulator.errors import InputError


def state_of(path: Path) -> tuple[int, int, int] | None:
    """What tells one state of a file from another: when it was changed, its size, its inode. None of what is not there."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def check_regular(path: Path) -> None:
    """Raise ``InputError`` for a path that is no regular file, or is not there."""
    name = shown_path(path)
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        raise InputError(f"{name}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not stat.S_ISREG(mode):
        raise InputError(f"{name}: cannot be read: is {'a directory' if stat.S_ISDIR(mode) else 'no regular file'}")


def shown_path(path: str | Path) -> str:
    """A path as a message can hold it: without halves of surrogate pairs, and not longer than a line."""
    name = str(path).encode(errors="replace").decode()
    return "stdin" if name == "-" else name if len(name) <= 200 else f"{name[:160]}…{name[-30:]}"
