"""KuCoin futures' orders from the venue's end: orders and stop orders with one id space, fills, margin modes."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from connectors.kucoin.practice_futures_market import FIRST, FIRST_ORDER, MAX_PRICE, FuturesMarket, coin, order_id
from connectors.kucoin.practice_product import ApiError, Caller, Venue, decimal, text
from connectors.model import OrderKind, OrderStatus, Side, TimeInForce
from connectors.practice.listings import Listing
from connectors.practice.terms import Execution, NewOrder, Order, Refusal, RefusalKind, TriggerOn

_REFUSALS = {
    RefusalKind.FUNDS: ("300003", "The account balance is insufficient."),
    RefusalKind.MARGIN: ("300003", "The account balance is insufficient."),
    RefusalKind.PRICE_TICK: ("100001", "The price must be a multiple of the tick size."),
    RefusalKind.PRICE_BOUNDS: ("300011", "The price is out of range."),
    RefusalKind.SIZE_LOT: ("100001", "The order size is invalid."),
    RefusalKind.SIZE_MINIMUM: ("100001", "The order size is invalid."),
    RefusalKind.SIZE_MAXIMUM: ("100001", "The order size exceeds the limit."),
    RefusalKind.REDUCE_ONLY: ("300009", "No open positions to close."),
    RefusalKind.CLIENT_ID: ("100001", "clientOid duplicate"),
    RefusalKind.MARKET_CLOSED: ("200001", "The contract does not take orders now."),
    RefusalKind.TOO_MANY_ORDERS: ("300004", "The number of open orders exceeds the limit."),
    RefusalKind.UNKNOWN_ORDER: ("100001", "error.getOrder.orderNotExist"),
    RefusalKind.ORDER_ENDED: ("100004", "Order is in not cancelable state"),
    RefusalKind.LEVERAGE: ("100001", "The leverage is invalid."),
    RefusalKind.WOULD_TRIGGER: ("100001", "The stop price has been reached already."),
}


class FuturesOrders(FuturesMarket):
    """Orders of futures."""

    def __init__(self, venue: Venue, listings: Iterable[Listing]) -> None:
        super().__init__(venue, listings)
        self.modes: dict[tuple[str, str], str] = {}  # margin mode by account and key; isolated unless changed

    def refuse(self, refusal: Refusal) -> ApiError:
        """In futures' words."""
        code, words = _REFUSALS.get(refusal.kind, ("100001", refusal.text))
        return ApiError(code, words)

    def _mode(self, account: str, key: str) -> str:
        return self.modes.get((account, key), "ISOLATED")

    # orders

    def request(self, account: str, body: Any) -> NewOrder:
        """The exchange's order for a body."""
        if {"hidden", "iceberg", "visibleSize"} & {name for name in body if body[name]}:
            raise ApiError("400413", "Invaild order type, hidden and iceberg orders are not supported any more.")
        listing = self.listing(body.get("symbol"))
        client, side = str(body.get("clientOid") or ""), body.get("side")
        if not client or len(client) > 40:
            raise ApiError("100001", "clientOid is invalid")
        if side not in ("buy", "sell"):
            raise ApiError("100001", "side is invalid")
        kind, limit = body.get("type", "limit"), body.get("type", "limit") == "limit"
        if kind not in ("limit", "market"):
            raise ApiError("100001", "type is invalid")
        if body.get("marginMode", "ISOLATED") != self._mode(account, listing.key):
            raise ApiError(
                "330005", "The order's margin mode does not match the selected one. Please switch and try again."
            )
        if str(body.get("positionSide", "BOTH")) != "BOTH":
            raise ApiError("330012", "The position mode does not match.")
        closes = body.get("closeOrder") is True
        tif = body.get("timeInForce") or "GTC"
        if tif not in ("GTC", "IOC", "FOK"):
            raise ApiError("100001", "timeInForce is invalid")
        bad_price = ApiError("100001", "price is invalid")
        trigger = decimal(body.get("stopPrice"), bad_price) if body.get("stop") else None
        if trigger is not None and body["stop"] not in ("up", "down"):
            raise ApiError("100001", "stop is invalid")
        order_kind = OrderKind.LIMIT if limit else OrderKind.MARKET
        if trigger is not None:
            stops = (body["stop"] == "up") is (side == "buy")
            order_kind = OrderKind.STOP if stops else OrderKind.TAKE_PROFIT
            if limit:
                order_kind = OrderKind.STOP_LIMIT if stops else OrderKind.TAKE_PROFIT_LIMIT
        price = decimal(body.get("price"), bad_price) if limit else None
        if price is not None and price > MAX_PRICE:
            raise ApiError("300011", "The price is out of range.")
        return NewOrder(
            key=listing.key,
            side=Side(side),
            kind=order_kind,
            amount=self._lots(account, listing, body, closes=closes),
            price=price,
            trigger=trigger,
            trigger_on=TriggerOn.LAST if body.get("stopPriceType", "TP") == "TP" else TriggerOn.MARK,
            tif=TimeInForce(tif.lower()) if limit else TimeInForce.GTC,
            post_only=bool(body.get("postOnly")) and limit and tif == "GTC",
            reduce_only=bool(body.get("reduceOnly")) or closes,
            client_id=client,
        )

    def _lots(self, account: str, listing: Listing, body: Any, *, closes: bool) -> Decimal:
        bad = ApiError("100001", "Exactly one of size, qty and valueQty is required.")
        given = [name for name in ("size", "qty", "valueQty") if body.get(name) not in (None, "")]
        if closes and not given:
            held = abs(self.exchange.position(account, listing.key).size)
            if not held:
                raise ApiError("300009", "No open positions to close.")
            return held
        if len(given) != 1:
            raise bad
        value = decimal(body[given[0]], bad)
        if given[0] == "size":
            return value
        if given[0] == "valueQty":
            value /= self.exchange.ticker(listing.key).last
        return (value / listing.multiplier).to_integral_value(rounding="ROUND_DOWN")

    def place(self, caller: Caller) -> Any:
        """Accepted for processing; isolated margin takes the leverage that the order names."""
        request = self.request(caller.account, caller.body)
        leverage = int(decimal(caller.body.get("leverage") or 0, ApiError("100001", "The leverage is invalid.")))
        if leverage and not request.reduce_only and self._mode(caller.account, request.key) == "ISOLATED":
            self.exchange.set_leverage(caller.account, request.key, leverage)
        order = self.exchange.place(caller.account, request)
        return {"orderId": order_id(order.id), "clientOid": order.client_id}

    def test(self, caller: Caller) -> Any:
        """A dry run."""
        request = self.request(caller.account, caller.body)
        self.exchange.test(caller.account, request)
        return {"orderId": order_id(0), "clientOid": request.client_id}

    def find(self, caller: Caller) -> Order:
        """By the id in the path, or the client's."""
        name: int | str = caller.params.get("clientOid", "")
        unknown = ApiError("100001", "error.getOrder.orderNotExist")
        if "orderId" in caller.params:
            if not caller.params["orderId"].isdigit():
                raise unknown
            name = int(caller.params["orderId"]) - FIRST_ORDER
        try:
            order = self.exchange.order(caller.account, name)
        except Refusal:
            raise unknown from None
        if order.key not in self.names:
            raise unknown
        return order

    def cancel(self, caller: Caller) -> Any:
        """Accepted; stop orders too."""
        order = self._end(caller)
        return {"cancelledOrderIds": [order_id(order.id)]}

    def cancel_by_client(self, caller: Caller) -> Any:
        """The symbol is wanted too."""
        self.listing(caller.params.get("symbol"))
        return {"clientOid": self._end(caller).client_id}

    def _end(self, caller: Caller) -> Order:
        order = self.find(caller)
        try:
            return self.exchange.cancel(caller.account, order.id)
        except Refusal:
            raise ApiError("100004", "Order is in not cancelable state") from None

    def _open(self, account: str, symbol: str | None, *, waiting: bool) -> list[Order]:
        key = self.listing(symbol).key if symbol else None
        return [
            order
            for order in self.exchange.open_orders(account, key)
            if order.key in self.names and (order.kind.has_trigger and order.triggered is None) is waiting
        ]

    def cancel_all(self, caller: Caller) -> Any:
        """Orders of a symbol or of all, stop orders left aside."""
        return self._cancel_all(caller, waiting=False)

    def cancel_stops(self, caller: Caller) -> Any:
        """Stop orders of a symbol or of all."""
        return self._cancel_all(caller, waiting=True)

    def _cancel_all(self, caller: Caller, *, waiting: bool) -> Any:
        orders = self._open(caller.account, caller.params.get("symbol"), waiting=waiting)
        for order in orders:
            self.exchange.cancel(caller.account, order.id)
        return {"cancelledOrderIds": [order_id(order.id) for order in orders]}

    def query(self, caller: Caller) -> Any:
        """One order."""
        return self._row(self.find(caller))

    def orders(self, caller: Caller) -> Any:
        """Active or done, paged."""
        symbol = caller.params.get("symbol")
        if caller.params.get("status") == "active":
            found = self._open(caller.account, symbol, waiting=False)
        else:
            key = self.listing(symbol).key if symbol else None
            ended = reversed(self.exchange.closed_orders(caller.account, key))
            found = [order for order in ended if order.key in self.names]
        return self._paged(caller, [self._row(order) for order in found])

    def stop_orders(self, caller: Caller) -> Any:
        """Those that wait, paged."""
        found = self._open(caller.account, caller.params.get("symbol"), waiting=True)
        return self._paged(caller, [self._row(order) for order in found])

    @staticmethod
    def _paged(caller: Caller, rows: list[Any]) -> Any:
        page, size = int(caller.params.get("currentPage") or 1), int(caller.params.get("pageSize") or 50)
        return {
            "currentPage": page,
            "pageSize": size,
            "totalNum": len(rows),
            "totalPage": -(-len(rows) // size),
            "items": rows[(page - 1) * size : page * size],
        }

    def fills(self, caller: Caller) -> Any:
        """Newest first, paged."""
        return self._paged(caller, self._fills(caller))

    def recent_fills(self, caller: Caller) -> Any:
        """Of a day, in one piece."""
        return self._fills(caller)

    def _fills(self, caller: Caller) -> list[Any]:
        symbol, wanted = caller.params.get("symbol"), caller.params.get("orderId")
        key = self.listing(symbol).key if symbol else None
        start, end = int(caller.params.get("startAt") or 0), int(caller.params.get("endAt") or 2**62)
        return [
            self._fill(caller.account, fill)
            for fill in reversed(self.exchange.fills(caller.account, key))
            if fill.key in self.names and start <= fill.time <= end and wanted in (None, "", order_id(fill.order_id))
        ]

    def _fill(self, account: str, fill: Execution) -> dict[str, Any]:
        order = self.exchange.order(account, fill.order_id)
        listing = self.exchange.listings[fill.key]
        kind = "limit" if order.kind.has_price else "market"
        return {
            "symbol": self.names[fill.key],
            "tradeId": str(FIRST + fill.trade_id),
            "orderId": order_id(fill.order_id),
            "side": fill.side.value,
            "liquidity": "maker" if fill.maker else "taker",
            "forceTaker": False,
            "price": text(fill.price),
            "size": int(fill.size),
            "value": text(fill.value),
            "openFeePay": text(fill.fee),
            "closeFeePay": "0",
            "stop": "",
            "feeRate": text(listing.maker if fill.maker else listing.taker),
            "fixFee": "0",
            "feeCurrency": coin(fill.fee_asset),
            "subTradeType": None,
            "marginMode": self._mode(account, fill.key),
            "displayType": kind,
            "fee": text(fill.fee),
            "settleCurrency": coin(listing.settle),
            "orderType": kind,
            "tradeType": "trade",
            "tradeTime": fill.time * 1_000_000,
            "createdAt": fill.time,
        }

    @staticmethod
    def _stop_word(order: Order) -> str:
        if not order.kind.has_trigger:
            return ""
        stops = order.kind in (OrderKind.STOP, OrderKind.STOP_LIMIT)
        return "up" if stops is (order.side is Side.BUY) else "down"

    def _row(self, order: Order) -> dict[str, Any]:
        ended = order.status.is_final
        listing = self.exchange.listings[order.key]
        waits = order.kind.has_trigger
        return {
            "id": order_id(order.id),
            "symbol": self.names[order.key],
            "type": "limit" if order.kind.has_price else "market",
            "side": order.side.value,
            "price": text(order.price) if order.price is not None else None,
            "size": int(order.amount or 0),
            "value": "0",
            "dealValue": text(order.filled_value),
            "dealSize": int(order.filled),
            "stp": "",
            "stop": self._stop_word(order),
            "stopPriceType": ("TP" if order.trigger_on is TriggerOn.LAST else "MP") if waits else "",
            "stopTriggered": order.triggered is not None,
            "stopPrice": text(order.trigger) if order.trigger is not None else None,
            "timeInForce": order.tif.upper(),
            "postOnly": order.post_only,
            "hidden": False,
            "iceberg": False,
            "leverage": str(self.exchange.leverage(order.account, order.key)),
            "forceHold": False,
            "closeOrder": False,
            "visibleSize": 0,
            "clientOid": order.client_id,
            "remark": None,
            "tags": "",
            "isActive": not ended,
            "cancelExist": ended and order.status is not OrderStatus.FILLED,
            "createdAt": order.created,
            "updatedAt": order.updated,
            "endAt": order.updated if ended else None,
            "orderTime": order.created * 1_000_000,
            "settleCurrency": coin(listing.settle),
            "marginMode": self._mode(order.account, order.key),
            "avgDealPrice": text(order.average),
            "filledSize": int(order.filled),
            "filledValue": text(order.filled_value),
            "status": "done" if ended else "open",
            "reduceOnly": order.reduce_only,
        }
