"""A clock that tests set: it begins at a fixed moment, runs as fast as real time, and jumps when told."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from connectors.runtime.clock import Clock

# Far from the end of a minute, an hour and a day, and from any hour at which a venue pays funding.
START = datetime(2026, 6, 17, 10, 20, 5, tzinfo=UTC).timestamp()


class Time:
    """One for a server and all its sessions, so that they never differ, and no test depends on when it is run."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self._began = time.monotonic()

    def jump(self, seconds: float) -> None:
        """Let time pass at once."""
        self.ahead += seconds

    def monotonic(self) -> float:
        """Seconds that only rise."""
        return time.monotonic() + self.ahead

    def wall(self) -> float:
        """Seconds since 1970."""
        return START + self.monotonic() - self._began

    def ms(self) -> int:
        """The same in ms, as a venue's clock shows it."""
        return int(self.wall() * 1000)

    def clock(self, *, slow: float = 0.0) -> Clock:
        """A session's clock on this time, so many seconds behind."""
        return Clock(monotonic=self.monotonic, wall=lambda: self.wall() - slow)
