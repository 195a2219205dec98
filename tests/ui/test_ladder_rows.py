"""The ladder's rows and click rule, without a widget."""

from __future__ import annotations

import random
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from connectors.book import OrderBook
from connectors.model import BookDelta, BookSnapshot, Level, Side
from tests.instruments import spot
from ui.ladder_rows import GROUPS, ClickGuard, LadderRows

INSTRUMENT = spot(tick=Decimal("0.05"))


def book(bids: dict[int, float], asks: dict[int, float]) -> OrderBook:
    found = OrderBook()
    found.load(
        BookSnapshot(
            wire="X",
            bids=[Level(tick * 0.05, size) for tick, size in bids.items()],
            asks=[Level(tick * 0.05, size) for tick, size in asks.items()],
        )
    )
    return found


SIDE = st.dictionaries(st.integers(900, 1100), st.integers(1, 50).map(float), min_size=1, max_size=40)


@given(bids=SIDE, asks=SIDE, group=st.sampled_from(GROUPS[:6]), top=st.integers(950, 1060))
def test_every_visible_level_is_counted_once_and_no_row_promises_a_better_price(
    bids: dict[int, float], asks: dict[int, float], group: int, top: int
) -> None:
    rows = LadderRows(INSTRUMENT, count=30)
    rows.group = group
    rows.top = top // group * group
    bid_sizes, ask_sizes = rows.sizes(book(bids, asks))
    for row in range(rows.count):
        price = rows.price(row)
        tick = int(price / INSTRUMENT.tick)
        assert bid_sizes[row] == sum(size for at, size in bids.items() if tick <= at < tick + group)
        assert ask_sizes[row] == sum(size for at, size in asks.items() if tick - group < at <= tick)
        assert price % INSTRUMENT.tick == 0


def test_rows_do_not_move_when_the_market_does() -> None:
    rows = LadderRows(INSTRUMENT, count=20)
    subject = book({1000: 1.0}, {1001: 1.0})
    rows.centre(subject)
    before = [rows.price(row) for row in range(20)]
    subject.apply(BookDelta(wire="X", bids=[Level(50.5, 3.0)], asks=[]))
    assert [rows.price(row) for row in range(20)] == before
    assert not rows.strays(subject)
    subject.load(BookSnapshot(wire="X", bids=[Level(50.4, 1.0)], asks=[Level(50.45, 1.0)]))
    assert rows.strays(subject)


def test_ten_thousand_clicks_on_a_moving_ladder_never_act_on_a_price_that_was_not_pressed() -> None:
    """given rows that jump at random between press and release, then a click counts exactly when the price is the same."""
    chance = random.Random(7)
    rows = LadderRows(INSTRUMENT, count=30)
    rows.top = 1000
    guard = ClickGuard()
    counted = 0
    for _ in range(10_000):
        row, side = chance.randrange(30), chance.choice(list(Side))
        pressed = rows.price(row)
        guard.press(pressed, side)
        rows.top += chance.choice([0, 0, 0, -50, -3, -1, 1, 2, 50])
        rows.top = max(500, rows.top)
        other = side if chance.random() < 0.9 else side.opposite
        released = rows.price(row)
        refused = guard.release(released, other)
        assert (refused is None) == (released == pressed and other is side)
        counted += refused is None
    assert counted > 1000
    assert guard.release(rows.price(0), Side.BUY) is not None


def test_grouping_keeps_the_mid_in_sight() -> None:
    rows = LadderRows(INSTRUMENT, count=20)
    subject = book({1000: 1.0, 990: 2.0}, {1001: 1.0, 1010: 2.0})
    rows.centre(subject)
    for step in (1, 1, 1, -1, 1):
        rows.regroup(step, subject)
        assert rows.row_of(50.0, Side.BUY) is not None
        assert rows.row_of(50.05, Side.SELL) is not None
    assert rows.natural_group(subject) in GROUPS
