"""Amends that give an order another id: to the trader it stays one order.

Such a venue ends the old order and places a new one that counts from zero. What it says of the old id meanwhile (cancelled!)
is held back until the verdict is known: then it is either dropped, because the order lives on, or told after all. Of the
new id amounts are told with what the earlier ids had filled, so that the total of the order never jumps; the stream may
speak of it before the answer does, and has said then what the old one had filled. Executions are told as they come. Pure:
nothing is asked for here.
"""

from __future__ import annotations

from collections import OrderedDict
from decimal import Decimal
from typing import TypeVar

from connectors.model import ZERO, OrderStatus, OrderUpdate

T = TypeVar("T")

KEPT = 2_000  # ids remembered


class Amends:
    """The replaced orders of one family."""

    def __init__(self) -> None:
        self._held: dict[str, list[OrderUpdate]] = {}
        self._changing: dict[str, str] = {}  # client id -> the id of the order that is being changed
        self._left: OrderedDict[str, bool] = OrderedDict()  # old ids; whether it is certain that they were replaced
        self._carried: OrderedDict[str, Decimal] = OrderedDict()

    def begin(self, venue_id: str, client_id: str = "") -> None:
        """An amend of this order leaves now; `client_id` is what the old and the new one are called by us."""
        self._held.setdefault(venue_id, [])
        if client_id:
            self._changing[client_id] = venue_id

    def refused(self, venue_id: str) -> list[OrderUpdate]:
        """It certainly changed nothing: what was held back is to be told."""
        return self._release(venue_id)

    def unknown(self, venue_id: str) -> None:
        """No verdict came: what the stream says of this id proves nothing until a look-up names it as the order that stands."""
        self._release(venue_id)
        self._remember(self._left, venue_id, False)

    def done(self, update: OrderUpdate) -> None:
        """The venue's answer: a new id, the old one in `previous_id`, and in `filled` what the old one did."""
        old = update.previous_id
        self._release(old)
        if not old or old == update.venue_id:
            return
        filled = update.filled if isinstance(update.filled, Decimal) else ZERO
        self._remember(self._left, old, True)
        self._remember(self._carried, update.venue_id, filled + self.carried(old))
        update.filled = ZERO  # of the new order; `complete` adds what is carried

    def carried(self, venue_id: str) -> Decimal:
        """What earlier ids of this order had filled."""
        return self._carried.get(venue_id, ZERO)

    def told(self, update: OrderUpdate) -> bool:
        """Whether an update of the stream is to be told now; it is completed as answers are."""
        if update.venue_id in self._held:
            self._held[update.venue_id].append(update)
            return False
        if update.venue_id in self._left:
            return False
        old = self._changing.get(update.client_id)
        if (
            old is not None and update.venue_id and update.venue_id not in self._carried
        ):  # the new one, before the answer
            filled = [row.filled for row in self._held[old] if isinstance(row.filled, Decimal)]
            self._remember(self._carried, update.venue_id, (filled[-1] if filled else ZERO) + self.carried(old))
        self.complete(update)
        return True

    def complete(self, update: OrderUpdate) -> None:
        """Add to an answer what earlier ids of the order had filled."""
        if self._left.get(update.venue_id) is False and not (
            isinstance(update.status, OrderStatus) and update.status.is_final
        ):
            del self._left[update.venue_id]  # it stands: the amend never happened
        carried = self._carried.get(update.venue_id)
        if carried:
            for name in ("amount", "filled"):
                value = getattr(update, name)
                if isinstance(value, Decimal):
                    setattr(update, name, value + carried)

    def _release(self, venue_id: str) -> list[OrderUpdate]:
        """The verdict is known, or will not come: what was held back."""
        self._changing = {name: old for name, old in self._changing.items() if old != venue_id}
        return self._held.pop(venue_id, [])

    @staticmethod
    def _remember(memory: OrderedDict[str, T], key: str, value: T) -> None:
        memory[key] = value
        while len(memory) > KEPT:
            memory.popitem(last=False)
