"""What Binance's spot and USD-M answer alike over HTTP, from the venue's side: market data, signed requests, orders, weight."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

from connectors.binance.practice_bars import closes, months, seconds
from connectors.binance.practice_limits import Gate
from connectors.binance.practice_terms import INTERVALS, MONDAY, ApiError, dec
from connectors.model import OrderKind, Side, TimeInForce
from connectors.practice.exchange import Exchange
from connectors.practice.listings import Listing
from connectors.practice.protocol import HttpRequest, Keys
from connectors.practice.terms import Bar, NewOrder, Order, PublicTrade, Refusal

MAX_PRICE = Decimal(1_000_000)  # of every listing


def _limit(params: Mapping[str, str], default: int, most: int) -> int:
    """How many rows are asked for; above the most it is the most."""
    limit = int(params.get("limit", default))
    if limit < 1:
        raise ApiError(-1130, "Data sent for parameter 'limit' is not valid.")
    return min(limit, most)


class Rest(ABC):
    """What spot and USD-M have in common over HTTP. `number` formats a price or size."""

    futures = False

    def __init__(self, exchange: Exchange, keys: Keys) -> None:
        self.exchange = exchange
        self.keys = keys
        self.now_ms = exchange.now_ms
        self.listings: dict[str, Listing] = {}
        self.gate = self.make_gate()

    @abstractmethod
    def make_gate(self) -> Gate:
        """The product's limits."""

    # what a symbol is

    def listing(self, symbol: str | None) -> Listing:
        """By the wire's name. ApiError -1121."""
        if not symbol:
            raise ApiError(-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
        found = self.listings.get(symbol)
        if found is None:
            raise ApiError(-1121, "Invalid symbol.")
        return found

    def symbol(self, key: str) -> str:
        """The wire's name of a listing key."""
        listing = self.exchange.listings[key]
        return listing.base + listing.quote

    def number(self, value: Decimal | None) -> str:
        """Money on the wire."""
        return f"{value or Decimal(0):.8f}"

    def book_id(self, sequence: int) -> int:
        """The id on the wire of a book's sequence number."""
        return sequence

    # public REST

    def depth(self, params: Mapping[str, str]) -> Any:
        """GET depth."""
        listing = self.listing(params.get("symbol"))
        limit = _limit(params, 100 if not self.futures else 500, 5000)
        if self.futures and limit not in (5, 10, 20, 50, 100, 500, 1000):
            raise ApiError(-4021, f"{limit} is not valid depth limit.")
        image = self.exchange.book(listing.key, limit)
        body: dict[str, Any] = {"lastUpdateId": self.book_id(image.sequence)}
        if self.futures:
            body |= {"E": self.now_ms, "T": image.time}
        body["bids"] = [[self.number(row.price), self.number(row.size)] for row in image.bids]
        body["asks"] = [[self.number(row.price), self.number(row.size)] for row in image.asks]
        return body

    def trades(self, params: Mapping[str, str]) -> Any:
        """GET trades."""
        listing = self.listing(params.get("symbol"))
        found = self.exchange.trades(listing.key, limit=_limit(params, 500, 1000))
        return [
            {
                "id": row.id,
                "price": self.number(row.price),
                "qty": self.number(row.size),
                "quoteQty": self.number(row.value),
                "time": row.time,
                "isBuyerMaker": row.side is Side.SELL,
                "isBestMatch": True,
            }
            for row in found
        ]

    def agg_trades(self, params: Mapping[str, str]) -> Any:
        """GET aggTrades; here each trade is its own aggregate."""
        listing = self.listing(params.get("symbol"))
        found = self.exchange.trades(listing.key, limit=_limit(params, 500, 1000))
        start, end = int(params.get("startTime", 0)), int(params.get("endTime", 2**62))
        return [
            self.agg_row(row) for row in found if start <= row.time <= end and row.id >= int(params.get("fromId", 0))
        ]

    def agg_row(self, row: PublicTrade) -> dict[str, Any]:
        """One aggregated trade."""
        return {
            "a": row.id,
            "p": self.number(row.price),
            "q": self.number(row.size),
            "f": row.id,
            "l": row.id,
            "T": row.time,
            "m": row.side is Side.SELL,
            "M": True,
        }

    def klines(self, params: Mapping[str, str]) -> Any:
        """GET klines, oldest first, the last one running."""
        listing = self.listing(params.get("symbol"))
        interval = params.get("interval", "")
        if interval not in INTERVALS:
            raise ApiError(-1120, "Invalid interval.")
        start, end = params.get("startTime"), params.get("endTime")
        bars = self.bars(
            listing.key,
            interval,
            start=int(start) if start else None,
            end=int(end) if end else None,
            limit=_limit(params, 500, 1500 if self.futures else 1000),
        )
        return [
            [
                bar.start,
                self.number(bar.open),
                self.number(bar.high),
                self.number(bar.low),
                self.number(bar.close),
                self.number(bar.volume),
                closes(bar.start, interval),
                self.number(bar.value),
                bar.trades,
                self.number(bar.taker_buy),
                self.number(bar.taker_buy * bar.close),
                "0",
            ]
            for bar in bars
        ]

    def bars(
        self, key: str, interval: str, *, start: int | None = None, end: int | None = None, limit: int = 500
    ) -> list[Bar]:
        """Candles of the exchange, which keeps whole minutes: seconds come from the tape, months from days."""
        if interval == "1s":
            return seconds(self.exchange.trades(key, limit=5000), self.now_ms, start, end, limit)
        if interval == "1M":
            return months(self.exchange.candles(key, INTERVALS["1d"], limit=5000), start, end, limit)
        offset = MONDAY if interval == "1w" else 0
        return self.exchange.candles(key, INTERVALS[interval], start=start, end=end, limit=limit, offset_ms=offset)

    def ticker_24h(self, params: Mapping[str, str]) -> Any:
        """GET ticker/24hr of one, some or all symbols."""
        if "symbol" in params:
            return self.ticker_row(self.listing(params["symbol"]).key)
        names = msgspec.json.decode(params["symbols"]) if "symbols" in params else list(self.listings)
        return [self.ticker_row(self.listing(name).key) for name in names]

    def ticker_row(self, key: str) -> dict[str, Any]:
        """24 h statistics of one listing."""
        now = self.exchange.ticker(key)
        change = now.last - now.open
        row: dict[str, Any] = {
            "symbol": self.symbol(key),
            "priceChange": self.number(change),
            "priceChangePercent": f"{change / now.open * 100 if now.open else 0:.3f}",
            "weightedAvgPrice": self.number(now.value / now.volume if now.volume else now.last),
            "lastPrice": self.number(now.last),
            "lastQty": self.number(now.last_size),
            "openPrice": self.number(now.open),
            "highPrice": self.number(now.high),
            "lowPrice": self.number(now.low),
            "volume": self.number(now.volume),
            "quoteVolume": self.number(now.value),
            "openTime": now.open_time,
            "closeTime": now.time,
            "firstId": now.first_trade,
            "lastId": now.last_trade,
            "count": now.trades,
        }
        if not self.futures:
            row |= {"prevClosePrice": self.number(now.open), **self._best_row(key)}
        return row

    def book_ticker(self, params: Mapping[str, str]) -> Any:
        """GET ticker/bookTicker."""
        if "symbol" in params:
            key = self.listing(params["symbol"]).key
            return {"symbol": self.symbol(key), **self._best_row(key)}
        return [{"symbol": name, **self._best_row(listing.key)} for name, listing in self.listings.items()]

    def price_ticker(self, params: Mapping[str, str]) -> Any:
        """GET ticker/price."""
        if "symbol" in params:
            key = self.listing(params["symbol"]).key
            return {"symbol": self.symbol(key), "price": self.number(self.exchange.ticker(key).last)}
        return [
            {"symbol": name, "price": self.number(self.exchange.ticker(listing.key).last)}
            for name, listing in self.listings.items()
        ]

    def _best_row(self, key: str) -> dict[str, str]:
        bid, ask = self.exchange.best(key)
        return {
            "bidPrice": self.number(bid.price if bid else None),
            "bidQty": self.number(bid.size if bid else None),
            "askPrice": self.number(ask.price if ask else None),
            "askQty": self.number(ask.size if ask else None),
        }

    # signed requests

    def account_of(self, request: HttpRequest, security: str) -> str:
        """Check key, signature and time by the documented recipe, on the bytes that came. Raises ApiError."""
        name = request.headers.get("x-mbx-apikey", "")
        if not name:
            raise ApiError(-2014, "API-key format invalid.", 401)
        key = self.keys.find(name)
        if key is None:
            raise ApiError(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        if security == "key":
            return key.account
        query, body = request.query, request.body.decode("utf-8", "replace")
        payload, signature = "", ""
        for part in (query, body):
            head, found, tail = part.rpartition("signature=")
            if found and (not head or head.endswith("&")):
                signature = tail
                payload += head.removesuffix("&")
            else:
                payload += part
        if not signature:
            raise ApiError(-1102, "Mandatory parameter 'signature' was not sent, was empty/null, or malformed.")
        if not self.keys.verify_sha256(key, payload.encode(), unquote(signature)):
            raise ApiError(-1022, "Signature for this request is not valid.")
        self.check_time(dict(parse_qsl(payload.replace("?", "&"), keep_blank_values=True)))
        return key.account

    def check_time(self, params: Mapping[str, Any]) -> None:
        """timestamp against recvWindow. ApiError -1021."""
        try:
            stamp, window = int(params["timestamp"]), int(params.get("recvWindow", 5000))
        except (KeyError, ValueError):
            raise ApiError(
                -1102, "Mandatory parameter 'timestamp' was not sent, was empty/null, or malformed."
            ) from None
        if window > 60_000:
            raise ApiError(-1131, "recvWindow must be less than 60000.")
        if stamp >= self.now_ms + 1000:
            raise ApiError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
        if self.now_ms - stamp > window:
            raise ApiError(-1021, "Timestamp for this request is outside of the recvWindow.")

    # orders

    def new_order(self, listing: Listing, params: Mapping[str, Any], kinds: Mapping[str, OrderKind]) -> NewOrder:
        """The exchange's order for place parameters. ApiError for what the venue checks before the engine."""
        for name in ("side", "type"):
            if not params.get(name):
                raise ApiError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
        if params["side"] not in ("BUY", "SELL"):
            raise ApiError(-1117, "Invalid side.")
        name = params["type"]
        if name not in kinds:
            raise ApiError(-1116, "Invalid orderType.")
        kind = kinds[name]
        tif = params.get("timeInForce")
        if kind.has_price and name != "LIMIT_MAKER" and not tif:
            raise ApiError(-1102, "Mandatory parameter 'timeInForce' was not sent, was empty/null, or malformed.")
        if tif and tif not in (("GTC", "IOC", "FOK", "GTX") if self.futures else ("GTC", "IOC", "FOK")):
            raise ApiError(-1115, "Invalid timeInForce.")
        if (name == "LIMIT_MAKER" or kind is OrderKind.MARKET) and tif:
            raise ApiError(-1106, "Parameter 'timeInForce' sent when not required.")
        fields: dict[str, Any] = {}
        for field, source in (("amount", "quantity"), ("quote_amount", "quoteOrderQty"), ("price", "price")):
            fields[field] = dec(str(params[source]), source) if params.get(source) not in (None, "") else None
        trigger = params.get("stopPrice") or params.get("triggerPrice")
        if kind.has_price and fields["price"] is None:
            raise ApiError(-1102, "Mandatory parameter 'price' was not sent, was empty/null, or malformed.")
        surplus = {
            "price": fields["price"] is not None and not kind.has_price,
            "quoteOrderQty": fields["quote_amount"] is not None and kind is not OrderKind.MARKET,
            "stopPrice": bool(trigger) and not kind.has_trigger,
        }
        for source in (source for source, sent in surplus.items() if sent):
            raise ApiError(-1106, f"Parameter '{source}' sent when not required.")
        if fields["amount"] is not None and fields["quote_amount"] is not None:
            raise ApiError(-1128, "Combination of optional parameters invalid.")
        if fields["amount"] is None and fields["quote_amount"] is None:
            raise ApiError(-1102, "Mandatory parameter 'quantity' was not sent, was empty/null, or malformed.")
        if kind.has_trigger and not trigger:
            raise ApiError(-1102, "Mandatory parameter 'stopPrice' was not sent, was empty/null, or malformed.")
        for field, source in (("amount", "quantity"), ("price", "price")):
            value = fields[field]
            if value is not None and -int(value.as_tuple().exponent) > 8 and value != round(value, 8):
                raise ApiError(-1111, f"Parameter '{source}' has too much precision.")
        if fields["price"] is not None and fields["price"] > MAX_PRICE:
            raise self.too_dear()
        return NewOrder(
            key=listing.key,
            side=Side(params["side"].lower()),
            kind=kind,
            trigger=dec(str(trigger), "stopPrice") if trigger else None,
            tif=TimeInForce((tif or "GTC").lower()) if tif != "GTX" else TimeInForce.GTC,
            post_only=name == "LIMIT_MAKER" or tif == "GTX",
            reduce_only=str(params.get("reduceOnly", "")).lower() == "true",
            client_id=str(params.get("newClientOrderId") or params.get("clientAlgoId") or f"pr{secrets.token_hex(10)}"),
            **fields,
        )

    def find(self, account: str, params: Mapping[str, Any], code: int) -> Order:
        """An order by orderId or origClientOrderId. ApiError `code`."""
        listing = self.listing(params.get("symbol"))
        name: int | str | None = None
        if params.get("orderId") not in (None, ""):
            name = int(params["orderId"])
        elif params.get("origClientOrderId"):
            name = str(params["origClientOrderId"])
        if name is None:
            raise ApiError(-1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!")
        text = "Unknown order sent." if code == -2011 else "Order does not exist."
        try:
            order = self.exchange.order(account, name)
        except Refusal:
            raise ApiError(code, text) from None
        if order.key != listing.key:
            raise ApiError(code, text)
        return order

    @abstractmethod
    def too_dear(self) -> ApiError:
        """A price above the greatest."""

    @abstractmethod
    def refuse(self, refusal: Refusal) -> ApiError:
        """The venue's words for a refusal of the engine."""
