"""What BitMEX's practice side lists: the inverse and the linear perpetuals.

Quanto contracts are left out, because the exchange has no such arithmetic.
"""

from __future__ import annotations

from decimal import Decimal

from connectors.model import Market, Unit
from connectors.practice.listings import BIPS, Listing


def _perpetual(
    base: str, quote: str, tick: str, lot: int, multiplier: str, reference: str, leverage: int, activity: float
) -> Listing:
    """A perpetual with the fees of 2024 to 2026: 0.05 % both ways."""
    inverse = quote == "USD"
    return Listing(
        base=base,
        quote=quote,
        market=Market.PERP,
        unit=Unit.INVERSE if inverse else Unit.LINEAR,
        multiplier=Decimal(multiplier),
        tick=Decimal(tick),
        step=Decimal(lot),
        maximum=Decimal(10_000_000 if inverse else 1_000_000_000),
        reference=Decimal(reference),
        maker=5 * BIPS,
        taker=5 * BIPS,
        max_leverage=leverage,
        activity=activity,
        money_digits=8 if inverse else 6,
    )


LISTINGS = (
    _perpetual("BTC", "USD", "0.1", 100, "1", "62800", 100, 1.0),
    _perpetual("BTC", "USDT", "0.1", 100, "0.000001", "62800", 100, 0.8),
    _perpetual("ETH", "USDT", "0.01", 1000, "0.00001", "2318", 100, 0.6),
    _perpetual("SOL", "USDT", "0.01", 1000, "0.0001", "98.6", 50, 0.35),
    _perpetual("XRP", "USDT", "0.0001", 1000, "0.01", "1.418", 50, 0.25),
    _perpetual("LTC", "USDT", "0.01", 1000, "0.0001", "61.27", 33, 0.15),
)
