"""The whole program for a test: terminal, window, loop; and what a trader's hand does."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QCoreApplication, QEvent, QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QPushButton, QWidget
from qasync import QEventLoop

from app.accounts import Account, AccountState
from app.terminal import Terminal
from connectors.model import Side
from tests.waiting import until
from ui.panels.ladder import HEAD, ROW, TOOLS
from ui.window import Window

Scenario = Callable[[Terminal, Window], Awaitable[None]]


def play(
    loop: QEventLoop,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    scenario: Scenario,
    *,
    prepare: Callable[[Terminal], None] = lambda terminal: None,
    **options: Any,
) -> None:
    """Start the whole program, let the scenario run, stop everything."""
    monkeypatch.setenv("FATHOM_HOME", str(home))

    async def run() -> None:
        terminal = Terminal(**options)
        prepare(terminal)
        window = Window(terminal)
        window.show()
        try:
            await terminal.start()
            await scenario(terminal, window)
        finally:
            window.clock.stop()
            window.save_layout()
            await terminal.stop()
            window.close()
            window.deleteLater()  # here and now, not by the collector in some other thread
            QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
            gc.collect()

    work: Coroutine[Any, Any, None] = run()
    loop.run_until_complete(work)


def ladder_point(window: Window, row: int, side: Side) -> QPoint:
    """In the middle of a cell of the ladder."""
    _, bid_end, price_end, _ = window.ladder._columns()
    x = bid_end - 20 if side is Side.BUY else price_end + 20
    return QPoint(int(x), HEAD + TOOLS + row * ROW + ROW // 2)


def press(parent: QWidget, name: str) -> None:
    """Click the button with this accessible name."""
    found = [button for button in parent.findChildren(QPushButton) if button.accessibleName() == name]
    assert found, f"no button called {name!r}"
    assert found[-1].isEnabled(), f"{name!r} can't be pressed"
    QTest.mouseClick(found[-1], Qt.MouseButton.LeftButton)


async def practise(terminal: Terminal, window: Window, slug: str) -> Account:
    """Start a venue's practice from the connector browser and go to trade on it."""
    window.show_connector(slug)
    account = terminal.accounts.accounts.get(f"{slug}:practice")
    name = terminal.catalogue.entry(next(row for row in terminal.catalogue.rows() if row.slug == slug)).row.name
    if account is None or account.state is AccountState.OFF:
        press(window.browser.detail, f"Start practice at {name}")
        account = await until(lambda: terminal.accounts.accounts.get(f"{slug}:practice"), "an account")
    await until(lambda: account.state is AccountState.READY, f"{slug} to be ready")
    press(window.browser.detail, f"Trade practice at {name}")
    await ready(terminal, window, account)
    return account


async def ready(terminal: Terminal, window: Window, account: Account | None = None) -> Account:
    """A live book on the screen and an account that may trade."""
    found: Account = account or await until(lambda: terminal.accounts.focus, "an account")
    await until(lambda: found.state is AccountState.READY, "the account to be ready")
    await until(lambda: window.feed is not None and window.feed.account is found, "its market")
    await until(lambda: window.feed is not None and window.feed.sync.live, "a live book")
    await until(lambda: window.ladder.rows is not None and window.ladder.rows.top is not None, "rows in the ladder")
    await until(lambda: found.id in terminal.desk._inquiry.reconciled, "the comparison with the journal")
    return found
