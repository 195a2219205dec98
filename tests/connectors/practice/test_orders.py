"""What the exchange does with orders: refusals, priority, triggers, amendments, self-trade, events."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from connectors.model import EndReason, InstrumentStatus, OrderKind, OrderStatus, Side, TimeInForce
from connectors.practice.exchange import Exchange
from connectors.practice.listings import Listing
from connectors.practice.terms import (
    AccountRules,
    BalanceChanged,
    BookChanged,
    ClientIds,
    Event,
    Filled,
    Happening,
    NewOrder,
    OrderChanged,
    Refusal,
    RefusalKind,
    SelfTrade,
    Traded,
    Wallet,
)

KEY = "spot:BTC-USDT"
START = 1_790_000_000_000
BUY, SELL = Side.BUY, Side.SELL


def D(text: str | int) -> Decimal:  # noqa: N802  short for what every line here is made of
    return Decimal(text)


@pytest.fixture
def exchange() -> Exchange:
    listing = Listing(
        base="BTC",
        quote="USDT",
        tick=D("0.01"),
        step=D("0.00001"),
        reference=D(100),
        minimum=D("0.001"),
        maximum=D(1000),
        min_notional=D(5),
        maker=D("0.001"),
        taker=D("0.002"),
    )
    exchange = Exchange([listing], start_ms=START)
    for name in ("ann", "bob"):
        exchange.open_account(name)
        exchange.deposit(name, "USDT", D(10_000))
        exchange.deposit(name, "BTC", D(100))
    return exchange


def ask(side: Side, price: str | None = None, amount: str | None = "1", **rest: Any) -> NewOrder:
    kind = rest.pop("kind", OrderKind.LIMIT if price is not None else OrderKind.MARKET)
    return NewOrder(
        key=KEY,
        side=side,
        kind=kind,
        price=D(price) if price is not None else None,
        amount=D(amount) if amount is not None else None,
        **rest,
    )


def refused(exchange: Exchange, account: str, request: NewOrder) -> RefusalKind:
    """The kind with which `place` and `test` both refuse; nothing may have changed."""
    events, balances = exchange.number_of_events(), exchange.balances(account)
    with pytest.raises(Refusal) as tested:
        exchange.test(account, request)
    with pytest.raises(Refusal) as placed:
        exchange.place(account, request)
    assert tested.value.kind is placed.value.kind
    assert exchange.number_of_events() == events
    assert exchange.balances(account) == balances
    return placed.value.kind


@pytest.mark.parametrize(
    ("request_", "kind"),
    [
        (ask(BUY, "100.001"), RefusalKind.PRICE_TICK),
        (ask(BUY, "-1"), RefusalKind.PRICE_BOUNDS),
        (ask(BUY, "NaN"), RefusalKind.PRICE_BOUNDS),
        (ask(BUY, "100", "1.000001"), RefusalKind.SIZE_LOT),
        (ask(BUY, "100", "0.0005"), RefusalKind.SIZE_MINIMUM),
        (ask(BUY, "100", "1001"), RefusalKind.SIZE_MAXIMUM),
        (ask(BUY, "100", "0.01"), RefusalKind.NOTIONAL_MINIMUM),
        (ask(BUY, "100", "101"), RefusalKind.FUNDS),
        (ask(SELL, "100", "101"), RefusalKind.FUNDS),
        (ask(BUY), RefusalKind.NO_LIQUIDITY),
        (ask(BUY, "100", None), RefusalKind.INVALID),
        (ask(BUY, "100", kind=OrderKind.STOP_LIMIT), RefusalKind.INVALID),
        (ask(BUY, "100", trigger=D(99)), RefusalKind.INVALID),
        (ask(BUY, "100", post_only=True, tif=TimeInForce.IOC), RefusalKind.INVALID),
        (ask(BUY, "100", reduce_only=True), RefusalKind.UNSUPPORTED),
        (ask(BUY, "100", tif=TimeInForce.FOK), RefusalKind.FOK),
        (ask(BUY, "100", kind=OrderKind.STOP_LIMIT, trigger=D(99)), RefusalKind.WOULD_TRIGGER),
        (ask(SELL, kind=OrderKind.TAKE_PROFIT, trigger=D(99)), RefusalKind.WOULD_TRIGGER),
        (ask(BUY, "100", expires=START), RefusalKind.INVALID),
    ],
)
def test_an_order_against_a_rule_is_refused_by_its_kind_and_changes_nothing(
    exchange: Exchange, request_: NewOrder, kind: RefusalKind
) -> None:
    assert refused(exchange, "ann", request_) is kind


def test_a_closed_market_takes_no_orders_but_cancels(exchange: Exchange) -> None:
    order = exchange.place("ann", ask(BUY, "90"))
    exchange.set_status(KEY, InstrumentStatus.CANCEL_ONLY)
    assert refused(exchange, "bob", ask(BUY, "90")) is RefusalKind.MARKET_CLOSED
    assert exchange.cancel("ann", order.id).status is OrderStatus.CANCELLED


def test_unknown_and_ended_orders_are_told_apart_and_accounts_do_not_see_each_other(exchange: Exchange) -> None:
    order = exchange.place("ann", ask(BUY, "90", client_id="mine"))
    for account, name in (("ann", 999), ("ann", "other"), ("bob", order.id), ("bob", "mine")):
        with pytest.raises(Refusal) as unknown:
            exchange.cancel(account, name)
        assert unknown.value.kind is RefusalKind.UNKNOWN_ORDER
    exchange.cancel("ann", "mine")
    with pytest.raises(Refusal) as ended:
        exchange.cancel("ann", "mine")
    assert ended.value.kind is RefusalKind.ORDER_ENDED
    assert ended.value.order == exchange.order("ann", order.id)


@pytest.mark.parametrize(
    ("rule", "while_open", "after"),
    [(ClientIds.OPEN, False, True), (ClientIds.EVER, False, False), (ClientIds.FREE, True, True)],
)
def test_a_client_id_binds_as_long_as_the_rules_say(
    exchange: Exchange, rule: ClientIds, while_open: bool, after: bool
) -> None:
    exchange.open_account("ann", AccountRules(client_ids=rule))

    def accepted() -> bool:
        try:
            exchange.place("ann", ask(BUY, "90", client_id="a"))
        except Refusal as refusal:
            return refusal.kind is not RefusalKind.CLIENT_ID
        return True

    first, second = accepted(), accepted()
    exchange.cancel_all("ann")
    assert (first, second, accepted()) == (True, while_open, after)


def test_too_many_open_orders_are_refused(exchange: Exchange) -> None:
    exchange.open_account("ann", AccountRules(max_open_orders=2))
    exchange.place("ann", ask(BUY, "90"))
    exchange.place("ann", ask(BUY, "91"))
    assert refused(exchange, "ann", ask(BUY, "92")) is RefusalKind.TOO_MANY_ORDERS


def test_fees_are_taken_from_what_is_received_and_paid_to_the_fee_account(exchange: Exchange) -> None:
    exchange.place("ann", ask(SELL, "100", "2"))
    bought = exchange.place("bob", ask(BUY, "101", "2"))
    assert bought.status is OrderStatus.FILLED
    assert (bought.average, bought.fee, bought.fee_asset) == (D(100), D("0.004"), "BTC")
    assert exchange.balance("bob", "BTC").total == D("101.996")
    assert exchange.balance("bob", "USDT").total == D(9_800)
    assert exchange.balance("ann", "USDT").total == D("10199.8")
    assert exchange.balance("fees", "BTC").total == D("0.004")
    assert exchange.balance("fees", "USDT").total == D("0.2")


def test_a_hold_is_released_exactly_when_a_better_price_is_met_and_when_the_rest_is_cancelled(
    exchange: Exchange,
) -> None:
    exchange.place("ann", ask(SELL, "99.37", "0.33333"))
    order = exchange.place("bob", ask(BUY, "100.01", "1"))
    assert order.held == D("100.01") * D("0.66667")
    assert exchange.balance("bob", "USDT").held == order.held
    exchange.cancel("bob", order.id)
    balance = exchange.balance("bob", "USDT")
    assert balance.held == 0
    assert balance.total == D(10_000) - D("99.37") * D("0.33333")


def test_lowering_the_size_keeps_the_place_in_the_queue_and_raising_it_does_not(exchange: Exchange) -> None:
    first = exchange.place("ann", ask(SELL, "100", "3"))
    second = exchange.place("ann", ask(SELL, "100", "1"))
    exchange.amend("ann", first.id, amount=D(2))
    exchange.place("bob", ask(BUY, "100", "1"))
    assert exchange.order("ann", first.id).filled == 1
    exchange.amend("ann", first.id, amount=D(4))
    exchange.place("bob", ask(BUY, "100", "1"))
    assert exchange.order("ann", second.id).status is OrderStatus.FILLED
    assert exchange.order("ann", first.id).remaining == 3


def test_an_amendment_to_a_crossing_price_takes_and_a_post_only_one_is_refused_and_stays(exchange: Exchange) -> None:
    exchange.place("ann", ask(SELL, "100"))
    order = exchange.place("bob", ask(BUY, "90", "1", post_only=True))
    with pytest.raises(Refusal) as refusal:
        exchange.amend("bob", order.id, price=D(100))
    assert refusal.value.kind is RefusalKind.POST_ONLY
    assert exchange.order("bob", order.id) == order
    plain = exchange.place("bob", ask(BUY, "90", "0.5"))
    assert exchange.amend("bob", plain.id, price=D(100), client_id="new").status is OrderStatus.FILLED
    assert exchange.order("bob", "new").id == plain.id


def test_a_stop_waits_holds_its_funds_triggers_on_the_last_trade_and_then_takes(exchange: Exchange) -> None:
    heard: list[Event] = []
    exchange.watch_account(heard.append, "bob")
    stop = exchange.place("bob", ask(SELL, None, "1", kind=OrderKind.STOP, trigger=D(95)))
    assert stop.status is OrderStatus.UNTRIGGERED
    assert exchange.balance("bob", "BTC").held == 1
    exchange.place("ann", ask(BUY, "95", "1"))
    exchange.place("ann", ask(BUY, "94", "5"))
    assert exchange.order("bob", stop.id).status is OrderStatus.UNTRIGGERED
    exchange.open_account("eve")
    exchange.deposit("eve", "BTC", D(1))
    exchange.place("eve", ask(SELL, "95", "1"))
    ended = exchange.order("bob", stop.id)
    assert (ended.status, ended.average, ended.triggered) == (OrderStatus.FILLED, D(94), START)
    assert exchange.balance("bob", "BTC").held == 0
    told = [event.what for event in heard if isinstance(event, OrderChanged)]
    assert told == [Happening.ACCEPTED, Happening.TRIGGERED, Happening.FILLED]


def test_stops_that_set_each_other_off_all_work_in_one_operation(exchange: Exchange) -> None:
    for price in ("99", "98", "97"):
        exchange.place("ann", ask(BUY, price, "1"))
    exchange.place("ann", ask(BUY, "96", "5"))
    stops = [
        exchange.place("bob", ask(SELL, None, "1", kind=OrderKind.STOP, trigger=D(price)))
        for price in ("98", "97", "99")
    ]
    exchange.place("bob", ask(SELL, "99", "1"))
    averages = [exchange.order("bob", stop.id).average for stop in stops]
    assert averages == [D(97), D(96), D(98)]


def test_a_triggered_order_that_cannot_work_is_ended_with_the_reason(exchange: Exchange) -> None:
    stop = exchange.place("bob", ask(SELL, "90", "1", kind=OrderKind.STOP_LIMIT, trigger=D(95), post_only=True))
    exchange.place("ann", ask(BUY, "95", "2"))
    exchange.place("bob", ask(SELL, "95", "1"))
    ended = exchange.order("bob", stop.id)
    assert (ended.status, ended.end_reason, ended.filled) == (OrderStatus.CANCELLED, EndReason.POST_ONLY, 0)
    assert exchange.balance("bob", "BTC").held == 0


def test_an_order_expires_when_its_time_has_come(exchange: Exchange) -> None:
    order = exchange.place("ann", ask(BUY, "90", expires=START + 500))
    exchange.advance(START + 499)
    assert exchange.order("ann", order.id).status is OrderStatus.OPEN
    exchange.advance(START + 500)
    ended = exchange.order("ann", order.id)
    assert (ended.status, ended.end_reason) == (OrderStatus.EXPIRED, EndReason.EXPIRED)
    assert exchange.book(KEY).bids == []


@pytest.mark.parametrize(
    ("rule", "old", "new"),
    [
        (SelfTrade.CANCEL_NEWEST, OrderStatus.OPEN, OrderStatus.EXPIRED),
        (SelfTrade.CANCEL_OLDEST, OrderStatus.EXPIRED, OrderStatus.OPEN),
        (SelfTrade.CANCEL_BOTH, OrderStatus.EXPIRED, OrderStatus.EXPIRED),
    ],
)
def test_an_account_never_trades_with_itself(
    exchange: Exchange, rule: SelfTrade, old: OrderStatus, new: OrderStatus
) -> None:
    resting = exchange.place("ann", ask(SELL, "100"))
    incoming = exchange.place("ann", ask(BUY, "100", self_trade=rule))
    assert exchange.order("ann", resting.id).status is old
    assert incoming.status is new
    assert exchange.trades(KEY) == []


def test_refusals_can_be_recorded_as_orders_that_end_at_once(exchange: Exchange) -> None:
    exchange.open_account("ann", AccountRules(recorded=frozenset({RefusalKind.FOK, RefusalKind.POST_ONLY})))
    exchange.place("bob", ask(SELL, "100"))
    fok = exchange.place("ann", ask(BUY, "100", "2", tif=TimeInForce.FOK))
    post = exchange.place("ann", ask(BUY, "100", post_only=True))
    assert (fok.status, fok.end_reason) == (OrderStatus.EXPIRED, EndReason.FOK)
    assert (post.status, post.end_reason) == (OrderStatus.CANCELLED, EndReason.POST_ONLY)
    assert [order.id for order in exchange.closed_orders("ann")] == [fok.id, post.id]
    assert exchange.balance("ann", "USDT").held == 0


def test_events_of_a_match_come_in_the_promised_order(exchange: Exchange) -> None:
    exchange.place("ann", ask(SELL, "100", "1"))
    heard: list[Event] = []
    exchange.watch_market(heard.append, KEY)
    exchange.watch_account(heard.append, "ann")
    exchange.watch_account(heard.append, "bob")
    exchange.place("bob", ask(BUY, "100", "3"))
    told = [(type(event), getattr(event, "account", "")) for event in heard]
    assert told == [
        (OrderChanged, "bob"),
        (BookChanged, ""),
        (Traded, ""),
        (Filled, "ann"),
        (OrderChanged, "ann"),
        (Filled, "bob"),
        (OrderChanged, "bob"),
        (BookChanged, ""),
        (BalanceChanged, "bob"),
        (BalanceChanged, "ann"),
        (BalanceChanged, "ann"),
        (BalanceChanged, "bob"),
    ]
    sequences = [event.sequence for event in heard]
    assert sequences == sorted(set(sequences))


def test_a_listener_may_trade_and_its_events_follow(exchange: Exchange) -> None:
    heard: list[Event] = []

    def answer(event: Event) -> None:
        heard.append(event)
        if isinstance(event, OrderChanged) and event.what is Happening.ACCEPTED and event.order.client_id == "a":
            exchange.place("ann", ask(BUY, "91", client_id="b"))

    exchange.watch_account(answer, "ann")
    exchange.place("ann", ask(BUY, "90", client_id="a"))
    sequences = [event.sequence for event in heard]
    assert sequences == sorted(set(sequences))
    assert [e.order.client_id for e in heard if isinstance(e, OrderChanged)] == ["a", "b"]


def test_merged_changes_tell_each_level_once_with_its_latest_size(exchange: Exchange) -> None:
    exchange.place("ann", ask(BUY, "90"))
    after = exchange.sequence(KEY)
    exchange.place("ann", ask(BUY, "91"))
    exchange.place("ann", ask(BUY, "90"))
    exchange.cancel_all("ann")
    exchange.place("bob", ask(SELL, "99", "2"))
    changes = exchange.book_changes(KEY, after)
    assert changes is not None
    assert (changes.first, changes.last) == (after + 1, exchange.sequence(KEY))
    assert [(row.price, row.size) for row in changes.bids] == [(D(91), 0), (D(90), 0)]
    assert [(row.price, row.size, row.orders) for row in changes.asks] == [(D(99), 2, 1)]
    empty = exchange.book_changes(KEY, changes.last)
    assert empty is not None
    assert empty.first == empty.last + 1


def test_moving_money_needs_it_to_be_free(exchange: Exchange) -> None:
    exchange.place("ann", ask(BUY, "90", "100"))
    with pytest.raises(Refusal) as refusal:
        exchange.transfer("ann", "USDT", D(1001), Wallet.SPOT, Wallet.MARGIN)
    assert refusal.value.kind is RefusalKind.FUNDS
    exchange.transfer("ann", "USDT", D(1000), Wallet.SPOT, Wallet.MARGIN)
    exchange.withdraw("ann", "USDT", D(1000), Wallet.MARGIN)
    assert exchange.imbalance("USDT") == 0


def test_candles_fill_quiet_minutes_and_merge_to_any_interval(exchange: Exchange) -> None:
    minute = START - START % 60_000
    for at, price in ((0, "100"), (10_000, "103"), (130_000, "99")):
        exchange.advance(minute + 60_000 + at)
        exchange.place("ann", ask(SELL, price))
        exchange.place("bob", ask(BUY, price))
    bars = exchange.candles(KEY, 60_000)
    assert [(b.open, b.high, b.low, b.close, b.volume, b.trades) for b in bars] == [
        (D(100), D(103), D(100), D(103), 2, 2),
        (D(103), D(103), D(103), D(103), 0, 0),
        (D(99), D(99), D(99), D(99), 1, 1),
    ]
    assert [b.start for b in bars] == [minute + 60_000, minute + 120_000, minute + 180_000]
    (hour,) = exchange.candles(KEY, 3_600_000, limit=1)
    assert (hour.open, hour.high, hour.low, hour.close, hour.value) == (D(100), D(103), D(99), D(99), D(302))
    week = exchange.candles(KEY, 7 * 86_400_000, offset_ms=4 * 86_400_000, limit=1)[0]
    assert (week.start // 86_400_000 + 3) % 7 == 0
    ticker = exchange.ticker(KEY)
    assert (ticker.open, ticker.high, ticker.low, ticker.last, ticker.volume) == (D(100), D(103), D(99), D(99), 3)


@pytest.fixture
def dear() -> Exchange:
    """A market whose fees are paid in quote, on top of the price."""
    listing = Listing(
        base="BTC",
        quote="USDT",
        tick=D("0.01"),
        step=D("0.00001"),
        reference=D(100),
        maker=D("0.006"),
        taker=D("0.012"),
        fee_in_quote=True,
    )
    exchange = Exchange([listing], start_ms=START)
    for name in ("ann", "bob"):
        exchange.open_account(name)
        exchange.deposit(name, "USDT", D(1012))
        exchange.deposit(name, "BTC", D(100))
    return exchange


def test_a_fee_in_quote_is_held_with_the_price_and_paid_on_top(dear: Exchange) -> None:
    assert refused(dear, "ann", ask(BUY, "100", "10.00001")) is RefusalKind.FUNDS
    order = dear.place("ann", ask(BUY, "100", "10"))
    assert dear.balance("ann", "USDT").held == dear.balance("ann", "USDT").total == D(1012)
    for amount in ("0.33333", "3.00001", "6.66666"):  # each fee is rounded, and never to more than what is held
        dear.place("bob", ask(SELL, "100", amount))
        left = dear.balance("ann", "USDT")
        assert left.available >= 0
    bought = dear.order("ann", order.id)
    assert bought.status is OrderStatus.FILLED
    assert bought.fee_asset == "USDT"
    assert bought.fee == sum(fill.fee for fill in dear.fills("ann")) == D(6)
    assert dear.balance("ann", "BTC").total == D(110)
    assert dear.balance("ann", "USDT").total == D(1012) - D(1000) - D(6)
    assert dear.balance("bob", "USDT").total == D(1012) + D(1000) - D(12)
    assert dear.imbalance("USDT") == dear.imbalance("BTC") == 0


def test_a_market_buy_needs_its_fee_in_quote_too(dear: Exchange) -> None:
    dear.place("bob", ask(SELL, "100", "20"))
    assert refused(dear, "ann", ask(BUY, amount="10.00001")) is RefusalKind.FUNDS
    assert dear.place("ann", ask(BUY, amount="10")).status is OrderStatus.FILLED
    assert dear.balance("ann", "USDT").total == 0
