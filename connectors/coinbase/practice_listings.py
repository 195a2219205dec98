"""What Coinbase lists in practice: dollar products, and the USDC products that are aliases of some of them."""

from __future__ import annotations

from decimal import Decimal

from msgspec import structs

from connectors.practice.listings import Listing

NAMES = {
    "BTC": "Bitcoin",
    "ETH": "Ethereum",
    "SOL": "Solana",
    "XRP": "XRP",
    "DOGE": "Dogecoin",
    "ADA": "Cardano",
    "LINK": "Chainlink",
    "LTC": "Litecoin",
    "AVAX": "Avalanche",
    "DOT": "Polkadot",
    "USDT": "Tether",
    "USDC": "USDC",
    "EURC": "EURC",
    "USD": "US Dollar",
}
FIAT = ("USD", "EUR", "GBP")
MAKER, TAKER = Decimal("0.006"), Decimal("0.012")


def _listing(base: str, quote: str, tick: str, step: str, reference: str, activity: float, most: str) -> Listing:
    return Listing(
        base=base,
        quote=quote,
        tick=Decimal(tick),
        step=Decimal(step),
        reference=Decimal(reference),
        minimum=Decimal(step),
        maximum=Decimal(most),
        min_notional=Decimal(1),
        maker=MAKER,
        taker=TAKER,
        activity=activity,
        fee_in_quote=True,
    )


LISTINGS = (
    _listing("BTC", "USD", "0.01", "0.00000001", "62800", 1.0, "3400"),
    _listing("ETH", "USD", "0.01", "0.00000001", "2318", 0.7, "38000"),
    _listing("SOL", "USD", "0.01", "0.00000001", "98.6", 0.4, "290000"),
    _listing("XRP", "USD", "0.0001", "0.000001", "1.418", 0.35, "15000000"),
    _listing("DOGE", "USD", "0.00001", "0.1", "0.11246", 0.25, "100000000"),
    _listing("ADA", "USD", "0.0001", "0.00000001", "0.29", 0.15, "40000000"),
    _listing("LINK", "USD", "0.001", "0.01", "10.48", 0.12, "1500000"),
    _listing("LTC", "USD", "0.01", "0.00000001", "61.27", 0.12, "250000"),
    _listing("AVAX", "USD", "0.01", "0.00000001", "10.9", 0.12, "600000"),
    _listing("DOT", "USD", "0.001", "0.00000001", "2.32", 0.1, "2000000"),
    _listing("USDT", "USD", "0.00001", "0.01", "0.99985", 0.15, "30000000"),
    _listing("USDT", "USDC", "0.0001", "0.01", "0.9998", 0.1, "30000000"),
    _listing("EURC", "USDC", "0.0001", "0.01", "1.1574", 0.1, "10000000"),
)
ALIASED = ("BTC", "ETH", "SOL", "XRP")  # their USDC products are aliases of the dollar ones


def _twin(listing: Listing) -> Listing:
    """The USDC product of a dollar one: a name and a grid, whose market is the other's."""
    return structs.replace(listing, quote="USDC", activity=0.0)


TWINS = tuple(_twin(listing) for listing in LISTINGS if listing.base in ALIASED and listing.quote == "USD")
