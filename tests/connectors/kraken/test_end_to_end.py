"""A session against Kraken's practice side over real sockets: from the first subscription to what is left after a cut."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from connectors.catalogue import load
from connectors.contract import Channel, Environment, Event, Found, Page
from connectors.errors import BadPrice, DuplicateOrder, InsufficientFunds, NonceTooLow, OrderNotFound
from connectors.kraken.market import KrakenMarketStream
from connectors.model import (
    Balance,
    Candle,
    EndReason,
    Fill,
    Instrument,
    OrderKind,
    OrderRef,
    OrderRequest,
    OrderStatus,
    OrderUpdate,
    Position,
    Side,
    Ticker,
    TimeInForce,
    Trade,
)
from connectors.practice.server import PracticeServer
from connectors.practice.terms import NewOrder
from connectors.runtime.record import Recorder, read
from connectors.runtime.replay import replay
from connectors.runtime.session import Session
from connectors.sync import BookState, BookSync
from tests.waiting import until

D = Decimal


class Ear:
    """Keeps everything that a session tells."""

    def __init__(self) -> None:
        self.market_events: list[Event] = []
        self.orders: list[OrderUpdate] = []
        self.fills: list[Fill] = []
        self.balances: dict[str, Balance] = {}
        self.readied = 0
        self.losses: list[str] = []
        self.refusals: list[str] = []

    def market(self, event: Event, instrument: Instrument) -> None:
        self.market_events.append(event)

    def account(self, event: OrderUpdate | Fill | Balance | Position, family: str) -> None:
        match event:
            case OrderUpdate():
                self.orders.append(event)
            case Fill():
                self.fills.append(event)
            case Balance():
                self.balances[event.asset] = event
            case _:
                raise AssertionError("spot has no positions")

    def ready(self, family: str) -> None:
        self.readied += 1

    def lost(self, family: str, why: str) -> None:
        self.losses.append(why)

    def declined(self, text: str) -> None:
        self.refusals.append(text)


class Bench:
    """A practice server with a crowd, and a session on it."""

    def __init__(self, server: PracticeServer, session: Session, ear: Ear) -> None:
        self.server = server
        self.practice: Any = server.practice
        self.session = session
        self.ear = ear
        self.btc = session.instruments["kraken:spot:BTC-USD"]
        self.doge = session.instruments["kraken:spot:DOGE-USD"]

    def request(self, **fields: Any) -> OrderRequest:
        name = load("kraken").families[0].ids.make(self.session.stamp("spot"))
        values: dict[str, Any] = {"client_id": name, "instrument": self.btc, "side": Side.BUY, "kind": OrderKind.LIMIT}
        values |= {"amount": D("0.01"), "price": D(60000)}
        return OrderRequest(**{**values, **fields})

    def watch(self, instrument: Instrument) -> BookSync:
        self.session.subscribe(Channel.BOOK, instrument)
        sync = self.session.sync(instrument)
        assert sync is not None
        return sync

    def rest(self, key: str, side: Side, price: Decimal, amount: Decimal) -> None:
        """An order of the other account."""
        self.server.exchange.place("other", NewOrder(key=key, side=side, price=price, amount=amount))
        self.server.flush()

    async def placed(self, **fields: Any) -> OrderRef:
        wish = self.request(**fields)
        update = await self.session.place(wish)
        assert update.client_id == wish.client_id
        return OrderRef(instrument=wish.instrument, venue_id=update.venue_id, client_id=update.client_id)

    def last(self, ref: OrderRef) -> OrderUpdate | None:
        rows = [row for row in self.ear.orders if row.venue_id == ref.venue_id]
        return rows[-1] if rows else None

    async def ended(self, ref: OrderRef, status: OrderStatus) -> OrderUpdate:
        return await until(lambda: (row := self.last(ref)) and row.status is status and row, f"{status}")


async def made(**options: Any) -> Bench:
    options.setdefault("crowd", ("spot:BTC-USD", "spot:DOGE-USD"))  # what the tests look at
    server = PracticeServer(load("kraken"), seed=5, **options)
    await server.start()
    ear = Ear()
    session = Session(
        load("kraken"), Environment.PRACTICE, hosts=server.hosts, secrets=server.credentials, listener=ear
    )
    await session.start()
    await until(lambda: ear.readied, "the private stream")
    return Bench(server, session, ear)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """With a crowd."""
    found = await made()
    yield found
    await found.session.stop()
    await found.server.stop()


@pytest.fixture
async def quiet() -> AsyncIterator[Bench]:
    """Without a crowd: some orders of another account stand around 62800 dollars, and nothing moves by itself."""
    found = await made(crowd=False)
    for key, middle, tick, amount in (
        ("spot:BTC-USD", "62800", "0.1", "0.3"),
        ("spot:DOGE-USD", "0.11246", "0.0000001", "900"),
    ):
        for level in range(1, 12):
            for side, sign in ((Side.BUY, -1), (Side.SELL, 1)):
                found.rest(key, side, D(middle) + sign * level * D(tick), D(amount))
    yield found
    await found.session.stop()
    await found.server.stop()


def top_of(bench: Bench, key: str, levels: int) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    image = bench.server.exchange.book(key, levels)
    bids, asks = ([(float(row.price), float(row.size)) for row in side] for side in (image.bids, image.asks))
    return bids, asks


def on(depth: int | None, server: PracticeServer, ear: Ear) -> Session:
    """A session without a key whose books are `depth` levels deep; None for as deep as they come."""
    venue = load("kraken")
    if depth is not None:
        family = dataclasses.replace(venue.families[0], market_stream=lambda role: KrakenMarketStream(depth))
        venue = dataclasses.replace(venue, families=(family,))
    return Session(venue, Environment.PRACTICE, hosts=server.hosts, listener=ear)


async def test_books_of_every_depth_are_the_exchanges_own_after_many_updates(bench: Bench) -> None:
    for depth in (10, 25, None):
        ear, shown = Ear(), depth or 1000
        session = on(depth, bench.server, ear)
        await session.start()
        syncs: dict[str, BookSync] = {}
        for symbol in ("BTC-USD", "DOGE-USD"):
            session.subscribe(Channel.BOOK, session.instruments[f"kraken:spot:{symbol}"])
            sync = session.sync(session.instruments[f"kraken:spot:{symbol}"])
            assert sync is not None
            syncs[f"spot:{symbol}"] = sync
        for key, sync in syncs.items():
            await until(lambda sync=sync: sync.counters.applied >= 40, "forty updates")
            await until(
                lambda sync=sync, key=key, shown=shown: sync.live and sync.book.top(shown) == top_of(bench, key, shown),
                "the exchange's own book",
            )
            assert sync.counters.checksums_ok == sync.counters.applied + 1
            assert (sync.counters.checksums_failed, sync.counters.crossed, sync.counters.resyncs) == (0, 0, 0)
            assert len(sync.book.bids) <= shown
        assert all(row.unknown == row.declined == 0 for row in session.health)
        assert ear.refusals == []
        await session.stop()


async def test_a_book_that_is_not_proven_is_grey_and_comes_back_on_the_same_socket(bench: Bench) -> None:
    sync = bench.watch(bench.btc)
    seen: list[BookState] = []
    original = sync._enter

    def enter(state: BookState, reason: str, now: float) -> None:
        seen.append(state)
        original(state, reason, now)

    sync._enter = enter  # only to look
    for number, fault in enumerate(("miscount_next", "drop_next", "malformed_next"), 1):
        await until(lambda: sync.live and sync.counters.applied > 3, "a live book")
        seen.clear()
        armed_at = [sync.counters.applied]
        setattr(bench.server.faults, fault, 1)

        def noticed(fault: str = fault, number: int = number, armed_at: list[int] = armed_at) -> bool:
            if sync.counters.checksums_failed >= number:
                return True
            if sync.counters.applied > armed_at[0] + 30:  # it was lost below the ten levels that the checksum sees
                armed_at[0] = sync.counters.applied
                setattr(bench.server.faults, fault, 1)
            return False

        await until(noticed, "the wrong checksum")
        await until(lambda: sync.live, "a live book again")
        assert seen[0] is BookState.RESYNCING
        assert (sync.counters.resyncs, sync.counters.snapshots) == (number, number + 1)
    (market,) = [row for row in bench.session.health if row.role == "market"]
    assert (market.reconnects, market.resyncs) == (0, 3)
    await until(lambda: sync.book.top(50) == top_of(bench, "spot:BTC-USD", 50), "the exchange's own book")


async def test_tape_statistics_and_candles_arrive(bench: Bench) -> None:
    for channel in (Channel.TRADES, Channel.TICKER):
        bench.session.subscribe(channel, bench.btc)
    bench.session.subscribe(Channel.CANDLES, bench.btc, "1m")

    def of(kind: type[Any]) -> list[Any]:
        return [event for event in bench.ear.market_events if isinstance(event, kind)]

    trades = await until(lambda: len(found := of(Trade)) > 5 and found, "trades")
    theirs = {str(row.id): row for row in bench.server.exchange.trades("spot:BTC-USD", limit=1000)}
    for trade in trades:
        told = theirs[trade.id]
        assert (trade.price, trade.amount, trade.side) == (float(told.price), float(told.size), told.side)
    ticker = (await until(lambda: of(Ticker), "statistics"))[0]
    assert ticker.bid < ticker.ask
    assert ticker.open is not None
    bars = await until(lambda: len(found := of(Candle)) > 10 and found, "candles")
    assert [bar.closed for bar in bars[:2]] == [False, True], "an earlier one is over once the next is told"
    history = await bench.session.candles(bench.btc, "1m", Page(limit=5))
    assert len(history) == 5
    assert [row.closed for row in history[:-1]] == [True] * 4
    assert (await bench.session.trades(bench.btc, 10))[-1].wire == "BTC/USD"


ALL_KINDS: list[dict[str, Any]] = [
    {},
    {"post_only": True},
    {"side": Side.SELL, "price": D(90000), "tif": TimeInForce.GTC},
    {"kind": OrderKind.STOP, "price": None, "trigger": D(80000)},
    {"kind": OrderKind.STOP_LIMIT, "price": D(80100), "trigger": D(80000)},
    {"kind": OrderKind.TAKE_PROFIT, "price": None, "trigger": D(50000)},
    {"kind": OrderKind.TAKE_PROFIT_LIMIT, "price": D(49900), "trigger": D(50000)},
]


@pytest.mark.parametrize("by_socket", [True, False])
async def test_every_kind_of_order_is_taken_and_all_are_cancelled(quiet: Bench, by_socket: bool) -> None:
    if not by_socket:
        await quiet.session.private.accounts["spot"].link.stop()
    refs = [await quiet.placed(**fields) for fields in ALL_KINDS]
    rows = {row.venue_id: row for row in await quiet.session.open_orders(quiet.btc)}
    assert rows.keys() == {ref.venue_id for ref in refs}
    for ref, fields in zip(refs, ALL_KINDS, strict=True):
        row = rows[ref.venue_id]
        assert row.kind is fields.get("kind", OrderKind.LIMIT)
        assert row.client_id == ref.client_id
        waits = row.kind.has_trigger
        assert row.status is (OrderStatus.UNTRIGGERED if waits else OrderStatus.OPEN)
        if waits:
            assert row.trigger == fields["trigger"]
    other = await quiet.placed(instrument=quiet.doge, price=D("0.05"), amount=D(500))
    gone = await quiet.session.cancel_all(quiet.btc)
    assert {row.venue_id for row in gone} == rows.keys()
    assert all(row.status is OrderStatus.CANCELLED for row in gone)
    assert [row.venue_id for row in await quiet.session.open_orders(None)] == [other.venue_id]
    assert await quiet.session.cancel_all(quiet.btc) == []


async def test_what_ends_at_once_says_why(quiet: Bench) -> None:
    taken = await quiet.placed(post_only=True, price=D(90000))
    row = await quiet.ended(taken, OrderStatus.CANCELLED)
    assert (row.end_reason, row.filled) == (EndReason.POST_ONLY, 0)
    rest = await quiet.placed(tif=TimeInForce.IOC, price=D(50000))
    assert (await quiet.ended(rest, OrderStatus.CANCELLED)).end_reason is EndReason.IOC_REST
    whole = await quiet.placed(tif=TimeInForce.FOK, price=D(50000))
    assert (await quiet.ended(whole, OrderStatus.CANCELLED)).end_reason is EndReason.FOK


async def test_a_stop_that_is_passed_already_starts_at_once(quiet: Bench) -> None:
    ref = await quiet.placed(kind=OrderKind.STOP, price=None, trigger=D(50000))
    row = await quiet.ended(ref, OrderStatus.FILLED)
    assert row.kind is OrderKind.STOP
    statuses = [each.status for each in quiet.ear.orders if each.venue_id == ref.venue_id]
    assert statuses[:3] == [OrderStatus.PENDING, OrderStatus.UNTRIGGERED, OrderStatus.OPEN]


async def test_an_order_fills_pays_and_is_told_the_same_three_times(quiet: Bench) -> None:
    ref = await quiet.placed(kind=OrderKind.MARKET, price=None, amount=D("0.5"))
    row = await quiet.ended(ref, OrderStatus.FILLED)
    theirs = quiet.server.exchange.fills("trader")
    assert row.filled == D("0.5") == sum(fill.size for fill in theirs)
    fee = sum(fill.fee for fill in theirs)
    assert sum(fill.fee or 0 for fill in quiet.ear.fills) == fee > 0
    assert {fill.fee_asset for fill in quiet.ear.fills} == {"USD"}
    assert {(fill.client_id, fill.maker) for fill in quiet.ear.fills} == {(ref.client_id, False)}
    asked = await quiet.session.fills(quiet.btc, Page(limit=50))
    assert [(fill.id, fill.price, fill.amount, fill.fee) for fill in asked] == [
        (fill.id, fill.price, fill.amount, fill.fee) for fill in quiet.ear.fills
    ]
    known = await quiet.session.order(ref)
    assert (known.status, known.filled, known.fee, known.fee_asset) == (OrderStatus.FILLED, D("0.5"), fee, "USD")
    rates = await quiet.session.fees(quiet.btc)
    assert abs(fee - sum(fill.value for fill in theirs) * rates.taker) < D("0.0001")
    for asset in ("USD", "BTC"):
        own = quiet.server.exchange.balance("trader", asset)
        await until(
            lambda asset=asset, own=own: quiet.ear.balances[asset].total == own.total, f"the balance of {asset}"
        )


async def test_money_buys_what_it_can(quiet: Bench) -> None:
    ref = await quiet.placed(kind=OrderKind.MARKET, price=None, amount=None, quote_amount=D(250))
    row = await quiet.ended(ref, OrderStatus.FILLED)
    spent = sum(fill.price * fill.amount for fill in quiet.ear.fills)
    assert D(249) < spent <= D(250)
    assert row.average is not None


async def test_a_part_fills_the_rest_is_changed_and_cancelled(quiet: Bench) -> None:
    best = quiet.server.exchange.best("spot:DOGE-USD")[0]
    assert best is not None
    price = best.price + quiet.doge.tick
    ref = await quiet.placed(instrument=quiet.doge, price=price, amount=D(50_000), post_only=True)
    other = quiet.server.exchange
    other.place(
        "other", NewOrder(key="spot:DOGE-USD", side=Side.SELL, amount=D(2000), price=price, tif=TimeInForce.IOC)
    )
    quiet.server.flush()
    partly = await quiet.ended(ref, OrderStatus.PARTLY_FILLED)
    assert isinstance(partly.filled, D)
    assert partly.filled >= D(2000)
    held = quiet.server.exchange.balance("trader", "USD").held
    rows = {row.asset: row for _, row in await quiet.session.balances()}
    assert rows["USD"].held is not None
    assert abs(rows["USD"].held - held) < D("0.0001")
    changed = await quiet.session.amend(ref, price=D("0.1"), amount=D(40_000))
    assert changed.venue_id == ref.venue_id
    (row,) = await quiet.session.open_orders(quiet.doge)
    assert (row.venue_id, row.price, row.amount) == (ref.venue_id, D("0.1"), D(40_000))
    assert row.filled == quiet.server.exchange.open_orders("trader")[0].filled
    assert (await quiet.session.cancel(ref)).status is OrderStatus.CANCELLED
    ended = await quiet.ended(ref, OrderStatus.CANCELLED)
    assert (ended.end_reason, ended.filled) == (EndReason.USER, row.filled)
    with pytest.raises(OrderNotFound):
        await quiet.session.cancel(ref)


async def test_refusals_are_the_same_by_both_ways(quiet: Bench) -> None:
    twice = quiet.request()
    await quiet.session.place(twice)
    cases: list[tuple[OrderRequest, type[Exception]]] = [
        (quiet.request(price=D("60000.05")), BadPrice),
        (quiet.request(amount=D(90)), InsufficientFunds),
        (twice, DuplicateOrder),
    ]
    for wish, kind in cases:
        with pytest.raises(kind):
            await quiet.session.place(wish)
    await quiet.session.private.accounts["spot"].link.stop()
    for wish, kind in cases:
        with pytest.raises(kind):
            await quiet.session.place(wish)
    with pytest.raises(OrderNotFound):
        await quiet.session.order(OrderRef(instrument=quiet.btc, client_id=quiet.request().client_id))


async def test_after_a_cut_everything_comes_back_and_nothing_is_missed(quiet: Bench) -> None:
    sync = quiet.watch(quiet.btc)
    await until(lambda: sync.live, "a live book")
    best = quiet.server.exchange.best("spot:BTC-USD")[0]
    assert best is not None
    ref = await quiet.placed(price=best.price + quiet.btc.tick, amount=D("0.02"))
    await until(lambda: quiet.last(ref), "news of it")
    token = quiet.session.facts("spot")["token"]
    await quiet.server.cut()
    await until(lambda: quiet.ear.losses and not sync.live, "the loss")
    quiet.server.exchange.place(
        "other", NewOrder(key="spot:BTC-USD", side=Side.SELL, kind=OrderKind.MARKET, amount=D("0.5"))
    )
    await until(lambda: quiet.ear.readied == 2 and sync.live, "both connections")
    assert quiet.session.facts("spot")["token"] != token, "every connection has a token of its own"
    assert sync.counters.resyncs == 1
    theirs = [fill for fill in quiet.server.exchange.fills("trader") if fill.client_id == ref.client_id]
    assert theirs
    await until(lambda: len({fill.id for fill in quiet.ear.fills}) == len(theirs), "fills of the time between")
    assert sum(fill.amount for fill in {fill.id: fill for fill in quiet.ear.fills}.values()) == D("0.02")
    assert (await quiet.session.order(ref)).status is OrderStatus.FILLED


async def test_a_token_that_expired_before_its_use_is_replaced(quiet: Bench) -> None:
    quiet.practice.token_life = 0
    await quiet.server.cut(private=True)
    await until(lambda: quiet.ear.losses, "the loss")
    await until(lambda: len(quiet.ear.losses) > 1, "a refused subscription")
    assert quiet.ear.readied == 1
    quiet.practice.token_life = 900
    await until(lambda: quiet.ear.readied == 2, "a token that is taken")


async def test_a_token_that_ends_under_an_order_is_replaced(quiet: Bench) -> None:
    quiet.practice.hub.tokens.clear()
    with pytest.raises(Exception, match="Invalid session"):
        await quiet.session.place(quiet.request())
    assert quiet.server.exchange.open_orders("trader") == []
    await until(lambda: quiet.ear.readied == 2, "a new connection")
    await quiet.placed()
    assert len(quiet.server.exchange.open_orders("trader")) == 1


async def test_a_nonce_that_is_too_low_is_signed_anew(quiet: Bench) -> None:
    key = quiet.server.credentials["key"]
    quiet.practice.set_nonce(key, quiet.session.stamp("spot").nonce + 30_000)  # an earlier run whose clock was ahead
    assert await quiet.session.balances()
    ref = await quiet.placed()
    assert (await quiet.session.order(ref)).status is OrderStatus.OPEN
    quiet.practice.set_nonce(key, 2**62)  # another program counts in nanoseconds
    with pytest.raises(NonceTooLow, match="key of its own"):
        await quiet.session.balances()


async def test_private_calls_leave_one_after_the_other(quiet: Bench) -> None:
    found = await asyncio.gather(*(quiet.session.balances() for _ in range(8)))
    assert all(found), "every nonce was higher than the one before"


async def test_a_lost_answer_is_found_among_many_closed_orders(quiet: Bench) -> None:
    await quiet.session.private.accounts["spot"].link.stop()
    quiet.server.faults.lose_next.append("503")
    wish = quiet.request()
    with pytest.raises(Exception, match="verdict"):
        await quiet.session.place(wish)
    quiet.server.exchange.cancel("trader", wish.client_id)
    quiet.practice.limited = False
    for limits in quiet.session.driver.limits.values():
        limits._buckets = {}
    for _ in range(60):
        await quiet.session.cancel(await quiet.placed())
    found = await quiet.session.search(wish)
    assert found.found is Found.FOUND
    assert found.order is not None
    assert (found.order.status, found.order.client_id) == (OrderStatus.CANCELLED, wish.client_id)


async def test_a_refused_subscription_is_told_and_the_others_live(quiet: Bench) -> None:
    ghost = structs.replace(quiet.btc, wire="FOO/BAR", symbol="FOO-BAR")
    quiet.session.feeds.markets["spot", "FOO/BAR"] = type(quiet.session.feeds.markets["spot", "BTC/USD"])(ghost)
    quiet.session.subscribe(Channel.BOOK, ghost)
    sync = quiet.watch(quiet.btc)
    await until(lambda: sync.live, "a live book")
    await until(lambda: quiet.ear.refusals, "the refusal")
    assert "FOO/BAR" in quiet.ear.refusals[0]


async def test_a_recording_holds_no_secret_and_replays_with_every_checksum(tmp_path: Path) -> None:
    server = PracticeServer(load("kraken"), seed=6, crowd=("spot:BTC-USD",))
    await server.start()
    path, ear = tmp_path / "session.jsonl.zst", Ear()
    recorder = Recorder(path, server.credentials.values())
    session = Session(load("kraken"), hosts=server.hosts, secrets=server.credentials, listener=ear, recorder=recorder)
    await session.start()
    await until(lambda: ear.readied, "the private stream")
    btc = session.instruments["kraken:spot:BTC-USD"]
    session.subscribe(Channel.BOOK, btc)
    sync = session.sync(btc)
    assert sync is not None
    await until(lambda: sync.counters.applied > 20, "updates")
    token, applied = session.facts("spot")["token"], sync.counters.applied
    await session.stop()
    await server.stop()
    text = "\n".join(row.data + row.url for row in read(path))
    for secret in (*server.credentials.values(), token):
        assert secret not in text
    book = replay(path, load("kraken")).books["kraken:spot:BTC-USD"]
    assert book.applied >= applied
    assert (book.checksums_ok, book.checksums_failed) == (book.applied + 1, 0)
