"""Real recorded traffic through the code that runs live; the counts are those that an independent replay of the rules gave."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.catalogue import load
from connectors.runtime.replay import replay

# venue, file: frames, applied, dropped as old, gaps, crossed, tops compared, tops equal, instruments
SESSIONS = [
    ("binance", "session-spot-2021-10-12.jsonl.gz", (177, 172, 5, 0, 0, 159, 159, 4)),
    ("binance", "session-usdm-2021-07-22.jsonl.gz", (764, 752, 12, 0, 0, 744, 744, 4)),
]


@pytest.mark.parametrize(("slug", "name", "expected"), SESSIONS)
def test_a_recorded_session_replays_whole(venues_dir: Path, slug: str, name: str, expected: tuple[int, ...]) -> None:
    report = replay(venues_dir / slug / name, load(slug))
    books = list(report.books.values())
    fields = ("frames", "applied", "dropped", "gaps", "crossed", "tops_compared", "tops_equal")
    assert (*(sum(getattr(book, field) for book in books) for field in fields), len(books)) == expected
    assert report.not_understood == 0
    assert report.unmatched == 0
    assert all(book.best_bid is not None and book.best_ask is not None for book in books)
    assert all(book.best_bid < book.best_ask for book in books if book.best_bid and book.best_ask)
