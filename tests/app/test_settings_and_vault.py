"""Settings on a real file; the vault in a real Secret Service."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from app.guard import Limits
from app.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def test_settings_survive_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FATHOM_HOME", str(tmp_path))
    first = Settings()
    first.preferences.limits["binance:live"] = Limits(max_open_orders=3)
    first.set("theme", "light")
    again = Settings()
    assert again.preferences.theme == "light"
    assert again.limits("binance:live").max_open_orders == 3
    assert again.limits("binance:practice") == Limits()


def test_a_broken_file_is_kept_aside_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FATHOM_HOME", str(tmp_path))
    path = tmp_path / "config" / "settings.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"theme": 7')
    settings = Settings()
    assert settings.preferences.theme == "dark"
    assert "settings.broken.json" in settings.notice
    assert (path.parent / "settings.broken.json").read_text() == '{"theme": 7'


KEYRING_SCRIPT = """
import os, sys
from app.vault import Vault
from connectors.contract import Environment
vault = Vault()
assert vault.persistent, vault.backend
if sys.argv[1] == "save":
    vault.save("binance", Environment.LIVE, {"key": "K" * 28 + "wxyz", "secret": "sssssecret-value"})
    assert vault.tail("binance", Environment.LIVE) == "wxyz"
elif sys.argv[1] == "load":
    assert vault.tail("binance", Environment.LIVE) == "wxyz"
    assert vault.load("binance", Environment.LIVE)["secret"] == "sssssecret-value"
    assert "sssssecret" not in repr(vault) and "sssssecret" not in str(vars(vault))
    vault.delete("binance", Environment.LIVE)
    assert vault.load("binance", Environment.LIVE) is None
    assert vault.tail("binance", Environment.LIVE) == ""
print("done", vault.backend)
"""


@pytest.mark.skipif(
    not (shutil.which("dbus-run-session") and shutil.which("gnome-keyring-daemon")),
    reason="needs dbus-run-session and gnome-keyring-daemon (apt-get install dbus gnome-keyring)",
)
def test_keys_live_in_the_secret_service_and_nowhere_else(tmp_path: Path) -> None:
    """given a real keyring in a D-Bus session, then a key saved by one process is read and deleted by another."""
    script = tmp_path / "script.py"
    script.write_text(KEYRING_SCRIPT)
    python = f'"{sys.executable}" "{script}"'
    commands = (
        'eval "$(printf "test" | gnome-keyring-daemon --unlock --components=secrets)" '
        f">/dev/null && {python} save && {python} load"
    )
    home = tmp_path / "home"
    (home / ".local/share/keyrings").mkdir(parents=True)
    environment = os.environ | {"HOME": str(home), "XDG_DATA_HOME": str(home / ".local/share"), "PYTHONPATH": str(ROOT)}
    environment["XDG_RUNTIME_DIR"] = str(tmp_path)
    done = subprocess.run(
        ["dbus-run-session", "--", "sh", "-c", commands],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("done") == 2
    for path in home.rglob("*"):
        if path.is_file():
            assert b"sssssecret-value" not in path.read_bytes()


def test_without_a_keyring_keys_stay_in_memory_and_that_is_said(tmp_path: Path) -> None:
    code = (
        "from app.vault import Vault\n"
        "from connectors.contract import Environment\n"
        "vault = Vault()\n"
        "assert not vault.persistent and 'memory' in vault.text\n"
        "vault.save('binance', Environment.LIVE, {'key': 'abcd1234', 'secret': 'x'})\n"
        "assert vault.load('binance', Environment.LIVE)['key'] == 'abcd1234'\n"
    )
    environment = os.environ | {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
