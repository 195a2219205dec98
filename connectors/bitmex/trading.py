"""BitMEX's operations, all over REST `/api/v1`: one-way positions, sizes in contracts, prices as JSON numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

from connectors.bitmex import rows
from connectors.bitmex.account import assets
from connectors.bitmex.signing import encode, read_json, refusal
from connectors.contract import (
    Answer,
    Call,
    Cost,
    Effect,
    Flow,
    Found,
    Page,
    Role,
    Search,
    Security,
    Trading,
    once,
)
from connectors.errors import NotSupported, OrderNotFound, Unintelligible
from connectors.model import (
    Balance,
    BookSnapshot,
    Candle,
    Fees,
    Fill,
    Instrument,
    Level,
    OrderRef,
    OrderRequest,
    OrderUpdate,
    Position,
    Ticker,
    TimeInForce,
    Trade,
    plain,
)

USUAL = 100  # orders of an answer where none are counted
MOST = 500  # orders and executions a request; the venue's own default would hide the rest
_TYPES = {kind: name for name, kind in rows.KINDS.items()}
_TIFS = {tif: name for name, tif in rows.TIFS.items()}
_ORDERS = (Cost("PRIVATE", 1), Cost("ORDERS", 1))


class BitmexTrading(Trading):
    """See the module. Fact `units`: the decimals of each unit of money."""

    def read_alone(self, path: str, query: Mapping[str, str], answer: Answer) -> Any:
        """Bars: how long they are says their address, or how far apart they are; only the newest of a `partial` list may run."""
        if path.removeprefix("/api/v1") != "/trade/bucketed":
            return None
        body = read_json(answer)
        ends = sorted(rows.when(row["timestamp"]) for row in body)
        apart = min((later - earlier for earlier, later in pairwise(ends) if later > earlier), default=0)
        by_span = next((name for name, span in rows.SPANS.items() if span == apart), "")
        interval = query.get("binSize", by_span)
        if interval not in rows.SPANS:
            return None
        found = [bar for row in body if (bar := rows.candle(row, interval)) is not None]
        found.sort(key=lambda bar: bar.start)
        if found and query.get("partial") == "true":
            found[-1].closed = False
        return found

    # public

    def time(self) -> Flow[int]:
        """GET /api/v1: the greeting carries the time in ms."""
        return once(_get("", lambda body: int(body["timestamp"])))

    def instruments(self) -> Flow[list[Instrument]]:
        """GET /instrument/active: contracts settled in XBt or USDt. See `rows.instruments` for what is left out."""
        return once(_get("/instrument/active", rows.instruments))

    def book(self, instrument: Instrument, depth: int | None = None) -> Flow[BookSnapshot]:
        """GET /orderBook/L2: for a look; it cannot be joined to the stream, which brings its own image."""

        def read(body: Any) -> BookSnapshot:
            levels: dict[str, list[Level]] = {"Buy": [], "Sell": []}
            wire, stamp = instrument.wire, ""
            for row in body:
                levels[row["side"]].append(Level(float(row["price"]), float(row["size"])))
                wire, stamp = row["symbol"], max(stamp, row.get("timestamp") or "")
            time = rows.when(stamp) if stamp else None
            return BookSnapshot(wire=wire, bids=levels["Buy"], asks=levels["Sell"], depth=depth, time=time)

        return once(_get("/orderBook/L2", read, ("symbol", instrument.wire), ("depth", str(depth or 0))))

    def trades(self, instrument: Instrument, limit: int = 200) -> Flow[list[Trade]]:
        """GET /trade, newest first: without `reverse` it would begin with the market's first day."""

        def read(body: Any) -> list[Trade]:
            found = [rows.trade(row) for row in body]
            return sorted((row for row in found if row is not None), key=lambda row: row.time)

        count = str(min(limit, 1000))
        return once(_get("/trade", read, ("symbol", instrument.wire), ("count", count), ("reverse", "true")))

    def candles(self, instrument: Instrument, interval: str, page: Page) -> Flow[list[Candle]]:
        """GET /trade/bucketed with the running bar. Bars are stamped, and asked for, by their END."""
        if interval not in rows.SPANS:
            raise NotSupported(f"BitMEX has no bars of {interval}")
        span = rows.SPANS[interval]
        params = [("binSize", interval), ("symbol", instrument.wire), ("count", str(min(page.limit, 1000)))]
        params.append(("partial", "true"))
        for name, value in (("startTime", page.start), ("endTime", page.end)):
            if value is not None:
                params.append((name, rows.iso(value + span)))
        if page.start is None:
            params.append(("reverse", "true"))

        def read(answer: Answer) -> list[Candle]:
            found = [rows.candle(row, interval, answer.got_at) for row in read_json(answer)]
            return sorted((bar for bar in found if bar is not None), key=lambda bar: bar.start)

        costs = (Cost("PUBLIC", 1),)
        call = Call(
            endpoint=Role.REST,
            method="GET",
            path="/trade/bucketed",
            params=tuple(params),
            read=read,
            costs=costs,
        )
        return once(call)

    def tickers(self, instruments: Sequence[Instrument]) -> Flow[list[Ticker]]:
        """GET /instrument of one contract, /instrument/active of more."""
        wanted = {instrument.wire for instrument in instruments}

        def read(body: Any) -> list[Ticker]:
            return [rows.ticker(row) for row in body if not wanted or row["symbol"] in wanted]

        if len(instruments) == 1:
            return once(_get("/instrument", read, ("symbol", instruments[0].wire)))
        return once(_get("/instrument/active", read))

    # account

    def login(self) -> Flow[Mapping[str, Any]]:
        """The units of money; a key's permissions are not told."""
        units = yield assets()
        return {"units": units}

    def balances(self, facts: Mapping[str, Any]) -> Flow[list[Balance]]:
        """GET /user/margin of all currencies, in minor units."""

        def read(body: Any) -> list[Balance]:
            units = facts.get("units", rows.UNITS)
            found = [rows.balance(row, units) for row in (body if isinstance(body, list) else [body])]
            return [row for row in found if row is not None and (row.total or row.held)]

        return once(_private("GET", "/user/margin", read, params=(("currency", "all"),)))

    def positions(self, facts: Mapping[str, Any]) -> Flow[list[Position]]:
        """GET /position; closed ones stay as rows."""

        def read(body: Any) -> list[Position]:
            found = [rows.position(row, facts.get("units", rows.UNITS)) for row in body if row.get("isOpen", True)]
            return [row for row in found if row is not None and row.size]

        return once(_private("GET", "/position", read))

    def fees(self, instrument: Instrument, facts: Mapping[str, Any]) -> Flow[Fees]:
        """GET /user/commission, fractions by symbol."""

        def read(body: Any) -> Fees:
            row = body[instrument.wire]
            return Fees(maker=rows.money(row["makerFee"]), taker=rows.money(row["takerFee"]))

        return once(_private("GET", "/user/commission", read))

    # orders

    def place(self, order: OrderRequest, facts: Mapping[str, Any], *, socket: bool = False) -> Flow[OrderUpdate]:
        """POST /order. Triggers watch the mark price: always said, because the venue's default is not certain."""
        if order.amount is None:
            raise NotSupported("BitMEX takes amounts in contracts only")
        body: dict[str, Any] = {
            "symbol": order.instrument.wire,
            "side": order.side.capitalize(),
            "orderQty": number(order.amount),
            "ordType": _TYPES[order.kind],
        }
        if facts.get("text"):
            body["text"] = facts["text"]  # a note of the sender's
        flags = []
        if order.kind.has_trigger:
            body["stopPx"] = number(order.trigger)
            flags.append("MarkPrice")
        if order.reduce_only:
            flags.append("ReduceOnly")
        if order.post_only:
            flags.append("ParticipateDoNotInitiate")
        if flags:
            body["execInst"] = ",".join(flags)
        if order.kind.has_price:
            body["price"] = number(order.price)
            if order.tif is not TimeInForce.GTC:
                body["timeInForce"] = _TIFS[order.tif]
        if order.client_id:
            body["clOrdID"] = order.client_id
        return once(_private("POST", "/order", rows.order, body=body, effect=Effect.PLACE))

    def cancel(self, order: OrderRef, facts: Mapping[str, Any], *, socket: bool = False) -> Flow[OrderUpdate]:
        """DELETE /order: answers a list, with HTTP 200 even for a row that failed; such a row has an `error`."""

        def read(body: Any) -> OrderUpdate:
            if not isinstance(body, list) or len(body) != 1:
                raise Unintelligible("one order was to be cancelled, the answer names another number")
            row = body[0]
            if row.get("error"):
                raise refusal(str(row["error"]), 200)
            return rows.order(row)

        return once(_private("DELETE", "/order", read, body=_named(order), effect=Effect.CANCEL))

    def cancel_all(self, instrument: Instrument | None, facts: Mapping[str, Any]) -> Flow[list[OrderUpdate]]:
        """DELETE /order/all: answers the orders that it cancelled."""
        body = {"symbol": instrument.wire} if instrument is not None else {}
        read = lambda found: [rows.order(row) for row in found]  # noqa: E731 - the reader beside its request
        return once(_private("DELETE", "/order/all", read, body=body, effect=Effect.CANCEL))

    def amend(
        self,
        order: OrderRef,
        facts: Mapping[str, Any],
        *,
        price: object = None,
        amount: object = None,
        client_id: str = "",
    ) -> Flow[OrderUpdate]:
        """PUT /order: ids stay. `orderQty` is the new total; a raised `leavesQty`, which could revive it, is never sent."""
        body: dict[str, Any] = {"orderID": order.venue_id} if order.venue_id else {"origClOrdID": order.client_id}
        if isinstance(amount, Decimal):
            body["orderQty"] = number(amount)
        if isinstance(price, Decimal):
            body["price"] = number(price)
        if facts.get("text"):
            body["text"] = facts["text"]
        return once(_private("PUT", "/order", rows.order, body=body, effect=Effect.AMEND))

    def order(self, order: OrderRef, facts: Mapping[str, Any]) -> Flow[OrderUpdate]:
        """GET /order by a filter; client ids may be used again once an order ended, so the newest counts."""

        def read(body: Any) -> OrderUpdate:
            if not body:
                raise OrderNotFound("the venue knows no such order")
            return rows.order(body[0])

        named = {"orderID": order.venue_id} if order.venue_id else {"clOrdID": order.client_id}
        params = (
            ("symbol", order.instrument.wire),
            ("filter", encode(named).decode()),
            ("count", "1"),
            ("reverse", "true"),
        )
        return once(_private("GET", "/order", read, params=params))

    def open_orders(self, instrument: Instrument | None, facts: Mapping[str, Any]) -> Flow[list[OrderUpdate]]:
        """GET /order with the filter `open`, page by page: there may be 200 a symbol."""
        symbol = (("symbol", instrument.wire),) if instrument is not None else ()
        found: dict[str, OrderUpdate] = {}
        params = (*symbol, ("filter", encode({"open": True}).decode()))
        more: tuple[tuple[str, str], ...] = ()
        start, full = 0, USUAL
        while True:
            page: list[OrderUpdate] = yield _private(
                "GET", "/order", lambda body: [rows.order(row) for row in body], params=(*params, *more)
            )
            found.update((row.venue_id, row) for row in page)
            if len(page) < full:
                return list(found.values())
            start, full = start + len(page), MOST
            more = (("count", str(MOST)), ("start", str(start)))

    def fills(self, instrument: Instrument, page: Page, facts: Mapping[str, Any]) -> Flow[list[Fill]]:
        """GET /execution/tradeHistory: fills and funding; the newest ones unless a start is given, then all since."""
        count = MOST if page.start is not None else min(page.limit, MOST)
        params = [("symbol", instrument.wire), ("count", str(count))]
        if page.start is not None:
            params.append(("startTime", rows.iso(page.start)))
        else:
            params.append(("reverse", "true"))
        if page.end is not None:
            params.append(("endTime", rows.iso(page.end)))
        read: list[Fill | None] = []  # funding is None: a page may be full and hold fewer fills
        while True:
            more = (("start", str(len(read))),) if read else ()
            part: list[Fill | None] = yield _private(
                "GET",
                "/execution/tradeHistory",
                lambda body: [rows.fill(row, facts.get("units", rows.UNITS)) for row in body],
                params=(*params, *more),
            )
            read += part
            if page.start is None or len(part) < MOST:
                break
        fills = [fill for fill in read if fill is not None]
        return page.beyond(fills) if page.start is not None else fills[::-1]

    def search(self, order: OrderRequest, facts: Mapping[str, Any]) -> Flow[Search]:
        """By client id; a request whose signature ran out can't arrive any more (`IdRule.patience`)."""
        try:
            found = yield from self.order(OrderRef(instrument=order.instrument, client_id=order.client_id), facts)
        except OrderNotFound:
            return Search(Found.NOT_YET)
        return Search(Found.FOUND, found)

    def set_leverage(self, instrument: Instrument, leverage: int, facts: Mapping[str, Any]) -> Flow[None]:
        """POST /position/leverage. A leverage above zero also makes the position isolated; 0 is cross."""
        body = {"symbol": instrument.wire, "leverage": leverage}
        yield _private("POST", "/position/leverage", _ignore, body=body, effect=Effect.SETUP)

    def dead_man(self, instrument: Instrument | None, seconds: float, facts: Mapping[str, Any]) -> Flow[None]:
        """POST /order/cancelAllAfter, in milliseconds; always for the whole account."""
        body = {"timeout": int(seconds * 1000)}
        yield _private("POST", "/order/cancelAllAfter", _ignore, body=body, effect=Effect.SETUP)


# ---------------------------------------------------------------------------------------------------------------------


def number(value: Decimal | None) -> int | Decimal:
    """A JSON number with neither exponent nor trailing zeros."""
    if value is None:
        raise NotSupported("an order of this kind needs a price")
    text = plain(value)
    return Decimal(text) if "." in text else int(text)


def _get(path: str, read: Callable[[Any], Any], *params: tuple[str, str]) -> Call:
    return Call(
        endpoint=Role.REST,
        method="GET",
        path=path,
        params=params,
        read=lambda answer: read(read_json(answer)),
        costs=(Cost("PUBLIC", 1),),
    )


def _private(
    method: str,
    path: str,
    read: Callable[[Any], Any],
    *,
    params: tuple[tuple[str, str], ...] = (),
    body: Mapping[str, Any] | None = None,
    effect: Effect = Effect.READ,
) -> Call:
    return Call(
        endpoint=Role.REST,
        method=method,
        path=path,
        params=params,
        body=body,
        headers=(("Content-Type", "application/json"),),
        security=Security.SIGNED,
        effect=effect,
        read=lambda answer: read(read_json(answer)),
        costs=_ORDERS if path.startswith("/order") and method != "GET" else (Cost("PRIVATE", 1),),
    )


def _ignore(body: Any) -> None:
    """The answer says only that it was done."""


def _named(order: OrderRef) -> dict[str, Any]:
    return {"orderID": order.venue_id} if order.venue_id else {"clOrdID": order.client_id}
