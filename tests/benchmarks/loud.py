"""A practice exchange with a loud crowd, in a process of its own: prints where it serves, ends when its standard input does.

The crowd is never louder than half of what this machine can do at the moment: one that can't keep up with the clock would
leave no time to serve, and nothing would be measured.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from connectors.catalogue import load
from connectors.practice.server import PracticeServer


async def main() -> None:
    """Serve."""
    server = PracticeServer(load("binance"), seed=1, rate=able(float(sys.argv[1])))
    await server.start()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)
    sys.stdout.write(json.dumps({"hosts": server.hosts, "credentials": server.credentials}) + "\n")
    sys.stdout.flush()
    await ended.wait()
    await server.stop()


def able(wanted: float) -> float:
    """`wanted` actions a second, or half of what a second of the wall is enough for."""
    trial = PracticeServer(load("binance"), seed=1, rate=wanted)
    start, done, began = trial.exchange.now_ms, 0, time.monotonic()
    while time.monotonic() - began < 1.0:
        done += 50
        trial.advance(start + done)  # ms of the exchange's time
    return wanted * min(1.0, done / 1000 / 2)


asyncio.run(main())
