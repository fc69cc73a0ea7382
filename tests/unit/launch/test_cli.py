"""Bad input on the command line: status 2, one line on stderr, nothing on stdout, and no rank is started."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from inferometer.emulator.errors import RunFailed
from inferometer.emulator.measure import doctor, scheduler
from inferometer.launch import cli
from inferometer.launch.cli import main
from inferometer.launch.runs import measure, measure_settings, rank_settings
from inferometer.launch.runs.samples_file import open_samples


@pytest.fixture(autouse=True)
def _no_ranks(monkeypatch, tmp_path):
    """An empty folder, a scheduler class without a look at the load, and nobody who could start a process."""

    def refuse(*args, **kwargs):
        raise AssertionError(f"a process was started: {args}")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setattr(scheduler, "choose", lambda backend: ("other", "test"))
    monkeypatch.chdir(tmp_path)


def one_line(capsys, status, *arguments):
    """Run the command; the line it leaves on stderr after ``inferometer: ``."""
    assert main(arguments) == status
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith("inferometer: ")
    return line.removeprefix("inferometer: ")


BAD = {
    "no command": ([], "COMMAND"),
    "an unknown command": (["mesure"], "mesure"),
    "an unknown flag": (["measure", "--fast"], "--fast"),
    "an unknown collective": (["measure", "--collectives", "all_reduce,all_reduse"], "--collectives all_reduse: unknown"),
    "an empty collective": (["measure", "--collectives", "all_reduce,"], "--collectives : unknown"),
    "an unknown timing": (["measure", "--timings", "fast"], "--timings fast: unknown"),
    "an unknown dtype": (["measure", "-d", "float32,float8"], "-d float8: unknown dtype"),
    "a size that is none": (["measure", "-b", "8X"], "'8X' is not a size"),
    "a negative size": (["measure", "-e", "-8"], "-8"),
    "first above last": (["measure", "-b", "1M", "-e", "64K"], "-b 1048576 -e 65536"),
    "a size of nothing": (["measure", "-b", "0"], "-b 0"),
    "a factor of one": (["measure", "-f", "1"], "-f 1: the factor"),
    "a step of nothing": (["measure", "-i", "0"], "-i 0: the step"),
    "a factor and a step": (["measure", "-f", "2", "-i", "8"], "-f 2 and -i 8"),
    "one rank": (["measure", "-n", "1"], "-n 1 rank: a collective needs at least 2"),
    "no rank": (["calibrate", "-n", "0"], "-n 0 rank"),
    "ranks in words": (["measure", "-n", "four"], "four"),
    "an unknown backend": (["measure", "--backend", "ucc"], "ucc"),
    "GPUs per thread": (["measure", "-g", "8"], "-g: one rank drives one device"),
    "threads per rank": (["measure", "-t", "2"], "-t: one rank drives one device"),
    "graphs": (["measure", "-G", "1"], "-G: give --launch-modes graph"),
    "graphs without a number": (["measure", "-G"], "-G: give --launch-modes graph"),
    "a budget of nothing": (["measure", "--budget", "0"], "'0' is neither a positive number"),
    "a budget in words": (["measure", "--budget", "long"], "'long' is neither"),
    "a budget that is no number": (["measure", "--budget", "nan"], "'nan' is neither"),
    "a timeout of nothing": (["measure", "-T", "0"], "timeout_s = "),
    "an endless timeout": (["measure", "-T", "inf"], "timeout_s = "),
    "no launch": (["measure", "--launches", "0"], "launches = "),
    "no warm-up": (["measure", "-w", "0"], "warmup = "),
    "no threads": (["measure", "--threads", "0"], "threads = "),
    "too few iterations": (["measure", "--iters", "5"], "--iters 5: the interval"),
    "an unknown sweep": (["measure", "--sweep", "nowhere"], "sweep nowhere: "),
    "append and resume": (["measure", "--append", "--resume"], "not allowed with"),
    "nothing to append to": (["measure", "--append"], "measurement.samples.jsonl: there is no such file to append"),
    "nothing to resume": (["calibrate", "--resume"], "calibration.samples.jsonl: there is no such file to resume"),
    "an output in no folder": (["measure", "-o", "no/where/x"], "no/where/x: the folder no/where does not exist"),
    "an output that is a folder": (["calibrate", "-o", "."], ".: is a directory"),
    "a calibration in the figure's place": (["calibrate", "-o", "x.png"], "-o x.png: the figure goes there"),
    "JSON in the samples' place": (["measure", "-o", "x", "-J", "./x"], "x: cannot be written: the file is written by this"),
    "JSON in the figure's place": (["calibrate", "-o", "x.json", "-J", "x.png"], "x.png: cannot be written: the file"),
    "a JSON file in no folder": (["measure", "--json", "no/x.json"], "no/x.json: the folder no does not exist"),
    "calibrate's JSON in no folder": (["calibrate", "-J", "no/x.json"], "no/x.json: the folder no does not exist"),
    "the doctor's JSON in no folder": (["doctor", "-J", "no/x.json"], "no/x.json: the folder no does not exist"),
    "a doctor for no ranks": (["doctor", "-n", "0"], "-n 0 --threads 1: both"),
    "fit of nothing": (["fit"], "SAMPLES"),
    "fit of a file that is not there": (["fit", "nowhere"], "nowhere: cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_one_line_with_what_is_wrong(capsys, what):
    arguments, words = BAD[what]
    assert words in one_line(capsys, 2, *arguments)
    assert os.listdir() == []  # noqa: PTH208


def test_more_bytes_than_memory_shows_the_arithmetic(capsys, monkeypatch):
    """Enough for one rank, not for four: 256 MiB twice in and twice out make more than 1 GiB a rank."""
    monkeypatch.setattr(measure_settings, "available_memory", lambda: 4 << 30)
    line = one_line(capsys, 2, "measure", "-n", "4", "-e", "256M", "--backend", "gloo")
    assert line.startswith("-e 268435456: ")
    assert "× 4 ranks = " in line and line.endswith("but 4.0 GiB are free")
    each, total = (float(text) for text in re.findall(r"([\d.]+) GiB(?: a rank|, but)", line))
    assert each < 4 < total == pytest.approx(4 * each, abs=0.25)


def test_a_sweep_file_with_a_mistake_is_named_with_its_key(capsys, tmp_path):
    (tmp_path / "mine.toml").write_text('name = "x"\n[[tier]]\ncollectives = ["all_reduse"]\n')
    line = one_line(capsys, 2, "measure", "--sweep", "mine.toml")
    assert line.startswith("mine.toml: tier.0: unknown collective 'all_reduse'")


@pytest.mark.parametrize("backend", ["gloo", "auto"])
def test_ranks_and_launches_are_torchruns_to_say_under_torchrun(capsys, monkeypatch, backend):
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    line = one_line(capsys, 2, "measure", "-n", "4", "--backend", backend)
    assert line == "-n 4: torchrun has already started 2 ranks; leave -n out"
    assert one_line(capsys, 2, "measure", "--launches", "2").startswith("--launches 2: one torchrun run is one launch")
    assert "start the ranks with mpiexec, not torchrun" in one_line(capsys, 2, "measure", "--backend", "mpi")
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert one_line(capsys, 2, "measure") == "1 rank: a collective needs at least 2 ranks"
    monkeypatch.setenv("WORLD_SIZE", "many")
    assert one_line(capsys, 2, "measure").startswith("torchrun: the variables RANK, WORLD_SIZE and LOCAL_RANK")


def test_a_scheduler_class_that_is_not_permitted(capsys, monkeypatch):
    monkeypatch.setattr(scheduler, "permitted", lambda name: False)
    assert one_line(capsys, 2, "measure", "--scheduler", "rr").startswith("--scheduler rr: this user may not")


def test_mpi_without_mpiexec(capsys, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name, path=None: None)
    assert one_line(capsys, 2, "measure", "--backend", "mpi").startswith("--backend mpi: no mpiexec found")


def test_a_file_of_another_method_is_not_resumed(capsys, tmp_path, method):
    open_samples(tmp_path / "m.jsonl", method(), "new")
    line = one_line(capsys, 2, "measure", "--resume", "-o", "m.jsonl", "-n", "4", "-w", "9")
    assert line.startswith("m.jsonl: cannot resume: method.warmup")
    assert " in the file and " in line


HEADER = {"record": "header", "schema": "inferometer/samples/1"}
LAUNCH = {"record": "launch", "launch": 0, "node_of": [0, 0], "conditions": {"load_1m": 0.0}}
BAD_SAMPLES = {
    "cut in a line": ([HEADER, LAUNCH], '{"record": "ce', "line 3 is cut off"),
    "two versions in one": ([HEADER, {**HEADER, "schema": "inferometer/samples/2"}], "", "line 2 is a second header"),
    "another version": ([{**HEADER, "schema": "inferometer/samples/2"}], "", "schema is 'inferometer/samples/2'"),
    "without cells": ([HEADER], "", "holds no cells"),
    "no samples": ([], "hello\n", "line 1 is not JSON"),
}


@pytest.mark.parametrize("what", BAD_SAMPLES)
def test_samples_that_cannot_be_fitted_are_named(capsys, tmp_path, what):
    records, rest, words = BAD_SAMPLES[what]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records) + rest)
    assert one_line(capsys, 2, "fit", "x.jsonl").startswith(f"x.jsonl: {words}")
    assert not (tmp_path / "calibration.json").exists()


def test_files_of_different_versions_or_machines_are_not_fitted_together(capsys, tmp_path, cell):
    def write(name, **header):
        (tmp_path / name).write_text("".join(json.dumps(record) + "\n" for record in ({**HEADER, **header}, cell())))

    write("a")
    write("b", schema="inferometer/samples/2")
    write("c", environment={"hardware": {"cpu_model": "another"}})
    assert one_line(capsys, 2, "fit", "a", "b").startswith("b: schema is ")
    assert one_line(capsys, 2, "fit", "a", "c").startswith("c: not from the machine of a: hardware is ")


def test_files_of_libraries_that_were_steered_otherwise_are_not_fitted_together(capsys, tmp_path, cell):
    """MPICH's ring takes 3.2 times as long at 4 MiB on two ranks; gloo's variables do not concern MPI."""

    def write(name, backend="mpi", **variables):
        environment = {"hardware": {}, "software": {}, "variables": variables}
        header = {**HEADER, "environment": environment, "method": {"backend": backend}}
        # Each cell is its own, so that no two files have the same contents.
        (tmp_path / name).write_text("".join(json.dumps(record) + "\n" for record in (header, cell(bytes=len(name)))))

    write("a")
    write("ab", MPIR_CVAR_ALLREDUCE_INTRA_ALGORITHM="ring")
    write("abc", GLOO_SOCKET_IFNAME="lo", PMI_RANK="0")
    write("abcd", backend="gloo", GLOO_SOCKET_IFNAME="lo")
    line = one_line(capsys, 2, "fit", "a", "ab")
    assert line.startswith("ab: not measured as a: MPIR_CVAR_ALLREDUCE_INTRA_ALGORITHM is None in the file and 'ring' here")
    assert main(["fit", "a", "abc", "abcd"]) == 0


@pytest.mark.parametrize("flag", ["-o", "--figure", "--json"])
def test_samples_are_never_overwritten_by_a_fit(capsys, tmp_path, flag):
    (tmp_path / "x.png").write_text(json.dumps(HEADER) + "\n")
    """Whether they are among those read or not."""
    for read in ("x.png", "others.jsonl"):
        line = one_line(capsys, 2, "fit", read, flag, str(tmp_path / "x.png"))
        assert line == f"{tmp_path / 'x.png'}: holds samples, which are never overwritten"


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (RunFailed("rank 1 died;\n  its log: l"), 1, "rank 1 died; its log: l"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (KeyboardInterrupt("3 cells kept"), 130, "interrupted; 3 cells kept"),
    ],
)
def test_failures_and_interrupts_are_one_line_too(capsys, monkeypatch, error, status, line):
    def fail(*args):
        raise error

    monkeypatch.setattr(measure, "take_samples", fail)
    assert one_line(capsys, status, "measure") == line


@pytest.mark.parametrize(("right", "status"), [(True, 0), (False, 1)])
def test_measure_passes_on_what_was_asked(capsys, monkeypatch, right, status):
    calls = []
    monkeypatch.setattr(measure, "take_samples", lambda *args: calls.append(args) or right)
    flags = "-n 3 -b 1K -e 4K -f 2 -d half,bf16 -w 5 --iters 30 -c 0 --budget none --seed 9 --launches 2 -T 7 --backend gloo"
    assert main(["measure", *flags.split(), "--collectives", "all_reduce,broadcast", "--timings", "pipelined"]) == status
    method, path, mode, identity, *_ = calls[0]
    assert (method.world_size, method.sizes_bytes, method.dtypes) == (3, [1024, 2048, 4096], ["float16", "bfloat16"])
    assert (method.warmup, method.check, method.seed, method.launches, method.timeout_s) == (5, 0, 9, 2, 7.0)
    assert (method.budget_s, method.sweep.stop.max_iterations, method.backend) == (None, 30, "gloo")
    asked = {(name, timing) for tier in method.sweep.tier for name in tier.collectives for timing in tier.timings}
    assert asked == {("all_reduce", "pipelined"), ("broadcast", "pipelined")}
    assert (path.name, mode, identity) == ("measurement.samples.jsonl", "new", None)


def test_the_defaults_are_those_that_the_help_promises(capsys, monkeypatch):
    calls = []
    monkeypatch.setattr(measure, "take_samples", lambda *args: calls.append(args[0]) or True)
    monkeypatch.setattr(doctor, "usable_cores", lambda: 11)
    monkeypatch.setattr(measure_settings, "available_memory", lambda: None)
    assert main(["measure", "--backend", "gloo"]) == 0
    (method,) = calls
    assert (method.world_size, method.dtypes, method.launches, method.budget_s) == (8, ["float32"], 3, 300.0)
    assert method.sizes_bytes == [64 * 4**k for k in range(10)]
    monkeypatch.setattr(doctor, "usable_cores", lambda: 1)
    assert doctor.default_ranks() == 4


@pytest.mark.parametrize(
    ("gpus", "ranks", "local", "backend"),
    [
        (0, 4, None, "gloo"),
        (0, None, None, "gloo"),
        (1, None, None, "nccl"),
        (4, 4, None, "nccl"),
        (2, 4, None, "gloo"),
        (2, 4, "2", "nccl"),
    ],
)
def test_auto_means_nccl_where_every_local_rank_gets_a_gpu(monkeypatch, gpus, ranks, local, backend):
    if local:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", local)
    assert rank_settings.auto_backend(ranks, gpus) == backend


@pytest.mark.parametrize("arguments", [["--help"], ["measure", "--help"], ["--version"]])
def test_help_and_version_go_to_stdout(capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    said = capsys.readouterr()
    assert "inferometer" in said.out and said.err == ""


def test_the_doctor_speaks_json_and_ends_with_1_where_nothing_can_be_measured(capsys, monkeypatch):
    from inferometer.emulator.measure.doctor import Finding

    findings = [Finding("ok", "a", "fine"), Finding("stop", "b", "broken")]
    monkeypatch.setattr(doctor, "examine", lambda question: findings)
    assert main(["doctor", "-n", "2", "--json", "-"]) == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["findings"][1] == {"level": "stop", "subject": "b", "text": "broken"}
    findings.pop()
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out.split() == ["ok", "a", "fine"]


def test_every_command_is_described():
    folder = Path(cli.__file__).parent / "commands"
    files = {path.stem.rstrip("_") for path in folder.glob("*.py") if "def run(args" in path.read_text()}
    assert set(cli.COMMANDS) == files
    text = cli.build_parser(None).format_help()
    assert all(name in text for name in cli.COMMANDS)


def test_an_unknown_command_hints_at_the_nearest(capsys):
    line = one_line(capsys, 2, "frobnicate")
    assert line.startswith("frobnicate: no such command (did you mean frontier?); the commands are doctor, measure")


def test_more_ranks_than_memory_holds_are_refused_before_any_starts(capsys, monkeypatch):
    monkeypatch.setattr(measure_settings, "available_memory", lambda: 4 << 30)
    monkeypatch.setattr(measure_settings, "usable_cores", lambda: 1)
    line = one_line(capsys, 2, "measure", "-n", "100000")
    assert line.endswith(" MiB of probed models × 1 at once = 34766.0 GiB, but 4.0 GiB are free")
    assert line.startswith("-n 100000: 356 MiB for each process × 100000 ranks + ")


def test_one_launch_does_not_count_twice(capsys, tmp_path):
    """A copy of a samples file is no further launch: intervals over copies would have no width."""
    for name in ("one.jsonl", "copy.jsonl"):
        (tmp_path / name).write_text(json.dumps(HEADER) + "\n" + json.dumps(LAUNCH) + "\n")
    line = one_line(capsys, 2, "fit", "one.jsonl", "copy.jsonl")
    assert line == "copy.jsonl: has the same contents as one.jsonl: one launch cannot count twice"
    assert "one.jsonl" in one_line(capsys, 2, "fit", "one.jsonl", "one.jsonl")
