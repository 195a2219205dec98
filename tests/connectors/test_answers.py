"""Whatever a venue answers to a request: a value or a VenueError, and nothing is concluded about an order that isn't said.

Every operation of every family, with bodies that are none, real bodies with a wound, and odd JSON, at several statuses.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from connectors.catalogue import load, slugs
from connectors.contract import Answer, Call, Effect, Family
from connectors.decode import _operations, _order, _ref
from connectors.errors import OutcomeUnknown, Refused, Unintelligible, VenueError, VenueUnavailable
from connectors.model import OrderUpdate
from connectors.runtime.verdict import verdict
from connectors.tools import walk
from tests.conftest import SHARED
from tests.connectors.test_receive import ODD, wounded_text, wounded_value

FAMILIES = [
    pytest.param(slug, family, id=f"{slug} {family.name}") for slug in slugs() for family in load(slug).families
]
NO_ANSWER = [
    b"",
    b" ",
    b"<html><h1>502 Bad Gateway</h1></html>",
    b"null",
    b"[]",
    b"{}",
    b'"ok"',
    b'{"cut',
    b"\xff\xfe",
    b"[" * 9000,
]


@cache
def bodies(slug: str) -> tuple[str, ...]:
    """REST bodies as they really look."""
    path = SHARED / "venues" / slug / "samples.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return tuple(json.dumps(row["data"]) for row in rows if row["kind"].startswith("rest."))


def calls(family: Family) -> Iterator[Call]:
    """Every request of every operation that can be reached."""
    for make in _operations(family):
        yield from (step for _, step in walk(make) if isinstance(step, Call))


def conclude(step: Call, status: int, body: bytes) -> Any:
    """The value, or the VenueError; anything else is a failure. A request that acts is never merely unintelligible."""
    try:
        return verdict(step, Answer(status, body, {}, 1_700_000_000_000, 1_700_000_000_050))
    except VenueError as error:
        said = error
    assert step.effect.repeatable or not isinstance(said, Unintelligible)
    return said


@pytest.mark.parametrize(("slug", "family"), FAMILIES)
def test_what_is_no_answer_leaves_an_order_in_doubt(slug: str, family: Family) -> None:
    placing = [step for _, step in walk(lambda: family.trading.place(_order(family), {})) if isinstance(step, Call)]
    assert placing[-1].effect is Effect.PLACE
    for status in (200, 201, 500, 502, 503, 504, 520):
        for body in NO_ANSWER:
            said = conclude(placing[-1], status, body)
            assert isinstance(said, OutcomeUnknown), (status, body, said)


@pytest.mark.parametrize(("slug", "family"), FAMILIES)
def test_a_gateways_word_proves_nothing_about_a_cancel(slug: str, family: Family) -> None:
    for _, step in walk(lambda: family.trading.cancel(_ref(family), {})):
        if isinstance(step, Call) and step.effect is Effect.CANCEL:
            for status in (500, 502, 504):
                said = conclude(step, status, b"<html>Bad Gateway</html>")
                assert isinstance(said, OutcomeUnknown | VenueUnavailable), (status, said)
                assert not isinstance(said, Refused)


@pytest.mark.parametrize(("slug", "family"), FAMILIES)
def test_answers_with_a_wound(slug: str, family: Family) -> None:
    real, chance = bodies(slug), random.Random(f"{slug} {family.name}")
    if not real:
        pytest.skip(f"no samples of {slug}")
    for step in calls(family):
        for _ in range(25):
            wound = chance.choice([wounded_text, wounded_value])
            body = wound(chance, chance.choice(real)).encode("utf-8", "surrogatepass")
            said = conclude(step, chance.choice([200, 200, 200, 400, 401, 404, 429, 500]), body)
            if step.effect is Effect.PLACE and isinstance(said, OrderUpdate):
                assert isinstance(said.venue_id, str)


@pytest.mark.parametrize(("slug", "family"), FAMILIES)
def test_odd_answers(slug: str, family: Family) -> None:
    for step in calls(family):
        for value in [
            *ODD,
            {"error": []},
            {"code": None},
            {"data": {}},
            {"result": []},
            {"success": False},
            [{"a": 1}],
        ]:
            body = json.dumps(value).encode()
            for status in (200, 400, 500):
                conclude(step, status, body)
