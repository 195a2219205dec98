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
    history and crowd start from. `activity` scales the crowd (1 = the busiest). Fees are fractions, negative = rebate.
    `maintenance` is the maintenance margin rate; zero = half of 1 / max_leverage.
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
