"""The order of the rooms and the rules every module keeps, read from the source with ast (docs/architecture.md)."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.places import ROOT

PARTS = ("parallel", "emulator", "launch", "configs")
MODULES = sorted(path for part in (*PARTS, "inferometer") for path in (ROOT / part).rglob("*.py"))

#: From the ground up. A room imports itself and what stands above it here, nothing below; rooms in one line are neighbours
#: that do not import each other.
ROOMS = (
    "configs",
    "emulator/aliases emulator/errors emulator/names emulator/units",
    "emulator/checked emulator/regular",
    "emulator/documents",
    "parallel",
    "emulator/workload",
    "emulator/samples",
    "emulator/engine",
    "emulator/measure",
    "emulator/calibrate/schema",
    "emulator/calibrate/laws",
    "emulator/calibrate/experiment",
    "emulator/calibrate/evaluate",
    "emulator/calibrate/fit",
    "emulator/economics/pricing",
    "emulator/economics/serving",
    "emulator/economics/paper",
    "emulator/validate emulator/compare",
    "emulator/importers emulator/exporters emulator/report",
    "launch/streams launch/arguments launch/completion",
    "launch/ranks",
    "launch/runs",
    "launch/commands",
    "launch/cli",
    "launch/__main__ inferometer",
)
ORDER = {room: floor for floor, row in enumerate(ROOMS) for room in row.split()}
FOREIGN = {
    "configs": ("inferometer",),
    "parallel": ("inferometer.emulator", "inferometer.launch", "inferometer.configs"),
    **dict.fromkeys(
        (
            "emulator/workload emulator/samples emulator/calibrate emulator/economics emulator/importers emulator/exporters "
            "emulator/report"
        ).split(),
        ("torch", "mpi4py"),
    ),
    **dict.fromkeys(
        "emulator/calibrate/schema emulator/calibrate/laws emulator/calibrate/evaluate".split(), ("scipy.optimize",)
    ),
}
"""What a folder may not import, at any level of its files."""
MOST_FILES = 20
MOST_LINES = 350


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports_of(path: Path) -> Iterator[str]:
    """Every module that a file imports, at any level; of `from package import name` the name too, where it is a module."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = f"{'.' * node.level}{node.module or ''}"
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names if is_module(f"{module}.{alias.name}"))


@cache
def is_module(name: str) -> bool:
    place = ROOT.joinpath(*name.removeprefix("inferometer.").split("."))
    return name.startswith("inferometer.") and (place.with_suffix(".py").exists() or (place / "__init__.py").exists())


def room_of(module: str) -> str | None:
    """The room of a module of ours (a/b/c or inferometer.a.b.c); None of a package's bare __init__ above the rooms."""
    name = module.removeprefix("inferometer.").replace(".", "/")
    return max((room for room in ORDER if name == room or name.startswith(room + "/")), key=len, default=None)


def arrows() -> Iterator[tuple[str, str, str]]:
    """(file, its room, the room it imports from) of every import of one room by another."""
    for path in MODULES:
        here = room_of(relative(path).removesuffix(".py"))
        for name in imports_of(path):
            there = room_of(name) if name.startswith("inferometer.") else None
            if here and there and here != there:
                yield relative(path), here, there


def test_rooms_import_only_what_stands_above_them():
    wrong = sorted({f"{path} imports {there}" for path, here, there in arrows() if ORDER[there] >= ORDER[here]})
    assert not wrong, "\n".join(wrong)


def test_every_module_has_a_room():
    bare = {relative(path) for path in MODULES if room_of(relative(path).removesuffix(".py")) is None}
    assert bare == {
        "emulator/__init__.py", "emulator/calibrate/__init__.py", "emulator/economics/__init__.py", "launch/__init__.py",
    }  # fmt: skip
    for path in bare:
        assert not list(imports_of(ROOT / path)), f"{path} imports: whoever imports a room imports this as well"


def test_no_two_modules_import_each_other_in_a_circle():
    graph: dict[str, set[str]] = {}
    for path in MODULES:
        here = "inferometer." + relative(path).removesuffix(".py").replace("/", ".")
        graph[here] = {name for name in imports_of(path) if is_module(name)} - {here}
    finished: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join([*trail[trail.index(module) :], module])
        if module not in finished:
            for other in graph.get(module, ()):
                visit(other, (*trail, module))
            finished.add(module)

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize("folder", FOREIGN)
def test_libraries_stay_out_of_rooms_that_do_without(folder):
    for path in (ROOT / folder).rglob("*.py"):
        for name in imports_of(path):
            for forbidden in FOREIGN[folder]:
                assert not f"{name}.".startswith(f"{forbidden}."), f"{path} imports {name}"


def test_folders_are_rooms_one_can_look_through():
    sizes = Counter(path.parent for path in MODULES)
    large = {relative(folder): count for folder, count in sizes.items() if count > MOST_FILES}
    assert not large


def test_modules_keep_the_rules():
    wrong = [f"{relative(path)}: {complaint}" for path in MODULES for complaint in complaints(path)]
    assert not wrong, "\n".join(wrong)


def complaints(path: Path) -> Iterator[str]:
    text = path.read_text()
    tree = ast.parse(text)
    if path.name != "__init__.py" and not ast.get_docstring(tree):
        yield "no docstring"
    if path.name == "utils.py":
        yield "the name says nothing"
    if len(text.splitlines()) > MOST_LINES:
        yield f"more than {MOST_LINES} lines: more than one clear thing?"
    for name in imports_of(path):
        if name.startswith("."):
            yield f"relative import {name}: a second way to name a module"
        if name.split(".")[0] in PARTS:
            yield f"imports {name}: from the repository root that is a second copy"
    for node in tree.body:  # no work at import: only definitions, constants and the main guard
        allowed = (ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef, ast.Assign, ast.AnnAssign, ast.Expr, ast.If)
        if not isinstance(node, allowed):
            yield f"line {node.lineno}: a statement at import"
        if isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant):
            yield f"line {node.lineno}: a call at import"
