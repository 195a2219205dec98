"""Whether an order may enter, start to work, or wait: every check, and no change to anything but the order's plan."""

from __future__ import annotations

from collections.abc import Mapping

from connectors.model import InstrumentStatus, TimeInForce
from connectors.practice.grid import from_atoms
from connectors.practice.ledger import Account
from connectors.practice.market import ListedMarket
from connectors.practice.orders import LiveOrder
from connectors.practice.pictures import margin_state
from connectors.practice.terms import ClientIds, Refusal, RefusalKind, SelfTrade, Wallet


class Admission:
    """The rules at the door. Every method that can say no raises Refusal."""

    def __init__(self, markets: Mapping[str, ListedMarket]) -> None:
        self._markets = markets

    def check_entry(self, order: LiveOrder, now: int) -> None:
        """What speaks against any new order, working or waiting."""
        account, market = order.account, order.market
        if market.status is not InstrumentStatus.TRADING:
            raise Refusal(RefusalKind.MARKET_CLOSED, f"{order.request.key} does not trade now")
        self.check_client_id(account, order.client_id)
        if account.counts.get(order.request.key, 0) >= account.rules.max_open_orders:
            raise Refusal(RefusalKind.TOO_MANY_ORDERS, f"{account.rules.max_open_orders} orders are open already")
        if order.request.expires is not None and order.request.expires <= now:
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
        match account.rules.client_ids:
            case ClientIds.OPEN:
                taken = holder is not None and not holder.status.is_final
            case ClientIds.EVER:
                taken = client_id in account.used_ids
            case ClientIds.FREE:
                taken = False
        if taken:
            image = holder.image() if holder is not None else None
            raise Refusal(RefusalKind.CLIENT_ID, f"client id {client_id} is taken", image)

    def check_waiting(self, order: LiveOrder) -> None:
        """What speaks against waiting for the trigger."""
        watched = order.market.watched(order.request)
        if watched >= order.trigger if order.rising else watched <= order.trigger:
            raise Refusal(RefusalKind.WOULD_TRIGGER, "the trigger has been passed already")
        if not order.market.listing.is_contract:
            self.check_purse(order, self.waiting_hold(order))

    def check_working(self, order: LiveOrder, replaced: LiveOrder | None = None) -> None:
        """What speaks against working now. `replaced`: the resting order whose hold becomes free for this one."""
        market, request = order.market, order.request
        head = market.book.head(not order.bid, order.ticks or None)
        if request.reduce_only and not self.reducible(order):
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
            self.check_purse(order, self.need(order), replaced.hold if replaced else 0)

    def _plan(self, order: LiveOrder) -> None:
        """Turn an order by money into lots."""
        grid = order.market.grid
        atoms = order.quote_atoms
        if order.bid and order.market.listing.fee_in_quote and order.request.fee_included:
            atoms = grid.without_fee(atoms)
        lots, order.short = order.market.plan(not order.bid, atoms, self._passed_over(order))
        if lots < grid.minimum:
            raise Refusal(RefusalKind.SIZE_MINIMUM, "this money does not come to the smallest size")
        order.lots = order.open = lots

    def need(self, order: LiveOrder) -> int:
        """Atoms that a spot order may use up: of quote to buy, of base to sell."""
        if not order.bid:
            return order.open * order.market.grid.lot_atoms
        return self._with_fee(order, self._worst_value(order))

    def waiting_hold(self, order: LiveOrder) -> int:
        """What an order blocks while it waits: on spot as if it worked at its limit or trigger, else nothing."""
        if order.market.listing.is_contract:
            return 0
        if not order.bid:
            return order.open * order.market.grid.lot_atoms
        return self._with_fee(order, order.market.grid.value(order.ticks or order.trigger, order.open))

    @staticmethod
    def _with_fee(order: LiveOrder, value: int) -> int:
        """What a buy of this value takes from the purse."""
        return order.market.grid.with_fee(value) if order.market.listing.fee_in_quote else value

    @staticmethod
    def check_purse(order: LiveOrder, need: int, freed: int = 0) -> None:
        """Refused: FUNDS, unless the account can spare `need` atoms, `freed` of what it holds included."""
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
    def reducible(order: LiveOrder) -> int:
        """Lots by which the order could still reduce a position."""
        holding = order.account.holdings.get(order.request.key)
        lots = holding.lots if holding is not None else 0
        return max(0, -lots if order.bid else lots)

    def _fillable(self, order: LiveOrder) -> bool:
        """Whether `_take` would fill the order whole: looks at every order in its way as `_take` would."""
        lots = order.open
        if order.short:
            return False
        if order.request.reduce_only and self.reducible(order) < lots:
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
