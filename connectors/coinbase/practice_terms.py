"""What Coinbase's own end says everywhere alike: errors, times, queries, public trades."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from connectors.model import Side, plain
from connectors.practice.protocol import HttpAnswer, json_answer
from connectors.practice.terms import PublicTrade


class ApiError(Exception):
    """An HTTP error of the venue: (a) `error` with words, or the plain text of a 401."""

    def __init__(self, status: int, word: str, text: str = "") -> None:
        super().__init__(text or word)
        self.status = status
        self.word = word
        self.text = text

    def answer(self) -> HttpAnswer:
        """On the wire."""
        if self.status == 401:
            return HttpAnswer(401, b"Unauthorized\n", {"Content-Type": "text/plain; charset=utf-8"})
        if self.status == 404 and self.word == "not_found":
            return json_answer({"errors": [{"id": "not_found", "message": "Not found"}]}, 404)
        return json_answer({"error": self.word, "error_details": self.text, "message": self.text}, self.status)


def rfc3339(ms: int) -> str:
    """A time as the venue writes it."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def from_rfc3339(text: str) -> int:
    """The reverse. ApiError for what is none."""
    try:
        return round(datetime.fromisoformat(text).timestamp() * 1000)
    except ValueError:
        raise ApiError(400, "INVALID_ARGUMENT", f"{text} is no time") from None


def trade_row(product: str, row: PublicTrade) -> dict[str, Any]:
    """A public trade; `side` is the maker's."""
    return {
        "trade_id": str(row.id),
        "product_id": product,
        "price": plain(row.price),
        "size": plain(row.size),
        "time": rfc3339(row.time),
        "side": "SELL" if row.side is Side.BUY else "BUY",
    }


def queries(text: str) -> dict[str, list[str]]:
    """A query whose keys may repeat."""
    found: dict[str, list[str]] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        found.setdefault(name, []).append(value)
    return found


def portfolio(account: str) -> str:
    """The one portfolio that a key belongs to."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"portfolio of {account}"))
