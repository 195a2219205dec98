"""Workspaces: the panels in their docks, the first layout of each workspace, and the layouts that the trader made."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING

import PySide6QtAds as ads
from PySide6.QtCore import QByteArray, Qt, QTimer, Signal
from PySide6.QtWidgets import QLabel, QMainWindow

from ui.panel import Panel
from ui.widgets.style import repolish

if TYPE_CHECKING:
    from app.settings import Settings

LAYOUTS = {
    "Trade": (
        "depth",
        "watchlist",
        "venues",
        "ladder",
        "tape",
        "ticket",
        "orders",
        "fills",
        "positions",
        "balances",
        "accounts",
        "health",
        "journal",
        "log",
    ),
    "Depth": ("depth", "watchlist", "ladder", "tape"),
    "Connectors": ("connectors",),
}
WORKSPACES = tuple(LAYOUTS)
NARROW, LOW = 1500, 960  # pixels of the window; below, the first layouts are others
AREAS = ads.DockWidgetArea


class Workspaces(QMainWindow):
    """The place of all docks. `told(level, text)` where a saved layout could not be used."""

    told = Signal(str, str)

    def __init__(self, panels: Mapping[str, Panel], settings: Settings) -> None:
        super().__init__()
        self.setWindowFlags(Qt.WindowType.Widget)
        self.current = ""
        self._panels = panels
        self._settings = settings
        self._sizes: list[tuple[ads.CDockAreaWidget, list[int]]] = []
        self._outermost: list[int] = []
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self.dress)
        flags = ads.CDockManager.eConfigFlag
        ads.CDockManager.setConfigFlag(flags.DockAreaHasCloseButton, False)
        ads.CDockManager.setConfigFlag(flags.DockAreaHasUndockButton, False)
        ads.CDockManager.setConfigFlag(flags.DockAreaHasTabsMenuButton, False)
        ads.CDockManager.setConfigFlag(flags.ActiveTabHasCloseButton, False)
        ads.CDockManager.setConfigFlag(flags.OpaqueSplitterResize, True)
        self._manager = ads.CDockManager(self)
        self._manager.setStyleSheet("")
        self.docks = {panel_id: self._make_dock(panel_id, panel) for panel_id, panel in panels.items()}

    def _make_dock(self, panel_id: str, panel: Panel) -> ads.CDockWidget:
        dock = ads.CDockWidget(self._manager, panel.title)
        dock.setObjectName(panel_id)
        dock.setWidget(panel, ads.CDockWidget.eInsertMode.ForceNoScrollArea)
        dock.setMinimumSizeHintMode(ads.CDockWidget.eMinimumSizeHintMode.MinimumSizeHintFromContentMinimumSize)
        dock.visibilityChanged.connect(lambda _: self._soon.start())
        dock.setFeature(ads.CDockWidget.DockWidgetFeature.DockWidgetClosable, True)
        return dock

    # what the window asks

    def show_workspace(self, name: str) -> None:
        """Another arrangement; the present one is kept."""
        self.keep()
        self.current = name
        kept = self._settings.preferences.layouts.get(name, "")
        if not kept or not self._restore(name, kept):
            self._arrange(name)
        self._settings.preferences.workspace = name
        self.dress()

    def keep(self) -> None:
        """The present arrangement, in the preferences."""
        if self.current:
            state = base64.b64encode(bytes(self._manager.saveState().data())).decode()
            self._settings.preferences.layouts[self.current] = state

    def reset(self) -> None:
        """The first arrangement of this workspace again."""
        self._arrange(self.current)

    def open_panel(self, panel_id: str) -> None:
        """Bring a panel to the front, wherever it is."""
        dock = self.docks[panel_id]
        if dock.isClosed() or dock.dockAreaWidget() is None:
            tables = self.docks["orders"]
            beside = tables.dockAreaWidget() if tables is not dock and not tables.isClosed() else None
            dock.toggleView(True)
            if beside is not None:  # one more tab there: a new row below has no height of its own
                self._manager.addDockWidget(AREAS.CenterDockWidgetArea, dock, beside)
            else:
                self._manager.addDockWidget(AREAS.BottomDockWidgetArea, dock)
        dock.setAsCurrentTab()
        dock.raise_()

    def name_instrument(self, symbol: str) -> None:
        """The panels that follow an instrument say which in their titles."""
        for panel_id, panel in self._panels.items():
            if panel.follows:
                self.docks[panel_id].setWindowTitle(f"{panel.title}   {symbol}")

    def dress(self) -> None:
        """The strip of a trading panel has the environment's colour; a tab that stands alone is only a title."""
        for index in range(self._manager.dockAreaCount()):
            area = self._manager.dockArea(index)
            docks = area.openedDockWidgets()
            panel = self._panels.get(area.currentDockWidget().objectName()) if area.currentDockWidget() else None
            marks = [(area.titleBar(), "trading", panel is not None and panel.trading)]
            marks += [(dock.tabWidget(), "alone", len(docks) == 1) for dock in docks]
            for widget, name, value in marks:
                if widget.property(name) is not value:
                    widget.setProperty(name, value)
                    repolish(widget, *widget.findChildren(QLabel))

    # layouts

    def _restore(self, name: str, kept: str) -> bool:
        """Take a saved layout. A broken one is put aside, told, and not used."""
        if any(dock.dockAreaWidget() is None for dock in self.docks.values()):
            self._arrange(name)  # the manager restores only what it has seen before
        try:
            good = self._manager.restoreState(QByteArray(base64.b64decode(kept, validate=True)))
        except ValueError:
            good = False
        if good:
            self._sizes, self._outermost = [], []
        if good and any(not dock.isClosed() and dock.dockAreaWidget() is not None for dock in self.docks.values()):
            return True
        self._put_aside(name, kept)
        return False

    def _put_aside(self, name: str, kept: str) -> None:
        try:
            where = self._settings.keep_aside(f"layout-{name}", kept)
            text = f"The saved layout of {name} was broken: the first one is used, the old one is kept in {where}."
        except OSError as error:
            text = f"The saved layout of {name} was broken and could not be kept ({error}); the first one is used."
        self.told.emit("warn", text)

    def _arrange(self, name: str) -> None:
        """The layout that a workspace has at first."""
        centre = self._gather(self.docks[LAYOUTS[name][0]])
        if name == "Depth":
            self._arrange_depth(centre)
        elif name == "Trade":
            self._arrange_trade(centre)
        for panel_id, dock in self.docks.items():
            if panel_id not in LAYOUTS[name]:
                dock.toggleView(False)
        if name == "Trade":
            self.docks["orders"].setAsCurrentTab()
        QTimer.singleShot(0, self._apply_sizes)

    def _gather(self, first: ads.CDockWidget) -> ads.CDockAreaWidget:
        """Everything into one area: every dock stays known to the manager, and no empty splitter is left over."""
        if first.dockAreaWidget() is None:
            self._manager.addDockWidget(AREAS.CenterDockWidgetArea, first)
        centre = first.dockAreaWidget()
        for dock in self.docks.values():
            dock.toggleView(True)
            if dock is not first:
                self._manager.addDockWidget(AREAS.CenterDockWidgetArea, dock, centre)
        return centre

    def _is_narrow(self) -> bool:
        return self.window().width() < NARROW

    def _arrange_depth(self, centre: ads.CDockAreaWidget) -> None:
        put, docks = self._manager.addDockWidget, self.docks
        ladder = put(AREAS.RightDockWidgetArea, docks["ladder"], centre)
        tape = put(AREAS.RightDockWidgetArea, docks["tape"], ladder)
        put(AREAS.LeftDockWidgetArea, docks["watchlist"], centre)
        self._sizes = [(tape, [200, 600, 290, 190] if self._is_narrow() else [236, 1110, 340, 230])]

    def _arrange_trade(self, centre: ads.CDockAreaWidget) -> None:
        put, docks = self._manager.addDockWidget, self.docks
        narrow, low = self._is_narrow(), self.window().height() < LOW
        ladder = put(AREAS.RightDockWidgetArea, docks["ladder"], centre)
        tape = put(AREAS.RightDockWidgetArea, docks["tape"], ladder)
        if not low:  # the ticket ends above the tables where it has room enough there
            put(AREAS.RightDockWidgetArea, docks["ticket"], tape)
        bottom = put(AREAS.BottomDockWidgetArea, docks["orders"])
        left = put(AREAS.LeftDockWidgetArea, docks["watchlist"])
        below = put(AREAS.BottomDockWidgetArea, docks["venues"], left)
        if low:
            ticket = put(AREAS.RightDockWidgetArea, docks["ticket"])
            wide = [168, 850, 272] if narrow else [236, 1380, 290]
            self._sizes = [(tape, [366, 300, 190] if narrow else [720, 350, 240]), (ticket, wide)]
        else:
            self._sizes = [(tape, [300, 300, 190, 272] if narrow else [820, 340, 216, 290])]
            self._outermost = [252, 1664]
        for panel_id in ("fills", "positions", "balances", "accounts", "health", "journal", "log"):
            put(AREAS.CenterDockWidgetArea, docks[panel_id], bottom)
        self._sizes += [(bottom, [500, 200] if low else [780, 230]), (below, [420, 240] if low else [520, 480])]

    def _apply_sizes(self) -> None:
        """Splitters take sizes only once they have been laid out."""
        if self._outermost:  # left and right of it are splitters, and no area names them
            self._manager.rootSplitter().setSizes(self._outermost)
        for area, sizes in self._sizes:
            self._manager.setSplitterSizes(area, sizes)
        self._sizes, self._outermost = [], []
        self.dress()
