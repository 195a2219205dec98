"""Coinbase's public stream: level2 (arrives as l2_data), market_trades, ticker, candles, kept alive by heartbeats.

Books of a dollar product and of its USDC twin are one book: data of the twin comes under the main product's name, so the
main product is what is subscribed, and what arrives is told to everybody who wants one of its names.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from connectors.coinbase.bars import SPANS, Bar, Buckets, Minutes
from connectors.coinbase.frames import (
    Head,
    Numbering,
    dial,
    milliseconds,
    read_acknowledgement,
    read_head,
    subscription,
)
from connectors.contract import (
    UNREADABLE,
    Active,
    Alive,
    Ask,
    Channel,
    Declined,
    Dial,
    Event,
    Flow,
    Role,
    Stream,
    Topic,
    Unknown,
)
from connectors.model import BookBroken, BookDelta, BookSnapshot, Instrument, Level, Side, Ticker, Trade

PRODUCTS_A_FRAME = 50
CHANNELS = {
    Channel.BOOK: "level2",
    Channel.TRADES: "market_trades",
    Channel.TICKER: "ticker",
    Channel.CANDLES: "candles",
}


class _Row(Level, gc=False, array_like=False, rename={"price": "price_level", "size": "new_quantity"}):
    """A level under the wire's names, so that none of them has to be made a second time."""

    price: float
    size: float
    side: str


class _BookEvent(Struct, gc=False):
    type: str
    product_id: str
    updates: list[_Row]


class _Named(Struct, gc=False):
    """What is left of an event of any form: whose it is."""

    product_id: str


class _Trade(Struct, gc=False):
    product_id: str
    trade_id: str
    price: float
    size: float
    side: str
    time: str = ""


class _Trades(Struct, gc=False):
    trades: list[_Trade]


class _Ticker(Struct, gc=False):
    product_id: str = ""
    price: str = ""
    volume_24_h: str = ""
    low_24_h: str = ""
    high_24_h: str = ""
    price_percent_chg_24_h: str = ""
    best_bid: str = ""
    best_bid_quantity: str = ""
    best_ask: str = ""
    best_ask_quantity: str = ""


class _Tickers(Struct, gc=False):
    tickers: list[_Ticker]


class _Bar(Struct, gc=False):
    product_id: str
    start: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class _Bars(Struct, gc=False):
    candles: list[_Bar]


def _decoder(event: type[Struct]) -> Any:
    envelope = msgspec.defstruct(
        f"_Message{event.__name__}",
        [("events", list[event]), ("sequence_num", int | None, None), ("timestamp", str, "")],  # ty: ignore[invalid-type-form] - a type made at run time
        gc=False,
    )
    return msgspec.json.Decoder(envelope, strict=False).decode


_DECODERS = {
    "l2_data": _decoder(_BookEvent),
    "market_trades": _decoder(_Trades),
    "ticker": _decoder(_Tickers),
    "ticker_batch": _decoder(_Tickers),
    "candles": _decoder(_Bars),
}
_read_products = _decoder(_Named)
_PREFIX = '{"channel":"'


class CoinbaseMarketStream(Stream):
    """One public connection."""

    def __init__(self) -> None:
        self._numbers = Numbering()
        self._instruments: Mapping[str, Instrument] = {}
        self._names: dict[tuple[str, str], tuple[str, ...]] = {}  # (channel, product) -> the names it is wanted under
        self._wanted_bars: dict[str, list[tuple[str, str]]] = {}  # product -> (name, interval)
        self._buckets: defaultdict[str, Buckets] = defaultdict(Buckets)
        self._minutes: defaultdict[str, Minutes] = defaultdict(Minutes)
        self._sent: deque[tuple[str, str, tuple[Topic, ...]]] = deque([("subscribe", "heartbeats", ())])
        self._topics: frozenset[Topic] = frozenset()

    def opening(self, facts: Mapping[str, Any]) -> Flow[Dial]:
        """No step; the instruments say which products are twins."""
        self._instruments = facts.get("instruments", {})
        return super().opening(facts)

    def _dial(self) -> Dial:
        return dial(Role.MARKET)

    def main(self, wire: str) -> str:
        """The product whose name data of `wire` carries."""
        instrument = self._instruments.get(wire)
        return (instrument.extra.get("alias") if instrument is not None else "") or wire

    def plan(self, active: frozenset[Topic], add: Sequence[Topic], drop: Sequence[Topic]) -> list[Ask]:
        """Frames by channel. A twin whose book comes already has it sent anew, whole, for both."""
        stay = frozenset(filter(_streamed, active - frozenset(drop)))
        add, drop = list(filter(_streamed, add)), list(filter(_streamed, drop))
        self._topics = stay | frozenset(add)
        self._name()
        running = self._by_channel(stay)
        wanted, gone = self._by_channel(frozenset(add)), self._by_channel(frozenset(drop))
        asks: list[Ask] = []
        for channel, products in gone.items():
            asks += self._frames("unsubscribe", channel, sorted(products - running.get(channel, set())), tuple(drop))
        for channel, products in wanted.items():
            shared = products & running.get(channel, set())
            fresh = products - shared
            if channel == "level2" and shared:
                asks += self._frames("unsubscribe", channel, sorted(shared), ())
                fresh |= shared
            asks += self._frames("subscribe", channel, sorted(fresh), tuple(add))
        return asks

    def _name(self) -> None:
        """Who wants what arrives; trades may be wanted for bars alone."""
        names: dict[tuple[str, str], list[str]] = {}
        self._wanted_bars = {}
        for topic in sorted(self._topics, key=lambda topic: (topic.wire, topic.interval)):
            product = self.main(topic.wire)
            wires = names.setdefault((_channel(topic), product), [])
            if topic.channel is Channel.CANDLES:
                self._wanted_bars.setdefault(product, []).append((topic.wire, topic.interval))
            else:
                wires.append(topic.wire)
        self._names = {key: tuple(wires) for key, wires in names.items()}
        minutes = {product for product, wanted in self._wanted_bars.items() if any(each == "1m" for _, each in wanted)}
        for product in self._minutes.keys() - minutes:
            del self._minutes[product]  # trades that nobody listens to are missing later

    def _by_channel(self, topics: frozenset[Topic]) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for topic in sorted(topics, key=lambda topic: topic.channel):
            found.setdefault(_channel(topic), set()).add(self.main(topic.wire))
        return found

    def _frames(self, kind: str, channel: str, products: list[str], topics: tuple[Topic, ...]) -> list[Ask]:
        asks = []
        for start in range(0, len(products), PRODUCTS_A_FRAME):
            part = products[start : start + PRODUCTS_A_FRAME]
            mine = tuple(topic for topic in topics if _channel(topic) == channel and self.main(topic.wire) in part)
            self._sent.append((kind, channel, mine))
            asks.append(subscription(Role.MARKET, kind, channel, part, topics=mine))
        return asks

    # -----------------------------------------------------------------------------------------------------------------

    def _broken(self, missing: str) -> list[Event]:
        """A hole in the numbers is a hole in every book of the connection, and in minutes that are made of trades."""
        if not missing:
            return []
        self._minutes.clear()
        return [BookBroken(wires=None, why=missing)]

    def receive(self, frame: str | bytes) -> list[Event]:
        """One message of one channel."""
        before = self._numbers.last
        try:
            channel = ""
            if frame[:12] == _PREFIX:
                channel = str(frame[12 : frame.index('"', 12)])  # ty: ignore[invalid-argument-type] - text, as just compared
            decode = _DECODERS.get(channel)
            if decode is None:
                return self._other(frame)
            message = decode(frame)
            fresh, missing = self._numbers.take(message.sequence_num)
            if not fresh:
                return [Alive()]
            return [*self._broken(missing), *self._data(channel, message)]
        except UNREADABLE as error:
            unread = Unknown(f"a frame that does not fit ({type(error).__name__})", str(frame[:200]))
            return [*self._unread(frame, before), unread]

    def read_alone(self, frame: str | bytes) -> list[Event]:
        """Books with the number of their message; no book is linked by it, since it counts the whole connection."""
        events = self.receive(frame)
        for event in events:
            if isinstance(event, BookSnapshot):
                event.id = self._numbers.last
            elif isinstance(event, BookDelta):
                event.last = self._numbers.last
        return events

    def _unread(self, frame: str | bytes, before: int | None) -> list[Event]:
        """What a message that does not fit leaves in doubt: the books that it speaks of, of anything else no more than itself.

        Its number counts all the same; if even that can't be read, the next one shows the hole.
        """
        try:
            head = read_head(frame)
        except UNREADABLE:
            return []
        self._numbers.last = before  # it may have been taken before the reading failed
        fresh, missing = self._numbers.take(head.sequence_num)
        if not fresh:
            return []
        if head.channel == "market_trades":
            self._minutes.clear()
        if missing or head.channel != "l2_data":
            return self._broken(missing)
        return [BookBroken(wires=self._books_in(frame), why="a message of this book could not be read")]

    def _books_in(self, frame: str | bytes) -> tuple[str, ...] | None:
        """Whose levels a message holds that can't be read; None if it does not even say that."""
        try:
            events = _read_products(frame).events
        except UNREADABLE:
            return None
        return tuple(dict.fromkeys(wire for event in events for wire in self._wires("level2", event.product_id)))

    def _other(self, frame: str | bytes) -> list[Event]:
        head = read_head(frame)
        if head.channel in _DECODERS:  # its members come in another order
            message = _DECODERS[head.channel](frame)
            fresh, missing = self._numbers.take(message.sequence_num)
            return [*self._broken(missing), *self._data(head.channel, message)] if fresh else [Alive()]
        fresh, missing = self._numbers.take(head.sequence_num)
        if not fresh:
            return [Alive()]
        return [*self._broken(missing), *self._control(head, frame)]

    def _control(self, head: Head, frame: str | bytes) -> list[Event]:
        if head.channel in ("heartbeats", "status"):
            return [Alive()]
        if head.channel == "subscriptions":
            return self._acknowledged(read_acknowledgement(frame).active)
        if head.type == "error":
            _, _, topics = self._sent.popleft() if self._sent else ("", "", ())
            return [Declined(head.message or "the venue refused a subscription", topics)]
        return [Unknown(f"channel {head.channel or head.type}", str(frame[:200]))]

    def _acknowledged(self, active: dict[str, list[str]]) -> list[Event]:
        """The list of everything active; what was asked for and is not in it was refused without a word."""
        running = [topic for topic in self._topics if self.main(topic.wire) in active.get(_channel(topic), ())]
        events: list[Event] = [Active(tuple(sorted(running, key=lambda topic: (topic.wire, topic.channel))))]
        kind, channel, topics = self._sent.popleft() if self._sent else ("", "", ())
        refused = tuple(topic for topic in topics if self.main(topic.wire) not in active.get(channel, ()))
        if kind == "subscribe" and refused:
            names = ", ".join(sorted({topic.wire for topic in refused}))
            events.append(Declined(f"{channel} of {names} was not among what the venue confirmed", refused))
        return events

    def _data(self, channel: str, message: Any) -> list[Event]:
        if channel == "l2_data":
            return self._book(message)
        found: list[Event] = []
        for event in message.events:
            if channel == "market_trades":
                found += self._trades(event.trades)
            elif channel == "candles":
                found += self._candles(event.candles, milliseconds(message.timestamp))
            else:
                found += self._tickers(event.tickers, milliseconds(message.timestamp))
        return found

    def _wires(self, channel: str, product: str) -> tuple[str, ...]:
        return self._names.get((channel, product), (product,))

    def _book(self, message: Any) -> list[Event]:
        """Rows in the venue's order, absolute sizes; updates of one product in one message make one change."""
        time = milliseconds(message.timestamp)
        found: list[Event] = []
        last: _BookEvent | None = None
        for event in message.events:
            bids: list[Level] = [row for row in event.updates if row.side == "bid"]
            asks: list[Level] = [row for row in event.updates if row.side == "offer"]
            if len(bids) + len(asks) != len(event.updates):
                raise ValueError("a side that is neither bid nor offer")
            wires = self._wires("level2", event.product_id)
            if event.type == "snapshot":
                found += [BookSnapshot(wire=wire, bids=bids, asks=asks, time=time) for wire in wires]
            elif event.type == "update":
                if last is not None and last.type == "update" and last.product_id == event.product_id:
                    for change in found[-len(wires) :]:
                        assert isinstance(change, BookDelta)  # noqa: S101 - for the type
                        change.bids, change.asks = change.bids + bids, change.asks + asks
                else:
                    found += [BookDelta(wire=wire, bids=bids, asks=asks, time=time) for wire in wires]
            else:
                raise ValueError(f"book event {event.type}")
            last = event
        return found

    def _trades(self, rows: list[_Trade]) -> list[Event]:
        """Newest first on the wire. `side` is the maker's, so the taker did the opposite."""
        found: list[Event] = []
        minutes: dict[str, list[tuple[int, int, float, float]]] = {}
        for row in reversed(rows):
            time = milliseconds(row.time) or 0
            found += [
                Trade(wire=wire, price=row.price, amount=row.size, side=taker(row.side), time=time, id=row.trade_id)
                for wire in self._wires("market_trades", row.product_id)
            ]
            if row.product_id in self._wanted_bars and row.trade_id.isdigit():
                minutes.setdefault(row.product_id, []).append((int(row.trade_id), time, row.price, row.size))
        for product, trades in minutes.items():
            wires = [wire for wire, interval in self._wanted_bars[product] if interval == "1m"]
            for bar, closed in self._minutes[product].take(trades) if wires else ():
                found += [bar.candle(wire, "1m", closed=closed) for wire in wires]
        return found

    def _tickers(self, rows: list[_Ticker], time: int | None) -> list[Event]:
        return [
            ticker(wire, msgspec.to_builtins(row), time)
            for row in rows
            if row.product_id
            for wire in self._wires("ticker", row.product_id)
        ]

    def _candles(self, rows: list[_Bar], now: int | None) -> list[Event]:
        """Buckets of five minutes, and the longer bars that they belong to."""
        found: list[Event] = []
        products: dict[str, list[Bar]] = {}
        for row in sorted(rows, key=lambda row: row.start):
            bar = Bar(row.start * 1000, row.open, row.high, row.low, row.close, row.volume)
            products.setdefault(row.product_id, []).append(bar)
        for product, bars in products.items():
            buckets = self._buckets[product]
            buckets.take(bars)
            for wire, interval in self._wanted_bars.get(product, [(product, "5m")]):
                span = SPANS.get(interval)
                if span is None:
                    continue
                for start in dict.fromkeys(bar.start // span * span for bar in bars):
                    whole = buckets.bar(start, span)
                    if whole is not None:
                        found.append(whole.candle(wire, interval, closed=now is not None and whole.start + span <= now))
        return found


def _channel(topic: Topic) -> str:
    """The channel that carries a topic: minutes are made of trades."""
    minute = topic.channel is Channel.CANDLES and topic.interval == "1m"
    return CHANNELS[Channel.TRADES if minute else topic.channel]


def _streamed(topic: Topic) -> bool:
    """Days are read, not streamed."""
    return topic.channel in CHANNELS and (topic.channel is not Channel.CANDLES or topic.interval in ("1m", *SPANS))


def taker(side: str) -> Side:
    """The taker's side of a public trade that names its maker's (BUY or SELL)."""
    return Side(side.lower()).opposite


def ticker(wire: str, row: Mapping[str, Any], time: int | None) -> Ticker:
    """24 h statistics as the stream writes them; `open` follows from the price and its change."""

    def number(name: str) -> float | None:
        return float(row[name]) if row.get(name) not in (None, "") else None

    last, change = number("price"), number("price_percent_chg_24_h")
    return Ticker(
        wire=wire,
        bid=number("best_bid"),
        bid_size=number("best_bid_quantity"),
        ask=number("best_ask"),
        ask_size=number("best_ask_quantity"),
        last=last,
        open=opened(last, change),
        high=number("high_24_h"),
        low=number("low_24_h"),
        volume=number("volume_24_h"),
        time=time,
    )


def opened(last: float | None, change: float | None) -> float | None:
    """Price of 24 h ago, from the price and its change in per cent."""
    return None if last is None or change is None or change <= -100 else last / (1 + change / 100)
