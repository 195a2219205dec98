"""USD-M's public REST answers from the venue's side, and what its numbers and names look like.

Ids of books are global to the engine, so they have holes in every single book; the chain is by `pu`.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from connectors.binance.practice_limits import Gate, Window
from connectors.binance.practice_rest import MAX_PRICE
from connectors.binance.practice_streams import Product
from connectors.binance.practice_terms import ApiError
from connectors.model import InstrumentStatus, OrderKind
from connectors.practice.exchange import Exchange
from connectors.practice.protocol import Keys
from connectors.practice.terms import Order

PLAIN = {"LIMIT": OrderKind.LIMIT, "MARKET": OrderKind.MARKET}
ALGO = {
    "STOP_MARKET": OrderKind.STOP,
    "STOP": OrderKind.STOP_LIMIT,
    "TAKE_PROFIT_MARKET": OrderKind.TAKE_PROFIT,
    "TAKE_PROFIT": OrderKind.TAKE_PROFIT_LIMIT,
}
NAMES = {kind: name for name, kind in {**PLAIN, **ALGO}.items()}
_HOUR = 3_600_000


class UsdmMarket(Product):
    """Contracts and their market data."""

    futures = True
    depth_speeds = {"": 250, "100ms": 100, "250ms": 250, "500ms": 500}

    def __init__(self, exchange: Exchange, keys: Keys) -> None:
        super().__init__(exchange, keys)
        self.listings = {
            listing.base + listing.quote: listing
            for listing in exchange.listings.values()
            if listing.is_contract and listing.quote in ("USDT", "USDC")
        }

    def make_gate(self) -> Gate:
        """Every order counts."""
        windows = (Window("10S", "SECOND", 10, 10_000, 300), Window("1M", "MINUTE", 1, 60_000, 1200))
        return Gate(2400, windows)

    def too_dear(self) -> ApiError:
        """Its price filter."""
        return ApiError(-4002, "Price greater than max price.")

    def number(self, value: Decimal | None) -> str:
        """Without padding."""
        return format(value or Decimal(0), "f")

    def book_id(self, sequence: int) -> int:
        """Global ids: every book's own numbers are far apart."""
        return 4_000_000_000 + sequence * 17

    def mine(self, order: Order) -> bool:
        """Whether an order is in a contract of this product."""
        return self.symbol(order.key) in self.listings and not order.key.startswith("spot:")

    # public

    def exchange_info(self) -> Any:
        """GET exchangeInfo."""
        return {
            "timezone": "UTC",
            "serverTime": self.now_ms,
            "futuresType": "U_MARGINED",
            "rateLimits": [
                self.gate.rule,
                *(window.rule for window in self.gate.windows),
            ],
            "exchangeFilters": [],
            "assets": [{"asset": "USDT", "marginAvailable": True, "autoAssetExchange": "0"}],
            "symbols": [self._symbol_row(name, listing) for name, listing in self.listings.items()],
        }

    def _symbol_row(self, name: str, listing: Any) -> dict[str, Any]:
        number = self.number
        lot = {
            "minQty": number(listing.minimum or listing.step),
            "maxQty": number(listing.maximum),
            "stepSize": number(listing.step),
        }
        open_ = self.exchange.status(listing.key) is InstrumentStatus.TRADING
        return {
            "symbol": name,
            "pair": name,
            "contractType": "PERPETUAL",
            "deliveryDate": 4133404800000,
            "onboardDate": 1569398400000,
            "status": "TRADING" if open_ else "SETTLING",
            "maintMarginPercent": "2.5000",
            "requiredMarginPercent": "5.0000",
            "baseAsset": listing.base,
            "quoteAsset": listing.quote,
            "marginAsset": listing.settle,
            "pricePrecision": 4,
            "quantityPrecision": 4,
            "baseAssetPrecision": 8,
            "quotePrecision": 8,
            "underlyingType": "COIN",
            "underlyingSubType": [],
            "triggerProtect": "0.0500",
            "liquidationFee": "0.012500",
            "marketTakeBound": "0.05",
            "filters": [
                {
                    "filterType": "PRICE_FILTER",
                    "minPrice": number(listing.tick),
                    "maxPrice": number(MAX_PRICE),
                    "tickSize": number(listing.tick),
                },
                {"filterType": "LOT_SIZE", **lot},
                {"filterType": "MARKET_LOT_SIZE", **lot},
                {"filterType": "MAX_NUM_ORDERS", "limit": 200},
                {"filterType": "MIN_NOTIONAL", "notional": number(listing.min_notional)},
            ],
            "orderTypes": [*PLAIN, *ALGO],
            "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
        }

    def premium(self, params: Mapping[str, str]) -> Any:
        """GET premiumIndex."""
        chosen = [self.listing(params["symbol"])] if "symbol" in params else list(self.listings.values())
        found = []
        for listing in chosen:
            mark = self.exchange.mark(listing.key)
            found.append(
                {
                    "symbol": self.symbol(listing.key),
                    "markPrice": f"{mark.mark:.8f}",
                    "indexPrice": f"{mark.index:.8f}",
                    "estimatedSettlePrice": f"{mark.index:.8f}",
                    "lastFundingRate": f"{mark.last_rate:.8f}",
                    "interestRate": "0.00010000",
                    "nextFundingTime": mark.next_funding,
                    "time": self.now_ms,
                }
            )
        return found[0] if "symbol" in params else found

    def funding_rates(self, params: Mapping[str, str]) -> Any:
        """GET fundingRate: the last one only."""
        chosen = [self.listing(params["symbol"])] if "symbol" in params else list(self.listings.values())
        rows = []
        for listing in chosen:
            mark = self.exchange.mark(listing.key)
            when = mark.next_funding - 8 * _HOUR
            row = {"symbol": self.symbol(listing.key), "fundingTime": when, "fundingRate": f"{mark.last_rate:.8f}"}
            rows.append({**row, "markPrice": f"{mark.mark:.8f}"})
        return rows

    def mark_event(self, listing: Any) -> Any:
        """markPriceUpdate."""
        mark = self.exchange.mark(listing.key)
        return {
            "e": "markPriceUpdate",
            "E": self.now_ms,
            "s": self.symbol(listing.key),
            "p": f"{mark.mark:.8f}",
            "ap": f"{mark.mark:.8f}",
            "P": f"{mark.index:.8f}",
            "i": f"{mark.index:.8f}",
            "r": f"{mark.rate:.8f}",
            "T": mark.next_funding,
            "st": 1,
        }
