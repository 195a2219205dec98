"""Accounts: every one with its state in words; start, stop, use, and the limits that the guard holds it to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QScrollArea,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from app.accounts import AccountState
from app.guard import Limits
from app.paper import FUNDS, PaperSession
from connectors.contract import Environment
from connectors.errors import VenueError
from connectors.model import Fees, plain
from ui.panel import Panel
from ui.theme import Theme
from ui.widgets.dialogs import show_beside
from ui.widgets.fields import typed
from ui.widgets.figures import DASH
from ui.widgets.style import mark
from ui.widgets.tables import Column, RowTable

if TYPE_CHECKING:
    from app.accounts import Account
    from app.terminal import Terminal


def _account_colour(account: Account) -> str:
    return {AccountState.READY: "buy", AccountState.FAILED: "danger", AccountState.OFF: "text.tertiary"}.get(
        account.state, "warn"
    )


_ACCOUNT_SHAPES = {AccountState.READY: "disc", AccountState.OFF: "ring", AccountState.FAILED: "bar"}
ACCOUNT_COLUMNS = (
    Column("Account", lambda a: a.venue.name, "strong", 120),
    Column("Environment", lambda a: a.environment.capitalize(), "text", 100, colour=lambda a: a.environment.value),
    Column(
        "State",
        lambda a: a.state.capitalize(),
        "state",
        130,
        colour=_account_colour,
        extra=lambda a: _ACCOUNT_SHAPES.get(a.state, "half"),
    ),
    Column("Instruments", lambda a: str(len(a.instruments)), "number", 90),
    Column("Assets", lambda a: str(sum(bool(row.total) for row in a.balances.values())), "number", 70),
    Column("Positions", lambda a: str(len(a.positions)), "number", 80),
    Column(
        "Clock, ms",
        lambda a: DASH if a.session is None else f"{getattr(a.session, 'clock_offset_ms', 0.0):+.1f}",
        "number",
        86,
    ),
    Column(
        "What",
        lambda a: a.words,
        "text",
        500,
        colour=lambda a: "warn" if a.warnings else "text.secondary",
    ),
)


class AccountsPanel(Panel):
    """Every account: its state in words, a way to stop, start and use it. `used(account id)` asks to show it."""

    panel_id = "accounts"
    title = "Accounts"
    used = Signal(str)

    def __init__(self, theme: Theme, terminal: Terminal) -> None:
        super().__init__(theme)
        self.terminal = terminal
        self.table = RowTable(theme, ACCOUNT_COLUMNS, "Accounts", key=lambda account: account.id)
        self.table.doubleClicked.connect(lambda _: self._use())
        self.table.selectionModel().currentRowChanged.connect(lambda *_: self._show_limits())
        self.start, self.stop, self.use = QPushButton("Start"), QPushButton("Stop"), QPushButton("Use")
        self.start.clicked.connect(lambda _: self._run(start=True))
        self.stop.clicked.connect(lambda _: self._run(start=False))
        self.use.clicked.connect(lambda _: self._use())
        self.limits = LimitsForm(theme, terminal)
        row = QHBoxLayout()
        row.setContentsMargins(8, 3, 8, 3)
        row.addStretch(1)
        for button in (self.use, self.start, self.stop):
            row.addWidget(button)
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(row)
        column.addWidget(self.table)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setWidget(self.limits)
        split = QSplitter()
        split.addWidget(left)
        split.addWidget(scroll)
        for index in (0, 1):
            split.setStretchFactor(index, 1)  # a narrow window takes from both: the state stays on the screen
        split.setSizes([720, 740])
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(split)
        self._seen: tuple[object, ...] = ()

    def frame(self, now: float) -> None:
        """When one changed, and once a second for the clock."""
        accounts = list(self.terminal.accounts.accounts.values())
        seen = (*((account.id, account.state, account.text, account.version) for account in accounts), int(now))
        if seen != self._seen:
            self._seen = seen
            self.table.rows.set_rows(accounts)
        chosen = self.table.chosen
        if chosen is None and accounts:
            self.limits.show_account(self.terminal.accounts.focus or accounts[0])
        self.start.setEnabled(chosen is not None and chosen.state in (AccountState.OFF, AccountState.FAILED))
        self.start.setText("Try now" if chosen is not None and chosen.again_in is not None else "Start")
        self.stop.setEnabled(chosen is not None and chosen.state is not AccountState.OFF)
        self.use.setEnabled(chosen is not None and chosen.session is not None)

    def _run(self, *, start: bool) -> None:
        chosen = self.table.chosen
        if chosen is not None:
            self.terminal.accounts.spawn(chosen.start() if start else chosen.stop())

    def _use(self) -> None:
        chosen = self.table.chosen
        if chosen is not None and chosen.session is not None:
            self.used.emit(chosen.id)

    def _show_limits(self) -> None:
        chosen = self.table.chosen
        if chosen is not None:
            self.limits.show_account(chosen)


@dataclass(frozen=True, slots=True)
class _Line:
    """One limit: its field of `Limits`, words, unit, and how it is written. `whole`: a count."""

    name: str
    words: str
    unit: str
    whole: bool = False
    percent: bool = False


LINES = (
    _Line("max_notional", "Largest order", "quote"),
    _Line("max_amount", "Largest order", "units"),
    _Line("confirm_notional", "Confirm above", "quote"),
    _Line("collar", "Price collar from mid", "%", percent=True),
    _Line("max_position_notional", "Largest position", "quote"),
    _Line("max_open_orders", "Open orders", "", whole=True),
    _Line("orders_per_second", "Orders a second", "", whole=True),
    _Line("repeat_seconds", "Same order again after", "s"),
)


class LimitsForm(QWidget):
    """What the guard holds an account to. An empty field is no limit. `saved(account id)` after a change was kept."""

    saved = Signal(str)

    def __init__(self, theme: Theme, terminal: Terminal) -> None:
        super().__init__()
        self.theme = theme
        self.terminal = terminal
        self.account: Account | None = None
        self.title = QLabel("Limits")
        self.title.setProperty("role", "large")
        self.fields: dict[str, QLineEdit] = {}
        self.maker, self.taker = QLineEdit(), QLineEdit()
        self.dead_man = QLineEdit()
        self.dead_man.setPlaceholderText("never")
        self.stays = QCheckBox("Not at a normal end")
        self.save, self.defaults = QPushButton("Save"), QPushButton("Defaults")
        self.reset = QPushButton("Reset…")
        self.reset.setAccessibleName("Reset the paper account")
        self.words = QLabel("An empty field is no limit.")
        self.words.setProperty("role", "caption")
        self.words.setWordWrap(True)
        self.save.clicked.connect(lambda _: self.keep())
        self.defaults.clicked.connect(lambda _: self._write(Limits()))
        self.reset.clicked.connect(lambda _: self._ask_reset())
        self._paper = QWidget()
        grid = QGridLayout()
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(4)
        half = len(LINES) // 2
        for index, line in enumerate(LINES):
            edit = self.fields[line.name] = QLineEdit()
            _add_line(grid, index % half, index // half, line.words, edit, line.unit)
        _add_line(grid, half, 0, "Cancel when gone", self.dead_man, "s")
        grid.addWidget(self.stays, half, 3, 1, 3)
        grid.setColumnStretch(6, 1)
        fees = QGridLayout(self._paper)
        fees.setContentsMargins(0, 0, 0, 0)
        _add_line(fees, 0, 0, "Maker's fee", self.maker, "%")
        _add_line(fees, 0, 1, "Taker's fee", self.taker, "%")
        fees.addWidget(self.reset, 0, 6)
        fees.setColumnStretch(7, 1)
        head = QHBoxLayout()
        head.addWidget(self.title, 1)
        head.addWidget(self.save)
        head.addWidget(self.defaults)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 3, 12, 3)
        column.setSpacing(4)
        column.addLayout(head)
        column.addWidget(self.words)
        column.addLayout(grid)
        column.addWidget(self._paper)
        column.addStretch(1)
        self.setEnabled(False)

    def show_account(self, account: Account) -> None:
        """Edit another account's limits; what was not saved of the one before is forgotten."""
        if account is self.account:
            return
        self.account = account
        self.setEnabled(True)
        self.title.setText(f"Limits of {account.name}")
        mark(self.title, "environment", account.environment.value)
        self._write(self.terminal.settings.limits(account.id))
        self._show_dead_man(account)
        paper = account.environment is Environment.PAPER
        self._paper.setVisible(paper)
        fees = self.terminal.settings.preferences.paper_fees.get(account.id)
        for edit, rate in ((self.maker, fees.maker if fees else None), (self.taker, fees.taker if fees else None)):
            edit.setPlaceholderText("the venue's" if paper else "")
            edit.setText(plain(rate * 100) if rate is not None else "")
        self.words.setText("An empty field is no limit.")

    def keep(self) -> bool:
        """Take over what stands there. False if something is no number; the words then say what."""
        account = self.account
        if account is None:
            return False
        values: dict[str, Any] = {}
        for line in LINES:
            value = _number(self.fields[line.name].text())
            if value is not None and (not value.is_finite() or value < 0 or (line.whole and value % 1)):
                self.words.setText(f"{line.words}: {self.fields[line.name].text()} is not a number that fits here.")
                return False
            if value is not None:
                values[line.name] = int(value) if line.whole else value / 100 if line.percent else value
            else:
                values[line.name] = None
        settings = self.terminal.settings
        if not self._keep_dead_man(account):
            return False
        if account.environment is Environment.PAPER and not self._keep_fees(account):
            return False
        try:
            settings.set_limits(account.id, Limits(**values))
        except OSError as error:
            self.words.setText(f"The settings can't be written ({error.strerror}); the limits hold until Fathom ends.")
            return True
        self.words.setText("Saved. They hold from the next order on.")
        self.saved.emit(account.id)
        return True

    def _show_dead_man(self, account: Account) -> None:
        """The venue's own switch, where any of its families has one."""
        able = [family.name for family in account.venue.families if family.capabilities.dead_man]
        preferences = self.terminal.settings.preferences
        seconds = preferences.dead_man.get(account.id, 0.0)
        self.dead_man.setText(f"{seconds:g}" if seconds and able else "")
        self.dead_man.setEnabled(bool(able))
        missing = [family.name for family in account.venue.families if family.name not in able]
        why = "The venue cancels our orders by itself when it has heard nothing from us for so many seconds."
        only = f"{why} Only {', '.join(able)} has it, not {', '.join(missing)}." if able and missing else why
        self.dead_man.setToolTip(only if able else f"{account.venue.name} has no such switch.")
        self.dead_man.setPlaceholderText("never" if able else "it has no switch")
        self.stays.setToolTip("When Fathom is closed as usual the switch is turned off, so that orders stay.")
        self.stays.setChecked(preferences.dead_man_releases)
        self.stays.setEnabled(bool(able))

    def _keep_dead_man(self, account: Account) -> bool:
        seconds = _number(self.dead_man.text())
        if seconds is not None and not (seconds.is_finite() and (seconds == 0 or 5 <= seconds <= 600)):
            self.words.setText("Cancelled by the venue: give 5 to 600 seconds, or nothing for never.")
            return False
        preferences = self.terminal.settings.preferences
        preferences.dead_man[account.id] = float(seconds or 0)
        preferences.dead_man_releases = self.stays.isChecked()
        return True

    def _keep_fees(self, account: Account) -> bool:
        maker, taker = _number(self.maker.text()), _number(self.taker.text())
        fees = self.terminal.settings.preferences.paper_fees
        if maker is None and taker is None:
            fees.pop(account.id, None)
        elif (
            maker is None or taker is None or not (maker.is_finite() and taker.is_finite()) or max(maker, taker) >= 100
        ):
            self.words.setText("Give both fees in percent, or none for the venue's own.")
            return False
        else:
            fees[account.id] = Fees(maker=maker / 100, taker=taker / 100)
        account.paper_changed()
        return True

    def _write(self, limits: Limits) -> None:
        for line in LINES:
            value = getattr(limits, line.name)
            shown = value * 100 if line.percent and value is not None else value
            self.fields[line.name].setText(plain(Decimal(shown)) if shown is not None else "")

    def _ask_reset(self) -> None:
        if self.account is not None:
            dialog = ResetDialog(self, self.account, self._reset)
            show_beside(dialog)

    def _reset(self, account: Account, funds: dict[str, Decimal]) -> None:
        self.terminal.settings.preferences.paper_funds[account.id] = funds
        self.terminal.accounts.spawn(self._do_reset(account, funds))

    async def _do_reset(self, account: Account, funds: dict[str, Decimal]) -> None:
        try:
            self.terminal.settings.save()
            await account.reset_paper(funds)
        except (VenueError, OSError) as error:
            self.words.setText(f"The account was not reset: {error}")
        else:
            self.words.setText("The account begins anew.")


class ResetDialog(QDialog):
    """What a paper account begins with: a line an asset. `done(account, funds)` is called when it is confirmed."""

    def __init__(
        self, parent: LimitsForm, account: Account, done: Callable[[Account, dict[str, Decimal]], None]
    ) -> None:
        super().__init__(parent)
        self.account = account
        self._done = done
        self.setWindowTitle(f"Reset {account.name}")
        words = QLabel("Orders are cancelled, positions and fills forgotten. The account begins with:")
        words.setWordWrap(True)
        self.text = QPlainTextEdit()
        self.text.setAccessibleName("Funds, a line for each asset")
        known = parent.terminal.settings.preferences.paper_funds.get(account.id, dict(FUNDS))
        self.text.setPlainText("\n".join(f"{asset} {plain(amount)}" for asset, amount in known.items()))
        self.problem = QLabel()
        self.problem.setProperty("role", "problem")
        runs = isinstance(account.session, PaperSession)
        self.problem.setText("" if runs else "Start the account first.")
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Reset | QDialogButtonBox.StandardButton.Cancel)
        self.confirm = buttons.button(QDialogButtonBox.StandardButton.Reset)
        self.confirm.setText("Begin anew")
        self.confirm.setEnabled(runs)
        self.confirm.clicked.connect(lambda _: self._take())
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        for widget in (words, self.text, self.problem, buttons):
            column.addWidget(widget)
        self.resize(360, 320)

    def _take(self) -> None:
        funds: dict[str, Decimal] = {}
        for line in self.text.toPlainText().splitlines():
            asset, _, amount = line.strip().partition(" ")
            if not asset:
                continue
            value = _number(amount)
            if value is None or not value.is_finite() or not 0 <= value <= Decimal(10) ** 12:
                self.problem.setText(f"“{line}” is not an asset and an amount.")
                return
            funds[asset.upper()] = value
        self._done(self.account, funds)
        self.accept()


def _number(text: str) -> Decimal | None:
    """The number that was typed; None for an empty field, NaN for what is none."""
    number = typed(text)
    return number if number is not None or not text.strip() else Decimal("NaN")


def _add_line(grid: QGridLayout, row: int, block: int, words: str, edit: QLineEdit, unit: str) -> None:
    label, after = QLabel(words), QLabel(unit)
    label.setProperty("role", "secondary")
    label.setBuddy(edit)
    after.setProperty("role", "caption")
    edit.setAccessibleName(f"{words}, {unit}" if unit else words)
    edit.setFixedWidth(88)
    for column, widget in enumerate((label, edit, after)):
        grid.addWidget(widget, row, 3 * block + column)
