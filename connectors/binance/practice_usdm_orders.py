"""USD-M's orders from the venue's side: plain ones, conditional ones with ids of their own, and the countdown."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from connectors.binance.practice_rest import MAX_PRICE
from connectors.binance.practice_terms import ApiError, dec, status_of
from connectors.binance.practice_usdm_market import ALGO, NAMES, PLAIN, UsdmMarket
from connectors.model import OrderKind, OrderStatus
from connectors.practice.exchange import Exchange
from connectors.practice.protocol import Keys
from connectors.practice.terms import Order, Refusal, RefusalKind

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


ALGO_IDS = 10**15  # conditional orders have ids of their own; what one becomes has another
_CLIENT_ID = re.compile(r"[\.A-Z\:/a-z0-9_-]{1,36}")


class UsdmOrders(UsdmMarket):
    """Orders of USD-M."""

    def __init__(self, exchange: Exchange, keys: Keys) -> None:
        super().__init__(exchange, keys)
        self._countdowns: dict[tuple[str, str], int] = {}

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
        if not _CLIENT_ID.fullmatch(request.client_id):
            raise ApiError(-4015, "Client order id is not valid.")
        self.gate.admit(account, self.now_ms)
        try:
            order = self.exchange.place(account, request)
        except Refusal as refusal:
            raise self.refuse(refusal) from None
        self.gate.made(account, order.id, self.now_ms)
        return order

    def batch(self, account: str, params: Mapping[str, Any]) -> Any:
        """POST batchOrders: each element is an order or an error."""
        return self._each(self.place, account, params)

    def modify_batch(self, account: str, params: Mapping[str, Any]) -> Any:
        """PUT batchOrders."""
        return self._each(self.modify, account, params)

    def cancel_batch(self, account: str, params: Mapping[str, Any]) -> Any:
        """DELETE batchOrders: by ids or by client ids."""
        symbol = {"symbol": params.get("symbol")}
        ids = msgspec.json.decode(params.get("orderIdList") or "[]", type=list[int])
        names = msgspec.json.decode(params.get("origClientOrderIdList") or "[]", type=list[str])
        if not 1 <= len(ids) + len(names) <= 10:
            raise ApiError(-1102, "Param 'orderIdList' or 'origClientOrderIdList' must be sent.")
        asked = [{**symbol, "orderId": row} for row in ids] + [{**symbol, "origClientOrderId": row} for row in names]
        return [self._or_error(self.cancel, account, row) for row in asked]

    def _each(self, act: Callable[..., Any], account: str, params: Mapping[str, Any]) -> list[Any]:
        wanted = msgspec.json.decode(params.get("batchOrders") or "[]", type=list[dict[str, Any]])
        if not 1 <= len(wanted) <= 5:
            raise ApiError(-4082, "Invalid number of batch place orders.")
        return [self._or_error(act, account, row) for row in wanted]

    @staticmethod
    def _or_error(act: Callable[..., Any], account: str, row: Mapping[str, Any]) -> Any:
        try:
            return act(account, row)
        except ApiError as error:
            return error.body

    def modify(self, account: str, params: Mapping[str, Any]) -> Any:
        """PUT order: everything is wanted again; the place in the queue is lost."""
        for name in ("side", "quantity", "price"):
            if not params.get(name):
                raise ApiError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
        order = self.find(account, params, -2013)
        price, amount = (dec(str(params[name]), name) for name in ("price", "quantity"))
        if price > MAX_PRICE:
            raise self.too_dear()
        self.gate.admit(account, self.now_ms)
        try:
            changed = self.exchange.amend(account, order.id, price=price, amount=amount)
        except Refusal as refusal:
            raise self.refuse(refusal) from None
        self.gate.made(account, order.id, self.now_ms)
        return {**self.order_row(changed, short=True), "modifyId": changed.revision}

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
            self.order_row(order) for order in found if self.mine(order) and order.status is not OrderStatus.UNTRIGGERED
        ]

    def all_orders(self, account: str, params: Mapping[str, Any]) -> Any:
        """GET allOrders."""
        key = self.listing(params.get("symbol")).key
        found = [*self.exchange.closed_orders(account, key), *self.exchange.open_orders(account, key)]
        found.sort(key=lambda order: order.id)
        return [self.order_row(order) for order in found[-int(params.get("limit") or 500) :]]

    def order_row(self, order: Order, *, short: bool = False) -> dict[str, Any]:
        """An order; since July 2026 answers to place, cancel and modify (`short`) lack average and quote."""
        row: dict[str, Any] = {
            "orderId": order.id,
            "symbol": self.symbol(order.key),
            "status": status_of(order),
            "clientOrderId": order.client_id,
            "price": self.number(order.price),
            "origQty": self.number(order.amount),
            "executedQty": self.number(order.filled),
            "cumQty": self.number(order.filled),
            "timeInForce": "GTX" if order.post_only else order.tif.upper(),
            "type": working_type(order),
            "reduceOnly": order.reduce_only,
            "closePosition": False,
            "side": order.side.upper(),
            "positionSide": "BOTH",
            "stopPrice": self.number(order.trigger),
            "workingType": "CONTRACT_PRICE",
            "priceProtect": False,
            "origType": NAMES[order.kind],
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
        number, named = params.get("algoId"), str(params.get("clientAlgoId", ""))
        name: int | str = int(number) - ALGO_IDS if number else named
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
        if order.triggered is not None:  # it goes on as an order of its own
            raise ApiError(-2011, "Unknown order sent.")
        try:
            self.exchange.cancel(account, order.id)
        except Refusal as refusal:
            raise self.refuse(refusal) from None
        return {"algoId": order.id + ALGO_IDS, "clientAlgoId": order.client_id, "code": "200", "msg": "success"}

    def open_algos(self, account: str, params: Mapping[str, Any]) -> Any:
        """GET openAlgoOrders."""
        key = self.listing(params["symbol"]).key if params.get("symbol") else None
        found = self.exchange.open_orders(account, key)
        return [self.algo_row(order) for order in found if self.mine(order) and order.status is OrderStatus.UNTRIGGERED]

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
            "algoId": order.id + ALGO_IDS,
            "clientAlgoId": order.client_id,
            "algoType": "CONDITIONAL",
            "orderType": NAMES[order.kind],
            "symbol": self.symbol(order.key),
            "side": order.side.upper(),
            "positionSide": "BOTH",
            "timeInForce": order.tif.upper(),
            "quantity": self.number(order.amount),
            "algoStatus": algo_status(order),
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

    def countdown(self, account: str, params: Mapping[str, Any]) -> Any:
        """POST countdownCancelAll."""
        key, time = self.listing(params.get("symbol")).key, int(params.get("countdownTime", 0))
        if time:
            self._countdowns[account, key] = self.now_ms + time
        else:
            self._countdowns.pop((account, key), None)
        return {"symbol": params["symbol"], "countdownTime": str(time)}


def algo_status(order: Order) -> str:
    """The wire's word for where a conditional order stands."""
    if order.triggered is None:
        words = {OrderStatus.CANCELLED: "CANCELED", OrderStatus.EXPIRED: "EXPIRED", OrderStatus.REJECTED: "REJECTED"}
        return words.get(order.status, "NEW")
    return "FINISHED" if order.status.is_final else "TRIGGERED"


def working_type(order: Order) -> str:
    """The type an order works as: what it became once triggered."""
    if order.kind.has_trigger and order.triggered is not None:
        return "LIMIT" if order.kind.has_price else "MARKET"
    return NAMES[order.kind]
