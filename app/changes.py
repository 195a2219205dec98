"""Changing an order: natively where the venue can, else by cancelling and placing the rest anew.

Never more is in the market than was asked for: a new leg is sent only after the venue has proven the end of the one before and
what it had filled. What gets no verdict is asked for, what is stopped in between leaves less and never more. The guard looks at
a new leg when it leaves, too: the end of the old one may have taken long, and the market is elsewhere by then.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET

from app.blotter import Blotter, now_ms, order_name
from app.guard import Problem
from app.inquiry import ASK_EVERY, Inquiry, session_of, update_matches
from app.journal import JournalUnavailable
from app.kill import Kill
from app.orders import Draft, Event, Order, OrderState
from connectors.contract import Amend
from connectors.errors import (
    PASSING,
    NothingToChange,
    OrderNotFound,
    Refused,
    VenueError,
    VenueUnavailable,
)
from connectors.model import ZERO, OrderRequest, OrderStatus

if TYPE_CHECKING:
    from app.accounts import Account
    from app.markets import Markets

_log = logging.getLogger(__name__)

PROVEN_WITHIN = 10.0  # seconds that a new leg waits for a connection, its comparison and a proven book


class Changes:
    """`send` places a request that is written down, and goes on until its outcome is known.

    `guard` says why an order may not be brought to the terms of a draft.
    """

    def __init__(
        self,
        blotter: Blotter,
        inquiry: Inquiry,
        killing: Kill,
        markets: Markets,
        send: Callable[[Order, Account, OrderRequest], Awaitable[None]],
        guard: Callable[[Order, Draft], list[Problem]],
    ) -> None:
        self._blotter = blotter
        self._inquiry = inquiry
        self._killing = killing
        self._markets = markets
        self._send = send
        self._guard = guard

    async def change(self, order: Order, target: Draft, account: Account) -> None:
        """Bring a working order to the terms of `target`, and go on until it is known what became of that."""
        try:
            await self._change(order, target, account)
        except Exception as error:  # noqa: BLE001 - a bug of ours must leave the order in doubt, never changing for ever
            _log.exception("changing %s failed in a way that says nothing about the order", order.id)
            words = f"an error on this side ({type(error).__name__})"
            if order.replacing and order.leg_end is not None:
                self._blotter.not_replaced(order, f"Cancelled for a change; nothing was placed anew: {words}.")
                return
            order.replacing = False
            self._blotter.happen(order, Event.LOST, f"{words} left it open what became of the change. Asking.")
            await self._inquiry.settle(order)

    async def _change(self, order: Order, target: Draft, account: Account) -> None:
        able = account.venue.family(order.instrument.family).capabilities.amend
        lowers = target.price == order.price and target.amount is not None and order.amount is not None
        lowers = lowers and target.amount < order.amount
        if able is Amend.NONE or (able is Amend.REDUCE_ONLY and not lowers) or order.kind.has_trigger:
            feed = self._markets.open(order.instrument.key, account.environment)  # the new leg needs its book
            try:
                await self._replace(order, target, account)
            finally:
                if feed is not None:
                    self._markets.close(feed)
            return
        try:
            fresh = _fresh_id(account, order)
            await self._blotter.journal.client_id(order.account, fresh, order.id, now_ms())
        except (VenueUnavailable, JournalUnavailable, ValueError) as error:
            self._not_changed(order, error)
            return
        order.offered.add(fresh)
        order.growing = (target.amount or ZERO) > (order.amount or ZERO)
        self._blotter.known_as(order, fresh)
        await self._natively(order, target, account, fresh)

    async def _natively(self, order: Order, target: Draft, account: Account, fresh: str) -> None:
        price = target.price if target.price != order.price else None
        amount = target.amount if target.amount != order.amount else None
        try:
            update = await session_of(account).amend(order.ref, price=price, amount=amount, client_id=fresh)
        except NothingToChange:
            self._blotter.happen(order, Event.AMEND_DONE)
        except (Refused, VenueUnavailable) as error:
            self._not_changed(order, error)
            if isinstance(error, OrderNotFound):
                await self._inquiry.became(order, account)
        except VenueError as error:
            self._blotter.happen(order, Event.LOST, f"The change got no verdict ({error}). Asking.")
            await self._inquiry.settle(order)
            return
        else:
            self._blotter.learn(order, update)
            self._blotter.happen(order, Event.AMEND_DONE)
        order.growing = False
        if order.remaining == ZERO and not order.is_final:  # its executions alone did not tell whether it was over
            await self._inquiry.became(order, account)

    def _not_changed(self, order: Order, error: Exception) -> None:
        self._blotter.happen(order, Event.AMEND_REFUSED, f"Not changed: {error}")
        self._blotter.tell("warn", f"{order_name(order)} could not be changed: {error}", order)

    async def _replace(self, order: Order, target: Draft, account: Account) -> None:
        """Cancel, wait for the proven end, then place what is left. Never both in the book, so never more than asked for."""
        words = "this venue changes such an order by cancelling and placing anew."
        self._blotter.tell("info", f"{order_name(order)}: {words}", order)
        order.replacing = True
        try:
            filled = await self._end_leg(order, account)
        except (Refused, VenueError) as error:
            order.replacing = False
            self._not_changed(order, error)
            await self._inquiry.became(order, account)
            return
        if filled is None:
            order.replacing = False
            return
        rest = (target.amount or ZERO) - filled
        stopped = order.cancel_wanted or self._killing.covers(order.account, order.asked)
        if order.leg_end is not OrderStatus.CANCELLED or rest <= 0 or stopped:
            why = (
                "cancelled meanwhile" if stopped else "as much as the new amount is filled" if rest <= 0 else "it ended"
            )
            self._blotter.not_replaced(order, f"Cancelled for a change; nothing was placed anew: {why}.")
            return
        refused = await self._refusal(order, target)
        if order.is_final:
            return
        if refused:
            self._blotter.not_replaced(order, f"Cancelled for a change; nothing was placed anew: {refused}")
            self._blotter.tell("warn", f"{order_name(order)}: {order.text}", order)
            return
        await self._next_leg(order, msgspec.structs.replace(target, amount=rest), account, filled)

    async def _refusal(self, order: Order, target: Draft) -> str:
        """What the guard says of the new leg now; what may be only a moment's, it is given the time for."""
        deadline = time.monotonic() + PROVEN_WITHIN
        while True:
            problems = [problem for problem in self._guard(order, target) if problem.rule != "rate"]
            passing = any(problem.rule in ("account", "book") for problem in problems)
            if not passing or order.cancel_wanted or time.monotonic() > deadline:
                return "; ".join(f"{problem.rule}: {problem.text}" for problem in problems)
            await self._blotter.next_change(order, 0.25)

    async def _end_leg(self, order: Order, account: Account) -> Decimal | None:
        """Cancel the order at the venue and learn how much of it had filled, proven by the venue after its end.

        None: the order is over for good (filled, refused). Raises VenueError while it certainly still stands; where that
        is not known, goes on asking.
        """
        turn = refusals = 0
        while True:
            try:
                if order.leg_end is None:
                    self._blotter.learn(order, await session_of(account).cancel(order.ref))
            except (OrderNotFound, NothingToChange):
                pass  # it is over, or not known: the look-up tells
            except (Refused, VenueUnavailable) as error:
                refusals += isinstance(error, Refused) and not isinstance(error, PASSING)
                if turn == 0 or refusals > 2:  # after a lost answer one refusal may be its echo, three are none
                    raise
                self._blotter.say(order, f"The cancel for the change did not go out ({error}). Asking.")
            except VenueError as error:
                self._blotter.say(order, f"The cancel for the change got no answer ({error}). Asking.")
            if order.is_final:
                return None
            told = await self._proven(order, account)
            if order.is_final:
                return None
            if told is not None:  # an event may have told of executions that a list does not show yet
                return max(told + order.carried, order.filled)
            await self._blotter.next_change(order, ASK_EVERY[min(turn, len(ASK_EVERY) - 1)])
            turn += 1

    async def _proven(self, order: Order, account: Account) -> Decimal | None:
        """What the venue says of the leg now: its filled amount if the leg is over, None if that is not known."""
        try:
            update = await session_of(account).order(order.ref)
        except OrderNotFound:  # some venues forget at once: then no list names it, and its fills are read
            return await self._forgotten(order, account)
        except VenueError as error:
            self._blotter.say(order, f"{account.name} could not be asked about the change ({error}). Asking again.")
            return None
        self._blotter.learn(order, update)
        if update.status is UNSET or not update.status.is_final:
            return None
        return update.filled if update.filled is not UNSET else await self._forgotten(order, account)

    async def _forgotten(self, order: Order, account: Account) -> Decimal | None:
        """What a leg filled whose venue tells nothing of it any more; None while it may still stand."""
        patience = account.venue.family(order.instrument.family).ids.patience
        try:
            rows = await session_of(account).open_orders(order.instrument)
            await self._inquiry.catch_up_fills(account, order.instrument, order.created)
        except VenueError as error:
            self._blotter.say(order, f"{account.name} could not be asked about the change ({error}). Asking again.")
            return None
        if any(update_matches(order, row) for row in rows):
            return None
        if order.leg_end is None and now_ms() - order.heard < patience * 1000:
            return None
        order.leg_end = order.leg_end or OrderStatus.CANCELLED
        return order.filled - order.carried

    async def _next_leg(self, order: Order, draft: Draft, account: Account, filled: Decimal) -> None:
        """Write the new leg down, whole, then send it."""
        moment, amount = now_ms(), filled + (draft.amount or ZERO)
        price = str(draft.price) if draft.price is not None else ""
        try:
            fresh = _fresh_id(account, order)
            terms = {"client_id": fresh, "amount": str(amount), "price": price, "carried": str(filled)}
            await self._blotter.journal.replacement(order.account, fresh, order.id, moment, terms)
        except (VenueUnavailable, JournalUnavailable, ValueError) as error:
            self._blotter.not_replaced(order, f"Cancelled for a change; nothing was placed anew: {error}")
            return
        if order.is_final:
            return
        stopped = order.cancel_wanted or self._killing.covers(order.account, order.asked)
        if stopped or order.filled > filled:  # told late: what is left is less than was written down
            why = "cancelled meanwhile" if stopped else "more of it was executed than the venue had told"
            self._blotter.not_replaced(order, f"Cancelled for a change; nothing was placed anew: {why}.")
            return
        order.replaced(fresh, amount, draft.price, moment, filled)
        self._blotter.known_as(order, fresh)
        self._blotter.placing.add(order.id)
        self._blotter.changed(order)
        await self._send(order, account, draft.request(fresh))
        if order.state is OrderState.AMENDING and order.acknowledged:
            self._blotter.happen(order, Event.AMEND_DONE)


def _fresh_id(account: Account, order: Order) -> str:
    """A client id that was never given. Raises VenueUnavailable while the account is not connected."""
    stamp = session_of(account).stamp(order.instrument.family)
    return account.venue.family(order.instrument.family).ids.make(stamp)
