"""One frame clock: visible panels whose data changed repaint together, at most once a frame.

The clock asks each registered panel that is on screen to compare versions (`frame`); Qt then merges their `update()`
calls into one repaint. It rests while the window is hidden or minimised. What panels cost is measured here.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass
from typing import Protocol

from PySide6.QtCore import QEvent, QObject, Qt, QTimer
from PySide6.QtWidgets import QWidget

INTERVAL_MS = 16
KEPT = 600  # frames, about ten seconds

_log = logging.getLogger(__name__)


class Framed(Protocol):
    """What the clock can drive: a panel, or any widget that looks at data each frame."""

    def frame(self, now: float) -> None:
        """Compare versions; call `update()` only where something changed. `now` is monotonic, seconds."""
        ...

    def isVisible(self) -> bool:
        """Whether it is on screen."""
        ...


@dataclass(slots=True)
class Cost:
    """What one panel's `frame` costs, ms: a moving mean and the worst so far; `failures` counts exceptions."""

    mean: float = 0.0
    worst: float = 0.0
    failures: int = 0


class FrameClock(QObject):
    """Calls `frame(now)` of what is registered and visible every 16 ms."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._panels: dict[Framed, Cost] = {}
        self._windows: list[QWidget] = []
        self._began: deque[float] = deque(maxlen=KEPT)
        self._spent: deque[float] = deque(maxlen=KEPT)
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(INTERVAL_MS)
        self._timer.timeout.connect(self._tick)
        self._wanted = False

    @property
    def running(self) -> bool:
        """Whether it beats now; it rests while no window is to be seen."""
        return self._timer.isActive()

    @property
    def rate(self) -> float:
        """Frames a second over the last second or so; 0 while at rest."""
        if len(self._began) < 2 or not self.running:
            return 0.0
        recent = [at for at in self._began if at > self._began[-1] - 1.0]
        return (len(recent) - 1) / (recent[-1] - recent[0]) if len(recent) > 1 else 0.0

    @property
    def frame_ms(self) -> float:
        """Median time that all handlers of one frame took together, ms."""
        ordered = sorted(self._spent)
        return ordered[len(ordered) // 2] if ordered else 0.0

    @property
    def frame_ms_99(self) -> float:
        """99th percentile of the same."""
        ordered = sorted(self._spent)
        return ordered[int(len(ordered) * 0.99)] if ordered else 0.0

    def costs(self) -> dict[Framed, Cost]:
        """What each registered panel costs."""
        return dict(self._panels)

    def add(self, panel: Framed) -> None:
        """Drive `panel` from now on."""
        self._panels.setdefault(panel, Cost())

    def remove(self, panel: Framed) -> None:
        """Drive it no more."""
        self._panels.pop(panel, None)

    def watch(self, window: QWidget) -> None:
        """Beat only while `window`, or another one that is watched, is visible and not minimised."""
        self._windows.append(window)
        window.installEventFilter(self)
        self._beat_or_rest()

    def start(self) -> None:
        """Begin to beat (once a watched window is visible, if any is watched)."""
        self._wanted = True
        self._beat_or_rest()

    def stop(self) -> None:
        """Rest."""
        self._wanted = False
        self._beat_or_rest()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Rest and go on with the windows."""
        kind = event.type()
        if kind in (QEvent.Type.Show, QEvent.Type.Hide, QEvent.Type.WindowStateChange):
            QTimer.singleShot(0, self, self._beat_or_rest)
        return False

    def _beat_or_rest(self) -> None:
        seen = not self._windows or any(window.isVisible() and not window.isMinimized() for window in self._windows)
        if self._wanted and seen:
            if not self._timer.isActive():
                self._began.clear()
                self._timer.start()
        else:
            self._timer.stop()

    def _tick(self) -> None:
        now = time.monotonic()
        self._began.append(now)
        start = time.perf_counter()
        for panel, cost in list(self._panels.items()):
            if not panel.isVisible():
                continue
            before = time.perf_counter()
            try:
                panel.frame(now)
            except Exception:  # one broken panel must not stop the others; it is counted and logged once
                cost.failures += 1
                if cost.failures == 1:
                    _log.exception("a panel failed in its frame: %s", type(panel).__name__)
            spent = (time.perf_counter() - before) * 1000
            cost.mean += (spent - cost.mean) * 0.05
            cost.worst = max(cost.worst, spent)
        self._spent.append((time.perf_counter() - start) * 1000)
