"""KuCoin futures, row by row: contracts, snapshots, candles, orders, fills, wallets, positions. Sizes are whole lots.

XBT is what futures call BTC, in symbols and as a currency.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from msgspec import UNSET

from connectors.contract import Event
from connectors.kucoin.market import Envelope, ms
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
    OrderUpdate,
    Position,
    Side,
    SizeRule,
    Ticker,
    TimeInForce,
    Unit,
    decimals,
)

FAMILY = "futures"
_STATUS = {"Open": InstrumentStatus.TRADING, "CancelOnly": InstrumentStatus.CANCEL_ONLY}


def coin(name: str) -> str:
    """The common name of a currency here."""
    return "BTC" if name == "XBT" else name


def _number(value: Any) -> Decimal:
    return Decimal(str(value))


def instrument_row(row: Any) -> Instrument:
    base, quote, settle = coin(row["baseCurrency"]), row["quoteCurrency"], coin(row["settleCurrency"])
    perpetual = row["type"] == "FFWCSX"
    symbol = f"{base}-{quote}"
    if not perpetual and row.get("expireDate"):
        symbol += "-" + datetime.fromtimestamp(int(row["expireDate"]) / 1000, UTC).strftime("%y%m%d")
    unit = Unit.INVERSE if row.get("isInverse") else Unit.LINEAR if settle == quote else Unit.QUANTO
    tick, lot = _number(row["tickSize"]), _number(row["lotSize"])
    normal = row.get("marketStage") in (None, "", "NORMAL")
    return Instrument(
        venue="kucoin",
        family=FAMILY,
        market=Market.PERP if perpetual else Market.FUTURE,
        symbol=symbol,
        wire=row["symbol"],
        base=base,
        quote=quote,
        settle=settle,
        tick=tick,
        size=SizeRule(step=lot, minimum=lot, maximum=_number(row["maxOrderQty"]) if row.get("maxOrderQty") else None),
        price_digits=decimals(tick),
        size_digits=decimals(lot),
        max_price=_number(row["maxPrice"]) if row.get("maxPrice") else None,
        unit=unit,
        multiplier=abs(_number(row["multiplier"])),
        status=_STATUS.get(row.get("status", ""), InstrumentStatus.CLOSED),
        kinds=frozenset(OrderKind),
        max_leverage=_number(row["maxLeverage"]) if row.get("maxLeverage") else None,
        extra={} if normal else {"stage": str(row["marketStage"])},
    )


def snapshot_row(body: Any, wire: str, depth: int) -> BookSnapshot:
    return image(body, body.get("symbol") or wire, depth, ms(body.get("ts")))


def candle_row(row: Any, wire: str, interval: str) -> Candle:
    start, first, high, low, close, volume = row[:6]
    return bar(wire, interval, int(start), (first, high, low, close, volume))


def ticker_row(row: Any) -> Ticker:
    def number(name: str) -> float | None:
        return float(row[name]) if row.get(name) is not None else None

    last, change = number("lastTradePrice"), number("priceChg")
    return Ticker(
        wire=row["symbol"],
        last=last,
        open=last - change if last is not None and change is not None else None,
        high=number("highPrice"),
        low=number("lowPrice"),
        volume=number("volumeOf24h"),
        quote_volume=number("turnoverOf24h"),
    )


def best_row(row: Any) -> Ticker:
    """Best prices and the last trade, with the book's number."""
    bid, bid_size, ask, ask_size, last = (
        float(row[name]) for name in ("bestBidPrice", "bestBidSize", "bestAskPrice", "bestAskSize", "price")
    )
    number, time = int(row["sequence"]), ms(row.get("ts"))
    return Ticker(
        wire=row["symbol"], bid=bid, bid_size=bid_size, ask=ask, ask_size=ask_size, last=last, id=number, time=time
    )


def overview_row(row: Any) -> Balance:
    """Equity counts what open positions would bring; the wallet is without it."""
    total = _number(row["accountEquity"]) - _number(row["unrealisedPNL"])
    held = sum((_number(row.get(name) or 0) for name in ("positionMargin", "orderMargin", "frozenFunds")), Decimal(0))
    available = _number(row["availableBalance"])
    return Balance(asset=coin(row["currency"]), family=FAMILY, total=total, available=available, held=held)


def wallet_row(row: Any) -> Balance:
    names = ("isolatedPosMargin", "isolatedOrderMargin", "crossPosMargin", "crossOrderMargin", "holdBalance")
    return Balance(
        asset=coin(row["currency"]),
        family=FAMILY,
        total=_number(row["walletBalance"]),
        available=_number(row["availableBalance"]),
        held=sum((_number(row.get(name) or 0) for name in names), Decimal(0)),
        time=int(row["timestamp"]) if row.get("timestamp") else None,
    )


def position_row(row: Any) -> Position:
    def number(name: str) -> Decimal | None:
        return _number(row[name]) if row.get(name) not in (None, "") else None

    size, liquidation = _number(row["currentQty"]), number("liquidationPrice")
    mode = row.get("marginMode")
    return Position(
        wire=row["symbol"],
        family=FAMILY,
        size=size,
        entry=number("avgEntryPrice") if size else None,
        mark=number("markPrice"),
        unrealised=number("unrealisedPnl"),
        liquidation=liquidation or None,
        margin=number("posMargin"),
        leverage=number("leverage") or number("realLeverage"),
        isolated=mode == "ISOLATED" if mode else None,
        time=row.get("currentTimestamp"),
    )


def position_event(row: Any, envelope: Envelope) -> list[Event]:
    """Whole rows; a change of the mark alone may leave the size out and tells nothing new of the position."""
    if envelope.subject != "position.change" or row.get("currentQty") is None:
        return []
    symbol = row.get("symbol") or envelope.topic.partition(":")[2]
    return [position_row({**row, "symbol": symbol})]


def order_row(row: Any) -> OrderUpdate:
    """An order as the lists and the look-ups write it; sizes in lots."""
    side, limit = Side(row["side"]), row["type"] == "limit"
    filled, stop = _number(row.get("filledSize") or 0), row.get("stop") or ""
    update = OrderUpdate(
        wire=row["symbol"],
        venue_id=ident(row["id"]),
        client_id=row.get("clientOid") or "",
        side=side,
        kind=OrderKind.LIMIT if limit else OrderKind.MARKET,
        tif=TIF.get(row.get("timeInForce") or "GTC", TimeInForce.GTC),
        price=given(row.get("price")) if limit else UNSET,
        trigger=given(row.get("stopPrice")),
        amount=given(row.get("size")),
        filled=filled,
        average=given(row.get("avgDealPrice")) if filled else UNSET,
        post_only=row.get("postOnly") is True,
        reduce_only=row.get("reduceOnly") is True,
        created=row.get("createdAt", UNSET),
        time=row.get("updatedAt") or row.get("createdAt", UNSET),
    )
    if stop:
        update.kind = stop_kind(side, stop == "up", limit=limit)
    waits = bool(stop) and not row.get("stopTriggered")
    settle(update, active=row.get("isActive"), cancelled=row.get("cancelExist"), waits=waits)
    return update


def fill_row(row: Any) -> Fill:
    return fill(row, FAMILY, ms(int(row["tradeTime"])) or row["createdAt"], coin(row["feeCurrency"]))
