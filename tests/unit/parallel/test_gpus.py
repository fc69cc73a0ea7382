"""GPUs as the driver's files and tools describe them, faults by their words, NCCL by its variables."""

from __future__ import annotations

import pytest

from inferometer.emulator.errors import InputError, RunFailed
from inferometer.launch.ranks.devices import check_sharing, sharing, sharing_words
from inferometer.launch.runs.forced import checked_pairs, variables_of
from inferometer.launch.runs.gpu_settings import check_device_memory, sharing_note
from inferometer.parallel.device.faults import device_fault, watchdog_text
from inferometer.parallel.device.gpus import Gpu, gpus, reasons_of, state_of, visible
from inferometer.parallel.nccl_library import implementation, may_share
from inferometer.parallel.placement import HostReport

ROWS = [
    ["0", "NVIDIA H200", "GPU-aa", "143771", "143000", "580.1", "Disabled", "Default"],
    ["1", "NVIDIA H200", "GPU-bb", "[N/A]", "[N/A]", "580.1", "Enabled", "Exclusive_Process"],
]


@pytest.fixture
def driver(tmp_path):
    """The files of a driver that lists two GPUs."""
    for number, uuid in enumerate(("GPU-aa", "GPU-bb")):
        folder = tmp_path / "gpus" / f"0000:{number}"
        folder.mkdir(parents=True)
        (folder / "information").write_text(f"Model: \t\t NVIDIA H200\nIRQ: 1\nGPU UUID: \t {uuid}\n")
    (tmp_path / "version").write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.159.04  Fri\n")
    return tmp_path


def test_gpus_of_the_driver_with_and_without_its_tool(driver, tmp_path):
    first, second = gpus({}, lambda arguments: ROWS, driver)
    assert (first.name, first.uuid, first.free_bytes, first.mig) == ("NVIDIA H200", "GPU-aa", 143000 << 20, False)
    assert (second.memory_bytes, second.mig, second.exclusive) == (None, True, True)
    named = gpus({}, lambda arguments: None, driver)
    assert [(gpu.index, gpu.uuid, gpu.driver) for gpu in named] == [(0, "GPU-aa", "580.159.04"), (1, "GPU-bb", "580.159.04")]
    asked = []
    assert gpus({}, asked.append, tmp_path / "nothing") == [] and asked == []


@pytest.mark.parametrize(
    ("chosen", "left"),
    [(None, ["GPU-aa", "GPU-bb"]), ("", []), ("1,0", ["GPU-bb", "GPU-aa"]), ("GPU-b", ["GPU-bb"]), ("0,7,1", ["GPU-aa"]),
     ("MIG-x,MIG-y", ["MIG-x", "MIG-y"])],
)  # fmt: skip
def test_what_cuda_visible_devices_leaves(driver, chosen, left):
    found = gpus({} if chosen is None else {"CUDA_VISIBLE_DEVICES": chosen}, lambda arguments: ROWS, driver)
    assert [gpu.uuid for gpu in found] == left
    assert visible([], "0") == []


def test_the_state_of_a_gpu_is_unknown_rather_than_0():
    row = ["1980", "1980", "[N/A]", "699.12", "700.00", "61", "0x0000000000000004"]
    state = state_of("GPU-aa", lambda arguments: [row])
    assert (state["sm_clock_mhz"], state["memory_clock_mhz"], state["throttle_reasons"]) == (1980.0, None, ["power cap"])
    assert set(state_of("GPU-aa", lambda arguments: None).values()) == {None}
    assert set(state_of(None).values()) == {None}
    assert reasons_of(0x1) == [] and reasons_of(0x48) == ["hardware slowdown", "hardware thermal"]


class AcceleratorError(RuntimeError):
    """As torch names errors of a device."""


class OutOfMemoryError(RuntimeError):
    """As torch names it."""


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), "is out of memory"),
        (AcceleratorError("CUDA error: an illegal memory access was encountered"), "failed"),
        (RuntimeError("CUDA error: the launch timed out and was terminated"), "failed"),
        (AcceleratorError("CUDA error: uncorrectable ECC error encountered"), "is lost"),
        (RuntimeError("CUDA error: CUDA-capable device(s) is/are busy or unavailable"), "is lost"),
        (RuntimeError("CUBLAS_STATUS_EXECUTION_FAILED when calling cublasGemmEx"), "failed"),
        (RuntimeError("Connection closed by peer [127.0.0.1]:1"), None),
        (ValueError("3"), None),
    ],
)
def test_what_an_error_of_a_device_means(error, fault):
    assert device_fault(error) == fault


def test_the_watchdogs_text_is_kept(tmp_path):
    log = tmp_path / "rank-1.log"
    assert watchdog_text(log) is None
    log.write_text(
        "[rank1]:[E1 ProcessGroupNCCL.cpp:683] [Rank 1] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=78, "
        "OpType=ALLREDUCE, NumelIn=80, NumelOut=80, Timeout(ms)=2000) ran for 2009 milliseconds before timing out.\nmore\n"
    )
    assert watchdog_text(log) == (
        "WorkNCCL(SeqNum=78, OpType=ALLREDUCE, NumelIn=80, NumelOut=80, Timeout(ms)=2000) ran for 2009 milliseconds before "
        "timing out."
    )


def test_variables_of_nccl_are_part_of_its_name():
    assert implementation("2.28.9", {"NCCL_DEBUG": "INFO"}) == "nccl 2.28.9"
    assert implementation("2.30.7", {"NCCL_PROTO": "LL", "NCCL_ALGO": "Ring"}) == (
        "nccl 2.30.7 (NCCL_ALGO=Ring, NCCL_PROTO=LL)"
    )
    assert implementation(None, {}) == "nccl (version unknown)"


def test_ranks_of_one_gpu_are_named_before_anything_runs():
    hosts = [HostReport("h", "b", "n", 1, gpu=gpu) for gpu in ("GPU-aa", "MIG-x", "GPU-aa", "")]
    shared = sharing(hosts)
    assert shared == {"GPU-aa": [0, 2]}
    assert "ranks 0, 2 share GPU-aa" in sharing_words(shared) and "unsuitable_for_calibration" in sharing_words(shared)
    with pytest.raises(RunFailed, match=r"ranks 0, 2 share GPU-aa, which NCCL .* refuses: .*NCCL_MULTI_RANK_GPU_ENABLE=1"):
        check_sharing("nccl", shared, {})
    check_sharing("gloo", shared, {})
    check_sharing("nccl", {}, {})
    sharing_variable = {"NCCL_MULTI_RANK_GPU_ENABLE": "1"}
    assert may_share("2.30.7", sharing_variable) and not may_share("2.30.7", {})
    assert not may_share("2.28.9", sharing_variable) and not may_share(None, sharing_variable)


def test_what_a_command_says_of_sharing_and_memory_beforehand():
    one = [Gpu(0, "NVIDIA H200", "GPU-aa", 140 << 30, 10 << 30)]
    assert sharing_note(one, 1) == "" and "2 ranks share 1 GPU:" in sharing_note(one, 2)
    check_device_memory(8 << 30, one, 1, "llama")
    with pytest.raises(InputError, match=r"8\.00 GiB \+ 1\.50 for CUDA and NCCL a rank, × 2 ranks of a GPU = 19\.0 GiB"):
        check_device_memory(8 << 30, one, 2, "llama")
    check_device_memory(1 << 60, [Gpu(0, "NVIDIA H200")], 1, "llama")  # nothing is known of its memory


def test_forced_pairs_are_spelt_as_nccl_does():
    assert checked_pairs(["ring/ll", "NVLSTree/simple"]) == ["Ring/LL", "NVLSTree/Simple"]
    assert variables_of("Ring/LL") == {"NCCL_ALGO": "Ring", "NCCL_PROTO": "LL"}
    for bad in ("Ring", "Ring/LL/LL", "Circle/LL", "Ring/LL256", ""):
        with pytest.raises(InputError, match="--nccl-forced"):
            checked_pairs([bad])
