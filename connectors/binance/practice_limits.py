"""How often Binance lets itself be asked, from the venue's side: weight by the minute, orders by their windows, bans."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from connectors.binance.practice_terms import ApiError

MINUTE = 60_000
BAN = 120_000  # ms; the shortest one
PATIENCE = 20  # requests beyond the limit that are refused before the ban

Weight: TypeAlias = float | Callable[[Mapping[str, Any]], float]


class Window(NamedTuple):
    """So many new orders in a time. `name` as in the header, `interval` as in exchangeInfo."""

    name: str
    interval: str
    number: int
    span: int
    limit: int

    @property
    def rule(self) -> dict[str, Any]:
        """As exchangeInfo and the WebSocket API tell it."""
        return {
            "rateLimitType": "ORDERS",
            "interval": self.interval,
            "intervalNum": self.number,
            "limit": self.limit,
        }


class Gate:
    """Counts what one product is asked. `filled` says whether an order has filled, where that gives its count back."""

    def __init__(
        self, limit: int, windows: tuple[Window, ...], filled: Callable[[str, int], bool] = lambda account, order: False
    ) -> None:
        self.limit = limit
        self.windows = windows
        self.limited: Callable[[], bool] = lambda: True
        self._filled = filled
        self._orders: dict[str, deque[tuple[int, int]]] = {}
        self._minute = 0
        self._weight = 0.0
        self._over = 0
        self._banned_until = 0

    # weight

    def weigh(self, weight: float, now_ms: int) -> None:
        """Count a request. ApiError -1003 with 429 over the limit, with 418 for who goes on."""
        if now_ms < self._banned_until and self.limited():
            raise self._ban()
        minute = now_ms // MINUTE
        if minute != self._minute:
            self._minute, self._weight, self._over = minute, 0.0, 0
        self._weight += weight
        if self._weight <= self.limit or not self.limited():
            return
        self._over += 1
        if self._over > PATIENCE:
            self._banned_until = now_ms + BAN
            raise self._ban()
        text = (
            f"Too much request weight used; current limit is {self.limit} request weight per 1 MINUTE. "
            "Please use WebSocket Streams for live updates to avoid polling the API."
        )
        raise ApiError(-1003, text, 429, retry_at=(minute + 1) * MINUTE)

    def forgive(self, weight: float) -> None:
        """What is done weighs nothing: only what is refused does."""
        self._weight = max(0.0, self._weight - weight)

    def _ban(self) -> ApiError:
        text = (
            f"Way too much request weight used; IP banned until {self._banned_until}. "
            "Please use WebSocket Streams for live updates to avoid bans."
        )
        return ApiError(-1003, text, 418, retry_at=self._banned_until)

    @property
    def rule(self) -> dict[str, Any]:
        """As exchangeInfo and the WebSocket API tell it."""
        return {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": self.limit}

    def used(self) -> int:
        """Weight of this minute."""
        return int(self._weight)

    # orders

    def admit(self, account: str, now_ms: int) -> None:
        """Whether one more order may come. ApiError -1015."""
        for window, count in zip(self.windows, self.counts(account, now_ms), strict=True):
            if count >= window.limit and self.limited():
                text = f"Too many new orders; current limit is {window.limit} orders per {window.number} {window.interval}."
                raise ApiError(-1015, text, 429, retry_at=now_ms + min(window.span, 10_000))

    def made(self, account: str, order: int, now_ms: int) -> None:
        """An order was placed or changed."""
        self._orders.setdefault(account, deque(maxlen=5000)).append((now_ms, order))

    def counts(self, account: str, now_ms: int) -> list[int]:
        """Orders that count in each window."""
        placed = self._orders.get(account, ())
        shortest = min(window.span for window in self.windows)
        found = []
        for window in self.windows:
            stamps = [(at, order) for at, order in placed if at > now_ms - window.span]
            if window.span == shortest:
                stamps = [row for row in stamps if not self._filled(account, row[1])]
            found.append(len(stamps))
        return found

    def rules(self, account: str, now_ms: int) -> list[dict[str, Any]]:
        """The windows with their counts."""
        counts = self.counts(account, now_ms)
        return [{**window.rule, "count": count} for window, count in zip(self.windows, counts, strict=True)]


# What requests weigh by their parameters.


def steps(default: int, *bounds: tuple[int, float]) -> Weight:
    """By `limit`: the weight of the first bound that it does not pass."""

    def weight(params: Mapping[str, Any]) -> float:
        limit = int(params.get("limit") or default)
        return next((cost for most, cost in bounds if limit <= most), bounds[-1][1])

    return weight


def single(one: float, every: float) -> Weight:
    """With a symbol, or without one."""
    return lambda params: one if params.get("symbol") else every


def weight_of(weight: Weight, params: Mapping[str, Any]) -> float:
    """What this request weighs."""
    return weight if isinstance(weight, int | float) else weight(params)
