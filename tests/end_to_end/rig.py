"""What tests that kill need: a practice exchange in this process, a trading process, and the comparison of their books."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from app.journal import Journal
from app.journal_rows import Record
from connectors import catalogue
from connectors.contract import Venue
from connectors.model import Market, OrderKind, OrderStatus, Side
from connectors.practice.faults import Faults
from connectors.practice.server import PracticeServer, practice_class
from connectors.practice.terms import NewOrder, Order
from tests.waiting import until

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 60.0
ACCOUNT = "trader"


class Trading:
    """The trading process, alive or killed, over one home folder."""

    def __init__(self, server: PracticeServer, home: Path, instruments: list[str], **told: Any) -> None:
        self.server = server
        self.home = home
        self.instruments = instruments
        self.said: list[dict[str, Any]] = []
        self._told = told
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    async def launch(self) -> None:
        """Start the process; it is not ready yet."""
        environment = os.environ | {"FATHOM_HOME": str(self.home), "PYTHONPATH": str(ROOT)}
        with (self.home / "stderr.txt").open("ab") as errors:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tests.end_to_end.trader",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env=environment,
                cwd=ROOT,
                limit=2**24,
            )
        self.said = []
        self._reader = asyncio.ensure_future(self._read())
        server = self.server
        first = {"venue": server.venue.slug, "hosts": server.hosts, "credentials": server.credentials}
        await self._write(first | {"instruments": self.instruments} | self._told)

    async def start(self) -> None:
        """Start it and wait until it may trade."""
        await self.launch()
        await self.hears("ready")

    async def kill(self) -> None:
        """SIGKILL: nothing is closed, flushed or said."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        if self._reader is not None:
            await self._reader

    async def stop(self) -> None:
        """End it in good order."""
        await self.tell("stop")
        await self.hears("stopped")
        if self._process is not None:
            await self._process.wait()

    async def tell(self, do: str, **words: Any) -> None:
        """Ask for something."""
        await self._write({"do": do} | words)

    async def place(self, instrument: str, side: Side, amount: str, price: str = "", **words: Any) -> str:
        """Place an order; returns its id in the desk as soon as the desk has it."""
        terms = {"instrument": instrument, "side": side.value, "amount": amount} | ({"price": price} if price else {})
        await self.tell("place", **terms, **words)
        said = await self.hears("placed", "refused")
        assert "placed" in said, said
        return said["placed"]

    async def hears(self, *names: str) -> dict[str, Any]:
        """The next line that has one of these; it is taken."""

        def found() -> dict[str, Any] | None:
            return next((line for line in self.said if any(name in line for name in (*names, "failed"))), None)

        line = await until(lambda: found() or self._ended(), f"a line with {names} ({self.home})", 2 * PATIENCE)
        assert isinstance(line, dict), f"the process ended; see {self.home / 'stderr.txt'}"
        self.said.remove(line)
        assert "failed" not in line, line
        return line

    async def state(self) -> dict[str, Any]:
        """What the desk knows, after the journal is on disk."""
        await self.tell("state")
        return await self.hears("orders")

    def _ended(self) -> bool:
        return self._process is not None and self._process.returncode is not None

    async def _write(self, words: dict[str, Any]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(words).encode() + b"\n")
        try:
            await self._process.stdin.drain()
        except ConnectionError:
            pass  # it was killed

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            try:
                self.said.append(json.loads(line))
            except ValueError:
                return  # killed in the middle of a word


def instruments_of(server: PracticeServer) -> list[str]:
    """The first spot market and the first linear perpetual that the venue lists, by Fathom's names."""
    venue = server.venue
    families = {market for family in venue.families for market in family.markets}
    found = []
    for market in (Market.SPOT, Market.PERP):
        keys = [listing for listing in server.exchange.listings.values() if listing.market is market]
        if market in families and keys:
            wanted = [listing for listing in keys if listing.symbol in venue.demo_symbols] or keys
            found.append(f"{venue.slug}:{wanted[0].key}")
    return found


def demonstrated(venue: Venue) -> set[str]:
    """The first of the venue's demonstration listings in each market, by name: enough of a crowd for who looks at no more."""
    named = [row for row in practice_class(venue).listings if row.symbol in venue.demo_symbols]
    return {min(row.key for row in named if row.market is market) for market in {row.market for row in named}}


@asynccontextmanager
async def trading_at(home: Path, *instruments: str, **told: Any) -> AsyncGenerator[tuple[PracticeServer, Trading]]:
    """A still market at Binance and a process that may trade there; gone when the test is over, however it went."""
    async with exchange_of("binance") as server:
        trading = Trading(server, home, list(instruments), **told)
        try:
            await trading.start()
            yield server, trading
        finally:
            await trading.kill()


class Wall:
    """This machine's wall clock for an exchange, in ms, and what a test lets pass at once."""

    def __init__(self) -> None:
        self.ahead = 0

    def __call__(self) -> int:
        return time.time_ns() // 1_000_000 + self.ahead


@contextmanager
def unseen(server: PracticeServer) -> Generator[None]:
    """Of what happens to accounts meanwhile no socket tells, not later either; for what is done without a turn of the loop."""
    yield
    for socket in server._sockets:
        if socket.connection.private:
            socket.connection.out.clear()


@asynccontextmanager
async def exchange_of(
    slug: str,
    *,
    faults: Faults | None = None,
    seed: int | None = None,
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
) -> AsyncGenerator[PracticeServer]:
    """A practice server; without a seed it has no crowd, but a still market that somebody else made."""
    server = PracticeServer(catalogue.load(slug), faults=faults, seed=seed, crowd=seed is not None, now_ms=now_ms)
    server.practice.limited = False  # nobody restarts every few seconds; a venue's counters outlast our processes
    if seed is None:
        server.fund("maker")
        for key, listing in server.exchange.listings.items():
            for step in range(1, 6):
                for side in Side:
                    price = listing.reference + listing.tick * step * 10 * (1 if side is Side.SELL else -1)
                    size = max(listing.minimum, listing.step) * 200
                    order = NewOrder(key=key, side=side, kind=OrderKind.LIMIT, price=price, amount=size)
                    try:
                        server.exchange.place("maker", order)
                    except Exception:  # noqa: BLE001 - what it has no funds for stays thin
                        continue
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def all_orders(server: PracticeServer) -> list[Order]:
    """Every order that the trader's account ever had at the exchange."""
    exchange = server.exchange
    found = [*exchange.open_orders(ACCOUNT), *exchange.closed_orders(ACCOUNT, limit=100_000)]
    return sorted(found, key=lambda order: order.id)


async def journal_of(home: Path) -> tuple[list[Record], Counter[tuple[str, str]]]:
    """Orders, and executions by (instrument, id), as they are on disk; read while the process may run."""
    journal = Journal(home / "data" / "journal.sqlite")
    try:
        records = await journal.orders(limit=1_000_000)
        fills = Counter((fill.instrument, fill.fill_id) for fill in await journal.fills(limit=1_000_000))
    finally:
        journal.close()
    return records, fills


async def differences(server: PracticeServer, trading: Trading) -> list[str]:
    """Where desk, journal and exchange do not agree; empty if they do. The exchange must be at rest."""
    state = await trading.state()
    records, fills = await journal_of(trading.home)
    orders = all_orders(server)
    found = [] if state["ready"] else ["the desk is not ready"]
    desk = {row["id"]: row for row in state["orders"]}
    names = Counter(order.client_id for order in orders if order.client_id)
    by_client = {name: record for record in records for name in record.client_ids}
    for name, count in names.items():
        if count > 1 + changes(by_client.get(name)):
            found.append(f"client id {name} was used {count} times")
    by_venue = {venue_id: record for record in records for venue_id in venue_ids(record)}
    legs: dict[str, list[Order]] = defaultdict(list)
    for order in orders:
        record = by_client.get(order.client_id) or by_venue.get(wire_id(order, by_venue))
        if record is not None:
            legs[record.id].append(order)
        elif order.client_id.startswith("elsewhere") and order.status.is_final:
            continue  # another program's, over before anybody could see it
        else:
            found.append(f"the exchange has {order.id} ({order.client_id}, {order.status}), nobody here knows it")
    for record in records:
        found += compare_one(record, legs[record.id], desk.get(record.id))
    executed = server.exchange.fills(ACCOUNT, limit=1_000_000)
    known = {leg.id for parts in legs.values() for leg in parts}
    ours = sum(fill.order_id in known for fill in executed)  # of another program's we may know, but need not
    if not ours <= sum(fills.values()) <= len(executed):
        found.append(f"{sum(fills.values())} executions in the journal, {ours} of our orders at the exchange")
    return found


def changes(record: Record | None) -> int:
    """How often a change was asked for: some venues go on under a new id of theirs and the old one of ours."""
    return sum(what == "amend_asked" for _, what, *_ in record.events) if record is not None else 0


def venue_ids(record: Record) -> set[str]:
    """Every venue id that the journal has of an order."""
    return {facts["venue_id"] for facts in _facts(record) if facts.get("venue_id")}


def wire_id(order: Order, known: dict[str, Record]) -> str:
    """The exchange's id as the venue writes it: the one known here that ends in the same digits, or itself."""
    return str(order.id) if str(order.id) in known else ""


def _facts(record: Record) -> list[dict[str, Any]]:
    return [msgspec.json.decode(detail) for *_, detail in record.events]


def compare_one(record: Record, legs: list[Order], shown: dict[str, Any] | None) -> list[str]:
    """One order of the journal against what the exchange had of it, and against what the desk shows."""
    name = f"{record.id[:8]} {record.client_ids[:1]}"
    state = record.events[-1][2] if record.events else "pending"
    filled = max((Decimal(facts.get("filled") or 0) for facts in _facts(record)), default=Decimal(0))
    found = []
    if not legs:
        if not record.final or state not in ("rejected", "cancelled") or filled:
            found.append(f"{name}: {state} here with {filled} filled, the exchange never had it")
    else:
        last = legs[-1]
        total = sum((leg.filled for leg in legs), Decimal(0))
        open_legs = [leg for leg in legs if not leg.status.is_final]
        if len(open_legs) > 1:
            found.append(f"{name}: {len(open_legs)} of its legs stand at once")
        if last.status.is_final != record.final or not same_word(last.status, state):
            found.append(f"{name}: {state} in the journal, {last.status} at the exchange")
        if total != filled:
            found.append(f"{name}: {filled} filled in the journal, {total} at the exchange")
        if total > most_asked(record):
            found.append(f"{name}: {total} filled, {most_asked(record)} is the most that was ever asked for")
    if shown is not None and (shown["state"], Decimal(shown["filled"])) != (state, filled):
        found.append(f"{name}: the desk shows {shown['state']} {shown['filled']}, the journal {state} {filled}")
    return found


def same_word(status: OrderStatus, state: str) -> bool:
    """Whether the venue's word means the exchange's: some venues call what expired cancelled."""
    ended = {OrderStatus.CANCELLED.value, OrderStatus.EXPIRED.value}
    return status is OrderStatus.PENDING or status.value == state or {status.value, state} <= ended


def most_asked(record: Record) -> Decimal:
    """The largest amount that the trader ever asked for with this order."""
    asked = [Decimal(str(msgspec.json.decode(record.request).get("amount") or 0))]
    asked += [Decimal(facts["amount"]) for facts in _facts(record) if facts.get("amount")]
    return max(asked)


async def agree(server: PracticeServer, trading: Trading, patience: float = 3 * PATIENCE) -> None:
    """Let the market rest, then wait until all three say the same."""
    crowd, server.crowd = server.crowd, None
    deadline = time.monotonic() + patience
    while wrong := await differences(server, trading):
        assert time.monotonic() < deadline, f"{trading.home}\n" + "\n".join(wrong)
        await asyncio.sleep(0.05)
    server.crowd = crowd
