"""Read and write calibration files, built-in ones by name: JSON, checked when read, the same bytes for the same content."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from inferometer.configs import folder
from inferometer.emulator.calibrate.evaluate.calibration import Calibration
from inferometer.emulator.calibrate.evaluate.predict import check_law
from inferometer.emulator.calibrate.laws.nccl_tuner import KIND, TUNER
from inferometer.emulator.calibrate.schema.keys import plain
from inferometer.emulator.calibrate.schema.records import SCHEMA, schema_document
from inferometer.emulator.checked import first_error
from inferometer.emulator.documents import json_of, read_text
from inferometer.emulator.errors import InputError, reason_of
from inferometer.emulator.names import did_you_mean, named
from inferometer.emulator.regular import shown_path

SCHEMA_FILE = Path(__file__).parents[3] / "configs" / "schemas" / "calibration-2.schema.json"
DIGITS = 9
SUFFIX = ".json"


def canonical(value: Any) -> Any:
    """value as it goes into the file: floats rounded to 9 significant digits, numpy scalars plain, NaN as null."""
    value = plain(value)
    if isinstance(value, dict):
        return {str(k): canonical(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [canonical(v) for v in value]
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if abs(value) != float("inf") else None
    return value


def content_id(document: dict[str, Any]) -> str:
    """SHA-256 of the content without its id, in canonical form (sorted keys, no spaces)."""
    content = {k: v for k, v in canonical(document).items() if k != "id"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def to_json(calibration: Calibration) -> str:
    """The file's text: fields in the records' order, two spaces of indent, a final newline, the id of this content."""
    document = calibration.model_dump(mode="json", by_alias=True)
    document["id"] = content_id(document)
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_calibration(calibration: Calibration, path: str | Path) -> None:
    """Write a calibration file atomically: readers see the old file or the whole new one.

    Raises InputError if the path cannot be written.
    """
    _write_text(Path(path), to_json(calibration))


def write_schema(path: str | Path = SCHEMA_FILE) -> None:
    """Write the JSON Schema of calibration files, made from the records. Raises InputError if it cannot be written."""
    _write_text(Path(path), json.dumps(schema_document(Calibration), indent=2) + "\n")


def load_calibration(name_or_path: str | Path) -> Calibration:
    """Read a calibration: a file, or a built-in one by its name where no file has that name.

    Raises InputError, naming the file, the key and the reason, if it is unreadable, not JSON, of another schema
    version, or has an unknown, missing or wrongly typed field; for an unknown name with the names there are.
    """
    document = json_of(calibration_text(name_or_path), name_or_path)
    found = document.get("schema") if isinstance(document, dict) else None
    if found != SCHEMA:
        raise InputError(f"{name_or_path}: schema: found {found!r}, expected '{SCHEMA}'")
    try:
        calibration = Calibration.model_validate(document, strict=True)
    except ValidationError as error:
        raise InputError(f"{name_or_path}: {first_error(error)}") from error
    for at, model in enumerate(calibration.network_laws):
        try:
            check_law(model)
        except InputError as error:
            raise InputError(f"{name_or_path}: network_laws.{at}: {error}") from error
    _check_id(calibration, name_or_path)
    return calibration


def calibration_names() -> list[str]:
    """The names of all built-in calibrations: the files, and NCCL's own model."""
    found = (entry.name.removesuffix(SUFFIX) for entry in folder(KIND).iterdir() if entry.name.endswith(SUFFIX))
    return sorted([*found, TUNER])


def computed(name: str) -> bool:
    """Whether a calibration of this name is NCCL's own model: no file has the name, and it is the model's."""
    return (name == TUNER or name.startswith(f"{TUNER}-")) and not Path(name).exists()


def calibration_text(name_or_path: str | Path) -> str:
    """The text of a calibration file, or of a built-in one where no file has that name.

    Raises InputError for a file that cannot be read, and for a name that is neither: it lists the built-in ones.
    """
    path, name = Path(name_or_path), str(name_or_path)
    try:
        if name == "-" or path.exists() or name.endswith(SUFFIX) or path.name != name:
            return read_text(path)
    except (OSError, ValueError) as error:  # of exists(): a folder one may not enter, a zero byte in the path
        raise InputError(f"{shown_path(path)}: cannot be read: {reason_of(error)}") from error
    names = calibration_names()
    name = named(name, names) or name
    if computed(name):
        raise InputError(f"{name}: is a model computed for each case, not a file: predict and frontier take it")
    if name not in names:
        hint, known = did_you_mean(name, names), ", ".join(names)
        raise InputError(f"calibration {name[:80]!r}: neither a file nor a built-in one{hint}: those are {known}")
    return folder(KIND).joinpath(name + SUFFIX).read_text(encoding="utf-8")


def _check_id(calibration: Calibration, where: str | Path) -> None:
    """Raise InputError where the content is not what the id stands for: somebody has changed a value since."""
    content = content_id(calibration.model_dump(mode="json", by_alias=True))
    if calibration.id != content:
        raise InputError(
            f"{where}: id = {calibration.id[:12]!r}…: the content is another: a value was changed; "
            f"fit the samples again or, for a change that is meant, set id to {content}"
        )


def _write_text(path: Path, text: str) -> None:
    temporary: str | None = None
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error


def _umask() -> int:
    """The process's umask; mkstemp makes files that only the owner reads."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
