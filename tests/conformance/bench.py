"""What a scenario works with: a practice server, its exchange with a seeded market, sessions on it, and a settable clock."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

from connectors.contract import Channel, Environment
from connectors.model import (
    Instrument,
    InstrumentStatus,
    Market,
    OrderKind,
    OrderRef,
    OrderRequest,
    OrderUpdate,
    Side,
    TimeInForce,
)
from connectors.practice.exchange import Exchange
from connectors.practice.server import PracticeServer, practice_class
from connectors.practice.terms import AccountRules, Order, Wallet
from connectors.runtime.clock import Clock
from connectors.runtime.session import Session
from connectors.sync import BookSync
from tests.clock import Time
from tests.conformance.marks import Column, unseen
from tests.ear import Ear
from tests.waiting import PATIENCE

D = Decimal
LEVELS = 40  # a side, to begin with
HURRY = 10  # times as fast as real time
MAKER, TAKER = "house-maker", "house-taker"


class Client:
    """A session of one account, with its ear."""

    def __init__(self, bench: Bench, session: Session, ear: Ear, account: str) -> None:
        self.bench = bench
        self.session = session
        self.ear = ear
        self.account = account

    def request(self, **fields: Any) -> OrderRequest:
        """A limit order far from the market, or what `fields` say, with a client id of the venue's own form."""
        bench, session = self.bench, self.session
        values: dict[str, Any] = {
            "instrument": bench.instrument,
            "kind": OrderKind.LIMIT,
            "side": Side.BUY,
            "tif": TimeInForce.GTC,
        }
        values |= fields
        if "amount" not in fields and "quote_amount" not in fields:
            values["amount"] = bench.size(300)
        if values["kind"].has_price and "price" not in fields:
            values["price"] = bench.price(-60 if values["side"] is Side.BUY else 60)
        values.setdefault("client_id", bench.family.ids.make(session.stamp(bench.family.name)))
        return OrderRequest(**values)

    async def place(self, **fields: Any) -> OrderUpdate:
        """Send it."""
        return await self.session.place(self.request(**fields))

    def ref(self, update: OrderUpdate) -> OrderRef:
        """The order's name."""
        instrument = self.session.instrument(self.bench.family.name, update.wire) or self.bench.instrument
        return OrderRef(
            instrument=instrument, venue_id=update.venue_id, client_id=update.client_id, side=Side.BUY, algo=update.algo
        )

    def newest(self) -> Order:
        """What the exchange itself holds of this account's last order."""
        exchange = self.bench.exchange
        return max(
            [*exchange.open_orders(self.account), *exchange.closed_orders(self.account)], key=lambda order: order.id
        )

    def connection(self, role: str) -> Any:
        """The health of a connection."""
        return next(row for row in self.session.health if row.role.startswith(role))

    async def book(self, instrument: Instrument | None = None) -> BookSync:
        """Subscribe to the book and wait until it is the exchange's own."""
        bench = self.bench
        instrument = instrument or bench.instrument
        self.session.subscribe(Channel.BOOK, instrument)
        sync = self.session.sync(instrument)
        assert sync is not None
        await bench.equal(sync, instrument)
        return sync


class Bench:
    """One column's server and everything on it. `instrument` and `key` are what the scenario trades."""

    def __init__(self, column: Column, server: PracticeServer, clock: Time, seed: int) -> None:
        self.column = column
        self.venue = column.venue
        self.family = column.family
        self.server = server
        self.exchange: Exchange = server.exchange
        self.practice: Any = server.practice
        self.time = clock
        self.chance = random.Random(seed)
        self.clients: list[Client] = []
        self.instruments: list[Instrument] = []
        self.instrument: Instrument = None  # ty: ignore[invalid-assignment] - set by `begin`, before any scenario runs
        self._clocks: dict[str, Clock] = {}

    # sessions

    async def client(
        self,
        account: str = "trader",
        *,
        by_http: bool = False,
        keyed: bool = True,
        secrets: dict[str, str] | None = None,
        slow: float = 0.0,
        wait: bool = True,
    ) -> Client:
        """A started session. `by_http`: orders never leave by a socket; `slow`: seconds that its clock is behind."""
        venue = self.venue
        if by_http:
            able = replace(self.family.capabilities, orders_over_socket=False)
            venue = replace(venue, families=(replace(self.family, capabilities=able),))
        if secrets is None and keyed:
            secrets = dict(self.practice.credentials if account == "trader" else self.practice.other)
        clock = self.time.clock(slow=slow)
        if not slow:
            clock = self._clocks.setdefault(account, clock)  # nonces of one key come from one counter
        ear = Ear()
        session = Session(
            venue,
            Environment.PRACTICE,
            hosts=self.server.hosts,
            secrets=secrets,
            listener=ear,
            clock=clock,
            chance=random.Random(7),
        )
        for limits in session.driver.limits.values():
            limits._sleep = self.sleep
        made = Client(self, session, ear, account)
        self.clients.append(made)
        await session.start()
        if keyed and wait:
            await self.until(lambda: ear.readied, f"the private stream of {account}")
            if not by_http and self.family.trade_stream is not None and self.family.capabilities.orders_over_socket:
                await self.until(lambda: session.order_socket(self.family), "the socket that takes orders")
        return made

    async def ways(self) -> list[Client]:
        """The ways in which orders reach this venue: by its socket where it has one, and by HTTP."""
        found = [await self.client()]
        if self.family.capabilities.orders_over_socket:
            found.append(await self.client(by_http=True))
        return found

    async def sleep(self, seconds: float) -> None:
        """Waiting of a session's budgets: time jumps instead."""
        self.time.jump(seconds)
        await asyncio.sleep(0)

    async def until(self, condition: Callable[[], Any], what: str, *, hurry: float = 0.0) -> Any:
        """Wait for a condition, never for a time; with `hurry`, up to that many seconds pass at each look, HURRY times as fast
        as they do.
        """
        seen = time.monotonic()
        deadline = seen + PATIENCE
        while not (found := condition()):
            seen, before = time.monotonic(), seen
            assert seen < deadline, f"never came: {what}"
            if hurry:
                self.publish(min(hurry, (seen - before) * HURRY))
            await asyncio.sleep(0.002)
        return found

    # the market

    async def begin(self) -> None:
        """Learn what is listed and put a market there."""
        session = Session(self.venue, Environment.PRACTICE, hosts=self.server.hosts)
        await session.start()
        listed = [each for each in session.instruments.values() if self.key_of(each) in self.exchange.listings]
        await session.stop()
        trading = [each for each in listed if each.status is InstrumentStatus.TRADING]
        favoured = {symbol: rank for rank, symbol in enumerate(self.venue.demo_symbols)}
        trading.sort(key=lambda each: favoured.get(each.symbol, len(favoured)))
        self.instruments = list({each.unit: each for each in reversed(trading)}.values())[::-1]
        self.instrument = self.instruments[0]
        for account in (MAKER, TAKER):
            self.exchange.open_account(account, AccountRules(quiet=True, house=True))
        for instrument in self.instruments:
            listing = self.exchange.listings[self.key_of(instrument)]
            for account in (MAKER, TAKER):
                for asset in (listing.base, listing.quote):
                    self.exchange.deposit(account, asset, D(10) ** 10)
                if listing.is_contract:
                    self.exchange.deposit(account, listing.settle, D(10) ** 9, Wallet.MARGIN)
            self.fill_book(instrument)

    def key_of(self, instrument: Instrument) -> str:
        """What the exchange calls it."""
        return f"{instrument.market}:{instrument.symbol}"

    @property
    def key(self) -> str:
        """The scenario's instrument at the exchange."""
        return self.key_of(self.instrument)

    def seat(self, account: str = MAKER, instrument: Instrument | None = None) -> Any:
        """A trader of the house."""
        return self.exchange.seat(account, self.key_of(instrument or self.instrument))

    def middle(self, instrument: Instrument | None = None) -> int:
        """The middle of the seeded market, in ticks."""
        listing = self.exchange.listings[self.key_of(instrument or self.instrument)]
        return int(listing.reference / listing.tick)

    def gap(self, instrument: Instrument | None = None) -> int:
        """Ticks from level to level: about a hundredth of a per cent."""
        return max(1, self.middle(instrument) // 10_000)

    def price(self, levels: int, instrument: Instrument | None = None) -> Decimal:
        """So many levels above (or below) the middle."""
        listing = self.exchange.listings[self.key_of(instrument or self.instrument)]
        return (self.middle(instrument) + levels * self.gap(instrument)) * listing.tick

    def lots(self, value: float, instrument: Instrument | None = None) -> int:
        """Lots that are worth at least `value` of the quote."""
        grid = self.seat(instrument=instrument).grid
        each = grid.about(self.middle(instrument) * float(grid.tick))
        return max(grid.minimum, math.ceil(value / each))

    def size(self, value: float, instrument: Instrument | None = None) -> Decimal:
        """The same as an amount."""
        return self.seat(instrument=instrument).grid.size(self.lots(value, instrument))

    def fill_book(self, instrument: Instrument) -> None:
        """Orders of the house on both sides, and one trade."""
        seat, middle, gap = self.seat(MAKER, instrument), self.middle(instrument), self.gap(instrument)
        for level in range(1, LEVELS + 1):
            for bid in (True, False):
                lots = self.lots(self.chance.uniform(1000, 5000), instrument)
                seat.order(bid, middle + (-level if bid else level) * gap, lots)
        self.seat(TAKER, instrument).order(True, middle + gap, self.lots(50, instrument), tif=TimeInForce.IOC)

    def churn(self, changes: int, instrument: Instrument | None = None) -> None:
        """Random orders, cancels and trades of the house until the book has changed so often."""
        chance, seat, taker = self.chance, self.seat(MAKER, instrument), self.seat(TAKER, instrument)
        middle, gap = self.middle(instrument), self.gap(instrument)
        until = seat.book.sequence + changes
        while seat.book.sequence < until:
            bid, draw = chance.random() < 0.5, chance.random()
            away = -1 if bid else 1
            count = len(seat.book.side(bid).keys)
            if draw < 0.55 or count < LEVELS // 2:
                ticks = middle + away * chance.randint(1, LEVELS * gap)
                seat.order(bid, ticks, self.lots(chance.uniform(20, 4000), instrument))
            elif draw < 0.85:
                order = seat.newest_at(bid, chance.randrange(count))
                if order is not None:
                    seat.cancel(order)
            elif draw < 0.93:
                order = seat.newest_at(bid, chance.randrange(count))
                if order is not None and order.open > 2 * seat.grid.minimum:
                    seat.shrink(order, order.filled + max(seat.grid.minimum, order.open // 2))
            else:
                best = seat.book.side(not bid).best()
                if best is not None:
                    taker.order(bid, best, self.lots(chance.uniform(20, 6000), instrument), tif=TimeInForce.IOC)

    def publish(self, seconds: float = 0.11) -> None:
        """Let the server send what is due after a moment."""
        self.time.jump(seconds)
        self.server.advance(self.time.ms())

    async def moving(self, condition: Callable[[], Any], what: str, changes: int = 3) -> Any:
        """Wait for a condition while the market changes: for what shows only at the next update."""
        deadline = time.monotonic() + PATIENCE
        while not (found := condition()):
            assert time.monotonic() < deadline, f"never came: {what}"
            await self.move(changes)
        return found

    async def move(self, changes: int = 20, instrument: Instrument | None = None) -> None:
        """A change of the market, on its way to whoever listens."""
        self.churn(changes, instrument)
        self.publish()
        await asyncio.sleep(0.001)

    def same(self, sync: BookSync, instrument: Instrument | None = None) -> bool:
        """Whether a book is the exchange's own, level by level, to the depth that the venue shows."""
        image = self.exchange.book(self.key_of(instrument or self.instrument))
        cut = sync.rule.cut or 1_000_000
        low, high = sync.horizon or (0.0, math.inf)  # beyond it a snapshot of so many levels does not tell

        def seen(side: list[tuple[float, float]]) -> list[tuple[float, float]]:
            return [row for row in side if low <= row[0] <= high]

        theirs = [
            seen([(float(row.price), float(row.size)) for row in side[:cut]]) for side in (image.bids, image.asks)
        ]
        return sync.live and [seen(side) for side in sync.book.top(cut)] == theirs

    async def equal(self, sync: BookSync, instrument: Instrument | None = None) -> None:
        """Wait until it is."""
        what = f"a book of {self.column.name} equal to the exchange's ({sync.state}, {sync.reason}, {sync.counters})"
        await self.until(lambda: self.same(sync, instrument), what, hurry=0.02)

    # the account

    @property
    def spot(self) -> bool:
        """Whether the asset itself is traded."""
        return self.instrument.market is Market.SPOT

    @property
    def wallet(self) -> Wallet:
        """Where this family's money lies."""
        return Wallet.SPOT if self.spot else Wallet.MARGIN

    def totals(self, account: str) -> dict[str, Decimal]:
        """What the exchange says an account owns, by asset."""
        return {row.asset: row.total for row in self.exchange.balances(account, self.wallet) if row.total}

    def quiet(self, name: str) -> str:
        """Why this column does not notice the fault of a scenario."""
        return unseen(self.column, name)


@asynccontextmanager
async def open_bench(column: Column, *, seed: int = 11) -> AsyncGenerator[Bench]:
    """A bench whose server and sessions end with it."""
    clock = Time()
    server = PracticeServer(column.venue, crowd=False, now_ms=clock.ms)
    bench = Bench(column, server, clock, seed)
    await server.start()
    try:
        await bench.begin()
        yield bench
    finally:
        await asyncio.gather(*(client.session.stop() for client in bench.clients))
        await server.stop()


def strange_secrets(column: Column) -> dict[str, str]:
    """A key that the running server does not know the secret of, in the venue's own form."""
    return dict(practice_class(column.venue)(Exchange(practice_class(column.venue).listings, start_ms=0)).credentials)
