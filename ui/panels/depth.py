"""The depth chart: cumulative bids and asks as steps around the mid, painted by hand."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QBrush, QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF, QWheelEvent

from app.desk import OrderState
from app.guard import round_price
from connectors.model import Side, Unit
from ui.depth_curve import columns, nice_ticks, polygon, read
from ui.panel import Painted
from ui.theme import Theme
from ui.widgets.figures import (
    axis,
    baseline,
    book_title,
    draw_book_card,
    draw_card,
    figure,
    percent,
    short,
    size_figure,
    size_unit,
)

if TYPE_CHECKING:
    from app.desk import Desk
    from app.markets import Feed

HEAD = 26
AXIS = 24
SIDE = 52
LEVELS = 5000


class _Curves(NamedTuple):
    """What is drawn of a book at a size: `shapes` are the area of a side, buy then sell, and the steps above it."""

    made_for: tuple[object, ...]
    plot: QRectF
    mid: float
    low: float
    high: float
    most: float
    bids: float  # sums within the range
    asks: float
    shapes: tuple[tuple[QPolygonF, QPolygonF] | None, tuple[QPolygonF, QPolygonF] | None]


class DepthChart(Painted):
    """`price_chosen(price, side)` when the chart is clicked. The wheel zooms around the mid, a double click resets.

    Keys: + and - zoom, 0 resets, L changes between a linear and a logarithmic scale, as a click in the corner does.
    """

    panel_id = "depth"
    title = "Depth"
    follows = True
    phase = 0  # in turn with the tables
    heavy = True
    trading = True
    price_chosen = Signal(object, object)

    def __init__(self, theme: Theme, desk: Desk) -> None:
        super().__init__(theme)
        self.setMinimumWidth(240)
        self.desk = desk
        self.span = 0.0  # half of the visible range, as a fraction of mid; 0 = not chosen yet
        self.logarithmic = False
        self._pointer: QPointF | None = None
        self._seen: tuple[object, ...] = ()
        self._curves: _Curves | None = None
        desk.order_changed.connect(lambda _: self.update())

    def set_feed(self, feed: Feed | None) -> None:
        """Another instrument."""
        super().set_feed(feed)
        self.span = 0.0
        self._seen = ()

    def frame(self, now: float) -> None:
        """Repaint when the book or its state changed."""
        feed = self.feed
        if feed is None:
            return
        seen = (feed.book.version, feed.sync.state, int(now) if not feed.sync.live else 0)
        if seen != self._seen:
            self._seen = seen
            self._reckon()  # here, so that painting has the less to do
            self.update()

    def _range(self, mid: float) -> tuple[float, float]:
        if not self.span:
            self.span = self._natural(mid)
        return mid * (1 - self.span), mid * (1 + self.span)

    def _natural(self, mid: float) -> float:
        """What shows about the best 300 levels."""
        if self.feed is None:
            return 0.01
        depth = self.feed.book.depth(LEVELS)
        far = []
        for prices in (depth.bid_prices, depth.ask_prices):
            if prices.size:
                far.append(abs(float(prices[min(300, prices.size - 1)]) / mid - 1))
        return min(max([*far, 1e-5]), 0.5)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Curves, axes, tags, crosshair."""
        painter = QPainter(self)
        theme, feed = self.theme, self.feed
        painter.fillRect(self.rect(), theme["surface.panel"])
        if feed is None:
            self.draw_sentence(painter, self.waiting or "No instrument is shown. Ctrl+K finds one.")
            return
        curves = self._reckon()
        if curves is None:
            title = (
                book_title(feed.instrument.symbol, feed.sync.state, feed.sync.lasting(time.monotonic()))
                if not feed.sync.live
                else ""
            )
            draw_book_card(painter, theme, self.width(), self.height(), title or "The book is empty", feed.sync.reason)
            return
        _, plot, mid, low, high, most, bids, asks, shapes = curves
        live = feed.sync.live
        drawn = []
        for shape, name in zip(shapes, ("buy", "sell"), strict=True):
            if shape is not None:
                colour = theme.side(name, "fill") if live else theme["text.tertiary"]
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(_over(colour, theme["surface.panel"], 0.16))
                painter.drawPolygon(shape[0])
                drawn.append((colour, shape[1]))
        # over the areas: they are opaque, which is what makes them cheap
        self._draw_grid(painter, plot, low, high, most)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for colour, line in drawn:
            painter.setPen(QPen(colour, 2, Qt.PenStyle.SolidLine, Qt.PenCapStyle.FlatCap, Qt.PenJoinStyle.MiterJoin))
            painter.drawPolyline(line)
        self._draw_horizon(painter, plot, low, high)
        self._draw_orders(painter, plot, low, high, most)
        self._draw_head(painter, mid, bids, asks)
        self._draw_corner(painter)
        if self._pointer is not None and plot.contains(self._pointer):
            self._draw_crosshair(painter, plot, low, high, mid, most)
        if not live:
            title = book_title(feed.instrument.symbol, feed.sync.state, feed.sync.lasting(time.monotonic()))
            draw_book_card(
                painter, theme, plot.width(), self.height(), title, f"{feed.sync.reason}. The grey curves are old."
            )
        self.draw_focus(painter)

    def _height(self, values: np.ndarray, most: float, plot: QRectF) -> np.ndarray:
        if self.logarithmic:
            scaled = np.log1p(values / most * 99) / np.log(100)
        else:
            scaled = values / most
        return plot.bottom() - scaled * (plot.height() - 6)

    def _reckon(self) -> _Curves | None:
        """The curves of the book as it is, for the size that this has; None while there is no mid."""
        feed = self.feed
        mid = feed.book.mid if feed is not None else None
        if feed is None or mid is None:
            self._curves = None
            return None
        low, high = self._range(mid)
        made_for = (feed, feed.book.version, self.size(), low, high, self.logarithmic)
        if self._curves is None or self._curves.made_for != made_for:
            plot = QRectF(0, HEAD, max(10, self.width() - SIDE), max(10, self.height() - HEAD - AXIS))
            depth = feed.book.depth(LEVELS)
            edges = np.linspace(low, high, int(plot.width()) + 1)
            bids = np.where(edges <= mid, columns(depth.bid_prices, depth.bid_cumulative, edges, bids=True), 0.0)
            asks = np.where(edges >= mid, columns(depth.ask_prices, depth.ask_cumulative, edges, bids=False), 0.0)
            bid_sum, ask_sum = float(bids.max()), float(asks.max())
            most = max(bid_sum, ask_sum, 1e-12)
            shapes = self._shape(bids, edges <= mid, most, plot), self._shape(asks, edges >= mid, most, plot)
            self._curves = _Curves(made_for, plot, mid, low, high, most, bid_sum, ask_sum, shapes)
        return self._curves

    def _shape(
        self, heights: np.ndarray, mask: np.ndarray, most: float, plot: QRectF
    ) -> tuple[QPolygonF, QPolygonF] | None:
        """The area below the steps where `mask` holds, and the steps: each column keeps its height to the next one."""
        index = np.nonzero(mask)[0]
        if index.size < 2:
            return None
        ys = self._height(heights[index], most, plot)
        step_x = np.repeat(index.astype(np.float64), 2)[1:]
        step_y = np.repeat(ys, 2)[:-1]
        area = polygon(
            np.concatenate(([step_x[0]], step_x, [step_x[-1]])),
            np.concatenate(([plot.bottom()], step_y, [plot.bottom()])),
        )
        return area, polygon(step_x, step_y)

    def _draw_grid(self, painter: QPainter, plot: QRectF, low: float, high: float, most: float) -> None:
        theme = self.theme
        painter.setFont(theme.font("caption"))
        metrics = theme.metrics("caption")
        digits = self.feed.instrument.price_digits if self.feed else 2
        for price in nice_ticks(low, high, max(2, int(plot.width() / 110))):
            x = round((price - low) / (high - low) * plot.width())
            painter.fillRect(QRectF(x, plot.top(), 1, plot.height()), theme["line.grid"])
            text = figure(price, digits)
            wide = metrics.horizontalAdvance(text)
            hidden = self._pointer is not None and abs(self._pointer.x() - x) < wide + 8  # by the crosshair's own tag
            if x - wide / 2 > 4 and x + wide / 2 < plot.width() and not hidden:
                painter.setPen(theme["text.tertiary"])
                painter.drawText(QPointF(x - wide / 2, baseline(plot.bottom(), AXIS, metrics)), text)
        for size in nice_ticks(0, most, max(2, int(plot.height() / 48))):
            if size <= 0:
                continue
            y = round(float(self._height(np.array([size]), most, plot)[0]))
            painter.fillRect(QRectF(0, y, plot.width(), 1), theme["line.grid"])
            if y > plot.top() + 6:
                painter.setPen(theme["text.tertiary"])
                painter.drawText(QPointF(plot.right() + 8, y + 4), axis(size))
        painter.fillRect(QRectF(0, plot.bottom(), self.width(), 1), theme["line.subtle"])

    def _draw_head(self, painter: QPainter, mid: float, bids: float, asks: float) -> None:
        theme, feed = self.theme, self.feed
        if feed is None:
            return
        metrics, small = theme.metrics("body.bold"), theme.metrics("caption")
        base = baseline(0, HEAD, metrics)
        instrument = feed.instrument
        digits = instrument.price_digits
        best_bid, best_ask = feed.book.best_bid, feed.book.best_ask
        spread = best_ask[0] - best_bid[0] if best_bid and best_ask else None
        unit = instrument.base if instrument.unit is Unit.BASE else "ct"
        painter.setFont(theme.font("caption"))
        painter.setPen(theme["text.tertiary"])
        painter.drawText(
            QPointF(self.width() - SIDE + 8, base), small.elidedText(unit, Qt.TextElideMode.ElideRight, SIDE - 10)
        )
        left = f"Bids {short(bids)}"
        right = f"Asks {short(asks)}"
        end = self.width() - SIDE - 6 - metrics.horizontalAdvance(right)
        painter.setFont(theme.font("body.bold"))
        painter.setPen(theme["buy"])
        painter.drawText(QPointF(12, base), left)
        painter.setPen(theme["sell"])
        painter.drawText(QPointF(end, base), right)
        begin = 12 + metrics.horizontalAdvance(left)
        parts = [("Mid", figure(mid, digits + 1)), ("Spread", figure(spread, digits))]
        widths = [small.horizontalAdvance(label) + 5 + metrics.horizontalAdvance(value) + 14 for label, value in parts]
        while (
            parts and sum(widths) + 10 > end - begin
        ):  # what does not fit between the sums is left out, the last first
            parts.pop()
            widths.pop()
        x = (begin + end - sum(widths) + 14) / 2
        for label, value in parts:
            painter.setFont(theme.font("caption"))
            painter.setPen(theme["text.tertiary"])
            painter.drawText(QPointF(x, base), label)
            x += small.horizontalAdvance(label) + 5
            painter.setFont(theme.font("body.bold"))
            painter.setPen(theme["text.primary"])
            painter.drawText(QPointF(x, base), value)
            x += metrics.horizontalAdvance(value) + 14

    def _corner(self) -> QRectF:
        """Where the scale is changed."""
        return QRectF(self.width() - SIDE, self.height() - AXIS, SIDE, AXIS)

    def _draw_corner(self, painter: QPainter) -> None:
        theme, box = self.theme, self._corner()
        text = "Log" if self.logarithmic else "Linear"
        metrics = theme.metrics("caption.strong")
        painter.setFont(theme.font("caption.strong"))
        painter.setPen(theme.accent_text if self.logarithmic else theme["text.secondary"])
        at = box.center().x() - metrics.horizontalAdvance(text) / 2
        painter.drawText(QPointF(at, baseline(box.top(), AXIS, metrics)), text)

    def _draw_horizon(self, painter: QPainter, plot: QRectF, low: float, high: float) -> None:
        """Beyond the snapshot's outermost prices the book is unknown; that is hatched, not drawn as empty."""
        horizon = self.feed.sync.horizon if self.feed is not None else None
        if horizon is None:
            return
        hatch = QColor(self.theme["line.strong"])
        hatch.setAlphaF(0.35)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QBrush(hatch, Qt.BrushStyle.BDiagPattern))
        if horizon[0] > low:
            painter.drawRect(QRectF(0, plot.top(), (horizon[0] - low) / (high - low) * plot.width(), plot.height()))
        if horizon[1] < high:
            x = (horizon[1] - low) / (high - low) * plot.width()
            painter.drawRect(QRectF(x, plot.top(), plot.width() - x, plot.height()))

    def _draw_orders(self, painter: QPainter, plot: QRectF, low: float, high: float, most: float) -> None:
        """Own orders as tags at their price, pushed apart so that none hides another."""
        feed, theme = self.feed, self.theme
        if feed is None:
            return
        painter.setFont(theme.font("caption.strong"))
        metrics = theme.metrics("caption.strong")
        taken: list[QRectF] = []
        for order in self.desk.working(feed.account.id, feed.instrument.key):
            if order.price is None or not low <= (price := float(order.price)) <= high:
                continue
            doubt = order.state is OrderState.UNKNOWN
            colour = theme["warn"] if doubt else theme.side("buy" if order.side is Side.BUY else "sell")
            x = round((price - low) / (high - low) * plot.width())
            painter.setPen(QPen(colour, 1, Qt.PenStyle.DashLine))
            painter.drawLine(QPointF(x, plot.top() + plot.height() * 0.35), QPointF(x, plot.bottom()))
            text = ("? " if doubt else "") + size_figure(
                float(order.remaining or 0), min(3, feed.instrument.size_digits)
            )
            width = metrics.horizontalAdvance(text) + 10
            box = QRectF(min(max(2, x - width / 2), plot.right() - width - 2), plot.bottom() - 24, width, 18)
            while any(box.intersects(other) for other in taken) and box.top() > plot.top() + 20:
                box.translate(0, -20)
            taken.append(box)
            painter.setPen(QPen(colour, 1))
            painter.setBrush(theme["warn.tint"] if doubt else theme["surface.panel"])
            painter.drawRoundedRect(box.adjusted(0.5, 0.5, -0.5, -0.5), 2, 2)
            painter.drawText(QPointF(box.left() + 5, baseline(box.top(), box.height(), metrics)), text)

    def _draw_crosshair(
        self, painter: QPainter, plot: QRectF, low: float, high: float, mid: float, most: float
    ) -> None:
        feed, theme = self.feed, self.theme
        if feed is None or self._pointer is None:
            return
        x = self._pointer.x()
        price = low + x / plot.width() * (high - low)
        instrument = feed.instrument
        inverse, quanto = instrument.unit is Unit.INVERSE, instrument.unit is Unit.QUANTO
        found = read(feed.book.depth(LEVELS), price, mid, multiplier=float(instrument.multiplier), inverse=inverse)
        pen = QPen(theme["text.primary"], 1, Qt.PenStyle.CustomDashLine)
        pen.setDashPattern([4, 4])
        painter.setPen(pen)
        painter.drawLine(QPointF(x, plot.top()), QPointF(x, plot.bottom()))
        digits = feed.instrument.price_digits
        self._draw_tag(painter, figure(price, digits), x, plot.bottom() + AXIS / 2, plot)
        if found is None:
            return
        y = float(self._height(np.array([found.base]), most, plot)[0])
        painter.setPen(pen)
        painter.drawLine(QPointF(0, y), QPointF(plot.right(), y))
        buys = price >= mid
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(theme["surface.panel"], 1.5))
        painter.setBrush(theme.side("buy" if not buys else "sell", "fill"))
        painter.drawEllipse(QPointF(x, y), 4, 4)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, on=False)
        self._draw_size_tag(painter, short(found.base), y, plot)
        unit = size_unit(feed.instrument)
        lines = [
            (figure(price, digits), percent(found.distance, 3)),
            ("Cumulative", f"{figure(found.base, min(3, feed.instrument.size_digits))} {unit}"),
            ("", f"{short(found.quote)} {instrument.settle if quanto else instrument.quote}"),
            (f"Market {'buy' if buys else 'sell'} of this size", ""),
            ("Average", figure(found.average, digits)),
            ("Slippage", percent(found.slippage, 3)),
        ]
        width, height = 232.0, len(lines) * 19 + 16.0
        left = x + 14 if x + 14 + width < plot.right() else x - 14 - width
        top = min(max(plot.top() + 4, y - height / 2), plot.bottom() - height - 4)
        draw_card(painter, theme, QRectF(max(4, left), top, width, height), lines, theme.font("body"))

    def _draw_tag(self, painter: QPainter, text: str, x: float, y: float, plot: QRectF) -> None:
        theme = self.theme
        painter.setFont(theme.font("caption.strong"))
        metrics = theme.metrics("caption.strong")
        width = metrics.horizontalAdvance(text) + 12
        box = QRectF(min(max(0, x - width / 2), plot.right() - width), y - 9, width, 18)
        painter.fillRect(box, theme["text.primary"])
        painter.setPen(theme["surface.panel"])
        painter.drawText(QPointF(box.left() + 6, baseline(box.top(), box.height(), metrics)), text)

    def _draw_size_tag(self, painter: QPainter, text: str, y: float, plot: QRectF) -> None:
        """The cumulative size at the crosshair, in the axis."""
        theme = self.theme
        metrics = theme.metrics("caption.strong")
        box = QRectF(plot.right(), min(max(plot.top(), y - 9), plot.bottom() - 18), SIDE, 18)
        painter.fillRect(box, theme["text.primary"])
        painter.setFont(theme.font("caption.strong"))
        painter.setPen(theme["surface.panel"])
        at = box.center().x() - metrics.horizontalAdvance(text) / 2
        painter.drawText(QPointF(at, baseline(box.top(), box.height(), metrics)), text)

    # pointer and keys

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Zoom, reset, scale."""
        key = event.key()
        if key in (Qt.Key.Key_Plus, Qt.Key.Key_Minus) and self.span:
            self._zoom(0.85 if key == Qt.Key.Key_Plus else 1 / 0.85)
        elif key == Qt.Key.Key_0:
            self.span = 0.0
        elif key == Qt.Key.Key_L:
            self.logarithmic = not self.logarithmic
        else:
            super().keyPressEvent(event)
            return
        self.update()

    def _zoom(self, factor: float) -> None:
        self.span = min(0.9, max(1e-5, self.span * factor))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Move the crosshair."""
        self._pointer = event.position()
        self.update()

    def leaveEvent(self, event: object) -> None:
        """No crosshair."""
        self._pointer = None
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """The price under the pointer goes to the ticket."""
        feed = self.feed
        if feed is None or feed.book.mid is None or event.button() is not Qt.MouseButton.LeftButton:
            return
        if self._corner().contains(event.position()):
            self.logarithmic = not self.logarithmic
            self.update()
            return
        low, high = self._range(feed.book.mid)
        width = max(10, self.width() - SIDE)
        if event.position().x() > width:
            return
        raw = low + event.position().x() / width * (high - low)
        side = Side.BUY if raw < feed.book.mid else Side.SELL
        self.price_chosen.emit(round_price(Decimal(repr(raw)), feed.instrument, side), side)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Back to the natural range."""
        self.span = 0.0
        self.update()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom around the mid."""
        if self.span:
            self._zoom(0.85 if event.angleDelta().y() > 0 else 1 / 0.85)
            self.update()
        event.accept()


def _over(colour: QColor, ground: QColor, part: float) -> QColor:
    """`colour` at `part` over an opaque ground."""
    mixed = [round(a * part + b * (1 - part)) for a, b in zip(colour.getRgb()[:3], ground.getRgb()[:3], strict=True)]  # ty: ignore[not-subscriptable] - a tuple
    return QColor(*mixed)
