"""Health of the connections, and the log."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLineEdit, QVBoxLayout

from connectors.runtime.socket import LinkState
from ui.panel import Panel
from ui.theme import Theme
from ui.widgets.figures import DASH
from ui.widgets.tables import Column, RowTable

if TYPE_CHECKING:
    from app.terminal import Terminal

_SHAPES = {LinkState.OPEN: "disc", LinkState.OPENING: "half", LinkState.WAITING: "half", LinkState.OFF: "bar"}
HEALTH_COLUMNS = (
    Column("Account", lambda r: r[0].name, "strong", 130),
    Column("Connection", lambda r: f"{r[1].family} {r[1].role}".strip(), "text", 150),
    Column(
        "State",
        lambda r: f"{r[1].state} {r[1].text}".strip(),
        "state",
        170,
        colour=lambda r: "buy" if r[1].state is LinkState.OPEN else "warn",
        extra=lambda r: _SHAPES[r[1].state],
    ),
    Column("Messages/s", lambda r: f"{r[1].rate:.0f}", "number", 86, sort=lambda r: r[1].rate),
    Column("Delay, ms", lambda r: DASH if r[1].delay_ms is None else f"{r[1].delay_ms:.0f}", "number", 80),
    Column("Last, s", lambda r: DASH if r[1].age is None else f"{r[1].age:.1f}", "number", 70),
    Column("Gaps", lambda r: str(r[1].gaps), "number", 60, sort=lambda r: r[1].gaps),
    Column("Resyncs", lambda r: str(r[1].resyncs), "number", 70, sort=lambda r: r[1].resyncs),
    Column("Reconnects", lambda r: str(r[1].reconnects), "number", 86),
    Column("Not understood", lambda r: str(r[1].unknown), "number", 110),
    Column("Declined", lambda r: str(r[1].declined), "number", 76),
    Column(
        "Budget",
        lambda r: DASH if r[1].budget is None else f"{r[1].budget[0]:.0f} / {r[1].budget[1]:.0f}",
        "number",
        110,
    ),
)


class Health(Panel):
    """Every connection of every account, twice a second."""

    panel_id = "health"
    title = "Health"

    def __init__(self, theme: Theme, terminal: Terminal) -> None:
        super().__init__(theme)
        self.terminal = terminal
        self.table = RowTable(theme, HEALTH_COLUMNS, "Health of the connections")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.table)
        self._tick = 0

    def frame(self, now: float) -> None:
        """Read all connections."""
        tick = int(now * 2)
        if tick != self._tick:
            self._tick = tick
            accounts = self.terminal.accounts.accounts.values()
            self.table.rows.set_rows([(account, row) for account in accounts for row in account.health()])


LOG_COLUMNS = (
    Column("Time", lambda r: time.strftime("%H:%M:%S", time.gmtime(r.time)), "number", 76, sort=lambda r: r.time),
    Column(
        "Level",
        lambda r: r.level,
        "text",
        70,
        colour=lambda r: "danger" if r.level in ("error", "critical") else "text.secondary",
    ),
    Column("Source", lambda r: r.source, "text", 180, colour=lambda r: "text.tertiary"),
    Column("What", lambda r: r.text, "text", 900),
)


class LogPanel(Panel):
    """The latest lines, newest first, filtered by level and words."""

    panel_id = "log"
    title = "Log"

    def __init__(self, theme: Theme, terminal: Terminal) -> None:
        super().__init__(theme)
        self.ring = terminal.logs.ring
        self.table = RowTable(theme, LOG_COLUMNS, "Log")
        self.filter = QLineEdit()
        self.filter.setPlaceholderText("Filter")
        self.filter.setAccessibleName("Filter the log")
        self.level = QComboBox()
        self.level.addItems(["All", "Warnings and errors"])
        self.level.setAccessibleName("Level")
        row = QHBoxLayout()
        row.setContentsMargins(8, 3, 8, 3)
        row.addWidget(self.filter)
        row.addWidget(self.level)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(row)
        column.addWidget(self.table)
        self._seen: tuple[object, ...] = ()

    def frame(self, now: float) -> None:
        """When lines came or the filter changed."""
        seen = (self.ring.version, self.filter.text(), self.level.currentIndex())
        if seen == self._seen:
            return
        self._seen = seen
        words = self.filter.text().lower()
        severe = self.level.currentIndex() == 1
        lines = [line for line in reversed(self.ring.lines) if words in line.text.lower() or words in line.source]
        self.table.rows.set_rows([line for line in lines if not severe or line.level != "info"][:500])
