"""Pace: how many things may happen within sliding windows of time; for frames on a socket and for connects."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable


class Pace:
    """Several windows at once, each (count, seconds). Times are monotonic seconds, given by the caller."""

    def __init__(self, windows: Iterable[tuple[int, float]]) -> None:
        self._windows = [(count, seconds, deque[float](maxlen=count)) for count, seconds in windows if count > 0]

    def wait(self, now: float) -> float:
        """Seconds until one more fits; zero if it fits now."""
        pauses = [past[0] + seconds - now for count, seconds, past in self._windows if len(past) == count]
        return max(0.0, *pauses) if pauses else 0.0

    def count(self, now: float) -> None:
        """It happened."""
        for _, _, past in self._windows:
            past.append(now)
