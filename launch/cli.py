"""The command line: ``inferometer COMMAND``, one file per command under ``commands/``; only the one asked for is imported.

Exit status: 0 done; 1 ran and found a failure; 2 bad usage or bad input, with one line; 130 interrupted by Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from keyword import iskeyword
from types import ModuleType
from typing import NoReturn

from inferometer import __version__
from inferometer.emulator.errors import InputError, RunFailed, reason_of
from inferometer.emulator.names import visible
from inferometer.launch.arguments import add_config_flag, parse
from inferometer.launch.ranks.identity import identity_from
from inferometer.launch.streams import guarded_streams

COMMANDS = {
    "doctor": "what this machine can run, and what would spoil a measurement",
    "measure": "time collectives on real ranks, write raw samples",
    "import": "turn logs and tables of other tools into samples",
    "fit": "turn samples into a calibration file",
    "calibrate": "measure, fit and summarise: the main job",
    "export": "write a calibration for another tool, and say what is lost",
    "predict": "latency and cost of one configuration of a model",
    "frontier": "speed against cost over layouts and batches",
    "report": "one HTML page: can it be trusted, what it costs, what that means",
    "compare": "what changed between calibrations, and what that does to a model",
    "models": "models known by name, types of configurations, what is read of one",
    "list": "built-in models, accelerators, calibrations, and collectives",
    "paper": "latency and cost under the paper's convention, epoch-2025",
    "emulate": "run a scaled-down model on real ranks, with times by operation",
    "validate": "compare predictions with runs that the fit never saw",
    "lab": "run any command over several hosts on this machine",
    "reproduce": "every number the sources print, beside ours",
    "schema": "the JSON Schema of what a command writes with --json",
}


COMPLETING = "_ARGCOMPLETE"
"""A variable that the shell's function sets when it asks for completions."""
WITH_RANKS = ("measure", "calibrate", "emulate", "validate")
"""Which say themselves what they do under torchrun or mpiexec."""


class OneLineParser(argparse.ArgumentParser):
    """argparse with the usage error in one line, as every other bad input."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (see {self.prog} --help)")


def build_parser(command: str | None) -> argparse.ArgumentParser:
    """The parser of all commands by name, with the flags of this one, whose module is the only one imported."""
    parser = OneLineParser(
        prog="inferometer",
        description="Measure the collectives of this machine, fit their cost, predict from the fit.",
    )
    parser.add_argument("--version", action="version", version=f"inferometer {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, words in COMMANDS.items():
        module = command_module(name) if name == command else None
        sub = commands.add_parser(
            name,
            help=words,
            description=module.__doc__ if module else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if module:
            module.add_arguments(sub)
            for each in _leaves(sub):
                add_config_flag(each)
            sub.set_defaults(run=module.run)
    return parser


def _leaves(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """The parsers that take flags: of a command's answers where it has several, as `paper` has, else its own."""
    answers = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return [sub for action in answers for sub in action.choices.values()] or [parser]


def command_module(name: str) -> ModuleType:
    """The module of a command; `import` is a keyword of Python, so its module is import_."""
    return import_module(f"inferometer.launch.commands.{name}{'_' if iskeyword(name) else ''}")


def command_of(arguments: Sequence[str]) -> str | None:
    """The command that the arguments ask for; None for none. Raises InputError for an unknown one, with the nearest."""
    name = next((argument for argument in arguments if not argument.startswith("-")), None)
    if name is not None and name not in COMMANDS:
        from difflib import get_close_matches

        close = get_close_matches(name[:100], COMMANDS, n=1, cutoff=0.5)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise InputError(f"{name[:100]}: no such command{hint}; the commands are {', '.join(COMMANDS)}")
    return name


def spelt_out(arguments: Sequence[str]) -> list[str]:
    """The arguments with ``predict|frontier --convention C`` written as the command it stands for."""
    if not arguments or arguments[0] not in ("predict", "frontier"):
        return list(arguments)
    convention = OneLineParser(prog=f"inferometer {arguments[0]}", add_help=False, allow_abbrev=False)
    convention.add_argument("--convention", choices=("deployable", "epoch-2025"))
    chosen, others = convention.parse_known_args(arguments[1:])
    return [*(["paper"] if chosen.convention == "epoch-2025" else []), arguments[0], *others]


def main(argv: Sequence[str] | None = None) -> int:
    """Parse and run. Every error a user can cause ends in one line on stderr."""
    try:
        if COMPLETING in os.environ:
            from inferometer.launch.completion import complete

            complete(build_parser, COMMANDS)
        with guarded_streams():
            return _run(sys.argv[1:] if argv is None else argv)
    except InputError as error:
        return _say(error, 2)
    except RunFailed as error:
        return _say(error, 1)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "inferometer":
            raise
        return _say(f"this needs {error.name}, which is not installed: pip install {error.name}", 2)
    except KeyboardInterrupt as interrupt:
        return _say(f"interrupted{f'; {interrupt}' if str(interrupt) else ''}", 130)
    except BrokenPipeError:  # the reader of our output has gone, as with `| head`
        return 1
    except OSError as error:
        if error.filename is None:
            raise
        return _say(f"{error.filename}: {reason_of(error)}", 2)
    except (RecursionError, MemoryError, OverflowError) as error:
        what = f"a number or a nesting in the arguments or files is too large ({type(error).__name__}: {error})"
        return _say(what, 2)


def _run(argv: Sequence[str]) -> int:
    arguments = spelt_out(argv)
    command = command_of(arguments)
    args = parse(lambda: build_parser(command), arguments, COMMANDS)
    identity = None if command in WITH_RANKS else identity_from(os.environ)
    if identity is not None and identity.rank != 0:
        return 0  # a launcher has started many of a command that needs one: rank 0 does it
    return int(args.run(args))


def _say(what: object, status: int) -> int:
    with suppress(OSError, ValueError):
        print(f"inferometer: {one_line(what)}", file=sys.stderr)
    return status


LONGEST_LINE = 500


def one_line(what: object) -> str:
    """The message without line ends and control characters, cut where a file made it long."""
    line = visible(" ".join(str(what).split()))
    return line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - 1]}…"
