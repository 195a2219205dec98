"""KuCoin spot from the venue's end: what answers where, topics, the account, and the account's events."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from connectors.kucoin.practice_product import ApiError, Caller, Venue, route, text
from connectors.kucoin.practice_spot_market import order_id
from connectors.kucoin.practice_spot_orders import SpotOrders, stop_id
from connectors.model import OrderStatus
from connectors.practice.listings import Listing
from connectors.practice.terms import AccountEvent, BalanceChanged, Execution, Happening, Order, OrderChanged, Wallet

PUBLIC, SPOT, MANAGEMENT = "public", "spot", "management"


class Spot(SpotOrders):
    """The spot product."""

    name = "spot"
    public_topics = frozenset(
        {
            "/market/level2",
            "/spotMarket/level2Depth5",
            "/spotMarket/level2Depth50",
            "/spotMarket/level1",
            "/market/match",
            "/market/ticker",
            "/market/snapshot",
            "/market/candles",
        }
    )
    private_topics = frozenset(
        {
            "/spotMarket/tradeOrdersV2",
            "/spotMarket/tradeOrders",
            "/spotMarket/advancedOrders",
            "/account/balance",
            "/spot/tradeFills",
        }
    )

    def __init__(self, venue: Venue, listings: Iterable[Listing]) -> None:
        super().__init__(venue, listings)
        self._rests: dict[int, Decimal] = {}  # orders that will rest once so much of them is filled
        active = "/api/v1/hf/orders/active"
        self.routes = [
            route("GET", "/api/v1/timestamp", lambda caller: self.now_ms, weight=3),
            route("GET", "/api/v1/status", lambda caller: {"status": "open", "msg": ""}, weight=3),
            route("GET", "/api/v2/symbols", self.symbols, weight=4),
            route("GET", "/api/v1/symbols", self.symbols, weight=4),
            route(
                "GET", "/api/v2/symbols/{symbol}", lambda caller: self._symbol(self.listing(caller.params["symbol"]))
            ),
            route("GET", "/api/v1/market/allTickers", self.all_tickers, weight=15),
            route("GET", "/api/v1/market/stats", self.stats, weight=15),
            route("GET", "/api/v1/market/orderbook/level1", self.level1),
            route("GET", "/api/v1/market/orderbook/level2_20", lambda caller: self.book(caller, 20)),
            route("GET", "/api/v1/market/orderbook/level2_100", lambda caller: self.book(caller, 100)),
            route("GET", "/api/v3/market/orderbook/level2", lambda caller: self.book(caller, None), SPOT, 3),
            route("GET", "/api/v1/market/histories", self.histories, weight=3),
            route("GET", "/api/v1/market/candles", self.candles, weight=3),
            route("POST", "/api/v1/bullet-public", lambda caller: venue.bullet("spot", ""), weight=10),
            route(
                "POST", "/api/v1/bullet-private", lambda caller: venue.bullet("spot", caller.account), MANAGEMENT, 10
            ),
            route("GET", "/api/ua/v1/account/mode", self.mode, MANAGEMENT, 5),
            route("GET", "/api/v1/user/api-key", self.key_info, MANAGEMENT, 20),
            route("GET", "/api/v1/accounts", self.accounts, MANAGEMENT, 5),
            route("GET", "/api/v1/hf/accounts/opened", lambda caller: True, SPOT, 2),
            route("GET", "/api/v1/base-fee", lambda caller: self._fee(None), SPOT, 3),
            route("GET", "/api/v1/trade-fees", self.trade_fees, SPOT, 3),
            route("POST", "/api/v1/hf/orders", self.place, SPOT, 1, acts=True),
            route("POST", "/api/v1/hf/orders/sync", self.place_sync, SPOT, 1, acts=True),
            route("POST", "/api/v1/hf/orders/test", self.test, SPOT, 1),
            route("POST", "/api/v1/hf/orders/multi", self.multi, SPOT, 1, acts=True),
            route("POST", "/api/v1/hf/orders/multi/sync", self.multi, SPOT, 1, acts=True),
            route("POST", "/api/v1/hf/orders/alter", self.alter, SPOT, 1, acts=True),
            route("POST", "/api/v1/hf/orders/dead-cancel-all", self.dead_man, SPOT, 2),
            route("GET", "/api/v1/hf/orders/dead-cancel-all/query", self.dead_man_query, SPOT, 2),
            route("DELETE", "/api/v1/hf/orders/cancelAll", self.cancel_everything, SPOT, 30, acts=True),
            route("DELETE", "/api/v1/hf/orders/client-order/{clientOid}", self.cancel, SPOT, 1, acts=True),
            route("DELETE", "/api/v1/hf/orders/sync/client-order/{clientOid}", self.cancel_sync, SPOT, 1, acts=True),
            route("DELETE", "/api/v1/hf/orders/sync/{orderId}", self.cancel_sync, SPOT, 1, acts=True),
            route("DELETE", "/api/v1/hf/orders/cancel/{orderId}", self.reduce, SPOT, 2, acts=True),
            route("DELETE", "/api/v1/hf/orders/{orderId}", self.cancel, SPOT, 1, acts=True),
            route("DELETE", "/api/v1/hf/orders", self.cancel_symbol, SPOT, 2, acts=True),
            route("GET", f"{active}/symbols", self.active_symbols, SPOT, 2),
            route("GET", f"{active}/page", self.active_page, SPOT, 2),
            route("GET", active, lambda caller: [self._row(order) for order in self._active(caller)], SPOT, 2),
            route("GET", "/api/v1/hf/orders/done", self.done, SPOT, 2),
            route("GET", "/api/v1/hf/orders/client-order/{clientOid}", self.query, SPOT, 2),
            route("GET", "/api/v1/hf/orders/{orderId}", self.query, SPOT, 2),
            route("GET", "/api/v1/hf/fills", self.fills, SPOT, 2),
            route("POST", "/api/v1/stop-order", self.place_stop, SPOT, 2, acts=True),
            route("GET", "/api/v1/stop-order", self.stop_orders, SPOT, 8),
            route("DELETE", "/api/v1/stop-order/cancel", self.cancel_stops, SPOT, 3, acts=True),
            route("DELETE", "/api/v1/stop-order/{orderId}", self.cancel_stop, SPOT, 3, acts=True),
        ]

    # account

    def mode(self, caller: Caller) -> Any:
        """GET account/mode."""
        return {"selfAccountMode": "UNIFIED" if self.venue.unified else "CLASSIC"}

    def key_info(self, caller: Caller) -> Any:
        """GET user/api-key."""
        key = self.venue.credentials if caller.account == "trader" else self.venue.other
        return {
            "remark": "practice",
            "apiKey": key["key"],
            "apiVersion": 3,
            "permission": self.venue.permission,
            "ipWhitelist": "127.0.0.1",
            "createdAt": 1728443843000,
            "uid": 165111215,
            "isMaster": True,
            "region": "global",
            "siteType": "global",
        }

    def accounts(self, caller: Caller) -> Any:
        """The trading account, and a main account that is not for trading."""
        rows = [
            {
                "id": f"5486745917{index:02d}",
                "currency": row.asset,
                "type": "trade",
                "balance": text(row.total),
                "available": text(row.available),
                "holds": text(row.held),
            }
            for index, row in enumerate(self.exchange.balances(caller.account, Wallet.SPOT))
        ]
        rows.append(
            {
                "id": "63355cd156298d0001b66e61",
                "currency": "USDT",
                "type": "main",
                "balance": "12.5",
                "available": "12.5",
                "holds": "0",
            }
        )
        wanted = caller.params.get("type")
        return [row for row in rows if not wanted or row["type"] == wanted]

    @staticmethod
    def _fee(listing: Listing | None) -> dict[str, str]:
        maker, taker = (listing.maker, listing.taker) if listing else (Decimal("0.001"), Decimal("0.001"))
        return {"takerFeeRate": text(taker), "makerFeeRate": text(maker)}

    def trade_fees(self, caller: Caller) -> Any:
        """Up to ten symbols."""
        names = [name for name in caller.params.get("symbols", "").split(",") if name]
        if not 1 <= len(names) <= 10:
            raise ApiError("400100", "symbols is invalid")
        return [{"symbol": name, **self._fee(self.listing(name))} for name in names]

    # private events

    def heard(self, event: AccountEvent) -> list[tuple[str, str, str, Any]]:
        """Orders on both order topics (the older one without `received`), stop orders, balances."""
        match event:
            case OrderChanged() if event.key in self.names:
                return self._order_news(event)
            case BalanceChanged() if event.balance.wallet is Wallet.SPOT:
                balance = event.balance
                data = {
                    "accountId": "548674591753",
                    "currency": balance.asset,
                    "total": text(balance.total),
                    "available": text(balance.available),
                    "hold": text(balance.held),
                    "availableChange": "0",
                    "holdChange": "0",
                    "relationContext": {},
                    "relationEvent": "trade.setted",
                    "relationEventId": str(event.sequence),
                    "time": str(event.time),
                }
                return [("/account/balance", "/account/balance", "account.balance", data)]
        return []

    def _order_news(self, event: OrderChanged) -> list[tuple[str, str, str, Any]]:
        order = event.order
        if order.kind.has_trigger and order.triggered is None:
            kind = {Happening.ACCEPTED: "open", Happening.ENDED: "cancel"}.get(event.what)
            return [self._stop_news(order, kind)] if kind else []
        found: list[tuple[str, str, str, Any]] = []
        news = self._news_rows
        match event.what:
            case Happening.ACCEPTED | Happening.TRIGGERED:
                if event.what is Happening.TRIGGERED:
                    found.append(self._stop_news(order, "triggered"))
                now = self.exchange.order(order.account, order.id)
                found += news(order, "received", "new")[:1]
                if not now.status.is_final and now.kind.has_price:
                    if now.filled:
                        self._rests[order.id] = now.filled
                    else:
                        found += news(order, "open", "open")
            case Happening.FILLED:
                found += news(order, "match", "match", event.fill)
                if order.status is OrderStatus.FILLED:
                    found += news(order, "filled", "done")
                elif self._rests.get(order.id) == order.filled:
                    found += news(order, "open", "open")
            case Happening.AMENDED:
                found += news(order, "update", "open")
            case Happening.ENDED:
                found += news(order, "canceled", "done")
        return found

    def _news_rows(
        self, order: Order, kind: str, status: str, fill: Execution | None = None
    ) -> list[tuple[str, str, str, Any]]:
        size, left = order.amount or Decimal(0), order.remaining or Decimal(0)
        row: dict[str, Any] = {
            "clientOid": order.client_id,
            "orderId": order_id(order.id),
            "orderTime": order.created,
            "orderType": "limit" if order.kind.has_price else "market",
            "originSize": text(size),
            "side": order.side.value,
            "status": status,
            "symbol": self.names[order.key],
            "ts": order.updated * 1_000_000,
            "type": kind,
        }
        if order.price is not None:
            row["price"] = text(order.price)
        if order.quote_amount is not None:
            row["originFunds"] = text(order.quote_amount)
            row["remainFunds"] = text(max(Decimal(0), order.quote_amount - order.filled_value))
        if kind != "received":
            row |= {
                "canceledSize": text(left if kind == "canceled" else Decimal(0)),
                "filledSize": text(order.filled),
                "remainSize": text(Decimal(0) if kind == "canceled" else left),
                "size": text(size),
            }
        if fill is not None:
            row |= {
                "feeType": "makerFee" if fill.maker else "takerFee",
                "liquidity": "maker" if fill.maker else "taker",
                "matchPrice": text(fill.price),
                "matchSize": text(fill.size),
                "tradeId": str(self.trade_id(fill.trade_id)),
            }
        topics = (
            ["/spotMarket/tradeOrdersV2"]
            if kind == "received"
            else ["/spotMarket/tradeOrdersV2", "/spotMarket/tradeOrders"]
        )
        return [(topic, topic, "orderChange", row) for topic in topics]

    def _stop_news(self, order: Order, kind: str) -> tuple[str, str, str, Any]:
        row: dict[str, Any] = {
            "createdAt": order.created,
            "orderId": stop_id(order.id),
            "orderType": "stop",
            "side": order.side.value,
            "size": text(order.amount),
            "stop": self._stop_word(order),
            "stopPrice": text(order.trigger),
            "symbol": self.names[order.key],
            "tradeType": "TRADE",
            "ts": order.updated * 1_000_000,
            "type": kind,
        }
        if order.price is not None:
            row["orderPrice"] = text(order.price)
        return ("/spotMarket/advancedOrders", "/spotMarket/advancedOrders", "stopOrder", row)
