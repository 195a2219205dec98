"""Settings on a real file; the vault in a real Secret Service."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from app.guard import Limits
from app.settings import Settings
from app.vault import FILE, Vault, VaultProblem, refuse_closed
from connectors.catalogue import load, slugs
from connectors.contract import Environment, Lifecycle
from tests.waiting import PATIENCE

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
import os, sys, time
from jeepney import DBusAddress, new_method_call
from jeepney.io.blocking import open_dbus_connection
from app.vault import Vault, VaultProblem
from connectors.contract import Environment
# the daemon says that it is unlocked before it has its name on the bus; whoever asks too early is given another, locked one
bus, deadline = open_dbus_connection(bus="SESSION"), time.monotonic() + 60
itself = DBusAddress("/org/freedesktop/DBus", "org.freedesktop.DBus", "org.freedesktop.DBus")
while not bus.send_and_get_reply(new_method_call(itself, "NameHasOwner", "s", ("org.freedesktop.secrets",))).body[0]:
    assert time.monotonic() < deadline, "the keyring never came to the bus"
    time.sleep(0.02)
vault = Vault()
assert vault.persistent, vault.backend
if sys.argv[1] == "save":
    vault.save("binance", Environment.LIVE, {"key": "K" * 28 + "wxyz", "secret": "sssssecret-value"})
    assert vault.tail("binance", Environment.LIVE) == "wxyz"
elif sys.argv[1] == "gone":
    os.environ["DBUS_SESSION_BUS_ADDRESS"] = "unix:path=/nowhere/bus"  # as after a log-out, or a bus that fell
    for ask in (vault.load, vault.tail, vault.delete):
        try:
            ask("kraken", Environment.LIVE)
        except VaultProblem as problem:
            assert "the keyring refused" in str(problem)
        else:
            raise AssertionError("nothing was said")
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
        f">/dev/null && {python} save && {python} gone && {python} load"
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
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("done") == 3
    for path in home.rglob("*"):
        if path.is_file():
            assert b"sssssecret-value" not in path.read_bytes()


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A process of its own, because the keyring is chosen once in each."""
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        check=False,
        timeout=PATIENCE,
    )


def test_without_a_keyring_keys_stay_in_memory_and_that_is_said() -> None:
    code = (
        "from app.vault import Vault\n"
        "from connectors.contract import Environment\n"
        "vault = Vault()\n"
        "assert not vault.persistent and 'memory' in vault.text\n"
        "vault.save('binance', Environment.LIVE, {'key': 'abcd1234', 'secret': 'x'})\n"
        "assert vault.load('binance', Environment.LIVE)['key'] == 'abcd1234'\n"
    )
    done = run(code, PYTHON_KEYRING_BACKEND="keyring.backends.fail.Keyring")
    assert done.returncode == 0, done.stderr


PLAIN = """
from keyring.backend import KeyringBackend
class Plain(KeyringBackend):
    priority = 9
    name = "plain text"
    def get_password(self, service, username): return None
    def set_password(self, service, username, password): open("leak", "w").write(password)
    def delete_password(self, service, username): pass
"""


def test_a_backend_that_writes_plain_text_is_not_used_though_it_is_installed(tmp_path: Path) -> None:
    """given a keyring plug-in of the kind that writes files, when a key is saved, then it does not get to see it."""
    (tmp_path / "plainring.py").write_text(PLAIN)
    code = (
        "import os\n"
        f"os.chdir({str(tmp_path)!r})\n"
        "import keyring\n"
        "assert keyring.get_keyring().name == 'plain text'\n"
        "from app.vault import Vault\n"
        "from connectors.contract import Environment\n"
        "vault = Vault()\n"
        "vault.save('binance', Environment.LIVE, {'key': 'abcd1234', 'secret': 'x'})\n"
        "assert not vault.persistent and 'memory' in vault.text\n"
    )
    done = run(code, PYTHON_KEYRING_BACKEND="plainring.Plain", PYTHONPATH=f"{ROOT}{os.pathsep}{tmp_path}")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "leak").exists()


SECRETS = {"key": "K" * 28 + "wxyz", "secret": "sssssecret-value", "passphrase": "ppppass"}


@pytest.fixture
def no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.vault._sealed_backend", lambda: None)


@pytest.mark.usefixtures("no_keyring")
def test_keys_in_an_encrypted_file_survive_and_open_with_the_passphrase_alone(tmp_path: Path) -> None:
    first = Vault(tmp_path)
    assert first.offers_file
    assert "passphrase" in first.text
    first.save("binance", Environment.LIVE, SECRETS)  # in memory, until there is a file
    with pytest.raises(VaultProblem, match="8 characters"):
        first.unlock("short")
    first.unlock("correct horse battery")
    assert first.persistent
    assert "encrypted file" in first.text
    raw = (tmp_path / FILE).read_bytes()
    assert not any(value.encode() in raw for value in (*SECRETS.values(), "correct horse battery"))
    if os.name == "posix":
        assert (tmp_path / FILE).stat().st_mode & 0o077 == 0

    again = Vault(tmp_path)
    assert not again.persistent
    assert again.file_exists
    with pytest.raises(VaultProblem, match="does not open"):
        again.unlock("wrong horse battery")
    assert again.load("binance", Environment.LIVE) is None
    again.unlock("correct horse battery")
    assert again.load("binance", Environment.LIVE) == SECRETS
    assert again.tail("binance", Environment.LIVE) == "wxyz"
    again.delete("binance", Environment.LIVE)
    third = Vault(tmp_path)
    third.unlock("correct horse battery")
    assert third.load("binance", Environment.LIVE) is None


@pytest.mark.usefixtures("no_keyring")
@pytest.mark.parametrize("where", ["salt", "n", "nonce", "data"])
def test_a_key_file_that_was_tampered_with_does_not_open(tmp_path: Path, where: str) -> None:
    first = Vault(tmp_path)
    first.unlock("correct horse battery")
    first.save("binance", Environment.LIVE, SECRETS)
    path = tmp_path / FILE
    sealed = json.loads(path.read_text())
    if where == "n":
        sealed["head"]["n"] //= 2
    else:
        part = sealed["head"] if where == "salt" else sealed
        raw = bytearray(base64.b64decode(part[where]))
        raw[0] ^= 1
        part[where] = base64.b64encode(raw).decode()
    path.write_text(json.dumps(sealed))
    with pytest.raises(VaultProblem):
        Vault(tmp_path).unlock("correct horse battery")


@pytest.mark.usefixtures("no_keyring")
def test_a_file_that_is_no_key_file_is_said_and_kept(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"{}")
    with pytest.raises(VaultProblem, match="damaged"):
        Vault(tmp_path).unlock("correct horse battery")
    assert (tmp_path / FILE).read_bytes() == b"{}"


def test_a_closed_venue_takes_no_key_and_says_since_when() -> None:
    venue = load("binance")
    gone = replace(venue, standing=replace(venue.standing, lifecycle=Lifecycle.CLOSED, since="July 2026"))
    refuse_closed(venue)
    with pytest.raises(VaultProblem, match="closed July 2026"):
        refuse_closed(gone)


@pytest.mark.usefixtures("no_keyring")
def test_every_closed_venue_that_is_implemented_refuses_keys(tmp_path: Path) -> None:
    for slug in slugs():
        if load(slug).standing.lifecycle is Lifecycle.CLOSED:
            with pytest.raises(VaultProblem, match="closed"):
                Vault(tmp_path).save(slug, Environment.LIVE, SECRETS)
