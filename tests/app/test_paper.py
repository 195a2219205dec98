"""Paper accounts through the desk: the public data is a practice server's, over real sockets; the orders are ours alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.accounts import Account, AccountState
from app.guard import Limits
from app.orders import Draft, Order, OrderState
from app.paper import PaperSession
from app.settings import Settings
from app.terminal import Terminal
from connectors.catalogue import load, slugs
from connectors.contract import Environment, Lifecycle, Page
from connectors.model import Fees, Instrument, OrderKind, Side
from connectors.practice.server import PracticeServer
from connectors.practice.terms import NewOrder
from tests.end_to_end.rig import demonstrated
from tests.waiting import until

D = Decimal
PAPER = "binance:paper"
KEY = "binance:spot:BTC-USDT"
PERP = "binance:perp:BTC-USDT"


class Market:
    """A quiet practice exchange behind Binance's protocol, that a test moves by hand as the account `street`."""

    def __init__(self) -> None:
        self.server = PracticeServer(load("binance"), crowd=False)

    async def start(self) -> None:
        """Serve, and put a few levels on."""
        await self.server.start()
        self.server.fund("street")
        self.server.fund("taker")
        for step in range(1, 6):
            self.order("street", Side.BUY, "1", str(62_800 - step))
            self.order("street", Side.SELL, "1", str(62_800 + step))
            self.order("street", Side.BUY, "1", str(62_800 - step), key="perp:BTC-USDT")
            self.order("street", Side.SELL, "1", str(62_800 + step), key="perp:BTC-USDT")

    async def passes(self, account: Account) -> None:
        """Wait until the exchange's clock has passed what the account takes for its time, which is an estimate.

        What trades before that would count as older than an order that was placed just now.
        """
        moment = account.session.now_ms()
        await until(lambda: time.time_ns() // 1_000_000 > moment, "the exchange's clock")

    def order(self, account: str, side: Side, amount: str, price: str, key: str = "spot:BTC-USDT") -> int:
        """A limit order at the exchange, now."""
        self.server.exchange.advance(time.time_ns() // 1_000_000)
        return self.server.exchange.place(account, NewOrder(key=key, side=side, amount=D(amount), price=D(price))).id


Scenario = Callable[[Terminal, Market], Awaitable[None]]


def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *scenarios: Scenario) -> None:
    """Run each scenario in a terminal of its own, one after the other, on the same folder and market."""
    monkeypatch.setenv("FATHOM_HOME", str(tmp_path))
    monkeypatch.setattr("connectors.sync._FIRST_DELTA_WAIT", 0.0)  # a market that stands still tells of no change

    async def run() -> None:
        market = Market()
        await market.start()
        try:
            for scenario in scenarios:
                settings = Settings()
                settings.preferences.accounts = [PAPER]
                terminal = Terminal(settings=settings)
                terminal.accounts.hosts["binance"] = market.server.hosts
                await terminal.start()
                try:
                    account = terminal.accounts.accounts[PAPER]
                    await until(lambda: account.state is AccountState.READY, account.text or "ready")  # noqa: B023
                    await until(lambda: not terminal.desk._not_ready(account), "the comparison")  # noqa: B023
                    await scenario(terminal, market)
                finally:
                    await terminal.stop()
        finally:
            await market.server.stop()

    asyncio.run(run())


async def opened(terminal: Terminal, key: str = KEY) -> tuple[Account, Instrument]:
    """The account and an instrument whose book is live."""
    feed = terminal.markets.open(key, Environment.PAPER)
    assert feed is not None
    await until(lambda: feed.sync.live and feed.book.best_ask, "a live book")
    return feed.account, feed.instrument


def draft(instrument: Instrument, side: Side, amount: str, price: str | None = None, **more: Any) -> Draft:
    kind = OrderKind.LIMIT if price is not None else OrderKind.MARKET
    return Draft(
        account=PAPER,
        instrument=instrument,
        side=side,
        kind=kind,
        amount=D(amount),
        price=D(price) if price is not None else None,
        **more,
    )


def place(terminal: Terminal, wanted: Draft) -> Order:
    return terminal.desk.orders[terminal.desk.place(wanted)]


def test_a_market_order_fills_against_the_venues_book_and_never_reaches_the_venue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(terminal: Terminal, market: Market) -> None:
        account, instrument = await opened(terminal)
        assert account.balances["spot", "USDT"].total == 100_000
        order = place(terminal, draft(instrument, Side.BUY, "1.5"))
        await until(lambda: order.state is OrderState.FILLED, "the fill")
        await until(lambda: sum(fill.fill.amount for fill in terminal.desk.fills) == D("1.5"), "news of the fills")
        assert order.average == (D(62_801) + D("0.5") * D(62_802)) / D("1.5")
        assert order.fee == D("1.5") * D("0.001")
        assert not market.server.exchange.closed_orders("trader")
        await until(lambda: account.balances["spot", "BTC"].total == D(1) + D("1.5") * D("0.999"), "the balance")
        fills = [fill for fill in terminal.desk.fills if fill.order == order.id]
        assert sum(fill.fill.amount for fill in fills) == D("1.5")
        await terminal.desk.journal.flush()
        records = {record.id: record for record in await terminal.desk.journal.orders()}
        assert records[order.id].final

    play(tmp_path, monkeypatch, scenario)


def test_a_resting_order_waits_for_its_turn_in_the_live_queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """given 1 ahead at the best bid, when 1.2 are sold into it at the venue, then 0.2 of ours are filled as maker."""

    async def scenario(terminal: Terminal, market: Market) -> None:
        account, instrument = await opened(terminal)
        order = place(terminal, draft(instrument, Side.BUY, "0.5", "62799"))
        await until(lambda: order.state is OrderState.OPEN, "the acknowledgement")
        assert account.session.ahead(order.venue_id) == 1
        await market.passes(account)
        market.order("street", Side.BUY, "1", "62799")
        market.order("taker", Side.SELL, "0.4", "62799")
        await until(lambda: account.session.ahead(order.venue_id) == D("0.6"), "the queue to move")
        market.order("taker", Side.SELL, "0.8", "62799")
        await until(lambda: order.filled == D("0.2"), "a part of it")
        assert order.fee == D("0.2") * D("0.001")
        terminal.desk.cancel(order.id)
        await until(lambda: order.state is OrderState.CANCELLED, "the cancel")
        assert order.filled == D("0.2")

    play(tmp_path, monkeypatch, scenario)


def test_a_stale_book_takes_no_order_and_fills_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(terminal: Terminal, market: Market) -> None:
        account, instrument = await opened(terminal)
        order = place(terminal, draft(instrument, Side.BUY, "0.5", "62799"))
        await until(lambda: order.state is OrderState.OPEN, "the acknowledgement")
        market.server.faults.stalled = True
        await market.server.cut()
        sync = account.session.sync(instrument)
        await until(lambda: not sync.live, "the proof to be lost")
        assert {problem.rule for problem in terminal.desk.check(draft(instrument, Side.BUY, "1"))} >= {"book"}
        market.order("taker", Side.SELL, "3", "62797")
        assert order.filled == 0
        market.server.faults.stalled = False
        await until(lambda: sync.live, "the book again")
        assert order.state is OrderState.OPEN

    play(tmp_path, monkeypatch, scenario)


def test_orders_money_and_positions_survive_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[str, Any] = {}

    async def first(terminal: Terminal, market: Market) -> None:
        account, instrument = await opened(terminal)
        _, perp = await opened(terminal, PERP)
        bought = place(terminal, draft(instrument, Side.BUY, "1"))
        resting = place(terminal, draft(instrument, Side.SELL, "0.7", "63000"))
        await account.set_leverage(perp, 5)
        contract = place(terminal, draft(perp, Side.SELL, "1"))
        await until(lambda: bought.is_final and contract.is_final and resting.state is OrderState.OPEN, "all three")
        await until(lambda: PERP in account.positions, "the position")
        kept.update(
            resting=resting.id,
            balances={
                key: (row.total, row.held) for key, row in account.balances.items() if row.total and key[0] == "spot"
            },
            margin=account.balances["usdm", "USDT"].total,
            position=account.positions[PERP].size,
            entry=account.positions[PERP].entry,
        )

    async def second(terminal: Terminal, market: Market) -> None:
        account, instrument = await opened(terminal)
        now = {key: (row.total, row.held) for key, row in account.balances.items() if row.total and key[0] == "spot"}
        assert now == kept["balances"]
        assert account.balances["usdm", "USDT"].total == kept["margin"]
        position = account.positions[PERP]
        assert (position.size, position.entry, position.leverage) == (kept["position"], kept["entry"], 5)
        order = terminal.desk.orders[kept["resting"]]
        await until(lambda: order.state is OrderState.OPEN, "the order to be found again")
        market.order("taker", Side.BUY, "6", "63001")
        await until(lambda: order.state is OrderState.FILLED, "a fill after the restart")
        assert len(await account.session.fills(instrument, Page())) == 2

    play(tmp_path, monkeypatch, first, second)


def test_a_reset_starts_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(terminal: Terminal, market: Market) -> None:
        account, instrument = await opened(terminal)
        resting = place(terminal, draft(instrument, Side.SELL, "0.7", "63000"))
        bought = place(terminal, draft(instrument, Side.BUY, "1"))
        await until(lambda: bought.is_final and resting.state is OrderState.OPEN, "both")
        await account.reset_paper({"USDT": D(500)})
        await until(lambda: resting.state is OrderState.CANCELLED, "the cancel")
        assert account.balances["spot", "USDT"].total == 500
        assert account.balances["spot", "BTC"].total == 0
        assert "funds" in {problem.rule for problem in terminal.desk.check(draft(instrument, Side.BUY, "1"))}

    async def again(terminal: Terminal, market: Market) -> None:
        account, _ = await opened(terminal)
        assert account.balances["spot", "USDT"].total == 500

    play(tmp_path, monkeypatch, scenario, again)


def test_fee_rates_can_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(terminal: Terminal, market: Market) -> None:
        account, instrument = await opened(terminal)
        assert await account.session.fees(instrument) == Fees(maker=D("0.001"), taker=D("0.001"))
        terminal.settings.preferences.paper_fees[PAPER] = Fees(maker=D(0), taker=D("0.005"))
        account.paper_changed()
        order = place(terminal, draft(instrument, Side.SELL, "1"))
        await until(lambda: order.is_final, "the fill")
        assert order.fee == D(62_799) * D("0.005")

    play(tmp_path, monkeypatch, scenario)


def test_the_guard_holds_for_paper_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(terminal: Terminal, market: Market) -> None:
        _, instrument = await opened(terminal)
        terminal.settings.set_limits(PAPER, Limits(max_notional=D(1000)))
        assert "largest order" in {problem.rule for problem in terminal.desk.check(draft(instrument, Side.BUY, "1"))}

    play(tmp_path, monkeypatch, scenario)


def test_an_account_that_was_stopped_is_compared_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(terminal: Terminal, market: Market) -> None:
        account, _ = await opened(terminal)
        inquiry = terminal.desk._inquiry
        assert (set(inquiry._periodic), inquiry.reconciled) == ({PAPER}, {PAPER})
        await account.stop()
        assert (set(inquiry._periodic), inquiry.reconciled) == (set(), set())
        await account.start()
        await until(lambda: not terminal.desk._not_ready(account), "the comparison")

    play(tmp_path, monkeypatch, scenario)


def test_a_damaged_file_is_kept_aside_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data" / "paper"
    folder.mkdir(parents=True)
    (folder / "binance.sqlite").write_bytes(b"this is no database" * 100)

    async def scenario(terminal: Terminal, market: Market) -> None:
        account, _ = await opened(terminal)
        assert "binance.broken.sqlite" in account.text
        assert account.can_trade
        assert isinstance(account.session, PaperSession)

    play(tmp_path, monkeypatch, scenario)
    assert (folder / "binance.broken.sqlite").read_bytes().startswith(b"this is no database")


def lives(slug: str) -> bool:
    return load(slug).standing.lifecycle is not Lifecycle.CLOSED


@pytest.mark.parametrize("slug", [slug for slug in slugs() if lives(slug)])
def test_every_venue_that_lives_can_be_traded_on_paper(
    slug: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """given the busy public data of a venue and no key, when orders take and rest in each family, then they live and end as asked."""
    monkeypatch.setenv("FATHOM_HOME", str(tmp_path))

    async def run() -> None:
        server = PracticeServer(load(slug), seed=5, crowd=demonstrated(load(slug)))
        await server.start()
        settings = Settings()
        settings.preferences.accounts = [f"{slug}:paper"]
        terminal = Terminal(settings=settings)
        terminal.accounts.hosts[slug] = server.hosts
        await terminal.start()
        try:
            account = terminal.accounts.accounts[f"{slug}:paper"]
            await until(lambda: account.state is AccountState.READY, account.text or "ready")
            await until(lambda: not terminal.desk._not_ready(account), "the comparison")
            for family in account.venue.families:
                await trade_family(terminal, account, family.name)
            assert not server.exchange.open_orders("trader")
            assert not server.exchange.fills("trader")
        finally:
            await terminal.stop()
            await server.stop()

    asyncio.run(run())


async def trade_family(terminal: Terminal, account: Account, family: str) -> None:
    """Buy at market, rest and cancel, sell what was bought: by amounts that any venue's rules take."""
    rows = [row for row in account.instruments.values() if row.family == family]
    named = [row for row in rows if row.symbol in account.venue.demo_symbols] or rows
    instrument = min(named, key=lambda row: row.key)
    feed = terminal.markets.open(instrument.key, Environment.PAPER)
    assert feed is not None
    await until(lambda: feed.sync.live and feed.book.mid, "a live book")
    mid = D(repr(feed.book.mid))
    step = instrument.size.step or D("0.001")
    amount = max(
        (instrument.size_worth(mid, max(instrument.min_notional * 3, D(100))) / step).to_integral_value() * step, step
    )
    low = (mid * D("0.97") / instrument.tick).to_integral_value() * instrument.tick
    buy = Draft(account=account.id, instrument=instrument, side=Side.BUY, kind=OrderKind.MARKET, amount=amount)
    bought = place(terminal, buy)
    await until(lambda: bought.is_final, f"the purchase: {bought.text}")
    assert bought.state is OrderState.FILLED, bought.text
    assert bought.fee is not None
    assert bought.average is not None
    assert abs(bought.average / mid - 1) < D("0.02")
    resting = place(terminal, msgspec.structs.replace(buy, kind=OrderKind.LIMIT, price=low))
    await until(lambda: resting.state is OrderState.OPEN, f"the resting order: {resting.text}")
    terminal.desk.amend(resting.id, price=low - instrument.tick)
    await until(lambda: resting.price == low - instrument.tick and resting.state is OrderState.OPEN, "the amendment")
    terminal.desk.cancel(resting.id)
    await until(lambda: resting.state is OrderState.CANCELLED, "the cancel")
    held = await until(
        lambda: account.positions.get(instrument.key) or account.balances.get((family, instrument.base)), "it"
    )
    assert getattr(held, "size", None) == amount or held.total > 0
    terminal.markets.close(feed)


@pytest.mark.parametrize("slug", [slug for slug in slugs() if not lives(slug)])
def test_a_closed_venue_has_no_paper_and_says_since_when(
    slug: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FATHOM_HOME", str(tmp_path))

    async def run() -> None:
        settings = Settings()
        settings.preferences.accounts = [f"{slug}:paper"]
        terminal = Terminal(settings=settings)
        await terminal.start()
        account = terminal.accounts.accounts[f"{slug}:paper"]
        assert account.state is AccountState.FAILED
        assert f"closed {load(slug).standing.since}" in account.text
        assert "Practice" in account.text
        await terminal.stop()

    asyncio.run(run())
