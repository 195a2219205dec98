"""A client that is not ours uses KuCoin's practice side: ccxt, REST and WebSocket, spot and futures, pointed at loopback.

Nothing is replaced but the prefixes of REST addresses: the sockets' address comes from the token answer, which names this very
server. Where ccxt and the venue's documentation disagree, the documentation wins; the test says where.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import ccxt.pro as ccxtpro
import pytest

from connectors.catalogue import load
from connectors.practice.server import PracticeServer
from tests.outsiders.ccxt_client import client, ends_equal
from tests.waiting import PATIENCE, until

SPOT, PERP = "BTC/USDT", "BTC/USDT:USDT"
TRADE = {"hf": False}  # the account that trades is called "trade" in the documentation; ccxt would ask for "trade_hf"
NO_MARGIN = {"marginables": False}  # margin trading is not part of what is served here


@pytest.fixture
async def server() -> AsyncIterator[PracticeServer]:
    found = PracticeServer(load("kucoin"), seed=11, crowd=("spot:BTC-USDT", "perp:BTC-USDT"))
    await found.start()
    yield found
    await found.stop()


@pytest.fixture
async def exchange(server: PracticeServer) -> AsyncIterator[Any]:
    # ccxt would ask the unified account's addresses for lists of markets; the classic ones are documented here
    found = await client(
        "kucoin", server, uta=False, fetchMarkets={"types": ["spot", "swap"], "fetchTickersFees": True}
    )
    found.has["fetchCurrencies"] = False  # chains of deposits are no business of a trading terminal
    yield found
    await found.close()


async def test_ccxt_trades_spot(server: PracticeServer, exchange: Any) -> None:
    """markets, book, resting order, open orders, cancel, market order, fill, balance, refusals."""
    markets = await exchange.load_markets(False, NO_MARGIN)
    assert {SPOT, PERP, "BTC/USD:BTC", "BSV/USDT"} <= markets.keys()
    assert markets["BSV/USDT"]["id"] == "BCHSV-USDT"  # the symbol kept the coin's old name
    book = await exchange.fetch_order_book(SPOT, 100)
    assert len(book["bids"]) == 100
    assert book["bids"][0][0] < book["asks"][0][0]
    before = await exchange.fetch_balance(TRADE)
    assert before["USDT"]["free"] > 1000

    price = float(exchange.price_to_precision(SPOT, book["bids"][0][0] * 0.98))
    placed = await exchange.create_order(SPOT, "limit", "buy", 0.01, price)
    found = await exchange.fetch_open_orders(SPOT)
    assert [row["id"] for row in found] == [placed["id"]]
    assert found[0]["price"] == price
    held = (await exchange.fetch_balance(TRADE))["USDT"]["used"]
    assert held == pytest.approx(0.01 * price * 1.001)  # the fee is held with the price
    await exchange.cancel_order(placed["id"], SPOT)
    assert await exchange.fetch_open_orders(SPOT) == []
    assert (await exchange.fetch_order(placed["id"], SPOT))["status"] == "canceled"

    bought = await exchange.create_order(SPOT, "market", "buy", 0.01)
    order = await exchange.fetch_order(bought["id"], SPOT)
    assert (order["status"], order["filled"]) == ("closed", 0.01)
    fills = [fill for fill in await exchange.fetch_my_trades(SPOT) if fill["order"] == bought["id"]]
    assert sum(fill["amount"] for fill in fills) == pytest.approx(0.01)
    assert {fill["fee"]["currency"] for fill in fills} == {"USDT"}
    assert sum(fill["fee"]["cost"] for fill in fills) == pytest.approx(sum(fill["cost"] for fill in fills) * 0.001)
    with pytest.raises(ccxtpro.InsufficientFunds):
        await exchange.create_order(SPOT, "limit", "buy", 900, price)
    with pytest.raises(ccxtpro.OrderNotFound):
        await exchange.cancel_order("670fd33bf9406e0007ab3945", SPOT)


async def test_ccxt_trades_futures(server: PracticeServer, exchange: Any) -> None:
    """Lots of a contract: resting order, cancel, a position opened and closed, fills and fees."""
    await exchange.load_markets(False, NO_MARGIN)
    assert exchange.market(PERP)["contractSize"] == 0.001
    book = await exchange.fetch_order_book(PERP, 100)
    assert book["bids"][0][0] < book["asks"][0][0]
    price = float(exchange.price_to_precision(PERP, book["bids"][0][0] * 0.98))
    placed = await exchange.create_order(PERP, "limit", "buy", 10, price)
    found = await exchange.fetch_open_orders(PERP)
    assert [(row["id"], row["amount"]) for row in found] == [(placed["id"], 10)]
    await exchange.cancel_order(placed["id"], PERP)
    assert await exchange.fetch_open_orders(PERP) == []

    await exchange.create_order(PERP, "market", "sell", 25)
    (position,) = await exchange.fetch_positions([PERP])
    assert (position["side"], position["contracts"]) == ("short", 25)
    await exchange.create_order(PERP, "market", "buy", 25, None, {"reduceOnly": True})
    assert await exchange.fetch_positions([PERP]) == []
    fills = await exchange.fetch_my_trades(PERP)
    assert sum(fill["amount"] for fill in fills) == 50
    assert all(fill["fee"]["cost"] > 0 for fill in fills)
    with pytest.raises(ccxtpro.ExchangeError):
        await exchange.create_order(
            PERP, "limit", "buy", 10, price, {"marginMode": "cross"}
        )  # the contract is isolated


@pytest.mark.parametrize(("symbol", "key"), [(SPOT, "spot:BTC-USDT"), (PERP, "perp:BTC-USDT")])
async def test_ccxt_keeps_a_book_that_equals_ours(server: PracticeServer, exchange: Any, symbol: str, key: str) -> None:
    await exchange.load_markets(False, NO_MARGIN)
    await ends_equal(exchange, symbol, server, key)
    practice: Any = server.practice
    product = practice.spot if key.startswith("spot") else practice.futures
    last = product.sequence(key, server.exchange.sequence(key))  # of a level further down, perhaps
    await until(lambda: exchange.orderbooks[symbol]["nonce"] == last, "the last update")


async def test_ccxt_hears_its_own_orders(server: PracticeServer, exchange: Any) -> None:
    """The private socket: a token of its own, orders as they happen."""
    await exchange.load_markets(False, NO_MARGIN)
    heard = asyncio.ensure_future(exchange.watch_orders(SPOT))
    practice: Any = server.practice
    await until(lambda: any(socket.mine for socket in practice.spot.sockets), "the subscription")
    placed = await exchange.create_order(SPOT, "limit", "buy", 0.01, 50_000)
    orders = await asyncio.wait_for(heard, PATIENCE)
    assert [order["id"] for order in orders] == [placed["id"]]
    assert orders[0]["status"] == "open"
