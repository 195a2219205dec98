"""Orders, fills, positions and balances as tables; an order in doubt is amber and says what is being done about it."""

from __future__ import annotations

import time
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING

from PySide6.QtCore import QModelIndex, Signal
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QPushButton, QVBoxLayout

from app.blotter import now_ms
from app.desk import Order, OrderState, OwnFill
from connectors import catalogue as connectors
from connectors.model import Balance, Instrument, OrderKind, Position, Side, Unit
from ui.panel import Panel
from ui.theme import Theme
from ui.widgets.figures import DASH, figure
from ui.widgets.tables import Column, RowTable

if TYPE_CHECKING:
    from app.accounts import Account
    from app.terminal import Terminal

STATE_SHAPES = {
    OrderState.PENDING: "half",
    OrderState.UNTRIGGERED: "ring",
    OrderState.OPEN: "disc",
    OrderState.PARTLY_FILLED: "pie",
    OrderState.CANCELLING: "half",
    OrderState.AMENDING: "half",
    OrderState.UNKNOWN: "diamond",
    OrderState.FILLED: "disc",
    OrderState.CANCELLED: "bar",
    OrderState.REJECTED: "bar",
    OrderState.EXPIRED: "bar",
}
STATE_WORDS = {
    OrderState.PENDING: "Sending",
    OrderState.UNTRIGGERED: "Waiting for its trigger",
    OrderState.OPEN: "Working",
    OrderState.PARTLY_FILLED: "Part filled",
    OrderState.CANCELLING: "Cancelling",
    OrderState.AMENDING: "Changing",
    OrderState.UNKNOWN: "Unknown, asking",
    OrderState.FILLED: "Filled",
    OrderState.CANCELLED: "Cancelled",
    OrderState.REJECTED: "Refused",
    OrderState.EXPIRED: "Expired",
}
ENDED_SHOWN = 60


def account_name(account_id: str) -> str:
    """`binance:practice` in words."""
    slug, _, environment = account_id.partition(":")
    return f"{connectors.load(slug).name if slug in connectors.slugs() else slug} {environment}"


def in_doubt(order: Order) -> tuple[str, str] | None:
    """What is not known of an order now, in two sentences."""
    return order.doubt(now_ms()) if not order.is_final else None


def state_words(order: Order) -> str:
    """The state as a word, with how long a cancel or change has been waited for."""
    waited = order.waiting(now_ms())
    word = STATE_WORDS[order.state]
    return f"{word} for {int(waited)} s" if waited is not None and waited >= 1 else word


def _state_colour(order: Order) -> str:
    if in_doubt(order) is not None:
        return "warn"
    if order.state in (OrderState.OPEN, OrderState.PARTLY_FILLED, OrderState.FILLED):
        return "buy"
    return "danger" if order.state is OrderState.REJECTED else "text.tertiary"


def _age(order: Order) -> str:
    seconds = max(0, now_ms() - order.created) / 1000
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"


def _kind(order: Order) -> str:
    words = order.kind.value.replace("_", " ").capitalize()
    if order.post_only:
        words += ", post only"
    elif order.tif.value != "gtc" and order.kind is OrderKind.LIMIT:
        words += f", {order.tif.upper()}"
    if order.trigger is not None:
        words += f", {figure(order.trigger, order.instrument.price_digits)}"
    return words + (", reduce only" if order.reduce_only else "") + (" (external)" if order.external else "")


def _value(order: Order) -> Decimal | None:
    price = order.price or order.average
    amount = order.amount if order.amount is not None else order.filled
    return order.instrument.quote_value(price, amount) if price and amount else order.quote_amount


def _money(value: Decimal | None, instrument: Instrument) -> str:
    """A value in quote, with its name."""
    return DASH if value is None else f"{figure(value, 2)} {instrument.quote}"


def _amount(value: Decimal | None, instrument: Instrument) -> str:
    """A size, with the word where it counts contracts."""
    text = figure(value, instrument.size_digits)
    return text if instrument.unit is Unit.BASE or value is None else f"{text} ct"


def _filled(order: Order) -> float:
    return float(order.filled / order.amount) if order.amount else 0.0


ORDER_COLUMNS = (
    Column("", lambda o: "" if o.is_final else "cancel", "cross", 28, sort=lambda o: o.is_final),
    Column("Age", _age, "number", 58, sort=lambda o: -o.created),
    Column("Instrument", lambda o: o.instrument.symbol, "strong", 88),
    Column("Account", lambda o: account_name(o.account), "text", 124, colour=lambda o: o.account.partition(":")[2]),
    Column("Side", lambda o: o.side.value.capitalize(), "side", 56, extra=lambda o: o.side),
    Column(  # before the figures: a narrow window shows it too
        "State",
        state_words,
        "state",
        168,
        sort=lambda o: o.state.value,
        colour=_state_colour,
        extra=lambda o: STATE_SHAPES[o.state],
    ),
    Column("Type", _kind, "text", 186),
    Column(
        "Price", lambda o: figure(o.price, o.instrument.price_digits), "number", 84, sort=lambda o: float(o.price or 0)
    ),
    Column(
        "Amount",
        lambda o: _amount(o.amount, o.instrument),
        "number",
        100,
        sort=lambda o: float(o.amount or 0),
    ),
    Column("", lambda o: f"{_filled(o):.0%}", "bar", 60, sort=_filled, extra=_filled),
    Column("Filled", lambda o: f"{_filled(o) * 100:.1f} %", "number", 58, sort=_filled),
    Column(
        "Average",
        lambda o: figure(o.average, o.instrument.price_digits),
        "number",
        84,
        sort=lambda o: float(o.average or 0),
    ),
    Column("Value", lambda o: _money(_value(o), o.instrument), "number", 130, sort=lambda o: float(_value(o) or 0)),
    Column("Fee", lambda o: f"{figure(o.fee, 6)} {o.fee_asset}".strip() if o.fee is not None else DASH, "number", 120),
    Column("Why", lambda o: "" if in_doubt(o) is not None else o.text, "text", 200, colour=lambda o: "text.secondary"),
)


class Orders(Panel):
    """In doubt first, then working, then the latest ended ones. A click on the cross cancels.

    `journal_asked(order id)`: show its life.
    """

    panel_id = "orders"
    title = "Orders"
    trading = True
    journal_asked = Signal(str)

    def __init__(self, theme: Theme, terminal: Terminal) -> None:
        super().__init__(theme)
        self.desk = terminal.desk
        self.table = RowTable(theme, ORDER_COLUMNS, "Orders")
        self.table.cells.tint = lambda order: "warn.tint" if in_doubt(order) is not None else ""
        self.table.cells.hatched = lambda order: in_doubt(order) is not None
        self.table.cells.notes = lambda order: in_doubt(order) or ()
        self.table.clicked.connect(self._clicked)
        self.mine = QCheckBox("This instrument")
        self.ended = QCheckBox("Ended too")
        self.ended.setChecked(True)
        for box in (self.mine, self.ended):
            box.toggled.connect(lambda _: self._dirty())
        self.ask = QPushButton("Ask now")
        self.ask.clicked.connect(self._ask)
        self.open = QPushButton("Open the journal")
        self.open.clicked.connect(self._open_journal)
        cancel_shown, cancel_all = QPushButton("Cancel shown"), QPushButton("Cancel all")
        cancel_all.setProperty("danger", True)
        cancel_shown.clicked.connect(self._cancel_shown)
        cancel_all.clicked.connect(lambda _: self.desk.cancel_all())
        self.doubt = QLabel()
        self.doubt.setProperty("role", "warn")
        row = QHBoxLayout()
        row.setContentsMargins(8, 3, 8, 3)
        row.setSpacing(10)
        row.addWidget(self.doubt, 1)
        for widget in (self.ask, self.open, self.mine, self.ended, cancel_shown, cancel_all):
            row.addWidget(widget)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(row)
        column.addWidget(self.table)
        self._changed = True
        self._second = 0
        self.desk.order_changed.connect(lambda _: self._dirty())

    def _dirty(self) -> None:
        self._changed = True

    def frame(self, now: float) -> None:
        """At most twice a second for ages, at once for changes."""
        second = int(now * 2)
        if self._changed or second != self._second:
            self._changed, self._second = False, second
            self.table.rows.set_rows(self.shown())
            doubtful = self.doubtful()
            for button in (self.ask, self.open):
                button.setVisible(bool(doubtful))
            self.doubt.setText(f"{len(doubtful)} in doubt" if doubtful else "")

    def doubtful(self) -> list[Order]:
        """Orders of which something is not known now."""
        return [order for order in self.desk.working() if in_doubt(order) is not None]

    def shown(self) -> list[Order]:
        """In doubt first, then working, then ended; newest first."""
        key = self.feed.instrument.key if self.feed is not None and self.mine.isChecked() else None

        def wanted(order: Order) -> bool:
            return key is None or order.instrument.key == key

        working = [order for order in self.desk.working() if wanted(order)]
        working.sort(key=lambda order: (in_doubt(order) is None, -order.created))
        if not self.ended.isChecked():
            return working
        latest = (order for order in reversed(self.desk.orders.values()) if order.is_final and wanted(order))
        return working + sorted(islice(latest, ENDED_SHOWN), key=lambda order: -order.created)

    def _clicked(self, index: QModelIndex) -> None:
        order = self.table.row_at(index)
        if index.column() == 0 and order is not None and not order.is_final:
            self.desk.cancel(order.id)

    def _cancel_shown(self) -> None:
        self.desk.cancel_many([order.id for order in self.shown() if not order.is_final])

    def _ask(self) -> None:
        for order in self.doubtful():
            self.desk.ask_now(order.id)

    def _open_journal(self) -> None:
        chosen = self.table.chosen
        doubtful = self.doubtful()
        order = chosen if chosen in doubtful or not doubtful else doubtful[0]
        if order is not None:
            self.journal_asked.emit(order.id)


FILL_COLUMNS = (
    Column(
        "Time",
        lambda f: time.strftime("%H:%M:%S", time.gmtime(f.fill.time / 1000)),
        "number",
        76,
        sort=lambda f: f.fill.time,
    ),
    Column("Instrument", lambda f: f.instrument.symbol, "strong", 110),
    Column("Account", lambda f: account_name(f.account), "text", 124, colour=lambda f: f.account.partition(":")[2]),
    Column("Side", lambda f: f.fill.side.value.capitalize(), "side", 64, extra=lambda f: f.fill.side),
    Column(
        "Price",
        lambda f: figure(f.fill.price, f.instrument.price_digits),
        "number",
        100,
        sort=lambda f: float(f.fill.price),
    ),
    Column(
        "Amount",
        lambda f: _amount(f.fill.amount, f.instrument),
        "number",
        100,
        sort=lambda f: float(f.fill.amount),
    ),
    Column(
        "Value", lambda f: _money(f.instrument.quote_value(f.fill.price, f.fill.amount), f.instrument), "number", 140
    ),
    Column(
        "Fee",
        lambda f: f"{figure(f.fill.fee, 8)} {f.fill.fee_asset}" if f.fill.fee is not None else DASH,
        "number",
        150,
    ),
    Column("Role", lambda f: {True: "Maker", False: "Taker", None: DASH}[f.fill.maker], "text", 70),
)


class Fills(Panel):
    """Executions of this run, newest first."""

    panel_id = "fills"
    title = "Fills"
    trading = True

    def __init__(self, theme: Theme, terminal: Terminal) -> None:
        super().__init__(theme)
        self.desk = terminal.desk
        self.table = RowTable(theme, FILL_COLUMNS, "Fills")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.table)
        self._version = -1

    def frame(self, now: float) -> None:
        """When there are more, or more is known of one."""
        if self.desk.fills_version != self._version:
            self._version = self.desk.fills_version
            newest: list[OwnFill] = list(reversed(self.desk.fills[-500:]))
            self.table.rows.set_rows(newest)


class _Accounted(Panel):
    """Tables of what accounts hold; refreshed when any account's version moved."""

    def __init__(self, theme: Theme, terminal: Terminal, columns: tuple[Column, ...]) -> None:
        super().__init__(theme)
        self.terminal = terminal
        self.table = RowTable(theme, columns, self.title)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.table)
        self._seen: tuple[object, ...] = ()

    def frame(self, now: float) -> None:
        """When an account changed; marks move once a second."""
        accounts = list(self.terminal.accounts.accounts.values())
        seen = (*(account.version for account in accounts), int(now))
        if seen != self._seen:
            self._seen = seen
            self.table.rows.set_rows(self.collect(accounts))

    def collect(self, accounts: list[Account]) -> list[object]:
        """The rows."""
        return []


class Balances(_Accounted):
    """What is held, by asset."""

    panel_id = "balances"
    title = "Balances"

    def __init__(self, theme: Theme, terminal: Terminal) -> None:
        columns = (
            Column("Asset", lambda r: r[1].asset, "strong", 80),
            Column("Account", lambda r: f"{r[0].name}, {r[1].family}", "text", 180),
            Column("Total", lambda r: figure(r[1].total, 8), "number", 150, sort=lambda r: float(r[1].total or 0)),
            Column(
                "Available",
                lambda r: figure(r[1].available, 8),
                "number",
                150,
                sort=lambda r: float(r[1].available or 0),
            ),
            Column("Held", lambda r: figure(r[1].held, 8), "number", 150, sort=lambda r: float(r[1].held or 0)),
        )
        super().__init__(theme, terminal, columns)

    def collect(self, accounts: list[Account]) -> list[object]:
        """Everything that is not zero."""
        found: list[tuple[Account, Balance]] = [
            (account, row) for account in accounts for row in account.balances.values() if row.total
        ]
        return list(found)


class Positions(_Accounted):
    """Open contracts."""

    panel_id = "positions"
    title = "Positions"

    def __init__(self, theme: Theme, terminal: Terminal) -> None:
        columns = (
            Column("Instrument", lambda r: r[1].symbol, "strong", 110),
            Column("Account", lambda r: r[0].name, "text", 140),
            Column(
                "Side",
                lambda r: "Long" if r[2].size > 0 else "Short",
                "side",
                70,
                extra=lambda r: Side.BUY if r[2].size > 0 else Side.SELL,
            ),
            Column(
                "Size",
                lambda r: _amount(abs(r[2].size), r[1]),
                "number",
                100,
                sort=lambda r: float(r[2].size),
            ),
            Column("Entry", lambda r: figure(r[2].entry, r[1].price_digits), "number", 110),
            Column("Mark", lambda r: figure(r[2].mark, r[1].price_digits), "number", 110),
            Column(
                "Unrealised",
                lambda r: f"{figure(r[2].unrealised, 2 if r[1].settle == r[1].quote else 6)} {r[1].settle}",
                "number",
                110,
                sort=lambda r: float(r[2].unrealised or 0),
            ),
            Column("Liquidation", lambda r: figure(r[2].liquidation, r[1].price_digits), "number", 110),
            Column("Leverage", lambda r: f"{r[2].leverage:f}×" if r[2].leverage else DASH, "number", 80),
        )
        super().__init__(theme, terminal, columns)

    def collect(self, accounts: list[Account]) -> list[object]:
        """All open positions."""
        found: list[tuple[Account, object, Position]] = []
        for account in accounts:
            for key, row in account.positions.items():
                instrument = account.instruments.get(key)
                if instrument is not None:
                    found.append((account, instrument, row))
        return list(found)
