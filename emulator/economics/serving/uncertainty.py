"""How far a predicted step may be off, by the sources' own account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

import numpy as np

from inferometer.emulator.calibrate.evaluate.stack import Stack
from inferometer.emulator.economics.pricing.step import StepTime
from inferometer.emulator.workload.program import Collective, Size


class Use(NamedTuple):
    """A collective of a step; above_s: how much longer than priced it may take at 95 %, in all its repeats."""

    collective: str
    bytes: float
    ranks: float
    nodes: float
    above_s: float


class Cause(NamedTuple):
    """An independent error: name, and the degrees of freedom of the Student's t by which it is known; inf: normal."""

    name: str
    freedom: float = inf


@dataclass(frozen=True)
class Share:
    """What one law adds to a step, in seconds, and what leaves the logarithm of that open; these broadcast.

    sources: 95 % half widths by their causes, with the sign of what these do. A cause in another step, or another layout,
    is the same error.
    """

    seconds: Size
    sources: Mapping[Cause, Size]
    uses: Sequence[Use] = ()
    """Of a network's law, for each collective that it prices the one that errs most."""

    @property
    def half(self) -> Size:
        """h, so that the seconds s lie in [s e^−h, s e^h] at 95 %."""
        return np.sqrt(sum(np.square(half) for half in self.sources.values()))

    @property
    def below_s(self) -> Size:
        """How far below the seconds the truth may lie at 95 %."""
        return -self.seconds * np.expm1(-self.half)

    @property
    def above_s(self) -> Size:
        """How far above."""
        return self.seconds * np.expm1(self.half)


def shares(step: StepTime) -> tuple[dict[str, Share], str]:
    """What each law adds to the sum of a step's terms, by its name and "compute"; whose error is not known, in words.

    All uses of one law share its parameters, so that their deviations add with their signs; what the law itself misses is
    common to the uses on as many ranks and nodes. Different laws err independently. Computing is one more law, which errs by
    a fraction of kernel_s and compute_s; an accelerator's figures are taken as given, and so are in-step overheads. A
    network of constants has no share. The words are empty where every share is known.
    """
    found: dict[str, Share] = {}
    unknown = ""
    network, processor = step.prices.network, step.prices.processor
    sent: dict[str, list[tuple[Size, Size, Size, Size]]] = {}
    for priced in step.ops:
        if isinstance(op := priced.op, Collective):
            isolated_s = priced.terms["network_latency_s"] + priced.terms["network_bandwidth_s"]
            sent.setdefault(op.collective, []).append((op.bytes, op.ranks, op.nodes, priced.repeats * isolated_s))
    moved: dict[str, dict[Cause, Size]] = {}
    seconds: dict[str, Size] = {}
    used: dict[str, list[Use]] = {}
    for collective, rows in sent.items():
        stack = Stack(rows)
        bytes, ranks, nodes, each_s = stack.columns
        left = network.deviations(collective, bytes, ranks, nodes)
        if left is None:
            return {}, ""
        if np.isnan(left.half_widths).any():
            unknown = unknown or f"the law of {collective}"
            continue
        own, *directions = (stack.split(each_s * half) for half in left.half_widths)
        errors = moved.setdefault(left.law, {})
        for (_, r, N, _), deviation in zip(rows, own):
            cause = Cause(f"{left.law} on {np.max(r):g} ranks of {np.max(N):g} nodes")
            errors[cause] = errors.get(cause, 0.0) + deviation
        for at, (freedom, uses) in enumerate(zip(left.freedom[1:], directions)):
            cause = Cause(f"{left.law}: direction {at}", freedom)
            errors[cause] = errors.get(cause, 0.0) + sum(uses)
        seconds[left.law] = seconds.get(left.law, 0.0) + sum(stack.split(each_s))
        above_s = each_s * np.expm1(left.whole)
        at = int(np.argmax(above_s))
        used.setdefault(left.law, []).append(
            Use(collective, *(float(column[at]) for column in (bytes, ranks, nodes, above_s)))
        )
    for law, errors in moved.items():
        sources = {cause: _per(moved_s, seconds[law]) for cause, moved_s in errors.items()}
        found[law] = Share(seconds[law], sources, used[law])
    share = None if processor is None else processor.relative_error(step.bill.calls, step.program.precision)
    if share is None:
        unknown = unknown or "the laws of computing"
    elif share > 0:
        computing_s = step.terms["kernel_s"] + step.terms.get("compute_s", 0.0)
        found["compute"] = Share(computing_s, {Cause("compute"): np.log1p(share)})
    return found, unknown


def _per(moved_s: Size, seconds: Size) -> Size:
    """moved_s / seconds, 0 where both are."""
    return np.divide(moved_s, seconds, out=np.zeros(np.broadcast(moved_s, seconds).shape), where=np.asarray(seconds) > 0)


def deviations(step: StepTime) -> tuple[float, float] | None:
    """How far below and above the sum of a step's terms the truth may lie at 95 %, in seconds.

    The truth is the mean step, as serving for long sees it; a single launch differs from it by more. The deviations of
    different laws (`shares`) add in squares. None where a law has no interval, and where there is neither a measured network
    nor measured computing.
    """
    found, unknown = shares(step)
    return None if unknown or not found else _in_squares(found)


def _in_squares(found: Mapping[str, Share]) -> tuple[float, float]:
    sides = ([one.below_s for one in found.values()], [one.above_s for one in found.values()])
    down, up = (float(np.sqrt(sum(float(v) ** 2 for v in side))) for side in sides)
    return down, up


@dataclass(frozen=True)
class Uncertainty:
    """The 95 % interval of a token latency; which measurement would narrow it most; why there is none, in words."""

    interval_s: tuple[float, float] | None = None
    narrowed_by: str | None = None
    notes: Sequence[str] = ()


def uncertainty(step: StepTime, latency_s: float) -> Uncertainty:
    """Of a token latency that rests on a step, as `deviations` has it.

    Where a token takes longer or shorter than the sum of the step's terms (a pipeline's waits, speculation), the deviations
    grow or shrink with it.
    """
    found, unknown = shares(step)
    if unknown:
        return Uncertainty(notes=[f"no interval: nothing says how far {unknown} may be off"])
    if not found:
        return Uncertainty()
    below_s, above_s = _in_squares(found)
    stretch = latency_s / float(step.terms.total_s)
    interval = max(0.0, latency_s - below_s * stretch), latency_s + above_s * stretch
    return Uncertainty(interval, _narrowing(step, found))


def _narrowing(step: StepTime, found: Mapping[str, Share]) -> str | None:
    """Which measurement would narrow the step's interval most, with that law's part of the variance; None: nobody knows."""
    of = {law: float(share.above_s) ** 2 for law, share in found.items()}
    widest = max(of, key=of.__getitem__)
    if of[widest] == 0:
        return None
    words = "more probes of computing (a larger --budget)"
    if widest != "compute":
        most = max(found[widest].uses, key=lambda use: use.above_s)
        words = step.prices.network.narrowing(most.collective, most.bytes, most.ranks, most.nodes)
    return f"{words}; {of[widest] / sum(of.values()):.0%} of its variance" if words else None
