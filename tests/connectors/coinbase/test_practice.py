"""Coinbase's own end keeps the rules that its documentation prints: tokens, limits, refusals, sockets that must speak and be spoken to."""

from __future__ import annotations

import base64
import json
from decimal import Decimal
from typing import Any

import jwt
import msgspec
import pytest

from connectors.catalogue import load
from connectors.coinbase.practice import BASE, LISTINGS, TWINS, CoinbasePractice
from connectors.coinbase.practice_words import number_of, uuid_of
from connectors.model import OrderKind, Side
from connectors.practice.exchange import Exchange
from connectors.practice.protocol import HttpAnswer, HttpRequest
from connectors.practice.terms import NewOrder, Wallet

NOW = 1_790_000_000_000
HOST = "api.coinbase.com"


@pytest.fixture
def practice() -> CoinbasePractice:
    return CoinbasePractice(Exchange((*LISTINGS, *TWINS), start_ms=NOW))


def token(practice: CoinbasePractice, method: str = "GET", path: str = "", **changes: Any) -> str:
    """Made with PyJWT from the printed recipe."""
    key = changes.pop("key", practice.credentials["key"])
    claims = {"sub": key, "iss": "cdp", "nbf": NOW // 1000, "exp": NOW // 1000 + 120}
    if path:
        claims["uri"] = f"{method} {changes.pop('host', HOST)}{BASE}{path}"
    head = {"kid": key, "nonce": "ab" * 32}
    return jwt.encode({**claims, **changes}, practice.credentials["secret"], algorithm="ES256", headers=head)


def ask(
    practice: CoinbasePractice,
    method: str,
    path: str,
    body: Any = None,
    query: str = "",
    now: int = NOW,
    **changes: Any,
) -> HttpAnswer:
    headers = {"host": HOST, "authorization": f"Bearer {token(practice, method, path, **changes)}"}
    raw = json.dumps(body).encode() if body is not None else b""
    return practice.http(HttpRequest("rest", method, BASE + path, query, headers, raw), now)


def order(client_id: str = "c1", **terms: Any) -> dict[str, Any]:
    fields = {"base_size": "0.01", "limit_price": "60000", **terms}
    return {
        "client_order_id": client_id, "product_id": "BTC-USD", "side": "BUY",
        "order_configuration": {"limit_limit_gtc": fields},
    }  # fmt: skip


def test_every_address_of_the_venue_leads_somewhere(practice: CoinbasePractice) -> None:
    for endpoint in load("coinbase").families[0].endpoints:
        assert endpoint.url in practice.hosts
    assert {"https://api.coinbase.com", "https://api-sandbox.coinbase.com/api/v3/brokerage"} <= practice.hosts.keys()
    gone = practice.http(HttpRequest("exchange", "GET", "/products", "", {}, b""), NOW)
    assert gone.status == 404  # the institutional API is not played
    canned = practice.http(HttpRequest("sandbox", "GET", f"{BASE}/accounts", "", {}, b""), NOW)
    assert (canned.status, json.loads(canned.body)["accounts"]) == (200, [])
    picked = practice.http(HttpRequest("sandbox", "GET", f"{BASE}/accounts", "", {"x-sandbox": "error"}, b""), NOW)
    assert picked.status == 400


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 200),
        ({"host": "localhost"}, 401),
        ({"uri": f"GET {HOST}{BASE}/orders"}, 401),
        ({"exp": NOW // 1000 - 1}, 401),
        ({"nbf": NOW // 1000 + 30}, 401),
        ({"iss": "somebody"}, 401),
        ({"sub": "another"}, 401),
        ({"key": "nobody"}, 401),
    ],
)
def test_a_token_is_for_one_address_one_time_and_one_key(
    practice: CoinbasePractice, changes: dict[str, Any], status: int
) -> None:
    answer = ask(practice, "GET", "/key_permissions", **changes)
    assert answer.status == status
    if status == 401:
        assert answer.body == b"Unauthorized\n"


def test_a_signature_of_somebody_else_is_refused(practice: CoinbasePractice) -> None:
    head, claims, signature = token(practice, "GET", "/accounts").split(".")
    raw = bytearray(base64.urlsafe_b64decode(signature + "=="))
    raw[5] ^= 1
    forged = f"{head}.{claims}.{base64.urlsafe_b64encode(bytes(raw)).rstrip(b'=').decode()}"
    headers = {"host": HOST, "authorization": f"Bearer {forged}"}
    assert practice.http(HttpRequest("rest", "GET", f"{BASE}/accounts", "", headers, b""), NOW).status == 401


def test_other_clients_claims_are_taken_too(practice: CoinbasePractice) -> None:
    answer = ask(practice, "GET", "/accounts", iss="coinbase-cloud", aud=["retail_rest_api_proxy"], iat=NOW // 1000)
    assert answer.status == 200
    several = token(practice, uris=[f"GET {HOST}{BASE}/accounts"])
    headers = {"host": HOST, "authorization": f"Bearer {several}"}
    assert practice.http(HttpRequest("rest", "GET", f"{BASE}/accounts", "", headers, b""), NOW).status == 200


def test_an_order_is_refused_with_a_200_and_an_id_answers_twice_alike(practice: CoinbasePractice) -> None:
    first = ask(practice, "POST", "/orders", order())
    again = ask(practice, "POST", "/orders", order(limit_price="1"))
    assert json.loads(first.body)["success"] is True
    assert first.body == again.body
    assert len(practice.exchange.open_orders("trader")) == 1
    for terms, word in (
        ({"limit_price": "60000.001"}, "INVALID_PRICE_PRECISION"),
        ({"base_size": "0.000001"}, "PREVIEW_INVALID_QUOTE_SIZE_TOO_SMALL"),
        ({"base_size": "1.000000001"}, "INVALID_SIZE_PRECISION"),
        ({"base_size": "3000"}, "PREVIEW_INSUFFICIENT_FUND"),
    ):
        refused = ask(practice, "POST", "/orders", order("c2", **terms))
        body = json.loads(refused.body)
        assert (refused.status, body["success"]) == (200, False)
        assert word in body["error_response"].values()
    assert ask(practice, "POST", "/orders", {**order(), "client_order_id": ""}).status == 400
    assert ask(practice, "POST", "/orders", order("c3", limit_price="1E4")).status == 400


def test_requests_beyond_the_limit_are_refused_and_told(practice: CoinbasePractice) -> None:
    answers = [ask(practice, "GET", "/key_permissions") for _ in range(31)]
    assert [answer.status for answer in answers] == [200] * 30 + [429]
    told = [[answer.headers[f"x-ratelimit-{name}"] for name in ("limit", "remaining")] for answer in answers]
    assert told == [["30", str(left)] for left in (*range(29, -1, -1), 0)]
    assert json.loads(answers[-1].body)["errors"][0]["id"] == "rate_limit_exceeded"
    assert ask(practice, "GET", "/key_permissions", now=NOW + 1000).status == 200


def test_lists_have_pages_and_open_stands_alone(practice: CoinbasePractice) -> None:
    for number in range(7):
        ask(practice, "POST", "/orders", order(f"c{number}"))
    first = json.loads(ask(practice, "GET", "/orders/historical/batch", query="order_status=OPEN&limit=5").body)
    assert (len(first["orders"]), first["has_next"]) == (5, True)
    rest = ask(practice, "GET", "/orders/historical/batch", query=f"order_status=OPEN&limit=5&cursor={first['cursor']}")
    assert [row["client_order_id"] for row in json.loads(rest.body)["orders"]] == ["c1", "c0"]  # newest first
    assert ask(practice, "GET", "/orders/historical/batch", query="order_status=OPEN&order_status=FILLED").status == 400


def trade(practice: CoinbasePractice, price: str) -> None:
    """One between the two accounts."""
    for account, side in (("trader", Side.SELL), ("other", Side.BUY)):
        key = practice.listing("BTC-USD").key
        practice.exchange.place(
            account,
            NewOrder(key=key, side=side, kind=OrderKind.LIMIT, amount=Decimal("0.1"), price=Decimal(price)),
        )


def public(practice: CoinbasePractice, path: str, query: str = "", now: int = NOW) -> Any:
    return json.loads(practice.http(HttpRequest("rest", "GET", f"{BASE}/market{path}", query, {}, b""), now).body)


def test_a_window_of_trades_is_cut_before_its_count(practice: CoinbasePractice) -> None:
    start = NOW // 1000
    for second, price in enumerate(("60001", "60002", "60003")):
        practice.exchange.advance(NOW + 1000 * second)
        trade(practice, price)
    found = public(practice, "/products/BTC-USD/ticker", f"limit=1&start={start}&end={start + 1}")["trades"]
    assert [row["price"] for row in found] == ["60002"]  # the newest of the window, not of all
    found = public(practice, "/products/BTC-USD/ticker", "limit=2")["trades"]
    assert [row["price"] for row in found] == ["60003", "60002"]


def test_a_book_can_be_asked_for_in_coarser_steps(practice: CoinbasePractice) -> None:
    key = practice.listing("BTC-USD").key
    for side, prices in ((Side.BUY, ("59999.99", "59991", "59990", "59989.5")), (Side.SELL, ("60000", "60000.01"))):
        for price in prices:
            practice.exchange.place(
                "trader",
                NewOrder(key=key, side=side, kind=OrderKind.LIMIT, amount=Decimal("0.1"), price=Decimal(price)),
            )
    query = "product_id=BTC-USD&aggregation_price_increment=10"
    book = public(practice, "/product_book", query)["pricebook"]
    assert [(row["price"], row["size"]) for row in book["bids"]] == [("59990", "0.3"), ("59980", "0.1")]
    assert [(row["price"], row["size"]) for row in book["asks"]] == [("60000", "0.1"), ("60010", "0.1")]
    assert len(public(practice, "/product_book", f"{query}&limit=1")["pricebook"]["bids"]) == 1
    assert public(practice, "/product_book", "product_id=BTC-USD&limit=1")["pricebook"]["bids"][0]["size"] == "0.1"
    odd = public(practice, "/product_book", "product_id=BTC-USD&aggregation_price_increment=ten")
    assert odd["error"] == "INVALID_ARGUMENT"


def test_an_amount_of_money_has_the_step_of_the_quote(practice: CoinbasePractice) -> None:
    for size, word in (("10.001", "INVALID_SIZE_PRECISION"), ("10.01", "")):
        body = {**order(f"c{size}"), "order_configuration": {"market_market_ioc": {"quote_size": size}}}
        answer = json.loads(ask(practice, "POST", "/orders", body).body)
        assert answer.get("error_response", {}).get("error", "") == word


def test_ids_look_like_the_venues_and_lead_back() -> None:
    assert number_of(uuid_of(987654321)) == 987654321
    assert len(uuid_of(1)) == 36


# ---------------------------------------------------------------------------------------------------------------------
# Sockets


def opened(practice: CoinbasePractice, host: str = "ws") -> Any:
    stream: Any = practice.accept(host, "/", "", {}, NOW)
    stream.tick(NOW)
    return stream


def say(stream: Any, channel: str, *products: str, kind: str = "subscribe", now: int = NOW, **rest: Any) -> list[Any]:
    frame = {"type": kind, "channel": channel, "product_ids": list(products), **rest}
    stream.receive(json.dumps(frame), now)
    return heard(stream)


def heard(stream: Any) -> list[Any]:
    frames, stream.out = stream.out, []
    return [msgspec.json.decode(frame) for frame in frames]


def test_the_image_comes_before_the_acknowledgement_and_one_count_goes_over_all(practice: CoinbasePractice) -> None:
    stream = opened(practice)
    book, first = say(stream, "level2", "BTC-USD", "ETH-USD")[1:]
    assert (book["channel"], first["channel"]) == ("l2_data", "subscriptions")
    beat = say(stream, "heartbeats")
    assert beat[-1]["events"] == [{"subscriptions": {"heartbeats": ["heartbeats"], "level2": ["BTC-USD", "ETH-USD"]}}]
    practice.exchange.advance(NOW + 1100)
    practice.exchange.place(
        "trader", NewOrder(key="spot:BTC-USD", side=Side.BUY, price=Decimal(60000), amount=Decimal(1))
    )
    practice.tick(NOW + 1100)
    stream.tick(NOW + 1100)
    later = heard(stream)
    assert {message["channel"] for message in later} == {"l2_data", "heartbeats"}
    numbers = [message["sequence_num"] for message in [book, first, *beat, *later]]
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_twin_is_served_under_the_main_products_name(practice: CoinbasePractice) -> None:
    (book, acknowledged) = say(opened(practice), "level2", "BTC-USDC")
    assert book["events"][0]["product_id"] == "BTC-USD"
    assert acknowledged["events"][0]["subscriptions"] == {"level2": ["BTC-USDC"]}


def test_whoever_says_nothing_is_cut_off_after_five_seconds(practice: CoinbasePractice) -> None:
    mute, quiet = opened(practice), opened(practice)
    say(quiet, "candles", "BTC-USD")
    quiet._due["candles"] = NOW + 10**9  # nothing happens there
    for stream in (mute, quiet):
        stream.tick(NOW + 5100)
    assert (mute.closing, quiet.closing) == (1000, None)
    quiet.tick(NOW + 90_000)
    assert quiet.closing == 1000  # a channel without data


@pytest.mark.parametrize("channel", ["levle2", "user"])
def test_the_words_of_a_refusal_prove_nothing(practice: CoinbasePractice, channel: str) -> None:
    assert say(opened(practice), channel, "BTC-USD") == [{"type": "error", "message": "authentication failure"}]


def test_what_is_private_needs_a_token_and_comes_in_batches_of_fifty(practice: CoinbasePractice) -> None:
    for number in range(50):
        practice.exchange.place(
            "trader",
            NewOrder(
                key="spot:BTC-USD", side=Side.BUY, price=Decimal(50000), amount=Decimal("0.001"), client_id=f"c{number}"
            ),
        )
    stream = opened(practice, "ws-user")
    assert say(stream, "user", jwt=token(practice, exp=NOW // 1000 - 5))[0]["type"] == "error"
    full, last, _ = say(stream, "user", jwt=token(practice))
    assert [len(message["events"][0]["orders"]) for message in (full, last)] == [50, 0]
    assert say(stream, "user", jwt=token(practice))[0]["type"] == "error"  # one a connection


def test_more_frames_than_the_venue_takes_close_the_socket(practice: CoinbasePractice) -> None:
    stream = opened(practice)
    for _ in range(9):
        say(stream, "ticker", "BTC-USD")
    assert stream.closing == 1008


def test_more_connections_than_the_venue_takes_are_refused(practice: CoinbasePractice) -> None:
    found = [practice.accept("ws", "/", "", {}, NOW) for _ in range(9)]
    assert [type(each) is HttpAnswer for each in found] == [False] * 8 + [True]


def test_nothing_is_made_or_lost_by_changing_money_for_twins(practice: CoinbasePractice) -> None:
    def owned() -> Decimal:
        rows = practice.exchange.balances("trader", Wallet.SPOT)
        return sum((row.total for row in rows if row.asset in ("USD", "USDC")), Decimal(0))

    before = owned()
    for price in ("61000", "59000"):
        ask(practice, "POST", "/orders", {**order(f"t{price}", limit_price=price), "product_id": "BTC-USDC"})
    accounts = {row["currency"]: row for row in json.loads(ask(practice, "GET", "/accounts").body)["accounts"]}
    held = Decimal("0.01") * (61000 + 59000) * Decimal("1.012")
    assert Decimal(accounts["USDC"]["hold"]["value"]) == held
    assert Decimal(accounts["USD"]["hold"]["value"]) == 0
    assert owned() == before
    refused = ask(practice, "POST", "/orders", {**order("big", base_size="20"), "product_id": "BTC-USDC"})
    assert json.loads(refused.body)["success"] is False
    for row in practice.exchange.open_orders("trader"):
        ask(practice, "POST", "/orders/batch_cancel", {"order_ids": [uuid_of(row.id)]})
    accounts = {row["currency"]: row for row in json.loads(ask(practice, "GET", "/accounts").body)["accounts"]}
    assert Decimal(accounts["USDC"]["available_balance"]["value"]) == practice.exchange.balance("trader", "USDC").total
    assert owned() == before


def test_a_token_may_begin_a_little_before_now_and_lives_two_minutes(practice: CoinbasePractice) -> None:
    now = NOW // 1000
    assert ask(practice, "GET", "/accounts", nbf=now - 5, exp=now + 120).status == 200
    assert ask(practice, "GET", "/accounts", nbf=now, exp=now + 600).status == 401
    assert ask(practice, "GET", "/accounts", nbf=now - 300, exp=now - 180).status == 401
    assert ask(practice, "GET", "/accounts", nbf=now + 60, exp=now + 120).status == 401
