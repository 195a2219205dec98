"""Orders survive what goes wrong on the way: sockets that break and processes that are killed, at every moment that matters.

The trading process is a real one, with a real journal file; the exchange runs in this process and speaks the venue's own
protocol over real sockets. Whatever happens, desk, journal and exchange agree afterwards, and nothing is doubled.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from connectors.model import OrderStatus, Side
from connectors.practice.server import PracticeServer
from tests.end_to_end.rig import ACCOUNT, Trading, agree, all_orders, trading_at, until

SPOT, PERP = "binance:spot:BTC-USDT", "binance:perp:BTC-USDT"
RESTING, CROSSING = "62000", "62900"
SOON = 2.0  # seconds until a request counts as never arrived, in tests that send none
Break = Callable[[PracticeServer, Trading], Awaitable[None]]

pytestmark = pytest.mark.timeout(600)  # longer than any wait in here, which says what never came


async def cut(server: PracticeServer, trading: Trading) -> None:
    """Every socket breaks without a closing handshake; the process lives."""
    await server.cut()


async def kill(server: PracticeServer, trading: Trading) -> None:
    """The process is gone from one moment to the next."""
    await trading.kill()


BREAKS = pytest.mark.parametrize("breaks", [cut, kill])
MARKETS = pytest.mark.parametrize("market", [SPOT, PERP])


async def back(server: PracticeServer, trading: Trading, breaks: Break) -> None:
    """Bring the process back if it was killed, and let everybody agree."""
    if breaks is kill:
        await trading.start()
    await agree(server, trading)


async def stands(server: PracticeServer, trading: Trading, amount: str) -> str:
    """An order that rests, and of which everybody says the same; its id in the desk."""
    order_id = await trading.place(SPOT, Side.BUY, amount, RESTING)
    await until(lambda: all_orders(server), "the order at the exchange")
    await agree(server, trading)
    return order_id


@BREAKS
async def test_broken_before_the_request_is_sent(tmp_path: Path, breaks: Break) -> None:
    """given an order that is written down and has not left, when it breaks, then it is sent once at most and known."""
    async with trading_at(tmp_path, SPOT, patience=SOON) as (server, trading):
        await trading.tell("shut", gate="place")
        await trading.place(SPOT, Side.BUY, "0.001", RESTING)
        await trading.hears("gate")
        await breaks(server, trading)
        if breaks is cut:
            await trading.tell("open", gate="place")
        await back(server, trading, breaks)
        (row,) = (await trading.state())["orders"]
        if breaks is kill:
            assert row["state"] == "rejected"
            assert "never got it" in row["text"]
            assert all_orders(server) == []
        else:
            assert [order.status for order in all_orders(server)] == [OrderStatus.OPEN]


@BREAKS
async def test_broken_after_the_request_was_sent(tmp_path: Path, breaks: Break) -> None:
    """given a request that is on its way, when it breaks and the request arrives all the same, then the order is found."""
    async with trading_at(tmp_path, SPOT) as (server, trading):
        server.faults.hold = b"newClientOrderId"
        await trading.place(SPOT, Side.BUY, "0.001", RESTING)
        await until(lambda: server.faults.held, "the request at the exchange's door")
        await breaks(server, trading)
        assert all_orders(server) == []
        server.faults.hold = b""
        await until(lambda: all_orders(server), "its arrival")
        await back(server, trading, breaks)
        (row,) = (await trading.state())["orders"]
        assert row["state"] == "open"
        assert len(all_orders(server)) == 1


@BREAKS
async def test_broken_after_the_order_was_accepted(tmp_path: Path, breaks: Break) -> None:
    """given an order that stands, when its answer never comes, then it is found and not sent again."""
    async with trading_at(tmp_path, SPOT) as (server, trading):
        server.faults.stalled = True  # neither the answer nor any event gets through
        await trading.place(SPOT, Side.BUY, "0.001", RESTING)
        await until(lambda: all_orders(server), "the order at the exchange")
        await breaks(server, trading)
        server.faults.stalled = False
        await back(server, trading, breaks)
        (row,) = (await trading.state())["orders"]
        assert row["state"] == "open"
        assert len(all_orders(server)) == 1


@BREAKS
@MARKETS
async def test_broken_after_a_fill(tmp_path: Path, breaks: Break, market: str) -> None:
    """given an order that filled unseen, when it breaks, then its executions are caught up, each once."""
    async with trading_at(tmp_path, market) as (server, trading):
        server.faults.stalled = True
        await trading.place(market, Side.BUY, "0.003", CROSSING)
        await until(lambda: server.exchange.fills(ACCOUNT), "a fill at the exchange")
        await breaks(server, trading)
        server.faults.stalled = False
        await back(server, trading, breaks)
        (row,) = (await trading.state())["orders"]
        (theirs,) = all_orders(server)
        assert row["state"] == theirs.status.value
        assert row["filled"] != "0"


@BREAKS
async def test_broken_during_a_cancel(tmp_path: Path, breaks: Break) -> None:
    """given a cancel that is on its way, when it breaks, then nobody hangs in "cancelling"."""
    async with trading_at(tmp_path, SPOT) as (server, trading):
        order_id = await stands(server, trading, "0.001")
        server.faults.hold = b"orderId"
        await trading.tell("cancel", id=order_id)
        await until(lambda: server.faults.held, "the cancel at the exchange's door")
        await breaks(server, trading)
        server.faults.hold = b""
        await back(server, trading, breaks)
        await until(lambda: all_orders(server)[0].status is OrderStatus.CANCELLED, "the cancel")
        await agree(server, trading)
        (row,) = (await trading.state())["orders"]
        assert row["state"] == "cancelled"


@BREAKS
async def test_broken_between_the_cancel_and_the_new_leg_of_a_change(tmp_path: Path, breaks: Break) -> None:
    """given a venue that changes by cancelling and placing anew, when it breaks between, then there is never more than one."""
    async with trading_at(tmp_path, SPOT, patience=SOON) as (server, trading):
        order_id = await stands(server, trading, "0.001")
        await trading.tell("shut", gate="place")
        await trading.tell("amend", id=order_id, price="62001")
        await trading.hears("gate")
        assert [order.status for order in all_orders(server)] == [OrderStatus.CANCELLED]
        await breaks(server, trading)
        if breaks is cut:
            await trading.tell("open", gate="place")
        await back(server, trading, breaks)
        (row,) = (await trading.state())["orders"]
        assert row["state"] == ("open" if breaks is cut else "cancelled")
        assert sum(not order.status.is_final for order in all_orders(server)) == (breaks is cut)


@BREAKS
async def test_broken_while_the_new_leg_of_a_change_is_on_its_way(tmp_path: Path, breaks: Break) -> None:
    """given a new leg whose answer is lost, then the order goes on as the one that it was, with its history."""
    async with trading_at(tmp_path, SPOT) as (server, trading):
        order_id = await stands(server, trading, "0.002")
        server.faults.hold = b"newClientOrderId"
        await trading.tell("amend", id=order_id, price="62001")
        await until(lambda: server.faults.held, "the new leg at the exchange's door")
        await breaks(server, trading)
        server.faults.hold = b""
        await until(lambda: len(all_orders(server)) == 2, "its arrival")
        await back(server, trading, breaks)
        (row,) = (await trading.state())["orders"]
        assert (row["id"], row["state"], float(row["price"])) == (order_id, "open", 62001.0)
