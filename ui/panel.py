"""The base of every panel: a title, a feed to follow, and a frame hook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtGui import QPalette
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
    every = 2  # frames; what moves with each trade asks for 1
    phase = 1

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self.feed: Feed | None = None
        self.setAccessibleName(self.title)
        self.setAutoFillBackground(True)
        self._recolour()
        theme.changed.connect(self._recolour)

    def set_feed(self, feed: Feed | None) -> None:
        """Show another instrument."""
        self.feed = feed
        self.update()

    def frame(self, now: float) -> None:
        """Once a frame while visible: compare versions, call update() where something changed."""

    def strip_widgets(self) -> list[QWidget]:
        """Controls for the title strip."""
        return []

    def _recolour(self) -> None:
        palette = self.palette()
        palette.setColor(QPalette.ColorRole.Window, self.theme["surface.panel"])
        self.setPalette(palette)
        self.update()


class Painted(Panel):
    """A panel that paints itself whole."""

    def __init__(self, theme: Theme) -> None:
        super().__init__(theme)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
