"""The crowd: deterministic, deep, tight, conserving, and quick enough to stand beside a terminal."""

from __future__ import annotations

import hashlib
import itertools
from decimal import Decimal
from statistics import median

import pytest

from connectors.catalogue import load
from connectors.model import OrderKind, OrderStatus, Side
from connectors.practice.crowd import Crowd
from connectors.practice.exchange import Exchange
from connectors.practice.listings import DEFAULT, Listing
from connectors.practice.server import PracticeServer
from connectors.practice.terms import BookChanged, Event, NewOrder, Traded
from tests.waiting import until

START = 1_790_000_000_000
SOME = ("spot:BTC-USDT", "spot:DOGE-USDT", "perp:BTC-USDT", "perp:BTC-USD")


def lively(seed: int, keys: tuple[str, ...] = SOME, rate: float = 300.0) -> tuple[Exchange, Crowd]:
    exchange = Exchange(DEFAULT, start_ms=START)
    crowd = Crowd(exchange, keys, seed=seed, rate=rate)
    crowd.populate()
    return exchange, crowd


def fingerprint(seed: int, stride: int) -> str:
    """Hash of every market event of three seconds."""
    exchange, crowd = lively(seed)
    digest = hashlib.sha256()

    def hear(event: Event) -> None:
        digest.update(repr(event).encode())

    exchange.watch_market(hear)
    for now in range(START + stride, START + 3001, stride):
        crowd.step(now)
    digest.update(str([exchange.candles(key, 60_000, limit=5) for key in SOME]).encode())
    return digest.hexdigest()


def test_the_same_seed_makes_the_same_market_however_often_it_is_stepped() -> None:
    assert fingerprint(1, 100) == fingerprint(1, 100)
    assert fingerprint(1, 100) == fingerprint(1, 1000)
    assert fingerprint(1, 100) != fingerprint(2, 100)


def test_for_a_minute_the_book_stays_deep_tight_whole_and_moving() -> None:
    exchange, crowd = lively(3)
    ticks = {key: exchange.listings[key].tick for key in SOME}
    spreads: dict[str, list[Decimal]] = {key: [] for key in SOME}
    moved = dict.fromkeys(SOME, 0)
    sequences = {key: exchange.sequence(key) for key in SOME}
    for tenth in range(1, 601):
        crowd.step(START + tenth * 100)
        for key in SOME:
            bid, ask = exchange.best(key)
            assert bid is not None
            assert ask is not None
            assert bid.price < ask.price
            spreads[key].append((ask.price - bid.price) / ticks[key])
            moved[key] += exchange.sequence(key) > sequences[key]
            sequences[key] = exchange.sequence(key)
        if tenth % 20 == 0:
            for key in SOME:
                book = exchange.book(key)
                assert min(len(book.bids), len(book.asks)) >= 900
    for key in SOME:
        assert median(spreads[key]) <= 3
        assert sorted(spreads[key])[540] <= 12
        assert moved[key] >= 500
        assert exchange.trades(key, limit=5000)[-1].time > START
        assert abs(exchange.ticker(key).last / exchange.listings[key].reference - 1) < Decimal("0.03")
    for asset in ("USDT", "BTC", "DOGE"):
        assert exchange.imbalance(asset) == 0


def test_all_default_listings_are_populated_with_a_believable_book_and_a_day_of_candles() -> None:
    exchange, _ = lively(4, tuple(listing.key for listing in DEFAULT))
    for listing in DEFAULT:
        book = exchange.book(listing.key)
        assert len(book.bids) >= 900
        assert len(book.asks) >= 900
        best_bid, best_ask = exchange.best(listing.key)
        assert best_bid is not None
        assert best_ask is not None
        assert abs(best_bid.price / listing.reference - 1) < Decimal("0.001")
        # thin at the top: the nearest ten levels hold far less than ten of the hundreds further out
        near = sum(level.size for level in book.asks[:10])
        far = sum(level.size for level in book.asks[300:310])
        assert near < far
        bars = exchange.candles(listing.key, 60_000, limit=1440)
        assert len(bars) == 1440
        assert all(bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in bars)
        assert all(after.start - before.start == 60_000 for before, after in itertools.pairwise(bars))
        assert len(exchange.candles(listing.key, 3_600_000, limit=500)) == 500
        assert len(exchange.candles(listing.key, 86_400_000, limit=500)) == 500
        ticker = exchange.ticker(listing.key)
        assert ticker.low <= ticker.last <= ticker.high
        assert ticker.volume > 0


def test_a_trader_can_trade_with_the_crowd() -> None:
    exchange, crowd = lively(5)
    exchange.open_account("ann")
    exchange.deposit("ann", "USDT", Decimal(100_000))
    bought = exchange.place(
        "ann", NewOrder(key=SOME[0], side=Side.BUY, kind=OrderKind.MARKET, quote_amount=Decimal(50_000))
    )
    assert bought.status is OrderStatus.FILLED
    bid, _ = exchange.best(SOME[0])
    assert bid is not None
    resting = exchange.place(
        "ann", NewOrder(key=SOME[0], side=Side.SELL, price=bid.price + Decimal("0.01"), amount=Decimal("0.001"))
    )
    for second in range(1, 61):
        crowd.step(START + second * 1000)
    assert exchange.order("ann", resting.id).status is OrderStatus.FILLED
    assert exchange.imbalance("USDT") == 0
    assert exchange.imbalance("BTC") == 0


def test_after_a_long_pause_the_crowd_goes_on_instead_of_catching_up() -> None:
    exchange, crowd = lively(6)
    crowd.step(START + 1000)
    sent = crowd.step(START + 8 * 3_600_000)
    assert sent < 100
    assert crowd.step(START + 8 * 3_600_000 + 1000) > 100
    assert exchange.now_ms == START + 8 * 3_600_000 + 1000


def test_market_events_rebuild_the_crowds_book_change_by_change() -> None:
    exchange, crowd = lively(7)
    key = SOME[0]
    image = exchange.book(key)
    levels = {(Side.BUY, row.price): row.size for row in image.bids} | {
        (Side.SELL, row.price): row.size for row in image.asks
    }
    following = [image.sequence]
    trades: list[int] = []

    def hear(event: Event) -> None:
        if isinstance(event, BookChanged):
            levels[event.side, event.price] = event.size
            following.append(event.book_sequence)
        elif isinstance(event, Traded):
            trades.append(event.trade.id)

    exchange.watch_market(hear, key)
    for second in range(1, 11):
        crowd.step(START + second * 1000)
    after = exchange.book(key)
    expected = {(Side.BUY, row.price): row.size for row in after.bids} | {
        (Side.SELL, row.price): row.size for row in after.asks
    }
    assert {place: size for place, size in levels.items() if size} == expected
    assert following == list(range(image.sequence, after.sequence + 1))
    assert trades == list(range(trades[0], trades[0] + len(trades)))


def test_a_crowd_may_be_put_before_any_listing() -> None:
    one = Decimal(1)
    listing = Listing(base="COW", quote="PIG", tick=one, step=one, reference=Decimal(5000))
    exchange = Exchange([listing], start_ms=START)
    crowd = Crowd(exchange, [listing.key], seed=1, rate=100)
    crowd.populate(history_ms=3_600_000)
    crowd.step(START + 4000)
    assert len(exchange.book(listing.key).bids) > 900


def test_one_asset_in_several_quotes_keeps_the_price_of_each_and_moves_together() -> None:
    def listed(base: str, quote: str, tick: str, reference: str) -> Listing:
        step = Decimal("0.00000001")
        return Listing(base=base, quote=quote, tick=Decimal(tick), step=step, reference=Decimal(reference))

    listings = [
        listed("BTC", "USD", "0.1", "62800"),
        listed("BTC", "EUR", "0.1", "54120"),
        listed("ETH", "USD", "0.01", "2318"),
        listed("ETH", "BTC", "0.00001", "0.03691"),
    ]
    exchange = Exchange(listings, start_ms=START)
    crowd = Crowd(exchange, [listing.key for listing in listings], seed=8)
    crowd.populate()
    for second in range(1, 31):
        crowd.step(START + second * 1000)
    moves = {}
    for listing in listings:
        ticker = exchange.ticker(listing.key)
        moves[listing.symbol] = float(ticker.last / listing.reference)
        assert abs(moves[listing.symbol] - 1) < 0.03
        assert ticker.low <= ticker.last <= ticker.high < listing.reference * 2
    assert abs(moves["BTC-USD"] - moves["BTC-EUR"]) < 0.005
    assert abs(moves["ETH-USD"] - moves["ETH-BTC"]) < 0.005


async def test_an_error_in_one_step_is_told_once_and_the_market_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server = PracticeServer(load("binance"), seed=1, crowd=["spot:BTC-USDT"])
    crowd = server.crowd
    assert crowd is not None
    plain, failures, steps = crowd.step, 3, 0

    def step(now_ms: int) -> int:
        nonlocal failures, steps
        if failures:
            failures -= 1
            raise KeyError("a level that is not there")
        steps += 1
        return plain(now_ms)

    monkeypatch.setattr(crowd, "step", step)
    await server.start()
    try:
        await until(lambda: steps > 2, "the market to go on")
    finally:
        await server.stop()
    assert [record.message for record in caplog.records] == ["the practice exchange of binance stumbled"]
