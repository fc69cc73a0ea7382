"""The program's operations of one stage as the lines of a rank's tape."""

from __future__ import annotations

from typing import Any

from inferometer.emulator.workload.program import Collective, Compute, Op, Program, Size
from inferometer.parallel.line import Line


def stage_lines(program: Program, stage: int, *, tokens_awaited: bool = False) -> list[Line]:
    """What a rank of the stage does for one micro-batch, in order.

    The program lists a hand-off once, with the stage that sends. Here the stage behind begins with receiving it; so does
    the first stage with the tokens that the last one chose in the step before, where there are any (tokens_awaited).
    """
    lines = [] if stage == 0 and not tokens_awaited else received_lines(program, stage)
    return lines + [_line(op) for op in program.stages[stage]]


def received_lines(program: Program, stage: int) -> list[Line]:
    """What the stage receives from the one before it, of which the first is the last."""
    handed_on = [op for op in program.stages[stage - 1] if isinstance(op, Collective) and op.axis == "pp"]
    return [_line(op)._replace(kind="recv") for op in handed_on]


def _line(op: Op) -> Line:
    if isinstance(op, Collective):
        kind = "send" if op.collective == "send_recv" else op.collective
        return Line(op.name, kind, (_whole(op, op.bytes, op.expected),), op.axis, op.ranks, op.expected)
    if op.kind == "matmul":
        assert op.matmul is not None
        rows, inner, outer = op.matmul
        return Line(op.name, op.kind, (_whole(op, rows, op.expected), inner, outer), varies=op.expected)
    return Line(op.name, op.kind, (_whole(op, op.flop, False),) if op.kind == "attention" else ())


def _whole(op: Compute | Collective, size: Size, expected: bool) -> int:
    """The size as a whole number; an expectation is rounded."""
    number: Any = float(size)
    if not expected and not number.is_integer():
        raise ValueError(f"{op.name}: a size of {number} cannot be executed")
    return round(number)
