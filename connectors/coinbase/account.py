"""Coinbase's private stream: the channel `user` on its own host, every frame with a token of its own.

It tells orders only, and of those only totals: fills are derived, balances are read. A hole in its numbers may hide an order's
news, so the socket is given up and everything is read anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from connectors.coinbase import rows
from connectors.coinbase.frames import Numbering, dial, milliseconds, read_acknowledgement, read_head, subscription
from connectors.contract import (
    UNREADABLE,
    Alive,
    Answered,
    Ask,
    Declined,
    Dial,
    Effect,
    Event,
    LoginLost,
    Role,
    Stream,
    Topic,
    Unknown,
)
from connectors.errors import AuthenticationFailed, VenueUnavailable

USER = "user"
UNREAD = "news of an order could not be read"


class _Orders(Struct):
    type: str = ""
    orders: list[dict[str, Any]] = []


class _Message(Struct):
    events: list[_Orders]
    timestamp: str = ""


_read_orders = msgspec.json.Decoder(_Message, strict=False).decode


class CoinbaseAccountStream(Stream):
    """One private connection."""

    def __init__(self) -> None:
        self._numbers = Numbering()
        self._asked = self._confirmed = False

    def _dial(self) -> Dial:
        return dial(Role.ACCOUNT, signed=True)

    def plan(self, active: frozenset[Topic], add: Sequence[Topic], drop: Sequence[Topic]) -> list[Ask]:
        """All products at once, unless the topics name some; one such subscription is allowed."""
        if not add:
            return []
        self._asked = True
        return [
            subscription(
                Role.ACCOUNT,
                "subscribe",
                USER,
                [topic.wire for topic in add if topic.wire],
                signed=True,
                id=USER,
                answered=True,
                read=_subscribed,
                effect=Effect.SETUP,
                topics=tuple(add),
            )
        ]

    def receive(self, frame: str | bytes) -> list[Event]:
        """Orders, acknowledgements, heartbeats."""
        try:
            head = read_head(frame)
            fresh, missing = self._numbers.take(head.sequence_num)
            if missing:
                return [LoginLost(missing)]
            if not fresh:
                return [Alive()]
            if head.channel == USER:
                return self._orders(frame)
            if head.channel == "heartbeats":
                return [Alive()]
            if head.channel == "subscriptions":
                was, self._confirmed = self._confirmed, USER in read_acknowledgement(frame).active
                if was and not self._confirmed:
                    return [LoginLost("the venue no longer lists the private subscription")]
                return [Answered(USER, {})] if self._confirmed and self._asked else [Alive()]
            if head.type == "error":
                return self._refused(head.message or "the venue refused the subscription")
            return [Unknown(f"private channel {head.channel or head.type}", str(frame[:200]))]
        except UNREADABLE as error:  # the number that was not taken shows it at the next frame
            return [Unknown(f"a frame that does not fit ({type(error).__name__})", str(frame[:200]))]

    def _refused(self, text: str) -> list[Event]:
        """Errors name nothing: until the subscription is confirmed they are its answer, later the end of it."""
        if self._confirmed:
            return [LoginLost(text)]
        return [Answered(USER, {"error": text})] if self._asked else [Declined(text)]

    @staticmethod
    def _orders(frame: str | bytes) -> list[Event]:
        """Row by row: one that does not fit hides no other. If it was news, the lists must tell what it was."""
        try:
            message = _read_orders(frame)
        except UNREADABLE as error:
            what = f"orders that do not fit ({type(error).__name__})"
            return [Unknown(what, str(frame[:200])), LoginLost(UNREAD)]
        time = milliseconds(message.timestamp)
        found: list[Event] = []
        lost: list[Event] = []
        for event in message.events:
            listed = event.type == "snapshot"
            for row in event.orders:
                if (row.get("product_type") or "SPOT") != "SPOT":
                    continue
                try:
                    found.append(rows.user_order(row, time, listed=listed))
                except UNREADABLE as error:
                    found.append(Unknown(f"an order that does not fit ({type(error).__name__})", str(row)[:200]))
                    lost = lost if listed else [LoginLost(UNREAD)]
        return found + lost


def _subscribed(payload: Any) -> None:
    """The venue says `authentication failure` for a wrong channel too, so other words are no verdict on the key."""
    text = payload.get("error")
    if text is None:
        return
    if "authentication" in text.lower():
        raise AuthenticationFailed(f"Coinbase refused the private stream: {text}")
    raise VenueUnavailable(f"Coinbase refused the private stream: {text}")
