"""The palette: instruments, panels and commands by a few letters."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QDialog, QLineEdit, QListWidget, QListWidgetItem, QVBoxLayout

if TYPE_CHECKING:
    from connectors.contract import Environment
    from ui.window import Window

MOST = 14


class Palette(QDialog):
    """Type, choose with the arrows, Enter."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self.setWindowFlags(Qt.WindowType.Popup)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setAccessibleName("Search")
        self._window = window
        self._actions: list[Callable[[], object]] = []
        self.edit = QLineEdit()
        self.edit.setPlaceholderText("Instrument, panel or command")
        self.edit.setAccessibleName("Search")
        self.edit.setFont(window.theme.font("field"))
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
        window = self._window
        self.list.clear()
        self._actions.clear()
        commands: list[tuple[str, Callable[[], object]]] = [
            ("Arm or disarm", window.toggle_armed),
            ("Kill: cancel everything everywhere", window.kill),
            ("First layout of this workspace", window.reset_layout),
        ]
        commands += [
            (f"Workspace {name}", lambda name=name: window.show_workspace(name))
            for name in ("Trade", "Depth", "Connectors")
        ]
        commands += [
            (f"Use account {account.name}", lambda name=account.id: window.use_account(name))
            for account in window.terminal.accounts.accounts.values()
            if account.instruments
        ]
        commands += [
            (f"Connector {row.name}", lambda slug=row.slug: window.show_connector(slug))
            for row in window.terminal.catalogue.rows()
        ]
        commands += [
            (f"Panel {panel.title}", lambda panel_id=panel_id: window.open_panel(panel_id))
            for panel_id, panel in window.panels.items()
        ]
        words = text.lower().split()
        found = [(name, act) for name, act in commands if all(word in name.lower() for word in words)]
        if not words:  # exchanges only by name: they are many
            found = [(name, act) for name, act in found if not name.startswith("Connector ")]
        for account, instrument in window.terminal.markets.search(text)[:MOST]:
            name = f"{instrument.symbol}   {account.name}, {instrument.market}"
            self._add(name, lambda key=instrument.key, where=account.environment: self._watch(key, where))
        for name, act in found[: max(4, MOST - self.list.count())]:
            self._add(name, act)
        self.list.setCurrentRow(0)

    def _watch(self, key: str, environment: Environment) -> None:
        self._window.watchlist.add(key, environment)
        self._window.show_instrument(key, environment)

    def _add(self, name: str, action: Callable[[], object]) -> None:
        self.list.addItem(QListWidgetItem(name))
        self._actions.append(action)

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
