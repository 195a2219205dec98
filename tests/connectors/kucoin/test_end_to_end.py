"""A session against KuCoin's practice side over real sockets: from the first token to what is left after a cut."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec import UNSET

from connectors.catalogue import load
from connectors.contract import Channel, Found, Page
from connectors.errors import (
    BadSize,
    InsufficientFunds,
    MarketClosed,
    NotSupported,
    OrderNotFound,
    OutcomeUnknown,
    PermissionDenied,
    ReduceOnlyRefused,
)
from connectors.model import (
    Candle,
    Instrument,
    InstrumentStatus,
    MarkPrice,
    OrderKind,
    OrderRef,
    OrderRequest,
    OrderStatus,
    Side,
    Ticker,
    TimeInForce,
    Trade,
)
from connectors.practice.terms import NewOrder, Wallet
from connectors.runtime.record import Recorder, Row, read
from connectors.runtime.replay import Replay, replay
from connectors.runtime.session import Session
from connectors.sync import BookSync
from tests.connectors.bench import Bench, House, opened, served
from tests.ear import Ear
from tests.waiting import until

D = Decimal
VENUE = load("kucoin")


class KuCoin(Bench):
    """`spot`, `perp` and `inverse`."""

    NAMES = ("spot:BTC-USDT", "perp:BTC-USDT", "perp:BTC-USD")
    USUAL = {"amount": D("0.01"), "price": D(60000)}

    def __init__(self, house: House, session: Session, ear: Ear) -> None:
        super().__init__(house, session, ear)
        self.spot, self.perp, self.inverse = self.instruments

    def request(self, instrument: Instrument | None = None, /, **fields: Any) -> OrderRequest:
        if instrument in (self.perp, self.inverse):
            fields = {"amount": D(10), **fields}
        return super().request(instrument, **fields)

    def sell(self, key: str, price: Decimal, amount: Decimal) -> None:
        """A third account sells into everything that stands."""
        self.exchange.open_account("third")
        self.exchange.deposit("third", "BTC", D(100))
        self.exchange.place("third", NewOrder(key=key, side=Side.SELL, price=price, amount=amount))
        self.server.flush()

    def own(self, ref: OrderRef) -> Any:
        """The exchange's own image of an order."""
        return self.exchange.order("trader", ref.client_id)


@pytest.fixture
async def crowded() -> AsyncIterator[KuCoin]:
    """With a crowd."""
    async with opened(KuCoin, VENUE, crowd=True) as found:
        yield found


@pytest.fixture
async def bench() -> AsyncIterator[KuCoin]:
    """Without a crowd: orders of another account stand around 62,800, and nothing moves by itself."""
    async with opened(KuCoin, VENUE) as found:
        for key, amount in zip(KuCoin.NAMES, (D("0.3"), D(300), D(3000)), strict=True):
            found.surround(key, D(62800), D("0.1"), amount)
        yield found


# Market data


async def test_books_are_the_exchanges_own_after_many_updates_of_a_crowd(crowded: KuCoin) -> None:
    bench = crowded
    pairs = ((bench.spot, "spot:BTC-USDT"), (bench.perp, "perp:BTC-USDT"), (bench.inverse, "perp:BTC-USD"))
    syncs = [bench.watch(instrument) for instrument, _ in pairs]
    bench.session.subscribe(Channel.TOP, bench.spot)
    for sync, (instrument, key) in zip(syncs, pairs, strict=True):
        product = bench.practice.spot if instrument is bench.spot else bench.practice.futures

        def same(sync: BookSync = sync, key: str = key, product: Any = product) -> bool:
            if sync.counters.applied < 60 or sync.last_id != product.sequence(key, bench.exchange.sequence(key)):
                return False
            assert sync.book.top(100) == bench.levels(key, 100)
            return True

        await until(same, f"a book of {key} at the exchange's own number")
        assert (sync.counters.gaps, sync.counters.crossed, sync.counters.resyncs) == (0, 0, 0)
    assert bench.ear.refusals == []
    assert all(row.unknown == row.declined == 0 for row in bench.session.health)


async def test_every_channel_speaks(crowded: KuCoin) -> None:
    bench = crowded
    for instrument in (bench.spot, bench.perp):
        for channel in (Channel.TRADES, Channel.TOP, Channel.TICKER):
            bench.session.subscribe(channel, instrument)
        bench.session.subscribe(Channel.CANDLES, instrument, "1m")
    bench.session.subscribe(Channel.MARK, bench.perp)

    def kinds(wire: str) -> set[str]:
        found = set()
        for event in bench.ear.market_events:
            if getattr(event, "wire", "") == wire:
                found.add("day" if isinstance(event, Ticker) and event.high is not None else type(event).__name__)
        return found

    await until(lambda: kinds("BTC-USDT") == {"Trade", "Ticker", "Candle", "day"}, "all of spot")
    await until(lambda: kinds("XBTUSDTM") == {"Trade", "Ticker", "Candle", "day", "MarkPrice"}, "all of futures")
    assert all(
        event.amount == int(event.amount)
        for event in bench.ear.market_events
        if isinstance(event, Trade) and event.wire == "XBTUSDTM"
    )
    assert any(isinstance(event, MarkPrice) and event.mark > 0 for event in bench.ear.market_events)
    for instrument in (bench.spot, bench.perp):
        bars: list[Candle] = await bench.session.candles(instrument, "5m", Page(limit=50))
        assert len(bars) == 50
        assert [bar.start for bar in bars] == sorted(bar.start for bar in bars)
        assert all(bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in bars)
        earlier = await bench.session.candles(instrument, "5m", Page(end=bars[0].start, limit=10))
        assert earlier[-1].start == bars[0].start
        assert len(await bench.session.trades(instrument)) > 0
    tickers = await bench.session.tickers([bench.spot, bench.perp])
    assert [instrument.wire for instrument, _ in tickers] == ["BTC-USDT", "XBTUSDTM"]
    assert all(row.last and row.high and row.low for _, row in tickers)


async def test_symbols_keep_the_old_names_of_coins(bench: KuCoin) -> None:
    bsv = bench.session.instruments["kucoin:spot:BSV-USDT"]
    assert bsv.wire == "BCHSV-USDT"
    placed = await bench.placed(bsv, amount=D(1), price=D(10))
    assert [row.wire for row in await bench.session.open_orders(bsv)] == ["BCHSV-USDT"]
    await bench.session.cancel(placed)
    await bench.reached(placed, OrderStatus.CANCELLED)
    assert ("spot", "BSV") in bench.ear.balances


async def test_without_a_key_the_book_is_known_to_a_hundred_levels(bench: KuCoin) -> None:
    for level in range(20, 160):
        bench.rest("spot:BTC-USDT", Side.BUY, D(62800) - level, D("0.01"))
    async with bench.house.session(keyed=False) as (session, _):
        spot = session.instruments["kucoin:spot:BTC-USDT"]
        session.subscribe(Channel.BOOK, spot)
        sync = session.sync(spot)
        assert sync is not None
        await until(lambda: sync.live, "the book")
        assert len(sync.book.bids) == 100
        assert sync.horizon is not None
        with_key = bench.watch(bench.spot)
        await until(lambda: with_key.live, "the book with a key")
        assert len(with_key.book.bids) == 151
        assert with_key.horizon is None


# Orders


async def test_every_kind_of_spot_order(bench: KuCoin) -> None:
    resting = await bench.placed()
    await bench.reached(resting, OrderStatus.OPEN)
    market = await bench.placed(kind=OrderKind.MARKET, price=None, amount=D("0.05"))
    await bench.reached(market, OrderStatus.FILLED)
    spent = await bench.placed(kind=OrderKind.MARKET, price=None, amount=None, quote_amount=D(100))
    await until(lambda: bench.own(spent).status.is_final, "the market order by money")
    assert bench.own(spent).filled_value <= 100
    maker = await bench.placed(post_only=True, price=D(60001))
    await bench.reached(maker, OrderStatus.OPEN)
    taker = await bench.placed(post_only=True, price=D(63000))
    assert (await bench.reached(taker, OrderStatus.EXPIRED)).filled in (0, UNSET)
    ioc = await bench.placed(tif=TimeInForce.IOC, price=D("62800.1"), amount=D(5))
    update = await bench.reached(ioc, OrderStatus.EXPIRED)
    assert update.filled == bench.own(ioc).filled > 0
    fok = await bench.placed(tif=TimeInForce.FOK, price=D("62800.2"), amount=D(50))
    await bench.reached(fok, OrderStatus.EXPIRED)
    assert bench.own(fok).filled == 0
    for kind, trigger, price in (
        (OrderKind.STOP, D(63500), None),
        (OrderKind.STOP_LIMIT, D(63500), D(63600)),
        (OrderKind.TAKE_PROFIT, D(61000), None),
        (OrderKind.TAKE_PROFIT_LIMIT, D(61000), D(60900)),
    ):
        stop = await bench.placed(kind=kind, trigger=trigger, price=price)
        assert stop.algo
        assert stop.venue_id.startswith("vs")
        update = await bench.reached(stop, OrderStatus.UNTRIGGERED)
        assert (update.kind, update.trigger) == (kind, trigger)
    rows = await bench.session.open_orders()
    assert {row.kind for row in rows if row.algo} == {kind for kind in OrderKind if kind.has_trigger}
    assert len(rows) == 6
    await bench.session.cancel_all(bench.spot)
    await until(lambda: not bench.server.exchange.open_orders("trader"), "no open order")


async def test_every_kind_of_futures_order(bench: KuCoin) -> None:
    resting = await bench.placed(bench.perp)
    await bench.reached(resting, OrderStatus.OPEN)
    market = await bench.placed(bench.perp, kind=OrderKind.MARKET, price=None)
    await bench.reached(market, OrderStatus.FILLED)
    ioc = await bench.placed(bench.perp, tif=TimeInForce.IOC, price=D("62800.1"), amount=D(5000))
    await bench.reached(ioc, OrderStatus.CANCELLED)  # the stream does not say why here; the row does
    assert (await bench.session.order(ioc)).status is OrderStatus.EXPIRED
    maker = await bench.placed(bench.perp, post_only=True, price=D(60001))
    await bench.reached(maker, OrderStatus.OPEN)
    for kind, trigger, price in (
        (OrderKind.STOP, D(63500), None),
        (OrderKind.STOP_LIMIT, D(63500), D(63600)),
        (OrderKind.TAKE_PROFIT, D(61000), None),
        (OrderKind.TAKE_PROFIT_LIMIT, D(61000), D(60900)),
    ):
        stop = await bench.placed(bench.perp, kind=kind, trigger=trigger, price=price)
        update = await bench.reached(stop, OrderStatus.UNTRIGGERED)
        assert (update.kind, update.trigger) == (kind, trigger)
    rows = await bench.session.open_orders(bench.perp)
    assert sum(row.status is OrderStatus.UNTRIGGERED for row in rows) == 4
    assert len(rows) == 6
    await bench.session.cancel_all(bench.perp)
    await until(lambda: not bench.server.exchange.open_orders("trader"), "no open order")
    held = bench.exchange.position("trader", "perp:BTC-USDT").size
    assert held > 0
    await until(lambda: (p := bench.ear.positions.get("XBTUSDTM")) and p.size == held, "the whole position")
    with pytest.raises(ReduceOnlyRefused):
        await bench.placed(bench.perp, kind=OrderKind.MARKET, price=None, reduce_only=True)
    await bench.placed(bench.perp, kind=OrderKind.MARKET, price=None, side=Side.SELL, amount=held, reduce_only=True)
    await until(lambda: bench.ear.positions["XBTUSDTM"].size == 0, "the end of the position")


async def test_a_stop_that_triggers_goes_on_under_an_id_of_the_other_kind(bench: KuCoin) -> None:
    stop = await bench.placed(
        kind=OrderKind.STOP_LIMIT, side=Side.SELL, trigger=D("62799.5"), price=D(63500), amount=D("0.02")
    )
    await bench.reached(stop, OrderStatus.UNTRIGGERED)
    assert (await bench.session.order(stop)).status is OrderStatus.UNTRIGGERED
    await bench.placed(kind=OrderKind.MARKET, side=Side.SELL, price=None, amount=D("1.7"))  # through 62,799.5
    update = await until(
        lambda: next((row for row in bench.ear.orders if row.client_id == stop.client_id and not row.algo), None),
        "the order that it became",
    )
    assert update.venue_id != stop.venue_id
    working = await bench.session.order(stop)
    assert (working.status, working.algo, working.venue_id) == (OrderStatus.OPEN, True, update.venue_id)
    await bench.session.cancel(stop)
    await until(lambda: bench.own(stop).status is OrderStatus.CANCELLED, "the end")


async def test_a_part_is_filled_then_the_rest_is_cancelled_and_fees_follow(bench: KuCoin) -> None:
    order = await bench.placed(price=D("62800.1"), amount=D("0.5"))  # 0.3 stand there
    await until(lambda: any(fill.fee is not None for fill in bench.ear.fills), "the fee")
    paid = [fill for fill in bench.ear.fills if fill.fee is not None]
    (own,) = bench.server.exchange.fills("trader", "spot:BTC-USDT")
    first, told = bench.ear.fills[0], paid[0]
    assert (first.fee, told.id, told.venue_id) == (None, first.id, order.venue_id)
    assert (told.fee, told.fee_asset, told.amount) == (own.fee, "USDT", D("0.3"))
    await bench.session.cancel(order)
    update = await bench.reached(order, OrderStatus.CANCELLED)
    assert update.filled == D("0.3")
    with pytest.raises(OrderNotFound):
        await bench.session.cancel(order)
    fills = await bench.session.fills(bench.spot, Page())
    assert [(fill.id, fill.fee) for fill in fills] == [(told.id, own.fee)]
    own_balance = bench.server.exchange.balance("trader", "USDT", Wallet.SPOT)
    await until(lambda: bench.ear.balances["spot", "USDT"].total == own_balance.total, "the balance")


async def test_a_fee_on_futures_is_looked_up_too(bench: KuCoin) -> None:
    await bench.placed(bench.inverse, kind=OrderKind.MARKET, price=None, amount=D(5000))
    await until(lambda: sum(fill.fee is not None for fill in bench.ear.fills) == 2, "both fees")
    own = {str(fill.size): fill.fee for fill in bench.server.exchange.fills("trader", "perp:BTC-USD")}
    told = {str(fill.amount): fill.fee for fill in bench.ear.fills if fill.fee is not None}
    assert told == own
    assert {fill.fee_asset for fill in bench.ear.fills if fill.fee is not None} == {"BTC"}
    position = await until(lambda: bench.ear.positions.get("XBTUSDM"), "the position")
    assert position.size == 5000
    assert bench.inverse.notional(D(50_000), D(5000)) == D("0.1")


async def test_an_amended_order_stays_one_order_under_another_id(bench: KuCoin) -> None:
    order = await bench.placed(price=D("62800.1"), amount=D("0.5"))
    await bench.reached(order, OrderStatus.PARTLY_FILLED)
    seen = len(bench.ear.orders)
    update = await bench.session.amend(order, price=D(62000), amount=D("0.9"))
    assert update.venue_id != order.venue_id
    assert (update.previous_id, update.client_id) == (order.venue_id, order.client_id)
    assert (update.amount, update.filled) == (D("0.9"), D("0.3"))
    own = bench.own(order)
    assert (own.amount, own.filled, own.price) == (D("0.6"), 0, 62000)
    fresh = OrderRef(instrument=bench.spot, venue_id=update.venue_id, client_id=order.client_id)
    bench.sell("spot:BTC-USDT", D(62000), D("6"))  # meets the bids above first, then ours
    await until(lambda: bench.own(order).status is OrderStatus.FILLED, "the rest")
    last = await bench.reached(fresh, OrderStatus.FILLED)
    assert (last.amount, last.filled) == (D("0.9"), D("0.9"))
    told = [row.status for row in bench.ear.orders[seen:]]
    assert OrderStatus.CANCELLED not in told, "the end of the old id is not the end of the order"
    assert {row.venue_id for row in bench.ear.orders[seen:]} == {update.venue_id}
    total = sum(fill.amount for fill in bench.ear.fills if fill.fee is None)
    assert total == D("0.9")


async def test_an_amend_whose_answer_is_lost_is_found_by_our_own_id(bench: KuCoin) -> None:
    order = await bench.placed()
    await bench.reached(order, OrderStatus.OPEN)
    bench.server.faults.lose_next.append("cut")
    seen = len(bench.ear.orders)
    with pytest.raises(OutcomeUnknown):
        await bench.session.amend(order, price=D(60005))
    found = await bench.session.order(order)
    assert found.venue_id != order.venue_id
    assert (found.status, found.price) == (OrderStatus.OPEN, 60005)
    assert all(row.status is not OrderStatus.CANCELLED for row in bench.ear.orders[seen:])


async def test_futures_cannot_be_amended(bench: KuCoin) -> None:
    order = await bench.placed(bench.perp)
    with pytest.raises(NotSupported):
        await bench.session.amend(order, price=D(60001))


@pytest.mark.parametrize("loss", ["503", "cut"])
@pytest.mark.parametrize("kind", [OrderKind.LIMIT, OrderKind.STOP])
async def test_an_order_whose_answer_is_lost_is_found_and_never_sent_twice(
    bench: KuCoin, loss: str, kind: OrderKind
) -> None:
    fields: dict[str, Any] = {} if kind is OrderKind.LIMIT else {"kind": kind, "trigger": D(63500), "price": None}
    wish = bench.request(**fields)
    bench.server.faults.lose_next.append(loss)
    with pytest.raises(OutcomeUnknown):
        await bench.session.place(wish)
    search = await bench.session.search(wish)
    assert search.found is Found.FOUND
    assert search.order is not None
    assert search.order.client_id == wish.client_id
    assert len(bench.server.exchange.open_orders("trader")) == 1
    absent = await bench.session.search(bench.request(**fields))
    assert absent.found is Found.NOT_YET


async def test_refusals_are_told_apart(bench: KuCoin) -> None:
    with pytest.raises(InsufficientFunds):
        await bench.placed(amount=D(1000))
    with pytest.raises(BadSize):
        await bench.placed(bench.perp, amount=D("1.5"))
    bench.server.exchange.set_status("spot:BTC-USDT", InstrumentStatus.CLOSED)
    with pytest.raises(MarketClosed):
        await bench.placed()
    assert bench.server.exchange.open_orders("trader") == []


async def test_an_order_learns_the_margin_mode_from_a_refusal_and_the_next_ones_know_it(bench: KuCoin) -> None:
    paths: list[str] = []
    answer = bench.practice.http

    def counted(request: Any, now_ms: int) -> Any:
        paths.append(request.path)
        return answer(request, now_ms)

    bench.practice.futures.modes["trader", "perp:BTC-USDT"] = "CROSS"
    bench.practice.http = counted
    await bench.placed(bench.perp)
    assert paths == ["/api/v1/orders", "/api/v2/position/getMarginMode", "/api/v1/orders"]
    paths.clear()
    await bench.placed(bench.perp)
    assert paths == ["/api/v1/orders"]
    assert len(bench.server.exchange.open_orders("trader")) == 2


async def test_leverage_in_both_margin_modes(bench: KuCoin) -> None:
    bench.practice.futures.modes["trader", "perp:BTC-USDT"] = "CROSS"
    await bench.session.set_leverage(bench.perp, 7)
    assert bench.server.exchange.leverage("trader", "perp:BTC-USDT") == 7
    await bench.session.set_leverage(bench.inverse, 3)
    await bench.placed(bench.inverse, amount=D(100))
    assert bench.server.exchange.leverage("trader", "perp:BTC-USD") == 3


async def test_the_dead_mans_switch_of_the_venue(bench: KuCoin) -> None:
    await bench.placed()
    family = VENUE.family("spot")
    await bench.session.dead_man(bench.spot, 10, family)
    await bench.session.dead_man(bench.spot, 0, family)
    bench.server.advance(bench.server._now_ms() + 11_000)
    assert len(bench.server.exchange.open_orders("trader")) == 1
    await bench.session.dead_man(None, 10, family)
    bench.server.advance(bench.server._now_ms() + 22_000)
    assert bench.server.exchange.open_orders("trader") == []


# Accounts and connections


async def test_balances_of_both_products_and_a_hint_at_none(bench: KuCoin) -> None:
    held = {(family, row.asset): row for family, row in await bench.session.balances()}
    assert held["spot", "USDT"].total == bench.server.exchange.balance("trader", "USDT").total
    assert held["futures", "USDT"].total == bench.server.exchange.balance("trader", "USDT", Wallet.MARGIN).total
    assert held["futures", "BTC"].total == 10
    await bench.placed()
    usdt = await until(
        lambda: (row := bench.ear.balances["spot", "USDT"]).held and row, "what the order holds, fee included"
    )
    assert usdt.held == D("0.01") * 60000 * D("1.001")


async def test_a_cut_is_told_and_healed_with_tokens_anew(bench: KuCoin) -> None:
    sync = bench.watch(bench.spot)
    await until(lambda: sync.live, "the book")
    tokens = len(bench.practice._tokens)
    assert await bench.cut() == 3
    assert len(bench.ear.losses) == 2
    order = await bench.placed()  # while the streams are away
    await until(lambda: len(bench.ear.readied) == 4, "both streams again")
    await until(lambda: sync.live, "the book again")
    assert len(bench.practice._tokens) == tokens + 3
    assert sync.counters.resyncs == 1
    bench.sell("spot:BTC-USDT", D(60000), D("5"))
    await bench.reached(order, OrderStatus.FILLED)


async def test_tokens_that_end_are_replaced(bench: KuCoin) -> None:
    sync = bench.watch(bench.spot)
    await until(lambda: sync.live, "the book")
    assert bench.practice.expire()
    bench.server.advance(bench.server._now_ms())
    await until(lambda: len(bench.ear.readied) == 4, "both streams again")
    await until(lambda: sync.live and sync.counters.resyncs == 1, "the book again")
    assert any("token is expired" in loss.why for loss in bench.ear.losses)


async def test_a_client_that_does_not_beat_is_thrown_out_and_ours_beats(bench: KuCoin) -> None:
    for socket in bench.practice.spot.sockets:
        socket._heard_at -= 61_000
    bench.server.advance(bench.server._now_ms())
    await until(lambda: len(bench.ear.readied) == 3, "the stream again")
    link = next(link for link in bench.session.private.links if link.family == "spot")
    assert link._beating.every == 18.0
    assert link._beating.dead_after == 28.0


async def test_a_unified_account_is_refused_with_its_reason() -> None:
    async with served(VENUE) as house:
        house.practice.unified = True
        async with house.session() as (session, ear):
            await until(lambda: session.problem, "the reason")
            assert "Unified Trading Account" in session.problem
            assert ear.readied == []
            with pytest.raises(PermissionDenied):
                await KuCoin(house, session, ear).place(amount=D(1), price=D(1000))


async def test_a_key_without_futures_trades_spot() -> None:
    async with served(VENUE) as house:
        house.practice.permission = "General,Spot"
        async with house.session() as (session, ear):
            await until(lambda: ear.readied == ["spot"] and "futures" in session.absent, "spot alone")
            assert "Futures" in session.absent["futures"]


async def test_a_wrong_passphrase_is_told_at_once() -> None:
    async with served(VENUE) as house:
        secrets = {**house.server.credentials, "passphrase": "wrong"}
        async with house.session(secrets=secrets) as (session, ear):
            await until(lambda: session.problem, "the reason")
            assert "KC-API-PASSPHRASE" in session.problem
            assert ear.losses


def test_a_recording_made_without_a_key_replays_its_books_from_the_public_snapshot() -> None:
    """given updates and the hundred levels that anybody may ask for, then the book is made of them."""

    def said(data: Any) -> str:
        return json.dumps({"code": "200000", "data": data})

    def update(number: int, price: str, size: str) -> str:
        row: dict[str, Any] = {"changes": {"asks": [], "bids": [[price, size, str(number)]]}, "symbol": "BTC-USDT"}
        row |= {"sequenceStart": number, "sequenceEnd": number}
        return json.dumps(
            {"topic": "/market/level2:BTC-USDT", "type": "message", "subject": "trade.l2update", "data": row}
        )

    api, ws = "https://api.kucoin.com/api/v1", "wss://ws-api-spot.kucoin.com/"
    image = {"sequence": "7", "time": 5, "bids": [["10", "1"]], "asks": [["12", "1"]]}
    run = Replay(VENUE)
    for moment, (direction, url, data) in enumerate(
        [
            ("in", ws, update(7, "9", "1")),
            ("in", ws, update(8, "11", "2")),
            ("http", f"{api}/market/orderbook/level2_100?symbol=BTC-USDT", said(image)),
            ("in", ws, update(9, "11", "3")),
        ]
    ):
        run.feed(Row(ts=moment, conn="a", dir=direction, url=url, data=data))
    book = run.finish().books["kucoin:spot:BTC-USDT"]
    assert (book.applied, book.dropped, book.gaps, book.best_bid, book.best_ask) == (2, 1, 0, 11, 12)


async def test_a_recording_holds_no_token_names_real_hosts_and_replays(tmp_path: Path) -> None:
    path = tmp_path / "kucoin.zst"
    async with served(VENUE, crowd=True) as house:
        secrets = house.server.credentials
        async with house.session(recorder=Recorder(path, secrets.values())) as (session, ear):
            await until(lambda: len(ear.readied) == 2, "both private streams")
            spot = session.instruments["kucoin:spot:BTC-USDT"]
            session.subscribe(Channel.BOOK, spot)
            session.subscribe(Channel.TOP, spot)
            sync = session.sync(spot)
            assert sync is not None
            await until(lambda: sync.counters.applied > 60, "updates")
        tokens = list(house.practice._tokens)
    rows = list(read(path))
    text = "\n".join(f"{row.url} {row.data}" for row in rows)
    assert not any(token in text for token in tokens)
    assert not any(secret in text for secret in secrets.values())
    assert "127.0.0.1" not in "".join(row.url for row in rows)
    assert {row.url for row in rows if row.dir == "in"} >= {"wss://ws-api-spot.kucoin.com/"}
    report = replay(path, VENUE)
    book = report.books["kucoin:spot:BTC-USDT"]
    assert (book.gaps, book.tops_compared, book.tops_equal) == (0, book.tops_equal, book.tops_compared)
    assert book.tops_compared > 0
    assert report.not_understood == 0
