"""Sample points of the paper's own code."""

import json
from dataclasses import replace

import pytest

from inferometer.emulator.economics.paper.epoch import load_accelerator, load_model
from tests.places import DATA

#: Names there: names here, where they are not the same words.
RENAMED = {"Llama_3_405B": "llama-3.1-405b", "GPT_3_5": "gpt-3.5", "Falcon": "falcon-180b"}
RENAMED |= {"H100": "h100-sxm", "A100": "a100-sxm", "V100": "v100-sxm"}


def name_of(theirs):
    return RENAMED.get(theirs, theirs.lower().replace("_", "-"))


@pytest.fixture(scope="session")
def samples():
    return json.loads((DATA / "economics" / "sample_points.json").read_text())


@pytest.fixture(scope="session")
def paper_model(samples):
    """The model behind one of their names, which say the precision too."""

    def find(theirs):
        entry = samples["models"][theirs]
        plain = theirs.removesuffix("_8_bit").removesuffix("_4_bit")
        found = load_model(name_of(plain), int(8 * entry["weight_bytes"]))
        return replace(found, activation_bits=int(8 * entry["activation_bytes"]))

    return find


@pytest.fixture(scope="session")
def paper_gpu():
    return lambda theirs: load_accelerator(name_of(theirs))


@pytest.fixture(scope="session")
def h100():
    return load_accelerator("h100-sxm")
