"""An emulation as text: time, waiting and share of each phase's operations, predicted beside measured."""

from __future__ import annotations

from collections.abc import Iterator

from inferometer.emulator.report.columns import aligned, wrapped
from inferometer.emulator.units import format_us
from inferometer.emulator.validate.accounting import COMPUTE, Account, Row
from inferometer.emulator.validate.predicted import WAITED, Priced

HEADER = ["operation", "kind", "count", "FLOP or B", "time µs", "±95%", "waiting", "share"]


def phase_lines(account: Account, priced: Priced | None = None) -> Iterator[str]:
    """Times are per step and rank, means over ranks and steps."""
    low_high = account.step_ci95_us
    interval = f", 95 % {format_us(low_high[0])} to {format_us(low_high[1])}" if low_high else ""
    launches = ", ".join(format_us(us) for us in account.launch_medians_us)
    yield f"{account.phase}: {account.steps} steps in {account.launches} launches"
    yield f"  median step {format_us(account.step_median_us)} µs{interval}; by launch: {launches}"
    if account.overhead is not None:
        ci = account.overhead_ci95
        words = f" (95 % {ci[0]:.3f} to {ci[1]:.3f})" if ci else ""
        plain = format_us(account.plain_median_us)
        yield f"  instrumented / plain step: {account.overhead:.3f}{words}; median plain step {plain} µs"
    loose = account.unattributed_us
    rows = [HEADER, *(_row(row) for row in account.rows)]
    rows.append(["unattributed", "", "", "", format_us(loose), "", "", f"{loose / account.step_mean_us:.1%}"])
    rows.append(["step", "", "", "", format_us(account.step_mean_us), "", "", f"{1:.1%}"])
    if priced:
        beside = ["predicted", *(_predicted(row, priced) for row in account.rows), "", ""]
        rows = [[*row, us] for row, us in zip(rows, beside)]
    yield from aligned(rows, range(2, len(rows[0])))
    yield f"  sum of the parts / step − 1: at most {account.worst_sum:.2%} on any rank"
    yield from _routed(account)
    if priced:
        yield from _beside(account, priced)


def _row(row: Row) -> list[str]:
    half = "–"
    if row.ci95_us and row.median_us:
        half = f"{(row.ci95_us[1] - row.ci95_us[0]) / 2 / row.median_us:.1%}"
    waiting = "" if row.kind in COMPUTE or row.kind == "send" else format_us(row.waiting_us)
    count, size = f"{row.count:.4g}", "" if row.size is None else f"{row.size:.4g}"
    return [row.name, row.kind, count, size, format_us(row.mean_us), half, waiting, f"{row.share:.1%}"]


def _predicted(row: Row, priced: Priced) -> str:
    """µs of an operation; blank where it has no price."""
    unknown = row.kind == "send" or (priced.processor is None and row.kind in COMPUTE)
    seconds = None if unknown else priced.by_op.get(row.name)
    return "" if seconds is None else format_us(seconds * 1e6)


def _routed(account: Account) -> Iterator[str]:
    for row in account.rows:
        if row.executed is not None and row.size:
            unit = "FLOP" if row.kind in COMPUTE else "B"
            most = "" if row.executed_most is None else f", busiest rank {row.executed_most:.6g}"
            off = row.executed / row.size - 1
            yield f"  routed: {row.name} expected {row.size:.6g} {unit}, executed {row.executed:.6g} ({off:+.1%}){most}"


def split(account: Account) -> dict[str, float | None]:
    """µs of a step by term: compute, network without waiting, waiting, unattributed; None where not known."""
    network = [row for row in account.rows if row.kind not in COMPUTE]
    waits = [row.waiting_us for row in network]
    waiting = None if any(wait is None for wait in waits) else sum(wait or 0.0 for wait in waits)
    moving = sum(row.mean_us for row in network)
    return {
        "compute": sum(row.mean_us for row in account.rows if row.kind in COMPUTE),
        "network": moving if waiting is None else moving - waiting,
        "waiting": waiting,
        "unattributed": account.unattributed_us,
    }


def _beside(account: Account, priced: Priced) -> Iterator[str]:
    yield from wrapped(f"  prediction: network from {priced.network}; {priced.note or f'compute from {priced.processor}'}")
    kinds = priced.kinds
    computing = [kinds[name] for name in COMPUTE]
    sent = [kinds[name] for name in WAITED]
    measured = split(account)
    # A rank that wakes up late transfers slowly, and that extra transfer time is counted as in-step overhead. So only the
    # sum of transfer and waiting compares with the sum of isolated time and in-step overhead.
    yield _against("compute", measured["compute"], None if None in computing else sum(s or 0.0 for s in computing))
    moving = (measured["network"] or 0.0) + (measured["waiting"] or 0.0)
    yield _against("network + waiting", moving, sum(s or 0.0 for s in sent))
    yield _against("unattributed", measured["unattributed"], kinds["glue"])
    yield _against("step", account.step_mean_us, priced.total_s)


def _against(term: str, us: float | None, seconds: float | None) -> str:
    """seconds None: nothing prices the term; NaN: its law does not determine a time at these sizes or ranks."""
    known = seconds is not None and seconds == seconds
    beside = f"{format_us(seconds * 1e6)} µs predicted" if seconds is not None and known else "not predicted"
    if seconds and known and us:
        beside += f" ({seconds * 1e6 / us - 1:+.0%})"
    return f"  {term:<18}{format_us(us):>10} µs measured {beside:>28}"
