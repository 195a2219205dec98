"""Accounts: one venue in one environment, with its session, balances, positions, fees and health.

A practice account brings its own exchange on loopback; a paper account hears the venue's public data and trades with itself.
A closed venue refuses anything but practice, honestly.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import StrEnum
from functools import partial
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from PySide6.QtCore import QObject, Signal

from app.paper import FUNDS, PaperSession
from app.paper_fees import public_rates
from app.paper_store import PaperStore
from app.vault import VaultProblem
from connectors import catalogue
from connectors.contract import Environment, Event, Lifecycle, Role
from connectors.errors import PASSING, NotSupported, RateLimited, Refused, VenueError
from connectors.model import Balance, Fees, Fill, Instrument, KeyInfo, Market, OrderUpdate, Position
from connectors.runtime.pace import pause_after
from connectors.runtime.record import Recorder
from connectors.runtime.session import ConnectionHealth, Listener, Session

if TYPE_CHECKING:
    from app.practice_process import PracticeProcess
    from app.settings import Preferences
    from app.vault import Vault
    from connectors.contract import Venue
    from connectors.practice.server import PracticeServer
    from connectors.sync import BookSync

_log = logging.getLogger(__name__)

AGAIN_FIRST, AGAIN_LONGEST = (
    2.0,
    60.0,
)  # seconds between attempts to start an account that could not be reached, before jitter


def _passes(error: VenueError) -> bool:
    """Whether trying again may help. What the venue refuses once it refuses always, but for what only passes."""
    return not isinstance(error, Refused) or isinstance(error, PASSING)


def _uncollected(make: Callable[[], PracticeServer]) -> PracticeServer:
    """`make()` without the cyclic collector, which would else run in this thread and delete what belongs to the window's."""
    gc.disable()
    try:
        return make()
    finally:
        gc.enable()


def _exchange(venue: Venue) -> PracticeServer:
    """A practice exchange in this process; only who wants one pays for what it imports."""
    from connectors.practice.server import PracticeServer

    return PracticeServer(venue)


class AccountState(StrEnum):
    """How an account does."""

    OFF = "off"
    CONNECTING = "connecting"
    READY = "ready"
    DEGRADED = "degraded"  # market data runs, the private stream does not
    FAILED = "failed"


class AccountObserver(Protocol):
    """Whoever deals with orders."""

    def account_event(self, account: Account, event: object, family: str) -> None:
        """News of the private stream."""
        ...

    def account_ready(self, account: Account) -> None:
        """Connected, and the first lists were read."""
        ...

    def account_lost(self, account: Account, why: str) -> None:
        """The private connection is gone."""
        ...


class Account(QObject):
    """See the module. `session` is a Session, or a ReplaySource in replay; None while off. `text` says what is wrong.

    An account that could not be reached is tried again by itself, more and more rarely, until it is stopped; one that the venue
    refuses (key, permission, an account that it does not have) is not.
    """

    changed = Signal()

    def __init__(self, venue: Venue, environment: Environment, owner: Accounts) -> None:
        super().__init__()
        self.venue = venue
        self.environment = environment
        self.id = f"{venue.slug}:{environment}"
        self.state = AccountState.OFF
        self.text = ""
        self.session: Any = None
        self.server: PracticeServer | None = None
        self.process: PracticeProcess | None = None
        self.balances: dict[tuple[str, str], Balance] = {}
        self.positions: dict[str, Position] = {}
        self.version = 0  # of balances and positions
        self.recorder: Recorder | None = None
        self.keyed = False  # whether it can hold orders: it was started with a key, or trades on paper
        self._owner = owner
        self._fees: dict[str, Fees] = {}
        self._leverages: dict[str, Decimal] = {}
        self._fees_asked: set[str] = set()
        self._ready: set[str] = set()
        self._starting: asyncio.Future[None] | None = None
        self._failures = 0
        self._next_at = 0.0
        self._again: asyncio.Task[None] | None = None  # waits for the next attempt

    @property
    def again_in(self) -> float | None:
        """Seconds until it is tried again by itself; None if it is not."""
        return max(0.0, self._next_at - time.monotonic()) if self._again is not None else None

    @property
    def words(self) -> str:
        """`text`, and when what went wrong is tried again."""
        left = self.again_in
        if left is not None:
            return f"{self.text}; trying again in {ceil(left)} s"
        if self.state is not AccountState.READY:
            for row in self.health():
                if row.role == Role.ACCOUNT and row.next_in is not None and row.text:
                    why = "" if row.text in self.text else f"{row.text}; "
                    return f"{self.text} ({why}trying again in {ceil(row.next_in)} s)"
        return self.text

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.venue.name} {self.environment}"

    @property
    def instruments(self) -> dict[str, Instrument]:
        """By key; empty while off."""
        return self.session.instruments if self.session is not None else {}

    @property
    def can_trade(self) -> bool:
        """Whether orders can go out at all."""
        return self.state is AccountState.READY and not self.read_only

    @property
    def key(self) -> dict[str, KeyInfo]:
        """What the key may do, by family, as far as the venue tells; nothing while off."""
        facts = getattr(self.session, "facts", None)  # a recording has none
        told = {family.name: facts(family.name).get("key") for family in self.venue.families} if facts else {}
        return {name: info for name, info in told.items() if isinstance(info, KeyInfo)}

    @property
    def read_only(self) -> bool:
        """Whether the venue told that the key may not trade, in no family of which it tells anything."""
        told = [info.can_trade for info in self.key.values() if info.can_trade is not None]
        return bool(told) and not any(told)

    @property
    def warnings(self) -> list[str]:
        """What the trader must know about the key, in words."""
        found = []
        for name, info in self.key.items():
            where = f" in {name}" if len(self.venue.families) > 1 else ""
            if info.can_trade is False:
                found.append(
                    f"This key may only read{where}, {self.venue.name} says: no orders. Make one that may trade."
                )
            if info.can_withdraw:
                found.append(
                    f"This key may withdraw{where}. Fathom never needs that: make one without, delete this one."
                )
        return found

    # life

    async def start(self) -> None:
        """Connect, at once also where the next attempt is waited for. What goes wrong stands in `state` and `text`."""
        if self.state not in (AccountState.OFF, AccountState.FAILED):
            return
        self._wait_no_more()
        self._set(AccountState.CONNECTING, "Connecting")
        self._starting = asyncio.ensure_future(self._start())
        await asyncio.wait({self._starting})

    async def _start(self) -> None:
        await self._close()  # what a refused key left behind: public data runs on without it
        try:
            hosts, secrets = await self._where()
            self.keyed = bool(secrets) or self.environment is Environment.PAPER
            if secrets:
                self._owner.hide(secrets)

            def connect(listener: Listener) -> Session:
                return Session(
                    self.venue,
                    Environment.TESTNET if self.environment is Environment.TESTNET else Environment.LIVE,
                    hosts=hosts,
                    secrets=secrets,
                    listener=listener,
                    recorder=self._recorder(secrets),
                )

            paper = self.environment is Environment.PAPER
            self.session = self._paper(connect) if paper else connect(self)
            await self.session.start()
        except VenueError as error:
            after = error.retry_after if isinstance(error, RateLimited) else None
            reached = "refused" if isinstance(error, Refused) else "could not be reached"
            text = str(error) if isinstance(error, NotSupported) else f"{self.venue.name} {reached}: {error}"
            await self._give_up(text, again=_passes(error), after=after)
        except VaultProblem as problem:
            self.keyed = True  # there may be one, and orders that were placed with it
            await self._give_up(f"The key could not be read: {problem}", again=False)
        except OSError as error:
            await self._give_up(f"{self.venue.name} could not be started: {error}", again=True)
        except Exception as error:  # noqa: BLE001 - an error of ours at one venue must hold up no other
            _log.exception("%s did not start", self.name)
            text = f"An error on this side ({type(error).__name__}) kept {self.name} from starting"
            await self._give_up(text, again=False)
        else:
            self._failures = 0
            if paper:
                self._say_paper()
            elif not secrets:
                self._set(AccountState.DEGRADED, "Market data only: no key.")
            self._owner.changed.emit(self.id)

    async def stop(self) -> None:
        """Disconnect, and try no more; a practice exchange ends with its account."""
        self._wait_no_more()
        self._failures = 0
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
            await asyncio.wait({self._starting})
        await self._close()
        self._set(AccountState.OFF, "")

    async def _close(self) -> None:
        session, self.session = self.session, None
        self._ready.clear()
        if session is not None:
            self._owner.changed.emit(self.id)  # whoever looks at its books lets go of them first
            await session.stop()
        self.balances.clear()  # the next session reads all of them, maybe with another key
        self.positions.clear()
        server, self.server = self.server, None
        if server is not None:
            await server.stop()
        process, self.process = self.process, None
        if process is not None:
            await process.stop()

    async def _where(self) -> tuple[dict[str, str], dict[str, str]]:
        """Hosts and secrets for the environment. Raises VenueError with an honest sentence where there is no way."""
        if self.environment is Environment.PRACTICE and self.venue.slug in self._owner.served:
            return self._owner.served[self.venue.slug]
        if self.environment is Environment.PRACTICE and self._owner.practice is not None:
            try:
                self.process = self._owner.practice(self.venue.slug)
                await self.process.start()
            except OSError as error:  # no other process can be had: it runs in this one then
                _log.warning("%s", error)
            else:
                return self.process.hosts, self.process.credentials
        if self.environment is Environment.PRACTICE:
            # filling thousands of levels takes a while; the window goes on living meanwhile
            self.server = await asyncio.to_thread(_uncollected, partial(self._owner.exchange, self.venue))
            await self.server.start()
            return self.server.hosts, self.server.credentials
        if self.venue.standing.lifecycle is Lifecycle.CLOSED:
            closed = f"{self.venue.name} closed {self.venue.standing.since}".strip()
            if self.environment is Environment.PAPER:
                raise NotSupported(f"{closed}. Paper needs its live books, so there is none; Practice runs.")
            raise NotSupported(f"{closed}. It runs against the practice exchange only.")
        hosts = dict(self._owner.hosts.get(self.venue.slug, {}))
        if self.environment is Environment.PAPER:
            return hosts, {}
        # a keyring may ask the user to unlock it first: that must not hold up the window
        return hosts, await asyncio.to_thread(self._owner.vault.load, self.venue.slug, self.environment) or {}

    def _paper(self, connect: Callable[[Listener], Any]) -> PaperSession:
        """Paper orders in front of the venue's public data."""
        preferences, folder = self._owner.preferences, self._owner.paper
        return PaperSession(
            self.venue,
            connect,
            listener=self,
            store=PaperStore(folder / f"{self.venue.slug}.sqlite" if folder is not None else None),
            rates=self._paper_rates,
            funds=preferences.paper_funds.get(self.id, FUNDS) if preferences is not None else FUNDS,
        )

    def _paper_rates(self, instrument: Instrument) -> Fees:
        """Rates that the trader set, else those of the live account, else the venue's public ones."""
        preferences = self._owner.preferences
        if preferences is not None and self.id in preferences.paper_fees:
            return preferences.paper_fees[self.id]
        live = self._owner.accounts.get(f"{self.venue.slug}:{Environment.LIVE}")
        known = live.fees(instrument) if live is not None else None
        return known if known is not None else public_rates(instrument)[0]

    def _say_paper(self) -> None:
        """What must be known of the paper account's file."""
        problem = self.session.store.problem
        if problem:
            self._set(self.state, problem)

    def paper_changed(self) -> None:
        """Fee rates or funds of a paper account were set anew."""
        self._fees.clear()
        self._fees_asked.clear()
        if isinstance(self.session, PaperSession):
            self.session.rates_changed()
        self.version += 1
        self.changed.emit()

    async def reset_paper(self, funds: Mapping[str, Decimal]) -> None:
        """Start a running paper account anew: orders cancelled, positions and fills forgotten. Raises VenueError."""
        if isinstance(self.session, PaperSession):
            await self.session.reset(funds)

    def _recorder(self, secrets: dict[str, str]) -> Recorder | None:
        folder = self._owner.recordings
        if folder is None:
            return None
        name = f"{self.venue.slug}-{self.environment}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}.jsonl.zst"
        self.recorder = Recorder(folder / name, secrets.values())
        return self.recorder

    async def _give_up(self, text: str, *, again: bool, after: float | None = None) -> None:
        """It does not run; `again`: it is tried once more by itself, not before `after` seconds."""
        await self._close()
        if again:
            self._failures += 1
            pause = AGAIN_FIRST + pause_after(self._failures, AGAIN_FIRST, AGAIN_LONGEST, self._owner.chance)
            pause = max(after or 0.0, pause)
            _log.warning("%s; trying again in %.0f s", text, pause)
            self._next_at = time.monotonic() + pause
            self._again = asyncio.ensure_future(self._start_later(pause))
        else:
            _log.warning("%s", text)
        self._set(AccountState.FAILED, text)

    async def _start_later(self, pause: float) -> None:
        await asyncio.sleep(pause)
        self._again = None
        await self.start()

    def _wait_no_more(self) -> None:
        waiting, self._again = self._again, None
        if waiting is not None:
            waiting.cancel()

    def _set(self, state: AccountState, text: str) -> None:
        self.state, self.text = state, text
        self.version += 1
        self.changed.emit()
        self._owner.changed.emit(self.id)

    # what it holds

    def instrument(self, wire: str, family: str) -> Instrument | None:
        """By the venue's own name."""
        return self.session.instrument(family, wire) if self.session is not None else None

    def sync(self, instrument: Instrument) -> BookSync | None:
        """The book of an instrument, if anybody looks at it."""
        return self.session.sync(instrument) if self.session is not None else None

    def available(self, instrument: Instrument) -> dict[str, Decimal]:
        """What can be spent by the instrument's family, by asset."""
        return {
            asset: balance.available if balance.available is not None else balance.total or Decimal(0)
            for (family, asset), balance in self.balances.items()
            if family == instrument.family
        }

    def position(self, instrument: Instrument) -> Position | None:
        """The open position in a contract."""
        return self.positions.get(instrument.key)

    def leverage(self, instrument: Instrument) -> Decimal | None:
        """Leverage of a contract, as far as a position or a change told it; 1 on spot."""
        return Decimal(1) if instrument.market is Market.SPOT else self._leverages.get(instrument.key)

    async def set_leverage(self, instrument: Instrument, leverage: int) -> None:
        """Leverage of new positions in a contract. Raises VenueError."""
        await self.session.set_leverage(instrument, leverage)
        self._leverages[instrument.key] = Decimal(leverage)
        self.version += 1
        self.changed.emit()

    def fees(self, instrument: Instrument) -> Fees | None:
        """Rates, once the venue told them; asked for at the first look."""
        if instrument.key not in self._fees and instrument.key not in self._fees_asked and self.can_trade:
            self._fees_asked.add(instrument.key)
            self._owner.spawn(self._ask_fees(instrument))
        return self._fees.get(instrument.key)

    async def _ask_fees(self, instrument: Instrument) -> None:
        try:
            self._fees[instrument.key] = await self.session.fees(instrument)
        except VenueError as error:
            _log.info("no fee rates of %s: %s", instrument.key, error)
        self.version += 1
        self.changed.emit()

    async def refresh(self) -> None:
        """Read balances and positions anew. Raises VenueError."""
        await self.session.refresh_account()

    def health(self) -> list[ConnectionHealth]:
        """Its connections."""
        return self.session.health if self.session is not None else []

    # what its session tells (session.Listener)

    def market(self, event: Event, instrument: Instrument) -> None:
        """Hand market events to the feeds."""
        self._owner.market(event, instrument, self.environment)

    def account(self, event: OrderUpdate | Fill | Balance | Position, family: str) -> None:
        """Balances and positions stay here, orders and fills go to the desk."""
        if isinstance(event, Balance):
            self._take_balance(event, family)
        elif isinstance(event, Position):
            self._take_position(event, family)
        else:
            for observer in self._owner.observers:
                observer.account_event(self, event, family)

    def _take_balance(self, event: Balance, family: str) -> None:
        key = (family, event.asset)
        old = self.balances.get(key)
        if old is not None and (event.available is None or event.held is None):
            # a sparse event moves the total; what is available moves with it until it is read again
            moved = (event.total or Decimal(0)) - (old.total or Decimal(0)) if event.total is not None else Decimal(0)
            available = event.available if event.available is not None else (old.available or Decimal(0)) + moved
            held = event.held if event.held is not None else old.held
            total = event.total if event.total is not None else old.total
            event = Balance(
                asset=event.asset, family=family, total=total, available=available, held=held, time=event.time
            )
        self.balances[key] = event
        self.version += 1
        self.changed.emit()

    def _take_position(self, event: Position, family: str) -> None:
        instrument = self.instrument(event.wire, family)
        if instrument is None:
            return
        if event.leverage:
            self._leverages[instrument.key] = event.leverage
        if event.size == 0:
            self.positions.pop(instrument.key, None)
        else:
            old = self.positions.get(instrument.key)
            fields = {name: getattr(event, name) for name in Position.__struct_fields__}
            if old is not None:
                fields |= {name: getattr(old, name) for name, value in fields.items() if value is None}
            self.positions[instrument.key] = Position(**fields)
        self.version += 1
        self.changed.emit()

    def ready(self, family: str) -> None:
        """A private stream runs; when all do, the account trades."""
        self._ready.add(family)
        self._trade_if_all_are_ready()

    def _trade_if_all_are_ready(self) -> None:
        absent: dict[str, str] = getattr(self.session, "absent", {})
        wanted = {family.name for family in self.venue.families} - absent.keys()
        if wanted and self._ready >= wanted:
            said = [*self.warnings, *(f"without {name}: {why}" for name, why in absent.items())]
            self._set(AccountState.READY, "; ".join(said))
            for warning in self.warnings:
                _log.warning("%s: %s", self.name, warning)
            for observer in self._owner.observers:
                observer.account_ready(self)

    def lost(self, family: str, why: str) -> None:
        """A private stream is gone."""
        self._ready.discard(family)
        if self.state is AccountState.READY:
            self._set(AccountState.DEGRADED, f"The private connection was lost ({why}); connecting again.")
            for observer in self._owner.observers:
                observer.account_lost(self, why)
        elif self.session is not None and self.session.problem:
            self._set(AccountState.FAILED, self.session.problem)
        elif self.state is AccountState.CONNECTING:
            self._set(AccountState.CONNECTING, f"The private connection was lost ({why}); connecting again.")
        elif self.session is not None and family in self.session.absent:
            self._trade_if_all_are_ready()

    def declined(self, text: str) -> None:
        """The venue refused a subscription."""
        self.text = text
        self.changed.emit()


class Accounts(QObject):
    """All accounts. `focus` is the one that new panels and the ticket use. `changed` gives an account's id.

    `served`: hosts and credentials, by venue, of practice exchanges that run elsewhere on this machine already. `practice` makes
    a practice exchange in a process of its own; while it is None they run in this one, where `exchange` makes them.
    """

    changed = Signal(str)
    focus_changed = Signal(str)

    def __init__(
        self,
        vault: Vault,
        *,
        recordings: Path | None = None,
        paper: Path | None = None,
        preferences: Preferences | None = None,
        hide: Callable[[Any], None] = lambda secrets: None,
    ) -> None:
        super().__init__()
        self.vault = vault
        self.recordings = recordings
        self.paper = paper  # folder of paper accounts; None keeps them in memory
        self.preferences = preferences
        self.hosts: dict[str, Mapping[str, str]] = {}  # by venue: other addresses in place of the real ones
        self.accounts: dict[str, Account] = {}
        self.observers: list[AccountObserver] = []
        self.served: dict[str, tuple[dict[str, str], dict[str, str]]] = {}
        self.practice: Callable[[str], PracticeProcess] | None = None
        self.exchange: Callable[[Venue], PracticeServer] = _exchange
        self.market: Callable[[Event, Instrument, Environment], None] = lambda event, instrument, environment: None
        self._hide = hide
        self._focus = ""
        self.chance = random.Random()
        self._tasks: set[asyncio.Task[Any]] = set()

    def add_observer(self, observer: AccountObserver) -> None:
        """Tell it about orders."""
        self.observers.append(observer)

    def hide(self, secrets: dict[str, str]) -> None:
        """Keep these out of logs."""
        self._hide(secrets.values())

    @property
    def focus(self) -> Account | None:
        """The account in use."""
        return self.accounts.get(self._focus)

    def set_focus(self, account_id: str) -> None:
        """Use another account."""
        if account_id != self._focus and account_id in self.accounts:
            self._focus = account_id
            self.focus_changed.emit(account_id)

    def add(self, slug: str, environment: Environment) -> Account:
        """The account of a venue in an environment, made if needed, not started. Raises VenueUnknown."""
        account_id = f"{slug}:{environment}"
        if account_id not in self.accounts:
            self.accounts[account_id] = Account(catalogue.load(slug), environment, self)
            if not self._focus:
                self._focus = account_id
            self.changed.emit(account_id)
        return self.accounts[account_id]

    def spawn(self, work: Any) -> None:
        """Run something in the background; its failure is logged."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("an error on this side: %r", error, exc_info=error)

    async def stop(self) -> None:
        """Stop all."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*(account.stop() for account in self.accounts.values()), return_exceptions=True)
