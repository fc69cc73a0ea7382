"""What the built-in calibrations of serving engines are made of: AIConfigurator's tables, by GPU and engine.

The tables are those of the wheel aiconfigurator-core 0.12.0 (Apache-2.0). They are no part of this repository:

    pip download --no-deps --only-binary :all: -d DIR aiconfigurator-core==0.12.0
    python -m zipfile -e DIR/aiconfigurator_core-0.12.0-*.whl DIR
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

WHEEL = "aiconfigurator-core 0.12.0"
VARIABLE = "AICONFIGURATOR"
"""The environment variable that names the folder with the wheel's contents, where it is not installed."""
ENGINES = {"vllm": "vLLM", "sglang": "SGLang", "trtllm": "TensorRT-LLM"}
TABLES = (
    "gemm/{}/gemm_perf", "attention/{}/context_attention_perf", "attention/{}/generation_attention_perf", "moe/{}/moe_perf",
    "mla/{}/context_mla_perf", "mla/{}/generation_mla_perf", "quantize/{}/scale_matrix_perf",
)  # fmt: skip
OLD = {"vllm": "0.14.0", "sglang": "0.5.10", "trtllm": "1.0.0"}
NEW = {"vllm": "0.24.0", "sglang": "0.5.14", "trtllm": "1.3.0rc20"}


@dataclass(frozen=True)
class Node:
    """A GPU's folder among the tables, its node, NCCL's version, the engines' versions.

    older: of engines' tables of all_reduce, where they are of another version. uneven: engines whose expert layers were
    timed with unevenly routed tokens alone, which no law takes.
    """

    folder: str
    hardware: str
    nccl: str
    engines: dict[str, str]
    older: dict[str, str]
    uneven: tuple[str, ...] = ()


SXM = "one node of 8 {} SXM, NVLink through NVSwitch"
NODES = {
    "a100": Node("a100_sxm", SXM.format("A100"), "2.27.3", OLD, {}, ("vllm", "trtllm")),
    "h100": Node("h100_sxm", SXM.format("H100"), "2.29.2", NEW, {}),
    "h200": Node("h200_sxm", SXM.format("H200"), "2.29.2", NEW, {}),
    "b200": Node("b200_sxm", SXM.format("B200"), "2.29.2", NEW, {}),
    "gb200": Node("gb200", "one tray of 4 GB200, NVLink through NVSwitch", "2.29.2", NEW, {}),
    "l40s": Node("l40s", "one node of 8 L40S, PCIe", "2.27.3", NEW, {"vllm": "0.22.0"}),
}


def tables() -> Path:
    """The folder of the tables. Raises FileNotFoundError, saying where they come from."""
    given, installed = os.environ.get(VARIABLE), find_spec("aiconfigurator_core")
    if not given and installed is not None and installed.origin:
        given = str(Path(installed.origin).parents[1])
    folder = Path(given or ".") / "aiconfigurator_core" / "systems" / "data"
    if not given or not folder.is_dir():
        where = f"{folder}: no such folder" if given else f"{VARIABLE} is not set"
        raise FileNotFoundError(f"{where}: name the folder with the contents of the wheel {WHEEL} (serving_recipes.py)")
    return folder


def kernel_tables(gpu: str, engine: str) -> list[str]:
    """Below `tables`; not every engine has all of them on every GPU."""
    node = NODES[gpu]
    tables = [table for table in TABLES if engine not in node.uneven or not table.startswith("moe/")]
    return [f"{node.folder}/{table.format(f'{engine}/{node.engines[engine]}')}.parquet" for table in tables]


def all_reduce_table(gpu: str, engine: str) -> str:
    node = NODES[gpu]
    version = node.older.get(engine, node.engines[engine])
    return f"{node.folder}/comm/{engine}/{version}/custom_allreduce_perf.parquet"


def nccl_table(gpu: str) -> str:
    node = NODES[gpu]
    return f"{node.folder}/comm/nccl/{node.nccl}/nccl_perf.parquet"
