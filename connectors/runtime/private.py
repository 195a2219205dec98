"""Private streams: the account side of one session. Subscribe first, then read everything, then say that it is ready.

So nothing falls between the lists and the news. What has no event of its own is read when it is calm after news of an order,
and from time to time; what must be renewed is renewed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from connectors.contract import Channel, Family, KeepUp, Role, Topic
from connectors.errors import PASSING, AuthenticationFailed, NoSuchAccount, VenueError
from connectors.model import ZERO, Balance, Position
from connectors.runtime.driver import Driver
from connectors.runtime.socket import Link
from connectors.runtime.tasks import Tasks

_log = logging.getLogger(__name__)

SETTLED = 0.5  # seconds without news of orders after which is read what has no event of its own
REFUSED_EVERY = 300.0  # seconds until a key that had worked, and is refused now, is shown to the venue again
LAGGING = 10.0  # seconds that a list may be behind what the stream told
SETTLED_AT_LAST = 3.0  # seconds after which it is read although news goes on
ACCOUNT_TOPIC = Topic(Channel.ACCOUNT)


class Told(Protocol):
    """What the account side tells its session."""

    def held(self, row: Balance | Position, family: str) -> None:
        """A row of a list that was read."""
        ...

    def ready(self, family: str) -> None:
        """The stream runs and its lists were read."""
        ...

    def gone(self, family: str, why: str) -> None:
        """The stream is gone."""
        ...

    def missing(self, family: Family, why: str) -> None:
        """The key has no account of this family."""
        ...


@dataclass(slots=True)
class PrivateStream:
    """One family's private connection. `stirred` is when news of an order came last, `worked` whether it was ever ready; `since`
    counts what was told before it was opened.
    """

    link: Link
    ready: bool = False
    worked: bool = False
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)
    stirred: float = 0.0
    settling: bool = False
    since: int = 0


class PrivateStreams:
    """By family: `accounts` the private connections, `trade_links` the sockets that only take orders.

    `problem` says why the key does not work, empty if it does.
    """

    def __init__(self, driver: Driver, tasks: Tasks, make_link: Callable[[Family, str], Link], told: Told) -> None:
        self.accounts: dict[str, PrivateStream] = {}
        self.trade_links: dict[str, Link] = {}
        self.problem = ""
        self._driver = driver
        self._tasks = tasks
        self._make_link = make_link
        self._told = told
        # by family: what is held, and when that was told last: by number, and by the clock if the stream told it
        self._held: dict[str, dict[tuple[type, str], tuple[int, float]]] = {}
        self._tellings = 0

    @property
    def links(self) -> list[Link]:
        """All of them."""
        return [*(account.link for account in self.accounts.values()), *self.trade_links.values()]

    def open(self, family: Family) -> None:
        """Connect, and stay connected."""
        self.accounts[family.name] = PrivateStream(self._make_link(family, Role.ACCOUNT))
        if family.trade_stream is not None and family.capabilities.orders_over_socket:
            self.trade_links[family.name] = self._make_link(family, Role.TRADE)

    def carried_by(self, link: Link) -> PrivateStream | None:
        """The private stream that this link carries, if it is one."""
        account = self.accounts.get(link.family)
        return account if account is not None and account.link is link else None

    def opened(self, account: PrivateStream) -> None:
        """Its socket is open."""
        account.since = self._tellings
        self._tasks.spawn(self._begin(account))

    def lost(self, account: PrivateStream, why: str) -> None:
        """Its socket is gone."""
        account.ready = False
        for task in account.tasks:
            task.cancel()
        account.tasks.clear()
        self._told.gone(account.link.family, why)

    def refused(self, link: Link, error: AuthenticationFailed) -> None:
        """The venue does not take the key. Trying again cannot mend that, unless it had worked: then it is tried rarely."""
        account = self.accounts.get(link.family)
        link.rest(REFUSED_EVERY if account is not None and account.worked else None)
        self.problem = f"{self._driver.venue.name} refused the key: {error}"
        link.text = self.problem
        self._told.gone(link.family, self.problem)

    async def _begin(self, account: PrivateStream) -> None:
        link = account.link
        family = self._driver.venue.family(link.family)
        try:
            for ask in link.stream.plan(frozenset(), [ACCOUNT_TOPIC], []):
                await link.ask(ask)
            self._driver.learn(family.name, await self._driver.run(family.trading.login(), family))
            await self.read(family)
        except NoSuchAccount as error:
            del self.accounts[family.name]
            self._told.missing(family, str(error))
            self._told.gone(family.name, str(error))
            await link.stop()
            return
        except AuthenticationFailed as error:
            if not isinstance(error, PASSING):
                self.refused(link, error)
            link.drop(f"the account could not be read: {error}")
            return
        except VenueError as error:
            link.drop(f"the account could not be read: {error}")
            return
        if not link.is_open:
            return
        self.problem = ""
        account.ready = account.worked = True
        account.tasks += [self._tasks.spawn(self._keep_up(account, family, keep)) for keep in family.keep_up]
        account.tasks += [self._tasks.spawn(self._poll(family, what, every)) for what, every in family.polls.items()]
        self._told.ready(family.name)

    async def read(self, family: Family) -> None:
        """Read balances and positions and tell them; what is held no more stands in no list, and is told too. Raises VenueError."""
        run, facts = self._driver.run, self._driver.facts[family.name]
        began = self._tellings
        rows: list[Balance | Position] = list(await run(family.trading.balances(facts), family))
        rows += await run(family.trading.positions(facts), family)
        for row in [*rows, *self._gone(rows, family.name, began)]:
            self._hold(row, family.name, float("-inf"))  # what only lists tell, the next list may end
            self._told.held(row, family.name)

    def _gone(self, rows: list[Balance | Position], family: str, began: int) -> list[Balance | Position]:
        """What was held and is in no list that was asked for after `began` tellings; what the stream told just now is believed."""
        listed = {_name(row) for row in rows}
        account = self.accounts.get(family)
        since = account.since if account is not None else began
        now = self._driver.clock.monotonic()
        return [
            _nothing(name, family)
            for name, (number, at) in self._held.get(family, {}).items()
            if name not in listed and number <= began and (number <= since or now - at > LAGGING)
        ]

    def heard(self, row: Balance | Position, family: str) -> None:
        """The stream told a balance or position."""
        self._hold(row, family, self._driver.clock.monotonic())

    def _hold(self, row: Balance | Position, family: str, at: float) -> None:
        self._tellings += 1
        names = self._held.setdefault(family, {})
        _, before = names.pop(_name(row), (0, at))
        if (row.size if isinstance(row, Position) else row.total) != ZERO:
            names[_name(row)] = (self._tellings, max(at, before))

    async def _keep_up(self, account: PrivateStream, family: Family, keep: KeepUp) -> None:
        while True:
            await asyncio.sleep(keep.period)
            try:
                await self._driver.run(keep.flow(self._driver.facts[family.name]), family)
            except VenueError as error:
                account.link.drop(f"{keep.name} could not be renewed: {error}")
                return

    async def _poll(self, family: Family, what: str, every: float) -> None:
        while True:
            await asyncio.sleep(every)
            try:
                await self.read(family)
            except VenueError as error:
                _log.info("%s %s could not be polled: %s", self._driver.venue.slug, what, error)

    def stir(self, link: Link) -> None:
        """There was news of an order: what has no event of its own is read when it is calm again."""
        account = self.carried_by(link)
        family = self._driver.venue.family(link.family)
        if account is None or not account.ready or not family.polls:
            return
        account.stirred = self._driver.clock.monotonic()
        if not account.settling:
            account.settling = True
            self._tasks.spawn(self._settle(account, family))

    async def _settle(self, account: PrivateStream, family: Family) -> None:
        monotonic = self._driver.clock.monotonic
        try:
            while account.ready:
                began, seen = monotonic(), account.stirred
                while (now := monotonic()) < (calm := min(account.stirred + SETTLED, began + SETTLED_AT_LAST)):
                    await asyncio.sleep(calm - now)
                    seen = account.stirred
                await self.read(family)
                if account.stirred == seen:
                    return
        except VenueError as error:
            _log.info("%s: what is held could not be read after an order: %s", self._driver.venue.slug, error)
        finally:
            account.settling = False


def _name(row: Balance | Position) -> tuple[type, str]:
    return type(row), row.wire if isinstance(row, Position) else row.asset


def _nothing(name: tuple[type, str], family: str) -> Balance | Position:
    kind, what = name
    if kind is Position:
        return Position(wire=what, family=family, size=ZERO)
    return Balance(asset=what, family=family, total=ZERO, available=ZERO, held=ZERO)
