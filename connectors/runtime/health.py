"""How a connection does, for the trader and for tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from connectors.runtime.socket import Link, LinkState
from connectors.sync import BookSync


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionHealth:
    """How one connection does. Rates are per second, ages in seconds, delay in ms from the venue's stamp to here.

    `next_in`: seconds until the next attempt, None unless it waits for one.
    """

    family: str
    role: str
    url: str
    state: LinkState
    text: str
    messages: int
    rate: float
    bytes: int
    age: float | None
    delay_ms: float | None
    reconnects: int
    unknown: int
    declined: int
    topics: int
    gaps: int
    resyncs: int
    budget: tuple[float, float] | None
    next_in: float | None = None


def health_of(
    link: Link, books: Sequence[BookSync], budgets: dict[str, tuple[float, float]], now: float
) -> ConnectionHealth:
    """`books` are those that the link carries; of `budgets` (used, limit) the fullest is told; `now` is monotonic."""
    counters = link.counters
    return ConnectionHealth(
        family=link.family,
        role=link.role,
        url=link.url,
        state=link.state,
        text=link.text,
        messages=counters.frames,
        rate=link.rate,
        bytes=counters.bytes,
        age=now - link.last_frame if counters.frames else None,
        delay_ms=counters.delay_ms,
        reconnects=max(0, counters.connects - 1),
        unknown=counters.unknown,
        declined=counters.declined,
        topics=len(link.topics),
        gaps=sum(book.counters.gaps for book in books),
        resyncs=sum(book.counters.resyncs for book in books),
        budget=max(budgets.values(), key=lambda level: level[0] / level[1], default=None),
        next_in=max(0.0, link.next_at - now) if link.state is LinkState.WAITING else None,
    )
