"""What both of Binance's products say alike, from the venue's side: intervals, words for a status, errors, parameters."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from connectors.model import EndReason, InstrumentStatus, OrderStatus
from connectors.practice.terms import Order

INTERVALS = {
    "1s": 1_000,
    "1m": 60_000,
    "3m": 180_000,
    "5m": 300_000,
    "15m": 900_000,
    "30m": 1_800_000,
    "1h": 3_600_000,
    "2h": 7_200_000,
    "4h": 14_400_000,
    "6h": 21_600_000,
    "8h": 28_800_000,
    "12h": 43_200_000,
    "1d": 86_400_000,
    "3d": 259_200_000,
    "1w": 604_800_000,
    "1M": 2_592_000_000,
}
MONDAY = 4 * 86_400_000
STATUS = {
    OrderStatus.PENDING: "NEW",
    OrderStatus.UNTRIGGERED: "NEW",
    OrderStatus.OPEN: "NEW",
    OrderStatus.PARTLY_FILLED: "PARTIALLY_FILLED",
    OrderStatus.FILLED: "FILLED",
    OrderStatus.CANCELLED: "CANCELED",
    OrderStatus.REJECTED: "REJECTED",
    OrderStatus.EXPIRED: "EXPIRED",
}
encode = msgspec.json.Encoder().encode


class ApiError(Exception):
    """An error envelope of the venue. `retry_at` (ms): from when it listens again; `data`: what it adds to the envelope."""

    def __init__(
        self, code: int, text: str, status: int = 400, *, retry_at: int | None = None, data: Any = None
    ) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.status = status
        self.retry_at = retry_at
        self.data = data

    @property
    def body(self) -> dict[str, Any]:
        """The envelope."""
        return {"code": self.code, "msg": self.text} | ({} if self.data is None else {"data": self.data})


def status_of(order: Order) -> str:
    """The wire's word for how an order stands."""
    if order.status is OrderStatus.EXPIRED and order.end_reason is EndReason.SELF_TRADE:
        return "EXPIRED_IN_MATCH"
    return STATUS[order.status]


def dec(value: str, name: str) -> Decimal:
    """A decimal parameter; the venue refuses exponents and words."""
    try:
        if not value or any(letter not in "0123456789." for letter in value):
            raise ValueError
        return Decimal(value)
    except (ValueError, ArithmeticError):
        raise ApiError(
            -1100,
            f"Illegal characters found in parameter '{name}'; legal range is '^([0-9]{{1,20}})(\\.[0-9]{{1,20}})?$'.",
        ) from None


def tradable(status: InstrumentStatus) -> str:
    """A listing's status on the wire."""
    words = {
        InstrumentStatus.TRADING: "TRADING",
        InstrumentStatus.CANCEL_ONLY: "CANCEL_ONLY",
        InstrumentStatus.CLOSED: "HALT",
    }
    return words[status]
