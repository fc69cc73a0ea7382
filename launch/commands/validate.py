"""Hold predictions against executions: a matrix of layouts, batches, contexts that no fit has seen.

  inferometer validate                                     calibrates as well, at most 10 minutes in all on 2 cores
  inferometer validate --calibration calibration.json      what `calibrate` wrote, with the same scheduler and backend
  inferometer validate --calibration calibration.json --matrix mine.toml --launches 5 -o mine.json

Every cell of the matrix is emulated, prefill and decode, in several launches of its ranks. Printed are predicted beside
measured in total and by term, the errors beside how far one launch lies from the others, and what the prediction would be
without its parts. The exit status is 1 where a bound is missed or not known. Every clock reading goes to FILE.ranks-N.emulation.jsonl.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from inferometer.emulator.errors import InputError, RunFailed
from inferometer.launch.commands.outputs import json_target, keep_apart, output_path, replaced_path, show, write_json
from inferometer.launch.commands.sweep_flags import RANK_BYTES, add_rank_flags, scheduler_class
from inferometer.launch.ranks.identity import identity_from

if TYPE_CHECKING:
    from inferometer.emulator.calibrate.evaluate.calibration import Calibration
    from inferometer.emulator.validate.plan import Part, Plan
    from inferometer.emulator.validate.settings import Configuration, Emulation

LAUNCHES = 4
"""By default: more than intervals need, so that what one launch says counts less."""
DTYPES = {16: "bfloat16", 32: "float32"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--calibration",
        metavar="FILE|NAME",
        help="predict from there (default: calibrate between the launches, into FILE.calibration.json)",
    )
    parser.add_argument(
        "--matrix", default="default", metavar="NAME|FILE.toml", help="what to emulate (default: default, the built-in one)"
    )
    parser.add_argument(
        "-o", "--output", default="validation.json", metavar="FILE", help="the document (default validation.json)"
    )
    parser.add_argument("-J", "--json", type=json_target, metavar="FILE|-", help="also write it there; - for stdout")
    ranks = add_rank_flags(parser, None, LAUNCHES)
    ranks.add_argument("--backend", choices=["gloo", "mpi"], default="gloo", help="default gloo")


def run(args: argparse.Namespace) -> int:
    from inferometer.emulator.calibrate.evaluate.file import load_calibration
    from inferometer.emulator.report.validation import validation_lines
    from inferometer.emulator.validate.document import Validation
    from inferometer.emulator.validate.forecast import check_agreement
    from inferometer.emulator.validate.plan import load_plan
    from inferometer.launch.runs.validating import beside, samples_path, validate_here

    identity = identity_from(os.environ)
    if identity:
        raise InputError(f"validate starts its ranks itself, one, two or more in turn: leave {identity.launcher} out")
    output = replaced_path(args.output)
    plan = load_plan(args.matrix)
    parts, left_out = planned(args, plan)
    paths = [output_path(str(samples_path(output, part.matrix.world_size))) for part in parts]
    fitted = replaced_path(str(beside(output, "calibration.json"))) if args.calibration is None else None
    models = {cell.model for part in parts for cell in part.matrix.cells}
    beside_it = [fitted.with_suffix(".samples.jsonl"), fitted.with_suffix(".png")] if fitted else []
    keep_apart([args.calibration, args.matrix, *models], [output, args.json, fitted, *beside_it, *paths])
    source = args.calibration or str(fitted)
    if fitted:
        say(left_out)
        calibration = calibrate_between(args, fitted, parts, paths)
        check_agreement(calibration, source, args.backend, parts[0].matrix.scheduler, args.threads)
        validation = Validation(plan, args.matrix, parts, left_out, calibration, source)
    else:
        calibration = load_calibration(source)
        check_agreement(calibration, source, args.backend, parts[0].matrix.scheduler, args.threads)
        validation = Validation(plan, args.matrix, parts, left_out, calibration, source)
        if not calibration.compute_laws:
            why = calibration.not_measured.get("compute", "none")
            print(f"note: {source}: compute: {why}: only the collectives will be held against it", file=sys.stderr)
        validation.forecasts()  # a collective that the calibration lacks is an error before anything runs
        say(left_out)
        validate_here(parts, paths)
    document = validation.document(paths)
    write_json(str(output), document)
    show(args.json, document, validation_lines(document))
    for path in (output, *paths):
        print(f"written: {path}", file=sys.stderr)
    return 0 if all(bound["held"] for bound in document["overall"]["bounds"]) else 1


def say(left_out: dict[int, str]) -> None:
    for why in left_out.values():
        print(f"note: left out: {why}", file=sys.stderr)


def planned(args: argparse.Namespace, plan: Plan) -> tuple[list[Part], dict[int, str]]:
    """The cells by numbers of ranks, and what is left out. Raises InputError before any rank is started."""
    from inferometer.emulator.checked import first_error
    from inferometer.emulator.samples.environment import available_memory, usable_cores
    from inferometer.emulator.validate.forecast import LEAST_LAUNCHES
    from inferometer.emulator.validate.plan import parts_of
    from inferometer.emulator.validate.settings import Emulation

    launches = LAUNCHES if args.launches is None else args.launches
    if launches < LEAST_LAUNCHES:
        raise InputError(f"--launches {launches}: how far launches differ needs at least {LEAST_LAUNCHES}")
    scheduler, _ = scheduler_class(args.scheduler, args.backend)
    free, concurrent_ranks = available_memory(), max(1, usable_cores() // max(args.threads, 1))

    def emulation(configuration: Configuration) -> Emulation:
        ranks = configuration.ranks
        try:
            cell = Emulation(
                **configuration.model_dump(), backend=args.backend, world_size=ranks, scheduler=scheduler,
                threads=args.threads, launches=launches, stop=plan.stop, timeout_s=args.timeout,
            )  # fmt: skip
        except ValidationError as error:
            raise InputError(first_error(error)) from None
        if ranks <= concurrent_ranks:
            cell.check_memory(ranks, free, RANK_BYTES)
        return cell

    return parts_of(plan, args.matrix, concurrent_ranks, emulation)


def calibrate_between(args: argparse.Namespace, path: Path, parts: list[Part], paths: list[Path]) -> Calibration:
    """What `calibrate` does on the most ranks that a cell has, a launch of it in each round of the cells' launches.

    So both see the same machine, whose speed may change from minute to minute. Its files go beside path, its words to stderr.
    """
    from inferometer.launch.commands import calibrate
    from inferometer.launch.commands.fit import fit_and_show
    from inferometer.launch.commands.sweep_flags import method_from
    from inferometer.launch.runs.sampling import sample
    from inferometer.launch.runs.validating import validate_here

    parser = argparse.ArgumentParser()
    calibrate.add_arguments(parser)
    widest = parts[-1].matrix
    flags: dict[str, object] = {
        "-n": max(widest.world_size, 2),
        "--scheduler": widest.scheduler,
        "--threads": widest.threads,
        "--backend": widest.backend,
        "--timeout": args.timeout,
        "--launches": 1,
        "-d": ",".join(sorted({DTYPES[cell.bits] for part in parts for cell in part.matrix.cells})),
        "-o": path,
    }
    given = parser.parse_args([str(word) for flag in flags.items() for word in flag])
    given.budget /= widest.launches
    method, words = method_from(given, None)
    samples, figure = output_path(str(path.with_suffix(".samples.jsonl"))), replaced_path(str(path.with_suffix(".png")))

    def measured(number: int) -> None:
        if sample(method, samples, "append" if number else "new", None, sys.stderr, words) is False:
            raise RunFailed(f"{samples}: wrong data: there is nothing to predict from")

    print(f"calibrating beside the cells, into {path}", file=sys.stderr, flush=True)
    validate_here(parts, paths, measured)
    with contextlib.redirect_stdout(sys.stderr):
        return fit_and_show([samples], path, figure, given.seed, None, given.law)
