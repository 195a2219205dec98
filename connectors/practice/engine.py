"""The life of an order: checked, funded, matched, settled, triggered, ended.

Checks come first and change nothing; from the first change on nothing is refused any more. What an operation touched
is collected and told at its end.
"""

from __future__ import annotations

from heapq import heappop, heappush

from msgspec import structs

from connectors.model import EndReason, InstrumentStatus, OrderStatus, Side, TimeInForce
from connectors.practice.grid import from_atoms
from connectors.practice.ledger import Account, Ledger
from connectors.practice.market import ListedMarket
from connectors.practice.matching import Change
from connectors.practice.orders import LiveOrder
from connectors.practice.outbox import Outbox
from connectors.practice.pictures import balance_image, margin_state, position_image
from connectors.practice.tape import Print
from connectors.practice.terms import (
    BalanceChanged,
    BookChanged,
    Execution,
    Filled,
    Happening,
    OrderChanged,
    PositionChanged,
    Refusal,
    RefusalKind,
    SelfTrade,
    Traded,
    Wallet,
)

_ENDS = {
    RefusalKind.FOK: (OrderStatus.EXPIRED, EndReason.FOK),
    RefusalKind.POST_ONLY: (OrderStatus.CANCELLED, EndReason.POST_ONLY),
    RefusalKind.REDUCE_ONLY: (OrderStatus.CANCELLED, EndReason.REDUCE_ONLY),
    RefusalKind.NO_LIQUIDITY: (OrderStatus.EXPIRED, EndReason.OTHER),
}


class Engine:
    """Moves orders through their lives. `now` is the exchange's time."""

    def __init__(self, ledger: Ledger, markets: dict[str, ListedMarket], outbox: Outbox, fees: Account) -> None:
        self.now = 0
        self._ledger = ledger
        self._markets = markets
        self._outbox = outbox
        self._fees = fees
        self._order_id = 0
        self._expiries: list[tuple[int, int, LiveOrder]] = []
        self._balances: dict[tuple[str, Wallet, str], Account] = {}  # touched; a dict keeps the order of touching
        self._positions: dict[tuple[str, str], Account] = {}

    # entry -----------------------------------------------------------------------------------------------------------

    def check(self, order: LiveOrder) -> None:
        """Everything that could speak against a new order. Raises Refusal and changes nothing."""
        self._check_entry(order)
        if order.trigger:
            self._check_waiting(order)
        else:
            self._check_working(order)

    def enter(self, order: LiveOrder) -> None:
        """Take a new order, or refuse it with nothing changed."""
        self._check_entry(order)
        refusal: Refusal | None = None
        try:
            if order.trigger:
                self._check_waiting(order)
            else:
                self._check_working(order)
        except Refusal as found:
            if found.kind not in order.account.rules.recorded or found.kind not in _ENDS:
                raise
            refusal = found
        self._register(order)
        if refusal is not None:
            self._told(order, Happening.ACCEPTED)
            self._refuse(order, refusal)
        elif order.trigger:
            order.status = OrderStatus.UNTRIGGERED
            self._hold(order, self._waiting_hold(order))
            order.market.triggers(order.request).add(order)
            self._told(order, Happening.ACCEPTED)
        else:
            self._work(order, Happening.ACCEPTED)
        self.settle()

    def _register(self, order: LiveOrder) -> None:
        account = order.account
        self._order_id += 1
        order.id = self._order_id
        account.open[order.id] = order
        account.counts[order.request.key] = account.counts.get(order.request.key, 0) + 1
        if not account.rules.quiet:
            account.by_id[order.id] = order
            if order.client_id:
                account.by_client[order.client_id] = order
                account.used_ids.add(order.client_id)
        if order.request.expires is not None:
            heappush(self._expiries, (order.request.expires, order.id, order))

    # checks ----------------------------------------------------------------------------------------------------------

    def _check_entry(self, order: LiveOrder) -> None:
        account, market = order.account, order.market
        if market.status is not InstrumentStatus.TRADING:
            raise Refusal(RefusalKind.MARKET_CLOSED, f"{order.request.key} does not trade now")
        self.check_client_id(account, order.client_id)
        if account.counts.get(order.request.key, 0) >= account.rules.max_open_orders:
            raise Refusal(RefusalKind.TOO_MANY_ORDERS, f"{account.rules.max_open_orders} orders are open already")
        if order.request.expires is not None and order.request.expires <= self.now:
            raise Refusal(RefusalKind.INVALID, "the order would have expired already")
        price = order.ticks or order.trigger
        if price and market.grid.value(price, order.lots) < market.grid.min_value:
            raise Refusal(RefusalKind.NOTIONAL_MINIMUM, f"value is below {market.listing.min_notional}")

    @staticmethod
    def check_client_id(account: Account, client_id: str) -> None:
        """Refused: CLIENT_ID, as far as the account's rules go."""
        if not client_id:
            return
        holder = account.by_client.get(client_id)
        match account.rules.client_ids.value:
            case "open":
                taken = holder is not None and not holder.status.is_final
            case "ever":
                taken = client_id in account.used_ids
            case _:
                taken = False
        if taken:
            image = holder.image() if holder is not None else None
            raise Refusal(RefusalKind.CLIENT_ID, f"client id {client_id} is taken", image)

    def _check_waiting(self, order: LiveOrder) -> None:
        watched = order.market.watched(order.request)
        if watched >= order.trigger if order.rising else watched <= order.trigger:
            raise Refusal(RefusalKind.WOULD_TRIGGER, "the trigger has been passed already")
        if not order.market.listing.is_contract:
            self._check_purse(order, self._waiting_hold(order))

    def _check_working(self, order: LiveOrder, replaced: LiveOrder | None = None) -> None:
        """What speaks against working now. `replaced`: the resting order whose hold becomes free for this one."""
        market, request = order.market, order.request
        head = market.book.head(not order.bid, order.ticks or None)
        if request.reduce_only and not self._reducible(order):
            raise Refusal(RefusalKind.REDUCE_ONLY, "there is no position to reduce")
        if request.post_only and head is not None:
            raise Refusal(RefusalKind.POST_ONLY, "the order would take")
        if order.by_market and head is None:
            raise Refusal(RefusalKind.NO_LIQUIDITY, "nobody is there to trade with")
        if order.quote_atoms:
            self._plan(order)
        if order.by_market and not order.quote_atoms and self._worst_value(order) < market.grid.min_value:
            raise Refusal(RefusalKind.NOTIONAL_MINIMUM, f"value is below {market.listing.min_notional}")
        if request.tif is TimeInForce.FOK and not self._fillable(order):
            raise Refusal(RefusalKind.FOK, "the order cannot be filled whole")
        if market.listing.is_contract:
            self._check_margin(order, replaced)
        else:
            self._check_purse(order, self._need(order), replaced.hold if replaced else 0)

    def _plan(self, order: LiveOrder) -> None:
        """Turn an order by money into lots."""
        lots, order.short = order.market.plan(not order.bid, order.quote_atoms, self._passed_over(order))
        if lots < order.market.grid.minimum:
            raise Refusal(RefusalKind.SIZE_MINIMUM, "this money does not come to the smallest size")
        order.lots = order.open = lots

    def _need(self, order: LiveOrder) -> int:
        """Atoms that a spot order may use up: of quote to buy, of base to sell."""
        if not order.bid:
            return order.open * order.market.grid.lot_atoms
        return self._worst_value(order)

    def _waiting_hold(self, order: LiveOrder) -> int:
        """What an order blocks while it waits: on spot as if it worked at its limit or trigger, else nothing."""
        if order.market.listing.is_contract:
            return 0
        if not order.bid:
            return order.open * order.market.grid.lot_atoms
        return order.market.grid.value(order.ticks or order.trigger, order.open)

    @staticmethod
    def _check_purse(order: LiveOrder, need: int, freed: int = 0) -> None:
        purse = order.account.purse(Wallet.SPOT, order.held_asset)
        free = purse.total - purse.held + freed
        if need > free:
            asset = order.held_asset
            raise Refusal(RefusalKind.FUNDS, f"{from_atoms(need)} {asset} needed, {from_atoms(free)} available")

    def _check_margin(self, order: LiveOrder, replaced: LiveOrder | None) -> None:
        if order.account.rules.house or order.request.reduce_only:
            return
        market, account = order.market, order.account
        holding = account.holding(market.grid)
        mark = market.mark.ticks if market.mark else market.tape.last
        freed = replaced.hold if replaced is not None else 0
        value = self._worst_value(order)
        before = holding.margin(mark)
        buying, selling = (value - freed, 0) if order.bid else (0, value - freed)
        after = holding.margin(mark, buying=buying, selling=selling)
        if after <= before:
            return
        state = margin_state(account, market.listing.settle, self._markets)
        fee = max(0, market.grid.fee(value, maker=False))
        if after - before + fee > state.equity - state.held:
            free = from_atoms(max(0, state.equity - state.held))
            raise Refusal(RefusalKind.MARGIN, f"{from_atoms(after - before + fee)} needed, {free} available")

    def _worst_value(self, order: LiveOrder) -> int:
        """Most that its open lots can come to: at the limit, or against what is in the book."""
        market = order.market
        if order.by_market:
            return market.estimate(not order.bid, order.open, self._passed_over(order))
        return market.grid.value(order.ticks, order.open)

    @staticmethod
    def _passed_over(order: LiveOrder) -> frozenset[int]:
        """Own orders that would end instead of trading with this one."""
        if order.self_trade is not SelfTrade.CANCEL_OLDEST or order.account.rules.quiet:
            return frozenset()
        return frozenset(order.account.open)

    @staticmethod
    def _reducible(order: LiveOrder) -> int:
        """Lots by which the order could still reduce a position."""
        holding = order.account.holdings.get(order.request.key)
        lots = holding.lots if holding is not None else 0
        return max(0, -lots if order.bid else lots)

    def _fillable(self, order: LiveOrder) -> bool:
        """Whether `_take` would fill the order whole: looks at every order in its way as `_take` would."""
        lots = order.open
        if order.short:
            return False
        if order.request.reduce_only and self._reducible(order) < lots:
            return False
        positions: dict[str, int] = {}
        for _, level in order.market.book.side(not order.bid).walk(order.ticks or None):
            for maker in level.queue.values():
                assert isinstance(maker, LiveOrder)  # noqa: S101  for the type: books hold nothing else
                if maker.account is order.account:
                    if order.self_trade is SelfTrade.CANCEL_OLDEST:
                        continue
                    return False
                taken = min(lots, maker.open)
                if order.market.listing.is_contract:
                    name = maker.account.name
                    holding = maker.account.holdings.get(order.request.key)
                    position = positions.get(name, holding.lots if holding is not None else 0)
                    if maker.request.reduce_only:
                        taken = min(taken, max(0, -position if maker.bid else position))
                    positions[name] = position + (taken if maker.bid else -taken)
                lots -= taken
                if not lots:
                    return True
        return False

    # work ------------------------------------------------------------------------------------------------------------

    def _work(self, order: LiveOrder, what: Happening) -> None:
        """Let a checked order work: take what it can, let the rest rest or end."""
        order.status = OrderStatus.PARTLY_FILLED if order.filled else OrderStatus.OPEN
        if order.ticks:
            self._hold(order, self._working_hold(order))
        self._told(order, what)
        stopped = self._take(order)
        if order.status.is_final:
            return
        if stopped is not None:
            self._end(order, *stopped)
        elif not order.open:
            self._end(order, OrderStatus.EXPIRED, EndReason.OTHER, "the book held too little")
        elif order.rests:
            order.resting = True
            self._book_changed(order.market, order.market.book.add(order))
        elif order.by_market:
            self._end(order, OrderStatus.EXPIRED, EndReason.OTHER, "nobody is left to trade with")
        else:
            self._end(order, OrderStatus.EXPIRED, EndReason.IOC_REST, "the rest could not be filled at once")

    def _working_hold(self, order: LiveOrder) -> int:
        if order.market.listing.is_contract:
            return 0 if order.request.reduce_only else order.market.grid.value(order.ticks, order.open)
        return self._need(order)

    def _take(self, order: LiveOrder) -> tuple[OrderStatus, EndReason, str] | None:
        """Match against the other side. Returns why the rest must end, or None."""
        book = order.market.book
        limit = order.ticks or None
        contract = order.market.listing.is_contract
        while order.open:
            maker = book.head(not order.bid, limit)
            if maker is None:
                return None
            assert isinstance(maker, LiveOrder)  # noqa: S101  for the type: books hold nothing else
            if maker.account is order.account:
                if order.self_trade is not SelfTrade.CANCEL_NEWEST:
                    self._end(maker, OrderStatus.EXPIRED, EndReason.SELF_TRADE, "met an order of the same account")
                if order.self_trade is not SelfTrade.CANCEL_OLDEST:
                    return OrderStatus.EXPIRED, EndReason.SELF_TRADE, "met an order of the same account"
                continue
            lots = min(order.open, maker.open)
            if contract:
                if order.request.reduce_only:
                    lots = min(lots, self._reducible(order))
                    if not lots:
                        return OrderStatus.CANCELLED, EndReason.REDUCE_ONLY, "the position is closed"
                if maker.request.reduce_only:
                    lots = min(lots, self._reducible(maker))
                    if not lots:
                        self._end(maker, OrderStatus.CANCELLED, EndReason.REDUCE_ONLY, "the position is closed")
                        continue
            self._match(order, maker, lots)
        return None

    def _match(self, taker: LiveOrder, maker: LiveOrder, lots: int) -> None:
        market = taker.market
        ticks = maker.ticks
        self._book_changed(market, market.book.reduce(maker, lots))
        taker.open -= lots
        if not maker.open:
            maker.resting = False
        value = market.grid.value(ticks, lots)
        trade = Print(market.tape.last_id + 1, ticks, lots, value, taker.bid, maker.id, taker.id, self.now)
        market.record(trade)
        number = self._outbox.number()
        if listeners := self._outbox.heard(market.listing.key):
            self._outbox.put(listeners, Traded(sequence=number, key=market.listing.key, trade=market.trade(trade)))
        self._fill(maker, trade, maker=True)
        self._fill(taker, trade, maker=False)

    def _fill(self, order: LiveOrder, trade: Print, *, maker: bool) -> None:
        """Settle one side of a trade. The order's `open` has been lowered already."""
        market, account = order.market, order.account
        grid, listing = market.grid, market.listing
        if order.hold and order.ticks:
            self._hold(order, self._working_hold(order))
        if listing.is_contract:
            holding = account.holding(grid)
            before = max(0, holding.lots)
            realised = holding.trade(trade.lots if order.bid else -trade.lots, trade.ticks)
            market.open_lots += max(0, holding.lots) - before
            fee = grid.fee(trade.value, maker=maker)
            account.purse(Wallet.MARGIN, listing.settle).total += realised - fee
            self._pay_fee(Wallet.MARGIN, listing.settle, fee)
            self._positions[account.name, listing.key] = account
            self._touch(account, Wallet.MARGIN, listing.settle)
        else:
            realised = 0
            base, quote = account.purse(Wallet.SPOT, listing.base), account.purse(Wallet.SPOT, listing.quote)
            amount = trade.lots * grid.lot_atoms
            if order.bid:
                fee = grid.fee(amount, maker=maker)
                quote.total -= trade.value
                base.total += amount - fee
            else:
                fee = grid.fee(trade.value, maker=maker)
                base.total -= amount
                quote.total += trade.value - fee
            self._pay_fee(Wallet.SPOT, order.fee_asset, fee)
            self._touch(account, Wallet.SPOT, listing.base)
            self._touch(account, Wallet.SPOT, listing.quote)
        order.filled += trade.lots
        order.filled_value += trade.value
        order.fee += fee
        whole = not order.open and not order.short
        order.status = OrderStatus.FILLED if whole else OrderStatus.PARTLY_FILLED
        if whole:
            self._close(order)
        if account.rules.quiet:
            return
        execution = Execution(
            account=account.name,
            key=listing.key,
            order_id=order.id,
            client_id=order.client_id,
            trade_id=trade.id,
            side=Side.BUY if order.bid else Side.SELL,
            price=grid.price(trade.ticks),
            size=grid.size(trade.lots),
            value=from_atoms(trade.value),
            fee=from_atoms(fee),
            fee_asset=order.fee_asset,
            maker=maker,
            realised=from_atoms(realised),
            time=self.now,
        )
        account.fills.append(execution)
        number = self._outbox.number()
        if listeners := self._outbox.heard("@" + account.name):
            event = Filled(sequence=number, account=account.name, key=listing.key, fill=execution)
            self._outbox.put(listeners, event)
        self._told(order, Happening.FILLED, execution)

    def _pay_fee(self, wallet: Wallet, asset: str, fee: int) -> None:
        if fee:
            self._fees.purse(wallet, asset).total += fee

    def _hold(self, order: LiveOrder, hold: int) -> None:
        """Block exactly `hold` for the order from now on."""
        change = hold - order.hold
        if not change:
            return
        order.hold = hold
        if order.market.listing.is_contract:
            holding = order.account.holding(order.market.grid)
            if order.bid:
                holding.buying += change
            else:
                holding.selling += change
            self._touch(order.account, Wallet.MARGIN, order.market.listing.settle)
        else:
            order.account.purse(Wallet.SPOT, order.held_asset).held += change
            self._touch(order.account, Wallet.SPOT, order.held_asset)

    # ends ------------------------------------------------------------------------------------------------------------

    def cancel(self, order: LiveOrder, status: OrderStatus, reason: EndReason, text: str) -> None:
        """End an open order from outside."""
        self._end(order, status, reason, text)
        self.settle()

    def _refuse(self, order: LiveOrder, refusal: Refusal) -> None:
        status, reason = _ENDS.get(refusal.kind, (OrderStatus.REJECTED, EndReason.OTHER))
        self._end(order, status, reason, refusal.text)

    def _end(self, order: LiveOrder, status: OrderStatus, reason: EndReason, text: str) -> None:
        if order.resting:
            order.resting = False
            self._book_changed(order.market, order.market.book.remove(order))
        order.ticket = 0
        order.status = status
        order.end_reason = reason
        order.text = text
        self._close(order)
        self._told(order, Happening.ENDED)

    def _close(self, order: LiveOrder) -> None:
        """Release what an ended order holds and move it to the ended ones."""
        self._hold(order, 0)
        account = order.account
        del account.open[order.id]
        account.counts[order.request.key] -= 1
        if not account.rules.quiet:
            account.remember(order)

    # amendments ------------------------------------------------------------------------------------------------------

    def shrink(self, order: LiveOrder, lots: int, client_id: str) -> None:
        """Lower the total to `lots` (above what is filled); a resting order keeps its place."""
        less = order.lots - lots
        order.request = structs.replace(order.request, amount=order.market.grid.size(lots))
        self._rename(order, client_id)
        if order.resting and less:
            self._book_changed(order.market, order.market.book.reduce(order, less))
        else:
            order.open -= less
        order.lots = lots
        self._hold(order, self._waiting_hold(order) if order.ticket else self._working_hold(order))
        self._told(order, Happening.AMENDED)
        self.settle()

    def rework(self, order: LiveOrder, draft: LiveOrder, client_id: str) -> None:
        """Give an open order the price, size and trigger of a checked draft; it goes to the end of its queue."""
        waiting = bool(order.ticket)
        draft.open = draft.lots - order.filled
        draft.created = order.created
        if waiting:
            watched = draft.market.watched(draft.request)
            if watched >= draft.trigger if draft.rising else watched <= draft.trigger:
                raise Refusal(RefusalKind.WOULD_TRIGGER, "the trigger has been passed already", order.image())
            if not draft.market.listing.is_contract:
                self._check_purse(draft, self._waiting_hold(draft), order.hold)
        else:
            self._check_working(draft, order)
        if order.resting:
            order.resting = False
            self._book_changed(order.market, order.market.book.remove(order))
        order.request = draft.request
        order.ticks, order.trigger, order.lots, order.open = draft.ticks, draft.trigger, draft.lots, draft.open
        self._rename(order, client_id)
        if waiting:
            self._hold(order, self._waiting_hold(order))
            order.market.triggers(order.request).add(order)
            self._told(order, Happening.AMENDED)
        else:
            self._work(order, Happening.AMENDED)
        self.settle()

    def _rename(self, order: LiveOrder, client_id: str) -> None:
        if client_id == order.client_id:
            return
        if order.account.by_client.get(order.client_id) is order:
            del order.account.by_client[order.client_id]
        order.client_id = client_id
        order.account.by_client[client_id] = order
        order.account.used_ids.add(client_id)

    # consequences ----------------------------------------------------------------------------------------------------

    def expire(self) -> None:
        """End what has reached its time."""
        while self._expiries and self._expiries[0][0] <= self.now:
            _, _, order = heappop(self._expiries)
            if not order.status.is_final:
                self._end(order, OrderStatus.EXPIRED, EndReason.EXPIRED, "its time is over")

    def trigger_marks(self, market: ListedMarket) -> None:
        """Start what watches the mark price."""
        if market.mark is not None:
            self._start(market.on_mark.due(market.mark.ticks, market.mark.ticks))

    def settle(self) -> None:
        """Do what follows from trades (triggers, reduce-only ends) and tell positions and balances that changed."""
        self._run_triggers()
        if self._positions:
            self._end_useless()
        self._tell_touched()

    def _run_triggers(self) -> None:
        moved = True
        while moved:
            moved = False
            for market in self._markets.values():
                if market.low is None or market.high is None:
                    continue
                low, high = market.low, market.high
                market.low = market.high = None
                due = market.on_last.due(low, high)
                moved = moved or bool(due)
                self._start(due)

    def _start(self, due: list[LiveOrder]) -> None:
        for order in due:
            order.triggered = self.now
            self._hold(order, 0)
            try:
                self._check_working(order)
            except Refusal as refusal:
                order.status = OrderStatus.OPEN
                self._told(order, Happening.TRIGGERED)
                self._refuse(order, refusal)
            else:
                self._work(order, Happening.TRIGGERED)

    def _end_useless(self) -> None:
        """End resting reduce-only orders whose position is gone or has turned."""
        for (_, key), account in list(self._positions.items()):
            if account.rules.quiet:
                continue
            for order in [order for order in account.open.values() if order.request.key == key and order.resting]:
                if order.request.reduce_only and not self._reducible(order):
                    self._end(order, OrderStatus.CANCELLED, EndReason.REDUCE_ONLY, "the position is closed")

    def touch_position(self, account: Account, key: str) -> None:
        """A position changed outside of a trade."""
        self._positions[account.name, key] = account

    def _touch(self, account: Account, wallet: Wallet, asset: str) -> None:
        if not account.rules.quiet:
            self._balances[account.name, wallet, asset] = account

    touch = _touch

    def _tell_touched(self) -> None:
        outbox = self._outbox
        for (name, key), account in self._positions.items():
            if account.rules.quiet:
                continue
            number = outbox.number()
            if listeners := outbox.heard("@" + name):
                position = position_image(account, self._markets[key], self._markets)
                event = PositionChanged(sequence=number, account=name, key=key, position=position, time=self.now)
                outbox.put(listeners, event)
        self._positions.clear()
        for (name, wallet, asset), account in self._balances.items():
            number = outbox.number()
            if listeners := outbox.heard("@" + name):
                balance = balance_image(account, wallet, asset, self._markets)
                outbox.put(listeners, BalanceChanged(sequence=number, account=name, balance=balance, time=self.now))
        self._balances.clear()

    # telling ---------------------------------------------------------------------------------------------------------

    def _told(self, order: LiveOrder, what: Happening, fill: Execution | None = None) -> None:
        order.revision += 1
        order.updated = self.now
        if order.account.rules.quiet:
            return
        number = self._outbox.number()
        if listeners := self._outbox.heard("@" + order.account.name):
            event = OrderChanged(
                sequence=number,
                account=order.account.name,
                key=order.request.key,
                what=what,
                order=order.image(),
                fill=fill,
            )
            self._outbox.put(listeners, event)

    def _book_changed(self, market: ListedMarket, change: Change) -> None:
        number = self._outbox.number()
        if listeners := self._outbox.heard(market.listing.key):
            price, size, orders = market.level(change)
            event = BookChanged(
                sequence=number,
                key=market.listing.key,
                side=Side.BUY if change.bid else Side.SELL,
                price=price,
                size=size,
                orders=orders,
                book_sequence=market.book.sequence,
                time=change.time,
            )
            self._outbox.put(listeners, event)
