"""A USD-M account from the venue's side: fills, balances, positions, leverage and the modes of an account."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from connectors.binance.practice_terms import ApiError
from connectors.binance.practice_usdm_orders import UsdmOrders
from connectors.model import Side
from connectors.practice.terms import PositionImage, Refusal, Wallet


class UsdmAccount(UsdmOrders):
    """What an account of USD-M has and how it is set."""

    def user_trades(self, account: str, params: Mapping[str, Any]) -> Any:
        """GET userTrades."""
        key = self.listing(params.get("symbol")).key
        order_id = int(params["orderId"]) if params.get("orderId") else None
        start, end, first = (
            int(params.get("startTime") or 0),
            int(params.get("endTime") or 2**62),
            int(params.get("fromId") or 0),
        )
        found = [
            fill
            for fill in self.exchange.fills(account, key, order_id=order_id, limit=10_000)
            if start <= fill.time <= end and fill.trade_id >= first
        ]
        limit = int(params.get("limit") or 500)
        return [
            {
                "symbol": self.symbol(fill.key),
                "id": fill.trade_id,
                "orderId": fill.order_id,
                "side": fill.side.upper(),
                "price": self.number(fill.price),
                "qty": self.number(fill.size),
                "realizedPnl": self.number(fill.realised),
                "quoteQty": self.number(fill.value),
                "commission": self.number(fill.fee),
                "commissionAsset": fill.fee_asset,
                "time": fill.time,
                "positionSide": "BOTH",
                "buyer": fill.side is Side.BUY,
                "maker": fill.maker,
            }
            for fill in (found[:limit] if start or first else found[-limit:])
        ]

    def balance(self, account: str, params: Mapping[str, Any]) -> Any:
        """GET balance."""
        return [
            {
                "accountAlias": "SgsR",
                "asset": row.asset,
                "balance": f"{row.total:.8f}",
                "crossWalletBalance": f"{row.total:.8f}",
                "crossUnPnl": f"{row.unrealised:.8f}",
                "availableBalance": f"{row.available:.8f}",
                "maxWithdrawAmount": f"{row.available:.8f}",
                "marginAvailable": True,
                "updateTime": self.now_ms,
            }
            for row in self.exchange.balances(account, Wallet.MARGIN)
        ]

    def account(self, account: str, params: Mapping[str, Any]) -> Any:
        """GET account."""
        rows = self.exchange.balances(account, Wallet.MARGIN)
        usd = next((row for row in rows if row.asset == "USDT"), None)
        total = usd.total if usd else Decimal(0)
        unrealised = usd.unrealised if usd else Decimal(0)
        held = usd.held if usd else Decimal(0)
        available = usd.available if usd else Decimal(0)
        return {
            "totalInitialMargin": f"{held:.8f}",
            "totalMaintMargin": "0.00000000",
            "totalWalletBalance": f"{total:.8f}",
            "totalUnrealizedProfit": f"{unrealised:.8f}",
            "totalMarginBalance": f"{total + unrealised:.8f}",
            "totalPositionInitialMargin": f"{held:.8f}",
            "totalOpenOrderInitialMargin": "0.00000000",
            "totalCrossWalletBalance": f"{total:.8f}",
            "totalCrossUnPnl": f"{unrealised:.8f}",
            "availableBalance": f"{available:.8f}",
            "maxWithdrawAmount": f"{available:.8f}",
            "feeTier": 0,
            "canTrade": True,
            "canDeposit": True,
            "canWithdraw": True,
            "multiAssetsMargin": False,
            "assets": [
                {
                    "asset": row.asset,
                    "walletBalance": f"{row.total:.8f}",
                    "unrealizedProfit": f"{row.unrealised:.8f}",
                    "marginBalance": f"{row.total + row.unrealised:.8f}",
                    "maintMargin": "0.00000000",
                    "initialMargin": f"{row.held:.8f}",
                    "positionInitialMargin": f"{row.held:.8f}",
                    "openOrderInitialMargin": "0.00000000",
                    "crossWalletBalance": f"{row.total:.8f}",
                    "crossUnPnl": f"{row.unrealised:.8f}",
                    "availableBalance": f"{row.available:.8f}",
                    "maxWithdrawAmount": f"{row.available:.8f}",
                    "marginAvailable": True,
                    "updateTime": self.now_ms,
                }
                for row in rows
            ],
            "positions": [self._account_position(account, image) for image in self._positions(account)],
        }

    def _positions(self, account: str) -> list[PositionImage]:
        return [image for image in self.exchange.positions(account) if self.symbol(image.key) in self.listings]

    def _account_position(self, account: str, image: PositionImage) -> dict[str, Any]:
        return {
            "symbol": self.symbol(image.key),
            "positionSide": "BOTH",
            "positionAmt": self.number(image.size),
            "entryPrice": self.number(image.entry),
            "unrealizedProfit": f"{image.unrealised:.8f}",
            "isolatedMargin": "0",
            "isolatedWallet": "0",
            "notional": f"{image.size * image.mark:.8f}",
            "initialMargin": f"{image.margin:.8f}",
            "maintMargin": f"{image.maintenance:.8f}",
            "leverage": str(image.leverage),
            "isolated": False,
            "updateTime": self.now_ms,
        }

    def positions(self, account: str, params: Mapping[str, Any]) -> Any:
        """GET positionRisk: rows with a position only."""
        wanted = params.get("symbol")
        return [
            {
                "symbol": self.symbol(image.key),
                "positionSide": "BOTH",
                "positionAmt": self.number(image.size),
                "entryPrice": self.number(image.entry),
                "breakEvenPrice": self.number(image.entry),
                "markPrice": f"{image.mark:.8f}",
                "unRealizedProfit": f"{image.unrealised:.8f}",
                "liquidationPrice": self.number(image.liquidation),
                "isolatedMargin": "0",
                "notional": f"{image.size * image.mark:.8f}",
                "marginAsset": "USDT",
                "isolatedWallet": "0",
                "initialMargin": f"{image.margin:.8f}",
                "maintMargin": f"{image.maintenance:.8f}",
                "positionInitialMargin": f"{image.margin:.8f}",
                "openOrderInitialMargin": "0",
                "adl": 1,
                "bidNotional": "0",
                "askNotional": "0",
                "leverage": str(image.leverage),
                "marginType": "cross",
                "updateTime": self.now_ms,
            }
            for image in self._positions(account)
            if not wanted or self.symbol(image.key) == wanted
        ]

    def symbol_config(self, account: str, params: Mapping[str, Any]) -> Any:
        """GET symbolConfig."""
        names = [params["symbol"]] if params.get("symbol") else list(self.listings)
        return [
            {
                "symbol": name,
                "marginType": "CROSSED",
                "isAutoAddMargin": False,
                "leverage": self.exchange.leverage(account, self.listing(name).key),
                "maxNotionalValue": "100000000",
            }
            for name in names
        ]

    def account_config(self, account: str, params: Mapping[str, Any]) -> Any:
        """GET accountConfig."""
        return {
            "feeTier": 0,
            "canTrade": True,
            "canDeposit": True,
            "canWithdraw": True,
            "dualSidePosition": False,
            "multiAssetsMargin": False,
            "tradeGroupId": -1,
        }

    def commission(self, account: str, params: Mapping[str, Any]) -> Any:
        """GET commissionRate."""
        listing = self.listing(params.get("symbol"))
        rates = {"makerCommissionRate": self.number(listing.maker), "takerCommissionRate": self.number(listing.taker)}
        return {"symbol": params["symbol"], **rates, "rpiCommissionRate": "0"}

    def brackets(self, account: str, params: Mapping[str, Any]) -> Any:
        """GET leverageBracket: one bracket each."""
        bracket = {
            "bracket": 1,
            "initialLeverage": 125,
            "notionalCap": 10**9,
            "notionalFloor": 0,
            "maintMarginRatio": 0.004,
            "cum": 0.0,
        }
        return [{"symbol": name, "brackets": [bracket]} for name in self.listings]

    def set_leverage(self, account: str, params: Mapping[str, Any]) -> Any:
        """POST leverage."""
        listing = self.listing(params.get("symbol"))
        try:
            self.exchange.set_leverage(account, listing.key, int(params.get("leverage", 0)))
        except Refusal as refusal:
            raise self.refuse(refusal) from None
        return {"leverage": int(params["leverage"]), "maxNotionalValue": "100000000", "symbol": params["symbol"]}

    def margin_type(self, account: str, params: Mapping[str, Any]) -> Any:
        """POST marginType: cross is what there is."""
        if params.get("marginType") == "CROSSED":
            raise ApiError(-4046, "No need to change margin type.")
        raise ApiError(-4047, "Margin type cannot be changed if there exists open orders.")

    def position_margin(self, account: str, params: Mapping[str, Any]) -> Any:
        """POST positionMargin: cross is what there is."""
        self.listing(params.get("symbol"))
        raise ApiError(-4049, "Add margin only support for isolated position.")

    def set_dual(self, account: str, params: Mapping[str, Any]) -> Any:
        """POST positionSide/dual: one-way is what there is."""
        if str(params.get("dualSidePosition")).lower() == "false":
            raise ApiError(-4059, "No need to change position side.")
        raise ApiError(-4068, "Position side cannot be changed if there exists position.")
