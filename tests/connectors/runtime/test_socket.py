"""One connection by itself: how it shares the loop with everything else."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import pytest
from websockets.asyncio.server import ServerConnection, serve

from connectors.contract import Ask, Caps, Dial, Event, Pulse, Stamp, Stream, Topic
from connectors.runtime import socket
from connectors.runtime.socket import Link
from tests.waiting import until


class Plain(Stream):
    """Each frame costs a millisecond of a clock that moves by nothing else."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    def plan(self, active: frozenset[Topic], add: Sequence[Topic], drop: Sequence[Topic]) -> list[Ask]:
        return []

    def receive(self, frame: str | bytes) -> list[Event]:
        self.scene.now += 0.001
        self.scene.heard.append(self.scene.turns)
        return []


class Scene:
    """The owner of a link that listens to a local server."""

    def __init__(self) -> None:
        self.now = 0.0
        self.turns = 0
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
