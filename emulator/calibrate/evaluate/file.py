"""Reading and writing calibration files: JSON, checked on the way in, the same bytes for the same content."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError

from inferometer.emulator.calibrate.evaluate.builtin import calibration_text
from inferometer.emulator.calibrate.evaluate.calibration import Calibration
from inferometer.emulator.calibrate.evaluate.predict import check_law
from inferometer.emulator.calibrate.schema.keys import plain
from inferometer.emulator.calibrate.schema.records import SCHEMA, schema_document
from inferometer.emulator.checked import first_error
from inferometer.emulator.errors import InputError

SCHEMA_FILE = Path(__file__).parents[1] / "schema" / "calibration.schema.json"
DIGITS = 9


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
    """The file's text: fields in the records' order, two spaces of indent, a final newline."""
    document = calibration.model_dump(mode="json", by_alias=True)
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
    text = calibration_text(name_or_path)
    try:
        document = json.loads(text, parse_constant=_no_constants)
    except (ValueError, RecursionError) as error:  # no JSON, a number too long, brackets too deep
        what = "brackets too deep" if isinstance(error, RecursionError) else error
        raise InputError(f"{name_or_path}: not JSON: {what}") from error
    found = document.get("schema") if isinstance(document, dict) else None
    if found != SCHEMA:
        raise InputError(f"{name_or_path}: schema: found {found!r}, expected '{SCHEMA}'")
    try:
        calibration = Calibration.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise InputError(f"{name_or_path}: {first_error(error)}") from error
    for at, model in enumerate(calibration.network_laws):
        try:
            check_law(model)
        except InputError as error:
            raise InputError(f"{name_or_path}: network_laws.{at}: {error}") from error
    return calibration


def _no_constants(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


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
