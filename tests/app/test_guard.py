"""Pre-trade checks: every rule is broken once, and every fix that is offered mends what it says."""

from __future__ import annotations

import dataclasses
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.guard import Limits, Situation, check, estimate, round_amount, round_price
from app.orders import Draft
from connectors.contract import BookRule, Capabilities, Link, Source
from connectors.model import (
    BookSnapshot,
    Fees,
    Instrument,
    InstrumentStatus,
    Level,
    Market,
    OrderKind,
    Side,
    SizeRule,
    TimeInForce,
    Unit,
)
from connectors.sync import BookSync
from tests.instruments import spot

D = Decimal
INSTRUMENT = spot(
    size=SizeRule(step=D("0.001"), minimum=D("0.001"), maximum=D(50)),
    market_size=SizeRule(step=D("0.001"), minimum=D("0.001"), maximum=D(5)),
    min_price=D(1),
    max_price=D(1_000_000),
    min_notional=D(5),
    kinds=frozenset(OrderKind),
)
ABLE = Capabilities(kinds=frozenset({OrderKind.LIMIT, OrderKind.MARKET, OrderKind.STOP_LIMIT}), reduce_only=False)
TRIGGERS = dataclasses.replace(ABLE, kinds=frozenset(OrderKind))
DRAFT = Draft(account="toy:practice", instrument=INSTRUMENT, side=Side.BUY, amount=D("0.5"), price=D(100))


def book(live: bool = True) -> BookSync:
    sync = BookSync(BookRule(source=Source.STREAM, link=Link.NONE), "BTCUSDT")
    sync.subscribed(0.0)
    if live:
        bids = [Level(100 - step * 0.5, 1.0) for step in range(1, 11)]
        asks = [Level(100 + step * 0.5, 1.0) for step in range(1, 11)]
        sync.snapshot(BookSnapshot(wire="BTCUSDT", bids=bids, asks=asks), 0.0)
    return sync


def situation(**changes: object) -> Situation:
    values: dict[str, object] = {
        "capabilities": ABLE,
        "limits": Limits(),
        "sync": book(),
        "available": {"USDT": D(10_000), "BTC": D(100)},
        "fees": Fees(maker=D("0.001"), taker=D("0.002")),
    }
    return Situation(**{**values, **changes})  # ty: ignore[invalid-argument-type] - keywords come from the test


def draft(**changes: object) -> Draft:
    return msgspec.structs.replace(DRAFT, **changes)


def test_an_ordinary_order_passes() -> None:
    assert check(DRAFT, situation()) == []


@pytest.mark.parametrize(
    ("kind", "side", "trigger"),
    [
        (OrderKind.STOP, Side.BUY, "101"),
        (OrderKind.STOP, Side.SELL, "99"),
        (OrderKind.TAKE_PROFIT, Side.BUY, "99"),
        (OrderKind.TAKE_PROFIT, Side.SELL, "101"),
    ],
)
def test_a_trigger_that_the_market_has_yet_to_reach_passes(kind: OrderKind, side: Side, trigger: str) -> None:
    waiting = draft(kind=kind, side=side, trigger=D(trigger), price=None)
    assert check(waiting, situation(capabilities=TRIGGERS)) == []


CLOSED = msgspec.structs.replace(INSTRUMENT, status=InstrumentStatus.CLOSED)
CANCELS = msgspec.structs.replace(INSTRUMENT, status=InstrumentStatus.CANCEL_ONLY)


@pytest.mark.parametrize(
    ("subject", "moment", "rule"),
    [
        (draft(price=D("100.005")), {}, "tick"),
        (draft(price=None), {}, "price"),
        (draft(price=D("NaN")), {}, "price"),
        (draft(price=D(-3)), {}, "price"),
        (draft(price=D("0.5")), {}, "price bounds"),
        (draft(price=D(2_000_000)), {}, "price bounds"),
        (draft(amount=D("0.0005")), {}, "lot"),
        (draft(amount=None), {}, "amount"),
        (draft(amount=D("0.000")), {}, "amount"),
        (draft(amount=D(60)), {}, "maximum"),
        (draft(kind=OrderKind.MARKET, price=None, amount=D(6)), {}, "maximum"),
        (draft(amount=D("0.04")), {}, "notional"),
        (draft(price=D(106)), {}, "collar"),
        (draft(side=Side.SELL, price=D(94)), {}, "collar"),
        (draft(kind=OrderKind.TAKE_PROFIT, trigger=D(100)), {}, "kind"),
        (draft(kind=OrderKind.STOP_LIMIT), {}, "trigger"),
        (draft(kind=OrderKind.STOP_LIMIT, trigger=D("99.5"), price=D(100)), {}, "trigger"),
        (draft(kind=OrderKind.STOP_LIMIT, side=Side.SELL, trigger=D("100.5"), price=D(100)), {}, "trigger"),
        (draft(kind=OrderKind.STOP, trigger=D(99), price=None), {"capabilities": TRIGGERS}, "trigger"),
        (draft(kind=OrderKind.TAKE_PROFIT, trigger=D(101), price=None), {"capabilities": TRIGGERS}, "trigger"),
        (
            draft(kind=OrderKind.TAKE_PROFIT, side=Side.SELL, trigger=D(99), price=None),
            {"capabilities": TRIGGERS},
            "trigger",
        ),
        (draft(post_only=True, tif=TimeInForce.IOC), {}, "post-only"),
        (draft(reduce_only=True), {}, "reduce-only"),
        (draft(quote_amount=D(50), amount=None), {}, "amount"),
        (DRAFT, {"available": {"USDT": D(49)}}, "funds"),
        (draft(side=Side.SELL), {"available": {"BTC": D("0.4")}}, "funds"),
        (DRAFT, {"sync": None}, "book"),
        (DRAFT, {"sync": book(live=False)}, "book"),
        (DRAFT, {"armed": False}, "armed"),
        (DRAFT, {"not_ready": "not connected"}, "account"),
        (DRAFT, {"open_orders": 200}, "open orders"),
        (DRAFT, {"sent_last_second": 10}, "rate"),
        (DRAFT, {"limits": Limits(max_amount=D("0.1"))}, "largest order"),
        (DRAFT, {"limits": Limits(max_notional=D(49))}, "largest order"),
        (DRAFT, {"repeated": 0.2}, "repeat"),
        (draft(kind=OrderKind.STOP_LIMIT, trigger=D(100), price=D(106)), {}, "collar"),
        (draft(kind=OrderKind.MARKET, price=None, amount=D(3)), {"limits": Limits(collar=D("0.01"))}, "collar"),
        (
            draft(kind=OrderKind.MARKET, price=None, amount=D(3), side=Side.SELL),
            {"limits": Limits(collar=D("0.01"))},
            "collar",
        ),
        (draft(instrument=CLOSED), {}, "status"),
        (draft(instrument=CANCELS), {}, "status"),
    ],
)
def test_a_broken_rule_is_named(subject: Draft, moment: dict[str, object], rule: str) -> None:
    problems = check(subject, situation(**moment))
    assert rule in {problem.rule for problem in problems}
    assert all(problem.text for problem in problems)


@given(
    price=st.decimals("0.001", "2000000", places=4),
    amount=st.decimals("0.0001", "100", places=5),
    side=st.sampled_from(Side),
)
def test_taking_every_fix_ends_in_an_order_that_passes_or_in_a_refusal_without_one(
    price: Decimal, amount: Decimal, side: Side
) -> None:
    subject = draft(price=price, amount=amount, side=side)
    for _ in range(12):
        problems = check(subject, situation())
        fixable = [problem for problem in problems if problem.fix is not None]
        if not fixable:
            break
        fixed = fixable[0].fix
        assert fixed is not None
        rules = {problem.rule for problem in check(fixed, situation()) if problem.field == fixable[0].field}
        assert fixable[0].rule not in rules
        subject = fixed
    assert not [problem for problem in check(subject, situation()) if problem.fix is not None]


def test_a_market_order_down_the_book_is_offered_as_a_limit_at_the_collar() -> None:
    """given asks up to 105 and a collar of 1 %, when 3 are bought at market, then a limit at 101 that does not rest is offered."""
    moment = situation(limits=Limits(collar=D("0.01")))
    problems = check(draft(kind=OrderKind.MARKET, price=None, amount=D(3)), moment)
    fix = problems[0].fix
    assert fix is not None
    assert (fix.kind, fix.price, fix.tif) == (OrderKind.LIMIT, D(101), TimeInForce.IOC)
    assert check(fix, moment) == []


def test_a_market_order_larger_than_the_known_book_has_no_price() -> None:
    moment = situation(limits=Limits(collar=D("0.5")), available={"USDT": D(10**6)})
    wide = draft(instrument=msgspec.structs.replace(INSTRUMENT, market_size=None))
    problems = check(msgspec.structs.replace(wide, kind=OrderKind.MARKET, price=None, amount=D(11)), moment)
    assert [problem.rule for problem in problems] == ["collar"]
    assert "holds less" in problems[0].text


@pytest.mark.parametrize(
    "subject",
    [
        draft(price=D(107)),
        draft(kind=OrderKind.MARKET, price=None, amount=D(3)),
        draft(kind=OrderKind.MARKET, price=None, amount=D(5)),
    ],
)
def test_a_collar_holds_where_nothing_rests_on_the_own_side(subject: Draft) -> None:
    """given asks alone, up to 110, then nothing is bought more than 5 % above the best of them, or at no known price."""
    one_sided = book()
    asks = [Level(price, 1.0) for price in (100.5, 101.0, 110.0)]
    one_sided.snapshot(BookSnapshot(wire="BTCUSDT", bids=[], asks=asks), 0.0)
    problems = check(subject, situation(sync=one_sided))
    assert [problem.rule for problem in problems] == ["collar"]
    assert check(draft(price=D(105)), situation(sync=one_sided)) == []


def test_a_repetition_is_let_through_after_its_time_and_where_the_guard_is_off() -> None:
    assert check(DRAFT, situation(repeated=0.6)) == []
    assert check(DRAFT, situation(repeated=0.0, limits=Limits(repeat_seconds=None))) == []


@given(price=st.decimals("0.01", "100000", places=6), side=st.sampled_from(Side))
def test_rounding_a_price_never_makes_it_dearer_for_its_owner(price: Decimal, side: Side) -> None:
    rounded = round_price(price, INSTRUMENT, side)
    assert rounded % INSTRUMENT.tick == 0
    assert rounded <= price if side is Side.BUY else rounded >= price


def test_significant_digits_replace_the_tick() -> None:
    five = msgspec.structs.replace(INSTRUMENT, tick=D(0), significant_digits=5)
    assert round_price(D("62810.7"), five, Side.BUY) == D(62810)
    assert round_price(D("0.123456"), five, Side.SELL) == D("0.12346")


def test_an_amount_is_rounded_down_into_its_bounds() -> None:
    assert round_amount(D("0.0019"), INSTRUMENT.size) == D("0.001")
    assert round_amount(D("0.0001"), INSTRUMENT.size) == D("0.001")
    assert round_amount(D(70), INSTRUMENT.size) == D(50)


def test_the_estimate_walks_the_book() -> None:
    """given asks of 1 at 100.5, 101, 101.5, when 2.5 are bought at market, then the average is theirs."""
    said = estimate(draft(kind=OrderKind.MARKET, price=None, amount=D("2.5")), situation())
    cost = D("100.5") + D(101) + D("0.5") * D("101.5")
    assert said.average == cost / D("2.5")
    assert said.worst == D("101.5")
    assert said.levels == 3
    assert said.notional == cost
    assert said.fee == D("2.5") * D("0.002")
    assert said.fee_asset == "BTC"
    assert said.left == D(10_000) - cost
    assert said.slippage is not None
    assert round(said.slippage, 12) == round((cost / D("2.5") - D("100.5")) / D("100.5"), 12)


def test_a_resting_order_pays_the_makers_fee_and_fills_nothing_now() -> None:
    said = estimate(draft(side=Side.SELL, price=D(104)), situation())
    assert said.filled_now == 0
    assert said.average is None
    assert said.fee == D(52) * D("0.001")
    assert said.fee_asset == "USDT"


def test_money_buys_what_the_book_gives_for_it() -> None:
    said = estimate(draft(kind=OrderKind.MARKET, price=None, amount=None, quote_amount=D("100.5")), situation())
    assert said.filled_now == 1
    assert said.average == D("100.5")


def test_more_than_the_book_holds_is_said() -> None:
    market = draft(kind=OrderKind.MARKET, price=None, amount=D(50))
    assert "holds less" in estimate(market, situation()).text


PERP = msgspec.structs.replace(
    INSTRUMENT, market=Market.PERP, unit=Unit.LINEAR, multiplier=D("0.01"), size=SizeRule(step=D(1), minimum=D(1))
)


INVERSE = msgspec.structs.replace(
    INSTRUMENT,
    symbol="BTC-USD",
    quote="USD",
    settle="BTC",
    market=Market.PERP,
    unit=Unit.INVERSE,
    multiplier=D(10),
    size=SizeRule(step=D(1), minimum=D(1)),
    market_size=None,
    min_notional=D(0),
)


def test_inverse_contracts_are_limited_in_quote_and_margined_in_base() -> None:
    """given contracts of 10 USD, when 60 are bought at 100, then that is 600 USD of limits and 6 BTC of value."""
    contracts = draft(instrument=INVERSE, amount=D(60))
    said = estimate(contracts, situation(available={"BTC": D(7)}))
    assert said.notional == D(600)
    assert said.fee == D(6) * D("0.001")
    assert said.left == D(1)
    assert check(contracts, situation(available={"BTC": D(6)}, limits=Limits(max_notional=D(600)))) == []
    over = check(contracts, situation(available={"BTC": D(6)}, limits=Limits(max_notional=D(595))))
    assert [problem.rule for problem in over] == ["largest order"]
    assert over[0].fix is not None
    assert over[0].fix.amount == D(59)
    poor = check(contracts, situation(available={"BTC": D("5.95")}))
    assert [problem.rule for problem in poor] == ["funds"]
    limit = Limits(max_position_notional=D(900))
    full = check(contracts, situation(available={"BTC": D(6)}, limits=limit, position=D(40)))
    assert [problem.rule for problem in full] == ["position limit"]
    assert full[0].fix is not None
    assert full[0].fix.amount == D(50)


def test_the_average_of_an_inverse_contract_is_what_its_fills_are_worth_together() -> None:
    """given 1 contract at 100.5 and 1 at 101, then their average is the price at which 2 have the same value."""
    said = estimate(draft(instrument=INVERSE, kind=OrderKind.MARKET, price=None, amount=D(2)), situation())
    assert said.average is not None
    together = INVERSE.notional(D("100.5"), D(1)) + INVERSE.notional(D(101), D(1))
    assert round(INVERSE.notional(said.average, D(2)), 20) == round(together, 20)


@given(
    price=st.decimals("0.01", "100000", places=2).filter(bool),
    worth=st.decimals("1", "1000000", places=2),
    unit=st.sampled_from(Unit),
    multiplier=st.sampled_from([D("0.001"), D(1), D(10), D(100)]),
)
def test_size_and_worth_are_each_others_inverse(
    price: Decimal, worth: Decimal, unit: Unit, multiplier: Decimal
) -> None:
    instrument = msgspec.structs.replace(INSTRUMENT, unit=unit, multiplier=multiplier)
    back = instrument.quote_value(price, instrument.size_worth(price, worth))
    assert abs(back - worth) <= worth * D("1e-20")


@given(
    price=st.decimals("50", "160", places=2),
    amount=st.integers(1, 3000).map(D),
    side=st.sampled_from(Side),
    unit=st.sampled_from([PERP, INVERSE]),
    position=st.integers(-100, 100).map(D),
    working=st.integers(0, 100).map(D),
    most=st.integers(1, 2000).map(D),
)
def test_fixes_of_contracts_mend_what_they_say_and_never_ask_for_more(
    price: Decimal,
    amount: Decimal,
    side: Side,
    unit: Instrument,
    position: Decimal,
    working: Decimal,
    most: Decimal,
) -> None:
    moment = situation(
        limits=Limits(max_notional=most, max_position_notional=most * 2),
        available={"USDT": D(500), "BTC": D(2)},
        position=position,
        working=working,
        leverage=D(5),
    )
    subject = draft(instrument=unit, price=price, amount=amount, side=side)
    for _ in range(12):
        fixable = [problem for problem in check(subject, moment) if problem.fix is not None]
        if not fixable:
            break
        fixed = fixable[0].fix
        assert fixed is not None
        if fixable[0].rule in ("largest order", "position limit", "funds"):
            assert fixed.amount is not None
            assert subject.amount is not None
            assert fixed.amount < subject.amount
        rules = {problem.rule for problem in check(fixed, moment) if problem.field == fixable[0].field}
        assert fixable[0].rule not in rules
        subject = fixed
    assert not [problem for problem in check(subject, moment) if problem.fix is not None]


def test_only_what_opens_needs_margin() -> None:
    """given 100 long, when 150 are sold, then the margin of 50 is asked for."""
    flips = draft(instrument=PERP, amount=D(150), side=Side.SELL)
    assert check(flips, situation(available={"USDT": D(50)}, position=D(100))) == []
    assert [p.rule for p in check(flips, situation(available={"USDT": D(49)}, position=D(100)))] == ["funds"]


def test_margin_counts_leverage_and_closing_needs_none() -> None:
    contracts = draft(instrument=PERP, amount=D(1000), side=Side.SELL)
    poor = situation(available={"USDT": D(150)}, leverage=D(5))
    assert "funds" in {problem.rule for problem in check(contracts, poor)}
    rich = situation(available={"USDT": D(150)}, leverage=D(10))
    assert check(contracts, rich) == []
    closing = situation(available={"USDT": D(0)}, position=D(1000))
    assert check(contracts, closing) == []


def test_a_leverage_that_is_not_known_refuses_only_what_none_would_allow() -> None:
    """given 10,000 of value and at most 20 times, when 499 are there, then it is refused; with 500 the venue decides."""
    twenty = msgspec.structs.replace(PERP, max_leverage=D(20))
    contracts = draft(instrument=twenty, amount=D(10_000))
    assert [p.rule for p in check(contracts, situation(available={"USDT": D(499)}, leverage=None))] == ["funds"]
    assert check(contracts, situation(available={"USDT": D(500)}, leverage=None)) == []
    assert estimate(contracts, situation(available={"USDT": D(500)}, leverage=None)).left is None


def test_a_position_limit_stops_growth_and_lets_reduction_through() -> None:
    limits = Limits(max_position_notional=D(500))
    grows = draft(instrument=PERP, amount=D(600), side=Side.BUY)
    shrinks = draft(instrument=PERP, amount=D(600), side=Side.SELL)
    moment = situation(limits=limits, position=D(700))
    assert "position limit" in {problem.rule for problem in check(grows, moment)}
    assert "position limit" not in {problem.rule for problem in check(shrinks, moment)}


QUANTO = msgspec.structs.replace(INVERSE, symbol="ETH-USD", base="ETH", unit=Unit.QUANTO, multiplier=D("0.001"))


def test_a_quanto_order_needs_a_largest_amount_because_its_value_has_no_price_in_quote() -> None:
    contracts = draft(instrument=QUANTO, amount=D(10))
    loose = situation(available={"BTC": D(100)})
    assert [problem.rule for problem in check(contracts, loose)] == ["largest order"]
    bound = situation(available={"BTC": D(100)}, limits=Limits(max_amount=D(20)))
    assert check(contracts, bound) == []
    assert [row.rule for row in check(draft(instrument=QUANTO, amount=D(21)), bound)] == ["largest order"]


def test_a_fee_in_quote_is_held_with_the_price() -> None:
    able = dataclasses.replace(ABLE, fee_in_quote=True)
    whole = situation(capabilities=able, available={"USDT": D("50.09")})
    assert [problem.rule for problem in check(DRAFT, situation(available={"USDT": D("50.09")}))] == []
    (problem,) = [problem for problem in check(DRAFT, whole) if problem.rule == "funds"]  # 50 and 0.2 per cent of it
    assert problem.fix is not None
    assert [each.rule for each in check(problem.fix, whole)] == []
    market = draft(kind=OrderKind.MARKET, price=None)
    assert [each.rule for each in check(market, situation(capabilities=able, available={"USDT": D("50.3")}))] == [
        "funds"
    ]
    told = estimate(DRAFT, situation(capabilities=able))
    assert (told.fee, told.fee_asset, told.left) == (D("0.05"), "USDT", D(10_000) - D("50.1"))
    assert estimate(DRAFT, situation()).fee_asset == "BTC"
