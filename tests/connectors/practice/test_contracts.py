"""Contracts: profit, margin, liquidation and funding, linear and inverse, to the last unit."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from connectors.model import EndReason, Market, OrderKind, OrderStatus, Side, TimeInForce, Unit
from connectors.practice.exchange import INSURANCE, Exchange
from connectors.practice.listings import Listing
from connectors.practice.terms import (
    AccountRules,
    FundingPaid,
    NewOrder,
    Order,
    Refusal,
    RefusalKind,
    Wallet,
)

LINEAR, INVERSE, SPOT = "perp:BTC-USDT", "perp:BTC-USD", "spot:BTC-USDT"
HOUR = 3_600_000
START = 1_790_000_000_000 // (8 * HOUR) * (8 * HOUR)
BUY, SELL = Side.BUY, Side.SELL


def D(text: str | int) -> Decimal:  # noqa: N802  short for what every line here is made of
    return Decimal(text)


@pytest.fixture
def exchange() -> Exchange:
    free = D(0)
    spot = Listing(base="BTC", quote="USDT", tick=D("0.01"), step=D("0.00001"), reference=D(50_000))
    linear = Listing(
        base="BTC",
        quote="USDT",
        market=Market.PERP,
        unit=Unit.LINEAR,
        multiplier=D("0.001"),
        tick=D("0.1"),
        step=D(1),
        reference=D(50_000),
        maker=free,
        taker=free,
        max_leverage=100,
        maintenance=D("0.005"),
    )
    inverse = Listing(
        base="BTC",
        quote="USD",
        market=Market.PERP,
        unit=Unit.INVERSE,
        multiplier=D(1),
        tick=D("0.5"),
        step=D(100),
        reference=D(50_000),
        maker=free,
        taker=free,
        max_leverage=100,
    )
    exchange = Exchange([spot, linear, inverse], start_ms=START)
    for name in ("ann", "bob"):
        exchange.open_account(name)
        exchange.deposit(name, "USDT", D(10_000), Wallet.MARGIN)
        exchange.deposit(name, "BTC", D(1), Wallet.MARGIN)
    exchange.open_account("house", AccountRules(house=True))
    return exchange


def send(exchange: Exchange, account: str, side: Side, price: str | None, amount: str, key: str = LINEAR) -> Order:
    kind = OrderKind.MARKET if price is None else OrderKind.LIMIT
    request = NewOrder(key=key, side=side, kind=kind, amount=D(amount), price=None if price is None else D(price))
    return exchange.place(account, request)


def trade(exchange: Exchange, buyer: str, seller: str, price: str, amount: str, key: str = LINEAR) -> None:
    send(exchange, seller, SELL, price, amount, key)
    assert send(exchange, buyer, BUY, price, amount, key).status is OrderStatus.FILLED


def wallet(exchange: Exchange, account: str, asset: str = "USDT") -> Decimal:
    return exchange.balance(account, asset, Wallet.MARGIN).total


def test_linear_profit_is_price_change_times_base_amount(exchange: Exchange) -> None:
    # 100 contracts of 0.001 BTC bought at 50,000 and 100 at 51,000: 0.2 BTC at 50,500 on average
    trade(exchange, "ann", "bob", "50000", "100")
    trade(exchange, "ann", "bob", "51000", "100")
    position = exchange.position("ann", LINEAR)
    assert (position.size, position.entry) == (200, D(50_500))
    # half of it closed at 52,000: 0.1 BTC x 1,500 = 150
    trade(exchange, "bob", "ann", "52000", "100")
    assert wallet(exchange, "ann") == D(10_150)
    assert wallet(exchange, "bob") == D(9_850)
    assert exchange.position("ann", LINEAR).entry == D(50_500)
    assert exchange.fills("ann")[-1].realised == D(150)
    # sold through zero at 50,000: -50 on the rest, then short 0.1 BTC from 50,000
    trade(exchange, "bob", "ann", "50000", "200")
    turned = exchange.position("ann", LINEAR)
    assert (turned.size, turned.entry, wallet(exchange, "ann")) == (-100, D(50_000), D(10_100))
    assert exchange.imbalance("USDT") == 0


def test_inverse_profit_is_paid_in_base_as_worked_out_by_hand(exchange: Exchange) -> None:
    # 10,000 USD long from 50,000 to 40,000: 10,000 x (1/50,000 - 1/40,000) = 0.20 - 0.25 = -0.05 BTC
    trade(exchange, "ann", "bob", "50000", "10000", INVERSE)
    held = exchange.balance("ann", "BTC", Wallet.MARGIN).held
    assert held == D("0.02")  # 0.2 BTC at 10x
    trade(exchange, "bob", "ann", "40000", "10000", INVERSE)
    assert wallet(exchange, "ann", "BTC") == D("0.95")
    assert wallet(exchange, "bob", "BTC") == D("1.05")
    # short 30,000 USD from 60,000 to 50,000: 30,000 x (1/50,000 - 1/60,000) = 0.6 - 0.5 = 0.1 BTC
    trade(exchange, "bob", "ann", "60000", "30000", INVERSE)
    trade(exchange, "ann", "bob", "50000", "30000", INVERSE)
    assert wallet(exchange, "ann", "BTC") == D("1.05")
    assert exchange.imbalance("BTC") == 0


def test_the_average_entry_of_an_inverse_position_is_the_harmonic_mean(exchange: Exchange) -> None:
    trade(exchange, "ann", "bob", "40000", "10000", INVERSE)
    trade(exchange, "ann", "bob", "50000", "10000", INVERSE)
    # 20,000 / (0.25 + 0.20) = 44,444.44
    entry = exchange.position("ann", INVERSE).entry
    assert entry is not None
    assert abs(entry - D(20_000) / D("0.45")) < D("0.000001")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ann", "bob", "cat"]),
            st.sampled_from([LINEAR, INVERSE]),
            st.integers(80_000, 120_000),
            st.integers(-30, 30),
        ),
        max_size=60,
    )
)
def test_contracts_never_make_or_lose_money_whatever_is_traded(trades: list[tuple[str, str, int, int]]) -> None:
    linear = Listing(
        base="BTC",
        quote="USDT",
        market=Market.PERP,
        unit=Unit.LINEAR,
        multiplier=D("0.001"),
        tick=D("0.5"),
        step=D(1),
        reference=D(50_000),
        maker=D("-0.00025"),
        taker=D("0.00075"),
        max_leverage=10,
    )
    inverse = structs.replace(linear, quote="USD", unit=Unit.INVERSE, multiplier=D(1), step=D(100))
    exchange = Exchange([linear, inverse], start_ms=START)
    for name in ("ann", "bob", "cat"):
        exchange.open_account(name, AccountRules(house=True))
        for asset in ("USDT", "BTC"):
            exchange.deposit(name, asset, D(1000), Wallet.MARGIN)
    now = START
    for name, key, halves, lots in trades:
        now += 3 * HOUR
        exchange.advance(now)
        if lots:
            request = NewOrder(
                key=key,
                side=BUY if lots > 0 else SELL,
                price=D(halves) / 2,
                amount=abs(lots) * exchange.listings[key].step,
            )
            exchange.place(name, request)
        for asset in ("USDT", "BTC"):
            assert exchange.imbalance(asset) == 0
        for each in (LINEAR, INVERSE):
            assert sum(exchange.position(account, each).size for account in exchange.accounts()) == 0
    # everything closed against one another at one price: what is left is what was put in
    for key in (LINEAR, INVERSE):
        for name in ("ann", "bob", "cat"):
            exchange.cancel_all(name)
        sizes = {name: exchange.position(name, key).size for name in ("ann", "bob", "cat")}
        for name, size in sorted(sizes.items(), key=lambda item: item[1]):
            if size:
                side = SELL if size > 0 else BUY
                exchange.place(name, NewOrder(key=key, side=side, price=D(50_000), amount=abs(size)))
        assert all(exchange.position(name, key).size == 0 for name in sizes)
    for asset in ("USDT", "BTC"):
        assert sum(exchange.balance(name, asset, Wallet.MARGIN).total for name in exchange.accounts()) == 3000


def test_margin_is_asked_for_by_leverage_and_closing_needs_none(exchange: Exchange) -> None:
    # 10,000 of collateral at 10x: 100,000 of value, 2,000 contracts at 50
    with pytest.raises(Refusal) as refusal:
        send(exchange, "ann", BUY, "50000", "2001")
    assert refusal.value.kind is RefusalKind.MARGIN
    trade(exchange, "ann", "bob", "50000", "2000")
    assert exchange.balance("ann", "USDT", Wallet.MARGIN).available == 0
    closing = send(exchange, "ann", SELL, "50100", "2000")
    assert closing.status is OrderStatus.OPEN
    with pytest.raises(Refusal) as more:
        send(exchange, "ann", BUY, "49000", "1")
    assert more.value.kind is RefusalKind.MARGIN
    with pytest.raises(Refusal) as lower:
        exchange.set_leverage("ann", LINEAR, 5)
    assert lower.value.kind is RefusalKind.MARGIN
    exchange.set_leverage("ann", LINEAR, 20)
    assert exchange.balance("ann", "USDT", Wallet.MARGIN).available == D(5_000)


def test_reduce_only_never_opens_is_cut_to_the_position_and_ends_with_it(exchange: Exchange) -> None:
    only = NewOrder(key=LINEAR, side=SELL, price=D(50_500), amount=D(300), reduce_only=True)
    with pytest.raises(Refusal) as refusal:
        exchange.place("ann", only)
    assert refusal.value.kind is RefusalKind.REDUCE_ONLY
    trade(exchange, "ann", "bob", "50000", "100")
    big = exchange.place("ann", only)
    taken = send(exchange, "bob", BUY, "50500", "300")
    assert (taken.filled, exchange.position("ann", LINEAR).size) == (100, 0)
    ended = exchange.order("ann", big.id)
    assert (ended.filled, ended.status, ended.end_reason) == (100, OrderStatus.CANCELLED, EndReason.REDUCE_ONLY)


def test_fill_or_kill_counts_only_what_reduce_only_orders_can_really_give(exchange: Exchange) -> None:
    trade(exchange, "ann", "bob", "50000", "100")
    exchange.place("ann", NewOrder(key=LINEAR, side=SELL, price=D(50_500), amount=D(300), reduce_only=True))
    fok = NewOrder(key=LINEAR, side=BUY, price=D(50_500), amount=D(200), tif=TimeInForce.FOK)
    with pytest.raises(Refusal) as refusal:
        exchange.place("bob", fok)
    assert refusal.value.kind is RefusalKind.FOK


def test_a_position_past_its_maintenance_is_closed_against_the_book(exchange: Exchange) -> None:
    exchange.set_leverage("ann", LINEAR, 50)
    trade(exchange, "ann", "bob", "50000", "2000")
    exchange.withdraw("ann", "USDT", D(8_000), Wallet.MARGIN)
    bid = exchange.place("ann", NewOrder(key=LINEAR, side=SELL, price=D(60_000), amount=D(10)))
    before = exchange.position("ann", LINEAR).liquidation
    assert before is not None
    # 2,000 of collateral on 2 BTC: equity 2,000 + 2 (p - 50,000) meets 0.005 x 2 p at p = 98,000 / 1.99
    assert abs(before - D(98_000) / D("1.99")) < D("0.0001")
    exchange.deposit("bob", "USDT", D(10_000), Wallet.MARGIN)
    for price in ("49150", "49100"):
        send(exchange, "bob", BUY, price, "1500")
    send(exchange, "bob", SELL, "49200", "10")
    for second in range(1, 120):
        exchange.advance(START + second * 1000)
    position = exchange.position("ann", LINEAR)
    assert position.size == 0
    assert exchange.order("ann", bid.id).end_reason is EndReason.LIQUIDATION
    # 1.5 BTC sold at 49,150 and 0.5 at 49,100: 2,000 - 1.5 x 850 - 0.5 x 900 = 275
    assert wallet(exchange, "ann") == D(275)
    assert exchange.closed_orders("ann")[-1].text == "liquidation"
    assert exchange.imbalance("USDT") == 0


def test_what_the_book_does_not_take_goes_to_the_insurance_which_bears_the_loss(exchange: Exchange) -> None:
    exchange.set_leverage("ann", LINEAR, 100)
    trade(exchange, "ann", "bob", "50000", "2000")
    exchange.withdraw("ann", "USDT", D(8_900), Wallet.MARGIN)
    exchange.deposit("bob", "USDT", D(10_000), Wallet.MARGIN)
    send(exchange, "bob", BUY, "40000", "1")
    send(exchange, "bob", SELL, "40000.5", "10")
    for second in range(1, 240):
        exchange.advance(START + second * 1000)
    assert exchange.position("ann", LINEAR).size == 0
    assert exchange.position(INSURANCE, LINEAR).size == 1999
    assert wallet(exchange, "ann") == 0
    assert wallet(exchange, INSURANCE) < 0
    assert exchange.imbalance("USDT") == 0
    assert exchange.mark(LINEAR).open_interest == 1999


def test_funding_moves_from_longs_to_shorts_every_eight_hours_and_sums_to_zero(exchange: Exchange) -> None:
    heard: list[FundingPaid] = []
    exchange.watch_account(lambda event: heard.append(event) if isinstance(event, FundingPaid) else None, "ann")
    trade(exchange, "ann", "bob", "50000", "100")
    for step in range(1, 8 * 60 + 2):
        exchange.advance(START + step * 60_000)
    (paid,) = heard
    # contract and index stand level: the interest of 0.01 % is due on 0.1 BTC x 50,000
    assert (paid.payment.rate, paid.payment.amount) == (D("0.0001"), D("-0.5"))
    assert exchange.funding("bob")[0].amount == D("0.5")
    assert wallet(exchange, "ann") + wallet(exchange, "bob") == D(20_000)
    assert exchange.mark(LINEAR).next_funding == START + 16 * HOUR


def test_the_funding_rate_follows_the_premium_and_is_clamped(exchange: Exchange) -> None:
    send(exchange, "bob", SELL, "50101", "1")
    send(exchange, "ann", BUY, "50099", "1")
    trade(exchange, "ann", "bob", "50100", "1")
    for step in range(1, 600):
        exchange.advance(START + step * 1000)
    near = exchange.mark(LINEAR)
    assert near.mark == D(50_100)
    # premium 0.2 % less the band of 0.05 %; the mark needed a few seconds to get there
    assert D("0.0014") < near.rate <= D("0.0015")
    exchange.deposit("ann", "USDT", D(100_000), Wallet.MARGIN)
    exchange.deposit("bob", "USDT", D(100_000), Wallet.MARGIN)
    exchange.cancel_all("ann")
    exchange.cancel_all("bob")
    trade(exchange, "ann", "bob", "70000", "1")
    for step in range(600, 3600):
        exchange.advance(START + step * 1000)
    assert exchange.mark(LINEAR).rate == D("0.0075")


def test_the_mark_is_the_smoothed_median_of_bid_ask_and_last(exchange: Exchange) -> None:
    trade(exchange, "ann", "bob", "50000", "1")
    send(exchange, "ann", BUY, "51000", "1")
    send(exchange, "bob", SELL, "51010", "1")
    exchange.advance(START + 1000)
    first = exchange.mark(LINEAR).mark
    # 1 s of a 5 s smoothing: a sixth of the way from 50,000 to 51,000
    assert D(50_160) < first < D(50_170)
    for second in range(2, 120):
        exchange.advance(START + second * 1000)
    assert exchange.mark(LINEAR).mark == D(51_000)
