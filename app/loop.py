"""The loop of Qt and asyncio: qasync's, in which no callback is lost when Qt runs a loop of its own inside one.

A dialog, a drag or a click that a program makes may run Qt's events while a callback of asyncio is at work. qasync would run
further callbacks in there: a task cannot be entered from within another one, and its wake-up is gone for good, so that a socket
is read no more or a market stands still. Here they wait until the callback at work has ended.
"""

from __future__ import annotations

import asyncio

from PySide6.QtCore import QCoreApplication, QObject, QTimerEvent
from qasync import QEventLoop


class _Callbacks(QObject):
    """Handles of asyncio by the Qt timer that calls them; in the place of qasync's own."""

    def __init__(self) -> None:
        super().__init__()
        self._handles: dict[int, asyncio.Handle] = {}
        self._held: list[asyncio.Handle] = []  # due while another one was at work
        self._at_work = False
        self._stopped = False

    def add_callback(self, handle: asyncio.Handle, delay: float = 0) -> asyncio.Handle:
        """Call it once, after `delay` seconds."""
        self._handles[self.startTimer(int(max(0, delay) * 1000))] = handle
        return handle

    def timerEvent(self, event: QTimerEvent) -> None:  # noqa: N802 - Qt's name
        """One is due."""
        self.killTimer(event.timerId())
        handle = self._handles.pop(event.timerId(), None)
        if handle is None or self._stopped or handle.cancelled():
            return
        if self._at_work:
            self._held.append(handle)
            return
        self._at_work = True
        try:
            handle._run()
        finally:
            self._at_work = False
            held, self._held = self._held, []
            for each in held:
                self.add_callback(each)

    def stop(self) -> None:
        """Call none of them any more."""
        self._stopped = True

    def set_debug(self, enabled: bool) -> None:
        """asyncio's debug mode times nothing here: the frame clock tells what takes long."""


class Loop(QEventLoop):
    """asyncio's event loop in the GUI thread of `application`."""

    def __init__(self, application: QCoreApplication) -> None:
        super().__init__(application)
        self._timer = _Callbacks()
