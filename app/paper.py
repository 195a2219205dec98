"""Paper trading: a session whose books and trades are a venue's, live, and whose orders never leave this machine.

`PaperSession` has the surface of a Session. Market data comes from a keyless one underneath (or from a recording); orders,
fills, balances and positions come from `PaperAccount`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

from app.paper_account import PaperAccount
from app.paper_engine import OWNER, PaperEngine, View
from app.paper_rows import fill_of, order_name, refused
from app.paper_store import PaperStore
from connectors.contract import Channel, Environment, Event, Found, Page, Search, Stamp
from connectors.errors import InstrumentUnknown, NotSupported, OrderNotFound, VenueUnavailable
from connectors.model import (
    Balance,
    Candle,
    Fees,
    Fill,
    Instrument,
    Market,
    MarkPrice,
    OrderRef,
    OrderRequest,
    OrderUpdate,
    Position,
    Ticker,
    Trade,
)
from connectors.practice.terms import NewOrder, Refusal
from connectors.runtime.clock import Clock

if TYPE_CHECKING:
    from connectors.contract import Family, Venue
    from connectors.runtime.session import ConnectionHealth, Listener
    from connectors.sync import BookSync

_log = logging.getLogger(__name__)

LOOK_EVERY = 0.05  # seconds between two looks at books with own orders
TELL_EVERY = 1.0  # seconds between two tellings of what positions are worth
PROVEN_WITHIN = 5.0  # seconds that an order waits for a book that nobody looked at before
FUNDS: Mapping[str, Decimal] = {
    "USDT": Decimal(100_000),
    "USDC": Decimal(100_000),
    "USD": Decimal(100_000),
    "EUR": Decimal(100_000),
    "GBP": Decimal(100_000),
    "AUD": Decimal(100_000),
    "CAD": Decimal(100_000),
    "BTC": Decimal(1),
    "ETH": Decimal(10),
}


class Source(Protocol):
    """What paper needs of a keyless Session, or of a recording that looks like one."""

    instruments: dict[str, Instrument]
    health: list[ConnectionHealth]

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    def subscribe(self, channel: Channel, instrument: Instrument, interval: str = "") -> None: ...
    def unsubscribe(self, channel: Channel, instrument: Instrument, interval: str = "") -> None: ...
    def sync(self, instrument: Instrument) -> BookSync | None: ...
    def last_heard(self, instrument: Instrument) -> float | None: ...
    def instrument(self, family: str, wire: str) -> Instrument | None: ...
    def budgets(self) -> dict[str, tuple[float, float]]: ...
    async def candles(self, instrument: Instrument, interval: str, page: Page) -> list[Candle]: ...
    async def trades(self, instrument: Instrument, limit: int = 200) -> list[Trade]: ...
    async def tickers(self, instruments: Sequence[Instrument]) -> list[tuple[Instrument, Ticker]]: ...


class PaperSession:
    """See the module. `source` makes the market data with this session as its listener.

    `rates` gives the fee rates of an instrument; `funds` what a new account starts with, as far as the venue trades it.
    """

    def __init__(
        self,
        venue: Venue,
        source: Callable[[Listener], Any],
        *,
        listener: Listener,
        store: PaperStore,
        rates: Callable[[Instrument], Fees],
        funds: Mapping[str, Decimal] = FUNDS,
        clock: Clock | None = None,
    ) -> None:
        self.venue = venue
        self.environment = Environment.PAPER
        self.problem = ""
        self.source: Source = source(self)
        self.store = store
        self._listener = listener
        self._rates = rates
        self._clock = clock
        self._account = PaperAccount(self, store, funds)
        self._runs = False
        self._watched: set[str] = set()  # instruments whose data is subscribed for the orders' sake
        self._keeper: asyncio.Task[None] | None = None

    # -----------------------------------------------------------------------------------------------------------------
    # Life

    async def start(self) -> None:
        """Start the market data, take the account up as it was kept. Raises VenueError."""
        await self.source.start()
        self._account.take_up()
        self._runs = True
        self._keeper = asyncio.ensure_future(self._keep())
        await self.refresh_account()
        for family in self.families:
            self._listener.ready(family.name)

    async def stop(self) -> None:
        """Stop the market data. Orders stay and are taken up by the next start."""
        if self._runs:
            for family in self.families:
                self._listener.lost(family.name, "stopped")
        self._runs = False
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        try:
            await self.source.stop()
        finally:
            self.store.close()

    async def reset(self, funds: Mapping[str, Decimal] | None = None) -> None:
        """Cancel everything, forget positions and fills, start anew with `funds`. Raises VenueError."""
        for instrument in {order.key for order in self._account.engine.open_orders(OWNER)}:
            await self.cancel_all(self.instruments[instrument])
        self._account.renew(funds)
        await self.refresh_account()

    def now_ms(self) -> int:
        """The venue's time, or the recording's."""
        return self.stamp(self.venue.families[0].name).time_ms

    def stamp(self, family: str) -> Stamp:
        """This moment by the venue's clock."""
        if self._clock is not None:
            return self._clock.stamp()
        return self.source.stamp(family)  # ty: ignore[missing-attribute] - a recording comes with a clock

    @property
    def clock_offset_ms(self) -> float:
        """Venue time minus ours."""
        return getattr(self.source, "clock_offset_ms", 0.0)

    @property
    def absent(self) -> dict[str, str]:
        """Families of which there is no market data, and why."""
        return getattr(self.source, "absent", {})

    @property
    def families(self) -> list[Family]:
        """Those of which there is market data."""
        return [family for family in self.venue.families if family.name not in self.absent]

    def facts(self, family: str) -> Mapping[str, Any]:
        """There is no login."""
        return {}

    # -----------------------------------------------------------------------------------------------------------------
    # Market data: the source's

    @property
    def instruments(self) -> dict[str, Instrument]:
        """By key."""
        return self.source.instruments

    @property
    def health(self) -> list[ConnectionHealth]:
        """The source's connections."""
        return self.source.health

    def subscribe(self, channel: Channel, instrument: Instrument, interval: str = "") -> None:
        """As Session.subscribe."""
        self.source.subscribe(channel, instrument, interval)

    def unsubscribe(self, channel: Channel, instrument: Instrument, interval: str = "") -> None:
        """As Session.unsubscribe."""
        self.source.unsubscribe(channel, instrument, interval)

    def sync(self, instrument: Instrument) -> BookSync | None:
        """The live book."""
        return self.source.sync(instrument)

    def last_heard(self, instrument: Instrument) -> float | None:
        """As Session.last_heard."""
        return self.source.last_heard(instrument)

    def instrument(self, family: str, wire: str) -> Instrument | None:
        """As Session.instrument."""
        return self.source.instrument(family, wire)

    def budgets(self) -> dict[str, tuple[float, float]]:
        """Market data spends too."""
        return self.source.budgets()

    async def candles(self, instrument: Instrument, interval: str, page: Page) -> list[Candle]:
        """As Session.candles."""
        return await self.source.candles(instrument, interval, page)

    async def trades(self, instrument: Instrument, limit: int = 200) -> list[Trade]:
        """As Session.trades."""
        return await self.source.trades(instrument, limit)

    async def tickers(self, instruments: Sequence[Instrument]) -> list[tuple[Instrument, Ticker]]:
        """As Session.tickers."""
        return await self.source.tickers(instruments)

    # -----------------------------------------------------------------------------------------------------------------
    # Operations: the account's

    async def place(self, order: OrderRequest) -> OrderUpdate:
        """Enter an order. Raises Refused; without a proven book VenueUnavailable."""
        instrument = order.instrument
        await self._proven(instrument)
        self._account.open(instrument)
        self._account.gather(instrument, order)
        request = NewOrder(
            key=instrument.key,
            side=order.side,
            kind=order.kind,
            amount=order.amount,
            quote_amount=order.quote_amount,
            price=order.price,
            trigger=order.trigger,
            tif=order.tif,
            post_only=order.post_only,
            reduce_only=order.reduce_only,
            client_id=order.client_id,
        )
        image = self._account.do(lambda: self._engine.enter(request, self.now_ms()))
        return self._account.update(image)

    async def cancel(self, order: OrderRef) -> OrderUpdate:
        """Cancel an order. Raises OrderNotFound."""
        return self._account.update(self._account.do(lambda: self._engine.drop(order_name(order), self.now_ms())))

    async def cancel_all(self, instrument: Instrument | None, family: Family | None = None) -> list[OrderUpdate]:
        """Cancel every order of an instrument. Raises NotSupported for a family as a whole."""
        if instrument is None:
            raise NotSupported("paper orders are cancelled an instrument at a time")
        if not self._engine.is_open(instrument.key):
            return []
        images = self._account.do(lambda: self._engine.drop_all(instrument.key, self.now_ms()))
        return [self._account.update(image) for image in images]

    async def amend(
        self, order: OrderRef, *, price: Decimal | None = None, amount: Decimal | None = None, client_id: str = ""
    ) -> OrderUpdate:
        """Change a resting order; its ids stay. Raises Refused."""
        await self._proven(order.instrument)
        image = self._account.do(
            lambda: self._engine.change(
                order_name(order), price=price, amount=amount, trigger=None, now_ms=self.now_ms()
            )
        )
        return self._account.update(image)

    async def order(self, order: OrderRef) -> OrderUpdate:
        """What is known of an order. Raises OrderNotFound."""
        try:
            return self._account.update(self._engine.order(OWNER, order_name(order)))
        except Refusal as refusal:
            ended = self.store.ended(venue_id=order.venue_id, client_id=order.client_id)
            if ended is None or not ended.status.is_final:
                raise refused(refusal) from None
            return self._account.update(ended)

    async def search(self, order: OrderRequest) -> Search:
        """Every order that was entered is found by its client id."""
        try:
            ref = OrderRef(instrument=order.instrument, client_id=order.client_id)
            return Search(Found.FOUND, await self.order(ref))
        except OrderNotFound:
            return Search(Found.ABSENT)

    async def open_orders(
        self, instrument: Instrument | None = None, family: Family | None = None
    ) -> list[OrderUpdate]:
        """Open orders of an instrument, of a family, or of everything."""
        key = instrument.key if instrument is not None else None
        found = [self._account.update(image) for image in self._engine.open_orders(OWNER, key)]
        return [update for update in found if family is None or update.family == family.name]

    async def fills(self, instrument: Instrument, page: Page) -> list[Fill]:
        """Executions, oldest first."""
        start, end = page.start or 0, page.end
        rows = self._engine.fills(OWNER, instrument.key, limit=100_000)
        rows = [row for row in rows if row.time >= start and (end is None or row.time <= end)]
        return page.beyond([fill_of(row, instrument) for row in rows])[: page.limit]

    async def balances(self) -> list[tuple[str, Balance]]:
        """Everything held, as (family, balance)."""
        return self._running.balances()

    async def positions(self) -> list[tuple[str, Position]]:
        """Open positions, as (family, position)."""
        return self._running.positions()

    async def refresh_account(self) -> None:
        """Tell balances and positions anew."""
        for family, row in [*await self.balances(), *await self.positions()]:
            self._listener.account(row, family)

    async def fees(self, instrument: Instrument) -> Fees:
        """The rates that paper fills pay."""
        return self._rates(instrument)

    async def set_leverage(self, instrument: Instrument, leverage: int) -> None:
        """Leverage of a contract. Raises Refused."""
        if instrument.market is Market.SPOT:
            raise NotSupported("there is no leverage on spot")
        self._account.open(instrument)
        self._account.do(lambda: self._engine.set_leverage(OWNER, instrument.key, leverage))
        self._account.keep_holding(instrument.key)

    async def dead_man(self, instrument: Instrument | None, seconds: float, family: Family) -> None:
        """Cancel everything of an instrument (None: everything) unless renewed within `seconds`; 0 switches it off."""
        key = instrument.key if instrument is not None else ""
        self._account.set_dead_man(key, self.now_ms() + round(seconds * 1000) if seconds > 0 else None)

    def ahead(self, venue_id: str) -> Decimal | None:
        """Size that stands before a resting order by our estimate, None if it is not known."""
        return self._engine.ahead(int(venue_id)) if venue_id.isdecimal() else None

    def rates_changed(self) -> None:
        """Fee rates were set anew."""
        engine = self._account.engine
        for instrument in self.instruments.values():
            if engine.is_open(instrument.key):
                engine.open_instrument(instrument, self._rates(instrument))

    # -----------------------------------------------------------------------------------------------------------------
    # What the source tells (session.Listener)

    def market(self, event: Event, instrument: Instrument) -> None:
        """Hand it on, and let trades and marks reach the orders."""
        self._listener.market(event, instrument)
        if not self._runs or not self._engine.is_open(instrument.key):
            return
        try:
            if isinstance(event, Trade):
                self._engine.trade(instrument.key, event, self.now_ms())
            elif isinstance(event, MarkPrice):
                self._account.mark(event, instrument)
            self._account.settle()
        except Exception:  # noqa: BLE001 - an error of ours must not break the market data of everybody
            _log.exception("paper orders of %s did not take a market event", instrument.key)

    def account(self, event: Any, family: str) -> None:
        """A keyless source has no account."""

    def ready(self, family: str) -> None:
        """As above."""

    def lost(self, family: str, why: str) -> None:
        """As above."""

    def declined(self, text: str) -> None:
        """The venue refused a subscription."""
        self._listener.declined(text)

    # -----------------------------------------------------------------------------------------------------------------

    # What the account asks (paper_account.Owner)

    def view(self, key: str) -> View | None:
        """The proven book of an instrument."""
        instrument = self.instruments.get(key)
        sync = self.source.sync(instrument) if instrument is not None else None
        return View(sync.book, sync.horizon) if sync is not None and sync.live else None

    def rates(self, instrument: Instrument) -> Fees:
        """The rates that its fills pay."""
        return self._rates(instrument)

    def tell(self, event: Any, family: str) -> None:
        """Something of the account that is written down."""
        self._listener.account(event, family)

    def watch(self, keys: set[str]) -> None:
        """Hear books, trades and marks of these instruments, whether somebody looks at them or not."""
        for key in keys - self._watched:
            if (instrument := self.instruments.get(key)) is not None:
                for channel in self._channels(instrument):
                    self.source.subscribe(channel, instrument)
        for key in self._watched - keys:
            if (instrument := self.instruments.get(key)) is not None:
                for channel in self._channels(instrument):
                    self.source.unsubscribe(channel, instrument)
        self._watched = set(keys)

    # -----------------------------------------------------------------------------------------------------------------

    @property
    def _running(self) -> PaperAccount:
        """The account, once it was taken up: before, nothing may be concluded from what it does not know."""
        if not self._runs:
            raise VenueUnavailable("the paper account is not running")
        return self._account

    @property
    def _engine(self) -> PaperEngine:
        return self._running.engine

    async def _proven(self, instrument: Instrument) -> None:
        """Wait a moment for the book, for callers that do not look at it themselves. Raises VenueUnavailable."""
        if instrument.key not in self.instruments:
            raise InstrumentUnknown(f"{instrument.symbol} is not listed here")
        if self.view(instrument.key) is not None:
            return
        self.subscribe(Channel.BOOK, instrument)
        try:
            deadline = time.monotonic() + PROVEN_WITHIN
            while self.view(instrument.key) is None:
                if time.monotonic() > deadline:
                    raise VenueUnavailable("the live book is not proven now, and paper fills need it")
                await asyncio.sleep(LOOK_EVERY)
            self.watch({instrument.key} | self._watched)
        finally:
            self.unsubscribe(Channel.BOOK, instrument)

    def _channels(self, instrument: Instrument) -> list[Channel]:
        marks = Channel.MARK in self.venue.family(instrument.family).capabilities.channels
        contract = instrument.market is not Market.SPOT
        return [Channel.BOOK, Channel.TRADES, *([Channel.MARK] if marks and contract else [])]

    async def _keep(self) -> None:
        """Look at the books that matter, tell what positions are worth, let the dead man's switch fall."""
        told = 0.0
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                self._account.look()
            except Exception:  # noqa: BLE001 - an error of ours: said, and tried again at the next look
                _log.exception("paper orders at %s were not looked at", self.venue.slug)
            if time.monotonic() - told >= TELL_EVERY:
                told = time.monotonic()
                for family, row in await self.positions():
                    self._listener.account(row, family)
