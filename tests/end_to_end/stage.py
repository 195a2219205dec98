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

from app.accounts import Account, AccountState
from app.loop import Loop
from app.settings import Settings
from app.terminal import Terminal
from connectors.contract import Venue
from connectors.model import Side
from connectors.practice.server import PracticeServer, practice_class
from tests.waiting import until
from ui.panels.ladder import HEAD, ROW, TOOLS
from ui.window import Window

TURNS = 5  # of the loop in which nothing moves, until a layout counts as settled
Scenario = Callable[[Terminal, Window], Awaitable[None]]


def small_exchange(venue: Venue) -> PracticeServer:
    """A practice exchange whose crowd is in bitcoin alone, so that it is filled soon, and is the same each time."""
    listed = practice_class(venue).listings
    return PracticeServer(venue, seed=1, crowd=[row.key for row in listed if row.base == "BTC"])


def whole_exchange(venue: Venue) -> PracticeServer:
    """One with a crowd in everything that is listed."""
    return PracticeServer(venue, seed=1)


def play(
    loop: Loop,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    scenario: Scenario,
    *,
    prepare: Callable[[Terminal], None] = lambda terminal: None,
    exchange: Callable[[Venue], PracticeServer] = small_exchange,
    **options: Any,
) -> None:
    """Start the whole program, let the scenario run, stop everything."""
    monkeypatch.setenv("FATHOM_HOME", str(home))
    monkeypatch.setattr(
        "app.vault._sealed_backend", lambda: None
    )  # the machine's own keyring is none of a test's business

    async def run() -> None:
        terminal = Terminal(**options)
        terminal.accounts.exchange = exchange
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


async def stand_still(window: Window, account: Account) -> PracticeServer:
    """Send the crowd home, and wait until the screen shows where the market stopped: nobody moves it from now on but the test."""
    server, feed = account.server, window.feed
    assert server is not None
    assert feed is not None
    server.crowd = None
    key = feed.instrument.key.partition(":")[2]

    def caught_up() -> bool:
        theirs = [float(level.price) for level in server.exchange.best(key) if level is not None]
        return feed.sync.live and theirs == [level[0] for level in (feed.book.best_bid, feed.book.best_ask) if level]

    await until(caught_up, "the price at which the market stopped")
    return server


async def settled(window: Window) -> None:
    """The panels stand where they will stand: what Qt puts off to the next turns of the loop is done."""
    seen: list[list[tuple[object, ...]]] = []

    def rest() -> bool:
        shown = [panel for panel in window.panels.values() if panel.isVisible()]
        seen.append([(panel.panel_id, panel.mapTo(window, QPoint()), panel.size()) for panel in shown])
        return len(seen) > TURNS and all(look == seen[-1] for look in seen[-TURNS:])

    await until(rest, "panels that move no more")


def nothing_runs(home: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings under which no account starts."""
    monkeypatch.setenv("FATHOM_HOME", str(home))
    settings = Settings()
    settings.preferences.accounts = ["none:none"]
    return settings
