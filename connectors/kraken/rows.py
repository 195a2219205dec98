"""Rows of Kraken's REST API as values of the model: instruments, orders, fills, balances, candles, statistics."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from msgspec import UNSET

from connectors.kraken.market import INTERVALS
from connectors.kraken.names import Names, wire_of
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
    OrderStatus,
    OrderUpdate,
    Side,
    SizeRule,
    Ticker,
    TimeInForce,
    Trade,
)

KINDS = {
    "limit": OrderKind.LIMIT,
    "iceberg": OrderKind.LIMIT,
    "market": OrderKind.MARKET,
    "settle-position": OrderKind.MARKET,
    "stop-loss": OrderKind.STOP,
    "trailing-stop": OrderKind.STOP,
    "stop-loss-limit": OrderKind.STOP_LIMIT,
    "trailing-stop-limit": OrderKind.STOP_LIMIT,
    "take-profit": OrderKind.TAKE_PROFIT,
    "take-profit-limit": OrderKind.TAKE_PROFIT_LIMIT,
}
TYPES = {
    OrderKind.LIMIT: "limit",
    OrderKind.MARKET: "market",
    OrderKind.STOP: "stop-loss",
    OrderKind.STOP_LIMIT: "stop-loss-limit",
    OrderKind.TAKE_PROFIT: "take-profit",
    OrderKind.TAKE_PROFIT_LIMIT: "take-profit-limit",
}
STATUS = {
    "pending": OrderStatus.PENDING,
    "open": OrderStatus.OPEN,
    "closed": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELLED,
    "expired": OrderStatus.EXPIRED,
}
TIF = {"gtc": TimeInForce.GTC, "gtd": TimeInForce.GTC, "ioc": TimeInForce.IOC, "fok": TimeInForce.FOK}
_ALL = frozenset(OrderKind)
_LIMITS = frozenset({OrderKind.LIMIT})
_MODES = {  # anything else: closed
    "online": (InstrumentStatus.TRADING, _ALL),
    "post_only": (InstrumentStatus.TRADING, _LIMITS),
    "limit_only": (InstrumentStatus.TRADING, _LIMITS),
    "cancel_only": (InstrumentStatus.CANCEL_ONLY, _ALL),
    "reduce_only": (InstrumentStatus.CANCEL_ONLY, _ALL),  # spot without margin has nothing to reduce
}


def money(value: Any) -> Decimal:
    """A number of the wire, text or not, as Decimal."""
    return Decimal(str(value))


def given(value: Any) -> Any:
    """A positive number as Decimal, else UNSET: zero stands for a price that an order does not have, and orders that were placed
    elsewhere may have one relative to the market (+5%, #2, -1).
    """
    if value is None or value == "" or str(value)[0] in "+-#" or str(value)[-1] == "%":
        return UNSET
    number = money(value)
    return number if number > 0 else UNSET


def ms(seconds: Any) -> int:
    """Milliseconds of a time in seconds with a fraction."""
    return int(money(seconds) * 1000)


def instruments(rows: Mapping[str, Any]) -> list[Instrument]:
    """AssetPairs. Pairs of other execution venues, and those that the stream does not know, are left out."""
    return [
        instrument(name, row)
        for name, row in rows.items()
        if row.get("wsname")
        and ":" not in row["wsname"]
        and row.get("execution_venue", "international") == "international"
    ]


def instrument(name: str, row: Mapping[str, Any]) -> Instrument:
    """One pair; lists before 2022 lack tick, smallest cost and status."""
    wire = wire_of(row["wsname"])
    base, _, quote = wire.partition("/")
    digits, lot_digits = int(row["pair_decimals"]), int(row["lot_decimals"])
    tick = money(row["tick_size"]) if "tick_size" in row else Decimal(1).scaleb(-digits)
    status, kinds = _MODES.get(row.get("status", "online"), (InstrumentStatus.CLOSED, _ALL))
    return Instrument(
        venue="kraken",
        family="spot",
        market=Market.SPOT,
        symbol=f"{base}-{quote}",
        wire=wire,
        base=base,
        quote=quote,
        settle=quote,
        tick=tick,
        size=SizeRule(step=Decimal(1).scaleb(-lot_digits), minimum=money(row.get("ordermin", 0))),
        price_digits=digits,
        size_digits=lot_digits,
        min_notional=money(row.get("costmin", 0)),
        quote_step=Decimal(1).scaleb(-int(row.get("cost_decimals", 5))),
        status=status,
        kinds=kinds,
        extra={"pair": row.get("altname", name), "id": name},
    )


def only(result: Mapping[str, Any]) -> Any:
    """What stands under the pair's name, whichever of its names that is."""
    return next(value for name, value in result.items() if name != "last")


def book(result: Any, wire: str, depth: int | None) -> BookSnapshot:
    """Depth, to compare with: it can't be joined to the stream."""
    body = only(result)
    return BookSnapshot(
        wire=wire,
        bids=[Level(float(row[0]), float(row[1])) for row in body["bids"]],
        asks=[Level(float(row[0]), float(row[1])) for row in body["asks"]],
        depth=depth,
    )


def public_trades(result: Any, wire: str) -> list[Trade]:
    """Trades: price, volume, seconds, taker's side as one letter, order type, misc, id."""
    return [
        Trade(
            wire=wire,
            price=float(row[0]),
            amount=float(row[1]),
            side=Side.BUY if row[3] == "b" else Side.SELL,
            time=ms(row[2]),
            id=str(row[6]) if len(row) > 6 else "",
        )
        for row in only(result)
    ]


def candles(result: Any, wire: str, interval: str, now: int) -> list[Candle]:
    """OHLC: seconds, open, high, low, close, mean, volume, count. What another row follows is over, the last one by our clock."""
    span, found = INTERVALS[interval] * 60_000, only(result)
    return [
        Candle(
            wire=wire,
            interval=interval,
            start=row[0] * 1000,
            open=float(row[1]),
            high=float(row[2]),
            low=float(row[3]),
            close=float(row[4]),
            volume=float(row[6]),
            closed=number < len(found) or (bool(now) and row[0] * 1000 + span <= now),
            quote_volume=float(row[5]) * float(row[6]),
        )
        for number, row in enumerate(found, 1)
    ]


def ticker(wire: str, row: Any) -> Ticker:
    """Ticker: pairs of [today, 24 h]. `o` is today's opening, so the price of 24 h ago is not told."""
    volume = float(row["v"][1])
    return Ticker(
        wire=wire,
        bid=float(row["b"][0]),
        bid_size=float(row["b"][2]),
        ask=float(row["a"][0]),
        ask_size=float(row["a"][2]),
        last=float(row["c"][0]),
        high=float(row["h"][1]),
        low=float(row["l"][1]),
        volume=volume,
        quote_volume=volume * float(row["p"][1]),
    )


def balances(result: Mapping[str, Any], names: Names) -> list[Balance]:
    """BalanceEx; what is staked or lent is an asset of its own that can't be traded."""
    found = []
    for name, row in result.items():
        total, held = money(row["balance"]), money(row.get("hold_trade", 0))
        credit = money(row.get("credit", 0)) - money(row.get("credit_used", 0))
        if total or held or credit:
            available = ZERO if "." in name else max(ZERO, total + credit - held)
            found.append(Balance(asset=names.asset(name), family="spot", total=total, available=available, held=held))
    return found


def order(txid: str, row: Mapping[str, Any], names: Names) -> OrderUpdate:
    """An order of OpenOrders, QueryOrders and ClosedOrders. For stop types `price` is the trigger, `price2` the limit."""
    descr = row["descr"]
    kind = KINDS.get(descr["ordertype"])  # placed elsewhere, it may be of a sort that is not offered here
    waiting = kind is not None and kind.has_trigger
    limited = kind is not None and kind.has_price
    flags = (row.get("oflags") or "").split(",")
    wire = names.wire(descr["pair"])
    trigger = given(descr["price"])  # a trailing one is relative: where it stands is told beside it
    amount, filled = money(row["vol"]), money(row["vol_exec"])
    status = STATUS[row["status"]]
    if status is OrderStatus.OPEN and filled > 0:
        status = OrderStatus.PARTLY_FILLED
    started = given(row.get("limitprice")) is not UNSET or any(
        word in (row.get("misc") or "") for word in ("stopped", "touched")
    )
    if waiting and not filled and not started and status in (OrderStatus.OPEN, OrderStatus.PENDING):
        status = OrderStatus.UNTRIGGERED
    update = OrderUpdate(
        wire=wire,
        family="spot",
        venue_id=txid,
        client_id=row.get("cl_ord_id") or "",
        status=status,
        side=Side(descr["type"]),
        kind=kind if kind is not None else UNSET,
        price=given(descr["price2"] if waiting else descr["price"]) if limited else UNSET,
        trigger=(trigger if trigger is not UNSET else given(row.get("stopprice"))) if waiting else UNSET,
        filled=filled,
        fee=money(row["fee"]),
        fee_asset=wire.partition("/")[0 if "fcib" in flags else 2],
        post_only="post" in flags,
        reason=row.get("reason") or "",
        created=ms(row["opentm"]),
        time=ms(row["closetm"]) if row.get("closetm") else UNSET,  # when it was changed last is not told
    )
    if "viqc" in flags:
        update.quote_amount = amount
        if not _in_base(filled, money(row["cost"]), money(row["price"])):
            update.filled = UNSET
    else:
        update.amount = amount
    if update.filled is not UNSET and filled > 0:
        update.average = money(row["cost"]) / filled  # the reported one is rounded up to the tick
    tif = (row.get("timeinforce") or "").lower()
    if tif in TIF:
        update.tif = TIF[tif]
    if status.is_final and status is not OrderStatus.FILLED:
        update.end_reason = end_reason(row["status"], update.reason, tif)
    return update


def _in_base(filled: Decimal, cost: Decimal, average: Decimal) -> bool:
    """Whether the filled volume of an order by money is told in base; the documentation leaves that open."""
    if not filled:
        return True
    return abs(filled - cost) > Decimal("0.00001") and abs(cost / filled - average) <= average * Decimal("0.005")


def end_reason(status: str, words: str, tif: str) -> EndReason:
    """Why an order ended, as far as the venue's words tell."""
    lower = words.lower()
    if "user" in lower:
        return EndReason.USER
    if "post only" in lower or "post_only" in lower:
        return EndReason.POST_ONLY
    if "self" in lower:
        return EndReason.SELF_TRADE
    if status == "expired":
        return EndReason.EXPIRED
    return {"ioc": EndReason.IOC_REST, "fok": EndReason.FOK}.get(tif.lower(), EndReason.OTHER)


def fill(txid: str, row: Mapping[str, Any], wire: str) -> Fill:
    """TradesHistory; the fee is in quote."""
    return Fill(
        wire=wire,
        family="spot",
        id=txid,
        venue_id=row["ordertxid"],
        client_id="",
        side=Side(row["type"]),
        price=money(row["price"]),
        amount=money(row["vol"]),
        time=ms(row["time"]),
        fee=money(row["fee"]),
        fee_asset=wire.partition("/")[2],
        maker=row.get("maker"),
    )
