"""A seeded crowd that makes a market: makers around a wandering price, takers, sweeps and walls.

Each asset has one fair price that moves in jumps whose size comes in clusters; all markets in that asset follow it, a
contract at a small and slowly changing distance. Between jumps makers add, pull and shrink orders all over the book
and takers hit it. A jump past the best price is a sweep: one order takes what is stale, and makers close the gap.
Floats only ever shape what is tried; what happens is the exchange's whole numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from heapq import heapify, heappop, heappush
from random import Random

from connectors.model import TimeInForce
from connectors.practice.exchange import Exchange
from connectors.practice.grid import Grid
from connectors.practice.history import YEAR, bars, paths, prints
from connectors.practice.seat import Seat
from connectors.practice.tape import DAY, HOUR, MINUTE
from connectors.practice.terms import AccountRules, Wallet

MAKERS = "crowd-makers"
TAKERS = "crowd-takers"
DEPTH = 1_000  # levels a side that are kept up
_SPAN = 0.012  # of the price, that they reach over where the tick allows
_POCKET = Decimal(10) ** 11  # quote, and as much in base
_VOLATILITY = {"BTC": 0.30, "ETH": 0.40, "BNB": 0.35}  # of a year
_OTHERS = 0.50
_JUMPS = 1.2  # a second
_LAG = 5_000  # ms; after a longer pause the crowd goes on from now instead of catching up
_PULL = 1 / 7200  # a second, back to where the price started


@dataclass(slots=True)
class _Asset:
    """The fair price of a base asset in the quote of its first listing; `heat` is the logarithm of how wild it is just now."""

    price: float
    home: float
    volatility: float
    heat: float = 0.0
    moved: float = 0.0  # ms
    stages: list[_Stage] = field(default_factory=list)


@dataclass(slots=True)
class _Stage:
    """One market as the crowd sees it."""

    asset: _Asset
    grid: Grid
    makers: Seat
    takers: Seat
    rate: float  # messages a ms
    usual: float  # value in quote of an order some way off the best price
    gap: float  # ticks between levels further out
    scale: float  # this listing's price by the asset's: what one unit of the first quote is in this one
    basis: float = 0.0

    @property
    def fair(self) -> float:
        """The fair price in ticks."""
        return self.asset.price * self.scale * (1 + self.basis) / float(self.grid.tick)


class Crowd:
    """Traders of the exchange's own, with deep pockets; everything they do follows from `seed` and the times given.

    `rate` is the number of messages a second over all listings together, shared out by `Listing.activity`.
    """

    def __init__(self, exchange: Exchange, listings: Iterable[str], *, seed: int, rate: float = 200.0) -> None:
        self._exchange = exchange
        self._rng = Random(seed)
        self._now = float(exchange.now_ms)
        self._sent = 0
        rules = AccountRules(max_open_orders=1_000_000, quiet=True, house=True)
        for account in (MAKERS, TAKERS):
            exchange.open_account(account, rules)
        self._assets: dict[str, _Asset] = {}
        self._stages: dict[str, _Stage] = {}
        chosen = [exchange.listings[key] for key in listings]
        total = sum(listing.activity for listing in chosen) or 1.0
        for listing in chosen:
            reference = float(listing.reference)
            asset = self._assets.get(listing.base)
            if asset is None:
                volatility = _VOLATILITY.get(listing.base, _OTHERS)
                asset = self._assets[listing.base] = _Asset(reference, reference, volatility, moved=self._now)
            scale = reference / asset.home
            makers, takers = exchange.seat(MAKERS, listing.key), exchange.seat(TAKERS, listing.key)
            stage = _Stage(
                asset=asset,
                grid=makers.grid,
                makers=makers,
                takers=takers,
                rate=rate * listing.activity / total / 1000,
                usual=(4_000 * listing.activity + 300) * scale,
                gap=max(1.0, _SPAN * reference / float(listing.tick) / DEPTH),
                scale=scale,
            )
            asset.stages.append(stage)
            self._stages[listing.key] = stage
            if not listing.is_contract:
                for account in (MAKERS, TAKERS):
                    exchange.deposit(account, listing.quote, _POCKET)
                    exchange.deposit(account, listing.base, (_POCKET / listing.reference).quantize(Decimal(1)))
            else:
                for account in (MAKERS, TAKERS):
                    exchange.deposit(account, listing.settle, Decimal(10) ** 9, Wallet.MARGIN)
        self._agenda: list[tuple[float, int, _Stage | _Asset]] = []
        for number, actor in enumerate([*self._stages.values(), *self._assets.values()]):
            self._agenda.append((self._now + self._wait(actor), number, actor))
        heapify(self._agenda)

    # beginning -------------------------------------------------------------------------------------------------------

    def populate(self, *, history_ms: int = DAY) -> None:
        """Fill empty books and make up what traded before now (candles back to `history_ms` and far coarser beyond)."""
        now = self._exchange.now_ms
        back = history_ms + HOUR
        for asset in self._assets.values():
            prices = paths(self._rng, now, asset.price, asset.volatility, back)
            for stage in asset.stages:
                key = stage.grid.listing.key
                if not self._exchange.trades(key, limit=1):
                    turnover = stage.usual * stage.rate * MINUTE * 0.05
                    scaled = {span: [price * stage.scale for price in path] for span, path in prices.items()}
                    rows = bars(self._rng, stage.grid, scaled, now, turnover, back)
                    shown = prints(self._rng, stage.grid, asset.price * stage.scale, rows[MINUTE], now, stage.rate * 70)
                    self._exchange.load_history(key, rows, shown)
                for bid in (True, False):
                    self._fill_side(stage, bid)
                stage.makers.filled()

    def _fill_side(self, stage: _Stage, bid: bool) -> None:
        away = -1 if bid else 1
        ticks = math.floor(stage.fair) if bid else math.floor(stage.fair) + 1
        side = stage.makers.book.side(bid)
        for index in range(len(side.keys), DEPTH + 20):
            for _ in range(1 if self._rng.random() < 0.7 else 2):
                if price := self._apart(stage, bid, ticks):
                    stage.makers.rest(bid, price, self._resting_lots(stage, price, index))
            near = stage.gap * min(1.0, (index + 2) / 200)
            ticks += away * max(1, round(self._rng.expovariate(1 / near)))
            if ticks < 1:
                return

    # time ------------------------------------------------------------------------------------------------------------

    def step(self, now_ms: int) -> int:
        """Do everything that is due up to `now_ms`, advancing the exchange on the way. Returns the number of messages."""
        before = self._sent
        if now_ms - self._now > _LAG:
            self._skip(now_ms - self._now)
        while self._agenda[0][0] <= now_ms:
            at, number, actor = heappop(self._agenda)
            self._exchange.advance(int(at))
            if isinstance(actor, _Asset):
                self._jump(actor, at)
            else:
                self._act(actor)
            heappush(self._agenda, (at + self._wait(actor), number, actor))
        self._now = max(self._now, now_ms)
        self._exchange.advance(now_ms)
        return self._sent - before

    def _skip(self, pause: float) -> None:
        self._agenda = [(at + pause, number, actor) for at, number, actor in self._agenda]
        self._now += pause
        for asset in self._assets.values():
            asset.moved += pause

    def _wait(self, actor: _Stage | _Asset) -> float:
        return self._rng.expovariate(_JUMPS / 1000 if isinstance(actor, _Asset) else actor.rate)

    def _jump(self, asset: _Asset, at: float) -> None:
        """Move the fair price for the time that has passed, and let every market in the asset follow."""
        rng = self._rng
        passed = at - asset.moved
        asset.moved = at
        asset.heat = 0.97 * asset.heat + 0.2 * rng.gauss(0, 1)
        sigma = asset.volatility * math.sqrt(passed / YEAR) * math.exp(asset.heat - 0.67)  # 0.67: its mean square is 1
        pull = math.log(asset.home / asset.price) * _PULL * passed / 1000
        asset.price *= math.exp(sigma * rng.gauss(0, 1) + pull)
        for stage in asset.stages:
            if stage.grid.listing.is_contract:
                stage.basis = 0.999 * stage.basis + 0.00001 * rng.gauss(0.05, 1)
            self._follow(stage)

    # what is done ----------------------------------------------------------------------------------------------------

    def _follow(self, stage: _Stage) -> None:
        """Sweep what the fair price has left behind and quote anew."""
        book, fair = stage.makers.book, stage.fair
        for buying in (True, False):
            stale = book.side(not buying)
            limit = math.floor(fair) if buying else math.ceil(fair)
            lots = sum(level.lots for _, level in stale.walk(limit))
            if lots:
                self._send(stage.takers, buying, limit, lots, TimeInForce.IOC)
        self._quote(stage)
        for bid in (True, False):
            self._extend(stage, bid)

    def _extend(self, stage: _Stage, bid: bool) -> None:
        """Put orders beyond the outermost price of a side that a move has made short."""
        side = stage.makers.book.side(bid)
        for _ in range(min(60, DEPTH - 30 - len(side.keys))):
            edge = side.keys[0] * side.sign if side.keys else math.floor(stage.fair)
            away = max(1, round(self._rng.expovariate(1 / stage.gap)))
            self._rest(stage, bid, edge - away if bid else edge + away, len(side.keys))

    def _quote(self, stage: _Stage) -> None:
        """Bring best bid and best ask next to the fair price."""
        fair = math.floor(stage.fair)
        for bid in (True, False):
            best = stage.makers.book.side(bid).best()
            wanted = fair if bid else fair + 1
            if best is None or (wanted > best if bid else wanted < best):
                self._rest(stage, bid, wanted, 0)

    def _act(self, stage: _Stage) -> None:
        """One message of somebody."""
        rng = self._rng
        book = stage.makers.book
        bid = rng.random() < 0.5
        side = book.side(bid)
        count = len(side.keys)
        best, opposite = side.best(), book.side(not bid).best()
        if best is None or opposite is None:
            self._fill_side(stage, bid if best is None else not bid)
            return
        away = -1 if bid else 1
        spread = abs(opposite - best)
        draw = rng.random()
        if spread > 3 and draw < 0.5:
            self._quote(stage)
        elif count < DEPTH - 20 and draw < 0.75:
            edge = side.keys[0] * side.sign
            self._rest(stage, bid, edge + away * max(1, round(rng.expovariate(1 / stage.gap))), count)
        elif count > DEPTH + 60 and draw < 0.75:
            self._pull(stage, bid, count - 1)
        elif draw < 0.40:
            self._rest(stage, bid, best + away * self._distance(stage), min(count - 1, 12))
        elif draw < 0.62:
            self._pull(stage, bid, 1 + int(rng.expovariate(1 / 25)))
        elif draw < 0.72:
            index = rng.randrange(count)
            self._rest(
                stage, bid, side.keys[-1 - index] * side.sign + away * round(rng.expovariate(1 / stage.gap)), index
            )
        elif draw < 0.80:
            self._pull(stage, bid, rng.randrange(count))
        elif draw < 0.90:
            self._shrink(stage, bid, int(rng.expovariate(1 / 40)))
        elif draw < 0.97:
            self._take(stage, not bid)
        elif draw < 0.973:
            self._sweep(stage, not bid)
        elif draw < 0.976:
            self._wall(stage, bid, best)
        else:
            self._rest(stage, bid, best, 0)

    def _distance(self, stage: _Stage) -> int:
        """Ticks from the best price at which somebody who wants to trade soon puts an order."""
        return int(self._rng.expovariate(1 / (3 + 6 * stage.gap)))

    def _take(self, stage: _Stage, buying: bool) -> None:
        """Market orders of a power-law size; now and then a burst of them in one direction."""
        times = 1 if self._rng.random() < 0.9 else self._rng.randint(3, 12)
        for _ in range(times):
            value = min(0.02 * stage.usual * self._rng.paretovariate(1.15), 25 * stage.usual)
            self._hit(stage, buying, value, 30)

    def _sweep(self, stage: _Stage, buying: bool) -> None:
        """One big order through several levels."""
        self._hit(stage, buying, stage.usual * self._rng.uniform(4, 15), 60)

    def _hit(self, stage: _Stage, buying: bool, value: float, reach: int) -> None:
        best = stage.takers.book.side(not buying).best()
        if best is None:
            return
        limit = best + (reach if buying else -reach)
        if limit > 0:
            self._send(stage.takers, buying, limit, self._lots(stage, value, best), TimeInForce.IOC)

    def _wall(self, stage: _Stage, bid: bool, best: int) -> None:
        """A big order at a round price."""
        away = round(stage.gap * self._rng.uniform(20, 300))
        ticks = best - away if bid else best + away
        unit = _round_unit(ticks)
        ticks = ticks // unit * unit if bid else -(-ticks // unit) * unit
        value = stage.usual * self._rng.uniform(15, 50)
        if ticks > 0:
            self._send(stage.makers, bid, ticks, self._lots(stage, value, ticks))

    def _rest(self, stage: _Stage, bid: bool, ticks: int, index: int) -> None:
        """Put an order at a price, kept off the other side."""
        if price := self._apart(stage, bid, ticks):
            self._send(stage.makers, bid, price, self._resting_lots(stage, price, index))

    @staticmethod
    def _apart(stage: _Stage, bid: bool, ticks: int) -> int:
        """The price, or the one next to the other side's best where it would meet it; 0 if there is none."""
        opposite = stage.makers.book.side(not bid).best()
        if opposite is not None:
            ticks = min(ticks, opposite - 1) if bid else max(ticks, opposite + 1)
        return max(0, ticks)

    def _resting_lots(self, stage: _Stage, ticks: int, index: int) -> int:
        """The size of an order at the `index`-th level: it grows with the distance and at round prices."""
        value = stage.usual * (0.12 + min(1.5, (index / 150) ** 0.8)) * math.exp(self._rng.gauss(-0.4, 0.9))
        if ticks % _round_unit(ticks) == 0:
            value *= self._rng.uniform(2.5, 6)
        return self._lots(stage, value, ticks)

    def _pull(self, stage: _Stage, bid: bool, index: int) -> None:
        order = stage.makers.newest_at(bid, index)
        if order is not None:
            stage.makers.cancel(order)
            self._sent += 1

    def _shrink(self, stage: _Stage, bid: bool, index: int) -> None:
        order = stage.makers.newest_at(bid, index)
        if order is not None and order.open > 3 * stage.grid.minimum:
            stage.makers.shrink(
                order, order.filled + max(stage.grid.minimum, order.open * self._rng.randint(3, 9) // 10)
            )
            self._sent += 1

    def _lots(self, stage: _Stage, value: float, ticks: int) -> int:
        """Lots of about this value, above the listing's minimums."""
        grid = stage.grid
        each = grid.about(ticks * float(grid.tick))
        least = math.ceil(1.05 * float(grid.listing.min_notional) / each)
        return min(max(grid.minimum, least, round(value / each)), grid.maximum)

    def _send(self, seat: Seat, bid: bool, ticks: int, lots: int, tif: TimeInForce = TimeInForce.GTC) -> None:
        seat.order(bid, ticks, min(lots, seat.grid.maximum), tif=tif)
        self._sent += 1


def _round_unit(ticks: int) -> int:
    """The step between prices that people find round at this height: about a thousandth, as a power of ten."""
    return 10 ** max(1, len(str(ticks)) - 4)
