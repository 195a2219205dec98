"""Candles that the practice exchange does not keep itself: seconds from the tape, calendar months from days."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby

from connectors.binance.practice_terms import INTERVALS
from connectors.model import ZERO, Side
from connectors.practice.terms import Bar, PublicTrade

SECOND = 1000


def closes(start: int, interval: str) -> int:
    """Closing time of a bar, ms; months are of the calendar."""
    if interval != "1M":
        return start + INTERVALS[interval] - 1
    month = datetime.fromtimestamp(start / 1000, UTC)
    following = month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)
    return int(following.timestamp() * 1000) - 1


def seconds(trades: Sequence[PublicTrade], now_ms: int, start: int | None, end: int | None, limit: int) -> list[Bar]:
    """As far back as the tape goes; seconds without a trade are flat."""
    if not trades:
        return []
    rows = {at: list(found) for at, found in groupby(trades, lambda row: row.time // SECOND * SECOND)}
    found: list[Bar] = []
    last = trades[0].price
    for at in range(trades[0].time // SECOND * SECOND, max(now_ms, trades[-1].time) + 1, SECOND):
        bar = _bar(at, rows.get(at, ()), last)
        found.append(bar)
        last = bar.close
    return within(found, start, end, limit)


def _bar(start: int, trades: Sequence[PublicTrade], before: Decimal) -> Bar:
    prices = [row.price for row in trades] or [before]
    return Bar(
        start=start,
        open=prices[0],
        high=max(prices),
        low=min(prices),
        close=prices[-1],
        volume=sum((row.size for row in trades), ZERO),
        value=sum((row.value for row in trades), ZERO),
        trades=len(trades),
        taker_buy=sum((row.size for row in trades if row.side is Side.BUY), ZERO),
    )


def months(days: Sequence[Bar], start: int | None, end: int | None, limit: int) -> list[Bar]:
    """Days put together."""
    found = []
    for at, group in groupby(days, _month):
        rows = list(group)
        found.append(
            Bar(
                start=at,
                open=rows[0].open,
                high=max(row.high for row in rows),
                low=min(row.low for row in rows),
                close=rows[-1].close,
                volume=sum((row.volume for row in rows), ZERO),
                value=sum((row.value for row in rows), ZERO),
                trades=sum(row.trades for row in rows),
                taker_buy=sum((row.taker_buy for row in rows), ZERO),
            )
        )
    return within(found, start, end, limit)


def _month(day: Bar) -> int:
    first = datetime.fromtimestamp(day.start / 1000, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return int(first.timestamp() * 1000)


def within(bars: list[Bar], start: int | None, end: int | None, limit: int) -> list[Bar]:
    """Those that open in the window: the first ones from its start on, else the latest."""
    chosen = [bar for bar in bars if (start is None or bar.start >= start) and (end is None or bar.start <= end)]
    return chosen[:limit] if start is not None else chosen[-limit:]
