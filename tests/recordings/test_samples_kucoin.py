"""Sample payloads become the right model values, checked against the numbers in the payload by a reader of the test's own."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from msgspec import UNSET

from connectors.catalogue import load
from connectors.contract import Accepted, Alive, Answer, Call, ClosingSoon, Declined, Page, Ready, Unknown
from connectors.errors import VenueError
from connectors.model import (
    Balance,
    BookDelta,
    BookSnapshot,
    Candle,
    Fees,
    Fill,
    Instrument,
    InstrumentStatus,
    KeyInfo,
    MarkPrice,
    OrderRef,
    OrderStatus,
    OrderUpdate,
    Position,
    Side,
    Ticker,
    Trade,
    Unit,
)
from connectors.tools import instrument_for, order_for
from tests.conftest import SHARED

VENUE = "kucoin"
PATH = SHARED / "venues" / VENUE / "samples.jsonl"

# Kinds that no handler reads, and why.
NOT_READ = {
    "ws.subscribe": "sent by a client; ours are seen by the practice server",
    "ws.ping": "sent by a client",
    "rest.status": "whether instruments trade is read row by row",
    "rest.ticker": "one symbol's best prices come with the stream, its statistics from another address",
    "rest.place_batch": "orders are placed one by one",
    "rest.closed_orders": "orders are looked up one by one; the rows are those of rest.order",
    "rest.funding": "the mark price topic tells the mark; rates of the period are not shown for this venue yet",
    "rest.key_info": "read by the login flow, below",
}


def unified(data: Any) -> bool:
    """Whether a payload speaks the unified account's protocol, which this connector does not."""
    return isinstance(data, dict) and ("sessionId" in data or "result" in data or "T" in data or "action" in data)


def samples(*kinds: str) -> list[Any]:
    rows = [json.loads(line) for line in PATH.read_text().splitlines()] if PATH.exists() else []
    return [
        pytest.param(row["market"], row["data"], id=f"{row['kind']} {row['market']} #{number}")
        for number, row in enumerate(rows)
        if row["kind"] in kinds and row["market"] != "uta" and not unified(row["data"])
    ]


have = pytest.mark.skipif(not PATH.exists(), reason=f"no samples at {PATH}")
D = Decimal


def family(market: str) -> Any:
    return load(VENUE).family("spot" if market == "spot" else "futures")


def receive(market: str, data: Any) -> list[Any]:
    return family(market).market_stream("market").receive(json.dumps(data, separators=(",", ":")))


def private(market: str, data: Any) -> list[Any]:
    return family(market).account_stream().receive(json.dumps(data))


def pairs(rows: Any) -> list[tuple[float, float]]:
    return [(float(row[0]), float(row[1])) for row in rows if float(row[0])]


def levels(rows: Any) -> list[tuple[float, float]]:
    return [(row.price, row.size) for row in rows]


@have
@pytest.mark.parametrize(("market", "data"), samples("ws.book.delta"))
def test_book_updates(market: str, data: Any) -> None:
    events = receive(market, data)
    raw = data["data"]
    assert all(isinstance(event, BookDelta) for event in events)
    if market == "spot":
        assert (events[0].first, events[-1].last) == (raw["sequenceStart"], raw["sequenceEnd"])
        assert events[0].wire == raw["symbol"]
        assert [row for event in events for row in levels(event.bids)] == pairs(raw["changes"]["bids"])
        assert [row for event in events for row in levels(event.asks)] == pairs(raw["changes"]["asks"])
        return
    (event,) = events
    price, side, size = raw["change"].split(",")
    assert (event.first, event.last, event.time) == (raw["sequence"], raw["sequence"], raw["timestamp"])
    assert event.wire == data["topic"].partition(":")[2]
    assert levels(event.bids if side == "buy" else event.asks) == [(float(price), float(size))]
    assert not (event.asks if side == "buy" else event.bids)


@have
@pytest.mark.parametrize(("market", "data"), samples("ws.book.snapshot", "ws.book.top50"))
def test_whole_tops(market: str, data: Any) -> None:
    (event,) = receive(market, data)
    raw = data["data"]
    assert isinstance(event, BookSnapshot)
    assert (levels(event.bids), levels(event.asks)) == (pairs(raw["bids"]), pairs(raw["asks"]))
    assert event.wire == data["topic"].partition(":")[2]
    assert event.depth == (50 if "Depth50" in data["topic"] else 5)
    assert (event.id, event.time) == (raw.get("sequence"), raw["timestamp"])


@have
@pytest.mark.parametrize(("market", "data"), samples("ws.book.top1"))
def test_best_prices_of_their_own_topic(market: str, data: Any) -> None:
    (event,) = receive(market, data)
    raw = data["data"]
    assert isinstance(event, Ticker)
    assert (event.bid, event.bid_size) == tuple(map(float, raw["bids"]))
    assert (event.ask, event.ask_size) == tuple(map(float, raw["asks"]))


@have
@pytest.mark.parametrize(("market", "data"), samples("ws.trade"))
def test_trades_carry_the_takers_side(market: str, data: Any) -> None:
    (event,) = receive(market, data)
    raw = data["data"]
    assert isinstance(event, Trade)
    assert (event.price, event.amount, event.id) == (float(raw["price"]), float(raw["size"]), str(raw["tradeId"]))
    assert event.side is Side(raw["side"])
    assert event.time == int(raw.get("time") or raw["ts"]) // 1_000_000


@have
@pytest.mark.parametrize(("market", "data"), samples("ws.ticker"))
def test_tickers_are_witnesses_of_the_book(market: str, data: Any) -> None:
    (event,) = receive(market, data)
    raw = data["data"]
    assert isinstance(event, Ticker)
    assert event.id == int(raw["sequence"])
    names = ("bestBid", "bestBidSize", "bestAsk", "bestAskSize")
    if market != "spot":
        names = ("bestBidPrice", "bestBidSize", "bestAskPrice", "bestAskSize")
    assert (event.bid, event.bid_size, event.ask, event.ask_size) == tuple(float(raw[name]) for name in names)
    wire = data["topic"].partition(":")[2]
    assert event.wire == (data["subject"] if wire == "all" else wire)
    assert event.time == (raw.get("time") or raw.get("Time") or raw["ts"] // 1_000_000)


@have
@pytest.mark.parametrize(("market", "data"), samples("ws.stats"))
def test_statistics_of_a_day(market: str, data: Any) -> None:
    (event,) = receive(market, data)
    raw = data["data"]["data"]
    assert isinstance(event, Ticker)
    told = (event.open, event.high, event.low, event.last, event.volume, event.quote_volume)
    assert told == tuple(raw[name] for name in ("open", "high", "low", "lastTradedPrice", "vol", "volValue"))


@have
@pytest.mark.parametrize(("market", "data"), samples("ws.candle"))
def test_candles_have_their_close_before_high_and_low(market: str, data: Any) -> None:
    (event,) = receive(market, data)
    raw = data["data"]["candles"]
    assert isinstance(event, Candle)
    assert event.start == int(raw[0]) * 1000
    assert (event.open, event.close, event.high, event.low) == tuple(float(value) for value in raw[1:5])
    assert event.volume == float(raw[5] if market == "spot" else raw[6])
    assert event.interval == ("1h" if data["topic"].endswith("1hour") else "1m")
    assert event.low <= min(event.open, event.close) <= max(event.open, event.close) <= event.high


@have
@pytest.mark.parametrize(("market", "data"), samples("ws.mark", "ws.funding"))
def test_marks(market: str, data: Any) -> None:
    events = receive(market, data)
    if data["subject"] == "funding.rate":
        assert events == []
        return
    (event,) = events
    assert isinstance(event, MarkPrice)
    assert (event.mark, event.index) == (data["data"]["markPrice"], data["data"]["indexPrice"])
    assert event.wire == "XBTUSDTM"


@have
@pytest.mark.parametrize(("market", "data"), samples("ws.welcome", "ws.subscribed", "ws.pong", "ws.error"))
def test_control_frames_are_understood(market: str, data: Any) -> None:
    (event,) = receive(market, data)
    kinds = {"welcome": Ready, "ack": Accepted, "pong": Alive, "error": Declined}
    if data["data" if "data" in data else "type"] == "ping timeout":
        assert isinstance(event, ClosingSoon)
        return
    assert isinstance(event, kinds[data["type"]])
    if isinstance(event, Declined):
        assert (event.text, event.code) == (data["data"], str(data["code"]))


# Private


@have
@pytest.mark.parametrize(("market", "data"), samples("ws.order", "ws.fill"))
def test_private_orders(market: str, data: Any) -> None:
    events = private(market, data)
    raw = data["data"]
    update = events[-1]
    assert isinstance(update, OrderUpdate)
    assert (update.wire, update.venue_id) == (raw["symbol"], raw["orderId"])
    assert update.client_id == raw.get("clientOid", "")
    assert update.side is Side(raw["side"])
    expected = {
        "received": OrderStatus.PENDING,
        "open": OrderStatus.OPEN,
        "update": OrderStatus.OPEN,
        "match": OrderStatus.FILLED,  # of the sample: nothing remains
        "filled": OrderStatus.FILLED,
        "canceled": OrderStatus.CANCELLED,
    }
    assert update.status is expected[raw["type"]]
    if "filledSize" in raw:
        assert update.filled == D(raw["filledSize"])
    assert update.amount == D(raw.get("size") or raw["originSize"])
    assert update.time == raw["ts"] // 1_000_000
    fills = [event for event in events if isinstance(event, Fill)]
    assert bool(fills) == (raw["type"] == "match")
    for fill in fills:
        assert (fill.price, fill.amount, fill.id) == (D(raw["matchPrice"]), D(raw["matchSize"]), raw["tradeId"])
        assert (fill.fee, fill.maker) == (None, raw["liquidity"] == "maker")


@have
@pytest.mark.parametrize(("market", "data"), samples("ws.stop_order"))
def test_private_stop_orders(market: str, data: Any) -> None:
    (update,) = private(market, data)
    raw = data["data"]
    assert isinstance(update, OrderUpdate)
    assert (update.venue_id, update.status) == (raw["orderId"], OrderStatus.UNTRIGGERED)
    assert (update.trigger, update.price, update.amount) == (
        D(raw["stopPrice"]),
        D(raw["orderPrice"]),
        D(str(raw["size"])),
    )
    assert update.kind == "take_profit_limit"  # both samples buy below the market
    assert update.algo is (market == "spot")  # futures have one id space


@have
@pytest.mark.parametrize(("market", "data"), samples("ws.balance"))
def test_private_balances(market: str, data: Any) -> None:
    (balance,) = private(market, data)
    raw = data["data"]
    assert isinstance(balance, Balance)
    total, available = ("total", "available") if market == "spot" else ("walletBalance", "availableBalance")
    assert (balance.asset, balance.total, balance.available) == (raw["currency"], D(raw[total]), D(raw[available]))
    held = D(raw["hold"]) if market == "spot" else D(raw["isolatedOrderMargin"]) + D(raw["isolatedPosMargin"])
    assert balance.held == held


@have
@pytest.mark.parametrize(("market", "data"), samples("ws.position"))
def test_private_positions(market: str, data: Any) -> None:
    (position,) = private(market, data)
    raw = data["data"]
    assert isinstance(position, Position)
    assert (position.wire, position.size) == (raw["symbol"], raw["currentQty"])
    assert (position.entry, position.liquidation) == (D(str(raw["avgEntryPrice"])), D(str(raw["liquidationPrice"])))
    assert position.isolated is True


# REST


def call_of(market: str, operation: str) -> Call:
    chosen = family(market)
    instrument = instrument_for({"symbol": "BTC-USDT"}, chosen, load(VENUE))
    trading: Any = chosen.trading
    ref = OrderRef(instrument=instrument, venue_id="1")
    flows: dict[str, Any] = {
        "instruments": trading.instruments,
        "time": trading.time,
        "book": lambda: trading.book(instrument),
        "trades": lambda: trading.trades(instrument),
        "candles": lambda: trading.candles(instrument, "1h", Page()),
        "tickers": lambda: trading.tickers([]),
        "balances": lambda: trading.balances({}),
        "positions": lambda: trading.positions({}),
        "fees": lambda: trading.fees(instrument, {}),
        "fills": lambda: trading.fills(instrument, Page(), {}),
        "order": lambda: trading.order(ref, {}),
        "open_orders": lambda: trading.open_orders(instrument, {}),
        "cancel": lambda: trading.cancel(ref, {}),
        "cancel_all": lambda: trading.cancel_all(instrument, {}),
    }
    step = next(flows[operation]())
    assert isinstance(step, Call)
    return step


def answer(data: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(data).encode(), got_at=1_800_000_000_000)


def run(flow: Any, *answers: Any) -> Any:
    """Drive a flow with one answer a step."""
    step = next(flow)
    for body in answers:
        try:
            step = flow.send(step.read(answer(body)))
        except StopIteration as stop:
            return stop.value
    raise AssertionError("the flow wants more steps")


@have
@pytest.mark.parametrize(("market", "data"), samples("rest.instruments"))
def test_instruments_keep_their_grid(market: str, data: Any) -> None:
    found: list[Instrument] = call_of(market, "instruments").read(answer(data))
    assert [row.wire for row in found] == [row["symbol"] for row in data["data"]]
    for row, raw in zip(found, data["data"], strict=True):
        assert row.status is InstrumentStatus.TRADING
        if market == "spot":
            assert (row.base, row.quote) == (raw["baseCurrency"], raw["quoteCurrency"])
            assert (row.tick, row.size.step) == (D(raw["priceIncrement"]), D(raw["baseIncrement"]))
            assert (row.size.minimum, row.quote_step) == (D(raw["baseMinSize"]), D(raw["quoteIncrement"]))
            assert row.min_notional == D(raw.get("minFunds") or raw["quoteMinSize"])
            continue
        assert (row.symbol, row.settle, row.unit) == ("BTC-USDT", "USDT", Unit.LINEAR)
        assert (row.multiplier, row.tick, row.size.step) == (D("0.001"), D("0.1"), 1)
        assert (row.max_leverage, row.size.maximum) == (raw["maxLeverage"], raw["maxOrderQty"])


@have
@pytest.mark.parametrize(("market", "data"), samples("rest.time"))
def test_the_venues_clock(market: str, data: Any) -> None:
    assert call_of(market, "time").read(answer(data)) == data["data"]


@have
@pytest.mark.parametrize(("market", "data"), samples("rest.book"))
def test_snapshots(market: str, data: Any) -> None:
    found: BookSnapshot = call_of(market, "book").read(answer(data))
    raw = data["data"]
    assert found.id == int(raw["sequence"])
    assert (levels(found.bids), levels(found.asks)) == (pairs(raw["bids"]), pairs(raw["asks"]))
    assert found.time == (raw.get("time") or raw["ts"] // 1_000_000)


@have
@pytest.mark.parametrize(("market", "data"), samples("rest.trades"))
def test_public_trades_are_told_oldest_first(market: str, data: Any) -> None:
    found: list[Trade] = call_of(market, "trades").read(answer(data))
    rows = sorted(data["data"], key=lambda row: row.get("time") or row["ts"])
    assert [(row.price, row.amount, row.side) for row in found] == [
        (float(raw["price"]), float(raw["size"]), Side(raw["side"])) for raw in rows
    ]
    assert [row.time for row in found] == [(raw.get("time") or raw["ts"]) // 1_000_000 for raw in rows]


@have
@pytest.mark.parametrize(("market", "data"), samples("rest.candles"))
def test_candles_of_history(market: str, data: Any) -> None:
    found: list[Candle] = call_of(market, "candles").read(answer(data))
    rows = sorted(data["data"], key=lambda row: int(row[0]))
    scale, order = (1000, (1, 3, 4, 2)) if market == "spot" else (1, (1, 2, 3, 4))
    assert [row.start for row in found] == [int(raw[0]) * scale for raw in rows]
    assert [(row.open, row.high, row.low, row.close) for row in found] == [
        tuple(float(raw[index]) for index in order) for raw in rows
    ]
    assert [row.volume for row in found] == [float(raw[5]) for raw in rows]


@have
@pytest.mark.parametrize(("market", "data"), samples("rest.tickers"))
def test_statistics_of_all_symbols(market: str, data: Any) -> None:
    (found,) = call_of(market, "tickers").read(answer(data))
    (raw,) = data["data"]["ticker"]
    assert (found.last, found.high, found.low, found.bid) == tuple(
        float(raw[name]) for name in ("last", "high", "low", "buy")
    )
    assert found.open == pytest.approx(float(raw["last"]) - float(raw["changePrice"]))


@have
@pytest.mark.parametrize(("market", "data"), samples("rest.ws_token"))
def test_a_token_names_where_it_may_be_used(market: str, data: Any) -> None:
    raw = data["data"]
    stream = family(market).account_stream()
    dial = run(stream.opening({}), data)
    server = raw["instanceServers"][0]
    assert dial.url.startswith(f"{server['endpoint']}?token={raw['token']}&connectId=")
    assert dial.await_first is True
    assert dial.pulse.every == server["pingInterval"] / 1000
    assert dial.pulse.dead_after == (server["pingInterval"] + server["pingTimeout"]) / 1000


@have
@pytest.mark.parametrize(("market", "data"), samples("rest.balances"))
def test_balances_of_the_trading_account_alone(market: str, data: Any) -> None:
    if market == "spot":
        (found,) = call_of(market, "balances").read(answer(data))
        assert (found.asset, found.total, found.available) == ("USDT", D("26.66759503"), D("26.66759503"))
        return
    raw = data["data"]
    found = call_of(market, "balances").read(answer(data))
    assert found.total == D(str(raw["accountEquity"])) - D(str(raw["unrealisedPNL"]))
    assert found.available == D(str(raw["availableBalance"]))
    assert found.held == D(str(raw["positionMargin"])) + D(str(raw["orderMargin"]))


@have
@pytest.mark.parametrize(("market", "data"), samples("rest.positions"))
def test_positions(market: str, data: Any) -> None:
    found: list[Position] = call_of(market, "positions").read(answer(data))
    assert [(row.wire, row.size) for row in found] == [(raw["symbol"], raw["currentQty"]) for raw in data["data"]]
    assert [row.entry for row in found] == [D(str(raw["avgEntryPrice"])) for raw in data["data"]]
    assert [row.isolated for row in found] == [raw["marginMode"] == "ISOLATED" for raw in data["data"]]


@have
@pytest.mark.parametrize(("market", "data"), samples("rest.fees"))
def test_rates(market: str, data: Any) -> None:
    if isinstance(data["data"], dict):
        pytest.skip("the base rate; the connector asks for a symbol's own")
    assert call_of(market, "fees").read(answer(data)) == Fees(maker=D("0.001"), taker=D("0.001"))


@have
@pytest.mark.parametrize(("market", "data"), samples("rest.fills"))
def test_fills_carry_their_fee(market: str, data: Any) -> None:
    chosen = family(market)
    instrument = instrument_for({"symbol": "BTC-USDT"}, chosen, load(VENUE))
    (found,) = run(chosen.trading.fills(instrument, Page(), {}), data)
    (raw,) = data["data"]["items"]
    assert (found.price, found.amount) == (D(raw["price"]), D(str(raw["size"])))
    assert (found.fee, found.fee_asset, found.id) == (D(raw["fee"]), raw["feeCurrency"], str(raw["tradeId"]))
    assert (found.venue_id, found.maker) == (raw["orderId"], raw["liquidity"] == "maker")


@have
@pytest.mark.parametrize(("market", "data"), samples("rest.order"))
def test_orders_by_their_id(market: str, data: Any) -> None:
    found: OrderUpdate = call_of(market, "order").read(answer(data))
    raw = data["data"]
    assert (found.venue_id, found.client_id) == (raw["id"], raw["clientOid"])
    assert (found.price, found.amount) == (D(raw["price"]), D(str(raw["size"])))
    if market == "spot":
        assert found.status is OrderStatus.FILLED
        assert (found.filled, found.average) == (D("0.00001"), D("67717.6"))
        assert (found.fee, found.fee_asset) == (D(raw["fee"]), "USDT")
    else:
        assert (found.status, found.filled, found.average) == (OrderStatus.OPEN, 0, UNSET)


@have
@pytest.mark.parametrize(("market", "data"), samples("rest.open_orders"))
def test_open_orders(market: str, data: Any) -> None:
    found = call_of(market, "open_orders").read(answer(data))
    if market == "spot":
        (row,) = found
        assert (row.status, row.venue_id) == (OrderStatus.OPEN, data["data"][0]["id"])
        return
    none = {"code": "200000", "data": {"totalPage": 0, "items": []}}
    instrument = instrument_for({"symbol": "BTC-USDT"}, family(market), load(VENUE))
    (row,) = run(family(market).trading.open_orders(instrument, {}), data, none)
    assert (row.status, row.amount, row.price) == (OrderStatus.OPEN, 10, D("0.05"))


@have
@pytest.mark.parametrize(("market", "data"), samples("rest.open_order_symbols", "rest.stop_orders"))
def test_open_orders_of_all_symbols_and_stop_orders(market: str, data: Any) -> None:
    symbols = {"code": "200000", "data": {"symbols": []}}
    if "symbols" in data["data"]:
        flow = family(market).trading.open_orders(None, {})
        step = next(flow)
        names = step.read(answer(data))
        step = flow.send(names)
        assert (names, dict(step.params)) == (data["data"]["symbols"], {"symbol": data["data"]["symbols"][0]})
        return
    (row,) = run(family(market).trading.open_orders(None, {}), symbols, data)
    raw = data["data"]["items"][0]
    assert (row.venue_id, row.client_id, row.algo) == (raw["id"], raw["clientOid"], True)
    assert (row.status, row.trigger, row.price) == (OrderStatus.UNTRIGGERED, 60000, 50000)


@have
@pytest.mark.parametrize(
    ("market", "data"),
    samples("rest.place.ok", "rest.place_stop.ok", "rest.amend.ok", "rest.cancel.ok", "rest.cancel_all"),
)
def test_what_was_received_is_not_yet_done(market: str, data: Any) -> None:
    raw = data["data"]
    if "newOrderId" in raw:
        chosen = family(market)
        instrument = instrument_for({"symbol": "BTC-USDT"}, chosen, load(VENUE))
        flow = chosen.trading.amend(OrderRef(instrument=instrument, venue_id="old"), {}, price=D(1))
        next(flow)
        old = OrderUpdate(
            wire="BTC-USDT", venue_id="old", client_id="mine", status=OrderStatus.OPEN, amount=D(2), filled=D(1)
        )
        step = flow.send(old)
        assert step.body == {"symbol": "BTC-USDT", "orderId": "old", "newPrice": "1", "newSize": "1"}
        flow.send(step.read(answer(data)))
        with pytest.raises(StopIteration) as ended:
            flow.send(old)
        found = ended.value.value
        assert (found.venue_id, found.previous_id, found.filled) == (raw["newOrderId"], "old", 1)
        return
    if raw == "success" or "succeedSymbols" in raw:
        assert call_of(market, "cancel_all").read(answer(data)) is None
    elif "cancelledOrderIds" in raw and len(raw["cancelledOrderIds"]) > 1:
        assert call_of(market, "cancel_all").read(answer(data)) == raw["cancelledOrderIds"]
    elif "orderId" in raw and "clientOid" in raw:
        chosen = family(market)
        instrument = instrument_for({"symbol": "BTC-USDT"}, chosen, load(VENUE))
        order = order_for({"side": "buy", "type": "limit", "price": "1", "amount": "1", "client_id": "c"}, instrument)
        found = next(chosen.trading.place(order, {})).read(answer(data))
        assert (found.venue_id, found.status) == (raw["orderId"], OrderStatus.PENDING)
    else:
        found = call_of(market, "cancel").read(answer(data))
        assert found.status is UNSET


@have
@pytest.mark.parametrize(("market", "data"), samples("rest.key_info"))
def test_what_a_key_may_do(market: str, data: Any) -> None:
    mode = {"code": "200000", "data": {"selfAccountMode": "CLASSIC"}}
    accounts = {"code": "200000", "data": [{"type": "main", "currency": "USDT", "balance": "5"}]}
    facts = run(family(market).trading.login(), mode, data, accounts)
    assert facts["key_version"] == "3"
    key: KeyInfo = facts["key"]
    assert (key.can_trade, key.can_withdraw) == (True, False)
    assert "main account" in key.note


@have
@pytest.mark.parametrize(
    ("market", "data"),
    samples(
        "rest.error.auth",
        "rest.error.rate_limit",
        "rest.error.permission",
        "rest.error.symbol",
        "rest.place.error",
        "rest.cancel.error",
        "rest.order.error",
    ),
)
def test_every_error_is_raised_with_its_code(market: str, data: Any) -> None:
    with pytest.raises(VenueError) as raised:
        call_of(market, "order").read(answer(data))
    assert (raised.value.code, raised.value.text) == (data["code"], data["msg"])


@have
def test_every_kind_of_sample_is_read_or_has_its_reason() -> None:
    kinds = {json.loads(line)["kind"] for line in PATH.read_text().splitlines()}
    text = open(__file__).read()  # noqa: PTH123, SIM115 - the names stand in this file
    assert {kind for kind in kinds if f'"{kind}"' not in text} == set()


@have
def test_no_market_data_sample_is_unknown() -> None:
    for line in PATH.read_text().splitlines():
        row = json.loads(line)
        if row["kind"].startswith("ws.") and row["market"] != "uta" and not unified(row["data"]):
            data = row["data"]
            if row["kind"] in NOT_READ:
                continue
            events = (
                private(row["market"], data)
                if "userId" in data or "channelType" in data
                else receive(row["market"], data)
            )
            assert not any(isinstance(event, Unknown) for event in events), row["kind"]
