"""Conditional orders of one listing that wait for a price, found without looking at those that keep waiting."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Generic, Protocol, TypeVar


class Waiting(Protocol):
    """What waits. `ticket` is the order's current entry here; an entry with another number is void."""

    id: int
    trigger: int
    rising: bool
    ticket: int


WaitingT = TypeVar("WaitingT", bound=Waiting)


class TriggerBook(Generic[WaitingT]):
    """Two heaps: what starts when the price rises to its trigger, and what starts when it falls to it."""

    def __init__(self) -> None:
        self._rising: list[tuple[int, int, WaitingT]] = []
        self._falling: list[tuple[int, int, WaitingT]] = []
        self._tickets = 0

    def add(self, order: WaitingT) -> None:
        """Wait from now on (again, after its trigger was changed)."""
        self._tickets += 1
        order.ticket = self._tickets
        if order.rising:
            heappush(self._rising, (order.trigger, order.ticket, order))
        else:
            heappush(self._falling, (-order.trigger, order.ticket, order))

    def due(self, low: int, high: int) -> list[WaitingT]:
        """Take out what triggers between these prices, in the order of the ids."""
        found: list[WaitingT] = []
        for heap, reached in ((self._rising, high), (self._falling, -low)):
            while heap and heap[0][0] <= reached:
                _, ticket, order = heappop(heap)
                if order.ticket == ticket:
                    order.ticket = 0
                    found.append(order)
        found.sort(key=lambda order: order.id)
        return found
