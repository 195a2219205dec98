"""Kraken's own end of its protocol, in front of the practice exchange: hosts, and the two doors, REST `/0` and WebSocket v2.

Written from the venue's documentation, not from our connector. `practice_keys` lets in, `practice_rest_public` and
`practice_rest_private` answer; `practice_socket` and its two endpoints speak WebSocket v2, `practice_orders` is what both have in
common, `practice_pairs` what is listed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

from connectors.contract import UNREADABLE
from connectors.kraken.practice_keys import Gate, made_key
from connectors.kraken.practice_orders import RULES, KrakenError, Orders
from connectors.kraken.practice_pairs import PAIRS
from connectors.kraken.practice_private import PrivateConnection
from connectors.kraken.practice_public import PublicConnection
from connectors.kraken.practice_rest_private import PrivateRest
from connectors.kraken.practice_rest_public import PublicRest
from connectors.kraken.practice_socket import Hub
from connectors.practice.exchange import Exchange
from connectors.practice.funds import fund
from connectors.practice.protocol import Connection, HttpAnswer, HttpRequest, Key, VenuePractice, json_answer


class KrakenPractice(VenuePractice):
    """REST and both sockets. `credentials` is a key of "trader", `other` one of the account "other"."""

    slug = "kraken"
    listings = tuple(pair.listing for pair in PAIRS)

    def __init__(self, exchange: Exchange, credentials: Mapping[str, str] | None = None) -> None:
        self.exchange = exchange
        self.credentials = dict(credentials or made_key())
        self.other = made_key()
        self.gate = Gate()
        for account, pair in (("trader", self.credentials), ("other", self.other)):
            fund(exchange, account)
            exchange.open_account(account, RULES)
            exchange.deposit(account, "DOGE", Decimal(100_000))
            exchange.deposit(account, "XRP", Decimal(100_000))
            self.gate.keys[pair["key"]] = Key(pair["key"], account, pair["secret"])
        self.orders = Orders(exchange)
        self.hub = Hub(exchange, self.orders)
        self.public = PublicRest(exchange, self.orders)
        self.private = PrivateRest(exchange, self.orders, self.hub)
        self.now_ms = exchange.now_ms
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

    # requests

    def http(self, request: HttpRequest, now_ms: int) -> HttpAnswer:
        """`/0/public/<Method>` and `/0/private/<Method>`; errors come with HTTP 200."""
        self._at(now_ms)
        kind, _, method = request.path.removeprefix("/0/").partition("/")
        acted = False
        try:
            if kind == "public" and method in self.public.methods:
                self.gate.count_public(now_ms, limited=self.limited)
                result = self.public.methods[method](request.params)
            elif kind == "private" and method in self.private.methods:
                if request.method != "POST":
                    raise KrakenError("EGeneral:Invalid arguments")
                handler, weight, acted = self.private.methods[method]
                account, params = self.gate.signed(request, now_ms)
                self.gate.count(account, weight, now_ms, limited=self.limited)
                result = handler(account, params)
            else:
                raise KrakenError("EGeneral:Unknown method")
        except KrakenError as error:
            return json_answer({"error": [str(error)]})
        except UNREADABLE:  # of a shape that is not documented
            return json_answer({"error": ["EGeneral:Invalid arguments"]})
        return json_answer({"error": [], "result": result}, acted=acted)

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
