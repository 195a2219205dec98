"""What Kraken's practice side lists: real pairs with the venue's grids, fees of the first tier, and the venue's many names for them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from connectors.model import decimals
from connectors.practice.listings import Listing

LOT_DIGITS = 8
COST_DIGITS = 5

# id over REST, altname, decimals of the ledger, name of today
ASSETS: tuple[tuple[str, str, int, str], ...] = (
    ("XXBT", "XBT", 10, "BTC"),
    ("XETH", "ETH", 10, "ETH"),
    ("XXRP", "XRP", 8, "XRP"),
    ("XLTC", "LTC", 10, "LTC"),
    ("XXDG", "XDG", 8, "DOGE"),
    ("SOL", "SOL", 10, "SOL"),
    ("ADA", "ADA", 8, "ADA"),
    ("DOT", "DOT", 10, "DOT"),
    ("LINK", "LINK", 10, "LINK"),
    ("BNB", "BNB", 10, "BNB"),
    ("ZUSD", "USD", 4, "USD"),
    ("ZEUR", "EUR", 4, "EUR"),
    ("USDT", "USDT", 8, "USDT"),
    ("USDC", "USDC", 8, "USDC"),
)
_IDS = {today: (name, alt) for name, alt, _, today in ASSETS}


@dataclass(frozen=True, slots=True)
class Pair:
    """A listing and its names: `wire` on WebSocket v2, `name` and `alt` over REST, `ws` on v1 (and in REST answers)."""

    listing: Listing
    name: str

    @property
    def key(self) -> str:
        """The exchange's name."""
        return self.listing.key

    @property
    def wire(self) -> str:
        """BTC/USD."""
        return f"{self.listing.base}/{self.listing.quote}"

    @property
    def alt(self) -> str:
        """XBTUSD."""
        return _IDS[self.listing.base][1] + _IDS[self.listing.quote][1]

    @property
    def ws(self) -> str:
        """XBT/USD."""
        return f"{_IDS[self.listing.base][1]}/{_IDS[self.listing.quote][1]}"

    @property
    def digits(self) -> int:
        """Decimals of a price."""
        return decimals(self.listing.tick)

    def price(self, value: Decimal | None) -> str:
        """A price with the pair's decimals, as the venue writes it everywhere."""
        return f"{value or Decimal(0):.{self.digits}f}"


def asset_id(today: str) -> str:
    """BTC -> XXBT."""
    return _IDS[today][0]


def size(value: Decimal | None) -> str:
    """An amount with eight decimals."""
    return f"{value or Decimal(0):.{LOT_DIGITS}f}"


def cost(value: Decimal | None) -> str:
    """Price times amount, or a fee."""
    return f"{value or Decimal(0):.{COST_DIGITS}f}"


def _pair(
    name: str, base: str, quote: str, tick: str, reference: str, minimum: str, activity: float, least: str = "0.5"
) -> Pair:
    listing = Listing(
        base=base,
        quote=quote,
        tick=Decimal(tick),
        step=Decimal("0.00000001"),
        reference=Decimal(reference),
        minimum=Decimal(minimum),
        min_notional=Decimal(least),
        maker=Decimal("0.0025"),
        taker=Decimal("0.0040"),
        fee_in_quote=True,
        activity=activity,
    )
    return Pair(listing, name)


PAIRS: tuple[Pair, ...] = (
    _pair("XXBTZUSD", "BTC", "USD", "0.1", "62800", "0.00005", 1.0),
    _pair("XXBTZEUR", "BTC", "EUR", "0.1", "54120", "0.00005", 0.5),
    _pair("XBTUSDT", "BTC", "USDT", "0.1", "62790", "0.00005", 0.4),
    _pair("XETHZUSD", "ETH", "USD", "0.01", "2318", "0.001", 0.6),
    _pair("XETHZEUR", "ETH", "EUR", "0.01", "1998", "0.001", 0.25),
    _pair("XETHXXBT", "ETH", "BTC", "0.00001", "0.03691", "0.001", 0.15, "0.00002"),
    _pair("SOLUSD", "SOL", "USD", "0.01", "98.6", "0.02", 0.4),
    _pair("XXRPZUSD", "XRP", "USD", "0.00001", "1.418", "1.65", 0.3),
    _pair("XDGUSD", "DOGE", "USD", "0.0000001", "0.11246", "13", 0.25),
    _pair("ADAUSD", "ADA", "USD", "0.000001", "0.29", "4.4", 0.15),
    _pair("XLTCZUSD", "LTC", "USD", "0.01", "61.27", "0.04", 0.12),
    _pair("DOTUSD", "DOT", "USD", "0.0001", "2.32", "0.9", 0.1),
    _pair("LINKUSD", "LINK", "USD", "0.00001", "10.48", "0.2", 0.12),
)
