"""What both of Coinbase's sockets share: one number for every message of a connection, and times with any count of digits.

The number counts all channels and products together, acknowledgements and heartbeats included (venue traffic of 2026-09).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from connectors.contract import Ask, Dial, Security

MAX_FRAME = 32 * 2**20  # a busy product's first book is one frame of several MB
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Head(Struct, gc=False):
    """What every message says of itself; errors have no number."""

    channel: str = ""
    type: str = ""
    sequence_num: int | None = None
    timestamp: str = ""
    message: str = ""


class Acknowledged(Struct):
    """One event of the channel `subscriptions`: everything that is active, by channel."""

    subscriptions: dict[str, list[str]] = {}


class Acknowledgement(Struct):
    """The whole message; only one event has ever been seen in it."""

    events: list[Acknowledged]
    sequence_num: int | None = None

    @property
    def active(self) -> dict[str, list[str]]:
        """Product ids by channel; a channel without products lists its own name."""
        return {name: list(ids) for event in self.events for name, ids in event.subscriptions.items()}


read_head = msgspec.json.Decoder(Head, strict=False).decode
read_acknowledgement = msgspec.json.Decoder(Acknowledgement, strict=False).decode


def milliseconds(text: str) -> int | None:
    """ms of an RFC 3339 time with 0 to 9 digits of a second; None for an empty or an odd one."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round((moment - _EPOCH).total_seconds() * 1000)


class Numbering:
    """The number of the last message of one connection."""

    def __init__(self) -> None:
        self.last: int | None = None

    def take(self, number: int | None) -> tuple[bool, str]:
        """Whether a message is to be read (an old one is not), and what is missing before it, "" for nothing."""
        last = self.last
        if number is None:
            return True, ""
        if last is not None and number <= last:
            return False, ""
        self.last = number
        if last is None or number == last + 1:
            return True, ""
        return True, f"messages {last + 1} to {number - 1} of this connection are missing"


def subscription(
    endpoint: str, kind: str, channel: str, products: Sequence[str] = (), *, signed: bool = False, **rest: Any
) -> Ask:
    """A `subscribe` or `unsubscribe` frame: one channel, any number of products."""
    payload: dict[str, Any] = {"type": kind}
    if products:
        payload["product_ids"] = list(products)
    payload["channel"] = channel
    fields: dict[str, Any] = {"id": "", "answered": False, **rest}
    security = Security.SIGNED if signed else Security.NONE
    return Ask(endpoint=endpoint, payload=payload, security=security, **fields)


def dial(endpoint: str, *, signed: bool = False) -> Dial:
    """A socket that is kept alive by the channel `heartbeats`; its subscription is also the one wanted within 5 s."""
    beat = subscription(endpoint, "subscribe", "heartbeats", signed=signed)
    return Dial(first=(beat,), max_size=MAX_FRAME)
