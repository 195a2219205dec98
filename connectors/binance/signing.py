"""Binance's signatures, and the words of its refusals. Shared by spot and USD-M futures.

Source: the request security and error code pages of both products' API documentation, as of 2026-07.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from connectors.contract import Answer, Ask, Security, Signer, Stamp, Step, Wire
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
    ReduceOnlyRefused,
    Refused,
    SessionExpired,
    TooManyOrders,
    Unintelligible,
    VenueError,
    VenueUnavailable,
    WouldTake,
    WouldTrigger,
)

RECV_WINDOW = 5000  # ms; the venue's default, sent so that a late arrival is refused for sure

_encode = msgspec.json.Encoder().encode


def sign(payload: str, secret: str) -> str:
    """HMAC-SHA256 in hex for a plain secret; RSA PKCS#1 v1.5 or Ed25519 in base64 for a PEM private key."""
    if "PRIVATE KEY" not in secret:
        return hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
    try:
        key = serialization.load_pem_private_key(secret.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise AuthenticationFailed("the private key is no PEM key that can be read without a password") from None
    if isinstance(key, ed25519.Ed25519PrivateKey):
        raw = key.sign(payload.encode())
    elif isinstance(key, rsa.RSAPrivateKey):
        raw = key.sign(payload.encode(), padding.PKCS1v15(), hashes.SHA256())
    else:
        raise AuthenticationFailed("Binance takes Ed25519 and RSA private keys; this one is of another kind")
    return base64.b64encode(raw).decode()


def query(params: tuple[tuple[str, str], ...]) -> str:
    """`k=v&...` with each value percent-encoded, which is also what is signed (since 2026-01-15)."""
    return "&".join(f"{name}={quote(value, safe='-_.~')}" for name, value in params)


class BinanceSigner(Signer):
    """REST: parameters, recvWindow, timestamp, signature last. WebSocket API: parameters sorted, values as they are."""

    def seal(
        self, step: Step, secrets: Mapping[str, str], facts: Mapping[str, Any], stamp: Stamp, base_url: str
    ) -> Wire:
        """See `Signer.seal`."""
        key, secret = secrets.get("key", ""), secrets.get("secret", "")
        if step.security is not Security.NONE and not key:
            raise AuthenticationFailed("this needs an API key")
        if step.security is Security.SIGNED and not secret:
            raise AuthenticationFailed("this needs the key's secret")
        window = str(facts.get("recv_window", RECV_WINDOW))
        if isinstance(step, Ask):
            return Wire(frame=self._frame(step, key, secret, window, stamp))
        text = query(step.params)
        if step.security is Security.SIGNED:
            text = "&".join(filter(None, [text, f"recvWindow={window}", f"timestamp={stamp.time_ms}"]))
            text += "&signature=" + quote(sign(text, secret), safe="-_.~")
        headers = dict(step.headers)
        if step.security is not Security.NONE:
            headers["X-MBX-APIKEY"] = key
        if step.form:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            return Wire(step.method, step.path, headers, text)
        return Wire(step.method, f"{step.path}?{text}" if text else step.path, headers)

    @staticmethod
    def _frame(ask: Ask, key: str, secret: str, window: str, stamp: Stamp) -> str:
        payload = dict(ask.payload)
        if isinstance(payload.get("params"), list):  # a stream's SUBSCRIBE
            return _encode({**payload, "id": int(ask.id) if ask.id.isdigit() else ask.id}).decode()
        params: dict[str, Any] = dict(payload.get("params") or {})
        if ask.security is Security.SIGNED:
            params["apiKey"] = key
            if ask.extra.get("window", True):
                params["recvWindow"] = int(window)
            params["timestamp"] = stamp.time_ms
            params["signature"] = sign("&".join(f"{name}={params[name]}" for name in sorted(params)), secret)
        return _encode({"id": ask.id, "method": payload["method"], "params": params}).decode()


# ---------------------------------------------------------------------------------------------------------------------
# Refusals

_BY_CODE: dict[int, type[VenueError]] = {
    -1000: OutcomeUnknown,
    -1001: OutcomeUnknown,
    -1006: OutcomeUnknown,
    -1007: OutcomeUnknown,
    -1008: VenueUnavailable,
    -1016: VenueUnavailable,
    -1003: RateLimited,
    -1015: RateLimited,
    -1013: InvalidOrder,
    -1021: ClockSkewed,
    -5028: ClockSkewed,
    -1022: AuthenticationFailed,
    -1111: BadSize,
    -1116: NotSupported,
    -1121: InstrumentUnknown,
    -1125: SessionExpired,
    -2011: OrderNotFound,
    -2013: OrderNotFound,
    -2026: OrderNotFound,
    -2014: AuthenticationFailed,
    -2015: PermissionDenied,
    -2018: InsufficientFunds,
    -2019: InsufficientFunds,
    -2021: WouldTrigger,
    -2022: ReduceOnlyRefused,
    -2023: TooManyOrders,
    -2025: TooManyOrders,
    -2027: TooManyOrders,
    -2028: TooManyOrders,
    -4001: BadPrice,
    -4002: BadPrice,
    -4013: BadPrice,
    -4014: BadPrice,
    -4016: BadPrice,
    -4024: BadPrice,
    -4131: BadPrice,
    -4003: BadSize,
    -4004: BadSize,
    -4005: BadSize,
    -4023: BadSize,
    -4046: NothingToChange,
    -4061: InvalidOrder,
    -4116: DuplicateOrder,
    -4118: ReduceOnlyRefused,
    -4120: NotSupported,
    -4140: MarketClosed,
    -4141: MarketClosed,
    -4164: BadNotional,
    -5021: NotFillable,
    -5022: WouldTake,
    -5027: NothingToChange,
}

# -1013 and -2010 say in words what they mean; the first that is contained counts.
_BY_TEXT: tuple[tuple[str, type[VenueError]], ...] = (
    ("insufficient balance", InsufficientFunds),
    ("Duplicate order", DuplicateOrder),
    ("immediately match", WouldTake),
    ("trigger immediately", WouldTrigger),
    ("Market is closed", MarketClosed),
    ("NOTIONAL", BadNotional),
    ("PERCENT_PRICE", BadPrice),
    ("PRICE_FILTER", BadPrice),
    ("LOT_SIZE", BadSize),
    ("MAX_NUM", TooManyOrders),
    ("MAX_POSITION", TooManyOrders),
    ("not supported", NotSupported),
    ("Unknown order", OrderNotFound),
)


_NOT_DONE = "service unavailable"  # what a 503 says when nothing was executed
BAN = 120.0  # seconds; the shortest one, where none is named


def refusal(
    code: int, text: str, status: int | None, headers: Mapping[str, str] | None = None, data: Any = None
) -> VenueError:
    """The kind of an error envelope. A number that nobody knows in a 5xx says nothing of what became of the request.

    `data` is what the WebSocket API adds: the time (ms) from which it may be asked again.
    """
    kind = _BY_CODE.get(code)
    if code in (-1013, -2010):
        kind = next((found for words, found in _BY_TEXT if words.lower() in text.lower()), InvalidOrder)
    elif code == -2026 and "reduce" in text.lower():
        kind = ReduceOnlyRefused  # futures; on spot the number is an order's that was archived
    elif code == -2021 and "cancel-replace" in text:
        kind = OutcomeUnknown  # one half was done
    elif kind is BadSize and code == -1111 and "price" in text.lower():
        kind = BadPrice
    if kind is RateLimited or status in (418, 429):
        return RateLimited(
            text, code=str(code), status=status, retry_after=_pause(status, headers, data), banned=status == 418
        )
    if kind is None and status is not None and status >= 500:
        kind = VenueUnavailable if status == 503 and _NOT_DONE in text.lower() else OutcomeUnknown
    elif kind is None:
        kind = InvalidOrder if -1200 < code <= -1100 else Refused
    return kind(text, code=str(code), status=status)


def _pause(status: int | None, headers: Mapping[str, str] | None, data: Any) -> float | None:
    """Seconds until the venue listens again; None if it does not tell."""
    after = (headers or {}).get("retry-after", "")
    if after.replace(".", "", 1).isdigit():
        return float(after)
    if isinstance(data, dict) and isinstance(data.get("retryAfter"), int) and isinstance(data.get("serverTime"), int):
        return max(0.0, (data["retryAfter"] - data["serverTime"]) / 1000)
    return BAN if status == 418 else None


def read_json(answer: Answer) -> Any:
    """The decoded body of a good answer; raises what a bad one means.

    A 5xx leaves the outcome open unless its text says that nothing was executed (503 "Service Unavailable", -1008).
    """
    try:
        body = msgspec.json.decode(answer.body) if answer.body else {}
    except msgspec.DecodeError:
        body = None
    code = body.get("code") if isinstance(body, dict) else None
    if isinstance(body, dict) and isinstance(code, int) and code < 0 and "msg" in body:
        raise refusal(code, str(body["msg"]), answer.status, answer.headers)
    if answer.status in (418, 429):
        raise refusal(-1003, "too many requests", answer.status, answer.headers)
    if answer.status == 403:
        raise PermissionDenied("the venue's firewall refused the request", status=403)
    if answer.status >= 500:
        text = answer.body[:200].decode("utf-8", "replace")
        if answer.status == 503 and _NOT_DONE in text.lower():
            raise VenueUnavailable("the venue is overloaded and did not execute it", status=503)
        raise OutcomeUnknown(f"HTTP {answer.status} without a verdict", status=answer.status)
    if answer.status >= 400:
        said = body.get("msg") if isinstance(body, dict) else None
        raise Refused(str(said or f"HTTP {answer.status}"), status=answer.status)
    if body is None:
        raise Unintelligible("the answer is no JSON", status=answer.status)
    return body


def read_ws(payload: Any) -> Any:
    """The result of a WebSocket API answer; raises what an error means."""
    error = payload.get("error")
    if error is not None:
        raise refusal(
            int(error.get("code", 0)), str(error.get("msg", "")), payload.get("status"), data=error.get("data")
        )
    if payload.get("status", 200) >= 500:
        raise OutcomeUnknown(f"status {payload['status']} without a verdict", status=payload["status"])
    return payload.get("result")
