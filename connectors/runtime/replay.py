"""Replay: a recording goes through the same Streams and BookSync as live traffic, in the file's own order.

A row of a socket belongs to the family and role whose endpoint has the row's host; a recorded snapshot belongs to the book whose
`Trading.book` would have asked for that address. Nothing is asked for: what the recording lacks stays missing, and is counted.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlsplit

from msgspec import structs

from connectors.contract import Answer, Call, Channel, Environment, Event, Family, Page, Stream, Unknown, Venue
from connectors.errors import AuthenticationFailed, NotSupported, VenueError
from connectors.model import (
    BookBroken,
    BookCheck,
    BookDelta,
    BookSnapshot,
    Candle,
    Fees,
    Instrument,
    Market,
    MarkPrice,
    SizeRule,
    Ticker,
    Trade,
    decimals,
)
from connectors.runtime.record import Row, read
from connectors.runtime.session import ConnectionHealth, Listener
from connectors.runtime.socket import LinkState
from connectors.sync import BookSync


@dataclass(slots=True)
class BookReport:
    """What became of one book. `tops` compares the book with the venue's own best prices at the same sequence number."""

    symbol: str
    frames: int = 0
    applied: int = 0
    dropped: int = 0
    gaps: int = 0
    resyncs: int = 0
    checksums_ok: int = 0
    checksums_failed: int = 0
    crossed: int = 0
    levels: int = 0
    best_bid: float | None = None
    best_ask: float | None = None
    tops_compared: int = 0
    tops_equal: int = 0


@dataclass(slots=True)
class ReplayReport:
    """Of a whole recording. `unmatched` counts rows of hosts that the venue does not name (`strangers`); `received` the frames."""

    venue: str
    rows: int = 0
    not_understood: int = 0
    unmatched: int = 0
    trades: int = 0
    received: int = 0
    strangers: set[str] = field(default_factory=set)
    books: dict[str, BookReport] = field(default_factory=dict)

    @property
    def problem(self) -> str:
        """Why the recording could not be read at all; "" if something of it was."""
        if not self.rows:
            return "nothing in this recording could be read: it is empty, or was cut off within its first row"
        if self.books or self.trades or not self.received:
            return ""
        if self.unmatched:
            return (
                f"nothing in this recording could be read: {self.unmatched} of {self.rows} rows are of addresses "
                f"that the connector for {self.venue} does not use ({', '.join(sorted(self.strangers))})"
            )
        if self.not_understood:
            return (
                f"nothing in this recording could be read: {self.not_understood} of {self.received} frames are of "
                f"a protocol that the connector for {self.venue} does not speak"
            )
        return ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        facts = asdict(self)
        del facts["strangers"]
        return facts | ({"problem": self.problem} if self.problem else {})


_VERSION = re.compile("/v[0-9]+/")
_Top: TypeAlias = tuple[tuple[float, float] | None, tuple[float, float] | None]


@dataclass(slots=True)
class _Book:
    instrument: Instrument
    sync: BookSync
    tickers: list[Ticker] = field(default_factory=list)
    tops: dict[int, _Top] = field(default_factory=dict)  # by sequence number, for tickers that come after their update
    compared: int = 0
    equal: int = 0

    @property
    def top(self) -> _Top:
        """Best bid and ask of the book as it is."""
        return self.sync.book.best_bid, self.sync.book.best_ask

    def compare(self, told: Ticker, top: _Top) -> None:
        """The venue's own best prices against the book's."""
        self.compared += 1
        self.equal += top == ((told.bid, told.bid_size), (told.ask, told.ask_size))


class Replay:
    """Takes rows one by one (`feed`) and keeps books and a report. `listener` hears market events as from a session."""

    def __init__(self, venue: Venue, listener: Listener | None = None) -> None:
        self.venue = venue
        self.listener = listener
        self.instruments: dict[str, Instrument] = {}
        self.report = ReplayReport(venue.slug)
        self.books: dict[tuple[str, str], _Book] = {}
        self.last_frame: float = 0.0
        self.named_only: set[tuple[str, str]] = set()  # family and wire of stand-ins
        self._by_wire: dict[tuple[str, str], Instrument] = {}
        self._streams: dict[str, tuple[Family, Stream]] = {}
        self._samples: dict[tuple[str, str], dict[int, Ticker]] = {}  # tickers that wait for their update

    def feed(self, row: Row) -> None:
        """One row."""
        self.report.rows += 1
        self.last_frame = row.ts
        if row.dir == "http":
            self._http(row)
        elif row.dir == "open":
            self._streams.pop(row.conn, None)
            self._stream(row)
        elif row.dir == "in":
            self.report.received += 1
            found = self._stream(row)
            if found is None:
                self._stranger(row)
                return
            family, stream = found
            for event in stream.receive(row.frame):
                self._event(family, event, row.ts)

    def _stranger(self, row: Row) -> None:
        self.report.unmatched += 1
        self.report.strangers.add(urlsplit(row.url).hostname or row.url)

    def finish(self) -> ReplayReport:
        """The report as of now."""
        for book in self.books.values():
            counters, best = book.sync.counters, book.sync.book
            self.report.books[book.instrument.key] = BookReport(
                symbol=book.instrument.symbol,
                frames=counters.frames,
                applied=counters.applied,
                dropped=counters.dropped,
                gaps=counters.gaps,
                resyncs=counters.resyncs,
                checksums_ok=counters.checksums_ok,
                checksums_failed=counters.checksums_failed,
                crossed=counters.crossed,
                levels=len(best.bids) + len(best.asks),
                best_bid=best.best_bid[0] if best.best_bid else None,
                best_ask=best.best_ask[0] if best.best_ask else None,
                tops_compared=book.compared,
                tops_equal=book.equal,
            )
        return self.report

    # -----------------------------------------------------------------------------------------------------------------

    def _stream(self, row: Row) -> tuple[Family, Stream] | None:
        if row.conn not in self._streams:
            found = self._named(row.conn) or self._family_of(row.url, "ws")
            if found is None:
                return None
            family, role = found
            stream = family.account_stream() if role == "account" else family.market_stream(role)
            self._streams[row.conn] = (family, stream)
        return self._streams[row.conn]

    def _named(self, conn: str) -> tuple[Family, str] | None:
        """Family and role as our own recordings name a connection: public and private sockets may share an address."""
        name, _, rest = conn.partition(".")
        role = rest.rpartition(".")[0]
        for family in self.venue.families:
            if family.name == name and any(endpoint.role == role for endpoint in family.endpoints):
                return family, role
        return None

    def _family_of(self, url: str, scheme: str) -> tuple[Family, str] | None:
        """The family and role whose base URL shares most of `url`, at least the host."""
        best: tuple[int, Family, str] | None = None
        parts = urlsplit(url)
        for family in self.venue.families:
            for endpoint in family.endpoints:
                for base in filter(None, (endpoint.url, endpoint.testnet, *endpoint.former)):
                    mine = urlsplit(base)
                    if not mine.scheme.startswith(scheme) or mine.hostname != parts.hostname:
                        continue
                    score = 1 + (len(mine.path) if parts.path.startswith(mine.path) else 0)
                    if best is None or score > best[0]:
                        best = (score, family, endpoint.role)
        return None if best is None else (best[1], best[2])

    def _http(self, row: Row) -> None:
        found = self._family_of(row.url, "http")
        if found is None:
            self._stranger(row)
            return
        parts = urlsplit(row.url)
        values = {value for _, value in parse_qsl(parts.query)} | set(parts.path.split("/"))
        answer = Answer(200, row.data.encode(), {name.lower(): value for name, value in (row.headers or {}).items()})
        for family in self.venue.families:
            call = next(iter(_calls(family.trading.instruments())), None)
            if call is not None and self._same_address(family, call, parts.hostname, parts.path, any_version=True):
                self._learn_instruments(call, answer)
                return
        for (name, wire), instrument in list(self._by_wire.items()):
            if wire not in values:
                continue
            family = self.venue.family(name)
            for call in _calls(family.trading.book(instrument)):
                if not self._same_address(family, call, parts.hostname, parts.path):
                    continue
                try:
                    snapshot = call.read(answer)
                except VenueError:
                    self.report.not_understood += 1
                    return
                self._event(family, snapshot, row.ts)
                return

    @staticmethod
    def _same_address(family: Family, call: Call, host: str | None, path: str, *, any_version: bool = False) -> bool:
        """`any_version`: an older recording may have asked /v1/ for what /v2/ tells today."""
        base = urlsplit(family.url(call.endpoint))
        ours = base.path + call.path
        if any_version:
            ours, path = _VERSION.sub("/", ours), _VERSION.sub("/", path)
        return base.hostname == host and ours == path

    def _learn_instruments(self, call: Call, answer: Answer) -> None:
        try:
            rows = call.read(answer)
        except VenueError:
            self.report.not_understood += 1
            return
        for instrument in rows:
            self.instruments[instrument.key] = instrument
            self._by_wire[instrument.family, instrument.wire] = instrument
            self.named_only.discard((instrument.family, instrument.wire))
            book = self.books.get((instrument.family, instrument.wire))
            if book is not None:
                book.instrument = instrument

    def _instrument(self, family: Family, wire: str) -> Instrument:
        """The instrument, or a stand-in by its name alone where the recording has no list of instruments."""
        found = self._by_wire.get((family.name, wire))
        if found is None:
            market = next(iter(sorted(family.markets))) if family.markets else Market.SPOT
            base, quote = family.spelling.pair(wire) or (wire, "")
            found = Instrument(
                venue=self.venue.slug,
                family=family.name,
                market=market,
                symbol=family.spelling.symbol(wire),
                wire=wire,
                base=base,
                quote=quote,
                settle=quote,
                tick=Decimal("0.00000001"),
                size=SizeRule(),
                price_digits=decimals(Decimal("0.00000001")),
                size_digits=8,
            )
            self.named_only.add((family.name, wire))
            self._know(found)
        return found

    def _know(self, instrument: Instrument) -> None:
        self._by_wire[instrument.family, instrument.wire] = instrument
        self.instruments[instrument.key] = instrument

    def expect(self, instrument: Instrument) -> None:
        """One that comes later in the recording, unless it is known already."""
        if (instrument.family, instrument.wire) not in self._by_wire:
            self._know(instrument)

    def _book(self, family: Family, wire: str) -> _Book:
        key = (family.name, wire)
        if key not in self.books:
            book = self.books[key] = _Book(self._instrument(family, wire), BookSync(family.book, wire))
            book.sync.subscribed(self.last_frame)
        return self.books[key]

    def _event(self, family: Family, event: Event, now: float) -> None:
        match event:
            case BookDelta():
                book = self._book(family, event.wire)
                applied = book.sync.counters.applied
                book.sync.delta(event, now)
                if family.book.sampled:
                    self._sample(family, book)
                elif book.sync.counters.applied > applied:
                    self._witness(book)
            case BookSnapshot():
                book = self._book(family, event.wire)
                book.sync.snapshot(event, now)
                if family.book.sampled:
                    self._sample(family, book)
            case BookCheck():
                self._book(family, event.wire).sync.check(event, now)
            case BookBroken():
                wires = (
                    event.wires
                    if event.wires is not None
                    else [wire for name, wire in self.books if name == family.name]
                )
                for wire in wires:
                    self._book(family, wire).sync.hole(event.why, now)
            case Unknown():
                self.report.not_understood += 1
            case Trade() | Ticker() | Candle() | MarkPrice():
                self.report.trades += isinstance(event, Trade)
                instrument = self._instrument(family, event.wire)
                if isinstance(event, Ticker) and event.id is not None and family.book.sampled:
                    self._sampled(family, event, event.id)
                elif isinstance(event, Ticker) and event.id is not None:
                    self._book(family, event.wire).tickers.append(event)
                if self.listener is not None:
                    self.listener.market(event, instrument)
            case _:
                pass

    def _sampled(self, family: Family, told: Ticker, number: int) -> None:
        """A ticker that speaks of one number: compared with the book as it was or will be at exactly that one."""
        book = self.books.get((family.name, told.wire))
        top = book.tops.get(number) if book is not None else None
        if book is not None and top is not None:
            book.compare(told, top)
        elif book is None or book.sync.last_id is None or number > book.sync.last_id:
            self._samples.setdefault((family.name, told.wire), {})[number] = told

    def _sample(self, family: Family, book: _Book) -> None:
        """The book is at a number: keep its top, and compare it if the venue has told of it before."""
        last = book.sync.last_id
        if last is None or not book.sync.live:
            return
        book.tops[last] = book.top
        told = self._samples.get((family.name, book.sync.wire), {}).pop(last, None)
        if told is not None:
            book.compare(told, book.top)

    @staticmethod
    def _witness(book: _Book) -> None:
        """The venue's own best prices at or before the book's sequence number must be the book's."""
        last = book.sync.last_id
        if last is None or not book.sync.live:
            return
        told: Ticker | None = None
        while book.tickers and book.tickers[0].id is not None and book.tickers[0].id <= last:
            told = book.tickers.pop(0)
        if told is None:
            return
        book.tickers.insert(0, told)  # it stays the witness until a newer one comes
        book.compare(told, book.top)


def _as_seen(book: _Book) -> Instrument:
    """A stand-in with as many decimals as its book shows: its real tick is not told, and a millionth of it says nothing."""
    sides = (book.sync.book.bids, book.sync.book.asks)
    price, size = (
        max((decimals(Decimal(repr(value))) for side in sides for value in part(side)), default=8)
        for part in (dict.keys, dict.values)
    )
    tick = Decimal(1).scaleb(-price)
    return structs.replace(book.instrument, tick=tick, price_digits=price, size_digits=min(8, size))


def _calls(flow: Any) -> list[Call]:
    """The first request of an operation, and those that it makes instead where there is no key for it."""
    found: list[Call] = []
    try:
        step = next(flow)
        while isinstance(step, Call):
            found.append(step)
            step = flow.throw(AuthenticationFailed("no key"))
    except (StopIteration, VenueError):
        pass
    return found


def replay(path: Path, venue: Venue, listener: Listener | None = None) -> ReplayReport:
    """Read a recording as fast as possible. Raises OSError and ValueError as `record.read` does."""
    run = Replay(venue, listener)
    for row in read(path):
        run.feed(row)
    return run.finish()


def hosts_of(path: Path) -> Iterator[str]:
    """Host names in a recording, to find out whose it is."""
    for row in read(path):
        host = urlsplit(row.url).hostname
        if host:
            yield host


class ReplaySource:
    """A recording that looks like a Session without a key: paced by its own time stamps, `speed` times as fast."""

    def __init__(self, path: Path, venue: Venue, *, listener: Listener | None = None, speed: float = 1.0) -> None:
        self.venue = venue
        self.environment = Environment.LIVE
        self.problem = ""
        self.speed = speed
        self.progress = 0.0
        self._replay = Replay(venue, listener)
        self._rows = list(read(path))
        self._task: asyncio.Task[None] | None = None
        self._rate = 0.0

    @property
    def instruments(self) -> dict[str, Instrument]:
        """What the recording holds."""
        return self._replay.instruments

    async def start(self) -> None:
        """Take what was read before the first frame, then go on at the recording's pace. Every book is known from the start."""
        first = next((index for index, row in enumerate(self._rows) if row.dir == "in"), 0)
        probe = Replay(self.venue)
        for row in self._rows:
            probe.feed(row)
        for row in self._rows[:first]:
            self._replay.feed(row)
        for key, instrument in list(self.instruments.items()):
            if probe.books and (instrument.family, instrument.wire) not in probe.books:
                del self.instruments[key]  # listed, but nothing of it was recorded
        for name, book in probe.books.items():
            self._replay.expect(_as_seen(book) if name in probe.named_only else book.instrument)
        self._task = asyncio.ensure_future(self._run(first))

    async def stop(self) -> None:
        """Stop where it is."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, first: int) -> None:
        loop = asyncio.get_running_loop()
        began, zero = loop.time(), self._rows[first].ts if self._rows else 0.0
        for index in range(first, len(self._rows)):
            row = self._rows[index]
            due = began + (row.ts - zero) / self.speed
            if due > loop.time():
                await asyncio.sleep(due - loop.time())
            elif index % 200 == 0:
                await asyncio.sleep(0)
            self._replay.feed(row)
            self.progress = (index + 1) / len(self._rows)
            self._rate = (index - first + 1) / max(1e-3, loop.time() - began)
        self._rate = 0.0

    @property
    def report(self) -> ReplayReport:
        """As of now."""
        return self._replay.finish()

    def subscribe(self, channel: Channel, instrument: Instrument, interval: str = "") -> None:
        """Everything that was recorded comes anyway."""

    def unsubscribe(self, channel: Channel, instrument: Instrument, interval: str = "") -> None:
        """As above."""

    def sync(self, instrument: Instrument) -> BookSync | None:
        """The book of an instrument."""
        return self._replay._book(self.venue.family(instrument.family), instrument.wire).sync

    def last_heard(self, instrument: Instrument) -> float | None:
        """Recorded time has no age."""
        return None

    def instrument(self, family: str, wire: str) -> Instrument | None:
        """The instrument that a venue calls `wire`."""
        return next((row for row in self.instruments.values() if (row.family, row.wire) == (family, wire)), None)

    async def candles(self, instrument: Instrument, interval: str, page: Page) -> list[Candle]:
        """A recording holds no history to ask for."""
        return []

    async def trades(self, instrument: Instrument, limit: int = 200) -> list[Trade]:
        """As above."""
        return []

    async def tickers(self, instruments: Sequence[Instrument]) -> list[tuple[Instrument, Ticker]]:
        """As above."""
        return []

    async def fees(self, instrument: Instrument) -> Fees:
        """There is no account here."""
        raise NotSupported("a recording has no account")

    @property
    def health(self) -> list[ConnectionHealth]:
        """The file as one connection."""
        syncs = [book.sync.counters for book in self._replay.books.values()]
        return [
            ConnectionHealth(
                family="",
                role="recording",
                url="",
                state=LinkState.OPEN if self.progress < 1 else LinkState.OFF,
                text=f"{self.progress * 100:.0f} % played",
                messages=self._replay.report.rows,
                rate=self._rate,
                bytes=0,
                age=None,
                delay_ms=None,
                reconnects=0,
                unknown=self._replay.report.not_understood,
                declined=0,
                topics=len(syncs),
                gaps=sum(sync.gaps for sync in syncs),
                resyncs=sum(sync.resyncs for sync in syncs),
                budget=None,
            )
        ]

    def budgets(self) -> dict[str, tuple[float, float]]:
        """Nothing is spent."""
        return {}
