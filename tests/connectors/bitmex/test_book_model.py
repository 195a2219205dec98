"""The book by ids against a model that keeps plain rows: whatever the order of messages, the levels are the same."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.bitmex.market import BitmexMarketStream
from connectors.catalogue import load
from connectors.model import BookBroken, BookDelta, BookSnapshot
from connectors.sync import BookState, BookSync

Row = dict[str, Any]
# Buys at 1 to 9, sells at 11 to 19: rows never cross.
ROWS = st.builds(
    lambda number, buy, price, size: {
        "symbol": "XBTUSD",
        "id": number,
        "side": "Buy" if buy else "Sell",
        "price": price if buy else price + 10,
        "size": size,
    },
    st.integers(1, 6),
    st.booleans(),
    st.integers(1, 9),
    st.integers(1, 500),
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["insert", "update", "update without price", "delete", "partial"]),
        st.lists(ROWS, max_size=4, unique_by=lambda row: (row["id"], row["side"])),
    ),
    max_size=12,
)


def message(action: str, rows: list[Row]) -> str:
    drop = {"update without price": {"price"}, "delete": {"price", "size"}}.get(action, set())
    body: dict[str, Any] = {"table": "orderBookL2", "action": action.partition(" ")[0]}
    if action == "partial":
        body |= {"keys": ["symbol", "id", "side"], "filter": {"symbol": "XBTUSD"}}
    return json.dumps(
        {**body, "data": [{k: v for k, v in row.items() if k not in drop} for row in rows]}, separators=(",", ":")
    )


def levels(rows: dict[tuple[int, str], Row], side: str) -> dict[float, float]:
    found: defaultdict[float, float] = defaultdict(float)
    for row in rows.values():
        if row["side"] == side:
            found[row["price"]] += row["size"]
    return dict(found)


@settings(max_examples=300)
@given(STEPS)
def test_every_message_leaves_the_levels_that_its_rows_come_to(steps: list[tuple[str, list[Row]]]) -> None:
    """given any messages, then the book equals the rows, and it is broken exactly when a row names what is not there."""
    stream, sync = BitmexMarketStream(), BookSync(load("bitmex").families[0].book, "XBTUSD")
    sync.subscribed(0.0)
    known: dict[tuple[int, str], Row] | None = None
    for now, (action, rows) in enumerate(steps, 1):
        word = action.partition(" ")[0]
        if word == "partial":
            known = {(row["id"], row["side"]): dict(row) for row in rows}
        elif known is not None:
            for row in rows:
                key = (row["id"], row["side"])
                if word == "insert":
                    known[key] = dict(row)
                elif key not in known:
                    known = None
                    break
                elif word == "delete":
                    del known[key]
                else:
                    news = {"size": row["size"]} if action.endswith("price") else {k: row[k] for k in ("price", "size")}
                    known[key] |= news
        for event in stream.receive(message(action, rows)):
            if isinstance(event, BookSnapshot):
                sync.snapshot(event, float(now))
            elif isinstance(event, BookDelta):
                sync.delta(event, float(now))
            elif isinstance(event, BookBroken):
                sync.hole(event.why, float(now))
        assert (sync.state is BookState.LIVE) is (known is not None)
        if known is not None:
            assert sync.book.bids == levels(known, "Buy")
            assert sync.book.asks == levels(known, "Sell")
