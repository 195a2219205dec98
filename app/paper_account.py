"""A paper account that outlives the program: what its engine does is written down first and told after.

`PaperEngine` decides, `PaperStore` keeps. Like a venue's own events, news are told from the loop, never from within a call.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from app.paper_engine import OWNER, PaperEngine, View
from app.paper_rows import balance_of, fill_of, order_update, position_of, refused
from app.paper_store import Holding, PaperStore, Purse
from connectors.errors import VenueError
from connectors.model import (
    ZERO,
    Balance,
    EndReason,
    Fees,
    Instrument,
    Market,
    MarkPrice,
    OrderRequest,
    OrderStatus,
    OrderUpdate,
    Position,
    Side,
)
from connectors.practice.terms import (
    BalanceChanged,
    Execution,
    Filled,
    Order,
    OrderChanged,
    PositionChanged,
    Refusal,
    RefusalKind,
    Wallet,
)

if TYPE_CHECKING:
    from connectors.contract import Family, Venue

_log = logging.getLogger(__name__)


class Owner(Protocol):
    """What an account needs of its session."""

    venue: Venue

    @property
    def instruments(self) -> dict[str, Instrument]: ...
    @property
    def families(self) -> list[Family]: ...
    def now_ms(self) -> int: ...
    def view(self, key: str) -> View | None: ...
    def rates(self, instrument: Instrument) -> Fees: ...
    def watch(self, keys: set[str]) -> None: ...
    def tell(self, event: Any, family: str) -> None: ...
    def declined(self, text: str) -> None: ...


class PaperAccount:
    """See the module. `funds` is what a new account starts with, as far as the venue trades it."""

    def __init__(self, owner: Owner, store: PaperStore, funds: Mapping[str, Decimal]) -> None:
        self.store = store
        self.engine = PaperEngine(owner.view, start_ms=1)
        self._owner = owner
        self._funds = dict(funds)
        self._news: list[Any] = []  # happened, to be written
        self._to_tell: list[Any] = []  # written, to be told
        self._telling = False
        self._said = store.problem  # of the file; what was wrong with it at the start is said by the account
        self._assets_of: dict[str, tuple[int, dict[Wallet, set[str]]]] = {}
        self._funding: dict[str, tuple[int, float]] = {}
        self._dead_man: dict[str, int] = {}  # instrument key ("" = all) -> when, ms

    # -----------------------------------------------------------------------------------------------------------------
    # Life

    def take_up(self) -> None:
        """The account as it was kept, or a new one with the funds it starts with."""
        self.engine = PaperEngine(self._owner.view, start_ms=self._owner.now_ms())
        self._news.clear()
        self.engine.watch_account(self._news.append, OWNER)
        kept = self.store.load()
        if kept.fresh:
            for wallet, asset, amount in self._starting():
                self.engine.deposit_exactly(wallet, asset, amount)
            self.settle()
            return
        for row in kept.purses:
            self.engine.deposit_exactly(row.wallet, row.asset, row.total)
        for row in kept.holdings:
            if (instrument := self._owner.instruments.get(row.key)) is not None:
                self.open(instrument)
                self.engine.restore_position(row.key, row.lots, row.cost, row.realised, row.leverage)
        for image in kept.open_orders:
            self._restore(image)
        self.engine.use_up(kept.ended_ids)
        self.engine.restore_fills(kept.fills)
        self._dead_man = kept.dead_man
        self.settle()
        self._owner.watch(self.engine.busy())

    def renew(self, funds: Mapping[str, Decimal] | None = None) -> None:
        """Forget positions, fills and money, start anew with `funds`; that nothing is left of them is told."""
        self._tell_now()
        flat = [
            Position(wire=each.wire, family=each.family, size=ZERO)
            for key in self.engine.busy()
            if (each := self._owner.instruments.get(key)) is not None
        ]
        gone = {(family, row.asset) for family, row in self.balances()}
        if funds is not None:
            self._funds = dict(funds)
        self.store.clear()
        self.take_up()
        for row in flat:
            self._owner.tell(row, row.family)
        for family, asset in gone:
            zero = Balance(asset=asset, family=family, total=ZERO, available=ZERO, held=ZERO)
            self._owner.tell(zero, family)

    def _starting(self) -> list[tuple[Wallet, str, Decimal]]:
        """What a new account gets: money and coins of the list that the venue trades or settles in."""
        listed = list(self._owner.instruments.values())
        spot = {asset for row in listed if row.market is Market.SPOT for asset in (row.base, row.quote)}
        margin = {row.settle for row in listed if row.market is not Market.SPOT}
        return [
            (wallet, asset, amount)
            for wallet, assets in ((Wallet.SPOT, spot), (Wallet.MARGIN, margin))
            for asset, amount in self._funds.items()
            if asset in assets and amount > 0
        ]

    def _restore(self, image: Order) -> None:
        instrument = self._owner.instruments.get(image.key)
        try:
            if instrument is None:
                raise Refusal(RefusalKind.UNKNOWN_LISTING, f"{image.key} is no longer listed")
            self.open(instrument)
            self.engine.restore_order(image)
        except (Refusal, VenueError) as refusal:
            _log.warning("a paper order of %s could not be taken up: %s", image.key, refusal)
            ended = msgspec.structs.replace(
                image, status=OrderStatus.CANCELLED, text=f"could not be taken up: {refusal}"
            )
            self.store.write(orders=[ended])

    # -----------------------------------------------------------------------------------------------------------------
    # What it does

    def open(self, instrument: Instrument) -> None:
        """Let the engine know an instrument. Raises Refused."""
        if self.engine.is_open(instrument.key):
            return
        view = self._owner.view(instrument.key)
        mid = view.book.mid if view is not None else None
        reference = Decimal(repr(mid)) if mid is not None else None
        in_quote = self._owner.venue.family(instrument.family).capabilities.fee_in_quote
        try:
            self.engine.open_instrument(instrument, self._owner.rates(instrument), reference, fee_in_quote=in_quote)
        except Refusal as refusal:
            raise refused(refusal) from None

    def gather(self, instrument: Instrument, order: OrderRequest) -> None:
        """Where one family trades both, spot and contracts share what there is: move it to where it is needed."""
        family = self._owner.venue.family(instrument.family)
        if not (Market.SPOT in family.markets and len(family.markets) > 1):
            return
        spot = instrument.market is Market.SPOT
        asset = (instrument.quote if order.side is Side.BUY else instrument.base) if spot else instrument.settle
        target = Wallet.SPOT if spot else Wallet.MARGIN
        source = Wallet.MARGIN if spot else Wallet.SPOT
        free = self.engine.balance(OWNER, asset, source).available
        if free > 0:
            self.engine.transfer(OWNER, asset, free, source, target)

    def do(self, work: Callable[[], Any]) -> Any:
        """Let the engine do something; write down what happened; tell it from the loop. Raises Refused."""
        try:
            return work()
        except Refusal as refusal:
            raise refused(refusal) from None
        finally:
            self.settle()

    def look(self) -> None:
        """Look at the books that matter, and let the dead man's switches fall that nobody renewed."""
        now = self._owner.now_ms()
        for key in self.engine.busy():
            self.engine.look(key, now)
        self.settle()
        for key in [key for key, due in self._dead_man.items() if now >= due]:
            self._fall(key, now)

    def mark(self, event: MarkPrice, instrument: Instrument) -> None:
        """A mark price; where a funding time has passed with it, funding is paid."""
        now = self._owner.now_ms()
        if event.mark > 0:
            self.engine.set_mark(instrument.key, Decimal(repr(event.mark)), now)
        if event.rate is None or event.next_funding is None:
            return
        due = self._funding.get(instrument.key)
        if due is not None and event.next_funding > due[0] and now >= due[0]:
            self.engine.pay_funding(instrument.key, Decimal(repr(due[1])), now)
        self._funding[instrument.key] = (event.next_funding, event.rate)

    def set_dead_man(self, key: str, due: int | None) -> None:
        """Cancel everything of an instrument ("" = of all) at `due` in ms unless set anew; None switches it off."""
        if due is not None:
            self._dead_man[key] = due
        else:
            self._dead_man.pop(key, None)
        self.store.write(dead_man=self._dead_man)

    def _fall(self, key: str, now: int) -> None:
        """Nobody renewed the dead man's switch."""
        del self._dead_man[key]
        if not key or self.engine.is_open(key):
            self.do(lambda: self.engine.drop_all(key or None, now, reason=EndReason.DEAD_MAN))
        self.store.write(dead_man=self._dead_man)

    def keep_holding(self, key: str) -> None:
        """Write down and tell a position that changed without an execution."""
        self.store.write(holdings=[self._holding(key)])
        self._owner.tell(self.position(key), self._family(key))

    # -----------------------------------------------------------------------------------------------------------------
    # News

    def settle(self) -> None:
        """Write down the news, tell them soon, and watch the instruments that have orders now."""
        if not self._news:
            return
        news, self._news[:] = list(self._news), []
        self._write(news)
        if self.store.problem != self._said:
            self._said = self.store.problem
            self._owner.declined(self._said)
        self._owner.watch(self.engine.busy())
        self._to_tell.extend(news)
        if not self._telling:
            self._telling = True
            asyncio.get_running_loop().call_soon(self._tell_now)

    def _write(self, news: list[Any]) -> None:
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
                    total = self.engine.balance(OWNER, row.asset, row.wallet).total
                    purses[row.wallet, row.asset] = Purse(wallet=row.wallet, asset=row.asset, total=total)
                case _:
                    pass
        self.store.write(purses=purses.values(), holdings=holdings.values(), orders=orders.values(), fills=fills)

    def _tell_now(self) -> None:
        """Tell what has happened, in its order."""
        self._telling = False
        news, self._to_tell[:] = list(self._to_tell), []
        for event in news:
            match event:
                case OrderChanged():
                    self._owner.tell(self.update(event.order), self._family(event.key))
                case Filled():
                    fill = fill_of(event.fill, self._owner.instruments[event.key])
                    self._owner.tell(fill, self._family(event.key))
                case PositionChanged():
                    self._owner.tell(self.position(event.key), self._family(event.key))
                case BalanceChanged():
                    for family in self._families(event.balance.wallet, event.balance.asset):
                        self._owner.tell(self._balance(family, event.balance.asset), family.name)
                case _:
                    pass

    def _holding(self, key: str) -> Holding:
        lots, cost, realised, leverage = self.engine.position_state(key)
        return Holding(key=key, lots=lots, cost=cost, realised=realised, leverage=leverage)

    # -----------------------------------------------------------------------------------------------------------------
    # What it has

    def update(self, image: Order) -> OrderUpdate:
        """An order of the engine, or of the store."""
        return order_update(image, self._owner.instruments[image.key])

    def position(self, key: str) -> Position:
        """A contract position, also a flat one."""
        return position_of(self.engine.position(OWNER, key), self._owner.instruments[key], self._owner.now_ms())

    def balances(self) -> list[tuple[str, Balance]]:
        """Everything held, as (family, balance)."""
        found: dict[tuple[str, str], Balance] = {}
        for image in self.engine.balances(OWNER):
            for family in self._families(image.wallet, image.asset):
                found[family.name, image.asset] = self._balance(family, image.asset)
        return [(name, row) for (name, _), row in found.items()]

    def positions(self) -> list[tuple[str, Position]]:
        """Open positions, as (family, position)."""
        return [(self._family(image.key), self.position(image.key)) for image in self.engine.positions(OWNER)]

    def _balance(self, family: Family, asset: str) -> Balance:
        wallets = [wallet for wallet, assets in self._assets(family).items() if asset in assets]
        rows = [self.engine.balance(OWNER, asset, wallet) for wallet in wallets]
        return balance_of(asset, family.name, rows, self._owner.now_ms())

    def _family(self, key: str) -> str:
        return self._owner.instruments[key].family

    def _families(self, wallet: Wallet, asset: str) -> list[Family]:
        """Families whose markets use this asset from this wallet."""
        return [family for family in self._owner.families if asset in self._assets(family)[wallet]]

    def _assets(self, family: Family) -> dict[Wallet, set[str]]:
        known, count = self._assets_of, len(self._owner.instruments)
        if family.name not in known or known[family.name][0] != count:
            assets: dict[Wallet, set[str]] = {Wallet.SPOT: set(), Wallet.MARGIN: set()}
            for row in self._owner.instruments.values():
                if row.family != family.name:
                    continue
                if row.market is Market.SPOT:
                    assets[Wallet.SPOT].update((row.base, row.quote))
                else:
                    assets[Wallet.MARGIN].add(row.settle)
            known[family.name] = (count, assets)
        return known[family.name][1]
