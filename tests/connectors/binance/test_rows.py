"""Rows and frames of Binance whose meaning is easily missed."""

from __future__ import annotations

import json
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from connectors.binance import rows
from connectors.binance.spot import KINDS
from connectors.catalogue import load
from connectors.contract import Answer, Call, LoginLost
from connectors.errors import VenueError
from connectors.model import EndReason, Fill, InstrumentStatus, OrderRef, OrderStatus, OrderUpdate, Position, Ticker
from connectors.tools import instrument_for

VENUE = load("binance")
SPOT, USDM = VENUE.family("spot"), VENUE.family("usdm")


def heard(*events: dict[str, Any]) -> list[Any]:
    stream = USDM.account_stream()
    return [found for event in events for found in stream.receive(json.dumps(event))]


def answered(flow: Any, *bodies: Any) -> Any:
    """What an operation comes to with these bodies."""
    step = next(flow)
    for body in bodies:
        assert isinstance(step, Call)
        try:
            step = flow.send(step.read(Answer(200, json.dumps(body).encode(), {})))
        except StopIteration as end:
            return end.value
    raise AssertionError(f"it asks for more: {step}")


# conditional orders


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ({"workingTime": -1}, OrderStatus.UNTRIGGERED),
        ({"workingTime": 1669277163808}, OrderStatus.OPEN),
        ({"isWorking": False, "workingTime": 1669277163808}, OrderStatus.UNTRIGGERED),
        ({"isWorking": True, "workingTime": -1}, OrderStatus.OPEN),
    ],
)
def test_a_stop_that_was_just_placed_waits_until_it_works(told: dict[str, Any], status: OrderStatus) -> None:
    row = {"symbol": "BTCUSDT", "orderId": 1, "status": "NEW", "type": "STOP_LOSS_LIMIT", **told}
    assert rows.order_row(row, KINDS).status is status


def test_a_limit_order_needs_no_trigger() -> None:
    row = {"symbol": "BTCUSDT", "orderId": 1, "status": "NEW", "type": "LIMIT", "workingTime": -1}
    assert rows.order_row(row, KINDS).status is OrderStatus.OPEN


def finished(quantity: str, filled: str) -> OrderUpdate:
    order = {"caid": "c", "aid": 7, "o": "STOP_MARKET", "s": "BTCUSDT", "S": "SELL", "f": "GTC", "q": quantity}
    (found,) = heard({"e": "ALGO_UPDATE", "T": 5, "o": {**order, "X": "FINISHED", "ai": "9", "aq": filled, "ap": "1"}})
    return found


@pytest.mark.parametrize(
    ("quantity", "filled", "status"),
    [
        ("38", "38", OrderStatus.FILLED),
        ("38", "12", OrderStatus.EXPIRED),
        ("38", "0", OrderStatus.EXPIRED),
        ("0", "12", OrderStatus.FILLED),  # closes a position, whatever its size is by then
        ("0", "0", OrderStatus.EXPIRED),
    ],
)
def test_a_conditional_order_that_is_finished_ends_as_what_it_became(
    quantity: str, filled: str, status: OrderStatus
) -> None:
    assert finished(quantity, filled).status is status


ALGO = {"algoId": 7, "clientAlgoId": "mine", "symbol": "BTCUSDT", "side": "BUY", "orderType": "STOP", "quantity": "1"}


def asked(*answers: tuple[int, Any]) -> OrderUpdate:
    """What is told of a conditional order that is asked for."""
    ref = OrderRef(instrument=instrument_for({"symbol": "BTC-USDT"}, USDM, VENUE), venue_id="7", algo=True)
    flow = USDM.trading.order(ref, {})
    step = next(flow)
    for status, body in answers:
        assert isinstance(step, Call)
        try:
            value = step.read(Answer(status, json.dumps(body).encode(), {}))
        except VenueError as error:
            resume = partial(flow.throw, error)
        else:
            resume = partial(flow.send, value)
        try:
            step = resume()
        except StopIteration as end:
            return end.value
    raise AssertionError(f"it asks for more: {step}")


def test_a_triggered_order_is_told_under_the_id_by_which_it_can_be_cancelled() -> None:
    algo = {**ALGO, "algoStatus": "TRIGGERED", "actualOrderId": "99"}
    child = {"symbol": "BTCUSDT", "orderId": 99, "clientOrderId": "other", "status": "NEW", "type": "LIMIT"}
    found = asked((200, algo), (200, child))
    assert (found.venue_id, found.client_id, found.algo, found.status) == ("99", "mine", False, OrderStatus.OPEN)


def test_a_triggered_order_that_is_not_listed_is_told_as_far_as_it_is_known() -> None:
    algo = {**ALGO, "algoStatus": "TRIGGERED", "actualOrderId": "99"}
    found = asked((200, algo), (400, {"code": -2013, "msg": "Order does not exist."}))
    assert (found.venue_id, found.client_id, found.algo, found.status) == ("7", "mine", True, OrderStatus.OPEN)


# why an order ended


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        ("1", EndReason.SELF_TRADE),
        ("2", EndReason.IOC_REST),
        ("4", EndReason.REDUCE_ONLY),
        ("5", EndReason.LIQUIDATION),
        ("9", EndReason.IOC_REST),
        ("0", EndReason.FOK),
    ],
)
def test_the_venue_says_why_an_order_expired(number: str, reason: EndReason) -> None:
    order = {
        "s": "BTCUSDT",
        "c": "mine",
        "S": "BUY",
        "o": "LIMIT",
        "f": "FOK",
        "q": "1",
        "p": "2",
        "ap": "0",
        "sp": "0",
    }
    row = {**order, "x": "EXPIRED", "X": "EXPIRED", "i": 4, "z": "0", "T": 6, "t": 0, "er": number}
    (found,) = heard({"e": "ORDER_TRADE_UPDATE", "T": 6, "o": row})
    assert (found.status, found.end_reason) == (OrderStatus.EXPIRED, reason)


# hedge mode


def side(position: str, amount: str, entry: str, profit: str) -> dict[str, Any]:
    row = {"symbol": "BTCUSDT", "positionSide": position, "positionAmt": amount, "entryPrice": entry}
    return {**row, "markPrice": "51000", "unRealizedProfit": profit, "liquidationPrice": "0", "initialMargin": "10"}


def test_both_sides_of_a_hedged_position_are_told_as_their_difference() -> None:
    config = [{"symbol": "BTCUSDT", "marginType": "CROSSED", "leverage": 20}]
    listed = [side("SHORT", "-0.2", "50500", "-100"), side("LONG", "0.5", "50000", "500")]
    (found,) = answered(USDM.trading.positions({"dual": True}), listed, config)
    assert isinstance(found, Position)
    assert (found.size, found.unrealised, found.margin) == (Decimal("0.3"), Decimal(400), Decimal(20))
    assert found.entry is not None
    assert found.size * (Decimal(51000) - found.entry) == pytest.approx(Decimal(400))
    assert (found.leverage, found.isolated) == (Decimal(20), False)
    (alone,) = answered(USDM.trading.positions({"dual": True}), listed[1:], config)
    assert (alone.size, alone.entry) == (Decimal("0.5"), Decimal(50000))


def test_one_side_of_a_hedged_position_is_not_taken_for_all_of_it() -> None:
    row = {"s": "BTCUSDT", "pa": "-10", "ep": "6563.8", "up": "0", "mt": "cross"}
    news = {"e": "ACCOUNT_UPDATE", "T": 1, "a": {"m": "ORDER", "B": [], "P": [{**row, "ps": "SHORT"}]}}
    assert heard(news) == []
    (shown,) = USDM.account_stream().read_alone(json.dumps(news))
    assert isinstance(shown, Position)
    assert shown.size == -10
    news["a"]["P"] = [{**row, "ps": "BOTH"}]
    (told,) = heard(news)
    assert told.size == -10


# the rest


@pytest.mark.parametrize(
    ("wire", "symbol"),
    [
        ("BTCUSDT", "BTC-USDT"),
        ("BTCUSDT_251226", "BTC-USDT-251226"),
        ("1000PEPEUSDC", "1000PEPE-USDC"),
        ("TUSDT", "T-USDT"),
        ("BTCUSD1", "BTC-USD1"),
        ("ETHMXN", "ETH-MXN"),
        ("USDTTRY", "USDT-TRY"),
    ],
)
def test_joined_names_are_taken_apart_and_put_together(wire: str, symbol: str) -> None:
    assert USDM.spelling.symbol(wire) == SPOT.spelling.symbol(wire) == symbol
    base, _, quote = symbol.partition("-")
    assert USDM.spelling.wire(base, quote) == wire


def test_a_symbol_that_spot_may_not_trade_is_closed() -> None:
    row = {"symbol": "ABCUSDT", "baseAsset": "ABC", "quoteAsset": "USDT", "status": "TRADING", "filters": []}
    for allowed, status in ((True, InstrumentStatus.TRADING), (False, InstrumentStatus.CLOSED)):
        (found,) = answered(SPOT.trading.instruments(), {"symbols": [{**row, "isSpotTradingAllowed": allowed}]})
        assert found.status is status


def test_best_prices_of_all_contracts_come_one_by_one() -> None:
    best = {"e": "bookTicker", "u": 4, "s": "BTCUSDT", "b": "1", "B": "2", "a": "3", "A": "4", "E": 5, "st": 1}
    (found,) = USDM.market_stream("market.public").receive(json.dumps({"stream": "!bookTicker", "data": best}))
    assert isinstance(found, Ticker)
    assert (found.wire, found.bid, found.ask, found.id) == ("BTCUSDT", 1, 3, 4)


def test_a_trade_socket_whose_session_is_refused_says_so() -> None:
    refusal = {"id": None, "status": 401, "error": {"code": -2015, "msg": "Invalid API-key, IP, or permissions."}}
    assert USDM.trade_stream is not None
    (found,) = USDM.trade_stream().receive(json.dumps(refusal))
    assert isinstance(found, LoginLost)


def test_an_execution_that_comes_twice_has_one_id() -> None:
    order = {
        "s": "BTCUSDT",
        "c": "mine",
        "S": "BUY",
        "o": "LIMIT",
        "f": "GTC",
        "q": "2",
        "p": "2",
        "ap": "2",
        "sp": "0",
    }
    fill = {"x": "TRADE", "X": "PARTIALLY_FILLED", "i": 4, "z": "1", "l": "1", "L": "2", "T": 6, "t": 99, "m": True}
    news = {"e": "ORDER_TRADE_UPDATE", "T": 6, "o": {**order, **fill}}
    fills = [event for event in heard(news, news) if isinstance(event, Fill)]
    assert len(fills) == 2
    assert {row.id for row in fills} == {"99"}
    assert fills[0].fee == 0  # none is told on some
