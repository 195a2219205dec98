"""What the paper engine has, in the words of a venue: orders, fills, positions, balances, refusals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from connectors.errors import (
    BadNotional,
    BadPrice,
    BadSize,
    DuplicateOrder,
    InstrumentUnknown,
    InsufficientFunds,
    InvalidOrder,
    MarketClosed,
    NotFillable,
    NothingToChange,
    NotSupported,
    OrderNotFound,
    ReduceOnlyRefused,
    Refused,
    TooManyOrders,
    WouldTake,
    WouldTrigger,
)
from connectors.model import UNSET, ZERO, Balance, Fill, Instrument, OrderRef, OrderUpdate, Position
from connectors.practice.terms import AssetBalance, Execution, Order, OrderName, PositionImage, Refusal, RefusalKind

_KINDS: Mapping[RefusalKind, type[Refused]] = {
    RefusalKind.UNKNOWN_LISTING: InstrumentUnknown,
    RefusalKind.UNKNOWN_ORDER: OrderNotFound,
    RefusalKind.ORDER_ENDED: OrderNotFound,
    RefusalKind.MARKET_CLOSED: MarketClosed,
    RefusalKind.INVALID: InvalidOrder,
    RefusalKind.UNSUPPORTED: NotSupported,
    RefusalKind.PRICE_TICK: BadPrice,
    RefusalKind.PRICE_BOUNDS: BadPrice,
    RefusalKind.SIZE_LOT: BadSize,
    RefusalKind.SIZE_MINIMUM: BadSize,
    RefusalKind.SIZE_MAXIMUM: BadSize,
    RefusalKind.NOTIONAL_MINIMUM: BadNotional,
    RefusalKind.FUNDS: InsufficientFunds,
    RefusalKind.MARGIN: InsufficientFunds,
    RefusalKind.POST_ONLY: WouldTake,
    RefusalKind.FOK: NotFillable,
    RefusalKind.NO_LIQUIDITY: NotFillable,
    RefusalKind.REDUCE_ONLY: ReduceOnlyRefused,
    RefusalKind.CLIENT_ID: DuplicateOrder,
    RefusalKind.WOULD_TRIGGER: WouldTrigger,
    RefusalKind.TOO_MANY_ORDERS: TooManyOrders,
    RefusalKind.NOTHING_TO_CHANGE: NothingToChange,
}


def order_name(order: OrderRef) -> OrderName:
    """The id that the engine knows it by."""
    return int(order.venue_id) if order.venue_id.isdecimal() else order.client_id


def refused(refusal: Refusal) -> Refused:
    """A refusal as a venue's error."""
    return _KINDS.get(refusal.kind, Refused)(refusal.text, code=str(refusal.kind))


def order_update(image: Order, instrument: Instrument) -> OrderUpdate:
    """An order as it is now."""
    return OrderUpdate(
        wire=instrument.wire,
        family=instrument.family,
        venue_id=str(image.id),
        client_id=image.client_id,
        status=image.status,
        side=image.side,
        kind=image.kind,
        tif=image.tif,
        price=image.price if image.price is not None else UNSET,
        trigger=image.trigger if image.trigger is not None else UNSET,
        amount=image.amount if image.amount is not None else UNSET,
        quote_amount=image.quote_amount if image.quote_amount is not None else UNSET,
        filled=image.filled,
        average=image.average if image.average is not None else UNSET,
        fee=image.fee,
        fee_asset=image.fee_asset,
        post_only=image.post_only,
        reduce_only=image.reduce_only,
        end_reason=image.end_reason if image.end_reason is not None else UNSET,
        reason=image.text,
        created=image.created,
        time=image.updated,
    )


def fill_of(row: Execution, instrument: Instrument) -> Fill:
    """An execution."""
    return Fill(
        wire=instrument.wire,
        family=instrument.family,
        id=str(row.trade_id),
        venue_id=str(row.order_id),
        client_id=row.client_id,
        side=row.side,
        price=row.price,
        amount=row.size,
        time=row.time,
        fee=row.fee,
        fee_asset=row.fee_asset,
        maker=row.maker,
    )


def position_of(image: PositionImage, instrument: Instrument, time: int) -> Position:
    """A contract position at `time` in ms."""
    return Position(
        wire=instrument.wire,
        family=instrument.family,
        size=image.size,
        entry=image.entry,
        mark=image.mark,
        unrealised=image.unrealised,
        liquidation=image.liquidation,
        margin=image.margin,
        leverage=Decimal(image.leverage),
        isolated=False,
        time=time,
    )


def balance_of(asset: str, family: str, wallets: Iterable[AssetBalance], time: int) -> Balance:
    """One asset as a family sees it: the sum of its wallets."""
    rows = list(wallets)
    return Balance(
        asset=asset,
        family=family,
        total=sum((row.total for row in rows), ZERO),
        available=sum((row.available for row in rows), ZERO),
        held=sum((row.held for row in rows), ZERO),
        time=time,
    )
