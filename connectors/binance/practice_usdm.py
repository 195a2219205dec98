"""Binance USD-M futures from the venue's side: REST `/fapi`, three stream paths, listen keys, conditional orders.

Ids of books are global to the engine, so they have holes in every single book; the chain is by `pu`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from connectors.binance.practice import STATUS, ApiError, Product, StreamConnection, encode, open_stream
from connectors.binance.practice_spot import ApiConnection
from connectors.model import InstrumentStatus, OrderKind, OrderStatus, Side
from connectors.practice.exchange import Exchange
from connectors.practice.protocol import Connection, HttpAnswer, Keys
from connectors.practice.terms import (
    AccountEvent,
    AccountRules,
    BalanceChanged,
    Execution,
    Happening,
    Order,
    OrderChanged,
    PositionChanged,
    PositionImage,
    Refusal,
    RefusalKind,
    Wallet,
)

PLAIN = {"LIMIT": OrderKind.LIMIT, "MARKET": OrderKind.MARKET}
ALGO = {
    "STOP_MARKET": OrderKind.STOP,
    "STOP": OrderKind.STOP_LIMIT,
    "TAKE_PROFIT_MARKET": OrderKind.TAKE_PROFIT,
    "TAKE_PROFIT": OrderKind.TAKE_PROFIT_LIMIT,
}
_NAMES = {kind: name for name, kind in {**PLAIN, **ALGO}.items()}
_REFUSALS = {
    RefusalKind.FUNDS: (-2019, "Margin is insufficient."),
    RefusalKind.MARGIN: (-2019, "Margin is insufficient."),
    RefusalKind.CLIENT_ID: (-4116, "ClientOrderId is duplicated."),
    RefusalKind.POST_ONLY: (
        -5022,
        "Due to the order could not be executed as maker, the Post Only order will be rejected.",
    ),
    RefusalKind.FOK: (-5021, "Due to the order could not be filled immediately, the FOK order has been rejected."),
    RefusalKind.WOULD_TRIGGER: (-2021, "Order would immediately trigger."),
    RefusalKind.MARKET_CLOSED: (-4140, "Invalid symbol status for opening position."),
    RefusalKind.PRICE_TICK: (-4014, "Price not increased by tick size."),
    RefusalKind.PRICE_BOUNDS: (-4001, "Price less than 0."),
    RefusalKind.SIZE_LOT: (-4023, "Qty not increased by step size."),
    RefusalKind.SIZE_MINIMUM: (-4004, "Quantity less than min quantity."),
    RefusalKind.SIZE_MAXIMUM: (-4005, "Quantity greater than max quantity."),
    RefusalKind.NOTIONAL_MINIMUM: (
        -4164,
        "Order's notional must be no smaller than 5 (unless you choose reduce only).",
    ),
    RefusalKind.REDUCE_ONLY: (-2022, "ReduceOnly Order is rejected."),
    RefusalKind.TOO_MANY_ORDERS: (-2025, "Reach max open order limit."),
    RefusalKind.UNKNOWN_ORDER: (-2011, "Unknown order sent."),
    RefusalKind.ORDER_ENDED: (-2011, "Unknown order sent."),
    RefusalKind.NOTHING_TO_CHANGE: (-5027, "No need to modify the order."),
    RefusalKind.LEVERAGE: (-4028, "Leverage is not valid"),
}
_HOUR = 3_600_000


class Usdm(Product):
    """The USD-M product."""

    futures = True
    depth_speeds = {"": 250, "100ms": 100, "250ms": 250, "500ms": 500}

    def __init__(self, exchange: Exchange, keys: Keys) -> None:
        super().__init__(exchange, keys)
        self.listings = {
            listing.base + listing.quote: listing
            for listing in exchange.listings.values()
            if listing.is_contract and listing.quote in ("USDT", "USDC")
        }
        self.listen_keys: dict[str, tuple[str, int]] = {}  # key -> account, expiry
        self._countdowns: dict[tuple[str, str], int] = {}
        rules = AccountRules(recorded=frozenset({RefusalKind.NO_LIQUIDITY}))
        for account in ("trader", "other"):
            exchange.open_account(account, rules)
        get, signed, public = "GET", "signed", ""
        self.routes: dict[tuple[str, str], tuple[Callable[..., Any], str, float, bool]] = {
            (get, "/fapi/v1/ping"): (lambda account, params: {}, public, 1, False),
            (get, "/fapi/v1/time"): (lambda account, params: {"serverTime": self.now_ms}, public, 1, False),
            (get, "/fapi/v1/exchangeInfo"): (lambda account, params: self.exchange_info(), public, 1, False),
            (get, "/fapi/v1/depth"): (lambda account, params: self.depth(params), public, 10, False),
            (get, "/fapi/v1/trades"): (lambda account, params: self.trades(params), public, 5, False),
            (get, "/fapi/v1/aggTrades"): (lambda account, params: self.agg_trades(params), public, 20, False),
            (get, "/fapi/v1/klines"): (lambda account, params: self.klines(params), public, 5, False),
            (get, "/fapi/v1/ticker/24hr"): (lambda account, params: self.ticker_24h(params), public, 10, False),
            (get, "/fapi/v1/ticker/bookTicker"): (lambda account, params: self.book_ticker(params), public, 3, False),
            (get, "/fapi/v1/ticker/price"): (lambda account, params: self.price_ticker(params), public, 1, False),
            (get, "/fapi/v2/ticker/price"): (lambda account, params: self.price_ticker(params), public, 1, False),
            (get, "/fapi/v1/premiumIndex"): (lambda account, params: self.premium(params), public, 1, False),
            (get, "/fapi/v1/fundingRate"): (lambda account, params: self.funding_rates(params), public, 1, False),
            (get, "/fapi/v1/fundingInfo"): (lambda account, params: [], public, 0, False),
            ("POST", "/fapi/v1/order"): (self.place, signed, 1, True),
            ("PUT", "/fapi/v1/order"): (self.modify, signed, 1, True),
            ("DELETE", "/fapi/v1/order"): (self.cancel, signed, 1, True),
            (get, "/fapi/v1/order"): (self.query, signed, 1, False),
            (get, "/fapi/v1/openOrder"): (self.query, signed, 1, False),
            (get, "/fapi/v1/openOrders"): (self.open_orders, signed, 1, False),
            (get, "/fapi/v1/allOrders"): (self.all_orders, signed, 5, False),
            ("DELETE", "/fapi/v1/allOpenOrders"): (self.cancel_all, signed, 1, True),
            ("POST", "/fapi/v1/batchOrders"): (self.batch, signed, 5, True),
            ("POST", "/fapi/v1/algoOrder"): (self.place_algo, signed, 1, True),
            ("DELETE", "/fapi/v1/algoOrder"): (self.cancel_algo, signed, 1, True),
            (get, "/fapi/v1/algoOrder"): (
                lambda account, params: self.algo_row(self._algo(account, params)),
                signed,
                1,
                False,
            ),
            (get, "/fapi/v1/openAlgoOrders"): (self.open_algos, signed, 1, False),
            ("DELETE", "/fapi/v1/algoOpenOrders"): (self.cancel_algos, signed, 1, True),
            (get, "/fapi/v1/userTrades"): (self.user_trades, signed, 5, False),
            (get, "/fapi/v3/balance"): (self.balance, signed, 5, False),
            (get, "/fapi/v2/balance"): (self.balance, signed, 5, False),
            (get, "/fapi/v3/account"): (self.account, signed, 5, False),
            (get, "/fapi/v2/account"): (self.account, signed, 5, False),
            (get, "/fapi/v3/positionRisk"): (self.positions, signed, 5, False),
            (get, "/fapi/v2/positionRisk"): (self.positions, signed, 5, False),
            (get, "/fapi/v1/symbolConfig"): (self.symbol_config, signed, 5, False),
            (get, "/fapi/v1/accountConfig"): (self.account_config, signed, 5, False),
            (get, "/fapi/v1/commissionRate"): (self.commission, signed, 20, False),
            (get, "/fapi/v1/leverageBracket"): (self.brackets, signed, 1, False),
            ("POST", "/fapi/v1/leverage"): (self.set_leverage, signed, 1, False),
            ("POST", "/fapi/v1/marginType"): (self.margin_type, signed, 1, False),
            (get, "/fapi/v1/positionSide/dual"): (
                lambda account, params: {"dualSidePosition": False},
                signed,
                30,
                False,
            ),
            ("POST", "/fapi/v1/positionSide/dual"): (self.set_dual, signed, 1, False),
            ("POST", "/fapi/v1/countdownCancelAll"): (self.countdown, signed, 10, False),
            (get, "/fapi/v1/rateLimit/order"): (lambda account, params: [], signed, 1, False),
            ("POST", "/fapi/v1/listenKey"): (self.new_listen_key, "key", 1, False),
            ("PUT", "/fapi/v1/listenKey"): (self.keep_listen_key, "key", 1, False),
            ("DELETE", "/fapi/v1/listenKey"): (self.end_listen_key, "key", 1, False),
        }

    def number(self, value: Decimal | None) -> str:
        """Without padding."""
        return format(value or Decimal(0), "f")

    def book_id(self, sequence: int) -> int:
        """Global ids: every book's own numbers are far apart."""
        return 4_000_000_000 + sequence * 17

    def refuse(self, refusal: Refusal) -> ApiError:
        """In USD-M's words."""
        code, text = _REFUSALS.get(refusal.kind, (-2010, refusal.text))
        return ApiError(code, text)

    def tick(self, now_ms: int) -> None:
        """Streams, and the countdowns that cancel everything."""
        super().tick(now_ms)
        for (account, key), when in list(self._countdowns.items()):
            if now_ms >= when:
                del self._countdowns[account, key]
                self.exchange.cancel_all(account, key)

    # public

    def exchange_info(self) -> Any:
        """GET exchangeInfo."""
        return {
            "timezone": "UTC",
            "serverTime": self.now_ms,
            "futuresType": "U_MARGINED",
            "rateLimits": [
                {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2400},
                {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 1200},
                {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 300},
            ],
            "exchangeFilters": [],
            "assets": [{"asset": "USDT", "marginAvailable": True, "autoAssetExchange": "0"}],
            "symbols": [self._symbol_row(name, listing) for name, listing in self.listings.items()],
        }

    def _symbol_row(self, name: str, listing: Any) -> dict[str, Any]:
        number = self.number
        lot = {"minQty": number(listing.minimum or listing.step), "maxQty": "1000", "stepSize": number(listing.step)}
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
                    "maxPrice": "1000000",
                    "tickSize": number(listing.tick),
                },
                {"filterType": "LOT_SIZE", **lot},
                {"filterType": "MARKET_LOT_SIZE", **lot},
                {"filterType": "MAX_NUM_ORDERS", "limit": 200},
                {"filterType": "MIN_NOTIONAL", "notional": number(listing.min_notional)},
                {
                    "filterType": "PERCENT_PRICE",
                    "multiplierUp": "1.0500",
                    "multiplierDown": "0.9500",
                    "multiplierDecimal": "4",
                },
            ],
            "orderTypes": [*PLAIN, *ALGO, "TRAILING_STOP_MARKET"],
            "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
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

    # orders

    def place(self, account: str, params: Mapping[str, Any]) -> Any:
        """POST order: LIMIT and MARKET only."""
        if params.get("type") in (*ALGO, "TRAILING_STOP_MARKET"):
            raise ApiError(
                -4120, "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead."
            )
        order = self._enter(account, params, PLAIN)
        return self.order_row(order, short=True)

    def _enter(self, account: str, params: Mapping[str, Any], kinds: Mapping[str, OrderKind]) -> Order:
        if str(params.get("positionSide", "BOTH")) != "BOTH":
            raise ApiError(-4061, "Order's position side does not match user's setting.")
        listing = self.listing(params.get("symbol"))
        if params.get("quoteOrderQty"):
            raise ApiError(-1106, "Parameter 'quoteOrderQty' sent when not required.")
        request = self.new_order(listing, params, kinds)
        if not 1 <= len(request.client_id) <= 36:
            raise ApiError(-4015, "Client order id is not valid.")
        try:
            return self.exchange.place(account, request)
        except Refusal as refusal:
            raise self.refuse(refusal) from None

    def batch(self, account: str, params: Mapping[str, Any]) -> Any:
        """POST batchOrders: each element is an order or an error."""
        found: list[Any] = []
        for part in msgspec.json.decode(params.get("batchOrders", "[]"))[:5]:
            try:
                found.append(self.place(account, part))
            except ApiError as error:
                found.append({"code": error.code, "msg": error.text})
        return found

    def modify(self, account: str, params: Mapping[str, Any]) -> Any:
        """PUT order: everything is wanted again; the place in the queue is lost."""
        for name in ("side", "quantity", "price"):
            if not params.get(name):
                raise ApiError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
        order = self.find(account, params, -2013)
        try:
            changed = self.exchange.amend(
                account, order.id, price=Decimal(params["price"]), amount=Decimal(params["quantity"])
            )
        except Refusal as refusal:
            raise self.refuse(refusal) from None
        return self.order_row(changed, short=True)

    def cancel(self, account: str, params: Mapping[str, Any]) -> Any:
        """DELETE order."""
        order = self.find(account, params, -2011)
        if order.status is OrderStatus.UNTRIGGERED:
            raise ApiError(-2011, "Unknown order sent.")
        try:
            return self.order_row(self.exchange.cancel(account, order.id), short=True)
        except Refusal as refusal:
            raise self.refuse(refusal) from None

    def cancel_all(self, account: str, params: Mapping[str, Any]) -> Any:
        """DELETE allOpenOrders: a success with a code."""
        key = self.listing(params.get("symbol")).key
        for order in self.exchange.open_orders(account, key):
            if order.status is not OrderStatus.UNTRIGGERED:
                self.exchange.cancel(account, order.id)
        return {"code": 200, "msg": "The operation of cancel all open order is done."}

    def query(self, account: str, params: Mapping[str, Any]) -> Any:
        """GET order."""
        order = self.find(account, params, -2013)
        if order.kind.has_trigger and order.triggered is None:
            raise ApiError(-2013, "Order does not exist.")
        return self.order_row(order)

    def open_orders(self, account: str, params: Mapping[str, Any]) -> Any:
        """GET openOrders, without those that wait for a trigger."""
        key = self.listing(params["symbol"]).key if params.get("symbol") else None
        found = self.exchange.open_orders(account, key)
        return [
            self.order_row(order)
            for order in found
            if self._mine(order) and order.status is not OrderStatus.UNTRIGGERED
        ]

    def all_orders(self, account: str, params: Mapping[str, Any]) -> Any:
        """GET allOrders."""
        key = self.listing(params.get("symbol")).key
        found = [*self.exchange.closed_orders(account, key), *self.exchange.open_orders(account, key)]
        found.sort(key=lambda order: order.id)
        return [self.order_row(order) for order in found[-int(params.get("limit") or 500) :]]

    def _mine(self, order: Order) -> bool:
        return self.symbol(order.key) in self.listings and not order.key.startswith("spot:")

    def order_row(self, order: Order, *, short: bool = False) -> dict[str, Any]:
        """An order; since July 2026 answers to place, cancel and modify (`short`) lack average and quote."""
        row: dict[str, Any] = {
            "orderId": order.id,
            "symbol": self.symbol(order.key),
            "status": STATUS[order.status],
            "clientOrderId": order.client_id,
            "price": self.number(order.price),
            "origQty": self.number(order.amount),
            "executedQty": self.number(order.filled),
            "cumQty": self.number(order.filled),
            "timeInForce": "GTX" if order.post_only else order.tif.upper(),
            "type": _working_type(order),
            "reduceOnly": order.reduce_only,
            "closePosition": False,
            "side": order.side.upper(),
            "positionSide": "BOTH",
            "stopPrice": self.number(order.trigger),
            "workingType": "CONTRACT_PRICE",
            "priceProtect": False,
            "origType": _NAMES[order.kind],
            "priceMatch": "NONE",
            "selfTradePreventionMode": "EXPIRE_MAKER",
            "goodTillDate": 0,
            "updateTime": order.updated,
        }
        if not short:
            row |= {
                "avgPrice": self.number(order.average),
                "cumQuote": self.number(order.filled_value),
                "time": order.created,
            }
        return row

    # conditional orders

    def place_algo(self, account: str, params: Mapping[str, Any]) -> Any:
        """POST algoOrder."""
        if params.get("algoType") != "CONDITIONAL":
            raise ApiError(-1102, "Mandatory parameter 'algoType' was not sent, was empty/null, or malformed.")
        fields = dict(params)
        if fields.get("type") in ("STOP", "TAKE_PROFIT") and not fields.get("timeInForce"):
            fields["timeInForce"] = "GTC"
        return self.algo_row(self._enter(account, fields, ALGO))

    def _algo(self, account: str, params: Mapping[str, Any], code: int = -2013) -> Order:
        name: int | str = int(params["algoId"]) if params.get("algoId") else str(params.get("clientAlgoId", ""))
        try:
            order = self.exchange.order(account, name)
        except Refusal:
            raise ApiError(code, "Order does not exist." if code == -2013 else "Unknown order sent.") from None
        if not order.kind.has_trigger:
            raise ApiError(code, "Order does not exist.")
        return order

    def cancel_algo(self, account: str, params: Mapping[str, Any]) -> Any:
        """DELETE algoOrder."""
        order = self._algo(account, params, -2011)
        try:
            self.exchange.cancel(account, order.id)
        except Refusal as refusal:
            raise self.refuse(refusal) from None
        return {"algoId": order.id, "clientAlgoId": order.client_id, "code": "200", "msg": "success"}

    def open_algos(self, account: str, params: Mapping[str, Any]) -> Any:
        """GET openAlgoOrders."""
        key = self.listing(params["symbol"]).key if params.get("symbol") else None
        found = self.exchange.open_orders(account, key)
        return [
            self.algo_row(order) for order in found if self._mine(order) and order.status is OrderStatus.UNTRIGGERED
        ]

    def cancel_algos(self, account: str, params: Mapping[str, Any]) -> Any:
        """DELETE algoOpenOrders."""
        key = self.listing(params.get("symbol")).key
        for order in self.exchange.open_orders(account, key):
            if order.status is OrderStatus.UNTRIGGERED:
                self.exchange.cancel(account, order.id)
        return {"code": 200, "msg": "The operation of cancel all open order is done."}

    def algo_row(self, order: Order) -> dict[str, Any]:
        """A conditional order."""
        row = {
            "algoId": order.id,
            "clientAlgoId": order.client_id,
            "algoType": "CONDITIONAL",
            "orderType": _NAMES[order.kind],
            "symbol": self.symbol(order.key),
            "side": order.side.upper(),
            "positionSide": "BOTH",
            "timeInForce": order.tif.upper(),
            "quantity": self.number(order.amount),
            "algoStatus": _algo_status(order),
            "triggerPrice": self.number(order.trigger),
            "price": self.number(order.price),
            "workingType": "CONTRACT_PRICE",
            "priceProtect": False,
            "reduceOnly": order.reduce_only,
            "closePosition": False,
            "createTime": order.created,
            "updateTime": order.updated,
            "triggerTime": order.triggered or 0,
            "goodTillDate": 0,
        }
        return row | ({"actualOrderId": str(order.id)} if order.triggered is not None else {"actualOrderId": ""})

    # account

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

    def set_dual(self, account: str, params: Mapping[str, Any]) -> Any:
        """POST positionSide/dual: one-way is what there is."""
        if str(params.get("dualSidePosition")).lower() == "false":
            raise ApiError(-4059, "No need to change position side.")
        raise ApiError(-4068, "Position side cannot be changed if there exists position.")

    def countdown(self, account: str, params: Mapping[str, Any]) -> Any:
        """POST countdownCancelAll."""
        key, time = self.listing(params.get("symbol")).key, int(params.get("countdownTime", 0))
        if time:
            self._countdowns[account, key] = self.now_ms + time
        else:
            self._countdowns.pop((account, key), None)
        return {"symbol": params["symbol"], "countdownTime": str(time)}

    # listen keys

    def new_listen_key(self, account: str, params: Mapping[str, Any]) -> Any:
        """POST: a key while one is active returns the same and extends it."""
        for key, (owner, expiry) in self.listen_keys.items():
            if owner == account and expiry > self.now_ms:
                self.listen_keys[key] = (account, self.now_ms + _HOUR)
                return {"listenKey": key}
        key = secrets.token_hex(32)
        self.listen_keys[key] = (account, self.now_ms + _HOUR)
        return {"listenKey": key}

    def keep_listen_key(self, account: str, params: Mapping[str, Any]) -> Any:
        """PUT."""
        for key, (owner, expiry) in self.listen_keys.items():
            if owner == account and expiry > self.now_ms:
                self.listen_keys[key] = (account, self.now_ms + _HOUR)
                return {"listenKey": key}
        raise ApiError(-1125, "This listenKey does not exist.")

    def end_listen_key(self, account: str, params: Mapping[str, Any]) -> Any:
        """DELETE: ends it for every terminal of the account."""
        for key in [key for key, (owner, _) in self.listen_keys.items() if owner == account]:
            del self.listen_keys[key]
        return {}

    def expire_listen_keys(self) -> bool:
        """As if an hour had passed. Whether there were any."""
        for key, (account, _) in list(self.listen_keys.items()):
            self.listen_keys[key] = (account, 0)
        return bool(self.listen_keys)

    # sockets

    def open_stream(self, path: str, params: Mapping[str, str]) -> Connection | HttpAnswer:
        """/public for books, /market for the rest, /private by listen key; the old root carries books only."""
        root, _, rest = path.lstrip("/").partition("/")
        if root == "private":
            key = params.get("listenKey") or rest.partition("/")[2]
            found = self.listen_keys.get(key)
            if found is None or found[1] <= self.now_ms:
                return HttpAnswer(400, b'{"code":-1125,"msg":"This listenKey does not exist."}')
            return PrivateConnection(self, found[0], key, combined=rest.startswith("stream"))
        if root == "public":
            return open_stream(self, rest, params, _is_book)
        if root == "market":
            return open_stream(self, rest, params, lambda stream: not _is_book(stream))
        return open_stream(self, path, params, _is_book)

    def open_api(self) -> ApiConnection:
        """A WebSocket API connection."""
        return ApiConnection(self, 180.0)

    def api_methods(self) -> dict[str, tuple[Callable[..., Any], str]]:
        """Method -> (handler, security)."""
        by_path = {path: (handler, security) for path, (handler, security, _, _) in self.routes.items()}
        return {
            "ping": by_path["GET", "/fapi/v1/ping"],
            "time": by_path["GET", "/fapi/v1/time"],
            "order.place": by_path["POST", "/fapi/v1/order"],
            "order.modify": by_path["PUT", "/fapi/v1/order"],
            "order.cancel": by_path["DELETE", "/fapi/v1/order"],
            "order.status": by_path["GET", "/fapi/v1/order"],
            "algoOrder.place": by_path["POST", "/fapi/v1/algoOrder"],
            "algoOrder.cancel": by_path["DELETE", "/fapi/v1/algoOrder"],
            "account.balance": by_path["GET", "/fapi/v3/balance"],
            "v2/account.balance": by_path["GET", "/fapi/v3/balance"],
            "account.status": by_path["GET", "/fapi/v3/account"],
            "account.position": by_path["GET", "/fapi/v3/positionRisk"],
        }


class PrivateConnection(StreamConnection):
    """USD-M's private socket: everything of one account, unwrapped on `/ws`."""

    private = True

    def __init__(self, product: Usdm, account: str, key: str, *, combined: bool) -> None:
        super().__init__(product, combined=combined)
        self.account = account
        self.key = key
        self._usdm = product
        self._expired = False
        self._unwatch = product.exchange.watch_account(self._hear, account)

    def _hear(self, event: AccountEvent) -> None:
        if self._expired:
            return
        for body in usdm_events(self._usdm, event):
            self._send(body)

    def tick(self, now_ms: int) -> None:
        """A key that expired sends its last event and then nothing."""
        found = self._usdm.listen_keys.get(self.key)
        if not self._expired and (found is None or found[1] <= now_ms):
            self._expired = True
            self._send({"e": "listenKeyExpired", "E": now_ms, "listenKey": self.key})

    def _send(self, body: Any) -> None:
        self.out.append(encode({"stream": self.key, "data": body} if self.combined else body).decode())

    def closed(self) -> None:
        """Gone."""
        super().closed()
        self._unwatch()


def usdm_events(product: Usdm, event: AccountEvent) -> list[dict[str, Any]]:
    """What an event of the exchange is on the wire."""
    match event:
        case OrderChanged() if product._mine(event.order):
            return _order_events(product, event)
        case BalanceChanged() if event.balance.wallet is Wallet.MARGIN and event.balance.asset == "USDT":
            wallet = f"{event.balance.total:.8f}"
            row = {"a": event.balance.asset, "wb": wallet, "cw": wallet, "bc": "0"}
            return [_account_update(product, event.time, [row], [])]
        case PositionChanged() if product.symbol(event.key) in product.listings:
            image = event.position
            row = {
                "s": product.symbol(event.key),
                "pa": product.number(image.size),
                "ep": product.number(image.entry),
                "bep": product.number(image.entry),
                "cr": product.number(image.realised),
                "up": f"{image.unrealised:.8f}",
                "mt": "cross",
                "iw": "0",
                "ps": "BOTH",
            }
            return [_account_update(product, event.time, [], [row])]
    return []


def _account_update(product: Usdm, time: int, balances: list[Any], positions: list[Any]) -> dict[str, Any]:
    return {
        "e": "ACCOUNT_UPDATE",
        "E": product.now_ms,
        "T": time,
        "a": {"m": "ORDER", "B": balances, "P": positions},
        "st": 1,
    }


def _order_events(product: Usdm, event: OrderChanged) -> list[dict[str, Any]]:
    order = event.order
    waiting = order.kind.has_trigger and (order.triggered is None or event.what is Happening.TRIGGERED)
    found: list[dict[str, Any]] = []
    if order.kind.has_trigger and (waiting or order.status.is_final):
        found.append(_algo_event(product, order))
        if order.triggered is None:
            return found
    fill: Execution | None = event.fill
    execution = {
        Happening.ACCEPTED: "NEW",
        Happening.TRIGGERED: "NEW",
        Happening.FILLED: "TRADE",
        Happening.AMENDED: "AMENDMENT",
        Happening.ENDED: STATUS[order.status],
    }[event.what]
    number = product.number
    row = {
        "s": product.symbol(order.key),
        "c": order.client_id,
        "S": order.side.upper(),
        "o": _working_type(order),
        "f": "GTX" if order.post_only else order.tif.upper(),
        "q": number(order.amount),
        "p": number(order.price),
        "ap": number(order.average),
        "sp": number(order.trigger),
        "x": execution,
        "X": "NEW" if event.what is Happening.ACCEPTED else STATUS[order.status],
        "i": order.id,
        "l": number(fill.size if fill else None),
        "z": number(order.filled if event.what is not Happening.ACCEPTED else None),
        "L": number(fill.price if fill else None),
        "n": number(fill.fee) if fill else "0",
        "N": fill.fee_asset if fill else "USDT",
        "T": order.updated,
        "t": fill.trade_id if fill else 0,
        "b": "0",
        "a": "0",
        "m": fill.maker if fill else False,
        "R": order.reduce_only,
        "wt": "CONTRACT_PRICE",
        "ot": _NAMES[order.kind],
        "ps": "BOTH",
        "cp": False,
        "rp": number(fill.realised if fill else None),
        "pP": False,
        "si": 0,
        "ss": 0,
        "V": "EXPIRE_MAKER",
        "pm": "NONE",
        "gtd": 0,
        "er": "0",
    }
    found.insert(0, {"e": "ORDER_TRADE_UPDATE", "T": order.updated, "E": product.now_ms, "o": row, "st": 1})
    return found


def _algo_event(product: Usdm, order: Order) -> dict[str, Any]:
    number = product.number
    row = {
        "caid": order.client_id,
        "aid": order.id,
        "at": "CONDITIONAL",
        "o": _NAMES[order.kind],
        "s": product.symbol(order.key),
        "S": order.side.upper(),
        "ps": "BOTH",
        "f": order.tif.upper(),
        "q": number(order.amount),
        "X": _algo_status(order),
        "ai": str(order.id) if order.triggered is not None else "",
        "ap": number(order.average),
        "aq": number(order.filled),
        "act": "LIMIT" if order.kind.has_price else "MARKET",
        "tp": number(order.trigger),
        "p": number(order.price),
        "V": "EXPIRE_MAKER",
        "wt": "CONTRACT_PRICE",
        "pm": "NONE",
        "cp": False,
        "pP": False,
        "R": order.reduce_only,
        "tt": order.triggered or 0,
        "gtd": 0,
        "rm": order.text,
    }
    return {"e": "ALGO_UPDATE", "T": order.updated, "E": product.now_ms, "o": row, "st": 1}


def _algo_status(order: Order) -> str:
    if order.triggered is None:
        words = {OrderStatus.CANCELLED: "CANCELED", OrderStatus.EXPIRED: "EXPIRED", OrderStatus.REJECTED: "REJECTED"}
        return words.get(order.status, "NEW")
    return "FINISHED" if order.status.is_final else "TRIGGERED"


def _working_type(order: Order) -> str:
    if order.kind.has_trigger and order.triggered is not None:
        return "LIMIT" if order.kind.has_price else "MARKET"
    return _NAMES[order.kind]


def _is_book(stream: str) -> bool:
    kind = stream.partition("@")[2] or stream
    return kind.startswith(("depth", "bookTicker", "!bookTicker", "rpiDepth"))
