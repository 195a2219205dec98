"""KuCoin futures' public side from the venue's end: contracts in lots, market data over HTTP, and the public topics."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from connectors.kucoin.practice_product import ApiError, Caller, Product, Venue, number, text
from connectors.model import InstrumentStatus, Unit
from connectors.practice.listings import Listing
from connectors.practice.terms import Traded

MINUTES = (1, 5, 15, 30, 60, 120, 240, 480, 720, 1440, 10080)
NAMES = {
    "1min": 1,
    "5min": 5,
    "15min": 15,
    "30min": 30,
    "1hour": 60,
    "2hour": 120,
    "4hour": 240,
    "8hour": 480,
    "12hour": 720,
    "1day": 1440,
    "1week": 10080,
}
FIRST = 1_747_821_000_000  # book numbers begin somewhere
MAX_PRICE = 1_000_000
FIRST_ORDER = 236_655_147_005_000_000


def order_id(order: int) -> str:
    """An order's id on the wire: a number above 2**53, as text."""
    return str(FIRST_ORDER + order)


def coin(asset: str) -> str:
    """XBT stands for BTC here."""
    return "XBT" if asset == "BTC" else asset


class FuturesMarket(Product):
    """Contracts and their market data."""

    def __init__(self, venue: Venue, listings: Iterable[Listing]) -> None:
        super().__init__(venue, listings)
        self._sent: dict[str, int] = {}
        self._seen: dict[str, Any] = {}

    # names

    def wire(self, listing: Listing) -> str:
        """XBTUSDTM."""
        return f"{coin(listing.base)}{listing.quote}M"

    def listing(self, symbol: Any) -> Listing:
        """ApiError 200003, which here means an unknown symbol."""
        found = self.listings.get(str(symbol or ""))
        if found is None:
            raise ApiError("200003", "Invalid symbol.")
        return found

    def sequence(self, key: str, at: int | None = None) -> int:
        """A book's number on the wire."""
        return FIRST + (self.exchange.sequence(key) if at is None else at)

    # market data

    def contracts(self, caller: Caller) -> Any:
        """GET contracts/active: numbers are JSON numbers."""
        return [self._contract(listing) for listing in self.listings.values()]

    def contract(self, caller: Caller) -> Any:
        """One of them."""
        found = self.listings.get(caller.params["symbol"])
        if found is None:
            raise ApiError("404000", "The contract information you requested does not exist.")
        return self._contract(found)

    def _contract(self, listing: Listing) -> dict[str, Any]:
        inverse = listing.unit is Unit.INVERSE
        now, mark = self.exchange.ticker(listing.key), self.exchange.mark(listing.key)
        open_ = self.exchange.status(listing.key) is InstrumentStatus.TRADING
        wire = self.names[listing.key]
        return {
            "symbol": wire,
            "rootSymbol": listing.quote,
            "type": "FFWCSX",
            "firstOpenDate": 1585555200000,
            "expireDate": None,
            "settleDate": None,
            "baseCurrency": coin(listing.base),
            "quoteCurrency": listing.quote,
            "settleCurrency": coin(listing.settle),
            "maxOrderQty": int(listing.maximum),
            "maxPrice": MAX_PRICE,
            "lotSize": 1,
            "tickSize": number(listing.tick),
            "indexPriceTickSize": 0.01,
            "multiplier": -int(listing.multiplier) if inverse else number(listing.multiplier),
            "initialMargin": round(1 / listing.max_leverage, 6),
            "maintainMargin": round(0.5 / listing.max_leverage, 6),
            "maxRiskLimit": 100_000,
            "minRiskLimit": 100_000,
            "riskStep": 50_000,
            "makerFeeRate": number(listing.maker),
            "takerFeeRate": number(listing.taker),
            "takerFixFee": 0,
            "makerFixFee": 0,
            "isDeleverage": True,
            "isQuanto": not inverse,
            "isInverse": inverse,
            "markMethod": "FairPrice",
            "fairMethod": "FundingRate",
            "fundingRateSymbol": f".{wire}FPI8H",
            "indexSymbol": f".K{wire[:-1]}",
            "status": "Open" if open_ else "Paused",
            "fundingFeeRate": float(mark.rate),
            "predictedFundingFeeRate": float(mark.rate),
            "fundingRateGranularity": 28_800_000,
            "nextFundingRateTime": mark.next_funding - self.now_ms,
            "nextFundingRateDateTime": mark.next_funding,
            "openInterest": text(mark.open_interest),
            "turnoverOf24h": float(now.value),
            "volumeOf24h": float(self._base(listing, now.volume, now.last)),
            "markPrice": number(mark.mark),
            "indexPrice": number(mark.index),
            "lastTradePrice": number(now.last),
            "maxLeverage": listing.max_leverage,
            "lowPrice": number(now.low),
            "highPrice": number(now.high),
            "priceChgPct": round(float((now.last - now.open) / now.open), 4) if now.open else 0.0,
            "priceChg": float(now.last - now.open),
            "supportCross": True,
            "marketStage": "NORMAL",
            "buyLimit": float(mark.mark * Decimal("1.05")),
            "sellLimit": float(mark.mark * Decimal("0.95")),
        }

    @staticmethod
    def _base(listing: Listing, lots: Decimal, price: Decimal) -> Decimal:
        """Lots in units of the base coin."""
        if listing.unit is Unit.INVERSE:
            return lots * listing.multiplier / price if price else Decimal(0)
        return lots * listing.multiplier

    def book(self, caller: Caller, levels: int) -> Any:
        """A snapshot; prices and sizes are numbers."""
        listing = self.listing(caller.params.get("symbol"))
        image = self.exchange.book(listing.key, levels)
        return {
            "sequence": self.sequence(listing.key, image.sequence),
            "symbol": self.names[listing.key],
            "bids": [[number(row.price), int(row.size)] for row in image.bids],
            "asks": [[number(row.price), int(row.size)] for row in image.asks],
            "ts": self.now_ms * 1_000_000,
        }

    def history(self, caller: Caller) -> Any:
        """Latest trades, newest first."""
        listing = self.listing(caller.params.get("symbol"))
        return [
            {
                "sequence": FIRST + row.id,
                "contractId": 1,
                "tradeId": str(FIRST + row.id),
                "makerOrderId": order_id(row.maker_order),
                "takerOrderId": order_id(row.taker_order),
                "ts": row.time * 1_000_000,
                "size": int(row.size),
                "price": text(row.price),
                "side": row.side.value,
            }
            for row in reversed(self.exchange.trades(listing.key, limit=100))
        ]

    def ticker(self, caller: Caller) -> Any:
        """GET ticker."""
        listing = self.listing(caller.params.get("symbol"))
        now = self.exchange.ticker(listing.key)
        trade = self.exchange.trades(listing.key, limit=1)
        return {
            "sequence": self.sequence(listing.key),
            "symbol": self.names[listing.key],
            "side": trade[-1].side.value if trade else "buy",
            "size": int(now.last_size),
            "tradeId": str(FIRST + now.last_trade),
            "price": text(now.last),
            "bestBidPrice": text(now.bid.price if now.bid else None),
            "bestBidSize": int(now.bid.size) if now.bid else 0,
            "bestAskPrice": text(now.ask.price if now.ask else None),
            "bestAskSize": int(now.ask.size) if now.ask else 0,
            "ts": self.now_ms * 1_000_000,
        }

    def klines(self, caller: Caller) -> Any:
        """Oldest first; start in ms, open, high, low, close, lots."""
        listing = self.listing(caller.params.get("symbol"))
        minutes = int(caller.params.get("granularity") or 0)
        if minutes not in MINUTES:
            raise ApiError("100001", "granularity is invalid")
        start, end = caller.params.get("from"), caller.params.get("to")
        bars = self.bars(
            listing.key,
            minutes * 60_000,
            start=int(start) if start else None,
            end=int(end) if end else None,
            limit=500,
        )
        return [
            [bar.start, *(number(value) for value in (bar.open, bar.high, bar.low, bar.close)), int(bar.volume)]
            for bar in bars
        ]

    def funding_rate(self, caller: Caller) -> Any:
        """Of the running period."""
        listing = self.listing(caller.params.get("symbol"))
        mark = self.exchange.mark(listing.key)
        return {
            "symbol": f".{self.names[listing.key]}FPI8H",
            "granularity": 28_800_000,
            "timePoint": mark.next_funding - 28_800_000,
            "value": float(mark.rate),
            "predictedValue": float(mark.rate),
            "fundingTime": mark.next_funding,
        }

    def mark_price(self, caller: Caller) -> Any:
        """Mark and index."""
        listing = self.listing(caller.params.get("symbol"))
        mark = self.exchange.mark(listing.key)
        return {
            "symbol": self.names[listing.key],
            "granularity": 1000,
            "timePoint": self.now_ms,
            "value": number(mark.mark),
            "indexPrice": number(mark.index),
        }

    # streams

    def begin(self, topic: str) -> None:
        """The level 2 stream runs on whether anybody listens."""
        head, _, symbol = topic.partition(":")
        listing = self.listings.get(symbol)
        if head == "/contractMarket/level2" and listing is not None and topic not in self.wanted():
            self._sent[listing.key] = self.exchange.sequence(listing.key)

    def publish_due(self, topic: str, now_ms: int) -> None:
        """By topic."""
        head, _, rest = topic.partition(":")
        if head == "/contractMarket/limitCandle":
            self._publish_bar(topic, *rest.rpartition("_")[::2])
            return
        listing = self.listings.get(rest)
        if listing is None:
            return
        match head:
            case "/contractMarket/level2":
                self._publish_book(topic, listing)
            case "/contractMarket/tickerV2":
                self._publish_best(topic, listing)
            case "/contractMarket/ticker":
                trades = self.exchange.trades(listing.key, limit=1)
                if trades and self._seen.get(topic) != trades[-1].id:
                    self._seen[topic] = trades[-1].id
                    row = self.ticker(Caller("", {"symbol": rest}, {}))
                    self.publish(topic, "ticker", row, sn=row["sequence"])
            case "/contractMarket/snapshot":
                if self.is_due(topic, now_ms, 2000):
                    self._publish_day(topic, listing)
            case "/contract/instrument":
                self._publish_mark(topic, listing, now_ms)
            case "/contractMarket/level2Depth5" | "/contractMarket/level2Depth50":
                if self.is_due(topic, now_ms, 100):
                    self._publish_whole(topic, listing, int(head.rpartition("Depth")[2] or 0))

    def _publish_book(self, topic: str, listing: Listing) -> None:
        changes = self.exchange.book_log(listing.key, self._sent[listing.key])
        self._sent[listing.key] = self.exchange.sequence(listing.key)
        for change in changes or ():
            at = self.sequence(listing.key, change.book_sequence)
            data = {
                "sequence": at,
                "change": f"{text(change.price)},{change.side.value},{int(change.size)}",
                "timestamp": change.time,
            }
            self.publish(topic, "level2", data, sn=at)

    def _publish_best(self, topic: str, listing: Listing) -> None:
        bid, ask = best = self.exchange.best(listing.key)
        if best == self._seen.get(topic) or bid is None or ask is None:
            return
        self._seen[topic] = best
        at = self.sequence(listing.key)
        data = {
            "symbol": self.names[listing.key],
            "sequence": at,
            "bestBidSize": int(bid.size),
            "bestBidPrice": text(bid.price),
            "bestAskPrice": text(ask.price),
            "bestAskSize": int(ask.size),
            "ts": self.now_ms * 1_000_000,
        }
        self.publish(topic, "tickerV2", data, sn=at)

    def _publish_whole(self, topic: str, listing: Listing, levels: int) -> None:
        """Whether or not anything changed."""
        image = self.exchange.book(listing.key, levels)
        data = {
            "bids": [[text(row.price), int(row.size)] for row in image.bids],
            "sequence": self.sequence(listing.key, image.sequence),
            "timestamp": self.now_ms,
            "ts": self.now_ms,
            "asks": [[text(row.price), int(row.size)] for row in image.asks],
        }
        self.publish(topic, "level2", data, sn=self.now_ms)

    def _publish_day(self, topic: str, listing: Listing) -> None:
        now = self.exchange.ticker(listing.key)
        data = {
            "highPrice": number(now.high),
            "lastPrice": number(now.last),
            "lowPrice": number(now.low),
            "price24HoursBefore": number(now.open),
            "priceChg": float(now.last - now.open),
            "priceChgPct": round(float((now.last - now.open) / now.open), 4) if now.open else 0.0,
            "symbol": self.names[listing.key],
            "turnover": float(now.value),
            "volume": float(self._base(listing, now.volume, now.last)),
            "ts": self.now_ms * 1_000_000,
        }
        self.publish(topic, "snapshot.24h", data)

    def _publish_mark(self, topic: str, listing: Listing, now_ms: int) -> None:
        mark = self.exchange.mark(listing.key)
        if self.is_due(topic, now_ms, 1000):
            prices = {"markPrice": number(mark.mark), "indexPrice": number(mark.index)}
            self.publish(topic, "mark.index.price", {**prices, "granularity": 1000, "timestamp": now_ms})
        if self.is_due(f"{topic} rate", now_ms, 60_000):
            rate = {"period": 1, "granularity": 60_000, "fundingRate": float(mark.rate), "timestamp": now_ms}
            self.publish(topic, "funding.rate", rate)

    def _publish_bar(self, topic: str, symbol: str, name: str) -> None:
        listing, minutes = self.listings.get(symbol), NAMES.get(name)
        if listing is None or minutes is None:
            return
        trades = self.exchange.trades(listing.key, limit=1)
        last = trades[-1].id if trades else 0
        if last == self._seen.get(topic):
            return
        first = topic not in self._seen
        self._seen[topic] = last
        if first:
            return
        bar = self.bars(listing.key, minutes * 60_000, limit=1)[-1]
        prices = [text(value) for value in (bar.open, bar.close, bar.high, bar.low)]
        row = [str(bar.start // 1000), *prices, f"{bar.volume:.1f}", text(bar.volume)]
        self.publish(topic, "candle.stick", {"symbol": symbol, "candles": row, "time": self.now_ms})

    def traded(self, event: Traded) -> None:
        """`side` is the taker's, `size` in lots."""
        trade, symbol = event.trade, self.names[event.key]
        data = {
            "symbol": symbol,
            "sequence": FIRST + trade.id,
            "side": trade.side.value,
            "size": int(trade.size),
            "price": text(trade.price),
            "takerOrderId": order_id(trade.taker_order),
            "makerOrderId": order_id(trade.maker_order),
            "tradeId": str(FIRST + trade.id),
            "ts": trade.time * 1_000_000,
        }
        self.publish(f"/contractMarket/execution:{symbol}", "match", data, sn=FIRST + trade.id)
