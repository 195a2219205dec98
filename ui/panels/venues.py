"""The exchanges beside the watchlist: which are running and how they do; a click opens one in the connector browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QLineEdit, QVBoxLayout

from app.accounts import AccountState
from app.catalogue import Entry
from ui.panel import Panel
from ui.theme import Theme
from ui.widgets.figures import DASH
from ui.widgets.tables import Column, RowTable

if TYPE_CHECKING:
    from app.accounts import Account
    from app.terminal import Terminal


LETTER, NAME, FORM = 28, 92, 24  # widths of columns; the last one is what a state needs at least


class Venues(Panel):
    """Those that run first, then the quarter's order. `chosen(slug)`: show this one in the browser."""

    panel_id = "venues"
    title = "Exchanges"
    every = 30
    chosen = Signal(str)

    def __init__(self, theme: Theme, terminal: Terminal) -> None:
        super().__init__(theme)
        self.terminal = terminal
        self.setMinimumWidth(150)
        columns = (
            Column("", lambda e: e.row.tier[0], "letter", LETTER, colour=lambda e: f"tier.{e.row.tier.lower()}"),
            Column("", lambda e: e.row.name, "strong", NAME, colour=self._name_colour),
            Column("", self._words, "state", 100, colour=self._colour, extra=self._shape),
        )
        self.table = RowTable(theme, columns, "Exchanges", row_height=28, key=lambda entry: entry.row.slug)
        self.table.horizontalHeader().hide()
        self.table.setSortingEnabled(False)
        self.table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.table.clicked.connect(self._open)
        self.table.activated.connect(self._open)
        self.filter = QLineEdit()
        self.filter.setPlaceholderText("Filter the exchanges")
        self.filter.setAccessibleName("Filter the exchanges")
        self.filter.textChanged.connect(lambda _: self._fill())
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(self.filter)
        column.setContentsMargins(8, 8, 8, 0)
        column.addWidget(self.table)
        self._seen: tuple[object, ...] = ()
        self._fill()
        terminal.accounts.changed.connect(lambda _: self._fill())

    def frame(self, now: float) -> None:
        """Delays move, of those that run: they stand on top. Where it is narrow a state is told by its form alone."""
        room = self.table.viewport().width() - LETTER  # a hidden heading stretches nothing by itself
        name = max(60, min(NAME, room - FORM))
        self.table.setColumnWidth(1, name)
        self.table.setColumnWidth(2, max(FORM, room - name))
        for number, entry in enumerate(self.table.rows.rows):
            if not self._running(entry):
                break
            self.table.update(self.table.proxy.mapFromSource(self.table.rows.index(number, 2)))

    def _fill(self) -> None:
        words = self.filter.text().lower().split()
        found = [
            entry
            for entry in self.terminal.catalogue.entries()
            if all(word in f"{entry.row.name} {entry.row.slug} {entry.row.tier}".lower() for word in words)
        ]
        found.sort(key=lambda entry: not self._running(entry))
        self.table.rows.set_rows(found)

    def _open(self, index: object) -> None:
        entry = self.table.chosen
        if entry is not None:
            self.chosen.emit(entry.row.slug)

    def _running(self, entry: Entry) -> list[Account]:
        return [
            account
            for account in self.terminal.accounts.accounts.values()
            if account.venue.slug == entry.row.slug and account.state is not AccountState.OFF
        ]

    def _words(self, entry: Entry) -> str:
        running = self._running(entry)
        if not running:
            if entry.closed:
                return "Closed"
            return "Not started" if entry.implemented else DASH
        worst = next((account for account in running if account.state is not AccountState.READY), None)
        if worst is not None:
            return worst.state.capitalize()
        delays = [row.delay_ms for account in running for row in account.health() if row.delay_ms is not None]
        return f"{max(0.0, *delays):.0f} ms" if delays else "Ready"

    def _shape(self, entry: Entry) -> str:
        running = self._running(entry)
        if not running:
            return "bar" if entry.closed else "ring"
        return "disc" if all(account.state is AccountState.READY for account in running) else "half"

    def _colour(self, entry: Entry) -> str:
        return {"disc": "buy", "half": "warn"}.get(self._shape(entry), "text.tertiary")

    def _name_colour(self, entry: Entry) -> str:
        return "text.secondary" if entry.closed or not entry.implemented else "text.primary"
