"""BitMEX's own end of REST for an account: positions, leverage, margin, fees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from connectors.bitmex.practice_rows import CURRENCIES, Rows
from connectors.bitmex.practice_stream import Tables
from connectors.bitmex.practice_terms import ApiError, decimal, filter_of, is_true, listing_of
from connectors.practice.exchange import Exchange
from connectors.practice.listings import Listing
from connectors.practice.terms import Wallet


class AccountRest:
    """Handlers of `(account, params)`."""

    def __init__(self, exchange: Exchange, rows: Rows, tables: Tables) -> None:
        self.exchange = exchange
        self.rows = rows
        self.tables = tables
        self._cross: dict[tuple[str, str], bool] = {}

    def positions(self, account: str, params: dict[str, Any]) -> Any:
        """GET /position: closed ones stay as rows."""
        wanted = filter_of(params).get("symbol")
        return [row for row in self.tables.positions(account) if wanted in (None, row["symbol"])]

    def is_cross(self, account: str, key: str) -> bool:
        """See `practice_stream.Owner`. The exchange itself shares all margin; this is what was asked for."""
        return self._cross.get((account, key), True)

    def leverage(self, account: str, params: dict[str, Any]) -> Any:
        """POST /position/leverage: 0 is cross, with the most that there is."""
        listing, wanted = listing_of(self.tables.symbols, params), decimal(params, "leverage")
        if wanted is None or not 0 <= wanted <= listing.max_leverage:
            raise ApiError(400, "leverage is invalid", "ValidationError")
        self.exchange.set_leverage(account, listing.key, max(1, int(wanted)) if wanted else listing.max_leverage)
        return self._isolated(account, listing, cross=not wanted)

    def isolate(self, account: str, params: dict[str, Any]) -> Any:
        """POST /position/isolate."""
        return self._isolated(
            account, listing_of(self.tables.symbols, params), cross=not is_true(params.get("enabled", True))
        )

    def _isolated(self, account: str, listing: Listing, *, cross: bool) -> Any:
        self._cross[account, listing.key] = cross
        self.tables.tell_position(account, listing.key)
        return self.tables.position_row(self.exchange.position(account, listing.key))

    def margin(self, account: str, params: dict[str, Any]) -> Any:
        """GET /user/margin: of one currency an object, of `all` a list."""
        return self._of_currencies(params, lambda asset: self.tables.margin_row(account, asset))

    def wallet(self, account: str, params: dict[str, Any]) -> Any:
        """GET /user/wallet, likewise."""
        return self._of_currencies(
            params,
            lambda asset: self.rows.wallet(account, self.exchange.balance(account, asset, Wallet.MARGIN)),
        )

    @staticmethod
    def _of_currencies(params: dict[str, Any], made: Callable[[str], dict[str, Any]]) -> Any:
        wanted = str(params.get("currency") or "XBt")
        rows = [made(asset) for asset, (currency, _) in CURRENCIES.items() if wanted in ("all", currency)]
        if not rows:
            raise ApiError(400, "currency is invalid", "ValidationError")
        return rows if wanted == "all" else rows[0]

    def commission(self, account: str, params: dict[str, Any]) -> Any:
        """GET /user/commission."""
        return {
            symbol: {
                "makerFee": listing.maker,
                "takerFee": listing.taker,
                "settlementFee": 0,
                "maxFee": max(listing.maker, listing.taker),
            }
            for symbol, listing in self.tables.symbols.items()
        }
