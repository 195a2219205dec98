"""Inquiry: what is asked of a venue until it is known what became of an order, and the comparison of its books with ours.

An order in doubt is looked up until the venue tells; nothing is ever sent again from here. An order that the venue had
and no longer finds is settled by its fills and by the list of open orders. After each connect, and every minute,
everything open is compared (`reconcile`).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

from app.blotter import Blotter, now_ms, order_name, request_of
from app.orders import Event, Order, OrderState
from connectors.contract import Found, Page
from connectors.errors import NotSupported, OrderNotFound, VenueError
from connectors.model import Instrument, OrderStatus, OrderUpdate

if TYPE_CHECKING:
    from app.accounts import Account, Accounts

ASK_EVERY = (0.3, 0.6, 1.0, 2.0, 3.0, 5.0)  # seconds between questions about an order in doubt; the last one repeats
RECONCILE_EVERY = 60.0


class Inquiry:
    """Asks venues on behalf of the desk. `reconciled` holds the ids of accounts that may trade."""

    def __init__(self, accounts: Accounts, blotter: Blotter) -> None:
        self._accounts = accounts
        self._blotter = blotter
        self.reconciled: set[str] = set()
        self._asking: set[str] = set()
        self._periodic: dict[str, asyncio.Task[Any]] = {}

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
        tasks = list(self._periodic.values())
        self._periodic.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def settle(self, order: Order) -> None:
        """Ask about an order until its venue has told what became of it."""
        if order.id in self._asking:
            return
        self._asking.add(order.id)
        wake = self._blotter.wake(order)
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
            self._blotter.sleep_well(order)

    async def _ask(self, order: Order, account: Account) -> None:
        """One question about an order in doubt."""
        try:
            if order.acknowledged:
                self._blotter.learn(order, await account.session.order(order.ref))
                return
            search = await account.session.search(request_of(order))
        except OrderNotFound as error:
            if order.acknowledged:
                await self.gone(order, account, str(error))
            return
        except VenueError as error:
            self._could_not_ask(order, account, error)
            return
        patience = account.venue.family(order.instrument.family).ids.patience
        waited = (now_ms() - order.created) / 1000
        found = Found.ABSENT if search.found is Found.NOT_YET and waited > patience else search.found
        match found:
            case Found.FOUND if search.order is not None:
                self._blotter.learn(order, search.order)
                self._blotter.unpark(order)
            case Found.ABSENT:
                text = f"{account.name} never got it. Nothing was executed; send it again if you still want it."
                order.status = OrderStatus.REJECTED
                self._blotter.happen(order, Event.NEVER_ARRIVED, text)
                self._blotter.tell("info", f"{order_name(order)}: {text}", order)
            case Found.AMBIGUOUS:
                text = f"{len(search.candidates)} orders at {account.name} could be this one. Look at the open orders."
                if order.text != text:
                    order.text = text
                    self._blotter.changed(order)
                    self._blotter.tell("danger", f"{order_name(order)}: {text}", order)
            case _:
                pass

    async def gone(self, order: Order, account: Account, why: str) -> None:
        """The venue had this order and does not know it any more: fills tell whether it traded, the rest was cancelled."""
        try:
            await self.catch_up_fills(account, order.instrument, since=order.created)
            rows = await account.session.open_orders(order.instrument)
        except VenueError as error:
            self._could_not_ask(order, account, error)
            return
        if order.is_final:
            return
        if any(update_matches(order, row) for row in rows):
            self._blotter.happen(order, Event.CANCEL_REFUSED)
            return
        text = f"{account.name} no longer knows it ({why}); open orders and fills were compared."
        self._blotter.end(order, OrderStatus.CANCELLED, text)

    def _could_not_ask(self, order: Order, account: Account, error: VenueError) -> None:
        order.text = f"{account.name} could not be asked ({error}). Asking again."
        self._blotter.changed(order)

    async def ask_after_cancel(self, order: Order, account: Account) -> None:
        """What became of an order that a cancel did not find, or did not visibly end."""
        try:
            self._blotter.learn(order, await account.session.order(order.ref))
        except OrderNotFound as error:
            if order.acknowledged:
                await self.gone(order, account, str(error))
            elif order.id not in self._blotter.placing:
                self._blotter.happen(order, Event.LOST, f"{account.name} does not find it; asking what became of it.")
                await self.settle(order)
        except VenueError as error:
            self._could_not_ask(order, account, error)

    async def ends_within(self, order: Order, seconds: float) -> bool:
        """Whether the order ends (or leaves CANCELLING) before `seconds` have passed, by events or by other tasks."""
        wake = self._blotter.wake(order)
        deadline = time.monotonic() + seconds
        while not order.is_final and order.state in (OrderState.CANCELLING, OrderState.UNKNOWN):
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            wake.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(wake.wait(), left)
        self._blotter.sleep_well(order)
        return True

    async def _reconcile_forever(self, account: Account) -> None:
        while True:
            try:
                await self.reconcile(account)
            except VenueError as error:
                self._blotter.tell(
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
            order = self._blotter.find(account.id, row)
            if order is None:
                self._blotter.heard(account, row, row.family)
            else:
                listed.add(order.id)
                self._blotter.learn(order, row)
        mine = [order for order in self._blotter.orders.values() if order.account == account.id]
        missing = [
            order
            for order in mine
            if not order.is_final
            and order.id not in listed
            and order.id not in self._blotter.placing
            and order.created < began
        ]
        for instrument in {order.instrument.key: order.instrument for order in missing}.values():
            since = min(order.created for order in missing if order.instrument.key == instrument.key)
            await self.catch_up_fills(account, instrument, since)
        for order in missing:
            if order.is_final or order.updated >= began:
                continue
            if order.state is OrderState.UNKNOWN:
                await self._ask(order, account)  # its own task goes on asking
                continue
            try:
                self._blotter.learn(order, await account.session.order(order.ref))
            except OrderNotFound as error:
                await self.gone(order, account, str(error))
        await account.refresh()
        if account.id not in self.reconciled:
            self.reconciled.add(account.id)
            doubtful = sum(order.state is OrderState.UNKNOWN for order in mine)
            text = f"{account.name}: {len(rows)} open orders compared with the journal"
            self._blotter.tell("info", f"{text}, {doubtful} in doubt." if doubtful else f"{text}.", account=account.id)

    async def catch_up_fills(self, account: Account, instrument: Instrument, since: int) -> None:
        """Read the fills of an instrument since a time and count those that were missed."""
        try:
            fills = await account.session.fills(instrument, Page(start=max(0, since - 1000)))
        except NotSupported:
            return
        for fill in fills:
            self._blotter.filled(account, fill, instrument.family)


def update_matches(order: Order, update: OrderUpdate) -> bool:
    """Whether `update` speaks of `order`, by any id that both know."""
    ids = {order.client_id, order.venue_id, *order.earlier} - {""}
    return bool(ids & {update.client_id, update.venue_id, update.previous_id})
