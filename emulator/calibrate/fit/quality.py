"""The verdict on a calibration: a list of small rules, each with its reason in plain words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

CARE = "usable_with_care"
UNSUITABLE = "unsuitable_for_calibration"
SEVERITY = ("ok", CARE, UNSUITABLE)

#: A t-interval over two launches is 6 times as wide as over three, and with one there is none.
MIN_LAUNCHES = 3
#: A quiet host's p95 is within 1.5 of its median; beyond 3 the scheduler shows, beyond 10 it is what was measured.
TAIL_CARE, TAIL_UNSUITABLE = 3.0, 10.0
#: Spread of launch medians. A median over 3 launches is then known to about 15 %, and to 35 %.
LAUNCH_CARE, LAUNCH_UNSUITABLE = 0.25, 0.6
#: Held-out error of a law. The affine law leaves 10 to 25 % on well measured GPUs; at 60 % it is not a law.
LAW_CARE, LAW_UNSUITABLE = 0.25, 0.6
#: Time the hypervisor gave to others; above 5 % a rank is often missing when the others wait for it.
STEAL_CARE = 0.05

Finding = tuple[str, str]


@dataclass(frozen=True)
class Evidence:
    """What the rules look at: documents of a calibration file before it is validated.

    held_out: median held-out size error of each model as (name, error or None). kernels: laws of a device's kernels.
    ranks_per_gpu: (most ranks of a node, its GPUs) where collectives ran on GPUs.
    """

    cells: list[dict[str, Any]]
    launches: int
    held_out: list[tuple[str, float | None]] = field(default_factory=list)
    conditions: dict[str, Any] = field(default_factory=dict)
    kernels: list[dict[str, Any]] = field(default_factory=list)
    ranks_per_gpu: tuple[int, int] | None = None


def wrong_data(e: Evidence) -> Iterator[Finding]:
    """Collectives that return wrong numbers are not collectives."""
    names = _names(c for c in e.cells if (c["wrong"] or 0) > 0)
    if names:
        yield UNSUITABLE, f"wrong results from {names}"


def oversubscribed(e: Evidence) -> Iterator[Finding]:
    """Ranks that wait for a core measure the scheduler."""
    flagged = [c for c in e.cells if "oversubscribed" in c["flags"] and "shared_gpu" not in c["flags"]]
    alone = sorted({c["ranks"] for c in flagged if c["target"]["concurrent_groups"] != "all"})
    concurrent_ranks = sorted({c["ranks"] for c in flagged} - set(alone))
    if flagged:
        groups = [f"{', '.join(map(str, alone))} ranks"] if alone else []
        groups += [f"all groups of {', '.join(map(str, concurrent_ranks))} at once"] if concurrent_ranks else []
        which = f"with {' and with '.join(groups)} there were more ranks × threads than usable cores"
    elif e.conditions.get("oversubscribed") is True:
        which = "there were more ranks × threads than usable cores"
    else:
        return
    yield CARE, f"{which}: holds for emulating here, not for extrapolating ranks"


def shared_gpus(e: Evidence) -> Iterator[Finding]:
    """Ranks that share a GPU measure its switching between their processes, about every 2 ms.

    Cells say so by the GPUs' UUIDs; of files without that the ranks of a node are held against its GPUs.
    """
    flagged = sorted({c["ranks"] for c in e.cells if "shared_gpu" in c["flags"]})
    if flagged:
        which = ", ".join(map(str, flagged))
        yield UNSUITABLE, f"ranks of the cells of {which} ranks shared a GPU: its switching between them was measured"
        return
    if e.ranks_per_gpu is None:
        return
    ranks, gpus = e.ranks_per_gpu
    if ranks > gpus > 0:
        yield (
            UNSUITABLE,
            f"{ranks} ranks shared {gpus} GPU{'' if gpus == 1 else 's'}: its switching between them was measured",
        )


def few_launches(e: Evidence) -> Iterator[Finding]:
    """The launch is the experimental unit."""
    if e.launches < MIN_LAUNCHES:
        yield CARE, f"{e.launches} launch{'es' if e.launches != 1 else ''} only: intervals need {MIN_LAUNCHES}"


def launches_apart(e: Evidence) -> Iterator[Finding]:
    """Launches that importing found far from the others of the same cells."""
    names = _names(c for c in e.cells if "launches_apart" in c["flags"])
    if names:
        yield CARE, f"launches of {names} differ widely: the import's report names which, and by what factor"


def long_tails(e: Evidence) -> Iterator[Finding]:
    """The tail of the typical cell."""
    ratios = [c["us"]["p95"] / c["us"]["median"] for c in e.cells if c["us"].get("p95") and c["us"].get("median")]
    yield from _graded(ratios, TAIL_CARE, TAIL_UNSUITABLE, "the 95th percentile is typically {:.1f} times the median")


def unsteady_launches(e: Evidence) -> Iterator[Finding]:
    """How far launches of the typical cell differ."""
    spreads = [c["between_launch_rsd"] for c in e.cells if c["between_launch_rsd"] is not None]
    yield from _graded(spreads, LAUNCH_CARE, LAUNCH_UNSUITABLE, "launches typically differ by {:.0%}")


def poor_laws(e: Evidence) -> Iterator[Finding]:
    """Laws that miss the sizes they were not fitted to."""
    for verdict, low, high in ((UNSUITABLE, LAW_UNSUITABLE, np.inf), (CARE, LAW_CARE, LAW_UNSUITABLE)):
        names = [f"{name} ({error:.0%})" for name, error in e.held_out if error is not None and low < error <= high]
        if names:
            yield verdict, f"no law predicts held-out sizes within {low:.0%} for {', '.join(dict.fromkeys(names))}"


def poor_kernels(e: Evidence) -> Iterator[Finding]:
    """Laws of kernels that miss the shapes they were not fitted to."""
    for law in e.kernels:
        error = law["fit"]["held_out"]["median"]
        name = law.get("op") or law["kind"]
        if error is not None and error > LAW_CARE and (law.get("op") or law["kind"] != "stream"):
            yield (
                (UNSUITABLE if error > LAW_UNSUITABLE else CARE),
                f"the law of {name} misses held-out shapes by {error:.0%}",
            )


def no_network(e: Evidence) -> Iterator[Finding]:
    """Kernels of one device say nothing of collectives."""
    if e.kernels and not e.cells:
        yield CARE, "no collective was measured: network terms are not identified, one device can be priced"


def stolen_time(e: Evidence) -> Iterator[Finding]:
    """Other guests of the same host."""
    steal = e.conditions.get("steal_frac")
    if isinstance(steal, (int, float)) and steal > STEAL_CARE:
        yield CARE, f"the hypervisor gave {steal:.0%} of the time to others"


def default_scheduler(e: Evidence) -> Iterator[Finding]:
    """Gloo under the default scheduling class is 2 to 10 times slower at its 90th percentile."""
    if any(c["target"]["backend"] == "gloo" and c["target"]["scheduler"] == "other" for c in e.cells):
        yield CARE, "gloo ran under the default scheduling class, which adds delays of its own"


def unchecked(e: Evidence) -> Iterator[Finding]:
    """Times of operations whose results nobody looked at."""
    names = _names(c for c in e.cells if c["wrong"] is None and c["target"]["collective"] not in ("barrier", "null"))
    if names:
        yield CARE, f"the results of {names} were not checked"


RULES: tuple[Callable[[Evidence], Iterator[Finding]], ...] = (
    wrong_data,
    oversubscribed,
    shared_gpus,
    few_launches,
    launches_apart,
    long_tails,
    unsteady_launches,
    poor_laws,
    poor_kernels,
    no_network,
    stolen_time,
    default_scheduler,
    unchecked,
)


def assess(evidence: Evidence) -> dict[str, Any]:
    """The Quality record: the worst verdict of all rules, and every reason, worst first. No cells: unsuitable."""
    findings = [finding for rule in RULES for finding in rule(evidence)]
    if not evidence.cells and not evidence.kernels:
        findings.append((UNSUITABLE, "nothing was measured"))
    findings.sort(key=lambda finding: -SEVERITY.index(finding[0]))
    verdict = findings[0][0] if findings else SEVERITY[0]
    return {"verdict": verdict, "reasons": [reason for _, reason in findings]}


def _graded(values: list[float], care: float, unsuitable: float, text: str) -> Iterator[Finding]:
    if values and (typical := float(np.median(values))) > care:
        yield (UNSUITABLE if typical > unsuitable else CARE), text.format(typical)


def _names(cells: Iterable[dict[str, Any]]) -> str:
    return ", ".join(sorted({c["target"]["collective"] for c in cells}))
