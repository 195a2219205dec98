"""BitMEX's sample payloads become the right model values, checked against the numbers in the payload itself."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec import UNSET, structs

from connectors.bitmex import rows
from connectors.bitmex.account import BitmexAccountStream, assets
from connectors.bitmex.market import BitmexMarketStream
from connectors.bitmex.signing import decode
from connectors.catalogue import load
from connectors.contract import Accepted, Alive, Answer, Answered, Call, Channel, Declined, Page, Topic, Unknown
from connectors.errors import (
    AuthenticationFailed,
    BadPrice,
    BadSize,
    DuplicateOrder,
    InsufficientFunds,
    OrderNotFound,
    PermissionDenied,
    RateLimited,
    VenueError,
    VenueUnavailable,
)
from connectors.model import (
    Balance,
    BookBroken,
    BookDelta,
    BookSnapshot,
    Candle,
    EndReason,
    Fill,
    Instrument,
    MarkPrice,
    OrderKind,
    OrderRef,
    OrderRequest,
    OrderStatus,
    OrderUpdate,
    Position,
    Side,
    Ticker,
    Trade,
    Unit,
)
from connectors.tools import instrument_for
from tests.conftest import SHARED

D = Decimal
PATH = SHARED / "venues" / "bitmex" / "samples.jsonl"

# Kinds that no handler reads, and why.
NOT_READ = {
    "ws.subscribe.request": "a frame that a client sends; the vectors and the tests of the stream cover ours",
    "rest.wallet": "what was deposited and withdrawn; balances come from the margin table, which has the same wallet",
    "rest.funding": "funding paid in the past is not shown; the running rate comes with the instrument",
    "rest.cancel_all_after.ok": "the answer says only that it was done; see the dead man's switch in the tests of the venue",
}


def samples(*kinds: str) -> list[Any]:
    found = [json.loads(line) for line in PATH.read_text().splitlines()] if PATH.exists() else []
    return [
        pytest.param(row["data"], id=f"{row['kind']} #{number}")
        for number, row in enumerate(found)
        if row["kind"] in kinds
    ]


def with_status(*kinds: str) -> list[Any]:
    found = [json.loads(line) for line in PATH.read_text().splitlines()] if PATH.exists() else []
    return [
        pytest.param(row["http_status"], row["data"], id=f"{row['kind']} #{number}")
        for number, row in enumerate(found)
        if row["kind"] in kinds and "http_status" in row
    ]


def text(data: Any) -> str:
    return data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))


def public(*frames: Any) -> list[Any]:
    """Everything that a fresh public stream says to the last frame."""
    stream = BitmexMarketStream()
    found: list[Any] = []
    for frame in frames:
        found = stream.receive(text(frame))
    return found


def private(data: Any) -> list[Any]:
    return BitmexAccountStream().receive(text(data))


def answer(data: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(data).encode(), got_at=4_000_000_000_000)


def stamp(value: str) -> int:
    return round(datetime.fromisoformat(value).timestamp() * 1000)


def call(operation: str, *args: Any) -> Call:
    trading: Any = load("bitmex").families[0].trading
    step = next(getattr(trading, operation)(*args))
    assert isinstance(step, Call)
    return step


def instrument() -> Instrument:
    venue = load("bitmex")
    return instrument_for({"symbol": "BTC-USD"}, venue.families[0], venue)


have = pytest.mark.skipif(not PATH.exists(), reason=f"no samples at {PATH}")


@have
def test_every_kind_is_read_here_or_listed_with_a_reason() -> None:
    source = Path(__file__).read_text()
    kinds = {json.loads(line)["kind"] for line in PATH.read_text().splitlines()}
    assert [kind for kind in sorted(kinds) if f'"{kind}"' not in source] == []
    assert NOT_READ.keys() <= kinds


# the book


@have
@pytest.mark.parametrize("data", samples("ws.book.snapshot"))
def test_an_image_holds_every_row(data: Any) -> None:
    (event,) = public(data)
    assert isinstance(event, BookSnapshot)
    assert event.wire == data["filter"]["symbol"]
    for side, levels in (("Buy", event.bids), ("Sell", event.asks)):
        expected = {row["price"]: row["size"] for row in data["data"] if row["side"] == side}
        assert {level.price: level.size for level in levels} == expected


@have
@pytest.mark.parametrize("data", samples("ws.book.delta"))
def test_a_change_of_an_id_that_is_not_there_breaks_the_book_and_one_that_is_there_is_applied(data: Any) -> None:
    row = data["data"][0]
    image = {"table": "orderBookL2", "action": "partial", "filter": {"symbol": row["symbol"]}, "data": []}
    (event,) = public(image, data)
    if data["action"] == "insert":
        assert isinstance(event, BookDelta)
        side = event.bids if row["side"] == "Buy" else event.asks
        assert [(level.price, level.size) for level in side] == [(row["price"], row["size"])]
        return
    assert isinstance(event, BookBroken)
    assert event.wires == (row["symbol"],)
    price = row.get("price", 123.5)
    known = [{**each, "size": 7, "price": price + number} for number, each in enumerate(data["data"])]
    (event,) = public({**image, "data": known}, data)
    assert isinstance(event, BookDelta)
    for number, each in enumerate(data["data"]):
        side = event.bids if each["side"] == "Buy" else event.asks
        wanted = each["size"] if data["action"] == "update" else 0.0
        assert (price + number, wanted) in [(level.price, level.size) for level in side]


@have
@pytest.mark.parametrize("data", samples("ws.book10"))
def test_the_top_ten_is_a_whole_image(data: Any) -> None:
    (event,) = public(data)
    (row,) = data["data"]
    assert isinstance(event, BookSnapshot)
    assert (event.depth, event.time) == (10, stamp(row["timestamp"]))
    assert [[level.price, level.size] for level in event.bids] == row["bids"]
    assert [[level.price, level.size] for level in event.asks] == row["asks"]


# other public tables


@have
@pytest.mark.parametrize("data", samples("ws.trade", "ws.trade.snapshot"))
def test_trades_carry_the_takers_side(data: Any) -> None:
    events = public(data)
    assert len(events) == len(data["data"])
    for event, row in zip(events, data["data"], strict=True):
        assert isinstance(event, Trade)
        assert (event.wire, event.price, event.amount) == (row["symbol"], row["price"], row["size"])
        assert (event.side, event.id, event.time) == (
            Side(row["side"].lower()),
            row["trdMatchID"],
            stamp(row["timestamp"]),
        )


@have
@pytest.mark.parametrize("data", samples("ws.quote", "ws.quote.snapshot"))
def test_quotes_are_best_prices(data: Any) -> None:
    events = public(data)
    for event, row in zip(events, data["data"], strict=True):
        assert isinstance(event, Ticker)
        assert (event.bid, event.bid_size, event.ask, event.ask_size) == (
            row["bidPrice"],
            row["bidSize"],
            row["askPrice"],
            row["askSize"],
        )


@have
@pytest.mark.parametrize("data", samples("ws.instrument.snapshot", "ws.ticker"))
def test_instrument_rows_are_statistics_and_marks(data: Any) -> None:
    (row,) = data["data"]
    image = {"table": "instrument", "action": "partial", "data": [{"symbol": row["symbol"], "markPrice": 1.5}]}
    events = public(image, data)
    told = events[0]
    assert isinstance(told, Ticker)
    assert (told.last, told.bid, told.ask) == (row.get("lastPrice"), row.get("bidPrice"), row.get("askPrice"))
    marks = [event for event in events if isinstance(event, MarkPrice)]
    assert bool(marks) == any(row.get(name) is not None for name in ("markPrice", "indicativeSettlePrice"))
    for mark in marks:
        assert mark.mark == row.get("markPrice", 1.5)
        assert mark.index == row.get("indicativeSettlePrice")
    assert public(data) == [] or data["action"] == "partial", "an update before its image says nothing"


@have
@pytest.mark.parametrize("data", samples("ws.candle", "ws.candle.snapshot"))
def test_bars_are_stamped_with_their_end(data: Any) -> None:
    (event,) = public(data)
    (row,) = data["data"]
    assert isinstance(event, Candle)
    assert (event.start, event.interval, event.closed) == (stamp(row["timestamp"]) - 60_000, "1m", True)
    assert (event.open, event.high, event.low, event.close) == tuple(row[x] for x in ("open", "high", "low", "close"))
    assert (event.volume, event.quote_volume) == (row["volume"], row["foreignNotional"])


@have
@pytest.mark.parametrize("data", samples("ws.funding", "ws.liquidation", "ws.info", "ws.pong"))
def test_what_nothing_is_drawn_from_is_life(data: Any) -> None:
    assert public(data) == [Alive()]


@have
@pytest.mark.parametrize("data", samples("ws.error"))
def test_errors_of_a_subscription_are_declined_in_the_venues_words(data: Any) -> None:
    (event,) = public(data)
    assert isinstance(event, Declined)
    assert event.text == data["error"]


@have
@pytest.mark.parametrize("data", samples("ws.subscribed"))
def test_an_acknowledgement_names_its_topic(data: Any) -> None:
    stream = BitmexMarketStream()
    topic = Topic(Channel.BOOK, data["subscribe"].partition(":")[2])
    stream.plan(frozenset(), [topic], [])
    assert stream.receive(text(data)) == [Accepted((topic,))]


# the private socket


@have
@pytest.mark.parametrize("data", samples("ws.login", "ws.login.error"))
def test_the_answer_to_a_login_is_a_verdict_without_the_key(data: Any) -> None:
    (event,) = private(data)
    assert isinstance(event, Answered)
    assert str(data["request"]["args"][0]) not in str(event)
    (login, _) = BitmexAccountStream().plan(frozenset(), [Topic(Channel.ACCOUNT)], [])
    assert login.id == event.ask
    if "error" in data:
        with pytest.raises(AuthenticationFailed, match=data["error"]):
            login.read(event.payload)
    else:
        login.read(event.payload)


@have
@pytest.mark.parametrize("data", samples("ws.order.snapshot", "ws.order"))
def test_order_rows(data: Any) -> None:
    (event,) = private(data)
    (row,) = data["data"]
    check_order(event, row)


@have
def test_a_sparse_update_is_merged_into_its_order() -> None:
    opened, cancelled = (param.values[0] for param in samples("ws.order"))
    stream = BitmexAccountStream()
    stream.receive(text(opened))
    (event,) = stream.receive(text(cancelled))
    assert isinstance(event, OrderUpdate)
    assert (event.status, event.end_reason, event.side, event.price) == (
        OrderStatus.CANCELLED,
        EndReason.USER,
        Side.SELL,
        D(40000),
    )


def check_order(event: Any, row: Any) -> None:
    assert isinstance(event, OrderUpdate)
    assert (event.venue_id, event.client_id, event.wire) == (row["orderID"], row["clOrdID"], row["symbol"])
    expected = {
        "New": OrderStatus.OPEN,
        "Canceled": OrderStatus.CANCELLED,
        "Filled": OrderStatus.FILLED,
        "PartiallyFilled": OrderStatus.PARTLY_FILLED,
    }
    assert event.status is expected[row["ordStatus"]]
    if "side" in row:
        assert event.side is Side(row["side"].lower())
        assert event.kind is OrderKind.LIMIT
        assert (event.price, event.amount, event.filled) == (D(row["price"]), D(row["orderQty"]), D(row["cumQty"]))
        assert event.average == (D(str(row["avgPx"])) if row["avgPx"] else UNSET)
        assert event.post_only is (row["execInst"] == "ParticipateDoNotInitiate") or event.post_only is UNSET


@have
@pytest.mark.parametrize("data", samples("ws.fill"))
def test_executions_are_fills_and_a_refused_cancel_is_none(data: Any) -> None:
    (event,) = private(data)
    (row,) = data["data"]
    if row["execType"] == "CancelReject":
        assert event == Alive()
        return
    check_fill(event, row)


def check_fill(event: Any, row: Any) -> None:
    assert isinstance(event, Fill)
    assert (event.id, event.venue_id, event.client_id) == (row["execID"], row["orderID"], row["clOrdID"])
    assert (event.price, event.amount) == (D(str(row["lastPx"])), D(row["lastQty"]))
    assert (event.fee, event.fee_asset) == (D(row["execComm"]) / 10**8, "BTC")
    assert event.maker is row["lastLiquidityInd"].startswith("Added")
    assert event.side is Side(row["side"].lower())


@have
@pytest.mark.parametrize("data", samples("ws.balance.snapshot", "ws.balance"))
def test_margin_rows_are_balances_in_whole_coins(data: Any) -> None:
    (event,) = private(data)
    check_balance(event, data["data"][0])


def check_balance(event: Any, row: Any) -> None:
    assert isinstance(event, Balance)
    assert (event.asset, event.total) == ("BTC", D(row["walletBalance"]) / 10**8)
    assert event.available == D(row["availableMargin"]) / 10**8
    assert event.held == D(row["marginBalance"] - row["availableMargin"]) / 10**8


@have
@pytest.mark.parametrize("data", samples("ws.position.snapshot", "ws.position"))
def test_position_rows(data: Any) -> None:
    (event,) = private(data)
    check_position(event, data["data"][0])


def check_position(event: Any, row: Any) -> None:
    assert isinstance(event, Position)
    scale = 10**8 if row["currency"] == "XBt" else 10**6
    assert (event.wire, event.size) == (row["symbol"], D(row["currentQty"]))
    assert event.unrealised == D(row["unrealisedPnl"]) / scale
    assert event.margin == D(row["posMargin"]) / scale
    assert event.mark == D(str(row["markPrice"]))
    assert event.liquidation == (D(str(row["liquidationPrice"])) if row["liquidationPrice"] else None)
    if "avgEntryPrice" in row:
        assert event.entry == D(str(row["avgEntryPrice"]))
        assert event.isolated is not row["crossMargin"]
        assert event.leverage == D(row["leverage"])


# REST


@have
@pytest.mark.parametrize("data", samples("rest.instruments"))
def test_instruments_keep_their_grid_and_their_arithmetic(data: Any) -> None:
    found = {row.wire: row for row in call("instruments").read(answer(data))}
    for raw in data:
        row = found.get(raw["symbol"])
        if raw["typ"] not in ("FFWCSX", "FFCCSX"):
            assert row is None, "spreads may have negative prices"
            continue
        assert row is not None
        assert (row.tick, row.size.step, row.size.minimum) == (D(str(raw["tickSize"])), *[D(raw["lotSize"])] * 2)
        assert row.size.maximum == D(raw["maxOrderQty"])
        assert row.max_leverage == round(1 / raw["initMargin"] - 0.5 + 1e-9)
        scale = 10**8 if raw["settlCurrency"] == "XBt" else 10**6
        price, size = D(str(raw["markPrice"])), D(raw["lotSize"])
        worth = row.notional(price, size) * scale
        if raw["isInverse"]:
            assert row.unit is Unit.INVERSE
            assert round(worth, 6) == round(size * 10**8 / price, 6)
        else:
            assert row.unit is (Unit.QUANTO if raw["isQuanto"] else Unit.LINEAR)
            assert worth == size * price * raw["multiplier"]
        if raw.get("underlyingToPositionMultiplier"):
            assert row.base_amount(size, price) == size / raw["underlyingToPositionMultiplier"]


@have
@pytest.mark.parametrize("data", samples("rest.book"))
def test_a_book_by_request(data: Any) -> None:
    found = call("book", instrument()).read(answer(data))
    assert [(level.price, level.size) for level in found.asks] == [
        (r["price"], r["size"]) for r in data if r["side"] == "Sell"
    ]
    assert [(level.price, level.size) for level in found.bids] == [
        (r["price"], r["size"]) for r in data if r["side"] == "Buy"
    ]
    nameless = structs.replace(instrument(), wire="?")
    assert {call("book", nameless).read(answer(data)).wire} == {r["symbol"] for r in data}, (
        "the rows say whose they are"
    )


@have
@pytest.mark.parametrize("data", samples("rest.trades"))
def test_trades_by_request_are_oldest_first(data: Any) -> None:
    found = call("trades", instrument()).read(answer(data))
    expected = sorted(data, key=lambda row: row["timestamp"])
    assert [(row.id, row.price) for row in found] == [(row["trdMatchID"], row["price"]) for row in expected]


@have
@pytest.mark.parametrize("data", samples("rest.candles"))
def test_bars_by_request(data: Any) -> None:
    found = call("candles", instrument(), "1m", Page()).read(answer(data))
    assert [row.start for row in found] == [stamp(raw["timestamp"]) - 60_000 for raw in data]
    for row, raw in zip(found, data, strict=True):
        assert row.high == max(raw["high"], raw["open"])
        assert row.low == min(raw["low"], raw["open"])
        assert row.closed


@have
@pytest.mark.parametrize("data", samples("rest.time"))
def test_the_clock(data: Any) -> None:
    assert call("time").read(answer(data)) == data["timestamp"]


@have
@pytest.mark.parametrize("data", samples("rest.assets"))
def test_units(data: Any) -> None:
    units = assets().read(answer(data))
    assert units["XBt"] == ("BTC", 8)
    assert rows.minor(263542, "XBt", units) == D("0.00263542")


@have
@pytest.mark.parametrize("data", samples("rest.balances"))
def test_balances_by_request(data: Any) -> None:
    (found,) = call("balances", {}).read(answer(data))
    check_balance(found, data[0])


@have
@pytest.mark.parametrize("data", samples("rest.positions"))
def test_positions_by_request(data: Any) -> None:
    (found,) = call("positions", {}).read(answer(data))
    check_position(found, data[0])


def order_request() -> OrderRequest:
    return OrderRequest(
        client_id="", instrument=instrument(), side=Side.SELL, kind=OrderKind.LIMIT, amount=D(1), price=D(40000)
    )


@have
@pytest.mark.parametrize("data", samples("rest.place.ok"))
def test_the_answer_to_an_order_is_its_row(data: Any) -> None:
    check_order(call("place", order_request(), {}).read(answer(data)), data)


@have
@pytest.mark.parametrize("data", samples("rest.cancel.ok"))
def test_the_answer_to_a_cancel_is_a_list_of_one(data: Any) -> None:
    found = call("cancel", OrderRef(instrument=instrument(), venue_id="x"), {}).read(answer(data))
    assert (found.status, found.end_reason) == (OrderStatus.CANCELLED, EndReason.USER)


@have
@pytest.mark.parametrize("data", samples("rest.cancel.error"))
def test_a_cancel_that_failed_says_so_inside_of_a_good_answer(data: Any) -> None:
    with pytest.raises(OrderNotFound, match="existing state: Filled"):
        call("cancel", OrderRef(instrument=instrument(), venue_id="x"), {}).read(answer(data))


@have
@pytest.mark.parametrize("data", samples("rest.open_orders"))
def test_open_orders_by_request(data: Any) -> None:
    for found, row in zip(call("open_orders", None, {}).read(answer(data)), data, strict=True):
        check_order(found, row)


@have
@pytest.mark.parametrize("data", samples("rest.order"))
def test_one_order_by_request(data: Any) -> None:
    check_order(call("order", OrderRef(instrument=instrument(), venue_id="x"), {}).read(answer(data)), data[0])


@have
@pytest.mark.parametrize("data", samples("rest.fills"))
def test_fills_by_request(data: Any) -> None:
    found = call("fills", instrument(), Page(start=0), {}).read(answer(data))
    for fill, row in zip(found, data, strict=True):
        check_fill(fill, row)


@have
@pytest.mark.parametrize("data", samples("rest.fees"))
def test_fees_by_request(data: Any) -> None:
    found = call("fees", instrument(), {}).read(answer(data))
    row = data["XBTUSD"]
    assert (found.maker, found.taker) == (D(str(row["makerFee"])), D(str(row["takerFee"])))


REFUSALS = {
    "Account has insufficient Available Balance, 263542 XBt required": InsufficientFunds,
    "Duplicate clOrdID": DuplicateOrder,
    "Invalid price": BadPrice,
    "orderQty is invalid": BadSize,
    "Invalid orderQty: must be a multiple of 100": BadSize,
    "Signature not valid.": AuthenticationFailed,
    "Access Denied": PermissionDenied,
    "The system is currently overloaded. Please try again later.": VenueUnavailable,
    "Invalid API Key.": AuthenticationFailed,
    "Rate limit exceeded, retry in 1 seconds.": RateLimited,
    "Account is restricted": PermissionDenied,
}


@have
@pytest.mark.parametrize(("status", "data"), with_status("rest.place.error", "rest.error"))
def test_every_refusal_has_its_kind_and_the_venues_words(status: int, data: Any) -> None:
    said = data["error"]["message"]
    with pytest.raises(VenueError) as raised:
        call("place", order_request(), {}).read(answer(data, status))
    assert type(raised.value) is REFUSALS[said]
    assert raised.value.text == said
    if isinstance(raised.value, RateLimited):
        assert raised.value.retry_after == 1


@have
def test_no_sample_of_a_stream_is_unknown() -> None:
    wrong = []
    for line in PATH.read_text().splitlines():
        row = json.loads(line)
        if not row["kind"].startswith("ws.") or row["kind"] in NOT_READ:
            continue
        for stream in (BitmexMarketStream(), BitmexAccountStream()):
            public_kind = isinstance(stream, BitmexMarketStream)
            belongs = row["kind"].startswith(("ws.order", "ws.fill", "ws.balance", "ws.position", "ws.login"))
            if public_kind is not belongs:
                wrong += [(row["kind"], e.what) for e in stream.receive(text(row["data"])) if isinstance(e, Unknown)]
    assert wrong == []


@have
def test_numbers_keep_every_digit() -> None:
    assert decode(b'{"price":0.00001819}') == {"price": D("0.00001819")}
