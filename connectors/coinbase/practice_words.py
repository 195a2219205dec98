"""Coinbase's words for an order, and its name, as both REST and the user channel spell them."""

from __future__ import annotations

import uuid
from decimal import Decimal

from connectors.coinbase.practice_terms import ApiError
from connectors.model import EndReason, OrderKind, OrderStatus, Side, TimeInForce
from connectors.practice.terms import Order

_SALT = 0xC01BA5E0 << 96  # makes engine numbers look like the venue's ids
_TIFS = {
    TimeInForce.GTC: "GOOD_UNTIL_CANCELLED",
    TimeInForce.IOC: "IMMEDIATE_OR_CANCEL",
    TimeInForce.FOK: "FILL_OR_KILL",
}


def status_word(order: Order) -> str:
    """An IOC's, FOK's or market order's rest, and one that met another of its owner, end as CANCELLED."""
    match order.status:
        case OrderStatus.FILLED:
            return "FILLED"
        case OrderStatus.CANCELLED:
            return "CANCELLED"
        case OrderStatus.REJECTED:
            return "FAILED"
        case OrderStatus.EXPIRED:
            return "EXPIRED" if order.end_reason is EndReason.EXPIRED else "CANCELLED"
        case OrderStatus.PENDING:
            return "PENDING"
    return "OPEN"


def tif_word(order: Order) -> str:
    """Market orders are immediate."""
    if order.expires is not None:
        return "GOOD_UNTIL_DATE_TIME"
    return _TIFS[TimeInForce.IOC if order.kind is OrderKind.MARKET else order.tif]


def type_word(order: Order) -> str:
    """As the user channel spells it."""
    if order.kind.has_trigger:
        return "Stop Limit"
    return "Market" if order.kind is OrderKind.MARKET else "Limit"


def trigger_word(order: Order) -> str:
    """Whether a stop waits."""
    if not order.kind.has_trigger:
        return "INVALID_ORDER_TYPE"
    return "STOP_TRIGGERED" if order.triggered is not None else "STOP_PENDING"


def cancel_word(order: Order) -> str:
    """Why it ended early."""
    if order.status is OrderStatus.CANCELLED and order.end_reason is EndReason.USER:
        return "User requested cancel"
    return order.text if status_word(order) == "CANCELLED" else ""


def completion(order: Order) -> str:
    """Per cent of what was asked for."""
    if order.status is OrderStatus.FILLED:
        return "100"
    return f"{order.filled / order.amount * 100:.2f}" if order.amount and order.filled else "0"


def after_fees(order: Order) -> Decimal:
    """What it came to with fees: more for a buy, less for a sale."""
    return order.filled_value + (order.fee if order.side is Side.BUY else -order.fee)


def uuid_of(number: int) -> str:
    """The venue's name of an order."""
    return str(uuid.UUID(int=_SALT | number))


def number_of(name: str) -> int:
    """The reverse. ApiError 404."""
    try:
        number = uuid.UUID(name).int ^ _SALT
    except ValueError:
        raise ApiError(404, "not_found") from None
    if not 0 < number < 2**63:
        raise ApiError(404, "not_found")
    return number
