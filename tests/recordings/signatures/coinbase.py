"""Coinbase: the same request, and a token whose header and claims are the vector's and whose signature verifies.

A token's text differs each time (nonce, ES256), so its parts are compared. What our connector does not send (an order with an
end time, the claims of another client, the old HMAC keys, the institutional Exchange API) is covered by what it must do
instead: seal the vector's own bytes, or refuse the key with a sentence.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from connectors.catalogue import load
from connectors.coinbase.account import CoinbaseAccountStream
from connectors.contract import Answer, Call, Page, Role, Security, Stamp
from connectors.errors import AuthenticationFailed
from connectors.tools import instrument_for
from tests.recordings.vectors import sealed

SLUG = "coinbase"


def unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    head, claims, _ = token.split(".")
    return json.loads(unpadded(head)), json.loads(unpadded(claims))


def verify(token: str, key: Any) -> None:
    """Raises InvalidSignature."""
    signed, _, signature = token.rpartition(".")
    raw = unpadded(signature)
    if isinstance(key, Ed25519PublicKey):
        key.verify(raw, signed.encode())
        return
    assert isinstance(key, EllipticCurvePublicKey)
    assert len(raw) == 64, "r and s, not DER"
    rs = (int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    key.verify(encode_dss_signature(*rs), signed.encode(), ECDSA(hashes.SHA256()))


def same_token(token: str, expected: dict[str, Any]) -> None:
    verify(token, serialization.load_pem_public_key(expected["public_key_pem"].encode()))
    head, claims = parts(token)
    assert claims == expected["jwt_claims"]
    nonce = head.pop("nonce")
    assert len(bytes.fromhex(nonce)) == 32
    assert head == {name: value for name, value in expected["jwt_header"].items() if name != "nonce"}


def bearer(headers: Any) -> str:
    scheme, _, token = headers["Authorization"].partition(" ")
    assert scheme == "Bearer"
    return token


def check(entry: dict[str, Any]) -> None:
    """See the module."""
    expected = entry["expect"]
    if entry["call"].get("auth") == "legacy" or entry["call"].get("api") == "exchange":
        check_foreign(entry)
    elif expected["method"] == "WS":
        check_frame(entry)
    elif entry["call"].get("claims") == "ccxt":
        check_claims(entry)
    else:
        check_request(entry)


def check_request(entry: dict[str, Any]) -> None:
    expected, call = entry["expect"], entry["call"]
    wire, base = (by_hand if call.get("tif") == "GTD" else second if call["op"] == "fills" else first)(entry)
    ours, theirs = urlsplit(base + wire.path), urlsplit(expected["url"])
    assert (wire.method, ours.scheme, ours.netloc, ours.path) == (
        expected["method"],
        theirs.scheme,
        theirs.netloc,
        theirs.path,
    )
    ignored = {"limit": None, "product_type": None} if call["op"] in ("fees", "fills", "balances") else {}
    query = [pair for pair in parse_qsl(ours.query) if pair[0] not in ignored]  # page sizes and the kind of product
    assert query == [pair for pair in parse_qsl(theirs.query) if pair[0] not in ignored]
    assert (json.loads(wire.body) if wire.body else None) == (
        json.loads(expected["body"]) if expected["body"] else None
    )
    assert wire.headers.keys() >= expected["headers"].keys()
    same_token(bearer(wire.headers), expected)
    for secret in call.get("same_key_secrets", ()):
        other = first({**entry, "credentials": {**entry["credentials"], "secret": secret}})[0]
        assert bearer(other.headers) == bearer(wire.headers)  # Ed25519 signs alike each time


def first(entry: dict[str, Any]) -> tuple[Any, str]:
    _, wire, base = sealed(SLUG, entry, deadline=0)
    return wire, base


def second(entry: dict[str, Any]) -> tuple[Any, str]:
    """The fills of one order are asked for once a window named the order."""
    venue = load(SLUG)
    family, name = venue.families[0], entry["call"]["order_id"]
    flow = family.trading.fills(instrument_for({}, family, venue), Page(start=1), {})
    call = next(flow)
    assert isinstance(call, Call)
    fill = {
        "trade_id": "t",
        "order_id": name,
        "trade_time": "2026-09-22T00:00:00Z",
        "price": "1",
        "size": "1",
        "product_id": "BTC-USDT",
        "side": "BUY",
    }
    call = flow.send(call.read(Answer(200, json.dumps({"fills": [fill], "cursor": ""}).encode())))
    return seal(call, entry)


def by_hand(entry: dict[str, Any]) -> tuple[Any, str]:
    """No order of ours has an end time, so the capabilities do not name it; its request would be sealed like this."""
    assert "gtd" not in load(SLUG).families[0].capabilities.tifs
    body = json.loads(entry["expect"]["body"])
    call = Call(endpoint=Role.REST, method="POST", path="/orders", read=str, body=body, security=Security.SIGNED)
    return seal(call, entry)


def seal(call: Any, entry: dict[str, Any]) -> tuple[Any, str]:
    family = load(SLUG).families[0]
    stamp, base = Stamp(entry["timestamp_ms"], 0, "0" * 32), family.url(call.endpoint)
    return family.signer.seal(call, entry["credentials"], {"deadline": 0}, stamp, base), base


def check_frame(entry: dict[str, Any]) -> None:
    """One subscription; that of a session names no products, and is to everything."""
    step, wire, base = sealed(SLUG, entry)
    assert base == entry["expect"]["url"]
    frame, theirs = json.loads(wire.frame), json.loads(entry["expect"]["body"])
    same_token(frame.pop("jwt"), entry["expect"])
    del theirs["jwt"]
    assert frame == theirs
    everything = sealed(SLUG, {**entry, "call": {"op": "ws_login"}})[1]
    assert "product_ids" not in json.loads(everything.frame)
    beat = CoinbaseAccountStream()._dial().first[0]
    assert (step.security, beat.security) == (Security.SIGNED, Security.SIGNED)


def check_claims(entry: dict[str, Any]) -> None:
    """Another client's claims name the same key, time and address as ours."""
    secret = entry["credentials"]["secret"]
    if secret.startswith("-----BEGIN"):
        public: Any = serialization.load_pem_private_key(secret.encode(), password=None).public_key()
    else:
        public = Ed25519PublicKey.from_public_bytes(base64.b64decode(secret)[32:])
    verify(bearer(entry["expect"]["headers"]), public)
    wire, base = first(entry)
    assert base + wire.path == entry["expect"]["url"]
    _, ours = parts(bearer(wire.headers))
    theirs = entry["expect"]["jwt_claims"]
    assert ours["uri"] in (theirs.get("uri"), *theirs.get("uris", ()))
    assert all(ours[name] == theirs[name] for name in ("sub", "nbf", "exp"))


def check_foreign(entry: dict[str, Any]) -> None:
    """The vector is what it says, and its key is refused before anything leaves."""
    expected, credentials = entry["expect"], entry["credentials"]
    secret = credentials["secret"]
    exchange = entry["call"].get("api") == "exchange"
    stamp = str(entry["timestamp_ms"] // 1000)
    if expected["method"] == "WS":
        frame = json.loads(expected["body"])
        text, signature = expected["signed_text"], frame["signature"]
    else:
        url = urlsplit(expected["url"])
        path = url.path + (f"?{url.query}" if url.query and exchange else "")
        text = f"{stamp}{expected['method']}{path}{expected['body'] or ''}"
        signature = expected["headers"]["CB-ACCESS-SIGN"]
    key = base64.b64decode(secret) if exchange else secret.encode()
    made = hmac.new(key, text.encode(), hashlib.sha256)
    assert signature == (base64.b64encode(made.digest()).decode() if exchange else made.hexdigest())
    with pytest.raises(AuthenticationFailed) as refused:
        sealed(SLUG, {**entry, "call": {"op": "balances"}})
    assert secret not in str(refused.value)
    if not exchange:
        assert "February 2025" in str(refused.value)
