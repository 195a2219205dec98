"""Operations of Binance USD-M futures: REST `/fapi`, conditional orders in an id space of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from connectors.binance import bodies, rows
from connectors.binance.calls import ask, get, named, signed
from connectors.binance.signing import read_json
from connectors.binance.usdm_rows import FAMILY, KINDS, algo_row, balance_row, instrument_row, position
from connectors.contract import Answer, Call, Cost, Effect, Flow, Found, Page, Role, Search, Trading, once
from connectors.errors import NotSupported, OrderNotFound
from connectors.model import (
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
    Position,
    Side,
    Ticker,
    Trade,
    plain,
)

_TYPES = {kind: name for name, kind in KINDS.items()}
_ORDER_COSTS = (Cost("ORDERS_10S", 1), Cost("ORDERS_1M", 1))


class UsdmTrading(Trading):
    """Operations of USD-M futures. Fact `dual`: the account is in hedge mode, each order names its position side."""

    def read_alone(self, path: str, query: Mapping[str, str], answer: Answer) -> Any:
        """Bodies that only other clients ask for, and positions side by side."""
        return bodies.read(path, query, answer, KINDS)

    # public

    def time(self) -> Flow[int]:
        """GET /fapi/v1/time."""
        return once(get("/fapi/v1/time", 1, lambda body: body["serverTime"]))

    def instruments(self) -> Flow[list[Instrument]]:
        """GET /fapi/v1/exchangeInfo."""
        read = lambda body: [instrument_row(row) for row in body["symbols"]]  # noqa: E731 - the reader beside its request
        return once(get("/fapi/v1/exchangeInfo", 1, read))

    def book(self, instrument: Instrument, depth: int | None = None) -> Flow[BookSnapshot]:
        """GET /fapi/v1/depth, up to 1000 levels a side."""
        limit = next(most for most in (5, 10, 20, 50, 100, 500, 1000) if most >= min(depth or 1000, 1000))
        weight = 2 if limit <= 50 else {100: 5, 500: 10, 1000: 20}[limit]
        params = (("symbol", instrument.wire), ("limit", str(limit)))
        return once(
            get("/fapi/v1/depth", weight, lambda body: rows.book_snapshot(body, instrument.wire, limit), *params)
        )

    def trades(self, instrument: Instrument, limit: int = 200) -> Flow[list[Trade]]:
        """GET /fapi/v1/aggTrades, the same trades that the stream sends."""
        params = (("symbol", instrument.wire), ("limit", str(min(limit, 1000))))
        return once(get("/fapi/v1/aggTrades", 20, lambda body: rows.public_trades(body, instrument.wire), *params))

    def candles(self, instrument: Instrument, interval: str, page: Page) -> Flow[list[Candle]]:
        """GET /fapi/v1/klines."""
        limit = min(page.limit, 1500)
        params = [("symbol", instrument.wire), ("interval", interval)]
        params += [
            (name, str(value))
            for name, value in (("startTime", page.start), ("endTime", page.end))
            if value is not None
        ]
        params.append(("limit", str(limit)))
        weight = 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1000 else 10

        def read(answer: Answer) -> list[Candle]:
            return rows.candles(read_json(answer), instrument.wire, interval, answer.got_at)

        costs = (Cost("REQUEST_WEIGHT", weight),)
        call = Call(
            endpoint=Role.REST, method="GET", path="/fapi/v1/klines", params=tuple(params), read=read, costs=costs
        )
        return once(call)

    def tickers(self, instruments: Sequence[Instrument]) -> Flow[list[Ticker]]:
        """GET /fapi/v1/ticker/24hr: one symbol, or all."""
        params = (("symbol", instruments[0].wire),) if len(instruments) == 1 else ()
        wanted = {instrument.wire for instrument in instruments}

        def read(body: Any) -> list[Ticker]:
            found = [rows.ticker(row) for row in (body if isinstance(body, list) else [body])]
            return [row for row in found if not wanted or row.wire in wanted]

        return once(get("/fapi/v1/ticker/24hr", 1 if params else 40, read, *params))

    # account

    def login(self) -> Flow[Mapping[str, Any]]:
        """GET /fapi/v1/positionSide/dual: hedge mode decides what an order must say."""
        dual = yield signed("GET", "/fapi/v1/positionSide/dual", 30, lambda body: body["dualSidePosition"])
        return {"dual": dual in (True, "true")}

    def balances(self, facts: Mapping[str, Any]) -> Flow[list[Balance]]:
        """GET /fapi/v3/account: wallet and what is available of each asset."""

        def read(body: Any) -> list[Balance]:
            return [balance_row(row) for row in body["assets"] if rows.money(row["walletBalance"]) != 0]

        return once(signed("GET", "/fapi/v3/account", 5, read))

    def positions(self, facts: Mapping[str, Any]) -> Flow[list[Position]]:
        """GET /fapi/v3/positionRisk; leverage and margin mode stand in symbolConfig."""
        found: list[Any] = yield signed("GET", "/fapi/v3/positionRisk", 5, list)
        found = [row for row in found if rows.money(row["positionAmt"]) != 0]
        if not found:
            return []
        config = yield signed("GET", "/fapi/v1/symbolConfig", 5, lambda body: {row["symbol"]: row for row in body})
        by_symbol: dict[str, list[Any]] = {}
        for row in found:
            by_symbol.setdefault(row["symbol"], []).append(row)
        return [position(rows_of, config.get(symbol)) for symbol, rows_of in by_symbol.items()]

    def fees(self, instrument: Instrument, facts: Mapping[str, Any]) -> Flow[Fees]:
        """GET /fapi/v1/commissionRate."""
        read = lambda body: Fees(  # noqa: E731 - the reader beside its request
            maker=rows.money(body["makerCommissionRate"]), taker=rows.money(body["takerCommissionRate"])
        )
        return once(signed("GET", "/fapi/v1/commissionRate", 20, read, ("symbol", instrument.wire)))

    # orders

    def place(self, order: OrderRequest, facts: Mapping[str, Any], *, socket: bool = False) -> Flow[OrderUpdate]:
        """POST /fapi/v1/order; conditional orders go to /fapi/v1/algoOrder (since December 2025 the only place)."""
        if order.quote_amount is not None:
            raise NotSupported("USD-M has no market order by quote amount")
        algo = order.kind.has_trigger
        params = [("symbol", order.instrument.wire), ("side", order.side.upper()), ("type", _TYPES[order.kind])]
        if order.kind.has_price:
            params.append(("timeInForce", "GTX" if order.post_only else order.tif.upper()))
        params += rows.amounts(order)
        if algo and order.trigger is not None:
            params.append(("triggerPrice", plain(order.trigger)))
        if facts.get("dual"):
            opens = order.side if not order.reduce_only else order.side.opposite
            params.append(("positionSide", "LONG" if opens is Side.BUY else "SHORT"))
        elif order.reduce_only:
            params.append(("reduceOnly", "true"))
        if order.client_id:
            params += [
                ("clientAlgoId" if algo else "newClientOrderId", order.client_id),
                ("newOrderRespType", "RESULT"),
            ]
        if algo:
            params.append(("algoType", "CONDITIONAL"))
            call = signed("POST", "/fapi/v1/algoOrder", 0, algo_row, *params, effect=Effect.PLACE, costs=_ORDER_COSTS)
            return once(call)
        read = lambda row: rows.order_row(row, KINDS)  # noqa: E731 - the reader beside its request
        if socket:
            return once(ask("order.place", params, read, Effect.PLACE, _ORDER_COSTS))
        return once(signed("POST", "/fapi/v1/order", 0, read, *params, effect=Effect.PLACE, costs=_ORDER_COSTS))

    def cancel(self, order: OrderRef, facts: Mapping[str, Any], *, socket: bool = False) -> Flow[OrderUpdate]:
        """DELETE /fapi/v1/order or algoOrder."""
        if order.algo:
            return once(
                signed(
                    "DELETE", "/fapi/v1/algoOrder", 1, _algo_cancelled(order), *_algo_named(order), effect=Effect.CANCEL
                )
            )
        read = lambda row: rows.order_row(row, KINDS)  # noqa: E731 - the reader beside its request
        if socket:
            return once(ask("order.cancel", named(order), read, Effect.CANCEL))
        return once(signed("DELETE", "/fapi/v1/order", 1, read, *named(order), effect=Effect.CANCEL))

    def cancel_all(self, instrument: Instrument | None, facts: Mapping[str, Any]) -> Flow[list[OrderUpdate]]:
        """Orders and conditional orders of one symbol; the answers name none of them."""
        if instrument is None:
            raise NotSupported("Binance cancels all orders of one instrument at a time")
        symbol = ("symbol", instrument.wire)
        yield signed("DELETE", "/fapi/v1/allOpenOrders", 1, _ignore, symbol, effect=Effect.CANCEL)
        yield signed("DELETE", "/fapi/v1/algoOpenOrders", 1, _ignore, symbol, effect=Effect.CANCEL)
        return []

    def amend(
        self,
        order: OrderRef,
        facts: Mapping[str, Any],
        *,
        price: object = None,
        amount: object = None,
        client_id: str = "",
    ) -> Flow[OrderUpdate]:
        """PUT /fapi/v1/order: wants side, amount and price, also what stays; what is not given is asked for first."""
        if order.algo:
            raise NotSupported("a conditional order that waits cannot be amended: cancel it and place it again")
        return self._amend(order, facts, price, amount)

    def _amend(self, order: OrderRef, facts: Mapping[str, Any], price: object, amount: object) -> Flow[OrderUpdate]:
        side = order.side
        if price is None or amount is None or side is None:
            now = yield from self.order(order, facts)
            price = price if price is not None else now.price
            amount = amount if amount is not None else now.amount
            side = now.side if side is None and isinstance(now.side, Side) else side
        if not isinstance(price, Decimal) or not isinstance(amount, Decimal) or side is None:
            raise NotSupported("only a limit order with a known price, amount and side can be amended")
        params = [named(order)[0], ("side", side.upper()), named(order)[1]]
        params += [("quantity", plain(amount)), ("price", plain(price))]
        read = lambda row: rows.order_row(row, KINDS)  # noqa: E731 - the reader beside its request
        return (yield signed("PUT", "/fapi/v1/order", 0, read, *params, effect=Effect.AMEND, costs=_ORDER_COSTS))

    def order(self, order: OrderRef, facts: Mapping[str, Any]) -> Flow[OrderUpdate]:
        """GET /fapi/v1/order or algoOrder; a triggered conditional order goes on as the order that it became."""
        if not order.algo:
            return once(signed("GET", "/fapi/v1/order", 1, lambda row: rows.order_row(row, KINDS), *named(order)))
        return self._algo_order(order, facts)

    def _algo_order(self, order: OrderRef, facts: Mapping[str, Any]) -> Flow[OrderUpdate]:
        row: Any = yield signed("GET", "/fapi/v1/algoOrder", 1, dict, *_algo_named(order))
        update = algo_row(row)
        became = str(row.get("actualOrderId") or "")
        if became and became != "0":
            ref = OrderRef(instrument=order.instrument, venue_id=became)
            try:
                child: OrderUpdate = yield from self.order(ref, facts)
            except OrderNotFound:
                return update  # it is not listed yet, or no more
            child.client_id = (
                update.client_id
            )  # under the venue's id for it: by the other it can't be cancelled any more
            return child
        return update

    def open_orders(self, instrument: Instrument | None, facts: Mapping[str, Any]) -> Flow[list[OrderUpdate]]:
        """Orders and conditional orders."""
        params = (("symbol", instrument.wire),) if instrument is not None else ()
        weight = 1 if instrument is not None else 40
        found: list[Any] = yield signed(
            "GET", "/fapi/v1/openOrders", weight, lambda body: [rows.order_row(row, KINDS) for row in body], *params
        )
        found += yield signed(
            "GET", "/fapi/v1/openAlgoOrders", weight, lambda body: [algo_row(row) for row in body], *params
        )
        return found

    def fills(self, instrument: Instrument, page: Page, facts: Mapping[str, Any]) -> Flow[list[Fill]]:
        """GET /fapi/v1/userTrades; the window is at most seven days."""
        params = [("symbol", instrument.wire)]
        if page.after:
            params.append(("fromId", page.after))
        elif page.start is not None:
            params.append(("startTime", str(page.start)))
        params.append(("limit", str(min(page.limit, 1000))))
        read = lambda body: [rows.fill_row(row, FAMILY) for row in body]  # noqa: E731 - the reader beside its request
        return once(signed("GET", "/fapi/v1/userTrades", 5, read, *params))

    def search(self, order: OrderRequest, facts: Mapping[str, Any]) -> Flow[Search]:
        """By client id, in the id space that the order's kind belongs to."""
        ref = OrderRef(instrument=order.instrument, client_id=order.client_id, algo=order.kind.has_trigger)
        try:
            found = yield from self.order(ref, facts)
        except OrderNotFound:
            return Search(Found.NOT_YET)
        return Search(Found.FOUND, found)

    def set_leverage(self, instrument: Instrument, leverage: int, facts: Mapping[str, Any]) -> Flow[None]:
        """POST /fapi/v1/leverage."""
        params = (("symbol", instrument.wire), ("leverage", str(leverage)))
        yield signed("POST", "/fapi/v1/leverage", 1, _ignore, *params, effect=Effect.SETUP)

    def dead_man(self, instrument: Instrument | None, seconds: float, facts: Mapping[str, Any]) -> Flow[None]:
        """POST /fapi/v1/countdownCancelAll for one symbol; 0 switches it off."""
        if instrument is None:
            raise NotSupported("Binance has a dead man's switch for each instrument, not for all")
        params = (("symbol", instrument.wire), ("countdownTime", str(int(seconds * 1000))))
        yield signed("POST", "/fapi/v1/countdownCancelAll", 10, _ignore, *params, effect=Effect.SETUP)


# ---------------------------------------------------------------------------------------------------------------------


def _ignore(body: Any) -> None:
    """The answer says only that it was done."""


def _algo_named(order: OrderRef) -> list[tuple[str, str]]:
    return [("algoId", order.venue_id) if order.venue_id else ("clientAlgoId", order.client_id)]


def _algo_cancelled(order: OrderRef) -> Callable[[Any], OrderUpdate]:
    def read(row: Any) -> OrderUpdate:
        return OrderUpdate(
            wire=order.instrument.wire,
            venue_id=str(row.get("algoId") or order.venue_id),
            client_id=row.get("clientAlgoId") or order.client_id,
            status=OrderStatus.CANCELLED,
            end_reason=EndReason.USER,
            algo=True,
        )

    return read
