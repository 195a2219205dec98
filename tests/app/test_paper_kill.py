"""A paper account whose process is killed while it trades: afterwards desk, account and money agree to the last digit."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from app.accounts import Account, AccountState
from app.paper import FUNDS
from app.settings import Settings
from app.terminal import Terminal
from connectors.catalogue import load
from connectors.contract import Page
from connectors.model import Side
from connectors.practice.server import PracticeServer
from tests.app.paper_trader import ACCOUNT
from tests.waiting import PATIENCE, until

ROOT = Path(__file__).resolve().parents[2]
ENOUGH = 3  # executions that a process has had before it is killed
SPOT, PERP = "binance:spot:BTC-USDT", "binance:perp:BTC-USDT"


async def trade_and_kill(home: Path, server: PracticeServer, seed: int) -> None:
    """Let a process trade, and kill it at a moment of chance after its first executions."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.app.paper_trader",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"FATHOM_HOME": str(home), "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    told = {"hosts": server.hosts, "keys": [SPOT, PERP], "seed": seed}
    process.stdin.write(json.dumps(told).encode() + b"\n")
    for word in (b"ready\n", *[b"fill\n"] * ENOUGH):
        assert await asyncio.wait_for(process.stdout.readline(), PATIENCE) == word
    before = server.exchange.now_ms
    # the moment is counted in time of the exchange, which is what the orders depend on
    await until(lambda: server.exchange.now_ms - before > random.Random(seed).randint(200, 2500), "the moment")
    process.kill()
    await process.wait()


async def compare(terminal: Terminal, account: Account) -> int:
    """Every order and every fill, and money that is exactly what the fills made of it. Returns how many fills there were."""
    session, desk = account.session, terminal.desk
    open_ids = {row.client_id for row in await session.open_orders()}
    fills = [fill for key in (SPOT, PERP) for fill in await session.fills(account.instruments[key], Page(limit=10**6))]
    by_order: dict[str, Decimal] = {}
    for fill in fills:
        by_order[fill.client_id] = by_order.get(fill.client_id, Decimal(0)) + fill.amount
    await desk.journal.flush()
    records = await desk.journal.orders(limit=10**6)
    names = {record.id: record.client_ids for record in records}
    for order in desk.orders.values():
        assert order.is_final is (order.client_id not in open_ids), order
        # an order that was changed by cancelling and placing anew has a name for each leg
        assert order.filled == sum(by_order.get(name, 0) for name in names[order.id]), order
    assert not [record for record in records if not record.final]
    assert by_order.keys() <= {client_id for record in records for client_id in record.client_ids}
    written = {(row.instrument, row.fill_id) for row in await desk.journal.fills(ACCOUNT, limit=10**6)}
    assert written == {(f"binance:{'perp' if fill.family == 'usdm' else 'spot'}:BTC-USDT", fill.id) for fill in fills}
    money, coins, held = FUNDS["USDT"], FUNDS["BTC"], Decimal(0)
    for fill in fills:
        way = 1 if fill.side is Side.BUY else -1
        assert fill.fee is not None
        if fill.family == "usdm":
            held += way * fill.amount
            continue
        money -= way * fill.price * fill.amount + (fill.fee if way < 0 else 0)
        coins += way * fill.amount - (fill.fee if way > 0 else 0)
    assert account.balances["spot", "USDT"].total == money
    assert account.balances["spot", "BTC"].total == coins
    position = account.positions.get(PERP)
    assert (position.size if position is not None else 0) == held
    return len(fills)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_killed_process_leaves_a_paper_account_that_agrees(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FATHOM_HOME", str(tmp_path))

    async def run() -> int:
        server = PracticeServer(load("binance"), seed=seed, crowd=("spot:BTC-USDT", "perp:BTC-USDT"))
        await server.start()
        fills = 0
        try:
            for turn in range(2):
                await trade_and_kill(tmp_path, server, seed * 10 + turn)
                settings = Settings()
                settings.preferences.accounts = [ACCOUNT]
                terminal = Terminal(settings=settings)
                terminal.accounts.hosts["binance"] = server.hosts
                said: list[str] = []
                terminal.desk.message.connect(lambda notice: said.append(notice.text))  # noqa: B023
                await terminal.start()
                try:
                    account = terminal.accounts.accounts[ACCOUNT]
                    await until(lambda: account.state is AccountState.READY, account.text)  # noqa: B023
                    # executions are caught up after the orders, when others may be sent already
                    await until(lambda: any("compared with the journal" in text for text in said), "all of it")  # noqa: B023
                    terminal.desk.cancel_all(ACCOUNT)
                    await until(lambda: all(o.is_final for o in terminal.desk.orders.values()), "the end of all")  # noqa: B023
                    fills = await compare(terminal, account)
                finally:
                    await terminal.stop()
        finally:
            await server.stop()
        return fills

    assert asyncio.run(run()) >= 2 * ENOUGH
