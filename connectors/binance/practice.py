"""Binance's own end of its protocol, in front of the practice exchange: hosts, keys, routing, and what both products share.

Written from the venue's documentation, not from our connector. `practice_spot` and `practice_usdm` hold the products.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

from connectors.contract import UNREADABLE
from connectors.model import InstrumentStatus, OrderKind, OrderStatus, Side, TimeInForce
from connectors.practice.exchange import Exchange
from connectors.practice.listings import Listing
from connectors.practice.protocol import Connection, HttpAnswer, HttpRequest, Key, Keys, VenuePractice, json_answer
from connectors.practice.terms import (
    AccountEvent,
    Bar,
    NewOrder,
    Order,
    PublicTrade,
    Refusal,
    RefusalKind,
    StatusChanged,
    Traded,
)

INTERVALS = {
    "1s": 1_000,
    "1m": 60_000,
    "3m": 180_000,
    "5m": 300_000,
    "15m": 900_000,
    "30m": 1_800_000,
    "1h": 3_600_000,
    "2h": 7_200_000,
    "4h": 14_400_000,
    "6h": 21_600_000,
    "8h": 28_800_000,
    "12h": 43_200_000,
    "1d": 86_400_000,
    "3d": 259_200_000,
    "1w": 604_800_000,
    "1M": 2_592_000_000,
}
MONDAY = 4 * 86_400_000
STATUS = {
    OrderStatus.PENDING: "NEW",
    OrderStatus.UNTRIGGERED: "NEW",
    OrderStatus.OPEN: "NEW",
    OrderStatus.PARTLY_FILLED: "PARTIALLY_FILLED",
    OrderStatus.FILLED: "FILLED",
    OrderStatus.CANCELLED: "CANCELED",
    OrderStatus.REJECTED: "REJECTED",
    OrderStatus.EXPIRED: "EXPIRED",
}
encode = msgspec.json.Encoder().encode


class ApiError(Exception):
    """An error envelope of the venue."""

    def __init__(self, code: int, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.status = status


def dec(value: str, name: str) -> Decimal:
    """A decimal parameter; the venue refuses exponents and words."""
    try:
        if not value or any(letter not in "0123456789." for letter in value):
            raise ValueError
        return Decimal(value)
    except (ValueError, ArithmeticError):
        raise ApiError(
            -1100,
            f"Illegal characters found in parameter '{name}'; legal range is '^([0-9]{{1,20}})(\\.[0-9]{{1,20}})?$'.",
        ) from None


class Product:
    """What spot and USD-M have in common. `prefix` begins their paths; `number` formats a price or size."""

    prefix = ""
    futures = False
    depth_speeds: Mapping[str, int] = {}

    def __init__(self, exchange: Exchange, keys: Keys) -> None:
        self.exchange = exchange
        self.keys = keys
        self.now_ms = exchange.now_ms
        self.listings: dict[str, Listing] = {}
        self.sockets: set[StreamConnection] = set()
        self._depth_sent: dict[tuple[str, int], int] = {}
        self._due: dict[str, int] = {}
        self._best_sent: dict[str, tuple[Any, Any]] = {}
        self._used: dict[str, float] = {}
        self._used_minute = 0

    # what a symbol is

    def listing(self, symbol: str | None) -> Listing:
        """By the wire's name. ApiError -1121."""
        if not symbol:
            raise ApiError(-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
        found = self.listings.get(symbol)
        if found is None:
            raise ApiError(-1121, "Invalid symbol.")
        return found

    def symbol(self, key: str) -> str:
        """The wire's name of a listing key."""
        listing = self.exchange.listings[key]
        return listing.base + listing.quote

    def number(self, value: Decimal | None) -> str:
        """Money on the wire."""
        return f"{value or Decimal(0):.8f}"

    def book_id(self, sequence: int) -> int:
        """The id on the wire of a book's sequence number."""
        return sequence

    # public REST

    def depth(self, params: Mapping[str, str]) -> Any:
        """GET depth."""
        listing = self.listing(params.get("symbol"))
        limit = int(params.get("limit", 100 if not self.futures else 500))
        if self.futures and limit not in (5, 10, 20, 50, 100, 500, 1000):
            raise ApiError(-4021, f"{limit} is not valid depth limit.")
        image = self.exchange.book(listing.key, min(limit, 5000))
        body: dict[str, Any] = {"lastUpdateId": self.book_id(image.sequence)}
        if self.futures:
            body |= {"E": self.now_ms, "T": image.time}
        body["bids"] = [[self.number(row.price), self.number(row.size)] for row in image.bids]
        body["asks"] = [[self.number(row.price), self.number(row.size)] for row in image.asks]
        return body

    def trades(self, params: Mapping[str, str]) -> Any:
        """GET trades."""
        listing = self.listing(params.get("symbol"))
        found = self.exchange.trades(listing.key, limit=min(int(params.get("limit", 500)), 1000))
        return [
            {
                "id": row.id,
                "price": self.number(row.price),
                "qty": self.number(row.size),
                "quoteQty": self.number(row.value),
                "time": row.time,
                "isBuyerMaker": row.side is Side.SELL,
                "isBestMatch": True,
            }
            for row in found
        ]

    def agg_trades(self, params: Mapping[str, str]) -> Any:
        """GET aggTrades; here each trade is its own aggregate."""
        listing = self.listing(params.get("symbol"))
        found = self.exchange.trades(listing.key, limit=min(int(params.get("limit", 500)), 1000))
        start, end = int(params.get("startTime", 0)), int(params.get("endTime", 2**62))
        return [
            self.agg_row(row) for row in found if start <= row.time <= end and row.id >= int(params.get("fromId", 0))
        ]

    def agg_row(self, row: PublicTrade) -> dict[str, Any]:
        """One aggregated trade."""
        return {
            "a": row.id,
            "p": self.number(row.price),
            "q": self.number(row.size),
            "f": row.id,
            "l": row.id,
            "T": row.time,
            "m": row.side is Side.SELL,
            "M": True,
        }

    def klines(self, params: Mapping[str, str]) -> Any:
        """GET klines, oldest first, the last one running."""
        listing = self.listing(params.get("symbol"))
        interval = params.get("interval", "")
        if interval not in INTERVALS:
            raise ApiError(-1120, "Invalid interval.")
        start, end = params.get("startTime"), params.get("endTime")
        bars = self.bars(
            listing.key,
            interval,
            start=int(start) if start else None,
            end=int(end) if end else None,
            limit=min(int(params.get("limit", 500)), 1500 if self.futures else 1000),
        )
        span = INTERVALS[interval]
        return [
            [
                bar.start,
                self.number(bar.open),
                self.number(bar.high),
                self.number(bar.low),
                self.number(bar.close),
                self.number(bar.volume),
                bar.start + span - 1,
                self.number(bar.value),
                bar.trades,
                self.number(bar.taker_buy),
                self.number(bar.taker_buy * bar.close),
                "0",
            ]
            for bar in bars
        ]

    def bars(
        self, key: str, interval: str, *, start: int | None = None, end: int | None = None, limit: int = 500
    ) -> list[Bar]:
        """Candles of the exchange; it keeps whole minutes, so a second's bar is the running minute's."""
        span = max(60_000, INTERVALS[interval])
        offset = MONDAY if interval == "1w" else 0
        return self.exchange.candles(key, span, start=start, end=end, limit=limit, offset_ms=offset)

    def ticker_24h(self, params: Mapping[str, str]) -> Any:
        """GET ticker/24hr of one, some or all symbols."""
        if "symbol" in params:
            return self.ticker_row(self.listing(params["symbol"]).key)
        names = msgspec.json.decode(params["symbols"]) if "symbols" in params else list(self.listings)
        return [self.ticker_row(self.listing(name).key) for name in names]

    def ticker_row(self, key: str) -> dict[str, Any]:
        """24 h statistics of one listing."""
        now = self.exchange.ticker(key)
        change = now.last - now.open
        row: dict[str, Any] = {
            "symbol": self.symbol(key),
            "priceChange": self.number(change),
            "priceChangePercent": f"{change / now.open * 100 if now.open else 0:.3f}",
            "weightedAvgPrice": self.number(now.value / now.volume if now.volume else now.last),
            "lastPrice": self.number(now.last),
            "lastQty": self.number(now.last_size),
            "openPrice": self.number(now.open),
            "highPrice": self.number(now.high),
            "lowPrice": self.number(now.low),
            "volume": self.number(now.volume),
            "quoteVolume": self.number(now.value),
            "openTime": now.open_time,
            "closeTime": now.time,
            "firstId": now.first_trade,
            "lastId": now.last_trade,
            "count": now.trades,
        }
        if not self.futures:
            row |= {"prevClosePrice": self.number(now.open), **self._best_row(key)}
        return row

    def book_ticker(self, params: Mapping[str, str]) -> Any:
        """GET ticker/bookTicker."""
        if "symbol" in params:
            key = self.listing(params["symbol"]).key
            return {"symbol": self.symbol(key), **self._best_row(key)}
        return [{"symbol": name, **self._best_row(listing.key)} for name, listing in self.listings.items()]

    def price_ticker(self, params: Mapping[str, str]) -> Any:
        """GET ticker/price."""
        if "symbol" in params:
            key = self.listing(params["symbol"]).key
            return {"symbol": self.symbol(key), "price": self.number(self.exchange.ticker(key).last)}
        return [
            {"symbol": name, "price": self.number(self.exchange.ticker(listing.key).last)}
            for name, listing in self.listings.items()
        ]

    def _best_row(self, key: str) -> dict[str, str]:
        bid, ask = self.exchange.best(key)
        return {
            "bidPrice": self.number(bid.price if bid else None),
            "bidQty": self.number(bid.size if bid else None),
            "askPrice": self.number(ask.price if ask else None),
            "askQty": self.number(ask.size if ask else None),
        }

    # signed requests

    def account_of(self, request: HttpRequest, security: str) -> str:
        """Check key, signature and time by the documented recipe, on the bytes that came. Raises ApiError."""
        name = request.headers.get("x-mbx-apikey", "")
        if not name:
            raise ApiError(-2014, "API-key format invalid.", 401)
        key = self.keys.find(name)
        if key is None:
            raise ApiError(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        if security == "key":
            return key.account
        query, body = request.query, request.body.decode("utf-8", "replace")
        payload, signature = "", ""
        for part in (query, body):
            head, found, tail = part.rpartition("signature=")
            if found and (not head or head.endswith("&")):
                signature = tail
                payload += head.removesuffix("&")
            else:
                payload += part
        if not signature:
            raise ApiError(-1102, "Mandatory parameter 'signature' was not sent, was empty/null, or malformed.")
        if not self.keys.verify_sha256(key, payload.encode(), unquote(signature)):
            raise ApiError(-1022, "Signature for this request is not valid.")
        self.check_time(dict(parse_qsl(payload.replace("?", "&"), keep_blank_values=True)))
        return key.account

    def check_time(self, params: Mapping[str, Any]) -> None:
        """timestamp against recvWindow. ApiError -1021."""
        try:
            stamp, window = int(params["timestamp"]), int(params.get("recvWindow", 5000))
        except (KeyError, ValueError):
            raise ApiError(
                -1102, "Mandatory parameter 'timestamp' was not sent, was empty/null, or malformed."
            ) from None
        if window > 60_000:
            raise ApiError(-1131, "recvWindow must be less than 60000.")
        if stamp >= self.now_ms + 1000:
            raise ApiError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
        if self.now_ms - stamp > window:
            raise ApiError(-1021, "Timestamp for this request is outside of the recvWindow.")

    # orders

    def new_order(self, listing: Listing, params: Mapping[str, Any], kinds: Mapping[str, OrderKind]) -> NewOrder:
        """The exchange's order for place parameters. ApiError for what the venue checks before the engine."""
        for name in ("side", "type"):
            if not params.get(name):
                raise ApiError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
        if params["side"] not in ("BUY", "SELL"):
            raise ApiError(-1117, "Invalid side.")
        name = params["type"]
        if name not in kinds:
            raise ApiError(-1116, "Invalid orderType.")
        kind = kinds[name]
        tif = params.get("timeInForce")
        if kind.has_price and name != "LIMIT_MAKER" and tif not in ("GTC", "IOC", "FOK", "GTX"):
            raise ApiError(-1102, "Mandatory parameter 'timeInForce' was not sent, was empty/null, or malformed.")
        if (name == "LIMIT_MAKER" or kind is OrderKind.MARKET) and tif:
            raise ApiError(-1106, "Parameter 'timeInForce' sent when not required.")
        fields: dict[str, Any] = {}
        for field, source in (("amount", "quantity"), ("quote_amount", "quoteOrderQty"), ("price", "price")):
            fields[field] = dec(str(params[source]), source) if params.get(source) not in (None, "") else None
        trigger = params.get("stopPrice") or params.get("triggerPrice")
        if kind.has_price and fields["price"] is None:
            raise ApiError(-1102, "Mandatory parameter 'price' was not sent, was empty/null, or malformed.")
        if fields["amount"] is None and fields["quote_amount"] is None:
            raise ApiError(-1102, "Mandatory parameter 'quantity' was not sent, was empty/null, or malformed.")
        if kind.has_trigger and not trigger:
            raise ApiError(-1102, "Mandatory parameter 'stopPrice' was not sent, was empty/null, or malformed.")
        for field, source in (("amount", "quantity"), ("price", "price")):
            value = fields[field]
            if value is not None and -int(value.as_tuple().exponent) > 8 and value != round(value, 8):
                raise ApiError(-1111, f"Parameter '{source}' has too much precision.")
        return NewOrder(
            key=listing.key,
            side=Side(params["side"].lower()),
            kind=kind,
            trigger=dec(str(trigger), "stopPrice") if trigger else None,
            tif=TimeInForce((tif or "GTC").lower()) if tif != "GTX" else TimeInForce.GTC,
            post_only=name == "LIMIT_MAKER" or tif == "GTX",
            reduce_only=str(params.get("reduceOnly", "")).lower() == "true",
            client_id=str(params.get("newClientOrderId") or params.get("clientAlgoId") or f"pr{secrets.token_hex(10)}"),
            **fields,
        )

    def find(self, account: str, params: Mapping[str, Any], code: int) -> Order:
        """An order by orderId or origClientOrderId. ApiError `code`."""
        listing = self.listing(params.get("symbol"))
        name: int | str | None = None
        if params.get("orderId") not in (None, ""):
            name = int(params["orderId"])
        elif params.get("origClientOrderId"):
            name = str(params["origClientOrderId"])
        if name is None:
            raise ApiError(-1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!")
        text = "Unknown order sent." if code == -2011 else "Order does not exist."
        try:
            order = self.exchange.order(account, name)
        except Refusal:
            raise ApiError(code, text) from None
        if order.key != listing.key:
            raise ApiError(code, text)
        return order

    def refuse(self, refusal: Refusal) -> ApiError:
        """The venue's words for a refusal of the engine."""
        raise NotImplementedError  # pragma: no cover - both products say it in their own words

    # streams

    def publish(self, stream: str, data: Any) -> None:
        """Send to every connection that has the stream."""
        plain: bytes | None = None
        wrapped: str | None = None
        for socket in self.sockets:
            if stream in socket.streams and socket.hears(stream):
                if socket.combined:
                    wrapped = wrapped or encode({"stream": stream, "data": data}).decode()
                    socket.out.append(wrapped)
                else:
                    plain = plain or encode(data)
                    socket.out.append(plain.decode())

    def begin(self, names: Iterable[str]) -> None:
        """A depth stream runs on whether anybody listens: its next frame reaches back to before the subscription."""
        for name in names:
            symbol, _, kind = name.partition("@")
            base, _, option = kind.partition("@")
            listing, speed = self.listings.get(symbol.upper()), self.depth_speeds.get(option)
            if base == "depth" and listing is not None and speed is not None:
                self._depth_sent.setdefault((listing.key, speed), self.exchange.sequence(listing.key))

    def wanted(self) -> set[str]:
        """Streams that anybody has."""
        return set().union(*(socket.streams for socket in self.sockets)) if self.sockets else set()

    def tick(self, now_ms: int) -> None:
        """Publish what is due of every wanted stream."""
        self.now_ms = now_ms
        for stream in self.wanted():
            symbol, _, kind = stream.partition("@")
            listing = self.listings.get(symbol.upper())
            if listing is not None:
                self._publish_due(stream, kind, listing, now_ms)
            elif stream.startswith("!"):
                self._publish_all(stream, now_ms)

    def _publish_due(self, stream: str, kind: str, listing: Listing, now_ms: int) -> None:
        name, _, option = kind.partition("@")
        base = name.partition("_")[0]
        if name == "depth" or (name.startswith("depth") and name[5:].isdigit()):
            speed = self.depth_speeds.get(option)
            if speed is not None and self._is_due(stream, now_ms, speed):
                self._publish_depth(stream, name, listing, speed)
        elif base == "bookTicker":
            self._publish_best(stream, listing)
        elif base == "kline" and self._is_due(stream, now_ms, 250 if self.futures else 2000):
            interval = name.partition("_")[2]
            if interval in INTERVALS:
                self.publish(stream, self._kline(listing, interval))
        elif base in ("ticker", "miniTicker") and self._is_due(stream, now_ms, 2000 if self.futures else 1000):
            self.publish(stream, self._ticker_event(listing, mini=base == "miniTicker"))
        elif base == "markPrice" and self.futures and self._is_due(stream, now_ms, 1000 if option == "1s" else 3000):
            self.publish(stream, self.mark_event(listing))

    def _publish_all(self, stream: str, now_ms: int) -> None:
        if stream.startswith("!miniTicker@arr") and self._is_due(stream, now_ms, 1000):
            self.publish(stream, [self._ticker_event(listing, mini=True) for listing in self.listings.values()])
        elif stream.startswith("!markPrice@arr") and self.futures and self._is_due(stream, now_ms, 1000):
            self.publish(stream, [self.mark_event(listing) for listing in self.listings.values()])
        elif stream == "!bookTicker" and self.futures and self._is_due(stream, now_ms, 5000):
            for listing in self.listings.values():
                self.publish(stream, self._best_event(listing))

    def mark_event(self, listing: Listing) -> Any:
        """markPriceUpdate; USD-M only."""
        return {}

    def _is_due(self, stream: str, now_ms: int, every: int) -> bool:
        if now_ms < self._due.get(stream, 0):
            return False
        self._due[stream] = now_ms + every
        return True

    def _publish_depth(self, stream: str, name: str, listing: Listing, speed: int) -> None:
        if name != "depth":
            image = self.exchange.book(listing.key, int(name[5:]))
            self.publish(stream, self.partial_event(listing, image.sequence, image))
            return
        mark = (listing.key, speed)
        sent = self._depth_sent.get(mark)
        now = self.exchange.sequence(listing.key)
        if sent is None:
            self._depth_sent[mark] = now
            return
        changes = self.exchange.book_changes(listing.key, sent)
        if changes is None:
            self._depth_sent[mark] = now  # too far behind: a hole that the client must notice
            return
        if changes.first > changes.last:
            return
        self._depth_sent[mark] = changes.last
        self.publish(stream, self.depth_event(listing, sent, changes))

    def depth_event(self, listing: Listing, before: int, changes: Any) -> Any:
        """depthUpdate."""
        event = {
            "e": "depthUpdate",
            "E": self.now_ms,
            "s": self.symbol(listing.key),
            "U": self.book_id(changes.first),
            "u": self.book_id(changes.last),
        }
        if self.futures:
            event |= {"T": changes.time, "pu": self.book_id(before)}
        event["b"] = [[self.number(row.price), self.number(row.size)] for row in changes.bids]
        event["a"] = [[self.number(row.price), self.number(row.size)] for row in changes.asks]
        return event | ({"ps": self.symbol(listing.key), "st": 1} if self.futures else {})

    def partial_event(self, listing: Listing, sequence: int, image: Any) -> Any:
        """Partial depth: a whole top."""
        rows = {
            "bids": [[self.number(row.price), self.number(row.size)] for row in image.bids],
            "asks": [[self.number(row.price), self.number(row.size)] for row in image.asks],
        }
        if not self.futures:
            return {"lastUpdateId": self.book_id(sequence), **rows}
        event = {"e": "depthUpdate", "E": self.now_ms, "T": image.time, "s": self.symbol(listing.key)}
        ids = {"U": self.book_id(sequence), "u": self.book_id(sequence), "pu": self.book_id(sequence - 1)}
        return {**event, **ids, "b": rows["bids"], "a": rows["asks"], "ps": self.symbol(listing.key), "st": 1}

    def _publish_best(self, stream: str, listing: Listing) -> None:
        best = self.exchange.best(listing.key)
        if self._best_sent.get(listing.key) != best:
            self._best_sent[listing.key] = best
            self.publish(stream, self._best_event(listing))

    def _best_event(self, listing: Listing) -> Any:
        bid, ask = self.exchange.best(listing.key)
        event: dict[str, Any] = {"u": self.book_id(self.exchange.sequence(listing.key)), "s": self.symbol(listing.key)}
        if self.futures:
            event = {"e": "bookTicker", **event, "E": self.now_ms, "T": self.now_ms, "ps": event["s"], "st": 1}
        return event | {
            "b": self.number(bid.price if bid else None),
            "B": self.number(bid.size if bid else None),
            "a": self.number(ask.price if ask else None),
            "A": self.number(ask.size if ask else None),
        }

    def _kline(self, listing: Listing, interval: str) -> Any:
        bar = self.bars(listing.key, interval, limit=1)[-1]
        symbol = self.symbol(listing.key)
        return {
            "e": "kline",
            "E": self.now_ms,
            "s": symbol,
            "k": {
                "t": bar.start,
                "T": bar.start + INTERVALS[interval] - 1,
                "s": symbol,
                "i": interval,
                "f": -1,
                "L": -1,
                "o": self.number(bar.open),
                "c": self.number(bar.close),
                "h": self.number(bar.high),
                "l": self.number(bar.low),
                "v": self.number(bar.volume),
                "n": bar.trades,
                "x": False,
                "q": self.number(bar.value),
                "V": self.number(bar.taker_buy),
                "Q": self.number(bar.taker_buy * bar.close),
                "B": "0",
            },
        }

    def _ticker_event(self, listing: Listing, *, mini: bool) -> Any:
        row = self.ticker_row(listing.key)
        event = {
            "e": "24hrMiniTicker" if mini else "24hrTicker",
            "E": self.now_ms,
            "s": row["symbol"],
            "c": row["lastPrice"],
            "o": row["openPrice"],
            "h": row["highPrice"],
            "l": row["lowPrice"],
            "v": row["volume"],
            "q": row["quoteVolume"],
        }
        if mini:
            return event
        event |= {
            "p": row["priceChange"],
            "P": row["priceChangePercent"],
            "w": row["weightedAvgPrice"],
            "Q": row["lastQty"],
            "O": row["openTime"],
            "C": row["closeTime"],
            "F": row["firstId"],
            "L": row["lastId"],
            "n": row["count"],
        }
        if not self.futures:
            best = self._best_row(listing.key)
            event |= {
                "x": row["prevClosePrice"],
                "b": best["bidPrice"],
                "B": best["bidQty"],
                "a": best["askPrice"],
                "A": best["askQty"],
            }
        return event

    def traded(self, event: Traded) -> None:
        """A public trade, on the streams of trades."""
        symbol = self.symbol(event.key)
        row = self.agg_row(event.trade)
        head = {"E": self.now_ms, "s": symbol}
        tail = {"nq": row["q"], "st": 1} if self.futures else {}
        self.publish(f"{symbol.lower()}@aggTrade", {"e": "aggTrade", **head, **row, **tail})
        if not self.futures:
            single = {"t": event.trade.id, **{name: row[name] for name in ("p", "q", "T", "m", "M")}}
            self.publish(f"{symbol.lower()}@trade", {"e": "trade", **head, **single})

    # weight

    def weigh(self, weight: float) -> dict[str, str]:
        """Count request weight by the minute; ApiError -1003 over the limit."""
        minute = self.now_ms // 60_000
        if minute != self._used_minute:
            self._used_minute, self._used = minute, {}
        used = self._used["weight"] = self._used.get("weight", 0) + weight
        limit = 2400 if self.futures else 6000
        if used > limit:
            text = f"Too much request weight used; current limit is {limit} request weight per 1 MINUTE."
            raise ApiError(-1003, text, 429)
        return {"X-MBX-USED-WEIGHT-1M": str(int(used))}


class StreamConnection:
    """A public stream connection, or USD-M's private one."""

    private = False

    def __init__(
        self, product: Product, *, combined: bool, allowed: Callable[[str], bool] = lambda stream: True
    ) -> None:
        self.product = product
        self.combined = combined
        self.streams: set[str] = set()
        self.out: list[str | bytes] = []
        self.closing: int | None = None
        self.ping_every = 180.0 if product.futures else 20.0
        self._allowed = allowed
        self._stamps: list[int] = []
        product.sockets.add(self)

    def hears(self, stream: str) -> bool:
        """A stream on the wrong path of USD-M is acknowledged and stays silent."""
        return self._allowed(stream)

    def receive(self, frame: str | bytes, now_ms: int) -> None:
        """SUBSCRIBE, UNSUBSCRIBE, LIST_SUBSCRIPTIONS, SET_PROPERTY, GET_PROPERTY."""
        self._stamps = [*(stamp for stamp in self._stamps if stamp > now_ms - 1000), now_ms]
        if len(self._stamps) > (10 if self.product.futures else 5):
            self.closing = 1008
            return
        try:
            self._request(msgspec.json.decode(frame))
        except UNREADABLE:  # no JSON, or of a shape that is not documented
            self._say({"error": {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}})

    def _request(self, asked: Any) -> None:
        method, names, number = asked["method"], asked.get("params") or [], asked.get("id")
        result: Any = None
        match method:
            case "SUBSCRIBE":
                if any(not isinstance(name, str) or ("@" not in name and not name.startswith("!")) for name in names):
                    self._say({"error": {"code": 2, "msg": "Invalid request: invalid stream"}, "id": number})
                    return
                self.streams.update(names)
                self.product.begin(names)
                if len(self.streams) > 1024:
                    self.closing = 1008
                    return
            case "UNSUBSCRIBE":
                self.streams.difference_update(names)
            case "LIST_SUBSCRIPTIONS":
                result = sorted(self.streams)
            case "SET_PROPERTY":
                if len(names) == 2 and names[0] == "combined":
                    self.combined = bool(names[1])
            case "GET_PROPERTY":
                result = self.combined
            case _:
                self._say({"code": 2, "msg": f"Invalid request: unknown variant {method}"})
                return
        self._say({"result": result, "id": number})

    def tick(self, now_ms: int) -> None:
        """The product publishes for all."""

    def closed(self) -> None:
        """Gone."""
        self.product.sockets.discard(self)

    def _say(self, value: Any) -> None:
        self.out.append(encode(value).decode())


class BinancePractice(VenuePractice):
    """Both products behind their hosts. `credentials` is a key that may trade; a second account has `other`."""

    slug = "binance"

    def __init__(self, exchange: Exchange, credentials: Mapping[str, str] | None = None) -> None:
        from connectors.binance.practice_spot import Spot
        from connectors.binance.practice_usdm import Usdm
        from connectors.practice.server import fund

        self.exchange = exchange
        self.keys = Keys()
        self.credentials = dict(credentials or {"key": secrets.token_hex(32), "secret": secrets.token_hex(32)})
        self.other = {"key": secrets.token_hex(32), "secret": secrets.token_hex(32)}
        for account, pair in (("trader", self.credentials), ("other", self.other)):
            fund(exchange, account)
            self.keys.add(Key(pair["key"], account, pair["secret"]))
        self.spot = Spot(exchange, self.keys)
        self.usdm = Usdm(exchange, self.keys)
        exchange.watch_market(self._market)
        hosts: dict[str, tuple[str, str]] = {}
        for name in ("api", "api-gcp", "api1", "api2", "api3", "api4"):
            hosts[f"https://{name}.binance.com"] = ("rest", "")
        hosts |= {
            "https://data-api.binance.vision": ("rest", ""),
            "https://testnet.binance.vision": ("rest", ""),
            "https://demo-api.binance.com": ("rest", ""),
            "https://fapi.binance.com": ("fapi", ""),
            "https://demo-fapi.binance.com": ("fapi", ""),
            "https://testnet.binancefuture.com": ("fapi", ""),
            "wss://stream.binance.com:9443": ("stream", ""),
            "wss://stream.binance.com:443": ("stream", ""),
            "wss://data-stream.binance.vision": ("stream", ""),
            "wss://stream.testnet.binance.vision": ("stream", ""),
            "wss://demo-stream.binance.com": ("stream", ""),
            "wss://ws-api.binance.com:443/ws-api/v3": ("ws-api", "/ws-api/v3"),
            "wss://ws-api.binance.com:9443/ws-api/v3": ("ws-api", "/ws-api/v3"),
            "wss://ws-api.testnet.binance.vision/ws-api/v3": ("ws-api", "/ws-api/v3"),
            "wss://demo-ws-api.binance.com/ws-api/v3": ("ws-api", "/ws-api/v3"),
            "wss://fstream.binance.com": ("fstream", ""),
            "wss://fstream.binance.com/public": ("fstream", "/public"),
            "wss://fstream.binance.com/market": ("fstream", "/market"),
            "wss://fstream.binance.com/private": ("fstream", "/private"),
            "wss://demo-fstream.binance.com": ("fstream", ""),
            "wss://fstream.binancefuture.com": ("fstream", ""),
            "wss://ws-fapi.binance.com/ws-fapi/v1": ("ws-fapi", "/ws-fapi/v1"),
            "wss://testnet.binancefuture.com/ws-fapi/v1": ("ws-fapi", "/ws-fapi/v1"),
        }
        self.hosts = hosts

    def _market(self, event: Any) -> None:
        if isinstance(event, Traded):
            (self.usdm if self.exchange.listings[event.key].is_contract else self.spot).traded(event)
        elif isinstance(event, StatusChanged):
            pass

    def http(self, request: HttpRequest, now_ms: int) -> HttpAnswer:
        """Route by path; every error has the venue's envelope."""
        product: Any = self.usdm if request.path.startswith("/fapi/") else self.spot
        product.now_ms = now_ms
        found = product.routes.get((request.method, request.path))
        if found is None:
            known = any(path == request.path for _, path in product.routes)
            return json_answer({"code": -1000, "msg": "unknown path or method"}, 405 if known else 404)
        handler, security, weight, acts = found
        headers: dict[str, str] = {}
        try:
            headers = product.weigh(weight)
            account = product.account_of(request, security) if security else ""
            return json_answer(handler(account, request.params), 200, headers, acted=acts)
        except ApiError as error:
            extra = {"Retry-After": "30"} if error.status in (418, 429) else {}
            return json_answer({"code": error.code, "msg": error.text}, error.status, {**headers, **extra})
        except (ValueError, msgspec.DecodeError):
            return json_answer({"code": -1100, "msg": "Illegal characters found in a parameter."}, 400, headers)

    def accept(
        self, host: str, path: str, query: str, headers: Mapping[str, str], now_ms: int
    ) -> Connection | HttpAnswer:
        """Streams by path; the WebSocket APIs by theirs."""
        params = dict(parse_qsl(query, keep_blank_values=True))
        if path.startswith("/ws-api/"):
            return self.spot.open_api()
        if path.startswith("/ws-fapi/"):
            return self.usdm.open_api()
        if host == "fstream":
            return self.usdm.open_stream(path, params)
        return open_stream(self.spot, path, params)

    def is_book(self, frame: str | bytes) -> bool:
        """Depth, raw or wrapped, by name or by its event."""
        head = str(frame[:160])
        return "@depth" in head or '"depthUpdate"' in head

    def expire(self) -> bool:
        """USD-M listen keys end by time; spot's signed subscription lives as long as its socket."""
        return self.usdm.expire_listen_keys()

    def no_verdict(self) -> HttpAnswer:
        """General information: HTTP 5XX and -1007 say nothing about the execution."""
        return json_answer({"code": -1007, "msg": "Timeout waiting for response from backend server."}, 503)

    def too_many(self, seconds: int) -> HttpAnswer:
        """General information, limits: 429 with Retry-After in seconds."""
        body = {"code": -1003, "msg": "Too many requests; current limit is 6000 request weight per 1 MINUTE."}
        return json_answer(body, 429, {"Retry-After": str(seconds)})

    def tick(self, now_ms: int) -> None:
        """Let both products publish."""
        self.spot.tick(now_ms)
        self.usdm.tick(now_ms)


def open_stream(
    product: Product, path: str, params: Mapping[str, str], allowed: Callable[[str], bool] = lambda stream: True
) -> Connection | HttpAnswer:
    """`/ws[/name[/name]]` raw, `/stream[?streams=a/b]` wrapped."""
    root, _, rest = path.lstrip("/").partition("/")
    if root == "stream":
        connection = StreamConnection(product, combined=True, allowed=allowed)
        connection.streams.update(filter(None, params.get("streams", "").split("/")))
        product.begin(connection.streams)
        return connection
    if root == "ws":
        connection = StreamConnection(product, combined=False, allowed=allowed)
        connection.streams.update(filter(None, unquote(rest).split("/")))
        product.begin(connection.streams)
        return connection
    return HttpAnswer(404, b"Not found")


def tradable(status: InstrumentStatus) -> str:
    """A listing's status on the wire."""
    words = {
        InstrumentStatus.TRADING: "TRADING",
        InstrumentStatus.CANCEL_ONLY: "CANCEL_ONLY",
        InstrumentStatus.CLOSED: "HALT",
    }
    return words[status]


__all__ = ["AccountEvent", "ApiError", "BinancePractice", "Product", "RefusalKind", "StreamConnection", "tradable"]
