"""A wall clock that is set while orders are in flight, or between two runs, decides nothing about them."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app.blotter import now_ms
from app.desk import OrderState
from app.inquiry import CLOCKS, LOOK_BACK
from connectors.contract import Page, Venue
from connectors.model import Fill, Instrument, OrderKind, Side
from connectors.practice.server import PracticeServer
from connectors.practice.terms import NewOrder, Refusal, RefusalKind
from connectors.runtime.clock import Clock, lasting
from tests.app.test_desk import KEY, SPOT, terminal_at
from tests.end_to_end.rig import ACCOUNT, all_orders, exchange_of, until

HOUR = 3600
PATIENCE = 4.0  # seconds
wall, wall_ns = time.time, time.time_ns


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch) -> Step:
    return Step(monkeypatch)


class Step:
    """The machine's wall clock, to be set; the exchange has a clock of its own."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.patch = patch

    def __call__(self, seconds: int) -> None:
        self.patch.setattr(time, "time", lambda: wall() + seconds)
        self.patch.setattr(time, "time_ns", lambda: wall_ns() + seconds * 1_000_000_000)


def sooner(venue: Venue) -> Venue:
    """A venue whose requests arrive within less time than its own."""
    ids = {family.name: replace(family.ids, patience=PATIENCE) for family in venue.families}
    return replace(venue, families=tuple(replace(family, ids=ids[family.name]) for family in venue.families))


def true_ms() -> int:
    return wall_ns() // 1_000_000


@pytest.mark.parametrize("hours", [1, -1])
async def test_a_step_of_the_clock_settles_no_order_early_and_keeps_none_in_doubt(
    tmp_path: Path, step: Step, hours: int
) -> None:
    """given a request that is lost on its way, when the clock is set, then the order ends when its time is over, not before."""
    async with exchange_of("binance", now_ms=true_ms) as server, terminal_at(server, tmp_path) as scene:
        await scene.ready(SPOT)
        scene.account.venue = sooner(scene.account.venue)
        server.faults.hold = b"newClientOrderId"
        order = scene.place()
        await until(lambda: server.faults.held, "the request at the door")
        began = time.monotonic()
        await server.cut()
        await until(lambda: order.state is OrderState.UNKNOWN, "the doubt")
        step(hours * HOUR)
        await until(lambda: scene.account.can_trade and KEY in scene.desk._inquiry.reconciled, "the connection")
        await until(lambda: order.state is not OrderState.UNKNOWN, "what became of it")
        assert order.state is OrderState.REJECTED
        assert time.monotonic() - began >= PATIENCE  # it could have arrived until then
        assert all_orders(server) == []
        server.faults.hold = b""


async def test_signatures_and_order_times_go_on_by_the_clock_of_the_start(step: Step) -> None:
    clock = Clock()
    before, stamp = now_ms(), clock.ms()
    step(-HOUR)
    assert 0 <= now_ms() - before < 60_000
    assert 0 <= clock.ms() - stamp < 60_000
    first = lasting()
    assert lasting() >= first


async def test_what_ended_unseen_is_noticed_although_the_clock_was_set_back(tmp_path: Path, step: Step) -> None:
    async with exchange_of("binance", now_ms=true_ms) as server, terminal_at(server, tmp_path) as scene:
        await scene.ready(SPOT)
        order = await scene.works(scene.place())
        step(-HOUR)
        server.faults.stalled = True  # so that no event tells of it
        server.exchange.cancel_all(ACCOUNT)
        await until(lambda: now_ms() > order.touched, "a moment in which nothing happened to it")
        await scene.desk._inquiry.compare_orders(scene.account)
        assert order.state is OrderState.CANCELLED
        server.faults.stalled = False


async def test_a_cancel_that_is_overdue_is_in_doubt_although_the_clock_was_set_back(tmp_path: Path, step: Step) -> None:
    async with exchange_of("binance", now_ms=true_ms) as server, terminal_at(server, tmp_path) as scene:
        await scene.ready(SPOT)
        order = await scene.works(scene.place())
        server.faults.hold = b"orderId"
        scene.desk.cancel(order.id)
        await until(lambda: server.faults.held, "the cancel at the door")
        step(-HOUR)
        await until(lambda: order.doubt(now_ms()) is not None, "the doubt that the trader sees")
        server.faults.hold = b""
        await until(lambda: order.state is OrderState.CANCELLED, "the end")


async def test_an_order_of_a_run_whose_clock_was_ahead_finds_its_executions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """given an order placed by a clock three hours ahead and filled when nobody looked, when the clock is right, it is filled."""
    async with exchange_of("binance", now_ms=true_ms) as server:
        with pytest.MonkeyPatch.context() as ahead:
            ahead.setattr("connectors.runtime.clock._BEGAN", wall() - lasting() + 3 * HOUR)
            async with terminal_at(server, tmp_path) as scene:
                await scene.ready(SPOT)
                order = await scene.works(scene.place(price="62799.95"))
                assert abs(order.created - true_ms() - 3 * HOUR * 1000) < 60_000
        fill(server)
        forget(server, monkeypatch)
        async with terminal_at(server, tmp_path) as scene:
            again = scene.desk.orders[order.id]
            assert abs(again.created - true_ms()) < 60_000  # the journal has the venue's time
            await scene.ready(SPOT)
            await until(lambda: again.filled == again.amount, "its execution")
            assert again.state is OrderState.FILLED


async def test_times_that_lie_in_the_future_say_nothing(tmp_path: Path) -> None:
    """given a journal by a clock that ran ahead, then executions are read from as far back as a venue tells."""
    async with exchange_of("binance", now_ms=true_ms) as server, terminal_at(server, tmp_path) as scene:
        await scene.ready(SPOT)
        scene.place(price="62900")
        await until(lambda: scene.desk.fills, "an execution")
        asked: list[int] = []
        fills, here = scene.account.session.fills, asyncio.current_task()

        async def read(instrument: Instrument, page: Page) -> list[Fill]:
            if asyncio.current_task() is here:  # the desk reads for itself, too
                asked.append(page.start or 0)
            return await fills(instrument, page)

        scene.account.session.fills = read
        instrument = scene.account.instruments[SPOT]
        await scene.desk._inquiry.catch_up_fills(scene.account, instrument, now_ms() + 24 * HOUR * 1000)
        await scene.desk._inquiry.catch_up_fills(scene.account, instrument, now_ms())
        assert abs(asked[0] - (true_ms() - LOOK_BACK)) < 60_000
        assert abs(asked[1] - (true_ms() - CLOCKS)) < 60_000


async def test_the_trader_hears_that_the_clock_was_set(
    tmp_path: Path, step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.desk.LOOK_AT_CLOCK", 0.05)
    async with exchange_of("binance", now_ms=true_ms) as server, terminal_at(server, tmp_path) as scene:
        step(HOUR)
        await until(lambda: any("clock was set" in said for said in scene.said), "the words")
        assert any("3600 s ahead" in said for said in scene.said)


async def test_after_a_sleep_no_book_is_taken_for_live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """given a machine that slept for an hour with its sockets open, then every one is replaced and the books begin anew."""
    slept = 0
    monkeypatch.setattr("connectors.runtime.session.lasting", lambda: lasting() + slept)
    async with exchange_of("binance", now_ms=true_ms) as server, terminal_at(server, tmp_path) as scene:
        await scene.ready(SPOT)
        session = scene.account.session
        links = [*session.feeds.links, *session.private.links]
        before = {link: link.counters.connects for link in links}
        sync = scene.account.sync(scene.account.instruments[SPOT])
        assert sync is not None
        resyncs = sync.counters.resyncs
        slept = HOUR
        await until(lambda: all(link.counters.connects > before[link] for link in links), "every connection anew")
        await until(lambda: sync.live and scene.account.can_trade, "a book to trust")
        assert sync.counters.resyncs > resyncs


def fill(server: PracticeServer) -> None:
    """Somebody sells into the order."""
    server.fund("taker")
    terms = NewOrder(key="spot:BTC-USDT", side=Side.SELL, kind=OrderKind.MARKET, amount=Decimal("0.002"))
    server.exchange.place("taker", terms)


def forget(server: PracticeServer, patch: pytest.MonkeyPatch) -> None:
    """The venue no longer knows an order that ended, as some do: only its executions tell of it."""
    known = server.exchange.order

    def order(account: str, name: Any) -> Any:
        found = known(account, name)
        if found.status.is_final:
            raise Refusal(RefusalKind.UNKNOWN_ORDER, "forgotten")
        return found

    patch.setattr(server.exchange, "order", order)
