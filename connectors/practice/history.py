"""Made-up history: bars that end at today's price, so that a chart has something to show at the first start."""

from __future__ import annotations

import math
from random import Random

from connectors.practice.grid import Grid
from connectors.practice.tape import DAY, HOUR, MINUTE, Print, Row, merged

YEAR = 365 * DAY
_PRINTS = 300


def path(rng: Random, count: int, sigma: float, end: float) -> list[float]:
    """`count` + 1 prices that end at `end`; steps of about `sigma` (a fraction) whose size comes in clusters."""
    steps: list[float] = []
    heat = 0.0
    for _ in range(count):
        heat = 0.92 * heat + 0.25 * rng.gauss(0, 1)
        steps.append(sigma * math.exp(heat - 0.2) * rng.gauss(0, 1))
    prices = [end]
    for step in reversed(steps):
        prices.append(prices[-1] * math.exp(-step))
    prices.reverse()
    return prices


def paths(rng: Random, now: int, reference: float, volatility: float, minutes_back: int) -> dict[int, list[float]]:
    """Prices of one asset by resolution, the finer ones ending where the running bar is. `volatility` is of a year.

    Minutes begin at a full hour at least `minutes_back` ms ago, hours at a full day about 60 days ago, days about two
    years ago; each coarser path ends where the finer one begins.
    """
    starts = first_starts(now, minutes_back)
    found: dict[int, list[float]] = {}
    end = reference
    until = now - now % MINUTE + MINUTE
    for resolution in (MINUTE, HOUR, DAY):
        count = (until - starts[resolution]) // resolution
        found[resolution] = path(rng, count, volatility * math.sqrt(resolution / YEAR), end)
        end, until = found[resolution][0], starts[resolution]
    return found


def first_starts(now: int, minutes_back: int) -> dict[int, int]:
    """Where the bars of each resolution begin."""
    minutes = (now - minutes_back) // HOUR * HOUR
    hours = (minutes - 60 * DAY) // DAY * DAY
    return {MINUTE: minutes, HOUR: hours, DAY: hours - 700 * DAY}


def bars(
    rng: Random, grid: Grid, prices: dict[int, list[float]], now: int, turnover: float, minutes_back: int
) -> dict[int, list[Row]]:
    """Rows by resolution along the paths of `paths`; `turnover` is the value in quote of a usual minute."""
    starts = first_starts(now, minutes_back)
    made: dict[int, list[Row]] = {}
    finer: list[Row] = []
    for resolution in (MINUTE, HOUR, DAY):
        points = prices[resolution]
        usual = turnover * resolution / MINUTE
        rows = _rows(rng, grid, starts[resolution], resolution, points, usual)
        rows += _coarser(finer, resolution)
        made[resolution] = finer = rows
    return made


def _rows(rng: Random, grid: Grid, start: int, span: int, points: list[float], usual: float) -> list[Row]:
    """A bar between each two points; tens of thousands are made at a start, so nothing is looked up twice."""
    tick, about = float(grid.tick), grid.about
    calm = math.sqrt(usual + 1)
    exponential, normal, random, exp = rng.expovariate, rng.gauss, rng.random, math.exp
    rows: list[Row] = []
    for at, opened in enumerate(points[:-1]):
        closed = points[at + 1]
        spread = abs(closed - opened) * 0.4 + opened * 0.00005
        top, bottom = (opened, closed) if opened > closed else (closed, opened)
        high = top + spread * exponential(1.5)
        low = bottom - spread * exponential(1.5)
        value = usual * exp(normal(-0.2, 0.6)) * (1 + 1500 * abs(closed / opened - 1) / calm)
        lots = round(value / about(closed)) or 1
        trades = round(lots**0.5 * (0.3 + 0.4 * random())) or 1
        bought = round(lots * min(1.0, max(0.0, normal(0.5, 0.1))))
        last = round(closed / tick) or 1
        row = Row(
            start + at * span,
            round(opened / tick) or 1,
            round(high / tick) or 1,
            max(1, round(low / tick)),
            last,
            lots,
            grid.value(last, lots),
            trades,
            bought,
        )
        rows.append(row)
    return rows


def _coarser(rows: list[Row], resolution: int) -> list[Row]:
    """Rows merged into bars of a longer resolution; they begin at a full bar of it."""
    groups: dict[int, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.start - row.start % resolution, []).append(row)
    return [merged(start, group, group[0].open) for start, group in groups.items()]


def prints(rng: Random, grid: Grid, last: float, rows: list[Row], now: int, a_second: float) -> list[Print]:
    """The latest trades, ending at `last` now; their ids go on from the number of trades in `rows`."""
    ticks = max(1, round(last / float(grid.tick)))
    number = sum(row.trades for row in rows)
    at = float(now)
    found: list[Print] = []
    for back in range(_PRINTS):
        lots = max(1, round(20 * rng.paretovariate(1.3) / grid.about(last)))
        found.append(
            Print(number - back + _PRINTS, ticks, lots, grid.value(ticks, lots), rng.random() < 0.5, 0, 0, int(at))
        )
        ticks = max(1, ticks + rng.choice((-1, 0, 0, 1)))
        at -= rng.expovariate(a_second / 1000)
    found.reverse()
    return found
