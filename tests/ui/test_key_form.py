"""The key form and the accounts panel in a real window: what is typed, where it goes, and what is said."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QPushButton

from app.accounts import AccountState
from app.guard import Limits
from app.loop import Loop
from app.settings import Settings
from app.terminal import Terminal
from app.vault import FILE
from connectors.catalogue import load
from connectors.contract import Environment
from connectors.model import Fees
from connectors.practice.server import PracticeServer
from tests.waiting import until
from ui.panels.accounts import AccountsPanel, ResetDialog
from ui.panels.connectors import ConnectorBrowser
from ui.panels.key_form import KeyForm, as_copied
from ui.theme import Theme

D = Decimal
Scenario = Callable[[Terminal], Awaitable[None]]


@pytest.fixture(autouse=True)
def no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own keyring is none of a test's business."""
    monkeypatch.setattr("app.vault._sealed_backend", lambda: None)


def play(loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scenario: Scenario) -> None:
    """Run a scenario in a terminal that started no account."""
    monkeypatch.setenv("FATHOM_HOME", str(tmp_path))

    async def run() -> None:
        settings = Settings()
        settings.preferences.accounts = ["none:none"]
        terminal = Terminal(settings=settings)
        await terminal.start()
        try:
            await scenario(terminal)
        finally:
            await terminal.stop()

    loop.run_until_complete(run())


def pem() -> str:
    private = ed25519.Ed25519PrivateKey.generate()
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def test_a_pem_key_that_is_pasted_into_a_line_arrives_as_it_was_copied(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = pem()

    async def scenario(terminal: Terminal) -> None:
        form = KeyForm(terminal, load("binance"))
        form.show()
        QGuiApplication.clipboard().setText(text)
        form.fields["key"].setText("KKKKwxyz")
        form.fields["secret"].paste()
        assert form.fields["secret"].echoMode() is form.fields["secret"].EchoMode.Password
        assert form.dirty
        QTest.mouseClick(form.save, Qt.MouseButton.LeftButton)
        assert terminal.vault.load("binance", Environment.LIVE) == {"key": "KKKKwxyz", "secret": text}
        assert not form.dirty

    play(loop, tmp_path, monkeypatch, scenario)
    assert as_copied(text.replace("\n", "\\n")) == text
    assert as_copied("  plain secret ") == "plain secret"


def test_what_was_typed_for_one_exchange_never_ends_up_with_another(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(terminal: Terminal) -> None:
        browser = ConnectorBrowser(Theme("dark"), terminal)
        browser.show()
        browser.choose("binance")
        form = browser.detail.form
        assert form is not None
        form.fields["key"].setText("KKKKwxyz")
        browser.refresh()
        assert browser.detail.form is form  # what is typed survives news of the table
        browser.choose("kucoin")
        assert browser.detail.form is not form
        browser.choose("binance")
        again = browser.detail.form
        assert again is not None
        assert not again.dirty

    play(loop, tmp_path, monkeypatch, scenario)


def test_without_a_keyring_a_passphrase_makes_a_file_and_opens_it_again(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def make(terminal: Terminal) -> None:
        form = KeyForm(terminal, load("binance"))
        form.show()
        form.fields["key"].setText("KKKKwxyz")
        form.fields["secret"].setText("the secret")
        QTest.mouseClick(form.save, Qt.MouseButton.LeftButton)
        form.passphrase.setText("short")
        QTest.mouseClick(form.unlock, Qt.MouseButton.LeftButton)
        await until(lambda: "8 characters" in form.status.text(), "the refusal of a short one")
        form.passphrase.setText("correct horse battery")
        QTest.mouseClick(form.unlock, Qt.MouseButton.LeftButton)
        await until(lambda: terminal.vault.persistent, "the file")

    async def open_again(terminal: Terminal) -> None:
        form = KeyForm(terminal, load("binance"))
        form.show()
        assert form.unlock.text() == "Unlock"
        form.passphrase.setText("correct horse battery")
        QTest.keyClick(form.passphrase, Qt.Key.Key_Return)
        await until(lambda: terminal.vault.persistent, "the file to open")
        assert "…wxyz" in KeyForm(terminal, load("binance"))._kept()

    play(loop, tmp_path, monkeypatch, make)
    assert b"the secret" not in (tmp_path / "data" / FILE).read_bytes()
    play(loop, tmp_path, monkeypatch, open_again)


def test_a_key_that_may_only_read_turns_trading_off_and_says_so(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """given a key of an account that may not trade, when it connects, then form and account say it, and nothing can be sent."""

    async def scenario(terminal: Terminal) -> None:
        server = PracticeServer(load("binance"), crowd=False)
        keys = server.practice.keys  # ty: ignore[missing-attribute] - of Binance's practice side
        keys.add(replace(keys.find(server.credentials["key"]), can_trade=False))
        await server.start()
        terminal.accounts.hosts["binance"] = server.hosts
        terminal.vault.save("binance", Environment.LIVE, server.credentials)
        account = terminal.accounts.add("binance", Environment.LIVE)
        await account.start()
        await until(lambda: account.state is AccountState.READY, "the account")
        assert not account.can_trade
        assert "may only read in spot" in account.text
        assert "may only read" in terminal.desk._not_ready(account)
        form = KeyForm(terminal, load("binance"))
        said = [label.text() for label in form.findChildren(type(form.status))]
        assert any(text.startswith("◆ Live: This key may only read") for text in said)
        await account.stop()
        await server.stop()

    play(loop, tmp_path, monkeypatch, scenario)


def test_limits_are_edited_by_account_and_kept(loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(terminal: Terminal) -> None:
        account = terminal.accounts.add("binance", Environment.PAPER)
        panel = AccountsPanel(Theme("dark"), terminal)
        panel.show()
        panel.frame(0.0)
        form = panel.limits
        assert form.title.text() == "Limits of Binance paper"
        assert form.fields["collar"].text() == "5"
        form.fields["collar"].setText("2.5")
        form.fields["max_notional"].setText("20 000")
        form.fields["max_open_orders"].setText("")
        form.fields["repeat_seconds"].setText("1")
        form.maker.setText("0")
        form.taker.setText("0.05")
        QTest.mouseClick(form.save, Qt.MouseButton.LeftButton)
        assert "Saved" in form.words.text()
        wanted = Limits(max_notional=D(20_000), collar=D("0.025"), max_open_orders=None, repeat_seconds=D(1))
        assert terminal.desk.limits(account.id) == wanted
        assert Settings().limits(account.id) == wanted
        assert Settings().preferences.paper_fees[account.id] == Fees(maker=D(0), taker=D("0.0005"))
        assert terminal.desk.limits("binance:live") == Limits()
        form.fields["orders_per_second"].setText("2.5")
        assert not form.keep()
        assert "2.5" in form.words.text()
        assert terminal.desk.limits(account.id) == wanted
        QTest.mouseClick(form.defaults, Qt.MouseButton.LeftButton)
        form.keep()
        assert terminal.desk.limits(account.id) == Limits()

    play(loop, tmp_path, monkeypatch, scenario)


def test_paper_starts_in_the_browser_is_used_in_the_accounts_panel_and_reset_in_its_form(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(terminal: Terminal) -> None:
        server = PracticeServer(load("binance"), crowd=False)
        await server.start()
        terminal.accounts.hosts["binance"] = server.hosts
        browser = ConnectorBrowser(Theme("dark"), terminal)
        browser.show()
        browser.choose("binance")
        used: list[str] = []
        browser.opened.connect(used.append)
        button = next(
            each for each in browser.findChildren(QPushButton) if each.accessibleName() == "Start paper at Binance"
        )
        assert button.isEnabled()
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        account = await until(lambda: terminal.accounts.accounts.get("binance:paper"), "the account")
        await until(lambda: account.state is AccountState.READY and used == ["binance:paper"], "paper to run")

        panel = AccountsPanel(Theme("dark"), terminal)
        panel.show()
        panel.used.connect(used.append)
        panel.frame(0.0)
        panel.table.setCurrentIndex(panel.table.proxy.index(0, 0))
        panel.frame(1.0)
        QTest.mouseClick(panel.use, Qt.MouseButton.LeftButton)
        assert used == ["binance:paper", "binance:paper"]

        QTest.mouseClick(panel.limits.reset, Qt.MouseButton.LeftButton)
        dialog = panel.limits.findChild(ResetDialog)
        assert dialog is not None
        dialog.text.setPlainText("USDT 250\nnonsense")
        QTest.mouseClick(dialog.confirm, Qt.MouseButton.LeftButton)
        assert "nonsense" in dialog.problem.text()
        dialog.text.setPlainText("usdt 250")
        QTest.mouseClick(dialog.confirm, Qt.MouseButton.LeftButton)
        await until(lambda: account.balances["spot", "USDT"].total == 250, "the reset")
        assert Settings().preferences.paper_funds["binance:paper"] == {"USDT": D(250)}
        await account.stop()
        assert account.state is AccountState.OFF
        await server.stop()

    play(loop, tmp_path, monkeypatch, scenario)
