"""Cyclic garbage is collected in the GUI thread only: a widget that is destroyed in any other thread ends the program.

Python collects cycles in whichever thread happens to allocate, and the journal has threads of its own. To look through all
that a running program holds takes fifty milliseconds, three frames: so what the start has made is set aside once and only
what came after it is looked through.
"""

from __future__ import annotations

import gc

from PySide6.QtCore import QObject, QTimer

EVERY_MS = 1000
SETTLED = 10  # turns after which what is there is taken to stay
WHOLE = 60  # turns between two collections of everything


class Collector(QObject):
    """Takes the place of the automatic collector for as long as it lives."""

    def __init__(self) -> None:
        super().__init__()
        gc.disable()
        self._turn = 0
        self._timer = QTimer(self)
        self._timer.setInterval(EVERY_MS)
        self._timer.timeout.connect(self.collect)
        self._timer.start()

    def collect(self) -> None:
        """The young ones when there are enough of them, everything from time to time."""
        self._turn += 1
        if self._turn == SETTLED:
            gc.collect()
            gc.freeze()
        elif self._turn % WHOLE == 0:
            gc.collect()
        elif gc.get_count()[0] > gc.get_threshold()[0]:
            gc.collect(1)
