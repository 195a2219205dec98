"""Sample payloads become the right model values, checked against the numbers in the payload by a reader of the test's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from connectors.catalogue import load
from connectors.contract import Answer, Answered, Call, Declined, Page, Unknown
from connectors.decode import decode_body, decode_frame
from connectors.errors import VenueError
from connectors.model import (
    Balance,
    BookDelta,
    BookSnapshot,
    Candle,
    Fill,
    Instrument,
    MarkPrice,
    OrderUpdate,
    Position,
    Side,
    Ticker,
    Trade,
)
from connectors.tools import instrument_for
from tests.conftest import SHARED

VENUE = "binance"
PATH = SHARED / "venues" / VENUE / "samples.jsonl"

# Frames of a venue's socket that mean nothing here, and why.
NOT_READ = {
    "ws.liquidation": "orders of others that are liquidated; the channel is not subscribed",
    "ws.book.partial": "one of the documentation's own, whose levels have no sizes",
}


def samples(*kinds: str) -> list[Any]:
    rows = [json.loads(line) for line in PATH.read_text().splitlines()] if PATH.exists() else []
    return [
        pytest.param(row["market"], row["data"], id=f"{row['kind']} {row['market']} #{number}")
        for number, row in enumerate(rows)
        if row["kind"] in kinds
    ]


def stream(market: str) -> Any:
    family = load(VENUE).family("spot" if market == "spot" else "usdm")
    return family.market_stream("market")


def private(market: str) -> Any:
    return load(VENUE).family("spot" if market == "spot" else "usdm").account_stream()


def receive(market: str, data: Any) -> list[Any]:
    return stream(market).receive(json.dumps(data, separators=(",", ":")))


def inner(data: Any) -> Any:
    return data.get("data", data) if isinstance(data, dict) else data


have = pytest.mark.skipif(not PATH.exists(), reason=f"no samples at {PATH}")


@have
@pytest.mark.parametrize(("market", "data"), samples("ws.book.delta"))
def test_book_updates(market: str, data: Any) -> None:
    (event,) = receive(market, data)
    raw = inner(data)
    assert isinstance(event, BookDelta)
    assert (event.wire, event.first, event.last, event.prev) == (raw["s"], raw["U"], raw["u"], raw.get("pu"))
    assert [(row.price, row.size) for row in event.bids] == [(float(p), float(q)) for p, q, *_ in raw["b"]]
    assert [(row.price, row.size) for row in event.asks] == [(float(p), float(q)) for p, q, *_ in raw["a"]]


@have
@pytest.mark.parametrize(("market", "data"), samples("ws.trade"))
def test_trades_carry_the_takers_side(market: str, data: Any) -> None:
    events = receive(market, data)
    raw = inner(data)
    if raw.get("st", 1) != 1:
        assert events == []
        return
    (event,) = events
    assert isinstance(event, Trade)
    assert (event.price, event.amount, event.time) == (float(raw["p"]), float(raw["q"]), raw["T"])
    assert event.side is (Side.SELL if raw["m"] else Side.BUY)
    assert event.id == str(raw.get("t") or raw.get("a"))


@have
@pytest.mark.parametrize(("market", "data"), samples("ws.book_ticker"))
def test_best_prices(market: str, data: Any) -> None:
    (event,) = receive(market, data)
    raw = inner(data)
    assert isinstance(event, Ticker)
    assert (event.bid, event.bid_size, event.ask, event.ask_size) == tuple(float(raw[key]) for key in "bBaA")
    assert event.id == raw["u"]


@have
@pytest.mark.parametrize(("market", "data"), samples("ws.candle"))
def test_candles(market: str, data: Any) -> None:
    (event,) = receive(market, data)
    raw = inner(data)["k"]
    assert isinstance(event, Candle)
    assert (event.start, event.interval, event.closed) == (raw["t"], raw["i"], raw["x"])
    assert (event.open, event.high, event.low, event.close, event.volume) == tuple(float(raw[key]) for key in "ohlcv")


@have
@pytest.mark.parametrize(("market", "data"), samples("ws.ticker", "ws.mark_price"))
def test_statistics_and_marks(market: str, data: Any) -> None:
    events = receive(market, data)
    rows = inner(data)
    rows = [row for row in (rows if isinstance(rows, list) else [rows]) if row.get("st", 1) == 1]
    assert len(events) == len(rows)
    for event, raw in zip(events, rows, strict=True):
        assert event.wire == raw["s"]
        if isinstance(event, Ticker):
            assert (event.last, event.open, event.high, event.low) == tuple(float(raw[key]) for key in "cohl")
        else:
            assert isinstance(event, MarkPrice)
            assert event.mark == float(raw["p"])


@have
@pytest.mark.parametrize(("market", "data"), samples("ws.error", "ws.subscribed", "ws.unsubscribed", "ws.shutdown"))
def test_acknowledgements_and_errors_are_understood(market: str, data: Any) -> None:
    events = receive(market, data) if "event" not in data else private(market).receive(json.dumps(data))
    assert events
    assert not any(isinstance(event, Unknown) for event in events)
    if "error" in data or "code" in data:
        assert isinstance(events[0], Declined)
        assert events[0].text


@have
@pytest.mark.parametrize(("market", "data"), samples("ws.order", "ws.fill"))
def test_private_orders(market: str, data: Any) -> None:
    events = private(market).receive(json.dumps(data))
    assert events, "an order event says something"
    update = next(event for event in events if isinstance(event, OrderUpdate))
    raw = data.get("event") or inner(data)
    row = raw.get("o") if isinstance(raw.get("o"), dict) else raw
    assert update.wire == row["s"]
    if raw["e"] == "ALGO_UPDATE":
        assert (update.venue_id, update.client_id, update.algo) == (str(row["aid"]), row["caid"], True)
        return
    assert update.venue_id == str(row["i"])
    assert update.filled == Decimal(row["z"])
    assert update.side is Side(row["S"].lower())
    if market == "spot" and row["X"] == "CANCELED":
        assert update.client_id == (row["C"] or row["c"])
    fills = [event for event in events if isinstance(event, Fill)]
    assert bool(fills) == (row["x"] in ("TRADE", "CALCULATED"))  # calculated: a liquidation's execution
    for fill in fills:
        assert (fill.price, fill.amount, fill.id) == (Decimal(row["L"]), Decimal(row["l"]), str(row["t"]))
        assert fill.fee == Decimal(row.get("n") or "0")
        assert fill.maker is row["m"]


@have
@pytest.mark.parametrize(("market", "data"), samples("ws.balance", "ws.position", "ws.account"))
def test_private_balances_and_positions(market: str, data: Any) -> None:
    events = private(market).read_alone(json.dumps(data))
    raw = data.get("event") or inner(data)
    if raw["e"] == "outboundAccountPosition":
        expected = {row["a"]: Decimal(row["f"]) + Decimal(row["l"]) for row in raw["B"]}
    else:
        expected = {row["a"]: Decimal(row["wb"]) for row in raw["a"].get("B", [])}
        sizes = [(row["s"], Decimal(row["pa"])) for row in raw["a"].get("P", [])]
        assert [(event.wire, event.size) for event in events if isinstance(event, Position)] == sizes
    assert {event.asset: event.total for event in events if isinstance(event, Balance)} == expected


def call_of(market: str, operation: str, **fields: Any) -> Call:
    family = load(VENUE).family("spot" if market == "spot" else "usdm")
    instrument = instrument_for({"symbol": "BTC-USDT"}, family, load(VENUE))
    trading: Any = family.trading
    flows: dict[str, Callable[[], Any]] = {
        "instruments": trading.instruments,
        "book": lambda: trading.book(instrument),
        "trades": lambda: trading.trades(instrument),
        "balances": lambda: trading.balances({}),
        "fills": lambda: trading.fills(instrument, Page(), {}),
        "fees": lambda: trading.fees(instrument, {}),
        "time": trading.time,
    }
    step = next(flows[operation]())
    assert isinstance(step, Call)
    return step


def answer(data: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(data).encode())


@have
@pytest.mark.parametrize(("market", "data"), samples("rest.instruments"))
def test_instruments_keep_their_grid(market: str, data: Any) -> None:
    if not all("filters" in row and row["filters"] for row in data["symbols"]):
        pytest.skip("this sample leaves the filters out")
    found: list[Instrument] = call_of(market, "instruments").read(answer(data))
    assert [row.wire for row in found] == [row["symbol"] for row in data["symbols"]]
    for row, raw in zip(found, data["symbols"], strict=True):
        filters = {part["filterType"]: part for part in raw["filters"]}
        assert (row.base, row.quote) == (raw["baseAsset"], raw["quoteAsset"])
        if "PRICE_FILTER" in filters:
            assert row.tick == Decimal(filters["PRICE_FILTER"]["tickSize"])
        if "LOT_SIZE" in filters:
            lot = filters["LOT_SIZE"]
            assert (row.size.step, row.size.minimum) == (Decimal(lot["stepSize"]), Decimal(lot["minQty"]))
        least = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL")
        if least:
            assert row.min_notional == Decimal(least.get("minNotional") or least["notional"])


@have
@pytest.mark.parametrize(("market", "data"), samples("rest.book"))
def test_snapshots(market: str, data: Any) -> None:
    found: BookSnapshot = call_of(market, "book").read(answer(data))
    assert found.id == data["lastUpdateId"]
    assert [(row.price, row.size) for row in found.bids] == [(float(row[0]), float(row[1])) for row in data["bids"]]


@have
@pytest.mark.parametrize(("market", "data"), samples("rest.trades", "rest.agg_trades"))
def test_public_trades(market: str, data: Any) -> None:
    found: list[Trade] = call_of(market, "trades").read(answer(data))
    assert [row.price for row in found] == [float(raw.get("p") or raw["price"]) for raw in data]
    maker = [raw["m"] if "m" in raw else raw["isBuyerMaker"] for raw in data]
    assert [row.side for row in found] == [Side.SELL if bought else Side.BUY for bought in maker]


@have
@pytest.mark.parametrize(("market", "data"), samples("rest.fills"))
def test_fills(market: str, data: Any) -> None:
    found: list[Fill] = call_of(market, "fills").read(answer(data))
    assert [(row.price, row.amount, row.fee) for row in found] == [
        (Decimal(raw["price"]), Decimal(raw["qty"]), Decimal(raw["commission"])) for raw in data
    ]


@have
@pytest.mark.parametrize(
    ("market", "data"),
    samples(
        "rest.error",
        "rest.place.error",
        "rest.cancel.error",
        "rest.order.error",
        "rest.auth.error",
        "rest.rate_limited",
    ),
)
def test_every_error_is_raised_with_its_code(market: str, data: Any) -> None:
    with pytest.raises(VenueError) as raised:
        call_of(market, "time").read(answer(data, 400))
    assert raised.value.code == str(data["code"])
    assert raised.value.text == data["msg"]


@have
@pytest.mark.parametrize(
    ("market", "data"), samples("ws.api.order.ok", "ws.api.order.full", "ws.api.cancel.ok", "ws.api.order.error")
)
def test_socket_answers_are_found_by_their_id(market: str, data: Any) -> None:
    (event,) = private("spot").receive(json.dumps(data))
    assert isinstance(event, Answered)
    assert (event.ask, event.payload) == (data["id"], data)


@have
def test_no_market_data_sample_is_unknown() -> None:
    wrong = []
    for line in PATH.read_text().splitlines():
        row = json.loads(line)
        if row["kind"].startswith(("ws.book", "ws.trade", "ws.ticker", "ws.candle", "ws.mark")) and row["market"] in (
            "spot",
            "perp",
        ):
            events = receive(row["market"], row["data"])
            wrong += [(row["kind"], event.what) for event in events if isinstance(event, Unknown)]
    # a raw spot partial depth does not name its symbol: only the combined form, which is what we ask for, can be followed
    assert {kind for kind, _ in wrong} <= {"ws.book.partial"}


@have
@pytest.mark.parametrize(("market", "data"), samples("ws.book.partial"))
def test_a_lone_top_of_a_book_is_one_whosever_it_is(market: str, data: Any) -> None:
    if any(len(level) < 2 for level in data.get("b", ())):
        pytest.skip("this sample leaves the sizes out")
    (event,) = stream(market).read_alone(json.dumps(data))
    assert isinstance(event, BookSnapshot)
    assert (event.wire, event.id) == ("", data["lastUpdateId"])
    assert [(row.price, row.size) for row in event.bids] == [(float(p), float(q)) for p, q in data["bids"]]


@have
@pytest.mark.parametrize(("market", "data"), samples("rest.amend.ok"))
def test_an_amended_order_is_read_by_its_path(market: str, data: Any) -> None:
    path = "PUT /api/v3/order/amend/keepPriority" if market == "spot" else "PUT /fapi/v1/order"
    (event,) = decode_body(load(VENUE).families, path, json.dumps(data))
    row = data.get("amendedOrder", data)
    assert (event["kind"], event["id"], event["client_id"]) == ("order", str(row["orderId"]), row["clientOrderId"])
    assert (event["price"], event["amount"]) == (Decimal(row["price"]), Decimal(row.get("qty") or row["origQty"]))
    assert event["side"] == row["side"].lower()


# Kinds whose address only other clients ask: where their bodies come from.
ELSEWHERE = {
    "rest.agg_trades": "/api/v3/aggTrades?symbol=BTCUSDT",
    "rest.book_ticker": "/api/v3/ticker/bookTicker",
    "rest.cancel_replace.ok": "POST /api/v3/order/cancelReplace",
    "rest.trades": "/fapi/v1/trades?symbol=BTCUSDT",
    "rest.mark_price": "/fapi/v1/premiumIndex",
    "rest.funding": "/fapi/v1/fundingRate",
    "rest.balances": "/fapi/v3/balance",
    "rest.place_batch": "POST /fapi/v1/batchOrders",
    "rest.cancel_batch": "DELETE /fapi/v1/batchOrders",
}


@have
@pytest.mark.parametrize("kind", ELSEWHERE)
def test_bodies_that_only_other_clients_ask_for_are_decoded(kind: str) -> None:
    path = ELSEWHERE[kind]
    market = "spot" if "/api/v3" in path else "perp"
    (data,) = [sample.values[1] for sample in samples(kind) if sample.values[0] == market][:1]
    events = decode_body([load(VENUE).family("spot" if market == "spot" else "usdm")], path, json.dumps(data))
    names = {"rest.agg_trades": "trade", "rest.trades": "trade", "rest.balances": "balance"}
    expected = names.get(kind) or ("order" if "batch" in kind or "replace" in kind else "ticker")
    rows = (
        data
        if isinstance(data, list)
        else [data["cancelResponse"], data["newOrderResponse"]]
        if "replace" in kind
        else [data]
    )
    rows = [row for row in rows if "orderId" in row or "code" not in row]
    assert [event["kind"] for event in events] == [expected] * len(rows)
    for event, row in zip(events, rows, strict=True):
        told = {str(value) for value in event.values()}
        for name in ("orderId", "a", "id"):
            assert name not in row or str(row[name]) in told


@have
@pytest.mark.parametrize(("market", "data"), samples("ws.api.open_orders"))
def test_orders_that_an_answer_lists_are_read_alone(market: str, data: Any) -> None:
    events = private(market).read_alone(json.dumps(data))
    assert [event.venue_id for event in events] == [str(row["orderId"]) for row in data["result"]]


@have
def test_every_frame_of_a_socket_is_understood_or_has_a_reason_not_to_be() -> None:
    unknown = set()
    for line in PATH.read_text().splitlines():
        row = json.loads(line)
        if row["kind"].startswith("ws.") and "request" not in row["kind"]:
            family = load(VENUE).family("spot" if row["market"] == "spot" else "usdm")
            events = decode_frame([family], json.dumps(row["data"], separators=(",", ":")))
            unknown |= {row["kind"] for event in events if event["kind"] == "unknown"}
    assert unknown == NOT_READ.keys()
