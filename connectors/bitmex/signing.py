"""BitMEX's signatures, and the words of its refusals.

Sources: the venue's API key page (three worked examples) and its error table.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from connectors.contract import Answer, Ask, Security, Signer, Stamp, Step, Wire
from connectors.errors import (
    AuthenticationFailed,
    BadPrice,
    BadSize,
    ClockSkewed,
    DuplicateOrder,
    InstrumentUnknown,
    InsufficientFunds,
    InvalidOrder,
    MarketClosed,
    NothingToChange,
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

WINDOW = 5  # seconds; a request that arrives later is void, so after that a lost order can't come to life any more

encode = msgspec.json.Encoder(decimal_format="number").encode
decode = msgspec.json.Decoder(float_hook=Decimal).decode


def sign(verb: str, path: str, expires: int, body: str, secret: str) -> str:
    """Hex of HMAC-SHA256 over verb, path with query, expiry in seconds and body, one after the other."""
    return hmac.new(secret.encode(), f"{verb}{path}{expires}{body}".encode(), hashlib.sha256).hexdigest()


class BitmexSigner(Signer):
    """REST: three headers. Socket: `authKeyExpires` with key, expiry and the signature of GET /realtime."""

    def seal(
        self, step: Step, secrets: Mapping[str, str], facts: Mapping[str, Any], stamp: Stamp, base_url: str
    ) -> Wire:
        """See `Signer.seal`."""
        key, secret = secrets.get("key", ""), secrets.get("secret", "")
        signed = step.security is not Security.NONE
        if signed and not key:
            raise AuthenticationFailed("this needs an API key")
        if signed and not secret:
            raise AuthenticationFailed("this needs the key's secret")
        expires = stamp.time_ms // 1000 + WINDOW
        if isinstance(step, Ask):
            payload = dict(step.payload)
            if signed:
                payload["args"] = [key, expires, sign("GET", "/realtime", expires, "", secret)]
            return Wire(frame=encode(payload).decode())
        query = "&".join(f"{name}={quote(value, safe='-_.~')}" for name, value in step.params)
        path = f"{step.path}?{query}" if query else step.path
        body = "" if step.body is None else step.body if isinstance(step.body, str) else encode(step.body).decode()
        headers = dict(step.headers)
        if body:
            headers["Content-Type"] = "application/json"
        if signed:
            headers["api-key"] = key
            headers["api-expires"] = str(expires)
            headers["api-signature"] = sign(step.method, urlsplit(base_url).path + path, expires, body, secret)
        return Wire(step.method, path, headers, body or None)


# ---------------------------------------------------------------------------------------------------------------------
# Refusals. A 4xx but 408 is a verdict: nothing was executed. So is the 503 of the overload; other 5xx leave the outcome open.

_BY_TEXT: tuple[tuple[str, type[VenueError]], ...] = (
    ("insufficient available balance", InsufficientFunds),
    ("insufficient", InsufficientFunds),
    ("duplicate clordid", DuplicateOrder),
    ("invalid stoppx", WouldTrigger),
    ("participatedonotinitiate", WouldTake),
    ("invalid price", BadPrice),
    ("price must be", BadPrice),
    ("orderqty", BadSize),
    ("leavesqty", BadSize),
    ("unable to cancel", OrderNotFound),
    ("invalid ordstatus", OrderNotFound),
    ("invalid orderid", OrderNotFound),
    ("invalid origclordid", OrderNotFound),
    ("not found", OrderNotFound),
    ("too many open orders", TooManyOrders),
    ("symbol", InstrumentUnknown),
    ("instrument has expired", MarketClosed),
    ("closed", MarketClosed),
    ("this request has expired", ClockSkewed),
)


def refusal(text: str, status: int | None, headers: Mapping[str, str] | None = None) -> VenueError:
    """The kind of an error message that proves that nothing was done."""
    code = str(status) if status is not None else ""
    low = text.lower()
    if status == 429 or "rate limit exceeded" in low:
        told = (headers or {}).get("retry-after") or next(iter(re.findall(r"in (\d+) second", low)), "")
        retry = float(told) if told.replace(".", "", 1).isdigit() else None
        return RateLimited(text, code=code, status=status, retry_after=retry)
    if status == 401:
        kind: type[VenueError] = ClockSkewed if "expired" in low else AuthenticationFailed
    elif status == 403:
        kind = PermissionDenied
    elif "unchanged" in low:
        kind = NothingToChange
    else:
        kind = next((found for words, found in _BY_TEXT if words in low), InvalidOrder if status == 400 else Refused)
    return kind(text, code=code, status=status)


def read_json(answer: Answer) -> Any:
    """The decoded body of a good answer; raises what a bad one means."""
    try:
        body = decode(answer.body)
    except msgspec.DecodeError:
        body = None
    error = body.get("error") if isinstance(body, dict) else None
    text = str(error.get("message", "")) if isinstance(error, dict) else str(error or "")
    if answer.status >= 500 or answer.status == 408:
        if answer.status == 503 and "overloaded" in text:
            raise VenueUnavailable(text, code="503", status=503)
        raise OutcomeUnknown(text or f"HTTP {answer.status} without a verdict", status=answer.status)
    if answer.status >= 400 or error is not None:
        raise refusal(text or f"HTTP {answer.status}", answer.status, answer.headers)
    if body is None:
        raise Unintelligible("the answer is no JSON", status=answer.status)
    return body
