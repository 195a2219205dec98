"""What the ticket says of an order, without a ticket."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from app.guard import Estimate
from app.orders import Draft
from connectors.model import Instrument, Market, OrderKind, Side, SizeRule, TimeInForce, Unit
from tests.instruments import spot
from ui.panels.ticket_words import equals_words, estimate_words, fix_words, least_hint, send_words

D = Decimal
SPOT = spot(size=SizeRule(step=D("0.001"), minimum=D("0.002")))
INVERSE = msgspec.structs.replace(
    SPOT,
    market=Market.PERP,
    quote="USD",
    settle="BTC",
    unit=Unit.INVERSE,
    multiplier=D(100),
    size=SizeRule(step=D(1), minimum=D(0)),
    size_digits=0,
)


def draft(instrument: Instrument = SPOT, **terms: Any) -> Draft:
    limit: dict[str, Any] = {"side": Side.BUY, "kind": OrderKind.LIMIT, "amount": D("1234.5"), "price": D("62000.5")}
    return Draft(account="toy:practice", instrument=instrument, **(limit | terms))


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({}, "Buy 1 234.5 BTC\nlimit 62 000.5"),
        ({"tif": TimeInForce.IOC}, "Buy 1 234.5 BTC\nlimit 62 000.5, IOC"),
        ({"post_only": True}, "Buy 1 234.5 BTC\nlimit 62 000.5, post only"),
        ({"kind": OrderKind.MARKET, "price": None, "side": Side.SELL}, "Sell 1 234.5 BTC\nmarket"),
        ({"kind": OrderKind.MARKET, "price": None, "amount": None, "quote_amount": D(50)}, "Buy 50 USDT\nmarket"),
        ({"kind": OrderKind.STOP_LIMIT, "trigger": D(61000)}, "Buy 1 234.5 BTC\nstop limit 61 000 62 000.5"),
        ({"amount": None}, "Buy BTC\nlimit 62 000.5"),
    ],
)
def test_the_button_says_the_whole_order(terms: dict[str, Any], said: str) -> None:
    assert send_words(draft(**terms)).replace("\u2009", " ") == said


def test_the_smallest_order_is_said_by_value_where_there_is_one_else_by_amount_else_by_lot() -> None:
    assert least_hint(msgspec.structs.replace(SPOT, min_notional=D("5.00"))) == "min 5 USDT"
    assert least_hint(SPOT) == "min 0.002 BTC"
    assert least_hint(msgspec.structs.replace(SPOT, size=SizeRule(step=D("0.001")))) == "lot 0.001 BTC"


def test_an_amount_is_said_in_the_unit_that_it_was_not_entered_in() -> None:
    order = draft(amount=D("0.5"), price=D(60000))
    assert equals_words(order, D(30000), in_quote=False, price=D(60000)).replace("\u2009", " ") == "= 30 000.00 USDT"
    assert equals_words(order, D(30000), in_quote=True, price=D(60000)) == "= 0.500 BTC"
    assert equals_words(order, None, in_quote=True, price=None) == ""
    contracts = draft(INVERSE, amount=D(3), price=D(60000))
    assert equals_words(contracts, D(300), in_quote=False, price=D(60000)) == "= 300.00 USD, 0.005000 BTC"


def test_what_is_not_known_of_an_estimate_is_a_dash_and_zero_is_not() -> None:
    said = estimate_words(Estimate(average=D(60000), fee=D(0), fee_asset="USDT"), SPOT)
    assert said["Average fill"].replace("\u2009", " ") == "60 000.00 USDT"
    assert said["Fee"].startswith("0")
    assert said["Worst price"] == said["Left after"] == "–"


def test_a_step_is_offered_in_words_that_say_what_changes() -> None:
    limit = draft(price=D("61999.00"), amount=D("0.250"))
    assert fix_words("price", limit, OrderKind.LIMIT) == "Use price 61999.00"
    assert fix_words("amount", limit, OrderKind.LIMIT) == "Use amount 0.250"
    longer = draft(price=D("61999.00000000"), amount=D("0.25000000"))  # as a venue pads its rules
    assert fix_words("price", longer, OrderKind.LIMIT) == "Use price 61999.00"
    assert fix_words("amount", longer, OrderKind.LIMIT) == "Use amount 0.250"
    assert fix_words("book", limit, OrderKind.MARKET) == "Limit it at 61999, GTC"
