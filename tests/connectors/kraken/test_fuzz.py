"""Whatever arrives on Kraken's sockets, `receive` answers with events and never raises."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.contract import Stream
from connectors.kraken.account import KrakenAccountStream
from connectors.kraken.market import KrakenMarketStream

LEVELS = [{"price": 62802.5, "qty": 0.02987767}, {"price": 62800.7, "qty": 0.0}]
ORDER = {
    "order_id": "OAAAAA-BBBBB-CCCCCC",
    "symbol": "BTC/USD",
    "order_qty": 5e-05,
    "cum_cost": 0.0,
    "exec_type": "pending_new",
    "side": "sell",
    "order_type": "stop-loss-limit",
    "time_in_force": "GTC",
    "triggers": {"price": 96186.0, "status": "untriggered"},
    "limit_price": 96182.0,
    "order_status": "pending_new",
    "timestamp": "2025-02-12T08:12:30.843920Z",
}
TRADE = {
    "order_id": "OAAAAA-BBBBB-CCCCCC",
    "exec_id": "TAAAAA-BBBBB-CCCCCC",
    "exec_type": "trade",
    "symbol": "BTC/USD",
    "side": "sell",
    "last_qty": 5e-05,
    "last_price": 96199.9,
    "liquidity_ind": "t",
    "timestamp": "2025-02-12T08:13:47.084247Z",
    "order_status": "partially_filled",
    "cum_qty": 5e-05,
    "cum_cost": 4.81,
    "fees": [{"asset": "USD", "qty": 0.01924}],
}
BOOK = {"symbol": "BTC/USD", "bids": LEVELS, "asks": [], "checksum": 1, "timestamp": "2026-08-16T23:37:04.316445Z"}
BAR = {
    "symbol": "BTC/USD",
    "open": 1.0,
    "high": 2.0,
    "low": 0.5,
    "close": 1.5,
    "volume": 3.0,
    "interval_begin": "2023-10-04T16:25:00.000000000Z",
    "interval": 5,
}
SHAPES: list[Any] = [
    {"channel": "book", "type": "snapshot", "data": [BOOK]},
    {"channel": "book", "type": "update", "data": [BOOK]},
    {"channel": "ohlc", "type": "update", "data": [BAR]},
    {
        "channel": "ticker",
        "type": "update",
        "data": [{"symbol": "X/Y", "bid": 1, "bid_qty": 1, "ask": 2, "ask_qty": 1}],
    },
    {"channel": "trade", "data": [{"symbol": "X/Y", "side": "buy", "price": 1, "qty": 2, "trade_id": 3}]},
    {"channel": "status", "type": "update", "data": [{"connection_id": 2**63 + 1}]},
    {"channel": "executions", "type": "update", "data": [ORDER], "sequence": 3},
    {"channel": "executions", "type": "snapshot", "data": [TRADE, ORDER], "sequence": 1},
    {"channel": "executions", "type": "update", "data": [TRADE], "sequence": 2},
    {
        "channel": "balances",
        "type": "snapshot",
        "data": [{"asset": "BTC", "wallets": [{"type": "spot", "balance": 1}]}],
    },
    {
        "channel": "balances",
        "type": "update",
        "data": [{"asset": "BTC", "balance": 1, "timestamp": "2023-09-22T10:33:05Z"}],
    },
    {
        "method": "subscribe",
        "result": {"channel": "book", "depth": 10, "symbol": "BTC/USD"},
        "success": True,
        "req_id": 1,
    },
    {"error": "Subscription depth not supported", "method": "subscribe", "success": False, "req_id": 1},
    {"method": "add_order", "result": {"order_id": "O"}, "success": True, "req_id": 4},
    {"error": "ESession:Invalid session", "method": "add_order", "success": False, "req_id": 4},
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """One of the shapes with some values replaced, and sometimes cut."""
    body = json.loads(json.dumps(draw(st.sampled_from(SHAPES))))
    for _ in range(draw(st.integers(0, 3))):
        place = body
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and draw(st.booleans()):
                place = place[key]
                continue
            if isinstance(place, dict) and draw(st.integers(0, 4)) == 0:
                del place[key]
            else:
                place[key] = draw(VALUES)
            break
    text = json.dumps(body, separators=(",", ":"))
    return text[: draw(st.integers(0, len(text)))] if draw(st.integers(0, 9)) == 0 else text


@pytest.mark.parametrize("make", [KrakenMarketStream, KrakenAccountStream])
@settings(max_examples=400)
@given(frames=st.lists(mutated() | st.text(max_size=40) | st.binary(max_size=40), min_size=1, max_size=6))
def test_receive_never_raises(make: type[Stream], frames: list[str | bytes]) -> None:
    stream = make()
    for frame in frames:
        assert isinstance(stream.receive(frame), list)


@pytest.mark.parametrize("make", [KrakenMarketStream, KrakenAccountStream])
@pytest.mark.parametrize(
    "frame", ["[" * 100_000, '{"channel":"book","data":' + "[" * 100_000, b"\xff\xfe", "", "null", "7"]
)
def test_what_is_no_object_is_unknown(make: type[Stream], frame: str | bytes) -> None:
    *books, event = make().receive(frame)
    assert type(event).__name__ == "Unknown"
    assert all(type(each).__name__ == "BookBroken" for each in books)
