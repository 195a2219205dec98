"""The depth curve against a plain sum over the book."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.book import OrderBook
from connectors.model import BookSnapshot, Level
from ui.depth_curve import columns, nice_ticks, read

LEVELS = st.dictionaries(st.integers(1, 60), st.integers(1, 20).map(float), min_size=1, max_size=30)


def book(bids: dict[int, float], asks: dict[int, float]) -> OrderBook:
    found = OrderBook()
    rows = [Level(100.0 - tick, size) for tick, size in bids.items()]
    found.load(BookSnapshot(wire="X", bids=rows, asks=[Level(100.0 + tick, size) for tick, size in asks.items()]))
    return found


@given(bids=LEVELS, asks=LEVELS)
def test_each_pixel_column_shows_everything_up_to_its_price(bids: dict[int, float], asks: dict[int, float]) -> None:
    depth = book(bids, asks).depth(1000)
    edges = np.linspace(35, 165, 261)
    below = columns(depth.bid_prices, depth.bid_cumulative, edges, bids=True)
    above = columns(depth.ask_prices, depth.ask_cumulative, edges, bids=False)
    for index, price in enumerate(edges.tolist()):
        assert below[index] == pytest.approx(sum(size for tick, size in bids.items() if 100 - tick >= price))
        assert above[index] == pytest.approx(sum(size for tick, size in asks.items() if 100 + tick <= price))


@given(asks=LEVELS, upto=st.integers(1, 60))
def test_the_crosshair_tells_what_taking_that_much_would_cost(asks: dict[int, float], upto: int) -> None:
    subject = book({1: 1.0}, asks)
    mid = subject.mid
    assert mid is not None
    found = read(subject.depth(1000), 100.0 + upto, mid)
    taken = {tick: size for tick, size in asks.items() if tick <= upto}
    if not taken or 100 + upto < mid:
        assert found is None
        return
    base = sum(taken.values())
    quote = sum((100 + tick) * size for tick, size in taken.items())
    assert found is not None
    assert found.base == pytest.approx(base)
    assert found.quote == pytest.approx(quote)
    assert found.average == pytest.approx(quote / base)
    assert found.slippage == pytest.approx(quote / base / (100 + min(asks)) - 1)


@given(asks=LEVELS)
def test_the_crosshair_counts_contracts_by_what_one_is_worth(asks: dict[int, float]) -> None:
    """A linear one is `multiplier` base units, an inverse one `multiplier` quote units that are paid in base."""
    depth, last = book({1: 1.0}, asks).depth(1000), 100.0 + max(asks)
    size = sum(asks.values())
    worth = sum((100 + tick) * amount for tick, amount in asks.items())
    linear = read(depth, last, 100.0, multiplier=0.001)
    inverse = read(depth, last, 100.0, multiplier=10.0, inverse=True)
    assert linear is not None
    assert inverse is not None
    assert (linear.base, inverse.base) == (pytest.approx(size), pytest.approx(size))
    assert (linear.quote, linear.average) == (pytest.approx(worth / 1000), pytest.approx(worth / size))
    paid = sum(amount / (100 + tick) for tick, amount in asks.items())
    assert (inverse.quote, inverse.average) == (pytest.approx(size * 10), pytest.approx(size / paid))


def test_ticks_are_round_and_few() -> None:
    assert nice_ticks(62_700, 62_900, 4) == [62_700, 62_750, 62_800, 62_850, 62_900]
    assert nice_ticks(1, 1, 5) == []
    assert len(nice_ticks(0, 33.3, 10)) <= 11
