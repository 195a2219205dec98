"""Kraken: the same request with a signature that verifies over our own bytes, and the vector's own bytes signed as it says.

The documented example is reproduced byte for byte. Ours carry a deadline on orders, which the vectors leave out; the order of
parameters is the maker's own.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from connectors.catalogue import load
from connectors.contract import Ask, Call, Channel, Environment, Role, Stamp, Topic
from connectors.kraken.signing import sign
from connectors.model import OrderUpdate
from connectors.tools import instrument_for, steps_for
from tests.recordings.vectors import sealed

SLUG = "kraken"
NO_NAMES: dict[str, Any] = {"assets": {}, "instruments": {}}


def recomputed(path: str, body: str, secret: str) -> str:
    """The documented recipe, written for this test alone."""
    fields = json.loads(body) if body.startswith("{") else dict(parse_qsl(body))
    inner = hashlib.sha256(str(fields["nonce"]).encode() + body.encode()).digest()
    raw = hmac.new(base64.b64decode(secret), path.encode() + inner, hashlib.sha512).digest()
    return base64.b64encode(raw).decode()


def check(entry: dict[str, Any]) -> None:
    """See the module."""
    expected, secret = entry["expect"], entry["credentials"]["secret"]
    if expected["method"] == "WS":
        check_frame(entry)
        return
    path = urlsplit(expected["url"]).path
    nonce = str(entry["call"]["nonce"])
    assert sign(path, nonce, expected["body"], secret) == expected["headers"]["API-Sign"]
    if entry["call"]["op"] == "cancel_batch":
        wire, base = cancelled_by_name(entry)
    else:
        call = {**entry["call"], "facts": NO_NAMES | {name: True for name in ("validate",) if name in entry["call"]}}
        _, wire, base = sealed(SLUG, {**entry, "call": call}, deadline=0)
    assert (wire.method, base + wire.path) == (expected["method"], expected["url"])
    body = str(wire.body)
    if entry["name"].startswith("documented example"):
        assert body == expected["body"]
        assert dict(wire.headers) == expected["headers"]
        return
    ours, theirs = dict(wire.headers), dict(expected["headers"])
    assert ours.pop("API-Sign") == recomputed(path, body, secret)
    theirs.pop("API-Sign")
    assert ours == theirs
    if body.startswith("{"):
        assert json.loads(body) == json.loads(expected["body"])
    else:
        assert dict(parse_qsl(body)) == dict(parse_qsl(expected["body"]))


def cancelled_by_name(entry: dict[str, Any]) -> tuple[Any, str]:
    """Cancelling everything of an instrument asks what is open, then cancels those by name."""
    venue = load(SLUG)
    family = venue.families[0]
    instrument = instrument_for({"symbol": "BTC-USDT"}, family, venue)
    flow = family.trading.cancel_all(instrument, NO_NAMES)
    assert isinstance(listing := next(flow), Call)
    assert listing.path == "/0/private/OpenOrders"
    step = flow.send([OrderUpdate(wire="BTC/USDT", venue_id=name) for name in entry["call"]["order_ids"]])
    base = family.url(step.endpoint)
    stamp = Stamp(entry["timestamp_ms"], entry["timestamp_ms"], "0" * 32)
    return family.signer.seal(step, entry["credentials"], {}, stamp, base), base


def check_frame(entry: dict[str, Any]) -> None:
    """No signature, only the token; the number of the request is the connection's own."""
    theirs = json.loads(entry["expect"]["body"])
    venue = load(SLUG)
    family = venue.families[0]
    facts = {"token": entry["call"]["token"], "deadline": 0}
    if entry["call"]["op"].startswith("ws_subscribe"):
        asks = family.account_stream().plan(frozenset(), [Topic(Channel.ACCOUNT)], [])
        ask = next(ask for ask in asks if ask.payload["params"]["channel"] == theirs["params"]["channel"])
        base = family.url(ask.endpoint, Environment.LIVE)
        stamp = Stamp(entry["timestamp_ms"], entry["timestamp_ms"], "0" * 32)
        wire = family.signer.seal(dataclasses.replace(ask, id="7"), {}, facts, stamp, base)
    else:
        _, step = steps_for(entry["call"], venue)
        assert isinstance(step, Ask)
        assert step.endpoint == Role.ACCOUNT
        base = family.url(step.endpoint)
        wire = family.signer.seal(dataclasses.replace(step, id="7"), {}, facts, Stamp(0, 0, "0" * 32), base)
    assert base == entry["expect"]["url"]
    frame = json.loads(str(wire.frame))
    assert frame.pop("req_id") == 7
    theirs.pop("req_id")
    assert frame == theirs
