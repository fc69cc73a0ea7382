"""On how many ranks and nodes a run of nccl-tests was: what the log lists, against what its bandwidths imply."""

from __future__ import annotations

from inferometer.emulator.importers.implied import Ratio
from inferometer.emulator.importers.nccl.arithmetic import in_words, parts_of
from inferometer.emulator.importers.nccl.collective import SHARDED
from inferometer.emulator.importers.nccl.table import NcclRun
from inferometer.emulator.importers.run import Run


def ratio_cells(run: NcclRun) -> list[tuple[str, ...]]:
    """Printed (algbw, busbw) of every cell with data in it."""
    groups = [group for row in run.rows if row.bytes for group in (row.out_of_place, row.in_place) if group]
    return [group.printed[1:] for group in groups]


def listed_ranks(table: NcclRun) -> int | None:
    """Ranks of one communicator by a device list that shows every rank of it; None where there is no such list."""
    devices = table.devices
    sizes = set(devices.groups.values())
    return sizes.pop() if devices.complete and len(sizes) == 1 else None


def ranks_by_count(table: NcclRun, collective: str | None) -> tuple[int | None, str]:
    """Ranks by size / (count × item size), and the arithmetic; None for a collective whose count is the whole size."""
    found, row = parts_of(table)
    if collective not in SHARDED or not found or row is None:
        return None, ""
    return found, f"{in_words(row)} ranks"


def settle(table: NcclRun, ratio: Ratio, run: Run) -> None:
    """Set run.ranks and run.nodes; flag and exclude where list, counts and bandwidths contradict each other."""
    devices, collective = table.devices, run.tool_collective
    span = ratio.ranks(collective) if collective and ratio.known else None
    counted, arithmetic = ranks_by_count(table, collective)
    implied = counted or _only(span, table.per_process)
    listed = listed_ranks(table)
    at_least = devices.highest + 1 if devices.listed and len(devices.groups) == 1 else None
    run.facts |= {"ranks_listed": listed if listed else at_least, "ranks_implied": list(span) if span else None}
    if len(devices.groups) > 1:
        run.concurrent_groups = "all"
        run.facts["groups"] = len(devices.groups)
    if devices.repeated:
        run.flag("repeated_ranks", "the device list shows a rank twice: several processes ran the benchmark at once")
        run.exclude_all("repeated_ranks")
        return
    if ratio.low > ratio.high:
        run.flag("inconsistent_bandwidths", "no single busbw/algbw fits all rows: not one run, or edited")
        run.exclude_all("inconsistent_bandwidths")
        return
    claimed = listed or at_least
    if counted and collective and ratio.known and not ratio.allows(collective, counted):
        run.flag("ranks_contradicted", f"size / count tells {arithmetic}, but busbw/algbw fits {fitting(span)}")
        run.exclude_all("ranks_contradicted")
        return
    if counted and claimed and (counted != claimed if listed else counted < claimed):
        what = f"lists {claimed} ranks" if listed else f"goes up to rank {claimed - 1}"
        run.flag("ranks_contradicted", f"the log {what}, but size / count tells {arithmetic}")
        run.exclude_all("ranks_contradicted")
        return
    if claimed and collective and ratio.known and _contradicts(ratio, collective, claimed, bool(listed)):
        fit = fitting(span)
        what = "lists" if listed else "goes up to rank"
        run.flag(
            "ranks_contradicted",
            f"the log {what} {claimed if listed else claimed - 1}, but busbw/algbw of {collective} fits {fit}",
        )
        run.exclude_all("ranks_contradicted")
        return
    if listed:
        run.ranks = listed
    elif implied is not None:
        run.ranks = implied
        how = f"size / count ({arithmetic})" if counted else "busbw/algbw"
        run.flag("inferred", f"{implied} ranks inferred from {how}; the log does not list them")
    elif at_least and devices.highest > 0:
        run.ranks = at_least
        run.flag("inferred", f"{at_least} ranks: the last one listed; busbw/algbw allows it")
    _nodes(table, run, listed)


def _nodes(table: NcclRun, run: Run, listed: int | None) -> None:
    devices = table.devices
    spans = {len(hosts) for hosts in devices.hosts_of.values()}
    if listed and len(spans) == 1:
        run.nodes = spans.pop()
    elif run.ranks is not None and run.ranks == table.per_process:
        run.nodes = 1
        run.flag("nodes_inferred", "one process drove all ranks, so they are on one node")
    if devices.listed and not listed:
        run.flag("device_list_incomplete", f"{devices.listed} device lines, the highest rank is {devices.highest}")


def _only(span: tuple[int, int | None] | None, per_process: int | None) -> int | None:
    """The one rank count in the span that is a multiple of what a process drives; one rank looks like none."""
    if span is None or span[1] is None:
        return None
    step = per_process or 1
    first = -(-max(span[0], 2) // step) * step
    return first if first <= span[1] < first + step else None


def _contradicts(ratio: Ratio, collective: str, claimed: int, whole: bool) -> bool:
    if claimed == 1 and whole:
        return False  # busbw is 0 there, and the run is left out anyway
    span = ratio.ranks(collective)
    if whole or span is None:
        return not ratio.allows(collective, claimed)
    return span[1] is not None and claimed > span[1]


def fitting(span: tuple[int, int | None] | None) -> str:
    return "no rank count" if span is None else f"{_words(span)} ranks"


def _words(span: tuple[int, int | None]) -> str:
    low, high = span
    return f"{low} or more" if high is None else str(low) if low == high else f"{low} to {high}"
