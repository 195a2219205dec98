"""One frame clock: panels that are visible and whose data changed repaint together, at most once a frame.

It also measures: how late its own timer fires is how long something blocked the GUI thread.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import Protocol

from PySide6.QtCore import QObject, Qt, QTimer

_log = logging.getLogger(__name__)

FRAME_MS = 16
AT_ONCE_MS = 3.0  # of one frame; panels whose turn comes after that wait for the next

PATIENCE = 2  # frames that the last one may take to be painted: a panel in a window of its own may be hidden


class Framed(Protocol):
    """What the clock drives: every frame, or each `every`th one shifted by `phase`, so that heavy panels take turns.

    One that is `heavy` to paint shares no frame with another such. `unpainted` while it waits to be painted.
    """

    every: int
    phase: int
    heavy: bool
    unpainted: bool

    def isVisible(self) -> bool: ...
    def frame(self, now: float) -> None: ...


class FrameClock(QObject):
    """Calls `frame(now)` of everything registered and visible. `now` is monotonic seconds.

    What one frame has no time for has its turn in the next, before the others. Two frames are never painted in one go: while
    one waits for that, the next does, for a while.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._framed: list[Framed] = []
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(FRAME_MS)
        self._timer.timeout.connect(self._tick)
        self._last = 0.0
        self._waited = 0  # frames, for the last one to be painted
        self._failed: set[int] = set()
        self._due: dict[Framed, None] = {}  # in the order in which they came due
        self.frames = 0
        self.gaps: deque[float] = deque(maxlen=600)  # ms between frames
        self.costs: deque[float] = deque(maxlen=600)  # ms spent in frame()

    def register(self, framed: Framed) -> None:
        """Drive this one too."""
        self._framed.append(framed)

    def unregister(self, framed: Framed) -> None:
        """No more."""
        if framed in self._framed:
            self._framed.remove(framed)
        self._due.pop(framed, None)

    def start(self) -> None:
        """Run."""
        self._timer.start()

    def stop(self) -> None:
        """Pause."""
        self._timer.stop()

    @property
    def fps(self) -> float:
        """Frames a second over the last ones."""
        return 1000.0 * len(self.gaps) / sum(self.gaps) if self.gaps else 0.0

    def _tick(self) -> None:
        if self._waited < PATIENCE and any(framed.unpainted for framed in self._framed):
            self._waited += 1
            return
        self._waited = 0
        now = time.monotonic()
        if self._last:
            self.gaps.append((now - self._last) * 1000)
        self._last = now
        self.frames += 1
        for framed in self._framed:
            if (self.frames + framed.phase) % framed.every == 0 and framed.isVisible():
                self._due[framed] = None
        spent, heavy = 0.0, False
        for framed in list(self._due):
            if spent > AT_ONCE_MS:
                break  # together they would keep the pointer and the keyboard waiting
            if framed.heavy and heavy:
                continue
            heavy = heavy or framed.heavy
            del self._due[framed]
            self._frame(framed, now)
            spent = (time.monotonic() - now) * 1000
        self.costs.append(spent)

    def _frame(self, framed: Framed, now: float) -> None:
        try:
            framed.frame(now)
        except Exception:  # noqa: BLE001 - one panel's bug must not stop the others; it is logged
            if id(framed) not in self._failed:
                self._failed.add(id(framed))
                _log.exception("%s could not draw", type(framed).__name__)
