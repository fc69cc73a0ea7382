"""One HTML file of everything that is known of a machine; it needs no network and opens from disk."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from inferometer.emulator.calibrate.evaluate.calibration import Calibration
from inferometer.emulator.compare.deployments import Question
from inferometer.emulator.errors import InputError
from inferometer.emulator.report.machine import machine_words
from inferometer.emulator.report.page.against import against
from inferometer.emulator.report.page.costs import costs
from inferometer.emulator.report.page.elements import bullets, section, tag, text
from inferometer.emulator.report.page.holds import holds
from inferometer.emulator.report.page.meaning import meaning
from inferometer.emulator.report.page.predicted import frontiers, predictions
from inferometer.emulator.report.page.served import serving
from inferometer.emulator.report.page.sources import NEEDED, Sources
from inferometer.emulator.report.page.trust import trust

LINKS = {
    "trust": "trust",
    "costs": "costs",
    "against": "beside",
    "meaning": "meaning",
    "predictions": "predictions",
    "frontiers": "frontiers",
    "serving": "serving",
    "holds": "holds",
}
"""Of each section that a page may have, the word that leads to it."""
ABSENT = {
    "trust": "whether the numbers can be trusted, what collectives and kernels cost, what that means for a model: "
    "a calibration or a samples file",
    "predictions": "deployments of a model: `predict --json`",
    "frontiers": "curves of speed and cost: `frontier --json`",
    "serving": "what a server's users get: `predict --engine --json`, `frontier --engine --json`, `fit --serving`",
    "holds": "whether predictions hold: `validate -o`",
}
"""Of each section that may be missing, what it shows and which file it needs."""


def report(*given: str | Path | Calibration, questions: Sequence[Question] = ()) -> str:
    """The page as text.

    given: a calibration (a file, a built-in name, a record, or a samples file, which is fitted), an engine's profile, and
    what validate, predict, frontier and fit --serving wrote as JSON. questions: the models to show, each with its
    accelerator; they need a calibration.

    Raises InputError for a file that is none of these, two calibrations, or a question without one.
    """
    sources = Sources.of(given)
    found = sources.calibration
    if questions and found is None:
        raise InputError(f"{questions[0].model}: a model is priced by a calibration, and none is given")
    parts: dict[str, str] = {}
    if found is not None:
        parts |= {
            "trust": trust(found),
            "costs": costs(found),
            "against": against(found),
            "meaning": meaning(found, questions),
        }
    for kind, name, show in (("prediction", "predictions", predictions), ("frontier", "frontiers", frontiers)):
        if documents := sources.all_of(kind):
            parts[name] = show(documents)
    if shown := serving(sources):
        parts["serving"] = shown
    if documents := sources.all_of("validation"):
        parts["holds"] = holds(documents)
    title, soft = _titles(sources)
    body = [
        tag("h1", text(title)),
        tag("p", text(soft), class_="soft"),
        tag("nav", "".join(tag("a", words, href=f"#{name}") for name, words in LINKS.items() if name in parts)),
        *(parts[name] for name in LINKS if name in parts),
        section("Not in this page", "absent", bullets(f"{words}" for name, words in ABSENT.items() if name not in parts)),
        tag("div", "", id="tip", role="status"),
    ]
    return _document(f"Inferometer: {title if found is None else machine_words(found)}", "\n".join(body))


def _titles(sources: Sources) -> tuple[str, str]:
    """The heading, and what stands below it."""
    others = [name for kind in NEEDED for name, _ in sources.all_of(kind)] + [name for name, _ in sources.profiles]
    if (found := sources.calibration) is None:
        return "Report", ", ".join(others)
    about = f"{machine_words(found)} · {found.created[:10]} · {sources.name}"
    return f"Calibration {found.id[:12]}", ", ".join([about, *others])


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
