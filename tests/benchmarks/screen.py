"""The whole program at 2,000 messages a second: how long anything keeps the GUI thread, how steady the frames are.

The practice server runs in a process of its own, so that only the terminal is measured.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from typing import Any

SECONDS = 8.0
RATE = 12000.0  # what the crowd does; books are merged, so the wire carries about a sixth of it
LIMIT_MS = 8.0


def run() -> int:
    """Print handler times and frame gaps; status 1 if a handler held the thread for more than 8 ms."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["FATHOM_HOME"] = home
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.loud", str(RATE)], stdout=subprocess.PIPE, text=True
        )
        assert server.stdout is not None
        said = json.loads(server.stdout.readline())
        try:
            return measure(said)
        finally:
            server.terminate()
            server.wait(10)


def measure(said: dict[str, Any]) -> int:
    """Open the window on that server and watch."""
    from PySide6.QtCore import QEvent, QObject
    from PySide6.QtWidgets import QApplication
    from qasync import QEventLoop

    from app.accounts import Account
    from app.terminal import Terminal
    from ui.window import Window

    async def elsewhere(self: Account) -> tuple[dict[str, str], dict[str, str]]:
        return said["hosts"], said["credentials"]

    Account._where = elsewhere  # the server lives in another process here
    spent: list[tuple[float, str]] = []

    class Timed(QApplication):
        """Measures every event from delivery to return: painting, timers, and so every asyncio callback too."""

        depth = 0

        def notify(self, receiver: QObject, event: QEvent) -> bool:
            Timed.depth += 1
            began = time.perf_counter()
            try:
                return super().notify(receiver, event)
            finally:
                Timed.depth -= 1
                if Timed.depth == 0:
                    spent.append(
                        ((time.perf_counter() - began) * 1000, f"{type(receiver).__name__} {event.type().name}")
                    )

    application = Timed(sys.argv[:1])
    loop = QEventLoop(application)
    asyncio.set_event_loop(loop)

    async def live() -> int:
        terminal = Terminal()
        window = Window(terminal)
        window.show()
        await terminal.start()
        await asyncio.sleep(5.0)  # connected, subscribed and drawn; figures are taken from here on
        if window.feed is None or not window.feed.sync.live:
            sys.stdout.write("no live book came\n")
            return 1
        spent.clear()
        window.clock.gaps.clear()
        window.clock.costs.clear()
        links = [row for account in terminal.accounts.accounts.values() for row in account.health()]
        before, began = sum(row.messages for row in links), time.monotonic()
        await asyncio.sleep(SECONDS)
        held = sorted(spent, reverse=True)
        links = [row for account in terminal.accounts.accounts.values() for row in account.health()]
        rate = (sum(row.messages for row in links) - before) / (time.monotonic() - began)
        gaps, costs = sorted(window.clock.gaps), sorted(window.clock.costs)
        window.clock.stop()
        await terminal.stop()
        return report(rate, gaps, costs, held)

    def report(rate: float, gaps: list[float], costs: list[float], held: list[tuple[float, str]]) -> int:
        def part(values: list[float], share: float) -> float:
            return values[min(len(values) - 1, int(len(values) * share))]

        sys.stdout.write(f"messages received      {rate:7.0f} a second\n")
        sys.stdout.write(
            f"frames                 {1000 * len(gaps) / sum(gaps):7.1f} a second, gap p99 {part(gaps, 0.99):.1f} ms\n"
        )
        sys.stdout.write(
            f"frame handlers         p50 {part(costs, 0.5):.2f}  p99 {part(costs, 0.99):.2f}  max {costs[-1]:.2f} ms\n"
        )
        over = sum(ms > LIMIT_MS for ms, _ in held)
        sys.stdout.write(f"handlers over {LIMIT_MS:g} ms      {over} of {len(held)}; longest: ")
        sys.stdout.write(", ".join(f"{ms:.1f} ms {what}" for ms, what in held[:4]) + "\n")
        return int(over > 0)

    with loop:
        return loop.run_until_complete(live())
