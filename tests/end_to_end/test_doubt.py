"""What the trader sees while something is not known: amber rows in words, the way to the journal, the report of a kill."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.accounts import AccountState
from app.desk import Draft, Order, OrderState
from app.journal import Journal
from app.journal_rows import KillStep, Note
from app.kill import Round
from app.loop import Loop
from app.settings import Settings
from app.terminal import Terminal, wanted_accounts
from connectors.catalogue import load
from connectors.contract import Environment
from connectors.model import Side
from tests.end_to_end.stage import nothing_runs, play, press, ready, settled, until
from ui.panels.accounts import ACCOUNT_COLUMNS
from ui.panels.blotter import ORDER_COLUMNS, in_doubt, state_words
from ui.window import Window


def place(terminal: Terminal, window: Window) -> Order:
    """A small order far below the market."""
    feed = window.feed
    assert feed is not None
    mid = feed.book.mid
    assert mid is not None
    price = (Decimal(repr(mid)) * Decimal("0.98") / feed.instrument.tick).to_integral_value() * feed.instrument.tick
    draft = Draft(
        account=feed.account.id, instrument=feed.instrument, side=Side.BUY, amount=Decimal("0.01"), price=price
    )
    return terminal.desk.orders[terminal.desk.place(draft)]


def test_a_cancel_without_an_answer_turns_amber_with_its_age_and_leads_to_the_journal(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(terminal: Terminal, window: Window) -> None:
        await ready(terminal, window)
        account = terminal.accounts.focus
        assert account is not None
        assert account.server is not None
        order = place(terminal, window)
        await until(lambda: order.state is OrderState.OPEN, "the order")
        table = window.orders.table
        usual = table.verticalHeader().defaultSectionSize()
        await until(lambda: order in table.rows.rows and table.rowHeight(0) == usual, "an ordinary row")
        account.server.faults.hold = b"orderId"
        terminal.desk.cancel(order.id)
        await until(lambda: in_doubt(order) is not None, "the answer to be overdue")
        first, then = in_doubt(order) or ("", "")
        assert "cancel was asked for" in first
        assert "may fill up to 0.01" in then
        assert state_words(order).startswith("Cancelling for ")
        await until(lambda: table.rowHeight(0) > usual, "room for two sentences below the row")
        assert window.orders.ask.isVisible()
        assert "in doubt" in window.orders.doubt.text()
        QTest.mouseClick(window.orders.open, Qt.MouseButton.LeftButton)
        await until(lambda: window.journal.life.rows.rows, "its life in the journal")
        assert [step.what for step in window.journal.life.rows.rows][-1] in ("cancel asked", "said")
        account.server.faults.hold = b""
        await until(lambda: order.state is OrderState.CANCELLED, "the end")
        window.open_panel("orders")
        await until(lambda: table.rowHeight(0) == usual, "an ordinary row again")

    play(loop, tmp_path, monkeypatch, scenario)


def test_the_kill_switch_shows_its_report_until_all_have_confirmed(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(terminal: Terminal, window: Window) -> None:
        await ready(terminal, window)
        account = terminal.accounts.focus
        assert account is not None
        assert account.server is not None
        order = place(terminal, window)
        await until(lambda: order.state is OrderState.OPEN, "the order")
        assert not window.kill_report.isVisible()
        account.server.faults.refuse = 1.0
        press(window, "Cancel everything everywhere and disarm")
        await until(window.kill_report.isVisible, "the report")
        line = terminal.desk.killing.lines[account.id]
        await until(lambda: line.state is Round.UNREACHABLE, "a venue that does not answer")
        await until(lambda: "trying on" in window.kill_report._rows[account.id][2].text(), "its words")
        assert "0 of 1 confirmed" in window.kill_report.head.text()
        assert window.kill_report.again.isVisible()
        account.server.faults.refuse = 0.0
        QTest.mouseClick(window.kill_report.again, Qt.MouseButton.LeftButton)
        await until(lambda: "1 of 1 confirmed" in window.kill_report.head.text(), "the confirmation")
        assert order.state is OrderState.CANCELLED
        assert account.server.exchange.open_orders("trader") == []
        QTest.mouseClick(window.kill_report.close_, Qt.MouseButton.LeftButton)
        assert not window.kill_report.isVisible()

    play(loop, tmp_path, monkeypatch, scenario)


def test_the_dead_mans_switch_is_set_where_the_limits_are(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(terminal: Terminal, window: Window) -> None:
        await ready(terminal, window)
        account = terminal.accounts.focus
        assert account is not None
        form = window.accounts.limits
        form.show_account(account)
        assert form.dead_man.isEnabled()
        assert "usdm" in form.dead_man.toolTip()
        form.dead_man.setText("2")
        assert not form.keep()
        assert "5 to 600" in form.words.text()
        form.dead_man.setText("60")
        form.stays.setChecked(False)
        assert form.keep()
        assert terminal.settings.preferences.dead_man[account.id] == 60.0
        assert terminal.settings.preferences.dead_man_releases is False

    play(loop, tmp_path, monkeypatch, scenario)


def test_what_is_grave_stays_on_the_screen_until_it_can_be_read(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(terminal: Terminal, window: Window) -> None:
        await terminal.journal.flush()  # what was queued before would find that it can be written
        terminal.journal.problem = "The order journal cannot be written."
        window.notices.say("danger", terminal.journal.problem)
        window.notices.say("info", "Binance practice: nothing was missed.")
        assert window.notices.text() == terminal.journal.problem
        window.refresh_bars()
        assert "not writable" in window.status.lines["journal"].text()
        terminal.journal.problem = ""
        window.notices.said_at -= 60
        window.notices.say("info", "Binance practice: nothing was missed.")
        assert window.notices.text() == "Binance practice: nothing was missed."

    play(loop, tmp_path, monkeypatch, scenario, settings=nothing_runs(tmp_path, monkeypatch))


def test_an_account_that_fails_now_is_started_again_the_next_time(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """given a paper account whose venue cannot be reached at the end, then it is not forgotten; one that was stopped is."""

    async def scenario(terminal: Terminal, window: Window) -> None:
        for slug in ("binance", "kraken"):
            terminal.accounts.add(slug, Environment.PAPER)
        terminal.accounts.accounts["binance:paper"].state = AccountState.FAILED
        window.save_layout()
        again = Settings()
        assert again.preferences.accounts == ["binance:paper"]
        assert wanted_accounts(again) == [("binance", Environment.PAPER)]

    play(loop, tmp_path, monkeypatch, scenario, settings=nothing_runs(tmp_path, monkeypatch))


def test_the_state_of_an_order_is_visible_in_a_window_of_1280(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(terminal: Terminal, window: Window) -> None:
        window.resize(1280, 800)
        await settled(window)
        table = window.orders.table
        assert window.width() == 1280
        assert table.viewport().width() > 500
        at = [column.name for column in ORDER_COLUMNS].index("State")
        assert table.columnViewportPosition(at) + table.columnWidth(at) < table.viewport().width()

    play(loop, tmp_path, monkeypatch, scenario, settings=nothing_runs(tmp_path, monkeypatch))


def test_a_panel_that_is_opened_in_another_workspace_has_its_title(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(terminal: Terminal, window: Window) -> None:
        window.show_workspace("Connectors")
        window.open_panel("journal")
        dock = window.workspaces.docks["journal"]
        await until(lambda: dock.isVisible() and dock.tabWidget().isVisible(), "the panel under its title")

    play(loop, tmp_path, monkeypatch, scenario, settings=nothing_runs(tmp_path, monkeypatch))


def test_an_account_that_cannot_be_reached_says_when_it_is_tried_again_and_can_be_tried_now(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.accounts.AGAIN_FIRST", 3600.0)

    def nobody(terminal: Terminal) -> None:
        venue = load("binance")
        urls = {endpoint.url for family in venue.families for endpoint in family.endpoints}
        terminal.accounts.served["binance"] = (dict.fromkeys(urls, "http://127.0.0.1:9"), {})  # the port of discard

    async def scenario(terminal: Terminal, window: Window) -> None:
        account = terminal.accounts.accounts["binance:practice"]
        await until(lambda: account.again_in is not None, "the wait for another attempt")
        window.open_panel("accounts")
        panel = window.accounts
        await until(lambda: account in panel.table.rows.rows, "its row")
        panel.table.selectRow(panel.table.rows.rows.index(account))
        await until(lambda: panel.start.text() == "Try now", "the button")
        what = [column.name for column in ACCOUNT_COLUMNS].index("What")
        assert "trying again in 3" in str(panel.table.model().index(0, what).data())
        del terminal.accounts.served["binance"]
        QTest.mouseClick(panel.start, Qt.MouseButton.LeftButton)
        await until(lambda: account.state is AccountState.READY, "the account")
        await until(lambda: panel.start.text() == "Start" and not panel.start.isEnabled(), "the usual button")
        window.show_workspace("Trade")
        await ready(terminal, window, account)  # its market is on the screen by itself

    play(loop, tmp_path, monkeypatch, scenario, prepare=nobody)


def test_a_kill_that_an_earlier_run_did_not_end_is_shown_at_the_start(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path / "data" / "journal.sqlite")
    journal.note(Note(1_790_000_000_000, "binance:practice", KillStep.PRESSED, "cancelling everything"))
    journal.close()

    async def scenario(terminal: Terminal, window: Window) -> None:
        report = window.kill_report
        await until(report.isVisible, "the report")
        assert "cut off" in report.head.text()
        assert report.close_.text() == "Leave it"
        await ready(terminal, window)
        assert report.again.text() == "Go on cancelling"
        QTest.mouseClick(report.again, Qt.MouseButton.LeftButton)
        await until(lambda: "1 of 1 confirmed" in report.head.text(), "the confirmation")
        assert report.close_.text() == "Hide"

    play(loop, tmp_path, monkeypatch, scenario)


def test_an_account_that_turns_out_to_have_no_key_leaves_the_report_of_a_kill(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(terminal: Terminal, window: Window) -> None:
        account = terminal.accounts.add("binance", Environment.LIVE)
        account.state = AccountState.CONNECTING  # a keyring asks to be unlocked
        press(window, "Cancel everything everywhere and disarm")
        report = window.kill_report
        await until(lambda: account.id in report._rows, "its row")
        words = report._rows[account.id][2]
        await until(lambda: words.isVisible() and "trying on" in words.text(), "that it is not reached")
        account.state = AccountState.FAILED
        await until(lambda: not words.isVisible(), "the end of its row")
        assert report.isVisible()
        assert "no account is connected with a key" in report.head.text()

    play(loop, tmp_path, monkeypatch, scenario, settings=nothing_runs(tmp_path, monkeypatch))
