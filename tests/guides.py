"""The commands in the guides (docs/*.md, blocks marked `console`), run as they stand, their output beside the page's.

`python -m tests.guides` writes the outputs of now into the pages. A block marked `console not-run` needs what a test machine
does not have. A line `…` of a page stands for any lines.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from inferometer.launch.cli import main
from tests.places import ROOT

GUIDES = ("start", "cluster", "logs", "deployments", "comparing")
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
NUMBER = re.compile(r"[-+−]?\d[\d.,:]*(?:e[-+]?\d+)?")
ANY = "…"


@dataclass(frozen=True)
class Command:
    line: str
    output: list[str]


def page_of(name: str) -> Path:
    return ROOT / "docs" / f"{name}.md"


def blocks(text: str) -> list[list[Command]]:
    """The commands of each block, with the lines of output that follow them."""
    return [[_command(part) for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]] for block in BLOCK.findall(text)]


def _command(part: str) -> Command:
    line, _, output = part.replace("\\\n", " ").partition("\n")
    return Command(line, output.rstrip("\n").split("\n") if output.strip() else [])


def files_into(folder: Path) -> None:
    """The files that the guides begin with."""
    shutil.copy(ROOT / "tests/data/nccl_logs/superbench/a100_1n8_all_reduce.log", folder / "all_reduce_perf.log")
    shutil.copy(ROOT / "docs/examples/polaris.toml", folder / "polaris.toml")


def run(line: str) -> tuple[int, list[str]]:
    """Status and lines of output of one command, in the present folder."""
    words = shlex.split(line, comments=True)
    assert words[0] == "inferometer", line
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
        status = main(words[1:])
    return status, [row.rstrip() for row in stream.getvalue().rstrip("\n").split("\n")]


def masked(line: str) -> str:
    """Numbers, hashes and widths do not count."""
    line = re.sub(r"\b[0-9a-f]{12}\b", "ID", line)
    return " ".join(NUMBER.sub("#", line).split())


def alike(page: list[str], now: list[str]) -> bool:
    """Whether the outputs are the same but for numbers; `…` in the page stands for any lines."""
    pattern = "\n".join(r"(?:.*\n?)*?" if line.strip() == ANY else re.escape(masked(line)) for line in page)
    return re.fullmatch(pattern.replace(r"(?:.*\n?)*?" + "\n", r"(?:.*\n)*?"), "\n".join(map(masked, now))) is not None


def shortened(page: list[str], now: list[str]) -> list[str]:
    """The lines of now, cut where the page has been cut: after as many lines as it shows before its `…`."""
    if ANY not in [line.strip() for line in page]:
        return now
    head = [line.strip() for line in page].index(ANY)
    tail = len(page) - head - 1
    return [*now[:head], ANY, *(now[-tail:] if tail else [])]


def rewrite(name: str) -> None:
    path = page_of(name)
    text = path.read_text()
    for block in BLOCK.findall(text):
        parts = re.split(r"^\$ ", block, flags=re.MULTILINE)
        made = parts[0]
        for part in parts[1:]:
            command = _command(part)
            head = part[: part.index("\n", part.rfind("\\\n") + 2) + 1] if "\\\n" in part else f"{command.line}\n"
            lines = shortened(command.output, run(command.line)[1])
            made += f"$ {head}" + "".join(f"{line}\n" for line in lines if lines != [""])
        text = text.replace(block, made)
    path.write_text(text)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        files_into(Path(folder))
        for page in sys.argv[1:] or GUIDES:
            rewrite(page)
