"""The order journal's file: its schema, and how one Fathom alone comes to write it.

A file that cannot be opened for writing (damaged, read-only, of a newer Fathom, in use by another one) is left as it is.
Before an older schema is migrated, a copy of it is kept.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import ExitStack, closing
from pathlib import Path

from app.journal_rows import Note, insert_note

# One script per schema version, in order; the file's `user_version` says how many have run. Written ones never change.
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
    # What concerns an account or the program as a whole: starts, comparisons with the venue, kills, trouble.
    """
    CREATE TABLE notes (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        time INTEGER NOT NULL,
        account TEXT NOT NULL,
        what TEXT NOT NULL,
        text TEXT NOT NULL
    );
    CREATE INDEX orders_by_time ON orders(created);
    CREATE INDEX fills_by_time ON fills(time);
    CREATE INDEX fills_by_order ON fills(order_id);
    """,
)


class CannotWrite(Exception):
    """The file cannot be opened for writing: a sentence for the trader, with what to do."""


class _InUse(Exception):
    """Another Fathom writes this journal."""


class _Newer(Exception):
    """A newer Fathom has written it."""


def open_to_write(path: Path) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    """The database, and the lock that keeps it for this process; both are to be closed. Raises CannotWrite."""
    with ExitStack() as opened:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = opened.enter_context(closing(_claim(path)))
            db = opened.enter_context(closing(_connect(path)))
            _prove(db, path)
        except _InUse:
            raise CannotWrite(
                f"The order journal {path} is in use by another Fathom. Close that one, then start again. "
                "Until then no order can be sent from here."
            ) from None
        except sqlite3.OperationalError as error:
            raise CannotWrite(
                f"The order journal {path} cannot be written ({error}). It is shown as it is; no order can be sent "
                "until Fathom was started with a journal that can be written."
            ) from error
        except (sqlite3.DatabaseError, OSError, _Newer) as error:
            why = " ".join(str(error).split())
            raise CannotWrite(
                f"The order journal {path} cannot be used ({why}). It was left as it is. Move it aside to start a "
                "new one; until then no order can be sent."
            ) from error
        opened.pop_all()
        return db, lock


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, timeout=2.0, check_same_thread=False)


def _prove(db: sqlite3.Connection, path: Path) -> None:
    """Durable, undamaged, of the present schema, and it takes a line."""
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA foreign_keys = ON")
    verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise sqlite3.DatabaseError(verdict)
    _migrate(db, path)
    insert_note(db, Note(time.time_ns() // 1_000_000, "", "start", "Fathom started"))


def _claim(path: Path) -> sqlite3.Connection:
    """A lock that ends with the process, however it ends. A file of its own, so that anybody may read the journal."""
    lock = sqlite3.connect(
        path.with_name(path.name + ".lock"), isolation_level=None, timeout=0.2, check_same_thread=False
    )
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        lock.close()
        if "locked" in str(error):
            raise _InUse from None
        raise
    return lock


def open_to_read(path: Path) -> sqlite3.Connection:
    """Where even the write-ahead log's index cannot be made (a read-only folder), the file alone is shown."""
    address = path.absolute().as_uri()
    for how in ("mode=ro", "immutable=1"):
        db = sqlite3.connect(f"{address}?{how}", uri=True, check_same_thread=False, timeout=2.0)
        try:
            db.execute("SELECT count(*) FROM sqlite_schema")
        except sqlite3.OperationalError:
            db.close()
            if how != "mode=ro":
                raise
        else:
            return db
    raise sqlite3.OperationalError("unable to open database file")


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise _Newer(f"it was written by a newer Fathom, schema {version}")
    if 0 < version < len(MIGRATIONS):
        kept = path.with_name(f"{path.stem}.v{version}{path.suffix}")
        if not kept.exists():
            partial = kept.with_name(kept.name + ".partial")  # a full disk leaves no half of a copy under its name
            partial.unlink(missing_ok=True)
            with closing(sqlite3.connect(partial)) as copy:
                db.backup(copy)
            partial.replace(kept)
    for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
        db.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number}; COMMIT;")
