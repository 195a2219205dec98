"""One number for all messages of a connection, images before acknowledgements, twins of dollar products, totals instead of fills."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from msgspec import structs

from connectors.catalogue import load
from connectors.coinbase.account import CoinbaseAccountStream
from connectors.coinbase.frames import MAX_FRAME, milliseconds
from connectors.coinbase.market import CoinbaseMarketStream
from connectors.contract import Active, Alive, Answered, Ask, Channel, Declined, LoginLost, Security, Topic, Unknown
from connectors.model import BookBroken, BookDelta, BookSnapshot, OrderStatus, OrderUpdate
from connectors.tools import instrument_for

VENUE = load("coinbase")
FAMILY = VENUE.families[0]
BOOK, TRADES, TICKER = (
    lambda wire, channel=channel: Topic(channel, wire) for channel in (Channel.BOOK, Channel.TRADES, Channel.TICKER)
)


def message(number: int, channel: str, *events: dict[str, Any]) -> str:
    body = {"channel": channel, "timestamp": "2026-09-30T02:39:53.670986313Z", "sequence_num": number, "events": events}
    return json.dumps(body, separators=(",", ":"))


def change(kind: str = "update", product: str = "BTC-USD", *rows: tuple[str, str, str]) -> dict[str, Any]:
    updates = [
        {"side": s, "event_time": "1970-01-01T00:00:00Z", "price_level": p, "new_quantity": q} for s, p, q in rows
    ]
    return {"type": kind, "product_id": product, "updates": updates}


def beat(number: int) -> str:
    return message(
        number, "heartbeats", {"current_time": "2026-09-30 02:39:53 +0000 UTC m=+1.5", "heartbeat_counter": number}
    )


def opened(*wires: str) -> CoinbaseMarketStream:
    """A stream that knows which products are twins."""
    stream = CoinbaseMarketStream()
    instruments = {}
    for wire in wires:
        alias = {"BTC-USDC": "BTC-USD"}.get(wire, "")
        made = instrument_for({"symbol": wire}, FAMILY, VENUE)
        instruments[wire] = structs.replace(made, extra={"alias": alias} if alias else {})
    for _ in stream.opening({"instruments": instruments}):
        raise AssertionError("no step is needed")
    return stream


def sent(asks: list[Ask]) -> list[tuple[str, str, list[str]]]:
    return [(ask.payload["type"], ask.payload["channel"], ask.payload.get("product_ids", [])) for ask in asks]


def test_every_message_counts_whatever_it_carries() -> None:
    stream = CoinbaseMarketStream()
    frames = [
        message(0, "l2_data", change("snapshot", "BTC-USD", ("bid", "1", "2"))),
        message(1, "subscriptions", {"subscriptions": {"heartbeats": ["heartbeats"]}}),
        beat(2),
        message(3, "market_trades", {"type": "update", "trades": []}),
        message(4, "status", {"type": "snapshot", "products": []}),
        message(5, "l2_data", change("update", "ETH-USD", ("offer", "3", "0"))),
    ]
    events = [event for frame in frames for event in stream.receive(frame)]
    assert not any(isinstance(event, BookBroken | Unknown) for event in events)


def test_a_hole_anywhere_breaks_every_book_of_the_connection() -> None:
    stream = CoinbaseMarketStream()
    stream.receive(beat(7))  # the first number may be any
    broken, snapshot = stream.receive(message(9, "l2_data", change("snapshot", "BTC-USD", ("bid", "1", "2"))))
    assert isinstance(broken, BookBroken)
    assert (broken.wires, "8 to 8" in broken.why) == (None, True)
    assert isinstance(snapshot, BookSnapshot)  # what came after the hole is whole
    broken, life = stream.receive(beat(20))
    assert isinstance(broken, BookBroken)
    assert isinstance(life, Alive)


def test_old_messages_are_dropped_and_a_new_connection_counts_anew() -> None:
    stream = CoinbaseMarketStream()
    late = message(3, "l2_data", change("update", "BTC-USD", ("bid", "1", "9")))
    stream.receive(beat(4))
    assert [type(event) for event in stream.receive(late)] == [Alive]
    assert [type(event) for event in stream.receive(beat(4))] == [Alive]
    assert [type(event) for event in CoinbaseMarketStream().receive(late)] == [BookDelta]


def test_half_a_frame_shows_as_a_hole_at_the_next_one() -> None:
    stream = CoinbaseMarketStream()
    stream.receive(beat(1))
    whole = message(2, "l2_data", change("update", "BTC-USD", ("bid", "1", "9")))
    assert [type(event) for event in stream.receive(whole[: len(whole) // 2])] == [Unknown]
    assert [type(event) for event in stream.receive(beat(3))] == [BookBroken, Alive]


def test_updates_of_one_product_in_one_message_are_one_change() -> None:
    stream = CoinbaseMarketStream()
    events = stream.receive(
        message(
            0,
            "l2_data",
            change("update", "BTC-USD", ("bid", "1", "2"), ("offer", "3", "1")),
            change("update", "BTC-USD", ("bid", "1", "0.00000000")),
            change("update", "ETH-USD", ("offer", "5", "1")),
        )
    )
    assert [(event.wire, len(event.bids), len(event.asks)) for event in events if isinstance(event, BookDelta)] == [
        ("BTC-USD", 2, 1),
        ("ETH-USD", 0, 1),
    ]


def test_members_may_come_in_any_order() -> None:
    body = json.loads(message(5, "l2_data", change("update", "BTC-USD", ("bid", "1", "2"))))
    turned = json.dumps({name: body[name] for name in reversed(body)})
    (event,) = CoinbaseMarketStream().receive(turned)
    assert isinstance(event, BookDelta)


def test_a_side_that_nobody_knows_is_not_guessed() -> None:
    stream = CoinbaseMarketStream()
    stream.receive(beat(4))
    broken, unknown = stream.receive(message(5, "l2_data", change("update", "BTC-USD", ("middle", "1", "2"))))
    assert isinstance(broken, BookBroken)
    assert broken.wires == ("BTC-USD",)  # the change is missing in this book, and in no other
    assert isinstance(unknown, Unknown)
    broken, unknown = stream.receive(message(6, "l2_data", {"type": "update"}))
    assert isinstance(broken, BookBroken)
    assert broken.wires is None
    assert isinstance(unknown, Unknown)
    assert [type(event) for event in stream.receive(beat(7))] == [Alive]


def test_a_hole_before_a_message_that_does_not_fit_is_told() -> None:
    stream = CoinbaseMarketStream()
    stream.receive(beat(4))
    events = stream.receive(message(6, "market_trades", {"type": "update", "trades": [{"side": "NEITHER"}]}))
    assert [type(event) for event in events] == [BookBroken, Unknown]
    assert [type(event) for event in stream.receive(beat(7))] == [Alive]


def test_what_does_not_fit_and_is_no_book_leaves_the_books_alone() -> None:
    stream = CoinbaseMarketStream()
    stream.receive(beat(4))
    trade = {"product_id": "BTC-USD", "trade_id": "1", "price": "1", "size": "1", "side": "NEITHER"}
    for number, rows in ((5, [trade]), (6, [{"product_id": "BTC-USD"}])):
        events = stream.receive(message(number, "market_trades", {"type": "update", "trades": rows}))
        assert [type(event) for event in events] == [Unknown]
    events = stream.receive(message(7, "l2_data", change("update", "BTC-USD", ("bid", "1", "2"))))
    assert [type(event) for event in events] == [BookDelta]


def test_a_book_that_is_read_alone_has_the_number_of_its_message() -> None:
    kinds = {"snapshot": lambda event: event.id, "update": lambda event: event.last}
    for kind, number in kinds.items():
        frame = message(245, "l2_data", change(kind, "BTC-USD", ("bid", "1", "2")))
        (event,) = CoinbaseMarketStream().read_alone(frame)
        assert number(event) == 245
        (event,) = CoinbaseMarketStream().receive(frame)
        assert number(event) is None


def test_one_channel_a_frame_and_products_together() -> None:
    stream = opened("BTC-USD", "ETH-USD")
    add = [BOOK("BTC-USD"), TRADES("BTC-USD"), BOOK("ETH-USD"), Topic(Channel.CANDLES, "BTC-USD", "1d")]
    assert sorted(sent(stream.plan(frozenset(), add, []))) == [
        ("subscribe", "level2", ["BTC-USD", "ETH-USD"]),
        ("subscribe", "market_trades", ["BTC-USD"]),  # bars of a day are read, not streamed
    ]
    many = [BOOK(f"A{number}-USD") for number in range(120)]
    assert [len(names) for _, _, names in sent(stream.plan(frozenset(), many, []))] == [50, 50, 20]


def test_a_frame_may_be_as_large_as_a_busy_book() -> None:
    assert MAX_FRAME >= 10 * 2**20
    for stream in (CoinbaseMarketStream(), CoinbaseAccountStream()):
        dial = stream._dial()
        assert dial.max_size == MAX_FRAME
        assert dial.first[0].payload == {"type": "subscribe", "channel": "heartbeats"}


def test_a_twin_hears_what_comes_under_the_main_products_name() -> None:
    stream = opened("BTC-USD", "BTC-USDC")
    assert sent(stream.plan(frozenset(), [BOOK("BTC-USDC")], [])) == [("subscribe", "level2", ["BTC-USD"])]
    (event,) = stream.receive(message(0, "l2_data", change("snapshot", "BTC-USD", ("bid", "1", "2"))))
    assert isinstance(event, BookSnapshot)
    assert event.wire == "BTC-USDC"
    # the other one wants an image too: it is sent anew for both
    again = stream.plan(frozenset([BOOK("BTC-USDC")]), [BOOK("BTC-USD")], [])
    assert sent(again) == [("unsubscribe", "level2", ["BTC-USD"]), ("subscribe", "level2", ["BTC-USD"])]
    events = stream.receive(message(1, "l2_data", change("update", "BTC-USD", ("bid", "1", "2"))))
    assert [event.wire for event in events if isinstance(event, BookDelta)] == ["BTC-USD", "BTC-USDC"]
    # one leaves, the other stays
    both = frozenset([BOOK("BTC-USDC"), BOOK("BTC-USD")])
    assert sent(stream.plan(both, [], [BOOK("BTC-USD")])) == []
    (event,) = stream.receive(message(2, "l2_data", change("update", "BTC-USD", ("bid", "1", "2"))))
    assert isinstance(event, BookDelta)
    assert event.wire == "BTC-USDC"
    assert sent(stream.plan(frozenset([BOOK("BTC-USDC")]), [], [BOOK("BTC-USDC")])) == [
        ("unsubscribe", "level2", ["BTC-USD"])
    ]


def test_trades_and_statistics_of_twins_need_no_second_subscription() -> None:
    stream = opened("BTC-USD", "BTC-USDC")
    stream.plan(frozenset(), [TRADES("BTC-USD")], [])
    assert sent(stream.plan(frozenset([TRADES("BTC-USD")]), [TRADES("BTC-USDC")], [])) == []


def test_what_was_asked_for_and_is_not_confirmed_was_refused() -> None:
    stream = opened("BTC-USD", "NO-USD")
    stream.plan(frozenset(), [BOOK("BTC-USD"), BOOK("NO-USD")], [])
    stream.receive(message(0, "subscriptions", {"subscriptions": {"heartbeats": ["heartbeats"]}}))
    active, declined = stream.receive(
        message(1, "subscriptions", {"subscriptions": {"heartbeats": ["heartbeats"], "level2": ["BTC-USD"]}})
    )
    assert active == Active((BOOK("BTC-USD"),))
    assert isinstance(declined, Declined)
    assert declined.topics == (BOOK("NO-USD"),)


def test_an_error_names_nothing_and_answers_the_oldest_question() -> None:
    stream = opened("BTC-USD")
    stream.plan(frozenset(), [TICKER("BTC-USD")], [])
    stream.receive(message(0, "subscriptions", {"subscriptions": {"heartbeats": ["heartbeats"]}}))
    (event,) = stream.receive('{"type":"error","message":"authentication failure"}')
    assert event == Declined("authentication failure", (TICKER("BTC-USD"),))


def test_times_with_any_count_of_digits() -> None:
    for text, expected in (
        ("2026-09-30T02:39:53.670986313Z", 1790735993671),
        ("2026-04-07T14:31:00Z", 1775572260000),
        ("2026-04-07T14:30:07.1Z", 1775572207100),
        ("", None),
        ("2023-06-23 20:31:56.12 +0000 UTC m=+917.5", None),
    ):
        assert milliseconds(text) == expected


# ---------------------------------------------------------------------------------------------------------------------
# The private stream


def order(number: int, kind: str = "update", **fields: str) -> str:
    row = {
        "order_id": "v1", "client_order_id": "c1", "product_id": "BTC-USD", "order_side": "BUY", "order_type": "Limit",
        "status": "OPEN", "cumulative_quantity": "0", "leaves_quantity": "3", "avg_price": "0", "total_fees": "0",
        "filled_value": "0", "limit_price": "100", "time_in_force": "GOOD_UNTIL_CANCELLED", "post_only": "false",
    }  # fmt: skip
    return message(number, "user", {"type": kind, "orders": [{**row, **fields}]})


def test_every_private_frame_carries_a_token() -> None:
    stream = CoinbaseAccountStream()
    asks = [*stream._dial().first, *stream.plan(frozenset(), [Topic(Channel.ACCOUNT)], [])]
    assert [ask.payload["channel"] for ask in asks] == ["heartbeats", "user"]
    assert all(ask.security is Security.SIGNED for ask in asks)
    assert stream.plan(frozenset([Topic(Channel.ACCOUNT)]), [], [Topic(Channel.ACCOUNT)]) == []


def test_a_hole_in_the_private_stream_ends_it() -> None:
    stream = CoinbaseAccountStream()
    stream.receive(order(0))
    assert [type(event) for event in stream.receive(order(2))] == [LoginLost]
    assert [type(event) for event in stream.receive(order(2))] == [Alive]  # twice


def test_rows_of_the_snapshot_are_no_news() -> None:
    stream = CoinbaseAccountStream()
    (standing,) = stream.receive(order(0, "snapshot", cumulative_quantity="1", leaves_quantity="2", filled_value="100"))
    (news,) = stream.receive(order(1, cumulative_quantity="2", leaves_quantity="1", filled_value="202"))
    assert isinstance(standing, OrderUpdate)
    assert isinstance(news, OrderUpdate)
    assert (standing.listed, news.listed) == (True, False)
    assert (standing.amount, news.amount, news.average) == (Decimal(3), Decimal(3), Decimal(101))


def test_states_of_an_order() -> None:
    stream = CoinbaseAccountStream()
    cases = [
        ({"status": "PENDING"}, OrderStatus.PENDING),
        ({"status": "QUEUED"}, OrderStatus.PENDING),
        ({"status": "OPEN", "trigger_status": "STOP_PENDING"}, OrderStatus.UNTRIGGERED),
        ({"status": "CANCEL_QUEUED", "cumulative_quantity": "1"}, OrderStatus.PARTLY_FILLED),
        ({"status": "EDIT_QUEUED"}, OrderStatus.OPEN),
        ({"status": "CANCELLED"}, OrderStatus.CANCELLED),
        ({"status": "CANCELLED", "time_in_force": "IMMEDIATE_OR_CANCEL"}, OrderStatus.EXPIRED),
        ({"status": "CANCELLED", "time_in_force": "FILL_OR_KILL"}, OrderStatus.EXPIRED),
        ({"status": "EXPIRED"}, OrderStatus.EXPIRED),
        ({"status": "FAILED", "reject_reason": "no"}, OrderStatus.REJECTED),
    ]
    for number, (fields, expected) in enumerate(cases):
        (event,) = stream.receive(order(number, **fields))
        assert isinstance(event, OrderUpdate)
        assert event.status is expected, fields
    (event,) = stream.receive(order(len(cases), status="UNKNOWN_ORDER_STATUS"))
    assert isinstance(event, OrderUpdate)
    assert not isinstance(event.status, OrderStatus)  # what was known stays


def test_an_order_that_does_not_fit_hides_no_other_and_ends_the_stream_if_it_was_news() -> None:
    def both(kind: str) -> list[type]:
        whole, odd = (json.loads(order(0))["events"][0]["orders"][0] for _ in range(2))
        del odd["order_id"]
        frame = message(0, "user", {"type": kind, "orders": [odd, {**whole, "product_type": ""}]})
        return [type(event) for event in CoinbaseAccountStream().receive(frame)]

    assert both("update") == [Unknown, OrderUpdate, LoginLost]
    assert both("snapshot") == [Unknown, OrderUpdate]  # the lists are read anyway
    unreadable = message(0, "user", {"type": "update", "orders": "none"})
    assert [type(event) for event in CoinbaseAccountStream().receive(unreadable)] == [Unknown, LoginLost]


def test_an_error_is_the_subscriptions_answer_until_it_was_confirmed() -> None:
    error = '{"type":"error","message":"authentication failure"}'
    stream = CoinbaseAccountStream()
    assert [type(event) for event in stream.receive(error)] == [Declined]
    stream.plan(frozenset(), [Topic(Channel.ACCOUNT)], [])
    assert stream.receive(error) == [Answered("user", {"error": "authentication failure"})]
    assert stream.receive(message(0, "subscriptions", {"subscriptions": {"user": ["u"]}})) == [Answered("user", {})]
    assert stream.receive(error) == [LoginLost("authentication failure")]
    (ended,) = stream.receive(message(1, "subscriptions", {"subscriptions": {"heartbeats": ["heartbeats"]}}))
    assert isinstance(ended, LoginLost)
