"""One listing at work: its book, tape, waiting orders and mark in one place."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from connectors.model import InstrumentStatus, Side
from connectors.practice.grid import Grid, from_atoms, to_atoms
from connectors.practice.listings import Listing
from connectors.practice.marks import Mark
from connectors.practice.matching import Change, InstrumentBook
from connectors.practice.tape import Print, Row, Tape
from connectors.practice.terms import (
    Bar,
    BookLevel,
    NewOrder,
    PublicTrade,
    Refusal,
    RefusalKind,
    TickerImage,
    TriggerOn,
)
from connectors.practice.triggers import TriggerBook

if TYPE_CHECKING:
    from connectors.practice.orders import LiveOrder


class ListedMarket:
    """A listing and everything that lives in it. `low` and `high` span the trades since triggers were looked at."""

    def __init__(self, listing: Listing, now: int, first_id: int = 0) -> None:
        self.listing = listing
        self.key = listing.key
        self.grid = Grid(listing)
        reference = self.grid.ticks(listing.reference)
        self.book = InstrumentBook()
        self.tape = Tape(reference, first_id)
        self.on_last: TriggerBook[LiveOrder] = TriggerBook()
        self.on_mark: TriggerBook[LiveOrder] = TriggerBook()
        self.mark = Mark(reference, now) if listing.is_contract else None
        self.status = InstrumentStatus.TRADING
        self.open_lots = 0  # contracts that someone is long
        self.low: int | None = None
        self.high: int | None = None

    def check_offered(self, request: NewOrder) -> None:
        """Refused: UNSUPPORTED for what this listing has not."""
        wrong = ""
        if self.listing.is_contract:
            if request.quote_amount is not None:
                wrong = "contracts are not bought by money"
        elif request.reduce_only:
            wrong = "there is no position to reduce on spot"
        elif request.trigger_on is TriggerOn.MARK:
            wrong = "there is no mark price on spot"
        if wrong:
            raise Refusal(RefusalKind.UNSUPPORTED, wrong)

    def quote_atoms(self, request: NewOrder) -> int:
        """The money of a market order by money. Refused: NOTIONAL_MINIMUM, INVALID."""
        amount = request.quote_amount
        if amount is None or not amount.is_finite() or amount <= 0:
            raise Refusal(RefusalKind.INVALID, f"{amount} is nothing to spend")
        atoms = to_atoms(amount)
        if atoms < self.grid.min_value:
            raise Refusal(RefusalKind.NOTIONAL_MINIMUM, f"{amount} is below {self.listing.min_notional}")
        return atoms

    def triggers(self, request: NewOrder) -> TriggerBook[LiveOrder]:
        """Where an order of this kind waits."""
        return self.on_mark if request.trigger_on is TriggerOn.MARK else self.on_last

    def watched(self, request: NewOrder) -> int:
        """The price that it watches, in ticks."""
        return self.mark.ticks if request.trigger_on is TriggerOn.MARK and self.mark else self.tape.last

    def record(self, trade: Print) -> None:
        """A trade happened."""
        self.tape.add(trade)
        self.low = trade.ticks if self.low is None else min(self.low, trade.ticks)
        self.high = trade.ticks if self.high is None else max(self.high, trade.ticks)

    def estimate(self, bid: bool, lots: int, without: frozenset[int] = frozenset()) -> int:
        """Value of taking `lots` from the bids (or asks), as far as they are there, orders `without` left aside."""
        value = 0
        for ticks, there in self._there(bid, without):
            taken = min(there, lots)
            lots -= taken
            value += self.grid.value(ticks, taken)
            if not lots:
                break
        return value

    def _there(self, bid: bool, without: frozenset[int]) -> Iterator[tuple[int, int]]:
        """Prices and lots of one side from the best on."""
        for ticks, level in self.book.side(bid).walk():
            if without:
                yield ticks, sum(order.open for order in level.queue.values() if order.id not in without)
            else:
                yield ticks, level.lots

    def plan(self, bid: bool, atoms: int, without: frozenset[int] = frozenset()) -> tuple[int, bool]:
        """Lots that `atoms` of quote come to against the bids (or asks), and whether the book holds too little."""
        lots = 0
        for ticks, there in self._there(bid, without):
            taken = min(there, self.grid.affordable(ticks, atoms))
            lots += taken
            atoms -= self.grid.value(ticks, taken)
            if taken < there:
                return lots, False
        return lots, True

    # pictures --------------------------------------------------------------------------------------------------------

    def level(self, change: Change) -> BookLevel:
        """A change of the log as a row."""
        return BookLevel(self.grid.price(change.ticks), self.grid.size(change.lots), change.orders)

    def levels(self, bid: bool, count: int | None = None) -> list[BookLevel]:
        """One side, best first."""
        price, size = self.grid.price, self.grid.size
        rows: list[BookLevel] = []
        for ticks, level in self.book.side(bid).walk():
            if count is not None and len(rows) >= count:
                break
            rows.append(BookLevel(price(ticks), size(level.lots), len(level.queue)))
        return rows

    def changed(self, changes: list[Change], bid: bool) -> list[BookLevel]:
        """The levels of one side that changed, as they are after the last of the changes, best first."""
        latest = {change.ticks: change for change in changes if change.bid is bid}
        return [self.level(latest[ticks]) for ticks in sorted(latest, reverse=bid)]

    def trade(self, trade: Print) -> PublicTrade:
        """A trade for the public."""
        return PublicTrade(
            key=self.key,
            id=trade.id,
            price=self.grid.price(trade.ticks),
            size=self.grid.size(trade.lots),
            value=from_atoms(trade.value),
            side=Side.BUY if trade.buy else Side.SELL,
            maker_order=trade.maker_order,
            taker_order=trade.taker_order,
            time=trade.time,
        )

    def bar(self, row: Row) -> Bar:
        """A bar for the public."""
        price, size = self.grid.price, self.grid.size
        return Bar(
            start=row.start,
            open=price(row.open),
            high=price(row.high),
            low=price(row.low),
            close=price(row.close),
            volume=size(row.lots),
            value=from_atoms(row.value),
            trades=row.trades,
            taker_buy=size(row.bought),
        )

    def ticker(self, now: int) -> TickerImage:
        """Best prices and 24 h statistics."""
        day = self.tape.day(now)
        price, size = self.grid.price, self.grid.size
        bids, asks = self.levels(True, 1), self.levels(False, 1)
        return TickerImage(
            key=self.key,
            bid=bids[0] if bids else None,
            ask=asks[0] if asks else None,
            last=price(self.tape.last),
            last_size=size(self.tape.last_lots),
            open=price(day.open),
            high=price(day.high),
            low=price(day.low),
            volume=size(day.lots),
            value=from_atoms(day.value),
            trades=day.trades,
            first_trade=self.tape.last_id - day.trades + 1 if day.trades else 0,
            last_trade=self.tape.last_id,
            open_time=day.open_time,
            time=now,
            sequence=self.book.sequence,
        )

    def middle(self) -> Fraction:
        """Middle of the book in money, or the last price while a side is empty."""
        bid, ask = self.book.bids.best(), self.book.asks.best()
        ticks = Fraction(bid + ask, 2) if bid is not None and ask is not None else Fraction(self.tape.last)
        return ticks * Fraction(self.grid.tick)
