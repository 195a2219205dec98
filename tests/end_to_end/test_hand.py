"""What a hand does besides clicking in the ladder: keys, the slider, panels that float, another theme, another quarter."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, QPoint, Qt
from PySide6.QtGui import QFocusEvent, QKeyEvent, QShortcut
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QDialog, QTableView

from app.loop import Loop
from app.orders import OrderState
from app.settings import Settings
from app.terminal import Terminal
from connectors.model import Instrument, Side
from tests.end_to_end.stage import ladder_point, nothing_runs, play, ready, stand_still
from tests.waiting import until
from ui.panels.ladder import Ladder
from ui.window import Window

LATER = """
| Exchange | Type | Tier | Maintainer | Signup code |
|---|---|---|---|---|
| Newex | AMM | Bronze | - | - |
| Binance | CLOB | Silver | - | - |
"""


def test_rows_under_the_cursor_of_the_keys_do_not_move_by_themselves(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """given a cursor of the keys, when the market leaves the middle, then the price under it stays; without, rows follow."""

    async def scenario(terminal: Terminal, window: Window) -> None:
        account = await ready(terminal, window)
        await stand_still(window, account)
        monkeypatch.setattr(Ladder, "pointed_at", False)  # wherever the pointer of this screen is
        ladder, feed = window.ladder, window.feed
        assert ladder.rows is not None
        assert feed is not None
        window.clock.stop()  # the test calls the frames
        ladder.keyPressEvent(QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_Down, Qt.KeyboardModifier.NoModifier))
        assert ladder.cursor_row is not None
        ladder.rows.scroll(ladder.rows.count)  # as if the market had run away
        price = ladder.rows.price(ladder.cursor_row)
        assert ladder.rows.strays(feed.book)
        ladder.frame(0.0)
        assert ladder.rows.price(ladder.cursor_row) == price
        ladder.focusOutEvent(QFocusEvent(QEvent.Type.FocusOut))
        ladder.frame(1.0)
        assert not ladder.rows.strays(feed.book)

    play(loop, tmp_path, monkeypatch, scenario)


def test_the_slider_sets_the_amount_by_click_and_by_key(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(terminal: Terminal, window: Window) -> None:
        account = await ready(terminal, window)
        await stand_still(window, account)
        ticket = window.ticket
        ticket.set_price(Decimal(50000), Side.BUY)
        slider = ticket.slider
        QTest.mouseClick(slider, Qt.MouseButton.LeftButton, pos=QPoint(slider.width() // 2, slider.height() // 2))
        money = account.available(window.feed.instrument)["USDT"]  # ty: ignore[missing-union-attribute] - ready saw it
        assert slider.value() > 0
        assert ticket.amount.value == money * slider.value() / 100 / 50000
        QTest.keyClick(slider, Qt.Key.Key_Right)
        assert ticket.amount.value == money * slider.value() / 100 / 50000
        ticket.amount.edit.selectAll()
        QTest.keyClicks(ticket.amount.edit, "1,000")
        assert slider.value() == 0  # the amount is no part of anything now
        assert ticket.amount.value is None
        assert "not a number" in ticket.amount_hint.text()

    play(loop, tmp_path, monkeypatch, scenario)


def test_the_kill_switch_is_heard_in_panels_that_float_too_and_its_report_follows_the_theme(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A panel that floats is a window of its own: only a shortcut of the whole program is heard there.

    The key itself is not pressed, since several tests may share a screen and only one window of it has the keyboard.
    """

    async def scenario(terminal: Terminal, window: Window) -> None:
        account = await ready(terminal, window)
        await stand_still(window, account)
        window.toggle_armed()
        ladder, desk = window.ladder, terminal.desk
        assert ladder.rows is not None
        QTest.keyClick(ladder, Qt.Key.Key_Space)
        QTest.mouseClick(ladder, Qt.MouseButton.LeftButton, pos=ladder_point(window, ladder.rows.count - 3, Side.BUY))
        (order,) = desk.orders.values()
        await until(lambda: order.state is OrderState.OPEN, "the acknowledgement")
        shortcuts = {shortcut.key().toString(): shortcut for shortcut in window.findChildren(QShortcut)}
        assert {"Ctrl+Shift+Esc", "Ctrl+Shift+A", "Ctrl+K", "F1", "Esc"} <= set(shortcuts)
        assert {each.context() for each in shortcuts.values()} == {Qt.ShortcutContext.ApplicationShortcut}
        shortcuts["Ctrl+Shift+Esc"].activated.emit()
        await until(lambda: order.state is OrderState.CANCELLED, "the cancel")
        await until(lambda: "1 of 1 confirmed" in window.kill_report.head.text(), "the confirmation")
        window.choose_theme("light", colour_blind=False)
        assert window.theme.hex("surface.panel") in window.kill_report.styleSheet()

    play(loop, tmp_path, monkeypatch, scenario)


def test_the_pane_beside_the_table_shows_what_the_chosen_quarter_says(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """given Kucoin's pane, when a quarter without it is chosen, then another exchange is shown, with that quarter's tier."""
    settings = nothing_runs(tmp_path, monkeypatch)

    async def scenario(terminal: Terminal, window: Window) -> None:
        browser = window.browser
        browser.choose("binance")
        terminal.catalogue.import_markdown(LATER, "Q4 2023")
        browser._fill_quarters("Q4 2023")
        assert browser.detail.entry is not None
        assert (browser.detail.entry.row.slug, browser.detail.entry.row.tier) == ("binance", "Silver")
        browser.quarter.setCurrentText("Q3 2023")
        assert browser.detail.entry.row.tier == "Gold"
        browser.choose("kucoin")
        browser.quarter.setCurrentText("Q4 2023")
        assert browser.detail.entry.row.slug == "newex"
        live = next(chip for chip in browser.chips.buttons() if chip.text().startswith("Live today"))
        assert live.text() == "Live today  1"

    play(loop, tmp_path, monkeypatch, scenario, settings=settings)


def test_settings_that_name_what_there_is_not_start_with_what_there_is(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """given a theme that nobody knows and sizes that are none, when the program starts, then it looks as at a first start."""
    monkeypatch.setenv("FATHOM_HOME", str(tmp_path))
    settings = Settings()
    settings.preferences.theme = "pink"
    settings.preferences.sizes = {"binance:spot:BTC-USDT": ["0.1", "-1", "abc", "NaN", "1e999"]}

    async def scenario(terminal: Terminal, window: Window) -> None:
        await ready(terminal, window)
        assert window.theme.name == "dark"
        assert len(window.ladder.sizes) == 5
        assert all(size > 0 for size in window.ladder.sizes)

    play(loop, tmp_path, monkeypatch, scenario, settings=settings)


def test_the_ticket_says_in_what_the_amount_is_and_changes_no_leverage_unasked(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """given a contract whose leverage was not told, then it is not shown as any, and leaving the field sends nothing."""

    async def scenario(terminal: Terminal, window: Window) -> None:
        account = await ready(terminal, window)
        asked: list[int] = []
        told: list[str] = []
        terminal.desk.message.connect(lambda notice: told.append(notice.text))

        async def set_leverage(instrument: Instrument, leverage: int) -> None:
            asked.append(leverage)

        assert account.session is not None
        monkeypatch.setattr(account.session, "set_leverage", set_leverage)
        window.show_instrument("binance:perp:BTC-USDT", "practice")
        ticket = window.ticket
        feed = window.feed
        assert feed is not None
        account._leverages.clear()
        ticket.refresh()
        assert (ticket.leverage.value(), ticket.leverage.text()) == (0, "Leverage ?")
        ticket.leverage.editingFinished.emit()
        assert ticket.amount.unit.text() == "BTC"
        ticket.unit_asked.emit("quote")
        assert ticket.amount.unit.text() == "USDT"
        ticket.leverage.setValue(7)
        ticket.leverage.editingFinished.emit()
        await until(lambda: account.leverage(feed.instrument) == 7, "the leverage that was chosen")
        ticket.leverage.editingFinished.emit()
        await until(lambda: "Leverage of BTC-USDT is 7×." in told, "the news of it")
        assert asked == [7]

    play(loop, tmp_path, monkeypatch, scenario)


def test_no_dialog_locks_the_window_and_tab_leaves_a_table(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """given dialogs that wait for an answer, then the kill switch may still be pressed."""
    settings = nothing_runs(tmp_path, monkeypatch)

    async def scenario(terminal: Terminal, window: Window) -> None:
        window.show_workspace("Connectors")
        window.open_link("https://example.org/ref")
        window._show_keys()
        window.browser._import()
        dialogs = [dialog for dialog in window.findChildren(QDialog) if dialog.isVisible()]
        assert len(dialogs) == 3
        assert not any(dialog.isModal() for dialog in dialogs)
        for dialog in dialogs:
            dialog.reject()
        assert not any(dialog.isVisible() for dialog in dialogs)
        assert not any(table.tabKeyNavigation() for table in window.findChildren(QTableView))

    play(loop, tmp_path, monkeypatch, scenario, settings=settings)


def test_enter_sends_only_from_a_price_or_an_amount(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """given an armed ticket, when Enter is pressed on another control, then that control has it and nothing is sent."""

    async def scenario(terminal: Terminal, window: Window) -> None:
        account = await ready(terminal, window)
        await stand_still(window, account)
        window.show_instrument("binance:perp:BTC-USDT", "practice")
        await until(lambda: window.feed is not None and window.feed.sync.live and window.feed.book.best_bid, "a book")
        ticket, desk = window.ticket, terminal.desk
        window.toggle_armed()
        ticket.set_price(Decimal(str(window.feed.book.best_bid[0])) - 100, Side.BUY)  # ty: ignore[not-subscriptable, missing-union-attribute] - as above
        ticket.amount.edit.setText("0.002")
        ticket.refresh()
        assert ticket.send.isEnabled()
        sell = ticket.sides.button(1)
        for control in (ticket.leverage, ticket.post_only, ticket.tif, ticket.slider, sell):
            control.setFocus()
            QTest.keyClick(control, Qt.Key.Key_Return)
            assert not desk.orders, control
        assert ticket.side is Side.SELL  # the button was pressed by it
        ticket.set_side(Side.BUY)
        ticket.amount.edit.setFocus()
        QTest.keyClick(ticket.amount.edit, Qt.Key.Key_Return)
        assert len(desk.orders) == 1

    play(loop, tmp_path, monkeypatch, scenario)


def test_a_price_that_is_being_typed_and_a_button_that_is_down_are_not_taken_over(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """given an emptied price field with the keyboard, then it stays empty; given a press on one market, a release on another is void."""

    async def scenario(terminal: Terminal, window: Window) -> None:
        account = await ready(terminal, window)
        await stand_still(window, account)
        window.clock.stop()  # the test calls the frames
        ticket, ladder = window.ticket, window.ladder
        with monkeypatch.context() as keyboard:
            keyboard.setattr(type(ticket.price.edit), "hasFocus", lambda edit: edit is ticket.price.edit)
            ticket.price.set(None)
            ticket.frame(1000.0)
            assert ticket.price.edit.text() == ""
        ticket.price.set(None)
        ticket.frame(2000.0)
        assert ticket.price.value is not None

        window.toggle_armed()
        point = ladder_point(window, 10, Side.BUY)
        QTest.mousePress(ladder, Qt.MouseButton.LeftButton, pos=point)
        window.show_instrument("binance:perp:BTC-USDT", "practice")
        assert ladder.rows is not None
        spot = window.watchlist.rows[0].feed
        ladder.rows.centre(spot.book)  # as if the prices were the same
        QTest.mouseRelease(ladder, Qt.MouseButton.LeftButton, pos=point)
        assert not terminal.desk.orders

    play(loop, tmp_path, monkeypatch, scenario)


def test_a_panel_that_was_closed_comes_back_where_it_can_be_seen(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = nothing_runs(tmp_path, monkeypatch)

    async def scenario(terminal: Terminal, window: Window) -> None:
        docks = window.workspaces.docks
        docks["tape"].toggleView(False)
        window.open_panel("tape")
        assert docks["tape"].dockAreaWidget() is docks["orders"].dockAreaWidget()
        assert docks["tape"].isCurrentTab()

    play(loop, tmp_path, monkeypatch, scenario, settings=settings)
