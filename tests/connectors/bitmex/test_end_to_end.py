"""A session on BitMEX's practice exchange, over real sockets: what this venue does otherwise than the others."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from connectors.bitmex.practice_stream import ApiError
from connectors.bitmex.signing import read_json
from connectors.catalogue import load
from connectors.contract import Answer, Channel, Environment, Event, Found, Page
from connectors.errors import (
    DuplicateOrder,
    OrderNotFound,
    OutcomeUnknown,
    RateLimited,
    VenueUnavailable,
    WouldTrigger,
)
from connectors.model import (
    Balance,
    EndReason,
    Fill,
    Instrument,
    MarkPrice,
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
from connectors.practice.protocol import HttpAnswer, json_answer
from connectors.practice.server import PracticeServer
from connectors.practice.terms import NewOrder, TriggerOn, Wallet
from connectors.runtime.clock import Clock
from connectors.runtime.record import Recorder, read
from connectors.runtime.replay import replay
from connectors.runtime.session import Session
from tests.waiting import until

CROWD = ("perp:BTC-USD", "perp:ETH-USDT")  # what the tests look at
D = Decimal
OVERLOADED = {"error": {"message": "The system is currently overloaded. Please try again later.", "name": "HTTPError"}}


class Ear:
    """Keeps everything that a session tells."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.ready_count = 0
        self.losses = 0

    def market(self, event: Event, instrument: Instrument) -> None:
        self.heard.append(event)

    def account(self, event: OrderUpdate | Fill | Balance | Position, family: str) -> None:
        self.heard.append(event)

    def ready(self, family: str) -> None:
        self.ready_count += 1

    def lost(self, family: str, why: str) -> None:
        self.losses += 1

    def declined(self, text: str) -> None:
        raise AssertionError(text)

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.heard if isinstance(event, kind)]


class Bench:
    def __init__(self, server: PracticeServer, session: Session, ear: Ear) -> None:
        self.server, self.session, self.ear = server, session, ear
        self.inverse = session.instruments["bitmex:perp:BTC-USD"]
        self.linear = session.instruments["bitmex:perp:ETH-USDT"]
        self._count = 0

    def request(self, instrument: Instrument | None = None, **fields: Any) -> OrderRequest:
        self._count += 1
        values: dict[str, Any] = {"kind": OrderKind.LIMIT, "side": Side.BUY, "amount": D(1000), "price": D(1000)}
        return OrderRequest(
            client_id=f"fa-{self._count}", instrument=instrument or self.inverse, **{**values, **fields}
        )

    async def place(self, instrument: Instrument | None = None, **fields: Any) -> OrderUpdate:
        return await self.session.place(self.request(instrument, **fields))

    def theirs(self, update: OrderUpdate) -> Any:
        return self.server.exchange.order("trader", update.client_id)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    server = PracticeServer(load("bitmex"), seed=3, crowd=CROWD)
    await server.start()
    ear = Ear()
    session = Session(
        load("bitmex"), Environment.PRACTICE, hosts=server.hosts, secrets=server.credentials, listener=ear
    )
    await session.start()
    await until(lambda: ear.ready_count, "the private stream")
    yield Bench(server, session, ear)
    await session.stop()
    await server.stop()


async def test_without_a_practice_host_nothing_is_dialled() -> None:
    session = Session(load("bitmex"), Environment.LIVE)
    with pytest.raises(VenueUnavailable, match="BitMEX closed on 2026-09-23"):
        await session.start()
    assert session.health == []
    await session.stop()


@pytest.mark.parametrize("kind", ["inverse", "linear"])
async def test_a_market_order_is_told_in_contracts_and_paid_in_its_own_money(bench: Bench, kind: str) -> None:
    """given an inverse or a linear contract, when it is bought, then fills, fee, position and margin are the exchange's."""
    instrument: Instrument = getattr(bench, kind)
    exchange, asset = bench.server.exchange, instrument.settle
    placed = await bench.place(instrument, kind=OrderKind.MARKET, price=None, amount=D(20_000))
    assert (placed.status, placed.filled) == (OrderStatus.FILLED, D(20_000))
    order = bench.theirs(placed)
    await until(lambda: sum(fill.amount for fill in bench.ear.of(Fill)) == D(20_000), "every fill")
    fills = bench.ear.of(Fill)
    assert sum(fill.fee for fill in fills) == order.fee
    assert {fill.fee_asset for fill in fills} == {asset}
    again = await bench.session.fills(instrument, Page(start=0))
    assert [(fill.id, fill.price, fill.fee, fill.maker) for fill in again] == [
        (fill.id, fill.price, fill.fee, False) for fill in fills
    ]
    await until(lambda: any(p.size == D(20_000) for p in bench.ear.of(Position)), "the position")
    own = exchange.balance("trader", asset, Wallet.MARGIN)
    told = await until(
        lambda: next((b for b in reversed(bench.ear.of(Balance)) if b.asset == asset and b.total != D(10)), None),
        "the margin",
    )
    assert abs(told.total - own.total) < D("0.000001")
    ((_, position),) = await bench.session.positions()
    assert (position.wire, position.size) == (instrument.wire, D(20_000))
    entry = exchange.position("trader", f"perp:{instrument.symbol}").entry
    assert position.entry is not None
    assert entry is not None
    assert abs(position.entry - entry) < instrument.tick


async def test_every_channel_speaks(bench: Bench) -> None:
    for channel in (Channel.BOOK, Channel.TRADES, Channel.TOP, Channel.TICKER, Channel.MARK):
        bench.session.subscribe(channel, bench.inverse)
    sync = bench.session.sync(bench.inverse)
    assert sync is not None
    await until(lambda: sync.live and sync.counters.applied > 20, "a moving book")
    for kind in (Trade, Ticker, MarkPrice):
        await until(lambda kind=kind: bench.ear.of(kind), kind.__name__)
    assert await bench.session.trades(bench.inverse, 50)
    for interval in ("1m", "5m", "1h", "1d"):
        bars = await bench.session.candles(bench.inverse, interval, Page(limit=30))
        assert len(bars) == 30
        assert not bars[-1].closed
        assert all(earlier.start < later.start for earlier, later in pairwise(bars))
        last = await bench.session.candles(bench.inverse, interval, Page(start=bars[10].start, end=bars[12].start))
        assert [bar.start for bar in last] == [bar.start for bar in bars[10:13]]
    assert all(row.unknown == 0 for row in bench.session.health)


async def test_a_post_only_order_that_would_take_ends_as_rejected_on_both_ways(bench: Bench) -> None:
    placed = await bench.place(post_only=True, price=D(90_000))
    assert (placed.status, placed.end_reason, placed.filled) == (OrderStatus.REJECTED, EndReason.POST_ONLY, D(0))
    told = await until(
        lambda: next((o for o in bench.ear.of(OrderUpdate) if o.status is OrderStatus.REJECTED), None), "the event"
    )
    assert told.end_reason is EndReason.POST_ONLY


async def test_what_is_left_of_an_ioc_order_is_expired_not_cancelled(bench: Bench) -> None:
    best = bench.server.exchange.best("perp:BTC-USD")[1]
    assert best is not None
    placed = await bench.place(tif=TimeInForce.IOC, price=best.price, amount=D(1_000_000))
    assert (placed.status, placed.end_reason) == (OrderStatus.EXPIRED, EndReason.IOC_REST)
    assert placed.filled == bench.theirs(placed).filled


async def test_a_stop_waits_on_the_mark_price_and_is_refused_where_it_has_passed(bench: Bench) -> None:
    waiting = await bench.place(kind=OrderKind.STOP, price=None, trigger=D(90_000))
    assert waiting.status is OrderStatus.UNTRIGGERED
    assert bench.theirs(waiting).trigger_on is TriggerOn.MARK
    with pytest.raises(WouldTrigger):
        await bench.place(kind=OrderKind.STOP, price=None, trigger=D(20_000))
    (row,) = await bench.session.open_orders(None)
    assert (row.status, row.trigger) == (OrderStatus.UNTRIGGERED, D(90_000))


async def test_an_order_keeps_its_ids_when_it_is_changed_and_a_part_of_it_is_filled(bench: Bench) -> None:
    placed = await bench.place(price=D(50_000))
    ref = OrderRef(instrument=bench.inverse, venue_id=placed.venue_id)
    best = bench.server.exchange.best("perp:BTC-USD")[1]
    assert best is not None
    size = (best.size // 100 + 40) * 100
    changed = await bench.session.amend(ref, price=best.price, amount=size)
    assert (changed.venue_id, changed.client_id, changed.amount) == (placed.venue_id, placed.client_id, size)
    assert bench.theirs(placed).filled > 0
    cancelled = await bench.session.cancel(ref)
    assert cancelled.filled == bench.theirs(placed).filled
    assert cancelled.status in (OrderStatus.CANCELLED, OrderStatus.FILLED)
    with pytest.raises(OrderNotFound):
        await bench.session.cancel(ref)
    with pytest.raises(OrderNotFound):
        await bench.session.amend(ref, price=D(40_000))


async def test_more_open_orders_than_the_venues_default_page_are_all_found(bench: Bench) -> None:
    for number in range(120):
        bench.server.exchange.place(
            "trader",
            _resting(D(20_000) + number * 10),
        )
    rows = await bench.session.open_orders(bench.inverse)
    assert len({row.venue_id for row in rows}) == 120
    assert len(await bench.session.cancel_all(bench.inverse)) == 120
    assert bench.server.exchange.open_orders("trader") == []


def _resting(price: Decimal) -> NewOrder:
    return NewOrder(key="perp:BTC-USD", side=Side.BUY, kind=OrderKind.LIMIT, amount=D(100), price=price)


async def test_overload_is_no_doubt_and_a_lost_gateway_is(bench: Bench) -> None:
    """given 503 "overloaded", then nothing was done; given 502, then it is asked for by the client id and found."""
    bench.server.faults.refuse_next.append(json_answer(OVERLOADED, 503))
    with pytest.raises(VenueUnavailable):
        await bench.place()
    bench.server.faults.refuse_next.append(HttpAnswer(503, b'{"error":{"message":"Service unavailable"}}'))
    with pytest.raises(OutcomeUnknown):
        await bench.place()
    assert bench.server.exchange.open_orders("trader") == []
    bench.server.faults.lose_next.append("503")
    order = bench.request(price=D(50_000))
    with pytest.raises(OutcomeUnknown):
        await bench.session.place(order)
    found = await bench.session.search(order)
    assert found.found is Found.FOUND
    assert found.order is not None
    assert found.order.status is OrderStatus.OPEN
    with pytest.raises(DuplicateOrder):
        await bench.session.place(order)
    assert (await bench.session.search(bench.request())).found is Found.NOT_YET


async def test_a_client_id_names_its_newest_order(bench: Bench) -> None:
    first = bench.request(price=D(50_000))
    placed = await bench.session.place(first)
    await bench.session.cancel(OrderRef(instrument=bench.inverse, venue_id=placed.venue_id))
    second = await bench.session.place(first)
    found = await bench.session.order(OrderRef(instrument=bench.inverse, client_id=first.client_id))
    assert found.venue_id == second.venue_id != placed.venue_id


async def test_the_dead_mans_switch_counts_in_milliseconds_and_covers_the_account(bench: Bench) -> None:
    for instrument, price in ((bench.inverse, D(50_000)), (bench.linear, D(2000))):
        await bench.place(instrument, price=price)
    family = bench.session.venue.families[0]
    await bench.session.dead_man(None, 60, family)
    practice: Any = bench.server.practice
    assert 59_000 < practice._armed["trader"] - practice.now_ms <= 60_000
    await bench.session.dead_man(None, 0, family)
    assert practice._armed == {}
    await bench.session.dead_man(None, 0.05, family)
    await until(lambda: bench.server.exchange.open_orders("trader") == [], "the end of both")
    ended = await until(
        lambda: [o for o in bench.ear.of(OrderUpdate) if o.end_reason is EndReason.DEAD_MAN][1:] or None, "the news"
    )
    assert ended[0].status is OrderStatus.CANCELLED


async def test_leverage_above_zero_isolates(bench: Bench) -> None:
    await bench.session.set_leverage(bench.inverse, 7)
    await bench.place(kind=OrderKind.MARKET, price=None)
    ((_, position),) = await bench.session.positions()
    assert (position.leverage, position.isolated) == (D(7), True)


async def test_cut_sockets_come_back_whole(bench: Bench) -> None:
    bench.session.subscribe(Channel.BOOK, bench.inverse)
    sync = bench.session.sync(bench.inverse)
    assert sync is not None
    await until(lambda: sync.live and sync.counters.applied > 3, "a live book")
    assert await bench.server.cut() == 2
    await until(lambda: bench.ear.ready_count == 2, "the private stream again")
    await until(lambda: sync.live and sync.counters.resyncs == 1, "the book again")
    bench.server.crowd = None

    def same() -> bool:
        image = bench.server.exchange.book("perp:BTC-USD")
        return sync.book.top(10_000) == tuple(
            [(float(row.price), float(row.size)) for row in side] for side in (image.bids, image.asks)
        )

    await until(same, "the exchange's own book")
    await bench.place(price=D(50_000))
    await until(lambda: any(o.status is OrderStatus.OPEN for o in bench.ear.of(OrderUpdate)), "an event on it")


async def test_a_clock_that_is_wrong_is_corrected_and_the_request_signed_anew() -> None:
    server = PracticeServer(load("bitmex"), crowd=False)
    await server.start()
    clock = Clock(wall=lambda: time.time() - 3600)  # an hour slow: everything has expired when it arrives
    session = Session(load("bitmex"), hosts=server.hosts, secrets=server.credentials, clock=clock, listener=Ear())
    try:
        await session.start()
        clock.offset, clock.error = 0.0, 0.0  # wrong again
        assert await session.balances()
        assert abs(session.clock_offset_ms - 3_600_000) < 2000
    finally:
        await session.stop()
        await server.stop()


async def test_the_eleventh_order_of_a_second_is_refused_with_the_time_to_wait() -> None:
    """Asked of the venue's end directly: a session paces itself before it comes to that."""
    server = PracticeServer(load("bitmex"), crowd=False)
    practice: Any = server.practice
    for _ in range(10):
        practice._count("trader", orders=True)
    with pytest.raises(ApiError) as refused:
        practice._count("trader", orders=True)
    body = json_answer({"error": {"message": refused.value.text, "name": refused.value.name}}, refused.value.status)
    with pytest.raises(RateLimited) as told:
        read_json(Answer(body.status, body.body))
    assert told.value.retry_after == 1


async def test_a_recording_holds_neither_key_nor_signature_and_replays_whole(tmp_path: Path) -> None:
    server = PracticeServer(load("bitmex"), seed=5, crowd=CROWD)
    await server.start()
    path = tmp_path / "session.jsonl.zst"
    ear = Ear()
    session = Session(
        load("bitmex"),
        hosts=server.hosts,
        secrets=server.credentials,
        listener=ear,
        recorder=Recorder(path, server.credentials.values()),
    )
    await session.start()
    await until(lambda: ear.ready_count, "the private stream")
    instrument = session.instruments["bitmex:perp:BTC-USD"]
    session.subscribe(Channel.BOOK, instrument)
    sync = session.sync(instrument)
    assert sync is not None
    await until(lambda: sync.counters.applied > 20, "updates")
    applied = sync.counters.applied
    await session.stop()
    await server.stop()
    rows = list(read(path))
    logins = [row.data for row in rows if "authKeyExpires" in row.data]
    assert len(logins) == 2, "the request and its echo"
    assert all('"args":["***"]' in text for text in logins)
    everything = "\n".join(row.data + row.url for row in rows)
    assert not any(secret in everything for secret in server.credentials.values())
    report = replay(path, load("bitmex"))
    book = report.books["bitmex:perp:BTC-USD"]
    assert (book.gaps, book.crossed, report.not_understood) == (0, 0, 0)
    assert book.applied >= applied
