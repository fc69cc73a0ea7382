"""The glossary of docs/architecture.md is kept: retired words stay out of comments, strings, help, records and pages."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.places import ROOT

SOURCES = ("parallel", "emulator", "launch", "inferometer", "benchmarks", "tests")
PAGES = ("README.md", "CHANGELOG.md", "Makefile", "docs/*.md", "configs/**/*.toml")
"""docs/history is a record of earlier runs."""

#: Pattern, what is said instead, a phrase that must be found, one that must not.
RETIRED = (
    (
        r"\b(?:is|are|was|were|be|model) told\b(?! to\b)|\btold (?:long|short|apart|by|over)\b",
        "predicted, over-predicted, under-predicted, distinguished",
        "steps were told 13 % short",
        "a rank that was told to end",
    ),
    (r"\bforet(?:ell|ells|old|elling)\b", "predict", "a time foretold", "a time predicted"),
    (
        r"\b(?:times?|us|µs|ms|taken|takes?|told|tells?|them|waiting) apart\b|\bapart_us\b|(?:``|`|\b)apart(?:``|`)?:",
        "compute gap; separated, distinguished",
        "3.5 % of the time apart",
        "so that they cannot drift apart",
    ),
    (
        r"\bways? to (?:(?:an?|the|each|every) (?:operation|computation|matmul)|it|one|each|experts)\b"
        r"|\bon the way (?:to|from) |\b(?:of|for single|over both|over all|16) ways?\b(?! to be| together)|\bway_on\b",
        "predecessors",
        "a law for each way to it",
        "every way to be wrong; links one way; 900 GB/s both ways together",
    ),
    (
        r"\b(?:was|were|is) seen\b(?! as| by (?:a|the) )|\bseen (?:none|of)\b|`seen`|(?<!not )\bseen:",
        "residuals, measured, probed",
        "next to what was seen the price follows it",
        "layouts that the fit has not seen",
    ),
    (
        r"\b(?:has|have) come\b|\bcomes? along\b",
        "arrived; built-in",
        "until its last rank has come",
        "weights come from memory",
    ),
    (r"\bat hand\b", "current", "the operation at hand", "by hand"),
    (r"\blies? between\b(?! 0)", "glue; sizes between", "what lies between operations", "glue between operations"),
    (r"(?<!arrival )\bskews?\b", "in-step overhead", "the skew of all_reduce", "net of the arrival skew"),
)
RETIRED_FIELDS = {"seen", "told", "apart", "apart_us", "between", "come", "way", "way_on", "at_once", "skew"}
"""Names that no field of a record has."""


def texts_of(path: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of the comments and strings of a module, or of the paragraphs of a page; line breaks are spaces."""
    if path.suffix != ".py":
        line = 1
        for paragraph in re.split(r"(\n\s*\n)", path.read_text()):
            yield line, paragraph
            line += paragraph.count("\n")
        return
    strings = {tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", -1)}
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type in strings:
            yield token.start[0], token.string


def one_line(text: str) -> str:
    """Line breaks, with the hashes of comments after them, as single spaces."""
    return re.sub(r"\s+(?:#:?\s+)?", " ", text)


def files() -> list[Path]:
    modules = [path for part in SOURCES if part != "inferometer" for path in (ROOT / part).rglob("*.py")]
    modules += (ROOT / "inferometer").glob("*.py")  # its folders are links to the others
    pages = [path for pattern in PAGES for path in ROOT.glob(pattern)]
    former = ROOT / "emulator" / "samples" / "former_names.py"  # what files of earlier versions say
    return sorted({*modules, *pages} - {Path(__file__).resolve(), former, ROOT / "tests/unit/samples/test_former_names.py"})


def test_no_retired_word_is_used():
    anything = re.compile("|".join(f"(?P<rule{at}>{pattern})" for at, (pattern, *_) in enumerate(RETIRED)))
    wrong = []
    for path in files():
        if not anything.search(one_line(path.read_text())):  # spares splitting almost every file
            continue
        for line, text in texts_of(path):
            plain = one_line(text)
            for found in anything.finditer(plain):
                around = plain[max(0, found.start() - 30) : found.end() + 30]
                _, instead, *_ = RETIRED[int((found.lastgroup or "").removeprefix("rule"))]
                wrong.append(f"{path.relative_to(ROOT)}:{line}: {found[0]!r} in …{around}…: say {instead}")
    assert not wrong, "\n".join(wrong)


def test_no_field_of_a_record_has_a_retired_name():
    wrong = []
    for path in (path for path in files() if path.suffix == ".py"):
        for node in ast.walk(ast.parse(path.read_text())):
            fields = node.body if isinstance(node, ast.ClassDef) else []
            names = {f.target.id for f in fields if isinstance(f, ast.AnnAssign) and isinstance(f.target, ast.Name)}
            wrong += [f"{path.relative_to(ROOT)}: {name}" for name in sorted(names & RETIRED_FIELDS)]
    assert not wrong, "\n".join(wrong)


def test_no_list_is_called_its():
    """A name says what it holds."""
    wrong = []
    for path in (path for path in files() if path.suffix == ".py" and (ROOT / "tests") not in path.parents):
        names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
        wrong += [str(path.relative_to(ROOT))] if "its" in names else []
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(("pattern", "instead", "bad", "good"), RETIRED, ids=[entry[1] for entry in RETIRED])
def test_each_pattern_finds_the_dialect_and_nothing_else(pattern, instead, bad, good):
    assert re.search(pattern, bad)
    assert not re.search(pattern, good)
    assert not re.search(pattern, instead)
