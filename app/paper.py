"""Paper trading: a session whose books and trades are a venue's, live, and whose orders never leave this machine.

`PaperSession` has the surface of a Session. Market data comes from a keyless one underneath (or from a recording); orders,
fills, balances and positions come from `PaperEngine` and are kept by `PaperStore`. What happens is written down first and
told after, like a venue's own events: from the loop, never from within a call.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from app.paper_engine import OWNER, PaperEngine, View
from app.paper_store import Holding, PaperStore, Purse
from connectors.contract import Channel, Environment, Event, Found, Page, Search, Stamp
from connectors.errors import (
    BadNotional,
    BadPrice,
    BadSize,
    DuplicateOrder,
    InstrumentUnknown,
    InsufficientFunds,
    InvalidOrder,
    MarketClosed,
    NotFillable,
    NothingToChange,
    NotSupported,
    OrderNotFound,
    ReduceOnlyRefused,
    Refused,
    TooManyOrders,
    VenueError,
    VenueUnavailable,
    WouldTake,
    WouldTrigger,
)
from connectors.model import (
    UNSET,
    ZERO,
    Balance,
    Candle,
    EndReason,
    Fees,
    Fill,
    Instrument,
    Market,
    MarkPrice,
    OrderRef,
    OrderRequest,
    OrderStatus,
    OrderUpdate,
    Position,
    Ticker,
    Trade,
)
from connectors.practice.terms import (
    AssetBalance,
    BalanceChanged,
    Execution,
    Filled,
    NewOrder,
    Order,
    OrderChanged,
    OrderName,
    PositionChanged,
    Refusal,
    RefusalKind,
    Wallet,
)
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
_KINDS: Mapping[RefusalKind, type[Refused]] = {
    RefusalKind.UNKNOWN_LISTING: InstrumentUnknown,
    RefusalKind.UNKNOWN_ORDER: OrderNotFound,
    RefusalKind.ORDER_ENDED: OrderNotFound,
    RefusalKind.MARKET_CLOSED: MarketClosed,
    RefusalKind.INVALID: InvalidOrder,
    RefusalKind.UNSUPPORTED: NotSupported,
    RefusalKind.PRICE_TICK: BadPrice,
    RefusalKind.PRICE_BOUNDS: BadPrice,
    RefusalKind.SIZE_LOT: BadSize,
    RefusalKind.SIZE_MINIMUM: BadSize,
    RefusalKind.SIZE_MAXIMUM: BadSize,
    RefusalKind.NOTIONAL_MINIMUM: BadNotional,
    RefusalKind.FUNDS: InsufficientFunds,
    RefusalKind.MARGIN: InsufficientFunds,
    RefusalKind.POST_ONLY: WouldTake,
    RefusalKind.FOK: NotFillable,
    RefusalKind.NO_LIQUIDITY: NotFillable,
    RefusalKind.REDUCE_ONLY: ReduceOnlyRefused,
    RefusalKind.CLIENT_ID: DuplicateOrder,
    RefusalKind.WOULD_TRIGGER: WouldTrigger,
    RefusalKind.TOO_MANY_ORDERS: TooManyOrders,
    RefusalKind.NOTHING_TO_CHANGE: NothingToChange,
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
        self._funds = dict(funds)
        self._clock = clock
        self._engine = PaperEngine(self._view, start_ms=1)
        self._news: list[Any] = []  # happened, to be written
        self._to_tell: list[Any] = []  # written, to be told
        self._telling = False
        self._runs = False
        self._said = store.problem  # of the file; what was wrong with it at the start is said by the account
        self._assets_of: dict[str, tuple[int, dict[Wallet, set[str]]]] = {}
        self._heard: set[str] = set()  # instruments whose data is subscribed for the orders' sake
        self._funding: dict[str, tuple[int, float]] = {}
        self._dead_man: dict[str, int] = {}  # instrument key ("" = all) -> when, ms
        self._keeper: asyncio.Task[None] | None = None

    # -----------------------------------------------------------------------------------------------------------------
    # Life

    async def start(self) -> None:
        """Start the market data, take the account up as it was kept. Raises VenueError."""
        await self.source.start()
        self._engine = PaperEngine(self._view, start_ms=self.now_ms())
        self._engine.watch_account(self._news.append, OWNER)
        self._take_up()
        self._runs = True
        self._keeper = asyncio.ensure_future(self._keep())
        await self.refresh_account()
        for family in self.families:
            self._listener.ready(family.name)

    async def stop(self) -> None:
        """Stop the market data. Orders stay and are taken up by the next start."""
        self._runs = False
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await self.source.stop()
        self.store.close()

    async def reset(self, funds: Mapping[str, Decimal] | None = None) -> None:
        """Cancel everything, forget positions and fills, start anew with `funds`. Raises VenueError."""
        for instrument in {order.key for order in self._engine.open_orders(OWNER)}:
            await self.cancel_all(self.instruments[instrument])
        self._tell_now()
        flat = [
            Position(wire=each.wire, family=each.family, size=ZERO)
            for key in self._engine.busy()
            if (each := self.instruments.get(key)) is not None
        ]
        gone = {(family, row.asset) for family, row in await self.balances()}
        if funds is not None:
            self._funds = dict(funds)
        self.store.clear()
        self._engine = PaperEngine(self._view, start_ms=self.now_ms())
        self._news.clear()
        self._engine.watch_account(self._news.append, OWNER)
        self._take_up()
        for row in flat:
            self._listener.account(row, row.family)
        for family, asset in gone:
            zero = Balance(asset=asset, family=family, total=ZERO, available=ZERO, held=ZERO)
            self._listener.account(zero, family)
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
    # Operations: the engine's

    async def place(self, order: OrderRequest) -> OrderUpdate:
        """Enter an order. Raises Refused; without a proven book VenueUnavailable."""
        instrument = order.instrument
        await self._proven(instrument)
        self._open(instrument)
        self._gather(instrument, order)
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
        image = self._do(lambda: self._account.enter(request, self.now_ms()))
        return self._update(image)

    async def cancel(self, order: OrderRef) -> OrderUpdate:
        """Cancel an order. Raises OrderNotFound."""
        return self._update(self._do(lambda: self._account.drop(_name(order), self.now_ms())))

    async def cancel_all(self, instrument: Instrument | None, family: Family | None = None) -> list[OrderUpdate]:
        """Cancel every order of an instrument. Raises NotSupported for a family as a whole."""
        if instrument is None:
            raise NotSupported("paper orders are cancelled an instrument at a time")
        if not self._account.is_open(instrument.key):
            return []
        images = self._do(lambda: self._account.drop_all(instrument.key, self.now_ms()))
        return [self._update(image) for image in images]

    async def amend(
        self, order: OrderRef, *, price: Decimal | None = None, amount: Decimal | None = None, client_id: str = ""
    ) -> OrderUpdate:
        """Change a resting order; its ids stay. Raises Refused."""
        await self._proven(order.instrument)
        image = self._do(
            lambda: self._account.change(_name(order), price=price, amount=amount, trigger=None, now_ms=self.now_ms())
        )
        return self._update(image)

    async def order(self, order: OrderRef) -> OrderUpdate:
        """What is known of an order. Raises OrderNotFound."""
        try:
            return self._update(self._account.order(OWNER, _name(order)))
        except Refusal as refusal:
            ended = self.store.ended(venue_id=order.venue_id, client_id=order.client_id)
            if ended is None or not ended.status.is_final:
                raise _error(refusal) from None
            return self._update(ended)

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
        found = [self._update(image) for image in self._account.open_orders(OWNER, key)]
        return [update for update in found if family is None or update.family == family.name]

    async def fills(self, instrument: Instrument, page: Page) -> list[Fill]:
        """Executions, oldest first."""
        start, end = page.start or 0, page.end
        rows = self._account.fills(OWNER, instrument.key, limit=100_000)
        rows = [row for row in rows if row.time >= start and (end is None or row.time <= end)]
        return [self._fill(row) for row in rows[: page.limit]]

    async def balances(self) -> list[tuple[str, Balance]]:
        """Everything held, as (family, balance)."""
        images = self._account.balances(OWNER)
        found: dict[tuple[str, str], Balance] = {}
        for image in images:
            for family in self._families(image.wallet, image.asset):
                found[family.name, image.asset] = self._balance(family, image.asset)
        return [(name, row) for (name, _), row in found.items()]

    async def positions(self) -> list[tuple[str, Position]]:
        """Open positions, as (family, position)."""
        keys = [image.key for image in self._account.positions(OWNER)]
        return [(self.instruments[key].family, self._position(key)) for key in keys]

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
        self._open(instrument)
        self._do(lambda: self._account.set_leverage(OWNER, instrument.key, leverage))
        self._keep_holding(instrument.key)

    async def dead_man(self, instrument: Instrument | None, seconds: float, family: Family) -> None:
        """Cancel everything of an instrument (None: everything) unless renewed within `seconds`; 0 switches it off."""
        key = instrument.key if instrument is not None else ""
        if seconds > 0:
            self._dead_man[key] = self.now_ms() + round(seconds * 1000)
        else:
            self._dead_man.pop(key, None)
        self.store.write(dead_man=self._dead_man)

    def ahead(self, venue_id: str) -> Decimal | None:
        """Size that stands before a resting order by our estimate, None if it is not known."""
        return self._account.ahead(int(venue_id)) if venue_id.isdecimal() else None

    def rates_changed(self) -> None:
        """Fee rates were set anew."""
        for instrument in self.instruments.values():
            if self._engine.is_open(instrument.key):
                self._engine.open_instrument(instrument, self._rates(instrument))

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
                self._take_mark(event, instrument)
            self._settle()
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

    @property
    def _account(self) -> PaperEngine:
        """The engine, once the account was taken up: before, nothing may be concluded from what it does not know."""
        if not self._runs:
            raise VenueUnavailable("the paper account is not running")
        return self._engine

    def _view(self, key: str) -> View | None:
        """The proven book of an instrument."""
        instrument = self.instruments.get(key)
        sync = self.source.sync(instrument) if instrument is not None else None
        return View(sync.book, sync.horizon) if sync is not None and sync.live else None

    def _open(self, instrument: Instrument) -> None:
        view = self._view(instrument.key)
        mid = view.book.mid if view is not None else None
        reference = Decimal(repr(mid)) if mid is not None else None
        if not self._engine.is_open(instrument.key):
            try:
                in_quote = self.venue.family(instrument.family).capabilities.fee_in_quote
                self._engine.open_instrument(instrument, self._rates(instrument), reference, fee_in_quote=in_quote)
            except Refusal as refusal:
                raise _error(refusal) from None

    async def _proven(self, instrument: Instrument) -> None:
        """Wait a moment for the book, for callers that do not look at it themselves. Raises VenueUnavailable."""
        if instrument.key not in self.instruments:
            raise InstrumentUnknown(f"{instrument.symbol} is not listed here")
        if self._view(instrument.key) is not None:
            return
        self.subscribe(Channel.BOOK, instrument)
        try:
            deadline = time.monotonic() + PROVEN_WITHIN
            while self._view(instrument.key) is None:
                if time.monotonic() > deadline:
                    raise VenueUnavailable("the live book is not proven now, and paper fills need it")
                await asyncio.sleep(LOOK_EVERY)
            self._listen({instrument.key} | self._heard)
        finally:
            self.unsubscribe(Channel.BOOK, instrument)

    def _gather(self, instrument: Instrument, order: OrderRequest) -> None:
        """Where one family trades both, spot and contracts share what there is: move it to where it is needed."""
        family = self.venue.family(instrument.family)
        if not (Market.SPOT in family.markets and len(family.markets) > 1):
            return
        spot = instrument.market is Market.SPOT
        asset = (instrument.quote if order.side.value == "buy" else instrument.base) if spot else instrument.settle
        target = Wallet.SPOT if spot else Wallet.MARGIN
        source = Wallet.MARGIN if spot else Wallet.SPOT
        free = self._engine.balance(OWNER, asset, source).available
        if free > 0:
            self._engine.transfer(OWNER, asset, free, source, target)

    def _do(self, work: Callable[[], Any]) -> Any:
        """Let the engine do something; write down what happened; tell it from the loop."""
        try:
            return work()
        except Refusal as refusal:
            raise _error(refusal) from None
        finally:
            self._settle()

    def _settle(self) -> None:
        """Write down the news, tell them soon, and hear the data of what has orders now."""
        if not self._news:
            return
        news, self._news[:] = list(self._news), []
        orders: dict[int, Order] = {}
        fills: list[Execution] = []
        purses: dict[tuple[Wallet, str], Purse] = {}
        holdings: dict[str, Holding] = {}
        for event in news:
            match event:
                case OrderChanged():
                    orders[event.order.id] = event.order
                case Filled():
                    fills.append(event.fill)
                case PositionChanged():
                    holdings[event.key] = self._holding(event.key)
                case BalanceChanged():
                    row = event.balance
                    total = self._engine.balance(OWNER, row.asset, row.wallet).total
                    purses[row.wallet, row.asset] = Purse(wallet=row.wallet, asset=row.asset, total=total)
                case _:
                    pass
        self.store.write(purses=purses.values(), holdings=holdings.values(), orders=orders.values(), fills=fills)
        if self.store.problem != self._said:
            self._said = self.store.problem
            self._listener.declined(self._said)
        self._listen(self._engine.busy())
        self._to_tell.extend(news)
        if not self._telling:
            self._telling = True
            asyncio.get_running_loop().call_soon(self._tell_now)

    def _tell_now(self) -> None:
        """Tell what has happened, in its order."""
        self._telling = False
        news, self._to_tell[:] = list(self._to_tell), []
        for event in news:
            match event:
                case OrderChanged():
                    self._listener.account(self._update(event.order), self._family(event.key))
                case Filled():
                    self._listener.account(self._fill(event.fill), self._family(event.key))
                case PositionChanged():
                    self._listener.account(self._position(event.key), self._family(event.key))
                case BalanceChanged():
                    for family in self._families(event.balance.wallet, event.balance.asset):
                        self._listener.account(self._balance(family, event.balance.asset), family.name)
                case _:
                    pass

    def _listen(self, wanted: set[str]) -> None:
        """Hear books, trades and marks of these instruments, whether somebody looks at them or not."""
        for key in wanted - self._heard:
            if (instrument := self.instruments.get(key)) is not None:
                for channel in self._channels(instrument):
                    self.source.subscribe(channel, instrument)
        for key in self._heard - wanted:
            if (instrument := self.instruments.get(key)) is not None:
                for channel in self._channels(instrument):
                    self.source.unsubscribe(channel, instrument)
        self._heard = set(wanted)

    def _channels(self, instrument: Instrument) -> list[Channel]:
        marks = Channel.MARK in self.venue.family(instrument.family).capabilities.channels
        contract = instrument.market is not Market.SPOT
        return [Channel.BOOK, Channel.TRADES, *([Channel.MARK] if marks and contract else [])]

    def _take_mark(self, event: MarkPrice, instrument: Instrument) -> None:
        if event.mark > 0:
            self._engine.set_mark(instrument.key, Decimal(repr(event.mark)), self.now_ms())
        if event.rate is None or event.next_funding is None:
            return
        due = self._funding.get(instrument.key)
        if due is not None and event.next_funding > due[0] and self.now_ms() >= due[0]:
            self._engine.pay_funding(instrument.key, Decimal(repr(due[1])), self.now_ms())
        self._funding[instrument.key] = (event.next_funding, event.rate)

    async def _keep(self) -> None:
        """Look at the books that matter, tell what positions are worth, let the dead man's switch fall."""
        told = 0.0
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                self._look_around()
            except Exception:  # noqa: BLE001 - an error of ours: said, and tried again at the next look
                _log.exception("paper orders at %s were not looked at", self.venue.slug)
            if time.monotonic() - told >= TELL_EVERY:
                told = time.monotonic()
                for family, row in await self.positions():
                    self._listener.account(row, family)

    def _look_around(self) -> None:
        now = self.now_ms()
        for key in self._engine.busy():
            self._engine.look(key, now)
        self._settle()
        for key in [key for key, due in self._dead_man.items() if now >= due]:
            self._fall(key, now)

    def _fall(self, key: str, now: int) -> None:
        """Nobody renewed the dead man's switch."""
        del self._dead_man[key]
        if not key or self._engine.is_open(key):
            self._do(lambda: self._engine.drop_all(key or None, now, reason=EndReason.DEAD_MAN))
        self.store.write(dead_man=self._dead_man)

    # keeping

    def _take_up(self) -> None:
        """The account as it was kept, or a new one with the funds it starts with."""
        kept = self.store.load()
        if kept.fresh:
            for wallet, asset, amount in self._starting():
                self._engine.deposit_exactly(wallet, asset, amount)
            self._settle()
            return
        for row in kept.purses:
            self._engine.deposit_exactly(row.wallet, row.asset, row.total)
        for row in kept.holdings:
            if (instrument := self.instruments.get(row.key)) is not None:
                self._open(instrument)
                self._engine.restore_position(row.key, row.lots, row.cost, row.realised, row.leverage)
        for image in kept.open_orders:
            self._restore(image)
        self._engine.use_up(kept.ended_ids)
        self._engine.restore_fills(kept.fills)
        self._dead_man = kept.dead_man
        self._settle()
        self._listen(self._engine.busy())

    def _restore(self, image: Order) -> None:
        instrument = self.instruments.get(image.key)
        try:
            if instrument is None:
                raise Refusal(RefusalKind.UNKNOWN_LISTING, f"{image.key} is no longer listed")
            self._open(instrument)
            self._engine.restore_order(image)
        except (Refusal, VenueError) as refusal:
            _log.warning("a paper order of %s could not be taken up: %s", image.key, refusal)
            ended = msgspec.structs.replace(
                image, status=OrderStatus.CANCELLED, text=f"could not be taken up: {refusal}"
            )
            self.store.write(orders=[ended])

    def _starting(self) -> list[tuple[Wallet, str, Decimal]]:
        """What a new account gets: money and coins of the list that the venue trades or settles in."""
        listed = list(self.instruments.values())
        spot = {asset for row in listed if row.market is Market.SPOT for asset in (row.base, row.quote)}
        margin = {row.settle for row in listed if row.market is not Market.SPOT}
        return [
            (wallet, asset, amount)
            for wallet, assets in ((Wallet.SPOT, spot), (Wallet.MARGIN, margin))
            for asset, amount in self._funds.items()
            if asset in assets and amount > 0
        ]

    def _holding(self, key: str) -> Holding:
        lots, cost, realised, leverage = self._engine.position_state(key)
        return Holding(key=key, lots=lots, cost=cost, realised=realised, leverage=leverage)

    def _keep_holding(self, key: str) -> None:
        self.store.write(holdings=[self._holding(key)])
        instrument = self.instruments[key]
        self._listener.account(self._position(key), instrument.family)

    # translating

    def _family(self, key: str) -> str:
        return self.instruments[key].family

    def _families(self, wallet: Wallet, asset: str) -> list[Family]:
        """Families whose markets use this asset from this wallet."""
        return [family for family in self.families if asset in self._assets(family)[wallet]]

    def _assets(self, family: Family) -> dict[Wallet, set[str]]:
        known, count = self._assets_of, len(self.instruments)
        if family.name not in known or known[family.name][0] != count:
            assets: dict[Wallet, set[str]] = {Wallet.SPOT: set(), Wallet.MARGIN: set()}
            for row in self.instruments.values():
                if row.family != family.name:
                    continue
                if row.market is Market.SPOT:
                    assets[Wallet.SPOT].update((row.base, row.quote))
                else:
                    assets[Wallet.MARGIN].add(row.settle)
            known[family.name] = (count, assets)
        return known[family.name][1]

    def _balance(self, family: Family, asset: str) -> Balance:
        """One asset as a family sees it: the sum of its wallets."""
        rows: list[AssetBalance] = [
            self._engine.balance(OWNER, asset, wallet)
            for wallet, assets in self._assets(family).items()
            if asset in assets
        ]
        return Balance(
            asset=asset,
            family=family.name,
            total=sum((row.total for row in rows), ZERO),
            available=sum((row.available for row in rows), ZERO),
            held=sum((row.held for row in rows), ZERO),
            time=self.now_ms(),
        )

    def _position(self, key: str) -> Position:
        image = self._engine.position(OWNER, key)
        instrument = self.instruments[key]
        return Position(
            wire=instrument.wire,
            family=instrument.family,
            size=image.size,
            entry=image.entry,
            mark=image.mark,
            unrealised=image.unrealised,
            liquidation=image.liquidation,
            margin=image.margin,
            leverage=Decimal(image.leverage),
            isolated=False,
            time=self.now_ms(),
        )

    def _fill(self, row: Execution) -> Fill:
        instrument = self.instruments[row.key]
        return Fill(
            wire=instrument.wire,
            family=instrument.family,
            id=str(row.trade_id),
            venue_id=str(row.order_id),
            client_id=row.client_id,
            side=row.side,
            price=row.price,
            amount=row.size,
            time=row.time,
            fee=row.fee,
            fee_asset=row.fee_asset,
            maker=row.maker,
        )

    def _update(self, image: Order) -> OrderUpdate:
        instrument = self.instruments[image.key]
        return OrderUpdate(
            wire=instrument.wire,
            family=instrument.family,
            venue_id=str(image.id),
            client_id=image.client_id,
            status=image.status,
            side=image.side,
            kind=image.kind,
            tif=image.tif,
            price=image.price if image.price is not None else UNSET,
            trigger=image.trigger if image.trigger is not None else UNSET,
            amount=image.amount if image.amount is not None else UNSET,
            quote_amount=image.quote_amount if image.quote_amount is not None else UNSET,
            filled=image.filled,
            average=image.average if image.average is not None else UNSET,
            fee=image.fee,
            fee_asset=image.fee_asset,
            post_only=image.post_only,
            reduce_only=image.reduce_only,
            end_reason=image.end_reason if image.end_reason is not None else UNSET,
            reason=image.text,
            created=image.created,
            time=image.updated,
        )


def _name(order: OrderRef) -> OrderName:
    """The id that the engine knows it by."""
    return int(order.venue_id) if order.venue_id.isdecimal() else order.client_id


def _error(refusal: Refusal) -> Refused:
    return _KINDS.get(refusal.kind, Refused)(refusal.text, code=str(refusal.kind))
