"""A process of its own around `bitmex-api`, ccxt's client of this one venue: ccxt itself dropped it when the venue closed.

The package puts itself in the place of `ccxt` when it is imported, so it can't live beside the other outsiders. Lines of JSON in,
lines of JSON out: first `{"hosts", "credentials"}`, then calls `{"call", "args"}`, each answered by its result or an error. `@book`
reads the order book that the client keeps.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from typing import Any


def pointed(value: Any, hosts: Mapping[str, str]) -> Any:
    """Every address of the client's tables with the longest matching real prefix replaced by the local one."""
    if isinstance(value, dict):
        return {key: pointed(part, hosts) for key, part in value.items()}
    if isinstance(value, str) and "://" in value:
        for real in sorted(hosts, key=len, reverse=True):
            if value.startswith(real):
                return hosts[real] + value[len(real) :]
        return "http://127.0.0.1:1/not-served"  # anything else must fail at once, and never leave this machine
    return value


async def main() -> None:
    """Answer until the input ends."""
    from bitmex import BitmexWs

    loop = asyncio.get_running_loop()
    begin = json.loads(await loop.run_in_executor(None, sys.stdin.readline))
    key = begin["credentials"]
    exchange = BitmexWs({"apiKey": key["key"], "secret": key["secret"], "enableRateLimit": False})
    exchange.urls["api"] = pointed(exchange.urls["api"], begin["hosts"])
    try:
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            asked = json.loads(line)
            try:
                if asked["call"] == "@book":
                    book = exchange.orderbooks[asked["args"][0]]
                    result = {side: [list(row[:2]) for row in book[side]] for side in ("bids", "asks")}
                else:
                    result = await getattr(exchange, asked["call"])(*asked.get("args", []))
                said = {"result": result}
            except Exception as error:  # noqa: BLE001 - whatever the client raises is its answer
                said = {"error": type(error).__name__, "text": str(error)}
            sys.stdout.write(json.dumps(said, default=str) + "\n")
            sys.stdout.flush()
    finally:
        await exchange.close()


if __name__ == "__main__":
    asyncio.run(main())
