"""Fills read out of what was filled so far: once each, under one id, whoever tells them first."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from connectors.model import UNSET, Fill, OrderUpdate, Side
from connectors.runtime.derive import DerivedFills

D = Decimal
NOW = 1_790_000_000_000


def state(filled: str | None, average: str | None = None, fee: str | None = None, **rest: Any) -> OrderUpdate:
    values: dict[str, Any] = {"wire": "BTC-USD", "venue_id": "v1", "client_id": "c1", "side": Side.BUY}
    return OrderUpdate(
        **{**values, **rest},
        filled=UNSET if filled is None else D(filled),
        average=UNSET if average is None else D(average),
        fee=UNSET if fee is None else D(fee),
        fee_asset="USD",
    )


def row(number: int, price: str, amount: str, fee: str = "0", venue_id: str = "v1") -> Fill:
    return Fill(
        wire="BTC-USD",
        family="spot",
        id=f"trade-{number}",
        venue_id=venue_id,
        client_id="",
        side=Side.BUY,
        price=D(price),
        amount=D(amount),
        time=NOW + number,
        fee=D(fee),
        fee_asset="USD",
        maker=True,
    )


def heard(derived: DerivedFills, update: OrderUpdate, *, listed: bool = False) -> list[Fill]:
    return derived.heard(update, listed=listed, now=NOW)


def test_a_fill_is_the_difference_of_two_states() -> None:
    derived = DerivedFills("spot")
    assert heard(derived, state("0")) == []
    (first,) = heard(derived, state("1", "100", "0.6"))
    (second,) = heard(derived, state("3", "102", "1.8"))
    assert (first.amount, first.price, first.fee, first.fee_asset) == (D(1), D(100), D("0.6"), "USD")
    assert (second.amount, second.price, second.fee) == (D(2), D(103), D("1.2"))
    assert (first.id, second.id) == ("v1:1", "v1:3")
    assert (second.side, second.client_id, second.time, second.through) == (Side.BUY, "c1", NOW, D(3))


def test_repeats_and_old_states_tell_nothing() -> None:
    derived = DerivedFills("spot")
    heard(derived, state("2", "100", "1"))
    assert heard(derived, state("2", "100", "1")) == []
    assert heard(derived, state("1", "100", "0.5")) == []
    assert heard(derived, state(None)) == []


def test_a_list_sets_the_base_line_but_never_hides_what_was_missed() -> None:
    derived = DerivedFills("spot")
    assert heard(derived, state("2", "100", "1"), listed=True) == []  # filled before we were there
    (missed,) = heard(derived, state("3", "100", "1.5"), listed=True)  # filled while we were away
    assert (missed.amount, missed.fee) == (D(1), D("0.5"))


def test_an_order_of_ours_that_is_found_in_a_list_began_at_zero() -> None:
    derived = DerivedFills("spot")
    derived.expect("c1")
    (fill,) = heard(derived, state("2", "100", "1"), listed=True)
    assert (fill.amount, fill.id) == (D(2), "v1:2")


def test_a_state_without_a_price_waits_for_one() -> None:
    derived = DerivedFills("spot")
    assert heard(derived, state("1")) == []
    (fill,) = heard(derived, state("1", "100"))
    assert (fill.amount, fill.price, fill.fee) == (D(1), D(100), None)
    (again,) = heard(derived, state("1", "100", "0.6"))
    assert (again.id, again.fee) == (fill.id, D("0.6"))
    assert heard(derived, state("1", "100", "0.6")) == []


def test_the_venues_own_fills_are_told_under_the_same_ids() -> None:
    derived = DerivedFills("spot")
    heard(derived, state("3", "102", "1.8"))  # two trades in one step
    told, news = derived.read([row(1, "100", "1", "0.6"), row(2, "103", "2", "1.2"), row(3, "104", "1", "0.6")])
    assert [(fill.id, fill.amount, fill.price, fill.through) for fill in told] == [
        ("v1:0-1", D(1), D(100), D(1)),  # parts of the step v1:3, which reaches as far
        ("v1:1-3", D(2), D(103), D(3)),
        ("v1:4", D(1), D(104), D(4)),
    ]
    assert [fill.id for fill in news] == ["v1:4"]
    assert heard(derived, state("4", "102.5", "2.4")) == []
    assert derived.read([row(1, "100", "1"), row(2, "103", "2"), row(3, "104", "1")])[1] == []


def test_fills_of_before_the_base_line_are_no_news_and_keep_their_own_steps() -> None:
    derived = DerivedFills("spot")
    heard(derived, state("3", "102", "1.8"), listed=True)
    told, news = derived.read([row(1, "100", "1"), row(2, "103", "2")])
    assert [fill.id for fill in told] == ["v1:1", "v1:3"]
    assert news == []


def test_amounts_that_were_told_in_quote_meet_the_amount_of_the_order() -> None:
    derived = DerivedFills("spot")
    heard(derived, state("0.000297920684505", "21220.64", "0.03"))
    amounts = [str(D("2.107355864777800000") / D("21220.64")), str(D("4.214711729555600000") / D("21220.64"))]
    told, news = derived.read([row(1, "21220.64", amounts[0]), row(2, "21220.64", amounts[1])])
    assert told[-1].through == D("0.000297920684505")
    assert news == []


steps = st.lists(st.tuples(st.integers(1, 50), st.integers(1, 10_000), st.integers(0, 9)), min_size=1, max_size=12)


@given(steps, st.lists(st.sampled_from(["state", "list", "read"]), min_size=1, max_size=30), st.randoms())
def test_whoever_tells_it_everything_is_counted_once(
    steps: list[tuple[int, int, int]], ways: list[str], chance: Any
) -> None:
    """Any mixture of events, lists and readings, with losses between, comes to the order's own amount, value and fee."""
    derived = DerivedFills("spot")
    derived.expect("c1")
    counted: dict[str, Fill] = {}
    rows = [row(n, str(price), str(D(amount) / 10), str(D(fee) / 100)) for n, (amount, price, fee) in enumerate(steps)]
    done = 0
    for number, way in enumerate([*ways, "state"]):
        done = len(rows) if number == len(ways) else min(len(rows), done + chance.randint(0, 3))
        part = rows[:done]
        filled = sum((fill.amount for fill in part), D(0))
        value = sum((fill.amount * fill.price for fill in part), D(0))
        fee = sum((fill.fee or D(0) for fill in part), D(0))
        if way == "read":
            _, told = derived.read(part)
        elif filled:
            told = heard(derived, state(str(filled), str(value / filled), str(fee)), listed=way == "list")
        else:
            told = heard(derived, state("0"), listed=way == "list")
        counted |= {fill.id: fill for fill in told}
    assert sum(fill.amount for fill in counted.values()) == sum(fill.amount for fill in rows)
    assert sum(fill.fee or D(0) for fill in counted.values()) == sum(fill.fee or D(0) for fill in rows)
    value = sum(fill.amount * fill.price for fill in counted.values())
    assert abs(value - sum(fill.amount * fill.price for fill in rows)) < D("1e-6")
