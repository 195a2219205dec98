"""Coinbase's tokens, and the words of its refusals.

Every request, and every subscription to something private, carries a JWT of its own: signed with ES256 or EdDSA, as the secret's
kind says, and good for two minutes. Built as the official client does (coinbase-advanced-py 1.8.4, June 2026).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlsplit

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from connectors.contract import Answer, Ask, Effect, Security, Signer, Stamp, Step, Wire
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
    NotFillable,
    NothingToChange,
    NotSupported,
    OrderNotFound,
    OutcomeUnknown,
    PermissionDenied,
    RateLimited,
    Refused,
    TooManyOrders,
    Unintelligible,
    VenueError,
    VenueUnavailable,
    WouldTake,
    WouldTrigger,
)

TOKEN_LIFE = 120  # seconds
ORDER_LIFE = 15  # seconds after which an order, or a change of one, is refused for being late: its token is over
_SKEW_MS = 2500  # between the venue's Date (whole seconds) and our clock, above which a 401 is the clock's doing

_encode = msgspec.json.Encoder().encode


def private_key(secret: str) -> tuple[Any, str]:
    """The key and the name of its algorithm, told from the secret alone.

    PEM (P-256, or Ed25519), or base64 of an Ed25519 seed, with the public key behind it or not. Raises AuthenticationFailed.
    """
    text = secret.strip().replace("\\n", "\n")
    if text.startswith("-----BEGIN"):
        try:
            key = serialization.load_pem_private_key(text.encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise AuthenticationFailed("the private key is no PEM key that can be read without a password") from None
        if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
            return key, "ES256"
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return key, "EdDSA"
        raise AuthenticationFailed("Coinbase takes ECDSA keys of the curve P-256 and Ed25519 keys; this one is neither")
    try:
        raw = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) not in (32, 64):
        raise AuthenticationFailed(
            "this is no private key: paste the PEM text, or the base64 text, as Coinbase gave it"
        )
    key = ed25519.Ed25519PrivateKey.from_private_bytes(raw[:32])
    if len(raw) == 64 and key.public_key().public_bytes_raw() != raw[32:]:
        raise AuthenticationFailed("this secret is of another Coinbase API (Exchange?), not of Advanced Trade")
    return key, "EdDSA"


def token(key: str, secret: str, stamp: Stamp, uri: str = "", life: int = TOKEN_LIFE) -> str:
    """A JWT for one request (`uri`: METHOD, space, host and path without query) or for one frame (none)."""
    if len(key) == 16 and len(secret.strip()) == 32 and "/" not in key:
        raise AuthenticationFailed(
            "this is a key of the old kind, which Coinbase stopped accepting in February 2025; make a new one at CDP"
        )
    signing_key, algorithm = private_key(secret)
    now = stamp.time_ms // 1000
    claims: dict[str, Any] = {"sub": key, "iss": "cdp", "nbf": now, "exp": now + life}
    if uri:
        claims["uri"] = uri
    nonce = hashlib.sha256(stamp.token.encode()).hexdigest()
    return jwt.encode(claims, signing_key, algorithm=algorithm, headers={"kid": key, "nonce": nonce})


class CoinbaseSigner(Signer):
    """`Authorization: Bearer` over HTTP, the member `jwt` in a frame. Bodies are not signed.

    What must not be executed late gets a token that is soon over; `facts` with deadline 0 switch that off.
    """

    def seal(
        self, step: Step, secrets: Mapping[str, str], facts: Mapping[str, Any], stamp: Stamp, base_url: str
    ) -> Wire:
        """See `Signer.seal`."""
        key, secret = secrets.get("key", "").strip(), secrets.get("secret", "")
        if step.security is not Security.NONE and not (key and secret):
            raise AuthenticationFailed("this needs an API key: its name and its private key")
        if isinstance(step, Ask):
            frame = dict(step.payload)
            if step.security is not Security.NONE:
                frame["jwt"] = token(key, secret, stamp)
            return Wire(frame=_encode(frame).decode())
        headers = dict(step.headers)
        base = urlsplit(base_url)
        if step.security is not Security.NONE:
            uri = f"{step.method} {base.netloc}{base.path}{step.path}"
            late = step.effect in (Effect.PLACE, Effect.AMEND)
            life = (int(facts.get("deadline", ORDER_LIFE)) if late else 0) or TOKEN_LIFE
            headers["Authorization"] = f"Bearer {token(key, secret, stamp, uri, life)}"
            headers["Content-Type"] = "application/json"
        query = "&".join(f"{name}={quote(value, safe='-_.~:')}" for name, value in step.params)
        path = f"{step.path}?{query}" if query else step.path
        return Wire(step.method, path, headers, _encode(step.body) if step.body is not None else None)


# ---------------------------------------------------------------------------------------------------------------------
# Refusals

# Whole words of `error`, `failure_reason`, `preview_failure_reason`, ...; what is not here is looked at by its parts below.
_BY_WORD: dict[str, type[VenueError]] = {
    "INSUFFICIENT_FUND": InsufficientFunds,
    "INSUFFICIENT_FUNDS": InsufficientFunds,
    "INVALID_LEDGER_BALANCE": InsufficientFunds,
    "UNKNOWN_CANCEL_ORDER": OrderNotFound,
    "DUPLICATE_CANCEL_REQUEST": OrderNotFound,
    "INVALID_CANCEL_REQUEST": OrderNotFound,
    "COMMANDER_REJECTED_CANCEL_ORDER": OrderNotFound,
    "ORDER_NOT_FOUND": OrderNotFound,
    "DUPLICATE_CLIENT_ORDER_ID": DuplicateOrder,
    "INVALID_LIMIT_PRICE_POST_ONLY": WouldTake,
    "INVALID_NO_LIQUIDITY": NotFillable,
    "ORDER_ENTRY_DISABLED": MarketClosed,
    "INELIGIBLE_PAIR": MarketClosed,
    "VIEW_ONLY_PRODUCT": MarketClosed,
    "INVALID_PRODUCT_ID": InstrumentUnknown,
    "UNSUPPORTED_ORDER_CONFIGURATION": NotSupported,
    "UNSUPPORTED_ORDER_TYPE": NotSupported,
    "ONLY_LIMIT_ORDER_EDITS_SUPPORTED": NotSupported,
    "CANNOT_EDIT_TO_BELOW_FILLED_SIZE": BadSize,
    "ORDER_IS_NOT_OPEN": OrderNotFound,
}
# Spellings of these differ between the venue's own pages; the first that fits counts.
_BY_PART: tuple[tuple[str, type[VenueError]], ...] = (
    ("POST_ONLY", WouldTake),
    ("INSUFFICIENT_FUND", InsufficientFunds),
    ("LEDGER_BALANCE", InsufficientFunds),
    ("STOP_PRICE_ABOVE_LAST_TRADE", WouldTrigger),
    ("STOP_PRICE_BELOW_LAST_TRADE", WouldTrigger),
    ("QUOTE_SIZE", BadNotional),
    ("SIZE_PRECISION", BadSize),
    ("BASE_SIZE", BadSize),
    ("SIZE", BadSize),
    ("PRICE", BadPrice),
    ("TOO_MANY", TooManyOrders),
    ("OPEN_ORDERS", TooManyOrders),
    ("NO_CHANGE", NothingToChange),
    ("PRODUCT", InstrumentUnknown),
)
_NO_REASON = ("", "UNKNOWN_FAILURE_REASON", "UNKNOWN_PREVIEW_FAILURE_REASON", "UNKNOWN_EDIT_ORDER_FAILURE_REASON")


def kind_of(reason: str, otherwise: type[VenueError] = InvalidOrder) -> type[VenueError]:
    """What a reason word means."""
    word = reason.upper().removeprefix("PREVIEW_").removeprefix("ERROR_")
    found = _BY_WORD.get(word)
    return found or next((kind for part, kind in _BY_PART if part in word), otherwise)


def reason_of(response: Mapping[str, Any]) -> tuple[str, str]:
    """The most telling word of an `error_response` (or a row of `errors`), and its sentence."""
    names = (
        "preview_failure_reason",
        "new_order_failure_reason",
        "edit_failure_reason",
        "error",
        "failure_reason",
    )
    words = [str(response.get(name) or "") for name in names]
    word = next((word for word in words if word not in _NO_REASON), next(filter(None, words), ""))
    text = next((str(response[name]) for name in ("message", "error_details") if response.get(name)), "")
    return word, text or word.replace("_", " ").lower() or "the venue gave no reason"


def refused(response: Mapping[str, Any], status: int | None = None) -> VenueError:
    """An order, edit or cancel that was refused with a reason."""
    word, text = reason_of(response)
    return kind_of(word)(text, code=word, status=status)


def read_json(answer: Answer, effect: Effect = Effect.READ, missing: type[VenueError] = InstrumentUnknown) -> Any:
    """The decoded body of a good answer; raises what a bad one means. A 200 may still refuse: see the callers.

    `missing` is what a 404 means.

    A 401 proves that nothing was done; if the venue's own clock (its Date) is not ours, it was the clock.
    """
    try:
        body = msgspec.json.decode(answer.body) if answer.body else {}
    except msgspec.DecodeError:
        body = None
    status = answer.status
    if status < 400:
        if not isinstance(body, dict):
            raise Unintelligible("the answer is no JSON object", status=status)
        return body
    word, text = _words(body, answer)
    if status == 429 or word == "rate_limit_exceeded":
        raise RateLimited(text, code=word, status=status, retry_after=_retry_after(answer.headers))
    if status == 401:
        if _skewed(answer):
            raise ClockSkewed("this computer's clock differs from Coinbase's", code=word, status=status)
        hint = "Coinbase refused the key; if it is an Ed25519 key, try one of the ECDSA kind"
        raise AuthenticationFailed(f"{hint} ({text})", code=word, status=status)
    if status == 403:
        raise PermissionDenied(text, code=word, status=status)
    if status == 404:
        raise missing(text, code=word, status=status)
    if status >= 500 or status in (408, 409):  # a timeout on the way, a conflict with what is being done
        kind = VenueUnavailable if effect.repeatable else OutcomeUnknown
        raise kind(f"HTTP {status} without a verdict ({text})", code=word, status=status)
    if effect is Effect.READ:
        raise Refused(text, code=word, status=status)
    raise kind_of(word)(text, code=word, status=status)


def _words(body: Any, answer: Answer) -> tuple[str, str]:
    """Code and sentence of the venue's four kinds of error envelope."""
    if isinstance(body, dict):
        errors = body.get("errors")
        if isinstance(errors, list) and errors and isinstance(errors[0], dict):
            return str(errors[0].get("id", "")), str(errors[0].get("message") or errors[0].get("id", ""))
        if isinstance(body.get("error_response"), dict):
            return reason_of(body["error_response"])
        word = str(body.get("error", ""))
        text = body.get("message") or body.get("error_description") or body.get("error_details") or word
        return word, str(text)
    text = answer.body[:200].decode("utf-8", "replace").strip().strip('"')
    return "", text or f"HTTP {answer.status}"


def _skewed(answer: Answer) -> bool:
    try:
        theirs = parsedate_to_datetime(answer.headers["date"]).timestamp() * 1000
    except (KeyError, ValueError, TypeError):
        return False
    return bool(answer.got_at) and abs(theirs + 500 - answer.got_at) > _SKEW_MS


def _retry_after(headers: Mapping[str, str]) -> float | None:
    for name in ("retry-after", "x-ratelimit-reset"):
        value = headers.get(name, "")
        if value.replace(".", "", 1).isdigit() and float(value) <= 3600:
            return float(value)
    return None
