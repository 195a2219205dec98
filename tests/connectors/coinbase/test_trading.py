"""Orders by Coinbase's own rules: refusals with HTTP 200, no cancel-all, no look-up by our id, pages, and edits of both figures."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from connectors.catalogue import load
from connectors.coinbase import client_id
from connectors.coinbase.signing import ORDER_LIFE, kind_of
from connectors.coinbase.trading import made_at
from connectors.contract import Answer, Call, Effect, Found, Page, Stamp
from connectors.errors import (
    BadNotional,
    BadPrice,
    BadSize,
    DuplicateOrder,
    InstrumentUnknown,
    InsufficientFunds,
    MarketClosed,
    NothingToChange,
    NotSupported,
    OrderNotFound,
    OutcomeUnknown,
    Refused,
    Unintelligible,
    VenueUnavailable,
    WouldTake,
    WouldTrigger,
)
from connectors.model import OrderKind, OrderRef, OrderRequest, OrderStatus, Side, TimeInForce
from connectors.runtime.verdict import verdict
from connectors.tools import instrument_for

VENUE = load("coinbase")
FAMILY = VENUE.families[0]
TRADING: Any = FAMILY.trading
INSTRUMENT = instrument_for({"symbol": "BTC-USD"}, FAMILY, VENUE)
D = Decimal
NOW = 1_790_000_000_123


def request(**fields: Any) -> OrderRequest:
    values: dict[str, Any] = {
        "client_id": client_id(Stamp(NOW, 0, "f" * 32)),
        "instrument": INSTRUMENT,
        "side": Side.BUY,
        "kind": OrderKind.LIMIT,
        "amount": D("0.5"),
        "price": D(100),
    }
    return OrderRequest(**{**values, **fields})


def row(number: int, **fields: Any) -> dict[str, Any]:
    values = {
        "order_id": f"v{number}", "client_order_id": f"c{number}", "product_id": "BTC-USD", "side": "BUY",
        "status": "OPEN", "order_type": "LIMIT", "time_in_force": "GOOD_UNTIL_CANCELLED", "filled_size": "0",
        "filled_value": "0", "average_filled_price": "0", "total_fees": "0", "created_time": "2026-09-22T00:00:00Z",
        "order_configuration": {"limit_limit_gtc": {"base_size": "2", "limit_price": "100", "post_only": False}},
    }  # fmt: skip
    return {**values, **fields}


def drive(flow: Any, answer_to: Callable[[Call], Any]) -> tuple[Any, list[Call]]:
    """A flow's result, and the calls it made; each is answered by `answer_to`."""
    calls: list[Call] = []
    try:
        step = next(flow)
        while True:
            calls.append(step)
            given = answer_to(step)
            found = given if isinstance(given, Answer) else Answer(200, json.dumps(given).encode(), {}, NOW, NOW)
            step = flow.send(verdict(step, found))
    except StopIteration as stop:
        return stop.value, calls


def params(call: Call) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in call.params:
        found.setdefault(name, []).append(value)
    return found


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("INSUFFICIENT_FUND", InsufficientFunds),
        ("PREVIEW_INSUFFICIENT_FUND", InsufficientFunds),
        ("PREVIEW_INSUFFICIENT_FUNDS", InsufficientFunds),
        ("INVALID_LEDGER_BALANCE", InsufficientFunds),
        ("UNKNOWN_CANCEL_ORDER", OrderNotFound),
        ("DUPLICATE_CANCEL_REQUEST", OrderNotFound),
        ("INVALID_CANCEL_REQUEST", OrderNotFound),
        ("COMMANDER_REJECTED_CANCEL_ORDER", OrderNotFound),
        ("DUPLICATE_CLIENT_ORDER_ID", DuplicateOrder),
        ("INVALID_PRICE_PRECISION", BadPrice),
        ("INVALID_SIZE_PRECISION", BadSize),
        ("INVALID_LIMIT_PRICE_POST_ONLY", WouldTake),
        ("PREVIEW_INVALID_BASE_SIZE_TOO_SMALL", BadSize),
        ("PREVIEW_INVALID_BASE_SIZE_TOO_LARGE", BadSize),
        ("PREVIEW_INVALID_QUOTE_SIZE_TOO_SMALL", BadNotional),
        ("PREVIEW_STOP_PRICE_ABOVE_LAST_TRADE_PRICE", WouldTrigger),
        ("PREVIEW_STOP_PRICE_BELOW_LAST_TRADE_PRICE", WouldTrigger),
        ("ORDER_ENTRY_DISABLED", MarketClosed),
        ("INELIGIBLE_PAIR", MarketClosed),
        ("INVALID_PRODUCT_ID", InstrumentUnknown),
        ("UNSUPPORTED_ORDER_CONFIGURATION", NotSupported),
    ],
)
def test_every_documented_refusal_has_its_kind(word: str, kind: type[Exception]) -> None:
    assert kind_of(word) is kind
    body = {"success": False, "error_response": {"error": word, "message": "m", "new_order_failure_reason": word}}
    with pytest.raises(kind) as raised:
        drive(TRADING.place(request(), {}), lambda call: body)
    assert isinstance(raised.value, Refused)
    assert raised.value.code == word


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({}, OutcomeUnknown),
        ({"order_id": "v1"}, OutcomeUnknown),
        ({"success": True}, OutcomeUnknown),
        ({"success": False}, Refused),
        ({"success": False, "failure_reason": "UNKNOWN_FAILURE_REASON", "order_id": ""}, Refused),
    ],
)
def test_only_a_clear_no_is_a_refusal(body: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        drive(TRADING.place(request(), {}), lambda call: body)


def test_a_reason_beside_a_yes_means_nothing() -> None:
    body = {
        "success": True,
        "failure_reason": "UNKNOWN_FAILURE_REASON",
        "success_response": {"order_id": "v1", "product_id": "BTC-USD", "side": "BUY", "client_order_id": "c1"},
    }
    update, (call,) = drive(TRADING.place(request(), {}), lambda call: body)
    assert (update.venue_id, update.status, call.effect) == ("v1", OrderStatus.PENDING, Effect.PLACE)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {"limit_limit_gtc": {"base_size": "0.5", "limit_price": "100", "post_only": False}}),
        ({"post_only": True}, {"limit_limit_gtc": {"base_size": "0.5", "limit_price": "100", "post_only": True}}),
        ({"tif": TimeInForce.IOC}, {"sor_limit_ioc": {"base_size": "0.5", "limit_price": "100"}}),
        ({"tif": TimeInForce.FOK}, {"limit_limit_fok": {"base_size": "0.5", "limit_price": "100"}}),
        ({"kind": OrderKind.MARKET, "price": None}, {"market_market_ioc": {"base_size": "0.5"}}),
        (
            {"kind": OrderKind.MARKET, "price": None, "amount": None, "quote_amount": D("1E+2")},
            {"market_market_ioc": {"quote_size": "100"}},
        ),
        (
            {"kind": OrderKind.STOP_LIMIT, "trigger": D("1E-7"), "amount": D("1E-8")},
            {
                "stop_limit_stop_limit_gtc": {
                    "base_size": "0.00000001",
                    "limit_price": "100",
                    "stop_price": "0.0000001",
                    "stop_direction": "STOP_DIRECTION_STOP_UP",
                }
            },
        ),
    ],
)
def test_configurations(fields: dict[str, Any], expected: Any) -> None:
    call = next(TRADING.place(request(**fields), {}))
    assert call.body["order_configuration"] == expected
    assert call.body["client_order_id"] == request().client_id


@pytest.mark.parametrize(
    "fields",
    [
        {"reduce_only": True},
        {"kind": OrderKind.STOP, "price": None, "trigger": D(90)},
        {"kind": OrderKind.TAKE_PROFIT_LIMIT, "trigger": D(90)},
        {"kind": OrderKind.STOP_LIMIT, "trigger": D(90), "tif": TimeInForce.IOC},
        {"kind": OrderKind.MARKET, "price": None, "side": Side.SELL, "amount": None, "quote_amount": D(5)},
    ],
)
def test_what_is_not_offered_never_leaves(fields: dict[str, Any]) -> None:
    with pytest.raises(NotSupported):
        TRADING.place(request(**fields), {})


def test_cancelling_all_lists_first_and_goes_in_hundreds() -> None:
    rows = [row(number) for number in range(230)]

    def answer(call: Call) -> Any:
        if call.method == "GET":
            is_open = params(call)["order_status"] == ["OPEN"]
            return {"orders": rows if is_open else [row(900, status="PENDING")], "has_next": False, "cursor": ""}
        return {
            "results": [
                {
                    "success": name != "v5",
                    "failure_reason": "UNKNOWN_CANCEL_ORDER" if name == "v5" else "",
                    "order_id": name,
                }
                for name in call.body["order_ids"]
            ]
        }

    done, calls = drive(TRADING.cancel_all(INSTRUMENT, {}), answer)
    assert [len(call.body["order_ids"]) for call in calls if call.method == "POST"] == [100, 100, 31]
    assert len(done) == 230  # the one that is gone already needs no cancel
    assert {update.venue_id for update in done} == {*(f"v{n}" for n in range(230)), "v900"} - {"v5"}
    everything, calls = drive(TRADING.cancel_all(None, {}), answer)
    assert everything
    assert "product_ids" not in params(calls[0])


def test_a_cancel_that_is_refused_for_a_reason_is_told_after_the_others_were_done() -> None:
    def answer(call: Call) -> Any:
        if call.method == "GET":
            return {"orders": [row(1), row(2)] if params(call)["order_status"] == ["OPEN"] else [], "has_next": False}
        return {
            "results": [
                {"success": False, "failure_reason": "SOMETHING_ELSE", "order_id": "v1"},
                {"success": True, "failure_reason": "", "order_id": "v2"},
            ]
        }

    with pytest.raises(Refused) as raised:
        drive(TRADING.cancel_all(INSTRUMENT, {}), answer)
    assert raised.value.code == "SOMETHING_ELSE"


def test_what_waits_to_be_changed_or_cancelled_is_open_too() -> None:
    def answer(call: Call) -> Any:
        asked = params(call)["order_status"]
        assert len(asked) == 1 or "OPEN" not in asked
        found = [row(1, status="EDIT_QUEUED"), row(2, status="CANCEL_QUEUED"), row(3, status="QUEUED"), row(4)]
        return {"orders": [each for each in found if each["status"] in asked], "has_next": False}

    found, _ = drive(TRADING.open_orders(INSTRUMENT, {}), answer)
    assert sorted((update.venue_id, update.status) for update in found) == [
        ("v1", OrderStatus.OPEN),
        ("v2", OrderStatus.OPEN),
        ("v3", OrderStatus.PENDING),
        ("v4", OrderStatus.OPEN),
    ]


def test_an_asset_has_its_usual_name_where_no_list_is_at_hand() -> None:
    assert FAMILY.spelling.symbol("CGLD-USD") == "CELO-USD"
    assert FAMILY.spelling.wire("CELO", "USD") == "CGLD-USD"
    assert FAMILY.spelling.symbol("BTC-USDC") == "BTC-USDC"
    assert FAMILY.spelling.symbol("BIP-20DEC30-CDE") == "BIP-20DEC30-CDE"  # a contract


def test_nothing_open_is_nothing_to_cancel() -> None:
    with pytest.raises(NothingToChange):
        drive(TRADING.cancel_all(INSTRUMENT, {}), lambda call: {"orders": [], "has_next": False, "cursor": ""})


def test_a_list_without_its_rows_is_no_empty_list() -> None:
    with pytest.raises(Unintelligible):
        drive(TRADING.open_orders(None, {}), lambda call: {})


def test_lists_are_followed_to_their_end() -> None:
    def answer(call: Call) -> Any:
        page = int(params(call).get("cursor", ["0"])[0])
        if params(call)["order_status"] != ["OPEN"]:
            return {"orders": [], "has_next": False, "cursor": ""}
        return {"orders": [row(page)], "has_next": page < 3, "cursor": str(page + 1)}

    found, calls = drive(TRADING.open_orders(INSTRUMENT, {}), answer)
    assert [update.venue_id for update in found] == ["v0", "v1", "v2", "v3"]
    assert all(params(call)["limit"] == ["250"] for call in calls)


def test_an_endless_list_is_no_answer() -> None:
    endless = {"orders": [row(1)], "has_next": True, "cursor": "again"}
    with pytest.raises(VenueUnavailable):
        drive(TRADING.search(request(), {}), lambda call: endless)


def test_a_search_begins_when_the_id_was_made() -> None:
    order = request()
    assert made_at(order.client_id) == NOW
    assert made_at("someone-elses") is None
    assert made_at("fa-zz") is None

    def answer(call: Call) -> Any:
        assert params(call)["start_date"] == ["2026-09-21T14:12:20.123000Z"]  # a minute before
        assert params(call)["product_ids"] == ["BTC-USD"]
        assert "order_status" not in params(call)
        return {"orders": [row(1), row(2, client_order_id=order.client_id)], "has_next": False, "cursor": ""}

    found, calls = drive(TRADING.search(order, {}), answer)
    assert (found.found, found.order.venue_id) == (Found.FOUND, "v2")
    assert all(call.effect is Effect.READ for call in calls)  # nothing is ever placed to find out
    missing, _ = drive(TRADING.search(order, {}), lambda call: {"orders": [], "has_next": False, "cursor": ""})
    assert missing.found is Found.NOT_YET
    assert FAMILY.ids.patience > ORDER_LIFE  # as long as the lost request's token could still be taken


def test_an_order_that_is_known_by_our_id_alone_is_found_first() -> None:
    order = OrderRef(instrument=INSTRUMENT, client_id="c7")

    def answer(call: Call) -> Any:
        if call.method == "GET":
            return {"orders": [row(7)], "has_next": False, "cursor": ""}
        return {"results": [{"success": True, "failure_reason": "", "order_id": call.body["order_ids"][0]}]}

    update, calls = drive(TRADING.cancel(order, {}), answer)
    assert update.venue_id == "v7"
    assert calls[-1].body == {"order_ids": ["v7"]}
    with pytest.raises(OrderNotFound):
        drive(TRADING.cancel(OrderRef(instrument=INSTRUMENT, client_id="nobody"), {}), answer)


def test_an_edit_names_price_and_total_size() -> None:
    order = OrderRef(instrument=INSTRUMENT, venue_id="v1")

    def answer(call: Call) -> Any:
        return {"order": row(1)} if call.method == "GET" else {"success": True, "errors": []}

    for fields, body in (
        ({"price": D(101)}, {"order_id": "v1", "price": "101", "size": "2"}),
        ({"amount": D(3)}, {"order_id": "v1", "price": "100", "size": "3"}),
        ({"price": D(101), "amount": D(3)}, {"order_id": "v1", "price": "101", "size": "3"}),
    ):
        update, calls = drive(TRADING.amend(order, {}, **fields), answer)
        assert calls[-1].body == body
        assert (str(update.price), str(update.amount)) == (body["price"], body["size"])
    refused = {"success": False, "errors": [{"edit_failure_reason": "CANNOT_EDIT_TO_BELOW_FILLED_SIZE"}]}
    with pytest.raises(BadSize):
        drive(TRADING.amend(order, {}, price=D(1), amount=D(1)), lambda call: refused)


def test_a_young_order_that_is_not_found_may_not_be_visible_yet() -> None:
    missing = Answer(404, b'{"errors":[{"id":"not_found","message":"Not found"}]}', {}, NOW, NOW)
    for age, kind in ((2_000, VenueUnavailable), (60_000, OrderNotFound)):
        order = OrderRef(instrument=INSTRUMENT, venue_id="v1", created=NOW - age)
        with pytest.raises(kind):
            drive(TRADING.order(order, {}), lambda call: missing)


def fill(number: int, order: str, size: str = "1") -> dict[str, Any]:
    return {
        "trade_id": f"t{number}", "order_id": order, "trade_time": f"2026-09-22T00:00:{number:02}Z", "price": "100",
        "size": size, "commission": "0.6", "product_id": "BTC-USD", "side": "BUY", "liquidity_indicator": "MAKER",
    }  # fmt: skip


def test_orders_come_whole_in_a_window_of_fills() -> None:
    rows = [fill(number, "v1" if number % 2 else "v2") for number in range(6)]

    def answer(call: Call) -> Any:
        wanted = params(call)
        if "order_ids" in wanted:
            assert wanted["order_ids"] == ["v1", "v2"]
            return {"fills": rows[::-1], "cursor": ""}
        assert wanted["start_sequence_timestamp"] == ["2026-09-22T00:00:04.000000Z"]
        return {"fills": [*rows[:3:-1], {**fill(9, "v9"), "trade_type": "REVERSAL"}], "cursor": ""}

    found, calls = drive(TRADING.fills(INSTRUMENT, Page(start=1790035204000), {}), answer)
    assert [row.id for row in found] == ["t0", "t1", "t2", "t3", "t4", "t5"]
    assert len(calls) == 2
    assert found[0].maker is True


def test_a_window_of_fills_is_read_to_its_oldest_one() -> None:
    rows = [fill(number, f"v{number}") for number in range(59)]

    def answer(call: Call) -> Any:
        wanted = params(call)
        if "order_ids" in wanted:
            return {"fills": [row for row in reversed(rows) if row["order_id"] in wanted["order_ids"]], "cursor": ""}
        start = int(wanted.get("cursor", ["0"])[0])
        page = rows[::-1][start : start + 20]
        return {"fills": page, "cursor": str(start + 20), "has_next": start + 20 < len(rows)}

    found, _ = drive(TRADING.fills(INSTRUMENT, Page(start=1, limit=10), {}), answer)
    assert [row.id for row in found] == [f"t{number}" for number in range(59)]
    latest, _ = drive(TRADING.fills(INSTRUMENT, Page(limit=5), {}), answer)
    assert [row.id for row in latest] == [f"t{number}" for number in range(54, 59)]


def test_bars_are_asked_for_in_windows_that_the_venue_takes() -> None:
    asked: list[tuple[int, int]] = []

    def answer(call: Call) -> Any:
        if call.path == "/time":
            return {"epochMillis": str(NOW)}
        start, end = int(params(call)["start"][0]), int(params(call)["end"][0])
        asked.append((start, end))
        bars = [
            {"start": str(at), "low": "1", "high": "3", "open": "2", "close": "2", "volume": "1"}
            for at in range(end, start - 1, -60)
        ]
        return {"candles": bars}

    found, _ = drive(TRADING.candles(INSTRUMENT, "1m", Page(limit=700)), answer)
    assert len(found) == 700
    assert [bar.start for bar in found] == sorted(bar.start for bar in found)
    assert all((end - start) // 60 < 350 for start, end in asked)
    assert found[-1].start == NOW // 60_000 * 60_000
    assert (found[-1].closed, found[-2].closed) == (False, True)
    with pytest.raises(NotSupported):
        TRADING.candles(INSTRUMENT, "4h", Page())
