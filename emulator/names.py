"""What someone may have meant by a name that is not known; how text of others is shown."""

from __future__ import annotations

import re
from collections.abc import Iterable

CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
"""What a terminal would obey instead of showing it. Names in files and lines of logs may hold any of them."""


def visible(text: str) -> str:
    """The text with its control characters, line ends and tabs excepted, spelt out."""
    return text.translate(CONTROLS)


TUNED = re.compile(r"[-_ ](instruct|chat|it|base|hf|v0\.\d)$")
"""Ends of a name on the Hugging Face Hub that change a model's weights, not its shape."""


def spelling(name: str) -> str:
    """What a name shares with its other spellings: no organisation, case, separators, no end that says how it is tuned."""
    plain = name.strip().lower().rpartition("/")[2].removeprefix("meta-")
    while TUNED.search(plain):
        plain = TUNED.sub("", plain)
    return re.sub(r"[-_. ]", "", plain)


def named(name: str, known: Iterable[str]) -> str | None:
    """The known name that this is, in any case, with any separators; None where it is none, or could be several."""
    names = list(known)
    if name in names:
        return name
    found = [other for other in names if spelling(other) == spelling(name)] if len(name) <= 200 else []
    return found[0] if len(found) == 1 else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`` (did you mean h100-sxm?)``, or nothing where no known name is close. Names that go on as name does come first."""
    from difflib import get_close_matches

    names = list(known)
    longer = [other for other in names if name and other.startswith(name.lower())]
    close = longer or get_close_matches(name[:100].lower(), names, n=1)
    return f" (did you mean {close[0]}?)" if close else ""
