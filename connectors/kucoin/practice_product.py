"""What KuCoin's spot and futures have in common, from the venue's side: routes, topics, errors, numbers on the wire."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from connectors.model import plain
from connectors.practice.exchange import Exchange
from connectors.practice.listings import Listing
from connectors.practice.terms import AccountEvent, Bar, Refusal, Traded

DAY = 86_400_000
encode = msgspec.json.Encoder().encode


class ApiError(Exception):
    """An error envelope of the venue."""

    def __init__(self, code: str, text: str, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.status = status
        self.headers = headers


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: an account (empty for the public), its query and its body."""

    account: str
    params: Mapping[str, str]
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Route:
    """`pattern` with `{name}` for parts of the path; they join the params."""

    method: str
    pattern: re.Pattern[str]
    handler: Callable[[Caller], Any]
    pool: str
    weight: int
    signed: bool
    acts: bool


def route(
    method: str,
    path: str,
    handler: Callable[[Caller], Any],
    pool: str = "public",
    weight: int = 2,
    *,
    signed: bool | None = None,
    acts: bool = False,
) -> Route:
    """A row of a product's table; everything but public data wants a signature."""
    pattern = re.compile("^" + re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path)) + "$")
    return Route(method, pattern, handler, pool, weight, pool != "public" if signed is None else signed, acts)


class Venue(Protocol):
    """What a product needs of the venue as a whole."""

    exchange: Exchange
    credentials: Mapping[str, str]
    other: Mapping[str, str]
    unified: bool
    permission: str

    def bullet(self, product: str, account: str) -> Any:
        """A token, and where it may be used."""
        ...

    def token_lives(self, token: str, now_ms: int) -> bool:
        """Whether a token's time is not over."""
        ...


class Subscriber(Protocol):
    """A connection as a product sees it: what it has of the public topics, and where its frames go."""

    topics: set[str]
    out: list[str | bytes]


class Product(ABC):
    """What spot and futures have in common."""

    name = ""
    public_topics: frozenset[str] = frozenset()
    private_topics: frozenset[str] = frozenset()

    def __init__(self, venue: Venue, listings: Iterable[Listing]) -> None:
        self.venue = venue
        self.exchange = venue.exchange
        self.listings = {self.wire(listing): listing for listing in listings}
        self.names = {listing.key: wire for wire, listing in self.listings.items()}
        self.now_ms = self.exchange.now_ms
        self.sockets: set[Subscriber] = set()
        self._due: dict[str, int] = {}
        self.routes: list[Route] = []

    # what a symbol is

    @abstractmethod
    def wire(self, listing: Listing) -> str:
        """The venue's name of a listing."""

    @abstractmethod
    def listing(self, symbol: Any) -> Listing:
        """By the venue's name. ApiError where there is none."""

    # orders

    @abstractmethod
    def refuse(self, refusal: Refusal) -> ApiError:
        """The venue's words for a refusal of the engine."""

    @abstractmethod
    def heard(self, event: AccountEvent) -> list[tuple[str, str, str, Any]]:
        """(topic, topic as it is named in the frame, subject, data) of what happened to an account."""

    # streams

    @abstractmethod
    def publish_due(self, topic: str, now_ms: int) -> None:
        """Publish what is due of a public topic that somebody has."""

    @abstractmethod
    def traded(self, event: Traded) -> None:
        """A public trade."""

    @abstractmethod
    def begin(self, topic: str) -> None:
        """Somebody subscribes to a topic."""

    def wanted(self) -> set[str]:
        """Topics that anybody has."""
        return set().union(*(socket.topics for socket in self.sockets)) if self.sockets else set()

    def tick(self, now_ms: int) -> None:
        """Time passes."""
        self.now_ms = now_ms
        for topic in sorted(self.wanted()):
            self.publish_due(topic, now_ms)

    def publish(self, topic: str, subject: str, data: Any, **more: Any) -> None:
        """Send to every socket that has the topic."""
        frame = ""
        for socket in self.sockets:
            if topic in socket.topics:
                frame = (
                    frame
                    or encode({"topic": topic, "type": "message", "subject": subject, **more, "data": data}).decode()
                )
                socket.out.append(frame)

    def is_due(self, topic: str, now_ms: int, every: int) -> bool:
        """Whether `every` ms have passed since this was last true."""
        if now_ms < self._due.get(topic, 0):
            return False
        self._due[topic] = now_ms + every
        return True

    def bars(self, key: str, span: int, *, start: int | None = None, end: int | None = None, limit: int) -> list[Bar]:
        """Candles; weeks begin on Monday."""
        offset = 4 * DAY if span == 7 * DAY else 0
        return self.exchange.candles(key, span, start=start, end=end, limit=limit, offset_ms=offset)


def decimal(value: Any, error: ApiError) -> Decimal:
    """A number that came as text or as a JSON number."""
    text = str(value)
    if not re.fullmatch(r"\d+(\.\d+)?", text):
        raise error
    return Decimal(text)


def text(value: Decimal | None) -> str:
    """A number as text, without padding."""
    return plain(value) if value is not None else "0"


def number(value: Decimal | None) -> Any:
    """A number as a JSON number with its own digits."""
    return msgspec.Raw(text(value).encode())
