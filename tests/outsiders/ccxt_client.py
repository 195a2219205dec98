"""A ccxt client that can reach nothing but a practice server on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ccxt.pro as ccxtpro

from connectors.practice.server import PracticeServer


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
