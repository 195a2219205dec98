"""A plain spot instrument for tests that need one and no venue: BTC-USDT in cents and thousandths."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from connectors.model import Instrument, Market, SizeRule


def spot(**changes: Any) -> Instrument:
    """BTC-USDT of a venue called "toy", with these fields of another value."""
    plain = Instrument(
        venue="toy",
        family="spot",
        market=Market.SPOT,
        symbol="BTC-USDT",
        wire="BTCUSDT",
        base="BTC",
        quote="USDT",
        settle="USDT",
        tick=Decimal("0.01"),
        size=SizeRule(step=Decimal("0.001")),
        price_digits=2,
        size_digits=3,
    )
    return msgspec.structs.replace(plain, **changes)
