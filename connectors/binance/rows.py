"""Rows that both of Binance's products share: instruments' filters, orders, fills, candles, tickers; and building orders."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from msgspec import UNSET

from connectors.model import (
    ZERO,
    BookSnapshot,
    Candle,
    EndReason,
    Fill,
    Level,
    OrderKind,
    OrderRequest,
    OrderStatus,
    OrderUpdate,
    Side,
    SizeRule,
    Ticker,
    TimeInForce,
    Trade,
    plain,
)

STATUS = {
    "PENDING_NEW": OrderStatus.PENDING,
    "NEW": OrderStatus.OPEN,
    "PARTIALLY_FILLED": OrderStatus.PARTLY_FILLED,
    "FILLED": OrderStatus.FILLED,
    "CANCELED": OrderStatus.CANCELLED,
    "PENDING_CANCEL": OrderStatus.OPEN,
    "REJECTED": OrderStatus.REJECTED,
    "EXPIRED": OrderStatus.EXPIRED,
    "EXPIRED_IN_MATCH": OrderStatus.EXPIRED,
    "NEW_INSURANCE": OrderStatus.OPEN,
    "NEW_ADL": OrderStatus.OPEN,
}
TIF = {"GTC": TimeInForce.GTC, "IOC": TimeInForce.IOC, "FOK": TimeInForce.FOK, "GTX": TimeInForce.GTC}


def money(value: Any) -> Decimal:
    """A wire's number, text or not, as Decimal."""
    return Decimal(str(value))


def given(value: Any) -> Any:
    """A positive number as Decimal, else UNSET: Binance writes "0" for prices that an order does not have."""
    if value is None or value == "":
        return UNSET
    number = money(value)
    return number if number > 0 else UNSET


def filters_of(row: Any) -> dict[str, Any]:
    """An instrument's filters by type."""
    return {part["filterType"]: part for part in row.get("filters", [])}


def size_rule(part: Any | None) -> SizeRule | None:
    """LOT_SIZE or MARKET_LOT_SIZE; None where it is switched off."""
    if part is None or money(part["stepSize"]) == 0:
        return None
    maximum = money(part["maxQty"])
    return SizeRule(
        step=money(part["stepSize"]), minimum=money(part["minQty"]), maximum=maximum if maximum > 0 else None
    )


def positive(value: Any) -> Decimal | None:
    """A bound; zero means that the rule is off."""
    number = money(value)
    return number if number > 0 else None


def book_snapshot(body: Any, wire: str, depth: int) -> BookSnapshot:
    """REST depth."""
    return BookSnapshot(
        wire=wire,
        bids=[Level(float(row[0]), float(row[1])) for row in body["bids"]],
        asks=[Level(float(row[0]), float(row[1])) for row in body["asks"]],
        id=body["lastUpdateId"],
        depth=depth,
        time=body.get("E"),
    )


def public_trades(body: Iterable[Any], wire: str) -> list[Trade]:
    """REST trades, aggregated (a, p, q, T, m) or single (id, price, qty, time, isBuyerMaker)."""
    found = []
    for row in body:
        maker = row["m"] if "m" in row else row["isBuyerMaker"]
        found.append(
            Trade(
                wire=wire,
                price=float(row["p"] if "p" in row else row["price"]),
                amount=float(row["q"] if "q" in row else row["qty"]),
                side=Side.SELL if maker else Side.BUY,
                time=row["T"] if "T" in row else row["time"],
                id=str(row["a"] if "a" in row else row["id"]),
            )
        )
    return found


def candles(body: Iterable[Any], wire: str, interval: str, now: int) -> list[Candle]:
    """REST klines; a row whose closing time is not over is still running."""
    return [
        Candle(
            wire=wire,
            interval=interval,
            start=row[0],
            open=float(row[1]),
            high=float(row[2]),
            low=float(row[3]),
            close=float(row[4]),
            volume=float(row[5]),
            closed=bool(now) and row[6] < now,
            quote_volume=float(row[7]),
        )
        for row in body
    ]


def ticker(row: Any) -> Ticker:
    """REST 24 h statistics; futures have no best prices in them."""
    return Ticker(
        wire=row["symbol"],
        bid=float(row["bidPrice"]) if "bidPrice" in row else None,
        bid_size=float(row["bidQty"]) if "bidQty" in row else None,
        ask=float(row["askPrice"]) if "askPrice" in row else None,
        ask_size=float(row["askQty"]) if "askQty" in row else None,
        last=float(row["lastPrice"]) if "lastPrice" in row else None,
        open=float(row["openPrice"]) if "openPrice" in row else None,
        high=float(row["highPrice"]) if "highPrice" in row else None,
        low=float(row["lowPrice"]) if "lowPrice" in row else None,
        volume=float(row["volume"]) if "volume" in row else None,
        quote_volume=float(row["quoteVolume"]) if "quoteVolume" in row else None,
        time=row.get("closeTime"),
    )


def order_row(row: Any, kinds: dict[str, OrderKind], *, cancel: bool = False) -> OrderUpdate:
    """An order as REST and the WebSocket API write it. `cancel`: `clientOrderId` is the cancel's own, not the order's."""
    update = OrderUpdate(wire=row["symbol"], venue_id=str(row["orderId"]))
    update.client_id = row.get("origClientOrderId") or ("" if cancel else row.get("clientOrderId", ""))
    kind = row.get("origType") or row.get("type")
    if "status" in row:
        update.status = STATUS[row["status"]]
        works = row.get("isWorking", row.get("workingTime", 1) > 0)  # what was just placed tells only since when
        waits = kinds.get(kind or "", OrderKind.LIMIT).has_trigger and not works
        if waits and update.status is OrderStatus.OPEN:
            update.status = OrderStatus.UNTRIGGERED
        update.end_reason = end_reason(row["status"], row.get("timeInForce"))
    else:
        update.status = OrderStatus.PENDING  # an ACK says no more
    if row.get("side"):
        update.side = Side(row["side"].lower())
    if kind in kinds:
        update.kind = kinds[kind]
        update.post_only = kind == "LIMIT_MAKER" or row.get("timeInForce") == "GTX"
    if row.get("timeInForce") in TIF:
        update.tif = TIF[row["timeInForce"]]
    update.price = given(row.get("price"))
    update.trigger = given(row.get("stopPrice"))
    update.amount = given(row.get("origQty"))
    if "executedQty" in row:
        update.filled = money(row["executedQty"])
        spent = given(row.get("cummulativeQuoteQty") or row.get("cumQuote"))
        if update.filled > 0:
            update.average = given(row.get("avgPrice")) or UNSET
            if update.average is UNSET and spent is not UNSET:
                update.average = spent / update.filled
    if row.get("reduceOnly") is not None:
        update.reduce_only = bool(row["reduceOnly"])
    update.created = row.get("time", UNSET)
    update.time = row.get("updateTime") or row.get("transactTime") or row.get("time", UNSET)
    return update


def end_reason(status: str, tif: str | None) -> Any:
    """Why an order ended, as far as the status tells."""
    if status == "CANCELED":
        return EndReason.USER
    if status == "EXPIRED_IN_MATCH":
        return EndReason.SELF_TRADE
    if status == "EXPIRED":
        return {"FOK": EndReason.FOK, "IOC": EndReason.IOC_REST, "GTX": EndReason.POST_ONLY}.get(
            tif or "", EndReason.OTHER
        )
    return UNSET


def fill_row(row: Any, family: str) -> Fill:
    """REST myTrades and userTrades."""
    buyer = row["isBuyer"] if "isBuyer" in row else row["side"] == "BUY"
    return Fill(
        wire=row["symbol"],
        family=family,
        id=str(row["id"]),
        venue_id=str(row["orderId"]),
        client_id="",
        side=Side.BUY if buyer else Side.SELL,
        price=money(row["price"]),
        amount=money(row["qty"]),
        time=row["time"],
        fee=money(row["commission"]),
        fee_asset=row["commissionAsset"],
        maker=row["isMaker"] if "isMaker" in row else row["maker"],
    )


def amounts(order: OrderRequest) -> list[tuple[str, str]]:
    """Quantity, price and trigger as parameters."""
    found = []
    if order.amount is not None:
        found.append(("quantity", plain(order.amount)))
    if order.quote_amount is not None:
        found.append(("quoteOrderQty", plain(order.quote_amount)))
    if order.price is not None and order.kind.has_price:
        found.append(("price", plain(order.price)))
    return found


def total(*parts: Decimal) -> Decimal:
    """Sum of Decimals."""
    return sum(parts, ZERO)
