"""The samples file: appended to, cut off, joined, read back."""

from __future__ import annotations

import json
import math

import pytest

from inferometer.emulator.errors import InputError
from inferometer.emulator.samples.samples import SCHEMA, SamplesFile, read_header, read_records

HEADER = json.dumps({"record": "header", "schema": SCHEMA}) + "\n"


def test_what_is_appended_is_read_back_header_first(tmp_path):
    path = tmp_path / "deep" / "er" / "x.samples.jsonl"
    samples = SamplesFile.create(path, {"method": {"seed": 3}})
    samples.append({"record": "cell", "us": 1.5})
    samples.close()
    again = SamplesFile.reopen(path)
    again.append({"record": "launch_end"})
    again.close()
    records = list(read_records(path))
    assert records == [
        {"record": "header", "schema": SCHEMA, "method": {"seed": 3}},
        {"record": "cell", "us": 1.5},
        {"record": "launch_end"},
    ]  # fmt: skip
    assert read_header(path) == records[0]


def test_an_appended_record_is_in_the_file_before_it_is_closed(tmp_path):
    samples = SamplesFile.create(tmp_path / "x", {})
    samples.append({"record": "cell"})
    assert [record["record"] for record in read_records(tmp_path / "x")] == ["header", "cell"]
    samples.close()


def test_numbers_that_json_does_not_know_are_refused(tmp_path):
    samples = SamplesFile.create(tmp_path / "x", {})
    with pytest.raises(ValueError, match="not JSON compliant"):
        samples.append({"record": "cell", "us": math.nan})
    samples.close()


def test_an_existing_file_is_never_overwritten(tmp_path):
    path = tmp_path / "x"
    path.write_text("precious")
    with pytest.raises(InputError, match="x: cannot be written: File exists"):
        SamplesFile.create(path, {})
    assert path.read_text() == "precious"


@pytest.mark.parametrize("make", [lambda p: SamplesFile.create(p, {}), SamplesFile.reopen])
def test_a_path_that_cannot_be_written_is_named(tmp_path, make):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file/x: cannot be written: "):
        make(tmp_path / "file" / "x")


@pytest.mark.parametrize("cut", ['{"record": "cell", "us"', '{"record": "cell"}', ""])
def test_reopening_drops_the_line_that_was_cut_off(tmp_path, cut):
    path = tmp_path / "x"
    whole = HEADER + '{"record": "launch"}\n'
    path.write_text(whole + cut)
    SamplesFile.reopen(path).close()
    assert path.read_text() == whole


def test_a_cut_line_is_refused_or_passed_over_as_asked(tmp_path):
    path = tmp_path / "x"
    path.write_text(HEADER + '{"record": "launch"}\n{"record": "ce')
    with pytest.raises(InputError, match=r"x: line 3 is cut off; `inferometer measure --resume -o .*x` completes"):
        list(read_records(path))
    assert [record["record"] for record in read_records(path, allow_cut=True)] == ["header", "launch"]


BAD = {
    "empty": (b"", "the file is empty"),
    "not JSON": (HEADER.encode() + b"{oops}\n", "line 2 is not JSON"),
    "JSON too deep": (HEADER.encode() + b"[" * 100_000 + b"\n", "line 2 is not JSON"),
    "a number too long": (HEADER.encode() + b'{"record": ' + b"1" * 6000 + b"}\n", "line 2 is not JSON"),
    "no header": (b'{"record": "cell"}\n', "line 1 has no header"),
    "two headers": (2 * HEADER.encode(), "line 2 is a second header"),
    "other schema": (b'{"record": "header", "schema": "inferometer/samples/9"}\n', "schema is 'inferometer/samples/9'"),
    "no schema": (b'{"record": "header"}\n', "schema is None"),
    "not a record": (HEADER.encode() + b"[1, 2]\n", "line 2 has no key 'record'"),
    "no kind": (HEADER.encode() + b'{"cell": 1}\n', "line 2 has no key 'record'"),
    "binary": (bytes(range(128, 256)) + b"\n", "not text"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_samples_file_is_refused_by_file_and_line(tmp_path, what):
    content, words = BAD[what]
    path = tmp_path / "x.samples.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        list(read_records(path))
    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(InputError, match=f"{path}: cannot be read: "):
            list(read_records(path))


def test_a_header_that_was_cut_off_is_told_from_a_missing_one(tmp_path):
    path = tmp_path / "x"
    path.write_text(HEADER.rstrip("\n"))
    with pytest.raises(InputError, match="the header is cut off"):
        read_header(path)
    path.write_text("")
    with pytest.raises(InputError, match="the file is empty"):
        read_header(path)
