"""The ladder: prices in the middle, sizes beside them, own orders at the edges; a click trades when armed.

Rows are static: they move only by Space, wheel, keys, Centre, or by themselves when the market left the middle and neither
pointer, button nor the cursor of the keys is on them. Only rows whose content changed are painted again.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from PySide6.QtCore import QEvent, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import (
    QFocusEvent,
    QHelpEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPixmap,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QInputDialog, QToolTip

from app.desk import Draft, GuardRefused, OrderState
from app.guard import round_amount
from app.paper import PaperSession
from connectors.model import Side, Unit
from connectors.sync import BookState
from ui.integrity import Integrity, integrity
from ui.ladder_rows import ClickGuard, LadderRows
from ui.panel import Painted
from ui.theme import Theme
from ui.widgets.dialogs import show_beside
from ui.widgets.fields import typed
from ui.widgets.figures import (
    baseline,
    book_title,
    draw_book_card,
    draw_figure,
    draw_state,
    draw_triangle,
    figure,
    size_figure,
    size_unit,
)

if TYPE_CHECKING:
    from app.desk import Desk, Order
    from app.markets import Feed

ROW = 20
HEAD = 24
TOOLS = 28
FOOT = 52
SIZES = 5  # to choose from for a click
AT_ONCE = 12  # rows whose sizes one frame draws again
SELDOM = 0.1  # seconds between two paintings of what is read, not watched: traded volumes, and what is above or below the rows
CURRENCIES = frozenset({"USD", "USDT", "USDC", "EUR", "GBP", "AUD", "CHF", "DAI", "FDUSD", "TUSD"})


_Own = tuple[Side, Decimal, bool, float | None]  # side, size, whether in doubt, what is ahead of it


class _Telling(NamedTuple):
    """What of a row must never be late on the screen."""

    tick: int
    own: tuple[_Own, ...]
    is_bid: bool
    is_ask: bool
    last: Side | None
    hover: Side | None
    live: bool
    cursor: bool


class _Line(NamedTuple):
    """All that a row shows."""

    telling: _Telling
    bid: float
    ask: float
    bid_part: int  # of the largest size on the screen, in percent
    ask_part: int
    volume: int  # of the largest traded volume on the screen, in fortieths


class Ladder(Painted):
    """`price_chosen(price, side)` is for the ticket when disarmed, `proof_asked` when the badge of the book is clicked.

    `said` is a sentence for the row of the last click; `own_sizes` are the trader's five sizes by instrument.
    """

    panel_id = "ladder"
    title = "Ladder"
    follows = True
    every = 1
    trading = True
    price_chosen = Signal(object, object)
    proof_asked = Signal()

    def __init__(self, theme: Theme, desk: Desk, own_sizes: dict[str, list[str]] | None = None) -> None:
        super().__init__(theme)
        self.setMinimumWidth(272)
        self.desk = desk
        self.own_sizes = own_sizes if own_sizes is not None else {}
        self.rows: LadderRows | None = None
        self.guard = ClickGuard()
        self.said = ""
        self.cursor_row: int | None = None
        self.sizes: list[Decimal] = []
        self.size_index = 0
        self._hover: tuple[int, Side] | None = None
        self._pressed = False
        self._drag: Order | None = None
        self._seen: tuple[object, ...] = ()
        self._content: list[_Line | None] = []  # what was drawn
        self._turn = 0  # the row whose figures are looked at first
        self._volumes: list[float] = []  # traded in each row
        self._place: tuple[int, ...] = ()  # of the rows for which that was summed up
        self._behind = False  # some rows wait for the next frame
        self._seldom = 0.0  # when what is painted seldom had its turn, and whether that was above the rows or below
        self._above = False
        self._shown = ""  # the sentence below the rows
        self._buffer = QPixmap()
        self._trades_seen = 0
        self._last: tuple[float, Side] | None = None
        self._integrity: Integrity | None = None
        desk.order_changed.connect(lambda _: self._forget())
        desk.armed_changed.connect(lambda _: self._forget())
        theme.changed.connect(self._forget)
        self.setAccessibleDescription(
            "Left click in the bid column buys at that price, in the ask column sells, when armed."
        )

    # what it shows

    def set_feed(self, feed: Feed | None) -> None:
        """Another instrument: rows begin anew."""
        super().set_feed(feed)
        self.rows = LadderRows(feed.instrument, self._fitting()) if feed is not None else None
        self._trades_seen = 0
        self._last = None
        self.said = ""
        self._pressed, self._drag = False, None  # a button that went down on another market sends nothing here
        self.guard.clear()
        self.sizes = self._sizes_of(feed) if feed is not None else []
        self._forget()

    def _sizes_of(self, feed: Feed) -> list[Decimal]:
        own = [size for text in self.own_sizes.get(feed.instrument.key, ()) if (size := typed(text)) is not None]
        return own if len(own) == SIZES and all(size > 0 for size in own) else default_sizes(feed)

    def set_size(self, index: int, size: Decimal) -> None:
        """Another size for one of the five chips of this instrument."""
        if self.feed is not None and self.sizes and size > 0:
            self.sizes[index] = size
            self.own_sizes[self.feed.instrument.key] = [format(each, "f") for each in self.sizes]
            self.choose_size(index)

    def frame(self, now: float) -> None:
        """Look whether anything visible changed."""
        feed, rows = self.feed, self.rows
        if feed is None or rows is None:
            return
        if rows.top is None and feed.book.mid is not None:
            rows.group = rows.natural_group(feed.book)
            self.sizes = self._sizes_of(feed)
        if rows.top is None and not rows.centre(feed.book):
            if self._seen != (feed.sync.state,):
                self._seen = (feed.sync.state,)
                self.update()
            return
        if rows.strays(feed.book) and not (self._pressed or self.pointed_at or self.cursor_row is not None):
            rows.centre(feed.book)
        trades, self._trades_seen = feed.trades.after(self._trades_seen)
        if trades:
            self._last = (trades[-1].price, trades[-1].side)
        state = feed.sync.state
        seen = (feed.book.version, state, rows.top, rows.group, self._last, self._trades_seen, self._hover, self.said)
        self._integrity = integrity(feed.sync, now)
        second = int(feed.sync.lasting(now)) if state is not BookState.LIVE else 0
        if (*seen, second) != self._seen or self._behind:
            self._seen = (*seen, second)
            seldom = now - self._seldom > SELDOM
            if seldom:
                self._seldom, self._above = now, not self._above
                self._place = ()
            self._draw_rows()
            if self.said != self._shown or not feed.sync.live:
                self._shown = self.said
                self.update()
            elif not seldom:
                self.update(0, HEAD + TOOLS, self.width(), rows.count * ROW)
            elif self._above:
                self.update(0, 0, self.width(), HEAD + TOOLS + rows.count * ROW)
            else:
                self.update(0, HEAD + TOOLS, self.width(), self.height())

    @property
    def live(self) -> bool:
        """Whether the book may be traded on."""
        return self.feed is not None and self.feed.sync.live

    @property
    def armed(self) -> bool:
        """Whether a click sends."""
        return self.feed is not None and self.desk.armed(self.feed.environment)

    @property
    def click_size(self) -> Decimal | None:
        """Size of the next click."""
        return self.sizes[self.size_index] if self.sizes else None

    def _forget(self) -> None:
        self._content = []
        self._place = ()
        self._seen = ()
        self.update()

    def _fitting(self) -> int:
        return max(4, (self.height() - HEAD - TOOLS - FOOT) // ROW)

    def _columns(self) -> tuple[float, float, float, float]:
        """x of: end of own bids, end of bid sizes, end of price, end of ask sizes."""
        width = float(self.width())
        edge = max(54.0, min(104.0, width * 0.2 if width < 330 else width * 0.24))
        price = min(100.0, width * 0.31)
        side = (width - 2 * edge - price) / 2
        return edge, edge + side, edge + side + price, edge + 2 * side + price

    # painting

    def _draw_rows(self) -> None:
        """Paint the rows that changed into the back buffer."""
        feed, rows = self.feed, self.rows
        if feed is None or rows is None or rows.top is None:
            return
        ratio = self.devicePixelRatioF()
        wanted = (int(self.width() * ratio), int(rows.count * ROW * ratio))
        if (self._buffer.width(), self._buffer.height()) != wanted:
            self._buffer = QPixmap(*wanted)
            self._buffer.setDevicePixelRatio(ratio)
            self._content = []
        bids, asks = rows.sizes(feed.book)
        most = max(max(bids, default=0.0), max(asks, default=0.0)) or 1.0
        place = (rows.top, rows.group, rows.count)
        if place != self._place:
            self._place, self._volumes = place, rows.volumes(feed.traded)
        volumes = self._volumes
        traded = max(volumes) or 1.0
        own = self._own_orders(rows)
        best_bid = feed.book.best_bid
        best_ask = feed.book.best_ask
        bid_row = rows.row_of(best_bid[0]) if best_bid else None
        ask_row = rows.row_of(best_ask[0], Side.SELL) if best_ask else None
        last_row = rows.row_of(*_resting(self._last)) if self._last else None
        live = feed.sync.live
        wanted_lines: list[_Line] = []
        for row in range(rows.count):
            wanted_lines.append(
                _Line(
                    _Telling(
                        tick=rows.top - row * rows.group,
                        own=tuple(own[row, side] for side in Side if (row, side) in own),
                        is_bid=row == bid_row,
                        is_ask=row == ask_row,
                        last=self._last[1] if row == last_row and self._last else None,
                        hover=self._hover[1] if self._hover is not None and self._hover[0] == row else None,
                        live=live,
                        cursor=row == self.cursor_row,
                    ),
                    bid=round(bids[row], 8),
                    ask=round(asks[row], 8),
                    bid_part=int(bids[row] / most * 100),
                    ask_part=int(asks[row] / most * 100),
                    volume=int(volumes[row] / traded * 40),
                )
            )
        self._move(rows)
        self._paint_lines(wanted_lines)

    def _move(self, rows: LadderRows) -> None:
        """Rows that moved are moved in the picture, not drawn again."""
        first = self._content[0] if self._content else None
        if first is None or rows.top is None or len(self._content) != rows.count:
            self._content = [None] * rows.count
            return
        by, rest = divmod(rows.top - first.telling.tick, rows.group)
        if rest or abs(by) >= rows.count:
            self._content = [None] * rows.count
        elif by:
            self._buffer.scroll(0, int(by * ROW * self.devicePixelRatioF()), self._buffer.rect())
            gap: list[_Line | None] = [None] * abs(by)
            self._content = gap + self._content[:-by] if by > 0 else self._content[-by:] + gap

    def _paint_lines(self, wanted: list[_Line]) -> None:
        """What tells where the market and the own orders are at once, mere sizes a few rows a frame, each in its turn."""
        count, left = len(wanted), AT_ONCE
        behind: list[int] = []
        painter = QPainter(self._buffer)
        for step in range(count):
            row = (self._turn + step) % count
            line, drawn = wanted[row], self._content[row]
            if line == drawn:
                continue
            if drawn is not None and drawn.telling == line.telling:
                if not left:
                    behind.append(row)
                    continue
                left -= 1
            self._draw_row(painter, row, line)
            self._content[row] = line
        painter.end()
        self._behind = bool(behind)
        self._turn = behind[0] if behind else 0

    def _draw_row(self, painter: QPainter, row: int, line: _Line) -> None:
        rows, theme = self.rows, self.theme
        if rows is None:
            return
        own, is_bid, is_ask, last, hover, live = line.telling[1:7]
        y = row * ROW
        edge, bid_end, price_end, ask_end = self._columns()
        background = theme["surface.selected"] if hover is not None or line.telling.cursor else theme["surface.panel"]
        painter.fillRect(QRectF(0, y, self.width(), ROW), background)
        painter.fillRect(QRectF(bid_end, y, price_end - bid_end, ROW), theme["surface.raised"])
        strong = theme["text.primary"] if live else theme["text.tertiary"]
        weak = theme["text.tertiary"]
        if line.volume:
            width = line.volume / 40 * (price_end - bid_end) * 0.5
            painter.fillRect(QRectF(bid_end, y + 2, width, ROW - 4), theme["volume"])
        for part, side, left, right in (
            (line.bid_part, "buy", edge, bid_end),
            (line.ask_part, "sell", price_end, ask_end),
        ):
            if part:
                width = part / 100 * (right - left) * 0.95
                colour = theme.side(side, "bar") if live else theme["surface.control"]
                x = right - width if side == "buy" else left
                painter.fillRect(QRectF(x, y + 1, width, ROW - 2), colour)
        token = "body.bold" if is_bid or is_ask else "body"
        painter.setFont(theme.font(token))
        metrics = theme.metrics(token)
        base = baseline(y, ROW, metrics)
        digits = min(3, rows.instrument.size_digits)
        if line.bid:
            painter.setPen(strong)
            text = size_figure(line.bid, digits)
            painter.drawText(QPointF(bid_end - 6 - metrics.horizontalAdvance(text), base), text)
        if line.ask:
            painter.setPen(strong)
            painter.drawText(QPointF(price_end + 6, base), size_figure(line.ask, digits))
        price = rows.price(row)
        round_number = int(price / rows.instrument.tick) % (rows.group * 10) == 0 if rows.instrument.tick else False
        font = "body.bold" if round_number or is_bid or is_ask or last is not None else "body"
        painter.setFont(theme.font(font))
        if last is not None and live:
            side_name = "buy" if last is Side.BUY else "sell"
            painter.fillRect(QRectF(bid_end, y, price_end - bid_end, ROW), theme.side(side_name))
            on = theme.side(side_name, "on")
            text = figure(price, rows.instrument.price_digits)
            if theme.metrics(font).horizontalAdvance(text) + 24 < price_end - bid_end:
                draw_triangle(painter, QPointF(bid_end + 9, y + ROW / 2), on, up=last is Side.BUY)
            else:  # no room beside the figure: the form stands at the edge, where the size is
                draw_triangle(
                    painter,
                    QPointF(bid_end - 6 if last is Side.SELL else price_end + 6, y + 5),
                    theme.side(side_name),
                    up=last is Side.BUY,
                    size=5,
                )
            draw_figure(painter, price_end - 8, base, text, theme.metrics(font), on, on)
        else:
            draw_figure(
                painter,
                price_end - 8,
                base,
                figure(price, rows.instrument.price_digits),
                theme.metrics(font),
                strong,
                weak,
            )
        if is_ask:
            painter.fillRect(QRectF(0, y + ROW - 1, self.width(), 1), theme["line.strong"])
        for mine in own:
            self._draw_own(painter, y, mine)
        if hover is not None and self.armed and live:
            self._draw_would(painter, y, hover)

    def _draw_own(self, painter: QPainter, y: int, own: _Own) -> None:
        """Own orders of a row: side, remaining size, doubt."""
        theme = self.theme
        side, size, doubt, ahead = own
        name = "buy" if side is Side.BUY else "sell"
        text = ("? " if doubt else "") + size_figure(
            float(size), min(3, self.rows.instrument.size_digits if self.rows else 3)
        )
        painter.setFont(theme.font("caption.strong"))
        metrics = theme.metrics("caption.strong")
        width = metrics.horizontalAdvance(text) + 8
        x = 4.0 if side is Side.BUY else self.width() - width - 4
        painter.fillRect(QRectF(x, y + 2, width, ROW - 4), theme["warn.tint"] if doubt else theme.side(name))
        painter.setPen(theme["warn"] if doubt else theme.side(name, "on"))
        painter.drawText(QPointF(x + 4, baseline(y, ROW, metrics)), text)
        if ahead is not None:
            painter.setFont(theme.font("caption"))
            painter.setPen(theme["text.tertiary"])
            label = figure(ahead, 1)
            wide = theme.metrics("caption").horizontalAdvance(label)
            at = x + width + 4 if side is Side.BUY else x - 4 - wide
            if width + wide + 8 < self._columns()[0]:  # only where it hides no size of the book
                painter.drawText(QPointF(at, baseline(y, ROW, theme.metrics("caption"))), label)

    def _draw_would(self, painter: QPainter, y: int, side: Side) -> None:
        """What a click here would send, outlined at the edge."""
        theme = self.theme
        name = "buy" if side is Side.BUY else "sell"
        text = f"{'Buy' if side is Side.BUY else 'Sell'} {self.click_size}"
        metrics = theme.metrics("caption.strong")
        width = metrics.horizontalAdvance(text) + 10
        x = 3.0 if side is Side.BUY else self.width() - width - 3
        painter.setPen(theme.side(name))
        painter.setBrush(theme["surface.panel"])
        painter.drawRect(QRectF(x + 0.5, y + 2.5, width - 1, ROW - 5))
        painter.setFont(theme.font("caption.strong"))
        painter.drawText(QPointF(x + 5, baseline(y, ROW, metrics)), text)

    def paintEvent(self, event: QPaintEvent) -> None:
        """The buffer, heading, tools and foot."""
        painter = QPainter(self)
        theme = self.theme
        painter.fillRect(self.rect(), theme["surface.panel"])
        feed, rows = self.feed, self.rows
        if feed is None or rows is None:
            self.draw_sentence(painter, self.waiting or "Choose an instrument in the watchlist, or press Ctrl+K.")
            return
        if event.rect().top() < HEAD + TOOLS:
            self._draw_head(painter, rows)
        if rows.top is not None and not self._buffer.isNull():
            painter.drawPixmap(QPointF(0, HEAD + TOOLS), self._buffer)
        if event.rect().bottom() >= self.height() - FOOT:
            self._draw_foot(painter, feed)
        if not feed.sync.live:
            import time

            title = book_title(feed.instrument.symbol, feed.sync.state, feed.sync.lasting(time.monotonic()))
            words = f"{feed.sync.reason[:1].upper()}{feed.sync.reason[1:]}. " if feed.sync.reason else ""
            text = words + ("The grey prices are old; nothing is sent from here." if rows.top is not None else "")
            draw_book_card(painter, theme, self.width(), self.height(), title, text)
        self.draw_focus(painter)

    def _tool_boxes(self) -> dict[str, QRectF]:
        """Where the tools are; the badge of the book takes what is left between them."""
        body = self.theme.metrics("body")
        finer = 12 + body.horizontalAdvance("Group") + 4
        coarser = finer + 22 + self._group_width()
        centre = body.horizontalAdvance("Centre") + 16
        left, right = coarser + 26, self.width() - centre - 6
        return {
            "finer": QRectF(finer, 3, 22, 22),
            "coarser": QRectF(coarser, 3, 22, 22),
            "centre": QRectF(right, 3, centre, 22),
            "proof": QRectF(left, 3, max(16.0, right - left - 4), 22),
        }

    def _group_text(self) -> tuple[str, str]:
        """The step of a row, and how many ticks that is."""
        rows = self.rows
        step = figure(self._group_value(), rows.instrument.price_digits if rows else 2)
        ticks = f"{rows.group} ticks" if rows is not None and rows.group > 1 else "1 tick"
        return step, ticks if self.width() >= 330 else ""

    def _group_width(self) -> float:
        step, ticks = self._group_text()
        more = self.theme.metrics("caption").horizontalAdvance(ticks) + 5 if ticks else 0.0
        return self.theme.metrics("body.bold").horizontalAdvance(step) + more + 8

    def _group_value(self) -> Decimal:
        return self.rows.instrument.tick * self.rows.group if self.rows is not None else Decimal(1)

    def _draw_head(self, painter: QPainter, rows: LadderRows) -> None:
        theme = self.theme
        painter.setFont(theme.font("body"))
        metrics = theme.metrics("body")
        base = baseline(0, TOOLS, metrics)
        painter.setPen(theme["text.secondary"])
        painter.drawText(QPointF(12, base), "Group")
        boxes = self._tool_boxes()
        for name, glyph in (("finer", "−"), ("coarser", "+")):
            painter.drawText(QPointF(boxes[name].center().x() - metrics.horizontalAdvance(glyph) / 2, base), glyph)
        painter.drawText(QPointF(boxes["centre"].left() + 8, base), "Centre")
        step, ticks = self._group_text()
        x = boxes["finer"].right() + 4
        painter.setFont(theme.font("body.bold"))
        painter.setPen(theme["text.primary"])
        painter.drawText(QPointF(x, base), step)
        if ticks:
            painter.setFont(theme.font("caption"))
            painter.setPen(theme["text.tertiary"])
            painter.drawText(QPointF(x + theme.metrics("body.bold").horizontalAdvance(step) + 5, base), ticks)
        self._draw_badge(painter, boxes["proof"])
        _, bid_end, price_end, _ = self._columns()
        painter.setFont(theme.font("caption.strong"))
        painter.setPen(theme["text.tertiary"])
        metrics = theme.metrics("caption.strong")
        base = baseline(TOOLS, HEAD, metrics)
        headings = [
            ("Mine", 8.0, False),
            ("Bids", bid_end - 6, True),
            ("Price", price_end - 8, True),
            ("Asks", price_end + 6, False),
            ("Mine", self.width() - 8.0, True),
        ]
        edge = self._columns()[0]
        if edge >= 84:
            headings += [("Ahead", edge - 2, True), ("Ahead", self.width() - edge + 2, False)]
        for text, x, right in headings:
            painter.drawText(QPointF(x - (metrics.horizontalAdvance(text) if right else 0), base), text)
        painter.fillRect(QRectF(0, TOOLS + HEAD - 1, self.width(), 1), theme["line.subtle"])

    def _draw_badge(self, painter: QPainter, box: QRectF) -> None:
        """How far the book is proven: a form, and the word where there is room. A click shows the proof."""
        found = self._integrity
        if found is None:
            return
        theme = self.theme
        metrics = theme.metrics("caption")
        word = found.word if metrics.horizontalAdvance(found.word) + 14 <= box.width() else ""
        left = box.right() - metrics.horizontalAdvance(word) - 14
        draw_state(painter, QPointF(left + 4, box.center().y()), theme[found.colour], found.shape)
        painter.setFont(theme.font("caption"))
        painter.setPen(theme["warn"] if found.colour == "warn" else theme["text.tertiary"])
        painter.drawText(QPointF(left + 13, baseline(box.top(), box.height(), metrics)), word)

    def _chips(self) -> list[QRectF]:
        width = (self.width() - 16 - 4 * 6) / 5
        y = self.height() - 30
        return [QRectF(8 + index * (width + 6), y, width, 24) for index in range(5)]

    def _draw_foot(self, painter: QPainter, feed: Feed) -> None:
        theme = self.theme
        top = self.height() - FOOT
        painter.fillRect(QRectF(0, top, self.width(), FOOT), theme["surface.panel"])
        painter.fillRect(QRectF(0, top, self.width(), 1), theme["line.subtle"])
        painter.setFont(theme.font("caption"))
        if self.said:
            painter.setPen(theme["warn"])
            text = theme.metrics("caption").elidedText(self.said, Qt.TextElideMode.ElideRight, self.width() - 16)
            painter.drawText(QPointF(8, top + 15), text)
        else:
            self._draw_ratio(painter, feed, top)
        for index, box in enumerate(self._chips()):
            chosen = index == self.size_index
            painter.setPen(theme.accent if chosen and self.armed else theme["line.strong"])
            painter.setBrush(theme["surface.selected"] if chosen else theme["surface.panel"])
            painter.drawRoundedRect(box.adjusted(0.5, 0.5, -0.5, -0.5), 3, 3)
            base = baseline(box.top(), box.height(), theme.metrics("body"))
            text = str(self.sizes[index]) if index < len(self.sizes) else ""
            if (
                theme.metrics("body.bold").horizontalAdvance(text) + 22 < box.width()
            ):  # the number of the key, where it fits
                painter.setFont(theme.font("caption"))
                painter.setPen(theme["text.tertiary"])
                painter.drawText(QPointF(box.left() + 6, base), str(index + 1))
            painter.setFont(theme.font("body.bold" if chosen else "body"))
            painter.setPen(theme["text.primary"])
            painter.drawText(QPointF(box.right() - 6 - theme.metrics("body.bold").horizontalAdvance(text), base), text)

    def _draw_ratio(self, painter: QPainter, feed: Feed, top: float) -> None:
        """Bids against asks of the visible book."""
        theme = self.theme
        bids, asks = feed.book.top(20)
        left, right = sum(size for _, size in bids), sum(size for _, size in asks)
        if left + right <= 0:
            return
        metrics = theme.metrics("caption")
        digits = min(1, feed.instrument.size_digits)
        texts = (figure(left, digits), figure(right, digits))
        painter.setPen(theme["buy"])
        painter.drawText(QPointF(8, top + 15), texts[0])
        painter.setPen(theme["sell"])
        painter.drawText(QPointF(self.width() - 8 - metrics.horizontalAdvance(texts[1]), top + 15), texts[1])
        x = 14 + metrics.horizontalAdvance(texts[0])
        width = self.width() - 28 - sum(map(metrics.horizontalAdvance, texts))
        split = width * left / (left + right)
        painter.fillRect(QRectF(x, top + 10, split, 2), theme["buy"])
        painter.fillRect(QRectF(x + split + 1, top + 10, width - split - 1, 2), theme["sell"])

    def _own_orders(self, rows: LadderRows) -> dict[tuple[int, Side], _Own]:
        found: dict[tuple[int, Side], _Own] = {}
        for order in self._working():
            if order.price is None:
                continue
            row = rows.row_of(float(order.price), order.side)
            if row is not None:
                place = row, order.side
                before = found.get(place)
                doubt = order.state is OrderState.UNKNOWN or (before is not None and before[2])
                size = (order.remaining or Decimal(0)) + (before[1] if before is not None else Decimal(0))
                found[place] = (order.side, size, doubt, self._ahead(order))
        return found

    def _ahead(self, order: Order) -> float | None:
        """Queue ahead at most: what rests at the price besides us. On paper the account itself keeps the place."""
        if self.feed is None or order.price is None or order.state is OrderState.UNKNOWN:
            return None
        session = self.feed.account.session
        if isinstance(session, PaperSession):
            place = session.ahead(order.venue_id)
            return float(place) if place is not None else None
        book = self.feed.book
        side = book.bids if order.side is Side.BUY else book.asks
        resting = side.get(float(order.price))
        return None if resting is None else max(0.0, resting - float(order.remaining or 0))

    def _working(self) -> list[Order]:
        if self.feed is None:
            return []
        return self.desk.working(self.feed.account.id, self.feed.instrument.key)

    # pointer and keys

    def _at(self, x: float, y: float) -> tuple[int, Side] | None:
        """Row and side under a point; the price column belongs to neither."""
        if self.rows is None or self.rows.top is None:
            return None
        row = int((y - HEAD - TOOLS) // ROW)
        if not 0 <= row < self.rows.count or y < HEAD + TOOLS or y >= self.height() - FOOT:
            return None
        _, bid_end, price_end, _ = self._columns()
        if x < bid_end:
            return row, Side.BUY
        return (row, Side.SELL) if x >= price_end else None

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Show what a click would do here."""
        self._hover = self._at(event.position().x(), event.position().y())

    def leaveEvent(self, event: object) -> None:
        """Nothing is hovered, and a press that leaves is void."""
        self._hover = None
        if not self._pressed:
            self.guard.clear()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Tools at once; a row only at release."""
        self.said = ""
        if event.button() is not Qt.MouseButton.LeftButton or self.feed is None or self.rows is None:
            return
        point = event.position()
        for name, box in self._tool_boxes().items():
            if box.contains(point):
                self._tool(name)
                return
        for index, box in enumerate(self._chips()):
            if box.contains(point) and index < len(self.sizes):
                self.choose_size(index)
                return
        found = self._at(point.x(), point.y())
        if found is None:
            return
        row, side = found
        self._pressed = True
        self._drag = self._own_at(row, side)
        self.guard.press(self.rows.price(row), side)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Send, cancel, amend, or say why not."""
        pressed, self._pressed = self._pressed, False
        drag, self._drag = self._drag, None
        if not pressed or event.button() is not Qt.MouseButton.LeftButton or self.rows is None:
            return
        found = self._at(event.position().x(), event.position().y())
        if found is None:
            self.guard.clear()
            self.said = "released outside the rows: nothing sent"
            return
        row, side = found
        price = self.rows.price(row)
        if drag is not None:
            self.guard.clear()
            self._dropped(drag, price, side)
            return
        refused = self.guard.release(price, side)
        if refused is not None:
            self.said = refused
            return
        self.act(price, side)

    def act(self, price: Decimal, side: Side) -> None:
        """What a counted click does: an order when armed, else a price for the ticket."""
        if self.feed is None or self.click_size is None:
            return
        if not self.armed:
            self.price_chosen.emit(price, side)
            self.said = "disarmed: the price went to the ticket"
            return
        if not self.live:
            self.said = f"not sent: the book is {self.feed.sync.state}"
            return
        draft = Draft(
            account=self.feed.account.id,
            instrument=self.feed.instrument,
            side=side,
            amount=self.click_size,
            price=price,
        )
        try:
            self.desk.place(draft, click=True)
        except GuardRefused as refused:
            self.said = f"not sent: {refused.problems[0].text}"

    def _own_at(self, row: int, side: Side) -> Order | None:
        if self.rows is None:
            return None
        for order in self._working():
            if order.side is side and order.price is not None and self.rows.row_of(float(order.price), side) == row:
                return order
        return None

    def _dropped(self, order: Order, price: Decimal, side: Side) -> None:
        """On its own price: cancel. Elsewhere on its side: move it there."""
        if side is not order.side:
            self.said = "dropped on the other side: nothing changed"
        elif (
            self.rows is not None
            and order.price is not None
            and self.rows.row_of(float(order.price), side) == self.rows.row_of(float(price), side)
        ):
            self.desk.cancel(order.id)
        elif not self.armed:
            self.said = "disarmed: the order stays where it is"
        else:
            try:
                self.desk.amend(order.id, price=price)
            except GuardRefused as refused:
                self.said = f"not changed: {refused.problems[0].text}"

    def _tool(self, name: str) -> None:
        if self.rows is None or self.feed is None:
            return
        if name == "proof":
            self.proof_asked.emit()
        elif name == "centre":
            self.rows.centre(self.feed.book)
        else:
            self.rows.regroup(1 if name == "coarser" else -1, self.feed.book)
        self._forget()

    def choose_size(self, index: int) -> None:
        """Use another of the five sizes."""
        self.size_index = index
        self._forget()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """On a size: type another one. Elsewhere a second click is a click."""
        for index, box in enumerate(self._chips()):
            if box.contains(event.position()) and index < len(self.sizes):
                self._ask_size(index)
                return
        self.mousePressEvent(event)

    def _ask_size(self, index: int) -> None:
        dialog = QInputDialog(self)
        dialog.setWindowTitle("Size of a click")
        unit = size_unit(self.feed.instrument) if self.feed is not None else ""
        dialog.setLabelText(f"Size {index + 1}, {unit}")
        dialog.setTextValue(format(self.sizes[index], "f"))

        def take(text: str) -> None:
            size = typed(text)
            size = round_amount(size, self.feed.instrument.size) if size is not None and self.feed is not None else None
            if size is None or size <= 0:
                self.said = f"“{text}” is no size here: nothing changed"
            else:
                self.set_size(index, size)

        dialog.textValueSelected.connect(take)
        show_beside(dialog)

    def event(self, event: QEvent) -> bool:
        """A tooltip for the badge says why a book is, or is not, trusted."""
        if isinstance(event, QHelpEvent) and self._integrity is not None:
            if self._tool_boxes()["proof"].contains(QPointF(event.pos())):
                QToolTip.showText(event.globalPos(), f"{self._integrity.word}: {self._integrity.sentence}", self)
            else:
                QToolTip.hideText()
            return True
        return super().event(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Scroll the rows."""
        if self.rows is not None:
            self.rows.scroll(3 if event.angleDelta().y() > 0 else -3)
            self._forget()
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Space centres, 1 to 5 choose the size, arrows move a cursor, B and S act on it, + and - group."""
        if self.rows is None or self.feed is None or event.isAutoRepeat():
            return
        key = event.key()
        if key == Qt.Key.Key_Space:
            self._tool("centre")
        elif Qt.Key.Key_1 <= key <= Qt.Key.Key_5:
            self.choose_size(key - Qt.Key.Key_1)
        elif key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            middle = self.rows.count // 2
            step = -1 if key == Qt.Key.Key_Up else 1
            self.cursor_row = max(
                0, min(self.rows.count - 1, (middle if self.cursor_row is None else self.cursor_row) + step)
            )
        elif key in (Qt.Key.Key_B, Qt.Key.Key_S) and self.cursor_row is not None:
            side = Side.BUY if key == Qt.Key.Key_B else Side.SELL
            self.act(self.rows.price(self.cursor_row), side)
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Minus):
            self._tool("coarser" if key == Qt.Key.Key_Plus else "finer")
        else:
            super().keyPressEvent(event)
            return
        self._forget()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """The cursor of the keys goes with the keys: rows may move again."""
        self.cursor_row = None
        self._forget()
        super().focusOutEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """As many rows as fit, around the same middle."""
        if self.rows is not None:
            old, self.rows.count = self.rows.count, self._fitting()
            if self.rows.top is not None:
                self.rows.top += (self.rows.count // 2 - old // 2) * self.rows.group
        self._forget()


def _resting(last: tuple[float, Side]) -> tuple[float, Side]:
    """The side of the book that a trade took from: a buyer took an ask."""
    return last[0], last[1].opposite


def default_sizes(feed: Feed) -> list[Decimal]:
    """Five sizes worth about 500 to 10,000 of a currency, else by what usually rests at a price; on the lot, in its unit."""
    instrument = feed.instrument
    price = feed.book.mid or (feed.ticker.last if feed.ticker is not None and feed.ticker.last else None)
    if not price:
        return [max(Decimal(size), instrument.size.minimum) for size in ("0.01", "0.05", "0.1", "0.5", "1")]
    each = float(instrument.multiplier) * (1.0 if instrument.unit is Unit.INVERSE else price)
    if instrument.quote in CURRENCIES and instrument.unit is not Unit.QUANTO:
        wanted = [value / each for value in (500, 1000, 2500, 5000, 10000)]
    else:
        sides = [size for side in feed.book.top(20) for _, size in side]
        usual = sorted(sides)[len(sides) // 2] if sides else float(instrument.size.minimum or 1)
        wanted = [usual * part for part in (0.25, 0.5, 1, 2.5, 5)]
    found: list[Decimal] = []
    for value in wanted:
        raw = Decimal(repr(value))
        step = Decimal(1).scaleb(raw.adjusted())
        nice = (raw / step).to_integral_value() * step
        size = round_amount(max(nice, instrument.size.minimum), instrument.size).normalize()
        if found and size <= found[-1]:  # a coarse lot makes neighbours equal
            size = found[-1] + (instrument.size.step or found[-1])
        found.append(size)
    return [Decimal(format(size, "f")) for size in found]
