"""BitMEX's own end of REST for orders: taken, changed, cancelled, listed, and what was executed of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from connectors.bitmex.practice_rows import MAX_PRICE, ORDER_TYPES, Rows
from connectors.bitmex.practice_stream import Tables
from connectors.bitmex.practice_terms import ApiError, cut, decimal, filter_of, is_true, listing_of, within
from connectors.model import OrderStatus, Side, TimeInForce
from connectors.practice.exchange import Exchange
from connectors.practice.listings import Listing
from connectors.practice.terms import NewOrder, Order, Refusal, TriggerOn

_KINDS = {name: kind for kind, name in ORDER_TYPES.items()}
_DURATIONS = {
    "GoodTillCancel": TimeInForce.GTC,
    "Day": TimeInForce.GTC,
    "ImmediateOrCancel": TimeInForce.IOC,
    "FillOrKill": TimeInForce.FOK,
}
_STOPS = 10  # of one contract that may wait
_STATE_WORDS = {OrderStatus.FILLED: "Filled", OrderStatus.REJECTED: "Rejected"}


class OrderRest:
    """Handlers of `(account, params)`."""

    def __init__(self, exchange: Exchange, rows: Rows, tables: Tables) -> None:
        self.exchange = exchange
        self.rows = rows
        self.tables = tables

    def place(self, account: str, params: dict[str, Any]) -> Any:
        """POST /order: answers the row as it is after matching."""
        order = self._new_order(account, params)
        told, text = str(params.get("execInst") or ""), str(params.get("text") or "")
        as_sent = told if {"Close", "IndexPrice"} & _flags(params) else ""
        self.tables.entering = (as_sent, text) if as_sent or text else None
        try:
            return self.rows.order(self.exchange.place(account, order))
        finally:
            self.tables.entering = None

    def _new_order(self, account: str, params: dict[str, Any]) -> NewOrder:
        listing = listing_of(self.tables.symbols, params)
        price, trigger = decimal(params, "price"), decimal(params, "stopPx")
        name = params.get("ordType")
        if not name:
            name = ("StopLimit" if price else "Stop") if trigger else ("Limit" if price else "Market")
        if name not in _KINDS:
            raise ApiError(400, "ordType is invalid", "ValidationError")
        kind = _KINDS[name]
        for name in ("contingencyType", "clOrdLinkID", "pegPriceType", "pegOffsetValue"):
            if params.get(name):
                raise ApiError(400, f"{name} is invalid", "ValidationError")  # not played here, and never passed over
        flags = _flags(params)
        known = {"ParticipateDoNotInitiate", "ReduceOnly", "Close", "MarkPrice", "LastPrice", "IndexPrice"}
        if flags - known:
            raise ApiError(400, "execInst is invalid", "ValidationError")
        if kind.has_price and price is None:
            raise ApiError(400, "Invalid price", "ValidationError")
        if kind.has_trigger and trigger is None:
            raise ApiError(400, "Invalid stopPx for ordType", "ValidationError")
        _within_bounds(price, trigger)
        if kind.has_trigger and self._waiting(account, listing.key) >= _STOPS:
            raise ApiError(400, f"Too many open orders: {_STOPS} stops per symbol", "ValidationError")
        amount, side = self._amount_and_side(account, listing, params, flags)
        shown = decimal(params, "displayQty")
        if shown is not None and shown < amount:
            raise ApiError(400, "displayQty is invalid", "ValidationError")  # nothing is hidden here
        if listing.step and amount % listing.step:
            raise ApiError(400, f"Invalid orderQty: must be a multiple of {listing.step}", "ValidationError")
        client_id = str(params.get("clOrdID") or "")
        if len(client_id) > 36 or not client_id.isprintable():
            raise ApiError(400, "clOrdID is invalid", "ValidationError")
        duration = str(params.get("timeInForce") or "GoodTillCancel")
        if duration not in _DURATIONS:
            raise ApiError(400, "timeInForce is invalid", "ValidationError")
        return NewOrder(
            key=listing.key,
            side=side,
            kind=kind,
            amount=amount,
            price=price if kind.has_price else None,
            trigger=trigger if kind.has_trigger else None,
            trigger_on=TriggerOn.LAST if "LastPrice" in flags else TriggerOn.MARK,
            tif=_DURATIONS[duration] if kind.has_price else TimeInForce.GTC,
            post_only="ParticipateDoNotInitiate" in flags,
            reduce_only=bool(flags & {"ReduceOnly", "Close"}),
            client_id=client_id,
        )

    def _amount_and_side(
        self, account: str, listing: Listing, params: Mapping[str, Any], flags: set[str]
    ) -> tuple[Decimal, Side]:
        """Contracts and side. A negative quantity sells; `Close` without one takes the position's."""
        amount, word = decimal(params, "orderQty"), params.get("side")
        if word not in (None, "", "Buy", "Sell"):
            raise ApiError(400, "side is invalid", "ValidationError")
        if amount is None and "Close" in flags:
            held = self.exchange.position(account, listing.key).size
            amount, word = abs(held), word or ("Sell" if held > 0 else "Buy")
        if amount is None or amount == 0 or (amount < 0 and word == "Buy"):
            raise ApiError(400, "orderQty is invalid", "ValidationError")
        side = Side(str(word).lower()) if word else (Side.SELL if amount < 0 else Side.BUY)
        return abs(amount), side

    def _waiting(self, account: str, key: str) -> int:
        return sum(order.status is OrderStatus.UNTRIGGERED for order in self.exchange.open_orders(account, key))

    def _named(self, params: Mapping[str, Any], field: str = "clOrdID") -> int | str:
        """An order by orderID or client id. ApiError 404 for an orderID that was never given."""
        if params.get("orderID"):
            number = self.rows.number_of(str(params["orderID"]))
            if number is None:
                raise ApiError(404, "Not Found")
            return number
        if not params.get(field):
            raise ApiError(400, "Must send an orderID or clOrdID", "ValidationError")
        return str(params[field])

    def amend(self, account: str, params: dict[str, Any]) -> Any:
        """PUT /order: `orderQty` is the total, `leavesQty` the rest."""
        order = self.exchange.order(account, self._named(params, "origClOrdID"))
        if order.status.is_final:
            raise ApiError(400, "Invalid ordStatus", "ValidationError")
        amount, left = decimal(params, "orderQty"), decimal(params, "leavesQty")
        if left is not None:
            amount = order.filled + left
        if amount is not None and amount <= order.filled:
            raise ApiError(400, "Invalid orderQty", "ValidationError")
        price, trigger = decimal(params, "price"), decimal(params, "stopPx")
        _within_bounds(price, trigger)
        changed = self.exchange.amend(
            account,
            order.id,
            price=price,
            amount=amount,
            trigger=trigger,
            client_id=str(params["clOrdID"]) if params.get("clOrdID") else None,
        )
        return self.rows.order(changed)

    def cancel(self, account: str, params: dict[str, Any]) -> Any:
        """DELETE /order: a list of rows, HTTP 200; a row that failed has an `error`."""
        field = "orderID" if params.get("orderID") else "clOrdID"
        names = params.get(field) or []
        names = names if isinstance(names, list) else [name for name in str(names).split(",") if name]
        if not names:
            raise ApiError(400, "Must send an orderID or clOrdID", "ValidationError")
        return [self._cancel_one(account, field, str(name)) for name in names]

    def _cancel_one(self, account: str, field: str, name: str) -> dict[str, Any]:
        try:
            order = self.exchange.order(account, self._named({field: name}))
        except (ApiError, Refusal):
            self.tables.refuse_cancel(account, name if field == "orderID" else "")
            return {field: name, "error": "Not Found"}
        if order.status.is_final:
            state = _STATE_WORDS.get(order.status, "Canceled")
            return {**self.rows.order(order), "error": f"Unable to cancel order due to existing state: {state}"}
        return self.rows.order(self.exchange.cancel(account, order.id))

    def cancel_all(self, account: str, params: dict[str, Any]) -> Any:
        """DELETE /order/all, of one symbol, of one side."""
        key = listing_of(self.tables.symbols, params).key if params.get("symbol") else None
        side = filter_of(params).get("side")
        chosen = [o for o in self.exchange.open_orders(account, key) if side in (None, o.side.capitalize())]
        return [self.rows.order(self.exchange.cancel(account, order.id)) for order in chosen]

    def orders(self, account: str, params: dict[str, Any]) -> Any:
        """GET /order, by symbol and filter, oldest first."""
        key = listing_of(self.tables.symbols, params).key if params.get("symbol") else None
        wanted = filter_of(params)
        found = [*self.exchange.closed_orders(account, key, limit=10_000), *self.exchange.open_orders(account, key)]
        return cut(
            [
                self.rows.order(order)
                for order in sorted(found, key=lambda order: order.id)
                if self._matches(order, wanted)
            ],
            params,
        )

    def _matches(self, order: Order, wanted: Mapping[str, Any]) -> bool:
        if "open" in wanted and is_true(wanted["open"]) is order.status.is_final:
            return False
        row = self.rows.order(order) if wanted.keys() - {"open"} else {}
        for name, value in wanted.items():
            choices = value if isinstance(value, list) else [value]
            if name != "open" and row.get(name) not in choices:
                return False
        return True

    def executions(self, account: str, params: dict[str, Any]) -> Any:
        """GET /execution/tradeHistory: fills and funding, oldest first."""
        key = listing_of(self.tables.symbols, params).key if params.get("symbol") else None
        wanted = filter_of(params)
        found = []
        reached: defaultdict[int, tuple[Decimal, Decimal]] = defaultdict(lambda: (Decimal(0), Decimal(0)))
        for fill in self.exchange.fills(account, key, limit=10_000):
            filled, worth = reached[fill.order_id]
            filled, worth = reached[fill.order_id] = (filled + fill.size, worth + fill.value)
            order = self.exchange.order(account, fill.order_id)
            row = self.rows.execution(order, "Trade", number=0, fill=fill, filled=filled, worth=worth)
            row["lastLiquidityInd"] = "Added" if fill.maker else "Removed"  # REST has other words than the stream
            found.append(row)
        found += [self.rows.funding(account, payment) for payment in self.exchange.funding(account, key)]
        found.sort(key=lambda row: row["timestamp"])
        found = [row for row in found if all(row.get(name) == value for name, value in wanted.items())]
        return cut(within(found, params), params)


def _flags(params: Mapping[str, Any]) -> set[str]:
    return {flag.strip() for flag in str(params.get("execInst") or "").split(",") if flag.strip()}


def _within_bounds(*prices: Decimal | None) -> None:
    """Raises ApiError for a price above the instrument's `maxPrice`."""
    if any(price is not None and price > MAX_PRICE for price in prices):
        raise ApiError(400, "Invalid price", "ValidationError")
