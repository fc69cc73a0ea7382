"""One process at a time for a file of samples: a second one is refused, with the name of the first."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from inferometer.emulator.errors import InputError, reason_of


@contextmanager
def alone_with(*paths: Path) -> Iterator[None]:
    """Nobody else measures into these files meanwhile. Raises InputError that names the process that does.

    ``.NAME.lock`` beside each holds the lock of the kernel, which ends with the process, however that ends; the file goes
    with the lock in order.
    """
    held: list[tuple[Path, TextIO]] = []
    try:
        for path in paths:
            held.append(_locked(path.resolve()))
        yield
    finally:
        for lock, file in held:
            with suppress(OSError):
                lock.unlink()
            file.close()


def _locked(path: Path) -> tuple[Path, TextIO]:
    lock = path.with_name(f".{path.name}.lock")
    while True:
        try:
            file = lock.open("a+", encoding="utf-8")
        except OSError as error:
            raise InputError(f"{path}: cannot be written: {reason_of(error)}") from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip()
            file.close()
            raise InputError(f"{path}: in use by {holder or 'another process'}: wait for it, or name another -o") from None
        except OSError:  # a file system without locks
            return lock, file
        if _same_file(lock, file):
            file.truncate(0)
            file.write(f"process {os.getpid()} since {time.strftime('%H:%M:%S')} on {os.uname().nodename}")
            file.flush()
            return lock, file
        file.close()  # its last holder took it away between opening and locking


def _same_file(lock: Path, file: TextIO) -> bool:
    try:
        return lock.stat().st_ino == os.fstat(file.fileno()).st_ino
    except OSError:
        return False
