"""One HTML file of everything that is known of a machine; it needs no network and opens from disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from inferometer.emulator.calibrate.evaluate.calibration import Calibration
from inferometer.emulator.compare.comparison import Subject
from inferometer.emulator.compare.deployments import Question
from inferometer.emulator.documents import json_of, read_text
from inferometer.emulator.errors import InputError
from inferometer.emulator.report.machine import machine_words
from inferometer.emulator.report.page.against import against
from inferometer.emulator.report.page.costs import costs
from inferometer.emulator.report.page.elements import tag, text
from inferometer.emulator.report.page.holds import holds
from inferometer.emulator.report.page.meaning import meaning
from inferometer.emulator.report.page.trust import trust

LINKS = (("trust", "trust"), ("costs", "costs"), ("against", "beside"), ("meaning", "meaning"), ("holds", "holds"))


def report(
    calibration: str | Path | Calibration,
    *,
    questions: Sequence[Question] = (),
    validation: str | Path | Mapping[str, Any] | None = None,
) -> str:
    """The page as text.

    calibration: a file, a built-in name, a record, or a samples file, which is fitted. questions: the models to show, each
    with its accelerator. validation: what `validate -o` wrote.

    Raises InputError for a file that is none of these.
    """
    subject = Subject.of(calibration)
    document = validation if validation is None or isinstance(validation, Mapping) else validation_of(validation)
    found = subject.calibration
    body = [
        tag("h1", text(f"Calibration {found.id[:12]}")),
        tag("p", text(f"{machine_words(found)} · {found.created[:10]} · {subject.name}"), class_="soft"),
        tag("nav", "".join(tag("a", words, href=f"#{name}") for name, words in LINKS)),
        trust(found), costs(found), against(found), meaning(found, questions), holds(document),
        tag("div", "", id="tip", role="status"),
    ]  # fmt: skip
    return _document(f"Inferometer: {machine_words(found)}", "\n".join(body))


def validation_of(path: str | Path) -> Mapping[str, Any]:
    """Read a validation. Raises InputError for a file of another kind."""
    document = json_of(read_text(path), path)
    found = document.get("schema") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not str(found).startswith("inferometer/validation/"):
        raise InputError(f"{path}: schema: found {found!r}, expected a validation (`inferometer validate -o`)")
    for name in ("cells", "overall"):
        if name not in document:
            raise InputError(f"{path}: {name}: missing")
    return document


def _document(title: str, body: str) -> str:
    folder = files("inferometer.emulator.report.page")
    style, script = ((folder / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
    head = (
        '<meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>{text(title)}</title><style>{style}</style>"
    )
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n<script>{script}</script></body></html>\n'
