"""The kill switch: cancel everything everywhere, and go on until each venue itself says that nothing is left.

It asks nobody: no guard, no limit, no arming. It cancels what the venues list, whoever placed it, first with the venue's own
cancel-all, then one by one. A venue that cannot be reached is tried until it can; the others do not wait for it. An account
counts as confirmed only when its lists are empty, no order of ours is still on its way to it and none is in doubt there.
One that is just being connected takes part until it is known that it has no key.

Beginning and end at each account are in the journal. What the end of the program cut off stands in the report at the next
start until the trader goes on with it or leaves it; until then nothing is sent there, and nothing is cancelled unasked: other
orders may have been placed since.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from app.accounts import AccountState
from app.blotter import Blotter, now_ms
from app.inquiry import Inquiry
from app.journal_rows import KillStep, Note
from connectors.contract import Environment
from connectors.errors import NothingToChange, NotSupported, OrderNotFound, Refused, VenueError
from connectors.model import OrderRef, OrderUpdate, Side

if TYPE_CHECKING:
    from app.accounts import Account, Accounts
    from connectors.contract import Family

AGAIN = (0.3, 0.6, 1.0, 2.0, 3.0, 5.0)  # seconds between rounds at one venue; the last one repeats


class Round(StrEnum):
    """How far it is at one account."""

    CANCELLING = "cancelling"
    UNREACHABLE = "unreachable"  # trying on
    CONFIRMED = "confirmed"
    CUT_OFF = "cut off"  # by the end of an earlier run; waits for the trader


@dataclass(slots=True)
class KillLine:
    """One account in the report. `left`: orders that its venue still lists, None while it has not told. `rounds` so far."""

    account: str
    name: str
    state: Round = Round.CANCELLING
    text: str = ""
    left: int | None = None
    rounds: int = 0


class Kill(QObject):
    """The switch and its report. `changed` after every step; `pressed_at` is when, in ms (`now_ms`), 0 if never pressed."""

    changed = Signal()

    def __init__(self, accounts: Accounts, blotter: Blotter, inquiry: Inquiry) -> None:
        super().__init__()
        self._accounts = accounts
        self._blotter = blotter
        self._inquiry = inquiry
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._again = asyncio.Event()
        self._starting: set[str] = set()  # accounts of which it was not known yet whether they have a key
        self.lines: dict[str, KillLine] = {}
        self.pressed_at = 0

    @property
    def active(self) -> bool:
        """Whether it goes on at any venue that has not confirmed."""
        return any(line.state in (Round.CANCELLING, Round.UNREACHABLE) for line in self.lines.values())

    @property
    def cut_off(self) -> list[KillLine]:
        """Accounts at which an earlier run did not get to the end."""
        return [line for line in self.lines.values() if line.state is Round.CUT_OFF]

    def take_up(self, pressed: dict[str, int]) -> None:
        """Accounts at which an earlier run did not get to the end, with when it was pressed."""
        for account_id, moment in sorted(pressed.items()):
            text = "Fathom ended before it confirmed"
            self.lines[account_id] = KillLine(account_id, account_id.replace(":", " "), Round.CUT_OFF, text)
            self.pressed_at = max(self.pressed_at, min(moment, now_ms()))
        if pressed:
            names = ", ".join(line.name for line in self.cut_off)
            text = f"Fathom ended while everything was being cancelled; not confirmed: {names}."
            self._blotter.tell("danger", f"{text} Go on with it or leave it; until then nothing is sent there.")
            self.changed.emit()

    def leave(self) -> None:
        """The trader does not want to go on with what was cut off."""
        for line in self.cut_off:
            del self.lines[line.account]
            self._note(line.account, KillStep.LEFT, "what an earlier run had not confirmed is left as it is")
        self.changed.emit()

    async def go_on(self) -> dict[str, str]:
        """Cancel everything at the accounts at which an earlier run did not get to the end; returns as `press`."""
        self.pressed_at = now_ms()
        return await self._begin({line.account for line in self.cut_off})

    def covers(self, account_id: str, asked: int) -> bool:
        """Whether what was asked for at an account at `asked` (`now_ms`) may not leave any more."""
        line = self.lines.get(account_id)
        running = line is not None and line.state is not Round.CONFIRMED
        return running or (line is not None and asked <= self.pressed_at)

    async def press(self) -> dict[str, str]:
        """Cancel everything; returns what was confirmed, by account, when all have. Pressed again: try at once."""
        self.pressed_at = now_ms()
        cut_off = {line.account for line in self.cut_off}
        sure = cut_off | self._unfinished() | {account.id for account in self._keyed()}
        self._starting |= {account.id for account in self._accounts.accounts.values() if _is_starting(account)}
        self._starting -= sure
        return await self._begin(sure | self._starting)

    async def _begin(self, wanted: set[str]) -> dict[str, str]:
        for account_id in sorted(wanted):
            task = self._tasks.get(account_id)
            if task is not None and not task.done():
                continue
            account = self._accounts.accounts.get(account_id)
            self._note(account_id, KillStep.PRESSED, "cancelling everything")
            if account is None:
                line = KillLine(account_id, account_id.replace(":", " "), Round.UNREACHABLE)
                line.text = "is not in this build: cancel its orders at the venue itself"
                self.lines[account_id] = line
            else:
                self.lines[account_id] = KillLine(account_id, account.name)
                self._tasks[account_id] = asyncio.ensure_future(self._go_on(account))
        self._again.set()
        self._again.clear()
        self.changed.emit()
        await asyncio.gather(*self._tasks.values())
        return {line.account: line.state.value for line in self.lines.values()}

    async def stop(self) -> None:
        """Give up, because the program ends."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _keyed(self) -> list[Account]:
        return [account for account in self._accounts.accounts.values() if account.keyed]

    def _unfinished(self) -> set[str]:
        """Accounts whose orders are not known to be over, whatever can be reached."""
        return {order.account for order in self._blotter.working()}

    async def _go_on(self, account: Account) -> None:
        line = self.lines[account.id]
        self._mark(account)
        while True:
            if account.id in self._starting and not account.keyed and not _is_starting(account):
                del self.lines[account.id]
                self._note(account.id, KillStep.LEFT, "it has no key: no order can be cancelled there")
                self.changed.emit()
                return
            line.rounds += 1
            try:
                done = await self._round(account, line)
            except VenueError as error:
                done, line.state = False, Round.UNREACHABLE
                line.text = (
                    f"{'refuses' if isinstance(error, Refused) else 'could not be reached'} ({error}); trying on"
                )
            except Exception as error:  # noqa: BLE001 - nothing may end this before the venue has confirmed
                done, line.state, line.text = False, Round.UNREACHABLE, f"an error on this side ({error!r}); trying on"
            if done:
                line.state, line.left, line.text = Round.CONFIRMED, 0, "confirms: no open order"
                self._note(account.id, KillStep.CONFIRMED, line.text)
                self._tell("info", account, f"{account.name} confirms: no open order.")
                return
            if line.rounds == 1 or line.rounds % 10 == 0:
                as_usual = line.rounds == 1 and line.state is Round.CANCELLING  # the confirmation may cover it
                self._tell("info" if as_usual else "danger", account, f"Kill: {account.name} {line.text}.")
            self.changed.emit()
            try:
                await asyncio.wait_for(self._again.wait(), AGAIN[min(line.rounds - 1, len(AGAIN) - 1)])
            except TimeoutError:
                pass

    def _note(self, account_id: str, step: KillStep, text: str) -> None:
        """What is found again at the next start."""
        self._blotter.journal.note(Note(now_ms(), account_id, step, text))

    def _tell(self, level: str, account: Account, text: str) -> None:
        self._blotter.tell(level, text, account=account.id)
        self._blotter.journal.note(Note(now_ms(), account.id, "kill", text))
        self.changed.emit()

    def _mark(self, account: Account) -> None:
        """The rows say at once what is wanted."""
        for order in self._blotter.working(account.id):
            self._blotter.want_cancel(order)

    async def _round(self, account: Account, line: KillLine) -> bool:
        """One round; True when the venue has confirmed. Raises VenueError."""
        if account.session is None and account.state in (AccountState.OFF, AccountState.FAILED):
            await account.start()
        if account.session is None or not account.keyed:
            why = account.words or "no key"
            line.state, line.text = Round.UNREACHABLE, f"is not connected with a key ({why}); trying on"
            return False
        failures: list[VenueError] = []
        left = 0
        if account.environment is not Environment.PAPER:  # its orders are all here
            try:
                await account.session.look_for_absent()  # what could not be reached at the start may hold orders
            except VenueError as error:
                failures.append(error)
        for family in account.session.families:
            try:
                left += await self._cancel_family(account, family, one_by_one=line.rounds > 1)
            except VenueError as error:  # the other families do not wait for this one
                failures.append(error)
        line.left = left if not failures else None
        if failures:
            raise failures[0]
        line.state = Round.CANCELLING
        if left:
            line.text = f"listed {_open_orders(left)}; cancelled, waiting for its word"
            return False
        return await self._nothing_on_its_way(account, line)

    async def _nothing_on_its_way(self, account: Account, line: KillLine) -> bool:
        left = await self._inquiry.compare_orders(account)
        mine = self._blotter.working(account.id)
        if left or self._blotter.placing_at(account.id) or mine:
            line.text = f"lists {_open_orders(left)}, and {len(mine)} of ours are not settled yet"
            return False
        return True

    async def _cancel_family(self, account: Account, family: Family, *, one_by_one: bool) -> int:
        """Cancel what a family lists; returns how many orders that were. Raises VenueError."""
        rows: list[OrderUpdate] = await account.session.open_orders(family=family)
        if not rows:
            return 0
        for row in rows:
            self._blotter.heard(account, row, family.name)
        try:
            if family.capabilities.cancel_all == "all":
                await self._whole(account, family)
            elif family.capabilities.cancel_all == "instrument":
                await self._each_instrument(account, family, {row.wire for row in rows})
            else:
                one_by_one = True
        except NotSupported:
            one_by_one = True
        if one_by_one:
            await asyncio.gather(*(self._single(account, family, row) for row in rows))
            strange = sorted({row.wire for row in rows if account.instrument(row.wire, family.name) is None})
            if strange:
                raise NotSupported(
                    f"orders in {', '.join(strange)}, no instrument here: cancel them at the venue itself"
                )
        return len(rows)

    async def _whole(self, account: Account, family: Family) -> None:
        try:
            self._take(account, family, await account.session.cancel_all(None, family))
        except NothingToChange:
            pass

    async def _each_instrument(self, account: Account, family: Family, wires: Iterable[str]) -> None:
        for wire in sorted(wires):
            instrument = account.instrument(wire, family.name)
            if instrument is None:
                continue
            try:
                self._take(account, family, await account.session.cancel_all(instrument))
            except (NothingToChange, OrderNotFound):
                pass

    async def _single(self, account: Account, family: Family, row: OrderUpdate) -> None:
        instrument = account.instrument(row.wire, family.name)
        if instrument is None:
            return
        ref = OrderRef(
            instrument=instrument,
            client_id=row.client_id,
            venue_id=row.venue_id,
            side=row.side if isinstance(row.side, Side) else None,
            algo=row.algo,
            created=row.created if isinstance(row.created, int) else None,
        )
        try:
            self._take(account, family, [await account.session.cancel(ref)])
        except (NothingToChange, OrderNotFound):
            pass  # the next list tells

    def _take(self, account: Account, family: Family, rows: list[OrderUpdate]) -> None:
        for row in rows:
            self._blotter.heard(account, row, family.name)


def _is_starting(account: Account) -> bool:
    """Whether it is being connected and its key was not read yet: a keyring may ask its owner first."""
    return account.state is AccountState.CONNECTING and account.session is None and not account.keyed


def _open_orders(count: int) -> str:
    return f"{count or 'no'} open order{'' if count == 1 else 's'}"
