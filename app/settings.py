"""Paths, preferences, limits and layouts. No secrets. One JSON file, written atomically; a broken one is kept aside."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import platformdirs
from msgspec import Struct

from app.guard import Limits
from connectors.model import Fees

SCHEMA = 1


class Preferences(Struct, kw_only=True, omit_defaults=True):
    """Everything that the trader can choose. `layouts` by workspace, `welcome` shows the strip of the first start.

    `limits`, `paper_funds` (what a paper account starts with, by asset) and `paper_fees` (rates of its own) are by account.
    `dead_man`: seconds by account after which a venue cancels our orders when we are gone, 0 or absent for never;
    `dead_man_releases`: a normal end of the program switches that off, so that orders stay.
    """

    schema: int = SCHEMA
    theme: str = "dark"
    colour_blind: bool = False
    welcome: bool = True
    workspace: str = "Trade"
    watchlist: list[str] = []
    layouts: dict[str, str] = {}
    links: dict[str, str] = {}
    sizes: dict[str, list[str]] = {}
    limits: dict[str, Limits] = {}
    paper_funds: dict[str, dict[str, Decimal]] = {}
    paper_fees: dict[str, Fees] = {}
    arm_minutes: float = 15.0
    recording: bool = False
    accounts: list[str] = []
    dead_man: dict[str, float] = {}
    dead_man_releases: bool = True


class Settings:
    """`data`, `config` and `logs` are folders. `notice` says what was wrong with the file at the start, if anything."""

    def __init__(self) -> None:
        home = os.environ.get("FATHOM_HOME")
        dirs = platformdirs.PlatformDirs("fathom", appauthor=False)
        self.config = Path(home) / "config" if home else Path(dirs.user_config_path)
        self.data = Path(home) / "data" if home else Path(dirs.user_data_path)
        self.logs = Path(home) / "logs" if home else Path(dirs.user_log_path)
        self.notice = ""
        self.path = self.config / "settings.json"
        self.preferences = self._load()

    @property
    def journal(self) -> Path:
        """The order journal."""
        return self.data / "journal.sqlite"

    @property
    def recordings(self) -> Path:
        """Recorded traffic."""
        return self.data / "recordings"

    @property
    def paper(self) -> Path:
        """Paper accounts, a file each."""
        return self.data / "paper"

    @property
    def quarters(self) -> Path:
        """Imported tables of later quarters."""
        return self.data / "catalogue"

    def limits(self, account: str) -> Limits:
        """The trader's limits for an account, or the defaults."""
        return self.preferences.limits.get(account, Limits())

    def set_limits(self, account: str, limits: Limits) -> None:
        """Keep the trader's limits for an account. Raises OSError."""
        self.preferences.limits[account] = limits
        self.save()

    def save(self) -> None:
        """Write everything. Raises OSError."""
        self.config.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        partial.write_bytes(msgspec.json.format(msgspec.json.encode(self.preferences), indent=2))
        partial.replace(self.path)

    def keep_aside(self, name: str, text: str) -> Path:
        """Write something that can't be used beside the settings, under a name that is free. Raises OSError."""
        self.config.mkdir(parents=True, exist_ok=True)
        number = 1
        while (path := self.config / f"{name}.broken-{number}.txt").exists():
            number += 1
        path.write_text(text, encoding="utf-8")
        return path

    def set(self, name: str, value: Any) -> None:
        """Change one preference and save."""
        setattr(self.preferences, name, value)
        self.save()

    def _load(self) -> Preferences:
        try:
            raw = self.path.read_bytes()
        except FileNotFoundError:
            return Preferences()
        except OSError as error:
            self.notice = f"The settings could not be read ({error}); the defaults are used."
            return Preferences()
        try:
            return msgspec.json.decode(raw, type=Preferences)
        except msgspec.DecodeError as error:
            aside = self.path.with_suffix(".broken.json")
            self.path.replace(aside)
            kept = f"They were kept as {aside.name}; the defaults are used."
            self.notice = f"The settings could not be understood ({error}). {kept}"
            return Preferences()
