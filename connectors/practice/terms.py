"""The words the practice exchange is spoken to in: requests, refusals, images and events, all exact and venue-neutral.

Prices and sizes are Decimals in the listing's own unit (base units, or contracts), times are ms since 1970 UTC. A
listing is named by its key, `spot:BTC-USDT`. An order is named by its id (`int`) or its client id (`str`): an `OrderName`.
"""

from __future__ import annotations

from decimal import Decimal
from enum import Enum, StrEnum
from typing import NamedTuple, TypeAlias

from msgspec import Struct

from connectors.model import EndReason, OrderKind, OrderStatus, Side, TimeInForce

OrderName: TypeAlias = int | str


class Wallet(StrEnum):
    """Where an asset lies: bought outright, or as collateral for contracts that settle in it."""

    SPOT = "spot"
    MARGIN = "margin"


class RefusalKind(StrEnum):
    """Why the exchange says no. A refused request has changed nothing at all."""

    UNKNOWN_LISTING = "unknown_listing"
    UNKNOWN_ACCOUNT = "unknown_account"
    UNKNOWN_ORDER = "unknown_order"  # never seen, or not this account's
    ORDER_ENDED = "order_ended"  # known, but nothing can happen to it any more
    MARKET_CLOSED = "market_closed"  # or cancel-only
    INVALID = "invalid"  # contradictory or missing fields
    UNSUPPORTED = "unsupported"  # the listing has no such thing (leverage or reduce-only on spot)
    PRICE_TICK = "price_tick"
    PRICE_BOUNDS = "price_bounds"  # zero, negative or absurd
    SIZE_LOT = "size_lot"
    SIZE_MINIMUM = "size_minimum"
    SIZE_MAXIMUM = "size_maximum"
    NOTIONAL_MINIMUM = "notional_minimum"
    FUNDS = "funds"  # not enough of an asset
    MARGIN = "margin"  # not enough collateral
    POST_ONLY = "post_only"  # would have taken
    FOK = "fok"  # could not be filled whole
    REDUCE_ONLY = "reduce_only"  # would open or increase a position
    CLIENT_ID = "client_id"  # taken
    WOULD_TRIGGER = "would_trigger"  # the trigger has been passed already
    TOO_MANY_ORDERS = "too_many_orders"
    NO_LIQUIDITY = "no_liquidity"  # a market order against an empty side
    NOTHING_TO_CHANGE = "nothing_to_change"
    LEVERAGE = "leverage"


class Refusal(Exception):
    """The exchange said no; nothing was changed. `order` is the order that the refusal speaks of, where there is one
    (a client id that is taken: its holder; an order that ended: its last image).
    """

    def __init__(self, kind: RefusalKind, text: str, order: Order | None = None) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind
        self.text = text
        self.order = order


class ClientIds(Enum):
    """For how long a client id binds within one account."""

    FREE = "free"  # never checked; a look-up finds the newest
    OPEN = "open"  # unique among orders that have not ended
    EVER = "ever"


class SelfTrade(Enum):
    """What happens when an order meets one of its own account. There is never a trade."""

    CANCEL_NEWEST = "cancel_newest"  # the incoming order's rest ends
    CANCEL_OLDEST = "cancel_oldest"  # the resting order ends, the incoming goes on
    CANCEL_BOTH = "cancel_both"


class TriggerOn(Enum):
    """Which price a conditional order watches. Spot has no mark: MARK is refused there."""

    LAST = "last"
    MARK = "mark"


class AccountRules(Struct, frozen=True, kw_only=True):
    """How an account is treated; a venue's practice side sets what its venue does.

    `recorded`: refusals of these kinds (FOK, POST_ONLY, NO_LIQUIDITY, REDUCE_ONLY) do not raise: the order is taken, has
    an id and an ACCEPTED event, and ends at once without a fill (venues that answer "expired" instead of an error).
    `quiet`: no order, fill, balance or position events are made and ended orders are forgotten (the crowd).
    `house`: may hold positions without margin and is never liquidated (crowd, fee and insurance accounts).
    """

    client_ids: ClientIds = ClientIds.OPEN
    max_open_orders: int = 200  # per listing
    self_trade: SelfTrade = SelfTrade.CANCEL_NEWEST
    recorded: frozenset[RefusalKind] = frozenset()
    quiet: bool = False
    house: bool = False


class NewOrder(Struct, frozen=True, kw_only=True):
    """A request to trade. Exactly one of `amount` (the listing's unit) and `quote_amount` (MARKET on spot only: money
    to spend or to receive at most, rounded down to what whole lots come to) is set. `fee_included`: a fee in quote comes out of
    that money, not on top of it.

    `price` goes with LIMIT, STOP_LIMIT and TAKE_PROFIT_LIMIT; `trigger` with the four conditional kinds. A stop buys
    when the watched price is at or above its trigger (sells: at or below); a take-profit the other way round.
    `tif` GTC is read as IOC for market orders. `expires`: ended with EXPIRED at the first `advance` at or after it.
    `self_trade` None takes the account's rule.
    """

    key: str
    side: Side
    kind: OrderKind = OrderKind.LIMIT
    amount: Decimal | None = None
    quote_amount: Decimal | None = None
    price: Decimal | None = None
    trigger: Decimal | None = None
    trigger_on: TriggerOn = TriggerOn.LAST
    tif: TimeInForce = TimeInForce.GTC
    post_only: bool = False
    reduce_only: bool = False
    fee_included: bool = False
    client_id: str = ""
    expires: int | None = None
    self_trade: SelfTrade | None = None


class Order(Struct, frozen=True, kw_only=True):
    """Everything that is known of an order at one moment.

    `amount` is None for a market order by money (`quote_amount`). `filled` is cumulative; `filled_value` the exact sum
    of price x size (INVERSE: of the value in the settle asset), so `average` = filled_value / filled on spot. `fee` is
    cumulative, negative = rebate. `held` is what the order itself blocks of `held_asset` (spot only; contracts share margin).
    `revision` rises with every change of this order. `text` says in words why it ended, "" while it lives.
    """

    id: int
    account: str
    key: str
    client_id: str
    side: Side
    kind: OrderKind
    tif: TimeInForce
    price: Decimal | None
    trigger: Decimal | None
    trigger_on: TriggerOn
    amount: Decimal | None
    quote_amount: Decimal | None
    post_only: bool
    reduce_only: bool
    expires: int | None
    status: OrderStatus
    filled: Decimal
    filled_value: Decimal
    average: Decimal | None
    fee: Decimal
    fee_asset: str
    held: Decimal
    held_asset: str
    end_reason: EndReason | None
    text: str
    created: int
    updated: int
    triggered: int | None
    revision: int

    @property
    def remaining(self) -> Decimal | None:
        """What has not been filled of `amount`."""
        return None if self.amount is None else self.amount - self.filled


class Execution(Struct, frozen=True, kw_only=True):
    """One fill of one account. `trade_id` is the public trade's, unique and rising within the listing.

    `value` is price x size in quote (INVERSE: in the settle asset); `realised` the profit that this fill locked in on a
    contract (zero on spot). `filled` and `remaining` are the order's after this fill.
    """

    account: str
    key: str
    order_id: int
    client_id: str
    trade_id: int
    side: Side
    price: Decimal
    size: Decimal
    value: Decimal
    fee: Decimal
    fee_asset: str
    maker: bool
    realised: Decimal
    time: int


class AssetBalance(Struct, frozen=True, kw_only=True):
    """One asset in one wallet. `total` = what is owned without unrealised profit.

    SPOT: total = available + held, held is blocked by open orders. MARGIN: held = initial margin of positions and
    orders, `unrealised` = of all positions that settle in this asset; available = max(0, total + unrealised - held).
    """

    account: str
    wallet: Wallet
    asset: str
    total: Decimal
    available: Decimal
    held: Decimal
    unrealised: Decimal


class PositionImage(Struct, frozen=True, kw_only=True):
    """One account's contract position. `size` is signed, in contracts (listing unit). Money is in the settle asset.

    `entry` is None when flat. `liquidation` is an estimate with all other positions unchanged, None if unreachable.
    """

    account: str
    key: str
    size: Decimal
    entry: Decimal | None
    mark: Decimal
    unrealised: Decimal
    realised: Decimal  # since the position was opened, fees and funding not included
    margin: Decimal  # initial margin of the position alone
    maintenance: Decimal
    leverage: int
    liquidation: Decimal | None


class BookLevel(NamedTuple):
    """A row of a book: total size at a price and number of orders; size zero = the level is gone."""

    price: Decimal
    size: Decimal
    orders: int


class BookImage(Struct, frozen=True, kw_only=True):
    """A whole book, best first. `sequence` is the number of the last change that it includes."""

    key: str
    sequence: int
    time: int
    bids: list[BookLevel]
    asks: list[BookLevel]


class BookChanges(Struct, frozen=True, kw_only=True):
    """Merged changes `first`..`last` of a book (both included; every change has one number, without holes).

    Each side holds a changed level once, with what is there *now*, best first. Empty: first = last + 1.
    """

    key: str
    first: int
    last: int
    time: int
    bids: list[BookLevel]
    asks: list[BookLevel]


class PublicTrade(Struct, frozen=True, kw_only=True):
    """A trade on the tape; `side` is the taker's. `value` as in Execution. Order ids are 0 in made-up history."""

    key: str
    id: int
    price: Decimal
    size: Decimal
    value: Decimal
    side: Side
    maker_order: int
    taker_order: int
    time: int


class Bar(Struct, frozen=True, kw_only=True):
    """A candle. Minutes without a trade are flat bars at the previous close with zero volume."""

    start: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    value: Decimal
    trades: int
    taker_buy: Decimal  # part of `volume` that takers bought


class TickerImage(Struct, frozen=True, kw_only=True):
    """Best prices and statistics of the last 24 h (to the minute). Sides that are empty are None."""

    key: str
    bid: BookLevel | None
    ask: BookLevel | None
    last: Decimal
    last_size: Decimal
    open: Decimal
    high: Decimal
    low: Decimal
    volume: Decimal
    value: Decimal
    trades: int
    first_trade: int
    last_trade: int
    open_time: int
    time: int
    sequence: int  # of the book


class MarkImage(Struct, frozen=True, kw_only=True):
    """Prices that contracts are valued by. `rate` is the funding rate that would be paid at `next_funding` as of now."""

    key: str
    mark: Decimal
    index: Decimal
    rate: Decimal
    last_rate: Decimal
    next_funding: int
    open_interest: Decimal
    time: int


class FundingPayment(Struct, frozen=True, kw_only=True):
    """What an account paid (negative) or received at a funding time."""

    account: str
    key: str
    asset: str
    amount: Decimal
    rate: Decimal
    size: Decimal
    mark: Decimal
    time: int


# ---------------------------------------------------------------------------------------------------------------------
# Events. `sequence` is global over the exchange, rises by one an event, and is the order in which things happened.


class Happening(StrEnum):
    """What an OrderChanged tells."""

    ACCEPTED = "accepted"  # in the exchange; rests, waits for its trigger, or is about to take
    TRIGGERED = "triggered"  # a conditional order starts to work
    FILLED = "filled"  # partly or wholly; `fill` is set
    AMENDED = "amended"
    ENDED = "ended"  # without this fill: cancelled, expired, rejected after acceptance; see status and end_reason


class BookChanged(Struct, frozen=True, kw_only=True):
    """A level has a new total. `book_sequence` counts per listing without holes."""

    sequence: int
    key: str
    side: Side  # BUY = a bid
    price: Decimal
    size: Decimal
    orders: int
    book_sequence: int
    time: int


class Traded(Struct, frozen=True, kw_only=True):
    """A public trade."""

    sequence: int
    key: str
    trade: PublicTrade


class OrderChanged(Struct, frozen=True, kw_only=True):
    """Something happened to an order of `account`; `order` is its whole image right after that."""

    sequence: int
    account: str
    key: str
    what: Happening
    order: Order
    fill: Execution | None = None


class Filled(Struct, frozen=True, kw_only=True):
    """An execution; the OrderChanged that tells the same fill follows directly."""

    sequence: int
    account: str
    key: str
    fill: Execution


class BalanceChanged(Struct, frozen=True, kw_only=True):
    """An asset of an account changed in total or held; once per operation, after its fills and orders."""

    sequence: int
    account: str
    balance: AssetBalance
    time: int


class PositionChanged(Struct, frozen=True, kw_only=True):
    """A position changed in size or entry (not for marks); once per operation, before the balances."""

    sequence: int
    account: str
    key: str
    position: PositionImage
    time: int


class FundingPaid(Struct, frozen=True, kw_only=True):
    """Funding was settled for an account; its BalanceChanged follows."""

    sequence: int
    account: str
    key: str
    payment: FundingPayment


class StatusChanged(Struct, frozen=True, kw_only=True):
    """A listing opened or closed; `exchange.status(key)` says which."""

    sequence: int
    key: str
    time: int


MarketEvent: TypeAlias = BookChanged | Traded | StatusChanged
AccountEvent: TypeAlias = OrderChanged | Filled | BalanceChanged | PositionChanged | FundingPaid
Event: TypeAlias = MarketEvent | AccountEvent
