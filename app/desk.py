"""The order desk: places, amends and cancels, and always knows, or says that it does not know, what became of an order.

The promise: no order is ever lost, doubled or left in doubt without the trader being told. How it is kept:

- An intent is durable in the journal, with its client id, before its request leaves.
- Only two things are concluded from an error: `Refused` and `VenueUnavailable` mean *not executed*; everything else,
  bugs of ours included, makes the order UNKNOWN. The desk then asks the venue until it tells, and never sends again by itself.
- A cancel is harmless to repeat, so it is repeated; when the venue does not find the order, the desk asks what became of it.
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

import msgspec
from PySide6.QtCore import QObject, Signal

from app.blotter import Blotter, Notice, OwnFill, now_ms, order_name
from app.guard import Estimate, Limits, Problem, Situation, check, estimate
from app.inquiry import ASK_EVERY, Inquiry
from app.journal import Journal, JournalUnavailable
from app.orders import Draft, Event, Moment, Order, OrderState
from connectors.contract import Amend, Environment
from connectors.errors import (
    DuplicateOrder,
    NothingToChange,
    NotSupported,
    OrderNotFound,
    OutcomeUnknown,
    RateLimited,
    Refused,
    VenueError,
    VenueUnavailable,
)
from connectors.model import ZERO, Fill, Instrument, OrderStatus, OrderUpdate

if TYPE_CHECKING:
    from app.accounts import Account, Accounts
    from app.markets import Markets
    from app.settings import Settings
    from connectors.contract import Family

_log = logging.getLogger(__name__)

RECENT = 20  # orders that are looked at for a repetition
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
        self._markets = markets
        self._settings = settings
        self._blotter = Blotter(accounts, journal)
        self._inquiry = Inquiry(accounts, self._blotter)
        self._tasks: set[asyncio.Task[Any]] = set()
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

    @property
    def fills(self) -> list[OwnFill]:
        """Executions since the start, oldest first."""
        return self._blotter.fills

    @property
    def journal(self) -> Journal:
        """Where everything is written down."""
        return self._blotter.journal

    # -----------------------------------------------------------------------------------------------------------------
    # Life

    async def start(self) -> None:
        """Take up the orders whose end was not seen, and begin to ask for them."""
        await self._blotter.load()
        for order in list(self.orders.values()):
            if order.state is OrderState.UNKNOWN:
                self.run(self._inquiry.settle(order), f"settle {order.id}")

    async def stop(self) -> None:
        """End all tasks and close the journal. Orders at the venues stay; the next start takes them up."""
        tasks = [*self._tasks, *([self._disarm_task] if self._disarm_task else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._inquiry.stop()
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
        if order.is_final or order.state is OrderState.CANCELLING:
            return
        self._blotter.happen(order, Event.CANCEL_ASKED)
        self.run(self._cancel(order), f"cancel {order_id}")

    def cancel_many(self, order_ids: Iterable[str]) -> None:
        """Cancel each of these."""
        for order_id in list(order_ids):
            self.cancel(order_id)

    def cancel_all(self, account_id: str | None = None, instrument_key: str | None = None) -> int:
        """Cancel every order that matches; returns how many were asked for."""
        matching = [
            order.id
            for order in self.orders.values()
            if not order.is_final
            and (account_id is None or order.account == account_id)
            and (instrument_key is None or order.instrument.key == instrument_key)
        ]
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
        # the funds that the order itself holds are free for its successor, so funds are left to the venue
        problems = [
            problem
            for problem in check(target, self._situation(target, instead_of=order))
            if problem.rule not in ("funds", "armed")
        ]
        if problems:
            raise GuardRefused(problems)
        self._blotter.happen(order, Event.AMEND_ASKED)
        self.run(self._amend(order, target), f"amend {order_id}")

    async def kill(self) -> dict[str, str]:
        """Disarm, cancel everything everywhere, go on until each venue confirms; returns what was confirmed by account."""
        self.disarm()
        accounts = [account for account in self._accounts.accounts.values() if account.can_trade]
        results = await asyncio.gather(*(self._kill(account) for account in accounts))
        return dict(zip((account.id for account in accounts), results, strict=True))

    def ask_now(self, order_id: str) -> None:
        """Ask about an order in doubt without waiting for the next turn."""
        order = self.orders[order_id]
        if not self._blotter.nudge(order_id) and order.state is OrderState.UNKNOWN:
            self.run(self._inquiry.settle(order), f"settle {order_id}")

    # -----------------------------------------------------------------------------------------------------------------
    # What accounts tell (AccountObserver)

    def account_event(self, account: Account, event: object, family: str) -> None:
        """News from the private stream, or rows that were read after connecting."""
        if isinstance(event, (OrderUpdate, Fill)):  # balances and positions are the account's own business
            self._blotter.take(account, event, family)

    def account_ready(self, account: Account) -> None:
        """The account is connected: compare before anything is sent."""
        self._inquiry.begin(account)

    def account_lost(self, account: Account, why: str) -> None:
        """The private connection is gone: nothing is sent until the venue was asked again."""
        self._inquiry.end(account)

    # -----------------------------------------------------------------------------------------------------------------
    # Placing

    async def _send(self, order: Order, draft: Draft, account: Account, written: Awaitable[None]) -> None:
        try:
            await written
        except (JournalUnavailable, ValueError) as error:
            self._blotter.placing.discard(order.id)
            order.status = OrderStatus.REJECTED
            order.happen(Event.REJECTED, now_ms(), f"Not sent: {error}")
            self._blotter.changed(order)
            self._blotter.tell("danger", order.text, order)
            return
        try:
            update = await account.session.place(draft.request(order.client_id))
        except DuplicateOrder as error:
            self._doubt(order, f"{account.name} already has an order with this id ({error})")
        except (Refused, VenueUnavailable) as error:
            self._blotter.placing.discard(order.id)
            self._blotter.end(order, OrderStatus.REJECTED, _refusal(error))
            self._blotter.tell("warn", f"{order_name(order)}: {_refusal(error)}", order)
            return
        except OutcomeUnknown as error:
            self._doubt(order, f"{account.name} gave no verdict ({error})")
        except asyncio.CancelledError:
            raise  # the journal has it as unfinished; the next start asks the venue
        except Exception as error:  # noqa: BLE001 - a bug of ours must leave the order in doubt, never forgotten
            _log.exception("placing %s failed in a way that says nothing about the order", order.id)
            self._doubt(order, f"an error on this side ({type(error).__name__}) left it open whether the order arrived")
        else:
            self._blotter.placing.discard(order.id)
            self._blotter.learn(order, update)
            self._blotter.unpark(order)
            return
        self._blotter.placing.discard(order.id)
        await self._inquiry.settle(order)

    def _doubt(self, order: Order, why: str) -> None:
        if order.is_final:
            return
        self._blotter.happen(
            order, Event.LOST, f"{why}; it may stand in the book or not. Asking, and sending nothing twice."
        )
        self._blotter.tell("warn", f"{order_name(order)}: {order.text}", order)

    # -----------------------------------------------------------------------------------------------------------------
    # Cancelling

    async def _cancel(self, order: Order) -> None:
        """Ask for a cancel until the order is over or the venue refuses."""
        turn = 0
        while not order.is_final:
            account = self._accounts.accounts.get(order.account)
            try:
                if account is None or account.session is None:
                    raise VenueUnavailable("the account is not connected")
                if order.id in self._blotter.placing and not order.venue_id:
                    raise VenueUnavailable("the order itself was not acknowledged yet")
                self._blotter.learn(order, await account.session.cancel(order.ref))
            except (OrderNotFound, NothingToChange):
                if account is not None:
                    await self._inquiry.ask_after_cancel(order, account)
            except RateLimited as error:
                await asyncio.sleep(error.retry_after or 1.0)
                continue
            except Refused as error:
                self._blotter.happen(order, Event.CANCEL_REFUSED, f"Not cancelled: {error}")
                self._blotter.tell("warn", f"{order_name(order)} could not be cancelled: {error}", order)
                return
            except VenueError as error:
                order.text = f"The cancel got no answer ({error}). Asking again."
                self._blotter.changed(order)
            if order.is_final or await self._inquiry.ends_within(order, CANCEL_ANSWER if turn == 0 else ASK_EVERY[-1]):
                return
            if account is not None and account.session is not None:
                await self._inquiry.ask_after_cancel(order, account)
            turn += 1

    async def _kill(self, account: Account) -> str:
        """Cancel everything of one account until its venue lists no open order."""
        turn = 0
        while True:
            try:
                if account.session is None:
                    raise VenueUnavailable("not connected")
                rows = await account.session.open_orders(None)
                if not rows:
                    self.cancel_all(account.id)
                    self._blotter.tell("info", f"{account.name} confirms: no open order.", account=account.id)
                    return "confirmed"
                for instrument in {row.wire: account.instrument(row.wire, row.family) for row in rows}.values():
                    if instrument is None:
                        continue
                    with contextlib.suppress(NothingToChange, OrderNotFound):
                        for update in await account.session.cancel_all(instrument):
                            self._blotter.heard(account, update, instrument.family)
            except NotSupported:
                self.cancel_all(account.id)
            except VenueError as error:
                self._blotter.tell(
                    "danger", f"{account.name} could not be reached to cancel ({error}). Trying on.", account=account.id
                )
            await asyncio.sleep(ASK_EVERY[min(turn, len(ASK_EVERY) - 1)])
            turn += 1

    # -----------------------------------------------------------------------------------------------------------------
    # Amending

    async def _amend(self, order: Order, target: Draft) -> None:
        account = self._accounts.accounts[order.account]
        able = self._family(account, order.instrument).capabilities.amend
        lowers = target.price == order.price and target.amount is not None and order.amount is not None
        lowers = lowers and target.amount < order.amount
        if able is Amend.NONE or (able is Amend.REDUCE_ONLY and not lowers) or order.kind.has_trigger:
            await self._replace(order, target, account)
            return
        fresh = self._family(account, order.instrument).ids.make(account.session.stamp(order.instrument.family))
        price = target.price if target.price != order.price else None
        amount = target.amount if target.amount != order.amount else None
        try:
            await self._blotter.journal.client_id(order.account, fresh, order.id, now_ms())
            self._blotter.known_as(order, fresh)
            update = await account.session.amend(order.ref, price=price, amount=amount, client_id=fresh)
        except NothingToChange:
            self._blotter.happen(order, Event.AMEND_DONE)
        except (Refused, VenueUnavailable, JournalUnavailable, ValueError) as error:
            self._blotter.happen(order, Event.AMEND_REFUSED, f"Not changed: {error}")
            self._blotter.tell("warn", f"{order_name(order)} could not be changed: {error}", order)
        except VenueError as error:
            self._blotter.happen(order, Event.LOST, f"The change got no verdict ({error}). Asking.")
            await self._inquiry.settle(order)
        else:
            if update.client_id and update.client_id != order.client_id:
                order.earlier.add(order.client_id)
                order.client_id = update.client_id
            self._blotter.learn(order, update)
            self._blotter.happen(order, Event.AMEND_DONE)

    async def _replace(self, order: Order, target: Draft, account: Account) -> None:
        """Cancel, wait for the proven end, then place what is left. Never both in the book, so never more exposure than asked."""
        self._blotter.tell(
            "info", f"{order_name(order)}: this venue changes orders by cancelling and placing anew.", order
        )
        probe = Order(**{name: getattr(order, name) for name in _COPIED})
        probe.venue_id, probe.status, probe.acknowledged = order.venue_id, order.status, order.acknowledged
        try:
            update = await account.session.cancel(order.ref)
            probe.learn(update, now_ms())
            while not probe.status.is_final:
                probe.learn(await account.session.order(order.ref), now_ms())
                if not probe.status.is_final:
                    await asyncio.sleep(ASK_EVERY[0])
        except (Refused, VenueUnavailable) as error:
            self._blotter.happen(order, Event.AMEND_REFUSED, f"Not changed: {error}")
            await self._inquiry.ask_after_cancel(order, account)
            return
        except VenueError as error:
            self._blotter.happen(order, Event.LOST, f"The change got no verdict ({error}). Asking.")
            await self._inquiry.settle(order)
            return
        filled = max(order.filled, probe.filled)
        rest = (target.amount or ZERO) - filled
        if probe.status is not OrderStatus.CANCELLED or rest <= 0:
            self._blotter.learn(order, msgspec.structs.replace(update, status=probe.status, filled=filled))
            return
        draft = msgspec.structs.replace(target, amount=rest)
        order.filled = filled
        fresh = self._family(account, order.instrument).ids.make(account.session.stamp(order.instrument.family))
        try:
            await self._blotter.journal.client_id(order.account, fresh, order.id, now_ms())
        except (JournalUnavailable, ValueError) as error:
            self._blotter.end(
                order, OrderStatus.CANCELLED, f"Cancelled for a change that could not be journalled: {error}"
            )
            return
        order.replaced(fresh, filled + rest, target.price, now_ms())
        self._blotter.known_as(order, fresh)
        self._blotter.note(order, "replaced", {"client_id": fresh, "amount": str(rest), "price": str(target.price)})
        try:
            self._blotter.learn(order, await account.session.place(draft.request(fresh)))
            self._blotter.happen(order, Event.AMEND_DONE)
        except (Refused, VenueUnavailable) as error:
            self._blotter.end(order, OrderStatus.CANCELLED, f"Cancelled, and the replacement was refused: {error}")
            self._blotter.tell("warn", f"{order_name(order)}: {order.text}", order)
        except VenueError as error:
            self._doubt(order, f"the replacement got no verdict ({error})")
            await self._inquiry.settle(order)

    # -----------------------------------------------------------------------------------------------------------------

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
            leverage=position.leverage if position is not None and position.leverage else Decimal(1),
            open_orders=sum(
                not order.is_final and order.account == draft.account and order is not instead_of
                for order in self.orders.values()
            ),
            sent_last_second=sum(moment > time.monotonic() - 1.0 for moment in sent),
            armed=not click or self.armed(account.environment),
            not_ready=self._not_ready(account),
        )

    def _working(self, draft: Draft, instead_of: Order | None) -> Decimal:
        """What is open on the draft's side of its instrument."""
        key = draft.instrument.key
        mine = (
            order.remaining or ZERO
            for order in self.orders.values()
            if not order.is_final
            and order is not instead_of
            and order.side is draft.side
            and order.account == draft.account
            and order.instrument.key == key
            and not order.reduce_only
        )
        return sum(mine, ZERO)

    def _repeated(self, draft: Draft) -> float | None:
        """Seconds since the same order was sent, as far as the latest ones tell; one that was refused does not count."""
        for order in islice(reversed(self.orders.values()), RECENT):
            same = (order.account, order.instrument.key, order.side, order.kind, order.price, order.trigger)
            asked = (draft.account, draft.instrument.key, draft.side, draft.kind, draft.price, draft.trigger)
            amounts = (order.amount, order.quote_amount) == (draft.amount, draft.quote_amount)
            if same == asked and amounts and not order.external and order.state is not OrderState.REJECTED:
                return max(0.0, (now_ms() - order.created) / 1000)
        return None

    def _not_ready(self, account: Account) -> str:
        if self._blotter.journal.problem:
            return self._blotter.journal.problem
        if not account.can_trade:
            return account.text or f"{account.name} is not connected."
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


def _refusal(error: VenueError) -> str:
    return f"refused: {error}" if isinstance(error, Refused) else f"not executed: {error}"


_COPIED = (
    "id",
    "client_id",
    "account",
    "instrument",
    "side",
    "kind",
    "tif",
    "amount",
    "quote_amount",
    "price",
    "trigger",
    "post_only",
    "reduce_only",
    "created",
    "updated",
)
