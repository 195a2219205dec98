"""The base of every panel: a title, a feed to follow, and a frame hook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QCursor, QFocusEvent, QPainter, QPen
from PySide6.QtWidgets import QWidget

from ui.theme import Theme

if TYPE_CHECKING:
    from app.markets import Feed


class Panel(QWidget):
    """`panel_id` and `title` are class attributes; `follows` says whether it shows one instrument."""

    panel_id = ""
    title = ""
    follows = False
    trading = False
    waiting = ""  # what is going on while there is no feed yet; the window says it to all
    every = 2  # frames; what moves with each trade asks for 1
    phase = 1
    heavy = False  # takes milliseconds to paint
    unpainted = False  # asked to be painted, and not painted yet

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self.feed: Feed | None = None
        self.setAccessibleName(self.title)
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        theme.changed.connect(self.update)

    def set_feed(self, feed: Feed | None) -> None:
        """Show another instrument."""
        self.feed = feed
        self.update()

    @property
    def pointed_at(self) -> bool:
        """Whether the pointer is in here. Qt's own word may be old: who is moved by a layout is not told that it left."""
        return self.underMouse() and self.rect().contains(self.mapFromGlobal(QCursor.pos()))

    def update(self, *region: Any) -> None:
        """Paint soon: all, or a region."""
        self.unpainted = True
        super().update(*region)

    def frame(self, now: float) -> None:
        """Once a frame while visible: compare versions, call update() where something changed."""


class Painted(Panel):
    """A panel that paints itself whole."""

    def __init__(self, theme: Theme) -> None:
        super().__init__(theme)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def draw_sentence(self, painter: QPainter, text: str) -> None:
        """Why there is nothing to see, and what to do."""
        painter.setFont(self.theme.font("body"))
        painter.setPen(self.theme["text.tertiary"])
        flags = int(Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap)
        painter.drawText(self.rect().adjusted(16, 16, -16, -16), flags, text)

    def draw_focus(self, painter: QPainter) -> None:
        """A ring inside the bounds while the keyboard is here."""
        if self.hasFocus():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(self.theme.accent, 2))
            painter.drawRect(QRectF(1, 1, self.width() - 2, self.height() - 2))

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Show the ring."""
        self.update()
        super().focusInEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Hide it."""
        self.update()
        super().focusOutEvent(event)
