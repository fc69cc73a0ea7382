"""What `emulate` refuses before any rank starts: one line with the arithmetic, status 2."""

from __future__ import annotations

import pytest

from inferometer.emulator.errors import InputError
from inferometer.emulator.validate.settings import Emulation
from inferometer.launch import cli

SMALL = "llama-3-70b --scale 1/16 --layers 4"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (f"{SMALL} --tp 2 -n 3", "tp·ep·pp·dp = 2·1·1·1 = 2 but 3 ranks asked for with -n 3"),
        (f"{SMALL} --pp 5", "layers = 4 are fewer than pp = 5 stages"),
        (f"{SMALL} --ep 2", "ep = 2, but the model has no experts"),
        (f"{SMALL} --dp 2 --batch 3", "batch = 3 does not divide by dp = 2"),
        (f"{SMALL} --batch 4 --micro-batches 3", "batch = 4 does not divide by 3 micro-batches = 3"),
        (f"{SMALL} --batch 1000000 --context 8000", "are free; use a smaller --scale or --layers"),
        ("gpt-3 --scale 1/64 --layers 1 --context 2048", "a cache of 2049 tokens is beyond the 2048 learned positions"),
        (f"{SMALL} --steps 5", "--steps 5: the interval of a median needs at least 6"),
        (f"{SMALL} --tp 0", "tp·ep·pp·dp = 0·1·1·1 = 0 but"),
        (f"{SMALL} --batch 0", "batch = 0: input should be greater than 0"),
        ("llama-3-70b --scale 0/1", "scale = 0.0: input should be greater than 0"),
        ("llama-3-70b --scale 1/0", "'1/0' is not a fraction such as 1/16"),
        (f"{SMALL} --calibration nccl-2.30", "--calibration nccl-2.30: needs --accelerator"),
        (f"{SMALL} --backend mpi --bits 16", "MPI cannot sum bfloat16"),
    ],
)
def test_refused_with_one_line(flags, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if "--tp 0" in flags:
        flags += " -n 1"
    assert cli.main(["emulate", *flags.split()]) == 2
    out, err = capsys.readouterr()
    assert out == "" and words in err and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_under_torchrun_the_ranks_must_be_those_of_the_layout(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "4"), ("LOCAL_RANK", "0"), ("LOCAL_WORLD_SIZE", "4")):
        monkeypatch.setenv(name, value)
    assert cli.main(["emulate", *SMALL.split(), "--tp", "8"]) == 2
    assert "tp·ep·pp·dp = 8·1·1·1 = 8 but 4 ranks started" in capsys.readouterr().err


def test_memory_is_weights_and_cache_and_process_of_every_rank():
    settings = Emulation(model="llama-3-70b", scale=1 / 16, layers=4, tp=2, world_size=2, batch=8, context=511)
    # a cache of 512 tokens: keys and values of the one head, 64 features each, on both ranks
    assert settings.resident().kv_bytes == 8 * 512 * 4 * 2 * 64 * 4
    each = float(settings.resident().total_bytes) + 1000
    settings.check_memory(2, int(2 * each) + 1, 1000)
    settings.check_memory(2, None, 1000)
    with pytest.raises(InputError, match="× 2 ranks"):
        settings.check_memory(2, int(2 * each) - 1, 1000)
