"""Read the files of printed numbers: one per source, sections of single numbers or tables."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from inferometer.configs import folder
from inferometer.emulator.checked import checked
from inferometer.emulator.economics.paper.published.calls import CALLS
from inferometer.emulator.economics.paper.published.record import Call, Excuse, Published
from inferometer.emulator.errors import InputError
from inferometer.emulator.names import did_you_mean

KIND = "published"
#: In the order in which they are shown.
SOURCES = ("anysphere", "anysphere-summary", "baseten", "llm-analysis", "epoch")

Printed = Annotated[float, Field(allow_inf_nan=False)]


def known_call(name: str) -> str:
    """The name of one of `CALLS`. Raises ValueError for another."""
    if name not in CALLS:
        raise ValueError(f"no such call{did_you_mean(name, CALLS)}")
    return name


CallName = Annotated[str, AfterValidator(known_call)]


class Record(BaseModel):
    """Every record of a file: an unknown key is an error."""

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True)


class Number(Record):
    """One number with its own call."""

    id: str
    what: str
    printed: Printed
    unit: str
    call: CallName
    settings: dict[str, Any] = {}
    tolerance: float | None = Field(default=None, gt=0)
    decimals: int | None = Field(default=None, ge=0)
    excuse: Excuse | None = None
    reason: str = ""

    @model_validator(mode="after")
    def one_rule(self) -> Number:
        if (self.tolerance is None) == (self.decimals is None):
            raise ValueError(f"{self.id}: needs a tolerance or decimals, not both")
        return self


class Section(Record):
    """Numbers of one place of the source."""

    where: str
    number: list[Number]


class Column(Record):
    """A column of a table: the field of the call's result, and the digits it is printed with."""

    name: str
    what: str
    unit: str
    decimals: int = Field(ge=0)
    field: str


class Row(Record):
    """A row of a table: settings on top of the table's, a printed number per column, a reason if not the table's."""

    name: str
    settings: dict[str, Any] = {}
    printed: list[Printed]
    reason: str | None = None


class Table(Record):
    """A table whose every row is one call; ids are TABLE.ROW.COLUMN."""

    id: str
    where: str
    call: CallName
    settings: dict[str, Any] = {}
    rounded_from: int | None = Field(default=None, ge=0)
    """Decimals of the output from which the source rounded its table once more."""
    columns: list[Column]
    row: list[Row]
    excuse: Excuse | None = None
    reason: str = ""

    @model_validator(mode="after")
    def rectangular(self) -> Table:
        for row in self.row:
            if len(row.printed) != len(self.columns):
                raise ValueError(f"{self.id}.{row.name}: {len(row.printed)} numbers for {len(self.columns)} columns")
        return self


class Book(Record):
    """One source."""

    title: str
    section: list[Section] = []
    table: list[Table] = []


def load_source(source: str) -> list[Published]:
    """Every number of one source. Raises InputError if there is no such source, or its file is none."""
    if source not in SOURCES:
        raise InputError(f"source {source}: known are {', '.join(SOURCES)}")
    path = folder(KIND) / f"{source}.toml"
    book = checked(Book, tomllib.loads(path.read_text(encoding="utf-8")), path.name)
    return [*_numbers(source, book), *_cells(source, book)]


def _numbers(source: str, book: Book) -> Iterator[Published]:
    for section in book.section:
        for n in section.number:
            yield Published(
                id=n.id,
                source=source,
                title=book.title,
                where=section.where,
                what=n.what,
                printed=n.printed,
                unit=n.unit,
                call=Call(n.call, n.settings),
                field=None,
                tolerance=n.tolerance,
                decimals=n.decimals,
                rounded_from=None,
                excuse=n.excuse,
                reason=n.reason,
            )


def _cells(source: str, book: Book) -> Iterator[Published]:
    for table in book.table:
        for row in table.row:
            call = Call(table.call, {**table.settings, **row.settings})
            for column, printed in zip(table.columns, row.printed):
                yield Published(
                    id=f"{table.id}.{row.name}.{column.name}",
                    source=source,
                    title=book.title,
                    where=table.where,
                    what=f"{row.name}, {column.what}",
                    printed=printed,
                    unit=column.unit,
                    call=call,
                    field=column.field,
                    tolerance=None,
                    decimals=column.decimals,
                    rounded_from=table.rounded_from,
                    excuse=table.excuse,
                    reason=table.reason if row.reason is None else row.reason,
                )
