"""The pages: their commands run as they stand, and print what the page says, numbers aside."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

from inferometer.launch.arguments import parse
from inferometer.launch.cli import COMMANDS, build_parser, command_of, spelt_out
from tests.guides import GUIDES, NEEDS, NOT_RUN, PYTHON, alike, blocks, files_into, launched, page_of, run
from tests.places import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
SCRIPTS = [(page.stem, code) for page in PAGES for code in PYTHON.findall(page.read_text())]


@pytest.mark.parametrize("name", GUIDES)
def test_the_commands_of_a_guide_print_what_it_says(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files_into(tmp_path)
    for block in blocks(page_of(name).read_text()):
        for command in block:
            status, now = run(command.line)
            assert status == 0, "\n".join(now)
            assert alike(command.output, now), f"python -m tests.guides {name}\n{command.line}\n" + "\n".join(now)


@pytest.mark.parametrize(("page", "code"), SCRIPTS, ids=[page for page, _ in SCRIPTS])
def test_python_of_a_page_runs(page, code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(code, f"{page}.md", "exec"), {})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_is_not_run_says_what_it_needs_and_has_flags_that_exist(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for text in re.findall(r"```toml\n(.*?)```", page.read_text(), re.DOTALL):
        Path("run.toml").write_text(text)
    for block in NOT_RUN.findall(page.read_text()):
        assert NEEDS.match(block), block
        for words in launched(block):
            arguments = spelt_out(words)
            command = command_of(arguments)
            parse(lambda command=command: build_parser(command), arguments, COMMANDS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_stand_in_console_blocks(page):
    """Where the tests find them: indented lines and other blocks would be forgotten."""
    left = re.sub(r"```console.*?```", "", page.read_text(), flags=re.DOTALL)
    stray = re.findall(rf"^\W*(?:inferometer (?:{'|'.join(COMMANDS)})|.*-m inferometer\.launch) .*$", left, re.MULTILINE)
    assert [line for line in stray if not line.startswith(("`", "|", "-")) and "`" not in line] == []


def test_numbers_do_not_count_and_words_do():
    assert alike(["a 1.5 ms [1.4, 1.6]", "…", "end"], ["a   22 ms [2, 3]", "more", "and more", "end"])
    assert alike(["a 1", "…"], ["a 2", "b", ""]) and alike(["…"], ["anything"])
    assert not alike(["a 1.5 ms"], ["b 1.5 ms"]) and not alike(["a", "c"], ["a", "b", "c"])
