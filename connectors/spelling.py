"""How instruments are spelled where no list of them is at hand: reading a lone frame, showing a signature, replaying a file.

With a list at hand (a Session has one) the list is right and this is not asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

# Longest first where one ends in another; what is not here can't be split without the venue's list.
QUOTES = (
    "FDUSD", "USDT", "USDC", "BUSD", "TUSD", "USDD", "TRY", "EUR", "GBP", "AUD", "CAD", "JPY", "BRL", "USD",
    "DAI", "BTC", "XBT", "ETH", "BNB", "KCS",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Spelling:
    """`wire` makes the venue's name of (base, quote); `pair` reads one, None where its form does not tell."""

    wire: Callable[[str, str], str]
    pair: Callable[[str], tuple[str, str] | None]

    def symbol(self, wire: str) -> str:
        """BASE-QUOTE, or the venue's own name where it can't be told apart."""
        found = self.pair(wire)
        return f"{found[0]}-{found[1]}" if found else wire


def split(name: str, quotes: Sequence[str] = QUOTES) -> tuple[str, str] | None:
    """BTCUSDT -> (BTC, USDT), by the quote assets that are known, or by those that a venue has."""
    upper = name.upper()
    for quote in quotes:
        if upper.endswith(quote) and len(upper) > len(quote):
            return upper[: -len(quote)], quote
    return None


def separated(mark: str) -> Spelling:
    """BTC-USDT, BTC/USDT, BTC_USDT, by their mark."""

    def pair(wire: str) -> tuple[str, str] | None:
        base, found, quote = wire.partition(mark)
        return (base.upper(), quote.upper()) if found and base and quote and mark not in quote else None

    return Spelling(wire=lambda base, quote: f"{base}{mark}{quote}", pair=pair)


JOINED = Spelling(wire=lambda base, quote: base + quote, pair=split)
