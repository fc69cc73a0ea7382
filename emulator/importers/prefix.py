"""What launchers and log collectors write before a line, taken off the same way for every text that is read.

Open MPI's ``--tag-output`` ([1,0]<stdout>:), srun's and mpiexec's ``-l`` (0:), Hydra's ``-prepend-rank`` ([0]), torchrun
([default0]:, [rank0]:), pdsh (node1:), kubectl's ``--prefix`` ([pod/name/container]), docker compose (name-1  |), Ray
((Worker pid=7, ip=…)), time stamps of all of them, syslog, quoted mail and Markdown (> and a backslash before #), colours,
and Docker's {"log": …}.
"""

from __future__ import annotations

import json
import re

COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
STAMP = r"\[?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:\s?Z|\s?[+-]\d\d:?\d\d)?\]?:?(?=\s|$|\[)"
CLOCK = r"\[?\d\d:\d\d:\d\d(?:[.,]\d{1,9})?\]?:?(?=\s)"
SYSLOG = r"[A-Z][a-z]{2}\s{1,2}\d{1,2}\s\d\d:\d\d:\d\d\s[\w.-]{1,64}\s[^\s:]{1,64}:(?=\s)"
PROCESS = (
    r"\[\d{1,7},\d{1,7}\]\s?<std(?:out|err|diag)>:?"
    r"|\[(?:rank|default|trainer|worker|node|task)?[ _-]?\d{1,7}\]:?(?=\s|$|\#)"
    r"|(?:rank|task)?[ _-]?\d{1,7}:(?=\s|$|\#)"
    r"|\[pod/[\w./-]{1,200}\]"
    r"|\([\w. ]{1,80}\spid=\d{1,9}[^)]{0,80}\)"
    r"|[\w.-]{1,100}\s{0,20}\|(?=\s|$)"
)
HOST = r"[A-Za-z][\w.-]{0,100}:(?=\s+(?:[\d\#]|\\\#))"
_ANY = re.compile(rf"\s*(?:(?P<process>{PROCESS}|{HOST})|>|{STAMP}|{CLOCK}|{SYSLOG}|(?:INFO|DEBUG|stdout\s+[FP])\b:?)")
MAX_PREFIXES = 6


def _in_object(line: str) -> str:
    """Docker's json-file log: a line of text in an object."""
    try:
        text = json.loads(line).get("log")
    except (ValueError, RecursionError, AttributeError):
        return line
    return text.rstrip("\n") if isinstance(text, str) else line


def strip(line: str) -> tuple[str, str]:
    """What labels the process ('' where nothing does), and the line without anything that stands before it."""
    if line.startswith('{"log":'):
        line = _in_object(line)
    if "\x1b" in line:
        line = COLOUR.sub("", line)
    label: list[str] = []
    at = 0
    for _ in range(MAX_PREFIXES):
        found = _ANY.match(line, at)
        if found is None:
            break
        at = found.end()
        if found["process"]:
            label.append(found["process"])
    rest = line[at:]
    if (bare := rest.lstrip()).startswith("\\#"):
        rest = bare[1:]
    return "|".join(label), rest
