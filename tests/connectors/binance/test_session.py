"""Binance over real sockets: what happened while nobody was told of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from connectors.catalogue import load
from connectors.model import OrderKind, Side
from connectors.practice.terms import NewOrder
from tests.connectors.bench import Bench, opened
from tests.waiting import until

D = Decimal
SPOT, PERP = "spot:BTC-USDT", "perp:BTC-USDT"


class Binance(Bench):
    NAMES = (SPOT, PERP)


@pytest.fixture
async def quiet() -> AsyncIterator[Binance]:
    """Only what a test itself does."""
    async with opened(Binance, load("binance")) as bench:
        for key in (SPOT, PERP):
            bench.surround(key, D(50_000), D(10), D("0.1"))
        yield bench
        assert bench.ear.refusals == []


async def test_a_position_that_was_closed_while_the_stream_was_cut_is_no_longer_held(quiet: Binance) -> None:
    await quiet.place(quiet.instruments[1], kind=OrderKind.MARKET, price=None)
    await until(lambda: "BTCUSDT" in quiet.ear.positions and quiet.ear.positions["BTCUSDT"].size, "the position")
    quiet.server.faults.hold = b"listenKey"
    await quiet.cut(private=True)
    size = quiet.exchange.positions("trader")[0].size
    quiet.exchange.place("trader", NewOrder(key=PERP, side=Side.SELL, kind=OrderKind.MARKET, amount=size))
    assert quiet.exchange.positions("trader") == []
    quiet.server.faults.hold = b""
    await until(lambda: quiet.ear.positions["BTCUSDT"].size == 0, "the end of the position")


async def test_what_was_spent_while_the_stream_was_cut_is_no_longer_held(quiet: Binance) -> None:
    have = quiet.exchange.balance("trader", "BTC").total
    assert quiet.ear.balances["spot", "BTC"].total == have > 0
    quiet.server.faults.hold = b"userDataStream"
    await quiet.cut(private=True)
    quiet.exchange.withdraw("trader", "BTC", have)
    quiet.server.faults.hold = b""
    await until(lambda: quiet.ear.balances["spot", "BTC"].total == 0, "the empty balance")
    assert quiet.ear.balances["spot", "BTC"].available == 0


async def test_a_list_that_lags_behind_the_stream_ends_no_position(
    quiet: Binance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.runtime.private.LAGGING", 1e9)
    faults = quiet.server.faults
    faults.keep = "/fapi/v3/positionRisk"
    await quiet.session.refresh_account()  # the list without the position, which is given again from now on
    faults.repeat_next = 1_000
    await quiet.place(quiet.instruments[1], kind=OrderKind.MARKET, price=None)
    await until(lambda: "BTCUSDT" in quiet.ear.positions and quiet.ear.positions["BTCUSDT"].size, "the position")
    await quiet.session.refresh_account()
    assert quiet.ear.positions["BTCUSDT"].size == D("0.01")
    monkeypatch.setattr("connectors.runtime.private.LAGGING", -1.0)
    await quiet.session.refresh_account()
    assert quiet.ear.positions["BTCUSDT"].size == 0
