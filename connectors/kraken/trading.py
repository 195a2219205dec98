"""Kraken's operations: REST `/0`, and orders over the private socket with REST as the other way.

An order's lost answer is settled by its client id: open orders can be asked for it, closed ones are read back to the moment when
the id was made (the id holds it). Orders carry a deadline, after which the engine refuses them.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from connectors.contract import (
    Answer,
    Ask,
    Call,
    Cost,
    Effect,
    Flow,
    Found,
    Page,
    Role,
    Search,
    Security,
    Stamp,
    Trading,
    once,
)
from connectors.errors import NotSupported, OrderNotFound
from connectors.kraken import rows
from connectors.kraken.market import INTERVALS, LABELS
from connectors.kraken.names import Names, assets_of, lone_wire, pairs_of, rest_pair
from connectors.kraken.signing import result_of, result_of_frame
from connectors.model import (
    Balance,
    BookSnapshot,
    Candle,
    EndReason,
    Fees,
    Fill,
    Instrument,
    KeyInfo,
    OrderKind,
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

PUBLIC, COUNTER, BALANCES, ENGINE = "PUBLIC", "COUNTER", "BALANCES", "ENGINE"
BATCH = 50
PAGE = 50
_CANCEL_AGE = ((5.0, 8.0), (10.0, 6.0), (15.0, 5.0), (45.0, 4.0), (90.0, 2.0), (300.0, 1.0))
_AMEND_AGE = ((5.0, 3.0), (10.0, 2.0), (15.0, 1.0))
_ID_SLACK = 60_000  # ms that our clock may be wrong by


def client_id(stamp: Stamp) -> str:
    """A UUID (version 7) that begins with the time, so that a search knows how far back to read."""
    return str(uuid.UUID(int=stamp.time_ms << 80 | 7 << 76 | int(stamp.token[:3], 16) << 64 | 2 << 62 | _tail(stamp)))


def _tail(stamp: Stamp) -> int:
    return int(stamp.token[3:19], 16) & (1 << 62) - 1


def made_at(name: str) -> int | None:
    """When a client id of ours was made (ms); None for any other."""
    try:
        found = uuid.UUID(name)
    except ValueError:
        return None
    return found.int >> 80 if found.version == 7 else None


class KrakenTrading(Trading):
    """Operations of the spot market. REST names pairs and assets its own way: `names` tells."""

    # public

    def time(self) -> Flow[int]:
        """GET Time tells whole seconds: within the second told, our own clock is as good as the venue's."""

        def read(answer: Answer) -> int:
            second = int(result_of(answer, Effect.READ)["unixtime"]) * 1000
            return min(max((answer.sent_at + answer.got_at) // 2, second), second + 999)

        return once(_public("Time", lambda result: result, answer=read))

    def instruments(self) -> Flow[list[Instrument]]:
        """GET AssetPairs."""
        return once(_public("AssetPairs", rows.instruments))

    def book(self, instrument: Instrument, depth: int | None = None) -> Flow[BookSnapshot]:
        """GET Depth, 500 levels at most; to compare with, the stream brings its own image."""
        count = min(depth or 500, 500)
        params = (("pair", rest_pair(instrument)), ("count", str(count)))
        return once(_public("Depth", lambda result: rows.book(result, instrument.wire, count), *params))

    def trades(self, instrument: Instrument, limit: int = 200) -> Flow[list[Trade]]:
        """GET Trades, the newest 1000 at most."""
        params = (("pair", rest_pair(instrument)), ("count", str(min(limit, 1000))))
        return once(_public("Trades", lambda result: rows.public_trades(result, instrument.wire)[-limit:], *params))

    def candles(self, instrument: Instrument, interval: str, page: Page) -> Flow[list[Candle]]:
        """GET OHLC: the 720 newest whatever is asked for, so older pages are empty."""
        if interval not in INTERVALS:
            raise NotSupported(f"Kraken has no candles of {interval}")

        def read(answer: Answer) -> list[Candle]:
            found = rows.candles(result_of(answer, Effect.READ), instrument.wire, interval, answer.got_at)
            wanted = [
                row
                for row in found
                if (page.start is None or row.start >= page.start) and (page.end is None or row.start <= page.end)
            ]
            return wanted[-page.limit :]

        params = [("pair", rest_pair(instrument)), ("interval", str(INTERVALS[interval]))]
        if page.start is not None:
            params.append(("since", str(max(0, page.start // 1000 - 1))))
        return once(_public("OHLC", lambda result: result, *params, answer=read))

    def tickers(self, instruments: Sequence[Instrument]) -> Flow[list[Ticker]]:
        """GET Ticker of some pairs or all; the answer has names of its own choice."""
        names = {name: row.wire for row in instruments for name in (rest_pair(row), row.extra.get("id", row.wire))}
        return self._tickers(names, tuple(map(rest_pair, instruments)))

    def _tickers(self, names: Mapping[str, str], pairs: tuple[str, ...]) -> Flow[list[Ticker]]:
        known = Names(names if pairs else (yield _public("AssetPairs", pairs_of)))
        wires = set(known.pairs.values())
        read = lambda result: [  # noqa: E731 - the reader beside its request
            rows.ticker(wire, row) for name, row in result.items() if (wire := known.wire(name)) in wires
        ]
        return (yield _public("Ticker", read, *((("pair", ",".join(pairs)),) if pairs else ())))

    def read_alone(self, path: str, query: Mapping[str, str], answer: Answer) -> Any:
        """Bodies name their pairs and orders themselves; operations pick what they asked for."""
        method = path.rpartition("/")[2]
        read = _LONE.get(method)
        return read(result_of(answer, Effect.READ), query) if read is not None else None

    # account

    def login(self) -> Flow[Mapping[str, Any]]:
        """The names of assets. The token proved the key; what it may do is not told."""
        assets = yield _public("Assets", assets_of)
        return {"assets": assets, "key": KeyInfo(note="Kraken does not tell what a key may do")}

    def balances(self, facts: Mapping[str, Any]) -> Flow[list[Balance]]:
        """BalanceEx: the only source of what open orders hold."""
        names = yield from _names(facts)
        costs = (Cost(COUNTER), Cost(BALANCES))
        return (yield _private("BalanceEx", lambda result: rows.balances(result, names), costs=costs))

    def fees(self, instrument: Instrument, facts: Mapping[str, Any]) -> Flow[Fees]:
        """TradeVolume: percent, by the account's tier."""

        def read(result: Any) -> Fees:
            taker, maker = rows.only(result["fees"]), rows.only(result.get("fees_maker") or result["fees"])
            return Fees(maker=rows.money(maker["fee"]) / 100, taker=rows.money(taker["fee"]) / 100)

        return once(_private("TradeVolume", read, ("pair", rest_pair(instrument))))

    # orders

    def place(self, order: OrderRequest, facts: Mapping[str, Any], *, socket: bool = False) -> Flow[OrderUpdate]:
        """AddOrder or add_order. The answer only says that the engine has it; what became of it comes by the private stream."""
        if order.quote_amount is not None and (order.kind is not OrderKind.MARKET or order.side is Side.SELL):
            raise NotSupported("Kraken takes an amount of money for market buys only")
        costs = (Cost(ENGINE, 1, order.instrument.wire),)

        def placed(txid: str) -> OrderUpdate:
            return OrderUpdate(
                wire=order.instrument.wire, venue_id=txid, client_id=order.client_id, status=OrderStatus.PENDING
            )

        if socket:
            read = lambda result: placed(result["order_id"])  # noqa: E731 - the reader beside its request
            only_checked = {"validate": True} if facts.get("validate") else {}
            return once(_ask("add_order", _frame_fields(order) | only_checked, read, Effect.PLACE, costs, late=True))
        read = lambda result: placed(result["txid"][0])  # noqa: E731 - the reader beside its request
        fields = _form_fields(order) + ([("validate", "true")] if facts.get("validate") else [])
        return once(_private("AddOrder", read, *fields, effect=Effect.PLACE, costs=costs, late=True))

    def place_batch(self, orders: Sequence[OrderRequest], facts: Mapping[str, Any]) -> Flow[list[OrderUpdate]]:
        """AddOrderBatch: two to fifteen orders of one pair."""
        instrument = orders[0].instrument
        fields = [{name: value for name, value in _form_fields(order) if name != "pair"} for order in orders]

        def read(result: Any) -> list[OrderUpdate]:
            found = []
            for order, row in zip(orders, result["orders"], strict=True):
                update = OrderUpdate(wire=instrument.wire, client_id=order.client_id, status=OrderStatus.PENDING)
                if row.get("error"):
                    update.status, update.reason = OrderStatus.REJECTED, str(row["error"])
                else:
                    update.venue_id = row["txid"]
                found.append(update)
            return found

        body = {"pair": rest_pair(instrument), "orders": fields}
        costs = (Cost(ENGINE, len(orders), instrument.wire),)
        return once(_private("AddOrderBatch", read, effect=Effect.PLACE, costs=costs, body=body, late=True))

    def cancel(self, order: OrderRef, facts: Mapping[str, Any], *, socket: bool = False) -> Flow[OrderUpdate]:
        """CancelOrder or cancel_order. Young orders are dear to cancel."""
        costs = (Cost(ENGINE, 0, order.instrument.wire, _CANCEL_AGE, order.created),)

        def ended(result: Any) -> OrderUpdate:
            update = OrderUpdate(wire=order.instrument.wire, venue_id=order.venue_id, client_id=order.client_id)
            if not result.get("pending") and int(result.get("count", 1)):
                update.status, update.end_reason = OrderStatus.CANCELLED, EndReason.USER
            return update

        if socket:
            name = {"order_id": [order.venue_id]} if order.venue_id else {"cl_ord_id": [order.client_id]}
            return once(_ask("cancel_order", name, ended, Effect.CANCEL, costs))
        field = ("txid", order.venue_id) if order.venue_id else ("cl_ord_id", order.client_id)
        return once(_private("CancelOrder", ended, field, effect=Effect.CANCEL, costs=costs))

    def cancel_all(self, instrument: Instrument | None, facts: Mapping[str, Any]) -> Flow[list[OrderUpdate]]:
        """CancelAll takes every order of the account, so those of one instrument are listed and cancelled by name."""
        if instrument is None:
            return once(_private("CancelAll", lambda result: [], effect=Effect.CANCEL, costs=()))
        return self._cancel_all(instrument, facts)

    def _cancel_all(self, instrument: Instrument, facts: Mapping[str, Any]) -> Flow[list[OrderUpdate]]:
        found: list[OrderUpdate] = []
        listed = yield from self.open_orders(instrument, facts)
        for start in range(0, len(listed), BATCH):
            part = listed[start : start + BATCH]
            costs = tuple(
                Cost(ENGINE, 0, instrument.wire, _CANCEL_AGE, row.created if isinstance(row.created, int) else None)
                for row in part
            )
            body = {"orders": [row.venue_id for row in part]}
            count = yield _private(
                "CancelOrderBatch", lambda result: int(result["count"]), effect=Effect.CANCEL, costs=costs, body=body
            )
            if count == len(part):  # else some had ended already, and which is not told
                for row in part:
                    row.status, row.end_reason = OrderStatus.CANCELLED, EndReason.USER
                found += part
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
        """AmendOrder: the ids stay, and the place in the queue where that can be. A new price may take unless told not to."""
        update = OrderUpdate(wire=order.instrument.wire, venue_id=order.venue_id, client_id=order.client_id)
        fields = [("txid", order.venue_id) if order.venue_id else ("cl_ord_id", order.client_id)]
        if isinstance(amount, Decimal):
            fields.append(("order_qty", plain(amount)))
            update.amount = amount
        if isinstance(price, Decimal):
            fields.append(("limit_price", plain(price)))
            update.price = price
            if order.post_only:
                fields.append(("post_only", "true"))
        costs = (Cost(ENGINE, 1, order.instrument.wire, _AMEND_AGE, order.created),)

        def read(result: Any) -> OrderUpdate:
            if not result.get("amend_id"):
                raise KeyError("amend_id")
            return update

        return once(_private("AmendOrder", read, *fields, effect=Effect.AMEND, costs=costs, late=True))

    def order(self, order: OrderRef, facts: Mapping[str, Any]) -> Flow[OrderUpdate]:
        """QueryOrders by the venue's id, else a search by the client id."""
        names = yield from _names(facts)
        if order.venue_id:

            def read(result: Any) -> OrderUpdate:
                if order.venue_id not in result:
                    raise OrderNotFound("Kraken knows no order of this id")
                return rows.order(order.venue_id, result[order.venue_id], names)

            return (yield _private("QueryOrders", read, ("trades", "true"), ("txid", order.venue_id)))
        found = yield from self._by_client_id(order.client_id, names)
        if found is None:
            raise OrderNotFound("Kraken knows no order of this id")
        return found

    def open_orders(self, instrument: Instrument | None, facts: Mapping[str, Any]) -> Flow[list[OrderUpdate]]:
        """OpenOrders of the account."""
        names = yield from _names(facts)

        def read(result: Any) -> list[OrderUpdate]:
            found = [rows.order(txid, row, names) for txid, row in result["open"].items()]
            return [row for row in found if instrument is None or row.wire == instrument.wire]

        return (yield _private("OpenOrders", read))

    def fills(self, instrument: Instrument, page: Page, facts: Mapping[str, Any]) -> Flow[list[Fill]]:
        """TradesHistory, fifty of all pairs at a time, newest first."""
        names = yield from _names(facts)
        window = [
            (name, str(value // 1000 + slack))
            for name, value, slack in (("start", page.start, -1), ("end", page.end, 1))
            if value is not None
        ]
        found: dict[str, Fill] = {}
        offset = pages = 0
        while True:
            more = [("ofs", str(offset))] if offset else []
            result = yield _private("TradesHistory", _fill_page(names, instrument), *window, *more, counter=2)
            fills, read, total, passed = result
            found.update((fill.id, fill) for fill in fills)
            offset, pages = offset + read, pages + 1
            reached = page.after and page.after in passed
            # without a start the page ends somewhere; with one nothing may be left out
            if (
                not read
                or offset >= total
                or reached
                or (page.start is None and (len(found) >= page.limit or pages >= 5))
            ):
                break
        ordered = list(found.values())
        ordered.reverse()  # fills of one millisecond keep the venue's order
        ordered.sort(key=lambda fill: fill.time)
        if page.after in found:
            ordered = ordered[ordered.index(found[page.after]) + 1 :]
        ordered = [
            fill
            for fill in ordered
            if (page.start is None or fill.time >= page.start) and (page.end is None or fill.time <= page.end)
        ]
        return ordered if page.start is not None else ordered[-page.limit :]

    def search(self, order: OrderRequest, facts: Mapping[str, Any]) -> Flow[Search]:
        """By client id, first among what is open, then among what has ended since the id was made.

        "Not there" is no proof before the order's deadline has passed.
        """
        names = yield from _names(facts)
        found = yield from self._by_client_id(order.client_id, names)
        return Search(Found.NOT_YET) if found is None else Search(Found.FOUND, found)

    def _by_client_id(self, name: str, names: Names) -> Flow[OrderUpdate | None]:
        def named(result: Mapping[str, Any]) -> OrderUpdate | None:
            mine = [(txid, row) for txid, row in result.items() if row.get("cl_ord_id") == name]
            newest = max(mine, key=lambda pair: pair[1]["opentm"], default=None)
            return rows.order(*newest, names) if newest is not None else None

        found = yield _private("OpenOrders", lambda result: named(result["open"]), ("cl_ord_id", name))
        made, offset = made_at(name), 0
        window = [("start", str((made - _ID_SLACK) // 1000))] if made is not None else []
        while found is None:
            more = [("ofs", str(offset))] if offset else []
            read = lambda result: (named(result["closed"]), len(result["closed"]), int(result.get("count", 0)))  # noqa: E731 - the reader beside its request
            found, count, total = yield _private("ClosedOrders", read, *window, *more, counter=1)
            offset += count
            if not count or offset >= total or (made is None and offset >= 4 * PAGE):
                break
        return found

    def dead_man(self, instrument: Instrument | None, seconds: float, facts: Mapping[str, Any]) -> Flow[None]:
        """CancelAllOrdersAfter, whole seconds, for all orders of the account."""
        read: Callable[[Any], None] = lambda result: None  # noqa: E731 - the reader beside its request
        return once(
            _private("CancelAllOrdersAfter", read, ("timeout", str(math.ceil(seconds))), effect=Effect.SETUP, costs=())
        )


# ---------------------------------------------------------------------------------------------------------------------


def _public(
    method: str,
    read: Callable[[Any], Any],
    *params: tuple[str, str],
    answer: Callable[[Answer], Any] | None = None,
) -> Call:
    return Call(
        endpoint=Role.REST,
        method="GET",
        path=f"/0/public/{method}",
        params=params,
        read=answer or (lambda found: read(result_of(found, Effect.READ))),
        costs=(Cost(PUBLIC),),
    )


def _private(
    method: str,
    read: Callable[[Any], Any],
    *params: tuple[str, str],
    effect: Effect = Effect.READ,
    counter: float = 1,
    costs: tuple[Cost, ...] | None = None,
    body: Any = None,
    late: bool = False,
) -> Call:
    """A signed POST; `counter` is what it adds to the key's REST counter, `costs` replaces that for order entry."""
    return Call(
        endpoint=Role.REST,
        method="POST",
        path=f"/0/private/{method}",
        params=params,
        body=body,
        form=body is None,
        security=Security.SIGNED,
        effect=effect,
        read=lambda answer: read(result_of(answer, effect)),
        costs=costs if costs is not None else (Cost(COUNTER, counter),),
        extra={"deadline": True} if late else {},
    )


def _ask(
    method: str,
    params: Mapping[str, Any],
    read: Callable[[Any], Any],
    effect: Effect,
    costs: tuple[Cost, ...],
    *,
    late: bool = False,
) -> Ask:
    return Ask(
        endpoint=Role.ACCOUNT,
        id="",
        payload={"method": method, "params": params},
        read=lambda payload: read(result_of_frame(payload, effect)),
        security=Security.SIGNED,
        effect=effect,
        costs=costs,
        extra={"deadline": True} if late else {},
    )


def token_call() -> Call:
    """GetWebSocketsToken: to be used within 900 s, then as long as its socket lives."""
    return _private("GetWebSocketsToken", lambda result: result["token"], effect=Effect.SETUP)


def _names(facts: Mapping[str, Any]) -> Flow[Names]:
    """From what the session listed and the login read; asked for where that is missing."""
    assets: Mapping[str, str] | None = facts.get("assets")
    if assets is None:
        assets = yield _public("Assets", assets_of)
    listed: Mapping[str, Instrument] | None = facts.get("instruments")
    if listed is None:
        return Names((yield _public("AssetPairs", pairs_of)), assets or {})
    return Names({name: row.wire for row in listed.values() for name in row.extra.values()}, assets or {})


def _form_fields(order: OrderRequest) -> list[tuple[str, str]]:
    """AddOrder: for stop types `price` is the trigger and `price2` the limit."""
    fields = [
        ("pair", rest_pair(order.instrument)),
        ("type", order.side.value),
        ("ordertype", rows.TYPES[order.kind]),
        ("volume", plain(order.amount if order.amount is not None else order.quote_amount or Decimal(0))),
    ]
    prices = [order.trigger] if order.kind.has_trigger else []
    prices += [order.price] if order.kind.has_price else []
    fields += [
        (name, plain(price)) for name, price in zip(("price", "price2"), prices, strict=False) if price is not None
    ]
    flags = [word for word, wanted in (("post", order.post_only), ("viqc", order.quote_amount is not None)) if wanted]
    if flags:
        fields.append(("oflags", ",".join(flags)))
    if order.tif is not TimeInForce.GTC and order.kind.has_price:
        fields.append(("timeinforce", order.tif.upper()))
    if order.client_id:
        fields.append(("cl_ord_id", order.client_id))
    return fields


def _number(value: Decimal) -> msgspec.Raw:
    """A JSON number with exactly these digits."""
    return msgspec.Raw(plain(value).encode())


def _frame_fields(order: OrderRequest) -> dict[str, Any]:
    """add_order."""
    fields: dict[str, Any] = {
        "order_type": rows.TYPES[order.kind],
        "side": order.side.value,
        "symbol": order.instrument.wire,
    }
    if order.amount is not None:
        fields["order_qty"] = _number(order.amount)
    if order.quote_amount is not None:
        fields["cash_order_qty"] = _number(order.quote_amount)
    if order.kind.has_price and order.price is not None:
        fields["limit_price"] = _number(order.price)
        fields["time_in_force"] = order.tif.value
    if order.kind.has_trigger and order.trigger is not None:
        fields["triggers"] = {"reference": "last", "price": _number(order.trigger)}
    if order.post_only:
        fields["post_only"] = True
    if order.client_id:
        fields["cl_ord_id"] = order.client_id
    return fields


def _fill_page(names: Names, instrument: Instrument) -> Callable[[Any], tuple[list[Fill], int, int, set[str]]]:
    """Reads a page: our fills in it, how many rows it has, how many there are in all, and their ids."""

    def read(result: Any) -> tuple[list[Fill], int, int, set[str]]:
        trades = result["trades"]
        fills = [
            rows.fill(txid, row, instrument.wire)
            for txid, row in trades.items()
            if names.wire(row["pair"]) == instrument.wire or row["pair"] == rest_pair(instrument)
        ]
        return fills, len(trades), int(result.get("count", len(trades))), set(trades)

    return read


# ---------------------------------------------------------------------------------------------------------------------
# Bodies that nobody asked for


def _lone_candles(result: Any, query: Mapping[str, str]) -> list[Candle] | None:
    """Where the address speaks of no interval, the first two rows do: quiet ones are not left out."""
    starts = [row[0] for row in rows.only(result)[:2]]
    label = LABELS.get(int(query["interval"]) if "interval" in query else (starts[-1] - starts[0]) // 60)
    return rows.candles(result, _lone_pair(result), label, 0) if label else None


def _lone_orders(found: Mapping[str, Any]) -> list[OrderUpdate]:
    pairs = {name: lone_wire(name) for name in (row["descr"]["pair"] for row in found.values())}
    return [rows.order(txid, row, Names(pairs)) for txid, row in found.items()]


def _lone_fills(found: Mapping[str, Any]) -> list[Fill]:
    return [rows.fill(txid, row, lone_wire(row["pair"])) for txid, row in found.items()]


def _lone_bundle(found: Sequence[Mapping[str, Any]]) -> list[OrderUpdate]:
    """What was refused of it has no name."""
    return [OrderUpdate(wire="", venue_id=row["txid"], status=OrderStatus.PENDING) for row in found if "txid" in row]


def _lone_totals(found: Mapping[str, Any]) -> list[Balance]:
    return [Balance(asset=Names().asset(name), family="spot", total=rows.money(total)) for name, total in found.items()]


def _lone_pair(result: Mapping[str, Any]) -> str:
    return next(lone_wire(name) for name in result if name != "last")


_LONE: Mapping[str, Callable[[Any, Mapping[str, str]], Any]] = {
    "Depth": lambda result, query: rows.book(result, _lone_pair(result), None),
    "Trades": lambda result, query: rows.public_trades(result, _lone_pair(result)),
    "OHLC": _lone_candles,
    "Ticker": lambda result, query: [rows.ticker(lone_wire(name), row) for name, row in result.items()],
    "AddOrder": lambda result, query: None if "txid" in result else [],  # an order that was checked only
    "AddOrderBatch": lambda result, query: _lone_bundle(result["orders"]),
    "SystemStatus": lambda result, query: [],
    "Balance": lambda result, query: _lone_totals(result),
    "OpenOrders": lambda result, query: _lone_orders(result["open"]),
    "ClosedOrders": lambda result, query: _lone_orders(result["closed"]),
    "QueryOrders": lambda result, query: _lone_orders(result),
    "TradesHistory": lambda result, query: _lone_fills(result["trades"]),
    "QueryTrades": lambda result, query: _lone_fills(result),
}
