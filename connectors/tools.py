"""Operations in plain words: a call like `{"op": "place", "symbol": "BTC-USDT", ...}` becomes a step of the venue's own Trading.

For tests, and for people who want to see what would be sent. Nothing here sends anything.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET

from connectors.contract import (
    UNREADABLE,
    Ask,
    Call,
    Channel,
    Dial,
    Effect,
    Family,
    Flow,
    Page,
    Role,
    Security,
    Stamp,
    Step,
    Topic,
    Venue,
)
from connectors.errors import VenueError
from connectors.model import (
    Instrument,
    Market,
    OrderKind,
    OrderRef,
    OrderRequest,
    OrderStatus,
    OrderUpdate,
    Side,
    SizeRule,
    TimeInForce,
)

LONGEST = 4  # steps of an operation that are walked
KINDS = {
    "limit": OrderKind.LIMIT,
    "market": OrderKind.MARKET,
    "stop": OrderKind.STOP,
    "stop_market": OrderKind.STOP,
    "stop_limit": OrderKind.STOP_LIMIT,
    "take_profit": OrderKind.TAKE_PROFIT,
    "take_profit_limit": OrderKind.TAKE_PROFIT_LIMIT,
}


def sign_line(venue: Venue, line: str | bytes, number: int) -> bytes:
    """What would be sent for one line of JSON, a call in plain words with credentials. Never raises; never repeats a secret
    in an error.
    """
    try:
        said = signed(venue, msgspec.json.decode(line))
    except KeyError as error:
        said = {"error": f"the call does not say {error}"}
    except (LookupError, VenueError) as error:
        said = {"error": str(error)}
    except (StopIteration, *UNREADABLE) as error:
        said = {"error": f"this is no call that can be signed ({_reason(error)})"}
    return msgspec.json.encode({"line": number, **said})


def _reason(error: Exception) -> str:
    """Words that a call itself may cause; anything else might hold a secret."""
    text = str(error)
    if isinstance(error, msgspec.DecodeError):
        return "the line is no JSON"
    if isinstance(error, InvalidOperation):
        return "a price or an amount is no number"
    return (
        text
        if text.endswith(("is not a valid TimeInForce", "is not a valid Side", "is not a valid Market"))
        else type(error).__name__
    )


def signed(venue: Venue, entry: Mapping[str, Any]) -> dict[str, Any]:
    """The request of `{"call": {"op", ...}, "credentials": {...}, "timestamp_ms": ...}` as it would leave: method ("WS" for a
    frame), url, headers, body. Raises LookupError for an operation that is not known, VenueError for what can't be signed.
    """
    call = entry["call"]
    if call.get("account") == "unified":
        raise LookupError("unified accounts are not traded on by this connector")
    family = family_for(call, venue)
    credentials = {name: str(value) for name, value in (entry.get("credentials") or {}).items() if value}
    facts = {name: call[name] for name in ("recv_window", "token", "text", "validate") if name in call}
    if call["op"] == "place" and "leverage" in call:
        wire = instrument_for(call, family, venue).wire
        facts |= {"leverage": {wire: int(call["leverage"])}, "modes": {wire: call.get("margin_mode")}}
    facts |= {"deadline": call.get("deadline", 0), **(call.get("facts") or {})}  # what a call does not name is left out
    time_ms = int(entry["timestamp_ms"])
    stamp = Stamp(time_ms, int(call.get("nonce", time_ms)), str(entry.get("token") or "0" * 32))
    step = _step_to_sign({**call, "facts": facts}, family, venue)
    if isinstance(step, Dial):
        return {"method": "WS", "url": step.url or family.url(Role.ACCOUNT) + step.path, "headers": {}, "body": None}
    base = family.url(step.endpoint)
    if isinstance(step, Ask) and not step.id:
        step = dataclasses.replace(step, id="1")  # as the first one of its connection
    lacking = _left_open(call, credentials, venue)
    wire = family.signer.seal(step, credentials | dict.fromkeys(lacking, "a"), facts, stamp, base)
    headers = dict(wire.headers)
    if lacking:  # only what does not depend on them is told
        other = family.signer.seal(step, credentials | dict.fromkeys(lacking, "b"), facts, stamp, base).headers
        headers = {name: value for name, value in headers.items() if other.get(name) == value}
    body = wire.frame if isinstance(step, Ask) else wire.body
    text = body.decode("utf-8", "backslashreplace") if isinstance(body, bytes) else body
    method = "WS" if isinstance(step, Ask) else wire.method
    return {"method": method, "url": base + wire.path, "headers": headers, "body": text}


def _left_open(call: Mapping[str, Any], credentials: Mapping[str, str], venue: Venue) -> list[str]:
    """Fields of a key that a documented example of a signature does not need to name, beside the secret."""
    if call["op"] not in ("sign", "raw") or "secret" not in credentials:
        return []
    return [field.name for field in venue.secrets if field.name not in credentials]


def _signed_body(call: Mapping[str, Any]) -> Any:
    """The JSON body of a documented example that shows only the text that is signed, where the body ends it."""
    _, found, tail = str(call.get("prehash", "")).partition(f"{call['method']}{call['path']}")
    return msgspec.json.decode(tail) if found and tail.startswith("{") else None


def _step_to_sign(call: Mapping[str, Any], family: Family, venue: Venue) -> Step | Dial:
    """The operation's own request: what is asked before it, such as names of assets, is not what was meant."""
    match call["op"]:
        case "sign" | "raw":
            base = urlsplit(family.url(Role.REST)).path
            return Call(
                endpoint=Role.REST,
                method=call["method"],
                path=str(call["path"]).removeprefix(base),
                body=call["body"] if "body" in call else _signed_body(call),
                security=Security.SIGNED,
                read=lambda answer: answer,
            )
        case "ws_login" if "listen_key" in call:
            return _dial_with(family, call["listen_key"])
        case "ws_login" | "ws_keepalive":
            return _private_step(call, family, venue)
        case "ws_subscribe_private" | "ws_subscribe_balances":
            asks = family.account_stream().plan(frozenset(), [Topic(Channel.ACCOUNT)], [])
            named = [ask for ask in asks if "balance" in str(ask.payload)]
            return named[0] if named and call["op"].endswith("balances") else asks[0]
        case "amend":
            return _change(_flow(call, family, venue), call, instrument_for(call, family, venue))
        case "cancel_batch":
            return _cancel_named(call, family, venue)
    steps = [step for _, step in walk(lambda: _flow(call, family, venue))]
    if not steps:
        return next(_flow(call, family, venue))  # raises what the walk met
    return next((step for step in steps if step.security is not Security.NONE), steps[0])


def _change(flow: Flow[Any], call: Mapping[str, Any], instrument: Instrument) -> Step:
    """The request that changes an order. Where the order is asked for first, it is one that rests untouched."""
    step = next(flow)
    resting = OrderUpdate(
        wire=instrument.wire,
        venue_id=str(call.get("order_id", "")),
        client_id=call.get("client_id", ""),
        status=OrderStatus.OPEN,
        amount=Decimal(call["amount"]) if "amount" in call else UNSET,
        filled=Decimal(0),
    )
    for _ in range(LONGEST):
        if step.effect is not Effect.READ:
            break
        step = flow.send(resting)
    return step


def _cancel_named(call: Mapping[str, Any], family: Family, venue: Venue) -> Step:
    """The request that cancels several orders by name, where everything of an instrument is cancelled so. Raises LookupError."""
    instrument, names = instrument_for(call, family, venue), call["order_ids"]
    flow = family.trading.cancel_all(instrument, dict(call["facts"]))
    step = next(flow)
    for _ in range(LONGEST):
        if step.effect is not Effect.READ:
            break
        listed = [OrderUpdate(wire=instrument.wire, venue_id=name, status=OrderStatus.OPEN) for name in names]
        step = flow.send({} if step.security is Security.NONE else listed)
    if not names or not all(str(name) in str(step) for name in names):
        raise LookupError(f"{venue.slug} is not asked to cancel several orders by name")
    return step


def _dial_with(family: Family, key: str) -> Dial:
    """Where a private socket is opened with a key that was got before."""
    opening = family.account_stream().opening({})
    next(opening)
    try:
        opening.send(key)
    except StopIteration as stop:
        return stop.value
    raise LookupError("this venue asks for more than a key before it opens a private socket")


def walk(make: Callable[[], Flow[Any]]) -> Iterator[tuple[Flow[Any], Step]]:
    """A flow and its steps, as far as they come when whatever is asked before is answered with nothing."""
    try:
        flow = make()
        step = next(flow)
        for _ in range(LONGEST):
            yield flow, step
            step = flow.send({})
    except (StopIteration, LookupError, VenueError, *UNREADABLE):
        return


def family_for(call: Mapping[str, Any], venue: Venue) -> Family:
    """The family that a call's `market` belongs to; the first one if it names none. Raises LookupError."""
    market = call.get("market")
    if market is None:
        return venue.families[0]
    for family in venue.families:
        if Market(market) in family.markets:
            return family
    raise LookupError(f"{venue.slug} has no market {market}")


def instrument_for(call: Mapping[str, Any], family: Family, venue: Venue) -> Instrument:
    """A stand-in with the call's symbol; its wire name is spelled from it unless `venue_symbol` says otherwise. "-PERP" behind
    a symbol says no more than its market does.
    """
    symbol = str(call.get("symbol", "BTC-USDT")).removesuffix("-PERP")
    base, _, quote = symbol.partition("-")
    return Instrument(
        venue=venue.slug,
        family=family.name,
        market=next(iter(family.markets)),
        symbol=symbol,
        wire=str(call.get("venue_symbol") or family.spelling.wire(base, quote)).removeprefix("venue symbol "),
        base=base,
        quote=quote,
        settle=quote,
        tick=Decimal("0.00000001"),
        size=SizeRule(),
        price_digits=8,
        size_digits=8,
        kinds=frozenset(OrderKind),
    )


def steps_for(call: Mapping[str, Any], venue: Venue) -> tuple[Family, Call | Ask]:
    """The family and the first step of the operation. Raises LookupError for an operation that is not known here."""
    family = family_for(call, venue)
    if call["op"] in ("ws_login", "ws_keepalive"):
        return family, _private_step(call, family, venue)
    return family, next(_flow(call, family, venue))


def _flow(call: Mapping[str, Any], family: Family, venue: Venue) -> Flow[Any]:
    trading, facts = family.trading, dict(call.get("facts", {}))
    instrument = instrument_for(call, family, venue)
    side = Side(call["side"]) if "side" in call else None
    name = call.get("order_id") or next(iter(call.get("order_ids", ())), "")
    ref = OrderRef(instrument=instrument, client_id=call.get("client_id", ""), venue_id=name, side=side)
    socket = call.get("transport") == "ws-api" or call.get("via") == "ws"
    match call["op"]:
        case "place":
            if call.get("position_side"):
                facts["dual"] = True
            return trading.place(order_for(call, instrument), facts, socket=socket)
        case "place_batch":
            return trading.place_batch([order_for(order, instrument) for order in call["orders"]], facts)
        case "cancel":
            return trading.cancel(ref, facts, socket=socket)
        case "cancel_all":
            return trading.cancel_all(instrument if "symbol" in call else None, facts)
        case "cancel_all_after":
            return trading.dead_man(instrument if "symbol" in call else None, float(call["seconds"]), facts)
        case "amend":
            price = Decimal(call["price"]) if "price" in call else None
            amount = next((Decimal(call[name]) for name in ("amount", "contracts") if name in call), None)
            return trading.amend(ref, facts, price=price, amount=amount, client_id=call.get("new_client_id", ""))
        case "order":
            return trading.order(ref, facts)
        case "open_orders":
            return trading.open_orders(instrument if "symbol" in call else None, facts)
        case "open_order_symbols":
            return trading.open_orders(None, facts)
        case "fills":
            return trading.fills(instrument, Page(limit=call.get("limit", 500)), facts)
        case "balances":
            return trading.balances(facts)
        case "fees":
            return trading.fees(instrument, facts)
        case "login" | "key_permissions":
            return trading.login()
        case "positions":
            return trading.positions(facts)
        case "fees":
            return trading.fees(instrument, facts)
        case "account_mode":
            return trading.login()
        case "book_snapshot":
            return trading.book(instrument)
        case "set_leverage":
            return trading.set_leverage(instrument, int(call["leverage"]), facts)
    raise LookupError(f"no operation is called {call['op']!r}")


def order_for(call: Mapping[str, Any], instrument: Instrument) -> OrderRequest:
    """The order that a place call describes."""

    def money(name: str) -> Decimal | None:
        return Decimal(call[name]) if call.get(name) is not None else None

    return OrderRequest(
        client_id=call.get("client_id", ""),
        instrument=instrument,
        side=Side(call["side"]),
        kind=KINDS[call["type"]],
        amount=money("amount") if "amount" in call else money("contracts"),
        quote_amount=money("quote_amount"),
        price=money("price"),
        trigger=money("stop_price"),
        tif=TimeInForce(str(call.get("tif") or call.get("time_in_force") or "GTC").lower()),
        post_only=bool(call.get("post_only")),
        reduce_only=bool(call.get("reduce_only")),
    )


def _private_step(call: Mapping[str, Any], family: Family, venue: Venue) -> Call | Ask:
    """The step that opens the private stream, for some `symbols` if the call names them, or keeps it alive."""
    if call["op"] == "ws_keepalive":
        return next(family.keep_up[0].flow({}))
    wires = [instrument_for({"symbol": symbol}, family, venue).wire for symbol in call.get("symbols", ())]
    topics = [Topic(Channel.ACCOUNT, wire) for wire in wires or [""]]
    stream = family.account_stream()
    opening = stream.opening({})
    try:
        step = next(opening)
    except StopIteration:
        return stream.plan(frozenset(), topics, [])[0]
    if step.security is not Security.NONE:
        return step
    return stream.plan(frozenset(), topics, [])[0]  # what came first needs no key
