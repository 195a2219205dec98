"""What contracts are valued by: a smoothed mark price, the premium over the index, and the funding rate made of it."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from connectors.practice.grid import rounded

FUNDING_PERIOD = 8 * 3_600_000
BEAT = 250  # ms between two looks at the market
_SMOOTHING = 5_000  # ms in which the mark covers 63 % of the way to the market
_FINE = 1 << 20  # parts of a tick that the mark is kept in
_INTEREST = Fraction(1, 10_000)  # a period; what a contract costs when it trades level with its index
_INTEREST_BAND = Fraction(5, 10_000)
_RATE_LIMIT = Fraction(75, 10_000)


def clamped(value: Fraction, limit: Fraction) -> Fraction:
    """`value` between -limit and limit."""
    return max(-limit, min(limit, value))


class Mark:
    """Mark, index and premium of one contract. Prices in ticks of the contract."""

    def __init__(self, reference: int, now: int) -> None:
        self.ticks = self.index = reference
        self._fine = reference * _FINE
        self._updated = now
        self._premium = Fraction(0)  # sum of premium x ms in this period
        self._premium_ms = 0
        self.last_rate = Decimal(0)
        self.next_funding = now - now % FUNDING_PERIOD + FUNDING_PERIOD

    def due(self, now: int) -> bool:
        """Whether it is time to look again."""
        return now - self._updated >= BEAT

    def update(self, now: int, bid: int | None, ask: int | None, last: int, index: int | None) -> None:
        """Look at the market: move towards the median of best bid, best ask and last price."""
        passed = now - self._updated
        self._updated = now
        low = last if bid is None else bid
        high = last if ask is None else ask
        target = sorted((low, last, high))[1]
        self._fine += (target * _FINE - self._fine) * passed // (_SMOOTHING + passed)
        self.ticks = max(1, rounded(self._fine, _FINE))
        self.index = index or self.ticks
        self._premium += Fraction(self.ticks - self.index, self.index) * passed
        self._premium = Fraction(rounded(self._premium.numerator * 10**12, self._premium.denominator), 10**12)
        self._premium_ms += passed

    @property
    def rate(self) -> Decimal:
        """Funding rate of the running period as of now, to eight decimals: mean premium plus interest, both clamped."""
        premium = self._premium / self._premium_ms if self._premium_ms else Fraction(0)
        rate = clamped(premium + clamped(_INTEREST - premium, _INTEREST_BAND), _RATE_LIMIT)
        return Decimal(f"{rounded(rate.numerator * 10**8, rate.denominator)}E-8")

    def close_period(self) -> Decimal:
        """End the running period; its rate is what has to be paid."""
        self.last_rate = self.rate
        self._premium = Fraction(0)
        self._premium_ms = 0
        self.next_funding += FUNDING_PERIOD
        return self.last_rate
