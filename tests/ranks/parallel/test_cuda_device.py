"""A GPU as a device, on the stand-in for torch.cuda; what is the same on every device."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from inferometer.emulator.errors import RunFailed  # noqa: E402
from inferometer.launch.ranks.devices import rank_device  # noqa: E402
from inferometer.parallel.device.device import NoGraphs, NoRoom, check_room, words  # noqa: E402
from inferometer.parallel.device.here import device_of  # noqa: E402
from inferometer.parallel.device.host import HostDevice  # noqa: E402
from inferometer.parallel.device.readback import Readback  # noqa: E402
from inferometer.parallel.device.staged import StagedCommunicator  # noqa: E402
from inferometer.parallel.weights import Weights  # noqa: E402
from tests.studies.stand_in_gpu import GIB, StandInGpu, Surface  # noqa: E402


def test_what_a_gpu_says_of_itself():
    found = StandInGpu().identity()
    assert (found["kind"], found["name"], found["capability"]) == ("cuda", "NVIDIA H900", "9.0")
    assert found["uuid"] == "GPU-11111111-2222-3333-4444-555555555555"  # as nvidia-smi writes it
    assert words(found) == "NVIDIA H900 (GPU-11111111-2222-3333-4444-555555555555)"


def test_memory_is_counted_before_it_is_taken():
    """Free: 10 GiB of the driver's, and what torch keeps of its own beyond what is in use, 3 − 1."""
    device = StandInGpu(Surface(free_bytes=10 * GIB))
    check_room(device, 12 * GIB, "weights")
    with pytest.raises(NoRoom, match=r"weights needs 12\.50 GiB, but 12\.00 GiB are free on NVIDIA H900 \(GPU-1111"):
        check_room(device, 12.5 * GIB, "weights")
    check_room(HostDevice(), 1e18, "anything")  # processors' memory is counted before ranks start


def test_cudnn_is_left_out_of_attention():
    StandInGpu()
    switches = torch.backends.cuda
    assert not switches.cudnn_sdp_enabled()
    assert switches.flash_sdp_enabled() and switches.mem_efficient_sdp_enabled() and switches.math_sdp_enabled()


def test_the_attention_is_named():
    q, keys = torch.zeros(1, 2, 4, 16), torch.zeros(1, 2, 8, 16)
    assert StandInGpu().attention(q, keys, keys, causal=False) in ("math", "flash", "efficient")


def test_processors_have_no_graphs():
    with pytest.raises(NoGraphs):
        HostDevice().capture(lambda: None)
    with pytest.raises(NoGraphs):
        HostDevice().graph_clock()
    assert device_of(torch.device("cpu")).launch_modes == ("host",)


def test_a_kind_of_device_that_nothing_runs_on():
    with pytest.raises(ValueError, match="meta"):
        device_of(torch.device("meta"))


class Visible:
    """As many GPUs as torch.cuda would see."""

    def __init__(self, count):
        self.count, self.current = count, None

    def is_available(self):
        return self.count > 0

    def device_count(self):
        return self.count

    def set_device(self, device):
        self.current = device


def test_a_rank_takes_the_gpu_of_its_place_and_shares_where_there_are_fewer():
    for rank, index in ((0, 0), (1, 1), (2, 0), (5, 1)):
        cuda = Visible(2)
        assert rank_device("cuda", rank, cuda) == torch.device("cuda", index) == cuda.current
    assert rank_device("cpu", 3) == torch.device("cpu")


def test_no_gpu_is_one_line():
    with pytest.raises(RunFailed, match=r"^torch \S+ sees no GPU \("):
        rank_device("cuda", 0, Visible(0))


def test_readings_of_one_step_serve_the_next():
    reads = Readback()
    reads.begin()
    first = torch.tensor([3, 1])
    assert reads.numbers(first) == [3, 1] and reads.choice(first) is first
    reads.hold()
    for _ in range(2):
        reads.begin()
        assert reads.numbers(torch.tensor([9, 9])) == [3, 1]
        assert reads.choice(torch.tensor([9, 9])) is first
    reads.release()
    reads.begin()
    assert reads.numbers(torch.tensor([9, 9])) == [9, 9]


@pytest.mark.parametrize(("rows", "columns"), [(range(5, 40), range(7, 50)), (range(30, 70), range(90, 120))])
def test_weights_made_on_a_device_are_the_processors_bit_for_bit(monkeypatch, rows, columns):
    weights = Weights(3)
    monkeypatch.setattr("inferometer.parallel.weights.DEVICE_BLOCK_ELEMENTS", 70)
    made = weights._on_device("x", 64, 100, rows, columns)
    assert torch.equal(made, weights.matrix("x", (64, 100), rows, columns))


def _staged(world, control):
    group = StagedCommunicator(world, torch.device("cpu"))
    x = torch.arange(4.0) + group.rank
    group.all_reduce(x)
    gathered, shard = torch.empty(4), torch.full((2,), float(group.rank))
    group.all_gather(gathered, shard)
    scattered = torch.empty(2)
    group.reduce_scatter(scattered, torch.arange(4.0))
    swapped = torch.empty(2)
    group.all_to_all(swapped, torch.tensor([10.0 * group.rank, 10.0 * group.rank + 1]))
    other = 1 - group.rank
    received = torch.empty(1)
    if group.rank == 0:
        wait = group.start_send(torch.tensor([7.0]), other)
        wait()
    else:
        group.recv(received, other)
    exchanged = torch.empty(1)
    group.exchange(torch.tensor([float(group.rank)]), other, exchanged, other)
    group.barrier()
    half = group.split([[0], [1]])
    assert half is not None and half.size == 1 and group.implementation.endswith("staged through the host")
    return [t.tolist() for t in (x, gathered, scattered, swapped, received, exchanged)]


def test_messages_through_the_host_are_those_of_the_group(ranks):
    zero, one = ranks(2, _staged)
    assert zero[:4] == [[1.0, 3.0, 5.0, 7.0], [0.0, 0.0, 1.0, 1.0], [0.0, 2.0], [0.0, 10.0]]
    assert one[:4] == [[1.0, 3.0, 5.0, 7.0], [0.0, 0.0, 1.0, 1.0], [4.0, 6.0], [1.0, 11.0]]
    assert one[4] == [7.0] and (zero[5], one[5]) == ([1.0], [0.0])
