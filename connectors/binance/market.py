"""Binance's public streams, spot and USD-M futures: depth, trades, best prices, statistics, candles, mark price.

The combined form (`/stream`) is used, because some raw objects do not name their symbol. The stream's name says what the
data is, so each frame is decoded once, into the one Struct that fits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import msgspec
from msgspec import Struct

from connectors.contract import (
    UNREADABLE,
    Accepted,
    Ask,
    Channel,
    ClosingSoon,
    Declined,
    Dial,
    Event,
    Role,
    Stream,
    Topic,
    Unknown,
)
from connectors.model import BookDelta, BookSnapshot, Candle, Level, MarkPrice, Side, Ticker, Trade

NAMES_A_FRAME = 200
USDM_BOOKS = "market.public"  # depth and best prices; wrong path = silence
USDM_REST = "market.market"


class _Depth(Struct, gc=False):
    U: int
    u: int
    b: list[Level]
    a: list[Level]
    s: str = ""
    E: int = 0
    pu: int | None = None
    st: int = 1


class _Partial(Struct, gc=False):
    bids: list[Level]
    asks: list[Level]
    lastUpdateId: int  # noqa: N815 - the wire's name


class _Trade(Struct, gc=False):
    s: str
    p: float
    q: float
    T: int
    m: bool
    t: int = 0
    a: int = 0
    st: int = 1


class _Best(Struct, gc=False):
    s: str
    u: int
    b: float
    B: float
    a: float
    A: float
    E: int | None = None
    st: int = 1


class _Ticker(Struct, gc=False):
    s: str
    c: float
    o: float
    h: float
    l: float  # noqa: E741 - the wire's name
    v: float
    q: float
    E: int = 0
    b: float | None = None
    B: float | None = None
    a: float | None = None
    A: float | None = None
    st: int = 1


class _Bar(Struct, gc=False):
    t: int
    i: str
    o: float
    h: float
    l: float  # noqa: E741 - the wire's name
    c: float
    v: float
    q: float
    x: bool


class _Kline(Struct, gc=False):
    s: str
    k: _Bar
    st: int = 1


class _Mark(Struct, gc=False):
    s: str
    p: float
    E: int = 0
    i: float | None = None
    r: float | str | None = None  # "" where a contract has no funding
    T: int | None = None
    st: int = 1


def _depth(data: _Depth, name: str) -> Event:
    wire = data.s or name.partition("@")[0].upper()
    return BookDelta(wire=wire, bids=data.b, asks=data.a, first=data.U, last=data.u, prev=data.pu, time=data.E)


def _top_of_depth(data: _Depth, name: str) -> Event:
    """USD-M partial depth looks like a delta; only the stream's name tells that it is a whole top."""
    return BookSnapshot(wire=data.s, bids=data.b, asks=data.a, id=data.u, depth=_levels(name), time=data.E)


def _partial(data: _Partial, name: str) -> Event:
    wire = name.partition("@")[0].upper()
    return BookSnapshot(wire=wire, bids=data.bids, asks=data.asks, id=data.lastUpdateId, depth=_levels(name))


def _trade(data: _Trade, name: str) -> Event:
    """`m`: the buyer was the maker, so the taker sold."""
    side = Side.SELL if data.m else Side.BUY
    return Trade(wire=data.s, price=data.p, amount=data.q, side=side, time=data.T, id=str(data.t or data.a))


def _best(data: _Best, name: str) -> Event:
    return Ticker(wire=data.s, bid=data.b, bid_size=data.B, ask=data.a, ask_size=data.A, id=data.u, time=data.E)


def _ticker(data: _Ticker, name: str) -> Event:
    return Ticker(
        wire=data.s,
        bid=data.b,
        bid_size=data.B,
        ask=data.a,
        ask_size=data.A,
        last=data.c,
        open=data.o,
        high=data.h,
        low=data.l,
        volume=data.v,
        quote_volume=data.q,
        time=data.E,
    )


def _kline(data: _Kline, name: str) -> Event:
    bar = data.k
    return Candle(
        wire=data.s,
        interval=bar.i,
        start=bar.t,
        open=bar.o,
        high=bar.h,
        low=bar.l,
        close=bar.c,
        volume=bar.v,
        closed=bar.x,
        quote_volume=bar.q,
    )


def _mark(data: _Mark, name: str) -> Event:
    rate = None if data.r in (None, "") else float(data.r)
    return MarkPrice(wire=data.s, mark=data.p, index=data.i, rate=rate, next_funding=data.T, time=data.E)


def _levels(name: str) -> int:
    digits = name.split("@")[1].removeprefix("depth")
    return int(digits) if digits.isdigit() else 0


# By what stands behind the symbol in a stream's name, and by the `e` of a raw object.
_KINDS: dict[str, tuple[type[Struct], Callable[[Any, str], Event]]] = {
    "depth": (_Depth, _depth),
    "trade": (_Trade, _trade),
    "aggTrade": (_Trade, _trade),
    "bookTicker": (_Best, _best),
    "ticker": (_Ticker, _ticker),
    "miniTicker": (_Ticker, _ticker),
    "kline": (_Kline, _kline),
    "markPrice": (_Mark, _mark),
}
_EVENTS = {
    "depthUpdate": "depth",
    "trade": "trade",
    "aggTrade": "aggTrade",
    "bookTicker": "bookTicker",
    "24hrTicker": "ticker",
    "24hrMiniTicker": "miniTicker",
    "kline": "kline",
    "markPriceUpdate": "markPrice",
}


def _decoder(kind: type[Struct]) -> Callable[[str | bytes], Any]:
    envelope = msgspec.defstruct(f"_Envelope{kind.__name__}", [("data", kind)], gc=False)
    return msgspec.json.Decoder(envelope, strict=False).decode


_DECODERS = {kind: _decoder(kind) for kind in {kind for kind, _ in _KINDS.values()} | {_Partial}}
_any = msgspec.json.Decoder().decode


class BinanceMarketStream(Stream):
    """One public connection. `futures`: USD-M, where trades come aggregated and partial depth looks like a delta."""

    def __init__(self, *, futures: bool) -> None:
        self._futures = futures
        self._asked: dict[str, tuple[Topic, ...]] = {}
        self._kinds: dict[str, tuple[Callable[[str | bytes], Any], Callable[[Any, str], Event]]] = {}

    def _dial(self) -> Dial:
        return Dial(path="/stream")

    def plan(self, active: frozenset[Topic], add: Sequence[Topic], drop: Sequence[Topic]) -> list[Ask]:
        """SUBSCRIBE and UNSUBSCRIBE with up to 200 names each."""
        asks = []
        for method, topics in (("UNSUBSCRIBE", drop), ("SUBSCRIBE", add)):
            for start in range(0, len(topics), NAMES_A_FRAME):
                part = tuple(topics[start : start + NAMES_A_FRAME])
                names = [self.stream_name(topic) for topic in part]
                payload = {"method": method, "params": names}
                endpoint = route(topics[0]) if self._futures else Role.MARKET
                asks.append(Ask(endpoint=endpoint, id="", payload=payload, topics=part, answered=False))
        return asks

    def stream_name(self, topic: Topic) -> str:
        """The stream that carries a topic; stream names use lower-case symbols."""
        kind = {
            Channel.BOOK: "depth@100ms",
            Channel.TRADES: "aggTrade" if self._futures else "trade",
            Channel.TOP: "bookTicker",
            Channel.TICKER: "ticker",
            Channel.CANDLES: f"kline_{topic.interval}",
            Channel.MARK: "markPrice@1s",
        }[topic.channel]
        return f"{topic.wire.lower()}@{kind}"

    def receive(self, frame: str | bytes) -> list[Event]:
        """One combined frame, acknowledgement or error."""
        try:
            if frame[:11] == '{"stream":"':
                end = frame.index('"', 11)  # ty: ignore[invalid-argument-type] - text, as just compared
                return self._data(frame, frame[11:end])  # ty: ignore[invalid-argument-type] - text
            return self._other(frame)
        except UNREADABLE as error:
            return [Unknown(f"a frame that does not fit ({type(error).__name__})", str(frame[:200]))]

    def read_alone(self, frame: str | bytes) -> list[Event]:
        """A raw top of spot's book is one, whosever it is: only the stream's name tells that."""
        events = self.receive(frame)
        if len(events) == 1 and isinstance(events[0], Unknown):
            with suppress(*UNREADABLE):
                top = msgspec.json.decode(frame, type=_Partial, strict=False)
                return [BookSnapshot(wire="", bids=top.bids, asks=top.asks, id=top.lastUpdateId)]
        return events

    def _data(self, frame: str | bytes, name: str) -> list[Event]:
        found = self._kinds.get(name)
        if found is None:
            if name.startswith("!"):
                return self._array(frame, name)
            kind = name.partition("@")[2].partition("@")[0].partition("_")[0]
            partial = kind.startswith("depth") and kind != "depth"
            if partial and not self._futures:
                found = (_DECODERS[_Partial], _partial)
            elif partial:
                found = (_DECODERS[_Depth], _top_of_depth)
            elif kind in _KINDS:
                found = (_DECODERS[_KINDS[kind][0]], _KINDS[kind][1])
            else:
                return [Unknown(f"stream {kind}", str(frame[:200]))]
            self._kinds[name] = found
        decode, read = found
        data = decode(frame).data
        if getattr(data, "st", 1) != 1:
            return []  # a COIN-M row on a USD-M stream
        return [read(data, name)]

    def _array(self, frame: str | bytes, name: str) -> list[Event]:
        data = _any(frame)["data"]
        if name == "!serverShutdown":
            return [ClosingSoon("the venue restarts this server")]
        return [event for row in (data if isinstance(data, list) else [data]) for event in self._raw(row)]

    def _other(self, frame: str | bytes) -> list[Event]:
        row = _any(frame)
        if isinstance(row, list):
            return [event for part in row for event in self._raw(part)]
        if "stream" in row:
            return self._data(frame, row["stream"])
        if "result" in row and "id" in row:
            return [Accepted(ask=str(row["id"]))]
        error = row.get("error") if isinstance(row.get("error"), dict) else row
        if "code" in error and "msg" in error:
            ask = str(row["id"]) if row.get("id") is not None else ""
            return [Declined(str(error["msg"]), ask=ask, code=str(error["code"]))]
        return self._raw(row)

    def _raw(self, row: Any) -> list[Event]:
        """An object without its envelope, as on `/ws`."""
        name = row.get("e")
        if name == "serverShutdown":
            return [ClosingSoon("the venue restarts this server")]
        if name is None and {"u", "b", "B", "a", "A"} <= row.keys():
            name = "bookTicker"
        if name not in _EVENTS:
            return [Unknown(f"event {name}", str(row)[:200])]
        kind, read = _KINDS[_EVENTS[name]]
        data = msgspec.convert(row, kind, strict=False)
        return [] if getattr(data, "st", 1) != 1 else [read(data, "")]


def route(topic: Topic) -> str:
    """USD-M: books and best prices on one path, everything else on another."""
    return USDM_BOOKS if topic.channel in (Channel.BOOK, Channel.TOP) else USDM_REST
