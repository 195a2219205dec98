"""The exchange against a model so naive that it is plainly right: one list of orders, everything computed anew."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from connectors.model import OrderKind, OrderStatus, Side, TimeInForce
from connectors.practice.exchange import FEES, Exchange
from connectors.practice.listings import Listing
from connectors.practice.terms import (
    AccountEvent,
    Filled,
    MarketEvent,
    NewOrder,
    OrderChanged,
    Refusal,
    RefusalKind,
    Traded,
)

KEY = "spot:COW-PIG"
NAMES = ("ann", "bob", "cat")
MAKER, TAKER = Decimal("0.0008"), Decimal("0.001")
PIGS, COWS = Decimal(2_000), Decimal(40)


@dataclass
class Naive:
    """An order of the model; `turn` is its place in time."""

    id: int
    owner: str
    side: Side
    price: int
    open: int
    turn: int
    filled: int = 0
    post_only: bool = False


class NaiveMarket:
    """Price-time priority by sorting everything for every fill."""

    def __init__(self) -> None:
        self.orders: list[Naive] = []
        self.turn = 0
        self.total = {(name, asset): amount for name in NAMES for asset, amount in (("PIG", PIGS), ("COW", COWS))}
        self.fees = {"PIG": Decimal(0), "COW": Decimal(0)}

    def free(self, owner: str, asset: str) -> Decimal:
        side = Side.BUY if asset == "PIG" else Side.SELL
        held = sum(
            o.open * (o.price if side is Side.BUY else 1) for o in self.orders if (o.owner, o.side) == (owner, side)
        )
        return self.total[owner, asset] - held

    def line(self, side: Side, limit: int | None) -> list[Naive]:
        """Orders that an incoming one of `side` may meet, in their order."""
        if side is Side.BUY:
            found = [o for o in self.orders if o.side is Side.SELL and (limit is None or o.price <= limit)]
            return sorted(found, key=lambda o: (o.price, o.turn))
        found = [o for o in self.orders if o.side is Side.BUY and (limit is None or o.price >= limit)]
        return sorted(found, key=lambda o: (-o.price, o.turn))

    def take(self, taker: Naive, limit: int | None) -> bool:
        """Fill what can be filled; True when it ran into an order of its own account."""
        while taker.open:
            line = self.line(taker.side, limit)
            if not line:
                return False
            maker = line[0]
            if maker.owner == taker.owner:
                return True
            size = min(maker.open, taker.open)
            for order in (maker, taker):
                order.open -= size
                order.filled += size
                self.pay(order, maker.price, size, MAKER if order is maker else TAKER)
            if not maker.open:
                self.orders.remove(maker)
        return False

    def pay(self, order: Naive, price: int, size: int, rate: Decimal) -> None:
        gets, gives = (("COW", size), ("PIG", price * size))
        if order.side is Side.SELL:
            gets, gives = gives, gets
        fee = gets[1] * rate
        self.total[order.owner, gets[0]] += gets[1] - fee
        self.total[order.owner, gives[0]] -= gives[1]
        self.fees[gets[0]] += fee


class ExchangeAgainstModel(RuleBasedStateMachine):
    """Random traders; after every step both sides agree on every order, level and balance."""

    @initialize()
    def begin(self) -> None:
        one = Decimal(1)
        listing = Listing(base="COW", quote="PIG", tick=one, step=one, reference=Decimal(20), maker=MAKER, taker=TAKER)
        self.exchange = Exchange([listing], start_ms=1_000)
        self.model = NaiveMarket()
        self.seen: dict[int, tuple[Decimal, Decimal, Decimal, OrderStatus]] = {}
        self.sequences: list[int] = []
        self.public = self.private = 0
        for name in NAMES:
            self.exchange.open_account(name)
            self.exchange.deposit(name, "PIG", PIGS)
            self.exchange.deposit(name, "COW", COWS)
            self.exchange.watch_account(self.hear, name)
        self.exchange.watch_market(self.hear)

    def hear(self, event: AccountEvent | MarketEvent) -> None:
        self.sequences.append(event.sequence)
        self.public += isinstance(event, Traded)
        self.private += isinstance(event, Filled)
        if isinstance(event, OrderChanged):
            order = event.order
            filled, value, fee, status = self.seen.get(
                order.id, (Decimal(0), Decimal(0), Decimal(0), OrderStatus.PENDING)
            )
            assert order.filled >= filled, "a cumulative amount fell"
            assert order.filled_value >= value, "a cumulative value fell"
            assert order.fee >= fee, "a cumulative fee fell"
            assert not status.is_final, "an ended order changed"
            self.seen[order.id] = (order.filled, order.filled_value, order.fee, order.status)

    @rule(
        owner=st.sampled_from(NAMES),
        side=st.sampled_from(Side),
        price=st.integers(15, 25),
        size=st.integers(1, 12),
        tif=st.sampled_from([TimeInForce.GTC, TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK]),
        post_only=st.booleans(),
    )
    def limit(self, owner: str, side: Side, price: int, size: int, tif: TimeInForce, post_only: bool) -> None:
        post_only = post_only and tif is TimeInForce.GTC
        line = self.model.line(side, price)
        expected: RefusalKind | None = None
        if post_only and line:
            expected = RefusalKind.POST_ONLY
        elif tif is TimeInForce.FOK and not self.fills_whole(line, owner, size):
            expected = RefusalKind.FOK
        elif (side is Side.BUY and price * size > self.model.free(owner, "PIG")) or (
            side is Side.SELL and size > self.model.free(owner, "COW")
        ):
            expected = RefusalKind.FUNDS
        request = NewOrder(key=KEY, side=side, price=Decimal(price), amount=Decimal(size), tif=tif, post_only=post_only)
        self.enter(owner, request, price, size, expected)

    @staticmethod
    def fills_whole(line: list[Naive], owner: str, size: int) -> bool:
        for order in line:
            if order.owner == owner:
                return False
            size -= order.open
            if size <= 0:
                return True
        return False

    @rule(owner=st.sampled_from(NAMES), side=st.sampled_from(Side), size=st.integers(1, 20))
    def market(self, owner: str, side: Side, size: int) -> None:
        line = self.model.line(side, None)
        left, cost = size, 0
        for order in line:
            taken = min(left, order.open)
            left -= taken
            cost += taken * order.price
        expected: RefusalKind | None = None
        if not line:
            expected = RefusalKind.NO_LIQUIDITY
        elif (side is Side.BUY and cost > self.model.free(owner, "PIG")) or (
            side is Side.SELL and size > self.model.free(owner, "COW")
        ):
            expected = RefusalKind.FUNDS
        request = NewOrder(key=KEY, side=side, kind=OrderKind.MARKET, amount=Decimal(size))
        self.enter(owner, request, None, size, expected)

    @rule(owner=st.sampled_from(NAMES), side=st.sampled_from(Side), money=st.integers(1, 300))
    def market_by_money(self, owner: str, side: Side, money: int) -> None:
        line = self.model.line(side, None)
        left, size = money, 0
        for order in line:
            taken = min(order.open, left // order.price)
            size += taken
            left -= taken * order.price
            if taken < order.open:
                break
        expected: RefusalKind | None = None
        if not line:
            expected = RefusalKind.NO_LIQUIDITY
        elif not size:
            expected = RefusalKind.SIZE_MINIMUM
        elif (side is Side.BUY and money - left > self.model.free(owner, "PIG")) or (
            side is Side.SELL and size > self.model.free(owner, "COW")
        ):
            expected = RefusalKind.FUNDS
        request = NewOrder(key=KEY, side=side, kind=OrderKind.MARKET, quote_amount=Decimal(money))
        self.enter(owner, request, None, size, expected)

    def enter(self, owner: str, request: NewOrder, price: int | None, size: int, expected: RefusalKind | None) -> None:
        before = self.exchange.number_of_events()
        image, refusal = None, None
        try:
            image = self.exchange.place(owner, request)
        except Refusal as refused:
            refusal = refused.kind
        assert refusal is expected
        if image is None:
            assert self.exchange.number_of_events() == before
            return
        self.model.turn += 1
        order = Naive(image.id, owner, request.side, price or 0, size, self.model.turn, post_only=request.post_only)
        self.model.take(order, price)
        rests = (
            bool(order.open) and price is not None and request.tif is TimeInForce.GTC and not self.stopped(order, price)
        )
        if rests:
            self.model.orders.append(order)
        assert image.filled == order.filled
        assert image.status.is_final is not rests
        if request.tif is TimeInForce.FOK:
            assert image.status is OrderStatus.FILLED
        if request.post_only:
            assert image.filled == 0

    def stopped(self, order: Naive, price: int) -> bool:
        line = self.model.line(order.side, price)
        return bool(line)  # what is still in its way is its own

    @rule(pick=st.integers(0, 1_000))
    def cancel(self, pick: int) -> None:
        if not self.model.orders:
            return
        order = self.model.orders.pop(pick % len(self.model.orders))
        image = self.exchange.cancel(order.owner, order.id)
        assert image.status is OrderStatus.CANCELLED
        assert image.filled == order.filled
        assert image.held == 0

    @rule(pick=st.integers(0, 1_000), price=st.integers(15, 25), more=st.integers(-6, 6))
    def amend(self, pick: int, price: int, more: int) -> None:
        if not self.model.orders:
            return
        order = self.model.orders[pick % len(self.model.orders)]
        size = order.open + more
        asset = "PIG" if order.side is Side.BUY else "COW"
        each, new_each = (order.price, price) if order.side is Side.BUY else (1, 1)
        expected: RefusalKind | None = None
        if price == order.price and not more:
            expected = RefusalKind.NOTHING_TO_CHANGE
        elif size <= 0:
            expected = RefusalKind.SIZE_MINIMUM
        elif order.post_only and (price != order.price or more > 0) and self.model.line(order.side, price):
            expected = RefusalKind.POST_ONLY
        elif (price != order.price or more > 0) and size * new_each > self.model.free(order.owner, asset) + (
            order.open * each
        ):
            expected = RefusalKind.FUNDS
        total = Decimal(order.filled + size)
        image, refusal = None, None
        try:
            image = self.exchange.amend(order.owner, order.id, price=Decimal(price), amount=total)
        except Refusal as refused:
            refusal = refused.kind
        assert refusal is expected
        if image is None:
            return
        if price != order.price or more > 0:
            self.model.orders.remove(order)
            self.model.turn += 1
            order.turn, order.price, order.open = self.model.turn, price, size
            self.model.take(order, price)
            if order.open and not self.stopped(order, price):
                self.model.orders.append(order)
        else:
            order.open = size
        assert image.filled == order.filled
        assert image.id == order.id

    @invariant()
    def orders_agree(self) -> None:
        if not hasattr(self, "exchange"):
            return
        for name in NAMES:
            ours = {(o.id, o.price, o.remaining) for o in self.exchange.open_orders(name)}
            theirs = {(o.id, Decimal(o.price), Decimal(o.open)) for o in self.model.orders if o.owner == name}
            assert ours == theirs

    @invariant()
    def the_book_is_the_sum_of_its_orders_and_not_crossed(self) -> None:
        if not hasattr(self, "exchange"):
            return
        book = self.exchange.book(KEY)
        for side, rows in ((Side.BUY, book.bids), (Side.SELL, book.asks)):
            expected: dict[Decimal, int] = {}
            for order in self.model.orders:
                if order.side is side:
                    expected[Decimal(order.price)] = expected.get(Decimal(order.price), 0) + order.open
            best_first = sorted(expected.items(), reverse=side is Side.BUY)
            assert [(row.price, row.size) for row in rows] == best_first
        if book.bids and book.asks:
            assert book.bids[0].price < book.asks[0].price

    @invariant()
    def balances_agree_to_the_last_unit(self) -> None:
        if not hasattr(self, "exchange"):
            return
        for asset in ("PIG", "COW"):
            assert self.exchange.imbalance(asset) == 0
            assert self.exchange.balance(FEES, asset).total == self.model.fees[asset]
            for name in NAMES:
                balance = self.exchange.balance(name, asset)
                assert balance.total == self.model.total[name, asset]
                assert balance.available == self.model.free(name, asset)
                assert balance.held >= 0
                assert balance.available >= 0

    @invariant()
    def events_are_in_order_and_every_trade_has_two_fills(self) -> None:
        if not hasattr(self, "exchange"):
            return
        assert self.sequences == sorted(set(self.sequences))
        assert self.private == 2 * self.public

    @invariant()
    def the_log_of_changes_rebuilds_the_book(self) -> None:
        if not hasattr(self, "exchange"):
            return
        changes = self.exchange.book_log(KEY, 0)
        assert changes is not None
        assert [change.book_sequence for change in changes] == list(range(1, self.exchange.sequence(KEY) + 1))
        rebuilt = {(change.side, change.price): change.size for change in changes}
        book = self.exchange.book(KEY)
        now = {(Side.BUY, row.price): row.size for row in book.bids}
        now |= {(Side.SELL, row.price): row.size for row in book.asks}
        assert {place: size for place, size in rebuilt.items() if size} == now


ExchangeAgainstModel.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestExchangeAgainstModel = ExchangeAgainstModel.TestCase
