"""Rate limits: what a venue allows, what we have used of it, and waiting before it is too much.

A bucket drains steadily and is corrected upwards by what the venue says it counted. A refusal closes it for the time that
the venue names; a ban closes everything. Cancels may use the last tenth of a bucket, other requests leave it to them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from connectors.contract import Bucket, Cost, Effect

RESERVE = 0.1


@dataclass(slots=True)
class _Level:
    used: float
    at: float
    closed_until: float = 0.0


class Limits:
    """The budgets of one session. `wait` and `sleep` are given for tests."""

    def __init__(
        self,
        buckets: Iterable[Bucket],
        now: Callable[[], float],
        sleep: Callable[[float], asyncio.Future[None]] | Callable[[float], object] = asyncio.sleep,
    ) -> None:
        self._buckets = {bucket.name: bucket for bucket in buckets}
        self._levels: dict[tuple[str, str], _Level] = {}
        self._now = now
        self._sleep = sleep
        self._banned_until = 0.0

    async def take(self, costs: Iterable[Cost], effect: Effect) -> None:
        """Wait until `costs` fit, then count them as used."""
        wanted = [cost for cost in costs if cost.bucket in self._buckets]
        while (pause := max([self._wait(cost, effect) for cost in wanted], default=self._ban())) > 0:
            await self._sleep(pause)  # ty: ignore[invalid-await] - a coroutine function, or a fake of a test
        for cost in wanted:
            self._level(cost.bucket, cost.scope).used += cost.weight

    def told(self, name: str, used: float) -> None:
        """The venue says that `used` of a bucket is gone."""
        if name in self._buckets:
            level = self._level(name, "")
            level.used = max(level.used, used)

    def refused(self, costs: Iterable[Cost], retry_after: float | None, *, banned: bool) -> None:
        """The venue said too much: close what the request used, or everything."""
        until = self._now() + (retry_after if retry_after is not None else 1.0)
        if banned:
            self._banned_until = max(self._banned_until, until)
        for cost in costs:
            if cost.bucket in self._buckets:
                level = self._level(cost.bucket, cost.scope)
                level.closed_until = max(level.closed_until, until)

    def used(self) -> dict[str, tuple[float, float]]:
        """Used and limit by bucket, the fullest scope of each."""
        found = {name: (0.0, bucket.limit) for name, bucket in self._buckets.items()}
        for name, scope in list(self._levels):
            level = self._level(name, scope)
            found[name] = (max(found[name][0], level.used), found[name][1])
        return found

    def _ban(self) -> float:
        return self._banned_until - self._now()

    def _wait(self, cost: Cost, effect: Effect) -> float:
        bucket, level = self._buckets[cost.bucket], self._level(cost.bucket, cost.scope)
        closed = max(level.closed_until - self._now(), self._ban())
        room = bucket.limit if effect is Effect.CANCEL else bucket.limit * (1 - RESERVE)
        over = level.used + cost.weight - max(room, cost.weight)
        return max(closed, over * bucket.period / bucket.limit if over > 1e-9 else 0.0)

    def _level(self, name: str, scope: str) -> _Level:
        now, bucket = self._now(), self._buckets[name]
        level = self._levels.setdefault((name, scope), _Level(0.0, now))
        level.used = max(0.0, level.used - (now - level.at) * bucket.limit / bucket.period)
        level.at = now
        return level
