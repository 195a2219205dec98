"""The strip of the first start: it says what the practice exchange is."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel

from ui.widgets.buttons import button

TEXT = (
    "This is the practice exchange: it runs on this machine, with a made-up crowd and made-up money. "
    "Nothing you do here leaves it."
)


class Welcome(QFrame):
    """`go_live_asked`, and `hidden_for_good` when the trader has read it."""

    go_live_asked = Signal()
    hidden_for_good = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "welcome")
        self.setFixedHeight(32)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 0, 8, 0)
        row.addWidget(QLabel(TEXT))
        row.addWidget(button("Go live…", "How to go live", self.go_live_asked.emit, quiet=True))
        row.addStretch(1)
        row.addWidget(button("Hide", "Hide this strip", self.hidden_for_good.emit, quiet=True))
