"""Sample payloads become the right model values, checked against the numbers in the payload by a reader of the test's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from msgspec import UNSET

from connectors.catalogue import load
from connectors.contract import Active, Alive, Answer, Answered, Call, Channel, Declined, Page, Topic, Unknown
from connectors.errors import (
    AuthenticationFailed,
    InstrumentUnknown,
    InsufficientFunds,
    NotSupported,
    OutcomeUnknown,
    RateLimited,
    Refused,
    VenueError,
    WouldTrigger,
)
from connectors.model import (
    Balance,
    BookDelta,
    BookSnapshot,
    Candle,
    InstrumentStatus,
    OrderKind,
    OrderRef,
    OrderRequest,
    OrderStatus,
    OrderUpdate,
    Side,
    Ticker,
    TimeInForce,
    Trade,
)
from connectors.tools import instrument_for
from tests.conftest import SHARED
from tests.recordings.dialects import coinbase as exchange

VENUE = "coinbase"
PATH = SHARED / "venues" / VENUE / "samples.jsonl"
D = Decimal

# Kinds that no handler reads, and why.
NOT_READ = {
    "rest.instrument": "one row of the list of instruments",
    "rest.positions": "contracts are not traded here",
    "rest.futures_balance": "contracts are not traded here",
    "ws.subscribe": "a frame that a client sends",
}
FAMILY = load(VENUE).families[0]
INSTRUMENT = instrument_for({"symbol": "BTC-USD"}, FAMILY, load(VENUE))

have = pytest.mark.skipif(not PATH.exists(), reason=f"no samples at {PATH}")


def everything() -> list[dict[str, Any]]:
    return [json.loads(line) for line in PATH.read_text().splitlines()] if PATH.exists() else []


def samples(*kinds: str, api: str = "advanced-trade") -> list[Any]:
    return [
        pytest.param(row["data"], id=f"{row['kind']} {row['market']} #{number}")
        for number, row in enumerate(everything())
        if row["kind"] in kinds and row.get("api", "advanced-trade") == api
    ]


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def public(data: Any) -> list[Any]:
    return FAMILY.market_stream("market").receive(json.dumps(data, separators=(",", ":")))


def private(data: Any) -> list[Any]:
    stream = FAMILY.account_stream()
    stream.plan(frozenset(), [Topic(Channel.ACCOUNT)], [])
    return stream.receive(json.dumps(data))


def call_of(operation: str) -> Call:
    trading: Any = FAMILY.trading
    ref = OrderRef(instrument=INSTRUMENT, venue_id="0000-00000")
    order = OrderRequest(
        client_id="fa-1",
        instrument=INSTRUMENT,
        side=Side.BUY,
        kind=OrderKind.LIMIT,
        amount=D("0.01"),
        price=D("27000.5"),
    )
    flows: dict[str, Callable[[], Any]] = {
        "instruments": trading.instruments,
        "book": lambda: trading.book(INSTRUMENT),
        "trades": lambda: trading.trades(INSTRUMENT),
        "candles": lambda: trading.candles(INSTRUMENT, "1h", Page(end=0)),
        "time": trading.time,
        "fees": lambda: trading.fees(INSTRUMENT, {}),
        "place": lambda: trading.place(order, {}),
        "cancel": lambda: trading.cancel(ref, {}),
        "amend": lambda: trading.amend(ref, {}, price=D(1), amount=D(1)),
        "order": lambda: trading.order(ref, {}),
    }
    step = next(flows[operation]())
    assert isinstance(step, Call)
    return step


def flow(operation: str, data: Any) -> Any:
    """What a flow of several steps comes to when each gets this answer once and then nothing more."""
    trading: Any = FAMILY.trading
    running = {
        "balances": lambda: trading.balances({}),
        "open_orders": lambda: trading.open_orders(None, {}),
        "fills": lambda: trading.fills(INSTRUMENT, Page(), {}),
    }[operation]()
    step, given = next(running), answer(data)
    try:
        while True:
            step = running.send(step.read(given))
            given = answer({"orders": [], "fills": [], "has_next": False, "cursor": ""})
    except StopIteration as stop:
        return stop.value


def answer(data: Any, status: int = 200) -> Answer:
    return Answer(status, data.encode() if isinstance(data, str) else json.dumps(data).encode())


@have
@pytest.mark.parametrize("data", samples("ws.book.snapshot", "ws.book.delta"))
def test_books(data: Any) -> None:
    events = public(data)
    assert len(events) == len(data["events"])
    for event, raw in zip(events, data["events"], strict=True):
        assert type(event) is (BookSnapshot if raw["type"] == "snapshot" else BookDelta)
        assert (event.wire, event.time) == (raw["product_id"], ms(data["timestamp"]))
        for side, found in (("bid", event.bids), ("offer", event.asks)):
            assert [(row.price, row.size) for row in found] == [
                (float(row["price_level"]), float(row["new_quantity"])) for row in raw["updates"] if row["side"] == side
            ]


@have
@pytest.mark.parametrize("data", samples("ws.trade"))
def test_trades_name_the_maker_and_come_newest_first(data: Any) -> None:
    events = public(data)
    rows = [row for event in data["events"] for row in reversed(event["trades"])]
    assert len(events) == len(rows)
    for event, raw in zip(events, rows, strict=True):
        assert isinstance(event, Trade)
        assert (event.wire, event.price, event.amount) == (raw["product_id"], float(raw["price"]), float(raw["size"]))
        assert (event.id, event.time) == (raw["trade_id"], ms(raw["time"]))
        assert event.side is {"BUY": Side.SELL, "SELL": Side.BUY}[raw["side"]]


@have
def test_a_trade_at_the_higher_of_two_prices_was_bought() -> None:
    """The recorded prices themselves say whose side is named: trades at the ask are marked SELL."""
    trades = [event for param in samples("ws.trade") for event in public(param.values[0]) if event.price > 88_000]
    assert len(trades) == 5
    assert {(trade.price, trade.side) for trade in trades} == {(88355.59, Side.BUY), (88355.58, Side.SELL)}


@have
@pytest.mark.parametrize("data", samples("ws.ticker"))
def test_statistics(data: Any) -> None:
    events = public(data)
    rows = [row for event in data["events"] for row in event["tickers"] if row["product_id"]]
    assert len(events) == len(rows)
    for event, raw in zip(events, rows, strict=True):
        assert isinstance(event, Ticker)
        assert (event.wire, event.last, event.volume) == (
            raw["product_id"],
            float(raw["price"]),
            float(raw["volume_24_h"]),
        )
        assert (event.low, event.high) == (float(raw["low_24_h"]), float(raw["high_24_h"]))
        assert (event.bid, event.ask) == (float(raw["best_bid"]), float(raw["best_ask"]))
        assert event.open is not None
        assert event.last is not None
        change = (event.last / event.open - 1) * 100
        assert abs(change - float(raw["price_percent_chg_24_h"])) < 1e-9


@have
@pytest.mark.parametrize("data", samples("ws.candle"))
def test_bars(data: Any) -> None:
    (event,) = public(data)
    (raw,) = data["events"][0]["candles"]
    assert isinstance(event, Candle)
    assert (event.start, event.interval) == (int(raw["start"]) * 1000, "5m")
    names = ("open", "high", "low", "close", "volume")
    assert [getattr(event, name) for name in names] == [float(raw[name]) for name in names]


@have
@pytest.mark.parametrize("data", samples("ws.subscribed", "ws.heartbeat", "ws.error"))
def test_acknowledgements_beats_and_errors_are_understood(data: Any) -> None:
    events = public(data)
    assert len(events) == 1
    kinds = {"subscriptions": Active, "heartbeats": Alive}
    assert type(events[0]) is kinds.get(data.get("channel"), Declined)
    if "message" in data:
        assert events[0].text == data["message"]
        assert [type(event) for event in private(data)] == [Answered]


@have
@pytest.mark.parametrize("data", samples("ws.order", "ws.fill"))
def test_the_users_orders(data: Any) -> None:
    (update,) = private(data)
    (event,) = data["events"]
    (raw,) = event["orders"]
    assert isinstance(update, OrderUpdate)
    assert (update.venue_id, update.client_id, update.wire) == (
        raw["order_id"],
        raw["client_order_id"],
        raw["product_id"],
    )
    assert update.listed is (event["type"] == "snapshot")
    filled = D(raw["cumulative_quantity"])
    assert (update.filled, update.fee, update.fee_asset) == (filled, D(raw["total_fees"]), "USD")
    assert update.side is Side.BUY
    assert update.kind is OrderKind.LIMIT
    if filled:
        assert update.average * filled == pytest.approx(D(raw["filled_value"]))
    if raw["status"] == "CANCELLED":
        assert update.status is OrderStatus.CANCELLED
        assert update.amount is UNSET  # what is left was set to zero
    elif raw["status"] == "FILLED":
        assert update.status is OrderStatus.FILLED
    else:
        assert update.status is (OrderStatus.PARTLY_FILLED if filled else OrderStatus.OPEN)
        assert update.amount == filled + D(raw["leaves_quantity"])


@have
@pytest.mark.parametrize("data", samples("rest.instruments"))
def test_instruments_keep_their_grid(data: Any) -> None:
    found = call_of("instruments").read(answer(data))
    rows = [row for row in data["products"] if row["product_type"] == "SPOT"]
    assert [row.wire for row in found] == [row["product_id"] for row in rows]
    for row, raw in zip(found, rows, strict=True):
        assert row.symbol == raw["product_id"]
        assert (row.tick, row.quote_step) == (D(raw["price_increment"]), D(raw["quote_increment"]))
        assert (row.size.step, row.size.minimum, row.size.maximum) == (
            D(raw["base_increment"]),
            D(raw["base_min_size"]),
            D(raw["base_max_size"]),
        )
        assert row.min_notional == D(raw["quote_min_size"])
        assert row.extra.get("alias", "") == raw["alias"]
        assert row.status is InstrumentStatus.TRADING


@have
@pytest.mark.parametrize("data", samples("rest.book"))
def test_the_book_by_request(data: Any) -> None:
    found = call_of("book").read(answer(data))
    for side, levels in (("bids", found.bids), ("asks", found.asks)):
        assert [(row.price, row.size) for row in levels] == [
            (float(row["price"]), float(row["size"])) for row in data["pricebook"][side]
        ]


@have
@pytest.mark.parametrize("data", samples("rest.trades"))
def test_trades_by_request(data: Any) -> None:
    found = call_of("trades").read(answer(data))
    assert [row.id for row in found] == [raw["trade_id"] for raw in reversed(data["trades"])]
    opposite = {"BUY": Side.SELL, "SELL": Side.BUY}
    assert [row.side for row in found] == [opposite[raw["side"]] for raw in reversed(data["trades"])]
    assert found[-1].price == float(data["best_ask"])
    assert found[-1].side is Side.BUY  # at the ask, so the taker bought


@have
@pytest.mark.parametrize("data", samples("rest.candles"))
def test_bars_by_request(data: Any) -> None:
    found = call_of("candles").read(answer(data))
    assert [row.start for row in found] == sorted(int(raw["start"]) * 1000 for raw in data["candles"])
    assert [row.close for row in found] == [float(raw["close"]) for raw in reversed(data["candles"])]


@have
@pytest.mark.parametrize("data", samples("rest.time"))
def test_the_clock(data: Any) -> None:
    assert call_of("time").read(answer(data)) == int(data["epochMillis"])


@have
@pytest.mark.parametrize("data", samples("rest.fees"))
def test_rates(data: Any) -> None:
    found = call_of("fees").read(answer(data))
    assert (found.maker, found.taker) == (
        D(data["fee_tier"]["maker_fee_rate"]),
        D(data["fee_tier"]["taker_fee_rate"]),
    )


@have
@pytest.mark.parametrize("data", samples("rest.balances"))
def test_balances(data: Any) -> None:
    found: list[Balance] = flow("balances", data)
    expected = {
        row["currency"]: (D(row["available_balance"]["value"]), D(row["hold"]["value"])) for row in data["accounts"]
    }
    assert {row.asset: (row.available, row.held) for row in found} == {
        name: pair for name, pair in expected.items() if any(pair)
    }
    assert all(row.total == (row.available or 0) + (row.held or 0) for row in found)


@have
@pytest.mark.parametrize("data", samples("rest.order", "rest.open_orders", "rest.order_history"))
def test_orders_by_request(data: Any) -> None:
    rows = [data["order"]] if "order" in data else data["orders"]
    for raw in rows:
        update: OrderUpdate = call_of("order").read(answer({"order": raw}))
        name, terms = next(iter(raw["order_configuration"].items()))
        assert (update.venue_id, update.client_id) == (raw["order_id"], raw["client_order_id"])
        assert update.side is Side(raw["side"].lower())
        assert update.kind is (OrderKind.MARKET if name.startswith("market") else OrderKind.LIMIT)
        assert update.tif is (TimeInForce.IOC if name.endswith("ioc") else TimeInForce.GTC)
        assert (update.filled, update.fee) == (D(raw["filled_size"]), D(raw["total_fees"]))
        assert update.status is OrderStatus(raw["status"].lower())
        if update.filled:
            assert update.average == pytest.approx(D(raw["average_filled_price"]), rel=D("1e-5"))
        if "quote_size" in terms:
            assert (update.quote_amount, update.amount) == (D(terms["quote_size"]), UNSET)
        else:
            assert update.amount == D(terms["base_size"])
        assert update.created == ms(raw["created_time"])
    if "has_next" in data and not data["has_next"]:
        listed = flow("open_orders", data)
        assert [row.venue_id for row in listed] == [raw["order_id"] for raw in rows if raw["status"] != "FILLED"]


@have
@pytest.mark.parametrize("data", samples("rest.fills"))
def test_executions_by_request(data: Any) -> None:
    (found,) = flow("fills", data)
    (raw,) = data["fills"]
    amount = D(raw["size"]) / D(raw["price"]) if raw["size_in_quote"] else D(raw["size"])
    assert (found.price, found.amount, found.fee) == (D(raw["price"]), amount, D(raw["commission"]))
    assert (found.fee_asset, found.time) == ("USDT", ms(raw["trade_time"]))
    assert found.maker is {"TAKER": False}.get(raw["liquidity_indicator"])


@have
@pytest.mark.parametrize("data", samples("rest.place.ok"))
def test_a_taken_order(data: Any) -> None:
    update = call_of("place").read(answer(data))
    raw = data["success_response"]
    assert (update.venue_id, update.client_id, update.wire) == (
        raw["order_id"],
        raw["client_order_id"],
        raw["product_id"],
    )
    assert update.status is OrderStatus.PENDING


@have
@pytest.mark.parametrize("data", samples("rest.place.error"))
def test_a_refused_order_comes_with_a_200(data: Any) -> None:
    kinds = {
        "UNSUPPORTED_ORDER_CONFIGURATION": NotSupported,
        "PREVIEW_STOP_PRICE_ABOVE_LAST_TRADE_PRICE": WouldTrigger,
        "PREVIEW_INSUFFICIENT_FUND": InsufficientFunds,
    }
    with pytest.raises(Refused) as raised:
        call_of("place").read(answer(data))
    assert type(raised.value) is kinds[raised.value.code]
    assert raised.value.code in data["error_response"].values()
    assert raised.value.text


@have
@pytest.mark.parametrize("data", samples("rest.cancel.ok", "rest.cancel.error"))
def test_cancels_tell_by_their_flag_not_by_their_reason(data: Any) -> None:
    (row,) = data["results"]
    if row["success"]:
        update = call_of("cancel").read(answer(data))
        assert update.status is UNSET  # taken; the stream says when it is done
        return
    with pytest.raises(Refused) as raised:
        call_of("cancel").read(answer(data))
    assert raised.value.code == row["failure_reason"]


@have
@pytest.mark.parametrize("data", samples("rest.amend.ok", "rest.amend.error"))
def test_edits(data: Any) -> None:
    if not data["errors"]:
        assert call_of("amend").read(answer(data)).price == D(1)
        return
    with pytest.raises(OutcomeUnknown):  # yes, and an error that has no name: ask what became of it
        call_of("amend").read(answer(data))


@have
@pytest.mark.parametrize("data", samples("rest.error"))
def test_every_error_envelope(data: Any) -> None:
    status, kind = {
        "not_found": (404, InstrumentUnknown),
        "rate_limit_exceeded": (429, RateLimited),
        "invalid_request": (400, Refused),
    }.get(_name(data), (401, AuthenticationFailed))
    with pytest.raises(VenueError) as raised:
        call_of("time").read(answer(data, status))
    assert type(raised.value) is kind
    assert raised.value.status == status


def _name(data: Any) -> str:
    return data.get("error") or data["errors"][0]["id"] if isinstance(data, dict) else ""


@have
@pytest.mark.parametrize(
    "data",
    samples("ws.subscribed", "ws.book.snapshot", "ws.book.delta", "ws.trade", "ws.ticker", api="exchange"),
)
def test_the_older_feed_is_read_by_the_recordings_own_reader(data: Any) -> None:
    events: list[Any] = exchange.ExchangeStream().receive(json.dumps(data))
    assert len(events) == (data["type"] != "last_match")
    assert not any(isinstance(event, Unknown) for event in events)
    if data["type"] == "match":
        assert events[0].side is Side(data["side"]).opposite


@have
def test_every_kind_is_read_or_named() -> None:
    read = {
        "rest.instruments", "rest.book", "rest.trades", "rest.candles", "rest.time", "rest.balances", "rest.place.ok",
        "rest.place.error", "rest.cancel.ok", "rest.cancel.error", "rest.amend.ok", "rest.amend.error", "rest.order",
        "rest.open_orders", "rest.order_history", "rest.fills", "rest.fees", "rest.error", "ws.subscribed",
        "ws.book.snapshot", "ws.book.delta", "ws.trade", "ws.ticker", "ws.candle", "ws.heartbeat", "ws.order",
        "ws.fill", "ws.error",
    }  # fmt: skip
    assert {row["kind"] for row in everything()} == read | NOT_READ.keys()
