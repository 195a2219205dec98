"""The blotter: every order and fill that is known, and how news of them is taken in.

News comes from private streams, from answers and from lists; it is matched by any id that both sides know, merged,
journalled and told by signal. While a place request is on its way, news of unknown orders is parked: some venues send
the first event before the answer that names the order. What then still belongs to nobody was placed elsewhere and
becomes an external order.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Awaitable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET
from PySide6.QtCore import QObject, Signal

from app.journal import Journal, JournalUnavailable
from app.journal_rows import FillRecord, Intent, Note, Record
from app.orders import Draft, Event, Moment, Order, OrderState
from connectors.model import Fill, Instrument, OrderKind, OrderRequest, OrderStatus, OrderUpdate, TimeInForce, plain
from connectors.runtime.clock import steady

if TYPE_CHECKING:
    from app.accounts import Account, Accounts

_log = logging.getLogger(__name__)

CANCEL_WANTED, CANCEL_CUT_OFF = "cancel_wanted", "cancel_cut_off"  # lines of the journal beside the events
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


def now_ms() -> int:
    """Time in ms since 1970, by a clock that nobody sets while the program runs: what is decided about orders depends on it."""
    return int(steady() * 1000)


class Blotter(QObject):
    """Orders by our id, fills in the order of their arrival. Signals: our order id, OwnFill, Notice.

    `placing` holds the orders whose place request is on its way; no list of the venue may judge them yet.
    """

    order_changed = Signal(str)
    fill_added = Signal(object)
    message = Signal(object)

    def __init__(self, accounts: Accounts, journal: Journal) -> None:
        super().__init__()
        self._accounts = accounts
        self.journal = journal
        self.orders: dict[str, Order] = {}
        self._working: dict[str, Order] = {}  # of those; every frame looks through them, and a long day ends thousands
        self.fills: list[OwnFill] = []
        self.fills_version = 0  # rises with each execution, and when the fee of a known one comes
        self.placing: set[str] = set()
        self._by_client: dict[tuple[str, str], Order] = {}
        self._by_venue: dict[tuple[str, str, str, str], Order] = {}  # venue ids are unique within an instrument only
        self._known_fills: set[tuple[str, str, str]] = set()
        self._parked: deque[tuple[str, str, OrderUpdate | Fill]] = deque(maxlen=PARKED)
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        self._cut_off: set[str] = set()  # orders that were being changed when the last run ended
        self._uncancelled: set[str] = set()  # orders that were being cancelled when the last run ended

    async def load(self) -> None:
        """Take up the orders whose end was not seen. They are in doubt until their venue has told."""
        self.journal.listen(self.tell)
        try:
            records = await self.journal.unfinished()
            self._known_fills = await self.journal.fill_keys()
            fills = {record.id: await self.journal.fills(order_id=record.id) for record in records}
        except JournalUnavailable:
            records, fills = [], {}
        for record in records:
            self._restore(record, fills[record.id])
        if self.journal.problem:
            self.tell("danger", self.journal.problem)
        if left_over := self.journal.left_over:
            self.tell("warn", left_over)

    async def next_change(self, order: Order, seconds: float) -> bool:
        """Wait for the next change of `order`, or a nudge; False if none came in time."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(order.id, set())
        waiting.add(waiter)
        try:
            await asyncio.wait_for(waiter, seconds)
        except TimeoutError:
            return False
        else:
            return True
        finally:
            waiting.discard(waiter)
            if not waiting:
                self._waiting.pop(order.id, None)

    def nudge(self, order_id: str) -> bool:
        """Wake whoever waits for this order; False if nobody does."""
        waiting = list(self._waiting.get(order_id, ()))
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)
        return bool(waiting)

    def known_as(self, order: Order, client_id: str) -> None:
        """`order` goes on, or will go on, under this client id too."""
        self._by_client[order.account, client_id] = order

    def write_down(self, order: Order) -> Awaitable[None]:
        """Queue the intent for the journal at once; awaiting it returns when the disk has it."""
        request = msgspec.json.encode(draft_of(order)).decode()  # Decimals become text
        account = self._accounts.accounts.get(order.account)
        session = account.session if account is not None else None
        ahead = 0 if order.external or session is None else round(session.clock_offset_ms)
        return self.journal.intent(
            Intent(
                order.id,
                order.account,
                order.instrument.key,
                order.client_id,
                order.created + ahead,  # the venue's time: a later run can tell it from nothing else
                request,
                external=order.external,
            )
        )

    def take(self, account: Account, event: OrderUpdate | Fill, family: str) -> None:
        """News of an order or an execution, wherever it comes from."""
        if isinstance(event, Fill):
            self.filled(account, event, family)
        else:
            self.heard(account, event, family)

    def heard(self, account: Account, update: OrderUpdate, family: str) -> None:
        """News of an order, ours or not."""
        update.family = update.family or family
        order = self.find(account.id, update)
        if order is not None:
            self.learn(order, update)
            return
        if self.placing_at(account.id):
            self._parked.append((account.id, family, update))  # may be one of ours whose answer is on its way
        elif update.status is not UNSET and not update.status.is_final:
            self.adopt(account, update, family)

    def filled(self, account: Account, fill: Fill, family: str) -> bool:
        """An execution of this account; counted and told once. True if it was news."""
        instrument = account.instrument(fill.wire, family)
        if instrument is None:
            return False
        order = self._by_client.get((account.id, fill.client_id)) if fill.client_id else None
        if order is None or (order.venue_id and fill.venue_id and fill.venue_id not in order.ids):
            order = self._by_venue.get((account.id, family, fill.wire, fill.venue_id))
        if order is None and self.placing_at(account.id):
            self._parked.append((account.id, family, fill))
            return False
        key = (account.id, instrument.key, fill.id)
        before = order.filled if order is not None else None
        counted = order is not None and order.add_fill(fill, now_ms())
        part = order is not None and not counted and fill.through is not None and key not in self._known_fills
        if part:
            return False  # of one that was told before in other steps
        new = key not in self._known_fills
        self._known_fills.add(key)
        if not new:
            fill = self._with_fee(key, fill)
        detail = msgspec.json.encode(fill, order="sorted").decode()
        self.journal.fill(
            FillRecord(account.id, instrument.key, fill.id, order.id if order else None, fill.time, detail)
        )
        if order is not None and counted:
            facts = {"id": fill.id, "price": str(fill.price), "amount": str(fill.amount), "filled": str(order.filled)}
            self.note(order, "fill", facts)
        if order is not None and (counted or order.filled != before or new):
            self.changed(order)
        if order is not None and counted and order.state is OrderState.REJECTED:
            text = (
                f"it was taken for refused, and has traded {plain(order.filled)} all the same. Look at your position."
            )
            self.tell("danger", f"{order_name(order)}: {text}", order)
        if new:
            own = OwnFill(account=account.id, instrument=instrument, order=order.id if order else "", fill=fill)
            self.fills.append(own)
            self.fills_version += 1
            self.fill_added.emit(own)
        return new

    def _with_fee(self, key: tuple[str, str, str], fill: Fill) -> Fill:
        """A known execution told again: a fee that comes late is shown, and one that is known is never forgotten."""
        for index in range(len(self.fills) - 1, -1, -1):
            own = self.fills[index]
            if (own.account, own.instrument.key, own.fill.id) != key:
                continue
            if fill.fee is None:
                return own.fill
            if own.fill.fee is None:
                self.fills[index] = msgspec.structs.replace(own, fill=fill)
                self.fills_version += 1
                order = self.orders.get(own.order)
                if order is not None:
                    self.changed(order)
            break
        return fill

    def learn(self, order: Order, update: OrderUpdate) -> bool:
        """Take in what the venue said of one of ours; every change is journalled and told. True if it was one."""
        client_id = order.client_id
        if not order.learn(update, now_ms()):
            return False
        if order.venue_id:
            self._by_venue[self._venue_key(order, order.venue_id)] = order
        if order.client_id != client_id:
            self.known_as(order, order.client_id)
        detail = {
            "status": order.status.value,
            "filled": str(order.filled),
            "venue_id": order.venue_id,
            "client_id": order.client_id,
            "price": str(order.price) if order.price is not None else "",
            "amount": str(order.amount) if order.amount is not None else "",
            "algo": order.algo,
            "reason": update.reason,
        }
        self.note(order, "venue", detail)
        self.changed(order)
        return True

    @staticmethod
    def _venue_key(order: Order, venue_id: str) -> tuple[str, str, str, str]:
        return (order.account, order.instrument.family, order.instrument.wire, venue_id)

    def placed(self, order: Order) -> None:
        """The place request of `order` is no longer on its way; what was parked for it, or for nobody, is taken in."""
        self.placing.discard(order.id)
        self.unpark(order)

    def unpark(self, order: Order) -> None:
        """Events that came before the answer which named the order."""
        waiting = list(self._parked)
        self._parked.clear()
        account = self._accounts.accounts.get(order.account)
        for account_id, family, event in waiting:
            mine = account_id == order.account and event.venue_id and event.venue_id in order.ids
            if mine and account is not None:
                self.take(account, event, family)
            else:
                self._parked.append((account_id, family, event))
        if account is not None and not self.placing_at(order.account):
            waiting = list(self._parked)
            self._parked.clear()
            for account_id, family, event in waiting:
                owner = self._accounts.accounts.get(account_id)
                if owner is not None:
                    self.take(owner, event, family)

    def adopt(self, account: Account, update: OrderUpdate, family: str, text: str = "") -> Order | None:
        """An order that was placed elsewhere, or that stands although its end had been concluded here."""
        instrument = account.instrument(update.wire, family)
        if instrument is None or update.side is UNSET:
            return None
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
        order.history.append(Moment(moment, "found", text or "Placed elsewhere; found at the venue."))
        self.add(order)
        asyncio.ensure_future(self._write_external(self.write_down(order)))  # noqa: RUF006 - it ends by itself
        self.note(order, "found", {"text": order.history[-1].text})
        self.learn(order, update)
        order.text = order.text or text
        return order

    async def _write_external(self, written: Awaitable[None]) -> None:
        try:
            await written
        except (JournalUnavailable, ValueError) as error:
            _log.warning("an external order was not journalled: %s", error)

    def _restore(self, record: Record, fills: list[FillRecord]) -> None:
        """An order of an earlier run whose end was not seen."""
        changes = (Event.AMEND_ASKED, Event.AMEND_DONE, Event.AMEND_REFUSED, "replaced")
        changing = [what for _, what, _, _ in record.events if what in changes][-1:] == [Event.AMEND_ASKED]
        try:
            order = order_of(record)
            order.growing = changing  # to what, nobody knows any more
            for row in reversed(fills):
                order.add_fill(msgspec.json.decode(row.detail, type=Fill, strict=False), row.time)
        except (msgspec.ValidationError, msgspec.DecodeError, ArithmeticError) as error:
            self.tell(
                "danger", f"Order {record.id} in the journal cannot be read ({error}). Look at the venue's own list."
            )
            return
        self.add(order)
        for known in (*order.earlier, *order.offered):
            self._by_client[order.account, known] = order
        words = "Fathom ended before its end was seen; asking as soon as the account is connected."
        steps = (Event.CANCEL_ASKED, Event.CANCEL_REFUSED, CANCEL_WANTED, CANCEL_CUT_OFF)
        asked = [what for _, what, _, _ in record.events if what in steps]
        if asked and asked[-1] in (Event.CANCEL_ASKED, CANCEL_WANTED):
            words += " You had asked to cancel it; whether that arrived is not known."
            self._uncancelled.add(order.id)
        if changing:
            words += " It was being changed."
            self._cut_off.add(order.id)
        order.sent = now_ms()  # when that run ended is not known
        order.heard = min(order.heard, order.sent)  # its clock may have been ahead of ours
        order.happen(Event.LOST, order.sent, words)
        for venue_id in (order.venue_id, *order.earlier):
            if venue_id:
                self._by_venue[self._venue_key(order, venue_id)] = order
        if order.is_final:  # its executions were written down, and what they mean was not
            self.note(order, order.state.value, {"text": order.text, "filled": str(order.filled)})
            self.changed(order)
        self.order_changed.emit(order.id)

    def find(self, account_id: str, update: OrderUpdate) -> Order | None:
        """The order that an update speaks of. An id of ours that another program used again names no order of ours."""
        for key in (update.client_id, update.previous_client_id):
            order = self._by_client.get((account_id, key)) if key else None
            if order is None:
                continue
            other = update.venue_id and order.venue_id and update.venue_id not in order.ids
            if not (other and order.is_final and update.previous_id not in order.ids):
                return order
        for key in (update.venue_id, update.previous_id):
            order = self._by_venue.get((account_id, update.family, update.wire, key)) if key else None
            if order is not None:
                return order
        return None

    def working(self, account_id: str | None = None, instrument_key: str | None = None) -> list[Order]:
        """The orders that have not ended, in the order in which they began; those of an account, of an instrument, or all."""
        return [
            order
            for order in self._working.values()
            if not order.is_final
            and account_id in (None, order.account)
            and instrument_key in (None, order.instrument.key)
        ]

    def placing_at(self, account_id: str) -> bool:
        """Whether any place request of this account is on its way."""
        return any(self.orders[order_id].account == account_id for order_id in self.placing)

    def add(self, order: Order) -> None:
        """Take up a new order."""
        self.orders[order.id] = self._working[order.id] = order
        if order.client_id:
            self._by_client[order.account, order.client_id] = order
        self.order_changed.emit(order.id)

    def happen(self, order: Order, event: Event, text: str = "") -> None:
        """Let something happen to an order by the table, journal and tell it."""
        if order.happen(event, now_ms(), text):
            self.note(order, event.value, {"text": text})
        self.changed(order)

    def end(self, order: Order, status: OrderStatus, text: str) -> None:
        """The order is over for a reason that no event of the venue told."""
        order.status = status
        self.happen(order, Event(status.value), text)

    def not_replaced(self, order: Order, text: str) -> None:
        """No new leg follows the one that ended."""
        order.not_replaced(now_ms(), text)
        self.note(order, order.state.value, {"text": text, "filled": str(order.filled)})
        self.changed(order)

    def note(self, order: Order, what: str, detail: Mapping[str, object]) -> None:
        """Queue a line of the order's life for the journal."""
        self.journal.event(order.id, now_ms(), what, order.state.value, detail, final=order.is_final)

    def say(self, order: Order, text: str) -> None:
        """Other words about what is being done; journalled once, however often they are said."""
        if order.text != text:
            order.text = text
            order.history.append(Moment(now_ms(), "said", text))
            self.note(order, "said", {"text": text})
        self.changed(order)

    def changed(self, order: Order) -> None:
        """Tell everybody who looks at this order."""
        if order.id in self._uncancelled and order.state is not OrderState.UNKNOWN:
            self._uncancelled.discard(order.id)
            if not order.is_final and not order.cancel_wanted:
                self._say_cut_off(order)
                return
        if order.id in self._cut_off and order.state is not OrderState.UNKNOWN:
            self._cut_off.discard(order.id)
            if order.state is OrderState.CANCELLED:
                text = "Cancelled for a change that the end of Fathom cut off; nothing was placed anew."
                self.say(order, text)
                self.tell("warn", f"{order_name(order)}: {text}", order)
                return
        if order.is_final:
            self._working.pop(order.id, None)
        else:
            self._working[order.id] = order
        self.nudge(order.id)
        self.order_changed.emit(order.id)

    def _say_cut_off(self, order: Order) -> None:
        """Its cancel was asked for in an earlier run, and it stands: that is for the trader to decide."""
        text = "The cancel that you asked for was cut off by the end of Fathom. It still stands; cancel it again."
        self.note(order, CANCEL_CUT_OFF, {"text": text})
        self.say(order, text)
        self.tell("danger", f"{order_name(order)}: {text}", order)

    def want_cancel(self, order: Order) -> None:
        """The trader wants it cancelled; that is written down whatever state it is in."""
        if order.state is OrderState.UNKNOWN and not order.cancel_wanted:
            self.note(order, CANCEL_WANTED, {"text": "A cancel is wanted as soon as it is found."})
        order.cancel_wanted = True
        if order.state is not OrderState.UNKNOWN:
            self.happen(order, Event.CANCEL_ASKED)

    def tell(self, level: str, text: str, order: Order | None = None, account: str = "") -> None:
        """Words for the trader, and for the log."""
        (_log.info if level == "info" else _log.warning)("%s", text)
        self.journal.note(Note(now_ms(), account or (order.account if order else ""), f"told, {level}", text))
        self.message.emit(
            Notice(
                level=level,
                text=text,
                account=account or (order.account if order else ""),
                order=order.id if order else "",
                time=now_ms(),
            )
        )


def order_of(record: Record) -> Order:
    """An order as its journalled life tells it. Raises msgspec.ValidationError or DecodeError for what can't be read."""
    draft = msgspec.json.decode(record.request, type=Draft, strict=False)
    order = Order(
        id=record.id,
        client_id=record.client_ids[0] if record.client_ids else "",
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
        sent=record.created,
    )
    order.offered.update(record.client_ids[1:])
    for moment, what, _, detail in record.events:
        facts = msgspec.json.decode(detail)
        if what == "replaced":
            order.replaced(
                facts["client_id"],
                Decimal(facts["amount"]),
                Decimal(facts["price"]) if facts.get("price") else order.price,
                moment,
                Decimal(facts["carried"]),
            )
        else:
            order.history.append(Moment(moment, what, facts.get("text") or facts.get("reason") or ""))
        if what == "venue":
            _retrace(order, facts)
        if what in ("venue", "fill"):
            order.heard = moment
        order.filled = max(order.filled, Decimal(facts.get("filled") or 0))
    order.offered -= {order.client_id, *order.earlier}
    order.acknowledged = bool(order.venue_id)
    return order


def _retrace(order: Order, facts: Mapping[str, Any]) -> None:
    for name in ("venue_id", "client_id"):
        known, now = getattr(order, name), facts.get(name)
        if now and now != known:
            order.earlier.update({known} - {""})
            setattr(order, name, now)
    order.algo = facts.get("algo", order.algo)
    order.price = Decimal(facts["price"]) if facts.get("price") else order.price
    order.amount = Decimal(facts["amount"]) if facts.get("amount") else order.amount


def draft_of(order: Order) -> Draft:
    """What was, or would be, sent for this order."""
    return Draft(
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


def request_of(order: Order) -> OrderRequest:
    """What went out last for this order, in the connectors' language: of a replaced order, its last leg."""
    draft = draft_of(order)
    if order.carried and draft.amount is not None:
        draft = msgspec.structs.replace(draft, amount=draft.amount - order.carried)
    return draft.request(order.client_id)


def order_name(order: Order) -> str:
    """A short name for messages: "Buy 0.5 BTC-USDT"."""
    amount = order.amount if order.amount is not None else order.quote_amount
    return f"{order.side.value.capitalize()} {plain(amount) if amount is not None else ''} {order.instrument.symbol}"
