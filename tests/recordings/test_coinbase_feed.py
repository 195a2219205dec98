"""The recorded feed of 2021 without numbers: the venue's own tickers and matches say whether the rebuilt books are right."""

from __future__ import annotations

import json
from pathlib import Path

from connectors.catalogue import load
from connectors.model import BookDelta, BookSnapshot, Side, Trade
from connectors.runtime.record import read
from connectors.sync import BookSync
from tests.recordings.dialects.coinbase import ExchangeStream


def test_every_top_that_the_venue_names_is_the_books_own(venues_dir: Path) -> None:
    rule, stream = load("coinbase").families[0].book, ExchangeStream()
    books: dict[str, BookSync] = {}
    seen: set[str] = set()
    levels = deletions = unknown = live = equal = stale = above = below = inside = 0
    for row in read(venues_dir / "coinbase" / "session-exchange-2021.jsonl.gz"):
        if row.dir != "in":
            continue
        raw = json.loads(row.frame)
        for event in stream.receive(row.frame):
            if isinstance(event, BookSnapshot):
                sync = books[event.wire] = BookSync(rule, event.wire)
                sync.subscribed(row.ts)
                sync.snapshot(event, row.ts)
                levels += len(event.bids) + len(event.asks)
            elif isinstance(event, BookDelta):
                book = books[event.wire].book
                for side, rows in ((book.bids, event.bids), (book.asks, event.asks)):
                    deletions += sum(not level.size for level in rows)
                    unknown += sum(not level.size and level.price not in side for level in rows)
                books[event.wire].delta(event, row.ts)
            elif isinstance(event, Trade):
                bid, ask = books[event.wire].book.best_bid, books[event.wire].book.best_ask
                assert bid is not None
                assert ask is not None
                at_ask, at_bid = event.price >= ask[0], event.price <= bid[0]
                above += at_ask
                below += at_bid
                inside += not (at_ask or at_bid)
                assert not (at_ask and event.side is Side.SELL)
                assert not (at_bid and event.side is Side.BUY)
        if raw["type"] == "ticker":
            best = books[raw["product_id"]].book
            ours = (best.best_bid and best.best_bid[0], best.best_ask and best.best_ask[0])
            same = ours == (float(raw["best_bid"]), float(raw["best_ask"]))
            if raw["product_id"] in seen:
                live += 1
                equal += same
            else:
                stale += not same  # the first one repeats the state at the product's last trade
            seen.add(raw["product_id"])
    assert (len(books), levels, deletions, unknown) == (10, 8362, 2634, 0)
    assert (live, equal, stale) == (97, 97, 7)
    assert (above, below, inside) == (36, 24, 37)
    assert all(sync.live and sync.counters.crossed == 0 for sync in books.values())
