"""A practice side is a venue's end: whatever a client sends, it answers or closes, and never fails."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from connectors.catalogue import load, slugs
from connectors.contract import Call
from connectors.practice.exchange import Exchange
from connectors.practice.protocol import Connection, HttpAnswer, HttpRequest, VenuePractice
from connectors.practice.server import make_practice, practice_class
from tests.conftest import SHARED
from tests.connectors.test_answers import calls
from tests.connectors.test_receive import ODD, wounded_text, wounded_value

NOW = 1_790_000_000_000
TEXTS = [
    "",
    " ",
    "null",
    "[]",
    "{}",
    "0",
    "ping",
    '{"',
    "[" * 20_000,
    '{"op":5}',
    '{"method":{},"params":[]}',
    '{"id":[1],"type":null}',
]


def practice_of(slug: str) -> VenuePractice:
    venue = load(slug)
    return make_practice(venue, Exchange(practice_class(venue).listings, start_ms=NOW))


def requests_of(slug: str) -> tuple[str, ...]:
    """Frames that a client really sends."""
    path = SHARED / "venues" / slug / "samples.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    found = [row["data"] for row in rows if "request" in row["kind"] or "subscribe" in row["kind"]]
    vectors = SHARED / "venues" / slug / "vectors.json"
    for entry in json.loads(vectors.read_text()) if vectors.exists() else []:
        if entry["expect"]["method"] == "WS" and entry["expect"]["body"]:
            found.append(entry["expect"]["body"])
    return tuple(each if isinstance(each, str) else json.dumps(each) for each in found)


@pytest.mark.parametrize("slug", slugs())
def test_any_request_is_answered(slug: str) -> None:
    practice, chance = practice_of(slug), random.Random(slug)
    places = {(step.method, base + step.path, label) for label, base, step in reachable(slug, practice)}
    assert len(places) > 10
    for method, path, label in sorted(places):
        for _ in range(12):
            odd = json.dumps(chance.choice(ODD))
            query = chance.choice(["", "symbol=", "symbol=%ff", "limit=-1&limit=x", "a=b&a=c&&&=", f"x={odd[:80]}"])
            body = chance.choice(
                [b"", b"null", b"[]", b"{}", b"\xff\xfe", b"[" * 20_000, b"a=1&b", odd.encode("utf-8", "replace")]
            )
            key = dict(chance.choice([{}, practice.credentials]))
            headers = {name: str(value)[:40] for name, value in zip(HEADERS, [*key.values(), odd, ""], strict=False)}
            answer = practice.http(HttpRequest(label, method, path, query, headers, body), NOW)
            assert isinstance(answer, HttpAnswer)
            assert 200 <= answer.status < 600


HEADERS = [
    "x-mbx-apikey",
    "api-key",
    "kc-api-key",
    "authorization",
    "api-sign",
    "api-expires",
    "api-signature",
    "kc-api-sign",
]


def reachable(slug: str, practice: VenuePractice) -> list[tuple[str, str, Call]]:
    """Every request that the connector knows, with the label and path of its host here."""
    found = []
    for family in load(slug).families:
        for step in calls(family):
            real = family.url(step.endpoint)
            if real in practice.hosts:
                label, path = practice.hosts[real]
                found.append((label, path, step))
    return found


def sockets(slug: str, practice: VenuePractice) -> list[Connection]:
    found: list[Connection] = []
    for real, (label, path) in practice.hosts.items():
        if real.startswith("ws"):
            for below in ("", "/ws", "/stream", "/v2", "/realtime"):
                accepted = practice.accept(label, path + below or "/", "", {}, NOW)
                if not isinstance(accepted, HttpAnswer):
                    found.append(accepted)
    return found


@pytest.mark.parametrize("slug", slugs())
def test_any_frame_is_taken(slug: str) -> None:
    practice, chance = practice_of(slug), random.Random(slug)
    connections, real = sockets(slug, practice), requests_of(slug)
    for connection in connections[:8]:
        frames: list[Any] = [*TEXTS, b"", b"\xff" * 50, *map(json.dumps, ODD), *real]
        for _ in range(100 if real else 0):
            frames.append(chance.choice([wounded_text, wounded_value])(chance, chance.choice(real)))
        for number, frame in enumerate(frames):
            connection.receive(frame, NOW + number * 1000)
            practice.tick(NOW + number * 1000)
            connection.tick(NOW + number * 1000)
            assert all(isinstance(each, str | bytes) for each in connection.out)
            connection.out.clear()
            connection.closing = None
        connection.closed()
