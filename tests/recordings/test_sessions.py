"""Real recorded traffic through the code that runs live; the counts are those that an independent replay of the rules gave."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from connectors.catalogue import load, slugs
from connectors.runtime.replay import replay

# venue, file: frames, applied, dropped as old, gaps, crossed, tops compared, tops equal, instruments
SESSIONS = [
    ("binance", "session-spot-2021-10-12.jsonl.gz", (177, 172, 5, 0, 0, 159, 159, 4)),
    ("binance", "session-usdm-2021-07-22.jsonl.gz", (764, 752, 12, 0, 0, 744, 744, 4)),
    ("bitmex", "session-20210722.jsonl.gz", (1969, 1969, 0, 0, 0, 0, 0, 10)),
    ("kraken", "session-v2-20260816.jsonl.gz", (82, 82, 0, 0, 0, 0, 0, 2)),
    ("kraken", "session-v2-resync-20260818.jsonl.gz", (17, 17, 0, 0, 0, 0, 0, 1)),
    ("kraken", "session-v1-20210417.jsonl.gz", (4269, 4269, 0, 0, 0, 0, 0, 10)),
    ("coinbase", "session-exchange-2021.jsonl.gz", (9719, 9719, 0, 0, 0, 0, 0, 10)),
    ("kucoin", "session-spot-classic-2021-04.jsonl.gz", (3853, 3805, 48, 0, 0, 819, 819, 9)),
]
# Recordings that nothing reads, and why.
UNREAD = {"session-coinm-2021-07-22.jsonl.gz": "coin-margined contracts are no family of Binance here"}
# Recordings of protocols that are gone; `dialects/<venue>.py` reads them.
DIALECTS = {"session-v1-20210417.jsonl.gz", "session-exchange-2021.jsonl.gz"}
# file: checksums that matched; no recorded one may fail
CHECKSUMS = {
    "session-v2-20260816.jsonl.gz": 84,
    "session-v2-resync-20260818.jsonl.gz": 19,
    "session-v1-20210417.jsonl.gz": 4269,
}


@pytest.mark.parametrize(("slug", "name", "expected"), SESSIONS)
def test_a_recorded_session_replays_whole(venues_dir: Path, slug: str, name: str, expected: tuple[int, ...]) -> None:
    venue = importlib.import_module(f"tests.recordings.dialects.{slug}").VENUE if name in DIALECTS else load(slug)
    report = replay(venues_dir / slug / name, venue)
    books = list(report.books.values())
    fields = ("frames", "applied", "dropped", "gaps", "crossed", "tops_compared", "tops_equal")
    assert (*(sum(getattr(book, field) for book in books) for field in fields), len(books)) == expected
    assert report.not_understood == 0
    assert report.unmatched == 0
    assert sum(book.checksums_ok for book in books) == CHECKSUMS.get(name, 0)
    assert sum(book.checksums_failed for book in books) == 0
    assert all(book.best_bid is not None and book.best_ask is not None for book in books)
    assert all(book.best_bid < book.best_ask for book in books if book.best_bid and book.best_ask)


@pytest.mark.parametrize("slug", slugs())
def test_no_recording_sample_or_vector_of_an_implemented_venue_is_left_out(venues_dir: Path, slug: str) -> None:
    here = Path(__file__).parent
    read = "\n".join(path.read_text() for path in here.rglob("*.py"))
    for path in (venues_dir / slug).glob("session-*.jsonl.gz"):
        assert f'"{path.name}"' in read, f"no test names {path.name}; replay it, or say in UNREAD why not"
    if (venues_dir / slug / "samples.jsonl").exists():
        assert (here / f"test_samples_{slug}.py").exists()
    if (venues_dir / slug / "vectors.json").exists():
        assert (here / "signatures" / f"{slug}.py").exists()


def test_books_have_the_names_of_their_assets_today(venues_dir: Path) -> None:
    spot = replay(venues_dir / "kucoin" / "session-spot-classic-2021-04.jsonl.gz", load("kucoin"))
    assert "BSV-USDT" in {book.symbol for book in spot.books.values()}  # listed as BCHSV-USDT
    bare = replay(venues_dir / "kraken" / "session-v2-20260816.jsonl.gz", load("kraken"))  # without a list
    assert {book.symbol for book in bare.books.values()} == {"BTC-USD", "MINA-GBP"}


def test_a_recording_of_another_product_is_told_so(venues_dir: Path) -> None:
    report = replay(venues_dir / "binance" / "session-coinm-2021-07-22.jsonl.gz", load("binance"))
    assert not report.books
    assert "dstream.binance.com" in report.problem
