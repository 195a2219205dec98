"""The window: it puts strip, workspaces and status bar together, wires panels to the app, and keeps no state of its own."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, Qt, QTimer, QUrl, Signal
from PySide6.QtGui import QCloseEvent, QCursor, QDesktopServices, QGuiApplication, QKeySequence, QShortcut
from PySide6.QtWidgets import QApplication, QDialog, QMainWindow, QMenu, QMessageBox, QVBoxLayout, QWidget

from app.accounts import AccountState
from app.desk import Notice
from connectors.contract import Environment
from connectors.model import InstrumentStatus, Market
from ui.clock import FrameClock
from ui.command_strip import CommandStrip
from ui.equity import equity_text
from ui.notices import Notices
from ui.palette import MOST, Offer, Palette, matching
from ui.panel import Panel
from ui.panels.accounts import AccountsPanel
from ui.panels.blotter import Balances, Fills, Orders, Positions
from ui.panels.connectors import ConnectorBrowser
from ui.panels.depth import DepthChart
from ui.panels.journal import JournalPanel
from ui.panels.kill import KillReport
from ui.panels.ladder import Ladder
from ui.panels.status import Health, LogPanel
from ui.panels.tape import Tape
from ui.panels.ticket import Ticket
from ui.panels.venues import Venues
from ui.panels.watchlist import Watchlist
from ui.status_bar import StatusBar
from ui.theme import THEMES, Theme
from ui.welcome import Welcome
from ui.widgets.dialogs import show_beside
from ui.workspaces import WORKSPACES, Workspaces

if TYPE_CHECKING:
    from app.accounts import Account
    from app.markets import Feed
    from app.terminal import Terminal

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
    ("L, +, −, 0", "Depth chart: linear or logarithmic, zoom, reset"),
    ("Up, Down, Shift", "Ticket: step price or amount, ten times with Shift"),
    ("Enter", "Ticket: send from a price or amount, when armed"),
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
        self._last_escape = 0.0
        self._build()
        self._wire()
        for panel in self.panels.values():
            self.clock.register(panel)
        self.clock.start()
        self._slow = QTimer(self)
        self._slow.setInterval(500)
        self._slow.timeout.connect(self.refresh_bars)
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
        terminal, theme = self.terminal, self.theme
        self.strip = CommandStrip(WORKSPACES)
        self.welcome = Welcome()
        self.workspaces = Workspaces(self.panels, terminal.settings)
        self.status = StatusBar(theme, terminal)
        centre = QWidget()
        column = QVBoxLayout(centre)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.strip)
        column.addWidget(self.welcome)
        column.addWidget(self.workspaces, 1)
        column.addWidget(self.status)
        self.welcome.setVisible(terminal.settings.preferences.welcome and not terminal.is_replay)
        self.notices = Notices(theme, centre)
        self.kill_report = KillReport(theme, terminal.desk, centre)
        self.setCentralWidget(centre)

    # wiring

    def _wire(self) -> None:
        terminal = self.terminal
        self.strip.workspace_asked.connect(self.show_workspace)
        self.strip.search_asked.connect(self.open_palette)
        self.strip.environments_asked.connect(self._environment_menu)
        self.strip.arm_asked.connect(self.toggle_armed)
        self.strip.kill_asked.connect(self.kill)
        self.strip.menu_asked.connect(self._menu)
        self.welcome.go_live_asked.connect(lambda: self.show_workspace("Connectors"))
        self.welcome.hidden_for_good.connect(self._hide_welcome)
        self.workspaces.told.connect(self.notices.say)
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
        terminal.desk.armed_changed.connect(lambda _: self.refresh_bars())
        for keys, action in (
            ("Ctrl+K", self.open_palette),
            ("Ctrl+Shift+Esc", self.kill),
            ("Ctrl+Shift+A", self.toggle_armed),
            ("F1", self._show_keys),
            ("Esc", self._escape),
        ):
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.setContext(Qt.ShortcutContext.ApplicationShortcut)  # also from a panel that floats
            shortcut.activated.connect(action)

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
            self.notices.say("warn", f"{key} is at no venue that is connected.")
            return
        old, self.feed = self.feed, feed
        self.terminal.accounts.set_focus(feed.account.id)
        self.theme.set_environment(feed.environment)
        for panel in self.panels.values():
            if panel.follows or panel is self.orders:
                panel.set_feed(feed)
        self.workspaces.name_instrument(feed.instrument.symbol)
        self.watchlist.current = (feed.instrument.key, feed.environment)
        if old is not None:
            self.terminal.markets.close(old)
        self.refresh_bars()

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
        self.workspaces.show_workspace(name)
        self.strip.show_workspace(name)

    def reset_layout(self) -> None:
        """The first arrangement of this workspace again."""
        self.workspaces.reset()

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
        """Twice within a second: cancel all orders of the instrument shown. A menu or dialog that is open takes it."""
        active = QApplication.activeWindow()
        taker = QApplication.activePopupWidget() or (active if isinstance(active, QDialog) else None)
        if taker is not None:
            taker.close()
            return
        now = time.monotonic()
        if now - self._last_escape < 1.0 and self.feed is not None:
            count = self.terminal.desk.cancel_all(self.feed.account.id, self.feed.instrument.key)
            symbol = self.feed.instrument.symbol
            what = f"{count} order{'' if count == 1 else 's'} of {symbol}" if count else ""
            self.notices.say("info", f"Cancelling {what}." if what else f"No order of {symbol} works.")
        self._last_escape = now

    def open_palette(self) -> None:
        """Find anything."""
        Palette(self, self.theme.font("field"), self.search).open()

    def search(self, text: str) -> list[Offer]:
        """Instruments, then commands. Connectors only by name: they are many."""
        instruments: list[Offer] = [
            (
                f"{row.symbol}   {account.name}, {row.market}",
                lambda key=row.key, where=account.environment: self._watch(key, where),
            )
            for account, row in self.terminal.markets.search(text)[:MOST]
        ]
        connectors = self._connector_commands() if text.strip() else []
        commands = matching([*self._commands(), *connectors, *self._panel_commands()], text)
        return instruments + commands[: max(4, MOST - len(instruments))]

    def _commands(self) -> list[Offer]:
        found: list[Offer] = [
            ("Arm or disarm", self.toggle_armed),
            ("Kill: cancel everything everywhere", self.kill),
            ("First layout of this workspace", self.reset_layout),
        ]
        found += [(f"Workspace {name}", lambda name=name: self.show_workspace(name)) for name in WORKSPACES]
        found += [
            (f"Use account {account.name}", lambda name=account.id: self.use_account(name))
            for account in self.terminal.accounts.accounts.values()
            if account.instruments
        ]
        return found

    def _connector_commands(self) -> list[Offer]:
        rows = self.terminal.catalogue.rows()
        return [(f"Connector {row.name}", lambda slug=row.slug: self.show_connector(slug)) for row in rows]

    def _panel_commands(self) -> list[Offer]:
        panels = self.panels.items()
        return [(f"Panel {panel.title}", lambda key=key: self.open_panel(key)) for key, panel in panels]

    def _watch(self, key: str, environment: Environment) -> None:
        self.watchlist.add(key, environment)
        self.show_instrument(key, environment)

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
        self.workspaces.open_panel(panel_id)

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
        show_beside(box)

    def choose_theme(self, name: str, *, colour_blind: bool) -> None:
        """Dark, light, and the colour-blind-safe pair."""
        self.theme.choose(name, colour_blind=colour_blind)
        self.terminal.settings.preferences.theme = name
        self.terminal.settings.preferences.colour_blind = colour_blind
        self._save()

    def _choose_recording(self, on: bool) -> None:
        self.terminal.settings.preferences.recording = on
        self._save()

    def _hide_welcome(self) -> None:
        self.welcome.hide()
        self.terminal.settings.preferences.welcome = False
        self._save()

    def _save(self) -> None:
        try:
            self.terminal.settings.save()
        except OSError as error:
            self.notices.say("warn", f"The settings could not be saved: {error}")

    def save_layout(self) -> None:
        """Keep arrangement and watchlist for the next start."""
        if not self.workspaces.current:
            return
        self.workspaces.keep()
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
        for name in THEMES:
            for safe in (False, True):
                words = name.capitalize() + (", colour-blind safe" if safe else "")
                looks.addAction(words, lambda name=name, safe=safe: self.choose_theme(name, colour_blind=safe))
        menu.addAction("First layout of this workspace", self.reset_layout)
        recording = menu.addAction("Record raw traffic (from the next start)")
        recording.setCheckable(True)
        recording.setChecked(self.terminal.settings.preferences.recording)
        recording.toggled.connect(self._choose_recording)
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
        menu.popup(self.strip.below_badge())

    def use_account(self, account_id: str) -> None:
        """Trade with another account: the same instrument there if it has it, else the first one it is known for."""
        account = self.terminal.accounts.accounts[account_id]
        if not account.instruments:
            self.notices.say("warn", f"{account.name} is not connected. {account.words}".strip())
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
            self.notices.say("warn", account.words)
        elif account.instruments:
            self.use_account(account_id)

    def _show_keys(self) -> None:
        box = QMessageBox(self)
        box.setWindowTitle("Keys")
        rows = "".join(f"<tr><td><b>{keys}</b>&nbsp;&nbsp;</td><td>{text}</td></tr>" for keys, text in KEYS)
        box.setTextFormat(Qt.TextFormat.RichText)
        box.setText(f"<table>{rows}</table>")
        show_beside(box)

    # telling

    def _notice(self, notice: Notice) -> None:
        self.notices.say(notice.level, notice.text)

    def refresh_bars(self) -> None:
        """What strip and status bar say, as it is now."""
        terminal, feed = self.terminal, self.feed
        environment = feed.environment if feed is not None else Environment.PRACTICE
        self.workspaces.dress()
        self.notices.expire()
        welcome = terminal.settings.preferences.welcome and not terminal.is_replay
        self.welcome.setVisible(welcome and environment is Environment.PRACTICE)  # it speaks of practice
        self.strip.show_armed(terminal.desk.armed(environment), terminal.desk.armed_left(environment))
        venue = feed.account.venue.name if feed is not None else ""
        self.strip.show_account("replay" if terminal.is_replay else environment, venue)
        self.strip.equity.setText(equity_text(feed, (row.feed for row in self.watchlist.rows)))
        self.status.refresh(len(self.orders.doubtful()), self.clock.fps)

    def setVisible(self, visible: bool) -> None:
        """The first time: arrange the workspace, at the size that the window has now and before anything must be laid out."""
        if visible and not self.workspaces.current:
            wanted = self.terminal.settings.preferences.workspace
            self.show_workspace(wanted if wanted in WORKSPACES else "Trade")
        super().setVisible(visible)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Tell the loop; it stops everything in order."""
        self.clock.stop()
        self.closing.emit()
        event.accept()

    def event(self, event: QEvent) -> bool:
        """All that was to be painted is painted after this one."""
        done = super().event(event)
        if event.type() == QEvent.Type.UpdateRequest:
            for panel in self.panels.values():
                panel.unpainted = False
        return done

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
