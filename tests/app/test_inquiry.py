"""What is concluded from a venue's silence: a small scripted venue that forgets, lags and contradicts itself, as real ones do."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import structs

from app.blotter import Blotter, Notice, now_ms
from app.inquiry import CLOCKS, Inquiry
from app.journal import Journal
from app.journal_rows import FillRecord, Note
from app.orders import Event, Order, OrderState
from connectors.contract import Capabilities, Found, IdRule, Page, Search
from connectors.errors import NotSupported, OrderNotFound, OutcomeUnknown, VenueError
from connectors.model import (
    Balance,
    Fill,
    Instrument,
    OrderKind,
    OrderRef,
    OrderRequest,
    OrderStatus,
    OrderUpdate,
    Side,
    TimeInForce,
)
from tests.instruments import spot
from tests.waiting import until

KEY = "toy:practice"
INSTRUMENT = spot()


@dataclass
class TinySession:
    """A venue with lists that can be told what to say."""

    orders: dict[str, OrderUpdate] = field(default_factory=dict)  # what a look-up finds, by client or venue id
    open: list[OrderUpdate] = field(default_factory=list)
    executions: list[Fill] = field(default_factory=list)
    found: Search = field(default_factory=lambda: Search(Found.NOT_YET))
    error: VenueError | None = None
    asked: list[str] = field(default_factory=list)
    page_limit: int = 500
    clock_offset_ms: float = 0.0

    async def order(self, ref: OrderRef) -> OrderUpdate:
        """By venue id where it is known, else by client id."""
        self.asked.append(f"order {ref.venue_id or ref.client_id}")
        self._fail()
        found = self.orders.get(ref.venue_id or ref.client_id)
        if found is None:
            raise OrderNotFound("unknown order")
        return found

    async def search(self, request: OrderRequest) -> Search:
        """What a search says."""
        self.asked.append(f"search {request.client_id} {request.amount}")
        self._fail()
        return self.found

    async def open_orders(self, instrument: Instrument | None = None) -> list[OrderUpdate]:
        """The list."""
        self.asked.append("open")
        self._fail()
        return list(self.open)

    async def fills(self, instrument: Instrument, page: Page) -> list[Fill]:
        """From a time on, a page at most."""
        self.asked.append(f"fills {page.start}")
        self._fail()
        return [fill for fill in self.executions if fill.time >= (page.start or 0)][: page.limit]

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error


class TinyFamily:
    """What the inquiry needs to know of a family."""

    name = "spot"
    capabilities = Capabilities(kinds=frozenset({OrderKind.LIMIT}))
    ids = IdRule(make=lambda stamp: stamp.token, patience=15.0)


class TinyAccount:
    """An account whose session is scripted."""

    id, name = KEY, "Toy practice"

    def __init__(self, session: TinySession) -> None:
        self.session = session
        self.venue = self
        self.instruments = {INSTRUMENT.key: INSTRUMENT}
        self.balances: dict[tuple[str, str], Balance] = {}
        self.positions: dict[str, Any] = {}
        self.refreshed: dict[tuple[str, str], Balance] = {}

    def family(self, name: str) -> Any:
        """There is one."""
        return TinyFamily

    def instrument(self, wire: str, family: str) -> Instrument | None:
        """By the venue's name."""
        return INSTRUMENT if wire == INSTRUMENT.wire else None

    async def refresh(self) -> None:
        """Read what is held."""
        self.balances = dict(self.refreshed)


class Scene:
    """A desk without its buttons."""

    def __init__(self, path: Path) -> None:
        self.session = TinySession()
        self.account: Any = TinyAccount(self.session)
        accounts: Any = type("Accounts", (), {"accounts": {KEY: self.account}})()
        self.journal = Journal(path / "journal.sqlite")
        self.blotter = Blotter(accounts, self.journal)
        self.inquiry = Inquiry(accounts, self.blotter)
        self.notices: list[Notice] = []
        self.blotter.message.connect(self.notices.append)

    async def order(self, *, venue_id: str = "v1", age: float = 60.0, client_id: str = "c1") -> Order:
        """An order of ours that was placed so many seconds ago; acknowledged if it has a venue id."""
        created = now_ms() - int(age * 1000)
        order = Order(
            id=f"order {client_id}",
            client_id=client_id,
            account=KEY,
            instrument=INSTRUMENT,
            side=Side.BUY,
            kind=OrderKind.LIMIT,
            tif=TimeInForce.GTC,
            amount=Decimal(10),
            quote_amount=None,
            price=Decimal(100),
            trigger=None,
            post_only=False,
            reduce_only=False,
            created=created,
            updated=created,
            sent=created,
        )
        self.blotter.add(order)
        await self.blotter.write_down(order)
        if venue_id:
            self.blotter.learn(order, row(venue_id=venue_id, client_id=client_id))
            order.heard, order.touched = created, created
        return order

    async def settle(self, order: Order) -> None:
        """As while the account is compared with the journal: else the first question waits for the comparison."""
        self.inquiry.reconciled.add(KEY)
        await self.inquiry.settle(order)
        self.inquiry.reconciled.discard(KEY)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncGenerator[Scene]:
    found = Scene(tmp_path)
    await found.blotter.load()
    yield found
    working = {order.id for order in found.blotter.orders.values() if not order.is_final}
    assert {order.id for order in found.blotter.working()} == working
    await found.inquiry.stop()
    found.journal.close()


def row(status: OrderStatus = OrderStatus.OPEN, filled: str = "0", **more: Any) -> OrderUpdate:
    terms: dict[str, Any] = {"venue_id": "v1", "client_id": "c1", "side": Side.BUY, "amount": Decimal(10)} | more
    return OrderUpdate(wire="BTCUSDT", family="spot", status=status, filled=Decimal(filled), **terms)


def execution(number: int, amount: str, time: int, venue_id: str = "v1") -> Fill:
    return Fill(
        wire="BTCUSDT",
        family="spot",
        id=str(number),
        venue_id=venue_id,
        client_id="",
        side=Side.BUY,
        price=Decimal(100),
        amount=Decimal(amount),
        time=time,
    )


async def test_an_order_that_no_list_knows_never_arrived_once_its_time_is_over(scene: Scene) -> None:
    order = await scene.order(venue_id="", age=60)
    scene.blotter.happen(order, Event.LOST, "no answer")
    await scene.settle(order)
    assert order.state is OrderState.REJECTED
    assert "never got it" in order.text
    assert {"open", f"fills {order.created - CLOCKS}"} <= set(scene.session.asked)


async def test_while_its_request_could_still_arrive_nothing_is_concluded(scene: Scene) -> None:
    order = await scene.order(venue_id="", age=3)
    scene.blotter.happen(order, Event.LOST, "no answer")
    await scene.inquiry._ask(order, scene.account)
    assert order.state is OrderState.UNKNOWN


@pytest.mark.parametrize("where", ["open", "fills"])
async def test_a_look_up_that_finds_nothing_is_overruled_by_the_other_lists(scene: Scene, where: str) -> None:
    """given a venue whose look-up does not know the order, when its open orders or fills do, then it stands or traded."""
    order = await scene.order(venue_id="", age=60)
    scene.blotter.happen(order, Event.LOST, "no answer")
    if where == "open":
        scene.session.open = [row()]
    else:
        scene.session.executions = [structs.replace(execution(7, "10", order.created + 5), client_id="c1")]
    await scene.settle(order)
    assert order.state is (OrderState.OPEN if where == "open" else OrderState.FILLED)


async def test_several_candidates_are_shown_and_none_is_taken(scene: Scene) -> None:
    order = await scene.order(venue_id="", age=60)
    scene.blotter.happen(order, Event.LOST, "no answer")
    scene.session.found = Search(Found.AMBIGUOUS, candidates=(row(), row(venue_id="v2")))
    for _ in range(3):
        await scene.inquiry._ask(order, scene.account)
    assert order.state is OrderState.UNKNOWN
    assert "2 orders" in order.text
    assert [notice.level for notice in scene.notices] == ["danger"]  # said once


async def test_a_venue_that_cannot_be_asked_leaves_the_order_in_doubt_and_says_so(scene: Scene) -> None:
    order = await scene.order(age=60)
    scene.blotter.happen(order, Event.LOST, "no answer")
    scene.session.error = OutcomeUnknown("nobody answers")
    await scene.inquiry._ask(order, scene.account)
    assert order.state is OrderState.UNKNOWN
    assert "could not be asked" in order.text
    scene.session.error = None
    scene.session.orders["v1"] = row(OrderStatus.CANCELLED, "4")
    await scene.settle(order)
    assert (order.state, order.filled) == (OrderState.CANCELLED, 4)


async def test_an_order_that_was_there_and_is_known_nowhere_any_more_ended(scene: Scene) -> None:
    order = await scene.order(age=60)
    scene.blotter.happen(order, Event.CANCEL_ASKED)
    scene.session.executions = [execution(1, "4", order.created + 9)]
    await scene.inquiry.became(order, scene.account)
    assert (order.state, order.filled) == (OrderState.CANCELLED, 4)
    assert "no longer knows it" in order.text


async def test_a_clock_that_is_ahead_of_the_venues_hides_no_execution(scene: Scene) -> None:
    """given an order written down by a clock an hour ahead, when only its fills tell of it, then they are found."""
    order = await scene.order(age=60)
    scene.blotter.happen(order, Event.LOST, "no answer")
    scene.session.clock_offset_ms = -3_600_000.0
    scene.session.executions = [execution(1, "10", order.created - 3_600_000 + 9)]
    await scene.settle(order)
    assert (order.state, order.filled) == (OrderState.FILLED, 10)


async def test_what_was_heard_of_only_just_now_is_not_taken_for_gone(scene: Scene) -> None:
    """given a look-up that lags behind the venue's own events, then the order is in doubt and asked for again."""
    order = await scene.order(age=60)
    order.heard = now_ms()
    await scene.inquiry.became(order, scene.account)
    assert order.state is OrderState.UNKNOWN
    scene.session.orders["v1"] = row()
    await scene.settle(order)
    assert order.state is OrderState.OPEN


async def test_an_order_that_was_received_and_is_not_found_is_asked_for_until_it_is(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """given an order of which only the receipt was heard, when a first look-up lags, then the next ones come by themselves."""
    monkeypatch.setattr("app.inquiry.PENDING_FOR", 0.0)
    order = await scene.order(venue_id="", age=0)
    scene.blotter.learn(order, row(OrderStatus.PENDING))
    scene.inquiry.reconciled.add(KEY)
    await scene.inquiry.settle_pending(order)
    assert order.state is OrderState.UNKNOWN
    scene.session.orders["v1"] = row()
    await until(lambda: order.state is OrderState.OPEN, "another look-up")


async def test_an_order_is_looked_for_under_the_id_that_a_lost_change_gave_it(scene: Scene) -> None:
    order = await scene.order(age=60)
    order.offered.add("c1b")
    scene.blotter.known_as(order, "c1b")
    scene.blotter.happen(order, Event.LOST, "the change got no verdict")
    scene.session.orders["c1b"] = row(venue_id="v1b", client_id="c1b")
    await scene.settle(order)
    assert (order.state, order.client_id, order.venue_id) == (OrderState.OPEN, "c1b", "v1b")


async def test_the_comparison_repairs_and_tells_every_difference(scene: Scene) -> None:
    """given a venue at which all sorts of things happened unseen, when books are compared, then ours are as theirs."""
    ended = await scene.order(client_id="c1", venue_id="v1")
    filling = await scene.order(client_id="c2", venue_id="v2")
    scene.session.orders["v1"] = row(OrderStatus.CANCELLED)
    scene.session.open = [
        row(OrderStatus.PARTLY_FILLED, "3", venue_id="v2", client_id="c2"),
        row(venue_id="v9", client_id="from-a-phone"),
    ]
    scene.session.executions = [execution(1, "3", filling.created + 5, "v2")]
    await scene.inquiry.reconcile(scene.account)
    assert ended.state is OrderState.CANCELLED
    assert (filling.state, filling.filled) == (OrderState.PARTLY_FILLED, 3)
    (external,) = [order for order in scene.blotter.orders.values() if order.external]
    assert (external.client_id, external.venue_id, external.state) == ("from-a-phone", "v9", OrderState.OPEN)
    said = scene.notices[-1].text
    for part in ("1 placed elsewhere", "1 ended meanwhile", "1 that had changed", "1 executions that were missed"):
        assert part in said
    await scene.journal.flush()
    assert any(note.text == said for note in await scene.journal.notes())
    assert KEY in scene.inquiry.reconciled
    notices = len(scene.notices)
    await scene.inquiry.reconcile(scene.account)  # nothing is new any more
    assert len(scene.notices) == notices


async def test_terms_that_were_changed_elsewhere_are_taken_in_and_told(scene: Scene) -> None:
    """given a list that does not say when, then its terms are the present ones, unless something was told after it was asked for."""
    order = await scene.order()
    scene.blotter.learn(order, row(price=Decimal(100), time=now_ms()))
    order.heard = order.touched = order.created
    scene.session.open = [row(price=Decimal(99), amount=Decimal(12))]
    await scene.inquiry.reconcile(scene.account)
    assert (order.price, order.amount) == (99, 12)
    assert any("1 that had changed" in notice.text for notice in scene.notices)

    async def overtaken(instrument: Instrument | None = None) -> list[OrderUpdate]:
        scene.blotter.learn(order, row(price=Decimal(98), time=now_ms() + 1000))
        return [row(price=Decimal(99), amount=Decimal(12))]

    scene.account.session.open_orders = overtaken
    await scene.inquiry.reconcile(scene.account)
    assert (order.price, order.state) == (98, OrderState.OPEN)


async def test_fills_of_instruments_without_open_orders_are_caught_up_from_the_last_one_seen(scene: Scene) -> None:
    order = await scene.order(age=3600)
    scene.blotter.filled(scene.account, execution(1, "10", order.created + 1000), "spot")
    assert order.state is OrderState.FILLED
    scene.session.executions = [
        execution(1, "10", order.created + 1000),
        execution(2, "5", order.created + 9000, venue_id="placed and filled elsewhere"),
    ]
    await scene.inquiry.reconcile(scene.account)
    assert [own.fill.id for own in scene.blotter.fills] == ["1", "2"]
    assert "1 executions that were missed" in scene.notices[-1].text


async def test_a_catch_up_reads_page_after_page(scene: Scene) -> None:
    order = await scene.order(age=3600)
    scene.session.executions = [
        execution(number, "0.001", order.created + 10 * number, venue_id="elsewhere") for number in range(1, 1301)
    ]
    missed = await scene.inquiry.catch_up_fills(scene.account, INSTRUMENT, order.created)
    assert missed == 1300
    assert len([asked for asked in scene.session.asked if asked.startswith("fills")]) == 3


async def test_an_order_that_was_taken_for_ended_and_stands_all_the_same_is_shown(scene: Scene) -> None:
    """given an order that counts as never arrived, when the venue lists it later, then it is a row of its own, in red words."""
    order = await scene.order(venue_id="", age=60)
    scene.blotter.happen(order, Event.LOST, "no answer")
    await scene.settle(order)
    assert order.state is OrderState.REJECTED
    order.touched -= 1000
    scene.session.open = [row()]
    scene.session.orders["v1"] = row()
    for _ in range(2):
        await scene.inquiry.reconcile(scene.account)
    standing = [found for found in scene.blotter.orders.values() if found.state is OrderState.OPEN]
    assert [found.venue_id for found in standing] == ["v1"]
    assert order.state is OrderState.REJECTED  # ends stay ends
    assert "stands at Toy practice although" in "".join(n.text for n in scene.notices if n.level == "danger")


async def test_a_client_id_that_another_program_uses_again_names_another_order(scene: Scene) -> None:
    """given an ended order of ours, when a new order at the venue bears the same client id, then it is external and visible."""
    order = await scene.order(age=60)
    scene.blotter.learn(order, row(OrderStatus.CANCELLED))
    order.touched -= 1000
    scene.blotter.heard(scene.account, row(venue_id="v77"), "spot")
    (external,) = [found for found in scene.blotter.orders.values() if found.external]
    assert external.venue_id == "v77"
    await scene.journal.flush()
    assert order.state is OrderState.CANCELLED
    record = await scene.journal.order(external.id)
    assert record is not None
    assert record.external


async def test_the_same_venue_id_in_two_instruments_names_two_orders(scene: Scene) -> None:
    order = await scene.order()
    other = row(client_id="", status=OrderStatus.CANCELLED)
    other.wire = "ETHUSDT"
    scene.blotter.heard(scene.account, other, "spot")
    assert order.state is OrderState.OPEN


async def test_balances_that_no_event_explains_are_journalled(scene: Scene) -> None:
    await scene.inquiry.reconcile(scene.account)
    scene.account.refreshed = {("spot", "BTC"): Balance(asset="BTC", family="spot", total=Decimal(2))}
    await scene.inquiry.reconcile(scene.account)
    assert "1 balances or positions" in scene.notices[-1].text
    await scene.journal.flush()
    notes = await scene.journal.notes()
    assert Note(notes[1].time, KEY, "difference", "BTC (spot): 0 here, 2 at Toy practice") in notes


async def test_a_venue_without_fill_lists_is_compared_all_the_same(scene: Scene) -> None:
    order = await scene.order(age=60)

    async def none(instrument: Instrument, page: Page) -> list[Fill]:
        raise NotSupported("no list of fills")

    scene.session.fills = none
    scene.session.orders["v1"] = row(OrderStatus.FILLED, "10")
    await scene.inquiry.reconcile(scene.account)
    assert order.state is OrderState.FILLED


async def test_many_orders_in_doubt_share_one_list_until_their_time_is_over(scene: Scene) -> None:
    """given a venue whose questions are counted, when five orders are in doubt, then one list finds those that stand."""
    orders = [await scene.order(venue_id="", age=3, client_id=f"c{number}") for number in range(5)]
    for order in orders:
        scene.blotter.happen(order, Event.LOST, "no answer")
    scene.session.open = [row(venue_id="v3", client_id="c3")]
    for order in orders:
        await scene.inquiry._ask_in_turn(order, scene.account)
    assert [order.state for order in orders].count(OrderState.OPEN) == 1
    assert orders[3].venue_id == "v3"
    assert scene.session.asked == ["open"]


async def test_an_execution_of_an_order_whose_end_is_known_is_caught_up_after_a_restart(tmp_path: Path) -> None:
    """given an order whose end was learned and whose execution was not, when the process is killed, then the next run reads it."""
    first = Scene(tmp_path)
    await first.blotter.load()
    order = await first.order(age=3600)
    first.blotter.learn(order, row(OrderStatus.FILLED, "10"))
    first.journal.close()
    second = Scene(tmp_path)
    await second.blotter.load()
    assert not second.blotter.orders  # it is over
    second.session.executions = [execution(1, "10", order.created + 50)]
    await second.inquiry.reconcile(second.account)
    assert [own.fill.id for own in second.blotter.fills] == ["1"]
    await second.inquiry.stop()
    second.journal.close()


async def test_an_order_whose_last_execution_alone_was_written_down_is_over_in_the_journal_too(tmp_path: Path) -> None:
    """given a process that is killed between an execution and what it means, then the next run writes down that it is over."""
    first = Scene(tmp_path)
    await first.blotter.load()
    order = await first.order()
    last = execution(1, "10", order.created + 50)
    detail = msgspec.json.encode(last).decode()
    first.journal.fill(FillRecord(KEY, INSTRUMENT.key, last.id, order.id, last.time, detail))
    first.journal.close()
    second = Scene(tmp_path)
    await second.blotter.load()
    again = second.blotter.orders[order.id]
    assert (again.state, again.filled) == (OrderState.FILLED, 10)
    assert second.blotter.working() == []
    assert await second.journal.unfinished() == []
    await second.inquiry.stop()
    second.journal.close()


@pytest.mark.parametrize("change", [True, False])
async def test_an_order_that_was_being_changed_is_not_over_by_what_it_was_before(tmp_path: Path, change: bool) -> None:
    """given a change that the end of the process cut off, when all that the order was before had filled, then it is asked for."""
    first = Scene(tmp_path)
    await first.blotter.load()
    order = await first.order()
    if change:
        first.blotter.happen(order, Event.AMEND_ASKED)
        order.growing = True
    first.blotter.filled(first.account, execution(1, "10", order.created + 50), "spot")
    assert order.is_final is not change
    first.journal.close()
    second = Scene(tmp_path)
    await second.blotter.load()
    assert [again.state for again in second.blotter.working()] == ([OrderState.UNKNOWN] if change else [])
    second.session.orders["v1"] = row(OrderStatus.PARTLY_FILLED, "10", amount=Decimal(20))
    for again in second.blotter.working():
        await second.settle(again)
        assert (again.state, again.remaining) == (OrderState.PARTLY_FILLED, 10)
    await second.inquiry.stop()
    second.journal.close()


async def test_an_execution_older_than_the_last_one_seen_is_read_if_its_order_lacks_it(scene: Scene) -> None:
    early, late = (
        await scene.order(age=90_000, client_id="c1"),
        await scene.order(age=60, client_id="c2", venue_id="v2"),
    )
    scene.session.executions = [
        execution(1, "10", early.created + 50),
        execution(2, "10", late.created + 50, venue_id="v2"),
    ]
    scene.blotter.filled(scene.account, scene.session.executions[1], "spot")
    scene.blotter.learn(early, row(OrderStatus.FILLED, "10"))
    await scene.inquiry.reconcile(scene.account)
    assert {own.fill.id for own in scene.blotter.fills} == {"1", "2"}
    assert not early.unexplained


async def test_a_fee_that_comes_late_is_shown_and_never_forgotten(scene: Scene) -> None:
    order = await scene.order()
    bare, paid = (
        execution(1, "4", 5),
        msgspec.structs.replace(execution(1, "4", 5), fee=Decimal("0.4"), fee_asset="USDT"),
    )
    assert scene.blotter.filled(scene.account, bare, "spot")
    version, told = scene.blotter.fills_version, []
    scene.blotter.order_changed.connect(told.append)
    assert not scene.blotter.filled(scene.account, paid, "spot")
    assert [own.fill for own in scene.blotter.fills] == [paid]
    assert scene.blotter.fills_version > version
    assert told == [order.id]
    assert (order.fee, order.fee_asset, order.filled) == (Decimal("0.4"), "USDT", 4)
    assert not scene.blotter.filled(scene.account, bare, "spot")
    assert [own.fill for own in scene.blotter.fills] == [paid]
    (record,) = await scene.journal.fills(order_id=order.id)
    assert '"fee":"0.4"' in record.detail


async def test_what_was_listed_after_their_time_was_over_judges_all_that_are_in_doubt(scene: Scene) -> None:
    """given many orders that never arrived, when one after the other is settled, then fills and open orders are read once."""
    orders = [await scene.order(venue_id="", age=60 - number, client_id=f"c{number}") for number in range(8)]
    for order in orders:
        scene.blotter.happen(order, Event.LOST, "no answer")
    for order in orders:
        await scene.inquiry._ask_in_turn(order, scene.account)
    assert {order.state for order in orders} == {OrderState.REJECTED}
    assert scene.session.asked.count("open") == 1
    assert sum(asked.startswith("fills") for asked in scene.session.asked) == 1


async def test_what_was_listed_before_its_time_was_over_judges_nothing(scene: Scene) -> None:
    order = await scene.order(venue_id="", age=16)
    scene.blotter.happen(order, Event.LOST, "no answer")
    scene.inquiry._lists[KEY] = (now_ms() - 5000, [])  # asked for when it could still arrive
    scene.session.open = [row()]
    await scene.inquiry._ask_in_turn(order, scene.account)
    assert order.state is OrderState.OPEN


async def test_executions_that_were_read_before_an_order_was_gone_do_not_tell_how_it_ended(scene: Scene) -> None:
    """given an order that filled right after the fills were read, when its venue forgets it, then they are read again."""
    order = await scene.order(age=60)
    await scene.inquiry.catch_up_fills(scene.account, INSTRUMENT, order.created)
    scene.session.executions = [execution(1, "10", order.created + 9)]
    await scene.inquiry.became(order, scene.account)
    assert (order.state, order.filled) == (OrderState.FILLED, 10)


async def test_an_error_of_ours_does_not_end_the_comparison(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    failed: list[int] = []
    compare = scene.inquiry.reconcile

    async def reconcile(account: Any) -> None:
        if not failed:
            failed.append(1)
            raise KeyError("a bug")
        await compare(account)

    monkeypatch.setattr(scene.inquiry, "reconcile", reconcile)
    scene.inquiry.begin(scene.account)
    await until(lambda: KEY in scene.inquiry.reconciled, "the comparison")
    assert any("KeyError" in notice.text for notice in scene.notices)


async def test_an_order_in_something_that_is_no_instrument_here_is_told_once(scene: Scene) -> None:
    strange = row(venue_id="v7", client_id="")
    strange.wire = "BTCUSDT_PERHAPS"
    scene.session.open = [strange]
    await scene.inquiry.reconcile(scene.account)
    await scene.inquiry.reconcile(scene.account)
    assert [notice.level for notice in scene.notices if "BTCUSDT_PERHAPS" in notice.text] == ["danger"]


async def test_an_account_that_is_stopped_while_it_is_asked_is_one_that_could_not_be_asked(scene: Scene) -> None:
    order = await scene.order(age=60)
    scene.account.session = None
    await scene.inquiry.became(order, scene.account)
    assert order.state is OrderState.OPEN
    assert "not connected" in order.text


async def test_an_execution_of_an_order_that_was_taken_for_refused_is_told_in_red(scene: Scene) -> None:
    order = await scene.order(venue_id="", age=60)
    scene.blotter.happen(order, Event.LOST, "no answer")
    await scene.inquiry.settle(order)
    assert order.state is OrderState.REJECTED
    late = structs.replace(execution(1, "4", order.created + 9), client_id="c1")
    scene.blotter.filled(scene.account, late, "spot")
    scene.blotter.filled(scene.account, late, "spot")
    assert order.filled == 4
    assert [n.text for n in scene.notices if n.level == "danger" and "has traded 4 all the same" in n.text] != []
    assert sum(notice.level == "danger" for notice in scene.notices) == 1
