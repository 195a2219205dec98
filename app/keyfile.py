"""An encrypted file for keys, for machines without a keyring: a backend of the `keyring` package, opened with a passphrase.

scrypt makes the key of the passphrase, AES-256-GCM seals all entries at once, with the file's head as associated data, so
that nothing in it can be changed or moved unseen. The passphrase is kept nowhere; the key stays in memory until `lock`.
"""

from __future__ import annotations

import os
import secrets
from base64 import b64decode, b64encode
from pathlib import Path

import msgspec
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, PasswordDeleteError, PasswordSetError
from msgspec import Struct

VERSION = 1
COST = 2**16  # scrypt's n: 64 MB and some tenths of a second
BLOCK = 8
SHORTEST = 8  # characters of a passphrase


class WrongPassphrase(Exception):
    """The file does not open with it, or it is too short for a new one. The text says which."""


class _Head(Struct, frozen=True, kw_only=True):
    """What is readable: how the key was made."""

    version: int
    n: int
    r: int
    salt: str


class _Sealed(Struct, kw_only=True):
    head: _Head
    nonce: str
    data: str


class KeyFile(KeyringBackend):
    """Entries of `service` and `name` in one sealed file at `path`; made by the first `unlock`."""

    priority = 0.1  # never chosen by itself
    name = "an encrypted file"

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._head: _Head | None = None
        self._key: bytes | None = None
        self._entries: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"KeyFile({str(self.path)!r})"

    @property
    def exists(self) -> bool:
        """Whether there is one already, to be unlocked."""
        return self.path.exists()

    @property
    def locked(self) -> bool:
        """Whether a passphrase is needed first."""
        return self._key is None

    def unlock(self, passphrase: str) -> None:
        """Open the file, or begin one. Takes some tenths of a second. Raises WrongPassphrase, OSError."""
        if not self.exists:
            if len(passphrase) < SHORTEST:
                raise WrongPassphrase(f"a passphrase has {SHORTEST} characters or more")
            self._head = _Head(version=VERSION, n=COST, r=BLOCK, salt=b64encode(secrets.token_bytes(16)).decode())
            self._key = _derive(passphrase, self._head)
            self._write()
            return
        try:
            sealed = msgspec.json.decode(self.path.read_bytes(), type=_Sealed)
            if sealed.head.version != VERSION or sealed.head.n > 2**22:
                raise WrongPassphrase("the key file was written by another version of Fathom")
            key = _derive(passphrase, sealed.head)
            self._entries = _open(sealed, key)
        except (msgspec.MsgspecError, ValueError) as error:
            raise WrongPassphrase(f"the key file {self.path.name} is damaged ({type(error).__name__})") from None
        self._head, self._key = sealed.head, key

    def lock(self) -> None:
        """Forget the key and what was read."""
        self._key = None
        self._entries = {}

    # keyring.backend.KeyringBackend

    def get_password(self, service: str, username: str) -> str | None:
        """As the base class. Raises KeyringLocked."""
        self._need_key()
        return self._entries.get(_entry(service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        """As the base class. Raises KeyringLocked, PasswordSetError."""
        self._change(_entry(service, username), password)

    def delete_password(self, service: str, username: str) -> None:
        """As the base class. Raises KeyringLocked, PasswordDeleteError."""
        self._need_key()
        if _entry(service, username) not in self._entries:
            raise PasswordDeleteError("there is no such key")
        self._change(_entry(service, username), None)

    # -----------------------------------------------------------------------------------------------------------------

    def _need_key(self) -> bytes:
        if self._key is None:
            raise KeyringLocked("the key file is locked")
        return self._key

    def _change(self, entry: str, text: str | None) -> None:
        self._need_key()
        before = dict(self._entries)
        if text is None:
            del self._entries[entry]
        else:
            self._entries[entry] = text
        try:
            self._write()
        except OSError as error:
            self._entries = before
            raise PasswordSetError(f"the key file can't be written ({error.strerror})") from None

    def _write(self) -> None:
        """Seal anew, with a fresh nonce, and replace the file whole; only its owner may read it."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        head, key = self._head, self._need_key()
        if head is None:
            raise KeyringLocked("the key file is locked")
        nonce = secrets.token_bytes(12)
        data = AESGCM(key).encrypt(nonce, msgspec.json.encode(self._entries), msgspec.json.encode(head))
        sealed = _Sealed(head=head, nonce=b64encode(nonce).decode(), data=b64encode(data).decode())
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(sealed))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.path)


def _derive(passphrase: str, head: _Head) -> bytes:
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    return Scrypt(salt=b64decode(head.salt), length=32, n=head.n, r=head.r, p=1).derive(passphrase.encode())


def _open(sealed: _Sealed, key: bytes) -> dict[str, str]:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        text = AESGCM(key).decrypt(b64decode(sealed.nonce), b64decode(sealed.data), msgspec.json.encode(sealed.head))
    except InvalidTag:
        raise WrongPassphrase("the passphrase does not open the key file") from None
    return msgspec.json.decode(text, type=dict[str, str])


def _entry(service: str, username: str) -> str:
    return f"{service}\n{username}"
