"""Bodies of documented addresses that only other clients ask: what they mean, for people who look at single bodies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from connectors.binance import rows
from connectors.binance.signing import read_json
from connectors.binance.usdm_rows import FAMILY, position_row
from connectors.contract import Answer
from connectors.model import Balance, MarkPrice, OrderKind, OrderUpdate, Ticker


def read(path: str, query: Mapping[str, str], answer: Answer, kinds: dict[str, OrderKind]) -> list[Any] | None:
    """As values of the model; None for an address that is not here. Raises what a refusal means."""
    found = _READERS.get(path)
    if found is None:
        return None
    body = read_json(answer)
    return found(body, query.get("symbol", ""), kinds)


def _each(body: Any) -> Iterable[Any]:
    return body if isinstance(body, list) else [body]


def _trades(body: Any, wire: str, kinds: dict[str, OrderKind]) -> list[Any]:
    return list(rows.public_trades(body, wire))


def _best(body: Any, wire: str, kinds: dict[str, OrderKind]) -> list[Any]:
    return [rows.ticker(row) for row in _each(body)]


def _last(body: Any, wire: str, kinds: dict[str, OrderKind]) -> list[Any]:
    return [Ticker(wire=row["symbol"], last=float(row["price"]), time=row.get("time")) for row in _each(body)]


def _orders(body: Any, wire: str, kinds: dict[str, OrderKind]) -> list[OrderUpdate]:
    """Of a list, or of a batch, in which a refusal may stand in the place of an order."""
    return [rows.order_row(row, kinds) for row in _each(body) if "orderId" in row]


def _replaced(body: Any, wire: str, kinds: dict[str, OrderKind]) -> list[OrderUpdate]:
    halves = ((body["cancelResponse"], True), (body["newOrderResponse"], False))
    return [rows.order_row(row, kinds, cancel=cancel) for row, cancel in halves if row and "orderId" in row]


def _marks(body: Any, wire: str, kinds: dict[str, OrderKind]) -> list[MarkPrice]:
    return [
        MarkPrice(
            wire=row["symbol"],
            mark=float(row["markPrice"]),
            index=float(row["indexPrice"]),
            rate=float(row["lastFundingRate"]) if row.get("lastFundingRate") else None,
            next_funding=row["nextFundingTime"],
            time=row["time"],
        )
        for row in _each(body)
    ]


def _fundings(body: Any, wire: str, kinds: dict[str, OrderKind]) -> list[MarkPrice]:
    return [
        MarkPrice(
            wire=row["symbol"], mark=float(row["markPrice"]), rate=float(row["fundingRate"]), time=row["fundingTime"]
        )
        for row in body
    ]


def _balances(body: Any, wire: str, kinds: dict[str, OrderKind]) -> list[Balance]:
    return [
        Balance(
            asset=row["asset"],
            family=FAMILY,
            total=rows.money(row["balance"]),
            available=rows.money(row["availableBalance"]),
            time=row.get("updateTime"),
        )
        for row in body
    ]


def _sides(body: Any, wire: str, kinds: dict[str, OrderKind]) -> list[Any]:
    """Each row by itself, also the two sides of a hedged position."""
    return [position_row(row, None) for row in body]


def _done(body: Any, wire: str, kinds: dict[str, OrderKind]) -> list[Any]:
    return []


_READERS: dict[str, Callable[[Any, str, dict[str, OrderKind]], list[Any]]] = {
    # spot
    "/api/v3/historicalTrades": _trades,
    "/api/v3/aggTrades": _trades,
    "/api/v3/ticker/bookTicker": _best,
    "/api/v3/ticker/price": _last,
    "/api/v3/allOrders": _orders,
    "/api/v3/order/cancelReplace": _replaced,
    "/api/v3/order/test": _done,
    "/api/v3/rateLimit/order": _done,
    # USD-M
    "/fapi/v1/trades": _trades,
    "/fapi/v1/historicalTrades": _trades,
    "/fapi/v1/ticker/bookTicker": _best,
    "/fapi/v1/ticker/price": _last,
    "/fapi/v2/ticker/price": _last,
    "/fapi/v1/premiumIndex": _marks,
    "/fapi/v1/fundingRate": _fundings,
    "/fapi/v1/allOrders": _orders,
    "/fapi/v1/openOrder": _orders,
    "/fapi/v1/batchOrders": _orders,
    "/fapi/v2/balance": _balances,
    "/fapi/v3/balance": _balances,
    "/fapi/v2/positionRisk": _sides,
    "/fapi/v3/positionRisk": _sides,
    "/fapi/v1/symbolConfig": _done,
    "/fapi/v1/accountConfig": _done,
    "/fapi/v1/marginType": _done,
    "/fapi/v1/positionMargin": _done,
    "/fapi/v1/rateLimit/order": _done,
}
