"""Coinbase Advanced Trade over REST v3: reading markets and accounts, and orders.

A refused order comes with HTTP 200 and `success: false`. There is no cancel-all and no look-up by our own id: open orders
are listed and cancelled in a batch, an order whose answer was lost is searched for in the list of all orders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any

from connectors.coinbase import rows
from connectors.coinbase.signing import kind_of, read_json, reason_of, refused
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
from connectors.errors import (
    NothingToChange,
    NotSupported,
    OrderNotFound,
    OutcomeUnknown,
    Refused,
    Unintelligible,
    VenueUnavailable,
)
from connectors.model import (
    Balance,
    BookSnapshot,
    Candle,
    Fees,
    Fill,
    Instrument,
    KeyInfo,
    OrderRef,
    OrderRequest,
    OrderStatus,
    OrderUpdate,
    Ticker,
    Trade,
    plain,
)

GRANULARITIES = {
    "1m": ("ONE_MINUTE", 60),
    "5m": ("FIVE_MINUTE", 300),
    "15m": ("FIFTEEN_MINUTE", 900),
    "30m": ("THIRTY_MINUTE", 1800),
    "1h": ("ONE_HOUR", 3600),
    "2h": ("TWO_HOUR", 7200),
    "6h": ("SIX_HOUR", 21600),
    "1d": ("ONE_DAY", 86400),
}
BARS_A_CALL = 300  # the venue takes 350, and fails at times
ROWS_A_PAGE = 250
CANCELS_A_CALL = 100
PAGES = 20  # of a list that are followed; what is longer is not searched to its end
NAMED_A_CALL = 50
YOUNG_MS = 10_000  # an order younger than this may not be visible yet
_SLACK_MS = 60_000  # between our clock and the venue's, when a list is cut by time

PRIVATE, PUBLIC = "PRIVATE", "PUBLIC"
Params = tuple[tuple[str, str], ...]


class CoinbaseTrading(Trading):
    """Operations of the spot market."""

    def read_alone(self, path: str, query: Mapping[str, str], answer: Answer) -> Any:
        """Products, books, trades and bars: with a key they have other addresses than without, and the bodies are the same."""
        place = path.rpartition("/brokerage")[2].removeprefix("/market").strip("/").split("/")
        if place[0] not in ("products", "product_book", "best_bid_ask"):
            return None
        body = read_json(answer)
        if "error" in body or "errors" in body:  # of an answer whose status was not said
            read_json(Answer(max(400, answer.status), answer.body, answer.headers))
        depth = int(query["limit"]) if "limit" in query else None
        match place:
            case ["products"]:
                return _spot_products(body)
            case ["products", _]:
                return _spot_products({"products": [body]})
            case ["products", wire, "ticker"]:
                return rows.trades(body, wire)
            case ["products", wire, "candles"]:
                known = (
                    (name, span) for name, (word, span) in GRANULARITIES.items() if word == query.get("granularity")
                )
                interval, span = next(known, ("", 0))
                return rows.candles(answer, body, wire, interval, span * 1000)
            case ["product_book"]:
                return rows.book(body, body["pricebook"]["product_id"], depth)
            case ["best_bid_ask"]:
                return [rows.book({"pricebook": row}, row["product_id"], None) for row in body["pricebooks"]]
        return None

    # public

    def time(self) -> Flow[int]:
        """GET /time."""
        return once(_get("/time", lambda body: int(body["epochMillis"])))

    def instruments(self) -> Flow[list[Instrument]]:
        """GET /market/products; one answer holds all."""
        return once(_get("/market/products", _spot_products, ("product_type", "SPOT")))

    def book(self, instrument: Instrument, depth: int | None = None) -> Flow[BookSnapshot]:
        """GET /market/product_book; has no number, so it serves for comparison only."""
        limit = depth or 500
        params = (("product_id", instrument.wire), ("limit", str(limit)))
        return once(_get("/market/product_book", lambda body: rows.book(body, instrument.wire, limit), *params))

    def trades(self, instrument: Instrument, limit: int = 200) -> Flow[list[Trade]]:
        """GET /market/products/{id}/ticker."""
        path = f"/market/products/{instrument.wire}/ticker"
        return once(_get(path, lambda body: rows.trades(body, instrument.wire), ("limit", str(min(limit, 1000)))))

    def candles(self, instrument: Instrument, interval: str, page: Page) -> Flow[list[Candle]]:
        """GET /market/products/{id}/candles, as many calls as the page needs; buckets without trades are missing."""
        if interval not in GRANULARITIES:
            raise NotSupported(f"Coinbase has no candles of {interval}")
        return _candles(instrument, interval, page)

    def tickers(self, instruments: Sequence[Instrument]) -> Flow[list[Ticker]]:
        """GET /market/products of some or all products."""
        wanted = {instrument.wire for instrument in instruments}
        names = tuple(("product_ids", wire) for wire in sorted(wanted)) if len(wanted) <= NAMED_A_CALL else ()

        def read(body: Any) -> list[Ticker]:
            return [rows.statistics(row) for row in body["products"] if not wanted or row["product_id"] in wanted]

        return once(_get("/market/products", read, ("product_type", "SPOT"), *names))

    # account

    def login(self) -> Flow[Mapping[str, Any]]:
        """GET /key_permissions."""
        return once(_signed("GET", "/key_permissions", _key_info))

    def balances(self, facts: Mapping[str, Any]) -> Flow[list[Balance]]:
        """GET /accounts, all pages."""
        found: list[Any] = yield from _pages("/accounts", "accounts", _same, ())
        return rows.balances(found)

    def fees(self, instrument: Instrument, facts: Mapping[str, Any]) -> Flow[Fees]:
        """GET /transaction_summary: the tier of this account; stable pairs may be cheaper."""
        return once(_signed("GET", "/transaction_summary", _fees, ("product_type", "SPOT")))

    # orders

    def place(self, order: OrderRequest, facts: Mapping[str, Any], *, socket: bool = False) -> Flow[OrderUpdate]:
        """POST /orders. The same id again answers with the first order and makes no second one."""
        body = {
            "client_order_id": order.client_id,
            "product_id": order.instrument.wire,
            "side": order.side.upper(),
            "order_configuration": rows.configuration(order),
        }

        def read(answer: Any) -> OrderUpdate:
            _must_succeed(answer)
            return rows.placed(order, answer)

        return once(_post("/orders", read, body, Effect.PLACE))

    def cancel(self, order: OrderRef, facts: Mapping[str, Any], *, socket: bool = False) -> Flow[OrderUpdate]:
        """POST /orders/batch_cancel with one id. The answer says that the cancel was taken, the stream that it was done."""
        if not order.venue_id:
            order = yield from _found(order)

        def read(body: Any) -> OrderUpdate:
            for row in body["results"]:
                if row["order_id"] == order.venue_id or len(body["results"]) == 1:
                    if not row["success"]:
                        raise refused(row)
                    return OrderUpdate(wire=order.instrument.wire, venue_id=row["order_id"], client_id=order.client_id)
            raise Unintelligible("the answer does not speak of the order")

        return (yield _post("/orders/batch_cancel", read, {"order_ids": [order.venue_id]}, Effect.CANCEL))

    def cancel_all(self, instrument: Instrument | None, facts: Mapping[str, Any]) -> Flow[list[OrderUpdate]]:
        """List what is open, then cancel it, a hundred at a time."""
        found = yield from self.open_orders(instrument, facts)
        if not found:
            raise NothingToChange("there is no open order")
        done: list[OrderUpdate] = []
        failed: list[Refused] = []
        for start in range(0, len(found), CANCELS_A_CALL):
            part = {row.venue_id: row for row in found[start : start + CANCELS_A_CALL]}
            read = partial(_cancelled, part)
            taken, reasons = yield _post("/orders/batch_cancel", read, {"order_ids": list(part)}, Effect.CANCEL)
            done += taken
            failed += reasons
        if failed:
            raise failed[0]
        return done

    def amend(
        self,
        order: OrderRef,
        facts: Mapping[str, Any],
        *,
        price: object = None,
        amount: object = None,
        client_id: str = "",
    ) -> Flow[OrderUpdate]:
        """POST /orders/edit: limit orders that rest until cancelled; price and total amount are both named, the ids stay."""
        if not order.venue_id:
            order = yield from _found(order)
        if price is None or amount is None:
            now: OrderUpdate = yield _order_call(order)
            price = price if price is not None else now.price
            amount = amount if amount is not None else now.amount
        if not isinstance(price, Decimal) or not isinstance(amount, Decimal):
            raise NotSupported("Coinbase changes limit orders only")
        body = {"order_id": order.venue_id, "price": plain(price), "size": plain(amount)}

        def read(answer: Any) -> OrderUpdate:
            _must_be_edited(answer)
            return OrderUpdate(
                wire=order.instrument.wire,
                venue_id=order.venue_id,
                client_id=order.client_id,
                price=price,
                amount=amount,
            )

        return (yield _post("/orders/edit", read, body, Effect.AMEND))

    def order(self, order: OrderRef, facts: Mapping[str, Any]) -> Flow[OrderUpdate]:
        """GET /orders/historical/{id}; without the venue's id the list is searched for ours."""
        if order.venue_id:
            return (yield _order_call(order))
        found = yield from _search(order.instrument, order.client_id)
        if found is None:
            raise OrderNotFound("no order has this id")
        return found

    def open_orders(self, instrument: Instrument | None, facts: Mapping[str, Any]) -> Flow[list[OrderUpdate]]:
        """GET /orders/historical/batch: what is open, and what waits to be taken in, changed or cancelled, which OPEN leaves out."""
        found: list[OrderUpdate] = []
        product: Params = (("product_ids", instrument.wire),) if instrument is not None else ()
        for statuses in (("OPEN",), ("PENDING", "QUEUED", "EDIT_QUEUED", "CANCEL_QUEUED")):
            params = (*product, *(("order_status", status) for status in statuses))
            found += yield from _pages("/orders/historical/batch", "orders", _spot_order, params)
        return [row for row in found if row.status is not OrderStatus.FILLED]

    def fills(self, instrument: Instrument, page: Page, facts: Mapping[str, Any]) -> Flow[list[Fill]]:
        """GET /orders/historical/fills: everything since a time, or the latest; then all of the same orders, so that each is whole.

        The venue gives the newest first, so a window is read to its end whatever its limit.
        """
        params: Params = (("product_ids", instrument.wire),)
        if page.start is not None:
            params += (("start_sequence_timestamp", _rfc3339(page.start)),)
        path = "/orders/historical/fills"
        most = page.limit if page.start is None else None
        found: list[Fill] = yield from _pages(path, "fills", _execution, params, most=most)
        if page.start is not None or len(found) >= page.limit:
            names = list(dict.fromkeys(row.venue_id for row in found))
            found = []
            for start in range(0, len(names), NAMED_A_CALL):
                ids = tuple(("order_ids", name) for name in names[start : start + NAMED_A_CALL])
                found += yield from _pages(path, "fills", _execution, ids)
        if page.end is not None:
            found = [fill for fill in found if fill.time <= page.end]
        found.reverse()  # newest first on the wire
        return page.beyond(sorted(found, key=lambda fill: fill.time))

    def search(self, order: OrderRequest, facts: Mapping[str, Any]) -> Flow[Search]:
        """In the list of all orders, by our id. Not there is proof once the request's token is over (`IdRule.patience`).

        Sending the id again would tell at once, but if the first request was lost it would place an order that the trader may
        no longer want: that is for the trader to decide.
        """
        found = yield from _search(order.instrument, order.client_id)
        return Search(Found.NOT_YET) if found is None else Search(Found.FOUND, found)


# ---------------------------------------------------------------------------------------------------------------------
# Calls


def _get(path: str, read: Callable[[Any], Any], *params: tuple[str, str]) -> Call:
    return Call(
        endpoint=Role.REST,
        method="GET",
        path=path,
        params=params,
        read=lambda answer: read(read_json(answer)),
        costs=(Cost(PUBLIC),),
    )


def _signed(method: str, path: str, read: Callable[[Any], Any], *params: tuple[str, str]) -> Call:
    return Call(
        endpoint=Role.REST,
        method=method,
        path=path,
        params=params,
        security=Security.SIGNED,
        read=lambda answer: read(read_json(answer)),
        costs=(Cost(PRIVATE),),
    )


def _post(path: str, read: Callable[[Any], Any], body: Mapping[str, Any], effect: Effect) -> Call:
    return Call(
        endpoint=Role.REST,
        method="POST",
        path=path,
        body=body,
        security=Security.SIGNED,
        effect=effect,
        read=lambda answer: read(read_json(answer, effect, Refused)),
        costs=(Cost(PRIVATE),),
    )


def _order_call(order: OrderRef) -> Call:
    """One order. Not finding a young one says nothing yet."""

    def read(answer: Answer) -> OrderUpdate:
        try:
            return rows.order(read_json(answer, missing=OrderNotFound)["order"])
        except OrderNotFound as error:
            if order.created is not None and answer.got_at and answer.got_at - order.created < YOUNG_MS:
                raise VenueUnavailable("the order is not visible yet", code=error.code, status=error.status) from None
            raise

    return Call(
        endpoint=Role.REST,
        method="GET",
        path=f"/orders/historical/{order.venue_id}",
        security=Security.SIGNED,
        read=read,
        costs=(Cost(PRIVATE),),
    )


class _Rows(list[Any]):
    """Rows of one page, and where the next one begins; "" for the last page."""

    cursor: str = ""


def _pages(
    path: str, name: str, convert: Callable[[Any], Any], params: Params, most: int | None = None
) -> Flow[list[Any]]:
    """All rows of a list, page by page, or the first `most`; `convert` gives None for a row that is none of ours.

    Raises VenueUnavailable for a list that does not end.
    """

    def read(body: Any) -> _Rows:
        page = _Rows(row for row in map(convert, body[name]) if row is not None)
        ended = "has_next" in body and not body["has_next"]  # fills do not say it: theirs end with an empty page
        page.cursor = "" if ended or not body[name] else str(body.get("cursor") or "")
        return page

    found: list[Any] = []
    cursor = ""
    limit = min(ROWS_A_PAGE, most or ROWS_A_PAGE)
    for _ in range(PAGES):
        more = (("cursor", cursor),) if cursor else ()
        page: _Rows = yield _signed("GET", path, read, *params, ("limit", str(limit)), *more)
        found += page
        cursor = page.cursor
        if not cursor or (most is not None and len(found) >= most):
            return found[:most] if most is not None else found
    raise VenueUnavailable(f"the list {path} goes on beyond {PAGES} pages")


def _spot_products(body: Any) -> list[Instrument]:
    return [rows.instrument(row) for row in body["products"] if row["product_type"] == "SPOT"]


def _spot_order(row: Any) -> OrderUpdate | None:
    return rows.order(row) if (row.get("product_type") or "SPOT") == "SPOT" else None


def _execution(row: Any) -> Fill | None:
    """Corrections and reversals are no executions."""
    return rows.fill(row) if row.get("trade_type", "FILL") == "FILL" else None


def _same(body: Any) -> Any:
    return body


def _candles(instrument: Instrument, interval: str, page: Page) -> Flow[list[Candle]]:
    name, span = GRANULARITIES[interval]
    path = f"/market/products/{instrument.wire}/candles"
    end = page.end if page.end is not None else (yield _get("/time", lambda body: int(body["epochMillis"])))
    last = int(end or 0) // 1000 // span * span  # opening times, both included
    first = last - (page.limit - 1) * span
    if page.start is not None:
        first = max(first, -(-page.start // 1000 // span) * span)
    found: list[Candle] = []
    for start, stop in _windows(first, last, span):
        params = (("start", str(start)), ("end", str(stop)), ("granularity", name), ("limit", str(BARS_A_CALL)))
        found += yield _candle_call(path, params, instrument.wire, interval, span * 1000)
    bars = {bar.start: bar for bar in found}
    return [bars[start] for start in sorted(bars)]


def _windows(first: int, last: int, span: int) -> Iterator[tuple[int, int]]:
    while first <= last:
        stop = min(last, first + (BARS_A_CALL - 1) * span)
        yield first, stop
        first = stop + span


def _candle_call(path: str, params: Params, wire: str, interval: str, span_ms: int) -> Call:
    return Call(
        endpoint=Role.REST,
        method="GET",
        path=path,
        params=params,
        read=lambda answer: rows.candles(answer, read_json(answer), wire, interval, span_ms),
        costs=(Cost(PUBLIC),),
    )


# ---------------------------------------------------------------------------------------------------------------------
# Answers


def _must_succeed(body: Mapping[str, Any]) -> None:
    """A 200 with `success: false` is a refusal; one that says neither is no verdict."""
    if body.get("success") is False:
        raise refused({**body, **(body.get("error_response") or {})})
    if body.get("success") is not True:
        raise Unintelligible("the answer says neither yes nor no")


def _must_be_edited(body: Mapping[str, Any]) -> None:
    errors = body.get("errors") or []
    first = errors[0] if isinstance(errors, list) and errors else errors if isinstance(errors, dict) else {}
    if body.get("success") is False:
        raise refused({**(body.get("error_response") or {}), **first})
    if body.get("success") is not True:
        raise Unintelligible("the answer says neither yes nor no")
    if first:
        word, text = reason_of(first)
        raise OutcomeUnknown(f"the venue says yes and names an error ({text})", code=word)


def _cancelled(part: Mapping[str, OrderUpdate], body: Any) -> tuple[list[OrderUpdate], list[Refused]]:
    """Cancels that were taken, and real refusals; an order that is gone already needs no cancel."""
    taken: list[OrderUpdate] = []
    failed: list[Refused] = []
    for row in body["results"]:
        order = part.get(row["order_id"])
        if row["success"] and order is not None:
            taken.append(OrderUpdate(wire=order.wire, venue_id=order.venue_id, client_id=order.client_id))
        elif not row["success"] and not issubclass(kind_of(row.get("failure_reason", "")), OrderNotFound):
            error = refused(row)
            failed.append(error if isinstance(error, Refused) else Refused(error.text, code=error.code))
    return taken, failed


def _key_info(body: Any) -> Mapping[str, Any]:
    note = "" if body.get("can_view", True) else "this key may not look at the account"
    return {
        "key": KeyInfo(can_trade=body.get("can_trade"), can_withdraw=body.get("can_transfer"), note=note),
        "portfolio": body.get("portfolio_uuid", ""),
    }


def _fees(body: Any) -> Fees:
    tier = body["fee_tier"]
    return Fees(maker=rows.money(tier["maker_fee_rate"]), taker=rows.money(tier["taker_fee_rate"]))


# ---------------------------------------------------------------------------------------------------------------------
# Our own ids


def made_at(client_id: str) -> int | None:
    """When one of our ids was made, ms; None for another's."""
    mark, _, rest = client_id.partition("-")
    stamp = rest.partition("-")[0]
    try:
        return int(stamp, 16) if mark == "fa" and len(stamp) == 11 else None
    except ValueError:
        return None


def _search(instrument: Instrument, client_id: str) -> Flow[OrderUpdate | None]:
    """The order with our id among all orders of its product since the id was made."""
    params: Params = (("product_ids", instrument.wire),)
    made = made_at(client_id)
    if made is not None:
        params += (("start_date", _rfc3339(made - _SLACK_MS)),)
    found: list[OrderUpdate] = yield from _pages("/orders/historical/batch", "orders", _spot_order, params)
    return next((row for row in found if row.client_id == client_id), None)


def _found(order: OrderRef) -> Flow[OrderRef]:
    """`order` with the venue's id. Raises OrderNotFound."""
    found = yield from _search(order.instrument, order.client_id)
    if found is None:
        raise OrderNotFound("no order has this id")
    return OrderRef(
        instrument=order.instrument, client_id=order.client_id, venue_id=found.venue_id, created=order.created
    )


def _rfc3339(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
