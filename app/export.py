"""The whole journal as a file for other programs: CSV or Parquet. Runs in the journal's reading thread, told and stopped from outside."""

from __future__ import annotations

import csv
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from app.journal import Journal
from app.journal_rows import COLUMNS, count, lines

BATCH = 2000  # rows between two looks at the stop sign


class Cancelled(Exception):
    """The trader stopped the export; nothing is left of the file."""


async def export(
    journal: Journal,
    path: Path,
    *,
    progress: Callable[[int, int], None] = lambda done, whole: None,
    stop: threading.Event | None = None,
) -> int:
    """Write every line of the journal to `path`, as Parquet if it ends so, else as CSV; returns the number of lines.

    `progress(done, whole)` is called from the reading thread. The file appears whole or not at all. Raises OSError,
    Cancelled, and JournalUnavailable where the journal cannot be read.
    """
    partial = path.with_name(path.name + ".partial")
    stopped = stop or threading.Event()

    def write(db: sqlite3.Connection) -> int:
        try:
            batches = _batches(db, progress, stopped)
            number = _write_parquet(batches, partial) if path.suffix == ".parquet" else _write_csv(batches, partial)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        return number

    return await journal.read(write)


def _batches(
    db: sqlite3.Connection, progress: Callable[[int, int], None], stop: threading.Event
) -> Iterator[list[tuple[Any, ...]]]:
    whole, done = count(db), 0
    progress(0, whole)
    batch: list[tuple[Any, ...]] = []
    for row in lines(db):
        batch.append(row)
        if len(batch) == BATCH:
            if stop.is_set():
                raise Cancelled
            yield batch
            done += len(batch)
            progress(done, max(done, whole))
            batch = []
    if stop.is_set():
        raise Cancelled
    yield batch
    progress(done + len(batch), done + len(batch))


def _write_csv(batches: Iterator[list[tuple[Any, ...]]], path: Path) -> int:
    number = 0
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for batch in batches:
            writer.writerows(batch)
            number += len(batch)
    return number


def _write_parquet(batches: Iterator[list[tuple[Any, ...]]], path: Path) -> int:
    """Batch by batch, so that a long journal needs little memory."""
    from arro3.core import Array, DataType, Field, RecordBatch, RecordBatchReader, Schema
    from arro3.io import write_parquet

    types = {"time": DataType.timestamp("ms", tz="UTC"), "external": DataType.bool()}
    schema = Schema([Field(name, types.get(name, DataType.string()), nullable=True) for name in COLUMNS])
    number = 0
    failure: list[Exception] = []

    def columns(batch: list[tuple[Any, ...]]) -> Iterator[Any]:
        for index, name in enumerate(COLUMNS):
            values = [row[index] for row in batch]
            if name == "time":
                yield Array(values, type=DataType.int64()).cast(types[name])
            else:
                yield Array(
                    [bool(value) for value in values] if name == "external" else values, type=schema.field(name).type
                )

    def tables() -> Iterator[Any]:
        nonlocal number
        try:
            for batch in batches:
                number += len(batch)
                yield RecordBatch.from_arrays(list(columns(batch)), schema=schema)
        except Exception as error:
            failure.append(error)  # the library would tell it as one of its own
            raise

    try:
        with path.open("wb") as file:
            write_parquet(RecordBatchReader.from_batches(schema, tables()), file)
    except Exception as error:
        if failure:
            raise failure[0] from None
        if isinstance(error, OSError):
            raise
        raise OSError(f"the Parquet file could not be written: {error}") from error
    return number
