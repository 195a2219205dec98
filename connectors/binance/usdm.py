"""Binance USD-M futures: REST `/fapi`, private stream by listen key, conditional orders in an id space of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import UNSET

from connectors.binance import rows
from connectors.binance.signing import read_json, read_ws
from connectors.contract import (
    UNREADABLE,
    Answer,
    Answered,
    Ask,
    Call,
    Cost,
    Dial,
    Effect,
    Event,
    Flow,
    Found,
    LoginLost,
    Page,
    Role,
    Search,
    Security,
    Stream,
    Topic,
    Trading,
    Unknown,
    once,
)
from connectors.errors import NotSupported, OrderNotFound, SessionExpired
from connectors.model import (
    Balance,
    BookSnapshot,
    Candle,
    EndReason,
    Fees,
    Fill,
    Instrument,
    InstrumentStatus,
    Market,
    OrderKind,
    OrderRef,
    OrderRequest,
    OrderStatus,
    OrderUpdate,
    Position,
    Side,
    SizeRule,
    Ticker,
    TimeInForce,
    Trade,
    Unit,
    decimals,
    plain,
)

FAMILY = "usdm"
KINDS = {
    "LIMIT": OrderKind.LIMIT,
    "MARKET": OrderKind.MARKET,
    "STOP_MARKET": OrderKind.STOP,
    "STOP": OrderKind.STOP_LIMIT,
    "TAKE_PROFIT_MARKET": OrderKind.TAKE_PROFIT,
    "TAKE_PROFIT": OrderKind.TAKE_PROFIT_LIMIT,
}
_TYPES = {kind: name for name, kind in KINDS.items()}
_ALGO_STATUS = {
    "NEW": OrderStatus.UNTRIGGERED,
    "TRIGGERING": OrderStatus.OPEN,
    "TRIGGERED": OrderStatus.OPEN,
    "CANCELED": OrderStatus.CANCELLED,
    "REJECTED": OrderStatus.REJECTED,
    "EXPIRED": OrderStatus.EXPIRED,
}
_ORDER_COSTS = (Cost("ORDERS_10S", 1), Cost("ORDERS_1M", 1))


class UsdmTrading(Trading):
    """Operations of USD-M futures. Fact `dual`: the account is in hedge mode, each order names its position side."""

    # public

    def time(self) -> Flow[int]:
        """GET /fapi/v1/time."""
        return once(_get("/fapi/v1/time", 1, lambda body: body["serverTime"]))

    def instruments(self) -> Flow[list[Instrument]]:
        """GET /fapi/v1/exchangeInfo."""
        read = lambda body: [_instrument(row) for row in body["symbols"]]  # noqa: E731 - the reader beside its request
        return once(_get("/fapi/v1/exchangeInfo", 1, read))

    def book(self, instrument: Instrument, depth: int | None = None) -> Flow[BookSnapshot]:
        """GET /fapi/v1/depth, up to 1000 levels a side."""
        limit = next(most for most in (5, 10, 20, 50, 100, 500, 1000) if most >= min(depth or 1000, 1000))
        weight = 2 if limit <= 50 else {100: 5, 500: 10, 1000: 20}[limit]
        params = (("symbol", instrument.wire), ("limit", str(limit)))
        return once(
            _get("/fapi/v1/depth", weight, lambda body: rows.book_snapshot(body, instrument.wire, limit), *params)
        )

    def trades(self, instrument: Instrument, limit: int = 200) -> Flow[list[Trade]]:
        """GET /fapi/v1/aggTrades, the same trades that the stream sends."""
        params = (("symbol", instrument.wire), ("limit", str(min(limit, 1000))))
        return once(_get("/fapi/v1/aggTrades", 20, lambda body: rows.public_trades(body, instrument.wire), *params))

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

        return once(_get("/fapi/v1/ticker/24hr", 1 if params else 40, read, *params))

    # account

    def login(self) -> Flow[Mapping[str, Any]]:
        """GET /fapi/v1/positionSide/dual: hedge mode decides what an order must say."""
        dual = yield _signed("GET", "/fapi/v1/positionSide/dual", 30, lambda body: body["dualSidePosition"])
        return {"dual": dual in (True, "true")}

    def balances(self, facts: Mapping[str, Any]) -> Flow[list[Balance]]:
        """GET /fapi/v3/account: wallet and what is available of each asset."""

        def read(body: Any) -> list[Balance]:
            return [_balance(row) for row in body["assets"] if rows.money(row["walletBalance"]) != 0]

        return once(_signed("GET", "/fapi/v3/account", 5, read))

    def positions(self, facts: Mapping[str, Any]) -> Flow[list[Position]]:
        """GET /fapi/v3/positionRisk; leverage and margin mode stand in symbolConfig."""
        found: list[Any] = yield _signed("GET", "/fapi/v3/positionRisk", 5, list)
        found = [row for row in found if rows.money(row["positionAmt"]) != 0]
        if not found:
            return []
        config = yield _signed("GET", "/fapi/v1/symbolConfig", 5, lambda body: {row["symbol"]: row for row in body})
        return [_position(row, config.get(row["symbol"])) for row in found]

    def fees(self, instrument: Instrument, facts: Mapping[str, Any]) -> Flow[Fees]:
        """GET /fapi/v1/commissionRate."""
        read = lambda body: Fees(  # noqa: E731 - the reader beside its request
            maker=rows.money(body["makerCommissionRate"]), taker=rows.money(body["takerCommissionRate"])
        )
        return once(_signed("GET", "/fapi/v1/commissionRate", 20, read, ("symbol", instrument.wire)))

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
            call = _signed("POST", "/fapi/v1/algoOrder", 0, _algo_row, *params, effect=Effect.PLACE, costs=_ORDER_COSTS)
            return once(call)
        read = lambda row: rows.order_row(row, KINDS)  # noqa: E731 - the reader beside its request
        if socket:
            return once(_ask("order.place", params, read, Effect.PLACE))
        return once(_signed("POST", "/fapi/v1/order", 0, read, *params, effect=Effect.PLACE, costs=_ORDER_COSTS))

    def cancel(self, order: OrderRef, facts: Mapping[str, Any], *, socket: bool = False) -> Flow[OrderUpdate]:
        """DELETE /fapi/v1/order or algoOrder."""
        if order.algo:
            return once(
                _signed(
                    "DELETE", "/fapi/v1/algoOrder", 1, _algo_cancelled(order), *_algo_named(order), effect=Effect.CANCEL
                )
            )
        read = lambda row: rows.order_row(row, KINDS)  # noqa: E731 - the reader beside its request
        if socket:
            return once(_ask("order.cancel", _named(order), read, Effect.CANCEL))
        return once(_signed("DELETE", "/fapi/v1/order", 1, read, *_named(order), effect=Effect.CANCEL))

    def cancel_all(self, instrument: Instrument | None, facts: Mapping[str, Any]) -> Flow[list[OrderUpdate]]:
        """Orders and conditional orders of one symbol; the answers name none of them."""
        if instrument is None:
            raise NotSupported("Binance cancels all orders of one instrument at a time")
        symbol = ("symbol", instrument.wire)
        yield _signed("DELETE", "/fapi/v1/allOpenOrders", 1, _ignore, symbol, effect=Effect.CANCEL)
        yield _signed("DELETE", "/fapi/v1/algoOpenOrders", 1, _ignore, symbol, effect=Effect.CANCEL)
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
        params = [_named(order)[0], ("side", side.upper()), _named(order)[1]]
        params += [("quantity", plain(amount)), ("price", plain(price))]
        read = lambda row: rows.order_row(row, KINDS)  # noqa: E731 - the reader beside its request
        return (yield _signed("PUT", "/fapi/v1/order", 0, read, *params, effect=Effect.AMEND, costs=_ORDER_COSTS))

    def order(self, order: OrderRef, facts: Mapping[str, Any]) -> Flow[OrderUpdate]:
        """GET /fapi/v1/order or algoOrder; a triggered conditional order goes on as the order that it became."""
        if not order.algo:
            return once(_signed("GET", "/fapi/v1/order", 1, lambda row: rows.order_row(row, KINDS), *_named(order)))
        return self._algo_order(order, facts)

    def _algo_order(self, order: OrderRef, facts: Mapping[str, Any]) -> Flow[OrderUpdate]:
        row: Any = yield _signed("GET", "/fapi/v1/algoOrder", 1, dict, *_algo_named(order))
        update = _algo_row(row)
        became = str(row.get("actualOrderId") or "")
        if became and became != "0":
            ref = OrderRef(instrument=order.instrument, venue_id=became)
            child: OrderUpdate = yield from self.order(ref, facts)
            child.venue_id, child.client_id, child.algo = update.venue_id, update.client_id, True
            return child
        return update

    def open_orders(self, instrument: Instrument | None, facts: Mapping[str, Any]) -> Flow[list[OrderUpdate]]:
        """Orders and conditional orders."""
        params = (("symbol", instrument.wire),) if instrument is not None else ()
        weight = 1 if instrument is not None else 40
        found: list[Any] = yield _signed(
            "GET", "/fapi/v1/openOrders", weight, lambda body: [rows.order_row(row, KINDS) for row in body], *params
        )
        found += yield _signed(
            "GET", "/fapi/v1/openAlgoOrders", weight, lambda body: [_algo_row(row) for row in body], *params
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
        return once(_signed("GET", "/fapi/v1/userTrades", 5, read, *params))

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
        yield _signed("POST", "/fapi/v1/leverage", 1, _ignore, *params, effect=Effect.SETUP)

    def dead_man(self, instrument: Instrument | None, seconds: float, facts: Mapping[str, Any]) -> Flow[None]:
        """POST /fapi/v1/countdownCancelAll for one symbol; 0 switches it off."""
        if instrument is None:
            raise NotSupported("Binance has a dead man's switch for each instrument, not for all")
        params = (("symbol", instrument.wire), ("countdownTime", str(int(seconds * 1000))))
        yield _signed("POST", "/fapi/v1/countdownCancelAll", 10, _ignore, *params, effect=Effect.SETUP)


class UsdmAccountStream(Stream):
    """The private socket: a listen key in its address, nothing to subscribe, events unwrapped."""

    def opening(self, facts: Mapping[str, Any]) -> Flow[Dial]:
        """One key an account, shared by all its terminals: never delete it."""
        key = yield listen_key("POST")
        return Dial(path=f"/ws?listenKey={key}")

    def plan(self, active: frozenset[Topic], add: Sequence[Topic], drop: Sequence[Topic]) -> list[Ask]:
        """Everything comes by itself."""
        return []

    def receive(self, frame: str | bytes) -> list[Event]:
        """One event."""
        try:
            row = msgspec.json.decode(frame)
            if "data" in row and "stream" in row:
                row = row["data"]
            return account_events(row)
        except UNREADABLE as error:
            return [Unknown(f"a frame that does not fit ({type(error).__name__})", str(frame[:200]))]


class UsdmTradeStream(Stream):
    """The WebSocket API: requests and their answers."""

    def plan(self, active: frozenset[Topic], add: Sequence[Topic], drop: Sequence[Topic]) -> list[Ask]:
        """Nothing is subscribed here."""
        return []

    def receive(self, frame: str | bytes) -> list[Event]:
        """An answer by its id."""
        try:
            row = msgspec.json.decode(frame)
            if "status" in row and row.get("id") is not None:
                return [Answered(str(row["id"]), row)]
        except UNREADABLE as error:
            return [Unknown(f"a frame that does not fit ({type(error).__name__})", str(frame[:200]))]
        return [Unknown("an answer without an id", str(frame[:200]))]


def listen_key(method: str) -> Call:
    """POST makes or extends the account's key, PUT keeps it alive; the key header alone is wanted."""
    return Call(
        endpoint=Role.REST,
        method=method,
        path="/fapi/v1/listenKey",
        form=True,
        security=Security.KEY,
        effect=Effect.SETUP,
        read=lambda answer: read_json(answer).get("listenKey", ""),
        costs=(Cost("REQUEST_WEIGHT", 1),),
    )


def keep_alive(facts: Mapping[str, Any]) -> Flow[Any]:
    """Renew the listen key; SessionExpired means that a new one, and so a new socket, is needed."""
    return once(listen_key("PUT"))


def account_events(event: Any) -> list[Event]:
    """What one USD-M account event means."""
    if event.get("st", 1) != 1:
        return []
    match event.get("e"):
        case "ORDER_TRADE_UPDATE":
            return _order_events(event["o"], event.get("T"))
        case "ACCOUNT_UPDATE":
            return _account_rows(event["a"], event.get("T"))
        case "ALGO_UPDATE":
            return _algo_events(event["o"], event.get("T"))
        case "TRADE_LITE" | "MARGIN_CALL" | "ACCOUNT_CONFIG_UPDATE" | "STRATEGY_UPDATE" | "GRID_UPDATE":
            return []  # an early copy of a fill; and notices whose figures come with the next reading
        case "CONDITIONAL_ORDER_TRIGGER_REJECT":
            return []
        case "listenKeyExpired":
            return [LoginLost("the listen key expired")]
        case name:
            return [Unknown(f"account event {name}", str(event)[:200])]


def _order_events(row: Any, time: int | None) -> list[Event]:
    filled = rows.money(row["z"])
    expired = {"4": EndReason.IOC_REST, "5": EndReason.POST_ONLY}.get(str(row.get("er", "")))
    update = OrderUpdate(
        wire=row["s"],
        family=FAMILY,
        venue_id=str(row["i"]),
        client_id=row["c"],
        status=rows.STATUS[row["X"]],
        side=Side(row["S"].lower()),
        kind=KINDS.get(row.get("ot") or row["o"], UNSET),
        tif=rows.TIF.get(row["f"], TimeInForce.GTC),
        price=rows.given(row["p"]),
        trigger=rows.given(row.get("sp")),
        amount=rows.given(row["q"]),
        filled=filled,
        average=rows.given(row["ap"]) if filled else UNSET,
        post_only=row["f"] == "GTX",
        reduce_only=bool(row.get("R")),
        end_reason=expired or rows.end_reason(row["X"], row["f"]),
        time=row.get("T") or time or UNSET,
    )
    if row["c"].startswith(("autoclose-", "adl_autoclose")):
        update.end_reason = EndReason.LIQUIDATION
    found: list[Event] = []
    if row["x"] in ("TRADE", "CALCULATED") and row.get("t"):
        found.append(
            Fill(
                wire=row["s"],
                family=FAMILY,
                id=str(row["t"]),
                venue_id=str(row["i"]),
                client_id=row["c"],
                side=Side(row["S"].lower()),
                price=rows.money(row["L"]),
                amount=rows.money(row["l"]),
                time=row["T"],
                fee=rows.money(row.get("n") or "0"),
                fee_asset=row.get("N") or "",
                maker=row["m"],
            )
        )
    return [*found, update]


def _account_rows(row: Any, time: int | None) -> list[Event]:
    found: list[Event] = [
        Balance(asset=part["a"], family=FAMILY, total=rows.money(part["wb"]), time=time) for part in row.get("B", ())
    ]
    for part in row.get("P", ()):
        isolated = part.get("mt") == "isolated"
        found.append(
            Position(
                wire=part["s"],
                family=FAMILY,
                size=rows.money(part["pa"]),
                entry=rows.money(part["ep"]),
                unrealised=rows.money(part["up"]),
                isolated=isolated,
                time=time,
            )
        )
    return found


def _algo_events(row: Any, time: int | None) -> list[Event]:
    status = _ALGO_STATUS.get(row["X"], UNSET)  # FINISHED: the order that it became tells the end
    update = OrderUpdate(
        wire=row["s"],
        family=FAMILY,
        venue_id=str(row["aid"]),
        client_id=row["caid"],
        status=status,
        side=Side(row["S"].lower()),
        kind=KINDS.get(row["o"], OrderKind.STOP),
        tif=rows.TIF.get(row["f"], TimeInForce.GTC),
        price=rows.given(row.get("p")),
        trigger=rows.given(row.get("tp")),
        amount=rows.given(row["q"]),
        average=rows.given(row.get("ap")),
        reduce_only=bool(row.get("R")),
        reason=row.get("rm", ""),
        time=time or UNSET,
        algo=True,
    )
    if rows.given(row.get("aq")) is not UNSET:
        update.filled = rows.money(row["aq"])
    if row["X"] == "FINISHED":
        whole = update.filled is not UNSET and update.amount is not UNSET and update.filled >= update.amount
        update.status = OrderStatus.FILLED if whole else OrderStatus.EXPIRED
    return [update]


# ---------------------------------------------------------------------------------------------------------------------


def _get(path: str, weight: float, read: Callable[[Any], Any], *params: tuple[str, str]) -> Call:
    return Call(
        endpoint=Role.REST,
        method="GET",
        path=path,
        params=params,
        read=lambda answer: read(read_json(answer)),
        costs=(Cost("REQUEST_WEIGHT", weight),),
    )


def _signed(
    method: str,
    path: str,
    weight: float,
    read: Callable[[Any], Any],
    *params: tuple[str, str],
    effect: Effect = Effect.READ,
    costs: tuple[Cost, ...] = (),
) -> Call:
    return Call(
        endpoint=Role.REST,
        method=method,
        path=path,
        params=params,
        form=method in ("POST", "PUT"),
        security=Security.SIGNED,
        effect=effect,
        read=lambda answer: read(read_json(answer)),
        costs=(Cost("REQUEST_WEIGHT", weight), *costs) if weight else costs,
    )


def _ask(method: str, params: list[tuple[str, str]], read: Callable[[Any], Any], effect: Effect) -> Ask:
    fields: dict[str, Any] = {name: int(value) if name == "orderId" else value for name, value in params}
    return Ask(
        endpoint=Role.TRADE,
        id="",
        payload={"method": method, "params": fields},
        read=lambda payload: read(read_ws(payload)),
        security=Security.SIGNED,
        effect=effect,
        costs=_ORDER_COSTS if effect is Effect.PLACE else (),
    )


def _ignore(body: Any) -> None:
    """The answer says only that it was done."""


def _named(order: OrderRef) -> list[tuple[str, str]]:
    params = [("symbol", order.instrument.wire)]
    params.append(("orderId", order.venue_id) if order.venue_id else ("origClientOrderId", order.client_id))
    return params


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


def _algo_row(row: Any) -> OrderUpdate:
    return OrderUpdate(
        wire=row["symbol"],
        venue_id=str(row["algoId"]),
        client_id=row.get("clientAlgoId", ""),
        status=_ALGO_STATUS.get(row["algoStatus"], UNSET),
        side=Side(row["side"].lower()),
        kind=KINDS.get(row.get("orderType") or row.get("type", ""), OrderKind.STOP),
        tif=rows.TIF.get(row.get("timeInForce", ""), TimeInForce.GTC),
        price=rows.given(row.get("price")),
        trigger=rows.given(row.get("triggerPrice")),
        amount=rows.given(row.get("quantity")),
        reduce_only=bool(row.get("reduceOnly")),
        created=row.get("createTime", UNSET),
        time=row.get("updateTime", UNSET),
        algo=True,
    )


def _instrument(row: Any) -> Instrument:
    filters = rows.filters_of(row)
    price = filters.get("PRICE_FILTER", {})
    tick = rows.money(price.get("tickSize", "0"))
    size = rows.size_rule(filters.get("LOT_SIZE")) or SizeRule()
    perpetual = str(row.get("contractType", "")).endswith("PERPETUAL")
    symbol = f"{row['baseAsset']}-{row['quoteAsset']}"
    if not perpetual and "_" in row["symbol"]:
        symbol += "-" + row["symbol"].partition("_")[2]
    kinds = {KINDS[name] for name in row.get("orderTypes", ()) if name in KINDS}
    return Instrument(
        venue="binance",
        family=FAMILY,
        market=Market.PERP if perpetual else Market.FUTURE,
        symbol=symbol,
        wire=row["symbol"],
        base=row["baseAsset"],
        quote=row["quoteAsset"],
        settle=row.get("marginAsset", row["quoteAsset"]),
        tick=tick,
        size=size,
        market_size=rows.size_rule(filters.get("MARKET_LOT_SIZE")),
        price_digits=decimals(tick) if tick else row.get("pricePrecision", 8),
        size_digits=decimals(size.step) if size.step else row.get("quantityPrecision", 8),
        min_price=rows.money(price.get("minPrice", "0")),
        max_price=rows.positive(price.get("maxPrice", "0")),
        min_notional=rows.money(filters.get("MIN_NOTIONAL", {}).get("notional", "0")),
        unit=Unit.BASE,
        status=InstrumentStatus.TRADING if row.get("status") == "TRADING" else InstrumentStatus.CLOSED,
        kinds=frozenset(kinds) or frozenset({OrderKind.LIMIT}),
        max_leverage=Decimal(125),
    )


def _balance(row: Any) -> Balance:
    wallet, available = rows.money(row["walletBalance"]), rows.money(row["availableBalance"])
    held = rows.money(row.get("initialMargin", "0"))
    return Balance(asset=row["asset"], family=FAMILY, total=wallet, available=available, held=held)


def _position(row: Any, config: Any) -> Position:
    config = config or {}
    liquidation = rows.money(row.get("liquidationPrice", "0"))
    mode = config.get("marginType")
    return Position(
        wire=row["symbol"],
        family=FAMILY,
        size=rows.money(row["positionAmt"]),
        entry=rows.money(row["entryPrice"]),
        mark=rows.money(row["markPrice"]),
        unrealised=rows.money(row["unRealizedProfit"]),
        liquidation=liquidation if liquidation > 0 else None,
        margin=rows.money(row.get("initialMargin", "0")),
        leverage=rows.money(config["leverage"]) if "leverage" in config else None,
        isolated=None if mode is None else mode == "ISOLATED",
        time=row.get("updateTime"),
    )


__all__ = ["SessionExpired", "UsdmAccountStream", "UsdmTradeStream", "UsdmTrading", "keep_alive"]
