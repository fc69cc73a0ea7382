"""The command line: ``inferometer COMMAND``, one file per command under ``commands/``.

Exit status: 0 done; 1 ran and found a failure; 2 bad usage or bad input, with one line; 130 interrupted by Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from keyword import iskeyword
from typing import NoReturn

from inferometer.emulator.errors import InputError, RunFailed

COMMANDS = {
    "doctor": "what this machine can run, and what would spoil a measurement",
    "measure": "time collectives on real ranks, write raw samples",
    "import": "make samples of logs and tables that others measured",
    "fit": "turn samples into a calibration file",
    "calibrate": "measure, fit and summarise: the main job",
    "export": "write a calibration for another tool, and say what is lost",
    "predict": "latency and cost of one configuration of a model",
    "frontier": "speed against cost over layouts and batches",
    "emulate": "run a scaled-down model on real ranks, times by operation",
    "validate": "hold predictions against executions that no fit has seen",
    "reproduce": "every number the sources print, beside ours",
}


class OneLineParser(argparse.ArgumentParser):
    """argparse with the usage error in one line, as every other bad input."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (see {self.prog} --help)")


def build_parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog="inferometer",
        description="Measure the collectives of this machine, fit their cost, predict from the fit.",
    )
    parser.add_argument("--version", action="version", version=f"inferometer {version('inferometer')}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, words in COMMANDS.items():
        # no module can be called as a keyword of Python is: import_.py
        module = import_module(f"inferometer.launch.commands.{name}{'_' if iskeyword(name) else ''}")
        sub = commands.add_parser(
            name, help=words, description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        module.add_arguments(sub)
        sub.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Parse and run. Every error a user can cause ends in one line on stderr."""
    try:
        args = build_parser().parse_args(argv)
        return int(args.run(args))
    except InputError as error:
        print(f"inferometer: {one_line(error)}", file=sys.stderr)
        return 2
    except RunFailed as error:
        print(f"inferometer: {one_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupt:
        print(f"inferometer: interrupted{f'; {interrupt}' if str(interrupt) else ''}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as with `| head`
        sys.stderr.close()
        return 1


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
