"""The key form of one venue: enter, replace, forget; where keys are kept; what the venue says that the key may do."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget

from app.accounts import AccountState
from app.vault import VaultProblem, refuse_closed
from connectors.contract import Environment, Venue
from ui.widgets.choice import Choice

if TYPE_CHECKING:
    from app.terminal import Terminal

_PEM = re.compile(r"(-----BEGIN [A-Z0-9 ]+-----)(.*?)(-----END [A-Z0-9 ]+-----)", re.DOTALL)
ADVICE = "None kept. Give it the rights to read and trade, never to withdraw."


def as_copied(text: str) -> str:
    """What the venue gave: a one-line field turns the line ends of a PEM key into blanks, or a JSON file into `\\n`."""
    text = text.strip()
    found = _PEM.fullmatch(text.replace("\\n", "\n").strip())
    if found is None:
        return text
    head, body, foot = found.groups()
    return "\n".join([head, *body.split(), foot, ""])


class KeyForm(QWidget):
    """`changed(what to do next)` after a key was saved, forgotten, or the key file was opened. Nothing typed stays after it."""

    changed = Signal(str)

    def __init__(self, terminal: Terminal, venue: Venue) -> None:
        super().__init__()
        self.terminal = terminal
        self.venue = venue
        self.fields: dict[str, QLineEdit] = {}
        self.passphrase = QLineEdit()
        self.unlock = QPushButton()
        self.environment = Choice()
        self.save, self.forget = QPushButton("Save"), QPushButton("Forget")
        self.status = _label("", "caption")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(_label("API key", "large"))
        try:
            refuse_closed(venue)
        except VaultProblem as problem:
            column.addWidget(_label(str(problem), "secondary"))
            return
        column.addWidget(_label(terminal.vault.text, "caption"))
        if terminal.vault.offers_file:
            column.addLayout(self._file_row())
        self._add_fields(column)
        for warning in self._warnings():
            column.addWidget(_label(f"◆ {warning}", "warn"))
        self.status.setText(self._kept())
        column.addWidget(self.status)

    @property
    def dirty(self) -> bool:
        """Whether something was typed that would be lost."""
        return any(field.text() for field in (*self.fields.values(), self.passphrase))

    def clear(self) -> None:
        """Forget what was typed."""
        for field in (*self.fields.values(), self.passphrase):
            field.clear()

    def _file_row(self) -> QHBoxLayout:
        exists = self.terminal.vault.file_exists
        self.passphrase.setEchoMode(QLineEdit.EchoMode.Password)
        self.passphrase.setAccessibleName("Passphrase of the key file")
        self.passphrase.setPlaceholderText("Passphrase" if exists else "New passphrase, 8 characters or more")
        self.unlock.setText("Unlock" if exists else "Keep in a file")
        self.unlock.setAccessibleName("Unlock the key file" if exists else "Keep keys in an encrypted file")
        self.unlock.clicked.connect(lambda _: self.terminal.accounts.spawn(self._unlock()))
        self.passphrase.returnPressed.connect(self.unlock.click)
        row = QHBoxLayout()
        row.addWidget(self.passphrase, 1)
        row.addWidget(self.unlock)
        return row

    def _add_fields(self, column: QVBoxLayout) -> None:
        for field in self.venue.secrets:
            edit = QLineEdit()
            edit.setAccessibleName(field.label)
            edit.setPlaceholderText(f"Paste: {field.label}")
            if field.secret:
                edit.setEchoMode(QLineEdit.EchoMode.Password)
            self.fields[field.name] = edit
            column.addWidget(edit)
        self.environment.setAccessibleName("Environment of the key")
        self.environment.addItems([choice.value for choice in self._choices()])
        self.save.clicked.connect(lambda _: self._save())
        self.forget.clicked.connect(lambda _: self._forget())
        row = QHBoxLayout()
        for widget in (self.environment, self.save, self.forget):
            row.addWidget(widget)
        row.addStretch(1)
        column.addLayout(row)

    def _choices(self) -> list[Environment]:
        return [Environment.LIVE] + ([Environment.TESTNET] if self.venue.has_testnet else [])

    def _warnings(self) -> list[str]:
        accounts = self.terminal.accounts.accounts
        running = (accounts.get(f"{self.venue.slug}:{choice}") for choice in self._choices())
        return [
            f"{account.environment.capitalize()}: {warning}"
            for account in running
            if account is not None
            for warning in account.warnings
        ]

    def _kept(self) -> str:
        """Which keys there are, by their last four characters."""
        try:
            tails = {choice: self.terminal.vault.tail(self.venue.slug, choice) for choice in self._choices()}
        except VaultProblem as problem:
            return str(problem)
        known = [f"{choice.value} …{tail}" for choice, tail in tails.items() if tail]
        return "Kept: " + ", ".join(known) if known else ADVICE

    def _save(self) -> None:
        values = {name: as_copied(field.text()) for name, field in self.fields.items()}
        missing = [field.label for field in self.venue.secrets if field.required and not values[field.name]]
        if missing:
            self.status.setText(f"Missing: {', '.join(missing)}")
            return
        self.terminal.logs.hide(value for value in values.values() if value)
        environment = Environment(self.environment.currentText())
        try:
            self.terminal.vault.save(self.venue.slug, environment, values)
        except VaultProblem as problem:
            self.status.setText(str(problem))
            return
        self.clear()
        account = self.terminal.accounts.accounts.get(f"{self.venue.slug}:{environment}")
        if account is not None and account.state is AccountState.FAILED:
            self.terminal.accounts.spawn(account.start())
            self.changed.emit(f"{account.name} starts with the new key.")
            return
        runs = account is not None and account.session is not None
        self.changed.emit(f"Stop and start {account.name} to use the new key." if runs and account is not None else "")

    def _forget(self) -> None:
        environment = Environment(self.environment.currentText())
        try:
            self.terminal.vault.delete(self.venue.slug, environment)
        except VaultProblem as problem:
            self.status.setText(str(problem))
            return
        self.clear()
        account = self.terminal.accounts.accounts.get(f"{self.venue.slug}:{environment}")
        if account is not None and account.state is AccountState.FAILED:  # it would go on trying, without a key
            self.terminal.accounts.spawn(account.stop())
        self.changed.emit("")

    async def _unlock(self) -> None:
        """Open the key file; the slow part runs beside the window."""
        vault, passphrase = self.terminal.vault, self.passphrase.text()
        self.passphrase.clear()
        self.unlock.setEnabled(False)
        self.status.setText("Opening the key file")
        try:
            vault.use_file(await asyncio.to_thread(vault.open_file, passphrase))
        except VaultProblem as problem:
            self.status.setText(str(problem))
            self.unlock.setEnabled(True)
            return
        self.changed.emit("")


def _label(text: str, role: str) -> QLabel:
    label = QLabel(text)
    label.setProperty("role", role)
    label.setWordWrap(True)
    return label
