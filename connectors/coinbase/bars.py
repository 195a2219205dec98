"""Bars of other lengths than the five minutes that Coinbase streams: longer ones are put together, minutes come from trades.

Only what is certainly whole is told: a longer bar when its first bucket is known, a minute when the trades reach back before it.
A day is longer than what the venue's image of the channel covers; it is read, not streamed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from connectors.model import Candle

BUCKET = 300_000
MINUTE = 60_000
SPANS = {"5m": BUCKET, "15m": 900_000, "30m": 1_800_000, "1h": 3_600_000, "2h": 7_200_000, "6h": 21_600_000}
KEPT = 6 * SPANS["6h"] // BUCKET  # buckets of a product


@dataclass(slots=True)
class Bar:
    """A bar in the making; `start` in ms."""

    start: int
    open: float
    high: float
    low: float
    close: float
    volume: float

    def candle(self, wire: str, interval: str, *, closed: bool) -> Candle:
        """As everybody else sees it."""
        return Candle(
            wire=wire,
            interval=interval,
            start=self.start,
            open=self.open,
            high=self.high,
            low=self.low,
            close=self.close,
            volume=self.volume,
            closed=closed,
        )


class Buckets:
    """Five-minute buckets of one product."""

    def __init__(self) -> None:
        self._known: dict[int, Bar] = {}

    def take(self, bars: list[Bar]) -> None:
        """New or newer buckets."""
        for bar in bars:
            self._known[bar.start] = bar
        for start in sorted(self._known)[:-KEPT]:
            del self._known[start]

    def bar(self, start: int, span: int) -> Bar | None:
        """The bar of `span` ms that holds the time `start`, as far as it is; None if its beginning is not known."""
        begin = start // span * span
        if span != BUCKET and min(self._known) > begin:
            return None
        parts = [self._known[each] for each in range(begin, begin + span, BUCKET) if each in self._known]
        if not parts:
            return None
        return Bar(
            begin,
            parts[0].open,
            max(part.high for part in parts),
            min(part.low for part in parts),
            parts[-1].close,
            sum(part.volume for part in parts),
        )


@dataclass(slots=True)
class Minutes:
    """The running minute of one product, from its trades."""

    bar: Bar | None = None
    whole: bool = False
    last_id: int = -1
    begun: int | None = field(default=None)  # time of the first trade that was seen

    def take(self, trades: list[tuple[int, int, float, float]]) -> list[tuple[Bar, bool]]:
        """Trades as (id, time, price, amount), oldest first. Returns the bars that are whole and changed, and whether each is over."""
        told: list[tuple[Bar, bool]] = []
        for number, time, price, amount in trades:
            if number <= self.last_id:
                continue
            self.last_id = number
            start = time // MINUTE * MINUTE
            if self.bar is None or start > self.bar.start:
                if self.bar is not None and self.whole:
                    told.append((self.bar, True))
                self.whole = self.begun is not None and self.begun < start
                self.bar = Bar(start, price, price, price, price, 0.0)
            self.begun = time if self.begun is None else self.begun
            bar = self.bar
            bar.high, bar.low, bar.close = max(bar.high, price), min(bar.low, price), price
            bar.volume += amount
        if self.bar is not None and self.whole and trades:
            told.append((self.bar, False))
        return told
