"""Binance: spot, and USD-margined perpetual and dated futures. Data only; see market, spot*, usdm*, signing, practice.

Symbols are spelled the same in both products, so everything is keyed by family too. Protocol as of 2026-07.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from connectors.binance.market import USDM_BOOKS, USDM_REST, BinanceMarketStream, route
from connectors.binance.signing import BinanceSigner
from connectors.binance.spot import SpotTrading
from connectors.binance.spot_account import SpotAccountStream
from connectors.binance.usdm import UsdmTrading
from connectors.binance.usdm_account import UsdmAccountStream, UsdmTradeStream, keep_alive
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
    KeepUp,
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
from connectors.model import Market, OrderKind
from connectors.spelling import Spelling, split

_DAY = 24 * 3600.0
_ALL = frozenset(OrderKind)
_INTERVALS = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M")


def client_id(stamp: Stamp) -> str:
    """1 to 36 of letters, digits, dash and underscore; ours begin with "fa-"."""
    return f"fa-{stamp.token[:24]}"


# What can be bought with; names are joined, so a lone frame is read by them. Longest first where one ends in another.
_QUOTES = (
    "FDUSD", "USDT", "USDC", "BUSD", "TUSD", "USDS", "USD1", "EURI", "AEUR", "BIDR", "IDRT", "BKRW", "BVND", "DOGE",
    "TRY", "EUR", "GBP", "AUD", "BRL", "RUB", "UAH", "NGN", "ZAR", "PLN", "RON", "ARS", "MXN", "COP", "CZK", "JPY",
    "DAI", "UST", "VAI", "PAX", "BTC", "ETH", "BNB", "XRP", "TRX", "DOT", "SOL", "USD",
)  # fmt: skip


def _pair(wire: str) -> tuple[str, str] | None:
    """BTCUSDT, or BTCUSDT_251226 for a contract that ends."""
    name, _, end = wire.partition("_")
    found = split(name, _QUOTES)
    return (found[0], f"{found[1]}-{end}") if found and end else found


SPELLING = Spelling(wire=lambda base, quote: base + quote.replace("-", "_"), pair=_pair)


def _used(headers: Mapping[str, str]) -> Iterable[tuple[str, float]]:
    names = {
        "x-mbx-used-weight-1m": "REQUEST_WEIGHT",
        "x-mbx-order-count-10s": "ORDERS_10S" if "x-mbx-order-count-1m" in headers else "ORDERS",
        "x-mbx-order-count-1m": "ORDERS_1M",
    }
    for header, bucket in names.items():
        value = headers.get(header, "")
        if value.isdigit():
            yield bucket, float(value)


SPOT = Family(
    name="spot",
    markets=frozenset({Market.SPOT}),
    endpoints=(
        Endpoint(Role.REST, "https://api.binance.com", "https://testnet.binance.vision"),
        Endpoint(Role.MARKET, "wss://stream.binance.com:9443", "wss://stream.testnet.binance.vision"),
        Endpoint(
            Role.ACCOUNT, "wss://ws-api.binance.com:443/ws-api/v3", "wss://ws-api.testnet.binance.vision/ws-api/v3"
        ),
        Endpoint(Role.TRADE, "wss://ws-api.binance.com:443/ws-api/v3", "wss://ws-api.testnet.binance.vision/ws-api/v3"),
    ),
    trading=SpotTrading(),
    signer=BinanceSigner(),
    capabilities=Capabilities(
        kinds=_ALL,
        amend=Amend.REDUCE_ONLY,
        market_buy_in_quote=True,
        orders_over_socket=True,
        intervals=("1s", *_INTERVALS),
        channels=frozenset({Channel.BOOK, Channel.TRADES, Channel.TOP, Channel.TICKER, Channel.CANDLES}),
    ),
    book=BookRule(source=Source.CALL, link=Link.RANGE, join=Join.NEXT, horizon=True),
    ids=IdRule(make=client_id, pattern=r"^[a-zA-Z0-9-_]{1,36}$"),
    market_stream=lambda role: BinanceMarketStream(futures=False),
    account_stream=SpotAccountStream,
    trade_stream=lambda: SpotAccountStream(subscribe=False),
    caps={
        Role.MARKET: Caps(topics=1024, topics_per_frame=200, frames_per_second=4, connects=(300, 300.0), life=_DAY),
        Role.ACCOUNT: Caps(frames_per_second=20, connects=(300, 300.0), life=_DAY),
        Role.TRADE: Caps(frames_per_second=20, connects=(300, 300.0), life=_DAY),
    },
    # The server pings every 20 s; a quiet private socket sends nothing else, so only lost pings end it.
    pulse={Role.MARKET: Pulse(dead_after=60), Role.ACCOUNT: Pulse(dead_after=_DAY), Role.TRADE: Pulse(dead_after=_DAY)},
    spelling=SPELLING,
    buckets=(Bucket("REQUEST_WEIGHT", 6000, 60), Bucket("ORDERS", 50, 10, per_key=True)),
    used=_used,
)

USDM = Family(
    name="usdm",
    markets=frozenset({Market.PERP, Market.FUTURE}),
    endpoints=(
        Endpoint(Role.REST, "https://fapi.binance.com", "https://demo-fapi.binance.com"),
        Endpoint(USDM_BOOKS, "wss://fstream.binance.com/public", "wss://demo-fstream.binance.com/public"),
        Endpoint(USDM_REST, "wss://fstream.binance.com/market", "wss://demo-fstream.binance.com/market"),
        Endpoint(Role.ACCOUNT, "wss://fstream.binance.com/private", "wss://demo-fstream.binance.com/private"),
        Endpoint(Role.TRADE, "wss://ws-fapi.binance.com/ws-fapi/v1", "wss://testnet.binancefuture.com/ws-fapi/v1"),
    ),
    trading=UsdmTrading(),
    signer=BinanceSigner(),
    capabilities=Capabilities(
        kinds=_ALL,
        reduce_only=True,
        leverage=True,
        amend=Amend.IN_PLACE,
        dead_man=True,
        orders_over_socket=True,
        intervals=_INTERVALS,
        channels=frozenset({Channel.BOOK, Channel.TRADES, Channel.TOP, Channel.TICKER, Channel.CANDLES, Channel.MARK}),
    ),
    book=BookRule(source=Source.CALL, link=Link.PREV, join=Join.WITHIN, horizon=True),
    ids=IdRule(make=client_id, pattern=r"^[\.A-Z\:/a-z0-9_-]{1,36}$"),
    market_stream=lambda role: BinanceMarketStream(futures=True),
    account_stream=UsdmAccountStream,
    trade_stream=UsdmTradeStream,
    route=route,
    caps={
        USDM_BOOKS: Caps(topics=200, topics_per_frame=200, frames_per_second=8, life=_DAY),
        USDM_REST: Caps(topics=200, topics_per_frame=200, frames_per_second=8, life=_DAY),
        Role.ACCOUNT: Caps(life=_DAY),
        Role.TRADE: Caps(frames_per_second=20, life=_DAY),
    },
    pulse={
        USDM_BOOKS: Pulse(dead_after=60),
        USDM_REST: Pulse(dead_after=60),
        Role.ACCOUNT: Pulse(dead_after=_DAY),
        Role.TRADE: Pulse(dead_after=_DAY),
    },
    spelling=SPELLING,
    buckets=(
        Bucket("REQUEST_WEIGHT", 2400, 60),
        Bucket("ORDERS_10S", 300, 10, per_key=True),
        Bucket("ORDERS_1M", 1200, 60, per_key=True),
    ),
    used=_used,
    keep_up=(KeepUp("listen key", 30 * 60.0, keep_alive),),
    polls={"balances": 60.0},  # events carry the wallet, not what is available
)

VENUE = Venue(
    slug="binance",
    name="Binance",
    families=(SPOT, USDM),
    secrets=(
        SecretField("key", "API key", secret=False),
        SecretField("secret", "Secret, or private key (Ed25519 or RSA, PEM)", multiline=True),
    ),
    standing=Standing(
        Lifecycle.LIVE, "2026-11-22", note="Not open to residents of the USA.", source="venue documentation"
    ),
    docs="https://developers.binance.com",
    fees="https://www.binance.com/en/fee/schedule",
    practice="connectors.binance.practice:BinancePractice",
    demo_symbols=("BTC-USDT", "ETH-USDT", "SOL-USDT", "BNB-USDT", "XRP-USDT"),
)
