"""linux-rdma's perftest (``ib_write_lat``, ``ib_send_lat``, ``ib_write_bw`` …): a message between two hosts.

Latencies of write and send are half a round trip; MB/sec are of 2²⁰ bytes, Gb/sec of 10⁹ bits. A bandwidth is of many
messages in flight, so its time per message is pipelined. A read's latency is a whole round trip, and no message of ours.
"""

from __future__ import annotations

import re

from inferometer.emulator.errors import InputError
from inferometer.emulator.importers import prefix
from inferometer.emulator.importers.grouped import check
from inferometer.emulator.importers.run import Row, Run
from inferometer.emulator.importers.settings import Settings
from inferometer.emulator.importers.source import Source

_TITLE = re.compile(
    r"^\s*(?:RDMA[_ ](?:Write|Read)|Send|Atomic)\w*(?:\s+\w+)?\s+"
    r"(?:Bidirectional\s+)?(?:Post List\s+)?(?:Latency|BW)\b.*Test",
    re.IGNORECASE,
)
_DEVICE = re.compile(r"\bDevice\s*:\s*(\S+)")
_ADDRESS = re.compile(r"\b(local|remote) address:\s*LID\s+(\S+)")
_GID = re.compile(r"\bGID:\s*(\S+)")
_GPU = re.compile(r"allocated GPU buffer address|initializing CUDA|Using (?:CUDA|ROCm)", re.IGNORECASE)
NO_LID = ("0000", "0x00", "0")
"""Of Ethernet, whose ports have a GID instead."""
_NUMBER = re.compile(r"\d{1,18}(?:\.\d{1,9})?")
_COLUMN = re.compile(r"[\d.]+% percentile\[\w+\]|BW[ _]\w+\[[^\]]*\]|\S+")
MIB, GIGABIT = float(1 << 20), 1e9 / 8
MAX_ROWS = 10_000
STATISTICS = {
    "t_min[usec]": "min_us",
    "t_max[usec]": "max_us",
    "t_typical[usec]": "median_us",
    "99% percentile[usec]": "p99_us",
}


def read(source: Source, settings: Settings) -> list[Run]:
    """Raises ``InputError`` where no table is in it."""
    runs: list[Run] = []
    title, near, device = "", "", None
    ends: dict[str, set[str]] = {"local": set(), "remote": set()}
    end, gpu = "", False
    columns: list[str] = []
    for number, raw in source.lines():
        line = prefix.strip(raw[:2000])[1]
        if found := _TITLE.match(line):
            title = " ".join(found[0].split())
            columns = []
            ends = {"local": set(), "remote": set()}
        elif found := _DEVICE.search(line):
            device = found[1]
        elif found := _ADDRESS.search(line):
            end = found[1]
            if found[2] not in NO_LID:
                ends[end].add(found[2])
        elif end and (found := _GID.search(raw[:2000])):  # whose digits look like a prefix
            ends[end].add(found[1])
        elif _GPU.search(line):
            gpu = True
        elif "#bytes" in line and "#iterations" in line:
            columns = [name.replace("_peak", " peak").replace("_average", " average") for name in _COLUMN.findall(line)]
            runs.append(_begin(title, device, columns, gpu))
            runs[-1].nodes = 1 if ends["local"] & ends["remote"] else 2
        elif columns and runs and (parts := line.split()) and all(map(_NUMBER.fullmatch, parts)):
            if len(parts) != len(columns):
                near = near or f": line {number} has {len(parts)} cells, the head has {len(columns)}"
                continue
            row = _row(dict(zip(columns, map(float, parts))))
            if row is not None and len(runs[-1].rows) < MAX_ROWS:
                runs[-1].rows.append(row)
    runs = [run for run in runs if run.rows]
    if not runs:
        raise InputError(f"{source}: no table of perftest in it{near}")
    for run in runs:
        check(run)
        if settings.nodes:
            run.nodes = min(settings.nodes, 2)
        elif run.nodes == 1:
            run.flag("nodes_inferred", "both ends have the same address, so they are on one node")
    return runs


def _begin(title: str, device: str | None, columns: list[str], gpu: bool) -> Run:
    run = Run([], ranks=2, nodes=2, implementation="ibverbs", backend="ibverbs", launch_mode="host")
    run.facts |= {"benchmark": title or None, "network_device": device}
    latency = any(name.startswith("t_") for name in columns)
    run.timing = "isolated" if latency else "pipelined"
    if "read" in title.lower() or "atomic" in title.lower() or "bidirectional" in title.lower():
        run.tool_collective = "rdma_read" if "read" in title.lower() else "bidirectional or atomic"
        run.flag("no_law", f"{title}: not one message one way, no cost law for it")
        return run
    if not title:
        run.flag(
            "collective_unknown", "no title says whether it wrote, sent or read: --set collective=send_recv, if not read"
        )
    else:
        run.call("send_recv")
    if latency and "t_avg[usec]" not in columns:
        run.statistic = "median"
    if not latency:
        run.flag("bandwidth_window", "time of a message among those in flight, from the average bandwidth printed")
    if gpu:
        run.variant = "gpu_memory"
    memories = "two GPUs' memories" if gpu else "two hosts' memories"
    run.flag("host_to_host", f"between {memories}: a lower bound of what a library on top of it takes")
    return run


def _row(values: dict[str, float]) -> Row | None:
    size = int(values.pop("#bytes"))
    iterations = int(values.pop("#iterations"))
    extra: dict[str, float] = {"iterations": iterations}
    names = {
        "t_min[usec]": "min_us",
        "t_max[usec]": "max_us",
        "t_typical[usec]": "median_us",
        "99% percentile[usec]": "p99_us",
    }
    extra |= {ours: values[theirs] for theirs, ours in names.items() if theirs in values}
    if (mean := values.get("t_avg[usec]")) is not None:
        return Row(size, mean, extra=extra)
    for name, rate in values.items():
        if name.lower().startswith("bw average") and rate > 0:
            unit = GIGABIT if "gb/sec" in name.lower() else MIB
            return Row(size, float(f"{size / (rate * unit) * 1e6:.5g}"), extra=extra)
    return Row(size, values["t_typical[usec]"], extra=extra) if "t_typical[usec]" in values else None
