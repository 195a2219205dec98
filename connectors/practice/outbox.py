"""Events on their way out: numbered when they happen, delivered when the operation that made them is complete."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, TypeAlias

Listener: TypeAlias = Callable[[Any], None]


class Outbox:
    """Listeners by topic (a listing's key, or an account's name behind "@") and the events that wait for them.

    Every event takes a number whether someone listens or not, so numbers depend on what happened alone.
    """

    def __init__(self) -> None:
        self.sequence = 0
        self._listeners: dict[str, tuple[Listener, ...]] = {}
        self._waiting: deque[tuple[tuple[Listener, ...], Any]] = deque()
        self._delivering = False

    def listen(self, topic: str, listener: Listener) -> Callable[[], None]:
        """Hear a topic from now on. Returns what ends it."""
        self._listeners[topic] = (*self._listeners.get(topic, ()), listener)

        def end() -> None:
            left = list(self._listeners.get(topic, ()))
            if listener in left:
                left.remove(listener)
            self._listeners[topic] = tuple(left)

        return end

    def number(self) -> int:
        """The next event's number."""
        self.sequence += 1
        return self.sequence

    def heard(self, topic: str) -> tuple[Listener, ...]:
        """Who listens; an event without listeners need not be made."""
        return self._listeners.get(topic, ())

    def put(self, listeners: tuple[Listener, ...], event: Any) -> None:
        """Queue an event for delivery."""
        self._waiting.append((listeners, event))

    def deliver(self) -> None:
        """Hand out what waits. Called from within a listener it leaves that to the call that is under way."""
        if self._delivering or not self._waiting:
            return
        self._delivering = True
        try:
            while self._waiting:
                listeners, event = self._waiting.popleft()
                for listener in listeners:
                    listener(event)
        finally:
            self._delivering = False
