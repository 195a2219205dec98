"""What the ladder shows, without a widget: static rows of prices, sizes grouped into them, and what a click would send.

Rows do not move by themselves. A row is named by its tick number, so no float is ever compared with another.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

from connectors.book import OrderBook
from connectors.model import Instrument, Side, plain

if TYPE_CHECKING:
    from app.markets import TradedVolume

GROUPS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


class LadderRows:
    """`top` is the tick number of the uppermost row's group; `group` ticks a row; `count` rows are visible."""

    def __init__(self, instrument: Instrument, count: int = 40) -> None:
        self.instrument = instrument
        self.group = 1
        self.count = count
        self.top: int | None = None
        self._tick = float(instrument.tick) or 10.0**-instrument.price_digits
        self._tick_exact = instrument.tick or Decimal(1).scaleb(-instrument.price_digits)

    def ticks(self, price: float) -> int:
        """The tick number of a price."""
        return round(price / self._tick)

    def price(self, row: int) -> Decimal:
        """The exact price of a row, which is the price that a click in it sends."""
        return self._tick_exact * ((self.top or 0) - row * self.group)

    def row_of(self, price: float, side: Side = Side.BUY) -> int | None:
        """The visible row that holds a price. In a group, bids count to its lower end and asks to its upper one.

        So the price that stands in the row is the price that a click there sends, and never better than what is shown.
        """
        if self.top is None:
            return None
        tick = self.ticks(price)
        slot = tick // self.group if side is Side.BUY else -(-tick // self.group)
        row = (self.top - slot * self.group) // self.group
        return row if 0 <= row < self.count else None

    def natural_group(self, book: OrderBook) -> int:
        """The finest grouping in which the visible rows hold about as many levels as there are rows."""
        bids, asks = book.top(self.count // 2)
        if not bids or not asks:
            return 1
        ticks = (self.ticks(asks[-1][0]) - self.ticks(bids[-1][0])) / max(1, self.count)
        return next((group for group in GROUPS if group >= ticks), GROUPS[-1])

    def centre(self, book: OrderBook) -> bool:
        """Put the mid into the middle; False while there is none."""
        mid = book.mid if book.mid is not None else (book.best_bid or book.best_ask or (None,))[0]
        if mid is None:
            return False
        middle = self.ticks(mid) // self.group * self.group
        self.top = middle + (self.count // 2) * self.group
        return True

    def scroll(self, rows: int) -> None:
        """Move by rows; positive shows higher prices."""
        if self.top is not None:
            self.top = max(self.count * self.group, self.top + rows * self.group)

    def regroup(self, step: int, book: OrderBook) -> None:
        """The next coarser (+1) or finer (-1) grouping, around the mid."""
        index = GROUPS.index(self.group) if self.group in GROUPS else 0
        self.group = GROUPS[min(len(GROUPS) - 1, max(0, index + step))]
        self.top = None
        self.centre(book)

    def strays(self, book: OrderBook) -> bool:
        """Whether the best price left the middle half of what is visible."""
        mid = book.mid
        if mid is None or self.top is None:
            return False
        row = (self.top - self.ticks(mid) // self.group * self.group) / self.group
        return not self.count * 0.25 <= row <= self.count * 0.75

    def sizes(self, book: OrderBook) -> tuple[list[float], list[float]]:
        """Bid and ask size of each visible row; work grows with what is visible, not with the book."""
        bids = [0.0] * self.count
        asks = [0.0] * self.count
        if self.top is None:
            return bids, asks
        self._fill(asks, book.ask_prices, book.asks, Side.SELL)
        self._fill(bids, book.bid_prices, book.bids, Side.BUY)
        return bids, asks

    def volumes(self, traded: TradedVolume) -> list[float]:
        """What was traded in each visible row."""
        if self.top is None:
            return [0.0] * self.count
        seen = self._visible(traded.prices)
        ticks = np.round(np.array(seen) / self._tick).astype(np.int64)
        row = self.top // self.group - ticks // self.group
        inside = (row >= 0) & (row < self.count)
        sizes = np.fromiter(map(traded.sizes.__getitem__, seen), np.float64, len(seen))
        return np.bincount(row[inside], sizes[inside], self.count).tolist()

    def _visible(self, prices: list[float]) -> list[float]:
        """Those that may stand in a row."""
        top = self.top or 0
        low, high = (top - self.count * self.group) * self._tick, (top + self.group) * self._tick
        return prices[bisect_left(prices, low) : bisect_right(prices, high)]

    def _fill(self, rows: list[float], prices: list[float], sizes: dict[float, float], side: Side) -> None:
        for price in self._visible(prices):
            row = self.row_of(price, side)
            if row is not None:
                rows[row] += sizes[price]


class ClickGuard:
    """A click counts only if the price under the pointer at press is the one at release, on the same side."""

    def __init__(self) -> None:
        self._pressed: tuple[Decimal, Side] | None = None

    def press(self, price: Decimal, side: Side) -> None:
        """The button went down here."""
        self._pressed = (price, side)

    def release(self, price: Decimal, side: Side) -> str | None:
        """None if the click counts, else why it does not."""
        pressed, self._pressed = self._pressed, None
        if pressed is None:
            return "the button was pressed elsewhere"
        if pressed[1] is not side:
            return "released on the other side: nothing sent"
        if pressed[0] != price:
            return f"nothing sent: the price here changed from {plain(pressed[0])} to {plain(price)}"
        return None

    def clear(self) -> None:
        """The pointer left, or focus was lost."""
        self._pressed = None
