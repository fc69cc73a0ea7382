"""The flags of a command, some of which may come from a file: `--config run.toml`.

The file holds flags by their long names, - or _ between words, at its top or in a table named as the command, so that one
file may serve several. What the command line says stands; a key that is no flag is refused.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from inferometer.emulator.errors import InputError
from inferometer.emulator.names import did_you_mean

Build = Callable[[], argparse.ArgumentParser]
MANY = ("+", "*")


def add_config_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", metavar="FILE.toml", help="take flags that are not given here from this file (docs/files.md)"
    )


def parse(build: Build, arguments: list[str], commands: Collection[str]) -> argparse.Namespace:
    """The flags; ``given`` among them are the names of those that the command line or the file sets.

    build: makes the parser. commands: names that a table of the file may have. Raises InputError as the parser does, and
    for a file that is not right, with the key.
    """
    relaxed = build()
    _relax(relaxed)
    given = {name: value for name, value in vars(relaxed.parse_args(arguments)).items() if value not in (None, [])}
    parser, tokens = build(), arguments
    file = given.get("config")
    if file is not None:
        chosen, path = _chosen(parser, given)
        held = _flags(file, path, commands)
        asked = {}
        for key, value in held.items():
            action = _action(chosen, key, file, path)
            if not _given(chosen, action, given):
                asked[action.dest] = _tokens(action, value, f"{file}: {key}")
        rest = {action.dest for action in chosen._actions if action.nargs == argparse.REMAINDER}
        options = [token for name, found in asked.items() if name not in rest for token in found]
        last = [token for name, found in asked.items() if name in rest for token in found]
        at = _after(arguments, path)
        # last of the options one of one value: a list would take the positional arguments that follow
        tokens = [*arguments[:at], *options, f"--config={file}", *arguments[at:], *last]
        _try(relaxed, path, options, file)
        given |= dict.fromkeys(asked)
    args = parser.parse_args(tokens)
    args.given = frozenset(given)
    return args


def _parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in set(action.choices.values()):
                yield from _parsers(sub)


def _relax(parser: argparse.ArgumentParser) -> None:
    """Let the parser accept arguments that lack some, and leave out what they do not set."""
    for each in _parsers(parser):
        for action in each._actions:
            action.required = False
            if not isinstance(action, argparse._SubParsersAction):
                action.default = argparse.SUPPRESS
                if not action.option_strings:
                    _make_optional(action)
                    action.choices = action.type = None


def _make_optional(action: argparse.Action) -> None:
    """Of a positional argument."""
    action.required = False
    action.nargs = "?" if action.nargs is None else "*" if action.nargs == "+" else action.nargs


def _chosen(parser: argparse.ArgumentParser, given: Mapping[str, Any]) -> tuple[argparse.ArgumentParser, list[str]]:
    """The parser of the command that was asked for, and its name: ``paper predict`` has two parts."""
    path: list[str] = []
    while True:
        subs = next((action for action in parser._actions if isinstance(action, argparse._SubParsersAction)), None)
        if subs is None or subs.dest not in given:
            return parser, path
        path.append(given[subs.dest])
        parser = subs.choices[path[-1]]


def _after(arguments: list[str], path: list[str]) -> int:
    """Where the names of the command end."""
    at = 0
    for name in path:
        at = arguments.index(name, at) + 1
    return at


def _flags(file: str, path: list[str], commands: Collection[str]) -> dict[str, Any]:
    """What the file sets for this command. Raises InputError for a table that no command is called by."""
    from inferometer.emulator.documents import read_text, toml_of

    found: dict[str, Any] = {}
    level = toml_of(read_text(file), file)
    tables = commands
    for at in range(len(path) + 1):
        inner = {key: value for key, value in level.items() if isinstance(value, dict)}
        if at < len(path):
            for key in set(inner) - set(tables):
                raise InputError(
                    f"{file}: {'.'.join([*path[:at], key])}: no command is called so{did_you_mean(key, tables)}"
                )
        found |= {key: value for key, value in level.items() if key not in inner or at == len(path)}
        if at == len(path) or path[at] not in inner:
            return found
        level, tables = inner[path[at]], inner[path[at]]
    return found


def _names(action: argparse.Action) -> list[str]:
    """By which a file may call a flag or a positional argument."""
    if not action.option_strings:
        return [] if isinstance(action, argparse._SubParsersAction) else [action.dest.replace("_", "-")]
    if action.dest in ("help", "config"):
        return []
    return [name[2:] for name in action.option_strings if name.startswith("--")]


def _action(parser: argparse.ArgumentParser, key: str, file: str, path: list[str]) -> argparse.Action:
    wanted = key.replace("_", "-")
    known = {name: action for action in parser._actions for name in _names(action)}
    if wanted not in known:
        hint = did_you_mean(wanted, known)
        raise InputError(f"{file}: {key}: {' '.join(path)} has no flag of that name{hint}")
    return known[wanted]


def _given(parser: argparse.ArgumentParser, action: argparse.Action, given: Collection[str]) -> bool:
    """Whether the command line sets this flag, or one that excludes it."""
    groups = [group._group_actions for group in parser._mutually_exclusive_groups]
    excluded = [other for group in groups if action in group for other in group]
    return any(other.dest in given for other in [action, *excluded])


def _tokens(action: argparse.Action, value: Any, where: str) -> list[str]:
    """The arguments that say what the file says; a positional argument gets its value as its default."""
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise InputError(f"{where} = {value!r}: a flag without a value is true or false")
        return [action.option_strings[-1]] if value else []
    values = [_text(each, where) for each in (value if isinstance(value, list) else [value])]
    if not values:
        raise InputError(f"{where}: an empty list")
    if action.nargs == argparse.REMAINDER:
        return values
    if not action.option_strings:
        action.default = values if action.nargs in MANY else _one(values, where)
        _make_optional(action)
        return []
    flag = action.option_strings[-1]
    if action.nargs in MANY:
        action.required = False
        return [flag, *values]
    if isinstance(action, argparse._AppendAction):
        return [f"{flag}={each}" for each in values]
    return [f"{flag}={','.join(values)}"]


def _one(values: list[str], where: str) -> str:
    if len(values) > 1:
        raise InputError(f"{where}: one value is taken, {len(values)} are given")
    return values[0]


def _text(value: Any, where: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        shown = str(value).lower() if isinstance(value, bool) else type(value).__name__
        raise InputError(f"{where}: {shown} is no value of a flag")
    return str(value)


def _try(relaxed: argparse.ArgumentParser, path: list[str], options: list[str], file: str) -> None:
    """Raise InputError with the file's name for a value that its flag does not take."""
    try:
        relaxed.parse_args([*path, *options])
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
