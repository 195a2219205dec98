"""A session against the practice server over real sockets: what goes wrong on the way, and what is concluded from it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.catalogue import load
from connectors.contract import Channel, Found, Page
from connectors.errors import (
    AuthenticationFailed,
    BadPrice,
    DuplicateOrder,
    InsufficientFunds,
    OrderNotFound,
    OutcomeUnknown,
    VenueUnavailable,
    WouldTake,
)
from connectors.model import OrderKind, OrderRef, OrderStatus, Side, TimeInForce
from connectors.practice.protocol import HttpAnswer
from connectors.practice.terms import NewOrder
from connectors.runtime.record import Recorder, read
from connectors.runtime.replay import replay
from connectors.runtime.session import Session
from connectors.sync import BookState, BookSync
from tests.connectors.bench import Bench, House, opened, served
from tests.ear import Ear
from tests.waiting import until

VENUE = load("binance")
CROWD = ("spot:BTC-USDT", "perp:BTC-USDT")  # what the tests look at
D = Decimal


class Binance(Bench):
    """`spot` and `perp`."""

    NAMES = CROWD

    def __init__(self, house: House, session: Session, ear: Ear) -> None:
        super().__init__(house, session, ear)
        self.spot, self.perp = self.instruments

    async def by_http(self) -> None:
        """Orders leave by HTTP from now on."""
        for link in self.session.private.trade_links.values():
            await link.stop()


@pytest.fixture
async def bench() -> AsyncIterator[Binance]:
    async with opened(Binance, VENUE, seed=3, crowd=CROWD) as found:
        yield found
        assert found.ear.refusals == []


async def test_books_equal_the_exchanges_own(bench: Binance) -> None:
    syncs = [bench.watch(instrument) for instrument in (bench.spot, bench.perp)]
    for sync, key, product in zip(syncs, CROWD, (bench.practice.spot, bench.practice.usdm), strict=True):

        def same(sync: BookSync = sync, key: str = key, product: Any = product) -> bool:
            number = product.book_id(bench.exchange.sequence(key))
            if not sync.live or sync.last_id != number or sync.counters.applied < 20:
                return False
            assert sync.book.top(500) == bench.levels(key, 500)
            return True

        await until(same, f"a book of {key} at the exchange's own number")
        assert sync.counters.gaps == 0


@pytest.mark.parametrize("fault", ["drop_next", "duplicate_next", "malformed_next"])
async def test_a_damaged_wire_is_noticed_counted_and_repaired(bench: Binance, fault: str) -> None:
    sync = bench.watch(bench.spot)
    await until(lambda: sync.live and sync.counters.applied > 3, "a live book")
    setattr(bench.server.faults, fault, 1)
    if fault == "duplicate_next":
        await until(lambda: sync.counters.duplicates == 1, "the duplicate")
        assert sync.counters.gaps == 0
        return
    await until(lambda: sync.counters.gaps == 1, "the hole")
    await until(lambda: sync.live, "a live book again")
    assert sync.counters.resyncs == 1
    if fault == "malformed_next":
        assert any(row.unknown for row in bench.session.health)


async def test_an_order_lives_fills_and_pays_as_the_exchange_says(bench: Binance) -> None:
    bench.session.subscribe(Channel.BOOK, bench.spot)
    placed = await bench.place(kind=OrderKind.MARKET, price=None, amount=D("0.5"))
    await until(lambda: any(order.status is OrderStatus.FILLED for order in bench.ear.orders), "the fill")
    theirs = bench.exchange.order("trader", int(placed.venue_id))
    assert sum(fill.amount for fill in bench.ear.fills) == theirs.filled == D("0.5")
    assert sum(fill.fee or 0 for fill in bench.ear.fills) == theirs.fee
    again = await bench.session.fills(bench.spot, Page(limit=50))
    assert [(fill.id, fill.price, fill.amount) for fill in again] == [
        (f.id, f.price, f.amount) for f in bench.ear.fills
    ]
    own = bench.exchange.balance("trader", "USDT")
    await until(lambda: bench.ear.balances["spot", "USDT"].total == own.total, "the balance")


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"price": D("50000.005")}, BadPrice),
        ({"amount": D(900)}, InsufficientFunds),
        ({"price": D(90000), "post_only": True}, WouldTake),
    ],
)
async def test_refusals_have_their_kind(bench: Binance, fields: dict[str, Any], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        await bench.place(**fields)
    await bench.by_http()
    with pytest.raises(kind):
        await bench.place(**fields)


async def test_every_kind_of_order_is_taken(bench: Binance) -> None:
    for instrument in (bench.spot, bench.perp):
        for fields in (
            {},
            {"post_only": True},
            {"tif": TimeInForce.IOC},
            {"tif": TimeInForce.FOK, "price": D(70000)},
            {"kind": OrderKind.STOP, "price": None, "trigger": D(80000)},
            {"kind": OrderKind.STOP_LIMIT, "price": D(80100), "trigger": D(80000)},
            {"kind": OrderKind.TAKE_PROFIT_LIMIT, "price": D(40000), "trigger": D(40100)},
        ):
            update = await bench.place(instrument, **fields)
            assert update.venue_id
    rows = await bench.session.open_orders(None)
    waiting = [row for row in rows if row.status is OrderStatus.UNTRIGGERED]
    assert len(waiting) == 6
    for row in rows:
        instrument = bench.session.instrument(row.family, row.wire)
        assert instrument is not None
        ref = OrderRef(instrument=instrument, venue_id=row.venue_id, algo=row.algo)
        assert (await bench.session.cancel(ref)).status is OrderStatus.CANCELLED
    assert await bench.session.open_orders(None) == []


async def test_a_duplicate_client_id_proves_that_the_first_arrived(bench: Binance) -> None:
    first = bench.request()
    await bench.session.place(first)
    with pytest.raises(DuplicateOrder):
        await bench.session.place(first)


@pytest.mark.parametrize("loss", ["503", "cut"])
async def test_an_accepted_order_whose_answer_is_lost_can_be_found(bench: Binance, loss: str) -> None:
    await bench.by_http()
    bench.server.faults.lose_next.append(loss)
    order = bench.request()
    with pytest.raises(OutcomeUnknown):
        await bench.session.place(order)
    found = await bench.session.search(order)
    assert found.found is Found.FOUND
    assert found.order is not None
    assert found.order.status is OrderStatus.OPEN
    assert len(bench.exchange.open_orders("trader")) == 1


async def test_a_refusal_before_anything_was_done_is_not_doubt(bench: Binance) -> None:
    await bench.by_http()
    bench.server.faults.refuse_next.append(HttpAnswer(503, b"Service Unavailable"))
    with pytest.raises(VenueUnavailable):
        await bench.place()
    assert bench.exchange.open_orders("trader") == []


async def test_an_unknown_order_is_not_found(bench: Binance) -> None:
    with pytest.raises(OrderNotFound):
        await bench.session.cancel(OrderRef(instrument=bench.spot, venue_id="987654321"))
    assert (await bench.session.search(bench.request())).found is Found.NOT_YET


async def test_a_position_that_ended_while_nobody_listened_is_told_as_ended(bench: Binance) -> None:
    size, wire = D("0.05"), bench.perp.wire

    def told() -> Any:
        position = bench.ear.positions.get(wire)
        return position.size if position is not None else None

    await bench.place(bench.perp, kind=OrderKind.MARKET, amount=size, price=None)
    await until(lambda: told() == size, "the position")
    await bench.cut(private=True)
    order = NewOrder(key=CROWD[1], side=Side.SELL, kind=OrderKind.MARKET, amount=size)
    bench.exchange.place("trader", order)
    assert bench.exchange.position("trader", CROWD[1]).size == 0
    await until(lambda: told() == 0, "the end of the position")


async def test_an_expired_listen_key_opens_a_new_private_stream(bench: Binance) -> None:
    bench.practice.usdm.expire_listen_keys()
    await until(lambda: any(loss.family == "usdm" for loss in bench.ear.losses), "the loss")
    await until(lambda: bench.ear.readied.count("usdm") == 2, "the new stream")
    await bench.place(bench.perp, price=D(40000))
    await until(lambda: any(order.family == "usdm" for order in bench.ear.orders), "an event on it")


async def test_a_wrong_clock_is_corrected_and_the_request_signed_anew() -> None:
    async with served(VENUE) as house, house.session(slow=-3600) as (session, _):
        clock = session.driver.clock
        assert abs(session.clock_offset_ms + 3_600_000) < 2000
        clock.offset, clock.error = 0.0, 0.0  # wrong again
        assert await session.balances()
        assert abs(session.clock_offset_ms + 3_600_000) < 2000


async def test_a_wrong_key_says_so_and_stops_there() -> None:
    async with served(VENUE) as house:
        secrets = {"key": house.server.credentials["key"], "secret": "wrong-secret"}
        async with house.session(secrets=secrets) as (session, _):
            with pytest.raises(AuthenticationFailed):
                await session.balances()


async def test_a_recording_holds_no_secret_and_replays_without_a_gap(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl.zst"
    async with served(VENUE, crowd=CROWD) as house:
        secrets = house.server.credentials
        async with house.session(recorder=Recorder(path, secrets.values())) as (session, ear):
            await until(lambda: len(ear.readied) == 2, "both private streams")
            bench = Binance(house, session, ear)
            sync = bench.watch(bench.spot)
            await until(lambda: sync.counters.applied > 20, "updates")
            await bench.place()
            applied, top = sync.counters.applied, sync.book.top(50)
            assert ear.refusals == []
    text = "\n".join(row.data + row.url for row in read(path))
    for secret in secrets.values():
        assert secret not in text
    assert "listenKey=***" in text or '"listenKey":"***"' in text
    report = replay(path, VENUE)
    book = report.books["binance:spot:BTC-USDT"]
    assert (book.gaps, book.crossed) == (0, 0)
    assert book.applied >= applied
    assert book.best_bid is not None
    assert top[0]


def test_a_recording_cut_by_a_crash_is_read_up_to_there(tmp_path: Path) -> None:
    path = tmp_path / "cut.jsonl.zst"
    recorder = Recorder(path)
    for number in range(1000):
        recorder.frame("c", "in", "wss://x", f'{{"n":{number}}}')
    recorder.close()
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * 0.7)])
    rows = list(read(path))
    assert 256 <= len(rows) < 1000
    assert [row.data for row in rows[:3]] == ['{"n":0}', '{"n":1}', '{"n":2}']


async def test_a_socket_is_replaced_before_its_end_without_a_hole(bench: Binance) -> None:
    """given a socket near the end of its life, then the next one opens first, and neither book nor tape misses anything."""
    sync = bench.watch(bench.spot)
    bench.session.subscribe(Channel.TRADES, bench.spot)
    await until(lambda: sync.live and sync.counters.applied > 5, "a live book")
    (old,) = bench.session.feeds.links
    seen: set[BookState] = set()
    for _ in range(3):
        old = bench.session.feeds.links[0]
        old.life = 0.001  # as if its day were over
        await until(lambda: seen.add(sync.state) or bench.session.feeds.links != [old], "the successor")  # noqa: B023 - called here
        await until(lambda: not old.is_open, "the end of the old one")  # noqa: B023 - called here
        applied = sync.counters.applied
        await until(lambda: sync.counters.applied > applied + 5, "updates on the new socket")  # noqa: B023 - called here
    assert seen == {BookState.LIVE}
    assert (sync.counters.gaps, sync.counters.resyncs, sync.counters.snapshots) == (0, 0, 1)
    ids = [int(trade.id) for trade in bench.ear.trades]
    assert ids == list(range(ids[0], ids[0] + len(ids)))


async def test_a_family_that_is_down_does_not_take_the_other_with_it_and_may_come_back() -> None:
    async with served(VENUE) as house:
        hosts = house.server.hosts
        nowhere = {real: "http://127.0.0.1:9" for real in hosts if real.startswith("https://fapi")}
        async with house.session(away=nowhere) as (session, ear):
            assert [family.name for family in session.families] == ["spot"]
            assert "no connection" in session.absent["usdm"]
            await until(lambda: ear.readied == ["spot"], "the private stream of what answers")
            assert {family for family, _ in await session.balances()} == {"spot"}
            session.driver.hosts.update(hosts)
            await session.look_for_absent()
            await until(lambda: "usdm" in ear.readied, "the other one")
            assert not session.absent
