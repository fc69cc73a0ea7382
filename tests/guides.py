"""The commands in README.md and docs/*.md (blocks marked `console`), run as they stand, their output beside the page's.

`python -m tests.guides` writes the outputs of now into the pages. A block marked `console not-run` needs what a test machine
does not have, and begins with a line ``# needs: …`` that says what; its commands are parsed. A line `…` of a page stands for
any lines. Blocks marked `python` are run too, `python not-run` are not.
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

BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
NOT_RUN = re.compile(r"```(?:console|python) not-run\n(.*?)```", re.DOTALL)
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)
NEEDS = re.compile(r"# needs: \S.*\n")
LAUNCHED = re.compile(r"^\$ (?:.*-m inferometer\.launch|inferometer) (.*)$", re.MULTILINE)
NUMBER = re.compile(r"[-+−]?\d[\d.,:]*(?:e[-+]?\d+)?")
HEAD = re.compile(r"((?:[^\n]*\\\n)*[^\n]*)\n?(.*)", re.DOTALL)
ANY = "…"


@dataclass(frozen=True)
class Command:
    line: str
    output: list[str]


def page_of(name: str) -> Path:
    return ROOT / ("README.md" if name == "README" else f"docs/{name}.md")


GUIDES = tuple(
    name
    for name in ("README", *sorted(path.stem for path in (ROOT / "docs").glob("*.md")))
    if BLOCK.search(page_of(name).read_text())
)
"""The pages whose commands are run."""


def launched(block: str) -> list[list[str]]:
    """The arguments of each command of a block that is Inferometer's, under a launcher or not."""
    return [shlex.split(line, comments=True) for line in LAUNCHED.findall(block.replace("\\\n", " "))]


def blocks(text: str) -> list[list[Command]]:
    """The commands of each block, with the lines of output that follow them."""
    return [[_command(part) for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]] for block in BLOCK.findall(text)]


def _command(part: str) -> Command:
    line, output = _head_and_rest(part)
    line = line.replace("\\\n", " ")
    return Command(line, output.rstrip("\n").split("\n") if output.strip() else [])


def _head_and_rest(part: str) -> tuple[str, str]:
    """A command with its continued lines, and what follows."""
    found = HEAD.match(part)
    assert found is not None  # everything matches
    return found[1], found[2]


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
            head = f"{_head_and_rest(part)[0]}\n"
            lines = shortened(command.output, run(command.line)[1])
            made += f"$ {head}" + "".join(f"{line}\n" for line in lines if lines != [""])
        text = text.replace(block, made)
    path.write_text(text)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        files_into(Path(folder))
        for page in sys.argv[1:] or GUIDES:
            rewrite(page)
