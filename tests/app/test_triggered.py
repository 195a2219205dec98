"""A conditional order that becomes another order at its venue stays one order here, whatever is missed on the way."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from app.desk import Draft, Order, OrderState
from connectors.model import OrderKind, OrderStatus, Side
from connectors.practice.server import PracticeServer
from connectors.practice.terms import NewOrder
from tests.app.test_desk import KEY, PERP, Scene, terminal_at, theirs
from tests.end_to_end.rig import exchange_of, unseen, until

D = Decimal


def stop(scene: Scene) -> Order:
    """Triggered just above the market; then it rests below it."""
    draft = Draft(
        account=KEY,
        instrument=scene.account.instruments[PERP],
        side=Side.BUY,
        kind=OrderKind.STOP_LIMIT,
        amount=D("0.01"),
        price=D(62_790),
        trigger=D(62_803),
    )
    return scene.desk.orders[scene.desk.place(draft)]


def trigger(server: PracticeServer) -> None:
    """Somebody takes the asks up to beyond it."""
    server.exchange.place("other", NewOrder(key="perp:BTC-USDT", side=Side.BUY, kind=OrderKind.MARKET, amount=D("0.7")))
    server.flush()


@pytest.mark.parametrize("missed", [False, True])
async def test_a_stop_that_was_triggered_can_be_cancelled(tmp_path: Path, missed: bool) -> None:
    async with exchange_of("binance") as server, terminal_at(server, tmp_path) as scene:
        await scene.ready(PERP)
        order = stop(scene)
        await until(lambda: order.state is OrderState.UNTRIGGERED, "the stop to wait")
        first = order.venue_id
        assert order.algo
        if missed:
            with unseen(server):
                trigger(server)
                assert server.exchange.order("trader", order.client_id).status is OrderStatus.OPEN
            scene.desk.ask_now(order.id)
        else:
            trigger(server)
        await until(lambda: order.state is OrderState.OPEN and order.venue_id != first, "the order that it became")
        assert not order.algo
        assert theirs(server, order).status is OrderStatus.OPEN
        scene.desk.cancel(order.id)
        await until(lambda: order.state is OrderState.CANCELLED, "the cancel")
        assert theirs(server, order).status is OrderStatus.CANCELLED
        assert len(scene.desk.orders) == 1


async def test_what_a_triggered_stop_fills_is_its_own(tmp_path: Path) -> None:
    async with exchange_of("binance") as server, terminal_at(server, tmp_path) as scene:
        await scene.ready(PERP)
        order = stop(scene)
        await until(lambda: order.state is OrderState.UNTRIGGERED, "the stop to wait")
        trigger(server)
        await until(lambda: order.state is OrderState.OPEN, "the order to work")
        server.exchange.place("other", NewOrder(key="perp:BTC-USDT", side=Side.SELL, price=D(62_790), amount=D(2)))
        server.flush()
        await until(lambda: order.state is OrderState.FILLED, "the fill")
        assert (order.filled, order.average) == (D("0.01"), D(62_790))
        assert [fill.order for fill in scene.desk.fills] == [order.id]
        assert len(scene.desk.orders) == 1
