"""Whatever arrives, at whatever venue: `receive` answers with events of the contract, and never raises.

Arbitrary text and bytes, and real payloads with a wound: a part cut out or doubled, a value replaced, a key gone.
"""

from __future__ import annotations

import copy
import json
import math
import random
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import cache
from types import FunctionType
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connectors.catalogue import load, slugs
from connectors.contract import AccountEvent, BookRule, Channel, ControlEvent, Family, MarketEvent, Role, Stream, Topic
from connectors.model import BookBroken, BookCheck, BookDelta, BookSnapshot, is_sound
from connectors.sync import BookSync
from tests.conftest import SHARED

EVENTS = (*get_args(MarketEvent), *get_args(AccountEvent), *get_args(ControlEvent))
WOUNDS = 400  # of every stream, in each of the tests with real payloads
ODD: list[Any] = [
    None, True, False, 0, -1, 1, 2**63, 2**200, -0.0, 1e308, "", " ", "NaN", "nan", "inf", "-inf", "1e999", "0x10", "٣", "\ud800",
    "x" * 500, [], {}, [[]], [None], {"": None}, [[["1", "2"]]], {"a": {"b": {"c": []}}},
]  # fmt: skip


def streams() -> Iterator[Any]:
    for slug in slugs():
        for family in load(slug).families:
            makers: dict[str, Callable[[], Stream]] = {
                str(endpoint.role): lambda family=family, role=endpoint.role: family.market_stream(role)
                for endpoint in family.endpoints
                if endpoint.role.startswith(Role.MARKET)
            }
            makers[Role.ACCOUNT] = family.account_stream
            if family.trade_stream is not None:
                makers[Role.TRADE] = family.trade_stream
            for role, make in makers.items():
                yield pytest.param(slug, family, make, id=f"{slug} {family.name} {role}")


EVERY_STREAM = pytest.mark.parametrize(("slug", "family", "make"), list(streams()))


@cache
def payloads(slug: str) -> tuple[str, ...]:
    """Frames as they really look."""
    path = SHARED / "venues" / slug / "samples.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    frames = [row["data"] for row in rows if row["kind"].startswith("ws.")]
    return tuple(each if isinstance(each, str) else json.dumps(each, separators=(",", ":")) for each in frames)


def takes(family: Family, stream: Stream, frame: str | bytes) -> list[Any]:
    """Receive, and check what is promised for any frame."""
    events = stream.receive(frame)
    assert isinstance(events, list)
    book = BookSync(BookRule(source=family.book.source, link=family.book.link, join=family.book.join), "x")
    book.subscribed(0.0)
    for event in events:
        assert type(event) in EVENTS
        match event:
            case BookSnapshot():
                book.snapshot(event, 1.0)
            case BookDelta():
                book.delta(event, 1.0)
            case BookCheck():
                book.check(event, 1.0)
            case BookBroken():
                book.broken(event.why, 1.0)
    top = book.book.top(10_000)
    assert all(math.isfinite(price) and math.isfinite(size) for side in top for price, size in side)
    return events


@EVERY_STREAM
@given(frame=st.one_of(st.text(max_size=60), st.binary(max_size=60)))
@example(frame="[" * 100_000)
@example(frame='{"a":' * 100_000)
@example(frame=b"\xff" * 1000)
@settings(max_examples=150)
def test_any_text_and_any_bytes(slug: str, family: Family, make: Callable[[], Stream], frame: str | bytes) -> None:
    takes(family, make(), frame)


@EVERY_STREAM
@given(value=st.recursive(st.sampled_from(ODD), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
    st.sampled_from(["e", "s", "data", "event", "events", "channel", "type", "topic", "table", "action", "result", "id", "params"]),
    inner, max_size=4,
), max_leaves=8))  # fmt: skip
@settings(max_examples=150)
def test_any_json(slug: str, family: Family, make: Callable[[], Stream], value: Any) -> None:
    takes(family, make(), json.dumps(value))


def wounded_text(chance: random.Random, frame: str) -> str:
    start, end = sorted(chance.randrange(len(frame) + 1) for _ in range(2))
    match chance.randrange(4):
        case 0:
            return frame[:start] + frame[end:]
        case 1:
            return frame[:end] + frame[start:]
        case 2:
            return frame[:start]
        case _:
            return frame[:start] + chance.choice('"{}[],:0-x\u0000') + frame[start + 1 :]


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key or index) in a decoded payload."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inside:
        yield value, key
        yield from places(part)


def wounded_value(chance: random.Random, frame: str) -> str:
    try:
        value = json.loads(frame)
    except ValueError:
        return wounded_text(chance, frame)
    for _ in range(chance.choice([1, 1, 1, 2, 4])):
        found = list(places(value))
        if not found:
            break
        holder, key = chance.choice(found)
        if chance.random() < 0.25:
            del holder[key]
        else:
            holder[key] = copy.deepcopy(chance.choice(ODD))
    return json.dumps(value, separators=(",", ":"))


@EVERY_STREAM
@pytest.mark.parametrize("wound", [wounded_text, wounded_value])
def test_real_payloads_with_a_wound(slug: str, family: Family, make: Callable[[], Stream], wound: FunctionType) -> None:
    frames = payloads(slug)
    if not frames:
        pytest.skip(f"no samples of {slug}")
    chance = random.Random(f"{slug} {family.name} {wound.__name__}")
    stream = make()
    for number in range(WOUNDS):
        if number % 10 == 0:
            stream = make()  # otherwise it goes on with what the wounded ones left behind
        takes(family, stream, wound(chance, chance.choice(frames)))
        takes(family, stream, chance.choice(frames))


@EVERY_STREAM
def test_subscriptions_can_be_planned_whatever_was_received(
    slug: str, family: Family, make: Callable[[], Stream]
) -> None:
    stream, chance = make(), random.Random(slug)
    for frame in payloads(slug):
        takes(family, stream, wounded_value(chance, frame))
    topic = Topic(Channel.ACCOUNT) if make in (family.account_stream, family.trade_stream) else Topic(Channel.BOOK, "X")
    assert isinstance(stream.plan(frozenset(), [topic], []), list)
    assert isinstance(stream.plan(frozenset({topic}), [], [topic]), list)


def test_numbers_that_are_none_are_not_sound() -> None:
    class Row(msgspec.Struct):
        a: float = 1.0
        b: Decimal = Decimal(1)

    assert is_sound(Row())
    assert not is_sound(Row(a=float("nan")))
    assert not is_sound(Row(a=float("inf")))
    assert not is_sound(Row(b=Decimal("NaN")))
    assert not is_sound(Row(b=Decimal("-Infinity")))
