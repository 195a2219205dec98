"""Time as a venue sees it: a monotonic clock, the venue's wall clock as well as we know it, and stamps for signing.

Nothing here believes the machine's wall clock more than once: it is read at the start and carried on by a clock that nobody
sets, so that a step of it (the user, a time server, a resumed machine) neither makes signatures stale nor orders old.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from connectors.contract import Stamp

# Goes on while the machine sleeps: a clock of its own on Linux, the monotonic one of macOS (Python's stands still there) and Windows.
_LASTING: int | None = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))


def lasting() -> float:
    """Seconds that only rise, with the time that the machine sleeps, untouched by whoever sets the wall clock."""
    return time.clock_gettime(_LASTING) if _LASTING is not None else time.monotonic()


_BEGAN = time.time() - lasting()


def steady() -> float:
    """Seconds since 1970: the wall clock as it stood when the program began, carried on by `lasting`."""
    return _BEGAN + lasting()


class Clock:
    """One a session. `offset` is venue time minus ours (`steady`) in ms; `error` half the round trip of the best sample."""

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = steady,
        token: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        self.monotonic = monotonic
        self._wall = wall
        self._token = token
        self._nonce = 0
        self.offset = 0.0
        self.error = float("inf")

    def local_ms(self) -> float:
        """Our own time in ms."""
        return self._wall() * 1000

    def ms(self) -> int:
        """The venue's clock in ms, as well as we know it."""
        return round(self._wall() * 1000 + self.offset)

    def learn(self, venue_ms: float, sent: float, got: float) -> None:
        """Take a sample: the venue said `venue_ms` between our `sent` and `got`. The tightest sample counts."""
        error = (got - sent) / 2
        if error <= self.error:
            self.error = error
            self.offset = venue_ms - (sent + got) / 2

    def forget(self) -> None:
        """Our idea of the venue's clock was wrong: the next sample counts whatever its quality."""
        self.error = float("inf")

    def stamp(self) -> Stamp:
        """This moment, for a signature. The nonce rises with every stamp, in ms as long as that suffices."""
        now = self.ms()
        self._nonce = max(self._nonce + 1, now)
        return Stamp(now, self._nonce, self._token())

    def leap(self) -> None:
        """A venue has seen a higher nonce of this key than we make: go on a minute higher."""
        self._nonce = max(self._nonce, self.ms()) + 60_000
