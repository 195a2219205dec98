"""The blotter: every order and fill that is known, and how news of them is taken in.

News comes from private streams, from answers and from lists; it is matched by any id that both sides know, merged,
journalled and told by signal. While a place request is on its way, news of unknown orders is parked: some venues send
the first event before the answer that names the order. What then still belongs to nobody was placed elsewhere and
becomes an external order.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET
from PySide6.QtCore import QObject, Signal

from app.journal import FillRecord, Intent, Journal, JournalUnavailable, Record
from app.orders import Draft, Event, Moment, Order
from connectors.model import Fill, Instrument, OrderKind, OrderRequest, OrderStatus, OrderUpdate, TimeInForce

if TYPE_CHECKING:
    from app.accounts import Account, Accounts

_log = logging.getLogger(__name__)

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
    """Wall time in ms."""
    return time.time_ns() // 1_000_000


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
        self.fills: list[OwnFill] = []
        self.placing: set[str] = set()
        self._by_client: dict[tuple[str, str], Order] = {}
        self._by_venue: dict[tuple[str, str], Order] = {}
        self._known_fills: set[tuple[str, str, str]] = set()
        self._reached: dict[tuple[str, str], Decimal] = {}  # of orders whose fills are derived, by account and venue id
        self._parked: deque[tuple[str, str, OrderUpdate | Fill]] = deque(maxlen=PARKED)
        self._wake: dict[str, asyncio.Event] = {}

    async def load(self) -> None:
        """Take up the orders whose end was not seen. They are in doubt until their venue has told."""
        try:
            records = await self.journal.unfinished()
            fills = await self.journal.fills()
        except JournalUnavailable:
            records, fills = [], []
        for record in fills:
            self._known_fills.add((record.account, record.instrument, record.fill_id))
            if '"through"' in record.detail:
                self._reaches(record.account, msgspec.json.decode(record.detail, type=Fill, strict=False))
        for record in records:
            self._restore(record)
        if self.journal.problem:
            self.tell("danger", self.journal.problem)

    def wake(self, order: Order) -> asyncio.Event:
        """An event that is set at the next change of `order`; `sleep_well` forgets it."""
        return self._wake.setdefault(order.id, asyncio.Event())

    def sleep_well(self, order: Order) -> None:
        """Nobody waits for changes of `order` any more."""
        self._wake.pop(order.id, None)

    def nudge(self, order_id: str) -> bool:
        """Wake whoever waits for this order; False if nobody does."""
        event = self._wake.get(order_id)
        if event is not None:
            event.set()
        return event is not None

    def known_as(self, order: Order, client_id: str) -> None:
        """`order` goes on, or will go on, under this client id too."""
        self._by_client[order.account, client_id] = order

    def write_down(self, order: Order) -> Awaitable[None]:
        """Queue the intent for the journal at once; awaiting it returns when the disk has it."""
        request = msgspec.json.encode(draft_of(order)).decode()  # Decimals become text
        return self.journal.intent(
            Intent(
                order.id,
                order.account,
                order.instrument.key,
                order.client_id,
                order.created,
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
        order = self.find(account.id, update)
        if order is not None:
            self.learn(order, update)
            return
        if self.placing_at(account.id):
            self._parked.append((account.id, family, update))  # may be one of ours whose answer is on its way
        elif update.status is not UNSET and not update.status.is_final:
            self._adopt(account, update, family)

    def filled(self, account: Account, fill: Fill, family: str) -> None:
        """An execution of this account; counted and told once."""
        instrument = account.instrument(fill.wire, family)
        if instrument is None:
            return
        order = self._by_venue.get((account.id, fill.venue_id)) or self._by_client.get((account.id, fill.client_id))
        if order is None and self.placing_at(account.id):
            self._parked.append((account.id, family, fill))
            return
        key = (account.id, instrument.key, fill.id)
        part = key not in self._known_fills and self._reaches(account.id, fill)
        new = key not in self._known_fills and not part
        if not part:
            self._known_fills.add(key)
            detail = msgspec.json.encode(fill, order="sorted").decode()
            self.journal.fill(
                FillRecord(account.id, instrument.key, fill.id, order.id if order else None, fill.time, detail)
            )
        if order is not None and order.add_fill(fill, now_ms()):
            self.note(order, "fill", {"id": fill.id, "price": str(fill.price), "amount": str(fill.amount)})
            self.changed(order)
        if new:
            own = OwnFill(account=account.id, instrument=instrument, order=order.id if order else "", fill=fill)
            self.fills.append(own)
            self.fill_added.emit(own)

    def _reaches(self, account_id: str, fill: Fill) -> bool:
        """Whether a derived fill is part of one that is known, told by a venue in one step then and in several now."""
        if fill.through is None:
            return False
        mark = (account_id, fill.venue_id)
        reached = self._reached.get(mark, Decimal(0))
        self._reached[mark] = max(reached, fill.through)
        return fill.through <= reached

    def learn(self, order: Order, update: OrderUpdate) -> None:
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
        self.note(order, "venue", detail)
        self.changed(order)

    def unpark(self, order: Order) -> None:
        """Events that came before the answer which named the order."""
        waiting = list(self._parked)
        self._parked.clear()
        account = self._accounts.accounts.get(order.account)
        for account_id, family, event in waiting:
            mine = account_id == order.account and event.venue_id and event.venue_id == order.venue_id
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
        self.add(order)
        asyncio.ensure_future(self._write_external(self.write_down(order)))  # noqa: RUF006 - it ends by itself
        self.learn(order, update)

    async def _write_external(self, written: Awaitable[None]) -> None:
        try:
            await written
        except (JournalUnavailable, ValueError) as error:
            _log.warning("an external order was not journalled: %s", error)

    def _restore(self, record: Record) -> None:
        """An order of an earlier run whose end was not seen."""
        try:
            draft = msgspec.json.decode(record.request, type=Draft, strict=False)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            self.tell(
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
        self.add(order)
        for earlier in order.earlier:
            self._by_client[order.account, earlier] = order
        order.happen(
            Event.LOST, now_ms(), "Fathom ended before its end was seen; asking as soon as the account is connected."
        )
        if order.venue_id:
            self._by_venue[order.account, order.venue_id] = order
        self.order_changed.emit(order.id)

    def find(self, account_id: str, update: OrderUpdate) -> Order | None:
        """The order that an update speaks of."""
        for key in (update.venue_id, update.previous_id):
            if key and (order := self._by_venue.get((account_id, key))) is not None:
                return order
        for key in (update.client_id, update.previous_client_id):
            if key and (order := self._by_client.get((account_id, key))) is not None:
                return order
        return None

    def placing_at(self, account_id: str) -> bool:
        """Whether any place request of this account is on its way."""
        return any(self.orders[order_id].account == account_id for order_id in self.placing)

    def add(self, order: Order) -> None:
        """Take up a new order."""
        self.orders[order.id] = order
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

    def note(self, order: Order, what: str, detail: Mapping[str, object]) -> None:
        """Queue a line of the order's life for the journal."""
        self.journal.event(order.id, now_ms(), what, order.state.value, detail, final=order.is_final)

    def changed(self, order: Order) -> None:
        """Tell everybody who looks at this order."""
        wake = self._wake.get(order.id)
        if wake is not None:
            wake.set()
        self.order_changed.emit(order.id)

    def tell(self, level: str, text: str, order: Order | None = None, account: str = "") -> None:
        """Words for the trader, and for the log."""
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
    """The same in the connectors' language."""
    return draft_of(order).request(order.client_id)


def order_name(order: Order) -> str:
    """A short name for messages: "Buy 0.5 BTC-USDT"."""
    amount = order.amount if order.amount is not None else order.quote_amount
    return f"{order.side.value.capitalize()} {amount} {order.instrument.symbol}"
