"""Pace: how many things may happen within sliding windows of time, and how long to wait before a further attempt."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable


def pause_after(failures: int, first: float, longest: float, chance: random.Random) -> float:
    """Seconds before the next attempt after so many failures: up to twice as long each time, jittered in full.

    Full jitter: what fell together does not come back together.
    """
    return chance.uniform(0.0, min(longest, first * 2.0 ** min(failures, 30)))


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
