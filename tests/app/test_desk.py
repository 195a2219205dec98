"""The desk with the real connector and the practice exchange over real sockets, in one process and without a window."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app.accounts import Account, AccountState
from app.blotter import now_ms
from app.desk import Desk, Draft, GuardRefused, Order, OrderState
from app.guard import Limits
from app.kill import Round
from app.settings import Settings
from app.terminal import Terminal
from connectors.contract import Environment
from connectors.errors import OutcomeUnknown
from connectors.model import OrderKind, OrderRequest, OrderStatus, OrderUpdate, Side
from connectors.practice.server import PracticeServer
from connectors.practice.terms import NewOrder
from tests.end_to_end.rig import ACCOUNT, Wall, all_orders, exchange_of, unseen, until

KEY = "binance:practice"
SPOT, PERP = "binance:spot:BTC-USDT", "binance:perp:BTC-USDT"


class Scene:
    """A terminal at a practice exchange that runs on when the terminal is gone."""

    def __init__(self, server: PracticeServer, terminal: Terminal) -> None:
        self.server = server
        self.terminal = terminal
        self.desk: Desk = terminal.desk
        self.said: list[str] = []
        self.astray: set[str] = set()  # orders that were counted wrongly among those that work, after any change
        self.desk.order_changed.connect(lambda _: self.astray.update(astray(self.desk)))
        self.desk.message.connect(lambda notice: self.said.append(f"{notice.level}: {notice.text}"))

    @property
    def account(self) -> Account:
        """The one account."""
        return self.terminal.accounts.accounts[KEY]

    async def ready(self, *keys: str) -> None:
        """Compared with the journal, and every book live."""
        feeds = [self.terminal.markets.open(key, Environment.PRACTICE) for key in keys]
        await until(lambda: KEY in self.desk._inquiry.reconciled and self.account.can_trade, "the comparison")
        await until(lambda: all(feed is not None and feed.sync.live for feed in feeds), "live books")

    def place(self, key: str = SPOT, price: str = "62000", amount: str = "0.002", **more: Any) -> Order:
        """Place a limit order to buy."""
        draft = Draft(
            account=KEY,
            instrument=self.account.instruments[key],
            side=Side.BUY,
            kind=OrderKind.LIMIT,
            amount=Decimal(amount),
            price=Decimal(price),
            **more,
        )
        return self.desk.orders[self.desk.place(draft)]

    async def changes(self, order: Order, price: int) -> None:
        """Change its price, here by a new order: the cancel of the old one stands at the door until `faults.hold` is lifted."""
        self.server.faults.hold = b"orderId"
        self.desk.amend(order.id, price=Decimal(price))
        await until(lambda: self.server.faults.held, "the cancel at the door")

    async def works(self, order: Order) -> Order:
        """Wait until it stands in the book."""
        await until(lambda: order.state is OrderState.OPEN, "the order to work")
        return order


def astray(desk: Desk) -> set[str]:
    """Orders that are among those that work and should not be, or the other way round."""
    return {order.id for order in desk.working()} ^ {order.id for order in desk.orders.values() if not order.is_final}


@asynccontextmanager
async def terminal_at(
    server: PracticeServer, home: Path, *, dead_man: float = 0.0, accounts: tuple[str, ...] = (KEY,)
) -> AsyncGenerator[Scene]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FATHOM_HOME", str(home))
        settings = Settings()
    settings.preferences.accounts = list(accounts)
    settings.preferences.limits[KEY] = Limits(repeat_seconds=None, orders_per_second=None)
    settings.preferences.dead_man[KEY] = dead_man
    terminal = Terminal(settings=settings)
    terminal.accounts.served["binance"] = (server.hosts, server.credentials)
    scene = Scene(server, terminal)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("connectors.sync._FIRST_DELTA_WAIT", 0.0)  # a still market tells of no change
        try:
            await terminal.start()
            yield scene
            assert not scene.astray | astray(scene.desk)
        finally:
            await terminal.stop()


def theirs(server: PracticeServer, order: Order) -> Any:
    """What the exchange has of an order."""
    return next(row for row in all_orders(server) if str(row.id) == order.venue_id)


def runs_out(server: PracticeServer) -> int:
    """When the venue's dead man's switch of the perpetual falls, in its own time; 0 while it is not set."""
    practice: Any = server.practice
    return practice.usdm._countdowns.get((ACCOUNT, "perp:BTC-USDT"), 0)


async def test_kill_cancels_what_the_desk_never_heard_of_too_and_reports_account_by_account(tmp_path: Path) -> None:
    async with exchange_of("binance") as server, terminal_at(server, tmp_path) as scene:
        await scene.ready(SPOT, PERP)
        scene.desk.arm(Environment.PRACTICE)
        spot, perp = await scene.works(scene.place()), await scene.works(scene.place(PERP))
        with unseen(server):
            for number, key in enumerate(("spot:ETH-USDT", "perp:ETH-USDT")):
                listing = server.exchange.listings[key]
                name = f"elsewhere{number}"
                price = listing.reference * Decimal("0.98")
                terms = NewOrder(
                    key=key, side=Side.BUY, kind=OrderKind.LIMIT, price=price, amount=Decimal("0.1"), client_id=name
                )
                server.exchange.place(ACCOUNT, terms)
        assert len(scene.desk.orders) == 2
        report = await scene.desk.kill()
        assert report == {KEY: "confirmed"}
        assert not scene.desk.armed(Environment.PRACTICE)
        assert all(row.status is OrderStatus.CANCELLED for row in all_orders(server))
        assert len(all_orders(server)) == 4
        assert spot.state is perp.state is OrderState.CANCELLED
        assert scene.desk.killing.lines[KEY].text == "confirms: no open order"
        assert any("confirms: no open order" in text for text in scene.said)
        await scene.desk.journal.flush()
        assert any(note.what == "kill" for note in await scene.desk.journal.notes())
        later = await scene.works(scene.place())  # a confirmed kill holds up nothing
        assert not later.is_final


async def test_kill_goes_on_until_a_venue_that_cannot_be_reached_has_confirmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.kill.AGAIN", (0.1,))
    monkeypatch.setattr("connectors.runtime.driver.TRIES", 1)
    async with exchange_of("binance") as server, terminal_at(server, tmp_path) as scene:
        await scene.ready(SPOT)
        order = await scene.works(scene.place())
        server.faults.refuse = 1.0
        killing = asyncio.ensure_future(scene.desk.kill())
        line = await until(lambda: scene.desk.killing.lines.get(KEY), "a line in the report")
        await until(lambda: line.state is Round.UNREACHABLE and line.rounds >= 2, "attempts that fail")
        assert scene.desk.killing.active
        assert "trying on" in line.text
        assert order.state is OrderState.CANCELLING
        seen: set[Round] = set()
        rounds = line.rounds
        await until(lambda: seen.add(line.state) or line.rounds >= rounds + 2, "further attempts")
        assert seen == {Round.UNREACHABLE}  # and not by turns as if it were answering
        problems = scene.desk.check(Draft(account=KEY, instrument=order.instrument, side=Side.BUY, price=order.price))
        assert any("being cancelled" in problem.text for problem in problems)
        server.faults.refuse = 0.0
        assert await killing == {KEY: "confirmed"}
        assert theirs(server, order).status is OrderStatus.CANCELLED


async def test_an_order_on_its_way_when_kill_is_pressed_does_not_outlive_it(tmp_path: Path) -> None:
    """given a request that is at the exchange's door, when everything is cancelled, then only its end is a confirmation."""
    async with exchange_of("binance") as server, terminal_at(server, tmp_path) as scene:
        await scene.ready(SPOT)
        server.faults.hold = b"newClientOrderId"
        order = scene.place()
        await until(lambda: server.faults.held, "the request at the door")
        killing = asyncio.ensure_future(scene.desk.kill())
        line = await until(lambda: scene.desk.killing.lines.get(KEY), "a line in the report")
        await until(lambda: line.rounds >= 2, "two rounds")
        assert not killing.done()
        assert "not settled" in line.text
        server.faults.hold = b""
        await killing
        assert theirs(server, order).status is OrderStatus.CANCELLED
        assert order.state is OrderState.CANCELLED


async def test_an_order_that_is_written_down_when_kill_is_pressed_is_not_sent(tmp_path: Path) -> None:
    async with exchange_of("binance") as server, terminal_at(server, tmp_path) as scene:
        await scene.ready(SPOT)
        order = scene.place()
        await scene.desk.kill()
        assert order.state is OrderState.CANCELLED
        assert "Not sent" in order.text
        assert all_orders(server) == []


async def test_the_venue_cancels_by_itself_when_nobody_renews_its_switch(tmp_path: Path) -> None:
    """given a dead man's switch, when the connection is gone without a word, then the venue cancels; spot has none and stays."""
    clock = Wall()
    async with exchange_of("binance", now_ms=clock) as server, terminal_at(server, tmp_path, dead_man=9.0) as scene:
        await scene.ready(SPOT, PERP)
        perp, spot = await scene.works(scene.place(PERP)), await scene.works(scene.place())
        first = await until(lambda: runs_out(server), "the switch to be set")
        await until(lambda: runs_out(server) > first, "its renewal")
        assert theirs(server, perp).status is OrderStatus.OPEN
        scene.desk._dead_man.end(scene.account)
        clock.ahead += 9_001
        await until(lambda: theirs(server, perp).status is OrderStatus.CANCELLED, "the venue's own cancel")
        await until(lambda: perp.state is OrderState.CANCELLED, "its news")
        assert theirs(server, spot).status is OrderStatus.OPEN


@pytest.mark.parametrize("releases", [True, False])
async def test_a_normal_end_leaves_orders_if_the_trader_wants_it_so(tmp_path: Path, releases: bool) -> None:
    clock = Wall()
    async with exchange_of("binance", now_ms=clock) as server:
        async with terminal_at(server, tmp_path, dead_man=60.0) as scene:
            scene.terminal.settings.preferences.dead_man_releases = releases
            await scene.ready(PERP)
            perp = await scene.works(scene.place(PERP))
            await until(lambda: scene.desk._dead_man._armed.get(KEY), "an armed switch")
        clock.ahead, ended = 60_001, server.exchange.now_ms
        await until(lambda: server.exchange.now_ms > ended + 60_000, "its time")
        assert theirs(server, perp).status is (OrderStatus.OPEN if releases else OrderStatus.CANCELLED)


async def test_an_order_placed_elsewhere_appears_marked_and_can_be_cancelled(tmp_path: Path) -> None:
    async with exchange_of("binance") as server, terminal_at(server, tmp_path) as scene:
        await scene.ready(SPOT)
        terms = NewOrder(
            key="spot:BTC-USDT", side=Side.SELL, kind=OrderKind.LIMIT, price=Decimal(63500), amount=Decimal("0.01")
        )
        row = server.exchange.place(ACCOUNT, terms)
        order = await until(lambda: next(iter(scene.desk.orders.values()), None), "the order of somebody else")
        assert order.external
        assert (order.side, order.amount, order.state) == (Side.SELL, Decimal("0.01"), OrderState.OPEN)
        scene.desk.cancel(order.id)
        await until(lambda: order.state is OrderState.CANCELLED, "its end")
        assert server.exchange.order(ACCOUNT, row.id).status is OrderStatus.CANCELLED


async def test_a_change_in_place_keeps_the_order(tmp_path: Path) -> None:
    async with exchange_of("binance") as server, terminal_at(server, tmp_path) as scene:
        await scene.ready(PERP)
        order = await scene.works(scene.place(PERP))
        scene.desk.amend(order.id, price=Decimal("62001.5"))
        await until(lambda: order.price == Decimal("62001.5") and order.state is OrderState.OPEN, "the change")
        (row,) = all_orders(server)
        assert row.price == Decimal("62001.5")


async def test_what_an_order_has_filled_counts_once_against_the_position_limit_when_it_is_changed(
    tmp_path: Path,
) -> None:
    async with exchange_of("binance") as server, terminal_at(server, tmp_path) as scene:
        await scene.ready(PERP)
        order = await scene.works(scene.place(PERP, amount="0.004", price="62799.9"))
        server.fund("taker")
        terms = NewOrder(key="perp:BTC-USDT", side=Side.SELL, kind=OrderKind.MARKET, amount=Decimal("0.002"))
        server.exchange.place("taker", terms)
        await until(lambda: scene.account.positions.get(PERP), "the position")
        await until(lambda: order.state is OrderState.PARTLY_FILLED, "the fill")
        limits = Limits(repeat_seconds=None, max_position_notional=Decimal(300))  # 0.0048 of it
        scene.terminal.settings.preferences.limits[KEY] = limits
        with pytest.raises(GuardRefused, match="position limit"):
            scene.desk.amend(order.id, amount=Decimal("0.005"))
        scene.desk.amend(order.id, price=Decimal("62000.5"))
        await until(lambda: order.price == Decimal("62000.5"), "the change")


async def test_a_change_by_replacement_is_one_order_with_its_history(tmp_path: Path) -> None:
    async with exchange_of("binance") as server, terminal_at(server, tmp_path) as scene:
        await scene.ready(SPOT)
        order = await scene.works(scene.place())
        first = order.client_id
        scene.desk.amend(order.id, price=Decimal(62001))
        await until(lambda: order.price == Decimal(62001) and order.state is OrderState.OPEN, "the change")
        assert [row.status for row in all_orders(server)] == [OrderStatus.CANCELLED, OrderStatus.OPEN]
        assert len(scene.desk.orders) == 1
        assert {"amend_asked", "replaced", "amend_done"} <= {moment.what for moment in order.history}
        await scene.desk.journal.flush()
        (record,) = await scene.desk.journal.orders()
        assert record.client_ids == (first, order.client_id)
        assert not record.final


async def test_a_change_that_the_end_of_the_program_cut_off_is_told_at_the_next_start(tmp_path: Path) -> None:
    """given an end between cancelling and placing anew, when Fathom starts again, then it says that nothing was placed."""
    async with exchange_of("binance") as server:
        async with terminal_at(server, tmp_path) as scene:
            await scene.ready(SPOT)
            order = await scene.works(scene.place())

            async def never(*_: Any) -> None:
                await asyncio.Event().wait()

            scene.desk._changes._proven = never  # ty: ignore[invalid-assignment] - the program ends here
            scene.desk.amend(order.id, price=Decimal(62001))
            await until(lambda: all_orders(server)[0].status is OrderStatus.CANCELLED, "the end of the first leg")
            await scene.desk.journal.flush()
        async with terminal_at(server, tmp_path) as scene:
            again = scene.desk.orders[order.id]
            await until(lambda: again.state is OrderState.CANCELLED, "what became of it")
            assert "nothing was placed anew" in again.text
            assert any(said.startswith("warn") and "nothing was placed anew" in said for said in scene.said)
            assert len(all_orders(server)) == 1


async def test_what_fills_while_it_is_being_replaced_is_not_asked_for_again(tmp_path: Path) -> None:
    """given an order that fills in part before its cancel arrives, when it is replaced, then the new leg asks for the rest only."""
    async with exchange_of("binance") as server, terminal_at(server, tmp_path) as scene:
        await scene.ready(SPOT)
        order = await scene.works(scene.place(amount="0.005", price="62799.95"))
        await scene.changes(order, price=62798)
        with unseen(server):
            server.fund("taker")
            terms = NewOrder(key="spot:BTC-USDT", side=Side.SELL, kind=OrderKind.MARKET, amount=Decimal("0.003"))
            server.exchange.place("taker", terms)
        server.faults.hold = b""
        await until(lambda: len(all_orders(server)) == 2, "the new leg")
        await until(lambda: order.state in (OrderState.OPEN, OrderState.PARTLY_FILLED), "its acknowledgement")
        first, second = all_orders(server)
        assert (first.filled, second.amount) == (Decimal("0.003"), Decimal("0.002"))
        assert (order.filled, order.amount) == (Decimal("0.003"), Decimal("0.005"))


async def test_a_replacement_that_is_refused_leaves_less_and_never_more(tmp_path: Path) -> None:
    async with exchange_of("binance") as server, terminal_at(server, tmp_path) as scene:
        await scene.ready(SPOT)
        order = await scene.works(scene.place(post_only=True))
        assert order.ref.post_only, "venues that have to be told again learn it with each change"
        bid = NewOrder(
            key="spot:BTC-USDT", side=Side.SELL, kind=OrderKind.LIMIT, price=Decimal(62790), amount=Decimal(1)
        )
        server.faults.hold = b"newClientOrderId"
        scene.desk.amend(order.id, price=Decimal(62799))
        await until(lambda: server.faults.held, "the new leg at the door")
        server.exchange.cancel_all("maker")  # the market moves: at its price the new leg would take now
        server.exchange.place("maker", bid)
        server.faults.hold = b""
        await until(lambda: order.is_final, "the end")
        assert order.state is OrderState.CANCELLED
        assert "Cancelled for a change" in order.text
        assert server.exchange.open_orders(ACCOUNT) == []


async def test_a_cancel_during_a_replacement_sends_no_new_leg(tmp_path: Path) -> None:
    async with exchange_of("binance") as server, terminal_at(server, tmp_path) as scene:
        await scene.ready(SPOT)
        order = await scene.works(scene.place())
        await scene.changes(order, price=62001)
        scene.desk.cancel(order.id)
        server.faults.hold = b""
        await until(lambda: order.state is OrderState.CANCELLED, "the end")
        assert len(all_orders(server)) == 1


async def test_a_cancel_of_an_order_in_doubt_is_pursued_once_it_is_found(tmp_path: Path) -> None:
    """given an order whose answer is lost, when the trader cancels it, then it is found, cancelled, and never forgotten."""
    async with exchange_of("binance") as server, terminal_at(server, tmp_path) as scene:
        await scene.ready(SPOT)
        server.faults.stalled = True
        order = scene.place()
        await until(lambda: all_orders(server), "the order at the exchange")
        scene.desk.cancel(order.id)
        await server.cut()
        server.faults.stalled = False
        await until(lambda: order.state is OrderState.CANCELLED, "its end")
        assert theirs(server, order).status is OrderStatus.CANCELLED


async def test_a_cancel_whose_answer_is_lost_says_how_long_ago_it_was_asked(tmp_path: Path) -> None:
    async with exchange_of("binance") as server, terminal_at(server, tmp_path) as scene:
        await scene.ready(SPOT)
        order = await scene.works(scene.place())
        server.faults.hold = b"orderId"
        scene.desk.cancel(order.id)
        await until(lambda: server.faults.held, "the cancel at the door")
        await until(lambda: (order.waiting(int(scene.account.session.driver.clock.ms())) or 0) > 0.5, "half a second")
        assert order.state is OrderState.CANCELLING
        scene.desk.ask_now(order.id)
        server.faults.hold = b""
        await until(lambda: order.state is OrderState.CANCELLED, "its end")


async def test_fills_of_a_second_run_of_the_practice_exchange_are_news(tmp_path: Path) -> None:
    """given a journal of an earlier practice exchange, then ids of the next one are taken for nothing that was."""
    seen: list[set[str]] = []
    for _ in range(2):
        async with exchange_of("binance") as server, terminal_at(server, tmp_path) as scene:
            await scene.ready(SPOT)
            scene.place(price="62900")
            await until(lambda: scene.desk.fills, "an execution")
            seen.append({name for own in scene.desk.fills for name in (own.fill.id, own.fill.venue_id)})
    assert not seen[0] & seen[1]


@pytest.mark.parametrize("kind", [OrderKind.STOP_LIMIT, OrderKind.STOP])
async def test_a_conditional_order_lives_through_its_trigger_and_a_restart(tmp_path: Path, kind: OrderKind) -> None:
    """given a venue that keeps conditional orders apart, when it triggers while nobody looks, then it is one order still."""
    async with exchange_of("binance") as server:
        async with terminal_at(server, tmp_path) as scene:
            await scene.ready(PERP)
            draft = Draft(
                account=KEY,
                instrument=scene.account.instruments[PERP],
                side=Side.BUY,
                kind=kind,
                amount=Decimal("0.002"),
                price=Decimal(63300) if kind.has_price else None,
                trigger=Decimal(63000),
            )
            order = scene.desk.orders[scene.desk.place(draft)]
            await until(lambda: order.state is OrderState.UNTRIGGERED, "its waiting")
        lift(server)
        async with terminal_at(server, tmp_path) as scene:
            await scene.ready(PERP)
            again = await until(lambda: scene.desk.orders.get(order.id), "the order of the first run")
            await until(lambda: again.is_final, "its end")
            assert again.state is OrderState.FILLED
            assert again.filled == Decimal("0.002")
            assert len(scene.desk.orders) == 1


def lift(server: PracticeServer) -> None:
    """Somebody buys the perpetual up through 63000, and offers more above."""
    exchange = server.exchange
    exchange.cancel_all("maker", "perp:BTC-USDT")
    server.fund("taker")
    sell = NewOrder(
        key="perp:BTC-USDT", side=Side.SELL, kind=OrderKind.LIMIT, price=Decimal(63010), amount=Decimal("0.5")
    )
    exchange.place("maker", sell)
    buy = NewOrder(
        key="perp:BTC-USDT", side=Side.BUY, kind=OrderKind.LIMIT, price=Decimal(63010), amount=Decimal("0.1")
    )
    exchange.place("taker", buy)
    exchange.advance(exchange.now_ms + 1)


async def test_an_order_that_waited_its_turn_is_given_the_time_to_arrive(tmp_path: Path) -> None:
    """given a request that left a minute after it was written down, when its answer is lost, then it may still arrive."""
    async with exchange_of("binance") as server, terminal_at(server, tmp_path) as scene:
        await scene.ready(SPOT)

        async def late(request: OrderRequest) -> OrderUpdate:
            order.created -= 60_000  # as if it had waited for the venue's rate limit
            order.sent -= 60_000
            raise OutcomeUnknown("no answer")

        scene.account.session.place = late
        order = scene.place()
        await until(lambda: order.state is OrderState.UNKNOWN, "the doubt")
        await scene.desk._inquiry._ask(order, scene.account)
        assert order.state is OrderState.UNKNOWN


async def test_an_account_that_cannot_be_reached_at_the_start_is_tried_until_its_orders_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """given an order of an earlier run and a network that is down, when it comes back, then the order is known again."""
    monkeypatch.setattr("app.accounts.AGAIN_FIRST", 0.2)
    async with exchange_of("binance") as server:
        async with terminal_at(server, tmp_path) as scene:
            await scene.ready(SPOT)
            order = await scene.works(scene.place())
        server.faults.refuse = 1.0
        async with terminal_at(server, tmp_path) as scene:
            await until(lambda: scene.account.state is AccountState.FAILED, "an account that cannot be reached")
            again = scene.desk.orders[order.id]
            assert again.state is OrderState.UNKNOWN
            assert "Last heard of" in (again.doubt(now_ms()) or ("", ""))[1]
            server.faults.refuse = 0.0
            await until(lambda: again.state is OrderState.OPEN, "the order of the earlier run")


async def test_an_account_that_may_hold_orders_is_started_whatever_ran_last(tmp_path: Path) -> None:
    """given an order of an earlier run and settings that know its account no more, then its end is learned all the same."""
    async with exchange_of("binance") as server:
        async with terminal_at(server, tmp_path) as scene:
            await scene.ready(SPOT)
            order = await scene.works(scene.place())
        async with terminal_at(server, tmp_path, accounts=("none:none",)) as scene:
            again = scene.desk.orders[order.id]
            await until(lambda: again.state is OrderState.OPEN, "the order of the earlier run")


async def test_orders_of_a_venue_that_this_build_lacks_are_told_and_no_kill_confirms_them(tmp_path: Path) -> None:
    async with exchange_of("binance") as server:
        async with terminal_at(server, tmp_path) as scene:
            await scene.ready(SPOT)
            order = await scene.works(scene.place())
        with contextlib.closing(sqlite3.connect(tmp_path / "data" / "journal.sqlite")) as db, db:
            db.execute("UPDATE orders SET account = 'gone:live'")
        async with terminal_at(server, tmp_path) as scene:
            assert any("this build cannot ask there" in said for said in scene.said)
            assert scene.desk.orders[order.id].state is OrderState.UNKNOWN
            await scene.ready(SPOT)
            assert await scene.desk.kill() == {"gone:live": "unreachable", KEY: "confirmed"}
            assert scene.desk.killing.active
            assert "at the venue itself" in scene.desk.killing.lines["gone:live"].text


async def test_settings_that_could_not_be_understood_are_told_to_the_trader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FATHOM_HOME", str(tmp_path))
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "settings.json").write_text('{"limits": {"binance:live": {"max_amount": ')
    settings = Settings()
    settings.preferences.accounts = ["none:none"]
    terminal = Terminal(settings=settings)
    said: list[str] = []
    terminal.desk.message.connect(lambda notice: said.append(f"{notice.level}: {notice.text}"))
    await terminal.start()
    assert any(text.startswith("danger") and "settings.broken.json" in text for text in said)
    await terminal.stop()
