"""Operations of KuCoin futures: USDT, USDC and coin-margined contracts in whole lots.

XBT is what futures call BTC, in symbols and as a currency. Stop orders share the id space of all orders; only their list
is another one. There is no amend.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from connectors.contract import Answer, Call, Cost, Effect, Flow, Found, Page, Role, Search, Trading, once
from connectors.errors import NotSupported, OrderNotFound
from connectors.kucoin.futures_rows import (
    best_row,
    candle_row,
    fill_row,
    instrument_row,
    order_row,
    overview_row,
    position_row,
    snapshot_row,
    ticker_row,
)
from connectors.kucoin.login import ACCOUNTS, login
from connectors.kucoin.market import INTERVALS, ms
from connectors.kucoin.rows import ident
from connectors.kucoin.signing import FUTURES, PUBLIC, public, read_data, signed
from connectors.model import (
    Balance,
    BookSnapshot,
    Candle,
    Fees,
    Fill,
    Instrument,
    OrderKind,
    OrderRef,
    OrderRequest,
    OrderStatus,
    OrderUpdate,
    Position,
    Side,
    Ticker,
    TimeInForce,
    Trade,
    plain,
)

FUTURES_INTERVALS = ("1m", "5m", "15m", "30m", "1h", "2h", "4h", "8h", "12h", "1d", "1w")
SETTLED_IN = ("USDT", "USDC", "XBT")  # at least; coin-margined contracts settle in their own coin


class FuturesTrading(Trading):
    """Operations of futures.

    Facts: `leverage` and `modes` by symbol, as far as they are known; `hedge` if the account holds long and short apart;
    `settled_in`, the currencies that contracts settle in.
    """

    # public

    def time(self) -> Flow[int]:
        """GET /api/v1/timestamp."""
        return once(public("GET", "/api/v1/timestamp", 2, int))

    def instruments(self) -> Flow[list[Instrument]]:
        """GET /api/v1/contracts/active."""
        read = lambda body: [instrument_row(row) for row in body]  # noqa: E731 - the reader beside its request
        return once(public("GET", "/api/v1/contracts/active", 3, read))

    def book(self, instrument: Instrument, depth: int | None = None) -> Flow[BookSnapshot]:
        """GET /api/v1/level2/snapshot: up to 1,000 levels a side, in any order."""
        symbol = ("symbol", instrument.wire)
        for most, path, weight in ((20, "depth20", 5), (100, "depth100", 10)):
            if depth is not None and depth <= most:
                read = lambda body: snapshot_row(body, instrument.wire, most)  # noqa: B023, E731 - used before it changes
                return once(_public(f"/api/v1/level2/{path}", weight, read, symbol))
        read = lambda body: snapshot_row(body, instrument.wire, 1000)  # noqa: E731 - the reader beside its request
        return once(_public("/api/v1/level2/snapshot", 3, read, symbol))

    def trades(self, instrument: Instrument, limit: int = 200) -> Flow[list[Trade]]:
        """GET /api/v1/trade/history."""

        def read(body: Any) -> list[Trade]:
            found = [
                Trade(
                    wire=instrument.wire,
                    price=float(row["price"]),
                    amount=float(row["size"]),
                    side=Side(row["side"]),
                    time=ms(int(row["ts"])) or 0,
                    id=str(row["tradeId"]),
                )
                for row in body
            ]
            return sorted(found, key=lambda trade: trade.time)[-limit:]

        return once(_public("/api/v1/trade/history", 5, read, ("symbol", instrument.wire)))

    def candles(self, instrument: Instrument, interval: str, page: Page) -> Flow[list[Candle]]:
        """GET /api/v1/kline/query: oldest first, open, high, low, close, volume in lots; at most 500."""
        if interval not in FUTURES_INTERVALS:
            raise NotSupported(f"KuCoin futures have no candles of {interval}")
        seconds = INTERVALS[interval][1]
        span = seconds * 1000
        limit = min(page.limit, 500)
        params = [("symbol", instrument.wire), ("granularity", str(seconds // 60))]
        start = page.start
        if start is None and page.end is not None:
            start = page.end - span * limit
        if start is not None:
            params.append(("from", str(start)))
        if page.end is not None:
            params.append(("to", str(page.end)))

        def read(answer: Answer) -> list[Candle]:
            rows = sorted(
                (candle_row(row, instrument.wire, interval) for row in read_data(answer, futures=True)),
                key=lambda candle: candle.start,
            )
            for row in rows:
                row.closed = bool(answer.got_at) and row.start + span <= answer.got_at
            return rows[:limit] if page.start is not None else rows[-limit:]

        call = Call(
            endpoint=Role.REST,
            method="GET",
            path="/api/v1/kline/query",
            params=tuple(params),
            read=read,
            costs=(Cost(PUBLIC, 3),),
        )
        return once(call)

    def tickers(self, instruments: Sequence[Instrument]) -> Flow[list[Ticker]]:
        """The list of contracts carries the statistics of all."""
        wanted = {instrument.wire for instrument in instruments}
        read = lambda body: [ticker_row(row) for row in body if not wanted or row["symbol"] in wanted]  # noqa: E731 - the reader beside its request
        return once(public("GET", "/api/v1/contracts/active", 3, read))

    def read_alone(self, path: str, query: Mapping[str, str], answer: Answer) -> Any:
        """Documented addresses that nothing here asks: one contract, its best prices, one position, the latest fills."""
        match path.strip("/").split("/")[2:]:
            case ["contracts", symbol] if symbol != "active":
                return instrument_row(read_data(answer, futures=True))
            case ["ticker"]:
                return best_row(read_data(answer, futures=True))
            case ["position"]:
                return position_row(read_data(answer, futures=True))
            case ["recentFills"]:
                return [fill_row(row) for row in read_data(answer, futures=True)]
        read_data(answer, futures=True)  # a refusal is one at any address
        return None

    # account

    def login(self) -> Flow[Mapping[str, Any]]:
        """What the key may do, whether positions are kept long and short apart, and which currencies can be held."""
        facts = yield from login("Futures", ACCOUNTS)
        rows = yield _get("/api/v1/positions", 2, list)
        hedge = any(row.get("positionSide") in ("LONG", "SHORT") for row in rows)
        read = lambda body: sorted({row["settleCurrency"] for row in body})  # noqa: E731 - the reader beside its request
        settled = yield public("GET", "/api/v1/contracts/active", 3, read)
        return {**facts, "hedge": hedge, "settled_in": tuple(dict.fromkeys((*SETTLED_IN, *settled)))}

    def balances(self, facts: Mapping[str, Any]) -> Flow[list[Balance]]:
        """GET /api/v1/account-overview, once a currency."""
        found: list[Balance] = []
        for currency in facts.get("settled_in", SETTLED_IN):
            found.append((yield _get("/api/v1/account-overview", 5, overview_row, ("currency", currency))))
        return [row for row in found if row.total or row.held]

    def positions(self, facts: Mapping[str, Any]) -> Flow[list[Position]]:
        """GET /api/v1/positions."""
        read = lambda body: [position_row(row) for row in body if row["currentQty"]]  # noqa: E731 - the reader beside its request
        return once(_get("/api/v1/positions", 2, read))

    def fees(self, instrument: Instrument, facts: Mapping[str, Any]) -> Flow[Fees]:
        """GET /api/v1/trade-fees."""
        read = lambda body: Fees(  # noqa: E731 - the reader beside its request
            maker=Decimal(str(body["makerFeeRate"])), taker=Decimal(str(body["takerFeeRate"]))
        )
        return once(_get("/api/v1/trade-fees", 3, read, ("symbol", instrument.wire)))

    # orders

    def place(self, order: OrderRequest, facts: Mapping[str, Any], *, socket: bool = False) -> Flow[OrderUpdate]:
        """POST /api/v1/orders, with margin mode and leverage as far as they are known; see `prepare`."""
        if order.quote_amount is not None:
            raise NotSupported("KuCoin futures take orders in lots only")
        if facts.get("hedge"):
            raise NotSupported("this futures account is in hedge mode; Fathom trades in one-way mode only")
        wire = order.instrument.wire
        return once(self._order_call(order, facts.get("modes", {}).get(wire), facts.get("leverage", {}).get(wire)))

    def prepare(self, instrument: Instrument, facts: Mapping[str, Any]) -> Flow[Mapping[str, Any]]:
        """GET getMarginMode: an order must name the contract's margin mode, isolated being the default, and its leverage."""
        mode, leverage = yield from _margin(instrument.wire)
        return _learned(facts, instrument.wire, mode, leverage)

    @staticmethod
    def _order_call(order: OrderRequest, mode: str | None, leverage: int | None) -> Call:
        body: dict[str, Any] = {
            "clientOid": order.client_id,
            "side": order.side.value,
            "symbol": order.instrument.wire,
            "type": "limit" if order.kind.has_price else "market",
        }
        if leverage:
            body["leverage"] = leverage
        if mode:
            body["marginMode"] = mode
        if order.amount is not None:
            whole = order.amount == order.amount.to_integral_value()
            body["size"] = int(order.amount) if whole else plain(order.amount)  # the venue refuses parts of a lot
        if order.kind.has_price and order.price is not None:
            body["price"] = plain(order.price)
            if order.tif is not TimeInForce.GTC:
                body["timeInForce"] = order.tif.upper()
        if order.post_only:
            body["postOnly"] = True
        if order.reduce_only:
            body["reduceOnly"] = True
        waits = order.kind.has_trigger
        if waits and order.trigger is not None:
            stops = order.kind in (OrderKind.STOP, OrderKind.STOP_LIMIT)
            rises = stops is (order.side is Side.BUY)
            body |= {"stop": "up" if rises else "down", "stopPrice": plain(order.trigger), "stopPriceType": "TP"}

        def read(data: Any) -> OrderUpdate:
            return OrderUpdate(
                wire=order.instrument.wire,
                venue_id=ident(data["orderId"]),
                client_id=order.client_id,
                status=OrderStatus.UNTRIGGERED if waits else OrderStatus.PENDING,
            )

        return signed("POST", "/api/v1/orders", Cost(FUTURES, 2), read, body=body, effect=Effect.PLACE)

    def cancel(self, order: OrderRef, facts: Mapping[str, Any], *, socket: bool = False) -> Flow[OrderUpdate]:
        """DELETE by the venue's id, else by ours; accepted, not done."""

        def read(data: Any) -> OrderUpdate:
            told = data if isinstance(data, dict) else {}
            number = next(iter(told.get("cancelledOrderIds") or ()), order.venue_id)
            name = told.get("clientOid") or order.client_id
            return OrderUpdate(wire=order.instrument.wire, venue_id=str(number), client_id=str(name))

        if order.venue_id:
            return once(_delete(f"/api/v1/orders/{order.venue_id}", 1, read))
        path = f"/api/v1/orders/client-order/{order.client_id}"
        return once(_delete(path, 1, read, ("symbol", order.instrument.wire)))

    def cancel_all(self, instrument: Instrument | None, facts: Mapping[str, Any]) -> Flow[list[OrderUpdate]]:
        """Orders, then stop orders, of one contract or of all."""
        params = (("symbol", instrument.wire),) if instrument is not None else ()
        numbers: list[Any] = []
        for path, weight in (("/api/v3/orders", 10), ("/api/v1/stopOrders", 15)):
            numbers += yield _delete(
                path, weight, lambda data: list((data or {}).get("cancelledOrderIds") or ()), *params
            )
        if instrument is None:
            return []
        return [OrderUpdate(wire=instrument.wire, venue_id=str(number)) for number in numbers]

    def order(self, order: OrderRef, facts: Mapping[str, Any]) -> Flow[OrderUpdate]:
        """By the venue's id, else by ours."""

        def read(data: Any) -> OrderUpdate:
            if not data:
                raise OrderNotFound("the venue knows no such order")
            return order_row(data)

        if order.venue_id:
            return once(_get(f"/api/v1/orders/{order.venue_id}", 5, read))
        return once(_get("/api/v1/orders/byClientOid", 5, read, ("clientOid", order.client_id)))

    def open_orders(self, instrument: Instrument | None, facts: Mapping[str, Any]) -> Flow[list[OrderUpdate]]:
        """Active orders and stop orders that wait, all pages."""
        symbol = (("symbol", instrument.wire),) if instrument is not None else ()
        found: list[OrderUpdate] = []
        for path, weight, params in (
            ("/api/v1/orders", 2, (("status", "active"), *symbol)),
            ("/api/v1/stopOrders", 6, symbol),
        ):
            found += yield from _pages(path, weight, order_row, params)
        return found

    def fills(self, instrument: Instrument, page: Page, facts: Mapping[str, Any]) -> Flow[list[Fill]]:
        """GET /api/v1/fills, newest first: all pages of a window with a start, else up to the limit."""
        params = [("symbol", instrument.wire)]
        if page.start is not None:
            params.append(("startAt", str(page.start)))
        if page.end is not None:
            params.append(("endAt", str(page.end)))
        most = page.limit if page.start is None else None
        found: list[Fill] = yield from _pages("/api/v1/fills", 5, fill_row, tuple(params), most=most)
        found.reverse()
        found.sort(key=lambda fill: fill.time)
        return page.beyond(found) if page.start is not None else found[-page.limit :]

    def search(self, order: OrderRequest, facts: Mapping[str, Any]) -> Flow[Search]:
        """By our id."""
        ref = OrderRef(instrument=order.instrument, client_id=order.client_id)
        try:
            found = yield from self.order(ref, facts)
        except OrderNotFound:
            return Search(Found.NOT_YET)
        return Search(Found.FOUND, found)

    def set_leverage(
        self, instrument: Instrument, leverage: int, facts: Mapping[str, Any]
    ) -> Flow[Mapping[str, Any] | None]:
        """Isolated margin: the leverage goes with each order, nothing is sent now. Cross margin has a setting for it."""
        mode, _ = yield from _margin(instrument.wire)
        if mode == "CROSS":
            body = {"symbol": instrument.wire, "leverage": str(leverage)}
            path = "/api/v2/changeCrossUserLeverage"
            yield signed("POST", path, Cost(FUTURES, 2), lambda data: data, body=body, effect=Effect.SETUP)
        return _learned(facts, instrument.wire, mode, leverage)


def _learned(facts: Mapping[str, Any], wire: str, mode: str, leverage: int) -> Mapping[str, Any]:
    return {
        "leverage": {**facts.get("leverage", {}), wire: leverage},
        "modes": {**facts.get("modes", {}), wire: mode},
    }


# ---------------------------------------------------------------------------------------------------------------------
# Requests


def _public(path: str, weight: float, read: Any, *params: tuple[str, str]) -> Call:
    return Call(
        endpoint=Role.REST,
        method="GET",
        path=path,
        params=params,
        read=lambda answer: read(read_data(answer, futures=True)),
        costs=(Cost(PUBLIC, weight),),
    )


def _get(path: str, weight: float, read: Any, *params: tuple[str, str]) -> Call:
    return signed("GET", path, Cost(FUTURES, weight), read, *params)


def _pages(
    path: str, weight: float, row: Callable[[Any], Any], params: tuple[tuple[str, str], ...], *, most: int | None = None
) -> Flow[list[Any]]:
    """All pages of a list, or as many as hold `most` rows."""
    found: list[Any] = []
    page, pages = 1, 1

    def read(body: Any) -> list[Any]:
        nonlocal pages
        pages = int(body.get("totalPage") or 0)
        return [row(each) for each in body["items"]]

    while page <= pages and (most is None or len(found) < most):
        turn = (("currentPage", str(page)),) if page > 1 else ()
        found += yield _get(path, weight, read, *params, *turn)
        page += 1
    return found


def _delete(path: str, weight: float, read: Any, *params: tuple[str, str]) -> Call:
    return signed("DELETE", path, Cost(FUTURES, weight), read, *params, effect=Effect.CANCEL)


def _margin(wire: str) -> Flow[tuple[str, int]]:
    """Margin mode of a contract and the leverage that goes with it; 1 where the venue does not tell it."""
    row: Any = yield _get("/api/v2/position/getMarginMode", 2, dict, ("symbol", wire))
    mode = str(row["marginMode"])
    told = row.get("crossMarginLeverage" if mode == "CROSS" else "isolatedMarginLeverage")
    return mode, max(1, int(Decimal(str(told)))) if told not in (None, "") else 1
