"""Binance USD-M futures, row by row: instruments, balances, positions, conditional orders."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from msgspec import UNSET, structs

from connectors.binance import rows
from connectors.model import (
    ZERO,
    Balance,
    Instrument,
    InstrumentStatus,
    Market,
    OrderKind,
    OrderStatus,
    OrderUpdate,
    Position,
    Side,
    SizeRule,
    TimeInForce,
    Unit,
    decimals,
)

FAMILY = "usdm"
KINDS = {
    "LIMIT": OrderKind.LIMIT,
    "MARKET": OrderKind.MARKET,
    "STOP_MARKET": OrderKind.STOP,
    "STOP": OrderKind.STOP_LIMIT,
    "TAKE_PROFIT_MARKET": OrderKind.TAKE_PROFIT,
    "TAKE_PROFIT": OrderKind.TAKE_PROFIT_LIMIT,
}
ALGO_STATUS = {
    "NEW": OrderStatus.UNTRIGGERED,
    "TRIGGERING": OrderStatus.OPEN,
    "TRIGGERED": OrderStatus.OPEN,
    "CANCELED": OrderStatus.CANCELLED,
    "REJECTED": OrderStatus.REJECTED,
    "EXPIRED": OrderStatus.EXPIRED,
}


def algo_row(row: Any) -> OrderUpdate:
    return OrderUpdate(
        wire=row["symbol"],
        venue_id=str(row["algoId"]),
        client_id=row.get("clientAlgoId", ""),
        status=ALGO_STATUS.get(row["algoStatus"], UNSET),
        side=Side(row["side"].lower()),
        kind=KINDS.get(row.get("orderType") or row.get("type", ""), OrderKind.STOP),
        tif=rows.TIF.get(row.get("timeInForce", ""), TimeInForce.GTC),
        price=rows.given(row.get("price")),
        trigger=rows.given(row.get("triggerPrice")),
        amount=rows.given(row.get("quantity")),
        reduce_only=bool(row.get("reduceOnly")),
        created=row.get("createTime", UNSET),
        time=row.get("updateTime", UNSET),
        algo=True,
    )


def instrument_row(row: Any) -> Instrument:
    filters = rows.filters_of(row)
    price = filters.get("PRICE_FILTER", {})
    tick = rows.money(price.get("tickSize", "0"))
    size = rows.size_rule(filters.get("LOT_SIZE")) or SizeRule()
    perpetual = str(row.get("contractType", "")).endswith("PERPETUAL")
    symbol = f"{row['baseAsset']}-{row['quoteAsset']}"
    if not perpetual and "_" in row["symbol"]:
        symbol += "-" + row["symbol"].partition("_")[2]
    kinds = {KINDS[name] for name in row.get("orderTypes", ()) if name in KINDS}
    return Instrument(
        venue="binance",
        family=FAMILY,
        market=Market.PERP if perpetual else Market.FUTURE,
        symbol=symbol,
        wire=row["symbol"],
        base=row["baseAsset"],
        quote=row["quoteAsset"],
        settle=row.get("marginAsset", row["quoteAsset"]),
        tick=tick,
        size=size,
        market_size=rows.size_rule(filters.get("MARKET_LOT_SIZE")),
        price_digits=decimals(tick) if tick else row.get("pricePrecision", 8),
        size_digits=decimals(size.step) if size.step else row.get("quantityPrecision", 8),
        min_price=rows.money(price.get("minPrice", "0")),
        max_price=rows.positive(price.get("maxPrice", "0")),
        min_notional=rows.money(filters.get("MIN_NOTIONAL", {}).get("notional", "0")),
        unit=Unit.BASE,
        status=InstrumentStatus.TRADING if row.get("status") == "TRADING" else InstrumentStatus.CLOSED,
        kinds=frozenset(kinds) or frozenset({OrderKind.LIMIT}),
        max_leverage=Decimal(125),
    )


def balance_row(row: Any) -> Balance:
    wallet, available = rows.money(row["walletBalance"]), rows.money(row["availableBalance"])
    held = rows.money(row.get("initialMargin", "0"))
    return Balance(asset=row["asset"], family=FAMILY, total=wallet, available=available, held=held)


def position(rows: Sequence[Any], config: Any) -> Position:
    """A contract's position. In hedge mode its long and its short side have a row each: what is at stake is the difference, whose
    entry is the price from which on it gains what both gain.
    """
    parts = sorted((position_row(row, config) for row in rows), key=lambda part: abs(part.size), reverse=True)
    if len(parts) == 1:
        return parts[0]
    size = sum((part.size for part in parts), ZERO)
    paid = sum((part.size * (part.entry or ZERO) for part in parts), ZERO)
    return structs.replace(
        parts[0],  # the greater side says where it is liquidated
        size=size,
        entry=paid / size if size else None,
        unrealised=sum((part.unrealised or ZERO for part in parts), ZERO),
        margin=sum((part.margin or ZERO for part in parts), ZERO),
    )


def position_row(row: Any, config: Any) -> Position:
    config = config or {}
    liquidation = rows.money(row.get("liquidationPrice", "0"))
    mode = config.get("marginType")
    return Position(
        wire=row["symbol"],
        family=FAMILY,
        size=rows.money(row["positionAmt"]),
        entry=rows.money(row["entryPrice"]),
        mark=rows.money(row["markPrice"]),
        unrealised=rows.money(row["unRealizedProfit"]),
        liquidation=liquidation if liquidation > 0 else None,
        margin=rows.money(row.get("initialMargin", "0")),
        leverage=rows.money(config["leverage"]) if "leverage" in config else None,
        isolated=None if mode is None else mode == "ISOLATED",
        time=row.get("updateTime"),
    )
