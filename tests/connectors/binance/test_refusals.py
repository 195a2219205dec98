"""What Binance's refusals mean: by number, by word, and when nobody can tell what became of the request."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connectors.binance.signing import read_json, read_ws
from connectors.contract import Answer
from connectors.errors import (
    OrderNotFound,
    OutcomeUnknown,
    RateLimited,
    ReduceOnlyRefused,
    Refused,
    VenueError,
    VenueUnavailable,
)


def raised(status: int, body: Any, headers: dict[str, str] | None = None) -> VenueError:
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    with pytest.raises(VenueError) as found:
        read_json(Answer(status, raw, headers or {}))
    return found.value


@pytest.mark.parametrize("code", [-1000, -1001, -1006, -1007, -1, -9999])
def test_a_failure_of_the_venue_that_it_does_not_explain_leaves_the_outcome_open(code: int) -> None:
    assert isinstance(raised(503, {"code": code, "msg": "Internal error."}), OutcomeUnknown)
    with pytest.raises(OutcomeUnknown):
        read_ws({"id": "1", "status": 500, "error": {"code": code, "msg": "Internal error."}})


def test_a_failure_that_was_certainly_not_executed_is_no_doubt() -> None:
    assert isinstance(raised(503, {"code": -1008, "msg": "Server is currently overloaded."}), VenueUnavailable)
    assert isinstance(raised(503, {"code": -1, "msg": "Service Unavailable."}), VenueUnavailable)
    assert isinstance(raised(503, "<html>Service Unavailable</html>"), VenueUnavailable)
    assert isinstance(raised(503, "Unknown error, please check your request or try again later."), OutcomeUnknown)


def test_a_refusal_stays_one_whatever_the_status() -> None:
    assert isinstance(raised(500, {"code": -2011, "msg": "Unknown order sent."}), OrderNotFound)
    assert type(raised(400, {"code": -9999, "msg": "No."})) is Refused


def test_one_number_means_another_thing_in_each_product() -> None:
    archived = "Order was canceled or expired with no executed qty over 90 days ago and has been archived."
    assert isinstance(raised(400, {"code": -2026, "msg": archived}), OrderNotFound)
    found = raised(400, {"code": -2026, "msg": "This OrderType is not supported when reduceOnly."})
    assert isinstance(found, ReduceOnlyRefused)


def test_a_ban_lasts_as_long_as_the_venue_says_on_either_way() -> None:
    text = "Way too much request weight used; IP banned until 1659146400000."
    times = {"serverTime": 1659142907531, "retryAfter": 1659146400000}
    with pytest.raises(RateLimited) as found:
        read_ws({"id": "1", "status": 418, "error": {"code": -1003, "msg": text, "data": times}})
    assert found.value.banned
    assert found.value.retry_after == pytest.approx(3492.469)
    by_http = raised(418, {"code": -1003, "msg": text}, {"retry-after": "3493"})
    assert isinstance(by_http, RateLimited)
    assert (by_http.banned, by_http.retry_after) == (True, 3493)


def test_a_ban_without_a_time_lasts_no_less_than_the_shortest_one() -> None:
    for body in ({"code": -1003, "msg": "banned"}, "<html>teapot</html>"):
        found = raised(418, body)
        assert isinstance(found, RateLimited)
        assert found.retry_after is not None
        assert found.retry_after >= 120
    short = raised(429, {"code": -1003, "msg": "slow down"})
    assert isinstance(short, RateLimited)
    assert (short.banned, short.retry_after) == (False, None)


def test_a_refusal_outside_of_the_envelope_is_told_in_the_venues_words() -> None:
    found = raised(451, {"code": 0, "msg": "Service unavailable from a restricted location."})
    assert type(found) is Refused
    assert "restricted location" in found.text
