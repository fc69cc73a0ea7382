"""What an engine's TOML file must say, checked, and how a profile is written into one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from inferometer.emulator.economics.serving.batching.costs import Scheduler
from inferometer.emulator.economics.serving.engines.executed import Host, Kernels
from inferometer.emulator.economics.serving.engines.parameters import NAMES
from inferometer.emulator.economics.serving.engines.profile import Flag, Misfit, Parameter, Profile

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
SCHEMA = "inferometer/engine/1"


class Strict(BaseModel):
    model_config = ConfigDict(defer_build=True, extra="forbid", strict=True, frozen=True)


class SchedulerTable(Strict):
    prompts: Literal["mixed", "separate"]
    budget: Annotated[int, Field(ge=1)]
    sequences_max: Annotated[int, Field(ge=1)]


class MemoryTable(Strict):
    fraction: Annotated[float, Field(gt=0, le=1)]
    block_tokens: Annotated[int, Field(ge=1)]


class KernelTable(Strict):
    attention: NotNegative
    activation: NotNegative
    router: NotNegative
    experts: NotNegative
    quantise: NotNegative


class HostTable(Strict):
    graph_sequences: Annotated[int, Field(ge=1)]


class ParameterTable(Strict):
    value: Positive
    low: Positive | None = None
    high: Positive | None = None
    status: Literal["fitted", "prior", "fixed"]


class MisfitTable(Strict):
    of: str
    points: Annotated[int, Field(ge=1)]
    median: NotNegative
    p90: NotNegative
    low: float
    high: float


class FlagTable(Strict):
    text: str
    since: str


class VersionTable(Strict):
    range: str
    source: str
    parameters: dict[str, ParameterTable]
    misfit: dict[Literal["tpot", "ttft"], MisfitTable] = {}
    covariance: list[list[float]] = []

    @model_validator(mode="after")
    def _complete(self) -> VersionTable:
        for name in self.parameters:
            if name not in NAMES:
                raise ValueError(f"parameters.{name}: unknown: parameters are {', '.join(NAMES)}")
        for name in NAMES:
            if name not in self.parameters:
                raise ValueError(f"parameters.{name}: missing")
        size = len(NAMES)
        if self.covariance and (len(self.covariance) != size or any(len(row) != size for row in self.covariance)):
            raise ValueError(f"covariance: {size} rows of {size} numbers are needed, one for each parameter")
        clauses(self.range)
        return self


class File(Strict):
    schema_: Annotated[str, Field(alias="schema")]
    name: Annotated[str, Field(min_length=1)]
    scheduler: SchedulerTable
    memory: MemoryTable
    kernels: KernelTable
    host: HostTable
    all_reduce: dict[str, str] = {}
    collectives: dict[str, str] = {}
    measured: dict[str, str] = {}
    own_bytes: dict[str, dict[str, Positive]] = {}
    flags: dict[str, FlagTable] = {}
    sources: dict[str, str]
    versions: Annotated[list[VersionTable], Field(min_length=1)]

    @model_validator(mode="after")
    def _sourced(self) -> File:
        if self.schema_ != SCHEMA:
            raise ValueError(f"schema = {self.schema_[:40]!r}: {SCHEMA} is read here")
        for name, limits in self.own_bytes.items():
            for ranks in limits:
                if not ranks.isdigit():
                    raise ValueError(f"own_bytes.{name}: {ranks[:20]!r} is no number of ranks")
        for table in ("scheduler", "memory", "kernels", "host"):
            if not self.sources.get(table, "").strip():
                raise ValueError(f"sources.{table}: missing: where are these figures from?")
        return self

    def profile(self, table: VersionTable, version: str | None, notes: tuple[str, ...] = ()) -> Profile:
        """The profile of one range of versions."""
        return Profile(
            engine=self.name,
            versions=table.range,
            scheduler=Scheduler(**self.scheduler.model_dump()),
            kernels=Kernels(**self.kernels.model_dump()),
            parameters={name: Parameter(**p.model_dump(), source=table.source) for name, p in table.parameters.items()},
            all_reduce=self.all_reduce,
            collectives=self.collectives,
            measured=self.measured,
            own_bytes={name: {int(ranks): most for ranks, most in one.items()} for name, one in self.own_bytes.items()},
            host=Host(**self.host.model_dump()),
            memory_fraction=self.memory.fraction,
            block_tokens=self.memory.block_tokens,
            misfit={name: Misfit(**m.model_dump()) for name, m in table.misfit.items()},
            covariance=tuple(tuple(row) for row in table.covariance),
            flags=tuple(Flag(name, flag.text, flag.since) for name, flag in self.flags.items()),
            version=version,
            sources=self.sources,
            notes=notes,
        )


def clauses(text: str) -> list[tuple[str, str]]:
    """``>=0.18,<0.19`` as (comparison, version) pairs; ``*`` is every version. Raises ValueError."""
    if text.strip() == "*":
        return []
    found = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(==|>=|<=|>|<)\s*(\S+)\s*", part)
        if match is None:
            raise ValueError(f"range = {text[:60]!r}: such as '>=0.18,<0.19', '==1.2.0rc6.post3' or '*'")
        found.append((match[1], match[2]))
    return found


def within(version: str, text: str) -> bool:
    """Whether a version lies in a range; one without numbers only in ``*`` or where it stands itself."""
    one = ordered(version)
    for comparison, other in clauses(text):
        if comparison == "==":
            if version != other:
                return False
            continue
        two = ordered(other)
        if one is None or two is None:
            return False
        inside = {">=": one >= two, "<=": one <= two, ">": one > two, "<": one < two}[comparison]
        if not inside:
            return False
    return True


def ordered(version: str) -> tuple[int, ...] | None:
    """What versions are compared by: 1.2.0rc6.post2 comes before 1.2.0; None where it does not begin with a number."""
    if not re.match(r"v?\d", version):
        return None
    parts = re.findall(r"rc|dev|post|\d+", version)
    numbers = [{"rc": -1, "dev": -2, "post": 0}.get(part, int(part) if part.isdigit() else 0) for part in parts]
    return tuple([*numbers, *[0] * 12][:12])


def toml_of(profiles: Iterable[Profile]) -> str:
    """The text of the file that holds these profiles of one engine, in the order of their ranges."""
    found = list(profiles)
    first = found[0]
    lines = [f'schema = "{SCHEMA}"', f'name = "{first.engine}"']
    scheduler = first.scheduler
    lines += ["", "[scheduler]", f'prompts = "{scheduler.prompts}"', f"budget = {scheduler.budget}"]
    lines += [f"sequences_max = {scheduler.sequences_max}", "", "[memory]", f"fraction = {first.memory_fraction:g}"]
    lines += [f"block_tokens = {first.block_tokens}", "", "[kernels]"]
    lines += [f"{name} = {float(getattr(first.kernels, name))!r}" for name in KernelTable.model_fields]
    lines += ["", "[host]", f"graph_sequences = {first.host.graph_sequences}"]
    tables = (("all_reduce", first.all_reduce), ("collectives", first.collectives), ("measured", first.measured))
    for title, names in tables:
        lines += [] if not names else ["", f"[{title}]", *(f'"{name}" = "{value}"' for name, value in names.items())]
    if first.own_bytes:
        lines += ["", "[own_bytes] # the largest all_reduce of the engine's own, by ranks; NCCL's beyond"]
        for name, limits in first.own_bytes.items():
            cells = ", ".join(f'"{ranks}" = {most:.0f}' for ranks, most in limits.items())
            lines.append(f'"{name}" = {{ {cells} }}')
    if first.flags:
        lines += ["", "[flags]"]
        lines += [f"{flag.name} = {{ text = {_text(flag.text)}, since = {_text(flag.since)} }}" for flag in first.flags]
    lines += ["", "[sources]", *(f"{name} = {_text(value)}" for name, value in first.sources.items())]
    for profile in found:
        lines += _version_lines(profile)
    return "\n".join(lines) + "\n"


def _version_lines(profile: Profile) -> list[str]:
    source = next((p.source for p in profile.parameters.values() if p.source), "")
    lines = ["", "[[versions]]", f"range = {_text(profile.versions)}", f"source = {_text(source)}"]
    if profile.covariance:
        lines.append("covariance = [ # of the parameters' logarithms, in their order")
        lines += [f"    [{', '.join(f'{value:.3g}' for value in row)}]," for row in profile.covariance]
        lines.append("]")
    lines += ["", "[versions.parameters]"]
    for name in NAMES:
        one = profile.parameters[name]
        interval = "" if one.low is None or one.high is None else f"low = {one.low:.4g}, high = {one.high:.4g}, "
        lines.append(f'{name} = {{ value = {one.value:.5g}, {interval}status = "{one.status}" }}')
    for kind, misfit in profile.misfit.items():
        lines += ["", f"[versions.misfit.{kind}]", f"of = {_text(misfit.of)}", f"points = {misfit.points}"]
        lines += [f"{name} = {float(getattr(misfit, name)):.4g}" for name in ("median", "p90", "low", "high")]
    return lines


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
