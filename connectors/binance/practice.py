"""Binance's own end of its protocol, in front of the practice exchange: hosts, keys, and which product answers.

Written from the venue's documentation, not from our connector. `practice_spot` and `practice_usdm` hold the products,
`practice_rest` and `practice_streams` what both have in common, `practice_api` the WebSocket API.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from connectors.binance.practice_limits import Gate, weight_of
from connectors.binance.practice_spot import Spot
from connectors.binance.practice_streams import open_stream
from connectors.binance.practice_terms import ApiError
from connectors.binance.practice_usdm import Usdm
from connectors.contract import UNREADABLE
from connectors.practice.exchange import Exchange
from connectors.practice.funds import fund
from connectors.practice.protocol import Connection, HttpAnswer, HttpRequest, Key, Keys, VenuePractice, json_answer
from connectors.practice.terms import Traded


class BinancePractice(VenuePractice):
    """Both products behind their hosts. `credentials` is a key that may trade; a second account has `other`."""

    slug = "binance"

    def __init__(self, exchange: Exchange, credentials: Mapping[str, str] | None = None) -> None:
        self.exchange = exchange
        self.keys = Keys()
        self.credentials = dict(credentials or {"key": secrets.token_hex(32), "secret": secrets.token_hex(32)})
        self.other = {"key": secrets.token_hex(32), "secret": secrets.token_hex(32)}
        for account, pair in (("trader", self.credentials), ("other", self.other)):
            fund(exchange, account)
            self.keys.add(Key(pair["key"], account, pair["secret"]))
        self.spot = Spot(exchange, self.keys)
        self.usdm = Usdm(exchange, self.keys)
        for product in (self.spot, self.usdm):
            product.gate.limited = lambda: self.limited
        exchange.watch_market(self._market)
        hosts: dict[str, tuple[str, str]] = {}
        for name in ("api", "api-gcp", "api1", "api2", "api3", "api4"):
            hosts[f"https://{name}.binance.com"] = ("rest", "")
        hosts |= {
            "https://data-api.binance.vision": ("rest", ""),
            "https://testnet.binance.vision": ("rest", ""),
            "https://demo-api.binance.com": ("rest", ""),
            "https://fapi.binance.com": ("fapi", ""),
            "https://demo-fapi.binance.com": ("fapi", ""),
            "https://testnet.binancefuture.com": ("fapi", ""),
            "wss://stream.binance.com:9443": ("stream", ""),
            "wss://stream.binance.com:443": ("stream", ""),
            "wss://data-stream.binance.vision": ("stream", ""),
            "wss://stream.testnet.binance.vision": ("stream", ""),
            "wss://demo-stream.binance.com": ("stream", ""),
            "wss://ws-api.binance.com:443/ws-api/v3": ("ws-api", "/ws-api/v3"),
            "wss://ws-api.binance.com:9443/ws-api/v3": ("ws-api", "/ws-api/v3"),
            "wss://ws-api.testnet.binance.vision/ws-api/v3": ("ws-api", "/ws-api/v3"),
            "wss://demo-ws-api.binance.com/ws-api/v3": ("ws-api", "/ws-api/v3"),
            "wss://fstream.binance.com": ("fstream", ""),
            "wss://fstream.binance.com/public": ("fstream", "/public"),
            "wss://fstream.binance.com/market": ("fstream", "/market"),
            "wss://fstream.binance.com/private": ("fstream", "/private"),
            "wss://demo-fstream.binance.com": ("fstream", ""),
            "wss://fstream.binancefuture.com": ("fstream", ""),
            "wss://ws-fapi.binance.com/ws-fapi/v1": ("ws-fapi", "/ws-fapi/v1"),
            "wss://testnet.binancefuture.com/ws-fapi/v1": ("ws-fapi", "/ws-fapi/v1"),
        }
        self.hosts = hosts

    def _market(self, event: Any) -> None:
        if isinstance(event, Traded):
            (self.usdm if self.exchange.listings[event.key].is_contract else self.spot).traded(event)

    def http(self, request: HttpRequest, now_ms: int) -> HttpAnswer:
        """Route by path; every error has the venue's envelope."""
        product: Any = self.usdm if request.path.startswith("/fapi/") else self.spot
        product.now_ms = now_ms
        found = product.routes.get((request.method, request.path))
        if found is None:
            known = any(path == request.path for _, path in product.routes)
            return json_answer({"code": -1000, "msg": "unknown path or method"}, 405 if known else 404)
        handler, security, weight, acts = found
        gate: Gate = product.gate
        headers: dict[str, str] = {}
        try:
            gate.weigh(weight_of(weight, request.params), now_ms)
            headers["X-MBX-USED-WEIGHT-1M"] = str(gate.used())
            account = product.account_of(request, security) if security else ""
            answer = handler(account, request.params)
            if acts and request.method in ("POST", "PUT"):
                counts = zip(gate.windows, gate.counts(account, now_ms), strict=True)
                headers |= {f"X-MBX-ORDER-COUNT-{window.name}": str(count) for window, count in counts}
            return json_answer(answer, 200, headers, acted=acts)
        except ApiError as error:
            headers["X-MBX-USED-WEIGHT-1M"] = str(gate.used())
            if error.retry_at is not None:
                headers["Retry-After"] = str(max(1, -(-(error.retry_at - now_ms) // 1000)))
            return json_answer(error.body, error.status, headers)
        except UNREADABLE:
            return json_answer({"code": -1100, "msg": "Illegal characters found in a parameter."}, 400, headers)

    def accept(
        self, host: str, path: str, query: str, headers: Mapping[str, str], now_ms: int
    ) -> Connection | HttpAnswer:
        """Streams by path; the WebSocket APIs by theirs."""
        params = dict(parse_qsl(query, keep_blank_values=True))
        if path.startswith(("/ws-api/", "/ws-fapi/")):
            product: Spot | Usdm = self.spot if path.startswith("/ws-api/") else self.usdm
            return product.open_api(tells_limits=params.get("returnRateLimits") != "false")
        if host == "fstream":
            return self.usdm.open_stream(path, params)
        return open_stream(self.spot, path, params)

    def is_book(self, frame: str | bytes) -> bool:
        """Depth, raw or wrapped, by name or by its event."""
        head = str(frame[:160])
        return "@depth" in head or '"depthUpdate"' in head

    def expire(self) -> bool:
        """USD-M listen keys end by time; spot's signed subscription lives as long as its socket."""
        return self.usdm.expire_listen_keys()

    def no_verdict(self) -> HttpAnswer:
        """General information: HTTP 5XX and -1007 say nothing about the execution."""
        return json_answer({"code": -1007, "msg": "Timeout waiting for response from backend server."}, 503)

    def too_many(self, seconds: int) -> HttpAnswer:
        """General information, limits: 429 with Retry-After in seconds."""
        body = {"code": -1003, "msg": "Too many requests; current limit is 6000 request weight per 1 MINUTE."}
        return json_answer(body, 429, {"Retry-After": str(seconds)})

    def tick(self, now_ms: int) -> None:
        """Let both products publish."""
        self.spot.tick(now_ms)
        self.usdm.tick(now_ms)
