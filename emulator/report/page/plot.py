"""Figures as SVG: points with intervals, and lines, on logarithmic axes; every mark says its numbers when pointed at."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from inferometer.emulator.report.page.elements import data, tag, text
from inferometer.emulator.units import format_bytes

WIDTH, HEIGHT = 560, 330
LEFT, RIGHT, TOP, BOTTOM = 62, 110, 14, 44
COLOURS = 8
"""Of the style sheet: c0 to c7."""
MARKS = ("M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0", "M-4-4h8v8h-8z", "M0-5L5 4H-5z", "M0-5L5 0L0 5L-5 0z", "M-4-4L4 4M-4 4L4-4")
DASHES = ("", "7 3", "2 3", "9 3 2 3")
LABEL_APART = 13
"""Points between two labels."""

Kind = Literal["points", "line"]


@dataclass(frozen=True)
class Series:
    """One set of marks. low and high: of points their intervals. tips: what a mark says, one each.

    colour: place in the palette, None for grey. dash, mark: places in DASHES and MARKS. label: stands at the last mark.
    """

    name: str
    kind: Kind
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()
    tips: Sequence[str] = ()
    colour: int | None = None
    dash: int = 0
    mark: int = 0
    label: str = ""


@dataclass(frozen=True)
class Plot:
    """A figure. bytes: the x axis holds message sizes. y_zero: y is linear, from 0."""

    name: str
    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    bytes: bool = False
    y_zero: bool = False
    legend: Sequence[str] = field(default_factory=tuple)

    def html(self) -> str:
        """The figure, its title, and its numbers as CSV."""
        shown = [one for one in self.series if len(one.x)]
        if not shown:
            return ""
        xs = [value for one in shown for value in one.x]
        ys = [value for one in shown for value in (*one.y, *one.low, *one.high) if value is not None and _drawn(value)]
        across = Axis.of(xs, LEFT, WIDTH - RIGHT, 2 if self.bytes else 10)
        up = Linear(max(ys), HEIGHT - BOTTOM, TOP) if self.y_zero else Axis.of(ys, HEIGHT - BOTTOM, TOP, 10)
        parts = [*_grid(across, up, format_bytes if self.bytes else _short), *_labels(self, across, up)]
        for one in sorted(shown, key=lambda one: ("line", "points").index(one.kind)):
            parts += _marks(one, across, up)
        parts += _direct_labels(shown, across, up)
        picture = tag(
            "svg", "".join(parts), viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=self.title,
            xmlns="http://www.w3.org/2000/svg",
        )  # fmt: skip
        below = "".join(tag("span", text(words)) for words in self.legend)
        caption = tag("figcaption", tag("b", text(self.title)) + below)
        rows = [
            (one.name, x, y, _at(one.low, place), _at(one.high, place))
            for one in shown
            for place, (x, y) in enumerate(zip(one.x, one.y))
            if one.kind != "line" or len(one.tips)
        ]
        return tag(
            "figure", caption + picture + data(("series", self.x_label, self.y_label, "low", "high"), rows, self.name)
        )


def _drawn(value: float) -> bool:
    return math.isfinite(value) and value > 0


def _at(values: Sequence[float | None], place: int) -> float | None:
    return values[place] if len(values) else None


def _short(value: float) -> str:
    return (
        f"{value:g}" if 1e-3 <= abs(value) < 1e5 or value == 0 else f"{value:.0e}".replace("e+0", "e").replace("e-0", "e−")
    )


@dataclass(frozen=True)
class Axis:
    """A logarithmic axis from low to high, drawn from begin to end."""

    low: float
    high: float
    begin: float
    end: float
    base: int

    @classmethod
    def of(cls, values: Sequence[float], begin: float, end: float, base: int) -> Axis:
        known = [value for value in values if _drawn(value)]
        low, high = min(known), max(known)
        margin = max(math.log(high / low) * 0.04, 0.05)
        return cls(low * math.exp(-margin), high * math.exp(margin), begin, end, base)

    def place(self, value: float) -> float:
        value = min(max(value, self.low), self.high) if _drawn(value) else self.low
        return self.begin + (self.end - self.begin) * math.log(value / self.low) / math.log(self.high / self.low)

    def ticks(self) -> list[float]:
        """Powers of the base, so many that they do not touch; within two decades also 2 and 5 times them."""
        first, last = (math.log(bound, self.base) for bound in (self.low, self.high))
        powers = [float(self.base) ** power for power in range(math.ceil(first - 1e-9), math.floor(last + 1e-9) + 1)]
        if self.base != 10 or last - first >= 2:
            return powers[:: max(1, math.ceil(len(powers) / 8))]
        decades = [10.0**power for power in range(math.floor(first), math.ceil(last) + 1)]
        found = [value * part for value in decades for part in (1, 2, 5) if self.low <= value * part <= self.high]
        return found if len(found) >= 3 else _even(self.low, self.high)


@dataclass(frozen=True)
class Linear:
    """An axis from 0 to high."""

    high: float
    begin: float
    end: float

    def place(self, value: float) -> float:
        share = min(max(value, 0.0), self.high * 1.05) / (self.high * 1.05)
        return self.begin + (self.end - self.begin) * share

    def ticks(self) -> list[float]:
        return _even(0.0, self.high * 1.05)


def _even(low: float, high: float) -> list[float]:
    """Round numbers at equal distances, at most seven."""
    step = 10.0 ** math.floor(math.log10(high - low))
    step = next(step * part for part in (0.2, 0.25, 0.5, 1, 2) if (high - low) / (step * part) <= 6)
    return [step * count for count in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _grid(across: Axis, up: Axis | Linear, words: Callable[[float], str]) -> list[str]:
    parts = []
    for value in across.ticks():
        x = across.place(value)
        parts.append(f'<path class="grid" d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
        parts.append(tag("text", text(words(value)), class_="tick", x=f"{x:.1f}", y=f"{HEIGHT - BOTTOM + 15}"))
    for value in up.ticks():
        y = up.place(value)
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(tag("text", text(_short(value)), class_="tick end", x=f"{LEFT - 5}", y=f"{y + 4:.1f}"))
    return parts


def _labels(plot: Plot, across: Axis, up: Axis | Linear) -> list[str]:
    middle = (across.begin + across.end) / 2
    half_way = (up.begin + up.end) / 2
    return [
        f'<path class="frame" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>',
        tag("text", text(plot.x_label), class_="label", x=f"{middle:.0f}", y=f"{HEIGHT - 10}"),
        tag("text", text(plot.y_label), class_="label", transform=f"translate(14 {half_way:.0f}) rotate(-90)"),
    ]


def _marks(one: Series, across: Axis, up: Axis | Linear) -> list[str]:
    colour = "grey" if one.colour is None else f"c{one.colour % COLOURS}"
    places = [(across.place(x), up.place(y)) for x, y in zip(one.x, one.y)]
    if one.kind == "line":
        dash = f' stroke-dasharray="{DASHES[one.dash % len(DASHES)]}"' if one.dash else ""
        return [f'<path class="line {colour}"{dash} d="M{"L".join(f"{x:.1f} {y:.1f}" for x, y in places)}"/>']
    parts = []
    for at, (x, y) in enumerate(places):
        low, high = _at(one.low, at), _at(one.high, at)
        if low is not None and high is not None:
            parts.append(f'<path class="line {colour}" d="M{x:.1f} {up.place(low):.1f}V{up.place(high):.1f}"/>')
        parts.append(
            tag(
                "g", f'<path class="mark {colour}" d="{MARKS[one.mark % len(MARKS)]}"/>',
                transform=f"translate({x:.1f} {y:.1f})", tabindex="0", data_tip=_at_text(one.tips, at, one.name),
            )
        )  # fmt: skip
    return parts


def _at_text(tips: Sequence[str], at: int, name: str) -> str:
    return tips[at] if len(tips) else name


def _direct_labels(shown: Sequence[Series], across: Axis, up: Axis | Linear) -> list[str]:
    """Each label at its last mark, moved apart where two would touch."""
    wanted = []
    for one in shown:
        if one.label:
            last = max(range(len(one.x)), key=lambda at, one=one: one.x[at])  # type: ignore[misc]
            wanted.append((up.place(one.y[last]), one))
    wanted.sort(key=lambda pair: pair[0])
    parts, previous = [], -math.inf
    for y, one in wanted:
        y = previous = max(y, previous + LABEL_APART)
        colour = "grey" if one.colour is None else f"c{one.colour % COLOURS}"
        parts.append(tag("text", text(one.label), class_=f"direct {colour}", x=f"{WIDTH - RIGHT + 6}", y=f"{y + 4:.1f}"))
    return parts
