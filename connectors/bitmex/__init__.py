"""BitMEX: perpetual and dated contracts, inverse, linear and quanto. Data only; see market, account, trading, rows, signing.

The venue closed on 2026-09-23; what is here runs against the practice exchange, recordings and tests. Protocol: REST `/api/v1` and
the `/realtime` socket, the only version there ever was, as of 2026-06.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from connectors.bitmex.account import BitmexAccountStream
from connectors.bitmex.market import BitmexMarketStream
from connectors.bitmex.rows import FAMILY, KINDS, SPANS
from connectors.bitmex.signing import BitmexSigner
from connectors.bitmex.trading import BitmexTrading
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
from connectors.model import Market
from connectors.spelling import Spelling, split

_REST = ("https://www.bitmex.com/api/v1", "https://testnet.bitmex.com/api/v1")
_QUOTES = ("USDT", "USDC", "USD", "EUR")  # no TUSD, in which XBTUSD would end
_SOCKET = ("wss://ws.bitmex.com/realtime", "wss://ws.testnet.bitmex.com/realtime")


def client_id(stamp: Stamp) -> str:
    """Up to 36 printable characters; ours begin with "fa-"."""
    return f"fa-{stamp.token[:24]}"


def _wire(base: str, quote: str) -> str:
    return "".join("XBT" if name == "BTC" else name for name in (base, quote))


def _pair(wire: str) -> tuple[str, str] | None:
    """XBTUSD -> (BTC, USD), XBT_USDT -> (BTC, USDT). Dated and other names do not tell without the list."""
    base, mark, quote = wire.partition("_")
    found = (base, quote) if mark else split(wire, _QUOTES)
    if found is None or not all(name.isalnum() for name in found):
        return None
    base, quote = ("BTC" if name == "XBT" else name for name in found)
    return base, quote


def _used(headers: Mapping[str, str]) -> Iterable[tuple[str, float]]:
    """30 requests a minute by address without a key, 120 with one; a second bucket of orders."""
    limit, left = headers.get("x-ratelimit-limit", ""), headers.get("x-ratelimit-remaining", "")
    if limit.isdigit() and left.isdigit():
        yield ("PUBLIC" if int(limit) <= 30 else "PRIVATE"), float(int(limit) - int(left))
    left = headers.get("x-ratelimit-remaining-1s", "")
    if left.isdigit():
        yield "ORDERS", max(0.0, 10.0 - int(left))


DERIVATIVES = Family(
    name=FAMILY,
    markets=frozenset({Market.PERP, Market.FUTURE}),
    endpoints=(
        Endpoint(Role.REST, *_REST),
        Endpoint(Role.MARKET, *_SOCKET, former=("wss://www.bitmex.com/realtime",)),
        Endpoint(Role.ACCOUNT, *_SOCKET),
    ),
    trading=BitmexTrading(),
    signer=BitmexSigner(),
    capabilities=Capabilities(
        kinds=frozenset(KINDS.values()),
        reduce_only=True,
        leverage=True,
        amend=Amend.IN_PLACE,
        cancel_all="all",
        dead_man=True,
        intervals=tuple(SPANS),
        channels=frozenset({Channel.BOOK, Channel.TRADES, Channel.TOP, Channel.TICKER, Channel.CANDLES, Channel.MARK}),
    ),
    # No number and no checksum: only an id that the image does not hold, a cross or a lost socket tell of a hole.
    book=BookRule(
        source=Source.STREAM,
        link=Link.NONE,
        resets=True,
        proof=Proof.TRANSPORT,
        repair=(Repair.RESUBSCRIBE, Repair.RESUBSCRIBE, Repair.RECONNECT),
        quiet_after=15.0,
    ),
    ids=IdRule(make=client_id, pattern=r"^[\x20-\x7e]{1,36}$"),
    market_stream=lambda role: BitmexMarketStream(),
    account_stream=BitmexAccountStream,
    caps={
        Role.MARKET: Caps(topics_per_frame=10, frames_per_second=5, connects=(3, 1.0)),
        Role.ACCOUNT: Caps(frames_per_second=5, connects=(3, 1.0)),
    },
    # Raw text both ways; without an answer within 5 s of the ping the socket is dead.
    pulse={
        Role.MARKET: Pulse(send=lambda stamp: "ping", every=5.0, dead_after=12.0),
        Role.ACCOUNT: Pulse(send=lambda stamp: "ping", every=5.0, dead_after=12.0),
    },
    buckets=(
        Bucket("PUBLIC", 30, 60),
        Bucket("PRIVATE", 120, 60, per_key=True),
        Bucket("ORDERS", 10, 1, per_key=True),
    ),
    used=_used,
    spelling=Spelling(wire=_wire, pair=_pair),
)

VENUE = Venue(
    slug="bitmex",
    name="BitMEX",
    families=(DERIVATIVES,),
    secrets=(SecretField("key", "API key ID", secret=False), SecretField("secret", "API secret")),
    standing=Standing(
        Lifecycle.CLOSED,
        "2026-11-22",
        note="Trading ended on 2026-09-23 04:00 UTC. The connector runs against the practice exchange and recordings only.",
        since="2026-09-23",
        source="https://www.bitmex.com/blog/bitmex-closure",
    ),
    docs="https://www.bitmex.com/app/apiOverview",
    fees="https://www.bitmex.com/app/fees",
    practice="connectors.bitmex.practice:BitmexPractice",
    demo_symbols=("BTC-USD", "BTC-USDT", "ETH-USDT", "SOL-USDT"),
)
