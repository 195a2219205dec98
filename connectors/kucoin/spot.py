"""Operations of KuCoin spot: the high-frequency order family (the normal one today), stop orders in an id space of their own.

Order and cancel answers mean "received"; the stream, or a reading, tells what became of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from connectors.contract import Answer, Call, Cost, Effect, Flow, Found, Page, Role, Search, Trading, once
from connectors.errors import AuthenticationFailed, OrderNotFound, Refused, VenueError
from connectors.kucoin.login import ACCOUNTS, login
from connectors.kucoin.market import INTERVALS, ms
from connectors.kucoin.rows import ident
from connectors.kucoin.signing import MANAGEMENT, SPOT, public, read_data, signed
from connectors.kucoin.spot_rows import (
    FAMILY,
    best_row,
    candle_row,
    fill_row,
    instrument_row,
    named_once,
    order_row,
    snapshot_row,
    stop_row,
    stop_word,
    sync_row,
    ticker_row,
)
from connectors.model import (
    ZERO,
    Balance,
    BookSnapshot,
    Candle,
    EndReason,
    Fees,
    Fill,
    Instrument,
    OrderRef,
    OrderRequest,
    OrderStatus,
    OrderUpdate,
    Side,
    Ticker,
    TimeInForce,
    Trade,
    plain,
)

FILLS_A_PAGE = 100


class SpotTrading(Trading):
    """Operations of spot. Fact `key_version`: what the key's own record says must be sent."""

    # public

    def time(self) -> Flow[int]:
        """GET /api/v1/timestamp."""
        return once(public("GET", "/api/v1/timestamp", 3, int))

    def instruments(self) -> Flow[list[Instrument]]:
        """GET /api/v2/symbols."""

        def read(answer: Answer) -> list[Instrument]:
            return named_once([instrument_row(row, answer.got_at) for row in read_data(answer)])

        return once(Call(endpoint=Role.REST, method="GET", path="/api/v2/symbols", read=read, costs=(_public(4),)))

    def book(self, instrument: Instrument, depth: int | None = None) -> Flow[BookSnapshot]:
        """The whole book where there is a key for it (signed), else 100 levels a side."""
        symbol = ("symbol", instrument.wire)
        if depth is None or depth > 100:
            try:
                read = lambda body: snapshot_row(body, instrument.wire, None)  # noqa: E731 - the reader beside its request
                return (yield signed("GET", "/api/v3/market/orderbook/level2", Cost(SPOT, 3), read, symbol))
            except AuthenticationFailed:
                pass  # no key, or one that may not: the public snapshot serves
        levels = 20 if depth is not None and depth <= 20 else 100
        read = lambda body: snapshot_row(body, instrument.wire, levels)  # noqa: E731 - the reader beside its request
        return (yield public("GET", f"/api/v1/market/orderbook/level2_{levels}", 2, read, symbol))

    def trades(self, instrument: Instrument, limit: int = 200) -> Flow[list[Trade]]:
        """GET /api/v1/market/histories: the last hundred, without ids; their sequence stands in."""

        def read(body: Any) -> list[Trade]:
            found = [
                Trade(
                    wire=instrument.wire,
                    price=float(row["price"]),
                    amount=float(row["size"]),
                    side=Side(row["side"]),
                    time=ms(int(row["time"])) or 0,
                    id=str(row["sequence"]),
                )
                for row in body
            ]
            return sorted(found, key=lambda trade: trade.time)[-limit:]

        return once(public("GET", "/api/v1/market/histories", 3, read, ("symbol", instrument.wire)))

    def candles(self, instrument: Instrument, interval: str, page: Page) -> Flow[list[Candle]]:
        """GET /api/v1/market/candles: newest first, close before high and low; bounds in seconds."""
        name, seconds = INTERVALS[interval]
        span = (seconds or 30 * 86400) * 1000
        params = [("symbol", instrument.wire), ("type", name)]
        start = page.start
        if start is None and page.end is not None:
            start = page.end - span * min(page.limit, 1500)
        if start is not None:
            params.append(("startAt", str(start // 1000)))
        if page.end is not None:
            params.append(
                ("endAt", str(page.end // 1000 + 1))
            )  # whether the end is included is not said: ask for one more

        def read(answer: Answer) -> list[Candle]:
            rows = [candle_row(row, instrument.wire, interval) for row in reversed(read_data(answer))]
            if page.end is not None:
                rows = [row for row in rows if row.start <= page.end]
            for row in rows[:-1]:
                row.closed = True
            if rows and seconds and answer.got_at:
                rows[-1].closed = rows[-1].start + span <= answer.got_at
            return rows[: page.limit] if page.start is not None else rows[-page.limit :]

        path = "/api/v1/market/candles"
        return once(
            Call(endpoint=Role.REST, method="GET", path=path, params=tuple(params), read=read, costs=(_public(3),))
        )

    def tickers(self, instruments: Sequence[Instrument]) -> Flow[list[Ticker]]:
        """GET /api/v1/market/stats of one symbol, allTickers of many."""
        if len(instruments) == 1:
            read = lambda body: [ticker_row(body, None)]  # noqa: E731 - the reader beside its request
            return once(public("GET", "/api/v1/market/stats", 15, read, ("symbol", instruments[0].wire)))
        wanted = {instrument.wire for instrument in instruments}

        def rows(body: Any) -> list[Ticker]:
            return [
                ticker_row(row, body.get("time")) for row in body["ticker"] if not wanted or row["symbol"] in wanted
            ]

        return once(public("GET", "/api/v1/market/allTickers", 15, rows))

    def read_alone(self, path: str, query: Mapping[str, str], answer: Answer) -> Any:
        """Documented addresses that nothing here asks: best prices, ended orders, answers that waited for the match, base rates."""
        match path.strip("/").split("/")[2:]:
            case ["market", "orderbook", "level1"]:
                return best_row(read_data(answer), query.get("symbol", ""))
            case ["hf", "orders", "done"] | ["hf", "orders", "active", "page"]:
                return [order_row(row) for row in read_data(answer)["items"]]
            case ["hf", "orders", "sync", *_]:
                return sync_row(read_data(answer), query.get("symbol", ""))
            case ["base-fee"]:
                rates = read_data(answer)
                return Fees(maker=Decimal(rates["makerFeeRate"]), taker=Decimal(rates["takerFeeRate"]))
        read_data(answer)  # a refusal is one at any address
        return None

    # account

    def login(self) -> Flow[Mapping[str, Any]]:
        """What the key may do, whether its account speaks this family, and where its money lies."""
        facts = yield from login("Spot", ACCOUNTS)
        rows = yield signed("GET", "/api/v1/accounts", Cost(MANAGEMENT, 5), list)
        rich = {row["type"] for row in rows if Decimal(row["balance"]) > 0}
        key = facts["key"]
        if "main" in rich and not rich & {"trade", "trade_hf"}:
            text = "Funds lie in the main account: transfer them to the trading account first."
            key = msgspec.structs.replace(key, note=" ".join(filter(None, [key.note, text])))
        account = "trade_hf" if any(row["type"] == "trade_hf" for row in rows) else "trade"
        return {**facts, "key": key, "account": account}

    def balances(self, facts: Mapping[str, Any]) -> Flow[list[Balance]]:
        """GET /api/v1/accounts: other accounts hold the same currencies, only the trading account counts."""

        def read(body: Any) -> list[Balance]:
            return [
                Balance(
                    asset=row["currency"],
                    family=FAMILY,
                    total=Decimal(row["balance"]),
                    available=Decimal(row["available"]),
                    held=Decimal(row["holds"]),
                )
                for row in body
                if row["type"] in ("trade", "trade_hf") and Decimal(row["balance"]) != 0
            ]

        kind = facts.get("account", "trade")
        return once(signed("GET", "/api/v1/accounts", Cost(MANAGEMENT, 5), read, ("type", kind)))

    def fees(self, instrument: Instrument, facts: Mapping[str, Any]) -> Flow[Fees]:
        """GET /api/v1/trade-fees."""
        read = lambda body: Fees(  # noqa: E731 - the reader beside its request
            maker=Decimal(body[0]["makerFeeRate"]), taker=Decimal(body[0]["takerFeeRate"])
        )
        return once(signed("GET", "/api/v1/trade-fees", Cost(SPOT, 3), read, ("symbols", instrument.wire)))

    # orders

    def place(self, order: OrderRequest, facts: Mapping[str, Any], *, socket: bool = False) -> Flow[OrderUpdate]:
        """POST /api/v1/hf/orders; with a trigger /api/v1/stop-order."""
        body: dict[str, Any] = {
            "clientOid": order.client_id,
            "side": order.side.value,
            "symbol": order.instrument.wire,
            "type": "limit" if order.kind.has_price else "market",
        }
        if order.quote_amount is not None:
            body["funds"] = plain(order.quote_amount)
        elif order.amount is not None:
            body["size"] = plain(order.amount)
        if order.kind.has_price and order.price is not None:
            body["price"] = plain(order.price)
            if order.tif is not TimeInForce.GTC:
                body["timeInForce"] = order.tif.upper()
        if order.post_only:
            body["postOnly"] = True
        path, algo = "/api/v1/hf/orders", order.kind.has_trigger
        if algo and order.trigger is not None:
            path = "/api/v1/stop-order"
            body |= {"stopPrice": plain(order.trigger), "stop": stop_word(order.kind, order.side)}

        def read(data: Any) -> OrderUpdate:
            return OrderUpdate(
                wire=order.instrument.wire,
                venue_id=ident(data["orderId"]),
                client_id=order.client_id,
                status=OrderStatus.UNTRIGGERED if algo else OrderStatus.PENDING,
                algo=algo,
            )

        return once(signed("POST", path, Cost(SPOT, 2 if algo else 1), read, body=body, effect=Effect.PLACE))

    def cancel(self, order: OrderRef, facts: Mapping[str, Any], *, socket: bool = False) -> Flow[OrderUpdate]:
        """DELETE by the venue's id, else by ours. A stop that has triggered lives on as an order with another id."""
        if not order.algo:
            return once(_cancel(order))
        return self._cancel_stop(order)

    def _cancel_stop(self, order: OrderRef) -> Flow[OrderUpdate]:
        number = order.venue_id
        try:
            if not number:
                number = (yield from self._stop(order)).venue_id
            yield _cancel_stop(number)
        except OrderNotFound:  # it works by now, under another id of the venue's; ours stays
            return (yield _cancel(order, mine=bool(order.client_id)))
        return OrderUpdate(
            wire=order.instrument.wire,
            venue_id=number,
            client_id=order.client_id,
            status=OrderStatus.CANCELLED,
            end_reason=EndReason.USER,
            algo=True,
        )

    def cancel_all(self, instrument: Instrument | None, facts: Mapping[str, Any]) -> Flow[list[OrderUpdate]]:
        """Orders by one request, stop orders one by one; the first answer names none of them."""
        if instrument is not None:
            params = (("symbol", instrument.wire),)
            yield signed("DELETE", "/api/v1/hf/orders", Cost(SPOT, 2), _ignore, *params, effect=Effect.CANCEL)
        else:
            params = ()
            path = "/api/v1/hf/orders/cancelAll"
            failed = yield signed("DELETE", path, Cost(SPOT, 30), _failed, effect=Effect.CANCEL)
            if failed:
                raise Refused(f"not everything was cancelled: {failed}")
        found: list[OrderUpdate] = []
        for stop in (yield from _stops(*params)):
            try:
                yield _cancel_stop(stop.venue_id)
            except OrderNotFound:
                continue  # it triggered or ended meanwhile
            stop.status, stop.end_reason = OrderStatus.CANCELLED, EndReason.USER
            found.append(stop)
        return found

    def amend(
        self,
        order: OrderRef,
        facts: Mapping[str, Any],
        *,
        price: object = None,
        amount: object = None,
        client_id: str = "",
    ) -> Flow[OrderUpdate]:
        """POST /api/v1/hf/orders/alter: the venue cancels and places anew under another id; our own id stays.

        The new order counts from zero, so it is asked for what is left of the total, and `filled` tells what the old one
        did before it ended.
        """
        old = yield from self.order(order, facts)
        total = amount if isinstance(amount, Decimal) else old.amount
        done = old.filled if isinstance(old.filled, Decimal) else ZERO
        if old.algo or not isinstance(total, Decimal):
            raise Refused("only a resting limit order can be changed")
        if isinstance(old.status, OrderStatus) and old.status.is_final:
            raise OrderNotFound("the order has ended")
        if total <= done:
            raise Refused(f"{done} is filled already")
        body: dict[str, Any] = {"symbol": order.instrument.wire, "orderId": old.venue_id}
        if isinstance(price, Decimal):
            body["newPrice"] = plain(price)
        body["newSize"] = plain(total - done)
        number = yield signed(
            "POST",
            "/api/v1/hf/orders/alter",
            Cost(SPOT, 1),
            lambda data: ident(data["newOrderId"]),
            body=body,
            effect=Effect.AMEND,
        )
        try:
            ended = yield _query(order.instrument, f"/api/v1/hf/orders/{old.venue_id}")
            done = max(done, ended.filled)
        except VenueError:
            pass  # the change was made; what filled in between is told by the fills
        return OrderUpdate(
            wire=order.instrument.wire,
            venue_id=number,
            client_id=old.client_id,
            previous_id=old.venue_id,
            status=OrderStatus.OPEN,
            price=price if isinstance(price, Decimal) else old.price,
            amount=Decimal(body["newSize"]),
            filled=done,
        )

    def order(self, order: OrderRef, facts: Mapping[str, Any]) -> Flow[OrderUpdate]:
        """By our id where it is known: it stays when an amend gives the order another one of the venue's."""
        if order.algo:
            try:
                return (yield from self._stop(order))
            except OrderNotFound:
                if not order.client_id:
                    raise
            child: OrderUpdate = yield _query(order.instrument, f"/api/v1/hf/orders/client-order/{order.client_id}")
            child.algo = True
            return child
        if order.client_id:
            try:
                return (yield _query(order.instrument, f"/api/v1/hf/orders/client-order/{order.client_id}"))
            except OrderNotFound:
                if not order.venue_id:
                    raise
        return (yield _query(order.instrument, f"/api/v1/hf/orders/{order.venue_id}"))

    def _stop(self, order: OrderRef) -> Flow[OrderUpdate]:
        """A stop order that waits, from the list of them: it is the only documented way to ask."""
        for row in (yield from _stops(("symbol", order.instrument.wire))):
            if row.venue_id == order.venue_id or (order.client_id and row.client_id == order.client_id):
                return row
        raise OrderNotFound("no stop order with this id waits")

    def open_orders(self, instrument: Instrument | None, facts: Mapping[str, Any]) -> Flow[list[OrderUpdate]]:
        """The venue lists them by symbol only: first which symbols, then each. Stop orders in one list."""
        if instrument is not None:
            symbols = [instrument.wire]
        else:
            path = "/api/v1/hf/orders/active/symbols"
            symbols = yield signed("GET", path, Cost(SPOT, 2), lambda data: list(data["symbols"]))
        found: list[OrderUpdate] = []
        for symbol in symbols:
            read = lambda rows: [order_row(row) for row in rows]  # noqa: E731 - the reader beside its request
            found += yield signed("GET", "/api/v1/hf/orders/active", Cost(SPOT, 2), read, ("symbol", symbol))
        found += yield from _stops(*((("symbol", instrument.wire),) if instrument is not None else ()))
        return found

    def fills(self, instrument: Instrument, page: Page, facts: Mapping[str, Any]) -> Flow[list[Fill]]:
        """GET /api/v1/hf/fills, newest first, page by page; a window with a start is read to its end."""
        found: list[Fill] = []
        last = ""

        def read(data: Any) -> list[Fill]:
            nonlocal last
            last = str(data["lastId"])
            return [fill_row(row) for row in data["items"]]

        while True:
            params = [("symbol", instrument.wire)]
            if page.start is not None:
                params.append(("startAt", str(page.start)))
            if page.end is not None:
                params.append(("endAt", str(page.end)))
            params.append(("limit", str(FILLS_A_PAGE)))
            if last:
                params.append(("lastId", last))
            rows: list[Fill] = yield signed("GET", "/api/v1/hf/fills", Cost(SPOT, 2), read, *params)
            found += rows
            if len(rows) < FILLS_A_PAGE or (page.start is None and len(found) >= page.limit):
                break
        found.reverse()
        found.sort(key=lambda fill: fill.time)
        return page.beyond(found) if page.start is not None else found[-page.limit :]

    def search(self, order: OrderRequest, facts: Mapping[str, Any]) -> Flow[Search]:
        """By our id; a stop order first among those that wait, then as the order that it became."""
        ref = OrderRef(instrument=order.instrument, client_id=order.client_id, algo=order.kind.has_trigger)
        try:
            found = yield from self.order(ref, facts)
        except OrderNotFound:
            return Search(Found.NOT_YET)
        return Search(Found.FOUND, found)

    def dead_man(self, instrument: Instrument | None, seconds: float, facts: Mapping[str, Any]) -> Flow[None]:
        """POST /api/v1/hf/orders/dead-cancel-all: 5 s to a day, -1 switches it off; without symbols it means all."""
        timeout = -1 if seconds <= 0 else int(min(max(seconds, 5), 86400))
        body = {"timeout": timeout, "symbols": instrument.wire if instrument is not None else ""}
        path = "/api/v1/hf/orders/dead-cancel-all"
        yield signed("POST", path, Cost(SPOT, 2), _ignore, body=body, effect=Effect.SETUP)


# ---------------------------------------------------------------------------------------------------------------------
# Requests


def _public(weight: float) -> Cost:
    return Cost("PUBLIC", weight)


def _ignore(body: Any) -> None:
    """The answer says only that it was done, or received."""


def _failed(body: Any) -> list[str]:
    return [str(row.get("symbol")) for row in body.get("failedSymbols") or ()]


def _cancel(order: OrderRef, *, mine: bool = False) -> Call:
    """By the venue's id, or by ours (`mine`, or where nothing else is known); accepted, not done."""
    mine = mine or not order.venue_id
    tail = f"client-order/{order.client_id}" if mine else order.venue_id

    def read(data: Any) -> OrderUpdate:
        told = data if isinstance(data, dict) else {}
        number, name = told.get("orderId") or order.venue_id, told.get("clientOid") or order.client_id
        return OrderUpdate(wire=order.instrument.wire, venue_id=str(number), client_id=str(name))

    symbol = ("symbol", order.instrument.wire)
    return signed("DELETE", f"/api/v1/hf/orders/{tail}", Cost(SPOT, 1), read, symbol, effect=Effect.CANCEL)


def _cancel_stop(number: str) -> Call:
    return signed("DELETE", f"/api/v1/stop-order/{number}", Cost(SPOT, 3), _ignore, effect=Effect.CANCEL)


def _query(instrument: Instrument, path: str) -> Call:
    def read(data: Any) -> OrderUpdate:
        if not data:
            raise OrderNotFound("the venue knows no such order")
        return order_row(data)

    return signed("GET", path, Cost(SPOT, 2), read, ("symbol", instrument.wire))


def _stops(*params: tuple[str, str]) -> Flow[list[OrderUpdate]]:
    """Stop orders that wait, all pages."""
    found: list[OrderUpdate] = []
    page, pages = 1, 1

    def read(body: Any) -> list[OrderUpdate]:
        nonlocal pages
        pages = int(body.get("totalPage") or 0)
        return [stop_row(row) for row in body["items"] if row.get("status") in (None, "NEW")]

    while page <= pages:
        turn = (("currentPage", str(page)),) if page > 1 else ()
        found += yield signed("GET", "/api/v1/stop-order", Cost(SPOT, 8), read, *params, *turn)
        page += 1
    return found
