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
from connectors.contract import Channel, Found, Page, Venue
from connectors.errors import BadPrice, DuplicateOrder, InsufficientFunds, NonceTooLow, OrderNotFound
from connectors.kraken.market import KrakenMarketStream
from connectors.model import (
    Candle,
    EndReason,
    OrderKind,
    OrderRef,
    OrderRequest,
    OrderStatus,
    Side,
    Ticker,
    TimeInForce,
    Trade,
)
from connectors.practice.terms import NewOrder
from connectors.runtime.record import Recorder, read
from connectors.runtime.replay import replay
from connectors.runtime.session import Session
from connectors.sync import BookState, BookSync
from tests.connectors.bench import Bench, House, opened, served, states_of
from tests.ear import Ear
from tests.waiting import until

D = Decimal
VENUE = load("kraken")
BTC, DOGE = "spot:BTC-USD", "spot:DOGE-USD"


class Kraken(Bench):
    """`btc` and `doge`."""

    NAMES = (BTC, DOGE)
    USUAL = {"amount": D("0.01"), "price": D(60000)}

    def __init__(self, house: House, session: Session, ear: Ear) -> None:
        super().__init__(house, session, ear)
        self.btc, self.doge = self.instruments


@pytest.fixture
async def bench() -> AsyncIterator[Kraken]:
    """With a crowd."""
    async with opened(Kraken, VENUE, crowd=(BTC, DOGE)) as found:
        yield found


@pytest.fixture
async def quiet() -> AsyncIterator[Kraken]:
    """Without a crowd: some orders of another account stand around 62800 dollars, and nothing moves by itself."""
    async with opened(Kraken, VENUE) as found:
        found.surround(BTC, D(62800), D("0.1"), D("0.3"))
        found.surround(DOGE, D("0.11246"), D("0.0000001"), D(900))
        yield found
        assert not found.ear.positions, "spot has none"


def of_depth(depth: int | None) -> Venue:
    """Kraken with books of so many levels; None for as deep as they come."""
    if depth is None:
        return VENUE
    family = dataclasses.replace(VENUE.families[0], market_stream=lambda role: KrakenMarketStream(depth))
    return dataclasses.replace(VENUE, families=(family,))


async def test_books_of_every_depth_are_the_exchanges_own_after_many_updates(bench: Kraken) -> None:
    for depth in (10, 25, None):
        shown = depth or 1000
        async with bench.house.session(venue=of_depth(depth), keyed=False) as (session, ear):
            syncs: dict[str, BookSync] = {}
            for key in (BTC, DOGE):
                session.subscribe(Channel.BOOK, session.instruments[f"kraken:{key}"])
                sync = session.sync(session.instruments[f"kraken:{key}"])
                assert sync is not None
                syncs[key] = sync
            for key, sync in syncs.items():
                await until(lambda sync=sync: sync.counters.applied >= 40, "forty updates")
                await until(
                    lambda sync=sync, key=key, shown=shown: (
                        sync.live and sync.book.top(shown) == bench.levels(key, shown)
                    ),
                    "the exchange's own book",
                )
                assert sync.counters.checksums_ok == sync.counters.applied + 1
                assert (sync.counters.checksums_failed, sync.counters.crossed, sync.counters.resyncs) == (0, 0, 0)
                assert len(sync.book.bids) <= shown
            assert all(row.unknown == row.declined == 0 for row in session.health)
            assert ear.refusals == []


@pytest.mark.parametrize(
    ("fault", "found"), [("miscount_next", (1, 0)), ("drop_next", (1, 0)), ("malformed_next", (0, 1))]
)
async def test_a_book_that_is_not_proven_is_grey_and_comes_back_on_the_same_socket(
    quiet: Kraken, fault: str, found: tuple[int, int]
) -> None:
    """given an update that is damaged within the ten levels of the checksum, then it shows at once or when the next one comes."""
    sync = quiet.watch(quiet.btc)
    await until(lambda: sync.live, "a live book")
    seen = states_of(sync)
    setattr(quiet.server.faults, fault, 1)
    quiet.rest(BTC, Side.BUY, D("62799.7"), D("0.05"))
    await until(lambda: getattr(quiet.server.faults, fault) == 0, "the damaged update")
    quiet.rest(BTC, Side.BUY, D("62799.5"), D("0.05"))  # another level: it would hide the damage of its own
    await until(lambda: (sync.counters.checksums_failed, sync.counters.gaps) == found, "the damage to be seen")
    await until(lambda: sync.live, "a live book again")
    assert seen[0] is BookState.RESYNCING
    assert (sync.counters.resyncs, sync.counters.snapshots) == (1, 2)
    (market,) = [row for row in quiet.session.health if row.role == "market"]
    assert (market.reconnects, market.resyncs) == (0, 1)
    await until(lambda: sync.book.top(50) == quiet.levels(BTC, 50), "the exchange's own book")


async def test_tape_statistics_and_candles_arrive(bench: Kraken) -> None:
    for channel in (Channel.TRADES, Channel.TICKER):
        bench.session.subscribe(channel, bench.btc)
    bench.session.subscribe(Channel.CANDLES, bench.btc, "1m")

    of = bench.ear.of
    trades = await until(lambda: len(found := of(Trade)) > 5 and found, "trades")
    theirs = {str(row.id): row for row in bench.server.exchange.trades(BTC, limit=1000)}
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
async def test_every_kind_of_order_is_taken_and_all_are_cancelled(quiet: Kraken, by_socket: bool) -> None:
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
    other = await quiet.placed(quiet.doge, price=D("0.05"), amount=D(500))
    gone = await quiet.session.cancel_all(quiet.btc)
    assert {row.venue_id for row in gone} == rows.keys()
    assert all(row.status is OrderStatus.CANCELLED for row in gone)
    assert [row.venue_id for row in await quiet.session.open_orders(None)] == [other.venue_id]
    assert await quiet.session.cancel_all(quiet.btc) == []


async def test_what_ends_at_once_says_why(quiet: Kraken) -> None:
    taken = await quiet.placed(post_only=True, price=D(90000))
    row = await quiet.reached(taken, OrderStatus.CANCELLED)
    assert (row.end_reason, row.filled) == (EndReason.POST_ONLY, 0)
    rest = await quiet.placed(tif=TimeInForce.IOC, price=D(50000))
    assert (await quiet.reached(rest, OrderStatus.CANCELLED)).end_reason is EndReason.IOC_REST
    whole = await quiet.placed(tif=TimeInForce.FOK, price=D(50000))
    assert (await quiet.reached(whole, OrderStatus.CANCELLED)).end_reason is EndReason.FOK


async def test_a_stop_that_is_passed_already_starts_at_once(quiet: Kraken) -> None:
    ref = await quiet.placed(kind=OrderKind.STOP, price=None, trigger=D(50000))
    row = await quiet.reached(ref, OrderStatus.FILLED)
    assert row.kind is OrderKind.STOP
    statuses = [each.status for each in quiet.ear.orders if each.venue_id == ref.venue_id]
    assert statuses[:3] == [OrderStatus.PENDING, OrderStatus.UNTRIGGERED, OrderStatus.OPEN]


async def test_an_order_fills_pays_and_is_told_the_same_three_times(quiet: Kraken) -> None:
    ref = await quiet.placed(kind=OrderKind.MARKET, price=None, amount=D("0.5"))
    row = await quiet.reached(ref, OrderStatus.FILLED)
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
            lambda asset=asset, own=own: quiet.ear.balances["spot", asset].total == own.total, f"the balance of {asset}"
        )


async def test_money_buys_what_it_can(quiet: Kraken) -> None:
    ref = await quiet.placed(kind=OrderKind.MARKET, price=None, amount=None, quote_amount=D(250))
    row = await quiet.reached(ref, OrderStatus.FILLED)
    spent = sum(fill.price * fill.amount for fill in quiet.ear.fills)
    assert D(249) < spent <= D(250)
    assert row.average is not None


async def test_a_part_fills_the_rest_is_changed_and_cancelled(quiet: Kraken) -> None:
    best = quiet.server.exchange.best(DOGE)[0]
    assert best is not None
    price = best.price + quiet.doge.tick
    ref = await quiet.placed(quiet.doge, price=price, amount=D(50_000), post_only=True)
    other = quiet.server.exchange
    other.place("other", NewOrder(key=DOGE, side=Side.SELL, amount=D(2000), price=price, tif=TimeInForce.IOC))
    quiet.server.flush()
    partly = await quiet.reached(ref, OrderStatus.PARTLY_FILLED)
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
    ended = await quiet.reached(ref, OrderStatus.CANCELLED)
    assert (ended.end_reason, ended.filled) == (EndReason.USER, row.filled)
    with pytest.raises(OrderNotFound):
        await quiet.session.cancel(ref)


async def test_refusals_are_the_same_by_both_ways(quiet: Kraken) -> None:
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


async def test_after_a_cut_everything_comes_back_and_nothing_is_missed(quiet: Kraken) -> None:
    sync = quiet.watch(quiet.btc)
    await until(lambda: sync.live, "a live book")
    best = quiet.server.exchange.best(BTC)[0]
    assert best is not None
    ref = await quiet.placed(price=best.price + quiet.btc.tick, amount=D("0.02"))
    await until(lambda: quiet.news(ref), "news of it")
    token = quiet.session.facts("spot")["token"]
    await quiet.cut()
    quiet.server.exchange.place("other", NewOrder(key=BTC, side=Side.SELL, kind=OrderKind.MARKET, amount=D("0.5")))
    await until(lambda: len(quiet.ear.readied) == 2 and sync.live, "both connections")
    assert quiet.session.facts("spot")["token"] != token, "every connection has a token of its own"
    assert sync.counters.resyncs == 1
    theirs = [fill for fill in quiet.server.exchange.fills("trader") if fill.client_id == ref.client_id]
    assert theirs
    await until(lambda: len(quiet.ear.executions()) == len(theirs), "fills of the time between")
    assert quiet.ear.filled() == D("0.02")
    assert (await quiet.session.order(ref)).status is OrderStatus.FILLED


async def test_a_token_that_expired_before_its_use_is_replaced(quiet: Kraken) -> None:
    quiet.practice.private.token_life = 0
    await quiet.cut(private=True)
    await until(lambda: len(quiet.ear.losses) > 1, "a refused subscription")
    assert len(quiet.ear.readied) == 1
    quiet.practice.private.token_life = 900
    await until(lambda: len(quiet.ear.readied) == 2, "a token that is taken")


async def test_a_token_that_ends_under_an_order_is_replaced(quiet: Kraken) -> None:
    quiet.practice.hub.tokens.clear()
    with pytest.raises(Exception, match="Invalid session"):
        await quiet.session.place(quiet.request())
    assert quiet.server.exchange.open_orders("trader") == []
    await until(lambda: len(quiet.ear.readied) == 2, "a new connection")
    await quiet.placed()
    assert len(quiet.server.exchange.open_orders("trader")) == 1


async def test_a_nonce_that_is_too_low_is_signed_anew(quiet: Kraken) -> None:
    key = quiet.server.credentials["key"]
    quiet.practice.gate.set_nonce(
        key, quiet.session.stamp("spot").nonce + 30_000
    )  # an earlier run whose clock was ahead
    assert await quiet.session.balances()
    ref = await quiet.placed()
    assert (await quiet.session.order(ref)).status is OrderStatus.OPEN
    quiet.practice.gate.set_nonce(key, 2**62)  # another program counts in nanoseconds
    with pytest.raises(NonceTooLow, match="key of its own"):
        await quiet.session.balances()


async def test_private_calls_leave_one_after_the_other(quiet: Kraken) -> None:
    found = await asyncio.gather(*(quiet.session.balances() for _ in range(8)))
    assert all(found), "every nonce was higher than the one before"


async def test_a_lost_answer_is_found_among_many_closed_orders(quiet: Kraken) -> None:
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


async def test_a_refused_subscription_is_told_and_the_others_live(quiet: Kraken) -> None:
    ghost = structs.replace(quiet.btc, wire="FOO/BAR", symbol="FOO-BAR")
    quiet.session.feeds.markets["spot", "FOO/BAR"] = type(quiet.session.feeds.markets["spot", "BTC/USD"])(ghost)
    quiet.session.subscribe(Channel.BOOK, ghost)
    sync = quiet.watch(quiet.btc)
    await until(lambda: sync.live, "a live book")
    await until(lambda: quiet.ear.refusals, "the refusal")
    assert "FOO/BAR" in quiet.ear.refusals[0]


async def test_a_recording_holds_no_secret_and_replays_with_every_checksum(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl.zst"
    async with served(VENUE, seed=6, crowd=(BTC,)) as house:
        secrets = house.server.credentials
        async with house.session(recorder=Recorder(path, secrets.values())) as (session, ear):
            await until(lambda: ear.readied, "the private stream")
            btc = session.instruments["kraken:spot:BTC-USD"]
            session.subscribe(Channel.BOOK, btc)
            sync = session.sync(btc)
            assert sync is not None
            await until(lambda: sync.counters.applied > 20, "updates")
            token, applied = session.facts("spot")["token"], sync.counters.applied
    text = "\n".join(row.data + row.url for row in read(path))
    for secret in (*secrets.values(), token):
        assert secret not in text
    book = replay(path, VENUE).books["kraken:spot:BTC-USD"]
    assert book.applied >= applied
    assert (book.checksums_ok, book.checksums_failed) == (book.applied + 1, 0)
