"""What happens to contracts by themselves: marks move, funding is exchanged, broken accounts are liquidated."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from fractions import Fraction

from connectors.model import EndReason, Market, OrderKind, OrderStatus, Side
from connectors.practice.engine import Engine
from connectors.practice.grid import from_atoms, rounded
from connectors.practice.ledger import Account, Ledger
from connectors.practice.market import ListedMarket
from connectors.practice.orders import LiveOrder
from connectors.practice.outbox import Outbox
from connectors.practice.pictures import margin_state
from connectors.practice.terms import FundingPaid, FundingPayment, NewOrder, Refusal, Wallet


class Clearing:
    """Looks after all contracts. `insurance` takes what liquidation could not close, and its losses."""

    def __init__(
        self, ledger: Ledger, markets: dict[str, ListedMarket], engine: Engine, outbox: Outbox, insurance: Account
    ) -> None:
        self._ledger = ledger
        self._markets = markets
        self._engine = engine
        self._outbox = outbox
        self._insurance = insurance

    def advance(self, now: int) -> None:
        """Let time pass up to `now`."""
        moved = False
        for market in self._markets.values():
            mark = market.mark
            if mark is None or not mark.due(now):
                continue
            moved = True
            book = market.book
            mark.update(now, book.bids.best(), book.asks.best(), market.tape.last, self._index(market))
            self._engine.trigger_marks(market)
            while mark.next_funding <= now:
                self._fund(market, mark.close_period(), mark.ticks, now)
        if moved:
            for account in list(self._ledger.accounts.values()):
                if not account.rules.house and account.holdings:
                    self._watch(account)

    def _index(self, market: ListedMarket) -> int | None:
        """Middle of the spot market in the same asset, in ticks of the contract."""
        spot = next(
            (
                other
                for other in self._markets.values()
                if other.listing.market is Market.SPOT and other.listing.base == market.listing.base
            ),
            None,
        )
        if spot is None:
            return None
        ticks = spot.middle() / Fraction(market.grid.tick)
        return rounded(ticks.numerator, ticks.denominator)

    # funding ---------------------------------------------------------------------------------------------------------

    def _fund(self, market: ListedMarket, rate: Decimal, mark: int, now: int) -> None:
        """Longs pay shorts `rate` of their value at the mark (or the reverse); what rounding leaves is the insurance's."""
        asset = market.listing.settle
        numerator, denominator = rate.as_integer_ratio()
        left = 0
        for account in self._ledger.accounts.values():
            holding = account.holdings.get(market.key)
            if holding is None or not holding.lots:
                continue
            value = market.grid.value(mark, abs(holding.lots))
            due = rounded(value * numerator, denominator * market.grid.coin) * market.grid.coin
            amount = -due if holding.lots > 0 else due
            account.purse(Wallet.MARGIN, asset).total += amount
            left -= amount
            self._engine.touch(account, Wallet.MARGIN, asset)
            if account.rules.quiet:
                continue
            payment = FundingPayment(
                account=account.name,
                key=market.key,
                asset=asset,
                amount=from_atoms(amount),
                rate=rate,
                size=market.grid.size(holding.lots),
                mark=market.grid.price(mark),
                time=now,
            )
            account.funding.append(payment)
            number = self._outbox.number()
            if listeners := self._outbox.heard("@" + account.name):
                event = FundingPaid(sequence=number, account=account.name, key=market.key, payment=payment)
                self._outbox.put(listeners, event)
        self._insurance.purse(Wallet.MARGIN, asset).total += left

    # liquidation -----------------------------------------------------------------------------------------------------

    def _watch(self, account: Account) -> None:
        for asset in {self._markets[key].listing.settle: None for key, held in account.holdings.items() if held.lots}:
            state = margin_state(account, asset, self._markets)
            if state.equity < state.maintenance:
                self._liquidate(account, asset)

    def _liquidate(self, account: Account, asset: str) -> None:
        """End all orders on this collateral, close by market what the book takes, hand over the rest at the mark."""
        for order in list(account.open.values()):
            listing = order.market.listing
            if listing.is_contract and listing.settle == asset:
                self._engine.cancel(order, OrderStatus.CANCELLED, EndReason.LIQUIDATION, "the account is liquidated")
        for key, holding in list(account.holdings.items()):
            market = self._markets[key]
            if market.listing.settle != asset or not holding.lots:
                continue
            request = NewOrder(
                key=key,
                side=Side.SELL if holding.lots > 0 else Side.BUY,
                kind=OrderKind.MARKET,
                amount=market.grid.size(min(abs(holding.lots), market.grid.maximum)),
                reduce_only=True,
            )
            # refused: a closed or empty market, an odd size. Nothing was sold then, and all of it is handed over
            with suppress(Refusal):
                order = LiveOrder(account, market, request, self._engine.now)
                order.text = "liquidation"
                self._engine.enter(order)
            if holding.lots:
                self._hand_over(account, market)
        purse = account.purse(Wallet.MARGIN, asset)
        if purse.total < 0:
            self._insurance.purse(Wallet.MARGIN, asset).total += purse.total
            purse.total = 0
            self._engine.touch(account, Wallet.MARGIN, asset)
        self._engine.settle()

    def _hand_over(self, account: Account, market: ListedMarket) -> None:
        """The insurance takes a position over at the mark, outside of the book."""
        listing, mark = market.listing, market.mark
        if mark is None:
            return
        lots = account.holding(market.grid).lots
        for party, change in ((account, -lots), (self._insurance, lots)):
            holding = party.holding(market.grid)
            before = max(0, holding.lots)
            party.purse(Wallet.MARGIN, listing.settle).total += holding.trade(change, mark.ticks)
            market.open_lots += max(0, holding.lots) - before
            self._engine.touch_position(party, listing.key)
            self._engine.touch(party, Wallet.MARGIN, listing.settle)
