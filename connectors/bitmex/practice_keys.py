"""Who asks BitMEX's own end, and how often: keys and their signatures, request limits."""

from __future__ import annotations

import secrets
from typing import Any

from connectors.bitmex.practice_terms import ApiError
from connectors.practice.protocol import HttpRequest, Keys


def fresh_key() -> dict[str, str]:
    """A key and its secret, of the venue's lengths."""
    return {"key": secrets.token_urlsafe(18), "secret": secrets.token_urlsafe(36)}


def too_many(seconds: int) -> ApiError:
    """429 with the seconds in its text."""
    return ApiError(429, f"Rate limit exceeded, retry in {seconds} seconds.", "RateLimitError")


class Gate:
    """Proves who asks, and counts how often."""

    def __init__(self) -> None:
        self.keys = Keys()
        self._left: dict[str, tuple[float, int]] = {}  # tokens of each limit, and when they were counted

    def authenticate(self, request: HttpRequest, now_ms: int) -> str:
        """The account that a request is signed for, "" for one without a key. Raises ApiError.

        The recipe runs on the bytes that came.
        """
        key = request.headers.get("api-key", "")
        if not key:
            return ""
        path = f"{request.path}?{request.query}" if request.query else request.path
        expires, signature = request.headers.get("api-expires", ""), request.headers.get("api-signature", "")
        return self.verify(key, expires, signature, f"{request.method}{path}".encode(), request.body, now_ms)

    def verify(self, name: str, expires: Any, signature: str, head: bytes, body: bytes, now_ms: int) -> str:
        """The account of a key whose signature over `head`, expiry and `body` is right. Raises ApiError."""
        key = self.keys.find(name)
        if key is None:
            raise ApiError(401, "Invalid API Key.")
        try:
            until = int(str(expires))
        except ValueError:
            raise ApiError(401, "Missing or malformed api-expires.") from None
        if until * 1000 < now_ms:
            now = now_ms // 1000
            raise ApiError(401, f"This request has expired - `expires` is in the past. Current time: {now}")
        if not self.keys.verify_sha256(key, head + str(until).encode() + body, signature):
            raise ApiError(401, "Signature not valid.")
        return key.account

    def count(self, account: str, now_ms: int, *, orders: bool, limited: bool) -> dict[str, str]:
        """120 requests a minute with a key, 30 without; orders also ten a second. Each refills steadily.

        Returns the headers that tell of it. Raises ApiError when there were too many and they are `limited`.
        """
        limit = 120 if account else 30
        left, seconds = self._take(f"minute {account}", limit, 60_000, now_ms, limited=limited)
        headers = {
            "x-ratelimit-limit": str(limit),
            "x-ratelimit-remaining": str(int(left)),
            "x-ratelimit-reset": str(now_ms // 1000 + int((limit - left) * 60 / limit) + 1),
        }
        if orders and account and not seconds:
            left, seconds = self._take(f"second {account}", 10, 1000, now_ms, limited=limited)
            headers["x-ratelimit-remaining-1s"] = str(int(left))
        if seconds:
            error = too_many(seconds)
            error.headers = {**headers, "retry-after": str(seconds)}
            raise error
        return headers

    def _take(self, name: str, limit: int, period: int, now_ms: int, *, limited: bool) -> tuple[float, int]:
        """What is left of a limit after one more, and 0; or what there is and the seconds to wait if that is not enough."""
        left, since = self._left.get(name, (float(limit), now_ms))
        left = min(float(limit), left + (now_ms - since) * limit / period)
        wait = max(1, round((1 - left) * period / limit / 1000 + 0.5)) if left < 1 and limited else 0
        left = left if wait else max(0.0, left - 1)
        self._left[name] = (left, now_ms)
        return left, wait
