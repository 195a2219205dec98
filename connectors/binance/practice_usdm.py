"""Binance USD-M futures from the venue's side: what answers where in `/fapi`, listen keys, and three stream paths.

`practice_usdm_market`, `practice_usdm_orders` and `practice_usdm_account` hold the answers, `practice_usdm_events` the account's events.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from connectors.binance.practice_api import ApiConnection, Method
from connectors.binance.practice_limits import Weight, single, steps
from connectors.binance.practice_streams import StreamConnection, open_stream
from connectors.binance.practice_terms import ApiError
from connectors.binance.practice_usdm_account import UsdmAccount
from connectors.binance.practice_usdm_events import usdm_events
from connectors.practice.exchange import Exchange
from connectors.practice.protocol import Connection, HttpAnswer, Keys
from connectors.practice.terms import AccountEvent, BalanceChanged, Wallet

_HOUR = 3_600_000
DEPTH = steps(500, (50, 2), (100, 5), (500, 10), (1000, 20))
KLINES = steps(500, (99, 1), (499, 2), (1000, 5), (1500, 10))


class Usdm(UsdmAccount):
    """The USD-M product."""

    def __init__(self, exchange: Exchange, keys: Keys) -> None:
        super().__init__(exchange, keys)
        self.listen_keys: dict[str, tuple[str, int]] = {}  # key -> account, expiry
        get, signed, public = "GET", "signed", ""
        self.routes: dict[tuple[str, str], tuple[Callable[..., Any], str, Weight, bool]] = {
            (get, "/fapi/v1/ping"): (lambda account, params: {}, public, 1, False),
            (get, "/fapi/v1/time"): (lambda account, params: {"serverTime": self.now_ms}, public, 1, False),
            (get, "/fapi/v1/exchangeInfo"): (lambda account, params: self.exchange_info(), public, 1, False),
            (get, "/fapi/v1/depth"): (lambda account, params: self.depth(params), public, DEPTH, False),
            (get, "/fapi/v1/trades"): (lambda account, params: self.trades(params), public, 5, False),
            (get, "/fapi/v1/aggTrades"): (lambda account, params: self.agg_trades(params), public, 20, False),
            (get, "/fapi/v1/klines"): (lambda account, params: self.klines(params), public, KLINES, False),
            (get, "/fapi/v1/ticker/24hr"): (
                lambda account, params: self.ticker_24h(params),
                public,
                single(1, 40),
                False,
            ),
            (get, "/fapi/v1/ticker/bookTicker"): (
                lambda account, params: self.book_ticker(params),
                public,
                single(2, 5),
                False,
            ),
            (get, "/fapi/v1/ticker/price"): (
                lambda account, params: self.price_ticker(params),
                public,
                single(1, 2),
                False,
            ),
            (get, "/fapi/v2/ticker/price"): (
                lambda account, params: self.price_ticker(params),
                public,
                single(1, 2),
                False,
            ),
            (get, "/fapi/v1/premiumIndex"): (
                lambda account, params: self.premium(params),
                public,
                single(1, 10),
                False,
            ),
            (get, "/fapi/v1/fundingRate"): (lambda account, params: self.funding_rates(params), public, 1, False),
            (get, "/fapi/v1/fundingInfo"): (lambda account, params: [], public, 0, False),
            ("POST", "/fapi/v1/order"): (self.place, signed, 0, True),
            ("PUT", "/fapi/v1/order"): (self.modify, signed, 0, True),
            ("DELETE", "/fapi/v1/order"): (self.cancel, signed, 1, True),
            (get, "/fapi/v1/order"): (self.query, signed, 1, False),
            (get, "/fapi/v1/openOrder"): (self.query, signed, 1, False),
            (get, "/fapi/v1/openOrders"): (self.open_orders, signed, single(1, 40), False),
            (get, "/fapi/v1/allOrders"): (self.all_orders, signed, 5, False),
            ("DELETE", "/fapi/v1/allOpenOrders"): (self.cancel_all, signed, 1, True),
            ("POST", "/fapi/v1/batchOrders"): (self.batch, signed, 5, True),
            ("PUT", "/fapi/v1/batchOrders"): (self.modify_batch, signed, 5, True),
            ("DELETE", "/fapi/v1/batchOrders"): (self.cancel_batch, signed, 1, True),
            ("POST", "/fapi/v1/algoOrder"): (self.place_algo, signed, 0, True),
            ("DELETE", "/fapi/v1/algoOrder"): (self.cancel_algo, signed, 1, True),
            (get, "/fapi/v1/algoOrder"): (
                lambda account, params: self.algo_row(self._algo(account, params)),
                signed,
                1,
                False,
            ),
            (get, "/fapi/v1/openAlgoOrders"): (self.open_algos, signed, single(1, 40), False),
            ("DELETE", "/fapi/v1/algoOpenOrders"): (self.cancel_algos, signed, 1, True),
            (get, "/fapi/v1/userTrades"): (self.user_trades, signed, 5, False),
            (get, "/fapi/v3/balance"): (self.balance, signed, 5, False),
            (get, "/fapi/v2/balance"): (self.balance, signed, 5, False),
            (get, "/fapi/v3/account"): (self.account, signed, 5, False),
            (get, "/fapi/v2/account"): (self.account, signed, 5, False),
            (get, "/fapi/v3/positionRisk"): (self.positions, signed, 5, False),
            (get, "/fapi/v2/positionRisk"): (self.positions, signed, 5, False),
            (get, "/fapi/v1/symbolConfig"): (self.symbol_config, signed, 5, False),
            (get, "/fapi/v1/accountConfig"): (self.account_config, signed, 5, False),
            (get, "/fapi/v1/commissionRate"): (self.commission, signed, 20, False),
            (get, "/fapi/v1/leverageBracket"): (self.brackets, signed, 1, False),
            ("POST", "/fapi/v1/leverage"): (self.set_leverage, signed, 1, False),
            ("POST", "/fapi/v1/marginType"): (self.margin_type, signed, 1, False),
            (get, "/fapi/v1/positionSide/dual"): (
                lambda account, params: {"dualSidePosition": False},
                signed,
                30,
                False,
            ),
            ("POST", "/fapi/v1/positionSide/dual"): (self.set_dual, signed, 1, False),
            ("POST", "/fapi/v1/countdownCancelAll"): (self.countdown, signed, 10, False),
            ("POST", "/fapi/v1/positionMargin"): (self.position_margin, signed, 1, False),
            (get, "/fapi/v1/rateLimit/order"): (
                lambda account, params: self.gate.rules(account, self.now_ms),
                signed,
                1,
                False,
            ),
            ("POST", "/fapi/v1/listenKey"): (self.new_listen_key, "key", 1, False),
            ("PUT", "/fapi/v1/listenKey"): (self.keep_listen_key, "key", 1, False),
            ("DELETE", "/fapi/v1/listenKey"): (self.end_listen_key, "key", 1, False),
        }

    # listen keys

    def new_listen_key(self, account: str, params: Mapping[str, Any]) -> Any:
        """POST: a key while one is active returns the same and extends it."""
        for key, (owner, expiry) in self.listen_keys.items():
            if owner == account and expiry > self.now_ms:
                self.listen_keys[key] = (account, self.now_ms + _HOUR)
                return {"listenKey": key}
        key = secrets.token_hex(32)
        self.listen_keys[key] = (account, self.now_ms + _HOUR)
        return {"listenKey": key}

    def keep_listen_key(self, account: str, params: Mapping[str, Any]) -> Any:
        """PUT."""
        for key, (owner, expiry) in self.listen_keys.items():
            if owner == account and expiry > self.now_ms:
                self.listen_keys[key] = (account, self.now_ms + _HOUR)
                return {"listenKey": key}
        raise ApiError(-1125, "This listenKey does not exist.")

    def end_listen_key(self, account: str, params: Mapping[str, Any]) -> Any:
        """DELETE: ends it for every terminal of the account."""
        for key in [key for key, (owner, _) in self.listen_keys.items() if owner == account]:
            del self.listen_keys[key]
        return {}

    def expire_listen_keys(self) -> bool:
        """As if an hour had passed. Whether there were any."""
        for key, (account, _) in list(self.listen_keys.items()):
            self.listen_keys[key] = (account, 0)
        return bool(self.listen_keys)

    # sockets

    def open_stream(self, path: str, params: Mapping[str, str]) -> Connection | HttpAnswer:
        """/public for books, /market for the rest, /private by listen key; the old root carries books only."""
        root, _, rest = path.lstrip("/").partition("/")
        if root == "private":
            key = params.get("listenKey") or rest.partition("/")[2]
            found = self.listen_keys.get(key)
            if found is None or found[1] <= self.now_ms:
                return HttpAnswer(400, b'{"code":-1125,"msg":"This listenKey does not exist."}')
            return PrivateConnection(self, found[0], key, combined=rest.startswith("stream"))
        if root == "public":
            return open_stream(self, rest, params, _is_book)
        if root == "market":
            return open_stream(self, rest, params, lambda stream: not _is_book(stream))
        return open_stream(self, path, params, _is_book)

    def open_api(self, *, tells_limits: bool = True) -> ApiConnection:
        """A WebSocket API connection."""
        return ApiConnection(self, 180.0, tells_limits=tells_limits)

    def api_methods(self) -> dict[str, Method]:
        """What answers to each method."""
        places = {
            "ping": ("GET", "/fapi/v1/ping"),
            "time": ("GET", "/fapi/v1/time"),
            "depth": ("GET", "/fapi/v1/depth"),
            "ticker.book": ("GET", "/fapi/v1/ticker/bookTicker"),
            "ticker.price": ("GET", "/fapi/v1/ticker/price"),
            "order.place": ("POST", "/fapi/v1/order"),
            "order.modify": ("PUT", "/fapi/v1/order"),
            "order.cancel": ("DELETE", "/fapi/v1/order"),
            "order.status": ("GET", "/fapi/v1/order"),
            "algoOrder.place": ("POST", "/fapi/v1/algoOrder"),
            "algoOrder.cancel": ("DELETE", "/fapi/v1/algoOrder"),
            "account.balance": ("GET", "/fapi/v3/balance"),
            "v2/account.balance": ("GET", "/fapi/v3/balance"),
            "account.status": ("GET", "/fapi/v3/account"),
            "v2/account.status": ("GET", "/fapi/v3/account"),
            "account.position": ("GET", "/fapi/v3/positionRisk"),
            "v2/account.position": ("GET", "/fapi/v3/positionRisk"),
        }
        return {name: Method(*self.routes[place][:3]) for name, place in places.items()}


class PrivateConnection(StreamConnection):
    """USD-M's private socket: everything of one account, unwrapped on `/ws`."""

    def __init__(self, product: Usdm, account: str, key: str, *, combined: bool) -> None:
        super().__init__(product, combined=combined, private=True)
        self.account = account
        self.key = key
        self._usdm = product
        self._expired = False
        self._wallets = {row.asset: row.total for row in product.exchange.balances(account, Wallet.MARGIN)}
        self._unwatch = product.exchange.watch_account(self._hear, account)

    def _hear(self, event: AccountEvent) -> None:
        if self._expired or not self._is_news(event):
            return
        for body in usdm_events(self._usdm, event):
            self._send(body)

    def _is_news(self, event: AccountEvent) -> bool:
        """A wallet is told when it changes, not when an order holds some of it."""
        if not isinstance(event, BalanceChanged) or event.balance.wallet is not Wallet.MARGIN:
            return True
        before, self._wallets[event.balance.asset] = self._wallets.get(event.balance.asset), event.balance.total
        return before != event.balance.total

    def tick(self, now_ms: int) -> None:
        """A key that expired sends its last event and then nothing."""
        found = self._usdm.listen_keys.get(self.key)
        if not self._expired and (found is None or found[1] <= now_ms):
            self._expired = True
            self._send({"e": "listenKeyExpired", "E": now_ms, "listenKey": self.key})

    def _send(self, body: Any) -> None:
        self.say({"stream": self.key, "data": body} if self.combined else body)

    def closed(self) -> None:
        """Gone."""
        super().closed()
        self._unwatch()


def _is_book(stream: str) -> bool:
    kind = stream.partition("@")[2] or stream
    return kind.startswith(("depth", "bookTicker", "!bookTicker", "rpiDepth"))
