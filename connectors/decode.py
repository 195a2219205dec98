"""What a lone frame or REST body means, in plain words: one dict an event, `{"kind": "book_delta", "symbol": "BTC-USDT", ...}`.

For people who debug a venue. Each frame is read by fresh Streams of the venue, without an earlier subscription; a body by the
operation whose request has its path. Nothing here raises on input: what isn't understood is an event of kind `unknown`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec
from msgspec import UNSET

from connectors.contract import (
    UNREADABLE,
    Accepted,
    Active,
    Alive,
    Answer,
    Answered,
    Ask,
    Call,
    ClosingSoon,
    Declined,
    Effect,
    Ended,
    Event,
    Family,
    Flow,
    LoginLost,
    Page,
    Ready,
    Reply,
    Role,
    Search,
    Step,
    Stream,
    Unknown,
    Venue,
)
from connectors.errors import Unintelligible, VenueError
from connectors.model import (
    ZERO,
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
    OrderStatus,
    OrderUpdate,
    Position,
    Side,
    SizeRule,
    Ticker,
    Trade,
)
from connectors.tools import LONGEST, walk

SHOWN = 200  # characters of what isn't understood
DEPTHS = (20, 100)  # levels of a book that may have an address of their own
_VERSION = re.compile("/v[0-9]+/")
_encode = msgspec.json.Encoder(decimal_format="number").encode
_decode = msgspec.json.Decoder().decode

# Stand-ins that are found again in the paths and parameters of a request.
_WIRE, _VENUE_ID, _CLIENT_ID, _MONEY = "WIRExNAME", "987650001", "cid-987650002", Decimal(987650003)


def decode_line(venue: Venue, line: str | bytes, number: int, market: Market | None = None) -> bytes:
    """The answer to one line of JSON: `{"line": number, "events": [...]}`. Never raises."""
    return _encode({"line": number, "events": _events_of_line(venue, line, market)})


def _events_of_line(venue: Venue, line: str | bytes, market: Market | None) -> list[dict[str, Any]]:
    try:
        row = _decode(line)
        frame: str | bytes
        if "frame_b64" in row:
            frame = base64.b64decode(row["frame_b64"], validate=True)
        else:
            frame = row["frame"] if isinstance(row["frame"], str) else _encode(row["frame"]).decode()
        path = row.get("http")
        status = int(row.get("status") or 200)
    except KeyError:
        return [_error('a line needs "frame" or "frame_b64"')]
    except msgspec.DecodeError:
        return [_error("the line is no JSON")]
    except binascii.Error:
        return [_error("frame_b64 is no base64")]
    except UNREADABLE as error:
        return [_error(f"the line is no JSON object with a frame ({type(error).__name__})")]
    families = [family for family in venue.families if market is None or market in family.markets]
    if not families:
        return [_error(f"{venue.name} has no market {market}")]
    if path is None:
        return decode_frame(families, frame)
    try:
        return decode_body(families, str(path), frame, status)
    except ValueError:
        return [_error(f"{path!r} is no path")]


def _error(text: str, code: str = "") -> dict[str, Any]:
    return {"kind": "error", "text": text} | ({"code": code} if code else {})


# ---------------------------------------------------------------------------------------------------------------------
# Frames


def decode_frame(families: Sequence[Family], frame: str | bytes) -> list[dict[str, Any]]:
    """The reading that understands most of the frame, of all streams of these families; the first of equals."""
    best: list[dict[str, Any]] = []
    best_score = -1
    for family in families:
        for stream in _streams(family):
            try:
                events = [_shown(plain_event(event, family), frame) for event in stream.read_alone(frame)]
            except UNREADABLE as error:  # a connector's mistake, told rather than hidden
                events = [{"kind": "unknown", "what": f"the connector failed ({type(error).__name__})"}]
            score = _score(events)
            if score > best_score:
                best, best_score = events, score
    return best or [{"kind": "control", "type": "nothing"}]


def _shown(event: dict[str, Any], frame: str | bytes) -> dict[str, Any]:
    """What isn't understood, with the frame as it came."""
    if event["kind"] == "unknown":
        event["frame"] = (frame if isinstance(frame, str) else repr(frame))[:SHOWN]
    return event


def _market_roles(family: Family) -> list[str]:
    return [endpoint.role for endpoint in family.endpoints if endpoint.role.startswith(Role.MARKET)]


def _streams(family: Family) -> Iterator[Stream]:
    for role in _market_roles(family):
        yield family.market_stream(role)
    yield family.account_stream()
    if family.trade_stream is not None:
        yield family.trade_stream()


def _score(events: Sequence[Mapping[str, Any]]) -> int:
    """Data before acknowledgements, both before nothing, everything before what isn't understood."""
    kinds = {event["kind"] for event in events}
    if "unknown" in kinds:
        return 1 if len(kinds) > 1 else 0
    if not kinds:
        return 2
    return 3 if kinds == {"control"} else 4


def plain_event(event: Event, family: Family) -> dict[str, Any]:
    """One event as a dict."""
    wire = getattr(event, "wire", None)
    symbol = family.spelling.symbol(wire) if isinstance(wire, str) else ""
    match event:
        case BookSnapshot():
            return _told(
                kind="book_snapshot", symbol=symbol, bids=_rows(event.bids), asks=_rows(event.asks), time=event.time,
                id=event.id, depth=event.depth, checksum=event.checksum,
            )  # fmt: skip
        case BookDelta():
            return _told(
                kind="book_delta", symbol=symbol, bids=_rows(event.bids), asks=_rows(event.asks), time=event.time,
                first=event.first, last=event.last, prev=event.prev, checksum=event.checksum,
            )  # fmt: skip
        case Trade():
            return _told(
                kind="trade", symbol=symbol, price=event.price, amount=event.amount, side=event.side, id=event.id,
                time=event.time,
            )  # fmt: skip
        case Ticker() | MarkPrice():
            return {"kind": "ticker", "symbol": symbol} | _fields(event, "wire")
        case Candle():
            return {"kind": "candle", "symbol": symbol} | _fields(event, "wire")
        case OrderUpdate():
            row = _fields(event, "wire", "family", "kind", "venue_id")
            kind = {"type": event.kind} if event.kind is not UNSET else {}
            return {"kind": "order", "symbol": symbol, "id": event.venue_id} | kind | row
        case Fill():
            return (
                {"kind": "fill", "symbol": symbol}
                | _fields(event, "wire", "family", "venue_id")
                | {"order": event.venue_id}
            )
        case Balance():
            return {"kind": "balance"} | _fields(event, "family")
        case Position():
            return {"kind": "position", "symbol": symbol} | _fields(event, "wire", "family")
        case Answered():
            return _answered(event, family)
    return _plain_control(event, symbol)


def _plain_control(event: Event, symbol: str) -> dict[str, Any]:
    match event:
        case Declined():
            return _error(event.text, event.code)
        case BookBroken():
            return _error(event.why)
        case LoginLost():
            return _error(event.why or "the login ended")
        case Unknown():
            return {"kind": "unknown", "what": event.what, "frame": event.frame[:SHOWN]}
        case BookCheck():
            return _told(kind="control", type="checksum", symbol=symbol, checksum=event.checksum, time=event.time)
        case Accepted() | Active() | Ended() | ClosingSoon() | Ready() | Reply() | Alive():
            return {"kind": "control", "type": type(event).__name__.lower()}
    return {"kind": "unknown", "what": type(event).__name__}


def _answered(event: Answered, family: Family) -> dict[str, Any]:
    """An answer to a request: an order, a refusal, or what merely answers."""
    named = event.payload.get("method") if isinstance(event.payload, dict) else None
    for step in _socket_steps(family):
        if named is not None and step.payload.get("method") not in (None, named):
            continue
        try:
            value = step.read(event.payload)
        except Unintelligible:
            continue
        except VenueError as error:
            return _error(error.text or type(error).__name__, error.code)
        except UNREADABLE:
            continue
        if isinstance(value, OrderUpdate) and {value.venue_id, value.client_id} - {_VENUE_ID, _CLIENT_ID, ""}:
            return _without_stand_ins(plain_event(value, family), family, "")
    return {"kind": "control", "type": "answer", "id": event.ask}


def _without_stand_ins(event: dict[str, Any], family: Family, wire: str) -> dict[str, Any]:
    """An event of an operation: what only our stand-ins said is not told; the instrument is `wire`, if that is known."""
    if event.get("symbol") in (family.spelling.symbol(_WIRE), ""):
        event["symbol"] = family.spelling.symbol(wire) if wire else None
    return {name: part for name, part in event.items() if part not in (_VENUE_ID, _CLIENT_ID, _MONEY)}


def _socket_steps(family: Family) -> Iterator[Ask]:
    order, ref = _order(family), _ref(family)
    for make in (
        lambda: family.trading.place(order, {}, socket=True),
        lambda: family.trading.cancel(ref, {}, socket=True),
    ):
        step = _first(make)
        if isinstance(step, Ask):
            yield step


def _rows(levels: Sequence[Any]) -> list[list[float]]:
    return [[row.price, row.size] for row in levels]


def _told(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _fields(row: Any, *without: str) -> dict[str, Any]:
    """What the venue told, as it told it; a set in its order, so that the same input is always answered alike."""
    found = msgspec.structs.asdict(row)
    return {
        name: sorted(value) if isinstance(value, frozenset) else value
        for name, value in found.items()
        if name not in without and value is not UNSET and value is not None and (value != "" or name == "id")
    }


# ---------------------------------------------------------------------------------------------------------------------
# REST bodies


def decode_body(families: Sequence[Family], path: str, body: str | bytes, status: int = 200) -> list[dict[str, Any]]:
    """A body, by the operation whose request has `path` (a path, "METHOD path", or an address; the query may name the symbol)."""
    raw = body.encode() if isinstance(body, str) else body
    method, _, address = path.strip().rpartition(" ")
    parts = urlsplit(address)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    asked = (method.upper(), unquote(parts.path), query)
    refusal: dict[str, Any] | None = None
    for family in families:
        told, refused = _alone(family, asked, raw, status)
        if told is not None:
            return told
        refusal = refusal or refused
    matched = [
        (family, make, wire)
        for family in families
        for make in _operations(family)
        if (wire := _asked_at(family, make, *asked)) is not None
    ]
    if not matched:
        asked = (asked[0], _of_today(families, asked[1]), query)
        matched = [
            (family, family.trading.instruments, "")
            for family in families
            if _asked_at(family, family.trading.instruments, *asked) is not None
        ]
    refusal = None if matched else refusal
    best: list[dict[str, Any]] = []
    best_rank = (-1, -1)
    for family, make, wire in matched:
        found, refused = _read_body(family, make, asked, wire, raw, status)
        refusal = refusal or refused
        if found is not None and (rank := (_score(found), _likeness(make, query))) > best_rank:
            best, best_rank = found, rank
    if len({_likeness(make, query) for _, make, _ in matched if isinstance(make, partial)}) == 1:
        for event in best:  # bars, and the address speaks of no interval
            event.pop("interval", None)
    if best and (refusal is None or _score(best) > _score([{"kind": "control"}])):
        return best
    if refusal is not None:
        return [refusal]
    what = "a body that does not fit" if matched else "no operation asks for this path"
    return [{"kind": "unknown", "what": f"{what}: {address}"[:SHOWN]}]


Address: TypeAlias = tuple[str, str, Mapping[str, str]]  # method or "", path, query


def _alone(
    family: Family, address: Address, raw: bytes, status: int
) -> tuple[list[dict[str, Any]] | None, dict[str, Any] | None]:
    """What a body names by itself, where the venue's bodies do, or the venue's refusal in it."""
    try:
        value = family.trading.read_alone(*address[1:], Answer(status, raw, {}))
    except VenueError as error:
        return None, _error(error.text or type(error).__name__, error.code) if error.code else None
    except UNREADABLE:
        return None, None
    told = None if value is None else _plain_values(value, family, "") or [{"kind": "control", "type": "nothing"}]
    return told, None


def _of_today(families: Sequence[Family], path: str) -> str:
    """The address that lists instruments today, for one of another version: older recordings may have asked /v1/."""
    calls = [step for family in families if isinstance(step := _first(family.trading.instruments), Call)]
    plain = _VERSION.sub("/", path)
    return next((call.path for call in calls if plain.endswith(_VERSION.sub("/", call.path))), path)


def _likeness(make: Any, query: Mapping[str, str]) -> int:
    """How many parameters a request of the operation has in common with an address: intervals share theirs but for one."""
    calls = [step for _, step in walk(make) if isinstance(step, Call)]
    return max((sum(query.get(name) == value for name, value in call.params) for call in calls), default=0)


def _asked_at(family: Family, make: Any, *address: Any) -> str | None:
    """The instrument's name in the address, if one of the operation's steps has it; None if none has."""
    for _, step in walk(make):
        if isinstance(step, Call) and (wire := _wire_in(step, *address, family)) is not None:
            return wire
    return None


def _read_body(
    family: Family, make: Any, address: Address, wire: str, raw: bytes, status: int
) -> tuple[list[dict[str, Any]] | None, dict[str, Any] | None]:
    """(events, None), (None, the venue's refusal), or (None, None) where the body does not fit."""
    for code in (status, 400) if status == 200 else (status,):
        flow, step = next(
            (flow, step)
            for flow, step in walk(make)
            if isinstance(step, Call) and _wire_in(step, *address, family) is not None
        )
        try:
            events = _plain_values(_rest(flow, step.read(Answer(code, raw, {}))), family, wire)
        except Unintelligible:
            continue
        except VenueError as error:
            ours = code != status and error.text.startswith("HTTP ")  # due to a status of our own
            if (error.code and not ours) or code == status >= 400:  # the rest are our own words
                return None, _error(error.text or type(error).__name__, error.code)
        except UNREADABLE:
            continue
        else:
            return events or [{"kind": "control", "type": "nothing"}], None
    return None, None


def _rest(flow: Any, value: Any) -> Any:
    """What the operation comes to with this answer, if whatever else it asks for is answered with nothing."""
    try:
        flow.send(value)
        for _ in range(LONGEST):
            flow.send({})
    except StopIteration as stop:
        return stop.value
    except (VenueError, *UNREADABLE):
        return value
    return value


def _flat(value: Any) -> Iterator[Any]:
    """Rows of lists and of pages."""
    if isinstance(value, list | tuple):
        for part in value:
            yield from _flat(part)
    else:
        yield value


def _plain_values(value: Any, family: Family, wire: str) -> list[dict[str, Any]]:
    """What an operation came to, as events."""
    if isinstance(value, Search):
        value = value.order or list(value.candidates)
    found = []
    for row in _flat(value):
        if isinstance(row, Instrument):
            found.append({"kind": "instrument", "symbol": row.symbol, **_fields(row, "symbol", "venue", "family")})
        elif isinstance(row, Fees):
            found.append({"kind": "control", "type": "fees", **_fields(row)})
        elif isinstance(row, msgspec.Struct):
            event = _without_stand_ins(plain_event(row, family), family, wire)
            nameless = isinstance(row, OrderUpdate) and not (event.get("id") or event.get("client_id"))
            found.append({"kind": "control", "type": "answer"} if nameless else event)
        elif row is value and isinstance(row, int) and not isinstance(row, bool):
            found.append({"kind": "control", "type": "time", "time": row})
        elif row is not None:
            found.append({"kind": "control", "type": "answer"})  # facts and tokens are not shown
    return found


def _wire_in(step: Call, method: str, path: str, query: Mapping[str, str], family: Family) -> str | None:
    """The instrument's name in an address that `step` would have; "" if it has none, None if it is another address."""
    if method and method != step.method:
        return None
    base = urlsplit(family.url(step.endpoint)).path
    pattern = re.escape(step.path)
    for name, group in ((_WIRE, "(?P<wire>[^/]+)"), (_VENUE_ID, "[^/]+"), (_CLIENT_ID, "[^/]+")):
        pattern = pattern.replace(re.escape(name), group, 1).replace(re.escape(name), "[^/]+")
    found = re.fullmatch(f"(?:{re.escape(base)})?{pattern}", path)
    if found is None:
        return None
    if "wire" in found.groupdict():
        return found["wire"]
    named = [query[name] for name, value in step.params if _WIRE in str(value) and name in query]
    return named[0] if named else ""


def _first(make: Any) -> Step | None:
    """The first step of an operation that the family has."""
    try:
        flow = make()
        step = next(flow)
        flow.close()
    except (StopIteration, VenueError, *UNREADABLE):
        return None
    return step


def _instrument(family: Family) -> Instrument:
    return Instrument(
        venue="", family=family.name, market=next(iter(sorted(family.markets))), symbol="", wire=_WIRE, base="BASE",
        quote="QUOTE", settle="QUOTE", tick=Decimal("0.01"), size=SizeRule(), price_digits=2, size_digits=2,
        kinds=frozenset(OrderKind), extra={"pair": _WIRE},
    )  # fmt: skip


def _ref(family: Family) -> OrderRef:
    return OrderRef(instrument=_instrument(family), client_id=_CLIENT_ID, venue_id=_VENUE_ID, side=Side.BUY)


def _order(family: Family, kind: OrderKind = OrderKind.LIMIT) -> OrderRequest:
    return OrderRequest(
        client_id=_CLIENT_ID, instrument=_instrument(family), side=Side.BUY, kind=kind, amount=_MONEY, price=_MONEY,
        trigger=_MONEY if kind.has_trigger else None,
    )  # fmt: skip


def _amend(family: Family, ref: OrderRef) -> Flow[Any]:
    """The request that changes an order. Where the order is asked for first, it is one that rests untouched."""
    flow = family.trading.amend(ref, {}, price=_MONEY, amount=_MONEY, client_id=_CLIENT_ID)
    resting = OrderUpdate(
        wire=_WIRE, venue_id=_VENUE_ID, client_id=_CLIENT_ID, status=OrderStatus.OPEN, amount=_MONEY, filled=ZERO
    )
    try:
        step = next(flow)
        while True:
            step = flow.send(resting if step.effect is Effect.READ else (yield step))
    except StopIteration as stop:
        return stop.value


def _operations(family: Family) -> Iterator[Any]:
    """Everything that may be asked, as functions that make the flow: reads first, since paths are shared with orders."""
    trading, instrument, ref, page = family.trading, _instrument(family), _ref(family), Page()
    by_client = msgspec.structs.replace(ref, venue_id="")
    conditional = _order(family, OrderKind.STOP_LIMIT)
    yield trading.time
    yield trading.instruments
    yield lambda: trading.book(instrument)
    yield from (lambda depth=depth: trading.book(instrument, depth) for depth in DEPTHS)
    yield lambda: trading.trades(instrument)
    yield from (partial(trading.candles, instrument, name, page) for name in family.capabilities.intervals)
    yield lambda: trading.tickers([instrument])
    yield lambda: trading.tickers([])
    yield lambda: trading.balances({})
    yield lambda: trading.positions({})
    yield lambda: trading.fees(instrument, {})
    yield lambda: trading.open_orders(instrument, {})
    yield lambda: trading.open_orders(None, {})
    yield lambda: trading.fills(instrument, page, {})
    yield lambda: trading.order(ref, {})
    yield lambda: trading.order(by_client, {})
    yield lambda: trading.order(msgspec.structs.replace(ref, client_id=""), {})
    yield lambda: trading.order(msgspec.structs.replace(ref, algo=True), {})
    yield lambda: trading.place(_order(family), {})
    yield lambda: trading.place(conditional, {})
    yield lambda: _amend(family, ref)
    yield lambda: trading.amend(ref, {}, amount=_MONEY, client_id=_CLIENT_ID)  # some change nothing else
    yield lambda: trading.cancel(ref, {})
    yield lambda: trading.cancel(by_client, {})
    yield lambda: trading.cancel(msgspec.structs.replace(ref, algo=True), {})
    yield lambda: trading.cancel_all(instrument, {})
    yield lambda: trading.cancel_all(None, {})
    yield lambda: trading.search(_order(family), {})
    yield lambda: trading.set_leverage(instrument, 2, {})
    yield lambda: trading.dead_man(instrument, 30.0, {})
    yield trading.login
    yield lambda: family.account_stream().opening({})
    yield from (lambda role=role: family.market_stream(role).opening({}) for role in _market_roles(family))
    yield from (lambda keep=keep: keep.flow({}) for keep in family.keep_up)
