"""Kraken's public WebSocket v2: book with its checksum, trades, 24 h statistics, candles.

A subscription is acknowledged one symbol at a time, a refusal comes alike and may name no symbol, so requests are remembered by
their number. The book has no sequence: its CRC32 over the ten best levels a side, made of the digits on the wire, is the only proof.
Source: the v2 guides of docs.kraken.com (book checksum, subscriptions), and traffic recorded in August 2026.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import chain
from typing import Any

import msgspec
from msgspec import Struct

from connectors.book import OrderBook
from connectors.contract import UNREADABLE, Accepted, Alive, Ask, Channel, Declined, Event, Role, Stream, Topic, Unknown
from connectors.model import BookBroken, BookDelta, BookSnapshot, Candle, Level, Side, Ticker, Trade

DEPTH = 1000  # of 10, 25, 100, 500, 1000; every book is cut to it
SYMBOLS_A_FRAME = 50
INTERVALS = {"1m": 1, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "4h": 240, "1d": 1440, "1w": 10080, "15d": 21600}
LABELS = {minutes: label for label, minutes in INTERVALS.items()}
_CHANNELS = {
    Channel.BOOK: "book",
    Channel.TRADES: "trade",
    Channel.TICKER: "ticker",
    Channel.CANDLES: "ohlc",
}
_KINDS = {name: channel for channel, name in _CHANNELS.items()}


class _Row(Struct, gc=False):
    price: Any  # with float_hook=str: the number as it was written
    qty: Any


class _Book(Struct, gc=False):
    symbol: str
    bids: list[_Row]
    asks: list[_Row]
    checksum: int
    timestamp: datetime | None = None


class _Books(Struct, gc=False):
    type: str
    data: list[_Book]


class _Named(Struct, gc=False):
    """What is left of a book's row of any form: whose it is."""

    symbol: str


class _Channel(Struct, gc=False):
    channel: str
    data: list[_Named]


class _Trade(Struct, gc=False):
    symbol: str
    side: Side
    price: float
    qty: float
    trade_id: int
    timestamp: datetime


class _Ticker(Struct, gc=False):
    symbol: str
    bid: float
    bid_qty: float
    ask: float
    ask_qty: float
    last: float | None = None
    volume: float | None = None
    vwap: float | None = None
    low: float | None = None
    high: float | None = None
    change: float | None = None
    timestamp: datetime | None = None


class _Bar(Struct, gc=False):
    symbol: str
    open: float
    high: float
    low: float
    close: float
    volume: float
    interval_begin: datetime
    interval: int
    vwap: float | None = None


class _Trades(Struct, gc=False):
    data: list[_Trade]


class _Tickers(Struct, gc=False):
    data: list[_Ticker]


class _Bars(Struct, gc=False):
    data: list[_Bar]


_books = msgspec.json.Decoder(_Books, float_hook=str).decode
_trades = msgspec.json.Decoder(_Trades).decode
_tickers = msgspec.json.Decoder(_Tickers).decode
_bars = msgspec.json.Decoder(_Bars).decode
_names = msgspec.json.Decoder(_Channel).decode
_any = msgspec.json.Decoder().decode


def ms(moment: datetime) -> int:
    """Milliseconds since 1970."""
    return round(moment.timestamp() * 1000)


def digits(text: str) -> str:
    """A number as the checksum wants it: without its point and leading zeros (0.00005100 -> 5100)."""
    return text.replace(".", "", 1).lstrip("0")


def checksum(book: OrderBook) -> int:
    """CRC32 over price and size of the ten best asks, then of the ten best bids, best first."""
    asks = map(book.text_asks.__getitem__, book.ask_prices[:10])
    bids = map(book.text_bids.__getitem__, book.bid_prices[:-11:-1])
    return zlib.crc32("".join(chain.from_iterable(chain(asks, bids))).encode())


def side_of(rows: Iterable[tuple[str, str]]) -> tuple[list[Level], list[tuple[str, str]]]:
    """Levels, and their digits for the checksum, of (price, size) as they were written."""
    levels, texts = [], []
    for price, size in rows:
        levels.append(Level(float(price), float(size)))
        texts.append((digits(price), digits(size)))
    return levels, texts


def _side(rows: list[_Row]) -> tuple[list[Level], list[tuple[str, str]]]:
    return side_of([(str(row.price), str(row.qty)) for row in rows]) if rows else ([], [])


class KrakenMarketStream(Stream):
    """One public connection. Remembers what it asked for by number, the depth of each book, and the running candles."""

    def __init__(self, depth: int = DEPTH) -> None:
        self._depth = depth
        self._depths: dict[str, int] = {}
        self._asked: dict[int, set[Topic]] = {}
        self._running: dict[Topic, Candle] = {}
        self._number = 0

    def plan(self, active: frozenset[Topic], add: Sequence[Topic], drop: Sequence[Topic]) -> list[Ask]:
        """One frame for each channel and interval, fifty symbols at most in each."""
        asks = []
        for method, topics in (("unsubscribe", drop), ("subscribe", add)):
            groups: dict[tuple[Channel, str], list[Topic]] = {}
            for topic in topics:
                groups.setdefault((topic.channel, topic.interval), []).append(topic)
            for (channel, interval), group in groups.items():
                for start in range(0, len(group), SYMBOLS_A_FRAME):
                    part = tuple(group[start : start + SYMBOLS_A_FRAME])
                    asks.append(self._request(method, channel, interval, part))
        return asks

    def _request(self, method: str, channel: Channel, interval: str, topics: tuple[Topic, ...]) -> Ask:
        self._number += 1
        self._asked[self._number] = set(topics)
        params: dict[str, Any] = {"channel": _CHANNELS[channel], "symbol": [topic.wire for topic in topics]}
        if channel is Channel.BOOK:
            params["depth"] = self._depth
        if channel is Channel.CANDLES:
            params["interval"] = INTERVALS[interval]
        if method == "subscribe":
            params["snapshot"] = channel is not Channel.TRADES  # old trades come over REST, once
        payload = {"method": method, "params": params}
        return Ask(endpoint=Role.MARKET, id=str(self._number), payload=payload, topics=topics, answered=False)

    def receive(self, frame: str | bytes) -> list[Event]:
        """Data by its channel, else an acknowledgement, refusal, heartbeat or status."""
        try:
            text = frame if isinstance(frame, str) else frame.decode()
            if text.startswith('{"channel":"book"'):
                return self._book(text)
            if text.startswith('{"channel":"heartbeat"'):
                return [Alive()]
            return self._other(text)
        except UNREADABLE as error:
            return [*_unread(frame), Unknown(f"a frame that does not fit ({type(error).__name__})", str(frame[:200]))]

    def read_alone(self, frame: str | bytes) -> list[Event]:
        """A lone image also tells the time of its last change; how deep it is was said before."""
        events = self.receive(frame)
        if any(isinstance(event, BookSnapshot) for event in events):
            for event, row in zip(events, _books(frame).data, strict=True):
                if isinstance(event, BookSnapshot):
                    event.depth, event.time = None, ms(row.timestamp) if row.timestamp is not None else None
        return events

    def _book(self, frame: str) -> list[Event]:
        body = _books(frame)
        whole = body.type == "snapshot"
        if not whole and body.type != "update":
            return [*_unread(frame), Unknown(f"a book of type {body.type}", frame[:200])]
        events: list[Event] = []
        for row in body.data:
            bids, bid_digits = _side(row.bids)
            asks, ask_digits = _side(row.asks)
            texts = (bid_digits, ask_digits)
            if whole:  # its time is that of the last change, which may be long ago
                depth = self._depths.get(row.symbol, self._depth)
                events.append(
                    BookSnapshot(wire=row.symbol, bids=bids, asks=asks, depth=depth, checksum=row.checksum, text=texts)
                )
            else:
                time = ms(row.timestamp) if row.timestamp is not None else None
                events.append(
                    BookDelta(wire=row.symbol, bids=bids, asks=asks, time=time, checksum=row.checksum, text=texts)
                )
        return events

    def _other(self, frame: str) -> list[Event]:
        body = _any(frame)
        match body.get("channel"):
            case "trade":
                return [_trade(row) for row in _trades(frame).data]
            case "ticker":
                return [_ticker(row) for row in _tickers(frame).data if row.bid or row.ask or row.last]
            case "ohlc":
                return [event for row in _bars(frame).data for event in self._candle(row)]
            case "book":
                return self._book(frame)
            case "status" | "heartbeat":
                return [Alive()]
            case None:
                return self._answer(body)
            case name:
                return [Unknown(f"channel {name}", frame[:200])]

    def _candle(self, row: _Bar) -> list[Event]:
        """There is no closed flag: a candle is over when the next one begins."""
        label = LABELS[row.interval]
        candle = Candle(
            wire=row.symbol,
            interval=label,
            start=ms(row.interval_begin),
            open=row.open,
            high=row.high,
            low=row.low,
            close=row.close,
            volume=row.volume,
            closed=False,
            quote_volume=row.vwap * row.volume if row.vwap is not None else None,
        )
        topic = Topic(Channel.CANDLES, row.symbol, label)
        before = self._running.get(topic)
        if before is not None and before.start > candle.start:
            return []
        self._running[topic] = candle
        if before is None or before.start == candle.start:
            return [candle]
        return [msgspec.structs.replace(before, closed=True), candle]

    def _answer(self, body: Any) -> list[Event]:
        method = body.get("method")
        if method == "pong":
            return [Alive()]
        result = body.get("result") or {}
        number, symbol = body.get("req_id"), body.get("symbol") or result.get("symbol")
        asked = self._asked.get(number, set()) if isinstance(number, int) else set()
        topics = tuple(topic for topic in asked if symbol is None or topic.wire == symbol)
        asked.difference_update(topics)
        if isinstance(number, int) and not asked:
            self._asked.pop(number, None)
        if body.get("success") is False or "error" in body:
            return [Declined(str(body.get("error", "no reason given")), topics=topics)]
        if method not in ("subscribe", "unsubscribe"):
            return [Unknown(f"an answer to {method}", str(body)[:200])]
        kind = _KINDS.get(result.get("channel"))
        if kind is None or not isinstance(symbol, str):
            return [Unknown("an acknowledgement that names no channel or symbol", str(body)[:200])]
        if not topics:
            topics = (Topic(kind, symbol, LABELS.get(result.get("interval"), "")),)
        if kind is Channel.BOOK and isinstance(result.get("depth"), int):
            self._depths[symbol] = result["depth"]
        return [Accepted(topics=topics)]


def _unread(frame: str | bytes) -> list[Event]:
    """The books that a message which does not fit leaves in doubt: the checksum would not see what it changes below ten levels."""
    why = "a message of this book could not be read"
    try:
        message = _names(frame)
    except UNREADABLE:
        cut = str(frame[:40]).replace(" ", "")
        return [BookBroken(wires=None, why=why)] if '{"channel":"book"' in cut else []
    wires = tuple(dict.fromkeys(row.symbol for row in message.data))
    return [BookBroken(wires=wires or None, why=why)] if message.channel == "book" else []


def _trade(row: _Trade) -> Trade:
    """`side` is the taker's."""
    return Trade(
        wire=row.symbol,
        price=row.price,
        amount=row.qty,
        side=row.side,
        time=ms(row.timestamp),
        id=str(row.trade_id),
    )


def _ticker(row: _Ticker) -> Ticker:
    volume, mean = row.volume, row.vwap
    return Ticker(
        wire=row.symbol,
        bid=row.bid or None,
        bid_size=row.bid_qty if row.bid else None,
        ask=row.ask or None,
        ask_size=row.ask_qty if row.ask else None,
        last=row.last,
        open=row.last - row.change if row.last is not None and row.change is not None else None,
        high=row.high,
        low=row.low,
        volume=volume,
        quote_volume=volume * mean if volume is not None and mean is not None else None,
        time=ms(row.timestamp) if row.timestamp is not None and row.timestamp.year > 1970 else None,
    )
