"""A ccxt client that can reach nothing but a practice server on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ccxt.pro as ccxtpro

from connectors.practice.server import PracticeServer
from tests.waiting import until

UPDATES = 40  # of a book that a client watches before it is compared


def pointed(value: Any, hosts: Mapping[str, str]) -> Any:
    """Every address of ccxt's tables with the longest matching real prefix replaced by the local one."""
    if isinstance(value, dict):
        return {key: pointed(part, hosts) for key, part in value.items()}
    if isinstance(value, str) and "://" in value:
        for real in sorted(hosts, key=len, reverse=True):
            if value.startswith(real):
                return hosts[real] + value[len(real) :]
        return "http://127.0.0.1:1/not-served"  # anything else must fail at once, and never leave this machine
    return value


async def client(name: str, server: PracticeServer, **options: Any) -> Any:
    exchange = getattr(ccxtpro, name)(
        {
            "apiKey": server.credentials["key"],
            "secret": server.credentials["secret"],
            "password": server.credentials.get("passphrase", ""),
            "enableRateLimit": False,
            "options": {
                "fetchCurrencies": False,
                "fetchMargins": False,
                "warnOnFetchOpenOrdersWithoutSymbol": False,
                **options,
            },
        }
    )
    exchange.urls["api"] = pointed(exchange.urls["api"], server.hosts)
    return exchange


async def ends_equal(exchange: Any, symbol: str, server: PracticeServer, key: str, depth: int = 10) -> None:
    """Watch a book that moves, then let the market stand still: what the client has kept must be the exchange's own, level by level."""
    for _ in range(UPDATES):
        book = await exchange.watch_order_book(symbol)
        assert book["bids"][0][0] < book["asks"][0][0]
    server.crowd = None
    image = server.exchange.book(key, depth)
    wanted = [[(float(row.price), float(row.size)) for row in side] for side in (image.bids, image.asks)]

    def kept() -> list[list[tuple[float, float]]]:
        book = exchange.orderbooks[symbol]
        return [[(row[0], row[1]) for row in book[side][:depth]] for side in ("bids", "asks")]

    await until(lambda: kept() == wanted, f"{wanted} in ccxt's book, which is {kept()}")
