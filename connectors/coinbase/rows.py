"""Coinbase's rows in Fathom's words: products, orders as REST and as the user channel write them, fills, accounts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from msgspec import UNSET

from connectors.coinbase.frames import milliseconds
from connectors.coinbase.market import opened, taker
from connectors.contract import Answer
from connectors.errors import NotSupported
from connectors.model import (
    ZERO,
    Balance,
    BookSnapshot,
    Candle,
    EndReason,
    Fill,
    Instrument,
    InstrumentStatus,
    Level,
    Market,
    OrderKind,
    OrderRequest,
    OrderStatus,
    OrderUpdate,
    Side,
    SizeRule,
    Ticker,
    TimeInForce,
    Trade,
    decimals,
    plain,
)

FAMILY = "spot"
_RENAMED = {"CGLD": "CELO"}  # the venue's own name -> the usual one
_STATUS = {
    "PENDING": OrderStatus.PENDING,
    "QUEUED": OrderStatus.PENDING,
    "OPEN": OrderStatus.OPEN,
    "EDIT_QUEUED": OrderStatus.OPEN,
    "CANCEL_QUEUED": OrderStatus.OPEN,
    "FILLED": OrderStatus.FILLED,
    "CANCELLED": OrderStatus.CANCELLED,
    "EXPIRED": OrderStatus.EXPIRED,
    "FAILED": OrderStatus.REJECTED,
}
_TIF = {
    "GOOD_UNTIL_CANCELLED": TimeInForce.GTC,
    "GOOD_UNTIL_DATE_TIME": TimeInForce.GTC,
    "IMMEDIATE_OR_CANCEL": TimeInForce.IOC,
    "FILL_OR_KILL": TimeInForce.FOK,
}
_KINDS = {"LIMIT": OrderKind.LIMIT, "MARKET": OrderKind.MARKET, "STOP_LIMIT": OrderKind.STOP_LIMIT}
_UP, _DOWN = "STOP_DIRECTION_STOP_UP", "STOP_DIRECTION_STOP_DOWN"


def money(value: Any) -> Decimal:
    """A wire's number; an empty one is zero."""
    return Decimal(str(value)) if value not in (None, "") else ZERO


def given(value: Any) -> Any:
    """A positive number, else UNSET: the venue writes "" and "0" for what an order does not have."""
    number = money(value)
    return number if number > 0 else UNSET


def positive(value: Any) -> Decimal | None:
    """A bound, None where there is none."""
    number = money(value)
    return number if number > 0 else None


def asset(name: str) -> str:
    """An asset's usual name."""
    return _RENAMED.get(name, name)


def asset_at_venue(name: str) -> str:
    """The venue's name of an asset."""
    return next((theirs for theirs, usual in _RENAMED.items() if usual == name), name)


def quote_of(wire: str) -> str:
    """The asset that fees are paid in: the product's quote."""
    return asset(wire.rpartition("-")[2])


# ---------------------------------------------------------------------------------------------------------------------
# Market data


def instrument(row: Mapping[str, Any]) -> Instrument:
    """A spot product with its grid."""
    base, quote = asset(row["base_currency_id"]), asset(row["quote_currency_id"])
    tick = money(row.get("price_increment") or row["quote_increment"])
    step = money(row["base_increment"])
    closed = row.get("trading_disabled") or row.get("is_disabled") or row.get("view_only")
    status = InstrumentStatus.TRADING
    if closed or row.get("status") != "online":
        status = InstrumentStatus.CLOSED
    elif row.get("cancel_only"):
        status = InstrumentStatus.CANCEL_ONLY
    limits_only = row.get("limit_only") or row.get("post_only") or row.get("auction_mode")
    return Instrument(
        venue="coinbase",
        family=FAMILY,
        market=Market.SPOT,
        symbol=f"{base}-{quote}",
        wire=row["product_id"],
        base=base,
        quote=quote,
        settle=quote,
        tick=tick,
        size=SizeRule(step=step, minimum=money(row.get("base_min_size")), maximum=positive(row.get("base_max_size"))),
        price_digits=decimals(tick),
        size_digits=decimals(step),
        min_notional=money(row.get("quote_min_size")),
        max_notional=positive(row.get("quote_max_size")),
        quote_step=money(row.get("quote_increment")),
        status=status,
        kinds=frozenset({OrderKind.LIMIT}) if limits_only else frozenset(_KINDS.values()),
        extra={"alias": row["alias"]} if row.get("alias") else {},
    )


def book(body: Mapping[str, Any], wire: str, depth: int | None) -> BookSnapshot:
    """GET product_book; it has no number, so nothing can be joined to it."""
    rows = body["pricebook"]

    def levels(side: str) -> list[Level]:
        return [Level(float(row["price"]), float(row["size"])) for row in rows[side]]

    return BookSnapshot(
        wire=wire, bids=levels("bids"), asks=levels("asks"), depth=depth, time=milliseconds(rows.get("time", ""))
    )


def trades(body: Mapping[str, Any], wire: str) -> list[Trade]:
    """GET ticker of a product: trades newest first, with the maker's side."""
    return [
        Trade(
            wire=wire,
            price=float(row["price"]),
            amount=float(row["size"]),
            side=taker(row["side"]),
            time=milliseconds(row["time"]) or 0,
            id=str(row["trade_id"]),
        )
        for row in reversed(body["trades"])
    ]


def candles(answer: Answer, body: Mapping[str, Any], wire: str, interval: str, span_ms: int) -> list[Candle]:
    """GET candles: newest first, whole minutes without a trade are missing."""
    return [
        Candle(
            wire=wire,
            interval=interval,
            start=int(row["start"]) * 1000,
            open=float(row["open"]),
            high=float(row["high"]),
            low=float(row["low"]),
            close=float(row["close"]),
            volume=float(row["volume"]),
            closed=bool(answer.got_at) and int(row["start"]) * 1000 + span_ms <= answer.got_at,
        )
        for row in reversed(body["candles"])
    ]


def statistics(row: Mapping[str, Any]) -> Ticker:
    """What the list of products tells of the last 24 h."""

    def number(name: str) -> float | None:
        return float(row[name]) if row.get(name) not in (None, "") else None

    last = number("price")
    return Ticker(
        wire=row["product_id"],
        bid=number("best_bid_price"),
        ask=number("best_ask_price"),
        last=last,
        open=opened(last, number("price_percentage_change_24h")),
        volume=number("volume_24h"),
        quote_volume=number("approximate_quote_24h_volume"),
    )


# ---------------------------------------------------------------------------------------------------------------------
# Account


def balances(accounts: Iterable[Mapping[str, Any]]) -> list[Balance]:
    """Wallets by currency; vaults, and what belongs to futures, can't be drawn on by spot orders."""
    free: dict[str, Decimal] = {}
    held: dict[str, Decimal] = {}
    for row in accounts:
        if str(row.get("type", "")).endswith("VAULT") or row.get("platform") in (
            "ACCOUNT_PLATFORM_CFM_CONSUMER",
            "ACCOUNT_PLATFORM_INTX",
        ):
            continue
        name = asset(row["currency"])
        free[name] = free.get(name, ZERO) + money(row["available_balance"]["value"])
        held[name] = held.get(name, ZERO) + money((row.get("hold") or {}).get("value"))
    return [
        Balance(asset=name, family=FAMILY, total=free[name] + held[name], available=free[name], held=held[name])
        for name in free
        if free[name] or held[name]
    ]


def fill(row: Mapping[str, Any]) -> Fill:
    """GET fills. The id is the venue's; the runtime names derived fills anew."""
    price, size = money(row["price"]), money(row["size"])
    liquidity = str(row.get("liquidity_indicator", ""))
    return Fill(
        wire=row["product_id"],
        family=FAMILY,
        id=str(row["trade_id"]),
        venue_id=row["order_id"],
        client_id="",
        side=Side(row["side"].lower()),
        price=price,
        amount=size / price if row.get("size_in_quote") else size,
        time=milliseconds(row["trade_time"]) or 0,
        fee=money(row.get("commission")),
        fee_asset=quote_of(row["product_id"]),
        maker={"MAKER": True, "TAKER": False}.get(liquidity),
    )


# ---------------------------------------------------------------------------------------------------------------------
# Orders


def configuration(order: OrderRequest) -> dict[str, dict[str, Any]]:
    """The `order_configuration` of a request. Raises NotSupported for what the venue does not offer."""
    if order.reduce_only:
        raise NotSupported("Coinbase spot has no reduce-only orders")
    if order.quote_amount is not None and (order.kind is not OrderKind.MARKET or order.side is Side.SELL):
        raise NotSupported("Coinbase takes an amount of money for market buys only")
    if order.kind is OrderKind.MARKET:
        if order.quote_amount is not None:
            return {"market_market_ioc": {"quote_size": plain(order.quote_amount)}}
        return {"market_market_ioc": {"base_size": _size(order)}}
    if order.kind not in _KINDS.values() or order.price is None:
        raise NotSupported(f"Coinbase has no {order.kind} orders")
    fields: dict[str, Any] = {"base_size": _size(order), "limit_price": plain(order.price)}
    if order.kind is OrderKind.STOP_LIMIT:
        if order.tif is not TimeInForce.GTC or order.post_only or order.trigger is None:
            raise NotSupported("a stop-limit order of Coinbase rests until cancelled and may take")
        direction = _UP if order.side is Side.BUY else _DOWN
        return {
            "stop_limit_stop_limit_gtc": {**fields, "stop_price": plain(order.trigger), "stop_direction": direction}
        }
    if order.tif is TimeInForce.IOC:
        return {"sor_limit_ioc": fields}
    if order.tif is TimeInForce.FOK:
        return {"limit_limit_fok": fields}
    return {"limit_limit_gtc": {**fields, "post_only": order.post_only}}


def _size(order: OrderRequest) -> str:
    if order.amount is None:
        raise NotSupported("this order needs an amount")
    return plain(order.amount)


def placed(order: OrderRequest, body: Mapping[str, Any]) -> OrderUpdate:
    """A taken order: received, no more is known."""
    row = body.get("success_response") or body
    return OrderUpdate(
        wire=row.get("product_id") or order.instrument.wire,
        family=FAMILY,
        venue_id=row["order_id"],
        client_id=row.get("client_order_id") or order.client_id,
        status=OrderStatus.PENDING,
        side=Side(row["side"].lower()) if row.get("side") else order.side,
        kind=order.kind,
    )


def order(row: Mapping[str, Any]) -> OrderUpdate:
    """An order as REST writes it."""
    name, terms = next(iter((row.get("order_configuration") or {}).items()), ("", None))
    terms = terms or {}
    tif = _TIF.get(row.get("time_in_force", ""))
    update = _state(row, filled=row.get("filled_size"), average=row.get("average_filled_price"), tif=tif)
    update.side = Side(row["side"].lower())
    update.kind = _kind(row.get("order_type", ""), name, terms, update.side)
    update.price = given(terms.get("limit_price"))
    update.trigger = given(terms.get("stop_price") or terms.get("stop_trigger_price"))
    update.amount = given(terms.get("base_size"))
    update.quote_amount = given(terms.get("quote_size"))
    update.post_only = bool(terms.get("post_only"))
    update.created = milliseconds(row.get("created_time") or "") or UNSET
    update.time = milliseconds(row.get("last_fill_time") or "") or UNSET
    return update


def user_order(row: Mapping[str, Any], time: int | None, *, listed: bool) -> OrderUpdate:
    """An order as the user channel writes it: amounts so far, `leaves_quantity` only while it lives."""
    tif = _TIF.get(row.get("time_in_force", ""))
    update = _state(row, filled=row.get("cumulative_quantity"), average=row.get("avg_price"), tif=tif)
    if row.get("order_side"):
        update.side = Side(row["order_side"].lower())
    side = update.side if update.side is not UNSET else Side.BUY
    update.kind = _kind(str(row.get("order_type", "")).upper().replace(" ", "_"), "", {}, side)
    update.price = given(row.get("limit_price"))
    update.trigger = given(row.get("stop_price"))
    lives = update.status is not UNSET and not update.status.is_final
    if lives and update.kind is not OrderKind.MARKET and row.get("leaves_quantity") not in (None, ""):
        update.amount = given(money(row.get("cumulative_quantity")) + money(row["leaves_quantity"]))
    if row.get("post_only") not in (None, ""):
        update.post_only = str(row["post_only"]).lower() == "true"
    update.created = milliseconds(row.get("creation_time") or "") or UNSET
    update.time = time if time is not None else UNSET
    update.listed = listed
    return update


def _kind(word: str, name: str, terms: Mapping[str, Any], side: Side) -> Any:
    if "stop_direction" in terms:
        ahead = (terms["stop_direction"] == _UP) is (side is Side.BUY)
        return OrderKind.STOP_LIMIT if ahead else OrderKind.TAKE_PROFIT_LIMIT
    if word in _KINDS:
        return _KINDS[word]
    return OrderKind.MARKET if name.startswith("market_") else OrderKind.LIMIT if "limit" in name else UNSET


def _state(row: Mapping[str, Any], *, filled: Any, average: Any, tif: TimeInForce | None) -> OrderUpdate:
    """Names, status, and what was filled at which cost: what both spellings share."""
    update = OrderUpdate(
        wire=row["product_id"],
        family=FAMILY,
        venue_id=row["order_id"],
        client_id=row.get("client_order_id") or "",
    )
    word = str(row.get("status", ""))
    amount = money(filled) if filled not in (None, "") else None
    status = _STATUS.get(word)  # UNKNOWN_ORDER_STATUS keeps what was known
    if status is OrderStatus.OPEN and row.get("trigger_status") == "STOP_PENDING":
        status = OrderStatus.UNTRIGGERED
    elif status is OrderStatus.OPEN and amount:
        status = OrderStatus.PARTLY_FILLED
    elif status is OrderStatus.CANCELLED and tif in (TimeInForce.IOC, TimeInForce.FOK):
        status = OrderStatus.EXPIRED  # the rest of what may not rest
        update.end_reason = EndReason.FOK if tif is TimeInForce.FOK else EndReason.IOC_REST
    elif status is OrderStatus.CANCELLED:
        update.end_reason = EndReason.USER
    elif status is OrderStatus.EXPIRED:
        update.end_reason = EndReason.EXPIRED
    if status is not None:
        update.status = status
    update.tif = tif if tif is not None else UNSET
    if amount is not None:
        update.filled = amount
        value = money(row.get("filled_value"))
        if amount:
            update.average = value / amount if value else given(average)
    if row.get("total_fees") not in (None, ""):
        update.fee = money(row["total_fees"])
        update.fee_asset = quote_of(row["product_id"])
    words = (row.get(name) or "" for name in ("reject_message", "reject_reason", "cancel_message", "cancel_reason"))
    update.reason = next((text for text in words if text and text != "REJECT_REASON_UNSPECIFIED"), "")
    return update
