"""The order state machine, driven with events that come twice, out of order, too early and too late."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from app.orders import FINAL, TRANSITIONS, Event, Order, OrderState
from connectors.model import (
    Fill,
    OrderKind,
    OrderStatus,
    OrderUpdate,
    Side,
    TimeInForce,
    Unit,
)
from tests.instruments import spot

INSTRUMENT = spot()


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


def test_the_average_of_an_inverse_contract_is_what_its_fills_were_worth_as_one() -> None:
    """given 100 at 60000 and 300 at 66000 of a contract that is paid in base, then 400 at the average come to the same base."""
    subject = order("400")
    subject.instrument = structs.replace(INSTRUMENT, unit=Unit.INVERSE)
    subject.add_fill(fill(1, "100", "60000"), 9)
    assert subject.average == 60000
    subject.add_fill(fill(2, "300", "66000"), 9)
    assert subject.average == Decimal("64390.243902439024")
    paid = subject.instrument.notional(Decimal(60000), Decimal(100))
    paid += subject.instrument.notional(Decimal(66000), Decimal(300))
    assert abs(subject.instrument.notional(subject.average, Decimal(400)) - paid) < Decimal("1e-18")


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


# ---------------------------------------------------------------------------------------------------------------------
# The table against an independent model: what must be shown follows from what was heard, in whatever order

OURS = [Event.CANCEL_ASKED, Event.CANCEL_REFUSED, Event.AMEND_ASKED, Event.AMEND_DONE, Event.AMEND_REFUSED, Event.LOST]
STAGES = ["pending", "untriggered", "open", "partly_filled"]


class Model:
    """Says what the trader must see, from flags and maxima instead of transitions."""

    def __init__(self, amount: Decimal) -> None:
        self.amount = amount
        self.end = ""
        self.wish = ""  # what of ours is open: cancelling, amending, unknown
        self.stage = 0
        self.fills: dict[str, Decimal] = {}
        self.told = Decimal(0)

    @property
    def filled(self) -> Decimal:
        return max(self.told, sum(self.fills.values(), Decimal(0)))

    @property
    def state(self) -> str:
        return self.end or self.wish or STAGES[self.stage]

    def word(self, word: str) -> None:
        """The venue says where the order stands."""
        if self.end:
            return
        if word not in STAGES:
            self.end = word
            return
        self.stage = max(self.stage, STAGES.index(word))
        self.wish = "" if self.wish == "unknown" else self.wish

    def fill(self, number: str, amount: Decimal) -> None:
        """An execution."""
        if number in self.fills:
            return
        self.fills[number] = amount
        self.word("filled" if self.filled >= self.amount else "partly_filled")

    def ours(self, event: Event) -> None:
        """Something about one of our requests."""
        if self.end:
            return
        match event:
            case Event.CANCEL_ASKED:
                self.wish = "cancelling"
            case Event.AMEND_ASKED if not self.wish:
                self.wish = "amending"
            case Event.LOST:
                self.wish = "unknown"
            case Event.CANCEL_REFUSED if self.wish in ("cancelling", "unknown"):
                self.wish = ""
            case Event.AMEND_DONE | Event.AMEND_REFUSED if self.wish in ("amending", "unknown"):
                self.wish = ""
            case _:
                pass


@given(
    parts=STREAMS,
    rest=st.integers(0, 3),
    end=st.sampled_from(["filled", "cancelled", "expired", ""]),
    requests=st.lists(st.sampled_from(OURS), max_size=6),
    seed=st.integers(0, 10**6),
)
def test_shuffled_doubled_and_crossed_with_our_requests_the_table_agrees_with_the_model(
    parts: list[int], rest: int, end: str, requests: list[Event], seed: int
) -> None:
    chance = random.Random(seed)
    total = sum(parts) + (0 if end == "filled" else rest + 1)
    subject, model = order(str(total)), Model(Decimal(total))
    done = 0
    news: list[OrderUpdate | Fill | Event] = [update(OrderStatus.PENDING), update(OrderStatus.OPEN, "0")]
    for number, part in enumerate(parts, 1):
        done += part
        news += [fill(number, str(part)), update(OrderStatus.PARTLY_FILLED, str(done))]
    news += [update(OrderStatus(end), str(done))] if end else []
    arriving = [*news, *chance.choices(news, k=chance.randint(0, len(news))), *requests]
    chance.shuffle(arriving)
    for item in arriving:
        before, ended = subject.filled, subject.is_final
        state = subject.state
        if isinstance(item, Fill):
            subject.add_fill(item, 9)
            model.fill(item.id, item.amount)
        elif isinstance(item, OrderUpdate):
            subject.learn(item, 9)
            model.told = max(model.told, item.filled if isinstance(item.filled, Decimal) else Decimal(0))
            assert isinstance(item.status, OrderStatus)
            model.word(item.status.value)
        else:
            subject.happen(item, 9)
            model.ours(item)
        assert subject.state.value == model.state
        assert subject.filled == model.filled
        assert subject.filled >= before
        assert not ended or subject.state is state
    if end:
        assert subject.state.value == end


@given(
    first=st.lists(st.integers(1, 4), max_size=4),
    second=st.lists(st.integers(1, 4), max_size=4),
    late=st.integers(0, 10**6),
    end=st.sampled_from(["filled", "cancelled", ""]),
)
def test_news_of_a_leg_that_is_over_never_ends_or_doubles_the_order(
    first: list[int], second: list[int], late: int, end: str
) -> None:
    """given an order that was replaced, when news of its first leg arrives late, twice or shuffled, then it counts once."""
    chance = random.Random(late)
    carried, more = sum(first), sum(second)
    total = carried + more + (0 if end == "filled" and second else 1)
    subject = order(str(total))
    old: list[OrderUpdate | Fill] = [update(OrderStatus.OPEN, "0")]
    old += [fill(number, str(part)) for number, part in enumerate(first, 1)]
    old += [update(OrderStatus.CANCELLED, str(carried))]
    heard = chance.sample(old, chance.randint(0, len(old)))
    subject.happen(Event.AMEND_ASKED, 2)
    subject.replacing = True
    for item in [update(OrderStatus.OPEN, "0"), *heard]:
        subject.add_fill(item, 3) if isinstance(item, Fill) else subject.learn(item, 3)
    assert not subject.is_final
    subject.replaced("c2", Decimal(total), Decimal(101), 4, Decimal(carried))
    done, new = 0, list[OrderUpdate | Fill]()
    new.append(leg_update(OrderStatus.OPEN, "0"))
    for number, part in enumerate(second, 100):
        done += part
        new += [leg_fill(number, str(part)), leg_update(OrderStatus.PARTLY_FILLED, str(done))]
    status = OrderStatus(end) if end and (end != "filled" or second) else None
    new += [leg_update(status, str(done))] if status else []
    arriving = [*new, *old, *chance.choices([*old, *new], k=4)]
    chance.shuffle(arriving)
    for item in arriving:
        subject.add_fill(item, 9) if isinstance(item, Fill) else subject.learn(item, 9)
    assert subject.filled == carried + more
    assert subject.is_final is (status is not None)
    assert status is None or subject.state.value == status.value
    assert (subject.client_id, subject.venue_id) == ("c2", "v2")


def leg_update(status: OrderStatus, filled: str) -> OrderUpdate:
    return OrderUpdate(wire="BTCUSDT", venue_id="v2", client_id="c2", status=status, filled=Decimal(filled), time=8)


def leg_fill(number: int, amount: str) -> Fill:
    return Fill(
        wire="BTCUSDT",
        family="spot",
        id=str(number),
        venue_id="v2",
        client_id="c2",
        side=Side.BUY,
        price=Decimal(101),
        amount=Decimal(amount),
        time=number,
    )


def test_a_leg_that_ends_without_a_next_one_ends_the_order_as_it_ended() -> None:
    subject = order("10")
    subject.learn(update(OrderStatus.OPEN, "0"), 2)
    subject.happen(Event.AMEND_ASKED, 3)
    subject.replacing = True
    subject.learn(update(OrderStatus.CANCELLED, "4"), 4)
    assert not subject.is_final
    subject.not_replaced(5, "not placed anew")
    assert (subject.state, subject.filled) == (OrderState.CANCELLED, 4)


def test_a_leg_that_fills_whole_while_it_is_replaced_ends_the_order_as_filled() -> None:
    subject = order("10")
    subject.happen(Event.AMEND_ASKED, 3)
    subject.replacing = True
    subject.learn(update(OrderStatus.FILLED, "10"), 4)
    assert (subject.state, subject.filled) == (OrderState.FILLED, 10)


@given(
    cuts=st.lists(st.integers(1, 99), min_size=1, max_size=5, unique=True),
    again=st.lists(st.integers(1, 99), max_size=5),
)
def test_derived_fills_that_are_read_again_in_other_steps_count_once(cuts: list[int], again: list[int]) -> None:
    """given a venue that tells only how much is filled, when the same executions come in other steps, then none counts twice."""
    subject = order("1000")
    for reached in (sorted({*cuts, 100}), sorted({*again, 100})):
        before = 0
        for through in reached:
            step = Fill(
                wire="BTCUSDT",
                family="spot",
                id=f"v1:{through}",
                venue_id="v1",
                client_id="c1",
                side=Side.BUY,
                price=Decimal(100),
                amount=Decimal(through - before),
                time=through,
                through=Decimal(through),
            )
            subject.add_fill(step, 5)
            before = through
    assert subject.filled == 100


@pytest.mark.parametrize("lost", [False, True])
def test_executions_that_overtake_a_change_to_more_do_not_end_the_order(lost: bool) -> None:
    """given a change to more that is not answered, when all that it was before fills, then the venue's word ends it."""
    subject = order("10")
    subject.learn(update(OrderStatus.OPEN, "0"), 2)
    subject.happen(Event.AMEND_ASKED, 3)
    subject.growing = True
    if lost:
        subject.happen(Event.LOST, 4, "no answer")
    subject.add_fill(fill(1, "4"), 5)
    if lost:
        subject.happen(Event.LOST, 5, "no answer")
    subject.add_fill(fill(2, "6"), 6)
    assert subject.state is (OrderState.UNKNOWN if lost else OrderState.AMENDING)
    told = update(OrderStatus.PARTLY_FILLED, "10")
    told.amount = Decimal(20)
    subject.learn(told, 7)
    subject.happen(Event.AMEND_DONE, 8)
    assert (subject.state, subject.filled, subject.remaining) == (OrderState.PARTLY_FILLED, 10, 10)
    subject.learn(update(OrderStatus.FILLED, "20"), 9)
    assert subject.state is OrderState.FILLED


def test_an_id_that_changes_is_followed_and_the_old_one_is_old_news() -> None:
    """given a venue that gives an amended order new ids, when news under the old ones comes late, then it changes nothing."""
    subject = order()
    subject.learn(update(OrderStatus.OPEN), 2)
    subject.offered.add("c1b")
    subject.learn(OrderUpdate(wire="BTCUSDT", venue_id="v1b", client_id="c1b", status=OrderStatus.OPEN), 3)
    assert (subject.client_id, subject.venue_id, subject.offered) == ("c1b", "v1b", set())
    assert not subject.learn(update(OrderStatus.CANCELLED, "0"), 4)
    assert subject.state is OrderState.OPEN


def test_how_long_a_cancel_has_been_waited_for_is_known() -> None:
    subject = order()
    subject.learn(update(OrderStatus.OPEN), 2)
    assert subject.waiting(5000) is None
    subject.happen(Event.CANCEL_ASKED, 1000)
    assert subject.waiting(8500) == 7.5
    subject.learn(update(OrderStatus.CANCELLED), 9000)
    assert subject.waiting(9500) is None


def test_parts_of_a_derived_fill_are_not_counted_again() -> None:
    subject = order()
    step = Fill(
        wire="BTCUSDT", family="spot", id="v1:3", venue_id="v1", client_id="c1", side=Side.BUY, price=Decimal(102),
        amount=Decimal(3), time=1, fee=Decimal("0.3"), fee_asset="USDT", through=Decimal(3),
    )  # fmt: skip
    parts = [("v1:0-1", "100", "1", "1"), ("v1:1-3", "103", "2", "3"), ("v1:5", "104", "2", "5")]
    rows = [
        structs.replace(step, id=name, price=Decimal(price), amount=Decimal(amount), through=Decimal(through))
        for name, price, amount, through in parts
    ]
    assert [subject.add_fill(row, 2) for row in (step, *rows, step)] == [True, False, False, True, False]
    assert (subject.filled, subject.fee) == (Decimal(5), Decimal("0.6"))
    fresh = order()  # after a restart the parts are all there is
    assert [fresh.add_fill(row, 2) for row in rows] == [True, True, True]
    assert (fresh.filled, fresh.average) == (Decimal(5), Decimal("102.8"))


@given(changes=st.lists(st.integers(11, 99), min_size=1, max_size=6, unique=True), seed=st.integers(0, 10_000))
def test_an_event_that_was_overtaken_brings_no_old_terms_back(changes: list[int], seed: int) -> None:
    """given an order that is changed again and again, when its events arrive in any order, then it has the latest terms."""
    chance = random.Random(seed)
    subject = order()
    news = []
    for number, amount in enumerate(changes, 1):
        told = update(OrderStatus.OPEN, "0")
        told.time, told.amount, told.price = 100 + number, Decimal(amount), Decimal(100 + amount)
        news.append(told)
    arriving = news + chance.sample(news, len(news) // 2)
    chance.shuffle(arriving)
    for told in arriving:
        subject.learn(told, 9)
    assert (subject.amount, subject.price) == (Decimal(changes[-1]), Decimal(100 + changes[-1]))
