"""One WebSocket connection, from its opening flow to its end, again and again until it is stopped.

The reader loop hands each frame to the Stream synchronously: no task, timer or await a message, but a turn for everything
else after two milliseconds of work, and a thread for a frame that alone takes longer (the whole book of some venues).
Reconnects back off with full jitter. The library behind `_dial` could be another one: only that function and `_Transport`
know it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Protocol

from connectors.contract import (
    Alive,
    Answered,
    Ask,
    Caps,
    ClosingSoon,
    Dial,
    Event,
    Pulse,
    Ready,
    Reply,
    Stamp,
    Stream,
    Topic,
    Unknown,
)
from connectors.errors import NotSent, OutcomeUnknown, VenueError, VenueUnavailable
from connectors.runtime.pace import Pace, pause_after
from connectors.runtime.verdict import verdict

_log = logging.getLogger(__name__)

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 30.0
LARGE = (
    200_000  # bytes; to read a frame or body of this size takes longer than anything else may wait: a thread does it
)
AT_A_STRETCH = 0.002  # seconds of work on frames after which everything else has its turn


class LinkState(StrEnum):
    """What a connection is doing."""

    OFF = "off"
    OPENING = "opening"
    OPEN = "open"
    WAITING = "waiting"  # before the next attempt


class Owner(Protocol):
    """What a connection needs of its session."""

    async def open_stream(self, link: Link) -> tuple[str, Dial]:
        """Run the stream's opening flow; the address to dial."""
        ...

    def seal_ask(self, link: Link, ask: Ask) -> str | bytes:
        """The frame of an Ask, signed now."""
        ...

    def stamp(self, family: str) -> Stamp:
        """This moment."""
        ...

    def received(self, link: Link, events: list[Event]) -> None:
        """What a frame meant, except for what the link itself handles."""
        ...

    def opened(self, link: Link) -> None:
        """The socket is open and greeted; subscriptions have to be made."""
        ...

    def lost(self, link: Link, why: str) -> None:
        """The socket is gone."""
        ...

    def record(self, link: Link, direction: str, frame: str | bytes, ask: Ask | None = None) -> None:
        """Write a frame to the recording, if there is one; `ask` is what it was sealed for."""
        ...


class _Transport(Protocol):
    async def recv(self) -> Any: ...
    async def send(self, frame: str | bytes, /) -> None: ...
    async def close(self) -> None: ...


@dataclass(slots=True)
class LinkCounters:
    """What went over a connection since it was made."""

    frames: int = 0
    bytes: int = 0
    sent: int = 0
    unknown: int = 0
    declined: int = 0
    connects: int = 0
    losses: int = 0
    delay_ms: float | None = None
    recent: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=12))


class Link:
    """A connection of one role of one family. `topics` are those that it carries, or is to carry once it is open.

    `connects` is the pace at which the venue lets sockets be opened, shared by all links of one role.
    """

    def __init__(
        self,
        owner: Owner,
        family: str,
        role: str,
        make_stream: Callable[[], Stream],
        caps: Caps,
        pulse: Pulse,
        now: Callable[[], float],
        chance: random.Random,
        connects: Pace | None = None,
    ) -> None:
        self.owner = owner
        self.family = family
        self.role = role
        self.caps = caps
        self.pulse = pulse
        self._beating = pulse  # of the connection that is open: its address may have come with a pulse of its own
        self.stream: Stream = make_stream()
        self.url = ""
        self.named = ""  # the venue's own address, also where a practice host stands in for it
        self.state = LinkState.OFF
        self.text = ""
        self.topics: set[Topic] = set()
        self.counters = LinkCounters()
        self.last_frame = 0.0
        self.opened_at = 0.0
        self.next_at = 0.0  # of the next attempt, while waiting for it
        self.closing_soon = False
        self.life: float | None = None
        self._make_stream = make_stream
        self._now = now
        self._chance = chance
        self._transport: _Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._waiting: dict[str, asyncio.Future[Any]] = {}
        self._outbox: asyncio.Queue[tuple[Ask | None, str | bytes, asyncio.Future[Any]]] = asyncio.Queue()
        self._greeted = asyncio.Event()
        self._stopping = False
        self._rest: float | None = 0.0
        self._leaving: asyncio.Future[Any] | None = None  # of the frame that leaves or left last
        self._serial = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._connects = connects if connects is not None else Pace(())
        second = max(1, int(caps.frames_per_second)) if caps.frames_per_second else 0
        self._pace = Pace(((second, 1.0), (caps.frames_per_hour or 0, 3600.0)))

    # -----------------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Connect, and stay connected until `stop`."""
        if self._task is None:
            self._task = asyncio.ensure_future(self._run())

    async def stop(self) -> None:
        """Close for good."""
        self._stopping = True
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        self.state = LinkState.OFF

    def drop(self, why: str) -> None:
        """Close the socket now; the loop opens the next one."""
        self.text = why
        if self._transport is not None:
            self._spawn(self._transport.close())

    def rest(self, seconds: float | None) -> None:
        """Before the attempt after this one wait at least so long; None: there is none."""
        self._rest = seconds

    @property
    def is_open(self) -> bool:
        """Whether frames can be sent."""
        return self.state is LinkState.OPEN

    @property
    def rate(self) -> float:
        """Frames a second over the last seconds."""
        recent = self.counters.recent
        if len(recent) < 2 or recent[-1][0] <= recent[0][0]:
            return 0.0
        return (recent[-1][1] - recent[0][1]) / (recent[-1][0] - recent[0][0])

    def tick(self) -> None:
        """Housekeeping, a few times a second: the rate window, and a connection that fell silent."""
        now = self._now()
        recent = self.counters.recent
        if not recent or now - recent[-1][0] >= 0.5:
            recent.append((now, self.counters.frames))
        limit = self._beating.dead_after
        if self.is_open and now - max(self.last_frame, self.opened_at) > limit:
            self.drop(f"nothing heard for {limit:g} s")

    # -----------------------------------------------------------------------------------------------------------------
    # Sending

    async def ask(self, ask: Ask) -> Any:
        """Send an Ask; with `answered`, wait for its answer and read it.

        Raises NotSent if it certainly did not leave, OutcomeUnknown or VenueUnavailable (by its effect) when no answer came.
        """
        if not self.is_open:
            raise NotSent("the socket is not open")
        if not ask.id:
            self._serial += 1
            ask = replace(ask, id=str(self._serial))
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if ask.answered:
            self._waiting[ask.id] = answer
        try:
            sent: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            self._outbox.put_nowait((ask, "", sent))
            try:
                await asyncio.wait_for(sent, ask.timeout)
            except TimeoutError:
                if self._leaving is sent:
                    raise
                raise NotSent(f"it waited its turn on the socket for more than {ask.timeout:g} s") from None
            if not ask.answered:
                return None
            payload = await asyncio.wait_for(answer, ask.timeout)
        except TimeoutError as error:
            raise self._no_answer(ask, str(error) or f"no answer within {ask.timeout:g} s") from None
        except OutcomeUnknown as error:
            raise self._no_answer(ask, str(error)) from None
        finally:
            self._waiting.pop(ask.id, None)
        return verdict(ask, payload)

    def reply(self, frame: str | bytes) -> None:
        """Send a frame before anything else that waits, without pacing: a pong must not wait."""
        if self._transport is not None:
            self._spawn(self._transmit(frame))

    @staticmethod
    def _no_answer(ask: Ask, why: str) -> VenueError:
        return VenueUnavailable(why) if ask.effect.repeatable else OutcomeUnknown(why)

    async def _transmit(self, frame: str | bytes, ask: Ask | None = None) -> None:
        if self._transport is None:
            raise NotSent("the socket is not open")
        self.owner.record(self, "out", frame, ask)
        self.counters.sent += 1
        await self._transport.send(frame)

    async def _write(self) -> None:
        """The one writer: frames leave in order, at the venue's pace, and are signed when they leave."""
        while True:
            ask, frame, sent = await self._outbox.get()
            if sent.done():
                continue  # whoever wanted it has given up
            leaving = False
            try:
                await self._take_turn(self._pace)
                if sent.done():
                    continue  # given up while it waited its turn: it must not leave behind the asker's back
                sealed = self.owner.seal_ask(self, ask) if ask is not None else frame
                leaving, self._leaving = True, sent
                await self._transmit(sealed, ask)
            except VenueError as error:
                _settle(sent, error)
            except asyncio.CancelledError:
                _settle(
                    sent, OutcomeUnknown("the socket broke while sending") if leaving else NotSent("the socket broke")
                )
                raise
            except Exception as error:
                unsent = NotSent("the request could not be made")
                _settle(sent, OutcomeUnknown("the socket broke while sending") if leaving else unsent)
                raise error from None
            else:
                _settle(sent, None)

    async def _take_turn(self, pace: Pace) -> None:
        """Wait until `pace` has room, then count."""
        pause = pace.wait(self._now())
        while pause > 0:
            await asyncio.sleep(pause)
            pause = pace.wait(self._now())
        pace.count(self._now())

    async def _beat(self, pulse: Pulse) -> None:
        while pulse.send is not None and pulse.every > 0:
            await asyncio.sleep(pulse.every)
            await self._transmit(pulse.send(self.owner.stamp(self.family)))

    # -----------------------------------------------------------------------------------------------------------------
    # The life of the connection

    async def _run(self) -> None:
        failures = 0
        while not self._stopping:
            self.state, self.text = LinkState.OPENING, ""
            await self._take_turn(self._connects)
            began = self._now()
            why = await self._once()
            self.state, self.text = LinkState.WAITING, why
            failures = 0 if self._now() - began > 10.0 and self.counters.connects else failures + 1
            if self._rest is None:
                self.state, self._task = LinkState.OFF, None
                return
            pause = max(self._rest, pause_after(failures, FIRST_PAUSE, LONGEST_PAUSE, self._chance))
            self._rest, self.next_at = 0.0, self._now() + pause
            if failures > 3:
                _log.warning("%s %s: %s; next attempt in %.1f s", self.family, self.role, why, pause)
            await asyncio.sleep(pause)

    async def _once(self) -> str:
        """One connection; returns why it ended."""
        self.stream = self._make_stream()
        self.closing_soon = False
        was_open = False
        why = "closed"
        helpers: list[asyncio.Task[Any]] = []
        try:
            url, dial = await self.owner.open_stream(self)
            self.url = url.partition("?")[0]
            self.life = dial.life if dial.life is not None else self.caps.life
            self._beating = dial.pulse or self.pulse
            self._transport = await _dial(url, dial, self._beating)
            self.opened_at = self.last_frame = self._now()
            self.counters.connects += 1
            self._greeted.clear()
            self._outbox = asyncio.Queue()
            helpers.append(asyncio.ensure_future(self._write()))
            helpers.append(asyncio.ensure_future(self._beat(self._beating)))
            helpers.append(asyncio.ensure_future(self._greet(dial)))
            was_open = True
            await self._read(helpers)
        except VenueError as error:
            why = str(error) or type(error).__name__
        except (OSError, TimeoutError, ConnectionError, EOFError) as error:
            why = f"{type(error).__name__}: {error}"
        except Exception as error:  # noqa: BLE001 - the library's own closing exceptions, and bugs: both end this connection only
            why = f"{type(error).__name__}: {error}"
            if not type(error).__module__.startswith("websockets"):
                _log.exception("%s %s ended by an error", self.family, self.role)
        finally:
            for task in helpers:
                task.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            transport, self._transport = self._transport, None
            self.state = LinkState.WAITING
            self._fail_waiting(why)
            if was_open:
                self.counters.losses += 1
                self.owner.lost(self, self.text or why)
            if transport is not None:
                self._spawn(transport.close())
        return self.text or why

    async def _greet(self, dial: Dial) -> None:
        if dial.await_first:
            await asyncio.wait_for(self._greeted.wait(), 10.0)
        self.state = LinkState.OPEN
        for ask in dial.first:
            await self.ask(ask)
        self.owner.opened(self)

    async def _read(self, helpers: list[asyncio.Task[Any]]) -> None:
        """Frames until the end. A helper that fails (a refused greeting, a broken write) ends the connection too."""
        transport = self._transport
        if transport is None:
            return
        failed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def ended(task: asyncio.Task[Any]) -> None:
            if not task.cancelled() and (error := task.exception()) is not None and not failed.done():
                self.text = str(error) or type(error).__name__
                failed.set_result(None)
                self._spawn(transport.close())

        for task in helpers:
            task.add_done_callback(ended)
        receive, counters = transport.recv, self.counters
        held = 0.0
        while True:
            frame = await receive()
            began = time.perf_counter()
            self.last_frame = self._now()
            counters.frames += 1
            counters.bytes += len(frame)
            self.owner.record(self, "in", frame)
            if len(frame) < LARGE:
                events = self.stream.receive(frame)
            else:
                events = await asyncio.to_thread(self.stream.receive, frame)
            if events:
                self._handle(events)
            held += time.perf_counter() - began
            if held > AT_A_STRETCH:  # frames that came together are handed out without giving way: others wait too
                held = 0.0
                await asyncio.sleep(0)

    def _handle(self, events: list[Event]) -> None:
        """Deal with what concerns the connection itself, hand on the rest."""
        rest: list[Event] | None = None
        for index, event in enumerate(events):
            kind = type(event)
            if kind in _OWN:
                if rest is None:
                    rest = events[:index]
                if isinstance(event, Answered):
                    waiter = self._waiting.get(event.ask)
                    if waiter is not None and not waiter.done():
                        waiter.set_result(event.payload)
                elif isinstance(event, Reply):
                    self.reply(event.frame)
                elif isinstance(event, Ready):
                    self._greeted.set()
                    rest.append(event)
                elif isinstance(event, ClosingSoon):
                    self.closing_soon = True
                    rest.append(event)
                elif isinstance(event, Unknown):
                    self.counters.unknown += 1
                    rest.append(event)
            elif rest is not None:
                rest.append(event)
        handed = events if rest is None else rest
        if handed:
            self.owner.received(self, handed)

    def _fail_waiting(self, why: str) -> None:
        """Nothing that was asked on this socket will be answered any more."""
        for future in self._waiting.values():
            _settle(future, TimeoutError(why))
            if not future.cancelled():
                future.exception()  # whoever waits still hears it; one that gave up leaves no complaint
        while not self._outbox.empty():
            _, _, sent = self._outbox.get_nowait()
            _settle(sent, NotSent(why))

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.debug("%s %s: %r", self.family, self.role, task.exception())


def _settle(future: asyncio.Future[Any], error: Exception | None) -> None:
    """Tell whoever still waits."""
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


_OWN = frozenset({Answered, Reply, Ready, ClosingSoon, Unknown, Alive})


async def _dial(url: str, dial: Dial, pulse: Pulse) -> _Transport:
    """Open a socket with `websockets`. Its own pings find dead peers when `pulse.probe` is set."""
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidStatus

    every = min(20.0, max(2.0, pulse.dead_after / 3)) if pulse.probe else None
    try:
        return await connect(
            url,
            additional_headers=dict(dial.headers),
            compression="deflate" if dial.compression else None,
            max_size=dial.max_size,
            max_queue=None,
            ping_interval=every,
            ping_timeout=every,
            close_timeout=1.0,
            open_timeout=10.0,
            user_agent_header="fathom",
            proxy=None,
        )
    except InvalidStatus as error:
        raise VenueUnavailable(f"the venue refused the socket with HTTP {error.response.status_code}") from None
