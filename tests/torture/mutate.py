"""Damaged variants of a file's text, each determined by its seed."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable

VALUES = [
    "null", "true", "false", "0", "-1", "1", "0.5", "1e308", "-1e308", "1e-308", "1e999", "NaN", "Infinity", "9" * 400, "[]",
    "{}", '""', '"0.4"', '"x"', '"\\u001b[31mred"', '"\\ud800"', '"a\\u0000b"', "[[[[]]]]", "18446744073709551616",
    "-0", "2147483648", '"µ"', "[1, 2, 3]", '{"a": 1}', "[" * 2000 + "]" * 2000,
]  # fmt: skip
"""What may stand where a number or a text belongs."""

_VALUE = re.compile(r"(?<=[:=\[,] )(-?\d[\d.eE+-]*|\"[^\"\n]*\"|true|false|null)")


def value_for_another(text: str, rng: random.Random) -> str:
    """One value of the document is another."""
    found = list(_VALUE.finditer(text))
    if not found:
        return text
    at = rng.choice(found)
    return text[: at.start()] + rng.choice(VALUES) + text[at.end() :]


def key_for_another(text: str, rng: random.Random) -> str:
    """One key is doubled, renamed or gone, with its line."""
    lines = text.splitlines(keepends=True)
    at = rng.randrange(len(lines))
    chosen = rng.choice(("double", "drop", "rename", "swap"))
    if chosen == "double":
        lines.insert(at, lines[at])
    elif chosen == "drop":
        del lines[at]
    elif chosen == "rename":
        lines[at] = lines[at].replace("_", "-", 1) if "_" in lines[at] else f"x{lines[at]}"
    else:
        other = rng.randrange(len(lines))
        lines[at], lines[other] = lines[other], lines[at]
    return "".join(lines)


def cut(text: str, rng: random.Random) -> str:
    """The file ends early."""
    return text[: rng.randrange(len(text) + 1)]


def bytes_for_others(text: str, rng: random.Random) -> bytes:
    """A few bytes are others, as a bad disk leaves them."""
    content = bytearray(text.encode())
    for _ in range(rng.choice((1, 1, 2, 8))):
        if content:
            content[rng.randrange(len(content))] = rng.choice(
                (0, 9, 10, 27, 34, 44, 91, 92, 123, 125, 255, rng.randrange(256))
            )
    return bytes(content)


def nested(text: str, rng: random.Random) -> str:
    """Something very deep, or very long, in front."""
    deep = rng.choice(("[", '{"a":', "a = [")) * rng.choice((500, 5000, 100_000))
    return rng.choice((deep, deep + text, json.dumps("x" * 100_000) + text))


MUTATIONS: tuple[Callable[[str, random.Random], str | bytes], ...] = (
    value_for_another, value_for_another, value_for_another, key_for_another, cut, bytes_for_others, nested,
)  # fmt: skip


def mutated(text: str, seed: int) -> bytes:
    """One of the variants of the text, once in five times of a variant."""
    rng = random.Random(seed)
    made = rng.choice(MUTATIONS)(text, rng)
    if isinstance(made, str) and made and rng.random() < 0.2:
        made = rng.choice(MUTATIONS[:5])(made, rng)
    return made if isinstance(made, bytes) else made.encode(errors="surrogatepass")
