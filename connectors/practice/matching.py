"""One instrument's order book with price-time priority, in whole ticks and lots.

A side keeps its price keys in a sorted list with the best one last, so that what happens near the top moves next to
nothing; a level keeps its orders in an OrderedDict (first in, first out; a plain dict's first key gets slower to find
with every deletion before it). The book does not match by itself: it says who is first, whoever settles tells it what
was taken.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict, deque
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

LOG = 50_000  # changes that are kept


class Change(NamedTuple):
    """A level's new total. Its number is its place in the log."""

    bid: bool
    ticks: int
    lots: int
    orders: int
    time: int


class Resting:
    """What the book needs to know of an order. `open` is the lots that are not filled."""

    __slots__ = ("bid", "id", "open", "ticks")

    def __init__(self, id: int, bid: bool, ticks: int, lots: int) -> None:
        self.id = id
        self.bid = bid
        self.ticks = ticks
        self.open = lots


class PriceLevel:
    """All orders at one price, oldest first, and the sum of their open lots."""

    __slots__ = ("lots", "queue")

    def __init__(self) -> None:
        self.lots = 0
        self.queue: OrderedDict[int, Resting] = OrderedDict()


class BookSide:
    """One side. A key is the price in ticks, negated for asks: the best price has the greatest key."""

    __slots__ = ("keys", "levels", "sign")

    def __init__(self, bid: bool) -> None:
        self.sign = 1 if bid else -1
        self.keys: list[int] = []
        self.levels: dict[int, PriceLevel] = {}

    def level(self, ticks: int) -> PriceLevel:
        """The level at a price, made if there is none."""
        key = ticks * self.sign
        level = self.levels.get(key)
        if level is None:
            level = self.levels[key] = PriceLevel()
            insort(self.keys, key)
        return level

    def drop(self, ticks: int) -> None:
        """Forget an empty level."""
        key = ticks * self.sign
        del self.levels[key]
        if self.keys[-1] == key:
            self.keys.pop()
        else:
            del self.keys[bisect_left(self.keys, key)]

    def best(self) -> int | None:
        """Best price in ticks."""
        return self.keys[-1] * self.sign if self.keys else None

    def walk(self, limit: int | None = None) -> Iterator[tuple[int, PriceLevel]]:
        """Levels from the best one to `limit` ticks (included). The side must not change meanwhile."""
        floor = None if limit is None else limit * self.sign
        for key in reversed(self.keys):
            if floor is not None and key < floor:
                return
            yield key * self.sign, self.levels[key]


class InstrumentBook:
    """Both sides and the log of changes. `sequence` is the number of the last change, `now` the time that is logged."""

    __slots__ = ("asks", "bids", "log", "now", "sequence")

    def __init__(self) -> None:
        self.bids = BookSide(bid=True)
        self.asks = BookSide(bid=False)
        self.log: deque[Change] = deque(maxlen=LOG)
        self.sequence = 0
        self.now = 0

    def side(self, bid: bool) -> BookSide:
        """Bids or asks."""
        return self.bids if bid else self.asks

    def head(self, bid: bool, limit: int | None) -> Resting | None:
        """The order that is first in line among bids (or asks) as good as `limit` ticks or better."""
        side = self.bids if bid else self.asks
        if not side.keys:
            return None
        key = side.keys[-1]
        if limit is not None and key < limit * side.sign:
            return None
        return next(iter(side.levels[key].queue.values()))

    def add(self, order: Resting) -> Change:
        """Put an order at the end of its level's queue."""
        level = self.side(order.bid).level(order.ticks)
        level.queue[order.id] = order
        level.lots += order.open
        return self._log(order, level)

    def reduce(self, order: Resting, lots: int) -> Change:
        """Take `lots` off a resting order, which keeps its place; it leaves the book when nothing is left."""
        side = self.side(order.bid)
        level = side.levels[order.ticks * side.sign]
        order.open -= lots
        level.lots -= lots
        if not order.open:
            del level.queue[order.id]
            if not level.queue:
                side.drop(order.ticks)
        return self._log(order, level)

    def remove(self, order: Resting) -> Change:
        """Take an order out; its `open` stays as it was."""
        side = self.side(order.bid)
        level = side.levels[order.ticks * side.sign]
        del level.queue[order.id]
        level.lots -= order.open
        if not level.queue:
            side.drop(order.ticks)
        return self._log(order, level)

    def _log(self, order: Resting, level: PriceLevel) -> Change:
        self.sequence += 1
        change = Change(order.bid, order.ticks, level.lots, len(level.queue), self.now)
        self.log.append(change)
        return change

    def changes(self, after: int) -> list[Change] | None:
        """Changes with numbers above `after`, oldest first; None if some of them are no longer kept."""
        count = self.sequence - after
        if count <= 0:
            return []
        if count > len(self.log):
            return None
        latest = list(islice(reversed(self.log), count))
        latest.reverse()
        return latest
