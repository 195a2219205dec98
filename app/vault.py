"""API keys: in the operating system's keyring and nowhere else.

One entry for each venue and environment. Only backends that keep secrets sealed are used, whatever else is installed. Where
there is none, keys live in memory until Fathom ends, or in an encrypted file if the trader chooses a passphrase for it.
Which of them it is, is said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from connectors import catalogue
from connectors.contract import Environment, Lifecycle, SecretField, Venue

if TYPE_CHECKING:
    from app.keyfile import KeyFile

SERVICE = "fathom"
FILE = "keys.sealed"
T = TypeVar("T")

# Backends of `keyring` that seal what they keep. Others may be installed, some of them write plain text.
_SEALED = ("SecretService", "libsecret", "kwallet", "macOS", "Windows")


class VaultProblem(Exception):
    """The keyring refused; the text says what to do and holds no secret."""


class Vault:
    """`persistent`: keys survive the end of the program. `backend` names where they are kept, for the trader.

    `folder` is where an encrypted file may lie; None offers none.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._keyring: Any = _sealed_backend()
        self._path = folder / FILE if folder is not None else None
        self._memory: dict[str, str] = {}
        self._tails: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Vault({self.backend!r})"

    @property
    def persistent(self) -> bool:
        """Whether keys survive the end of the program."""
        return self._keyring is not None

    @property
    def backend(self) -> str:
        """Where keys are kept."""
        return self._keyring.name if self._keyring is not None else "memory only"

    @property
    def offers_file(self) -> bool:
        """Whether the trader may choose an encrypted file: there is no keyring, and none is open yet."""
        return self._keyring is None and self._path is not None

    @property
    def file_exists(self) -> bool:
        """Whether an encrypted file waits for its passphrase."""
        return self.offers_file and self._path is not None and self._path.exists()

    @property
    def text(self) -> str:
        """One sentence for the trader."""
        if self.persistent:
            return f"Keys are kept in {self.backend}, nowhere else."
        if self.file_exists:
            return "No keyring was found. Keys of earlier runs are in an encrypted file: unlock it with its passphrase."
        said = "No keyring was found: keys stay in memory and are gone when Fathom ends"
        return f"{said}, unless you choose a passphrase for an encrypted file." if self.offers_file else f"{said}."

    @staticmethod
    def fields(venue: Venue) -> tuple[SecretField, ...]:
        """What the form asks for."""
        return venue.secrets

    def unlock(self, passphrase: str) -> None:
        """Keep keys in the encrypted file from now on, those in memory too. Raises VaultProblem.

        Takes some tenths of a second, because guessing shall take long.
        """
        self.use_file(self.open_file(passphrase))

    def open_file(self, passphrase: str) -> KeyFile:
        """The slow part of `unlock`, which may run in another thread. Raises VaultProblem."""
        from app.keyfile import KeyFile, WrongPassphrase

        if self._path is None:
            raise VaultProblem("there is no place for an encrypted file")
        file = KeyFile(self._path)
        try:
            file.unlock(passphrase)
        except WrongPassphrase as error:
            raise VaultProblem(str(error)) from None
        except OSError as error:
            raise VaultProblem(f"the key file can't be opened ({error.strerror})") from None
        return file

    def use_file(self, file: KeyFile) -> None:
        """The quick part of `unlock`. Raises VaultProblem."""
        for entry, text in self._memory.items():
            self._do(lambda entry=entry, text=text: file.set_password(SERVICE, entry, text))
        self._memory.clear()
        self._tails.clear()
        self._keyring = file

    def save(self, venue: str, environment: Environment, secrets: Mapping[str, str]) -> None:
        """Keep a key. Raises VaultProblem; a venue that has closed takes none."""
        refuse_closed(catalogue.load(venue))
        text = msgspec.json.encode({name: value for name, value in secrets.items() if value}).decode()
        entry = _entry(venue, environment)
        if self.persistent:
            self._do(lambda: self._keyring.set_password(SERVICE, entry, text))
        else:
            self._memory[entry] = text
        self._tails[entry] = _tail(secrets)

    def load(self, venue: str, environment: Environment) -> dict[str, str] | None:
        """A key, or None. Raises VaultProblem."""
        entry = _entry(venue, environment)
        text = (
            self._do(lambda: self._keyring.get_password(SERVICE, entry)) if self.persistent else self._memory.get(entry)
        )
        if text is None:
            self._tails.pop(entry, None)
            return None
        try:
            found = msgspec.json.decode(text, type=dict[str, str])
        except msgspec.DecodeError:
            raise VaultProblem("the keyring's entry is damaged; enter the key again") from None
        self._tails[entry] = _tail(found)
        return found

    def delete(self, venue: str, environment: Environment) -> None:
        """Forget a key. Raises VaultProblem."""
        entry = _entry(venue, environment)
        self._tails.pop(entry, None)
        if not self.persistent:
            self._memory.pop(entry, None)
        elif self.load(venue, environment) is not None:
            self._do(lambda: self._keyring.delete_password(SERVICE, entry))
            self._tails.pop(entry, None)

    def tail(self, venue: str, environment: Environment) -> str:
        """The last four characters of the key's name, "" if there is none. The keyring is asked once; `load` asks it anew."""
        entry = _entry(venue, environment)
        if entry not in self._tails:
            self.load(venue, environment)
        return self._tails.setdefault(entry, "")

    @staticmethod
    def _do(work: Callable[[], T]) -> T:
        try:
            return work()
        except Exception as error:  # noqa: BLE001 - backends raise their own, and those of the bus when it is gone
            raise VaultProblem(f"the keyring refused ({type(error).__name__}); unlock it and try again") from None


def refuse_closed(venue: Venue) -> None:
    """Raises VaultProblem with the date, where a venue has closed: a key for it opens nothing any more."""
    standing = venue.standing
    if standing.lifecycle is Lifecycle.CLOSED:
        closed = f"{venue.name} closed {standing.since}".strip()
        raise VaultProblem(f"{closed}: it takes no key. Its protocol runs on the practice exchange.")


def _sealed_backend() -> Any:
    """The keyring that the system offers, if it seals what it keeps."""
    import keyring

    found = keyring.get_keyring()
    for backend in (
        found,
        *getattr(found, "backends", ()),
    ):  # a chain tries several, and writes where it happens to work
        kind = type(backend)
        package, _, module = kind.__module__.rpartition(".")
        if package == "keyring.backends" and module in _SEALED and kind.priority > 0:
            return backend
    return None


def _entry(venue: str, environment: Environment) -> str:
    return f"{venue}:{environment}"


def _tail(secrets: Mapping[str, str]) -> str:
    return secrets.get("key", "")[-4:]
