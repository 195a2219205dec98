"""Late fees: executions whose event carries no fee are looked up in the venue's list of fills, soon after and in one go.

Executions come in bursts, so the list is read once the burst is over. A venue may write its list later than it tells of
the execution: what is not in it yet is asked for again, with longer pauses, a few times.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from connectors.errors import VenueError
from connectors.model import Fill

_log = logging.getLogger(__name__)

CALM = 0.4  # seconds without another execution after which the list is read
PAUSES = (0.6, 1.5, 4.0, 10.0, 30.0)  # seconds before the next look at a list that lacked something
OVERLAP = 2_000  # ms that the window begins before the oldest execution


class LateFees:
    """Fees of one family. `read` gives our fills of an instrument (by wire) since a time in ms; `tell` gets them with their fee."""

    def __init__(self, read: Callable[[str, int], Awaitable[list[Fill]]], tell: Callable[[Fill], None]) -> None:
        self._read = read
        self._tell = tell
        self._wanted: dict[str, dict[str, Fill]] = {}
        self._news: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def heard(self, fill: Fill) -> None:
        """An execution; nothing is asked if it has its fee."""
        if fill.fee is not None:
            return
        self._wanted.setdefault(fill.wire, {})[fill.id] = fill
        self._news.setdefault(fill.wire, asyncio.Event()).set()
        if fill.wire not in self._tasks:
            task = asyncio.ensure_future(self._fetch(fill.wire))
            self._tasks[fill.wire] = task
            task.add_done_callback(lambda _: self._tasks.pop(fill.wire, None))

    @property
    def missing(self) -> int:
        """Executions whose fee is not known yet."""
        return sum(len(fills) for fills in self._wanted.values())

    async def stop(self) -> None:
        """Ask no more."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _fetch(self, wire: str) -> None:
        wanted, news = self._wanted[wire], self._news[wire]
        turn = 0
        while wanted:
            while news.is_set():  # a burst: wait for its end
                news.clear()
                turn = 0
                await asyncio.sleep(CALM)
            try:
                found = await self._read(wire, min(fill.time for fill in wanted.values()) - OVERLAP)
            except VenueError as error:
                _log.info("the fees of %s could not be read: %s", wire, error)
                found = []
            for fill in found:
                asked = wanted.get(fill.id)
                if asked is not None and asked.venue_id == fill.venue_id and fill.fee is not None:
                    del wanted[fill.id]
                    self._tell(fill)
            if not wanted or news.is_set():
                continue
            if turn == len(PAUSES):
                _log.warning("%d fees of %s are not in the venue's list of fills", len(wanted), wire)
                wanted.clear()
                return
            try:
                await asyncio.wait_for(news.wait(), PAUSES[turn])
            except TimeoutError:
                turn += 1
