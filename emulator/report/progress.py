"""Shows a measurement while it runs: one live line on a terminal, a line for each launch elsewhere, a table at the end."""

from __future__ import annotations

import time
from typing import Any, Literal, TextIO

from inferometer.emulator.names import visible
from inferometer.emulator.report import table
from inferometer.emulator.report.columns import folded
from inferometer.emulator.units import format_seconds

Shown = Literal["rows", "table", "progress", "nothing"]
"""What is shown of cells: a row as each is measured and a table of all, the table alone, how far it is, nothing."""
BAR_COLUMNS = 20


class Display:
    """A listener for the events of one command's launches (see launch/ranks/events.py).

    err: where progress goes. On a terminal it is one line that is overwritten, elsewhere a line for each launch.
    """

    def __init__(self, out: TextIO, err: TextIO, shown: Shown = "table") -> None:
        from rich.console import Console  # here, so that commands which show no progress do without rich
        from rich.progress import BarColumn, Progress, TextColumn

        self._out, self._err, self._shown = out, err, shown
        self._cells = table.Cells()
        self._live = err.isatty() and shown != "nothing"
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(BAR_COLUMNS), TextColumn("{task.fields[doing]}"),
            TextColumn("{task.fields[left]}"),
            console=Console(file=err, highlight=False), auto_refresh=False, transient=True,
        )  # fmt: skip
        self._task = self._bar.add_task("", doing="", left="")
        self._pace = Pace()

    def open(self) -> None:
        if self._shown == "rows":
            self._print(table.LEGEND)
            self._print(table.HEADER)
        if self._live:
            self._bar.start()

    def launch(self, number: int, of: int, deadline: float | None) -> None:
        """A launch is about to start; ``deadline`` (time.monotonic) is when its share of the budget ends."""
        self._pace.launch(number, of, deadline)
        left = self._pace.left_s()
        if not self._live:
            self.say(f"launch {number + 1} of {of}{'' if left is None else f', about {format_seconds(left)} left'}")
        self._show(f"launch {number + 1}/{of}", "starting the ranks")

    def __call__(self, event: dict[str, Any]) -> None:
        if event["event"] == "started":
            self._pace.cells = event["cells"]
            self._show(None, None)
        elif event["event"] == "doing":
            self._show(None, event["text"].removeprefix("in "))
        elif event["event"] == "cell":
            self._pace.done += 1
            self._cells.add(event["row"])
            if self._shown == "rows":
                self._print(table.row(event["row"]))
            self._show(None, None)
        elif event["event"] == "note":
            self.say(f"note: {event['text']}")
        elif event["event"] == "ended" and event.get("dropped"):
            self.say(f"{event['dropped']} cells not reached ({event['reason']})")

    def _show(self, launch: str | None, doing: str | None) -> None:
        """Bring the live line up to date; None keeps what it says."""
        left = self._pace.left_s()
        words: dict[str, Any] = {"left": "" if left is None else f"{format_seconds(left)} left"}
        if launch is not None:
            words["description"] = launch
        if left is not None:
            words |= {"completed": (passed := self._pace.passed_s()), "total": passed + left}
        if doing is not None:
            words["doing"] = shortened(visible(doing), self._bar.console.width - BAR_COLUMNS - 34)
        self._bar.update(self._task, **words)
        if self._live:
            self._bar.refresh()

    def say(self, text: str) -> None:
        """A line for people, on the error stream."""
        if self._live:
            words = folded(visible(text), self._err)
            self._bar.console.print(words, highlight=False, markup=False, soft_wrap=True)
        elif self._shown != "nothing":
            print(visible(text), file=self._err, flush=True)

    def _print(self, line: str) -> None:
        if self._live and self._out.isatty():  # one terminal: the line goes above the bar
            self._bar.console.print(line, highlight=False, markup=False, soft_wrap=True)
        else:
            print(line, file=self._out, flush=True)

    def close(self) -> None:
        if self._live:
            self._bar.stop()
        if self._shown in ("rows", "table"):
            for line in self._cells.lines():
                print(line, file=self._out, flush=True)


class Pace:
    """How long a command's launches take, as far as is known."""

    def __init__(self) -> None:
        self.cells = self.done = 0
        self._number, self._of = 0, 1
        self._began: float | None = None
        self._first: float | None = None
        self._deadline: float | None = None
        self._took: list[float] = []

    def launch(self, number: int, of: int, deadline: float | None) -> None:
        """A launch begins, and the one before it has ended."""
        now = time.monotonic()
        if self._began is not None and self.done:
            self._took.append(now - self._began)
        self._number, self._of, self._began, self._deadline = number, of, now, deadline
        self._first = now if self._first is None else self._first
        self.cells = self.done = 0

    def passed_s(self) -> float:
        """Since the first launch began."""
        return 0.0 if self._first is None else time.monotonic() - self._first

    def left_s(self) -> float | None:
        """Until the last launch ends; None where nothing is known yet.

        This launch goes on at its pace, until its deadline at most; the later ones take as long as the launches so far.
        """
        if self._began is None:
            return None
        now = time.monotonic()
        whole: float | None = None
        if self.done and self.cells:
            whole = (now - self._began) / self.done * self.cells
        elif self._took:
            whole = sum(self._took) / len(self._took)
        if self._deadline is not None:
            limit = self._deadline - self._began
            whole = min(limit if whole is None else whole, limit)
        if whole is None:
            return None
        each = [*self._took, whole]
        return max(0.0, self._began + whole - now) + (self._of - self._number - 1) * sum(each) / len(each)


def shortened(text: str, width: int) -> str:
    """The text in so many columns, at least 8."""
    width = max(width, 8)
    return text if len(text) <= width else f"{text[: width - 1]}…"
