"""The journal: every order's whole life with times and the raw reasons, what was told, and export for other programs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from PySide6.QtCore import QDate, QObject, Qt, Signal
from PySide6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from app.blotter import order_of
from app.export import Cancelled, export
from app.journal import LINES, JournalUnavailable
from app.journal_rows import Note, Record
from app.orders import Order, OrderState
from connectors.model import plain
from ui.panel import Panel
from ui.panels.blotter import STATE_SHAPES, STATE_WORDS, account_name
from ui.theme import Theme
from ui.widgets.choice import Choice
from ui.widgets.figures import DASH, figure
from ui.widgets.style import mark
from ui.widgets.tables import Column, RowTable

if TYPE_CHECKING:
    from app.terminal import Terminal

NOTES = "Told and compared"
WHICH = ("All orders", "Not ended", "Placed elsewhere", NOTES)
PERIODS = (("Today", 1), ("7 days", 7), ("30 days", 30), ("All time", 0))
RELOAD = 1.0  # seconds between two readings while orders change


@dataclass(frozen=True, slots=True)
class Entry:
    """An order of the journal. `order` None: its request cannot be read; the record is shown as it is."""

    record: Record
    order: Order | None

    @property
    def state(self) -> OrderState:
        """As the last line of its life says."""
        known = self.record.events[-1][2] if self.record.events else "pending"
        return OrderState(known) if known in set(OrderState) else OrderState.UNKNOWN


@dataclass(frozen=True, slots=True)
class Step:
    """One line of an order's life, or a note. `raw` is what the journal holds."""

    number: int
    time: int
    what: str
    state: str
    text: str
    raw: str


def clock(ms: int, *, day: bool = True) -> str:
    """UTC to the millisecond."""
    form = "%d %b %H:%M:%S" if day else "%H:%M:%S"
    return f"{time.strftime(form, time.gmtime(ms / 1000))}.{ms % 1000:03}"


def _number(value: Any, digits: int) -> str:
    return figure(value, digits) if value is not None else DASH


def _of(read: Callable[[Order], str]) -> Callable[[Entry], str]:
    return lambda entry: read(entry.order) if entry.order is not None else DASH


ORDERS = (
    Column("Placed, UTC", lambda e: clock(e.record.created), "text", 150, sort=lambda e: -e.record.created),
    Column("Instrument", lambda e: e.record.instrument.rpartition(":")[2], "strong", 100),
    Column(
        "State",
        lambda e: STATE_WORDS[e.state] + (", elsewhere" if e.record.external else ""),
        "state",
        130,
        colour=lambda e: "warn" if e.state is OrderState.UNKNOWN else "text.tertiary",
        extra=lambda e: STATE_SHAPES[e.state],
    ),
    Column("Account", lambda e: account_name(e.record.account), "text", 120),
    Column(
        "Side",
        _of(lambda o: o.side.value.capitalize()),
        "side",
        60,
        extra=lambda e: e.order.side if e.order is not None else None,
    ),
    Column("Amount", _of(lambda o: _number(o.amount or o.quote_amount, o.instrument.size_digits)), "number", 100),
    Column("Price", _of(lambda o: _number(o.price, o.instrument.price_digits)), "number", 90),
    Column("Filled", _of(lambda o: _number(o.filled, o.instrument.size_digits)), "number", 90),
    Column("Client ids", lambda e: " ".join(e.record.client_ids), "mono", 230),
)
LIFE = (
    Column("Time, UTC", lambda s: clock(s.time), "text", 150, sort=lambda s: s.number),
    Column("What", lambda s: s.what, "strong", 116),
    Column("In words", lambda s: s.text, "text", 330),
    Column("State", lambda s: s.state, "text", 90, colour=lambda s: "text.secondary"),
    Column("As written", lambda s: s.raw, "mono", 500, colour=lambda s: "text.secondary"),
)


def life(record: Record) -> list[Step]:
    """The whole life of an order, its intent first."""
    steps = [Step(0, record.created, "intent", "pending", "Written down before it left", record.request)]
    for number, (moment, what, state, raw) in enumerate(record.events, 1):
        steps.append(Step(number, moment, what.replace("_", " "), state, words_of(what, raw), raw))
    return steps


def words_of(what: str, raw: str) -> str:
    """A line's detail for people: the reason in the venue's own words, what filled, what changed."""
    try:
        facts = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return raw
    said = facts.get("text") or facts.get("reason") or ""
    parts = [str(said)] if said else []
    if what == "fill":
        parts.append(f"{_figures(facts, 'amount')} at {_figures(facts, 'price')}, execution {facts.get('id')}")
    if what == "replaced":
        parts.append(f"goes on as {facts.get('client_id')}, {_figures(facts, 'carried')} filled before")
    if what == "venue":
        parts.append(f"{facts.get('status')}, {_figures(facts, 'filled')} filled, {facts.get('venue_id')}")
    return "; ".join(parts)


def _figures(facts: Mapping[str, Any], name: str) -> str:
    try:
        return plain(Decimal(str(facts.get(name))))
    except ArithmeticError:
        return str(facts.get(name))


class _Progress(QObject):
    """Brings the progress of an export from its thread to the panel."""

    moved = Signal(int, int)


class JournalPanel(Panel):
    """Orders on the left, the life of the chosen one on the right."""

    panel_id = "journal"
    title = "Journal"

    def __init__(self, theme: Theme, terminal: Terminal) -> None:
        super().__init__(theme)
        self.desk = terminal.desk
        self.orders = RowTable(theme, ORDERS, "Orders of the journal", key=lambda entry: entry.record.id)
        self.life = RowTable(theme, LIFE, "Life of the chosen order", key=lambda step: step.number)
        self.orders.selectionModel().currentRowChanged.connect(lambda *_: self._show_life())
        self.filter = QLineEdit()
        self.filter.setPlaceholderText("Instrument, id, state, reason…")
        self.filter.setAccessibleName("Filter the journal")
        self.filter.setClearButtonEnabled(True)
        self.which, self.period = Choice(), Choice()
        self.which.addItems(WHICH)
        self.which.setAccessibleName("Which lines")
        self.period.addItems([name for name, _ in PERIODS])
        self.period.setCurrentIndex(1)
        self.period.setAccessibleName("From when on")
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.bar = QProgressBar()
        self.bar.setAccessibleName("Progress of the export")
        self.bar.setMaximumWidth(180)
        self.csv, self.parquet = QPushButton("Export CSV…"), QPushButton("Export Parquet…")
        self.stop = QPushButton("Stop")
        self.csv.clicked.connect(lambda _: self._ask_where("csv"))
        self.parquet.clicked.connect(lambda _: self._ask_where("parquet"))
        self.stop.clicked.connect(lambda _: self.stop_export())
        self._stopping = threading.Event()
        self._progress = _Progress()
        self._progress.moved.connect(self._moved)
        self._build()
        self._exporting(on=False)
        self.filter.textChanged.connect(lambda _: self.reload())
        for box in (self.which, self.period):
            box.currentIndexChanged.connect(lambda _: self.reload())
        self._stale = True
        self._loading = False
        self._read_at = 0.0
        self._failed = False
        self.desk.order_changed.connect(lambda _: self.reload())

    def _build(self) -> None:
        row = QHBoxLayout()
        row.setContentsMargins(8, 3, 8, 3)
        row.setSpacing(8)
        row.addWidget(self.filter, 1)
        for widget in (self.which, self.period, self.bar, self.stop, self.csv, self.parquet):
            row.addWidget(widget)
        said = QHBoxLayout()
        said.setContentsMargins(10, 0, 10, 3)
        said.addWidget(self.words)
        top = QWidget()
        column = QVBoxLayout(top)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(row)
        column.addLayout(said)
        split = QSplitter()
        split.addWidget(self.orders)
        split.addWidget(self.life)
        split.setSizes([520, 740])
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        outer.addWidget(top)
        outer.addWidget(split, 1)

    # browsing

    def reload(self) -> None:
        """Read anew, soon."""
        self._stale = True

    def choose(self, order_id: str) -> None:
        """Show the life of one order."""
        self.which.setCurrentIndex(0)
        self.period.setCurrentIndex(len(PERIODS) - 1)
        self.filter.setText(order_id)

    def frame(self, now: float) -> None:
        """Read when something changed, at most once a second."""
        problem = self.desk.journal.problem
        if problem and self.words.text() != problem:
            self._say(problem, danger=True)
        if self._stale and not self._loading and now - self._read_at >= (RELOAD if self._read_at else 0.0):
            self._stale, self._loading, self._read_at = False, True, now
            self.desk.run(self._read(), "read the journal")

    async def _read(self) -> None:
        which, days = self.which.currentText(), PERIODS[self.period.currentIndex()][1]
        since = 0 if not days else int((time.time() - days * 86_400) * 1000)
        text = self.filter.text().strip()
        try:
            if which == NOTES:
                self._show_notes([note for note in await self.desk.journal.notes() if note.time >= since], text)
                return
            records = await self.desk.journal.orders(
                text=text, since=since, unfinished=which == "Not ended", external=which == "Placed elsewhere"
            )
            self.orders.setVisible(True)
            self.orders.rows.set_rows([Entry(record, readable(record)) for record in records])
            if self.orders.chosen is None and records:
                self.orders.choose(lambda entry: True)
            self._show_life()
            if self._failed or not self.words.text() or self.words.property("counts"):
                most = f" The latest {LINES} are shown; filter for others." if len(records) >= LINES else ""
                self._say(
                    f"{len(records)} order{'' if len(records) == 1 else 's'}.{most}" if records else self._nothing(),
                    counts=True,
                )
        except JournalUnavailable as error:
            self._say(str(error), danger=True)
        finally:
            self._loading = False

    def _nothing(self) -> str:
        if self.filter.text() or self.which.currentIndex():
            return "No order fits. Take a longer period or another filter."
        when = "in this time" if PERIODS[self.period.currentIndex()][1] else "yet"
        return f"No order was placed {when}. Each one is written down here before it leaves."

    def _show_life(self) -> None:
        entry: Entry | None = self.orders.chosen
        self.life.rows.set_rows(life(entry.record) if entry is not None else [])

    def _show_notes(self, notes: list[Note], text: str) -> None:
        words = text.lower()
        found = [note for note in notes if words in f"{note.account} {note.what} {note.text}".lower()]
        self.orders.setVisible(False)
        steps = [
            Step(number, note.time, note.what, account_name(note.account) if note.account else "", note.text, "")
            for number, note in enumerate(found)
        ]
        self.life.rows.set_rows(steps)
        self._say(f"{len(steps)} note{'' if len(steps) == 1 else 's'}.", counts=True)

    def _say(self, text: str, *, danger: bool = False, counts: bool = False) -> None:
        self._failed = danger
        self.words.setProperty("counts", counts)
        mark(self.words, "role", "danger" if danger else "caption")
        self.words.setStyleSheet(f"color: {self.theme.hex('danger')}" if danger else "")
        self.words.setText(text)

    # export

    def _ask_where(self, ending: str) -> None:
        name = f"fathom-journal-{QDate.currentDate().toString('yyyy-MM-dd')}.{ending}"
        dialog = QFileDialog(self, f"Export the journal as {ending.upper()}", name)
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix(ending)
        dialog.setNameFilter(f"{ending.upper()} (*.{ending})")
        dialog.fileSelected.connect(lambda path: self.export_to(Path(path)))
        dialog.open()

    def export_to(self, path: Path) -> None:
        """Write the whole journal there; progress, end and errors are said here."""
        if self.stop.isVisible() and self.stop.isEnabled():
            return  # one at a time
        self._stopping = threading.Event()
        self._exporting(on=True)
        self._say(f"Exporting to {path}")
        self.desk.run(self._export(path, self._stopping), "export the journal")

    def stop_export(self) -> None:
        """Leave nothing of it behind."""
        self._stopping.set()
        self.stop.setEnabled(False)

    async def _export(self, path: Path, stop: threading.Event) -> None:
        try:
            number = await export(self.desk.journal, path, progress=self._progress.moved.emit, stop=stop)
        except Cancelled:
            self._say("Stopped; no file was written.")
        except (OSError, JournalUnavailable) as error:
            self._say(f"Not exported: {error}", danger=True)
        else:
            self._say(f"{number} lines are in {path}")
        finally:
            self._exporting(on=False)

    def _exporting(self, *, on: bool) -> None:
        for widget in (self.bar, self.stop):
            widget.setVisible(on)
        for button in (self.csv, self.parquet):
            button.setEnabled(not on)
        self.stop.setEnabled(on)
        self.bar.setRange(0, 0)

    def _moved(self, done: int, whole: int) -> None:
        self.bar.setRange(0, max(1, whole))
        self.bar.setValue(done)


def readable(record: Record) -> Order | None:
    """The order, unless its request cannot be read."""
    try:
        return order_of(record)
    except (msgspec.MsgspecError, ArithmeticError, KeyError):
        return None
