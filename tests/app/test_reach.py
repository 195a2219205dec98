"""An account that cannot be reached at its start is tried again by itself; one that is refused is not."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app.accounts import Account, AccountState
from app.settings import Settings
from app.terminal import Terminal
from app.vault import Vault
from connectors.contract import Environment
from connectors.errors import AuthenticationFailed
from connectors.model import OrderKind, Side
from connectors.practice.protocol import HttpAnswer
from connectors.practice.server import PracticeServer
from connectors.practice.terms import NewOrder
from connectors.runtime.socket import LinkState
from tests.app.test_desk import KEY, PERP, SPOT, terminal_at
from tests.end_to_end.rig import exchange_of, until


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.accounts.AGAIN_FIRST", 0.2)
    monkeypatch.setattr("connectors.runtime.driver.TRIES", 1)


async def test_an_account_is_reached_as_soon_as_the_network_is_back_with_its_books(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """given a venue that answers 503 to everything, when it answers again, then account and market data are there by themselves."""
    async with exchange_of("binance") as server:
        server.faults.refuse = 1.0
        with caplog.at_level(logging.WARNING):
            async with terminal_at(server, tmp_path) as scene:
                await until(lambda: scene.account.state is AccountState.FAILED, "the failure")  # between two attempts
                assert "could not be reached" in scene.account.text
                assert scene.account.words.endswith(" s")
                assert "trying again in" in scene.account.words
                assert not scene.desk.orders  # it is tried for its own sake, not for that of orders
                server.faults.refuse = 0.0
                await until(lambda: scene.account.can_trade, "the account")
                await scene.ready(SPOT)
                assert scene.account.again_in is None
                assert scene.account.words == scene.account.text
        assert any("trying again in" in record.getMessage() for record in caplog.records)


@pytest.fixture
def nobody() -> Iterator[socket.socket]:
    """A socket that does not listen; bound, it keeps its port from everybody else."""
    with socket.socket() as found:
        yield found


async def test_an_address_at_which_nobody_listens_is_tried_again(tmp_path: Path, nobody: socket.socket) -> None:
    async with exchange_of("binance") as server:
        pass  # it is gone, and another program could be given its port
    nobody.bind(("127.0.0.1", 0))
    host, port = nobody.getsockname()
    server.hosts = dict.fromkeys(server.hosts, f"http://{host}:{port}")
    async with terminal_at(server, tmp_path) as scene:
        await until(lambda: scene.account.again_in is not None, "the wait for another attempt")
        assert "no connection" in scene.account.text
        await until(lambda: scene.account._failures >= 2, "another attempt")
        async with exchange_of("binance") as other:
            scene.terminal.accounts.served["binance"] = (other.hosts, other.credentials)
            await until(lambda: scene.account.can_trade, "the account")
            await scene.ready(SPOT)


@pytest.mark.parametrize("way", ["stop", "now"])
async def test_who_stops_or_starts_an_account_by_hand_ends_the_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr("app.accounts.AGAIN_FIRST", 3600.0)
    async with exchange_of("binance") as server:
        server.faults.refuse = 1.0
        async with terminal_at(server, tmp_path) as scene:
            assert (scene.account.again_in or 0) > 3000
            waiting = scene.account._again
            assert waiting is not None
            server.faults.refuse = 0.0
            if way == "stop":
                await scene.account.stop()
                assert scene.account.state is AccountState.OFF
            else:
                await scene.account.start()
                await until(lambda: scene.account.can_trade, "the account")
                await scene.ready(SPOT)
            await asyncio.wait({waiting})
            assert waiting.cancelled()
            assert scene.account.again_in is None


async def test_an_account_that_is_told_when_to_come_back_does_not_come_earlier(tmp_path: Path) -> None:
    async with exchange_of("binance") as server:
        banned = HttpAnswer(418, b'{"code":-1003,"msg":"banned"}', {"Retry-After": "3600"})
        server.faults.refuse_next.extend([banned] * 20)
        async with terminal_at(server, tmp_path) as scene:
            assert scene.account.state is AccountState.FAILED
            assert (scene.account.again_in or 0) > 3000


@asynccontextmanager
async def live_at(server: PracticeServer, home: Path, secrets: dict[str, str]) -> AsyncGenerator[Account]:
    """A live account whose venue's addresses lead to a practice exchange, with a key of the vault."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FATHOM_HOME", str(home))
        settings = Settings()
        patch.setattr(Vault, "load", lambda *_: secrets)
        settings.preferences.accounts = ["binance:live"]
        terminal = Terminal(settings=settings)
        terminal.accounts.hosts["binance"] = server.hosts
        try:
            await terminal.start()
            yield terminal.accounts.accounts[f"binance:{Environment.LIVE}"]
        finally:
            await terminal.stop()


async def test_a_wrong_key_is_shown_to_the_venue_once(tmp_path: Path) -> None:
    """given a key that the venue refuses, then the account says so, is not tried again, and starts anew when told to."""
    async with exchange_of("binance") as server:
        wrong = server.credentials | {"secret": "wrong"}
        async with live_at(server, tmp_path, wrong) as account:
            await until(lambda: account.state is AccountState.FAILED, "the refusal")
            assert "refused the key" in account.words
            links = list(account.session.private.links)
            await until(lambda: all(link.state is LinkState.OFF for link in links[:1]), "the end of its private socket")
            assert account.again_in is None
            first = account.session
            assert first.driver.http._session is not None
            wrong.update(server.credentials)
            await account.start()
            assert account.session is not first
            assert first.driver.http._session is None  # the session before was closed
            await until(lambda: account.state is AccountState.READY, "the account with the right key")


async def test_an_account_shows_nothing_of_what_it_held_before_it_was_stopped(tmp_path: Path) -> None:
    """given balances and a position, when the account is stopped, all is sold elsewhere and it starts, then they are gone."""
    async with exchange_of("binance") as server, terminal_at(server, tmp_path) as scene:
        await scene.ready(PERP)
        practice: Any = server.practice
        exchange, account = practice.exchange, scene.account
        size = Decimal("0.05")
        exchange.place("trader", NewOrder(key="perp:BTC-USDT", side=Side.BUY, kind=OrderKind.MARKET, amount=size))
        server.flush()
        await until(lambda: PERP in account.positions, "the position")
        await account.stop()
        assert not account.positions
        assert not account.balances
        exchange.place("trader", NewOrder(key="perp:BTC-USDT", side=Side.SELL, kind=OrderKind.MARKET, amount=size))
        await account.start()
        await until(lambda: account.balances and account.can_trade, "the account")
        assert not account.positions


async def test_a_key_that_had_worked_is_shown_to_the_venue_again_but_rarely(tmp_path: Path) -> None:
    """given a key that is refused after hours of work, then the account says when it is tried again, and that is not soon."""
    async with exchange_of("binance") as server, terminal_at(server, tmp_path) as scene:
        await scene.ready(SPOT)
        private = scene.account.session.private
        link = private.accounts["spot"].link
        private.refused(link, AuthenticationFailed("the key was revoked"))
        link.drop(private.problem)
        await until(
            lambda: scene.account.state is AccountState.FAILED and link.state is LinkState.WAITING, "the refusal"
        )
        assert scene.account.words.startswith("Binance refused the key: the key was revoked (trying again in ")
        assert link.next_at - link._now() > 250


async def test_a_live_account_is_reached_as_soon_as_the_network_is_back(tmp_path: Path) -> None:
    async with exchange_of("binance") as server:
        server.faults.refuse = 1.0
        async with live_at(server, tmp_path, dict(server.credentials)) as account:
            await until(lambda: account.state is AccountState.FAILED, "the failure")
            server.faults.refuse = 0.0
            await until(lambda: account.state is AccountState.READY, "the account")


async def test_a_closed_venue_is_not_tried_again(tmp_path: Path) -> None:
    async with exchange_of("binance") as server, terminal_at(server, tmp_path) as scene:
        account = scene.terminal.accounts.add("bitmex", Environment.LIVE)
        await account.start()
        assert account.state is AccountState.FAILED
        assert account.again_in is None
        assert KEY in scene.terminal.accounts.accounts


async def test_an_error_of_ours_at_one_venue_holds_up_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with exchange_of("binance") as server, terminal_at(server, tmp_path) as scene:
        account = scene.terminal.accounts.add("kraken", Environment.LIVE)
        monkeypatch.setattr(account, "_where", lambda: int("no"))
        await account.start()
        assert account.state is AccountState.FAILED
        assert "ValueError" in account.text
