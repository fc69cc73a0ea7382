"""The flag that chooses among a calibration's laws, where several match."""

from __future__ import annotations

import argparse

from inferometer.emulator.errors import InputError


def add_key_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--key",
        action="append",
        default=[],
        metavar="K=V,…",
        help="choose among a calibration's laws where several match: backend=gloo,launch_mode=graph",
    )


def add_launch_mode_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--launch-mode",
        choices=("graph", "stream", "eager", "host"),
        help="how operations get onto the device: the same as --key launch_mode=…",
    )


YES_OR_NO = {"true": True, "false": False}


def law_key(texts: list[str]) -> dict[str, str | int]:
    """``["backend=gloo,dtype=float16"]`` as fields of a law's key.

    Raises InputError for what is no K=V, no field of a key, or given twice.
    """
    if not texts:
        return {}
    # Here, since these records take longer to import than a prediction does without a calibration.
    from inferometer.emulator.calibrate.schema.records import Target

    chosen: dict[str, str | int] = {}
    for part in ",".join(texts).split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not value or name not in Target.model_fields:
            raise InputError(f"--key {part}: write K=V with K one of {', '.join(Target.model_fields)}")
        if name in chosen:
            raise InputError(f"--key {part}: {name} is given twice")
        chosen[name] = int(value) if name == "concurrent_groups" and value.isdecimal() else value
        if name == "oversubscribed":
            if value not in YES_OR_NO:
                raise InputError(f"--key {part}: {name} is true or false")
            chosen[name] = YES_OR_NO[value]
    return chosen
