"""What Kraken's sockets say, read frame by frame: acknowledgements by symbol, candles without an end, rows that leave things out."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from msgspec import UNSET

from connectors.book import OrderBook
from connectors.catalogue import load
from connectors.contract import Accepted, Answered, Ask, Channel, Declined, LoginLost, Repair, Topic, Unknown
from connectors.kraken.account import KrakenAccountStream
from connectors.kraken.market import DEPTH, KrakenMarketStream, checksum, digits
from connectors.model import BookBroken, BookDelta, BookSnapshot, Candle, Fill, OrderKind, OrderStatus, OrderUpdate
from connectors.sync import BookState, BookSync

RULE = load("kraken").families[0].book
# The example of the documentation's checksum guide, with the digits that it sums.
ASKS = (
    "45285.2 0.00100000, 45286.4 1.54571953, 45286.6 1.54571109, 45289.6 1.54560911, 45290.2 0.15890660, "
    "45291.8 1.54553491, 45294.7 0.04454749, 45296.1 0.35380000, 45297.5 0.09945542, 45299.5 0.18772827"
)
BIDS = (
    "45283.5 0.10000000, 45283.4 1.54582015, 45282.1 0.10000000, 45281.0 0.10000000, 45280.3 1.54592586, "
    "45279.0 0.07990000, 45277.6 0.03310103, 45277.5 0.30000000, 45277.3 1.54602737, 45276.6 0.15445238"
)
DOCUMENTED = 3310070434


def frame(kind: str, bids: str, asks: str, total: int, wire: str = "BTC/USD") -> str:
    """A book frame with exactly these digits."""

    def side(text: str) -> str:
        rows = [row.split() for row in text.split(", ") if row]
        return ",".join(f'{{"price":{price},"qty":{qty}}}' for price, qty in rows)

    return (
        f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"{wire}","bids":[{side(bids)}],"asks":[{side(asks)}],'
        f'"checksum":{total},"timestamp":"2023-10-06T17:35:55.440295Z"}}]}}'
    )


def acknowledged(stream: KrakenMarketStream, depth: int, wire: str = "BTC/USD") -> None:
    result = {"channel": "book", "depth": depth, "snapshot": True, "symbol": wire}
    (event,) = stream.receive(json.dumps({"method": "subscribe", "result": result, "success": True}))
    assert isinstance(event, Accepted)


def live_book(depth: int = 10) -> tuple[KrakenMarketStream, BookSync]:
    stream, sync = KrakenMarketStream(), BookSync(RULE, "BTC/USD")
    acknowledged(stream, depth)
    sync.subscribed(0.0)
    (event,) = stream.receive(frame("snapshot", BIDS, ASKS, DOCUMENTED))
    assert isinstance(event, BookSnapshot)
    sync.snapshot(event, 0.0)
    return stream, sync


def summed(bids: Sequence[str], asks: Sequence[str]) -> int:
    """The recipe, on text, for this test alone."""
    rows = [part.replace(".", "").lstrip("0") for row in [*asks[:10], *bids[:10]] for part in row.split()]
    return zlib.crc32("".join(rows).encode())


def test_the_documented_checksum_is_ours() -> None:
    _, sync = live_book()
    assert checksum(sync.book) == DOCUMENTED
    assert (sync.live, sync.counters.checksums_ok) == (True, 1)


def test_digits_keep_their_trailing_zeros() -> None:
    assert [digits(text) for text in ("0.00005100", "62794.0", "0.0286", "100", "0.00000000")] == [
        "5100",
        "627940",
        "286",
        "100",
        "",
    ]


def test_a_wrong_checksum_turns_the_book_grey_until_a_new_snapshot_proves_it() -> None:
    stream, sync = live_book()
    (good,) = stream.receive(
        frame(
            "update",
            "45283.5 0.20000000",
            "",
            summed(BIDS.replace("45283.5 0.10000000", "45283.5 0.20000000").split(", "), ASKS.split(", ")),
        )
    )
    assert isinstance(good, BookDelta)
    sync.delta(good, 1.0)
    assert (sync.live, sync.counters.checksums_ok) == (True, 2)
    (bad,) = stream.receive(frame("update", "45283.5 0.30000000", "", 12345))
    assert isinstance(bad, BookDelta)
    sync.delta(bad, 2.0)
    assert (sync.state, sync.counters.checksums_failed) == (BookState.RESYNCING, 1)
    assert "checksum" in sync.reason
    assert sync.due(3.0) is Repair.RESUBSCRIBE
    sync.asked(Repair.RESUBSCRIBE, 3.0)
    sync.subscribed(3.0)
    (late,) = stream.receive(frame("update", "45283.5 0.40000000", "", 1))
    assert isinstance(late, BookDelta)
    sync.delta(late, 3.1)
    assert not sync.live, "updates of the old subscription are no book"
    (again,) = stream.receive(frame("snapshot", BIDS, ASKS, DOCUMENTED))
    assert isinstance(again, BookSnapshot)
    sync.snapshot(again, 3.2)
    assert (sync.live, sync.counters.resyncs) == (True, 1)


def test_a_snapshot_with_a_wrong_checksum_is_never_shown_as_live() -> None:
    stream, sync = KrakenMarketStream(), BookSync(RULE, "BTC/USD")
    sync.subscribed(0.0)
    (event,) = stream.receive(frame("snapshot", BIDS, ASKS, DOCUMENTED ^ 1))
    assert isinstance(event, BookSnapshot)
    sync.snapshot(event, 0.0)
    assert (sync.state, sync.counters.checksums_failed) == (BookState.RESYNCING, 1)


def test_a_digit_that_a_float_would_lose_is_noticed() -> None:
    """0.10000000 and 0.1 are the same number and another checksum."""
    stream, sync = KrakenMarketStream(), BookSync(RULE, "BTC/USD")
    sync.subscribed(0.0)
    (event,) = stream.receive(frame("snapshot", BIDS.replace("0.10000000", "0.1"), ASKS, DOCUMENTED))
    assert isinstance(event, BookSnapshot)
    sync.snapshot(event, 0.0)
    assert sync.counters.checksums_failed == 1


def test_levels_beyond_the_subscribed_depth_are_cut_without_being_told() -> None:
    stream, sync = live_book(10)
    better = "45284.0 0.50000000"
    bids = [better, *BIDS.split(", ")]
    (event,) = stream.receive(frame("update", better, "", summed(bids, ASKS.split(", "))))
    assert isinstance(event, BookDelta)
    sync.delta(event, 1.0)
    assert sync.live
    assert len(sync.book.bids) == 10
    assert 45276.6 not in sync.book.bids
    back = [*BIDS.split(", ")]
    rows = f"{better.split(maxsplit=1)[0]} 0.00000000, {back[-1]}"  # it goes, and what it had pushed out is sent again in full
    (event,) = stream.receive(frame("update", rows, "", summed(back, ASKS.split(", "))))
    assert isinstance(event, BookDelta)
    sync.delta(event, 2.0)
    assert (sync.live, sync.counters.checksums_ok) == (True, 3)


def test_without_the_cut_the_next_checksum_fails() -> None:
    stream, sync = live_book(1000)  # as if the venue had been asked for more than it shows
    better = "45284.0 0.50000000"
    (event,) = stream.receive(frame("update", better, "", summed([better, *BIDS.split(", ")], ASKS.split(", "))))
    assert isinstance(event, BookDelta)
    sync.delta(event, 1.0)
    assert len(sync.book.bids) == 11
    lower = "45275.0 1.00000000"  # in a book of ten this one comes into view, here 45276.6 still stands above it
    bids = [*BIDS.split(", ")[:-1], lower]
    (event,) = stream.receive(frame("update", f"45284.0 0.00000000, {lower}", "", summed(bids, ASKS.split(", "))))
    assert isinstance(event, BookDelta)
    sync.delta(event, 2.0)
    assert sync.counters.checksums_failed == 1


def test_the_depth_of_a_book_is_the_acknowledged_one() -> None:
    stream = KrakenMarketStream()
    acknowledged(stream, 25, "MINA/GBP")
    for wire, depth in (("MINA/GBP", 25), ("BTC/USD", DEPTH)):
        (event,) = stream.receive(frame("snapshot", BIDS, ASKS, 1, wire))
        assert isinstance(event, BookSnapshot)
        assert event.depth == depth


@pytest.mark.parametrize(
    ("text", "wires"),
    [
        (frame("update", BIDS, "", 1).replace('"checksum":1', '"checksum":null'), ("BTC/USD",)),
        (frame("update", BIDS, "", 1).replace('"update"', '"partial"'), ("BTC/USD",)),
        (frame("update", BIDS, "", 1).replace('"price"', '"limit"').replace(":", ": "), ("BTC/USD",)),
        (frame("update", BIDS, "", 1)[:-40], None),
        (frame("update", BIDS, "", 1).replace("symbol", "pair"), None),
    ],
)
def test_a_book_message_that_cannot_be_read_breaks_its_book_since_the_checksum_sees_ten_levels_only(
    text: str, wires: tuple[str, ...] | None
) -> None:
    broken, unknown = KrakenMarketStream().receive(text)
    assert isinstance(broken, BookBroken)
    assert isinstance(unknown, Unknown)
    assert broken.wires == wires


def test_anything_else_that_cannot_be_read_breaks_no_book() -> None:
    for text in ('{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD"}]}', "{", '{"channel":5}', "null"):
        (event,) = KrakenMarketStream().receive(text)
        assert isinstance(event, Unknown)


def test_a_lone_image_tells_when_its_book_changed_last_which_is_no_measure_of_a_delay() -> None:
    image = frame("snapshot", BIDS, ASKS, DOCUMENTED)
    (alone,), (received,) = KrakenMarketStream().read_alone(image), KrakenMarketStream().receive(image)
    assert isinstance(alone, BookSnapshot)
    assert isinstance(received, BookSnapshot)
    assert (alone.time, alone.depth, alone.checksum) == (1_696_613_755_440, None, DOCUMENTED)
    assert (received.time, received.depth) == (None, DEPTH)


def test_bars_of_every_documented_interval_are_read() -> None:
    row = {"symbol": "BTC/USD", "interval": 21600, "interval_begin": "2026-08-16T00:00:00.000000000Z", "volume": 1}
    body = {"channel": "ohlc", "type": "update", "data": [row | dict.fromkeys(("open", "high", "low", "close"), 5)]}
    (bar,) = KrakenMarketStream().receive(json.dumps(body))
    assert isinstance(bar, Candle)
    assert bar.interval == "15d"


def test_an_empty_book_has_the_checksum_of_nothing() -> None:
    assert checksum(OrderBook()) == zlib.crc32(b"") == 0


# ---------------------------------------------------------------------------------------------------------------------
# Subscriptions


def subscribed(*topics: Topic) -> tuple[KrakenMarketStream, list[Ask]]:
    stream = KrakenMarketStream()
    return stream, stream.plan(frozenset(), list(topics), [])


def test_symbols_of_one_channel_share_a_frame_and_its_number() -> None:
    books = [Topic(Channel.BOOK, f"C{number}/USD") for number in range(70)]
    bars = [Topic(Channel.CANDLES, "BTC/USD", "1m"), Topic(Channel.CANDLES, "BTC/USD", "1h")]
    _, asks = subscribed(*books, *bars)
    told = [(ask.payload["params"]["channel"], len(ask.payload["params"]["symbol"])) for ask in asks]
    assert told == [("book", 50), ("book", 20), ("ohlc", 1), ("ohlc", 1)]
    assert [ask.payload["params"].get("interval") for ask in asks] == [None, None, 1, 60]
    assert len({ask.id for ask in asks}) == 4
    assert all(ask.payload["params"]["depth"] == DEPTH for ask in asks[:2])


def test_each_symbol_is_acknowledged_or_refused_for_itself() -> None:
    stream, (ask,) = subscribed(Topic(Channel.BOOK, "BTC/USD"), Topic(Channel.BOOK, "FOO/BAR"))
    number = int(ask.id)
    result = {"channel": "book", "depth": DEPTH, "snapshot": True, "symbol": "BTC/USD"}
    (event,) = stream.receive(json.dumps({"method": "subscribe", "result": result, "success": True, "req_id": number}))
    assert isinstance(event, Accepted)
    assert event.topics == (Topic(Channel.BOOK, "BTC/USD"),)
    refusal = {"error": "Currency pair not supported FOO/BAR", "success": False, "symbol": "FOO/BAR", "req_id": number}
    (event,) = stream.receive(json.dumps({"method": "subscribe", **refusal}))
    assert isinstance(event, Declined)
    assert event.topics == (Topic(Channel.BOOK, "FOO/BAR"),)


def test_a_refusal_without_a_symbol_is_matched_by_its_number() -> None:
    stream, (ask,) = subscribed(Topic(Channel.BOOK, "BTC/USD"), Topic(Channel.BOOK, "ETH/USD"))
    refusal = {"error": "Subscription depth not supported", "method": "subscribe", "success": False}
    (event,) = stream.receive(json.dumps({**refusal, "req_id": int(ask.id)}))
    assert isinstance(event, Declined)
    assert {topic.wire for topic in event.topics} == {"BTC/USD", "ETH/USD"}


def bar(start: str, close: float) -> str:
    row = {"symbol": "BTC/USD", "open": 1.0, "high": 9.0, "low": 0.5, "close": close, "volume": 2.0, "vwap": 3.0}
    row |= {"interval": 5, "interval_begin": f"2023-10-04T{start}:00.000000000Z"}
    return json.dumps({"channel": "ohlc", "type": "update", "data": [row]})


def test_a_candle_is_over_when_the_next_one_begins() -> None:
    stream = KrakenMarketStream()
    found = [
        event for text in (bar("16:25", 1.5), bar("16:25", 1.6), bar("16:30", 1.7)) for event in stream.receive(text)
    ]
    candles = [
        (event.start % 3_600_000 // 60_000, event.close, event.closed) for event in found if isinstance(event, Candle)
    ]
    assert candles == [(25, 1.5, False), (25, 1.6, False), (25, 1.6, True), (30, 1.7, False)]
    assert stream.receive(bar("16:25", 9.9)) == [], "what is over stays as it was"


# ---------------------------------------------------------------------------------------------------------------------
# The private stream


def told(stream: KrakenAccountStream, number: int, **row: Any) -> list[Any]:
    return stream.receive(
        json.dumps({"channel": "executions", "type": row.pop("kind", "update"), "data": [row], "sequence": number})
    )


STOP: dict[str, Any] = {
    "order_id": "O1",
    "symbol": "BTC/USD",
    "cl_ord_id": "mine",
    "order_qty": 0.5,
    "exec_type": "pending_new",
    "order_status": "pending_new",
    "side": "sell",
    "order_type": "stop-loss-limit",
    "time_in_force": "GTC",
    "limit_price": 95.0,
    "stop_price": 96.0,
    "triggers": {"price": 96.0, "status": "untriggered"},
    "timestamp": "2025-02-12T08:12:30.843920Z",
}
SPARSE: dict[str, Any] = {"order_id": "O1", "timestamp": "2025-02-12T08:12:31.000000Z"}


def test_sparse_rows_are_filled_up_with_what_is_known_and_nothing_else() -> None:
    stream = KrakenAccountStream()
    (first,) = told(stream, 1, **STOP)
    assert (first.status, first.price, first.trigger, first.kind) == (OrderStatus.PENDING, 95, 96, OrderKind.STOP_LIMIT)
    (waits,) = told(stream, 2, **SPARSE, exec_type="new", order_status="new")
    assert isinstance(waits, OrderUpdate)
    assert waits.status is OrderStatus.UNTRIGGERED
    assert (waits.wire, waits.client_id) == ("BTC/USD", "mine")
    assert (waits.amount, waits.filled, waits.price) == (UNSET, UNSET, UNSET)
    (works,) = told(stream, 3, **SPARSE, exec_type="new", order_status="triggered")
    assert works.status is OrderStatus.OPEN
    (amended,) = told(stream, 4, **SPARSE, exec_type="amended", order_status="new", order_qty=0.4, cum_qty=0.0)
    assert (amended.status, amended.amount, amended.filled) == (OrderStatus.OPEN, Decimal("0.4"), 0)


def test_the_last_fill_still_says_partly_and_the_average_is_not_the_rounded_one() -> None:
    stream = KrakenAccountStream()
    told(stream, 1, **{**STOP, "order_type": "limit"})
    trade = {"exec_id": "T1", "side": "sell", "last_qty": 0.5, "last_price": 95.0, "liquidity_ind": "m"}
    sums = {"cum_qty": 0.5, "cum_cost": 47.625, "avg_price": 96.0}
    rows = told(
        stream,
        2,
        **SPARSE,
        **trade,
        **sums,
        exec_type="trade",
        order_status="partially_filled",
        fees=[{"asset": "USD", "qty": 0.1}],
    )
    fill, partly = rows
    assert isinstance(fill, Fill)
    assert (fill.client_id, fill.maker, str(fill.fee)) == ("mine", True, "0.1")
    assert (partly.status, str(partly.average)) == (OrderStatus.PARTLY_FILLED, "95.25")
    (done,) = told(stream, 3, **SPARSE, **sums, exec_type="filled", order_status="filled")
    assert (done.status, str(done.filled)) == (OrderStatus.FILLED, "0.5")


def test_old_fills_of_a_snapshot_say_nothing_of_their_order() -> None:
    stream = KrakenAccountStream()
    trade = {"exec_id": "T1", "symbol": "BTC/USD", "side": "sell", "last_qty": 0.5, "last_price": 95.0}
    rows = told(stream, 1, kind="snapshot", **SPARSE, **trade, exec_type="trade", order_status="filled", fees=[])
    (fill,) = rows
    assert isinstance(fill, Fill)


def test_a_hole_in_the_numbers_ends_the_connection_and_a_repetition_says_nothing() -> None:
    stream = KrakenAccountStream()
    told(stream, 1, **STOP)
    assert told(stream, 1, **STOP) == []
    row = {**SPARSE, "exec_type": "new", "order_status": "new"}
    assert len(told(stream, 2, **row)) == 1
    events = told(stream, 4, **row)
    assert isinstance(events[0], OrderUpdate)
    assert isinstance(events[1], LoginLost)
    balance = {"asset": "USD", "balance": 5, "timestamp": "2023-09-22T10:33:05Z", "wallet_type": "spot"}
    frame = json.dumps({"channel": "balances", "type": "update", "data": [balance], "sequence": 9})
    assert not any(isinstance(event, LoginLost) for event in stream.receive(frame)), "each channel counts for itself"


def test_a_token_that_ended_ends_the_connection() -> None:
    body = {"error": "ESession:Invalid session", "method": "add_order", "success": False, "req_id": 9}
    answered, lost = KrakenAccountStream().receive(json.dumps(body))
    assert isinstance(answered, Answered)
    assert isinstance(lost, LoginLost)


def test_a_price_relative_to_the_market_is_no_price_of_an_order() -> None:
    trailing = {
        "order_id": "O1", "exec_type": "new", "order_status": "new", "symbol": "BTC/USD", "side": "sell", "order_qty": 1,
        "order_type": "trailing-stop-limit", "limit_price": 0.5, "limit_price_type": "quote", "stop_price": 0.0,
        "triggers": {"price": 1.0, "price_type": "pct", "reference": "last", "status": "untriggered"},
    }  # fmt: skip
    body = {"channel": "executions", "type": "snapshot", "data": [trailing], "sequence": 1}
    (update,) = KrakenAccountStream().receive(json.dumps(body))
    assert isinstance(update, OrderUpdate)
    assert (update.status, update.price, update.trigger) == (OrderStatus.UNTRIGGERED, UNSET, UNSET)


def test_a_row_that_does_not_fit_leaves_the_others_alone() -> None:
    odd = {"order_id": "O1", "exec_type": "new", "order_status": "frozen", "symbol": "BTC/USD"}
    good = {"order_id": "O2", "exec_type": "new", "order_status": "new", "symbol": "BTC/USD"}
    body = {"channel": "executions", "type": "snapshot", "data": [odd, good], "sequence": 1}
    unknown, update = KrakenAccountStream().receive(json.dumps(body))
    assert isinstance(unknown, Unknown)
    assert isinstance(update, OrderUpdate)
    assert (update.venue_id, update.status) == ("O2", OrderStatus.OPEN)


@pytest.mark.parametrize(("wallet", "heard"), [("spot", True), ("earn", False)])
def test_only_the_wallet_that_trades_counts(wallet: str, heard: bool) -> None:
    row = {"asset": "USD", "balance": 5, "timestamp": "2023-09-22T10:33:05Z", "wallet_type": wallet}
    frame = json.dumps({"channel": "balances", "type": "update", "data": [row], "sequence": 1})
    assert bool(KrakenAccountStream().receive(frame)) is heard
