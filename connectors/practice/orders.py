"""An order while it lives, in ticks, lots and atoms, and the picture of it that is handed out."""

from __future__ import annotations

from connectors.model import EndReason, OrderKind, OrderStatus, Side, TimeInForce
from connectors.practice.grid import from_atoms
from connectors.practice.ledger import Account
from connectors.practice.market import ListedMarket
from connectors.practice.matching import Resting
from connectors.practice.terms import NewOrder, Order, Refusal, RefusalKind, SelfTrade


class LiveOrder(Resting):
    """State of an order. `ticks` is the limit (0 = none), `lots` the total, `open` what is not filled.

    `lots` of an order by money is what was planned when it began to work. `hold` is the value that it blocks: atoms of
    quote (spot buys), of base (spot sells), or value counted in the holding (contracts). `resting` = in the book,
    `ticket` above zero = waits for its trigger.
    """

    __slots__ = (
        "account",
        "client_id",
        "created",
        "end_reason",
        "fee",
        "filled",
        "filled_value",
        "hold",
        "lots",
        "market",
        "quote_atoms",
        "request",
        "resting",
        "revision",
        "rising",
        "self_trade",
        "short",
        "status",
        "text",
        "ticket",
        "trigger",
        "triggered",
        "updated",
    )

    def __init__(
        self,
        account: Account,
        market: ListedMarket,
        request: NewOrder,
        now: int,
        counted: tuple[int, int] | None = None,
    ) -> None:
        """`counted`: ticks and lots of a plain limit order whose maker reckons in them, so that nothing is left to check."""
        grid = market.grid
        self.quote_atoms = 0
        if counted is not None:
            ticks, lots = counted
        else:
            _check_fields(request, market)
            ticks = lots = 0
            if request.amount is not None:
                lots = grid.lots(request.amount)
            else:
                self.quote_atoms = market.quote_atoms(request)
            if request.price is not None:
                ticks = grid.ticks(request.price)
        super().__init__(0, request.side is Side.BUY, ticks, lots)
        self.lots = lots
        self.trigger = grid.ticks(request.trigger) if request.trigger is not None else 0
        stop = request.kind in (OrderKind.STOP, OrderKind.STOP_LIMIT)
        self.rising = self.bid is stop
        self.account = account
        self.market = market
        self.request = request
        self.client_id = request.client_id
        self.self_trade: SelfTrade = request.self_trade or account.rules.self_trade
        self.created = self.updated = now
        self.triggered: int | None = None
        self.ticket = 0
        self.resting = False
        self.short = False  # planned for more money than the book held
        self.status = OrderStatus.PENDING
        self.end_reason: EndReason | None = None
        self.text = ""
        self.filled = self.filled_value = self.fee = self.hold = 0
        self.revision = 0

    @property
    def by_market(self) -> bool:
        """Whether it takes what there is at any price."""
        return not self.ticks

    @property
    def rests(self) -> bool:
        """Whether what is left may stay in the book."""
        return bool(self.ticks) and self.request.tif is TimeInForce.GTC

    @property
    def held_asset(self) -> str:
        """What `hold` is counted in (spot)."""
        listing = self.market.listing
        return listing.quote if self.bid else listing.base

    @property
    def fee_asset(self) -> str:
        """Fees are taken from what is received, on contracts from the collateral, where the listing says so in quote."""
        listing = self.market.listing
        if listing.is_contract:
            return listing.settle
        return listing.base if self.bid and not listing.fee_in_quote else listing.quote

    def image(self) -> Order:
        """The order as it is now."""
        request, grid = self.request, self.market.grid
        filled = grid.size(self.filled)
        return Order(
            id=self.id,
            account=self.account.name,
            key=request.key,
            client_id=self.client_id,
            side=request.side,
            kind=request.kind,
            tif=request.tif,
            price=grid.price(self.ticks) if self.ticks else None,
            trigger=grid.price(self.trigger) if self.trigger else None,
            trigger_on=request.trigger_on,
            amount=None if self.quote_atoms else grid.size(self.lots),
            quote_amount=request.quote_amount,
            post_only=request.post_only,
            reduce_only=request.reduce_only,
            expires=request.expires,
            status=self.status,
            filled=filled,
            filled_value=from_atoms(self.filled_value),
            average=grid.average(self.filled, self.filled_value),
            fee=from_atoms(self.fee),
            fee_asset=self.fee_asset,
            held=from_atoms(0 if self.market.listing.is_contract else self.hold),
            held_asset=self.held_asset,
            end_reason=self.end_reason,
            text=self.text,
            created=self.created,
            updated=self.updated,
            triggered=self.triggered,
            revision=self.revision,
        )


def _check_fields(request: NewOrder, market: ListedMarket) -> None:
    kind = request.kind
    wrong = ""
    if (request.amount is None) is (request.quote_amount is None):
        wrong = "exactly one of amount and quote amount is needed"
    elif request.quote_amount is not None and kind is not OrderKind.MARKET:
        wrong = "a quote amount goes with market orders only"
    elif kind.has_price is not (request.price is not None):
        wrong = f"a {kind} order {'needs a' if kind.has_price else 'has no'} price"
    elif kind.has_trigger is not (request.trigger is not None):
        wrong = f"a {kind} order {'needs a' if kind.has_trigger else 'has no'} trigger"
    elif request.post_only and (not kind.has_price or request.tif is not TimeInForce.GTC):
        wrong = "post-only goes with resting limit orders only"
    if wrong:
        raise Refusal(RefusalKind.INVALID, wrong)
    market.check_offered(request)
