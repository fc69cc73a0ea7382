"""The import directions that keep the parts apart, and the rules every module keeps. Read from the source with ast."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("parallel", "emulator", "launch", "configs")
MODULES = sorted(path for part in PARTS for path in (ROOT / part).rglob("*.py"))

# What a folder may not import, at any level of the file.
FORBIDDEN = {
    "parallel": ("inferometer.emulator", "inferometer.launch", "inferometer.configs"),
    "emulator": ("inferometer.launch",),
    "emulator/calibrate": ("torch", "mpi4py", "inferometer.parallel"),
    "emulator/exporters": ("torch", "mpi4py", "inferometer.parallel"),
    "emulator/importers": ("torch", "mpi4py", "inferometer.parallel"),
    "emulator/workload": ("torch", "mpi4py"),
    "emulator/economics": ("torch", "mpi4py"),
    "configs": ("inferometer.",),
}


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield f"{'.' * node.level}{node.module or ''}"


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_import_directions(folder):
    for path in (ROOT / folder).rglob("*.py"):
        for name in imports_of(path):
            for forbidden in FORBIDDEN[folder]:
                assert not (name + ".").startswith(forbidden.rstrip(".") + "."), f"{path} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_modules_keep_the_rules(path):
    tree = ast.parse(path.read_text())
    assert path.name == "__init__.py" or ast.get_docstring(tree), "no docstring"
    assert path.name != "utils.py"
    assert len(path.read_text().splitlines()) <= 350, "more than one clear thing?"
    for name in imports_of(path):
        assert not name.startswith("."), f"relative import {name}: a second way to name a module"
        assert name.split(".")[0] not in PARTS, f"imports {name}: from the repository root that is a second copy"
    for node in tree.body:  # no work at import: only definitions, constants and the main guard
        assert isinstance(
            node,
            ast.Import | ast.ImportFrom | ast.ClassDef | ast.FunctionDef | ast.Assign | ast.AnnAssign | ast.Expr | ast.If,
        ), f"line {node.lineno}: a statement at import"
        if isinstance(node, ast.Expr):
            assert isinstance(node.value, ast.Constant), f"line {node.lineno}: a call at import"


@pytest.mark.parametrize(
    "statement",
    [
        "from inferometer.emulator import load_calibration",
        "import inferometer.emulator.calibrate",
        "import inferometer.emulator.importers.imports",
        "from inferometer.emulator.measure import samples, collectives, environment, scheduler, plan",
        "import inferometer.emulator.report.summary, inferometer.emulator.report.figure",
        "import inferometer.launch.cli; inferometer.launch.cli.build_parser()",
    ],
)
def test_what_a_laptop_needs_imports_without_torch(statement):
    """In a process in which importing torch or mpi4py is an error."""
    code = f"import sys; sys.modules['torch'] = sys.modules['mpi4py'] = None\n{statement}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
