"""BitMEX's own end keeps the venue's rules: limits, words of refusals, what rows say of money, what stays and what is told."""

from __future__ import annotations

import hashlib
import hmac
import json
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest

from connectors.bitmex.practice import BitmexPractice
from connectors.bitmex.practice_listings import LISTINGS
from connectors.model import OrderKind, Side
from connectors.practice.exchange import Exchange
from connectors.practice.protocol import Connection, HttpAnswer, HttpRequest
from connectors.practice.terms import NewOrder, Wallet

NOW = 1_790_000_000_000
D = Decimal
INVERSE, LINEAR = "perp:BTC-USD", "perp:ETH-USDT"
SIZES = {"XBTUSD": 1000, "ETHUSDT": 20_000}


@pytest.fixture
def practice() -> BitmexPractice:
    """Somebody else offers and bids, so that market orders meet known prices."""
    found = BitmexPractice(Exchange(LISTINGS, start_ms=NOW))
    found.limited = False
    for key, bid, ask, size in ((INVERSE, 60_000, 60_001, 2000), (LINEAR, 2000, 2001, 40_000)):
        for side, price in ((Side.BUY, bid), (Side.SELL, ask)):
            rest = NewOrder(key=key, side=side, kind=OrderKind.LIMIT, amount=D(size), price=D(price))
            found.exchange.place("other", rest)
            step = D(5) if side is Side.SELL else D(-5)
            found.exchange.place("other", NewOrder(key=key, side=side, amount=D(20 * size), price=D(price) + step))
    return found


def signed(practice: BitmexPractice, method: str, path: str, body: Any = None, query: str = "") -> HttpRequest:
    """By the documented recipe: verb, path with query, expiry, body."""
    raw, whole, expires = json.dumps(body) if body is not None else "", f"/api/v1{path}", NOW // 1000 + 5
    asked = f"{whole}?{query}" if query else whole
    text = f"{method}{asked}{expires}{raw}".encode()
    signature = hmac.new(practice.credentials["secret"].encode(), text, hashlib.sha256).hexdigest()
    headers = {"api-key": practice.credentials["key"], "api-expires": str(expires), "api-signature": signature}
    return HttpRequest("api", method, whole, query, headers, raw.encode())


def answered(practice: BitmexPractice, method: str, path: str, body: Any = None, query: str = "") -> HttpAnswer:
    return practice.http(signed(practice, method, path, body, query), NOW)


def ask(practice: BitmexPractice, method: str, path: str, body: Any = None, query: str = "") -> Any:
    found = answered(practice, method, path, body, query)
    assert found.status == 200, found.body
    return json.loads(found.body)


def refused(practice: BitmexPractice, method: str, path: str, body: Any) -> str:
    found = answered(practice, method, path, body)
    assert found.status == 400, found.body
    text: str = json.loads(found.body)["error"]["message"]
    return text


def order(**terms: Any) -> dict[str, Any]:
    return {"symbol": "XBTUSD", "side": "Buy", "orderQty": 100, "price": 50_000, **terms}


def bought(practice: BitmexPractice, symbol: str, **terms: Any) -> Any:
    size = SIZES[symbol]
    return ask(practice, "POST", "/order", {"symbol": symbol, "side": "Buy", "orderQty": size, **terms})


def listening(practice: BitmexPractice, *topics: str) -> Connection:
    """A socket that has proven the account and heard the images."""
    socket = practice.accept("realtime", "/realtime", "", {}, NOW)
    assert not isinstance(socket, HttpAnswer)
    expires, secret = NOW // 1000 + 5, practice.credentials["secret"]
    proof = hmac.new(secret.encode(), f"GET/realtime{expires}".encode(), hashlib.sha256).hexdigest()
    login = {"op": "authKeyExpires", "args": [practice.credentials["key"], expires, proof]}
    for frame in (login, {"op": "subscribe", "args": list(topics)}):
        socket.receive(json.dumps(frame), NOW)
    return socket


def heard(socket: Connection, table: str, action: str) -> list[Any]:
    frames = [json.loads(frame) for frame in socket.out]
    return [
        row for frame in frames if (frame.get("table"), frame.get("action")) == (table, action) for row in frame["data"]
    ]


# limits


def test_a_price_above_the_instruments_highest_is_refused(practice: BitmexPractice) -> None:
    (row,) = ask(practice, "GET", "/instrument", query="symbol=XBTUSD")
    above = row["maxPrice"] + 1
    assert refused(practice, "POST", "/order", order(side="Sell", price=above)) == "Invalid price"
    stop = order(ordType="Stop", stopPx=above, execInst="MarkPrice")
    assert refused(practice, "POST", "/order", stop) == "Invalid price"
    placed = ask(practice, "POST", "/order", order(side="Sell", price=row["maxPrice"]))
    assert refused(practice, "PUT", "/order", {"orderID": placed["orderID"], "price": above}) == "Invalid price"


def test_a_change_off_the_lot_is_refused_in_the_venues_words(practice: BitmexPractice) -> None:
    placed = ask(practice, "POST", "/order", order())
    text = refused(practice, "PUT", "/order", {"orderID": placed["orderID"], "orderQty": 250})
    assert text.startswith("Invalid orderQty")


def test_an_eleventh_stop_of_a_contract_is_refused(practice: BitmexPractice) -> None:
    stop = order(ordType="Stop", stopPx=70_000, execInst="MarkPrice")
    placed = [ask(practice, "POST", "/order", stop) for _ in range(10)]
    assert "Too many open orders" in refused(practice, "POST", "/order", stop)
    other = {**stop, "symbol": "ETHUSDT", "orderQty": 1000, "stopPx": 3000}
    ask(practice, "POST", "/order", other)  # of another contract
    ask(practice, "POST", "/order", order())  # no stop
    ask(practice, "DELETE", "/order", {"orderID": placed[0]["orderID"]})
    ask(practice, "POST", "/order", stop)


@pytest.mark.parametrize(
    "terms", [{"displayQty": 0}, {"contingencyType": "OneCancelsTheOther", "clOrdLinkID": "l"}, {"pegOffsetValue": -5}]
)
def test_what_is_not_played_is_refused_and_not_passed_over(practice: BitmexPractice, terms: dict[str, Any]) -> None:
    assert refused(practice, "POST", "/order", order(**terms)).endswith("is invalid")
    assert practice.exchange.open_orders("trader") == []


def test_a_refusal_for_too_many_requests_says_what_is_left(practice: BitmexPractice) -> None:
    practice.limited = True
    answers = [answered(practice, "POST", "/order", order(price=40_000 + number)) for number in range(11)]
    assert [each.status for each in answers] == [200] * 10 + [429]
    headers = answers[-1].headers
    assert (headers["x-ratelimit-limit"], headers["x-ratelimit-remaining"]) == ("120", "109")
    assert (headers["x-ratelimit-remaining-1s"], headers["retry-after"]) == ("0", "1")
    keyless = HttpRequest("api", "GET", "/api/v1/instrument/active", "", {}, b"")
    answers = [practice.http(keyless, NOW) for _ in range(31)]
    assert [each.status for each in answers] == [200] * 30 + [429]
    assert answers[-1].headers["x-ratelimit-remaining"] == "0"
    assert int(answers[-1].headers["x-ratelimit-reset"]) > NOW // 1000


def test_a_purchase_of_less_than_nothing_and_a_switch_without_a_time_are_refused(practice: BitmexPractice) -> None:
    assert refused(practice, "POST", "/order", order(orderQty=-100)) == "orderQty is invalid"
    ask(practice, "POST", "/order", order())
    ask(practice, "POST", "/order/cancelAllAfter", {"timeout": 60_000})
    for body in ({}, {"timeout": -1}):
        assert refused(practice, "POST", "/order/cancelAllAfter", body) == "timeout is invalid"
    practice.tick(NOW + 60_000)
    assert practice.exchange.open_orders("trader") == [], "the switch was still set"


def test_instruments_are_chosen_and_books_cut_as_asked(practice: BitmexPractice) -> None:
    chosen = urlencode({"filter": json.dumps({"quoteCurrency": "USD"})})
    assert [row["symbol"] for row in ask(practice, "GET", "/instrument", query=chosen)] == ["XBTUSD"]
    assert len(ask(practice, "GET", "/orderBook/L2", query="symbol=XBTUSD&depth=1")) == 2
    assert len(ask(practice, "GET", "/orderBook/L2", query="symbol=XBTUSD&depth=0")) == 4
    assert answered(practice, "GET", "/orderBook/L2", query="symbol=XBTUSD&depth=-1").status == 400


# what an order says of itself


def test_an_order_says_what_was_sent_with_it(practice: BitmexPractice) -> None:
    """given a remark, or a price to watch that is the mark here, then the row has them, also when it has ended."""
    placed = ask(practice, "POST", "/order", order(text="by hand"))
    assert placed["text"] == "by hand"
    (row,) = ask(practice, "DELETE", "/order", {"orderID": placed["orderID"]})
    assert row["text"] == "Canceled: Canceled via API.\nby hand"
    stop = ask(practice, "POST", "/order", order(ordType="Stop", stopPx=70_000, execInst="IndexPrice"))
    assert stop["execInst"] == "IndexPrice"
    plain = ask(practice, "POST", "/order", order(ordType="Stop", stopPx=70_000))
    assert (plain["execInst"], plain["text"]) == ("MarkPrice", "Submitted via API.")
    bought(practice, "XBTUSD")
    closed = ask(practice, "POST", "/order", {"symbol": "XBTUSD", "execInst": "Close"})
    assert (closed["side"], closed["cumQty"], closed["execInst"]) == ("Sell", SIZES["XBTUSD"], "Close")


@pytest.mark.parametrize("symbol", ["XBTUSD", "ETHUSDT"])
def test_an_execution_is_the_same_on_both_ways_and_says_what_was_filled_by_then(
    practice: BitmexPractice, symbol: str
) -> None:
    """given an order that takes at two prices, then each row has the average up to it."""
    socket = listening(practice, "execution")
    size = 4 * SIZES[symbol]
    ask(practice, "POST", "/order", {"symbol": symbol, "side": "Buy", "orderQty": size})
    told = [row for row in heard(socket, "execution", "insert") if row["execType"] == "Trade"]
    read = ask(practice, "GET", "/execution/tradeHistory", query=f"symbol={symbol}")
    assert len(told) == len(read) == 2
    for row, other in zip(told, read, strict=True):
        assert {name: value for name, value in row.items() if row[name] != other.get(name)} == {
            "lastLiquidityInd": "RemovedLiquidity"
        }
    first, second = read
    assert first["avgPx"] == pytest.approx(first["lastPx"], rel=1e-6)
    assert first["lastPx"] < second["avgPx"] < second["lastPx"]
    assert [row["workingIndicator"] for row in read] == [True, False]


def test_times_of_a_question_may_be_written_otherwise(practice: BitmexPractice) -> None:
    """A whole second without its thousandths is earlier than what happened in it."""
    bought(practice, "XBTUSD")
    (row,) = ask(practice, "GET", "/execution/tradeHistory")
    whole = row["timestamp"].removesuffix(".000Z")
    assert whole != row["timestamp"]
    for start in (f"{whole}Z", f"{whole}.000Z", f"{whole}+00:00", whole, whole[:10]):
        query = urlencode({"startTime": start})
        assert len(ask(practice, "GET", "/execution/tradeHistory", query=query)) == 1, start


def test_a_private_table_may_be_of_one_contract(practice: BitmexPractice) -> None:
    ask(practice, "POST", "/order", order())
    ask(practice, "POST", "/order", order(symbol="ETHUSDT", orderQty=1000, price=1000))
    socket = listening(practice, "order:XBTUSD", "execution:XBTUSD", "position:XBTUSD")
    assert [row["symbol"] for row in heard(socket, "order", "partial")] == ["XBTUSD"]
    bought(practice, "ETHUSDT")
    bought(practice, "XBTUSD")
    for table in ("order", "execution", "position"):
        assert {row["symbol"] for row in heard(socket, table, "insert")} == {"XBTUSD"}


# money


@pytest.mark.parametrize(("symbol", "key"), [("XBTUSD", INVERSE), ("ETHUSDT", LINEAR)])
def test_margin_tells_orders_from_positions_and_what_was_gained_from_what_is_open(
    practice: BitmexPractice, symbol: str, key: str
) -> None:
    """given a purchase, half of it sold again and an order that rests, then every figure is what we reckon from the prices."""
    currency, scale = ("XBt", 10**8) if symbol == "XBTUSD" else ("USDt", 10**6)
    before = ask(practice, "GET", "/user/margin", query=f"currency={currency}")
    assert (before["initMargin"], before["maintMargin"], before["realisedPnl"]) == (0, 0, 0)
    size = SIZES[symbol]
    bought(practice, symbol)
    ask(practice, "POST", "/order", {"symbol": symbol, "side": "Sell", "orderQty": size // 2})
    margin = ask(practice, "GET", "/user/margin", query=f"currency={currency}")
    (position,) = ask(practice, "GET", "/position")

    bid, ask_price = (D(60_000), D(60_001)) if symbol == "XBTUSD" else (D(2000), D(2001))
    contract = D(1) if symbol == "XBTUSD" else D("0.00001")

    def worth(contracts: int, price: Decimal) -> Decimal:
        """In minor units."""
        return (contracts * contract / price if symbol == "XBTUSD" else contracts * contract * price) * scale

    fees = (worth(size, ask_price) + worth(size // 2, bid)) * D("0.0005")
    gain = worth(size // 2, bid) - worth(size // 2, ask_price)
    gain = -gain if symbol == "XBTUSD" else gain
    assert abs(margin["walletBalance"] - before["walletBalance"] - (gain - fees)) <= 2
    assert margin["realisedPnl"] == position["realisedPnl"] == margin["walletBalance"] - before["walletBalance"]
    assert margin["initMargin"] == 0, "no order rests"
    assert margin["maintMargin"] == position["maintMargin"] == position["posMargin"] > 0
    needed = worth(size // 2, D(str(position["markPrice"]))) / position["leverage"]
    assert abs(position["posMargin"] - needed) <= 1
    assert margin["marginBalance"] == margin["walletBalance"] + margin["unrealisedPnl"]
    assert margin["availableMargin"] == margin["marginBalance"] - margin["initMargin"] - margin["maintMargin"]

    tick = practice.exchange.listings[key].tick
    even = D(str(position["breakEvenPrice"]))
    assert 0 <= even - D(str(position["avgEntryPrice"])) * D("1.0005") < tick + D("0.0001")

    price = float(bid - 100)
    ask(practice, "POST", "/order", {"symbol": symbol, "side": "Buy", "orderQty": size, "price": price})
    resting = ask(practice, "GET", "/user/margin", query=f"currency={currency}")
    assert abs(resting["initMargin"] - worth(size, D(price)) / position["leverage"]) <= 2
    assert resting["maintMargin"] == margin["maintMargin"]


def test_funding_is_paid_by_longs_counted_as_gained_or_lost_and_has_one_id(practice: BitmexPractice) -> None:
    """given a long inverse and a short linear position at a positive rate, then each pays or gets rate x value at the mark."""
    bought(practice, "XBTUSD")
    ask(practice, "POST", "/order", {"symbol": "ETHUSDT", "side": "Sell", "orderQty": SIZES["ETHUSDT"]})
    before = {row["currency"]: row for row in ask(practice, "GET", "/user/margin", query="currency=all")}
    socket = listening(practice, "execution")
    practice.exchange.advance(practice.exchange.mark(INVERSE).next_funding)
    told = {row["symbol"]: row for row in heard(socket, "execution", "insert")}
    assert {row["execType"] for row in told.values()} == {"Funding"}
    long, short = told["XBTUSD"], told["ETHUSDT"]
    assert long["execComm"] == round(SIZES["XBTUSD"] / long["lastPx"] * 10**8 * long["commission"]) > 0
    assert short["execComm"] == -round(SIZES["ETHUSDT"] * 10 * short["lastPx"] * short["commission"]) < 0
    after = {row["currency"]: row for row in ask(practice, "GET", "/user/margin", query="currency=all")}
    for currency, row in (("XBt", long), ("USDt", short)):
        for name in ("walletBalance", "realisedPnl"):
            assert after[currency][name] - before[currency][name] == -row["execComm"]
    for symbol in ("XBTUSD", "ETHUSDT"):
        read = ask(practice, "GET", "/execution/tradeHistory", query=f"symbol={symbol}")
        assert [row for row in read if row["execType"] == "Funding"] == [told[symbol]]
    assert long["execID"] != short["execID"]


def test_a_forced_sale_says_what_it_is(practice: BitmexPractice) -> None:
    """given a long position that the market leaves behind, then it is sold, and the row says "Liquidation"."""
    exchange = practice.exchange
    ask(practice, "POST", "/position/leverage", {"symbol": "ETHUSDT", "leverage": 0})
    exchange.withdraw("trader", "USDT", D(499_975), Wallet.MARGIN)
    bought(practice, "ETHUSDT", orderQty=40_000)
    socket = listening(practice, "execution")
    exchange.cancel_all("other")
    for side, price in ((Side.BUY, 1000), (Side.SELL, 1001)):
        exchange.place("other", NewOrder(key=LINEAR, side=side, amount=D(1_000_000), price=D(price)))
    for second in range(1, 120):
        exchange.advance(NOW + second * 1000)
    (row,) = (row for row in heard(socket, "execution", "insert") if row["execType"] == "Trade")
    assert (row["side"], row["lastQty"], row["lastPx"], row["text"]) == ("Sell", 40_000, 1000, "Liquidation")
    assert ask(practice, "GET", "/execution/tradeHistory", query="reverse=true&count=1")[0]["text"] == "Liquidation"


def test_a_closed_position_stays_as_a_row(practice: BitmexPractice) -> None:
    assert ask(practice, "GET", "/position") == []
    bought(practice, "XBTUSD")
    ask(practice, "POST", "/order", {"symbol": "XBTUSD", "execInst": "Close"})
    bought(practice, "ETHUSDT")
    rows = {row["symbol"]: (row["isOpen"], row["currentQty"]) for row in ask(practice, "GET", "/position")}
    assert rows == {"XBTUSD": (False, 0), "ETHUSDT": (True, SIZES["ETHUSDT"])}
    told = {row["symbol"]: row["isOpen"] for row in heard(listening(practice, "position"), "position", "partial")}
    assert told == {"XBTUSD": False, "ETHUSDT": True}


def test_the_wallet_is_told_on_both_ways(practice: BitmexPractice) -> None:
    socket = listening(practice, "wallet")
    image = {row["currency"]: row["amount"] for row in heard(socket, "wallet", "partial")}
    assert image == {"XBt": 1_000_000_000, "USDt": 500_000_000_000}
    ask(practice, "POST", "/order", order(price=50_000))
    assert heard(socket, "wallet", "update") == [], "an order that rests costs nothing"
    bought(practice, "XBTUSD")
    (row,) = heard(socket, "wallet", "update")
    own = practice.exchange.balance("trader", "BTC", Wallet.MARGIN).total
    assert row["amount"] == own * 10**8 == ask(practice, "GET", "/user/wallet")["amount"] < image["XBt"]
    assert [row["currency"] for row in ask(practice, "GET", "/user/wallet", query="currency=all")] == ["XBt", "USDt"]
