"""KuCoin's own end keeps the rules that its documentation prints: one trade one number, windows of lists, margin modes, limits."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from decimal import Decimal
from typing import Any

import pytest

from connectors.kucoin.practice import LISTINGS, KucoinPractice
from connectors.model import Side
from connectors.practice.exchange import Exchange
from connectors.practice.protocol import HttpRequest
from connectors.practice.terms import NewOrder

D = Decimal
NOW = 1_790_000_000_000


@pytest.fixture
def practice() -> KucoinPractice:
    """Another account buys and sells around the middle of each product's first market."""
    found = KucoinPractice(Exchange(LISTINGS, start_ms=NOW))
    for key, size in (("spot:BTC-USDT", D("0.1")), ("perp:BTC-USDT", D(100))):
        for side, price in ((Side.BUY, D(62_700)), (Side.SELL, D(62_900))):
            found.exchange.place("other", NewOrder(key=key, side=side, amount=size, price=price))
    return found


def ask(practice: KucoinPractice, method: str, path: str, body: Any = None, *, futures: bool = False) -> Any:
    """The envelope of a signed request, by the printed recipe."""

    def made(text: str) -> str:
        digest = hmac.new(practice.credentials["secret"].encode(), text.encode(), hashlib.sha256).digest()
        return base64.b64encode(digest).decode()

    raw = json.dumps(body) if body is not None else ""
    headers = {
        "kc-api-key": practice.credentials["key"],
        "kc-api-timestamp": str(NOW),
        "kc-api-sign": made(f"{NOW}{method}{path}{raw}"),
        "kc-api-passphrase": made(practice.credentials["passphrase"]),
        "kc-api-key-version": "3",
        "content-type": "application/json",
    }
    route, _, query = path.partition("?")
    host = "rest-futures" if futures else "rest"
    return json.loads(practice.http(HttpRequest(host, method, route, query, headers, raw.encode()), NOW).body)


def buy(practice: KucoinPractice, **terms: Any) -> Any:
    body = {"clientOid": "c1", "symbol": "BTC-USDT", "side": "buy", "type": "limit", "price": "62900", "size": "0.01"}
    return ask(practice, "POST", "/api/v1/hf/orders", body | terms)


def lots(practice: KucoinPractice, **terms: Any) -> Any:
    body = {"clientOid": "c1", "symbol": "XBTUSDTM", "side": "buy", "type": "limit", "price": "60000", "size": 1}
    body = {name: value for name, value in (body | terms).items() if value is not None}
    return ask(practice, "POST", "/api/v1/orders", body, futures=True)


def test_a_trade_has_the_same_number_everywhere(practice: KucoinPractice) -> None:
    """given a token and a match, then the stream, the history and the list of fills name it alike."""
    token = ask(practice, "POST", "/api/v1/bullet-public")["data"]["token"]
    socket: Any = practice.accept("ws", "/", f"token={token}&connectId=1", {}, NOW)
    socket.receive(json.dumps({"id": 1, "type": "subscribe", "topic": "/market/match:BTC-USDT", "response": True}), NOW)
    assert buy(practice)["code"] == "200000"
    (match,) = [row["data"] for row in map(json.loads, socket.out) if row.get("subject") == "trade.l3match"]
    newest = ask(practice, "GET", "/api/v1/market/histories?symbol=BTC-USDT")["data"][-1]
    (fill,) = ask(practice, "GET", "/api/v1/hf/fills?symbol=BTC-USDT")["data"]["items"]
    assert match["sequence"] == match["tradeId"] == newest["sequence"] == str(fill["tradeId"])


@pytest.mark.parametrize("path", ["/api/v1/hf/fills", "/api/v1/hf/orders/done"])
def test_lists_keep_to_their_window(practice: KucoinPractice, path: str) -> None:
    buy(practice)
    for window, count in (("", 1), (f"&startAt={NOW}&endAt={NOW}", 1), (f"&startAt={NOW - 9}&endAt={NOW - 5}", 0)):
        assert len(ask(practice, "GET", f"{path}?symbol=BTC-USDT{window}")["data"]["items"]) == count
    assert ask(practice, "GET", f"{path}?symbol=BTC-USDT&startAt={NOW + 1}")["data"]["items"] == []


def test_a_batch_of_more_than_five_is_refused_whole(practice: KucoinPractice) -> None:
    row = {"symbol": "BTC-USDT", "side": "buy", "type": "limit", "price": "60000", "size": "0.01"}
    batch = {"orderList": [{**row, "clientOid": f"c{number}"} for number in range(6)]}
    assert ask(practice, "POST", "/api/v1/hf/orders/multi", batch)["code"] == "400100"
    assert practice.exchange.open_orders("trader") == []


def test_margin_is_isolated_until_it_is_changed_and_an_order_must_name_the_contracts_own(
    practice: KucoinPractice,
) -> None:
    mode = "/api/v2/position/getMarginMode?symbol=XBTUSDTM"
    assert ask(practice, "GET", mode, futures=True)["data"]["marginMode"] == "ISOLATED"
    assert lots(practice, marginMode="CROSS")["code"] == "330005"
    assert lots(practice, leverage=3)["code"] == "200000"
    assert practice.exchange.leverage("trader", "perp:BTC-USDT") == 3
    ask(practice, "DELETE", "/api/v3/orders?symbol=XBTUSDTM", futures=True)
    change = {"symbol": "XBTUSDTM", "marginMode": "CROSS"}
    assert ask(practice, "POST", "/api/v2/position/changeMarginMode", change, futures=True)["code"] == "200000"
    assert lots(practice)["code"] == "330005"
    assert lots(practice, marginMode="CROSS", clientOid="c2")["code"] == "200000"


def test_a_dry_run_changes_no_leverage(practice: KucoinPractice) -> None:
    before = practice.exchange.leverage("trader", "perp:BTC-USDT")
    body = {"clientOid": "c1", "symbol": "XBTUSDTM", "side": "buy", "type": "limit", "price": "60000", "size": 1}
    answer = ask(practice, "POST", "/api/v1/orders/test", {**body, "leverage": before + 1}, futures=True)
    assert answer["code"] == "200000"
    assert practice.exchange.leverage("trader", "perp:BTC-USDT") == before


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"price": "1000000.1"}, "300011"),  # above the contract's maxPrice
        ({"leverage": "many"}, "100001"),
        ({"stop": "up"}, "100001"),  # without its price
        ({"type": "market", "price": None, "size": None, "closeOrder": True}, "300009"),  # nothing to close
    ],
)
def test_orders_for_contracts_are_refused_in_futures_words(
    practice: KucoinPractice, terms: dict[str, Any], code: str
) -> None:
    assert lots(practice, **terms)["code"] == code
    assert practice.exchange.open_orders("trader") == []
