"""What only KuCoin's streams have: sockets by token, numbered rows, hidden activity, order events without fees."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from connectors.catalogue import load
from connectors.contract import (
    Accepted,
    Answer,
    Channel,
    ClosingSoon,
    Declined,
    Dial,
    LoginLost,
    Ready,
    Role,
    Security,
    Stamp,
    Topic,
    Unknown,
)
from connectors.kucoin.market import KucoinMarketStream, ms
from connectors.model import Balance, BookDelta, BookSnapshot, EndReason, Fill, Level, OrderStatus, OrderUpdate
from connectors.sync import BookState, BookSync

D = Decimal
VENUE = load("kucoin")


def message(topic: str, subject: str, data: Any) -> str:
    return json.dumps({"topic": topic, "type": "message", "subject": subject, "data": data})


def change(first: int, last: int, asks: Any = (), bids: Any = ()) -> str:
    rows = {"asks": list(asks), "bids": list(bids)}
    data = {"changes": rows, "sequenceStart": first, "sequenceEnd": last, "symbol": "BTC-USDT", "time": 1}
    return message("/market/level2:BTC-USDT", "trade.l2update", data)


def spot() -> Any:
    return KucoinMarketStream(futures=False)


def private(family: str = "spot") -> Any:
    return VENUE.family(family).account_stream()


# Opening


def opened(stream: Any, **server: Any) -> tuple[Any, Dial]:
    flow = stream.opening({})
    call = next(flow)
    values = {"endpoint": "wss://somewhere.example/", "pingInterval": 18000, "pingTimeout": 10000, **server}
    body = {"code": "200000", "data": {"token": "T==", "instanceServers": [values]}}
    with pytest.raises(StopIteration) as ended:
        flow.send(call.read(Answer(200, json.dumps(body).encode())))
    return call, ended.value.value


def test_a_public_socket_asks_for_a_token_without_a_key() -> None:
    call, dial = opened(spot())
    assert (call.method, call.path, call.security) == ("POST", "/api/v1/bullet-public", Security.NONE)
    assert dial.url is not None
    assert dial.url.startswith("wss://somewhere.example/?token=T==&connectId=")
    assert dial.await_first


def test_a_private_socket_signs_for_its_token() -> None:
    call, _ = opened(private())
    assert (call.method, call.path, call.security) == ("POST", "/api/v1/bullet-private", Security.SIGNED)


def test_the_beat_is_the_one_that_the_venue_names() -> None:
    _, dial = opened(spot(), pingInterval=7000, pingTimeout=2000)
    assert dial.pulse is not None
    assert (dial.pulse.every, dial.pulse.dead_after) == (7.0, 9.0)
    assert dial.pulse.send is not None
    assert json.loads(dial.pulse.send(Stamp(1234, 0, ""))) == {"id": "1234", "type": "ping"}


def test_a_socket_is_replaced_before_its_token_is_a_day_old() -> None:
    _, dial = opened(spot())
    assert dial.life == 24 * 3600


def test_nothing_is_sent_before_the_welcome() -> None:
    assert isinstance(spot().receive('{"id":"x","type":"welcome"}')[0], Ready)


# Subscribing


def test_symbols_share_a_topic_and_candles_do_not() -> None:
    stream = spot()
    books = [Topic(Channel.BOOK, f"C{number}-USDT") for number in range(130)]
    bars = [Topic(Channel.CANDLES, "BTC-USDT", "1h"), Topic(Channel.CANDLES, "ETH-USDT", "1m")]
    asks = stream.plan(frozenset(), [*books, *bars], [])
    assert [ask.payload["topic"].count(",") + 1 for ask in asks] == [100, 30, 1, 1]
    assert asks[2].payload["topic"] == "/market/candles:BTC-USDT_1hour"
    assert len({ask.id for ask in asks}) == 4
    assert all(ask.payload["response"] is True and ask.payload["privateChannel"] is False for ask in asks)


def test_futures_take_a_topic_a_contract() -> None:
    stream = KucoinMarketStream(futures=True)
    asks = stream.plan(frozenset(), [Topic(Channel.BOOK, "XBTUSDTM"), Topic(Channel.BOOK, "ETHUSDTM")], [])
    assert [ask.payload["topic"] for ask in asks] == [
        "/contractMarket/level2:XBTUSDTM",
        "/contractMarket/level2:ETHUSDTM",
    ]


def test_answers_name_the_topics_of_their_request() -> None:
    stream = spot()
    topic = Topic(Channel.TRADES, "BTC-USDT")
    (ask,) = stream.plan(frozenset(), [topic], [])
    (accepted,) = stream.receive(json.dumps({"id": ask.id, "type": "ack"}))
    assert accepted == Accepted(topics=(topic,), ask=ask.id)
    (refused,) = stream.receive(
        json.dumps({"id": ask.id, "type": "error", "code": 404, "data": "topic does not exist"})
    )
    assert refused == Declined("topic does not exist", topics=(topic,), ask=ask.id, code="404")


def test_private_topics_say_so() -> None:
    asks = private().plan(frozenset(), [Topic(Channel.ACCOUNT)], [])
    assert {ask.payload["topic"] for ask in asks} == {
        "/spotMarket/tradeOrdersV2",
        "/spotMarket/advancedOrders",
        "/account/balance",
    }
    assert all(ask.payload["privateChannel"] is True and ask.endpoint == Role.ACCOUNT for ask in asks)


def test_an_old_token_asks_for_a_new_one() -> None:
    frame = '{"id":"1","type":"error","code":401,"data":"token is expired"}'
    assert spot().receive(frame) == [LoginLost("token is expired")]


def test_a_missed_beat_ends_the_socket() -> None:
    assert spot().receive('{"type":"error","code":400,"data":"ping timeout"}') == [ClosingSoon("ping timeout")]


# Books


def test_rows_with_price_zero_only_count() -> None:
    (event,) = spot().receive(change(7, 7, asks=[["0", "0", "7"]]))
    assert isinstance(event, BookDelta)
    assert (event.first, event.last, event.bids, event.asks) == (7, 7, [], [])
    (event,) = spot().receive(change(8, 8, bids=[["0", "5", "8"]]))
    assert isinstance(event, BookDelta)
    assert event.bids == []


def test_of_a_message_that_overlaps_the_snapshot_only_newer_rows_are_applied() -> None:
    rule = VENUE.family("spot").book
    sync = BookSync(rule, "BTC-USDT")
    sync.subscribed(0.0)
    overlapping = change(
        10, 14, asks=[["101", "1", "10"], ["0", "0", "11"], ["102", "7", "14"]], bids=[["99", "3", "12"]]
    )
    for event in spot().receive(overlapping):
        assert isinstance(event, BookDelta)
        sync.delta(event, 0.0)
    # a made-up snapshot that contradicts row 12, to see that it was not applied
    bids, asks = [Level(99.0, 5.0)], [Level(101.0, 1.0), Level(102.0, 2.0)]
    sync.snapshot(BookSnapshot(wire="BTC-USDT", bids=bids, asks=asks, id=12), 0.1)
    assert sync.state is BookState.LIVE
    assert (sync.book.bids, sync.book.asks, sync.last_id) == ({99.0: 5.0}, {101.0: 1.0, 102.0: 7.0}, 14)


def test_parts_of_a_message_follow_each_other() -> None:
    events = spot().receive(change(10, 15, asks=[["101", "1", "13"]], bids=[["99", "3", "11"], ["98", "0", "13"]]))
    assert [(event.first, event.last) for event in events] == [(10, 11), (12, 13), (14, 15)]
    assert [len(event.bids) + len(event.asks) for event in events] == [1, 2, 0]


def test_a_gap_breaks_the_book() -> None:
    sync = BookSync(VENUE.family("spot").book, "BTC-USDT")
    sync.subscribed(0.0)
    sync.snapshot(BookSnapshot(wire="BTC-USDT", bids=[Level(99, 1)], asks=[Level(101, 1)], id=5), 0.0)
    for frame in (change(6, 6, bids=[["98", "1", "6"]]), change(8, 8, bids=[["97", "1", "8"]])):
        for event in spot().receive(frame):
            assert isinstance(event, BookDelta)
            sync.delta(event, 0.1)
    assert (sync.counters.gaps, sync.state) == (1, BookState.RESYNCING)


def test_frames_are_routed_by_topic_whatever_the_order_of_keys() -> None:
    data = {"sequence": "7", "bestBid": "1", "bestBidSize": "2", "bestAsk": "3", "bestAskSize": "4", "time": 5}
    for keys in (("data", "subject", "topic", "type"), ("type", "topic", "subject", "data")):
        whole = {"type": "message", "topic": "/market/ticker:all", "subject": "ETH-BTC", "data": data}
        (event,) = spot().receive(json.dumps({key: whole[key] for key in keys}))
        assert (event.wire, event.bid, event.id) == ("ETH-BTC", 1.0, 7)


def test_a_book_update_inside_of_other_words_is_not_mistaken() -> None:
    frame = json.dumps({"id": "9", "type": "error", "code": 400, "data": 'no "trade.l2update" here'})
    (event,) = spot().receive(frame.replace("\\", ""))
    assert isinstance(event, Unknown)


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (1729816425, 1729816425000),
        (1729816425625, 1729816425625),
        (1729816425625123, 1729816425625),
        (1729843222921000000, 1729843222921),
    ],
)
def test_times_are_told_apart_by_their_size(time: int, expected: int) -> None:
    assert ms(time) == expected


def test_a_lone_book_update_is_told_as_the_one_that_it_is() -> None:
    changes = {"asks": [["11", "1", "8"], ["0", "0", "7"]], "bids": [["10", "2", "9"], ["9", "0", "6"]]}
    row = {"changes": changes, "sequenceStart": 6, "sequenceEnd": 9, "symbol": "BTC-USDT", "time": 5}
    frame = message("/market/level2:BTC-USDT", "trade.l2update", row)
    assert len(spot().receive(frame)) > 1
    (told,) = spot().read_alone(frame)
    assert isinstance(told, BookDelta)
    assert (told.first, told.last, told.time) == (6, 9, 5)
    assert [(level.price, level.size) for level in told.asks] == [(11, 1)]
    assert [(level.price, level.size) for level in told.bids] == [(10, 2), (9, 0)]


# Private events


def order(kind: str, **fields: Any) -> str:
    row = {
        "symbol": "BTC-USDT",
        "orderType": "limit",
        "side": "buy",
        "orderId": "o1",
        "clientOid": "mine",
        "type": kind,
        "orderTime": 1730206271588,
        "ts": 1730206271616000000,
        "size": "2",
        "originSize": "2",
        "price": "100",
        "filledSize": "0",
        "remainSize": "2",
        **fields,
    }
    return message("/spotMarket/tradeOrdersV2", "orderChange", row)


def test_an_order_that_never_rested_was_ended_by_the_venue() -> None:
    stream = private()
    assert stream.receive(order("received"))[0].status is OrderStatus.PENDING
    (update,) = stream.receive(order("canceled", remainSize="0"))
    assert isinstance(update, OrderUpdate)
    assert (update.status, update.end_reason) == (OrderStatus.EXPIRED, EndReason.OTHER)


def test_an_order_that_rested_was_cancelled() -> None:
    stream = private()
    for kind in ("received", "open"):
        stream.receive(order(kind))
    (update,) = stream.receive(order("canceled", filledSize="1", remainSize="0"))
    assert isinstance(update, OrderUpdate)
    assert (update.status, update.filled) == (OrderStatus.CANCELLED, 1)


def test_a_match_carries_its_execution_without_a_fee() -> None:
    match = {"matchPrice": "99.5", "matchSize": "0.5", "tradeId": "11029373945659392", "liquidity": "taker"}
    fill, update = private().receive(order("match", filledSize="0.5", remainSize="1.5", **match))
    assert isinstance(fill, Fill)
    assert (fill.price, fill.amount, fill.fee, fill.maker) == (D("99.5"), D("0.5"), None, False)
    assert isinstance(update, OrderUpdate)
    assert (update.status, update.price, update.filled) == (OrderStatus.PARTLY_FILLED, 100, D("0.5"))


def test_a_market_order_by_money_is_not_called_filled_before_its_end() -> None:
    match = {"matchPrice": "99.5", "matchSize": "0.5", "tradeId": "1", "liquidity": "taker"}
    row = {"orderType": "market", "size": "0", "remainSize": "0", "originFunds": "100", "filledSize": "0.5", **match}
    _, update = private().receive(order("match", **row))
    assert isinstance(update, OrderUpdate)
    assert (update.status, update.quote_amount) == (OrderStatus.PARTLY_FILLED, 100)


def test_balances_of_other_accounts_are_left_aside() -> None:
    row = {"currency": "USDT", "total": "5", "available": "4", "hold": "1", "time": "1730269283892"}
    stream = private()
    for event in ("main.deposit", "margin.setted", "isolated_BTC-USDT.hold", ""):
        assert stream.receive(message("/account/balance", "account.balance", {**row, "relationEvent": event})) == []
    for event in ("trade.hold", "trade_hf.setted"):
        (balance,) = stream.receive(message("/account/balance", "account.balance", {**row, "relationEvent": event}))
        assert balance == Balance(
            asset="USDT", family="spot", total=D(5), available=D(4), held=D(1), time=1730269283892
        )


def test_futures_call_bitcoin_by_its_old_name() -> None:
    stream = private("futures")
    row = {"currency": "XBT", "walletBalance": "2", "availableBalance": "1.5", "holdBalance": "0", "timestamp": "1"}
    (balance,) = stream.receive(message("/contractAccount/wallet", "walletBalance.change", row))
    assert isinstance(balance, Balance)
    assert (balance.asset, balance.total) == ("BTC", 2)


def test_a_mark_that_moves_is_no_news_of_a_position() -> None:
    stream = private("futures")
    topic = "/contract/position:XBTUSDTM"
    assert stream.receive(message(topic, "position.change", {"changeReason": "markPriceChange", "markPrice": 5})) == []
    (position,) = stream.receive(message(topic, "position.change", {"currentQty": -3, "avgEntryPrice": 100.5}))
    assert (position.wire, position.size, position.entry) == ("XBTUSDTM", -3, D("100.5"))


def test_futures_changes_name_price_side_and_lots() -> None:
    data = {"sequence": 9, "change": "90631.2,sell,2", "timestamp": 1731897467182}
    (event,) = KucoinMarketStream(futures=True).receive(message("/contractMarket/level2:XBTUSDTM", "level2", data))
    assert isinstance(event, BookDelta)
    assert (event.first, event.last, event.bids, event.asks) == (9, 9, [], [Level(90631.2, 2.0)])
