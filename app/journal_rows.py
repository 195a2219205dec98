"""Rows of the order journal: the records that go in and come out, and the SQL for each."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


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


@dataclass(frozen=True, slots=True)
class Note:
    """A line about an account, or about the program if `account` is empty."""

    time: int
    account: str
    what: str
    text: str


class KillStep(StrEnum):
    """Notes about a kill at an account. One that was pressed and has no end was cut off by the end of the program."""

    PRESSED = "kill pressed"
    CONFIRMED = "kill confirmed"
    LEFT = "kill left"  # the trader did not want to go on with it


def insert_intent(db: sqlite3.Connection, intent: Intent) -> None:
    db.execute(
        "INSERT INTO orders (id, account, instrument, created, external, request) VALUES (?, ?, ?, ?, ?, ?)",
        (intent.id, intent.account, intent.instrument, intent.created, intent.external, intent.request),
    )
    if intent.client_id and intent.external:  # another program may use an id again after its order's end
        row = (intent.account, intent.client_id, intent.id, intent.created)
        db.execute("INSERT INTO client_ids VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", row)
    elif intent.client_id:
        insert_client_id(db, intent.account, intent.client_id, intent.id, intent.created)


def insert_client_id(db: sqlite3.Connection, account: str, client_id: str, order_id: str, created: int) -> None:
    try:
        db.execute("INSERT INTO client_ids VALUES (?, ?, ?, ?)", (account, client_id, order_id, created))
    except sqlite3.IntegrityError as error:
        raise ValueError(f"client id {client_id} was used before on {account}") from error


def insert_replacement(
    db: sqlite3.Connection, account: str, client_id: str, order_id: str, time: int, detail: str
) -> None:
    insert_client_id(db, account, client_id, order_id, time)
    insert_event(db, order_id, time, "replaced", "amending", detail, final=False)


def insert_event(
    db: sqlite3.Connection, order_id: str, time: int, what: str, state: str, detail: str, final: bool
) -> None:
    db.execute(
        "INSERT INTO events (order_id, time, what, state, detail) VALUES (?, ?, ?, ?, ?)",
        (order_id, time, what, state, detail),
    )
    db.execute("UPDATE orders SET final = ? WHERE id = ? AND final != ?", (final, order_id, final))


def insert_fill(db: sqlite3.Connection, record: FillRecord) -> None:
    db.execute(
        "INSERT INTO fills VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (account, instrument, fill_id) "
        "DO UPDATE SET detail = excluded.detail, order_id = coalesce(excluded.order_id, order_id)",
        (record.account, record.instrument, record.fill_id, record.order_id, record.time, record.detail),
    )


def insert_note(db: sqlite3.Connection, note: Note) -> None:
    row = (note.time, note.account, note.what, note.text)
    db.execute("INSERT INTO notes (time, account, what, text) VALUES (?, ?, ?, ?)", row)


def records(db: sqlite3.Connection, where: str, values: list[str] | None = None) -> list[Record]:
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


COLUMNS = (
    "time",
    "what",
    "state",
    "account",
    "instrument",
    "order_id",
    "external",
    "client_ids",
    "detail",
    "request",
)
"""Of `lines`: time in ms; detail and request are JSON."""


def lines(db: sqlite3.Connection) -> Iterator[tuple[Any, ...]]:
    """Everything in the journal as rows of COLUMNS: intents, events, executions of unknown orders, notes; by kind, then time."""
    ids = "(SELECT group_concat(client_id, ' ') FROM client_ids WHERE order_id = orders.id)"
    yield from db.execute(
        f"SELECT created, 'intent', 'pending', account, instrument, id, external, {ids}, '', request FROM orders "  # noqa: S608 - fixed text
        "ORDER BY created"
    )
    yield from db.execute(
        "SELECT events.time, what, state, account, instrument, orders.id, external, "  # noqa: S608 - fixed text
        f"{ids}, events.detail, '' FROM events JOIN orders ON orders.id = events.order_id ORDER BY seq"
    )
    yield from db.execute(
        "SELECT time, 'fill', '', account, instrument, '', 1, '', detail, '' FROM fills WHERE order_id IS NULL ORDER BY time"
    )
    yield from db.execute("SELECT time, 'note: ' || what, '', account, '', '', 0, '', text, '' FROM notes ORDER BY seq")


def count(db: sqlite3.Connection) -> int:
    """How many rows `lines` gives."""
    query = (
        "SELECT (SELECT count(*) FROM orders) + (SELECT count(*) FROM events) + (SELECT count(*) FROM notes) "
        "+ (SELECT count(*) FROM fills WHERE order_id IS NULL)"
    )
    return db.execute(query).fetchone()[0]
