"""The palette: whatever can be found by a few letters, and done by Enter."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QFont, QKeyEvent
from PySide6.QtWidgets import QDialog, QLineEdit, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

MOST = 14  # rows that fit
Offer = tuple[str, Callable[[], object]]


def matching(offers: Iterable[Offer], text: str) -> list[Offer]:
    """Those that have every word of a text in them."""
    words = text.lower().split()
    return [offer for offer in offers if all(word in offer[0].lower() for word in words)]


class Palette(QDialog):
    """Type, choose with the arrows, Enter. `find` gives words and what they do for a text, best first."""

    def __init__(self, window: QWidget, font: QFont, find: Callable[[str], list[Offer]]) -> None:
        super().__init__(window)
        self.setWindowFlags(Qt.WindowType.Popup)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setAccessibleName("Search")
        self._find = find
        self._actions: list[Callable[[], object]] = []
        self.edit = QLineEdit()
        self.edit.setPlaceholderText("Instrument, panel or command")
        self.edit.setAccessibleName("Search")
        self.edit.setFont(font)
        self.edit.textChanged.connect(self._fill)
        self.edit.installEventFilter(self)
        self.list = QListWidget()
        self.list.setAccessibleName("Results")
        self.list.itemActivated.connect(lambda _: self._run())
        self.list.itemClicked.connect(lambda _: self._run())
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 8)
        column.addWidget(self.edit)
        column.addWidget(self.list)
        self.resize(520, 420)
        place = window.mapToGlobal(window.rect().topLeft())
        self.move(place.x() + (window.width() - self.width()) // 2, place.y() + 44)
        self._fill("")
        self.edit.setFocus()

    def _fill(self, text: str) -> None:
        self.list.clear()
        self._actions.clear()
        for words, action in self._find(text):
            self.list.addItem(QListWidgetItem(words))
            self._actions.append(action)
        if not self._actions:
            nothing = QListWidgetItem("Nothing is called that. Fewer letters find more.")
            nothing.setFlags(Qt.ItemFlag.NoItemFlags)
            self.list.addItem(nothing)
            return
        self.list.setCurrentRow(0)

    def _run(self) -> None:
        index = self.list.currentRow()
        if 0 <= index < len(self._actions):
            action = self._actions[index]
            self.close()
            action()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Arrows and Enter go to the list while the text has the focus."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            if event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down):
                step = 1 if event.key() == Qt.Key.Key_Down else -1
                self.list.setCurrentRow(max(0, min(self.list.count() - 1, self.list.currentRow() + step)))
                return True
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                self._run()
                return True
        return super().eventFilter(watched, event)
