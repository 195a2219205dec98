"""The life of an order: checked, funded, matched, settled, triggered, ended.

Checks come first and change nothing; from the first change on nothing is refused any more. What an operation touched
is collected and told at its end.
"""

from __future__ import annotations

from heapq import heappop, heappush

from msgspec import structs

from connectors.model import EndReason, OrderStatus, Side
from connectors.practice.admission import Admission
from connectors.practice.grid import from_atoms
from connectors.practice.ledger import Account, Ledger
from connectors.practice.market import ListedMarket
from connectors.practice.matching import Change
from connectors.practice.orders import LiveOrder
from connectors.practice.outbox import Outbox
from connectors.practice.pictures import balance_image, position_image
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

    def __init__(
        self, ledger: Ledger, markets: dict[str, ListedMarket], outbox: Outbox, fees: Account, first_id: int = 0
    ) -> None:
        self.now = 0
        self._ledger = ledger
        self._markets = markets
        self._outbox = outbox
        self._fees = fees
        self.admission = Admission(markets)
        self._order_id = first_id
        self._expiries: list[tuple[int, int, LiveOrder]] = []
        self._balances: dict[tuple[str, Wallet, str], Account] = {}  # touched; a dict keeps the order of touching
        self._positions: dict[tuple[str, str], Account] = {}

    # entry -----------------------------------------------------------------------------------------------------------

    def check(self, order: LiveOrder) -> None:
        """Everything that could speak against a new order. Raises Refusal and changes nothing."""
        self.admission.check_entry(order, self.now)
        if order.trigger:
            self.admission.check_waiting(order)
        else:
            self.admission.check_working(order)

    def enter(self, order: LiveOrder) -> None:
        """Take a new order, or refuse it with nothing changed."""
        self.admission.check_entry(order, self.now)
        refusal: Refusal | None = None
        try:
            if order.trigger:
                self.admission.check_waiting(order)
            else:
                self.admission.check_working(order)
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
            self._hold(order, self.admission.waiting_hold(order))
            order.market.triggers(order.request).add(order)
            self._told(order, Happening.ACCEPTED)
        else:
            self._work(order, Happening.ACCEPTED)
        self.settle()

    def rest(self, order: LiveOrder) -> None:
        """Let a limit order that meets nobody rest, when markets are filled that nobody listens to yet; then `settle`.

        Nothing is checked and nothing told.
        """
        self._register(order)
        order.status = OrderStatus.OPEN
        order.revision += 1
        self._hold(order, self._working_hold(order))
        order.resting = True
        order.market.book.add(order)

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
        return self.admission.need(order)

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
                    lots = min(lots, self.admission.reducible(order))
                    if not lots:
                        return OrderStatus.CANCELLED, EndReason.REDUCE_ONLY, "the position is closed"
                if maker.request.reduce_only:
                    lots = min(lots, self.admission.reducible(maker))
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
        if listeners := self._outbox.heard(market.key):
            self._outbox.put(listeners, Traded(sequence=number, key=market.key, trade=market.trade(trade)))
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
            if order.bid and listing.fee_in_quote:
                fee = grid.fee_on_top(trade.value, maker=maker)
                quote.total -= trade.value + fee
                base.total += amount
            elif order.bid:
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
        self._hold(order, self.admission.waiting_hold(order) if order.ticket else self._working_hold(order))
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
                self.admission.check_purse(draft, self.admission.waiting_hold(draft), order.hold)
        else:
            self.admission.check_working(draft, order)
        if order.resting:
            order.resting = False
            self._book_changed(order.market, order.market.book.remove(order))
        order.request = draft.request
        order.ticks, order.trigger, order.lots, order.open = draft.ticks, draft.trigger, draft.lots, draft.open
        self._rename(order, client_id)
        if waiting:
            self._hold(order, self.admission.waiting_hold(order))
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
                self.admission.check_working(order)
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
                if order.request.reduce_only and not self.admission.reducible(order):
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
        if listeners := self._outbox.heard(market.key):
            price, size, orders = market.level(change)
            event = BookChanged(
                sequence=number,
                key=market.key,
                side=Side.BUY if change.bid else Side.SELL,
                price=price,
                size=size,
                orders=orders,
                book_sequence=market.book.sequence,
                time=change.time,
            )
            self._outbox.put(listeners, event)
