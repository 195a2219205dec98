"""The bar at the bottom: connections, books, orders in doubt, the venues' budgets, the journal, frames, the time."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QSizePolicy

from app.accounts import AccountState
from connectors.runtime.socket import LinkState
from ui.theme import Theme

if TYPE_CHECKING:
    from app.accounts import Account
    from app.journal import Journal
    from app.terminal import Terminal
    from connectors.runtime.session import ConnectionHealth


class StatusBar(QFrame):
    """Texts only; `refresh` twice a second is enough."""

    def __init__(self, theme: Theme, terminal: Terminal) -> None:
        super().__init__()
        self.theme = theme
        self.terminal = terminal
        self.setProperty("role", "strip")
        self.setFixedHeight(24)
        row = QHBoxLayout(self)
        row.setContentsMargins(10, 0, 10, 0)
        row.setSpacing(16)
        self.lines = {name: QLabel() for name in ("accounts", "books", "doubt", "budget", "journal", "fps", "utc")}
        for name, line in self.lines.items():
            row.addWidget(line, 1 if name == "accounts" else 0)
        # many accounts are cut off, and never push the window beyond the screen
        self.lines["accounts"].setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.lines["doubt"].setProperty("role", "warn")
        for name in ("budget", "journal", "fps", "utc"):
            self.lines[name].setProperty("role", "caption")

    def refresh(self, doubtful: int, fps: float) -> None:
        """Everything anew; `doubtful` orders are in doubt."""
        accounts = list(self.terminal.accounts.accounts.values())
        running = [(account, account.health()) for account in accounts if account.state is not AccountState.OFF]
        connections = [row for _, health in running for row in health]
        gaps, resyncs = sum(row.gaps for row in connections), sum(row.resyncs for row in connections)
        self.lines["accounts"].setText("&nbsp;&nbsp; ".join(self._account_text(*pair) for pair in running))
        self.lines["books"].setText(f"<b>Books</b> {gaps} gaps, {resyncs} resyncs")
        self.lines["doubt"].setText(f"◆ {doubtful} order{'s' if doubtful != 1 else ''} in doubt" if doubtful else "")
        self.lines["budget"].setText(_budget_text(connections))
        self._show_journal(self.terminal.desk.journal)
        self.lines["fps"].setText(f"{fps:.0f} fps")
        self.lines["utc"].setText(time.strftime("%d %b %Y  %H:%M:%S UTC", time.gmtime()))

    def _account_text(self, account: Account, health: list[ConnectionHealth]) -> str:
        """Green while all connections of an account that works are open, amber otherwise."""
        open_ = bool(health) and all(row.state is LinkState.OPEN for row in health)
        good = open_ and account.state in (AccountState.READY, AccountState.DEGRADED)
        rate = sum(row.rate for row in health)
        if self.terminal.is_replay:
            return f"<b>{account.venue.name}</b> recording, {', '.join(row.text for row in health)}"
        delays = [row.delay_ms for row in health if row.delay_ms is not None]
        delay = f"{max(0.0, *delays):.0f} ms  " if delays else ""
        return (
            f"<span style='color:{self.theme.hex('buy' if good else 'warn')}'>{'●' if good else '◐'}</span> "
            f"<b>{account.venue.name}</b> {account.environment} {delay}{rate:.0f} msg/s"
        )

    def _show_journal(self, journal: Journal) -> None:
        waiting = f", {journal.unwritten} lines wait" if journal.unwritten else ""
        line = self.lines["journal"]
        line.setText("Journal written" if journal.writable else f"◆ Journal not writable{waiting}")
        line.setStyleSheet("" if journal.writable else f"color: {self.theme.hex('danger')}")


def _budget_text(connections: Iterable[ConnectionHealth]) -> str:
    """The rate budget that is used up most."""
    budgets = [row.budget for row in connections if row.budget is not None]
    fullest = max(budgets, key=lambda part: part[0] / part[1], default=None)
    return f"Rate budget {fullest[0]:.0f} / {fullest[1]:.0f}" if fullest else ""
