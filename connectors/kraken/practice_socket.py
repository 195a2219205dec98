"""Kraken's WebSocket v2 from the venue's side: what both endpoints share: tokens, who listens to what, publication, greeting.

`practice_books` draws the books, `practice_public` and `practice_private` are the two endpoints.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec

from connectors.contract import UNREADABLE
from connectors.kraken.practice_books import Book
from connectors.kraken.practice_orders import KrakenError, Orders, iso, made_id
from connectors.kraken.practice_pairs import Pair, size
from connectors.practice.connection import JsonConnection
from connectors.practice.exchange import Exchange
from connectors.practice.terms import Order, PublicTrade, Traded

MONDAY = 4 * 86_400_000
IDLE_MS = 60_000
HEARTBEAT_MS = 1000
_encode = msgspec.json.Encoder().encode


def raw(text: str) -> msgspec.Raw:
    """A JSON number with exactly these digits."""
    return msgspec.Raw(text.encode())


def exact(value: Decimal) -> msgspec.Raw:
    """A JSON number without exponent."""
    return raw(format(value, "f"))


@dataclass(slots=True)
class _Live:
    """What happened to a pair since the last publication."""

    trades: list[PublicTrade] = field(default_factory=list)
    best: Any = None


class Hub:
    """Tokens, books, and who listens to what."""

    def __init__(self, exchange: Exchange, orders: Orders) -> None:
        self.exchange = exchange
        self.orders = orders
        self.now_ms = exchange.now_ms
        self.tokens: dict[str, tuple[str, int]] = {}
        self.used: set[str] = set()
        self.connections: set[Socket] = set()
        self.books: dict[str, Book] = {}
        self._live: dict[str, _Live] = {}
        self._connection_id = 2**62 + 1
        self._amends = 0
        exchange.watch_market(self._market)

    def next_connection(self) -> int:
        """A u64 that no float can hold."""
        self._connection_id += 7
        return self._connection_id

    def amend_id(self, order: Order) -> str:
        """A fresh id for a change."""
        self._amends += 1
        return made_id("T", "amend", order.id, self._amends)

    def account_of(self, token: str) -> str:
        """Whose token it is."""
        account, until = self.tokens.get(token, ("", 0))
        if not account or (token not in self.used and self.now_ms >= until):
            raise KrakenError("ESession:Invalid session")
        self.used.add(token)
        return account

    def cancel_many(self, account: str, names: list[str]) -> int:
        """Cancel by txid or client id what is still open; how many that were."""
        count = 0
        for name in names:
            try:
                order = self.orders.find(account, txid=name)
            except KrakenError:
                try:
                    order = self.orders.find(account, client_id=name)
                except KrakenError:
                    continue
            try:
                self.orders.cancel(account, order)
            except KrakenError as error:
                if "Unknown order" not in str(error):
                    raise
            else:
                count += 1
        return count

    def book(self, pair: Pair) -> Book:
        """The book of a pair as it was told so far."""
        if pair.key not in self.books:
            self.books[pair.key] = Book(self.exchange, pair)
        return self.books[pair.key]

    def _market(self, event: Any) -> None:
        if isinstance(event, Traded) and self.connections:
            self._live.setdefault(event.key, _Live()).trades.append(event.trade)

    def publish(self) -> None:
        """Send what happened since the last time."""
        for pair in self.orders.by_key.values():
            self.publish_book(pair)
            live = self._live.setdefault(pair.key, _Live())
            best = [level.price if level else None for level in self.exchange.best(pair.key)]
            moved, live.best = best != live.best, best
            trades, live.trades = live.trades, []
            if trades:
                text = data_frame("trade", "update", [trade_row(pair, row) for row in trades])
                self._send(lambda one, text=text, wire=pair.wire: text if wire in one.trades else "")
            if trades or moved:
                self._publish_tickers(pair, {"trades"} if not moved else {"bbo", "trades"} if trades else {"bbo"})
            if trades:
                self._publish_bars(pair)

    def publish_book(self, pair: Pair) -> None:
        """Updates for every depth that somebody has."""
        depths = {one.books[pair.wire] for one in self.connections if pair.wire in one.books}
        if not depths:
            self.books.pop(pair.key, None)
            return
        for depth, text in self.book(pair).advance(depths).items():
            self._send(lambda one, text=text, depth=depth: text if one.books.get(pair.wire) == depth else "")

    def _publish_tickers(self, pair: Pair, wanted: set[str]) -> None:
        """To those whose trigger it was."""
        if any(one.tickers.get(pair.wire) in wanted for one in self.connections):
            text = data_frame("ticker", "update", [self.ticker_row(pair)])
            self._send(lambda one: text if one.tickers.get(pair.wire) in wanted else "")

    def _publish_bars(self, pair: Pair) -> None:
        for minutes in {minutes for one in self.connections for wire, minutes in one.bars if wire == pair.wire}:
            text = data_frame("ohlc", "update", self.bar_rows(pair, minutes, 1), timestamp=iso(self.now_ms))
            self._send(lambda one, text=text, minutes=minutes: text if (pair.wire, minutes) in one.bars else "")

    def _send(self, chosen: Callable[[Socket], str]) -> None:
        for one in self.connections:
            if text := chosen(one):
                one.out.append(text)

    def ticker_row(self, pair: Pair) -> dict[str, Any]:
        """Best prices and the last 24 h."""
        now = self.exchange.ticker(pair.key)
        change = now.last - now.open
        mean = now.value / now.volume if now.volume else now.last
        return {
            "symbol": pair.wire,
            "bid": raw(pair.price(now.bid.price)) if now.bid else 0,
            "bid_qty": raw(size(now.bid.size)) if now.bid else 0,
            "ask": raw(pair.price(now.ask.price)) if now.ask else 0,
            "ask_qty": raw(size(now.ask.size)) if now.ask else 0,
            "last": raw(pair.price(now.last)),
            "volume": raw(size(now.volume)),
            "vwap": raw(pair.price(mean)),
            "low": raw(pair.price(now.low)),
            "high": raw(pair.price(now.high)),
            "change": raw(f"{change:.{pair.digits}f}"),
            "change_pct": raw(f"{change / now.open * 100 if now.open else 0:.2f}"),
            "timestamp": iso(self.now_ms),
        }

    def bar_rows(self, pair: Pair, minutes: int, count: int) -> list[dict[str, Any]]:
        """The latest candles, the running one last."""
        offset = MONDAY if minutes == 10080 else 0
        bars = self.exchange.candles(pair.key, minutes * 60_000, limit=count, offset_ms=offset)
        return [
            {
                "symbol": pair.wire,
                "open": raw(pair.price(bar.open)),
                "high": raw(pair.price(bar.high)),
                "low": raw(pair.price(bar.low)),
                "close": raw(pair.price(bar.close)),
                "trades": bar.trades,
                "volume": raw(size(bar.volume)),
                "vwap": raw(pair.price(bar.value / bar.volume if bar.volume else bar.close)),
                "interval_begin": iso(bar.start)[:-1] + "000Z",
                "interval": minutes,
                "timestamp": iso(bar.start + minutes * 60_000),
            }
            for bar in bars
        ]


def trade_row(pair: Pair, row: PublicTrade) -> dict[str, Any]:
    """A public trade; the side is the taker's."""
    return {
        "symbol": pair.wire,
        "side": row.side.value,
        "price": raw(pair.price(row.price)),
        "qty": raw(size(row.size)),
        "ord_type": "limit",
        "trade_id": row.id,
        "timestamp": iso(row.time),
    }


def data_frame(channel: str, kind: str, rows: Any, **more: Any) -> str:
    """A frame of a channel."""
    return _encode({"channel": channel, "type": kind, **more, "data": rows}).decode()


class Socket(JsonConnection):
    """What both sockets do: greet, answer pings, beat once a second while anything is subscribed."""

    def __init__(self, hub: Hub, *, private: bool) -> None:
        super().__init__(private=private)
        self.hub = hub
        self.books: dict[str, int] = {}
        self.trades: set[str] = set()
        self.tickers: dict[str, str] = {}
        self.bars: set[tuple[str, int]] = set()
        self._beat = hub.now_ms
        self._heard = hub.now_ms
        hub.connections.add(self)
        number = hub.next_connection()
        status = {"version": "2.0.10", "system": "online", "api_version": "v2", "connection_id": number}
        self.say({"channel": "status", "type": "update", "data": [status]})

    @property
    def subscribed(self) -> bool:
        """Whether anything is."""
        return bool(self.books or self.trades or self.tickers or self.bars)

    def receive(self, frame: str | bytes, now_ms: int) -> None:
        """One request."""
        self.hub.now_ms = self.hub.orders.now_ms = self._heard = now_ms
        try:
            asked = msgspec.json.decode(frame)
            method, params, number = asked["method"], asked.get("params") or {}, asked.get("req_id")
            if method == "ping":
                self.say({"method": "pong", **numbered(number), **self._times()})
            elif method in ("subscribe", "unsubscribe"):
                self._subscription(method, params, number)
            else:
                self.request(method, params, number)
        except UNREADABLE:  # of a shape that is not documented
            self.say({"error": "Malformed request", "success": False})

    def request(self, method: str, params: Mapping[str, Any], number: Any) -> None:
        """Anything but a subscription or ping."""
        self.fail(method, "Unsupported event", number)

    @abstractmethod
    def _subscription(self, method: str, params: Mapping[str, Any], number: Any) -> None:
        """A subscription, or its end."""

    def _times(self) -> dict[str, str]:
        return {"time_in": iso(self.hub.now_ms), "time_out": iso(self.hub.now_ms)}

    def done(self, method: str, result: Any, number: Any) -> None:
        """A good answer."""
        self.say({"method": method, "result": result, "success": True, **self._times(), **numbered(number)})

    def fail(self, method: str, text: str, number: Any, symbol: str | None = None) -> None:
        """A refusal; the socket stays."""
        named = {"symbol": symbol} if symbol is not None else {}
        self.say({"error": text, "method": method, "success": False, **named, **self._times(), **numbered(number)})

    def tick(self, now_ms: int) -> None:
        """Heartbeats, and the end of a socket that nobody uses."""
        if self.subscribed and now_ms - self._beat >= HEARTBEAT_MS:
            self._beat = now_ms
            self.out.append('{"channel":"heartbeat"}')
        if not self.subscribed and now_ms - self._heard >= IDLE_MS:
            self.closing = 1000

    def closed(self) -> None:
        """Gone."""
        self.hub.connections.discard(self)


def numbered(number: Any) -> dict[str, Any]:
    """The client's number, where it gave one."""
    return {"req_id": number} if number is not None else {}
