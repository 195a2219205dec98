"""What the ticket offers when the guard refuses: one press, and the order may leave."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.guard import Limits
from app.loop import Loop
from app.settings import Settings
from app.terminal import Terminal
from connectors.catalogue import load
from connectors.contract import Environment
from connectors.model import OrderKind, Side
from connectors.practice.server import PracticeServer
from connectors.practice.terms import NewOrder
from tests.waiting import until
from ui.panels.ticket import Ticket
from ui.theme import Theme

D = Decimal
PAPER = "binance:paper"


def test_a_market_order_beyond_the_collar_becomes_a_limit_at_it(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """given asks at 100 and 120 and a collar of 5 %, when 2 are to be bought at market, then one press limits it at the collar."""
    monkeypatch.setenv("FATHOM_HOME", str(tmp_path))

    async def run() -> None:
        server = PracticeServer(load("binance"), crowd=False)
        await server.start()
        server.fund("street")
        for side, price in ((Side.SELL, "100"), (Side.SELL, "120"), (Side.BUY, "99")):
            order = NewOrder(key="spot:LTC-USDT", side=side, amount=D(1), price=D(price))
            server.exchange.deposit("street", "LTC", D(1))
            server.exchange.place("street", order)
        settings = Settings()
        settings.preferences.accounts = [PAPER]
        settings.preferences.limits[PAPER] = Limits(repeat_seconds=None)
        terminal = Terminal(settings=settings)
        terminal.accounts.hosts["binance"] = server.hosts
        await terminal.start()
        try:
            account = terminal.accounts.accounts[PAPER]
            await until(lambda: not terminal.desk._not_ready(account), "the comparison")
            feed = terminal.markets.open("binance:spot:LTC-USDT", Environment.PAPER)
            assert feed is not None
            await until(lambda: feed.sync.live and feed.book.mid == 99.5, "the book")
            terminal.desk.arm(Environment.PAPER)
            ticket = Ticket(Theme("dark"), terminal.desk)
            ticket.show()
            ticket.set_feed(feed)
            ticket.set_side(Side.BUY)
            ticket.set_kind(OrderKind.MARKET)
            ticket.amount.set(D(2))
            ticket.refresh()
            assert not ticket.send.isEnabled()
            assert "collar" in ticket.amount_hint.text()
            assert ticket.fix.text() == "Limit it at 104.47, IOC"
            QTest.mouseClick(ticket.fix, Qt.MouseButton.LeftButton)
            assert (ticket.kind, ticket.price.value, ticket.tif.currentText()) == (OrderKind.LIMIT, D("104.47"), "IOC")
            assert ticket.send.isEnabled()
            QTest.mouseClick(ticket.send, Qt.MouseButton.LeftButton)
            (order,) = terminal.desk.orders.values()
            await until(lambda: order.is_final, "the end")
            assert (order.filled, order.average) == (D(1), D(100))
        finally:
            await terminal.stop()
            await server.stop()

    loop.run_until_complete(run())
