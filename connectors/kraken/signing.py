"""Kraken's signature, its socket frames, and the words of its refusals.

Source: the REST authentication guide, the error list and the spot trading limits of docs.kraken.com, as of 2026.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import msgspec

from connectors.contract import Answer, Ask, Effect, Security, Signer, Stamp, Step, Wire
from connectors.errors import (
    AuthenticationFailed,
    BadNotional,
    BadPrice,
    BadSize,
    DuplicateOrder,
    InstrumentUnknown,
    InsufficientFunds,
    InvalidOrder,
    MarketClosed,
    NonceTooLow,
    NotSupported,
    OrderNotFound,
    OutcomeUnknown,
    PermissionDenied,
    RateLimited,
    Refused,
    SessionExpired,
    TooManyOrders,
    Unintelligible,
    VenueError,
    VenueUnavailable,
    WouldTake,
)

DEADLINE = 5.0  # seconds after which the engine refuses an order that arrives late; the venue's own default on sockets

_encode = msgspec.json.Encoder().encode


def sign(path: str, nonce: str, body: str, secret: str) -> str:
    """base64(HMAC-SHA512(path + SHA256(nonce + body))) with the base64-decoded secret."""
    try:
        key = base64.b64decode(secret, validate=True)
    except (binascii.Error, ValueError):
        raise AuthenticationFailed(
            "the private key is not base64; copy it whole from the page that showed it"
        ) from None
    inner = hashlib.sha256((nonce + body).encode()).digest()
    return base64.b64encode(hmac.new(key, path.encode() + inner, hashlib.sha512).digest()).decode()


def deadline(stamp: Stamp, facts: Mapping[str, Any]) -> str:
    """When an order that is sent now is too late, RFC 3339; "" where `facts` switch it off with deadline 0."""
    seconds = float(facts.get("deadline", DEADLINE))
    if not seconds:
        return ""
    moment = datetime.fromtimestamp(stamp.time_ms / 1000 + seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class KrakenSigner(Signer):
    """Nonce, parameters by name, signature in the header; over sockets the token that the REST API gave out.

    `extra["deadline"]` marks what must not be executed late.
    """

    def seal(
        self, step: Step, secrets: Mapping[str, str], facts: Mapping[str, Any], stamp: Stamp, base_url: str
    ) -> Wire:
        """See `Signer.seal`."""
        late = deadline(stamp, facts) if step.extra.get("deadline") else ""
        if isinstance(step, Ask):
            return Wire(frame=self._frame(step, facts, late))
        if step.security is Security.NONE:
            query = urlencode(step.params, safe=",/")
            return Wire(step.method, f"{step.path}?{query}" if query else step.path)
        key, secret = secrets.get("key", ""), secrets.get("secret", "")
        if not key or not secret:
            raise AuthenticationFailed("this needs an API key and its private key")
        nonce = str(stamp.nonce)
        if step.body is not None:
            kind = "application/json"
            body = _encode({"nonce": nonce, **step.body, **({"deadline": late} if late else {})}).decode()
        else:
            kind = "application/x-www-form-urlencoded"
            params = sorted(step.params + ((("deadline", late),) if late else ()))
            body = urlencode([("nonce", nonce), *params])
        headers = {"API-Key": key, "API-Sign": sign(step.path, nonce, body, secret), "Content-Type": kind}
        return Wire(step.method, step.path, headers, body)

    @staticmethod
    def _frame(ask: Ask, facts: Mapping[str, Any], late: str) -> str:
        payload = dict(ask.payload)
        if ask.security is not Security.NONE:
            token = facts.get("token")
            if not token:
                raise AuthenticationFailed("this needs a token, which the private connection gets when it opens")
            params = {**payload["params"], "token": token}
            payload["params"] = {**params, "deadline": late} if late else params
        payload["req_id"] = int(ask.id)
        return _encode(payload).decode()


# ---------------------------------------------------------------------------------------------------------------------
# Refusals

# The first beginning that fits counts, so the longer ones stand first.
_BY_TEXT: tuple[tuple[str, type[VenueError]], ...] = (
    ("EAPI:Invalid nonce", NonceTooLow),
    ("EAPI:Rate limit exceeded", RateLimited),
    ("EAPI:", AuthenticationFailed),
    ("EAuth:", AuthenticationFailed),
    ("ESession:", SessionExpired),
    ("EAccount:Invalid permissions", PermissionDenied),
    ("EGeneral:Permission denied", PermissionDenied),
    ("EGeneral:Temporary lockout", AuthenticationFailed),
    ("EGeneral:Too many requests", RateLimited),
    ("EGeneral:Invalid arguments:price", BadPrice),
    ("EGeneral:Invalid arguments:volume", BadSize),
    ("EGeneral:Invalid arguments:cl_ord_id", DuplicateOrder),  # ours are well formed, so it can only be taken
    ("EGeneral:Invalid arguments", InvalidOrder),
    ("EGeneral:Internal error", OutcomeUnknown),
    ("EDatabase:", OutcomeUnknown),
    ("EService:Throttled", RateLimited),
    ("EService: Throttled", RateLimited),
    ("EService:Market in", MarketClosed),
    ("EService:Deadline elapsed", VenueUnavailable),
    ("EService:", OutcomeUnknown),  # Unavailable, Busy, Timeout: not said that nothing was done
    ("EOrder:Insufficient", InsufficientFunds),
    ("EOrder:Unknown order", OrderNotFound),
    ("EOrder:Order minimum not met", BadSize),
    ("EOrder:Cost minimum not met", BadNotional),
    ("EOrder:Tick size check failed", BadPrice),
    ("EOrder:Invalid price", BadPrice),
    ("EOrder:Orders limit exceeded", TooManyOrders),
    ("EOrder:Post only", WouldTake),
    ("EOrder:Rate limit exceeded", RateLimited),
    ("EOrder:Domain rate limit exceeded", RateLimited),
    ("EOrder:", InvalidOrder),
    ("EQuery:Unknown asset", InstrumentUnknown),
    ("EQuery:Invalid asset", InstrumentUnknown),
    ("Currency pair not supported", InstrumentUnknown),
    ("Exceeded msg rate", RateLimited),
    ("Unsupported field", NotSupported),
    ("ETrade:User Locked", PermissionDenied),
)


def refusal(text: str, effect: Effect, status: int | None = None, now_ms: int = 0) -> VenueError:
    """The kind of an error string. What gives no verdict leaves an order in doubt, and a question to be asked again."""
    kind = next((kind for beginning, kind in _BY_TEXT if text.startswith(beginning)), Refused)
    if "cl_ord_id" in text and ("duplicate" in text.lower() or "exists" in text.lower()):
        kind = DuplicateOrder
    if kind is OutcomeUnknown and effect.repeatable:
        kind = VenueUnavailable
    code = text.partition(":")[0] if text[:1] == "E" and ":" in text else ""
    words = text.partition(":")[2].strip() if code else text
    if kind is RateLimited:
        return RateLimited(words, code=code, status=status, retry_after=_pause(text, now_ms))
    if kind is NonceTooLow:
        words += "; another program uses this key, or this computer's clock was set back: give Fathom a key of its own"
    if text.startswith("EGeneral:Temporary lockout"):
        words += "; the venue refuses this key for 15 minutes after repeated failures"
    return kind(words, code=code, status=status)


def _pause(text: str, now_ms: int) -> float | None:
    """`EService: Throttled: <unix time>` says until when. The counters say nothing; they fall by one or two in a few seconds."""
    if text.startswith(("EAPI:", "EOrder:")):
        return 5.0
    last = text.rpartition(":")[2].strip()
    if "Throttled" not in text or not last.isascii() or not last.isdigit() or not now_ms:
        return None
    return min(900.0, max(0.0, int(last) - now_ms / 1000))


def result_of(answer: Answer, effect: Effect) -> Any:
    """`result` of a good answer; raises what a bad one means. Errors come with HTTP 200; a 5xx is a page of the proxy."""
    try:
        body = msgspec.json.decode(answer.body)
    except msgspec.DecodeError:
        body = None
    errors = body.get("error") if isinstance(body, dict) else None
    for text in errors if isinstance(errors, list) else [errors] if isinstance(errors, str) else []:
        if not str(text).startswith("W"):  # a warning
            raise refusal(str(text), effect, answer.status, answer.got_at)
    if answer.status >= 500:
        kind = VenueUnavailable if effect.repeatable else OutcomeUnknown
        raise kind(f"HTTP {answer.status} without a verdict", status=answer.status)
    if answer.status == 429:
        raise RateLimited("too many requests", status=429)
    if answer.status == 403:
        raise PermissionDenied("the venue's firewall refused the request", status=403)
    if answer.status >= 400:
        raise Refused(f"HTTP {answer.status}", status=answer.status)
    if not isinstance(body, dict) or "result" not in body:
        raise Unintelligible("the answer has no result", status=answer.status)
    return body["result"]


def result_of_frame(payload: Any, effect: Effect) -> Any:
    """`result` of a socket's answer; raises what `success: false` means."""
    if "success" not in payload and "error" not in payload:
        raise Unintelligible("this is no answer")
    if payload.get("success") is not True or "error" in payload:
        raise refusal(str(payload.get("error", "refused without a reason")), effect)
    return payload.get("result") or {}
