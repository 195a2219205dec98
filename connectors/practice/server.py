"""The practice server: owns sockets, time and faults; a venue's practice side translates.

One local port for each of the venue's hosts. A ticker advances the exchange and its crowd by real time and sends what is
due. It runs in any asyncio loop, alone or inside the terminal, in steps of a few milliseconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import secrets
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from connectors.practice.crowd import Crowd
from connectors.practice.exchange import Exchange
from connectors.practice.faults import Faults
from connectors.practice.funds import fund
from connectors.practice.protocol import Connection, HttpAnswer, HttpRequest, VenuePractice

if TYPE_CHECKING:
    from aiohttp import web

    from connectors.contract import Venue

_log = logging.getLogger(__name__)

TICK = 0.04  # seconds


class _Socket:
    """A connection and its way out."""

    def __init__(self, connection: Connection, response: web.WebSocketResponse) -> None:
        self.connection = connection
        self.response = response
        self.queue: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self.late: list[str | bytes] = []  # held back by a fault

    def abort(self) -> None:
        """Break the connection without a closing handshake."""
        transport = self.response._req.transport if self.response._req else None
        if transport is not None:
            transport.abort()

    async def write(self) -> None:
        """Send what is queued until the end."""
        while (frame := await self.queue.get()) is not None:
            with contextlib.suppress(ConnectionError, RuntimeError):
                if isinstance(frame, bytes):
                    await self.response.send_bytes(frame)
                else:
                    await self.response.send_str(frame)


class PracticeServer:
    """Serves one venue. `hosts` (real base URL -> local base URL) and `credentials` are there after `start`.

    `crowd`: whether a crowd makes a market, or in which listings alone ("spot:BTC-USDT"), for tests that need no more.
    """

    def __init__(
        self,
        venue: Venue,
        *,
        seed: int | None = None,
        rate: float = 250.0,
        faults: Faults | None = None,
        crowd: bool | Collection[str] = True,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        credentials: dict[str, str] | None = None,
    ) -> None:
        self.venue = venue
        self.faults = faults or Faults()
        self._now_ms = now_ms
        listings = practice_class(venue).listings
        # No id is ever given twice, not by a later run either: clients keep journals.
        self.exchange = Exchange(listings, start_ms=now_ms(), first_id=now_ms())
        self.crowd: Crowd | None = None
        if crowd:
            activity = {listing.key: listing.activity for listing in listings if listing.activity > 0}
            keys = [key for key in activity if crowd is True or key in crowd]
            share = sum(activity[key] for key in keys) / sum(activity.values())
            chance = seed if seed is not None else secrets.randbits(32)
            self.crowd = Crowd(self.exchange, keys, seed=chance, rate=rate * share)
            self.crowd.populate()
        self.practice = make_practice(venue, self.exchange, credentials)  # hears of what comes now, not of the filling
        self.hosts: dict[str, str] = {}
        self._sockets: set[_Socket] = set()
        self._runners: list[Any] = []
        self._ticker: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()

    @property
    def credentials(self) -> dict[str, str]:
        """A key that may trade."""
        return dict(self.practice.credentials)

    def fund(self, account: str) -> None:
        """Give an account something to trade with."""
        fund(self.exchange, account)

    async def start(self, port: int = 0) -> None:
        """Listen on 127.0.0.1: port, port + 1, ... or any free ones."""
        from aiohttp import web

        labels = sorted({label for label, _ in self.practice.hosts.values()})
        ports: dict[str, int] = {}
        for index, label in enumerate(labels):
            app = web.Application(client_max_size=2**20)
            app.router.add_route("*", "/{path:.*}", self._handler(label))
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", port + index if port else 0)
            await site.start()
            self._runners.append(runner)
            ports[label] = runner.addresses[0][1]
        for real, (label, path) in self.practice.hosts.items():
            scheme = "ws" if real.startswith("ws") else "http"
            self.hosts[real] = f"{scheme}://127.0.0.1:{ports[label]}{path}"
        self.practice.located(self.hosts)
        self._ticker = asyncio.ensure_future(self._tick())

    async def stop(self) -> None:
        """Close everything."""
        if self._ticker is not None:
            self._ticker.cancel()
            await asyncio.gather(self._ticker, return_exceptions=True)
        self._ended.set()
        await self.cut()
        for runner in self._runners:
            await runner.cleanup()
        self._runners.clear()

    async def cut(self, *, private: bool | None = None) -> int:
        """Break open sockets without a closing handshake; all, or only private or public ones. Returns how many."""
        chosen = [socket for socket in self._sockets if private is None or socket.connection.private is private]
        for socket in chosen:
            socket.abort()
        await asyncio.sleep(0)
        return len(chosen)

    def say(self, frame: str | bytes, *, private: bool | None = None) -> int:
        """Send a frame that nobody asked for; to all sockets, or only to private or public ones. Returns to how many."""
        chosen = [socket for socket in self._sockets if private is None or socket.connection.private is private]
        for socket in chosen:
            socket.queue.put_nowait(frame)
        return len(chosen)

    def flush(self) -> None:
        """Hand over to the sockets what the connections have to say."""
        for socket in list(self._sockets):
            connection = socket.connection
            if connection.out:
                frames, connection.out = connection.out, []
                if self.faults.stalled:
                    continue
                for frame in self.faults.bend(frames, self.practice, socket.late, private=connection.private):
                    socket.queue.put_nowait(frame)
            if connection.closing is not None:
                code, connection.closing = connection.closing, None
                asyncio.ensure_future(socket.response.close(code=code))  # noqa: RUF006 - it ends with the socket

    # -----------------------------------------------------------------------------------------------------------------

    async def _tick(self) -> None:
        told: set[str] = set()
        while True:
            await asyncio.sleep(TICK)
            try:
                self.advance(self._now_ms())
            except Exception as error:  # noqa: BLE001 - a market that stands still without a word would be the worse fault
                if (kind := repr(error)) not in told:
                    told.add(kind)
                    _log.exception("the practice exchange of %s stumbled", self.venue.slug)

    def advance(self, now_ms: int) -> None:
        """Let the exchange and the crowd catch up with the clock, and send what is due."""
        if self.crowd is not None:
            self.crowd.step(now_ms)
        self.exchange.advance(now_ms)
        self.practice.tick(now_ms)
        for socket in list(self._sockets):
            socket.connection.tick(now_ms)
        self.flush()

    def _handler(self, label: str) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.StreamResponse:
            from aiohttp import web

            headers = {name.lower(): value for name, value in request.headers.items()}
            path, _, query = request.raw_path.partition("?")
            if headers.get("upgrade", "").lower() == "websocket":
                found = self.practice.accept(label, path, query, headers, self._now_ms())
                if not isinstance(found, HttpAnswer):
                    return await self._serve_socket(request, found)
                return web.Response(status=found.status, body=found.body, headers=dict(found.headers))
            asked = HttpRequest(label, request.method, path, query, headers, await request.read())
            return await self._answer(request, asked)

        return handle

    async def _answer(self, request: web.Request, asked: HttpRequest) -> web.StreamResponse:
        from aiohttp import web

        await self.faults.delay(f"{asked.method} {asked.path}?{asked.query}".encode() + asked.body)
        answer = self.faults.refusal(asked)
        if answer is None:
            self.exchange.advance(self._now_ms())
            answer = self.faults.age(asked, self.practice.http(asked, self._now_ms()))
            self.flush()
            loss = self.faults.loss() if answer.acted else ""
            if loss == "503":
                answer = self.practice.no_verdict()
            elif loss == "hang":
                await self._ended.wait()
            elif loss and request.transport is not None:
                request.transport.abort()
        body = self.faults.embellish(answer.body)
        return web.Response(status=answer.status, body=body, headers=dict(answer.headers))

    async def _serve_socket(self, request: web.Request, connection: Connection) -> web.StreamResponse:
        from aiohttp import WSMsgType, web

        response = web.WebSocketResponse(heartbeat=connection.ping_every or None, max_msg_size=2**20, compress=False)
        try:
            await response.prepare(request)
        except ConnectionError:  # the client is gone before it was answered
            connection.closed()
            return response
        socket = _Socket(connection, response)
        self._sockets.add(socket)
        writer = asyncio.ensure_future(socket.write())
        self.flush()
        try:
            async for message in response:
                if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                    continue
                await self.faults.delay(message.data)
                self.exchange.advance(self._now_ms())
                before = self.exchange.number_of_events()
                connection.receive(message.data, self._now_ms())
                acted = connection.private and self.exchange.number_of_events() > before
                if acted and self.faults.loss():
                    connection.out.clear()
                    socket.abort()
                self.flush()
        except ConnectionError:
            pass  # cut
        finally:
            self._sockets.discard(socket)
            connection.closed()
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
        return response


def practice_class(venue: Venue) -> Any:
    """The class that plays the venue. Raises LookupError for a venue without one."""
    module, _, name = venue.practice.partition(":")
    if not name:
        raise LookupError(f"{venue.name} has no practice side")
    return getattr(importlib.import_module(module), name)


def make_practice(venue: Venue, exchange: Exchange, credentials: dict[str, str] | None = None) -> VenuePractice:
    """The venue's own end in front of `exchange`. Raises LookupError for a venue without one."""
    return practice_class(venue)(exchange, credentials)
