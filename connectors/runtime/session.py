"""Session: one venue in one environment, with or without a key. The app's door to a venue.

It puts together what each has one job: the `Driver` takes flows to their results, `Feeds` keep market data and books,
`PrivateStreams` the account, `OrderNews` completes what is told of orders. To the app it gives instruments, proven books,
market events as plain calls, account events, and every trading operation as a coroutine. Nothing here knows any single
venue.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol, TypeVar

from connectors.contract import (
    Accepted,
    Active,
    Ask,
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
    Flow,
    Lifecycle,
    LoginLost,
    Page,
    Pulse,
    Ready,
    Role,
    Search,
    Stamp,
    Topic,
    Unknown,
    Venue,
)
from connectors.errors import (
    PASSING,
    AuthenticationFailed,
    NotPrepared,
    NotSent,
    Refused,
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
from connectors.runtime.clock import Clock, lasting
from connectors.runtime.driver import Driver
from connectors.runtime.feeds import Feeds, is_old
from connectors.runtime.health import ConnectionHealth, health_of
from connectors.runtime.news import OrderNews
from connectors.runtime.pace import Pace
from connectors.runtime.private import PrivateStreams
from connectors.runtime.record import Recorder
from connectors.runtime.socket import Link
from connectors.runtime.tasks import Tasks
from connectors.sync import BookSync

T = TypeVar("T")
_log = logging.getLogger(__name__)

HOUSEKEEPING = 0.25
HELD_UP = 10.0  # seconds without housekeeping after which every socket is replaced
CLOCK_EVERY = 600.0  # seconds; clocks drift
ABSENT_EVERY = 60.0
LISTINGS_EVERY = 3600.0  # instruments open, close and change their grid

__all__ = ["ConnectionHealth", "Listener", "Session"]


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


class Session:
    """See the module's text. `hosts` replaces real base URLs by local ones (practice); `secrets` by field name.

    `instruments` is by key and complete after `start`; `absent` says why a family is missing.
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
        self.absent: dict[str, str] = {}
        self._listener = listener
        self._tasks = Tasks(venue.slug)
        self._connects: dict[tuple[str, str], Pace] = {}
        self._said: set[str] = set()
        self.driver = Driver(
            venue,
            environment,
            self._link_of_role,
            hosts=hosts or {},
            secrets=secrets or {},
            recorder=recorder,
            clock=clock or Clock(),
            chance=chance or random.Random(),
        )
        self.feeds = Feeds(self.driver, self._tasks, self._make_link, self._tell_market, self._decline)
        self.private = PrivateStreams(self.driver, self._tasks, self._make_link, self)
        self.news = OrderNews(venue, self.driver.clock, self._tell_account, self._read_fills)

    # -----------------------------------------------------------------------------------------------------------------
    # Life

    async def start(self) -> None:
        """Learn the clock and the instruments, open the private streams if there is a key. Raises VenueError.

        A venue that has closed is never dialled: without hosts of a practice exchange in its place this raises VenueUnavailable.
        """
        standing = self.venue.standing
        if standing.lifecycle is Lifecycle.CLOSED and not self.driver.hosts:
            since = f" on {standing.since}" if standing.since else ""
            raise VenueUnavailable(f"{self.venue.name} closed{since}. It runs against the practice exchange only.")
        self._tasks.spawn(self._keep_house())
        await self.driver.refresh_clock()
        failures: list[VenueError] = []
        for family in self.venue.families:
            try:
                await self._learn_instruments(family)
            except VenueError as error:
                failures.append(error)
                self.missing(family, str(error))
        if len(failures) == len(self.venue.families):
            raise failures[0]
        self._tasks.spawn(self._again(CLOCK_EVERY, self.driver.renew_clock))
        self._tasks.spawn(self._again(LISTINGS_EVERY, self._renew_instruments))
        self._tasks.spawn(self._again(ABSENT_EVERY, self.look_for_absent))
        if self.driver.secrets:
            for family in self.families:
                self.private.open(family)

    async def stop(self) -> None:
        """Close everything. Orders at the venue stay as they are."""
        await self._tasks.stop()
        links = [*self.feeds.links, *self.feeds.successors, *self.private.links]
        await asyncio.gather(*(link.stop() for link in links), return_exceptions=True)
        await self.news.stop()
        await self.driver.close()

    @property
    def families(self) -> list[Family]:
        """Those that answer and that the key has an account of; `absent` says why the others are missing."""
        return [family for family in self.venue.families if family.name not in self.absent]

    @property
    def problem(self) -> str:
        """Why the key does not work, empty if it does."""
        return self.private.problem

    async def look_for_absent(self) -> None:
        """A family that could not be reached at the start may have come back. Raises VenueError if one has not."""
        failure: VenueError | None = None
        for family in self.venue.families:
            if family.name in self.absent and not any(i.family == family.name for i in self.instruments.values()):
                try:
                    await self._learn_instruments(family)
                except VenueError as error:  # the others do not wait for this one
                    failure = error
                    continue
                del self.absent[family.name]
                if self.driver.secrets:
                    self.private.open(family)
        if failure is not None:
            raise failure

    async def _learn_instruments(self, family: Family) -> None:
        for instrument in await self.run(family.trading.instruments(), family):
            self.instruments[instrument.key] = instrument
            self.feeds.add(instrument)
            self.driver.facts[family.name].setdefault("instruments", {})[instrument.wire] = instrument

    async def _renew_instruments(self) -> None:
        for family in self.families:
            await self._learn_instruments(family)

    async def _again(self, every: float, what: Callable[[], Awaitable[None]]) -> None:
        """Do something from time to time; what fails is tried at the next turn."""
        while True:
            await asyncio.sleep(every)
            try:
                await what()
            except VenueError as error:
                _log.info("%s: %s", self.venue.slug, error)

    async def _keep_house(self) -> None:
        """Four times a second: what has fallen silent, what is due, what must be replaced."""
        last = lasting()
        while True:
            await asyncio.sleep(HOUSEKEEPING)
            last, before = lasting(), last
            if last - before > HELD_UP:
                self._wake_up(last - before)
            now = self.driver.clock.monotonic()
            for link in [*self.feeds.links, *self.feeds.successors]:
                link.tick()
                if link not in self.feeds.successors:
                    self.feeds.replace_if_old(link, now)
            for link in self.private.links:
                link.tick()
                if is_old(link, now):
                    link.drop("replaced before its end")  # subscribe first, then read: it loses nothing
            self.feeds.look(now)

    def _wake_up(self, seconds: float) -> None:
        """The machine slept, or this program was held up: no book is what the market is now, and sockets may be dead unnoticed."""
        _log.warning("%s: nothing was done here for %.0f s; connecting anew", self.venue.slug, seconds)
        for link in [*self.feeds.links, *self.feeds.successors, *self.private.links]:
            link.drop(f"this machine slept or was held up for {seconds:.0f} s")

    def stamp(self, family: str) -> Stamp:
        """This moment by the venue's clock."""
        return self.driver.clock.stamp()

    @property
    def clock_offset_ms(self) -> float:
        """Venue time minus ours (`clock.steady`)."""
        return self.driver.clock.offset

    def facts(self, family: str) -> Mapping[str, Any]:
        """What the login told about the account."""
        return self.driver.facts[family]

    # -----------------------------------------------------------------------------------------------------------------
    # Market data

    def subscribe(self, channel: Channel, instrument: Instrument, interval: str = "") -> None:
        """Want a channel of an instrument; counted, so that each `subscribe` needs its `unsubscribe`."""
        self.feeds.subscribe(Topic(channel, instrument.wire, interval), instrument, self._family(instrument))

    def unsubscribe(self, channel: Channel, instrument: Instrument, interval: str = "") -> None:
        """Want it no more; the last one out ends the subscription."""
        self.feeds.unsubscribe(Topic(channel, instrument.wire, interval), instrument)

    def sync(self, instrument: Instrument) -> BookSync | None:
        """The book of an instrument; None while nobody subscribed to it."""
        return self.feeds.markets[instrument.family, instrument.wire].sync

    def last_heard(self, instrument: Instrument) -> float | None:
        """Monotonic time of the last frame on the connection that carries the book."""
        link = self.feeds.markets[instrument.family, instrument.wire].book_link
        return link.last_frame if link is not None and link.counters.frames else None

    def instrument(self, family: str, wire: str) -> Instrument | None:
        """The instrument that a venue calls `wire`."""
        market = self.feeds.markets.get((family, wire))
        return market.instrument if market is not None else None

    @property
    def misdirected(self) -> int:
        """Events of instruments that nobody listed."""
        return self.feeds.misdirected

    @property
    def health(self) -> list[ConnectionHealth]:
        """All connections, market data first."""
        now = self.driver.clock.monotonic()
        return [
            health_of(link, self.feeds.books_of(link), self.driver.limits[link.family].used(), now)
            for link in [*self.feeds.links, *self.private.links]
        ]

    def budgets(self) -> dict[str, tuple[float, float]]:
        """Used and limit of every rate-limit bucket, by "family bucket"."""
        limits = self.driver.limits.items()
        return {f"{name} {key}": value for name, mine in limits for key, value in mine.used().items()}

    # -----------------------------------------------------------------------------------------------------------------
    # Operations

    async def place(self, order: OrderRequest) -> OrderUpdate:
        """Send an order; over the trade socket where there is one open, else over HTTP."""
        family = self._family(order.instrument)
        self.news.expect(order.client_id, family)
        try:
            return await self._place(order, family)
        except NotPrepared:  # certainly not executed: learn what was missing, once
            learned = await self.run(family.trading.prepare(order.instrument, self.driver.facts[family.name]), family)
            self.driver.learn(family.name, learned)
            return await self._place(order, family)

    async def _place(self, order: OrderRequest, family: Family) -> OrderUpdate:
        facts = self.driver.facts[family.name]
        if self.order_socket(family) is not None:
            try:
                return self.news.answer(await self.run(family.trading.place(order, facts, socket=True), family), family)
            except NotSent:
                pass  # it certainly did not leave, so the other way is safe
        return self.news.answer(await self.run(family.trading.place(order, facts), family), family)

    async def cancel(self, order: OrderRef) -> OrderUpdate:
        """Cancel one order."""
        family = self._family(order.instrument)
        facts = self.driver.facts[family.name]
        if self.order_socket(family) is not None:
            try:
                return self.news.answer(
                    await self.run(family.trading.cancel(order, facts, socket=True), family), family
                )
            except NotSent:
                pass  # as above
        return self.news.answer(await self.run(family.trading.cancel(order, facts), family), family)

    async def cancel_all(self, instrument: Instrument | None, family: Family | None = None) -> list[OrderUpdate]:
        """Cancel every order of an instrument, or of a whole family where it can (else NotSupported)."""
        if instrument is not None:
            family = self._family(instrument)
        if family is None:
            raise ValueError("cancel_all needs an instrument or a family")
        rows = await self.run(family.trading.cancel_all(instrument, self.driver.facts[family.name]), family)
        return [self.news.answer(row, family) for row in rows]

    async def amend(
        self, order: OrderRef, *, price: Decimal | None = None, amount: Decimal | None = None, client_id: str = ""
    ) -> OrderUpdate:
        """Change a resting order natively. Raises NotSupported where the venue cannot."""
        family = self._family(order.instrument)
        amends = self.news.amends(family)
        if amends is not None and amount is not None:
            amount -= amends.carried(order.venue_id)
        flow = family.trading.amend(
            order, self.driver.facts[family.name], price=price, amount=amount, client_id=client_id
        )
        if amends is None or not order.venue_id:
            return self.news.answer(await self.run(flow, family), family)
        amends.begin(order.venue_id, order.client_id)
        try:
            update = await self.run(flow, family)
        except (Refused, VenueUnavailable):
            for held in amends.refused(order.venue_id):
                self.news.order(held, family.name)
            raise
        except BaseException:
            amends.unknown(order.venue_id)
            raise
        amends.done(update)
        return self.news.answer(update, family)

    async def order(self, order: OrderRef) -> OrderUpdate:
        """What the venue knows of an order. Raises OrderNotFound."""
        family = self._family(order.instrument)
        return self.news.answer(
            await self.run(family.trading.order(order, self.driver.facts[family.name]), family), family
        )

    async def search(self, order: OrderRequest) -> Search:
        """What became of an order whose answer was lost."""
        family = self._family(order.instrument)
        found = await self.run(family.trading.search(order, self.driver.facts[family.name]), family)
        if found.order is not None:
            self.news.answer(found.order, family)
        return found

    async def open_orders(
        self, instrument: Instrument | None = None, family: Family | None = None
    ) -> list[OrderUpdate]:
        """Open orders of an instrument, of a family, or of everything."""
        families = [self._family(instrument)] if instrument is not None else [family] if family else self.families
        found: list[OrderUpdate] = []
        for family in families:
            rows = await self.run(family.trading.open_orders(instrument, self.driver.facts[family.name]), family)
            found += [self.news.answer(row, family) for row in rows]
        return found

    async def fills(self, instrument: Instrument, page: Page) -> list[Fill]:
        """Our executions, oldest first."""
        family = self._family(instrument)
        found = await self.run(family.trading.fills(instrument, page, self.driver.facts[family.name]), family)
        return self.news.fills_read(found, family)

    async def balances(self) -> list[tuple[str, Balance]]:
        """Everything held, as (family, balance)."""
        found: list[tuple[str, Balance]] = []
        for family in self.families:
            rows = await self.run(family.trading.balances(self.driver.facts[family.name]), family)
            found += [(family.name, row) for row in rows]
        return found

    async def positions(self) -> list[tuple[str, Position]]:
        """Open positions, as (family, position)."""
        found: list[tuple[str, Position]] = []
        for family in self.families:
            rows = await self.run(family.trading.positions(self.driver.facts[family.name]), family)
            found += [(family.name, row) for row in rows]
        return found

    async def fees(self, instrument: Instrument) -> Fees:
        """Rates of this account for an instrument."""
        family = self._family(instrument)
        return await self.run(family.trading.fees(instrument, self.driver.facts[family.name]), family)

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
        learned = await self.run(
            family.trading.set_leverage(instrument, leverage, self.driver.facts[family.name]), family
        )
        self.driver.learn(family.name, learned or {})

    async def dead_man(self, instrument: Instrument | None, seconds: float, family: Family) -> None:
        """(Re)arm the venue's own switch."""
        await self.run(family.trading.dead_man(instrument, seconds, self.driver.facts[family.name]), family)

    async def read_account(self, family: Family) -> None:
        """Read balances and positions and tell them. Raises VenueError."""
        await self.private.read(family)

    async def refresh_account(self) -> None:
        """Read balances and positions of every family anew. Raises VenueError."""
        for family in self.families:
            await self.private.read(family)

    async def run(self, flow: Flow[T], family: Family) -> T:
        """Drive a flow to its result. Raises VenueError."""
        return await self.driver.run(flow, family)

    async def _read_fills(self, family: Family, wire: str, start: int) -> list[Fill]:
        instrument = self.instrument(family.name, wire)
        return await self.fills(instrument, Page(start=start)) if instrument is not None else []

    # -----------------------------------------------------------------------------------------------------------------
    # What links need (socket.Owner)

    async def open_stream(self, link: Link) -> tuple[str, Dial]:
        """Run a stream's opening flow and say where to dial."""
        family = self.venue.family(link.family)
        try:
            dial = await self.run(link.stream.opening(self.driver.facts[family.name]), family)
        except AuthenticationFailed as error:
            if link.role == Role.ACCOUNT and not isinstance(error, PASSING):
                self.private.refused(link, error)
            raise
        self.driver.learn(family.name, dial.facts)
        real = dial.url if dial.url is not None else family.url(link.role, self.environment) + dial.path
        link.named = self.driver.real(real.partition("?")[0])
        return self.driver.local(real), dial

    def seal_ask(self, link: Link, ask: Ask) -> str | bytes:
        """Sign an Ask now."""
        return self.driver.seal(link, ask)

    def record(self, link: Link, direction: str, frame: str | bytes, ask: Ask | None = None) -> None:
        """Write a frame down, if anybody wants it; one that was signed for `ask` as it was before."""
        self.driver.record(link, direction, frame, ask)

    def opened(self, link: Link) -> None:
        """A socket is open and greeted."""
        account = self.private.carried_by(link)
        if account is not None:
            self.private.opened(account)
        else:
            self.feeds.opened(link)

    def lost(self, link: Link, why: str) -> None:
        """A socket is gone."""
        account = self.private.carried_by(link)
        if account is not None:
            self.private.lost(account, why)
        else:
            self.feeds.lost(link, why)

    def received(self, link: Link, events: list[Event]) -> None:
        """What a frame meant."""
        feeds, family = self.feeds, link.family
        for event in events:
            if isinstance(event, (BookDelta, BookSnapshot)):
                feeds.book(link, event)
            elif isinstance(event, _NUMBERS) and not is_sound(event):
                link.counters.unknown += 1
                self._control(link, Unknown(f"a number that is none in a {type(event).__name__}"))
            elif isinstance(event, _DRAWN):
                feeds.drawn(link, event)
            elif isinstance(event, OrderUpdate):
                self.news.order(event, family)
                self.private.stir(link)
            elif isinstance(event, Fill):
                self.news.fill(event, family)
                self.private.stir(link)
            elif isinstance(event, (Balance, Position)):
                self.private.heard(event, family)
                self._tell_account(event, family)
            elif isinstance(event, (BookCheck, BookBroken)):
                feeds.book_note(link, event)
            elif isinstance(event, _CONTROL):
                self._control(link, event)

    def _control(self, link: Link, event: ControlEvent) -> None:
        match event:
            case Declined():
                link.counters.declined += 1
                self._decline(f"refused a subscription: {event.text}")
            case Ended():
                self._tasks.spawn(self.feeds.change(link, add=list(event.topics), drop=[]))
            case LoginLost():
                link.drop(f"login ended: {event.why}")
            case Unknown():
                if event.what not in self._said:
                    self._said.add(event.what)
                    _log.warning("%s sent something that is not understood: %s", self.venue.slug, event.what)
            case Ready():
                self.driver.learn(link.family, event.facts)
            case _:
                pass

    # -----------------------------------------------------------------------------------------------------------------
    # Links

    def _family(self, instrument: Instrument) -> Family:
        return self.venue.family(instrument.family)

    def _make_link(self, family: Family, role: str) -> Link:
        def stream() -> Any:
            if role == Role.ACCOUNT:
                return family.account_stream()
            if role == Role.TRADE and family.trade_stream is not None:
                return family.trade_stream()
            return family.market_stream(role)

        caps, pulse = family.caps.get(role, Caps()), family.pulse.get(role, Pulse())
        connects = self._connects.setdefault((family.name, role), Pace((caps.connects,) if caps.connects else ()))
        link = Link(
            self, family.name, role, stream, caps, pulse, self.driver.clock.monotonic, self.driver.chance, connects
        )
        link.start()
        return link

    def _link_of_role(self, family: Family, role: str) -> Link | None:
        for link in [*reversed(self.private.links), *self.feeds.links]:
            if link.family == family.name and link.role == role and link.is_open:
                return link
        return None

    def order_socket(self, family: Family) -> Link | None:
        """The open socket that takes orders, if the family has one."""
        if not family.capabilities.orders_over_socket:
            return None
        return self._link_of_role(family, Role.TRADE if family.trade_stream is not None else Role.ACCOUNT)

    # -----------------------------------------------------------------------------------------------------------------
    # What is told (private.Told, and the rest)

    def held(self, row: Balance | Position, family: str) -> None:
        """A balance or position that was read."""
        self._tell_account(row, family)

    def ready(self, family: str) -> None:
        """The private stream of a family runs and its lists were read."""
        if self._listener is not None:
            self._listener.ready(family)

    def gone(self, family: str, why: str) -> None:
        """The private stream of a family is gone."""
        if self._listener is not None:
            self._listener.lost(family, why)

    def missing(self, family: Family, why: str) -> None:
        """Go on without a family."""
        self.absent[family.name] = why
        _log.warning("%s goes on without %s: %s", self.venue.name, family.name, why)

    def _tell_market(self, event: Event, instrument: Instrument) -> None:
        if self._listener is not None:
            self._listener.market(event, instrument)

    def _tell_account(self, event: OrderUpdate | Fill | Balance | Position, family: str) -> None:
        if self._listener is not None:
            self._listener.account(event, family)

    def _decline(self, text: str) -> None:
        text = f"{self.venue.name}: {text}"
        _log.warning("%s", text)
        if self._listener is not None:
            self._listener.declined(text)


_DRAWN = (Trade, Ticker, Candle, MarkPrice)
_NUMBERS = (*_DRAWN, OrderUpdate, Fill, Balance, Position)
_CONTROL = (Accepted, Active, ClosingSoon, Declined, Ended, LoginLost, Ready, Unknown)
