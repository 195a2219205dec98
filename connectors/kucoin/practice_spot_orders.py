"""KuCoin spot's orders from the venue's end: the hf family, stop orders with ids of their own, fills, the dead man's switch."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec

from connectors.kucoin.practice_product import ApiError, Caller, Venue, decimal, text
from connectors.kucoin.practice_spot_market import SpotMarket, order_id
from connectors.model import EndReason, OrderKind, OrderStatus, Side, TimeInForce
from connectors.practice.listings import Listing
from connectors.practice.terms import Execution, NewOrder, Order, Refusal, RefusalKind, SelfTrade

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


BATCH = 5  # orders of one request


def stop_id(order: int) -> str:
    """A stop order's, in a space of its own."""
    return f"vs93gptvr9{order:014d}"


class SpotOrders(SpotMarket):
    """Orders of spot."""

    def __init__(self, venue: Venue, listings: Iterable[Listing]) -> None:
        super().__init__(venue, listings)
        self._countdowns: dict[tuple[str, tuple[str, ...]], int] = {}

    def tick(self, now_ms: int) -> None:
        """Streams, and countdowns that are over."""
        super().tick(now_ms)
        for (account, names), when in list(self._countdowns.items()):
            if now_ms >= when:
                del self._countdowns[account, names]
                keys = [self.listings[name].key for name in names] or list(self.names)
                self._cancel_all(account, keys, EndReason.DEAD_MAN)

    def refuse(self, refusal: Refusal) -> ApiError:
        """In spot's words."""
        code, words = _REFUSALS.get(refusal.kind, ("400100", refusal.text))
        return ApiError(code, words)

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
        rows, bodies = [], list(caller.body.get("orderList") or ())
        if not 1 <= len(bodies) <= BATCH:
            raise ApiError("400100", "orderList is invalid")
        for body in bodies:
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
        start, end = self._window(caller)
        ended = [
            order
            for order in reversed(self.exchange.closed_orders(caller.account, listing.key))
            if order.id < before
            and start <= order.created <= end
            and not (order.kind.has_trigger and order.triggered is None)
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
        start, end = self._window(caller)
        before, wanted = int(caller.params.get("lastId") or 2**62), caller.params.get("orderId")
        found = [
            fill
            for fill in reversed(self.exchange.fills(caller.account, listing.key))
            if start <= fill.time <= end
            and self._fill_id(fill) < before
            and wanted in (None, "", order_id(fill.order_id))
        ]
        rows = found[:limit]
        return {
            "items": [self._fill(caller.account, fill) for fill in rows],
            "lastId": self._fill_id(rows[-1]) if rows else 0,
        }

    @staticmethod
    def _window(caller: Caller) -> tuple[int, int]:
        return int(caller.params.get("startAt") or 0), int(caller.params.get("endAt") or 2**62)

    @staticmethod
    def _fill_id(fill: Execution) -> int:
        return 19_814_995_000_000 + fill.trade_id

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
