"""Binance spot from the venue's side: REST `/api/v3`, the WebSocket API, and the account's events."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from connectors.binance.practice_api import ApiConnection, Method
from connectors.binance.practice_limits import Gate, Weight, Window, single, steps
from connectors.binance.practice_rest import MAX_PRICE
from connectors.binance.practice_spot_events import KINDS, type_of
from connectors.binance.practice_streams import Product
from connectors.binance.practice_terms import ApiError, dec, status_of, tradable
from connectors.model import OrderKind, OrderStatus, Side
from connectors.practice.exchange import Exchange
from connectors.practice.protocol import Keys
from connectors.practice.terms import (
    AccountRules,
    Order,
    Refusal,
    RefusalKind,
    SelfTrade,
    Wallet,
)

_REFUSALS = {
    RefusalKind.FUNDS: (-2010, "Account has insufficient balance for requested action."),
    RefusalKind.CLIENT_ID: (-2010, "Duplicate order sent."),
    RefusalKind.POST_ONLY: (-2010, "Order would immediately match and take."),
    RefusalKind.WOULD_TRIGGER: (-2010, "Order would trigger immediately."),
    RefusalKind.MARKET_CLOSED: (-1013, "Market is closed."),
    RefusalKind.PRICE_TICK: (-1013, "Filter failure: PRICE_FILTER"),
    RefusalKind.PRICE_BOUNDS: (-1013, "Filter failure: PRICE_FILTER"),
    RefusalKind.SIZE_LOT: (-1013, "Filter failure: LOT_SIZE"),
    RefusalKind.SIZE_MINIMUM: (-1013, "Filter failure: LOT_SIZE"),
    RefusalKind.SIZE_MAXIMUM: (-1013, "Filter failure: LOT_SIZE"),
    RefusalKind.NOTIONAL_MINIMUM: (-1013, "Filter failure: NOTIONAL"),
    RefusalKind.TOO_MANY_ORDERS: (-1013, "Filter failure: MAX_NUM_ORDERS"),
    RefusalKind.UNKNOWN_LISTING: (-1121, "Invalid symbol."),
    RefusalKind.UNKNOWN_ORDER: (-2011, "Unknown order sent."),
    RefusalKind.ORDER_ENDED: (-2011, "Unknown order sent."),
    RefusalKind.NOTHING_TO_CHANGE: (-2038, "The requested action would change no state; rejecting."),
}
_SIGNED, _NONE = "signed", ""
DEPTH = steps(100, (100, 5), (500, 25), (1000, 50), (5000, 250))
MAX_NOTIONAL = Decimal(9_000_000_000)


def _statistics(params: Mapping[str, Any]) -> float:
    """What ticker/24hr weighs: by how many symbols are asked for."""
    if "symbol" in params:
        return 2
    asked = len(msgspec.json.decode(params["symbols"])) if "symbols" in params else 101
    return 2 if asked <= 20 else 40 if asked <= 100 else 80


class Spot(Product):
    """The spot product."""

    depth_speeds = {"": 1000, "100ms": 100, "1000ms": 1000}

    def __init__(self, exchange: Exchange, keys: Keys) -> None:
        super().__init__(exchange, keys)
        self.listings = {
            listing.base + listing.quote: listing for listing in exchange.listings.values() if not listing.is_contract
        }
        self.cancels: dict[int, str] = {}  # by order, while it is cancelled: the cancel's own client id
        self.before: dict[int, str] = {}  # by order, while it is amended: the client id that it had
        rules = AccountRules(
            recorded=frozenset({RefusalKind.FOK, RefusalKind.NO_LIQUIDITY}), self_trade=SelfTrade.CANCEL_OLDEST
        )
        for account in ("trader", "other"):
            exchange.open_account(account, rules)
        get, public = "GET", _NONE
        self.routes: dict[tuple[str, str], tuple[Callable[..., Any], str, Weight, bool]] = {
            (get, "/api/v3/ping"): (lambda account, params: {}, public, 1, False),
            (get, "/api/v3/time"): (lambda account, params: {"serverTime": self.now_ms}, public, 1, False),
            (get, "/api/v3/exchangeInfo"): (lambda account, params: self.exchange_info(params), public, 20, False),
            (get, "/api/v3/depth"): (lambda account, params: self.depth(params), public, DEPTH, False),
            (get, "/api/v3/trades"): (lambda account, params: self.trades(params), public, 25, False),
            (get, "/api/v3/historicalTrades"): (lambda account, params: self.trades(params), public, 25, False),
            (get, "/api/v3/aggTrades"): (lambda account, params: self.agg_trades(params), public, 4, False),
            (get, "/api/v3/klines"): (lambda account, params: self.klines(params), public, 2, False),
            (get, "/api/v3/uiKlines"): (lambda account, params: self.klines(params), public, 2, False),
            (get, "/api/v3/avgPrice"): (lambda account, params: self.average(params), public, 2, False),
            (get, "/api/v3/ticker/24hr"): (lambda account, params: self.ticker_24h(params), public, _statistics, False),
            (get, "/api/v3/ticker/bookTicker"): (
                lambda account, params: self.book_ticker(params),
                public,
                single(2, 4),
                False,
            ),
            (get, "/api/v3/ticker/price"): (
                lambda account, params: self.price_ticker(params),
                public,
                single(2, 4),
                False,
            ),
            ("POST", "/api/v3/order"): (self.place, _SIGNED, 1, True),
            ("POST", "/api/v3/order/test"): (self.test, _SIGNED, 1, False),
            ("DELETE", "/api/v3/order"): (self.cancel, _SIGNED, 1, True),
            ("GET", "/api/v3/order"): (
                lambda account, params: self.order_row(self.find(account, params, -2013)),
                _SIGNED,
                4,
                False,
            ),
            ("POST", "/api/v3/order/cancelReplace"): (self.cancel_replace, _SIGNED, 1, True),
            ("PUT", "/api/v3/order/amend/keepPriority"): (self.amend, _SIGNED, 4, True),
            (get, "/api/v3/openOrders"): (self.open_orders, _SIGNED, single(6, 80), False),
            ("DELETE", "/api/v3/openOrders"): (self.cancel_all, _SIGNED, 1, True),
            (get, "/api/v3/allOrders"): (self.all_orders, _SIGNED, 20, False),
            (get, "/api/v3/myTrades"): (
                self.my_trades,
                _SIGNED,
                lambda params: 5 if params.get("orderId") else 20,
                False,
            ),
            (get, "/api/v3/account"): (self.account, _SIGNED, 20, False),
            (get, "/api/v3/account/commission"): (self.commission, _SIGNED, 20, False),
            (get, "/api/v3/rateLimit/order"): (self.order_limits, _SIGNED, 40, False),
            (get, "/sapi/v1/system/status"): (lambda account, params: {"status": 0, "msg": "normal"}, public, 1, False),
        }
        for method in ("POST", "PUT", "DELETE"):
            self.routes[method, "/api/v3/userDataStream"] = (self._removed, public, 0, False)

    def make_gate(self) -> Gate:
        """Orders count until they fill."""
        windows = (Window("10S", "SECOND", 10, 10_000, 100), Window("1D", "DAY", 1, 86_400_000, 200_000))
        return Gate(6000, windows, lambda account, order: self.exchange.order(account, order).filled > 0)

    def too_dear(self) -> ApiError:
        """Its price filter."""
        return ApiError(-1013, "Filter failure: PRICE_FILTER")

    @staticmethod
    def _removed(account: str, params: Mapping[str, str]) -> Any:
        raise ApiError(-1000, "This endpoint was removed on 2026-02-20.", 410)

    def refuse(self, refusal: Refusal) -> ApiError:
        """In spot's words."""
        code, text = _REFUSALS.get(refusal.kind, (-2010, refusal.text))
        return ApiError(code, text)

    # public

    def exchange_info(self, params: Mapping[str, str]) -> Any:
        """GET exchangeInfo."""
        names = [params["symbol"]] if "symbol" in params else None
        if "symbols" in params:
            names = msgspec.json.decode(params["symbols"])
        chosen = [self.listing(name) for name in names] if names is not None else list(self.listings.values())
        rows = [self._symbol_row(listing) for listing in chosen]
        if "symbolStatus" in params:
            rows = [row for row in rows if row["status"] == params["symbolStatus"]]
        if params.get("showPermissionSets") == "false":
            rows = [{name: part for name, part in row.items() if name != "permissionSets"} for row in rows]
        return {
            "timezone": "UTC",
            "serverTime": self.now_ms,
            "rateLimits": [
                self.gate.rule,
                *(window.rule for window in self.gate.windows),
                {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 61000},
            ],
            "exchangeFilters": [],
            "symbols": rows,
        }

    def _symbol_row(self, listing: Any) -> dict[str, Any]:
        number = self.number
        lot = {
            "minQty": number(listing.minimum or listing.step),
            "maxQty": number(listing.maximum),
            "stepSize": number(listing.step),
        }
        return {
            "symbol": listing.base + listing.quote,
            "status": tradable(self.exchange.status(listing.key)),
            "baseAsset": listing.base,
            "baseAssetPrecision": 8,
            "quoteAsset": listing.quote,
            "quotePrecision": 8,
            "quoteAssetPrecision": 8,
            "baseCommissionPrecision": 8,
            "quoteCommissionPrecision": 8,
            "orderTypes": list(KINDS),
            "icebergAllowed": True,
            "ocoAllowed": False,
            "otoAllowed": False,
            "opoAllowed": False,
            "quoteOrderQtyMarketAllowed": True,
            "allowTrailingStop": False,
            "cancelReplaceAllowed": True,
            "amendAllowed": True,
            "pegInstructionsAllowed": False,
            "isSpotTradingAllowed": True,
            "isMarginTradingAllowed": False,
            "filters": [
                {
                    "filterType": "PRICE_FILTER",
                    "minPrice": number(listing.tick),
                    "maxPrice": number(MAX_PRICE),
                    "tickSize": number(listing.tick),
                },
                {"filterType": "LOT_SIZE", **lot},
                {
                    "filterType": "MARKET_LOT_SIZE",
                    "minQty": number(Decimal(0)),
                    "maxQty": lot["maxQty"],
                    "stepSize": number(Decimal(0)),
                },
                {
                    "filterType": "NOTIONAL",
                    "minNotional": number(listing.min_notional),
                    "applyMinToMarket": True,
                    "maxNotional": number(MAX_NOTIONAL),
                    "applyMaxToMarket": False,
                    "avgPriceMins": 5,
                },
                {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
                {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 200},
            ],
            "permissions": [],
            "permissionSets": [["SPOT"]],
            "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
            "allowedSelfTradePreventionModes": ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"],
        }

    def average(self, params: Mapping[str, str]) -> Any:
        """GET avgPrice."""
        now = self.exchange.ticker(self.listing(params.get("symbol")).key)
        return {"mins": 5, "price": self.number(now.last), "closeTime": now.time}

    # orders

    def place(self, account: str, params: Mapping[str, Any]) -> Any:
        """POST order."""
        listing = self.listing(params.get("symbol"))
        request = self.new_order(listing, params, KINDS)
        if not _client_id_ok(request.client_id):
            raise ApiError(
                -1100,
                "Illegal characters found in parameter 'newClientOrderId'; legal range is '^[a-zA-Z0-9-_]{1,36}$'.",
            )
        if request.price is not None and request.amount is not None and request.price * request.amount > MAX_NOTIONAL:
            raise ApiError(-1013, "Filter failure: NOTIONAL")
        self.gate.admit(account, self.now_ms)
        try:
            order = self.exchange.place(account, request)
        except Refusal as refusal:
            raise self.refuse(refusal) from None
        self.gate.made(account, order.id, self.now_ms)
        self.gate.forgive(1)
        kind = params.get("newOrderRespType") or ("FULL" if params["type"] in ("MARKET", "LIMIT") else "ACK")
        answer: dict[str, Any] = {
            "symbol": listing.base + listing.quote,
            "orderId": order.id,
            "orderListId": -1,
            "clientOrderId": order.client_id,
            "transactTime": self.now_ms,
        }
        if kind == "ACK":
            return answer
        answer |= self._result(order)
        if kind == "FULL":
            fills = self.exchange.fills(account, listing.key, order_id=order.id)
            answer["fills"] = [
                {
                    "price": self.number(fill.price),
                    "qty": self.number(fill.size),
                    "commission": self.number(fill.fee),
                    "commissionAsset": fill.fee_asset,
                    "tradeId": fill.trade_id,
                }
                for fill in fills
            ]
        return answer

    def test(self, account: str, params: Mapping[str, Any]) -> Any:
        """POST order/test."""
        try:
            self.exchange.test(account, self.new_order(self.listing(params.get("symbol")), params, KINDS))
        except Refusal as refusal:
            raise self.refuse(refusal) from None
        return {}

    def cancel(self, account: str, params: Mapping[str, Any]) -> Any:
        """DELETE order."""
        order = self.find(account, params, -2011)
        only = {"ONLY_NEW": OrderStatus.OPEN, "ONLY_PARTIALLY_FILLED": OrderStatus.PARTLY_FILLED}
        wanted = only.get(str(params.get("cancelRestrictions")), order.status)
        if order.status not in (wanted, OrderStatus.UNTRIGGERED if wanted is OrderStatus.OPEN else wanted):
            raise ApiError(-2011, "Order was not canceled due to cancel restrictions.")
        name = self.cancels[order.id] = str(params.get("newClientOrderId") or f"pr{secrets.token_hex(10)}")
        try:
            ended = self.exchange.cancel(account, order.id)
        except Refusal as refusal:
            raise self.refuse(refusal) from None
        finally:
            self.cancels.clear()
        self.gate.forgive(1)
        return self._cancelled(ended, name)

    def _cancelled(self, order: Order, cancel_id: str) -> dict[str, Any]:
        row = {
            "symbol": self.symbol(order.key),
            "origClientOrderId": order.client_id,
            "orderId": order.id,
            "orderListId": -1,
            "clientOrderId": cancel_id,
            "transactTime": self.now_ms,
        }
        return row | self._result(order)

    def cancel_all(self, account: str, params: Mapping[str, Any]) -> Any:
        """DELETE openOrders of one symbol."""
        listing = self.listing(params.get("symbol"))
        for order in self.exchange.open_orders(account, listing.key):
            self.cancels[order.id] = f"pr{secrets.token_hex(10)}"
        ended = self.exchange.cancel_all(account, listing.key)
        names = dict(self.cancels)
        self.cancels.clear()
        if not ended:
            raise ApiError(-2011, "Unknown order sent.")
        return [self._cancelled(order, names[order.id]) for order in ended]

    def cancel_replace(self, account: str, params: Mapping[str, Any]) -> Any:
        """POST order/cancelReplace."""
        mode = params.get("cancelReplaceMode")
        if mode not in ("STOP_ON_FAILURE", "ALLOW_FAILURE"):
            raise ApiError(-1102, "Mandatory parameter 'cancelReplaceMode' was not sent, was empty/null, or malformed.")
        named = {
            "symbol": params.get("symbol"),
            "orderId": params.get("cancelOrderId"),
            "origClientOrderId": params.get("cancelOrigClientOrderId"),
            "newClientOrderId": params.get("cancelNewClientOrderId"),
            "cancelRestrictions": params.get("cancelRestrictions"),
        }
        body: dict[str, Any] = {"newOrderResult": "NOT_ATTEMPTED", "newOrderResponse": None}
        try:
            body |= {"cancelResult": "SUCCESS", "cancelResponse": self.cancel(account, named)}
        except ApiError as error:
            body |= {"cancelResult": "FAILURE", "cancelResponse": error.body}
        if body["cancelResult"] == "SUCCESS" or mode == "ALLOW_FAILURE":
            try:
                body |= {"newOrderResult": "SUCCESS", "newOrderResponse": self.place(account, params)}
            except ApiError as error:
                body |= {"newOrderResult": "FAILURE", "newOrderResponse": error.body}
        match (body["cancelResult"], body["newOrderResult"]):
            case ("SUCCESS", "SUCCESS"):
                return body
            case ("FAILURE", "FAILURE" | "NOT_ATTEMPTED"):
                raise ApiError(-2022, "Order cancel-replace failed.", 400, data=body)
        raise ApiError(-2021, "Order cancel-replace partially failed.", 409, data=body)

    def amend(self, account: str, params: Mapping[str, Any]) -> Any:
        """PUT order/amend/keepPriority: less, in place, under a new client id."""
        order = self.find(account, params, -2013)
        amount = dec(str(params.get("newQty", "")), "newQty")
        if order.amount is None or amount >= order.amount:
            raise ApiError(-2038, "The new quantity must be less than the current quantity.")
        fresh = str(params.get("newClientOrderId") or f"pr{secrets.token_hex(10)}")
        self.before[order.id] = order.client_id
        try:
            changed = self.exchange.amend(account, order.id, amount=amount, client_id=fresh)
        except Refusal as refusal:
            raise self.refuse(refusal) from None
        finally:
            self.before.clear()
        row = {
            "symbol": self.symbol(order.key),
            "orderId": order.id,
            "orderListId": -1,
            "origClientOrderId": order.client_id,
            "clientOrderId": changed.client_id,
            "price": self.number(changed.price),
            "qty": self.number(changed.amount),
            "executedQty": self.number(changed.filled),
            "preventedQty": "0.00000000",
            "quoteOrderQty": "0.00000000",
            "cumulativeQuoteQty": self.number(changed.filled_value),
            "status": status_of(changed),
            "timeInForce": changed.tif.upper(),
            "type": type_of(changed),
            "side": changed.side.upper(),
            "workingTime": changed.created,
            "selfTradePreventionMode": "NONE",
        }
        return {"transactTime": self.now_ms, "executionId": changed.revision, "amendedOrder": row}

    def open_orders(self, account: str, params: Mapping[str, Any]) -> Any:
        """GET openOrders."""
        key = self.listing(params["symbol"]).key if params.get("symbol") else None
        found = self.exchange.open_orders(account, key)
        return [self.order_row(order) for order in found if order.key.startswith("spot:")]

    def all_orders(self, account: str, params: Mapping[str, Any]) -> Any:
        """GET allOrders."""
        key = self.listing(params.get("symbol")).key
        found = [*self.exchange.closed_orders(account, key), *self.exchange.open_orders(account, key)]
        found.sort(key=lambda order: order.id)
        first = int(params.get("orderId") or 0)
        chosen = [order for order in found if order.id >= first]
        return [self.order_row(order) for order in chosen[-int(params.get("limit") or 500) :]]

    def my_trades(self, account: str, params: Mapping[str, Any]) -> Any:
        """GET myTrades."""
        key = self.listing(params.get("symbol")).key
        order_id = int(params["orderId"]) if params.get("orderId") else None
        found = self.exchange.fills(account, key, order_id=order_id, limit=10_000)
        start, end, first = (
            int(params.get("startTime") or 0),
            int(params.get("endTime") or 2**62),
            int(params.get("fromId") or 0),
        )
        chosen = [fill for fill in found if start <= fill.time <= end and fill.trade_id >= first]
        limit = int(params.get("limit") or 500)
        return [
            {
                "symbol": self.symbol(fill.key),
                "id": fill.trade_id,
                "orderId": fill.order_id,
                "orderListId": -1,
                "price": self.number(fill.price),
                "qty": self.number(fill.size),
                "quoteQty": self.number(fill.value),
                "commission": self.number(fill.fee),
                "commissionAsset": fill.fee_asset,
                "time": fill.time,
                "isBuyer": fill.side is Side.BUY,
                "isMaker": fill.maker,
                "isBestMatch": True,
            }
            for fill in (chosen[:limit] if start or first else chosen[-limit:])
        ]

    def account(self, account: str, params: Mapping[str, Any]) -> Any:
        """GET account."""
        omit = params.get("omitZeroBalances") == "true"
        rows = [balance for balance in self.exchange.balances(account, Wallet.SPOT) if balance.total or not omit]
        rates = {"maker": "0.00100000", "taker": "0.00100000", "buyer": "0.00000000", "seller": "0.00000000"}
        return {
            "makerCommission": 10,
            "takerCommission": 10,
            "buyerCommission": 0,
            "sellerCommission": 0,
            "commissionRates": rates,
            "canTrade": self.keys.may_trade(account),
            "canWithdraw": True,
            "canDeposit": True,
            "brokered": False,
            "requireSelfTradePrevention": False,
            "preventSor": False,
            "updateTime": self.now_ms,
            "accountType": "SPOT",
            "balances": [
                {"asset": row.asset, "free": self.number(row.available), "locked": self.number(row.held)}
                for row in rows
            ],
            "permissions": ["SPOT"],
            "uid": 354937868,
        }

    def commission(self, account: str, params: Mapping[str, Any]) -> Any:
        """GET account/commission."""
        listing = self.listing(params.get("symbol"))
        zero = {"maker": "0.00000000", "taker": "0.00000000", "buyer": "0.00000000", "seller": "0.00000000"}
        return {
            "symbol": params["symbol"],
            "standardCommission": {**zero, "maker": self.number(listing.maker), "taker": self.number(listing.taker)},
            "specialCommission": zero,
            "taxCommission": zero,
            "discount": {
                "enabledForAccount": False,
                "enabledForSymbol": False,
                "discountAsset": "BNB",
                "discount": "0.75000000",
            },
        }

    def order_limits(self, account: str, params: Mapping[str, Any]) -> Any:
        """GET rateLimit/order."""
        return self.gate.rules(account, self.now_ms)

    def _result(self, order: Order) -> dict[str, Any]:
        return {
            "price": self.number(order.price),
            "origQty": self.number(order.amount if order.amount is not None else order.filled),
            "executedQty": self.number(order.filled),
            "origQuoteOrderQty": self.number(order.quote_amount),
            "cummulativeQuoteQty": self.number(order.filled_value),
            "status": status_of(order),
            "timeInForce": order.tif.upper() if order.kind is not OrderKind.MARKET else "GTC",
            "type": type_of(order),
            "side": order.side.upper(),
            "workingTime": order.triggered or (order.created if not order.kind.has_trigger else -1),
            "selfTradePreventionMode": "EXPIRE_MAKER",
        } | ({"stopPrice": self.number(order.trigger)} if order.trigger is not None else {})

    def order_row(self, order: Order) -> dict[str, Any]:
        """As query and lists show it."""
        return {
            "symbol": self.symbol(order.key),
            "orderId": order.id,
            "orderListId": -1,
            "clientOrderId": order.client_id,
            **self._result(order),
            "stopPrice": self.number(order.trigger),
            "icebergQty": "0.00000000",
            "time": order.created,
            "updateTime": order.updated,
            "isWorking": order.status is not OrderStatus.UNTRIGGERED,
        }

    # WebSocket API

    def open_api(self, *, tells_limits: bool = True) -> ApiConnection:
        """A WebSocket API connection."""
        return ApiConnection(self, tells_limits=tells_limits)

    def api_methods(self) -> dict[str, Method]:
        """What answers to each method."""
        places = {
            "ping": ("GET", "/api/v3/ping"),
            "time": ("GET", "/api/v3/time"),
            "exchangeInfo": ("GET", "/api/v3/exchangeInfo"),
            "depth": ("GET", "/api/v3/depth"),
            "trades.recent": ("GET", "/api/v3/trades"),
            "trades.aggregate": ("GET", "/api/v3/aggTrades"),
            "klines": ("GET", "/api/v3/klines"),
            "ticker.24hr": ("GET", "/api/v3/ticker/24hr"),
            "ticker.book": ("GET", "/api/v3/ticker/bookTicker"),
            "ticker.price": ("GET", "/api/v3/ticker/price"),
            "order.place": ("POST", "/api/v3/order"),
            "order.test": ("POST", "/api/v3/order/test"),
            "order.cancel": ("DELETE", "/api/v3/order"),
            "order.status": ("GET", "/api/v3/order"),
            "order.cancelReplace": ("POST", "/api/v3/order/cancelReplace"),
            "order.amend.keepPriority": ("PUT", "/api/v3/order/amend/keepPriority"),
            "openOrders.status": ("GET", "/api/v3/openOrders"),
            "openOrders.cancelAll": ("DELETE", "/api/v3/openOrders"),
            "account.status": ("GET", "/api/v3/account"),
            "account.commission": ("GET", "/api/v3/account/commission"),
            "account.rateLimits.orders": ("GET", "/api/v3/rateLimit/order"),
            "allOrders": ("GET", "/api/v3/allOrders"),
            "myTrades": ("GET", "/api/v3/myTrades"),
        }
        return {name: Method(*self.routes[place][:3]) for name, place in places.items()}


def _client_id_ok(text: str) -> bool:
    return 1 <= len(text) <= 36 and all(letter.isascii() and (letter.isalnum() or letter in "-_") for letter in text)
