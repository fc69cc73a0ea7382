"""What machine a measurement belongs to, read from made-up /proc and /sys files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from inferometer.emulator.samples import environment as env


@pytest.fixture
def cgroups(tmp_path, monkeypatch):
    """``cgroups(leaf={"cpu.max": …}, parent=…)``: a chain of two cgroup folders, most specific first."""

    def make(leaf=None, parent=None):
        folders = [tmp_path / "a" / "b", tmp_path / "a"]
        folders[0].mkdir(parents=True, exist_ok=True)
        for folder, files in zip(folders, (leaf or {}, parent or {})):
            for name, text in files.items():
                (folder / name).write_text(text)
        monkeypatch.setattr(env, "cgroup_directories", lambda: folders)
        monkeypatch.setattr(env, "cgroup1_directories", lambda controller: [])

    return make


@pytest.mark.parametrize(
    ("leaf", "parent", "limit"),
    [
        ("200000 100000", None, 2.0),
        ("max 100000", None, None),
        ("150000 100000", "100000 100000", 1.0),
        ("max 100000", "50000 100000", 0.5),
        ("nonsense", None, None),
        (None, None, None),
    ],
)
def test_the_cpu_limit_is_the_tightest_of_the_chain(cgroups, leaf, parent, limit):
    cgroups(*({"cpu.max": text + "\n"} if text else {} for text in (leaf, parent)))
    assert env.cgroup_cpu_limit() == limit


@pytest.mark.parametrize(("quota", "limit"), [("250000", 2.5), ("-1", None), ("50000", 0.5)])
def test_version_1_of_cgroups_has_its_quota_in_two_files(tmp_path, monkeypatch, quota, limit):
    """Reference: the kernel's sched-bwc.rst: cpu.cfs_quota_us, −1 for no limit, and cpu.cfs_period_us."""
    folder = tmp_path / "cpu,cpuacct" / "docker" / "x"
    folder.mkdir(parents=True)
    (folder / "cpu.cfs_quota_us").write_text(quota + "\n")
    (folder / "cpu.cfs_period_us").write_text("100000\n")
    memory = tmp_path / "memory"
    memory.mkdir()
    (memory / "memory.limit_in_bytes").write_text("4000\n")
    (memory / "memory.usage_in_bytes").write_text("1500\n")
    monkeypatch.setattr(env, "CGROUPS", tmp_path)
    monkeypatch.setattr(env, "cgroup_directories", list)
    monkeypatch.setattr(env, "_meminfo", lambda key: 5000)
    known = Path.read_text
    own = "5:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n0::/\n"
    monkeypatch.setattr(Path, "read_text", lambda self: own if str(self) == "/proc/self/cgroup" else known(self))
    assert env.cgroup_cpu_limit() == limit
    assert env.available_memory() == 2500


def test_usable_cores_of_several_ranks_are_those_of_any(monkeypatch):
    monkeypatch.setattr(env, "cgroup_cpu_limit", lambda: None)
    assert env.usable_cores([3, 1, 3]) == 2
    assert env.environment({}, cores=7)["hardware"]["cores_usable"] == 7


@pytest.mark.parametrize(("limit", "cores"), [(None, 8), (2.5, 2), (0.5, 1), (100.0, 8)])
def test_usable_cores_are_the_affinity_cut_by_the_limit(monkeypatch, limit, cores):
    monkeypatch.setattr(env.os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setattr(env, "cgroup_cpu_limit", lambda: limit)
    assert env.usable_cores() == cores


def test_available_memory_is_the_least_of_machine_and_cgroups(cgroups, monkeypatch):
    monkeypatch.setattr(env, "_meminfo", lambda key: 5000)
    cgroups({"memory.max": "max\n", "memory.current": "10\n"})
    assert env.available_memory() == 5000
    cgroups({"memory.max": "4000\n", "memory.current": "1500\n"}, {"memory.max": "2600\n", "memory.current": "200\n"})
    assert env.available_memory() == 2400
    monkeypatch.setattr(env, "_meminfo", lambda key: None)
    cgroups({"memory.max": "max\n"}, {"memory.max": "max\n"})
    assert env.available_memory() is None


def test_the_cgroup_chain_goes_from_the_leaf_to_the_root(monkeypatch):
    monkeypatch.setattr(Path, "read_text", lambda self: "1:name=systemd:/x\n0::/kube/pod\n")
    assert env.cgroup_directories() == [
        Path("/sys/fs/cgroup/kube/pod"),
        Path("/sys/fs/cgroup/kube"),
        Path("/sys/fs/cgroup"),
    ]


def test_cpu_times_read_the_first_line_of_proc_stat(monkeypatch):
    """Reference: proc(5): user nice system idle iowait irq softirq steal guest guest_nice; guest is within user."""
    stat = "cpu  10 20 30 400 50 6 7 8 9 1\ncpu0 1 1 1 1 1 1 1 1 1 1\n"
    monkeypatch.setattr(Path, "read_text", lambda self: stat)
    assert env.cpu_times() == {"total": 531, "idle": 450, "steal": 8}
    monkeypatch.setattr(Path, "read_text", lambda self: "garbage of no use")
    assert env.cpu_times() is None


def times(total, steal):
    return {"cpu_times": {"total": total, "idle": 0, "steal": steal}}


def test_steal_is_a_share_of_the_time_between():
    assert env.steal_fraction(times(100, 10), times(300, 60)) == 0.25
    assert env.steal_fraction(times(100, 10), times(100, 10)) is None
    assert env.steal_fraction({"cpu_times": None}, times(100, 10)) is None
    assert env.steal_fraction(times(100, 10), {"cpu_times": None}) is None


def test_what_others_used_is_what_was_busy_beyond_the_ranks():
    def at(total, idle, steal):
        return {"cpu_times": {"total": total, "idle": idle, "steal": steal}}

    ticks = env.os.sysconf("SC_CLK_TCK")
    before, after = at(0, 0, 0), at(10 * ticks, 4 * ticks, 1 * ticks)  # 5 s busy of 10 s
    assert env.others_fraction(before, after, own_s=3.0) == pytest.approx(0.2)
    assert env.others_fraction(before, after, own_s=7.0) == 0.0
    assert env.others_fraction(before, before, 0.0) is None
    assert env.others_fraction({"cpu_times": None}, after, 0.0) is None


def test_conditions_here_feed_the_steal_fraction():
    before, after = env.conditions(), env.conditions()
    assert before["load_1m"] >= 0
    assert before["cpu_times"] is None or before["cpu_times"]["total"] >= before["cpu_times"]["idle"] > 0
    assert json.loads(json.dumps(after)) == after


def test_the_environment_holds_what_steers_the_libraries_and_nothing_else():
    variables = {
        "NCCL_ALGO": "Ring", "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1", "TORCH_LOGS": "x", "PASSWORD": "secret",
        "PATH": "/bin", "TORCH_NCCL_ASYNC_ERROR_HANDLING": "1",
    }  # fmt: skip
    found = env.environment(variables)
    assert found["variables"] == {
        "GLOO_SOCKET_IFNAME": "lo", "NCCL_ALGO": "Ring", "OMP_NUM_THREADS": "1", "TORCH_LOGS": "x",
    }  # fmt: skip
    assert json.loads(json.dumps(found)) == found
    assert found["hardware"]["cores_usable"] == env.usable_cores()
    assert found["software"]["numpy"]


def test_what_launchers_set_for_themselves_stays_out():
    """Open MPI 5's mpiexec puts the user's folder into the environment of its ranks."""
    given = {"OMPI_MCA_initial_wdir": "/home/someone", "OMPI_MCA_num_procs": "4", "OMPI_MCA_btl": "tcp,self"}
    given |= {"PMIX_RANK": "0", "PMI_RANK": "0", "OMPI_COMM_WORLD_RANK": "0", "MPIR_CVAR_ALLREDUCE_INTRA_ALGORITHM": "ring"}
    kept = {"OMPI_MCA_btl": "tcp,self", "MPIR_CVAR_ALLREDUCE_INTRA_ALGORITHM": "ring"}
    assert env.environment(given)["variables"] == kept


def test_the_host_is_known_by_a_hash_not_by_its_name(monkeypatch):
    hashes = set()
    for name in ("alpha-host", "beta-host"):
        monkeypatch.setattr(env.socket, "gethostname", lambda name=name: name)
        text = json.dumps(env.environment({}))
        assert name not in text
        hashes.add(env.environment({})["hardware"]["host_hash"])
    assert len(hashes) == 2


def test_a_package_that_is_not_installed_has_no_version():
    assert env._version("numpy")
    assert env._version("no-such-package-anywhere") is None


@pytest.mark.parametrize(
    ("flags", "found"), [("flags : fpu vme hypervisor", True), ("flags : fpu hypervisors", False), ("x", None)]
)
def test_a_cpu_flag_is_a_whole_word(monkeypatch, flags, found):
    monkeypatch.setattr(Path, "read_text", lambda self: f"processor: 0\n{flags}\n")
    assert env._has_cpu_flag("hypervisor") is found


def test_context_switches_only_grow():
    before = env.rank_usage()
    after = env.rank_usage()
    assert set(before) == {"cpu_s", "voluntary_switches", "involuntary_switches"}
    assert all(after[key] >= before[key] >= 0 for key in before)
