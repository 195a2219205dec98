"""KuCoin: the documented example byte for byte; else the same request with a signature that verifies over our own bytes.

"The same" = method, address, parameters and body by their meaning, headers but for Content-Type, which we send always. What
we leave to the venue's defaults, or ask for in a documented form that the vector's maker does not use, is named below.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from connectors.catalogue import load
from connectors.contract import Call, Effect, Role, Security, Stamp
from connectors.kucoin.signing import sign
from connectors.model import OrderRef, OrderStatus, OrderUpdate
from connectors.tools import instrument_for, steps_for
from tests.recordings.vectors import sealed

SLUG = "kucoin"
# vector: parameters that its maker adds and the documentation does not know
UNDOCUMENTED = {"open orders": {"tradeType", "status"}}
# vector: parameters that we add to its maker's
ADDED = {"my fills": {"limit"}}
# vector: fields of its body that we leave out
LEFT_OUT = {"perp place market sell reduce-only": {"leverage"}}  # an order that only reduces needs none
# vectors of requests that the connector does not make, or makes in another documented form
NOT_SENT = {"UTA place limit buy", "cancel by client id, synchronous"}


def recipe(text: str, secret: str) -> str:
    """The documented recipe, written for this test alone."""
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()).decode()


def check(entry: dict[str, Any]) -> None:
    """See the module."""
    expected, secret = entry["expect"], entry["credentials"]["secret"]
    ours = raw(entry) if entry["call"]["op"] == "raw" or entry["name"] in NOT_SENT else made(entry)
    wire, base = ours
    assert wire.method == expected["method"]
    mine, theirs = urlsplit(base + wire.path), urlsplit(expected["url"])
    assert (mine.scheme, mine.netloc, mine.path) == (theirs.scheme, theirs.netloc, theirs.path)
    left, right = dict(parse_qsl(mine.query)), dict(parse_qsl(theirs.query))
    for name in UNDOCUMENTED.get(entry["name"], ()):
        del right[name]
    for name in ADDED.get(entry["name"], ()):
        del left[name]
    assert left == right
    left, right = json.loads(wire.body or "{}"), json.loads(expected["body"] or "{}")
    for name in LEFT_OUT.get(entry["name"], ()):
        del right[name]
    assert left == right
    headers, wanted = dict(wire.headers), dict(expected["headers"])
    text = headers["KC-API-TIMESTAMP"] + wire.method + wire.path + str(wire.body or "")
    assert headers["KC-API-SIGN"] == recipe(text, secret)
    assert headers.pop("Content-Type") == "application/json"
    wanted.pop("Content-Type", None)
    if text == entry.get("prehash", entry["call"].get("prehash")) or same_bytes(entry, wire, base):
        assert headers["KC-API-SIGN"] == wanted["KC-API-SIGN"]
    if entry["call"]["op"] == "raw":
        assert str(wire.body) == expected["body"]
        return  # the documented example names neither key nor passphrase
    headers.pop("KC-API-SIGN")
    wanted.pop("KC-API-SIGN")
    assert headers == wanted


def same_bytes(entry: dict[str, Any], wire: Any, base: str) -> bool:
    """Whether what is signed is the vector's to the letter."""
    return base + wire.path == entry["expect"]["url"] and (wire.body or None) == entry["expect"]["body"]


def made(entry: dict[str, Any]) -> tuple[Any, str]:
    """Our own step for the call, sealed."""
    call = dict(entry["call"])
    if "leverage" in call or "margin_mode" in call:
        wire = "XBTUSDTM"
        call["facts"] = {"leverage": {wire: int(call["leverage"])}, "modes": {wire: call["margin_mode"]}}
    if call["op"] != "amend":
        _, wire, base = sealed(SLUG, {**entry, "call": call})
        return wire, base
    return amended(entry)


def amended(entry: dict[str, Any]) -> tuple[Any, str]:
    """An amend first asks what is left of the order."""
    venue = load(SLUG)
    family, step = steps_for(entry["call"], venue)
    assert isinstance(step, Call)
    assert (step.method, step.effect) == ("GET", Effect.READ)
    call = entry["call"]
    ref = OrderRef(instrument=instrument_for(call, family, venue), venue_id=call["order_id"])
    flow = family.trading.amend(ref, {}, price=Decimal(call["price"]), amount=Decimal(call["amount"]))
    next(flow)
    known = OrderUpdate(
        wire="BTC-USDT",
        venue_id=call["order_id"],
        status=OrderStatus.OPEN,
        amount=Decimal("0.01"),
        filled=Decimal(0),
    )
    step = flow.send(known)
    assert step.effect is Effect.AMEND
    return seal(entry, step), family.url(step.endpoint)


def raw(entry: dict[str, Any]) -> tuple[Any, str]:
    """The vector's own request through our signer."""
    expected = entry["expect"]
    parts = urlsplit(expected["url"])
    body = json.loads(expected["body"]) if expected["body"] else None
    step = Call(
        endpoint=Role.REST,
        method=expected["method"],
        path=parts.path,
        params=tuple(parse_qsl(parts.query)),
        body=body,
        read=lambda answer: answer,
        security=Security.SIGNED,
    )
    secret = entry["credentials"]["secret"]
    if "prehash" in entry["call"]:
        assert sign(entry["call"]["prehash"], secret) == expected["headers"]["KC-API-SIGN"]
    filled = {name: value or "none" for name, value in entry["credentials"].items()}
    return seal({**entry, "credentials": filled}, step), f"{parts.scheme}://{parts.netloc}"


def seal(entry: dict[str, Any], step: Any) -> Any:
    stamp = Stamp(entry["timestamp_ms"], entry["timestamp_ms"], "0" * 32)
    signer = load(SLUG).families[0].signer
    return signer.seal(step, entry["credentials"], {}, stamp, "https://api.kucoin.com")
