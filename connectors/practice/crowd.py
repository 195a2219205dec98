"""A seeded crowd that makes a market: makers around a wandering price, takers, sweeps and walls."""

from __future__ import annotations

from collections.abc import Iterable

from connectors.practice.exchange import Exchange


class Crowd:
    """Traders of the exchange's own, with deep pockets; everything they do follows from `seed` and the times given.

    `rate` is the number of messages a second over all listings together, shared out by `Listing.activity`.
    """

    def __init__(self, exchange: Exchange, listings: Iterable[str], *, seed: int, rate: float = 200.0) -> None: ...

    def populate(self, *, history_ms: int = 86_400_000) -> None:
        """Fill empty books and make up what traded before now (candles back to `history_ms` and far coarser beyond)."""

    def step(self, now_ms: int) -> int:
        """Do everything that is due up to `now_ms`, advancing the exchange on the way. Returns the number of messages."""
