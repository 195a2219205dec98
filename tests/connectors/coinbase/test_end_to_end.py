"""Coinbase through a session and over real sockets, against its own end in front of the practice exchange."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from connectors.catalogue import load
from connectors.contract import Channel, Found, Page
from connectors.errors import AuthenticationFailed, InsufficientFunds, NothingToChange, OutcomeUnknown, WouldTake
from connectors.model import OrderKind, OrderRef, OrderStatus, OrderUpdate, Side, TimeInForce
from connectors.practice.server import PracticeServer
from connectors.practice.terms import AccountRules
from connectors.runtime.session import Session
from connectors.sync import BookState
from tests.clock import START, Time
from tests.connectors.bench import Bench, House, opened, served, states_of
from tests.ear import Ear
from tests.waiting import until

D = Decimal
VENUE = load("coinbase")
KEY = "spot:BTC-USD"
CROWD = (KEY, "spot:BTC-USDC", "spot:ETH-USD")  # what the tests look at


class Coinbase(Bench):
    """`btc` and its `twin`, which is paid with USDC and has the same book."""

    NAMES = (KEY, "spot:BTC-USDC")

    def __init__(self, house: House, session: Session, ear: Ear) -> None:
        super().__init__(house, session, ear)
        self.btc, self.twin = self.instruments

    def ref(self, update: OrderUpdate) -> OrderRef:
        return OrderRef(instrument=self.btc, venue_id=update.venue_id, client_id=update.client_id)

    async def ended(self, update: OrderUpdate) -> OrderUpdate:
        """The order's last word on the private stream."""
        rows = await until(
            lambda: [
                row
                for row in self.ear.orders
                if row.venue_id == update.venue_id and isinstance(row.status, OrderStatus) and row.status.is_final
            ],
            "the end of the order",
        )
        return rows[-1]

    def offer(self, side: Side, price: str, amount: str) -> None:
        """Somebody else's order."""
        self.rest(KEY, side, D(price), D(amount))

    def theirs(self, asset: str) -> tuple[Decimal, Decimal]:
        row = self.exchange.balance("trader", asset)
        return row.available, row.held

    async def balanced(self, asset: str, available: Decimal, held: Decimal = D(0)) -> None:
        def same() -> bool:
            row = self.ear.balances.get(("spot", asset))
            return row is not None and (row.available, row.held) == (available, held)

        await until(same, f"{available} {asset} and {held} held, not {self.ear.balances.get(('spot', asset))}")


class Still(Time):
    """Moves only when it is told."""

    def monotonic(self) -> float:
        return self.ahead

    def wall(self) -> float:
        return START + self.ahead

    async def sleep(self, seconds: float) -> None:
        """A session's wait for its budget."""
        self.jump(seconds)


@pytest.fixture
async def bench() -> AsyncIterator[Coinbase]:
    async with opened(Coinbase, VENUE, seed=3, crowd=CROWD) as found:
        yield found


@pytest.fixture
async def quiet() -> AsyncIterator[Coinbase]:
    """The same without a crowd: what trades, the test itself placed."""
    async with opened(Coinbase, VENUE) as found:
        yield found


async def test_a_book_equals_the_exchanges_own_under_both_names(bench: Coinbase) -> None:
    for sync in [bench.watch(instrument) for instrument in (bench.btc, bench.twin)]:

        def same(sync: Any = sync) -> bool:
            return sync.live and sync.counters.applied > 20 and sync.book.top(1_000_000) == bench.levels(KEY)

        await until(same, f"a book of {sync.wire} like the exchange's")
        assert sync.counters.gaps == 0
    bench.session.subscribe(Channel.TRADES, bench.twin)
    await until(lambda: len(bench.ear.trades) > 60, "trades after the first image")
    assert {trade.wire for trade in bench.ear.trades} == {"BTC-USDC"}
    sides = {str(row.id): row.side for row in bench.exchange.trades(KEY, limit=5000)}
    assert all(trade.side is sides[trade.id] for trade in bench.ear.trades)


async def test_a_lost_message_repairs_every_book_of_the_socket(bench: Coinbase) -> None:
    eth = bench.session.instruments["coinbase:spot:ETH-USD"]
    syncs = [bench.watch(instrument) for instrument in (bench.btc, eth)]
    await until(lambda: all(sync.live and sync.counters.applied > 3 for sync in syncs), "two live books")
    bench.server.faults.drop_next = 1
    await until(lambda: all(sync.counters.resyncs == 1 and sync.live for sync in syncs), "two repairs")
    assert [sync.counters.gaps for sync in syncs] == [1, 1]
    assert [row.reconnects for row in bench.session.health] == [0, 0]  # a subscription anew was enough


async def test_fills_come_out_of_totals_and_agree_with_the_exchange(quiet: Coinbase) -> None:
    for price, amount in (("62000", "0.2"), ("62010", "0.3"), ("62020", "1")):
        quiet.offer(Side.SELL, price, amount)
    placed = await quiet.place(kind=OrderKind.MARKET, price=None, amount=D("0.7"))
    last = await quiet.ended(placed)
    theirs = quiet.exchange.fills("trader")
    assert len(theirs) == 3
    (fill,) = quiet.ear.fills  # three executions in one step
    order = quiet.exchange.order("trader", theirs[0].order_id)
    assert (fill.amount, fill.fee, fill.fee_asset) == (D("0.7"), order.fee, "USD")
    assert fill.price * fill.amount == pytest.approx(order.filled_value)
    assert (fill.venue_id, fill.client_id, fill.through) == (placed.venue_id, placed.client_id, D("0.7"))
    assert (last.status, last.filled, last.fee) == (OrderStatus.FILLED, D("0.7"), order.fee)
    rows = await quiet.session.fills(quiet.btc, Page(start=0))
    assert [(row.price, row.amount, row.fee) for row in rows] == [(row.price, row.size, row.fee) for row in theirs]
    assert [row.maker for row in rows] == [False, False, False]
    assert len(quiet.ear.fills) == 1  # reading them was no news
    await quiet.balanced("USD", *quiet.theirs("USD"))  # read by itself after the order
    await quiet.balanced("BTC", *quiet.theirs("BTC"))


async def test_a_part_fills_is_changed_and_the_rest_is_cancelled(quiet: Coinbase) -> None:
    placed = await quiet.place(price=D(60000), amount=D(1))
    quiet.offer(Side.SELL, "60000", "0.4")
    await until(lambda: sum(fill.amount for fill in quiet.ear.fills) == D("0.4"), "the part")
    changed = await quiet.session.amend(quiet.ref(placed), price=D(59000))
    assert (changed.price, changed.amount) == (D(59000), D(1))
    await until(lambda: any(row.price == D(59000) for row in quiet.ear.orders), "the change")
    await quiet.session.cancel(quiet.ref(placed))
    last = await quiet.ended(placed)
    assert (last.status, last.filled, last.fee) == (OrderStatus.CANCELLED, D("0.4"), D("144"))
    assert [(fill.amount, fill.price, fill.fee) for fill in quiet.ear.fills] == [(D("0.4"), D(60000), D(144))]
    await quiet.balanced("USD", D(1_000_000) - D(24000) - D(144))


async def test_every_kind_is_taken_and_all_are_cancelled_at_once(quiet: Coinbase) -> None:
    quiet.offer(Side.SELL, "62000", "5")
    quiet.offer(Side.BUY, "61000", "5")
    quiet.offer(Side.BUY, "62000", "0.1")  # a last price
    resting = [
        await quiet.place(**fields)
        for fields in (
            {},
            {"post_only": True},
            {"kind": OrderKind.STOP_LIMIT, "trigger": D(70000), "price": D(70100)},
            {"kind": OrderKind.STOP_LIMIT, "side": Side.SELL, "trigger": D(55000), "price": D(54900)},
        )
    ]
    for fields in (
        {"tif": TimeInForce.IOC, "price": D(62000)},
        {"tif": TimeInForce.FOK, "price": D(62000)},
        {"kind": OrderKind.MARKET, "price": None, "side": Side.SELL},
        {"kind": OrderKind.MARKET, "price": None, "amount": None, "quote_amount": D(500)},
    ):
        last = await quiet.ended(await quiet.place(**fields))
        assert last.status is OrderStatus.FILLED
    unfillable = await quiet.place(tif=TimeInForce.FOK, amount=D(9), price=D(62000))
    assert (await quiet.ended(unfillable)).status is OrderStatus.EXPIRED
    rest = await quiet.place(tif=TimeInForce.IOC, amount=D(9), price=D(62000))
    assert (await quiet.ended(rest)).status is OrderStatus.EXPIRED
    with pytest.raises(WouldTake):
        await quiet.place(side=Side.SELL, price=D(60000), post_only=True)
    with pytest.raises(InsufficientFunds):
        await quiet.place(amount=D(900))
    rows = {row.venue_id: row for row in await quiet.session.open_orders()}
    assert rows.keys() == {update.venue_id for update in resting}
    waiting = [row for row in rows.values() if row.status is OrderStatus.UNTRIGGERED]
    assert [row.kind for row in waiting] == [OrderKind.STOP_LIMIT] * 2
    assert len(await quiet.session.cancel_all(quiet.btc)) == 4
    for update in resting:
        assert (await quiet.ended(update)).status is OrderStatus.CANCELLED
    with pytest.raises(NothingToChange):
        await quiet.session.cancel_all(quiet.btc)


async def test_the_same_id_again_makes_no_second_order(quiet: Coinbase) -> None:
    order = quiet.request()
    first = await quiet.session.place(order)
    again = await quiet.session.place(order)
    assert again.venue_id == first.venue_id
    assert len(quiet.exchange.open_orders("trader")) == 1


@pytest.mark.parametrize("loss", ["503", "cut"])
async def test_an_order_whose_answer_was_lost_is_found_and_never_sent_again(quiet: Coinbase, loss: str) -> None:
    quiet.server.faults.lose_next.append(loss)
    order = quiet.request(price=D(60000))
    with pytest.raises(OutcomeUnknown):
        await quiet.session.place(order)
    quiet.offer(Side.SELL, "60000", "0.004")
    found = await quiet.session.search(order)
    assert found.found is Found.FOUND
    assert found.order is not None
    assert (found.order.status, found.order.filled) == (OrderStatus.PARTLY_FILLED, D("0.004"))
    await until(lambda: quiet.ear.fills, "the execution")
    assert [(fill.client_id, fill.amount) for fill in quiet.ear.fills] == [(order.client_id, D("0.004"))]
    absent = await quiet.session.search(quiet.request())
    assert absent.found is Found.NOT_YET
    assert len(quiet.exchange.open_orders("trader")) == 1


async def test_what_filled_while_the_socket_was_cut_is_told_once(quiet: Coinbase) -> None:
    placed = await quiet.place(price=D(60000), amount=D(1))
    quiet.offer(Side.SELL, "60000", "0.1")
    await until(lambda: quiet.ear.fills, "the first execution")
    await quiet.cut(private=True)
    quiet.offer(Side.SELL, "60000", "0.2")
    await until(lambda: len(quiet.ear.readied) == 2, "the next private stream")
    await until(lambda: sum(fill.amount for fill in quiet.ear.fills) == D("0.3"), "what was missed")
    quiet.offer(Side.SELL, "60000", "0.3")
    await until(lambda: sum(fill.amount for fill in quiet.ear.fills) == D("0.6"), "what came after")
    rows = await quiet.session.fills(quiet.btc, Page(start=0))
    assert [row.id for row in rows] == [fill.id for fill in quiet.ear.fills]
    assert [row.through for row in rows] == [D("0.1"), D("0.3"), D("0.6")]
    assert {fill.venue_id for fill in quiet.ear.fills} == {placed.venue_id}


async def test_a_wallet_that_is_emptied_is_told_as_empty(quiet: Coinbase) -> None:
    amount = quiet.theirs("BTC")[0]
    await quiet.balanced("BTC", amount)
    quiet.offer(Side.BUY, "60000", str(amount))
    await quiet.place(side=Side.SELL, kind=OrderKind.MARKET, amount=amount, price=None)
    await quiet.balanced("BTC", D(0))


async def test_a_hole_in_the_private_stream_is_answered_by_a_new_one(quiet: Coinbase) -> None:
    stream = next(stream for stream in quiet.practice.streams.open_ones if stream.private)
    stream._number += 1
    await until(lambda: quiet.ear.losses, "the loss")
    assert "missing" in quiet.ear.losses[0].why
    await until(lambda: len(quiet.ear.readied) == 2, "the next private stream")


async def test_an_order_for_the_twin_is_paid_with_usdc(quiet: Coinbase) -> None:
    quiet.offer(Side.SELL, "60000", "0.5")
    usd = quiet.theirs("USD")[0]
    placed = await quiet.place(quiet.twin, price=D(60000), amount=D(1))
    await until(lambda: sum(fill.amount for fill in quiet.ear.fills) == D("0.5"), "the half")
    assert {fill.wire for fill in quiet.ear.fills} == {"BTC-USDC"}
    assert {fill.fee_asset for fill in quiet.ear.fills} == {"USDC"}
    spent = D(30000) + quiet.ear.fills[0].fee if quiet.ear.fills[0].fee else D(0)
    open_part = D(30000) * D("1.012")
    await until(lambda: quiet.ear.balances["spot", "USDC"].held == open_part, "what the rest holds")
    assert quiet.ear.balances["spot", "USDC"].total == D(1_000_000) - spent
    assert quiet.ear.balances["spot", "USD"].total == usd
    (row,) = await quiet.session.open_orders(quiet.twin)
    assert row.venue_id == placed.venue_id
    assert await quiet.session.open_orders(quiet.btc) == []
    await quiet.session.cancel_all(quiet.twin)
    await quiet.ended(placed)
    await quiet.balanced("USDC", D(1_000_000) - spent)
    quiet.offer(Side.BUY, "59000", "1")
    await quiet.ended(await quiet.place(quiet.twin, side=Side.SELL, price=D(59000), amount=D("0.5")))
    fee = D(29500) * D("0.012")
    assert quiet.ear.fills[-1].fee == fee
    await quiet.balanced("USDC", D(1_000_000) - spent + D(29500) - fee)
    assert quiet.theirs("USD")[0] == usd
    assert quiet.exchange.imbalance("USD") == quiet.exchange.imbalance("USDC") == 0


async def test_cut_sockets_come_back_with_a_live_book(bench: Coinbase) -> None:
    sync = bench.watch(bench.btc)
    await until(lambda: sync.live, "a live book")
    seen = states_of(sync)
    await bench.cut()
    assert seen[0] is BookState.STALE, "a book that is called old"
    await until(lambda: sync.live and len(bench.ear.readied) == 2, "everything again")
    assert sync.counters.resyncs == 1


async def test_a_clock_that_is_wrong_is_corrected_and_a_wrong_key_is_named() -> None:
    stranger = PracticeServer(VENUE, crowd=False).credentials
    async with served(VENUE) as house:
        async with house.session(slow=-3600) as (session, ear):
            await until(lambda: ear.readied, "the private stream")
            clock = session.driver.clock
            clock.offset, clock.error = 0.0, 0.0  # wrong again
            assert await session.balances()
            assert abs(session.clock_offset_ms + 3_600_000) < 2000
        async with house.session(secrets=stranger) as (other, _):
            await until(lambda: other.problem, "the reason")
            with pytest.raises(AuthenticationFailed):
                await other.balances()
            assert stranger["secret"][30:60] not in other.problem


async def test_a_key_of_the_other_kind_trades_too() -> None:
    async with served(VENUE) as house, house.session(secrets=house.practice.other) as (session, ear):
        await until(lambda: ear.readied, "the private stream")
        key: Any = session.facts("spot")["key"]
        assert (key.can_trade, key.can_withdraw) == (True, False)
        await Coinbase(house, session, ear).place()
        assert len(house.server.exchange.open_orders("other")) == 1


async def test_a_burst_of_requests_keeps_the_venues_pace() -> None:
    """given a clock that stands still but for the session's own waits, then the venue never counts too many in a second."""
    time = Still()
    async with served(VENUE, time=time) as house, house.session() as (session, ear):
        await until(lambda: ear.readied, "the private stream")
        refused: list[int] = []
        say_no = house.practice.too_many
        house.practice.too_many = lambda seconds: refused.append(seconds) or say_no(seconds)
        for limits in session.driver.limits.values():
            limits._sleep = time.sleep
        began, btc = time.monotonic(), session.instruments[f"coinbase:{KEY}"]
        for _ in range(60):
            await session.balances()
        for _ in range(15):
            await session.trades(btc, 5)
        assert refused == []
        assert 4 < time.monotonic() - began < 7  # 15 and 5 a second, less what may go at once


async def test_a_first_book_of_several_megabytes_arrives_whole(quiet: Coinbase) -> None:
    quiet.exchange.open_account("house", AccountRules(quiet=True, house=True, max_open_orders=100_000))
    quiet.exchange.deposit("house", "USD", D(10) ** 11)
    quiet.exchange.deposit("house", "BTC", D(10) ** 6)
    seat = quiet.exchange.seat("house", KEY)
    for level in range(15_000):
        seat.order(True, 6_000_000 - 7 * level, 1_000_000 + level)
        seat.order(False, 6_000_100 + 7 * level, 1_000_000 + level)
    sync = quiet.watch(quiet.btc)
    await until(lambda: sync.live, "the book")
    assert next(row.bytes for row in quiet.session.health if row.role == "market") > 3_000_000
    assert sync.book.top(1_000_000) == quiet.levels(KEY)
    assert [row.reconnects for row in quiet.session.health] == [0, 0]
