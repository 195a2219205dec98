"""How BitMEX's own end reads the parameters of a request, and how it refuses one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from connectors.bitmex.practice_rows import stamp
from connectors.practice.listings import Listing
from connectors.practice.protocol import HttpRequest
from connectors.practice.terms import Refusal, RefusalKind


class ApiError(Exception):
    """An error message of the venue with its HTTP status."""

    def __init__(
        self, status: int, text: str, name: str = "HTTPError", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.name = name
        self.headers = dict(headers or {})


_REFUSALS = {
    RefusalKind.CLIENT_ID: "Duplicate clOrdID",
    RefusalKind.PRICE_TICK: "Invalid price tickSize",
    RefusalKind.PRICE_BOUNDS: "Invalid price",
    RefusalKind.SIZE_LOT: "Invalid orderQty",
    RefusalKind.SIZE_MINIMUM: "orderQty is invalid",
    RefusalKind.SIZE_MAXIMUM: "orderQty is invalid",
    RefusalKind.WOULD_TRIGGER: "Invalid stopPx for ordType",
    RefusalKind.TOO_MANY_ORDERS: "Too many open orders",
    RefusalKind.MARKET_CLOSED: "Instrument is closed",
    RefusalKind.ORDER_ENDED: "Invalid ordStatus",
    RefusalKind.NOTHING_TO_CHANGE: "Invalid amend: orderQty, leavesQty, price, stopPx unchanged",
    RefusalKind.LEVERAGE: "leverage is invalid",
    RefusalKind.POST_ONLY: "Order had execInst of ParticipateDoNotInitiate",
    RefusalKind.UNSUPPORTED: "execInst is invalid",
}


def refusal_error(refusal: Refusal) -> ApiError:
    """The exchange's refusal in the venue's words."""
    if refusal.kind is RefusalKind.UNKNOWN_ORDER:
        return ApiError(404, "Not Found")
    if refusal.kind in (RefusalKind.MARGIN, RefusalKind.FUNDS):
        return ApiError(400, f"Account has insufficient Available Balance, {refusal.text}", "ValidationError")
    return ApiError(400, _REFUSALS.get(refusal.kind, refusal.text), "ValidationError")


def listing_of(symbols: Mapping[str, Listing], params: Mapping[str, Any]) -> Listing:
    """By `symbol`; a root symbol is its perpetual in USD. Raises ApiError."""
    symbol = str(params.get("symbol", ""))
    found = symbols.get(symbol) or symbols.get(f"{symbol}USD")
    if found is None:
        raise ApiError(400, "Invalid symbol", "ValidationError")
    return found


def params_of(request: HttpRequest) -> dict[str, Any]:
    """Query, form and JSON body together; numbers keep their digits."""
    found: dict[str, Any] = dict(request.params)
    if request.body[:1] == b"{":
        found.update(msgspec.json.Decoder(float_hook=Decimal).decode(request.body))
    return found


def filter_of(params: Mapping[str, Any]) -> dict[str, Any]:
    """`filter`: JSON in the query, an object in a body."""
    value = params.get("filter") or {}
    return msgspec.json.decode(value) if isinstance(value, str) else dict(value)


def is_true(value: Any) -> bool:
    """A switch, in a query or in a body."""
    return value is True or str(value).lower() == "true"


def decimal(params: Mapping[str, Any], name: str) -> Decimal | None:
    """A price or an amount. Raises ApiError."""
    value = params.get(name)
    if value is None or value == "":
        return None
    try:
        return Decimal(str(value))
    except ArithmeticError:
        raise ApiError(400, f"{name} is invalid", "ValidationError") from None


def moment(value: Any) -> int | None:
    """A time of the wire in ms; without a zone it is UTC. Raises ValueError."""
    if not value:
        return None
    told = datetime.fromisoformat(str(value))
    return round((told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp() * 1000)


def number(params: Mapping[str, Any], name: str, default: int) -> int:
    """A count, not negative. Raises ApiError."""
    value = int(params.get(name) or default)
    if value < 0:
        raise ApiError(400, f"{name} is invalid", "ValidationError")
    return value


def cut(found: list[Any], params: Mapping[str, Any]) -> list[Any]:
    """`reverse`, `start`, `count` (100 unless named)."""
    if is_true(params.get("reverse")):
        found.reverse()
    start = number(params, "start", 0)
    return found[start : start + min(1000, number(params, "count", 100))]


def within(found: list[Any], params: Mapping[str, Any]) -> list[Any]:
    """The rows of `startTime` to `endTime`; times compare as text, once they are written like those of the wire."""
    moments = (moment(params.get(name)) for name in ("startTime", "endTime"))
    start, end = (stamp(each) if each is not None else "" for each in moments)
    return [row for row in found if (not start or row["timestamp"] >= start) and (not end or row["timestamp"] <= end)]
