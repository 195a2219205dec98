"""What happens to a spot account, as Binance tells it: executionReport and outboundAccountPosition."""

from __future__ import annotations

import secrets
from decimal import Decimal
from typing import Any, Protocol

from connectors.binance.practice_terms import STATUS, status_of
from connectors.model import OrderKind, OrderStatus
from connectors.practice.terms import (
    AccountEvent,
    BalanceChanged,
    Execution,
    Filled,
    Happening,
    Order,
    OrderChanged,
    Wallet,
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
NAMES = {kind: name for name, kind in KINDS.items() if name != "LIMIT_MAKER"}


class SpotTeller(Protocol):
    """What is asked of the product: see `practice_spot.Spot`."""

    now_ms: int
    cancels: dict[int, str]
    before: dict[int, str]

    def number(self, value: Decimal | None) -> str: ...

    def symbol(self, key: str) -> str: ...


def spot_events(product: SpotTeller, event: AccountEvent) -> list[dict[str, Any]]:
    """What an event of the exchange is on the wire."""
    match event:
        case OrderChanged() if event.key.startswith("spot:"):
            return [_report(product, event)]
        case BalanceChanged() if event.balance.wallet is Wallet.SPOT:
            row = event.balance
            held = {"a": row.asset, "f": product.number(row.available), "l": product.number(row.held)}
            return [{"e": "outboundAccountPosition", "E": product.now_ms, "u": event.time, "B": [held]}]
        case Filled():
            return []  # told with the order
    return []


def _report(product: SpotTeller, event: OrderChanged) -> dict[str, Any]:
    order, number = event.order, product.number
    fill: Execution | None = event.fill
    execution = {
        Happening.ACCEPTED: "NEW",
        Happening.TRIGGERED: "NEW",
        Happening.FILLED: "TRADE",
        Happening.AMENDED: "REPLACED",
        Happening.ENDED: STATUS[order.status] if order.status.is_final else "NEW",
    }[event.what]
    status = status_of(order)
    if event.what is Happening.ACCEPTED:
        status = "NEW"
    cancelled = execution == "CANCELED"
    report: dict[str, Any] = {
        "e": "executionReport",
        "E": product.now_ms,
        "s": product.symbol(order.key),
        "c": product.cancels.get(order.id, f"cx{secrets.token_hex(10)}") if cancelled else order.client_id,
        "S": order.side.upper(),
        "o": type_of(order),
        "f": order.tif.upper() if order.kind is not OrderKind.MARKET else "GTC",
        "q": number(order.amount if order.amount is not None else order.filled),
        "p": number(order.price),
        "P": number(order.trigger),
        "F": "0.00000000",
        "g": -1,
        "C": order.client_id if cancelled else product.before.get(order.id, ""),
        "x": execution,
        "X": status,
        "r": "NONE",
        "i": order.id,
        "l": number(fill.size if fill else None),
        "z": number(order.filled if event.what is not Happening.ACCEPTED else None),
        "L": number(fill.price if fill else None),
        "n": number(fill.fee) if fill else "0",
        "N": fill.fee_asset if fill else None,
        "T": order.updated,
        "t": fill.trade_id if fill else -1,
        "I": event.sequence,
        "w": status in ("NEW", "PARTIALLY_FILLED") and order.status is not OrderStatus.UNTRIGGERED,
        "m": fill.maker if fill else False,
        "M": False,
        "O": order.created,
        "Z": number(order.filled_value if event.what is not Happening.ACCEPTED else None),
        "Y": number(fill.value if fill else None),
        "Q": number(order.quote_amount),
        "W": order.created,
        "V": "EXPIRE_MAKER",
    }
    return report


def type_of(order: Order) -> str:
    """The wire's word for an order's kind."""
    return "LIMIT_MAKER" if order.post_only else NAMES[order.kind]
