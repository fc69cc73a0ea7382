"""Flags from a file: those of every command, each with what the command line would say; a mistake is one line."""

from __future__ import annotations

import argparse
import json

import pytest

from inferometer.launch.arguments import _names, parse
from inferometer.launch.cli import COMMANDS, build_parser, main

SAMPLES = ("2", "1/2", "all_reduce", "a.csv", "auto", "x.png")
"""Of which each flag takes at least one."""


def leaves(command):
    """(path, parser) of a command, or of each of its answers."""
    parser = build_parser(command)
    for name in (command,):
        parser = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction)).choices[name]
    subs = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return [([command, name], sub) for action in subs for name, sub in action.choices.items()] or [([command], parser)]


def value_for(action):
    """What a file says for an action, and the arguments that say the same."""
    flag = action.option_strings[-1] if action.option_strings else None
    if action.nargs == 0:
        return True, [flag]
    text = next(sample for sample in (*map(str, action.choices or ()), *SAMPLES) if takes(action, sample))
    several = action.nargs in ("+", "*", argparse.REMAINDER) or isinstance(action, argparse._AppendAction)
    value = [text] if several else int(text) if text.isdigit() else text
    return value, [flag, text] if flag else [text]


def arguments_of(actions):
    """Positional ones first: a flag of several values would take them."""
    return [text for action in sorted(actions, key=lambda each: bool(each.option_strings)) for text in value_for(action)[1]]


def takes(action, text):
    try:
        (action.type or str)(text)
    except Exception:
        return False
    return True


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_holds_any_flag_of_any_command(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tried = 0
    for path, parser in leaves(command):
        actions = [action for action in parser._actions if _names(action)]
        for action in actions:
            mine = [action] if action.option_strings else [each for each in actions if not each.option_strings]
            needed = [each for each in actions if each.required and each not in mine and each.nargs != argparse.REMAINDER]
            text = "".join(f"{_names(each)[0].replace('-', '_')} = {json.dumps(value_for(each)[0])}\n" for each in mine)
            by_hand = parsed(command, [*path, *arguments_of([*mine, *needed])])
            in_table = tried % 2 == 0
            (tmp_path / "run.toml").write_text(f"[{'.'.join(path)}]\n{text}" if in_table else text)
            by_file = parsed(command, [*path, *arguments_of(needed), "--config", "run.toml"])
            assert by_file == by_hand, action.dest
            tried += 1
    assert tried >= 2


def parsed(command, arguments):
    found = vars(parse(lambda: build_parser(command), arguments, COMMANDS))
    return {name: value for name, value in found.items() if name not in ("config", "run", "run_answer", "given")}


PREDICT = 'model = "llama-3-8b"\naccelerator = "h100-sxm"\ntp = 4\n'


def answer(capsys, *arguments):
    assert main([*arguments, "--json", "-"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text, name="run.toml"):
        (tmp_path / name).write_text(text)
        return name

    return write


def test_the_command_line_wins(file, capsys):
    name = file(PREDICT)
    assert answer(capsys, "predict", "--config", name)["layout"]["tp"] == 4
    assert answer(capsys, "predict", "--config", name, "--tp", "2")["layout"]["tp"] == 2
    assert answer(capsys, "predict", "llama-3-70b", "--tp=8", f"--config={name}")["model"]["name"] == "llama-3-70b"
    verbose = file("verbose = true\nranks = 3\n")
    found = parsed("measure", ["measure", "--config", verbose, "-q"])
    assert found["quiet"] and not found["verbose"] and found["ranks"] == 3


def test_a_list_is_taken_where_the_flag_takes_one(file):
    found = parsed("measure", ["measure", "--config", file('collectives = ["all_reduce", "barrier"]\nmaxbytes = "4K"\n')])
    assert (found["collectives"], found["maxbytes"]) == ("all_reduce,barrier", 4096)
    several = file('model = ["llama-3-8b", "mixtral-8x7b"]\naccelerator = ["h100-sxm", "b200"]\n')
    found = parsed("frontier", ["frontier", "--config", several])
    assert (found["model"], found["accelerator"]) == (["llama-3-8b", "mixtral-8x7b"], ["h100-sxm", "b200"])


def test_one_file_serves_several_commands(file):
    name = file('[predict]\nmodel = "llama-3-8b"\naccelerator = "b200"\n[measure]\nranks = 3\n')
    assert parsed("measure", ["measure", "--config", name])["ranks"] == 3
    assert parsed("predict", ["predict", "--config", name])["accelerator"] == "b200"


def test_a_lab_keeps_its_flags_before_its_command(file):
    found = parsed("lab", ["lab", "--config", file("nodes = 3\n"), "measure", "-n", "2"])
    assert (found["nodes"], found["arguments"]) == (3, ["measure", "-n", "2"])


MISTAKES = {
    "a near miss": (
        "acelerator = 1\n",
        "run.toml: acelerator: predict has no flag of that name (did you mean accelerator?)",
    ),
    "another command's": ("nodes = 3\n", "run.toml: nodes: predict has no flag of that name"),
    "no command": ("[predikt]\ntp = 1\n", "run.toml: predikt: no command is called so (did you mean predict?)"),
    "a value of another type": ('tp = "x"\n', "run.toml: argument --tp: invalid int value: 'x'"),
    "a table for a value": ("tp = {}\n", "run.toml: tp: no command is called so"),
    "true for a value": ("tp = true\n", "run.toml: tp: true is no value of a flag"),
    "a value for a switch": ("interleave = 3\n", "run.toml: interleave = 3: a flag without a value is true or false"),
    "a date": ("tp = 2020-01-01\n", "run.toml: tp: date is no value of a flag"),
    "an empty list": ("tp = []\n", "run.toml: tp: an empty list"),
    "two models": ('model = ["a", "b"]\n', "run.toml: model: one value is taken, 2 are given"),
    "itself": ('config = "run.toml"\n', "run.toml: config: predict has no flag of that name"),
    "no TOML": ("tp = = 1\n", "run.toml: not TOML: "),
    "a choice": ('routing = "even"\n', "run.toml: argument --routing: invalid choice: 'even'"),
    "a file in no folder": ('json = "no/x.json"\n', "run.toml: no/x.json: the folder no does not exist"),
}


@pytest.mark.parametrize(("text", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_with_the_file_and_the_key(file, capsys, text, words):
    assert main(["predict", "--config", file(text)]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and words in said.err


def test_a_file_that_is_not_there(capsys, file):
    assert main(["predict", "--config", "nowhere.toml"]) == 2
    assert "nowhere.toml: cannot be read" in capsys.readouterr().err
