"""Feeds: the market data of one session. Who wants which topic, over which sockets it comes, and the books that are made of it.

A topic is subscribed once however many want it. A socket that nears its end is replaced while it still serves: both feed until
the new one carries every book, and trades that both tell are told once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from connectors.contract import Channel, Event, Family, Repair, Source, Topic
from connectors.errors import VenueError
from connectors.model import (
    BookBroken,
    BookCheck,
    BookDelta,
    BookSnapshot,
    Candle,
    Instrument,
    MarkPrice,
    Ticker,
    Trade,
)
from connectors.runtime.driver import Driver
from connectors.runtime.socket import Link
from connectors.runtime.tasks import Tasks
from connectors.sync import BookSync

SUCCESSION = 20.0  # seconds that a new socket may take until it carries every book
SUCCESSION_LOOK = 0.05  # seconds between looks at it
TRADES_KNOWN = 2000  # ids kept of each instrument
REPLACE_AT = 0.9  # of a socket's allowed life

Drawn = Trade | Ticker | Candle | MarkPrice


@dataclass(slots=True)
class LiveMarket:
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


class Feeds:
    """`make_link` opens a socket of a role; `tell` hears what is drawn; `decline` a refused subscription, in words.

    `markets` is by (family, wire name); `misdirected` counts events of instruments that nobody listed.
    """

    def __init__(
        self,
        driver: Driver,
        tasks: Tasks,
        make_link: Callable[[Family, str], Link],
        tell: Callable[[Event, Instrument], None],
        decline: Callable[[str], None],
    ) -> None:
        self.markets: dict[tuple[str, str], LiveMarket] = {}
        self.links: list[Link] = []
        self.successors: dict[Link, Link] = {}
        self.misdirected = 0
        self._driver = driver
        self._tasks = tasks
        self._make_link = make_link
        self._tell = tell
        self._decline = decline

    def add(self, instrument: Instrument) -> None:
        """An instrument, new or changed."""
        key = (instrument.family, instrument.wire)
        self.markets.setdefault(key, LiveMarket(instrument)).instrument = instrument

    # -----------------------------------------------------------------------------------------------------------------
    # What is wanted

    def subscribe(self, topic: Topic, instrument: Instrument, family: Family) -> None:
        """Want a topic; counted."""
        market = self.markets[instrument.family, instrument.wire]
        market.wanted[topic] = market.wanted.get(topic, 0) + 1
        if market.wanted[topic] > 1:
            return
        link = self._link_for(family, topic)
        link.topics.add(topic)
        if topic.channel is Channel.BOOK:
            market.sync = market.sync or BookSync(family.book, instrument.wire)
            market.book_link = link
        if link.is_open:
            self._tasks.spawn(self.change(link, add=[topic], drop=[]))

    def unsubscribe(self, topic: Topic, instrument: Instrument) -> None:
        """Want it no more; the last one out ends the subscription."""
        market = self.markets[instrument.family, instrument.wire]
        market.wanted[topic] = market.wanted.get(topic, 0) - 1
        if market.wanted[topic] > 0:
            return
        market.wanted.pop(topic, None)
        if topic.channel is Channel.BOOK and market.sync is not None:
            market.sync.disconnected("not subscribed", self._now())
            market.sync, market.book_link = None, None
        for link in list(self.links):
            if topic in link.topics:
                link.topics.discard(topic)
                if link.is_open:
                    self._tasks.spawn(self.change(link, add=[], drop=[topic]))
                if not link.topics:
                    self.links.remove(link)
                    self._tasks.spawn(link.stop())

    def books_of(self, link: Link) -> list[BookSync]:
        """The books that a link carries."""
        topics = [topic for topic in link.topics if topic.channel is Channel.BOOK]
        markets = [self.markets.get((link.family, topic.wire)) for topic in topics]
        return [market.sync for market in markets if market is not None and market.sync is not None]

    async def change(self, link: Link, *, add: Sequence[Topic], drop: Sequence[Topic], fresh: bool = False) -> None:
        """Subscribe and unsubscribe on an open link; books begin to wait for their image."""
        now = self._now()
        for topic in add:
            market = self.markets.get((link.family, topic.wire))
            warming = link in self.successors
            if topic.channel is Channel.BOOK and market is not None and market.sync is not None and not warming:
                market.book_link = link
                market.sync.subscribed(now)
        active = frozenset() if fresh else frozenset(link.topics) - frozenset(add)
        for ask in link.stream.plan(active, list(add), list(drop)):
            try:
                await link.ask(ask)
            except VenueError as error:
                link.counters.declined += 1
                self._decline(str(error))

    # -----------------------------------------------------------------------------------------------------------------
    # What links tell

    def opened(self, link: Link) -> None:
        """Subscribe to everything that this link carries."""
        if link.topics:
            self._tasks.spawn(self.change(link, add=sorted(link.topics, key=_order), drop=[], fresh=True))

    def lost(self, link: Link, why: str) -> None:
        """Every book of this link is old from now on."""
        now = self._now()
        for topic in link.topics:
            if topic.channel is not Channel.BOOK:
                continue
            market = self.markets.get((link.family, topic.wire))
            if market is not None and market.sync is not None and market.book_link is link:
                market.sync.disconnected(f"the connection was lost ({why})", now)

    def drawn(self, link: Link, event: Drawn) -> None:
        """A trade, ticker, candle or mark price."""
        market = self.markets.get((link.family, event.wire))
        if market is None:
            self.misdirected += 1
        elif not (isinstance(event, Trade) and market.knows(event.id)):
            self._tell(event, market.instrument)

    def book(self, link: Link, event: BookDelta | BookSnapshot) -> None:
        """Levels."""
        market = self.markets.get((link.family, event.wire))
        if market is None or market.sync is None:
            self.misdirected += market is None
            return
        if event.time is not None:
            link.counters.delay_ms = self._driver.clock.ms() - event.time
        sync = market.sync
        if market.book_link is not link:
            # A successor that warms up. Numbered books may hear both; a streamed image moves the book over.
            if sync.rule.source is Source.STREAM:
                if not isinstance(event, BookSnapshot):
                    return
                market.book_link = link
            elif link not in self.successors:
                return
        now = link.last_frame
        if isinstance(event, BookDelta):
            sync.delta(event, now)
        else:
            sync.snapshot(event, now)
        if sync.need is not None:
            self._repair(market, now)

    def book_note(self, link: Link, event: BookCheck | BookBroken) -> None:
        """A checksum by itself, or what the stream saw."""
        if isinstance(event, BookCheck):
            wires: Sequence[str] = (event.wire,)
        else:
            wires = event.wires if event.wires is not None else [topic.wire for topic in link.topics]
        now = link.last_frame
        for wire in wires:
            market = self.markets.get((link.family, wire))
            if market is None or market.sync is None or market.book_link is not link:
                continue
            if isinstance(event, BookCheck):
                market.sync.check(event, now)
            else:
                market.sync.hole(event.why, now)
            self._repair(market, now)

    # -----------------------------------------------------------------------------------------------------------------
    # Time passes

    def look(self, now: float) -> None:
        """A few times a second: books that fell silent or are due for a repair."""
        for market in self.markets.values():
            sync, link = market.sync, market.book_link
            if sync is not None and link is not None and link.is_open:
                if now - link.last_frame < sync.rule.quiet_after:
                    sync.alive(link.last_frame)
                self._repair(market, now)

    def _repair(self, market: LiveMarket, now: float) -> None:
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
                self._tasks.spawn(self._fetch(market, sync))
            case Repair.RESUBSCRIBE:
                wire = market.instrument.wire
                topics = [topic for topic in link.topics if topic.wire == wire and topic.channel is Channel.BOOK]
                self._tasks.spawn(self._resubscribe(link, topics))
            case Repair.RECONNECT:
                link.drop(f"the book of {market.instrument.symbol} could not be repaired otherwise")
            case Repair.WAIT:
                pass

    async def _fetch(self, market: LiveMarket, sync: BookSync) -> None:
        family = self._driver.venue.family(market.instrument.family)
        try:
            snapshot = await self._driver.run(family.trading.book(market.instrument), family)
        except VenueError as error:
            sync.failed(f"the snapshot could not be had: {error}", self._now())
        else:
            if market.sync is sync:
                sync.snapshot(snapshot, self._now())
        finally:
            market.fetching = False

    async def _resubscribe(self, link: Link, topics: Sequence[Topic]) -> None:
        await self.change(link, add=[], drop=topics)
        await self.change(link, add=topics, drop=[])

    def _now(self) -> float:
        return self._driver.clock.monotonic()

    # -----------------------------------------------------------------------------------------------------------------
    # Sockets

    def _link_for(self, family: Family, topic: Topic) -> Link:
        """A link of the right role with room for one more topic."""
        role = family.route(topic)
        for link in self.links:
            room = link.caps.topics is None or len(link.topics) < link.caps.topics
            if link.family == family.name and link.role == role and room:
                return link
        link = self._make_link(family, role)
        self.links.append(link)
        return link

    def replace_if_old(self, link: Link, now: float) -> None:
        """Open the next socket before the venue closes this one."""
        if link in self.successors or link in self.successors.values() or not is_old(link, now):
            return
        successor = self._make_link(self._driver.venue.family(link.family), link.role)
        successor.topics = set(link.topics)
        self.successors[successor] = link
        self._tasks.spawn(self._succeed(link, successor))

    async def _succeed(self, link: Link, successor: Link) -> None:
        """Let both feed until the new one carries every book, then close the old one."""
        opened_at: float | None = None
        while link.is_open:
            await asyncio.sleep(SUCCESSION_LOOK)
            if not successor.is_open:
                continue  # the old socket serves as long as it lasts
            now = self._now()
            opened_at = opened_at if opened_at is not None else now
            if successor.counters.frames > len(successor.topics) and self._carries_books(successor):
                break
            if now - opened_at > SUCCESSION:
                break
        self.successors.pop(successor, None)
        if link not in self.links:  # nobody wants any of it any more
            await successor.stop()
            return
        self.links[self.links.index(link)] = successor
        late, gone = link.topics - successor.topics, successor.topics - link.topics
        successor.topics = set(link.topics)
        for topic in successor.topics - late:
            if topic.channel is Channel.BOOK:
                self.markets[link.family, topic.wire].book_link = successor
        await link.stop()
        if successor.is_open and (late or gone):
            await self.change(successor, add=sorted(late, key=_order), drop=sorted(gone, key=_order))

    def _carries_books(self, successor: Link) -> bool:
        """Whether every streamed book has its image from the new socket; numbered ones join by their numbers."""
        topics = [topic for topic in successor.topics if topic.channel is Channel.BOOK]
        markets = [self.markets[successor.family, topic.wire] for topic in topics]
        streamed = [market for market in markets if market.sync and market.sync.rule.source is Source.STREAM]
        return all(market.book_link is successor for market in streamed)


def is_old(link: Link, now: float) -> bool:
    """Whether an open socket nears the end that its venue sets."""
    spent = link.life is not None and now - link.opened_at > link.life * REPLACE_AT
    return link.is_open and (link.closing_soon or spent)


def _order(topic: Topic) -> tuple[str, str, str]:
    return (topic.wire, topic.channel, topic.interval)
