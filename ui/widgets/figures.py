"""Figures: how numbers are written and painted so that none changes width, and text that sits where it should.

Written: padded to the tick, thin space between thousands, U+2212 for minus, percent after a space, the sign always on a
change. Painted: two runs from one right edge, the trailing zeros behind the decimal mark weaker than the rest. Not known
is an en dash, in doubt is "?"; never 0 for either.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter

from ui.theme import Theme

THIN = "\u2009"
MINUS = "\u2212"
NONE = "\u2013"
DOUBT = "?"

Left = Qt.AlignmentFlag.AlignLeft
Right = Qt.AlignmentFlag.AlignRight
Centre = Qt.AlignmentFlag.AlignHCenter


class Figure(NamedTuple):
    """A number in two runs: what is read, and the trailing zeros (with the mark, if all are zeros)."""

    strong: str
    weak: str = ""

    @property
    def text(self) -> str:
        """Both runs."""
        return self.strong + self.weak


UNKNOWN = Figure("", NONE)
IN_DOUBT = Figure(DOUBT)


def grouped(digits: str) -> str:
    """Thin spaces between thousands of a run of digits."""
    first = len(digits) % 3
    parts = ([digits[:first]] if first else []) + [digits[at : at + 3] for at in range(first, len(digits), 3)]
    return THIN.join(parts)


def figure(value: Decimal | float | None, digits: int | None = None, *, sign: bool = False) -> Figure:
    """`value` with `digits` decimals (None: as many as it has), in two runs. None becomes an en dash."""
    if value is None:
        return UNKNOWN
    if digits is None:
        text = f"{value:f}" if isinstance(value, Decimal) else repr(value)
    else:
        text = f"{value:.{digits}f}"
    negative = text.startswith("-")
    text = text.lstrip("-")
    if not text[0].isdigit():  # inf, nan
        return UNKNOWN
    whole, _, fraction = text.partition(".")
    nothing = not (whole.strip("0") or fraction.strip("0"))
    lead = (MINUS if negative else "+" if sign else "") if not nothing else ""
    strong_fraction = fraction.rstrip("0")
    weak = fraction[len(strong_fraction) :]
    strong = lead + grouped(whole)
    if strong_fraction:
        return Figure(f"{strong}.{strong_fraction}", weak)
    return Figure(strong, f".{weak}" if weak else "")


def number(value: Decimal | float | None, digits: int | None = None, *, sign: bool = False) -> str:
    """The same as one text."""
    return figure(value, digits, sign=sign).text


def percent(fraction: Decimal | float | None, digits: int = 2, *, sign: bool = True) -> str:
    """A fraction as percent: 0.0184 -> "+1.84 %"."""
    if fraction is None:
        return NONE
    return f"{figure(fraction * 100, digits, sign=sign).text} %"


def short(value: float) -> str:
    """Three to four significant digits with k, M or G for axes and captions: 3363000 -> "3.363 M"."""
    size = abs(value)
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size >= limit:
            return f"{value / (1e3 if letter == 'k' else limit):.4g}{THIN}{letter}".replace("-", MINUS)
    return f"{value:.4g}".replace("-", MINUS)


def duration(seconds: float) -> str:
    """An age: "02:14", "1:02:55", "3 d 04 h"."""
    whole = max(0, int(seconds))
    if whole >= 86_400:
        return f"{whole // 86_400} d {whole % 86_400 // 3600:02d} h"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"


class Ink:
    """Paints text of a theme: centred by cap height, whole in y, fractional in x, and recorded when the theme asks."""

    def __init__(self, theme: Theme) -> None:
        self.theme = theme

    def width(self, text: str, token: str = "body") -> float:
        """How far `text` advances."""
        return self.theme.metrics(token).horizontalAdvance(text)

    def baseline(self, top: float, height: float, token: str = "body") -> int:
        """Where text of that font stands to be centred by its capitals."""
        cap = self.theme.metrics(token).capHeight()
        return round(top + (height - cap) / 2 + cap)

    def run(self, painter: QPainter, x: float, baseline: float, text: str, token: str, colour: QColor) -> float:
        """Paint from `x` on `baseline`; returns where it ends."""
        if not text:
            return x
        painter.setFont(self.theme.font(token))
        painter.setPen(colour)
        painter.drawText(QPointF(x, baseline), text)
        end = x + self.width(text, token)
        recorder = self.theme.recorder
        if recorder is not None:
            cap = self.theme.metrics(token).capHeight()
            rect = QRectF(x, baseline - cap, end - x, cap)
            recorder.text(painter.device(), painter.combinedTransform().mapRect(rect), text)
        return end

    def text(
        self,
        painter: QPainter,
        rect: QRectF,
        text: str,
        token: str = "body",
        colour: QColor | None = None,
        align: Qt.AlignmentFlag = Left,
    ) -> float:
        """Paint one line into `rect`, elided at its right where it does not fit; returns the end of it in x."""
        colour = colour or self.theme.tokens.text_primary
        width = self.width(text, token)
        if width > rect.width() + 0.5:
            text = self.theme.metrics(token).elidedText(text, Qt.TextElideMode.ElideRight, max(0.0, rect.width()))
            width = self.width(text, token)
        if align == Right:
            x = rect.right() - width
        elif align == Centre:
            x = rect.left() + (rect.width() - width) / 2
        else:
            x = rect.left()
        return self.run(painter, x, self.baseline(rect.top(), rect.height(), token), text, token, colour)

    def figure(
        self,
        painter: QPainter,
        right: float,
        top: float,
        height: float,
        value: Figure,
        token: str = "body.strong",
        colour: QColor | None = None,
        weak: QColor | None = None,
    ) -> float:
        """Paint a figure that ends at `right`; returns where it begins."""
        tokens = self.theme.tokens
        baseline = self.baseline(top, height, token)
        strong_x = right - self.width(value.strong + value.weak, token)
        weak_x = right - self.width(value.weak, token)
        self.run(painter, strong_x, baseline, value.strong, token, colour or tokens.text_primary)
        self.run(painter, weak_x, baseline, value.weak, token, weak or tokens.text_tertiary)
        return strong_x

    def figure_left(
        self,
        painter: QPainter,
        left: float,
        top: float,
        height: float,
        value: Figure,
        token: str = "body.strong",
        colour: QColor | None = None,
        weak: QColor | None = None,
    ) -> float:
        """Paint a figure that begins at `left` (asks of the ladder); returns where it ends."""
        tokens = self.theme.tokens
        baseline = self.baseline(top, height, token)
        x = self.run(painter, left, baseline, value.strong, token, colour or tokens.text_primary)
        return self.run(painter, x, baseline, value.weak, token, weak or tokens.text_tertiary)
