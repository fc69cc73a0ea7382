"""Two calibrations or more: what changed from the first to each other one, and what that does to a model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferometer.emulator.calibrate.evaluate.calibration import Calibration
from inferometer.emulator.calibrate.evaluate.file import load_calibration
from inferometer.emulator.calibrate.fit.from_samples import fit
from inferometer.emulator.compare.collectives import Change, Compared, compared
from inferometer.emulator.compare.deployments import Deployment, Question, deployments
from inferometer.emulator.documents import open_bytes
from inferometer.emulator.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

SETTINGS = ("hardware", "software", "env", "topology")
"""Parts of a provenance in which machines, versions and settings stand."""
NOT_SETTINGS = ("hardware.host_hash", "hardware.memory_bytes", "hardware.description")
SAMPLES_HEAD = b'"inferometer/samples/'
"""Stands in the first bytes of a samples file."""


@dataclass(frozen=True)
class Subject:
    """One side of a comparison: a name to show, and its calibration."""

    name: str
    calibration: Calibration

    @classmethod
    def of(cls, source: str | Path | Calibration) -> Subject:
        """From a calibration, the name of a built-in one, or a file; a samples file is fitted first.

        Raises InputError for a source that is none of these.
        """
        if isinstance(source, Calibration):
            return cls(source.id[:12], source)
        if not Path(source).exists():
            return cls(str(source), load_calibration(source))
        with open_bytes(source) as stream:
            samples = SAMPLES_HEAD in stream.read(200)
        return cls(Path(source).name, fit([source]) if samples else load_calibration(source))

    @property
    def settings(self) -> dict[str, Any]:
        """What the numbers were measured on and with: hardware, software, env and topology, as fields "software.torch"."""
        about = self.calibration.provenance.model_dump()
        return dict(_flat({name: about.get(name) for name in SETTINGS}))


@dataclass(frozen=True)
class Comparison:
    """The first subject against each other one. deployments: of each subject, in their order; empty without a model."""

    old: Subject
    new: tuple[Subject, ...]
    compared: tuple[Compared, ...]
    deployments: tuple[Deployment, ...]
    question: Question | None

    def beyond(self, share: float) -> list[tuple[Subject, Change]]:
        """The changes for the worse by more than this share that chance does not explain, worst first in each subject."""
        return [(subject, change) for subject, found in zip(self.new, self.compared) for change in found.beyond(share)]

    def settings_changed(self, subject: Subject) -> dict[str, tuple[Any, Any]]:
        """The fields of `settings` that differ from the first's: (old, new), None where one does not say."""
        old, new = self.old.settings, subject.settings
        names = [name for name in dict.fromkeys([*old, *new]) if name not in NOT_SETTINGS]
        return {name: (old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)}

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as --json has them."""
        return {
            "old": self._about(self.old),
            "new": [
                self._about(subject)
                | {"settings_changed": self.settings_changed(subject)}
                | {"changes": [change.as_dict() for change in found.changes]}
                | {"only_old": found.only_old, "only_new": found.only_new}
                for subject, found in zip(self.new, self.compared)
            ],
            "question": None if self.question is None else asdict(self.question),
            "deployments": [each.as_dict() for each in self.deployments],
        }

    @property
    def frame(self) -> pd.DataFrame:
        """A row per subject and change."""
        import pandas as pd

        rows = zip(self.new, self.compared)
        return pd.DataFrame(
            [{"new": subject.name} | change.as_dict() for subject, found in rows for change in found.changes]
        )

    @staticmethod
    def _about(subject: Subject) -> dict[str, Any]:
        return {"name": subject.name, "id": subject.calibration.id, "verdict": subject.calibration.quality.verdict}


def compare(old: str | Path | Calibration, *new: str | Path | Calibration, question: Question | None = None) -> Comparison:
    """Compare calibrations (records, files, built-in names) or samples files, each with the first.

    question: a model, an accelerator and limits: what each calibration says of the best deployment.

    Raises InputError for fewer than two, for a file that cannot be read, and where two have no collective in common.
    """
    if not new:
        raise InputError("compare needs two calibrations at least")
    first, others = Subject.of(old), tuple(Subject.of(each) for each in new)
    found = tuple(compared(first.calibration, each.calibration) for each in others)
    for subject, each in zip(others, found):
        if not each.changes:
            have = [", ".join(sorted({law.target.collective for law in one.calibration.network_laws})) or "nothing"
                    for one in (first, subject)]  # fmt: skip
            raise InputError(
                f"{first.name} and {subject.name} have no collective of the same timing, dtype, ranks and nodes: "
                f"{first.name} has {have[0]}, {subject.name} has {have[1]}"
            )
    told = () if question is None else tuple(deployments(question, [each.calibration for each in (first, *others)]))
    return Comparison(first, others, found, told, question)


def _flat(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(tree, dict):
        for name, value in tree.items():
            yield from _flat(value, f"{path}.{name}" if path else str(name))
    elif tree not in (None, []):
        yield path, tree
