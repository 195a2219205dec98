"""Binance: byte for byte where the venue's documentation made it, else the same request with a signature that verifies.

"The same" = method, address, headers and parameters; the order of parameters is the maker's own. Ours always name the receive
window, theirs sometimes leave it to the default; nothing else may differ.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from connectors.catalogue import load
from connectors.contract import Ask, Security, Stamp
from tests.recordings.vectors import sealed

SLUG = "binance"


def pairs(text: str) -> dict[str, str]:
    return dict(parse_qsl(text, keep_blank_values=True))


def verifies(entry: dict[str, Any], payload: str, signature: str) -> bool:
    credentials = entry["credentials"]
    if credentials.get("public_key"):
        key = serialization.load_pem_public_key(credentials["public_key"].encode())
        assert isinstance(key, Ed25519PublicKey)
        key.verify(base64.b64decode(signature), payload.encode())
        return True
    return hmac.new(credentials["secret"].encode(), payload.encode(), hashlib.sha256).hexdigest() == signature


def check(entry: dict[str, Any]) -> None:
    """The same request, and a signature that verifies over our own bytes."""
    expected = entry["expect"]
    if expected["method"] == "WS":
        check_frame(entry)
        return
    _, wire, base = sealed(SLUG, entry)
    assert wire.method == expected["method"]
    assert dict(wire.headers) == expected["headers"]
    if entry["made_with"].startswith("venue documentation"):
        assert base + wire.path == expected["url"]
        assert (wire.body or None) == expected["body"]
        return
    ours, theirs = urlsplit(base + wire.path), urlsplit(expected["url"])
    assert (ours.scheme, ours.netloc, ours.path) == (theirs.scheme, theirs.netloc, theirs.path)
    mine, other = (ours.query or str(wire.body or "")), (theirs.query or expected["body"] or "")
    assert bool(ours.query) == bool(theirs.query)
    left, right = pairs(mine), pairs(other)
    assert {**left, "signature": ""} == {
        "recvWindow": left.get("recvWindow", ""),
        **right,
        "signature": "",
    } or not right
    if "signature" in left:
        payload, _, signature = mine.rpartition("&signature=")
        assert verifies(entry, payload, unquote(signature))
        assert mine.endswith(f"&signature={signature}"), "the signature is the last parameter"
    else:
        assert left == right


def check_frame(entry: dict[str, Any]) -> None:
    """A WebSocket step: its frame, or for a login by address the address."""
    expected = entry["expect"]
    if expected["body"] is None:
        opening = load(SLUG).family("usdm").account_stream().opening({})
        next(opening)
        with pytest.raises(StopIteration) as ended:
            opening.send(entry["call"]["listen_key"])
        assert load(SLUG).family("usdm").url("account") + ended.value.value.path == expected["url"]
        return
    theirs = json.loads(expected["body"])
    if theirs["method"] == "session.logon":
        # the other way in: we subscribe with a signature instead, but sign a logon to the letter
        ask = Ask(
            endpoint="account",
            id="1",
            payload=theirs | {"params": {}},
            security=Security.SIGNED,
            extra={"window": False},
        )
        family, keys = load(SLUG).family("spot"), entry["credentials"]
        stamp = Stamp(entry["timestamp_ms"], 0, "")
        wire = family.signer.seal(ask, {"key": keys["key"], "secret": keys["secret"]}, {}, stamp, expected["url"])
        assert json.loads(wire.frame or "") == theirs
        return
    step, wire, base = sealed(SLUG, entry, recv_window=theirs["params"].get("recvWindow"))
    assert base == expected["url"]
    frame = json.loads(wire.frame or "{}")
    assert frame["method"] == theirs["method"]
    drop = {"signature", "recvWindow"} if "recvWindow" not in theirs["params"] else {"signature"}
    mine = {name: value for name, value in frame["params"].items() if name not in drop}
    assert {k: str(v) for k, v in mine.items()} == {
        k: normal(k, v) for k, v in theirs["params"].items() if k not in drop
    }
    assert step.endpoint
    params = frame["params"]
    payload = "&".join(f"{name}={params[name]}" for name in sorted(params) if name != "signature")
    assert verifies(entry, payload, params["signature"])


def normal(name: str, value: Any) -> str:
    """Their trailing zeros say nothing: amounts are compared as numbers."""
    text = str(value)
    return text.rstrip("0").rstrip(".") if name in ("price", "quantity") and "." in text else text
