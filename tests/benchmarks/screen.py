"""The whole program at 2,000 messages a second: how long anything keeps the GUI thread, how steady the frames are.

The practice server runs in a process of its own, so that only the terminal is measured. Every handler is timed twice, by the
wall and by the processor time of the GUI thread: on a machine that does other work too the two part, and only the second
tells of the program. Figures are given as parts of the limit and of the time there was; the run says how busy the machine was.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from typing import Any, ClassVar

SECONDS = 8.0
RATE = 12000.0  # what the crowd does; books are merged, so the wire carries about a sixth of it
WANTED = 2000.0  # messages a second
LIMIT_MS = 8.0


def run() -> int:
    """Print handler times and frame gaps; status 1 if a handler took more than 8 ms of the processor."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["FATHOM_HOME"] = home
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.loud", str(RATE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
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
    from PySide6.QtCore import QEvent, QObject, QTimer
    from PySide6.QtWidgets import QApplication

    from app.accounts import Account
    from app.loop import Loop
    from app.terminal import Terminal
    from ui.garbage import SETTLED, Collector
    from ui.window import Window

    async def elsewhere(self: Account) -> tuple[dict[str, str], dict[str, str]]:
        return said["hosts"], said["credentials"]

    Account._where = elsewhere  # the server lives in another process here
    spent: list[tuple[float, float, str]] = []  # wall ms, processor ms, what

    class Timed(QApplication):
        """Measures every event from delivery to return: painting, timers, and so every asyncio callback too."""

        depth = 0
        inside: ClassVar[list[tuple[float, str]]] = []  # what was painted within the event

        def notify(self, receiver: QObject, event: QEvent) -> bool:
            Timed.depth += 1
            began, used = time.perf_counter(), time.thread_time()
            try:
                return super().notify(receiver, event)
            finally:
                Timed.depth -= 1
                wall, busy = (time.perf_counter() - began) * 1000, (time.thread_time() - used) * 1000
                name = type(receiver).__name__
                if Timed.depth == 0:
                    dearest = [f"{part} {cost:.1f} ms" for cost, part in sorted(Timed.inside, reverse=True)[:3]]
                    spent.append(
                        (
                            wall,
                            busy,
                            f"{name} {event.type().name} ({', '.join(dearest)})"
                            if dearest
                            else f"{name} {event.type().name}",
                        )
                    )
                    Timed.inside.clear()
                elif event.type() is QEvent.Type.Paint:
                    Timed.inside.append((busy, name))

    application = Timed(sys.argv[:1])
    collector = Collector()
    loop = Loop(application)
    asyncio.set_event_loop(loop)

    async def live() -> int:
        terminal = Terminal()
        window = Window(terminal)
        window.show()
        await terminal.start()
        deadline = time.monotonic() + 60
        while window.feed is None or not all(row.feed.sync.live for row in window.watchlist.rows):
            if time.monotonic() > deadline:
                sys.stdout.write("no live book came\n")
                return 1
            await asyncio.sleep(0.1)
        await asyncio.sleep(4.0)  # drawn, and the lists were read; figures are taken from here on
        for _ in range(SETTLED):  # as it is ten seconds after the start
            collector.collect()
        await asyncio.sleep(0.1)
        spent.clear()
        QTimer.singleShot(int(SECONDS * 500), gc.collect)  # what comes once a minute is measured too
        window.clock.gaps.clear()
        window.clock.costs.clear()
        links = [row for account in terminal.accounts.accounts.values() for row in account.health()]
        before, began, used = sum(row.messages for row in links), time.monotonic(), time.thread_time()
        await asyncio.sleep(SECONDS)
        share = (time.thread_time() - used) / (time.monotonic() - began)
        held = list(spent)
        links = [row for account in terminal.accounts.accounts.values() for row in account.health()]
        rate = (sum(row.messages for row in links) - before) / (time.monotonic() - began)
        gaps, costs = sorted(window.clock.gaps), sorted(window.clock.costs)
        window.clock.stop()
        await terminal.stop()
        return report(rate, share, gaps, costs, held)

    def report(
        rate: float, share: float, gaps: list[float], costs: list[float], held: list[tuple[float, float, str]]
    ) -> int:
        def part(values: list[float], share: float) -> float:
            return values[min(len(values) - 1, int(len(values) * share))]

        busy = os.getloadavg()[0] / (os.cpu_count() or 1) if hasattr(os, "getloadavg") else 0.0
        sys.stdout.write(f"messages received      {rate:7.0f} a second, {rate / WANTED:.2f} of what is wanted\n")
        sys.stdout.write(f"load of the machine    {busy:7.2f} of its processors\n")
        sys.stdout.write(f"GUI thread             {share:7.2f} of one processor\n")
        sys.stdout.write(
            f"frames                 {1000 * len(gaps) / sum(gaps) / 60:7.2f} of 60 a second, gap p99 {part(gaps, 0.99):.1f} ms\n"
        )
        sys.stdout.write(
            f"frame handlers, of the limit   p50 {part(costs, 0.5) / LIMIT_MS:.2f}  p99 {part(costs, 0.99) / LIMIT_MS:.2f}\n"
        )
        failed = False
        for index, name in ((1, "by processor time"), (0, "by the wall")):
            worst = sorted(held, key=lambda row, index=index: row[index], reverse=True)
            over = sum(row[index] > LIMIT_MS for row in held)
            sys.stdout.write(
                f"handlers over {LIMIT_MS:g} ms, {name:18} {over} of {len(held)}; longest, of the limit:\n"
            )
            for row in worst[:4]:
                sys.stdout.write(f"    {row[index] / LIMIT_MS:.2f}  {row[2]}\n")
            if index:
                failed = over > 0
        if rate < WANTED * 0.9:
            sys.stdout.write(
                "The rate was not reached: the machine is too busy or too slow for this to prove anything.\n"
            )
            return 1
        return int(failed)

    with loop:
        return loop.run_until_complete(live())
