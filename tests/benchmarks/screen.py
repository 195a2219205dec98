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
RATE = 2000.0
LIMIT_MS = 8.0


def run() -> int:
    """Print handler times and frame gaps; status 1 if a handler held the thread for more than 8 ms at the 99th percentile."""
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
    from PySide6.QtWidgets import QApplication
    from qasync import QEventLoop

    from app.accounts import Account
    from app.terminal import Terminal
    from ui.window import Window

    async def elsewhere(self: Account) -> tuple[dict[str, str], dict[str, str]]:
        return said["hosts"], said["credentials"]

    Account._where = elsewhere  # ty: ignore[invalid-assignment] - the server lives in another process here
    application = QApplication(sys.argv[:1])
    loop = QEventLoop(application)
    asyncio.set_event_loop(loop)
    blocks: list[float] = []

    async def live() -> int:
        terminal = Terminal()
        window = Window(terminal)
        window.show()
        await terminal.start()
        deadline = time.monotonic() + 20
        while (window.feed is None or not window.feed.sync.live) and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        await asyncio.sleep(2.0)
        inner = loop._process_event if hasattr(loop, "_process_event") else None
        del inner
        window.clock.gaps.clear()
        window.clock.costs.clear()
        links = [row for account in terminal.accounts.accounts.values() for row in account.health()]
        before, began = sum(row.messages for row in links), time.monotonic()
        last = time.perf_counter()
        while time.monotonic() - began < SECONDS:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            blocks.append((now - last) * 1000)
            last = now
        links = [row for account in terminal.accounts.accounts.values() for row in account.health()]
        rate = (sum(row.messages for row in links) - before) / (time.monotonic() - began)
        gaps, costs = sorted(window.clock.gaps), sorted(window.clock.costs)
        window.clock.stop()
        await terminal.stop()
        return report(rate, gaps, costs)

    def report(rate: float, gaps: list[float], costs: list[float]) -> int:
        def part(values: list[float], share: float) -> float:
            return values[min(len(values) - 1, int(len(values) * share))]

        late = sorted(blocks)
        sys.stdout.write(f"messages received      {rate:7.0f} a second\n")
        sys.stdout.write(f"frames                 {1000 * len(gaps) / sum(gaps):7.1f} a second, gap p99 {part(gaps, 0.99):.1f} ms\n")
        sys.stdout.write(f"frame handlers         p50 {part(costs, 0.5):.2f}  p99 {part(costs, 0.99):.2f}  max {costs[-1]:.2f} ms\n")
        sys.stdout.write(f"1 ms timer came back   p50 {part(late, 0.5):.2f}  p99 {part(late, 0.99):.2f}  max {late[-1]:.2f} ms\n")
        return int(part(costs, 0.99) > LIMIT_MS)

    with loop:
        return loop.run_until_complete(live())
