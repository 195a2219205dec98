"""What the end of the program cut off, a kill or a cancel, is put before the trader at the next start, with one click to go on."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app.accounts import AccountState
from app.desk import GuardRefused, Order, OrderState
from app.kill import Round
from app.vault import Vault, VaultProblem
from connectors.contract import Environment
from connectors.model import Side
from connectors.practice.server import PracticeServer
from connectors.practice.terms import NewOrder, OrderKind
from tests.app.test_desk import KEY, PERP, SPOT, terminal_at, theirs
from tests.end_to_end.rig import ACCOUNT, Trading, all_orders, exchange_of, until


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused is not asked for again and again before it counts as refused."""
    monkeypatch.setattr("connectors.runtime.driver.TRIES", 1)


async def killed_while_killing(server: PracticeServer, home: Path) -> str:
    """A run that ends while its venue does not answer to a kill; returns the order that stands."""
    async with terminal_at(server, home) as scene:
        await scene.ready(SPOT)
        order = await scene.works(scene.place())
        server.faults.refuse = 1.0
        killing = asyncio.ensure_future(scene.desk.kill())
        line = await until(lambda: scene.desk.killing.lines.get(KEY), "a line in the report")
        await until(lambda: line.state is Round.UNREACHABLE, "an attempt that fails")
        killing.cancel()
    server.faults.refuse = 0.0
    return order.id


async def test_a_kill_that_was_cut_off_waits_in_the_report_until_the_trader_goes_on(tmp_path: Path) -> None:
    async with exchange_of("binance") as server:
        order_id = await killed_while_killing(server, tmp_path)
        async with terminal_at(server, tmp_path) as scene:
            (line,) = scene.desk.killing.cut_off
            assert (line.account, line.state) == (KEY, Round.CUT_OFF)
            assert scene.desk.killing.pressed_at
            assert not scene.desk.killing.active
            assert any(
                said.startswith("danger: Fathom ended while everything was being cancelled") for said in scene.said
            )
            order = scene.desk.orders[order_id]
            await until(lambda: order.state is OrderState.OPEN, "what stands")
            await scene.ready(SPOT)
            assert len(server.exchange.open_orders(ACCOUNT)) == 1  # nothing is cancelled unasked
            with pytest.raises(GuardRefused, match="go on with it or leave it"):
                scene.place()
            assert await scene.desk.go_on_killing() == {KEY: "confirmed"}
            assert server.exchange.open_orders(ACCOUNT) == []
            await scene.works(scene.place())
        async with terminal_at(server, tmp_path) as scene:
            assert scene.desk.killing.lines == {}  # it was confirmed


async def test_a_kill_that_was_cut_off_can_be_left(tmp_path: Path) -> None:
    async with exchange_of("binance") as server:
        await killed_while_killing(server, tmp_path)
        async with terminal_at(server, tmp_path) as scene:
            scene.desk.killing.leave()
            await scene.ready(SPOT)
            await scene.works(scene.place())
            assert len(server.exchange.open_orders(ACCOUNT)) == 2
        async with terminal_at(server, tmp_path) as scene:
            assert scene.desk.killing.lines == {}


async def test_the_whole_kill_can_be_pressed_again_instead(tmp_path: Path) -> None:
    """given a kill that was cut off and settings that know its account no more, then it is connected and takes part again."""
    async with exchange_of("binance") as server:
        await killed_while_killing(server, tmp_path)
        async with terminal_at(server, tmp_path, accounts=("none:none",)) as scene:
            await scene.ready()
            assert await scene.desk.kill() == {KEY: "confirmed"}
            assert server.exchange.open_orders(ACCOUNT) == []
            assert scene.desk.killing.cut_off == []


async def test_a_kill_is_not_confirmed_while_a_part_of_a_venue_could_not_be_reached(tmp_path: Path) -> None:
    """given a futures host that was down at the start, then its orders are not known, and a kill goes on until it answers."""
    async with exchange_of("binance") as server:
        futures, real = "https://fapi.binance.com", dict(server.hosts)
        server.exchange.place(
            ACCOUNT,
            NewOrder(
                key="perp:BTC-USDT", side=Side.BUY, kind=OrderKind.LIMIT, price=Decimal(62000), amount=Decimal("0.01")
            ),
        )
        server.hosts[futures] = "http://127.0.0.1:9"  # nobody listens at the port of discard
        async with terminal_at(server, tmp_path) as scene:
            await scene.ready(SPOT)
            assert "without usdm" in scene.account.text
            killing = asyncio.ensure_future(scene.desk.kill())
            line = await until(lambda: scene.desk.killing.lines.get(KEY), "a line in the report")
            await until(lambda: line.state is Round.UNREACHABLE and line.rounds >= 2, "rounds that do not reach it")
            assert len(server.exchange.open_orders(ACCOUNT)) == 1
            scene.account.session.driver.hosts[futures] = real[futures]
            assert await killing == {KEY: "confirmed"}
            assert server.exchange.open_orders(ACCOUNT) == []


async def test_an_account_whose_key_cannot_be_read_is_no_confirmation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """given a keyring that is locked, then the account behind it may hold orders: a kill says that it cannot reach them."""

    def locked(*_: object) -> None:
        raise VaultProblem("the keyring refused; unlock it and try again")

    monkeypatch.setattr(Vault, "load", locked)
    async with exchange_of("binance") as server, terminal_at(server, tmp_path) as scene:
        await scene.terminal.accounts.add("kraken", Environment.LIVE).start()
        killing = asyncio.ensure_future(scene.desk.kill())
        line = await until(lambda: scene.desk.killing.lines.get("kraken:live"), "a line in the report")
        await until(lambda: line.state is Round.UNREACHABLE, "its state")
        assert "unlock it" in line.text
        killing.cancel()


@pytest.mark.parametrize("key", [True, False])
async def test_an_account_that_is_just_being_connected_takes_part_unless_it_has_no_key(
    tmp_path: Path, key: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """given a kill while a keyring still asks to be unlocked, then what stands there is cancelled as soon as it can be."""
    async with exchange_of("binance") as server, terminal_at(server, tmp_path) as scene:
        await scene.ready(SPOT)
        order = await scene.works(scene.place())
        (other, live), asks = (scene.account, scene.terminal.accounts.add("binance", Environment.LIVE)), asyncio.Event()

        async def where() -> tuple[dict[str, str], dict[str, str]]:
            await asks.wait()
            return server.hosts, server.credentials if key else {}

        monkeypatch.setattr(live, "_where", where)
        starting = asyncio.ensure_future(live.start())
        await until(lambda: live.state is AccountState.CONNECTING, "the account to be connected")
        killing = asyncio.ensure_future(scene.desk.kill())
        await until(lambda: order.is_final, "the end of the order where it can be reached")
        line = await until(lambda: scene.desk.killing.lines.get(live.id), "a line in the report")
        await until(lambda: line.state is Round.UNREACHABLE, "that it is not reached")
        row = NewOrder(
            key="spot:BTC-USDT", side=Side.BUY, kind=OrderKind.LIMIT, price=Decimal(62000), amount=Decimal("0.001")
        )
        await until(lambda: scene.desk.killing.lines[other.id].state is Round.CONFIRMED, "the other venue's word")
        server.exchange.place(ACCOUNT, row)
        asks.set()
        if key:
            assert await killing == {other.id: "confirmed", live.id: "confirmed"}
        else:
            await starting
            assert await scene.desk.kill() == {other.id: "confirmed"}  # pressed again, maybe before that was noticed
            await killing
        assert server.exchange.open_orders(ACCOUNT) == []
        assert not scene.desk.killing.active
        assert await scene.desk.journal.cut_off_kills() == {}
        await starting


async def never(*_: Any) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("key", [SPOT, PERP])
async def test_a_cancel_that_was_cut_off_is_told_once_if_its_order_stands(tmp_path: Path, key: str) -> None:
    async with exchange_of("binance") as server:
        async with terminal_at(server, tmp_path) as scene:
            await scene.ready(key)
            order = await scene.works(scene.place(key))
            scene.account.session.cancel = never  # the program ends before it leaves
            scene.desk.cancel(order.id)
            await scene.desk.journal.flush()
        async with terminal_at(server, tmp_path) as scene:
            again = scene.desk.orders[order.id]
            assert "You had asked to cancel it" in again.text
            await until(lambda: again.state is OrderState.OPEN, "what became of it")
            assert "cut off by the end of Fathom" in again.text
            assert any(said.startswith("danger") and "cancel it again" in said for said in scene.said)
            assert "cancel_cut_off" in await events(scene.desk.journal, order)
        async with terminal_at(server, tmp_path) as scene:
            again = scene.desk.orders[order.id]
            await until(lambda: again.state is OrderState.OPEN, "the order")
            assert not any("cancel it again" in said for said in scene.said)
            scene.desk.cancel(again.id)
            await until(lambda: again.state is OrderState.CANCELLED, "its end")
            assert "cut off" not in again.text
            assert all_orders(server)[0].status.is_final


async def test_a_cancel_of_an_order_in_doubt_outlives_the_program(tmp_path: Path) -> None:
    """given an order in doubt whose cancel is wanted, when the program ends, then the next one knows that it was wanted."""
    async with exchange_of("binance") as server:
        async with terminal_at(server, tmp_path) as scene:
            await scene.ready(SPOT)
            scene.desk._inquiry._ask = never  # ty: ignore[invalid-assignment] - nobody learns what became of it
            scene.account.session.open_orders = never
            server.faults.stalled = True
            server.faults.lose_next.append("503")
            order = scene.place()
            await until(lambda: order.state is OrderState.UNKNOWN, "the doubt")
            scene.desk.cancel(order.id)
            await scene.desk.journal.flush()
            assert "cancel_wanted" in await events(scene.desk.journal, order)
        server.faults.stalled = False
        async with terminal_at(server, tmp_path) as scene:
            again = scene.desk.orders[order.id]
            await until(lambda: again.state is OrderState.OPEN, "what became of it")
            assert "cut off by the end of Fathom" in again.text
            assert not theirs(server, again).status.is_final


async def test_a_process_that_is_killed_while_killing_leaves_that_in_its_journal(tmp_path: Path) -> None:
    async with exchange_of("binance") as server:
        trading = Trading(server, tmp_path, [SPOT])
        await trading.start()
        try:
            server.faults.refuse = 1.0
            await trading.tell("kill")
            await until(lambda: pressed(tmp_path), "the note in the journal")
        finally:
            await trading.kill()
        server.faults.refuse = 0.0
        async with terminal_at(server, tmp_path) as scene:
            assert [line.account for line in scene.desk.killing.cut_off] == [KEY]


def pressed(home: Path) -> bool:
    """Whether the journal on disk has it."""
    with contextlib.closing(sqlite3.connect(home / "data" / "journal.sqlite")) as db:
        return bool(db.execute("SELECT count(*) FROM notes WHERE what = 'kill pressed'").fetchone()[0])


async def events(journal: Any, order: Order) -> list[str]:
    """What the journal has of an order."""
    await journal.flush()
    record = await journal.order(order.id)
    return [what for _, what, *_ in record.events]
