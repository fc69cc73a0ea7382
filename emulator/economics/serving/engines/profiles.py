"""Find an engine's profile: a built-in one by its name, or a TOML file, for a version."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from inferometer.configs import folder
from inferometer.emulator.checked import checked
from inferometer.emulator.documents import read_text, toml_of
from inferometer.emulator.economics.serving.engines.profile import Profile
from inferometer.emulator.economics.serving.engines.profile_file import File, within
from inferometer.emulator.errors import InputError
from inferometer.emulator.names import did_you_mean
from inferometer.emulator.regular import state_of

KIND = "engines"


def engine_names() -> list[str]:
    """The names of the built-in engines."""
    return sorted(entry.name[:-5] for entry in folder(KIND).iterdir() if entry.name.endswith(".toml"))


def load_profile(name_or_path: str | Path, version: str | None = None) -> Profile:
    """The profile of an engine's version: of the first range that holds it. Without a version that of the last range, the
    widest.

    Raises InputError for a name that is neither built in nor a file, for a file that is none, and for a version that no
    range of the file holds.
    """
    name = str(name_or_path)
    file = _read(name, state_of(Path(name)))
    if version is None:
        return file.profile(file.versions[-1], None)
    for table in file.versions:
        if within(version, table.range):
            notes: tuple[str, ...] = ()
            if table.range == "*" and len(file.versions) > 1:
                notes = (f"{file.name} {version} has no parameters of its own: those of all its versions stand in",)
            return file.profile(table, version, notes)
    ranges = ", ".join(table.range for table in file.versions)
    raise InputError(f"{name}: {file.name} {version} is in none of the profile's version ranges ({ranges})")


@lru_cache(maxsize=16)
def _read(name: str, state: tuple[int, int, int] | None) -> File:
    """A profile is read once for as long as its file is not changed. state: of the file, None for a built-in name."""
    if name.lower() in engine_names():
        text, where = folder(KIND).joinpath(f"{name.lower()}.toml").read_text(encoding="utf-8"), f"{name.lower()}.toml"
    elif state is None and not name.endswith(".toml"):
        hint, known = did_you_mean(name, engine_names()), ", ".join(engine_names())
        raise InputError(f"engine {name[:80]!r}: neither a TOML file nor a built-in one{hint}: those are {known}")
    else:
        text, where = read_text(name), name
    return checked(File, toml_of(text, where), where)
