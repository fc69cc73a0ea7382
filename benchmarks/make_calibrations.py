"""Make every built-in calibration again: import public measurements, fit them, say in the file where they come from.

    python benchmarks/make_calibrations.py [NAME…]

The measurements lie in ../shared/data, with their sources. The same data give the same files, byte for byte. nccl-2.30 is
not among them: it is computed (configs/calibrations/nccl-2.30.toml has its figures).
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from inferometer.emulator.aliases import Document
from inferometer.emulator.calibrate.evaluate.calibration import Calibration
from inferometer.emulator.calibrate.evaluate.file import SCHEMA, load_calibration
from inferometer.emulator.calibrate.fit.build import validated
from inferometer.emulator.calibrate.fit.choose import AUTO
from inferometer.emulator.calibrate.fit.from_samples import fit
from inferometer.emulator.economics.paper.paper_calibration import paper_calibration, paper_code_calibration
from inferometer.emulator.importers.imports import import_files
from inferometer.emulator.importers.settings import parse_settings
from inferometer.emulator.samples.samples import SamplesFile

ROOT = Path(__file__).parents[1]
DATA = ROOT / ".." / "shared" / "data"
TARGET = ROOT / "configs" / "calibrations"
#: Of the fits, not of the data; fixed, so that the same data give the same files.
MADE = "2026-11-21T00:00:00+00:00"
#: What a table of sizes and times alone does not say, as it was measured by nccl-tests' default method.
NCCL_TESTS = "implementation=nccl,backend=nccl,launch_mode=stream,timing=pipelined"


@dataclass(frozen=True)
class Part:
    """Files of one format; settings as --set takes them."""

    format: str
    files: str
    settings: str = ""


@dataclass(frozen=True)
class Recipe:
    """A calibration: parts to import, which of their cells to keep, what the files do not say, the law if not the best.

    keep: values of fields of the samples; most_nodes: cells of more nodes are left out.
    """

    parts: tuple[Part, ...]
    hardware: str
    library: str
    keep: tuple[tuple[str, str], ...] = ()
    setup: str | None = None
    law: str = AUTO
    most_nodes: int | None = None

    def keeps(self, cell: Document) -> bool:
        few = self.most_nodes is None or cell["nodes"] <= self.most_nodes
        return few and all(cell[name] == value for name, value in self.keep)


def recipes() -> dict[str, Recipe]:
    """Every calibration that is fitted, by name."""
    found: dict[str, Recipe] = {}
    for gpu, nccl, engines in (
        ("a100", "2.27.3", {"vllm": "0.14.0", "sglang": "0.5.10", "trtllm": "1.0.0"}),
        ("h100", "2.29.2", {"vllm": "0.24.0", "sglang": "0.5.14", "trtllm": "1.3.0rc20"}),
        ("b200", "2.29.2", {"vllm": "0.24.0", "sglang": "0.5.14", "trtllm": "1.3.0rc20"}),
    ):
        folder = f"aiconfigurator/{gpu}_sxm/comm"
        hardware = f"one node of 8 {gpu.upper()} SXM, NVLink through NVSwitch"
        table = Part("aiconfigurator", f"{folder}/nccl/{nccl}/nccl_perf.parquet")
        found[f"{gpu}-nccl"] = Recipe((table,), hardware, f"NCCL {nccl}", (("dtype", "float16"),))
        for engine, version in engines.items():
            table = Part("aiconfigurator", f"{folder}/{engine}/{version}/custom_allreduce_perf.parquet")
            setup = "the engine's own all_reduce kernel, replayed in a CUDA graph"
            found[f"{gpu}-{engine}"] = Recipe((table,), hardware, f"{engine} {version}", (("launch_mode", "graph"),), setup)
    polaris, logs = "ALCF Polaris: nodes of 4 A100 SXM4 40 GB, HPE Slingshot", "nccl_logs/alcf_polaris/*_{}_*.log"
    tuned = "AWS OFI plugin, GPUDirect RDMA, tuned libfabric/CXI settings (setup 4 of the source)"
    found["polaris-tuned"] = Recipe((Part("nccl-tests", logs.format("cfg4")),), polaris, "NCCL 2.21", setup=tuned)
    plain = "NCCL's default, sockets over TCP (setup 1 of the source)"
    found["polaris-tcp"] = Recipe((Part("nccl-tests", logs.format("cfg1")),), polaris, "NCCL 2.21", setup=plain)
    found["alps-gh200"] = Recipe(
        (Part("nccl-tests", "nccl_logs/alps_gh200/crossnic1_ofi1.13.0_*.log"),),
        "CSCS Alps: nodes of 4 GH200 120 GB, HPE Slingshot 11",
        "NCCL 2.23.4",
        setup="AWS OFI plugin 1.13.0, NCCL_CROSS_NIC=1",
        # Beyond 64 nodes the bandwidth collapses. One run is of one node: left out, nothing tells that a node's own links
        # are fast, and the choice by held-out error goes astray.
        law="three_protocols",
        most_nodes=64,
    )
    pair = [
        Part(
            "csv",
            f"nccl_logs/vultr_b200/{nodes}n{8 * nodes}_{collective}.csv",
            f"ranks={8 * nodes},nodes={nodes},{NCCL_TESTS}",
        )
        for nodes in (1, 2)
        for collective in ("all_reduce", "all_gather", "reduce_scatter", "alltoall", "sendrecv")
    ]
    hardware = "two nodes of 8 B200 (HGX), 8 InfiniBand adapters of about 45 GB/s per node"
    found["b200-pair"] = Recipe(tuple(pair), hardware, "NCCL, version not given", setup="the first of two configurations")
    return found


def fitted(recipe: Recipe) -> Calibration:
    """Import, fit, and say where it comes from."""
    raw: list[Document] = []
    header: Document = {}
    cells: list[Document] = []
    for part in recipe.parts:
        paths = sorted(DATA.glob(part.files))
        if not paths:
            raise FileNotFoundError(DATA / part.files)
        imported = import_files(part.format, paths, parse_settings(part.settings or None))
        header = header or imported.header | {"created": MADE}
        cells += filter(recipe.keeps, imported.cells)
        for source in imported.header["provenance"]["files"]:
            name = Path(source["path"]).resolve().relative_to(DATA.resolve())
            raw.append(source | {"path": str(name)})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "imported.samples.jsonl"
        samples = SamplesFile.create(path, header)
        for cell in cells:
            samples.append(cell)
        samples.close()
        calibration = fit([path], law=recipe.law)
    document = calibration.model_dump(mode="json", by_alias=True)
    hardware = (document["provenance"]["hardware"] or {}) | {"description": recipe.hardware}
    document["provenance"] |= {"raw": raw, "hardware": hardware, **source_of(raw)}
    document["provenance"]["software"] = {"library": recipe.library, "setup": recipe.setup}
    document["provenance"]["env"] = document["provenance"]["conditions"] = None
    return validated(document)


def source_of(raw: list[Document]) -> Document:
    """Citation and licence of the files, from the lists of sources that lie beside them."""
    folder = raw[0]["path"].split("/")[0]
    if folder == "aiconfigurator":
        listed = json.loads((DATA / folder / "SOURCES.json").read_text())
        where = listed["paths"].split("*.parquet")[0].strip()
        return {
            "citation": f"{listed['repo']}, commit {listed['commit']}, {where}",
            "license": listed["license"].split(" ")[0],
            "measured_by": listed["method"]["nccl_perf" if "nccl_perf" in raw[0]["path"] else "custom_allreduce"],
        }
    listed = json.loads((DATA / folder / "sources.json").read_text())
    entries = {f"{folder}/{entry['file']}": entry for entry in listed["entries"]}
    first = entries[raw[0]["path"]]
    where = f"{first['repo']}, commit {first['commit']}" if first["repo"] else first["path"].split(" (")[0]
    return {"citation": where, "license": None, "measured_by": "nccl-tests"}


def text_of(calibration: Calibration) -> str:
    """The file's text, a line for each model and each cell: a tenth of the lines of `to_json`, and diffs stay readable.

    What has its default value is left out.
    """
    document = {"schema": SCHEMA} | calibration.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    parts = []
    for name, value in document.items():
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        if name in ("network_laws", "cells") and value:
            rows = (json.dumps(row, ensure_ascii=False, allow_nan=False) for row in value)
            text = "[\n  " + ",\n  ".join(rows) + "\n ]"
        parts.append(f' "{name}": {text}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def write(name: str, calibration: Calibration) -> None:
    path = TARGET / f"{name}.json"
    path.write_text(text_of(calibration), encoding="utf-8")
    if load_calibration(path) != calibration:
        raise AssertionError(f"{path}: is not what was written")


PUBLISHED = {"paper-2025": paper_calibration, "paper-2025-code": paper_code_calibration}


def main(names: list[str]) -> int:
    every = recipes()
    unknown = sorted(set(names) - {*PUBLISHED, *every})
    if unknown:
        print(f"{', '.join(unknown)}: known are {', '.join([*PUBLISHED, *every])}", file=sys.stderr)
        return 2
    for name, published in PUBLISHED.items():
        if not names or name in names:
            write(name, published(MADE))
    for name, recipe in every.items():
        if names and name not in names:
            continue
        start = time.perf_counter()
        calibration = fitted(recipe)
        write(name, calibration)
        laws = ", ".join(f"{m.target.collective} {m.form}" for m in calibration.network_laws)
        size = (TARGET / f"{name}.json").stat().st_size
        print(f"{name}: {laws}; {size / 1024:.0f} KiB, {time.perf_counter() - start:.0f} s", flush=True)
        for missing in calibration.not_fitted:
            print(f"  {missing.target.collective} not fitted: {missing.reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
