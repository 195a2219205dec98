"""The order state machine, driven with events that come twice, out of order, too early and too late."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.orders import FINAL, TRANSITIONS, Event, Order, OrderState
from connectors.model import (
    Fill,
    Instrument,
    Market,
    OrderKind,
    OrderStatus,
    OrderUpdate,
    Side,
    SizeRule,
    TimeInForce,
)

INSTRUMENT = Instrument(
    venue="toy",
    family="spot",
    market=Market.SPOT,
    symbol="BTC-USDT",
    wire="BTCUSDT",
    base="BTC",
    quote="USDT",
    settle="USDT",
    tick=Decimal("0.01"),
    size=SizeRule(step=Decimal("0.001")),
    price_digits=2,
    size_digits=3,
)


def order(amount: str = "10") -> Order:
    return Order(
        id="o1",
        client_id="c1",
        account="toy:practice",
        instrument=INSTRUMENT,
        side=Side.BUY,
        kind=OrderKind.LIMIT,
        tif=TimeInForce.GTC,
        amount=Decimal(amount),
        quote_amount=None,
        price=Decimal(100),
        trigger=None,
        post_only=False,
        reduce_only=False,
        created=1,
        updated=1,
    )


def fill(number: int, amount: str, price: str = "100", fee: str | None = "0.1") -> Fill:
    return Fill(
        wire="BTCUSDT",
        family="spot",
        id=str(number),
        venue_id="v1",
        client_id="c1",
        side=Side.BUY,
        price=Decimal(price),
        amount=Decimal(amount),
        time=number,
        fee=None if fee is None else Decimal(fee),
        fee_asset="BTC",
    )


def update(status: OrderStatus, filled: str | None = None) -> OrderUpdate:
    news = OrderUpdate(wire="BTCUSDT", family="spot", venue_id="v1", client_id="c1", status=status, time=5)
    if filled is not None:
        news.filled = Decimal(filled)
    return news


def test_the_table_names_every_state_and_final_ones_have_no_way_out() -> None:
    assert set(TRANSITIONS) == set(OrderState)
    assert all(not TRANSITIONS[state] for state in FINAL)
    for state, row in TRANSITIONS.items():
        if state not in FINAL:
            assert {Event.FILLED, Event.CANCELLED, Event.REJECTED, Event.EXPIRED} <= set(row)


STREAMS = st.lists(st.integers(1, 4), min_size=1, max_size=6)


@given(parts=STREAMS, end=st.sampled_from(["filled", "cancelled", "expired"]), seed=st.integers(0, 10_000))
def test_any_shuffling_and_doubling_of_the_same_news_ends_in_the_same_truth(
    parts: list[int], end: str, seed: int
) -> None:
    """given the true life of an order, when its events arrive in any order, some twice, then the end is the true one."""
    chance = random.Random(seed)
    total = sum(parts) + (0 if end == "filled" else 1)
    subject = order(str(total))
    news: list[OrderUpdate | Fill] = [update(OrderStatus.PENDING), update(OrderStatus.OPEN, "0")]
    done = 0
    for number, part in enumerate(parts, 1):
        done += part
        news.append(fill(number, str(part), price=str(100 + number)))
        news.append(update(OrderStatus.PARTLY_FILLED, str(done)))
    news.append(update(OrderStatus(end), str(done)))
    arriving = news + chance.sample(news, len(news) // 2)
    chance.shuffle(arriving)
    highest = Decimal(0)
    ended: OrderState | None = None
    for item in arriving:
        subject.add_fill(item, 9) if isinstance(item, Fill) else subject.learn(item, 9)
        assert subject.filled >= highest
        highest = subject.filled
        assert ended is None or subject.state is ended
        ended = subject.state if subject.is_final else None
    assert subject.filled == done
    assert subject.state is OrderState(end)
    expected = sum(Decimal(part) * (100 + number) for number, part in enumerate(parts, 1)) / done
    assert subject.average == expected
    assert subject.fee == Decimal("0.1") * len(parts)


def test_an_order_in_doubt_takes_the_first_word_of_its_venue() -> None:
    subject = order()
    subject.happen(Event.LOST, 2, "no answer")
    assert subject.state is OrderState.UNKNOWN
    subject.learn(update(OrderStatus.OPEN), 3)
    assert subject.state is OrderState.OPEN


def test_an_order_in_doubt_after_a_partial_fill_returns_to_it() -> None:
    subject = order()
    subject.learn(update(OrderStatus.PARTLY_FILLED, "4"), 2)
    subject.happen(Event.CANCEL_ASKED, 3)
    subject.happen(Event.LOST, 4, "no answer to the cancel")
    subject.learn(update(OrderStatus.OPEN, "4"), 5)
    assert subject.state is OrderState.PARTLY_FILLED
    assert subject.filled == 4


def test_a_refused_cancel_returns_to_what_the_venue_last_said() -> None:
    subject = order()
    subject.learn(update(OrderStatus.OPEN), 2)
    subject.happen(Event.CANCEL_ASKED, 3)
    subject.add_fill(fill(1, "3"), 4)
    assert subject.state is OrderState.CANCELLING
    subject.happen(Event.CANCEL_REFUSED, 5)
    assert subject.state is OrderState.PARTLY_FILLED


def test_a_late_fill_counts_but_does_not_reopen_a_cancelled_order() -> None:
    subject = order()
    subject.learn(update(OrderStatus.CANCELLED, "0"), 2)
    subject.add_fill(fill(1, "3"), 3)
    assert subject.state is OrderState.CANCELLED
    assert subject.filled == 3


def test_a_fee_that_comes_later_is_taken_in_once() -> None:
    subject = order()
    assert subject.add_fill(fill(1, "3", fee=None), 2)
    assert subject.fee is None
    assert not subject.add_fill(fill(1, "3", fee="0.3"), 3)
    assert not subject.add_fill(fill(1, "3", fee="0.3"), 4)
    assert subject.fee == Decimal("0.3")
    assert subject.filled == 3


def test_a_replacement_keeps_what_was_filled_before() -> None:
    subject = order("10")
    subject.learn(update(OrderStatus.PARTLY_FILLED, "4"), 2)
    subject.happen(Event.AMEND_ASKED, 3)
    subject.replaced("c2", Decimal(10), Decimal(101), 4, Decimal(4))
    later = OrderUpdate(
        wire="BTCUSDT", venue_id="v2", client_id="c2", status=OrderStatus.OPEN, filled=Decimal(0), amount=Decimal(6)
    )
    subject.learn(later, 5)
    subject.happen(Event.AMEND_DONE, 6)
    assert (subject.filled, subject.amount, subject.state) == (4, 10, OrderState.OPEN)
    subject.learn(OrderUpdate(wire="BTCUSDT", venue_id="v2", status=OrderStatus.FILLED, filled=Decimal(6)), 7)
    assert (subject.filled, subject.state) == (10, OrderState.FILLED)
    assert {"c1", "v1"} <= subject.earlier


@pytest.mark.parametrize("status", [status for status in OrderStatus if status.is_final])
def test_nothing_changes_the_state_after_the_end(status: OrderStatus) -> None:
    subject = order()
    subject.learn(update(status), 2)
    for event in Event:
        assert not subject.happen(event, 3)
    assert subject.state is OrderState(status.value)
