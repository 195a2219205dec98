"""BitMEX's own end of its protocol, in front of the practice exchange: hosts, routes of REST `/api/v1`, the dead man's switch.

Written from the venue's documentation, not from our connector. `practice_public`, `practice_orders` and `practice_account`
answer, `practice_keys` lets in, `practice_rows` writes the rows, `practice_stream` is the socket.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from connectors.bitmex.practice_account import AccountRest
from connectors.bitmex.practice_keys import Gate, fresh_key, too_many
from connectors.bitmex.practice_listings import LISTINGS
from connectors.bitmex.practice_orders import OrderRest
from connectors.bitmex.practice_public import PublicRest
from connectors.bitmex.practice_rows import Rows, encode, stamp
from connectors.bitmex.practice_stream import RealtimeConnection, Tables
from connectors.bitmex.practice_terms import ApiError, number, params_of, refusal_error
from connectors.model import EndReason
from connectors.practice.exchange import Exchange
from connectors.practice.funds import fund
from connectors.practice.protocol import Connection, HttpAnswer, HttpRequest, Key, VenuePractice
from connectors.practice.terms import AccountRules, Refusal, RefusalKind


class BitmexPractice(VenuePractice):
    """See the module. Accounts: `credentials` trades as "trader", `other` as "other"."""

    slug = "bitmex"
    listings = LISTINGS

    def __init__(self, exchange: Exchange, credentials: Mapping[str, str] | None = None) -> None:
        self.exchange = exchange
        self.gate = Gate()
        self.credentials = dict(credentials or fresh_key())
        self.other = fresh_key()
        recorded = frozenset(
            {RefusalKind.POST_ONLY, RefusalKind.FOK, RefusalKind.REDUCE_ONLY, RefusalKind.NO_LIQUIDITY}
        )
        for account, pair in (("trader", self.credentials), ("other", self.other)):
            fund(exchange, account)
            exchange.open_account(account, AccountRules(recorded=recorded))
            self.gate.keys.add(Key(pair["key"], account, pair["secret"]))
        self.rows = Rows(exchange, secrets.token_hex(4))
        self.tables = Tables(exchange, self.rows, self)
        self.public = PublicRest(exchange, self.rows, self.tables)
        self.orders = OrderRest(exchange, self.rows, self.tables)
        self.accounts = AccountRest(exchange, self.rows, self.tables)
        self._armed: dict[str, int] = {}
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
            ("GET", ""): (self.public.greeting, False, False),
            ("GET", "/instrument"): (self.public.instruments, False, False),
            ("GET", "/instrument/active"): (self.public.active, False, False),
            ("GET", "/instrument/activeAndIndices"): (self.public.active, False, False),
            ("GET", "/orderBook/L2"): (self.public.book, False, False),
            ("GET", "/trade"): (self.public.trades, False, False),
            ("GET", "/trade/bucketed"): (self.public.bars, False, False),
            ("GET", "/funding"): (self.public.funding, False, False),
            ("GET", "/wallet/assets"): (self.public.assets, False, False),
            ("POST", "/order"): (self.orders.place, True, True),
            ("PUT", "/order"): (self.orders.amend, True, True),
            ("DELETE", "/order"): (self.orders.cancel, True, True),
            ("DELETE", "/order/all"): (self.orders.cancel_all, True, True),
            ("POST", "/order/cancelAllAfter"): (self.cancel_all_after, True, False),
            ("GET", "/order"): (self.orders.orders, True, False),
            ("GET", "/execution"): (self.orders.executions, True, False),
            ("GET", "/execution/tradeHistory"): (self.orders.executions, True, False),
            ("GET", "/position"): (self.accounts.positions, True, False),
            ("POST", "/position/leverage"): (self.accounts.leverage, True, False),
            ("POST", "/position/isolate"): (self.accounts.isolate, True, False),
            ("GET", "/user/margin"): (self.accounts.margin, True, False),
            ("GET", "/user/wallet"): (self.accounts.wallet, True, False),
            ("GET", "/user/commission"): (self.accounts.commission, True, False),
        }

    # the server's side

    def http(self, request: HttpRequest, now_ms: int) -> HttpAnswer:
        """Route by path; every error has the venue's envelope and a real status."""
        self.tables.now_ms = now_ms
        headers: dict[str, str] = {}
        try:
            found = self.routes.get((request.method, request.path.removeprefix("/api/v1")))
            account = self.gate.authenticate(request, now_ms)
            orders = request.path.startswith("/api/v1/order") and request.method != "GET"
            headers = self.gate.count(account, now_ms, orders=orders, limited=self.limited)
            if found is None or not request.path.startswith("/api/v1"):
                raise ApiError(404, "Not Found")
            handler, private, acts = found
            if private and not account:
                raise ApiError(401, "Authorization Required")
            return _answer(handler(account, params_of(request)), 200, headers, acted=acts)
        except ApiError as error:
            return _refused(error, {**headers, **error.headers})
        except Refusal as refusal:
            return _refused(refusal_error(refusal), headers)
        except (ValueError, TypeError, KeyError, ArithmeticError, msgspec.DecodeError):
            return _refused(ApiError(400, "Invalid parameters", "ValidationError"), headers)

    def accept(
        self, host: str, path: str, query: str, headers: Mapping[str, str], now_ms: int
    ) -> Connection | HttpAnswer:
        """`/realtime`, with topics in the address; the three values of a login in headers or in the address."""
        self.tables.now_ms = now_ms
        if path not in ("/realtime", "/realtimePlatform"):
            return HttpAnswer(404, b"Not Found")
        params = dict(parse_qsl(query, keep_blank_values=True))
        told = {**params, **headers}
        account = None
        if told.get("api-key"):
            try:
                account = self.login(told["api-key"], told.get("api-expires"), told.get("api-signature", ""), path)
            except ApiError as error:
                return _refused(error, {})
        connection = RealtimeConnection(self.tables, account, path)
        if params.get("subscribe"):
            asked = {"op": "subscribe", "args": params["subscribe"].split(",")}
            connection.receive(encode(asked).decode(), now_ms)
        return connection

    def tick(self, now_ms: int) -> None:
        """The dead man's switches, and everything that is published."""
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
        return _refused(too_many(seconds), {"retry-after": str(seconds)})

    # what the socket asks (practice_stream.Owner), and the switch that REST has too

    def login(self, key: str, expires: Any, signature: str, path: str) -> str:
        """The account that a signature over GET `path` proves. Raises ApiError."""
        return self.gate.verify(key, expires, signature, f"GET{path}".encode(), b"", self.tables.now_ms)

    def is_cross(self, account: str, key: str) -> bool:
        """Whether the position shares its margin."""
        return self.accounts.is_cross(account, key)

    def cancel_all_after(self, account: str, params: dict[str, Any]) -> Any:
        """POST /order/cancelAllAfter, milliseconds."""
        if params.get("timeout") is None:
            raise ApiError(400, "timeout is invalid", "ValidationError")
        return self.arm(account, number(params, "timeout", 0))

    def arm(self, account: str, timeout: int) -> dict[str, Any]:
        """See `practice_stream.Owner`."""
        if timeout < 0:
            raise ApiError(400, "timeout is invalid", "ValidationError")
        if not timeout:
            self._armed.pop(account, None)
            return {"now": stamp(self.tables.now_ms), "cancelTime": 0}
        self._armed[account] = self.tables.now_ms + timeout
        return {"now": stamp(self.tables.now_ms), "cancelTime": stamp(self.tables.now_ms + timeout)}


def _answer(value: Any, status: int, headers: Mapping[str, str], *, acted: bool = False) -> HttpAnswer:
    kind = {"Content-Type": "application/json; charset=utf-8"}
    return HttpAnswer(status, encode(value), {**kind, **headers}, acted)


def _refused(error: ApiError, headers: Mapping[str, str]) -> HttpAnswer:
    return _answer({"error": {"message": error.text, "name": error.name}}, error.status, headers)
