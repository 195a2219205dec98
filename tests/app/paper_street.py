"""A live book that a test moves by hand, and a paper engine that looks at it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from app.paper_engine import OWNER, PaperEngine, View
from connectors.book import OrderBook
from connectors.model import (
    BookDelta,
    BookSnapshot,
    Fees,
    Instrument,
    Level,
    Market,
    OrderKind,
    Side,
    SizeRule,
    TimeInForce,
    Trade,
    Unit,
)
from connectors.practice.terms import Execution, NewOrder, Order, Wallet
from tests.instruments import spot

D = Decimal
FEES = Fees(maker=D("0.001"), taker=D("0.002"))
SPOT = spot(tick=D(1), size=SizeRule(step=D("0.1"), minimum=D("0.1")), price_digits=0, size_digits=1)
LINEAR = Instrument(
    venue="toy",
    family="perp",
    market=Market.PERP,
    symbol="BTC-USDT",
    wire="BTCUSDT-P",
    base="BTC",
    quote="USDT",
    settle="USDT",
    tick=D(1),
    size=SizeRule(step=D(1), minimum=D(1)),
    price_digits=0,
    size_digits=0,
    unit=Unit.LINEAR,
    multiplier=D("0.01"),
    max_leverage=D(50),
)
INVERSE = Instrument(
    venue="toy",
    family="perp",
    market=Market.PERP,
    symbol="BTC-USD",
    wire="BTCUSD",
    base="BTC",
    quote="USD",
    settle="BTC",
    tick=D("0.5"),
    size=SizeRule(step=D(100), minimum=D(100)),
    price_digits=1,
    size_digits=0,
    unit=Unit.INVERSE,
    multiplier=D(1),
    max_leverage=D(50),
)


class Street:
    """Bids below and asks above 100, set level by level. `proven` False takes the proof away."""

    def __init__(self, instrument: Instrument = SPOT, *, funds: Mapping[str, int] | None = None) -> None:
        self.instrument = instrument
        self.book = OrderBook()
        self.proven = True
        self.now = 1_700_000_000_000
        self.engine = PaperEngine(self._view, start_ms=self.now)
        self.engine.open_instrument(instrument, FEES, D(100))
        wallet = Wallet.SPOT if instrument.market is Market.SPOT else Wallet.MARGIN
        for asset, amount in (funds or {"USDT": 100_000, "BTC": 1_000}).items():
            self.engine.deposit_exactly(wallet, asset, D(amount))
        self.fills: list[Execution] = []
        self._trades = 0
        self._clients = 0

    def _view(self, key: str) -> View | None:
        return View(self.book) if self.proven and key == self.instrument.key else None

    def set(self, *, bids: Mapping[float, float] | None = None, asks: Mapping[float, float] | None = None) -> Street:
        """Change live levels; zero deletes."""
        self.book.apply(
            BookDelta(
                wire=self.instrument.wire,
                bids=[Level(float(price), size) for price, size in (bids or {}).items()],
                asks=[Level(float(price), size) for price, size in (asks or {}).items()],
            )
        )
        return self

    def whole(self, bids: Mapping[float, float], asks: Mapping[float, float]) -> Street:
        """A new book."""
        rows = [[Level(float(price), size) for price, size in side.items()] for side in (bids, asks)]
        self.book.load(BookSnapshot(wire=self.instrument.wire, bids=rows[0], asks=rows[1]))
        return self

    def look(self, ms: int = 10) -> None:
        """Time passes and the engine looks."""
        self.now += ms
        self.engine.look(self.instrument.key, self.now)

    def trade(self, price: float, size: float, side: Side, *, id: str | None = None, time: int | None = None) -> None:
        """A trade on the live tape; `side` is the taker's."""
        self.now += 1
        self._trades += 1
        trade = Trade(
            wire=self.instrument.wire,
            price=float(price),
            amount=size,
            side=side,
            time=time if time is not None else self.now,
            id=id if id is not None else str(self._trades),
        )
        self.engine.trade(self.instrument.key, trade, self.now)

    def place(
        self,
        side: Side,
        amount: str | None,
        price: str | None = None,
        *,
        kind: OrderKind | None = None,
        tif: TimeInForce = TimeInForce.GTC,
        trigger: str | None = None,
        quote: str | None = None,
        post_only: bool = False,
        reduce_only: bool = False,
    ) -> Order:
        """An order of the account."""
        self.now += 1
        self._clients += 1
        request = NewOrder(
            key=self.instrument.key,
            side=side,
            kind=kind or (OrderKind.LIMIT if price is not None else OrderKind.MARKET),
            amount=D(amount) if amount is not None else None,
            quote_amount=D(quote) if quote is not None else None,
            price=D(price) if price is not None else None,
            trigger=D(trigger) if trigger is not None else None,
            tif=tif,
            post_only=post_only,
            reduce_only=reduce_only,
            client_id=f"c{self._clients}",
        )
        return self.engine.enter(request, self.now)

    def order(self, order: Order) -> Order:
        """As it is now."""
        return self.engine.order(OWNER, order.id)

    def executions(self) -> list[Execution]:
        """Fills of the account."""
        return self.engine.fills(OWNER)

    def total(self, asset: str) -> Decimal:
        """What is owned of an asset."""
        wallet = Wallet.SPOT if self.instrument.market is Market.SPOT else Wallet.MARGIN
        return self.engine.balance(OWNER, asset, wallet).total


def ordinary(instrument: Instrument = SPOT, **funds: int) -> Street:
    """Bids 99, 98, 97 and asks 101, 102, 103 of 1, 2, 3."""
    street = Street(instrument, funds=funds or None)
    scale = 1.0 if instrument is SPOT else 1_000.0
    return street.whole({99: 1 * scale, 98: 2 * scale, 97: 3 * scale}, {101: 1 * scale, 102: 2 * scale, 103: 3 * scale})
