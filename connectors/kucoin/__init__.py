"""KuCoin: spot, and perpetual and dated futures, by the classic API. Data only; see market, spot, futures, account, signing, practice.

Protocol as of 2026-08. The newer Unified account is recognised at login and refused in words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from connectors.contract import (
    Amend,
    BookRule,
    Bucket,
    Capabilities,
    Caps,
    Channel,
    Endpoint,
    Family,
    FillSource,
    IdRule,
    Join,
    Lifecycle,
    Link,
    Pulse,
    Role,
    SecretField,
    Source,
    Stamp,
    Standing,
    Venue,
)
from connectors.kucoin.account import FuturesAccountStream, SpotAccountStream
from connectors.kucoin.futures import FUTURES_INTERVALS, FuturesTrading
from connectors.kucoin.futures_rows import coin
from connectors.kucoin.login import ACCOUNTS
from connectors.kucoin.market import INTERVALS, TOKEN_LIFE, KucoinMarketStream
from connectors.kucoin.signing import FUTURES, MANAGEMENT, PUBLIC, SPOT, KucoinSigner
from connectors.kucoin.spot import SpotTrading
from connectors.model import Market, OrderKind
from connectors.spelling import Spelling, separated, split

_ALL = frozenset(OrderKind)
_PERIOD = 30.0  # seconds in which the pools refill
# Interval and life come with each token; this is what the venue has named for years.
_PULSE: Mapping[str, Pulse] = {Role.MARKET: Pulse(dead_after=28), Role.ACCOUNT: Pulse(dead_after=28)}


def client_id(stamp: Stamp) -> str:
    """Up to 40 of letters, digits, dash and underscore; ours begin with "fa-"."""
    return f"fa-{stamp.token[:24]}"


def _spot_used(headers: Mapping[str, str]) -> Iterable[tuple[str, float]]:
    """The headers do not name their pool; by its limit the spot pool of a VIP 0 account can be told from the others."""
    limit, left = headers.get("gw-ratelimit-limit", ""), headers.get("gw-ratelimit-remaining", "")
    if limit == "4000" and left.isdigit():
        yield SPOT, 4000.0 - int(left)


def _pair(wire: str) -> tuple[str, str] | None:
    found = split(wire.removesuffix("M"), ("USDT", "USDC", "USD"))  # no TUSD, in which XBTUSDM would end
    return (coin(found[0]), found[1]) if found else None


CONTRACTS = Spelling(wire=lambda base, quote: f"{'XBT' if base == 'BTC' else base}{quote}M", pair=_pair)
IDS = IdRule(make=client_id, pattern=r"^[a-zA-Z0-9_-]{1,40}$")
_CAPS = Caps(topics=300, topics_per_frame=100, frames_per_second=9, connects=(30, 60.0), life=TOKEN_LIFE)
_SOCKETS: Mapping[str, Caps] = {Role.MARKET: _CAPS, Role.ACCOUNT: _CAPS}

SPOT_FAMILY = Family(
    name="spot",
    markets=frozenset({Market.SPOT}),
    endpoints=(
        Endpoint(Role.REST, "https://api.kucoin.com"),
        Endpoint(ACCOUNTS, "https://api.kucoin.com"),
        # Sockets are where the token's answer says; these hosts were named by it, the second one until 2023.
        Endpoint(Role.MARKET, "wss://ws-api-spot.kucoin.com"),
        Endpoint(Role.MARKET, "wss://push-private.kucoin.com/endpoint"),
        Endpoint(Role.ACCOUNT, "wss://ws-api-spot.kucoin.com"),
    ),
    trading=SpotTrading(),
    signer=KucoinSigner(),
    capabilities=Capabilities(
        kinds=_ALL,
        amend=Amend.NEW_ID,
        market_buy_in_quote=True,
        fee_in_quote=True,
        cancel_all="all",
        dead_man=True,
        fills=FillSource.EVENT_FEE_CALL,
        intervals=tuple(INTERVALS),
        channels=frozenset({Channel.BOOK, Channel.TRADES, Channel.TOP, Channel.TICKER, Channel.CANDLES}),
    ),
    book=BookRule(source=Source.CALL, link=Link.RANGE, join=Join.NEXT, horizon=True, sampled=True),
    ids=IDS,
    market_stream=lambda role: KucoinMarketStream(futures=False),
    account_stream=SpotAccountStream,
    caps=_SOCKETS,
    pulse=_PULSE,
    buckets=(
        Bucket(SPOT, 4000, _PERIOD, per_key=True),
        Bucket(MANAGEMENT, 2000, _PERIOD, per_key=True),
        Bucket(PUBLIC, 2000, _PERIOD),
    ),
    used=_spot_used,
    spelling=separated("-"),
)

FUTURES_FAMILY = Family(
    name="futures",
    markets=frozenset({Market.PERP, Market.FUTURE}),
    endpoints=(
        Endpoint(Role.REST, "https://api-futures.kucoin.com"),
        Endpoint(ACCOUNTS, "https://api.kucoin.com"),
        Endpoint(Role.MARKET, "wss://ws-api-futures.kucoin.com"),
        Endpoint(Role.ACCOUNT, "wss://ws-api-futures.kucoin.com"),
    ),
    trading=FuturesTrading(),
    signer=KucoinSigner(),
    capabilities=Capabilities(
        kinds=_ALL,
        reduce_only=True,
        leverage=True,
        cancel_all="all",
        fills=FillSource.EVENT_FEE_CALL,
        intervals=FUTURES_INTERVALS,
        channels=frozenset({Channel.BOOK, Channel.TRADES, Channel.TOP, Channel.TICKER, Channel.CANDLES, Channel.MARK}),
    ),
    book=BookRule(source=Source.CALL, link=Link.RANGE, join=Join.NEXT, horizon=True, sampled=True),
    ids=IDS,
    market_stream=lambda role: KucoinMarketStream(futures=True),
    account_stream=FuturesAccountStream,
    caps=_SOCKETS,
    pulse=_PULSE,
    buckets=(
        Bucket(FUTURES, 2000, _PERIOD, per_key=True),
        Bucket(MANAGEMENT, 2000, _PERIOD, per_key=True),
        Bucket(PUBLIC, 2000, _PERIOD),
    ),
    spelling=CONTRACTS,
)

VENUE = Venue(
    slug="kucoin",
    name="KuCoin",
    families=(SPOT_FAMILY, FUTURES_FAMILY),
    secrets=(
        SecretField("key", "API key", secret=False),
        SecretField("secret", "Secret"),
        SecretField("passphrase", "Passphrase of the key"),
    ),
    standing=Standing(
        Lifecycle.LIVE,
        "2026-11-22",
        note="Not open to residents of the USA; regional sites exist. Classic accounts only.",
        source="venue documentation",
    ),
    docs="https://www.kucoin.com/docs-new",
    fees="https://www.kucoin.com/vip/level",
    practice="connectors.kucoin.practice:KucoinPractice",
    demo_symbols=("BTC-USDT", "ETH-USDT", "SOL-USDT", "KCS-USDT", "XRP-USDT"),
)
