"""What has traded in one listing: the latest trades, bars and 24 h statistics, in whole ticks, lots and atoms."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
KEPT_TRADES = 5_000
KEPT_BARS = {MINUTE: 3_000, HOUR: 2_200, DAY: 1_500}


class Print(NamedTuple):
    """One trade; `buy` tells what the taker did."""

    id: int
    ticks: int
    lots: int
    value: int
    buy: bool
    maker_order: int
    taker_order: int
    time: int


class Row(NamedTuple):
    """One bar."""

    start: int
    open: int
    high: int
    low: int
    close: int
    lots: int
    value: int
    trades: int
    bought: int


class DayStatistics(NamedTuple):
    """The last 24 h, to the minute."""

    open_time: int
    open: int
    high: int
    low: int
    lots: int
    value: int
    trades: int


class _Running:
    """A bar that still moves."""

    __slots__ = ("bought", "close", "high", "lots", "low", "open", "start", "trades", "value")

    def __init__(self, start: int, ticks: int) -> None:
        self.start = start
        self.open = self.high = self.low = self.close = ticks
        self.lots = self.value = self.trades = self.bought = 0

    def add(self, trade: Print) -> None:
        ticks = trade.ticks
        if ticks > self.high:
            self.high = ticks
        elif ticks < self.low:
            self.low = ticks
        self.close = ticks
        self.lots += trade.lots
        self.value += trade.value
        self.trades += 1
        if trade.buy:
            self.bought += trade.lots

    def row(self) -> Row:
        return Row(
            self.start, self.open, self.high, self.low, self.close, self.lots, self.value, self.trades, self.bought
        )


class _Bars:
    """Bars of one resolution that had trades, oldest first; the last one runs."""

    __slots__ = ("closed", "resolution", "running")

    def __init__(self, resolution: int) -> None:
        self.resolution = resolution
        self.closed: deque[Row] = deque(maxlen=KEPT_BARS[resolution])
        self.running: _Running | None = None

    def add(self, trade: Print) -> None:
        start = trade.time - trade.time % self.resolution
        if self.running is None or self.running.start != start:
            if self.running is not None:
                self.closed.append(self.running.row())
            self.running = _Running(start, trade.ticks)
        self.running.add(trade)

    def load(self, rows: Iterable[Row]) -> None:
        self.closed.extend(rows)
        last = self.closed.pop()
        self.running = _Running(last.start, last.open)
        self.running.high, self.running.low, self.running.close = last.high, last.low, last.close
        self.running.lots, self.running.value = last.lots, last.value
        self.running.trades, self.running.bought = last.trades, last.bought

    def rows(self) -> Iterator[Row]:
        yield from self.closed
        if self.running is not None:
            yield self.running.row()

    def since(self, start: int) -> list[Row]:
        """Rows from `start` on; walks from the newest, so that recent windows are cheap."""
        found = [] if self.running is None or self.running.start < start else [self.running.row()]
        for row in reversed(self.closed):
            if row.start < start:
                break
            found.append(row)
        found.reverse()
        return found


class Tape:
    """Trades and bars. `last` is the last price, the reference as long as nothing traded; ids are above `first_id`."""

    def __init__(self, reference: int, first_id: int = 0) -> None:
        self.last = reference
        self.last_lots = 0
        self.first_id = self.last_id = first_id
        self.prints: deque[Print] = deque(maxlen=KEPT_TRADES)
        self._bars = {resolution: _Bars(resolution) for resolution in KEPT_BARS}

    def add(self, trade: Print) -> None:
        """A trade happened; ids and times never fall."""
        self.last = trade.ticks
        self.last_lots = trade.lots
        self.last_id = trade.id
        self.prints.append(trade)
        for bars in self._bars.values():
            bars.add(trade)

    def load(self, history: dict[int, list[Row]], prints: Iterable[Print]) -> None:
        """Fill an empty tape with made-up history: rows by resolution (oldest first) and the latest trades."""
        if self.last_id != self.first_id or self.prints:
            raise ValueError("the tape has begun already")
        for resolution, rows in history.items():
            self._bars[resolution].load(rows)
        for trade in prints:
            self.prints.append(trade._replace(id=self.first_id + trade.id))
            self.last, self.last_lots, self.last_id = trade.ticks, trade.lots, self.first_id + trade.id

    def latest(self, limit: int, after: int | None) -> list[Print]:
        """Latest trades above an id, oldest first."""
        found = []
        for trade in islice(reversed(self.prints), limit):
            if after is not None and trade.id <= after:
                break
            found.append(trade)
        found.reverse()
        return found

    def candles(
        self, interval: int, offset: int, now: int, start: int | None, end: int | None, limit: int
    ) -> list[Row]:
        """Bars as `Exchange.candles` says; `interval` and `offset` are whole minutes."""
        resolution = next(r for r in (DAY, HOUR, MINUTE) if not interval % r and not offset % r)
        running = (now - offset) // interval * interval + offset
        last = running if end is None else min(running, (end - offset) // interval * interval + offset)
        if start is None:
            first = last - (limit - 1) * interval
        else:
            first = -((offset - start) // interval) * interval + offset
            last = min(last, first + (limit - 1) * interval)
        rows = list(self._bars[resolution].rows())
        if not rows or last < first:
            return []
        earliest = (rows[0].start - offset) // interval * interval + offset
        bars: list[Row] = []
        close = rows[0].open
        at = 0
        while at < len(rows) and rows[at].start < first:
            close = rows[at].close
            at += 1
        for opening in range(max(first, earliest), last + 1, interval):
            begin = at
            while at < len(rows) and rows[at].start < opening + interval:
                at += 1
            bar = merged(opening, rows[begin:at], close)
            close = bar.close
            bars.append(bar)
        return bars

    def day(self, now: int) -> DayStatistics:
        """Statistics of the last 24 h."""
        opened = now - now % MINUTE - DAY + MINUTE
        rows = self._bars[MINUTE].since(opened)
        bar = merged(opened, rows, self.last)
        return DayStatistics(opened, bar.open, bar.high, bar.low, bar.lots, bar.value, bar.trades)


def merged(start: int, rows: list[Row], close: int) -> Row:
    """One bar made of several; flat at `close` if there are none."""
    if not rows:
        return Row(start, close, close, close, close, 0, 0, 0, 0)
    return Row(
        start,
        rows[0].open,
        max(row.high for row in rows),
        min(row.low for row in rows),
        rows[-1].close,
        sum(row.lots for row in rows),
        sum(row.value for row in rows),
        sum(row.trades for row in rows),
        sum(row.bought for row in rows),
    )
