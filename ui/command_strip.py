"""The strip at the top: workspaces, search, the account in use, arming, the kill switch."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPoint, Signal
from PySide6.QtWidgets import QButtonGroup, QFrame, QHBoxLayout, QLabel

from ui.widgets.buttons import button
from ui.widgets.style import mark


class CommandStrip(QFrame):
    """Says what was asked for by its signals, and shows what it is told."""

    workspace_asked = Signal(str)
    search_asked = Signal()
    environments_asked = Signal()
    arm_asked = Signal()
    kill_asked = Signal()
    menu_asked = Signal()

    def __init__(self, workspaces: Sequence[str]) -> None:
        super().__init__()
        self._names = tuple(workspaces)
        self.setProperty("role", "strip")
        self.setFixedHeight(44)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 0, 12, 0)
        row.setSpacing(8)
        name = QLabel("≋  Fathom")
        name.setProperty("role", "large")
        row.addWidget(name)
        self._add_tabs(row)
        row.addStretch(1)
        search = button("Search instruments, panels, commands      Ctrl K", "Search", self.search_asked.emit)
        search.setMinimumWidth(330)
        row.addWidget(search)
        row.addStretch(1)
        self.equity = QLabel()
        self.equity.setProperty("role", "secondary")
        row.addWidget(self.equity)
        self.badge = button("PRACTICE", "Environment", self.environments_asked.emit, accent=True)
        row.addWidget(self.badge)
        self.arm = button("Disarmed", "Arm or disarm", self.arm_asked.emit)
        self.arm.setCheckable(True)
        self.arm.setMinimumWidth(110)
        row.addWidget(self.arm)
        kill = "Kill  Ctrl Shift Esc"
        row.addWidget(button(kill, "Cancel everything everywhere and disarm", self.kill_asked.emit, danger=True))
        row.addWidget(button("⋯", "Menu", self.menu_asked.emit, quiet=True))

    def _add_tabs(self, row: QHBoxLayout) -> None:
        self._tabs = QButtonGroup(self)
        for index, name in enumerate(self._names):
            tab = button(name, f"Workspace {name}", lambda name=name: self.workspace_asked.emit(name), quiet=True)
            tab.setCheckable(True)
            self._tabs.addButton(tab, index)
            row.addWidget(tab)

    def show_workspace(self, name: str) -> None:
        """Mark the workspace that is on the screen."""
        self._tabs.button(self._names.index(name)).setChecked(True)

    def show_armed(self, armed: bool, seconds_left: float) -> None:
        """Whether clicks send, and for how long."""
        left = int(seconds_left)
        self.arm.setText(f"Armed  {left // 60}:{left % 60:02}" if armed else "Disarmed")
        self.arm.setChecked(armed)
        mark(self.arm, "armed", armed)

    def show_account(self, environment: str, venue: str) -> None:
        """Where orders go."""
        place = f"   {venue}" if venue else ""
        self.badge.setText(environment.upper() + place + "  ▾")

    def below_badge(self) -> QPoint:
        """Where a menu of the badge opens, on the screen."""
        return self.badge.mapToGlobal(self.badge.rect().bottomLeft())
