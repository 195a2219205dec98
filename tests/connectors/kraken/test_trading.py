"""Kraken's order entry without a server: refusals by kind, ids that hold their time, what a limiter is charged, searches."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

import pytest
from msgspec import UNSET, structs

from connectors import errors
from connectors.catalogue import load
from connectors.contract import Answer, Call, Cost, Effect, Found, Page, Stamp
from connectors.kraken.names import Names
from connectors.kraken.rows import end_reason, order
from connectors.kraken.signing import refusal, result_of
from connectors.kraken.trading import client_id, made_at
from connectors.model import (
    EndReason,
    Instrument,
    InstrumentStatus,
    OrderKind,
    OrderRef,
    OrderRequest,
    OrderStatus,
    Side,
)
from connectors.runtime.clock import Clock
from connectors.runtime.limits import Limits
from connectors.tools import instrument_for

VENUE = load("kraken")
FAMILY = VENUE.families[0]
FACTS: dict[str, Any] = {"assets": {}, "instruments": {}}
D = Decimal


def instrument() -> Instrument:
    return instrument_for({"symbol": "BTC-USD"}, FAMILY, VENUE)


def request(**fields: Any) -> OrderRequest:
    values: dict[str, Any] = {"side": Side.BUY, "kind": OrderKind.LIMIT, "amount": D("0.5"), "price": D(60000)}
    name = client_id(Stamp(1_795_620_000_000, 1, "0123456789abcdef" * 2))
    values |= {"client_id": name, "instrument": instrument()}
    return OrderRequest(**{**values, **fields})


def answered(*texts: str, status: int = 200, result: Any = None, at: int = 0) -> Answer:
    body: dict[str, Any] = {"error": list(texts)}
    if result is not None:
        body["result"] = result
    return Answer(status, json.dumps(body).encode(), got_at=at)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("EAPI:Invalid key", errors.AuthenticationFailed),
        ("EAPI:Invalid signature", errors.AuthenticationFailed),
        ("EAPI:Invalid nonce", errors.NonceTooLow),
        ("EAPI:Rate limit exceeded", errors.RateLimited),
        ("EGeneral:Temporary lockout", errors.AuthenticationFailed),
        ("EGeneral:Permission denied", errors.PermissionDenied),
        ("EAccount:Invalid permissions", errors.PermissionDenied),
        ("ETrade:User Locked", errors.PermissionDenied),
        ("EAuth:Account temporary disabled", errors.AuthenticationFailed),
        ("ESession:Invalid session", errors.SessionExpired),
        ("EOrder:Insufficient funds", errors.InsufficientFunds),
        ("EOrder:Post only order", errors.WouldTake),
        ("EOrder:Unknown order", errors.OrderNotFound),
        ("EOrder:Order minimum not met", errors.BadSize),
        ("EOrder:Cost minimum not met", errors.BadNotional),
        ("EOrder:Tick size check failed", errors.BadPrice),
        ("EOrder:Invalid price", errors.BadPrice),
        ("EOrder:Orders limit exceeded", errors.TooManyOrders),
        ("EOrder:Rate limit exceeded", errors.RateLimited),
        ("EOrder:Domain rate limit exceeded", errors.RateLimited),
        ("EGeneral:Too many requests", errors.RateLimited),
        ("EService: Throttled: 1700000000", errors.RateLimited),
        ("EGeneral:Invalid arguments:volume", errors.BadSize),
        ("EGeneral:Invalid arguments", errors.InvalidOrder),
        ("EGeneral:Invalid arguments:cl_ord_id", errors.DuplicateOrder),
        ("EService:Market in cancel_only mode", errors.MarketClosed),
        ("EService:Market in post_only mode", errors.MarketClosed),
        ("EService:Deadline elapsed", errors.VenueUnavailable),
        ("EQuery:Unknown asset pair", errors.InstrumentUnknown),
        ("Unsupported field: 'price' for the given msg type: add order", errors.NotSupported),
        ("EOrder:Something that nobody has documented", errors.InvalidOrder),
        ("Something that nobody has documented", errors.Refused),
    ],
)
def test_a_refusal_has_its_kind_and_proves_that_nothing_was_executed(text: str, kind: type[Exception]) -> None:
    found = refusal(text, Effect.PLACE)
    assert type(found) is kind
    assert not isinstance(found, errors.OutcomeUnknown)


@pytest.mark.parametrize(
    "text", ["EService:Unavailable", "EService:Busy", "EService:Timeout", "EGeneral:Internal error"]
)
def test_what_gives_no_verdict_leaves_an_order_in_doubt(text: str) -> None:
    assert type(refusal(text, Effect.PLACE)) is errors.OutcomeUnknown
    assert type(refusal(text, Effect.CANCEL)) is errors.OutcomeUnknown
    assert type(refusal(text, Effect.READ)) is errors.VenueUnavailable


@pytest.mark.parametrize("status", [500, 502, 520, 524])
def test_a_page_of_the_proxy_is_no_verdict(status: int) -> None:
    page = Answer(status, b"<!DOCTYPE html><html></html>")
    with pytest.raises(errors.OutcomeUnknown):
        result_of(page, Effect.PLACE)
    with pytest.raises(errors.VenueUnavailable):
        result_of(page, Effect.READ)


def test_the_venues_words_win_over_the_status_and_warnings_are_no_errors() -> None:
    with pytest.raises(errors.InsufficientFunds):
        result_of(answered("EOrder:Insufficient funds", status=520), Effect.PLACE)
    assert result_of(answered("WSomething:that does not matter", result={"a": 1}), Effect.PLACE) == {"a": 1}
    with pytest.raises(errors.Unintelligible):
        result_of(Answer(200, b"<html>"), Effect.PLACE)


def test_a_throttled_key_waits_as_long_as_it_is_told() -> None:
    with pytest.raises(errors.RateLimited) as raised:
        result_of(answered("EService:Throttled: 1700000007", at=1_700_000_000_000), Effect.READ)
    assert raised.value.retry_after == 7


def test_a_client_id_is_a_uuid_that_tells_when_it_was_made() -> None:
    stamp = Stamp(1_795_620_711_298, 1, "fedcba9876543210" * 2)
    name = client_id(stamp)
    assert re.match(FAMILY.ids.pattern, name)
    assert made_at(name) == stamp.time_ms
    assert client_id(Stamp(stamp.time_ms, 2, "0" * 32)) != name
    assert made_at("d15708c1-dbb6-465d-b77d-47258319cc90") is None
    assert made_at("any text") is None


@pytest.mark.parametrize(
    ("passive", "changes", "told"),
    [(True, {"price": D(5)}, "true"), (True, {"amount": D(5)}, None), (False, {"price": D(5), "amount": D(5)}, None)],
)
def test_an_order_that_must_not_take_says_so_again_with_its_new_price(
    passive: bool, changes: dict[str, Any], told: str | None
) -> None:
    """A change of price may take by default, whatever the order said when it was placed."""
    ref = OrderRef(instrument=instrument(), venue_id="O1", post_only=passive)
    step = next(FAMILY.trading.amend(ref, FACTS, **changes))
    assert isinstance(step, Call)
    assert dict(step.params).get("post_only") == told


def test_an_order_that_is_only_checked_says_so_by_both_ways() -> None:
    for facts, told in ((FACTS, False), (FACTS | {"validate": True}, True)):
        ask: Any = next(FAMILY.trading.place(request(), facts, socket=True))
        call: Any = next(FAMILY.trading.place(request(), facts))
        assert ask.payload["params"].get("validate", False) is told
        assert (("validate", "true") in call.params) is told


def test_young_orders_are_dear_to_touch() -> None:
    made = 1_795_620_000_000
    step: Any = next(FAMILY.trading.cancel(OrderRef(instrument=instrument(), venue_id="O1", created=made), FACTS))
    (cost,) = step.costs
    ages = [0, 4.9, 5, 9.9, 12, 30, 60, 200, 300, 5000]
    assert [cost.at(made + int(age * 1000)).weight for age in ages] == [8, 8, 6, 6, 5, 4, 2, 1, 0, 0]
    step = next(FAMILY.trading.amend(OrderRef(instrument=instrument(), venue_id="O1", created=made), FACTS, price=D(1)))
    assert [step.costs[0].at(made + age * 1000).weight for age in (1, 6, 12, 20)] == [4, 3, 2, 1]
    step = next(FAMILY.trading.cancel(OrderRef(instrument=instrument(), venue_id="O1"), FACTS))
    assert step.costs[0].at(made).weight == 8, "of unknown age: as if it were new"
    assert Cost("X", 2).at(made).weight == 2


def test_orders_carry_a_deadline_by_both_ways() -> None:
    stamp = Stamp(1_700_000_000_000, 1_700_000_000_000, "0" * 32)
    secrets = {"key": "k", "secret": "AAAA"}
    for socket in (False, True):
        step: Any = next(FAMILY.trading.place(request(), FACTS, socket=socket))
        wire = FAMILY.signer.seal(
            step if not socket else _numbered(step), secrets, {"token": "T"}, stamp, "https://api.kraken.com"
        )
        told = (
            json.loads(str(wire.frame))["params"] if socket else {k: v[0] for k, v in parse_qs(str(wire.body)).items()}
        )
        assert told["deadline"] == "2023-11-14T22:13:25.000Z"
    read: Any = next(FAMILY.trading.open_orders(None, FACTS))
    assert "deadline" not in str(FAMILY.signer.seal(read, secrets, {}, stamp, "https://api.kraken.com").body)


def _numbered(step: Any) -> Any:
    import dataclasses

    return dataclasses.replace(step, id="1")


@pytest.mark.parametrize(("count", "ended"), [(1, True), ("1", True), (0, False), ("0", False)])
def test_a_cancellation_that_counts_nothing_ended_nothing(count: Any, ended: bool) -> None:
    step = next(FAMILY.trading.cancel(OrderRef(instrument=instrument(), venue_id="O1"), FACTS))
    assert isinstance(step, Call)
    assert (step.read(answered(result={"count": count})).status is OrderStatus.CANCELLED) is ended


def test_only_the_last_bar_can_be_unfinished_whatever_our_clock_says() -> None:
    step = next(FAMILY.trading.candles(instrument(), "1m", Page()))
    assert isinstance(step, Call)
    bars = [[start, "1", "1", "1", "1", "1", "1", 1] for start in (60, 120, 180)]
    for clock, closed in ((0, False), (200_000, False), (240_000, True)):
        found = step.read(answered(result={"XXBTZUSD": bars, "last": 120}, at=clock))
        assert [bar.closed for bar in found] == [True, True, closed]


def test_of_a_bundle_each_order_is_taken_or_refused_for_itself_and_none_is_late() -> None:
    orders = [request(post_only=True), request(client_id="b")]
    step = next(FAMILY.trading.place_batch(orders, FACTS))
    assert isinstance(step, Call)
    assert step.costs == (Cost("ENGINE", 2, "BTC/USD"),)
    secrets = {"key": "k", "secret": "AAAA"}
    body = json.loads(str(FAMILY.signer.seal(step, secrets, {}, Stamp(1_000, 7, "0" * 32), "").body))
    assert (body["nonce"], body["pair"], body["deadline"]) == ("7", "XBTUSD", "1970-01-01T00:00:06.000Z")
    assert [(row["cl_ord_id"], row.get("oflags")) for row in body["orders"]] == [
        (orders[0].client_id, "post"),
        ("b", None),
    ]
    result = {"orders": [{"txid": "O1", "descr": {}}, {"error": "EOrder:Insufficient funds"}]}
    taken, refused = step.read(answered(result=result))
    assert (taken.venue_id, taken.status, taken.client_id) == ("O1", OrderStatus.PENDING, orders[0].client_id)
    assert (refused.status, refused.reason, refused.client_id) == (
        OrderStatus.REJECTED,
        "EOrder:Insufficient funds",
        "b",
    )


def test_small_numbers_are_written_without_exponent() -> None:
    step: Any = next(FAMILY.trading.place(request(amount=D("1E-8"), price=D("1E-7")), FACTS, socket=True))
    frame = FAMILY.signer.seal(_numbered(step), {}, {"token": "T"}, Stamp(0, 0, ""), "").frame
    assert '"order_qty":0.00000001' in str(frame)
    assert '"limit_price":0.0000001' in str(frame)


def test_a_private_key_that_is_none_is_named_and_not_shown() -> None:
    step: Any = next(FAMILY.trading.open_orders(None, FACTS))
    with pytest.raises(errors.AuthenticationFailed) as raised:
        FAMILY.signer.seal(step, {"key": "k", "secret": "not base64!"}, {}, Stamp(1, 1, ""), "")
    assert "not base64!" not in str(raised.value)
    with pytest.raises(errors.AuthenticationFailed):
        FAMILY.signer.seal(step, {}, {}, Stamp(1, 1, ""), "")


def test_money_is_spent_by_market_buys_only() -> None:
    for fields in ({"side": Side.SELL}, {"kind": OrderKind.LIMIT, "price": D(1)}):
        wish = {"kind": OrderKind.MARKET, "price": None, "amount": None, "quote_amount": D(5), **fields}
        with pytest.raises(errors.NotSupported):
            FAMILY.trading.place(request(**wish), FACTS)


def test_a_nonce_leaps_above_what_the_venue_has_seen() -> None:
    clock = Clock(wall=lambda: 1_700_000_000.0)
    first = clock.stamp().nonce
    clock.leap()
    assert clock.stamp().nonce > first + 59_999


# ---------------------------------------------------------------------------------------------------------------------
# Rows and searches


def row(**fields: Any) -> dict[str, Any]:
    descr = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "price": "60000.0", "price2": "0"}
    values = {"status": "open", "opentm": 1_795_620_000.5, "vol": "0.5", "vol_exec": "0", "cost": "0", "fee": "0"}
    return {"descr": descr, "price": "0", "misc": "", "oflags": "fciq", **values, **fields}


def test_an_order_by_money_whose_filled_volume_could_be_money_too_tells_no_volume() -> None:
    done = {"status": "closed", "oflags": "fciq,viqc", "vol": "5.00000", "cost": "5.00000", "price": "62800.1"}
    in_quote = order("O1", row(**done, vol_exec="5.00000000"), Names())
    assert (in_quote.filled, in_quote.average, in_quote.quote_amount) == (UNSET, UNSET, D("5.00000"))
    in_base = order("O1", row(**done, vol_exec="0.00007962"), Names())
    assert in_base.filled == D("0.00007962")


def test_a_listed_order_does_not_say_when_it_was_changed() -> None:
    """given an order that was changed after it began, then its row is no older news than what the stream told last."""
    listed = order("O1", row(), Names())
    assert (listed.created, listed.time) == (1_795_620_000_500, UNSET)
    assert order("O1", row(status="canceled", closetm=1_795_620_007.25), Names()).time == 1_795_620_007_250


def test_a_stop_waits_until_its_trigger_was_passed() -> None:
    descr = {"pair": "XBTUSD", "type": "sell", "ordertype": "stop-loss-limit", "price": "96.0", "price2": "95.0"}
    waits = order("O1", row(descr=descr), Names({"XBTUSD": "BTC/USD"}))
    assert (waits.wire, waits.trigger, waits.price) == ("BTC/USD", 96, 95)
    assert waits.status is OrderStatus.UNTRIGGERED
    assert order("O1", row(descr=descr, misc="stopped"), Names()).status is OrderStatus.OPEN
    assert order("O1", row(descr=descr, vol_exec="0.1"), Names()).status is OrderStatus.PARTLY_FILLED


@pytest.mark.parametrize(
    ("price", "stop", "trigger"),
    [("+1.0000%", "94.5", D("94.5")), ("+100", "0.00000", UNSET), ("#2", None, UNSET), ("96.0", "94.5", D("96.0"))],
)
def test_a_price_relative_to_the_market_is_no_price(price: str, stop: str | None, trigger: Any) -> None:
    descr = {"pair": "XBTUSD", "type": "sell", "ordertype": "trailing-stop-limit", "price": price, "price2": "-0.5%"}
    found = order("O1", {**row(descr=descr), **({"stopprice": stop} if stop else {})}, Names())
    assert (found.kind, found.trigger, found.price) == (OrderKind.STOP_LIMIT, trigger, UNSET)


@pytest.mark.parametrize("name", ["XXBTZUSD", "XBTUSD", "XBT/USD"])
def test_answers_may_use_any_name_of_a_pair(name: str) -> None:
    listed = _extra(instrument())
    facts = {"assets": {}, "instruments": {"BTC/USD": listed}}
    step = next(FAMILY.trading.tickers([listed]))
    assert isinstance(step, Call)
    quotes = {"a": ["3", "1", "1"], "b": ["2", "1", "1"], "c": ["2", "1"], **{key: ["4", "4"] for key in "vphl"}}
    assert [each.wire for each in step.read(answered(result={name: quotes}))] == ["BTC/USD"]
    step = next(FAMILY.trading.open_orders(listed, facts))
    assert isinstance(step, Call)
    descr = {"pair": name, "type": "buy", "ordertype": "limit", "price": "96.0", "price2": "0"}
    (found,) = step.read(answered(result={"open": {"O1": row(descr=descr)}}))
    assert found.wire == "BTC/USD"
    flow = FAMILY.trading.fills(listed, Page(), facts)
    step = next(flow)
    assert isinstance(step, Call)
    paid = {"ordertxid": "O1", "pair": name, "time": 7, "type": "sell", "price": "3", "fee": "1", "vol": "2"}
    fills, *_ = step.read(answered(result={"trades": {"T1": paid}, "count": 1}))
    assert [each.wire for each in fills] == ["BTC/USD"]


def test_an_order_of_a_sort_that_is_not_offered_here_is_listed_all_the_same() -> None:
    descr = {"pair": "XBTUSD", "type": "sell", "ordertype": "something-new", "price": "96.0", "price2": "0"}
    found = order("O1", row(descr=descr), Names())
    assert (found.side, found.kind, found.price, found.status) == (Side.SELL, UNSET, UNSET, OrderStatus.OPEN)


@pytest.mark.parametrize(
    ("words", "tif", "reason"),
    [
        ("User requested", "gtc", EndReason.USER),
        ("Post only order", "gtc", EndReason.POST_ONLY),
        ("", "ioc", EndReason.IOC_REST),
        ("", "FOK", EndReason.FOK),
        ("Something else", "", EndReason.OTHER),
    ],
)
def test_why_an_order_ended(words: str, tif: str, reason: EndReason) -> None:
    assert end_reason("canceled", words, tif) is reason


def drive(flow: Any, answers: list[Any]) -> tuple[Any, list[Call]]:
    """A flow's result, and what it asked, with these results in turn."""
    steps: list[Call] = []
    try:
        step = next(flow)
        while True:
            steps.append(step)
            step = flow.send(step.read(answered(result=answers.pop(0))))
    except StopIteration as stop:
        return stop.value, steps


def test_a_search_reads_closed_orders_back_to_the_moment_when_the_id_was_made() -> None:
    wish = request()
    pages = [
        {"closed": {f"O{n}": row(status="closed", cl_ord_id=f"other {n}") for n in range(50)}, "count": 51},
        {"closed": {"OX": row(status="canceled", cl_ord_id=wish.client_id)}, "count": 51},
    ]
    found, steps = drive(FAMILY.trading.search(wish, FACTS), [{"open": {}}, *pages])
    assert (found.found, found.order.venue_id, found.order.status) == (Found.FOUND, "OX", OrderStatus.CANCELLED)
    assert [step.path.rpartition("/")[2] for step in steps] == ["OpenOrders", "ClosedOrders", "ClosedOrders"]
    assert dict(steps[0].params)["cl_ord_id"] == wish.client_id
    assert [dict(step.params) for step in steps[1:]] == [{"start": "1795619940"}, {"start": "1795619940", "ofs": "50"}]


def test_an_order_that_is_nowhere_is_not_yet_there() -> None:
    found, _ = drive(FAMILY.trading.search(request(), FACTS), [{"open": {}}, {"closed": {}, "count": 0}])
    assert found.found is Found.NOT_YET


def test_fills_of_a_window_are_all_read_whatever_their_number() -> None:
    def page(start: int, size: int) -> dict[str, Any]:
        fields = {
            "ordertxid": "O",
            "type": "buy",
            "price": "1",
            "cost": "1",
            "fee": "0.1",
            "vol": "1",
            "pair": "XBTUSD",
        }
        return {"trades": {f"T{n}": {**fields, "time": 2000.0 - n} for n in range(start, start + size)}, "count": 120}

    flow = FAMILY.trading.fills(instrument(), Page(start=0, limit=10), FACTS)
    found, steps = drive(flow, [page(0, 50), page(50, 50), page(100, 20)])
    assert [dict(step.params).get("ofs") for step in steps] == [None, "50", "100"]
    assert [fill.id for fill in found] == [f"T{n}" for n in reversed(range(120))], "oldest first"
    assert all(step.costs == (Cost("COUNTER", 2),) for step in steps)


def test_cancelling_everything_of_an_instrument_leaves_other_instruments_alone() -> None:
    rows = {"O1": row(), "O2": row(descr={**row()["descr"], "pair": "ETHUSD"}), "O3": row()}
    listed = instrument()
    names = {"assets": {}, "instruments": {"BTC/USD": _extra(listed)}}
    found, steps = drive(FAMILY.trading.cancel_all(listed, names), [{"open": rows}, {"count": 2}])
    assert [update.venue_id for update in found] == ["O1", "O3"]
    assert steps[1].body == {"orders": ["O1", "O3"]}
    found, _ = drive(FAMILY.trading.cancel_all(listed, names), [{"open": rows}, {"count": 1}])
    assert found == [], "one had ended already, and which is not told"


def _extra(listed: Instrument) -> Instrument:
    return structs.replace(listed, extra={"pair": "XBTUSD", "id": "XXBTZUSD"})


@pytest.mark.parametrize(
    ("mode", "status", "kinds"),
    [
        ("online", InstrumentStatus.TRADING, len(OrderKind)),
        ("post_only", InstrumentStatus.TRADING, 1),
        ("limit_only", InstrumentStatus.TRADING, 1),
        ("cancel_only", InstrumentStatus.CANCEL_ONLY, len(OrderKind)),
        ("delisted", InstrumentStatus.CLOSED, len(OrderKind)),
    ],
)
def test_a_pairs_mode_says_what_it_takes(mode: str, status: InstrumentStatus, kinds: int) -> None:
    pair = {"wsname": "XBT/USD", "altname": "XBTUSD", "pair_decimals": 1, "lot_decimals": 8, "status": mode}
    step: Any = next(FAMILY.trading.instruments())
    (found,) = step.read(answered(result={"XXBTZUSD": pair}))
    assert (found.status, len(found.kinds)) == (status, kinds)


def test_pairs_of_other_venues_are_left_out() -> None:
    pair = {"altname": "XBTUSD", "pair_decimals": 1, "lot_decimals": 8}
    listed = {
        "A": {**pair, "wsname": "XBT/USD:BTNL"},
        "B": {**pair, "wsname": "XBT/USD", "execution_venue": "bitnomial_exchange"},
        "C": pair,
    }
    step: Any = next(FAMILY.trading.instruments())
    assert step.read(answered(result=listed)) == []


async def test_reading_balances_leaves_room_for_the_search_of_an_order() -> None:
    now = 0.0

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    limits = Limits(FAMILY.buckets, lambda: now, sleep)
    balances: Any = next(FAMILY.trading.balances(FACTS))
    for _ in range(100):
        await limits.take(balances.costs, balances.effect)
    began = now
    for step in (next(FAMILY.trading.search(request(), FACTS)) for _ in range(8)):
        assert isinstance(step, Call)
        await limits.take(step.costs, step.effect)
    assert now == began, "eight questions at once, after five minutes of balances"
