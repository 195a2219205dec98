"""BitMEX: byte for byte where the venue's documentation made it, else the same request with a signature that verifies.

"The same" = method, address, headers, and the parameters as numbers; their order is the maker's own. The other maker adds a
broker's remark (`text`) and a content type to requests without a body; ours asks for more rows than the venue's default, so that
none is hidden (`count`, `reverse`). Nothing else may differ.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from connectors.bitmex.signing import decode
from connectors.catalogue import load
from connectors.contract import Call, Security, Stamp
from tests.recordings.vectors import sealed

SLUG = "bitmex"
OURS = {"count": "500", "reverse": "true"}


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
    _, wire, base = sealed(SLUG, entry)
    assert wire.method == expected["method"]
    ours, theirs = urlsplit(base + wire.path), urlsplit(expected["url"])
    assert (ours.scheme, ours.netloc, ours.path) == (theirs.scheme, theirs.netloc, theirs.path)
    left, right = dict(parse_qsl(ours.query)), dict(parse_qsl(theirs.query))
    assert {**OURS, **right} | left == {**OURS, **right}
    assert right.items() <= left.items()
    assert theirs.query == "" or ours.query.startswith(theirs.query), "percent-encoding is the same"
    body = str(wire.body or "")
    mine, other = (numbers(text) for text in (body, expected["body"]))
    assert mine == {name: value for name, value in other.items() if name != "text"}
    headers = dict(wire.headers)
    signature = headers.pop("api-signature")
    wanted = {name: value for name, value in expected["headers"].items() if name != "api-signature"}
    if not body:
        wanted.pop("Content-Type")
    assert headers == wanted
    signed = f"{wire.method}{wire.path}{headers['api-expires']}{body}"
    secret = entry["credentials"]["secret"].encode()
    assert hmac.new(secret, signed.encode(), hashlib.sha256).hexdigest() == signature


def check_documented(entry: dict[str, Any]) -> None:
    """The worked examples of the venue's own page, to the last byte."""
    expected, call = entry["expect"], entry["call"]
    family = load(SLUG).families[0]
    body = decode(expected["body"]) if expected["body"] else None
    step = Call(
        endpoint="rest",
        method=call["method"],
        path=call["path"],
        body=body,
        security=Security.SIGNED,
        read=lambda answer: answer,
    )
    stamp = Stamp(entry["timestamp_ms"], 0, "")
    wire = family.signer.seal(step, entry["credentials"], {}, stamp, family.url("rest"))
    assert family.url("rest") + wire.path == expected["url"]
    assert (wire.method, wire.body or "") == (expected["method"], expected["body"])
    assert {name: value for name, value in wire.headers.items() if name != "Content-Type"} == expected["headers"]


def numbers(text: str) -> dict[str, Any]:
    """A body with its numbers exact."""
    return json.loads(text, parse_float=Decimal, parse_int=Decimal) if text else {}
