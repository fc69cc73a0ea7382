"""Parquet in bounded memory: the columns that a format needs, row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from inferometer.emulator.errors import InputError
from inferometer.emulator.importers.source import Source

SIGN = b"PAR1"
BATCH = 4096


def is_parquet(source: Source) -> bool:
    return source.head.startswith(SIGN)


def parquet_records(
    source: Source, wanted: Callable[[Source, set[str]], Sequence[str]]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Row number and cells by column. wanted: of the columns that there are, those to read; may raise InputError.

    Raises InputError without pyarrow, and for what is no whole Parquet file.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError(f"{source}: reading Parquet needs pyarrow: pip install 'inferometer[parquet]'") from None
    content = source.open()
    # hostile files raise nearly anything, MemoryError for a size they only claim to have
    try:
        with pyarrow.parquet.ParquetFile(content) as file:
            names = set(file.schema_arrow.names)
    except (pyarrow.ArrowException, OSError, ValueError, MemoryError) as error:
        raise InputError(f"{source}: not a Parquet file: {_first_line(error)}") from None
    columns = list(wanted(source, names))
    try:
        content.seek(0)
        with pyarrow.parquet.ParquetFile(content) as file:
            at = 0
            for batch in file.iter_batches(batch_size=BATCH, columns=columns):
                for record in batch.to_pylist():
                    at += 1
                    yield at, record
    except (pyarrow.ArrowException, OSError, ValueError, MemoryError) as error:
        raise InputError(f"{source}: damaged Parquet: {_first_line(error)}") from None


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
