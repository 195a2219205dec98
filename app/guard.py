"""Pre-trade checks: what an order must satisfy before it may leave, and what it would cost.

Everything here is a pure function of a draft and its situation, so that the ticket can ask while the trader types and the
desk asks again right before sending, with the same answer. A refusal names its rule and says what to change; where one
step would mend it, the mended draft is offered.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal, localcontext

import msgspec
from msgspec import Struct

from app.orders import Draft
from connectors.book import OrderBook
from connectors.contract import Capabilities
from connectors.model import (
    ONE,
    ZERO,
    Fees,
    Instrument,
    InstrumentStatus,
    Market,
    OrderKind,
    Side,
    SizeRule,
    TimeInForce,
    Unit,
    plain,
)
from connectors.sync import BookSync


class Limits(Struct, frozen=True, kw_only=True):
    """A trader's own limits, by account. None = no limit of ours. Money in the instrument's quote asset.

    `collar`: how far from mid a price may be on the side that costs, as a fraction: a limit price, the worst fill of a
    market order, and of a stop-limit its limit from its trigger. `confirm_notional`: larger orders are confirmed by
    holding the button (the ticket's business; a click in the ladder is refused instead). `repeat_seconds`: the same
    side, price and amount again within this time is taken for a slip. `max_amount` in the instrument's unit; quanto
    contracts, whose value can't be compared with money in quote, need it.
    """

    max_amount: Decimal | None = None
    max_notional: Decimal | None = Decimal(1_000_000)
    confirm_notional: Decimal | None = Decimal(100_000)
    collar: Decimal | None = Decimal("0.05")
    max_open_orders: int | None = 200
    max_position_notional: Decimal | None = None
    orders_per_second: int | None = 10
    repeat_seconds: Decimal | None = Decimal("0.5")


class Problem(Struct, frozen=True, kw_only=True):
    """Why an order may not leave. `field` is where it is shown: price, amount, trigger, kind, tif, book, account."""

    field: str
    rule: str
    text: str
    fix: Draft | None = None


class Estimate(Struct, frozen=True, kw_only=True):
    """What sending a draft now would mean, walked through the book. None = can't be said (why in `text`).

    `notional` is the value in quote, whatever it is settled in. `filled_now` is what would execute at once, `average` and
    `worst` its prices, `slippage` the average's distance from the best price as a fraction (positive = costs), `left` what
    remains available of `left_asset`.
    """

    filled_now: Decimal | None = None
    average: Decimal | None = None
    worst: Decimal | None = None
    levels: int = 0
    slippage: Decimal | None = None
    fee: Decimal | None = None
    fee_asset: str = ""
    fee_rate: Decimal | None = None
    notional: Decimal | None = None
    left: Decimal | None = None
    left_asset: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """Everything about the moment that a check looks at. `available` by asset; `position` is signed.

    `working`: open amount of the draft's side in its instrument. `repeated`: seconds since the same order was sent, None if
    it was not. `doubtful`: the same order was sent, and it is not known whether it arrived.
    """

    capabilities: Capabilities
    limits: Limits
    sync: BookSync | None
    available: dict[str, Decimal]
    fees: Fees | None = None
    position: Decimal = ZERO
    working: Decimal = ZERO
    leverage: Decimal | None = ONE  # None: not known, so only what no leverage allows is refused
    open_orders: int = 0
    sent_last_second: int = 0
    repeated: float | None = None
    doubtful: bool = False
    armed: bool = True
    not_ready: str = ""  # why the account may not trade now (not connected, not reconciled, journal not writable)
    walks: dict[tuple[object, ...], _Walk | None] = field(
        default_factory=dict, compare=False, repr=False
    )  # what was found in the book already


def round_price(price: Decimal, instrument: Instrument, side: Side | None = None) -> Decimal:
    """`price` on the instrument's grid; towards the cheaper side for its owner where `side` is given."""
    rounding = {Side.BUY: ROUND_FLOOR, Side.SELL: ROUND_CEILING, None: ROUND_HALF_EVEN}[side]
    if instrument.significant_digits is not None and price > 0:
        step = Decimal(1).scaleb(price.adjusted() - instrument.significant_digits + 1)
        price = (price / step).to_integral_value(rounding) * step
    if instrument.tick > 0:
        price = (price / instrument.tick).to_integral_value(rounding) * instrument.tick
    return price


def round_amount(amount: Decimal, rule: SizeRule) -> Decimal:
    """`amount` rounded down to the lot and into its bounds."""
    if rule.step > 0:
        amount = (amount / rule.step).to_integral_value(ROUND_FLOOR) * rule.step
    if rule.maximum is not None:
        amount = min(amount, rule.maximum)
    return max(amount, rule.minimum)


def size_rule(draft: Draft) -> SizeRule:
    """The lot rule that holds for this kind of order."""
    instrument = draft.instrument
    market = draft.kind in (OrderKind.MARKET, OrderKind.STOP, OrderKind.TAKE_PROFIT)
    return instrument.market_size if market and instrument.market_size is not None else instrument.size


def check(draft: Draft, situation: Situation) -> list[Problem]:
    """Every reason for which `draft` may not leave, the most telling first; empty = it may."""
    draft = _finite(draft)
    with localcontext() as context:
        context.prec = 40
        return [
            *_account_problems(situation),
            *_kind_problems(draft, situation),
            *_price_problems(draft),
            *_amount_problems(draft),
            *_book_problems(draft, situation),
            *_notional_problems(draft, situation),
            *_limit_problems(draft, situation),
            *_funds_problems(draft, situation),
        ]


def estimate(draft: Draft, situation: Situation) -> Estimate:
    """What sending `draft` now would mean."""
    with localcontext() as context:
        context.prec = 40
        return _estimate(_finite(draft), situation)


# ---------------------------------------------------------------------------------------------------------------------


def _finite(draft: Draft) -> Draft:
    """`draft` with what is no number taken as not given."""
    names = ("amount", "quote_amount", "price", "trigger")
    wild = {name: None for name in names if (value := getattr(draft, name)) is not None and not value.is_finite()}
    return msgspec.structs.replace(draft, **wild) if wild else draft


def _account_problems(situation: Situation) -> list[Problem]:
    found = []
    if situation.not_ready:
        found.append(Problem(field="account", rule="account", text=situation.not_ready))
    if not situation.armed:
        found.append(Problem(field="account", rule="armed", text="Trading is disarmed. Arm it to send orders."))
    limit = situation.limits.orders_per_second
    if limit is not None and situation.sent_last_second >= limit:
        found.append(
            Problem(field="account", rule="rate", text=f"More than {limit} orders in a second. Wait a moment.")
        )
    limit = situation.limits.max_open_orders
    if limit is not None and situation.open_orders >= limit:
        text = f"{situation.open_orders} orders are open, your limit is {limit}. Cancel some or raise the limit."
        found.append(Problem(field="account", rule="open orders", text=text))
    limit = situation.limits.repeat_seconds
    if limit is not None and situation.repeated is not None and situation.repeated < limit:
        text = f"The same order left {situation.repeated:.1f} s ago. If you mean it, send it after {plain(limit)} s."
        found.append(Problem(field="account", rule="repeat", text=text))
    if situation.doubtful:
        text = "The same order is in doubt: it may stand already. Wait until it is known, or send another amount."
        found.append(Problem(field="amount", rule="in doubt", text=text))
    return found


def _kind_problems(draft: Draft, situation: Situation) -> list[Problem]:
    instrument, able = draft.instrument, situation.capabilities
    if instrument.status is InstrumentStatus.CANCEL_ONLY:
        return [Problem(field="kind", rule="status", text=f"{instrument.symbol} only takes cancels now.")]
    if instrument.status is InstrumentStatus.CLOSED:
        return [Problem(field="kind", rule="status", text=f"{instrument.symbol} does not trade now.")]
    found = []
    if draft.kind not in able.kinds or draft.kind not in instrument.kinds:
        found.append(
            Problem(field="kind", rule="kind", text=f"{instrument.symbol} has no {_words(draft.kind)} orders here.")
        )
    if draft.tif.value not in able.tifs and draft.kind.has_price:
        found.append(Problem(field="tif", rule="time in force", text=f"{draft.tif.value.upper()} is not offered here."))
    if draft.post_only and not able.post_only:
        found.append(Problem(field="kind", rule="post-only", text="Post-only is not offered here."))
    if draft.post_only and (draft.kind is not OrderKind.LIMIT or draft.tif.value != "gtc"):
        fix = msgspec.structs.replace(draft, post_only=False)
        found.append(Problem(field="tif", rule="post-only", text="Post-only goes with a resting limit order.", fix=fix))
    if draft.reduce_only and not able.reduce_only:
        found.append(Problem(field="kind", rule="reduce-only", text="Reduce-only is not offered here."))
    return found


def _price_problems(draft: Draft) -> list[Problem]:
    found = []
    if draft.kind.has_price:
        found += _grid_problems(draft, "price", draft.price)
    if draft.kind.has_trigger:
        found += _grid_problems(draft, "trigger", draft.trigger)
    return found


def _grid_problems(draft: Draft, field: str, price: Decimal | None) -> list[Problem]:
    instrument = draft.instrument
    if price is None or price <= 0:
        return [Problem(field=field, rule=field, text=f"Enter a {field}.")]
    rounded = round_price(price, instrument, draft.side)
    if rounded != price:
        fix = msgspec.structs.replace(draft, **{field: rounded}) if rounded > 0 else None
        grid = (
            f"{instrument.significant_digits} significant digits"
            if instrument.significant_digits is not None
            else f"tick {plain(instrument.tick)}"
        )
        return [Problem(field=field, rule="tick", text=grid, fix=fix)]
    if price < instrument.min_price:
        fix = msgspec.structs.replace(draft, **{field: instrument.min_price})
        return [Problem(field=field, rule="price bounds", text=f"lowest price {plain(instrument.min_price)}", fix=fix)]
    if instrument.max_price is not None and price > instrument.max_price:
        fix = msgspec.structs.replace(draft, **{field: instrument.max_price})
        return [Problem(field=field, rule="price bounds", text=f"highest price {plain(instrument.max_price)}", fix=fix)]
    return []


def _amount_problems(draft: Draft) -> list[Problem]:
    if draft.quote_amount is not None:
        return _quote_amount_problems(draft)
    amount, rule = draft.amount, size_rule(draft)
    if amount is None or amount <= 0:
        return [Problem(field="amount", rule="amount", text="Enter an amount.")]
    if rule.step > 0 and amount % rule.step:
        fix = msgspec.structs.replace(draft, amount=round_amount(amount, rule))
        return [Problem(field="amount", rule="lot", text=f"lot {plain(rule.step)}", fix=fix)]
    if amount < rule.minimum:
        fix = msgspec.structs.replace(draft, amount=rule.minimum)
        return [Problem(field="amount", rule="minimum", text=f"min {plain(rule.minimum)} {_unit(draft)}", fix=fix)]
    if rule.maximum is not None and amount > rule.maximum:
        fix = msgspec.structs.replace(draft, amount=rule.maximum)
        return [Problem(field="amount", rule="maximum", text=f"max {plain(rule.maximum)} {_unit(draft)}", fix=fix)]
    return []


def _quote_amount_problems(draft: Draft) -> list[Problem]:
    money = draft.quote_amount
    if draft.amount is not None:
        return [Problem(field="amount", rule="amount", text="Give the amount in base or in quote, not both.")]
    if draft.kind is not OrderKind.MARKET:
        text = "Only market orders take an amount of money."
        return [Problem(field="amount", rule="amount", text=text)]
    if money is None or money <= 0:
        return [Problem(field="amount", rule="amount", text="Enter an amount.")]
    step = draft.instrument.quote_step
    if step > 0 and money % step:
        fix = msgspec.structs.replace(draft, quote_amount=(money // step) * step)
        return [Problem(field="amount", rule="lot", text=f"step {plain(step)} {draft.instrument.quote}", fix=fix)]
    return []


def _book_problems(draft: Draft, situation: Situation) -> list[Problem]:
    sync = situation.sync
    if sync is None or not sync.live:
        why = sync.reason if sync is not None and sync.reason else "it is not subscribed"
        return [
            Problem(field="book", rule="book", text=f"The book of {draft.instrument.symbol} is not proven now: {why}.")
        ]
    facing = sync.book.best_ask if draft.side is Side.BUY else sync.book.best_bid
    if draft.kind is OrderKind.MARKET and facing is None:
        return [Problem(field="book", rule="book", text="Nothing rests on the other side.")]
    if (passed := _trigger_passed(draft, sync)) is not None:
        return [passed]
    return _collar_problems(draft, situation)


def _trigger_passed(draft: Draft, sync: BookSync) -> Problem | None:
    """A trigger that both sides of the book have passed would act at once, and for a stop without a limit no collar holds."""
    if not draft.kind.has_trigger or draft.trigger is None:
        return None
    rising = (draft.side is Side.BUY) is (draft.kind in (OrderKind.STOP, OrderKind.STOP_LIMIT))
    best = sync.book.best_bid if rising else sync.book.best_ask
    if best is None:
        return None
    price = Decimal(repr(best[0]))
    if draft.trigger > price if rising else draft.trigger < price:
        return None
    text = f"the market is at {plain(price)} already, so it would trigger at once"
    return Problem(field="trigger", rule="trigger", text=text)


def _collar_problems(draft: Draft, situation: Situation) -> list[Problem]:
    """How far the price may be: of a limit order from mid, of a stop-limit from its trigger, of a market order its worst fill.

    Where one side of the book is empty, there is no middle: the best price of the other side stands for it.
    """
    collar, sync = situation.limits.collar, situation.sync
    if collar is None or (draft.kind.has_trigger and not draft.kind.has_price):
        return []
    if draft.kind.has_trigger:
        middle, name = draft.trigger, "its trigger"
    else:
        middle, name = _middle(sync.book) if sync is not None else (None, "")
    if middle is None or middle <= 0:
        return []
    limit = middle * (ONE + collar if draft.side is Side.BUY else ONE - collar)
    bound = round_price(limit, draft.instrument, draft.side)
    word = "above" if draft.side is Side.BUY else "below"
    by = f"{plain(collar * 100)} % {word} {name}, your collar"
    if draft.kind is OrderKind.MARKET:
        return _market_collar_problems(draft, situation, bound, by)
    if draft.price is None or not (draft.price > limit if draft.side is Side.BUY else draft.price < limit):
        return []
    fix = msgspec.structs.replace(draft, price=bound) if bound > 0 else None
    return [Problem(field="price", rule="collar", text=f"more than {by}", fix=fix)]


def _middle(book: OrderBook) -> tuple[Decimal | None, str]:
    """What a price is compared with, and how it is called."""
    if book.mid is not None:
        return Decimal(repr(book.mid)), "mid"
    best = book.best_ask or book.best_bid
    return (Decimal(repr(best[0])) if best is not None else None), "the best price"


def _market_collar_problems(draft: Draft, situation: Situation, bound: Decimal, by: str) -> list[Problem]:
    walked = _walk(draft, situation)
    if walked is None or walked.filled <= 0:
        return []
    fix = None
    if draft.amount is not None and draft.amount > 0 and "ioc" in situation.capabilities.tifs and bound > 0:
        fix = msgspec.structs.replace(draft, kind=OrderKind.LIMIT, price=bound, tif=TimeInForce.IOC)
    if walked.worst > bound if draft.side is Side.BUY else walked.worst < bound:
        text = f"would fill down the book to {plain(walked.worst)}, more than {by}; limit it or make it smaller"
        return [Problem(field="amount", rule="collar", text=text, fix=fix)]
    if not walked.whole:
        text = "the book that is known holds less than this, so its price can't be told; limit it or make it smaller"
        return [Problem(field="amount", rule="collar", text=text, fix=fix)]
    return []


def _notional_problems(draft: Draft, situation: Situation) -> list[Problem]:
    worth = _worth(draft, situation)
    if worth is None:
        return []
    instrument, found = draft.instrument, []
    if worth < instrument.min_notional and not draft.reduce_only:
        fix = _to_worth(draft, situation, instrument.min_notional, ROUND_CEILING)
        if fix is not None and _limit_problems(fix, situation):
            fix = None  # the trader's own limits forbid what the venue asks for at least
        text = f"min {plain(instrument.min_notional)} {instrument.quote}"
        found.append(Problem(field="amount", rule="notional", text=text, fix=fix))
    if instrument.max_notional is not None and worth > instrument.max_notional:
        fix = _to_worth(draft, situation, instrument.max_notional, ROUND_FLOOR)
        text = f"max {plain(instrument.max_notional)} {instrument.quote}"
        found.append(Problem(field="amount", rule="notional", text=text, fix=fix))
    return found


def _limit_problems(draft: Draft, situation: Situation) -> list[Problem]:
    limits, found = situation.limits, []
    if limits.max_amount is not None and draft.amount is not None and draft.amount > limits.max_amount:
        fix = _smaller(draft, limits.max_amount)
        text = f"your largest order is {plain(limits.max_amount)} {_unit(draft)}"
        found.append(Problem(field="amount", rule="largest order", text=text, fix=fix))
    worth = _worth(draft, situation)
    if worth is None:
        return found
    quote = draft.instrument.quote
    if draft.instrument.unit is Unit.QUANTO:
        if limits.max_amount is None and (limits.max_notional is not None or limits.max_position_notional is not None):
            text = f"its value is in {draft.instrument.settle}, your limits in {quote}: set a largest amount for it"
            found.append(Problem(field="amount", rule="largest order", text=text))
        return found
    if limits.max_notional is not None and worth > limits.max_notional:
        fix = _to_worth(draft, situation, limits.max_notional, ROUND_FLOOR)
        text = f"your largest order is {plain(limits.max_notional)} {quote}"
        found.append(Problem(field="amount", rule="largest order", text=text, fix=fix))
    return found + _position_problems(draft, situation)


def _position_problems(draft: Draft, situation: Situation) -> list[Problem]:
    """The position that there would be if everything open on this side filled too."""
    ceiling = situation.limits.max_position_notional
    if ceiling is None or draft.instrument.market is Market.SPOT or draft.amount is None or draft.reduce_only:
        return []
    price = _price(draft, situation)
    if not price or price <= 0:
        return []
    way = ONE if draft.side is Side.BUY else -ONE
    held = situation.position * way + situation.working  # along the draft's way
    reached = held + draft.amount
    if reached <= abs(situation.position) or draft.instrument.quote_value(price, max(ZERO, reached)) <= ceiling:
        return []
    fix = _smaller(draft, draft.instrument.size_worth(price, ceiling) - held)
    text = f"the position would pass your limit of {plain(ceiling)} {draft.instrument.quote}"
    return [Problem(field="amount", rule="position limit", text=text, fix=fix)]


def _funds_problems(draft: Draft, situation: Situation) -> list[Problem]:
    instrument = draft.instrument
    if instrument.market is Market.SPOT:
        needed, asset = _spot_need(draft, situation)
    elif draft.reduce_only:
        return []
    else:
        value = _value(draft, situation)
        if value is None:
            return []
        closing = situation.position != 0 and (situation.position > 0) is (draft.side is Side.SELL)
        if closing and draft.amount:  # what closes needs no margin, what opens beyond it does
            value *= max(ZERO, draft.amount - abs(situation.position)) / draft.amount
        most = situation.leverage or instrument.max_leverage or ONE
        needed, asset = value / max(most, ONE), instrument.settle
    available = situation.available.get(asset)
    if needed is None or available is None or needed <= available:
        return []
    text = f"only {plain(available)} {asset} available"
    fix = None
    if draft.amount is not None and needed > 0:
        affordable = round_amount(draft.amount * max(ZERO, available) / needed, size_rule(draft))
        if ZERO < affordable < draft.amount and affordable * needed / draft.amount <= available:
            fix = msgspec.structs.replace(draft, amount=affordable)
    return [Problem(field="amount", rule="funds", text=text, fix=fix)]


def _spot_need(draft: Draft, situation: Situation) -> tuple[Decimal | None, str]:
    instrument = draft.instrument
    if draft.side is Side.SELL:
        return draft.amount, instrument.base
    if draft.quote_amount is not None:
        return draft.quote_amount, instrument.quote
    on_top = ONE  # a fee in quote is held with the price
    if situation.capabilities.fee_in_quote and situation.fees is not None:
        on_top += max(ZERO, situation.fees.taker, situation.fees.maker)
    if draft.kind is OrderKind.MARKET:
        walked = _walk(draft, situation)
        return (walked.cost * on_top if walked is not None else None), instrument.quote
    price = draft.price if draft.price is not None else draft.trigger
    if price is None or draft.amount is None:
        return None, instrument.quote
    return price * draft.amount * on_top, instrument.quote


# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Walk:
    filled: Decimal
    cost: Decimal  # price x amount, summed up, in the instrument's unit
    average: Decimal | None  # what the fills are worth as one: for inverse contracts not the mean by size
    worst: Decimal
    best: Decimal
    levels: int
    whole: bool


def _walk(draft: Draft, situation: Situation) -> _Walk | None:
    """Take from the other side of the book what the draft would take now. A deep book is walked once for each question."""
    asked = (draft.side, draft.kind, draft.price, draft.amount, draft.quote_amount)
    if asked not in situation.walks:
        situation.walks[asked] = _take(draft, situation)
    return situation.walks[asked]


def _take(draft: Draft, situation: Situation) -> _Walk | None:
    sync = situation.sync
    if sync is None or not sync.live or draft.kind.has_trigger:
        return None
    book = sync.book
    prices = book.ask_prices if draft.side is Side.BUY else reversed(book.bid_prices)
    sizes = book.asks if draft.side is Side.BUY else book.bids
    wanted, money = draft.amount, draft.quote_amount
    limit = draft.price if draft.kind.has_price else None
    filled = cost = worst = best = inverse = ZERO
    by_value = draft.instrument.unit is Unit.INVERSE
    levels = 0
    whole = False
    for raw in prices:
        price = Decimal(repr(raw))
        if limit is not None and (price > limit if draft.side is Side.BUY else price < limit):
            break
        size = Decimal(repr(sizes[raw]))
        if wanted is not None:
            take = min(size, wanted - filled)
        elif money is not None:
            take = size if size * price <= money - cost else (money - cost) / price
        else:
            return None
        best = best or price
        filled, cost, worst, levels = filled + take, cost + take * price, price, levels + 1
        if by_value:
            inverse += take / price
        if (wanted is not None and filled >= wanted) or (money is not None and cost >= money):
            whole = True
            break
    average = None
    if filled > 0:
        average = filled / inverse if by_value else cost / filled
    return _Walk(filled, cost, average, worst, best, levels, whole)


def _estimate(draft: Draft, situation: Situation) -> Estimate:
    instrument = draft.instrument
    price, value = _price(draft, situation), _value(draft, situation)
    walked = _walk(draft, situation)
    text = ""
    if draft.kind.has_trigger:
        text = "Waits for its trigger; the book then decides."
    elif walked is None:
        text = "The book is not proven now."
    elif draft.kind is OrderKind.MARKET and not walked.whole:
        text = "The book that is known holds less than this."
    taken = walked is not None and walked.filled > 0
    average = walked.average if walked is not None else None
    rate = None
    if situation.fees is not None:
        rate = situation.fees.taker if taken or draft.kind.has_trigger else situation.fees.maker
    in_quote = draft.side is Side.SELL or situation.capabilities.fee_in_quote
    fee, fee_asset = None, instrument.quote if in_quote else instrument.base
    if rate is not None and value is not None:
        if instrument.market is not Market.SPOT:
            fee, fee_asset = value * rate, instrument.settle
        elif in_quote:
            fee = value * rate
        else:
            amount = draft.amount if draft.amount is not None else (value / price if price else None)
            fee = amount * rate if amount is not None else None
    left, left_asset = _left(draft, situation, value)
    slippage = None
    if walked is not None and average is not None and walked.best:
        slippage = (average - walked.best) / walked.best * (1 if draft.side is Side.BUY else -1)
    return Estimate(
        filled_now=walked.filled if walked is not None else None,
        average=average,
        worst=walked.worst if walked is not None and taken else None,
        levels=walked.levels if walked is not None else 0,
        slippage=slippage,
        fee=fee,
        fee_asset=fee_asset,
        fee_rate=rate,
        notional=_worth(draft, situation),
        left=left,
        left_asset=left_asset,
        text=text,
    )


def _left(draft: Draft, situation: Situation, value: Decimal | None) -> tuple[Decimal | None, str]:
    instrument = draft.instrument
    if instrument.market is Market.SPOT:
        needed, asset = _spot_need(draft, situation)
    else:
        known = value is not None and situation.leverage is not None
        needed, asset = (value / max(situation.leverage, ONE) if known else None), instrument.settle
    available = situation.available.get(asset)
    return (available - needed if available is not None and needed is not None else None), asset


def _price(draft: Draft, situation: Situation) -> Decimal | None:
    """The price to value the draft at: its own, else what the book would give, else its trigger."""
    if draft.kind.has_price:
        return draft.price
    walked = _walk(draft, situation)
    if walked is not None and walked.average is not None:
        return walked.average
    return draft.trigger


def _value(draft: Draft, situation: Situation) -> Decimal | None:
    """Value in what it is settled in: what margin and fees are counted from."""
    if draft.quote_amount is not None:
        return draft.quote_amount
    price = _price(draft, situation)
    if price is None or draft.amount is None or price <= 0:
        return None
    return draft.instrument.notional(price, draft.amount)


def _worth(draft: Draft, situation: Situation) -> Decimal | None:
    """Value in quote: what limits are counted in."""
    if draft.quote_amount is not None:
        return draft.quote_amount
    price = _price(draft, situation)
    if price is None or draft.amount is None or price <= 0:
        return None
    return draft.instrument.quote_value(price, draft.amount)


def _to_worth(draft: Draft, situation: Situation, worth: Decimal, rounding: str) -> Draft | None:
    """`draft` with the amount next to `worth` (rounded up or down to the lot), or None where that is no order."""
    price, rule = _price(draft, situation), size_rule(draft)
    if draft.quote_amount is not None:
        step = draft.instrument.quote_step
        money = (worth / step).to_integral_value(rounding) * step if step > 0 else worth
        return msgspec.structs.replace(draft, quote_amount=money) if money > 0 else None
    if price is None or price <= 0 or draft.amount is None:
        return None
    amount = draft.instrument.size_worth(price, worth)
    if rule.step > 0:
        amount = (amount / rule.step).to_integral_value(rounding) * rule.step
    if rounding == ROUND_CEILING:
        amount = max(amount, rule.minimum)
    if amount <= 0 or amount < rule.minimum or (rule.maximum is not None and amount > rule.maximum):
        return None
    return msgspec.structs.replace(draft, amount=amount)


def _smaller(draft: Draft, most: Decimal) -> Draft | None:
    """`draft` with as much as the lot allows of `most`, or None where that is no order."""
    rule = size_rule(draft)
    amount = round_amount(most, rule) if most > 0 else ZERO
    if not ZERO < amount <= most or (draft.amount is not None and amount >= draft.amount):
        return None
    return msgspec.structs.replace(draft, amount=amount)


def _unit(draft: Draft) -> str:
    return draft.instrument.base if draft.instrument.unit is Unit.BASE else "contracts"


def _words(kind: OrderKind) -> str:
    return kind.value.replace("_", " ")
