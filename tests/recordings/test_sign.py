"""`fathom sign` over every signing vector: the request of its maker, by method and address; what can't be signed says why."""

from __future__ import annotations

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
    ("kraken", "no operation is called 'cancel_batch'"),
    ("kraken", "no operation is called 'place_batch'"),
    ("kucoin", "this needs an API key"),
]
# (venue, vector): another request than its maker's, and why.
OTHERS = {
    ("kucoin", "UTA place limit buy"): "of unified accounts, which the connector does not trade on",
    ("kucoin", "cancel by client id, synchronous"): "the form that does not wait is used",
    ("kucoin", "amend by order id"): "what is left of the order is asked for first",
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
