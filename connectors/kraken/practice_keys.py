"""Who asks Kraken's own end, and how often: keys, signatures, nonces, lockouts, counters."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import msgspec

from connectors.kraken.practice_orders import KrakenError, Leak
from connectors.practice.protocol import HttpRequest, Key

_LOCK_AFTER = 10  # failures of one key
Params = Mapping[str, Any]


def made_key() -> dict[str, str]:
    """A fresh key and its secret, of the venue's lengths."""
    return {
        "key": base64.b64encode(secrets.token_bytes(42)).decode(),
        "secret": base64.b64encode(secrets.token_bytes(64)).decode(),
    }


class Gate:
    """Proves who asks over REST, and counts how often."""

    def __init__(self) -> None:
        self.keys: dict[str, Key] = {}
        self._nonces: dict[str, int] = {}
        self._failures: dict[str, int] = {}
        self._locked: dict[str, int] = {}
        self._counters: dict[str, Leak] = {}
        self._public = Leak(30, 1.0)

    def count_public(self, now_ms: int, *, limited: bool) -> None:
        """One request without a key. Raises KrakenError when there were too many and they are `limited`."""
        if not self._public.take(1, now_ms) and limited:
            raise KrakenError("EGeneral:Too many requests")

    def count(self, account: str, weight: float, now_ms: int, *, limited: bool) -> None:
        """A request of an account. Raises KrakenError as above."""
        counter = self._counters.setdefault(account, Leak(20, 0.5))
        if weight and not counter.take(weight, now_ms) and limited:
            raise KrakenError("EAPI:Rate limit exceeded")

    def signed(self, request: HttpRequest, now_ms: int) -> tuple[str, Params]:
        """The account that signed, and the fields. Key, signature and nonce are checked by the documented recipe, on the bytes that
        came. Raises KrakenError.
        """
        key = self.keys.get(request.headers.get("api-key", ""))
        if key is None:
            raise KrakenError("EAPI:Invalid key")
        if now_ms < self._locked.get(key.key, 0):
            raise KrakenError("EGeneral:Temporary lockout")
        as_json = request.headers.get("content-type", "").startswith("application/json")
        fields: Params = (
            msgspec.json.decode(request.body, type=dict[str, Any])
            if as_json
            else {name: values[-1] for name, values in parse_qs(request.body.decode(), keep_blank_values=True).items()}
        )
        nonce = str(fields.get("nonce", ""))
        inner = hashlib.sha256(nonce.encode() + request.body).digest()
        secret = base64.b64decode(key.secret)
        expected = hmac.new(secret, request.path.encode() + inner, hashlib.sha512).digest()
        try:
            sent = base64.b64decode(request.headers.get("api-sign", ""), validate=True)
        except binascii.Error:
            sent = b""
        if not hmac.compare_digest(sent, expected):
            self._failures[key.key] = self._failures.get(key.key, 0) + 1
            if self._failures[key.key] >= _LOCK_AFTER:
                self._failures[key.key] = 0
                self._locked[key.key] = now_ms + 900_000
            raise KrakenError("EAPI:Invalid signature")
        self._failures.pop(key.key, None)
        if not nonce.isdigit() or not self._nonces.get(key.key, 0) < int(nonce) < 2**64:
            raise KrakenError("EAPI:Invalid nonce")
        self._nonces[key.key] = int(nonce)
        return key.account, fields

    def set_nonce(self, key: str, nonce: int) -> None:
        """As if another client had used `nonce` with this key."""
        self._nonces[key] = nonce
