"""Binance's public streams from the venue's side: who listens to what, what is due of it when, and their sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import unquote

import msgspec

from connectors.binance.practice_bars import closes
from connectors.binance.practice_rest import Rest
from connectors.binance.practice_terms import INTERVALS, encode
from connectors.contract import UNREADABLE
from connectors.practice.connection import JsonConnection
from connectors.practice.exchange import Exchange
from connectors.practice.listings import Listing
from connectors.practice.protocol import Connection, HttpAnswer, Keys
from connectors.practice.terms import Bar, Traded


class Product(Rest):
    """What spot and USD-M have in common, their public streams included."""

    depth_speeds: Mapping[str, int] = {}

    def __init__(self, exchange: Exchange, keys: Keys) -> None:
        super().__init__(exchange, keys)
        self.sockets: set[StreamConnection] = set()
        self._depth_sent: dict[tuple[str, int], int] = {}
        self._due: dict[str, int] = {}
        self._best_sent: dict[str, tuple[Any, Any]] = {}
        self._bar_sent: dict[str, int] = {}  # by stream, the opening of the last bar

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
        elif base == "kline" and self._is_due(stream, now_ms, self._bar_every(name)):
            interval = name.partition("_")[2]
            if interval in INTERVALS:
                self._publish_bar(stream, listing, interval)
        elif base in ("ticker", "miniTicker") and self._is_due(stream, now_ms, 2000 if self.futures else 1000):
            self.publish(stream, self._ticker_event(listing, mini=base == "miniTicker"))
        elif base == "markPrice" and self.futures and self._is_due(stream, now_ms, 1000 if option == "1s" else 3000):
            self.publish(stream, self.mark_event(listing))

    def _bar_every(self, name: str) -> int:
        return 250 if self.futures else 1000 if name == "kline_1s" else 2000

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

    def _publish_bar(self, stream: str, listing: Listing, interval: str) -> None:
        """The running bar; before the first of a new one, the last of the old one."""
        bars = self.bars(listing.key, interval, limit=2)
        before = self._bar_sent.get(stream)
        if len(bars) > 1 and before is not None and before == bars[-2].start:
            self.publish(stream, self._kline(listing, interval, bars[-2], closed=True))
        if bars:
            self._bar_sent[stream] = bars[-1].start
            self.publish(stream, self._kline(listing, interval, bars[-1], closed=False))

    def _kline(self, listing: Listing, interval: str, bar: Bar, *, closed: bool) -> Any:
        symbol = self.symbol(listing.key)
        return {
            "e": "kline",
            "E": self.now_ms,
            "s": symbol,
            "k": {
                "t": bar.start,
                "T": closes(bar.start, interval),
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
                "x": closed,
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


class StreamConnection(JsonConnection):
    """A public stream connection, or USD-M's private one."""

    def __init__(
        self,
        product: Product,
        *,
        combined: bool,
        allowed: Callable[[str], bool] = lambda stream: True,
        private: bool = False,
    ) -> None:
        super().__init__(private=private, ping_every=180.0 if product.futures else 20.0)
        self.product = product
        self.combined = combined
        self.streams: set[str] = set()
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
            self.say({"error": {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}})

    def _request(self, asked: Any) -> None:
        method, names, number = asked["method"], asked.get("params") or [], asked.get("id")
        result: Any = None
        match method:
            case "SUBSCRIBE":
                if any(not isinstance(name, str) or ("@" not in name and not name.startswith("!")) for name in names):
                    self.say({"error": {"code": 2, "msg": "Invalid request: invalid stream"}, "id": number})
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
                self.say({"code": 2, "msg": f"Invalid request: unknown variant {method}"})
                return
        self.say({"result": result, "id": number})

    def closed(self) -> None:
        """Gone."""
        self.product.sockets.discard(self)


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
