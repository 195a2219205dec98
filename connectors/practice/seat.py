"""A place at the exchange for a trader of this process: one market, whole ticks and lots, no pictures made."""

from __future__ import annotations

from connectors.model import EndReason, OrderStatus, Side, TimeInForce
from connectors.practice.engine import Engine
from connectors.practice.grid import Grid
from connectors.practice.ledger import Account
from connectors.practice.market import ListedMarket
from connectors.practice.matching import InstrumentBook
from connectors.practice.orders import LiveOrder
from connectors.practice.outbox import Outbox
from connectors.practice.terms import NewOrder, Refusal


class Seat:
    """What `Exchange.place`, `amend` and `cancel` do, by the same rules, for one account in one market."""

    def __init__(self, account: Account, market: ListedMarket, engine: Engine, outbox: Outbox) -> None:
        self._account = account
        self._market = market
        self._engine = engine
        self._outbox = outbox

    @property
    def grid(self) -> Grid:
        """The listing in whole numbers."""
        return self._market.grid

    @property
    def book(self) -> InstrumentBook:
        """The book, to look at."""
        return self._market.book

    def order(self, bid: bool, ticks: int, lots: int, *, tif: TimeInForce = TimeInForce.GTC) -> bool:
        """Enter a limit order. False if it was refused."""
        grid = self._market.grid
        if not (ticks > 0 and grid.minimum <= lots <= grid.maximum):
            return False
        try:
            self._engine.enter(self._order(bid, ticks, lots, tif))
        except Refusal:
            return False
        self._outbox.deliver()
        return True

    def rest(self, bid: bool, ticks: int, lots: int) -> None:
        """Put an order into a market that is being filled; it must be worse than the other side's best. Then `filled`."""
        self._engine.rest(self._order(bid, ticks, lots, TimeInForce.GTC))

    def filled(self) -> None:
        """The market is filled: everything is in order again."""
        self._engine.settle()
        self._outbox.deliver()

    def _order(self, bid: bool, ticks: int, lots: int, tif: TimeInForce) -> LiveOrder:
        grid = self._market.grid
        request = NewOrder(
            key=self._market.key,
            side=Side.BUY if bid else Side.SELL,
            amount=grid.size(lots),
            price=grid.price(ticks),
            tif=tif,
        )
        return LiveOrder(self._account, self._market, request, self._engine.now, (ticks, lots))

    def newest_at(self, bid: bool, index: int) -> LiveOrder | None:
        """The seat's own newest order at the `index`-th level from the best one, if the last in line is its own."""
        side = self._market.book.side(bid)
        if index >= len(side.keys):
            return None
        order = next(reversed(side.levels[side.keys[-1 - index]].queue.values()))
        return order if isinstance(order, LiveOrder) and order.account is self._account else None

    def cancel(self, order: LiveOrder) -> None:
        """Cancel an order of this seat that still rests."""
        self._engine.cancel(order, OrderStatus.CANCELLED, EndReason.USER, "cancelled")
        self._outbox.deliver()

    def shrink(self, order: LiveOrder, lots: int) -> None:
        """Lower the total of a resting order to `lots`, which is above what is filled."""
        self._engine.shrink(order, lots, order.client_id)
        self._outbox.deliver()
