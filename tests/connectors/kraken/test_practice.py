"""Kraken's own end does what its documentation prints, also what our connector never asks for: no request is left without a true answer."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from decimal import Decimal
from itertools import count
from typing import Any
from urllib.parse import urlencode

import pytest

from connectors.kraken.practice import KrakenPractice
from connectors.model import InstrumentStatus, Side
from connectors.practice.exchange import Exchange
from connectors.practice.protocol import Connection, HttpAnswer, HttpRequest
from connectors.practice.terms import NewOrder

NOW = 1_790_000_000_000
BTC = "spot:BTC-USD"
ORDER = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "volume": "0.001", "price": "60000"}
FRAME = {"order_type": "limit", "side": "buy", "symbol": "BTC/USD", "order_qty": 0.001, "limit_price": 60000.0}


class Client:
    """Signs by the printed recipe. `said` are the frames of the private socket since the last look."""

    def __init__(self, practice: KrakenPractice) -> None:
        self.practice = practice
        self.now = NOW
        self._nonce = count(NOW)
        self._numbers = count(1)
        self.token = self.private("GetWebSocketsToken")["result"]["token"]
        self.socket = self.connect("ws-auth")

    def connect(self, host: str) -> Connection:
        found = self.practice.accept(host, "/v2", "", {}, self.now)
        assert not isinstance(found, HttpAnswer)
        found.out.clear()
        return found

    def public(self, method: str, **query: str) -> Any:
        request = HttpRequest("rest", "GET", f"/0/public/{method}", urlencode(query), {}, b"")
        return json.loads(self.practice.http(request, self.now).body)

    def private(self, method: str, **fields: Any) -> Any:
        nonce = str(next(self._nonce))
        return self.signed(method, urlencode({"nonce": nonce, **fields}), nonce, "application/x-www-form-urlencoded")

    def as_json(self, method: str, **fields: Any) -> Any:
        nonce = str(next(self._nonce))
        return self.signed(method, json.dumps({"nonce": nonce, **fields}), nonce, "application/json")

    def signed(self, method: str, body: str, nonce: str, kind: str) -> Any:
        path, keys = f"/0/private/{method}", self.practice.credentials
        inner = hashlib.sha256((nonce + body).encode()).digest()
        mark = hmac.new(base64.b64decode(keys["secret"]), path.encode() + inner, hashlib.sha512).digest()
        headers = {"api-key": keys["key"], "api-sign": base64.b64encode(mark).decode(), "content-type": kind}
        return json.loads(
            self.practice.http(HttpRequest("rest", "POST", path, "", headers, body.encode()), self.now).body
        )

    def pass_time(self, seconds: float) -> None:
        self.now += int(seconds * 1000)
        self.practice.exchange.advance(self.now)
        self.practice.tick(self.now)
        for connection in list(self.practice.hub.connections):
            connection.tick(self.now)

    def say(self, socket: Connection, method: str, **params: Any) -> list[Any]:
        socket.receive(json.dumps({"method": method, "params": params, "req_id": next(self._numbers)}), self.now)
        return self.said(socket)

    def ask(self, method: str, **params: Any) -> list[Any]:
        """On the private socket, with the token."""
        return self.say(self.socket, method, **params, token=self.token)

    def said(self, socket: Connection) -> list[Any]:
        found = [json.loads(frame) for frame in socket.out]
        socket.out.clear()
        return found

    def open_orders(self, **query: str) -> list[Any]:
        return list(self.private("OpenOrders", **query)["result"]["open"].values())


@pytest.fixture
def client() -> Client:
    return Client(KrakenPractice(Exchange(KrakenPractice.listings, start_ms=NOW)))


def rows(frames: list[Any], channel: str) -> list[Any]:
    return [row for frame in frames if frame.get("channel") == channel for row in frame["data"]]


@pytest.mark.parametrize("body", ["[1]", "5", '"nonce"', "null"])
def test_a_signed_body_that_is_no_object_is_refused_in_words(client: Client, body: str) -> None:
    assert client.signed("Balance", body, "", "application/json") == {"error": ["EGeneral:Invalid arguments"]}


def test_a_channel_that_was_left_and_taken_again_tells_everything_once(client: Client) -> None:
    client.ask("subscribe", channel="executions")
    assert client.ask("unsubscribe", channel="executions")[0]["success"]
    assert not client.ask("unsubscribe", channel="executions")[0]["success"]
    client.ask("subscribe", channel="executions")
    told = rows(client.ask("add_order", **FRAME), "executions")
    assert [row["exec_type"] for row in told] == ["pending_new", "new"]


def test_balances_come_without_an_image_where_none_is_wanted(client: Client) -> None:
    (answer,) = client.ask("subscribe", channel="balances", snapshot=False)
    assert answer["result"] == {"channel": "balances", "snapshot": False}
    client.practice.exchange.deposit("trader", "USD", Decimal(5))
    (news,) = client.said(client.socket)
    assert (news["type"], news["sequence"], news["data"][0]["amount"]) == ("update", 1, 5)


def test_listening_to_instruments_alone_keeps_the_heart_beating_and_tells_modes(client: Client) -> None:
    socket = client.connect("ws")
    answer, image = client.say(socket, "subscribe", channel="instrument")
    assert answer["result"] == {"channel": "instrument", "snapshot": True}
    assert {row["status"] for row in image["data"]["pairs"]} == {"online"}
    client.pass_time(1)
    assert client.said(socket) == [{"channel": "heartbeat"}]
    client.practice.exchange.set_status(BTC, InstrumentStatus.CANCEL_ONLY)
    client.pass_time(0.1)
    (news,) = client.said(socket)
    assert (news["channel"], news["type"]) == ("instrument", "update")
    assert [(row["symbol"], row["status"]) for row in news["data"]["pairs"]] == [("BTC/USD", "cancel_only")]
    (left,) = client.say(socket, "unsubscribe", channel="instrument")
    assert left["success"]
    client.pass_time(5)
    assert client.said(socket) == []


def test_instruments_have_their_numbers_in_exponent_form(client: Client) -> None:
    socket = client.connect("ws")
    frame = json.dumps({"method": "subscribe", "params": {"channel": "instrument"}})
    socket.receive(frame, client.now)
    image = str(socket.out[1])
    assert '"qty_increment":1e-08' in image
    assert '"qty_min":5e-05' in image


@pytest.mark.parametrize("symbols", [None, [], "BTC/USD", 5])
def test_a_subscription_that_names_no_symbols_is_refused_once(client: Client, symbols: Any) -> None:
    named = {} if symbols is None else {"symbol": symbols}
    (answer,) = client.say(client.connect("ws"), "subscribe", channel="book", **named)
    assert (answer["success"], answer["req_id"]) == (False, 1)


def test_trades_can_be_read_forward_page_by_page_without_a_hole(client: Client) -> None:
    exchange = client.practice.exchange
    exchange.open_account("crowd")
    exchange.deposit("crowd", "USD", Decimal(1_000_000))
    exchange.deposit("crowd", "BTC", Decimal(10))
    for number in range(9):  # three by three in one millisecond
        exchange.advance(NOW + 1 + number // 3)
        for side in (Side.SELL, Side.BUY):
            account = "crowd" if side is Side.SELL else "trader"
            exchange.place(account, NewOrder(key=BTC, side=side, amount=Decimal("0.01"), price=Decimal(60000)))
    ids = [row.id for row in exchange.trades(BTC)][-9:]
    newest = client.public("Trades", pair="XBTUSD", count="4")["result"]
    assert [row[6] for row in newest["XXBTZUSD"]] == ids[-4:]
    found, since = [], str(NOW * 1_000_000)
    while page := (answer := client.public("Trades", pair="XBTUSD", count="2", since=since)["result"])["XXBTZUSD"]:
        found += [row[6] for row in page]
        since = answer["last"]
    assert found == ids


def test_other_classes_of_assets_are_not_listed(client: Client) -> None:
    assert client.public("AssetPairs", aclass_base="tokenized_asset") == {"error": [], "result": {}}
    assert "XXBTZUSD" in client.public("AssetPairs", aclass_base="currency")["result"]


def test_an_order_of_a_date_ends_when_that_is_over(client: Client) -> None:
    client.ask("subscribe", channel="executions")
    until = "2026-09-21T14:13:23Z"  # three seconds from now
    placed = client.ask("add_order", **FRAME, time_in_force="gtd", expire_time=until)
    assert rows(placed, "executions")[0]["time_in_force"] == "GTD"
    assert client.private("AddOrder", **ORDER, timeinforce="GTD", expiretm="+3")["error"] == []
    assert [row["expiretm"] for row in client.open_orders()] == [NOW // 1000 + 3] * 2
    client.said(client.socket)
    client.pass_time(3)
    ended = rows(client.said(client.socket), "executions")
    assert [(row["exec_type"], row["order_status"]) for row in ended] == [("expired", "expired")] * 2
    assert {row["status"] for row in client.private("ClosedOrders")["result"]["closed"].values()} == {"expired"}


@pytest.mark.parametrize("terms", [{}, {"expiretm": "0"}, {"expiretm": str(NOW // 1000)}, {"expiretm": "soon"}])
def test_a_date_that_is_missing_or_past_is_refused(client: Client, terms: dict[str, str]) -> None:
    answer = client.private("AddOrder", **ORDER, timeinforce="GTD", **terms)
    assert answer["error"] == ["EGeneral:Invalid arguments:expiretm"]


def test_a_group_of_orders_has_its_number_everywhere_and_is_cancelled_by_it(client: Client) -> None:
    client.ask("subscribe", channel="executions")
    placed = client.ask("add_order", **FRAME, order_userref=77)
    assert {row["order_userref"] for row in rows(placed, "executions")} == {77}
    assert placed[-1]["result"]["order_userref"] == 77
    client.private("AddOrder", **ORDER, userref="77")
    client.private("AddOrder", **ORDER)
    assert [row["userref"] for row in client.open_orders()] == [77, 77, None]
    assert len(client.open_orders(userref="77")) == 2
    assert client.private("CancelOrder", txid="77")["result"]["count"] == 2
    assert [row["userref"] for row in client.open_orders()] == [None]
    assert client.private("CancelOrder", txid="77")["error"] == ["EOrder:Unknown order"]


def test_a_new_price_takes_unless_it_is_told_again_that_it_must_not(client: Client) -> None:
    exchange = client.practice.exchange
    exchange.open_account("maker")
    exchange.deposit("maker", "BTC", Decimal(1))
    exchange.place("maker", NewOrder(key=BTC, side=Side.SELL, amount=Decimal(1), price=Decimal(61000)))
    (txid,) = client.private("AddOrder", **ORDER, oflags="post")["result"]["txid"]
    told = {"txid": txid, "limit_price": "61000"}
    assert client.private("AmendOrder", **told, post_only="true")["error"] == ["EOrder:Post only order"]
    assert [row["descr"]["price"] for row in client.open_orders()] == ["60000.0"]
    assert client.private("AmendOrder", txid=txid, order_qty="0.002")["error"] == []
    assert [row["oflags"] for row in client.open_orders()] == ["post,fciq"]
    assert client.private("AmendOrder", **told)["error"] == []
    (done,) = client.private("ClosedOrders", trades="true")["result"]["closed"].values()
    assert (done["status"], done["trades"]) == ("closed", list(client.private("TradesHistory")["result"]["trades"]))


def test_an_edited_order_has_a_new_id_and_a_refused_edit_leaves_the_old_one(client: Client) -> None:
    (txid,) = client.private("AddOrder", **ORDER)["result"]["txid"]
    assert client.private("EditOrder", txid=txid, price="58000.05")["error"] == ["EOrder:Tick size check failed"]
    assert client.private("EditOrder", txid=txid, price="58000", validate="true")["error"] == []
    assert [row["descr"]["price"] for row in client.open_orders()] == ["60000.0"]
    edited = client.private("EditOrder", txid=txid, price="58000")["result"]
    assert edited["originaltxid"] == txid != edited["txid"]
    (row,) = client.open_orders()
    assert (row["descr"]["price"], row["vol"]) == ("58000.0", "0.00100000")
    again = client.ask("edit_order", order_id=edited["txid"], symbol="BTC/USD", order_qty=0.002)[-1]["result"]
    assert again["original_order_id"] == edited["txid"] != again["order_id"]
    assert [row["vol"] for row in client.open_orders()] == ["0.00200000"]
    assert client.ask("edit_order", order_id=edited["txid"], order_qty=0.003)[-1]["error"] == "EOrder:Unknown order"


@pytest.mark.parametrize(
    "fields",
    [{"leverage": "2:1"}, {"reduce_only": "true"}, {"starttm": "+60"}, {"oflags": "fcib"}, {"stptype": "x"}],
)
def test_what_is_not_played_is_refused_rather_than_left_out(client: Client, fields: dict[str, str]) -> None:
    answer = client.private("AddOrder", **ORDER, **fields)
    assert answer["error"] == [f"EGeneral:Invalid arguments:{next(iter(fields))}"]
    assert client.open_orders() == []


@pytest.mark.parametrize(
    "fields", [{"limit_price_type": "pct"}, {"margin": True}, {"reduce_only": True}, {"fee_preference": "base"}]
)
def test_a_frame_that_asks_for_what_is_not_played_is_refused(client: Client, fields: dict[str, Any]) -> None:
    (answer,) = client.ask("add_order", **FRAME, **fields)
    assert answer["error"] == f"EGeneral:Invalid arguments:{next(iter(fields))}"


@pytest.mark.parametrize("symbol", ["XBT/USD", "XBTUSD", "XXBTZUSD"])
def test_orders_on_the_socket_know_the_names_of_v2_alone(client: Client, symbol: str) -> None:
    (answer,) = client.ask("add_order", **{**FRAME, "symbol": symbol})
    assert answer["error"] == "EQuery:Unknown asset pair"


@pytest.mark.parametrize("names", [{}, {"order_id": []}, {"order_id": "OAAAAA-BBBBB-CCCCCC"}])
def test_a_cancellation_without_a_list_of_names_has_one_answer(client: Client, names: dict[str, Any]) -> None:
    (answer,) = client.ask("cancel_order", **names)
    assert answer["error"] == "EGeneral:Invalid arguments"


def test_orders_in_a_bundle_are_two_to_fifteen_and_share_its_terms(client: Client) -> None:
    one = {name: value for name, value in FRAME.items() if name != "symbol"}
    bundle = [{**one, "cl_ord_id": "a"}, {**one, "cl_ord_id": "b", "limit_price": 60000.05}]
    for wrong in ([one], [one] * 16):
        assert not client.ask("batch_add", symbol="BTC/USD", orders=wrong)[-1]["success"]
    assert client.ask("batch_add", symbol="BTC/USD", orders=bundle, validate=True)[-1]["success"]
    assert client.open_orders() == []
    first, second = client.ask("batch_add", symbol="BTC/USD", orders=bundle)[-1]["result"]["orders"]
    assert (first["cl_ord_id"], first["success"]) == ("a", True)
    assert second == {"cl_ord_id": "b", "success": False, "error": "EOrder:Tick size check failed"}
    assert not client.ask("batch_cancel", orders=[])[-1]["success"]
    assert client.ask("batch_cancel", orders=[first["order_id"]])[-1]["orders_cancelled"] == 1


def test_a_ticker_by_best_prices_is_silent_while_only_amounts_change(client: Client) -> None:
    socket = client.connect("ws")
    client.practice.tick(client.now)
    client.say(socket, "subscribe", channel="ticker", symbol=["BTC/USD"], event_trigger="bbo")
    client.private("AddOrder", **ORDER)
    client.pass_time(0.1)
    assert [row["bid_qty"] for row in rows(client.said(socket), "ticker")] == [0.001]
    client.private("AddOrder", **ORDER)
    client.pass_time(0.1)
    assert rows(client.said(socket), "ticker") == []
