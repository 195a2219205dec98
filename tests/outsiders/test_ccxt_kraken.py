"""ccxt on Kraken's practice side: REST, the public and the private WebSocket v2, pointed at loopback by replacing prefixes.

Where ccxt and the venue's documentation disagree, the documentation wins: "Unknown order" is an invalid order to ccxt, and its
WebSocket book does not check the checksum, so it is checked here, from the digits that a plain client of the test reads.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import ccxt.pro as ccxtpro
import pytest

from connectors.catalogue import load
from connectors.practice.server import PracticeServer
from tests.outsiders.ccxt_client import client, ends_equal
from tests.waiting import PATIENCE

SYMBOL, KEY = "BTC/USD", "spot:BTC-USD"


@pytest.fixture
async def server() -> AsyncIterator[PracticeServer]:
    found = PracticeServer(load("kraken"), seed=11, crowd=(KEY,))
    await found.start()
    yield found
    await found.stop()


@pytest.fixture
async def exchange(server: PracticeServer) -> AsyncIterator[Any]:
    found = await client("kraken", server)
    yield found
    await found.close()


async def test_ccxt_trades_here(exchange: Any) -> None:
    """markets, book, resting order, open orders, amend, cancel, market order, fill, balance."""
    markets = await exchange.load_markets()
    assert markets[SYMBOL]["precision"]["price"] == 0.1
    assert markets[SYMBOL]["limits"]["amount"]["min"] == 0.00005
    assert "DOGE/USD" in markets, "ccxt knows XDG by its name of today"
    book = await exchange.fetch_order_book(SYMBOL, 100)
    assert len(book["bids"]) == 100
    assert book["bids"][0][0] < book["asks"][0][0]
    assert (await exchange.fetch_ticker(SYMBOL))["bid"] < book["asks"][-1][0]
    assert len(await exchange.fetch_ohlcv(SYMBOL, "5m")) > 100
    assert await exchange.fetch_trades(SYMBOL)
    before = await exchange.fetch_balance()
    assert before["USD"]["free"] > 1000

    price = float(exchange.price_to_precision(SYMBOL, book["bids"][0][0] * 0.98))
    placed = await exchange.create_order(SYMBOL, "limit", "buy", 0.01, price, {"clientOrderId": "from-ccxt"})
    found = await exchange.fetch_open_orders(SYMBOL)
    assert [row["id"] for row in found] == [placed["id"]]
    assert (found[0]["price"], found[0]["clientOrderId"]) == (price, "from-ccxt")
    held = await exchange.fetch_balance()
    assert held["USD"]["used"] == pytest.approx(price * 0.01 * 1.004, rel=0.01)
    await exchange.edit_order(placed["id"], SYMBOL, "limit", "buy", 0.02, price)
    assert (await exchange.fetch_order(placed["id"], SYMBOL))["amount"] == 0.02
    await exchange.cancel_order(placed["id"], SYMBOL)
    assert await exchange.fetch_open_orders(SYMBOL) == []
    assert (await exchange.fetch_order(placed["id"], SYMBOL))["status"] == "canceled"
    closed = await exchange.fetch_closed_orders(SYMBOL)
    assert [row["id"] for row in closed] == [placed["id"]]

    bought = await exchange.create_order(SYMBOL, "market", "buy", 0.01)
    order = await exchange.fetch_order(bought["id"], SYMBOL)
    assert order["status"] == "closed"
    assert order["filled"] == pytest.approx(0.01)
    assert float(order["fee"]["cost"]) == pytest.approx(order["cost"] * 0.004, rel=0.001)
    fills = await exchange.fetch_my_trades(SYMBOL)
    assert sum(fill["amount"] for fill in fills if fill["order"] == bought["id"]) == pytest.approx(0.01)
    stop = await exchange.create_order(SYMBOL, "market", "sell", 0.01, None, {"stopLossPrice": price * 0.9})
    (waiting,) = await exchange.fetch_open_orders(SYMBOL)
    assert (waiting["id"], waiting["info"]["descr"]["ordertype"]) == (stop["id"], "stop-loss")
    rates = await exchange.fetch_trading_fee(SYMBOL)
    assert (rates["maker"], rates["taker"]) == (0.0025, 0.004)
    await exchange.cancel_all_orders()
    assert await exchange.fetch_open_orders(SYMBOL) == []
    with pytest.raises(ccxtpro.InsufficientFunds):
        await exchange.create_order(SYMBOL, "limit", "buy", 900, price)
    with pytest.raises(ccxtpro.InvalidOrder, match="Unknown order"):
        await exchange.cancel_order("OAAAAA-AAAAA-AAAAAA", SYMBOL)
    exchange.secret = "AAAA"
    with pytest.raises(ccxtpro.ExchangeError, match="Invalid signature"):
        await exchange.fetch_balance()


async def test_ccxt_keeps_a_book_that_equals_ours(server: PracticeServer, exchange: Any) -> None:
    await exchange.load_markets()
    await ends_equal(exchange, SYMBOL, server, KEY)
    assert len(exchange.orderbooks[SYMBOL]["bids"]) == 10


async def test_ccxt_hears_of_its_own_orders(exchange: Any) -> None:
    await exchange.load_markets()
    trades = asyncio.ensure_future(exchange.watch_my_trades(SYMBOL))
    balances = asyncio.ensure_future(exchange.watch_balance())
    assert (await asyncio.wait_for(balances, PATIENCE))["BTC"]["total"] == 10
    placed = await asyncio.wait_for(exchange.create_order_ws(SYMBOL, "market", "buy", 0.01), PATIENCE)
    heard = await asyncio.wait_for(trades, PATIENCE)
    assert heard[0]["order"] == placed["id"]
    rested = await asyncio.wait_for(exchange.create_order_ws(SYMBOL, "limit", "buy", 0.01, 50000), PATIENCE)
    orders = asyncio.ensure_future(exchange.watch_orders())  # sparse rows name no symbol, so ccxt can't sort them by it
    await asyncio.sleep(0)
    cancelled = await asyncio.wait_for(exchange.cancel_order_ws(rested["id"]), PATIENCE)
    assert cancelled["result"]["order_id"] == rested["id"], "ccxt hands on the venue's own answer here"
    found = {row["id"]: row for row in await asyncio.wait_for(orders, PATIENCE)}
    assert rested["id"] in found
    last = await exchange.fetch_order(rested["id"], SYMBOL)
    assert last["status"] == "canceled"


async def test_a_plain_client_that_keeps_the_wires_digits_matches_every_checksum(server: PracticeServer) -> None:
    """Written from the documentation alone: apply, cut to ten, sum the text."""
    sides: dict[str, dict[str, str]] = {"bids": {}, "asks": {}}
    matched = 0
    request = {"method": "subscribe", "params": {"channel": "book", "symbol": [SYMBOL], "depth": 10}, "req_id": 1}
    async with aiohttp.ClientSession() as http, http.ws_connect(server.hosts["wss://ws.kraken.com/v2"]) as socket:
        await socket.send_json(request)
        while matched < 60:
            body = json.loads((await socket.receive(PATIENCE)).data, parse_float=str, parse_int=str)
            if body.get("channel") != "book":
                continue
            for row in body["data"]:
                for name, levels in sides.items():
                    if body["type"] == "snapshot":
                        levels.clear()
                    for level in row[name]:
                        if float(level["qty"]):
                            levels[level["price"]] = level["qty"]
                        else:
                            levels.pop(level["price"], None)
                    best = sorted(levels, key=float, reverse=name == "bids")
                    for price in best[10:]:
                        del levels[price]
                text = ""
                for name in ("asks", "bids"):
                    for price in sorted(sides[name], key=float, reverse=name == "bids"):
                        text += price.replace(".", "").lstrip("0") + sides[name][price].replace(".", "").lstrip("0")
                assert zlib.crc32(text.encode()) == int(row["checksum"])
                matched += 1
