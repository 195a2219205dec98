"""The terminal: builds every part, starts and stops them in order. The one place where parts meet; there are no globals."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from urllib.parse import urlsplit

from PySide6.QtCore import QObject

from app.accounts import Account, Accounts, AccountState
from app.catalogue import Catalogue
from app.desk import Desk
from app.journal import Journal
from app.log import Logs
from app.markets import Markets
from app.settings import Settings
from app.vault import Vault
from connectors import catalogue as connectors
from connectors.contract import Environment
from connectors.runtime.replay import ReplaySource, hosts_of

_log = logging.getLogger(__name__)

FIRST_VENUE = "binance"  # the Gold venue of the quarter


class Terminal(QObject):
    """`replay`: a recording to show instead of connecting anywhere; `venue` its slug if the file does not tell."""

    def __init__(
        self, *, replay: Path | None = None, venue: str = "", speed: float = 1.0, settings: Settings | None = None
    ) -> None:
        super().__init__()
        self.settings = settings or Settings()
        self.logs = Logs(self.settings.logs)
        self.vault = Vault(self.settings.data)
        self.catalogue = Catalogue(self.settings.quarters)
        recordings = self.settings.recordings if self.settings.preferences.recording else None
        self.accounts = Accounts(
            self.vault,
            recordings=recordings,
            paper=self.settings.paper,
            preferences=self.settings.preferences,
            hide=self.logs.hide,
        )
        self.markets = Markets(self.accounts)
        self.accounts.market = self.markets.market
        self.journal = Journal(self.settings.journal)
        self.desk = Desk(self.accounts, self.markets, self.journal, self.settings)
        self._replay = replay
        self._venue = venue
        self._speed = speed

    @property
    def is_replay(self) -> bool:
        """Whether a recording is shown."""
        return self._replay is not None

    async def start(self) -> None:
        """Start the desk and the accounts. A recording that can't be read raises OSError or ValueError."""
        await self.desk.start()
        if self.settings.notice:
            self.desk.tell("danger", self.settings.notice)
        for problem in self.catalogue.problems:
            self.desk.tell("warn", f"A table of exchanges that was imported cannot be used: {problem}")
        if self._replay is not None:
            await self._start_replay(self._replay)
            return
        wanted = [self.accounts.add(slug, environment) for slug, environment in wanted_accounts(self.settings)]
        wanted += [self.accounts.add(slug, environment) for slug, environment in self._with_orders()]
        await asyncio.gather(*(account.start() for account in wanted))  # one that can't be reached holds up no other

    def _with_orders(self) -> list[tuple[str, Environment]]:
        """Further accounts that may hold orders of an earlier run: whatever ran last, their end must be learned."""
        found = []
        holding = {order.account for order in self.desk.working()}
        for account_id in sorted(holding | {line.account for line in self.desk.killing.cut_off}):
            account = _account(account_id)
            if account is None:
                words = f"The journal has orders at {account_id.replace(':', ' ')} that may stand; this build cannot ask there."
                self.desk.tell("danger", f"{words} Look at them at the venue itself.")
            elif account_id not in self.accounts.accounts:
                found.append(account)
        return found

    async def _start_replay(self, path: Path) -> None:
        _must_exist(path)
        slug = self._venue or venue_of(path)
        own = _hosts(slug)
        if not any(host in own for host in hosts_of(path)):
            name = connectors.load(slug).name
            self.desk.tell("danger", f"{path.name} names no address of {name}: nothing in it can be shown as {name}'s.")
        account: Account = self.accounts.add(slug, Environment.LIVE)
        account.session = ReplaySource(path, account.venue, listener=account, speed=self._speed)
        await account.session.start()
        account.state, account.text = AccountState.DEGRADED, f"Replaying {path.name}; nothing can be traded."
        self.accounts.changed.emit(account.id)

    async def stop(self) -> None:
        """Stop everything in reverse order, within seconds."""
        try:
            async with asyncio.timeout(8):
                await self.desk.stop()
                await self.accounts.stop()
        except TimeoutError:
            _log.warning("something did not stop in time")
        await self.desk.close()
        self.logs.close()


def wanted_accounts(settings: Settings) -> list[tuple[str, Environment]]:
    """What runs at the start: the accounts of the last time, else the practice exchange of the first venue."""
    found = []
    for account_id in settings.preferences.accounts or [f"{FIRST_VENUE}:{Environment.PRACTICE}"]:
        account = _account(account_id)
        if account is not None:
            found.append(account)
    return found


def _account(account_id: str) -> tuple[str, Environment] | None:
    """Venue and environment, if this build has them."""
    slug, _, environment = account_id.partition(":")
    known = slug in connectors.slugs() and environment in set(Environment)
    return (slug, Environment(environment)) if known else None


def _must_exist(path: Path) -> None:
    if not path.is_file():
        raise OSError(f"there is no file {path}")


def venue_of(path: Path) -> str:
    """Whose recording this is, by the hosts in it. Raises OSError, ValueError."""
    known = {host: slug for slug in connectors.slugs() for host in _hosts(slug)}
    for host in hosts_of(path):
        if host in known:
            return known[host]
    raise ValueError(f"{path.name} names no host of a known venue; say whose it is with --venue SLUG")


def _hosts(slug: str) -> set[str]:
    """Where a venue's connector connects to."""
    endpoints = [endpoint for family in connectors.load(slug).families for endpoint in family.endpoints]
    urls = [url for endpoint in endpoints for url in (endpoint.url, endpoint.testnet) if url]
    return {urlsplit(url).hostname or "" for url in urls}
