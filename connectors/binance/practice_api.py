"""Binance's WebSocket API from the venue's side: requests by id, logons, and the account's events once subscribed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from connectors.binance.practice_limits import Gate, Weight, weight_of
from connectors.binance.practice_spot_events import spot_events
from connectors.binance.practice_terms import ApiError, encode
from connectors.contract import UNREADABLE
from connectors.practice.connection import JsonConnection
from connectors.practice.terms import AccountEvent


class Method(NamedTuple):
    """What answers to a method, as over HTTP."""

    act: Callable[..., Any]
    security: str
    weight: Weight


class ApiConnection(JsonConnection):
    """The WebSocket API: requests by id; on spot the account's events once subscribed. `tells_limits`: with each answer."""

    def __init__(self, product: Any, ping_every: float = 20.0, *, tells_limits: bool = True) -> None:
        super().__init__(private=True, ping_every=ping_every)
        self.product = product
        self._gate: Gate = product.gate
        self._methods: Mapping[str, Method] = product.api_methods()
        self._tells_limits = tells_limits
        self._key: str | None = None
        self._asks_for = ""  # whose limits belong to the answer
        self._logged_in: str | None = None
        self._subscribed: dict[int, str] = {}
        self._next = 0
        self._unwatch: list[Callable[[], None]] = []

    def receive(self, frame: str | bytes, now_ms: int) -> None:
        """One request, one answer."""
        product = self.product
        product.now_ms = now_ms
        number: Any = None
        self._asks_for = ""
        try:
            asked = msgspec.json.decode(frame)
            number = asked.get("id")
            body = {"id": number, "status": 200, "result": self._do(asked["method"], asked.get("params") or {})}
        except ApiError as error:
            told = error.body
            if error.retry_at is not None:
                told["data"] = {"serverTime": now_ms, "retryAfter": error.retry_at}
            body = {"id": number, "status": error.status, "error": told}
        except UNREADABLE:
            body = {"id": number, "status": 400, "error": {"code": -1135, "msg": "Malformed request."}}
        self.say(body | ({"rateLimits": self._limits()} if self._tells_limits else {}))

    def _do(self, method: str, params: Mapping[str, Any]) -> Any:
        found = self._methods.get(method)
        weight = weight_of(found.weight, params) if found is not None else 2
        self._gate.weigh(weight, self.product.now_ms)
        match method:
            case "session.logon":
                self._logged_in, self._key = self._account(params), str(params["apiKey"])
                return self._session()
            case "session.status":
                return self._session()
            case "session.logout":
                self._logged_in = self._key = None
                return self._session()
        return (
            self._streams(method, params) if method.startswith(("userData", "session.")) else self._ask(found, params)
        )

    def _streams(self, method: str, params: Mapping[str, Any]) -> Any:
        """The account's events: on spot by subscription, on USD-M by listen key and on another socket."""
        if self.product.futures:
            return self._listen_key(method, params)
        match method:
            case "userDataStream.subscribe":
                if self._logged_in is None:
                    raise ApiError(-2015, "Invalid API-key, IP, or permissions for action.", 401)
                return self._subscribe(self._logged_in)
            case "userDataStream.subscribe.signature":
                return self._subscribe(self._account(params))
            case "userDataStream.unsubscribe":
                self._end_subscriptions()
                return {}
            case "session.subscriptions":
                return [{"subscriptionId": number} for number in self._subscribed]
            case "userDataStream.start" | "userDataStream.ping" | "userDataStream.stop":
                raise ApiError(-1000, "This method was removed on 2026-02-20.", 410)
        raise ApiError(-1000, f"Unknown method {method}.", 400)

    def _listen_key(self, method: str, params: Mapping[str, Any]) -> Any:
        act = {
            "userDataStream.start": self.product.new_listen_key,
            "userDataStream.ping": self.product.keep_listen_key,
            "userDataStream.stop": self.product.end_listen_key,
        }.get(method)
        if act is None:
            raise ApiError(-1000, f"Unknown method {method}.", 400)
        key = self.product.keys.find(str(params.get("apiKey") or self._key or ""))
        if key is None:
            raise ApiError(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        return act(key.account, {})

    def _ask(self, found: Method | None, params: Mapping[str, Any]) -> Any:
        if found is None:
            raise ApiError(-1000, "Unknown method.", 400)
        account = ""
        if found.security:
            account = self._logged_in if self._logged_in and "apiKey" not in params else self._account(params)
            self._asks_for = account
        text = {
            name: value if isinstance(value, str) else encode(value).decode().strip('"')
            for name, value in params.items()
        }
        return found.act(account, text)

    def _account(self, params: Mapping[str, Any]) -> str:
        """Parameters without the signature, sorted, as they are; what is signed is text."""
        key = self.product.keys.find(str(params.get("apiKey", "")))
        if key is None:
            raise ApiError(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        signed = "&".join(f"{name}={_plain(params[name])}" for name in sorted(params) if name != "signature")
        if not self.product.keys.verify_sha256(key, signed.encode(), str(params.get("signature", ""))):
            raise ApiError(-1022, "Signature for this request is not valid.")
        self.product.check_time(params)
        return key.account

    def _session(self) -> Any:
        return {
            "apiKey": self._key,
            "authorizedSince": self.product.now_ms if self._logged_in else None,
            "connectedSince": self.product.now_ms,
            "returnRateLimits": True,
            "serverTime": self.product.now_ms,
            "userDataStream": bool(self._subscribed),
        }

    def _subscribe(self, account: str) -> Any:
        if account in self._subscribed.values():
            raise ApiError(-2035, "User Data Stream subscription is already active for this account.")
        number, self._next = self._next, self._next + 1
        self._subscribed[number] = account

        def hear(event: AccountEvent) -> None:
            for body in spot_events(self.product, event):
                self.say({"subscriptionId": number, "event": body})

        self._unwatch.append(self.product.exchange.watch_account(hear, account))
        return {"subscriptionId": number}

    def terminate(self) -> None:
        """End the subscriptions as the venue may do at any time."""
        for number in list(self._subscribed):
            self.say({"subscriptionId": number, "event": {"e": "eventStreamTerminated", "E": self.product.now_ms}})
        self._end_subscriptions()

    def _end_subscriptions(self) -> None:
        for end in self._unwatch:
            end()
        self._unwatch.clear()
        self._subscribed.clear()

    def _limits(self) -> list[dict[str, Any]]:
        now, account = self.product.now_ms, self._asks_for
        orders = self._gate.rules(account, now) if account else []
        return [*orders, {**self._gate.rule, "count": self._gate.used()}]

    def closed(self) -> None:
        """Gone."""
        self._end_subscriptions()


def _plain(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
