"""BitMEX's own end of REST without a key: contracts, books, trades, bars, funding, currencies."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from connectors.bitmex.practice_rows import CURRENCIES, Rows, symbol_of
from connectors.bitmex.practice_stream import BINS, Tables
from connectors.bitmex.practice_terms import ApiError, cut, filter_of, is_true, listing_of, moment, number, within
from connectors.practice.exchange import Exchange


class PublicRest:
    """Handlers of `(account, params)`; the account is not looked at."""

    def __init__(self, exchange: Exchange, rows: Rows, tables: Tables) -> None:
        self.exchange = exchange
        self.rows = rows
        self.tables = tables

    def greeting(self, account: str, params: dict[str, Any]) -> Any:
        """GET /api/v1."""
        return {"name": "BitMEX API", "version": "2.0.0", "timestamp": self.tables.now_ms}

    def active(self, account: str, params: dict[str, Any]) -> Any:
        """GET /instrument/active."""
        return [self.rows.instrument(listing.key) for listing in self.tables.symbols.values()]

    def instruments(self, account: str, params: dict[str, Any]) -> Any:
        """GET /instrument."""
        if params.get("symbol"):
            found = self.tables.symbols.get(str(params["symbol"]))
            return [self.rows.instrument(found.key)] if found is not None else []
        wanted = filter_of(params)
        found = [
            row for row in self.active(account, params) if all(row.get(name) == value for name, value in wanted.items())
        ]
        return cut(found, params)

    def book(self, account: str, params: dict[str, Any]) -> Any:
        """GET /orderBook/L2: asks from the highest down, then bids."""
        listing = listing_of(self.tables.symbols, params)
        depth = number(params, "depth", 0) if "depth" in params else 25
        table = self.tables.image("orderBookL2", symbol_of(listing), None)["data"]
        asks = [row for row in table if row["side"] == "Sell"]
        bids = [row for row in table if row["side"] == "Buy"]
        return (asks[-depth:] + bids[:depth]) if depth else asks + bids

    def trades(self, account: str, params: dict[str, Any]) -> Any:
        """GET /trade: oldest first unless `reverse`."""
        listing = listing_of(self.tables.symbols, params)
        found = [self.rows.trade(trade) for trade in self.exchange.trades(listing.key, limit=5000)]
        return cut(within(found, params), params)

    def bars(self, account: str, params: dict[str, Any]) -> Any:
        """GET /trade/bucketed: stamped with their end, `open` is the close before."""
        listing, name = listing_of(self.tables.symbols, params), str(params.get("binSize", "1m"))
        if name not in BINS:
            raise ApiError(400, "binSize is invalid", "ValidationError")
        span, count = BINS[name], number(params, "count", 100)
        if count > 1000:
            raise ApiError(400, "Maximum result count is 1000", "ValidationError")
        start, end = (moment(params.get(field)) for field in ("startTime", "endTime"))
        first = start - 2 * span if start is not None else None
        reverse = is_true(params.get("reverse"))
        limit = count + 2 if start is not None and not reverse else 1002
        made = self.exchange.candles(listing.key, span, start=first, end=end, limit=limit)
        rows = []
        for before, bar in pairwise(made):
            over = bar.start + span
            if (over <= self.tables.now_ms or is_true(params.get("partial"))) and (start or 0) <= over <= (
                end or 2**62
            ):
                rows.append(self.rows.bar(listing.key, bar, span, before.close))
        return cut(rows, params)

    def funding(self, account: str, params: dict[str, Any]) -> Any:
        """GET /funding: the last one."""
        return self.tables.image("funding", symbol_of(listing_of(self.tables.symbols, params)), None)["data"]

    def assets(self, account: str, params: dict[str, Any]) -> Any:
        """GET /wallet/assets."""
        names = {"BTC": ("XBT", "Bitcoin"), "USDT": ("USDT", "Tether")}
        return [
            {
                "asset": names[asset][0],
                "currency": currency,
                "majorCurrency": names[asset][0],
                "name": names[asset][1],
                "currencyType": "Crypto",
                "scale": str(scale),
                "enabled": True,
                "isMarginCurrency": True,
                "networks": [],
            }
            for asset, (currency, scale) in CURRENCIES.items()
        ]
