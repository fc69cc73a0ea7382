"""What a file looks like, where the format that was asked for does not fit: one hint at the end of the refusal."""

from __future__ import annotations

import re

from inferometer.emulator.importers.source import Source

NEEDS = "a plain csv needs columns bytes (B) and us (µs of one operation)"

#: Format → what its first kilobytes hold.
SIGNS = {
    "mscclpp": r"Initializing MSCCL\+\+|in-place\s+out-of-place",
    "osu": r"\b(?:OSU|OMB)\S*\s+\S+.*\bTest\b",
    "imb": r"Intel\s*\(R\)\s*MPI\s+Benchmarks|#\s*Benchmarking\s",
    "ds_bench": r"---- Performance of \w+ on \d+ devices",
    "param": r"COMMS-RES|nElementsPerRank",
    "nvbandwidth": r"nvbandwidth Version|\"nvbandwidth\":|memcpy (?:CE|SM) [CG]PU\(row\)",
    "perftest": r"#bytes\s+#iterations\s+(?:t_min|BW peak)",
    "torch-trace": r"\"traceEvents\"|\"deviceProperties\"",
    "nccl-inspector": r"\"coll_(?:sn|msg_size_bytes|perf)\"",
    "nccl-tests": r"size\s+count\s+type\s.*algbw|nThread\s+\d+\s+nGpus|\"out_of_place\"",
    "rccl-tests": r"\"?gpusPerRank\"?|numCycle,|\"inPlace\"",
    "vidur": r"time_stats\.\w+\.median",
    "aiconfigurator": r"kernel_source.*message_size|op_name,",
}
ALIKE = ({"osu", "imb"}, {"nccl-tests", "rccl-tests"})
"""Either name reads both."""
OTHER = {
    "Comm\\. Op\\s+Message Size": "it is the summary of DeepSpeed's comms logger, with rounded sizes and ms",
    "tavg\\(usec\\)": "it is a table of IBM's pytorch-communication-benchmarks, with sizes in MB",
    "\\(seconds\\)": "its times are in seconds",
    '"nccl-tests structured output"': "it is a form proposed for nccl-tests and never merged: -J writes the known one",
}


def hint(source: Source, format_name: str) -> str:
    """What to try instead; empty where nothing speaks for anything else, or the file looks like what was asked for."""
    head = source.head.decode("utf-8", errors="replace")
    if source.head.startswith(b"PAR1") and format_name != "aiconfigurator":
        return "; it is a Parquet file, as AIConfigurator's tables are: import it as aiconfigurator"
    if source.head.startswith(b"\x80") and format_name != "flight-recorder":
        return "; it may be a dump of PyTorch's flight recorder: import it as flight-recorder"
    found = [name for name, pattern in SIGNS.items() if re.search(pattern, head)]
    if format_name in found or (found and {format_name, found[0]} in ALIKE):
        return ""
    if found:
        return f"; it looks like {found[0]}'s output: import it as {found[0]}"
    words = next((words for pattern, words in OTHER.items() if re.search(pattern, head)), "")
    if not words:
        return ""
    return f"; {words}" if format_name == "csv" or "nccl-tests" in words else f"; {words}: {NEEDS}"
