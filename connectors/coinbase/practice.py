"""Coinbase's own end of Advanced Trade, in front of the practice exchange: hosts, keys, limits, routing, public REST.

Written from the venue's documentation, not from our connector. `practice_orders` holds accounts and orders, `practice_stream`
the two WebSockets, `practice_keys` keys and tokens. The institutional Exchange API, which has hosts of its own, is not played:
its hosts answer that nothing is there. A USDC product that is an alias has no market: it is another way to pay for the dollar
product's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, InvalidOperation
from email.utils import format_datetime
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature

from connectors.coinbase.practice_keys import Owner, ecdsa_key, ed25519_key, part_of, public_half, unpad, verify
from connectors.coinbase.practice_listings import LISTINGS, MAKER, NAMES, TAKER, TWINS
from connectors.coinbase.practice_orders import Orders
from connectors.coinbase.practice_sandbox import sandbox
from connectors.coinbase.practice_stream import Streams
from connectors.coinbase.practice_terms import ApiError, portfolio, queries, rfc3339, trade_row
from connectors.model import InstrumentStatus, plain
from connectors.practice.exchange import Exchange
from connectors.practice.funds import fund
from connectors.practice.listings import Listing
from connectors.practice.protocol import Connection, HttpAnswer, HttpRequest, VenuePractice, json_answer

BASE = "/api/v3/brokerage"
GRANULARITIES = {
    "ONE_MINUTE": 60,
    "FIVE_MINUTE": 300,
    "FIFTEEN_MINUTE": 900,
    "THIRTY_MINUTE": 1800,
    "ONE_HOUR": 3600,
    "TWO_HOUR": 7200,
    "SIX_HOUR": 21600,
    "ONE_DAY": 86400,
}
TRADES_KEPT = 5000
_NOT_FOUND = {"id": "not_found", "message": "Not found"}


class CoinbasePractice(VenuePractice):
    """See the module. `credentials` is an ECDSA key of the account "trader", `other` an Ed25519 key of "other"."""

    slug = "coinbase"
    listings = (*LISTINGS, *TWINS)

    def __init__(self, exchange: Exchange, credentials: Mapping[str, str] | None = None) -> None:

        self.exchange = exchange
        self.now_ms = exchange.now_ms
        self.keys: dict[str, Owner] = {}
        self.credentials = dict(credentials or ecdsa_key())
        self.other = ed25519_key()
        for account, pair in (("trader", self.credentials), ("other", self.other)):
            fund(exchange, account)
            self.keys[pair["key"]] = Owner(account, public_half(pair["secret"]))
        self.products: dict[str, Listing] = {row.symbol: row for row in exchange.listings.values()}
        self.aliases: dict[str, str] = {}
        for twin in TWINS:
            if twin.symbol in self.products:
                self.aliases[twin.symbol] = f"{twin.base}-USD"
                self.products[twin.symbol] = self.products[f"{twin.base}-USD"]
        self._used: dict[str, tuple[int, int]] = {}
        self._connects: list[int] = []
        self.orders = Orders(self)
        self.streams = Streams(self)
        self.hosts = {
            "https://api.coinbase.com": ("rest", ""),
            f"https://api.coinbase.com{BASE}": ("rest", BASE),
            f"https://api-sandbox.coinbase.com{BASE}": ("sandbox", BASE),
            "wss://advanced-trade-ws.coinbase.com": ("ws", ""),
            "wss://advanced-trade-ws-user.coinbase.com": ("ws-user", ""),
            "https://api.exchange.coinbase.com": ("exchange", ""),
            "wss://ws-feed.exchange.coinbase.com": ("exchange-feed", ""),
            "wss://ws-direct.exchange.coinbase.com": ("exchange-feed", ""),
            "wss://ws-feed.pro.coinbase.com": ("exchange-feed", ""),
            "https://api-public.sandbox.exchange.coinbase.com": ("exchange", ""),
            "wss://ws-feed-public.sandbox.exchange.coinbase.com": ("exchange-feed", ""),
        }
        get = self._get
        self._public: dict[str, Callable[[Mapping[str, list[str]]], Any]] = {
            "/time": self._time,
            "/market/products": self._products,
            "/market/product_book": self._book,
        }
        self._private: dict[tuple[str, str], Callable[[str, Any], Any]] = {
            ("GET", "/products"): get(self._products),
            ("GET", "/product_book"): get(self._book),
            ("GET", "/best_bid_ask"): get(self._best),
            ("GET", "/key_permissions"): lambda account, query: {
                "can_view": True,
                "can_trade": True,
                "can_transfer": False,
                "portfolio_uuid": portfolio(account),
                "portfolio_type": "DEFAULT",
            },
            ("GET", "/transaction_summary"): lambda account, query: self._summary(),
            **self.orders.routes(),
        }

    # -----------------------------------------------------------------------------------------------------------------
    # HTTP

    def http(self, request: HttpRequest, now_ms: int) -> HttpAnswer:
        """Route by path; a 200 of orders may still refuse."""
        self.now_ms = now_ms
        if request.host == "sandbox":
            return sandbox(request)
        if request.host != "rest" or not request.path.startswith(BASE):
            return json_answer({"message": "NotFound"} if request.host != "rest" else {"errors": [_NOT_FOUND]}, 404)
        path = request.path.removeprefix(BASE)
        headers = {"Date": format_datetime(datetime.fromtimestamp(now_ms / 1000, UTC), usegmt=True)}
        try:
            if path.startswith("/market/") or path == "/time":
                self._limit(headers, "ip", 10)
                if request.method != "GET":
                    raise ApiError(404, "not_found")
                answer = json_answer(self._read_public(path, queries(request.query)))
            else:
                owner = self.owner(request.headers.get("authorization", ""), request)
                self._limit(headers, owner.account, 30)
                answer = self._answer_private(owner, path, request)
        except ApiError as error:
            answer = error.answer() if error.status != 429 else self.too_many(1)
        except (ValueError, KeyError, TypeError, AttributeError, InvalidOperation, msgspec.DecodeError) as error:
            answer = ApiError(400, "INVALID_ARGUMENT", f"malformed request ({type(error).__name__})").answer()
        return HttpAnswer(answer.status, answer.body, {**answer.headers, **headers}, answer.acted)

    def _read_public(self, path: str, query: Mapping[str, list[str]]) -> Any:
        handler = self._public.get(path)
        return handler(query) if handler is not None else self._product_path(path.removeprefix("/market"), query)

    def _answer_private(self, owner: Owner, path: str, request: HttpRequest) -> HttpAnswer:
        handler = self._private.get((request.method, path))
        if request.method == "GET":
            query = queries(request.query)
            if handler is not None:
                return json_answer(handler(owner.account, query))
            if path.startswith("/products/"):
                return json_answer(self._product_path(path, query))
            return json_answer(self.orders.by_path(owner.account, path))
        if handler is None:
            raise ApiError(404, "not_found")
        if not owner.can_trade:
            raise ApiError(403, "PERMISSION_DENIED", "Missing required scopes")
        body = msgspec.json.decode(request.body)
        acts = path in ("/orders", "/orders/batch_cancel", "/orders/edit")
        return json_answer(handler(owner.account, body), acted=acts)

    @staticmethod
    def _get(handler: Callable[[Mapping[str, list[str]]], Any]) -> Callable[[str, Any], Any]:
        return lambda account, query: handler(query)

    def _limit(self, headers: dict[str, str], who: str, limit: int) -> None:
        """Count a request of this second and tell it in `headers`; ApiError 429 beyond the limit."""
        second = self.now_ms // 1000
        began, used = self._used.get(who, (second, 0))
        used = used + 1 if began == second else 1
        self._used[who] = (second, used)
        headers |= {
            "x-ratelimit-limit": str(limit),
            "x-ratelimit-remaining": str(max(0, limit - used)),
            "x-ratelimit-reset": "1",
        }
        if used > limit and self.limited:
            raise ApiError(429, "rate_limit_exceeded")

    # -----------------------------------------------------------------------------------------------------------------
    # Tokens

    def owner(self, authorization: str, request: HttpRequest) -> Owner:
        """Who signed a request, by the token's recipe run backwards. ApiError 401."""
        scheme, _, token = authorization.partition(" ")
        if scheme != "Bearer":
            raise ApiError(401, "Unauthorized")
        claims, owner = self.token(token)
        named = [claims["uri"]] if "uri" in claims else claims.get("uris", [])
        hosts = ("api.coinbase.com", request.headers.get("host", ""))
        allowed = [f"{request.method} {host}{request.path}" for host in hosts]
        # ccxt leaves the scheme of a local address in; what was signed is the address that the client used
        allowed += [f"{request.method} http://{hosts[1]}{request.path}"]
        if not any(uri in allowed for uri in named):
            raise ApiError(401, "Unauthorized")
        return owner

    def token(self, token: str) -> tuple[dict[str, Any], Owner]:
        """Claims and owner of a token that is genuine and in its time. ApiError 401."""
        try:
            head, claims, signature = token.split(".")
            fields, said = part_of(head), part_of(claims)
            owner = self.keys[fields["kid"]]
            verify(owner.public, fields["alg"], f"{head}.{claims}".encode(), unpad(signature))
            now = self.now_ms / 1000
            good = said["sub"] == fields["kid"] and said["iss"] in ("cdp", "coinbase-cloud") and bool(fields["nonce"])
            # 120 s from now; a beginning some seconds ago, for a clock that runs ahead, is harmless
            if not good or said["nbf"] > now + 1 or not now <= said["exp"] <= now + 121 or said["nbf"] < now - 180:
                raise ApiError(401, "Unauthorized")
        except (ValueError, KeyError, TypeError, msgspec.DecodeError, InvalidSignature):
            raise ApiError(401, "Unauthorized") from None
        return said, owner

    # -----------------------------------------------------------------------------------------------------------------
    # Products

    def listing(self, product: str) -> Listing:
        """What a product id stands for. ApiError 404."""
        found = self.products.get(product)
        if found is None:
            raise ApiError(404, "not_found")
        return found

    def main(self, product: str) -> str:
        """The product that market data is named after."""
        return self.aliases.get(product, product)

    def _time(self, query: Mapping[str, list[str]]) -> Any:
        return {
            "iso": rfc3339(self.now_ms)[:19] + "Z",
            "epochSeconds": str(self.now_ms // 1000),
            "epochMillis": str(self.now_ms),
        }

    def _products(self, query: Mapping[str, list[str]]) -> Any:
        kind = query.get("product_type", ["SPOT"])[0]
        names = query.get("product_ids") or list(self.products)
        rows = [self.product(name) for name in names if name in self.products] if kind == "SPOT" else []
        offset, limit = int(query.get("offset", ["0"])[0]), int(query.get("limit", ["10000"])[0])
        return {"products": rows[offset : offset + limit], "num_products": len(rows)}

    def product(self, name: str) -> dict[str, Any]:
        """A row of the list of products."""
        listing = self.products[name]
        now = self.exchange.ticker(listing.key)
        status = self.exchange.status(listing.key)
        quote = name.rpartition("-")[2]
        change = (now.last - now.open) / now.open * 100 if now.open else Decimal(0)
        off = status is InstrumentStatus.CLOSED
        return {
            "product_id": name,
            "price": plain(now.last),
            "price_percentage_change_24h": f"{change:.14f}",
            "volume_24h": plain(now.volume),
            "volume_percentage_change_24h": "0",
            "base_increment": plain(listing.step),
            "quote_increment": plain(listing.tick),
            "quote_min_size": plain(listing.min_notional),
            "quote_max_size": "150000000",
            "base_min_size": plain(listing.minimum),
            "base_max_size": plain(listing.maximum),
            "base_name": NAMES.get(listing.base, listing.base),
            "quote_name": NAMES.get(quote, quote),
            "watched": False,
            "is_disabled": False,
            "new": False,
            "status": "online",
            "cancel_only": status is InstrumentStatus.CANCEL_ONLY,
            "limit_only": False,
            "post_only": False,
            "trading_disabled": off,
            "auction_mode": False,
            "product_type": "SPOT",
            "quote_currency_id": quote,
            "base_currency_id": listing.base,
            "fcm_trading_session_details": None,
            "mid_market_price": "",
            "alias": self.aliases.get(name, ""),
            "alias_to": [alias for alias, main in self.aliases.items() if main == name],
            "base_display_symbol": listing.base,
            "quote_display_symbol": "USD" if quote == "USDC" else quote,
            "view_only": False,
            "price_increment": plain(listing.tick),
            "display_name": name,
            "product_venue": "CBE",
            "approximate_quote_24h_volume": f"{now.value:.2f}",
            "new_at": "2023-01-01T00:00:00Z",
            "market_cap": "",
            "best_bid_price": "",
            "best_ask_price": "",
        }

    def _product_path(self, path: str, query: Mapping[str, list[str]]) -> Any:
        """/products/{id}, /products/{id}/candles, /products/{id}/ticker."""
        parts = path.strip("/").split("/")
        if parts[0] != "products" or len(parts) not in (2, 3):
            raise ApiError(404, "not_found")
        listing = self.listing(parts[1])
        match parts[2:]:
            case []:
                return self.product(parts[1])
            case ["candles"]:
                return {"candles": self._candles(listing, query)}
            case ["ticker"]:
                return self._ticker(parts[1], listing, query)
        raise ApiError(404, "not_found")

    def _book(self, query: Mapping[str, list[str]]) -> Any:
        product = query.get("product_id", [""])[0]
        listing = self.listing(product)
        limit = int(query["limit"][0]) if "limit" in query else None
        step = Decimal(query.get("aggregation_price_increment", ["0"])[0])
        image = self.exchange.book(listing.key, None if step > 0 else limit)
        bids, asks = ((row.price, row.size) for row in image.bids), ((row.price, row.size) for row in image.asks)
        book = {
            "product_id": product,
            "bids": _levels(bids, step, ROUND_FLOOR, limit),
            "asks": _levels(asks, step, ROUND_CEILING, limit),
            "time": rfc3339(image.time),
        }
        if not image.bids or not image.asks:
            return {"pricebook": book, "last": "", "mid_market": "", "spread_bps": "", "spread_absolute": ""}
        bid, ask = image.bids[0].price, image.asks[0].price
        middle = (bid + ask) / 2
        return {
            "pricebook": book,
            "last": plain(self.exchange.ticker(listing.key).last),
            "mid_market": plain(middle),
            "spread_bps": f"{(ask - bid) / middle * 10000:.12f}",
            "spread_absolute": plain(ask - bid),
        }

    def _best(self, query: Mapping[str, list[str]]) -> Any:
        names = query.get("product_ids") or list(self.products)
        return {"pricebooks": [self._book({"product_id": [name], "limit": ["1"]})["pricebook"] for name in names]}

    def _ticker(self, product: str, listing: Listing, query: Mapping[str, list[str]]) -> Any:
        limit = min(int(query.get("limit", ["100"])[0]), 1000)
        start, end = int(query.get("start", ["0"])[0]), int(query.get("end", [str(2**40)])[0])
        windowed = "start" in query or "end" in query
        found = self.exchange.trades(listing.key, limit=TRADES_KEPT if windowed else limit)
        found = [row for row in found if start * 1000 <= row.time <= end * 1000][-limit:]
        bid, ask = self.exchange.best(listing.key)
        return {
            "trades": [
                {**trade_row(self.main(product), row), "bid": "", "ask": "", "exchange": "coinbase"}
                for row in reversed(found)
            ],
            "best_bid": plain(bid.price) if bid else "",
            "best_ask": plain(ask.price) if ask else "",
        }

    def _candles(self, listing: Listing, query: Mapping[str, list[str]]) -> Any:
        name = query.get("granularity", [""])[0]
        if name not in GRANULARITIES:
            raise ApiError(400, "INVALID_ARGUMENT", "granularity is not known")
        span = GRANULARITIES[name]
        start, end = int(query["start"][0]), int(query["end"][0])
        if (end - start) // span > 350:
            raise ApiError(400, "INVALID_ARGUMENT", "number of candles requested should be less than 350")
        limit = min(int(query.get("limit", ["350"])[0]), 350)
        bars = self.exchange.candles(listing.key, span * 1000, start=start * 1000, end=end * 1000, limit=limit)
        return [
            {
                "start": str(bar.start // 1000),
                "low": plain(bar.low),
                "high": plain(bar.high),
                "open": plain(bar.open),
                "close": plain(bar.close),
                "volume": plain(bar.volume),
            }
            for bar in reversed(bars)
            if bar.volume
        ]

    def _summary(self) -> Any:
        return {
            "total_volume": 0,
            "total_fees": 0,
            "fee_tier": {
                "pricing_tier": "Advanced 1",
                "usd_from": "0",
                "usd_to": "1000",
                "taker_fee_rate": plain(TAKER),
                "maker_fee_rate": plain(MAKER),
            },
            "margin_rate": None,
            "goods_and_services_tax": None,
            "advanced_trade_only_volume": 0,
            "advanced_trade_only_fees": 0,
            "coinbase_pro_volume": 0,
            "coinbase_pro_fees": 0,
        }

    # -----------------------------------------------------------------------------------------------------------------
    # WebSockets and faults

    def accept(
        self, host: str, path: str, query: Mapping[str, str] | str, headers: Mapping[str, str], now_ms: int
    ) -> Connection | HttpAnswer:
        """Both hosts speak alike; eight connections a second."""
        self.now_ms = now_ms
        if host not in ("ws", "ws-user") or path not in ("", "/"):
            return HttpAnswer(404, b"Not found")
        self._connects = [moment for moment in self._connects if moment > now_ms - 1000]
        if len(self._connects) >= 8 and self.limited:
            return HttpAnswer(429, b"Too Many Requests")
        self._connects.append(now_ms)
        return self.streams.open(private=host == "ws-user")

    def tick(self, now_ms: int) -> None:
        """Connections keep their own time."""
        self.now_ms = now_ms

    def is_book(self, frame: str | bytes) -> bool:
        """Messages of the book's channel."""
        return '"channel":"l2_data"' in str(frame[:40])

    def no_verdict(self) -> HttpAnswer:
        """A 5xx says nothing about the order."""
        return json_answer({"error": "INTERNAL", "error_details": "", "message": "internal error"}, 500)

    def too_many(self, seconds: int) -> HttpAnswer:
        """429, envelope (b)."""
        body = {"errors": [{"id": "rate_limit_exceeded", "message": "Too many requests"}]}
        return json_answer(body, 429, {"x-ratelimit-reset": str(seconds)})


def _levels(
    rows: Iterable[tuple[Decimal, Decimal]], step: Decimal, rounding: str, limit: int | None
) -> list[dict[str, str]]:
    """Levels as REST writes them, best first; those within one `step` are one, at the price that is worse for a taker."""
    found: dict[Decimal, Decimal] = {}
    for price, size in rows:
        at = (price / step).to_integral_value(rounding) * step if step > 0 else price
        found[at] = found.get(at, Decimal(0)) + size
    return [{"price": plain(price), "size": plain(size)} for price, size in list(found.items())[:limit]]
