"""BitMEX's rows: instruments, trades, bars, orders, executions, positions, margin. REST and the stream write them alike.

Sizes are contracts. Money of an account is counted in minor units (`XBt` = 1e-8 BTC, `USDt` = 1e-6 USDT); `Units` knows how
many decimals each has. Null fields vanished in January 2023: an absent field and a null mean the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeAlias

from msgspec import UNSET, UnsetType, structs

from connectors.model import (
    ZERO,
    Balance,
    Candle,
    EndReason,
    Fill,
    Instrument,
    InstrumentStatus,
    Market,
    OrderKind,
    OrderStatus,
    OrderUpdate,
    Position,
    Side,
    SizeRule,
    Ticker,
    TimeInForce,
    Trade,
    Unit,
    decimals,
)

FAMILY = "derivatives"
Units: TypeAlias = Mapping[str, tuple[str, int]]  # the venue's unit -> our asset and the decimals of one of it
UNITS: Units = {"XBt": ("BTC", 8), "USDt": ("USDT", 6)}
SPANS = {"1m": 60_000, "5m": 300_000, "1h": 3_600_000, "1d": 86_400_000}

_MARKETS = {"FFWCSX": Market.PERP, "FFWCSF": Market.PERP, "FFSCSX": Market.PERP, "FFCCSX": Market.FUTURE}
KINDS = {
    "Limit": OrderKind.LIMIT,
    "Market": OrderKind.MARKET,
    "Stop": OrderKind.STOP,
    "StopLimit": OrderKind.STOP_LIMIT,
    "MarketIfTouched": OrderKind.TAKE_PROFIT,
    "LimitIfTouched": OrderKind.TAKE_PROFIT_LIMIT,
}
TIFS = {
    "GoodTillCancel": TimeInForce.GTC,
    "ImmediateOrCancel": TimeInForce.IOC,
    "FillOrKill": TimeInForce.FOK,
}
_STATUS = {
    "PendingNew": OrderStatus.PENDING,
    "New": OrderStatus.OPEN,
    "PendingCancel": OrderStatus.OPEN,
    "PendingReplace": OrderStatus.OPEN,
    "Untriggered": OrderStatus.UNTRIGGERED,
    "Triggered": OrderStatus.OPEN,
    "PartiallyFilled": OrderStatus.PARTLY_FILLED,
    "Filled": OrderStatus.FILLED,
    "Canceled": OrderStatus.CANCELLED,
    "Stopped": OrderStatus.CANCELLED,
    "Rejected": OrderStatus.REJECTED,
    "Expired": OrderStatus.EXPIRED,
}
# Why an order is "Canceled", by a word of its text; the first that is contained counts.
_ENDS: tuple[tuple[str, OrderStatus, EndReason], ...] = (
    ("ParticipateDoNotInitiate", OrderStatus.REJECTED, EndReason.POST_ONLY),
    ("ImmediateOrCancel", OrderStatus.EXPIRED, EndReason.IOC_REST),
    ("FillOrKill", OrderStatus.EXPIRED, EndReason.FOK),
    ("ReduceOnly", OrderStatus.EXPIRED, EndReason.REDUCE_ONLY),
    ("cancelAllAfter", OrderStatus.CANCELLED, EndReason.DEAD_MAN),
    ("iquidation", OrderStatus.CANCELLED, EndReason.LIQUIDATION),
    ("Canceled via", OrderStatus.CANCELLED, EndReason.USER),
)
_BOOKKEEPING = {"Funding", "Settlement", "Insurance", "Rebalance", "CancelReject", "AmendReject"}


def asset(name: str) -> str:
    """XBT is BTC; every other name is the usual one."""
    return "BTC" if name == "XBT" else name


def when(text: str) -> int:
    """An ISO time in ms."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def iso(time_ms: int) -> str:
    """A time as the venue writes it."""
    moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def money(value: Any) -> Decimal:
    """A wire's number as Decimal."""
    return Decimal(str(value))


def given(value: Any) -> Decimal | UnsetType:
    """A number as Decimal; absent, null and zero (a price that the order does not have) are UNSET."""
    return money(value) if value else UNSET


def minor(value: Any, unit: str, units: Units) -> Decimal | None:
    """An amount in minor units; None if it or its unit is not told."""
    if value is None or unit not in units:
        return None
    return money(value).scaleb(-units[unit][1])


def units_of(rows: Iterable[Any]) -> dict[str, tuple[str, int]]:
    """GET /wallet/assets."""
    return {**UNITS, **{row["currency"]: (asset(row["asset"]), int(row["scale"])) for row in rows}}


# ---------------------------------------------------------------------------------------------------------------------
# Instruments


def instruments(rows: Iterable[Any]) -> list[Instrument]:
    """All contracts of a list. Left out: indices, spot pairs (counted in minor units of the base), calendar spreads
    (their prices may be negative) and prediction contracts.
    """
    by_symbol: dict[tuple[Market, str], list[Instrument]] = defaultdict(list)
    for row in rows:
        found = instrument(row)
        if found is not None:
            by_symbol[found.market, found.symbol].append(found)
    return [each for group in by_symbol.values() for each in _told_apart(group)]


def _told_apart(group: list[Instrument]) -> list[Instrument]:
    """Contracts on one pair that settle in different assets: the one with the shortest name keeps the symbol."""
    first, *others = sorted(group, key=lambda row: (len(row.wire), row.wire))
    return [first, *(structs.replace(row, symbol=f"{row.symbol}-{row.wire}") for row in others)]


def instrument(row: Any) -> Instrument | None:
    """One contract; None for what is no contract that we trade, or lacks a part of its grid."""
    market = _MARKETS.get(row.get("typ", ""))
    unit = row.get("settlCurrency") or ""
    complete = all(row.get(name) for name in ("tickSize", "lotSize", "multiplier", "underlying", "quoteCurrency"))
    if market is None or not complete or not unit or row["symbol"].startswith("."):
        return None
    if unit not in UNITS:
        return None  # what its money is counted in is not known without asking
    settle, scale = UNITS[unit]
    base, quote = asset(row["underlying"]), asset(row["quoteCurrency"])
    if row.get("isInverse"):
        kind = Unit.INVERSE
    else:
        kind = Unit.LINEAR if settle == quote and not row.get("isQuanto") else Unit.QUANTO
    symbol = f"{base}-{quote}"
    if market is Market.FUTURE:
        if not row.get("expiry"):
            return None
        symbol += f"-{row['expiry'][2:10].replace('-', '')}"
    tick, lot = money(row["tickSize"]), money(row["lotSize"])
    low = money(row.get("minPrice") or 0)
    if low < 0:
        return None
    return Instrument(
        venue="bitmex",
        family=FAMILY,
        market=market,
        symbol=symbol,
        wire=row["symbol"],
        base=base,
        quote=quote,
        settle=settle,
        tick=tick,
        size=SizeRule(step=lot, minimum=lot, maximum=money(row["maxOrderQty"]) if row.get("maxOrderQty") else None),
        price_digits=decimals(tick),
        size_digits=decimals(lot),
        min_price=low,
        max_price=money(row["maxPrice"]) if row.get("maxPrice") else None,
        unit=kind,
        multiplier=abs(money(row["multiplier"])).scaleb(-scale).normalize(),
        status=InstrumentStatus.TRADING if row.get("state") == "Open" else InstrumentStatus.CLOSED,
        kinds=frozenset(KINDS.values()),
        max_leverage=_leverage(row.get("initMargin")),
        extra={"unit": unit},
    )


def _leverage(margin: Any) -> Decimal | None:
    return Decimal(int(1 / money(margin))) if margin and money(margin) > 0 else None


# ---------------------------------------------------------------------------------------------------------------------
# Public rows


def trade(row: Any) -> Trade | None:
    """A trade; None for prints of an index, which have no size."""
    if not row.get("size") or row["symbol"].startswith(".") or row.get("trdType") == "Referential":
        return None
    return Trade(
        wire=row["symbol"],
        price=float(row["price"]),
        amount=float(row["size"]),
        side=Side(row["side"].lower()),
        time=when(row["timestamp"]),
        id=row.get("trdMatchID") or "",
    )


def candle(row: Any, interval: str, now: int | None = None) -> Candle | None:
    """A bar. Its stamp is its END; its open is the close before, which high and low may not include. Without `now`: finished."""
    if any(row.get(name) is None for name in ("open", "high", "low", "close")):
        return None  # before the first trade
    opened, closed = float(row["open"]), float(row["close"])
    end = when(row["timestamp"])
    return Candle(
        wire=row["symbol"],
        interval=interval,
        start=end - SPANS[interval],
        open=opened,
        high=max(float(row["high"]), opened, closed),
        low=min(float(row["low"]), opened, closed),
        close=closed,
        volume=float(row.get("volume") or 0),
        closed=now is None or end <= now,
        quote_volume=float(row.get("foreignNotional") or 0),
    )


def ticker(row: Any) -> Ticker:
    """What an instrument row says of prices and the last 24 h; sparse rows leave the rest out."""

    def number(name: str) -> float | None:
        return float(row[name]) if row.get(name) is not None else None

    return Ticker(
        wire=row["symbol"],
        bid=number("bidPrice"),
        ask=number("askPrice"),
        last=number("lastPrice"),
        open=number("prevPrice24h"),
        high=number("highPrice"),
        low=number("lowPrice"),
        volume=number("volume24h"),
        quote_volume=number("foreignNotional24h"),
        time=when(row["timestamp"]) if row.get("timestamp") else None,
    )


# ---------------------------------------------------------------------------------------------------------------------
# Orders and accounts


def order(row: Any) -> OrderUpdate:
    """An order, whole or sparse. Raises KeyError for a status that is not documented."""
    update = OrderUpdate(
        wire=row.get("symbol") or "",
        family=FAMILY,
        venue_id=row["orderID"],
        client_id=row.get("clOrdID") or "",
        price=given(row.get("price")),
        trigger=given(row.get("stopPx")),
        amount=given(row.get("orderQty")),
        average=given(row.get("avgPx")),
        reason=_reason(row),
    )
    if row.get("ordStatus"):
        update.status, update.end_reason = _ended(row)
    if row.get("side"):
        update.side = Side(row["side"].lower())
    if row.get("ordType") in KINDS:
        update.kind = KINDS[row["ordType"]]
    if row.get("timeInForce") in TIFS:
        update.tif = TIFS[row["timeInForce"]]
    if row.get("cumQty") is not None:
        update.filled = money(row["cumQty"])
    if row.get("execInst") is not None:
        flags = row["execInst"].replace(" ", ",").split(",")
        update.post_only = "ParticipateDoNotInitiate" in flags
        update.reduce_only = "ReduceOnly" in flags or "Close" in flags
    stamp = row.get("transactTime") or row.get("timestamp")
    if stamp:
        update.time = when(stamp)
    return update


def _reason(row: Any) -> str:
    """Why it was rejected or cancelled, in the venue's words; the line about how it was submitted is no reason."""
    if row.get("ordStatus") not in ("Canceled", "Rejected", "Stopped", "Expired"):
        return ""
    return row.get("ordRejReason") or (row.get("text") or "").partition("\n")[0]


def _ended(row: Any) -> tuple[OrderStatus, EndReason | UnsetType]:
    """The status, and why the order ended. A post-only order that would take is "Canceled" with a text that says so."""
    status = _STATUS[row["ordStatus"]]
    if status is OrderStatus.OPEN and _waits(row):
        return OrderStatus.UNTRIGGERED, UNSET
    if status is OrderStatus.EXPIRED:
        return status, EndReason.EXPIRED
    if status is not OrderStatus.CANCELLED:
        return status, UNSET
    text = (row.get("text") or "").partition("\n")[0]
    for word, means, reason in _ENDS:
        if word in text:
            return means, reason
    return status, EndReason.OTHER


def _waits(row: Any) -> bool:
    """A conditional order is "New" while it waits; `workingIndicator` and `triggered` say when it works."""
    kind = KINDS.get(row.get("ordType") or "")
    return kind is not None and kind.has_trigger and not row.get("triggered") and not row.get("workingIndicator")


def fill(row: Any, units: Units) -> Fill | None:
    """An execution of ours; None for rows that are no fill (order events, refused cancels, funding, settlement)."""
    if row.get("execType") in _BOOKKEEPING or not row.get("lastQty") or not row.get("lastPx"):
        return None
    unit = row.get("settlCurrency") or ""
    liquidity = row.get("lastLiquidityInd") or ""
    return Fill(
        wire=row["symbol"],
        family=FAMILY,
        id=row["execID"],
        venue_id=row["orderID"],
        client_id=row.get("clOrdID") or "",
        side=Side(row["side"].lower()),
        price=money(row["lastPx"]),
        amount=money(row["lastQty"]),
        time=when(row.get("transactTime") or row["timestamp"]),
        fee=minor(row.get("execComm"), unit, units),
        fee_asset=units[unit][0] if unit in units else "",
        maker=liquidity.startswith("Added") if liquidity else None,
    )


def position(row: Any, units: Units) -> Position | None:
    """A position; None while its quantity is not told. A liquidation price of zero means that there is none."""
    if row.get("currentQty") is None:
        return None
    unit = row.get("currency") or ""
    cross = row.get("crossMargin")
    return Position(
        wire=row["symbol"],
        family=FAMILY,
        size=money(row["currentQty"]),
        entry=_price(row.get("avgEntryPrice")),
        mark=_price(row.get("markPrice")),
        unrealised=minor(row.get("unrealisedPnl"), unit, units),
        liquidation=_price(row.get("liquidationPrice")),
        margin=minor(row.get("posMargin"), unit, units),
        leverage=money(row["leverage"]) if row.get("leverage") else None,
        isolated=None if cross is None else not cross,
        time=when(row["timestamp"]) if row.get("timestamp") else None,
    )


def _price(value: Any) -> Decimal | None:
    return money(value) if value else None


def balance(row: Any, units: Units) -> Balance | None:
    """A currency's margin: the wallet, what is free, and the rest of the equity. None for a unit that is not known."""
    unit = row["currency"]
    if unit not in units:
        return None
    wallet, free = (minor(row.get(name), unit, units) for name in ("walletBalance", "availableMargin"))
    equity = minor(row.get("marginBalance"), unit, units)
    held = max(ZERO, equity - free) if equity is not None and free is not None else None
    stamp = row.get("timestamp")
    return Balance(
        asset=units[unit][0],
        family=FAMILY,
        total=wallet,
        available=free,
        held=held,
        time=when(stamp) if stamp else None,
    )
