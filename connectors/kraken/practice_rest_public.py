"""Kraken's own end of REST `/0/public`: time, assets, pairs, tickers, bars, books, trades."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from connectors.kraken.practice_orders import KrakenError, Orders
from connectors.kraken.practice_pairs import ASSETS, COST_DIGITS, LOT_DIGITS, Pair, size
from connectors.model import Side
from connectors.practice.exchange import Exchange
from connectors.practice.terms import PublicTrade

INTERVALS = (1, 5, 15, 30, 60, 240, 1440, 10080, 21600)
MONDAY = 4 * 86_400_000
_TIERS = ((0, "0.40", "0.25"), (10_000, "0.35", "0.20"), (50_000, "0.24", "0.14"), (100_000, "0.22", "0.12"))
Params = Mapping[str, Any]


class PublicRest:
    """`methods` by name, each answers parameters. Raises KrakenError."""

    def __init__(self, exchange: Exchange, orders: Orders) -> None:
        self.exchange = exchange
        self.orders = orders
        self.methods: dict[str, Callable[[Params], Any]] = {
            "Time": self._time,
            "SystemStatus": lambda params: {"status": "online", "timestamp": self._moment()},
            "Assets": self._assets,
            "AssetPairs": self._pairs,
            "Ticker": self._ticker,
            "OHLC": self._ohlc,
            "Depth": self._depth,
            "Trades": self._trades,
        }

    def _moment(self) -> str:
        return datetime.fromtimestamp(self.orders.now_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _time(self, params: Params) -> Any:
        moment = datetime.fromtimestamp(self.orders.now_ms // 1000, UTC)
        return {"unixtime": self.orders.now_ms // 1000, "rfc1123": moment.strftime("%a, %d %b %y %H:%M:%S +0000")}

    @staticmethod
    def _assets(params: Params) -> Any:
        return {
            name: {"aclass": "currency", "altname": alt, "decimals": digits, "display_decimals": 5, "status": "enabled"}
            for name, alt, digits, _ in ASSETS
        }

    def _pairs(self, params: Params) -> Any:
        ids = {today: name for name, _, _, today in ASSETS}
        if params.get("aclass_base", "currency") != "currency":
            return {}  # no tokenised stocks here
        found = {}
        for pair in self.orders.pairs(params.get("pair", "")):
            listing = pair.listing
            found[pair.name] = {
                "altname": pair.alt,
                "wsname": pair.ws,
                "aclass_base": "currency",
                "base": ids[listing.base],
                "aclass_quote": "currency",
                "quote": ids[listing.quote],
                "lot": "unit",
                "cost_decimals": COST_DIGITS,
                "pair_decimals": pair.digits,
                "lot_decimals": LOT_DIGITS,
                "lot_multiplier": 1,
                "leverage_buy": [],
                "leverage_sell": [],
                "fees": [[volume, float(taker)] for volume, taker, _ in _TIERS],
                "fees_maker": [[volume, float(maker)] for volume, _, maker in _TIERS],
                "fee_volume_currency": "ZUSD",
                "margin_call": 80,
                "margin_stop": 40,
                "ordermin": format(listing.minimum, "f"),
                "costmin": format(listing.min_notional, "f"),
                "tick_size": format(listing.tick, "f"),
                "status": self.orders.mode(pair),
                "execution_venue": "international",
            }
        return found

    def _ticker(self, params: Params) -> Any:
        return {pair.name: self._ticker_row(pair) for pair in self.orders.pairs(params.get("pair", ""))}

    def _ticker_row(self, pair: Pair) -> dict[str, Any]:
        now = self.exchange.ticker(pair.key)
        mean = now.value / now.volume if now.volume else now.last

        def best(level: Any) -> list[str]:
            return [pair.price(level.price), str(max(1, int(level.size))), f"{level.size:.3f}"] if level else ["0"] * 3

        both = lambda text: [text, text]  # noqa: E731 - today and 24 h: practice has but one day
        return {
            "a": best(now.ask),
            "b": best(now.bid),
            "c": [pair.price(now.last), size(now.last_size)],
            "v": both(size(now.volume)),
            "p": both(pair.price(mean)),
            "t": [now.trades, now.trades],
            "l": both(pair.price(now.low)),
            "h": both(pair.price(now.high)),
            "o": pair.price(now.open),
        }

    def _ohlc(self, params: Params) -> Any:
        pair, minutes = self.orders.pair(params.get("pair", "")), int(params.get("interval", 1))
        if minutes not in INTERVALS:
            raise KrakenError("EGeneral:Invalid arguments:interval")
        offset = MONDAY if minutes == 10080 else 0
        bars = self.exchange.candles(pair.key, minutes * 60_000, limit=720, offset_ms=offset)
        since = int(params.get("since") or 0)
        rows = [
            [
                bar.start // 1000,
                pair.price(bar.open),
                pair.price(bar.high),
                pair.price(bar.low),
                pair.price(bar.close),
                pair.price(bar.value / bar.volume if bar.volume else Decimal(0)),
                size(bar.volume),
                bar.trades,
            ]
            for bar in bars
            if bar.start // 1000 > since
        ]
        return {pair.name: rows, "last": bars[-2].start // 1000 if len(bars) > 1 else 0}

    def _depth(self, params: Params) -> Any:
        pair, count = self.orders.pair(params.get("pair", "")), int(params.get("count", 100))
        if not 1 <= count <= 500:
            raise KrakenError("EGeneral:Invalid arguments:count")
        image = self.exchange.book(pair.key, count)
        stamp = image.time // 1000
        sides = {"asks": image.asks, "bids": image.bids}
        return {
            pair.name: {
                name: [[pair.price(row.price), size(row.size), stamp] for row in rows] for name, rows in sides.items()
            }
        }

    def _trades(self, params: Params) -> Any:
        pair, count = self.orders.pair(params.get("pair", "")), int(params.get("count", 1000))
        if not 1 <= count <= 1000:
            raise KrakenError("EGeneral:Invalid arguments:count")
        since = params.get("since")
        found = self.exchange.trades(pair.key, limit=5000)
        if since:  # forward from there, else the newest
            after = int(since)
            found = [row for row in found if _ns(row) > after][:count]
        found = found[-count:]
        rows = [
            [
                pair.price(row.price),
                size(row.size),
                row.time / 1000,
                "b" if row.side is Side.BUY else "s",
                "l",
                "",
                row.id,
            ]
            for row in found
        ]
        last = str(_ns(found[-1])) if found else since or str(self.orders.now_ms * 1_000_000)
        return {pair.name: rows, "last": last}


def _ns(trade: PublicTrade) -> int:
    """When it was: trades of one millisecond follow each other by nanoseconds, so that a page can end between them."""
    return trade.time * 1_000_000 + trade.id % 1_000_000
