"""Kraken's own end of its protocol, in front of the practice exchange: hosts, keys, nonces, limits, and the REST API `/0`.

Written from the venue's documentation, not from our connector. `practice_socket` and its two endpoints speak WebSocket v2,
`practice_orders` is what both have in common, `practice_pairs` what is listed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

import msgspec

from connectors.kraken.practice_orders import RULES, KrakenError, Leak, Orders, Wish, number
from connectors.kraken.practice_pairs import ASSETS, COST_DIGITS, LOT_DIGITS, PAIRS, Pair, size
from connectors.kraken.practice_private import PrivateConnection
from connectors.kraken.practice_public import PublicConnection
from connectors.kraken.practice_socket import Hub
from connectors.model import InstrumentStatus, Side
from connectors.practice.exchange import Exchange
from connectors.practice.funds import fund
from connectors.practice.protocol import Connection, HttpAnswer, HttpRequest, Key, VenuePractice, json_answer

INTERVALS = (1, 5, 15, 30, 60, 240, 1440, 10080, 21600)
MONDAY = 4 * 86_400_000
TOKEN_LIFE = 900
_TIERS = ((0, "0.40", "0.25"), (10_000, "0.35", "0.20"), (50_000, "0.24", "0.14"), (100_000, "0.22", "0.12"))
_MODES = {
    InstrumentStatus.TRADING: "online",
    InstrumentStatus.CANCEL_ONLY: "cancel_only",
    InstrumentStatus.CLOSED: "maintenance",
}
_LOCK_AFTER = 10  # failures of one key
Params = Mapping[str, Any]


class KrakenPractice(VenuePractice):
    """REST and both sockets. `credentials` is a key of "trader", `other` one of the account "other"."""

    slug = "kraken"
    listings = tuple(pair.listing for pair in PAIRS)

    def __init__(self, exchange: Exchange, credentials: Mapping[str, str] | None = None) -> None:
        self.exchange = exchange
        self.credentials = dict(credentials or _made_key())
        self.other = _made_key()
        self._keys: dict[str, Key] = {}
        for account, pair in (("trader", self.credentials), ("other", self.other)):
            fund(exchange, account)
            exchange.open_account(account, RULES)
            exchange.deposit(account, "DOGE", Decimal(100_000))
            exchange.deposit(account, "XRP", Decimal(100_000))
            self._keys[pair["key"]] = Key(pair["key"], account, pair["secret"])
        self.orders = Orders(exchange)
        self.hub = Hub(exchange, self.orders)
        self.token_life = TOKEN_LIFE
        self.now_ms = exchange.now_ms
        self._nonces: dict[str, int] = {}
        self._failures: dict[str, int] = {}
        self._locked: dict[str, int] = {}
        self._counters: dict[str, Leak] = {}
        self._public = Leak(30, 1.0)
        self.hosts = {
            "https://api.kraken.com": ("rest", ""),
            "wss://ws.kraken.com": ("ws", ""),
            "wss://ws.kraken.com/v2": ("ws", "/v2"),
            "wss://beta-ws.kraken.com/v2": ("ws", "/v2"),
            "wss://ws-auth.kraken.com": ("ws-auth", ""),
            "wss://ws-auth.kraken.com/v2": ("ws-auth", "/v2"),
            "wss://beta-ws-auth.kraken.com/v2": ("ws-auth", "/v2"),
            "wss://ws-l3.kraken.com/v2": ("ws-l3", "/v2"),
            "wss://uws.kraken.com/v2/private": ("uws", "/v2/private"),
        }
        self._get: dict[str, Callable[[Params], Any]] = {
            "Time": self._time,
            "SystemStatus": lambda params: {"status": "online", "timestamp": self._moment()},
            "Assets": self._assets,
            "AssetPairs": self._pairs,
            "Ticker": self._ticker,
            "OHLC": self._ohlc,
            "Depth": self._depth,
            "Trades": self._trades,
        }
        # method -> handler, weight in the key's counter, whether it acts on orders
        self._post: dict[str, tuple[Callable[[str, Params], Any], float, bool]] = {
            "Balance": (self._balance, 1, False),
            "BalanceEx": (self._balance_ex, 1, False),
            "TradeBalance": (self._trade_balance, 1, False),
            "OpenOrders": (self._open_orders, 1, False),
            "ClosedOrders": (self._closed_orders, 1, False),
            "QueryOrders": (self._query_orders, 1, False),
            "TradesHistory": (self._trades_history, 2, False),
            "QueryTrades": (self._query_trades, 2, False),
            "OpenPositions": (lambda account, params: {}, 1, False),
            "TradeVolume": (self._trade_volume, 1, False),
            "GetWebSocketsToken": (self._token, 1, False),
            "AddOrder": (self._add, 0, True),
            "AddOrderBatch": (self._add_batch, 0, True),
            "AmendOrder": (self._amend, 0, True),
            "CancelOrder": (self._cancel, 0, True),
            "CancelOrderBatch": (self._cancel_batch, 0, True),
            "CancelAll": (self._cancel_all, 0, True),
            "CancelAllOrdersAfter": (
                lambda account, params: self.orders.cancel_after(account, str(params.get("timeout", ""))),
                0,
                False,
            ),
        }

    # requests

    def http(self, request: HttpRequest, now_ms: int) -> HttpAnswer:
        """`/0/public/<Method>` and `/0/private/<Method>`; errors come with HTTP 200."""
        self._at(now_ms)
        kind, _, method = request.path.removeprefix("/0/").partition("/")
        acted = False
        try:
            if kind == "public" and method in self._get:
                if not self._public.take(1, now_ms) and self.limited:
                    raise KrakenError("EGeneral:Too many requests")
                result = self._get[method](request.params)
            elif kind == "private" and method in self._post:
                if request.method != "POST":
                    raise KrakenError("EGeneral:Invalid arguments")
                handler, weight, acted = self._post[method]
                account, params = self._signed(request)
                counter = self._counters.setdefault(account, Leak(20, 0.5))
                if weight and not counter.take(weight, now_ms) and self.limited:
                    raise KrakenError("EAPI:Rate limit exceeded")
                result = handler(account, params)
            else:
                raise KrakenError("EGeneral:Unknown method")
        except KrakenError as error:
            return json_answer({"error": [str(error)]})
        except (ValueError, TypeError, ArithmeticError, msgspec.DecodeError):
            return json_answer({"error": ["EGeneral:Invalid arguments"]})
        return json_answer({"error": [], "result": result}, acted=acted)

    def _signed(self, request: HttpRequest) -> tuple[str, Params]:
        """Check key, signature and nonce by the documented recipe, on the bytes that came."""
        key = self._keys.get(request.headers.get("api-key", ""))
        if key is None:
            raise KrakenError("EAPI:Invalid key")
        if self.now_ms < self._locked.get(key.key, 0):
            raise KrakenError("EGeneral:Temporary lockout")
        as_json = request.headers.get("content-type", "").startswith("application/json")
        fields: Params = (
            msgspec.json.decode(request.body)
            if as_json
            else {name: values[-1] for name, values in parse_qs(request.body.decode(), keep_blank_values=True).items()}
        )
        nonce = str(fields.get("nonce", ""))
        inner = hashlib.sha256(nonce.encode() + request.body).digest()
        secret = base64.b64decode(key.secret)
        expected = hmac.new(secret, request.path.encode() + inner, hashlib.sha512).digest()
        try:
            sent = base64.b64decode(request.headers.get("api-sign", ""), validate=True)
        except binascii.Error:
            sent = b""
        if not hmac.compare_digest(sent, expected):
            self._failures[key.key] = self._failures.get(key.key, 0) + 1
            if self._failures[key.key] >= _LOCK_AFTER:
                self._failures[key.key] = 0
                self._locked[key.key] = self.now_ms + 900_000
            raise KrakenError("EAPI:Invalid signature")
        self._failures.pop(key.key, None)
        if not nonce.isdigit() or not self._nonces.get(key.key, 0) < int(nonce) < 2**64:
            raise KrakenError("EAPI:Invalid nonce")
        self._nonces[key.key] = int(nonce)
        return key.account, fields

    def set_nonce(self, key: str, nonce: int) -> None:
        """As if another client had used `nonce` with this key."""
        self._nonces[key] = nonce

    # public

    def _moment(self) -> str:
        return datetime.fromtimestamp(self.now_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _time(self, params: Params) -> Any:
        moment = datetime.fromtimestamp(self.now_ms // 1000, UTC)
        return {"unixtime": self.now_ms // 1000, "rfc1123": moment.strftime("%a, %d %b %y %H:%M:%S +0000")}

    @staticmethod
    def _assets(params: Params) -> Any:
        return {
            name: {"aclass": "currency", "altname": alt, "decimals": digits, "display_decimals": 5, "status": "enabled"}
            for name, alt, digits, _ in ASSETS
        }

    def _chosen(self, params: Params) -> list[Pair]:
        names = params.get("pair", "")
        return [self.orders.pair(name) for name in names.split(",")] if names else list(self.orders.by_key.values())

    def _pairs(self, params: Params) -> Any:
        ids = {today: name for name, _, _, today in ASSETS}
        found = {}
        for pair in self._chosen(params):
            listing = pair.listing
            found[pair.name] = {
                "altname": pair.alt,
                "wsname": pair.ws,
                "aclass_base": "currency",
                "base": ids[listing.base],
                "aclass_quote": "currency",
                "quote": ids[listing.quote],
                "lot": "unit",
                "cost_decimals": COST_DIGITS,
                "pair_decimals": pair.digits,
                "lot_decimals": LOT_DIGITS,
                "lot_multiplier": 1,
                "leverage_buy": [],
                "leverage_sell": [],
                "fees": [[volume, float(taker)] for volume, taker, _ in _TIERS],
                "fees_maker": [[volume, float(maker)] for volume, _, maker in _TIERS],
                "fee_volume_currency": "ZUSD",
                "margin_call": 80,
                "margin_stop": 40,
                "ordermin": format(listing.minimum, "f"),
                "costmin": format(listing.min_notional, "f"),
                "tick_size": format(listing.tick, "f"),
                "status": _MODES[self.exchange.status(pair.key)],
                "execution_venue": "international",
            }
        return found

    def _ticker(self, params: Params) -> Any:
        return {pair.name: self._ticker_row(pair) for pair in self._chosen(params)}

    def _ticker_row(self, pair: Pair) -> dict[str, Any]:
        now = self.exchange.ticker(pair.key)
        mean = now.value / now.volume if now.volume else now.last

        def best(level: Any) -> list[str]:
            return [pair.price(level.price), str(max(1, int(level.size))), f"{level.size:.3f}"] if level else ["0"] * 3

        both = lambda text: [text, text]  # noqa: E731 - today and 24 h: practice has but one day
        return {
            "a": best(now.ask),
            "b": best(now.bid),
            "c": [pair.price(now.last), size(now.last_size)],
            "v": both(size(now.volume)),
            "p": both(pair.price(mean)),
            "t": [now.trades, now.trades],
            "l": both(pair.price(now.low)),
            "h": both(pair.price(now.high)),
            "o": pair.price(now.open),
        }

    def _ohlc(self, params: Params) -> Any:
        pair, minutes = self.orders.pair(params.get("pair", "")), int(params.get("interval", 1))
        if minutes not in INTERVALS:
            raise KrakenError("EGeneral:Invalid arguments:interval")
        offset = MONDAY if minutes == 10080 else 0
        bars = self.exchange.candles(pair.key, minutes * 60_000, limit=720, offset_ms=offset)
        since = int(params.get("since") or 0)
        rows = [
            [
                bar.start // 1000,
                pair.price(bar.open),
                pair.price(bar.high),
                pair.price(bar.low),
                pair.price(bar.close),
                pair.price(bar.value / bar.volume if bar.volume else Decimal(0)),
                size(bar.volume),
                bar.trades,
            ]
            for bar in bars
            if bar.start // 1000 > since
        ]
        return {pair.name: rows, "last": bars[-2].start // 1000 if len(bars) > 1 else 0}

    def _depth(self, params: Params) -> Any:
        pair, count = self.orders.pair(params.get("pair", "")), int(params.get("count", 100))
        if not 1 <= count <= 500:
            raise KrakenError("EGeneral:Invalid arguments:count")
        image = self.exchange.book(pair.key, count)
        stamp = image.time // 1000
        sides = {"asks": image.asks, "bids": image.bids}
        return {
            pair.name: {
                name: [[pair.price(row.price), size(row.size), stamp] for row in rows] for name, rows in sides.items()
            }
        }

    def _trades(self, params: Params) -> Any:
        pair, count = self.orders.pair(params.get("pair", "")), int(params.get("count", 1000))
        since = int(params.get("since") or 0) // 1_000_000
        found = [row for row in self.exchange.trades(pair.key, limit=min(count, 1000)) if row.time > since]
        rows = [
            [
                pair.price(row.price),
                size(row.size),
                row.time / 1000,
                "b" if row.side is Side.BUY else "s",
                "l",
                "",
                row.id,
            ]
            for row in found
        ]
        return {pair.name: rows, "last": str((found[-1].time if found else self.now_ms) * 1_000_000)}

    # account

    def _balance(self, account: str, params: Params) -> Any:
        return {name: _exact(total) for name, (total, _) in self.orders.balance_rows(account).items()}

    def _balance_ex(self, account: str, params: Params) -> Any:
        return {
            name: {"balance": _exact(total), "hold_trade": _exact(held)}
            for name, (total, held) in self.orders.balance_rows(account).items()
        }

    def _trade_balance(self, account: str, params: Params) -> Any:
        total = self.exchange.balance(account, "USD").total
        zero = dict.fromkeys(("m", "uv", "n", "c", "v"), "0.0000")
        return {**zero, "eb": f"{total:.4f}", "tb": f"{total:.4f}", "e": f"{total:.4f}", "mf": f"{total:.4f}"}

    def _open_orders(self, account: str, params: Params) -> Any:
        wanted = params.get("cl_ord_id")
        found = [row for row in self.exchange.open_orders(account) if not wanted or row.client_id == wanted]
        return {"open": {self.orders.txid(row.id): self.orders.order_row(row) for row in found}}

    def _closed_orders(self, account: str, params: Params) -> Any:
        found = self.exchange.closed_orders(account, limit=10_000)
        start, end = float(params.get("start") or 0), float(params.get("end") or 2**40)
        found = [row for row in reversed(found) if start <= row.updated / 1000 <= end]
        offset = int(params.get("ofs") or 0)
        page = found[offset : offset + 50]
        return {
            "closed": {self.orders.txid(row.id): self.orders.order_row(row) for row in page},
            "count": len(found),
        }

    def _query_orders(self, account: str, params: Params) -> Any:
        names = str(params.get("txid", "")).split(",")
        if len(names) > 50:
            raise KrakenError("EGeneral:Invalid arguments:txid")
        found = {}
        for name in names:
            order = self.orders.find(account, txid=name)
            row = self.orders.order_row(order)
            if params.get("trades") == "true" and order.filled:
                fills = self.exchange.fills(account, order.key, order_id=order.id)
                row["trades"] = [self.orders.trade_id(fill) for fill in fills]
            found[name] = row
        return found

    def _trades_history(self, account: str, params: Params) -> Any:
        start, end = float(params.get("start") or 0), float(params.get("end") or 2**40)
        fills = [
            fill for fill in reversed(self.exchange.fills(account, limit=10_000)) if start < fill.time / 1000 <= end
        ]
        offset = int(params.get("ofs") or 0)
        page = fills[offset : offset + 50]
        rows = {self.orders.trade_id(fill): self.orders.fill_row(account, fill) for fill in page}
        return {"trades": rows, "count": len(fills)}

    def _query_trades(self, account: str, params: Params) -> Any:
        wanted = str(params.get("txid", "")).split(",")
        if len(wanted) > 20:
            raise KrakenError("EGeneral:Invalid arguments:txid")
        fills = self.exchange.fills(account, limit=10_000)
        rows = {self.orders.trade_id(fill): fill for fill in fills}
        return {name: self.orders.fill_row(account, rows[name]) for name in wanted if name in rows}

    def _trade_volume(self, account: str, params: Params) -> Any:
        value = sum((fill.value for fill in self.exchange.fills(account, limit=10_000)), Decimal(0))
        found: dict[str, Any] = {"currency": "ZUSD", "volume": f"{value:.4f}"}
        if params.get("pair"):
            for name, side in (("fees", "taker"), ("fees_maker", "maker")):
                found[name] = {
                    pair.name: {
                        "fee": f"{getattr(pair.listing, side) * 100:.4f}",
                        "minfee": "0.0000",
                        "maxfee": f"{getattr(pair.listing, side) * 100:.4f}",
                        "nextfee": None,
                        "nextvolume": None,
                        "tiervolume": "0.0000",
                    }
                    for pair in self._chosen(params)
                }
        return found

    def _token(self, account: str, params: Params) -> Any:
        token = secrets.token_urlsafe(32)
        self.hub.tokens[token] = (account, self.now_ms + self.token_life * 1000)
        return {"token": token, "expires": TOKEN_LIFE}

    # orders

    def _wish(self, params: Params) -> Wish:
        kind = str(params.get("ordertype", ""))
        flags = str(params.get("oflags") or "").split(",")
        if params.get("userref") and params.get("cl_ord_id"):
            raise KrakenError("EGeneral:Invalid arguments")
        stop = kind.startswith(("stop-loss", "take-profit"))
        volume = str(params.get("volume", ""))
        return Wish(
            pair=str(params.get("pair", "")),
            side=str(params.get("type", "")),
            kind=kind,
            volume="" if "viqc" in flags else volume,
            cash=volume if "viqc" in flags else "",
            price=str(params.get("price2" if stop else "price") or ""),
            trigger=str(params.get("price") or "") if stop else "",
            tif=str(params.get("timeinforce") or "gtc"),
            post="post" in flags,
            client_id=str(params.get("cl_ord_id") or ""),
            stp=str(params.get("stptype") or ""),
            deadline=str(params.get("deadline") or ""),
            validate=str(params.get("validate", "")).lower() == "true",
        )

    def _add(self, account: str, params: Params) -> Any:
        wish = self._wish(params)
        order = self.orders.place(account, wish)
        if order is not None:
            return {"descr": {"order": self.orders.sentence(order)}, "txid": [self.orders.txid(order.id)]}
        pair = self.orders.pair(wish.pair)
        volume = size(number(wish.volume or wish.cash, "volume"))
        price = f"{wish.kind} {wish.price}".strip()
        return {"descr": {"order": f"{wish.side} {volume} {pair.alt} @ {price}"}}

    def _add_batch(self, account: str, params: Params) -> Any:
        listed = params.get("orders")
        if not isinstance(listed, list) or not 2 <= len(listed) <= 15:
            raise KrakenError("EGeneral:Invalid arguments:orders")
        shared = {name: params[name] for name in ("pair", "deadline", "validate") if name in params}
        found = []
        for one in listed:
            try:
                found.append({**(answer := self._add(account, {**one, **shared})), "txid": answer.get("txid", [""])[0]})
            except KrakenError as error:
                found.append({"error": str(error)})
        return {"orders": found}

    def _find(self, account: str, params: Params) -> Any:
        txid, name = str(params.get("txid") or ""), str(params.get("cl_ord_id") or "")
        if not txid and not name:
            raise KrakenError("EGeneral:Invalid arguments")
        return self.orders.find(account, txid=txid, client_id=name)

    def _amend(self, account: str, params: Params) -> Any:
        changed = self.orders.amend(account, self._find(account, params), params)
        return {"amend_id": self.hub.amend_id(changed)}

    def _cancel(self, account: str, params: Params) -> Any:
        self.orders.cancel(account, self._find(account, params))
        return {"count": 1}

    def _cancel_batch(self, account: str, params: Params) -> Any:
        names = [*(params.get("orders") or ()), *(params.get("cl_ord_ids") or ())]
        if not 1 <= len(names) <= 50:
            raise KrakenError("EGeneral:Invalid arguments:orders")
        return {"count": self.hub.cancel_many(account, names)}

    def _cancel_all(self, account: str, params: Params) -> Any:
        return {"count": len(self.exchange.cancel_all(account))}

    # sockets

    def accept(
        self, host: str, path: str, query: str, headers: Mapping[str, str], now_ms: int
    ) -> Connection | HttpAnswer:
        """v2 alone; v1, level 3 and the unified socket are not played here."""
        self._at(now_ms)
        if path != "/v2" or host not in ("ws", "ws-auth"):
            return HttpAnswer(404, b"Not Found")
        return (PrivateConnection if host == "ws-auth" else PublicConnection)(self.hub)

    def tick(self, now_ms: int) -> None:
        """Switches, books, candles, heartbeats."""
        self._at(now_ms)
        self.orders.tick(now_ms)
        self.hub.publish()

    def _at(self, now_ms: int) -> None:
        self.now_ms = self.orders.now_ms = self.hub.now_ms = now_ms
        self.orders.limited = self.limited

    def is_book(self, frame: str | bytes) -> bool:
        """Snapshots and updates of the book channel."""
        return str(frame[:17]) == '{"channel":"book"'

    def miscount(self, frame: str | bytes) -> str | bytes | None:
        """The same levels under a wrong checksum."""
        text = str(frame)
        found = re.search(r'"checksum":(\d+)', text)
        return text[: found.start(1)] + str(int(found[1]) ^ 1) + text[found.end(1) :] if found else None

    def expire(self) -> bool:
        """A token's time ends only before its use: what is subscribed with it lives on, so nothing that runs ends."""
        for token, (account, _) in list(self.hub.tokens.items()):
            if token not in self.hub.used:
                self.hub.tokens[token] = (account, 0)
        return False

    def no_verdict(self) -> HttpAnswer:
        """What Cloudflare shows when the API behind it did not answer."""
        page = (
            b"<!DOCTYPE html><html><head><title>api.kraken.com | 520: Web server is returning an unknown error</title>"
        )
        return HttpAnswer(520, page + b"</head></html>", {"Content-Type": "text/html; charset=UTF-8"})

    def too_many(self, seconds: int) -> HttpAnswer:
        """Error list: too many concurrent requests, with the time until when."""
        return json_answer({"error": [f"EService:Throttled: {self.now_ms // 1000 + seconds}"]})


def _made_key() -> dict[str, str]:
    return {
        "key": base64.b64encode(secrets.token_bytes(42)).decode(),
        "secret": base64.b64encode(secrets.token_bytes(64)).decode(),
    }


def _exact(value: Decimal) -> str:
    """At least four decimals, and all that there are."""
    return f"{value:.4f}" if value == round(value, 4) else format(value.normalize(), "f")
