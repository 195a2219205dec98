"""BitMEX: byte for byte, whether the venue's documentation made it or another client.

One thing may differ: ours asks for the newest fills, and for more of them than the venue's default (`count`, `reverse`); then the
signature verifies over our own bytes.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from connectors.bitmex.signing import decode
from connectors.catalogue import load
from connectors.contract import Call, Security, Stamp
from tests.recordings.vectors import sealed

SLUG = "bitmex"
FILLS = {"count": "500", "reverse": "true"}


def check(entry: dict[str, Any]) -> None:
    """The same request, and a signature that verifies over our own bytes."""
    expected = entry["expect"]
    if entry["call"]["op"] == "sign":
        check_documented(entry)
        return
    if expected["method"] == "WS":
        _, wire, base = sealed(SLUG, entry)
        assert base == expected["url"]
        assert wire.frame == expected["body"]
        return
    facts = {name: value for name, value in entry["call"].items() if name == "text"}
    _, wire, base = sealed(SLUG, {**entry, "call": {**entry["call"], "facts": facts}})
    assert wire.method == expected["method"]
    ours, theirs = urlsplit(base + wire.path), urlsplit(expected["url"])
    assert (ours.scheme, ours.netloc, ours.path) == (theirs.scheme, theirs.netloc, theirs.path)
    assert ours.query.startswith(theirs.query), "percent-encoding is the same"
    extra = dict(parse_qsl(ours.query.removeprefix(theirs.query)))
    assert extra == (FILLS if entry["call"]["op"] == "fills" else {})
    body = str(wire.body or "")
    assert body == expected["body"]
    headers = dict(wire.headers)
    signature = headers.pop("api-signature")
    assert headers == {name: value for name, value in expected["headers"].items() if name != "api-signature"}
    signed = f"{wire.method}/api/v1{wire.path}{headers['api-expires']}{body}"
    secret = entry["credentials"]["secret"].encode()
    assert hmac.new(secret, signed.encode(), hashlib.sha256).hexdigest() == signature
    assert extra or signature == expected["headers"]["api-signature"]


def check_documented(entry: dict[str, Any]) -> None:
    """The worked examples of the venue's own page, to the last byte."""
    expected, call = entry["expect"], entry["call"]
    family = load(SLUG).families[0]
    body = decode(expected["body"]) if expected["body"] else None
    step = Call(
        endpoint="rest",
        method=call["method"],
        path=call["path"].removeprefix("/api/v1"),  # which is a part of the endpoint
        body=body,
        security=Security.SIGNED,
        read=lambda answer: answer,
    )
    stamp = Stamp(entry["timestamp_ms"], 0, "")
    wire = family.signer.seal(step, entry["credentials"], {}, stamp, family.url("rest"))
    assert family.url("rest") + wire.path == expected["url"]
    assert (wire.method, wire.body or "") == (expected["method"], expected["body"])
    assert {name: value for name, value in wire.headers.items() if name != "Content-Type"} == expected["headers"]
