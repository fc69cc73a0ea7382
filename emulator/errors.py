"""The errors a user can meet, and the exit status each stands for."""

from __future__ import annotations


class InputError(Exception):
    """Bad usage or bad input: exit status 2, one line that names the file, the key and the arithmetic."""


class RunFailed(Exception):
    """The command ran and found a failure (wrong data, a dead rank, a failed bound): exit status 1."""


def reason_of(error: BaseException) -> str:
    """Why an operation on a file failed, in the system's words where it has some."""
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
