"""Kraken's WebSocket v2 from the venue's side: subscriptions, books with their checksums, executions, orders.

The renderer owns the digits: what is summed is the very text that is sent. A level that falls out of a subscriber's depth is
never deleted by a message, one that comes back into it is sent again in full.
"""

from __future__ import annotations

import zlib
from bisect import bisect_left, insort
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec

from connectors.contract import UNREADABLE
from connectors.kraken.practice_orders import KrakenError, Orders, Wish, iso, made_id, reason_of
from connectors.kraken.practice_pairs import Pair, size
from connectors.model import InstrumentStatus, OrderStatus
from connectors.practice.exchange import Exchange
from connectors.practice.terms import (
    AccountEvent,
    BalanceChanged,
    BookLevel,
    Execution,
    Happening,
    Order,
    OrderChanged,
    PublicTrade,
    Refusal,
    Traded,
    Wallet,
)

DEPTHS = (10, 25, 100, 500, 1000)
INTERVALS = (1, 5, 15, 30, 60, 240, 1440, 10080, 21600)
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


# ---------------------------------------------------------------------------------------------------------------------
# Books


class BookSide:
    """One side as text: every level that the exchange has, and prices in order (best first by `sign`)."""

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.keys: list[Decimal] = []
        self.texts: dict[Decimal, tuple[str, str]] = {}

    def set(self, level: BookLevel, pair: Pair) -> None:
        """Put a level, or take it out at size zero."""
        key = level.price * self.sign
        if level.size:
            if key not in self.texts:
                insort(self.keys, key)
            self.texts[key] = (pair.price(level.price), size(level.size))
        elif key in self.texts:
            del self.texts[key]
            del self.keys[bisect_left(self.keys, key)]


class Book:
    """What has been told of one pair's book, for subscribers of every depth."""

    def __init__(self, exchange: Exchange, pair: Pair) -> None:
        self.exchange = exchange
        self.pair = pair
        image = exchange.book(pair.key)
        self.sequence = image.sequence
        self.time = image.time
        self.bids, self.asks = BookSide(-1), BookSide(1)
        for side, levels in ((self.bids, image.bids), (self.asks, image.asks)):
            for level in levels:
                side.set(level, pair)

    @property
    def checksum(self) -> int:
        """CRC32 over ten asks, then ten bids: price and size without points and leading zeros."""
        text = ""
        for side in (self.asks, self.bids):
            for key in side.keys[:10]:
                for part in side.texts[key]:
                    text += part.replace(".", "").lstrip("0")
        return zlib.crc32(text.encode())

    def snapshot(self, depth: int) -> str:
        """The window of a depth."""
        bids, asks = ([_level(*side.texts[key]) for key in side.keys[:depth]] for side in (self.bids, self.asks))
        return self._frame("snapshot", bids, asks)

    def advance(self, depths: set[int]) -> dict[int, str]:
        """Catch up with the exchange; the update for each depth that sees a change."""
        changes = self.exchange.book_changes(self.pair.key, self.sequence)
        if changes is None:
            raise LookupError("the exchange no longer keeps so old a change")
        if changes.last == self.sequence:
            return {}
        old = {(side, depth): side.keys[:depth] for side in (self.bids, self.asks) for depth in depths}
        for side, levels in ((self.bids, changes.bids), (self.asks, changes.asks)):
            for level in levels:
                side.set(level, self.pair)
        self.sequence, self.time = changes.last, changes.time
        found = {}
        for depth in depths:
            bids = self._changed(self.bids, changes.bids, old[self.bids, depth], depth)
            asks = self._changed(self.asks, changes.asks, old[self.asks, depth], depth)
            if bids or asks:
                found[depth] = self._frame("update", bids, asks)
        return found

    def _changed(self, side: BookSide, levels: list[BookLevel], before: list[Decimal], depth: int) -> list[str]:
        """Levels to send: deleted ones that were seen, changed ones that are seen, and those that came into view."""
        window = side.keys[:depth]
        seen, shown = set(before), set(window)
        rows = []
        for level in levels:
            key = level.price * side.sign
            if key in side.texts:
                if key in shown:
                    rows.append(_level(*side.texts[key]))
            elif key in seen:
                rows.append(_level(self.pair.price(level.price), size(Decimal(0))))
        if len(before) == depth:
            changed = {level.price * side.sign for level in levels}
            entered = window[bisect_left(window, before[-1]) :]
            rows += [_level(*side.texts[key]) for key in entered if key not in seen and key not in changed]
        return rows

    def _frame(self, kind: str, bids: list[str], asks: list[str]) -> str:
        return (
            f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"{self.pair.wire}","bids":[{",".join(bids)}],'
            f'"asks":[{",".join(asks)}],"checksum":{self.checksum},"timestamp":"{iso(self.time)}"}}]}}'
        )


def _level(price: str, qty: str) -> str:
    return f'{{"price":{price},"qty":{qty}}}'


# ---------------------------------------------------------------------------------------------------------------------
# What all connections share


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
        self.connections: set[_Connection] = set()
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
            best = self.exchange.best(pair.key)
            moved, live.best = best != live.best, best
            trades, live.trades = live.trades, []
            if trades:
                text = _data("trade", "update", [trade_row(pair, row) for row in trades])
                self._send(lambda one, text=text, wire=pair.wire: text if wire in one.trades else "")
            if trades or moved:
                self._publish_tickers(pair, trades=bool(trades))
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

    def _publish_tickers(self, pair: Pair, *, trades: bool) -> None:
        wanted = {"bbo", "trades"} if trades else {"bbo"}
        if any(one.tickers.get(pair.wire) in wanted for one in self.connections):
            text = _data("ticker", "update", [self.ticker_row(pair)])
            self._send(lambda one: text if one.tickers.get(pair.wire) in wanted else "")

    def _publish_bars(self, pair: Pair) -> None:
        for minutes in {minutes for one in self.connections for wire, minutes in one.bars if wire == pair.wire}:
            text = _data("ohlc", "update", self.bar_rows(pair, minutes, 1), timestamp=iso(self.now_ms))
            self._send(lambda one, text=text, minutes=minutes: text if (pair.wire, minutes) in one.bars else "")

    def _send(self, chosen: Callable[[_Connection], str]) -> None:
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


def _data(channel: str, kind: str, rows: Any, **more: Any) -> str:
    return _encode({"channel": channel, "type": kind, **more, "data": rows}).decode()


# ---------------------------------------------------------------------------------------------------------------------
# Connections


class _Connection:
    """What both sockets do: greet, answer pings, beat once a second while anything is subscribed."""

    private = False

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.out: list[str | bytes] = []
        self.closing: int | None = None
        self.ping_every = 0.0
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

    def say(self, value: Any) -> None:
        """Send an object."""
        self.out.append(_encode(value).decode())

    def receive(self, frame: str | bytes, now_ms: int) -> None:
        """One request."""
        self.hub.now_ms = self.hub.orders.now_ms = self._heard = now_ms
        try:
            asked = msgspec.json.decode(frame)
            method, params, number = asked["method"], asked.get("params") or {}, asked.get("req_id")
            if method == "ping":
                self.say({"method": "pong", **_numbered(number), **self._times()})
            elif method in ("subscribe", "unsubscribe"):
                self._subscription(method, params, number)
            else:
                self.request(method, params, number)
        except UNREADABLE:  # of a shape that is not documented
            self.say({"error": "Malformed request", "success": False})

    def request(self, method: str, params: Mapping[str, Any], number: Any) -> None:
        """Anything but a subscription or ping."""
        self.fail(method, "Unsupported event", number)

    def _subscription(self, method: str, params: Mapping[str, Any], number: Any) -> None:
        raise NotImplementedError

    def _times(self) -> dict[str, str]:
        return {"time_in": iso(self.hub.now_ms), "time_out": iso(self.hub.now_ms)}

    def done(self, method: str, result: Any, number: Any) -> None:
        """A good answer."""
        self.say({"method": method, "result": result, "success": True, **self._times(), **_numbered(number)})

    def fail(self, method: str, text: str, number: Any, symbol: str | None = None) -> None:
        """A refusal; the socket stays."""
        named = {"symbol": symbol} if symbol is not None else {}
        self.say({"error": text, "method": method, "success": False, **named, **self._times(), **_numbered(number)})

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


class PublicConnection(_Connection):
    """book, trade, ticker, ohlc, instrument."""

    def _subscription(self, method: str, params: Mapping[str, Any], number: Any) -> None:
        channel = params.get("channel")
        if channel == "instrument":
            self.done(method, {"channel": "instrument", "snapshot": True}, number)
            self.say({"channel": "instrument", "type": "snapshot", "data": self._instruments()})
            return
        if channel not in ("book", "trade", "ticker", "ohlc"):
            self.fail(
                method, "Private data and trading are unavailable on this endpoint. Try ws-auth.kraken.com", number
            )
            return
        if channel == "book" and params.get("depth", 10) not in DEPTHS:
            self.fail(method, "Subscription depth not supported", number)
            return
        if channel == "ohlc" and params.get("interval", 1) not in INTERVALS:
            self.fail(method, "Subscription ohlc interval not supported", number)
            return
        for symbol in params.get("symbol") or ():
            pair = self.hub.orders.by_name.get(symbol)
            if pair is None or pair.wire != symbol:
                self.fail(method, f"Currency pair not supported {symbol}", number, str(symbol))
            elif method == "subscribe":
                self._add(channel, pair, params, number)
            else:
                self._drop(channel, pair, params, number)

    def _add(self, channel: str, pair: Pair, params: Mapping[str, Any], number: Any) -> None:
        wire, hub = pair.wire, self.hub
        result: dict[str, Any] = {
            "channel": channel,
            "symbol": wire,
            "snapshot": bool(params.get("snapshot", channel != "trade")),
        }
        if channel == "book":
            depth = params.get("depth", 10)
            if self.books.get(wire, depth) != depth:
                self.fail("subscribe", "Already subscribed to this symbol at another depth", number, wire)
                return
            hub.publish_book(pair)
            self.done("subscribe", {**result, "depth": depth}, number)
            self.books[wire] = depth
            if result["snapshot"]:
                self.out.append(hub.book(pair).snapshot(depth))
        elif channel == "trade":
            self.done("subscribe", result, number)
            self.trades.add(wire)
            if result["snapshot"]:
                rows = [trade_row(pair, row) for row in hub.exchange.trades(pair.key, limit=50)]
                self.out.append(_data("trade", "snapshot", rows))
        elif channel == "ticker":
            trigger = params.get("event_trigger", "trades")
            self.done("subscribe", {**result, "event_trigger": trigger}, number)
            self.tickers[wire] = trigger
            if result["snapshot"]:
                self.out.append(_data("ticker", "snapshot", [hub.ticker_row(pair)]))
        else:
            minutes = params.get("interval", 1)
            self.done("subscribe", {**result, "interval": minutes}, number)
            self.bars.add((wire, minutes))
            if result["snapshot"]:
                rows = hub.bar_rows(pair, minutes, 10)
                self.out.append(_data("ohlc", "snapshot", rows, timestamp=iso(hub.now_ms)))

    def _drop(self, channel: str, pair: Pair, params: Mapping[str, Any], number: Any) -> None:
        wire = pair.wire
        result: dict[str, Any] = {"channel": channel, "symbol": wire}
        had = True
        if channel == "book":
            result["depth"] = params.get("depth", 10)
            had = self.books.get(wire) == result["depth"]
            if had:
                del self.books[wire]
        elif channel == "trade":
            had = wire in self.trades
            self.trades.discard(wire)
        elif channel == "ticker":
            had = self.tickers.pop(wire, None) is not None
        else:
            result["interval"] = params.get("interval", 1)
            had = (wire, result["interval"]) in self.bars
            self.bars.discard((wire, result["interval"]))
        if had:
            self.done("unsubscribe", result, number)
        else:
            self.fail("unsubscribe", "Subscription Not Found", number, wire)

    def _instruments(self) -> Any:
        """Here numbers come in exponent form."""
        pairs = []
        for pair in self.hub.orders.by_key.values():
            listing, digits = pair.listing, pair.digits
            online = self.hub.exchange.status(pair.key) is InstrumentStatus.TRADING
            pairs.append(
                {
                    "symbol": pair.wire,
                    "base": listing.base,
                    "quote": listing.quote,
                    "status": "online" if online else "cancel_only",
                    "qty_precision": 8,
                    "qty_increment": 1e-08,
                    "price_precision": digits,
                    "cost_precision": 5,
                    "marginable": False,
                    "has_index": True,
                    "cost_min": float(listing.min_notional),
                    "tick_size": float(listing.tick),
                    "price_increment": float(listing.tick),
                    "qty_min": float(listing.minimum),
                }
            )
        names = sorted({name for row in pairs for name in (row["base"], row["quote"])})
        assets = [{"id": name, "status": "enabled", "precision": 10, "precision_display": 5} for name in names]
        return {"assets": assets, "pairs": pairs}


_FIELDS = {
    "add_order": {
        "order_type", "side", "symbol", "order_qty", "cash_order_qty", "limit_price", "limit_price_type", "time_in_force",
        "expire_time", "post_only", "reduce_only", "margin", "triggers", "display_qty", "stp_type", "fee_preference", "deadline",
        "validate", "cl_ord_id", "order_userref", "token",
    },
}  # fmt: skip


class PrivateConnection(_Connection):
    """executions, balances, and the trading methods. Every frame carries the token."""

    private = True

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        self._watched: dict[str, str] = {}  # channel -> account
        self._sequence: dict[str, int] = {}
        self._totals: dict[str, Decimal] = {}
        self._ends: list[Callable[[], None]] = []

    @property
    def subscribed(self) -> bool:
        """Whether a private channel is."""
        return bool(self._watched)

    def closed(self) -> None:
        """Gone."""
        super().closed()
        for end in self._ends:
            end()
        self._ends.clear()

    # subscriptions

    def _subscription(self, method: str, params: Mapping[str, Any], number: Any) -> None:
        channel = params.get("channel")
        try:
            account = self.hub.account_of(str(params.get("token", "")))
            if channel not in ("executions", "balances"):
                raise KrakenError(
                    "Public market data subscriptions are unavailable on this endpoint. Try ws.kraken.com"
                )
        except KrakenError as error:
            self.fail(method, str(error), number)
            return
        if method == "unsubscribe":
            self._watched.pop(channel, None)
            self.done(method, {"channel": channel}, number)
            return
        if not self._watched:
            self._ends.append(self.hub.exchange.watch_account(self._hear, account))
        self._watched[channel] = account
        self._sequence[channel] = 0
        if channel == "balances":
            self.done(method, {"channel": channel, "snapshot": True}, number)
            self._tell(channel, "snapshot", self._balance_snapshot(account))
            return
        orders, trades = bool(params.get("snap_orders", True)), bool(params.get("snap_trades", False))
        told = {"channel": channel, "maxratecount": 125, "snap_orders": orders, "snap_trades": trades, "snapshot": True}
        self.done(method, told, number)
        rows: list[Any] = []
        if trades:
            rows += [self._snapshot_trade(account, fill) for fill in self.hub.exchange.fills(account, limit=50)[::-1]]
        if orders:
            rows += [self._full_row(order, "new") for order in self.hub.exchange.open_orders(account)]
        self._tell(channel, "snapshot", rows)

    def _tell(self, channel: str, kind: str, rows: list[Any]) -> None:
        self._sequence[channel] += 1
        self.say({"channel": channel, "type": kind, "data": rows, "sequence": self._sequence[channel]})

    # balances

    def _balance_snapshot(self, account: str) -> list[Any]:
        rows = []
        for row in self.hub.exchange.balances(account, Wallet.SPOT):
            self._totals[row.asset] = row.total
            wallet = {"type": "spot", "id": "main", "balance": exact(row.total)}
            rows.append(
                {"asset": row.asset, "asset_class": "currency", "balance": exact(row.total), "wallets": [wallet]}
            )
        return rows

    def _balance_changed(self, event: BalanceChanged) -> None:
        """The ledger tells totals only: what orders hold is no entry."""
        row = event.balance
        amount = row.total - self._totals.get(row.asset, Decimal(0))
        if row.wallet is not Wallet.SPOT or not amount:
            return
        self._totals[row.asset] = row.total
        ledger = {
            "ledger_id": made_id("L", event.sequence, row.asset),
            "ref_id": made_id("T", event.sequence),
            "timestamp": iso(event.time),
            "type": "trade",
            "asset": row.asset,
            "asset_class": "currency",
            "category": "trade",
            "wallet_type": "spot",
            "wallet_id": "main",
            "amount": exact(amount),
            "fee": 0.0,
            "balance": exact(row.total),
        }
        self._tell("balances", "update", [ledger])

    # executions

    def _hear(self, event: AccountEvent) -> None:
        if isinstance(event, BalanceChanged) and "balances" in self._watched:
            self._balance_changed(event)
        elif isinstance(event, OrderChanged) and "executions" in self._watched:
            for row in self._rows(event):
                self._tell("executions", "update", [row])

    def _rows(self, event: OrderChanged) -> list[Any]:
        order = event.order
        sparse = {"timestamp": iso(order.updated), "order_userref": 0, "order_id": self.hub.orders.txid(order.id)}
        _, trigger = self.hub.orders.shape(order)
        match event.what:
            case Happening.ACCEPTED:
                rows = [self._full_row(order, "pending_new"), {**sparse, "exec_type": "new", "order_status": "new"}]
                if trigger is not None and order.trigger is None:  # it starts at once
                    rows += self._triggered(order, sparse)
                return rows
            case Happening.TRIGGERED:
                return self._triggered(order, sparse)
            case Happening.FILLED if event.fill is not None:
                rows = [self._trade_row(order, event.fill)]
                if order.status is OrderStatus.FILLED:
                    rows.append({**sparse, "exec_type": "filled", "order_status": "filled", **self._sums(order)})
                return rows
            case Happening.AMENDED:
                pair = self.hub.orders.by_key[order.key]
                price = {"limit_price": raw(pair.price(order.price))} if order.price is not None else {}
                status = "partially_filled" if order.filled else "new"
                amended = {"exec_type": "amended", "order_status": status, "reason": "User requested", "amended": True}
                quantity = {"order_qty": raw(size(order.amount)), "cum_qty": raw(size(order.filled))}
                return [{**sparse, **amended, **quantity, **price}]
            case Happening.ENDED:
                word = (
                    "expired" if order.status is OrderStatus.EXPIRED and order.end_reason == "expired" else "canceled"
                )
                reason = reason_of(order)
                ended = {"exec_type": word, "order_status": word, "reason": reason, "cancel_reason": reason}
                return [{**sparse, **ended, **self._sums(order)}]
        return []

    def _triggered(self, order: Order, sparse: Mapping[str, Any]) -> list[Any]:
        pair = self.hub.orders.by_key[order.key]
        last = raw(pair.price(self.hub.exchange.ticker(order.key).last))
        state = {"status": "triggered", "timestamp": iso(order.updated), "last_price": last}
        first = {**sparse, "exec_type": "new", "order_status": "triggered", "triggered_price": last, "triggers": state}
        again = self._full_row(order, "new")
        again["triggers"] = {**again["triggers"], **state}
        return [first, again]

    def _sums(self, order: Order) -> dict[str, Any]:
        pair = self.hub.orders.by_key[order.key]
        average = order.average or Decimal(0)
        ticks = -(-average // pair.listing.tick)  # rounded up to the tick
        return {
            "cum_qty": raw(size(order.filled)),
            "cum_cost": exact(order.filled_value),
            "avg_price": raw(pair.price(ticks * pair.listing.tick)),
            "fee_usd_equiv": exact(order.fee),
        }

    def _full_row(self, order: Order, what: str) -> dict[str, Any]:
        pair = self.hub.orders.by_key[order.key]
        kind, trigger = self.hub.orders.shape(order)
        row: dict[str, Any] = {"order_id": self.hub.orders.txid(order.id), "symbol": pair.wire}
        if order.quote_amount is not None:
            row["cash_order_qty"] = exact(order.quote_amount)
        else:
            row["order_qty"] = raw(size(order.amount))
        status = "pending_new" if what == "pending_new" else "partially_filled" if order.filled else "new"
        row |= {
            "cum_cost": exact(order.filled_value if what == "new" else Decimal(0)),
            "time_in_force": order.tif.upper(),
            "exec_type": what,
            "side": order.side.value,
            "order_type": kind,
            "order_userref": 0,
            "limit_price_type": "static",
            "stop_price": raw(pair.price(trigger)),
            "limit_price": raw(pair.price(order.price)),
            "order_status": status,
            "fee_usd_equiv": 0.0,
            "fee_ccy_pref": "fciq",
            "timestamp": iso(order.updated),
        }
        if order.filled and what == "new":
            row |= self._sums(order)
        if trigger is not None:
            state = "untriggered" if order.status is OrderStatus.UNTRIGGERED or what == "pending_new" else "triggered"
            row["triggers"] = {
                "price": raw(pair.price(trigger)),
                "price_type": "static",
                "reference": "last",
                "status": state,
            }
            row["trigger"] = "last"
        if order.post_only:
            row["post_only"] = True
        if order.client_id:
            row["cl_ord_id"] = order.client_id
        return row

    def _trade_row(self, order: Order, fill: Execution) -> dict[str, Any]:
        """Even the last fill says `partially_filled`."""
        return {**self._fill_fields(order, fill), "order_status": "partially_filled", **self._sums(order)}

    def _snapshot_trade(self, account: str, fill: Execution) -> dict[str, Any]:
        """Of an old fill, without sums."""
        order = self.hub.exchange.order(account, fill.order_id)
        done = "filled" if order.status is OrderStatus.FILLED else "partially_filled"
        return {**self._fill_fields(order, fill), "order_status": done, "fee_usd_equiv": exact(fill.fee)}

    def _fill_fields(self, order: Order, fill: Execution) -> dict[str, Any]:
        pair = self.hub.orders.by_key[fill.key]
        named = {"cl_ord_id": order.client_id} if order.client_id else {}
        return {
            "order_id": self.hub.orders.txid(fill.order_id),
            "order_userref": 0,
            **named,
            "exec_id": self.hub.orders.trade_id(fill),
            "exec_type": "trade",
            "trade_id": fill.trade_id,
            "symbol": pair.wire,
            "side": fill.side.value,
            "last_qty": raw(size(fill.size)),
            "last_price": raw(pair.price(fill.price)),
            "liquidity_ind": "m" if fill.maker else "t",
            "cost": exact(fill.value),
            "order_type": self.hub.orders.shape(order)[0],
            "timestamp": iso(fill.time),
            "fees": [{"asset": fill.fee_asset, "qty": exact(fill.fee)}],
        }

    # trading

    def request(self, method: str, params: Mapping[str, Any], number: Any) -> None:
        """One of the trading methods; each answer repeats the number."""
        methods = {
            "add_order": self._add_order,
            "amend_order": self._amend_order,
            "cancel_order": self._cancel_order,
            "cancel_all": self._cancel_all,
            "cancel_all_orders_after": self._cancel_after,
            "batch_add": self._batch_add,
            "batch_cancel": self._batch_cancel,
        }
        handler = methods.get(method)
        if handler is None:
            self.fail(method, "Unsupported event", number)
            return
        try:
            account = self.hub.account_of(str(params.get("token", "")))
            strange = next((name for name in params if name not in _FIELDS.get(method, params)), None)
            if strange is not None:
                words = method.replace("_", " ")
                raise KrakenError(f"Unsupported field: '{strange}' for the given msg type: {words}")
            handler(account, params, number)
        except KrakenError as error:
            self.fail(method, str(error), number)
        except (Refusal, ValueError, TypeError, AttributeError, ArithmeticError):
            self.fail(method, "EGeneral:Invalid arguments", number)

    def _wish(self, params: Mapping[str, Any]) -> Wish:
        triggers = params.get("triggers") or {}

        def text(value: Any) -> str:
            return "" if value is None else format(Decimal(str(value)), "f")

        return Wish(
            pair=str(params.get("symbol", "")),
            side=str(params.get("side", "")),
            kind=str(params.get("order_type", "")),
            volume=text(params.get("order_qty")),
            cash=text(params.get("cash_order_qty")),
            price=text(params.get("limit_price")),
            trigger=text(triggers.get("price")),
            tif=str(params.get("time_in_force") or "gtc"),
            post=bool(params.get("post_only")),
            client_id=str(params.get("cl_ord_id") or ""),
            stp=str(params.get("stp_type") or ""),
            deadline=str(params.get("deadline") or ""),
            validate=bool(params.get("validate")),
        )

    def _placed(self, account: str, params: Mapping[str, Any]) -> dict[str, Any]:
        order = self.hub.orders.place(account, self._wish(params))
        if order is None:
            return {}
        named = {"cl_ord_id": order.client_id} if order.client_id else {}
        return {"order_id": self.hub.orders.txid(order.id), **named}

    def _add_order(self, account: str, params: Mapping[str, Any], number: Any) -> None:
        self.done("add_order", self._placed(account, params), number)

    def _batch_add(self, account: str, params: Mapping[str, Any], number: Any) -> None:
        found = []
        for one in params.get("orders") or ():
            try:
                found.append({**self._placed(account, {"symbol": params.get("symbol"), **one}), "success": True})
            except KrakenError as error:
                found.append({"success": False, "error": str(error)})
        self.done("batch_add", {"orders": found}, number)

    def _find(self, account: str, params: Mapping[str, Any]) -> Order:
        return self.hub.orders.find(
            account, txid=str(params.get("order_id") or ""), client_id=str(params.get("cl_ord_id") or "")
        )

    def _amend_order(self, account: str, params: Mapping[str, Any], number: Any) -> None:
        changed = self.hub.orders.amend(account, self._find(account, params), params)
        result = {"amend_id": self.hub.amend_id(changed), "order_id": self.hub.orders.txid(changed.id)}
        self.done("amend_order", result, number)

    def _cancel_order(self, account: str, params: Mapping[str, Any], number: Any) -> None:
        """As many answers as ids."""
        names = [("order_id", name) for name in params.get("order_id") or ()]
        names += [("cl_ord_id", name) for name in params.get("cl_ord_id") or ()]
        for field_name, name in names:
            try:
                order = self.hub.orders.cancel(account, self._find(account, {field_name: name}))
            except KrakenError as error:
                self.fail("cancel_order", str(error), number)
            else:
                named = {"cl_ord_id": order.client_id} if order.client_id else {}
                self.done("cancel_order", {"order_id": self.hub.orders.txid(order.id), **named}, number)

    def _cancel_all(self, account: str, params: Mapping[str, Any], number: Any) -> None:
        self.done("cancel_all", {"count": len(self.hub.exchange.cancel_all(account))}, number)

    def _cancel_after(self, account: str, params: Mapping[str, Any], number: Any) -> None:
        self.done("cancel_all_orders_after", self.hub.orders.cancel_after(account, str(params.get("timeout"))), number)

    def _batch_cancel(self, account: str, params: Mapping[str, Any], number: Any) -> None:
        count = self.hub.cancel_many(account, [str(name) for name in params.get("orders") or ()])
        self.say(
            {
                "method": "batch_cancel",
                "orders_cancelled": count,
                "success": True,
                **self._times(),
                **_numbered(number),
            }
        )


def _numbered(number: Any) -> dict[str, Any]:
    return {"req_id": number} if number is not None else {}
