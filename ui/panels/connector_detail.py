"""One exchange beside the connector browser: what it is, its environments to start, the form of its key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QPushButton, QScrollArea, QVBoxLayout, QWidget

from app.accounts import AccountState
from app.catalogue import Entry
from app.vault import VaultProblem
from connectors import catalogue as connectors
from connectors.contract import Amend, Environment
from connectors.model import OrderKind, TimeInForce
from ui.panels.key_form import KeyForm
from ui.theme import Theme

if TYPE_CHECKING:
    from app.accounts import Account
    from app.terminal import Terminal


def status_words(entry: Entry) -> str:
    """Whether the exchange lives today, as far as is known."""
    today = entry.today
    if today.status == "closed":
        return f"Closed {today.since}".strip()
    return {"live": "Live"}.get(today.status, "Not known")


class ConnectorDetail(QScrollArea):
    """One exchange: links, environments, key, what the connector can do.

    `opened(account id)` when an account was started or stopped here, `trade_asked(account id)`, `link_asked(url)`.
    """

    link_asked = Signal(str)
    opened = Signal(str)
    trade_asked = Signal(str)

    def __init__(self, theme: Theme, terminal: Terminal) -> None:
        super().__init__()
        self.theme = theme
        self.terminal = terminal
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
        about = f"{entry.row.tier} · {status_words(entry)} · {entry.row.type}, {entry.today.markets.lower() or 'markets not known'}"
        column.addWidget(self._label(about, "secondary"))
        if entry.today.note:
            column.addWidget(self._label(entry.today.note, "secondary"))
        column.addWidget(
            self._label(f"As of {self.terminal.catalogue.as_of}; source: {entry.today.source or 'none'}.", "caption")
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
            button.clicked.connect(lambda _=False, url=url: self.link_asked.emit(url))
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
            look.clicked.connect(lambda _=False, name=account.id: self.trade_asked.emit(name))
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
        self.opened.emit(account.id)

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
