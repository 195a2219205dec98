"""KuCoin spot, row by row: instruments, snapshots, candles, orders, stop orders, fills, balances."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from msgspec import UNSET

from connectors.contract import Event
from connectors.kucoin.rows import TIF, bar, fill, given, ident, image, settle, stop_kind
from connectors.model import (
    Balance,
    BookSnapshot,
    Candle,
    Fill,
    Instrument,
    InstrumentStatus,
    Market,
    OrderKind,
    OrderStatus,
    OrderUpdate,
    Side,
    SizeRule,
    Ticker,
    TimeInForce,
    decimals,
)

FAMILY = "spot"


def named_once(instruments: list[Instrument]) -> list[Instrument]:
    """After a coin was renamed two symbols may come to one name; the older keeps the venue's own."""
    taken: dict[str, int] = {}
    for index, instrument in enumerate(instruments):
        other = taken.setdefault(instrument.symbol, index)
        if other == index:
            continue
        loser = index if instruments[other].wire == instruments[other].symbol else other
        instruments[loser] = msgspec.structs.replace(instruments[loser], symbol=instruments[loser].wire)
        taken[instrument.symbol] = index if loser == other else other
    return instruments


def instrument_row(row: Any, now: int) -> Instrument:
    tick, step = Decimal(row["priceIncrement"]), Decimal(row["baseIncrement"])
    opens = row.get("tradingStartTime")
    trades = row.get("enableTrading") is True and not (opens and now and int(opens) > now)
    base, quote = row["baseCurrency"], row["quoteCurrency"]
    return Instrument(
        venue="kucoin",
        family=FAMILY,
        market=Market.SPOT,
        symbol=f"{base}-{quote}",
        wire=row["symbol"],
        base=base,
        quote=quote,
        settle=quote,
        tick=tick,
        size=SizeRule(step=step, minimum=Decimal(row["baseMinSize"]), maximum=_bound(row.get("baseMaxSize"))),
        price_digits=decimals(tick),
        size_digits=decimals(step),
        min_notional=Decimal(row.get("minFunds") or row.get("quoteMinSize") or 0),
        max_notional=_bound(row.get("quoteMaxSize")),
        quote_step=Decimal(row["quoteIncrement"]),
        status=InstrumentStatus.TRADING if trades else InstrumentStatus.CLOSED,
        kinds=frozenset(OrderKind),
        extra={
            name: str(row[key])
            for name, key in (("name", "name"), ("fee_asset", "feeCurrency"), ("price_band", "priceLimitRate"))
            if row.get(key) is not None
        },
    )


def _bound(value: Any) -> Decimal | None:
    number = given(value)
    return number if isinstance(number, Decimal) else None


def snapshot_row(body: Any, wire: str, depth: int | None) -> BookSnapshot:
    return image(body, wire, depth, body.get("time"))


def candle_row(row: Any, wire: str, interval: str) -> Candle:
    start, first, close, high, low, volume, turnover = row[:7]
    return bar(wire, interval, int(start) * 1000, (first, high, low, close, volume), turnover)


def ticker_row(row: Any, time: int | None) -> Ticker:
    def number(name: str) -> float | None:
        return float(row[name]) if row.get(name) not in (None, "") else None

    last, change = number("last"), number("changePrice")
    return Ticker(
        wire=row["symbol"],
        bid=number("buy"),
        bid_size=number("bestBidSize"),
        ask=number("sell"),
        ask_size=number("bestAskSize"),
        last=last,
        open=last - change if last is not None and change is not None else None,
        high=number("high"),
        low=number("low"),
        volume=number("vol"),
        quote_volume=number("volValue"),
        time=row.get("time", time),
    )


def best_row(row: Any, wire: str) -> Ticker:
    """Best prices and the last trade, with the book's number."""
    bid, bid_size, ask, ask_size, last = (
        float(row[name]) for name in ("bestBid", "bestBidSize", "bestAsk", "bestAskSize", "price")
    )
    number, time = int(row["sequence"]), row.get("time")
    return Ticker(wire=wire, bid=bid, bid_size=bid_size, ask=ask, ask_size=ask_size, last=last, id=number, time=time)


def sync_row(row: Any, wire: str) -> OrderUpdate:
    """The answer of a request that waited for what came of it."""
    filled, ended = Decimal(row["dealSize"]), row["status"] == "done"
    update = OrderUpdate(
        wire=wire,
        venue_id=ident(row["orderId"]),
        client_id=row.get("clientOid") or "",
        amount=given(row["originSize"]),
        filled=filled,
        created=row.get("orderTime", UNSET),
        time=row.get("matchTime", UNSET),
    )
    settle(update, active=not ended, cancelled=Decimal(row["canceledSize"]) > 0)
    return update


def order_row(row: Any) -> OrderUpdate:
    """An order as the lists and the look-ups write it."""
    filled = Decimal(row["dealSize"])
    tif = TIF.get(row.get("timeInForce") or "GTC", TimeInForce.GTC)
    market = row["type"] == "market"
    update = OrderUpdate(
        wire=row["symbol"],
        venue_id=ident(row["id"]),
        client_id=row.get("clientOid") or "",
        side=Side(row["side"]),
        kind=OrderKind.MARKET if market else OrderKind.LIMIT,
        tif=tif,
        price=UNSET if market else given(row.get("price")),
        amount=given(row.get("size")),
        quote_amount=given(row.get("funds")) if market else UNSET,
        filled=filled,
        average=Decimal(row["dealFunds"]) / filled if filled and row.get("dealFunds") else UNSET,
        post_only=row.get("postOnly") is True,
        created=row.get("createdAt", UNSET),
        time=row.get("lastUpdatedAt") or row.get("createdAt", UNSET),
        reason=str(row.get("cancelReason") or ""),
    )
    if row.get("fee") not in (None, ""):
        update.fee, update.fee_asset = Decimal(row["fee"]), row.get("feeCurrency") or ""
    settle(update, active=row["active"], cancelled=row["cancelExist"])
    return update


def fill_row(row: Any) -> Fill:
    return fill(row, FAMILY, row["createdAt"], row["feeCurrency"])


def stop_word(kind: OrderKind, side: Side) -> str:
    """`entry` triggers when the last price rises to the trigger, `loss` when it falls to it."""
    stops = kind in (OrderKind.STOP, OrderKind.STOP_LIMIT)
    return "entry" if stops is (side is Side.BUY) else "loss"


def stop_row(row: Any) -> OrderUpdate:
    side, limit = Side(row["side"]), row["type"] == "limit"
    return OrderUpdate(
        wire=row["symbol"],
        venue_id=ident(row["id"]),
        client_id=row.get("clientOid") or "",
        status=OrderStatus.UNTRIGGERED,
        side=side,
        kind=stop_kind(side, row.get("stop") == "entry", limit=limit),
        tif=TIF.get(row.get("timeInForce") or "GTC", TimeInForce.GTC),
        price=given(row.get("price")) if limit else UNSET,
        trigger=given(row.get("stopPrice")),
        amount=given(row.get("size")),
        quote_amount=given(row.get("funds")) if not limit else UNSET,
        post_only=row.get("postOnly") is True,
        created=row.get("createdAt", UNSET),
        algo=True,
    )


def balance_event(row: Any) -> list[Event]:
    """Main, margin and other accounts tell of the same currencies on this topic: only trading counts."""
    if not str(row.get("relationEvent", "")).startswith(("trade.", "trade_hf.")):
        return []
    time = int(row["time"]) if row.get("time") else None
    total, available, held = (Decimal(row[name]) for name in ("total", "available", "hold"))
    return [Balance(asset=row["currency"], family=FAMILY, total=total, available=available, held=held, time=time)]
