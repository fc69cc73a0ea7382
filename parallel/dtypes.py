"""The dtypes that are measured, computed with, imported and exported: one record each. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

MeasuredDtype = Literal["float32", "bfloat16", "float16"]
"""Those in which collectives are measured."""
ExecutedDtype = Literal["float32", "bfloat16"]
"""Those in which models run and computing is probed: one for each width."""
SUMMING = frozenset({"gloo", "nccl"})


@dataclass(frozen=True, kw_only=True)
class Dtype:
    """One dtype. Raises ValueError for a width that is no whole number of bytes."""

    name: str
    """As torch and numpy call it, and samples and calibrations."""
    bits: int
    nccl_tests: str | None
    """In nccl-tests' column ``type``; rccl-tests writes the same."""
    mpi: tuple[str, ...]
    """In OSU's and IMB's output, after ``MPI_``."""
    spellings: tuple[str, ...] = ()
    """Further names, in flags and tables."""
    summed_by: frozenset[str]
    """The backends that can add numbers of it."""
    aiconfigurator: str | None
    """nccl_dtype in its tables."""

    def __post_init__(self) -> None:
        if self.bits < 1 or self.bits % 8:
            raise ValueError(f"{self.name}: bits = {self.bits} is no whole number of bytes")

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return self.bits // 8


def by_name(records: Iterable[Dtype]) -> Mapping[str, Dtype]:
    """The records by every name they have. Raises ValueError where two have one in common."""
    found: dict[str, Dtype] = {}
    for record in records:
        for name in dict.fromkeys((record.name, record.nccl_tests, record.aiconfigurator, *record.spellings)):
            if name is None:
                continue
            if name in found:
                raise ValueError(f"{record.name} and {found[name].name} are both called {name}")
            found[name] = record
    return MappingProxyType(found)


_MPI_TOO = SUMMING | {"mpi"}
#: By every name: ``NAMED["half"] is NAMED["float16"]``.
NAMED: Mapping[str, Dtype] = by_name(
    (
        Dtype(
            name="float32", bits=32, nccl_tests="float", mpi=("FLOAT",), spellings=("fp32",),
            summed_by=_MPI_TOO, aiconfigurator=None,
        ),
        Dtype(
            name="bfloat16", bits=16, nccl_tests="bfloat16", mpi=("BFLOAT16",), spellings=("bf16",),
            summed_by=SUMMING, aiconfigurator=None,
        ),
        Dtype(
            name="float16", bits=16, nccl_tests="half", mpi=("HALF", "FLOAT16"), spellings=("fp16",),
            summed_by=_MPI_TOO, aiconfigurator="half",
        ),
        Dtype(name="float64", bits=64, nccl_tests="double", mpi=("DOUBLE",), summed_by=_MPI_TOO, aiconfigurator=None),
        Dtype(
            name="int8", bits=8, nccl_tests="int8", mpi=("CHAR", "INT8"), spellings=("char",),
            summed_by=_MPI_TOO, aiconfigurator="int8",
        ),
        Dtype(name="uint8", bits=8, nccl_tests="uint8", mpi=("BYTE", "UINT8"), summed_by=SUMMING, aiconfigurator=None),
        Dtype(
            name="int32", bits=32, nccl_tests="int32", mpi=("INT", "INT32"), spellings=("int",),
            summed_by=_MPI_TOO, aiconfigurator=None,
        ),
        Dtype(name="int64", bits=64, nccl_tests="int64", mpi=(), summed_by=_MPI_TOO, aiconfigurator=None),
        *(
            Dtype(name=name, bits=bits, nccl_tests=name, mpi=(), summed_by=frozenset(), aiconfigurator=None)
            for name, bits in (("int16", 16), ("uint16", 16), ("uint32", 32), ("uint64", 64))
        ),
        Dtype(
            name="float8_e4m3fn", bits=8, nccl_tests="f8e4m3", mpi=(), spellings=("fp8_e4m3",),
            summed_by=frozenset({"nccl"}), aiconfigurator=None,
        ),
        Dtype(
            name="float8_e5m2", bits=8, nccl_tests="f8e5m2", mpi=(), spellings=("fp8_e5m2",),
            summed_by=frozenset({"nccl"}), aiconfigurator=None,
        ),
        Dtype(name="fp8", bits=8, nccl_tests=None, mpi=(), summed_by=frozenset(), aiconfigurator="fp8"),
    )
)  # fmt: skip
DTYPES: Mapping[str, Dtype] = MappingProxyType({record.name: record for record in NAMED.values()})
"""By the name of ours alone."""
MEASURED: Mapping[str, Dtype] = MappingProxyType({name: DTYPES[name] for name in get_args(MeasuredDtype)})
EXECUTED: Mapping[int, Dtype] = MappingProxyType({DTYPES[name].bits: DTYPES[name] for name in get_args(ExecutedDtype)})
"""By the bits of a number: what a model with that precision runs in."""


def common_name(name: str) -> str:
    """Ours for a name of another tool; one that is not known stays as it is."""
    return NAMED[name].name if name in NAMED else name


def bits_of(name: str | None) -> int | None:
    """The width of a dtype by any of its names; None for one that is not known."""
    return NAMED[name].bits if name is not None and name in NAMED else None
