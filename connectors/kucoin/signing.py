"""KuCoin's signature, its envelope, and the words of its refusals. Shared by spot and futures.

Source: authentication, error code and rate limit pages of the API documentation, as of 2026-08.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from connectors.contract import Answer, Ask, Call, Cost, Effect, Role, Security, Signer, Stamp, Step, Wire
from connectors.errors import (
    AuthenticationFailed,
    BadNotional,
    BadPrice,
    BadSize,
    ClockSkewed,
    DuplicateOrder,
    InstrumentUnknown,
    InsufficientFunds,
    InvalidOrder,
    MarketClosed,
    NotPrepared,
    NotSupported,
    OrderNotFound,
    OutcomeUnknown,
    PermissionDenied,
    RateLimited,
    ReduceOnlyRefused,
    Refused,
    SessionExpired,
    TooManyOrders,
    Unintelligible,
    VenueError,
)

KEY_VERSION = "2"  # until the venue has told the key's own; 2 and 3 sign alike
SPOT, FUTURES, MANAGEMENT, PUBLIC = "SPOT", "FUTURES", "MANAGEMENT", "PUBLIC"  # the pools that weights are drawn from

_encode = msgspec.json.Encoder(decimal_format="string").encode
_decode = msgspec.json.Decoder(float_hook=Decimal).decode  # numbers keep the digits of the wire


def sign(text: str, secret: str) -> str:
    """HMAC-SHA256 in base64; the secret is used as text."""
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()).decode()


class KucoinSigner(Signer):
    """Signs timestamp + METHOD + path with its query + body. The passphrase travels hashed with the secret."""

    def seal(
        self, step: Step, secrets: Mapping[str, str], facts: Mapping[str, Any], stamp: Stamp, base_url: str
    ) -> Wire:
        """See `Signer.seal`. What is sent needs no percent-encoding, so what is signed is what is sent."""
        if isinstance(step, Ask):
            return Wire(frame=_encode({"id": step.id, **step.payload}).decode())
        query = "&".join(f"{name}={value}" for name, value in step.params)
        path = f"{step.path}?{query}" if query else step.path
        body = _encode(step.body).decode() if step.body is not None else ""
        headers = {**dict(step.headers), "Content-Type": "application/json"}  # POST wants it even without a body
        if step.security is not Security.NONE:
            headers |= self._signed(step.method, path, body, secrets, facts, stamp)
        return Wire(step.method, path, headers, body or None)

    @staticmethod
    def _signed(
        method: str, path: str, body: str, secrets: Mapping[str, str], facts: Mapping[str, Any], stamp: Stamp
    ) -> dict[str, str]:
        key, secret, passphrase = (secrets.get(name, "") for name in ("key", "secret", "passphrase"))
        if not key:
            raise AuthenticationFailed("this needs an API key")
        if not secret or not passphrase:
            raise AuthenticationFailed("this needs the key's secret and its passphrase")
        time = str(stamp.time_ms)
        headers = {
            "KC-API-KEY": key,
            "KC-API-SIGN": sign(time + method + path + body, secret),
            "KC-API-TIMESTAMP": time,
            "KC-API-PASSPHRASE": sign(passphrase, secret),
            "KC-API-KEY-VERSION": str(facts.get("key_version", KEY_VERSION)),
        }
        if "site" in facts:
            headers["X-SITE-TYPE"] = str(facts["site"])
        return headers


# ---------------------------------------------------------------------------------------------------------------------
# Requests


def public(
    method: str, path: str, weight: float, read: Callable[[Any], Any], *params: tuple[str, str], pool: str = PUBLIC
) -> Call:
    """An unsigned request; `read` gets the envelope's data."""
    return Call(
        endpoint=Role.REST,
        method=method,
        path=path,
        params=params,
        read=lambda answer: read(read_data(answer)),
        costs=(Cost(pool, weight),),
    )


def signed(
    method: str,
    path: str,
    cost: Cost,
    read: Callable[[Any], Any],
    *params: tuple[str, str],
    body: Any = None,
    effect: Effect = Effect.READ,
    endpoint: str = Role.REST,
) -> Call:
    """A signed request; `read` gets the envelope's data."""
    futures = cost.bucket == FUTURES
    return Call(
        endpoint=endpoint,
        method=method,
        path=path,
        params=params,
        body=body,
        security=Security.SIGNED,
        effect=effect,
        read=lambda answer: read(read_data(answer, futures=futures)),
        costs=(cost,),
    )


# ---------------------------------------------------------------------------------------------------------------------
# Answers


def read_data(answer: Answer, *, futures: bool = False) -> Any:
    """The `data` of a good envelope; raises what a bad answer means.

    A code other than 200000 is the venue's verdict whatever the status, except for those that say that it does not know.
    """
    try:
        body = _decode(answer.body) if answer.body else None
    except (msgspec.DecodeError, UnicodeDecodeError, ArithmeticError):
        body = None
    code = str(body.get("code", "")) if isinstance(body, dict) else ""
    if code == "200000" and isinstance(body, dict) and answer.status < 500:
        return body.get("data")
    if code and code != "200000" and isinstance(body, dict):
        raise refusal(code, str(body.get("msg", "")), answer.status, answer.headers, futures=futures)
    if answer.status == 429:
        raise refusal("429000", "too many requests", 429, answer.headers)
    if answer.status == 403:
        raise PermissionDenied("the venue's firewall refused the request", status=403)
    if answer.status >= 500 or answer.status == 408:
        raise OutcomeUnknown(f"HTTP {answer.status} without a verdict", status=answer.status)
    if answer.status >= 400:
        raise Refused(f"HTTP {answer.status}", status=answer.status)
    raise Unintelligible("the answer is not in the venue's envelope", status=answer.status)


_BY_CODE: dict[str, type[VenueError]] = {
    "200004": InsufficientFunds,
    "210021": InsufficientFunds,
    "230003": InsufficientFunds,
    "300003": InsufficientFunds,
    "330008": InsufficientFunds,
    "100004": OrderNotFound,  # not in a state that can be cancelled: ask what became of it
    "order_not_exist": OrderNotFound,
    "300000": BadSize,
    "600101": BadNotional,
    "400370": BadPrice,
    "400330": BadPrice,
    "400760": BadPrice,
    "300011": BadPrice,
    "300012": BadPrice,
    "900001": InstrumentUnknown,
    "404000": InstrumentUnknown,
    "400600": MarketClosed,
    "200001": MarketClosed,
    "200002": MarketClosed,
    "200003": TooManyOrders,  # on spot; see below for futures
    "126044": DuplicateOrder,
    "126033": DuplicateOrder,
    "400413": NotSupported,
    "415000": NotSupported,
    "400001": AuthenticationFailed,
    "400002": ClockSkewed,
    "400003": AuthenticationFailed,
    "400004": AuthenticationFailed,
    "400005": AuthenticationFailed,
    "400006": PermissionDenied,
    "400007": PermissionDenied,
    "411100": PermissionDenied,
    "400200": PermissionDenied,
    "200009": PermissionDenied,
    "400303": PermissionDenied,
    "400500": PermissionDenied,
    "400700": PermissionDenied,
    "112010": PermissionDenied,  # the account is of the other kind, classic or unified
    "429000": RateLimited,
    "1015": RateLimited,
    "330005": NotPrepared,  # another margin mode than the contract is in
    "330012": NotSupported,  # hedge mode against one-way
    "300009": ReduceOnlyRefused,
    "500000": OutcomeUnknown,
}

# Codes that cover many things say in words what they mean; the first that is contained counts.
_BY_TEXT: tuple[tuple[str, type[VenueError]], ...] = (
    ("order_not_exist", OrderNotFound),
    ("ordernotexist", OrderNotFound),
    ("order not exist", OrderNotFound),
    ("not allow to be cancelled", OrderNotFound),
    ("not cancelable", OrderNotFound),
    ("clientoid duplicate", DuplicateOrder),
    ("duplicate", DuplicateOrder),
    ("balance insufficient", InsufficientFunds),
    ("insufficient", InsufficientFunds),
    ("order funds should more", BadNotional),
    ("funds below the minimum", BadNotional),
    ("funds", BadNotional),
    ("leverage", NotPrepared),
    ("price", BadPrice),
    ("size", BadSize),
    ("quantity", BadSize),
    ("symbolnotavailable", MarketClosed),
    ("symbol", InstrumentUnknown),
    ("token", SessionExpired),
    ("exceeded the access frequency", RateLimited),
)
_MANY = frozenset({"400100", "600100", "100001", "100002", "100003"})


def refusal(
    code: str, text: str, status: int | None = None, headers: Mapping[str, str] | None = None, *, futures: bool = False
) -> VenueError:
    """The kind of an error envelope."""
    kind = _BY_CODE.get(code)
    if code in _MANY:
        kind = next((found for words, found in _BY_TEXT if words in text.lower()), InvalidOrder)
    elif futures and code == "200003":
        kind = InstrumentUnknown
    elif code == "200002" and "frequency" in text.lower():
        kind = RateLimited
    if kind is RateLimited or status == 429:
        reset = (headers or {}).get("gw-ratelimit-reset", "")
        after = int(reset) / 1000 if reset.isdigit() else None
        return RateLimited(text, code=code, status=status, retry_after=after)
    if kind is None and status is not None and status >= 500:
        kind = OutcomeUnknown
    return (kind or Refused)(text, code=code, status=status)
