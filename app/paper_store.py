"""What a paper account owns and has in the book, on disk: written with each change, before anybody is told of it.

One small SQLite file an account. A file that can't be read is kept aside and said; the account then starts anew. One Fathom
alone has it: two would fill the same orders twice.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path

import msgspec
from msgspec import Struct

from connectors.practice.terms import Execution, Order, Wallet

_log = logging.getLogger(__name__)
SCHEMA = 1
FILLS_READ = 5_000
ENDED_READ = 5_000


class Holding(Struct, frozen=True, kw_only=True):
    """A contract position: signed `lots` of the ledger, `cost` in the settle asset."""

    key: str
    lots: int
    cost: Decimal
    realised: Decimal
    leverage: int


class Purse(Struct, frozen=True, kw_only=True):
    """What is owned of an asset in a wallet."""

    wallet: Wallet
    asset: str
    total: Decimal


class Kept(Struct, kw_only=True):
    """Everything of one account. `fresh`: there was nothing on disk."""

    fresh: bool = False
    purses: list[Purse] = []
    holdings: list[Holding] = []
    open_orders: list[Order] = []
    ended_ids: list[str] = []
    fills: list[Execution] = []
    dead_man: dict[str, int] = {}


class PaperStore:
    """`path` None keeps everything in memory. `problem` says what was wrong with the file, if anything.

    Raises OSError while another program has the file: it is whole, and nothing may be concluded without it.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.problem = ""
        self._unwritten: list[tuple[str, Sequence[tuple[object, ...]]]] = []
        self._db = self._open()

    def load(self) -> Kept:
        """The account as it was last written."""
        rows = self._db.execute("SELECT kind, body FROM state ORDER BY id").fetchall()
        kept = Kept(fresh=not rows)
        for kind, body in rows:
            match kind:
                case "purse":
                    kept.purses.append(msgspec.json.decode(body, type=Purse))
                case "holding":
                    kept.holdings.append(msgspec.json.decode(body, type=Holding))
                case "dead_man":
                    kept.dead_man = msgspec.json.decode(body, type=dict[str, int])
                case _:
                    pass
        orders = self._db.execute("SELECT body FROM orders WHERE final = 0 ORDER BY id")
        kept.open_orders = [msgspec.json.decode(body, type=Order) for (body,) in orders]
        ended = self._db.execute("SELECT client_id FROM orders WHERE final = 1 ORDER BY id DESC LIMIT ?", (ENDED_READ,))
        kept.ended_ids = [client_id for (client_id,) in ended if client_id]
        fills = self._db.execute("SELECT body FROM fills ORDER BY time DESC, id DESC LIMIT ?", (FILLS_READ,)).fetchall()
        kept.fills = [msgspec.json.decode(body, type=Execution) for (body,) in reversed(fills)]
        return kept

    def write(
        self,
        *,
        purses: Iterable[Purse] = (),
        holdings: Iterable[Holding] = (),
        orders: Iterable[Order] = (),
        fills: Iterable[Execution] = (),
        dead_man: dict[str, int] | None = None,
    ) -> None:
        """All of it or nothing. What can't be written stands in `problem`, is kept in memory and goes with the next write."""
        encode = msgspec.json.encode
        state = [("purse", f"{row.wallet}:{row.asset}", encode(row)) for row in purses]
        state += [("holding", row.key, encode(row)) for row in holdings]
        if dead_man is not None:
            state.append(("dead_man", "", encode(dead_man)))
        failed = bool(self._unwritten)
        self._unwritten += [
            ("INSERT OR REPLACE INTO state VALUES (?, ?, ?)", state),
            (
                "INSERT OR REPLACE INTO orders VALUES (?, ?, ?, ?)",
                [(row.id, row.client_id, row.status.is_final, encode(row)) for row in orders],
            ),
            (
                "INSERT OR REPLACE INTO fills VALUES (?, ?, ?, ?)",
                [(row.key, row.trade_id, row.time, encode(row)) for row in fills],
            ),
        ]
        try:
            with self._db:
                for statement, rows in self._unwritten:
                    self._db.executemany(statement, rows)
        except sqlite3.Error as error:
            self.problem = f"The paper account can't be written ({error}); it lives in memory until it can."
            _log.error("%s", self.problem)
        else:
            self._unwritten.clear()
            if failed:
                self.problem = ""

    def ended(self, *, venue_id: str = "", client_id: str = "") -> Order | None:
        """An order that is over, by one of its ids."""
        column, value = ("id", venue_id) if venue_id else ("client_id", client_id)
        found = self._db.execute(f"SELECT body FROM orders WHERE {column} = ? ORDER BY id DESC", (value,)).fetchone()  # noqa: S608 - one of two words above
        return msgspec.json.decode(found[0], type=Order) if found is not None else None

    def clear(self) -> None:
        """Forget the account."""
        self._unwritten.clear()
        with self._db:
            for table in ("state", "orders", "fills"):
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - words above

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def _open(self) -> sqlite3.Connection:
        if self.path is None:
            return self._prepared(":memory:")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return self._prepared(str(self.path))
        except (sqlite3.Error, OSError) as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
                raise OSError(f"the paper account's file {self.path} is in use by another program") from error
            aside = self.path.with_suffix(".broken.sqlite")
            try:
                self.path.replace(aside)
                self.problem = f"The paper account's file was damaged ({error}); it was kept as {aside.name}."
                return self._prepared(str(self.path))
            except (sqlite3.Error, OSError):
                self.problem = f"The paper account can't be kept ({error}); it lives in memory."
                return self._prepared(":memory:")

    @staticmethod
    def _prepared(name: str) -> sqlite3.Connection:
        db = sqlite3.connect(name, timeout=0.2)
        try:
            _prepare(db)
        except BaseException:
            db.close()
            raise
        return db


def _prepare(db: sqlite3.Connection) -> None:
    """Undamaged, of the present schema, and ours alone as long as it is open. Raises sqlite3.Error."""
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version not in (0, SCHEMA):
        raise sqlite3.DatabaseError(f"it was written by a newer Fathom (schema {version})")
    (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise sqlite3.DatabaseError(" ".join(verdict.split()))
    with db:
        db.execute("CREATE TABLE IF NOT EXISTS state (kind TEXT, id TEXT, body BLOB, PRIMARY KEY (kind, id))")
        db.execute(
            "CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, client_id TEXT, final INTEGER, body BLOB)"
        )
        db.execute("CREATE INDEX IF NOT EXISTS orders_by_client ON orders(client_id)")
        db.execute(
            "CREATE TABLE IF NOT EXISTS fills (key TEXT, id INTEGER, time INTEGER, body BLOB, PRIMARY KEY (key, id))"
        )
        db.execute(f"PRAGMA user_version = {SCHEMA}")
