"""Coinbase: spot on Advanced Trade, the API that a retail key can trade on. Data only; see market, account, trading, signing.

Books of a dollar product and of its USDC twin are one; an order is sent for the product whose wallet is to pay. Protocol as of
2026-11.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from connectors.coinbase.account import CoinbaseAccountStream
from connectors.coinbase.market import CHANNELS, CoinbaseMarketStream
from connectors.coinbase.rows import asset, asset_at_venue
from connectors.coinbase.signing import ORDER_LIFE, CoinbaseSigner
from connectors.coinbase.trading import GRANULARITIES, PRIVATE, PUBLIC, CoinbaseTrading
from connectors.contract import (
    Amend,
    BookRule,
    Bucket,
    Capabilities,
    Caps,
    Endpoint,
    Family,
    FillSource,
    IdRule,
    Lifecycle,
    Link,
    Pulse,
    Repair,
    Role,
    SecretField,
    Source,
    Stamp,
    Standing,
    Venue,
)
from connectors.model import Market, OrderKind
from connectors.spelling import Spelling, separated

_PRODUCTS = separated("-")


def client_id(stamp: Stamp) -> str:
    """Letters, digits and dashes; ours say when they were made, so that a search knows where to begin."""
    return f"fa-{stamp.time_ms:011x}-{stamp.token[:20]}"


def _used(headers: Mapping[str, str]) -> Iterable[tuple[str, float]]:
    """The headers do not name their bucket; their limits do."""
    limit, left = headers.get("x-ratelimit-limit", ""), headers.get("x-ratelimit-remaining", "")
    bucket = {"30": PRIVATE, "10": PUBLIC}.get(limit)
    if bucket is not None and left.isdigit():
        yield bucket, (float(limit) - float(left)) / 2


def _wire(base: str, quote: str) -> str:
    return f"{asset_at_venue(base)}-{asset_at_venue(quote)}"


def _pair(wire: str) -> tuple[str, str] | None:
    """Products of contracts have more than two parts."""
    found = _PRODUCTS.pair(wire)
    return (asset(found[0]), asset(found[1])) if found else None


SPOT = Family(
    name="spot",
    markets=frozenset({Market.SPOT}),
    endpoints=(
        Endpoint(Role.REST, "https://api.coinbase.com/api/v3/brokerage"),
        Endpoint(Role.MARKET, "wss://advanced-trade-ws.coinbase.com"),
        Endpoint(Role.ACCOUNT, "wss://advanced-trade-ws-user.coinbase.com"),
    ),
    trading=CoinbaseTrading(),
    signer=CoinbaseSigner(),
    capabilities=Capabilities(
        kinds=frozenset({OrderKind.LIMIT, OrderKind.MARKET, OrderKind.STOP_LIMIT}),
        amend=Amend.IN_PLACE,
        market_buy_in_quote=True,
        fee_in_quote=True,
        cancel_all="all",
        lookup_by_client_id=False,
        idempotent_place=True,
        fills=FillSource.CUMULATIVE,
        intervals=tuple(GRANULARITIES),
        channels=frozenset(CHANNELS),
    ),
    book=BookRule(
        source=Source.STREAM,
        link=Link.NONE,  # the stream counts the messages of its connection and says which books are broken
        resets=True,
        repair=(Repair.RESUBSCRIBE, Repair.RESUBSCRIBE, Repair.RECONNECT),
        pace=1.0,
        first_within=15.0,
        quiet_after=15.0,
    ),
    ids=IdRule(
        make=client_id,
        pattern=r"^[a-zA-Z0-9-]{1,128}$",
        unique="ever",
        patience=ORDER_LIFE + 25.0,  # a request can be taken as long as its token lives, and is listed soon after
    ),
    market_stream=lambda role: CoinbaseMarketStream(),
    account_stream=CoinbaseAccountStream,
    caps={
        Role.MARKET: Caps(topics=90, topics_per_frame=50, frames_per_second=6, connects=(8, 1.0)),
        Role.ACCOUNT: Caps(frames_per_second=6, connects=(8, 1.0)),
    },
    pulse={Role.MARKET: Pulse(dead_after=15), Role.ACCOUNT: Pulse(dead_after=15)},  # a heartbeat comes every second
    # Half of what the venue takes in a second: a budget that refills while it is used lets twice its limit through in one.
    buckets=(Bucket(PRIVATE, 15, 1, per_key=True), Bucket(PUBLIC, 5, 1)),
    used=_used,
    polls={"balances": 30.0},  # no channel tells them
    spelling=Spelling(wire=_wire, pair=_pair),
)

VENUE = Venue(
    slug="coinbase",
    name="Coinbase",
    families=(SPOT,),
    secrets=(
        SecretField("key", "API key name", secret=False),
        SecretField("secret", "Private key (PEM text of an ECDSA key, or base64 of an Ed25519 key)", multiline=True),
    ),
    standing=Standing(
        Lifecycle.LIVE,
        "2026-11-24",
        note="Advanced Trade. Coinbase Pro closed in December 2023; its keys, and keys of before 2025, no longer work.",
        source="venue documentation",
    ),
    docs="https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis",
    fees="https://www.coinbase.com/advanced-fees",
    practice="connectors.coinbase.practice:CoinbasePractice",
    demo_symbols=("BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD", "DOGE-USD"),
)
