"""`fathom sign` over every signing vector: the request of its maker, by method and address; what can't be signed says why."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from connectors.catalogue import load
from connectors.tools import sign_line
from tests.conftest import SHARED
from tests.recordings.vectors import entries

# (venue, what its answer says): requests that the connector does not make.
REFUSED = [
    ("coinbase", "old kind, which Coinbase stopped accepting"),
    ("coinbase", "of another Coinbase API"),
    ("coinbase", "'gtd' is not a valid TimeInForce"),
    ("kucoin", "unified accounts are not traded on"),
]
# (venue, vector): another request than its maker's, and why.
OTHERS = {
    ("kucoin", "cancel by client id, synchronous"): "the form that does not wait is used",
}


@pytest.mark.skipif(not (SHARED / "venues").is_dir(), reason=f"no signing vectors at {SHARED / 'venues'}")
@pytest.mark.parametrize(("slug", "entry"), list(entries()))
def test_a_vectors_call_becomes_its_request(slug: str, entry: dict[str, Any]) -> None:
    call = {name: value for name, value in entry.items() if name != "expect"}
    raw = sign_line(load(slug), json.dumps(call), 4)
    answer = json.loads(raw)
    assert answer["line"] == 4
    secret = str(entry["credentials"].get("secret") or "")
    assert not secret or json.dumps(secret)[1:-1] not in raw.decode()
    if "error" in answer:
        assert any(slug == venue and text in answer["error"] for venue, text in REFUSED), answer
        return
    if (slug, entry["name"]) in OTHERS:
        return
    ours, theirs = urlsplit(answer["url"]), urlsplit(entry["expect"]["url"])
    assert answer["method"] == entry["expect"]["method"]
    assert (ours.scheme, ours.netloc, ours.path) == (theirs.scheme, theirs.netloc, theirs.path)


@pytest.mark.parametrize("slug", ["binance", "bitmex", "coinbase", "kucoin"])
def test_where_orders_are_not_cancelled_by_their_names_nothing_else_is_signed_for_it(slug: str) -> None:
    call = {"op": "cancel_batch", "symbol": "BTC-USDT", "order_ids": ["987650001", "987650002"]}
    keys = dict.fromkeys(("key", "secret", "passphrase"), "AAAA")
    answer = json.loads(sign_line(load(slug), json.dumps({"call": call, "credentials": keys, "timestamp_ms": 5}), 1))
    assert "error" in answer or "987650002" in str(answer)


def test_a_documented_example_is_signed_with_no_more_than_it_names() -> None:
    """given the text that is signed and a secret without its key, then the body is found in it, and no header is made up."""
    text = '5POST/api/v1/x?a=1{"currency":"BTC"}'
    call = {"op": "raw", "method": "POST", "path": "/api/v1/x?a=1", "prehash": text}
    entry = {"call": call, "credentials": {"key": None, "secret": "s", "passphrase": None}, "timestamp_ms": 5}
    answer = json.loads(sign_line(load("kucoin"), json.dumps(entry), 1))
    assert answer["body"] == '{"currency":"BTC"}'
    signature = base64.b64encode(hmac.new(b"s", text.encode(), hashlib.sha256).digest()).decode()
    assert answer["headers"]["KC-API-SIGN"] == signature
    assert not {"KC-API-KEY", "KC-API-PASSPHRASE"} & answer["headers"].keys()
    without = json.loads(sign_line(load("kucoin"), json.dumps(entry | {"credentials": {"key": "k"}}), 1))
    assert "secret" in without["error"]


def test_what_a_call_says_is_sent() -> None:
    key = {"key": "k", "secret": "c2VjcmV0", "passphrase": "p"}

    def body(slug: str, **call: Any) -> Any:
        entry = {"call": {"side": "buy", "type": "limit", "price": "2", **call}, "credentials": key, "timestamp_ms": 1}
        return json.loads(sign_line(load(slug), json.dumps(entry), 1))["body"]

    placed = {"op": "place", "symbol": "BTC-USDT", "client_id": "c1"}
    perp = json.loads(body("kucoin", **placed, market="perp", amount="10", leverage="5", margin_mode="CROSS"))
    assert (perp["leverage"], perp["marginMode"], perp["size"]) == (5, "CROSS", 10)
    assert json.loads(body("kucoin", op="amend", symbol="BTC-USDT", order_id="67", amount="0.02")) == {
        "symbol": "BTC-USDT", "orderId": "67", "newPrice": "2", "newSize": "0.02",
    }  # fmt: skip
    assert "validate=true" in body("kraken", **placed, amount="1", validate=True)
    assert "validate" not in body("kraken", **placed, amount="1")
    assert json.loads(body("bitmex", **placed, contracts=100, text="t"))["text"] == "t"
    amended = json.loads(body("bitmex", op="amend", symbol="BTC-USD", client_id="c", contracts=300))
    assert amended == {"origClOrdID": "c", "orderQty": 300, "price": 2}
    raw = '{"price":219.0}'
    assert body("bitmex", op="sign", method="POST", path="/api/v1/order", body=raw) == raw
