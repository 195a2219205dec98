"""What the tests of one venue work with over real sockets: its practice server, sessions on it, and a trader's usual moves.

`served` runs a server, its `session` a session on it; `opened` puts both together into a venue's own `Bench`.
"""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, ClassVar, TypeVar

from connectors.contract import Channel, Environment, Venue
from connectors.model import Instrument, OrderKind, OrderRef, OrderRequest, OrderStatus, OrderUpdate, Side
from connectors.practice.server import PracticeServer
from connectors.practice.terms import NewOrder
from connectors.runtime.record import Recorder
from connectors.runtime.session import Session
from connectors.sync import BookState, BookSync
from tests.clock import Time
from tests.ear import Ear
from tests.waiting import until

B = TypeVar("B", bound="Bench")


class House:
    """A practice server that runs, and the sessions on it, which keep its time."""

    def __init__(self, server: PracticeServer, time: Time) -> None:
        self.server = server
        self.time = time
        self.practice: Any = server.practice

    @asynccontextmanager
    async def session(
        self,
        *,
        venue: Venue | None = None,
        keyed: bool = True,
        secrets: Mapping[str, str] | None = None,
        slow: float = 0.0,
        recorder: Recorder | None = None,
        away: Mapping[str, str] | None = None,
    ) -> AsyncGenerator[tuple[Session, Ear]]:
        """A started session and its ear. `slow`: seconds that its clock is behind; `away`: other addresses in place of the server's."""
        ear = Ear()
        session = Session(
            venue or self.server.venue,
            Environment.PRACTICE,
            hosts={**self.server.hosts, **(away or {})},
            secrets=secrets or (self.server.credentials if keyed else None),
            listener=ear,
            recorder=recorder,
            clock=self.time.clock(slow=slow),
            chance=random.Random(7),
        )
        try:
            await session.start()
            yield session, ear
        finally:
            await session.stop()


@asynccontextmanager
async def served(
    venue: Venue, *, seed: int = 5, crowd: bool | Collection[str] = False, time: Time | None = None
) -> AsyncGenerator[House]:
    """A server for as long as the block lasts."""
    time = time or Time()
    server = PracticeServer(venue, seed=seed, crowd=crowd, now_ms=time.ms)
    await server.start()
    try:
        yield House(server, time)
    finally:
        await server.stop()


@asynccontextmanager
async def opened(
    kind: type[B], venue: Venue, *, seed: int = 5, crowd: bool | Collection[str] = False
) -> AsyncGenerator[B]:
    """A server, and a session on it whose private streams run."""
    async with served(venue, seed=seed, crowd=crowd) as house, house.session() as (session, ear):
        await until(lambda: len(ear.readied) == len(session.families), "every private stream")
        yield kind(house, session, ear)


def states_of(sync: BookSync) -> list[BookState]:
    """Every state that a book enters from now on, those included that pass between two looks."""
    seen: list[BookState] = []
    enter = sync._enter

    def watched(state: BookState, reason: str, now: float) -> None:
        seen.append(state)
        enter(state, reason, now)

    sync._enter = watched
    return seen


class Bench:
    """A session and all around it. `USUAL` is what an order is unless its fields say otherwise; the first of `names` is traded."""

    USUAL: ClassVar[dict[str, Any]] = {"amount": Decimal("0.01"), "price": Decimal(50_000)}
    NAMES: ClassVar[tuple[str, ...]] = ()

    def __init__(self, house: House, session: Session, ear: Ear) -> None:
        self.house = house
        self.server = house.server
        self.exchange = house.server.exchange
        self.practice: Any = house.practice
        self.session = session
        self.ear = ear
        self.instruments = [session.instruments[f"{session.venue.slug}:{name}"] for name in self.NAMES]

    # what is wanted

    def watch(self, instrument: Instrument) -> BookSync:
        """Subscribe to its book."""
        self.session.subscribe(Channel.BOOK, instrument)
        sync = self.session.sync(instrument)
        assert sync is not None
        return sync

    def request(self, instrument: Instrument | None = None, /, **fields: Any) -> OrderRequest:
        """A limit order that rests, or what `fields` say, with a client id of the venue's own form."""
        chosen = instrument or self.instruments[0]
        family = self.session.venue.family(chosen.family)
        values: dict[str, Any] = {
            "client_id": family.ids.make(self.session.stamp(family.name)),
            "side": Side.BUY,
            "kind": OrderKind.LIMIT,
            **self.USUAL,
        }
        return OrderRequest(instrument=chosen, **{**values, **fields})

    async def place(self, instrument: Instrument | None = None, /, **fields: Any) -> OrderUpdate:
        """Send it."""
        return await self.session.place(self.request(instrument, **fields))

    async def placed(self, instrument: Instrument | None = None, /, **fields: Any) -> OrderRef:
        """Send it; the order's name."""
        wish = self.request(instrument, **fields)
        update = await self.session.place(wish)
        assert update.client_id in (wish.client_id, "")
        return OrderRef(
            instrument=wish.instrument, venue_id=update.venue_id, client_id=wish.client_id, algo=update.algo
        )

    # what others do

    def rest(self, key: str, side: Side, price: Decimal, amount: Decimal) -> None:
        """An order of the other account."""
        self.exchange.place("other", NewOrder(key=key, side=side, price=price, amount=amount))
        self.server.flush()

    def surround(self, key: str, middle: Decimal, step: Decimal, amount: Decimal) -> None:
        """Eleven orders of the other account on each side of `middle`."""
        for level in range(1, 12):
            for side, sign in ((Side.BUY, -1), (Side.SELL, 1)):
                self.rest(key, side, middle + sign * level * step, amount)

    def levels(self, key: str, depth: int | None = None) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        """The exchange's own book, as `OrderBook.top` gives it."""
        image = self.exchange.book(key, depth) if depth else self.exchange.book(key)
        bids, asks = ([(float(row.price), float(row.size)) for row in side] for side in (image.bids, image.asks))
        return bids, asks

    # what is heard

    def news(self, ref: OrderRef) -> list[OrderUpdate]:
        """What was told of an order."""
        return [
            row
            for row in self.ear.orders
            if row.venue_id == ref.venue_id or (ref.client_id and row.client_id == ref.client_id)
        ]

    async def reached(self, ref: OrderRef, status: OrderStatus) -> OrderUpdate:
        """Wait until the last word on an order is this."""

        def found() -> OrderUpdate | None:
            rows = self.news(ref)
            return rows[-1] if rows and rows[-1].status is status else None

        return await until(found, f"{status} as the last word on {ref.venue_id}")

    async def cut(self, *, private: bool = False) -> int:
        """Break all sockets, or the private ones, and wait until the session has noticed: a state may pass unseen, a count stays."""
        accounts = [account.link for account in self.session.private.accounts.values()]
        links = accounts if private else [*self.session.private.links, *self.session.feeds.links]
        before = [link.counters.losses for link in links]
        count = await self.server.cut(private=private or None)
        await until(
            lambda: all(link.counters.losses > lost for link, lost in zip(links, before, strict=True)), "every loss"
        )
        assert self.ear.losses, "the private stream's loss is told"
        return count
