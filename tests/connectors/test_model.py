"""What a size is worth: the arithmetic of each unit, with figures that venues recorded."""

from __future__ import annotations

from decimal import Decimal

import pytest

from connectors.model import ZERO, Instrument, Market, SizeRule, Unit

D = Decimal


def contract(unit: Unit, multiplier: str, *, quote: str, settle: str, base: str = "BTC") -> Instrument:
    return Instrument(
        venue="toy",
        family="derivatives",
        market=Market.PERP,
        symbol=f"{base}-{quote}",
        wire="X",
        base=base,
        quote=quote,
        settle=settle,
        tick=D("0.1"),
        size=SizeRule(step=D(100), minimum=D(100)),
        price_digits=1,
        size_digits=0,
        unit=unit,
        multiplier=D(multiplier),
    )


INVERSE = contract(Unit.INVERSE, "1", quote="USD", settle="BTC")
LINEAR = contract(Unit.LINEAR, "0.0001", quote="USDT", settle="USDT", base="LTC")
QUANTO = contract(Unit.QUANTO, "0.00001", quote="USDT", settle="BTC", base="UNI")


def test_an_inverse_contract_is_worth_its_face_in_quote_and_less_base_the_higher_the_price() -> None:
    assert INVERSE.quote_value(D("32180.5"), D(100)) == D(100)
    assert round(INVERSE.notional(D("32180.5"), D(100)), 8) == D("0.00310747")
    assert INVERSE.base_amount(D(100), D("32180.5")) == INVERSE.notional(D("32180.5"), D(100))
    assert INVERSE.notional(ZERO, D(100)) == ZERO


def test_a_linear_contract_is_worth_its_base_at_the_price() -> None:
    assert LINEAR.notional(D("143.811"), D(1000)) == LINEAR.quote_value(D("143.811"), D(1000)) == D("14.3811")
    assert LINEAR.base_amount(D(1000), D("143.811")) == D("0.1")


def test_a_quanto_contract_has_a_value_in_its_settle_asset_only() -> None:
    assert QUANTO.notional(D("17.297"), D(52)) == D("0.00899444")


@pytest.mark.parametrize("instrument", [INVERSE, LINEAR, QUANTO])
def test_nothing_is_worth_nothing(instrument: Instrument) -> None:
    assert instrument.notional(D(100), ZERO) == instrument.quote_value(D(100), ZERO) == ZERO
