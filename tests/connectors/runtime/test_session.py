"""A session against the practice server over real sockets: what goes wrong on the way, and what is concluded from it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.catalogue import load
from connectors.contract import Channel, Event, Found, Page
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
from connectors.practice.protocol import HttpAnswer
from connectors.practice.server import PracticeServer
from connectors.runtime.clock import Clock
from connectors.runtime.record import Recorder, read
from connectors.runtime.replay import replay
from connectors.runtime.session import Session
from connectors.sync import BookState
from tests.waiting import until

CROWD = ("spot:BTC-USDT", "perp:BTC-USDT")  # what the tests look at
D = Decimal


class Ear:
    """Keeps everything that a session tells."""

    def __init__(self) -> None:
        self.trades: list[Trade] = []
        self.orders: list[OrderUpdate] = []
        self.fills: list[Fill] = []
        self.balances: dict[tuple[str, str], Balance] = {}
        self.positions: dict[str, Position] = {}
        self.readied: list[str] = []
        self.losses: list[str] = []

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
                self.balances[family, event.asset] = event
            case Position():
                self.positions[event.wire] = event

    def ready(self, family: str) -> None:
        self.readied.append(family)

    def lost(self, family: str, why: str) -> None:
        self.losses.append(family)

    def declined(self, text: str) -> None:
        raise AssertionError(text)


class Bench:
    """A practice server and a session on it."""

    def __init__(self, server: PracticeServer, session: Session, ear: Ear) -> None:
        self.server = server
        self.session = session
        self.ear = ear
        self.spot = session.instruments["binance:spot:BTC-USDT"]
        self.perp = session.instruments["binance:perp:BTC-USDT"]
        self._count = 0

    def request(self, instrument: Instrument | None = None, **fields: Any) -> OrderRequest:
        self._count += 1
        values: dict[str, Any] = {"kind": OrderKind.LIMIT, "side": Side.BUY, "amount": D("0.01"), "price": D(50000)}
        return OrderRequest(client_id=f"fa-{self._count}", instrument=instrument or self.spot, **{**values, **fields})

    async def by_http(self) -> None:
        """Orders leave by HTTP from now on."""
        for link in self.session.private.trade_links.values():
            await link.stop()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    server = PracticeServer(load("binance"), seed=3, crowd=CROWD)
    await server.start()
    ear = Ear()
    session = Session(load("binance"), hosts=server.hosts, secrets=server.credentials, listener=ear)
    await session.start()
    await until(lambda: len(ear.readied) == 2, "both private streams")
    yield Bench(server, session, ear)
    await session.stop()
    await server.stop()


async def test_books_equal_the_exchanges_own(bench: Bench) -> None:
    for instrument in (bench.spot, bench.perp):
        bench.session.subscribe(Channel.BOOK, instrument)
    for instrument, key in ((bench.spot, "spot:BTC-USDT"), (bench.perp, "perp:BTC-USDT")):
        sync = bench.session.sync(instrument)
        assert sync is not None
        practice: Any = bench.server.practice
        product = practice.spot if key.startswith("spot") else practice.usdm

        def same(sync: Any = sync, key: str = key, product: Any = product) -> bool:
            image = bench.server.exchange.book(key)
            if not sync.live or sync.last_id != product.book_id(image.sequence) or sync.counters.applied < 20:
                return False
            bids, asks = sync.book.top(500)
            theirs = [(float(row.price), float(row.size)) for row in image.bids[:500]]
            assert bids == theirs
            assert asks == [(float(row.price), float(row.size)) for row in image.asks[:500]]
            return True

        await until(same, f"a book of {key} at the exchange's own number")
        assert sync.counters.gaps == 0


@pytest.mark.parametrize("fault", ["drop_next", "duplicate_next", "malformed_next"])
async def test_a_damaged_wire_is_noticed_counted_and_repaired(bench: Bench, fault: str) -> None:
    bench.session.subscribe(Channel.BOOK, bench.spot)
    sync = bench.session.sync(bench.spot)
    assert sync is not None
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


async def test_an_order_lives_fills_and_pays_as_the_exchange_says(bench: Bench) -> None:
    bench.session.subscribe(Channel.BOOK, bench.spot)
    placed = await bench.session.place(bench.request(kind=OrderKind.MARKET, price=None, amount=D("0.5")))
    await until(lambda: any(order.status is OrderStatus.FILLED for order in bench.ear.orders), "the fill")
    theirs = bench.server.exchange.order("trader", int(placed.venue_id))
    assert sum(fill.amount for fill in bench.ear.fills) == theirs.filled == D("0.5")
    assert sum(fill.fee or 0 for fill in bench.ear.fills) == theirs.fee
    again = await bench.session.fills(bench.spot, Page(limit=50))
    assert [(fill.id, fill.price, fill.amount) for fill in again] == [
        (f.id, f.price, f.amount) for f in bench.ear.fills
    ]
    own = bench.server.exchange.balance("trader", "USDT")
    await until(lambda: bench.ear.balances["spot", "USDT"].total == own.total, "the balance")


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"price": D("50000.005")}, BadPrice),
        ({"amount": D(900)}, InsufficientFunds),
        ({"price": D(90000), "post_only": True}, WouldTake),
    ],
)
async def test_refusals_have_their_kind(bench: Bench, fields: dict[str, Any], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        await bench.session.place(bench.request(**fields))
    await bench.by_http()
    with pytest.raises(kind):
        await bench.session.place(bench.request(**fields))


async def test_every_kind_of_order_is_taken(bench: Bench) -> None:
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
            update = await bench.session.place(bench.request(instrument, **fields))
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


async def test_a_duplicate_client_id_proves_that_the_first_arrived(bench: Bench) -> None:
    first = bench.request()
    await bench.session.place(first)
    with pytest.raises(DuplicateOrder):
        await bench.session.place(first)


@pytest.mark.parametrize("loss", ["503", "cut"])
async def test_an_accepted_order_whose_answer_is_lost_can_be_found(bench: Bench, loss: str) -> None:
    await bench.by_http()
    bench.server.faults.lose_next.append(loss)
    order = bench.request()
    with pytest.raises(OutcomeUnknown):
        await bench.session.place(order)
    found = await bench.session.search(order)
    assert found.found is Found.FOUND
    assert found.order is not None
    assert found.order.status is OrderStatus.OPEN
    assert len(bench.server.exchange.open_orders("trader")) == 1


async def test_a_refusal_before_anything_was_done_is_not_doubt(bench: Bench) -> None:
    await bench.by_http()
    bench.server.faults.refuse_next.append(HttpAnswer(503, b"Service Unavailable"))
    with pytest.raises(VenueUnavailable):
        await bench.session.place(bench.request())
    assert bench.server.exchange.open_orders("trader") == []


async def test_an_unknown_order_is_not_found(bench: Bench) -> None:
    with pytest.raises(OrderNotFound):
        await bench.session.cancel(OrderRef(instrument=bench.spot, venue_id="987654321"))
    assert (await bench.session.search(bench.request())).found is Found.NOT_YET


async def test_an_expired_listen_key_opens_a_new_private_stream(bench: Bench) -> None:
    practice: Any = bench.server.practice
    practice.usdm.expire_listen_keys()
    await until(lambda: "usdm" in bench.ear.losses, "the loss")
    await until(lambda: bench.ear.readied.count("usdm") == 2, "the new stream")
    await bench.session.place(bench.request(bench.perp, price=D(40000)))
    await until(lambda: any(order.family == "usdm" for order in bench.ear.orders), "an event on it")


async def test_a_wrong_clock_is_corrected_and_the_request_signed_anew() -> None:
    server = PracticeServer(load("binance"), crowd=False)
    await server.start()
    ear = Ear()
    clock = Clock(wall=lambda: time.time() + 3600)  # an hour fast
    session = Session(load("binance"), hosts=server.hosts, secrets=server.credentials, listener=ear, clock=clock)
    try:
        await session.start()
        assert abs(session.clock_offset_ms + 3_600_000) < 2000
        clock.offset, clock.error = 0.0, 0.0  # wrong again
        assert await session.balances()
        assert abs(session.clock_offset_ms + 3_600_000) < 2000
    finally:
        await session.stop()
        await server.stop()


async def test_a_wrong_key_says_so_and_stops_there() -> None:
    server = PracticeServer(load("binance"), crowd=False)
    await server.start()
    secrets = {"key": server.credentials["key"], "secret": "wrong-secret"}
    session = Session(load("binance"), hosts=server.hosts, secrets=secrets, listener=Ear())
    try:
        await session.start()
        with pytest.raises(AuthenticationFailed):
            await session.balances()
    finally:
        await session.stop()
        await server.stop()


async def test_a_recording_holds_no_secret_and_replays_without_a_gap(tmp_path: Path) -> None:
    server = PracticeServer(load("binance"), seed=5, crowd=CROWD)
    await server.start()
    path = tmp_path / "session.jsonl.zst"
    recorder = Recorder(path, server.credentials.values())
    ear = Ear()
    session = Session(load("binance"), hosts=server.hosts, secrets=server.credentials, listener=ear, recorder=recorder)
    await session.start()
    await until(lambda: len(ear.readied) == 2, "both private streams")
    spot = session.instruments["binance:spot:BTC-USDT"]
    session.subscribe(Channel.BOOK, spot)
    sync = session.sync(spot)
    assert sync is not None
    await until(lambda: sync.counters.applied > 20, "updates")
    order = OrderRequest(
        client_id="fa-rec", instrument=spot, side=Side.BUY, kind=OrderKind.LIMIT, amount=D("0.01"), price=D(50000)
    )
    await session.place(order)
    applied, top = sync.counters.applied, sync.book.top(50)
    await session.stop()
    await server.stop()
    text = "\n".join(row.data + row.url for row in read(path))
    for secret in server.credentials.values():
        assert secret not in text
    assert "listenKey=***" in text or '"listenKey":"***"' in text
    report = replay(path, load("binance"))
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


async def test_a_socket_is_replaced_before_its_end_without_a_hole(bench: Bench) -> None:
    """given a socket near the end of its life, then the next one opens first, and neither book nor tape misses anything."""
    for channel in (Channel.BOOK, Channel.TRADES):
        bench.session.subscribe(channel, bench.spot)
    sync = bench.session.sync(bench.spot)
    assert sync is not None
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
    server = PracticeServer(load("binance"), crowd=False)
    await server.start()
    ear = Ear()
    nowhere = {real: "http://127.0.0.1:9" for real in server.hosts if real.startswith("https://fapi")}
    session = Session(load("binance"), hosts={**server.hosts, **nowhere}, secrets=server.credentials, listener=ear)
    try:
        await session.start()
        assert [family.name for family in session.families] == ["spot"]
        assert "no connection" in session.absent["usdm"]
        await until(lambda: ear.readied == ["spot"], "the private stream of what answers")
        assert {family for family, _ in await session.balances()} == {"spot"}
        session.driver.hosts.update(server.hosts)
        await session.look_for_absent()
        await until(lambda: "usdm" in ear.readied, "the other one")
        assert not session.absent
    finally:
        await session.stop()
        await server.stop()
