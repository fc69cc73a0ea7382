"""The guides: their commands run as they stand, and print what the page says, numbers aside."""

from __future__ import annotations

import pytest

from tests.guides import GUIDES, alike, blocks, files_into, page_of, run

PAGES = [name for name in GUIDES if blocks(page_of(name).read_text())]


@pytest.mark.parametrize("name", PAGES)
def test_the_commands_of_a_guide_print_what_it_says(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files_into(tmp_path)
    for block in blocks(page_of(name).read_text()):
        for command in block:
            status, now = run(command.line)
            assert status == 0, "\n".join(now)
            assert alike(command.output, now), f"python -m tests.guides {name}\n{command.line}\n" + "\n".join(now)


def test_numbers_do_not_count_and_words_do():
    assert alike(["a 1.5 ms [1.4, 1.6]", "…", "end"], ["a   22 ms [2, 3]", "more", "and more", "end"])
    assert alike(["a 1", "…"], ["a 2", "b", ""]) and alike(["…"], ["anything"])
    assert not alike(["a 1.5 ms"], ["b 1.5 ms"]) and not alike(["a", "c"], ["a", "b", "c"])
