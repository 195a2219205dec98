"""A client that is not ours uses BitMEX's practice server: ccxt's own BitMEX client, REST and WebSocket, in a process of its own.

ccxt tells the amount of an inverse order in base, by its average price, and hands fees on in minor units as if they were coins; the
documentation wins: contracts and fees are read from the rows that it keeps (`info`).
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.catalogue import load
from connectors.model import OrderKind, Side
from connectors.practice.server import PracticeServer
from connectors.practice.terms import NewOrder, Wallet
from tests.waiting import PATIENCE, until

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("bitmex") is None, reason="bitmex-api is not installed; `./dev setup` does it"
)

SCRIPT = Path(__file__).with_name("ccxt_bitmex.py")
INVERSE, LINEAR = "BTC/USD:BTC", "ETH/USDT:USDT"


class Refused(Exception):
    """The client raised something of its own."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind


class Outsider:
    """The process, one question at a time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def say(self, body: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(body).encode() + b"\n")
        await self._process.stdin.drain()

    async def ask(self, call: str, *args: Any) -> Any:
        await self.say({"call": call, "args": args})
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), PATIENCE)
        assert line, "the client's process ended"
        said = json.loads(line)
        if "error" in said:
            raise Refused(said["error"], said["text"])
        return said["result"]


@pytest.fixture
async def server() -> AsyncIterator[PracticeServer]:
    found = PracticeServer(load("bitmex"), seed=11, crowd=("perp:BTC-USD", "perp:ETH-USDT"))
    await found.start()
    yield found
    await found.stop()


@pytest.fixture
async def outsider(server: PracticeServer) -> AsyncIterator[Outsider]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(SCRIPT), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=2**24
    )
    found = Outsider(process)
    await found.say({"hosts": server.hosts, "credentials": server.credentials})
    yield found
    assert process.stdin is not None
    process.stdin.close()
    await asyncio.wait_for(process.wait(), PATIENCE)


@pytest.mark.parametrize(("symbol", "key", "amount"), [(INVERSE, "perp:BTC-USD", 300), (LINEAR, "perp:ETH-USDT", 4000)])
async def test_an_outsider_trades_here(
    server: PracticeServer, outsider: Outsider, symbol: str, key: str, amount: int
) -> None:
    """markets, book, resting order, open orders, cancel, market order, fills, position, balance, refusals."""
    exchange = server.exchange
    markets = await outsider.ask("load_markets")
    market, listing = markets[symbol], exchange.listings[key]
    assert market["inverse"] is (symbol == INVERSE)
    assert market["precision"]["price"] == float(listing.tick)
    assert market["taker"] == float(listing.taker)

    book = await outsider.ask("fetch_order_book", symbol, 25)
    assert len(book["bids"]) == len(book["asks"]) == 25
    assert book["bids"][0][0] < book["asks"][0][0]

    price = float(round(book["bids"][0][0] * 0.98))
    placed = await outsider.ask("create_order", symbol, "limit", "buy", amount, price)
    (found,) = await outsider.ask("fetch_open_orders", symbol)
    assert (found["id"], found["price"], float(found["info"]["orderQty"])) == (placed["id"], price, amount)
    edited = await outsider.ask("edit_order", placed["id"], symbol, "limit", "buy", amount, price - 10)
    assert (edited["id"], edited["price"]) == (placed["id"], price - 10)
    cancelled = await outsider.ask("cancel_order", placed["id"], symbol)
    assert (cancelled["id"], cancelled["status"]) == (placed["id"], "canceled")
    assert await outsider.ask("fetch_open_orders", symbol) == []
    assert (await outsider.ask("fetch_order", placed["id"], symbol))["status"] == "canceled"

    bought = await outsider.ask("create_order", symbol, "market", "buy", amount)
    assert (bought["status"], float(bought["info"]["cumQty"])) == ("closed", amount)
    fills = await outsider.ask("fetch_my_trades", symbol)
    theirs = exchange.fills("trader", key)
    assert sum(float(fill["info"]["lastQty"]) for fill in fills) == sum(float(fill.size) for fill in theirs) == amount
    scale = 10**8 if symbol == INVERSE else 10**6
    assert sum(int(fill["info"]["execComm"]) for fill in fills) == sum(fill.fee for fill in theirs) * scale
    (position,) = await outsider.ask("fetch_positions", [symbol])
    assert (position["side"], position["contracts"]) == ("long", amount)
    balance = await outsider.ask("fetch_balance")
    asset = "BTC" if symbol == INVERSE else "USDT"
    own = exchange.balance("trader", asset, Wallet.MARGIN)
    assert balance["total"][asset] == pytest.approx(float(own.total + own.unrealised), abs=0.02 * float(own.total))

    too_much = 10_000_000 if symbol == INVERSE else 900_000_000
    with pytest.raises(Refused) as refused:
        await outsider.ask("create_order", symbol, "limit", "buy", too_much, price)
    assert refused.value.kind == "InsufficientFunds", refused.value
    with pytest.raises(Refused) as refused:
        await outsider.ask("cancel_order", placed["id"], symbol)
    assert refused.value.kind == "OrderNotFound", refused.value


async def test_an_outsider_keeps_a_book_that_equals_ours(server: PracticeServer, outsider: Outsider) -> None:
    """given a book that moved sixty times, when the market stands still, then every level of both is the same."""
    await outsider.ask("load_markets")
    for _ in range(60):
        book = await outsider.ask("watch_order_book", INVERSE)
        assert book["bids"][0][0] < book["asks"][0][0]
    server.crowd = None
    server.exchange.cancel_all("trader")
    image = server.exchange.book("perp:BTC-USD")
    wanted = {
        "bids": [[float(row.price), float(row.size)] for row in image.bids],
        "asks": [[float(row.price), float(row.size)] for row in image.asks],
    }
    kept: Any = None
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while kept != wanted and asyncio.get_running_loop().time() < deadline:
        kept = await outsider.ask("@book", INVERSE)
    assert kept["bids"][:20] == wanted["bids"][:20]
    assert kept["asks"][:20] == wanted["asks"][:20]
    assert len(kept["bids"]) == len(wanted["bids"])


async def test_an_outsider_hears_of_its_orders(server: PracticeServer, outsider: Outsider) -> None:
    await outsider.ask("load_markets")
    listening = asyncio.ensure_future(outsider.ask("watch_orders", INVERSE))
    practice: Any = server.practice
    await until(lambda: any("order" in socket.topics for socket in practice.tables.sockets), "the subscription")
    request = NewOrder(
        key="perp:BTC-USD", side=Side.BUY, kind=OrderKind.LIMIT, amount=Decimal(100), price=Decimal(50000)
    )
    order = server.exchange.place("trader", request)
    found = await listening
    assert found[-1]["id"] == practice.rows.order_id(order.id)
    assert (found[-1]["status"], found[-1]["price"]) == ("open", 50000)
