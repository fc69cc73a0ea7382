"""Run a sharded model on real ranks: measured times by operation, predicted ones beside them.

  inferometer emulate llama-3-70b --scale 1/16 --layers 4 --tp 2 --pp 2 --batch 8 --context 512
  inferometer emulate mixtral-8x7b --scale 1/16 --layers 2 --ep 2 --calibration calibration.json
  torchrun --standalone --nproc-per-node 4 -m inferometer.launch emulate llama-3-8b --scale 1/16 --tp 4

The program that `predict` prices is carried out, operation by operation: a prefill of --context tokens, then decode steps at
that context. Weights are made from a seed. Without a launcher the command starts tp·ep·pp·dp local ranks, several times over;
under torchrun or mpiexec one run is one launch. Every clock reading goes to the samples file.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from inferometer.emulator.errors import InputError
from inferometer.launch.commands.law_key import add_key_flag, law_key
from inferometer.launch.commands.outputs import json_target, keep_apart, output_path, show
from inferometer.launch.commands.sweep_flags import LAUNCHES, RANK_BYTES, add_rank_flags, refuse_under, scheduler_class
from inferometer.launch.ranks.identity import Identity, identity_from

if TYPE_CHECKING:
    from inferometer.emulator.validate.predicted import Priced
    from inferometer.emulator.validate.settings import Emulation, Phase

AXES = ("tp", "ep", "pp", "dp")


def fraction(text: str) -> float:
    """``1/16`` or ``0.0625``."""
    from inferometer.emulator.validate.settings import scale_of

    try:
        return scale_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="built-in model, config.json or its folder")
    parser.add_argument("--scale", type=fraction, default=1.0, metavar="1/N", help="shrink the shape (default 1)")
    parser.add_argument("--layers", type=int, metavar="N", help="this many layers instead of scale times the model's")
    for axis in AXES:
        parser.add_argument(f"--{axis}", type=int, default=1, metavar="N", help=f"{axis} degree (default 1)")
    parser.add_argument("--attention", choices=("tensor", "data"), default="tensor", help="over tp·ep, or sequences over ep")
    parser.add_argument("--tensor", choices=("1d", "2d"), default="1d", help="how matrices are cut over tp (default 1d)")
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="sequences decoded together (default 1)")
    parser.add_argument("--context", type=int, default=512, metavar="N", help="tokens of each in the cache (default 512)")
    parser.add_argument(
        "--micro-batches", type=int, metavar="N", help="parts of a replica's batch (default: pp if it divides)"
    )
    parser.add_argument("--bits", type=int, choices=(16, 32), default=32, help="bfloat16 or float32 (default 32)")
    parser.add_argument("--steps", type=int, metavar="N", help="most timed steps of each phase and launch (default 100)")
    parser.add_argument(
        "--seed", type=int, default=0, help="of weights and prompts of the first launch; others count on (default 0)"
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", default="model.emulation.jsonl", help="raw samples (default model.emulation.jsonl)"
    )
    parser.add_argument("--calibration", metavar="FILE|NAME", help="predict network terms from there")
    add_key_flag(parser)
    parser.add_argument(
        "--accelerator", metavar="NAME|FILE", help="predict compute terms, without --calibration network too"
    )
    parser.add_argument("-J", "--json", type=json_target, metavar="FILE|-", help="write the answer there; - for stdout")
    ranks = add_rank_flags(parser, "tp·ep·pp·dp")
    ranks.add_argument("--backend", choices=["gloo", "mpi"], default="gloo", help="default gloo")


def run(args: argparse.Namespace) -> int:
    from inferometer.emulator.validate.campaign import Matrix
    from inferometer.launch.runs.emulating import emulate_as_rank, emulate_here

    identity = identity_from(os.environ)
    method, words = settings_from(args, identity)
    path = output_path(args.output)
    keep_apart([args.model, args.calibration, args.accelerator], [path, args.json])
    prices = predicted(args, method)  # a calibration that cannot be read is an error before anything runs
    if identity is None or identity.rank == 0:
        for text in [*method.small().not_kept, words]:
            print(f"note: {text}", file=sys.stderr, flush=True)
    if identity is None:
        emulate_here(Matrix(cells=[method]), path)
    elif not emulate_as_rank(Matrix(cells=[method]), path, identity):
        return 0
    report(method, path, prices, args.json)
    print(f"samples: {path}", file=sys.stderr)
    return 0


def settings_from(args: argparse.Namespace, identity: Identity | None) -> tuple[Emulation, str]:
    """The settings, fully resolved, and a sentence on the scheduler. Raises InputError before any rank is started."""
    from inferometer.emulator.checked import first_error
    from inferometer.emulator.samples.environment import available_memory
    from inferometer.emulator.validate.settings import Emulation

    refuse_under(identity, args, "give each run a file of its own with -o")
    product = args.tp * args.ep * args.pp * args.dp
    world = identity.world_size if identity else product if args.ranks is None else args.ranks
    if world != product:
        spelt = f"tp·ep·pp·dp = {args.tp}·{args.ep}·{args.pp}·{args.dp} = {product}"
        raise InputError(f"{spelt} but {world} ranks {'started' if identity else f'asked for with -n {world}'}")
    chosen, why = scheduler_class(args.scheduler, args.backend)
    replica = args.batch // max(args.dp, 1)
    shares = args.ep if args.attention == "data" else 1
    parts = args.pp if args.pp > 0 and replica % (args.pp * max(shares, 1)) == 0 else 1
    flags = {name: getattr(args, name) for name in Emulation.model_fields if hasattr(args, name)}
    flags |= {"world_size": world, "scheduler": chosen, "timeout_s": args.timeout}
    flags["launches"] = 1 if identity else LAUNCHES if args.launches is None else args.launches
    if args.steps is not None:
        if args.steps < 6:
            raise InputError(f"--steps {args.steps}: the interval of a median needs at least 6")
        stop = Emulation.model_fields["stop"].default
        least = min(stop.min_iterations, args.steps)
        flags["stop"] = stop.model_copy(update={"max_iterations": args.steps, "min_iterations": least})
    flags["micro_batches"] = parts if args.micro_batches is None else args.micro_batches
    try:
        method = Emulation.model_validate(flags)
    except ValidationError as error:
        raise InputError(first_error(error)) from None
    method.check()
    method.check_memory(int(os.environ.get("LOCAL_WORLD_SIZE", world)), available_memory(), RANK_BYTES)
    return method, f"scheduler {chosen}: {why}"


def predicted(args: argparse.Namespace, method: Emulation) -> dict[Phase, Priced]:
    """By phase, where --calibration or --accelerator is given. Raises InputError as they do."""
    from inferometer.emulator.calibrate.evaluate.builtin import computed
    from inferometer.emulator.economics.pricing.accelerators import load_accelerator
    from inferometer.emulator.economics.pricing.calibrated_in_step import CalibrationInStep
    from inferometer.emulator.economics.pricing.calibrated_network import CalibrationNetwork
    from inferometer.emulator.economics.pricing.calibrated_processor import CalibrationProcessor
    from inferometer.emulator.economics.pricing.network import Network
    from inferometer.emulator.economics.pricing.processor import Datasheet, Processor
    from inferometer.emulator.economics.serving.request import loaded, network_of
    from inferometer.emulator.economics.serving.uncertainty import beyond
    from inferometer.emulator.validate.predicted import predicted
    from inferometer.emulator.validate.settings import PHASES

    if args.calibration is None and args.accelerator is None:
        return {}
    key = law_key(args.key)
    calibration = loaded(args.calibration)
    network: Network
    processor: Processor | None = None
    if args.accelerator is not None:
        device = load_accelerator(args.accelerator)
        network, processor = network_of(args.calibration, device, method.precision, key), Datasheet(device)
    elif calibration is None:
        assert computed(args.calibration)
        raise InputError(f"--calibration {args.calibration}: needs --accelerator")
    else:
        network = CalibrationNetwork(calibration, bits=method.bits, key=key)
        try:
            processor = CalibrationProcessor(calibration, key)
            processor.check(method.precision)
        except InputError as why:  # the collectives can be predicted all the same
            processor = None
            print(f"note: {why}", file=sys.stderr)
    in_step = None if calibration is None else CalibrationInStep(calibration, key)
    here = min(method.world_size, int(os.environ.get("LOCAL_WORLD_SIZE", method.world_size)))
    found = {
        phase: predicted(
            method.program(phase, here),
            network,
            processor,
            in_step,
            concurrent_ranks=here,
            repeated=phase == "decode",
            uneven=method.program(phase, here, "alike"),
        )
        for phase in PHASES
    }
    notes: dict[str, None] = {}
    for source in (processor, in_step):
        if isinstance(source, CalibrationProcessor | CalibrationInStep):
            notes |= source.notes
    if isinstance(network, CalibrationNetwork):
        for phase in PHASES:
            notes |= beyond(method.program(phase, here), network)
    for text in notes:
        print(f"note: {text}", file=sys.stderr)
    return found


def report(method: Emulation, path: Path, prices: dict[Phase, Priced], target: str | None) -> None:
    """The tables on stdout, the document where --json says."""
    from dataclasses import asdict

    from inferometer.emulator.report.emulation import phase_lines, split
    from inferometer.emulator.samples.samples import read_header, read_records
    from inferometer.emulator.validate.accounting import account
    from inferometer.emulator.validate.records import traces
    from inferometer.emulator.validate.settings import PHASES, SCHEMA

    records = list(read_records(path, schema=SCHEMA))
    small = method.small()
    lines = [
        f"{small.shape.name}, {method.layout.describe()}, batch {method.batch}, context {method.context}, {method.bits} bits"
    ]
    document: dict[str, Any] = {
        "schema": "inferometer/emulation-summary/1",
        "samples": str(path),
        "method": read_header(path, SCHEMA)["method"]["cells"][0],
        "not_kept": list(small.not_kept),
        "phases": [],
    }
    for phase in PHASES:
        its = traces(records, phase)
        if not its:
            continue
        found, beside = account(phase, its), prices.get(phase)
        lines += ["", *phase_lines(found, beside)]
        document["phases"].append(found.as_dict() | {"split_us": split(found), "predicted": beside and asdict(beside)})
    show(target, document, lines)
