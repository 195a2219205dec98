"""KuCoin futures from the venue's end: what answers where, topics, the account with its positions, and the account's events."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec

from connectors.kucoin.practice_futures_market import FIRST, coin, order_id
from connectors.kucoin.practice_futures_orders import FuturesOrders
from connectors.kucoin.practice_product import ApiError, Caller, Venue, number, route, text
from connectors.model import OrderStatus, Unit
from connectors.practice.listings import Listing
from connectors.practice.terms import (
    AccountEvent,
    BalanceChanged,
    Execution,
    Happening,
    Order,
    OrderChanged,
    PositionChanged,
    PositionImage,
    TriggerOn,
    Wallet,
)

FUTURES, MANAGEMENT = "futures", "management"


class Futures(FuturesOrders):
    """The futures product."""

    name = "futures"
    public_topics = frozenset(
        {
            "/contractMarket/level2",
            "/contractMarket/level2Depth5",
            "/contractMarket/level2Depth50",
            "/contractMarket/execution",
            "/contractMarket/tickerV2",
            "/contractMarket/ticker",
            "/contractMarket/snapshot",
            "/contractMarket/limitCandle",
            "/contract/instrument",
        }
    )
    private_topics = frozenset(
        {
            "/contractMarket/tradeOrders",
            "/contractMarket/advancedOrders",
            "/contractAccount/wallet",
            "/contract/positionAll",
            "/contract/position",
        }
    )

    def __init__(self, venue: Venue, listings: Iterable[Listing]) -> None:
        super().__init__(venue, listings)
        self._versions = 1000
        self.routes = [
            route("GET", "/api/v1/timestamp", lambda caller: self.now_ms),
            route("GET", "/api/v1/status", lambda caller: {"status": "open", "msg": ""}, weight=4),
            route("GET", "/api/v1/contracts/active", self.contracts, weight=3),
            route("GET", "/api/v1/contracts/{symbol}", self.contract, weight=3),
            route("GET", "/api/v1/level2/snapshot", lambda caller: self.book(caller, 1000), weight=3),
            route("GET", "/api/v1/level2/depth20", lambda caller: self.book(caller, 20), weight=5),
            route("GET", "/api/v1/level2/depth100", lambda caller: self.book(caller, 100), weight=10),
            route("GET", "/api/v1/trade/history", self.history, weight=5),
            route("GET", "/api/v1/ticker", self.ticker, weight=2),
            route("GET", "/api/v1/kline/query", self.klines, weight=3),
            route("GET", "/api/v1/funding-rate/{symbol}/current", self.funding_rate, weight=2),
            route("GET", "/api/v1/mark-price/{symbol}/current", self.mark_price, weight=3),
            route("POST", "/api/v1/bullet-public", lambda caller: venue.bullet("futures", ""), weight=10),
            route(
                "POST", "/api/v1/bullet-private", lambda caller: venue.bullet("futures", caller.account), MANAGEMENT, 10
            ),
            route("GET", "/api/v1/account-overview", self.overview, FUTURES, 5),
            route("GET", "/api/v1/positions", self.positions, FUTURES, 2),
            route("GET", "/api/v1/position", self.position, FUTURES, 2),
            route("GET", "/api/v2/position", self.position, FUTURES, 2),
            route("GET", "/api/v2/position/getMarginMode", self.margin_mode, FUTURES, 2),
            route("POST", "/api/v2/position/changeMarginMode", self.change_margin_mode, FUTURES, 2),
            route("GET", "/api/v2/position/getPositionMode", lambda caller: {"positionMode": 0}, FUTURES, 2),
            route("GET", "/api/v2/getCrossUserLeverage", self.cross_leverage, FUTURES, 2),
            route("POST", "/api/v2/changeCrossUserLeverage", self.change_cross_leverage, FUTURES, 2),
            route("GET", "/api/v1/trade-fees", self.trade_fees, FUTURES, 3),
            route("POST", "/api/v1/orders", self.place, FUTURES, 2, acts=True),
            route("POST", "/api/v1/orders/test", self.test, FUTURES, 2),
            route("DELETE", "/api/v1/orders/client-order/{clientOid}", self.cancel_by_client, FUTURES, 1, acts=True),
            route("DELETE", "/api/v1/orders/{orderId}", self.cancel, FUTURES, 1, acts=True),
            route("DELETE", "/api/v3/orders", self.cancel_all, FUTURES, 10, acts=True),
            route("DELETE", "/api/v1/stopOrders", self.cancel_stops, FUTURES, 15, acts=True),
            route("GET", "/api/v1/orders/byClientOid", self.query, FUTURES, 5),
            route("GET", "/api/v1/orders/{orderId}", self.query, FUTURES, 5),
            route("GET", "/api/v1/orders", self.orders, FUTURES, 2),
            route("GET", "/api/v1/stopOrders", self.stop_orders, FUTURES, 6),
            route("GET", "/api/v1/fills", self.fills, FUTURES, 5),
            route("GET", "/api/v1/recentFills", self.recent_fills, FUTURES, 3),
        ]

    # account

    def _money(self, account: str, asset: str) -> dict[str, Decimal]:
        balance = self.exchange.balance(account, asset, Wallet.MARGIN)
        held = [row for row in self._positions(account) if self.exchange.listings[row.key].settle == asset]
        margin = sum((row.margin for row in held), Decimal(0))
        return {
            "total": balance.total,
            "unrealised": balance.unrealised,
            "available": balance.available,
            "positions": margin,
            "orders": max(Decimal(0), balance.held - margin),
        }

    def overview(self, caller: Caller) -> Any:
        """One settle currency."""
        currency = caller.params.get("currency", "XBT")
        asset = "BTC" if currency == "XBT" else currency
        money = self._money(caller.account, asset)
        return {
            "accountEquity": _signed(money["total"] + money["unrealised"]),
            "unrealisedPNL": _signed(money["unrealised"]),
            "marginBalance": _signed(money["total"]),
            "positionMargin": number(money["positions"]),
            "orderMargin": number(money["orders"]),
            "frozenFunds": 0.0,
            "availableBalance": number(money["available"]),
            "currency": currency,
            "riskRatio": 0.0,
            "maxWithdrawAmount": number(money["available"]),
        }

    def _positions(self, account: str) -> list[PositionImage]:
        return [image for image in self.exchange.positions(account) if image.key in self.names]

    def positions(self, caller: Caller) -> Any:
        """Open ones."""
        wanted = caller.params.get("currency")
        rows = [self._position(caller.account, image) for image in self._positions(caller.account)]
        return [row for row in rows if not wanted or row["settleCurrency"] == wanted]

    def position(self, caller: Caller) -> Any:
        """One contract, flat or not."""
        listing = self.listing(caller.params.get("symbol"))
        return self._position(caller.account, self.exchange.position(caller.account, listing.key))

    def _position(self, account: str, image: PositionImage) -> dict[str, Any]:
        listing = self.exchange.listings[image.key]
        mode = self._mode(account, image.key)
        return {
            "id": "500000000000988255",
            "symbol": self.names[image.key],
            "crossMode": mode == "CROSS",
            "openingTimestamp": self.now_ms,
            "currentTimestamp": self.now_ms,
            "currentQty": int(image.size),
            "isOpen": bool(image.size),
            "markPrice": number(image.mark),
            "realisedPnl": _signed(image.realised),
            "unrealisedPnl": _signed(image.unrealised),
            "avgEntryPrice": number(image.entry),
            "liquidationPrice": number(image.liquidation),
            "posMargin": number(image.margin),
            "maintMargin": number(image.maintenance),
            "settleCurrency": coin(listing.settle),
            "isInverse": listing.unit is Unit.INVERSE,
            "marginMode": mode,
            "positionSide": "BOTH",
            "leverage": image.leverage,
            "realLeverage": image.leverage,
        }

    def margin_mode(self, caller: Caller) -> Any:
        """Mode of a contract, and the leverages."""
        listing = self.listing(caller.params.get("symbol"))
        leverage = str(self.exchange.leverage(caller.account, listing.key))
        return {
            "symbol": self.names[listing.key],
            "marginMode": self._mode(caller.account, listing.key),
            "crossMarginLeverage": leverage,
            "isolatedMarginLeverage": leverage,
        }

    def change_margin_mode(self, caller: Caller) -> Any:
        """While there is no position and no order."""
        listing = self.listing(caller.body.get("symbol"))
        mode = caller.body.get("marginMode")
        if mode not in ("ISOLATED", "CROSS"):
            raise ApiError("100001", "marginMode is invalid")
        busy = self.exchange.position(caller.account, listing.key).size
        if busy or self.exchange.open_orders(caller.account, listing.key):
            raise ApiError("330006", "There are open positions or orders.")
        self.modes[caller.account, listing.key] = mode
        return {"symbol": self.names[listing.key], "marginMode": mode}

    def cross_leverage(self, caller: Caller) -> Any:
        """Of a contract in cross margin."""
        listing = self.listing(caller.params.get("symbol"))
        leverage = self.exchange.leverage(caller.account, listing.key)
        return {"symbol": self.names[listing.key], "leverage": str(leverage)}

    def change_cross_leverage(self, caller: Caller) -> Any:
        """Set it."""
        listing = self.listing(caller.body.get("symbol"))
        self.exchange.set_leverage(caller.account, listing.key, int(caller.body.get("leverage") or 0))
        return True

    def trade_fees(self, caller: Caller) -> Any:
        """Of one contract."""
        listing = self.listing(caller.params.get("symbol"))
        rates = {"takerFeeRate": text(listing.taker), "makerFeeRate": text(listing.maker)}
        return {"symbol": self.names[listing.key], **rates}

    # private events

    def heard(self, event: AccountEvent) -> list[tuple[str, str, str, Any]]:
        """Orders, stop orders, wallets, positions."""
        match event:
            case OrderChanged() if event.key in self.names:
                return self._order_news(event)
            case BalanceChanged() if event.balance.wallet is Wallet.MARGIN:
                return [self._wallet_news(event)]
            case PositionChanged() if event.key in self.names:
                symbol = self.names[event.key]
                row = {**self._position(event.account, event.position), "changeReason": "positionChange"}
                return [("/contract/positionAll", f"/contract/position:{symbol}", "position.change", row)]
        return []

    def _wallet_news(self, event: BalanceChanged) -> tuple[str, str, str, Any]:
        asset = event.balance.asset
        money = self._money(event.account, asset)
        self._versions += 1
        data = {
            "crossPosMargin": "0",
            "isolatedOrderMargin": text(money["orders"]),
            "holdBalance": "0",
            "equity": _signed_text(money["total"] + money["unrealised"]),
            "version": str(self._versions),
            "availableBalance": text(money["available"]),
            "isolatedPosMargin": text(money["positions"]),
            "walletBalance": _signed_text(money["total"]),
            "isolatedFundingFeeMargin": "0",
            "crossUnPnl": "0",
            "totalCrossMargin": text(money["available"]),
            "currency": coin(asset),
            "isolatedUnPnl": "0",
            "crossOrderMargin": "0",
            "timestamp": str(event.time),
        }
        return ("/contractAccount/wallet", "/contractAccount/wallet", "walletBalance.change", data)

    def _order_news(self, event: OrderChanged) -> list[tuple[str, str, str, Any]]:
        order = event.order
        if order.kind.has_trigger and order.triggered is None:
            kind = {Happening.ACCEPTED: "open", Happening.ENDED: "cancel"}.get(event.what)
            return [self._stop_news(order, kind)] if kind else []
        found: list[tuple[str, str, str, Any]] = []
        match event.what:
            case Happening.ACCEPTED | Happening.TRIGGERED:
                if event.what is Happening.TRIGGERED:
                    found.append(self._stop_news(order, "triggered"))
                now = self.exchange.order(order.account, order.id)
                if not now.status.is_final and now.kind.has_price and not now.filled:
                    found.append(self._news_row(order, "open", "open"))
            case Happening.FILLED:
                found.append(self._news_row(order, "match", "match", event.fill))
                if order.status is OrderStatus.FILLED:
                    found.append(self._news_row(order, "filled", "done"))
            case Happening.AMENDED:
                found.append(self._news_row(order, "update", "open"))
            case Happening.ENDED:
                found.append(self._news_row(order, "canceled", "done"))
        return found

    def _news_row(
        self, order: Order, kind: str, status: str, fill: Execution | None = None
    ) -> tuple[str, str, str, Any]:
        left = order.remaining or Decimal(0)
        symbol = self.names[order.key]
        row: dict[str, Any] = {
            "symbol": symbol,
            "orderType": "limit" if order.kind.has_price else "market",
            "side": order.side.value,
            "canceledSize": text(left if kind == "canceled" else Decimal(0)),
            "orderId": order_id(order.id),
            "marginMode": self._mode(order.account, order.key),
            "type": kind,
            "orderTime": order.created * 1_000_000,
            "size": text(order.amount),
            "filledSize": text(order.filled),
            "price": text(order.price),
            "remainSize": text(Decimal(0) if kind == "canceled" else left),
            "status": status,
            "clientOid": order.client_id,
            "ts": order.updated * 1_000_000,
        }
        if fill is not None:
            row |= {
                "feeType": "makerFee" if fill.maker else "takerFee",
                "liquidity": "maker" if fill.maker else "taker",
                "matchPrice": text(fill.price),
                "matchSize": text(fill.size),
                "tradeId": str(FIRST + fill.trade_id),
            }
        return ("/contractMarket/tradeOrders", f"/contractMarket/tradeOrders:{symbol}", "symbolOrderChange", row)

    def _stop_news(self, order: Order, kind: str) -> tuple[str, str, str, Any]:
        row: dict[str, Any] = {
            "createdAt": order.created,
            "marginMode": self._mode(order.account, order.key),
            "orderId": order_id(order.id),
            "orderType": "stop",
            "side": order.side.value,
            "size": int(order.amount or 0),
            "stop": self._stop_word(order),
            "stopPrice": text(order.trigger),
            "stopPriceType": "TP" if order.trigger_on is TriggerOn.LAST else "MP",
            "symbol": self.names[order.key],
            "ts": order.updated * 1_000_000,
            "type": kind,
        }
        if order.price is not None:
            row["orderPrice"] = text(order.price)
        return ("/contractMarket/advancedOrders", "/contractMarket/advancedOrders", "stopOrder", row)


def _signed(value: Decimal) -> Any:
    """A number that may be negative, as a JSON number with its own digits."""
    return msgspec.Raw(_signed_text(value).encode())


def _signed_text(value: Decimal) -> str:
    return text(value) if value >= 0 else f"-{text(-value)}"
