"""Inquiry: what is asked of a venue until it is known what became of an order, and the comparison of its books with ours.

An order in doubt is looked up until the venue tells; nothing is ever sent again from here. That a venue does not know an
order proves nothing by itself: only when the look-up, the list of open orders and the fills since its intent all say so, and
the time in which its request could still arrive is over, does it count as never arrived (or, if the venue had it, as ended).

After each connect, and every minute, everything is compared (`reconcile`): open orders, fills since the last one seen, also
of instruments traded lately that have no open order, balances and positions. Differences are repaired, journalled and told.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET

from app.blotter import Blotter, now_ms, order_name, request_of
from app.journal import JournalUnavailable
from app.journal_rows import Note
from app.orders import Event, Order, OrderState
from connectors.contract import Found, Page
from connectors.errors import NotSupported, OrderNotFound, VenueError, VenueUnavailable
from connectors.model import ZERO, Instrument, OrderStatus, OrderUpdate

if TYPE_CHECKING:
    from app.accounts import Account, Accounts

_log = logging.getLogger(__name__)

ASK_EVERY = (0.3, 0.6, 1.0, 2.0, 3.0, 5.0)  # seconds between questions about an order in doubt; the last one repeats
RECONCILE_EVERY = 60.0
PENDING_FOR = 5.0  # seconds after which an order that was received and of which nothing more was heard is asked for
LOOK_BACK = 7 * 86_400_000 - 60_000  # ms; some venues answer for at most seven days
CLOCKS = 300_000  # ms by which our clock may have been ahead of the venue's, beside what is measured
OVERLAP = 3_600_000  # ms before the last execution seen; an earlier one may have been missed when it was not
INSTRUMENTS = 20  # traded lately, whose fills are caught up after connecting
RECENT = 120_000  # ms for which an order that ended is still looked at when executions are caught up
FILLS_A_PAGE = 500
MANY = 3  # orders in doubt at one account above which they share their questions
SAME_LIST = 1500  # ms for which lists of open orders and of fills are good enough to judge several orders by


class Inquiry:
    """Asks venues on behalf of the desk. `reconciled` holds the ids of accounts that may trade."""

    def __init__(self, accounts: Accounts, blotter: Blotter) -> None:
        self._accounts = accounts
        self._blotter = blotter
        self.reconciled: set[str] = set()
        self._asking: set[str] = set()
        self._periodic: dict[str, asyncio.Task[Any]] = {}
        self._held: dict[str, dict[str, Decimal]] = {}  # what an account held when it was last compared or connected
        self._comparing: dict[str, asyncio.Lock] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._unlisted: set[tuple[str, str]] = set()  # by account and wire: told once
        self._read_fills: dict[tuple[str, str], tuple[int, int]] = {}  # when they were read last, and since when
        self._lists: dict[str, tuple[int, list[OrderUpdate]]] = {}  # when open orders were asked for, and what came

    def begin(self, account: Account) -> None:
        """Compare now and every minute, until `end`."""
        self.end(account)
        self._periodic[account.id] = asyncio.ensure_future(self._reconcile_forever(account))

    def end(self, account: Account) -> None:
        """The account is not connected: it may not trade until it was compared again."""
        self.reconciled.discard(account.id)
        task = self._periodic.pop(account.id, None)
        if task is not None:
            task.cancel()

    async def stop(self) -> None:
        """End all periodic comparisons."""
        tasks = [*self._periodic.values(), *self._tasks]
        self._periodic.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -----------------------------------------------------------------------------------------------------------------
    # One order

    async def settle(self, order: Order) -> None:
        """Ask about an order until its venue has told what became of it. If somebody asks already, only wait."""
        if order.id in self._asking:
            while order.state is OrderState.UNKNOWN:
                await self._blotter.next_change(order, ASK_EVERY[-1])
            return
        self._asking.add(order.id)
        turn = 0
        try:
            while order.state is OrderState.UNKNOWN:
                account = self._accounts.accounts.get(order.account)
                # the comparison after a connect finds with one list what would take many questions
                compared = account is not None and account.id in self.reconciled
                if account is not None and account.session is not None and (compared or turn > 0):
                    await self._ask_in_turn(order, account)
                if order.state is not OrderState.UNKNOWN:
                    break
                await self._blotter.next_change(order, self._pause(order, turn))
                turn += 1
        finally:
            self._asking.discard(order.id)

    def _pause(self, order: Order, turn: int) -> float:
        """Seconds until the next question. Many orders in doubt share the venue's patience; a comparison asks them anyway."""
        account = self._accounts.accounts.get(order.account)
        if account is None or account.id not in self.reconciled:
            return ASK_EVERY[-1]
        return ASK_EVERY[min(turn, len(ASK_EVERY) - 1)] * max(1.0, len(self._in_doubt(account)) / 2)

    async def _ask_in_turn(self, order: Order, account: Account) -> None:
        """One question at a time to an account; whoever waited and is no longer in doubt does not ask."""
        async with self._turns.setdefault(account.id, asyncio.Lock()):
            if order.state is not OrderState.UNKNOWN:
                return
            many = len(self._in_doubt(account)) > MANY and not order.acknowledged
            if many and not self._time_is_over(order, account):
                await self._look_at_list(order, account)  # a question each would use up what the venue allows
            else:
                await self._ask(order, account)

    async def _look_at_list(self, order: Order, account: Account) -> None:
        """Whether an order in doubt stands, by a list that is shared with others in doubt; that it does not proves nothing."""
        try:
            rows = await self._open_rows(account, now_ms() - SAME_LIST)
        except VenueError as error:
            self._could_not_ask(order, account, error)
            return
        row = next((row for row in rows if update_matches(order, row)), None)
        if row is not None:
            self._blotter.learn(order, row)

    async def settle_pending(self, order: Order) -> None:
        """An order that was received, and no more was said: if no event comes, ask."""
        deadline = time.monotonic() + PENDING_FOR
        while order.state is OrderState.PENDING:
            left = deadline - time.monotonic()
            if left > 0:
                await self._blotter.next_change(order, left)
                continue
            account = self._accounts.accounts.get(order.account)
            if account is not None and account.session is not None:
                await self.became(order, account)
            deadline = time.monotonic() + PENDING_FOR

    async def look_up(self, order: Order, account: Account) -> OrderUpdate:
        """What the venue knows of an order, under any of the ids that it may have there. Raises VenueError."""
        try:
            return await session_of(account).order(order.ref)
        except OrderNotFound:
            if not account.venue.family(order.instrument.family).capabilities.lookup_by_client_id:
                raise
            for client_id in sorted({order.client_id, *order.offered} - {""}):
                if client_id == order.client_id and not order.venue_id:
                    continue
                with contextlib.suppress(OrderNotFound):
                    ref = msgspec.structs.replace(order.ref, client_id=client_id, venue_id="")
                    return await session_of(account).order(ref)
            raise

    async def _ask(self, order: Order, account: Account) -> None:
        """One question about an order in doubt."""
        try:
            if order.acknowledged:
                self._blotter.learn(order, await self.look_up(order, account))
                return
            search = await session_of(account).search(request_of(order))
        except OrderNotFound as error:
            await self.gone(order, account, str(error))
            return
        except VenueError as error:
            self._could_not_ask(order, account, error)
            return
        match search.found:
            case Found.FOUND if search.order is not None:
                self._blotter.learn(order, search.order)
                self._blotter.unpark(order)
            case Found.ABSENT | Found.NOT_YET:
                if search.found is Found.ABSENT or self._time_is_over(order, account):
                    await self._never_arrived(order, account)
            case Found.AMBIGUOUS:
                text = f"{len(search.candidates)} orders at {account.name} could be this one. Look at the open orders."
                if order.text != text:
                    self._blotter.say(order, text)
                    self._blotter.tell("danger", f"{order_name(order)}: {text}", order)
            case _:
                pass

    @staticmethod
    def _time_is_over(order: Order, account: Account) -> bool:
        """Whether so much time is over that the request, had it left at all, would have arrived or been refused."""
        return now_ms() > Inquiry._latest_arrival(order, account)

    @staticmethod
    def _latest_arrival(order: Order, account: Account) -> int:
        patience = account.venue.family(order.instrument.family).ids.patience
        return order.sent + round(patience * 1000)

    async def _never_arrived(self, order: Order, account: Account) -> None:
        """The look-up does not find it: conclude only if neither the open orders nor the fills say otherwise."""
        # what was listed after its time was over is as good now as then: many in doubt are judged by one list
        over = self._latest_arrival(order, account)
        nowhere = await self._nowhere(order, account, listed=over, executed=over)
        if not nowhere or order.is_final or order.acknowledged:
            return
        if order.legs > 1:
            text = f"Cancelled for a change, and {account.name} never got the rest. Nothing more was executed."
            self._blotter.end(order, OrderStatus.CANCELLED, text)
        else:
            text = f"{account.name} never got it. Nothing was executed; send it again if you still want it."
            order.status = OrderStatus.REJECTED
            self._blotter.happen(order, Event.NEVER_ARRIVED, text)
        self._blotter.tell("info", f"{order_name(order)}: {text}", order)

    async def _nowhere(self, order: Order, account: Account, *, listed: int, executed: int) -> bool:
        """Whether neither open orders nor fills that were read after these moments know it; what they know is taken in."""
        try:
            asked, since = self._read_fills.get((account.id, order.instrument.key), (0, 0))
            if asked < executed or since > order.created:
                await self.catch_up_fills(account, order.instrument, since=order.created)
            rows = await self._open_rows(account, listed)
        except VenueError as error:
            self._could_not_ask(order, account, error)
            return False
        row = next((row for row in rows if update_matches(order, row)), None)
        if row is not None:
            self._blotter.learn(order, row)
        return row is None

    async def _open_rows(self, account: Account, since_ms: int) -> list[OrderUpdate]:
        """All open orders, as they were at a moment or later: several orders in doubt are judged by one list."""
        asked, rows = self._lists.get(account.id, (0, []))
        if asked < since_ms:
            asked = now_ms()
            rows = await session_of(account).open_orders(None)
            self._lists[account.id] = (asked, rows)
        return rows

    async def became(self, order: Order, account: Account) -> None:
        """What became of an order that a cancel or change did not find or visibly end."""
        try:
            self._blotter.learn(order, await self.look_up(order, account))
        except OrderNotFound as error:
            if order.id in self._blotter.placing or order.is_final:
                return
            if order.acknowledged:
                await self.gone(order, account, str(error))
            elif order.state is not OrderState.UNKNOWN:
                text = f"{account.name} does not find it; asking what became of it."
                self._blotter.happen(order, Event.LOST, text)
            if order.state is OrderState.UNKNOWN and order.id not in self._asking:
                self._settle_apart(order)
        except VenueError as error:
            self._could_not_ask(order, account, error)

    async def gone(self, order: Order, account: Account, why: str) -> None:
        """The venue had this order and does not know it any more: fills tell whether it traded, the rest was cancelled.

        A venue's look-up may lag behind its own events, so what was heard of only just now is asked again first.
        """
        heard = max(order.heard, order.sent)  # before its executions are read
        # it may have traded until it was looked up just now: an earlier list of executions, of this ms even, does not tell
        if (
            not await self._nowhere(order, account, listed=now_ms() - SAME_LIST, executed=now_ms() + 1)
            or order.is_final
        ):
            return
        patience = account.venue.family(order.instrument.family).ids.patience
        if (now_ms() - heard) / 1000 < patience:
            if order.state is not OrderState.UNKNOWN:
                text = f"{account.name} does not find it ({why}); asking again."
                self._blotter.happen(order, Event.LOST, text)
            return
        text = f"{account.name} no longer knows it ({why}); open orders and fills were compared."
        self._blotter.end(order, OrderStatus.CANCELLED, text)

    def _could_not_ask(self, order: Order, account: Account, error: VenueError) -> None:
        self._blotter.say(order, f"{account.name} could not be asked ({error}). Asking again.")

    async def ends_within(self, order: Order, seconds: float) -> bool:
        """Whether the order ends before `seconds` have passed, or stops being cancelled."""
        deadline = time.monotonic() + seconds
        while not order.is_final and order.state is OrderState.CANCELLING:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            await self._blotter.next_change(order, left)
        return True

    # -----------------------------------------------------------------------------------------------------------------
    # Everything

    async def _reconcile_forever(self, account: Account) -> None:
        failures = 0
        while True:
            try:
                await self.reconcile(account)
            except Exception as error:  # noqa: BLE001 - whatever it was: nobody else would go on comparing
                if not isinstance(error, (VenueError, JournalUnavailable)):
                    _log.exception("comparing %s failed", account.id)
                if failures == 0:
                    why = str(error) if isinstance(error, (VenueError, JournalUnavailable)) else type(error).__name__
                    text = f"{account.name} could not be compared with the journal ({why}). Trying on."
                    self._blotter.tell("warn", text, account=account.id)
                failures += 1
                await asyncio.sleep(min(2.0 * failures, 10.0))
                continue
            failures = 0
            await asyncio.sleep(RECONCILE_EVERY)

    async def reconcile(self, account: Account) -> None:
        """Compare open orders, fills, balances and positions with the venue and repair our books. Raises VenueError.

        Orders may be sent as soon as the orders themselves were compared; what costs many requests comes after that.
        """
        async with self._comparing.setdefault(account.id, asyncio.Lock()):
            first, found = account.id not in self.reconciled, Counter[str]()
            before = self._held.get(account.id) if first else holdings(account)
            rows = await self._compare(account, found)
            self.reconciled.add(account.id)
            await self._catch_up(account, found, first=first)
            if not first:  # the session has read them right before
                await account.refresh()
            self._weigh(account, before, found)
            self._report(account, found, rows, first=first)

    async def compare_orders(self, account: Account) -> int:
        """Compare the orders alone; returns how many the venue lists as open. Raises VenueError."""
        async with self._comparing.setdefault(account.id, asyncio.Lock()):
            return await self._compare(account, Counter())

    async def _compare(self, account: Account, found: Counter[str]) -> int:
        began = now_ms()
        rows = await session_of(account).open_orders(None)
        self._lists[account.id] = (began, rows)
        listed = {order.id for row in rows if (order := await self._listed(account, row, began, found)) is not None}
        missing = [
            order
            for order in self._blotter.working(account.id)
            if order.id not in listed
            and order.id not in self._blotter.placing
            and not order.replacing
            and order.sent < began
            and order.touched < began
        ]
        for instrument in {order.instrument.key: order.instrument for order in missing}.values():
            since = min(order.created for order in missing if order.instrument.key == instrument.key)
            found["executions that were missed"] += await self.catch_up_fills(account, instrument, since)
        for order in missing:
            if order.is_final or order.touched >= began:
                continue
            if order.state is not OrderState.UNKNOWN:
                await self.became(order, account)
                found["ended meanwhile"] += order.is_final
        for order in missing:
            if order.state is OrderState.UNKNOWN and not self._blotter.nudge(order.id):
                self._settle_apart(order)
        return len(rows)

    def _settle_apart(self, order: Order) -> None:
        """Nobody asks about it yet: somebody does from now on."""
        task = asyncio.ensure_future(self.settle(order))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _in_doubt(self, account: Account) -> list[Order]:
        return [order for order in self._blotter.working(account.id) if order.state is OrderState.UNKNOWN]

    def _mine(self, account: Account) -> list[Order]:
        return [order for order in self._blotter.orders.values() if order.account == account.id]

    async def _listed(self, account: Account, row: OrderUpdate, began: int, found: Counter[str]) -> Order | None:
        """Take in a row of the venue's open orders."""
        order = self._blotter.find(account.id, row)
        if order is None:
            known = len(self._blotter.orders)
            self._blotter.heard(account, row, row.family)
            found["placed elsewhere"] += len(self._blotter.orders) - known
            order = self._blotter.find(account.id, row)
            if order is None and account.instrument(row.wire, row.family) is None:
                self._say_unlisted(account, row.wire)
            return order
        if not order.is_final:
            if order.heard >= began and row.time is UNSET:
                row.price = row.trigger = row.amount = UNSET  # something was told since: which is newer, nobody knows
            before = (order.state, order.filled, order.price, order.amount)
            self._blotter.learn(order, row)
            changed = before != (order.state, order.filled, order.price, order.amount)
            found["that had changed"] += changed and before[0] not in (OrderState.UNKNOWN, OrderState.AMENDING)
            return order
        if order.touched >= began or order.is_old(row):
            return order  # it ended while the list was on its way; or a leg that is over
        with contextlib.suppress(OrderNotFound):
            now = await session_of(account).order(msgspec.structs.replace(order.ref, venue_id=row.venue_id))
            if now.status is not UNSET and not now.status.is_final:
                words = f"It stands at {account.name} although it was taken for {order.state.value} here."
                fresh = self._blotter.adopt(account, now, row.family, words)
                if fresh is not None:
                    self._blotter.tell("danger", f"{order_name(fresh)}: {words}", fresh)
                    found["taken for ended, but standing"] += 1
        return order

    def _say_unlisted(self, account: Account, wire: str) -> None:
        """An order stands in something that the venue does not list as tradable: nobody here can show or cancel it."""
        if (account.id, wire) not in self._unlisted:
            self._unlisted.add((account.id, wire))
            text = f"{account.name} has an open order in {wire}, which is no instrument here. Look at it at the venue itself."
            self._blotter.tell("danger", text, account=account.id)

    async def _catch_up(self, account: Account, found: Counter[str], *, first: bool) -> None:
        """Fills that were missed of all that was traded lately, whether an order is open there or not."""
        recent, now, mine = now_ms() - RECENT, venue_ms(account), self._mine(account)
        lately = {order.instrument.key for order in mine if not order.is_final or order.touched > recent}
        if first:
            lately.update(await self._blotter.journal.traded(account.id, now - LOOK_BACK, INSTRUMENTS))
        for key in sorted(lately):
            instrument = account.instruments.get(key)
            if instrument is None:
                continue
            start = await self._last_seen(account, key, now)
            # an order that filled more than its known executions: one is missing, however old
            start = min([start, *(o.created for o in mine if o.instrument.key == key and o.unexplained)])
            found["executions that were missed"] += await self.catch_up_fills(account, instrument, start)

    async def _last_seen(self, account: Account, key: str, now: int) -> int:
        """Where a catch-up starts: at the last execution known and somewhat before, else at the first order of late."""
        last = await self._blotter.journal.last_fill_time(account.id, key)
        if last is not None:
            return last - OVERLAP
        first = await self._blotter.journal.first_order_time(account.id, key, now - LOOK_BACK)
        return first if first is not None else now

    async def catch_up_fills(self, account: Account, instrument: Instrument, since: int) -> int:
        """Read the fills of an instrument since a time (ms) and count those that were missed; returns how many."""
        ahead = max(
            0, -round(session_of(account).clock_offset_ms)
        )  # `since` may be a time of ours, fills have the venue's
        start, missed, now = since - ahead - CLOCKS, 0, venue_ms(account)
        if start > now:  # written down by a clock that was ahead: it says nothing
            start = 0
        start = max(0, start, now - LOOK_BACK)
        asked, after = now_ms(), ""
        seen: set[str] = set()
        while True:
            page = Page(start=start, limit=FILLS_A_PAGE, after=after)
            try:
                fills = await session_of(account).fills(instrument, page)
            except NotSupported:  # there is nothing to read: what is concluded rests on the other lists
                break
            missed += sum(self._blotter.filled(account, fill, instrument.family) for fill in fills)
            names = {fill.id for fill in fills}
            if len(fills) < page.limit or (after and names <= seen):
                break
            last = max(fill.time for fill in fills)
            if after or last <= start or names <= seen:
                after = fills[-1].id  # all of one moment: a large order may fill by hundreds in a millisecond
            start, seen = last, seen | names
        self._read_fills[account.id, instrument.key] = (asked, since)
        return missed

    def _weigh(self, account: Account, before: dict[str, Decimal] | None, found: Counter[str]) -> None:
        """What is held now and differs from what events had told is journalled."""
        after = holdings(account)
        self._held[account.id] = after
        busy = any(order.touched > now_ms() - 3000 for order in self._mine(account))
        if before is None or busy:
            return  # events are on their way
        for name in sorted({*before, *after}):
            old, new = before.get(name, ZERO), after.get(name, ZERO)
            if old != new:
                found["balances or positions"] += 1
                text = f"{name}: {old:f} here, {new:f} at {account.name}"
                self._blotter.journal.note(Note(now_ms(), account.id, "difference", text))

    def _report(self, account: Account, found: Counter[str], rows: int, *, first: bool) -> None:
        doubtful = len(self._in_doubt(account))
        parts = [f"{number} {name}" for name, number in found.items() if number]
        if doubtful and (first or parts):
            parts.append(f"{doubtful} in doubt")
        text = f"{account.name}: {rows} open orders compared with the journal"
        text += f"; {', '.join(parts)}." if parts else "; nothing was missed."
        if first or parts:
            self._blotter.tell("info", text, account=account.id)


def session_of(account: Account) -> Any:
    """What an account is connected by. Raises VenueUnavailable while it is not: it may have been stopped meanwhile."""
    if account.session is None:
        raise VenueUnavailable(f"{account.name} is not connected")
    return account.session


def venue_ms(account: Account) -> int:
    """The venue's time in ms, as well as it is known."""
    return now_ms() + round(session_of(account).clock_offset_ms)


def holdings(account: Account) -> dict[str, Decimal]:
    """Totals by asset and family, sizes by contract, of what is not zero."""
    totals = {f"{asset} ({family})": row.total for (family, asset), row in account.balances.items() if row.total}
    return totals | {key: row.size for key, row in account.positions.items() if row.size}


def update_matches(order: Order, update: OrderUpdate) -> bool:
    """Whether `update` speaks of `order`, by any id that both know."""
    names = {update.client_id, update.venue_id, update.previous_id, update.previous_client_id} - {""}
    return bool(order.ids & names) and not order.is_old(update)
