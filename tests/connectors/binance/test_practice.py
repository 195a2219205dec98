"""Binance's own end, asked as its documentation says, without our connector."""

from __future__ import annotations

import hashlib
import hmac
import json
import random
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest

from connectors.binance.practice import BinancePractice
from connectors.model import Side
from connectors.practice.exchange import Exchange
from connectors.practice.protocol import HttpAnswer, HttpRequest
from connectors.practice.terms import NewOrder

NOW = 1_790_000_000_000
D = Decimal
PERP, SPOT = "perp:BTC-USDT", "spot:BTC-USDT"
LIMIT = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "0.01",
    "price": "49000",
}


class Asker:
    """A client of the venue, and whoever makes its market."""

    def __init__(self) -> None:
        self.now = NOW
        self.exchange = Exchange(BinancePractice.listings, start_ms=NOW)
        self.practice = BinancePractice(self.exchange)
        for key in (SPOT, PERP):
            self.rest(key, Side.BUY, 49_990)
            self.rest(key, Side.SELL, 50_010)

    def rest(self, key: str, side: Side, price: int, size: str = "0.1") -> None:
        self.exchange.place("other", NewOrder(key=key, side=side, price=D(price), amount=D(size)))

    def sign(self, text: str) -> str:
        return hmac.new(self.practice.credentials["secret"].encode(), text.encode(), hashlib.sha256).hexdigest()

    def http(self, method: str, path: str, params: dict[str, Any] | None = None, *, signed: bool = True) -> HttpAnswer:
        asked = {**(params or {}), **({"timestamp": self.now} if signed else {})}
        text = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in asked.items())
        text += f"&signature={self.sign(text)}" if signed else ""
        body = text if method in ("POST", "PUT") else ""
        host = "fapi" if path.startswith("/fapi") else "rest"
        headers = {"x-mbx-apikey": self.practice.credentials["key"]}
        self.exchange.advance(self.now)
        return self.practice.http(
            HttpRequest(host, method, path, "" if body else text, headers, body.encode()), self.now
        )

    def ask(self, method: str, path: str, **params: Any) -> Any:
        """The body of a good answer."""
        answer = self.http(method, path, params)
        assert answer.status == 200, answer.body
        return json.loads(answer.body)

    def refused(self, method: str, path: str, **params: Any) -> tuple[int, int]:
        """(status, code) of a refusal."""
        answer = self.http(method, path, params)
        return answer.status, json.loads(answer.body)["code"]

    def order(self, **fields: Any) -> Any:
        return self.ask("POST", "/api/v3/order", **{**LIMIT, "newOrderRespType": "FULL", **fields})

    def socket(self, path: str, query: str = "") -> Any:
        host = {"w": "ws-api", "p": "fstream", "m": "fstream"}.get(path[1], "stream")
        host = "ws-fapi" if path.startswith("/ws-fapi") else "stream" if path.startswith("/ws/") else host
        connection = self.practice.accept(host, path, query, {}, self.now)
        assert not isinstance(connection, HttpAnswer)
        return connection

    def private(self) -> Any:
        """USD-M's account socket."""
        key = json.loads(self.http("POST", "/fapi/v1/listenKey", signed=False).body)["listenKey"]
        return self.socket("/private/ws", f"listenKey={key}")

    def over(self, socket: Any, method: str, **params: Any) -> Any:
        """The answer to a signed request over a socket, and what came before it."""
        asked = {**params, "apiKey": self.practice.credentials["key"], "timestamp": self.now}
        asked["signature"] = self.sign("&".join(f"{name}={asked[name]}" for name in sorted(asked)))
        socket.receive(json.dumps({"id": "1", "method": method, "params": asked}), self.now)
        *news, answer = heard(socket)
        return answer, news


def heard(socket: Any) -> list[Any]:
    frames, socket.out = [json.loads(frame) for frame in socket.out], []
    return frames


@pytest.fixture
def asker() -> Asker:
    return Asker()


# orders of spot


def test_a_fill_or_kill_order_that_cannot_fill_expires(asker: Asker) -> None:
    row = asker.order(timeInForce="FOK", quantity="5", price="50010")
    assert (row["status"], row["executedQty"]) == ("EXPIRED", "0.00000000")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"timeInForce": "GTX"}, -1115),
        ({"timeInForce": ""}, -1102),
        ({"price": "1000001"}, -1013),
        ({"price": "1e3"}, -1100),
        ({"newClientOrderId": "not this"}, -1100),
        ({"stopPrice": "48000"}, -1106),
        ({"quoteOrderQty": "100"}, -1106),
        ({"type": "MARKET", "timeInForce": ""}, -1106),
        ({"type": "MARKET", "timeInForce": "", "price": "", "quoteOrderQty": "100"}, -1128),
    ],
)
def test_an_order_that_spot_does_not_know_is_refused(asker: Asker, fields: dict[str, str], code: int) -> None:
    assert asker.refused("POST", "/api/v3/order", **{**LIMIT, **fields}) == (400, code)


def test_a_cancel_may_be_restricted(asker: Asker) -> None:
    order = {"symbol": "BTCUSDT", "orderId": asker.order()["orderId"]}
    only = {**order, "cancelRestrictions": "ONLY_PARTIALLY_FILLED"}
    assert asker.refused("DELETE", "/api/v3/order", **only) == (400, -2011)
    assert asker.ask("DELETE", "/api/v3/order", **order, cancelRestrictions="ONLY_NEW")["status"] == "CANCELED"


@pytest.mark.parametrize(
    ("mode", "known", "quantity", "status", "code", "results"),
    [
        ("STOP_ON_FAILURE", True, "0.01", 200, 0, ("SUCCESS", "SUCCESS")),
        ("STOP_ON_FAILURE", True, "900", 409, -2021, ("SUCCESS", "FAILURE")),
        ("STOP_ON_FAILURE", False, "0.01", 400, -2022, ("FAILURE", "NOT_ATTEMPTED")),
        ("ALLOW_FAILURE", False, "0.01", 409, -2021, ("FAILURE", "SUCCESS")),
        ("ALLOW_FAILURE", False, "900", 400, -2022, ("FAILURE", "FAILURE")),
    ],
)
def test_cancel_and_replace_tells_what_became_of_each_half(
    asker: Asker, mode: str, known: bool, quantity: str, status: int, code: int, results: tuple[str, str]
) -> None:
    old = asker.order()["orderId"] if known else 1
    fields = {**LIMIT, "quantity": quantity, "cancelOrderId": old, "cancelReplaceMode": mode}
    answer = asker.http("POST", "/api/v3/order/cancelReplace", fields)
    body = json.loads(answer.body)
    assert (answer.status, body.get("code", 0)) == (status, code)
    halves = body.get("data", body)
    assert (halves["cancelResult"], halves["newOrderResult"]) == results
    standing = [row for row in asker.exchange.open_orders("trader") if row.key == SPOT]
    assert len(standing) == (results[1] == "SUCCESS")


def test_the_events_name_the_cancel_and_the_order(asker: Asker) -> None:
    socket = asker.socket("/ws-api/v3")
    asker.over(socket, "userDataStream.subscribe.signature")
    placed, _ = asker.over(socket, "order.place", **LIMIT, newClientOrderId="first")
    number = placed["result"]["orderId"]
    _, news = asker.over(
        socket, "order.amend.keepPriority", symbol="BTCUSDT", orderId=number, newQty="0.005", newClientOrderId="second"
    )
    (amended,) = [row["event"] for row in news if row["event"]["e"] == "executionReport"]
    assert (amended["x"], amended["c"], amended["C"]) == ("REPLACED", "second", "first")
    ended, news = asker.over(socket, "order.cancel", symbol="BTCUSDT", orderId=number, newClientOrderId="away")
    (cancelled,) = [row["event"] for row in news if row["event"]["e"] == "executionReport"]
    assert (cancelled["x"], cancelled["c"], cancelled["C"]) == ("CANCELED", "away", "second")
    assert (ended["result"]["clientOrderId"], ended["result"]["origClientOrderId"]) == ("away", "second")


def test_an_order_that_meets_its_own_account_ends_the_one_that_rests(asker: Asker) -> None:
    resting = asker.order(side="SELL", price="50005")
    taking = asker.order(price="50005")
    assert taking["status"] == "NEW"
    row = asker.ask("GET", "/api/v3/order", symbol="BTCUSDT", orderId=resting["orderId"])
    assert (row["status"], row["selfTradePreventionMode"]) == ("EXPIRED_IN_MATCH", "EXPIRE_MAKER")


# limits


@pytest.mark.parametrize(
    ("path", "params", "weight"),
    [
        ("/api/v3/depth", {"symbol": "BTCUSDT", "limit": 100}, 5),
        ("/api/v3/depth", {"symbol": "BTCUSDT", "limit": 1000}, 50),
        ("/api/v3/depth", {"symbol": "BTCUSDT", "limit": 5000}, 250),
        ("/api/v3/ticker/24hr", {"symbol": "BTCUSDT"}, 2),
        ("/api/v3/ticker/24hr", {}, 80),
        ("/fapi/v1/depth", {"symbol": "BTCUSDT", "limit": 50}, 2),
        ("/fapi/v1/depth", {"symbol": "BTCUSDT", "limit": 1000}, 20),
        ("/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "1m", "limit": 99}, 1),
        ("/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "1m", "limit": 1500}, 10),
        ("/fapi/v1/ticker/24hr", {}, 40),
    ],
)
def test_what_is_asked_has_the_documented_weight(asker: Asker, path: str, params: dict[str, Any], weight: int) -> None:
    answer = asker.http("GET", path, params, signed=False)
    assert answer.status == 200
    assert int(answer.headers["X-MBX-USED-WEIGHT-1M"]) == weight


def test_who_asks_too_much_is_told_when_to_come_again_and_who_goes_on_is_banned(asker: Asker) -> None:
    statuses = [asker.http("GET", "/api/v3/ticker/24hr", signed=False) for _ in range(120)]
    by_status = {answer.status: answer for answer in statuses}
    assert [answer.status for answer in statuses[:75]] == [200] * 75
    assert statuses[75].status == 429
    assert statuses[-1].status == 418
    assert 1 <= int(by_status[429].headers["Retry-After"]) <= 60
    assert int(by_status[418].headers["Retry-After"]) == 120
    assert json.loads(by_status[418].body)["code"] == -1003
    asker.now += 119_000
    assert asker.http("GET", "/api/v3/time", signed=False).status == 418
    asker.now += 1_000
    assert asker.http("GET", "/api/v3/time", signed=False).status == 200


def test_an_order_over_the_limit_is_refused_before_it_is_taken(asker: Asker) -> None:
    socket = asker.socket("/ws-api/v3")
    for _ in range(75):
        asker.http("GET", "/api/v3/ticker/24hr", signed=False)
    answer, _ = asker.over(socket, "order.place", **LIMIT)
    assert (answer["status"], answer["error"]["code"]) == (429, -1003)
    assert answer["error"]["data"]["retryAfter"] > answer["error"]["data"]["serverTime"] == NOW
    assert [row for row in asker.exchange.open_orders("trader") if row.key == SPOT] == []


def test_orders_are_counted_until_they_fill(asker: Asker) -> None:
    first = asker.http("POST", "/api/v3/order", LIMIT)
    assert (first.headers["X-MBX-ORDER-COUNT-10S"], first.headers["X-MBX-ORDER-COUNT-1D"]) == ("1", "1")
    filled = asker.http("POST", "/api/v3/order", {**LIMIT, "price": "50010"})
    assert (filled.headers["X-MBX-ORDER-COUNT-10S"], filled.headers["X-MBX-ORDER-COUNT-1D"]) == ("1", "2")
    for _ in range(99):
        assert asker.http("POST", "/api/v3/order", LIMIT).status == 200
    assert asker.refused("POST", "/api/v3/order", **LIMIT) == (429, -1015)
    asker.now += 10_000
    assert asker.http("POST", "/api/v3/order", LIMIT).status == 200


def test_limits_stand_with_the_answers_of_a_socket_unless_they_are_not_wanted(asker: Asker) -> None:
    told, _ = asker.over(asker.socket("/ws-fapi/v1"), "order.place", **LIMIT)
    limits = {(row["rateLimitType"], row["interval"]): (row["limit"], row["count"]) for row in told["rateLimits"]}
    assert limits[("ORDERS", "SECOND")] == (300, 1)
    assert limits[("ORDERS", "MINUTE")] == (1200, 1)
    assert limits[("REQUEST_WEIGHT", "MINUTE")] == (2400, 0)
    silent, _ = asker.over(asker.socket("/ws-api/v3", "returnRateLimits=false"), "account.status")
    assert "rateLimits" not in silent


# USD-M


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"newClientOrderId": "not this"}, -4015),
        ({"price": "1000001"}, -4002),
        ({"price": "0"}, -4001),
        ({"timeInForce": "GTD"}, -1115),
        ({"type": "STOP_MARKET", "stopPrice": "51000"}, -4120),
        ({"positionSide": "LONG"}, -4061),
    ],
)
def test_an_order_that_usdm_does_not_know_is_refused(asker: Asker, fields: dict[str, str], code: int) -> None:
    assert asker.refused("POST", "/fapi/v1/order", **{**LIMIT, **fields}) == (400, code)


@pytest.mark.parametrize("price", ["abc", "NaN", "-1", "1e5"])
def test_a_change_to_no_number_is_refused(asker: Asker, price: str) -> None:
    number = asker.ask("POST", "/fapi/v1/order", **LIMIT)["orderId"]
    fields = {"symbol": "BTCUSDT", "orderId": number, "side": "BUY", "quantity": "0.02", "price": price}
    assert asker.refused("PUT", "/fapi/v1/order", **fields) == (400, -1100)


@pytest.mark.parametrize("batch", ['{"a":1}', "[1]", "[]", "x", "[" * 1000])
def test_a_batch_that_is_none_is_refused(asker: Asker, batch: str) -> None:
    for method in ("POST", "PUT"):
        assert asker.http(method, "/fapi/v1/batchOrders", {"batchOrders": batch}).status == 400


def test_a_batch_is_placed_changed_and_cancelled_one_by_one(asker: Asker) -> None:
    good, bad = asker.ask("POST", "/fapi/v1/batchOrders", batchOrders=json.dumps([LIMIT, {**LIMIT, "price": "0"}]))
    assert (good["status"], bad["code"]) == ("NEW", -4001)
    change = {"symbol": "BTCUSDT", "orderId": good["orderId"], "side": "BUY", "quantity": "0.02", "price": "49000"}
    (changed,) = asker.ask("PUT", "/fapi/v1/batchOrders", batchOrders=json.dumps([change]))
    assert (changed["origQty"], changed["orderId"]) == ("0.020", good["orderId"])
    gone, unknown = asker.ask("DELETE", "/fapi/v1/batchOrders", symbol="BTCUSDT", orderIdList=f"[{good['orderId']},1]")
    assert (gone["status"], unknown["code"]) == ("CANCELED", -2011)


def test_a_conditional_order_becomes_another_with_an_id_of_its_own(asker: Asker) -> None:
    socket = asker.private()
    stop = {"symbol": "BTCUSDT", "side": "BUY", "type": "STOP", "algoType": "CONDITIONAL", "quantity": "0.01"}
    asker.ask("POST", "/fapi/v1/order", **{**LIMIT, "price": "50010", "quantity": "0.1"})
    asker.rest(PERP, Side.SELL, 50_020)
    placed = asker.ask("POST", "/fapi/v1/algoOrder", **stop, price="49000", triggerPrice="50020", clientAlgoId="mine")
    assert (placed["algoStatus"], placed["actualOrderId"]) == ("NEW", "")
    heard(socket)
    asker.ask("POST", "/fapi/v1/order", **{**LIMIT, "price": "50020"})  # a trade at the trigger
    asker.now += 1
    asker.exchange.advance(asker.now)
    news = [row for row in heard(socket) if row["e"] == "ALGO_UPDATE"]
    assert [(row["o"]["X"], bool(row["o"]["ai"])) for row in news] == [("TRIGGERING", False), ("TRIGGERED", True)]
    child = int(news[1]["o"]["ai"])
    assert child != placed["algoId"] == news[1]["o"]["aid"]
    row = asker.ask("GET", "/fapi/v1/order", symbol="BTCUSDT", orderId=child)
    assert (row["status"], row["clientOrderId"], row["type"], row["origType"]) == ("NEW", "mine", "LIMIT", "STOP")
    assert asker.refused("DELETE", "/fapi/v1/algoOrder", algoId=placed["algoId"]) == (400, -2011)
    assert asker.ask("DELETE", "/fapi/v1/order", symbol="BTCUSDT", orderId=child)["status"] == "CANCELED"


def test_a_wallet_is_told_when_it_changes_and_not_when_an_order_holds_some_of_it(asker: Asker) -> None:
    socket = asker.private()
    asker.ask("POST", "/fapi/v1/order", **LIMIT)
    assert [row["e"] for row in heard(socket)] == ["ORDER_TRADE_UPDATE"]
    asker.ask("POST", "/fapi/v1/order", **{**LIMIT, "price": "50010"})
    wallets = [row["a"]["B"] for row in heard(socket) if row["e"] == "ACCOUNT_UPDATE" and row["a"]["B"]]
    assert [row[0]["a"] for row in wallets] == ["USDT"]


def test_listen_keys_are_made_by_socket_too_and_nothing_is_subscribed_there(asker: Asker) -> None:
    socket = asker.socket("/ws-fapi/v1")
    made, _ = asker.over(socket, "userDataStream.start")
    assert (
        asker.http("POST", "/fapi/v1/listenKey", signed=False).body
        == json.dumps(made["result"]).replace(" ", "").encode()
    )
    refused, _ = asker.over(socket, "userDataStream.subscribe.signature")
    assert refused["status"] == 400


VALUES = (
    "", "0", "-1", "1", "x", "1e5", "NaN", "9" * 30, "[]", "{}", "null", "[1]", "BUY", "LIMIT", "MARKET", "STOP", "GTX",
    "0.01", "50010", "1M", "1s", "CONDITIONAL", "é%", "x" * 40, "ALLOW_FAILURE", "ETHUSDT",
)  # fmt: skip
FIELDS = (
    "symbol", "side", "type", "timeInForce", "quantity", "price", "stopPrice", "triggerPrice", "quoteOrderQty", "orderId",
    "newClientOrderId", "origClientOrderId", "algoId", "clientAlgoId", "limit", "interval", "startTime", "fromId", "symbols",
    "leverage", "countdownTime", "batchOrders", "orderIdList", "newQty", "cancelReplaceMode", "cancelOrderId", "recvWindow",
)  # fmt: skip


def test_whatever_is_asked_with_a_good_signature_is_answered(asker: Asker) -> None:
    asker.practice.limited = False
    chance = random.Random(7)
    places = [*asker.practice.spot.routes, *asker.practice.usdm.routes]
    sockets = {path: asker.socket(path) for path in ("/ws-api/v3", "/ws-fapi/v1")}
    methods = {"/ws-api/v3": asker.practice.spot.api_methods(), "/ws-fapi/v1": asker.practice.usdm.api_methods()}
    for _ in range(3000):
        fields: dict[str, Any] = dict(LIMIT) if chance.random() < 0.6 else {"interval": "1m"}
        for _ in range(chance.randint(0, 4)):
            fields[chance.choice(FIELDS)] = chance.choice(VALUES)
        answer = asker.http(*chance.choice(places), fields)
        assert answer.status < 500
        assert isinstance(json.loads(answer.body), dict | list)
        path = chance.choice(list(sockets))
        told, _ = asker.over(sockets[path], chance.choice(list(methods[path])), **fields)
        assert told["id"] == "1"
        assert ("result" in told) is (told["status"] == 200)


# candles


@pytest.mark.parametrize("limit", ["0", "-1", "x"])
@pytest.mark.parametrize("path", ["/api/v3/klines", "/fapi/v1/klines", "/api/v3/depth", "/api/v3/trades"])
def test_rows_that_are_none_are_not_asked_for(asker: Asker, path: str, limit: str) -> None:
    fields = {"symbol": "BTCUSDT", "interval": "1m", "limit": limit}
    assert asker.http("GET", path, fields, signed=False).status == 400


def test_a_bar_that_is_over_is_told_before_the_next_one(asker: Asker) -> None:
    asker.order(price="50010")
    socket = asker.socket("/ws/btcusdt@kline_1m")
    asker.now = NOW // 60_000 * 60_000 + 59_000
    told = []
    for _ in range(3):
        asker.exchange.advance(asker.now)
        asker.practice.tick(asker.now)
        told += heard(socket)
        asker.now += 2_000
    bars = [(row["k"]["t"], row["k"]["x"]) for row in told]
    start = NOW // 60_000 * 60_000
    assert bars == [(start, False), (start, True), (start + 60_000, False), (start + 60_000, False)]


def test_seconds_are_seconds_and_months_are_of_the_calendar(asker: Asker) -> None:
    asker.now += 5_000
    asker.exchange.advance(asker.now)
    asker.ask("POST", "/api/v3/order", **{**LIMIT, "price": "50010"})
    asker.now += 2_000

    def bars(interval: str) -> Any:
        answer = asker.http("GET", "/api/v3/klines", {"symbol": "BTCUSDT", "interval": interval}, signed=False)
        return json.loads(answer.body)

    *_, traded, quiet, running = bars("1s")
    assert [row[6] - row[0] for row in (traded, quiet)] == [999, 999]
    assert quiet[0] - traded[0] == running[0] - quiet[0] == 1000
    assert (traded[5], traded[8]) == ("0.01000000", 1)
    assert (quiet[5], quiet[1], quiet[4]) == ("0.00000000", traded[4], traded[4])
    (*_, month) = bars("1M")
    assert (month[0], month[6]) == (1_788_220_800_000, 1_790_812_799_999)  # all of September 2026
    assert month[5] == traded[5]
