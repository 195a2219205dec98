"""The order journal: SQLite with a write-ahead log, one writer thread; every intent durable before it is sent.

The desk's promise rests on this file, so it is strict: `intent` returns only after the disk has it, a client id can be
used once per account (the table's own constraint), and when the file cannot be written the journal says why and stays
readable, and the desk refuses new orders. Nothing is ever deleted here, a damaged file is kept as it is.

All SQL runs in one thread. What is queued while that thread is busy is committed together, so the disk sets the pace and
never the screen.
"""

from __future__ import annotations

import asyncio
import csv
import logging
import queue
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")
_log = logging.getLogger(__name__)

# One script per schema version, in order; the file's `user_version` says how many have run.
MIGRATIONS = (
    """
    CREATE TABLE orders (
        id TEXT PRIMARY KEY,
        account TEXT NOT NULL,
        instrument TEXT NOT NULL,
        created INTEGER NOT NULL,
        external INTEGER NOT NULL DEFAULT 0,
        request TEXT NOT NULL,
        final INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE client_ids (
        account TEXT NOT NULL,
        client_id TEXT NOT NULL,
        order_id TEXT NOT NULL REFERENCES orders(id),
        created INTEGER NOT NULL,
        PRIMARY KEY (account, client_id)
    );
    CREATE TABLE events (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        order_id TEXT NOT NULL REFERENCES orders(id),
        time INTEGER NOT NULL,
        what TEXT NOT NULL,
        state TEXT NOT NULL,
        detail TEXT NOT NULL
    );
    CREATE INDEX events_by_order ON events(order_id, seq);
    CREATE TABLE fills (
        account TEXT NOT NULL,
        instrument TEXT NOT NULL,
        fill_id TEXT NOT NULL,
        order_id TEXT,
        time INTEGER NOT NULL,
        detail TEXT NOT NULL,
        PRIMARY KEY (account, instrument, fill_id)
    );
    CREATE INDEX orders_unfinished ON orders(account) WHERE final = 0;
    """,
)


class JournalUnavailable(Exception):
    """The journal cannot be written; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Intent:
    """An order about to be sent: `request` is JSON of the whole draft."""

    id: str
    account: str
    instrument: str
    client_id: str
    created: int
    request: str
    external: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """An order as the journal knows it; `client_ids` oldest first; `events` as (time, what, state, detail JSON)."""

    id: str
    account: str
    instrument: str
    created: int
    external: bool
    final: bool
    request: str
    client_ids: tuple[str, ...]
    events: tuple[tuple[int, str, str, str], ...]


@dataclass(frozen=True, slots=True)
class FillRecord:
    """An execution; `detail` is JSON of the fill."""

    account: str
    instrument: str
    fill_id: str
    order_id: str | None
    time: int
    detail: str


class Journal:
    """The journal in `path`. `problem` is empty while it can be written, else a sentence for the trader."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem = ""
        self._work: queue.SimpleQueue[tuple[Callable[[sqlite3.Connection], Any] | None, Future[Any]]] = (
            queue.SimpleQueue()
        )
        self._connection: sqlite3.Connection | None = None
        opened: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(opened,), name="journal", daemon=True)
        self._thread.start()
        opened.result()

    @property
    def writable(self) -> bool:
        """Whether intents can be made durable; if not, no order may leave."""
        return not self.problem

    # -----------------------------------------------------------------------------------------------------------------
    # Writing

    def intent(self, intent: Intent) -> Awaitable[None]:
        """Queue an order at once; the returned future is done when the disk has it.

        Awaiting it raises JournalUnavailable, or ValueError for a client id that was used before.
        """
        if self.problem or self._connection is None:
            refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            refused.set_exception(JournalUnavailable(self.problem or "the journal is closed"))
            return refused
        done: Future[None] = self._queue(lambda db: _insert_intent(db, intent))
        return asyncio.wrap_future(done)

    async def client_id(self, account: str, client_id: str, order_id: str, created: int) -> None:
        """A further client id of a known order (amend, replacement), durable on return. Raises as `intent`."""
        await self._await(lambda db: _insert_client_id(db, account, client_id, order_id, created), write=True)

    def event(
        self, order_id: str, time: int, what: str, state: str, detail: Mapping[str, object], *, final: bool
    ) -> None:
        """Queue one line of an order's life. It is on disk soon after; `flush` waits for it."""
        text = msgspec.json.encode(detail).decode()
        self._queue(lambda db: _insert_event(db, order_id, time, what, state, text, final)).add_done_callback(_report)

    def fill(self, record: FillRecord) -> None:
        """Queue an execution; a known one is only completed (late fee, order id)."""
        self._queue(lambda db: _insert_fill(db, record)).add_done_callback(_report)

    async def flush(self) -> None:
        """Wait until everything queued so far is on disk."""
        await self._await(lambda db: None, write=False)

    def close(self) -> None:
        """Write what is queued and close the file."""
        done: Future[Any] = Future()
        self._work.put((None, done))
        self._thread.join(timeout=10)

    # -----------------------------------------------------------------------------------------------------------------
    # Reading

    async def unfinished(self) -> list[Record]:
        """Orders whose end was not seen, oldest first."""
        return await self._await(lambda db: _records(db, "WHERE final = 0 ORDER BY created"), write=False)

    async def orders(self, *, limit: int = 500, text: str = "") -> list[Record]:
        """The latest orders first; `text` filters by account, instrument, or any id."""
        where, values = "", []
        if text:
            where = (
                "WHERE account LIKE ? OR instrument LIKE ? OR id LIKE ? "
                "OR id IN (SELECT order_id FROM client_ids WHERE client_id LIKE ?)"
            )
            values = [f"%{text}%"] * 4
        query = f"{where} ORDER BY created DESC, id DESC LIMIT {int(limit)}"
        return await self._await(lambda db: _records(db, query, values), write=False)

    async def order(self, order_id: str) -> Record | None:
        """One order with its whole life."""
        found = await self._await(lambda db: _records(db, "WHERE id = ?", [order_id]), write=False)
        return found[0] if found else None

    async def fills(self, account: str = "", *, limit: int = 1000) -> list[FillRecord]:
        """The latest executions first, of one account or of all."""

        def read(db: sqlite3.Connection) -> list[FillRecord]:
            rows = db.execute(
                "SELECT account, instrument, fill_id, order_id, time, detail FROM fills "
                "WHERE ? = '' OR account = ? ORDER BY time DESC LIMIT ?",
                (account, account, limit),
            )
            return [FillRecord(*row) for row in rows]

        return await self._await(read, write=False)

    async def last_fill_time(self, account: str, instrument: str) -> int | None:
        """Time in ms of the newest execution known, where a catch-up starts."""

        def read(db: sqlite3.Connection) -> int | None:
            query = "SELECT max(time) FROM fills WHERE account = ? AND instrument = ?"
            return db.execute(query, (account, instrument)).fetchone()[0]

        return await self._await(read, write=False)

    async def export_csv(self, path: Path) -> int:
        """Write every event of every order as CSV; returns the number of lines. Raises OSError."""

        def write(db: sqlite3.Connection) -> int:
            rows = db.execute(_EXPORT)
            with path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                writer.writerow([column[0] for column in rows.description])
                count = 0
                for row in rows:
                    writer.writerow(row)
                    count += 1
            return count

        return await self._await(write, write=False)

    # -----------------------------------------------------------------------------------------------------------------

    def _queue(self, job: Callable[[sqlite3.Connection], T]) -> Future[T]:
        done: Future[T] = Future()
        self._work.put((job, done))
        return done

    async def _await(self, job: Callable[[sqlite3.Connection], T], *, write: bool) -> T:
        if write and self.problem:
            raise JournalUnavailable(self.problem)
        if self._connection is None:
            raise JournalUnavailable(self.problem or "the journal is closed")
        return await asyncio.wrap_future(self._queue(job))

    def _run(self, opened: Future[None]) -> None:
        try:
            self._connection = self._open()
        finally:
            opened.set_result(None)
        while True:
            batch = [self._work.get()]
            while not self._work.empty():
                batch.append(self._work.get())
            if not self._commit(batch):
                return

    def _open(self) -> sqlite3.Connection | None:
        """Open for writing if at all possible, else for reading, and say why in `problem`."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(self.path, isolation_level=None, timeout=2.0, check_same_thread=False)
            db.execute("PRAGMA locking_mode = EXCLUSIVE")  # a second Fathom must not write the same journal
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA foreign_keys = ON")
            verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
            if verdict != "ok":
                raise sqlite3.DatabaseError(verdict)
            _migrate(db)
        except sqlite3.OperationalError as error:
            locked = "locked" in str(error)
            self.problem = (
                f"The order journal {self.path} is in use by another Fathom. Close that one, then start again. "
                "Until then no order can be sent."
                if locked
                else f"The order journal {self.path} cannot be written ({error}). No order can be sent until it can."
            )
        except (sqlite3.DatabaseError, OSError, JournalUnavailable) as error:
            self.problem = (
                f"The order journal {self.path} cannot be used ({error}). It was left as it is. Move it aside to start a "
                "new one; until then no order can be sent."
            )
        else:
            return db
        try:
            return sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)
        except sqlite3.Error:
            return None

    def _commit(self, batch: list[tuple[Callable[[sqlite3.Connection], Any] | None, Future[Any]]]) -> bool:
        """Run the jobs in one transaction; tell each its outcome only after the commit. False: it was the end."""
        db = self._connection
        outcomes: list[tuple[Future[Any], Any, Exception | None]] = []
        ended = False
        try:
            if db is not None and not self.problem:
                db.execute("BEGIN IMMEDIATE")
            for job, done in batch:
                if job is None:
                    ended = True
                    outcomes.append((done, None, None))
                    continue
                outcomes.append((done, *_attempt(db, job, self.problem)))
            if db is not None and not self.problem:
                db.execute("COMMIT")
        except sqlite3.Error as error:
            self.problem = (
                f"The order journal {self.path} could not be written ({error}). No order can be sent until it can."
            )
            failure = JournalUnavailable(self.problem)
            outcomes = [(done, None, failure) for _, done in batch]
            if db is not None and db.in_transaction:
                db.execute("ROLLBACK")
        for done, value, failure in outcomes:
            done.set_exception(failure) if failure is not None else done.set_result(value)
        if ended and db is not None:
            db.close()
            self._connection = None
        return not ended


_EXPORT = """
    SELECT events.time, orders.id AS order_id, orders.account, orders.instrument, orders.external,
           (SELECT group_concat(client_id, ' ') FROM client_ids WHERE order_id = orders.id) AS client_ids,
           events.what, events.state, events.detail, orders.request
    FROM events JOIN orders ON orders.id = events.order_id ORDER BY events.seq
"""


def _report(done: Future[Any]) -> None:
    error = done.exception()
    if error is not None:
        _log.error("a line was not written to the order journal: %s", error)


def _attempt(
    db: sqlite3.Connection | None, job: Callable[[sqlite3.Connection], Any], problem: str
) -> tuple[Any, Exception | None]:
    """One job inside a savepoint, so that a refused one (a used client id) does not take the others with it."""
    if db is None:
        return None, JournalUnavailable(problem or "the journal is closed")
    if problem:
        try:
            return job(db), None
        except sqlite3.Error:
            return None, JournalUnavailable(problem)
    db.execute("SAVEPOINT job")
    try:
        value = job(db)
    except (ValueError, OSError, sqlite3.IntegrityError) as error:
        db.execute("ROLLBACK TO job")
        db.execute("RELEASE job")
        return None, error
    db.execute("RELEASE job")
    return value, None


def _migrate(db: sqlite3.Connection) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise JournalUnavailable(f"it was written by a newer Fathom, schema {version}")
    for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
        db.executescript(f"BEGIN; {script} PRAGMA user_version = {number}; COMMIT;")


def _insert_intent(db: sqlite3.Connection, intent: Intent) -> None:
    db.execute(
        "INSERT INTO orders (id, account, instrument, created, external, request) VALUES (?, ?, ?, ?, ?, ?)",
        (intent.id, intent.account, intent.instrument, intent.created, intent.external, intent.request),
    )
    if intent.client_id:
        _insert_client_id(db, intent.account, intent.client_id, intent.id, intent.created)


def _insert_client_id(db: sqlite3.Connection, account: str, client_id: str, order_id: str, created: int) -> None:
    try:
        db.execute("INSERT INTO client_ids VALUES (?, ?, ?, ?)", (account, client_id, order_id, created))
    except sqlite3.IntegrityError as error:
        raise ValueError(f"client id {client_id} was used before on {account}") from error


def _insert_event(
    db: sqlite3.Connection, order_id: str, time: int, what: str, state: str, detail: str, final: bool
) -> None:
    db.execute(
        "INSERT INTO events (order_id, time, what, state, detail) VALUES (?, ?, ?, ?, ?)",
        (order_id, time, what, state, detail),
    )
    db.execute("UPDATE orders SET final = ? WHERE id = ? AND final != ?", (final, order_id, final))


def _insert_fill(db: sqlite3.Connection, record: FillRecord) -> None:
    db.execute(
        "INSERT INTO fills VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (account, instrument, fill_id) "
        "DO UPDATE SET detail = excluded.detail, order_id = coalesce(excluded.order_id, order_id)",
        (record.account, record.instrument, record.fill_id, record.order_id, record.time, record.detail),
    )


def _records(db: sqlite3.Connection, where: str, values: list[str] | None = None) -> list[Record]:
    rows = db.execute(
        f"SELECT id, account, instrument, created, external, final, request FROM orders {where}",  # noqa: S608 - fixed text
        values or [],
    ).fetchall()
    found = []
    for order_id, account, instrument, created, external, final, request in rows:
        ids = db.execute("SELECT client_id FROM client_ids WHERE order_id = ? ORDER BY created, rowid", (order_id,))
        events = db.execute("SELECT time, what, state, detail FROM events WHERE order_id = ? ORDER BY seq", (order_id,))
        found.append(
            Record(
                order_id,
                account,
                instrument,
                created,
                bool(external),
                bool(final),
                request,
                tuple(row[0] for row in ids),
                tuple(events.fetchall()),
            )
        )
    return found
