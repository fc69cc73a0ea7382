"""Make every built-in calibration again: import public measurements, fit them, say in the file where they come from.

    [AICONFIGURATOR=DIR] python benchmarks/recipes/make_calibrations.py [NAME…]

The measurements lie in ../shared/data, with their sources; those of serving engines in a wheel, whose contents are in DIR
(serving_recipes.py). The same data give the same files, byte for byte. nccl-2.30 is not among them: it is computed
(configs/calibrations/nccl-2.30.toml has its figures).
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import serving_recipes as serving

from inferometer.emulator.aliases import Document
from inferometer.emulator.calibrate.evaluate.calibration import Calibration
from inferometer.emulator.calibrate.evaluate.file import SCHEMA, load_calibration
from inferometer.emulator.calibrate.fit.build import validated
from inferometer.emulator.calibrate.fit.choose import AUTO
from inferometer.emulator.calibrate.fit.from_samples import fit
from inferometer.emulator.economics.paper.paper_calibration import paper_calibration, paper_code_calibration
from inferometer.emulator.importers.imports import KERNELS, import_files
from inferometer.emulator.importers.settings import parse_settings
from inferometer.emulator.samples.samples import SamplesFile

ROOT = Path(__file__).parents[2]
DATA = ROOT / ".." / "shared" / "data"
TARGET = ROOT / "configs" / "calibrations"
#: Of the fits, not of the data; fixed, so that the same data give the same files.
MADE = "2026-11-21T00:00:00+00:00"
#: What a table of sizes and times alone does not say, as it was measured by nccl-tests' default method.
NCCL_TESTS = "implementation=nccl,backend=nccl,launch_mode=stream,timing=pipelined"


@dataclass(frozen=True)
class Part:
    """Files of one format; settings as --set takes them; keep: values of fields of the samples that are kept.

    wheel: whether the files are those of serving engines; optional: whether there may be none.
    """

    format: str
    files: str
    settings: str = ""
    keep: tuple[tuple[str, tuple[str, ...]], ...] = ()
    wheel: bool = False
    optional: bool = False

    def paths(self) -> list[Path]:
        """Raises FileNotFoundError where there are none."""
        found = sorted(self.root.glob(self.files))
        if not found and not self.optional:
            raise FileNotFoundError(self.root / self.files)
        return found

    @property
    def root(self) -> Path:
        return serving.tables() if self.wheel else DATA

    def keeps(self, cell: Document) -> bool:
        return all(cell[name] in values for name, values in self.keep)


@dataclass(frozen=True)
class Recipe:
    """A calibration: parts to import, what the files do not say, the law if not the best.

    most_nodes: cells of more nodes are left out.
    """

    parts: tuple[Part, ...]
    hardware: str
    library: str
    setup: str | None = None
    law: str = AUTO
    most_nodes: int | None = None

    def keeps(self, cell: Document) -> bool:
        return self.most_nodes is None or cell["nodes"] <= self.most_nodes


def recipes() -> dict[str, Recipe]:
    """Every calibration that is fitted, by name."""
    found: dict[str, Recipe] = {}
    for gpu, node in serving.NODES.items():
        nccl = Part("aiconfigurator", serving.nccl_table(gpu), keep=(("dtype", ("float16",)),), wheel=True)
        found[f"{gpu}-nccl"] = Recipe((nccl,), node.hardware, f"NCCL {node.nccl}")
        others = replace(nccl, keep=(*nccl.keep, ("collective", ("all_gather", "reduce_scatter", "all_to_all"))))
        for engine, version in node.engines.items():
            kept = (("launch_mode", ("graph",)),)
            own = Part("aiconfigurator", serving.all_reduce_table(gpu, engine), keep=kept, wheel=True)
            kernels = [
                Part(KERNELS, name, keep=kept, wheel=True, optional=True) for name in serving.kernel_tables(gpu, engine)
            ]
            setup = "the engine's own kernels, replayed in a CUDA graph; all_gather and others of NCCL, back to back"
            library = f"{serving.ENGINES[engine]} {version}, NCCL {node.nccl}"
            found[f"{gpu}-{engine}"] = Recipe((own, others, *kernels), node.hardware, library, setup)
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
        paths = part.paths()
        if not paths:
            continue
        imported = import_files(part.format, paths, parse_settings(part.settings or None))
        header = header or imported.header | {"created": MADE}
        cells += [cell for cell in imported.cells if part.keeps(cell) and (part.format == KERNELS or recipe.keeps(cell))]
        for source in imported.header["provenance"]["files"]:
            name = Path(source["path"]).resolve().relative_to(part.root.resolve())
            raw.append(source | {"path": f"{'aiconfigurator/' if part.wheel else ''}{name}"})
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
        return {
            "citation": f"PyPI, {serving.WHEEL}, aiconfigurator_core/systems/data",
            "license": "Apache-2.0",
            "measured_by": "AIConfigurator's collectors: all_reduce and kernels replayed in a CUDA graph, nccl-tests",
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
        if name in ("network_laws", "compute_laws", "cells") and value:
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
        laws += f"; {len(calibration.compute_laws)} of kernels" if calibration.compute_laws else ""
        size = (TARGET / f"{name}.json").stat().st_size
        print(f"{name}: {laws}; {size / 1024:.0f} KiB, {time.perf_counter() - start:.0f} s", flush=True)
        for missing in calibration.not_fitted:
            print(f"  {missing.target.collective} not fitted: {missing.reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
