"""KuCoin spot from the venue's side: market data, the hf order family, stop orders with ids of their own, events.

Book numbers have room for hidden activity: after every fourth change one number is taken by a row with price "0".
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec

from connectors.kucoin.practice import ApiError, Caller, KucoinPractice, Product, decimal, number, route, text
from connectors.kucoin.practice_listings import OLD_NAMES
from connectors.model import EndReason, InstrumentStatus, OrderKind, OrderStatus, Side, TimeInForce
from connectors.practice.listings import Listing
from connectors.practice.terms import (
    AccountEvent,
    BalanceChanged,
    BookChanged,
    Execution,
    Happening,
    NewOrder,
    Order,
    OrderChanged,
    Refusal,
    RefusalKind,
    SelfTrade,
    Traded,
    Wallet,
)

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
_STP = {"CN": SelfTrade.CANCEL_NEWEST, "CO": SelfTrade.CANCEL_OLDEST, "CB": SelfTrade.CANCEL_BOTH}
_REFUSALS = {
    RefusalKind.FUNDS: ("200004", "Balance insufficient!"),
    RefusalKind.SIZE_MINIMUM: ("400100", "Order size below the minimum requirement."),
    RefusalKind.SIZE_MAXIMUM: ("400100", "Order size above the maximum."),
    RefusalKind.SIZE_LOT: ("600100", "Order size increment invalid."),
    RefusalKind.PRICE_TICK: ("600100", "Order price increment invalid."),
    RefusalKind.PRICE_BOUNDS: ("400100", "price not in the given range!"),
    RefusalKind.NOTIONAL_MINIMUM: ("600101", "The order funds should more then 0.1 USDT."),
    RefusalKind.CLIENT_ID: ("400100", "clientOid duplicate"),
    RefusalKind.MARKET_CLOSED: ("400600", "validation.createOrder.symbolNotAvailable"),
    RefusalKind.TOO_MANY_ORDERS: ("200003", "Too many open orders."),
    RefusalKind.UNKNOWN_ORDER: ("400100", "order_not_exist_or_not_allow_to_cancel"),
    RefusalKind.ORDER_ENDED: ("400100", "order_not_exist_or_not_allow_to_cancel"),
    RefusalKind.WOULD_TRIGGER: ("400100", "The stop price has been reached already."),
}
PUBLIC, SPOT, MANAGEMENT = "public", "spot", "management"


def order_id(order: int) -> str:
    """An order's id on the wire: 24 hex digits."""
    return f"67120bbef094{order:012x}"


def stop_id(order: int) -> str:
    """A stop order's, in a space of its own."""
    return f"vs93gptvr9{order:014d}"


class Spot(Product):
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

    def __init__(self, venue: KucoinPractice, listings: Iterable[Listing]) -> None:
        super().__init__(venue, listings)
        self._sent: dict[str, int] = {}  # book number that the stream has reached, by key
        self._best: dict[str, Any] = {}
        self._bars: dict[str, int] = {}
        self._rests: dict[int, Decimal] = {}  # orders that will rest once so much of them is filled
        self._countdowns: dict[tuple[str, tuple[str, ...]], int] = {}
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

    def refuse(self, refusal: Refusal) -> ApiError:
        """In spot's words."""
        code, words = _REFUSALS.get(refusal.kind, ("400100", refusal.text))
        return ApiError(code, words)

    def sequence(self, key: str, at: int | None = None) -> int:
        """A book's number on the wire."""
        number_ = self.exchange.sequence(key) if at is None else at
        return FIRST + number_ + number_ // 4

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
                "sequence": str(row.id),
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

    # orders

    def request(self, body: Any, *, stop: bool = False) -> NewOrder:
        """The exchange's order for a body. ApiError for what is checked before the engine."""
        if {"hidden", "iceberg", "visibleSize"} & {name for name in body if body[name]}:
            raise ApiError("400413", "Invaild order type, hidden and iceberg orders are not supported any more.")
        listing = self.listing(body.get("symbol"))
        if body.get("side") not in ("buy", "sell"):
            raise ApiError("400100", "side is invalid")
        kind = body.get("type", "limit")
        if kind not in ("limit", "market"):
            raise ApiError("400100", "type is invalid")
        client = str(body.get("clientOid") or secrets.token_hex(12))
        if len(client) > 40 or not all(letter.isalnum() or letter in "-_" for letter in client):
            raise ApiError("400100", "clientOid is invalid")
        bad_size, bad_price = ApiError("300000", "The quantity is invalid."), ApiError("400100", "price is invalid")
        limit = kind == "limit"
        tif = body.get("timeInForce") or "GTC"
        if tif not in ("GTC", "GTT", "IOC", "FOK"):
            raise ApiError("400100", "timeInForce is invalid")
        side = Side(body["side"])
        order_kind = OrderKind.LIMIT if limit else OrderKind.MARKET
        trigger = None
        if stop:
            trigger = decimal(body.get("stopPrice"), bad_price)
            if body.get("stop") not in ("loss", "entry"):
                raise ApiError("400100", "stop is invalid")
            stops = (body["stop"] == "entry") is (side is Side.BUY)
            order_kind = OrderKind.STOP if stops else OrderKind.TAKE_PROFIT
            if limit:
                order_kind = OrderKind.STOP_LIMIT if stops else OrderKind.TAKE_PROFIT_LIMIT
        after = int(body.get("cancelAfter") or 0)
        immediate = limit and tif in ("IOC", "FOK")
        size = body.get("size")
        if (size in (None, "")) is (limit or not body.get("funds")):
            raise bad_size
        return NewOrder(
            key=listing.key,
            side=side,
            kind=order_kind,
            amount=decimal(size, bad_size) if size not in (None, "") else None,
            quote_amount=decimal(body["funds"], bad_size) if size in (None, "") else None,
            price=decimal(body.get("price"), bad_price) if limit else None,
            trigger=trigger,
            tif=TimeInForce(tif.lower()) if immediate else TimeInForce.GTC,
            post_only=bool(body.get("postOnly")) and limit and not immediate,
            client_id=client,
            expires=self.now_ms + after * 1000 if tif == "GTT" and after > 0 else None,
            self_trade=_STP.get(str(body.get("stp") or "")),
        )

    def place(self, caller: Caller) -> Any:
        """Accepted for processing: the answer says no more than the ids."""
        order = self.exchange.place(caller.account, self.request(caller.body))
        return {"orderId": order_id(order.id), "clientOid": order.client_id}

    def place_sync(self, caller: Caller) -> Any:
        """The same, with what came of it."""
        order = self.exchange.place(caller.account, self.request(caller.body))
        ids = {"orderId": order_id(order.id), "clientOid": order.client_id, "orderTime": order.created}
        return {**ids, **self._sizes(order), "matchTime": order.updated}

    @staticmethod
    def _sizes(order: Order) -> dict[str, Any]:
        ended = order.status.is_final
        left = order.remaining or Decimal(0)
        return {
            "originSize": text(order.amount),
            "dealSize": text(order.filled),
            "remainSize": text(Decimal(0) if ended else left),
            "canceledSize": text(left if ended else Decimal(0)),
            "status": "done" if ended else "open",
        }

    def test(self, caller: Caller) -> Any:
        """A dry run."""
        request = self.request(caller.body)
        self.exchange.test(caller.account, request)
        return {"orderId": order_id(0), "clientOid": request.client_id}

    def multi(self, caller: Caller) -> Any:
        """Up to five; each has its own verdict."""
        rows = []
        for body in list(caller.body.get("orderList") or ())[:5]:
            try:
                order = self.exchange.place(caller.account, self.request(body))
                rows.append({"orderId": order_id(order.id), "clientOid": order.client_id, "success": True})
            except (ApiError, Refusal) as error:
                words = self.refuse(error).text if isinstance(error, Refusal) else error.text
                rows.append({"success": False, "failMsg": words})
        return rows

    def find(self, caller: Caller, *, stop: bool = False) -> Order:
        """By orderId or clientOid of the path, the body or the query."""
        fields = {**caller.params, **caller.body}
        unknown = ApiError("400100", "order_not_exist_or_not_allow_to_cancel")
        name: int | str = str(fields.get("clientOid") or "")
        if fields.get("orderId"):
            wire = str(fields["orderId"])
            try:
                name = int(wire[-14:] if stop else wire[-12:], 10 if stop else 16)
            except ValueError:
                raise unknown from None
            if wire != (stop_id(name) if stop else order_id(name)):
                raise unknown
        if not name:
            raise ApiError("400100", "orderId or clientOid is required")
        try:
            order = self.exchange.order(caller.account, name)
        except Refusal:
            raise unknown from None
        waits = order.kind.has_trigger and order.triggered is None
        if waits is not stop or order.key not in self.names:
            raise unknown
        return order

    def _named(self, caller: Caller) -> Order:
        listing = self.listing({**caller.params, **caller.body}.get("symbol"))
        order = self.find(caller)
        if order.key != listing.key:
            raise ApiError("400100", "order_not_exist_or_not_allow_to_cancel")
        return order

    def cancel(self, caller: Caller) -> Any:
        """Accepted."""
        order = self.exchange.cancel(caller.account, self._named(caller).id)
        if "clientOid" in caller.params:
            return {"clientOid": order.client_id}
        return {"orderId": order_id(order.id)}

    def cancel_sync(self, caller: Caller) -> Any:
        """With what came of it."""
        order = self.exchange.cancel(caller.account, self._named(caller).id)
        return {"orderId": order_id(order.id), "clientOid": order.client_id, **self._sizes(order)}

    def reduce(self, caller: Caller) -> Any:
        """Take part of an order out; it keeps its place."""
        order = self._named(caller)
        size = decimal(caller.params.get("cancelSize"), ApiError("300000", "The quantity is invalid."))
        self.exchange.amend(caller.account, order.id, amount=(order.amount or Decimal(0)) - size)
        return {"orderId": order_id(order.id), "cancelSize": text(size)}

    def cancel_symbol(self, caller: Caller) -> Any:
        """Everything of a symbol, stop orders left aside."""
        listing = self.listing(caller.params.get("symbol"))
        self._cancel_all(caller.account, [listing.key], EndReason.USER)
        return "success"

    def cancel_everything(self, caller: Caller) -> Any:
        """All symbols."""
        keys = sorted({order.key for order in self._working(caller.account)})
        self._cancel_all(caller.account, keys, EndReason.USER)
        return {"succeedSymbols": [self.names[key] for key in keys], "failedSymbols": []}

    def _working(self, account: str) -> list[Order]:
        """Open orders that do not wait for a trigger."""
        return [
            order
            for order in self.exchange.open_orders(account)
            if order.key in self.names and not (order.kind.has_trigger and order.triggered is None)
        ]

    def _cancel_all(self, account: str, keys: Iterable[str], reason: EndReason) -> None:
        chosen = set(keys)
        for order in self._working(account):
            if order.key in chosen:
                self.exchange.cancel(account, order.id, reason=reason)

    def alter(self, caller: Caller) -> Any:
        """Cancel and place anew: another id, the same clientOid; the new order counts from zero."""
        order = self._named(caller)
        if order.status.is_final:
            raise ApiError("400100", "order_not_exist_or_not_allow_to_cancel")
        body = caller.body
        left = order.remaining or Decimal(0)
        price = (
            decimal(body["newPrice"], ApiError("400100", "price is invalid")) if body.get("newPrice") else order.price
        )
        size = decimal(body["newSize"], ApiError("300000", "The quantity is invalid.")) if body.get("newSize") else left
        fresh = NewOrder(
            key=order.key,
            side=order.side,
            amount=size,
            price=price,
            post_only=order.post_only,
            expires=order.expires,
        )
        self.exchange.test(caller.account, fresh)
        self.exchange.cancel(caller.account, order.id)
        named = msgspec.structs.replace(fresh, client_id=order.client_id)
        placed = self.exchange.place(caller.account, named)
        return {"newOrderId": order_id(placed.id), "clientOid": placed.client_id}

    def active_symbols(self, caller: Caller) -> Any:
        """Symbols with open orders."""
        return {"symbols": sorted({self.names[order.key] for order in self._working(caller.account)})}

    def _active(self, caller: Caller) -> list[Order]:
        listing = self.listing(caller.params.get("symbol"))
        return [order for order in self._working(caller.account) if order.key == listing.key]

    def active_page(self, caller: Caller) -> Any:
        """The paged form."""
        rows = [self._row(order) for order in self._active(caller)]
        page, size = int(caller.params.get("pageNum") or 1), int(caller.params.get("pageSize") or 20)
        part = rows[(page - 1) * size : page * size]
        return {
            "currentPage": page,
            "pageSize": size,
            "totalNum": len(rows),
            "totalPage": -(-len(rows) // size),
            "items": part,
        }

    def done(self, caller: Caller) -> Any:
        """Ended orders of a symbol, newest first."""
        listing = self.listing(caller.params.get("symbol"))
        limit = min(int(caller.params.get("limit") or 20), 100)
        before = int(caller.params.get("lastId") or 2**62)
        ended = [
            order
            for order in reversed(self.exchange.closed_orders(caller.account, listing.key))
            if order.id < before and not (order.kind.has_trigger and order.triggered is None)
        ]
        rows = ended[:limit]
        return {"lastId": rows[-1].id if rows else 0, "items": [self._row(order) for order in rows]}

    def query(self, caller: Caller) -> Any:
        """One order."""
        return self._row(self._named(caller))

    def fills(self, caller: Caller) -> Any:
        """Newest first; `lastId` goes on from there."""
        listing = self.listing(caller.params.get("symbol"))
        limit = min(int(caller.params.get("limit") or 20), 100)
        start, before = int(caller.params.get("startAt") or 0), int(caller.params.get("lastId") or 2**62)
        wanted = caller.params.get("orderId")
        found = [
            fill
            for fill in reversed(self.exchange.fills(caller.account, listing.key))
            if fill.time >= start and self._fill_id(fill) < before and wanted in (None, "", order_id(fill.order_id))
        ]
        rows = found[:limit]
        return {
            "items": [self._fill(caller.account, fill) for fill in rows],
            "lastId": self._fill_id(rows[-1]) if rows else 0,
        }

    @staticmethod
    def _fill_id(fill: Execution) -> int:
        return 19_814_995_000_000 + fill.trade_id

    @staticmethod
    def trade_id(fill: int) -> int:
        """Above 2**53, as the venue's are."""
        return 11_029_373_945_000_000 + fill

    def _fill(self, account: str, fill: Execution) -> dict[str, Any]:
        order = self.exchange.order(account, fill.order_id)
        listing = self.exchange.listings[fill.key]
        return {
            "id": self._fill_id(fill),
            "orderId": order_id(fill.order_id),
            "counterOrderId": order_id(0),
            "tradeId": self.trade_id(fill.trade_id),
            "symbol": self.names[fill.key],
            "side": fill.side.value,
            "liquidity": "maker" if fill.maker else "taker",
            "type": "limit" if order.kind.has_price else "market",
            "forceTaker": False,
            "price": text(fill.price),
            "size": text(fill.size),
            "funds": text(fill.value),
            "fee": text(fill.fee),
            "feeRate": text(listing.maker if fill.maker else listing.taker),
            "feeCurrency": fill.fee_asset,
            "stop": "",
            "tradeType": "TRADE",
            "taxRate": "0",
            "tax": "0",
            "createdAt": fill.time,
        }

    def _row(self, order: Order) -> dict[str, Any]:
        ended = order.status.is_final
        size = order.amount or Decimal(0)
        left = order.remaining or Decimal(0)
        funds = order.quote_amount if order.quote_amount is not None else size * (order.price or Decimal(0))
        unspent = max(Decimal(0), funds - order.filled_value) if funds else Decimal(0)
        cancelled = ended and order.status is not OrderStatus.FILLED
        return {
            "id": order_id(order.id),
            "clientOid": order.client_id,
            "symbol": self.names[order.key],
            "opType": "DEAL",
            "type": "limit" if order.kind.has_price else "market",
            "side": order.side.value,
            "price": text(order.price),
            "size": text(size),
            "funds": text(funds),
            "dealSize": text(order.filled),
            "dealFunds": text(order.filled_value),
            "fee": text(order.fee),
            "feeCurrency": order.fee_asset,
            "stp": None,
            "timeInForce": "GTT" if order.expires else order.tif.upper(),
            "postOnly": order.post_only,
            "hidden": False,
            "iceberg": False,
            "visibleSize": "0",
            "cancelAfter": 0,
            "channel": "API",
            "remark": None,
            "tags": None,
            "cancelExist": cancelled,
            "tradeType": "TRADE",
            "inOrderBook": not ended,
            "cancelledSize": text(left if cancelled else Decimal(0)),
            "cancelledFunds": text(unspent if cancelled else Decimal(0)),
            "remainSize": text(Decimal(0) if ended else left),
            "remainFunds": text(unspent),
            "tax": "0",
            "active": not ended,
            "createdAt": order.created,
            "lastUpdatedAt": order.updated,
        }

    # stop orders

    def place_stop(self, caller: Caller) -> Any:
        """A stop order has an id of the other kind."""
        order = self.exchange.place(caller.account, self.request(caller.body, stop=True))
        return {"orderId": stop_id(order.id)}

    def _waiting(self, account: str, symbol: str | None) -> list[Order]:
        return [
            order
            for order in self.exchange.open_orders(account)
            if order.kind.has_trigger
            and order.triggered is None
            and self.names.get(order.key) == (symbol or self.names.get(order.key, ""))
        ]

    def stop_orders(self, caller: Caller) -> Any:
        """Those that wait."""
        page, size = int(caller.params.get("currentPage") or 1), int(caller.params.get("pageSize") or 50)
        orders = [
            order for order in self._waiting(caller.account, caller.params.get("symbol")) if order.key in self.names
        ]
        rows = orders[(page - 1) * size : page * size]
        return {
            "currentPage": page,
            "pageSize": size,
            "totalNum": len(orders),
            "totalPage": -(-len(orders) // size),
            "items": [self._stop_row(order) for order in rows],
        }

    def _stop_row(self, order: Order) -> dict[str, Any]:
        return {
            "id": stop_id(order.id),
            "symbol": self.names[order.key],
            "userId": "633559791e1cbc0001f319bc",
            "status": "NEW",
            "type": "limit" if order.kind.has_price else "market",
            "side": order.side.value,
            "price": f"{order.price:.20f}" if order.price is not None else None,
            "size": f"{order.amount:.20f}" if order.amount is not None else None,
            "funds": text(order.quote_amount) if order.quote_amount is not None else None,
            "stp": None,
            "timeInForce": order.tif.upper(),
            "cancelAfter": -1,
            "postOnly": order.post_only,
            "hidden": False,
            "iceberg": False,
            "visibleSize": None,
            "channel": "API",
            "clientOid": order.client_id,
            "orderTime": order.created * 1_000_000,
            "domainId": "kucoin",
            "tradeSource": "USER",
            "tradeType": "TRADE",
            "feeCurrency": self.exchange.listings[order.key].quote,
            "createdAt": order.created,
            "stop": self._stop_word(order),
            "stopTriggerTime": None,
            "stopPrice": f"{order.trigger:.20f}",
        }

    @staticmethod
    def _stop_word(order: Order) -> str:
        stops = order.kind in (OrderKind.STOP, OrderKind.STOP_LIMIT)
        return "entry" if stops is (order.side is Side.BUY) else "loss"

    def cancel_stop(self, caller: Caller) -> Any:
        """By its own id."""
        order = self.exchange.cancel(caller.account, self.find(caller, stop=True).id)
        return {"cancelledOrderIds": [stop_id(order.id)]}

    def cancel_stops(self, caller: Caller) -> Any:
        """All of a symbol, or all."""
        orders = self._waiting(caller.account, caller.params.get("symbol"))
        for order in orders:
            self.exchange.cancel(caller.account, order.id)
        return {"cancelledOrderIds": [stop_id(order.id) for order in orders]}

    # dead man

    def dead_man(self, caller: Caller) -> Any:
        """Cancel everything of these symbols unless called again in time."""
        seconds = int(caller.body.get("timeout", 0))
        names = tuple(sorted(filter(None, str(caller.body.get("symbols") or "").split(","))))
        if seconds != -1 and not 5 <= seconds <= 86_400:
            raise ApiError("400100", "timeout is invalid")
        for name in names:
            self.listing(name)
        self._countdowns = {mark: when for mark, when in self._countdowns.items() if mark[0] != caller.account}
        if seconds != -1:
            self._countdowns[caller.account, names] = self.now_ms + seconds * 1000
        return {"currentTime": self.now_ms // 1000, "triggerTime": self.now_ms // 1000 + max(0, seconds)}

    def dead_man_query(self, caller: Caller) -> Any:
        """What is set."""
        for (account, names), when in self._countdowns.items():
            if account == caller.account:
                return {
                    "timeout": (when - self.now_ms) // 1000,
                    "symbols": ",".join(names),
                    "triggerTime": when // 1000,
                }
        return None

    # streams

    def tick(self, now_ms: int) -> None:
        """Streams, and countdowns that are over."""
        super().tick(now_ms)
        for (account, names), when in list(self._countdowns.items()):
            if now_ms >= when:
                del self._countdowns[account, names]
                keys = [self.listings[name].key for name in names] or list(self.names)
                self._cancel_all(account, keys, EndReason.DEAD_MAN)

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
