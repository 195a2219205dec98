"""BitMEX's tables: levels by id, what breaks a book, acknowledgements, the private tables."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from msgspec import UNSET

from connectors.bitmex.account import BitmexAccountStream
from connectors.bitmex.market import BitmexMarketStream
from connectors.catalogue import load
from connectors.contract import Accepted, Alive, Answered, Ask, Channel, Declined, LoginLost, Stamp, Topic, Unknown
from connectors.errors import AuthenticationFailed, VenueUnavailable
from connectors.model import (
    Balance,
    BookBroken,
    BookDelta,
    BookSnapshot,
    EndReason,
    Fill,
    OrderStatus,
    OrderUpdate,
    Position,
    Ticker,
)

D = Decimal


def frame(table: str, action: str, rows: list[dict[str, Any]], **more: Any) -> str:
    return json.dumps({"table": table, "action": action, **more, "data": rows}, separators=(",", ":"))


def book(action: str, *rows: tuple[Any, ...], symbol: str = "XBTUSD", **more: Any) -> str:
    """Rows (id, side[, size[, price]])."""
    names = ("id", "side", "size", "price")
    made = [{"symbol": symbol, **dict(zip(names, row, strict=False))} for row in rows]
    return frame("orderBookL2", action, [{k: v for k, v in row.items() if v is not None} for row in made], **more)


def image(*rows: tuple[Any, ...], symbol: str = "XBTUSD") -> str:
    return book("partial", *rows, symbol=symbol, keys=["symbol", "id", "side"], filter={"symbol": symbol})


def levels(event: Any) -> tuple[dict[float, float], dict[float, float]]:
    return {x.price: x.size for x in event.bids}, {x.price: x.size for x in event.asks}


def opened() -> BitmexMarketStream:
    stream = BitmexMarketStream()
    stream.receive(image((1, "Buy", 100, 99.5), (2, "Sell", 200, 100.5)))
    return stream


def test_changes_before_an_image_are_dropped() -> None:
    stream = BitmexMarketStream()
    assert stream.receive(book("update", (1, "Buy", 5))) == [Alive()]
    (event,) = stream.receive(image((1, "Buy", 100, 99.5)))
    assert isinstance(event, BookSnapshot)
    assert levels(event) == ({99.5: 100.0}, {})


def test_an_update_or_delete_without_a_price_takes_it_from_the_stored_row() -> None:
    stream = opened()
    (event,) = stream.receive(book("update", (2, "Sell", 50)))
    assert levels(event) == ({}, {100.5: 50.0})
    (event,) = stream.receive(book("delete", (2, "Sell")))
    assert levels(event) == ({}, {100.5: 0.0})


@pytest.mark.parametrize("table", ["orderBookL2", "orderBookL2_25"])
def test_a_lone_row_is_told_where_its_price_is(table: str) -> None:
    stream = BitmexMarketStream()
    row = {"symbol": "ETHUSDT", "id": 62_400_580_205, "side": "Buy", "size": 5, "price": 2318.5}
    (event,) = stream.read_alone(frame(table, "update", [row]))
    assert levels(event) == ({2318.5: 5.0}, {})
    (event,) = stream.read_alone(frame(table, "delete", [{**row, "size": None}]))
    assert levels(event) == ({2318.5: 0.0}, {})
    (event,) = stream.read_alone(frame(table, "delete", [{**row, "price": None}]))
    assert isinstance(event, Unknown)


def test_an_id_of_the_years_without_prices_tells_the_price_of_one_contract() -> None:
    old = {"symbol": "XBTUSD", "id": 8_796_781_950, "side": "Sell", "size": 161_000}
    (event,) = BitmexMarketStream().read_alone(frame("orderBookL2", "update", [old]))
    assert levels(event) == ({}, {32180.5: 161_000.0})
    for other in ({"symbol": "UNIUSDT"}, {"id": 62_400_580_205}, {"id": 8_800_000_000}):
        (event,) = BitmexMarketStream().read_alone(frame("orderBookL2", "update", [{**old, **other}]))
        assert isinstance(event, Unknown)


def test_an_update_that_moves_a_level_empties_the_old_price() -> None:
    (event,) = opened().receive(book("update", (1, "Buy", None, 99.0)))
    assert levels(event) == ({99.5: 0.0, 99.0: 100.0}, {})


@pytest.mark.parametrize("action", ["update", "delete"])
def test_an_unknown_id_breaks_the_book_and_nothing_is_believed_until_the_next_image(action: str) -> None:
    stream = opened()
    (event,) = stream.receive(book(action, (77, "Buy", 5)))
    assert isinstance(event, BookBroken)
    assert event.wires == ("XBTUSD",)
    assert stream.receive(book("update", (1, "Buy", 5))) == [Alive()]
    (event,) = stream.receive(image((8, "Buy", 1, 99.0)))
    assert isinstance(event, BookSnapshot)
    (event,) = stream.receive(book("update", (8, "Buy", 2)))
    assert levels(event) == ({99.0: 2.0}, {})


def test_side_belongs_to_the_key() -> None:
    stream = opened()
    (event,) = stream.receive(book("insert", (1, "Sell", 7, 101.0)))
    assert levels(event) == ({}, {101.0: 7.0})
    (event,) = stream.receive(book("delete", (1, "Sell")))
    assert levels(event) == ({}, {101.0: 0.0})
    (event,) = stream.receive(book("update", (1, "Buy", 3)))
    assert levels(event) == ({99.5: 3.0}, {})


def test_two_ids_at_one_price_are_one_level() -> None:
    stream = opened()
    (event,) = stream.receive(book("insert", (9, "Buy", 11, 99.5)))
    assert levels(event) == ({99.5: 111.0}, {})
    (event,) = stream.receive(book("delete", (1, "Buy")))
    assert levels(event) == ({99.5: 11.0}, {})


def test_a_whole_message_is_applied_before_anything_is_said() -> None:
    """A level goes and comes back under another id in one message: it was never gone."""
    stream = opened()
    rows = [
        {"symbol": "XBTUSD", "id": 1, "side": "Buy", "price": 99.0},
        {"symbol": "XBTUSD", "id": 1, "side": "Buy", "price": 99.5, "size": 40},
    ]
    (event,) = stream.receive(frame("orderBookL2", "update", rows))
    assert levels(event) == ({99.5: 40.0, 99.0: 0.0}, {})


def test_one_message_may_hold_rows_of_many_symbols_and_one_broken_book_leaves_the_others() -> None:
    stream = opened()
    stream.receive(image((1, "Buy", 10, 5.0), symbol="ETHUSDT"))
    rows = [
        {"symbol": "XBTUSD", "id": 404, "side": "Buy", "size": 1},
        {"symbol": "ETHUSDT", "id": 1, "side": "Buy", "size": 9},
        {"symbol": "SOLUSDT", "id": 1, "side": "Buy", "size": 9},
    ]
    events = stream.receive(frame("orderBookL2", "update", rows))
    assert [type(event) for event in events] == [BookBroken, BookDelta]
    assert levels(events[1]) == ({5.0: 9.0}, {})
    assert getattr(events[1], "wire", "") == "ETHUSDT"


def test_an_image_in_mid_stream_replaces_the_book_of_its_symbol() -> None:
    stream = opened()
    (event,) = stream.receive(image((5, "Buy", 1, 98.0)))
    assert isinstance(event, BookSnapshot)
    (event,) = stream.receive(book("update", (1, "Buy", 5)))
    assert isinstance(event, BookBroken), "ids of the old image are gone"


def test_an_image_may_be_empty() -> None:
    (event,) = BitmexMarketStream().receive(image())
    assert isinstance(event, BookSnapshot)
    assert (event.wire, event.bids, event.asks) == ("XBTUSD", [], [])


@pytest.mark.parametrize(
    "row", [(3, "Buy", 5, None), (3, "Buy", None, 99.0), (3, "Middle", 5, 99.0)], ids=["price", "size", "side"]
)
def test_a_row_that_lacks_what_it_needs_breaks_the_book(row: tuple[Any, ...]) -> None:
    (event,) = opened().receive(book("insert", row))
    assert isinstance(event, BookBroken)


def test_a_book_with_other_keys_is_not_understood() -> None:
    (event,) = BitmexMarketStream().receive(book("partial", keys=["symbol", "price"], filter={"symbol": "XBTUSD"}))
    assert isinstance(event, Unknown)


@pytest.mark.parametrize(
    "text",
    [
        book("partial", keys=["symbol", "price"], filter={"symbol": "XBTUSD"}),
        image((5, "Buy", None, 98.0)),
        image((5, "Buy", 7, None)),
        image((5, "Middle", 7, 98.0)),
        book("replace", (1, "Buy", 5)),
        '{"action":"update","table":"orderBookL2","data":[{"symbol":"XBTUSD","id":"one","side":"Buy","size":5}]}',
        '{"action":"update", "table":"orderBookL2", "data":5}',
    ],
    ids=["keys", "size", "price", "side", "action", "id", "data"],
)
def test_a_book_message_that_is_not_understood_breaks_the_book_that_it_spoke_of(text: str) -> None:
    """It may have changed anything: what was there is not shown on as if it were live."""
    stream = opened()
    events = stream.receive(text)
    assert [type(event) for event in events] == [Unknown, BookBroken]
    assert getattr(events[1], "wires", ()) in (None, ("XBTUSD",))
    assert stream.receive(book("update", (1, "Buy", 5))) == [Alive()]
    assert [type(event) for event in BitmexMarketStream().receive(text)] == [Unknown], "nothing was there to break"


def test_the_acknowledgement_and_the_image_come_in_either_order() -> None:
    topic = Topic(Channel.BOOK, "XBTUSD")
    acknowledged = json.dumps({"success": True, "subscribe": "orderBookL2:XBTUSD", "request": {}})
    for frames in ((acknowledged, image((1, "Buy", 1, 1.0))), (image((1, "Buy", 1, 1.0)), acknowledged)):
        stream = BitmexMarketStream()
        stream.plan(frozenset(), [topic], [])
        found = [event for text in frames for event in stream.receive(text)]
        assert {type(event) for event in found} == {Accepted, BookSnapshot}
        assert Accepted((topic,)) in found
        (event,) = stream.receive(book("update", (1, "Buy", 5)))
        assert isinstance(event, BookDelta)


def test_two_topics_of_one_table_are_joined_once_and_left_with_the_last() -> None:
    stream = BitmexMarketStream()
    ticker, mark = Topic(Channel.TICKER, "XBTUSD"), Topic(Channel.MARK, "XBTUSD")
    (ask,) = stream.plan(frozenset(), [ticker, mark], [])
    assert ask.payload == {"op": "subscribe", "args": ["instrument:XBTUSD"]}
    assert stream.plan(frozenset({ticker}), [mark], []) == []
    assert stream.plan(frozenset({ticker, mark}), [], [mark]) == []
    (ask,) = stream.plan(frozenset({ticker, mark}), [], [mark, ticker])
    assert ask.payload == {"op": "unsubscribe", "args": ["instrument:XBTUSD"]}


def test_topics_leave_ten_a_frame() -> None:
    topics = [Topic(Channel.BOOK, f"S{number}") for number in range(23)]
    asks = BitmexMarketStream().plan(frozenset(), topics, [])
    assert [len(ask.payload["args"]) for ask in asks] == [10, 10, 3]


def test_a_subscription_that_is_made_again_starts_from_nothing() -> None:
    stream, topic = opened(), Topic(Channel.BOOK, "XBTUSD")
    stream.plan(frozenset({topic}), [], [topic])
    stream.plan(frozenset(), [topic], [])
    assert stream.receive(book("update", (1, "Buy", 5))) == [Alive()], "a straggler of the old subscription"


def test_the_raw_pong_and_prints_of_an_index() -> None:
    stream = BitmexMarketStream()
    assert stream.receive("pong") == [Alive()]
    row = {"timestamp": "2026-01-01T00:00:00.000Z", "symbol": ".BXBT", "side": "Buy", "size": 0, "price": 62800}
    assert stream.receive(frame("trade", "insert", [row])) == []


def test_an_empty_side_of_a_quote_has_no_size() -> None:
    row = {"timestamp": "2026-01-01T00:00:00.000Z", "symbol": "XBTUSD", "askPrice": 5, "askSize": 7}
    (event,) = BitmexMarketStream().receive(frame("quote", "insert", [row]))
    assert isinstance(event, Ticker)
    assert (event.bid, event.bid_size, event.ask, event.ask_size) == (None, 0.0, 5.0, 7.0)


def test_a_refused_topic_is_named() -> None:
    stream, topic = BitmexMarketStream(), Topic(Channel.TRADES, "NOSUCH")
    stream.plan(frozenset(), [topic], [])
    said = {
        "status": 400,
        "error": "Unknown or expired symbol.",
        "request": {"op": "subscribe", "args": ["trade:NOSUCH"]},
    }
    assert stream.receive(json.dumps(said)) == [Declined("Unknown or expired symbol.", (topic,), code="400")]


# the private socket


def login(stream: BitmexAccountStream) -> Ask:
    ask, subscribe = stream.plan(frozenset(), [Topic(Channel.ACCOUNT)], [])
    assert subscribe.payload["args"] == ["order", "execution", "position", "margin"]
    return ask


def test_the_login_is_signed_when_it_leaves_and_its_echo_tells_nobody_the_key() -> None:
    stream = BitmexAccountStream()
    ask, family = login(stream), load("bitmex").families[0]
    secrets = {"key": "KEYKEYKEY", "secret": "SECRETSECRET"}
    wire = family.signer.seal(ask, secrets, {}, Stamp(1_700_000_000_000, 0, ""), family.url("account"))
    sent = json.loads(str(wire.frame))
    assert sent["op"] == "authKeyExpires"
    assert sent["args"][:2] == ["KEYKEYKEY", 1_700_000_005]
    (event,) = stream.receive(json.dumps({"success": True, "request": sent}))
    assert isinstance(event, Answered)
    assert "KEYKEYKEY" not in str(event)
    assert ask.read(event.payload) is None
    for broken in ({"request": sent}, {"success": False, "request": sent}, {"table": "new", "request": sent}):
        assert "KEYKEYKEY" not in str(stream.receive(json.dumps(broken)))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Invalid API Key.", AuthenticationFailed),
        ("This request has expired - `expires` is in the past.", VenueUnavailable),
    ],
)
def test_a_refused_login_has_its_kind_and_a_late_one_may_be_tried_again(text: str, kind: type[Exception]) -> None:
    stream = BitmexAccountStream()
    ask = login(stream)
    said = {"status": 401, "error": text, "meta": {}, "request": {"op": "authKeyExpires", "args": ["K", 1, "S"]}}
    (event,) = stream.receive(json.dumps(said))
    assert isinstance(event, Answered)
    with pytest.raises(kind):
        ask.read(event.payload)


def test_a_switch_that_is_set_by_socket_is_acknowledged() -> None:
    said = {"now": "2024-04-09T09:01:56.560Z", "cancelTime": "2024-04-09T09:01:56.660Z", "request": {"args": 100}}
    assert BitmexAccountStream().receive(json.dumps(said)) == [Accepted()]


def test_a_401_later_means_that_the_login_is_over() -> None:
    assert BitmexAccountStream().receive('{"status":401,"error":"This key is disabled."}') == [
        LoginLost("This key is disabled.")
    ]


ORDER = {
    "orderID": "o-1",
    "clOrdID": "c-1",
    "account": 1,
    "symbol": "XBTUSD",
    "side": "Buy",
    "orderQty": 300,
    "price": 60000.5,
    "ordType": "Limit",
    "timeInForce": "GoodTillCancel",
    "execInst": "ParticipateDoNotInitiate",
    "ordStatus": "New",
    "workingIndicator": True,
    "leavesQty": 300,
    "cumQty": 0,
    "text": "Submitted via API.",
    "timestamp": "2026-01-01T00:00:00.000Z",
}


def order_event(stream: BitmexAccountStream, action: str, **changes: Any) -> OrderUpdate:
    rows = [{**ORDER, **changes}] if action == "insert" else [{"orderID": "o-1", "symbol": "XBTUSD", **changes}]
    (event,) = stream.receive(frame("order", action, rows))
    assert isinstance(event, OrderUpdate)
    return event


def test_a_sparse_order_is_told_whole() -> None:
    stream = BitmexAccountStream()
    order_event(stream, "insert")
    event = order_event(stream, "update", ordStatus="PartiallyFilled", cumQty=100, leavesQty=200, avgPx=60000.5)
    assert (event.status, event.filled, event.amount, event.average) == (
        OrderStatus.PARTLY_FILLED,
        D(100),
        D(300),
        D("60000.5"),
    )
    assert (event.client_id, event.post_only, event.price) == ("c-1", True, D("60000.5"))


def test_an_update_of_an_order_that_was_never_told_says_only_what_it_says() -> None:
    event = order_event(BitmexAccountStream(), "update", ordStatus="Canceled", text="Canceled: Canceled via API.\n...")
    assert (event.status, event.end_reason) == (OrderStatus.CANCELLED, EndReason.USER)
    assert (event.filled, event.amount, event.side) == (UNSET, UNSET, UNSET)


@pytest.mark.parametrize(
    ("text", "status", "reason"),
    [
        ("Canceled: Order had execInst of ParticipateDoNotInitiate", OrderStatus.REJECTED, EndReason.POST_ONLY),
        ("Canceled: Order had timeInForce of ImmediateOrCancel", OrderStatus.EXPIRED, EndReason.IOC_REST),
        ("Canceled: Order had timeInForce of FillOrKill", OrderStatus.EXPIRED, EndReason.FOK),
        ("Canceled: Canceled via API.", OrderStatus.CANCELLED, EndReason.USER),
        ("Canceled: for reasons of its own", OrderStatus.CANCELLED, EndReason.OTHER),
        ("", OrderStatus.CANCELLED, EndReason.OTHER),
    ],
)
def test_why_an_order_was_cancelled_stands_in_its_first_line(text: str, status: OrderStatus, reason: EndReason) -> None:
    event = order_event(BitmexAccountStream(), "insert", ordStatus="Canceled", text=f"{text}\nSubmitted via API.")
    assert (event.status, event.end_reason, event.reason) == (status, reason, text)


def test_the_traders_own_remark_is_no_reason() -> None:
    text = "Canceled: Canceled via API.\nParticipateDoNotInitiate is what I thought of"
    event = order_event(BitmexAccountStream(), "insert", ordStatus="Canceled", text=text)
    assert event.end_reason is EndReason.USER


def test_a_stop_waits_until_it_is_triggered() -> None:
    stream = BitmexAccountStream()
    waiting = {"ordType": "Stop", "stopPx": 70000, "workingIndicator": False, "triggered": "", "price": None}
    assert order_event(stream, "insert", **waiting).status is OrderStatus.UNTRIGGERED
    event = order_event(stream, "update", triggered="StopOrderTriggered", workingIndicator=True)
    assert (event.status, event.trigger, event.price) == (OrderStatus.OPEN, D(70000), UNSET)


def test_a_status_that_is_not_documented_is_not_guessed() -> None:
    row = {**ORDER, "ordStatus": "Levitating"}
    (event,) = BitmexAccountStream().receive(frame("order", "insert", [row]))
    assert isinstance(event, Unknown)


@pytest.mark.parametrize("odd", [{"ordStatus": "Levitating"}, {"orderID": None, "ordStatus": "New", "side": 5}])
def test_a_row_that_is_not_understood_takes_nothing_from_those_beside_it(odd: dict[str, Any]) -> None:
    others = [{**ORDER, "orderID": "o-1"}, {**ORDER, "orderID": "o-2", "ordStatus": "Filled", "cumQty": 300}]
    events = BitmexAccountStream().receive(frame("order", "insert", [others[0], {**ORDER, **odd}, others[1]]))
    assert [type(event) for event in events] == [OrderUpdate, Unknown, OrderUpdate]
    executions = [{**EXECUTION, "execID": "e-1"}, {**EXECUTION, "lastPx": "much"}, {**EXECUTION, "execID": "e-2"}]
    events = BitmexAccountStream().receive(frame("execution", "insert", executions))
    assert [type(event) for event in events] == [Fill, Unknown, Fill]


EXECUTION = {
    **ORDER,
    "execID": "e-1",
    "execType": "Trade",
    "lastQty": 100,
    "lastPx": 60000.5,
    "lastLiquidityInd": "RemovedLiquidity",
    "settlCurrency": "XBt",
    "execComm": 83,
    "transactTime": "2026-01-01T00:00:01.000Z",
}


def executed(**changes: Any) -> Any:
    (event,) = BitmexAccountStream().receive(frame("execution", "insert", [{**EXECUTION, **changes}]))
    return event


def test_a_fee_is_counted_in_the_contracts_own_unit() -> None:
    inverse, linear = executed(), executed(settlCurrency="USDt", execComm=-250)
    assert (inverse.fee, inverse.fee_asset, inverse.maker) == (D("0.00000083"), "BTC", False)
    assert (linear.fee, linear.fee_asset) == (D("-0.00025"), "USDT")
    unknown = executed(settlCurrency="DOGs")
    assert isinstance(unknown, Fill)
    assert (unknown.fee, unknown.fee_asset) == (None, ""), "a unit that is not known is no guess"


@pytest.mark.parametrize("kind", ["Funding", "Settlement", "CancelReject", "AmendReject", "New", "Canceled"])
def test_rows_that_are_no_fill(kind: str) -> None:
    gone = {"lastQty": None} if kind in ("New", "Canceled") else {}
    assert executed(execType=kind, **gone) == Alive()


def test_an_unknown_execution_is_a_fill_if_it_says_what_was_filled_and_is_told_in_any_case() -> None:
    assert isinstance(executed(execType="Liquidation"), Fill)
    assert isinstance(executed(execType="Novel", lastQty=None), Unknown)
    row = {**EXECUTION, "execType": "Novel"}
    events = BitmexAccountStream().receive(frame("execution", "insert", [row]))
    assert [type(event) for event in events] == [Fill, Unknown]


def test_executions_of_an_image_are_the_past_unless_the_frame_is_all_there_is() -> None:
    image = frame("execution", "partial", [EXECUTION])
    assert BitmexAccountStream().receive(image) == [Alive()]
    (event,) = BitmexAccountStream().read_alone(image)
    assert isinstance(event, Fill)


POSITION = {"account": 1, "symbol": "XBTUSD", "strategy": "OneWay", "currency": "XBt", "currentQty": -400}


def test_a_sparse_position_keeps_its_quantity() -> None:
    stream = BitmexAccountStream()
    stream.receive(frame("position", "partial", [POSITION], keys=["account", "symbol", "strategy"]))
    key = {name: POSITION[name] for name in ("account", "symbol", "strategy")}
    (event,) = stream.receive(frame("position", "update", [{**key, "markPrice": 62000, "unrealisedPnl": -1543}]))
    assert isinstance(event, Position)
    assert (event.size, event.mark, event.unrealised) == (D(-400), D(62000), D("-0.00001543"))


def test_a_position_without_a_quantity_is_not_flat() -> None:
    row = {"account": 1, "symbol": "XBTUSD", "markPrice": 62000}
    assert BitmexAccountStream().receive(frame("position", "update", [row])) == [Alive()]


def test_margin_of_two_currencies_is_kept_apart() -> None:
    stream = BitmexAccountStream()
    rows = [
        {"account": 1, "currency": "XBt", "walletBalance": 10**8, "marginBalance": 10**8, "availableMargin": 10**8},
        {"account": 1, "currency": "USDt", "walletBalance": 10**6, "marginBalance": 10**6, "availableMargin": 10**6},
    ]
    events = stream.receive(frame("margin", "partial", rows, keys=["account", "currency"]))
    assert [(event.asset, event.total) for event in events if isinstance(event, Balance)] == [
        ("BTC", D(1)),
        ("USDT", D(1)),
    ]
    (event,) = stream.receive(
        frame("margin", "update", [{"account": 1, "currency": "USDt", "availableMargin": 400000}])
    )
    assert isinstance(event, Balance)
    assert (event.asset, event.available, event.held, event.total) == ("USDT", D("0.4"), D("0.6"), D(1))
