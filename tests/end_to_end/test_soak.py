"""Twenty kills at random moments with fixed seeds, at venues of different shapes. `./dev soak` does the same for as long as told."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.end_to_end.soak import rounds

KILLS = 5
PATIENCE = 6.0  # seconds until a request counts as never arrived: more than any of these takes, and less to wait for


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("slug", "seed"), [("binance", 1), ("binance", 2), ("kraken", 3), ("bitmex", 4)])
async def test_a_process_killed_at_random_moments_loses_and_doubles_nothing(
    tmp_path: Path, slug: str, seed: int
) -> None:
    """given orders placed, changed and cancelled while much goes wrong, then after each restart all books agree."""
    tally = await rounds(slug, tmp_path, kills=KILLS, until=time.monotonic() + 550, seed=seed, patience=PATIENCE)
    assert tally.kills == KILLS
    assert tally.orders > 0
    assert tally.settling, "nothing was compared"
