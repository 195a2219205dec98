"""What KuCoin's practice side lists: symbols, grids and fees as the venue's; prices of November 2026."""

from __future__ import annotations

from decimal import Decimal

from connectors.model import Market, Unit
from connectors.practice.listings import BIPS, Listing

OLD_NAMES = {"BSV-USDT": "BCHSV-USDT"}  # a symbol stays when its coin is renamed


def _spot(base: str, quote: str, tick: str, step: str, minimum: str, reference: str, activity: float) -> Listing:
    return Listing(
        base=base,
        quote=quote,
        tick=Decimal(tick),
        step=Decimal(step),
        minimum=Decimal(minimum),
        reference=Decimal(reference),
        min_notional=Decimal("0.1") if quote == "USDT" else Decimal("0.000001"),
        fee_in_quote=True,
        activity=activity,
    )


def _perp(base: str, tick: str, multiplier: str, reference: str, leverage: int, activity: float) -> Listing:
    return Listing(
        base=base,
        quote="USDT",
        market=Market.PERP,
        unit=Unit.LINEAR,
        multiplier=Decimal(multiplier),
        tick=Decimal(tick),
        step=Decimal(1),
        maximum=Decimal(1_000_000),
        reference=Decimal(reference),
        maker=2 * BIPS,
        taker=6 * BIPS,
        max_leverage=leverage,
        activity=activity,
    )


LISTINGS: tuple[Listing, ...] = (
    _spot("BTC", "USDT", "0.1", "0.00000001", "0.00001", "62800", 1.0),
    _spot("ETH", "USDT", "0.01", "0.0000001", "0.0001", "2318", 0.7),
    _spot("SOL", "USDT", "0.001", "0.0001", "0.01", "98.6", 0.4),
    _spot("XRP", "USDT", "0.00001", "0.0001", "0.1", "1.418", 0.3),
    _spot("KCS", "USDT", "0.001", "0.0001", "0.01", "9.84", 0.3),
    _spot("DOGE", "USDT", "0.00001", "0.0001", "1", "0.11246", 0.25),
    _spot("LTC", "USDT", "0.01", "0.000001", "0.001", "61.27", 0.12),
    _spot("LINK", "USDT", "0.0001", "0.0001", "0.01", "10.48", 0.12),
    _spot("ADA", "USDT", "0.0001", "0.0001", "1", "0.29", 0.15),
    _spot("AVAX", "USDT", "0.001", "0.0001", "0.01", "10.9", 0.12),
    _spot("BSV", "USDT", "0.01", "0.0001", "0.01", "21.4", 0.1),
    _spot("ETH", "BTC", "0.00001", "0.0000001", "0.0001", "0.03691", 0.2),
    _perp("BTC", "0.1", "0.001", "62800", 125, 0.9),
    _perp("ETH", "0.01", "0.01", "2318", 100, 0.6),
    _perp("SOL", "0.001", "0.1", "98.6", 75, 0.35),
    _perp("XRP", "0.0001", "10", "1.418", 75, 0.25),
    Listing(
        base="BTC",
        quote="USD",
        market=Market.PERP,
        unit=Unit.INVERSE,
        tick=Decimal("0.1"),
        step=Decimal(1),
        maximum=Decimal(10_000_000),
        reference=Decimal(62_800),
        maker=2 * BIPS,
        taker=6 * BIPS,
        max_leverage=125,
        activity=0.3,
    ),
)
