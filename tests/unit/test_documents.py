"""Text that is deeply nested, or holds numbers no machine has, ends in one line, whichever command reads it."""

from __future__ import annotations

import pytest

from inferometer.emulator.documents import json_of, toml_of
from inferometer.emulator.errors import InputError
from inferometer.launch.cli import LONGEST_LINE, main

DEEP = "[" * 5000 + "]" * 5000
LONG = "9" * 5000


@pytest.mark.parametrize(
    "text, why",
    [
        (f"a = {DEEP}", "brackets too deep"),
        ("a." * 20_000 + "b = 1", "a key of more than 100 parts"),
        ('"a" . ' * 20_000 + "b = 1", "a key of more than 100 parts"),
        ("x" * 300_000, "Expected"),
        (f"a = {LONG}", "5000 digits"),
        ("a = ", "Invalid value"),
    ],
)
def test_toml(text, why):
    with pytest.raises(InputError, match=rf"f\.toml: not TOML: .*{why}"):
        toml_of(text, "f.toml")


@pytest.mark.parametrize("text, why", [('{"a": ' * 9**6, "brackets too deep"), (LONG, "5000 digits"), ("{", "Expecting")])
def test_json(text, why):
    with pytest.raises(InputError, match=rf"f\.json: not JSON: .*{why}"):
        json_of(text, "f.json")


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["measure", "-b", "1", "-e", "1T", "-i", "1"], "1099511627776 sizes, more than 100000"),
        (["measure", "-b", "1", "-e", "99999999999999999999T"], "is larger than 4611686018427387904 bytes"),
        (["measure", "--sweep", "FILE"], "brackets too deep"),
        (["validate", "--matrix", "FILE"], "brackets too deep"),
        (["predict", "llama-3-8b", "--accelerator", "FILE"], "brackets too deep"),
    ],
)
def test_every_command_says_it_in_one_line(arguments, words, tmp_path, capsys):
    path = tmp_path / "deep.toml"
    path.write_text(f"a = {DEEP}")
    assert main([str(path) if part == "FILE" else part for part in arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line and len(line) <= LONGEST_LINE + len("inferometer: ")


def test_a_refusal_that_a_file_made_long_is_cut(tmp_path, capsys):
    path = tmp_path / "x.toml"
    path.write_text(f'"{"k" * 9000}" = 1\n')
    assert main(["predict", "llama-3-8b", "--accelerator", str(path)]) == 2
    assert len(capsys.readouterr().err) <= LONGEST_LINE + len("inferometer: \n")


def test_tables_without_end_are_no_file_that_anybody_has_written():
    with pytest.raises(InputError, match=r"f\.toml: not TOML that anybody has written: more than 1 MiB"):
        toml_of("".join(f"[t{number}]\n" for number in range(200_000)), "f.toml")
    assert toml_of("a.b.c = 1", "f.toml") == {"a": {"b": {"c": 1}}}


def test_a_key_that_stands_twice_is_found_among_many():
    """In a second: not by counting each of them."""
    text = "{" + "".join(f'"k{number}": 1, ' for number in range(200_000)) + '"k199999": 2}'
    with pytest.raises(InputError, match="the key 'k199999' stands twice"):
        json_of(text, "f.json")
