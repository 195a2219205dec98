"""Every venue of this build in the real window: practice started from the browser, an order traded by click, faults seen."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.accounts import Account, AccountState
from app.loop import Loop
from app.orders import Order, OrderState
from app.practice_process import PracticeProcesses
from app.terminal import Terminal
from connectors import catalogue
from connectors.contract import Environment, Link
from connectors.model import InstrumentStatus, Market, OrderKind, Side, Unit
from tests.end_to_end.stage import ladder_point, nothing_runs, play, practise, press, ready, until
from ui.panels.ticket import PLAIN
from ui.window import Window


async def buy_through_the_touch(terminal: Terminal, window: Window) -> Order:
    """Click in the bid column of the highest of coarse rows: so far above the best ask that the market can't run away."""
    ladder, known = window.ladder, set(terminal.desk.orders)

    def shown() -> bool:
        book_is_live = window.feed is not None and window.feed.sync.live
        return book_is_live and ladder.rows is not None and ladder.rows.top is not None

    await until(shown, "rows of a live book")
    for _ in range(3):
        QTest.keyClick(ladder, Qt.Key.Key_Plus)
    QTest.mouseClick(ladder, Qt.MouseButton.LeftButton, pos=ladder_point(window, 0, Side.BUY))
    new = [order for key, order in terminal.desk.orders.items() if key not in known]
    assert new, ladder.said
    (order,) = new
    await until(lambda: order.filled > 0, "a fill")
    return order


def test_each_venue_is_opened_from_the_browser_and_trades_by_click(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """given the first start, when practice is started venue by venue, then each shows its book and fills a click."""

    async def scenario(terminal: Terminal, window: Window) -> None:
        await ready(terminal, window)
        for slug in catalogue.slugs():
            account = await practise(terminal, window, slug)
            feed = window.feed
            assert feed is not None
            assert feed.account is account
            assert account.venue.name in window.strip.badge.text()
            ticket_offers_what_the_family_has(window, account)
            window.show_instrument(feed.instrument.key, Environment.PRACTICE)
            await until(lambda: window.feed is not None and window.feed.sync.live, "the book again")
            if not terminal.desk.armed(Environment.PRACTICE):
                window.toggle_armed()
            order = await buy_through_the_touch(terminal, window)
            assert order.account == account.id
            await until(lambda order=order: order.state is OrderState.FILLED, "the rest of it")
            await until(
                lambda order=order: any(own.order == order.id for own in terminal.desk.fills), "the fill itself"
            )
            await until(lambda order=order: order in window.orders.table.rows.rows, "the order in the table")
        accounts = terminal.accounts.accounts.values()
        assert {account.venue.slug for account in accounts} == set(catalogue.slugs())
        await until(lambda: all(account.state is AccountState.READY for account in accounts), "all of them to run")
        assert {row.feed.account.id for row in window.watchlist.rows} == {account.id for account in accounts}

    play(loop, tmp_path, monkeypatch, scenario)


def ticket_offers_what_the_family_has(window: Window, account: Account) -> None:
    """Kinds, times in force and options of each sort of instrument are those of its family, no more and no less."""
    ticket = window.ticket
    shown: set[tuple[str, Market, Unit]] = set()
    for instrument in account.instruments.values():
        sort = (instrument.family, instrument.market, instrument.unit)
        if sort in shown or instrument.status is not InstrumentStatus.TRADING:
            continue
        shown.add(sort)
        window.show_instrument(instrument.key, Environment.PRACTICE)
        able = account.venue.family(instrument.family).capabilities
        wanted = able.kinds & instrument.kinds
        assert {kind for _, kind in ticket._offered()} == wanted
        assert ticket.kinds.button(1).isVisibleTo(ticket) == (OrderKind.MARKET in wanted)
        assert ticket.more.isVisibleTo(ticket) == any(kind not in PLAIN for kind in wanted)
        assert {ticket.tif.itemText(index).lower() for index in range(ticket.tif.count())} == set(able.tifs)
        assert ticket.post_only.isVisibleTo(ticket) == able.post_only
        contract = instrument.market is not Market.SPOT
        assert ticket.reduce_only.isVisibleTo(ticket) == (able.reduce_only and contract)
        assert ticket.leverage.isVisibleTo(ticket) == (able.leverage and contract)
        assert ticket.units.buttons()[0].text() == (instrument.base if instrument.unit is Unit.BASE else "Contracts")
        assert ticket.price.step == instrument.tick
    assert shown


ENOUGH = 200  # book updates after which a loss that can be seen has been seen


class Counted:
    """How many book updates of an account arrived."""

    def __init__(self, window: Window, account: Account) -> None:
        self._syncs = [row.feed.sync for row in window.watchlist.rows if row.feed.account is account]
        self._from = self._now()

    def _now(self) -> int:
        return sum(sync.counters.frames for sync in self._syncs)

    def passed(self, most: int) -> bool:
        """Whether so many more have arrived; if so, counts anew."""
        if self._now() - self._from < most:
            return False
        self._from = self._now()
        return True


@pytest.mark.parametrize("slug", catalogue.slugs())
def test_what_goes_wrong_with_a_book_is_seen_in_the_health_panel(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slug: str
) -> None:
    """given proven books, when the venue's feed is bent, then the panel counts it and the books are proven again."""

    async def scenario(terminal: Terminal, window: Window) -> None:
        await ready(terminal, window)
        account = await practise(terminal, window, slug)
        feed, server = window.feed, account.server
        assert feed is not None
        assert server is not None
        window.show_proof()
        await until(lambda: window.health.books.chosen is not None, "the book in the panel")
        assert window.health.books.chosen[0] is feed
        rule = feed.sync.rule
        proven = rule.checksum is not None or rule.link is not Link.NONE
        bent = {"malformed_next": "unknown"}
        if proven:
            bent["drop_next"] = "gaps" if rule.link is not Link.NONE else "not_equal"
        if rule.checksum is not None:
            bent["miscount_next"] = "not_equal"
        await until(lambda: shown(window, account)["doubt"] == 0, "all books proven")
        for fault, trace in bent.items():
            before, counted = shown(window, account), Counted(window, account)

            def noticed(
                fault: str = fault, trace: str = trace, before: dict[str, int] = before, counted: Counted = counted
            ) -> bool:
                if counted.passed(ENOUGH):  # a checksum sees only the best levels: what was lost below them shows never
                    setattr(server.faults, fault, 2)
                return shown(window, account)[trace] > before[trace]

            setattr(server.faults, fault, 2)
            await until(noticed, f"{trace} in the panel")
            setattr(server.faults, fault, 0)
            await until(lambda before=before: shown(window, account)["repaired"] > before["repaired"], "the repair")
            await until(lambda: shown(window, account)["doubt"] == 0, "all books proven again")

    def shown(window: Window, account: Account) -> dict[str, int]:
        """What the panel says of one account, read from its cells."""
        health = window.health
        health.refresh(time.monotonic())
        books = [row for row in health.books.rows.rows if row[0].account is account]
        links = [row for row in health.table.rows.rows if row[0] is account]
        cell = {column.name: column for column in (*health.books.rows.columns, *health.table.rows.columns)}

        def total(name: str, rows: list[Any]) -> int:
            return sum(int(cell[name].text(row)) for row in rows)

        parts = [cell["Equal / not"].text(row).partition(" / ")[2] for row in books]
        return {
            "unknown": total("Not understood", links),
            "gaps": total("Gaps", links),
            "repaired": total("Repaired", books),
            "not_equal": sum(int(part) for part in parts if part),
            "doubt": sum(row[1].colour == "warn" for row in books),
        }

    play(loop, tmp_path, monkeypatch, scenario)


def test_a_practice_exchange_in_its_own_process_fills_a_click_and_ends_with_its_account(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """given the program as it is started by hand, then the exchange is another process and nothing of it stays."""

    def prepare(terminal: Terminal) -> None:
        terminal.accounts.practice = PracticeProcesses(["binance"])

    async def scenario(terminal: Terminal, window: Window) -> None:
        account = await ready(terminal, window)
        process = account.process
        assert process is not None
        assert account.server is None
        window.toggle_armed()
        await buy_through_the_touch(terminal, window)
        await account.stop()
        assert not process.alive

    play(loop, tmp_path, monkeypatch, scenario, prepare=prepare)


def test_an_account_that_stops_greys_its_books_and_comes_back_with_them(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(terminal: Terminal, window: Window) -> None:
        account = await ready(terminal, window)
        watched = window.watchlist.keys
        window.show_connector("binance")
        press(window.browser.detail, "Stop practice at Binance")
        await until(lambda: account.state is AccountState.OFF, "the stop")
        feed = window.feed
        assert feed is not None
        assert not feed.sync.live
        assert window.watchlist.keys == watched
        press(window.browser.detail, "Start practice at Binance")
        await until(lambda: account.state is AccountState.READY, "the start")
        await until(lambda: window.feed is feed and feed.sync.live, "a live book again")
        before = feed.book.version
        await until(lambda: feed.book.version > before + 5, "depth that moves")
        await until(lambda: all(row.feed.sync.live for row in window.watchlist.rows), "every watched book")

    play(loop, tmp_path, monkeypatch, scenario)


def test_accounts_watchlist_and_layout_come_back_after_a_restart(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [slug for slug in catalogue.slugs() if slug != "binance"]
    if not others:
        pytest.skip("only one venue is in this build")
    kept: dict[str, Any] = {}

    async def first(terminal: Terminal, window: Window) -> None:
        await ready(terminal, window)
        await practise(terminal, window, others[0])
        window.workspaces.docks["tape"].toggleView(False)
        kept["watched"] = window.watchlist.keys

    async def second(terminal: Terminal, window: Window) -> None:
        accounts = terminal.accounts.accounts
        assert set(accounts) == {"binance:practice", f"{others[0]}:practice"}
        await until(lambda: all(account.state is AccountState.READY for account in accounts.values()), "both accounts")
        assert sorted(window.watchlist.keys) == sorted(kept["watched"])
        assert window.workspaces.docks["tape"].isClosed()
        assert not window.workspaces.docks["ladder"].isClosed()

    play(loop, tmp_path, monkeypatch, first)
    play(loop, tmp_path, monkeypatch, second)


@pytest.mark.parametrize("broken", ["not base64 at all", "bm90IGEgbGF5b3V0"])
def test_a_broken_saved_layout_is_replaced_and_kept_aside(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    async def spoil(terminal: Terminal, window: Window) -> None:
        await asyncio.sleep(0)

    async def look(terminal: Terminal, window: Window) -> None:
        aside = list(terminal.settings.config.glob("layout-Trade.broken-*"))
        assert [path.read_text(encoding="utf-8") for path in aside] == [broken]
        assert "broken" in window.notices.text()
        assert aside[0].name in window.notices.text()
        for panel_id in ("depth", "ladder", "ticket", "watchlist"):
            assert window.workspaces.docks[panel_id].isVisible()

    play(loop, tmp_path, monkeypatch, spoil, settings=nothing_runs(tmp_path, monkeypatch))
    path = tmp_path / "config" / "settings.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    settings.setdefault("layouts", {})["Trade"] = broken
    path.write_text(json.dumps(settings), encoding="utf-8")
    # no account: its news, which is less grave, would cover the notice in a while
    play(loop, tmp_path, monkeypatch, look, settings=nothing_runs(tmp_path, monkeypatch))
