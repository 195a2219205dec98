"""The order journal: SQLite with a write-ahead log, one writer thread; every intent durable before it is sent.

The desk's promise rests on this file, so it is strict:

- `intent` returns only after the disk has it; a client id can be used once per account (the table's own constraint).
- What cannot be written right now (disk full, file locked by another program) is never dropped: it is kept in its order,
  tried again until it is on disk, and the trader is told of both. Meanwhile no new order may leave.
- A file that cannot be opened for writing (damaged, read-only, of a newer Fathom, in use by another one) is left as it is
  and opened for reading only; `problem` says why and what to do.
- Nothing is ever deleted here.

All writing happens in one thread and is committed together with what was queued meanwhile, so the disk sets the pace and
never the screen. Reading has a thread and a connection of its own, so that a long export holds up no order.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType
from typing import Any, TypeVar

import msgspec

from app.journal_file import CannotWrite, open_to_read, open_to_write
from app.journal_rows import (
    FillRecord,
    Intent,
    KillStep,
    Note,
    Record,
    insert_client_id,
    insert_event,
    insert_fill,
    insert_intent,
    insert_note,
    insert_replacement,
    records,
)

T = TypeVar("T")
_log = logging.getLogger(__name__)

RETRY = (0.25, 0.5, 1.0, 2.0, 5.0)  # seconds between attempts to write what could not be written; the last one repeats
LINES = 400  # orders that a browse reads at most


class JournalUnavailable(Exception):
    """The journal cannot be written; the text says why and what to do."""


@dataclass(slots=True)
class _Write:
    """One thing to write. `keep`: it has happened already, so it is kept and tried again when the disk refuses."""

    job: FunctionType
    arguments: tuple[Any, ...]
    keep: bool
    done: Future[None] = field(default_factory=Future)


class Journal:
    """The journal in `path`. `problem` is empty while it can be written, else a sentence for the trader.

    `unwritten` counts the lines that wait for a disk that takes them. `tell`, where set, hears (level, text) in the loop
    that set it with `listen`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem = ""
        self.unwritten = 0
        self._listener: Callable[[str, str], None] | None = None
        self._work: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._waiting: list[_Write] = []
        self._db, self._lock = self._open()
        self._writable = self._db is not None
        self._readers = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal-read")
        self._reading: sqlite3.Connection | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    @property
    def writable(self) -> bool:
        """Whether intents can be made durable; if not, no order may leave."""
        return not self.problem

    @property
    def _aside(self) -> Path:
        return self.path.with_name(self.path.name + ".unwritten.jsonl")

    @property
    def left_over(self) -> str:
        """A sentence about lines of an earlier run that no disk took, empty if there are none."""
        try:
            count = self._aside.read_bytes().count(b"\n")
        except OSError:
            return ""
        text = f"{count} lines of an earlier run could not be written to the order journal; they are in {self._aside}."
        return f"{text} Orders are asked for at their venues all the same. Delete the file when you have looked at it."

    def listen(self, listener: Callable[[str, str], None]) -> None:
        """Hear of trouble and of its end as (level, text), in the running loop."""
        loop = asyncio.get_running_loop()

        def hand_over(level: str, text: str) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(listener, level, text)

        self._listener = hand_over

    # -----------------------------------------------------------------------------------------------------------------
    # Writing

    def intent(self, intent: Intent) -> Awaitable[None]:
        """Queue an order at once; the returned future is done when the disk has it.

        Awaiting it raises JournalUnavailable, or ValueError for a client id that was used before. An external order
        exists already, so it is kept like an event and may share a client id.
        """
        return self._awaitable(insert_intent, intent, keep=intent.external)

    async def client_id(self, account: str, client_id: str, order_id: str, created: int) -> None:
        """A further client id of a known order (amend), durable on return. Raises as `intent`."""
        await self._awaitable(insert_client_id, account, client_id, order_id, created, keep=False)

    async def replacement(
        self, account: str, client_id: str, order_id: str, time: int, detail: Mapping[str, object]
    ) -> None:
        """An order goes on under a new client id with new terms: id and event durable together. Raises as `intent`."""
        text = msgspec.json.encode(detail).decode()
        await self._awaitable(insert_replacement, account, client_id, order_id, time, text, keep=False)

    def event(
        self, order_id: str, time: int, what: str, state: str, detail: Mapping[str, object], *, final: bool
    ) -> None:
        """Queue one line of an order's life. It is on disk soon after; `flush` waits for it."""
        text = msgspec.json.encode(detail).decode()
        self._queue(_Write(insert_event, (order_id, time, what, state, text, final), keep=True))

    def fill(self, record: FillRecord) -> None:
        """Queue an execution; a known one is only completed (late fee, order id)."""
        self._queue(_Write(insert_fill, (record,), keep=True))

    def note(self, note: Note) -> None:
        """Queue a line about an account or about the program."""
        self._queue(_Write(insert_note, (note,), keep=True))

    async def flush(self) -> None:
        """Wait until everything queued so far was tried. Raises JournalUnavailable if some of it is not on disk."""
        await self._tried()
        if self.unwritten or not self._writable:
            raise JournalUnavailable(self.problem)

    def close(self) -> int:
        """Write what is queued and close the file; returns how many lines could not be written.

        Those are kept in a file beside the journal; the venues are asked about their orders at the next start anyway.
        """
        if not self._closed:
            self._closed = True
            self._work.put(None)
            self._thread.join(timeout=10)
            self._readers.submit(self._close_reading)
            self._readers.shutdown(wait=True, cancel_futures=False)
        return self.unwritten

    # -----------------------------------------------------------------------------------------------------------------
    # Reading. What was queued for writing before is seen.

    async def unfinished(self) -> list[Record]:
        """Orders whose end was not seen, oldest first."""
        return await self.read(lambda db: records(db, "WHERE final = 0 ORDER BY created"))

    async def orders(
        self, *, limit: int = LINES, text: str = "", since: int = 0, unfinished: bool = False, external: bool = False
    ) -> list[Record]:
        """The latest orders first; `text` filters by account, instrument, request, any id, or the words of any event."""
        where, values = ["created >= ?"], [str(since)]
        if text:
            like = ("account", "instrument", "id", "request")
            ids = "id IN (SELECT order_id FROM client_ids WHERE client_id LIKE ?)"
            words = "id IN (SELECT order_id FROM events WHERE what LIKE ? OR state LIKE ? OR detail LIKE ?)"
            where.append("(" + " OR ".join([*(f"{name} LIKE ?" for name in like), ids, words]) + ")")
            values += [f"%{text}%"] * (len(like) + 4)
        where += ["final = 0"] if unfinished else []
        where += ["external = 1"] if external else []
        query = f"WHERE {' AND '.join(where)} ORDER BY created DESC, id DESC LIMIT {int(limit)}"
        return await self.read(lambda db: records(db, query, values))

    async def order(self, order_id: str) -> Record | None:
        """One order with its whole life."""
        found = await self.read(lambda db: records(db, "WHERE id = ?", [order_id]))
        return found[0] if found else None

    async def fills(self, account: str = "", *, order_id: str = "", limit: int = 1000) -> list[FillRecord]:
        """The latest executions first, of one account or order, or of all."""

        def read(db: sqlite3.Connection) -> list[FillRecord]:
            rows = db.execute(
                "SELECT account, instrument, fill_id, order_id, time, detail FROM fills "
                "WHERE (? = '' OR account = ?) AND (? = '' OR order_id = ?) ORDER BY time DESC LIMIT ?",
                (account, account, order_id, order_id, limit),
            )
            return [FillRecord(*row) for row in rows]

        return await self.read(read)

    async def fill_keys(self) -> set[tuple[str, str, str]]:
        """Account, instrument and id of every execution known."""
        return await self.read(lambda db: set(db.execute("SELECT account, instrument, fill_id FROM fills").fetchall()))

    async def last_fill_time(self, account: str, instrument: str) -> int | None:
        """Time in ms of the newest execution known, where a catch-up starts."""

        def read(db: sqlite3.Connection) -> int | None:
            query = "SELECT max(time) FROM fills WHERE account = ? AND instrument = ?"
            return db.execute(query, (account, instrument)).fetchone()[0]

        return await self.read(read)

    async def first_order_time(self, account: str, instrument: str, since: int) -> int | None:
        """When the first order of an instrument since a time was written down, in ms."""
        query = "SELECT min(created) FROM orders WHERE account = ? AND instrument = ? AND created >= ?"
        return await self.read(lambda db: db.execute(query, (account, instrument, since)).fetchone()[0])

    async def traded(self, account: str, since: int, limit: int) -> list[str]:
        """Keys of instruments with orders or executions since a time, those with the latest ones first."""

        def read(db: sqlite3.Connection) -> list[str]:
            query = (
                "SELECT instrument, max(at) AS last FROM ("
                "SELECT instrument, created AS at FROM orders WHERE account = ? AND created >= ? "
                "UNION ALL SELECT instrument, time FROM fills WHERE account = ? AND time >= ?"
                ") GROUP BY instrument ORDER BY last DESC LIMIT ?"
            )
            return [row[0] for row in db.execute(query, (account, since, account, since, limit))]

        return await self.read(read)

    async def notes(self, *, limit: int = 500) -> list[Note]:
        """Lines about accounts and the program, the latest first."""
        query = "SELECT time, account, what, text FROM notes ORDER BY seq DESC LIMIT ?"
        return await self.read(lambda db: [Note(*row) for row in db.execute(query, (limit,))])

    async def cut_off_kills(self) -> dict[str, int]:
        """Accounts at which a kill was begun and is neither confirmed nor left, with when it was pressed in ms."""
        query = "SELECT account, what, time FROM notes WHERE what IN (?, ?, ?) ORDER BY seq"
        steps = await self.read(lambda db: db.execute(query, tuple(KillStep)).fetchall())
        last = {account: (what, time) for account, what, time in steps}
        return {account: time for account, (what, time) in last.items() if what == KillStep.PRESSED}

    async def read(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run a query in the reading thread. Raises JournalUnavailable where nothing can be read."""
        await self._tried()
        if self._closed:
            raise JournalUnavailable("the journal is closed")
        done: Future[Any] = self._readers.submit(self._read, job)
        return await asyncio.wrap_future(done)

    def _open(self) -> tuple[sqlite3.Connection, sqlite3.Connection] | tuple[None, None]:
        try:
            return open_to_write(self.path)
        except CannotWrite as error:
            self.problem = str(error)
            return None, None

    # -----------------------------------------------------------------------------------------------------------------
    # The reading thread

    def _read(self, job: Callable[[sqlite3.Connection], T]) -> T:
        try:
            if self._reading is None:
                self._reading = open_to_read(self.path)
            return job(self._reading)
        except sqlite3.Error as error:
            raise JournalUnavailable(self.problem or f"The order journal cannot be read ({error}).") from error

    def _close_reading(self) -> None:
        if self._reading is not None:
            self._reading.close()

    # -----------------------------------------------------------------------------------------------------------------
    # The writing thread

    def _awaitable(self, job: FunctionType, *arguments: Any, keep: bool) -> Awaitable[None]:
        if (self.problem and not keep) or self._closed:
            refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            refused.set_exception(JournalUnavailable(self.problem or "the journal is closed"))
            return refused
        return asyncio.wrap_future(self._queue(_Write(job, arguments, keep)))

    def _queue(self, write: _Write) -> Future[None]:
        write.done.set_running_or_notify_cancel()  # whoever waits may give up; the line is written all the same
        self._work.put(write)
        return write.done

    async def _tried(self) -> None:
        """Wait until the writing thread has seen everything that was queued so far."""
        if not self._closed and self._thread.is_alive():
            await asyncio.wrap_future(self._queue(_Write(_nothing, (), keep=False)))

    def _run(self) -> None:
        failures = 0
        while True:
            try:
                found = self._work.get(timeout=RETRY[min(failures - 1, len(RETRY) - 1)] if self._waiting else None)
                batch = [found]
                while not self._work.empty():
                    batch.append(self._work.get())
            except queue.Empty:
                batch = []
            ending = None in batch
            failures = 0 if self._commit([write for write in batch if write is not None]) else failures + 1
            if ending:
                self._end()
                return

    def _commit(self, batch: list[_Write]) -> bool:
        """Write what waited and what is new in one transaction; each hears its outcome only after the commit."""
        db = self._db
        writes = [*self._waiting, *batch]
        outcomes: list[tuple[_Write, Exception | None]] = []
        if db is None:
            self._keep(batch, JournalUnavailable(self.problem))
            return True  # there is no use in trying again
        try:
            db.execute("BEGIN IMMEDIATE")
            outcomes = [(write, _attempt(db, write)) for write in writes]
            db.execute("COMMIT")
        except sqlite3.Error as error:
            _roll_back(db)
            self._refuse(batch, error)
            return False
        waited, self._waiting, self.unwritten = len(self._waiting), [], 0
        if self.problem:
            self.problem = ""
            self._tell("info", f"The order journal can be written again; {waited} lines that had waited are on disk.")
        for write, error in outcomes:
            if error is not None and write.keep:
                self._tell("danger", f"A line could not be written to the order journal: {error}. It is in the log.")
                _log.error("not in the journal: %s %s", write.job.__name__, write.arguments)
        _answer(outcomes)
        return True

    def _refuse(self, batch: list[_Write], error: Exception) -> None:
        """Nothing was written: keep what has happened, refuse what has not."""
        known = bool(self.problem)
        self.problem = (
            f"The order journal {self.path} could not be written ({error}). What happens is kept in memory and tried again; "
            "no order can be sent until it is on disk."
        )
        if not known:
            self._tell("danger", self.problem)
        self._keep(batch, JournalUnavailable(self.problem))

    def _keep(self, batch: list[_Write], failure: JournalUnavailable) -> None:
        self._waiting += [write for write in batch if write.keep]
        self.unwritten = len(self._waiting)
        # whoever waits for a try hears that it is over; the lines themselves are still to be written
        _answer([(write, None if write.job is _nothing else failure) for write in batch if not write.keep])

    def _end(self) -> None:
        if self._waiting:
            aside = self._aside
            lines = [msgspec.json.encode([write.job.__name__, *write.arguments]) for write in self._waiting]
            try:
                with aside.open("ab") as file:
                    file.write(b"\n".join(lines) + b"\n")
                where = f"They were kept in {aside}."
            except OSError as error:
                where = f"They could not be kept elsewhere either ({error})."
            _log.critical("%d lines are not in the order journal. %s", len(lines), where)
            _answer([(write, JournalUnavailable(self.problem)) for write in self._waiting])
        for connection in (self._db, self._lock):
            if connection is not None:
                connection.close()

    def _tell(self, level: str, text: str) -> None:
        _log.log(logging.INFO if level == "info" else logging.ERROR, "%s", text)
        if self._listener is not None:
            self._listener(level, text)


def _nothing(db: sqlite3.Connection) -> None:
    """Stands in the queue to tell when its turn has come."""


def _roll_back(db: sqlite3.Connection) -> None:
    if db.in_transaction:
        try:
            db.execute("ROLLBACK")
        except sqlite3.Error as error:
            _log.error("the journal could not roll back: %s", error)


def _answer(outcomes: list[tuple[_Write, Exception | None]]) -> None:
    for write, error in outcomes:
        if error is not None:
            write.done.set_exception(error)
        else:
            write.done.set_result(None)


def _attempt(db: sqlite3.Connection, write: _Write) -> Exception | None:
    """One write inside a savepoint, so that a refused one (a used client id) does not take the others with it.

    Raises sqlite3.Error for what speaks against the file and not against this line.
    """
    db.execute("SAVEPOINT job")
    try:
        write.job(db, *write.arguments)
    except (
        sqlite3.IntegrityError,
        sqlite3.ProgrammingError,
        sqlite3.InterfaceError,
        ValueError,
        OverflowError,
    ) as error:
        db.execute("ROLLBACK TO job")
        db.execute("RELEASE job")
        return error
    db.execute("RELEASE job")
    return None
