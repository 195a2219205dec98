"""What only KuCoin's requests have: refusals in numbers and words, stop orders apart, lots, accounts of the other kind."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from connectors.catalogue import load
from connectors.contract import Answer, Call, Effect, Found, Page, Security, Stamp
from connectors.errors import (
    AuthenticationFailed,
    BadNotional,
    BadPrice,
    BadSize,
    ClockSkewed,
    DuplicateOrder,
    InstrumentUnknown,
    InsufficientFunds,
    MarketClosed,
    NoSuchAccount,
    NotPrepared,
    NotSupported,
    OrderNotFound,
    OutcomeUnknown,
    PermissionDenied,
    RateLimited,
    ReduceOnlyRefused,
    Refused,
    TooManyOrders,
    VenueError,
)
from connectors.kucoin.signing import KucoinSigner, read_data, refusal
from connectors.model import (
    Instrument,
    InstrumentStatus,
    OrderKind,
    OrderRef,
    OrderRequest,
    OrderStatus,
    Side,
    TimeInForce,
    Unit,
)
from connectors.tools import instrument_for

D = Decimal
VENUE = load("kucoin")
SPOT: Any = VENUE.family("spot").trading
FUTURES: Any = VENUE.family("futures").trading
BTC = instrument_for({"symbol": "BTC-USDT"}, VENUE.family("spot"), VENUE)
XBT = instrument_for({"symbol": "BTC-USDT"}, VENUE.family("futures"), VENUE)


def answer(data: Any, **fields: Any) -> Answer:
    return Answer(
        fields.get("status", 200), json.dumps({"code": "200000", "data": data}).encode(), got_at=1_800_000_000_000
    )


def error(code: str, text: str, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    return Answer(status, json.dumps({"code": code, "msg": text}).encode(), headers or {})


class Drive:
    """A flow, step by step."""

    def __init__(self, flow: Any) -> None:
        self.flow = flow
        self.calls: list[Call] = []
        self.result: Any = None
        self._go(lambda: next(flow))

    def _go(self, move: Any) -> None:
        try:
            self.calls.append(move())
        except StopIteration as stop:
            self.result = stop.value

    def answered(self, found: Answer) -> Drive:
        try:
            value = self.calls[-1].read(found)
        except VenueError as raised:
            said = raised
            self._go(lambda: self.flow.throw(said))
        else:
            self._go(lambda: self.flow.send(value))
        return self

    @property
    def paths(self) -> list[str]:
        return [f"{call.method} {call.path}" for call in self.calls]


def request(instrument: Instrument = BTC, **fields: Any) -> OrderRequest:
    values: dict[str, Any] = {"kind": OrderKind.LIMIT, "side": Side.BUY, "amount": D(1), "price": D(100)}
    return OrderRequest(client_id="mine", instrument=instrument, **{**values, **fields})


def ref(instrument: Instrument = BTC, **fields: Any) -> OrderRef:
    return OrderRef(instrument=instrument, **fields)


# Refusals


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        ("200004", "Balance insufficient!", InsufficientFunds),
        ("400100", "order_not_exist_or_not_allow_to_cancel", OrderNotFound),
        ("400100", "Order not exist or not allow to be cancelled", OrderNotFound),
        ("400100", "Order size below the minimum requirement.", BadSize),
        ("400100", "price not in the given range!", BadPrice),
        ("400100", "clientOid duplicate", DuplicateOrder),
        ("600100", "Order size increment invalid.", BadSize),
        ("600100", "Funds below the minimum requirement.", BadNotional),
        ("600101", "The order funds should more then 0.1 USDT.", BadNotional),
        ("300000", "The quantity is invalid.", BadSize),
        ("400370", "Max. price: 0.02500000000000000000", BadPrice),
        ("900001", "symbol not exists", InstrumentUnknown),
        ("400600", "validation.createOrder.symbolNotAvailable", MarketClosed),
        ("200003", "too many", TooManyOrders),
        ("400413", "hidden and iceberg orders are not supported any more.", NotSupported),
        ("400002", "KC-API-TIMESTAMP Invalid", ClockSkewed),
        ("400005", "Invalid KC-API-SIGN", AuthenticationFailed),
        ("400006", "The requested ip address is not in the api whitelist", PermissionDenied),
        ("112010", "Invalid Unified Account user.", PermissionDenied),
        ("330005", "The order's margin mode does not match the selected one.", NotPrepared),
        ("330012", "The position mode does not match.", NotSupported),
        ("300009", "No open positions to close.", ReduceOnlyRefused),
        ("100001", "error.getOrder.orderNotExist", OrderNotFound),
        ("100004", "Order is in not cancelable state", OrderNotFound),
        ("429000", "Too many requests. System-level rate limit exceeded.", RateLimited),
        ("500000", "Internal Server Error", OutcomeUnknown),
        ("777777", "something new", Refused),
    ],
)
def test_refusals_by_code_and_words(code: str, text: str, kind: type[VenueError]) -> None:
    found = refusal(code, text, 200)
    assert type(found) is kind
    assert (found.code, found.text) == (code, text)


def test_one_code_means_two_things_on_two_hosts() -> None:
    assert isinstance(refusal("200003", "Invalid symbol.", futures=True), InstrumentUnknown)
    assert isinstance(refusal("200003", "too many"), TooManyOrders)
    assert isinstance(refusal("200002", "Exceeded the access frequency"), RateLimited)
    assert isinstance(refusal("200002", "cancel suspended"), MarketClosed)


def test_the_pool_says_when_it_is_full_again() -> None:
    with pytest.raises(RateLimited) as raised:
        read_data(error("429000", "Too many requests.", 429, {"gw-ratelimit-reset": "2500"}))
    assert raised.value.retry_after == 2.5
    with pytest.raises(RateLimited) as raised:
        read_data(Answer(429, b"<html>error 1015</html>"))
    assert raised.value.retry_after is None


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (error("200004", "Balance insufficient!", 500), InsufficientFunds),  # the verdict stands before the status
        (Answer(502, b"<html>Bad Gateway</html>"), OutcomeUnknown),
        (error("500000", "Internal Server Error", 500), OutcomeUnknown),
        (Answer(503, b'{"code":"999999","msg":"?"}'), OutcomeUnknown),
        (error("999999", "something new", 500), OutcomeUnknown),  # a code that nobody knows proves nothing there
        (error("999999", "something new", 502), OutcomeUnknown),
        (error("999999", "something new", 400), Refused),
        (Answer(500, b'{"code":"200000","data":{}}'), OutcomeUnknown),
        (Answer(403, b"denied"), PermissionDenied),
    ],
)
def test_what_proves_that_nothing_was_executed(found: Answer, kind: type[VenueError]) -> None:
    with pytest.raises(kind):
        read_data(found)


# Signing


def test_the_passphrase_never_travels_as_it_is_and_the_keys_version_is_its_own() -> None:
    step = next(SPOT.balances({}))
    secrets = {"key": "k", "secret": "s", "passphrase": "open sesame"}
    wire = KucoinSigner().seal(step, secrets, {"key_version": "3"}, Stamp(5, 5, ""), "https://api.kucoin.com")
    assert wire.headers["KC-API-KEY-VERSION"] == "3"
    assert not any("sesame" in value for value in wire.headers.values())


@pytest.mark.parametrize("lack", ["key", "secret", "passphrase"])
def test_a_key_that_is_not_whole_is_told_in_words(lack: str) -> None:
    secrets = {name: "x" for name in ("key", "secret", "passphrase") if name != lack}
    with pytest.raises(AuthenticationFailed):
        KucoinSigner().seal(next(SPOT.balances({})), secrets, {}, Stamp(5, 5, ""), "")


# Books


def test_the_whole_book_is_asked_for_with_a_key_and_a_hundred_levels_without() -> None:
    drive = Drive(SPOT.book(BTC))
    assert drive.calls[0].security is Security.SIGNED
    drive._go(lambda: drive.flow.throw(AuthenticationFailed("this needs an API key")))
    assert drive.calls[1].security is Security.NONE
    drive.answered(answer({"sequence": "7", "bids": [["1", "2"]], "asks": None, "time": 5}))
    assert drive.paths == [
        "GET /api/v3/market/orderbook/level2",
        "GET /api/v1/market/orderbook/level2_100",
    ]
    assert (drive.result.id, drive.result.depth, len(drive.result.bids)) == (7, 100, 1)


# Instruments


def row(**fields: Any) -> dict[str, Any]:
    values = {
        "symbol": "BTC-USDT",
        "name": "BTC-USDT",
        "baseCurrency": "BTC",
        "quoteCurrency": "USDT",
        "feeCurrency": "USDT",
        "baseMinSize": "0.00001",
        "quoteMinSize": "0.1",
        "baseMaxSize": "10000",
        "quoteMaxSize": "99999999",
        "baseIncrement": "0.00000001",
        "quoteIncrement": "0.000001",
        "priceIncrement": "0.1",
        "enableTrading": True,
        "minFunds": None,
        "tradingStartTime": None,
    }
    return {**values, **fields}


def listed(*rows: Any) -> list[Instrument]:
    return Drive(SPOT.instruments()).answered(answer(list(rows))).result


def test_a_renamed_coin_shows_its_new_name_and_is_asked_for_by_its_old_one() -> None:
    (found,) = listed(row(symbol="BCHSV-USDT", baseCurrency="BSV"))
    assert (found.symbol, found.wire, found.base) == ("BSV-USDT", "BCHSV-USDT", "BSV")
    assert found.min_notional == D("0.1")  # an old row without the newer field


def test_two_symbols_never_come_to_one_name() -> None:
    found = listed(row(symbol="BCHSV-USDT", baseCurrency="BSV"), row(symbol="BSV-USDT", baseCurrency="BSV"))
    assert [(each.symbol, each.wire) for each in found] == [("BCHSV-USDT", "BCHSV-USDT"), ("BSV-USDT", "BSV-USDT")]
    found.reverse()
    again = listed(row(symbol="BSV-USDT", baseCurrency="BSV"), row(symbol="BCHSV-USDT", baseCurrency="BSV"))
    assert [(each.symbol, each.wire) for each in again] == [("BSV-USDT", "BSV-USDT"), ("BCHSV-USDT", "BCHSV-USDT")]


def test_a_buyer_pays_the_fee_in_quote_too() -> None:
    """given the asset that a row names for fees, then what an order needs and costs is reckoned in it."""
    raw = row()
    assert raw["feeCurrency"] == raw["quoteCurrency"]
    assert VENUE.family("spot").capabilities.fee_in_quote


def test_what_does_not_trade_yet_is_closed() -> None:
    halted, opening, open_ = listed(
        row(enableTrading=False),
        row(symbol="A-USDT", baseCurrency="A", tradingStartTime=1_800_000_000_001),
        row(symbol="B-USDT", baseCurrency="B", tradingStartTime=1_700_000_000_000),
    )
    assert [each.status for each in (halted, opening, open_)] == [
        InstrumentStatus.CLOSED,
        InstrumentStatus.CLOSED,
        InstrumentStatus.TRADING,
    ]


def contract(**fields: Any) -> Instrument:
    values = {
        "symbol": "XBTUSDM",
        "type": "FFWCSX",
        "baseCurrency": "XBT",
        "quoteCurrency": "USD",
        "settleCurrency": "XBT",
        "isInverse": True,
        "multiplier": -1,
        "lotSize": 1,
        "tickSize": 0.1,
        "maxOrderQty": 10_000_000,
        "maxPrice": 1_000_000,
        "maxLeverage": 125,
        "status": "Open",
    }
    (found,) = Drive(FUTURES.instruments()).answered(answer([{**values, **fields}])).result
    return found


def test_inverse_contracts_have_a_negative_multiplier_of_quote() -> None:
    found = contract()
    assert (found.symbol, found.settle, found.unit, found.multiplier) == ("BTC-USD", "BTC", Unit.INVERSE, 1)
    assert found.notional(D(50_000), D(100)) == D("0.002")


def test_dated_contracts_carry_their_date() -> None:
    found = contract(symbol="XBTMZ26", type="FFICSX", expireDate=1798185600000)
    assert (found.symbol, found.market) == ("BTC-USD-261225", "future")


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("Open", InstrumentStatus.TRADING),
        ("CancelOnly", InstrumentStatus.CANCEL_ONLY),
        ("BeingSettled", InstrumentStatus.CLOSED),
        ("Something", InstrumentStatus.CLOSED),
    ],
)
def test_contracts_that_do_not_trade(word: str, status: InstrumentStatus) -> None:
    assert contract(status=word).status is status


# Orders


@pytest.mark.parametrize(
    ("kind", "side", "word"),
    [
        (OrderKind.STOP_LIMIT, Side.BUY, "entry"),
        (OrderKind.STOP_LIMIT, Side.SELL, "loss"),
        (OrderKind.TAKE_PROFIT_LIMIT, Side.BUY, "loss"),
        (OrderKind.TAKE_PROFIT_LIMIT, Side.SELL, "entry"),
    ],
)
def test_stop_orders_say_which_way_the_price_must_go(kind: OrderKind, side: Side, word: str) -> None:
    call = next(SPOT.place(request(kind=kind, side=side, trigger=D(110)), {}))
    assert (call.path, call.body["stop"], call.body["stopPrice"]) == ("/api/v1/stop-order", word, "110")
    up = next(FUTURES.place(request(XBT, kind=kind, side=side, trigger=D(110)), {}))
    assert up.body["stop"] == ("up" if word == "entry" else "down")
    assert (up.path, up.body["stopPriceType"]) == ("/api/v1/orders", "TP")


def test_nothing_hidden_is_ever_sent() -> None:
    for trading, instrument in ((SPOT, BTC), (FUTURES, XBT)):
        for tif in TimeInForce:
            body = next(trading.place(request(instrument, tif=tif), {})).body
            assert not {"hidden", "iceberg", "visibleSize"} & body.keys()
            assert body.get("timeInForce", "GTC") == tif.upper()


def test_lots_are_whole_and_parts_are_left_to_the_venue_to_refuse() -> None:
    assert next(FUTURES.place(request(XBT, amount=D("7.0")), {})).body["size"] == 7
    assert next(FUTURES.place(request(XBT, amount=D("7.5")), {})).body["size"] == "7.5"


def test_an_order_names_margin_mode_and_leverage_as_far_as_they_are_known() -> None:
    body = next(FUTURES.place(request(XBT), {})).body
    assert not {"leverage", "marginMode"} & body.keys()
    facts = Drive(FUTURES.prepare(XBT, {})).answered(
        answer({"symbol": "XBTUSDTM", "marginMode": "CROSS", "crossMarginLeverage": "7", "isolatedMarginLeverage": "3"})
    )
    body = next(FUTURES.place(request(XBT), facts.result)).body
    assert (body["leverage"], body["marginMode"]) == (7, "CROSS")


def test_leverage_of_isolated_margin_goes_with_the_orders() -> None:
    drive = Drive(FUTURES.set_leverage(XBT, 5, {}))
    drive.answered(answer({"symbol": "XBTUSDTM", "marginMode": "ISOLATED", "isolatedMarginLeverage": "3"}))
    assert len(drive.calls) == 1
    assert next(FUTURES.place(request(XBT), drive.result)).body["leverage"] == 5
    drive = Drive(FUTURES.set_leverage(XBT, 5, {}))
    drive.answered(answer({"symbol": "XBTUSDTM", "marginMode": "CROSS"})).answered(answer(True))
    assert drive.paths[-1] == "POST /api/v2/changeCrossUserLeverage"


def test_a_hedged_account_is_refused_in_words() -> None:
    with pytest.raises(NotSupported, match="hedge"):
        FUTURES.place(request(XBT), {"hedge": True})


def test_open_orders_of_everything_are_asked_symbol_by_symbol() -> None:
    drive = Drive(SPOT.open_orders(None, {})).answered(answer({"symbols": ["A-USDT", "B-USDT"]}))
    drive.answered(answer([])).answered(answer([])).answered(answer({"totalPage": 0, "items": []}))
    assert [dict(call.params).get("symbol") for call in drive.calls] == [None, "A-USDT", "B-USDT", None]
    assert drive.result == []


def test_a_stop_that_has_triggered_is_cancelled_as_the_order_that_it_became() -> None:
    drive = Drive(SPOT.cancel(ref(venue_id="vs1", client_id="mine", algo=True), {}))
    drive.answered(error("400100", "order_not_exist_or_not_allow_to_cancel")).answered(answer({"orderId": "x"}))
    assert drive.paths == ["DELETE /api/v1/stop-order/vs1", "DELETE /api/v1/hf/orders/client-order/mine"]
    drive = Drive(SPOT.cancel(ref(client_id="mine", algo=True), {}))
    drive.answered(answer({"totalPage": 0, "items": []})).answered(answer({"clientOid": "mine"}))
    assert drive.paths[-1] == "DELETE /api/v1/hf/orders/client-order/mine"


def test_the_answer_to_a_cancel_names_the_order() -> None:
    for trading, told, names in (
        (SPOT, {"orderId": "67"}, ("67", "")),
        (SPOT, {"clientOid": "mine"}, ("", "mine")),
        (FUTURES, {"cancelledOrderIds": ["23"]}, ("23", "")),
        (FUTURES, {"clientOid": "mine"}, ("", "mine")),
        (FUTURES, None, ("", "")),
    ):
        update = Drive(trading.cancel(ref(), {})).answered(answer(told)).result
        assert (update.venue_id, update.client_id) == names


def test_both_lists_of_open_contracts_orders_are_read_to_their_last_page() -> None:
    def page(total: int, *numbers: str) -> Answer:
        rows = [
            {
                "id": number,
                "symbol": "XBTUSDTM",
                "side": "buy",
                "type": "limit",
                "price": "1",
                "size": 1,
                "isActive": True,
            }
            for number in numbers
        ]
        return answer({"totalPage": total, "items": rows})

    drive = Drive(FUTURES.open_orders(XBT, {}))
    for found in (page(2, "1", "2"), page(2, "3"), page(1, "4")):
        drive.answered(found)
    assert [(call.path, dict(call.params).get("currentPage")) for call in drive.calls] == [
        ("/api/v1/orders", None),
        ("/api/v1/orders", "2"),
        ("/api/v1/stopOrders", None),
    ]
    assert [row.venue_id for row in drive.result] == ["1", "2", "3", "4"]


def test_orders_are_looked_up_by_our_own_id_since_the_venues_may_change() -> None:
    drive = Drive(SPOT.order(ref(venue_id="old", client_id="mine"), {}))
    assert drive.paths == ["GET /api/v1/hf/orders/client-order/mine"]
    drive.answered(error("400100", "order not exist"))
    assert drive.paths[-1] == "GET /api/v1/hf/orders/old"


def test_a_lost_stop_order_is_looked_for_among_those_that_wait_and_among_those_that_work() -> None:
    order = request(kind=OrderKind.STOP, price=None, trigger=D(110))
    drive = Drive(SPOT.search(order, {})).answered(answer({"totalPage": 0, "items": []}))
    drive.answered(error("400100", "order not exist"))
    assert drive.result.found is Found.NOT_YET
    assert drive.paths == ["GET /api/v1/stop-order", "GET /api/v1/hf/orders/client-order/mine"]


def old(**fields: Any) -> dict[str, Any]:
    values = {
        "id": "old",
        "clientOid": "mine",
        "symbol": "BTC-USDT",
        "type": "limit",
        "side": "buy",
        "price": "100",
        "size": "2",
        "dealSize": "0.5",
        "dealFunds": "50",
        "active": True,
        "cancelExist": False,
        "timeInForce": "GTC",
        "createdAt": 1,
        "lastUpdatedAt": 2,
    }
    return {**values, **fields}


def test_an_amend_asks_only_for_what_is_left_of_the_total() -> None:
    drive = Drive(SPOT.amend(ref(venue_id="old", client_id="mine"), {}, price=D(101), amount=D(3)))
    drive.answered(answer(old()))
    assert drive.calls[-1].body == {"symbol": "BTC-USDT", "orderId": "old", "newPrice": "101", "newSize": "2.5"}
    assert drive.calls[-1].effect is Effect.AMEND
    drive.answered(answer({"newOrderId": "new", "clientOid": "mine"}))
    drive.answered(answer(old(dealSize="0.75", active=False, cancelExist=True)))  # filled on, before it ended
    update = drive.result
    assert (update.venue_id, update.previous_id, update.client_id) == ("new", "old", "mine")
    assert (update.amount, update.filled) == (D("2.5"), D("0.75"))


def test_an_amend_whose_after_look_fails_was_still_made() -> None:
    drive = Drive(SPOT.amend(ref(venue_id="old"), {}, price=D(101))).answered(answer(old()))
    drive.answered(answer({"newOrderId": "new"})).answered(Answer(502, b""))
    assert (drive.result.venue_id, drive.result.filled) == ("new", D("0.5"))


def test_an_amend_below_what_is_filled_is_not_sent() -> None:
    drive = Drive(SPOT.amend(ref(venue_id="old"), {}, amount=D("0.5")))
    with pytest.raises(Refused):
        drive.answered(answer(old()))


@pytest.mark.parametrize(("seconds", "timeout"), [(0, -1), (2, 5), (30, 30), (1e6, 86400)])
def test_the_dead_mans_switch_has_bounds(seconds: float, timeout: int) -> None:
    assert next(SPOT.dead_man(BTC, seconds, {})).body == {"timeout": timeout, "symbols": "BTC-USDT"}
    assert next(SPOT.dead_man(None, seconds, {})).body["symbols"] == ""


def test_fills_come_page_by_page_and_oldest_first() -> None:
    def page(first: int, count: int) -> Answer:
        rows = [
            {
                "tradeId": number,
                "orderId": "o",
                "symbol": "BTC-USDT",
                "side": "buy",
                "liquidity": "taker",
                "price": "1",
                "size": "1",
                "fee": "0.1",
                "feeCurrency": "USDT",
                "createdAt": 1000 + number // 10,
            }
            for number in range(first, first - count, -1)
        ]
        return answer({"items": rows, "lastId": first - count + 1})

    drive = Drive(SPOT.fills(BTC, Page(start=5), {})).answered(page(150, 100)).answered(page(50, 20))
    assert [dict(call.params).get("lastId") for call in drive.calls] == [None, "51"]
    assert [fill.id for fill in drive.result] == [str(number) for number in range(31, 151)]


# Accounts


def login(trading: Any, *answers: Any) -> Any:
    drive = Drive(trading.login())
    for found in answers:
        drive.answered(found if isinstance(found, Answer) else answer(found))
    return drive


KEY = {"permission": "General,Spot,Futures", "apiVersion": 3, "siteType": "global"}


def test_a_unified_account_is_told_in_words_before_anything_is_sent() -> None:
    for trading in (SPOT, FUTURES):
        with pytest.raises(PermissionDenied, match="Unified"):
            login(trading, {"selfAccountMode": "UNIFIED"})


def test_an_account_that_does_not_know_the_question_is_classic() -> None:
    drive = login(SPOT, error("404000", "Url Not Found", 404), KEY, [{"type": "trade", "balance": "1"}])
    assert drive.result["key"].can_trade is True


def test_a_key_for_one_product_leaves_the_other_absent() -> None:
    with pytest.raises(NoSuchAccount, match="Futures"):
        login(FUTURES, {"selfAccountMode": "CLASSIC"}, {**KEY, "permission": "General,Spot"})
    reads = login(FUTURES, {"selfAccountMode": "CLASSIC"}, {**KEY, "permission": "General"}, [], [])
    assert reads.result["key"].can_trade is False


def test_what_a_key_is_told_with() -> None:
    row = {**KEY, "permission": "General,Spot,Withdrawal", "expiredAt": 1798185600000, "siteType": "australia"}
    facts = login(SPOT, {"selfAccountMode": "CLASSIC"}, row, [{"type": "trade", "balance": "1"}]).result
    assert (facts["key"].can_withdraw, facts["site"]) == (True, "australia")
    assert "2026-12-25" in facts["key"].note


@pytest.mark.parametrize("kind", ["trade", "trade_hf"])
def test_the_trading_account_is_read_under_the_name_that_it_has(kind: str) -> None:
    """given a list that does not hold what the stream told, then it would be taken for spent."""
    row = {"type": kind, "currency": "USDT", "balance": "5", "available": "4", "holds": "1"}
    facts = login(SPOT, {"selfAccountMode": "CLASSIC"}, KEY, [{**row, "type": "main"}, row]).result
    drive = Drive(SPOT.balances(facts))
    assert dict(drive.calls[-1].params) == {"type": kind}
    drive.answered(answer([row]))
    assert [(found.asset, found.total, found.available) for found in drive.result] == [("USDT", 5, 4)]


def test_hedge_mode_is_seen_at_login() -> None:
    rows = [{"positionSide": "LONG", "currentQty": 5}]
    assert login(FUTURES, {"selfAccountMode": "CLASSIC"}, KEY, rows, []).result["hedge"] is True


def test_every_currency_that_a_contract_settles_in_is_asked_for() -> None:
    listed = [{"settleCurrency": name} for name in ("USDT", "ETH", "XBT", "ETH")]
    facts = login(FUTURES, {"selfAccountMode": "CLASSIC"}, KEY, [], listed).result
    drive = Drive(FUTURES.balances(facts))
    for currency in ("USDT", "USDC", "XBT", "ETH"):
        assert dict(drive.calls[-1].params) == {"currency": currency}
        drive.answered(
            answer(
                {
                    "currency": currency,
                    "accountEquity": 3,
                    "unrealisedPNL": 1,
                    "positionMargin": 0.5,
                    "availableBalance": 2.5,
                }
            )
        )
    assert [(row.asset, row.total) for row in drive.result] == [("USDT", 2), ("USDC", 2), ("BTC", 2), ("ETH", 2)]


def test_status_of_orders_that_are_over() -> None:
    for fields, status in (
        ({"active": False, "dealSize": "2"}, OrderStatus.FILLED),
        ({"active": False, "cancelExist": True}, OrderStatus.CANCELLED),
        ({"active": False, "cancelExist": True, "timeInForce": "IOC"}, OrderStatus.EXPIRED),
        ({"active": False, "cancelExist": True, "type": "market"}, OrderStatus.EXPIRED),
        ({"dealSize": "0", "dealFunds": "0"}, OrderStatus.OPEN),
        ({}, OrderStatus.PARTLY_FILLED),
    ):
        found = Drive(SPOT.order(ref(venue_id="old"), {})).answered(answer(old(**fields))).result
        assert found.status is status
