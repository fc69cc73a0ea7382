"""The configuration of NCCL's example tuner plugin (plugins/tuner/example): which algorithm and protocol for which size.

collective,min_bytes,max_bytes,algorithm,protocol,channels,nNodes,nRanks; # comments; no header; the first line that matches
counts. There is no alltoall. Laws must come from runs with the algorithm and protocol forced (NCCL_ALGO, NCCL_PROTO), each
imported with implementation=nccl/ALGORITHM/PROTOCOL; other times say nothing of which to choose.
"""

from __future__ import annotations

import numpy as np

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.schema.network_records import NetworkLaw
from inferometer.emulator.errors import InputError
from inferometer.emulator.exporters.loss import Carried, Made
from inferometer.emulator.exporters.query import Layout, Query, law_us, layouts_of
from inferometer.parallel.collectives import COLLECTIVES

NAMES = {name: record.tools.nccl_tuner for name, record in COLLECTIVES.items() if record.tools.nccl_tuner}
ALGORITHMS = ("tree", "ring", "collnet_direct", "collnet_chain", "nvls", "nvls_tree", "pat")
PROTOCOLS = ("ll", "ll128", "simple")
PER_OCTAVE = 8
MOST_BYTES = 4294967295
KEEP_CHANNELS = -1
Choice = list[tuple[int, int, int]]  # first byte, last byte, which of the laws


def write(query: Query, suffix: str) -> Made:
    """A choice for each size at every layout that all forced runs share.

    Raises InputError where no collective has at least two forced algorithm/protocol pairs.
    """
    lines, carried = [], []
    for collective in query.collectives(list(NAMES)):
        swept = _swept(query, collective)
        if len(swept) < 2:
            continue
        models = list(swept.values())
        shared = [layout for layout in query.layouts(models[0]) if all(layout in layouts_of(m) for m in models)]
        choices: dict[Layout, Choice] = {layout: _choice(query, models, *layout) for layout in shared}
        for (ranks, nodes), ranges in choices.items():
            for first, last, at in ranges:
                pair = ",".join(list(swept)[at])
                lines.append(f"{NAMES[collective]},{first},{last},{pair},{KEEP_CHANNELS},{nodes},{ranks}")
        carried.append(_carried(models, choices))
    if not lines:
        have = sorted({str(m.target.implementation) for m in query.calibration.network_laws})
        raise InputError(
            "nccl-tuner needs times of at least two forced algorithms and protocols of one collective (implementation "
            f"nccl/ring/ll, nccl/tree/simple, …) on the same layouts; this calibration has {', '.join(have)}, which says "
            "nothing of what to choose"
        )
    dropped = [
        "all times: the plugin holds a choice, not a cost; below is what the choice costs beyond the fastest",
        "sizes outside the measured ones: nothing is chosen there",
        "alltoall, which NCCL does not tune this way",
    ]
    use = [
        "NCCL_TUNER_PLUGIN=libnccl-tuner-example.so NCCL_TUNER_CONFIG_FILE=this file",
        "channels are -1, the default; the example plugin of NCCL 2.30 starts from 1 channel: see what NCCL_DEBUG=INFO says",
    ]
    return Made(("\n".join(lines) + "\n").encode(), carried, dropped, use, {})


def _swept(query: Query, collective: str) -> dict[tuple[str, str], NetworkLaw]:
    """The laws by (algorithm, protocol), of runs in which they were forced."""
    found = {}
    named = {m.target.implementation for m in query.calibration.network_laws if m.target.collective == collective}
    for implementation in sorted(name for name in named if name):
        library, _, pair = implementation.partition("/")
        algorithm, _, protocol = pair.partition("/")
        if library == "nccl" and algorithm in ALGORITHMS and protocol in PROTOCOLS:
            found[algorithm, protocol] = query.law(collective, implementation=implementation)
    return found


def _choice(query: Query, models: list[NetworkLaw], ranks: int, nodes: int) -> Choice:
    """Ranges of sizes and the law that is the fastest in them, over the sizes that all were measured at."""
    first, last = max(m.domain.bytes[0] for m in models), min(m.domain.bytes[1] for m in models)
    sizes = query.sizes(models[0], PER_OCTAVE)
    sizes = sizes[(sizes >= first) & (sizes <= min(last, MOST_BYTES))]
    times = np.array([law_us(m, sizes, ranks, nodes) for m in models]).reshape(len(models), len(sizes))
    known = np.isfinite(times).all(axis=0)
    sizes, best = sizes[known], times[:, known].argmin(axis=0)
    if not len(sizes):
        return []
    breaks = np.flatnonzero(np.diff(best))
    ends = [int(np.sqrt(float(sizes[i]) * sizes[i + 1])) for i in breaks] + [int(sizes[-1])]
    starts = [int(sizes[0])] + [end + 1 for end in ends[:-1]]
    winners = [int(best[i]) for i in (*breaks, len(best) - 1)]
    return list(zip(starts, ends, winners))


def _carried(models: list[NetworkLaw], choices: dict[Layout, Choice]) -> Carried:
    def fastest(n: Array, r: int, N: int) -> Array:
        return np.min([law_us(m, n, r, N) for m in models], axis=0)

    def chosen(n: Array, r: int, N: int) -> Array:
        us = np.full(n.shape, np.nan)
        for first, last, at in choices.get((r, N), []):
            within = (n >= first) & (n <= last)
            us[within] = law_us(models[at], n[within], r, N)
        return us

    return Carried(models[0], chosen, "nothing is chosen there", fastest)
