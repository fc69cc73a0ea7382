"""Accelerator files: the built-in ones against their datasheets, the format, every way to be wrong."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.emulator.economics.pricing.accelerator_file import Datasheet, File, Price, Sustained
from inferometer.emulator.economics.pricing.accelerators import OF_THE_PAPER, accelerator_names, load_accelerator
from inferometer.emulator.errors import InputError
from tests.places import ROOT

DOCUMENT = ROOT / "docs" / "accelerators.md"

GOOD = """
[datasheet]
flop_per_s = { 16 = 989.4e12, 8 = 1978.9e12 }
memory_bytes = 80e9
memory_bytes_per_s = 3.35e12
intra_bytes_per_s = 450e9
node_size = 8

[sustained]
flop_fraction = 0.7
memory_fraction = 0.75
kernel_s = 4e-6

[price]
usd_per_hour = 2.10

[sources]
flop_per_s = "a"
memory_bytes = "b"
memory_bytes_per_s = "c"
intra_bytes_per_s = "d"
node_size = "e"
flop_fraction = "f"
memory_fraction = "g"
kernel_s = "h"
usd_per_hour = "i"

[unknown]
inter_bytes_per_s = "no network"
"""

OURS = [name for name in accelerator_names() if name not in OF_THE_PAPER]

# name: (dense 16-bit FLOP/s, bytes, bytes/s, one-way link inside the node, node size), to the datasheets' printed digits.
DATASHEETS = {
    "t4": (65e12, 16e9, 300e9, 16e9, 8),
    "a10": (125e12, 24e9, 600e9, 32e9, 8),
    "a100-sxm": (312e12, 80e9, 2039e9, 300e9, 8),
    "v100-sxm": (125e12, 16e9, 900e9, 150e9, 8),
    "h100-sxm": (1979e12 / 2, 80e9, 3.35e12, 450e9, 8),
    "h800": (1979e12 / 2, 80e9, 3.35e12, 200e9, 8),
    "h20": (148e12, 96e9, 4.0e12, 450e9, 8),
    "h200": (1979e12 / 2, 141e9, 4.8e12, 450e9, 8),
    "b200": (2.25e15, 180e9, 8e12, 900e9, 8),
    "l40s": (362.05e12, 48e9, 864e9, 32e9, 8),
    "h100-pcie": (1513e12 / 2, 80e9, 2e12, 64e9, 8),
    "h100-nvl": (1671e12 / 2, 94e9, 3.9e12, 300e9, 2),
    "rtx-4090": (165.2e12, 24e9, 1008e9, 32e9, 8),
    "rtx-pro-6000": (503.8e12, 96e9, 1792e9, 64e9, 8),
    "b300": (36e15 / 2 / 8, 288e9, 8e12, 900e9, 8),
    "gb300": (360e15 / 2 / 72, 20e12 / 72, 576e12 / 72, 900e9, 72),
    "mi300x": (1307.4e12, 192e9, 5.3e12, 896e9 / 2, 8),
    "mi325x": (1307.4e12, 256e9, 6e12, 896e9 / 2, 8),
    "mi355x": (2516.6e12, 288e9, 8e12, 7 * 153.6e9 / 2, 8),
    "tpu-v5e": (197e12, 16e9, 819e9, 400e9 / 2, 256),
    "tpu-v6e": (918e12, 32e9, 1638e9, 800e9 / 2, 256),
    "trainium2": (667e12, 96 * 2**30, 2.9e12, 1.28e12 / 2, 16),
    "gb200": (360e15 / 2 / 72, 186e9, 576e12 / 72, 1.8e12 / 2, 72),
}


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", OURS)
def test_built_in_files_are_what_files_must_be(name):
    """They are read without the check that users' files get."""
    tables = tomllib.loads((ROOT / "configs" / "accelerators" / f"{name}.toml").read_text())
    assert File.model_validate(tables)
    again = load_accelerator(ROOT / "configs" / "accelerators" / f"{name}.toml")
    assert again == load_accelerator(name)


def test_the_built_in_accelerators():
    asked = """t4 a10 a100-sxm v100-sxm h100-sxm h800 h20 h200 b200 gb200 tpu-v4 groq-lpu l40s h100-pcie h100-nvl rtx-4090
    rtx-pro-6000 b300 gb300 mi300x mi325x mi355x tpu-v5e tpu-v6e trainium2"""
    assert set(asked.split()) == set(accelerator_names())
    assert set(DATASHEETS) == set(OURS)


@pytest.mark.parametrize("name", DATASHEETS)
def test_datasheet_figures(name):
    found = load_accelerator(name)
    figures = (found.flop_per_s[16], found.memory_bytes, found.memory_bytes_per_s, found.intra_bytes_per_s, found.node_size)
    assert figures == pytest.approx(DATASHEETS[name], rel=5e-3)
    assert found.name == name


@pytest.mark.parametrize("name", OURS)
def test_each_figure_has_a_source_or_a_reason(name):
    found = load_accelerator(name)
    for field in (*Datasheet.model_fields, *Sustained.model_fields, *Price.model_fields):
        assert len(found.sources[field]) > 10
        assert found.sources[field].startswith("unknown: ") == (getattr(found, field) is None)
    # Sources that are no more than a hope would read otherwise: vendor, paper or list with its year or commit.
    assert all(re.search(r"20\d\d|commit|unknown: ", source) for source in found.sources.values()), found.sources


@pytest.mark.parametrize("name", OURS)
def test_narrower_operands_are_never_slower(name):
    rates = [rate for _, rate in sorted(load_accelerator(name).flop_per_s.items())]
    assert rates == sorted(rates, reverse=True)


def test_figures_of_the_paper():
    h100 = load_accelerator("h100-sxm@epoch-2025")
    assert (h100.name, h100.flop_per_s[16], h100.memory_bytes_per_s) == ("h100-sxm", 1e15, 3.3e12)
    assert load_accelerator("h100-sxm").flop_per_s[16] == 989.4e12
    for name in OF_THE_PAPER:
        assert load_accelerator(name) == load_accelerator(f"{name}@epoch-2025")
        assert load_accelerator(name).collectives == "ring"
    with pytest.raises(InputError, match="b200"):
        load_accelerator("b200@epoch-2025")


def test_a_file_of_ones_own(tmp_path):
    found = load_accelerator(write(tmp_path, GOOD))
    assert found.name == "mine"
    assert found.flop_per_s == {16: 989.4e12, 8: 1978.9e12}
    assert found.inter_bytes_per_s is None
    assert found.sources["inter_bytes_per_s"] == "unknown: no network"
    assert found.usd_per_hour == 2.10
    assert load_accelerator(write(tmp_path, 'name = "ours"\n' + GOOD)).name == "ours"


def test_a_price_may_be_unknown(tmp_path):
    text = GOOD.replace("[price]\nusd_per_hour = 2.10", "").replace('usd_per_hour = "i"', "")
    assert load_accelerator(write(tmp_path, text + 'usd_per_hour = "not for rent"')).usd_per_hour is None


WRONG = [
    ("usd_per_hour = 2.10", "usd_per_hour = 0", "price.usd_per_hour = 0: input should be greater than 0"),
    ("usd_per_hour = 2.10", "usd_per_hour = -1.5", "price.usd_per_hour = -1.5: input should be greater than 0"),
    ("usd_per_hour = 2.10", "usd_per_hour = nan", "price.usd_per_hour = nan: input should be"),
    ("usd_per_hour = 2.10", "usd_per_hour = inf", "price.usd_per_hour = inf: input should be"),
    ("usd_per_hour = 2.10", "eur_per_hour = 2.10", "price.eur_per_hour: unknown key"),
    ("usd_per_hour = 2.10", "", "usd_per_hour: missing: give it, or the reason in unknown.usd_per_hour"),
    ("memory_bytes = 80e9", "memory_gb = 80", "datasheet.memory_bytes: missing"),
    ("memory_bytes = 80e9", 'memory_bytes = "80 GB"', "datasheet.memory_bytes = '80 GB': input should be a valid number"),
    ("memory_bytes = 80e9", "memory_bytes = 80", "memory_bytes = 80 is in bytes: 80 GB would be 8e+10"),
    ("memory_bytes_per_s = 3.35e12", "memory_bytes_per_s = 3350",
     "memory_bytes_per_s = 3350 is in bytes/s: 3350 GB/s would be 3.35e+12"),
    ("intra_bytes_per_s = 450e9", "intra_bytes_per_s = 450",
     "intra_bytes_per_s = 450 is in bytes/s: 450 GB/s would be 4.5e+11"),
    ("16 = 989.4e12", "16 = 989.4", "flop_per_s.16 = 989.4 is in FLOP/s: 989.4 TFLOP/s would be 9.894e+14"),
    ("16 = 989.4e12", "12 = 989.4e12", "flop_per_s.12: known widths are 4, 8, 16, 32 bits"),
    ("flop_per_s = { 16 = 989.4e12, 8 = 1978.9e12 }", "flop_per_s = 1e15", "datasheet.flop_per_s = 1000000000000000.0: "),
    ("flop_per_s = { 16 = 989.4e12, 8 = 1978.9e12 }", "flop_per_s = {}", "datasheet.flop_per_s: dictionary should have"),
    ("kernel_s = 4e-6", "kernel_s = 4", "kernel_s = 4 is in seconds: 4 µs would be 4e-06"),
    ("kernel_s = 4e-6", "kernel_s = -4e-6", "sustained.kernel_s = -4e-06: input should be greater than or equal to 0"),
    ("flop_fraction = 0.7", "flop_fraction = 70", "sustained.flop_fraction = 70: input should be less than or equal to 1"),
    ("flop_fraction = 0.7", "flop_fraction = 0", "sustained.flop_fraction = 0: input should be greater than 0"),
    ("node_size = 8", "node_size = 0", "datasheet.node_size = 0: input should be greater than or equal to 1"),
    ("node_size = 8", "node_size = 8.5", "datasheet.node_size = 8.5: input should be a valid integer"),
    ('kernel_s = "h"\n', "", "sources.kernel_s: missing: where does kernel_s = 4e-06 come from?"),
    ('kernel_s = "h"', 'kernel_s = " "', "sources.kernel_s: empty"),
    ('kernel_s = "h"', "kernel_s = 3", "sources.kernel_s = 3: input should be a valid string"),
    ('kernel_s = "h"', 'kernel_s = "h"\nkernel_us = "x"', "sources.kernel_us: unknown key: figures are flop_per_s, "),
    ('inter_bytes_per_s = "no network"', "", "inter_bytes_per_s: missing: give it, or the reason in"),
    ("[unknown]", '[unknown]\nkernel_s = "?"', "unknown.kernel_s: but kernel_s = 4e-06 is given"),
    ("[price]", "[prices]", "prices: unknown key"),
    ("[sustained]", "sustained", "not TOML"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "said"), WRONG)
def test_wrong_files_in_one_line(tmp_path, before, after, said):
    assert before in GOOD
    path = write(tmp_path, GOOD.replace(before, after, 1))
    with pytest.raises(InputError) as error:
        load_accelerator(path)
    assert str(error.value).startswith(f"{path}: ")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"\xff", "cannot be read"), (b"", "datasheet: missing"), (b"a = " + b"[" * 50_000, "brackets too deep")],
)
def test_files_that_are_no_accelerator(tmp_path, content, said):
    path = tmp_path / "x.toml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said):
        load_accelerator(path)


@pytest.mark.parametrize("name", ["", "\0", "x" * 5000, "/nowhere.toml", "/dev/zero", "/"])
def test_hostile_names_in_one_line(name):
    with pytest.raises(InputError) as error:
        load_accelerator(name)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


def test_unknown_names_are_told_the_known_ones():
    with pytest.raises(InputError, match=r"'h100'.*\(did you mean h100-\w+\?\): those are a10, a100-sxm, .*v100-sxm$"):
        load_accelerator("h100")


@given(st.data())
def test_any_mutation_is_an_accelerator_or_one_line(tmp_path_factory, data):
    lines = GOOD.splitlines()
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(lines) - 1))
        line = data.draw(
            st.sampled_from(["", "[price]", "x = 1", "memory_bytes = []", "[[sources]]", "flop_per_s = { 16 = '1' }"])
            | st.text(max_size=12)
        )
        lines[at] = line
    path = tmp_path_factory.getbasetemp() / "mutated.toml"
    path.write_text("\n".join(lines), encoding="utf-8", errors="replace")
    try:
        found = load_accelerator(path)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert found.memory_bytes > 0


def test_the_documented_example_loads(tmp_path):
    example = re.search(r"```toml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL).group(1)
    assert tomllib.loads(example)
    assert load_accelerator(write(tmp_path, example)).usd_per_hour == 1.85
