"""What the practice exchange lists: the grid and the terms of one instrument, and the default set."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from connectors.model import Market, Unit

BIPS = Decimal("0.0001")


class Listing(Struct, frozen=True, kw_only=True):
    """An instrument as the exchange itself knows it; a venue's practice side gives it the venue's name and grid.

    Sizes are in units of `step` (base units for BASE, contracts otherwise). One unit of a LINEAR contract is
    `multiplier` base units, of an INVERSE one `multiplier` quote units settled in base. `reference` is the price that
    history and crowd start from. `activity` scales the crowd (1 = the busiest, 0 = none). Fees are fractions, negative = rebate.
    `maintenance` is the maintenance margin rate; zero = half of 1 / max_leverage. Spot buyers pay their fee in base, out of
    what they receive, or with `fee_in_quote` in quote, on top of the price. Fees and funding are rounded to `money_digits`
    decimals, the venue's own smallest unit of money.
    """

    base: str
    quote: str
    tick: Decimal
    step: Decimal
    reference: Decimal
    market: Market = Market.SPOT
    unit: Unit = Unit.BASE
    multiplier: Decimal = Decimal(1)
    minimum: Decimal = Decimal(0)  # size; zero = one step
    maximum: Decimal = Decimal(1_000_000_000)
    min_notional: Decimal = Decimal(0)  # in quote; not checked for INVERSE
    maker: Decimal = 10 * BIPS
    taker: Decimal = 10 * BIPS
    max_leverage: int = 1
    maintenance: Decimal = Decimal(0)
    activity: float = 0.3
    fee_in_quote: bool = False
    money_digits: int = 8

    @property
    def symbol(self) -> str:
        """Fathom's name, BASE-QUOTE."""
        return f"{self.base}-{self.quote}"

    @property
    def key(self) -> str:
        """Unique in the exchange: `spot:BTC-USDT`, `perp:BTC-USD`."""
        return f"{self.market}:{self.symbol}"

    @property
    def settle(self) -> str:
        """The asset that profit and margin are counted in (spot: the quote)."""
        return self.base if self.unit is Unit.INVERSE else self.quote

    @property
    def is_contract(self) -> bool:
        """Whether it is traded on margin."""
        return self.market is not Market.SPOT


def _spot(base: str, tick: str, step: str, reference: str, activity: float) -> Listing:
    return Listing(
        base=base,
        quote="USDT",
        tick=Decimal(tick),
        step=Decimal(step),
        reference=Decimal(reference),
        min_notional=Decimal(5),
        activity=activity,
    )


def _perp(base: str, tick: str, step: str, reference: str, activity: float, leverage: int) -> Listing:
    return Listing(
        base=base,
        quote="USDT",
        market=Market.PERP,
        unit=Unit.LINEAR,
        tick=Decimal(tick),
        step=Decimal(step),
        reference=Decimal(reference),
        min_notional=Decimal(5),
        maker=2 * BIPS,
        taker=5 * BIPS,
        max_leverage=leverage,
        activity=activity,
    )


DEFAULT: tuple[Listing, ...] = (
    _spot("BTC", "0.01", "0.00001", "62800", 1.0),
    _spot("ETH", "0.01", "0.0001", "2318", 0.7),
    _spot("SOL", "0.01", "0.001", "98.6", 0.4),
    _spot("BNB", "0.01", "0.001", "718", 0.25),
    _spot("XRP", "0.0001", "0.1", "1.418", 0.3),
    _spot("DOGE", "0.00001", "1", "0.11246", 0.25),
    _spot("LINK", "0.001", "0.01", "10.48", 0.12),
    _spot("LTC", "0.01", "0.001", "61.27", 0.12),
    _spot("AVAX", "0.001", "0.01", "10.9", 0.12),
    _spot("ADA", "0.0001", "0.1", "0.29", 0.15),
    _spot("DOT", "0.001", "0.01", "2.32", 0.1),
    _perp("BTC", "0.1", "0.001", "62800", 0.9, 100),
    _perp("ETH", "0.01", "0.001", "2318", 0.6, 100),
    _perp("SOL", "0.01", "0.01", "98.6", 0.35, 50),
    Listing(
        base="BTC",
        quote="USD",
        market=Market.PERP,
        unit=Unit.INVERSE,
        tick=Decimal("0.5"),
        step=Decimal(100),
        reference=Decimal(62_800),
        maker=2 * BIPS,
        taker=5 * BIPS,
        max_leverage=100,
        activity=0.3,
    ),
)
