"""Derived fills: executions read out of orders whose venue tells only how much was filled so far.

An execution is what lies between two states of an order: its amount is the difference of the filled amounts, its price that
of their values, its fee that of the fees. Its id is the order's and the amount that it reached, so that the stream,
a list and the venue's own fills name it alike. An order that first shows in a list of what stands only sets a base line:
what was filled before is no news; one that this session sent, or that first shows as news, began at zero.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from msgspec import UNSET, structs

from connectors.model import ZERO, Fill, OrderUpdate, Side, plain

KEPT = 10_000  # orders remembered
_PRICE_DIGITS = 12  # decimals of a derived price; a mean of several trades has no end
_SAME = Decimal("1e-9")  # relative; amounts that a venue tells in quote do not add up to the last digit


@dataclass(slots=True, eq=False)
class _Known:
    """An order as far as it was told. `value` None: what the base line came to is not known."""

    venue_id: str = ""
    client_id: str = ""
    wire: str = ""
    side: Side | None = None
    filled: Decimal = ZERO
    value: Decimal | None = ZERO
    fee: Decimal = ZERO
    fee_asset: str = ""
    told: list[Fill] = field(default_factory=list)


class DerivedFills:
    """The orders of one family. Pure: everything is given, nothing is asked for."""

    def __init__(self, family: str) -> None:
        self._family = family
        self._orders: OrderedDict[int, _Known] = OrderedDict()
        self._by_venue: dict[str, _Known] = {}
        self._by_client: dict[str, _Known] = {}

    def expect(self, client_id: str) -> None:
        """An order with this id is about to be sent: whatever is filled of it is news."""
        if client_id and client_id not in self._by_client:
            self._remember(_Known(client_id=client_id))

    def heard(self, update: OrderUpdate, *, listed: bool, now: int) -> list[Fill]:
        """Executions that `update` tells of. `listed`: it comes from a list of what stands, or answers a question about it.

        `now` (ms) stands in where the venue gives no time.
        """
        order = self._find(update)
        new = order is None
        if order is None:
            order = self._remember(_Known(venue_id=update.venue_id, client_id=update.client_id))
        self._learn(order, update)
        if update.filled is UNSET or order.side is None:
            return []
        average = update.average if update.average is not UNSET and update.average else None
        value = None if average is None else update.filled * average
        if new and listed:
            order.filled, order.value = update.filled, value if update.filled else ZERO
            order.fee = update.fee if update.fee is not UNSET else ZERO
            return []
        if update.filled <= order.filled:
            return self._late_fee(order, update)
        if value is None or average is None:
            return []  # the next state will tell at which price
        amount, before = update.filled - order.filled, order.value
        price = average if before is None else round((value - before) / amount, _PRICE_DIGITS)
        fill = Fill(
            wire=order.wire,
            family=self._family,
            id=_name(order, update.filled),
            venue_id=order.venue_id,
            client_id=order.client_id,
            side=order.side,
            price=(price if price > 0 else average).normalize() + ZERO,
            amount=amount,
            time=update.time if update.time is not UNSET else now,
            fee=update.fee - order.fee if update.fee is not UNSET else None,
            fee_asset=order.fee_asset,
            through=update.filled,
        )
        order.filled, order.value = update.filled, value
        order.fee = update.fee if update.fee is not UNSET else order.fee
        order.told.append(fill)
        return [fill]

    def read(self, fills: Iterable[Fill]) -> tuple[list[Fill], list[Fill]]:
        """The venue's own fills (orders whole, oldest first) under our ids; and those of them that are news.

        A part of a step that was told as one has an id of its own; `through` says that it is known.
        """
        reached: defaultdict[str, Decimal] = defaultdict(lambda: ZERO)
        found: list[Fill] = []
        news: list[Fill] = []
        for row in fills:
            order = self._by_venue.get(row.venue_id)
            if order is None:
                order = self._remember(_Known(venue_id=row.venue_id, client_id=row.client_id, wire=row.wire))
            low = reached[row.venue_id]
            high = reached[row.venue_id] = _snap(low + row.amount, order)
            fill = self._ours(row, order, row.amount, high)
            if high > order.filled:
                found.append(fill)
                fill = structs.replace(fill, amount=high - max(low, order.filled))
                order.filled = high
                order.value = None if order.value is None else order.value + row.price * fill.amount
                order.fee += row.fee or ZERO
                order.told.append(fill)
                news.append(fill)
            else:
                step = next((step for step in order.told if _before(step) < high <= (step.through or ZERO)), None)
                if step is not None and step.amount != fill.amount:
                    fill = structs.replace(fill, id=f"{_name(order, low)}-{plain(high)}")
                found.append(fill)
        return found, news

    def _ours(self, row: Fill, order: _Known, amount: Decimal, through: Decimal) -> Fill:
        client_id = row.client_id or order.client_id
        return structs.replace(row, id=_name(order, through), client_id=client_id, amount=amount, through=through)

    def _late_fee(self, order: _Known, update: OrderUpdate) -> list[Fill]:
        """The fee of a step that was told without one."""
        last = order.told[-1] if order.told else None
        if last is None or last.fee is not None or update.fee is UNSET or update.filled != order.filled:
            return []
        order.told[-1] = structs.replace(last, fee=update.fee - order.fee, fee_asset=order.fee_asset)
        order.fee = update.fee
        return [order.told[-1]]

    def _find(self, update: OrderUpdate) -> _Known | None:
        found = self._by_venue.get(update.venue_id) if update.venue_id else None
        return found or (self._by_client.get(update.client_id) if update.client_id else None)

    def _learn(self, order: _Known, update: OrderUpdate) -> None:
        if update.venue_id and not order.venue_id:
            order.venue_id = update.venue_id
            self._by_venue[update.venue_id] = order
        order.client_id = order.client_id or update.client_id
        order.wire = order.wire or update.wire
        order.side = update.side if update.side is not UNSET else order.side
        order.fee_asset = update.fee_asset if update.fee_asset is not UNSET else order.fee_asset

    def _remember(self, order: _Known) -> _Known:
        self._orders[id(order)] = order
        if order.venue_id:
            self._by_venue[order.venue_id] = order
        if order.client_id:
            self._by_client[order.client_id] = order
        if len(self._orders) > KEPT:
            _, oldest = self._orders.popitem(last=False)
            for index, name in ((self._by_venue, oldest.venue_id), (self._by_client, oldest.client_id)):
                if index.get(name) is oldest:
                    del index[name]
        return order


def _name(order: _Known, through: Decimal) -> str:
    return f"{order.venue_id or order.client_id}:{plain(through)}"


def _before(step: Fill) -> Decimal:
    return (step.through or ZERO) - step.amount


def _snap(amount: Decimal, order: _Known) -> Decimal:
    """`amount`, or the amount already told that it can only be."""
    for known in (order.filled, *(step.through or ZERO for step in order.told)):
        if abs(known - amount) <= _SAME * amount:
            return known
    return amount
