"""A client that is not ours uses Coinbase's practice side: ccxt, REST and WebSocket, with an ECDSA key.

Where ccxt and the venue's documentation disagree, the documentation wins: ccxt does not turn the maker's side of public trades into
the taker's, reads wallets and currencies of an older API unless options tell it not to, and asks for a fee with market buys.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import ccxt.pro as ccxtpro
import pytest

from connectors.catalogue import load
from connectors.model import Side
from connectors.practice.server import PracticeServer
from tests.outsiders.ccxt_client import client, ends_equal
from tests.waiting import PATIENCE

SYMBOL, KEY = "BTC/USD", "spot:BTC-USD"
OPTIONS: dict[str, Any] = {
    "fetchBalance": "v3PrivateGetBrokerageAccounts",
    "createMarketBuyOrderRequiresPrice": False,
}


@pytest.fixture
async def server() -> AsyncIterator[PracticeServer]:
    found = PracticeServer(load("coinbase"), seed=11, crowd=(KEY,))
    await found.start()
    yield found
    await found.stop()


@pytest.fixture
async def exchange(server: PracticeServer) -> AsyncIterator[Any]:
    found = await client("coinbase", server, **OPTIONS)
    found.has["fetchCurrencies"] = False
    yield found
    await found.close()


async def test_ccxt_trades_here(server: PracticeServer, exchange: Any) -> None:
    """markets, book, resting order, open orders, cancel, market orders, fills, balance, refusals."""
    markets = await exchange.load_markets()
    assert {SYMBOL, "BTC/USDC", "EURC/USDC"} <= markets.keys()
    book = await exchange.fetch_order_book(SYMBOL, 100)
    assert len(book["bids"]) == 100
    assert book["bids"][0][0] < book["asks"][0][0]
    before = await exchange.fetch_balance()
    assert before["USD"]["free"] > 1000

    price = float(exchange.price_to_precision(SYMBOL, book["bids"][0][0] * 0.98))
    placed = await exchange.create_order(SYMBOL, "limit", "buy", 0.01, price)
    found = await exchange.fetch_open_orders(SYMBOL)
    assert [row["id"] for row in found] == [placed["id"]]
    assert found[0]["price"] == price
    held = (await exchange.fetch_balance())["USD"]["used"]
    assert held == pytest.approx(0.01 * price * 1.012)
    await exchange.cancel_order(placed["id"], SYMBOL)
    assert await exchange.fetch_open_orders(SYMBOL) == []
    assert (await exchange.fetch_order(placed["id"], SYMBOL))["status"] == "canceled"

    bought = await exchange.create_order(SYMBOL, "market", "buy", 100, None, {"cost": 100})
    order = await exchange.fetch_order(bought["id"], SYMBOL)
    assert order["status"] == "closed"
    assert order["cost"] + float(order["fee"]["cost"]) == pytest.approx(100, abs=1e-3)
    sold = await exchange.create_order(SYMBOL, "market", "sell", 0.01)
    fills = await exchange.fetch_my_trades(SYMBOL)
    assert sum(fill["amount"] for fill in fills if fill["order"] == sold["id"]) == pytest.approx(0.01)
    with pytest.raises(ccxtpro.InsufficientFunds):
        await exchange.create_order(SYMBOL, "limit", "buy", 900, price)
    with pytest.raises(ccxtpro.BaseError):
        await exchange.cancel_order("00000000-0000-0000-0000-000000000000", SYMBOL)


async def test_ccxt_keeps_a_book_that_equals_the_exchanges(server: PracticeServer, exchange: Any) -> None:
    await exchange.load_markets()
    await ends_equal(exchange, SYMBOL, server, KEY)


async def test_ccxt_hears_its_orders_and_trades_by_their_maker(server: PracticeServer, exchange: Any) -> None:
    await exchange.load_markets()
    trades = await asyncio.wait_for(exchange.watch_trades(SYMBOL), PATIENCE)
    theirs = {str(row.id): row.side for row in server.exchange.trades(KEY, limit=1000)}
    seen = [(row["side"], theirs[row["id"]]) for row in trades if row["id"] in theirs]
    assert seen
    assert all(side == taker.opposite for side, taker in seen)  # ccxt hands on the maker's side as it is
    assert {taker for _, taker in seen} <= set(Side)

    waiting = asyncio.ensure_future(exchange.watch_orders(SYMBOL))
    await asyncio.sleep(0)
    placed: dict[str, Any] = {}
    while not waiting.done():
        placed = await exchange.create_order(SYMBOL, "limit", "buy", 0.01, 50000)
        await asyncio.wait([waiting], timeout=1)
    assert placed
    assert {row["symbol"] for row in await waiting} == {SYMBOL}
