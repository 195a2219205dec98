"""Driver: takes the flows of one session to their results. Seals, paces, sends, reads, and repeats only what may be repeated.

What an error means is the venue's business (`Call.read`), what may be concluded from it is said here: a request that changes
nothing is asked again after a lost answer, one that places or cancels never is; a wrong clock or a nonce that was overtaken
proves that nothing was executed, so the step is signed anew.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec

from connectors.contract import UNREADABLE, Answer, Ask, Call, Effect, Environment, Family, Flow, Security, Step, Venue
from connectors.errors import (
    ClockSkewed,
    NonceTooLow,
    NotSent,
    NotSupported,
    OutcomeUnknown,
    RateLimited,
    Unintelligible,
    VenueError,
    VenueUnavailable,
)
from connectors.runtime.clock import Clock
from connectors.runtime.http import Http
from connectors.runtime.limits import Limits
from connectors.runtime.record import Recorder
from connectors.runtime.socket import LARGE, Link
from connectors.runtime.verdict import verdict

T = TypeVar("T")

FRESH = 5.0  # seconds after which an order that waits for the rate limit is not sent any more: the market has moved on
TRIES = 4  # of what may be repeated
_OPENS = re.compile(r"token|listen|jwt|session|secret", re.IGNORECASE)


class Driver:
    """`facts` are what calls and logins told of the account, by family. `socket` finds the open link of a role.

    `hosts` replaces real base URLs by local ones (practice); `secrets` by field name, empty without a key.
    """

    def __init__(
        self,
        venue: Venue,
        environment: Environment,
        socket: Callable[[Family, str], Link | None],
        *,
        hosts: Mapping[str, str],
        secrets: Mapping[str, str],
        recorder: Recorder | None,
        clock: Clock,
        chance: random.Random,
    ) -> None:
        self.venue = venue
        self.environment = environment
        self.hosts = dict(hosts)
        self.secrets = dict(secrets)
        self.clock = clock
        self.chance = chance
        self.http = Http()
        self.limits = {family.name: Limits(family.buckets, clock.monotonic) for family in venue.families}
        self.facts: dict[str, dict[str, Any]] = {family.name: {} for family in venue.families}
        self._socket = socket
        self._recorder = recorder
        self._lane = asyncio.Lock()

    async def close(self) -> None:
        """Close the HTTP connections and the recording."""
        await self.http.close()
        if self._recorder is not None:
            self._recorder.close()

    # -----------------------------------------------------------------------------------------------------------------

    async def run(self, flow: Flow[T], family: Family) -> T:
        """Drive a flow to its result. Raises VenueError."""
        acted = False
        try:
            step = next(flow)
            while True:
                try:
                    value = await self._step(step, family)
                except VenueError as error:
                    step = flow.throw(error)
                    continue
                acted = acted or not step.effect.repeatable
                try:
                    step = flow.send(value)
                except UNREADABLE as error:  # what an answer means can fail to make sense after it was read, too
                    kind = OutcomeUnknown if acted else Unintelligible
                    raise kind(f"an answer of unexpected shape ({type(error).__name__})") from error
        except StopIteration as stop:
            return stop.value

    async def _step(self, step: Step, family: Family) -> Any:
        skewed = False
        attempt = overtaken = 0
        while True:
            attempt += 1
            try:
                return await self._once(step, family)
            except ClockSkewed:
                if skewed:
                    raise
                skewed = True  # certainly not executed: correct the clock and sign anew
                await self.renew_clock()
            except NonceTooLow:  # certainly not executed: another request, program or clock was ahead
                overtaken += 1
                if overtaken > 2:
                    raise
                if overtaken == 2:
                    self.clock.leap()
            except RateLimited as error:
                self.limits[family.name].refused(step.costs, error.retry_after, banned=error.banned)
                if attempt >= TRIES or not step.effect.repeatable or error.banned:
                    raise
            except (VenueUnavailable, OutcomeUnknown):  # what changes nothing may be asked again
                if attempt >= TRIES or not step.effect.repeatable:
                    raise
                await asyncio.sleep(self.chance.uniform(0, 0.2 * 2**attempt))

    async def _once(self, step: Step, family: Family) -> Any:
        now = self.clock.ms()
        async with _fresh(step, "the venue's rate limit left no room for it"):
            await self.limits[family.name].take([cost.at(now) for cost in step.costs], step.effect)
        if isinstance(step, Ask):
            link = self._socket(family, step.endpoint)
            if link is None:
                raise NotSent(f"no {step.endpoint} socket is open")
            return await link.ask(step)
        base = family.url(step.endpoint, self.environment)
        if family.serial and step.security is not Security.NONE:
            async with _fresh(step, "requests before it were not answered"):
                await self._lane.acquire()  # nonces must arrive in their order
            try:
                answer = await self._call(step, family, base)
            finally:
                self._lane.release()
        else:
            answer = await self._call(step, family, base)
        for name, used in family.used(answer.headers):
            self.limits[family.name].told(name, used)
        if len(answer.body) >= LARGE and step.effect.repeatable:  # every listing of a venue: a thread reads it
            return await asyncio.to_thread(verdict, step, answer)
        return verdict(step, answer)

    async def _call(self, step: Call, family: Family, base: str) -> Answer:
        wire = family.signer.seal(step, self.secrets, self.facts[family.name], self.clock.stamp(), base)
        sent = self.clock.ms()
        try:
            answer = await self.http.send(self.local(base), wire, step.timeout)
        except OutcomeUnknown as error:
            if step.effect.repeatable:
                raise VenueUnavailable(str(error)) from None
            raise
        if self._recorder is not None:
            self._recorder.http(base + wire.path, wire, answer)
        return Answer(answer.status, answer.body, answer.headers, sent, self.clock.ms())

    # -----------------------------------------------------------------------------------------------------------------

    async def refresh_clock(self) -> None:
        """Sample the venue's clock a few times; keeps ours if the venue does not tell. Raises VenueError."""
        family = self.venue.families[0]
        for _ in range(3):
            sent = self.clock.local_ms()
            try:
                told = await self.run(family.trading.time(), family)
            except NotSupported:
                return
            self.clock.learn(told, sent, self.clock.local_ms())

    async def renew_clock(self) -> None:
        """Clocks drift: what was learned earlier counts no more."""
        self.clock.forget()
        await self.refresh_clock()

    def learn(self, family: str, facts: Mapping[str, Any]) -> None:
        """Keep facts about the account; what opens doors among them is never written down."""
        self.facts[family].update(facts)
        if self._recorder is not None:
            tokens = [value for name, value in facts.items() if isinstance(value, str) and _OPENS.search(name)]
            self._recorder.hide(tokens)

    def seal(self, link: Link, ask: Ask) -> str | bytes:
        """The frame of an Ask, signed now. Raises NotSent if the signer made none."""
        family = self.venue.family(link.family)
        base = family.url(link.role, self.environment)
        wire = family.signer.seal(ask, self.secrets, self.facts[family.name], self.clock.stamp(), base)
        if wire.frame is None:
            raise NotSent("the signer made no frame")
        return wire.frame

    def record(self, link: Link, direction: str, frame: str | bytes, ask: Ask | None) -> None:
        """Write a frame down, if anybody wants it; one that was signed for `ask` as it was before."""
        if self._recorder is not None:
            if ask is not None and ask.security is not Security.NONE:
                frame = _unsigned(ask)
            self._recorder.frame(f"{link.family}.{link.role}.{link.counters.connects}", direction, link.named, frame)

    def local(self, url: str) -> str:
        """`url` with a practice host in place of the real one; the longest prefix wins."""
        for real in sorted(self.hosts, key=len, reverse=True):
            if url.startswith(real):
                return self.hosts[real] + url[len(real) :]
        return url

    def real(self, url: str) -> str:
        """`url` with the real host in place of a practice one: an address that a call told is local already."""
        for real, local in self.hosts.items():
            if url.startswith(local):
                return real + url[len(local) :]
        return url


@asynccontextmanager
async def _fresh(step: Step, why: str) -> AsyncGenerator[None]:
    """An order that has to wait too long before it leaves does not leave: NotSent. Everything else may wait."""
    try:
        async with asyncio.timeout(FRESH if step.effect in (Effect.PLACE, Effect.AMEND) else None):
            yield
    except TimeoutError:
        raise NotSent(f"{why} within {FRESH:g} s") from None


def _unsigned(ask: Ask) -> str:
    """What a signed frame said, without what signing added to it."""
    try:
        return msgspec.json.encode({"unsigned": ask.payload}).decode()
    except (TypeError, ValueError):
        return '{"unsigned": null}'
