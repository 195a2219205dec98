"""The dead man's switch: the venue cancels our orders by itself when we are no longer there to say otherwise.

Optional, by account. It is the venue's own switch, where it has one: armed as soon as an order stands, renewed at a third of
its time while the account is connected, and left to run out when the connection, the program or the machine is gone. Where
this program itself was held up for longer than that, the venue has most likely cancelled: that is told, and compared at once.
Some venues have one switch for all, others one for each instrument; there, those with working orders are armed.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from app.blotter import Blotter
from app.inquiry import Inquiry
from connectors.errors import NotSupported, VenueError
from connectors.runtime.clock import lasting

if TYPE_CHECKING:
    from app.accounts import Account
    from app.settings import Settings
    from connectors.contract import Family

AGAIN = 1.0  # seconds until a switch that could not be set is tried again
LOOK_EVERY = 0.25  # seconds between two looks at which orders stand


class DeadMan:
    """`begin` and `end` follow the account's connection."""

    def __init__(self, blotter: Blotter, inquiry: Inquiry, settings: Settings) -> None:
        self._blotter = blotter
        self._inquiry = inquiry
        self._settings = settings
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._armed: dict[str, dict[tuple[str, str], float]] = {}  # by account: (family, instrument key or "") -> when
        self._each: set[tuple[str, str]] = set()  # (account, family) whose switch is one for each instrument
        self._failing: dict[str, float] = {}  # by name, when it is tried again

    def begin(self, account: Account) -> None:
        """The account is connected."""
        self.end(account)
        self._tasks[account.id] = asyncio.ensure_future(self._keep(account))

    def end(self, account: Account) -> None:
        """It is not: the switch runs out by itself."""
        task = self._tasks.pop(account.id, None)
        if task is not None:
            task.cancel()

    async def stop(self, accounts: list[Account]) -> None:
        """The program ends in good order: where the trader wants it so, the orders stay and the switches are turned off."""
        for account in accounts:
            self.end(account)
        if self._settings.preferences.dead_man_releases:  # one that does not answer holds up no other
            await asyncio.gather(*(self._release(account) for account in accounts))

    async def _keep(self, account: Account) -> None:
        while True:
            seconds = self._settings.preferences.dead_man.get(account.id, 0.0)
            if seconds > 0:
                await self._renew(account, seconds)
            elif self._armed.get(account.id):
                await self._release(account)  # it was switched off just now
            await asyncio.sleep(LOOK_EVERY)

    async def _renew(self, account: Account, seconds: float) -> None:
        armed = self._armed.setdefault(account.id, {})
        for family in self._able(account):
            wanted = self._targets(account, family)
            for key in sorted(wanted):
                last = armed.get((family.name, key))
                if last is None or lasting() - last >= seconds / 3:
                    await self._set(account, family, key, seconds)
                if last is not None and armed.get((family.name, key), last) - last > seconds:
                    await self._late(account, armed[family.name, key] - last, seconds)
            for entry in [entry for entry in armed if entry[0] == family.name and entry[1] not in wanted]:
                await self._set(account, family, entry[1], 0.0)

    async def _late(self, account: Account, passed: float, seconds: float) -> None:
        """It was renewed after its time was over."""
        text = f"{account.name} heard nothing for {passed:.0f} s, its switch is set to {seconds:g} s: it may have cancelled orders."
        self._blotter.tell("warn", text, account=account.id)
        with contextlib.suppress(VenueError):  # the next comparison comes anyway
            await self._inquiry.compare_orders(account)

    async def _release(self, account: Account) -> None:
        for family in self._able(account):
            for entry in [entry for entry in self._armed.get(account.id, {}) if entry[0] == family.name]:
                await self._set(account, family, entry[1], 0.0)

    def _able(self, account: Account) -> list[Family]:
        if account.session is None or not account.keyed:
            return []
        return [family for family in account.session.families if family.capabilities.dead_man]

    def _targets(self, account: Account, family: Family) -> set[str]:
        """What is to be armed while orders work: "" for a switch that covers all of them, else their instruments."""
        keys = {
            order.instrument.key
            for order in self._blotter.working(account.id)
            if order.instrument.family == family.name
        }
        return keys if (account.id, family.name) in self._each or not keys else {""}

    async def _set(self, account: Account, family: Family, key: str, seconds: float) -> None:
        """Arm, renew, or with zero switch off. A venue that refuses one for all has one for each instrument."""
        instrument = account.instruments.get(key) if key else None
        name, armed = f"{account.id} {family.name} {key}", self._armed.setdefault(account.id, {})
        began = lasting()  # its time runs from when the venue hears of it, not from when we hear that it did
        if began < self._failing.get(name, 0.0):
            return
        try:
            await account.session.dead_man(instrument, seconds, family)
        except NotSupported:
            self._each.add((account.id, family.name))
            armed.pop((family.name, key), None)
        except VenueError as error:
            known, self._failing[name] = name in self._failing, lasting() + AGAIN
            if not known:
                text = f"{account.name}: the cancel-on-disconnect switch could not be set ({error}). Trying on."
                self._blotter.tell("warn", text, account=account.id)
        else:
            self._failing.pop(name, None)
            if seconds > 0:
                armed[family.name, key] = began
            else:
                armed.pop((family.name, key), None)
