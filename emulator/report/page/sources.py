"""What a page is made of: files of several kinds, told from each other by the schema that each names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inferometer.emulator.calibrate.evaluate.calibration import Calibration
from inferometer.emulator.compare.comparison import SAMPLES_HEAD, Subject
from inferometer.emulator.documents import json_of, open_bytes, read_text
from inferometer.emulator.economics.serving.engines.profile import Profile
from inferometer.emulator.economics.serving.engines.profiles import load_profile
from inferometer.emulator.errors import InputError

Document = Mapping[str, Any]
NEEDED = {
    "validation": ("cells", "overall"),
    "prediction": ("model", "token_latency_s", "terms", "layout"),
    "frontier": ("rows",),
    "serving-prediction": ("engine", "tpot_s", "ttft_s"),
    "serving-frontier": ("deployments",),
    "serving-fit": ("engine", "parameters", "left_out"),
}
"""Of each kind of document that a page shows, the keys it must have."""
TAKEN = "samples, calibration, a profile of an engine (TOML), or the JSON of validate, predict, frontier, fit --serving"


@dataclass
class Sources:
    """What was given, by kind. calibration: with its name; documents: by kind, with their names; profiles of engines."""

    calibration: Calibration | None = None
    name: str = ""
    documents: dict[str, list[tuple[str, Document]]] = field(default_factory=dict)
    profiles: list[tuple[str, Profile]] = field(default_factory=list)

    @classmethod
    def of(cls, given: Sequence[str | Path | Calibration]) -> Sources:
        """Read everything. Raises InputError for a file that is of no kind that a page shows, and for two calibrations."""
        if not given:
            raise InputError(f"nothing to report: give {TAKEN}")
        found = cls()
        for one in given:
            found._add(one)
        return found

    def _add(self, one: str | Path | Calibration) -> None:
        kind = None if isinstance(one, Calibration) else _kind(Path(one))
        if isinstance(one, Calibration) or kind == "calibration":
            subject = Subject.of(one)
            if self.calibration is not None:
                raise InputError(f"{subject.name}: a page is of one calibration, {self.name} is given too; see compare")
            self.calibration, self.name = subject.calibration, subject.name
        elif kind == "profile":
            self.profiles.append((Path(one).name, load_profile(one)))
        else:
            kind, document = _document(one)
            self.documents.setdefault(kind, []).append((Path(one).name, document))

    def all_of(self, kind: str) -> list[tuple[str, Document]]:
        return self.documents.get(kind, [])


def _kind(path: Path) -> str | None:
    """ "calibration" of calibrations, samples and names, "profile" of TOML files; None of the JSON of a command."""
    if not path.exists():
        return "calibration"
    if path.suffix == ".toml":
        return "profile"
    with open_bytes(path) as stream:
        head = stream.read(200)
    return "calibration" if SAMPLES_HEAD in head or b'"inferometer/calibration/' in head else None


def _document(path: str | Path) -> tuple[str, Document]:
    """The kind of a command's JSON, and the document."""
    document = json_of(read_text(path), path)
    schema = document.get("schema") if isinstance(document, dict) else None
    kind = str(schema).removeprefix("inferometer/").partition("/")[0]
    if not isinstance(document, dict) or kind not in NEEDED:
        raise InputError(f"{path}: schema: found {schema!r}, expected {TAKEN}")
    if missing := next((name for name in NEEDED[kind] if name not in document), None):
        raise InputError(f"{path}: {missing}: missing")
    return kind, document
