"""The order book: equal to the exchange's own, whatever happens on the wire."""

from __future__ import annotations

from connectors.contract import Call, Channel, Link
from connectors.model import Unit
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
    await (await bench.client(keyed=False)).book()  # the stream runs on for this one
    for _ in range(5):
        await bench.move()
    faults.repeat_next = 1
    late = await bench.client(keyed=False)
    late.session.subscribe(Channel.BOOK, bench.instrument)
    sync = late.session.sync(bench.instrument)
    assert sync is not None
    for _ in range(200):
        if sync.counters.snapshots_old:
            break
        await bench.move(3)
        await bench.sleep(0.01)
    assert sync.counters.snapshots_old >= 1
    assert faults.repeat_next == 0
    await bench.move()
    await bench.equal(sync)


@scenario(GROUP, "sockets cut while idle come back with an equal book")
async def cut_idle(bench: Bench) -> None:
    client = await bench.client()
    sync = await client.book()
    assert await bench.server.cut() >= 2
    await bench.until(lambda: sync.state is not BookState.LIVE, "the book to be called old")
    await bench.until(lambda: client.ear.losses, "the private stream's loss to be told")
    await bench.equal(sync)
    await bench.until(lambda: client.ear.readied == 2, "the private stream again")
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
        await bench.until(lambda: sync.state is not BookState.LIVE, "the loss")
        for _ in range(5):
            await bench.move(60)
        while not sync.live:
            await bench.move(3)
        await bench.move()
        await bench.equal(sync)
        assert sync.counters.resyncs >= round_


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
    assert sync.counters.resyncs >= 3


@scenario(GROUP, "a stalled socket is called old, given up, and replaced")
async def socket_stalled(bench: Bench) -> None:
    client, sync = await watched(bench)
    bench.server.faults.stalled = True
    bench.time.jump(sync.rule.quiet_after + 1)
    await bench.until(lambda: sync.state is not BookState.LIVE, "the book to be called old")
    link = client.session._links[0]
    bench.time.jump(link.pulse.dead_after + 1)
    await bench.until(lambda: link.counters.losses, "the socket to be given up")
    bench.server.faults.stalled = False
    await bench.move()
    await bench.equal(sync)
    assert client.connection("market").reconnects >= 1
