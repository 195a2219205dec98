"""Kraken: spot over REST `/0` and WebSocket v2. Data only; see names, market, account, trading, signing. Protocol as of 2026-11."""

from __future__ import annotations

from connectors.contract import (
    Amend,
    BookRule,
    Bucket,
    Capabilities,
    Caps,
    Channel,
    Endpoint,
    Family,
    IdRule,
    Join,
    Lifecycle,
    Link,
    Proof,
    Pulse,
    Repair,
    Role,
    SecretField,
    Source,
    Stamp,
    Standing,
    Venue,
)
from connectors.kraken.account import KrakenAccountStream
from connectors.kraken.market import DEPTH, INTERVALS, KrakenMarketStream, checksum
from connectors.kraken.names import pair_of
from connectors.kraken.signing import KrakenSigner
from connectors.kraken.trading import BALANCES, COUNTER, ENGINE, PUBLIC, KrakenTrading, client_id
from connectors.model import Market, OrderKind
from connectors.spelling import Spelling


def _ping(stamp: Stamp) -> str:
    return '{"method":"ping"}'


# Heartbeats come once a second while anything is subscribed; the ping keeps a socket whose subscriptions were all refused.
_PULSE = Pulse(send=_ping, every=5.0, dead_after=10.0, probe=False)

SPOT = Family(
    name="spot",
    markets=frozenset({Market.SPOT}),
    endpoints=(
        Endpoint(Role.REST, "https://api.kraken.com"),
        Endpoint(Role.MARKET, "wss://ws.kraken.com/v2"),
        Endpoint(Role.ACCOUNT, "wss://ws-auth.kraken.com/v2"),
    ),
    trading=KrakenTrading(),
    signer=KrakenSigner(),
    capabilities=Capabilities(
        kinds=frozenset(OrderKind),
        amend=Amend.IN_PLACE,
        market_buy_in_quote=True,
        fee_in_quote=True,
        cancel_all="all",
        dead_man=True,
        orders_over_socket=True,
        intervals=tuple(INTERVALS),
        channels=frozenset({Channel.BOOK, Channel.TRADES, Channel.TICKER, Channel.CANDLES}),
    ),
    book=BookRule(
        source=Source.STREAM,
        link=Link.NONE,
        join=Join.AFTER,
        cut=DEPTH,
        resets=True,
        checksum=checksum,
        checksum_levels=10,
        proof=Proof.CHECKSUM,
        repair=(Repair.RESUBSCRIBE, Repair.RESUBSCRIBE, Repair.RESUBSCRIBE, Repair.RECONNECT),
        pace=1.0,
        quiet_after=5.0,
    ),
    ids=IdRule(make=client_id, pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"),
    market_stream=lambda role: KrakenMarketStream(),
    account_stream=KrakenAccountStream,
    caps={
        Role.MARKET: Caps(topics=200, topics_per_frame=50, frames_per_second=5, connects=(150, 600.0)),
        Role.ACCOUNT: Caps(frames_per_second=20, connects=(150, 600.0)),
    },
    pulse={Role.MARKET: _PULSE, Role.ACCOUNT: _PULSE},
    # The tier of an account can't be read; these are the middle one's, a refusal closes the bucket for a while. Balances are
    # read after every news of orders: they get half of the counter, so that the search for an order never waits for them.
    buckets=(
        Bucket(PUBLIC, 10, 10),
        Bucket(COUNTER, 20, 40, per_key=True),
        Bucket(BALANCES, 8, 32, per_key=True),
        Bucket(ENGINE, 125, 125 / 2.34, per_key=True),
    ),
    polls={"balances": 15.0},  # the stream tells totals only, not what orders hold
    serial=True,
    spelling=Spelling(wire=lambda base, quote: f"{base}/{quote}", pair=pair_of),
)

VENUE = Venue(
    slug="kraken",
    name="Kraken",
    families=(SPOT,),
    secrets=(SecretField("key", "API key", secret=False), SecretField("secret", "Private key", multiline=True)),
    standing=Standing(
        Lifecycle.LIVE,
        "2026-08-16",
        note="Spot, without margin. Amounts in Earn or staked are shown but can't be traded.",
        source="recorded traffic",
    ),
    docs="https://docs.kraken.com",
    fees="https://www.kraken.com/features/fee-schedule",
    practice="connectors.kraken.practice:KrakenPractice",
    demo_symbols=("BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD", "DOGE-USD"),
)
