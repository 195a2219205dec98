"""API keys: in the operating system's keyring and nowhere else.

One entry for each venue and environment. Where there is no keyring they live in memory until Fathom ends, and that is said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from connectors.contract import Environment, SecretField, Venue

SERVICE = "fathom"
T = TypeVar("T")


class VaultProblem(Exception):
    """The keyring refused; the text says what to do and holds no secret."""


class Vault:
    """`persistent`: keys survive the end of the program. `backend` names where they are kept, for the trader."""

    def __init__(self) -> None:
        import keyring
        from keyring.backends import fail

        self._keyring = keyring.get_keyring()
        priority = getattr(self._keyring, "priority", 0)
        usable = not isinstance(self._keyring, fail.Keyring) and priority > 0
        self.persistent = usable
        self.backend = self._keyring.name if usable else "memory only"
        self._memory: dict[str, str] = {}
        self._tails: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Vault({self.backend!r})"

    @property
    def text(self) -> str:
        """One sentence for the trader."""
        if self.persistent:
            return f"Keys are kept in {self.backend}, nowhere else."
        return "No keyring was found: keys stay in memory and are gone when Fathom ends."

    @staticmethod
    def fields(venue: Venue) -> tuple[SecretField, ...]:
        """What the form asks for."""
        return venue.secrets

    def save(self, venue: str, environment: Environment, secrets: Mapping[str, str]) -> None:
        """Keep a key. Raises VaultProblem."""
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
        """The last four characters of the key's name, "" if there is none."""
        entry = _entry(venue, environment)
        if entry not in self._tails:
            self.load(venue, environment)
        return self._tails.get(entry, "")

    @staticmethod
    def _do(work: Callable[[], T]) -> T:
        from keyring.errors import KeyringError

        try:
            return work()
        except KeyringError as error:
            raise VaultProblem(f"the keyring refused ({type(error).__name__}); unlock it and try again") from None


def _entry(venue: str, environment: Environment) -> str:
    return f"{venue}:{environment}"


def _tail(secrets: Mapping[str, str]) -> str:
    return secrets.get("key", "")[-4:]
