"""Paper fills against a live book: what is taken, what waits in a queue, and what must never happen."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.paper_engine import OWNER, PaperEngine
from connectors.model import EndReason, OrderKind, OrderStatus, Side, TimeInForce
from connectors.practice.terms import Refusal, RefusalKind, Wallet
from tests.app.paper_street import FEES, INVERSE, LINEAR, SPOT, Street, ordinary

D = Decimal
BUY, SELL = Side.BUY, Side.SELL


# taking ---------------------------------------------------------------------------------------------------------------


def test_a_market_order_walks_the_live_book_and_pays_the_takers_fee() -> None:
    street = ordinary()
    order = street.place(BUY, "2.5")
    assert order.status is OrderStatus.FILLED
    assert [(fill.price, fill.size) for fill in street.executions()] == [(D(101), D("1.0")), (D(102), D("1.5"))]
    assert street.total("USDT") == D(100_000) - D(101) - D(153)
    assert street.total("BTC") == D(1000) + D("2.5") * (1 - FEES.taker)


def test_the_same_size_is_not_taken_twice_until_the_book_brings_more() -> None:
    """given 1 at 101, when it is taken, then the next buyer pays 102; when the level grows by 0.4, just 0.4 are there."""
    street = ordinary()
    street.place(BUY, "1")
    assert street.order(street.place(BUY, "0.5")).average == D(102)
    street.set(asks={101: 1.4})
    street.look()
    street.place(BUY, "0.5")
    assert [(fill.price, fill.size) for fill in street.executions()[2:]] == [(D(101), D("0.4")), (D(102), D("0.1"))]


def test_a_level_that_shrank_below_what_was_taken_of_it_owes_only_what_it_shows() -> None:
    street = ordinary()
    street.place(BUY, "1")
    street.set(asks={101: 0.3})
    street.look()
    street.set(asks={101: 1.0})
    street.look()
    street.place(BUY, "1", "101", tif=TimeInForce.IOC)
    assert [(fill.price, fill.size) for fill in street.executions()[1:]] == [(D(101), D("0.7"))]


def test_a_level_that_vanished_comes_back_whole() -> None:
    street = ordinary()
    street.place(BUY, "1")
    street.set(asks={101: 0.0})
    street.look()
    street.set(asks={101: 1.0})
    street.look()
    assert street.order(street.place(BUY, "1")).average == D(101)


def test_immediate_or_cancel_takes_what_is_there_and_ends() -> None:
    street = ordinary()
    order = street.place(BUY, "5", "102", tif=TimeInForce.IOC)
    assert (order.status, order.filled, order.end_reason) == (OrderStatus.EXPIRED, D(3), EndReason.IOC_REST)


def test_fill_or_kill_fills_whole_or_not_at_all() -> None:
    street = ordinary()
    with pytest.raises(Refusal) as refused:
        street.place(BUY, "3.1", "102", tif=TimeInForce.FOK)
    assert refused.value.kind is RefusalKind.FOK
    assert not street.executions()
    assert street.place(BUY, "3", "102", tif=TimeInForce.FOK).status is OrderStatus.FILLED


def test_post_only_does_not_take() -> None:
    street = ordinary()
    with pytest.raises(Refusal) as refused:
        street.place(BUY, "1", "101", post_only=True)
    assert refused.value.kind is RefusalKind.POST_ONLY
    assert street.place(BUY, "1", "100", post_only=True).status is OrderStatus.OPEN


def test_money_buys_what_the_book_gives_for_it() -> None:
    street = ordinary()
    order = street.place(BUY, None, quote="203")
    assert order.filled == D("2.0")
    assert street.total("USDT") == D(100_000) - D(203)


def test_a_limit_order_takes_to_its_price_and_rests_with_the_rest() -> None:
    street = ordinary()
    order = street.place(BUY, "2", "101")
    assert (order.status, order.filled) == (OrderStatus.PARTLY_FILLED, D(1))
    assert street.engine.open_orders(OWNER)[0].remaining == D(1)
    assert not street.engine.best(SPOT.key)[1]  # nothing of the street stays in the ledger's book


def test_what_the_account_does_not_have_is_refused() -> None:
    street = ordinary(SPOT, USDT=50, BTC=0)
    with pytest.raises(Refusal) as refused:
        street.place(BUY, "1")
    assert refused.value.kind is RefusalKind.FUNDS
    with pytest.raises(Refusal):
        street.place(SELL, "1", "150")


# resting --------------------------------------------------------------------------------------------------------------


def test_an_order_stands_behind_all_that_is_shown_at_its_price() -> None:
    """given 1 ahead, when 0.6 and 0.6 trade there, then the second trade reaches the order with 0.2."""
    street = ordinary()
    order = street.place(BUY, "1", "99")
    assert street.engine.ahead(order.id) == D(1)
    street.trade(99, 0.6, SELL)
    assert street.engine.ahead(order.id) == D("0.4")
    street.trade(99, 0.6, SELL)
    now = street.order(order)
    assert (now.filled, now.status, now.average) == (D("0.2"), OrderStatus.PARTLY_FILLED, D(99))
    fill = street.executions()[0]
    assert (fill.maker, fill.fee, fill.fee_asset) == (True, D("0.2") * FEES.maker, "BTC")


def test_size_that_left_the_level_left_from_behind_as_long_as_it_can() -> None:
    street = ordinary()
    order = street.place(BUY, "1", "99")
    street.set(bids={99: 3.0})  # two more behind us
    street.look()
    street.set(bids={99: 1.5})
    street.look()
    assert street.engine.ahead(order.id) == D(1)
    street.set(bids={99: 0.4})
    street.look()
    assert street.engine.ahead(order.id) == D("0.4")


def test_a_trade_that_the_book_told_before_the_tape_counts_once() -> None:
    """given 1 ahead, when the level drops to 0.4 and then 0.6 are told as traded, then 0.4 are still ahead."""
    street = ordinary()
    order = street.place(BUY, "1", "99")
    street.set(bids={99: 0.4})
    street.look()
    street.trade(99, 0.6, SELL)
    assert street.engine.ahead(order.id) == D("0.4")
    street.trade(99, 0.5, SELL)
    assert street.order(order).filled == D("0.1")


def test_a_trade_told_before_the_book_counts_once() -> None:
    street = ordinary()
    order = street.place(BUY, "1", "99")
    street.trade(99, 0.6, SELL)
    street.set(bids={99: 0.4})
    street.look()
    assert street.engine.ahead(order.id) == D("0.4")


def test_a_trade_through_the_price_fills_no_more_than_it_traded() -> None:
    street = ordinary()
    order = street.place(BUY, "1", "99")
    street.trade(98, 0.7, SELL)
    assert street.order(order).filled == D("0.7")
    street.trade(98, 5.0, SELL)
    assert street.order(order).status is OrderStatus.FILLED


def test_trades_of_the_other_side_do_nothing() -> None:
    street = ordinary()
    order = street.place(BUY, "1", "100")
    street.trade(101, 5.0, BUY)
    assert street.order(order).filled == 0


def test_two_orders_at_a_price_share_a_trade() -> None:
    street = ordinary()
    first, second = street.place(BUY, "0.5", "100"), street.place(BUY, "0.5", "100")
    street.trade(100, 0.8, SELL)
    assert (street.order(first).filled, street.order(second).filled) == (D("0.5"), D("0.3"))


def test_size_that_comes_to_rest_beyond_the_price_fills_once() -> None:
    street = ordinary()
    order = street.place(BUY, "1", "100")
    street.set(bids={99: 0.0}, asks={100: 0.6})
    street.look()
    street.look()
    now = street.order(order)
    assert (now.filled, now.average) == (D("0.6"), D(100))
    street.set(asks={100: 0.9})
    street.look()
    assert street.order(order).filled == D("0.9")


def test_a_price_beyond_the_known_book_waits_until_it_is_known() -> None:
    street = ordinary()
    order = street.place(BUY, "1", "90")
    assert street.engine.ahead(order.id) is None
    street.trade(90, 5.0, SELL)
    assert street.order(order).filled == 0
    street.set(bids={90: 2.0, 89: 1.0})
    street.look()
    assert street.engine.ahead(order.id) == D(2)
    street.trade(89, 0.5, SELL)
    assert street.order(order).filled == D("0.5")


def test_a_trade_is_counted_once_and_only_if_it_is_younger_than_the_order() -> None:
    street = ordinary()
    early = street.now
    order = street.place(BUY, "1", "100")
    street.trade(100, 0.4, SELL, id="old", time=early)
    assert street.order(order).filled == 0
    street.trade(100, 0.4, SELL, id="same")
    street.trade(100, 0.4, SELL, id="same")
    assert street.order(order).filled == D("0.4")


def test_a_trade_that_an_earlier_run_heard_does_not_count_again() -> None:
    """given a venue that begins with its latest trades, when the account is taken up again, then they fill nothing twice."""
    first = ordinary()
    order = first.place(BUY, "1", "98")
    heard = first.now + 1
    first.trade(97, 0.4, SELL, id="7", time=heard)
    assert first.order(order).filled == D("0.4")
    second = ordinary()
    second.now = heard + 1_000
    second.engine = PaperEngine(second._view, start_ms=second.now)
    second.engine.open_instrument(SPOT, FEES, D(100))
    second.engine.deposit_exactly(Wallet.SPOT, "USDT", D(100_000))
    second.engine.restore_order(first.order(order))
    second.trade(97, 0.4, SELL, id="7", time=heard)
    assert second.order(order).filled == D("0.4")
    second.trade(97, 0.4, SELL, id="8")
    assert second.order(order).filled == D("0.8")


def test_without_proof_there_are_no_fills() -> None:
    street = ordinary()
    order = street.place(BUY, "1", "100")
    street.proven = False
    street.trade(98, 5.0, SELL)
    street.set(asks={99: 5.0})
    street.look()
    assert street.order(order).filled == 0
    with pytest.raises(Refusal) as refused:
        street.place(BUY, "1")
    assert refused.value.kind is RefusalKind.MARKET_CLOSED
    assert street.engine.drop(order.id, street.now).status is OrderStatus.CANCELLED


def test_moving_an_order_sends_it_to_the_end_and_lowering_it_does_not() -> None:
    street = ordinary()
    order = street.place(BUY, "1", "99")
    street.trade(99, 0.6, SELL)
    street.engine.change(order.id, price=None, amount=D("0.5"), trigger=None, now_ms=street.now)
    assert street.engine.ahead(order.id) == D("0.4")
    street.engine.change(order.id, price=D(98), amount=None, trigger=None, now_ms=street.now)
    assert street.engine.ahead(order.id) == D(2)
    street.engine.change(order.id, price=D(101), amount=None, trigger=None, now_ms=street.now)
    assert street.order(order).average == D(101)


# stops ----------------------------------------------------------------------------------------------------------------


def test_a_stop_starts_on_a_live_trade_and_takes_the_live_book() -> None:
    street = ordinary()
    street.trade(100, 0.1, BUY)
    order = street.place(SELL, "1.5", kind=OrderKind.STOP, trigger="99")
    assert order.status is OrderStatus.UNTRIGGERED
    street.trade(99.0, 0.1, SELL)
    now = street.order(order)
    assert now.status is OrderStatus.FILLED
    assert [(fill.price, fill.size) for fill in street.executions()] == [(D(99), D(1)), (D(98), D("0.5"))]


def test_a_stop_limit_rests_behind_the_queue_once_it_started() -> None:
    street = ordinary()
    street.trade(100, 0.1, BUY)
    order = street.place(BUY, "1", "101", kind=OrderKind.STOP_LIMIT, trigger="103")
    street.set(asks={101: 0.0, 102: 0.0}, bids={101: 4.0})
    street.trade(103, 0.1, BUY)
    assert street.order(order).status is OrderStatus.OPEN
    assert street.engine.ahead(order.id) == D(4)


# contracts ------------------------------------------------------------------------------------------------------------


def test_linear_contracts_count_profit_in_quote_and_margin_by_leverage() -> None:
    street = ordinary(LINEAR, USDT=1000)
    street.engine.set_leverage(OWNER, LINEAR.key, 5)
    street.place(BUY, "1000")  # 1000 contracts of 0.01 at 101 = 1010
    position = street.engine.position(OWNER, LINEAR.key)
    assert (position.size, position.entry, position.leverage) == (D(1000), D(101), 5)
    fee = D(1010) * FEES.taker
    assert street.total("USDT") == 1000 - fee
    street.whole({110: 5_000.0}, {111: 5_000.0})
    street.look()
    assert street.engine.position(OWNER, LINEAR.key).unrealised == D(1000) * D("0.01") * (D(110) - D(101))
    street.place(SELL, "1000", reduce_only=True)
    assert street.engine.position(OWNER, LINEAR.key).size == 0
    assert street.total("USDT") == 1000 - fee + D(90) - D(1100) * FEES.taker


def test_inverse_contracts_count_in_the_base_asset() -> None:
    street = Street(INVERSE, funds={"BTC": 10})
    street.whole({99.5: 100_000.0}, {100: 100_000.0})
    street.place(BUY, "1000")  # 1000 USD at 100 = 10 BTC of value
    fee = D(10) * FEES.taker
    assert street.total("BTC") == 10 - fee
    street.whole({125.0: 100_000.0}, {125.5: 100_000.0})
    street.look()
    street.place(SELL, "1000", reduce_only=True)
    assert street.total("BTC") == 10 - fee + (D(10) - D(8)) - D(8) * FEES.taker


def test_margin_that_is_not_there_is_refused() -> None:
    street = ordinary(LINEAR, USDT=100)
    street.engine.set_leverage(OWNER, LINEAR.key, 5)
    with pytest.raises(Refusal) as refused:
        street.place(BUY, "1000")
    assert refused.value.kind is RefusalKind.MARGIN


def test_reduce_only_never_opens() -> None:
    street = ordinary(LINEAR, USDT=10_000)
    with pytest.raises(Refusal) as refused:
        street.place(SELL, "10", reduce_only=True)
    assert refused.value.kind is RefusalKind.REDUCE_ONLY
    street.place(BUY, "100")
    order = street.place(SELL, "500", "98", reduce_only=True)
    assert order.filled == D(100)
    assert street.engine.position(OWNER, LINEAR.key).size == 0


def test_a_position_that_eats_its_margin_is_liquidated_into_the_live_book() -> None:
    street = ordinary(LINEAR, USDT=300)
    street.engine.set_leverage(OWNER, LINEAR.key, 10)
    street.place(BUY, "1000")
    street.whole({70: 5_000.0}, {71: 5_000.0})
    street.look()
    assert street.engine.position(OWNER, LINEAR.key).size == 0
    assert street.total("USDT") >= 0
    assert street.engine.imbalance("USDT") == 0


def test_funding_moves_money_by_the_venues_rate() -> None:
    street = ordinary(LINEAR, USDT=10_000)
    street.place(BUY, "1000")
    before = street.total("USDT")
    street.engine.set_mark(LINEAR.key, D(100), street.now)
    street.engine.pay_funding(LINEAR.key, D("0.0001"), street.now)
    assert street.total("USDT") == before - D(1000) * D("0.01") * 100 * D("0.0001")
    assert street.engine.imbalance("USDT") == 0


# whatever happens ------------------------------------------------------------------------------------------------------

PRICES = st.integers(95, 105)
SIZES = st.integers(0, 30).map(lambda tenths: tenths / 10)
STEPS = st.one_of(
    st.tuples(st.just("level"), st.booleans(), PRICES, SIZES),
    st.tuples(st.just("trade"), st.booleans(), PRICES, SIZES),
    st.tuples(st.just("limit"), st.booleans(), PRICES, SIZES),
    st.tuples(st.just("market"), st.booleans(), PRICES, SIZES),
    st.tuples(st.just("stop"), st.booleans(), PRICES, SIZES),
    st.tuples(st.just("cancel"), st.booleans(), PRICES, SIZES),
    st.tuples(st.just("amend"), st.booleans(), PRICES, SIZES),
)


@settings(max_examples=150)
@given(steps=st.lists(STEPS, max_size=50))
def test_nothing_is_made_nothing_is_lost_and_no_size_is_used_twice(
    steps: list[tuple[str, bool, int, float]],
) -> None:
    """given any history, then assets balance, holds fit, and fills never exceed the size that appeared in the market."""
    street = ordinary()
    appeared: dict[tuple[bool, int], Decimal] = {}
    shown = {(True, 99): D(1), (True, 98): D(2), (True, 97): D(3), (False, 101): D(1), (False, 102): D(2)}
    shown[False, 103] = D(3)
    appeared |= shown
    traded = D(0)
    for what, bid, price, size in steps:
        side = BUY if bid else SELL
        best = street.book.best_ask if bid else street.book.best_bid
        if what == "level":
            crosses = best is not None and (price >= best[0] if bid else price <= best[0])
            if crosses and size:
                continue  # a live book does not cross
            street.set(bids={price: size} if bid else None, asks=None if bid else {price: size})
            key = (bid, price)
            grown = D(str(size)) - shown.get(key, D(0))
            appeared[key] = appeared.get(key, D(0)) + max(D(0), grown)
            shown[key] = D(str(size))
            street.look()
        elif what == "trade" and size:
            traded += D(str(size))
            street.trade(price, size, side)
        elif what in ("limit", "market", "stop") and size:
            try:
                if what == "limit":
                    street.place(side, str(size), str(price))
                elif what == "market":
                    street.place(side, str(size))
                else:
                    street.place(side, str(size), kind=OrderKind.STOP, trigger=str(price))
            except Refusal:
                pass
        elif what in ("cancel", "amend") and (orders := street.engine.open_orders(OWNER)):
            name = orders[price % len(orders)].id
            try:
                if what == "cancel":
                    street.engine.drop(name, street.now)
                else:
                    street.engine.change(name, price=D(price), amount=None, trigger=None, now_ms=street.now)
            except Refusal:
                pass
        for asset in ("USDT", "BTC"):
            assert street.engine.imbalance(asset) == 0
            row = street.engine.balance(OWNER, asset)
            assert 0 <= row.held <= row.total
        image = street.engine.book(SPOT.key)
        own = sum((order.remaining or 0 for order in street.engine.open_orders(OWNER) if order.status in WORKING), D(0))
        assert sum((row.size for row in image.bids + image.asks), D(0)) == own
    executions = street.executions()
    makers = sum((fill.size for fill in executions if fill.maker), D(0))
    takers = [fill for fill in executions if not fill.maker]
    assert sum((fill.size for fill in takers), D(0)) + makers <= sum(appeared.values(), D(0)) + traded
    for (bid, price), most in appeared.items():
        taken = sum((fill.size for fill in takers if fill.price == price and (fill.side is SELL) is bid), D(0))
        assert taken <= most


WORKING = (OrderStatus.OPEN, OrderStatus.PARTLY_FILLED)


@given(trades=st.lists(st.tuples(st.integers(97, 99), st.integers(1, 20)), max_size=30))
def test_a_resting_order_gets_at_most_what_traded_beyond_its_queue(trades: list[tuple[int, int]]) -> None:
    """given 1 ahead at 98, then fills are at most what traded below plus what traded there beyond the first 1."""
    street = ordinary()
    street.set(bids={99: 0.0, 98: 1.0, 97: 1.0, 96: 1.0})
    order = street.place(BUY, "4", "98")
    at = below = D(0)
    for price, tenths in trades:
        size = D(tenths) / 10
        at += size if price == 98 else 0
        below += size if price < 98 else 0
        street.trade(price, float(size), SELL)
        assert street.order(order).filled == min(D(4), below + max(D(0), at - 1))
