"""KuCoin futures from the venue's side: contracts in lots, orders and stop orders with one id space, margin, positions."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec

from connectors.kucoin.practice import ApiError, Caller, KucoinPractice, Product, decimal, number, route, text
from connectors.model import InstrumentStatus, OrderKind, OrderStatus, Side, TimeInForce, Unit
from connectors.practice.listings import Listing
from connectors.practice.terms import (
    AccountEvent,
    BalanceChanged,
    Execution,
    Happening,
    NewOrder,
    Order,
    OrderChanged,
    PositionChanged,
    PositionImage,
    Refusal,
    RefusalKind,
    Traded,
    TriggerOn,
    Wallet,
)

MINUTES = (1, 5, 15, 30, 60, 120, 240, 480, 720, 1440, 10080)
NAMES = {
    "1min": 1,
    "5min": 5,
    "15min": 15,
    "30min": 30,
    "1hour": 60,
    "2hour": 120,
    "4hour": 240,
    "8hour": 480,
    "12hour": 720,
    "1day": 1440,
    "1week": 10080,
}
FIRST = 1_747_821_000_000  # book numbers begin somewhere
FIRST_ORDER = 236_655_147_005_000_000
FUTURES, MANAGEMENT = "futures", "management"
_REFUSALS = {
    RefusalKind.FUNDS: ("300003", "The account balance is insufficient."),
    RefusalKind.MARGIN: ("300003", "The account balance is insufficient."),
    RefusalKind.PRICE_TICK: ("100001", "The price must be a multiple of the tick size."),
    RefusalKind.PRICE_BOUNDS: ("300011", "The price is out of range."),
    RefusalKind.SIZE_LOT: ("100001", "The order size is invalid."),
    RefusalKind.SIZE_MINIMUM: ("100001", "The order size is invalid."),
    RefusalKind.SIZE_MAXIMUM: ("100001", "The order size exceeds the limit."),
    RefusalKind.REDUCE_ONLY: ("300009", "No open positions to close."),
    RefusalKind.CLIENT_ID: ("100001", "clientOid duplicate"),
    RefusalKind.MARKET_CLOSED: ("200001", "The contract does not take orders now."),
    RefusalKind.TOO_MANY_ORDERS: ("300004", "The number of open orders exceeds the limit."),
    RefusalKind.UNKNOWN_ORDER: ("100001", "error.getOrder.orderNotExist"),
    RefusalKind.ORDER_ENDED: ("100004", "Order is in not cancelable state"),
    RefusalKind.LEVERAGE: ("100001", "The leverage is invalid."),
    RefusalKind.WOULD_TRIGGER: ("100001", "The stop price has been reached already."),
}


def order_id(order: int) -> str:
    """An order's id on the wire: a number above 2**53, as text."""
    return str(FIRST_ORDER + order)


def coin(asset: str) -> str:
    """XBT stands for BTC here."""
    return "XBT" if asset == "BTC" else asset


class Futures(Product):
    """The futures product."""

    name = "futures"
    public_topics = frozenset(
        {
            "/contractMarket/level2",
            "/contractMarket/level2Depth5",
            "/contractMarket/level2Depth50",
            "/contractMarket/execution",
            "/contractMarket/tickerV2",
            "/contractMarket/ticker",
            "/contractMarket/snapshot",
            "/contractMarket/limitCandle",
            "/contract/instrument",
        }
    )
    private_topics = frozenset(
        {
            "/contractMarket/tradeOrders",
            "/contractMarket/advancedOrders",
            "/contractAccount/wallet",
            "/contract/positionAll",
            "/contract/position",
        }
    )

    def __init__(self, venue: KucoinPractice, listings: Iterable[Listing]) -> None:
        super().__init__(venue, listings)
        self.modes: dict[tuple[str, str], str] = {}  # margin mode by account and key; cross unless changed
        self._sent: dict[str, int] = {}
        self._seen: dict[str, Any] = {}
        self._versions = 1000
        self.routes = [
            route("GET", "/api/v1/timestamp", lambda caller: self.now_ms),
            route("GET", "/api/v1/status", lambda caller: {"status": "open", "msg": ""}, weight=4),
            route("GET", "/api/v1/contracts/active", self.contracts, weight=3),
            route("GET", "/api/v1/contracts/{symbol}", self.contract, weight=3),
            route("GET", "/api/v1/level2/snapshot", lambda caller: self.book(caller, 1000), weight=3),
            route("GET", "/api/v1/level2/depth20", lambda caller: self.book(caller, 20), weight=5),
            route("GET", "/api/v1/level2/depth100", lambda caller: self.book(caller, 100), weight=10),
            route("GET", "/api/v1/trade/history", self.history, weight=5),
            route("GET", "/api/v1/ticker", self.ticker, weight=2),
            route("GET", "/api/v1/kline/query", self.klines, weight=3),
            route("GET", "/api/v1/funding-rate/{symbol}/current", self.funding_rate, weight=2),
            route("GET", "/api/v1/mark-price/{symbol}/current", self.mark_price, weight=3),
            route("POST", "/api/v1/bullet-public", lambda caller: venue.bullet("futures", ""), weight=10),
            route(
                "POST", "/api/v1/bullet-private", lambda caller: venue.bullet("futures", caller.account), MANAGEMENT, 10
            ),
            route("GET", "/api/v1/account-overview", self.overview, FUTURES, 5),
            route("GET", "/api/v1/positions", self.positions, FUTURES, 2),
            route("GET", "/api/v1/position", self.position, FUTURES, 2),
            route("GET", "/api/v2/position", self.position, FUTURES, 2),
            route("GET", "/api/v2/position/getMarginMode", self.margin_mode, FUTURES, 2),
            route("POST", "/api/v2/position/changeMarginMode", self.change_margin_mode, FUTURES, 2),
            route("GET", "/api/v2/position/getPositionMode", lambda caller: {"positionMode": 0}, FUTURES, 2),
            route("GET", "/api/v2/getCrossUserLeverage", self.cross_leverage, FUTURES, 2),
            route("POST", "/api/v2/changeCrossUserLeverage", self.change_cross_leverage, FUTURES, 2),
            route("GET", "/api/v1/trade-fees", self.trade_fees, FUTURES, 3),
            route("POST", "/api/v1/orders", self.place, FUTURES, 2, acts=True),
            route("POST", "/api/v1/orders/test", self.test, FUTURES, 2),
            route("DELETE", "/api/v1/orders/client-order/{clientOid}", self.cancel_by_client, FUTURES, 1, acts=True),
            route("DELETE", "/api/v1/orders/{orderId}", self.cancel, FUTURES, 1, acts=True),
            route("DELETE", "/api/v3/orders", self.cancel_all, FUTURES, 10, acts=True),
            route("DELETE", "/api/v1/stopOrders", self.cancel_stops, FUTURES, 15, acts=True),
            route("GET", "/api/v1/orders/byClientOid", self.query, FUTURES, 5),
            route("GET", "/api/v1/orders/{orderId}", self.query, FUTURES, 5),
            route("GET", "/api/v1/orders", self.orders, FUTURES, 2),
            route("GET", "/api/v1/stopOrders", self.stop_orders, FUTURES, 6),
            route("GET", "/api/v1/fills", self.fills, FUTURES, 5),
            route("GET", "/api/v1/recentFills", self.recent_fills, FUTURES, 3),
        ]

    # names

    def wire(self, listing: Listing) -> str:
        """XBTUSDTM."""
        return f"{coin(listing.base)}{listing.quote}M"

    def listing(self, symbol: Any) -> Listing:
        """ApiError 200003, which here means an unknown symbol."""
        found = self.listings.get(str(symbol or ""))
        if found is None:
            raise ApiError("200003", "Invalid symbol.")
        return found

    def refuse(self, refusal: Refusal) -> ApiError:
        """In futures' words."""
        code, words = _REFUSALS.get(refusal.kind, ("100001", refusal.text))
        return ApiError(code, words)

    def sequence(self, key: str, at: int | None = None) -> int:
        """A book's number on the wire."""
        return FIRST + (self.exchange.sequence(key) if at is None else at)

    # market data

    def contracts(self, caller: Caller) -> Any:
        """GET contracts/active: numbers are JSON numbers."""
        return [self._contract(listing) for listing in self.listings.values()]

    def contract(self, caller: Caller) -> Any:
        """One of them."""
        found = self.listings.get(caller.params["symbol"])
        if found is None:
            raise ApiError("404000", "The contract information you requested does not exist.")
        return self._contract(found)

    def _contract(self, listing: Listing) -> dict[str, Any]:
        inverse = listing.unit is Unit.INVERSE
        now, mark = self.exchange.ticker(listing.key), self.exchange.mark(listing.key)
        open_ = self.exchange.status(listing.key) is InstrumentStatus.TRADING
        wire = self.names[listing.key]
        return {
            "symbol": wire,
            "rootSymbol": listing.quote,
            "type": "FFWCSX",
            "firstOpenDate": 1585555200000,
            "expireDate": None,
            "settleDate": None,
            "baseCurrency": coin(listing.base),
            "quoteCurrency": listing.quote,
            "settleCurrency": coin(listing.settle),
            "maxOrderQty": int(listing.maximum),
            "maxPrice": 1_000_000,
            "lotSize": 1,
            "tickSize": number(listing.tick),
            "indexPriceTickSize": 0.01,
            "multiplier": -int(listing.multiplier) if inverse else number(listing.multiplier),
            "initialMargin": round(1 / listing.max_leverage, 6),
            "maintainMargin": round(0.5 / listing.max_leverage, 6),
            "maxRiskLimit": 100_000,
            "minRiskLimit": 100_000,
            "riskStep": 50_000,
            "makerFeeRate": number(listing.maker),
            "takerFeeRate": number(listing.taker),
            "takerFixFee": 0,
            "makerFixFee": 0,
            "isDeleverage": True,
            "isQuanto": not inverse,
            "isInverse": inverse,
            "markMethod": "FairPrice",
            "fairMethod": "FundingRate",
            "fundingRateSymbol": f".{wire}FPI8H",
            "indexSymbol": f".K{wire[:-1]}",
            "status": "Open" if open_ else "Paused",
            "fundingFeeRate": float(mark.rate),
            "predictedFundingFeeRate": float(mark.rate),
            "fundingRateGranularity": 28_800_000,
            "nextFundingRateTime": mark.next_funding - self.now_ms,
            "nextFundingRateDateTime": mark.next_funding,
            "openInterest": text(mark.open_interest),
            "turnoverOf24h": float(now.value),
            "volumeOf24h": float(self._base(listing, now.volume, now.last)),
            "markPrice": number(mark.mark),
            "indexPrice": number(mark.index),
            "lastTradePrice": number(now.last),
            "maxLeverage": listing.max_leverage,
            "lowPrice": number(now.low),
            "highPrice": number(now.high),
            "priceChgPct": round(float((now.last - now.open) / now.open), 4) if now.open else 0.0,
            "priceChg": float(now.last - now.open),
            "supportCross": True,
            "marketStage": "NORMAL",
            "buyLimit": float(mark.mark * Decimal("1.05")),
            "sellLimit": float(mark.mark * Decimal("0.95")),
        }

    @staticmethod
    def _base(listing: Listing, lots: Decimal, price: Decimal) -> Decimal:
        """Lots in units of the base coin."""
        if listing.unit is Unit.INVERSE:
            return lots * listing.multiplier / price if price else Decimal(0)
        return lots * listing.multiplier

    def book(self, caller: Caller, levels: int) -> Any:
        """A snapshot; prices and sizes are numbers."""
        listing = self.listing(caller.params.get("symbol"))
        image = self.exchange.book(listing.key, levels)
        return {
            "sequence": self.sequence(listing.key, image.sequence),
            "symbol": self.names[listing.key],
            "bids": [[number(row.price), int(row.size)] for row in image.bids],
            "asks": [[number(row.price), int(row.size)] for row in image.asks],
            "ts": self.now_ms * 1_000_000,
        }

    def history(self, caller: Caller) -> Any:
        """Latest trades, newest first."""
        listing = self.listing(caller.params.get("symbol"))
        return [
            {
                "sequence": FIRST + row.id,
                "contractId": 1,
                "tradeId": str(FIRST + row.id),
                "makerOrderId": order_id(row.maker_order),
                "takerOrderId": order_id(row.taker_order),
                "ts": row.time * 1_000_000,
                "size": int(row.size),
                "price": text(row.price),
                "side": row.side.value,
            }
            for row in reversed(self.exchange.trades(listing.key, limit=100))
        ]

    def ticker(self, caller: Caller) -> Any:
        """GET ticker."""
        listing = self.listing(caller.params.get("symbol"))
        now = self.exchange.ticker(listing.key)
        trade = self.exchange.trades(listing.key, limit=1)
        return {
            "sequence": self.sequence(listing.key),
            "symbol": self.names[listing.key],
            "side": trade[-1].side.value if trade else "buy",
            "size": int(now.last_size),
            "tradeId": str(FIRST + now.last_trade),
            "price": text(now.last),
            "bestBidPrice": text(now.bid.price if now.bid else None),
            "bestBidSize": int(now.bid.size) if now.bid else 0,
            "bestAskPrice": text(now.ask.price if now.ask else None),
            "bestAskSize": int(now.ask.size) if now.ask else 0,
            "ts": self.now_ms * 1_000_000,
        }

    def klines(self, caller: Caller) -> Any:
        """Oldest first; start in ms, open, high, low, close, lots."""
        listing = self.listing(caller.params.get("symbol"))
        minutes = int(caller.params.get("granularity") or 0)
        if minutes not in MINUTES:
            raise ApiError("100001", "granularity is invalid")
        start, end = caller.params.get("from"), caller.params.get("to")
        bars = self.bars(
            listing.key,
            minutes * 60_000,
            start=int(start) if start else None,
            end=int(end) if end else None,
            limit=500,
        )
        return [
            [bar.start, *(number(value) for value in (bar.open, bar.high, bar.low, bar.close)), int(bar.volume)]
            for bar in bars
        ]

    def funding_rate(self, caller: Caller) -> Any:
        """Of the running period."""
        listing = self.listing(caller.params.get("symbol"))
        mark = self.exchange.mark(listing.key)
        return {
            "symbol": f".{self.names[listing.key]}FPI8H",
            "granularity": 28_800_000,
            "timePoint": mark.next_funding - 28_800_000,
            "value": float(mark.rate),
            "predictedValue": float(mark.rate),
            "fundingTime": mark.next_funding,
        }

    def mark_price(self, caller: Caller) -> Any:
        """Mark and index."""
        listing = self.listing(caller.params.get("symbol"))
        mark = self.exchange.mark(listing.key)
        return {
            "symbol": self.names[listing.key],
            "granularity": 1000,
            "timePoint": self.now_ms,
            "value": number(mark.mark),
            "indexPrice": number(mark.index),
        }

    # account

    def _money(self, account: str, asset: str) -> dict[str, Decimal]:
        balance = self.exchange.balance(account, asset, Wallet.MARGIN)
        held = [row for row in self._positions(account) if self.exchange.listings[row.key].settle == asset]
        margin = sum((row.margin for row in held), Decimal(0))
        return {
            "total": balance.total,
            "unrealised": balance.unrealised,
            "available": balance.available,
            "positions": margin,
            "orders": max(Decimal(0), balance.held - margin),
        }

    def overview(self, caller: Caller) -> Any:
        """One settle currency."""
        currency = caller.params.get("currency", "XBT")
        asset = "BTC" if currency == "XBT" else currency
        money = self._money(caller.account, asset)
        return {
            "accountEquity": _signed(money["total"] + money["unrealised"]),
            "unrealisedPNL": _signed(money["unrealised"]),
            "marginBalance": _signed(money["total"]),
            "positionMargin": number(money["positions"]),
            "orderMargin": number(money["orders"]),
            "frozenFunds": 0.0,
            "availableBalance": number(money["available"]),
            "currency": currency,
            "riskRatio": 0.0,
            "maxWithdrawAmount": number(money["available"]),
        }

    def _positions(self, account: str) -> list[PositionImage]:
        return [image for image in self.exchange.positions(account) if image.key in self.names]

    def positions(self, caller: Caller) -> Any:
        """Open ones."""
        wanted = caller.params.get("currency")
        rows = [self._position(caller.account, image) for image in self._positions(caller.account)]
        return [row for row in rows if not wanted or row["settleCurrency"] == wanted]

    def position(self, caller: Caller) -> Any:
        """One contract, flat or not."""
        listing = self.listing(caller.params.get("symbol"))
        return self._position(caller.account, self.exchange.position(caller.account, listing.key))

    def _position(self, account: str, image: PositionImage) -> dict[str, Any]:
        listing = self.exchange.listings[image.key]
        mode = self._mode(account, image.key)
        return {
            "id": "500000000000988255",
            "symbol": self.names[image.key],
            "crossMode": mode == "CROSS",
            "openingTimestamp": self.now_ms,
            "currentTimestamp": self.now_ms,
            "currentQty": int(image.size),
            "isOpen": bool(image.size),
            "markPrice": number(image.mark),
            "realisedPnl": _signed(image.realised),
            "unrealisedPnl": _signed(image.unrealised),
            "avgEntryPrice": number(image.entry),
            "liquidationPrice": number(image.liquidation),
            "posMargin": number(image.margin),
            "maintMargin": number(image.maintenance),
            "settleCurrency": coin(listing.settle),
            "isInverse": listing.unit is Unit.INVERSE,
            "marginMode": mode,
            "positionSide": "BOTH",
            "leverage": image.leverage,
            "realLeverage": image.leverage,
        }

    def _mode(self, account: str, key: str) -> str:
        return self.modes.get((account, key), "CROSS")

    def margin_mode(self, caller: Caller) -> Any:
        """Mode of a contract, and the leverages."""
        listing = self.listing(caller.params.get("symbol"))
        leverage = str(self.exchange.leverage(caller.account, listing.key))
        return {
            "symbol": self.names[listing.key],
            "marginMode": self._mode(caller.account, listing.key),
            "crossMarginLeverage": leverage,
            "isolatedMarginLeverage": leverage,
        }

    def change_margin_mode(self, caller: Caller) -> Any:
        """While there is no position and no order."""
        listing = self.listing(caller.body.get("symbol"))
        mode = caller.body.get("marginMode")
        if mode not in ("ISOLATED", "CROSS"):
            raise ApiError("100001", "marginMode is invalid")
        busy = self.exchange.position(caller.account, listing.key).size
        if busy or self.exchange.open_orders(caller.account, listing.key):
            raise ApiError("330006", "There are open positions or orders.")
        self.modes[caller.account, listing.key] = mode
        return {"symbol": self.names[listing.key], "marginMode": mode}

    def cross_leverage(self, caller: Caller) -> Any:
        """Of a contract in cross margin."""
        listing = self.listing(caller.params.get("symbol"))
        leverage = self.exchange.leverage(caller.account, listing.key)
        return {"symbol": self.names[listing.key], "leverage": str(leverage)}

    def change_cross_leverage(self, caller: Caller) -> Any:
        """Set it."""
        listing = self.listing(caller.body.get("symbol"))
        self.exchange.set_leverage(caller.account, listing.key, int(caller.body.get("leverage") or 0))
        return True

    def trade_fees(self, caller: Caller) -> Any:
        """Of one contract."""
        listing = self.listing(caller.params.get("symbol"))
        rates = {"takerFeeRate": text(listing.taker), "makerFeeRate": text(listing.maker)}
        return {"symbol": self.names[listing.key], **rates}

    # orders

    def request(self, account: str, body: Any) -> NewOrder:
        """The exchange's order for a body; isolated margin takes the leverage that it names."""
        if {"hidden", "iceberg", "visibleSize"} & {name for name in body if body[name]}:
            raise ApiError("400413", "Invaild order type, hidden and iceberg orders are not supported any more.")
        listing = self.listing(body.get("symbol"))
        client, side = str(body.get("clientOid") or ""), body.get("side")
        if not client or len(client) > 40:
            raise ApiError("100001", "clientOid is invalid")
        if side not in ("buy", "sell"):
            raise ApiError("100001", "side is invalid")
        kind, limit = body.get("type", "limit"), body.get("type", "limit") == "limit"
        if kind not in ("limit", "market"):
            raise ApiError("100001", "type is invalid")
        if body.get("marginMode", "ISOLATED") != self._mode(account, listing.key):
            raise ApiError(
                "330005", "The order's margin mode does not match the selected one. Please switch and try again."
            )
        if str(body.get("positionSide", "BOTH")) != "BOTH":
            raise ApiError("330012", "The position mode does not match.")
        closes = body.get("closeOrder") is True
        tif = body.get("timeInForce") or "GTC"
        if tif not in ("GTC", "IOC", "FOK"):
            raise ApiError("100001", "timeInForce is invalid")
        bad_price = ApiError("100001", "price is invalid")
        trigger = decimal(body["stopPrice"], bad_price) if body.get("stop") else None
        if trigger is not None and body["stop"] not in ("up", "down"):
            raise ApiError("100001", "stop is invalid")
        order_kind = OrderKind.LIMIT if limit else OrderKind.MARKET
        if trigger is not None:
            stops = (body["stop"] == "up") is (side == "buy")
            order_kind = OrderKind.STOP if stops else OrderKind.TAKE_PROFIT
            if limit:
                order_kind = OrderKind.STOP_LIMIT if stops else OrderKind.TAKE_PROFIT_LIMIT
        request = NewOrder(
            key=listing.key,
            side=Side(side),
            kind=order_kind,
            amount=self._lots(account, listing, body, closes=closes),
            price=decimal(body.get("price"), bad_price) if limit else None,
            trigger=trigger,
            trigger_on=TriggerOn.LAST if body.get("stopPriceType", "TP") == "TP" else TriggerOn.MARK,
            tif=TimeInForce(tif.lower()) if limit else TimeInForce.GTC,
            post_only=bool(body.get("postOnly")) and limit and tif == "GTC",
            reduce_only=bool(body.get("reduceOnly")) or closes,
            client_id=client,
        )
        leverage = int(Decimal(str(body.get("leverage") or 0)))
        if leverage and not request.reduce_only and self._mode(account, listing.key) == "ISOLATED":
            self.exchange.set_leverage(account, listing.key, leverage)
        return request

    def _lots(self, account: str, listing: Listing, body: Any, *, closes: bool) -> Decimal:
        bad = ApiError("100001", "Exactly one of size, qty and valueQty is required.")
        given = [name for name in ("size", "qty", "valueQty") if body.get(name) not in (None, "")]
        if closes and not given:
            return abs(self.exchange.position(account, listing.key).size)
        if len(given) != 1:
            raise bad
        value = decimal(body[given[0]], bad)
        if given[0] == "size":
            return value
        if given[0] == "valueQty":
            value /= self.exchange.ticker(listing.key).last
        return (value / listing.multiplier).to_integral_value(rounding="ROUND_DOWN")

    def place(self, caller: Caller) -> Any:
        """Accepted for processing."""
        order = self.exchange.place(caller.account, self.request(caller.account, caller.body))
        return {"orderId": order_id(order.id), "clientOid": order.client_id}

    def test(self, caller: Caller) -> Any:
        """A dry run."""
        request = self.request(caller.account, caller.body)
        self.exchange.test(caller.account, request)
        return {"orderId": order_id(0), "clientOid": request.client_id}

    def find(self, caller: Caller) -> Order:
        """By the id in the path, or the client's."""
        name: int | str = caller.params.get("clientOid", "")
        unknown = ApiError("100001", "error.getOrder.orderNotExist")
        if "orderId" in caller.params:
            if not caller.params["orderId"].isdigit():
                raise unknown
            name = int(caller.params["orderId"]) - FIRST_ORDER
        try:
            order = self.exchange.order(caller.account, name)
        except Refusal:
            raise unknown from None
        if order.key not in self.names:
            raise unknown
        return order

    def cancel(self, caller: Caller) -> Any:
        """Accepted; stop orders too."""
        order = self._end(caller)
        return {"cancelledOrderIds": [order_id(order.id)]}

    def cancel_by_client(self, caller: Caller) -> Any:
        """The symbol is wanted too."""
        self.listing(caller.params.get("symbol"))
        return {"clientOid": self._end(caller).client_id}

    def _end(self, caller: Caller) -> Order:
        order = self.find(caller)
        try:
            return self.exchange.cancel(caller.account, order.id)
        except Refusal:
            raise ApiError("100004", "Order is in not cancelable state") from None

    def _open(self, account: str, symbol: str | None, *, waiting: bool) -> list[Order]:
        key = self.listing(symbol).key if symbol else None
        return [
            order
            for order in self.exchange.open_orders(account, key)
            if order.key in self.names and (order.kind.has_trigger and order.triggered is None) is waiting
        ]

    def cancel_all(self, caller: Caller) -> Any:
        """Orders of a symbol or of all, stop orders left aside."""
        return self._cancel_all(caller, waiting=False)

    def cancel_stops(self, caller: Caller) -> Any:
        """Stop orders of a symbol or of all."""
        return self._cancel_all(caller, waiting=True)

    def _cancel_all(self, caller: Caller, *, waiting: bool) -> Any:
        orders = self._open(caller.account, caller.params.get("symbol"), waiting=waiting)
        for order in orders:
            self.exchange.cancel(caller.account, order.id)
        return {"cancelledOrderIds": [order_id(order.id) for order in orders]}

    def query(self, caller: Caller) -> Any:
        """One order."""
        return self._row(self.find(caller))

    def orders(self, caller: Caller) -> Any:
        """Active or done, paged."""
        symbol = caller.params.get("symbol")
        if caller.params.get("status") == "active":
            found = self._open(caller.account, symbol, waiting=False)
        else:
            key = self.listing(symbol).key if symbol else None
            ended = reversed(self.exchange.closed_orders(caller.account, key))
            found = [order for order in ended if order.key in self.names]
        return self._paged(caller, [self._row(order) for order in found])

    def stop_orders(self, caller: Caller) -> Any:
        """Those that wait, paged."""
        found = self._open(caller.account, caller.params.get("symbol"), waiting=True)
        return self._paged(caller, [self._row(order) for order in found])

    @staticmethod
    def _paged(caller: Caller, rows: list[Any]) -> Any:
        page, size = int(caller.params.get("currentPage") or 1), int(caller.params.get("pageSize") or 50)
        return {
            "currentPage": page,
            "pageSize": size,
            "totalNum": len(rows),
            "totalPage": -(-len(rows) // size),
            "items": rows[(page - 1) * size : page * size],
        }

    def fills(self, caller: Caller) -> Any:
        """Newest first, paged."""
        return self._paged(caller, self._fills(caller))

    def recent_fills(self, caller: Caller) -> Any:
        """Of a day, in one piece."""
        return self._fills(caller)

    def _fills(self, caller: Caller) -> list[Any]:
        symbol, wanted = caller.params.get("symbol"), caller.params.get("orderId")
        key = self.listing(symbol).key if symbol else None
        start, end = int(caller.params.get("startAt") or 0), int(caller.params.get("endAt") or 2**62)
        return [
            self._fill(caller.account, fill)
            for fill in reversed(self.exchange.fills(caller.account, key))
            if fill.key in self.names and start <= fill.time <= end and wanted in (None, "", order_id(fill.order_id))
        ]

    def _fill(self, account: str, fill: Execution) -> dict[str, Any]:
        order = self.exchange.order(account, fill.order_id)
        listing = self.exchange.listings[fill.key]
        kind = "limit" if order.kind.has_price else "market"
        return {
            "symbol": self.names[fill.key],
            "tradeId": str(FIRST + fill.trade_id),
            "orderId": order_id(fill.order_id),
            "side": fill.side.value,
            "liquidity": "maker" if fill.maker else "taker",
            "forceTaker": False,
            "price": text(fill.price),
            "size": int(fill.size),
            "value": text(fill.value),
            "openFeePay": text(fill.fee),
            "closeFeePay": "0",
            "stop": "",
            "feeRate": text(listing.maker if fill.maker else listing.taker),
            "fixFee": "0",
            "feeCurrency": coin(fill.fee_asset),
            "subTradeType": None,
            "marginMode": self._mode(account, fill.key),
            "displayType": kind,
            "fee": text(fill.fee),
            "settleCurrency": coin(listing.settle),
            "orderType": kind,
            "tradeType": "trade",
            "tradeTime": fill.time * 1_000_000,
            "createdAt": fill.time,
        }

    @staticmethod
    def _stop_word(order: Order) -> str:
        if not order.kind.has_trigger:
            return ""
        stops = order.kind in (OrderKind.STOP, OrderKind.STOP_LIMIT)
        return "up" if stops is (order.side is Side.BUY) else "down"

    def _row(self, order: Order) -> dict[str, Any]:
        ended = order.status.is_final
        listing = self.exchange.listings[order.key]
        waits = order.kind.has_trigger
        return {
            "id": order_id(order.id),
            "symbol": self.names[order.key],
            "type": "limit" if order.kind.has_price else "market",
            "side": order.side.value,
            "price": text(order.price) if order.price is not None else None,
            "size": int(order.amount or 0),
            "value": "0",
            "dealValue": text(order.filled_value),
            "dealSize": int(order.filled),
            "stp": "",
            "stop": self._stop_word(order),
            "stopPriceType": ("TP" if order.trigger_on is TriggerOn.LAST else "MP") if waits else "",
            "stopTriggered": order.triggered is not None,
            "stopPrice": text(order.trigger) if order.trigger is not None else None,
            "timeInForce": order.tif.upper(),
            "postOnly": order.post_only,
            "hidden": False,
            "iceberg": False,
            "leverage": str(self.exchange.leverage(order.account, order.key)),
            "forceHold": False,
            "closeOrder": False,
            "visibleSize": 0,
            "clientOid": order.client_id,
            "remark": None,
            "tags": "",
            "isActive": not ended,
            "cancelExist": ended and order.status is not OrderStatus.FILLED,
            "createdAt": order.created,
            "updatedAt": order.updated,
            "endAt": order.updated if ended else None,
            "orderTime": order.created * 1_000_000,
            "settleCurrency": coin(listing.settle),
            "marginMode": self._mode(order.account, order.key),
            "avgDealPrice": text(order.average),
            "filledSize": int(order.filled),
            "filledValue": text(order.filled_value),
            "status": "done" if ended else "open",
            "reduceOnly": order.reduce_only,
        }

    # streams

    def begin(self, topic: str) -> None:
        """The level 2 stream runs on whether anybody listens."""
        head, _, symbol = topic.partition(":")
        listing = self.listings.get(symbol)
        if head == "/contractMarket/level2" and listing is not None and topic not in self.wanted():
            self._sent[listing.key] = self.exchange.sequence(listing.key)

    def publish_due(self, topic: str, now_ms: int) -> None:
        """By topic."""
        head, _, rest = topic.partition(":")
        if head == "/contractMarket/limitCandle":
            self._publish_bar(topic, *rest.rpartition("_")[::2])
            return
        listing = self.listings.get(rest)
        if listing is None:
            return
        match head:
            case "/contractMarket/level2":
                self._publish_book(topic, listing)
            case "/contractMarket/tickerV2":
                self._publish_best(topic, listing)
            case "/contractMarket/ticker":
                trades = self.exchange.trades(listing.key, limit=1)
                if trades and self._seen.get(topic) != trades[-1].id:
                    self._seen[topic] = trades[-1].id
                    row = self.ticker(Caller("", {"symbol": rest}, {}))
                    self.publish(topic, "ticker", row, sn=row["sequence"])
            case "/contractMarket/snapshot":
                if self.is_due(topic, now_ms, 2000):
                    self._publish_day(topic, listing)
            case "/contract/instrument":
                self._publish_mark(topic, listing, now_ms)
            case "/contractMarket/level2Depth5" | "/contractMarket/level2Depth50":
                if self.is_due(topic, now_ms, 100):
                    self._publish_whole(topic, listing, int(head.rpartition("Depth")[2] or 0))

    def _publish_book(self, topic: str, listing: Listing) -> None:
        changes = self.exchange.book_log(listing.key, self._sent[listing.key])
        self._sent[listing.key] = self.exchange.sequence(listing.key)
        for change in changes or ():
            at = self.sequence(listing.key, change.book_sequence)
            data = {
                "sequence": at,
                "change": f"{text(change.price)},{change.side.value},{int(change.size)}",
                "timestamp": change.time,
            }
            self.publish(topic, "level2", data, sn=at)

    def _publish_best(self, topic: str, listing: Listing) -> None:
        bid, ask = best = self.exchange.best(listing.key)
        if best == self._seen.get(topic) or bid is None or ask is None:
            return
        self._seen[topic] = best
        at = self.sequence(listing.key)
        data = {
            "symbol": self.names[listing.key],
            "sequence": at,
            "bestBidSize": int(bid.size),
            "bestBidPrice": text(bid.price),
            "bestAskPrice": text(ask.price),
            "bestAskSize": int(ask.size),
            "ts": self.now_ms * 1_000_000,
        }
        self.publish(topic, "tickerV2", data, sn=at)

    def _publish_whole(self, topic: str, listing: Listing, levels: int) -> None:
        """Whether or not anything changed."""
        image = self.exchange.book(listing.key, levels)
        data = {
            "bids": [[text(row.price), int(row.size)] for row in image.bids],
            "sequence": self.sequence(listing.key, image.sequence),
            "timestamp": self.now_ms,
            "ts": self.now_ms,
            "asks": [[text(row.price), int(row.size)] for row in image.asks],
        }
        self.publish(topic, "level2", data, sn=self.now_ms)

    def _publish_day(self, topic: str, listing: Listing) -> None:
        now = self.exchange.ticker(listing.key)
        data = {
            "highPrice": number(now.high),
            "lastPrice": number(now.last),
            "lowPrice": number(now.low),
            "price24HoursBefore": number(now.open),
            "priceChg": float(now.last - now.open),
            "priceChgPct": round(float((now.last - now.open) / now.open), 4) if now.open else 0.0,
            "symbol": self.names[listing.key],
            "turnover": float(now.value),
            "volume": float(self._base(listing, now.volume, now.last)),
            "ts": self.now_ms * 1_000_000,
        }
        self.publish(topic, "snapshot.24h", data)

    def _publish_mark(self, topic: str, listing: Listing, now_ms: int) -> None:
        mark = self.exchange.mark(listing.key)
        if self.is_due(topic, now_ms, 1000):
            prices = {"markPrice": number(mark.mark), "indexPrice": number(mark.index)}
            self.publish(topic, "mark.index.price", {**prices, "granularity": 1000, "timestamp": now_ms})
        if self.is_due(f"{topic} rate", now_ms, 60_000):
            rate = {"period": 1, "granularity": 60_000, "fundingRate": float(mark.rate), "timestamp": now_ms}
            self.publish(topic, "funding.rate", rate)

    def _publish_bar(self, topic: str, symbol: str, name: str) -> None:
        listing, minutes = self.listings.get(symbol), NAMES.get(name)
        if listing is None or minutes is None:
            return
        trades = self.exchange.trades(listing.key, limit=1)
        last = trades[-1].id if trades else 0
        if last == self._seen.get(topic):
            return
        first = topic not in self._seen
        self._seen[topic] = last
        if first:
            return
        bar = self.bars(listing.key, minutes * 60_000, limit=1)[-1]
        prices = [text(value) for value in (bar.open, bar.close, bar.high, bar.low)]
        row = [str(bar.start // 1000), *prices, f"{bar.volume:.1f}", text(bar.volume)]
        self.publish(topic, "candle.stick", {"symbol": symbol, "candles": row, "time": self.now_ms})

    def traded(self, event: Traded) -> None:
        """`side` is the taker's, `size` in lots."""
        trade, symbol = event.trade, self.names[event.key]
        data = {
            "symbol": symbol,
            "sequence": FIRST + trade.id,
            "side": trade.side.value,
            "size": int(trade.size),
            "price": text(trade.price),
            "takerOrderId": order_id(trade.taker_order),
            "makerOrderId": order_id(trade.maker_order),
            "tradeId": str(FIRST + trade.id),
            "ts": trade.time * 1_000_000,
        }
        self.publish(f"/contractMarket/execution:{symbol}", "match", data, sn=FIRST + trade.id)

    # private events

    def heard(self, event: AccountEvent) -> list[tuple[str, str, str, Any]]:
        """Orders, stop orders, wallets, positions."""
        match event:
            case OrderChanged() if event.key in self.names:
                return self._order_news(event)
            case BalanceChanged() if event.balance.wallet is Wallet.MARGIN:
                return [self._wallet_news(event)]
            case PositionChanged() if event.key in self.names:
                symbol = self.names[event.key]
                row = {**self._position(event.account, event.position), "changeReason": "positionChange"}
                return [("/contract/positionAll", f"/contract/position:{symbol}", "position.change", row)]
        return []

    def _wallet_news(self, event: BalanceChanged) -> tuple[str, str, str, Any]:
        asset = event.balance.asset
        money = self._money(event.account, asset)
        self._versions += 1
        data = {
            "crossPosMargin": "0",
            "isolatedOrderMargin": text(money["orders"]),
            "holdBalance": "0",
            "equity": _signed_text(money["total"] + money["unrealised"]),
            "version": str(self._versions),
            "availableBalance": text(money["available"]),
            "isolatedPosMargin": text(money["positions"]),
            "walletBalance": _signed_text(money["total"]),
            "isolatedFundingFeeMargin": "0",
            "crossUnPnl": "0",
            "totalCrossMargin": text(money["available"]),
            "currency": coin(asset),
            "isolatedUnPnl": "0",
            "crossOrderMargin": "0",
            "timestamp": str(event.time),
        }
        return ("/contractAccount/wallet", "/contractAccount/wallet", "walletBalance.change", data)

    def _order_news(self, event: OrderChanged) -> list[tuple[str, str, str, Any]]:
        order = event.order
        if order.kind.has_trigger and order.triggered is None:
            kind = {Happening.ACCEPTED: "open", Happening.ENDED: "cancel"}.get(event.what)
            return [self._stop_news(order, kind)] if kind else []
        found: list[tuple[str, str, str, Any]] = []
        match event.what:
            case Happening.ACCEPTED | Happening.TRIGGERED:
                if event.what is Happening.TRIGGERED:
                    found.append(self._stop_news(order, "triggered"))
                now = self.exchange.order(order.account, order.id)
                if not now.status.is_final and now.kind.has_price and not now.filled:
                    found.append(self._news_row(order, "open", "open"))
            case Happening.FILLED:
                found.append(self._news_row(order, "match", "match", event.fill))
                if order.status is OrderStatus.FILLED:
                    found.append(self._news_row(order, "filled", "done"))
            case Happening.AMENDED:
                found.append(self._news_row(order, "update", "open"))
            case Happening.ENDED:
                found.append(self._news_row(order, "canceled", "done"))
        return found

    def _news_row(
        self, order: Order, kind: str, status: str, fill: Execution | None = None
    ) -> tuple[str, str, str, Any]:
        left = order.remaining or Decimal(0)
        symbol = self.names[order.key]
        row: dict[str, Any] = {
            "symbol": symbol,
            "orderType": "limit" if order.kind.has_price else "market",
            "side": order.side.value,
            "canceledSize": text(left if kind == "canceled" else Decimal(0)),
            "orderId": order_id(order.id),
            "marginMode": self._mode(order.account, order.key),
            "type": kind,
            "orderTime": order.created * 1_000_000,
            "size": text(order.amount),
            "filledSize": text(order.filled),
            "price": text(order.price),
            "remainSize": text(Decimal(0) if kind == "canceled" else left),
            "status": status,
            "clientOid": order.client_id,
            "ts": order.updated * 1_000_000,
        }
        if fill is not None:
            row |= {
                "feeType": "makerFee" if fill.maker else "takerFee",
                "liquidity": "maker" if fill.maker else "taker",
                "matchPrice": text(fill.price),
                "matchSize": text(fill.size),
                "tradeId": str(FIRST + fill.trade_id),
            }
        return ("/contractMarket/tradeOrders", f"/contractMarket/tradeOrders:{symbol}", "symbolOrderChange", row)

    def _stop_news(self, order: Order, kind: str) -> tuple[str, str, str, Any]:
        row: dict[str, Any] = {
            "createdAt": order.created,
            "marginMode": self._mode(order.account, order.key),
            "orderId": order_id(order.id),
            "orderType": "stop",
            "side": order.side.value,
            "size": int(order.amount or 0),
            "stop": self._stop_word(order),
            "stopPrice": text(order.trigger),
            "stopPriceType": "TP" if order.trigger_on is TriggerOn.LAST else "MP",
            "symbol": self.names[order.key],
            "ts": order.updated * 1_000_000,
            "type": kind,
        }
        if order.price is not None:
            row["orderPrice"] = text(order.price)
        return ("/contractMarket/advancedOrders", "/contractMarket/advancedOrders", "stopOrder", row)


def _signed(value: Decimal) -> Any:
    """A number that may be negative, as a JSON number with its own digits."""
    return msgspec.Raw(_signed_text(value).encode())


def _signed_text(value: Decimal) -> str:
    return text(value) if value >= 0 else f"-{text(-value)}"
