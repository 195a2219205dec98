"""The ticket as a form: which widgets it has and where they stand. What they mean is the ticket's."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSlider,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from connectors.model import OrderKind, Side
from ui.panel import Panel
from ui.panels.ticket_words import ESTIMATED
from ui.theme import Theme
from ui.widgets.buttons import button
from ui.widgets.choice import Choice
from ui.widgets.fields import NumberField
from ui.widgets.figures import DASH

KINDS = (
    ("Limit", OrderKind.LIMIT),
    ("Market", OrderKind.MARKET),
    ("Stop", OrderKind.STOP),
    ("Stop limit", OrderKind.STOP_LIMIT),
    ("Take profit", OrderKind.TAKE_PROFIT),
    ("Take profit limit", OrderKind.TAKE_PROFIT_LIMIT),
)
PLAIN = (OrderKind.LIMIT, OrderKind.MARKET)


class TicketForm(Panel):
    """`edited` when a field or a term was changed; the others say what was clicked."""

    edited = Signal()
    price_asked = Signal(str)  # bid, mid or ask
    side_asked = Signal(object)  # Side
    kind_asked = Signal(object)  # OrderKind
    conditional_asked = Signal()
    unit_asked = Signal(str)  # base or quote

    def __init__(self, theme: Theme) -> None:
        super().__init__(theme)
        self.setMinimumWidth(268)
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(14, 12, 14, 12)
        column.setSpacing(8)
        column.addLayout(self._best_prices())
        column.addLayout(self._sides())
        column.addLayout(self._kinds())
        self.trigger_label, self.trigger_hint, self.trigger = self._field(column, "Trigger")
        self.price_label, self.price_hint, self.price = self._field(column, "Price")
        column.addWidget(self._shortcuts())
        self.amount_label, self.amount_hint, self.amount = self._field(column, "Amount")
        column.addLayout(self._units())
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, 100)
        self.slider.setAccessibleName("Part of what is available, in percent")
        column.addWidget(self.slider)
        column.addLayout(self._terms())
        line = QFrame()
        line.setProperty("role", "line")
        column.addWidget(line)
        column.addLayout(self._estimate())
        self._add_sending(column)
        column.addStretch(1)
        self.available = QLabel()
        self.available.setTextFormat(Qt.TextFormat.RichText)
        self.available.setWordWrap(True)
        column.addWidget(self.available)
        scroll = QScrollArea()
        scroll.setWidget(inside)
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(2, 0, 2, 2)  # the frame in the colour of the environment
        outer.addWidget(scroll)

    def _best_prices(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(6)
        self.best: dict[str, QPushButton] = {}
        for name in ("bid", "ask"):
            made = button("", f"Use the best {name}", lambda name=name: self.price_asked.emit(name), tight=True)
            made.setFixedHeight(44)
            made.setMinimumWidth(60)
            self.best[name] = made
            row.addWidget(made)
        return row

    def _sides(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(0)
        self.sides = QButtonGroup(self)
        for index, side in enumerate(Side):
            made = button(side.value.capitalize(), "", lambda side=side: self.side_asked.emit(side), side=side.value)
            made.setCheckable(True)
            made.setFixedHeight(36)
            self.sides.addButton(made, index)
            row.addWidget(made)
        return row

    def _kinds(self) -> QHBoxLayout:
        """Limit and market as buttons; the conditional kinds that the venue has behind a third one."""
        row = QHBoxLayout()
        row.setSpacing(0)
        self.kinds = QButtonGroup(self)
        plain = [
            button(name, "", lambda kind=kind: self.kind_asked.emit(kind), quiet=True, tight=True)
            for name, kind in KINDS[: len(PLAIN)]
        ]
        self.more = button("Stop ▾", "Stop and take-profit orders", self.conditional_asked.emit, quiet=True, tight=True)
        for index, made in enumerate((*plain, self.more)):
            made.setCheckable(True)
            self.kinds.addButton(made, index)
            row.addWidget(made, 1)
        return row

    def _field(self, column: QVBoxLayout, name: str) -> tuple[QLabel, QLabel, NumberField]:
        label, hint, field = QLabel(name), QLabel(), NumberField(self.theme, name)
        label.setProperty("role", "secondary")
        hint.setProperty("role", "caption")
        hint.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignBottom)
        hint.setWordWrap(True)
        label.setBuddy(field.edit)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(label)
        row.addWidget(hint, 1)
        column.addLayout(row)
        column.addWidget(field)
        field.edited.connect(self.edited)
        return label, hint, field

    def _shortcuts(self) -> QWidget:
        self.shortcuts = QWidget()
        row = QHBoxLayout(self.shortcuts)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        for name in ("bid", "mid", "ask"):
            asked = lambda name=name: self.price_asked.emit(name)  # noqa: E731 - one a button
            row.addWidget(button(name.capitalize(), f"Price at {name}", asked, tight=True))
        return self.shortcuts

    def _units(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(4)
        self.equal = QLabel()
        self.equal.setProperty("role", "caption")
        row.addWidget(self.equal)
        row.addStretch(1)
        self.units = QButtonGroup(self)
        for index, name in enumerate(("base", "quote")):
            made = button(name, "", lambda name=name: self.unit_asked.emit(name), quiet=True)
            made.setCheckable(True)
            made.setChecked(index == 0)
            self.units.addButton(made, index)
            row.addWidget(made)
        return row

    def _terms(self) -> QVBoxLayout:
        self.tif = Choice()
        self.tif.addItems(["GTC", "IOC", "FOK"])
        self.tif.setAccessibleName("Time in force")
        self.tif.currentTextChanged.connect(lambda _: self.edited.emit())
        self.post_only, self.reduce_only = QCheckBox("Post only"), QCheckBox("Reduce only")
        for box in (self.post_only, self.reduce_only):
            box.toggled.connect(lambda _: self.edited.emit())
        self.leverage = QSpinBox()
        self.leverage.setRange(0, 125)
        self.leverage.setSpecialValueText("Leverage ?")  # not told by the venue, and none was chosen here
        self.leverage.setSuffix("×")
        self.leverage.setButtonSymbols(QSpinBox.ButtonSymbols.NoButtons)
        self.leverage.setAccessibleName("Leverage")
        rows = QVBoxLayout()
        rows.setSpacing(8)
        for pair in ((self.tif, self.post_only), (self.leverage, self.reduce_only)):
            row = QHBoxLayout()
            for widget in pair:
                row.addWidget(widget)
            row.addStretch(1)
            rows.addLayout(row)
        return rows

    def _estimate(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(2)
        title = QLabel("Before you send")
        title.setProperty("role", "strong")
        source = QLabel("from the book, now")
        source.setProperty("role", "caption")
        source.setAlignment(Qt.AlignmentFlag.AlignRight)
        grid.addWidget(title, 0, 0)
        grid.addWidget(source, 0, 1)
        self.lines: dict[str, tuple[QLabel, QLabel]] = {}
        for index, name in enumerate(ESTIMATED, 1):
            label, value = QLabel(name), QLabel(DASH)
            label.setProperty("role", "secondary")
            value.setAlignment(Qt.AlignmentFlag.AlignRight)
            grid.addWidget(label, index, 0)
            grid.addWidget(value, index, 1)
            self.lines[name] = (label, value)
        return grid

    def _add_sending(self, column: QVBoxLayout) -> None:
        self.send = QPushButton()
        self.send.setFixedHeight(44)
        self.send.setAccessibleName("Send the order")
        column.addWidget(self.send)
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.words.setProperty("role", "secondary")
        self.words.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        column.addWidget(self.words)
        self.fix = QPushButton()
        self.fix.setVisible(False)
        column.addWidget(self.fix)
