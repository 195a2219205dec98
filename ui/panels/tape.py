"""The tape: time, price, size, side; large trades stand out; it holds still while the pointer is in it."""

from __future__ import annotations

import time
from collections import deque
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent, QPixmap

from connectors.model import Side, Trade
from ui.panel import Painted
from ui.theme import Theme
from ui.widgets.figures import baseline, draw_figure, draw_triangle, figure

if TYPE_CHECKING:
    from app.markets import Feed

ROW = 20
HEAD = 24
FOOT = 52
CLOCKS = (("%H:%M:%S", "00:00:00"), ("%M:%S", "00:00"))


class Tape(Painted):
    """Newest on top. `smallest` hides smaller trades."""

    panel_id = "tape"
    title = "Tape"
    follows = True  # every second frame, in turn with the depth chart: together they would take too long

    def __init__(self, theme: Theme) -> None:
        super().__init__(theme)
        self.setMinimumWidth(186)
        self.smallest = 0.0
        self.held = 0
        self._rows: deque[Trade] = deque(maxlen=400)
        self._waiting: list[Trade] = []
        self._new = 0  # rows that are not in the buffer yet
        self._room = 0.0  # for sizes
        self._buffer = QPixmap()
        self._layout: tuple[object, ...] = ()  # of the buffer; another one means that all is drawn anew
        self._seen = 0
        self._bought = 0.0
        self._sold = 0.0
        self._chips: list[float] = [0.0, 0.0, 0.0]

    def set_feed(self, feed: Feed | None) -> None:
        """Another instrument."""
        super().set_feed(feed)
        self._rows.clear()
        self._waiting.clear()
        self._layout = ()
        self._room = 0.0
        self._seen = 0
        self._bought = self._sold = 0.0
        self.smallest = 0.0
        self._chips = [0.0, 0.0, 0.0]

    def frame(self, now: float) -> None:
        """Take the trades since the last frame."""
        if self.feed is None:
            return
        trades, self._seen = self.feed.trades.after(self._seen)
        if trades:
            for trade in trades:
                if trade.side is Side.BUY:
                    self._bought += trade.amount
                else:
                    self._sold += trade.amount
            self._waiting += [trade for trade in trades if trade.amount >= self.smallest]
        if not self._waiting:
            return
        if self.underMouse() and self._rows:
            if self.held != len(self._waiting):
                self.held = len(self._waiting)
                self.update()
            return
        self._rows.extendleft(self._waiting)
        self._new += len(self._waiting)
        self._waiting.clear()
        self.held = 0
        if not self._chips[1] and len(self._rows) >= 30:
            sizes = sorted(trade.amount for trade in self._rows)
            self._layout = ()
            self._chips = [0.0, _nice(sizes[int(len(sizes) * 0.7)]), _nice(sizes[int(len(sizes) * 0.93)])]
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """All visible rows; this is cheap."""
        painter = QPainter(self)
        theme = self.theme
        painter.fillRect(self.rect(), theme["surface.panel"])
        if self.feed is None:
            self.draw_sentence(painter, self.waiting)
            return
        width = self.width()
        instrument = self.feed.instrument
        digits = min(4, instrument.size_digits)
        painter.setFont(theme.font("caption.strong"))
        metrics = theme.metrics("caption.strong")
        base = baseline(0, HEAD, metrics)
        painter.setPen(theme["text.tertiary"])
        size_right = width - 10.0
        widest = max((trade.amount for trade in islice(self._rows, 60)), default=0.0)
        needed = theme.metrics("body").horizontalAdvance(figure(widest, digits)) + 12
        self._room = max(self._room, needed)  # it only grows: columns do not jump to and fro
        price_right = size_right - max(self._room, width * 0.24)
        painter.drawText(QPointF(20, base), "Time")
        painter.drawText(QPointF(price_right - metrics.horizontalAdvance("Price"), base), "Price")
        painter.drawText(QPointF(size_right - metrics.horizontalAdvance("Size"), base), "Size")
        painter.fillRect(QRectF(0, HEAD - 1, width, 1), theme["line.subtle"])
        self._draw_rows(price_right, size_right, digits)
        painter.drawPixmap(QPointF(0, HEAD), self._buffer)
        self._draw_foot(painter)
        self.draw_focus(painter)
        if not self._rows:
            painter.setPen(theme["text.tertiary"])
            painter.drawText(self.rect(), int(Qt.AlignmentFlag.AlignCenter), "No trades yet")

    def _draw_rows(self, price_right: float, size_right: float, digits: int) -> None:
        """Move what was drawn down in the buffer and draw only the rows that are new."""
        visible = max(0, (self.height() - HEAD - FOOT) // ROW)
        ratio = self.devicePixelRatioF()
        large = self._chips[2] or float("inf")
        theme = self.theme
        layout = (visible, self.width(), ratio, price_right, digits, large, theme.name, theme.colour_blind)
        new = min(self._new, visible)
        self._new = 0
        if layout != self._layout:
            self._layout, new = layout, visible
            self._buffer = QPixmap(int(self.width() * ratio), max(1, int(visible * ROW * ratio)))
            self._buffer.setDevicePixelRatio(ratio)
            self._buffer.fill(theme["surface.panel"])
        elif new:
            self._buffer.scroll(0, int(new * ROW * ratio), self._buffer.rect())
        if not new:
            return
        painter = QPainter(self._buffer)
        painter.fillRect(QRectF(0, 0, self.width(), new * ROW), theme["surface.panel"])
        painter.setFont(theme.font("body"))
        for index, trade in enumerate(islice(self._rows, new)):
            self._draw_row(painter, index * ROW, trade, price_right, size_right, digits, large=trade.amount >= large)
        painter.end()

    def _draw_row(
        self,
        painter: QPainter,
        y: int,
        trade: Trade,
        price_right: float,
        size_right: float,
        digits: int,
        *,
        large: bool,
    ) -> None:
        theme = self.theme
        body = theme.metrics("body")
        name = "buy" if trade.side is Side.BUY else "sell"
        colour = theme.side(name)
        if large:
            painter.fillRect(QRectF(0, y, self.width(), ROW), theme.side(name, "bar"))
            painter.fillRect(QRectF(0, y, 2, ROW), colour)
        line = baseline(y, ROW, body)
        draw_triangle(painter, QPointF(11, y + ROW / 2), colour, up=trade.side is Side.BUY)
        text = figure(trade.price, self.feed.instrument.price_digits if self.feed is not None else 2)
        wide = body.horizontalAdvance(text)
        room = price_right - wide - 26
        # a narrow tape drops the hour, then the time, and never overlaps
        form = next((form for form, pattern in CLOCKS if body.horizontalAdvance(pattern) <= room), "")
        if form:
            painter.setPen(theme["text.tertiary"])
            painter.drawText(QPointF(20, line), _clock(form, trade.time // 1000))
        painter.setPen(colour)
        painter.drawText(QPointF(price_right - wide, line), text)
        amount = figure(trade.amount, digits)
        draw_figure(painter, size_right, line, amount, body, theme["text.primary"], theme["text.tertiary"])

    def _boxes(self) -> list[QRectF]:
        width = (self.width() - 16 - 12) / 3
        return [QRectF(8 + index * (width + 6), self.height() - 30, width, 24) for index in range(3)]

    def _draw_foot(self, painter: QPainter) -> None:
        theme = self.theme
        top = self.height() - FOOT
        painter.fillRect(QRectF(0, top, self.width(), FOOT), theme["surface.panel"])
        painter.fillRect(QRectF(0, top, self.width(), 1), theme["line.subtle"])
        painter.setFont(theme.font("caption"))
        metrics = theme.metrics("caption")
        if self.held:
            painter.setPen(theme["warn"])
            painter.drawText(
                QPointF(8, top + 15),
                f"Held while you point here, {self.held} wait" if self.width() > 230 else f"Held, {self.held} wait",
            )
        else:
            digits = min(1, self.feed.instrument.size_digits) if self.feed is not None else 1
            left, right = figure(self._bought, digits), figure(self._sold, digits)
            painter.setPen(theme["buy"])
            painter.drawText(QPointF(8, top + 15), left)
            painter.setPen(theme["sell"])
            painter.drawText(QPointF(self.width() - 8 - metrics.horizontalAdvance(right), top + 15), right)
            x = 14 + metrics.horizontalAdvance(left)
            wide = self.width() - x - 14 - metrics.horizontalAdvance(right)
            total = self._bought + self._sold
            if total > 0 and wide > 0:
                split = wide * self._bought / total
                painter.fillRect(QRectF(x, top + 10, split, 2), theme["buy"])
                painter.fillRect(QRectF(x + split + 1, top + 10, wide - split - 1, 2), theme["sell"])
        for index, (limit, box) in enumerate(zip(self._chips, self._boxes(), strict=True)):
            if index and not limit:
                continue  # no sizes are known yet to choose from
            chosen = limit == self.smallest
            painter.setPen(theme.accent if chosen else theme["line.strong"])
            painter.setBrush(theme["surface.selected"] if chosen else theme["surface.panel"])
            painter.drawRoundedRect(box.adjusted(0.5, 0.5, -0.5, -0.5), 3, 3)
            painter.setPen(theme["text.primary"])
            text = f"≥ {limit:g}" if limit else "All"
            painter.setFont(theme.font("body.bold" if chosen else "body"))
            painter.drawText(box, int(Qt.AlignmentFlag.AlignCenter), text)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """The filter chips."""
        for limit, box in zip(self._chips, self._boxes(), strict=True):
            if box.contains(event.position()):
                self.smallest = limit
                kept = [trade for trade in self._rows if trade.amount >= limit]
                self._rows = deque(kept, maxlen=400)
                self._layout = ()
                self.update()

    def leaveEvent(self, event: object) -> None:
        """What was held comes now."""
        self.held = 0
        self.update()


@lru_cache(maxsize=512)
def _clock(form: str, seconds: int) -> str:
    return time.strftime(form, time.gmtime(seconds))


def _nice(size: float) -> float:
    """Rounded to one figure."""
    return float(f"{size:.0e}") if size > 0 else 0.0
