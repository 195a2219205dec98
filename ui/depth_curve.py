"""The depth curve without a widget: cumulative steps reduced to one vertex a pixel column, and what the crosshair says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QPolygonF

from connectors.book import Depth


@dataclass(frozen=True, slots=True)
class Reading:
    """At the crosshair: distance from mid as a fraction, cumulative size and its worth, average price and slippage of taking it."""

    price: float
    distance: float
    base: float
    quote: float
    average: float
    slippage: float


def columns(
    prices: NDArray[np.float64], cumulative: NDArray[np.float64], edges: NDArray[np.float64], *, bids: bool
) -> NDArray[np.float64]:
    """Cumulative size at each pixel column whose price is `edges` (ascending): everything at that price or nearer to the mid.

    `prices` are best first, `cumulative` their running sums; both may be empty.
    """
    if prices.size == 0:
        return np.zeros(edges.size)
    if bids:
        index = np.searchsorted(-prices, -edges, side="right")
    else:
        index = np.searchsorted(prices, edges, side="right")
    padded = np.concatenate(([0.0], cumulative))
    return padded[index]


def read(depth: Depth, price: float, mid: float, *, multiplier: float = 1.0, inverse: bool = False) -> Reading | None:
    """What stands between the mid and `price`; None where nothing does. `multiplier` and `inverse` are the contract's."""
    bids = price < mid
    prices, cumulative = (depth.bid_prices, depth.bid_cumulative) if bids else (depth.ask_prices, depth.ask_cumulative)
    if prices.size == 0:
        return None
    count = int(
        np.searchsorted(-prices, -price, side="right") if bids else np.searchsorted(prices, price, side="right")
    )
    if count == 0:
        return None
    sizes = np.diff(cumulative[:count], prepend=0.0)
    base = float(cumulative[count - 1])
    if inverse:
        quote, average = base * multiplier, base / float(np.sum(sizes / prices[:count]))
    else:
        quote = float(np.dot(sizes, prices[:count]))
        quote, average = quote * multiplier, quote / base
    best = float(prices[0])
    slip = (average - best) / best
    return Reading(price, price / mid - 1, base, quote, average, -slip if bids else slip)


def polygon(xs: NDArray[np.float64], ys: NDArray[np.float64]) -> QPolygonF:
    """Points for the painter, copied in one go. What does that takes long to load, so it is loaded with the first curve."""
    from pyqtgraph.functions import arrayToQPolygonF

    return arrayToQPolygonF(xs, ys)


def nice_ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers between `low` and `high`, at most about `most`."""
    if not high > low or most < 1:
        return []
    raw = (high - low) / most
    power = 10.0 ** np.floor(np.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw)
    first = np.ceil(low / step) * step
    return [float(first + index * step) for index in range(int((high - first) / step + 1e-9) + 1)]
