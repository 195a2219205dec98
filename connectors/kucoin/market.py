"""KuCoin's public streams, spot and futures: the way to a socket, books, trades, best prices, statistics, candles, marks.

Frames are routed by their topic and subject, never by the order of their keys. A public connection needs a token as a
private one does; `connect` is the opening of both.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from connectors.contract import (
    UNREADABLE,
    Accepted,
    Alive,
    Ask,
    Channel,
    ClosingSoon,
    Cost,
    Declined,
    Dial,
    Effect,
    Event,
    Flow,
    LoginLost,
    Pulse,
    Ready,
    Role,
    Stamp,
    Stream,
    Topic,
    Unknown,
)
from connectors.kucoin.signing import MANAGEMENT, PUBLIC, public, signed
from connectors.model import BookDelta, BookSnapshot, Candle, Level, MarkPrice, Side, Ticker, Trade

TOKEN_LIFE = 24 * 3600.0
SYMBOLS_A_FRAME = 100
INTERVALS = {
    "1m": ("1min", 60),
    "3m": ("3min", 180),
    "5m": ("5min", 300),
    "15m": ("15min", 900),
    "30m": ("30min", 1800),
    "1h": ("1hour", 3600),
    "2h": ("2hour", 7200),
    "4h": ("4hour", 14400),
    "6h": ("6hour", 21600),
    "8h": ("8hour", 28800),
    "12h": ("12hour", 43200),
    "1d": ("1day", 86400),
    "1w": ("1week", 604800),
    "1M": ("1month", 0),
}
_SPAN = {name: interval for interval, (name, _) in INTERVALS.items()}


# ---------------------------------------------------------------------------------------------------------------------
# Opening


class _Server(Struct):
    endpoint: str
    pingInterval: int  # noqa: N815 - the wire's name
    pingTimeout: int  # noqa: N815 - the wire's name


class _Bullet(Struct):
    token: str
    instanceServers: list[_Server]  # noqa: N815 - the wire's name


def connect(*, private: bool) -> Flow[Dial]:
    """A token by a Call, then the address that came with it. The client pings at the interval that the venue names."""
    read = lambda data: msgspec.convert(data, _Bullet, strict=False)  # noqa: E731 - the reader beside its request
    if private:
        call = signed("POST", "/api/v1/bullet-private", Cost(MANAGEMENT, 10), read, effect=Effect.SETUP)
    else:
        call = public("POST", "/api/v1/bullet-public", 10, read, pool=PUBLIC)
    bullet: _Bullet = yield call
    server = bullet.instanceServers[0]
    name = hashlib.sha256(bullet.token.encode()).hexdigest()[:20]  # any text that is new with each connection
    pulse = Pulse(
        send=ping, every=server.pingInterval / 1000, dead_after=(server.pingInterval + server.pingTimeout) / 1000
    )
    return Dial(
        url=f"{server.endpoint}?token={bullet.token}&connectId={name}",
        await_first=True,
        pulse=pulse,
        life=TOKEN_LIFE,
    )


def ping(stamp: Stamp) -> str:
    """The client's beat; neither protocol pings nor streaming data stand in for it."""
    return f'{{"id":"{stamp.time_ms}","type":"ping"}}'


# ---------------------------------------------------------------------------------------------------------------------
# Frames


class Envelope(Struct):
    """What every frame has in common."""

    type: str = ""
    id: str | int = ""
    topic: str = ""
    subject: str = ""
    code: int | str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Row(Level, array_like=True, gc=False):
    """A changed level and the number of the change that last touched it."""

    sequence: int = 0


class _Sides(Struct, gc=False):
    asks: list[_Row]
    bids: list[_Row]


class _Changes(Struct, gc=False):
    changes: _Sides
    symbol: str
    sequenceStart: int  # noqa: N815 - the wire's name
    sequenceEnd: int  # noqa: N815 - the wire's name
    time: int | None = None


class _Update(Struct, gc=False):
    topic: str
    data: _Changes


class _Whole(Struct, gc=False):
    asks: list[Level]
    bids: list[Level]
    timestamp: int | None = None
    sequence: int | None = None


class _Top(Struct, gc=False):
    asks: Level
    bids: Level
    timestamp: int | None = None


class _Match(Struct, gc=False):
    symbol: str
    side: str
    price: float
    size: float
    tradeId: str | int  # noqa: N815 - the wire's name
    time: int = 0
    ts: int = 0


class _Tick(Struct, gc=False):
    sequence: int
    price: float | None = None
    bestBid: float | None = None  # noqa: N815 - the wire's name
    bestBidSize: float | None = None  # noqa: N815 - the wire's name
    bestAsk: float | None = None  # noqa: N815 - the wire's name
    bestAskSize: float | None = None  # noqa: N815 - the wire's name
    time: int | None = None
    Time: int | None = None  # so spelled in one place of the documentation


class _Day(Struct, gc=False):
    symbol: str
    open: float | None = None
    high: float | None = None
    low: float | None = None
    close: float | None = None
    lastTradedPrice: float | None = None  # noqa: N815 - the wire's name
    vol: float | None = None
    volValue: float | None = None  # noqa: N815 - the wire's name
    buy: float | None = None
    sell: float | None = None
    bidSize: float | None = None  # noqa: N815 - the wire's name
    askSize: float | None = None  # noqa: N815 - the wire's name
    datetime: int | None = None


class _DayOuter(Struct, gc=False):
    data: _Day


class _Bar(Struct, gc=False):
    symbol: str
    candles: list[float]
    time: int = 0


class _FuturesChange(Struct, gc=False):
    sequence: int
    change: str
    timestamp: int | None = None


class _FuturesTick(Struct, gc=False):
    symbol: str
    sequence: int
    bestBidPrice: float | None = None  # noqa: N815 - the wire's name
    bestBidSize: float | None = None  # noqa: N815 - the wire's name
    bestAskPrice: float | None = None  # noqa: N815 - the wire's name
    bestAskSize: float | None = None  # noqa: N815 - the wire's name
    ts: int | None = None


class _FuturesDay(Struct, gc=False):
    symbol: str = ""
    lastPrice: float | None = None  # noqa: N815 - the wire's name
    highPrice: float | None = None  # noqa: N815 - the wire's name
    lowPrice: float | None = None  # noqa: N815 - the wire's name
    price24HoursBefore: float | None = None  # noqa: N815 - the wire's name
    priceChg: float | None = None  # noqa: N815 - the wire's name
    volume: float | None = None
    turnover: float | None = None
    ts: int | None = None


class _Mark(Struct, gc=False):
    markPrice: float  # noqa: N815 - the wire's name
    indexPrice: float | None = None  # noqa: N815 - the wire's name
    timestamp: int | None = None


def ms(time: int | None) -> int | None:
    """A time in s, ms, µs or ns as ms: the venue mixes them, and changed some of them over the years."""
    if time is None:
        return None
    if time > 10**17:
        return time // 10**6
    if time > 10**14:
        return time // 1000
    return time if time > 10**11 else time * 1000


def deltas(data: _Changes) -> list[Event]:
    """One change or several. Rows with price 0 (hidden and auction activity) change nothing but count.

    A message may span several numbers, each row with its own. It is taken apart by them, so that of a message that
    overlaps a snapshot exactly the rows after the snapshot are applied.
    """
    first, last, wire, time = data.sequenceStart, data.sequenceEnd, data.symbol, data.time
    whole = delta(data)
    if first == last or len(whole.bids) + len(whole.asks) == 0:
        return [whole]
    parts: dict[int, tuple[list[Level], list[Level]]] = {}
    for side, rows in enumerate((data.changes.bids, data.changes.asks)):
        for row in filter(_real, rows):
            parts.setdefault(min(max(row.sequence, first), last), ([], []))[side].append(row)
    parts.setdefault(last, ([], []))
    found: list[Event] = []
    for number in sorted(parts):
        left, right = parts[number]
        found.append(BookDelta(wire=wire, bids=left, asks=right, first=first, last=number, time=time))
        first = number + 1
    return found


def delta(data: _Changes) -> BookDelta:
    """The message as the one change that it is on the wire."""
    bids: list[Level] = list(filter(_real, data.changes.bids))
    asks: list[Level] = list(filter(_real, data.changes.asks))
    first, last = data.sequenceStart, data.sequenceEnd
    return BookDelta(wire=data.symbol, bids=bids, asks=asks, first=first, last=last, time=data.time)


def _real(row: Level) -> bool:
    return row.price > 0


def _symbols(topic: str) -> str:
    return topic.partition(":")[2]


def _spot_delta(data: _Changes, envelope: Envelope) -> list[Event]:
    return deltas(data)


def _whole(data: _Whole, envelope: Envelope) -> list[Event]:
    """`level2Depth5`, `level2Depth50`: a whole top of the book with every push."""
    head, _, wire = envelope.topic.partition(":")
    digits = head.rpartition("Depth")[2]
    depth = int(digits) if digits.isdigit() else None
    time = ms(data.timestamp)
    return [BookSnapshot(wire=wire, bids=data.bids, asks=data.asks, id=data.sequence, depth=depth, time=time)]


def _top(data: _Top, envelope: Envelope) -> list[Event]:
    bid, ask = data.bids, data.asks
    wire, time = _symbols(envelope.topic), ms(data.timestamp)
    return [Ticker(wire=wire, bid=bid.price, bid_size=bid.size, ask=ask.price, ask_size=ask.size, time=time)]


def _match(data: _Match, envelope: Envelope) -> list[Event]:
    """`side` is the taker's."""
    side, time = Side(data.side), ms(data.time or data.ts) or 0
    return [Trade(wire=data.symbol, price=data.price, amount=data.size, side=side, time=time, id=str(data.tradeId))]


def _tick(data: _Tick, envelope: Envelope) -> list[Event]:
    """Best prices with the book's number: a witness for the book at exactly that number."""
    wire = _symbols(envelope.topic)
    return [
        Ticker(
            wire=envelope.subject if wire == "all" else wire,
            bid=data.bestBid,
            bid_size=data.bestBidSize,
            ask=data.bestAsk,
            ask_size=data.bestAskSize,
            last=data.price,
            id=data.sequence,
            time=ms(data.time if data.time is not None else data.Time),
        )
    ]


def _day(data: _DayOuter, envelope: Envelope) -> list[Event]:
    day = data.data
    return [
        Ticker(
            wire=day.symbol,
            bid=day.buy,
            bid_size=day.bidSize,
            ask=day.sell,
            ask_size=day.askSize,
            last=day.lastTradedPrice if day.lastTradedPrice is not None else day.close,
            open=day.open,
            high=day.high,
            low=day.low,
            volume=day.vol,
            quote_volume=day.volValue,
            time=ms(day.datetime),
        )
    ]


def _bar(data: _Bar, envelope: Envelope) -> list[Event]:
    """Start in seconds, open, close, high, low, volume, turnover. A bar is over when the next one begins."""
    start, first, close, high, low, volume, turnover = data.candles
    return [_candle(data, envelope, int(start), (first, high, low, close), volume, turnover)]


def _futures_bar(data: _Bar, envelope: Envelope) -> list[Event]:
    """The same order; the last figure is the volume in lots, the one before is not to be relied on."""
    start, first, close, high, low, *_, volume = data.candles
    return [_candle(data, envelope, int(start), (first, high, low, close), volume, None)]


def _candle(
    data: _Bar,
    envelope: Envelope,
    start: int,
    prices: tuple[float, float, float, float],
    volume: float,
    turnover: float | None,
) -> Candle:
    span = _SPAN[envelope.topic.rpartition("_")[2]]
    return Candle(
        wire=data.symbol,
        interval=span,
        start=start * 1000,
        open=prices[0],
        high=prices[1],
        low=prices[2],
        close=prices[3],
        volume=volume,
        closed=False,
        quote_volume=turnover,
    )


def _futures_delta(data: _FuturesChange, envelope: Envelope) -> list[Event]:
    """One change a message: "price,side,size in lots"."""
    price, side, size = data.change.split(",")
    row = [Level(float(price), float(size))]
    buys = Side(side) is Side.BUY
    return [
        BookDelta(
            wire=_symbols(envelope.topic),
            bids=row if buys else [],
            asks=[] if buys else row,
            first=data.sequence,
            last=data.sequence,
            time=ms(data.timestamp),
        )
    ]


def _futures_tick(data: _FuturesTick, envelope: Envelope) -> list[Event]:
    return [
        Ticker(
            wire=data.symbol,
            bid=data.bestBidPrice,
            bid_size=data.bestBidSize,
            ask=data.bestAskPrice,
            ask_size=data.bestAskSize,
            id=data.sequence,
            time=ms(data.ts),
        )
    ]


def _futures_day(data: _FuturesDay, envelope: Envelope) -> list[Event]:
    """Volume in base units (not in lots), turnover in quote."""
    before = data.price24HoursBefore
    if before is None and data.lastPrice is not None and data.priceChg is not None:
        before = data.lastPrice - data.priceChg
    return [
        Ticker(
            wire=data.symbol or _symbols(envelope.topic),
            last=data.lastPrice,
            open=before,
            high=data.highPrice,
            low=data.lowPrice,
            volume=data.volume,
            quote_volume=data.turnover,
            time=ms(data.ts),
        )
    ]


def _mark(data: _Mark, envelope: Envelope) -> list[Event]:
    wire, time = _symbols(envelope.topic), ms(data.timestamp)
    return [MarkPrice(wire=wire, mark=data.markPrice, index=data.indexPrice, time=time)]


def _ignored(data: Any, envelope: Envelope) -> list[Event]:
    """Understood, and nothing that the model has a place for."""
    return []


_Reader = tuple[Callable[[bytes | msgspec.Raw], Any], Callable[[Any, Envelope], list[Event]]]


def _reader(kind: Any, read: Callable[[Any, Envelope], list[Event]]) -> _Reader:
    return (msgspec.json.Decoder(kind, strict=False).decode, read)


# By topic without its symbols; where a topic carries several subjects, by both.
SPOT_TOPICS: dict[str, _Reader] = {
    "/market/level2": _reader(_Changes, _spot_delta),
    "/spotMarket/level2Depth5": _reader(_Whole, _whole),
    "/spotMarket/level2Depth50": _reader(_Whole, _whole),
    "/spotMarket/level1": _reader(_Top, _top),
    "/market/match": _reader(_Match, _match),
    "/market/ticker": _reader(_Tick, _tick),
    "/market/snapshot": _reader(_DayOuter, _day),
    "/market/candles": _reader(_Bar, _bar),
}
FUTURES_TOPICS: dict[str, _Reader] = {
    "/contractMarket/level2": _reader(_FuturesChange, _futures_delta),
    "/contractMarket/level2Depth5": _reader(_Whole, _whole),
    "/contractMarket/level2Depth50": _reader(_Whole, _whole),
    "/contractMarket/execution": _reader(_Match, _match),
    "/contractMarket/tickerV2": _reader(_FuturesTick, _futures_tick),
    "/contractMarket/snapshot": _reader(_FuturesDay, _futures_day),
    "/contractMarket/limitCandle": _reader(_Bar, _futures_bar),
    "/contract/instrument mark.index.price": _reader(_Mark, _mark),
    "/contract/instrument funding.rate": _reader(Any, _ignored),  # of the running minute, not of the period
}
_SPOT_NAMES = {
    Channel.BOOK: "/market/level2",
    Channel.TRADES: "/market/match",
    Channel.TOP: "/market/ticker",
    Channel.TICKER: "/market/snapshot",
    Channel.CANDLES: "/market/candles",
}
_FUTURES_NAMES = {
    Channel.BOOK: "/contractMarket/level2",
    Channel.TRADES: "/contractMarket/execution",
    Channel.TOP: "/contractMarket/tickerV2",
    Channel.TICKER: "/contractMarket/snapshot",
    Channel.CANDLES: "/contractMarket/limitCandle",
    Channel.MARK: "/contract/instrument",
}

_envelope = msgspec.json.Decoder(Envelope, strict=False).decode
_update = msgspec.json.Decoder(_Update, strict=False).decode


class KucoinStream(Stream):
    """What public and private connections share: the opening, subscriptions by id, and control frames."""

    private = False

    def __init__(self) -> None:
        self._asked: dict[str, tuple[Topic, ...]] = {}

    def opening(self, facts: Mapping[str, Any]) -> Flow[Dial]:
        """See `connect`."""
        return connect(private=self.private)

    def ask(self, endpoint: str, kind: str, topic: str, topics: tuple[Topic, ...]) -> Ask:
        """Subscribe or unsubscribe; the venue repeats the id in its answer, always as text."""
        number = str(len(self._asked) + 1)
        self._asked[number] = topics
        payload = {"type": kind, "topic": topic, "privateChannel": self.private, "response": True}
        return Ask(endpoint=endpoint, id=number, payload=payload, topics=topics, answered=False)

    def receive(self, frame: str | bytes) -> list[Event]:
        """One frame, whatever it is."""
        try:
            envelope = _envelope(frame)
            if envelope.type == "message":
                return self.message(envelope, frame)
            return self._control(envelope, frame)
        except UNREADABLE as error:
            return [Unknown(f"a frame that does not fit ({type(error).__name__})", str(frame[:200]))]

    @abstractmethod
    def message(self, envelope: Envelope, frame: str | bytes) -> list[Event]:
        """A frame with data."""

    def _control(self, envelope: Envelope, frame: str | bytes) -> list[Event]:
        number = str(envelope.id)
        match envelope.type:
            case "pong":
                return [Alive()]
            case "welcome":
                return [Ready()]
            case "ack":
                return [Accepted(topics=self._asked.get(number, ()), ask=number)]
            case "error":
                said = msgspec.json.decode(envelope.data)
                text = said if isinstance(said, str) else str(said)
                if "token" in text.lower():
                    return [LoginLost(text)]
                if text == "ping timeout":
                    return [ClosingSoon(text)]
                topics = self._asked.get(number, ())
                return [Declined(text, topics=topics, ask=number if topics else "", code=str(envelope.code))]
        return [Unknown(f"a frame of type {envelope.type!r}", str(frame[:200]))]


class KucoinMarketStream(KucoinStream):
    """One public connection. `futures`: topics of a contract each, one change a book message."""

    def __init__(self, *, futures: bool) -> None:
        super().__init__()
        self._futures = futures
        self._readers = FUTURES_TOPICS if futures else SPOT_TOPICS
        self._names = _FUTURES_NAMES if futures else _SPOT_NAMES

    def plan(self, active: frozenset[Topic], add: Sequence[Topic], drop: Sequence[Topic]) -> list[Ask]:
        """Spot takes up to 100 symbols in a topic; candles, and everything on futures, go one by one."""
        asks = []
        for kind, topics in (("unsubscribe", drop), ("subscribe", add)):
            together: dict[str, list[Topic]] = {}
            for topic in topics:
                alone = self._futures or topic.channel is Channel.CANDLES
                together.setdefault(self.topic_name(topic) if alone else self._names[topic.channel], []).append(topic)
            for name, members in together.items():
                for start in range(0, len(members), SYMBOLS_A_FRAME):
                    part = tuple(members[start : start + SYMBOLS_A_FRAME])
                    text = name if ":" in name else f"{name}:{','.join(topic.wire for topic in part)}"
                    asks.append(self.ask(Role.MARKET, kind, text, part))
        return asks

    def topic_name(self, topic: Topic) -> str:
        """The venue's topic of one instrument."""
        name = f"{self._names[topic.channel]}:{topic.wire}"
        return f"{name}_{INTERVALS[topic.interval][0]}" if topic.channel is Channel.CANDLES else name

    def receive(self, frame: str | bytes) -> list[Event]:
        """Book updates of spot are most of the traffic: they are decoded in one go."""
        if isinstance(frame, str) and '"trade.l2update"' in frame:
            try:
                return deltas(_update(frame).data)
            except UNREADABLE:
                pass  # the words stood elsewhere, or something is wrong: the careful way tells
        return super().receive(frame)

    def read_alone(self, frame: str | bytes) -> list[Event]:
        """A book update is told as one: only for the sake of a snapshot inside its numbers it is taken apart."""
        found = self.receive(frame)
        return [delta(_update(frame).data)] if len(found) > 1 and isinstance(found[0], BookDelta) else found

    def message(self, envelope: Envelope, frame: str | bytes) -> list[Event]:
        """By topic."""
        head = envelope.topic.partition(":")[0]
        reader = self._readers.get(head) or self._readers.get(f"{head} {envelope.subject}")
        if reader is None:
            return [Unknown(f"topic {head} {envelope.subject}".strip(), str(frame[:200]))]
        decode, read = reader
        return read(decode(envelope.data), envelope)
