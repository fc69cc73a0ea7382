"""20 000 mutated real files: every reader ends in runs or in one line, whatever a file holds."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import time
from collections import Counter
from pathlib import Path

import pytest

from inferometer.emulator.calibrate.evaluate.file import load_calibration
from inferometer.emulator.errors import InputError
from inferometer.emulator.importers.imports import KNOWN, import_files
from tests.places import DATA, ROOT, SHARED_DATA

FILES = int(os.environ.get("FUZZ_FILES", "20000"))
LARGEST_SEED = 60_000
SLOWEST_S = 20.0
TOKENS = (
    b"9" * 400,
    b"1e999",
    b"-1",
    b"0",
    b"nan",
    b"N/A",
    b"4e-07",
    b"#",
    b"\n",
    b"\x00",
    b"\xff\xfe",
    b"[" * 3000,
    b"{",
    b'"',
    b",",
    b"0: ",
    b"[1,0]<stdout>:",
    b"\x1b[0m",
    b"float",
    b"sum",
    b"999999999999999999",
    b"null",
    b"true",
    b"e",
    b".",
    b"\t",
    b"\r\n",
)
FORMAT_OF = (
    ("osu", "osu"),
    ("imb", "imb"),
    ("rccl", "rccl-tests"),
    ("vidur", "vidur"),
    ("gloo_rank", "torch-trace"),
    ("mscclpp", "mscclpp"),
    (".parquet", "aiconfigurator"),
    (".csv", "csv"),
    (".log", "nccl-tests"),
    (".json", "nccl-tests"),
    (".txt", "osu"),
)


def seeds() -> list[tuple[str, bytes]]:
    """Format and contents of real files, the largest ones cut."""
    folders = [DATA, SHARED_DATA / "cases", SHARED_DATA / "nccl_logs", SHARED_DATA / "vidur"]
    found = []
    for path in sorted(path for folder in folders if folder.is_dir() for path in folder.rglob("*") if path.is_file()):
        name = str(path)
        if path.suffix in (".md", ".toml", ".jsonl") or path.name in ("cmd", "expected.txt", "LICENSE", "sources.json"):
            continue
        format_name = next((known for part, known in FORMAT_OF if part in name), None)
        if format_name is not None:
            found.append((format_name, path.read_bytes()[:LARGEST_SEED]))
    return found


def mutated(content: bytes, draw: random.Random) -> bytes:
    text = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 3, 8, 30))):
        at = draw.randrange(len(text) + 1)
        kind = draw.randrange(7)
        if kind == 0:
            text[at : at + draw.randrange(60)] = b""
        elif kind == 1:
            text[at:at] = draw.choice(TOKENS)
        elif kind == 2 and text:
            text[min(at, len(text) - 1)] = draw.randrange(256)
        elif kind == 3:
            del text[at:]
        elif kind == 4:
            start = draw.randrange(len(text) + 1)
            text[at:at] = text[start : start + draw.randrange(400)]
        else:  # a number into another
            number = re.compile(rb"\d+(?:\.\d+)?").search(text, at)
            if number:
                text[number.start() : number.end()] = draw.choice(TOKENS)
    return bytes(text)


def ends_well(format_name: str, path: Path) -> str:
    started = time.monotonic()
    try:
        if format_name == "calibration":
            load_calibration(path).time_s("all_reduce", 1024, 2)
        else:
            found = import_files(format_name, [path])
            json.dumps([found.header, found.files, found.cells], allow_nan=False)
            assert all(cell["us"] > 0 and cell["bytes"] >= 0 and cell["collective"] for cell in found.cells)
            assert all(entry["cells"] + sum(entry["excluded"].values()) == entry["rows"] for entry in found.files)
        outcome = "read"
    except InputError as error:
        assert "\n" not in str(error).replace(str(path), "")
        outcome = "refused"
    assert time.monotonic() - started < SLOWEST_S
    return outcome


@pytest.mark.verify
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(4))
def test_mutated_files(part, tmp_path):
    files = seeds()
    shipped = sorted((ROOT / "configs").rglob("*.json"))
    files += [
        ("calibration", path.read_bytes()) for path in shipped if b'"inferometer/calibration' in path.read_bytes()[:9000]
    ]
    assert {"nccl-tests", "aiconfigurator", "torch-trace", "calibration"} <= {name for name, _ in files}
    draw = random.Random(part)
    outcomes: Counter[str] = Counter()
    path = tmp_path / "fuzzed"
    for at in range(FILES // 4):
        format_name, content = files[at % len(files)]
        if format_name != "calibration" and draw.random() < 0.1:
            format_name = draw.choice(KNOWN)
        data = mutated(content, draw)
        path.write_bytes(data)
        try:
            outcomes[ends_well(format_name, path)] += 1
        except BaseException:
            kept = Path(os.environ.get("FUZZ_KEEP", tmp_path)) / f"failed_{part}_{at}.{format_name}"
            shutil.copy(path, kept)
            raise
    print(dict(outcomes))
    assert min(outcomes["read"], outcomes["refused"]) > FILES // 80
