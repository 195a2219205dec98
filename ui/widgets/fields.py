"""Number fields: a Decimal with steppers. What was typed is never lost, even when it is no number."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QWheelEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QLineEdit, QPushButton

from ui.theme import Theme
from ui.widgets.figures import THIN
from ui.widgets.style import mark

MOST_DIGITS = 20  # before or behind the decimal mark; no price or amount has more
_GROUPED = re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.\d*)?")


def typed(text: str) -> Decimal | None:
    """The number that was typed, or None. A comma is a decimal mark, or parts thousands where it can be nothing else.

    "1,000" may be one or a thousand: with money nothing is guessed, and it is no number.
    """
    for blank in (THIN, "\u00a0", "\u202f", " "):
        text = text.replace(blank, "")
    whole, comma, rest = text.partition(",")
    if comma and ("." in rest or "," in rest):
        if not _GROUPED.fullmatch(text):
            return None
        text = text.replace(",", "")
    elif comma and len(rest) == 3 and whole.lstrip("+-") not in ("", "0"):
        return None
    try:
        number = Decimal(text.replace(",", "."))
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number.adjusted()) <= MOST_DIGITS else None


class _Edit(QLineEdit):
    stepped = Signal(int)
    focused = Signal(bool)

    def focusInEvent(self, event: QFocusEvent) -> None:
        """The frame around shows it."""
        super().focusInEvent(event)
        self.focused.emit(True)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """The frame around shows it."""
        super().focusOutEvent(event)
        self.focused.emit(False)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Up and Down step; with Shift ten times."""
        if event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            factor = 10 if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1
            self.stepped.emit(factor if event.key() == Qt.Key.Key_Up else -factor)
            return
        super().keyPressEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """The wheel steps, only with the focus, so that scrolling past changes nothing."""
        if self.hasFocus():
            self.stepped.emit(1 if event.angleDelta().y() > 0 else -1)
            event.accept()


class NumberField(QFrame):
    """`value` is None while the text is no number; `step` is what a step adds. `edited` on every change by the trader."""

    edited = Signal()

    def __init__(self, theme: Theme, name: str) -> None:
        super().__init__()
        self.setProperty("role", "field")
        self.setFixedHeight(36)
        self.step = Decimal(1)
        self.minimum = Decimal(0)
        self.digits: int | None = None  # decimals that a written number is padded to
        self.edit = _Edit()
        self.edit.setFont(theme.font("field"))
        self.edit.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.edit.setAccessibleName(name)
        self.edit.setMinimumWidth(40)
        self.edit.textEdited.connect(lambda _: self.edited.emit())
        self.edit.stepped.connect(self._step)
        self.edit.focused.connect(lambda here: mark(self, "focused", here))
        self.unit = QLabel()
        self.unit.setProperty("role", "caption")
        less, more = QPushButton("−"), QPushButton("+")
        for button, words, step in ((less, "less", -1), (more, "more", 1)):
            button.setAccessibleName(f"{name} {words}")
            button.setFixedSize(28, 30)
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            button.setAutoRepeat(True)
            button.clicked.connect(lambda _=False, step=step: self._step(step))
        row = QHBoxLayout(self)
        row.setContentsMargins(3, 0, 3, 0)
        row.setSpacing(2)
        row.addWidget(less)
        row.addWidget(self.edit, 1)
        row.addWidget(self.unit)
        row.addWidget(more)

    @property
    def value(self) -> Decimal | None:
        """The number that stands there."""
        return typed(self.edit.text())

    def set(self, value: Decimal | None) -> None:
        """Write a number with thin spaces between thousands; padded to `digits` if it has no more than that."""
        text = "" if value is None else format(value.normalize(), ",f")
        if value is not None and self.digits is not None and len(text.partition(".")[2]) <= self.digits:
            text = f"{value:,.{self.digits}f}"
        self.edit.setText(text.replace(",", THIN))

    def set_problem(self, problem: bool) -> None:
        """Outline it."""
        mark(self, "problem", problem)

    def _step(self, count: int) -> None:
        value = self.value if self.value is not None else Decimal(0)
        rounded = (value / self.step).to_integral_value() * self.step if self.step else value
        self.set(max(self.minimum, rounded + self.step * count))
        self.edited.emit()
