"""The order book: equal to the exchange's own, whatever happens on the wire."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

from connectors.contract import Call, Channel, Link, Page, Topic
from connectors.model import Candle, MarkPrice, Ticker, Unit
from connectors.sync import BookState, BookSync
from tests.conformance.bench import Bench, Client
from tests.conformance.marks import without_calls_for_books, without_checksum, without_proof
from tests.conformance.scenarios.list import scenario

GROUP = "Market data"


async def watched(bench: Bench) -> tuple[Client, BookSync]:
    """A client without a key whose book is the exchange's and has been moving."""
    client = await bench.client(keyed=False)
    sync = await client.book()
    await bench.move()
    await bench.equal(sync)
    return client, sync


def noticed(sync: BookSync) -> int:
    """How often a fault was counted, by whatever proof the venue gives."""
    counters = sync.counters
    return counters.gaps + counters.checksums_failed + counters.crossed + counters.malformed


async def repaired(bench: Bench, client: Client, sync: BookSync, name: str) -> None:
    """The fault just set is seen, counted, and ends in a book that is the exchange's own."""
    before = noticed(sync)
    for _ in range(4):
        await bench.move()
    if not bench.quiet(name):
        await bench.until(lambda: noticed(sync) > before, "the fault to be counted", hurry=0.02)
        await bench.until(lambda: sync.counters.resyncs == 1, "the repair", hurry=0.02)
        assert client.connection("market").resyncs == 1
        assert client.connection("market").gaps + sync.counters.checksums_failed + sync.counters.malformed >= 1
    await bench.move()
    await bench.equal(sync)
    if bench.quiet(name):
        assert (noticed(sync), sync.counters.resyncs) == (before, 0)


@scenario(GROUP, "connects and lists its instruments")
async def connects(bench: Bench) -> None:
    client = await bench.client()
    assert client.session.instruments
    for instrument in client.session.instruments.values():
        listing = bench.exchange.listings[bench.key_of(instrument)]
        assert (instrument.base, instrument.quote) == (listing.base, listing.quote)
        if (instrument.unit, listing.unit) != (Unit.BASE, Unit.LINEAR):  # the same with a multiplier of one
            assert instrument.unit is listing.unit
        assert (instrument.tick, instrument.size.step) == (listing.tick, listing.step)
        assert instrument.size.minimum <= max(listing.minimum, listing.step)
        if instrument.min_notional:
            assert instrument.min_notional == listing.min_notional
        assert instrument.multiplier == listing.multiplier
    assert client.session.problem == ""
    assert not client.ear.refusals


@scenario(GROUP, "the book equals the exchange's own after 10,000 random updates")
async def book_follows(bench: Bench) -> None:
    client = await bench.client(keyed=False)
    for instrument in bench.instruments:
        sync = await client.book(instrument)
        start = bench.exchange.sequence(bench.key_of(instrument))
        for _ in range(80):
            await bench.move(125, instrument)
        assert bench.exchange.sequence(bench.key_of(instrument)) >= start + 10_000
        await bench.equal(sync, instrument)
        counters = sync.counters
        assert counters.applied >= 60
        assert noticed(sync) == counters.resyncs == 0
        if sync.rule.checksum is not None:
            assert counters.checksums_ok >= 60
        assert all(row.unknown == 0 for row in client.session.health)
        client.session.unsubscribe(Channel.BOOK, instrument)


@scenario(GROUP, "every trade is told once, with its price, amount and the taker's side")
async def tape(bench: Bench) -> None:
    client = await bench.client(keyed=False)
    client.session.subscribe(Channel.TRADES, bench.instrument)
    ear, key = client.ear, bench.key
    await bench.moving(lambda: ear.trades, "trades on the stream", 10)
    start = bench.exchange.trades(key)[-1].id
    for _ in range(20):
        await bench.move(25)
    theirs = bench.exchange.trades(key, limit=5000, after=start)
    assert len(theirs) > 20
    wanted = Counter((float(row.price), float(row.size), row.side) for row in theirs)
    await bench.until(
        lambda: not wanted - Counter((row.price, row.amount, row.side) for row in ear.trades), "all trades", hurry=0.02
    )
    told = Counter((row.price, row.amount, row.side) for row in ear.trades)
    whole = Counter((float(row.price), float(row.size), row.side) for row in bench.exchange.trades(key, limit=5000))
    assert not told - whole
    numbers = [row.id for row in ear.trades if row.id]
    assert len(numbers) == len(set(numbers))
    asked = await client.session.trades(bench.instrument, 50)
    latest = bench.exchange.trades(key, limit=len(asked))
    assert sorted(asked, key=lambda row: row.time) == asked
    assert Counter((row.price, row.amount, row.side) for row in asked) == Counter(
        (float(row.price), float(row.size), row.side) for row in latest
    )


@scenario(GROUP, "candles and statistics are those of the exchange")
async def candles_and_statistics(bench: Bench) -> None:
    client, exchange, key = await bench.client(keyed=False), bench.exchange, bench.key
    for _ in range(4):
        bench.churn(60)
        bench.publish(60.0)
    assert "1m" in bench.family.capabilities.intervals
    theirs = {bar.start: bar for bar in exchange.candles(key, 60_000, limit=10)}
    told = await client.session.candles(bench.instrument, "1m", Page(limit=5))
    assert len(told) >= 3
    assert sorted(told, key=lambda bar: bar.start) == told
    for bar in told[-3:]:
        own = theirs[bar.start]
        before = float(theirs.get(bar.start - 60_000, own).close)
        assert bar.close == float(own.close)
        if bar.open == float(own.open):
            assert (bar.high, bar.low) == (float(own.high), float(own.low))
        else:  # some venues open a bar where the last one closed, and let it reach from there
            assert bar.open == before
            assert (bar.high, bar.low) == (max(float(own.high), before), min(float(own.low), before))
        assert math.isclose(bar.volume, float(own.volume), rel_tol=1e-9, abs_tol=1e-9)
    ((_, ticker),) = await client.session.tickers([bench.instrument])
    now = exchange.ticker(key)
    assert ticker.last == float(now.last)
    for mine, best in ((ticker.bid, now.bid), (ticker.ask, now.ask)):
        assert mine is None or (best is not None and mine == float(best.price))


MINUTES = {"1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1h": 60}


def streamed_interval(bench: Bench) -> str:
    """The first interval whose bars are streamed; others are asked for."""
    for interval in bench.family.capabilities.intervals:
        topic = Topic(Channel.CANDLES, bench.instrument.wire, interval)
        stream = bench.family.market_stream(bench.family.route(topic))
        if interval in MINUTES and stream.plan(frozenset(), [topic], []):
            return interval
    raise AssertionError("candles are offered, and no interval is streamed")


@scenario(GROUP, "every channel that is offered brings the exchange's own figures")
async def channels(bench: Bench) -> None:
    client, exchange, key = await bench.client(keyed=False), bench.exchange, bench.key
    able, wire = bench.family.capabilities.channels, bench.instrument.wire
    offered = able & {Channel.TOP, Channel.TICKER, Channel.MARK, Channel.CANDLES}
    for channel in sorted(offered):
        if channel is Channel.MARK and bench.spot:
            continue
        before = len(client.ear.market_events)
        interval = streamed_interval(bench) if channel is Channel.CANDLES else ""
        client.session.subscribe(channel, bench.instrument, interval)

        def right(channel: Channel = channel, before: int = before) -> bool:
            now, events = exchange.ticker(key), client.ear.market_events[before:]
            for event in reversed(events):
                match event:
                    case Ticker() if channel is Channel.TOP and event.bid is not None and now.bid and now.ask:
                        return (event.bid, event.ask) == (float(now.bid.price), float(now.ask.price))
                    case Ticker() if channel is Channel.TICKER and event.last is not None:
                        return event.last == float(now.last)
                    case MarkPrice() if channel is Channel.MARK:
                        mark = exchange.mark(key)
                        return math.isclose(event.mark, float(mark.mark), rel_tol=1e-6)
                    case Candle() if channel is Channel.CANDLES:
                        bars = exchange.candles(key, MINUTES[event.interval] * 60_000, limit=10)
                        own = {bar.start: bar for bar in bars}.get(event.start)
                        return own is not None and event.close == float(own.close)
            return False

        for _ in range(3):
            await bench.move(10)
        looks = 0

        def later(right: Callable[[], bool] = right) -> bool:
            nonlocal looks
            looks += 1
            if looks % 100 == 0:
                bench.churn(20)  # some venues speak of bars at a trade only
            return right()

        await bench.until(later, f"{channel} of {wire}", hurry=0.2)
        client.session.unsubscribe(channel, bench.instrument, interval)
    assert not client.ear.refusals


@scenario(GROUP, "a dropped update ends in a resync and an equal book")
async def update_dropped(bench: Bench) -> None:
    client, sync = await watched(bench)
    bench.server.faults.drop_next = 1
    await repaired(bench, client, sync, "update_dropped")


@scenario(GROUP, "a duplicated update leaves an equal book")
async def update_duplicated(bench: Bench) -> None:
    _, sync = await watched(bench)
    bench.server.faults.duplicate_next = 1
    await bench.move()
    counters = sync.counters
    if not bench.quiet("update_duplicated"):
        await bench.until(lambda: counters.duplicates + noticed(sync), "the duplicate to be counted", hurry=0.02)
    await bench.move()
    await bench.equal(sync)
    assert bench.server.faults.duplicate_next == 0
    if bench.quiet("update_duplicated"):
        assert counters.duplicates + noticed(sync) == 0


@scenario(GROUP, "updates in the wrong order end in a resync and an equal book")
async def updates_reordered(bench: Bench) -> None:
    client, sync = await watched(bench)
    bench.server.faults.reorder_next = 1
    await repaired(bench, client, sync, "updates_reordered")


@scenario(GROUP, "a wrong checksum ends in a resync and an equal book", unless=without_checksum)
async def checksum_wrong(bench: Bench) -> None:
    client, sync = await watched(bench)
    bench.server.faults.miscount_next = 1
    await repaired(bench, client, sync, "checksum_wrong")
    assert sync.counters.checksums_failed == 1


@scenario(GROUP, "half a frame is counted and ends in a resync and an equal book")
async def update_malformed(bench: Bench) -> None:
    client, sync = await watched(bench)
    bench.server.faults.malformed_next = 1
    await bench.move()
    await bench.until(lambda: client.connection("market").unknown, "the half frame to be counted")
    for _ in range(3):
        await bench.move()
    await bench.until(lambda: sync.counters.resyncs == 1, "the repair", hurry=0.02)
    await bench.move()
    await bench.equal(sync)


@scenario(
    GROUP, "a snapshot older than the updates that wait for it is asked for again", unless=without_calls_for_books
)
async def snapshot_old(bench: Bench) -> None:
    faults = bench.server.faults
    step = next(bench.family.trading.book(bench.instrument))
    assert isinstance(step, Call)
    faults.keep = step.path
    await (await bench.client()).book()  # the stream runs on for this one
    for _ in range(5):
        await bench.move()
    faults.repeat_next = 1
    late = await bench.client()
    late.session.subscribe(Channel.BOOK, bench.instrument)
    sync = late.session.sync(bench.instrument)
    assert sync is not None
    await bench.moving(lambda: sync.counters.snapshots_old, "the old snapshot to be noticed")
    assert faults.repeat_next == 0
    await bench.move()
    await bench.equal(sync)


@scenario(GROUP, "sockets cut while idle come back with an equal book")
async def cut_idle(bench: Bench) -> None:
    client = await bench.client()
    sync = await client.book()
    assert await bench.server.cut() >= 2
    await bench.until(lambda: sync.counters.resyncs, "the book to be called old, and to come back")
    await bench.until(lambda: client.ear.losses, "the private stream's loss to be told")
    await bench.equal(sync)
    await bench.until(lambda: len(client.ear.readied) == 2, "the private stream again")
    assert client.connection("market").reconnects >= 1
    assert sync.counters.resyncs == 1


@scenario(GROUP, "sockets cut in full flow come back with an equal book, again and again")
async def cut_in_flow(bench: Bench) -> None:
    client = await bench.client()
    sync = await client.book()
    for round_ in range(1, 4):
        for _ in range(5):
            await bench.move(60)
        bench.churn(60)
        bench.publish()
        await bench.server.cut()
        for _ in range(5):
            await bench.move(60)
        while sync.counters.resyncs < round_ or not sync.live:
            await bench.move(3)
        await bench.move()
        await bench.equal(sync)


@scenario(GROUP, "after a storm of all these faults the book is the exchange's own", unless=without_proof)
async def storm(bench: Bench) -> None:
    client, sync = await watched(bench)
    faults, chance = bench.server.faults, bench.chance
    faults.drop = faults.duplicate = faults.reorder = faults.malformed = 0.02
    for number in range(150):
        await bench.move(chance.randint(1, 30))
        faults.miscount_next = int(number % 25 == 0)
        if number % 50 == 49:
            await bench.server.cut()
        if sync.live and bench.family.book.link is not Link.NONE:
            assert not sync.book.crossed
    faults.drop = faults.duplicate = faults.reorder = faults.malformed = 0.0
    faults.miscount_next = 0
    await bench.move()
    await bench.until(lambda: client.connection("market").state == "open", "the socket", hurry=0.02)
    await bench.move()
    await bench.equal(sync)
    assert sync.counters.resyncs >= 1


@scenario(GROUP, "a stalled socket is called old, given up, and replaced")
async def socket_stalled(bench: Bench) -> None:
    client, sync = await watched(bench)
    bench.server.faults.stalled = True
    bench.time.jump(sync.rule.quiet_after + 1)
    await bench.until(lambda: sync.state is not BookState.LIVE, "the book to be called old")
    link = client.session.feeds.links[0]
    bench.time.jump(link.pulse.dead_after + 1)
    await bench.until(lambda: link.counters.losses, "the socket to be given up")
    bench.server.faults.stalled = False
    await bench.move()
    await bench.equal(sync)
    assert client.connection("market").reconnects >= 1
