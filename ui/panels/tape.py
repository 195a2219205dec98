"""The tape: time, price, size, side; large trades stand out; it holds still while the pointer is in it."""

from __future__ import annotations

import time
from collections import deque
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent, QPixmap

from connectors.model import Side, Trade
from ui.panel import Painted
from ui.theme import Theme
from ui.widgets.figures import baseline, draw_figure, draw_triangle, figure, size_figure

if TYPE_CHECKING:
    from app.markets import Feed

AT_ONCE = 8  # rows that one frame draws; a burst takes several frames and is then shown as a whole
KEPT = 400  # trades
ROW = 20
HEAD = 24
FOOT = 52
CLOCKS = (("%H:%M:%S", "00:00:00"), ("%M:%S", "00:00"))


class _Grid(NamedTuple):
    """A layout of the rows: where what is drawn was made for another one, it is of no use."""

    visible: int
    width: int
    ratio: float
    price_right: float
    size_right: float
    price_digits: int
    size_digits: int
    large: float  # a trade of this size or more stands out
    look: tuple[str, bool]


class Tape(Painted):
    """Newest on top. `smallest` hides smaller trades."""

    panel_id = "tape"
    title = "Tape"
    follows = True  # every second frame, in turn with the depth chart

    def __init__(self, theme: Theme) -> None:
        super().__init__(theme)
        self.setMinimumWidth(186)
        self.smallest = 0.0
        self.held = 0
        self._rows: deque[Trade] = deque(maxlen=KEPT)
        self._waiting: list[Trade] = []
        self._coming = 0  # rows that are not shown yet
        self._drawn = 0  # of those, in the next picture
        self._room = 0.0  # for sizes
        self._buffer = QPixmap()  # what is shown
        self._next = QPixmap()  # what will be, when all that is coming is drawn
        self._layout: tuple[object, ...] = ()  # of what is shown; another one means that all is drawn anew
        self._seen = 0
        self._bought = 0.0
        self._sold = 0.0
        self._chips: list[float] = [0.0, 0.0, 0.0]

    def set_feed(self, feed: Feed | None) -> None:
        """Another instrument."""
        super().set_feed(feed)
        self._rows.clear()
        self._waiting = []
        self._coming = 0
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
            del self._waiting[:-KEPT]  # a pointer may rest here for hours
        if self._waiting and not self._coming:
            if self._rows and self.pointed_at:
                if self.held != len(self._waiting):
                    self.held = len(self._waiting)
                    self.update()
                return
            self._admit()
        if self._coming:
            self._draw_some()

    def _admit(self) -> None:
        """What waits becomes part of the tape."""
        new = self._waiting
        self._rows.extendleft(new)
        self._coming, self._drawn = len(new), 0
        sizes = [trade.amount for trade in new]  # the smallest may be the longest to write: "<0.0001"
        self._room = max(self._room, self._width_of(max(sizes)), self._width_of(min(sizes)))
        self._waiting = []
        self.held = 0
        if not self._chips[1] and len(self._rows) >= 30:
            sizes = sorted(trade.amount for trade in self._rows)
            self._chips = [0.0, _nice(sizes[int(len(sizes) * 0.7)]), _nice(sizes[int(len(sizes) * 0.93)])]

    def _draw_some(self) -> None:
        """The next few of the new rows, on a picture that nobody sees; it is shown when it has all of them."""
        grid = self._grid()
        if grid != self._layout:
            self._coming = 0
            self.update()  # painting draws everything anew
            return
        coming = min(self._coming, grid.visible)
        if not self._drawn:
            self._next = self._buffer.copy()
            self._next.scroll(0, int(coming * ROW * grid.ratio), self._next.rect())
        upto = min(coming, self._drawn + AT_ONCE)
        self._draw_rows(self._next, grid, self._drawn, upto)
        self._drawn = upto
        if upto == coming:
            self._buffer, self._next = self._next, QPixmap()
            self._coming = 0
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """The rows as they were drawn, and what is around them."""
        painter = QPainter(self)
        theme = self.theme
        painter.fillRect(self.rect(), theme["surface.panel"])
        if self.feed is None:
            self.draw_sentence(painter, self.waiting)
            return
        width = self.width()
        grid = self._grid()
        painter.setFont(theme.font("caption.strong"))
        metrics = theme.metrics("caption.strong")
        base = baseline(0, HEAD, metrics)
        painter.setPen(theme["text.tertiary"])
        painter.drawText(QPointF(20, base), "Time")
        painter.drawText(QPointF(grid.price_right - metrics.horizontalAdvance("Price"), base), "Price")
        painter.drawText(QPointF(grid.size_right - metrics.horizontalAdvance("Size"), base), "Size")
        painter.fillRect(QRectF(0, HEAD - 1, width, 1), theme["line.subtle"])
        if grid != self._layout:
            self._draw_all(grid)
        painter.drawPixmap(QPointF(0, HEAD), self._buffer)
        self._draw_foot(painter)
        self.draw_focus(painter)
        if not self._rows:
            painter.setPen(theme["text.tertiary"])
            painter.drawText(self.rect(), int(Qt.AlignmentFlag.AlignCenter), "No trades yet")

    def _size_digits(self) -> int:
        return min(4, self.feed.instrument.size_digits) if self.feed is not None else 4

    def _width_of(self, size: float) -> float:
        return self.theme.metrics("body").horizontalAdvance(size_figure(size, self._size_digits())) + 12

    def _grid(self) -> _Grid:
        """How rows are laid out now."""
        width, theme = self.width(), self.theme
        return _Grid(
            visible=max(0, (self.height() - HEAD - FOOT) // ROW),
            width=width,
            ratio=self.devicePixelRatioF(),
            price_right=width - 10.0 - max(self._room, width * 0.24),
            size_right=width - 10.0,
            price_digits=self.feed.instrument.price_digits if self.feed is not None else 2,
            size_digits=self._size_digits(),
            large=self._chips[2] or float("inf"),
            look=(theme.name, theme.colour_blind),
        )

    def _draw_all(self, grid: _Grid) -> None:
        """Every visible row, for another layout."""
        self._layout = grid
        self._coming = 0
        self._buffer = QPixmap(int(grid.width * grid.ratio), max(1, int(grid.visible * ROW * grid.ratio)))
        self._buffer.setDevicePixelRatio(grid.ratio)
        self._buffer.fill(self.theme["surface.panel"])
        self._draw_rows(self._buffer, grid, 0, min(grid.visible, len(self._rows)))

    def _draw_rows(self, picture: QPixmap, grid: _Grid, first: int, last: int) -> None:
        painter = QPainter(picture)
        painter.fillRect(QRectF(0, first * ROW, grid.width, (last - first) * ROW), self.theme["surface.panel"])
        painter.setFont(self.theme.font("body"))
        for index, trade in enumerate(islice(self._rows, first, last), first):
            self._draw_row(painter, grid, index * ROW, trade)
        painter.end()

    def _draw_row(self, painter: QPainter, grid: _Grid, y: int, trade: Trade) -> None:
        theme = self.theme
        body = theme.metrics("body")
        name = "buy" if trade.side is Side.BUY else "sell"
        colour = theme.side(name)
        if trade.amount >= grid.large:
            painter.fillRect(QRectF(0, y, grid.width, ROW), theme.side(name, "bar"))
            painter.fillRect(QRectF(0, y, 2, ROW), colour)
        line = baseline(y, ROW, body)
        draw_triangle(painter, QPointF(11, y + ROW / 2), colour, up=trade.side is Side.BUY)
        text = figure(trade.price, grid.price_digits)
        wide = body.horizontalAdvance(text)
        room = grid.price_right - wide - 26
        # a narrow tape drops the hour, then the time, and never overlaps
        form = next((form for form, pattern in CLOCKS if body.horizontalAdvance(pattern) <= room), "")
        if form:
            painter.setPen(theme["text.tertiary"])
            painter.drawText(QPointF(20, line), _clock(form, trade.time // 1000))
        painter.setPen(colour)
        painter.drawText(QPointF(grid.price_right - wide, line), text)
        amount = size_figure(trade.amount, grid.size_digits)
        draw_figure(painter, grid.size_right, line, amount, body, theme["text.primary"], theme["text.tertiary"])

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
            waiting = f"{self.held}{'+' if self.held >= KEPT else ''} wait"
            painter.drawText(
                QPointF(8, top + 15),
                f"Held while you point here, {waiting}" if self.width() > 230 else f"Held, {waiting}",
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
                trades = self.feed.trades.latest() if self.feed is not None else []
                kept = [
                    trade for trade in trades if trade.amount >= limit
                ]  # all of them: a smaller filter brings some back
                self._rows = deque(reversed(kept[-KEPT:]), maxlen=KEPT)
                self._seen = self.feed.trades.total if self.feed is not None else 0
                self._waiting = []
                self.held = 0
                self._layout = ()
                self._coming = 0
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
