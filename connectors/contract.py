"""What a venue must be able to say, without doing any I/O.

A venue is data plus pure objects. The data (`Venue`, `Family`, ...) says where to connect, what is possible and what it
costs. The objects are *speakers*: a `Stream` is given what arrived on one connection and answers with events; a
`Trading` turns an operation into a `Flow`, a generator of steps (`Call` over HTTP, `Ask` over a socket) that returns a
model type. Nothing here opens a socket, sleeps, reads a clock or draws a random number: the runtime sends, waits, stamps
and signs, and gives what came back to the speaker.

    Flow[T]     Generator[Call | Ask, Any, T]; each `yield step` evaluates to `step.read(answer)`, or raises its error
    Call, Ask   structured and unsigned: signing sees the whole request and happens at the moment of sending
    Signer      seal(step, secrets, facts, stamp) -> Wire
    Stream      opening -> Flow[Dial]; plan(add, drop) -> Asks; receive(frame) -> events

An error that `read` raises is the venue's verdict; the HTTP status alone is only the runtime's default.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import msgspec

from connectors.errors import NotSupported
from connectors.model import (
    Balance,
    BookBroken,
    BookCheck,
    BookDelta,
    BookSnapshot,
    Candle,
    Fees,
    Fill,
    Instrument,
    Market,
    MarkPrice,
    OrderKind,
    OrderRef,
    OrderRequest,
    OrderUpdate,
    Position,
    Ticker,
    Trade,
)
from connectors.spelling import JOINED, Spelling

if TYPE_CHECKING:
    from connectors.book import OrderBook

# ---------------------------------------------------------------------------------------------------------------------
# Requests


class Security(Enum):
    """What the venue wants to see with a request."""

    NONE = "none"
    KEY = "key"  # the key, unsigned
    SIGNED = "signed"


class Effect(Enum):
    """What a lost answer means: READ may be repeated; PLACE, AMEND and CANCEL leave an order in doubt; SETUP is idempotent."""

    READ = "read"
    SETUP = "setup"
    PLACE = "place"
    AMEND = "amend"
    CANCEL = "cancel"

    @property
    def repeatable(self) -> bool:
        """Whether the runtime may send it again by itself after a lost answer."""
        return self in (Effect.READ, Effect.SETUP)


@dataclass(frozen=True, slots=True)
class Cost:
    """`weight` units of the bucket named `bucket` (see `Bucket`); `scope` splits a bucket by market, account or endpoint.

    Where touching an order costs more the younger it is (Kraken), `by_age` holds (seconds, weight) pairs, rising: younger than
    that, `weight` more than the plain one. `since` is when the order was made (ms), None if unknown: then it counts as new.
    """

    bucket: str
    weight: float = 1
    scope: str = ""
    by_age: tuple[tuple[float, float], ...] = ()
    since: int | None = None

    def at(self, now_ms: int) -> Cost:
        """This cost as of now, its age counted."""
        if not self.by_age:
            return self
        age = 0.0 if self.since is None else (now_ms - self.since) / 1000
        more = next((weight for below, weight in self.by_age if age < below), 0.0)
        return Cost(self.bucket, self.weight + more, self.scope)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for a `Call`: status, headers with lower-case names, body; times in ms by the corrected clock."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    sent_at: int = 0
    got_at: int = 0


def _whole(answer: Any) -> Any:
    return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One unsigned HTTP request, and how its answer is read.

    `endpoint` is a role of the family's table. `params` keep their order and belong to the query, or to a form body when
    `form` is set; `body` is an object for a JSON body. `read` gets the `Answer` whatever its status and returns a value or
    raises a `VenueError`; a very large answer to a question is read in a thread. `extra` is for the venue's own Signer (a
    label that is signed instead of the path, ...).
    """

    endpoint: str
    method: str
    path: str
    read: Callable[[Answer], Any]
    params: tuple[tuple[str, str], ...] = ()
    body: Any = None
    form: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    security: Security = Security.NONE
    effect: Effect = Effect.READ
    costs: tuple[Cost, ...] = ()
    timeout: float = 10.0
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request over a socket. `endpoint` names the socket's role; `id` is how the Stream's `Answered` event names it.

    An empty `id` is filled in when the Ask is sent, with a number that is new on its connection.

    `payload` is structured; the Signer's `seal` turns it into the frame when it is sent. With `answered` False nothing
    is awaited (a plain subscribe whose acknowledgement is told by topics). `topics` are those that the Ask touches.
    """

    endpoint: str
    id: str
    payload: Any
    read: Callable[[Any], Any] = _whole
    topics: tuple[Topic, ...] = ()
    answered: bool = True
    security: Security = Security.NONE
    effect: Effect = Effect.READ
    costs: tuple[Cost, ...] = ()
    timeout: float = 10.0
    extra: Mapping[str, Any] = field(default_factory=dict)


T = TypeVar("T")
Step: TypeAlias = Call | Ask
Flow: TypeAlias = Generator[Call | Ask, Any, T]


def once(step: Step) -> Flow[Any]:
    """The flow of a single step."""
    return (yield step)


@dataclass(frozen=True, slots=True)
class Stamp:
    """Everything about this moment that a signature may need, given from outside so that signing stays pure.

    `time_ms` is the venue's time as well as we know it; `nonce` rises with every stamp of one key; `token` is fresh
    random text of 32 hex digits.
    """

    time_ms: int
    nonce: int
    token: str


@dataclass(frozen=True, slots=True)
class Wire:
    """What really leaves. A Call: method, path with query below the base URL, headers, body. An Ask: `frame`."""

    method: str = ""
    path: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | bytes | None = None
    frame: str | bytes | None = None


class Signer(ABC):
    """Turns structured steps into bytes, signed where they ask for it."""

    @abstractmethod
    def seal(
        self, step: Step, secrets: Mapping[str, str], facts: Mapping[str, Any], stamp: Stamp, base_url: str
    ) -> Wire:
        """Encode `step`, sign it by its `security` with `secrets` (empty for public steps); `base_url` is the real one.

        Raises AuthenticationFailed with a sentence for the trader when a secret is missing or malformed.
        """


# ---------------------------------------------------------------------------------------------------------------------
# Streams


class Channel(StrEnum):
    """What can be subscribed to."""

    BOOK = "book"
    TRADES = "trades"
    TOP = "top"  # best bid and ask as they change
    TICKER = "ticker"  # statistics of 24 h
    CANDLES = "candles"
    MARK = "mark"
    ACCOUNT = "account"  # everything private


@dataclass(frozen=True, slots=True)
class Topic:
    """One thing to subscribe to: `wire` is the venue's instrument name, `interval` for candles only."""

    channel: Channel
    wire: str = ""
    interval: str = ""


@dataclass(frozen=True, slots=True)
class Pulse:
    """How a connection shows that it lives.

    `send` (frame or a function of the stamp's time that makes one) goes out every `every` seconds, even while data
    flows; `dead_after` seconds without any frame or protocol ping the connection is given up. A library may hide the
    server's protocol pings; with `probe` the runtime sends protocol pings of its own and counts their pongs as life.
    """

    send: Callable[[Stamp], str | bytes] | None = None
    every: float = 0.0
    dead_after: float = 60.0
    probe: bool = True


@dataclass(frozen=True, slots=True)
class Caps:
    """Limits of one socket. None = the venue names none."""

    topics: int | None = None
    topics_per_frame: int = 100
    frames_per_second: float = 5.0
    frames_per_hour: int | None = None
    connects: tuple[int, float] | None = None  # so many per so many seconds
    life: float | None = None  # seconds; the runtime replaces the socket before


@dataclass(frozen=True, slots=True, kw_only=True)
class Dial:
    """Where and how to open a socket: the path and query below the endpoint's base URL, frames to send first.

    `url` overrides base and path (venues whose address comes from a Call). `await_first`: the socket counts as open
    only after the Stream emitted `Ready`. `facts` (a token that orders need too) are added to the session's.
    """

    path: str = ""
    url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    first: Sequence[Ask] = ()
    await_first: bool = False
    max_size: int = 16 * 2**20
    compression: bool = True
    pulse: Pulse | None = None
    life: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The venue confirmed these topics, or (with `ask`) the Ask by its id."""

    topics: tuple[Topic, ...] = ()
    ask: str = ""


@dataclass(frozen=True, slots=True)
class Declined:
    """The venue refused topics, or the Ask by id, or something it does not name (both empty)."""

    text: str
    topics: tuple[Topic, ...] = ()
    ask: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class Active:
    """A venue that answers with the whole list of what is active now."""

    topics: tuple[Topic, ...]


@dataclass(frozen=True, slots=True)
class Ended:
    """The venue ended these topics by itself: subscribe again."""

    topics: tuple[Topic, ...]
    why: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to an Ask; `payload` goes to its `read`."""

    ask: str
    payload: Any


@dataclass(frozen=True, slots=True)
class Reply:
    """Send this frame now (a pong, a confirmation)."""

    frame: str | bytes


@dataclass(frozen=True, slots=True)
class Alive:
    """A frame that means nothing but life: pong, heartbeat, empty update."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The greeting or login that `Dial.await_first` waited for has come. `facts` are added to the session's."""

    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ClosingSoon:
    """The venue is about to close this socket: open the next one first."""

    why: str = ""


@dataclass(frozen=True, slots=True)
class LoginLost:
    """The private subscription or its key ended: open and log in anew."""

    why: str = ""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A frame, or part of one, that the connector does not understand. Counted and logged once per `what`."""

    what: str
    frame: str = ""


MarketEvent: TypeAlias = BookSnapshot | BookDelta | BookCheck | BookBroken | Trade | Ticker | Candle | MarkPrice
AccountEvent: TypeAlias = OrderUpdate | Fill | Balance | Position
ControlEvent: TypeAlias = (
    Accepted | Declined | Active | Ended | Answered | Reply | Alive | Ready | ClosingSoon | LoginLost | Unknown
)
Event: TypeAlias = MarketEvent | AccountEvent | ControlEvent


# What reading a frame of a shape that nobody foresaw may raise; `receive` turns it into `Unknown`.
UNREADABLE = (
    msgspec.DecodeError,
    ArithmeticError,
    AttributeError,
    IndexError,
    KeyError,
    RecursionError,  # brackets without end
    TypeError,
    ValueError,
)


class Stream(ABC):
    """One connection, from its opening to its end. State of the connection lives here and dies with it."""

    def opening(self, facts: Mapping[str, Any]) -> Flow[Dial]:
        """The steps that lead to an address. Most venues need none: return a plain Dial."""
        return self._dial()
        yield  # makes this a generator without a step

    def _dial(self) -> Dial:
        return Dial()

    @abstractmethod
    def plan(self, active: frozenset[Topic], add: Sequence[Topic], drop: Sequence[Topic]) -> list[Ask]:
        """The Asks that turn the subscriptions `active` into `active + add - drop`, within `Caps.topics_per_frame`."""

    @abstractmethod
    def receive(self, frame: str | bytes) -> list[Event]:
        """Everything that one frame means, in its order. Never raises on input: what isn't understood is `Unknown`.

        A very large frame is read in a thread; nothing else of the stream but `plan` is called meanwhile.
        """

    def read_alone(self, frame: str | bytes) -> list[Event]:
        """What a frame tells by itself, before which nothing came: for people who look at single frames.

        Only venues whose frames are changes of rows that came earlier need to say more than `receive`.
        """
        return self.receive(frame)


# ---------------------------------------------------------------------------------------------------------------------
# Books


class Source(Enum):
    """Where a book's whole image comes from."""

    STREAM = "stream"
    CALL = "call"  # HTTP, while deltas are held back
    ASK = "ask"  # a request on the socket, while deltas are held back


class Link(Enum):
    """How deltas name their place. See BookSync."""

    RANGE = "range"  # first..last; next.first == last + 1
    PREV = "prev"  # next.prev == last
    MONO = "mono"  # last may only not fall; holes are normal
    NONE = "none"


class Join(Enum):
    """Which delta is the first to follow a snapshot with id L."""

    LINK = "link"  # the snapshot is a link of the chain: `Link` holds from its id on
    NEXT = "next"  # first <= L + 1 <= last; drops last <= L
    WITHIN = "within"  # first <= L <= last, or the delta that names L as its predecessor; drops last < L
    AFTER = "after"  # any delta with last > L (or no id at all)


class Repair(Enum):
    """What brings a broken book back; the runtime escalates along `BookRule.repair`."""

    REFETCH = "refetch"  # new snapshot by Call or Ask, the socket stays
    RESUBSCRIBE = "resubscribe"
    WAIT = "wait"  # the venue repeats its snapshot by itself
    RECONNECT = "reconnect"


class Proof(Enum):
    """How it is known that a book is whole; shown to the trader and used by the guard."""

    NUMBERED = "numbered"
    CHECKSUM = "checksum"
    COMPARED = "compared"
    TRANSPORT = "transport"


@dataclass(frozen=True, slots=True, kw_only=True)
class BookRule:
    """How a book of this family is made and proven whole.

    `cut`: levels beyond this count a side are deleted by the client after every update (Kraken); a snapshot that names
    its `depth` sets the count. `horizon`: beyond the
    snapshot's outermost prices the book is unknown until levels there change. `resets`: a snapshot in the stream may
    come at any time and replaces the book. `checksum` computes what the venue sends, from the book; `checksum_levels`
    says how many levels a side it sees. `first_within` seconds after the subscription without an image = failed.
    `quiet_after` seconds without life on the connection make the book stale. `repair` is tried in order, `pace`
    seconds apart at least. `sampled`: tickers with an id speak of the book at exactly that id; else they hold until the next.
    """

    source: Source
    link: Link
    join: Join = Join.LINK
    cut: int | None = None
    horizon: bool = False
    resets: bool = False
    checksum: Callable[[OrderBook], int] | None = None
    checksum_levels: int = 0
    proof: Proof = Proof.NUMBERED
    repair: tuple[Repair, ...] = (Repair.REFETCH, Repair.REFETCH, Repair.RESUBSCRIBE, Repair.RECONNECT)
    pace: float = 0.5
    first_within: float = 10.0
    quiet_after: float = 30.0
    crossed_grace: float = 0.0  # seconds that a cross may stand, for venues that split one change over messages
    sampled: bool = False
    hold: int = 5000  # deltas held back at most while a snapshot is awaited


# ---------------------------------------------------------------------------------------------------------------------
# What a venue is


class Role(StrEnum):
    """What an endpoint is for. `Endpoint.role` may be any text; these are the ones that the runtime knows."""

    REST = "rest"
    MARKET = "market"  # public socket; families with several use MARKET plus a suffix: "market.public"
    ACCOUNT = "account"  # private socket
    TRADE = "trade"  # socket that takes orders


class Environment(StrEnum):
    """Where orders go. PRACTICE and PAPER never reach a venue's trading system."""

    LIVE = "live"
    TESTNET = "testnet"
    PRACTICE = "practice"
    PAPER = "paper"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A base URL by role. Practice replaces `url` by prefix; `testnet` is None where the venue has none.

    `former` addresses are never dialled; recordings of that time are known by them.
    """

    role: str
    url: str
    testnet: str | None = None
    former: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Bucket:
    """A rate limit: `limit` units per `period` seconds, shared by everything that names it (per IP or per key)."""

    name: str
    limit: float
    period: float
    per_key: bool = False


class Lifecycle(Enum):
    """Whether the venue can be reached at all today."""

    LIVE = "live"
    CLOSED = "closed"
    DOUBTFUL = "doubtful"


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of the venue as of `as_of` (ISO date), told honestly; `since` is the closing or renaming date."""

    lifecycle: Lifecycle
    as_of: str
    note: str = ""
    since: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class SecretField:
    """One field of the key form. `secret` False = may be shown (the key's last four characters, a user id)."""

    name: str
    label: str
    secret: bool = True
    required: bool = True
    multiline: bool = False


class Amend(Enum):
    """What changing a resting order means here."""

    NONE = "none"
    IN_PLACE = "in_place"  # ids stay
    NEW_ID = "new_id"  # the venue gives the order another id
    REDUCE_ONLY = "reduce_only"  # the amount can only be lowered
    PRICE_AND_SIZE = "price_and_size"


class FillSource(Enum):
    """Where executions come from. CUMULATIVE: no event tells them; the runtime derives them from what is filled so far."""

    EVENT = "event"
    EVENT_FEE_LATER = "event_fee_later"
    EVENT_FEE_CALL = "event_fee_call"
    CUMULATIVE = "cumulative"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a family offers. The ticket shows nothing that is not here."""

    kinds: frozenset[OrderKind]
    tifs: frozenset[str] = frozenset({"gtc", "ioc", "fok"})
    post_only: bool = True
    reduce_only: bool = False
    leverage: bool = False
    amend: Amend = Amend.NONE
    market_buy_in_base: bool = True
    market_buy_in_quote: bool = False
    fee_in_quote: bool = (
        False  # spot buyers pay their fee in quote, on top of the price; else in base, out of what they get
    )
    cancel_all: str = "instrument"  # "instrument", "all" or "" for one by one
    dead_man: bool = False
    orders_over_socket: bool = False
    lookup_by_client_id: bool = True
    idempotent_place: bool = (
        False  # the same client id again answers with the first order; only the trader may send it again
    )
    fills: FillSource = FillSource.EVENT
    intervals: tuple[str, ...] = ("1m",)
    channels: frozenset[Channel] = frozenset({Channel.BOOK, Channel.TRADES, Channel.TICKER, Channel.CANDLES})


@dataclass(frozen=True, slots=True)
class IdRule:
    """How client ids look here. `make` gets a Stamp and returns a fresh wire id; `unique` says for how long it binds.

    `patience`: an order that the venue has not seen for so many seconds after its request left never arrived (its signature's
    time window is over, or the venue says so).
    """

    make: Callable[[Stamp], str]
    pattern: str = r"^[a-zA-Z0-9_-]{1,36}$"
    unique: str = "open"  # "open", "day", "ever", "" if not enforced
    patience: float = 15.0


class Found(Enum):
    """What a search for an order whose answer was lost came to."""

    FOUND = "found"
    ABSENT = "absent"  # proof that it never arrived
    NOT_YET = "not_yet"  # not seen so far; ask again
    AMBIGUOUS = "ambiguous"  # several candidates: the trader must look


@dataclass(frozen=True, slots=True)
class Search:
    """Result of `Trading.search`."""

    found: Found
    order: OrderUpdate | None = None
    candidates: tuple[OrderUpdate, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A window of history: times in ms, inclusive; `after` is an id to continue from."""

    start: int | None = None
    end: int | None = None
    limit: int = 500
    after: str = ""

    def beyond(self, fills: list[Fill]) -> list[Fill]:
        """Of fills in their order those behind `after`, where a venue gives them all at once."""
        place = next((number for number, fill in enumerate(fills) if self.after and fill.id == self.after), -1)
        return fills[place + 1 :]


class Trading(ABC):
    """Operations of one family. Each returns a Flow; `facts` (account id, position mode, ...) come from `login`.

    `socket` True asks for Asks over the trade socket where the family has one; the runtime passes False when that
    socket is not open. Operations that a family does not have raise NotSupported when called.
    """

    def read_alone(self, path: str, query: Mapping[str, str], answer: Answer) -> Any:
        """What the body at a path tells by itself, as values of the model; None: no more than the operation that asks for it.

        For people who look at single bodies. Raises what a refusal means, and anything of `UNREADABLE`.
        """
        return None

    # public
    @abstractmethod
    def time(self) -> Flow[int]:
        """The venue's clock, ms."""

    @abstractmethod
    def instruments(self) -> Flow[list[Instrument]]:
        """Everything that this family lists, whatever its status."""

    @abstractmethod
    def book(self, instrument: Instrument, depth: int | None = None) -> Flow[BookSnapshot]:
        """A snapshot to join deltas to (Source.CALL, Source.ASK) or to compare with."""

    @abstractmethod
    def trades(self, instrument: Instrument, limit: int = 200) -> Flow[list[Trade]]:
        """Latest public trades, oldest first."""

    @abstractmethod
    def candles(self, instrument: Instrument, interval: str, page: Page) -> Flow[list[Candle]]:
        """Bars, oldest first; the last one may be running."""

    @abstractmethod
    def tickers(self, instruments: Sequence[Instrument]) -> Flow[list[Ticker]]:
        """24 h statistics; an empty sequence asks for all."""

    # account
    @abstractmethod
    def login(self) -> Flow[Mapping[str, Any]]:
        """Facts about the account that other steps need; may include "key" -> KeyInfo."""

    @abstractmethod
    def balances(self, facts: Mapping[str, Any]) -> Flow[list[Balance]]:
        """Everything that is not zero: what is not among it is held no more."""

    def positions(self, facts: Mapping[str, Any]) -> Flow[list[Position]]:
        """Open positions, every one; families without margin have none."""
        return []
        yield

    @abstractmethod
    def fees(self, instrument: Instrument, facts: Mapping[str, Any]) -> Flow[Fees]:
        """Rates of this account."""

    # orders
    @abstractmethod
    def place(self, order: OrderRequest, facts: Mapping[str, Any], *, socket: bool = False) -> Flow[OrderUpdate]:
        """Send an order. The update says what the venue knows so far (PENDING: received, no more)."""

    def prepare(self, instrument: Instrument, facts: Mapping[str, Any]) -> Flow[Mapping[str, Any]]:
        """Facts that orders in this instrument need, asked for when the venue refused one for want of them (NotPrepared)."""
        return {}
        yield

    @abstractmethod
    def cancel(self, order: OrderRef, facts: Mapping[str, Any], *, socket: bool = False) -> Flow[OrderUpdate]:
        """Cancel. OrderNotFound does not mean cancelled: ask `order`."""

    @abstractmethod
    def cancel_all(self, instrument: Instrument | None, facts: Mapping[str, Any]) -> Flow[list[OrderUpdate]]:
        """Cancel every order of an instrument, or of the family if None and the venue can (else NotSupported)."""

    @abstractmethod
    def order(self, order: OrderRef, facts: Mapping[str, Any]) -> Flow[OrderUpdate]:
        """What the venue knows of one order. Raises OrderNotFound."""

    @abstractmethod
    def open_orders(self, instrument: Instrument | None, facts: Mapping[str, Any]) -> Flow[list[OrderUpdate]]:
        """Everything that rests or waits for a trigger, whoever placed it."""

    @abstractmethod
    def fills(self, instrument: Instrument, page: Page, facts: Mapping[str, Any]) -> Flow[list[Fill]]:
        """Our executions, oldest first; with `FillSource.CUMULATIVE` every order in it whole, from its first one on.

        With a `start` nothing behind it is left out: all of them come, or the oldest `limit`, so that the last one's time, or where
        all are of one moment its id as `after`, begins the next page. A shorter page says that there are no more.
        """

    @abstractmethod
    def search(self, order: OrderRequest, facts: Mapping[str, Any]) -> Flow[Search]:
        """Settle an order whose answer was lost. See `Found`."""

    def amend(
        self,
        order: OrderRef,
        facts: Mapping[str, Any],
        *,
        price: object = None,
        amount: object = None,
        client_id: str = "",
    ) -> Flow[OrderUpdate]:
        """Change price and/or total amount (Decimals) in place; `client_id` is a fresh one for venues that need it."""
        raise NotSupported("this venue cannot amend an order")

    def place_batch(self, orders: Sequence[OrderRequest], facts: Mapping[str, Any]) -> Flow[list[OrderUpdate]]:
        """Several orders of one instrument in one request; each is taken, or REJECTED, for itself."""
        raise NotSupported("this venue takes orders one by one")

    def set_leverage(
        self, instrument: Instrument, leverage: int, facts: Mapping[str, Any]
    ) -> Flow[Mapping[str, Any] | None]:
        """Leverage of new positions in this contract. Facts that later orders need (venues that want it with each order)."""
        raise NotSupported("there is no leverage here")

    def dead_man(self, instrument: Instrument | None, seconds: float, facts: Mapping[str, Any]) -> Flow[None]:
        """Ask the venue to cancel everything unless renewed within `seconds`; 0 switches it off."""
        raise NotSupported("this venue has no dead man's switch")


@dataclass(frozen=True, slots=True)
class KeepUp:
    """Something that must be renewed every `period` seconds while a private socket is open. `flow` gets the facts."""

    name: str
    period: float
    flow: Callable[[Mapping[str, Any]], Flow[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One generation of markets or accounts with speakers, symbols and rules of its own.

    `market_stream(role)` and `account_stream()` make a Stream for a new connection; `route` says which socket role
    carries a topic. `trade_stream` is for venues that take orders over a socket of their own; where the account socket
    takes them, leave it None and give `Ask.endpoint` the account role.
    """

    name: str
    markets: frozenset[Market]
    endpoints: tuple[Endpoint, ...]
    trading: Trading
    signer: Signer
    capabilities: Capabilities
    book: BookRule
    ids: IdRule
    market_stream: Callable[[str], Stream]
    account_stream: Callable[[], Stream]
    trade_stream: Callable[[], Stream] | None = None
    route: Callable[[Topic], str] = lambda topic: Role.MARKET
    caps: Mapping[str, Caps] = field(default_factory=dict)
    pulse: Mapping[str, Pulse] = field(default_factory=dict)
    buckets: tuple[Bucket, ...] = ()
    used: Callable[[Mapping[str, str]], Iterable[tuple[str, float]]] = lambda headers: ()
    keep_up: tuple[KeepUp, ...] = ()
    polls: Mapping[str, float] = field(default_factory=dict)  # "balances", "positions", ... -> seconds
    serial: bool = False  # private calls of one key leave one after the other (rising nonces)
    spelling: Spelling = JOINED

    def url(self, role: str, environment: Environment = Environment.LIVE) -> str:
        """The real base URL of a role. Raises KeyError for a role without one in this environment."""
        for endpoint in self.endpoints:
            if endpoint.role == role:
                found = endpoint.testnet if environment is Environment.TESTNET else endpoint.url
                if found:
                    return found
        raise KeyError(f"{self.name} has no {role} endpoint for {environment}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """An exchange, all of it. A venue's package exports one as `VENUE`."""

    slug: str
    name: str
    families: tuple[Family, ...]
    secrets: tuple[SecretField, ...]
    standing: Standing
    docs: str = ""
    fees: str = ""
    practice: str = ""  # dotted path of the class that plays the venue: "connectors.binance.practice:BinancePractice"
    demo_symbols: tuple[str, ...] = ("BTC-USDT",)  # first ones to show

    def family(self, name: str) -> Family:
        """The family called `name`. Raises KeyError."""
        for family in self.families:
            if family.name == name:
                return family
        raise KeyError(f"{self.slug} has no family {name}")

    @property
    def has_testnet(self) -> bool:
        """Whether any family can be used on the venue's own test market."""
        return any(endpoint.testnet for family in self.families for endpoint in family.endpoints)
