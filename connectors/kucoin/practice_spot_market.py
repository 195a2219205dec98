"""KuCoin spot's public side from the venue's end: names, market data over HTTP, and the public topics.

Book numbers have room for hidden activity: after every fourth change one number is taken by a row with price "0".
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec

from connectors.kucoin.practice_listings import OLD_NAMES
from connectors.kucoin.practice_product import ApiError, Caller, Product, Venue, number, text
from connectors.model import InstrumentStatus, Side
from connectors.practice.listings import Listing
from connectors.practice.terms import BookChanged, Traded

SPANS = {
    "1min": 60_000,
    "3min": 180_000,
    "5min": 300_000,
    "15min": 900_000,
    "30min": 1_800_000,
    "1hour": 3_600_000,
    "2hour": 7_200_000,
    "4hour": 14_400_000,
    "6hour": 21_600_000,
    "8hour": 28_800_000,
    "12hour": 43_200_000,
    "1day": 86_400_000,
    "1week": 604_800_000,
    "1month": 2_592_000_000,
}
FIRST = 14_610_500_000  # book numbers begin somewhere


def order_id(order: int) -> str:
    """An order's id on the wire: 24 hex digits."""
    return f"67120bbef094{order:012x}"


class SpotMarket(Product):
    """Pairs and their market data."""

    def __init__(self, venue: Venue, listings: Iterable[Listing]) -> None:
        super().__init__(venue, listings)
        self._sent: dict[str, int] = {}  # book number that the stream has reached, by key
        self._best: dict[str, Any] = {}
        self._bars: dict[str, int] = {}

    # names

    def wire(self, listing: Listing) -> str:
        """BASE-QUOTE, of the coin's old name where it was renamed."""
        return OLD_NAMES.get(listing.symbol, listing.symbol)

    def listing(self, symbol: Any) -> Listing:
        """ApiError 900001."""
        found = self.listings.get(str(symbol or ""))
        if found is None:
            raise ApiError("900001", "symbol not exists")
        return found

    def sequence(self, key: str, at: int | None = None) -> int:
        """A book's number on the wire."""
        number_ = self.exchange.sequence(key) if at is None else at
        return FIRST + number_ + number_ // 4

    @staticmethod
    def trade_id(fill: int) -> int:
        """Above 2**53, as the venue's are."""
        return 11_029_373_945_000_000 + fill

    # market data

    def symbols(self, caller: Caller) -> Any:
        """GET symbols."""
        rows = [self._symbol(listing) for listing in self.listings.values()]
        return [row for row in rows if row["market"] == caller.params.get("market", row["market"])]

    def _symbol(self, listing: Listing) -> dict[str, Any]:
        wire = self.names[listing.key]
        quote_step = listing.tick * listing.step
        return {
            "symbol": wire,
            "name": listing.symbol,
            "baseCurrency": listing.base,
            "quoteCurrency": listing.quote,
            "feeCurrency": listing.quote,
            "market": "USDS" if listing.quote == "USDT" else listing.quote,
            "baseMinSize": text(listing.minimum or listing.step),
            "quoteMinSize": text(listing.min_notional),
            "baseMaxSize": text(min(listing.maximum, Decimal(10_000_000_000))),
            "quoteMaxSize": "99999999",
            "baseIncrement": text(listing.step),
            "quoteIncrement": text(max(quote_step, Decimal("0.000001")) if listing.quote == "USDT" else quote_step),
            "priceIncrement": text(listing.tick),
            "priceLimitRate": "0.1",
            "minFunds": text(listing.min_notional),
            "isMarginEnabled": False,
            "enableTrading": self.exchange.status(listing.key) is InstrumentStatus.TRADING,
            "feeCategory": 1,
            "makerFeeCoefficient": "1.00",
            "takerFeeCoefficient": "1.00",
            "st": False,
            "callauctionIsEnabled": False,
            "callauctionPriceFloor": None,
            "callauctionPriceCeiling": None,
            "callauctionFirstStageStartTime": None,
            "callauctionSecondStageStartTime": None,
            "callauctionThirdStageStartTime": None,
            "tradingStartTime": None,
            "siteTypes": ["global"],
        }

    def book(self, caller: Caller, levels: int | None) -> Any:
        """A snapshot."""
        listing = self.listing(caller.params.get("symbol"))
        image = self.exchange.book(listing.key, levels)
        return {
            "time": self.now_ms,
            "sequence": str(self.sequence(listing.key, image.sequence)),
            "bids": [[text(row.price), text(row.size)] for row in image.bids],
            "asks": [[text(row.price), text(row.size)] for row in image.asks],
        }

    def _ticker(self, key: str) -> dict[str, Any]:
        now = self.exchange.ticker(key)
        change = now.last - now.open
        return {
            "symbol": self.names[key],
            "symbolName": self.exchange.listings[key].symbol,
            "buy": text(now.bid.price if now.bid else None),
            "bestBidSize": text(now.bid.size if now.bid else None),
            "sell": text(now.ask.price if now.ask else None),
            "bestAskSize": text(now.ask.size if now.ask else None),
            "changeRate": f"{change / now.open if now.open else 0:.4f}",
            "changePrice": text(change) if change >= 0 else f"-{text(-change)}",
            "high": text(now.high),
            "low": text(now.low),
            "vol": text(now.volume),
            "volValue": text(now.value),
            "last": text(now.last),
            "averagePrice": text(now.last),
            "takerFeeRate": "0.001",
            "makerFeeRate": "0.001",
            "takerCoefficient": "1",
            "makerCoefficient": "1",
        }

    def all_tickers(self, caller: Caller) -> Any:
        """GET allTickers."""
        return {"time": self.now_ms, "ticker": [self._ticker(listing.key) for listing in self.listings.values()]}

    def stats(self, caller: Caller) -> Any:
        """GET stats of one symbol."""
        row = self._ticker(self.listing(caller.params.get("symbol")).key)
        dropped = ("symbolName", "bestBidSize", "bestAskSize")
        return {"time": self.now_ms, **{name: value for name, value in row.items() if name not in dropped}}

    def _tick(self, key: str) -> dict[str, Any]:
        now = self.exchange.ticker(key)
        return {
            "sequence": str(self.sequence(key)),
            "price": text(now.last),
            "size": text(now.last_size),
            "bestBid": text(now.bid.price if now.bid else None),
            "bestBidSize": text(now.bid.size if now.bid else None),
            "bestAsk": text(now.ask.price if now.ask else None),
            "bestAskSize": text(now.ask.size if now.ask else None),
            "time": self.now_ms,
        }

    def level1(self, caller: Caller) -> Any:
        """GET orderbook/level1."""
        return self._tick(self.listing(caller.params.get("symbol")).key)

    def histories(self, caller: Caller) -> Any:
        """The last hundred trades, without ids."""
        listing = self.listing(caller.params.get("symbol"))
        return [
            {
                "sequence": str(self.trade_id(row.id)),
                "price": text(row.price),
                "size": text(row.size),
                "side": row.side.value,
                "time": row.time * 1_000_000,
            }
            for row in self.exchange.trades(listing.key, limit=100)
        ]

    def candles(self, caller: Caller) -> Any:
        """Newest first; start, open, close, high, low, volume, turnover."""
        listing = self.listing(caller.params.get("symbol"))
        span = SPANS.get(caller.params.get("type", ""))
        if span is None:
            raise ApiError("400100", "type is invalid")
        start, end = (int(caller.params.get(name) or 0) for name in ("startAt", "endAt"))
        bars = self.bars(
            listing.key,
            span,
            start=start * 1000 if start else None,
            end=end * 1000 - 1 if end else None,
            limit=1500 if start else 100,
        )
        return [self._bar(bar) for bar in reversed(bars)]

    @staticmethod
    def _bar(bar: Any) -> list[str]:
        prices = [text(value) for value in (bar.open, bar.close, bar.high, bar.low)]
        return [str(bar.start // 1000), *prices, text(bar.volume), text(bar.value)]

    # streams

    def begin(self, topic: str) -> None:
        """The level 2 stream runs on whether anybody listens."""
        head, _, symbol = topic.partition(":")
        listing = self.listings.get(symbol)
        if head == "/market/level2" and listing is not None and topic not in self.wanted():
            self._sent[listing.key] = self.exchange.sequence(listing.key)

    def publish_due(self, topic: str, now_ms: int) -> None:
        """By topic."""
        head, _, rest = topic.partition(":")
        if topic == "/market/ticker:all":
            for listing in self.listings.values():
                self._publish_ticker(topic, self.names[listing.key], listing.key)
            return
        if head == "/market/candles":
            self._publish_bars(topic, *rest.rpartition("_")[::2])
            return
        listing = self.listings.get(rest)
        if listing is None:
            return
        if head == "/market/level2":
            self._publish_book(topic, listing)
        elif head == "/market/ticker":
            if self.is_due(topic, now_ms, 100):
                self._publish_ticker(topic, "trade.ticker", listing.key)
        elif head == "/market/snapshot":
            if self.is_due(topic, now_ms, 2000):
                self._publish_day(topic, listing)
        elif head == "/spotMarket/level1":
            best = self.exchange.best(listing.key)
            if best != self._best.get(topic) and all(best):
                self._best[topic] = best
                rows = [[text(row.price), text(row.size)] for row in best if row]
                self.publish(topic, "level1", {"asks": rows[1], "bids": rows[0], "timestamp": now_ms})
        elif "level2Depth" in head and self.is_due(topic, now_ms, 100):
            image = self.exchange.book(listing.key, int(head.rpartition("Depth")[2]))
            rows = {
                side: [[text(row.price), text(row.size)] for row in levels]
                for side, levels in (("asks", image.asks), ("bids", image.bids))
            }
            self.publish(topic, "level2", {**rows, "timestamp": now_ms})

    def _publish_book(self, topic: str, listing: Listing) -> None:
        """Every change since the last time: mostly one a message, now and then some together, hidden ones between."""
        key = listing.key
        changes = self.exchange.book_log(key, self._sent[key])
        self._sent[key] = self.exchange.sequence(key)
        group: list[BookChanged] = []
        for change in changes or ():
            group.append(change)
            if change.book_sequence % 16 >= 4 or change.book_sequence == self._sent[key]:
                self._publish_group(topic, key, group)
                group = []

    def _publish_group(self, topic: str, key: str, group: list[BookChanged]) -> None:
        latest: dict[tuple[Side, Decimal], BookChanged] = {}
        sides: dict[Side, list[list[str]]] = {Side.BUY: [], Side.SELL: []}
        first = last = self.sequence(key, group[-1].book_sequence)
        for change in group:
            latest[change.side, change.price] = change
        for change in group:
            at = self.sequence(key, change.book_sequence)
            first = min(first, at)
            if change.book_sequence % 4 == 0:
                first = min(first, at - 1)
                sides[change.side].append(["0", "0", str(at - 1)])
            if latest[change.side, change.price] is change:
                sides[change.side].append([text(change.price), text(change.size), str(at)])
        data = {
            "changes": {"asks": sides[Side.SELL], "bids": sides[Side.BUY]},
            "sequenceEnd": last,
            "sequenceStart": first,
            "symbol": self.names[key],
            "time": group[-1].time,
        }
        self.publish(topic, "trade.l2update", data)

    def _publish_ticker(self, topic: str, subject: str, key: str) -> None:
        row = self._tick(key)
        mark = f"{topic} {key}"
        if self._best.get(mark) != row["sequence"]:
            self._best[mark] = row["sequence"]
            self.publish(topic, subject, row)

    def _publish_day(self, topic: str, listing: Listing) -> None:
        now = self.exchange.ticker(listing.key)
        bid, ask = now.bid, now.ask
        day = {
            "askSize": number(ask.size if ask else None),
            "averagePrice": number(now.last),
            "baseCurrency": listing.base,
            "bidSize": number(bid.size if bid else None),
            "buy": number(bid.price if bid else None),
            "changePrice": float(now.last - now.open),
            "changeRate": float((now.last - now.open) / now.open) if now.open else 0.0,
            "close": msgspec.Raw(f"{now.last:.20f}".encode()),
            "datetime": self.now_ms,
            "high": number(now.high),
            "lastTradedPrice": number(now.last),
            "low": number(now.low),
            "market": "USDS",
            "open": number(now.open),
            "quoteCurrency": listing.quote,
            "sell": number(ask.price if ask else None),
            "siteTypes": ["global"],
            "symbol": self.names[listing.key],
            "trading": True,
            "vol": number(now.volume),
            "volValue": number(now.value),
        }
        self.publish(topic, "trade.snapshot", {"sequence": str(self.sequence(listing.key)), "data": day})

    def _publish_bars(self, topic: str, symbol: str, name: str) -> None:
        """At a trade; minutes that had none come before it as flat bars."""
        listing, span = self.listings.get(symbol), SPANS.get(name)
        if listing is None or span is None:
            return
        trades = self.exchange.trades(listing.key, limit=1)
        last = trades[-1].id if trades else 0
        if last == self._best.get(topic):
            return
        first = topic not in self._best
        self._best[topic] = last
        if first:
            return  # no push at the subscription
        for bar in self.bars(listing.key, span, limit=3):
            seen = self._bars.get(topic, 0)
            if bar.start < seen:
                continue
            kind = "update" if bar.start == seen else "add"
            self._bars[topic] = bar.start
            data = {"symbol": symbol, "candles": self._bar(bar), "time": self.now_ms * 1_000_000}
            self.publish(topic, f"trade.candles.{kind}", data)

    def traded(self, event: Traded) -> None:
        """`side` is the taker's."""
        trade, symbol = event.trade, self.names[event.key]
        data = {
            "makerOrderId": order_id(trade.maker_order),
            "price": text(trade.price),
            "sequence": str(self.trade_id(trade.id)),
            "side": trade.side.value,
            "size": text(trade.size),
            "symbol": symbol,
            "takerOrderId": order_id(trade.taker_order),
            "time": str(trade.time * 1_000_000),
            "tradeId": str(self.trade_id(trade.id)),
            "type": "match",
        }
        self.publish(f"/market/match:{symbol}", "trade.l3match", data)
