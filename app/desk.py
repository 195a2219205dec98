"""The order desk: places, amends and cancels, and always knows, or says that it does not know, what became of an order.

The promise: no order is ever lost, doubled or left in doubt without the trader being told. How it is kept:

- An intent is durable in the journal, with its client id, before its request leaves.
- Only two things are concluded from an error: `Refused` and `VenueUnavailable` mean *not executed*; everything else,
  bugs of ours included, makes the order UNKNOWN. The desk then asks the venue until it tells, and never sends again by itself.
- A cancel is harmless to repeat, so it is repeated until the order is over, whatever comes between; when the venue does not
  find the order, the desk asks what became of it.
- A change is native where the venue can, else cancel and place anew: the new leg is sent only after the venue has proven the
  end of the old one and what it had filled, so that there is never more in the market than was asked for.
- After each connect the journal and the venue are compared (`reconcile`) before orders may leave, then every minute.
  Orders that were placed elsewhere appear as external ones and can be cancelled.

The desk runs in the GUI thread; all waiting happens in tasks, and outcomes are told by signals.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Coroutine, Iterable
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from app.blotter import Blotter, Notice, OwnFill, now_ms, order_name
from app.changes import Changes
from app.deadman import DeadMan
from app.guard import Estimate, Limits, Problem, Situation, check, estimate
from app.inquiry import ASK_EVERY, Inquiry
from app.journal import Journal, JournalUnavailable
from app.kill import Kill
from app.orders import Draft, Event, Moment, Order, OrderState
from connectors.contract import Environment
from connectors.errors import (
    PASSING,
    DuplicateOrder,
    NothingToChange,
    NotSent,
    OrderNotFound,
    OutcomeUnknown,
    Refused,
    VenueError,
    VenueUnavailable,
)
from connectors.model import ZERO, Fill, Instrument, OrderRequest, OrderStatus, OrderUpdate
from connectors.runtime.clock import steady

if TYPE_CHECKING:
    from app.accounts import Account, Accounts
    from app.markets import Markets
    from app.settings import Settings
    from connectors.contract import Family

_log = logging.getLogger(__name__)

RECENT = 20  # orders that are looked at for a repetition
LOOK_AT_CLOCK = 10.0  # seconds between two looks at whether somebody set the machine's clock
STEP = 2.0  # seconds by which it must differ to be told
CANCEL_ANSWER = 4.0  # seconds after which a cancel without an event is asked about

__all__ = ["Desk", "Draft", "Estimate", "GuardRefused", "Limits", "Notice", "Order", "OrderState", "OwnFill", "Problem"]


class GuardRefused(Exception):
    """The guard did not let a draft through; `problems` say why and offer what would mend it."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(f"{problem.rule}: {problem.text}" for problem in problems))
        self.problems = problems


class Desk(QObject):
    """Orders of all accounts. `orders` and `fills` are for reading; everything changes through the methods."""

    order_changed = Signal(str)
    fill_added = Signal(object)
    message = Signal(object)
    armed_changed = Signal(bool)

    def __init__(self, accounts: Accounts, markets: Markets, journal: Journal, settings: Settings) -> None:
        super().__init__()
        self._accounts = accounts
        self._settings = settings
        self._blotter = Blotter(accounts, journal)
        self._inquiry = Inquiry(accounts, self._blotter)
        self.killing = Kill(accounts, self._blotter, self._inquiry)
        self._changes = Changes(self._blotter, self._inquiry, self.killing, markets, self._place, self._change_problems)
        self._dead_man = DeadMan(self._blotter, self._inquiry, settings)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._cancelling: set[str] = set()
        self._sent_at: dict[str, deque[float]] = {}
        self._armed_until: dict[Environment, float] = {}
        self._disarm_task: asyncio.Task[Any] | None = None
        self._blotter.order_changed.connect(self.order_changed)
        self._blotter.fill_added.connect(self.fill_added)
        self._blotter.message.connect(self.message)
        accounts.add_observer(self)

    @property
    def orders(self) -> dict[str, Order]:
        """Every order known, by our id."""
        return self._blotter.orders

    def working(self, account_id: str | None = None, instrument_key: str | None = None) -> list[Order]:
        """The orders that have not ended; those of an account, of an instrument, or all."""
        return self._blotter.working(account_id, instrument_key)

    @property
    def fills(self) -> list[OwnFill]:
        """Executions since the start, oldest first."""
        return self._blotter.fills

    @property
    def fills_version(self) -> int:
        """Rises with each execution, and when the fee of a known one comes."""
        return self._blotter.fills_version

    def tell(self, level: str, text: str) -> None:
        """Words for the trader that concern the program as a whole."""
        self._blotter.tell(level, text)

    @property
    def journal(self) -> Journal:
        """Where everything is written down."""
        return self._blotter.journal

    # -----------------------------------------------------------------------------------------------------------------
    # Life

    async def start(self) -> None:
        """Take up the orders whose end was not seen, and begin to ask for them."""
        await self._blotter.load()
        for order in self.working():
            if order.state is OrderState.UNKNOWN:
                self.run(self._inquiry.settle(order), f"settle {order.id}")
        with contextlib.suppress(JournalUnavailable):
            self.killing.take_up(await self.journal.cut_off_kills())
        self.run(self._watch_clock(), "watch the clock")

    async def _watch_clock(self) -> None:
        """Tell that the machine's clock was set. It decides nothing here, but our times are no longer those on the wall."""
        told = 0.0
        while True:
            ahead = time.time() - steady()
            if abs(ahead - told) > STEP:
                told = ahead
                where = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} Fathom's own"
                text = f"This machine's clock was set; it is {where} now. Orders are judged by the time that passed, and Fathom's"
                self._blotter.tell("warn", f"{text} times go on as before until it starts anew.")
            await asyncio.sleep(LOOK_AT_CLOCK)

    async def stop(self) -> None:
        """End all tasks. Orders at the venues stay; the next start takes them up."""
        tasks = [*self._tasks, *([self._disarm_task] if self._disarm_task else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.killing.stop()
        await self._inquiry.stop()
        await self._dead_man.stop(list(self._accounts.accounts.values()))

    async def close(self) -> None:
        """Close the journal, when no account can have news any more."""
        with contextlib.suppress(JournalUnavailable):
            await self._blotter.journal.flush()
        self._blotter.journal.close()

    # -----------------------------------------------------------------------------------------------------------------
    # Arming

    def armed(self, environment: Environment) -> bool:
        """Whether one click may send there now."""
        return self._armed_until.get(environment, 0.0) > time.monotonic()

    def armed_left(self, environment: Environment) -> float:
        """Seconds until it disarms itself."""
        return max(0.0, self._armed_until.get(environment, 0.0) - time.monotonic())

    def arm(self, environment: Environment, minutes: float = 15.0) -> None:
        """Let clicks send orders for a while."""
        self._armed_until[environment] = time.monotonic() + minutes * 60
        if self._disarm_task is not None:
            self._disarm_task.cancel()
        self._disarm_task = asyncio.ensure_future(self._disarm_later())
        self.armed_changed.emit(True)

    def disarm(self) -> None:
        """Clicks fill the ticket again and send nothing."""
        self._armed_until.clear()
        self.armed_changed.emit(False)

    async def _disarm_later(self) -> None:
        while self._armed_until:
            await asyncio.sleep(max(0.05, min(self._armed_until.values()) - time.monotonic()))
            passed = [name for name, until in self._armed_until.items() if until <= time.monotonic()]
            for name in passed:
                del self._armed_until[name]
            if passed:
                self.armed_changed.emit(bool(self._armed_until))

    # -----------------------------------------------------------------------------------------------------------------
    # What the ticket asks

    def check(self, draft: Draft, *, click: bool = False) -> list[Problem]:
        """Why `draft` may not leave now. `click`: it comes from one click, which must be armed and not be large."""
        situation = self._situation(draft, click=click)
        problems = check(draft, situation)
        limit = situation.limits.confirm_notional
        if click and limit is not None:
            value = estimate(draft, situation).notional
            if value is not None and value > limit:
                text = f"above your one-click limit of {limit:f} {draft.instrument.quote}; use the ticket"
                problems.append(Problem(field="amount", rule="one click", text=text))
        return problems

    def estimate(self, draft: Draft) -> Estimate:
        """What sending `draft` now would mean."""
        return estimate(draft, self._situation(draft, click=False))

    def limits(self, account_id: str) -> Limits:
        """The trader's own limits for an account."""
        return self._settings.limits(account_id)

    # -----------------------------------------------------------------------------------------------------------------
    # What the trader does

    def place(self, draft: Draft, *, click: bool = False) -> str:
        """Write the order down and send it. Returns our id at once. Raises GuardRefused; nothing was sent then."""
        problems = self.check(draft, click=click)
        if problems:
            raise GuardRefused(problems)
        account = self._accounts.accounts[draft.account]
        stamp = account.session.stamp(draft.instrument.family)
        client_id = self._family(account, draft.instrument).ids.make(stamp)
        moment = now_ms()
        order = Order(
            id=uuid.uuid4().hex,
            client_id=client_id,
            account=draft.account,
            instrument=draft.instrument,
            side=draft.side,
            kind=draft.kind,
            tif=draft.tif,
            amount=draft.amount,
            quote_amount=draft.quote_amount,
            price=draft.price,
            trigger=draft.trigger,
            post_only=draft.post_only,
            reduce_only=draft.reduce_only,
            created=moment,
            updated=moment,
            sent=moment,
        )
        order.history.append(Moment(moment, "placed"))
        self._blotter.add(order)
        self._blotter.placing.add(order.id)
        self._sent_at.setdefault(draft.account, deque(maxlen=100)).append(time.monotonic())
        self.run(self._send(order, draft, account, self._blotter.write_down(order)), f"place {order.id}")
        return order.id

    def cancel(self, order_id: str) -> None:
        """Ask the venue to cancel an order, and go on until it is clear what became of it."""
        order = self.orders[order_id]
        if order.is_final:
            return
        if order.id in self._cancelling:
            order.cancel_wanted = True
            self._blotter.nudge(order.id)
            return
        self._blotter.want_cancel(order)
        self._cancelling.add(order.id)
        self.run(self._cancel(order), f"cancel {order_id}")

    def cancel_many(self, order_ids: Iterable[str]) -> None:
        """Cancel each of these."""
        for order_id in list(order_ids):
            self.cancel(order_id)

    def cancel_all(self, account_id: str | None = None, instrument_key: str | None = None) -> int:
        """Cancel every order that matches; returns how many were asked for."""
        matching = [order.id for order in self.working(account_id, instrument_key)]
        self.cancel_many(matching)
        return len(matching)

    def amend(self, order_id: str, *, price: Decimal | None = None, amount: Decimal | None = None) -> None:
        """Change price and/or total amount: natively where the venue can, else by cancelling and placing the rest anew."""
        order = self.orders[order_id]
        if order.state not in (OrderState.OPEN, OrderState.PARTLY_FILLED, OrderState.UNTRIGGERED):
            self._blotter.tell("warn", "Only an order that works can be changed.", order)
            return
        target = Draft(
            account=order.account,
            instrument=order.instrument,
            side=order.side,
            kind=order.kind,
            amount=amount if amount is not None else order.amount,
            price=price if price is not None else order.price,
            trigger=order.trigger,
            tif=order.tif,
            post_only=order.post_only,
            reduce_only=order.reduce_only,
        )
        problems = self._change_problems(order, target)
        if problems:
            raise GuardRefused(problems)
        self._blotter.happen(order, Event.AMEND_ASKED)
        account = self._accounts.accounts[order.account]
        self.run(self._changes.change(order, target, account), f"amend {order_id}")

    async def kill(self) -> dict[str, str]:
        """Disarm, cancel everything everywhere, go on until each venue confirms; returns what was confirmed by account."""
        self.disarm()
        return await self.killing.press()

    async def go_on_killing(self) -> dict[str, str]:
        """Disarm, and go on with a kill that the end of an earlier run cut off; returns as `kill`."""
        self.disarm()
        return await self.killing.go_on()

    def ask_now(self, order_id: str) -> None:
        """Ask about an order in doubt, or one that is cancelling, without waiting for the next turn."""
        order = self.orders[order_id]
        if order.is_final:
            return
        if order.state is OrderState.UNKNOWN:
            if not self._blotter.nudge(order_id):
                self.run(self._inquiry.settle(order), f"settle {order_id}")
        elif (account := self._accounts.accounts.get(order.account)) is not None and account.session is not None:
            self.run(self._inquiry.became(order, account), f"ask about {order_id}")

    # -----------------------------------------------------------------------------------------------------------------
    # What accounts tell (AccountObserver)

    def account_event(self, account: Account, event: object, family: str) -> None:
        """News from the private stream, or rows that were read after connecting."""
        if isinstance(event, (OrderUpdate, Fill)):  # balances and positions are the account's own business
            self._blotter.take(account, event, family)

    def account_ready(self, account: Account) -> None:
        """The account is connected: compare before anything is sent."""
        self._inquiry.begin(account)
        self._dead_man.begin(account)

    def account_lost(self, account: Account, why: str) -> None:
        """The private connection is gone: nothing is sent until the venue was asked again."""
        self._inquiry.end(account)
        self._dead_man.end(account)

    # -----------------------------------------------------------------------------------------------------------------
    # Placing

    async def _send(self, order: Order, draft: Draft, account: Account, written: Awaitable[None]) -> None:
        try:
            await written
        except (JournalUnavailable, ValueError) as error:
            self._not_sent(order, f"Not sent: {error}")
            self._blotter.placed(order)
            return
        if self.killing.covers(order.account, order.sent) or order.cancel_wanted:
            why = "it was cancelled" if order.cancel_wanted else "everything is being cancelled"
            self._blotter.end(order, OrderStatus.CANCELLED, f"Not sent: {why} before it left.")
            self._blotter.placed(order)
            return
        await self._place(order, account, draft.request(order.client_id))

    def _not_sent(self, order: Order, text: str) -> None:
        """It could not be written down, so it did not leave and no line of it is in the journal."""
        order.status = OrderStatus.REJECTED
        order.happen(Event.REJECTED, now_ms(), text)
        self._blotter.changed(order)
        self._blotter.tell("danger", order.text, order)

    async def _place(self, order: Order, account: Account, request: OrderRequest) -> None:
        """Send a request that is written down. What its outcome is, or that it is not known, is what `order` then says."""
        try:
            if account.session is None:
                raise NotSent("the account is not connected")
            update = await account.session.place(request)
        except DuplicateOrder as error:
            self._doubt(order, f"{account.name} already has an order with this id ({error})")
        except (Refused, VenueUnavailable) as error:
            self._blotter.placed(order)
            self._refused(order, error)
            return
        except OutcomeUnknown as error:
            self._doubt(order, f"{account.name} gave no verdict ({error})")
        except asyncio.CancelledError:
            raise  # the journal has it as unfinished; the next start asks the venue
        except Exception as error:  # noqa: BLE001 - a bug of ours must leave the order in doubt, never forgotten
            _log.exception("placing %s failed in a way that says nothing about the order", order.id)
            self._doubt(order, f"an error on this side ({type(error).__name__}) left it open whether the order arrived")
        else:
            self._blotter.learn(order, update)
            self._blotter.placed(order)
            if order.state is OrderState.PENDING:
                self.run(self._inquiry.settle_pending(order), f"settle {order.id}")
            return
        self._blotter.placed(order)
        await self._inquiry.settle(order)

    def _refused(self, order: Order, error: VenueError) -> None:
        """The venue, or the way to it, proves that the request had no effect."""
        said = f"refused: {error}" if isinstance(error, Refused) else f"not executed: {error}"
        if order.is_final:
            return
        if order.acknowledged:  # an event has told of it before
            self._doubt(order, f"the request was {said}, but the venue has told of the order")
            self.run(self._inquiry.settle(order), f"settle {order.id}")
            return
        if order.legs > 1:
            self._blotter.end(order, OrderStatus.CANCELLED, f"Cancelled for a change; the rest was {said}")
        else:
            self._blotter.end(order, OrderStatus.REJECTED, said)
        self._blotter.tell("warn", f"{order_name(order)}: {order.text}", order)

    def _doubt(self, order: Order, why: str) -> None:
        if order.is_final:
            return
        order.sent = now_ms()  # it may have waited its turn: it can have left as late as now
        self._blotter.happen(
            order, Event.LOST, f"{why}; it may stand in the book or not. Asking, and sending nothing twice."
        )
        self._blotter.tell("warn", f"{order_name(order)}: {order.text}", order)

    # -----------------------------------------------------------------------------------------------------------------
    # Cancelling

    async def _cancel(self, order: Order) -> None:
        """Ask for a cancel until the order is over or the venue refuses."""
        try:
            turn = 0
            while not order.is_final and order.cancel_wanted:
                if order.id in self._blotter.placing and not order.venue_id:
                    await self._blotter.next_change(order, 1.0)  # it cannot be named to the venue before it has arrived
                    continue
                if order.state is OrderState.UNKNOWN and not order.acknowledged:
                    await self._inquiry.settle(order)
                    continue
                self._blotter.happen(order, Event.CANCEL_ASKED)
                if order.replacing:  # the change ends it, and sends nothing anew
                    await self._blotter.next_change(order, 1.0)
                    continue
                await self._cancel_once(order, CANCEL_ANSWER if turn == 0 else ASK_EVERY[-1])
                turn += 1
        finally:
            self._cancelling.discard(order.id)

    async def _cancel_once(self, order: Order, patience: float) -> None:
        """One request, and what became of it within `patience` seconds."""
        account = self._accounts.accounts.get(order.account)
        session = account.session if account is not None else None
        try:
            if account is None or session is None:
                raise VenueUnavailable("the account is not connected")
            self._blotter.learn(order, await session.cancel(order.ref))
        except (OrderNotFound, NothingToChange):
            if account is not None:
                await self._inquiry.became(order, account)
        except PASSING as error:
            self._blotter.say(order, f"{error}; the cancel goes out again as soon as the venue takes it.")
            await self._blotter.next_change(order, getattr(error, "retry_after", None) or 1.0)
            return
        except Refused as error:
            order.cancel_wanted = False
            self._blotter.happen(order, Event.CANCEL_REFUSED, f"Not cancelled: {error}")
            self._blotter.tell("warn", f"{order_name(order)} could not be cancelled: {error}", order)
            return
        except VenueError as error:
            self._blotter.say(order, f"The cancel got no answer ({error}). Asking again.")
        except Exception as error:  # noqa: BLE001 - a bug of ours must not end the pursuit
            _log.exception("cancelling %s failed", order.id)
            self._blotter.say(order, f"An error on this side ({type(error).__name__}) kept the cancel back. Trying on.")
        ended = order.is_final or await self._inquiry.ends_within(order, patience)
        if not ended and account is not None and account.session is not None:
            await self._inquiry.became(order, account)

    # -----------------------------------------------------------------------------------------------------------------

    def _change_problems(self, order: Order, target: Draft) -> list[Problem]:
        """Why `order` may not be brought to these terms, its amount the whole of it.

        The funds that it holds itself are free for its successor, so funds are left to the venue.
        """
        problems = check(target, self._situation(target, instead_of=order))
        return [problem for problem in problems if problem.rule not in ("funds", "armed")]

    def _situation(self, draft: Draft, *, click: bool = False, instead_of: Order | None = None) -> Situation:
        """The moment of a draft. `instead_of`: the order whose place it takes, which then counts no more."""
        account = self._accounts.accounts[draft.account]
        instrument = draft.instrument
        family = self._family(account, instrument)
        sent = self._sent_at.get(draft.account, ())
        position = account.position(instrument)
        return Situation(
            capabilities=family.capabilities,
            limits=self.limits(draft.account),
            sync=account.sync(instrument),
            available=account.available(instrument),
            fees=account.fees(instrument),
            position=position.size if position is not None else ZERO,
            working=self._working(draft, instead_of),
            repeated=self._repeated(draft) if instead_of is None else None,
            doubtful=instead_of is None and not draft.reduce_only and self._is_doubtful(draft),
            leverage=account.leverage(instrument),
            open_orders=sum(order is not instead_of for order in self.working(draft.account)),
            sent_last_second=sum(moment > time.monotonic() - 1.0 for moment in sent),
            armed=not click or self.armed(account.environment),
            not_ready=self._not_ready(account),
        )

    def _working(self, draft: Draft, instead_of: Order | None) -> Decimal:
        """What is open on the draft's side of its instrument. What `instead_of` has filled is in the position already."""
        mine = (
            order.remaining or ZERO
            for order in self.working(draft.account, draft.instrument.key)
            if order is not instead_of and order.side is draft.side and not order.reduce_only
        )
        return sum(mine, ZERO) - (instead_of.filled if instead_of is not None else ZERO)

    def _repeated(self, draft: Draft) -> float | None:
        """Seconds since the same order was sent, as far as the latest ones tell; one that was refused does not count."""
        for order in islice(reversed(self.orders.values()), RECENT):
            if _is_same(order, draft) and not order.external and order.state is not OrderState.REJECTED:
                return (now_ms() - order.sent) / 1000
        return None

    def _is_doubtful(self, draft: Draft) -> bool:
        """Whether the same order was sent and nobody knows yet whether it arrived: a second one could double it."""
        return any(
            order.state is OrderState.UNKNOWN and not order.acknowledged and _is_same(order, draft)
            for order in self.working(draft.account)
        )

    def _not_ready(self, account: Account) -> str:
        if self._blotter.journal.problem:
            return self._blotter.journal.problem
        if not account.can_trade:
            return account.words or f"{account.name} is not connected."
        if any(line.account == account.id for line in self.killing.cut_off):
            return f"A kill at {account.name} was cut off by the end of Fathom: go on with it or leave it first."
        if self.killing.covers(account.id, now_ms()):
            return f"Everything at {account.name} is being cancelled; orders can be sent when it has confirmed."
        if account.id not in self._inquiry.reconciled:
            return f"{account.name} is being compared with the journal; orders can be sent in a moment."
        return ""

    def _family(self, account: Account, instrument: Instrument) -> Family:
        return account.venue.family(instrument.family)

    def run(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Do something in the background; what fails is logged and told."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)

        def ended(done: asyncio.Task[Any]) -> None:
            self._tasks.discard(done)
            if not done.cancelled() and (error := done.exception()) is not None:
                _log.error("%s ended with %s", name, error, exc_info=error)
                self._blotter.tell("danger", f"An error on this side stopped '{name}': {error}")

        task.add_done_callback(ended)


def _is_same(order: Order, draft: Draft) -> bool:
    """Whether `draft` asks for what `order` asked for."""
    same = (order.account, order.instrument.key, order.side, order.kind, order.price, order.trigger)
    asked = (draft.account, draft.instrument.key, draft.side, draft.kind, draft.price, draft.trigger)
    return same == asked and (order.amount, order.quote_amount) == (draft.amount, draft.quote_amount)
