"""The connector browser: the quarter's table of exchanges, and what is known of each today."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QModelIndex, Qt, Signal
from PySide6.QtWidgets import (
    QButtonGroup,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QPushButton,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from app.accounts import AccountState
from app.catalogue import POLL_TEXT, TIER_TEXT, TIERS, Entry
from connectors.contract import Amend, Capabilities
from connectors.model import OrderKind
from ui.panel import Panel
from ui.panels.connector_detail import ConnectorDetail, status_words
from ui.panels.quarter_import import QuarterImport
from ui.theme import Theme
from ui.widgets.choice import Choice
from ui.widgets.dialogs import show_beside
from ui.widgets.figures import DASH
from ui.widgets.tables import Column, RowTable

if TYPE_CHECKING:
    from app.accounts import Account
    from app.terminal import Terminal

TICK = "✓"


def _able(entry: Entry, test: Callable[[Capabilities], bool]) -> str:
    if not entry.implemented:
        return DASH
    return TICK if any(test(part) for part in entry.capabilities.values()) else DASH


def _signup(entry: Entry) -> str:
    return "   ".join(part.code or f"{part.label} ↗" for part in entry.row.signup) or DASH


class ConnectorBrowser(Panel):
    """`opened(account id)` when an account was started or stopped from here, `trade_asked(account id)` to look at its market.

    Links go through `link_asked(url)`.
    """

    panel_id = "connectors"
    title = "Connectors"
    link_asked = Signal(str)
    opened = Signal(str)
    trade_asked = Signal(str)

    def __init__(self, theme: Theme, terminal: Terminal) -> None:
        super().__init__(theme)
        self.terminal = terminal
        self.catalogue = terminal.catalogue
        self.table = RowTable(theme, self._columns(), "Exchanges", row_height=30, key=lambda entry: entry.row.slug)
        self.table.clicked.connect(self._clicked)
        self.table.selectionModel().currentRowChanged.connect(lambda *_: self._show_detail())
        self.filter = QLineEdit()
        self.filter.setPlaceholderText("Filter by name, code, market")
        self.filter.setAccessibleName("Filter the exchanges")
        self.filter.textChanged.connect(lambda _: self.refresh())
        self.quarter = Choice()
        self.quarter.setAccessibleName("Quarter of the table")
        self.quarter.currentTextChanged.connect(lambda _: self.refresh())
        self.detail = ConnectorDetail(theme, terminal)
        self.detail.link_asked.connect(self.link_asked)
        self.detail.opened.connect(self.opened)
        self.detail.trade_asked.connect(self.trade_asked)
        self._build()
        self._fill_quarters()
        self.choose(self.table.rows.rows[0].row.slug)
        terminal.accounts.changed.connect(lambda _: self.refresh())

    def _columns(self) -> tuple[Column, ...]:
        def tier(entry: Entry) -> str:
            return f"tier.{entry.row.tier.lower()}"

        def name_colour(entry: Entry) -> str:
            return "text.secondary" if entry.closed else "text.primary"

        return (
            Column("Exchange", lambda e: e.row.name, "strong", 130, colour=name_colour),
            Column("Type", lambda e: e.row.type, "text", 56, colour=lambda e: "text.secondary"),
            Column("Tier", lambda e: e.row.tier, "chip", 88, sort=lambda e: TIERS.index(e.row.tier), colour=tier),
            Column("Maintainer", lambda e: e.row.maintainer or DASH, "text", 160),
            Column("Signup code", _signup, "link", 170),
            Column(
                "Status today",
                status_words,
                "state",
                190,
                colour=lambda e: "buy" if e.live else "text.tertiary",
                extra=lambda e: "disc" if e.live else "bar" if e.closed else "ring",
            ),
            Column("Markets", lambda e: e.today.markets or DASH, "text", 90, colour=lambda e: "text.secondary"),
            Column("Amend", lambda e: _able(e, lambda c: c.amend is not Amend.NONE), "text", 60),
            Column(
                "Stops",
                lambda e: _able(e, lambda c: OrderKind.STOP in c.kinds or OrderKind.STOP_LIMIT in c.kinds),
                "text",
                56,
            ),
            Column("Testnet", lambda e: TICK if e.has_testnet and not e.closed else DASH, "text", 64),
            Column(
                "Connection",
                self._connection,
                "state",
                170,
                colour=self._connection_colour,
                extra=self._shape,
            ),
        )

    def _running(self, entry: Entry) -> list[Account]:
        return [
            account
            for account in self.terminal.accounts.accounts.values()
            if account.venue.slug == entry.row.slug and account.state is not AccountState.OFF
        ]

    def _shape(self, entry: Entry) -> str:
        running = self._running(entry)
        if not running:
            return "ring" if entry.implemented else "bar"
        return "disc" if all(account.state is AccountState.READY for account in running) else "half"

    def _connection_colour(self, entry: Entry) -> str:
        running = self._running(entry)
        if not running:
            return "text.tertiary"
        if all(account.state is AccountState.READY for account in running):
            return running[0].environment.value
        return "warn"

    def _connection(self, entry: Entry) -> str:
        running = self._running(entry)
        if running:
            return ", ".join(f"{account.environment.capitalize()} {account.state}" for account in running)
        if not entry.implemented:
            return "Not in this build"
        return "Practice only" if entry.closed else "Not started"

    def _build(self) -> None:
        head = QHBoxLayout()
        head.setContentsMargins(12, 8, 12, 8)
        self.filter.setMinimumWidth(120)
        self.filter.setMaximumWidth(280)
        head.setSpacing(6)
        head.addWidget(self.filter, 2)
        self.chips = QButtonGroup(self)
        for index, name in enumerate(("All", *TIERS, "Live today", "Closed")):
            chip = QPushButton(name)
            chip.setCheckable(True)
            chip.setProperty("chip", True)
            chip.setChecked(index == 0)
            self.chips.addButton(chip, index)
            head.addWidget(chip)
        self.chips.idClicked.connect(lambda _: self.refresh())
        head.addStretch(1)
        label = QLabel("Tiers as of")
        label.setProperty("role", "secondary")
        head.addWidget(label)
        self.quarter.setMinimumWidth(96)
        head.addWidget(self.quarter)
        take = QPushButton("Import a table…")
        take.clicked.connect(self._import)
        head.addWidget(take)
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(head)
        column.addWidget(self.table, 1)
        foot = QGridLayout()
        foot.setContentsMargins(12, 8, 12, 8)
        foot.setHorizontalSpacing(24)
        for index, name in enumerate(TIERS):
            title, text = QLabel(name), QLabel(TIER_TEXT[name])
            title.setProperty("tier", name.lower())
            self._small(text)
            foot.addWidget(title, 0, index)
            foot.addWidget(text, 1, index, Qt.AlignmentFlag.AlignTop)
            foot.setColumnStretch(index, 1)
        title, text = QLabel("Signup links are referral links"), QLabel(POLL_TEXT)
        title.setProperty("role", "strong")
        self._small(text)
        foot.addWidget(title, 0, 3)
        foot.addWidget(text, 1, 3, Qt.AlignmentFlag.AlignTop)
        foot.setColumnStretch(3, 2)
        column.addLayout(foot)
        self.footer = QLabel()
        self.footer.setProperty("role", "caption")
        self.footer.setContentsMargins(12, 0, 12, 8)
        self.footer.setWordWrap(True)
        column.addWidget(self.footer)
        split = QSplitter()
        split.addWidget(left)
        split.addWidget(self.detail)
        split.setStretchFactor(0, 1)
        split.setSizes([1100, 420])
        split.setHandleWidth(4)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(split)

    @staticmethod
    def _small(label: QLabel) -> None:
        label.setWordWrap(True)
        label.setProperty("role", "caption")

    def _fill_quarters(self, chosen: str = "") -> None:
        self.quarter.blockSignals(True)
        self.quarter.clear()
        self.quarter.addItems(list(reversed(self.catalogue.quarters)))
        self.quarter.setCurrentText(chosen or self.catalogue.current)
        self.quarter.blockSignals(False)
        self.refresh()

    def refresh(self) -> None:
        """Rows of the quarter that pass filter and chips, in the table's own order."""
        entries = self.catalogue.entries(self.quarter.currentText())
        counts = {"All": len(entries)} | {tier: sum(entry.row.tier == tier for entry in entries) for tier in TIERS}
        counts |= {
            "Live today": sum(entry.live for entry in entries),
            "Closed": sum(entry.closed for entry in entries),
        }
        for button in self.chips.buttons():
            name = button.text().rsplit("  ", 1)[0]
            button.setText(f"{name}  {counts[name]}")
        pressed = self.chips.checkedButton()
        chosen = pressed.text().rsplit("  ", 1)[0] if pressed is not None else "All"
        words = self.filter.text().lower().split()
        shown = [
            entry
            for entry in entries
            if (
                chosen in ("All", entry.row.tier)
                or (chosen == "Closed" and entry.closed)
                or (chosen == "Live today" and entry.live)
            )
            and all(word in _haystack(entry) for word in words)
        ]
        self.table.rows.set_rows(shown)
        own = f"Hummingbot table of {self.quarter.currentText()}, {len(entries)} centralised exchanges."
        self.footer.setText(
            f"{own} Status as Fathom knows it on {self.catalogue.as_of}. A closed venue takes no key and no live order; its "
            "protocol runs on the practice exchange."
        )
        self._follow(entries)

    def _follow(self, entries: list[Entry]) -> None:
        """The pane beside the table shows what this quarter says, or another exchange where this one is not in it."""
        shown = self.detail.entry
        if shown is None or not entries:
            return
        found = next((entry for entry in entries if entry.row.slug == shown.row.slug), None)
        if found is None:
            self.choose(entries[0].row.slug)
        self.detail.show_entry(found or entries[0])

    def choose(self, slug: str) -> None:
        """Select an exchange and show its details."""
        self.table.choose(lambda entry: entry.row.slug == slug)

    def _clicked(self, index: QModelIndex) -> None:
        entry = self.table.row_at(index)
        if entry is None or self.table.rows.columns[index.column()].name != "Signup code" or not entry.row.signup:
            return
        if len(entry.row.signup) == 1:
            self.link_asked.emit(entry.row.signup[0].url)
            return
        menu = QMenu(self)
        for part in entry.row.signup:
            menu.addAction(part.label or part.code, lambda url=part.url: self.link_asked.emit(url))
        menu.popup(self.table.viewport().mapToGlobal(self.table.visualRect(index).bottomLeft()))

    def _show_detail(self) -> None:
        entry = self.table.chosen
        if entry is not None:
            self.detail.show_entry(entry)

    def _import(self) -> None:
        dialog = QuarterImport(self.catalogue, self)
        dialog.imported.connect(self._fill_quarters)
        show_beside(dialog)


def _haystack(entry: Entry) -> str:
    codes = " ".join(part.code for part in entry.row.signup)
    return f"{entry.row.name} {entry.row.slug} {codes} {entry.today.markets} {entry.row.maintainer} {entry.today.note}".lower()
