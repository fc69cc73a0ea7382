"""Faults around whole commands: streams, folders, two at once, ranks that are killed at any moment."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from inferometer.emulator.samples.environment import usable_cores
from tests.places import ROOT

PYTHON = f"{sys.executable} -m inferometer.launch"
COMMANDS = {
    "predict": "predict llama-3-8b --accelerator h100-sxm",
    "predict by a calibration": "predict llama-3-8b --accelerator b200 --calibration b200-nccl --tp 2",
    "frontier": "frontier llama-3-8b --accelerator h100-sxm --gpus-max 4",
    "list": "list accelerators",
    "models": "models show llama-3-8b",
    "list of calibrations": "list calibrations",
    "reproduce": "reproduce --only epoch",
    "paper": "paper predict llama-3-8b --accelerator h100-sxm --gpus 2",
    "export": "export b200-nccl --to paper -o {folder}/out.json",
}
STREAMS = {
    "full stdout": (">/dev/full", 2),
    "closed stdout": (">&-", 2),
    "closed stderr": ("2>&-", 0),
    "closed stdin": ("<&-", 0),
    "a reader that leaves": ("| head -1", 0),
    "JSON into a full stdout": ("--json - >/dev/full", 2),
    "JSON into no folder": ("--json {folder}/no/x.json", 2),
    "JSON into a device": ("--json /dev/full", 2),
}
NOBODY = "setpriv --reuid 65534 --regid 65534 --clear-groups"
LOCKED = (
    "predict {locked}/config.json --accelerator h100-sxm",
    "predict llama-3-8b --accelerator {locked}/x.toml",
    "predict llama-3-8b --calibration {locked}/x.json --accelerator h100-sxm",
    "predict llama-3-8b --accelerator h100-sxm --json {locked}/x",
    "frontier llama-3-8b --accelerator h100-sxm --csv {locked}/x",
    "frontier llama-3-8b --accelerator h100-sxm --figure {locked}/x.png",
    "fit {locked}/x -o {locked}/y",
    "measure -o {locked}/x",
    "measure --sweep {locked}/x.toml -o {locked}/x",
    "calibrate -o {locked}/x.json",
    "emulate {locked}/config.json -o {locked}/x",
    "validate --matrix {locked}/x.toml -o {locked}/x.json",
    "export {locked}/x --to paper -o {locked}/y",
    "import nccl-tests {locked}/x -o {locked}/y",
)
SMALL = "measure -n 2 --collectives all_reduce,barrier --timings isolated -e 4K --launches 2 --budget none"


def shell(line: str, folder: Path, limit_s: float = 60.0, **variables: str) -> tuple[int, str]:
    """Status and everything said, of a line in which `inferometer` is this program."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **variables}
    try:
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", line.replace("inferometer ", PYTHON + " ")], cwd=folder, env=environment,
            capture_output=True, timeout=limit_s, check=False, text=True, errors="replace",
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return 124, f"no end within {limit_s:g} s"
    return done.returncode, done.stdout + done.stderr


def judged(what: str, line: str, folder: Path, wanted: tuple[int, ...], **variables: str) -> str | None:
    status, said = shell(line, folder, **variables)
    if status in wanted and "Traceback" not in said and "Exception ignored" not in said:
        return None
    return f"{what}: status {status}, wanted {wanted}: {said.strip()[-300:]!r}"


def side_by_side(kind: str, tried: Iterable[Callable[[], str | None]]) -> Iterator[tuple[str, str | None]]:
    """The kind and what is wrong with each, several at a time."""
    with ThreadPoolExecutor(max(2, usable_cores())) as pool:
        for waiting in [pool.submit(one) for one in tried]:
            yield kind, waiting.result()


def try_streams(folder: Path, share: float) -> Iterator[tuple[str, str | None]]:
    lines = []
    for name, command in COMMANDS.items():
        line = f"inferometer {command}"
        for what, (stream, status) in STREAMS.items():
            wanted = (0, 1, 141) if "head" in stream else (status,)
            lines.append(partial(in_own_folder, f"{name}, {what}", f"{line} {stream}", folder, len(lines), wanted))
        for locale in ("C", "POSIX"):
            ascii_only = {"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
            lines.append(partial(in_own_folder, f"{name}, locale {locale}", line, folder, len(lines), (0,), **ascii_only))
    yield from side_by_side("streams", lines[: max(1, int(len(lines) * share))])


def in_own_folder(what: str, line: str, folder: Path, number: int, wanted: tuple[int, ...], **variables: str) -> str | None:
    """As `judged`, with {folder} a folder that no other trial uses."""
    own = folder / str(number)
    own.mkdir()
    return judged(what, line.replace("{folder}", str(own)), own, wanted, **variables)


def try_folders(folder: Path, share: float) -> Iterator[tuple[str, str | None]]:
    """Folders and files of somebody else, names beyond what a file can have."""
    locked = folder / "locked"
    locked.mkdir(exist_ok=True)
    folder.chmod(0o755)
    for name in ("x", "x.json", "x.toml", "config.json"):
        (locked / name).write_text("{}")
        (locked / name).chmod(0o600)
    commands = LOCKED[: max(1, int(len(LOCKED) * share))]
    if os.getuid() == 0:
        for mode in (0o700, 0o711):
            locked.chmod(mode)
            lines = [(c, f"{NOBODY} inferometer {c.replace('{locked}', str(locked))}") for c in commands]
            others = [partial(judged, f"mode {mode:o}: {command}", line, Path("/"), (2,)) for command, line in lines]
            yield from side_by_side("folders of others", others)
    named = []
    for name in ("x" * 300, "x/" * 2100, "\\n", "a b", "-"):
        for command in commands:
            if name in ("a b", "\\n", "-") and not command.startswith("predict {"):
                continue
            line = f"inferometer {quoted(command)} < /dev/null"
            named.append(partial(judged, f"{name[:20]}: {command}", line, folder, (2,), NAME=name))
    yield from side_by_side("names", named)


def quoted(command: str) -> str:
    """The command with the variable NAME for each of its paths."""
    return " ".join('"$NAME"' if "{locked}" in word else word for word in command.split())


def try_two_at_once(folder: Path, share: float) -> Iterator[tuple[str, str | None]]:
    """Two commands that measure into one file: one is refused, and names the other."""
    pairs = [partial(_two, folder, number) for number in range(max(1, int(8 * share)))]
    yield from side_by_side("two at once", pairs)


def _two(folder: Path, number: int) -> str | None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    line = [*PYTHON.split(), *SMALL.split(), "-o", f"two-{number}.samples.jsonl"]
    both = [
        subprocess.Popen(line, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120)[1] for process in both]
    statuses = sorted(process.returncode for process in both)
    # where one had ended before the other began, both are done, one after the other
    fine = statuses == [0, 0] or (statuses == [0, 2] and any("in use by process" in text for text in said))
    return None if fine else f"two at once: {statuses}: {said}"


def try_kills(folder: Path, share: float) -> Iterator[tuple[str, str | None]]:
    """A command or one of its processes gets a signal at any moment: it ends, leaves no process, and resumes."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGINT)
    moments = [0.3 + random.Random(number).random() * 6 for number in range(max(1, int(36 * share)))]
    kills = [partial(_killed, folder, number, signals[number % 4], after_s) for number, after_s in enumerate(moments)]
    yield from side_by_side("kills", kills)


def _killed(folder: Path, number: int, how: signal.Signals, after_s: float) -> str | None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    name = f"kill-{number}.samples.jsonl"
    line = [*PYTHON.split(), *SMALL.split(), "-o", name]
    what = f"kill {number}: {how.name} after {after_s:.1f} s"
    process = subprocess.Popen(line, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(after_s)
    process.send_signal(how)
    try:
        _, said = process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return f"{what}: no end within 20 s"
    if "Traceback" in said and "inferometer" in said and process.returncode not in (0, -how, 130):
        return f"{what}: {said[-300:]!r}"
    if not (folder / name).exists():
        return None
    status, said = shell(f"inferometer {SMALL} -o {name} --resume", folder, 120)
    return None if status == 0 else f"{what}: --resume ends with {status}: {said[-300:]!r}"


PLANTED = """
import os
if "INFEROMETER_EVENTS" in os.environ:
    import signal, threading
    from inferometer.launch.ranks import worker
    plain = worker.main
    def planted(job_file):
        if os.environ["RANK"] == os.environ["TORTURED"]:
            threading.Timer(float(os.environ["AFTER_S"]), os.kill, (os.getpid(), signal.SIGKILL)).start()
        return plain(job_file)
    worker.main = planted
"""
"""What every Python of a command runs first: one rank is killed so long after its start."""


def try_kills_of_ranks(folder: Path, share: float) -> Iterator[tuple[str, str | None]]:
    """A rank is killed while the ranks start or measure: the command names it, ends, and leaves no process."""
    (folder / "sitecustomize.py").write_text(PLANTED)
    yield from side_by_side(
        "kills of one rank", [partial(_rank_killed, folder, number) for number in range(max(1, int(20 * share)))]
    )


def _rank_killed(folder: Path, number: int) -> str | None:
    rank, after_s = number % 3, 0.02 + random.Random(number).random() ** 2
    line = f"inferometer {SMALL.replace('-n 2', '-n 3')} -o rank-{number}.samples.jsonl"
    path = f"{folder}{os.pathsep}{ROOT}"
    status, said = shell(line, folder, TORTURED=str(rank), AFTER_S=f"{after_s:.3f}", PYTHONPATH=path)
    named = re.search(r"rank (\d+(?:, \d+)*) (?:died|does not answer)", said)
    fine = status == 1 and named is not None and named[1] == str(rank) and "Traceback" not in said
    return None if fine else f"rank {rank} killed after {after_s:.2f} s: status {status}: {said.strip()[-300:]!r}"
