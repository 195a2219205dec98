"""The connector browser: the quarter's table of exchanges, what is known of each today, and a detail pane."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QModelIndex, Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QPlainTextEdit,
    QPushButton,
    QScrollArea,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from app.accounts import AccountState
from app.catalogue import POLL_TEXT, TIER_TEXT, TIERS, Entry, ImportFailed
from app.vault import VaultProblem
from connectors import catalogue as connectors
from connectors.contract import Amend, Capabilities, Environment
from connectors.model import OrderKind, TimeInForce
from ui.panel import Panel
from ui.panels.key_form import KeyForm
from ui.theme import Theme
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


def _status(entry: Entry) -> str:
    today = entry.today
    if today.status == "closed":
        return f"Closed {today.since}".strip()
    return {"live": "Live"}.get(today.status, "Not known")


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
        self.quarter = QComboBox()
        self.quarter.setAccessibleName("Quarter of the table")
        self.quarter.currentTextChanged.connect(lambda _: self.refresh())
        self.detail = Detail(theme, terminal, self)
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
                _status,
                "state",
                190,
                colour=lambda e: "text.tertiary" if e.closed else "buy",
                extra=lambda e: "bar" if e.closed else "disc",
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
            "Live today": sum(not entry.closed for entry in entries),
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
                or (chosen == "Live today" and not entry.closed)
            )
            and all(word in _haystack(entry) for word in words)
        ]
        self.table.rows.set_rows(shown)
        own = f"Hummingbot table of {self.quarter.currentText()}, {len(entries)} centralised exchanges."
        self.footer.setText(
            f"{own} Status as Fathom knows it on {self.catalogue.as_of}. A closed venue takes no key and no live order; its "
            "protocol runs on the practice exchange."
        )
        self.detail.refresh()

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
        dialog = ImportDialog(self)
        dialog.imported.connect(self._fill_quarters)
        dialog.open()


def _haystack(entry: Entry) -> str:
    codes = " ".join(part.code for part in entry.row.signup)
    return f"{entry.row.name} {entry.row.slug} {codes} {entry.today.markets} {entry.row.maintainer} {entry.today.note}".lower()


class ImportDialog(QDialog):
    """A later quarter's Markdown table, pasted or from a file. What is wrong is said here, and nothing is lost."""

    imported = Signal(str)

    def __init__(self, browser: ConnectorBrowser) -> None:
        super().__init__(browser)
        self.setWindowTitle("Import a quarter's table")
        self.catalogue = browser.catalogue
        self.quarter = QLineEdit()
        self.quarter.setPlaceholderText("Q4 2023")
        self.quarter.setAccessibleName("Quarter")
        self.text = QPlainTextEdit()
        self.text.setAccessibleName("Markdown table")
        self.text.setPlaceholderText(
            "| Exchange | Type | Tier | Maintainer | Signup code |\n| --- | --- | --- | --- | --- |\n| …"
        )
        self.problem = QLabel()
        self.problem.setProperty("role", "problem")
        self.problem.setWordWrap(True)
        file = QPushButton("From a file…")
        file.clicked.connect(self._file)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self._take)
        buttons.rejected.connect(self.reject)
        row = QHBoxLayout()
        row.addWidget(QLabel("Quarter"))
        row.addWidget(self.quarter)
        row.addStretch(1)
        row.addWidget(file)
        column = QVBoxLayout(self)
        column.addLayout(row)
        column.addWidget(self.text)
        column.addWidget(self.problem)
        column.addWidget(buttons)
        self.resize(720, 420)

    def _file(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "A Markdown file", "", "Markdown (*.md *.txt);;All files (*)")
        if name:
            try:
                self.text.setPlainText(Path(name).read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError) as error:
                self.problem.setText(f"{name} could not be read: {error}")

    def _take(self) -> None:
        try:
            quarter = self.catalogue.import_markdown(self.text.toPlainText(), self.quarter.text().strip())
        except (ImportFailed, OSError) as error:
            self.problem.setText(str(error))
            return
        self.imported.emit(quarter.quarter)
        self.accept()


class Detail(QScrollArea):
    """One exchange: links, environments, key, health, what the connector can do."""

    def __init__(self, theme: Theme, terminal: Terminal, browser: ConnectorBrowser) -> None:
        super().__init__()
        self.theme = theme
        self.terminal = terminal
        self.browser = browser
        self.entry: Entry | None = None
        self.setWidgetResizable(True)
        self.setMinimumWidth(330)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.form: KeyForm | None = None
        self._cards = QWidget()
        self._shown = ""
        self._show_nothing()
        theme.changed.connect(self.refresh)

    def _show_nothing(self) -> None:
        label = QLabel("Choose an exchange to see what it is, and to start it.")
        label.setProperty("role", "secondary")
        label.setWordWrap(True)
        label.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setWidget(label)

    def show_entry(self, entry: Entry) -> None:
        """Show another exchange; what was typed for the one before is forgotten, it must not end up with another."""
        if self.form is not None and self.form.venue.slug != entry.row.slug:
            self.form.clear()
        self.entry = entry
        self.refresh()

    def refresh(self) -> None:
        """Build the pane anew; what stands in the key form stays unless the exchange changed."""
        entry = self.entry
        if entry is None:
            return
        if entry.row.slug == self._shown and self.form is not None and self.form.dirty:
            self._fill_cards(entry)
            return
        self._shown = entry.row.slug
        place = self.verticalScrollBar().value()
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(20, 16, 20, 16)
        column.setSpacing(8)
        title = QLabel(entry.row.name)
        title.setProperty("role", "title")
        column.addWidget(title)
        about = f"{entry.row.tier} · {_status(entry)} · {entry.row.type}, {entry.today.markets.lower() or 'markets not known'}"
        column.addWidget(self._label(about, "secondary"))
        if entry.today.note:
            column.addWidget(self._label(entry.today.note, "secondary"))
        column.addWidget(
            self._label(f"As of {self.browser.catalogue.as_of}; source: {entry.today.source or 'none'}.", "caption")
        )
        column.addLayout(self._links(entry))
        column.addWidget(self._line())
        column.addWidget(self._label("Environment", "large"))
        self._cards = QWidget()
        QGridLayout(self._cards).setContentsMargins(0, 0, 0, 0)
        self._fill_cards(entry)
        column.addWidget(self._cards)
        self.form = None
        if entry.implemented:
            column.addWidget(self._line())
            self.form = KeyForm(self.terminal, connectors.load(entry.row.slug))
            self.form.changed.connect(self._key_changed, Qt.ConnectionType.QueuedConnection)
            column.addWidget(self.form)
            column.addWidget(self._line())
            column.addWidget(self._label("What the connector can do", "large"))
            column.addWidget(self._label(_abilities(entry), "secondary"))
        column.addStretch(1)
        self.setWidget(inside)
        self.verticalScrollBar().setValue(place)

    @staticmethod
    def _label(text: str, role: str) -> QLabel:
        label = QLabel(text)
        label.setProperty("role", role)
        label.setWordWrap(True)
        return label

    @staticmethod
    def _line() -> QFrame:
        line = QFrame()
        line.setProperty("role", "line")
        return line

    def _links(self, entry: Entry) -> QGridLayout:
        grid = QGridLayout()
        buttons: list[QPushButton] = []
        links = [(part.label or "Sign up", part.url) for part in entry.row.signup]
        links += [("API documentation", entry.today.docs)] if entry.today.docs else []
        links += [("Fees", entry.fees)] if entry.fees else []
        links += [(entry.row.maintainer, entry.row.maintainer_url)] if entry.row.maintainer_url else []
        for name, url in links:
            button = QPushButton(f"{name} ↗")
            button.clicked.connect(lambda _=False, url=url: self.browser.link_asked.emit(url))
            buttons.append(button)
        for part in entry.row.signup:
            if part.code:
                copy = QPushButton(f"Copy {part.code}")
                copy.clicked.connect(lambda _=False, code=part.code: QGuiApplication.clipboard().setText(code))
                buttons.append(copy)
        for index, button in enumerate(buttons):
            grid.addWidget(button, index // 2, index % 2)
        return grid

    def _fill_cards(self, entry: Entry) -> None:
        """A card for each environment: what it is, or why it can't be had, and the buttons."""
        grid = self._cards.layout()
        if not isinstance(grid, QGridLayout):
            return
        while (item := grid.takeAt(0)) is not None:
            if (old := item.widget()) is not None:
                old.deleteLater()
        texts = {
            Environment.PRACTICE: "Local exchange, made-up crowd",
            Environment.PAPER: "Live books, simulated fills",
            Environment.TESTNET: "The venue's own test market",
            Environment.LIVE: "Real orders, real money",
        }
        for index, (environment, text) in enumerate(texts.items()):
            grid.addWidget(self._card(entry, environment, text), index // 2, index % 2)
            grid.setColumnStretch(index % 2, 1)

    def _card(self, entry: Entry, environment: Environment, text: str) -> QFrame:
        why = self._obstacle(entry, environment)
        account = self.terminal.accounts.accounts.get(f"{entry.row.slug}:{environment}")
        running = account is not None and account.state not in (AccountState.OFF, AccountState.FAILED)
        box = QFrame()
        box.setProperty("role", "chosen" if running and environment is self.theme.environment else "notice")
        column = QVBoxLayout(box)
        column.setContentsMargins(10, 8, 10, 8)
        name = QLabel(environment.capitalize())
        name.setProperty("environment", environment.value)
        column.addWidget(name)
        said = account.words if account is not None else ""
        if running and not said and account is not None:
            said = account.state.capitalize()
        column.addWidget(self._label(said or why or text, "caption"), 1)
        row = QHBoxLayout()
        row.setSpacing(6)
        button = QPushButton("Stop" if running else "Start")
        button.setAccessibleName(f"{'Stop' if running else 'Start'} {environment} at {entry.row.name}")
        button.setEnabled(running or not why)
        button.setToolTip(why)
        button.clicked.connect(lambda _=False: self._toggle(environment))
        row.addWidget(button)
        if running and account is not None and account.instruments:
            look = QPushButton("Trade")
            look.setAccessibleName(f"Trade {environment} at {entry.row.name}")
            look.clicked.connect(lambda _=False, name=account.id: self.browser.trade_asked.emit(name))
            row.addWidget(look)
        column.addLayout(row)
        return box

    def _obstacle(self, entry: Entry, environment: Environment) -> str:
        """Why an environment can't be started, or nothing."""
        if not entry.implemented:
            return "No connector in this build"
        if environment is Environment.PRACTICE:
            return ""
        if entry.closed:
            closed = f"{entry.row.name} closed {entry.today.since}".strip()
            return f"{closed}: no live books to trade on paper" if environment is Environment.PAPER else closed
        if environment is Environment.PAPER:
            return ""
        if environment is Environment.TESTNET and not entry.has_testnet:
            return f"{entry.row.name} has none"
        try:
            known = self.terminal.vault.tail(entry.row.slug, environment)
        except VaultProblem as problem:
            return str(problem)
        return "" if known else "Add a key first"

    def _toggle(self, environment: Environment) -> None:
        if self.entry is None:
            return
        account = self.terminal.accounts.add(self.entry.row.slug, environment)
        running = account.state not in (AccountState.OFF, AccountState.FAILED)
        self.terminal.accounts.spawn(self._run(account, start=not running))

    async def _run(self, account: Account, *, start: bool) -> None:
        await (account.start() if start else account.stop())
        self.browser.opened.emit(account.id)

    def _key_changed(self, text: str) -> None:
        """Another key, or another place for keys: what can be started may have changed."""
        self.refresh()
        if self.form is not None and text:
            self.form.status.setText(f"{self.form.status.text()}. {text}")


def _abilities(entry: Entry) -> str:
    lines = []
    for name, able in entry.capabilities.items():
        kinds = ", ".join(kind.value.replace("_", " ") for kind in OrderKind if kind in able.kinds)
        more = [
            word
            for word, has in (
                ("post only", able.post_only),
                ("reduce only", able.reduce_only),
                ("leverage", able.leverage),
                (f"amend ({able.amend.value.replace('_', ' ')})", able.amend is not Amend.NONE),
                ("dead man's switch", able.dead_man),
                ("orders over the socket", able.orders_over_socket),
            )
            if has
        ]
        tifs = ", ".join(tif.value.upper() for tif in TimeInForce if tif.value in able.tifs)
        lines.append(f"{name}: {kinds}; {tifs}; {', '.join(more)}.")
    return "\n".join(lines)
