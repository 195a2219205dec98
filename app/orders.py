"""Orders as the desk sees them: what is known of each, and one table of how its state may change.

The venue's word and our own requests are kept apart. `Order.status` is the last thing that the venue said; `Order.state` is
what the trader sees, which adds three states of ours: a cancel was asked for, an amend was asked for, or the outcome of a
request is unknown. Every change of `state` goes through `TRANSITIONS`; what the table does not name is no transition
and is ignored. Events may arrive twice, late, before the acknowledgement or after the end:

- a final state stays final, whatever arrives later; late fills still count in the amounts
- among the venue's words the later stage wins, an earlier one is old news
- fills are counted once by their id; the filled amount never goes down, whether told as a total or by fills
- news that names an id which the order no longer has (it was amended or replaced) is old news
- price and amount are those of the latest news by the venue's clock: an event that was overtaken brings no old terms back

An order that is changed by cancelling and placing anew has *legs*. While one leg ends and the next has not begun
(`replacing`), the end of the leg is noted and not taken for the end of the order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from msgspec import UNSET, Struct

from connectors.model import (
    ZERO,
    Fill,
    Instrument,
    OrderKind,
    OrderRef,
    OrderRequest,
    OrderStatus,
    OrderUpdate,
    Side,
    TimeInForce,
    Unit,
    plain,
)


class OrderState(StrEnum):
    """What the trader sees."""

    PENDING = "pending"  # written down, on its way, or received but not yet in the book
    UNTRIGGERED = "untriggered"
    OPEN = "open"
    PARTLY_FILLED = "partly_filled"
    CANCELLING = "cancelling"
    AMENDING = "amending"
    UNKNOWN = "unknown"  # it may stand at the venue or not; being asked for
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"

    @property
    def is_final(self) -> bool:
        """Whether nothing can happen to the order any more."""
        return self in FINAL


FINAL = frozenset({OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED, OrderState.EXPIRED})


class Event(StrEnum):
    """What can happen to an order: a word of the venue, or something about one of our requests."""

    PENDING = "pending"
    UNTRIGGERED = "untriggered"
    OPEN = "open"
    PARTLY_FILLED = "partly_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCEL_ASKED = "cancel_asked"
    CANCEL_REFUSED = "cancel_refused"  # the venue will not cancel it: it goes on as it was
    AMEND_ASKED = "amend_asked"
    AMEND_DONE = "amend_done"
    AMEND_REFUSED = "amend_refused"
    LOST = "lost"  # a request left and no verdict came
    NEVER_ARRIVED = "never_arrived"  # proof that the venue does not have it


class _Last:
    """Stands in the table for "what the venue said last"."""


LAST = _Last()
_S = OrderState
_E = Event

_ENDS = {_E.FILLED: _S.FILLED, _E.CANCELLED: _S.CANCELLED, _E.REJECTED: _S.REJECTED, _E.EXPIRED: _S.EXPIRED}
_ASKS = {_E.CANCEL_ASKED: _S.CANCELLING, _E.AMEND_ASKED: _S.AMENDING, _E.LOST: _S.UNKNOWN}

TRANSITIONS: dict[OrderState, dict[Event, OrderState | _Last]] = {
    _S.PENDING: {
        **_ENDS,
        **_ASKS,
        _E.UNTRIGGERED: _S.UNTRIGGERED,
        _E.OPEN: _S.OPEN,
        _E.PARTLY_FILLED: _S.PARTLY_FILLED,
        _E.NEVER_ARRIVED: _S.REJECTED,
    },
    _S.UNTRIGGERED: {**_ENDS, **_ASKS, _E.OPEN: _S.OPEN, _E.PARTLY_FILLED: _S.PARTLY_FILLED},
    _S.OPEN: {**_ENDS, **_ASKS, _E.PARTLY_FILLED: _S.PARTLY_FILLED},
    _S.PARTLY_FILLED: {**_ENDS, **_ASKS},
    _S.CANCELLING: {**_ENDS, _E.CANCEL_REFUSED: LAST, _E.LOST: _S.UNKNOWN, _E.NEVER_ARRIVED: _S.REJECTED},
    _S.AMENDING: {
        **_ENDS,
        _E.NEVER_ARRIVED: _S.REJECTED,
        _E.AMEND_DONE: LAST,
        _E.AMEND_REFUSED: LAST,
        _E.CANCEL_ASKED: _S.CANCELLING,
        _E.LOST: _S.UNKNOWN,
    },
    _S.UNKNOWN: {
        **_ENDS,
        _E.PENDING: _S.PENDING,
        _E.UNTRIGGERED: _S.UNTRIGGERED,
        _E.OPEN: _S.OPEN,
        _E.PARTLY_FILLED: _S.PARTLY_FILLED,
        _E.CANCEL_ASKED: _S.CANCELLING,
        _E.CANCEL_REFUSED: LAST,
        _E.AMEND_REFUSED: LAST,
        _E.AMEND_DONE: LAST,
        _E.NEVER_ARRIVED: _S.REJECTED,
    },
    **{state: {} for state in FINAL},
}

_STAGE = {
    OrderStatus.PENDING: 0,
    OrderStatus.UNTRIGGERED: 1,
    OrderStatus.OPEN: 2,
    OrderStatus.PARTLY_FILLED: 3,
    OrderStatus.FILLED: 4,
    OrderStatus.CANCELLED: 4,
    OrderStatus.REJECTED: 4,
    OrderStatus.EXPIRED: 4,
}


OVERDUE = 4.0  # seconds after which the answer to a cancel or change is missed


def _ago(ms: int) -> str:
    seconds = max(0, ms // 1000)
    return f"{seconds} s ago" if seconds < 120 else f"{seconds // 60} min ago"


def _plain(value: Decimal | None) -> str:
    return plain(value) if value is not None else "its amount"


class Draft(Struct, frozen=True, kw_only=True):
    """What the trader is about to send, from ticket or click. `account` is an account id ("binance:practice")."""

    account: str
    instrument: Instrument
    side: Side
    kind: OrderKind = OrderKind.LIMIT
    amount: Decimal | None = None
    quote_amount: Decimal | None = None
    price: Decimal | None = None
    trigger: Decimal | None = None
    tif: TimeInForce = TimeInForce.GTC
    post_only: bool = False
    reduce_only: bool = False

    def request(self, client_id: str) -> OrderRequest:
        """The same order in the connectors' language."""
        return OrderRequest(
            client_id=client_id,
            instrument=self.instrument,
            side=self.side,
            kind=self.kind,
            amount=self.amount,
            quote_amount=self.quote_amount,
            price=self.price,
            trigger=self.trigger,
            tif=self.tif,
            post_only=self.post_only,
            reduce_only=self.reduce_only,
        )


class Moment(Struct, frozen=True):
    """One line of an order's life: `time` in ms, what happened, and words for the trader."""

    time: int
    what: str
    text: str = ""


@dataclass(slots=True, eq=False)
class Order:
    """One order through all of its life, even when the venue gives it new ids.

    Amounts are in the instrument's unit. `text` says in words what is going on when it is not obvious. `external`: it was
    placed elsewhere and found at the venue. `earlier` holds client and venue ids that this order had before, `offered` client
    ids that went out with a change whose outcome is not known. Times in ms. By our clock, which nobody sets (`clock.steady`):
    `heard` is when the venue last told anything about it, `asked` when a cancel or change was last asked for, `sent` the
    latest time at which the last place request can have left, `touched` when anything last happened to it here. What is
    decided about an order depends on these alone; `created` and `updated` may be the venue's and are for reading.
    """

    id: str
    client_id: str
    account: str
    instrument: Instrument
    side: Side
    kind: OrderKind
    tif: TimeInForce
    amount: Decimal | None
    quote_amount: Decimal | None
    price: Decimal | None
    trigger: Decimal | None
    post_only: bool
    reduce_only: bool
    created: int
    updated: int
    venue_id: str = ""
    state: OrderState = OrderState.PENDING
    status: OrderStatus = OrderStatus.PENDING
    filled: Decimal = ZERO
    average: Decimal | None = None
    fee: Decimal | None = None
    fee_asset: str = ""
    text: str = ""
    external: bool = False
    algo: bool = False
    acknowledged: bool = False
    legs: int = 1  # orders at the venue that this one has been, one after the other
    cancel_wanted: bool = False  # the trader asked for it, and it is pursued whatever comes between
    replacing: bool = False  # between two legs
    growing: bool = False  # a change to more went out and is not answered: it may be larger already than `amount` says
    leg_end: OrderStatus | None = None  # how the leg ended that is being replaced
    heard: int = 0
    asked: int = 0
    sent: int = 0
    touched: int = 0
    earlier: set[str] = field(default_factory=set)
    offered: set[str] = field(default_factory=set)
    history: list[Moment] = field(default_factory=list)
    _fills: dict[str, tuple[Decimal, Decimal]] = field(default_factory=dict)
    _fees: dict[str, Decimal] = field(default_factory=dict)
    _reached: dict[str, Decimal] = field(default_factory=dict)  # by venue id, where fills tell how far they reach
    _terms_at: int = 0  # the venue's time of the latest news of price and amount
    _carried: Decimal = ZERO  # filled under earlier ids, when a replacement starts its own count at zero

    @property
    def is_final(self) -> bool:
        """Whether it is over."""
        return self.state.is_final

    @property
    def remaining(self) -> Decimal | None:
        """What may still fill; None while the amount is not known (quote orders)."""
        return None if self.amount is None else max(ZERO, self.amount - self.filled)

    @property
    def ref(self) -> OrderRef:
        """Enough to name it to its venue."""
        return OrderRef(
            instrument=self.instrument,
            client_id=self.client_id,
            venue_id=self.venue_id,
            side=self.side,
            algo=self.algo,
            created=self.created,
            post_only=self.post_only,
        )

    @property
    def carried(self) -> Decimal:
        """What was filled by earlier legs."""
        return self._carried

    @property
    def unexplained(self) -> bool:
        """Whether more is filled than the known executions add up to."""
        return self.filled > sum((amount for _, amount in self._fills.values()), ZERO)

    @property
    def ids(self) -> set[str]:
        """Every id, ours or the venue's, that the order has, had or may have."""
        return {self.client_id, self.venue_id, *self.earlier, *self.offered} - {""}

    def waiting(self, now: int) -> float | None:
        """Seconds since a cancel or change was asked for that has not been answered by an end; None if none is open."""
        if self.state not in (OrderState.CANCELLING, OrderState.AMENDING) or not self.asked:
            return None
        return max(0, now - self.asked) / 1000

    def doubt(self, now: int) -> tuple[str, str] | None:
        """What is not known and what is done about it, and what counts until then; None while nothing is in doubt.

        A cancel or change is in doubt when its answer is overdue; `now` in ms.
        """
        waited = self.waiting(now)
        if self.state is not OrderState.UNKNOWN and (waited is None or waited < OVERDUE):
            return None
        known = f"Last heard of {_ago(now - self.heard)}" if self.heard else "Nothing was heard of it yet"
        if self.state is OrderState.UNKNOWN:
            first = self.text or "Its outcome is not known; asking."
        else:
            what = "cancel" if self.state is OrderState.CANCELLING else "change"
            first = f"The {what} was asked for {_ago(now - self.asked)} and is not confirmed. {self.text or 'Asking again.'}"
        if self.state is OrderState.UNKNOWN and not self.acknowledged:
            then = "until it is known it counts as standing, and it is not sent again"
        else:
            then = f"until it is known it counts as standing and may fill up to {_plain(self.remaining)}"
        return first, f"{known}; {then}."

    def happen(self, event: Event, time: int, text: str = "", now: int | None = None) -> bool:
        """Let `event` happen by the table. True if the state changed. `now`: our time, where `time` is the venue's."""
        target = TRANSITIONS[self.state].get(event)
        if target is None:
            return False
        new = OrderState(self.status.value) if isinstance(target, _Last) else target
        changed = new is not self.state
        self.state = new
        now = time if now is None else now
        self.updated, self.touched = max(self.updated, time), max(self.touched, now)
        if event in (Event.CANCEL_ASKED, Event.AMEND_ASKED):
            self.asked = now
        if changed or text:
            self.text = text
            self.history.append(Moment(time, event.value, text))
        return changed

    def is_old(self, update: OrderUpdate) -> bool:
        """Whether `update` speaks of the order under an id that it no longer has."""
        if update.venue_id and update.venue_id != self.venue_id:
            return update.venue_id in self.earlier
        return not update.venue_id and update.client_id != self.client_id and update.client_id in self.earlier

    def learn(self, update: OrderUpdate, time: int) -> bool:
        """Merge what the venue said, sparse as it may be. True if anything changed."""
        self.heard = max(self.heard, time)
        if self.is_old(update):
            return False
        before = self._known()
        self._learn_ids(update)
        if not self.is_final and not self._is_overtaken(update):
            if update.price is not UNSET and update.price:
                self.price = update.price
            if update.amount is not UNSET and update.amount:
                self.amount = update.amount + self._carried
            if update.trigger is not UNSET and update.trigger:
                self.trigger = update.trigger
        if update.filled is not UNSET and update.filled + self._carried > self.filled:
            self.filled = update.filled + self._carried
            if update.average is not UNSET and update.average and not self._carried:
                self.average = update.average
        if update.fee is not UNSET and not self._fees:
            self.fee = update.fee
            self.fee_asset = update.fee_asset if update.fee_asset is not UNSET else self.fee_asset
        self._count_fills()
        if update.status is not UNSET:
            self._hear(update.status, update.time if update.time is not UNSET else time, update.reason, time)
        return self._known() != before

    def _is_overtaken(self, update: OrderUpdate) -> bool:
        """Whether later news of price and amount came before this one."""
        if update.time is UNSET or (update.price is UNSET and update.amount is UNSET and update.trigger is UNSET):
            return False
        if update.time < self._terms_at:
            return True
        self._terms_at = update.time
        return False

    def _known(self) -> tuple[object, ...]:
        terms = (self.price, self.amount, self.trigger, self.venue_id, self.client_id)
        return (self.state, self.status, self.leg_end, self.filled, self.average, self.fee, *terms)

    def _learn_ids(self, update: OrderUpdate) -> None:
        if update.client_id and update.client_id != self.client_id and update.client_id not in self.earlier:
            if self.client_id:
                self.earlier.add(self.client_id)
            self.offered.discard(update.client_id)
            self.client_id = update.client_id
        if update.venue_id and update.venue_id != self.venue_id:
            if self.venue_id:
                self.earlier.add(self.venue_id)
            self.venue_id = update.venue_id
            self.algo = update.algo  # a triggered order goes on in the common id space
        self.acknowledged = self.acknowledged or bool(update.venue_id)
        self.algo = update.algo or self.algo

    def add_fill(self, fill: Fill, time: int) -> bool:
        """Count an execution once. True if it was new. A late fee of a known fill is taken in."""
        self.heard = max(self.heard, time)
        key = fill.id
        known, amount = key in self._fills, fill.amount
        if fill.through is not None and not known:  # derived: what reaches no further than a known one is part of it
            reached = self._reached.get(fill.venue_id, ZERO)
            if fill.through <= reached:
                return False
            amount = min(amount, fill.through - reached)
        if fill.through is not None:
            self._reached[fill.venue_id] = max(fill.through, self._reached.get(fill.venue_id, ZERO))
        if not known:
            self._fills[key] = (fill.price, amount)
        if fill.fee is not None and (not known or key not in self._fees):
            self._fees[key] = fill.fee
            self.fee = sum(self._fees.values(), ZERO)
            self.fee_asset = fill.fee_asset or self.fee_asset
        if known:
            return False
        self._count_fills()
        if not self.is_final:
            whole = self.amount is not None and self.filled >= self.amount
            if whole and self.growing and self.state is OrderState.UNKNOWN:
                self.status = OrderStatus.PARTLY_FILLED  # it says nothing of the change, so the doubt stays
                return True
            whole = whole and not self.growing  # executions may overtake news of the change: the venue's word ends it
            self._hear(OrderStatus.FILLED if whole else OrderStatus.PARTLY_FILLED, max(time, fill.time), "", time)
        return True

    def replaced(self, client_id: str, amount: Decimal, price: Decimal | None, time: int, carried: Decimal) -> None:
        """The order goes on as a new leg under another client id; `carried` of it was filled by the legs before."""
        self.earlier.update({self.client_id, self.venue_id} - {""})
        self.client_id, self.venue_id = client_id, ""
        self._carried = carried
        self.legs += 1
        self.filled = max(self.filled, carried)
        self.amount, self.price = amount, price
        self.replacing, self.growing, self.leg_end, self._terms_at = False, False, None, 0
        self.status, self.acknowledged, self.sent = OrderStatus.PENDING, False, time
        self.history.append(Moment(time, "replaced", client_id))

    def not_replaced(self, time: int, text: str) -> None:
        """No new leg follows: how the last one ended is how the order ended."""
        end, self.replacing, self.leg_end = self.leg_end, False, None
        if end is not None:
            self.status = end
            self.happen(Event(end.value), time, text)

    def _count_fills(self) -> None:
        total = sum((amount for _, amount in self._fills.values()), ZERO)
        if total >= self.filled and total:
            self.filled = total
            if (
                self.instrument.unit is Unit.INVERSE
            ):  # worth its size over the price: the mean is that of the reciprocals
                self.average = round(total / sum((amount / price for price, amount in self._fills.values()), ZERO), 12)
            else:
                self.average = sum((price * amount for price, amount in self._fills.values()), ZERO) / total

    def _hear(self, status: OrderStatus, time: int, reason: str, now: int) -> None:
        if self.replacing and status in (OrderStatus.CANCELLED, OrderStatus.EXPIRED):
            self.leg_end = status
            return
        if self.status.is_final or _STAGE[status] < _STAGE[self.status]:
            if self.state is OrderState.UNKNOWN and not status.is_final:
                self.happen(Event(self.status.value), time, reason, now)
            return
        self.status = status
        self.happen(Event(status.value), time, reason, now)
