"""BitMEX's own end of its protocol, in front of the practice exchange: hosts, keys, limits, REST `/api/v1`.

Written from the venue's documentation, not from our connector. `practice_rows` writes the rows, `practice_stream` the socket.
Listed are the inverse and the linear perpetuals; quanto contracts are left out, because the exchange has no such arithmetic.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from connectors.bitmex.practice_rows import CURRENCIES, ORDER_TYPES, Rows, encode, stamp, symbol_of
from connectors.bitmex.practice_stream import BINS, ApiError, RealtimeConnection, Tables
from connectors.model import EndReason, Market, OrderStatus, Side, TimeInForce, Unit
from connectors.practice.exchange import Exchange
from connectors.practice.funds import fund
from connectors.practice.listings import BIPS, Listing
from connectors.practice.protocol import Connection, HttpAnswer, HttpRequest, Key, Keys, VenuePractice
from connectors.practice.terms import (
    AccountRules,
    NewOrder,
    Order,
    Refusal,
    RefusalKind,
    TriggerOn,
    Wallet,
)

_KINDS = {name: kind for kind, name in ORDER_TYPES.items()}
_DURATIONS = {
    "GoodTillCancel": TimeInForce.GTC,
    "Day": TimeInForce.GTC,
    "ImmediateOrCancel": TimeInForce.IOC,
    "FillOrKill": TimeInForce.FOK,
}
_REFUSALS = {
    RefusalKind.CLIENT_ID: "Duplicate clOrdID",
    RefusalKind.PRICE_TICK: "Invalid price tickSize",
    RefusalKind.PRICE_BOUNDS: "Invalid price",
    RefusalKind.SIZE_MINIMUM: "orderQty is invalid",
    RefusalKind.SIZE_MAXIMUM: "orderQty is invalid",
    RefusalKind.WOULD_TRIGGER: "Invalid stopPx for ordType",
    RefusalKind.TOO_MANY_ORDERS: "Too many open orders",
    RefusalKind.MARKET_CLOSED: "Instrument is closed",
    RefusalKind.ORDER_ENDED: "Invalid ordStatus",
    RefusalKind.NOTHING_TO_CHANGE: "Invalid amend: orderQty, leavesQty, price, stopPx unchanged",
    RefusalKind.LEVERAGE: "leverage is invalid",
    RefusalKind.POST_ONLY: "Order had execInst of ParticipateDoNotInitiate",
    RefusalKind.UNSUPPORTED: "execInst is invalid",
}
_STATE_WORDS = {OrderStatus.FILLED: "Filled", OrderStatus.REJECTED: "Rejected"}


def _perpetual(
    base: str, quote: str, tick: str, lot: int, multiplier: str, reference: str, leverage: int, activity: float
) -> Listing:
    """A perpetual with the fees of 2024 to 2026: 0.05 % both ways."""
    inverse = quote == "USD"
    return Listing(
        base=base,
        quote=quote,
        market=Market.PERP,
        unit=Unit.INVERSE if inverse else Unit.LINEAR,
        multiplier=Decimal(multiplier),
        tick=Decimal(tick),
        step=Decimal(lot),
        maximum=Decimal(10_000_000 if inverse else 1_000_000_000),
        reference=Decimal(reference),
        maker=5 * BIPS,
        taker=5 * BIPS,
        max_leverage=leverage,
        activity=activity,
        money_digits=8 if inverse else 6,
    )


class BitmexPractice(VenuePractice):
    """See the module. Accounts: `credentials` trades as "trader", `other` as "other"."""

    slug = "bitmex"
    listings = (
        _perpetual("BTC", "USD", "0.1", 100, "1", "62800", 100, 1.0),
        _perpetual("BTC", "USDT", "0.1", 100, "0.000001", "62800", 100, 0.8),
        _perpetual("ETH", "USDT", "0.01", 1000, "0.00001", "2318", 100, 0.6),
        _perpetual("SOL", "USDT", "0.01", 1000, "0.0001", "98.6", 50, 0.35),
        _perpetual("XRP", "USDT", "0.0001", 1000, "0.01", "1.418", 50, 0.25),
        _perpetual("LTC", "USDT", "0.01", 1000, "0.0001", "61.27", 33, 0.15),
    )

    def __init__(self, exchange: Exchange, credentials: Mapping[str, str] | None = None) -> None:
        self.exchange = exchange
        self.now_ms = exchange.now_ms
        self.keys = Keys()
        self.credentials = dict(credentials or _fresh_key())
        self.other = _fresh_key()
        recorded = frozenset(
            {RefusalKind.POST_ONLY, RefusalKind.FOK, RefusalKind.REDUCE_ONLY, RefusalKind.NO_LIQUIDITY}
        )
        for account, pair in (("trader", self.credentials), ("other", self.other)):
            fund(exchange, account)
            exchange.open_account(account, AccountRules(recorded=recorded))
            self.keys.add(Key(pair["key"], account, pair["secret"]))
        self.rows = Rows(exchange, secrets.token_hex(4))
        self.tables = Tables(exchange, self.rows, self)
        self._cross: dict[tuple[str, str], bool] = {}
        self._armed: dict[str, int] = {}
        self._left: dict[str, tuple[float, int]] = {}  # tokens of each limit, and when they were counted
        self.hosts = {
            "https://www.bitmex.com": ("api", ""),
            "https://www.bitmex.com/api/v1": ("api", "/api/v1"),
            "https://testnet.bitmex.com": ("api", ""),
            "https://testnet.bitmex.com/api/v1": ("api", "/api/v1"),
            "wss://ws.bitmex.com/realtime": ("realtime", "/realtime"),
            "wss://www.bitmex.com/realtime": ("realtime", "/realtime"),
            "wss://ws.testnet.bitmex.com/realtime": ("realtime", "/realtime"),
            "wss://testnet.bitmex.com/realtime": ("realtime", "/realtime"),
            "wss://ws.bitmex.com/realtimePlatform": ("realtime", "/realtimePlatform"),
            "wss://www.bitmex.com/realtimePlatform": ("realtime", "/realtimePlatform"),
        }
        self.routes: dict[tuple[str, str], tuple[Callable[[str, dict[str, Any]], Any], bool, bool]] = {
            ("GET", ""): (self.greeting, False, False),
            ("GET", "/instrument"): (self.instruments, False, False),
            ("GET", "/instrument/active"): (self.active, False, False),
            ("GET", "/instrument/activeAndIndices"): (self.active, False, False),
            ("GET", "/orderBook/L2"): (self.book, False, False),
            ("GET", "/trade"): (self.trades, False, False),
            ("GET", "/trade/bucketed"): (self.bars, False, False),
            ("GET", "/funding"): (self.funding, False, False),
            ("GET", "/wallet/assets"): (self.assets, False, False),
            ("POST", "/order"): (self.place, True, True),
            ("PUT", "/order"): (self.amend, True, True),
            ("DELETE", "/order"): (self.cancel, True, True),
            ("DELETE", "/order/all"): (self.cancel_all, True, True),
            ("POST", "/order/cancelAllAfter"): (self.cancel_all_after, True, False),
            ("GET", "/order"): (self.orders, True, False),
            ("GET", "/execution"): (self.executions, True, False),
            ("GET", "/execution/tradeHistory"): (self.executions, True, False),
            ("GET", "/position"): (self.positions, True, False),
            ("POST", "/position/leverage"): (self.leverage, True, False),
            ("POST", "/position/isolate"): (self.isolate, True, False),
            ("GET", "/user/margin"): (self.margin, True, False),
            ("GET", "/user/commission"): (self.commission, True, False),
        }

    # the server's side

    def http(self, request: HttpRequest, now_ms: int) -> HttpAnswer:
        """Route by path; every error has the venue's envelope and a real status."""
        self.now_ms = self.tables.now_ms = now_ms
        headers: dict[str, str] = {}
        try:
            found = self.routes.get((request.method, request.path.removeprefix("/api/v1")))
            account = self._authenticate(request)
            orders = request.path.startswith("/api/v1/order") and request.method != "GET"
            headers = self._count(account, orders=orders)
            if found is None or not request.path.startswith("/api/v1"):
                raise ApiError(404, "Not Found")
            handler, private, acts = found
            if private and not account:
                raise ApiError(401, "Authorization Required")
            return _answer(handler(account, _params(request)), 200, headers, acted=acts)
        except ApiError as error:
            if error.status == 429:
                headers["retry-after"] = error.text.split()[-2]
            return _answer({"error": {"message": error.text, "name": error.name}}, error.status, headers)
        except Refusal as refusal:
            error = self.refuse(refusal)
            return _answer({"error": {"message": error.text, "name": error.name}}, error.status, headers)
        except (ValueError, TypeError, KeyError, ArithmeticError, msgspec.DecodeError):
            return _answer({"error": {"message": "Invalid parameters", "name": "ValidationError"}}, 400, headers)

    def accept(
        self, host: str, path: str, query: str, headers: Mapping[str, str], now_ms: int
    ) -> Connection | HttpAnswer:
        """`/realtime`, with topics in the address; the three values of a login in headers or in the address."""
        self.now_ms = self.tables.now_ms = now_ms
        if path not in ("/realtime", "/realtimePlatform"):
            return HttpAnswer(404, b"Not Found")
        params = dict(parse_qsl(query, keep_blank_values=True))
        told = {**params, **headers}
        account = None
        if told.get("api-key"):
            try:
                account = self.login(told["api-key"], told.get("api-expires"), told.get("api-signature", ""), path)
            except ApiError as error:
                return _answer({"error": {"message": error.text, "name": error.name}}, error.status, {})
        connection = RealtimeConnection(self.tables, account, path)
        if params.get("subscribe"):
            asked = {"op": "subscribe", "args": params["subscribe"].split(",")}
            connection.receive(encode(asked).decode(), now_ms)
        return connection

    def tick(self, now_ms: int) -> None:
        """The dead man's switches, and everything that is published."""
        self.now_ms = now_ms
        for account, when in list(self._armed.items()):
            if now_ms >= when:
                del self._armed[account]
                self.exchange.cancel_all(account, reason=EndReason.DEAD_MAN)
        self.tables.tick(now_ms)

    def is_book(self, frame: str | bytes) -> bool:
        """Rows of orderBookL2, orderBookL2_25 or orderBook10."""
        return str(frame[:24]).startswith('{"table":"orderBook')

    def no_verdict(self) -> HttpAnswer:
        """A gateway that lost the backend says nothing about the order."""
        return HttpAnswer(502, b"<html><body>502 Bad Gateway</body></html>", {"Content-Type": "text/html"})

    def too_many(self, seconds: int) -> HttpAnswer:
        """429 with the seconds in its text and in a header."""
        body = {"error": {"message": f"Rate limit exceeded, retry in {seconds} seconds.", "name": "RateLimitError"}}
        return _answer(body, 429, {"retry-after": str(seconds)})

    # keys and limits

    def login(self, key: str, expires: Any, signature: str, path: str) -> str:
        """See `practice_stream.Owner`."""
        return self._verify(key, expires, signature, f"GET{path}".encode(), b"")

    def _authenticate(self, request: HttpRequest) -> str:
        """The account that a request is signed for, "" for one without a key. The recipe runs on the bytes that came."""
        key = request.headers.get("api-key", "")
        if not key:
            return ""
        path = f"{request.path}?{request.query}" if request.query else request.path
        expires, signature = request.headers.get("api-expires", ""), request.headers.get("api-signature", "")
        return self._verify(key, expires, signature, f"{request.method}{path}".encode(), request.body)

    def _verify(self, name: str, expires: Any, signature: str, head: bytes, body: bytes) -> str:
        key = self.keys.find(name)
        if key is None:
            raise ApiError(401, "Invalid API Key.")
        try:
            until = int(str(expires))
        except ValueError:
            raise ApiError(401, "Missing or malformed api-expires.") from None
        if until * 1000 < self.now_ms:
            now = self.now_ms // 1000
            raise ApiError(401, f"This request has expired - `expires` is in the past. Current time: {now}")
        if not self.keys.verify_sha256(key, head + str(until).encode() + body, signature):
            raise ApiError(401, "Signature not valid.")
        return key.account

    def _count(self, account: str, *, orders: bool) -> dict[str, str]:
        """120 requests a minute with a key, 30 without; orders also ten a second. Each refills steadily."""
        limit = 120 if account else 30
        left = self._take(f"minute {account}", limit, 60_000)
        headers = {
            "x-ratelimit-limit": str(limit),
            "x-ratelimit-remaining": str(int(left)),
            "x-ratelimit-reset": str(self.now_ms // 1000 + int((limit - left) * 60 / limit) + 1),
        }
        if orders and account:
            headers["x-ratelimit-remaining-1s"] = str(int(self._take(f"second {account}", 10, 1000)))
        return headers

    def _take(self, name: str, limit: int, period: int) -> float:
        left, since = self._left.get(name, (float(limit), self.now_ms))
        left = min(float(limit), left + (self.now_ms - since) * limit / period)
        if left < 1 and self.limited:
            self._left[name] = (left, self.now_ms)
            seconds = max(1, round((1 - left) * period / limit / 1000 + 0.5))
            raise ApiError(429, f"Rate limit exceeded, retry in {seconds} seconds.", "RateLimitError")
        left = max(0.0, left - 1)
        self._left[name] = (left, self.now_ms)
        return left

    def refuse(self, refusal: Refusal) -> ApiError:
        """The exchange's refusal in the venue's words."""
        if refusal.kind is RefusalKind.UNKNOWN_ORDER:
            return ApiError(404, "Not Found")
        if refusal.kind in (RefusalKind.MARGIN, RefusalKind.FUNDS):
            return ApiError(400, f"Account has insufficient Available Balance, {refusal.text}", "ValidationError")
        return ApiError(400, _REFUSALS.get(refusal.kind, refusal.text), "ValidationError")

    # public

    def listing(self, params: Mapping[str, Any]) -> Listing:
        """By `symbol`; a root symbol is its perpetual in USD."""
        symbol = str(params.get("symbol", ""))
        found = self.tables.symbols.get(symbol) or self.tables.symbols.get(f"{symbol}USD")
        if found is None:
            raise ApiError(400, "Invalid symbol", "ValidationError")
        return found

    def greeting(self, account: str, params: dict[str, Any]) -> Any:
        """GET /api/v1."""
        return {"name": "BitMEX API", "version": "2.0.0", "timestamp": self.now_ms}

    def active(self, account: str, params: dict[str, Any]) -> Any:
        """GET /instrument/active."""
        return [self.rows.instrument(listing.key) for listing in self.tables.symbols.values()]

    def instruments(self, account: str, params: dict[str, Any]) -> Any:
        """GET /instrument."""
        if params.get("symbol"):
            found = self.tables.symbols.get(str(params["symbol"]))
            return [self.rows.instrument(found.key)] if found is not None else []
        return self._cut(self.active(account, params), params)

    def book(self, account: str, params: dict[str, Any]) -> Any:
        """GET /orderBook/L2: asks from the highest down, then bids."""
        listing = self.listing(params)
        depth = int(params.get("depth", 25))
        table = self.tables.image("orderBookL2", symbol_of(listing), None)["data"]
        asks = [row for row in table if row["side"] == "Sell"]
        bids = [row for row in table if row["side"] == "Buy"]
        return (asks[-depth:] + bids[:depth]) if depth else asks + bids

    def trades(self, account: str, params: dict[str, Any]) -> Any:
        """GET /trade: oldest first unless `reverse`."""
        listing = self.listing(params)
        found = [self.rows.trade(trade) for trade in self.exchange.trades(listing.key, limit=5000)]
        return self._cut(self._within(found, params), params)

    def bars(self, account: str, params: dict[str, Any]) -> Any:
        """GET /trade/bucketed: stamped with their end, `open` is the close before."""
        listing, name = self.listing(params), str(params.get("binSize", "1m"))
        if name not in BINS:
            raise ApiError(400, "binSize is invalid", "ValidationError")
        span, count = BINS[name], self._number(params, "count", 100)
        if count > 1000:
            raise ApiError(400, "Maximum result count is 1000", "ValidationError")
        start, end = (_moment(params.get(field)) for field in ("startTime", "endTime"))
        first = start - 2 * span if start is not None else None
        reverse = _true(params.get("reverse"))
        limit = count + 2 if start is not None and not reverse else 1002
        made = self.exchange.candles(listing.key, span, start=first, end=end, limit=limit)
        rows = []
        for before, bar in pairwise(made):
            over = bar.start + span
            if (over <= self.now_ms or _true(params.get("partial"))) and (start or 0) <= over <= (end or 2**62):
                rows.append(self.rows.bar(listing.key, bar, span, before.close))
        return self._cut(rows, params)

    def funding(self, account: str, params: dict[str, Any]) -> Any:
        """GET /funding: the last one."""
        return self.tables.image("funding", symbol_of(self.listing(params)), None)["data"]

    def assets(self, account: str, params: dict[str, Any]) -> Any:
        """GET /wallet/assets."""
        names = {"BTC": ("XBT", "Bitcoin"), "USDT": ("USDT", "Tether")}
        return [
            {
                "asset": names[asset][0],
                "currency": currency,
                "majorCurrency": names[asset][0],
                "name": names[asset][1],
                "currencyType": "Crypto",
                "scale": str(scale),
                "enabled": True,
                "isMarginCurrency": True,
                "networks": [],
            }
            for asset, (currency, scale) in CURRENCIES.items()
        ]

    @staticmethod
    def _number(params: Mapping[str, Any], name: str, default: int) -> int:
        value = int(params.get(name) or default)
        if value < 0:
            raise ApiError(400, f"{name} is invalid", "ValidationError")
        return value

    def _cut(self, found: list[Any], params: Mapping[str, Any]) -> list[Any]:
        """`reverse`, `start`, `count` (100 unless named)."""
        if _true(params.get("reverse")):
            found.reverse()
        start = self._number(params, "start", 0)
        return found[start : start + min(1000, self._number(params, "count", 100))]

    @staticmethod
    def _within(found: list[Any], params: Mapping[str, Any]) -> list[Any]:
        start, end = (str(params.get(name) or "") for name in ("startTime", "endTime"))
        return [
            row for row in found if (not start or row["timestamp"] >= start) and (not end or row["timestamp"] <= end)
        ]

    # orders

    def place(self, account: str, params: dict[str, Any]) -> Any:
        """POST /order: answers the row as it is after matching."""
        return self.rows.order(self.exchange.place(account, self._new_order(account, params)))

    def _new_order(self, account: str, params: dict[str, Any]) -> NewOrder:
        listing = self.listing(params)
        price, trigger = _decimal(params, "price"), _decimal(params, "stopPx")
        name = params.get("ordType")
        if not name:
            name = ("StopLimit" if price else "Stop") if trigger else ("Limit" if price else "Market")
        if name not in _KINDS:
            raise ApiError(400, "ordType is invalid", "ValidationError")
        kind = _KINDS[name]
        flags = {flag.strip() for flag in str(params.get("execInst") or "").split(",") if flag.strip()}
        known = {"ParticipateDoNotInitiate", "ReduceOnly", "Close", "MarkPrice", "LastPrice", "IndexPrice"}
        if flags - known:
            raise ApiError(400, "execInst is invalid", "ValidationError")
        if kind.has_price and price is None:
            raise ApiError(400, "Invalid price", "ValidationError")
        if kind.has_trigger and trigger is None:
            raise ApiError(400, "Invalid stopPx for ordType", "ValidationError")
        amount, side = self._amount_and_side(account, listing, params, flags)
        if listing.step and amount % listing.step:
            raise ApiError(400, f"Invalid orderQty: must be a multiple of {listing.step}", "ValidationError")
        client_id = str(params.get("clOrdID") or "")
        if len(client_id) > 36 or not client_id.isprintable():
            raise ApiError(400, "clOrdID is invalid", "ValidationError")
        duration = str(params.get("timeInForce") or "GoodTillCancel")
        if duration not in _DURATIONS:
            raise ApiError(400, "timeInForce is invalid", "ValidationError")
        return NewOrder(
            key=listing.key,
            side=side,
            kind=kind,
            amount=amount,
            price=price if kind.has_price else None,
            trigger=trigger if kind.has_trigger else None,
            trigger_on=TriggerOn.LAST if "LastPrice" in flags else TriggerOn.MARK,
            tif=_DURATIONS[duration] if kind.has_price else TimeInForce.GTC,
            post_only="ParticipateDoNotInitiate" in flags,
            reduce_only=bool(flags & {"ReduceOnly", "Close"}),
            client_id=client_id,
        )

    def _amount_and_side(
        self, account: str, listing: Listing, params: Mapping[str, Any], flags: set[str]
    ) -> tuple[Decimal, Side]:
        """Contracts and side. A negative quantity sells; `Close` without one takes the position's."""
        amount, word = _decimal(params, "orderQty"), params.get("side")
        if word not in (None, "", "Buy", "Sell"):
            raise ApiError(400, "side is invalid", "ValidationError")
        if amount is None and "Close" in flags:
            held = self.exchange.position(account, listing.key).size
            amount, word = abs(held), word or ("Sell" if held > 0 else "Buy")
        if amount is None or amount == 0:
            raise ApiError(400, "orderQty is invalid", "ValidationError")
        side = Side(str(word).lower()) if word else (Side.SELL if amount < 0 else Side.BUY)
        return abs(amount), side

    def _named(self, params: Mapping[str, Any], field: str = "clOrdID") -> int | str:
        """An order by orderID or client id. ApiError 404 for an orderID that was never given."""
        if params.get("orderID"):
            number = self.rows.number_of(str(params["orderID"]))
            if number is None:
                raise ApiError(404, "Not Found")
            return number
        if not params.get(field):
            raise ApiError(400, "Must send an orderID or clOrdID", "ValidationError")
        return str(params[field])

    def amend(self, account: str, params: dict[str, Any]) -> Any:
        """PUT /order: `orderQty` is the total, `leavesQty` the rest."""
        order = self.exchange.order(account, self._named(params, "origClOrdID"))
        if order.status.is_final:
            raise ApiError(400, "Invalid ordStatus", "ValidationError")
        amount, left = _decimal(params, "orderQty"), _decimal(params, "leavesQty")
        if left is not None:
            amount = order.filled + left
        if amount is not None and amount <= order.filled:
            raise ApiError(400, "Invalid orderQty", "ValidationError")
        changed = self.exchange.amend(
            account,
            order.id,
            price=_decimal(params, "price"),
            amount=amount,
            trigger=_decimal(params, "stopPx"),
            client_id=str(params["clOrdID"]) if params.get("clOrdID") else None,
        )
        return self.rows.order(changed)

    def cancel(self, account: str, params: dict[str, Any]) -> Any:
        """DELETE /order: a list of rows, HTTP 200; a row that failed has an `error`."""
        field = "orderID" if params.get("orderID") else "clOrdID"
        names = params.get(field) or []
        names = names if isinstance(names, list) else [name for name in str(names).split(",") if name]
        if not names:
            raise ApiError(400, "Must send an orderID or clOrdID", "ValidationError")
        return [self._cancel_one(account, field, str(name)) for name in names]

    def _cancel_one(self, account: str, field: str, name: str) -> dict[str, Any]:
        try:
            order = self.exchange.order(account, self._named({field: name}))
        except (ApiError, Refusal):
            self.tables.refuse_cancel(account, name if field == "orderID" else "")
            return {field: name, "error": "Not Found"}
        if order.status.is_final:
            state = _STATE_WORDS.get(order.status, "Canceled")
            return {**self.rows.order(order), "error": f"Unable to cancel order due to existing state: {state}"}
        return self.rows.order(self.exchange.cancel(account, order.id))

    def cancel_all(self, account: str, params: dict[str, Any]) -> Any:
        """DELETE /order/all, of one symbol, of one side."""
        key = self.listing(params).key if params.get("symbol") else None
        side = _filter(params).get("side")
        chosen = [o for o in self.exchange.open_orders(account, key) if side in (None, o.side.capitalize())]
        return [self.rows.order(self.exchange.cancel(account, order.id)) for order in chosen]

    def cancel_all_after(self, account: str, params: dict[str, Any]) -> Any:
        """POST /order/cancelAllAfter, milliseconds."""
        return self.arm(account, self._number(params, "timeout", 0))

    def arm(self, account: str, timeout: int) -> dict[str, Any]:
        """See `practice_stream.Owner`."""
        if not timeout:
            self._armed.pop(account, None)
            return {"now": stamp(self.now_ms), "cancelTime": 0}
        self._armed[account] = self.now_ms + timeout
        return {"now": stamp(self.now_ms), "cancelTime": stamp(self.now_ms + timeout)}

    def orders(self, account: str, params: dict[str, Any]) -> Any:
        """GET /order, by symbol and filter, oldest first."""
        key = self.listing(params).key if params.get("symbol") else None
        wanted = _filter(params)
        found = [*self.exchange.closed_orders(account, key, limit=10_000), *self.exchange.open_orders(account, key)]
        return self._cut(
            [
                self.rows.order(order)
                for order in sorted(found, key=lambda order: order.id)
                if self._matches(order, wanted)
            ],
            params,
        )

    def _matches(self, order: Order, wanted: Mapping[str, Any]) -> bool:
        if "open" in wanted and _true(wanted["open"]) is order.status.is_final:
            return False
        row = self.rows.order(order) if wanted.keys() - {"open"} else {}
        for name, value in wanted.items():
            choices = value if isinstance(value, list) else [value]
            if name != "open" and row.get(name) not in choices:
                return False
        return True

    def executions(self, account: str, params: dict[str, Any]) -> Any:
        """GET /execution/tradeHistory: fills and funding, oldest first."""
        key = self.listing(params).key if params.get("symbol") else None
        wanted = _filter(params)
        found = []
        reached: defaultdict[int, Decimal] = defaultdict(Decimal)
        for fill in self.exchange.fills(account, key, limit=10_000):
            reached[fill.order_id] += fill.size
            order = self.exchange.order(account, fill.order_id)
            row = self.rows.execution(order, "Trade", number=0, fill=fill, filled=reached[fill.order_id])
            row["lastLiquidityInd"] = "Added" if fill.maker else "Removed"  # REST has other words than the stream
            found.append(row)
        payments = self.exchange.funding(account, key)
        found += [self.rows.funding(account, payment, number) for number, payment in enumerate(payments)]
        found.sort(key=lambda row: row["timestamp"])
        found = [row for row in found if all(row.get(name) == value for name, value in wanted.items())]
        return self._cut(self._within(found, params), params)

    # account

    def positions(self, account: str, params: dict[str, Any]) -> Any:
        """GET /position."""
        wanted = _filter(params).get("symbol")
        found = [self.tables.position_row(image) for image in self.exchange.positions(account)]
        return [row for row in found if wanted in (None, row["symbol"])]

    def is_cross(self, account: str, key: str) -> bool:
        """See `practice_stream.Owner`. The exchange itself shares all margin; this is what was asked for."""
        return self._cross.get((account, key), True)

    def leverage(self, account: str, params: dict[str, Any]) -> Any:
        """POST /position/leverage: 0 is cross, with the most that there is."""
        listing, wanted = self.listing(params), _decimal(params, "leverage")
        if wanted is None or not 0 <= wanted <= listing.max_leverage:
            raise ApiError(400, "leverage is invalid", "ValidationError")
        self.exchange.set_leverage(account, listing.key, max(1, int(wanted)) if wanted else listing.max_leverage)
        return self._isolated(account, listing, cross=not wanted)

    def isolate(self, account: str, params: dict[str, Any]) -> Any:
        """POST /position/isolate."""
        return self._isolated(account, self.listing(params), cross=not _true(params.get("enabled", True)))

    def _isolated(self, account: str, listing: Listing, *, cross: bool) -> Any:
        self._cross[account, listing.key] = cross
        self.tables.tell_position(account, listing.key)
        return self.tables.position_row(self.exchange.position(account, listing.key))

    def margin(self, account: str, params: dict[str, Any]) -> Any:
        """GET /user/margin: of one currency an object, of `all` a list."""
        wanted = str(params.get("currency") or "XBt")
        rows = [
            self.rows.margin(account, self.exchange.balance(account, asset, Wallet.MARGIN))
            for asset, (currency, _) in CURRENCIES.items()
            if wanted in ("all", currency)
        ]
        if not rows:
            raise ApiError(400, "currency is invalid", "ValidationError")
        return rows if wanted == "all" else rows[0]

    def commission(self, account: str, params: dict[str, Any]) -> Any:
        """GET /user/commission."""
        return {
            symbol: {
                "makerFee": listing.maker,
                "takerFee": listing.taker,
                "settlementFee": 0,
                "maxFee": max(listing.maker, listing.taker),
            }
            for symbol, listing in self.tables.symbols.items()
        }


# ---------------------------------------------------------------------------------------------------------------------


def _fresh_key() -> dict[str, str]:
    return {"key": secrets.token_urlsafe(18), "secret": secrets.token_urlsafe(36)}


def _answer(value: Any, status: int, headers: Mapping[str, str], *, acted: bool = False) -> HttpAnswer:
    kind = {"Content-Type": "application/json; charset=utf-8"}
    return HttpAnswer(status, encode(value), {**kind, **headers}, acted)


def _params(request: HttpRequest) -> dict[str, Any]:
    """Query, form and JSON body together; numbers keep their digits."""
    found: dict[str, Any] = dict(request.params)
    if request.body[:1] == b"{":
        found.update(msgspec.json.Decoder(float_hook=Decimal).decode(request.body))
    return found


def _filter(params: Mapping[str, Any]) -> dict[str, Any]:
    value = params.get("filter") or {}
    return msgspec.json.decode(value) if isinstance(value, str) else dict(value)


def _true(value: Any) -> bool:
    return value is True or str(value).lower() == "true"


def _decimal(params: Mapping[str, Any], name: str) -> Decimal | None:
    value = params.get(name)
    if value is None or value == "":
        return None
    try:
        return Decimal(str(value))
    except ArithmeticError:
        raise ApiError(400, f"{name} is invalid", "ValidationError") from None


def _moment(value: Any) -> int | None:

    if not value:
        return None
    moment = datetime.fromisoformat(str(value))
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
