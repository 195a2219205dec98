"""The watchlist: last price, change of 24 h and a small line for each instrument; a click shows it in the linked panels."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QPointF, QRect, QRectF, Qt, Signal
from PySide6.QtGui import (
    QContextMenuEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPolygonF,
    QResizeEvent,
    QWheelEvent,
)

from connectors.contract import Environment, Page
from connectors.errors import NotSupported, VenueError
from ui.panel import Painted
from ui.theme import Theme
from ui.widgets.figures import draw_state, draw_triangle, figure, percent

if TYPE_CHECKING:
    from app.markets import Feed
    from app.terminal import Terminal

ROW = 36
WIDE = 184  # from here on there is room for the lines of nearly all names; below, a few alone would look like a signal
AT_ONCE = 4  # rows painted in a frame


class _Row:
    """A watched instrument and its recent course."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.course: deque[float] = deque(maxlen=60)
        self.sampled = 0.0
        self.seen: tuple[object, ...] = ()
        self.line: tuple[tuple[float, float], QPolygonF] | None = None  # the course as points, for a size of its box


class Watchlist(Painted):
    """`chosen(key, environment)`: show this instrument. `changed_list` is for whoever keeps the list."""

    panel_id = "watchlist"
    title = "Watchlist"
    heavy = True
    chosen = Signal(str, str)
    changed_list = Signal()

    def __init__(self, theme: Theme, terminal: Terminal) -> None:
        super().__init__(theme)
        self.terminal = terminal
        self._current: tuple[str, Environment] | None = None
        self.rows: list[_Row] = []
        self._hover = -1
        self._seen: tuple[object, ...] = ()
        self._turn = 0  # the row that is looked at first
        self._first = 0  # the row on top, when there are more than fit

    @property
    def current(self) -> tuple[str, Environment] | None:
        """What the linked panels show."""
        return self._current

    @current.setter
    def current(self, name: tuple[str, Environment]) -> None:
        self._current = name
        if name in self._names:
            self._reveal(self._names.index(name))
        self.update()

    @property
    def keys(self) -> list[str]:
        """Watched instruments, in order, each with its environment: `binance:spot:BTC-USDT@practice`."""
        return [f"{key}@{environment}" for key, environment in self._names]

    @property
    def _names(self) -> list[tuple[str, Environment]]:
        return [(row.feed.instrument.key, row.feed.environment) for row in self.rows]

    def add(self, key: str, environment: Environment) -> bool:
        """Watch an instrument; False if no account has it."""
        if (key, environment) in self._names:
            return True
        feed = self.terminal.markets.open(key, environment)
        if feed is None:
            return False
        row = _Row(feed)
        self.rows.append(row)
        self.terminal.accounts.spawn(self._history(row))
        self.changed_list.emit()
        self.update()
        return True

    def remove(self, key: str, environment: Environment) -> None:
        """Watch it no more."""
        for row in list(self.rows):
            if (row.feed.instrument.key, row.feed.environment) == (key, environment):
                self.rows.remove(row)
                self.terminal.markets.close(row.feed)
        self.changed_list.emit()
        self.update()

    async def _history(self, row: _Row) -> None:
        session = row.feed.account.session
        if session is None:
            return
        intervals = row.feed.account.venue.family(row.feed.instrument.family).capabilities.intervals
        interval = next((name for name in ("30m", "15m", "1h", "5m") if name in intervals), None)
        if interval is None:
            return  # the line then grows from live prices
        try:
            bars = await session.candles(row.feed.instrument, interval, Page(limit=48))
        except (VenueError, NotSupported):
            return
        row.course.extendleft(bar.close for bar in reversed(bars))
        row.line = None
        self.update()

    def frame(self, now: float) -> None:
        """Sample prices every few seconds, repaint what moved."""
        whole = (self.current, self._hover, self._first, len(self.rows))
        if whole != self._seen:
            self._seen = whole
            self.update()
        painted, count = 0, len(self.rows)
        for step in range(count):
            index = (self._turn + step) % count
            row = self.rows[index]
            price = _last(row.feed)
            if price is not None and now - row.sampled > 20.0:
                row.sampled = now
                row.course.append(price)
                row.line = None
            seen = (price, row.feed.sync.state, row.line is None)
            if seen != row.seen:  # only rows that changed are painted again, a few a frame, each in its turn
                row.seen = seen
                painted += 1
                self.update(0, (index - self._first) * ROW, self.width(), ROW)
                if painted == AT_ONCE:
                    self._turn = (index + 1) % count
                    return

    def paintEvent(self, event: QPaintEvent) -> None:
        """Every row."""
        painter = QPainter(self)
        theme = self.theme
        painter.fillRect(self.rect(), theme["surface.panel"])
        if not self.rows:
            self.draw_sentence(painter, self.waiting or "Nothing watched. Ctrl+K finds instruments.")
            return
        several = len({row.feed.environment for row in self.rows}) > 1
        for index, row in enumerate(self.rows):
            if event.region().intersects(QRect(0, (index - self._first) * ROW, self.width(), ROW)):
                self._draw(painter, index, row, several=several)
        self._draw_bar(painter)
        self.draw_focus(painter)

    def _draw_bar(self, painter: QPainter) -> None:
        """Where the list is scrolled to, when it does not fit."""
        fit, count = self.height() // ROW, len(self.rows)
        if count > fit > 0:
            length = max(24.0, self.height() * fit / count)
            top = (self.height() - length) * self._first / (count - fit)
            painter.fillRect(QRectF(self.width() - 5, top, 3, length), self.theme["line.strong"])

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Scroll by rows."""
        self._scroll(self._first - (1 if event.angleDelta().y() > 0 else -1))
        event.accept()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """No empty place below while rows are hidden above."""
        self._scroll(self._first)

    def _reveal(self, index: int) -> None:
        fit = max(1, self.height() // ROW)
        self._scroll(min(max(self._first, index - fit + 1), index))

    def _scroll(self, first: int) -> None:
        self._first = max(0, min(first, len(self.rows) - max(1, self.height() // ROW)))
        self.update()

    def _draw(self, painter: QPainter, index: int, row: _Row, *, several: bool) -> None:
        theme, feed = self.theme, row.feed
        y, width = (index - self._first) * ROW, self.width()
        instrument = feed.instrument
        if (instrument.key, feed.environment) == self.current:
            painter.fillRect(QRectF(0, y, width, ROW), theme.strip)
            painter.fillRect(QRectF(0, y, 2, ROW), theme.accent)
        elif index == self._hover:
            painter.fillRect(QRectF(0, y, width, ROW), theme["surface.selected"])
        painter.setFont(theme.font("body.bold"))
        painter.setPen(theme["text.primary"])
        painter.drawText(QPointF(12, y + 15), instrument.symbol)
        painter.setFont(theme.font("caption"))
        if feed.sync.live:
            painter.setPen(theme["text.tertiary"])
            market = "" if instrument.market == "spot" else f" {instrument.market}"
            place = f"{feed.account.venue.name}{market}"
            painter.drawText(QPointF(12, y + 29), place)
            if several:
                painter.setPen(theme.environment_text(feed.environment))
                at = 12 + theme.metrics("caption").horizontalAdvance(place + " ")
                painter.drawText(QPointF(at, y + 29), feed.environment)
        else:
            draw_state(painter, QPointF(16, y + 25), theme["warn"], "half")
            painter.setPen(theme["warn"])
            painter.drawText(QPointF(24, y + 29), feed.sync.state.capitalize())
        price, change = _last(feed), _change(feed)
        right = width - 12.0
        metrics = theme.metrics("body.bold")
        painter.setFont(theme.font("body.bold"))
        painter.setPen(theme["text.primary"] if feed.sync.live else theme["text.tertiary"])
        text = figure(price, instrument.price_digits)
        painter.drawText(QPointF(right - metrics.horizontalAdvance(text), y + 15), text)
        if change is not None:
            up = change >= 0
            colour = theme.side("buy" if up else "sell")
            painter.setFont(theme.font("caption"))
            painter.setPen(colour)
            text = percent(abs(change), sign=False)
            wide = theme.metrics("caption").horizontalAdvance(text)
            painter.drawText(QPointF(right - wide, y + 29), text)
            draw_triangle(painter, QPointF(right - wide - 8, y + 25), colour, up=up, size=5)
        small = theme.metrics("caption")
        place = small.horizontalAdvance(
            f"{feed.account.venue.name} {instrument.market if instrument.market != 'spot' else ''}"
        )
        left = 20 + max(theme.metrics("body.bold").horizontalAdvance(instrument.symbol), place)
        free = right - metrics.horizontalAdvance(figure(price, instrument.price_digits)) - 10 - left
        if free >= 24 and width >= WIDE:  # a line only where it hides no figure
            wide = min(free, 56)
            start = min(max(left, width * 0.42), left + free - wide)  # in one column, as far as names allow
            self._draw_course(painter, QRectF(start, y + 8, wide, ROW - 16), row, change)

    def _draw_course(self, painter: QPainter, box: QRectF, row: _Row, change: float | None) -> None:
        if len(row.course) < 2:
            return
        if row.line is None or row.line[0] != (box.width(), box.height()):
            values = np.fromiter(row.course, np.float64)
            low, high = float(values.min()), float(values.max())
            ys = (1 - (values - low) / ((high - low) or 1.0)) * box.height()
            xs = np.linspace(0, box.width(), values.size)
            points = [QPointF(x, y) for x, y in zip(xs.tolist(), ys.tolist(), strict=True)]
            row.line = ((box.width(), box.height()), QPolygonF(points))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(self.theme.side("buy" if (change or 0) >= 0 else "sell"), 1.2))
        painter.translate(box.topLeft())
        painter.drawPolyline(row.line[1])
        painter.translate(-box.topLeft())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, on=False)

    def _index(self, y: float) -> int:
        index = int(y // ROW) + self._first
        return index if 0 <= index < len(self.rows) else -1

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Hover."""
        self._hover = self._index(event.position().y())

    def leaveEvent(self, event: object) -> None:
        """No hover."""
        self._hover = -1

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Show it."""
        index = self._index(event.position().y())
        if index >= 0 and event.button() is Qt.MouseButton.LeftButton:
            self._choose(index)

    def _choose(self, index: int) -> None:
        key, environment = self._names[index]
        self.chosen.emit(key, environment.value)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Remove it."""
        from PySide6.QtWidgets import QMenu

        index = self._index(event.pos().y())
        if index < 0:
            return
        menu = QMenu(self)
        name = self._names[index]
        menu.addAction(f"Stop watching {self.rows[index].feed.instrument.symbol}", lambda: self.remove(*name))
        menu.exec(event.globalPos())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Up, down, Delete."""
        names = self._names
        if not names:
            return
        index = names.index(self.current) if self.current in names else 0
        if event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            step = -1 if event.key() == Qt.Key.Key_Up else 1
            index = max(0, min(len(names) - 1, index + step))
            self._choose(index)
        elif event.key() == Qt.Key.Key_Delete and self.current in names:
            self.remove(*self.current)
        else:
            super().keyPressEvent(event)


def _last(feed: Feed) -> float | None:
    trade = feed.trades.last()
    if trade is not None:
        return trade.price
    if feed.ticker is not None and feed.ticker.last is not None:
        return feed.ticker.last
    return feed.book.mid


def _change(feed: Feed) -> float | None:
    ticker = feed.ticker
    if ticker is None or ticker.open is None or not ticker.open:
        return None
    last = _last(feed)
    return None if last is None else last / ticker.open - 1
