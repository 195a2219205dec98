"""News of orders and executions, completed from what a venue leaves out, before anybody hears of them.

Executions that are only told as totals are derived, fees that come later are looked up, and an order that an amend gave
another id stays one order.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from connectors.contract import Amend, Family, FillSource, Venue
from connectors.model import Fill, OrderUpdate
from connectors.runtime.amends import Amends
from connectors.runtime.clock import Clock
from connectors.runtime.derive import DerivedFills
from connectors.runtime.fees import LateFees


class OrderNews:
    """Of all families of a session. `tell` hears what is complete; `read_fills` gives our fills of an instrument since a time (ms)."""

    def __init__(
        self,
        venue: Venue,
        clock: Clock,
        tell: Callable[[OrderUpdate | Fill, str], None],
        read_fills: Callable[[Family, str, int], Awaitable[list[Fill]]],
    ) -> None:
        self._clock = clock
        self._tell = tell
        self._derived: dict[str, DerivedFills] = {}
        self._fees: dict[str, LateFees] = {}
        self._amends: dict[str, Amends] = {}
        for family in venue.families:
            if family.capabilities.fills is FillSource.CUMULATIVE:
                self._derived[family.name] = DerivedFills(family.name)
            if family.capabilities.fills is FillSource.EVENT_FEE_CALL:
                self._fees[family.name] = self._late_fees(family, read_fills)
            if family.capabilities.amend is Amend.NEW_ID:
                self._amends[family.name] = Amends()

    async def stop(self) -> None:
        """Look up no more fees."""
        for fees in self._fees.values():
            await fees.stop()

    def expect(self, client_id: str, family: Family) -> None:
        """An order with this id leaves now: all that it fills is news."""
        if family.name in self._derived:
            self._derived[family.name].expect(client_id)

    def amends(self, family: Family) -> Amends | None:
        """The replaced orders of a family whose amends give another id."""
        return self._amends.get(family.name)

    def order(self, update: OrderUpdate, family: str) -> None:
        """From the stream: told, unless an amend gave the order another id."""
        update.family = family
        self._derive(update, listed=update.listed)
        amends = self._amends.get(family)
        if amends is None or amends.told(update):
            self._tell(update, family)

    def answer(self, update: OrderUpdate, family: Family) -> OrderUpdate:
        """An answer about an order: it gets its family, and what it tells of executions is told."""
        update.family = family.name
        self._derive(update, listed=True)
        if family.name in self._amends:
            self._amends[family.name].complete(update)
        return update

    def fill(self, fill: Fill, family: str) -> None:
        """From the stream."""
        self._tell(fill, family)
        if family in self._fees:
            self._fees[family].heard(fill)

    def fills_read(self, fills: list[Fill], family: Family) -> list[Fill]:
        """A list that was read: told where it knows what was derived only as totals. Returns it as it is to be understood."""
        if family.name not in self._derived:
            return fills
        found, news = self._derived[family.name].read(fills)
        for fill in news:
            self._tell(fill, family.name)
        return found

    def _derive(self, update: OrderUpdate, *, listed: bool) -> None:
        derived = self._derived.get(update.family)
        if derived is not None:
            for fill in derived.heard(update, listed=listed, now=self._clock.ms()):
                self._tell(fill, update.family)

    def _late_fees(self, family: Family, read_fills: Callable[[Family, str, int], Awaitable[list[Fill]]]) -> LateFees:
        return LateFees(lambda wire, start: read_fills(family, wire, start), lambda fill: self._tell(fill, family.name))
