"""The targets as data, and the one call that exports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from inferometer.emulator.calibrate.evaluate.file import canonical
from inferometer.emulator.errors import InputError
from inferometer.emulator.exporters import aiconfigurator, astra_sim, llm_analysis, nccl_tuner, paper, vidur
from inferometer.emulator.exporters.loss import AGREES, Made, agreement
from inferometer.emulator.exporters.query import Query

LOST_BY_ALL = "intervals, held-out errors, the validity domain, how it was measured: no format has a place for them"


@dataclass(frozen=True)
class Target:
    """A format. write: (query, suffix of the file's name) → what goes into the files."""

    write: Callable[[Query, str], Made]
    needs: str
    carries: str


TARGETS = {
    "paper": Target(paper.write, "any law", "t_reduce's three latencies, two bandwidths"),
    "aiconfigurator": Target(aiconfigurator.write, "a layout on one node", "a table over sizes for each GPU count"),
    "vidur": Target(vidur.write, "all_reduce or send_recv", "a table over sizes for each layout"),
    "llm-analysis": Target(llm_analysis.write, "all_reduce on one node", "one latency, one bandwidth"),
    "astra-sim": Target(astra_sim.write, "all_reduce", "latency and bandwidth of each dimension of one layout"),
    "nccl-tuner": Target(nccl_tuner.write, "runs with forced algorithms and protocols", "a choice for each size, no time"),
}


@dataclass(frozen=True)
class Exported:
    """The file's bytes, siblings by name, and the statement of what is lost."""

    content: bytes
    siblings: dict[str, bytes]
    statement: dict[str, Any]


def export_query(target: str, query: Query, suffix: str = "") -> Exported:
    """Write a calibration for another tool. suffix: of the file it goes to, where a format has two forms.

    Raises InputError for an unknown target, and where the calibration lacks what the target needs.
    """
    if target not in TARGETS:
        raise InputError(f"--to {target}: unknown; known are {', '.join(TARGETS)}")
    made = TARGETS[target].write(query, suffix)
    laws = [entry.model for entry in made.carried]
    statement = {
        "target": target,
        "carries": TARGETS[target].carries,
        "calibration": query.calibration.id,
        "laws": [{"target": m.target.model_dump(), "form": m.form, "equation": m.equation} for m in laws],
        "dropped": [*made.dropped, LOST_BY_ALL],
        "use": made.use,
        "tolerance": AGREES,
        "agreement": [entry for carried in made.carried for entry in agreement(carried)],
    }
    return Exported(made.content, made.siblings, canonical(statement))
