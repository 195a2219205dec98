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
from collections.abc import Coroutine, Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET
from PySide6.QtCore import QObject, Signal

from app.guard import Estimate, Limits, Problem, Situation, check, estimate
from app.journal import FillRecord, Intent, Journal, JournalUnavailable, Record
from app.orders import Draft, Event, Moment, Order, OrderState
from connectors.contract import Amend, Environment, Found, Page
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
from connectors.model import ZERO, Fill, Instrument, OrderKind, OrderStatus, OrderUpdate, TimeInForce

if TYPE_CHECKING:
    from app.accounts import Account, Accounts
    from app.markets import Markets
    from app.settings import Settings
    from connectors.contract import Family

_log = logging.getLogger(__name__)

ASK_EVERY = (0.3, 0.6, 1.0, 2.0, 3.0, 5.0)  # seconds between questions about an order in doubt; the last one repeats
CANCEL_ANSWER = 4.0  # seconds after which a cancel without an event is asked about
RECONCILE_EVERY = 60.0
PARKED = 200  # events kept for orders whose venue id is not known yet


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """Words for the trader. `level`: info, warn, danger. `account` and `order` are ids, empty if none."""

    level: str
    text: str
    account: str = ""
    order: str = ""
    time: int = 0


class OwnFill(msgspec.Struct, frozen=True, kw_only=True):
    """An execution of ours; `order` is our id, empty if the order is not known here."""

    account: str
    instrument: Instrument
    order: str
    fill: Fill


class GuardRefused(Exception):
    """The guard did not let a draft through; `problems` say why and offer what would mend it."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(f"{problem.rule}: {problem.text}" for problem in problems))
        self.problems = problems


def now_ms() -> int:
    """Wall time in ms."""
    return time.time_ns() // 1_000_000


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
        self.journal = journal
        self._settings = settings
        self.orders: dict[str, Order] = {}
        self.fills: list[OwnFill] = []
        self._by_client: dict[tuple[str, str], Order] = {}
        self._by_venue: dict[tuple[str, str], Order] = {}
        self._known_fills: set[tuple[str, str, str]] = set()
        self._parked: deque[tuple[str, str, OrderUpdate | Fill]] = deque(maxlen=PARKED)
        self._reconciled: set[str] = set()
        self._placing: set[str] = set()  # orders whose place request is on its way: not to be judged by a list
        self._tasks: set[asyncio.Task[Any]] = set()
        self._asking: set[str] = set()
        self._wake: dict[str, asyncio.Event] = {}
        self._periodic: dict[str, asyncio.Task[Any]] = {}
        self._sent_at: dict[str, deque[float]] = {}
        self._armed_until: dict[Environment, float] = {}
        self._disarm_task: asyncio.Task[Any] | None = None
        accounts.add_observer(self)

    # -----------------------------------------------------------------------------------------------------------------
    # Life

    async def start(self) -> None:
        """Take up the orders whose end was not seen. They are in doubt until their venue has told."""
        try:
            records = await self.journal.unfinished()
            fills = await self.journal.fills()
        except JournalUnavailable:
            records, fills = [], []
        for record in fills:
            self._known_fills.add((record.account, record.instrument, record.fill_id))
        for record in records:
            self._restore(record)
        if self.journal.problem:
            self._tell("danger", self.journal.problem)

    async def stop(self) -> None:
        """End all tasks and close the journal. Orders at the venues stay; the next start takes them up."""
        tasks = [*self._tasks, *self._periodic.values(), *([self._disarm_task] if self._disarm_task else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._periodic.clear()
        with contextlib.suppress(JournalUnavailable):
            await self.journal.flush()
        self.journal.close()

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
        self._add(order)
        self._placing.add(order.id)
        self._sent_at.setdefault(draft.account, deque(maxlen=100)).append(time.monotonic())
        self._run(self._send(order, draft, account), f"place {order.id}")
        return order.id

    def cancel(self, order_id: str) -> None:
        """Ask the venue to cancel an order, and go on until it is clear what became of it."""
        order = self.orders[order_id]
        if order.is_final or order.state is OrderState.CANCELLING:
            return
        self._happen(order, Event.CANCEL_ASKED)
        self._run(self._cancel(order), f"cancel {order_id}")

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
            self._tell("warn", "Only an order that works can be changed.", order)
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
            problem for problem in check(target, self._situation(target)) if problem.rule not in ("funds", "armed")
        ]
        if problems:
            raise GuardRefused(problems)
        self._happen(order, Event.AMEND_ASKED)
        self._run(self._amend(order, target), f"amend {order_id}")

    async def kill(self) -> dict[str, str]:
        """Disarm, cancel everything everywhere, go on until each venue confirms; returns what was confirmed by account."""
        self.disarm()
        accounts = [account for account in self._accounts.accounts.values() if account.can_trade]
        results = await asyncio.gather(*(self._kill(account) for account in accounts))
        return dict(zip((account.id for account in accounts), results, strict=True))

    def ask_now(self, order_id: str) -> None:
        """Ask about an order in doubt without waiting for the next turn."""
        order = self.orders[order_id]
        event = self._wake.get(order_id)
        if event is not None:
            event.set()
        elif not order.is_final:
            self._run(self._settle(order), f"settle {order_id}")

    # -----------------------------------------------------------------------------------------------------------------
    # What accounts tell (AccountObserver)

    def account_event(self, account: Account, event: object, family: str) -> None:
        """News from the private stream, or rows that were read after connecting."""
        match event:
            case OrderUpdate():
                self._heard(account, event, family)
            case Fill():
                self._filled(account, event, family)
            case _:
                pass  # balances and positions are the account's own business

    def account_ready(self, account: Account) -> None:
        """The account is connected and its first lists were read: compare before anything is sent."""
        self._reconciled.discard(account.id)
        old = self._periodic.pop(account.id, None)
        if old is not None:
            old.cancel()
        self._periodic[account.id] = asyncio.ensure_future(self._reconcile_forever(account))

    def account_lost(self, account: Account, why: str) -> None:
        """The private connection is gone: nothing is sent until the venue was asked again."""
        self._reconciled.discard(account.id)
        task = self._periodic.pop(account.id, None)
        if task is not None:
            task.cancel()

    # -----------------------------------------------------------------------------------------------------------------
    # Placing

    async def _send(self, order: Order, draft: Draft, account: Account) -> None:
        try:
            await self.journal.intent(self._intent(order, draft))
        except (JournalUnavailable, ValueError) as error:
            self._placing.discard(order.id)
            order.status = OrderStatus.REJECTED
            order.happen(Event.REJECTED, now_ms(), f"Not sent: {error}")
            self.order_changed.emit(order.id)
            self._tell("danger", order.text, order)
            return
        try:
            update = await account.session.place(draft.request(order.client_id))
        except DuplicateOrder as error:
            self._doubt(order, f"{account.name} already has an order with this id ({error})")
        except (Refused, VenueUnavailable) as error:
            self._placing.discard(order.id)
            self._end(order, OrderStatus.REJECTED, _refusal(error))
            self._tell("warn", f"{_name(order)}: {_refusal(error)}", order)
            return
        except OutcomeUnknown as error:
            self._doubt(order, f"{account.name} gave no verdict ({error})")
        except asyncio.CancelledError:
            raise  # the journal has it as unfinished; the next start asks the venue
        except Exception as error:  # noqa: BLE001 - a bug of ours must leave the order in doubt, never forgotten
            _log.exception("placing %s failed in a way that says nothing about the order", order.id)
            self._doubt(order, f"an error on this side ({type(error).__name__}) left it open whether the order arrived")
        else:
            self._placing.discard(order.id)
            self._learn(order, update)
            self._unpark(order)
            return
        self._placing.discard(order.id)
        await self._settle(order)

    def _doubt(self, order: Order, why: str) -> None:
        if order.is_final:
            return
        self._happen(order, Event.LOST, f"{why}; it may stand in the book or not. Asking, and sending nothing twice.")
        self._tell("warn", f"{_name(order)}: {order.text}", order)

    async def _settle(self, order: Order) -> None:
        """Ask about an order until its venue has told what became of it."""
        if order.id in self._asking:
            return
        self._asking.add(order.id)
        wake = self._wake[order.id] = asyncio.Event()
        turn = 0
        try:
            while order.state is OrderState.UNKNOWN:
                account = self._accounts.accounts.get(order.account)
                if account is not None and account.session is not None:
                    await self._ask(order, account)
                if order.state is not OrderState.UNKNOWN:
                    break
                pause = ASK_EVERY[min(turn, len(ASK_EVERY) - 1)]
                turn += 1
                wake.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(wake.wait(), pause)
        finally:
            self._asking.discard(order.id)
            self._wake.pop(order.id, None)

    async def _ask(self, order: Order, account: Account) -> None:
        """One question about an order in doubt."""
        try:
            if order.acknowledged:
                self._learn(order, await account.session.order(order.ref))
                return
            search = await account.session.search(self._request(order))
        except OrderNotFound as error:
            if order.acknowledged:
                await self._gone(order, account, str(error))
            return
        except VenueError as error:
            order.text = f"{account.name} could not be asked ({error}). Asking again."
            self.order_changed.emit(order.id)
            return
        match search.found:
            case Found.FOUND if search.order is not None:
                self._learn(order, search.order)
                self._unpark(order)
            case Found.ABSENT:
                text = f"{account.name} never got it. Nothing was executed; send it again if you still want it."
                order.status = OrderStatus.REJECTED
                self._happen(order, Event.NEVER_ARRIVED, text)
                self._tell("info", f"{_name(order)}: {text}", order)
            case Found.AMBIGUOUS:
                text = f"{len(search.candidates)} orders at {account.name} could be this one. Look at the open orders."
                if order.text != text:
                    order.text = text
                    self.order_changed.emit(order.id)
                    self._tell("danger", f"{_name(order)}: {text}", order)
            case _:
                pass

    async def _gone(self, order: Order, account: Account, why: str) -> None:
        """The venue had this order and does not know it any more: fills tell whether it traded, the rest was cancelled."""
        await self._catch_up_fills(account, order.instrument, since=order.created)
        if order.is_final:
            return
        if any(update_matches(order, row) for row in await account.session.open_orders(order.instrument)):
            self._happen(order, Event.CANCEL_REFUSED)
            return
        status = OrderStatus.CANCELLED
        self._end(order, status, f"{account.name} no longer knows it ({why}); open orders and fills were compared.")

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
                if order.id in self._placing and not order.venue_id:
                    raise VenueUnavailable("the order itself was not acknowledged yet")
                self._learn(order, await account.session.cancel(order.ref))
            except (OrderNotFound, NothingToChange):
                if account is not None:
                    await self._ask_after_cancel(order, account)
            except RateLimited as error:
                await asyncio.sleep(error.retry_after or 1.0)
                continue
            except Refused as error:
                self._happen(order, Event.CANCEL_REFUSED, f"Not cancelled: {error}")
                self._tell("warn", f"{_name(order)} could not be cancelled: {error}", order)
                return
            except VenueError as error:
                order.text = f"The cancel got no answer ({error}). Asking again."
                self.order_changed.emit(order.id)
            if order.is_final or await self._ends_within(order, CANCEL_ANSWER if turn == 0 else ASK_EVERY[-1]):
                return
            if account is not None and account.session is not None:
                await self._ask_after_cancel(order, account)
            turn += 1

    async def _ask_after_cancel(self, order: Order, account: Account) -> None:
        """What became of an order that a cancel did not find, or did not visibly end."""
        try:
            self._learn(order, await account.session.order(order.ref))
        except OrderNotFound as error:
            if order.acknowledged:
                await self._gone(order, account, str(error))
            elif order.id not in self._placing:
                self._happen(order, Event.LOST, f"{account.name} does not find it; asking what became of it.")
                await self._settle(order)
        except VenueError as error:
            order.text = f"{account.name} could not be asked ({error}). Asking again."
            self.order_changed.emit(order.id)

    async def _ends_within(self, order: Order, seconds: float) -> bool:
        """Whether the order ends (or leaves CANCELLING) before `seconds` have passed, by events or by other tasks."""
        wake = self._wake.setdefault(order.id, asyncio.Event())
        deadline = time.monotonic() + seconds
        while not order.is_final and order.state in (OrderState.CANCELLING, OrderState.UNKNOWN):
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            wake.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(wake.wait(), left)
        self._wake.pop(order.id, None)
        return True

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
                    self._tell("info", f"{account.name} confirms: no open order.", account=account.id)
                    return "confirmed"
                for instrument in {row.wire: account.instrument(row.wire, row.family) for row in rows}.values():
                    if instrument is None:
                        continue
                    with contextlib.suppress(NothingToChange, OrderNotFound):
                        for update in await account.session.cancel_all(instrument):
                            self._heard(account, update, instrument.family)
            except NotSupported:
                self.cancel_all(account.id)
            except VenueError as error:
                self._tell(
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
            await self.journal.client_id(order.account, fresh, order.id, now_ms())
            self._by_client[order.account, fresh] = order
            update = await account.session.amend(order.ref, price=price, amount=amount, client_id=fresh)
        except NothingToChange:
            self._happen(order, Event.AMEND_DONE)
        except (Refused, VenueUnavailable, JournalUnavailable, ValueError) as error:
            self._happen(order, Event.AMEND_REFUSED, f"Not changed: {error}")
            self._tell("warn", f"{_name(order)} could not be changed: {error}", order)
        except VenueError as error:
            self._happen(order, Event.LOST, f"The change got no verdict ({error}). Asking.")
            await self._settle(order)
        else:
            if update.client_id and update.client_id != order.client_id:
                order.earlier.add(order.client_id)
                order.client_id = update.client_id
            self._learn(order, update)
            self._happen(order, Event.AMEND_DONE)

    async def _replace(self, order: Order, target: Draft, account: Account) -> None:
        """Cancel, wait for the proven end, then place what is left. Never both in the book, so never more exposure than asked."""
        self._tell("info", f"{_name(order)}: this venue changes orders by cancelling and placing anew.", order)
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
            self._happen(order, Event.AMEND_REFUSED, f"Not changed: {error}")
            await self._ask_after_cancel(order, account)
            return
        except VenueError as error:
            self._happen(order, Event.LOST, f"The change got no verdict ({error}). Asking.")
            await self._settle(order)
            return
        filled = max(order.filled, probe.filled)
        rest = (target.amount or ZERO) - filled
        if probe.status is not OrderStatus.CANCELLED or rest <= 0:
            self._learn(order, msgspec.structs.replace(update, status=probe.status, filled=filled))
            return
        draft = msgspec.structs.replace(target, amount=rest)
        order.filled = filled
        fresh = self._family(account, order.instrument).ids.make(account.session.stamp(order.instrument.family))
        try:
            await self.journal.client_id(order.account, fresh, order.id, now_ms())
        except (JournalUnavailable, ValueError) as error:
            self._end(order, OrderStatus.CANCELLED, f"Cancelled for a change that could not be journalled: {error}")
            return
        order.replaced(fresh, filled + rest, target.price, now_ms())
        self._by_client[order.account, fresh] = order
        self._note(order, "replaced", {"client_id": fresh, "amount": str(rest), "price": str(target.price)})
        try:
            self._learn(order, await account.session.place(draft.request(fresh)))
            self._happen(order, Event.AMEND_DONE)
        except (Refused, VenueUnavailable) as error:
            self._end(order, OrderStatus.CANCELLED, f"Cancelled, and the replacement was refused: {error}")
            self._tell("warn", f"{_name(order)}: {order.text}", order)
        except VenueError as error:
            self._doubt(order, f"the replacement got no verdict ({error})")
            await self._settle(order)

    # -----------------------------------------------------------------------------------------------------------------
    # Hearing

    def _heard(self, account: Account, update: OrderUpdate, family: str) -> None:
        order = self._find(account.id, update)
        if order is not None:
            self._learn(order, update)
            return
        if self._placing_at(account.id):
            self._parked.append((account.id, family, update))  # may be one of ours whose answer is on its way
        elif update.status is not UNSET and not update.status.is_final:
            self._adopt(account, update, family)

    def _filled(self, account: Account, fill: Fill, family: str) -> None:
        instrument = account.instrument(fill.wire, family)
        if instrument is None:
            return
        order = self._by_venue.get((account.id, fill.venue_id)) or self._by_client.get((account.id, fill.client_id))
        if order is None and self._placing_at(account.id):
            self._parked.append((account.id, family, fill))
            return
        key = (account.id, instrument.key, fill.id)
        new = key not in self._known_fills
        self._known_fills.add(key)
        detail = msgspec.json.encode(fill, order="sorted").decode()
        self.journal.fill(
            FillRecord(account.id, instrument.key, fill.id, order.id if order else None, fill.time, detail)
        )
        if order is not None and order.add_fill(fill, now_ms()):
            self._note(order, "fill", {"id": fill.id, "price": str(fill.price), "amount": str(fill.amount)})
            self._changed(order)
        if new:
            own = OwnFill(account=account.id, instrument=instrument, order=order.id if order else "", fill=fill)
            self.fills.append(own)
            self.fill_added.emit(own)

    def _learn(self, order: Order, update: OrderUpdate) -> None:
        """Take in what the venue said of one of ours; every change is journalled and told."""
        if not order.learn(update, now_ms()):
            return
        if order.venue_id:
            self._by_venue[order.account, order.venue_id] = order
        detail = {
            "status": order.status.value,
            "filled": str(order.filled),
            "venue_id": order.venue_id,
            "reason": update.reason,
        }
        self._note(order, "venue", detail)
        self._changed(order)

    def _unpark(self, order: Order) -> None:
        """Events that came before the answer which named the order."""
        waiting = list(self._parked)
        self._parked.clear()
        account = self._accounts.accounts.get(order.account)
        for account_id, family, event in waiting:
            mine = account_id == order.account and event.venue_id and event.venue_id == order.venue_id
            if mine and account is not None:
                self.account_event(account, event, family)
            else:
                self._parked.append((account_id, family, event))
        if account is not None and not self._placing_at(order.account):
            waiting = list(self._parked)
            self._parked.clear()
            for account_id, family, event in waiting:
                owner = self._accounts.accounts.get(account_id)
                if owner is not None:
                    self.account_event(owner, event, family)

    def _adopt(self, account: Account, update: OrderUpdate, family: str) -> None:
        """An order that was placed elsewhere."""
        instrument = account.instrument(update.wire, family)
        if instrument is None or update.side is UNSET:
            return
        moment = now_ms()
        order = Order(
            id=uuid.uuid4().hex,
            client_id=update.client_id,
            account=account.id,
            instrument=instrument,
            side=update.side,
            kind=update.kind if update.kind is not UNSET else OrderKind.LIMIT,
            tif=update.tif if update.tif is not UNSET else TimeInForce.GTC,
            amount=update.amount if update.amount is not UNSET else None,
            quote_amount=None,
            price=update.price if update.price is not UNSET else None,
            trigger=update.trigger if update.trigger is not UNSET else None,
            post_only=update.post_only is True,
            reduce_only=update.reduce_only is True,
            created=update.created if update.created is not UNSET else moment,
            updated=moment,
            external=True,
        )
        self._add(order)
        draft = Draft(account=account.id, instrument=instrument, side=order.side, kind=order.kind, amount=order.amount)
        self._run(self._write_external(order, draft), f"note external {order.id}")
        self._learn(order, update)

    async def _write_external(self, order: Order, draft: Draft) -> None:
        try:
            await self.journal.intent(self._intent(order, draft))
        except (JournalUnavailable, ValueError) as error:
            _log.warning("an external order was not journalled: %s", error)

    # -----------------------------------------------------------------------------------------------------------------
    # Reconciling

    async def _reconcile_forever(self, account: Account) -> None:
        while True:
            try:
                await self.reconcile(account)
            except VenueError as error:
                self._tell(
                    "warn",
                    f"{account.name} could not be compared with the journal ({error}). Trying on.",
                    account=account.id,
                )
                await asyncio.sleep(2.0)
                continue
            await asyncio.sleep(RECONCILE_EVERY)

    async def reconcile(self, account: Account) -> None:
        """Compare open orders, fills, balances and positions with the venue and repair our books. Raises VenueError."""
        began = now_ms()
        rows = await account.session.open_orders(None)
        listed: set[str] = set()
        for row in rows:
            order = self._find(account.id, row)
            if order is None:
                self._heard(account, row, row.family)
            else:
                listed.add(order.id)
                self._learn(order, row)
        mine = [order for order in self.orders.values() if order.account == account.id]
        missing = [
            order
            for order in mine
            if not order.is_final and order.id not in listed and order.id not in self._placing and order.created < began
        ]
        for instrument in {order.instrument.key: order.instrument for order in missing}.values():
            since = min(order.created for order in missing if order.instrument.key == instrument.key)
            await self._catch_up_fills(account, instrument, since)
        for order in missing:
            if order.is_final or order.updated >= began:
                continue
            if order.state is OrderState.UNKNOWN:
                self._run(self._settle(order), f"settle {order.id}")
                continue
            try:
                self._learn(order, await account.session.order(order.ref))
            except OrderNotFound as error:
                await self._gone(order, account, str(error))
        await account.refresh()
        if account.id not in self._reconciled:
            self._reconciled.add(account.id)
            doubtful = sum(order.state is OrderState.UNKNOWN for order in mine)
            text = f"{account.name}: {len(rows)} open orders compared with the journal"
            self._tell("info", f"{text}, {doubtful} in doubt." if doubtful else f"{text}.", account=account.id)

    async def _catch_up_fills(self, account: Account, instrument: Instrument, since: int) -> None:
        """Read the fills of an instrument since a time and count those that were missed."""
        try:
            fills = await account.session.fills(instrument, Page(start=max(0, since - 1000)))
        except NotSupported:
            return
        for fill in fills:
            self._filled(account, fill, instrument.family)

    def _restore(self, record: Record) -> None:
        """An order of an earlier run whose end was not seen."""
        try:
            draft = msgspec.json.decode(record.request, type=Draft, strict=False)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            self._tell(
                "danger", f"Order {record.id} in the journal cannot be read ({error}). Look at the venue's own list."
            )
            return
        order = Order(
            id=record.id,
            client_id=record.client_ids[-1] if record.client_ids else "",
            account=record.account,
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
            created=record.created,
            updated=record.events[-1][0] if record.events else record.created,
            external=record.external,
        )
        order.earlier.update(record.client_ids[:-1])
        for moment, what, _, detail in record.events:
            order.history.append(Moment(moment, what))
            facts = msgspec.json.decode(detail)
            order.venue_id = facts.get("venue_id") or order.venue_id
            order.filled = max(order.filled, Decimal(facts.get("filled") or 0))
            if what == "replaced":
                order.venue_id = ""
        order.acknowledged = bool(order.venue_id)
        self._add(order)
        for earlier in order.earlier:
            self._by_client[order.account, earlier] = order
        order.happen(
            Event.LOST, now_ms(), "Fathom ended before its end was seen; asking as soon as the account is connected."
        )
        if order.venue_id:
            self._by_venue[order.account, order.venue_id] = order
        self.order_changed.emit(order.id)

    # -----------------------------------------------------------------------------------------------------------------

    def _situation(self, draft: Draft, *, click: bool = False) -> Situation:
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
            leverage=position.leverage if position is not None and position.leverage else Decimal(1),
            open_orders=sum(not order.is_final and order.account == draft.account for order in self.orders.values()),
            sent_last_second=sum(moment > time.monotonic() - 1.0 for moment in sent),
            armed=not click or self.armed(account.environment),
            not_ready=self._not_ready(account),
        )

    def _not_ready(self, account: Account) -> str:
        if self.journal.problem:
            return self.journal.problem
        if not account.can_trade:
            return account.text or f"{account.name} is not connected."
        if account.id not in self._reconciled:
            return f"{account.name} is being compared with the journal; orders can be sent in a moment."
        return ""

    def _family(self, account: Account, instrument: Instrument) -> Family:
        return account.venue.family(instrument.family)

    def _request(self, order: Order) -> Any:
        draft = Draft(
            account=order.account,
            instrument=order.instrument,
            side=order.side,
            kind=order.kind,
            amount=order.amount,
            quote_amount=order.quote_amount,
            price=order.price,
            trigger=order.trigger,
            tif=order.tif,
            post_only=order.post_only,
            reduce_only=order.reduce_only,
        )
        return draft.request(order.client_id)

    def _intent(self, order: Order, draft: Draft) -> Intent:
        request = msgspec.json.encode(draft).decode()  # Decimals become text
        return Intent(
            order.id,
            order.account,
            order.instrument.key,
            order.client_id,
            order.created,
            request,
            external=order.external,
        )

    def _find(self, account_id: str, update: OrderUpdate) -> Order | None:
        for key in (update.venue_id, update.previous_id):
            if key and (order := self._by_venue.get((account_id, key))) is not None:
                return order
        for key in (update.client_id, update.previous_client_id):
            if key and (order := self._by_client.get((account_id, key))) is not None:
                return order
        return None

    def _placing_at(self, account_id: str) -> bool:
        return any(self.orders[order_id].account == account_id for order_id in self._placing)

    def _add(self, order: Order) -> None:
        self.orders[order.id] = order
        if order.client_id:
            self._by_client[order.account, order.client_id] = order
        self.order_changed.emit(order.id)

    def _happen(self, order: Order, event: Event, text: str = "") -> None:
        if order.happen(event, now_ms(), text):
            self._note(order, event.value, {"text": text})
        self._changed(order)

    def _end(self, order: Order, status: OrderStatus, text: str) -> None:
        order.status = status
        self._happen(order, Event(status.value), text)

    def _note(self, order: Order, what: str, detail: Mapping[str, object]) -> None:
        self.journal.event(order.id, now_ms(), what, order.state.value, detail, final=order.is_final)

    def _changed(self, order: Order) -> None:
        wake = self._wake.get(order.id)
        if wake is not None:
            wake.set()
        self.order_changed.emit(order.id)

    def _tell(self, level: str, text: str, order: Order | None = None, account: str = "") -> None:
        (_log.info if level == "info" else _log.warning)("%s", text)
        self.message.emit(
            Notice(
                level=level,
                text=text,
                account=account or (order.account if order else ""),
                order=order.id if order else "",
                time=now_ms(),
            )
        )

    def _run(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)

        def ended(done: asyncio.Task[Any]) -> None:
            self._tasks.discard(done)
            if not done.cancelled() and (error := done.exception()) is not None:
                _log.error("%s ended with %s", name, error, exc_info=error)
                self._tell("danger", f"An error on this side stopped '{name}': {error}")

        task.add_done_callback(ended)


def update_matches(order: Order, update: OrderUpdate) -> bool:
    """Whether `update` speaks of `order`, by any id that both know."""
    ids = {order.client_id, order.venue_id, *order.earlier} - {""}
    return bool(ids & {update.client_id, update.venue_id, update.previous_id})


def _refusal(error: VenueError) -> str:
    return f"refused: {error}" if isinstance(error, Refused) else f"not executed: {error}"


def _name(order: Order) -> str:
    amount = order.amount if order.amount is not None else order.quote_amount
    return f"{order.side.value.capitalize()} {amount} {order.instrument.symbol}"


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
