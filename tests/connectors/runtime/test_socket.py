"""One connection by itself: how it shares the loop with everything else."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Sequence
from decimal import Decimal

import pytest
from websockets.asyncio.server import ServerConnection, serve

from connectors.catalogue import load
from connectors.contract import Answer, Ask, Call, Caps, Dial, Effect, Event, Pulse, Stamp, Stream, Topic
from connectors.errors import NotSent
from connectors.model import OrderKind, OrderRequest, Side
from connectors.runtime import driver, socket
from connectors.runtime.socket import Link
from tests.connectors.bench import served
from tests.waiting import PATIENCE, until


class Plain(Stream):
    """Each frame costs a millisecond of a clock that moves by nothing else; a large one waits until the loop has turned."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    def plan(self, active: frozenset[Topic], add: Sequence[Topic], drop: Sequence[Topic]) -> list[Ask]:
        return []

    def receive(self, frame: str | bytes) -> list[Event]:
        if len(frame) >= socket.LARGE:
            assert self.scene.turned.wait(PATIENCE), "the loop stood still"
        self.scene.now += 0.001
        self.scene.heard.append(self.scene.turns)
        self.scene.frames.append(frame)
        return []


class Scene:
    """The owner of a link that listens to a local server."""

    def __init__(self) -> None:
        self.now = 0.0
        self.turns = 0
        self.turned = threading.Event()
        self.frames: list[str | bytes] = []
        self.heard: list[int] = []  # the turn of the rest of the program in which each frame was read
        self.url = ""

    async def open_stream(self, link: Link) -> tuple[str, Dial]:
        return self.url, Dial()

    def seal_ask(self, link: Link, ask: Ask) -> str | bytes:
        return ""

    def stamp(self, family: str) -> Stamp:
        raise AssertionError("nothing is signed here")

    def received(self, link: Link, events: list[Event]) -> None: ...

    def opened(self, link: Link) -> None: ...

    def lost(self, link: Link, why: str) -> None: ...

    def record(self, link: Link, direction: str, frame: str | bytes, ask: Ask | None = None) -> None: ...


async def test_frames_that_come_together_do_not_keep_everything_else_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """given 400 frames in one go, of a millisecond each, no more than three are read before others have their turn."""
    scene = Scene()
    monkeypatch.setattr(socket.time, "perf_counter", lambda: scene.now)

    async def flood(connection: ServerConnection) -> None:
        for number in range(400):
            await connection.send(f"frame {number}")
        await connection.wait_closed()

    async def others() -> None:
        while True:
            scene.turns += 1
            await asyncio.sleep(0)

    now = asyncio.get_running_loop().time
    async with serve(flood, "127.0.0.1", 0) as server:
        scene.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        link = Link(scene, "spot", "market", lambda: Plain(scene), Caps(), Pulse(), now, random.Random(1))
        rest = asyncio.ensure_future(others())
        link.start()
        await until(lambda: len(scene.heard) == 400, "all frames")
        rest.cancel()
        await link.stop()
    by_turn = [scene.heard.count(turn) for turn in set(scene.heard)]
    assert max(by_turn) <= 3
    assert max(by_turn) >= 2  # they do come together


async def test_a_frame_that_takes_long_to_read_stops_nothing_else_and_keeps_its_place() -> None:
    """given a whole book of some megabytes between two small frames, the loop turns while it is read, and the order stays."""
    scene = Scene()
    sent = ["before", "x" * socket.LARGE, "after"]

    async def send(connection: ServerConnection) -> None:
        for frame in sent:
            await connection.send(frame)
        await connection.wait_closed()

    async with serve(send, "127.0.0.1", 0) as server:
        scene.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        now = asyncio.get_running_loop().time
        link = Link(scene, "spot", "market", lambda: Plain(scene), Caps(), Pulse(), now, random.Random(1))
        link.start()
        await until(lambda: scene.frames == ["before"], "the first")
        asyncio.get_running_loop().call_later(0.01, scene.turned.set)
        await until(lambda: len(scene.frames) == 3, "the others")
        await link.stop()
    assert scene.frames == sent


async def test_a_frame_that_was_given_up_while_it_waited_its_turn_never_leaves() -> None:
    """given a socket that takes a frame a second, when an order's patience ends before its turn, then it was not sent."""
    scene = Scene()
    came: list[str | bytes] = []

    async def listen(connection: ServerConnection) -> None:
        async for frame in connection:
            came.append(frame)

    def ask(name: str, timeout: float) -> Ask:
        return Ask(endpoint="market", id=name, payload=name, answered=False, effect=Effect.PLACE, timeout=timeout)

    scene.seal_ask = lambda link, ask: ask.payload
    async with serve(listen, "127.0.0.1", 0) as server:
        scene.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        now, caps = asyncio.get_running_loop().time, Caps(frames_per_second=1)
        link = Link(scene, "spot", "market", lambda: Plain(scene), caps, Pulse(), now, random.Random(1))
        link.start()
        await until(lambda: link.is_open, "the socket")
        await link.ask(ask("first", 10))
        with pytest.raises(NotSent):
            await link.ask(ask("given up", 0.05))
        await link.ask(ask("third", 10))
        await until(lambda: len(came) >= 2, "the frames")
        await link.stop()
    assert came == ["first", "third"]


async def test_every_listing_of_a_venue_is_read_in_a_thread_and_an_order_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """given that large begins at a kilobyte, questions with larger answers are read elsewhere, orders and small ones here."""
    monkeypatch.setattr(driver, "LARGE", 1000)
    places: list[tuple[bool, int, bool]] = []
    plain = driver.verdict

    def watched(step: Call, answer: Answer) -> object:
        here = threading.current_thread() is threading.main_thread()
        places.append((here, len(answer.body), step.effect.repeatable))
        return plain(step, answer)

    monkeypatch.setattr(driver, "verdict", watched)
    async with served(load("binance")) as house, house.session() as (session, _):
        instrument = session.instruments["binance:spot:BTC-USDT"]
        for link in session.private.trade_links.values():
            await link.stop()
        request = OrderRequest(
            instrument=instrument,
            client_id="a" * 20,
            side=Side.BUY,
            kind=OrderKind.LIMIT,
            amount=Decimal("0.01"),
            price=Decimal(50_000),
        )
        await session.place(request)
    assert {here for here, size, question in places if question and size >= 1000} == {False}
    assert {here for here, size, question in places if not question or size < 1000} == {True}
