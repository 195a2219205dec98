"""BitMEX's public stream: tables of rows. Books by level id, trades, best prices, instruments, finished bars.

A table is a `partial` image, then `insert`, `update` and `delete` of rows by key. The book's rows live here, one map a symbol and
connection, because updates and deletes may name nothing but the id. What arrives before a partial is dropped; an id that
the image does not hold proves that it is corrupt: the book is broken and its map forgotten until the next partial.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from connectors.bitmex import rows
from connectors.contract import (
    UNREADABLE,
    Accepted,
    Alive,
    Ask,
    Channel,
    Declined,
    Event,
    Role,
    Stream,
    Topic,
    Unknown,
)
from connectors.model import BookBroken, BookDelta, BookSnapshot, Level, MarkPrice, Ticker

NAMES_A_FRAME = 10
_TABLES = {
    Channel.BOOK: "orderBookL2",
    Channel.TRADES: "trade",
    Channel.TOP: "quote",
    Channel.TICKER: "instrument",
    Channel.MARK: "instrument",
}
_BINS = {f"tradeBin{interval}": interval for interval in rows.SPANS}
# Known tables that nothing is drawn from; and those of the private socket, which a replay may hand over here.
_IGNORED = frozenset(
    {"funding", "liquidation", "settlement", "insurance", "announcement", "publicNotifications", "chat", "connected"}
    | {"order", "execution", "position", "margin", "wallet", "transact", "privateNotifications"}
)
_KEYS = {"symbol", "id", "side"}
_LEVEL_TABLES = ("orderBookL2", "orderBookL2_25")


class _Row(Struct, gc=False):
    """A level. Until 2023 updates and deletes have no price; a delete has no size."""

    symbol: str
    id: int
    side: str
    size: float | None = None
    price: float | None = None
    timestamp: str = ""


class _BookMessage(Struct, gc=False):
    table: str
    action: str
    data: list[_Row]
    filter: dict[str, Any] | None = None
    keys: list[str] | None = None


class _Quote(Struct, gc=False):
    symbol: str
    timestamp: str
    bidPrice: float | None = None  # noqa: N815 - the wire's name
    bidSize: float | None = None  # noqa: N815 - the wire's name
    askPrice: float | None = None  # noqa: N815 - the wire's name
    askSize: float | None = None  # noqa: N815 - the wire's name


class _QuoteMessage(Struct, gc=False):
    data: list[_Quote]


_book_message = msgspec.json.Decoder(_BookMessage).decode
_quote_message = msgspec.json.Decoder(_QuoteMessage).decode
_any = msgspec.json.Decoder().decode


class _Side:
    """One side of a symbol's book: rows by id, and what they come to by price."""

    __slots__ = ("levels", "rows")

    def __init__(self) -> None:
        self.rows: dict[int, tuple[float, float]] = {}
        self.levels: dict[float, float] = {}

    def put(self, number: int, price: float, size: float, touched: list[float]) -> None:
        """Insert a row, or replace it."""
        old = self.rows.get(number)
        if old is not None:
            self._take(old[0], old[1])
            if old[0] != price:
                touched.append(old[0])
        self.rows[number] = (price, size)
        self.levels[price] = self.levels.get(price, 0.0) + size
        touched.append(price)

    def remove(self, number: int, touched: list[float]) -> None:
        """Delete a row. Raises KeyError."""
        price, size = self.rows.pop(number)
        self._take(price, size)
        touched.append(price)

    def _take(self, price: float, size: float) -> None:
        left = self.levels[price] - size
        if left > 0.0:
            self.levels[price] = left
        else:
            del self.levels[price]

    def image(self) -> list[Level]:
        """Every level."""
        return [Level(price, size) for price, size in self.levels.items()]

    def now(self, touched: list[float]) -> list[Level]:
        """These levels as they are now; size zero = gone."""
        levels = self.levels
        return [Level(price, levels.get(price, 0.0)) for price in touched] if touched else []


class _Book:
    __slots__ = ("buy", "sell")

    def __init__(self) -> None:
        self.buy, self.sell = _Side(), _Side()

    def side(self, name: str) -> _Side:
        """Raises KeyError for a side that is not documented."""
        if name == "Buy":
            return self.buy
        if name == "Sell":
            return self.sell
        raise KeyError(name)


class _Corrupt(Exception):
    """A row that can't belong to the image."""


class BitmexMarketStream(Stream):
    """One public connection."""

    def __init__(self) -> None:
        self._topics: dict[str, tuple[Topic, ...]] = {}
        self._books: dict[str, _Book] = {}
        self._marks: dict[str, dict[str, Any]] = {}

    def plan(self, active: frozenset[Topic], add: Sequence[Topic], drop: Sequence[Topic]) -> list[Ask]:
        """Ten names a frame. Two topics may share a table: it is joined with the first and left with the last one."""
        going = set(drop)
        kept = {table(topic) for topic in active if topic not in going}
        asks: list[Ask] = []
        for op, topics in (("unsubscribe", drop), ("subscribe", add)):
            names: dict[str, list[Topic]] = {}
            for topic in topics:
                if table(topic) not in kept:
                    names.setdefault(table(topic), []).append(topic)
            for name, found in names.items():
                self._topics[name] = tuple(found)
                if op == "unsubscribe":
                    self._forget(name)
            order = list(names)
            for start in range(0, len(order), NAMES_A_FRAME):
                part = order[start : start + NAMES_A_FRAME]
                wanted = tuple(topic for name in part for topic in names[name])
                payload = {"op": op, "args": part}
                asks.append(Ask(endpoint=Role.MARKET, id="", payload=payload, topics=wanted, answered=False))
        return asks

    def _forget(self, name: str) -> None:
        kind, _, wire = name.partition(":")
        if kind == "orderBookL2":
            self._books.pop(wire, None)
        elif kind == "instrument":
            self._marks.pop(wire, None)

    def receive(self, frame: str | bytes) -> list[Event]:
        """One frame of a table, an acknowledgement, an error, or the raw text `pong`."""
        try:
            if frame[:21] == '{"table":"orderBookL2':
                return self._book(_book_message(frame))
            if frame == "pong":
                return [Alive()]
            head = _any(frame)
        except UNREADABLE as error:
            return self._lost(frame, error)
        try:
            return self._other(frame, head)
        except UNREADABLE as error:
            if isinstance(head, dict) and head.get("table") in _LEVEL_TABLES:
                return self._lost(frame, error)
            return [_unknown(frame, error)]

    def read_alone(self, frame: str | bytes) -> list[Event]:
        """Rows of a book by themselves, where their price is told (since 2023 it always is), and news of an instrument."""
        try:
            head = _any(frame)
            if head["table"] in _LEVEL_TABLES and head["action"] != "partial":
                return _lone_rows(_book_message(frame))
            if head["table"] == "instrument":
                self._marks.update({row["symbol"]: {} for row in head["data"]})
        except UNREADABLE:
            pass  # `receive` says what it is
        return self.receive(frame)

    def _lost(self, frame: str | bytes, error: Exception) -> list[Event]:
        """What can't be read may have been a change of any book: none of this connection is believed until its next image."""
        if not self._books:
            return [_unknown(frame, error)]
        self._books.clear()
        return [_unknown(frame, error), BookBroken(wires=None, why="a message could not be read")]

    def _given_up(self, wires: Iterable[str], what: str) -> list[Event]:
        """A message that is not understood, and the books that it speaks of, which are believed no more."""
        held = tuple(wire for wire in dict.fromkeys(wires) if self._books.pop(wire, None) is not None)
        return [Unknown(what, ""), *([BookBroken(wires=held, why=what)] if held else [])]

    def _other(self, frame: str | bytes, head: Any) -> list[Event]:
        name = head.get("table")
        if name is None:
            return control(head, self._topics)
        if name in _LEVEL_TABLES:
            return self._book(msgspec.convert(head, _BookMessage))
        if name == "quote":
            return [_top(row) for row in _quote_message(frame).data if not row.symbol.startswith(".")]
        data, partial = head["data"], head["action"] == "partial"
        if name == "trade":
            return [event for row in data if (event := rows.trade(row)) is not None]
        if name in _BINS:
            return [event for row in data if (event := rows.candle(row, _BINS[name])) is not None]
        if name == "instrument":
            return [event for row in data for event in self._instrument(row, partial=partial)]
        if name == "orderBook10":
            return [_top_ten(row) for row in data]
        if name in _IGNORED:
            return [Alive()]
        return [Unknown(f"table {name}", str(frame[:200]))]

    # books

    def _book(self, message: _BookMessage) -> list[Event]:
        if message.action == "partial":
            return self._image(message)
        if message.action not in ("insert", "update", "delete"):
            return self._given_up((row.symbol for row in message.data), f"action {message.action} of a book")
        touched: dict[str, tuple[list[float], list[float]]] = {}
        found: list[Event] = []
        for row in message.data:
            book = self._books.get(row.symbol)
            if book is None:
                continue  # before its partial
            marks = touched.get(row.symbol)
            if marks is None:
                marks = touched[row.symbol] = ([], [])
            try:
                _merge(book, row, message.action, marks)
            except (_Corrupt, KeyError) as error:
                del self._books[row.symbol]
                why = str(error) if isinstance(error, _Corrupt) else f"a row on the side {row.side!r}"
                found.append(BookBroken(wires=(row.symbol,), why=why))
        if not touched:
            return found or [Alive()]
        time = rows.when(message.data[-1].timestamp) if message.data[-1].timestamp else None
        for wire, (bids, asks) in touched.items():
            book = self._books.get(wire)
            if book is not None:
                found.append(BookDelta(wire=wire, bids=book.buy.now(bids), asks=book.sell.now(asks), time=time))
        return found

    def _image(self, message: _BookMessage) -> list[Event]:
        """A partial replaces everything that was kept for its symbol, or for all that it names."""
        wire = (message.filter or {}).get("symbol")
        wires = [wire] if wire else list(dict.fromkeys(row.symbol for row in message.data))
        if message.keys is not None and set(message.keys) != _KEYS:
            return self._given_up(wires, f"a book keyed by {', '.join(message.keys)}")
        fresh = {each: _Book() for each in wires}
        nowhere: list[float] = []
        for row in message.data:
            if row.price is None or row.size is None:
                return self._given_up(wires, "a row of an image without price or size")
            fresh[row.symbol].side(row.side).put(row.id, row.price, row.size, nowhere)
        self._books.update(fresh)
        time = max((row.timestamp for row in message.data), default="")
        return [
            BookSnapshot(
                wire=each,
                bids=book.buy.image(),
                asks=book.sell.image(),
                time=rows.when(time) if time else None,
            )
            for each, book in fresh.items()
        ]

    # everything else

    def _instrument(self, row: Any, *, partial: bool) -> list[Event]:
        wire = row["symbol"]
        if wire.startswith("."):
            return []
        if partial:
            self._marks[wire] = {}
        kept = self._marks.get(wire)
        if kept is None:
            return []  # before its partial
        found: list[Event] = [rows.ticker(row)]
        news = {name: row[name] for name in _MARK_FIELDS if row.get(name) is not None}
        if not news:
            return found
        kept.update(news)
        if kept.get("markPrice") is not None:
            funding = kept.get("fundingTimestamp")
            found.append(
                MarkPrice(
                    wire=wire,
                    mark=float(kept["markPrice"]),
                    index=_number(kept.get("indicativeSettlePrice")),
                    rate=_number(kept.get("fundingRate")),
                    next_funding=rows.when(funding) if funding else None,
                    time=rows.when(row["timestamp"]) if row.get("timestamp") else None,
                )
            )
        return found


_MARK_FIELDS = ("markPrice", "indicativeSettlePrice", "fundingRate", "fundingTimestamp")


def _merge(book: _Book, row: _Row, action: str, touched: tuple[list[float], list[float]]) -> None:
    """Apply one row. Raises _Corrupt, or KeyError for an unknown side."""
    side = book.side(row.side)
    marks = touched[0] if side is book.buy else touched[1]
    if action == "insert":
        if row.price is None or row.size is None:
            raise _Corrupt("a level without price or size was inserted")
        side.put(row.id, row.price, row.size, marks)
        return
    old = side.rows.get(row.id)
    if old is None:
        raise _Corrupt(f"{action} of a level that the image does not hold")
    price, size = row.price, row.size
    if action == "delete":
        side.remove(row.id, marks)
    elif (price is None or price == old[0]) and size is not None and side.levels[old[0]] == old[1] and size > 0.0:
        side.rows[row.id] = (old[0], size)  # by far the most: another size, and nobody else at this price
        side.levels[old[0]] = size
        marks.append(old[0])
    else:
        side.put(row.id, old[0] if price is None else price, old[1] if size is None else size, marks)


def _lone_rows(message: _BookMessage) -> list[Event]:
    """Changes of levels that are nothing but their rows; what names an id alone can't be told."""
    found: dict[str, BookDelta] = {}
    for row in message.data:
        size = 0.0 if message.action == "delete" else row.size
        price = row.price if row.price is not None else _price_of_id(row)
        if price is None or size is None or row.side not in ("Buy", "Sell"):
            return [Unknown("a level that is named by its id alone", "")]
        time = rows.when(row.timestamp) if row.timestamp else None
        delta = found.setdefault(row.symbol, BookDelta(wire=row.symbol, bids=[], asks=[], time=time))
        (delta.bids if row.side == "Buy" else delta.asks).append(Level(price, size))
    return list(found.values())


def _price_of_id(row: _Row) -> float | None:
    """What an id of XBTUSD said until 2023, when rows had no price: 8800000000 - id cents. Of other contracts the step is not known."""
    cents = 8_800_000_000 - row.id
    return cents / 100 if row.symbol == "XBTUSD" and 0 < cents <= 100_000_000 else None


def _unknown(frame: str | bytes, error: Exception) -> Unknown:
    return Unknown(f"a frame that does not fit ({type(error).__name__})", str(frame[:200]))


def _top(row: _Quote) -> Ticker:
    """A side that is missing is empty: its size is zero."""
    return Ticker(
        wire=row.symbol,
        bid=row.bidPrice,
        bid_size=row.bidSize if row.bidPrice is not None else 0.0,
        ask=row.askPrice,
        ask_size=row.askSize if row.askPrice is not None else 0.0,
        time=rows.when(row.timestamp),
    )


def _top_ten(row: Any) -> BookSnapshot:
    """orderBook10: every message is the whole top."""
    bids, asks = ([Level(float(price), float(size)) for price, size, *_ in row[side]] for side in ("bids", "asks"))
    return BookSnapshot(wire=row["symbol"], bids=bids, asks=asks, depth=10, time=rows.when(row["timestamp"]))


def _number(value: Any) -> float | None:
    return float(value) if value is not None else None


def table(topic: Topic) -> str:
    """The name to subscribe to."""
    if topic.channel is Channel.CANDLES:
        return f"tradeBin{topic.interval}:{topic.wire}"
    return f"{_TABLES[topic.channel]}:{topic.wire}"


def control(head: Any, topics: dict[str, tuple[Topic, ...]]) -> list[Event]:
    """Greeting, acknowledgement, error. The echo of a request may hold a key and is never handed on."""
    if head.get("success") is True:
        name = head.get("subscribe")
        return [Accepted(topics.get(name, ()))] if name else [Accepted()]
    if "error" in head:
        asked = (head.get("request") or {}).get("args")
        names = [asked] if isinstance(asked, str) else asked if isinstance(asked, list) else []
        named = tuple(topic for name in names if isinstance(name, str) for topic in topics.get(name, ()))
        return [Declined(str(head["error"]), named, code=str(head.get("status", "")))]
    if "info" in head:
        return [Alive()]
    if "cancelTime" in head:
        return [Accepted()]  # the dead man's switch, set by socket
    return [Unknown(f"a message with {', '.join(sorted(map(str, head)))[:80]}", "")]
