"""Shows a measurement while it runs: table lines on one stream, progress with the time left on another."""

from __future__ import annotations

import time
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from inferometer.emulator.report import table
from inferometer.emulator.units import format_seconds


class Display:
    """A listener for the events of one command's launches (see launch/events.py)."""

    def __init__(self, out: TextIO, err: TextIO) -> None:
        self._out = out
        self._footer = table.Footer()
        self._live = err.isatty()
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[left]}"),
            console=Console(file=err), auto_refresh=False, transient=True,
        )  # fmt: skip
        self._task = self._bar.add_task("", left="")
        self._err = err
        self._began = time.monotonic()
        self._deadline: float | None = None
        self._cells = 0
        self._done = 0

    def open(self) -> None:
        self._print(table.LEGEND)
        self._print(table.HEADER)
        if self._live:
            self._bar.start()

    def launch(self, number: int, of: int, deadline: float | None) -> None:
        """A launch is about to start; ``deadline`` (time.monotonic) is when its share of the budget ends."""
        self._deadline, self._began, self._cells, self._done = deadline, time.monotonic(), 0, 0
        self.say(f"launch {number + 1} of {of}")
        self._bar.update(self._task, description=f"launch {number + 1}/{of}")

    def __call__(self, event: dict[str, Any]) -> None:
        if event["event"] == "started":
            self._cells = event["cells"]
            self._bar.update(self._task, total=self._cells, completed=0)
        elif event["event"] == "cell":
            self._done += 1
            self._footer.add(event["row"])
            self._print(table.row(event["row"]))
            self._bar.update(self._task, completed=self._done, left=f"at most {format_seconds(self._left_s())} left")
            if self._live:
                self._bar.refresh()
            elif self._done % 50 == 0:
                self.say(f"{self._done} of {self._cells} cells, at most {format_seconds(self._left_s())} left")
        elif event["event"] == "ended" and event.get("dropped"):
            self.say(f"{event['dropped']} cells not reached ({event['reason']})")

    def _left_s(self) -> float:
        """Of this launch: what the cells so far took, for the rest, or until the deadline, whichever is sooner."""
        now = time.monotonic()
        by_pace = (now - self._began) / max(self._done, 1) * (self._cells - self._done)
        return max(0.0, by_pace if self._deadline is None else min(by_pace, self._deadline - now))

    def say(self, text: str) -> None:
        """A line for people, on the error stream."""
        if self._live:
            self._bar.console.print(text, highlight=False, markup=False)
        else:
            print(text, file=self._err, flush=True)

    def _print(self, line: str) -> None:
        if self._live and self._out.isatty():  # one terminal: the line goes above the bar
            self._bar.console.print(line, highlight=False, markup=False, soft_wrap=True)
        else:
            print(line, file=self._out, flush=True)

    def close(self) -> None:
        if self._live:
            self._bar.stop()
        self._print(self._footer.lines())
