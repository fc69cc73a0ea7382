"""A built wheel, installed elsewhere, has every subpackage, config and schema."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.places import ROOT

PARTS = ("parallel", "emulator", "launch", "configs")
DATA_SUFFIXES = (".toml", ".json", ".css", ".js", ".sbatch", ".yaml")


def test_the_package_links_to_every_part():
    for part in PARTS:
        link = ROOT / "inferometer" / part
        assert link.is_symlink() and link.readlink() == Path("..", part), link


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory) -> Path:
    """The wheel unpacked into an empty folder, as pip would into site-packages."""
    folder = tmp_path_factory.mktemp("wheel")
    # From a copy: an older build/ beside the sources would lend the wheel what the list of packages forgets.
    source = folder / "source"
    shutil.copytree(
        ROOT, source, symlinks=True, ignore=shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__")
    )
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet", "-w", folder, source]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("inferometer-*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


def test_the_wheel_holds_every_module_and_data_file(elsewhere):
    for part in PARTS:
        for path in (ROOT / part).rglob("*"):
            if path.suffix == ".py" or path.suffix in DATA_SUFFIXES:
                assert (elsewhere / "inferometer" / path.relative_to(ROOT)).exists(), path
    assert {path.name for path in elsewhere.iterdir() if path.suffix != ".dist-info"} == {"inferometer"}
    assert (elsewhere / "inferometer" / "py.typed").exists()


def test_the_wheel_runs_away_from_the_repository(elsewhere, tmp_path):
    code = (
        "from importlib.resources import files\n"
        "import inferometer.launch.cli, inferometer.emulator.calibrate.evaluate.file, inferometer.parallel.mesh\n"
        "from inferometer.emulator.measure.method import load_sweep\n"
        "assert load_sweep('default').tier\n"
        "home = files('inferometer.configs.schemas')\n"
        "assert 'properties' in home.joinpath('calibration-2.schema.json').read_text()\n"
        f"assert inferometer.parallel.mesh.__file__.startswith({str(elsewhere)!r})\n"
    )
    # -S would hide the dependencies; a path entry goes before the editable install's finder
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(elsewhere)!r}); "
         f"sys.meta_path[:] = [f for f in sys.meta_path if 'Editable' not in repr(f)]\n{code}"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
