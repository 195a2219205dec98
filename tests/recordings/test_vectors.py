"""Signing vectors: byte for byte where the venue's documentation made them, else the same request with a signature that verifies.

"The same" = method, address, headers and parameters; the order of parameters is the maker's own. Ours always name the receive
window, theirs sometimes leave it to the default; nothing else may differ.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from connectors.catalogue import load, slugs
from connectors.contract import Ask, Call, Security, Stamp
from connectors.tools import steps_for
from tests.conftest import SHARED


def entries() -> Iterator[Any]:
    for slug in slugs():
        path = SHARED / "venues" / slug / "vectors.json"
        for entry in json.loads(path.read_text()) if path.exists() else []:
            yield pytest.param(slug, entry, id=f"{slug}: {entry['name']}")


def sealed(slug: str, entry: dict[str, Any], **facts: Any) -> tuple[Any, Any, str]:
    """Our step, our wire, and the base URL that it goes below."""
    venue, credentials = load(slug), {k: v for k, v in entry["credentials"].items() if v}
    family, step = steps_for(entry["call"], venue)
    if isinstance(step, Call) and entry["expect"]["body"] is None and step.form:
        step = dataclasses.replace(step, form=False)  # this vector puts the parameters into the query
    base = family.url(step.endpoint)
    facts = {name: value for name, value in facts.items() if value is not None}
    if "recv_window" in entry["call"]:
        facts["recv_window"] = entry["call"]["recv_window"]
    wire = family.signer.seal(
        step, credentials, facts, Stamp(entry["timestamp_ms"], entry["timestamp_ms"], "0" * 32), base
    )
    return step, wire, base


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


@pytest.mark.skipif(not (SHARED / "venues").is_dir(), reason=f"no signing vectors at {SHARED / 'venues'}")
@pytest.mark.parametrize(("slug", "entry"), list(entries()))
def test_a_signing_vector_is_reproduced(slug: str, entry: dict[str, Any]) -> None:
    expected = entry["expect"]
    if expected["method"] == "WS":
        check_frame(slug, entry)
        return
    _, wire, base = sealed(slug, entry)
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


def check_frame(slug: str, entry: dict[str, Any]) -> None:
    """A WebSocket step: its frame, or for a login by address the address."""
    expected = entry["expect"]
    if expected["body"] is None:
        opening = load(slug).family("usdm").account_stream().opening({})
        next(opening)
        with pytest.raises(StopIteration) as ended:
            opening.send(entry["call"]["listen_key"])
        assert load(slug).family("usdm").url("account") + ended.value.value.path == expected["url"]
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
        family, keys = load(slug).family("spot"), entry["credentials"]
        stamp = Stamp(entry["timestamp_ms"], 0, "")
        wire = family.signer.seal(ask, {"key": keys["key"], "secret": keys["secret"]}, {}, stamp, expected["url"])
        assert json.loads(wire.frame or "") == theirs
        return
    step, wire, base = sealed(slug, entry, recv_window=theirs["params"].get("recvWindow"))
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
