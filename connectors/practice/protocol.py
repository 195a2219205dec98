"""What the server and a venue's practice side say to each other: requests, answers, connections, keys. No I/O.

A `VenuePractice` is a pure translator between the venue's wire and the shared exchange. The server owns sockets, time and
faults; it hands over what arrived and sends what comes back.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import parse_qsl

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from connectors.practice.listings import DEFAULT, Listing


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """`host` is a label of `VenuePractice.hosts`; `query` and `body` are raw, as signatures need them."""

    host: str
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def params(self) -> dict[str, str]:
        """Query and form body together, decoded; the body wins."""
        found = dict(parse_qsl(self.query, keep_blank_values=True))
        if self.body and self.body[:1] not in b"{[":
            found.update(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))
        return found


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What goes back. `acted`: the request placed, changed or cancelled an order (a fault may lose such an answer)."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    acted: bool = False


def json_answer(
    value: object, status: int = 200, headers: Mapping[str, str] | None = None, *, acted: bool = False
) -> HttpAnswer:
    """An answer with a JSON body."""
    kind = {"Content-Type": "application/json;charset=UTF-8"}
    return HttpAnswer(status, msgspec.json.encode(value), {**kind, **(headers or {})}, acted)


class Connection(Protocol):
    """One WebSocket, from the venue's side. Frames to send collect in `out`; the server takes them.

    `closing` set to a code asks the server to close; `ping_every` seconds between protocol pings, 0 for none.
    """

    out: list[str | bytes]
    closing: int | None
    ping_every: float
    private: bool

    def receive(self, frame: str | bytes, now_ms: int) -> None:
        """A frame of the client."""
        ...

    def tick(self, now_ms: int) -> None:
        """Time passes."""
        ...

    def closed(self) -> None:
        """The socket is gone."""
        ...


class VenuePractice(ABC):
    """A venue's own end. `hosts` maps each real base URL to (label, path below the label's root).

    `credentials` is a key of the account "trader", `other` one of the account "other"; both may trade. `listings` is what
    the exchange behind it lists. `limited` off: requests are never refused for being too many.
    """

    slug: str
    hosts: Mapping[str, tuple[str, str]]
    credentials: Mapping[str, str]
    other: Mapping[str, str]
    listings: tuple[Listing, ...] = DEFAULT
    limited: bool = True

    @abstractmethod
    def http(self, request: HttpRequest, now_ms: int) -> HttpAnswer:
        """Answer a request."""

    @abstractmethod
    def accept(
        self, host: str, path: str, query: str, headers: Mapping[str, str], now_ms: int
    ) -> Connection | HttpAnswer:
        """Open a WebSocket, or refuse it with an HTTP answer."""

    @abstractmethod
    def tick(self, now_ms: int) -> None:
        """Time passes: what is shared by all connections."""

    def located(self, hosts: Mapping[str, str]) -> None:  # noqa: B027 - most venues name no addresses
        """Told once the server listens: the local base URL of each real one, for answers that name addresses."""

    # What the server needs for its faults: only the venue's own end knows these.

    @abstractmethod
    def is_book(self, frame: str | bytes) -> bool:
        """Whether a frame that goes out carries levels of an order book (snapshot or update)."""

    def miscount(self, frame: str | bytes) -> str | bytes | None:
        """The same book frame with a wrong checksum; None if it carries none."""
        return None

    def expire(self) -> bool:
        """End every token, listen key and login as the venue does when their time is over. False: nothing here expires."""
        return False

    def no_verdict(self) -> HttpAnswer:
        """What the venue answers when it cannot say whether a request was executed."""
        return HttpAnswer(504, b"Gateway Time-out")

    def too_many(self, seconds: int) -> HttpAnswer:
        """What the venue answers when requests come too fast; `seconds` until it listens again."""
        return HttpAnswer(429, b"Too Many Requests", {"Retry-After": str(seconds)})


@dataclass(frozen=True, slots=True)
class Key:
    """An API key. `secret` for HMAC, or a PEM public key for RSA and Ed25519."""

    key: str
    account: str
    secret: str
    can_trade: bool = True


class Keys:
    """Keys by their name, and the verification of what was signed with them."""

    def __init__(self) -> None:
        self._keys: dict[str, Key] = {}

    def add(self, key: Key) -> None:
        """Register a key."""
        self._keys[key.key] = key

    def find(self, name: str) -> Key | None:
        """The key called `name`."""
        return self._keys.get(name)

    def may_trade(self, account: str) -> bool:
        """Whether a key of the account may trade."""
        return any(key.can_trade for key in self._keys.values() if key.account == account)

    @staticmethod
    def verify_sha256(key: Key, payload: bytes, signature: str) -> bool:
        """HMAC-SHA256 in hex (any case), or RSA PKCS#1 v1.5 / Ed25519 in base64 for a public key."""
        if "PUBLIC KEY" not in key.secret:
            expected = hmac.new(key.secret.encode(), payload, hashlib.sha256).hexdigest()
            return hmac.compare_digest(expected, signature.lower())
        public = serialization.load_pem_public_key(key.secret.encode())
        try:
            raw = base64.b64decode(signature, validate=True)
            if isinstance(public, ed25519.Ed25519PublicKey):
                public.verify(raw, payload)
            elif isinstance(public, rsa.RSAPublicKey):
                public.verify(raw, payload, padding.PKCS1v15(), hashes.SHA256())
            else:
                return False
        except (InvalidSignature, ValueError):
            return False
        return True
