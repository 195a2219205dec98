"""A session on BitMEX's practice exchange, over real sockets: what this venue does otherwise than the others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from connectors.bitmex.practice_keys import Gate
from connectors.bitmex.practice_terms import ApiError
from connectors.bitmex.signing import read_json
from connectors.catalogue import load
from connectors.contract import Answer, Channel, Environment, Found, Page
from connectors.errors import (
    DuplicateOrder,
    OrderNotFound,
    OutcomeUnknown,
    RateLimited,
    VenueUnavailable,
    WouldTake,
    WouldTrigger,
)
from connectors.model import (
    EndReason,
    Instrument,
    MarkPrice,
    OrderKind,
    OrderRef,
    OrderStatus,
    OrderUpdate,
    Side,
    Ticker,
    TimeInForce,
    Trade,
)
from connectors.practice.protocol import HttpAnswer, json_answer
from connectors.practice.terms import BookLevel, NewOrder, TriggerOn, Wallet
from connectors.runtime.record import Recorder, read
from connectors.runtime.replay import replay
from connectors.runtime.session import Session
from tests.connectors.bench import Bench, House, opened, served
from tests.ear import Ear
from tests.waiting import until

D = Decimal
VENUE = load("bitmex")
KEY = "perp:BTC-USD"
CROWD = (KEY, "perp:ETH-USDT")  # what the tests look at
OVERLOADED = {"error": {"message": "The system is currently overloaded. Please try again later.", "name": "HTTPError"}}


class BitMex(Bench):
    """`inverse` and `linear`."""

    NAMES = CROWD
    USUAL = {"amount": D(1000), "price": D(1000)}

    def __init__(self, house: House, session: Session, ear: Ear) -> None:
        super().__init__(house, session, ear)
        self.inverse, self.linear = self.instruments

    def theirs(self, update: OrderUpdate) -> Any:
        return self.exchange.order("trader", update.client_id)

    def still_ask(self) -> BookLevel:
        """The best ask of a market that moves no more: what is read of it holds until the order is there."""
        self.server.crowd = None
        best = self.exchange.best(KEY)[1]
        assert best is not None
        return best


@pytest.fixture
async def bench() -> AsyncIterator[BitMex]:
    async with opened(BitMex, VENUE, seed=3, crowd=CROWD) as found:
        yield found
        assert found.ear.refusals == []


async def test_without_a_practice_host_nothing_is_dialled() -> None:
    session = Session(VENUE, Environment.LIVE)
    with pytest.raises(VenueUnavailable, match="BitMEX closed on 2026-09-23"):
        await session.start()
    assert session.health == []
    await session.stop()


@pytest.mark.parametrize("kind", ["inverse", "linear"])
async def test_a_market_order_is_told_in_contracts_and_paid_in_its_own_money(bench: BitMex, kind: str) -> None:
    """given an inverse or a linear contract, when it is bought, then fills, fee, position and margin are the exchange's."""
    instrument: Instrument = getattr(bench, kind)
    exchange, asset, family = bench.exchange, instrument.settle, instrument.family
    placed = await bench.place(instrument, kind=OrderKind.MARKET, price=None, amount=D(20_000))
    assert (placed.status, placed.filled) == (OrderStatus.FILLED, D(20_000))
    order = bench.theirs(placed)
    await until(lambda: bench.ear.filled() == D(20_000), "every fill")
    fills = bench.ear.fills
    assert sum(fill.fee or 0 for fill in fills) == order.fee
    assert {fill.fee_asset for fill in fills} == {asset}
    again = await bench.session.fills(instrument, Page(start=0))
    assert [(fill.id, fill.price, fill.fee, fill.maker) for fill in again] == [
        (fill.id, fill.price, fill.fee, False) for fill in fills
    ]
    await until(lambda: bench.ear.positions[instrument.wire].size == D(20_000), "the position")
    own = exchange.balance("trader", asset, Wallet.MARGIN)
    assert own.total != D(10), "fees were paid"
    await until(
        lambda: (told := bench.ear.balances[family, asset].total) and abs(told - own.total) < D("0.000001"),
        "the margin",
    )
    ((_, position),) = await bench.session.positions()
    assert (position.wire, position.size) == (instrument.wire, D(20_000))
    entry = exchange.position("trader", f"perp:{instrument.symbol}").entry
    assert position.entry is not None
    assert entry is not None
    assert abs(position.entry - entry) < instrument.tick


async def test_every_channel_speaks(bench: BitMex) -> None:
    for channel in (Channel.TRADES, Channel.TOP, Channel.TICKER, Channel.MARK):
        bench.session.subscribe(channel, bench.inverse)
    sync = bench.watch(bench.inverse)
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


async def test_a_post_only_order_that_would_take_ends_as_rejected_on_both_ways(bench: BitMex) -> None:
    placed = await bench.place(post_only=True, price=D(90_000))
    assert (placed.status, placed.end_reason, placed.filled) == (OrderStatus.REJECTED, EndReason.POST_ONLY, D(0))
    told = await until(
        lambda: next((o for o in bench.ear.orders if o.status is OrderStatus.REJECTED), None), "the event"
    )
    assert told.end_reason is EndReason.POST_ONLY


async def test_a_post_only_order_that_would_take_by_its_new_price_stays_and_says_why(bench: BitMex) -> None:
    placed = await bench.place(post_only=True, price=D(50_000))
    with pytest.raises(WouldTake):
        await bench.session.amend(OrderRef(instrument=bench.inverse, venue_id=placed.venue_id), price=D(90_000))
    assert bench.theirs(placed).price == D(50_000)


async def test_what_is_left_of_an_ioc_order_is_expired_not_cancelled(bench: BitMex) -> None:
    best = bench.still_ask()
    placed = await bench.place(tif=TimeInForce.IOC, price=best.price, amount=D(1_000_000))
    assert (placed.status, placed.end_reason) == (OrderStatus.EXPIRED, EndReason.IOC_REST)
    assert placed.filled == bench.theirs(placed).filled == best.size


async def test_a_stop_waits_on_the_mark_price_and_is_refused_where_it_has_passed(bench: BitMex) -> None:
    waiting = await bench.place(kind=OrderKind.STOP, price=None, trigger=D(90_000))
    assert waiting.status is OrderStatus.UNTRIGGERED
    assert bench.theirs(waiting).trigger_on is TriggerOn.MARK
    with pytest.raises(WouldTrigger):
        await bench.place(kind=OrderKind.STOP, price=None, trigger=D(20_000))
    (row,) = await bench.session.open_orders(None)
    assert (row.status, row.trigger) == (OrderStatus.UNTRIGGERED, D(90_000))


async def test_an_order_keeps_its_ids_when_it_is_changed_and_a_part_of_it_is_filled(bench: BitMex) -> None:
    placed = await bench.place(price=D(50_000))
    ref = OrderRef(instrument=bench.inverse, venue_id=placed.venue_id)
    best = bench.still_ask()
    size = (best.size // 100 + 40) * 100
    changed = await bench.session.amend(ref, price=best.price, amount=size)
    assert (changed.venue_id, changed.client_id, changed.amount) == (placed.venue_id, placed.client_id, size)
    assert bench.theirs(placed).filled == best.size
    cancelled = await bench.session.cancel(ref)
    assert cancelled.filled == bench.theirs(placed).filled
    assert cancelled.status is OrderStatus.CANCELLED
    with pytest.raises(OrderNotFound):
        await bench.session.cancel(ref)
    with pytest.raises(OrderNotFound):
        await bench.session.amend(ref, price=D(40_000))


async def test_more_open_orders_than_the_venues_default_page_are_all_found(bench: BitMex) -> None:
    for number in range(120):
        bench.exchange.place(
            "trader",
            _resting(D(20_000) + number * 10),
        )
    rows = await bench.session.open_orders(bench.inverse)
    assert len({row.venue_id for row in rows}) == 120
    assert len(await bench.session.cancel_all(bench.inverse)) == 120
    assert bench.exchange.open_orders("trader") == []


def _resting(price: Decimal) -> NewOrder:
    return NewOrder(key=KEY, side=Side.BUY, kind=OrderKind.LIMIT, amount=D(100), price=price)


async def test_overload_is_no_doubt_and_a_lost_gateway_is(bench: BitMex) -> None:
    """given 503 "overloaded", then nothing was done; given 502, then it is asked for by the client id and found."""
    bench.server.faults.refuse_next.append(json_answer(OVERLOADED, 503))
    with pytest.raises(VenueUnavailable):
        await bench.place()
    bench.server.faults.refuse_next.append(HttpAnswer(503, b'{"error":{"message":"Service unavailable"}}'))
    with pytest.raises(OutcomeUnknown):
        await bench.place()
    assert bench.exchange.open_orders("trader") == []
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


async def test_a_client_id_names_its_newest_order(bench: BitMex) -> None:
    first = bench.request(price=D(50_000))
    placed = await bench.session.place(first)
    await bench.session.cancel(OrderRef(instrument=bench.inverse, venue_id=placed.venue_id))
    second = await bench.session.place(first)
    found = await bench.session.order(OrderRef(instrument=bench.inverse, client_id=first.client_id))
    assert found.venue_id == second.venue_id != placed.venue_id


async def test_the_dead_mans_switch_counts_in_milliseconds_and_covers_the_account(bench: BitMex) -> None:
    for instrument, price in ((bench.inverse, D(50_000)), (bench.linear, D(2000))):
        await bench.place(instrument, price=price)
    family, practice = VENUE.families[0], bench.practice
    before = bench.house.time.ms()
    await bench.session.dead_man(None, 60, family)
    assert before <= practice._armed["trader"] - 60_000 <= bench.house.time.ms()
    await bench.session.dead_man(None, 0, family)
    assert practice._armed == {}
    await bench.session.dead_man(None, 0.05, family)
    await until(lambda: bench.exchange.open_orders("trader") == [], "the end of both")
    ended = await until(
        lambda: [o for o in bench.ear.orders if o.end_reason is EndReason.DEAD_MAN][1:] or None, "the news"
    )
    assert ended[0].status is OrderStatus.CANCELLED


async def test_leverage_above_zero_isolates(bench: BitMex) -> None:
    await bench.session.set_leverage(bench.inverse, 7)
    await bench.place(kind=OrderKind.MARKET, price=None)
    ((_, position),) = await bench.session.positions()
    assert (position.leverage, position.isolated) == (D(7), True)


async def test_cut_sockets_come_back_whole(bench: BitMex) -> None:
    sync = bench.watch(bench.inverse)
    await until(lambda: sync.live and sync.counters.applied > 3, "a live book")
    assert await bench.cut() == 2
    await until(lambda: len(bench.ear.readied) == 2, "the private stream again")
    await until(lambda: sync.live and sync.counters.resyncs == 1, "the book again")
    bench.server.crowd = None
    await until(lambda: sync.book.top(10_000) == bench.levels(KEY), "the exchange's own book")
    await bench.place(price=D(50_000))
    await until(lambda: any(o.status is OrderStatus.OPEN for o in bench.ear.orders), "an event on it")


async def test_a_clock_that_is_wrong_is_corrected_and_the_request_signed_anew() -> None:
    async with (
        served(VENUE) as house,
        house.session(slow=3600) as (session, _),
    ):  # everything has expired when it arrives
        clock = session.driver.clock
        clock.offset, clock.error = 0.0, 0.0  # wrong again
        assert await session.balances()
        assert abs(session.clock_offset_ms - 3_600_000) < 2000


async def test_the_eleventh_order_of_a_second_is_refused_with_the_time_to_wait() -> None:
    """Asked of the venue's end directly: a session paces itself before it comes to that."""
    gate = Gate()
    for _ in range(10):
        gate.count("trader", 0, orders=True, limited=True)
    with pytest.raises(ApiError) as refused:
        gate.count("trader", 0, orders=True, limited=True)
    body = json_answer({"error": {"message": refused.value.text, "name": refused.value.name}}, refused.value.status)
    with pytest.raises(RateLimited) as told:
        read_json(Answer(body.status, body.body))
    assert told.value.retry_after == 1


async def test_a_recording_holds_neither_key_nor_signature_and_replays_whole(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl.zst"
    async with served(VENUE, crowd=CROWD) as house:
        secrets = house.server.credentials
        async with house.session(recorder=Recorder(path, secrets.values())) as (session, ear):
            await until(lambda: ear.readied, "the private stream")
            instrument = session.instruments["bitmex:perp:BTC-USD"]
            session.subscribe(Channel.BOOK, instrument)
            sync = session.sync(instrument)
            assert sync is not None
            await until(lambda: sync.counters.applied > 20, "updates")
            applied = sync.counters.applied
            assert ear.refusals == []
    rows = list(read(path))
    logins = [row.data for row in rows if "authKeyExpires" in row.data]
    assert len(logins) == 2, "the request and its echo"
    assert all('"args":["***"]' in text for text in logins)
    everything = "\n".join(row.data + row.url for row in rows)
    assert not any(secret in everything for secret in secrets.values())
    report = replay(path, VENUE)
    book = report.books["bitmex:perp:BTC-USD"]
    assert (book.gaps, book.crossed, report.not_understood) == (0, 0, 0)
    assert book.applied >= applied
