"""Exact conversion between Decimals at the edge and the whole ticks, lots and atoms that the exchange counts in.

An atom is 1e-16 of any asset. Every amount of money is a whole number of atoms, so sums are exact by construction.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from connectors.model import Unit
from connectors.practice.listings import Listing
from connectors.practice.terms import Refusal, RefusalKind

ATOMS = 10**16  # of one unit of an asset
_CENT = 10**8  # atoms that inverse values are rounded to: eight decimals
_ABSURD = Decimal(10) ** 15


def to_atoms(amount: Decimal) -> int:
    """`amount` in atoms. Refused: INVALID when it has more than 16 decimals or is no number."""
    if not amount.is_finite() or abs(amount) > _ABSURD:
        raise Refusal(RefusalKind.INVALID, f"{amount} is out of range")
    numerator, denominator = amount.as_integer_ratio()
    atoms, rest = divmod(numerator * ATOMS, denominator)
    if rest:
        raise Refusal(RefusalKind.INVALID, f"{amount} has more than 16 decimals")
    return atoms


def from_atoms(atoms: int) -> Decimal:
    """Atoms as an amount with eight decimals, or sixteen where it needs them. Never rounds, whatever the context."""
    cents, rest = divmod(atoms, _CENT)
    return Decimal(f"{atoms}E-16") if rest else Decimal(f"{cents}E-8")


def rounded(numerator: int, denominator: int) -> int:
    """The quotient to the nearest whole number, half to even; `denominator` is positive."""
    whole, rest = divmod(numerator, denominator)
    twice = 2 * rest
    return whole + (twice > denominator or (twice == denominator and whole & 1))


class Grid:
    """One listing in whole numbers."""

    __slots__ = (
        "_inverse",
        "_inverse_den",
        "_inverse_num",
        "_maker",
        "_most",
        "_taker",
        "_unit_value",
        "coin",
        "listing",
        "lot",
        "lot_atoms",
        "maximum",
        "min_value",
        "minimum",
        "step",
        "tick",
    )

    def __init__(self, listing: Listing) -> None:
        self.listing = listing
        self.tick = listing.tick
        self.step = listing.step
        self.minimum = max(1, self._whole(listing.minimum / listing.step, "minimum"))
        self.maximum = self._whole(listing.maximum / listing.step, "maximum")
        self.lot_atoms = to_atoms(listing.step)  # base asset a lot; used on spot only
        self.lot = float(listing.step * listing.multiplier)
        self.coin = 10 ** (16 - listing.money_digits)  # atoms that fees and funding are rounded to
        self.charge(listing.maker, listing.taker)
        self._inverse = listing.unit is Unit.INVERSE
        self._unit_value = self._inverse_num = 0
        self._inverse_den = 1
        if self._inverse:
            ratio = Fraction(listing.step) * Fraction(listing.multiplier) / Fraction(listing.tick) * (ATOMS // _CENT)
            self._inverse_num, self._inverse_den = ratio.numerator, ratio.denominator
            self.min_value = 0
        else:
            multiplier = listing.multiplier if listing.unit is Unit.LINEAR else Decimal(1)
            self._unit_value = to_atoms(listing.tick * listing.step * multiplier)
            self.min_value = to_atoms(listing.min_notional)

    def charge(self, maker: Decimal, taker: Decimal) -> None:
        """Fee rates from now on, as fractions; negative = rebate."""
        self._maker = maker.as_integer_ratio()
        self._taker = taker.as_integer_ratio()
        self._most = max(maker, taker, Decimal(0)).as_integer_ratio()

    @staticmethod
    def _whole(value: Decimal, name: str) -> int:
        if value != int(value):
            raise ValueError(f"{name} is no multiple of the step")
        return int(value)

    # inward ----------------------------------------------------------------------------------------------------------

    def ticks(self, price: Decimal) -> int:
        """A price in ticks. Refused: PRICE_BOUNDS, PRICE_TICK."""
        if not price.is_finite() or not 0 < price < _ABSURD:
            raise Refusal(RefusalKind.PRICE_BOUNDS, f"price {price} is out of bounds")
        ticks, rest = divmod(price, self.tick)
        if rest or not ticks:
            raise Refusal(RefusalKind.PRICE_TICK, f"price {price} is no multiple of {self.tick}")
        return int(ticks)

    def lots(self, size: Decimal) -> int:
        """A size in lots. Refused: SIZE_MINIMUM, SIZE_MAXIMUM, SIZE_LOT."""
        if not size.is_finite() or size <= 0:
            raise Refusal(RefusalKind.SIZE_MINIMUM, f"size {size} is not above zero")
        if size > self.listing.maximum:
            raise Refusal(RefusalKind.SIZE_MAXIMUM, f"size {size} is above {self.listing.maximum}")
        lots, rest = divmod(size, self.step)
        if rest:
            raise Refusal(RefusalKind.SIZE_LOT, f"size {size} is no multiple of {self.step}")
        if lots < self.minimum:
            raise Refusal(RefusalKind.SIZE_MINIMUM, f"size {size} is below {self.size(self.minimum)}")
        return int(lots)

    # outward ---------------------------------------------------------------------------------------------------------

    def price(self, ticks: int) -> Decimal:
        """Ticks as a price."""
        return self.tick * ticks

    def size(self, lots: int) -> Decimal:
        """Lots as a size."""
        return self.step * lots

    # money -----------------------------------------------------------------------------------------------------------

    def value(self, ticks: int, lots: int) -> int:
        """Atoms that `lots` (not negative) are worth: quote, or for INVERSE the settle asset to eight decimals."""
        if self._inverse:
            return rounded(lots * self._inverse_num, ticks * self._inverse_den) * _CENT
        return ticks * lots * self._unit_value

    def about(self, price: float) -> float:
        """Roughly what one lot is worth at a price, for those who only choose sizes; `value` is exact."""
        return self.lot if self._inverse else self.lot * price

    def worth(self, ticks: int, lots: int) -> int:
        """Signed value of a position such that its profit is worth(now) - worth(at entry)."""
        value = self.value(ticks, abs(lots))
        return value if (lots > 0) is not self._inverse else -value

    def entry(self, lots: int, cost: int) -> Decimal | None:
        """Average price of a position with this cost (a sum of `worth`); None when flat."""
        if not lots:
            return None
        if self._inverse:
            ticks = Fraction(abs(lots) * self._inverse_num * _CENT, abs(cost) * self._inverse_den) if cost else 0
        else:
            ticks = Fraction(abs(cost), abs(lots) * self._unit_value)
        return self.fractional_price(ticks)

    def fractional_price(self, ticks: Fraction | int) -> Decimal:
        """A price between ticks, to six digits below the tick."""
        micro = rounded(Fraction(ticks).numerator * 10**6, Fraction(ticks).denominator)
        return (self.tick * micro).scaleb(-6).normalize() + 0 * self.tick

    def affordable(self, ticks: int, atoms: int) -> int:
        """Lots that `atoms` of the quote buy at this price, rounded down."""
        return atoms // (ticks * self._unit_value)

    def fee(self, atoms: int, *, maker: bool) -> int:
        """Fee on an amount in atoms, to the smallest unit of money; negative = rebate."""
        numerator, denominator = self._maker if maker else self._taker
        return rounded(atoms * numerator, denominator * self.coin) * self.coin

    def fee_on_top(self, atoms: int, *, maker: bool) -> int:
        """The same for a fee beside the price: rounded down, so that parts never come to more than `with_fee` held for the whole."""
        numerator, denominator = self._maker if maker else self._taker
        return atoms * numerator // (denominator * self.coin) * self.coin

    def with_fee(self, atoms: int) -> int:
        """A value and the most that its fee on top can come to."""
        numerator, denominator = self._most
        return atoms + -(-atoms * numerator // (denominator * self.coin)) * self.coin

    def without_fee(self, atoms: int) -> int:
        """The most that may be spent so that with its fee on top it comes to no more than `atoms`."""
        numerator, denominator = self._most
        return max(0, atoms - _CENT) * denominator // (denominator + numerator)

    def average(self, lots: int, value: int) -> Decimal | None:
        """Mean price of `lots` (above zero) that came to `value` atoms; None for nothing."""
        return self.entry(lots, value)
