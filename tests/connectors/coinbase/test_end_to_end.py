"""Coinbase through a session and over real sockets, against its own end in front of the practice exchange."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from connectors.catalogue import load
from connectors.contract import Channel, Environment, Event, Found, Page
from connectors.errors import AuthenticationFailed, InsufficientFunds, NothingToChange, OutcomeUnknown, WouldTake
from connectors.model import (
    Balance,
    Fill,
    Instrument,
    OrderKind,
    OrderRef,
    OrderRequest,
    OrderStatus,
    OrderUpdate,
    Position,
    Side,
    TimeInForce,
    Trade,
)
from connectors.practice.server import PracticeServer
from connectors.practice.terms import AccountRules, NewOrder
from connectors.runtime.clock import Clock
from connectors.runtime.session import Session
from tests.waiting import until

CROWD = ("spot:BTC-USD", "spot:BTC-USDC", "spot:ETH-USD")  # what the tests look at
D = Decimal
VENUE = load("coinbase")


class Ear:
    """Keeps everything that a session tells."""

    def __init__(self) -> None:
        self.trades: list[Trade] = []
        self.orders: list[OrderUpdate] = []
        self.fills: list[Fill] = []
        self.balances: dict[str, Balance] = {}
        self.readied = 0
        self.losses: list[str] = []
        self.refusals: list[str] = []

    def market(self, event: Event, instrument: Instrument) -> None:
        if isinstance(event, Trade):
            self.trades.append(event)

    def account(self, event: OrderUpdate | Fill | Balance | Position, family: str) -> None:
        match event:
            case OrderUpdate():
                self.orders.append(event)
            case Fill():
                self.fills.append(event)
            case Balance():
                self.balances[event.asset] = event

    def ready(self, family: str) -> None:
        self.readied += 1

    def lost(self, family: str, why: str) -> None:
        self.losses.append(why)

    def declined(self, text: str) -> None:
        self.refusals.append(text)


class Bench:
    """A practice server and a session on it."""

    def __init__(self, server: PracticeServer, session: Session, ear: Ear) -> None:
        self.server = server
        self.exchange = server.exchange
        self.session = session
        self.ear = ear
        self.btc = session.instruments["coinbase:spot:BTC-USD"]
        self.twin = session.instruments["coinbase:spot:BTC-USDC"]

    def request(self, **fields: Any) -> OrderRequest:
        values: dict[str, Any] = {
            "client_id": VENUE.families[0].ids.make(self.session.stamp("spot")),
            "instrument": self.btc,
            "side": Side.BUY,
            "kind": OrderKind.LIMIT,
            "amount": D("0.01"),
            "price": D(50000),
        }
        return OrderRequest(**{**values, **fields})

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

    def theirs(self, asset: str) -> tuple[Decimal, Decimal]:
        row = self.exchange.balance("trader", asset)
        return row.available, row.held

    async def balanced(self, asset: str, available: Decimal, held: Decimal = D(0)) -> None:
        def same() -> bool:
            row = self.ear.balances.get(asset)
            return row is not None and (row.available, row.held) == (available, held)

        await until(same, f"{available} {asset} and {held} held, not {self.ear.balances.get(asset)}")


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    server = PracticeServer(VENUE, seed=3, crowd=CROWD)
    await server.start()
    ear = Ear()
    session = Session(VENUE, Environment.PRACTICE, hosts=server.hosts, secrets=server.credentials, listener=ear)
    await session.start()
    await until(lambda: ear.readied, "the private stream")
    yield Bench(server, session, ear)
    await session.stop()
    await server.stop()


@pytest.fixture
async def quiet() -> AsyncIterator[Bench]:
    """The same without a crowd: what trades, the test itself placed."""
    server = PracticeServer(VENUE, crowd=False)
    await server.start()
    ear = Ear()
    session = Session(VENUE, Environment.PRACTICE, hosts=server.hosts, secrets=server.credentials, listener=ear)
    await session.start()
    await until(lambda: ear.readied, "the private stream")
    yield Bench(server, session, ear)
    await session.stop()
    await server.stop()


def offer(bench: Bench, side: Side, price: str, amount: str) -> int:
    """Somebody else's order."""
    order = NewOrder(key="spot:BTC-USD", side=side, price=D(price), amount=D(amount))
    return bench.exchange.place("other", order).id


async def test_a_book_equals_the_exchanges_own_under_both_names(bench: Bench) -> None:
    for instrument in (bench.btc, bench.twin):
        bench.session.subscribe(Channel.BOOK, instrument)
    for instrument in (bench.btc, bench.twin):
        sync = bench.session.sync(instrument)
        assert sync is not None

        def same(sync: Any = sync) -> bool:
            image = bench.exchange.book("spot:BTC-USD")
            theirs = tuple([(float(row.price), float(row.size)) for row in side] for side in (image.bids, image.asks))
            return sync.live and sync.counters.applied > 20 and sync.book.top(1_000_000) == theirs

        await until(same, f"a book of {instrument.wire} like the exchange's")
        assert sync.counters.gaps == 0
    bench.session.subscribe(Channel.TRADES, bench.twin)
    await until(lambda: len(bench.ear.trades) > 60, "trades after the first image")
    assert {trade.wire for trade in bench.ear.trades} == {"BTC-USDC"}
    sides = {str(row.id): row.side for row in bench.exchange.trades("spot:BTC-USD", limit=5000)}
    assert all(trade.side is sides[trade.id] for trade in bench.ear.trades)


async def test_a_lost_message_repairs_every_book_of_the_socket(bench: Bench) -> None:
    eth = bench.session.instruments["coinbase:spot:ETH-USD"]
    syncs = []
    for instrument in (bench.btc, eth):
        bench.session.subscribe(Channel.BOOK, instrument)
        syncs.append(bench.session.sync(instrument))
    await until(lambda: all(sync and sync.live and sync.counters.applied > 3 for sync in syncs), "two live books")
    bench.server.faults.drop_next = 1
    await until(lambda: all(sync and sync.counters.resyncs == 1 and sync.live for sync in syncs), "two repairs")
    assert [sync.counters.gaps for sync in syncs if sync] == [1, 1]
    assert [row.reconnects for row in bench.session.health] == [0, 0]  # a subscription anew was enough


async def test_fills_come_out_of_totals_and_agree_with_the_exchange(quiet: Bench) -> None:
    for price, amount in (("62000", "0.2"), ("62010", "0.3"), ("62020", "1")):
        offer(quiet, Side.SELL, price, amount)
    placed = await quiet.session.place(quiet.request(kind=OrderKind.MARKET, price=None, amount=D("0.7")))
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


async def test_a_part_fills_is_changed_and_the_rest_is_cancelled(quiet: Bench) -> None:
    placed = await quiet.session.place(quiet.request(price=D(60000), amount=D(1)))
    offer(quiet, Side.SELL, "60000", "0.4")
    await until(lambda: sum(fill.amount for fill in quiet.ear.fills) == D("0.4"), "the part")
    changed = await quiet.session.amend(quiet.ref(placed), price=D(59000))
    assert (changed.price, changed.amount) == (D(59000), D(1))
    await until(lambda: any(row.price == D(59000) for row in quiet.ear.orders), "the change")
    await quiet.session.cancel(quiet.ref(placed))
    last = await quiet.ended(placed)
    assert (last.status, last.filled, last.fee) == (OrderStatus.CANCELLED, D("0.4"), D("144"))
    assert [(fill.amount, fill.price, fill.fee) for fill in quiet.ear.fills] == [(D("0.4"), D(60000), D(144))]
    await quiet.balanced("USD", D(1_000_000) - D(24000) - D(144))


async def test_every_kind_is_taken_and_all_are_cancelled_at_once(quiet: Bench) -> None:
    offer(quiet, Side.SELL, "62000", "5")
    offer(quiet, Side.BUY, "61000", "5")
    offer(quiet, Side.BUY, "62000", "0.1")  # a last price
    resting = [
        await quiet.session.place(quiet.request(**fields))
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
        last = await quiet.ended(await quiet.session.place(quiet.request(**fields)))
        assert last.status is OrderStatus.FILLED
    unfillable = await quiet.session.place(quiet.request(tif=TimeInForce.FOK, amount=D(9), price=D(62000)))
    assert (await quiet.ended(unfillable)).status is OrderStatus.EXPIRED
    rest = await quiet.session.place(quiet.request(tif=TimeInForce.IOC, amount=D(9), price=D(62000)))
    assert (await quiet.ended(rest)).status is OrderStatus.EXPIRED
    with pytest.raises(WouldTake):
        await quiet.session.place(quiet.request(side=Side.SELL, price=D(60000), post_only=True))
    with pytest.raises(InsufficientFunds):
        await quiet.session.place(quiet.request(amount=D(900)))
    rows = {row.venue_id: row for row in await quiet.session.open_orders()}
    assert rows.keys() == {update.venue_id for update in resting}
    waiting = [row for row in rows.values() if row.status is OrderStatus.UNTRIGGERED]
    assert [row.kind for row in waiting] == [OrderKind.STOP_LIMIT] * 2
    assert len(await quiet.session.cancel_all(quiet.btc)) == 4
    for update in resting:
        assert (await quiet.ended(update)).status is OrderStatus.CANCELLED
    with pytest.raises(NothingToChange):
        await quiet.session.cancel_all(quiet.btc)


async def test_the_same_id_again_makes_no_second_order(quiet: Bench) -> None:
    order = quiet.request()
    first = await quiet.session.place(order)
    again = await quiet.session.place(order)
    assert again.venue_id == first.venue_id
    assert len(quiet.exchange.open_orders("trader")) == 1


@pytest.mark.parametrize("loss", ["503", "cut"])
async def test_an_order_whose_answer_was_lost_is_found_and_never_sent_again(quiet: Bench, loss: str) -> None:
    quiet.server.faults.lose_next.append(loss)
    order = quiet.request(price=D(60000))
    with pytest.raises(OutcomeUnknown):
        await quiet.session.place(order)
    offer(quiet, Side.SELL, "60000", "0.004")
    found = await quiet.session.search(order)
    assert found.found is Found.FOUND
    assert found.order is not None
    assert (found.order.status, found.order.filled) == (OrderStatus.PARTLY_FILLED, D("0.004"))
    await until(lambda: quiet.ear.fills, "the execution")
    assert [(fill.client_id, fill.amount) for fill in quiet.ear.fills] == [(order.client_id, D("0.004"))]
    absent = await quiet.session.search(quiet.request())
    assert absent.found is Found.NOT_YET
    assert len(quiet.exchange.open_orders("trader")) == 1


async def test_what_filled_while_the_socket_was_cut_is_told_once(quiet: Bench) -> None:
    placed = await quiet.session.place(quiet.request(price=D(60000), amount=D(1)))
    offer(quiet, Side.SELL, "60000", "0.1")
    await until(lambda: quiet.ear.fills, "the first execution")
    await quiet.server.cut(private=True)
    offer(quiet, Side.SELL, "60000", "0.2")
    await until(lambda: quiet.ear.readied == 2, "the next private stream")
    await until(lambda: sum(fill.amount for fill in quiet.ear.fills) == D("0.3"), "what was missed")
    offer(quiet, Side.SELL, "60000", "0.3")
    await until(lambda: sum(fill.amount for fill in quiet.ear.fills) == D("0.6"), "what came after")
    rows = await quiet.session.fills(quiet.btc, Page(start=0))
    assert [row.id for row in rows] == [fill.id for fill in quiet.ear.fills]
    assert [row.through for row in rows] == [D("0.1"), D("0.3"), D("0.6")]
    assert {fill.venue_id for fill in quiet.ear.fills} == {placed.venue_id}


async def test_a_hole_in_the_private_stream_is_answered_by_a_new_one(quiet: Bench) -> None:
    practice: Any = quiet.server.practice
    stream = next(stream for stream in practice.streams.open_ones if stream.private)
    stream._number += 1
    await until(lambda: quiet.ear.losses, "the loss")
    assert "missing" in quiet.ear.losses[0]
    await until(lambda: quiet.ear.readied == 2, "the next private stream")


async def test_an_order_for_the_twin_is_paid_with_usdc(quiet: Bench) -> None:
    offer(quiet, Side.SELL, "60000", "0.5")
    usd = quiet.theirs("USD")[0]
    placed = await quiet.session.place(quiet.request(instrument=quiet.twin, price=D(60000), amount=D(1)))
    await until(lambda: sum(fill.amount for fill in quiet.ear.fills) == D("0.5"), "the half")
    assert {fill.wire for fill in quiet.ear.fills} == {"BTC-USDC"}
    assert {fill.fee_asset for fill in quiet.ear.fills} == {"USDC"}
    spent = D(30000) + quiet.ear.fills[0].fee if quiet.ear.fills[0].fee else D(0)
    open_part = D(30000) * D("1.012")
    await until(lambda: quiet.ear.balances["USDC"].held == open_part, "what the rest holds")
    assert quiet.ear.balances["USDC"].total == D(1_000_000) - spent
    assert quiet.ear.balances["USD"].total == usd
    (row,) = await quiet.session.open_orders(quiet.twin)
    assert row.venue_id == placed.venue_id
    assert await quiet.session.open_orders(quiet.btc) == []
    await quiet.session.cancel_all(quiet.twin)
    await quiet.ended(placed)
    await quiet.balanced("USDC", D(1_000_000) - spent)
    offer(quiet, Side.BUY, "59000", "1")
    await quiet.ended(
        await quiet.session.place(quiet.request(instrument=quiet.twin, side=Side.SELL, price=D(59000), amount=D("0.5")))
    )
    fee = D(29500) * D("0.012")
    assert quiet.ear.fills[-1].fee == fee
    await quiet.balanced("USDC", D(1_000_000) - spent + D(29500) - fee)
    assert quiet.theirs("USD")[0] == usd
    assert quiet.exchange.imbalance("USD") == quiet.exchange.imbalance("USDC") == 0


async def test_cut_sockets_come_back_with_a_live_book(bench: Bench) -> None:
    bench.session.subscribe(Channel.BOOK, bench.btc)
    sync = bench.session.sync(bench.btc)
    assert sync is not None
    await until(lambda: sync.live, "a live book")
    await bench.server.cut()
    await until(lambda: not sync.live, "a book that is called old")
    await until(lambda: sync.live and bench.ear.readied == 2, "everything again")
    assert sync.counters.resyncs == 1


async def test_a_clock_that_is_wrong_is_corrected_and_a_wrong_key_is_named() -> None:
    server = PracticeServer(VENUE, crowd=False)
    await server.start()
    ear = Ear()
    clock = Clock(wall=lambda: time.time() + 3600)
    session = Session(
        VENUE, Environment.PRACTICE, hosts=server.hosts, secrets=server.credentials, listener=ear, clock=clock
    )
    stranger = PracticeServer(VENUE, crowd=False).credentials
    other = Session(VENUE, Environment.PRACTICE, hosts=server.hosts, secrets=stranger, listener=Ear())
    try:
        await session.start()
        await until(lambda: ear.readied, "the private stream")
        clock.offset, clock.error = 0.0, 0.0  # wrong again
        assert await session.balances()
        assert abs(session.clock_offset_ms + 3_600_000) < 2000
        await other.start()
        await until(lambda: other.problem, "the reason")
        with pytest.raises(AuthenticationFailed):
            await other.balances()
        assert stranger["secret"][30:60] not in other.problem
    finally:
        await session.stop()
        await other.stop()
        await server.stop()


async def test_a_key_of_the_other_kind_trades_too() -> None:
    server = PracticeServer(VENUE, crowd=False)
    await server.start()
    ear = Ear()
    session = Session(
        VENUE, Environment.PRACTICE, hosts=server.hosts, secrets=dict(server.practice.other), listener=ear
    )
    try:
        await session.start()
        await until(lambda: ear.readied, "the private stream")
        key: Any = session.facts("spot")["key"]
        assert (key.can_trade, key.can_withdraw) == (True, False)
        bench = Bench(server, session, ear)
        await session.place(bench.request())
        assert len(server.exchange.open_orders("other")) == 1
    finally:
        await session.stop()
        await server.stop()


async def test_a_burst_of_requests_keeps_the_venues_pace(quiet: Bench) -> None:
    practice: Any = quiet.server.practice
    refused: list[int] = []
    say_no = practice.too_many
    practice.too_many = lambda seconds: refused.append(seconds) or say_no(seconds)
    await asyncio.gather(*(quiet.session.balances() for _ in range(60)))
    await asyncio.gather(*(quiet.session.trades(quiet.btc, 5) for _ in range(15)))
    assert refused == []


async def test_a_first_book_of_several_megabytes_arrives_whole(quiet: Bench) -> None:
    quiet.exchange.open_account("house", AccountRules(quiet=True, house=True, max_open_orders=100_000))
    quiet.exchange.deposit("house", "USD", D(10) ** 11)
    quiet.exchange.deposit("house", "BTC", D(10) ** 6)
    seat = quiet.exchange.seat("house", "spot:BTC-USD")
    for level in range(15_000):
        seat.order(True, 6_000_000 - 7 * level, 1_000_000 + level)
        seat.order(False, 6_000_100 + 7 * level, 1_000_000 + level)
    quiet.session.subscribe(Channel.BOOK, quiet.btc)
    sync = quiet.session.sync(quiet.btc)
    assert sync is not None
    await until(lambda: sync.live, "the book")
    assert next(row.bytes for row in quiet.session.health if row.role == "market") > 3_000_000
    image = quiet.exchange.book("spot:BTC-USD")
    theirs = tuple([(float(row.price), float(row.size)) for row in side] for side in (image.bids, image.asks))
    assert sync.book.top(1_000_000) == theirs
    assert [row.reconnects for row in quiet.session.health] == [0, 0]
