"""Which configurations a validation emulates: a built-in list, or a TOML file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from inferometer.configs import folder
from inferometer.emulator.checked import checked
from inferometer.emulator.documents import read_text, toml_of
from inferometer.emulator.errors import InputError, reason_of
from inferometer.emulator.measure.method import Stop, Strict
from inferometer.emulator.names import did_you_mean
from inferometer.emulator.validate.campaign import Matrix
from inferometer.emulator.validate.settings import Configuration, Emulation

KIND = "validations"
SUFFIX = ".toml"


class Plan(Strict):
    """A file of configurations; stop: when a phase of one has enough steps."""

    name: str
    stop: Stop = Stop(relative_interval=0.03, min_iterations=10, max_iterations=100, cell_seconds=1.5)
    cell: list[Configuration] = Field(min_length=1)


@dataclass(frozen=True)
class Part:
    """The cells of a plan that one number of ranks runs."""

    matrix: Matrix
    places: tuple[int, ...]
    """Of each cell of the matrix its place in the plan."""


def load_plan(name_or_path: str) -> Plan:
    """A built-in plan by its name, or a TOML file. Raises InputError naming the file and the key."""
    path = Path(name_or_path)
    try:
        if path.suffix == SUFFIX:
            text = read_text(path)
        else:
            text = folder(KIND).joinpath(f"{name_or_path}{SUFFIX}").read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # ValueError: not text, or a NUL character in the name
        known = sorted(p.name.removesuffix(SUFFIX) for p in folder(KIND).iterdir() if p.name.endswith(SUFFIX))
        hint, names = did_you_mean(name_or_path, known), ", ".join(known)
        raise InputError(
            f"matrix {name_or_path[:80]!r}: neither a readable TOML file nor a built-in one{hint}: those are {names} "
            f"({reason_of(error)})"
        ) from None
    return checked(Plan, toml_of(text, name_or_path), name_or_path)


def parts_of(
    plan: Plan, where: str, ranks_most: int, emulation: Callable[[Configuration], Emulation], what: str = ""
) -> tuple[list[Part], dict[int, str]]:
    """The plan by numbers of ranks, fewest first, and why which places of it are left out.

    where: the plan's file. what: ranks_most is of what, in words. emulation: adds what belongs to the ranks. Raises
    InputError, naming the cell, for one that could not start, and for a plan of which nothing is left.
    """
    what = what or f"{ranks_most} cores"
    cells: dict[int, dict[int, Emulation]] = {}
    left_out: dict[int, str] = {}
    for place, configuration in enumerate(plan.cell):
        try:
            cell = emulation(configuration)
            cell.check()
        except InputError as error:
            raise InputError(f"{where}: cell.{place}: {error}") from None
        if cell.ranks > ranks_most:
            left_out[place] = f"{configuration.words()}: {cell.ranks} ranks, but there are {what}"
        else:
            cells.setdefault(cell.ranks, {})[place] = cell
    if not cells:
        least = min(cell.ranks for cell in plan.cell)
        raise InputError(f"{where}: no cell fits: they need {least} ranks or more, but there are {what}")
    return [Part(Matrix(cells=list(of_ranks.values())), tuple(of_ranks)) for _, of_ranks in sorted(cells.items())], left_out
