"""What the desk began it pursues, whatever fails on the way: refusals that pass, errors of ours, a connection that is gone."""

from __future__ import annotations

import time
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from app.desk import GuardRefused, OrderState
from connectors.contract import Environment, Page
from connectors.errors import OutcomeUnknown, Refused, SessionExpired
from connectors.model import Fill, OrderRef, OrderStatus, OrderUpdate, Side
from connectors.practice.terms import NewOrder, OrderKind
from tests.app.test_desk import KEY, PERP, SPOT, terminal_at, theirs
from tests.end_to_end.rig import ACCOUNT, all_orders, exchange_of, unseen, until


async def test_a_cancel_that_meets_an_expired_login_goes_out_again(tmp_path: Path) -> None:
    async with exchange_of("binance") as server, terminal_at(server, tmp_path) as scene:
        await scene.ready(SPOT)
        order = await scene.works(scene.place())
        cancel, errors = scene.account.session.cancel, [SessionExpired("log in again", code="-1")]

        async def expired(ref: OrderRef) -> OrderUpdate:
            if errors:
                raise errors.pop()
            return await cancel(ref)

        scene.account.session.cancel = expired
        scene.desk.cancel(order.id)
        await until(lambda: order.is_final, "its end")
        assert order.state is OrderState.CANCELLED
        assert not errors


@pytest.mark.parametrize("key", [SPOT, PERP])
async def test_an_error_of_ours_leaves_a_change_in_doubt_and_not_for_ever(tmp_path: Path, key: str) -> None:
    """given a change, native or by replacement, that an error here ends, then what became of it is asked for."""
    async with exchange_of("binance") as server, terminal_at(server, tmp_path) as scene:
        await scene.ready(key)
        order = await scene.works(scene.place(key))

        async def broken(*_: Any, **__: Any) -> Any:
            raise KeyError("a bug")

        scene.account.session.amend = scene.account.session.cancel = broken
        scene.desk.amend(order.id, price=Decimal(62001))
        await until(lambda: any("KeyError" in step.text for step in order.history if step.what == "lost"), "the doubt")
        await until(lambda: order.state is OrderState.OPEN, "what is known")
        assert theirs(server, order).status is OrderStatus.OPEN


async def test_a_change_whose_cancel_is_lost_with_the_connection_is_pursued_when_it_is_back(tmp_path: Path) -> None:
    """given a replacement whose cancel has no answer, when the account is stopped and started, then it ends as one order."""
    async with exchange_of("binance") as server, terminal_at(server, tmp_path) as scene:
        await scene.ready(SPOT)
        order = await scene.works(scene.place())
        await scene.changes(order, price=62001)
        await scene.account.stop()
        server.faults.hold = b""
        await until(lambda: "not connected" in order.text, "words")
        assert order.state is OrderState.AMENDING
        assert (order.doubt(order.asked + 5000) or ("", ""))[0].startswith("The change was asked for")
        await scene.account.start()
        await until(lambda: order.state is OrderState.OPEN and order.price == Decimal(62001), "the change")
        assert [row.status for row in all_orders(server)] == [OrderStatus.CANCELLED, OrderStatus.OPEN]


async def test_a_venue_that_will_not_cancel_ends_a_change_although_an_answer_was_lost(tmp_path: Path) -> None:
    async with exchange_of("binance") as server, terminal_at(server, tmp_path) as scene:
        await scene.ready(SPOT)
        order = await scene.works(scene.place())
        errors = [OutcomeUnknown("no answer"), *(Refused("not now") for _ in range(9))]

        async def refuse(ref: OrderRef) -> OrderUpdate:
            raise errors.pop(0)

        scene.account.session.cancel = refuse
        scene.desk.amend(order.id, price=Decimal(62001))
        await until(lambda: order.state is OrderState.OPEN, "the order as it was")
        assert order.text == "Not changed: not now"
        assert len(errors) == 6
        assert not order.replacing


async def test_a_replacement_asks_for_no_more_than_events_leave_although_the_list_lags(tmp_path: Path) -> None:
    """given a look-up that does not show the latest execution yet, when an event has told it, then the new leg is smaller."""
    async with exchange_of("binance") as server, terminal_at(server, tmp_path) as scene:
        await scene.ready(SPOT)
        order = await scene.works(scene.place(amount="0.005", price="62799.95"))
        server.fund("taker")
        terms = NewOrder(key="spot:BTC-USDT", side=Side.SELL, kind=OrderKind.MARKET, amount=Decimal("0.003"))
        server.exchange.place("taker", terms)
        await until(lambda: order.filled == Decimal("0.003"), "the execution")
        look_up = scene.account.session.order

        async def lagging(ref: OrderRef) -> OrderUpdate:
            update = await look_up(ref)
            update.filled = Decimal(0)
            return update

        scene.account.session.order = lagging
        scene.desk.amend(order.id, price=Decimal(62798))
        await until(lambda: len(all_orders(server)) == 2, "the new leg")
        assert [row.amount for row in all_orders(server)] == [Decimal("0.005"), Decimal("0.002")]


async def test_the_same_order_is_not_sent_again_while_it_is_in_doubt(tmp_path: Path) -> None:
    """given an order whose answer is lost, when the hand sends the same once more, then that is refused until it is known."""
    async with exchange_of("binance") as server, terminal_at(server, tmp_path) as scene:
        await scene.ready(SPOT)
        server.faults.stalled = True
        server.faults.hold = b"newClientOrderId"
        order = scene.place()
        await until(lambda: server.faults.held, "the request at the door")
        await server.cut()
        await until(lambda: order.state is OrderState.UNKNOWN, "the doubt")
        server.faults.stalled = False
        await scene.ready(SPOT)
        assert order.state is OrderState.UNKNOWN
        with pytest.raises(GuardRefused, match="in doubt"):
            scene.place()
        server.faults.hold = b""
        await scene.works(scene.place(amount="0.003"))
        await until(lambda: order.state is not OrderState.UNKNOWN, "what became of it")
        await scene.works(scene.place())


async def test_an_order_that_the_rate_limit_holds_back_too_long_does_not_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """given a venue that closed its door for an hour, when an order waits for it, then it is told that it was not sent."""
    monkeypatch.setattr("connectors.runtime.driver.FRESH", 0.2)
    async with exchange_of("binance") as server, terminal_at(server, tmp_path) as scene:
        await scene.ready(SPOT)
        limits = scene.account.session.driver.limits["spot"]
        limits._banned_until = limits._now() + 3600
        order = scene.place()
        await until(lambda: order.is_final, "its end")
        assert order.state is OrderState.REJECTED
        assert "rate limit left no room" in order.text
        limits._banned_until = 0.0
        again = await scene.works(scene.place(price="62001"))
        assert [row.client_id for row in all_orders(server)] == [again.client_id]


async def test_a_switch_that_was_renewed_too_late_is_told_and_compared(tmp_path: Path) -> None:
    """given a program that is held up for longer than its dead man's switch, then the trader hears why orders are gone."""
    async with exchange_of("binance") as server, terminal_at(server, tmp_path, dead_man=1.0) as scene:
        await scene.ready(PERP)
        perp = await scene.works(scene.place(PERP))
        await until(lambda: scene.desk._dead_man._armed.get(KEY), "an armed switch")
        time.sleep(2.5)  # noqa: ASYNC251 - the loop itself is held up: by a debugger, a slow disk, a frozen machine
        await until(lambda: any("it may have cancelled orders" in said for said in scene.said), "the words")
        await until(lambda: perp.is_final, "the venue's cancel")
        assert server.exchange.open_orders(ACCOUNT) == []
        assert not scene.desk.armed(Environment.PRACTICE)


async def test_a_switch_that_cannot_be_set_is_not_asked_for_all_the_time(tmp_path: Path) -> None:
    async with exchange_of("binance") as server, terminal_at(server, tmp_path, dead_man=60.0) as scene:
        await scene.ready(PERP)
        asked: list[float] = []

        async def refuse(*_: Any) -> None:
            asked.append(time.monotonic())
            raise Refused("not now")

        scene.account.session.dead_man = refuse
        await scene.works(scene.place(PERP))
        await until(lambda: len(asked) >= 4, "several attempts")
        assert min(later - earlier for earlier, later in pairwise(asked)) >= 0.99


@pytest.mark.parametrize("arrives", [True, False])
async def test_an_execution_that_overtakes_a_change_to_more_does_not_end_the_order(
    tmp_path: Path, arrives: bool
) -> None:
    """given a change to more on its way, when what it was before is executed whole, then the venue's word tells what is left."""
    async with exchange_of("binance") as server, terminal_at(server, tmp_path) as scene:
        await scene.ready(PERP)
        order = await scene.works(scene.place(PERP, amount="0.002", price="62799.9"))
        session, states = scene.account.session, list[OrderState]()

        async def amend(ref: OrderRef, *, price: Decimal | None, amount: Decimal | None, client_id: str) -> OrderUpdate:
            with unseen(server):
                if arrives:
                    server.exchange.amend(ACCOUNT, int(ref.venue_id), amount=amount)
                server.fund("taker")
                terms = NewOrder(key="perp:BTC-USDT", side=Side.SELL, kind=OrderKind.MARKET, amount=Decimal("0.002"))
                server.exchange.place("taker", terms)
            (fill,) = await session.fills(order.instrument, Page())
            scene.desk.account_event(scene.account, fill, order.instrument.family)
            states.append(order.state)
            if not arrives:
                raise Refused("not now")
            return await session.order(ref)

        session.amend = amend
        scene.desk.amend(order.id, amount=Decimal("0.004"))
        end = OrderState.PARTLY_FILLED if arrives else OrderState.FILLED
        await until(lambda: order.state is end, "what is left")
        assert states == [OrderState.AMENDING]
        assert order.remaining == (Decimal("0.002") if arrives else 0)
        assert theirs(server, order).status.value == end.value


@pytest.mark.parametrize("late", ["0.001", "0.002"])
async def test_an_execution_that_is_told_late_sends_no_new_leg_for_what_it_took(tmp_path: Path, late: str) -> None:
    """given a leg that was proven over, when more of it turns out executed before the next one leaves, then none leaves."""
    async with exchange_of("binance") as server, terminal_at(server, tmp_path) as scene:
        await scene.ready(SPOT)
        order = await scene.works(scene.place())
        journal: Any = scene.desk.journal
        written = journal.replacement

        async def replacement(*terms: Any) -> None:
            await written(*terms)
            fill = Fill(
                wire=order.instrument.wire,
                family="spot",
                id="late",
                venue_id=order.venue_id,
                client_id=order.client_id,
                side=order.side,
                price=Decimal(62000),
                amount=Decimal(late),
                time=order.created,
            )
            scene.desk.account_event(scene.account, fill, "spot")

        journal.replacement = replacement
        scene.desk.amend(order.id, price=Decimal(62001))
        await until(lambda: order.is_final, "its end")
        assert order.filled == Decimal(late)
        assert len(all_orders(server)) == 1
        assert server.exchange.open_orders(ACCOUNT) == []


async def test_a_new_leg_does_not_leave_when_the_market_is_elsewhere_by_then(tmp_path: Path) -> None:
    """given a change whose cancel takes long, when its price is beyond the collar at the end, then nothing is placed anew."""
    async with exchange_of("binance") as server, terminal_at(server, tmp_path) as scene:
        await scene.ready(SPOT)
        order = await scene.works(scene.place(price="49000"))
        await scene.changes(order, price=62700)
        server.exchange.cancel_all("maker")
        for side, price in ((Side.BUY, 49_990), (Side.SELL, 50_010)):
            terms = NewOrder(key="spot:BTC-USDT", side=side, price=Decimal(price), amount=Decimal("0.5"))
            server.exchange.place("maker", terms)
        sync = scene.account.sync(order.instrument)
        assert sync is not None
        await until(lambda: sync.live and (sync.book.best_ask or (0,))[0] == 50_010, "the market where it is now")
        server.faults.hold = b""
        await until(lambda: order.is_final, "its end")
        assert order.state is OrderState.CANCELLED
        assert "nothing was placed anew: collar" in order.text
        assert len(all_orders(server)) == 1


@pytest.mark.parametrize("proven", [True, False])
async def test_a_new_leg_waits_for_a_proven_book_and_does_not_leave_without_one(
    tmp_path: Path, proven: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """given a change of an order whose market nobody looks at any more, then its book is heard on for the new leg's sake."""
    async with exchange_of("binance") as server, terminal_at(server, tmp_path) as scene:
        await scene.ready(SPOT)
        order = await scene.works(scene.place())
        await scene.changes(order, price=62001)
        feed = scene.terminal.markets.open(SPOT, Environment.PRACTICE)
        assert feed is not None
        for _ in range(2):  # this one, and that of the window
            scene.terminal.markets.close(feed)
        sync = scene.account.sync(order.instrument)
        assert sync is not None
        if not proven:
            monkeypatch.setattr("app.changes.PROVEN_WITHIN", 0.0)
            monkeypatch.setattr(type(sync), "live", False)
        server.faults.hold = b""
        if proven:
            await until(lambda: order.price == Decimal(62001) and order.state is OrderState.OPEN, "the change")
            await until(lambda: scene.account.sync(order.instrument) is None, "the end of looking")
        else:
            await until(lambda: order.is_final, "its end")
            assert "nothing was placed anew: book" in order.text
        assert len(all_orders(server)) == 1 + proven
