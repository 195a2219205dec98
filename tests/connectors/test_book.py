"""OrderBook against a plain dict that is sorted at every look."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.book import OrderBook
from connectors.model import BookDelta, BookSnapshot, Level

PRICES = st.integers(1, 40).map(lambda tick: tick / 4)
SIZES = st.one_of(st.just(0.0), st.integers(1, 50).map(lambda lot: lot / 8))
ROWS = st.lists(st.tuples(PRICES, SIZES), max_size=12)


def levels(rows: list[tuple[float, float]]) -> list[Level]:
    return [Level(price, size) for price, size in rows]


def delta(bids: list[tuple[float, float]], asks: list[tuple[float, float]]) -> BookDelta:
    return BookDelta(wire="X", bids=levels(bids), asks=levels(asks))


@given(start=st.tuples(ROWS, ROWS), changes=st.lists(st.tuples(ROWS, ROWS), max_size=20), shown=st.integers(1, 30))
def test_book_equals_a_sorted_dict_after_any_changes(
    start: tuple[list[tuple[float, float]], list[tuple[float, float]]],
    changes: list[tuple[list[tuple[float, float]], list[tuple[float, float]]]],
    shown: int,
) -> None:
    book = OrderBook()
    book.load(BookSnapshot(wire="X", bids=levels(start[0]), asks=levels(start[1])))
    bids = {price: size for price, size in start[0] if size}
    asks = {price: size for price, size in start[1] if size}
    for bid_rows, ask_rows in changes:
        before = book.version
        book.apply(delta(bid_rows, ask_rows))
        assert book.version > before
        for model, rows in ((bids, bid_rows), (asks, ask_rows)):
            for price, size in rows:
                if size:
                    model[price] = size
                else:
                    model.pop(price, None)
        expected_bids = sorted(bids.items(), reverse=True)
        expected_asks = sorted(asks.items())
        assert book.top(shown) == (expected_bids[:shown], expected_asks[:shown])
        assert book.best_bid == (expected_bids[0] if expected_bids else None)
        assert book.best_ask == (expected_asks[0] if expected_asks else None)
        depth = book.depth(shown)
        assert depth is book.depth(shown)
        assert depth.bid_prices.tolist() == [price for price, _ in expected_bids[:shown]]
        total = 0.0
        for (_, size), cumulative in zip(expected_asks[:shown], depth.ask_cumulative.tolist(), strict=True):
            total += size
            assert math.isclose(cumulative, total)


@given(rows=st.tuples(ROWS, ROWS), keep=st.integers(1, 10))
def test_cut_keeps_the_best_levels_of_each_side(
    rows: tuple[list[tuple[float, float]], list[tuple[float, float]]], keep: int
) -> None:
    book = OrderBook()
    book.apply(delta(*rows))
    whole = book.top(1000)
    book.cut(keep)
    assert book.top(1000) == (whole[0][:keep], whole[1][:keep])
    assert set(book.bids) == set(book.bid_prices)
    assert set(book.asks) == set(book.ask_prices)


NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize("row", [(NAN, 1.0), (1.0, NAN), (1.0, -1.0), (INFINITY, 1.0), (-1.0, 1.0)])
def test_numbers_that_cannot_be_a_level_are_refused(row: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=r"price|size"):
        OrderBook().apply(delta([row], []))
    with pytest.raises(ValueError, match="positive number"):
        OrderBook().load(BookSnapshot(wire="X", bids=levels([row]), asks=[]))


def test_text_digits_follow_their_levels() -> None:
    book = OrderBook()
    book.load(BookSnapshot(wire="X", bids=levels([(1.5, 2.0)]), asks=[], text=([("1.50", "2.0")], [])))
    book.apply(BookDelta(wire="X", bids=levels([(1.25, 1.0)]), asks=[], text=([("1.250", "1")], [])))
    assert book.text_bids == {1.5: ("1.50", "2.0"), 1.25: ("1.250", "1")}
    book.apply(BookDelta(wire="X", bids=levels([(1.5, 0.0)]), asks=[], text=([("1.50", "0")], [])))
    assert book.text_bids == {1.25: ("1.250", "1")}
