"""Operations of Binance spot: REST `/api/v3`, orders over the WebSocket API too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import UNSET

from connectors.binance import bodies, rows
from connectors.binance.calls import ask, get, named, signed
from connectors.binance.signing import read_json
from connectors.contract import Answer, Call, Cost, Effect, Flow, Found, Page, Role, Search, Trading, once
from connectors.errors import NothingToChange, NotSupported, OrderNotFound
from connectors.model import (
    Balance,
    BookSnapshot,
    Candle,
    Fees,
    Fill,
    Instrument,
    InstrumentStatus,
    KeyInfo,
    Market,
    OrderKind,
    OrderRef,
    OrderRequest,
    OrderUpdate,
    Side,
    SizeRule,
    Ticker,
    Trade,
    decimals,
    plain,
)

KINDS = {
    "LIMIT": OrderKind.LIMIT,
    "LIMIT_MAKER": OrderKind.LIMIT,
    "MARKET": OrderKind.MARKET,
    "STOP_LOSS": OrderKind.STOP,
    "STOP_LOSS_LIMIT": OrderKind.STOP_LIMIT,
    "TAKE_PROFIT": OrderKind.TAKE_PROFIT,
    "TAKE_PROFIT_LIMIT": OrderKind.TAKE_PROFIT_LIMIT,
}
_TYPES = {kind: name for name, kind in KINDS.items() if name != "LIMIT_MAKER"}
BOOK_DEPTH = 5000
_DEPTH_WEIGHTS = ((100, 5), (500, 25), (1000, 50), (5000, 250))


class SpotTrading(Trading):
    """Operations of the spot market. `listing` (venue slug, family name) names the instruments."""

    def __init__(self, venue: str = "binance", family: str = "spot", book_depth: int = 1000) -> None:
        self.venue = venue
        self.family = family
        self._book_depth = book_depth

    def read_alone(self, path: str, query: Mapping[str, str], answer: Answer) -> Any:
        """Bodies that only other clients ask for."""
        return bodies.read(path, query, answer, KINDS)

    # public

    def time(self) -> Flow[int]:
        """GET /api/v3/time."""
        return once(get("/api/v3/time", 1, lambda body: body["serverTime"]))

    def instruments(self) -> Flow[list[Instrument]]:
        """GET /api/v3/exchangeInfo; permission sets are left out, they make half of the answer."""
        read = lambda body: [self._instrument(row) for row in body["symbols"]]  # noqa: E731 - the reader beside its request
        return once(get("/api/v3/exchangeInfo", 20, read, ("showPermissionSets", "false")))

    def book(self, instrument: Instrument, depth: int | None = None) -> Flow[BookSnapshot]:
        """GET /api/v3/depth."""
        limit = min(depth or self._book_depth, BOOK_DEPTH)
        weight = next(weight for most, weight in _DEPTH_WEIGHTS if limit <= most)
        params = (("symbol", instrument.wire), ("limit", str(limit)))
        return once(
            get("/api/v3/depth", weight, lambda body: rows.book_snapshot(body, instrument.wire, limit), *params)
        )

    def trades(self, instrument: Instrument, limit: int = 200) -> Flow[list[Trade]]:
        """GET /api/v3/trades."""
        params = (("symbol", instrument.wire), ("limit", str(min(limit, 1000))))
        return once(get("/api/v3/trades", 25, lambda body: rows.public_trades(body, instrument.wire), *params))

    def candles(self, instrument: Instrument, interval: str, page: Page) -> Flow[list[Candle]]:
        """GET /api/v3/klines; the last row is the running candle."""
        params = [("symbol", instrument.wire), ("interval", interval)]
        params += [
            (name, str(value))
            for name, value in (("startTime", page.start), ("endTime", page.end))
            if value is not None
        ]
        params.append(("limit", str(min(page.limit, 1000))))
        return once(_candle_call(Role.REST, "/api/v3/klines", 2, params, instrument.wire, interval))

    def tickers(self, instruments: Sequence[Instrument]) -> Flow[list[Ticker]]:
        """GET /api/v3/ticker/24hr for some or all symbols."""
        weight = 80 if len(instruments) > 100 or not instruments else 2 if len(instruments) <= 20 else 40
        names = msgspec.json.encode([instrument.wire for instrument in instruments]).decode()
        params = (("symbols", names),) if 0 < len(instruments) <= 100 else ()
        read = lambda body: [rows.ticker(row) for row in (body if isinstance(body, list) else [body])]  # noqa: E731 - a symbol alone
        return once(get("/api/v3/ticker/24hr", weight, read, *params))

    # account

    def login(self) -> Flow[Mapping[str, Any]]:
        """What the key may do; Binance tells only whether the account can trade."""
        return once(signed("GET", "/api/v3/account", 20, _key_info, ("omitZeroBalances", "true")))

    def balances(self, facts: Mapping[str, Any]) -> Flow[list[Balance]]:
        """GET /api/v3/account."""
        return once(signed("GET", "/api/v3/account", 20, self._balances))

    def fees(self, instrument: Instrument, facts: Mapping[str, Any]) -> Flow[Fees]:
        """GET /api/v3/account/commission: standard, special and tax parts add up."""
        return once(signed("GET", "/api/v3/account/commission", 20, _fees, ("symbol", instrument.wire)))

    # orders

    def place(self, order: OrderRequest, facts: Mapping[str, Any], *, socket: bool = False) -> Flow[OrderUpdate]:
        """POST /api/v3/order or order.place. LIMIT and MARKET answer in full; the fills come by the private stream too."""
        kind = "LIMIT_MAKER" if order.post_only else _TYPES[order.kind]
        params = [("symbol", order.instrument.wire), ("side", order.side.upper()), ("type", kind)]
        if order.kind.has_price and not order.post_only:
            params.append(("timeInForce", order.tif.upper()))
        params += rows.amounts(order)
        if order.trigger is not None and order.kind.has_trigger:
            params.append(("stopPrice", plain(order.trigger)))
        if order.client_id:
            params += [("newClientOrderId", order.client_id), ("newOrderRespType", "FULL")]
        costs = (Cost("REQUEST_WEIGHT", 1), Cost("ORDERS", 1))
        read = lambda row: rows.order_row(row, KINDS)  # noqa: E731 - the reader beside its request
        if socket:
            return once(ask("order.place", params, read, Effect.PLACE, costs))
        return once(signed("POST", "/api/v3/order", 0, read, *params, effect=Effect.PLACE, costs=costs))

    def cancel(self, order: OrderRef, facts: Mapping[str, Any], *, socket: bool = False) -> Flow[OrderUpdate]:
        """DELETE /api/v3/order or order.cancel."""
        params = named(order)
        read = lambda row: rows.order_row(row, KINDS, cancel=True)  # noqa: E731 - the reader beside its request
        if socket:
            return once(ask("order.cancel", params, read, Effect.CANCEL, (Cost("REQUEST_WEIGHT", 1),)))
        return once(signed("DELETE", "/api/v3/order", 1, read, *params, effect=Effect.CANCEL))

    def cancel_all(self, instrument: Instrument | None, facts: Mapping[str, Any]) -> Flow[list[OrderUpdate]]:
        """DELETE /api/v3/openOrders: one symbol; refused with -2011 when nothing is open."""
        if instrument is None:
            raise NotSupported("Binance cancels all orders of one instrument at a time")
        return _cancel_all(instrument)

    def amend(
        self,
        order: OrderRef,
        facts: Mapping[str, Any],
        *,
        price: object = None,
        amount: object = None,
        client_id: str = "",
    ) -> Flow[OrderUpdate]:
        """PUT /api/v3/order/amend/keepPriority: the amount may only be lowered, the order gets a new client id."""
        if price is not None or not isinstance(amount, Decimal):
            raise NotSupported("Binance spot can only lower an order's amount in place")
        params = [*named(order), ("newQty", plain(amount))]
        if client_id:
            params.append(("newClientOrderId", client_id))
        call = signed("PUT", "/api/v3/order/amend/keepPriority", 4, _amended, *params, effect=Effect.AMEND)
        return once(call)

    def order(self, order: OrderRef, facts: Mapping[str, Any]) -> Flow[OrderUpdate]:
        """GET /api/v3/order."""
        return once(signed("GET", "/api/v3/order", 4, lambda row: rows.order_row(row, KINDS), *named(order)))

    def open_orders(self, instrument: Instrument | None, facts: Mapping[str, Any]) -> Flow[list[OrderUpdate]]:
        """GET /api/v3/openOrders, of one symbol or of all."""
        params = (("symbol", instrument.wire),) if instrument is not None else ()
        read = lambda body: [rows.order_row(row, KINDS) for row in body]  # noqa: E731 - the reader beside its request
        return once(signed("GET", "/api/v3/openOrders", 6 if instrument else 80, read, *params))

    def fills(self, instrument: Instrument, page: Page, facts: Mapping[str, Any]) -> Flow[list[Fill]]:
        """GET /api/v3/myTrades; a window of both times may span 24 h, so only the start is sent."""
        params = [("symbol", instrument.wire)]
        if page.after:
            params.append(("fromId", page.after))
        elif page.start is not None:
            params.append(("startTime", str(page.start)))
        params.append(("limit", str(min(page.limit, 1000))))
        read = lambda body: [rows.fill_row(row, self.family) for row in body]  # noqa: E731 - the reader beside its request
        return once(signed("GET", "/api/v3/myTrades", 20, read, *params))

    def search(self, order: OrderRequest, facts: Mapping[str, Any]) -> Flow[Search]:
        """By client id. "Does not exist" is no proof so soon after the request: its time window may still be open."""
        ref = OrderRef(instrument=order.instrument, client_id=order.client_id)
        try:
            found = yield from self.order(ref, facts)
        except OrderNotFound:
            return Search(Found.NOT_YET)
        return Search(Found.FOUND, found)

    # rows

    def _instrument(self, row: Any) -> Instrument:
        filters = rows.filters_of(row)
        price, notional = filters.get("PRICE_FILTER", {}), filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL") or {}
        tick = rows.money(price.get("tickSize", "0"))
        size = rows.size_rule(filters.get("LOT_SIZE")) or SizeRule()
        status = {"TRADING": InstrumentStatus.TRADING, "CANCEL_ONLY": InstrumentStatus.CANCEL_ONLY}
        closed = InstrumentStatus.CLOSED
        kinds = {KINDS[name] for name in row.get("orderTypes", ()) if name in KINDS}
        return Instrument(
            venue=self.venue,
            family=self.family,
            market=Market.SPOT,
            symbol=f"{row['baseAsset']}-{row['quoteAsset']}",
            wire=row["symbol"],
            base=row["baseAsset"],
            quote=row["quoteAsset"],
            settle=row["quoteAsset"],
            tick=tick,
            size=size,
            market_size=rows.size_rule(filters.get("MARKET_LOT_SIZE")),
            price_digits=decimals(tick) if tick else row.get("quoteAssetPrecision", 8),
            size_digits=decimals(size.step) if size.step else row.get("baseAssetPrecision", 8),
            min_price=rows.money(price.get("minPrice", "0")),
            max_price=rows.positive(price.get("maxPrice", "0")),
            min_notional=rows.money(notional.get("minNotional", "0")),
            max_notional=rows.positive(notional.get("maxNotional", "0")),
            quote_step=Decimal(1).scaleb(-int(row.get("quoteAssetPrecision", 8))),
            status=status.get(row["status"], closed) if row.get("isSpotTradingAllowed", True) else closed,
            kinds=frozenset(kinds) or frozenset({OrderKind.LIMIT}),
        )

    def _balances(self, body: Any) -> list[Balance]:
        found = []
        for row in body["balances"]:
            free, locked = rows.money(row["free"]), rows.money(row["locked"])
            if free or locked:
                found.append(
                    Balance(asset=row["asset"], family=self.family, total=free + locked, available=free, held=locked)
                )
        return found


# ---------------------------------------------------------------------------------------------------------------------


def _candle_call(role: str, path: str, weight: float, params: list[tuple[str, str]], wire: str, interval: str) -> Call:
    def read(answer: Answer) -> list[Candle]:
        return rows.candles(read_json(answer), wire, interval, answer.got_at)

    costs = (Cost("REQUEST_WEIGHT", weight),)
    return Call(endpoint=role, method="GET", path=path, params=tuple(params), read=read, costs=costs)


def _cancel_all(instrument: Instrument) -> Flow[list[OrderUpdate]]:
    def read(body: Any) -> list[OrderUpdate]:
        legs = [leg for row in body for leg in row.get("orderReports", [row])]
        return [rows.order_row(leg, KINDS, cancel=True) for leg in legs]

    call = signed("DELETE", "/api/v3/openOrders", 1, read, ("symbol", instrument.wire), effect=Effect.CANCEL)
    try:
        return (yield call)
    except OrderNotFound as error:
        raise NothingToChange(error.text, code=error.code, status=error.status) from None


def _amended(body: Any) -> OrderUpdate:
    row = body["amendedOrder"]
    update = OrderUpdate(wire=row["symbol"], venue_id=str(row["orderId"]), client_id=row["clientOrderId"])
    update.previous_client_id = row.get("origClientOrderId", "")
    if "side" in row:
        update.side = Side(row["side"].lower())
    update.price, update.amount = rows.given(row.get("price")), rows.given(row.get("qty"))
    if "executedQty" in row:
        update.filled = rows.money(row["executedQty"])
    if row.get("status") in rows.STATUS:
        update.status = rows.STATUS[row["status"]]
    update.time = body.get("transactTime", UNSET)
    return update


def _key_info(body: Any) -> Mapping[str, Any]:
    # canWithdraw speaks of the account, not of the key, so nothing is said about the key's right to withdraw
    note = "" if body.get("canTrade", True) else "this account may not trade"
    return {"key": KeyInfo(can_trade=body.get("canTrade"), note=note)}


def _fees(body: Any) -> Fees:
    parts = [body[name] for name in ("standardCommission", "specialCommission", "taxCommission") if name in body]
    maker = rows.total(*(rows.money(part["maker"]) for part in parts))
    return Fees(maker=maker, taker=rows.total(*(rows.money(part["taker"]) for part in parts)))
