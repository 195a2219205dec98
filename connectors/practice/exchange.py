"""The local exchange: listings, accounts, orders, events. Pure: no I/O, no clock of its own, exact, deterministic.

Time is what `advance` was last told. Every public call either returns or raises `Refusal`, in which case nothing was
changed. Events are delivered after the operation that made them is complete, in the order in which things happened;
a listener may call back into the exchange, its events then follow.

One operation tells, in this order: OrderChanged(ACCEPTED); for each match BookChanged, Traded, the maker's Filled and
OrderChanged(FILLED), the taker's Filled and OrderChanged(FILLED); then the rest of the taker (BookChanged where it
rests, or OrderChanged(ENDED)); then what it set off (triggered orders, the same again); then PositionChanged and
BalanceChanged, once for each that changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from types import MappingProxyType

from msgspec import structs

from connectors.model import EndReason, InstrumentStatus, OrderStatus, Side
from connectors.practice.clearing import Clearing
from connectors.practice.engine import Engine
from connectors.practice.grid import from_atoms, to_atoms
from connectors.practice.ledger import Account, Ledger
from connectors.practice.listings import Listing
from connectors.practice.market import ListedMarket
from connectors.practice.matching import Change
from connectors.practice.orders import LiveOrder
from connectors.practice.outbox import Outbox
from connectors.practice.pictures import balance_image, margin_state, position_image
from connectors.practice.seat import Seat
from connectors.practice.tape import MINUTE, Print, Row
from connectors.practice.terms import (
    AccountEvent,
    AccountRules,
    AssetBalance,
    Bar,
    BookChanged,
    BookChanges,
    BookImage,
    BookLevel,
    Execution,
    FundingPayment,
    MarketEvent,
    MarkImage,
    NewOrder,
    Order,
    OrderName,
    PositionImage,
    PublicTrade,
    Refusal,
    RefusalKind,
    StatusChanged,
    TickerImage,
    Wallet,
)

FEES = "fees"  # the account that fees are paid to
INSURANCE = "insurance"  # the account that takes over what liquidation could not close


class Exchange:
    """See the module. `start_ms` is the time before the first `advance`. Ids of orders and trades are above `first_id`."""

    def __init__(self, listings: Iterable[Listing], *, start_ms: int, first_id: int = 0) -> None:
        markets: dict[str, ListedMarket] = {}
        self._first_id = first_id
        self._listings: dict[str, Listing] = {}
        self.listings: Mapping[str, Listing] = MappingProxyType(self._listings)
        self._markets = markets
        self._ledger = Ledger()
        self._outbox = Outbox()
        house = AccountRules(quiet=True, house=True)
        self._engine = Engine(self._ledger, markets, self._outbox, self._ledger.open(FEES, house), first_id)
        insurance = self._ledger.open(INSURANCE, house)
        self._clearing = Clearing(self._ledger, markets, self._engine, self._outbox, insurance)
        self._tell_time(start_ms)
        for listing in listings:
            self.open_market(listing)

    @property
    def now_ms(self) -> int:
        """The exchange's time."""
        return self._engine.now

    def _tell_time(self, now_ms: int) -> None:
        self._engine.now = now_ms
        for market in self._markets.values():
            market.book.now = now_ms

    def open_market(self, listing: Listing) -> None:
        """Open one more market; one that is listed already stays as it is."""
        if listing.key in self._markets:
            return
        market = ListedMarket(listing, self.now_ms, self._first_id)
        market.book.now = self.now_ms
        self._markets[listing.key] = market
        self._listings[listing.key] = listing

    # time ------------------------------------------------------------------------------------------------------------

    def advance(self, now_ms: int) -> None:
        """Let time pass: expiries, marks, mark triggers, liquidations, funding. Earlier times are ignored."""
        if now_ms <= self._engine.now:
            return
        self._tell_time(now_ms)
        self._engine.expire()
        self._clearing.advance(now_ms)
        self._done()

    def _done(self) -> None:
        """Settle what the operation set off and tell everybody."""
        self._engine.settle()
        self._outbox.deliver()

    # listening -------------------------------------------------------------------------------------------------------

    def watch_market(self, listener: Callable[[MarketEvent], None], key: str | None = None) -> Callable[[], None]:
        """Hear book changes and trades of one listing (None: of all). Returns what ends it."""
        if key is not None:
            return self._outbox.listen(self._market(key).key, listener)
        ends = [self._outbox.listen(each, listener) for each in self._markets]

        def end() -> None:
            for each in ends:
                each()

        return end

    def watch_account(self, listener: Callable[[AccountEvent], None], account: str) -> Callable[[], None]:
        """Hear everything that happens to one account. Returns what ends it."""
        return self._outbox.listen("@" + self._ledger.account(account).name, listener)

    # accounts --------------------------------------------------------------------------------------------------------

    def open_account(self, account: str, rules: AccountRules = AccountRules()) -> None:
        """Open an account, or change the rules of one that is open."""
        self._ledger.open(account, rules)

    def accounts(self) -> list[str]:
        """All accounts, house accounts included."""
        return list(self._ledger.accounts)

    def deposit(self, account: str, asset: str, amount: Decimal, wallet: Wallet = Wallet.SPOT) -> None:
        """Create `amount` of an asset in a wallet. At most 16 decimals."""
        atoms = to_atoms(amount)
        if atoms <= 0:
            raise Refusal(RefusalKind.INVALID, f"{amount} is nothing to deposit")
        owner = self._ledger.account(account)
        self._ledger.deposit(owner, wallet, asset, atoms)
        self._engine.touch(owner, wallet, asset)
        self._done()

    def withdraw(self, account: str, asset: str, amount: Decimal, wallet: Wallet = Wallet.SPOT) -> None:
        """Take `amount` out of the exchange. Refused: FUNDS."""
        owner = self._ledger.account(account)
        atoms = self._free_atoms(owner, asset, amount, wallet)
        self._ledger.deposit(owner, wallet, asset, -atoms)
        self._engine.touch(owner, wallet, asset)
        self._done()

    def transfer(self, account: str, asset: str, amount: Decimal, source: Wallet, target: Wallet) -> None:
        """Move between wallets of one account. Refused: FUNDS."""
        owner = self._ledger.account(account)
        atoms = self._free_atoms(owner, asset, amount, source)
        owner.purse(source, asset).total -= atoms
        owner.purse(target, asset).total += atoms
        self._engine.touch(owner, source, asset)
        self._engine.touch(owner, target, asset)
        self._done()

    def _free_atoms(self, owner: Account, asset: str, amount: Decimal, wallet: Wallet) -> int:
        """`amount` in atoms, if the wallet can spare it."""
        atoms = to_atoms(amount)
        if atoms <= 0:
            raise Refusal(RefusalKind.INVALID, f"{amount} is nothing to move")
        purse = owner.purse(wallet, asset)
        free = purse.total - purse.held
        if wallet is Wallet.MARGIN:
            state = margin_state(owner, asset, self._markets)
            free = min(state.total, state.equity - state.held)
        if atoms > free:
            raise Refusal(RefusalKind.FUNDS, f"{amount} {asset} asked for, {from_atoms(max(0, free))} free")
        return atoms

    def balances(self, account: str, wallet: Wallet | None = None) -> list[AssetBalance]:
        """Every asset the account ever had, of one wallet or all, by name."""
        owner = self._ledger.account(account)
        return [
            balance_image(owner, each, asset, self._markets)
            for each in Wallet
            if wallet is None or each is wallet
            for asset in sorted(owner.purses[each])
        ]

    def balance(self, account: str, asset: str, wallet: Wallet = Wallet.SPOT) -> AssetBalance:
        """One asset; zeros if the account never had it."""
        return balance_image(self._ledger.account(account), wallet, asset, self._markets)

    def positions(self, account: str) -> list[PositionImage]:
        """Positions that are not flat."""
        owner = self._ledger.account(account)
        return [
            position_image(owner, self._markets[key], self._markets)
            for key, holding in sorted(owner.holdings.items())
            if holding.lots
        ]

    def position(self, account: str, key: str) -> PositionImage:
        """The position in one contract, flat or not. Refused: UNSUPPORTED for spot."""
        return position_image(self._ledger.account(account), self._contract(key), self._markets)

    def set_leverage(self, account: str, key: str, leverage: int) -> None:
        """Leverage of the account in one contract. Refused: LEVERAGE out of range, MARGIN if what is open no longer fits."""
        owner, market = self._ledger.account(account), self._contract(key)
        holding = owner.holding(market.grid)
        if not 1 <= leverage <= market.listing.max_leverage:
            raise Refusal(RefusalKind.LEVERAGE, f"leverage goes from 1 to {market.listing.max_leverage}")
        before, holding.leverage = holding.leverage, leverage
        state = margin_state(owner, market.listing.settle, self._markets)
        if leverage < before and state.held > state.equity and not owner.rules.house:
            holding.leverage = before
            raise Refusal(RefusalKind.MARGIN, "what is open needs more margin at this leverage")
        if leverage != before and (holding.lots or holding.buying or holding.selling):
            self._engine.touch(owner, Wallet.MARGIN, market.listing.settle)
        self._done()

    def leverage(self, account: str, key: str) -> int:
        """Leverage in force; 10 (or the listing's maximum if lower) unless set."""
        return self._ledger.account(account).holding(self._contract(key).grid).leverage

    def funding(self, account: str, key: str | None = None) -> list[FundingPayment]:
        """Funding paid and received, oldest first."""
        payments = self._ledger.account(account).funding
        return [payment for payment in payments if key is None or payment.key == key]

    def imbalance(self, asset: str) -> Decimal:
        """Everything owned by all accounts less everything deposited, open contracts at cost: zero, always."""
        return from_atoms(self._ledger.imbalance(asset))

    # orders ----------------------------------------------------------------------------------------------------------

    def place(self, account: str, request: NewOrder) -> Order:
        """Enter an order and match it. Returns its image afterwards (it may have ended already).

        Refused: everything in RefusalKind that is about an order.
        """
        order = self._draft(account, request)
        self._engine.enter(order)
        image = order.image()
        self._outbox.deliver()
        return image

    def _draft(self, account: str, request: NewOrder) -> LiveOrder:
        owner, market = self._ledger.account(account), self._market(request.key)
        if market.status is not InstrumentStatus.TRADING:
            raise Refusal(RefusalKind.MARKET_CLOSED, f"{request.key} does not trade now")
        return LiveOrder(owner, market, request, self._engine.now)

    def test(self, account: str, request: NewOrder) -> None:
        """Check a request as `place` would, without effect. Raises the Refusal that `place` would."""
        self._engine.check(self._draft(account, request))

    def amend(
        self,
        account: str,
        name: OrderName,
        *,
        price: Decimal | None = None,
        amount: Decimal | None = None,
        trigger: Decimal | None = None,
        client_id: str | None = None,
        post_only: bool | None = None,
    ) -> Order:
        """Change a resting or waiting order; None = as it is. `amount` is the new total, filled part included.

        Only lowering the amount keeps the place in the queue; anything else (price, more) goes to the end of it and
        may match as taker. Refused like a new order (the old one then stays untouched), NOTHING_TO_CHANGE,
        SIZE_MINIMUM for an amount not above what is filled, UNKNOWN_ORDER, ORDER_ENDED.
        """
        order = self._open_order(account, name)
        changes = {"price": price, "amount": amount, "trigger": trigger, "client_id": client_id, "post_only": post_only}
        request = structs.replace(order.request, **{key: new for key, new in changes.items() if new is not None})
        draft = self._draft(account, request)
        moved = (draft.ticks, draft.trigger) != (order.ticks, order.trigger)
        renamed = client_id is not None and client_id != order.client_id
        if not moved and draft.lots == order.lots and not renamed:
            raise Refusal(RefusalKind.NOTHING_TO_CHANGE, "everything is like that already", order.image())
        if draft.lots <= order.filled:
            raise Refusal(RefusalKind.SIZE_MINIMUM, "the new amount is not above what is filled", order.image())
        if draft.market.grid.value(draft.ticks or draft.trigger, draft.lots) < draft.market.grid.min_value:
            raise Refusal(RefusalKind.NOTIONAL_MINIMUM, f"value is below {draft.market.listing.min_notional}")
        wanted = order.client_id
        if renamed and client_id is not None:
            wanted = client_id
            self._engine.admission.check_client_id(order.account, wanted)
        if moved or draft.lots > order.lots:
            self._engine.rework(order, draft, wanted)
        else:
            self._engine.shrink(order, draft.lots, wanted)
        image = order.image()
        self._outbox.deliver()
        return image

    def cancel(self, account: str, name: OrderName, *, reason: EndReason = EndReason.USER) -> Order:
        """Cancel. Refused: UNKNOWN_ORDER, ORDER_ENDED (with the order's last image)."""
        order = self._open_order(account, name)
        self._engine.cancel(order, OrderStatus.CANCELLED, reason, "cancelled")
        image = order.image()
        self._outbox.deliver()
        return image

    def _open_order(self, account: str, name: OrderName) -> LiveOrder:
        order = self._order(account, name)
        if order.status.is_final:
            raise Refusal(RefusalKind.ORDER_ENDED, f"order {name} has ended: {order.status}", order.image())
        return order

    def _order(self, account: str, name: OrderName) -> LiveOrder:
        owner = self._ledger.account(account)
        order = owner.by_client.get(name) if isinstance(name, str) else owner.open.get(name) or owner.by_id.get(name)
        if order is None:
            raise Refusal(RefusalKind.UNKNOWN_ORDER, f"no order {name}")
        return order

    def cancel_all(self, account: str, key: str | None = None, *, reason: EndReason = EndReason.USER) -> list[Order]:
        """Cancel every open and waiting order of an account, of one listing if named. In the order of their ids."""
        if key is not None:
            self._market(key)
        orders = [o for o in self._ledger.account(account).open.values() if key is None or o.request.key == key]
        for order in orders:
            self._engine.cancel(order, OrderStatus.CANCELLED, reason, "cancelled")
        images = [order.image() for order in orders]
        self._outbox.deliver()
        return images

    def order(self, account: str, name: OrderName) -> Order:
        """An order of the account, open or ended. A client id names its newest bearer. Refused: UNKNOWN_ORDER."""
        return self._order(account, name).image()

    def open_orders(self, account: str, key: str | None = None) -> list[Order]:
        """Resting and waiting orders, oldest first."""
        orders = self._ledger.account(account).open.values()
        return [order.image() for order in orders if key is None or order.request.key == key]

    def closed_orders(self, account: str, key: str | None = None, *, limit: int = 500) -> list[Order]:
        """The latest ended orders, oldest first (by id). The last 10,000 of an account are kept."""
        orders = [o for o in self._ledger.account(account).closed if key is None or o.request.key == key]
        return [order.image() for order in sorted(orders, key=lambda order: order.id)[-limit:]]

    def fills(
        self, account: str, key: str | None = None, *, order_id: int | None = None, limit: int = 500
    ) -> list[Execution]:
        """The account's latest executions, oldest first. The last 10,000 are kept."""
        found = [
            fill
            for fill in self._ledger.account(account).fills
            if (key is None or fill.key == key) and (order_id is None or fill.order_id == order_id)
        ]
        return found[-limit:]

    # markets ---------------------------------------------------------------------------------------------------------

    def status(self, key: str) -> InstrumentStatus:
        """Whether the listing takes orders."""
        return self._market(key).status

    def _market(self, key: str) -> ListedMarket:
        market = self._markets.get(key)
        if market is None:
            raise Refusal(RefusalKind.UNKNOWN_LISTING, f"{key} is not listed")
        return market

    def _contract(self, key: str) -> ListedMarket:
        market = self._market(key)
        if market.mark is None:
            raise Refusal(RefusalKind.UNSUPPORTED, f"{key} is no contract")
        return market

    def set_status(self, key: str, status: InstrumentStatus) -> None:
        """Open or close a listing. Resting orders stay; CLOSED and CANCEL_ONLY refuse new ones with MARKET_CLOSED."""
        self._market(key).status = status
        number = self._outbox.number()
        self._outbox.put(self._outbox.heard(key), StatusChanged(sequence=number, key=key, time=self.now_ms))
        self._outbox.deliver()

    def sequence(self, key: str) -> int:
        """Number of the book's last change."""
        return self._market(key).book.sequence

    def book(self, key: str, levels: int | None = None) -> BookImage:
        """The book, best first; `levels` a side or all of them."""
        market = self._market(key)
        return BookImage(
            key=key,
            sequence=market.book.sequence,
            time=market.book.log[-1].time if market.book.log else self.now_ms,
            bids=market.levels(True, levels),
            asks=market.levels(False, levels),
        )

    def best(self, key: str) -> tuple[BookLevel | None, BookLevel | None]:
        """Best bid and best ask."""
        market = self._market(key)
        bids, asks = market.levels(True, 1), market.levels(False, 1)
        return bids[0] if bids else None, asks[0] if asks else None

    def book_changes(self, key: str, after: int) -> BookChanges | None:
        """Changes with numbers above `after`, merged. None if they are no longer all kept (the last 50,000 are)."""
        market, changes = self._changes(key, after)
        if changes is None:
            return None
        return BookChanges(
            key=key,
            first=market.book.sequence - len(changes) + 1,
            last=market.book.sequence,
            time=changes[-1].time if changes else self.now_ms,
            bids=market.changed(changes, True),
            asks=market.changed(changes, False),
        )

    def _changes(self, key: str, after: int) -> tuple[ListedMarket, list[Change] | None]:
        market = self._market(key)
        return market, market.book.changes(after)

    def book_log(self, key: str, after: int) -> list[BookChanged] | None:
        """The same, change by change (`sequence` of the events is 0 here: the global one is told to listeners only)."""
        market, changes = self._changes(key, after)
        if changes is None:
            return None
        first = market.book.sequence - len(changes) + 1
        return [
            BookChanged(
                sequence=0,
                key=key,
                side=Side.BUY if change.bid else Side.SELL,
                price=market.grid.price(change.ticks),
                size=market.grid.size(change.lots),
                orders=change.orders,
                book_sequence=number,
                time=change.time,
            )
            for number, change in enumerate(changes, first)
        ]

    def trades(self, key: str, *, limit: int = 100, after: int | None = None) -> list[PublicTrade]:
        """The latest trades with ids above `after`, oldest first. The last 5,000 are kept."""
        market = self._market(key)
        return [market.trade(trade) for trade in market.tape.latest(limit, after)]

    def candles(
        self,
        key: str,
        interval_ms: int,
        *,
        start: int | None = None,
        end: int | None = None,
        limit: int = 500,
        offset_ms: int = 0,
    ) -> list[Bar]:
        """Bars of a whole number of minutes, oldest first, the last one running.

        Bars open at multiples of `interval_ms` plus `offset_ms` (weeks from Monday: 4 days). `start` and `end` bound
        the opening times, both included; the latest `limit` of them are given, or the first `limit` from `start` on.
        """
        market = self._market(key)
        if interval_ms <= 0 or interval_ms % MINUTE or offset_ms % MINUTE or limit <= 0:
            raise Refusal(RefusalKind.INVALID, f"no bars of {interval_ms} ms")
        rows = market.tape.candles(interval_ms, offset_ms, self.now_ms, start, end, limit)
        return [market.bar(row) for row in rows]

    def ticker(self, key: str) -> TickerImage:
        """Best prices and 24 h statistics."""
        return self._market(key).ticker(self.now_ms)

    def mark(self, key: str) -> MarkImage:
        """Mark price and funding of a contract. Refused: UNSUPPORTED for spot."""
        market = self._contract(key)
        mark, price = market.mark, market.grid.price
        if mark is None:
            raise Refusal(RefusalKind.UNSUPPORTED, f"{key} is no contract")
        return MarkImage(
            key=key,
            mark=price(mark.ticks),
            index=price(mark.index),
            rate=mark.rate,
            last_rate=mark.last_rate,
            next_funding=mark.next_funding,
            open_interest=market.grid.size(market.open_lots),
            time=self.now_ms,
        )

    def load_history(self, key: str, bars: Mapping[int, list[Row]], trades: Iterable[Print]) -> None:
        """Fill the tape of a listing that has not traded yet: bars by resolution in ms (a minute, an hour, a day),
        oldest first, and the latest trades, all in whole ticks, lots and atoms. Raises ValueError if it has traded.
        """
        self._market(key).tape.load(dict(bars), trades)

    def seat(self, account: str, key: str) -> Seat:
        """A place in one market for a trader that lives in this process and counts in ticks and lots."""
        return Seat(self._ledger.account(account), self._market(key), self._engine, self._outbox)

    def number_of_events(self) -> int:
        """The global sequence number of the last event."""
        return self._outbox.sequence
