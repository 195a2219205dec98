"""Rows that both of KuCoin's products share: images, bars, orders with their executions, and what numbers and times mean."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from connectors.contract import Event, Unknown
from connectors.kucoin.market import ms
from connectors.model import (
    BookSnapshot,
    Candle,
    EndReason,
    Fill,
    Level,
    OrderKind,
    OrderStatus,
    OrderUpdate,
    Side,
    TimeInForce,
)

TIF = {"GTC": TimeInForce.GTC, "GTT": TimeInForce.GTC, "IOC": TimeInForce.IOC, "FOK": TimeInForce.FOK}
_RULED = {TimeInForce.IOC: EndReason.IOC_REST, TimeInForce.FOK: EndReason.FOK}

_STOP_EVENTS = {
    "open": OrderStatus.UNTRIGGERED,
    "triggered": OrderStatus.OPEN,
    "cancel": OrderStatus.CANCELLED,
}


exact = msgspec.json.Decoder(float_hook=Decimal).decode  # numbers keep the digits of the wire


def moment(time: Any) -> int | UnsetType:
    """A time of any unit as ms, UNSET where there is none."""
    found = ms(int(time)) if time not in (None, "") else None
    return found if found is not None else UNSET


def ident(value: Any) -> str:
    """An order's id: text on this venue. Raises TypeError for anything else, since it could not be found again."""
    if not isinstance(value, str) or not value:
        raise TypeError("an order's id is text")
    return value


def given(value: Any) -> Any:
    """A positive number as Decimal, else UNSET: "0" and "" stand for prices and sizes that an order does not have."""
    if value is None or value == "":
        return UNSET
    number = Decimal(str(value))
    return number if number > 0 else UNSET


def image(body: Any, wire: str, depth: int | None, time: int | None) -> BookSnapshot:
    """A whole book; its number is that of the last update in it."""
    return BookSnapshot(
        wire=wire,
        bids=[Level(float(row[0]), float(row[1])) for row in body["bids"] or ()],
        asks=[Level(float(row[0]), float(row[1])) for row in body["asks"] or ()],
        id=int(body["sequence"]),
        depth=depth,
        time=time,
    )


def bar(wire: str, interval: str, start: int, figures: tuple[Any, ...], turnover: Any = None) -> Candle:
    """`start` in ms, `figures` open, high, low, close, volume. Whether a bar is over is not told."""
    first, high, low, close, volume = map(float, figures)
    return Candle(
        wire=wire,
        interval=interval,
        start=start,
        open=first,
        high=high,
        low=low,
        close=close,
        volume=volume,
        closed=False,
        quote_volume=float(turnover) if turnover is not None else None,
    )


def settle(update: OrderUpdate, *, active: Any, cancelled: Any, waits: bool = False) -> None:
    """The status of an order in a list: `waits` for its trigger, is `active`, or ended, `cancelled` or filled."""
    if active:
        update.status = OrderStatus.PARTLY_FILLED if update.filled else OrderStatus.OPEN
        update.status = OrderStatus.UNTRIGGERED if waits else update.status
    elif cancelled:  # the rest of a market order, or what the time in force ruled out, was ended by the venue
        market = update.kind in (OrderKind.MARKET, OrderKind.STOP, OrderKind.TAKE_PROFIT)
        ruled = EndReason.IOC_REST if market else _RULED.get(update.tif)
        update.status = OrderStatus.EXPIRED if ruled else OrderStatus.CANCELLED
        update.end_reason = ruled or UNSET
    else:
        update.status = OrderStatus.FILLED


def fill(row: Any, family: str, time: int, fee_asset: str) -> Fill:
    """An execution of the list, which tells its fee and not our id."""
    return Fill(
        wire=row["symbol"],
        family=family,
        id=str(row["tradeId"]),
        venue_id=ident(row["orderId"]),
        client_id="",
        side=Side(row["side"]),
        price=Decimal(str(row["price"])),
        amount=Decimal(str(row["size"])),
        time=time,
        fee=Decimal(str(row["fee"])),
        fee_asset=fee_asset,
        maker=row["liquidity"] == "maker",
    )


def stop_event(row: Any, family: str, rises: str, *, algo: bool) -> Event:
    """What happened to a stop order. `rises`: the product's word for a trigger above the price."""
    status = _STOP_EVENTS.get(row["type"])
    if status is None:
        return Unknown(f"stop order event {row['type']}", str(row)[:200])
    side, price = Side(row["side"]), given(row.get("orderPrice"))
    return OrderUpdate(
        wire=row["symbol"],
        family=family,
        venue_id=ident(row["orderId"]),
        client_id=row.get("clientOid") or "",
        status=status,
        side=side,
        kind=stop_kind(side, row.get("stop") == rises, limit=price is not UNSET),
        price=price,
        trigger=given(row.get("stopPrice")),
        amount=given(row.get("size")),
        created=moment(row.get("createdAt")),
        time=moment(row.get("ts")),
        algo=algo,
    )


def order_events(row: Any, family: str, new: set[str]) -> list[Event]:
    """An order event of either family, its execution first. `new`: orders received on this connection and not yet open."""
    kind, number = row["type"], ident(row["orderId"])
    filled = Decimal(row["filledSize"]) if row.get("filledSize") not in (None, "") else UNSET
    market = row.get("orderType") == "market"
    update = OrderUpdate(
        wire=row["symbol"],
        family=family,
        venue_id=number,
        client_id=row.get("clientOid") or "",
        side=Side(row["side"]),
        price=UNSET if market else given(row.get("price")),
        amount=given(row.get("size")) if row.get("size") else given(row.get("originSize")),
        quote_amount=given(row.get("originFunds")) if market else UNSET,
        filled=filled,
        time=moment(row.get("ts")),
        created=moment(row.get("orderTime")),
    )
    if row.get("orderType") in ("limit", "market"):
        update.kind = OrderKind(row["orderType"])
    found: list[Event] = []
    match kind:
        case "received":
            update.status = OrderStatus.PENDING
            new.add(number)
        case "open" | "update":
            update.status = OrderStatus.PARTLY_FILLED if filled else OrderStatus.OPEN
            new.discard(number)
        case "match":
            whole = not market and row.get("remainSize") not in (None, "") and not Decimal(row["remainSize"])
            update.status = OrderStatus.FILLED if whole else OrderStatus.PARTLY_FILLED
            found.append(_event_fill(row, family))
        case "filled":
            update.status = OrderStatus.FILLED
            new.discard(number)
        case "canceled":
            # an order that never rested was ended by the venue: an IOC's or market's rest, post-only, fill-or-kill
            ruled = number in new or market
            update.status = OrderStatus.EXPIRED if ruled else OrderStatus.CANCELLED
            update.end_reason = EndReason.OTHER if ruled else UNSET
            new.discard(number)
        case _:
            return [Unknown(f"order event {kind}", str(row)[:200])]
    return [*found, update]


def _event_fill(row: Any, family: str) -> Fill:
    """The execution that a match carries. Its fee is told by the list of fills only."""
    return Fill(
        wire=row["symbol"],
        family=family,
        id=str(row["tradeId"]),
        venue_id=ident(row["orderId"]),
        client_id=row.get("clientOid") or "",
        side=Side(row["side"]),
        price=Decimal(row["matchPrice"]),
        amount=Decimal(row["matchSize"]),
        time=ms(int(row["ts"])) or 0,
        maker=row["liquidity"] == "maker" if row.get("liquidity") else None,
    )


def stop_kind(side: Side, rises: bool, *, limit: bool) -> OrderKind:
    """A stop follows the price in its order's direction, a take-profit waits for it on the other side."""
    if rises is (side is Side.BUY):
        return OrderKind.STOP_LIMIT if limit else OrderKind.STOP
    return OrderKind.TAKE_PROFIT_LIMIT if limit else OrderKind.TAKE_PROFIT
