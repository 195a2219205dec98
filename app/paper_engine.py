"""Paper fills: orders of one account against the live books of a venue, without the venue. Pure: no I/O, no clock.

The money, the rules of entry and the lives of orders are the practice exchange's. What is added here is the *street*: the
live book as it is when an order looks at it.

- Taking. The levels that an order may reach are offered to it by a house account, matched, and taken away again. What was
  taken of a level is remembered and missing there until the live level shrinks below it, vanishes or grows: the same
  size is never taken twice.
- Resting. An order starts behind all the size that the live book shows at its price. Trades at the price shorten the
  queue ahead, then fill it; size that leaves the level is thought to leave from behind the order as long as it can. An
  order at a price beyond the known book waits until the book is known there. A trade through the price fills it, and so
  does size that rests at its price or beyond on the other side. No trade and no level fills more than its own size.
- Proof. Without a proven book there are no fills: nothing is taken, trades are not counted, and new orders are refused.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import NamedTuple

from connectors.book import OrderBook
from connectors.model import ONE, ZERO, EndReason, Fees, Instrument, Market, OrderStatus, Side, TimeInForce, Trade, Unit
from connectors.practice.exchange import Exchange
from connectors.practice.grid import from_atoms, to_atoms
from connectors.practice.listings import Listing
from connectors.practice.market import ListedMarket
from connectors.practice.orders import LiveOrder
from connectors.practice.pictures import margin_state
from connectors.practice.terms import (
    AccountRules,
    ClientIds,
    Execution,
    NewOrder,
    Order,
    OrderName,
    Refusal,
    RefusalKind,
    Wallet,
)

OWNER = "paper"
STREET = "street"
DEFAULT_LEVERAGE_LIMIT = 20
PULLED_COUNTS = 1_000  # ms for which size that left the level may turn out to have been a trade that is told later
REACH = 5_000  # levels that an order looks at, at most
KEPT_TRADES = 2_000
IDS_A_MS = 1_000
_DEEPEST = Decimal("1E-16")  # money that the ledger can count
_LARGEST = Decimal(10) ** 12  # units of an order, where the venue names no maximum


class PaperListing(Listing, frozen=True, kw_only=True):
    """An instrument of a venue as the ledger sees it; `name` is the instrument's key."""

    name: str
    settled_in: str

    @property
    def key(self) -> str:
        """Unique over everything that the venue lists, dated contracts included."""
        return self.name

    @property
    def settle(self) -> str:
        """What the venue says, not what the unit suggests."""
        return self.settled_in


class View(NamedTuple):
    """A proven book. `horizon` as in BookSync: (lowest bid, highest ask) that are known, None = all."""

    book: OrderBook
    horizon: tuple[float, float] | None = None


@dataclass(slots=True)
class _Place:
    """Where a resting order stands: lots `ahead` at its price (None = not known), and what left them unexplained."""

    ticks: int
    ahead: int | None
    pulled: int = 0
    pulled_at: int = 0


@dataclass(slots=True)
class _Street:
    """One live market as far as the orders of this account are concerned."""

    market: ListedMarket
    tick: float
    step: float
    taken: dict[tuple[bool, int], int] = field(default_factory=dict)
    places: dict[int, _Place] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    order_of_seen: deque[str] = field(default_factory=deque)

    def lots(self, view: View, bid: bool, ticks: int, price: float) -> int:
        """Live size of a level that may be taken: what is shown less what was taken already."""
        sizes = view.book.bids if bid else view.book.asks
        return max(0, self.whole(sizes.get(price, 0.0)) - self.taken.get((bid, ticks), 0))

    def whole(self, size: float) -> int:
        """A live size in lots, rounded down."""
        return int(size / self.step + 1e-6)

    def ticks(self, price: float) -> int:
        """A live price in ticks."""
        return round(price / self.tick)

    def levels(self, view: View, bid: bool) -> Iterator[tuple[int, int]]:
        """(ticks, lots that may be taken) of one side, best first."""
        prices = reversed(view.book.bid_prices) if bid else iter(view.book.ask_prices)
        for price in prices:
            ticks = self.ticks(price)
            lots = self.lots(view, bid, ticks, price)
            if lots:
                yield ticks, lots

    def shown(self, view: View, bid: bool, ticks: int) -> int | None:
        """Lots that the live book shows at a price, None where it is not known."""
        book = view.book
        prices = book.bid_prices if bid else book.ask_prices
        if not prices:
            return None
        last = self.ticks(prices[0] if bid else prices[-1])
        if view.horizon is not None:
            edge = view.horizon[0] if bid else view.horizon[1]
            if 0.0 < edge < float("inf"):
                last = max(last, self.ticks(edge)) if bid else min(last, self.ticks(edge))
        if ticks < last if bid else ticks > last:
            return None
        sizes = book.bids if bid else book.asks
        price = float(self.market.grid.price(ticks))
        if price in sizes:
            return self.whole(sizes[price])
        near = next((raw for raw in (price, price + self.tick / 1e6, price - self.tick / 1e6) if raw in sizes), None)
        return self.whole(sizes[near]) if near is not None else 0


class PaperEngine(Exchange):
    """See the module. `views(key)` gives the proven live book of an instrument, or None.

    Instruments are named by their keys. The account is `OWNER`; its events come through `watch_account`.
    """

    def __init__(self, views: Callable[[str], View | None], *, start_ms: int, max_open_orders: int = 200) -> None:
        super().__init__((), start_ms=start_ms)
        self._views = views
        self._street = self._ledger.open(STREET, AccountRules(quiet=True, house=True))
        rules = AccountRules(client_ids=ClientIds.EVER, max_open_orders=max_open_orders)
        self._own = self._ledger.open(OWNER, rules)
        self._streets: dict[str, _Street] = {}
        self._since = start_ms  # a venue may begin with its latest trades, and an earlier run has heard those
        self._told_marks: set[str] = set()  # contracts of which the venue tells the mark price
        # ids are unique over restarts without a counter to keep: no more than so many orders are made a millisecond
        self._engine._order_id = start_ms * IDS_A_MS
        self._trade_id = start_ms * IDS_A_MS

    # markets ---------------------------------------------------------------------------------------------------------

    def open_instrument(
        self, instrument: Instrument, fees: Fees, reference: Decimal | None = None, *, fee_in_quote: bool = False
    ) -> None:
        """Make an instrument tradable, or change its fee rates. Refused: INVALID for a grid that can't be counted."""
        known = self._streets.get(instrument.key)
        if known is not None:
            known.market.grid.charge(fees.maker, fees.taker)
            return
        listing = _listing(instrument, fees, reference, fee_in_quote)
        self.open_market(listing)
        market = self._market(listing.key)
        market.tape.last_id = self._trade_id
        self._streets[listing.key] = _Street(market, float(market.grid.tick), float(market.grid.step))

    def is_open(self, key: str) -> bool:
        """Whether the instrument was made tradable."""
        return key in self._streets

    def busy(self) -> set[str]:
        """Instruments with open orders or a position: their books and trades must be heard."""
        orders = {order.request.key for order in self._own.open.values()}
        return orders | {key for key, holding in self._own.holdings.items() if holding.lots}

    def ahead(self, order_id: int) -> Decimal | None:
        """Size that stands before a resting order by our estimate; None if it is not known or does not rest."""
        order = self._own.open.get(order_id)
        if order is None or not order.resting:
            return None
        place = self._streets[order.request.key].places.get(order_id)
        return order.market.grid.size(place.ahead) if place is not None and place.ahead is not None else None

    # orders ----------------------------------------------------------------------------------------------------------

    def enter(self, request: NewOrder, now_ms: int) -> Order:
        """Place an order for the account. Refused: as `Exchange.place`, and MARKET_CLOSED without a proven book."""
        street, view = self._proven(request.key)
        self.look(request.key, now_ms)
        market = street.market
        if not market.tape.last_lots and view.book.mid is not None:
            market.tape.last = max(1, street.ticks(view.book.mid))  # nothing has traded since we listen
        wanted = self._own_waiting_lots(market)
        if request.amount is not None:
            wanted += market.grid.lots(request.amount)
        limit = market.grid.ticks(request.price) if request.price is not None else None
        money = to_atoms(request.quote_amount) if request.quote_amount is not None else 0
        with self._offered(street, view, request.side is Side.SELL, wanted, limit, money):
            image = super().place(OWNER, request)
        self._queue(street, view)
        self._watch_margin(market)
        return self._own_image(image)

    def change(
        self, name: OrderName, *, price: Decimal | None, amount: Decimal | None, trigger: Decimal | None, now_ms: int
    ) -> Order:
        """Amend an order of the account. Refused: as `Exchange.amend`, and MARKET_CLOSED without a proven book."""
        key = self.order(OWNER, name).key
        street, view = self._proven(key)
        self.look(key, now_ms)
        before = self._open_order(OWNER, name)
        was = (before.ticks, before.lots)
        lots = street.market.grid.lots(amount) if amount is not None else before.lots
        limit = street.market.grid.ticks(price) if price is not None else before.ticks or None
        with self._offered(street, view, not before.bid, lots + self._own_waiting_lots(street.market), limit):
            image = super().amend(OWNER, name, price=price, amount=amount, trigger=trigger)
        if before.ticks != was[0] or before.lots > was[1]:
            street.places.pop(before.id, None)  # it went to the end of the queue
        self._queue(street, view)
        self._watch_margin(street.market)
        return self._own_image(image)

    def drop(self, name: OrderName, now_ms: int, *, reason: EndReason = EndReason.USER) -> Order:
        """Cancel an order of the account; needs no book. Refused: as `Exchange.cancel`."""
        self._go_on(now_ms)
        return super().cancel(OWNER, name, reason=reason)

    def drop_all(self, key: str | None, now_ms: int, *, reason: EndReason = EndReason.USER) -> list[Order]:
        """Cancel every order of the account, of one instrument if named."""
        self._go_on(now_ms)
        return super().cancel_all(OWNER, key, reason=reason)

    # what the live market tells --------------------------------------------------------------------------------------

    def look(self, key: str, now_ms: int) -> None:
        """Compare the live book with the orders: queues shrink, what is crossed is filled. Nothing without proof."""
        self._go_on(now_ms)
        street = self._streets.get(key)
        view = self._views(key) if street is not None else None
        if street is None or view is None:
            return
        self._forget_refreshed(street, view)
        self._shorten(street, view, now_ms)
        resting = self._resting(street)
        if resting:
            self._cross(street, view, resting)
            self._finish(street)
        self._value(street, view)

    def trade(self, key: str, trade: Trade, now_ms: int) -> None:
        """A trade on the live tape. Known ids, and trades from before an order was placed or taken up, do nothing to it."""
        self._go_on(now_ms)
        street = self._streets.get(key)
        view = self._views(key) if street is not None else None
        if street is None or view is None or trade.time < self._since or self._is_known(street, trade):
            return
        market, ticks = street.market, street.ticks(trade.price)
        if ticks <= 0:
            return
        market.tape.last, market.tape.last_lots = ticks, max(1, street.whole(trade.amount))
        hits_bids = trade.side is Side.SELL
        mine = [order for order in self._resting(street) if order.bid is hits_bids and order.created <= trade.time]
        if mine:
            self._hit_by(street, mine, ticks, street.whole(trade.amount), now_ms)
        if any(order.ticket and order.created <= trade.time for order in self._waiting(market)):
            market.low = min(ticks, market.low or ticks)
            market.high = max(ticks, market.high or ticks)
        if mine or market.low is not None:
            self._finish(street)

    def set_mark(self, key: str, price: Decimal, now_ms: int) -> None:
        """The venue's own mark price of a contract. May liquidate."""
        self._go_on(now_ms)
        street = self._streets.get(key)
        if street is None or street.market.mark is None or price <= 0:
            return
        self._told_marks.add(key)
        street.market.mark.ticks = street.market.mark.index = max(1, round(price / street.market.grid.tick))
        self._watch_margin(street.market)

    def pay_funding(self, key: str, rate: Decimal, now_ms: int) -> None:
        """A funding time has passed: the position pays or receives `rate` of its value at the mark."""
        self._go_on(now_ms)
        street = self._streets.get(key)
        if street is None or street.market.mark is None:
            return
        holding = self._own.holdings.get(key)
        if holding is not None and holding.lots:
            self._clearing._fund(street.market, rate, street.market.mark.ticks, now_ms)
            self._done()

    # taking and giving up state --------------------------------------------------------------------------------------

    def deposit_exactly(self, wallet: Wallet, asset: str, amount: Decimal) -> None:
        """Set up the account: what it has of an asset becomes `amount`."""
        atoms = to_atoms(amount) - self._own.purse(wallet, asset).total
        self._ledger.deposit(self._own, wallet, asset, atoms)
        self._engine.touch(self._own, wallet, asset)
        self._done()

    def restore_position(self, key: str, lots: int, cost: Decimal, realised: Decimal, leverage: int) -> None:
        """Take up a position as it was kept; the street holds the other side of it, so that nothing appears."""
        market = self._contract(key)
        for party, sign in ((self._own, 1), (self._street, -1)):
            holding = party.holding(market.grid)
            holding.lots += sign * lots
            holding.cost += sign * to_atoms(cost)
        mine = self._own.holding(market.grid)
        mine.realised, mine.leverage = to_atoms(realised), max(1, min(leverage, market.listing.max_leverage))
        entry = market.grid.entry(mine.lots, mine.cost)
        if entry and market.mark is not None:
            market.mark.ticks = market.mark.index = max(1, round(entry / market.grid.tick))

    def position_state(self, key: str) -> tuple[int, Decimal, Decimal, int]:
        """What `restore_position` needs: lots, cost, realised, leverage."""
        holding = self._own.holding(self._contract(key).grid)
        return holding.lots, from_atoms(holding.cost), from_atoms(holding.realised), holding.leverage

    def restore_order(self, image: Order) -> None:
        """Take up an open order as it was kept; it stands at the end of its queue. Refused: what no longer fits the grid."""
        market = self._market(image.key)
        request = NewOrder(
            key=image.key,
            side=image.side,
            kind=image.kind,
            amount=image.amount,
            price=image.price,
            trigger=image.trigger,
            tif=image.tif,
            post_only=image.post_only,
            reduce_only=image.reduce_only,
            client_id=image.client_id,
        )
        order = LiveOrder(self._own, market, request, image.created)
        order.id, order.status, order.triggered = image.id, image.status, image.triggered
        order.filled = int(image.filled / market.grid.step)
        order.open = order.lots - order.filled
        order.filled_value, order.fee = to_atoms(image.filled_value), to_atoms(image.fee)
        order.revision = image.revision
        self._own.open[order.id] = order
        self._own.counts[image.key] = self._own.counts.get(image.key, 0) + 1
        self._own.by_id[order.id] = order
        if order.client_id:
            self._own.by_client[order.client_id] = order
            self._own.used_ids.add(order.client_id)
        if image.status is OrderStatus.UNTRIGGERED:
            self._engine._hold(order, self._engine.admission.waiting_hold(order))
            market.triggers(request).add(order)
        else:
            self._engine._hold(order, self._engine._working_hold(order))
            order.resting = True
            market.book.add(order)
            self._streets[image.key].places[order.id] = _Place(order.ticks, None)

    def restore_fills(self, fills: list[Execution]) -> None:
        """Executions of earlier runs, oldest first."""
        self._own.fills.extend(fills)

    def use_up(self, client_ids: list[str]) -> None:
        """Client ids of orders that ended before a restart: they are never taken again."""
        self._own.used_ids.update(client_ids)

    # -----------------------------------------------------------------------------------------------------------------

    def _go_on(self, now_ms: int) -> None:
        if now_ms > self.now_ms:
            self._tell_time(now_ms)

    def _proven(self, key: str) -> tuple[_Street, View]:
        street = self._streets.get(key)
        if street is None:
            raise Refusal(RefusalKind.UNKNOWN_LISTING, f"{key} is not listed")
        view = self._views(key)
        if view is None:
            raise Refusal(RefusalKind.MARKET_CLOSED, "the live book is not proven now, and paper fills need it")
        return street, view

    def _own_image(self, image: Order) -> Order:
        """The order as it is after everything that followed, in the same call."""
        order = self._own.open.get(image.id) or self._own.by_id.get(image.id)
        return order.image() if order is not None else image

    def _resting(self, street: _Street) -> list[LiveOrder]:
        """Own orders in the book, each side best first, oldest first at a price."""
        key = street.market.listing.key
        mine = [order for order in self._own.open.values() if order.resting and order.request.key == key]
        return sorted(mine, key=lambda order: (-order.ticks if order.bid else order.ticks, order.id))

    def _waiting(self, market: ListedMarket) -> list[LiveOrder]:
        return [order for order in self._own.open.values() if order.ticket and order.market is market]

    def _own_waiting_lots(self, market: ListedMarket) -> int:
        return sum(order.open for order in self._waiting(market))

    @staticmethod
    def _is_known(street: _Street, trade: Trade) -> bool:
        if not trade.id:
            return False
        if trade.id in street.seen:
            return True
        street.seen.add(trade.id)
        street.order_of_seen.append(trade.id)
        if len(street.order_of_seen) > KEPT_TRADES:
            street.seen.discard(street.order_of_seen.popleft())
        return False

    # queues

    def _queue(self, street: _Street, view: View) -> None:
        """Give every order that rests and has no place yet its place: behind all that is shown."""
        for order in self._resting(street):
            place = street.places.get(order.id)
            if place is None or place.ticks != order.ticks:
                street.places[order.id] = _Place(order.ticks, street.shown(view, order.bid, order.ticks))
        if len(street.places) > len(self._own.open):
            street.places = {each: place for each, place in street.places.items() if each in self._own.open}

    def _shorten(self, street: _Street, view: View, now_ms: int) -> None:
        """No more can stand ahead than the level shows; what left is remembered in case a trade explains it later."""
        for order_id, place in street.places.items():
            order = self._own.open.get(order_id)
            if order is None:
                continue
            if place.pulled and now_ms - place.pulled_at > PULLED_COUNTS:
                place.pulled = 0
            shown = street.shown(view, order.bid, place.ticks)
            if shown is None:
                continue
            if place.ahead is None:
                place.ahead = shown
            elif shown < place.ahead:
                place.pulled += place.ahead - shown
                place.pulled_at = now_ms
                place.ahead = shown

    def _hit_by(self, street: _Street, mine: list[LiveOrder], ticks: int, volume: int, now_ms: int) -> None:
        """Share a trade of `volume` lots at `ticks` among own orders at its price or better, by their places."""
        for order in mine:
            beyond = order.ticks - ticks if order.bid else ticks - order.ticks
            if beyond < 0 or not volume:
                break
            fill = min(order.open, volume)
            if not beyond:
                place = street.places.get(order.id)
                if place is None or place.ahead is None:
                    continue
                fresh = place.pulled if now_ms - place.pulled_at <= PULLED_COUNTS else 0
                explained = min(fresh, volume)  # this part of the trade has already shortened the queue
                place.pulled -= min(place.pulled, volume)
                flow = volume - explained
                gone = min(place.ahead, flow)
                place.ahead -= gone
                fill = min(order.open, flow - gone)
            if fill:
                volume -= self._fill_resting(street, order, fill)

    def _fill_resting(self, street: _Street, order: LiveOrder, lots: int) -> int:
        """Let the street trade `lots` against own resting orders at `order`'s price or better. Returns what was done."""
        taker = self._house_order(street, not order.bid, order.ticks, lots)
        self._engine._take(taker)
        done = taker.filled
        if not taker.status.is_final:
            self._engine._end(taker, OrderStatus.EXPIRED, EndReason.IOC_REST, "")
        return done

    def _cross(self, street: _Street, view: View, resting: list[LiveOrder]) -> None:
        """Size that rests on the other side at an own order's price or beyond would have met it."""
        for order in resting:
            for ticks, lots in list(_until(street.levels(view, not order.bid), order.bid, order.ticks)):
                if not order.open or order.status.is_final:
                    break
                done = self._fill_resting(street, order, min(lots, order.open))
                if done:
                    key = (not order.bid, ticks)
                    street.taken[key] = street.taken.get(key, 0) + done

    # taking

    def _forget_refreshed(self, street: _Street, view: View) -> None:
        """A level that shows less than was taken of it shows what came since, or nothing: only so much is missing."""
        for key, lots in list(street.taken.items()):
            bid, ticks = key
            shown = street.shown(view, bid, ticks)
            if not shown:
                del street.taken[key]
            elif shown < lots:
                street.taken[key] = shown

    @contextmanager
    def _offered(
        self, street: _Street, view: View, bids: bool, lots: int, limit: int | None = None, money: int = 0
    ) -> Generator[None]:
        """While inside, the live levels that may be reached stand in the book as orders of the street.

        `bids`: the side that the order would take from; `lots` what it wants, or `money` atoms to spend or receive. Where
        orders wait for a trigger, both sides are offered whole, because a fill may start them.
        """
        waiting = self._waiting(street.market)
        sides = [(bids, limit if not waiting else None)]
        if waiting:
            sides.append((not bids, None))
        offers: list[LiveOrder] = []
        for bid, edge in sides:
            left, left_money = lots, money
            for count, (ticks, there) in enumerate(_until(street.levels(view, bid), not bid, edge)):
                if count >= REACH or (left <= 0 and left_money < 0) or (left <= 0 and not money):
                    break
                left -= there
                left_money -= street.market.grid.value(ticks, there)
                order = self._house_order(street, bid, ticks, there)
                order.resting = True
                street.market.book.add(order)
                offers.append(order)
        try:
            yield
        finally:
            for order in offers:
                if order.filled:
                    key = (order.bid, order.ticks)
                    street.taken[key] = street.taken.get(key, 0) + order.filled
                if not order.status.is_final:
                    street.market.book.remove(order)
                    order.resting = False
                    order.status = OrderStatus.CANCELLED
                    self._engine._close(order)

    def _house_order(self, street: _Street, bid: bool, ticks: int, lots: int) -> LiveOrder:
        """An order of the street, entered without the checks that are made on traders."""
        market = street.market
        request = NewOrder(
            key=market.listing.key,
            side=Side.BUY if bid else Side.SELL,
            amount=market.grid.size(market.grid.minimum),
            price=market.grid.price(ticks),
            tif=TimeInForce.GTC,
        )
        order = LiveOrder(self._street, market, request, self.now_ms)
        order.lots = order.open = lots
        self._engine._register(order)
        order.status = OrderStatus.OPEN
        return order

    def _finish(self, street: _Street) -> None:
        """What follows from fills and prices: triggers (against the live book), ends, news."""
        market = street.market
        view = self._views(market.listing.key)
        waiting = self._waiting(market)
        if view is not None and waiting and market.low is not None:
            with self._offered(street, view, True, self._own_waiting_lots(market)):
                self._engine.settle()
        else:
            market.low = market.high = None
            self._engine.settle()
        if view is not None:
            self._queue(street, view)
        self._watch_margin(market)
        self._outbox.deliver()

    # contracts

    def _value(self, street: _Street, view: View) -> None:
        """Without a mark price of the venue's own, the middle of the live book values a contract."""
        market = street.market
        if market.mark is None or market.listing.key in self._told_marks:
            return
        mid = view.book.mid
        if mid is not None:
            market.mark.ticks = market.mark.index = max(1, street.ticks(mid))
            self._watch_margin(market)

    def _watch_margin(self, market: ListedMarket) -> None:
        """Liquidate if equity fell below maintenance; what the live books can't take goes to the insurance at the mark."""
        holding = self._own.holdings.get(market.listing.key)
        if holding is None or not holding.lots:
            return
        asset = market.listing.settle
        state = margin_state(self._own, asset, self._markets)
        if state.equity >= state.maintenance:
            return
        with ExitStack() as stack:
            for key, held in self._own.holdings.items():
                street, view = self._streets[key], self._views(key)
                if held.lots and view is not None and street.market.listing.settle == asset:
                    stack.enter_context(self._offered(street, view, held.lots > 0, abs(held.lots)))
            self._clearing._liquidate(self._own, asset)
        self._outbox.deliver()


def _until(levels: Iterator[tuple[int, int]], buys: bool, limit: int | None) -> Iterator[tuple[int, int]]:
    """Levels that a buyer (seller) with this limit would take from."""
    for ticks, lots in levels:
        if limit is not None and (ticks > limit if buys else ticks < limit):
            return
        yield ticks, lots


def _listing(instrument: Instrument, fees: Fees, reference: Decimal | None, fee_in_quote: bool) -> PaperListing:
    """The instrument in the ledger's words. The lot is made coarser where price x lot could not be counted exactly."""
    tick = instrument.tick if instrument.tick > 0 else ONE.scaleb(-instrument.price_digits)
    step = instrument.size.step if instrument.size.step > 0 else ONE.scaleb(-instrument.size_digits)
    contract = instrument.market is not Market.SPOT
    unit = Unit.LINEAR if instrument.unit is Unit.QUANTO else instrument.unit
    multiplier = instrument.multiplier if unit is not Unit.BASE else ONE
    if unit is not Unit.INVERSE:
        while (tick * step * multiplier) % _DEEPEST:
            step *= 10
    minimum = (instrument.size.minimum / step).to_integral_value(ROUND_CEILING) * step
    maximum = instrument.size.maximum if instrument.size.maximum is not None else _LARGEST
    maximum = max(step, (min(maximum, _LARGEST) / step).to_integral_value(ROUND_FLOOR) * step)
    price = reference if reference is not None and reference > 0 else tick
    return PaperListing(
        name=instrument.key,
        settled_in=instrument.settle,
        base=instrument.base,
        quote=instrument.quote,
        tick=tick,
        step=step,
        reference=max(tick, (price / tick).to_integral_value() * tick),
        market=instrument.market,
        unit=unit,
        multiplier=multiplier,
        minimum=minimum,
        maximum=maximum,
        min_notional=instrument.min_notional if unit is not Unit.INVERSE else ZERO,
        maker=fees.maker,
        taker=fees.taker,
        fee_in_quote=fee_in_quote,
        max_leverage=int(instrument.max_leverage or DEFAULT_LEVERAGE_LIMIT) if contract else 1,
    )
