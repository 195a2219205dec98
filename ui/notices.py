"""The line of news above the status bar: it floats, and goes after a while."""

from __future__ import annotations

import time

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QWidget

from ui.theme import Theme

GRAVITY = ("info", "warn", "danger")
SECONDS = {"info": 4.0, "warn": 12.0, "danger": 30.0}  # that a line stays
GRAVE_FOR = 8.0  # seconds in which news does not cover what is graver
WIDEST = 760
ABOVE = 24 + 12  # the status bar, and some air


class Notices(QLabel):
    """One line at a time. It floats: a strip that came and went in the layout would move rows under the pointer."""

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self.theme = theme
        self.said_at = 0.0
        self._level = "info"
        self.setContentsMargins(12, 6, 12, 6)
        self.setWordWrap(True)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setVisible(False)
        theme.changed.connect(self._dress)

    def say(self, level: str, text: str) -> None:
        """Show a line. News does not cover what is graver and not yet read."""
        now = time.monotonic()
        lasts = SECONDS[self._level] if level == "info" else GRAVE_FOR
        graver = GRAVITY.index(level) < GRAVITY.index(self._level)
        if self.isVisible() and graver and now - self.said_at < lasts:
            return
        self.said_at, self._level = now, level
        self._dress()
        self.setText(text)
        room = self.window()
        width = min(WIDEST, room.width() - 40)
        height = self.heightForWidth(width)
        self.setGeometry((room.width() - width) // 2, room.height() - ABOVE - height, width, height)
        self.setVisible(True)
        self.raise_()

    def expire(self) -> None:
        """Go, when the time is over."""
        if self.isVisible() and time.monotonic() - self.said_at > SECONDS[self._level]:
            self.setVisible(False)

    def _dress(self) -> None:
        """Ground and ink of its level, in the theme in use."""
        tokens = {"info": ("surface.control", "text.secondary")}.get(self._level, (f"{self._level}.tint", self._level))
        ground, ink = map(self.theme.hex, tokens)
        self.setStyleSheet(f"background: {ground}; color: {ink}; border: 1px solid {ink}; border-radius: 6px;")
