"""A comparison as text for a terminal, and as Markdown for a pull request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from inferometer.emulator.compare.collectives import Change, Compared
from inferometer.emulator.compare.comparison import Comparison, Subject
from inferometer.emulator.compare.deployments import Deployment
from inferometer.emulator.report.columns import aligned, wrapped
from inferometer.emulator.units import format_bytes, format_us

CHANGES_SHOWN = 12
SETTINGS_SHOWN = 12
HEADER = ["collective", "timing", "dtype", "ranks", "nodes", "bytes", "old µs", "new µs", "new/old", "95 %", "by", ""]
RIGHT = (3, 4, 5, 6, 7, 8)
COMMON = (1, 2, 4)
"""Columns that are said once where all rows share them."""


def comparison_lines(found: Comparison, *, every: bool = False) -> Iterator[str]:
    """What changed from the first to each other one; every: each size, not only all sizes together and what stands out."""
    for subject, each in zip(found.new, found.compared):
        yield f"{found.old.name} → {subject.name}"
        yield from wrapped(_settings(found, subject), "  ")
        yield ""
        rows = each.changes if every else shown(each)
        common, table, right = _narrowed([HEADER, *map(_cells, rows)])
        if common:
            yield f"  all: {common}"
        yield from (f"  {line}" for line in aligned(table, right))
        for text in _counted(each, rows):
            yield from wrapped(text, "  ")
        yield ""
    yield from _deployment_lines(found)


def markdown_lines(found: Comparison, *, every: bool = False) -> Iterator[str]:
    """The same as Markdown."""
    for subject, each in zip(found.new, found.compared):
        yield f"### {found.old.name} → {subject.name}"
        yield ""
        yield _settings(found, subject)
        yield ""
        yield from _table([HEADER, *map(_cells, each.changes if every else shown(each))], RIGHT)
        yield ""
        yield from _counted(each, each.changes if every else shown(each))
        yield ""
    if found.deployments:
        yield from (line if line.startswith("  ") is False else f"    {line.strip()}" for line in _deployment_lines(found))


def shown(found: Compared) -> list[Change]:
    """All sizes together for each collective, and the sizes that changed most, as far as chance does not explain them."""
    single = [change for change in found.changes if change.bytes is not None and change.significant]
    worst = sorted(single, key=lambda change: -abs(change.ratio - 1))[:CHANGES_SHOWN]
    overall = found.overall or found.changes
    return [*overall, *(change for change in worst if change not in overall)]


def _narrowed(table: Sequence[list[str]]) -> tuple[str, list[list[str]], list[int]]:
    """The table without the columns that are alike on all rows, which are (words); its columns aligned to the right."""
    alike = [at for at in COMMON if len({row[at] for row in table[1:]}) == 1] if len(table) > 2 else []
    words = ", ".join(f"{table[1][at]} {HEADER[at]}" if at in RIGHT else table[1][at] for at in alike)
    kept = [at for at in range(len(HEADER)) if at not in alike]
    return words, [[row[at] for at in kept] for row in table], [kept.index(at) for at in RIGHT if at in kept]


def _settings(found: Comparison, subject: Subject) -> str:
    changed = [f"{name} {_told(old)} → {_told(new)}" for name, (old, new) in found.settings_changed(subject).items()]
    more = f"; {len(changed) - SETTINGS_SHOWN} more" if len(changed) > SETTINGS_SHOWN else ""
    return (
        f"settings: {'; '.join(changed[:SETTINGS_SHOWN])}{more}"
        if changed
        else "settings: the same, as far as they are known"
    )


def _told(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return "–" if value is None else text if len(text) <= 40 else f"{text[:39]}…"


def _cells(change: Change) -> list[str]:
    size = f"all {change.sizes}" if change.bytes is None else format_bytes(change.bytes)
    interval = f"[{change.ci95[0]:.3f}, {change.ci95[1]:.3f}]" if change.ci95 else "not known"
    mark = ("slower" if change.ratio > 1 else "faster") if change.significant else ""
    timing = change.timing or "–"
    if change.launch_mode not in (None, "host"):
        timing = f"{timing}, {change.launch_mode}"
    return [
        change.collective + ("*" if change.oversubscribed else ""), timing, change.dtype or "–", str(change.ranks),
        str(change.nodes), size, format_us(change.old_us), format_us(change.new_us), f"{change.ratio:.3f}", interval,
        f"{change.source}, {change.over or '–'}", mark,
    ]  # fmt: skip


def _counted(found: Compared, rows: Sequence[Change]) -> Iterator[str]:
    tested = sum(change.p_value is not None for change in found.changes)
    marked = sum(change.significant for change in found.changes)
    yield (
        f"{marked} of {tested} ratios differ from 1 by more than chance explains (Holm's test, 5 % for all together); "
        f"{len(found.changes) - len(rows)} ratios not shown. By: times of cells or of laws; the interval is over launches "
        "or by the laws' own account"
    )
    for words, side in (("old", found.only_old), ("new", found.only_new)):
        if side:
            yield f"only in the {words}: {'; '.join(side[:6])}{'; …' if len(side) > 6 else ''}"


def _deployment_lines(found: Comparison) -> Iterator[str]:
    if found.question is None:
        return
    question = found.question
    names = [subject.name for subject in (found.old, *found.new)]
    aim = "the cheapest within the target" if question.target.tpot_max_s or question.target.ttft_max_s else "the fastest"
    yield f"{question.model} on {question.accelerator}: {aim}"
    head = ["by", "layout", "GPUs", "batch", "ms/token", "90 %", "tokens/s", "$/Mtok", "P(best)"]
    rows = [head]
    for name, each in zip(names, found.deployments):
        rows.append([name, *_row(each, each.best)])
        for other, row in zip([one for one in names if one != name] if len(set(names)) > 1 else names[1:], each.others):
            if row is None:
                rows.append([f"  the choice of {other}", "not priced", *[""] * 7])
            elif row["layout"] != each.best["layout"] or row["batch"] != each.best["batch"]:
                rows.append([f"  the choice of {other}", *_row(each, row)])
    yield from (f"  {line}" for line in aligned(rows, (2, 3, 4, 6, 7, 8)))
    for name, each in zip(names, found.deployments):
        if each.likely is None:
            yield from wrapped(f"{name}: no probabilities: {each.likely_reason}", "  ")
        elif len(each.likely) > 1:
            told = ", ".join(f"{row['layout']} batch {row['batch']} {row['p_best']:.0%}" for row in each.likely[:4])
            yield from wrapped(f"{name}: P(best): {told}", "  ")
    layouts = {(each.best["layout"], each.best["gpus"]) for each in found.deployments}
    yield "  The best layout is the same by all." if len(layouts) == 1 else "  The best layout changes."


def _row(by: Deployment, row: dict[str, object]) -> list[str]:
    chance = next((one for one in by.likely or [] if (one["layout"], one["batch"]) == (row["layout"], row["batch"])), None)
    latency_s, dollars, speed = (float(str(row[name])) for name in ("token_latency_s", "usd_per_mtok", "tokens_per_s"))
    low_high = chance["token_latency_90_s"] if chance else None
    return [
        str(row["layout"]), str(row["gpus"]), str(row["batch"]), f"{latency_s * 1e3:.4g}",
        f"[{low_high[0] * 1e3:.4g}, {low_high[1] * 1e3:.4g}]" if low_high else "–", f"{speed:.4g}",
        "–" if dollars != dollars else f"{dollars:.3g}",
        "–" if by.likely is None else f"{chance['p_best']:.0%}" if chance else "< 1%",
    ]  # fmt: skip


def _table(rows: Sequence[Sequence[str]], right: Sequence[int]) -> Iterator[str]:
    head, *body = ([cell.replace("|", "\\|") for cell in row] for row in rows)
    yield f"| {' | '.join(head)} |"
    yield f"|{'|'.join('---:' if at in right else '---' for at in range(len(head)))}|"
    for row in body:
        yield f"| {' | '.join(row)} |"
