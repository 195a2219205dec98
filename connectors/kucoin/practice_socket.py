"""One connection of KuCoin's push service, from the venue's side: topics, acks, pings, and the end of a token."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import msgspec

from connectors.kucoin.practice_product import Product
from connectors.practice.connection import JsonConnection
from connectors.practice.terms import AccountEvent

PING_INTERVAL, PING_TIMEOUT, SILENCE = 18_000, 10_000, 60_000  # ms
MESSAGES = (100, 10_000)  # so many in so many ms
TOPICS_A_FRAME, TOPICS_A_SOCKET = 100, 400


class Socket(JsonConnection):
    """One connection, public or private; a private one may have public topics too."""

    def __init__(self, product: Product, name: str, token: str, account: str, now_ms: int) -> None:
        super().__init__(private=bool(account))
        self.product = product
        self.token = token
        self.account = account
        self.topics: set[str] = set()
        self.mine: set[str] = set()  # private topics, asked for with privateChannel
        self._name = name
        self._heard_at = now_ms
        self._messages: list[int] = []
        self._unwatch = product.exchange.watch_account(self._news, account) if account else None
        product.sockets.add(self)
        self.say({"id": name, "type": "welcome"})

    def receive(self, frame: str | bytes, now_ms: int) -> None:
        """ping, subscribe, unsubscribe."""
        self._heard_at = now_ms
        most, window = MESSAGES
        self._messages = [*(stamp for stamp in self._messages if stamp > now_ms - window), now_ms]
        if len(self._messages) > most:
            self._error(self._name, 509, "exceed max permits per second")
            return
        try:
            asked = msgspec.json.decode(frame)
            number, kind = str(asked.get("id", "")), asked.get("type")
        except (msgspec.DecodeError, AttributeError):
            self._error(secrets.token_hex(6), 400, "parameter error")
            return
        match kind:
            case "ping":
                self.say({"id": number, "type": "pong", "timestamp": now_ms * 1000})
            case "subscribe" | "unsubscribe":
                self._change(number, kind == "subscribe", asked)
            case _:
                self._error(number, 415, "type is not supported")

    def _change(self, number: str, on: bool, asked: Mapping[str, Any]) -> None:
        head, mark, rest = str(asked.get("topic", "")).partition(":")
        product = self.product
        names = [f"{head}:{name}" for name in rest.split(",")] if mark else [head]
        if head in product.private_topics:
            if not self.account:
                self._error(number, 403, "access denied: this is a private topic")
                return
            chosen = self.mine if asked.get("privateChannel") is True else set[str]()  # acked, and nothing comes
        elif head in product.public_topics and mark:
            chosen = self.topics
        else:
            self._error(number, 404, "topic does not exist")
            return
        if len(names) > TOPICS_A_FRAME or (on and len(chosen | set(names)) > TOPICS_A_SOCKET):
            self._error(number, 509, "exceed max subscription count limitation")
            return
        if on:
            for name in names:
                product.begin(name)
            chosen.update(names)
        else:
            chosen.difference_update(names)
        if asked.get("response") is True:
            self.say({"id": number, "type": "ack"})

    def _news(self, event: AccountEvent) -> None:
        for topic, named, subject, data in self.product.heard(event):
            if topic in self.mine or named in self.mine:
                message = {"topic": named, "type": "message", "subject": subject, "userId": "66f12e8befb04d0001882b49"}
                self.say({**message, "channelType": "private", "data": data})

    def tick(self, now_ms: int) -> None:
        """A client that does not ping is thrown out, and so is one whose token is over."""
        if self.closing is not None:
            return
        if not self.product.venue.token_lives(self.token, now_ms):
            self._error(self._name, 401, "token is expired")
            self.closing = 1000
        elif now_ms - self._heard_at > SILENCE:
            self.say({"type": "error", "code": 400, "data": "ping timeout"})
            self.closing = 1000

    def closed(self) -> None:
        """Gone."""
        self.product.sockets.discard(self)
        if self._unwatch is not None:
            self._unwatch()

    def _error(self, number: str, code: int, text: str) -> None:
        self.say({"id": number, "type": "error", "code": code, "data": text})
