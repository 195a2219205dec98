"""What a venue's WebSocket is from its own side, whatever is said on it: frames that wait to be sent, and JSON among them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import msgspec

_encode = msgspec.json.Encoder().encode


class JsonConnection(ABC):
    """A `protocol.Connection` that speaks JSON texts. `ping_every` is seconds between protocol pings, 0 for none."""

    def __init__(self, *, private: bool, ping_every: float = 0.0) -> None:
        self.private = private
        self.ping_every = ping_every
        self.out: list[str | bytes] = []
        self.closing: int | None = None

    def say(self, value: Any) -> None:
        """Send a value as one frame."""
        self.out.append(_encode(value).decode())

    @abstractmethod
    def receive(self, frame: str | bytes, now_ms: int) -> None:
        """A frame of the client."""

    def tick(self, now_ms: int) -> None:  # noqa: B027 - many venues publish for all sockets at once
        """Time passes."""

    @abstractmethod
    def closed(self) -> None:
        """The socket is gone."""
