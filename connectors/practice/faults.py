"""What can go wrong on purpose: faults that a practice server injects, seeded or exactly when told."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from connectors.practice.protocol import HttpAnswer, HttpRequest, VenuePractice


@dataclass(slots=True)
class Faults:
    """Rates are probabilities a frame or request; `seed` makes them repeatable. All may be changed while the server runs.

    `drop`, `duplicate`, `reorder`, `malformed` touch public frames; `duplicate_private` and `reorder_private` private ones.
    `lose_answer`: an order was accepted, the answer is a 503 or a broken connection. `refuse`: answered before anything
    was done. `stalled`: sockets stay open and nothing is sent. `latency` in seconds, before each answer. `hold`: what arrives
    and contains this text waits at the door until it is lifted; `held` is what waits there. `surplus`: every
    JSON object that stands alone or in a list has a field that nobody knows.
    """

    seed: int = 0
    latency: float = 0.0
    drop: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    malformed: float = 0.0
    duplicate_private: float = 0.0
    reorder_private: float = 0.0
    lose_answer: float = 0.0
    refuse: float = 0.0
    stalled: bool = False
    hold: bytes = b""
    held: list[bytes] = field(default_factory=list)
    surplus: bool = False
    lose_next: deque[str] = field(default_factory=deque)  # "503", "cut" or "hang", for the next requests that act
    refuse_next: deque[HttpAnswer] = field(default_factory=deque)  # for the next requests of any kind
    drop_next: int = 0  # public book frames
    duplicate_next: int = 0
    reorder_next: int = 0  # one that arrives after the one behind it
    malformed_next: int = 0
    miscount_next: int = 0  # book frames with a wrong checksum, where the venue sends one
    keep: str = ""  # the path whose answer is kept, to be given again for the next `repeat_next` requests
    repeat_next: int = 0
    _kept: HttpAnswer | None = None
    _chance: random.Random | None = None

    def happens(self, rate: float) -> bool:
        """One seeded throw."""
        if self._chance is None:
            self._chance = random.Random(self.seed)
        return rate > 0 and self._chance.random() < rate

    async def delay(self, frame: str | bytes) -> None:
        """Keep what arrived from being heard, for as long as it is told."""
        if self.latency:
            await asyncio.sleep(self.latency)
        arrived = frame.encode() if isinstance(frame, str) else frame
        if self.hold and self.hold in arrived:
            self.held.append(arrived)
            while self.hold:  # noqa: ASYNC110 - lifted from outside
                await asyncio.sleep(0.01)
            self.held.remove(arrived)

    def refusal(self, request: HttpRequest) -> HttpAnswer | None:
        """What to answer instead of doing anything."""
        if self.refuse_next:
            return self.refuse_next.popleft()
        if self.happens(self.refuse):
            return HttpAnswer(503, b"Service Unavailable")
        return None

    def loss(self) -> str:
        """How the answer of a request that acted is lost: "", "503", "cut" or "hang" (it never comes)."""
        if self.lose_next:
            return self.lose_next.popleft()
        return ("503" if self.happens(0.5) else "cut") if self.happens(self.lose_answer) else ""

    def age(self, request: HttpRequest, answer: HttpAnswer) -> HttpAnswer:
        """The answer, or an old one to the same path."""
        if not self.keep or request.path != self.keep:
            return answer
        if self.repeat_next > 0 and self._kept is not None:
            self.repeat_next -= 1
            return self._kept
        if answer.status == 200:
            self._kept = answer
        return answer

    def embellish(self, text: str | bytes) -> str | bytes:
        """With `surplus`, a field more in each JSON object; what is no JSON stays as it is."""
        if not self.surplus:
            return text
        try:
            value = json.loads(text, parse_float=_Digits)
        except ValueError:
            return text
        out = json.dumps(_more(value), separators=(",", ":"))
        out = _QUOTED_DIGITS.sub(r"\1", out)
        return out if isinstance(text, str) else out.encode()

    def bend(
        self, frames: list[str | bytes], practice: VenuePractice, late: list[str | bytes], *, private: bool
    ) -> list[str | bytes]:
        """What becomes of frames on their way; `late` keeps those of this socket that arrive after their followers."""
        if self.surplus:
            frames = [self.embellish(frame) for frame in frames]
        return self._bend_private(frames) if private else self._bend_public(frames, practice, late)

    def _bend_private(self, frames: list[str | bytes]) -> list[str | bytes]:
        found = [
            copy for frame in frames for copy in ([frame, frame] if self.happens(self.duplicate_private) else [frame])
        ]
        if len(found) > 1 and self.happens(self.reorder_private):
            found.reverse()
        return found

    def _bend_public(
        self, frames: list[str | bytes], practice: VenuePractice, late: list[str | bytes]
    ) -> list[str | bytes]:
        found: list[str | bytes] = []
        for frame in frames:
            book = practice.is_book(frame)
            if self.happens(self.drop) or (book and self._counted("drop_next")):
                continue
            if self.happens(self.malformed) or (book and self._counted("malformed_next")):
                found.append(frame[: max(1, len(frame) // 2)])
                continue
            if book and self.miscount_next and (wrong := practice.miscount(frame)) is not None:
                self.miscount_next -= 1
                frame = wrong
            if book and not late and (self.happens(self.reorder) or self._counted("reorder_next")):
                late.append(frame)
                continue
            found.append(frame)
            if self.happens(self.duplicate) or (book and self._counted("duplicate_next")):
                found.append(frame)
            if book and late:
                found += late
                late.clear()
        return found

    def _counted(self, name: str) -> bool:
        left = getattr(self, name)
        if left > 0:
            setattr(self, name, left - 1)
        return left > 0


class _Digits(float):
    """A number that is written again as it was read: checksums are made of its digits."""

    def __new__(cls, text: str) -> _Digits:
        made = super().__new__(cls, text)
        made.text = text
        return made

    text: str


_MARK = "\u0001"
_QUOTED_DIGITS = re.compile(r'"\\u0001([^"]*)"')


def _more(value: Any) -> Any:
    """A field more in objects that stand alone or in a list; objects that are maps by name stay maps."""
    if isinstance(value, dict):
        return {name: _inner(part) for name, part in value.items()} | {"somethingNew": {"a": [1, None, "x"]}}
    return _inner(value)


def _inner(value: Any) -> Any:
    if isinstance(value, _Digits):
        return _MARK + value.text
    if isinstance(value, dict):
        return {name: _inner(part) for name, part in value.items()}
    return [_more(part) for part in value] if isinstance(value, list) else value
