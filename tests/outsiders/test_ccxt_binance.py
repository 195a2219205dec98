"""A client that is not ours uses the practice server: ccxt, REST and WebSocket, pointed at loopback by replacing prefixes.

Where ccxt and the venue's documentation disagree, the documentation wins: ccxt asks REST and streams of hosts beyond the
documented ones only when options tell it to, so those options are switched off here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import ccxt.pro as ccxtpro
import pytest

from connectors.catalogue import load
from connectors.practice.server import PracticeServer
from tests.outsiders.ccxt_client import client, ends_equal
from tests.waiting import until


@pytest.fixture
async def server() -> AsyncIterator[PracticeServer]:
    found = PracticeServer(load("binance"), seed=11, crowd=("spot:BTC-USDT", "perp:BTC-USDT"))
    await found.start()
    yield found
    await found.stop()


@pytest.mark.parametrize(
    ("name", "symbol", "options"),
    [
        ("binance", "BTC/USDT", {"defaultType": "spot", "fetchMarkets": {"types": ["spot"]}}),
        ("binanceusdm", "BTC/USDT:USDT", {"fetchMarkets": {"types": ["linear"]}}),
    ],
)
async def test_ccxt_trades_here(server: PracticeServer, name: str, symbol: str, options: dict[str, Any]) -> None:
    """markets, book, resting order, open orders, cancel, market order, fill, balance."""
    exchange = await client(name, server, **options)
    try:
        markets = await exchange.load_markets()
        assert symbol in markets
        book = await exchange.fetch_order_book(symbol, 100)
        assert len(book["bids"]) == 100
        assert book["bids"][0][0] < book["asks"][0][0]
        before = await exchange.fetch_balance()
        assert before["USDT"]["free"] > 1000

        price = float(exchange.price_to_precision(symbol, book["bids"][0][0] * 0.98))
        placed = await exchange.create_order(symbol, "limit", "buy", 0.01, price)
        found = await exchange.fetch_open_orders(symbol)
        assert [row["id"] for row in found] == [placed["id"]]
        assert found[0]["price"] == price
        cancelled = await exchange.cancel_order(placed["id"], symbol)
        assert cancelled["id"] == placed["id"]
        assert await exchange.fetch_open_orders(symbol) == []
        assert (await exchange.fetch_order(placed["id"], symbol))["status"] == "canceled"

        bought = await exchange.create_order(symbol, "market", "buy", 0.01)
        order = await exchange.fetch_order(bought["id"], symbol)
        assert order["status"] == "closed"
        assert order["filled"] == pytest.approx(0.01)
        fills = await exchange.fetch_my_trades(symbol)
        assert sum(fill["amount"] for fill in fills if fill["order"] == bought["id"]) == pytest.approx(0.01)
        # the documentation's -2019 is "insufficient margin"; ccxt has no class for it and raises its general error
        with pytest.raises(ccxtpro.ExchangeError, match=r"insufficient"):
            await exchange.create_order(symbol, "limit", "buy", 900, price)
        with pytest.raises(ccxtpro.OrderNotFound):
            await exchange.cancel_order("99999999", symbol)
    finally:
        await exchange.close()


@pytest.mark.parametrize(
    ("name", "symbol", "key", "options"),
    [
        ("binance", "BTC/USDT", "spot:BTC-USDT", {"defaultType": "spot", "fetchMarkets": {"types": ["spot"]}}),
        ("binanceusdm", "BTC/USDT:USDT", "perp:BTC-USDT", {"fetchMarkets": {"types": ["linear"]}}),
    ],
)
async def test_ccxt_keeps_a_book_that_equals_ours(
    server: PracticeServer, name: str, symbol: str, key: str, options: dict[str, Any]
) -> None:
    exchange = await client(name, server, **options)
    try:
        await exchange.load_markets()
        await ends_equal(exchange, symbol, server, key)
        practice: Any = server.practice
        product = practice.spot if key.startswith("spot") else practice.usdm
        last = product.book_id(server.exchange.sequence(key))  # of a level further down, perhaps
        await until(lambda: exchange.orderbooks[symbol]["nonce"] == last, "the last update")
    finally:
        await exchange.close()
