"""The window: docks, workspaces, command strip, palette, status bar. It wires panels to the app and keeps no state of its own."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import PySide6QtAds as ads
from PySide6.QtCore import QByteArray, QEvent, Qt, QTimer, QUrl, Signal
from PySide6.QtGui import QCloseEvent, QCursor, QDesktopServices, QGuiApplication, QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import (
    QApplication,
    QButtonGroup,
    QFrame,
    QHBoxLayout,
    QLabel,
    QMainWindow,
    QMenu,
    QMessageBox,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from app.accounts import AccountState
from app.desk import Notice
from connectors.contract import Environment
from connectors.model import InstrumentStatus, Market
from connectors.runtime.socket import LinkState
from ui.clock import FrameClock
from ui.palette import Palette
from ui.panel import Panel
from ui.panels.accounts import AccountsPanel
from ui.panels.blotter import Balances, Fills, Orders, Positions
from ui.panels.connectors import ConnectorBrowser
from ui.panels.depth import DepthChart
from ui.panels.journal import JournalPanel
from ui.panels.kill import KillReport
from ui.panels.ladder import CURRENCIES, Ladder
from ui.panels.status import Health, LogPanel
from ui.panels.tape import Tape
from ui.panels.ticket import Ticket
from ui.panels.venues import Venues
from ui.panels.watchlist import Watchlist
from ui.theme import Theme
from ui.widgets.figures import figure

if TYPE_CHECKING:
    from app.accounts import Account
    from app.markets import Feed
    from app.terminal import Terminal

GRAVITY = ("info", "warn", "danger")
WORKSPACES = ("Trade", "Depth", "Connectors")
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
KEYS = (
    ("Ctrl+K", "Find instruments, panels and commands"),
    ("Ctrl+Shift+Esc", "Kill: cancel everything everywhere and disarm"),
    ("Ctrl+Shift+A", "Arm or disarm"),
    ("Esc Esc", "Cancel all orders of the instrument shown"),
    ("F1", "These keys"),
    ("Space", "Ladder: centre"),
    ("1 to 5", "Ladder: size"),
    ("Up, Down, B, S", "Ladder: move the cursor, buy or sell there"),
    ("+, −", "Ladder: coarser or finer groups"),
    ("Up, Down, Shift", "Ticket: step price or amount, ten times with Shift"),
    ("Enter", "Ticket: send, when armed"),
)


class Window(QMainWindow):
    """The whole screen. `closing` when the trader closes it."""

    closing = Signal()

    def __init__(self, terminal: Terminal) -> None:
        super().__init__()
        self.terminal = terminal
        preferences = terminal.settings.preferences
        self.theme = Theme(preferences.theme, colour_blind=preferences.colour_blind)
        self.feed: Feed | None = None
        self.clock = FrameClock(self)
        self.setWindowTitle("Fathom")
        room = QGuiApplication.primaryScreen().availableSize()
        self.resize(min(1920, int(room.width() * 0.96)), min(1080, int(room.height() * 0.94)))
        application = QApplication.instance()
        if isinstance(application, QApplication):
            self.theme.apply(application)
            self.theme.changed.connect(lambda: self.theme.apply(application))
        self.panels = self._make_panels()
        self._docks: dict[str, ads.CDockWidget] = {}
        self._workspace = ""
        self._sizes: list[tuple[ads.CDockAreaWidget, list[int]]] = []
        self._last_escape = 0.0
        self._dress = QTimer(self)
        self._dress.setSingleShot(True)
        self._dress.setInterval(0)
        self._dress.timeout.connect(self._dress_strips)
        self._build()
        self._wire()
        for panel in self.panels.values():
            self.clock.register(panel)
        self.clock.start()
        self._slow = QTimer(self)
        self._slow.setInterval(500)
        self._slow.timeout.connect(self._refresh_bars)
        self._slow.start()

    # building

    def _make_panels(self) -> dict[str, Panel]:
        terminal, theme = self.terminal, self.theme
        self.watchlist = Watchlist(theme, terminal)
        self.venues = Venues(theme, terminal)
        self.health = Health(theme, terminal)
        self.ladder = Ladder(theme, terminal.desk, terminal.settings.preferences.sizes)
        self.depth_chart = DepthChart(theme, terminal.desk)
        self.tape = Tape(theme)
        self.ticket = Ticket(theme, terminal.desk)
        self.orders = Orders(theme, terminal)
        self.journal = JournalPanel(theme, terminal)
        self.accounts = AccountsPanel(theme, terminal)
        self.browser = ConnectorBrowser(theme, terminal)
        panels: list[Panel] = [
            self.watchlist,
            self.venues,
            self.ladder,
            self.depth_chart,
            self.tape,
            self.ticket,
            self.orders,
            Fills(theme, terminal),
            Positions(theme, terminal),
            Balances(theme, terminal),
            self.accounts,
            self.health,
            self.journal,
            LogPanel(theme, terminal),
            self.browser,
        ]
        return {panel.panel_id: panel for panel in panels}

    def _build(self) -> None:
        flags = ads.CDockManager.eConfigFlag
        ads.CDockManager.setConfigFlag(flags.DockAreaHasCloseButton, False)
        ads.CDockManager.setConfigFlag(flags.DockAreaHasUndockButton, False)
        ads.CDockManager.setConfigFlag(flags.DockAreaHasTabsMenuButton, False)
        ads.CDockManager.setConfigFlag(flags.ActiveTabHasCloseButton, False)
        ads.CDockManager.setConfigFlag(flags.OpaqueSplitterResize, True)
        centre = QWidget()
        column = QVBoxLayout(centre)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self._command_strip())
        column.addWidget(self._welcome_strip())
        # Notices float: a strip that came and went in the layout would move the rows of the ladder under the pointer.
        self._notices = QLabel(centre)
        self._notices.setContentsMargins(12, 6, 12, 6)
        self._notices.setWordWrap(True)
        self._notices.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._notices.setVisible(False)
        self.kill_report = KillReport(self.theme, self.terminal.desk, centre)
        holder = QMainWindow()
        holder.setWindowFlags(Qt.WindowType.Widget)
        column.addWidget(holder, 1)
        column.addWidget(self._status_bar())
        self.setCentralWidget(centre)
        self.docks = ads.CDockManager(holder)
        self.docks.setStyleSheet("")
        self._make_docks()

    def _make_docks(self) -> None:
        for panel_id, panel in self.panels.items():
            dock = ads.CDockWidget(self.docks, panel.title)
            dock.setObjectName(panel_id)
            dock.setWidget(panel, ads.CDockWidget.eInsertMode.ForceNoScrollArea)
            dock.setMinimumSizeHintMode(ads.CDockWidget.eMinimumSizeHintMode.MinimumSizeHintFromContentMinimumSize)
            dock.visibilityChanged.connect(lambda _: self._dress.start())
            dock.setFeature(ads.CDockWidget.DockWidgetFeature.DockWidgetClosable, True)
            self._docks[panel_id] = dock

    def _arrange(self, name: str) -> None:
        """The layout that a workspace has at first."""
        areas = ads.DockWidgetArea
        put, docks = self.docks.addDockWidget, self._docks
        shown = LAYOUTS[name]
        # Everything goes into one area first: every dock stays known to the manager, and no empty splitter is left over.
        first = docks[shown[0]]
        if first.dockAreaWidget() is None:
            put(areas.CenterDockWidgetArea, first)
        centre = first.dockAreaWidget()
        for dock in docks.values():
            dock.toggleView(True)
            if dock is not first:
                put(areas.CenterDockWidgetArea, dock, centre)
        narrow, low = self.width() < 1500, self.height() < 960
        if name == "Depth":
            ladder = put(areas.RightDockWidgetArea, docks["ladder"], centre)
            tape = put(areas.RightDockWidgetArea, docks["tape"], ladder)
            put(areas.LeftDockWidgetArea, docks["watchlist"], centre)
            self._sizes = [(tape, [200, 600, 290, 190] if narrow else [236, 1110, 340, 230])]
        elif name == "Trade":
            ladder = put(areas.RightDockWidgetArea, docks["ladder"], centre)
            tape = put(areas.RightDockWidgetArea, docks["tape"], ladder)
            if not low:  # the ticket ends above the tables where it has room enough there
                put(areas.RightDockWidgetArea, docks["ticket"], tape)
            bottom = put(areas.BottomDockWidgetArea, docks["orders"])
            left = put(areas.LeftDockWidgetArea, docks["watchlist"])
            below = put(areas.BottomDockWidgetArea, docks["venues"], left)
            if low:
                ticket = put(areas.RightDockWidgetArea, docks["ticket"])
                wide = [168, 850, 272] if narrow else [236, 1380, 290]
                self._sizes = [(tape, [366, 300, 190] if narrow else [720, 350, 240]), (ticket, wide)]
            else:
                self._sizes = [(tape, [300, 300, 190, 272] if narrow else [820, 340, 216, 290]), (left, [300, 1616])]
            for panel_id in ("fills", "positions", "balances", "accounts", "health", "journal", "log"):
                put(areas.CenterDockWidgetArea, docks[panel_id], bottom)
            self._sizes += [(bottom, [500, 200] if low else [780, 230]), (below, [420, 240] if low else [520, 480])]
        for panel_id, dock in docks.items():
            if panel_id not in shown:
                dock.toggleView(False)
        if name == "Trade":
            docks["orders"].setAsCurrentTab()
        QTimer.singleShot(0, self._apply_sizes)

    def _apply_sizes(self) -> None:
        """Splitters take sizes only once they have been laid out."""
        for area, sizes in self._sizes:
            self.docks.setSplitterSizes(area, sizes)
        self._sizes = []
        self._dress_strips()

    def _dress_strips(self) -> None:
        """The strip of a trading panel has the environment's colour; a tab that stands alone is only a title."""
        for index in range(self.docks.dockAreaCount()):
            area = self.docks.dockArea(index)
            docks = area.openedDockWidgets()
            panel = self.panels.get(area.currentDockWidget().objectName()) if area.currentDockWidget() else None
            marks = [(area.titleBar(), "trading", panel is not None and panel.trading)]
            marks += [(dock.tabWidget(), "alone", len(docks) == 1) for dock in docks]
            for widget, name, value in marks:
                if widget.property(name) is not value:
                    widget.setProperty(name, value)
                    for part in (widget, *widget.findChildren(QLabel)):
                        part.style().unpolish(part)
                        part.style().polish(part)

    def _button(self, text: str, name: str, action: Callable[[], object], **properties: object) -> QPushButton:
        button = QPushButton(text)
        button.setAccessibleName(name)
        for key, value in properties.items():
            button.setProperty(key, value)
        button.clicked.connect(lambda _=False: action())
        return button

    def _command_strip(self) -> QFrame:
        strip = QFrame()
        strip.setProperty("role", "strip")
        strip.setFixedHeight(44)
        row = QHBoxLayout(strip)
        row.setContentsMargins(12, 0, 12, 0)
        row.setSpacing(8)
        mark = QLabel("≋  Fathom")
        mark.setProperty("role", "large")
        row.addWidget(mark)
        self._tabs = QButtonGroup(self)
        for index, name in enumerate(WORKSPACES):
            tab = self._button(name, f"Workspace {name}", lambda name=name: self.show_workspace(name), quiet=True)
            tab.setCheckable(True)
            self._tabs.addButton(tab, index)
            row.addWidget(tab)
        row.addStretch(1)
        search = self._button("Search instruments, panels, commands      Ctrl K", "Search", self.open_palette)
        search.setMinimumWidth(330)
        row.addWidget(search)
        row.addStretch(1)
        self._equity = QLabel()
        self._equity.setProperty("role", "secondary")
        row.addWidget(self._equity)
        self._badge = self._button("PRACTICE", "Environment", self._environment_menu, accent=True)
        row.addWidget(self._badge)
        self._arm = self._button("Disarmed", "Arm or disarm", self.toggle_armed)
        self._arm.setCheckable(True)
        self._arm.setMinimumWidth(110)
        row.addWidget(self._arm)
        kill = self._button("Kill  Ctrl Shift Esc", "Cancel everything everywhere and disarm", self.kill, danger=True)
        row.addWidget(kill)
        more = self._button("⋯", "Menu", self._menu, quiet=True)
        row.addWidget(more)
        return strip

    def _welcome_strip(self) -> QFrame:
        self._welcome = QFrame()
        self._welcome.setProperty("role", "welcome")
        self._welcome.setFixedHeight(32)
        row = QHBoxLayout(self._welcome)
        row.setContentsMargins(12, 0, 8, 0)
        text = QLabel(
            "This is the practice exchange: it runs on this machine, with a made-up crowd and made-up money. Nothing you do here leaves it."
        )
        row.addWidget(text)
        row.addWidget(self._button("Go live…", "How to go live", lambda: self.show_workspace("Connectors"), quiet=True))
        row.addStretch(1)
        row.addWidget(self._button("Hide", "Hide this strip", self._hide_welcome, quiet=True))
        self._welcome.setVisible(self.terminal.settings.preferences.welcome and not self.terminal.is_replay)
        return self._welcome

    def _status_bar(self) -> QFrame:
        bar = QFrame()
        bar.setProperty("role", "strip")
        bar.setFixedHeight(24)
        row = QHBoxLayout(bar)
        row.setContentsMargins(10, 0, 10, 0)
        row.setSpacing(16)
        self._lines = {name: QLabel() for name in ("accounts", "books", "doubt", "budget", "journal", "fps", "utc")}
        self._lines["doubt"].setProperty("role", "warn")
        self._lines["accounts"].setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        row.addWidget(
            self._lines["accounts"], 1
        )  # many accounts are cut off, and never push the window beyond the screen
        row.addWidget(self._lines["books"])
        row.addWidget(self._lines["doubt"])
        for name in ("budget", "journal", "fps", "utc"):
            self._lines[name].setProperty("role", "caption")
            row.addWidget(self._lines[name])
        return bar

    # wiring

    def _wire(self) -> None:
        terminal = self.terminal
        self.watchlist.chosen.connect(self.show_instrument)
        self.venues.chosen.connect(self.show_connector)
        self.ladder.proof_asked.connect(self.show_proof)
        self.browser.opened.connect(self._account_toggled)
        self.browser.trade_asked.connect(self.trade_on)
        self.watchlist.changed_list.connect(self._keep_watchlist)
        self.ladder.price_chosen.connect(self.ticket.set_price)
        self.depth_chart.price_chosen.connect(self.ticket.set_price)
        self.browser.link_asked.connect(self.open_link)
        self.accounts.used.connect(self.use_account)
        self.orders.journal_asked.connect(self.show_life)
        terminal.accounts.changed.connect(self._account_changed)
        terminal.desk.message.connect(self._notice)
        terminal.desk.armed_changed.connect(lambda _: self._refresh_bars())
        for keys, action in (
            ("Ctrl+K", self.open_palette),
            ("Ctrl+Shift+Esc", self.kill),
            ("Ctrl+Shift+A", self.toggle_armed),
            ("F1", self._show_keys),
            ("Esc", self._escape),
        ):
            QShortcut(QKeySequence(keys), self).activated.connect(action)

    def _account_changed(self, account_id: str) -> None:
        """Take up what is watched of an account that became ready to be looked at."""
        account = self.terminal.accounts.accounts.get(account_id)
        if account is None or not account.instruments:
            self._say_waiting()
            return
        kept = [name.partition("@") for name in self.terminal.settings.preferences.watchlist]
        wanted = [key for key, _, environment in kept if environment in ("", account.environment)]
        names = [key for key in wanted if key in account.instruments]
        if not names and not any(row.feed.account is account for row in self.watchlist.rows):
            names = first_instruments(account, most=5 if self.watchlist.rows else 12)
        for key in names:
            self.watchlist.add(key, account.environment)
        if self.feed is None and self.watchlist.rows:
            row = self.watchlist.rows[0].feed
            self.show_instrument(row.instrument.key, row.environment)

    def _say_waiting(self) -> None:
        """Panels without a feed say what they wait for, or what went wrong."""
        words = ""
        for account in self.terminal.accounts.accounts.values():
            if account.state is AccountState.CONNECTING:
                practice = account.environment is Environment.PRACTICE
                words = (
                    f"{account.venue.name}'s practice exchange is being filled …"
                    if practice
                    else f"Connecting to {account.name} …"
                )
            elif account.state is AccountState.FAILED:
                words = account.words
        for panel in self.panels.values():
            if panel.waiting != words:
                panel.waiting = words
                panel.update()

    def show_instrument(self, key: str, environment: str = "") -> None:
        """Let every panel that follows an instrument show this one; in the environment of the account in use if not told."""
        account = self.terminal.accounts.focus
        first = Environment(environment) if environment else account.environment if account else Environment.PRACTICE
        feed = None
        for place in [first] if environment else [first, *(other for other in Environment if other is not first)]:
            feed = feed or self.terminal.markets.open(key, place)
        if feed is None:
            self._say("warn", f"{key} is at no venue that is connected.")
            return
        old, self.feed = self.feed, feed
        self.terminal.accounts.set_focus(feed.account.id)
        self.theme.set_environment(feed.environment)
        for panel in self.panels.values():
            if panel.follows or panel is self.orders:
                panel.set_feed(feed)
        for panel_id, panel in self.panels.items():
            if panel.follows:
                self._docks[panel_id].setWindowTitle(f"{panel.title}   {feed.instrument.symbol}")
        self.watchlist.current = (feed.instrument.key, feed.environment)
        if old is not None:
            self.terminal.markets.close(old)
        self._refresh_bars()

    def _keep_watchlist(self) -> None:
        """What is watched at accounts that are not running now is kept too."""
        now = self.watchlist.keys
        running = {
            f"{account.venue.slug}:{account.environment}"
            for account in self.terminal.accounts.accounts.values()
            if account.instruments
        }
        elsewhere = [
            name
            for name in self.terminal.settings.preferences.watchlist
            if "@" in name and f"{name.split(':')[0]}:{name.rpartition('@')[2]}" not in running and name not in now
        ]
        self.terminal.settings.preferences.watchlist = now + elsewhere

    # actions

    def show_workspace(self, name: str) -> None:
        """Another arrangement; the present one is kept."""
        preferences = self.terminal.settings.preferences
        current = self._workspace
        if current:
            preferences.layouts[current] = base64.b64encode(bytes(self.docks.saveState().data())).decode()
        self._workspace = name
        kept = preferences.layouts.get(name, "")
        if not kept or not self._restore(name, kept):
            self._arrange(name)
        self._tabs.button(WORKSPACES.index(name)).setChecked(True)
        preferences.workspace = name
        self._dress_strips()

    def _restore(self, name: str, kept: str) -> bool:
        """Take a saved layout. A broken one is put aside, told, and not used."""
        if any(dock.dockAreaWidget() is None for dock in self._docks.values()):
            self._arrange(name)  # the manager restores only what it has seen before
        try:
            state = base64.b64decode(kept, validate=True)
            good = self.docks.restoreState(QByteArray(state))
        except ValueError:
            good = False
        if good:
            self._sizes = []
        if good and any(not dock.isClosed() and dock.dockAreaWidget() is not None for dock in self._docks.values()):
            return True
        try:
            where = self.terminal.settings.keep_aside(f"layout-{name}", kept)
            self._say(
                "warn", f"The saved layout of {name} was broken: the first one is used, the old one is kept in {where}."
            )
        except OSError as error:
            self._say(
                "warn", f"The saved layout of {name} was broken and could not be kept ({error}); the first one is used."
            )
        return False

    def reset_layout(self) -> None:
        """The first arrangement of this workspace again."""
        self._arrange(self._workspace)

    def toggle_armed(self) -> None:
        """Let clicks send, or not."""
        desk = self.terminal.desk
        environment = self.feed.environment if self.feed is not None else Environment.PRACTICE
        if desk.armed(environment):
            desk.disarm()
        else:
            desk.arm(environment, self.terminal.settings.preferences.arm_minutes)

    def kill(self) -> None:
        """Cancel everything everywhere and disarm; venue by venue it is told when it is confirmed."""

        async def work() -> None:
            await self.terminal.desk.kill()

        self.terminal.desk.run(work(), "kill")

    def _escape(self) -> None:
        """Twice within a second: cancel all orders of the instrument shown."""
        now = time.monotonic()
        if now - self._last_escape < 1.0 and self.feed is not None:
            count = self.terminal.desk.cancel_all(self.feed.account.id, self.feed.instrument.key)
            self._say("info", f"Cancelling {count} orders of {self.feed.instrument.symbol}.")
        self._last_escape = now

    def open_palette(self) -> None:
        """Find anything."""
        Palette(self).open()

    def show_life(self, order_id: str) -> None:
        """The journal, with this order's life."""
        self.open_panel("journal")
        self.journal.choose(order_id)

    def show_proof(self) -> None:
        """The health panel, with the book that is shown chosen."""
        self.open_panel("health")
        if self.feed is not None:
            self.health.choose_book(self.feed)

    def open_panel(self, panel_id: str) -> None:
        """Bring a panel to the front, wherever it is."""
        dock = self._docks[panel_id]
        if dock.isClosed() or dock.dockAreaWidget() is None:
            dock.toggleView(True)
            self.docks.addDockWidget(ads.DockWidgetArea.BottomDockWidgetArea, dock)
        dock.setAsCurrentTab()
        dock.raise_()

    def open_link(self, url: str) -> None:
        """Only after showing where it leads."""
        box = QMessageBox(self)
        box.setWindowTitle("Open a link")
        box.setText("This opens in your browser:")
        box.setInformativeText(url)
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setStandardButtons(QMessageBox.StandardButton.Open | QMessageBox.StandardButton.Cancel)
        box.setDefaultButton(QMessageBox.StandardButton.Cancel)
        box.accepted.connect(lambda: QDesktopServices.openUrl(QUrl(url)))
        box.open()

    def choose_theme(self, name: str, *, colour_blind: bool) -> None:
        """Dark, light, and the colour-blind-safe pair."""
        self.theme.choose(name, colour_blind=colour_blind)
        self.terminal.settings.preferences.theme = name
        self.terminal.settings.preferences.colour_blind = colour_blind
        self._save()

    def _hide_welcome(self) -> None:
        self._welcome.hide()
        self.terminal.settings.preferences.welcome = False
        self._save()

    def _save(self) -> None:
        try:
            self.terminal.settings.save()
        except OSError as error:
            self._say("warn", f"The settings could not be saved: {error}")

    def save_layout(self) -> None:
        """Keep arrangement and watchlist for the next start."""
        if not self._workspace:
            return
        self.terminal.settings.preferences.layouts[self._workspace] = base64.b64encode(
            bytes(self.docks.saveState().data())
        ).decode()
        if not self.terminal.is_replay:
            self._keep_accounts()
            self._save()

    def _keep_accounts(self) -> None:
        self.terminal.settings.preferences.accounts = [
            name
            for name, account in self.terminal.accounts.accounts.items()
            if account.state is not AccountState.OFF  # one that fails now was wanted, and may hold orders
        ]

    def _menu(self) -> None:
        menu = QMenu(self)
        panels = menu.addMenu("Panels")
        for panel_id, panel in self.panels.items():
            panels.addAction(panel.title, lambda panel_id=panel_id: self.open_panel(panel_id))
        looks = menu.addMenu("Theme")
        for name in ("dark", "light"):
            for safe in (False, True):
                words = name.capitalize() + (", colour-blind safe" if safe else "")
                looks.addAction(words, lambda name=name, safe=safe: self.choose_theme(name, colour_blind=safe))
        menu.addAction("First layout of this workspace", self.reset_layout)
        recording = menu.addAction("Record raw traffic (from the next start)")
        recording.setCheckable(True)
        recording.setChecked(self.terminal.settings.preferences.recording)
        recording.toggled.connect(lambda on: self.terminal.settings.set("recording", on))
        menu.addAction("Keys", self._show_keys)
        menu.addSeparator()
        menu.addAction("Quit", self.close)
        menu.popup(QCursor.pos())

    def _environment_menu(self) -> None:
        menu = QMenu(self)
        for account in self.terminal.accounts.accounts.values():
            action = menu.addAction(f"{account.name}: {account.state}")
            action.setEnabled(bool(account.instruments))
            action.setCheckable(True)
            action.setChecked(self.feed is not None and self.feed.account is account)
            action.triggered.connect(lambda _=False, name=account.id: self.use_account(name))
        menu.addSeparator()
        menu.addAction("More in the connector browser…", lambda: self.show_workspace("Connectors"))
        menu.popup(self._badge.mapToGlobal(self._badge.rect().bottomLeft()))

    def use_account(self, account_id: str) -> None:
        """Trade with another account: the same instrument there if it has it, else the first one it is known for."""
        account = self.terminal.accounts.accounts[account_id]
        if not account.instruments:
            self._say("warn", f"{account.name} is not connected. {account.words}".strip())
            return
        watched = [row.feed.instrument.key for row in self.watchlist.rows if row.feed.account is account]
        key = self.feed.instrument.key if self.feed is not None else ""
        if key not in account.instruments:
            key = next(iter(watched or first_instruments(account)))
        self.watchlist.add(key, account.environment)
        self.show_instrument(key, account.environment)

    def trade_on(self, account_id: str) -> None:
        """The workspace for trading, with this account."""
        self.use_account(account_id)
        self.show_workspace("Trade")

    def show_connector(self, slug: str) -> None:
        """The browser, with this exchange chosen."""
        self.show_workspace("Connectors")
        self.browser.choose(slug)

    def _account_toggled(self, account_id: str) -> None:
        """An account was started or stopped by hand: it is remembered for the next start."""
        self._keep_accounts()
        self._save()
        account = self.terminal.accounts.accounts.get(account_id)
        if account is None:
            return
        if account.state is AccountState.FAILED:
            self._say("warn", account.words)
        elif account.instruments:
            self.use_account(account_id)

    def _show_keys(self) -> None:
        box = QMessageBox(self)
        box.setWindowTitle("Keys")
        rows = "".join(f"<tr><td><b>{keys}</b>&nbsp;&nbsp;</td><td>{text}</td></tr>" for keys, text in KEYS)
        box.setTextFormat(Qt.TextFormat.RichText)
        box.setText(f"<table>{rows}</table>")
        box.open()

    # telling

    def _notice(self, notice: Notice) -> None:
        self._say(notice.level, notice.text)

    def _say(self, level: str, text: str) -> None:
        """A line above the status bar; it goes after a while. News does not cover what is graver and not yet read."""
        now, rank = time.monotonic(), GRAVITY.index(level)
        if (
            self._notices.isVisible()
            and rank < self._said_rank
            and now - self._said_at < (self._said_for if rank == 0 else 8.0)
        ):
            return
        theme = self.theme
        tone = {"warn": "warn", "danger": "danger"}.get(level)
        ground = theme.hex(f"{tone}.tint") if tone else theme.hex("surface.control")
        ink = theme.hex(tone) if tone else theme.hex("text.secondary")
        self._notices.setStyleSheet(f"background: {ground}; color: {ink}; border: 1px solid {ink}; border-radius: 6px;")
        self._notices.setText(text)
        width = min(760, self.width() - 40)
        height = self._notices.heightForWidth(width)
        self._notices.setGeometry((self.width() - width) // 2, self.height() - 24 - 12 - height, width, height)
        self._notices.setVisible(True)
        self._notices.raise_()
        self._said_at, self._said_rank = now, rank
        self._said_for = {"info": 4.0, "warn": 12.0}.get(level, 30.0)

    def _refresh_bars(self) -> None:
        terminal, desk = self.terminal, self.terminal.desk
        self._dress_strips()
        if self._notices.isVisible() and time.monotonic() - self._said_at > self._said_for:
            self._notices.setVisible(False)
        environment = self.feed.environment if self.feed is not None else Environment.PRACTICE
        welcome = terminal.settings.preferences.welcome and not terminal.is_replay
        self._welcome.setVisible(welcome and environment is Environment.PRACTICE)  # it speaks of practice
        armed = desk.armed(environment)
        left = int(desk.armed_left(environment))
        self._arm.setText(f"Armed  {left // 60}:{left % 60:02}" if armed else "Disarmed")
        self._arm.setChecked(armed)
        if bool(self._arm.property("armed")) != armed:
            self._arm.setProperty("armed", armed)
            self._arm.style().unpolish(self._arm)
            self._arm.style().polish(self._arm)
        focus = self.feed.account if self.feed is not None else None
        place = f"   {focus.venue.name}" if focus is not None else ""
        self._badge.setText(("REPLAY" if terminal.is_replay else environment.upper()) + place + "  ▾")
        rows = [row for account in terminal.accounts.accounts.values() for row in account.health()]
        parts = []
        for account in terminal.accounts.accounts.values():
            health = account.health()
            if account.state is AccountState.OFF:
                continue
            open_ = all(row.state is LinkState.OPEN for row in health) and health
            glyph = "●" if open_ and account.state in (AccountState.READY, AccountState.DEGRADED) else "◐"
            colour = theme_colour(self.theme, good=glyph == "●")
            rate = sum(row.rate for row in health)
            delays = [row.delay_ms for row in health if row.delay_ms is not None]
            delay = f"{max(0.0, *delays):.0f} ms  " if delays and not terminal.is_replay else ""
            parts.append(
                f"<span style='color:{colour}'>{glyph}</span> <b>{account.venue.name}</b> {account.environment} {delay}{rate:.0f} msg/s"
            )
        self._lines["accounts"].setText("&nbsp;&nbsp; ".join(parts))
        gaps, resyncs = sum(row.gaps for row in rows), sum(row.resyncs for row in rows)
        self._lines["books"].setText(f"<b>Books</b> {gaps} gaps, {resyncs} resyncs")
        doubtful = len(self.orders.doubtful())
        self._lines["doubt"].setText(f"◆ {doubtful} order{'s' if doubtful != 1 else ''} in doubt" if doubtful else "")
        budgets = [row.budget for row in rows if row.budget is not None]
        fullest = max(budgets, key=lambda part: part[0] / part[1], default=None)
        self._lines["budget"].setText(f"Rate budget {fullest[0]:.0f} / {fullest[1]:.0f}" if fullest else "")
        waiting = f", {desk.journal.unwritten} lines wait" if desk.journal.unwritten else ""
        self._lines["journal"].setText(
            "Journal written" if desk.journal.writable else f"◆ Journal not writable{waiting}"
        )
        self._lines["journal"].setStyleSheet("" if desk.journal.writable else f"color: {self.theme.hex('danger')}")
        self._lines["fps"].setText(f"{self.clock.fps:.0f} fps")
        self._lines["utc"].setText(time.strftime("%d %b %Y  %H:%M:%S UTC", time.gmtime()))
        self._equity.setText(self._equity_text())

    def _equity_text(self) -> str:
        """What the account in use is worth in the quote of what is shown, as far as prices are known."""
        account = self.feed.account if self.feed is not None else None
        if account is None or not account.balances:
            return ""
        quote = self.feed.instrument.quote if self.feed is not None else ""
        prices: dict[str, float] = {}
        for row in self.watchlist.rows:
            mid = row.feed.book.mid
            if mid and row.feed.instrument.quote in CURRENCIES:
                prices.setdefault(row.feed.instrument.base, mid)
        unit = quote if quote in CURRENCIES else "USD"
        prices |= dict.fromkeys(("USD", "USDT", "USDC"), 1.0)
        total = 0.0
        for (_, asset), balance in account.balances.items():
            total += float(balance.total or 0) * prices.get(asset, 0.0)
        for key, position in account.positions.items():
            instrument = account.instruments.get(key)
            settle = instrument.settle if instrument is not None else ""
            total += float(position.unrealised or 0) * prices.get(settle, 0.0)
        return f"Equity  {figure(total, 2)} {unit}"

    def showEvent(self, event: QShowEvent) -> None:
        """The first time: arrange the workspace, now that there is a size to arrange it in."""
        super().showEvent(event)
        if not self._workspace:
            wanted = self.terminal.settings.preferences.workspace
            self.show_workspace(wanted if wanted in WORKSPACES else "Trade")

    def closeEvent(self, event: QCloseEvent) -> None:
        """Tell the loop; it stops everything in order."""
        self.clock.stop()
        self.closing.emit()
        event.accept()

    def changeEvent(self, event: QEvent) -> None:
        """Nothing is drawn while minimised."""
        if event.type() == QEvent.Type.WindowStateChange:
            if self.isMinimized():
                self.clock.stop()
            else:
                self.clock.start()
        super().changeEvent(event)


def first_instruments(account: Account, most: int = 12) -> list[str]:
    """What to show of an account at first: what its venue names, one of each market, then whatever it lists."""
    rows = [row for row in account.instruments.values() if row.status is InstrumentStatus.TRADING]
    rows.sort(key=lambda row: row.market is not Market.SPOT)  # stable: the venue's own order, spot before contracts
    spot_first = ([row for row in rows if (row.market is Market.SPOT) is spot] for spot in (True, False))
    named = [row for part in spot_first for name in account.venue.demo_symbols for row in part if row.symbol == name]
    chosen = {row.key: None for row in [*named, *rows]}
    return list(chosen)[:most]


def theme_colour(theme: Theme, *, good: bool) -> str:
    """Green for fine, amber for not."""
    return theme.hex("buy" if good else "warn")
