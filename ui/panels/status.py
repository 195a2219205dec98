"""Health of the connections, and the log."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtWidgets import (
    QButtonGroup,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
)

from connectors.runtime.socket import LinkState
from ui.integrity import Integrity, integrity
from ui.panel import Panel
from ui.theme import Theme
from ui.widgets.choice import Choice
from ui.widgets.figures import DASH
from ui.widgets.tables import Column, RowTable

if TYPE_CHECKING:
    from app.markets import Feed
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
    Column("Delay, ms", lambda r: DASH if r[1].delay_ms is None else f"{max(0.0, r[1].delay_ms):.0f}", "number", 80),
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


BookRow = tuple["Feed", Integrity]


def _count(name: str) -> Callable[[BookRow], str]:
    return lambda row: str(getattr(row[0].sync.counters, name))


def _checksum(row: BookRow) -> str:
    sync = row[0].sync
    if sync.rule.checksum is None:
        return DASH
    return "none yet" if sync.last_checksum is None else f"{sync.last_checksum}"


def _checks(row: BookRow) -> str:
    counters = row[0].sync.counters
    return DASH if row[0].sync.rule.checksum is None else f"{counters.checksums_ok} / {counters.checksums_failed}"


def _number(name: str, field: str, width: int) -> Column:
    return Column(name, _count(field), "number", width, sort=lambda r: getattr(r[0].sync.counters, field))


BOOK_COLUMNS = (
    Column("Book", lambda r: r[0].instrument.symbol, "strong", 110),
    Column("Account", lambda r: f"{r[0].account.name}, {r[0].instrument.market}", "text", 160),
    Column("Proof", lambda r: r[1].word, "state", 130, colour=lambda r: r[1].colour, extra=lambda r: r[1].shape),
    Column("Last update", lambda r: DASH if r[0].sync.last_id is None else str(r[0].sync.last_id), "number", 110),
    Column("Checksum", _checksum, "number", 100),
    Column("Equal / not", _checks, "number", 90),
    _number("Gaps", "gaps", 60),
    _number("Repaired", "resyncs", 76),
    _number("Twice", "duplicates", 60),
    _number("Too old", "dropped", 70),
    _number("Crossed", "crossed", 70),
    _number("Malformed", "malformed", 86),
    _number("Applied", "applied", 80),
    Column("Why", lambda r: r[1].sentence, "text", 300, colour=lambda r: "text.secondary"),
)


class Health(Panel):
    """Every connection of every account and every book with its proof, twice a second."""

    panel_id = "health"
    title = "Health"

    def __init__(self, theme: Theme, terminal: Terminal) -> None:
        super().__init__(theme)
        self.terminal = terminal
        self.table = RowTable(
            theme,
            HEALTH_COLUMNS,
            "Health of the connections",
            key=lambda r: (r[0].id, r[1].family, r[1].role, r[1].url),
        )
        self.books = RowTable(theme, BOOK_COLUMNS, "Proof of the books", key=lambda r: id(r[0]))
        self.summary = QLabel()
        self.summary.setProperty("role", "secondary")
        self.pages = QStackedWidget()
        self.chips = QButtonGroup(self)
        row = QHBoxLayout()
        row.setContentsMargins(8, 3, 8, 3)
        row.setSpacing(6)
        for index, (name, page) in enumerate((("Connections", self.table), ("Books", self.books))):
            chip = QPushButton(name)
            chip.setCheckable(True)
            chip.setChecked(index == 0)
            chip.setProperty("chip", True)
            self.chips.addButton(chip, index)
            row.addWidget(chip)
            self.pages.addWidget(page)
        self.chips.idClicked.connect(self.pages.setCurrentIndex)
        row.addSpacing(8)
        row.addWidget(self.summary, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(row)
        column.addWidget(self.pages)
        self._tick = 0

    def frame(self, now: float) -> None:
        """Read all connections and books."""
        tick = int(now * 2)
        if tick != self._tick:
            self._tick = tick
            self.refresh(now)

    def refresh(self, now: float) -> None:
        """Read all connections and books."""
        accounts = self.terminal.accounts.accounts.values()
        self.table.rows.set_rows([(account, row) for account in accounts for row in account.health()])
        books = [(feed, integrity(feed.sync, now)) for feed in self.terminal.markets.feeds]
        self.books.rows.set_rows(books)
        proven = sum(found.colour == "buy" for _, found in books)
        doubt = sum(found.colour == "warn" for _, found in books)
        gaps = sum(feed.sync.counters.gaps for feed, _ in books)
        resyncs = sum(feed.sync.counters.resyncs for feed, _ in books)
        unknown = sum(row.unknown for _, row in self.table.rows.rows)
        self.summary.setText(
            f"{proven} of {len(books)} books proven, {doubt} in doubt; {gaps} gaps, {resyncs} repaired; "
            f"{unknown} messages not understood"
        )
        for chip, name, count in zip(
            self.chips.buttons(), ("Connections", "Books"), (self.table.rows.rowCount(), len(books)), strict=True
        ):
            chip.setText(f"{name}  {count}")

    def choose_book(self, feed: Feed) -> None:
        """Show the proof of this one."""
        self.chips.button(1).setChecked(True)
        self.pages.setCurrentIndex(1)
        self.refresh(time.monotonic())
        self.books.choose(lambda row: row[0] is feed)


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
        self.level = Choice()
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
