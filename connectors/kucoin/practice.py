"""KuCoin's own end of its protocol, in front of the practice exchange: hosts, keys, tokens, pools, and which product answers.

Written from the venue's documentation, not from our connector. `practice_spot` and `practice_futures` hold the products, each
with its `_market` and `_orders`; `practice_product` is what both have in common, `practice_socket` a connection of either.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

from connectors.kucoin.practice_futures import Futures
from connectors.kucoin.practice_listings import LISTINGS
from connectors.kucoin.practice_product import DAY, ApiError, Caller, Product, Route
from connectors.kucoin.practice_socket import PING_INTERVAL, PING_TIMEOUT, Socket
from connectors.kucoin.practice_spot import Spot
from connectors.practice.exchange import Exchange
from connectors.practice.funds import fund
from connectors.practice.protocol import Connection, HttpAnswer, HttpRequest, Key, Keys, VenuePractice, json_answer
from connectors.practice.terms import AccountRules, Refusal, RefusalKind, Traded

WINDOW = 5_000  # ms that a timestamp may be off
POOLS = {"spot": 4000, "futures": 2000, "management": 2000, "public": 2000}
REFILL = 30_000  # ms


class KucoinPractice(VenuePractice):
    """Both products behind their hosts. `unified` lets the accounts be of the other kind, which the classic API refuses."""

    slug = "kucoin"
    listings = LISTINGS

    def __init__(self, exchange: Exchange, credentials: Mapping[str, str] | None = None) -> None:
        self.exchange = exchange
        self.unified = False
        self.permission = "General,Spot,Futures,Transfer"
        self.keys = Keys()
        self.credentials = dict(credentials or _credentials())
        self.other = _credentials()
        self._passphrases: dict[str, str] = {}
        self._tokens: dict[str, tuple[str, str, int]] = {}  # token -> product, account, end
        self._pools: dict[tuple[str, str], list[int]] = {}  # used, begin of the window
        self._local: Mapping[str, str] = {}
        recorded = frozenset({RefusalKind.POST_ONLY, RefusalKind.FOK, RefusalKind.NO_LIQUIDITY})
        for account, found in (("trader", self.credentials), ("other", self.other)):
            fund(exchange, account)
            exchange.open_account(account, AccountRules(recorded=recorded))
            exchange.deposit(account, "KCS", Decimal(1000))
            exchange.deposit(account, "BSV", Decimal(1000))
            self.keys.add(Key(found["key"], account, found["secret"]))
            self._passphrases[found["key"]] = found["passphrase"]
        self.spot = Spot(self, [row for row in exchange.listings.values() if not row.is_contract])
        self.futures = Futures(self, [row for row in exchange.listings.values() if row.is_contract])
        exchange.watch_market(self._market)
        self.hosts = {
            "https://api.kucoin.com": ("rest", ""),
            "https://api-futures.kucoin.com": ("rest-futures", ""),
            "wss://ws-api-spot.kucoin.com": ("ws", ""),
            "wss://push-private.kucoin.com/endpoint": ("ws", "/endpoint"),
            "wss://ws-api-futures.kucoin.com": ("ws-futures", ""),
            # the unified account's sockets: known, and refused
            "wss://x-push-spot.kucoin.com": ("ws-unified", ""),
            "wss://x-push-futures.kucoin.com": ("ws-unified", ""),
            "wss://wsapi-push.kucoin.com": ("ws-unified", ""),
        }

    def located(self, hosts: Mapping[str, str]) -> None:
        """Token answers name these."""
        self._local = dict(hosts)

    def _market(self, event: Any) -> None:
        if isinstance(event, Traded):
            (self.futures if self.exchange.listings[event.key].is_contract else self.spot).traded(event)

    # requests

    def http(self, request: HttpRequest, now_ms: int) -> HttpAnswer:
        """By host and path; every answer has the envelope, errors too."""
        futures = request.host == "rest-futures"
        product: Product = self.futures if futures else self.spot
        self.spot.now_ms = self.futures.now_ms = now_ms
        headers: dict[str, str] = {}
        try:
            found, parts = self._route(product, request)
            owner = self._owner(request, now_ms) if found.signed else ""
            if request.path != "/api/v1/timestamp":
                headers = self._draw(found.pool, owner or "ip", found.weight, now_ms)
            if self.unified and found.signed and found.acts:
                raise ApiError("112010", "Invalid Unified Account user.")
            caller = Caller(owner, {**dict(parse_qsl(request.query, keep_blank_values=True)), **parts}, _body(request))
            return json_answer({"code": "200000", "data": found.handler(caller)}, 200, headers, acted=found.acts)
        except ApiError as error:
            return json_answer({"code": error.code, "msg": error.text}, error.status, error.headers or headers)
        except Refusal as refusal:
            error = product.refuse(refusal)
            return json_answer({"code": error.code, "msg": error.text}, error.status, headers)
        except (ValueError, KeyError, TypeError, ArithmeticError):
            return json_answer({"code": "400100", "msg": "Bad Request"}, 400, headers)

    @staticmethod
    def _route(product: Product, request: HttpRequest) -> tuple[Route, dict[str, str]]:
        for candidate in product.routes:
            match = candidate.pattern.match(request.path)
            if match and candidate.method == request.method:
                return candidate, {name: unquote(value) for name, value in match.groupdict().items()}
        raise ApiError("404000", "Url Not Found", 404)

    def _owner(self, request: HttpRequest, now_ms: int) -> str:
        """The account whose key signed the request, by the documented recipe on the bytes that came."""
        names = ("kc-api-key", "kc-api-sign", "kc-api-timestamp", "kc-api-passphrase")
        key_name, signature, time, passphrase = (request.headers.get(name, "") for name in names)
        if not all((key_name, signature, time, passphrase)):
            text = "Please check the header of your request for KC-API-KEY, KC-API-SIGN, KC-API-TIMESTAMP, KC-API-PASSPHRASE."
            raise ApiError("400001", text, 400)
        if not time.isdigit() or abs(int(time) - now_ms) > WINDOW:
            raise ApiError("400002", "KC-API-TIMESTAMP Invalid", 400)
        key = self.keys.find(key_name)
        if key is None:
            raise ApiError("400003", "KC-API-KEY not exists", 401)
        if request.headers.get("kc-api-key-version") not in ("2", "3"):
            raise ApiError("400004", "Invalid KC-API-PASSPHRASE", 401)
        if not _verified(key.secret, self._passphrases[key_name], passphrase):
            raise ApiError("400004", "Invalid KC-API-PASSPHRASE", 401)
        path = request.path + (f"?{unquote(request.query)}" if request.query else "")
        if not _verified(key.secret, time + request.method + path + request.body.decode("utf-8", "replace"), signature):
            raise ApiError("400005", "Invalid KC-API-SIGN", 401)
        return key.account

    def _draw(self, pool: str, owner: str, weight: int, now_ms: int) -> dict[str, str]:
        """Take from a pool; ApiError 429000 when it is empty."""
        level = self._pools.setdefault((pool, owner), [0, now_ms])
        if now_ms - level[1] >= REFILL:
            level[:] = [0, now_ms]
        level[0] += weight
        limit = POOLS[pool]
        headers = {
            "gw-ratelimit-limit": str(limit),
            "gw-ratelimit-remaining": str(max(0, limit - level[0])),
            "gw-ratelimit-reset": str(level[1] + REFILL - now_ms),
        }
        if self.limited and level[0] > limit:
            raise ApiError("429000", "Too many requests.", 429, headers)
        return headers

    # tokens

    def bullet(self, product: str, account: str) -> Any:
        """A token, and where it may be used: this very server."""
        token = base64.urlsafe_b64encode(secrets.token_bytes(96)).decode() + "."
        self._tokens[token] = (product, account, self.exchange.now_ms + DAY)
        real = "wss://ws-api-futures.kucoin.com" if product == "futures" else "wss://ws-api-spot.kucoin.com"
        server = {"endpoint": self._local.get(real, real) + "/", "encrypt": True, "protocol": "websocket"}
        return {
            "token": token,
            "instanceServers": [{**server, "pingInterval": PING_INTERVAL, "pingTimeout": PING_TIMEOUT}],
        }

    def token_lives(self, token: str, now_ms: int) -> bool:
        """Whether its day is not over."""
        return token in self._tokens and now_ms < self._tokens[token][2]

    def accept(
        self, host: str, path: str, query: str, headers: Mapping[str, str], now_ms: int
    ) -> Connection | HttpAnswer:
        """By token; one of the other product, an unknown or an old one is refused."""
        if host == "ws-unified":
            return HttpAnswer(403, b"classic accounts only")
        params = dict(parse_qsl(query, keep_blank_values=True))
        token = params.get("token", "")
        wanted = "futures" if host == "ws-futures" else "spot"
        name, account, _ = self._tokens.get(token, ("", "", 0))
        if name != wanted or not self.token_lives(token, now_ms):
            return HttpAnswer(401, b"token is invalid")
        product = self.futures if wanted == "futures" else self.spot
        return Socket(product, params.get("connectId") or secrets.token_hex(8), token, account, now_ms)

    # faults

    def is_book(self, frame: str | bytes) -> bool:
        """Any of the level 2 topics."""
        head = str(frame[:80])
        return "arket/level2" in head

    def expire(self) -> bool:
        """As if a day had passed since each token was made."""
        for token, (product, account, _) in list(self._tokens.items()):
            self._tokens[token] = (product, account, 0)
        return bool(self._tokens)

    def no_verdict(self) -> HttpAnswer:
        """The gateway does not know."""
        return json_answer({"code": "500000", "msg": "Internal Server Error"}, 500)

    def too_many(self, seconds: int) -> HttpAnswer:
        """There is no Retry-After here; the pool's own header tells."""
        headers = {
            "gw-ratelimit-limit": "4000",
            "gw-ratelimit-remaining": "0",
            "gw-ratelimit-reset": str(seconds * 1000),
        }
        return json_answer({"code": "429000", "msg": "Too many requests."}, 429, headers)

    def tick(self, now_ms: int) -> None:
        """Let both products publish."""
        self.spot.tick(now_ms)
        self.futures.tick(now_ms)


def _credentials() -> dict[str, str]:
    return {"key": secrets.token_hex(12), "secret": str(secrets.token_hex(16)), "passphrase": secrets.token_hex(8)}


def _verified(secret: str, text: str, signature: str) -> bool:
    """Whether `signature` is what the recipe makes of `text`."""
    try:
        raw = base64.b64decode(signature, validate=True)
    except ValueError:
        return False
    return hmac.compare_digest(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest(), raw)


def _body(request: HttpRequest) -> Mapping[str, Any]:
    if not request.body:
        return {}
    if "application/json" not in request.headers.get("content-type", ""):
        raise ApiError("415000", "Unsupported Media Type", 415)
    try:
        found = msgspec.json.decode(request.body)
    except msgspec.DecodeError:
        raise ApiError("400100", "Request body is not valid JSON", 400) from None
    if not isinstance(found, dict):
        raise ApiError("400100", "Bad Request", 400)
    return found
