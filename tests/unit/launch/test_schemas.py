"""What commands write with --json: each names its schema, is valid by it, and the schema is the one of the record."""

from __future__ import annotations

import argparse
import json

import jsonschema
import pytest

import inferometer
from inferometer.emulator.errors import InputError
from inferometer.launch.cli import COMMANDS, build_parser, main
from inferometer.launch.runs.documents import derived
from inferometer.launch.runs.schemas import VERSIONS, file_name, schema, schema_id
from tests.places import ROOT
from tests.studies.served import POINTS

TABLE = "collective,ranks,nodes,bytes,us\n" + "".join(
    f"all_reduce,{ranks},1,{2**k},{5 + ranks + 2**k * ranks / 4e5}\n" for ranks in (2, 4, 8) for k in range(8, 22)
)
H100 = "--accelerator h100-sxm"
WRITTEN = {
    "doctor": ["doctor -n 2"],
    "import-report": ["import csv table.csv", "import nccl-tests {logs}"],
    "calibration": ["fit x.samples.jsonl -o x.json"],
    "export-statement": ["export x.json --to paper -o paper.json", "export x.json --to astra-sim -o net.yml --ranks 8"],
    "comparison": [
        "compare h100-nccl b200-nccl",
        f"compare h100-nccl b200-nccl --model llama-3-8b {H100} --gpus-max 8 --tpot-max 0.02",
    ],
    "prediction": [
        f"predict llama-3-8b {H100} --tp 2",
        f"predict mixtral-8x7b {H100} --ep 2 --weight-bits 8 --calibration h100-nccl --prompt 100 --output 10",
        f"predict llama-3-70b {H100} --tp 8 --speculator llama-3-8b",
        f"paper predict llama-3-70b {H100} --gpus 8.5",
    ],
    "frontier": [
        f"frontier llama-3-8b {H100} --gpus-max 4",
        f"frontier llama-3-8b:8 mixtral-8x7b {H100} --gpus-max 4 --prompt 100 --output 10",
        f"frontier llama-3-8b {H100} --gpus-max 4 --tpot-max 0.1",
        f"paper frontier llama-3-8b {H100}",
    ],
    "serving-prediction": [f"predict qwen3-32b {H100} --tp 4 --engine vllm --concurrency 8 --prompt 1024 --output 128"],
    "serving-frontier": [f"frontier qwen3-32b {H100} --engine vllm --tpot-max 0.05 --prompt 1024 --output 128"],
    "serving-command": [f"predict qwen3-32b {H100} --tp 4 --engine vllm --emit --prompt 1024 --output 128"],
    "serving-fit": ["fit --serving points.csv -o mine.toml"],
    "models": ["models"],
    "model": ["models show deepseek-v3", "models show gpt-oss-120b --kv-bits 8"],
    "list": ["list models", "list accelerators", "list calibrations", "list collectives"],
    "reproduction": ["reproduce --only baseten"],
}
BY_RANKS = {"measure", "calibrate", "emulate", "validate"}
"""Whose documents tests/ranks looks at."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("written")
    (path / "table.csv").write_text(TABLE)
    (path / "points.csv").write_text(POINTS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        assert main(["import", "csv", "table.csv", "-o", "x.samples.jsonl"]) == 0
        assert main(["fit", "x.samples.jsonl", "-o", "x.json"]) == 0
    return path


def lines():
    return [(kind, line) for kind, commands in WRITTEN.items() for line in commands]


@pytest.mark.parametrize(("kind", "line"), lines(), ids=[line for _, line in lines()])
def test_a_document_is_valid_by_the_schema_that_it_names(kind, line, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    logs = next((ROOT / "tests/data/nccl_logs").rglob("*.log"))
    capsys.readouterr()
    assert main([*line.format(logs=logs).split(), "--json", "-"]) in (0, 1)
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == schema_id(kind)
    jsonschema.validate(document, schema(document["schema"]), jsonschema.Draft202012Validator)


def test_every_command_that_writes_json_is_among_them():
    tried = {line.split()[0] for _, line in lines()} | BY_RANKS
    for name in COMMANDS:
        parser = build_parser(name)
        commands = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
        text = commands.choices[name].format_help()
        assert (name in tried) == ("--json FILE" in text or name == "paper"), name


def test_a_measurement_is_valid(write_samples, cell, method):
    from inferometer.launch.runs.measure import Measured

    header = {"environment": {}, "method": method().model_dump(mode="json")}
    launch = {"record": "launch", "launch": 0, "node_of": [0, 0], "conditions": {"load_1m": 0.0}}
    barrier = {"collective": "barrier", "bytes": 0, "cell": "barrier/float32/0/2x1/alone/isolated"}
    path = write_samples(launch, cell(), cell(**barrier), header=header)
    document = json.loads(json.dumps(inferometer.launch.runs.outputs.plain(Measured(path, True).summary())))
    jsonschema.validate(document, schema(document["schema"]), jsonschema.Draft202012Validator)
    assert len(document["cells"]) == 2


@pytest.mark.parametrize("name", VERSIONS)
def test_the_shipped_schema_is_that_of_the_record(name):
    shipped = schema(name)
    again = "python -c 'from inferometer.launch.runs.documents import write_schemas; write_schemas()'"
    assert shipped == derived(name), f"{file_name(name)} is not what its record says: {again}"
    assert shipped["$id"].endswith(schema_id(name))
    jsonschema.Draft202012Validator.check_schema(shipped)


def test_a_field_more_or_less_is_invalid():
    document = {"schema": schema_id("doctor"), "findings": [{"level": "ok", "subject": "x", "text": "y"}]}
    jsonschema.validate(document, schema("doctor"))
    wrong = {"schema": schema_id("doctor")}, document | {"more": 1}, document | {"findings": [{"level": "ok"}]}
    for other in (*wrong, document | {"schema": "inferometer/doctor/9"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(other, schema("doctor"))


def test_a_schema_is_known_by_its_kind_or_its_id(capsys):
    assert schema("prediction") == schema("inferometer/prediction/1") == schema("prediction/1")
    assert schema() == [schema_id(name) for name in VERSIONS]
    for wrong in ("predction", "inferometer/prediction/2", "x" * 900):
        with pytest.raises(InputError, match="no such schema"):
            schema(wrong)
    assert main(["schema", "doctor"]) == 0
    assert json.loads(capsys.readouterr().out) == schema("doctor")
    assert main(["schema"]) == 0
    assert capsys.readouterr().out.split() == schema()
