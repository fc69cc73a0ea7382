"""Which collective a table of nccl-tests shows, where the run does not name it: older versions never do."""

from __future__ import annotations

import re

from inferometer.emulator.importers.implied import PASSES, Ratio
from inferometer.emulator.importers.nccl.table import NcclRun
from inferometer.parallel.collectives import COLLECTIVES

TESTS = {record.tools.tests: record for record in COLLECTIVES.values() if record.tools.tests and not record.pair}
"""The tables that nccl-tests print, by the names of its programs."""
SMALL = 0.1
"""Between the relative differences of rounding and those of wrong data."""
SHARDED = frozenset(name for name, test in TESTS.items() if test.in_shards)
"""Their count is one rank's part of the size; of the others it is the whole."""


def candidates(run: NcclRun, ratio: Ratio, ranks: int | None, parts: int | None, without_own: bool) -> set[str]:
    """The collectives that a table's columns, counts and bandwidths allow.

    parts: size / (count × item size). without_own: algbw leaves a rank's own part out, which it did for two of them.
    """
    kinds = {(row.redop not in (None, "none"), row.root is not None and row.root >= 0) for row in run.rows[:64]}
    possible = {name for name, test in TESTS.items() if (test.tools.tests_print_redop, test.rooted) in kinds}
    if parts is not None and parts > 1:
        possible &= SHARDED
    elif parts == 1 and ranks != 1:
        possible -= SHARDED
    if without_own:
        possible &= {"all_gather", "reduce_scatter"}
    possible = _by_difference(run, possible) if run.errors else _by_check(run, possible)
    if ranks is not None and ranks > 1:
        return {name for name in possible if ratio.allows(name, ranks)}
    fits = {name: ratio.ranks(name) for name in possible}
    wanted = {name for name, span in fits.items() if span is not None and (span[1] is None or span[1] >= 2)}
    if "all_reduce" in wanted and ratio.low > 1:  # more crosses the bus than is reduced: nothing else does that
        return {"all_reduce"}
    if ratio.high < 1 - 1e-6:  # (n−1)/n: a collective whose factor is 1 cannot be it, an all_reduce only on one rank
        return {name for name in wanted if PASSES.get(name) == 1}
    return wanted


def _by_check(run: NcclRun, possible: set[str]) -> set[str]:
    checked = [(row.out_of_place.wrong, row.in_place.wrong) for row in run.rows if row.out_of_place and row.in_place]
    if any(out is not None for out, _ in checked):
        in_place = any(inside is not None for _, inside in checked)
        return {name for name in possible if TESTS[name].tools.tests_check_in_place == in_place} or possible
    return possible


def _by_difference(run: NcclRun, possible: set[str]) -> set[str]:
    """Before August 2022 alltoall was checked in place, where it always fails: no other table is wrong there alone."""
    pairs = [(row.out_of_place, row.in_place) for row in run.rows if row.bytes and row.out_of_place and row.in_place]
    told = [(out.error, inside.error) for out, inside in pairs if out.error is not None and inside.error is not None]
    if told and all(out < SMALL < inside for out, inside in told):
        return possible & {"alltoall"} or possible
    return possible


def from_name(stem: str, possible: set[str]) -> str | None:
    """The one of the possible collectives that a file's name mentions, as all_reduce, allreduce or all-reduce."""
    plain = re.sub(r"all[_-]?(?:to|2)[_-]?all", "alltoall", stem.lower())
    named = {name for name in possible if re.search(rf"(?<![a-z]){name.replace('_', '[_-]?')}(?![a-z])", plain)}
    longest = {name for name in named if not any(name in other and name != other for other in named)}
    return longest.pop() if len(longest) == 1 else None
