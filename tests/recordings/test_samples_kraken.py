"""Kraken's sample payloads become the right model values, checked against the numbers in the payload by a reader of the test's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from msgspec import UNSET

from connectors.catalogue import load
from connectors.contract import Accepted, Alive, Answer, Answered, Call, Declined, Page, Unknown
from connectors.errors import VenueError
from connectors.kraken.market import checksum
from connectors.kraken.names import assets_of
from connectors.model import (
    Balance,
    BookDelta,
    BookSnapshot,
    Candle,
    Fees,
    Fill,
    Instrument,
    OrderStatus,
    OrderUpdate,
    Side,
    Ticker,
    Trade,
)
from connectors.sync import BookSync
from connectors.tools import instrument_for
from tests.conftest import SHARED
from tests.recordings.dialects.kraken import KrakenV1Stream

VENUE = "kraken"
PATH = SHARED / "venues" / VENUE / "samples.jsonl"

# Kinds that no handler reads, and why.
NOT_READ = {
    "ws.subscribe.request": "frames that a client sends; the vectors cover how ours look",
    "ws.subscribe.private.request": "the same",
    "ws.unsubscribe.request": "the same",
    "ws.place.request": "the same",
    "ws.v1.subscribe.request": "the same",
    "ws.instrument": "instruments are read over REST, whose names orders need anyway",
    "ws.cancel_all.ok": "everything is cancelled over REST",
    "ws.batch_place.partial": "orders are placed one by one",
    "rest.place_batch.ok": "orders are placed one by one",
    "rest.status": "a market that takes no orders says so when asked to take one",
    "rest.trade_balance": "margin is not offered",
    "rest.positions": "margin is not offered",
    "ws.v1.error": "v1 is read from a recording only, which holds none",
}
READ: set[str] = set()


def samples(*kinds: str) -> list[Any]:
    READ.update(kinds)
    rows = [json.loads(line, parse_float=Decimal) for line in PATH.read_text().splitlines()] if PATH.exists() else []
    lines = PATH.read_text().splitlines() if PATH.exists() else []
    return [
        pytest.param(json.dumps(json.loads(lines[number])["data"]), row["data"], id=f"{row['kind']} #{number}")
        for number, row in enumerate(rows)
        if row["kind"] in kinds
    ]


have = pytest.mark.skipif(not PATH.exists(), reason=f"no samples at {PATH}")
family = load(VENUE).families[0]
FACTS: dict[str, Any] = {"assets": {"XXBT": "XBT", "ZUSD": "USD"}, "instruments": {}}


def raw_text(frame: str) -> str:
    """The payload as it stands in the file: its digits are what the checksum is made of."""
    wanted = json.loads(frame)
    for line in PATH.read_text().splitlines():
        if json.loads(line)["data"] == wanted:
            return line[line.index('"data":') + 7 :].strip().removesuffix("}").strip()
    raise LookupError(frame)


def public(frame: str) -> list[Any]:
    return family.market_stream("market").receive(raw_text(frame))


def private(frame: str) -> list[Any]:
    return family.account_stream().receive(raw_text(frame))


def levels(rows: list[Any]) -> list[tuple[float, float]]:
    return [(float(row["price"]), float(row["qty"])) for row in rows]


@have
@pytest.mark.parametrize(("frame", "data"), samples("ws.book.snapshot", "ws.book.delta"))
def test_books(frame: str, data: Any) -> None:
    (event,) = public(frame)
    (raw,) = data["data"]
    assert isinstance(event, BookSnapshot if data["type"] == "snapshot" else BookDelta)
    assert (event.wire, event.checksum) == (raw["symbol"], raw["checksum"])
    assert [(row.price, row.size) for row in event.bids] == levels(raw["bids"])
    assert [(row.price, row.size) for row in event.asks] == levels(raw["asks"])


@have
@pytest.mark.parametrize(("frame", "data"), samples("ws.book.snapshot"))
def test_the_checksum_of_every_snapshot_is_ours(frame: str, data: Any) -> None:
    (event,) = public(frame)
    sync = BookSync(family.book, event.wire)
    sync.subscribed(0.0)
    sync.snapshot(event, 0.0)
    assert checksum(sync.book) == data["data"][0]["checksum"]
    assert (sync.counters.checksums_ok, sync.live) == (1, True)


@have
@pytest.mark.parametrize(("frame", "data"), samples("ws.trade", "ws.trade.snapshot"))
def test_trades_carry_the_takers_side(frame: str, data: Any) -> None:
    events = public(frame)
    assert len(events) == len(data["data"])
    for event, raw in zip(events, data["data"], strict=True):
        assert isinstance(event, Trade)
        assert (event.price, event.amount) == (float(raw["price"]), float(raw["qty"]))
        assert (event.side, event.id) == (Side(raw["side"]), str(raw["trade_id"]))
        assert event.time == int(datetime.fromisoformat(raw["timestamp"]).timestamp() * 1000 + 0.5)


@have
@pytest.mark.parametrize(("frame", "data"), samples("ws.ticker"))
def test_statistics(frame: str, data: Any) -> None:
    events = public(frame)
    (raw,) = data["data"]
    if not raw["bid"]:
        assert events == [], "a symbol without quotes says nothing"
        return
    (event,) = events
    assert isinstance(event, Ticker)
    assert (event.bid, event.bid_size) == (float(raw["bid"]), float(raw["bid_qty"]))
    assert (event.ask, event.ask_size) == (float(raw["ask"]), float(raw["ask_qty"]))
    assert (event.last, event.high, event.low) == tuple(float(raw[name]) for name in ("last", "high", "low"))
    assert event.open == pytest.approx(float(raw["last"] - raw["change"]))


@have
@pytest.mark.parametrize(("frame", "data"), samples("ws.candle"))
def test_candles(frame: str, data: Any) -> None:
    (event,) = public(frame)
    (raw,) = data["data"]
    assert isinstance(event, Candle)
    assert (event.interval, event.closed) == (f"{raw['interval']}m", False)
    assert event.start == datetime.fromisoformat(raw["interval_begin"]).timestamp() * 1000
    names = ("open", "high", "low", "close", "volume")
    assert tuple(getattr(event, name) for name in names) == tuple(float(raw[name]) for name in names)


@have
@pytest.mark.parametrize(
    ("frame", "data"),
    samples("ws.status", "ws.heartbeat", "ws.pong", "ws.subscribed", "ws.unsubscribed", "ws.error"),
)
def test_what_is_no_data_is_understood(frame: str, data: Any) -> None:
    (event,) = public(frame)
    if "error" in data:
        assert isinstance(event, Declined)
        assert event.text == data["error"]
    elif data.get("method") in ("subscribe", "unsubscribe"):
        assert isinstance(event, Accepted)
        assert [topic.wire for topic in event.topics] == [data["result"]["symbol"]]
    else:
        assert isinstance(event, Alive)


@have
@pytest.mark.parametrize(("frame", "data"), samples("ws.order", "ws.fill", "ws.order.snapshot"))
def test_executions(frame: str, data: Any) -> None:
    events = private(frame)
    fills = {event.id: event for event in events if isinstance(event, Fill)}
    updates = [event for event in events if isinstance(event, OrderUpdate)]
    assert len(fills) + len(updates) == len(events)
    for raw in data["data"]:
        if raw["exec_type"] == "trade":
            fill = fills[raw["exec_id"]]
            assert (fill.price, fill.amount) == (raw["last_price"], raw["last_qty"])
            assert (fill.fee, fill.fee_asset) == (raw["fees"][0]["qty"], raw["fees"][0]["asset"])
            assert (fill.wire, fill.venue_id, fill.maker) == (
                raw["symbol"],
                raw["order_id"],
                raw["liquidity_ind"] == "m",
            )
            continue
        update = next(event for event in updates if event.venue_id == raw["order_id"])
        told = {"canceled": OrderStatus.CANCELLED, "filled": OrderStatus.FILLED, "pending_new": OrderStatus.PENDING}
        if raw["order_status"] in told:
            assert update.status is told[raw["order_status"]]
        if "cum_qty" in raw:
            assert update.filled == raw["cum_qty"]
            if raw["cum_qty"]:
                assert update.average == raw["cum_cost"] / raw["cum_qty"]
        else:
            assert update.filled is UNSET, "what a row leaves out is not zero"
        assert update.amount == raw.get("order_qty", UNSET)
        assert update.price == (raw.get("limit_price") or UNSET)
        assert update.reason == raw.get("reason", "")


@have
@pytest.mark.parametrize(("frame", "data"), samples("ws.balance", "ws.balance.update"))
def test_balances_of_the_stream_are_totals(frame: str, data: Any) -> None:
    (event,) = private(frame)
    (raw,) = data["data"]
    assert isinstance(event, Balance)
    assert (event.asset, event.total) == (raw["asset"], raw["balance"])
    assert (event.available, event.held) == (None, None)


@have
@pytest.mark.parametrize(
    ("frame", "data"), samples("ws.login", "ws.place.ok", "ws.place.error", "ws.amend.ok", "ws.cancel.ok")
)
def test_socket_answers_are_found_by_their_number(frame: str, data: Any) -> None:
    (event,) = private(frame)
    if "req_id" not in data:
        assert isinstance(event, Unknown), "an answer that names no request can be nobody's"
        return
    assert isinstance(event, Answered)
    assert event.ask == str(data["req_id"])
    assert event.payload["success"] is data["success"]


def call_of(operation: str) -> Call:
    instrument = instrument_for({"symbol": "BTC-USDT"}, family, load(VENUE))
    trading: Any = family.trading
    flows: dict[str, Callable[[], Any]] = {
        "time": trading.time,
        "instruments": trading.instruments,
        "book": lambda: trading.book(instrument),
        "trades": lambda: trading.trades(instrument),
        "candles": lambda: trading.candles(instrument, "1m", Page()),
        "tickers": lambda: trading.tickers([instrument]),
        "assets": trading.login,
        "balances": lambda: trading.balances(FACTS),
        "open_orders": lambda: trading.open_orders(None, FACTS),
        "fees": lambda: trading.fees(instrument, FACTS),
        "dead_man": lambda: trading.dead_man(None, 60, FACTS),
        "token": family.account_stream().opening({}).__next__,
    }
    step = flows[operation]() if operation == "token" else next(flows[operation]())
    assert isinstance(step, Call)
    return step


def answer(frame: str) -> Answer:
    return Answer(200, frame.encode(), sent_at=1_762_820_224_100, got_at=1_762_820_224_300)


@have
@pytest.mark.parametrize(("frame", "data"), samples("rest.instruments"))
def test_instruments_keep_their_grid(frame: str, data: Any) -> None:
    found: list[Instrument] = call_of("instruments").read(answer(frame))
    assert [row.extra["id"] for row in found] == list(data["result"])
    for row, raw in zip(found, data["result"].values(), strict=True):
        assert row.tick == Decimal(raw.get("tick_size", Decimal(1).scaleb(-raw["pair_decimals"])))
        assert row.size.step == Decimal(1).scaleb(-raw["lot_decimals"])
        assert row.size.minimum == Decimal(raw["ordermin"])
        assert row.min_notional == Decimal(raw.get("costmin", "0"))
        today = {"XBT": "BTC", "XDG": "DOGE"}
        base, quote = raw["wsname"].split("/")
        assert row.wire == f"{today.get(base, base)}/{today.get(quote, quote)}"
        assert row.symbol == row.wire.replace("/", "-")


@have
@pytest.mark.parametrize(("frame", "data"), samples("rest.book"))
def test_snapshots_to_compare_with(frame: str, data: Any) -> None:
    found: BookSnapshot = call_of("book").read(answer(frame))
    raw = data["result"]["XBTUSDT"]
    assert [(row.price, row.size) for row in found.asks] == [(float(row[0]), float(row[1])) for row in raw["asks"]]
    assert [(row.price, row.size) for row in found.bids] == [(float(row[0]), float(row[1])) for row in raw["bids"]]


@have
@pytest.mark.parametrize(("frame", "data"), samples("rest.trades"))
def test_public_trades(frame: str, data: Any) -> None:
    found: list[Trade] = call_of("trades").read(answer(frame))
    rows = data["result"]["XBTUSDT"]
    assert [(row.price, row.amount, row.id) for row in found] == [(float(r[0]), float(r[1]), str(r[6])) for r in rows]
    assert [row.side for row in found] == [Side.BUY if row[3] == "b" else Side.SELL for row in rows]


@have
@pytest.mark.parametrize(("frame", "data"), samples("rest.candles"))
def test_history(frame: str, data: Any) -> None:
    found: list[Candle] = call_of("candles").read(answer(frame))
    rows = data["result"]["XBTUSDT"]
    assert [row.start for row in found] == [row[0] * 1000 for row in rows]
    assert [(row.open, row.high, row.low, row.close) for row in found] == [tuple(map(float, row[1:5])) for row in rows]
    assert [row.volume for row in found] == [float(row[6]) for row in rows]
    assert [row.closed for row in found] == [True] * (len(rows) - 1) + [False]


@have
@pytest.mark.parametrize(("frame", "data"), samples("rest.ticker"))
def test_statistics_over_rest(frame: str, data: Any) -> None:
    (found,) = call_of("tickers").read(answer(frame))
    raw = data["result"]["XBTUSDT"]
    assert (found.bid, found.ask, found.last) == tuple(float(raw[name][0]) for name in "bac")
    assert (found.high, found.low, found.volume) == tuple(float(raw[name][1]) for name in "hlv")
    assert found.open is None, "today's opening is not the price of 24 hours ago"


@have
@pytest.mark.parametrize(("frame", "data"), samples("rest.balances"))
def test_what_orders_hold_is_not_available(frame: str, data: Any) -> None:
    found = {row.asset: row for row in call_of("balances").read(answer(frame))}
    for name, raw in data["result"].items():
        row = found[{"ZUSD": "USD", "XXBT": "BTC", "XXBT.B": "BTC.B"}[name]]
        assert (row.total, row.held) == (Decimal(raw["balance"]), Decimal(raw["hold_trade"]))
        assert row.available == (0 if "." in name else row.total - row.held)


@have
@pytest.mark.parametrize(("frame", "data"), samples("rest.open_orders", "rest.order", "rest.closed_orders"))
def test_orders_over_rest(frame: str, data: Any) -> None:
    result = data["result"]
    listed = result.get("open") or result.get("closed") or result
    for update in call_of("open_orders").read(
        answer(json.dumps({"error": [], "result": {"open": listed}}, default=str))
    ):
        raw = listed[update.venue_id]
        assert (update.amount, update.filled) == (Decimal(raw["vol"]), Decimal(raw["vol_exec"]))
        assert (update.side, update.client_id) == (Side(raw["descr"]["type"]), raw.get("cl_ord_id", ""))
        told = {"open": OrderStatus.OPEN, "closed": OrderStatus.FILLED, "canceled": OrderStatus.CANCELLED}
        assert update.status is told[raw["status"]]
        if Decimal(raw["vol_exec"]):
            assert update.average == Decimal(raw["cost"]) / Decimal(raw["vol_exec"])
        price = Decimal(raw["descr"]["price"])
        assert update.price == (price or UNSET)


@have
@pytest.mark.parametrize(("frame", "data"), samples("rest.fills"))
def test_fills_over_rest(frame: str, data: Any) -> None:
    instrument = instrument_for({"symbol": "ICN-ETH"}, family, load(VENUE))
    facts = {"assets": {}, "instruments": {"ICN/ETH": _with_names(instrument, "ICNETH", "XICNXETH")}}
    step: Any = next(family.trading.fills(instrument, Page(), facts))
    found, read, total, ids = step.read(answer(frame))
    assert (read, total, ids) == (1, 9760, set(data["result"]["trades"]))
    (name, raw) = next(iter(data["result"]["trades"].items()))
    (fill,) = found
    assert (fill.id, fill.venue_id, fill.side) == (name, raw["ordertxid"], Side.SELL)
    assert (fill.price, fill.amount, fill.fee) == (Decimal(raw["price"]), Decimal(raw["vol"]), Decimal(raw["fee"]))
    assert (fill.fee_asset, fill.maker, fill.time) == ("ETH", False, 1527213229449)


def _with_names(instrument: Instrument, alt: str, name: str) -> Instrument:
    from msgspec import structs

    return structs.replace(instrument, extra={"pair": alt, "id": name})


@have
@pytest.mark.parametrize(("frame", "data"), samples("rest.fees"))
def test_fees_are_fractions(frame: str, data: Any) -> None:
    assert call_of("fees").read(answer(frame)) == Fees(maker=Decimal("0.0016"), taker=Decimal("0.0026"))


@have
@pytest.mark.parametrize(("frame", "data"), samples("rest.time"))
def test_within_the_second_that_is_told_our_own_clock_is_kept(frame: str, data: Any) -> None:
    second = data["result"]["unixtime"] * 1000
    assert call_of("time").read(answer(frame)) == second + 200
    early = Answer(200, frame.encode(), sent_at=second - 5000, got_at=second - 4900)
    late = Answer(200, frame.encode(), sent_at=second + 5000, got_at=second + 5100)
    assert (call_of("time").read(early), call_of("time").read(late)) == (second, second + 999)


@have
@pytest.mark.parametrize(("frame", "data"), samples("rest.assets"))
def test_names_of_assets(frame: str, data: Any) -> None:
    names = call_of("assets").read(answer(frame))
    assert names == assets_of(data["result"])
    assert names["XXBT"] == "XBT"


@have
@pytest.mark.parametrize(("frame", "data"), samples("rest.ws_token"))
def test_the_token(frame: str, data: Any) -> None:
    assert call_of("token").read(answer(frame)) == data["result"]["token"]


@have
@pytest.mark.parametrize(("frame", "data"), samples("rest.cancel_all_after.ok"))
def test_the_switch(frame: str, data: Any) -> None:
    assert call_of("dead_man").read(answer(frame)) is None


@have
@pytest.mark.parametrize(
    ("frame", "data"), samples("rest.place.ok", "rest.amend.ok", "rest.cancel.ok", "rest.cancel_all.ok")
)
def test_good_answers_of_order_entry(frame: str, data: Any) -> None:
    from connectors.model import OrderKind, OrderRef, OrderRequest

    instrument = instrument_for({"symbol": "ETH-USDT"}, family, load(VENUE))
    order = OrderRequest(
        client_id="x", instrument=instrument, side=Side.BUY, kind=OrderKind.LIMIT, amount=Decimal(1), price=Decimal(330)
    )
    ref = OrderRef(instrument=instrument, venue_id="OEKVV2-IH52O-TPL6GZ")
    trading: Any = family.trading
    result = data["result"]
    if "txid" in result:
        update = next(trading.place(order, FACTS)).read(answer(frame))
        assert (update.venue_id, update.status) == (result["txid"][0], OrderStatus.PENDING)
    elif "descr" in result:  # of a validation, which we never ask for: nothing was placed
        with pytest.raises(KeyError):
            next(trading.place(order, FACTS)).read(answer(frame))
    elif "amend_id" in result:
        update = next(trading.amend(ref, FACTS, price=Decimal(331))).read(answer(frame))
        assert (update.venue_id, update.price) == (ref.venue_id, Decimal(331))
    elif result["count"] == 1:
        assert next(trading.cancel(ref, FACTS)).read(answer(frame)).status is OrderStatus.CANCELLED
    else:
        assert next(trading.cancel_all(None, FACTS)).read(answer(frame)) == []


@have
@pytest.mark.parametrize(("frame", "data"), samples("rest.place.error", "rest.cancel.error"))
def test_every_error_is_raised_with_its_words(frame: str, data: Any) -> None:
    with pytest.raises(VenueError) as raised:
        call_of("open_orders").read(answer(frame))
    code, _, words = data["error"][0].partition(":")
    assert raised.value.code == code
    assert raised.value.text.startswith(words)


@have
@pytest.mark.parametrize(
    ("frame", "data"),
    samples(
        "ws.v1.status",
        "ws.v1.subscribed",
        "ws.v1.heartbeat",
        "ws.v1.book.snapshot",
        "ws.v1.book.delta",
        "ws.v1.trade",
        "ws.v1.ticker",
    ),
)
def test_the_old_dialect_is_read_by_its_reader(frame: str, data: Any) -> None:
    (event,) = KrakenV1Stream().receive(frame)
    if isinstance(data, dict):
        assert isinstance(event, Alive)
        return
    assert not isinstance(event, Unknown)
    assert isinstance(event, BookSnapshot | BookDelta | Trade | Ticker)
    assert event.wire == data[-1].replace("XBT", "BTC").replace("XDG", "DOGE")
    if isinstance(event, BookDelta):
        assert event.checksum == int(data[-3]["c"])


@have
def test_every_kind_is_read_or_has_a_reason() -> None:
    kinds = {json.loads(line)["kind"] for line in PATH.read_text().splitlines()}
    assert kinds == READ | NOT_READ.keys()
    assert not READ & NOT_READ.keys()
