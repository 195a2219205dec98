"""More executions than a page of the venue's list holds, by hundreds or in one millisecond, are all read."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app.accounts import Account
from app.settings import Settings
from app.terminal import Terminal
from connectors import catalogue
from connectors.model import Market, OrderKind, Side
from connectors.practice.server import PracticeServer
from connectors.practice.terms import NewOrder
from tests.end_to_end.rig import ACCOUNT, exchange_of, instruments_of, until

FILLS = 40
BURST = 25


def trade(server: PracticeServer, key: str) -> int:
    """The trader's account trades there without us: many small executions, then one order that fills many others at once."""
    exchange, listing = server.exchange, server.exchange.listings[key]
    server.fund("other")
    server.fund(ACCOUNT)
    steps = 1 + int(20 / (listing.reference * listing.step)) if listing.market is Market.SPOT else 100
    size = max(listing.minimum, listing.step * steps)  # worth more than the least
    began = exchange.now_ms
    price = listing.reference

    def sell(account: str, amount: Decimal, *, kind: OrderKind = OrderKind.LIMIT) -> None:
        limit = price if kind is OrderKind.LIMIT else None
        exchange.place(account, NewOrder(key=key, side=Side.SELL, kind=kind, price=limit, amount=amount))

    def buy(account: str, amount: Decimal) -> None:
        order = NewOrder(key=key, side=Side.BUY, kind=OrderKind.LIMIT, price=price, amount=amount)
        exchange.place(account, order)

    for _ in range(FILLS):
        exchange.advance(exchange.now_ms + 2)
        sell("other", size)
        buy(ACCOUNT, size)
    exchange.advance(exchange.now_ms + 2)
    for _ in range(BURST):
        sell("other", size)
    buy(ACCOUNT, size * BURST)
    for _ in range(FILLS):
        exchange.advance(exchange.now_ms + 2)
        sell("other", size)
        buy(ACCOUNT, size)
    return began


@asynccontextmanager
async def account_at(server: PracticeServer, home: Path) -> AsyncGenerator[tuple[Terminal, Account]]:
    slug = server.venue.slug
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FATHOM_HOME", str(home))
        settings = Settings()
    settings.preferences.accounts = [f"{slug}:practice"]
    terminal = Terminal(settings=settings)
    terminal.accounts.served[slug] = (server.hosts, server.credentials)
    try:
        await terminal.start()
        account = terminal.accounts.accounts[f"{slug}:practice"]
        await until(lambda: account.can_trade and account.id in terminal.desk._inquiry.reconciled, "the comparison")
        yield terminal, account
    finally:
        await terminal.stop()


async def at_once(*_: Any, **__: Any) -> None:
    """So many pages would keep to a venue's rate limits for half a minute."""


@pytest.mark.parametrize("slug", catalogue.slugs())
@pytest.mark.parametrize("number", [0, 1])
async def test_every_execution_is_read_however_many_pages_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slug: str, number: int
) -> None:
    monkeypatch.setattr("app.inquiry.FILLS_A_PAGE", 7)
    monkeypatch.setattr("connectors.runtime.limits.Limits.take", at_once)
    async with exchange_of(slug) as server:
        names = instruments_of(server)
        if number >= len(names):
            pytest.skip(f"{slug} has one kind of market")
        key = names[number].partition(":")[2]
        began = trade(server, key)
        theirs = server.exchange.fills(ACCOUNT, key, limit=10_000)
        assert len(theirs) == 2 * FILLS + BURST
        assert len({fill.time for fill in theirs}) == 2 * FILLS + 1
        async with account_at(server, tmp_path) as (terminal, account):
            await terminal.desk._inquiry.catch_up_fills(account, account.instruments[names[number]], began)
            assert sum(own.fill.amount for own in terminal.desk.fills) == sum(fill.size for fill in theirs)
