"""Kill and restart a trading process for a while, against practice exchanges that misbehave, and compare after every restart.

`./dev soak --minutes 10` or `--kills 200`, `--venue binance --venue kraken`, `--seed 1`. Each round starts the process (which
takes up its orders and compares), checks that desk, journal and exchange agree on every order and every execution, that no client
id was used twice and no order is unaccounted for, lets it trade at random with faults on, and kills it at a random moment.
The venues run beside one another. Ends with status 1 at the first difference, which is printed.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from connectors import catalogue
from connectors.model import OrderKind, Side
from connectors.practice.faults import Faults
from connectors.practice.server import PracticeServer
from connectors.practice.terms import NewOrder, Refusal
from tests.end_to_end.rig import ACCOUNT, Trading, agree, all_orders, exchange_of, instruments_of

ACTIONS = 12.0  # a second
LIVES = (0.05, 2.5)  # seconds that a process trades before it is killed
EARLY = 0.15  # part of the kills that come while it is still starting
CUTS = 0.5  # a second: how often sockets break meanwhile
ELSEWHERE = 1.0  # a second: orders that another program places in the same account


@dataclass(slots=True)
class Tally:
    """What came of the rounds at one venue."""

    venue: str
    kills: int = 0
    orders: int = 0
    executions: int = 0
    cuts: int = 0
    lost_answers: int = 0
    settling: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        slowest = max(self.settling, default=0.0)
        middle = sorted(self.settling)[len(self.settling) // 2] if self.settling else 0.0
        return (
            f"{self.venue}: {self.kills} kills, {self.orders} orders, {self.executions} executions, {self.cuts} cut sockets, "
            f"{self.lost_answers} lost answers; agreed within {middle:.1f} s (median), {slowest:.1f} s (longest)"
        )


class Losing(Faults):
    """Faults that count the answers they lose."""

    lost = 0

    def loss(self) -> str:
        """As its parent."""
        found = super().loss()
        self.lost += bool(found)
        return found


def rough(seed: int) -> Losing:
    """What a bad day looks like."""
    return Losing(
        seed=seed,
        latency=0.02,
        lose_answer=0.15,
        duplicate_private=0.2,
        reorder_private=0.3,
        refuse=0.03,
        duplicate=0.01,
    )


async def disturb(server: PracticeServer, chance: random.Random, tally: Tally) -> None:
    """Break sockets, and trade in the same account from elsewhere, until cancelled."""
    number = 0
    while True:
        await asyncio.sleep(chance.expovariate(CUTS + ELSEWHERE))
        if chance.random() < CUTS / (CUTS + ELSEWHERE):
            tally.cuts += await server.cut(private=chance.choice([True, None]))
            continue
        number += 1
        key = next(iter(server.exchange.listings))
        listing = server.exchange.listings[key]
        bid, ask = server.exchange.best(key)
        if bid is None or ask is None:
            continue
        side = chance.choice(list(Side))
        away = listing.tick * chance.randint(50, 500)
        price = bid.price - away if side is Side.BUY else ask.price + away
        size = max(
            listing.minimum, listing.step, listing.step * int(listing.min_notional * 2 / price / listing.step + 1)
        )
        name = f"elsewhere{tally.kills}x{number}"
        order = NewOrder(key=key, side=side, kind=OrderKind.LIMIT, price=price, amount=size, client_id=name)
        with suppress(Refusal):
            server.exchange.place(ACCOUNT, order)


async def rounds(slug: str, home: Path, *, kills: int, until: float, seed: int, **told: Any) -> Tally:
    """Kill so many times, or until a moment (monotonic), whatever comes first; then one last comparison.

    `told` are further words for the trading process.
    """
    chance, elsewhere = random.Random(f"{seed} {slug}"), random.Random(f"{seed} {slug} elsewhere")
    tally = Tally(slug)
    faults = rough(seed)
    async with exchange_of(slug, faults=faults, seed=seed) as server:
        server.fund(ACCOUNT)
        trading = Trading(server, home, instruments_of(server), **told)
        try:
            while tally.kills < kills and time.monotonic() < until:
                await trading.launch()
                if chance.random() < EARLY and tally.kills:
                    await asyncio.sleep(chance.uniform(0.5, 3.0))
                else:
                    await trading.hears("ready")
                    await check(server, trading, tally)
                    await trading.tell("trade", seed=chance.randrange(2**32), actions=ACTIONS)
                    disturbing = asyncio.ensure_future(disturb(server, elsewhere, tally))
                    await asyncio.sleep(chance.uniform(*LIVES))
                    disturbing.cancel()
                    await asyncio.gather(disturbing, return_exceptions=True)
                await trading.kill()
                tally.kills += 1
                if tally.kills % 10 == 0:
                    print(f"{slug}: {tally.kills} kills", file=sys.stderr, flush=True)
            await trading.start()
            await check(server, trading, tally)
            await trading.stop()
        finally:
            await trading.kill()
        tally.orders = len(all_orders(server))
        tally.executions = len(server.exchange.fills(ACCOUNT, limit=1_000_000))
        tally.lost_answers = faults.lost
    return tally


async def check(server: PracticeServer, trading: Trading, tally: Tally) -> None:
    """Faults pause, the market rests, everybody agrees."""
    faults = server.faults
    rates = ("lose_answer", "refuse", "latency")
    before = {name: getattr(faults, name) for name in rates}
    for name in rates:
        setattr(faults, name, 0.0)
    began = time.monotonic()
    await agree(server, trading)
    tally.settling.append(time.monotonic() - began)
    for name, rate in before.items():
        setattr(faults, name, rate)


async def soak(venues: list[str], home: Path, *, kills: int, minutes: float, seed: int) -> list[Tally]:
    """All venues beside one another; `kills` are shared among them."""
    until = time.monotonic() + minutes * 60
    share = -(-kills // len(venues))
    tasks = []
    for slug in venues:
        folder = home / slug
        folder.mkdir(parents=True)
        tasks.append(rounds(slug, folder, kills=share, until=until, seed=seed))
    return await asyncio.gather(*tasks)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="dev soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=0.0, help="how long; 0 = until the kills are done")
    parser.add_argument("--kills", type=int, default=0, help="how many over all venues; 0 = until the time is over")
    parser.add_argument("--venue", action="append", choices=catalogue.slugs(), help="again for each; all if left out")
    parser.add_argument("--seed", type=int, default=1)
    told = parser.parse_args()
    kills, minutes = told.kills, told.minutes
    if not kills and not minutes:
        minutes = 5.0
    venues = told.venue or list(catalogue.slugs())
    home = Path(tempfile.mkdtemp(prefix="fathom-soak-"))
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # clients that are killed are the point
    began = time.monotonic()
    try:
        tallies = asyncio.run(soak(venues, home, kills=kills or 10**9, minutes=minutes or 10**6, seed=told.seed))
    except AssertionError as error:
        print(f"NOT in agreement: {error}")
        return 1
    for tally in tallies:
        print(tally)
    whole = sum(tally.kills for tally in tallies)
    print(
        f"{whole} kills in {(time.monotonic() - began) / 60:.1f} minutes, seed {told.seed}: in agreement after each restart"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
