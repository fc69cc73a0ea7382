"""Whether the kernel has killed for lack of memory, from files as the kernel writes them."""

from __future__ import annotations

import pytest

from inferometer.emulator.samples import environment, lack_of_memory
from inferometer.emulator.samples.lack_of_memory import Kills, kills


@pytest.fixture
def counted(tmp_path, monkeypatch):
    """``counted(v2=…, v1=…, machine=…)``: what the kernel has counted; None for a file that is not there."""

    def write(v2=None, v1=None, machine=None):
        monkeypatch.setattr(environment, "cgroup_directories", lambda: [tmp_path / "leaf", tmp_path / "v2"])
        monkeypatch.setattr(environment, "cgroup1_directories", lambda controller: [tmp_path / controller])
        monkeypatch.setattr(lack_of_memory, "VMSTAT", tmp_path / "vmstat")
        for name, value in (("v2/memory.events", v2), ("memory/memory.oom_control", v1), ("vmstat", machine)):
            file = tmp_path / name
            file.parent.mkdir(exist_ok=True)
            file.unlink(missing_ok=True)
            if value is not None:
                file.write_text(f"low 0\noom 7\noom_kill {value}\noom_group_kill 0\n")
        return kills()

    return write


def test_the_cgroup_is_asked_first_and_the_machine_else(counted):
    before = counted(v2=3, machine=9)
    assert before == Kills(3, 9)
    assert counted(v2=4, machine=10).words(before) == (
        "out of memory: the kernel has killed a process that went beyond the cgroup's limit"
    )
    assert counted(v2=3, machine=10).words(before) == "out of memory: the kernel has killed a process of this machine"
    assert counted(v2=3, machine=9).words(before) is None


def test_version_1_counts_as_well(counted):
    before = counted(v1=0)
    assert "cgroup" in counted(v1=1).words(before)


def test_where_nothing_is_counted_nothing_is_said(counted):
    before = counted()
    assert before == Kills(None, None) and counted(v2=5, machine=5).words(before) is None
