"""What lone frames and bodies are told as: the sample payloads of every venue, and lines that are no frames at all."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.catalogue import load, slugs
from connectors.contract import Call, Family, Page
from connectors.decode import _instrument, _order, _ref, decode_line
from connectors.model import Market
from connectors.tools import walk
from tests.conftest import SHARED

# The kind of a sample says which events it must become; the first name that begins the sample's kind counts.
STREAMED = {
    "ws.book.delta": "book_delta",
    "ws.book.snapshot": "book_snapshot",
    "ws.book_ticker": "ticker",
    "ws.trade": "trade",
    "ws.ticker": "ticker",
    "ws.candle": "candle",
    "ws.order": "order",
    "ws.fill": "fill",
    "ws.balance": "balance",
    "ws.position": "position",
    "ws.subscribed": "control",
    "ws.unsubscribed": "control",
    "ws.pong": "control",
    "ws.heartbeat": "control",
    "ws.welcome": "control",
    "ws.info": "control",
    "ws.error": "error",
}
ASKED: dict[str, tuple[str, Callable[[Family], Any]]] = {
    "rest.instruments": ("instrument", lambda family: family.trading.instruments()),
    "rest.book": ("book_snapshot", lambda family: family.trading.book(_instrument(family))),
    "rest.trades": ("trade", lambda family: family.trading.trades(_instrument(family))),
    "rest.candles": (
        "candle",
        lambda family: family.trading.candles(_instrument(family), family.capabilities.intervals[0], Page()),
    ),
    "rest.time": ("control", lambda family: family.trading.time()),
    "rest.balances": ("balance", lambda family: family.trading.balances({})),
    "rest.positions": ("position", lambda family: family.trading.positions({})),
    "rest.open_orders": ("order", lambda family: family.trading.open_orders(_instrument(family), {})),
    "rest.fills": ("fill", lambda family: family.trading.fills(_instrument(family), Page(), {})),
    "rest.order": ("order", lambda family: family.trading.order(_ref(family), {})),
    "rest.place.ok": ("order", lambda family: family.trading.place(_order(family), {})),
    "rest.place.error": ("error", lambda family: family.trading.place(_order(family), {})),
    "rest.cancel.error": ("error", lambda family: family.trading.cancel(_ref(family), {})),
}
# What may stand beside the kind that is looked for: venues tell executions with orders, and positions with balances.
BESIDE = {"order": "fill", "fill": "order", "balance": "position", "position": "balance"}
# Sample kinds that mean something else, or that one lone frame cannot tell: what comes instead, and why.
OTHERWISE: dict[tuple[str, str], tuple[str, str]] = {
    ("binance", "ws.balance.delta"): ("control", "the absolute figures follow in another event"),
    ("binance", "ws.balance.lock"): ("control", "as above"),
    ("binance", "ws.fill.lite"): ("control", "an early copy of the execution that follows"),
    ("binance", "rest.balances perp"): ("unknown", "the answer to a request that is not ours"),
    ("binance", "rest.open_orders perp 136"): ("unknown", "plain orders; conditional ones are asked for last"),
    ("kraken", "ws.ticker 19"): ("control", "an empty book's ticker says nothing"),
    ("kraken", "rest.place.ok 83"): ("control", "a test order has no id"),
    ("bitmex", "ws.book.delta 6"): ("unknown", "of 2021: the row names its id and no price"),
    ("bitmex", "ws.book.delta 7"): ("unknown", "as above"),
    ("bitmex", "ws.fill 40"): ("control", "a cancel that was refused is no execution"),
    ("bitmex", "rest.instruments 47"): ("ticker", "a spread of two contracts, which can't be ordered here"),
    ("coinbase", "rest.instruments 58"): ("unknown", "of the older Exchange API"),
    ("coinbase", "rest.balances 9"): ("control", "an account without anything in it"),
    ("coinbase", "rest.open_orders 74"): ("control", "there is none"),
    ("coinbase", "ws.ticker 43"): ("control", "an entry without a product"),
    ("coinbase", "ws.fill"): ("order", "totals only; executions are derived from two of them"),
    **{
        ("coinbase", f"{kind} perp"): ("error", "contracts are not traded here")
        for kind in ("ws.book.snapshot", "ws.subscribed", "ws.heartbeat")
    },
    **{
        ("coinbase", name): ("unknown", "of the older Exchange feed, read by the recordings' own reader")
        for name in (
            "ws.subscribed 51",
            "ws.book.snapshot 52",
            "ws.ticker 53",
            "ws.trade 54",
            "ws.book.delta 55",
            "ws.book.delta 56",
            "ws.trade 57",
        )
    },
    ("kucoin", "rest.open_orders spot 38"): ("unknown", "plain orders; stop orders are asked for last"),
    ("kucoin", "ws.error perp 128"): ("control", "the socket is about to be closed"),
    **{
        ("kucoin", f"{kind} {number}"): (
            "unknown",
            "the protocol of unified accounts, which the connector does not speak",
        )
        for number, kind in (
            (66, "ws.error uta"),
            (108, "ws.welcome perp"),
            (110, "ws.subscribed perp"),
            (111, "ws.book.snapshot perp"),
            (112, "ws.book.delta perp"),
            (113, "ws.book.delta perp"),
            (114, "ws.error perp"),
            (115, "ws.error perp"),
            (116, "ws.error perp"),
        )
    },
    ("binance", "ws.order_list"): ("control", "lists show as their orders"),
}


def samples() -> list[Any]:
    found = []
    for slug in slugs():
        path = SHARED / "venues" / slug / "samples.jsonl"
        rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        for number, row in enumerate(rows, 1):
            row["number"] = number
            if expected_of(slug, row) is not None:
                found.append(pytest.param(slug, row, id=f"{slug} {row['kind']} {row.get('market')} {number}"))
    return found


def expected_of(slug: str, row: dict[str, Any]) -> str | None:
    kind = row["kind"]
    number = row["number"]
    for name in (f"{kind} {row.get('market')} {number}", f"{kind} {number}", f"{kind} {row.get('market')}", kind):
        if (slug, name) in OTHERWISE:
            return OTHERWISE[slug, name][0]
    return ASKED[kind][0] if kind in ASKED else STREAMED.get(kind)


def line_of(slug: str, row: dict[str, Any]) -> dict[str, Any] | None:
    """The line that a person would give; None if the family has no such operation."""
    data = row["data"]
    line: dict[str, Any] = {"frame": data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))}
    if row["kind"] in ASKED:
        market = row.get("market")
        families = [each for each in load(slug).families if market is None or Market(market) in each.markets]
        if not families:
            return None
        family = families[0]
        steps = [step for _, step in walk(lambda: ASKED[row["kind"]][1](family)) if isinstance(step, Call)]
        if not steps:
            return None
        step = steps[-1]  # what comes before learns names
        line["http"] = f"{step.method} {urlsplit(family.url(step.endpoint)).path}{step.path}"
    return line


@pytest.mark.parametrize(("slug", "row"), samples())
def test_a_sample_is_told_as_what_it_is(slug: str, row: dict[str, Any]) -> None:
    line = line_of(slug, row)
    if line is None:
        pytest.skip("no request of this family asks for it")
    market = Market(row["market"]) if row.get("market") in set(Market) else None
    answer = json.loads(decode_line(load(slug), json.dumps(line), 7, market))
    assert answer["line"] == 7
    kinds, expected = {event["kind"] for event in answer["events"]}, expected_of(slug, row)
    assert expected in kinds, answer["events"][:2]
    assert kinds <= {expected, BESIDE.get(expected or "")}


@pytest.mark.parametrize("slug", slugs())
@pytest.mark.parametrize(
    "line",
    [
        "",
        "nonsense",
        "[]",
        "null",
        '"text"',
        "{}",
        '{"frame_b64": "!!"}',
        '{"frame_b64": 5}',
        '{"frame": "x", "http": 5}',
        '{"frame": "{}", "http": "/no/such/path"}',
        '{"frame": null}',
        '{"frame": "x", "status": "y"}',
        "[" * 5000,
        '{"frame": "' + "[" * 5000 + '"}',
    ],
)
def test_lines_that_are_no_frames_are_answered_as_errors_or_unknown(slug: str, line: str) -> None:
    answer = json.loads(decode_line(load(slug), line, 3))
    assert answer["line"] == 3
    assert answer["events"]
    assert {event["kind"] for event in answer["events"]} <= {"error", "unknown", "control"}


@pytest.mark.parametrize("slug", slugs())
@given(raw=st.binary(max_size=200))
def test_any_bytes_are_answered(slug: str, raw: bytes) -> None:
    line = json.dumps({"frame_b64": base64.b64encode(raw).decode()})
    assert json.loads(decode_line(load(slug), line, 1))["events"]
    assert json.loads(decode_line(load(slug), raw, 1))["events"]


def test_fields_are_those_of_the_wire() -> None:
    frame = {"e": "depthUpdate", "E": 5, "s": "BTCUSDT", "U": 7, "u": 9, "b": [["1.10", "2"]], "a": [["1.2", "0"]]}
    (event,) = json.loads(decode_line(load("binance"), json.dumps({"frame": json.dumps(frame)}), 1))["events"]
    assert event == {
        "kind": "book_delta", "symbol": "BTC-USDT", "bids": [[1.1, 2.0]], "asks": [[1.2, 0.0]], "time": 5,
        "first": 7, "last": 9,
    }  # fmt: skip
    body = {"lastUpdateId": 12, "bids": [["1", "2"]], "asks": []}
    line = {"frame": json.dumps(body), "http": "https://api.binance.com/api/v3/depth?symbol=ETHBTC&limit=5"}
    (event,) = json.loads(decode_line(load("binance"), json.dumps(line), 1))["events"]
    assert (event["kind"], event["symbol"], event["id"]) == ("book_snapshot", "ETH-BTC", 12)


def test_the_same_line_is_answered_alike_in_every_process() -> None:
    """given a listing, whose kinds of orders are a set, then they come in their order, not in that of a process's hashes."""
    body = {
        "serverTime": 5,
        "symbols": [
            {
                "symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT",
                "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT"],
                "isSpotTradingAllowed": True, "permissionSets": [["SPOT"]],
                "filters": [
                    {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01"},
                    {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000", "stepSize": "0.00001"},
                ],
            }
        ],
    }  # fmt: skip
    (event,) = told("binance", body, http="/api/v3/exchangeInfo")
    assert event["kind"] == "instrument"
    assert event["kinds"] == sorted(event["kinds"])
    assert len(event["kinds"]) > 3


def test_the_market_chooses_between_families_that_spell_alike() -> None:
    frame = {"e": "depthUpdate", "E": 5, "T": 4, "s": "BTCUSDT", "U": 7, "u": 9, "pu": 6, "b": [], "a": [], "st": 2}
    line = json.dumps({"frame": json.dumps(frame)})
    spot = json.loads(decode_line(load("binance"), line, 1, Market.SPOT))["events"]
    perp = json.loads(decode_line(load("binance"), line, 1, Market.PERP))["events"]
    assert [event["kind"] for event in perp] == ["control"]  # a row of another product on this stream
    assert spot
    (nothing,) = json.loads(decode_line(load("binance"), line, 1, Market("future")))["events"]
    assert nothing["kind"] == "control"


def told(slug: str, frame: Any, **more: Any) -> list[dict[str, Any]]:
    line = json.dumps({"frame": frame if isinstance(frame, str) else json.dumps(frame), **more})
    events: list[dict[str, Any]] = json.loads(decode_line(load(slug), line, 1))["events"]
    return events


@pytest.mark.parametrize(
    ("slug", "wire", "symbol"),
    [
        ("bitmex", "XBTUSD", "BTC-USD"),
        ("bitmex", "XBTUSDT", "BTC-USDT"),
        ("bitmex", "DOTUSDT", "DOT-USDT"),
        ("bitmex", "XBT_USDT", "BTC-USDT"),
        ("bitmex", "XBTU26", "XBTU26"),
        ("kucoin", "XBTUSDM", "BTC-USD"),
        ("kucoin", "XBTUSDTM", "BTC-USDT"),
        ("kraken", "BTC/USD", "BTC-USD"),
        ("kraken", "XBT/USD", "BTC-USD"),
        ("kraken", "XBTUSDT", "BTC-USDT"),
        ("kraken", "XXBTZUSD", "BTC-USD"),
        ("kraken", "XDGUSD", "DOGE-USD"),
    ],
)
def test_an_instrument_is_named_by_its_assets(slug: str, wire: str, symbol: str) -> None:
    assert load(slug).families[-1].spelling.symbol(wire) == symbol


PRODUCT = {
    "product_id": "BTC-USD", "base_currency_id": "BTC", "quote_currency_id": "USD", "product_type": "SPOT", "status": "online",
    "price_increment": "0.01", "quote_increment": "0.01", "base_increment": "0.001", "base_min_size": "1", "quote_min_size": "1",
}  # fmt: skip
TOP = {
    "product_id": "BTC-USD", "bids": [{"price": "1", "size": "2"}], "asks": [{"price": "3", "size": "4"}],
    "time": "2026-04-07T00:28:59.662782Z",
}  # fmt: skip
TRADE = {"trade_id": "7", "product_id": "BTC-USD", "price": "2", "size": "1", "time": TOP["time"], "side": "SELL"}
BAR = {"start": "1712192400", "low": "1", "high": "4", "open": "2", "close": "3", "volume": "5"}


@pytest.mark.parametrize("key", ["", "/market"])  # with a key the same bodies have addresses of their own
@pytest.mark.parametrize(
    ("address", "data", "expected"),
    [
        ("/products?product_type=SPOT", {"products": [PRODUCT]}, {"kind": "instrument", "symbol": "BTC-USD"}),
        ("/products/BTC-USD", PRODUCT, {"kind": "instrument", "symbol": "BTC-USD"}),
        ("/products?product_type=FUTURE", {"products": [PRODUCT | {"product_type": "FUTURE"}]}, {"kind": "control"}),
        ("/product_book?product_id=BTC-USD", {"pricebook": TOP}, {"kind": "book_snapshot", "bids": [[1, 2]]}),
        ("/product_book?product_id=BTC-USD&limit=9", {"pricebook": TOP}, {"symbol": "BTC-USD", "depth": 9}),
        ("/best_bid_ask?product_ids=BTC-USD", {"pricebooks": [TOP]}, {"kind": "book_snapshot", "asks": [[3, 4]]}),
        ("/products/BTC-USD/ticker?limit=1", {"trades": [TRADE]}, {"kind": "trade", "side": "buy", "id": "7"}),
        ("/products/BTC-USD/candles?granularity=ONE_HOUR", {"candles": [BAR]}, {"kind": "candle", "interval": "1h"}),
        ("/products/BTC-USD/candles", {"candles": [BAR]}, {"kind": "candle", "start": 1712192400000}),
        ("/products/BTC-USD", {"errors": [{"id": "not_found", "message": "Not found"}]}, {"code": "not_found"}),
    ],
)
def test_coinbase_has_two_addresses_for_what_is_public(key: str, address: str, data: Any, expected: Any) -> None:
    (event,) = told("coinbase", data, http=f"GET /api/v3/brokerage{key}{address}")
    assert event.items() >= expected.items()
    assert "depth" not in event or "depth" in expected
    assert "interval" not in event or "interval" in expected


def test_what_only_our_stand_ins_said_is_not_told() -> None:
    placed = {"method": "add_order", "req_id": 1, "result": {"order_id": "OXM2QD-EALR2-YBAVEU"}, "success": True}
    (event,) = told("kraken", placed)
    assert (event["id"], event["symbol"], event["status"]) == ("OXM2QD-EALR2-YBAVEU", None, "pending")
    assert "client_id" not in event
    (event,) = told("kraken", placed | {"method": "cancel_order"})
    assert "status" not in event  # it is not the answer to an order that was placed
    amended = {"error": [], "result": {"amend_id": "TJSMEH-AA67V-YUSQ6O"}}
    (event,) = told("kraken", amended, http="/0/private/AmendOrder")
    assert not {"price", "amount", "id"} & set(event)


ORDER = {
    "id": "67", "clientOid": "c", "symbol": "BTC-USDT", "type": "limit", "side": "buy", "price": "2", "size": "1",
    "dealSize": "0", "dealFunds": "0", "active": True, "cancelExist": False, "createdAt": 1, "lastUpdatedAt": 2,
}  # fmt: skip
LOTS = {"id": "23", "symbol": "XBTUSDTM", "type": "limit", "side": "buy", "price": "2", "size": 1, "isActive": True}
PAIR = {
    "symbol": "BCHSV-USDT", "baseCurrency": "BSV", "quoteCurrency": "USDT", "baseMinSize": "1", "quoteMinSize": "1",
    "baseIncrement": "0.01", "quoteIncrement": "0.01", "priceIncrement": "0.01", "enableTrading": True,
}  # fmt: skip
BEST = {
    "sequence": "7",
    "price": "2",
    "bestBid": "1",
    "bestBidSize": "4",
    "bestAsk": "3",
    "bestAskSize": "5",
    "time": 6,
}
LOT_BEST = {
    "sequence": 7, "symbol": "XBTUSDM", "price": "2", "bestBidPrice": "1", "bestBidSize": 4, "bestAskPrice": "3",
    "bestAskSize": 5, "ts": 5_000_000_000_000_000_000,
}  # fmt: skip
DONE = {"orderId": "67", "originSize": "1", "dealSize": "1", "remainSize": "0", "canceledSize": "0", "status": "done"}
IMAGE = {"sequence": "7", "time": 5, "bids": [["1", "2"]], "asks": [["3", "4"]]}
BULLET = {"token": "t", "instanceServers": [{"endpoint": "wss://x/", "pingInterval": 18000, "pingTimeout": 10000}]}
LOT_IMAGE = {"sequence": 7, "symbol": "XBTUSDM", "ts": 5, "bids": [[1, 2]], "asks": [[3, 4]]}


@pytest.mark.parametrize(
    ("market", "address", "data", "expected"),
    [
        ("spot", "/api/v1/symbols", [PAIR], {"kind": "instrument", "symbol": "BSV-USDT"}),  # of 2021; /v2/ today
        ("spot", "GET /api/v1/hf/orders/67?symbol=BTC-USDT", ORDER, {"kind": "order", "id": "67", "symbol": "BTC-USDT"}),
        ("spot", "/api/v1/hf/orders/client-order/c?symbol=BTC-USDT", ORDER, {"kind": "order", "client_id": "c"}),
        ("spot", "DELETE /api/v1/hf/orders/67?symbol=BTC-USDT", {"orderId": "67"}, {"kind": "order", "id": "67"}),
        ("spot", "DELETE /api/v1/hf/orders/cancelAll", {"succeedSymbols": ["A"], "failedSymbols": []}, {"kind": "control"}),
        ("spot", "POST /api/v1/hf/orders/alter", {"newOrderId": "68", "clientOid": "c"}, {"kind": "order", "id": "68"}),
        ("spot", "/api/v1/market/orderbook/level2_20?symbol=BTC-USDT", IMAGE, {"kind": "book_snapshot", "depth": 20}),
        ("spot", "/api/v1/market/orderbook/level2_100?symbol=BTC-USDT", IMAGE, {"symbol": "BTC-USDT", "depth": 100}),
        ("spot", "/api/v1/market/orderbook/level1?symbol=BTC-USDT", BEST, {"kind": "ticker", "bid": 1, "ask": 3, "id": 7}),
        ("spot", "/api/v1/market/orderbook/level1", BEST, {"kind": "ticker", "symbol": None}),
        ("spot", "/api/v1/hf/orders/done?symbol=BTC-USDT", {"lastId": 1, "items": [ORDER]}, {"kind": "order", "id": "67"}),
        ("spot", "POST /api/v1/hf/orders/sync", DONE, {"kind": "order", "id": "67", "status": "filled", "filled": 1}),
        ("spot", "DELETE /api/v1/hf/orders/sync/67", DONE | {"dealSize": "0", "canceledSize": "1"}, {"status": "cancelled"}),
        ("spot", "/api/v1/base-fee", {"takerFeeRate": "0.001", "makerFeeRate": "0"}, {"kind": "control", "type": "fees"}),
        ("perp", "/api/v1/ticker?symbol=XBTUSDM", LOT_BEST, {"kind": "ticker", "symbol": "BTC-USD", "bid": 1, "time": 5_000_000_000_000}),
        ("spot", "POST /api/v1/bullet-public", BULLET, {"kind": "control"}),
        ("perp", "/api/v1/level2/depth20?symbol=XBTUSDM", LOT_IMAGE, {"kind": "book_snapshot", "depth": 20}),
        ("perp", "/api/v1/level2/snapshot", LOT_IMAGE, {"kind": "book_snapshot", "symbol": "BTC-USD", "id": 7}),
        ("perp", "/api/v1/orders?status=active", {"totalPage": 3, "items": [LOTS]}, {"kind": "order", "id": "23"}),
        ("perp", "/api/v1/stopOrders", {"totalPage": 3, "items": [LOTS]}, {"kind": "order", "id": "23"}),
        ("perp", "DELETE /api/v1/orders/23", {"cancelledOrderIds": ["23"]}, {"kind": "order", "id": "23"}),
    ],
)  # fmt: skip
def test_a_body_is_read_by_whichever_request_has_its_address(
    market: str, address: str, data: Any, expected: dict[str, Any]
) -> None:
    line = {"frame": json.dumps({"code": "200000", "data": data}), "http": address}
    (event,) = json.loads(decode_line(load("kucoin"), json.dumps(line), 1, Market(market)))["events"]
    assert {name: event.get(name) for name in expected} == expected


DESCR = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "price": "60000.0", "price2": "0"}
OWN = {
    "cl_ord_id": "c", "status": "canceled", "reason": "User requested", "opentm": 5.5, "closetm": 6.5, "descr": DESCR,
    "vol": "0.5", "vol_exec": "0.0", "cost": "0.0", "fee": "0.0", "price": "0.0", "oflags": "fciq",
}  # fmt: skip
PAID = {
    "ordertxid": "O1", "pair": "XETHXXBT", "time": 7.25, "type": "sell", "price": "0.03", "fee": "0.001", "vol": "2.0",
}  # fmt: skip
BARS = {"XXBTZUSD": [[300, "1", "2", "1", "2", "1.5", "3", 4], [600, "2", "2", "2", "2", "0", "0", 0]], "last": 300}
DEEP = {"XDGUSD": {"bids": [["0.1", "2", 5]], "asks": [["0.2", "1", 5]]}}
QUOTES = {
    "XXBTZUSD": {"a": ["3", "1", "1"], "b": ["2", "1", "1"], "c": ["2", "1"], **{key: ["4", "4"] for key in "vphl"}}
}


@pytest.mark.parametrize(
    ("address", "result", "expected"),
    [
        ("/0/private/QueryOrders", {"O1": OWN}, {"kind": "order", "id": "O1", "symbol": "BTC-USD", "status": "cancelled"}),
        ("/0/private/ClosedOrders", {"closed": {"O1": OWN}, "count": 9}, {"kind": "order", "client_id": "c", "time": 6500}),
        ("/0/private/OpenOrders", {"open": {"O1": OWN}}, {"kind": "order", "fee_asset": "USD", "price": 60000}),
        (
            "https://api.kraken.com/0/private/TradesHistory", {"trades": {"T1": PAID}, "count": 9},
            {"kind": "fill", "id": "T1", "order": "O1", "symbol": "ETH-BTC", "fee_asset": "BTC", "time": 7250},
        ),
        ("POST /0/private/QueryTrades", {"T1": PAID}, {"kind": "fill", "symbol": "ETH-BTC", "side": "sell"}),
        ("/0/private/BalanceEx", {"XXBT.B": {"balance": "1"}}, {"kind": "balance", "asset": "BTC.B"}),
        ("/0/private/BalanceEx", {"ZUSD": {"balance": 1, "hold_trade": 0.5}}, {"kind": "balance", "asset": "USD", "held": 0.5}),
        ("/0/private/BalanceEx", {"XTZ": {"balance": "1"}}, {"kind": "balance", "asset": "XTZ"}),
        ("/0/private/AddOrder", {"descr": {"order": "buy"}}, {"kind": "control"}),
        ("/0/private/AddOrderBatch", {"orders": [{"txid": "O1"}, {"error": "EOrder:x"}]}, {"kind": "order", "id": "O1"}),
        ("/0/private/Balance", {"XXDG": "5.5"}, {"kind": "balance", "asset": "DOGE", "total": 5.5}),
        ("/0/public/SystemStatus", {"status": "online"}, {"kind": "control"}),
        ("/0/public/Depth", DEEP, {"kind": "book_snapshot", "symbol": "DOGE-USD", "bids": [[0.1, 2.0]], "depth": None}),
        ("/0/public/Ticker", QUOTES, {"kind": "ticker", "symbol": "BTC-USD", "bid": 2.0, "ask": 3.0}),
        (
            "/0/public/Trades", {"XXBTZUSD": [["5", "1", 2.5, "b", "l", "", 7]], "last": "1"},
            {"kind": "trade", "symbol": "BTC-USD", "time": 2500, "id": "7"},
        ),
    ],
)  # fmt: skip
def test_a_body_that_names_its_pairs_and_orders_needs_no_request(
    address: str, result: Any, expected: dict[str, Any]
) -> None:
    (event,) = told("kraken", {"error": [], "result": result}, http=address)
    assert {name: event.get(name) for name in expected} == expected


def test_bars_tell_their_pair_their_interval_and_which_of_them_is_over() -> None:
    for address in ("/0/public/OHLC", "/0/public/OHLC?pair=XBTUSD&interval=5"):
        first, last = told("kraken", {"error": [], "result": BARS}, http=address)
        assert (first["symbol"], first["interval"], first["start"]) == ("BTC-USD", "5m", 300_000)
        assert (first["closed"], last["closed"]) == (True, False)


def test_a_refusal_is_told_where_bodies_speak_for_themselves_too() -> None:
    (event,) = told("kraken", {"error": ["EQuery:Unknown asset pair"]}, http="/0/public/Depth")
    assert (event["kind"], event["text"]) == ("error", "Unknown asset pair")


@pytest.mark.parametrize("base", ["", "/api/v1", "https://www.bitmex.com/api/v1"])
def test_an_address_may_be_written_as_the_documentation_writes_it(base: str) -> None:
    row = {"symbol": "XBTUSD", "id": 1, "side": "Sell", "size": 40, "price": 9780.5}
    (event,) = told("bitmex", [row], http=f"GET {base}/orderBook/L2")
    assert event == {"kind": "book_snapshot", "symbol": "BTC-USD", "bids": [], "asks": [[9780.5, 40.0]]}


def test_bars_that_are_stamped_with_their_end_tell_how_long_they_are() -> None:
    """By their address, or by how far apart they are; only the last one of a list with the running bar is not over."""
    bar = {"symbol": "XBTUSD", "open": 1, "high": 2, "low": 1, "close": 2, "volume": 100}
    body = [{**bar, "timestamp": f"2026-01-01T00:{minute}:00.000Z"} for minute in ("15", "05", "10")]
    for address in ("/trade/bucketed", "/api/v1/trade/bucketed?symbol=XBTUSD&binSize=5m"):
        events = told("bitmex", body, http=address)
        assert [row["start"] % 3_600_000 // 60_000 for row in events] == [0, 5, 10]
        assert {row["interval"] for row in events} == {"5m"}
        assert all(row["closed"] for row in events)
    events = told("bitmex", body, http="/trade/bucketed?binSize=1h&partial=true")
    assert [(row["interval"], row["closed"]) for row in events] == [("1h", True), ("1h", True), ("1h", False)]
    refusal = {"error": {"message": "binSize is invalid", "name": "ValidationError"}}
    assert [event["kind"] for event in told("bitmex", refusal, http="/trade/bucketed")] == ["error"]


@pytest.mark.parametrize("path", ["/api/v1/status", "/api/v1/market/orderbook/level1", "/api/v1/contracts/active"])
def test_a_refusal_is_told_at_any_address(path: str) -> None:
    (event,) = told("kucoin", {"code": "429000", "msg": "Too many requests."}, http=path, status=429)
    assert event == {"kind": "error", "text": "Too many requests.", "code": "429000"}
    (event,) = told("kucoin", {"code": "200000", "data": {"status": "open"}}, http="/api/v1/status")
    assert event["kind"] == "unknown"


def test_a_request_is_not_taken_for_a_refusal() -> None:
    request = {"method": "add_order", "params": {"symbol": "BTC/USD", "token": "t"}, "req_id": 42}
    assert "error" not in {event["kind"] for event in told("kraken", request)}


def test_bars_have_the_interval_of_their_address() -> None:
    body = [[60000, "1", "2", "0.5", "1.5", "10", 119999, "15", 3, "5", "7", "0"]]
    path = "/api/v3/klines?symbol=BTCUSDT"
    assert [row["interval"] for row in told("binance", body, http=path + "&interval=5m")] == ["5m"]
    assert [row["kind"] for row in told("binance", body, http=path)] == ["candle"]
    assert "interval" not in told("binance", body, http=path)[0]


def test_an_address_that_is_none_is_an_error_of_its_line() -> None:
    assert [event["kind"] for event in told("binance", "{}", http="GET https://[bad/api")] == ["error"]


def test_a_status_that_only_we_tried_is_no_word_of_the_venue() -> None:
    body = {"XBTUSD": {"makerFee": 0.0005, "takerFee": 0.0005}}
    assert [event["kind"] for event in told("bitmex", body, http="/api/v1/user/commission")] == ["unknown"]


def test_what_is_not_understood_shows_the_frame_as_it_came() -> None:
    frame = '{"op": "subscribe", "args":["x"]}'
    assert [event["frame"] for event in told("bitmex", frame)] == [frame]
