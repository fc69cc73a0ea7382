"""``--set ranks=16,nodes=2``: what the user knows and the file does not say."""

from __future__ import annotations

from dataclasses import dataclass, field

from inferometer.emulator.errors import InputError
from inferometer.emulator.importers.run import TOOL_COLLECTIVES, Run, known_word, tool_name

WORDS = ("collective", "implementation", "backend", "launch_mode", "timing", "dtype")
COUNTS = ("ranks", "nodes")


@dataclass(frozen=True)
class Settings:
    ranks: int | None = None
    nodes: int | None = None
    words: dict[str, str] = field(default_factory=dict)
    """collective (a key of `TOOL_COLLECTIVES`) and the other `WORDS`."""


def parse_settings(text: str | None) -> Settings:
    """Raises ``InputError`` for an unknown key, a count that is none, or fewer ranks than nodes."""
    counts: dict[str, int] = {}
    words: dict[str, str] = {}
    for part in (text or "").split(",") if text else ():
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or key not in (*COUNTS, *WORDS) or not value:
            raise InputError(f"--set {part}: write KEY=VALUE with KEY one of {', '.join((*COUNTS, *WORDS))}")
        if key in counts or key in words:
            raise InputError(f"--set {part}: {key} is given twice")
        if key in COUNTS:
            if not (value.isascii() and value.isdigit() and len(value) <= 9 and int(value) > 0):
                raise InputError(f"--set {part}: {key} must be a whole number from 1 to 999999999")
            counts[key] = int(value)
        elif key == "collective":
            name = tool_name(value)
            if name is None:
                raise InputError(f"--set {part}: unknown collective, known are {', '.join(TOOL_COLLECTIVES)}")
            words[key] = name
        else:
            words[key] = known_word(key, value, f"--set {part}")
    settings = Settings(counts.get("ranks"), counts.get("nodes"), words)
    if settings.ranks and settings.nodes and settings.ranks < settings.nodes:
        raise InputError(f"--set: {settings.ranks} ranks cannot be on {settings.nodes} nodes")
    return settings


def apply(settings: Settings, run: Run, where: str) -> None:
    """Fill in what the run's source does not say. Raises ``InputError`` where it says something else."""
    for key in () if run.collective == "send_recv" and run.ranks == 2 else COUNTS:  # a pair, whatever runs beside it
        _fill(run, key, getattr(settings, key), where)
    for key, value in settings.words.items():
        if key == "dtype":
            if other := next((row.dtype for row in run.rows if row.dtype not in (None, value)), None):
                raise InputError(f"{where}: dtype is {other} in the file, --set says {value}")
            for row in run.rows:
                row.dtype = value
        elif key == "collective":
            _fill(run, "tool_collective", value, where)
            run.collective = TOOL_COLLECTIVES[value]
        else:
            _fill(run, key, value, where)


def _fill(run: Run, key: str, value: int | str | None, where: str) -> None:
    held = getattr(run, key)
    if value is None or held == value:
        return
    if held is not None and not str(value).startswith(f"{held}/"):  # nccl/ring/ll says more than nccl, nothing else
        raise InputError(f"{where}: {key} is {held} in the file, --set says {value}")
    setattr(run, key, value)
    run.flag(f"{key.removeprefix('tool_')}_given", f"{value}, given by --set")
