"""Rows as BitMEX writes them, made from the practice exchange's own images. Written from the venue's documentation.

Since January 2023 a field without a value is absent. Money is in minor units, sizes are contracts, times ISO 8601.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import Any

import msgspec

from connectors.model import EndReason, InstrumentStatus, OrderKind, OrderStatus, Side, TimeInForce, Unit
from connectors.practice.exchange import Exchange
from connectors.practice.listings import Listing
from connectors.practice.terms import (
    AssetBalance,
    Bar,
    BookLevel,
    Execution,
    FundingPayment,
    Order,
    PositionImage,
    PublicTrade,
    TriggerOn,
)

HOUR = 3_600_000
MAX_PRICE = 1_000_000
LIQUIDATION = "liquidation"  # the exchange's word for an order of its own that closes a position
CURRENCIES = {"BTC": ("XBt", 8), "USDT": ("USDt", 6)}
ACCOUNTS = {"trader": 1000001, "other": 1000002}
ORDER_TYPES = {
    OrderKind.LIMIT: "Limit",
    OrderKind.MARKET: "Market",
    OrderKind.STOP: "Stop",
    OrderKind.STOP_LIMIT: "StopLimit",
    OrderKind.TAKE_PROFIT: "MarketIfTouched",
    OrderKind.TAKE_PROFIT_LIMIT: "LimitIfTouched",
}
_DURATIONS = {
    TimeInForce.GTC: "GoodTillCancel",
    TimeInForce.IOC: "ImmediateOrCancel",
    TimeInForce.FOK: "FillOrKill",
}
_STATES = {
    OrderStatus.PENDING: "New",
    OrderStatus.UNTRIGGERED: "New",
    OrderStatus.OPEN: "New",
    OrderStatus.PARTLY_FILLED: "PartiallyFilled",
    OrderStatus.FILLED: "Filled",
    OrderStatus.CANCELLED: "Canceled",
    OrderStatus.EXPIRED: "Canceled",
    OrderStatus.REJECTED: "Rejected",
}
_WHY = {
    EndReason.USER: "Canceled via API.",
    EndReason.POST_ONLY: "Order had execInst of ParticipateDoNotInitiate",
    EndReason.IOC_REST: "Order had timeInForce of ImmediateOrCancel",
    EndReason.FOK: "Order had timeInForce of FillOrKill",
    EndReason.REDUCE_ONLY: "Order had execInst of Close or ReduceOnly but current position is 0",
    EndReason.DEAD_MAN: "Canceled via cancelAllAfter.",
    EndReason.LIQUIDATION: "Liquidation",
}

encode = msgspec.json.Encoder(decimal_format="number").encode


def stamp(time_ms: int) -> str:
    """A time of the wire."""
    moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time_ms % 1000:03d}Z"


def venue_asset(name: str) -> str:
    """The venue's name of an asset."""
    return {"BTC": "XBT"}.get(name, name)


def symbol_of(listing: Listing) -> str:
    """XBTUSD, XBTUSDT, ETHUSDT."""
    return venue_asset(listing.base) + venue_asset(listing.quote)


def minor(amount: Decimal, asset: str) -> int:
    """Money in the smallest unit of its currency."""
    return int(amount.scaleb(CURRENCIES[asset][1]).to_integral_value(ROUND_HALF_EVEN))


def settle_currency(listing: Listing) -> str:
    """XBt or USDt."""
    return CURRENCIES[listing.settle][0]


def whole(size: Decimal) -> int:
    """Contracts."""
    return int(size)


def home(listing: Listing, size: Decimal, value: Decimal) -> Decimal:
    """Base amount of `size` contracts that are worth `value` of the settle asset."""
    return value if listing.unit is Unit.INVERSE else size * listing.multiplier


def foreign(listing: Listing, size: Decimal, value: Decimal) -> Decimal:
    """Quote amount of the same."""
    return size * listing.multiplier if listing.unit is Unit.INVERSE else value


def mid_number(number: int, prefix: str) -> str:
    """An id that looks like the venue's."""
    return f"{prefix}-0000-4000-8000-{number:012x}"


class Rows:
    """`prefix` begins the ids of this run, so that orders of two runs are never taken for one another."""

    def __init__(self, exchange: Exchange, prefix: str) -> None:
        self.exchange = exchange
        self._order_prefix = prefix
        self._numbers = {key: number for number, key in enumerate(exchange.listings, 1)}
        self._last_price: dict[str, Decimal] = {}
        self.said: dict[
            int, tuple[str, str]
        ] = {}  # execInst and text as they were sent, where an order does not tell them

    # names

    def order_id(self, number: int) -> str:
        """orderID of an order."""
        return mid_number(number, self._order_prefix)

    def number_of(self, order_id: str) -> int | None:
        """The order that an orderID names; None for one that was not given here."""
        head, _, tail = order_id.rpartition("-")
        if head != f"{self._order_prefix}-0000-4000-8000" or len(tail) != 12:
            return None
        try:
            return int(tail, 16)
        except ValueError:
            return None

    def match_id(self, key: str, trade_id: int) -> str:
        """trdMatchID: of the match, the same for both sides."""
        return mid_number(trade_id, f"{self._numbers[key]:08x}")

    def exec_id(self, fill: Execution) -> str:
        """execID: of one account's execution."""
        return mid_number(fill.trade_id, f"{self._numbers[fill.key]:04x}{ACCOUNTS[fill.account] % 65536:04x}")

    def funding_id(self, account: str, payment: FundingPayment) -> str:
        """execID: of one account's payment."""
        return mid_number(payment.time, f"ff{self._numbers[payment.key]:02x}{ACCOUNTS[account] % 65536:04x}")

    def listing(self, key: str) -> Listing:
        """A listing by the exchange's key."""
        return self.exchange.listings[key]

    # public

    def instrument(self, key: str) -> dict[str, Any]:
        """An instrument with its grid and its live figures."""
        listing, now, mark = self.listing(key), self.exchange.ticker(key), self.exchange.mark(key)
        inverse = listing.unit is Unit.INVERSE
        scale = 10 ** CURRENCIES[listing.settle][1]
        multiplier = int(listing.multiplier * scale) * (-1 if inverse else 1)
        settle, symbol, root = settle_currency(listing), symbol_of(listing), venue_asset(listing.base)
        trading = self.exchange.status(key) is InstrumentStatus.TRADING
        row: dict[str, Any] = {
            "symbol": symbol,
            "rootSymbol": root,
            "state": "Open" if trading else "Closed",
            "typ": "FFWCSX",
            "listing": "2016-05-13T12:00:00.000Z",
            "front": "2016-05-13T12:00:00.000Z",
            "positionCurrency": venue_asset(listing.quote if inverse else listing.base),
            "underlying": root,
            "quoteCurrency": listing.quote,
            "underlyingSymbol": f"{root}=",
            "reference": "BMEX",
            "referenceSymbol": f".B{root}",
            "maxOrderQty": whole(listing.maximum),
            "maxPrice": MAX_PRICE,
            "lotSize": whole(listing.step),
            "tickSize": listing.tick,
            "multiplier": multiplier,
            "settlCurrency": settle,
            "isQuanto": False,
            "isInverse": inverse,
            "initMargin": 1 / listing.max_leverage,
            "maintMargin": float(listing.maintenance) or 0.5 / listing.max_leverage,
            "riskLimit": 20_000_000_000,
            "riskStep": 15_000_000_000,
            "taxed": True,
            "deleverage": True,
            "makerFee": listing.maker,
            "takerFee": listing.taker,
            "settlementFee": 0,
            "fundingTimestamp": stamp(mark.next_funding),
            "fundingInterval": "2000-01-01T08:00:00.000Z",
            "fundingRate": mark.rate,
            "indicativeFundingRate": mark.rate,
            "prevPrice24h": now.open,
            "highPrice": now.high,
            "lowPrice": now.low,
            "lastPrice": now.last,
            "lastTickDirection": "ZeroPlusTick",
            "lastChangePcnt": round((now.last - now.open) / now.open, 4) if now.open else 0,
            "volume24h": whole(now.volume),
            "turnover24h": minor(now.value, listing.settle),
            "homeNotional24h": home(listing, now.volume, now.value),
            "foreignNotional24h": foreign(listing, now.volume, now.value),
            "hasLiquidity": now.bid is not None and now.ask is not None,
            "openInterest": whole(mark.open_interest),
            "markMethod": "FairPrice",
            "fairPrice": mark.mark,
            "markPrice": mark.mark,
            "indicativeSettlePrice": mark.index,
            "timestamp": stamp(self.exchange.now_ms),
        }
        if inverse:
            row["underlyingToSettleMultiplier"] = multiplier
        else:
            row["underlyingToPositionMultiplier"] = int(1 / listing.multiplier)
            row["quoteToSettleMultiplier"] = scale
        if now.bid is not None:
            row["bidPrice"] = now.bid.price
        if now.ask is not None:
            row["askPrice"] = now.ask.price
        if now.bid is not None and now.ask is not None:
            row["midPrice"] = (now.bid.price + now.ask.price) / 2
        return row

    def trade(self, trade: PublicTrade) -> dict[str, Any]:
        """A public trade."""
        listing = self.listing(trade.key)
        last = self._last_price.get(trade.key, trade.price)
        self._last_price[trade.key] = trade.price
        direction = "PlusTick" if trade.price > last else "MinusTick" if trade.price < last else "ZeroPlusTick"
        return {
            "timestamp": stamp(trade.time),
            "symbol": symbol_of(listing),
            "side": trade.side.capitalize(),
            "size": whole(trade.size),
            "price": trade.price,
            "tickDirection": direction,
            "trdMatchID": self.match_id(trade.key, trade.id),
            "grossValue": minor(trade.value, listing.settle),
            "homeNotional": home(listing, trade.size, trade.value),
            "foreignNotional": foreign(listing, trade.size, trade.value),
            "trdType": "Regular",
        }

    def quote(self, key: str, best: tuple[BookLevel | None, BookLevel | None]) -> dict[str, Any]:
        """Best prices; a side that is empty is not named."""
        row: dict[str, Any] = {"timestamp": stamp(self.exchange.now_ms), "symbol": symbol_of(self.listing(key))}
        bid, ask = best
        if bid is not None:
            row |= {"bidSize": whole(bid.size), "bidPrice": bid.price}
        if ask is not None:
            row |= {"askPrice": ask.price, "askSize": whole(ask.size)}
        return row

    def bar(self, key: str, bar: Bar, span: int, opened: Decimal) -> dict[str, Any]:
        """A bar, stamped with its end; `opened` is the close before, which high and low may not include."""
        listing = self.listing(key)
        row: dict[str, Any] = {
            "timestamp": stamp(bar.start + span),
            "symbol": symbol_of(listing),
            "open": opened,
            "high": bar.high,
            "low": bar.low,
            "close": bar.close,
            "trades": bar.trades,
            "volume": whole(bar.volume),
            "turnover": minor(bar.value, listing.settle),
            "homeNotional": home(listing, bar.volume, bar.value),
            "foreignNotional": foreign(listing, bar.volume, bar.value),
        }
        base = row["homeNotional"]
        return row | ({"vwap": round(row["foreignNotional"] / base, 4)} if base else {})

    # orders

    def order(self, order: Order) -> dict[str, Any]:
        """An order as it is."""
        listing = self.listing(order.key)
        working = order.status in (OrderStatus.OPEN, OrderStatus.PARTLY_FILLED)
        row: dict[str, Any] = {
            "orderID": self.order_id(order.id),
            "clOrdID": order.client_id,
            "account": ACCOUNTS[order.account],
            "symbol": symbol_of(listing),
            "side": order.side.capitalize(),
            "orderQty": whole(order.amount or Decimal(0)),
            "currency": listing.quote,
            "settlCurrency": settle_currency(listing),
            "ordType": ORDER_TYPES[order.kind],
            "timeInForce": "ImmediateOrCancel" if not order.kind.has_price else _DURATIONS[order.tif],
            "execInst": self.said.get(order.id, ("", ""))[0] or ",".join(self._flags(order)),
            "exDestination": "XBME",
            "ordStatus": _STATES[order.status],
            "triggered": "StopOrderTriggered" if order.triggered is not None else "",
            "workingIndicator": working,
            "leavesQty": 0 if order.status.is_final else whole(order.remaining or Decimal(0)),
            "cumQty": whole(order.filled),
            "text": self._text(order),
            "transactTime": stamp(order.updated),
            "timestamp": stamp(order.updated),
        }
        if order.price is not None:
            row["price"] = order.price
        if order.trigger is not None:
            row["stopPx"] = order.trigger
        if order.average is not None:
            row["avgPx"] = round(order.average, 4)
        return row

    @staticmethod
    def _flags(order: Order) -> list[str]:
        flags = []
        if order.kind.has_trigger:
            flags.append("MarkPrice" if order.trigger_on is TriggerOn.MARK else "LastPrice")
        if order.reduce_only:
            flags.append("ReduceOnly")
        if order.post_only:
            flags.append("ParticipateDoNotInitiate")
        return flags

    def _own_text(self, order: Order) -> str:
        if order.text == LIQUIDATION:
            return "Liquidation"
        return self.said.get(order.id, ("", ""))[1] or "Submitted via API."

    def _text(self, order: Order) -> str:
        own = self._own_text(order)
        if order.end_reason is None or order.status is OrderStatus.FILLED:
            return own
        return f"Canceled: {_WHY.get(order.end_reason, order.text)}\n{own}"

    def execution(
        self,
        order: Order,
        kind: str,
        *,
        number: int,
        fill: Execution | None = None,
        filled: Decimal = Decimal(0),
        worth: Decimal = Decimal(0),
    ) -> dict[str, Any]:
        """One event of an order. `number` makes the id of those that are no fill; `filled` and `worth` (in the settle asset) are
        the order's after the fill.
        """
        row = {
            "execID": self.exec_id(fill) if fill is not None else mid_number(number, "eeeeeeee"),
            **self.order(order),
            "execType": kind,
            "multiLegReportingType": "SingleSecurity",
        }
        if fill is None:
            return row
        listing = self.listing(order.key)
        inverse = listing.unit is Unit.INVERSE
        buying = fill.side is Side.BUY
        cost = minor(fill.value, listing.settle) * (1 if buying else -1) * (-1 if inverse else 1)
        left = whole((order.amount or filled) - filled)
        units = filled * listing.multiplier
        return row | {
            "side": fill.side.capitalize(),
            "ordStatus": "Filled" if left == 0 else "PartiallyFilled",
            "leavesQty": left,
            "cumQty": whole(filled),
            "avgPx": round(units / worth if inverse else worth / units, 4),
            "workingIndicator": bool(left),
            "lastQty": whole(fill.size),
            "lastPx": fill.price,
            "lastMkt": "XBME",
            "lastLiquidityInd": "AddedLiquidity" if fill.maker else "RemovedLiquidity",
            "commission": listing.maker if fill.maker else listing.taker,
            "tradePublishIndicator": "PublishTrade",
            "text": self._own_text(order),
            "trdMatchID": self.match_id(fill.key, fill.trade_id),
            "execCost": cost,
            "execComm": minor(fill.fee, listing.settle),
            "homeNotional": home(listing, fill.size, fill.value) * (1 if buying else -1),
            "foreignNotional": foreign(listing, fill.size, fill.value) * (-1 if buying else 1),
            "transactTime": stamp(fill.time),
            "timestamp": stamp(fill.time),
        }

    def funding(self, account: str, payment: FundingPayment) -> dict[str, Any]:
        """Funding among the executions: a cash flow. What was paid is positive, like a fee."""
        listing = self.listing(payment.key)
        return {
            "execID": self.funding_id(account, payment),
            "orderID": "00000000-0000-0000-0000-000000000000",
            "clOrdID": "",
            "account": ACCOUNTS[account],
            "symbol": symbol_of(listing),
            "lastQty": whole(abs(payment.size)),
            "lastPx": payment.mark,
            "orderQty": whole(abs(payment.size)),
            "currency": listing.quote,
            "settlCurrency": settle_currency(listing),
            "execType": "Funding",
            "ordType": "Limit",
            "timeInForce": "AtTheClose",
            "ordStatus": "Filled",
            "commission": payment.rate,
            "text": "Funding",
            "execComm": -minor(payment.amount, listing.settle),
            "transactTime": stamp(payment.time),
            "timestamp": stamp(payment.time),
        }

    # accounts

    def wallet(self, account: str, balance: AssetBalance) -> dict[str, Any]:
        """One currency's wallet."""
        return {
            "account": ACCOUNTS[account],
            "currency": CURRENCIES[balance.asset][0],
            "amount": minor(balance.total, balance.asset),
            "pendingCredit": 0,
            "pendingDebit": 0,
            "confirmedDebit": 0,
            "timestamp": stamp(self.exchange.now_ms),
        }

    def margin(self, account: str, balance: AssetBalance, positions: Decimal, realised: Decimal) -> dict[str, Any]:
        """One currency's margin: what `positions` need of what is held is told apart from what orders need."""
        maintenance = minor(positions, balance.asset)
        currency = CURRENCIES[balance.asset][0]
        wallet, unrealised = minor(balance.total, balance.asset), minor(balance.unrealised, balance.asset)
        free = minor(balance.available, balance.asset)
        return {
            "account": ACCOUNTS[account],
            "currency": currency,
            "riskLimit": 20_000_000_000,
            "amount": wallet,
            "initMargin": minor(balance.held, balance.asset) - maintenance,
            "maintMargin": maintenance,
            "realisedPnl": minor(realised, balance.asset),
            "unrealisedPnl": unrealised,
            "walletBalance": wallet,
            "marginBalance": wallet + unrealised,
            "excessMargin": free,
            "availableMargin": free,
            "withdrawableMargin": free,
            "timestamp": stamp(self.exchange.now_ms),
        }

    def position(self, image: PositionImage, *, cross: bool, realised: Decimal) -> dict[str, Any]:
        """A position, open or flat. `realised`: what it brought so far, less fees and funding."""
        listing = self.listing(image.key)
        size, inverse = image.size, listing.unit is Unit.INVERSE
        value = abs(size) * listing.multiplier / image.mark if inverse else abs(size) * listing.multiplier * image.mark
        signed = minor(value, listing.settle) * (1 if size >= 0 else -1)
        sign = Decimal(1 if size >= 0 else -1)
        row: dict[str, Any] = {
            "account": ACCOUNTS[image.account],
            "symbol": symbol_of(listing),
            "strategy": "OneWay",
            "currency": settle_currency(listing),
            "underlying": venue_asset(listing.base),
            "quoteCurrency": listing.quote,
            "commission": listing.taker,
            "initMarginReq": round(1 / Decimal(image.leverage), 8),
            "maintMarginReq": round(listing.maintenance or Decimal("0.5") / listing.max_leverage, 8),
            "riskLimit": 20_000_000_000,
            "leverage": image.leverage,
            "crossMargin": cross,
            "deleveragePercentile": 1,
            "currentQty": whole(size),
            "isOpen": bool(size),
            "markPrice": image.mark,
            "markValue": -signed if inverse else signed,
            "riskValue": abs(signed),
            "homeNotional": home(listing, abs(size), round(value, 8)) * sign,
            "foreignNotional": -foreign(listing, abs(size), round(value, 8)) * sign,
            "posMargin": minor(image.margin, listing.settle),
            "posMaint": minor(image.maintenance, listing.settle),
            "initMargin": 0,
            "maintMargin": minor(image.margin, listing.settle),
            "realisedPnl": minor(realised, listing.settle),
            "unrealisedPnl": minor(image.unrealised, listing.settle),
            "liquidationPrice": image.liquidation or 0,
            "timestamp": stamp(self.exchange.now_ms),
        }
        if image.entry is not None:
            fee, rounding = (listing.taker, ROUND_CEILING) if size > 0 else (-listing.taker, ROUND_FLOOR)
            even = (image.entry * (1 + fee) / listing.tick).to_integral_value(rounding) * listing.tick
            row |= {
                "avgCostPrice": round(image.entry, 4),
                "avgEntryPrice": round(image.entry, 4),
                "breakEvenPrice": even,
            }
        return row
