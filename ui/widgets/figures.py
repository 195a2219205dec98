"""Numbers as a trader reads them: padded to the tick, thin spaces, grey trailing zeros, a real minus; and how to paint them."""

from __future__ import annotations

from decimal import Decimal

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPen, QPolygonF

from connectors.model import Instrument, Unit
from ui.theme import Theme

THIN = "\u2009"
MINUS = "\u2212"
DASH = "–"


def figure(value: float | Decimal | None, digits: int) -> str:
    """`value` with `digits` decimals and thin spaces between thousands; an en dash for None."""
    if value is None:
        return DASH
    text = f"{value:,.{digits}f}".replace(",", THIN)
    return text.replace("-", MINUS)


def size_figure(value: float, digits: int) -> str:
    """A size for a narrow place. One that is smaller than what `digits` can show says so: it is there, and not zero."""
    least = 10.0**-digits
    return f"<{least:.{digits}f}" if 0 < value < least / 2 else figure(value, digits)


def size_unit(instrument: Instrument) -> str:
    """What a size counts: the base asset, or contracts."""
    return instrument.base if instrument.unit is Unit.BASE else "contracts"


def short(value: float | None) -> str:
    """A size for a narrow place: four figures, k and M above."""
    if value is None:
        return DASH
    for limit, unit in ((1e9, "B"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            return f"{value / (limit if unit != 'k' else 1e3):.2f}{unit}"
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.1f}"


def axis(value: float) -> str:
    """A round number on an axis: as short as it can be said."""
    for limit, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:g}{unit}"
    return f"{value:g}"


def percent(fraction: float | Decimal | None, digits: int = 2, *, sign: bool = True) -> str:
    """A fraction as a percentage, with its sign."""
    if fraction is None:
        return DASH
    text = f"{float(fraction) * 100:+.{digits}f}" if sign else f"{float(fraction) * 100:.{digits}f}"
    return text.replace("-", MINUS) + " %"


def split_zeros(text: str) -> tuple[str, str]:
    """The telling part and the trailing zeros behind the decimal mark (with the mark, if all are zeros)."""
    if "." not in text:
        return text, ""
    strong = text.rstrip("0")
    strong = strong.removesuffix(".")
    return strong, text[len(strong) :]


def baseline(top: float, height: float, metrics: QFontMetricsF) -> float:
    """Where to draw so that capitals are centred."""
    return round(top + (height - metrics.capHeight()) / 2 + metrics.capHeight())


def draw_figure(
    painter: QPainter, right: float, base: float, text: str, metrics: QFontMetricsF, strong: QColor, weak: QColor
) -> None:
    """Right-aligned, with grey trailing zeros; a unit after a space is grey too."""
    number, space, unit = text.partition(" ")
    head, tail = split_zeros(number)
    x = right
    for part, colour in ((space + unit, weak), (tail, weak), (head, strong)):
        if part:
            x -= metrics.horizontalAdvance(part)
            painter.setPen(colour)
            painter.drawText(QPointF(x, base), part)


def draw_triangle(painter: QPainter, centre: QPointF, colour: QColor, *, up: bool, size: float = 6.0) -> None:
    """Up for buy, down for sell: side is never told by colour alone."""
    half, high = size / 2, size * 0.85
    tip = -high / 2 if up else high / 2
    points = [QPointF(0, tip), QPointF(-half, -tip), QPointF(half, -tip)]
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    painter.drawPolygon(QPolygonF([point + centre for point in points]))
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, on=False)


def draw_state(painter: QPainter, centre: QPointF, colour: QColor, shape: str) -> None:
    """State glyphs, each with a form of its own: disc, ring, half, pie, diamond, bar, clock."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    box = QRectF(centre.x() - 4, centre.y() - 4, 8, 8)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    if shape == "disc":
        painter.drawEllipse(box)
    elif shape == "diamond":
        points = [QPointF(0, -5), QPointF(5, 0), QPointF(0, 5), QPointF(-5, 0)]
        painter.drawPolygon(QPolygonF([point + centre for point in points]))
    elif shape == "bar":
        painter.drawRect(QRectF(centre.x() - 4, centre.y() - 1, 8, 2))
    else:
        if shape in ("half", "pie"):
            painter.drawPie(box, 90 * 16, 180 * 16 if shape == "half" else -100 * 16)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(colour, 1.5))
        painter.drawEllipse(box.adjusted(0.75, 0.75, -0.75, -0.75))
        if shape == "clock":
            painter.drawLine(centre, centre + QPointF(0, -2.5))
            painter.drawLine(centre, centre + QPointF(2, 0))
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, on=False)


def draw_card(painter: QPainter, theme: Theme, box: QRectF, lines: list[tuple[str, str]], font: QFont) -> None:
    """A floating card with rows of label and value; a row with an empty value is a heading."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(theme["line.strong"], 1))
    painter.setBrush(theme["surface.control"])
    painter.drawRoundedRect(box.adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, on=False)
    painter.setFont(font)
    metrics = QFontMetricsF(font)
    for index, (label, value) in enumerate(lines):
        base = baseline(box.top() + 8 + index * 19, 19, metrics)
        painter.setPen(theme["text.primary"] if not value else theme["text.secondary"])
        painter.drawText(QPointF(box.left() + 10, base), label)
        painter.setPen(theme["text.primary"])
        painter.drawText(QPointF(box.right() - 10 - metrics.horizontalAdvance(value), base), value)


def draw_book_card(painter: QPainter, theme: Theme, width: float, height: float, title: str, text: str) -> None:
    """Why a book is not shown as live, in words, in the middle of its panel."""
    from PySide6.QtCore import QRect

    text = text[:1].upper() + text[1:]
    painter.setFont(theme.font("body"))
    metrics = theme.metrics("body")
    wide = min(width - 24, 300.0)
    words = metrics.boundingRect(QRectF(0, 0, wide - 24, 400), int(Qt.TextFlag.TextWordWrap), text)
    box = QRectF((width - wide) / 2, height / 2 - words.height() / 2 - 24, wide, words.height() + 48)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(theme["line.strong"], 1))
    painter.setBrush(theme["surface.control"])
    painter.drawRoundedRect(box.adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, on=False)
    draw_state(painter, QPointF(box.left() + 18, box.top() + 19), theme["warn"], "half")
    painter.setFont(theme.font("body.bold"))
    painter.setPen(theme["text.primary"])
    painter.drawText(QPointF(box.left() + 30, box.top() + 23), title)
    painter.setFont(theme.font("body"))
    painter.setPen(theme["text.secondary"])
    inner = QRect(int(box.left() + 12), int(box.top() + 36), int(wide - 24), int(words.height() + 8))
    painter.drawText(inner, int(Qt.TextFlag.TextWordWrap), text)


def book_title(symbol: str, state: str, seconds: float) -> str:
    """A heading for that card."""
    words = {"syncing": "Syncing", "resyncing": "Resyncing", "stale": "Stale"}[state]
    return f"{words} {symbol}" + (f", {seconds:.0f} s" if seconds >= 1 else "")
