"""Whether the kernel has killed processes for lack of memory: counted by the cgroup, else for the whole machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from inferometer.emulator.samples import environment

VMSTAT = Path("/proc/vmstat")


@dataclass(frozen=True)
class Kills:
    """Since boot. of_cgroup: within the limits of this process's cgroups; of_machine: of all. None: not counted."""

    of_cgroup: int | None
    of_machine: int | None

    def words(self, before: Kills) -> str | None:
        """What to say of the time since before; None where nothing was killed."""
        if _more(self.of_cgroup, before.of_cgroup):
            return "out of memory: the kernel has killed a process that went beyond the cgroup's limit"
        if _more(self.of_machine, before.of_machine):
            return "out of memory: the kernel has killed a process of this machine"
        return None


def _more(now: int | None, before: int | None) -> bool:
    return now is not None and before is not None and now > before


def kills() -> Kills:
    """The counts so far."""
    files = [directory / "memory.events" for directory in environment.cgroup_directories()]
    files += [directory / "memory.oom_control" for directory in environment.cgroup1_directories("memory")]
    counts = [_count(file) for file in files]
    return Kills(max((count for count in counts if count is not None), default=None), _count(VMSTAT))


def _count(file: Path) -> int | None:
    """Of the line `oom_kill N`."""
    try:
        lines = [line.split() for line in file.read_text().splitlines()]
        return next((int(words[1]) for words in lines if len(words) == 2 and words[0] == "oom_kill"), None)
    except (OSError, ValueError):
        return None
