"""What can go wrong on purpose: faults that a practice server injects, seeded or exactly when told."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field

from connectors.practice.protocol import HttpAnswer, HttpRequest, VenuePractice


@dataclass(slots=True)
class Faults:
    """Rates are probabilities a frame or request; `seed` makes them repeatable. All may be changed while the server runs.

    `drop`, `duplicate`, `reorder`, `malformed` touch public frames; `duplicate_private` and `reorder_private` private ones.
    `lose_answer`: an order was accepted, the answer is a 503 or a broken connection. `refuse`: answered before anything
    was done. `stalled`: sockets stay open and nothing is sent. `latency` in seconds, before each answer.
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
    lose_next: deque[str] = field(default_factory=deque)  # "503" or "cut", for the next requests that act
    refuse_next: deque[HttpAnswer] = field(default_factory=deque)  # for the next requests of any kind
    drop_next: int = 0  # public book frames
    duplicate_next: int = 0
    reorder_next: int = 0
    malformed_next: int = 0
    miscount_next: int = 0  # book frames with a wrong checksum, where the venue sends one
    _chance: random.Random | None = None

    def happens(self, rate: float) -> bool:
        """One seeded throw."""
        if self._chance is None:
            self._chance = random.Random(self.seed)
        return rate > 0 and self._chance.random() < rate

    def refusal(self, request: HttpRequest) -> HttpAnswer | None:
        """What to answer instead of doing anything."""
        if self.refuse_next:
            return self.refuse_next.popleft()
        if self.happens(self.refuse):
            return HttpAnswer(503, b"Service Unavailable")
        return None

    def loss(self) -> str:
        """How the answer of a request that acted is lost: "", "503" or "cut"."""
        if self.lose_next:
            return self.lose_next.popleft()
        return ("503" if self.happens(0.5) else "cut") if self.happens(self.lose_answer) else ""

    def bend(self, frames: list[str | bytes], practice: VenuePractice, *, private: bool) -> list[str | bytes]:
        """What becomes of frames on their way."""
        if private:
            found = [
                copy
                for frame in frames
                for copy in ([frame, frame] if self.happens(self.duplicate_private) else [frame])
            ]
            if len(found) > 1 and self.happens(self.reorder_private):
                found.reverse()
            return found
        found = []
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
            found.append(frame)
            if self.happens(self.duplicate) or (book and self._counted("duplicate_next")):
                found.append(frame)
        books = [index for index, frame in enumerate(found) if practice.is_book(frame)]
        if len(books) > 1 and (self.happens(self.reorder) or self._counted("reorder_next")):
            first, second = books[0], books[1]
            found[first], found[second] = found[second], found[first]
        return found

    def _counted(self, name: str) -> bool:
        left = getattr(self, name)
        if left > 0:
            setattr(self, name, left - 1)
        return left > 0
