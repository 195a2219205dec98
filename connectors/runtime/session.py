"""Session: one venue in one environment, with or without a key. Drives flows, books and connections.

It owns the sockets (`Link`), the HTTP client, the clocks and the budgets, and is the only place that knows all of them. To
the app it gives instruments, proven books, market events as plain calls, account events, and every trading operation
as a coroutine. Nothing here knows any single venue.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from typing import Any, Protocol, TypeVar

import msgspec

from connectors.contract import (
    UNREADABLE,
    Accepted,
    Active,
    Amend,
    Ask,
    Call,
    Caps,
    Channel,
    ClosingSoon,
    ControlEvent,
    Declined,
    Dial,
    Ended,
    Environment,
    Event,
    Family,
    FillSource,
    Flow,
    Lifecycle,
    LoginLost,
    Page,
    Pulse,
    Ready,
    Repair,
    Role,
    Search,
    Security,
    Source,
    Stamp,
    Step,
    Topic,
    Unknown,
    Venue,
)
from connectors.errors import (
    AuthenticationFailed,
    ClockSkewed,
    NonceTooLow,
    NoSuchAccount,
    NotPrepared,
    NotSent,
    NotSupported,
    OutcomeUnknown,
    RateLimited,
    Refused,
    Unintelligible,
    VenueError,
    VenueUnavailable,
)
from connectors.model import (
    Balance,
    BookBroken,
    BookCheck,
    BookDelta,
    BookSnapshot,
    Candle,
    Fees,
    Fill,
    Instrument,
    MarkPrice,
    OrderRef,
    OrderRequest,
    OrderUpdate,
    Position,
    Ticker,
    Trade,
    is_sound,
)
from connectors.runtime.amends import Amends
from connectors.runtime.clock import Clock
from connectors.runtime.derive import DerivedFills
from connectors.runtime.fees import LateFees
from connectors.runtime.http import Http
from connectors.runtime.limits import Limits
from connectors.runtime.pace import Pace
from connectors.runtime.record import Recorder
from connectors.runtime.socket import Link, LinkState
from connectors.runtime.verdict import verdict
from connectors.sync import BookSync

T = TypeVar("T")
_log = logging.getLogger(__name__)

HOUSEKEEPING = 0.25
SUCCESSION = 20.0  # seconds that a new socket may take until it carries every book
TRADES_KNOWN = 2000  # ids kept of each instrument
CLOCK_EVERY = 600.0  # seconds; clocks drift
ABSENT_EVERY = 60.0
LISTINGS_EVERY = 3600.0  # instruments open, close and change their grid
TRIES = 4  # of what may be repeated
REPLACE_AT = 0.9  # of a socket's allowed life
SETTLED = 0.5  # seconds without news of orders after which is read what has no event of its own
SETTLED_AT_LAST = 3.0  # seconds after which it is read although news goes on
ACCOUNT_TOPIC = Topic(Channel.ACCOUNT)


class Listener(Protocol):
    """What a session tells, by plain calls from its loop."""

    def market(self, event: Event, instrument: Instrument) -> None:
        """A trade, ticker, candle or mark price. Books are looked at through `Session.sync`."""
        ...

    def account(self, event: OrderUpdate | Fill | Balance | Position, family: str) -> None:
        """News of the private stream, or a row of a list that was read."""
        ...

    def ready(self, family: str) -> None:
        """The private stream of a family runs and its lists were read."""
        ...

    def lost(self, family: str, why: str) -> None:
        """The private stream of a family is gone."""
        ...

    def declined(self, text: str) -> None:
        """The venue refused a subscription, in its own words."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionHealth:
    """How one connection does. Rates are per second, ages in seconds, delay in ms from the venue's stamp to here."""

    family: str
    role: str
    url: str
    state: LinkState
    text: str
    messages: int
    rate: float
    bytes: int
    age: float | None
    delay_ms: float | None
    reconnects: int
    unknown: int
    declined: int
    topics: int
    gaps: int
    resyncs: int
    budget: tuple[float, float] | None


@dataclass(slots=True)
class _Market:
    """What is live of one instrument: how many want each topic, its book, and the link that owns the book."""

    instrument: Instrument
    wanted: dict[Topic, int] = field(default_factory=dict)
    sync: BookSync | None = None
    book_link: Link | None = None
    fetching: bool = False
    trade_ids: dict[str, None] = field(default_factory=dict)

    def knows(self, trade_id: str) -> bool:
        """Whether a trade was told before: by the other socket while one replaces another, or again after a subscription."""
        if not trade_id:
            return False
        if trade_id in self.trade_ids:
            return True
        self.trade_ids[trade_id] = None
        if len(self.trade_ids) > TRADES_KNOWN:
            for old in list(islice(self.trade_ids, TRADES_KNOWN // 2)):
                del self.trade_ids[old]
        return False


@dataclass(slots=True)
class _Account:
    link: Link
    ready: bool = False
    facts: dict[str, Any] = field(default_factory=dict)
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)
    stirred: float = 0.0  # when news of an order came last
    settling: bool = False


class Session:
    """See the module's text. `hosts` replaces real base URLs by local ones (practice); `secrets` by field name.

    `instruments` is by key and complete after `start`. `problem` says why the session does not work, empty if it does.
    """

    def __init__(
        self,
        venue: Venue,
        environment: Environment = Environment.LIVE,
        *,
        hosts: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        listener: Listener | None = None,
        recorder: Recorder | None = None,
        clock: Clock | None = None,
        chance: random.Random | None = None,
    ) -> None:
        self.venue = venue
        self.environment = environment
        self.instruments: dict[str, Instrument] = {}
        self.problem = ""
        self.absent: dict[str, str] = {}  # why, by family
        self.misdirected = 0  # events of instruments that nobody listed
        self._hosts = dict(hosts or {})
        self._secrets = dict(secrets or {})
        self._listener = listener
        self._recorder = recorder
        self._chance = chance or random.Random()
        self._clock = clock or Clock()
        self._http = Http()
        self._limits = {family.name: Limits(family.buckets, self._clock.monotonic) for family in venue.families}
        self._facts: dict[str, dict[str, Any]] = {family.name: {} for family in venue.families}
        self._derived = {
            family.name: DerivedFills(family.name)
            for family in venue.families
            if family.capabilities.fills is FillSource.CUMULATIVE
        }
        self._fees = {
            family.name: self._late_fees(family)
            for family in venue.families
            if family.capabilities.fills is FillSource.EVENT_FEE_CALL
        }
        self._amends = {family.name: Amends() for family in venue.families if family.capabilities.amend is Amend.NEW_ID}
        self._by_wire: dict[tuple[str, str], _Market] = {}
        self._links: list[Link] = []
        self._connects: dict[tuple[str, str], Pace] = {}
        self._successors: dict[Link, Link] = {}
        self._accounts: dict[str, _Account] = {}
        self._trade_links: dict[str, Link] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._housekeeper: asyncio.Task[None] | None = None
        self._said: set[str] = set()
        self._lane = asyncio.Lock()

    # -----------------------------------------------------------------------------------------------------------------
    # Life

    async def start(self) -> None:
        """Learn the clock and the instruments, open the private streams if there is a key. Raises VenueError.

        A venue that has closed is never dialled: without hosts of a practice exchange in its place this raises VenueUnavailable.
        """
        standing = self.venue.standing
        if standing.lifecycle is Lifecycle.CLOSED and not self._hosts:
            since = f" on {standing.since}" if standing.since else ""
            raise VenueUnavailable(f"{self.venue.name} closed{since}. It runs against the practice exchange only.")
        self._housekeeper = asyncio.ensure_future(self._keep_house())
        await self.refresh_clock()
        failures: list[VenueError] = []
        for family in self.venue.families:
            try:
                await self._learn_instruments(family)
            except VenueError as error:
                failures.append(error)
                self._miss(family, str(error))
        if len(failures) == len(self.venue.families):
            raise failures[0]
        self._spawn(self._again(CLOCK_EVERY, self._renew_clock))
        self._spawn(self._again(LISTINGS_EVERY, self._renew_instruments))
        self._spawn(self._again(ABSENT_EVERY, self._look_for_absent))
        if self._secrets:
            for family in self.families:
                self._open_account(family)

    @property
    def families(self) -> list[Family]:
        """Those that answer and that the key has an account of; `absent` says why the others are missing."""
        return [family for family in self.venue.families if family.name not in self.absent]

    def _miss(self, family: Family, why: str) -> None:
        self.absent[family.name] = why
        _log.warning("%s goes on without %s: %s", self.venue.name, family.name, why)

    async def _look_for_absent(self) -> None:
        """A family that could not be reached at the start may have come back."""
        for family in self.venue.families:
            if family.name in self.absent and not any(i.family == family.name for i in self.instruments.values()):
                await self._learn_instruments(family)
                del self.absent[family.name]
                if self._secrets:
                    self._open_account(family)

    async def _learn_instruments(self, family: Family) -> None:
        for instrument in await self.run(family.trading.instruments(), family):
            self.instruments[instrument.key] = instrument
            self._by_wire.setdefault((family.name, instrument.wire), _Market(instrument)).instrument = instrument
            self._facts[family.name].setdefault("instruments", {})[instrument.wire] = instrument

    async def _again(self, every: float, what: Callable[[], Awaitable[None]]) -> None:
        """Do something from time to time; what fails is tried at the next turn."""
        while True:
            await asyncio.sleep(every)
            try:
                await what()
            except VenueError as error:
                _log.info("%s: %s", self.venue.slug, error)

    async def _renew_clock(self) -> None:
        self._clock.forget()
        await self.refresh_clock()

    async def _renew_instruments(self) -> None:
        for family in self.families:
            await self._learn_instruments(family)

    async def stop(self) -> None:
        """Close everything. Orders at the venue stay as they are."""
        tasks = [*self._tasks, *(task for account in self._accounts.values() for task in account.tasks)]
        if self._housekeeper is not None:
            tasks.append(self._housekeeper)
        for task in tasks:
            task.cancel()
        links = [*self._links, *(account.link for account in self._accounts.values()), *self._trade_links.values()]
        await asyncio.gather(*(link.stop() for link in links), return_exceptions=True)
        await asyncio.gather(*(fees.stop() for fees in self._fees.values()), return_exceptions=True)
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._http.close()
        if self._recorder is not None:
            self._recorder.close()

    async def refresh_clock(self) -> None:
        """Sample the venue's clock a few times; keeps ours if the venue does not tell."""
        family = self.venue.families[0]
        for _ in range(3):
            sent = self._clock.local_ms()
            try:
                told = await self.run(family.trading.time(), family)
            except NotSupported:
                return
            self._clock.learn(told, sent, self._clock.local_ms())

    def stamp(self, family: str) -> Stamp:
        """This moment by the venue's clock."""
        return self._clock.stamp()

    @property
    def clock_offset_ms(self) -> float:
        """Venue time minus ours."""
        return self._clock.offset

    def facts(self, family: str) -> Mapping[str, Any]:
        """What the login told about the account."""
        return self._facts[family]

    # -----------------------------------------------------------------------------------------------------------------
    # Market data

    def subscribe(self, channel: Channel, instrument: Instrument, interval: str = "") -> None:
        """Want a channel of an instrument; counted, so that each `subscribe` needs its `unsubscribe`."""
        market = self._by_wire[instrument.family, instrument.wire]
        topic = Topic(channel, instrument.wire, interval)
        market.wanted[topic] = market.wanted.get(topic, 0) + 1
        if market.wanted[topic] > 1:
            return
        family = self._family(instrument)
        if channel is Channel.BOOK:
            market.sync = market.sync or BookSync(family.book, instrument.wire)
        link = self._link_for(family, topic)
        link.topics.add(topic)
        if channel is Channel.BOOK:
            market.book_link = link
        if link.is_open:
            self._spawn(self._change(link, add=[topic], drop=[]))

    def unsubscribe(self, channel: Channel, instrument: Instrument, interval: str = "") -> None:
        """Want it no more; the last one out ends the subscription."""
        market = self._by_wire[instrument.family, instrument.wire]
        topic = Topic(channel, instrument.wire, interval)
        market.wanted[topic] = market.wanted.get(topic, 0) - 1
        if market.wanted[topic] > 0:
            return
        market.wanted.pop(topic, None)
        if channel is Channel.BOOK and market.sync is not None:
            market.sync.disconnected("not subscribed", self._clock.monotonic())
            market.sync, market.book_link = None, None
        for link in list(self._links):
            if topic in link.topics:
                link.topics.discard(topic)
                if link.is_open:
                    self._spawn(self._change(link, add=[], drop=[topic]))
                if not link.topics:
                    self._links.remove(link)
                    self._spawn(self._stop_later(link))

    def sync(self, instrument: Instrument) -> BookSync | None:
        """The book of an instrument; None while nobody subscribed to it."""
        return self._by_wire[instrument.family, instrument.wire].sync

    def last_heard(self, instrument: Instrument) -> float | None:
        """Monotonic time of the last frame on the connection that carries the book."""
        link = self._by_wire[instrument.family, instrument.wire].book_link
        return link.last_frame if link is not None and link.counters.frames else None

    def instrument(self, family: str, wire: str) -> Instrument | None:
        """The instrument that a venue calls `wire`."""
        market = self._by_wire.get((family, wire))
        return market.instrument if market is not None else None

    @property
    def health(self) -> list[ConnectionHealth]:
        """All connections, market data first."""
        found = [self._health(link) for link in self._links]
        found += [self._health(account.link) for account in self._accounts.values()]
        return found + [self._health(link) for link in self._trade_links.values()]

    def budgets(self) -> dict[str, tuple[float, float]]:
        """Used and limit of every rate-limit bucket, by "family bucket"."""
        return {f"{name} {key}": value for name, limits in self._limits.items() for key, value in limits.used().items()}

    # -----------------------------------------------------------------------------------------------------------------
    # Operations

    async def place(self, order: OrderRequest) -> OrderUpdate:
        """Send an order; over the trade socket where there is one open, else over HTTP."""
        family = self._family(order.instrument)
        if family.name in self._derived:
            self._derived[family.name].expect(order.client_id)
        try:
            return await self._place(order, family)
        except NotPrepared:  # certainly not executed: learn what was missing, once
            learned = await self.run(family.trading.prepare(order.instrument, self._facts[family.name]), family)
            self._learn(family.name, learned)
            return await self._place(order, family)

    async def _place(self, order: OrderRequest, family: Family) -> OrderUpdate:
        facts = self._facts[family.name]
        if self._socket_for(family) is not None:
            try:
                return self._named(await self.run(family.trading.place(order, facts, socket=True), family), family)
            except NotSent:
                pass  # it certainly did not leave, so the other way is safe
        return self._named(await self.run(family.trading.place(order, facts), family), family)

    async def cancel(self, order: OrderRef) -> OrderUpdate:
        """Cancel one order."""
        family = self._family(order.instrument)
        facts = self._facts[family.name]
        if self._socket_for(family) is not None:
            try:
                return self._named(await self.run(family.trading.cancel(order, facts, socket=True), family), family)
            except NotSent:
                pass  # as above
        return self._named(await self.run(family.trading.cancel(order, facts), family), family)

    async def cancel_all(self, instrument: Instrument | None, family: Family | None = None) -> list[OrderUpdate]:
        """Cancel every order of an instrument, or of a whole family where it can (else NotSupported)."""
        if instrument is not None:
            family = self._family(instrument)
        if family is None:
            raise ValueError("cancel_all needs an instrument or a family")
        rows = await self.run(family.trading.cancel_all(instrument, self._facts[family.name]), family)
        return [self._named(row, family) for row in rows]

    async def amend(
        self, order: OrderRef, *, price: Decimal | None = None, amount: Decimal | None = None, client_id: str = ""
    ) -> OrderUpdate:
        """Change a resting order natively. Raises NotSupported where the venue cannot."""
        family = self._family(order.instrument)
        amends = self._amends.get(family.name)
        if amends is not None and amount is not None:
            amount -= amends.carried(order.venue_id)
        flow = family.trading.amend(order, self._facts[family.name], price=price, amount=amount, client_id=client_id)
        if amends is None or not order.venue_id:
            return self._named(await self.run(flow, family), family)
        amends.begin(order.venue_id)
        try:
            update = await self.run(flow, family)
        except (Refused, VenueUnavailable):
            for held in amends.refused(order.venue_id):
                self._tell_order(held, family.name)
            raise
        except BaseException:
            amends.unknown(order.venue_id)
            raise
        amends.done(update)
        return self._named(update, family)

    async def order(self, order: OrderRef) -> OrderUpdate:
        """What the venue knows of an order. Raises OrderNotFound."""
        family = self._family(order.instrument)
        return self._named(await self.run(family.trading.order(order, self._facts[family.name]), family), family)

    async def search(self, order: OrderRequest) -> Search:
        """What became of an order whose answer was lost."""
        family = self._family(order.instrument)
        found = await self.run(family.trading.search(order, self._facts[family.name]), family)
        if found.order is not None:
            self._named(found.order, family)
        return found

    async def open_orders(
        self, instrument: Instrument | None = None, family: Family | None = None
    ) -> list[OrderUpdate]:
        """Open orders of an instrument, of a family, or of everything."""
        families = [self._family(instrument)] if instrument is not None else [family] if family else self.families
        found: list[OrderUpdate] = []
        for family in families:
            rows = await self.run(family.trading.open_orders(instrument, self._facts[family.name]), family)
            found += [self._named(row, family) for row in rows]
        return found

    async def fills(self, instrument: Instrument, page: Page) -> list[Fill]:
        """Our executions, oldest first."""
        family = self._family(instrument)
        found = await self.run(family.trading.fills(instrument, page, self._facts[family.name]), family)
        if family.name not in self._derived:
            return found
        found, news = self._derived[family.name].read(found)
        self._tell_fills(news, family.name)
        return found

    async def balances(self) -> list[tuple[str, Balance]]:
        """Everything held, as (family, balance)."""
        found: list[tuple[str, Balance]] = []
        for family in self.families:
            rows = await self.run(family.trading.balances(self._facts[family.name]), family)
            found += [(family.name, row) for row in rows]
        return found

    async def positions(self) -> list[tuple[str, Position]]:
        """Open positions, as (family, position)."""
        found: list[tuple[str, Position]] = []
        for family in self.families:
            rows = await self.run(family.trading.positions(self._facts[family.name]), family)
            found += [(family.name, row) for row in rows]
        return found

    async def fees(self, instrument: Instrument) -> Fees:
        """Rates of this account for an instrument."""
        family = self._family(instrument)
        return await self.run(family.trading.fees(instrument, self._facts[family.name]), family)

    async def candles(self, instrument: Instrument, interval: str, page: Page) -> list[Candle]:
        """History, oldest first."""
        family = self._family(instrument)
        return await self.run(family.trading.candles(instrument, interval, page), family)

    async def trades(self, instrument: Instrument, limit: int = 200) -> list[Trade]:
        """Latest public trades, oldest first."""
        family = self._family(instrument)
        return await self.run(family.trading.trades(instrument, limit), family)

    async def tickers(self, instruments: Sequence[Instrument]) -> list[tuple[Instrument, Ticker]]:
        """24 h statistics of these instruments."""
        found: list[tuple[Instrument, Ticker]] = []
        for family in self.venue.families:
            mine = [instrument for instrument in instruments if instrument.family == family.name]
            if not mine:
                continue
            for row in await self.run(family.trading.tickers(mine), family):
                instrument = self.instrument(family.name, row.wire)
                if instrument is not None:
                    found.append((instrument, row))
        return found

    async def set_leverage(self, instrument: Instrument, leverage: int) -> None:
        """Leverage of a contract."""
        family = self._family(instrument)
        learned = await self.run(family.trading.set_leverage(instrument, leverage, self._facts[family.name]), family)
        self._learn(family.name, learned or {})

    async def dead_man(self, instrument: Instrument | None, seconds: float, family: Family) -> None:
        """(Re)arm the venue's own switch."""
        await self.run(family.trading.dead_man(instrument, seconds, self._facts[family.name]), family)

    # -----------------------------------------------------------------------------------------------------------------
    # Flows

    async def run(self, flow: Flow[T], family: Family) -> T:
        """Drive a flow to its result: seal, pace, send and read each step; repeat only what may be repeated."""
        acted = False
        try:
            step = next(flow)
            while True:
                try:
                    value = await self._step(step, family)
                except VenueError as error:
                    step = flow.throw(error)
                    continue
                acted = acted or not step.effect.repeatable
                try:
                    step = flow.send(value)
                except UNREADABLE as error:  # what an answer means can fail to make sense after it was read, too
                    kind = OutcomeUnknown if acted else Unintelligible
                    raise kind(f"an answer of unexpected shape ({type(error).__name__})") from error
        except StopIteration as stop:
            return stop.value

    async def _step(self, step: Step, family: Family) -> Any:
        skewed = False
        attempt = low = 0
        while True:
            attempt += 1
            try:
                return await self._once(step, family)
            except ClockSkewed:
                if skewed:
                    raise
                skewed = True  # certainly not executed: correct the clock and sign anew
                self._clock.forget()
                await self.refresh_clock()
            except NonceTooLow:
                low += (
                    1  # certainly not executed: overtaken on the way, or another program or an earlier clock was ahead
                )
                if low > 2:
                    raise
                if low == 2:
                    self._clock.leap()
            except RateLimited as error:
                self._limits[family.name].refused(step.costs, error.retry_after, banned=error.banned)
                if attempt >= TRIES or not step.effect.repeatable or error.banned:
                    raise
            except (VenueUnavailable, OutcomeUnknown):  # what changes nothing may be asked again
                if attempt >= TRIES or not step.effect.repeatable:
                    raise
                await asyncio.sleep(self._chance.uniform(0, 0.2 * 2**attempt))

    async def _once(self, step: Step, family: Family) -> Any:
        now = self._clock.ms()
        await self._limits[family.name].take([cost.at(now) for cost in step.costs], step.effect)
        if isinstance(step, Ask):
            link = self._link_of_role(family, step.endpoint)
            if link is None:
                raise NotSent(f"no {step.endpoint} socket is open")
            return await link.ask(step)
        base = family.url(step.endpoint, self.environment)
        if family.serial and step.security is not Security.NONE:
            async with self._lane:  # nonces must arrive in their order
                answer = await self._call(step, family, base)
        else:
            answer = await self._call(step, family, base)
        for name, used in family.used(answer.headers):
            self._limits[family.name].told(name, used)
        return verdict(step, answer)

    async def _call(self, step: Call, family: Family, base: str) -> Any:
        wire = family.signer.seal(step, self._secrets, self._facts[family.name], self._clock.stamp(), base)
        sent = self._clock.ms()
        try:
            answer = await self._http.send(self._local(base), wire, step.timeout)
        except OutcomeUnknown as error:
            if step.effect.repeatable:
                raise VenueUnavailable(str(error)) from None
            raise
        if self._recorder is not None:
            self._recorder.http(base + wire.path, wire, answer)
        return type(answer)(answer.status, answer.body, answer.headers, sent, self._clock.ms())

    # -----------------------------------------------------------------------------------------------------------------
    # What links need (socket.Owner)

    async def open_stream(self, link: Link) -> tuple[str, Dial]:
        """Run a stream's opening flow and say where to dial."""
        family = self.venue.family(link.family)
        try:
            dial = await self.run(link.stream.opening(self._facts[family.name]), family)
        except AuthenticationFailed as error:
            if link.role == Role.ACCOUNT and not isinstance(error, ClockSkewed):
                self._refused_key(link, error)
            raise
        self._learn(family.name, dial.facts)
        real = dial.url if dial.url is not None else family.url(link.role, self.environment) + dial.path
        link.named = self._real(real.partition("?")[0])
        return self._local(real), dial

    def seal_ask(self, link: Link, ask: Ask) -> str | bytes:
        """Sign an Ask now."""
        family = self.venue.family(link.family)
        base = family.url(link.role, self.environment)
        wire = family.signer.seal(ask, self._secrets, self._facts[family.name], self._clock.stamp(), base)
        if wire.frame is None:
            raise NotSent("the signer made no frame")
        return wire.frame

    def _learn(self, family: str, facts: Mapping[str, Any]) -> None:
        """Keep facts about the account; what opens doors among them is never written down."""
        self._facts[family].update(facts)
        if self._recorder is not None:
            tokens = [value for name, value in facts.items() if isinstance(value, str) and _OPENS.search(name)]
            self._recorder.hide(tokens)

    def record(self, link: Link, direction: str, frame: str | bytes, ask: Ask | None = None) -> None:
        """Write a frame down, if anybody wants it; one that was signed for `ask` as it was before."""
        if self._recorder is not None:
            if ask is not None and ask.security is not Security.NONE:
                frame = _unsigned(ask)
            self._recorder.frame(f"{link.family}.{link.role}.{link.counters.connects}", direction, link.named, frame)

    def opened(self, link: Link) -> None:
        """Subscribe to everything that this link carries."""
        account = self._accounts.get(link.family)
        if account is not None and account.link is link:
            self._spawn(self._begin_account(account))
            return
        if link.topics:
            self._spawn(self._change(link, add=sorted(link.topics, key=_order), drop=[], fresh=True))

    def lost(self, link: Link, why: str) -> None:
        """Every book of this link is old from now on; a private stream is gone."""
        now = self._clock.monotonic()
        for topic in link.topics:
            market = self._by_wire.get((link.family, topic.wire))
            if (
                topic.channel is Channel.BOOK
                and market is not None
                and market.sync is not None
                and market.book_link is link
            ):
                market.sync.disconnected(f"the connection was lost ({why})", now)
        account = self._accounts.get(link.family)
        if account is not None and account.link is link:
            account.ready = False
            for task in account.tasks:
                task.cancel()
            account.tasks.clear()
            if self._listener is not None:
                self._listener.lost(link.family, why)

    def received(self, link: Link, events: list[Event]) -> None:
        """What a frame meant."""
        now = link.last_frame
        family = link.family
        markets = self._by_wire
        for event in events:
            if isinstance(event, (BookDelta, BookSnapshot)):
                market = markets.get((family, event.wire))
                if market is None or market.sync is None:
                    self.misdirected += market is None
                    continue
                if event.time is not None:
                    link.counters.delay_ms = self._clock.ms() - event.time
                self._book_event(link, market, event, now)
            elif isinstance(event, _NUMBERS) and not is_sound(event):
                link.counters.unknown += 1
                self._control(link, Unknown(f"a number that is none in a {type(event).__name__}"))
            elif isinstance(event, (OrderUpdate, Fill, Balance, Position)):
                if isinstance(event, OrderUpdate):
                    event.family = family
                    self._derive(event, listed=event.listed)
                    self._tell_order(event, family)
                elif self._listener is not None:
                    self._listener.account(event, family)
                if isinstance(event, Fill) and family in self._fees:
                    self._fees[family].heard(event)
                if isinstance(event, (OrderUpdate, Fill)):
                    self._stir(link, family)
            elif isinstance(event, (BookCheck, BookBroken)):
                self._book_note(link, event, now)
            elif isinstance(event, _CONTROL):
                self._control(link, event)
            elif isinstance(event, _DRAWN):
                market = markets.get((family, event.wire))
                if market is None:
                    self.misdirected += 1
                elif self._listener is not None and not (isinstance(event, Trade) and market.knows(event.id)):
                    self._listener.market(event, market.instrument)

    # -----------------------------------------------------------------------------------------------------------------
    # Books

    def _book_event(self, link: Link, market: _Market, event: BookDelta | BookSnapshot, now: float) -> None:
        sync = market.sync
        if sync is None:
            return
        if market.book_link is not link:
            # A successor that warms up. Numbered books may hear both; a streamed image moves the book over.
            if sync.rule.source is Source.STREAM:
                if not isinstance(event, BookSnapshot):
                    return
                market.book_link = link
            elif link not in self._successors:
                return
        if isinstance(event, BookDelta):
            sync.delta(event, now)
        else:
            sync.snapshot(event, now)
        if sync.need is not None:
            self._repair(market, now)

    def _book_note(self, link: Link, event: BookCheck | BookBroken, now: float) -> None:
        if isinstance(event, BookCheck):
            wires: Sequence[str] = (event.wire,)
        else:
            wires = event.wires if event.wires is not None else [topic.wire for topic in link.topics]
        for wire in wires:
            market = self._by_wire.get((link.family, wire))
            if market is None or market.sync is None or market.book_link is not link:
                continue
            if isinstance(event, BookCheck):
                market.sync.check(event, now)
            else:
                market.sync.hole(event.why, now)
            self._repair(market, now)

    def _repair(self, market: _Market, now: float) -> None:
        """Do what the book needs, if it is time for it."""
        sync, link = market.sync, market.book_link
        if sync is None or link is None or market.fetching:
            return
        repair = sync.due(now)
        if repair is None or not link.is_open:
            return
        sync.asked(repair, now)
        match repair:
            case Repair.REFETCH:
                market.fetching = True
                self._spawn(self._fetch(market, sync))
            case Repair.RESUBSCRIBE:
                topics = [
                    topic
                    for topic in link.topics
                    if topic.wire == market.instrument.wire and topic.channel is Channel.BOOK
                ]
                self._spawn(self._resubscribe(link, topics))
            case Repair.RECONNECT:
                link.drop(f"the book of {market.instrument.symbol} could not be repaired otherwise")
            case Repair.WAIT:
                pass

    async def _fetch(self, market: _Market, sync: BookSync) -> None:
        family = self._family(market.instrument)
        try:
            snapshot = await self.run(family.trading.book(market.instrument), family)
        except VenueError as error:
            sync.failed(f"the snapshot could not be had: {error}", self._clock.monotonic())
        else:
            if market.sync is sync:
                sync.snapshot(snapshot, self._clock.monotonic())
        finally:
            market.fetching = False

    async def _resubscribe(self, link: Link, topics: list[Topic]) -> None:
        await self._change(link, add=[], drop=topics)
        await self._change(link, add=topics, drop=[])

    async def _keep_house(self) -> None:
        """Four times a second: what has fallen silent, what is due, what must be replaced."""
        while True:
            await asyncio.sleep(HOUSEKEEPING)
            now = self._clock.monotonic()
            for link in self._all_links():
                link.tick()
                self._replace_if_old(link, now)
            for market in self._by_wire.values():
                sync, link = market.sync, market.book_link
                if sync is None or link is None:
                    continue
                if link.is_open:
                    if now - link.last_frame < sync.rule.quiet_after:
                        sync.alive(link.last_frame)
                    self._repair(market, now)

    # -----------------------------------------------------------------------------------------------------------------
    # Links

    def _family(self, instrument: Instrument) -> Family:
        return self.venue.family(instrument.family)

    def _all_links(self) -> list[Link]:
        links = [*self._links, *(account.link for account in self._accounts.values()), *self._trade_links.values()]
        return links + [link for link in self._successors if link not in links]

    def _make_link(self, family: Family, role: str) -> Link:
        def stream() -> Any:
            if role == Role.ACCOUNT:
                return family.account_stream()
            if role == Role.TRADE and family.trade_stream is not None:
                return family.trade_stream()
            return family.market_stream(role)

        caps, pulse = family.caps.get(role, Caps()), family.pulse.get(role, Pulse())
        connects = self._connects.setdefault((family.name, role), Pace((caps.connects,) if caps.connects else ()))
        link = Link(self, family.name, role, stream, caps, pulse, self._clock.monotonic, self._chance, connects)
        link.start()
        return link

    def _link_for(self, family: Family, topic: Topic) -> Link:
        """A link of the right role with room for one more topic."""
        role = family.route(topic)
        for link in self._links:
            room = link.caps.topics is None or len(link.topics) < link.caps.topics
            if link.family == family.name and link.role == role and room:
                return link
        link = self._make_link(family, role)
        self._links.append(link)
        return link

    def _link_of_role(self, family: Family, role: str) -> Link | None:
        candidates = [self._trade_links.get(family.name)]
        account = self._accounts.get(family.name)
        candidates.append(account.link if account is not None else None)
        candidates += self._links
        for link in candidates:
            if link is not None and link.family == family.name and link.role == role and link.is_open:
                return link
        return None

    def _socket_for(self, family: Family) -> Link | None:
        """The open socket that takes orders, if the family has one."""
        if not family.capabilities.orders_over_socket:
            return None
        return self._link_of_role(family, Role.TRADE if family.trade_stream is not None else Role.ACCOUNT)

    async def _change(self, link: Link, *, add: Sequence[Topic], drop: Sequence[Topic], fresh: bool = False) -> None:
        """Subscribe and unsubscribe on an open link; books begin to wait for their image."""
        now = self._clock.monotonic()
        for topic in add:
            market = self._by_wire.get((link.family, topic.wire))
            warming = link in self._successors
            if topic.channel is Channel.BOOK and market is not None and market.sync is not None and not warming:
                market.book_link = link
                market.sync.subscribed(now)
        active = frozenset() if fresh else frozenset(link.topics) - frozenset(add)
        for ask in link.stream.plan(active, list(add), list(drop)):
            try:
                await link.ask(ask)
            except VenueError as error:
                link.counters.declined += 1
                self._decline(f"{self.venue.name}: {error}")

    def _replace_if_old(self, link: Link, now: float) -> None:
        """Open the next socket before the venue closes this one."""
        if not link.is_open or link in self._successors or link in self._successors.values():
            return
        old = link.closing_soon or (link.life is not None and now - link.opened_at > link.life * REPLACE_AT)
        if not old:
            return
        if link not in self._links:
            link.drop("replaced before its end")  # private: subscribe first, then read, loses nothing
            return
        family = self.venue.family(link.family)
        successor = self._make_link(family, link.role)
        successor.topics = set(link.topics)
        self._successors[successor] = link
        self._spawn(self._succeed(link, successor))

    async def _succeed(self, link: Link, successor: Link) -> None:
        """Let both feed until the new one carries every book, then close the old one."""
        opened_at: float | None = None
        while link.is_open:
            await asyncio.sleep(HOUSEKEEPING / 5)
            if not successor.is_open:
                continue  # the old socket serves as long as it lasts
            now = self._clock.monotonic()
            opened_at = opened_at if opened_at is not None else now
            if successor.counters.frames > len(successor.topics) and self._carries_books(successor):
                break
            if now - opened_at > SUCCESSION:
                break
        self._successors.pop(successor, None)
        if link not in self._links:  # nobody wants any of it any more
            await successor.stop()
            return
        self._links[self._links.index(link)] = successor
        late, gone = link.topics - successor.topics, successor.topics - link.topics
        successor.topics = set(link.topics)
        for topic in successor.topics - late:
            if topic.channel is Channel.BOOK:
                self._by_wire[link.family, topic.wire].book_link = successor
        await link.stop()
        if successor.is_open and (late or gone):
            await self._change(successor, add=sorted(late, key=_order), drop=sorted(gone, key=_order))

    def _carries_books(self, successor: Link) -> bool:
        """Whether every streamed book has its image from the new socket; numbered ones join by their numbers."""
        markets = [
            self._by_wire[successor.family, topic.wire] for topic in successor.topics if topic.channel is Channel.BOOK
        ]
        streamed = [market for market in markets if market.sync and market.sync.rule.source is Source.STREAM]
        return all(market.book_link is successor for market in streamed)

    async def _stop_later(self, link: Link) -> None:
        await link.stop()

    def _control(self, link: Link, event: ControlEvent) -> None:
        match event:
            case Declined():
                link.counters.declined += 1
                self._decline(f"{self.venue.name} refused a subscription: {event.text}")
            case Ended():
                self._spawn(self._change(link, add=list(event.topics), drop=[]))
            case LoginLost():
                link.drop(f"login ended: {event.why}")
            case Unknown():
                if event.what not in self._said:
                    self._said.add(event.what)
                    _log.warning("%s sent something that is not understood: %s", self.venue.slug, event.what)
            case Ready():
                self._learn(link.family, event.facts)
            case Accepted() | Active() | ClosingSoon():
                pass
            case _:
                pass

    def _decline(self, text: str) -> None:
        _log.warning("%s", text)
        if self._listener is not None:
            self._listener.declined(text)

    # -----------------------------------------------------------------------------------------------------------------
    # Accounts

    def _open_account(self, family: Family) -> None:
        link = self._make_link(family, Role.ACCOUNT)
        self._accounts[family.name] = _Account(link)
        if family.trade_stream is not None and family.capabilities.orders_over_socket:
            self._trade_links[family.name] = self._make_link(family, Role.TRADE)

    async def _begin_account(self, account: _Account) -> None:
        """Subscribe first, then read everything, then say that it is ready: so nothing falls between."""
        link = account.link
        family = self.venue.family(link.family)
        try:
            for ask in link.stream.plan(frozenset(), [ACCOUNT_TOPIC], []):
                await link.ask(ask)
            self._learn(family.name, await self.run(family.trading.login(), family))
            await self.read_account(family)
        except NoSuchAccount as error:
            del self._accounts[family.name]
            self._miss(family, str(error))
            if self._listener is not None:
                self._listener.lost(family.name, str(error))
            await link.stop()
            return
        except AuthenticationFailed as error:
            self._refused_key(link, error)
            return
        except VenueError as error:
            link.drop(f"the account could not be read: {error}")
            return
        if not link.is_open:
            return
        self.problem = ""
        account.ready = True
        account.tasks += [asyncio.ensure_future(self._keep_up(family, keep)) for keep in family.keep_up]
        account.tasks += [
            asyncio.ensure_future(self._poll(family, what, every)) for what, every in family.polls.items()
        ]
        if self._listener is not None:
            self._listener.ready(family.name)

    def _refused_key(self, link: Link, error: AuthenticationFailed) -> None:
        self.problem = f"{self.venue.name} refused the key: {error}"
        link.text = self.problem
        if self._listener is not None:
            self._listener.lost(link.family, self.problem)

    async def read_account(self, family: Family) -> None:
        """Read balances and positions and tell them. Raises VenueError."""
        facts = self._facts[family.name]
        rows: list[Balance | Position] = list(await self.run(family.trading.balances(facts), family))
        rows += await self.run(family.trading.positions(facts), family)
        if self._listener is not None:
            for row in rows:
                self._listener.account(row, family.name)

    async def refresh_account(self) -> None:
        """Read balances and positions of every family anew. Raises VenueError."""
        for family in self.families:
            await self.read_account(family)

    async def _keep_up(self, family: Family, keep: Any) -> None:
        while True:
            await asyncio.sleep(keep.period)
            try:
                await self.run(keep.flow(self._facts[family.name]), family)
            except VenueError as error:
                self._accounts[family.name].link.drop(f"{keep.name} could not be renewed: {error}")
                return

    def _stir(self, link: Link, family: str) -> None:
        """There was news of an order: what has no event of its own is read when it is calm again."""
        account = self._accounts.get(family)
        if account is None or account.link is not link or not account.ready or not self.venue.family(family).polls:
            return
        account.stirred = self._clock.monotonic()
        if not account.settling:
            account.settling = True
            self._spawn(self._settle(account, self.venue.family(family)))

    async def _settle(self, account: _Account, family: Family) -> None:
        try:
            while account.ready:
                began, seen = self._clock.monotonic(), account.stirred
                while (now := self._clock.monotonic()) < min(account.stirred + SETTLED, began + SETTLED_AT_LAST):
                    await asyncio.sleep(min(account.stirred + SETTLED, began + SETTLED_AT_LAST) - now)
                    seen = account.stirred
                await self.read_account(family)
                if account.stirred == seen:
                    return
        except VenueError as error:
            _log.info("%s: what is held could not be read after an order: %s", self.venue.slug, error)
        finally:
            account.settling = False

    async def _poll(self, family: Family, what: str, every: float) -> None:
        while True:
            await asyncio.sleep(every)
            try:
                await self.read_account(family)
            except VenueError as error:
                _log.info("%s %s could not be polled: %s", self.venue.slug, what, error)

    # -----------------------------------------------------------------------------------------------------------------

    def _local(self, url: str) -> str:
        """`url` with a practice host in place of the real one; the longest prefix wins."""
        for real in sorted(self._hosts, key=len, reverse=True):
            if url.startswith(real):
                return self._hosts[real] + url[len(real) :]
        return url

    def _real(self, url: str) -> str:
        """`url` with the real host in place of a practice one: an address that a call told is local already."""
        for real, local in self._hosts.items():
            if url.startswith(local):
                return real + url[len(local) :]
        return url

    def _named(self, update: OrderUpdate, family: Family) -> OrderUpdate:
        """An answer about an order: it gets its family, and what it tells of executions is told."""
        update.family = family.name
        self._derive(update, listed=True)
        if family.name in self._amends:
            self._amends[family.name].complete(update)
        return update

    def _tell_order(self, update: OrderUpdate, family: str) -> None:
        """News of an order, unless an amend gave the order another id."""
        amends = self._amends.get(family)
        if self._listener is not None and (amends is None or amends.told(update)):
            self._listener.account(update, family)

    def _late_fees(self, family: Family) -> LateFees:
        async def read(wire: str, start: int) -> list[Fill]:
            instrument = self.instrument(family.name, wire)
            return await self.fills(instrument, Page(start=start)) if instrument is not None else []

        return LateFees(read, lambda fill: self._tell_fills([fill], family.name))

    def _derive(self, update: OrderUpdate, *, listed: bool) -> None:
        derived = self._derived.get(update.family)
        if derived is not None:
            self._tell_fills(derived.heard(update, listed=listed, now=int(self._clock.ms())), update.family)

    def _tell_fills(self, fills: Sequence[Fill], family: str) -> None:
        if self._listener is not None:
            for fill in fills:
                self._listener.account(fill, family)

    def _health(self, link: Link) -> ConnectionHealth:
        counters = link.counters
        syncs = [
            market.sync.counters
            for topic in link.topics
            if topic.channel is Channel.BOOK
            and (market := self._by_wire.get((link.family, topic.wire))) is not None
            and market.sync is not None
        ]
        budgets = self._limits[link.family].used()
        fullest = max(budgets.values(), key=lambda level: level[0] / level[1], default=None)
        return ConnectionHealth(
            family=link.family,
            role=link.role,
            url=link.url,
            state=link.state,
            text=link.text,
            messages=counters.frames,
            rate=link.rate,
            bytes=counters.bytes,
            age=self._clock.monotonic() - link.last_frame if counters.frames else None,
            delay_ms=counters.delay_ms,
            reconnects=max(0, counters.connects - 1),
            unknown=counters.unknown,
            declined=counters.declined,
            topics=len(link.topics),
            gaps=sum(sync.gaps for sync in syncs),
            resyncs=sum(sync.resyncs for sync in syncs),
            budget=fullest,
        )

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s: an error on this side: %r", self.venue.slug, error, exc_info=error)


_OPENS = re.compile(r"token|listen|jwt|session|secret", re.IGNORECASE)


def _unsigned(ask: Ask) -> str:
    """What a signed frame said, without what signing added to it."""
    try:
        return msgspec.json.encode({"unsigned": ask.payload}).decode()
    except (TypeError, ValueError):
        return '{"unsigned": null}'


_DRAWN = (Trade, Ticker, Candle, MarkPrice)
_NUMBERS = (*_DRAWN, OrderUpdate, Fill, Balance, Position)
_CONTROL = (Accepted, Active, ClosingSoon, Declined, Ended, LoginLost, Ready, Unknown)


def _order(topic: Topic) -> tuple[str, str, str]:
    return (topic.wire, topic.channel, topic.interval)
