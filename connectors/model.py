"""The one language that every venue is translated into.

Two rules run through the whole file. What is *drawn* (books, trades, candles, tickers) is `float`: it is decoded in C
and never used to decide about money. What is *decided* (orders, fills, balances, positions, grids) is `Decimal`.
Times are integers, milliseconds since 1970 UTC, unless a name says otherwise.

Sizes keep the venue's own unit (base units, or contracts); `Instrument.unit` says how to convert at the edge.
`wire` is always the venue's own name of an instrument, `symbol` is Fathom's: BASE-QUOTE.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from math import isfinite

import msgspec
from msgspec import UNSET, Struct, UnsetType, structs

ZERO = Decimal(0)
ONE = Decimal(1)


class Market(StrEnum):
    """What is traded: the asset itself, or a contract on it."""

    SPOT = "spot"
    PERP = "perp"
    FUTURE = "future"


class Side(StrEnum):
    """Of an order: what its owner does. Of a trade: what the taker did."""

    BUY = "buy"
    SELL = "sell"

    @property
    def opposite(self) -> Side:
        """The other side."""
        return Side.SELL if self is Side.BUY else Side.BUY


class OrderKind(StrEnum):
    """How an order is priced and when it starts to work. A take-profit triggers on the other side of a stop."""

    LIMIT = "limit"
    MARKET = "market"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"
    TAKE_PROFIT = "take_profit"
    TAKE_PROFIT_LIMIT = "take_profit_limit"

    @property
    def has_price(self) -> bool:
        """Whether the order carries a limit price."""
        return self in (OrderKind.LIMIT, OrderKind.STOP_LIMIT, OrderKind.TAKE_PROFIT_LIMIT)

    @property
    def has_trigger(self) -> bool:
        """Whether the order waits for a trigger price."""
        return self not in (OrderKind.LIMIT, OrderKind.MARKET)


class TimeInForce(StrEnum):
    """How long an order may rest: until cancelled, not at all (rest cancelled), or only if it fills whole at once."""

    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"


class OrderStatus(StrEnum):
    """What the *venue* says of an order. What the desk adds (unknown, cancelling, ...) lives in the app."""

    PENDING = "pending"  # received, not yet in the book
    UNTRIGGERED = "untriggered"  # a stop that waits
    OPEN = "open"
    PARTLY_FILLED = "partly_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"  # ended by the venue's rules: remainder of IOC, FOK or market, time, self-trade prevention

    @property
    def is_final(self) -> bool:
        """Whether nothing can happen to the order any more."""
        return self in (OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.REJECTED, OrderStatus.EXPIRED)


class EndReason(StrEnum):
    """Why an order ended, where the venue says it."""

    USER = "user"
    POST_ONLY = "post_only"
    IOC_REST = "ioc_rest"
    FOK = "fok"
    SELF_TRADE = "self_trade"
    EXPIRED = "expired"
    LIQUIDATION = "liquidation"
    DEAD_MAN = "dead_man"
    REDUCE_ONLY = "reduce_only"
    OTHER = "other"


class Unit(StrEnum):
    """What one unit of size is. LINEAR: `multiplier` base units. INVERSE: `multiplier` quote units, paid in base.

    QUANTO: value = price x multiplier x size, in the settle asset.
    """

    BASE = "base"
    LINEAR = "linear"
    INVERSE = "inverse"
    QUANTO = "quanto"


class InstrumentStatus(StrEnum):
    """Whether an instrument takes orders. Words that a connector does not know are CLOSED: never guess."""

    TRADING = "trading"
    CANCEL_ONLY = "cancel_only"
    CLOSED = "closed"


class SizeRule(Struct, frozen=True, kw_only=True):
    """Multiples and bounds of a size; zero step or None bound = the venue has no such rule."""

    step: Decimal = ZERO
    minimum: Decimal = ZERO
    maximum: Decimal | None = None


class Instrument(Struct, frozen=True, kw_only=True):
    """What can be traded on one venue, with the grid that its orders must keep.

    `tick` is the price step; `significant_digits`, where set (Bitfinex), replaces it. `price_digits` and `size_digits`
    are the decimals that figures are padded to on screen. `market_size` is the size rule of market orders where it
    differs. `extra` holds what only the venue's own code needs (ids, flags), as text.
    """

    venue: str
    family: str
    market: Market
    symbol: str
    wire: str
    base: str
    quote: str
    settle: str
    tick: Decimal
    size: SizeRule
    price_digits: int
    size_digits: int
    market_size: SizeRule | None = None
    significant_digits: int | None = None
    min_price: Decimal = ZERO
    max_price: Decimal | None = None
    min_notional: Decimal = ZERO
    max_notional: Decimal | None = None
    quote_step: Decimal = ZERO
    unit: Unit = Unit.BASE
    multiplier: Decimal = ONE
    status: InstrumentStatus = InstrumentStatus.TRADING
    kinds: frozenset[OrderKind] = frozenset({OrderKind.LIMIT, OrderKind.MARKET})
    max_leverage: Decimal | None = None
    extra: dict[str, str] = {}

    @property
    def key(self) -> str:
        """Unique over all venues: `binance:spot:BTC-USDT`."""
        return f"{self.venue}:{self.market}:{self.symbol}"

    def notional(self, price: Decimal, size: Decimal) -> Decimal:
        """Value of `size` units at `price`: in quote for BASE and LINEAR, in settle units for QUANTO and INVERSE."""
        match self.unit:
            case Unit.BASE:
                return price * size
            case Unit.LINEAR | Unit.QUANTO:
                return price * size * self.multiplier
            case Unit.INVERSE:
                return size * self.multiplier / price if price else ZERO

    def quote_value(self, price: Decimal, size: Decimal) -> Decimal:
        """Value of `size` units at `price` in the quote asset, whatever it is settled in (QUANTO: in the settle asset)."""
        return size * self.multiplier if self.unit is Unit.INVERSE else self.notional(price, size)

    def size_worth(self, price: Decimal, worth: Decimal) -> Decimal:
        """Units whose `quote_value` at `price` is `worth`, not rounded to the lot."""
        match self.unit:
            case Unit.BASE:
                return worth / price
            case Unit.LINEAR | Unit.QUANTO:
                return worth / (price * self.multiplier)
            case Unit.INVERSE:
                return worth / self.multiplier

    def base_amount(self, size: Decimal, price: Decimal) -> Decimal:
        """`size` units in base units; `price` is needed for inverse contracts only."""
        match self.unit:
            case Unit.BASE:
                return size
            case Unit.LINEAR:
                return size * self.multiplier
            case Unit.INVERSE:
                return size * self.multiplier / price if price else ZERO
            case Unit.QUANTO:
                return size


# ---------------------------------------------------------------------------------------------------------------------
# Market data


class Level(Struct, array_like=True, gc=False):
    """One row of a book. Size is absolute; zero deletes the level. Further columns of the wire are skipped in C."""

    price: float
    size: float


class BookSnapshot(Struct, gc=False, kw_only=True):
    """A whole book. `id` is the sequence that it includes; `depth` the levels a side that were asked for (horizon).

    `text` holds the wire's own digits, `(bids, asks)` as `(price, size)` pairs, only where a checksum needs them.
    """

    wire: str
    bids: list[Level]
    asks: list[Level]
    id: int | None = None
    depth: int | None = None
    time: int | None = None
    checksum: int | None = None
    text: tuple[list[tuple[str, str]], list[tuple[str, str]]] | None = None


class BookDelta(Struct, gc=False, kw_only=True):
    """Changed levels. `first`..`last` is the range of sequence ids covered; `prev` the id it claims to follow."""

    wire: str
    bids: list[Level]
    asks: list[Level]
    first: int | None = None
    last: int | None = None
    prev: int | None = None
    time: int | None = None
    checksum: int | None = None
    text: tuple[list[tuple[str, str]], list[tuple[str, str]]] | None = None


class BookCheck(Struct, gc=False, kw_only=True):
    """A checksum that arrives as a message of its own and speaks of the book as it is now."""

    wire: str
    checksum: int
    time: int | None = None


class BookBroken(Struct, gc=False, kw_only=True):
    """The stream itself saw that books can't be trusted. `wires` None: every book of this connection."""

    wires: tuple[str, ...] | None
    why: str


class Trade(Struct, gc=False, kw_only=True):
    """A trade on the tape. `side` is the taker's. `amount` in the instrument's unit. `id` as text, "" if none."""

    wire: str
    price: float
    amount: float
    side: Side
    time: int
    id: str = ""


class Ticker(Struct, gc=False, kw_only=True):
    """Best prices and the statistics of the last 24 h, as far as a channel tells; None = not told.

    `id` is the book's sequence number where the venue gives it (a witness for the book).
    """

    wire: str
    bid: float | None = None
    bid_size: float | None = None
    ask: float | None = None
    ask_size: float | None = None
    last: float | None = None
    open: float | None = None
    high: float | None = None
    low: float | None = None
    volume: float | None = None
    quote_volume: float | None = None
    id: int | None = None
    time: int | None = None


class Candle(Struct, gc=False, kw_only=True):
    """One bar; `start` is its opening time in ms, `interval` one of the venue's `Capabilities.intervals` ("1m")."""

    wire: str
    interval: str
    start: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    closed: bool
    quote_volume: float | None = None


class MarkPrice(Struct, gc=False, kw_only=True):
    """Mark and index price of a contract; `rate` the funding rate of the period that ends at `next_funding`."""

    wire: str
    mark: float
    index: float | None = None
    rate: float | None = None
    next_funding: int | None = None
    time: int | None = None


# ---------------------------------------------------------------------------------------------------------------------
# Orders and accounts


class OrderRequest(Struct, frozen=True, kw_only=True):
    """What the trader wants. `client_id` is the id on the wire, made by the venue's `IdRule` and journalled before.

    Exactly one of `amount` (the instrument's unit) and `quote_amount` (money to spend or receive) is set.
    """

    client_id: str
    instrument: Instrument
    side: Side
    kind: OrderKind
    amount: Decimal | None = None
    quote_amount: Decimal | None = None
    price: Decimal | None = None
    trigger: Decimal | None = None
    tif: TimeInForce = TimeInForce.GTC
    post_only: bool = False
    reduce_only: bool = False


class OrderRef(Struct, frozen=True, kw_only=True):
    """Enough to name an order to its venue; venues need one id or both, so give what is known.

    `algo`: the order lives in the venue's separate id space for conditional orders. `post_only`: it must not take, which some
    venues have to be told again with each change.
    """

    instrument: Instrument
    client_id: str = ""
    venue_id: str = ""
    side: Side | None = None
    algo: bool = False
    created: int | None = None
    post_only: bool = False


class OrderUpdate(Struct, kw_only=True):
    """News of an order, as sparse as the venue sends it: UNSET means "not told", never zero.

    `filled` is cumulative; `average` the mean price of it; `fee` cumulative where the venue gives it so.
    `previous_id` names the venue id that this one replaces (amend by replacement). `algo` as in `OrderRef`. `listed`: a row of a
    list of what stands, not news of a change; what was filled by then is no execution of now.
    """

    wire: str
    family: str = ""
    venue_id: str = ""
    client_id: str = ""
    status: OrderStatus | UnsetType = UNSET
    side: Side | UnsetType = UNSET
    kind: OrderKind | UnsetType = UNSET
    tif: TimeInForce | UnsetType = UNSET
    price: Decimal | UnsetType = UNSET
    trigger: Decimal | UnsetType = UNSET
    amount: Decimal | UnsetType = UNSET
    quote_amount: Decimal | UnsetType = UNSET
    filled: Decimal | UnsetType = UNSET
    average: Decimal | UnsetType = UNSET
    fee: Decimal | UnsetType = UNSET
    fee_asset: str | UnsetType = UNSET
    post_only: bool | UnsetType = UNSET
    reduce_only: bool | UnsetType = UNSET
    end_reason: EndReason | UnsetType = UNSET
    reason: str = ""
    created: int | UnsetType = UNSET
    time: int | UnsetType = UNSET
    previous_id: str = ""
    previous_client_id: str = ""
    algo: bool = False
    listed: bool = False


class Fill(Struct, frozen=True, kw_only=True):
    """One execution of ours. `id` is unique within the instrument; `fee` is what was paid, negative for a rebate.

    `fee` None = the venue tells it later or elsewhere (`FillSource`). `through`: what its order had filled with it, where fills
    are derived from that; one that reaches no further than a known one of its order is part of it.
    """

    wire: str
    family: str
    id: str
    venue_id: str
    client_id: str
    side: Side
    price: Decimal
    amount: Decimal
    time: int
    fee: Decimal | None = None
    fee_asset: str = ""
    maker: bool | None = None
    through: Decimal | None = None


class Balance(Struct, frozen=True, kw_only=True):
    """What an account holds of one asset. None = this source does not tell."""

    asset: str
    family: str = ""
    total: Decimal | None = None
    available: Decimal | None = None
    held: Decimal | None = None
    time: int | None = None


class Position(Struct, frozen=True, kw_only=True):
    """An open position; `size` is signed (short negative) in the instrument's unit. Zero size = closed."""

    wire: str
    family: str
    size: Decimal
    entry: Decimal | None = None
    mark: Decimal | None = None
    unrealised: Decimal | None = None
    liquidation: Decimal | None = None
    margin: Decimal | None = None
    leverage: Decimal | None = None
    isolated: bool | None = None
    time: int | None = None


class Fees(Struct, frozen=True, kw_only=True):
    """Rates as fractions (0.001 = 0.1 %); negative = rebate."""

    maker: Decimal
    taker: Decimal


class KeyInfo(Struct, frozen=True, kw_only=True):
    """What a key may do; None = the venue does not tell."""

    can_trade: bool | None = None
    can_withdraw: bool | None = None
    note: str = ""


def is_sound(row: Struct) -> bool:
    """Whether every number of a row is finite: "NaN" on the wire is a number to a decoder, and to nobody else."""
    for value in structs.astuple(row):
        kind = type(value)
        if (kind is float and not isfinite(value)) or (kind is Decimal and not value.is_finite()):
            return False
    return True


def decimals(step: Decimal) -> int:
    """Number of decimals that `step` needs: 0.010 -> 2, 5 -> 0, 1E-7 -> 7."""
    exponent = step.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def plain(value: Decimal) -> str:
    """`value` as a venue wants it: no exponent, no trailing zeros (1E-7 -> "0.0000001", 100.0 -> "100")."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


to_json = msgspec.json.Encoder(decimal_format="string").encode
